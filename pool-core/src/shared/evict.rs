//! What other pools under the same account may take of a shared pool.
//!
//! A release notes the time, which is the number of misses in the whole tree of accounts so far, once for all objects of the
//! pool: while that has not changed since the last release it only compares. So all idle objects of the pool count as
//! released when the last of them was, and are never thought older than they are; a pool that is not used ages as a
//! whole. Which of them goes: what is doomed, before anything of any pool; then, as in [`trim`](SharedPool::trim), the one in
//! the highest slot; last what threads keep for themselves.
//!
//! Nothing here looks at more slots than it has to: the highest is found by the summary above the words, and bytes are added
//! up only until there are enough.

use super::{Leave, SharedPool};
use crate::account::{Account, Cause, Evict, Oldest, Registration, Shared};
use crate::lifecycle::{Factory, Resetter};
use crate::pages::{BITS, Kind, Pages};
use crate::slots::Storage;
use crate::sync::{Count, Ordering};

/// A pool's place among those that give idle objects back to one another.
pub(super) struct Membership {
    registration: Registration<Shared>,
    /// Where misses are counted.
    top: Account,
    /// How many there had been at the last release: what fits into a word.
    released: Count,
}

impl Membership {
    pub(super) fn new(registration: Registration<Shared>) -> Self {
        let mut top = registration.account();
        while let Some(above) = top.parent() {
            top = above;
        }
        let (top, released) = (top.clone(), Count::new(top.stamp() as usize));
        Self { registration, top, released }
    }

    pub(super) fn note_miss(&self) {
        self.registration.account().note_miss();
    }

    pub(super) fn note_doomed(&self) {
        self.registration.note_doomed();
    }

    pub(super) fn note_doomed_gone(&self, count: usize) {
        self.registration.note_doomed_gone(count);
    }

    /// Of an object that is about to become idle, so that who takes it knows.
    #[inline(always)]
    pub(super) fn note_release(&self) {
        // Relaxed: see `Mode::stamp`.
        let now = self.top.ledger().epoch.load(Ordering::Relaxed) as usize;
        if self.released.load(Ordering::Relaxed) != now {
            self.note_later_release(now);
        }
    }

    #[cold]
    #[inline(never)]
    fn note_later_release(&self, now: usize) {
        advance(&self.released, now);
    }

    /// The time of the last release.
    fn last_release(&self) -> u64 {
        let now = self.top.stamp();
        let ago = (now as usize).wrapping_sub(self.released.load(Ordering::Relaxed)) as isize;
        now.wrapping_sub(ago as u64)
    }
}

/// Sets a time, but not backwards, by who read the clock long ago. Wait-free: it tries again only after another thread has
/// noted what it read meanwhile.
fn advance(noted: &Count, now: usize) {
    // As numbers that wrap: of 32 bits, half of them are ahead.
    let later = |before: usize| (now.wrapping_sub(before) as isize > 0).then_some(now);
    _ = noted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
}

impl<F, R, S> SharedPool<F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    /// The highest slot in the pages that has a bit of this kind.
    fn highest(&self, kind: Kind) -> Option<u32> {
        let mut end = u32::MAX;
        loop {
            let group = self.pages.find_below(kind, end)?;
            // Relaxed: a look, not a claim.
            if let Some(bit) = self.pages.word(kind, group).load(Ordering::Relaxed).checked_ilog2() {
                return Some(group * BITS + bit);
            }
            end = group;
        }
    }

    /// A slot that a thread keeps idle.
    fn kept_by_thread(&self) -> Option<u32> {
        let mut kept = None;
        self.pages.each_lane(&mut |lane| {
            let (group, bits) = lane.idle();
            if bits != 0 && lane.is_of_thread() {
                kept = Some(group * BITS + bits.trailing_zeros());
            }
        });
        kept
    }
}

