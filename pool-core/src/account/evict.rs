//! Room for one pool's objects from the idle objects of others: [`Evict`].
//!
//! A pool that gives back is on the list of its account and of every account above, so whoever is short asks only the
//! pools at or below the account that refuses. Which object was released longest ago is told by a stamp that the pool
//! takes from the top of the tree at each release ([`Account::stamp`]):
//!
//! - local: a number of its own for each release, so the order across pools is exact;
//! - shared: the number of misses so far, which a release only reads, and a miss advances ([`Account::note_miss`]). Two
//!   objects of different pools whose releases no miss divides are in either order; within a pool order is the pool's.
//!
//! Lists are locked to be read, and only then: what an [`Evict`] does, destructors among it, runs with nothing locked.

#![allow(dead_code, reason = "for the keyed pools; some of it for those with an allocator only")]

use super::mode::Mode;
use super::refusal::{Level, OverBudget, Shortfall};
use super::{Account, Claim};

#[cfg(feature = "alloc")]
use crate::sync::Ordering::Relaxed;
#[cfg(feature = "alloc")]
use alloc::boxed::Box;

/// A pool's idle objects, as others under the same account see them. Called with nothing locked, and at any time
/// between two steps of the pool.
#[cfg_attr(not(feature = "alloc"), allow(unreachable_pub, reason = "part of `Mode` where there are lists"))]
pub trait Evict {
    /// The stamp and the bytes of the object that was released longest ago, of those that may be evicted now. Runs no
    /// user code.
    fn oldest(&self) -> Option<(u64, usize)>;

    /// Bytes of all objects that may be evicted now. Runs no user code.
    fn evictable(&self) -> usize;

    /// Evicts that oldest object; its bytes, which it no longer holds. `None` if there is none any more.
    fn evict_oldest(&self) -> Option<usize>;
}

/// A pool's place on the lists of its account and those above; ends when dropped.
#[cfg(feature = "alloc")]
#[must_use = "dropping it ends the registration"]
pub(crate) struct Registration<M: Mode> {
    account: Account<M>,
    evictor: M::Counted<Box<M::Evictor>>,
}

#[cfg(feature = "alloc")]
impl<M: Mode> Drop for Registration<M> {
    fn drop(&mut self) {
        for level in self.account.levels() {
            let gone = M::evictors(&level.0).with(|evictors| {
                let own = |other: &M::Counted<Box<M::Evictor>>| core::ptr::eq(&**other, &*self.evictor);
                let at = evictors.iter().position(own)?;
                Some(evictors.remove(at))
            });
            drop(gone);
        }
    }
}

#[cfg(feature = "alloc")]
impl<M: Mode> Account<M> {
    /// Lists a pool as one that gives idle objects back to the others at and below each account from here to the top.
    ///
    /// The evictor should hold its pool weakly, and report nothing once that is gone.
    pub(crate) fn register(&self, evictor: Box<M::Evictor>) -> Registration<M> {
        let evictor = M::counted(evictor);
        for level in self.levels() {
            M::evictors(&level.0).with(|evictors| evictors.push(evictor.clone()));
        }
        Registration { account: self.clone(), evictor }
    }

    fn top(&self) -> &Self {
        self.levels().last().unwrap_or(self)
    }

    /// The time of a release, in the order of releases of the whole tree; see the top of this file.
    pub(crate) fn stamp(&self) -> u64 {
        M::stamp(&self.top().0)
    }

    /// Divides the releases before from those after, in a shared tree.
    pub(crate) fn note_miss(&self) {
        if let Some(account) = M::as_shared(self) {
            account.top().ledger().epoch.0.fetch_add(1, Relaxed);
        }
    }

    /// Evicts idle objects of the pools that give back to one another, those released longest ago first and no more
    /// than needed, until `bytes` more would fit. Returns the bytes freed.
    ///
    /// Somebody else may take them before the caller does. Runs destructors.
    ///
    /// # Errors
    ///
    /// [`OverBudget`] if they would not fit even if everything idle were evicted; then nothing is.
    pub fn make_room(&self, bytes: usize) -> Result<usize, OverBudget> {
        self.admit(bytes, None)?;
        let mut freed = 0usize;
        loop {
            let Some(shortfall) = self.shortfalls(bytes).next() else { return Ok(freed) };
            match shortfall.evict_oldest(None) {
                Some(bytes) => freed = freed.saturating_add(bytes),
                None => return Err(shortfall.refusal(shortfall.evictable(None))),
            }
        }
    }

