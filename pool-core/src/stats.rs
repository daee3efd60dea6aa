//! What a pool has done and holds: a plain snapshot.

use crate::bytes::Bytes;
use core::fmt;

/// A snapshot of one pool, or of one key of it.
///
/// Always: `created = leased + idle + destroyed + detached` and `destroyed = evicted + expired + discarded`.
/// Objects that a factory is making at this moment count only once they are made.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PoolStats {
    /// Objects that are out.
    pub leased: usize,
    /// Of those: released, but not to be used before a time that has not come
    /// ([`release_at`](crate::Lease::release_at)).
    pub quarantined: usize,
    /// Objects that wait in the pool.
    pub idle: usize,
    /// Objects made so far.
    pub created: u64,
    /// Objects destroyed so far, for whatever reason.
    pub destroyed: u64,
    /// Objects that left the pool for good by [`detach`](crate::Lease::detach).
    pub detached: u64,
    /// Of those destroyed: idle ones that had to make room, were more of their key than may be idle, were trimmed or refused by
    /// a predicate, or were there when the pool was closed.
    pub evicted: u64,
    /// Of those destroyed: idle too long, or too old.
    pub expired: u64,
    /// Of those destroyed: leased ones that were not worth keeping, by the resetter, by the user, by a panic while they were
    /// reset, by their size, or because the pool was closed.
    pub discarded: u64,
    /// Acquires that were served from the idle set.
    pub hits: u64,
    /// Acquires that had to create, whether or not that succeeded.
    pub misses: u64,
    /// Most objects out at one time.
    pub peak_leased: usize,
    /// Bytes of the objects that are out, as of their creation or last release; of a pool that has neither an account nor a bound
    /// on the bytes that are kept, as of their creation, here and in what follows.
    pub leased_bytes: usize,
    /// Bytes of the objects that wait.
    pub idle_bytes: usize,
    /// Most bytes held at one time, leased and idle.
    pub peak_bytes: usize,
}

impl PoolStats {
    /// Objects that exist in the pool: leased and idle.
    #[must_use]
    pub const fn objects(&self) -> usize {
        self.leased + self.idle
    }

    /// Bytes held: leased and idle.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.leased_bytes.saturating_add(self.idle_bytes)
    }

    /// The part of the acquires that were served from the idle set, 0 to 1; `None` before the first.
    #[must_use]
    pub fn hit_rate(&self) -> Option<f64> {
        let acquires = self.hits + self.misses;
        (acquires > 0).then(|| self.hits as f64 / acquires as f64)
    }
}

/// `idle 3/64, 12.50 KiB, hits 97.3 %`
impl fmt::Display for PoolStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "idle {}/{}, {}", self.idle, self.objects(), Bytes(self.bytes()))?;
        match self.hit_rate() {
            Some(rate) => write!(f, ", hits {:.1} %", rate * 100.0),
            None => Ok(()),
        }
    }
}
