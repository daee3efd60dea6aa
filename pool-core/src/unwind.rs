//! User code that runs while a panic unwinds, where a second panic that left a destructor would end the process. Without `std`
//! nobody knows of the first, none can be caught, and a second one ends the process.

use core::mem::ManuallyDrop;

/// Whether a panic unwinds on this thread, as far as anybody knows.
#[inline(always)]
pub(crate) fn unwinding() -> bool {
    #[cfg(all(feature = "std", panic = "unwind"))]
    return std::thread::panicking();
    #[cfg(not(all(feature = "std", panic = "unwind")))]
    false
}

/// Runs `work`. If a panic is under way, another one of `work` says nothing that matters more, and goes no further.
pub(crate) fn shielded(work: impl FnOnce()) {
    #[cfg(all(feature = "std", panic = "unwind"))]
    if unwinding() {
        if let Err(payload) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
            // Whose destructor is the user's as well.
            let end = std::panic::AssertUnwindSafe(|| drop(payload));
            let _ = std::panic::catch_unwind(end).map_err(core::mem::forget);
        }
        return;
    }
    work();
}

/// An object on its way into a pool or out of it. If somebody panics before it is there, its destructor may do so, too.
pub(crate) struct Outgoing<T>(ManuallyDrop<T>);

impl<T> Outgoing<T> {
    #[inline(always)]
    pub(crate) fn new(object: T) -> Self {
        Self(ManuallyDrop::new(object))
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> &T {
        &self.0
    }

    /// It is there.
    #[inline(always)]
    pub(crate) fn into_inner(self) -> T {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped nor used again, so the object is taken once.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }
}

impl<T> Drop for Outgoing<T> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: this is being dropped, so nobody uses the object again.
        shielded(|| unsafe { ManuallyDrop::drop(&mut self.0) });
    }
}

/// Runs `work` until it comes to its end: if it panics again, no more than `most` times, in each of which it is to get further.
pub(crate) fn to_the_end(most: usize, work: impl Fn()) {
    struct Again<F: Fn()>(usize, F);
    impl<F: Fn()> Drop for Again<F> {
        fn drop(&mut self) {
            let mut ended = false;
            for _ in 0..self.0 {
                shielded(|| {
                    (self.1)();
                    ended = true;
                });
                if ended {
                    break;
                }
            }
        }
    }
    let again = Again(most.saturating_add(1), work);
    if unwinding() {
        return; // as `again` ends
    }
    (again.1)();
    core::mem::forget(again);
}
