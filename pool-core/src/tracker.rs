//! Bytes of objects that no pool owns, by id: [`Tracker`].

use crate::account::{Account, Mode, OverBudget, Reservation, Shared};
use crate::lru::{Links, List, NONE, Node};
use crate::slots::{Growing, Index, Storage};
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;
use core::hash::{BuildHasher, Hash};

/// Keeps account of objects that live elsewhere, such as decoded samples that an application holds: who they are,
/// how many bytes, and which was used longest ago.
///
/// The bytes exist whether we like it or not, so they are charged to the account as external. Its soft limit is the
/// threshold for warnings, with hysteresis; see [`AccountBuilder::on_event`](crate::AccountBuilder::on_event).
///
/// Every call is O(1) for each object it touches, except as noted. The tracker holds ids, not objects: what
/// [`evict_to`](Self::evict_to) returns is for the caller to drop.
///
/// ```
/// use pool_core::{Account, Tracker};
/// use std::collections::HashSet;
///
/// let account = Account::builder("samples").soft_limit(250).build();
/// let mut samples = Tracker::new(account);
/// samples.track("kick", 100)?;
/// samples.track("snare", 100)?;
/// samples.track("hat", 100)?;
/// samples.touch("kick");
/// assert_eq!(samples.evict_to(200), ["snare"]);
///
/// let in_use = HashSet::from(["kick"]);
/// assert_eq!(samples.retain(|id, _| in_use.contains(id)), 100); // the bytes of "hat"
/// assert_eq!((samples.used(), samples.peak()), (100, 300));
/// # Ok::<(), pool_core::OverBudget>(())
/// ```
pub struct Tracker<Id, M: Mode = Shared> {
    account: Account<M>,
    /// Of the tracked bytes; its account is `account`.
    claim: Option<Reservation<Account<M>>>,
    peak: usize,
    /// From the hash of an id to its entry, which has the id.
    slots: <Growing as Storage>::Index,
    hasher: <Growing as Storage>::Hasher,
    entries: Vec<Entry<Id>>,
    vacant: Vec<u32>,
    recent: List<0>,
}

struct Entry<Id> {
    id: Option<Id>,
    bytes: usize,
    links: Links,
}

impl<Id> Node<0> for Entry<Id> {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
}

impl<Id: Hash + Eq + Clone, M: Mode> Tracker<Id, M> {
    /// Tracks nothing yet; will charge `account`.
    #[must_use]
    pub fn new(account: Account<M>) -> Self {
        Self {
            account,
            claim: None,
            peak: 0,
            slots: Default::default(),
            hasher: Default::default(),
            entries: Vec::new(),
            vacant: Vec::new(),
            recent: List::EMPTY,
        }
    }

    /// Tracks `id` with `bytes`, as the most recently used. If it is tracked already, its bytes are replaced;
    /// returns what they were.
    ///
    /// # Errors
    ///
    /// Only if the count of bytes would overflow `usize`; nothing is changed then.
    pub fn track(&mut self, id: Id, bytes: usize) -> Result<Option<usize>, OverBudget> {
        match self.find(&id) {
            Some(slot) => {
                let before = self.entries[slot as usize].bytes;
                if bytes > before {
                    let more = self.account.charge_external(bytes - before)?;
                    self.entries[slot as usize].bytes = bytes;
                    self.take_over(more);
                    self.renew(slot);
                } else {
                    self.entries[slot as usize].bytes = bytes;
                    self.renew(slot);
                    self.give_back(before - bytes);
                }
                Ok(Some(before))
            }
            None => {
                let claim = self.account.charge_external(bytes)?;
                let hash = self.hasher.hash_one(&id);
                let entry = Entry { id: Some(id), bytes, links: Links::UNLINKED };
                let slot = match self.vacant.pop() {
                    Some(slot) => {
                        self.entries[slot as usize] = entry;
                        slot
                    }
                    None => {
                        self.entries.push(entry);
                        (self.entries.len() - 1) as u32
                    }
                };
                debug_assert!(slot != NONE);
                let Self { slots, entries, hasher, .. } = self;
                // Every entry that is found by its hash has an id.
                Index::insert(slots, hash, slot, |slot| {
                    entries[slot as usize].id.as_ref().map_or(0, |id| hasher.hash_one(id))
                });
                self.recent.push_newest(&mut self.entries, slot);
                self.take_over(claim);
                Ok(None)
            }
        }
    }

    /// Forgets `id`; its bytes, if it was tracked. It is forgotten, too, if an event handler of the account panics.
    pub fn untrack<Q: Hash + Eq + ?Sized>(&mut self, id: &Q) -> Option<usize>
    where
        Id: Borrow<Q>,
    {
        let slot = self.find(id)?;
        Some(self.forget(slot).1)
    }

    /// Marks `id` as the most recently used; false if it is not tracked.
    pub fn touch<Q: Hash + Eq + ?Sized>(&mut self, id: &Q) -> bool
    where
        Id: Borrow<Q>,
    {
        let Some(slot) = self.find(id) else { return false };
        self.renew(slot);
        true
    }

    /// Forgets what `keep(id, bytes)` refuses, in the order of use; returns the bytes freed. O(tracked).
    pub fn retain(&mut self, mut keep: impl FnMut(&Id, usize) -> bool) -> usize {
        let mut freed = 0;
        let mut at = self.recent.oldest();
        while let Some(slot) = at {
            at = List::<0>::newer_than(&mut self.entries, slot);
            let entry = &self.entries[slot as usize];
            if let Some(id) = &entry.id
                && !keep(id, entry.bytes)
            {
                freed += self.forget(slot).1;
            }
        }
        freed
    }