    /// The `nth` of the pools that give back at or below this account.
    fn evictor(&self, nth: usize) -> Option<M::Counted<Box<M::Evictor>>> {
        M::evictors(&self.0).with(|evictors| evictors.get(nth).cloned())
    }

    fn evictors(&self) -> impl Iterator<Item = M::Counted<Box<M::Evictor>>> {
        (0..).map_while(|nth| self.evictor(nth))
    }
}

impl<M: Mode> Account<M> {
    /// Bytes of idle objects at or below this account that can be evicted; with those of the asking pool, if it is
    /// not on the lists itself.
    pub(crate) fn evictable(&self, own: Option<&dyn Evict>) -> usize {
        let own = own.map_or(0, Evict::evictable);
        #[cfg(feature = "alloc")]
        let own = self.evictors().fold(own, |sum, evictor| sum.saturating_add(evictor.evictable()));
        own
    }

    /// Evicts the idle object at or below this account that was released longest ago; its bytes.
    pub(crate) fn evict_oldest(&self, own: Option<&dyn Evict>) -> Option<usize> {
        #[cfg(feature = "alloc")]
        // Again if somebody else took the object in between, but not for ever.
        for _ in 0..16 {
            let oldest = |evictor: &dyn Evict| Some(evictor.oldest()?.0);
            let mut first = own.and_then(oldest);
            let mut whose = None;
            for evictor in self.evictors() {
                let Some((stamp, _)) = evictor.oldest() else { continue };
                if first.is_none_or(|first| stamp < first) {
                    first = Some(stamp);
                    whose = Some(evictor);
                }
            }
            first?;
            let freed = match &whose {
                Some(evictor) => evictor.evict_oldest(),
                None => own.and_then(Evict::evict_oldest),
            };
            if freed.is_some() {
                return freed;
            }
        }
        #[cfg(not(feature = "alloc"))]
        if let Some(own) = own {
            return own.evict_oldest();
        }
        None
    }

    /// Refuses a charge that cannot fit whatever is evicted, before anything is.
    pub(crate) fn admit(&self, bytes: usize, own: Option<&dyn Evict>) -> Result<(), OverBudget> {
        let hopeless = |shortfall: Shortfall<'_, M>| {
            let evictable = shortfall.evictable(own);
            (shortfall.bytes() > evictable).then(|| (shortfall.bytes(), shortfall.refusal(evictable)))
        };
        match self.shortfalls(bytes).filter_map(hopeless).max_by_key(|&(short, _)| short) {
            Some((_, refusal)) => Err(refusal),
            None => Ok(()),
        }
    }
}

impl<M: Mode> Shortfall<'_, M> {
    /// Bytes that can be evicted inside the account that is short.
    pub(crate) fn evictable(&self, own: Option<&dyn Evict>) -> usize {
        match self.level {
            Level::Here(account) => account.evictable(own),
            #[cfg(feature = "alloc")]
            Level::Above(top, account) => top.evictable(own).saturating_add(account.evictable(None)),
        }
    }

    /// Evicts what was released longest ago inside the account that is short; above a local tree, of that tree before
    /// others, for their orders cannot be compared.
    pub(crate) fn evict_oldest(&self, own: Option<&dyn Evict>) -> Option<usize> {
        match self.level {
            Level::Here(account) => account.evict_oldest(own),
            #[cfg(feature = "alloc")]
            Level::Above(top, account) => top.evict_oldest(own).or_else(|| account.evict_oldest(None)),
        }
    }
}

impl<M: Mode> Claim<'_, M> {
    /// Claims `bytes` more, after evicting the fewest idle objects that make room, those released longest ago first,
    /// and only inside the account that refuses. Nothing is evicted if all of it together would not do. `own` is the
    /// pool that asks, if it is on no list.
    pub(crate) fn grow_making_room(
        &mut self,
        bytes: usize,
        own: Option<&dyn Evict>,
    ) -> Result<(), OverBudget> {
        while let Err(refused) = self.try_grow(bytes) {
            self.account().admit(bytes, own)?;
            let mut freed = 0usize;
            while freed < refused.bytes() {
                match refused.evict_oldest(own) {
                    Some(bytes) => freed = freed.saturating_add(bytes),
                    None => return Err(refused.refusal(refused.evictable(own))),
                }
            }
        }
        Ok(())
    }
}
