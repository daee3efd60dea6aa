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

#[cfg(feature = "alloc")]
use super::Reservation;
#[cfg(feature = "alloc")]
use super::evictors::ORDERED;
use super::mode::Mode;
use super::refusal::{Level, OverBudget, Shortfall};
use super::{Account, Claim, Crossed};
#[cfg(feature = "alloc")]
use crate::numbered::in_turn;

#[cfg(feature = "alloc")]
use crate::{
    sync::{
        AtomicBool, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
        THREADS,
    },
    wanted,
};
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
use alloc::sync::Weak as WeakArc;
#[cfg(feature = "alloc")]
use alloc::{boxed::Box, rc::Weak as WeakRc};

/// How often too little must be seen in a row. In models one look has to do, so that they see what it misses.
#[cfg(feature = "alloc")]
const LOOKS: usize = if cfg!(pool_core_loom) { 1 } else { 8 };

/// How often what is seen may be gone before it can be taken, until that is taken for a refusal.
const MOST_ROUNDS: usize = 64;

/// How many pools are asked for the one that gives before all are counted, and how many are taken off a list at once.
#[cfg(feature = "alloc")]
const FEW: usize = 8;

/// A pool's idle objects, as others under the same account see them. Called with nothing locked, and at any time
/// between two steps of the pool.
#[cfg_attr(not(feature = "alloc"), allow(unreachable_pub, reason = "part of `Mode` where there are lists"))]
pub trait Evict {
    /// The object that was released longest ago, of those that may be evicted now. Runs no user code, but for the end of a pool
    /// whose last handle goes meanwhile.
    ///
    /// Where nothing is [hidden](Oldest::hides) its stamp is not below what this said before, nor below what
    /// [`Account::now`] was when this said that there is none; but it is 0 while something there is only to be destroyed, which
    /// the account counts ([`Registration::note_doomed`]).
    #[cfg_attr(not(feature = "alloc"), allow(dead_code, reason = "there are no lists to compare by it"))]
    fn oldest(&self) -> Oldest;

    /// As [`evictable`](Self::evictable), but it may stop counting where there are `enough`.
    fn evictable_up_to(&self, enough: usize) -> usize {
        _ = enough;
        self.evictable()
    }

    /// Bytes of all objects that may be evicted now. Runs no user code.
    fn evictable(&self) -> usize;

    /// What the object that it would evict for room costs to make again, for each of its bytes; `None` of a pool that goes by
    /// age alone.
    #[cfg_attr(not(feature = "alloc"), allow(dead_code, reason = "there are no lists to compare by it"))]
    fn worth(&self) -> Option<u32> {
        None
    }

    /// Has what was in quarantine and is due become idle, since whoever is short could not see it. Reads the pool's clock, and
    /// destroys what is too old by then.
    #[cfg_attr(not(feature = "alloc"), allow(dead_code, reason = "there are no lists to ask"))]
    fn end_due(&self) {}

    /// Notes that its oldest object was passed over for a cheaper one of another pool.
    #[cfg_attr(not(feature = "alloc"), allow(dead_code, reason = "there are no lists to compare by it"))]
    fn pass_over(&self) {}

    /// Evicts that oldest object, or, for room, one that the pool would rather miss; its bytes, which it no longer holds.
    /// `None` if there is none any more.
    fn evict_oldest(&self, why: Cause) -> Option<usize>;
}

/// What a pool says of its idle objects.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "alloc"), allow(unreachable_pub, reason = "as `Evict`"))]
pub struct Oldest {
    /// The stamp of the one that was released longest ago, of those that may be evicted now.
    #[cfg_attr(not(feature = "alloc"), allow(dead_code, reason = "there are no lists to compare by it"))]
    pub(crate) stamp: Option<u64>,
    /// Whether there are others, perhaps older, that may be evicted later.
    #[cfg_attr(not(feature = "alloc"), allow(dead_code, reason = "as `stamp`"))]
    pub(crate) hides: bool,
}

/// What an idle object has to go for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(not(feature = "alloc"), allow(unreachable_pub, reason = "as `Evict`"))]
pub enum Cause {
    /// A new object, or [`make_room`](Account::make_room).
    Room,
    /// A hard limit that was lowered.
    #[cfg_attr(not(feature = "alloc"), allow(dead_code, reason = "there are no lists to evict from"))]
    Limit,
}

/// A pool's place on the lists of its account and those above; ends when dropped.
#[cfg(feature = "alloc")]
#[must_use = "dropping it ends the registration"]
pub(crate) struct Registration<M: Mode> {
    account: Account<M>,
    /// On all the lists.
    number: u64,
    /// Whether the pool has ever had objects in quarantine.
    quarantines: AtomicBool,
}

/// A pool on the lists.
#[cfg(feature = "alloc")]
type Evictor<M> = <M as Mode>::Counted<Box<<M as Mode>::Evictor>>;

#[cfg(feature = "alloc")]
impl<M: Mode> Registration<M> {
    /// The account whose tree it is in.
    pub(crate) fn account(&self) -> &Account<M> {
        &self.account
    }

