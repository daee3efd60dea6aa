//! A slot in the hands of user code: what becomes of it if that panics.

use crate::unwind::shielded;

/// A slot that user code is at work on. Whoever gets it back in order forgets this (`mem::forget`); dropped, by a
/// failure or a panic, it lets `abandon` mend the pool's state.
pub(crate) struct Held<'a, P> {
    pub(crate) pool: &'a P,
    pub(crate) slot: u32,
    pub(crate) abandon: fn(&P, u32),
}

impl<P> Drop for Held<'_, P> {
    fn drop(&mut self) {
        shielded(|| (self.abandon)(self.pool, self.slot));
    }
}
