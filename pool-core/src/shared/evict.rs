//! What other pools under the same account may take of a shared pool.
//!
//! A release notes no time: that would cost each of them. Instead, when another pool has a miss and looks for the oldest
//! object, it looks whether this pool was used since the last look; if so, all its idle objects count as released now. So
//! they are never thought older than they are, and a pool that is not used ages as a whole. Which of them goes is as in
//! [`trim`](SharedPool::trim): the one in the highest slot, for low slots are handed out first.

use super::{Leave, SharedPool};
use crate::account::{Cause, Evict};
use crate::lifecycle::{Factory, Resetter};
use crate::lock::Lock;
use crate::pages::{BITS, Kind, Pages, groups};
use crate::slots::Storage;
use crate::sync::Ordering;

/// What the pool looked like when it was last asked.
pub(super) struct Seen(Lock<Look>);

#[derive(Clone, Copy)]
struct Look {
    hits: u64,
    objects: usize,
    idle: usize,
    stamp: u64,
}

impl Seen {
    crate::sync::const_fn! {
        pub(super) fn new() -> Self {
            Self(Lock::new(Look { hits: 0, objects: 0, idle: 0, stamp: 0 }))
        }
    }
}

impl<F, R, S> SharedPool<F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    /// Objects and bytes that may be evicted now: not those in explicit caches, nor those that `retain` looks at.
    fn count_evictable(&self) -> (usize, usize) {
        let (mut objects, mut bytes) = (0, 0usize);
        let mut count = |group: u32, mut bits: usize| {
            objects += bits.count_ones() as usize;
            while bits != 0 {
                let slot = group * BITS + bits.trailing_zeros();
                bytes = bytes.saturating_add(self.pages.bytes(slot).load(Ordering::Relaxed));
                bits &= bits - 1;
            }
        };
        for group in 0..groups(self.pages.reached()) {
            for kind in [Kind::Idle, Kind::Doomed] {
                count(group, self.pages.word(kind, group).load(Ordering::Relaxed));
            }
        }
        self.pages.each_lane(&mut |lane| {
            if lane.is_of_thread() {
                let (group, bits) = lane.idle();
                count(group, bits);
            }
        });
        (objects, bytes)
    }

    /// Notes whether the pool was used since the last look: when its idle objects count as released, how many may be evicted,
    /// and their bytes.
    pub(super) fn look(&self) -> (u64, usize, usize) {
        let (idle, bytes) = self.count_evictable();
        let now = self.account.as_ref().map_or(0, |account| account.stamp());
        let mut hits = self.hot.hits.load(Ordering::Relaxed) as u64;
        self.pages.each_lane(&mut |lane| hits += lane.hits() as u64);
        let objects = self.counts.there();
        let stamp = self.seen.0.with(|seen| {
            if (seen.hits, seen.objects, seen.idle) != (hits, objects, idle) {
                *seen = Look { hits, objects, idle, stamp: now };
            }
            seen.stamp
        });
        (stamp, idle, bytes)
    }
}

impl<F, R, S> Evict for SharedPool<F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    fn oldest(&self) -> Option<(u64, usize)> {
        let (stamp, idle, bytes) = self.look();
        (idle > 0).then(|| (stamp, bytes / idle))
    }

    fn evictable(&self) -> usize {
        self.count_evictable().1
    }

    fn evict_oldest(&self, _: Cause) -> Option<usize> {
        let before = self.counts.bytes.load(Ordering::Relaxed);
        let freed = if self.destroy_doomed(1) > 0 {
            before.saturating_sub(self.counts.bytes.load(Ordering::Relaxed))
        } else {
            self.empty_lanes(true);
            let slot = self.take_highest(&mut groups(self.pages.reached()))?;
            let bytes = self.pages.bytes(slot).load(Ordering::Relaxed);
            self.destroy_slot(slot, Leave::Evicted);
            bytes
        };
        // Not used since: the next of its objects is as old as this one was.
        let (idle, objects) = (self.count_evictable().0, self.counts.there());
        self.seen.0.with(|seen| (seen.idle, seen.objects) = (idle, objects));
        Some(freed)
    }
}