    /// Before an object is kept in quarantine: whoever is short then asks whether it is due. O(1) but for the first time.
    pub(crate) fn note_quarantine(&self) {
        // Relaxed, as is the count of them: it is not due yet, and who looks at this moment need not know of it.
        if !self.quarantines.load(Relaxed) && M::flip(&self.quarantines, true) {
            let top = self.account.top();
            M::evictors(&top.0).with(|evictors| evictors.begin_to_quarantine(self.number));
            top.ledger().quarantining.fetch_add(1, Relaxed);
        }
    }

    /// Notes that the pool has so many objects more that are only to be destroyed, which go before anything of any pool.
    #[cfg(target_has_atomic = "ptr")]
    pub(crate) fn note_doomed(&self) {
        // Relaxed: who looks at this moment may miss it.
        self.account.levels().for_each(|level| _ = level.ledger().doomed.fetch_add(1, Relaxed));
    }

    /// Notes that so many of them are gone.
    #[cfg(target_has_atomic = "ptr")]
    pub(crate) fn note_doomed_gone(&self, count: usize) {
        self.account.levels().for_each(|level| _ = level.ledger().doomed.fetch_sub(count, Relaxed));
    }
}

#[cfg(feature = "alloc")]
impl<M: Mode> Drop for Registration<M> {
    fn drop(&mut self) {
        if !wanted::GIVING.is_set() {
            return;
        }
        for level in self.account.levels() {
            let ledger = level.ledger();
            let gone = M::evictors(&level.0).with(|evictors| {
                let gone = evictors.remove(self.number)?;
                ledger.giving.fetch_sub(1, Relaxed);
                Some(gone)
            });
            if let Some((_, true)) = gone {
                ledger.quarantining.fetch_sub(1, Relaxed);
            }
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
        wanted::GIVING.set();
        let evictor = M::counted(evictor);
        // All of a tree have the same top, so there its number is nobody else's.
        let number = M::evictors(&self.top().0).with(|evictors| evictors.next_number());
        for level in self.levels() {
            M::evictors(&level.0).with(|evictors| {
                evictors.insert(number, evictor.clone());
                level.ledger().giving.fetch_add(1, Relaxed);
            });
        }
        Registration { account: self.clone(), number, quarantines: AtomicBool::new(false) }
    }

    /// Whether pools of this tree give idle objects back, other than the one that asks, if it is on the lists.
    pub(crate) fn others_give(&self, listed: bool) -> bool {
        if !wanted::GIVING.is_set() {
            return false;
        }
        // Relaxed: a pool that comes or goes at this moment may be missed, or looked for in vain.
        let top = self.top();
        let here = top.ledger().giving.load(Relaxed);
        let above = M::above(&top.0).is_some_and(|credit| credit.account().others_give(false));
        here > usize::from(listed) || above
    }

    pub(super) fn top(&self) -> &Self {
        self.levels().last().unwrap_or(self)
    }

    /// The time of a release, in the order of releases of the whole tree; see the top of this file.
    pub(crate) fn stamp(&self) -> u64 {
        M::stamp(&self.top().0)
    }

    /// Divides the releases before from those after, in a shared tree.
    pub(crate) fn note_miss(&self) {
        if let Some(account) = M::as_shared(self) {
            account.top().ledger().epoch.fetch_add(1, Relaxed);
        }
    }

    /// Evicts idle objects of the pools that give back to one another, those released longest ago first and no more
    /// than needed, until `bytes` more would fit. Returns the bytes freed.
    ///
    /// Somebody else may take them before the caller does, but for [`reserve_making_room`](Self::reserve_making_room). Runs
    /// destructors. Cost: as of a pool's miss, see the table at [`KeyedPool`](crate::KeyedPool).
    ///
    /// # Errors
    ///
    /// [`OverBudget`] if they would not fit even if everything idle were evicted; then nothing is.
    pub fn make_room(&self, bytes: usize) -> Result<usize, OverBudget> {
        self.evict_until(0, bytes, None)
    }

    /// As [`try_reserve`](Self::try_reserve), but before it is refused idle objects of the pools that give back to one another make
    /// room, as for a pool's own new object: those released longest ago first, and no more than needed.
    ///
    /// ```
    /// use pool_core::{Account, KeyedPoolBuilder};
    /// use std::convert::Infallible;
    ///
    /// let page = Account::local("page", 1000);
    /// let tiles = KeyedPoolBuilder::new(|_: &u8| Ok::<_, Infallible>(vec![0u8; 400]));
    /// let tiles = tiles.estimate(|_| 424).account(page.clone()).build_rc();
    /// drop((tiles.acquire(&1)?, tiles.acquire(&2)?));
    /// assert!(page.try_reserve(500).is_err());
    /// let upload = page.reserve_making_room(500)?;
    /// assert_eq!((page.used(), tiles.stats().evicted), (924, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Runs destructors. Cost: as of a pool's miss, see the table at [`KeyedPool`](crate::KeyedPool).
    ///
    /// # Errors
    ///
    /// [`OverBudget`], with what is evictable, if they would not fit even if everything idle were evicted; then nothing is.
    pub fn reserve_making_room(&self, bytes: usize) -> Result<Reservation<Self>, OverBudget> {
        let mut claim = Claim::on(self);
        claim.grow_making_room(bytes, None)?;
        Ok(claim.into_reservation())
    }

    /// What pools that others can make give way have given back, ever: of a local tree, those of the shared tree that it is part
    /// of.
    fn given_back(&self) -> Option<&AtomicUsize> {
        let shared = M::as_shared(self).or_else(|| self.above()).filter(|_| THREADS);
        shared.map(|account| &account.top().ledger().given_back)
    }

    /// Has what is in quarantine and due become idle, in all pools of the tree that give back, and of the shared one that a
    /// local tree is part of.
    pub(crate) fn end_due(&self) {
        if wanted::QUARANTINE.is_set() {
            let top = self.top();
            if wanted::GIVING.is_set() && top.ledger().quarantining.load(Relaxed) != 0 {
                let list = M::evictors(&top.0);
                let next = |after| list.with(|evictors| evictors.quarantining_after(after));
                in_turn(next).for_each(|evictor| evictor.end_due());
            }
            if let Some(above) = self.above() {
                above.end_due();
            }
        }
    }

    /// The least that a stamp will be from now on.
    fn now(&self) -> u64 {
        M::now(&self.top().0)
    }

    /// Of the pools that give back at or below this account, the one whose oldest idle object was released longest ago, and its
    /// stamp. O(log pools), see [`Evictors`](super::evictors::Evictors); all are asked where something is doomed, where an object
    /// is being looked at that may be the oldest later, and before nobody is said to have any.
    fn first_to_give(&self) -> Option<(u64, Evictor<M>)> {
        self.first_within(usize::MAX).or_else(|| self.first_of_all())
    }

    /// The same, if it is found by asking no more than so many.
    fn first_within(&self, asks: usize) -> Option<(u64, Evictor<M>)> {
        // Relaxed: what is doomed at this moment goes the next time.
        if !ORDERED || !wanted::GIVING.is_set() || self.ledger().doomed.load(Relaxed) > 0 {
            return None;
        }
        let list = M::evictors(&self.0);
        let (mut look, mut next) = list.with(|evictors| {
            let mut look = evictors.look(asks);
            let next = evictors.next(&mut look);
            (look, next)
        });
        while let Some(candidate) = next {
            // Before the pool is asked: what becomes idle after it was is no older.
            let now = self.now();
            let Oldest { stamp, hides } = candidate.evictor.oldest();
            match stamp {
                _ if hides => break,
                Some(stamp) if stamp <= candidate.since => return Some((stamp, candidate.evictor)),
                _ => {}
            }
            next = list.with(|evictors| {
                evictors.note(look, &candidate, stamp.unwrap_or(now), stamp.is_none());
                evictors.next(&mut look)
            });
        }
        None
    }

    /// The same, and asks all of them.
    fn first_of_all(&self) -> Option<(u64, Evictor<M>)> {
        let mut first: Option<(u64, Evictor<M>)> = None;
        for evictor in self.evictors() {
            let Some(stamp) = evictor.oldest().stamp else { continue };
            if first.as_ref().is_none_or(|(first, _)| stamp < *first) {
                first = Some((stamp, evictor));
            }
        }
        first
    }

    /// Whether the asking pool, if it is on no list, and the one with the oldest idle object of the others have enough, as mostly,
    /// and few have to be asked to find that.
    fn first_gives(&self, enough: usize, own: Option<&dyn Evict>) -> bool {
        let Some(missing) = enough.checked_sub(own.map_or(0, |own| own.evictable_up_to(enough))) else {
            return true;
        };
        missing == 0
            || self.first_within(FEW).is_some_and(|(_, first)| first.evictable_up_to(missing) >= missing)
    }

    /// The pools that give back at or below this account, as they came.
    fn evictors(&self) -> impl Iterator<Item = Evictor<M>> {
        // Some at a time, so that the list is not locked for each.
        let mut some = [const { None }; FEW];
        let (mut last, mut next) = (0, FEW);
        core::iter::from_fn(move || {
            if !wanted::GIVING.is_set() {
                return None;
            }
            if next == FEW {
                M::evictors(&self.0).with(|evictors| evictors.after(&mut last, &mut some));
                next = 0;
            }
            next += 1;
            some[next - 1].take()
        })
    }
}

impl<M: Mode> Account<M> {
    /// Takes bytes off that were an idle object's until now, while its pool is locked if it has a lock, and notes it for who looks
    /// at the account and the pools one after the other; see [`admit`](Self::admit).
    // A page downloads each copy, so there it is not copied.
    #[cfg_attr(not(target_family = "wasm"), inline)]
    #[cfg_attr(target_family = "wasm", inline(never))]
    pub(crate) fn uncharge_noted(&self, bytes: usize) -> Crossed {
        let crossed = self.uncharge_quietly(bytes, false);
        #[cfg(feature = "alloc")]
        if THREADS
            && wanted::GIVING.is_set()
            && let Some(account) = M::as_shared(self)
        {
            let top = account.top().ledger();
            // Relaxed: whoever has a pool that is on the lists knows that there is one.
            if top.giving.load(Relaxed) > 0 {
                // Release: who reads it sees that the bytes are not in use any more.
                top.given_back.fetch_add(bytes, Release);
            }
        }
        crossed
    }