    /// Forgets what was used longest ago until at most `bytes` are tracked; the ids, those used longest ago first.
    ///
    /// # Panics
    ///
    /// If an event handler of the account does: what was forgotten until then is not told.
    pub fn evict_to(&mut self, bytes: usize) -> Vec<Id> {
        let mut evicted = Vec::new();
        while self.used() > bytes {
            let Some(slot) = self.recent.oldest() else { break };
            evicted.extend(self.forget(slot).0);
        }
        evicted
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.retain(|_, _| false);
    }

    /// Bytes tracked now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.claim.as_ref().map_or(0, Reservation::bytes)
    }

    /// Most bytes tracked at one time.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.peak
    }

    /// Objects tracked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() - self.vacant.len()
    }

    /// Whether nothing is tracked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of `id`, if it is tracked. Does not count as use.
    pub fn bytes_of<Q: Hash + Eq + ?Sized>(&self, id: &Q) -> Option<usize>
    where
        Id: Borrow<Q>,
    {
        self.find(id).map(|slot| self.entries[slot as usize].bytes)
    }

    /// What is tracked, in no particular order. O(most that was ever tracked at one time).
    pub fn iter(&self) -> impl Iterator<Item = (&Id, usize)> {
        self.entries.iter().filter_map(|entry| entry.id.as_ref().map(|id| (id, entry.bytes)))
    }

    /// The account that the bytes are charged to.
    #[must_use]
    pub fn account(&self) -> &Account<M> {
        &self.account
    }

    fn find<Q: Hash + Eq + ?Sized>(&self, id: &Q) -> Option<u32>
    where
        Id: Borrow<Q>,
    {
        let is =
            |slot: u32| self.entries[slot as usize].id.as_ref().is_some_and(|known| known.borrow() == id);
        Index::find(&self.slots, self.hasher.hash_one(id), is)
    }

    fn renew(&mut self, slot: u32) {
        self.recent.unlink(&mut self.entries, slot);
        self.recent.push_newest(&mut self.entries, slot);
    }

    /// Forgets a slot. The account comes last: its handler may panic, and then all else is in order.
    fn forget(&mut self, slot: u32) -> (Option<Id>, usize) {
        self.recent.unlink(&mut self.entries, slot);
        let entry = &mut self.entries[slot as usize];
        let (id, bytes) = (entry.id.take(), core::mem::take(&mut entry.bytes));
        self.vacant.push(slot);
        if let Some(id) = &id {
            self.slots.remove(self.hasher.hash_one(id), slot);
        }
        self.give_back(bytes);
        (id, bytes)
    }

    fn take_over(&mut self, claim: Reservation<Account<M>>) {
        match &mut self.claim {
            Some(all) => all.absorb(claim),
            None => self.claim = Some(claim),
        }
        self.peak = self.peak.max(self.used());
    }

    fn give_back(&mut self, bytes: usize) {
        if let Some(claim) = &mut self.claim {
            // Cannot fail: the claim is the sum of all entries.
            let _ = claim.shrink(bytes);
        }
    }
}

/// `Tracker(3 tracked, 12.50 KiB)`
impl<Id: Hash + Eq + Clone, M: Mode> fmt::Debug for Tracker<Id, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tracker({} tracked, {})", self.len(), crate::bytes::Bytes(self.used()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    // Replacing that counts twice, or that does not renew; a wrap at the largest size.
    #[test]
    fn tracking_again_replaces() {
        let account = Account::new("a", 100);
        let mut tracker = Tracker::new(account.clone());
        assert_eq!(tracker.track(1, 60), Ok(None));
        assert_eq!(tracker.track(2, 30), Ok(None));
        assert_eq!(tracker.track(1, 80), Ok(Some(60)));
        assert_eq!(tracker.track(1, 20), Ok(Some(80)));
        assert_eq!((tracker.used(), account.used(), tracker.peak()), (50, 50, 110));
        assert_eq!(tracker.track(1, 20), Ok(Some(20)));
        assert_eq!(tracker.track(1, 80), Ok(Some(20)));
        assert_eq!(std::format!("{tracker:?}"), "Tracker(2 tracked, 110 B)");
        assert!(!tracker.is_empty());
        assert_eq!((tracker.used(), account.used(), account.overcommitted()), (110, 110, 10));
        assert!(tracker.track(3, usize::MAX).is_err());
        assert!(tracker.track(2, usize::MAX).is_err());
        assert_eq!((tracker.len(), tracker.used(), tracker.bytes_of(&2)), (2, 110, Some(30)));
        assert_eq!(tracker.evict_to(0), vec![2, 1]);
        assert_eq!((account.used(), tracker.peak()), (0, 110));
    }

    // An id that stays in the map after its entry went, or an entry that is used again while still linked.
    #[test]
    fn ids_and_entries_go_together() {
        let account = Account::builder("a").build();
        let mut tracker = Tracker::new(account.clone());
        for round in 0..3 {
            for id in 0..100u32 {
                tracker.track(id, 10).unwrap();
            }
            assert!(tracker.touch(&0));
            assert_eq!(tracker.untrack(&50), Some(10));
            assert_eq!(tracker.untrack(&50), None);
            assert!(!tracker.touch(&50));
            assert_eq!(tracker.evict_to(980), vec![1], "round {round}");
            assert_eq!(tracker.retain(|id, _| id % 2 == 0), 490);
            assert_eq!((tracker.len(), tracker.used()), (49, 490));
            assert_eq!(tracker.iter().map(|(_, bytes)| bytes).sum::<usize>(), 490);
            tracker.clear();
            assert!(tracker.is_empty());
        }
        assert_eq!((account.used(), tracker.peak()), (0, 1000));
        drop(tracker);
        assert_eq!(account.used(), 0);
    }
}
