//! An acquire that finds nothing idle: admit, evict, reserve, create.

use super::state::{Class, Cost, State};
use super::{Gone, KeyedPool};
use crate::account::{Cause, Claim, Evict, Mode, Oldest, OverBudget};
use crate::clock::Clock;
use crate::create::{Room, make};
use crate::error::AcquireError;
use crate::exclusive::Exclusive as _;
use crate::held::Held;
use crate::lease::Lease;
use crate::lifecycle::{Factory, Resetter};
use crate::observe::{Eviction, Observer, Refusal, Removal};
use crate::slots::{Cells as _, Storage};
use crate::unwind::Outgoing;
use core::hash::Hash;
use core::mem;
use core::panic::Location;
use core::ptr::NonNull;

impl<K, F, R, C, S, O, M> KeyedPool<K, F, R, C, S, O, M>
where
    K: Hash + Eq + Clone,
    F: Factory<K>,
    R: Resetter<F::Object>,
    C: Clock,
    S: Storage,
    O: Observer<K>,
    M: Mode,
{
    /// Makes a new object idle that nobody has used, so that there is nothing to reset. The time of its creation counts as that
    /// of its release. Meanwhile the pool may have been closed, or others may have released objects of its key.
    pub(super) fn shelve_unused(&self, slot: u32) {
        let created = self.state.lock().metas[slot as usize].created;
        // SAFETY: the slot is this call's, as a lease's would be.
        let _ = unsafe { self.shelve(slot, created) };
    }

    /// Tells of a new object in a slot that the caller holds, before anybody can evict it. It is idle if the observer panics.
    pub(super) fn tell_created(&self, key: &K, slot: u32, bytes: usize) {
        if O::listens() {
            let telling = Held { pool: self, slot, abandon: Self::shelve_unused };
            self.observer.created(key, bytes);
            mem::forget(telling);
        }
    }

    /// What follows when nothing is idle. Not `#[cold]`: where objects are evicted this is a good part of the work.
    #[inline(never)]
    pub(super) fn acquire_miss(
        &self,
        key: &K,
        hash: u64,
        site: &'static Location<'static>,
    ) -> Result<Lease<&Self>, AcquireError<F::Error>> {
        // What is in quarantine may be due by now.
        if self.end_quarantines()
            && let Some((slot, object)) = self.take_idle_attentively(key, hash, site)
        {
            // SAFETY: the slot was just marked as leased, for this lease; `&self` keeps its object in place.
            return Ok(unsafe { Lease::at(self, slot, object) });
        }
        #[cfg(feature = "alloc")]
        if let Some(registration) = self.registration() {
            registration.account().note_miss();
        }
        let result = self.create_slot(key, hash, Room::MayEvict);
        if O::listens()
            && let Err(error) = &result
        {
            self.observer.refused(key, refusal(error));
        }
        let (slot, object, bytes) = result?;
        self.tell_created(key, slot, bytes);
        if let Some(sampling) = self.sampling() {
            let timing = Held { pool: self, slot, abandon: Self::abandon_reset };
            let now = self.clock.now();
            mem::forget(timing);
            self.state.lock().watch.leased(sampling, slot, now, site);
        }
        // SAFETY: the slot was just made and marked as leased, for this lease; `&self` keeps its object in place.
        Ok(unsafe { Lease::at(self, slot, object) })
    }

    /// Makes an object of `key`, in a slot that is marked as leased.
    pub(super) fn create_slot(
        &self,
        key: &K,
        hash: u64,
        room: Room,
    ) -> Result<(u32, NonNull<F::Object>, usize), AcquireError<F::Error>> {
        let estimate = self.factory.estimate(key);
        let mut claim = self.account.as_ref().map(Claim::on);
        let pending = self.begin_create(key, hash, estimate, &mut claim, room)?;
        let (making, bytes) = make(&self.factory, key, &mut claim, |claim, more| {
            self.grow(claim, claim.bytes().saturating_add(more), room)
        })?;
        let cost = match self.limits.window() {
            1 => Cost::NONE,
            _ => Cost::new(self.factory.cost(key, making.object())),
        };
        let now = self.now();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.closed {
            drop(guard);
            drop(pending);
            drop(making);
            return Err(AcquireError::Closed);
        }
        let slot = pending.slot;
        mem::forget(pending);
        let cell = self.cells.at(slot);
        // SAFETY: the slot was reached and vacant when it was marked as pending, for this caller alone.
        unsafe { cell.fill(making.into_object()) };
        if let Some(claim) = claim {
            claim.commit();
        }
        state.end_create(slot, bytes, cost, now);
        if room == Room::MayEvict {
            state.note_leased();
        }
        Ok((slot, cell.object(), bytes))
    }

    /// Marks a slot as pending and claims its bytes, after evicting what stands in the way of either; refuses before
    /// anything is evicted if all that is idle would not suffice.
    #[inline(always)]
    fn begin_create(
        &self,
        key: &K,
        hash: u64,
        estimate: usize,
        claim: &mut Option<Claim<'_, M>>,
        room: Room,
    ) -> Result<Held<'_, Self>, AcquireError<F::Error>> {
        let mut first = true;
        // Whether it is known that it fits if others give, too.
        let mut admitted = false;
        loop {
            // Outlives the guard, should a key's `Eq` or `Clone` panic: a destructor may use the pool.
            let mut victim = None;
            let mut guard = self.state.lock();
            let state = &mut *guard;
            if state.closed {
                return Err(AcquireError::Closed);
            }
            if mem::take(&mut first) && room == Room::MayEvict {
                state.misses += 1;
            }
            // Where each key may have any number, nobody need look.
            if self.limits.max_per_key != usize::MAX {
                let class = state.class_of(key, hash);
                self.admit_key(class.map(|class| &state.classes[class as usize]))?;
            }
            let idle = match room {
                Room::MayEvict => state.idle,
                Room::AsItIs => 0,
            };
            let objects = state.occupied + state.pending;
            let max_objects = self.limits.max_objects::<S>();
            if max_objects.is_some_and(|most| objects >= most.saturating_add(idle)) {
                return Err(self.exhausted(state));
            }
            let full = max_objects.is_some_and(|most| objects >= most);
            let short = match claim {
                Some(claim) if full => claim.shortfall(estimate).map(|short| short.bytes()),
                Some(claim) => claim.fill(estimate).err(),
                None => None,
            };
            let mut ready = !full && short.is_none();
            if !ready {
                let others = short.is_some() && room == Room::MayEvict && self.others_give();
                if others && !(full && admitted) {
                    drop(guard);
                    if let Some(claim) = claim {
                        // Of a full pool one goes anyway, which may be all that has to.
                        match full {
                            true => claim.account().admit(claim.bytes(), estimate, self.unlisted()),
                            false => self.evict_anywhere(claim, estimate),
                        }
                        .map_err(AcquireError::OverBudget)?;
                    }
                    admitted = true;
                    continue;
                }
                let evictable = self.evictable(state, room);
                // To charge calls back what was lent, which may be all that is missing.
                if short > evictable && !others && !(full && funded(claim, estimate)) {
                    match refusal_of(claim, estimate, evictable) {
                        Some(refusal) => return Err(AcquireError::OverBudget(refusal)),
                        None => continue,
                    }
                }
                let Some(gone) = self.take_victim(state, claim.as_mut()) else {
                    // Only what `retain` is looking at is idle.
                    return Err(match refusal_of(claim, estimate, evictable) {
                        Some(refusal) => AcquireError::OverBudget(refusal),
                        None => self.exhausted(state),
                    });
                };
                // Now a slot is free, as there are never more objects than there may be. What is known not to do need not
                // be tried.
                ready = short.is_none_or(|short| gone.left.bytes >= short) && funded(claim, estimate);
                victim = Some(gone);
            }
            // What the victim held and is not needed is for others, before they can see that it is not idle any more.
            if let (true, Some(_), Some(claim)) = (ready, &victim, claim.as_mut()) {
                claim.give_back_above(estimate);
            }
            let entered = ready.then(|| self.enter(state, key, hash));
            drop(guard);
            // Counted as pending before any user code runs, and no more if that panics.
            let entered = entered
                .map(|entered| entered.map(|slot| Held { pool: self, slot, abandon: Self::cancel_create }));
            let mut settle = || {
                if let (Some(_), Some(claim)) = (&entered, claim.as_mut()) {
                    claim.settle(estimate);
                }
            };
            match victim {
                Some(victim) => self.destroy_victim(victim, settle),
                None => settle(),
            }
            if let Some(entered) = entered {
                return entered;
            }
        }
    }

    /// Marks a slot as pending.
    #[inline(always)]
    fn enter(&self, state: &mut State<K, S>, key: &K, hash: u64) -> Result<u32, AcquireError<F::Error>> {
        let class = state.class_of(key, hash);
        match state.vacant_slot(&self.cells) {
            Some(slot) if state.begin_create(slot, class, key, hash) => Ok(slot),
            _ => Err(self.exhausted(state)),
        }
    }

    /// `None`, which is less than any shortage, if nothing may go.
    fn evictable(&self, state: &State<K, S>, room: Room) -> Option<usize> {
        match room {
            Room::MayEvict => Some(state.evictable()),
            Room::AsItIs => None,
        }
    }

    /// Whether this pool is among those that give idle objects back.
    fn is_listed(&self) -> bool {
        #[cfg(feature = "alloc")]
        return self.registration().is_some();
        #[cfg(not(feature = "alloc"))]
        false
    }

    /// Whether other pools give idle objects back, so that room is to be made by the oldest of all.
    fn others_give(&self) -> bool {
        #[cfg(feature = "alloc")]
        if let Some(account) = &self.account {
            return account.others_give(self.is_listed());
        }
        false
    }

    /// This pool, if it is not among those that give back and yet has idle objects of its own.
    fn unlisted(&self) -> Option<&dyn Evict> {
        if self.is_listed() { None } else { Some(self) }
    }

    /// Evicts the objects that were released longest ago among the pools that give back inside the account that refuses, and
    /// this one, until the claim fits; nothing if all of them would not do.
    #[cold]
    fn evict_anywhere(&self, claim: &Claim<'_, M>, total: usize) -> Result<(), OverBudget> {
        claim.account().evict_until(claim.bytes(), total, self.unlisted()).map(drop)
    }

    fn admit_key(&self, class: Option<&Class<K>>) -> Result<(), AcquireError<F::Error>> {
        let (leased, objects) = class.map_or((0, 0), |class| (class.objects - class.idle, class.objects));
        let max_per_key = self.limits.max_per_key;
        if objects < max_per_key { Ok(()) } else { Err(AcquireError::KeyExhausted { leased, max_per_key }) }
    }

    #[cold]
    fn exhausted(&self, state: &State<K, S>) -> AcquireError<F::Error> {
        AcquireError::Exhausted {
            leased: state.leased() + state.pending,
            max_objects: self.limits.max_objects,
        }
    }

    /// Takes an idle object out to make room. Its bytes stay charged, and are the claim's from now on.
    // A page downloads each copy, so there it is not copied.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    fn take_victim(
        &self,
        state: &mut State<K, S>,
        claim: Option<&mut Claim<'_, M>>,
    ) -> Option<Gone<K, F::Object>> {
        let slot = state.victim(self.limits.window())?;
        let gone = self.remove_here(state, slot, Removal::Evicted(Eviction::Room));
        if let Some(claim) = claim {
            claim.take_over(gone.left.bytes);
        }
        Some(gone)
    }

    /// Destroys what had to go to make room, and whose bytes are the claim's. The claim settles before the destructor takes its
    /// time, and after the observer was told: an event handler may panic.
    #[inline(always)]
    fn destroy_victim(&self, victim: Gone<K, F::Object>, settle: impl FnOnce()) {
        let Gone { object, left, crossed: _ } = victim;
        let object = Outgoing::new(object);
        if let Some((key, why)) = &left.told {
            self.observer.removed(key, left.bytes, *why);
        }
        settle();
        drop(object.into_inner());
    }

    fn cancel_create(&self, slot: u32) {
        let key = self.state.lock().cancel(slot);
        drop(key); // user code, so only now
    }

    /// Claims bytes until there are `total`, evicting the fewest objects that make room if there are enough of them.
    fn grow(&self, claim: &mut Claim<'_, M>, total: usize, room: Room) -> Result<(), OverBudget> {
        while let Err(short) = claim.fill(total) {
            if room == Room::MayEvict && self.others_give() {
                self.evict_anywhere(claim, total)?;
                continue;
            }
            // As in `begin_create`.
            let mut filled = false;
            let (evictable, victim) = {
                let mut state = self.state.lock();
                let evictable = self.evictable(&state, room);
                let enough = Some(short) <= evictable;
                let victim = if enough { self.take_victim(&mut state, Some(claim)) } else { None };
                if victim.is_some() && claim.fill(total).is_ok() {
                    filled = true;
                    claim.give_back_above(total);
                }
                (evictable, victim)
            };
            match victim {
                Some(victim) => {
                    self.destroy_victim(victim, || {
                        if filled {
                            claim.settle(total);
                        }
                    });
                    if filled {
                        return Ok(());
                    }
                }
                None => {
                    if let Some(short) = claim.shortfall(total) {
                        return Err(short.refusal(evictable));
                    }
                }
            }
        }
        claim.settle(total);
        Ok(())
    }
}