    /// The same, and raises the events of it.
    pub(crate) fn uncharge_idle(&self, bytes: usize) {
        if self.uncharge_noted(bytes).0 {
            self.watch();
        }
    }

    /// Bytes of idle objects at or below this account that can be evicted; with those of the asking pool, if it is
    /// not on the lists itself.
    pub(crate) fn evictable(&self, own: Option<&dyn Evict>) -> usize {
        self.evictable_up_to(usize::MAX, own)
    }

    /// The same, counted no further than where there are `enough`.
    fn evictable_up_to(&self, enough: usize, own: Option<&dyn Evict>) -> usize {
        let own = own.map_or(0, |own| own.evictable_up_to(enough));
        #[cfg(feature = "alloc")]
        let own = self.evictors().try_fold(own, |sum, evictor| match enough.checked_sub(sum) {
            None | Some(0) => Err(sum),
            Some(missing) => Ok(sum.saturating_add(evictor.evictable_up_to(missing))),
        });
        #[cfg(feature = "alloc")]
        let (Ok(own) | Err(own)) = own;
        own
    }

    /// Evicts the idle object at or below this account that was released longest ago, or one that its pool would rather
    /// miss; its bytes.
    pub(crate) fn evict_oldest(&self, own: Option<&dyn Evict>, why: Cause) -> Option<usize> {
        #[cfg(feature = "alloc")]
        // Again if somebody else took the object in between, but not for ever.
        for _ in 0..16 {
            let own_first = own.and_then(|own| own.oldest().stamp);
            let others = self.first_to_give();
            let whose = others.filter(|(stamp, _)| own_first.is_none_or(|own| *stamp < own));
            let whose = whose.map(|(_, evictor)| evictor);
            if own_first.is_none() && whose.is_none() {
                return None;
            }
            // What the asking pool has itself goes before anything of those on the lists, if it is not.
            let worth = whose.as_ref().and_then(|evictor| evictor.worth());
            let cheaper = if why == Cause::Room { self.cheaper_than(worth) } else { None };
            let freed = match (&cheaper, &whose) {
                (Some(evictor), _) | (None, Some(evictor)) => evictor.evict_oldest(why),
                (None, None) => own.and_then(|own| own.evict_oldest(why)),
            };
            if let (Some(_), Some(_), Some(passed)) = (freed, &cheaper, &whose) {
                passed.pass_over();
            }
            if freed.is_some() {
                return freed;
            }
        }
        #[cfg(not(feature = "alloc"))]
        if let Some(own) = own {
            return own.evict_oldest(why);
        }
        None
    }

