//! Housekeeping: what is doomed, and pressure.

use super::{Leave, SharedPool};
use crate::account::Pressure;
use crate::lifecycle::{Factory, Resetter};
use crate::pages::{Kind, Pages, groups};
use crate::slots::Storage;
use crate::sync::{Count, Ordering};
use crate::work::WorkLimit;

/// What the pages had when maintenance was done last: enough to tell, without a count of each release, how many objects
/// lay there all the time since.
pub(super) struct Spare {
    /// Idle objects.
    idle: Count,
    /// How many had been taken out until then.
    taken: Count,
}

impl Spare {
    crate::sync::const_fn! {
        pub(super) fn new() -> Self {
            Self { idle: Count::new(0), taken: Count::new(0) }
        }
    }
}

impl<F, R, S> SharedPool<F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    /// A slice of housekeeping: destroys at most `limit` objects, and ends after as many bytes. Returns how many. A number is
    /// a limit on objects, without one on bytes.
    ///
    /// - What releases have doomed goes. Call it now and then from where freeing is allowed, if threads that must not free
    ///   release objects here.
    /// - Under critical pressure (the account, or one above, is over its hard limit) every idle object goes but those in a
    ///   [`Cache`](crate::Cache), which nobody else can reach: those in the highest slots first, what threads keep for
    ///   themselves last.
    /// - Under moderate pressure (over a soft limit) idle objects go, those in the highest slots first, until the low watermark
    ///   is reached, but no more than were spare since the last call: as many as lay in the pool when that ended, less those
    ///   that were taken out since, one by one or several at once for a [`Cache`](crate::Cache) or for a thread to keep. So
    ///   they are never more than the fewest that were idle at any time since, but for what
    ///   [`hits`](crate::PoolStats::hits) misses, and may be fewer: an object that is taken ten times counts ten times. What
    ///   is taken out of a thread's own cache, or out of a [`Cache`](crate::Cache), does not count, and what is in there
    ///   stays.
    ///
    /// O(slots / 64) if the pool has an account, and O(1) per object.
    pub fn maintain(&self, limit: impl Into<WorkLimit>) -> usize {
        self.maintain_within(&mut limit.into())
    }

    /// The same, by what is left of a limit.
    pub(crate) fn maintain_within(&self, left: &mut WorkLimit) -> usize {
        let mut destroyed = 0;
        let mut destroy = |slot, why, left: &mut WorkLimit| {
            destroyed += 1;
            left.spend(self.destroy_slot(slot, why));
        };
        while !left.is_reached()
            && let Some(slot) = self.take_doomed()
        {
            destroy(slot, Leave::Discarded, left);
        }
        let Some(account) = &self.account else { return destroyed };
        match account.pressure() {
            Pressure::None => {}
            Pressure::Critical => {
                while !left.is_reached()
                    && let Some(slot) = self.take_for_eviction()
                {
                    destroy(slot, Leave::Evicted, left);
                }
            }
            Pressure::Moderate => {
                let mut end = u32::MAX;
                for _ in 0..self.spare() {
                    if left.is_reached() || account.excess() == 0 {
                        break;
                    }
                    let Some(slot) = self.take_highest(&mut end) else { break };
                    destroy(slot, Leave::Evicted, left);
                }
            }
        }
        self.note_spare();
        destroyed
    }

    /// Objects that have left the pages as idle ones.
    fn taken(&self) -> usize {
        let (hits, batched) =
            (self.hot.hits.load(Ordering::Relaxed), self.hot.batched.load(Ordering::Relaxed));
        // Of 64 bits on 32 as well: what counts is the difference.
        let evicted = self.counts.evicted.load(Ordering::Relaxed) as usize;
        hits.wrapping_add(batched).wrapping_add(evicted)
    }

    /// At most as many as were idle in the pages at each moment since [`note_spare`](Self::note_spare).
    fn spare(&self) -> usize {
        let taken = self.taken().wrapping_sub(self.spare.taken.load(Ordering::Relaxed));
        self.spare.idle.load(Ordering::Relaxed).saturating_sub(taken)
    }

    fn note_spare(&self) {
        // First the one, so that what is taken in between counts twice and not never.
        self.spare.taken.store(self.taken(), Ordering::Relaxed);
        let all = 0..groups(self.pages.reached());
        let idle = all.map(|group| self.pages.word(Kind::Idle, group).load(Ordering::Relaxed).count_ones());
        self.spare.idle.store(idle.sum::<u32>() as usize, Ordering::Relaxed);
    }
}