/// Claims the bytes of an object; true for a pool that has no account.
fn funded<M: Mode>(claim: &mut Option<Claim<'_, M>>, total: usize) -> bool {
    claim.as_mut().is_none_or(|claim| claim.fill(total).is_ok())
}

/// What is to be said of bytes that do not fit; `None` if they do by now.
#[cold]
fn refusal_of<M: Mode>(
    claim: &Option<Claim<'_, M>>,
    total: usize,
    evictable: Option<usize>,
) -> Option<OverBudget> {
    Some(claim.as_ref()?.shortfall(total)?.refusal(evictable))
}

pub(super) fn refusal<E>(error: &AcquireError<E>) -> Refusal<'_> {
    match error {
        AcquireError::Closed => Refusal::Closed,
        AcquireError::KeyExhausted { .. } => Refusal::KeyExhausted,
        AcquireError::OverBudget(refusal) => Refusal::OverBudget(refusal),
        AcquireError::Create(_) => Refusal::Create,
        AcquireError::Exhausted { .. } | AcquireError::TimedOut { .. } => Refusal::Exhausted,
    }
}

/// What others under the same account may take.
impl<K, F, R, C, S, O, M> Evict for KeyedPool<K, F, R, C, S, O, M>
where
    K: Hash + Eq + Clone,
    F: Factory<K>,
    R: Resetter<F::Object>,
    C: Clock,
    S: Storage,
    O: Observer<K>,
    M: Mode,
{
    fn oldest(&self) -> Oldest {
        let mut state = self.state.lock();
        let oldest = state.oldest();
        Oldest {
            stamp: oldest.map(|slot| state.metas[slot as usize].stamp),
            hides: oldest != state.recent.oldest(),
        }
    }

    fn evictable(&self) -> usize {
        self.state.lock().evictable()
    }

    fn worth(&self) -> Option<u32> {
        let window = self.limits.window();
        if window <= 1 {
            return None;
        }
        self.state.lock().least_worth(window).map(|(worth, _)| worth)
    }

    fn end_due(&self) {
        _ = self.end_quarantines();
    }

    fn pass_over(&self) {
        let mut state = self.state.lock();
        if let Some(slot) = state.oldest() {
            let meta = &mut state.metas[slot as usize];
            meta.passed_over = meta.passed_over.saturating_add(1);
        }
    }

    fn evict_oldest(&self, why: Cause) -> Option<usize> {
        let (window, why) = match why {
            Cause::Room => (self.limits.window(), Eviction::Room),
            Cause::Limit => (1, Eviction::Asked),
        };
        let gone = {
            let mut state = self.state.lock();
            let slot = state.victim(window)?;
            self.remove(&mut state, slot, Removal::Evicted(why))
        };
        let bytes = gone.left.bytes;
        self.destroy(gone);
        Some(bytes)
    }
}