    /// Of the pools that weigh what objects cost, the one whose next is worth less than that of the pool with the oldest
    /// object, if that one weighs it too; of several the least, and of those the one with the older object.
    #[cfg(feature = "alloc")]
    fn cheaper_than(&self, worth: Option<u32>) -> Option<Evictor<M>> {
        let mut least = (worth?, 0);
        let mut cheaper = None;
        for evictor in self.evictors() {
            let (Some(worth), Some(stamp)) = (evictor.worth(), evictor.oldest().stamp) else { continue };
            if worth < least.0 || worth == least.0 && stamp < least.1 {
                least = (worth, stamp);
                cheaper = Some(evictor);
            }
        }
        cheaper
    }

    /// Evicts the fewest idle objects, those released longest ago first and only inside the account that refuses, until
    /// `bytes` would fit in place of the `held` that are charged already. Nothing is evicted if all of it together would not
    /// do. `own` is the pool that asks, if it is on no list. Returns the bytes freed, which others may take first.
    pub(crate) fn evict_until(
        &self,
        held: usize,
        bytes: usize,
        own: Option<&dyn Evict>,
    ) -> Result<usize, OverBudget> {
        let mut freed = 0usize;
        let mut rounds = 0;
        loop {
            self.admit(held, bytes, own)?;
            loop {
                let Some(short) = self.shortfalls(held, bytes).next() else { return Ok(freed) };
                match short.evict_oldest(own) {
                    Some(bytes) => freed = freed.saturating_add(bytes),
                    // Others took it first, and what they had is there instead: that is looked at anew.
                    None if rounds < MOST_ROUNDS => break,
                    None => return Err(short.refusal(short.evictable(own))),
                }
            }
            rounds += 1;
        }
    }