impl<F, R, S> Evict for SharedPool<F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    fn oldest(&self) -> Oldest {
        let (stamp, hides) = self.counts.uninspected(|| {
            // Relaxed: as in `take_doomed`.
            let doomed = self.doomed.load(Ordering::Relaxed) != 0;
            if doomed && self.highest(Kind::Doomed).is_some() {
                Some(0)
            } else if self.highest(Kind::Idle).is_some() || self.kept_by_thread().is_some() {
                Some(self.membership.as_ref().map_or(0, Membership::last_release))
            } else {
                None
            }
        });
        Oldest { stamp, hides }
    }

    fn evictable(&self) -> usize {
        self.evictable_up_to(usize::MAX)
    }

    /// Not those in explicit caches, nor those that `retain` looks at.
    fn evictable_up_to(&self, enough: usize) -> usize {
        // There are no more, so objects of no bytes need not all be looked at.
        let enough = enough.min(self.counts.bytes.load(Ordering::Relaxed));
        let mut bytes = 0usize;
        let mut add = |group: u32, mut bits: usize| {
            while bits != 0 && bytes < enough {
                let slot = group * BITS + bits.trailing_zeros();
                bytes = bytes.saturating_add(self.pages.bytes(slot).load(Ordering::Relaxed));
                bits &= bits - 1;
            }
            bytes < enough
        };
        let mut more = true;
        for kind in [Kind::Doomed, Kind::Idle] {
            let mut end = u32::MAX;
            while more && let Some(group) = self.pages.find_below(kind, end) {
                more = add(group, self.pages.word(kind, group).load(Ordering::Relaxed));
                end = group;
            }
        }
        self.pages.each_lane(&mut |lane| {
            if lane.is_of_thread() {
                let (group, bits) = lane.idle();
                add(group, bits);
            }
        });
        bytes
    }

    fn evict_oldest(&self, _: Cause) -> Option<usize> {
        if let Some(slot) = self.take_doomed() {
            return Some(self.destroy_slot(slot, Leave::Discarded));
        }
        let slot = self.take_for_eviction()?;
        Some(self.destroy_slot(slot, Leave::Evicted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Accounts that ask each of their pools, for ever, as something that was doomed there has gone another way.
    #[test]
    #[cfg(feature = "std")]
    fn what_was_doomed_and_is_gone_is_on_no_account() {
        let server = Account::new("server", 1000);
        let page = Account::builder("page").parent(&server).build();
        let discard = |_: &mut [u8; 8]| crate::lifecycle::Verdict::Discard;
        let make = |_: &()| Ok::<_, core::convert::Infallible>([0; 8]);
        let pool = SharedPool::builder(make).resetter(discard).account(page.clone()).build_arc();
        let doomed = || [&page, &server].map(|account| account.ledger().doomed.load(Ordering::Relaxed));
        let doom = || drop([(); 3].map(|()| pool.acquire().unwrap()));
        doom();
        assert_eq!(doomed(), [3, 3]);
        assert_eq!((pool.maintain(2), doomed()), (2, [1, 1]));
        assert_eq!((server.make_room(1000), doomed()), (Ok(8), [0, 0]));
        doom();
        assert_eq!(pool.trim(0), 3);
        doom();
        drop(pool);
        assert_eq!((doomed(), server.used()), ([0, 0], 0));
    }

    // A pool that is thought older than it is, because a thread that was held up in its release comes last.
    #[test]
    fn a_time_is_not_set_backwards() {
        let noted = Count::new(0);
        for (now, then) in [(5, 5), (3, 5), (5, 5), (6, 6)] {
            advance(&noted, now);
            assert_eq!(noted.load(Ordering::Relaxed), then);
        }
        let noted = Count::new(usize::MAX - 1);
        for (now, then) in [(usize::MAX, usize::MAX), (1, 1), (usize::MAX, 1)] {
            advance(&noted, now);
            assert_eq!(noted.load(Ordering::Relaxed), then);
        }
    }
}
