//! [`NodeStats`]: what a node pool has done and holds.

use pool_core::PoolStats;

/// What a node pool has done and holds.
///
/// Always: `created = leased + quarantined + idle + destroyed + detached`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct NodeStats {
    /// Nodes in the user's hands.
    pub leased: usize,
    /// Nodes that were released and wait to be silent.
    pub quarantined: usize,
    /// Nodes that wait to be used again.
    pub idle: usize,
    /// Nodes made so far.
    pub created: u64,
    /// Nodes given up so far: evicted, expired or discarded.
    pub destroyed: u64,
    /// Nodes that left the pool for good.
    pub detached: u64,
    /// Of those destroyed: to make room.
    pub evicted: u64,
    /// Of those destroyed: idle too long.
    pub expired: u64,
    /// Of those destroyed: not fit for use, because an exception broke off their reset, or by the user.
    pub discarded: u64,
    /// Acquires that were served from the idle set.
    pub hits: u64,
    /// Acquires that had to create.
    pub misses: u64,
    /// Most nodes out at one time, quarantined ones included.
    pub peak_leased: usize,
    /// Bytes of leased and quarantined nodes.
    pub leased_bytes: usize,
    /// Bytes of idle nodes.
    pub idle_bytes: usize,
}

impl NodeStats {
    pub(crate) fn new(pool: PoolStats, quarantined: usize) -> Self {
        Self {
            leased: pool.leased - quarantined,
            quarantined,
            idle: pool.idle,
            created: pool.created,
            destroyed: pool.destroyed,
            detached: pool.detached,
            evicted: pool.evicted,
            expired: pool.expired,
            discarded: pool.discarded,
            hits: pool.hits,
            misses: pool.misses,
            peak_leased: pool.peak_leased,
            leased_bytes: pool.leased_bytes,
            idle_bytes: pool.idle_bytes,
        }
    }

    /// Nodes that exist: leased, quarantined and idle.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.leased + self.quarantined + self.idle
    }

    /// The part of the acquires that were served from the idle set; `None` before the first.
    #[must_use]
    pub fn hit_rate(&self) -> Option<f64> {
        let acquires = self.hits + self.misses;
        (acquires > 0).then(|| self.hits as f64 / acquires as f64)
    }

    /// The sum of two pools; the sum of their peaks bounds the peak of both.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            leased: self.leased + other.leased,
            quarantined: self.quarantined + other.quarantined,
            idle: self.idle + other.idle,
            created: self.created + other.created,
            destroyed: self.destroyed + other.destroyed,
            detached: self.detached + other.detached,
            evicted: self.evicted + other.evicted,
            expired: self.expired + other.expired,
            discarded: self.discarded + other.discarded,
            hits: self.hits + other.hits,
            misses: self.misses + other.misses,
            peak_leased: self.peak_leased + other.peak_leased,
            leased_bytes: self.leased_bytes + other.leased_bytes,
            idle_bytes: self.idle_bytes + other.idle_bytes,
        }
    }
}