    /// Refuses `bytes` in place of the `held` that are charged already, if they cannot fit whatever is evicted, before
    /// anything is.
    ///
    /// The account is looked at first and the pools after it, one by one, while other threads go on:
    ///
    /// - What a pool has given back in between is found neither free nor idle. So too little is believed only if it is too little
    ///   with that, too. Who looks again does so because others have given back.
    /// - An object may go from a pool that is still to come to one that was looked at. So too little is believed when it is seen
    ///   some times in a row.
    pub(crate) fn admit(&self, held: usize, bytes: usize, own: Option<&dyn Evict>) -> Result<(), OverBudget> {
        #[cfg(feature = "alloc")]
        self.end_due();
        #[cfg(feature = "alloc")]
        let given_back = self.given_back();
        #[cfg(feature = "alloc")]
        let (mut looks, given_back) = (
            if given_back.is_some() { LOOKS } else { 1 },
            // Acquire: what is counted here is not in use any more for who looks at that afterwards. For the second look the locks
            // of the pools see to it: who finds an object gone finds it counted.
            || given_back.map_or(0, |count| count.load(Acquire)),
        );
        #[cfg(not(feature = "alloc"))]
        let (mut looks, given_back) = (1, || 0_usize);
        #[cfg(feature = "alloc")]
        if self.shortfalls(held, bytes).all(|shortfall| shortfall.first_gives(own)) {
            return Ok(());
        }
        loop {
            let before = given_back();
            let (mut worst, mut lacking) = (None, 0);
            for shortfall in self.shortfalls(held, bytes) {
                // If it is less than enough it is all that there is.
                let evictable = shortfall.evictable_up_to(shortfall.bytes(), own);
                let lacks = shortfall.bytes().saturating_sub(evictable);
                lacking = lacking.max(lacks);
                if lacks > 0
                    && worst.is_none_or(|(worst, _): (Shortfall<'_, M>, usize)| {
                        worst.bytes() <= shortfall.bytes()
                    })
                {
                    worst = Some((shortfall, evictable));
                }
            }
            let Some((worst, evictable)) = worst else { return Ok(()) };
            if given_back().wrapping_sub(before) < lacking {
                looks -= 1;
                if looks == 0 {
                    return Err(worst.refusal(evictable));
                }
            }
            core::hint::spin_loop();
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

    /// See [`Account::first_gives`].
    #[cfg(feature = "alloc")]
    fn first_gives(&self, own: Option<&dyn Evict>) -> bool {
        match self.level {
            Level::Here(account) => account.first_gives(self.bytes(), own),
            Level::Above(..) => false,
        }
    }

    /// The same, counted no further than where there are `enough`.
    fn evictable_up_to(&self, enough: usize, own: Option<&dyn Evict>) -> usize {
        match self.level {
            Level::Here(account) => account.evictable_up_to(enough, own),
            #[cfg(feature = "alloc")]
            Level::Above(top, account) => {
                let here = top.evictable_up_to(enough, own);
                here.saturating_add(account.evictable_up_to(enough.saturating_sub(here), None))
            }
        }
    }

    /// Evicts what was released longest ago inside the account that is short; above a local tree, of that tree before
    /// others, for their orders cannot be compared.
    pub(crate) fn evict_oldest(&self, own: Option<&dyn Evict>) -> Option<usize> {
        match self.level {
            Level::Here(account) => account.evict_oldest(own, Cause::Room),
            #[cfg(feature = "alloc")]
            Level::Above(top, account) => {
                top.evict_oldest(own, Cause::Room).or_else(|| account.evict_oldest(None, Cause::Room))
            }
        }
    }
}

impl<M: Mode> Claim<'_, M> {
    /// Claims `bytes` more, after evicting what [`Account::evict_until`] does.
    pub(crate) fn grow_making_room(
        &mut self,
        bytes: usize,
        own: Option<&dyn Evict>,
    ) -> Result<(), OverBudget> {
        while self.try_grow(bytes).is_err() {
            let held = self.bytes();
            self.account().evict_until(held, held.saturating_add(bytes), own)?;
        }
        Ok(())
    }
}

/// A pool on the lists of its accounts, which do not keep it alive.
#[cfg(feature = "alloc")]
pub(crate) struct Member<W>(pub(crate) W);

#[cfg(feature = "alloc")]
macro_rules! gives_while_it_lives {
    ($weak:ident) => {
        impl<P: Evict> Evict for Member<$weak<P>> {
            fn oldest(&self) -> Oldest {
                self.0.upgrade().map_or(Oldest { stamp: None, hides: false }, |pool| pool.oldest())
            }
            fn evictable(&self) -> usize {
                self.0.upgrade().map_or(0, |pool| pool.evictable())
            }
            fn evictable_up_to(&self, enough: usize) -> usize {
                self.0.upgrade().map_or(0, |pool| pool.evictable_up_to(enough))
            }
            fn worth(&self) -> Option<u32> {
                self.0.upgrade()?.worth()
            }
            fn end_due(&self) {
                if let Some(pool) = self.0.upgrade() {
                    pool.end_due();
                }
            }
            fn pass_over(&self) {
                if let Some(pool) = self.0.upgrade() {
                    pool.pass_over();
                }
            }
            fn evict_oldest(&self, why: Cause) -> Option<usize> {
                self.0.upgrade()?.evict_oldest(why)
            }
        }
    };
}

#[cfg(feature = "alloc")]
gives_while_it_lives!(WeakRc);
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
gives_while_it_lives!(WeakArc);

#[cfg(test)]
#[cfg(feature = "std")]
mod tests {
    use super::*;
    use crate::account::{AccountBuilder, Local, Shared};
    use std::sync::{Arc, Mutex};
    use std::vec::Vec;

    /// Idle objects, those released longest ago first, and what was evicted.
    #[derive(Default)]
    struct Pool {
        idle: Mutex<Vec<(u64, usize)>>,
        charged: Mutex<usize>,
        /// How often it was asked what it has.
        asked: Mutex<usize>,
    }

    struct Handle<M: Mode>(Arc<Pool>, Account<M>);

    impl<M: Mode> Handle<M> {
        fn new(account: &Account<M>) -> Self {
            Self(Arc::default(), account.clone())
        }

        fn release(&self, bytes: usize) {
            let mut claim = Claim::on(&self.1);
            assert!(claim.try_grow(bytes).is_ok());
            claim.commit();
            *self.0.charged.lock().unwrap() += bytes;
            self.0.idle.lock().unwrap().push((self.1.stamp(), bytes));
        }

        fn left(&self) -> Vec<usize> {
            self.0.idle.lock().unwrap().iter().map(|&(_, bytes)| bytes).collect()
        }
    }

    impl<M: Mode> Evict for Handle<M> {
        fn oldest(&self) -> Oldest {
            *self.0.asked.lock().unwrap() += 1;
            Oldest { stamp: self.0.idle.lock().unwrap().first().map(|&(stamp, _)| stamp), hides: false }
        }

        fn evictable(&self) -> usize {
            *self.0.asked.lock().unwrap() += 1;
            self.left().iter().sum()
        }

        fn evict_oldest(&self, _: Cause) -> Option<usize> {
            let (_, bytes) = {
                let mut idle = self.0.idle.lock().unwrap();
                if idle.is_empty() { None } else { Some(idle.remove(0)) }
            }?;
            *self.0.charged.lock().unwrap() -= bytes;
            self.1.uncharge(bytes, false);
            Some(bytes)
        }
    }

    trait Kind: Mode {
        fn builder(name: &'static str) -> AccountBuilder<Self>;
        fn build(builder: AccountBuilder<Self>) -> Account<Self>;
        fn boxed(handle: Handle<Self>) -> Box<Self::Evictor>;
    }

    impl Kind for Shared {
        fn builder(name: &'static str) -> AccountBuilder {
            Account::builder(name)
        }
        fn build(builder: AccountBuilder) -> Account {
            builder.build()
        }
        fn boxed(handle: Handle<Self>) -> Box<dyn Evict + Send + Sync> {
            Box::new(handle)
        }
    }

    impl Kind for Local {
        fn builder(name: &'static str) -> AccountBuilder<Self> {
            Account::local_builder(name)
        }
        fn build(builder: AccountBuilder<Self>) -> Account<Self> {
            builder.build()
        }
        fn boxed(handle: Handle<Self>) -> Box<dyn Evict> {
            Box::new(handle)
        }
    }

    fn registered<M: Kind>(account: &Account<M>) -> (Handle<M>, Registration<M>) {
        let handle = Handle::new(account);
        let same = Handle(Arc::clone(&handle.0), account.clone());
        (handle, account.register(M::boxed(same)))
    }

    /// A root of 100, and below it two accounts, the first of 60.
    fn tree<M: Kind>() -> [Account<M>; 3] {
        let root = M::build(M::builder("root").hard_limit(100));
        let one = M::build(M::builder("one").parent(&root).hard_limit(60));
        let two = M::build(M::builder("two").parent(&root));
        [root, one, two]
    }

    /// Whatever was released is older than what comes now, in either mode.
    fn later<M: Mode>(account: &Account<M>) {
        account.note_miss();
    }

    // An order within each pool only; objects of a pool outside the account that refuses; more than is needed.
    fn a_miss_evicts_the_oldest_of_all_pools_at_or_below_the_account_that_refuses<M: Kind>() {
        let [root, one, two] = tree::<M>();
        let ((a, _a), (b, _b), (c, _c)) = (registered(&one), registered(&two), registered(&root));
        for (pool, bytes) in [(&b, 10), (&a, 20), (&c, 5), (&b, 11), (&a, 21)] {
            pool.release(bytes);
            later(&root);
        }
        // `one` is short by 1: its own oldest, although another's is older.
        let mut claim = Claim::on(&one);
        assert!(claim.grow_making_room(20, None).is_ok());
        assert_eq!((a.left(), b.left(), c.left()), (Vec::from([21]), Vec::from([10, 11]), Vec::from([5])));
        // The root is short by 16: the oldest of all, then the next; `two` has no limit.
        let mut other = Claim::on(&two);
        assert_eq!(root.used(), 67);
        assert!(other.grow_making_room(49, None).is_ok());
        assert_eq!((a.left(), b.left(), c.left()), (Vec::from([21]), Vec::from([]), Vec::from([])));
        assert_eq!((root.used(), one.used(), two.used()), (90, 41, 49));
        drop((claim, other));
        assert_eq!(root.used(), 21);
    }

    // All pools asked for each object that goes, or all counted for each that is to come.
    fn few_of_many_pools_are_asked<M: Kind>() {
        let root = M::build(M::builder("root").hard_limit(2000));
        let pools: Vec<_> = (0..100).map(|_| registered(&root)).collect();
        // Every other one has something, and all of them together just as much as there may be.
        for (nth, (pool, _)) in pools.iter().enumerate().filter(|(nth, _)| nth % 2 == 1) {
            pool.release(if nth < 50 { 30 } else { 50 });
            later(&root);
        }
        let asked =
            || pools.iter().map(|(pool, _)| core::mem::take(&mut *pool.0.asked.lock().unwrap())).sum();
        let mut claim = Claim::on(&root);
        assert!(claim.grow_making_room(30, None).is_ok() && claim.grow_making_room(30, None).is_ok());
        let first: usize = asked();
        assert!(first <= 300, "each may be asked for the first time: {first}");
        for nth in 0..9 {
            assert!(claim.grow_making_room(30, None).is_ok());
            let more: usize = asked();
            assert!(more <= 8, "{more} at {nth}");
        }
        assert!(pools[..22].iter().all(|(pool, _)| pool.left().is_empty()) && pools[23].0.left() == [30]);
        // The limit that is lowered asks once for each, too.
        assert_eq!(root.set_hard_limit(root.used() - 300), 0);
        let lowered: usize = asked();
        assert!(lowered <= 80, "{lowered}");
    }

    // Small objects thrown away for a large one that cannot fit anyway; a level whose shortage another's objects hide.
    fn nothing_is_evicted_for_what_cannot_fit<M: Kind>() {
        let [root, one, two] = tree::<M>();
        let ((a, _a), (b, _b)) = (registered(&one), registered(&two));
        a.release(10);
        b.release(70);
        let mut held = Claim::on(&one);
        assert!(held.try_grow(20).is_ok());
        // 60 - 20 leaves 40 in `one`, however much `two` could give.
        for (bytes, evictable) in [(41, 10), (usize::MAX, 10)] {
            let Err(refusal) = held.grow_making_room(bytes, None) else { panic!("a limit was passed") };
            assert!(refusal.evictable == Some(evictable) || refusal.account == root, "{refusal}");
            assert_eq!((a.left().len(), b.left().len(), root.used()), (1, 1, 100));
            assert!(one.admit(0, bytes, None).is_err());
        }
        // The root refuses: it counts all below it.
        let refusal = two.admit(0, 81, None).unwrap_err();
        assert_eq!((refusal.account.name(), refusal.free, refusal.evictable), ("root", 0, Some(80)));
        assert!(two.admit(0, 80, None).is_ok());
        // Both are short; each of what is inside it.
        assert!(held.grow_making_room(40, None).is_ok());
        assert_eq!((a.left().len(), b.left().len(), root.used()), (0, 0, 60));
    }

    // A pool that asks and is on no list: its own objects forgotten, or taken before older ones.
    fn a_pool_that_is_not_listed_gives_its_own<M: Kind>() {
        let [root, one, two] = tree::<M>();
        let (a, _a) = registered(&one);
        let own = Handle::new(&two);
        own.release(30);
        later(&root);
        a.release(40);
        later(&root);
        own.release(30);
        assert_eq!((root.evictable(Some(&own)), root.evictable(None), two.evictable(None)), (100, 40, 0));
        let mut claim = Claim::on(&two);
        assert!(claim.grow_making_room(40, Some(&own)).is_ok());
        assert_eq!((own.left(), a.left()), (Vec::from([30]), Vec::from([])));
        assert!(claim.grow_making_room(31, Some(&own)).is_ok());
        assert_eq!((own.left().len(), root.used()), (0, 71));
        let Err(refusal) = claim.grow_making_room(30, Some(&own)) else { panic!("a limit was passed") };
        assert_eq!(refusal.evictable, Some(0));
    }

    // A pool that is asked after it is gone, or that another's end takes off the list.
    fn a_registration_ends_when_dropped<M: Kind>() {
        let [root, one, two] = tree::<M>();
        let ((a, first), (b, second)) = (registered(&one), registered(&two));
        a.release(10);
        b.release(20);
        assert_eq!((root.evictable(None), one.evictable(None)), (30, 10));
        drop(first);
        assert_eq!((root.evictable(None), one.evictable(None)), (20, 0));
        assert_eq!((root.make_room(100).unwrap_err().evictable, root.used()), (Some(20), 30));
        drop(second);
        assert_eq!(root.evictable(None), 0);
        // The list held nothing of the pools any more.
        assert_eq!((Arc::strong_count(&a.0), Arc::strong_count(&b.0)), (1, 1));
    }

    fn lowering_the_hard_limit_evicts_idle_objects<M: Kind>() {
        let [root, one, two] = tree::<M>();
        let ((a, _a), (b, _b)) = (registered(&one), registered(&two));
        for _ in 0..3 {
            a.release(10);
            later(&root);
            b.release(10);
            later(&root);
        }
        let claim = two.try_reserve(15).unwrap();
        // 75 in use.
        assert_eq!(root.set_hard_limit(55), 0);
        assert_eq!((a.left().len(), b.left().len(), root.used()), (2, 2, 55));
        // Only what is inside the account whose limit it is.
        assert_eq!((one.set_hard_limit(0), a.left().len(), b.left().len()), (0, 0, 2));
        assert_eq!((root.set_hard_limit(5), b.left().len()), (10, 0));
        drop(claim);
    }

    // Room that is made for the caller and not told, or made when there is enough.
    fn make_room_evicts_no_more_than_is_needed<M: Kind>() {
        let [root, one, _] = tree::<M>();
        let (a, _a) = registered(&one);
        for _ in 0..3 {
            a.release(20);
        }
        assert_eq!((root.make_room(40), a.left().len()), (Ok(0), 3));
        assert_eq!((root.make_room(41), a.left().len()), (Ok(20), 2));
        assert_eq!((one.make_room(60), a.left().len()), (Ok(40), 0));
        assert!(one.make_room(61).is_err());
    }

    // A pool that says it has something and then has not, for ever.
    fn a_pool_that_never_gives_is_asked_so_often_and_no_more<M: Kind>() {
        struct Miser<M: Mode>(Account<M>);
        impl<M: Mode> Evict for Miser<M> {
            fn oldest(&self) -> Oldest {
                Oldest { stamp: Some(0), hides: false }
            }
            fn evictable(&self) -> usize {
                50
            }
            fn evict_oldest(&self, _: Cause) -> Option<usize> {
                None
            }
        }
        let [root, _, two] = tree::<M>();
        let miser = Miser(root);
        let mut claim = Claim::on(&two);
        assert!(claim.try_grow(90).is_ok());
        let Err(refusal) = claim.grow_making_room(20, Some(&miser)) else { panic!("a limit was passed") };
        assert_eq!(
            (refusal.requested, refusal.free, refusal.evictable, miser.0.used()),
            (110, 100, Some(50), 90)
        );
    }

    // Others are faster again and again, and a refusal is what comes of it although there is enough.
    fn what_others_take_first_is_looked_for_again<M: Kind>() {
        /// Gives at the fortieth time of asking.
        struct Late<M: Mode>(Handle<M>, std::cell::Cell<usize>);
        impl<M: Mode> Evict for Late<M> {
            fn oldest(&self) -> Oldest {
                self.0.oldest()
            }
            fn evictable(&self) -> usize {
                self.0.evictable()
            }
            fn evict_oldest(&self, why: Cause) -> Option<usize> {
                self.1.set(self.1.get() + 1);
                if self.1.get() < 40 { None } else { self.0.evict_oldest(why) }
            }
        }
        let [root, _, two] = tree::<M>();
        let late = Late(Handle::new(&two), std::cell::Cell::new(0));
        late.0.release(60);
        let mut claim = Claim::on(&two);
        assert!(claim.grow_making_room(50, Some(&late)).is_ok());
        assert_eq!((late.1.get(), root.used()), (40, 50));
    }

    // Levels that ask for less than is over, or for what is over a soft limit whose pressure is past.
    fn excess_is_what_must_go_for_every_level_to_be_well<M: Kind>() {
        let root = M::build(M::builder("root").hard_limit(100).soft_limit(80).low_watermark(50));
        let leaf = M::build(M::builder("leaf").parent(&root));
        let mut claim = leaf.try_reserve(80).unwrap();
        assert_eq!((leaf.excess(), root.excess()), (0, 0));
        claim.try_grow(1).unwrap();
        assert_eq!((leaf.excess(), root.excess()), (31, 31));
        root.set_hard_limit(40);
        assert_eq!(leaf.excess(), 41);
        root.set_soft_limit(1000);
        assert_eq!(leaf.excess(), 41);
        leaf.set_hard_limit(30);
        assert_eq!((leaf.excess(), root.excess()), (51, 41));
        assert_eq!(leaf.shortfall(2).map(|short| (short.bytes(), short.used)), Some((53, 81)));
        assert!(leaf.shortfalls(0, 2).map(|short| short.bytes()).eq([53, 43]));
        drop(claim);
        assert_eq!(leaf.shortfall(usize::MAX).map(|short| short.bytes()), Some(usize::MAX - 30));
        assert!(leaf.shortfall(30).is_none());
    }

    macro_rules! both {
        ($($test:ident),* $(,)?) => {
            mod shared {
                $(#[test]
                fn $test() {
                    super::$test::<super::Shared>();
                })*
            }
            mod local {
                $(#[test]
                fn $test() {
                    super::$test::<super::Local>();
                })*
            }
        };
    }

    both!(
        a_miss_evicts_the_oldest_of_all_pools_at_or_below_the_account_that_refuses,
        nothing_is_evicted_for_what_cannot_fit,
        few_of_many_pools_are_asked,
        a_pool_that_is_not_listed_gives_its_own,
        a_registration_ends_when_dropped,
        lowering_the_hard_limit_evicts_idle_objects,
        make_room_evicts_no_more_than_is_needed,
        a_pool_that_never_gives_is_asked_so_often_and_no_more,
        what_others_take_first_is_looked_for_again,
        excess_is_what_must_go_for_every_level_to_be_well,
    );

    // Releases that share a number, or a shared one that counts by itself.
    #[test]
    fn stamps_order_releases() {
        let [root, one, two] = tree::<Local>();
        assert_eq!([one.stamp(), two.stamp(), root.stamp(), one.stamp()], [1, 2, 3, 4]);
        let [root, one, two] = tree::<Shared>();
        assert_eq!([one.stamp(), two.stamp(), root.stamp()], [0; 3]);
        one.note_miss();
        assert_eq!([one.stamp(), two.stamp(), root.stamp()], [1; 3]);
    }

    // A shared account above that is short: only one of the two trees asked, or the wrong one first.
    #[test]
    fn a_local_tree_gives_to_the_shared_account_above_before_others() {
        let server = Account::new("server", 100);
        let page = Account::local_builder("page").credit(server.credit(8)).build();
        let ((a, _a), (b, _b)) = (registered(&page), registered(&server));
        b.release(40);
        later(&server);
        a.release(40);
        let mut claim = Claim::on(&page);
        let refusal = page.admit(0, 101, None).unwrap_err();
        assert!(refusal.account == server && refusal.evictable == Some(80) && refusal.free == 20);
        assert!(claim.grow_making_room(50, None).is_ok());
        assert_eq!((a.left().len(), b.left().len(), server.used()), (0, 1, 90));
        assert!(claim.grow_making_room(50, None).is_ok());
        assert_eq!((b.left().len(), server.used(), page.used()), (0, 100, 100));
        // A miss elsewhere cannot reach into a local tree.
        drop(claim);
        a.release(60);
        assert_eq!((server.evictable(None), server.make_room(41).unwrap_err().evictable), (0, Some(0)));
    }
}
