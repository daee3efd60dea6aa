//! An acquire that finds nothing idle: admit, evict, reserve, create.

use super::state::{Class, Left, State, Worth};
use super::{KeyedPool, Room};
use crate::account::{Claim, OverBudget};
use crate::clock::Clock;
use crate::create::{Made, make};
use crate::error::AcquireError;
use crate::exclusive::Exclusive as _;
use crate::held::Held;
use crate::lease::Lease;
use crate::lifecycle::{Factory, Resetter};
use crate::observe::{Eviction, Observer, Refusal, Removal};
use crate::slots::{Cells as _, Storage};
use core::hash::Hash;
use core::mem;
use core::panic::Location;
use core::ptr::NonNull;

/// What had to go to make room: destroyed when nothing is locked.
struct Victim<K, T> {
    object: T,
    left: Left<K>,
}

impl<K, F, R, C, S, O> KeyedPool<K, F, R, C, S, O>
where
    K: Hash + Eq + Clone,
    F: Factory<K>,
    R: Resetter<F::Object>,
    C: Clock,
    S: Storage,
    O: Observer<K>,
{
    #[cold]
    #[inline(never)]
    pub(super) fn acquire_miss(
        &self,
        key: &K,
        hash: u64,
        site: &'static Location<'static>,
    ) -> Result<Lease<&Self>, AcquireError<F::Error>> {
        let (slot, object, fresh) = self.miss_slot(key, hash, site)?;
        // SAFETY: the slot was just made and marked as leased, for this lease; `&self` keeps its object in place.
        let lease = unsafe { Lease::at(self, slot, object) };
        if let (true, Some(bytes)) = (O::LISTENS, fresh) {
            // Now that the lease would bring the object back, should this panic.
            self.observer.created(key, bytes);
        }
        Ok(lease)
    }

    /// A slot that is marked as leased, its object, and the bytes of that if it is new.
    pub(super) fn miss_slot(
        &self,
        key: &K,
        hash: u64,
        site: &'static Location<'static>,
    ) -> Result<(u32, NonNull<F::Object>, Option<usize>), AcquireError<F::Error>> {
        // What is in quarantine may be due by now.
        if self.end_quarantines()
            && let Some((slot, object)) = self.take_idle(key, hash, site)
        {
            return Ok((slot, object, None));
        }
        let result = self.create_slot(key, hash, Room::MayEvict);
        if O::LISTENS
            && let Err(error) = &result
        {
            self.observer.refused(key, refusal(error));
        }
        let (slot, object, bytes) = result?;
        if let Some(sampling) = self.sampling {
            let now = self.clock.now();
            self.state.lock().watch.leased(sampling, slot, now, site);
        }
        Ok((slot, object, Some(bytes)))
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
        let made = make(&self.factory, key, claim, |claim, more| {
            self.grow(claim, claim.bytes().saturating_add(more), room)
        })?;
        let worth = match self.limits.window {
            1 => Worth::NONE,
            _ => Worth::new(self.factory.cost(key, &made.object), made.bytes),
        };
        self.commit(pending, made, worth, room)
    }

    /// Marks a slot as pending and claims its bytes, after evicting what stands in the way of either; refuses before
    /// anything is evicted if all that is idle would not suffice.
    fn begin_create(
        &self,
        key: &K,
        hash: u64,
        estimate: usize,
        claim: &mut Option<Claim<'_>>,
        room: Room,
    ) -> Result<Held<'_, Self>, AcquireError<F::Error>> {
        let mut first = true;
        loop {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            if state.closed {
                return Err(AcquireError::Closed);
            }
            if mem::take(&mut first) && room == Room::MayEvict {
                state.misses += 1;
            }
            let class = state.class_of(key, hash);
            self.admit_key(class.map(|class| &state.classes[class as usize]))?;

            let (objects, bytes) = match room {
                Room::MayEvict => (state.idle, state.evictable()),
                Room::AsItIs => (0, 0),
            };
            let full = state.occupied + state.pending >= self.limits.max_objects;
            if state.occupied + state.pending >= self.limits.max_objects.saturating_add(objects) {
                return Err(self.exhausted(state));
            }
            let short = claim.as_ref().filter(|claim| !claim.fits(estimate));
            let short = short.and_then(|claim| claim.shortfall(estimate));
            if let Some(short) = short.filter(|short| short.bytes() > bytes) {
                return Err(AcquireError::OverBudget(short.refusal(bytes)));
            }
            let mut victim = None;
            let mut ready = true;
            if full || short.is_some() {
                let Some(evicted) = self.take_victim(state, claim.as_mut()) else {
                    // Only what `retain` is looking at is idle.
                    return Err(match short {
                        Some(short) => AcquireError::OverBudget(short.refusal(bytes)),
                        None => self.exhausted(state),
                    });
                };
                victim = Some(evicted);
                ready = state.occupied + state.pending < self.limits.max_objects
                    && claim.as_ref().is_none_or(|claim| claim.fits(estimate));
            }
            // The look-up is still good, unless the victim was the last of its key.
            let class = class.filter(|&class| state.classes[class as usize].key.is_some());
            // Refused only if another pool took the room just now; then once more from the start.
            if ready && claim.as_mut().is_none_or(|claim| claim.fill(estimate)) {
                let entered = match state.vacant_slot(&self.cells) {
                    Some(slot) => state.begin_create(slot, class, key, hash).then_some(slot),
                    None => None,
                };
                let pending = match entered {
                    Some(slot) => Ok(Held { pool: self, slot, abandon: Self::cancel_create }),
                    None => Err(self.exhausted(state)),
                };
                drop(guard);
                // User code from here on.
                if let Some(victim) = victim {
                    self.destroy_victim(victim);
                }
                let pending = pending?;
                if let Some(claim) = claim {
                    claim.settle(estimate);
                }
                return Ok(pending);
            }
            drop(guard);
            if let Some(victim) = victim {
                self.destroy_victim(victim);
            }
        }
    }

    fn admit_key(&self, class: Option<&Class<K>>) -> Result<(), AcquireError<F::Error>> {
        let (leased, objects) = class.map_or((0, 0), |class| (class.objects - class.idle, class.objects));
        let max_per_key = self.limits.max_per_key;
        if objects < max_per_key { Ok(()) } else { Err(AcquireError::KeyExhausted { leased, max_per_key }) }
    }

    fn exhausted(&self, state: &State<K, S>) -> AcquireError<F::Error> {
        AcquireError::Exhausted {
            leased: state.leased() + state.pending,
            max_objects: self.limits.max_objects,
        }
    }

    /// Takes an idle object out to make room. Its bytes stay charged, and are the claim's from now on.
    fn take_victim(
        &self,
        state: &mut State<K, S>,
        claim: Option<&mut Claim<'_>>,
    ) -> Option<Victim<K, F::Object>> {
        let slot = state.victim(self.limits.window)?;
        let left = state.remove(slot, Removal::Evicted(Eviction::Room), O::LISTENS);
        // SAFETY: the slot held an object until `remove` marked it as vacant, and the lock is still held.
        let object = unsafe { self.cells.at(slot).take() };
        if let Some(claim) = claim {
            claim.take_over(left.bytes);
        }
        Some(Victim { object, left })
    }

    fn destroy_victim(&self, victim: Victim<K, F::Object>) {
        let Victim { object, left } = victim;
        if let Some((key, why)) = &left.told {
            self.observer.removed(key, left.bytes, *why);
        }
        drop(object);
    }

    fn cancel_create(&self, slot: u32) {
        let key = {
            let mut state = self.state.lock();
            state.pending -= 1;
            state.vacate(slot)
        };
        drop(key); // user code, so only now
    }

    /// Claims bytes until there are `total`, evicting the fewest objects that make room if there are enough of them.
    fn grow(&self, claim: &mut Claim<'_>, total: usize, room: Room) -> Result<(), OverBudget> {
        loop {
            let mut victim = None;
            if !claim.fits(total)
                && let Some(short) = claim.shortfall(total)
            {
                let mut state = self.state.lock();
                let bytes = match room {
                    Room::MayEvict => state.evictable(),
                    Room::AsItIs => 0,
                };
                if short.bytes() <= bytes {
                    victim = self.take_victim(&mut state, Some(claim));
                }
                if victim.is_none() {
                    return Err(short.refusal(bytes));
                }
            }
            let fits = claim.fits(total) && claim.fill(total);
            if let Some(victim) = victim {
                self.destroy_victim(victim);
            }
            if fits {
                claim.settle(total);
                return Ok(());
            }
        }
    }

    /// Puts a new object into its slot, leased; unless the pool was closed while it was made.
    fn commit(
        &self,
        pending: Held<'_, Self>,
        made: Made<'_, F::Object>,
        worth: Worth,
        room: Room,
    ) -> Result<(u32, NonNull<F::Object>, usize), AcquireError<F::Error>> {
        let now = self.now();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.closed {
            drop(guard);
            drop(pending);
            made.destroy();
            return Err(AcquireError::Closed);
        }
        let slot = pending.slot;
        mem::forget(pending);
        let Made { object, bytes, claim } = made;
        let cell = self.cells.at(slot);
        // SAFETY: the slot was reached and vacant when it was marked as pending, for this caller alone.
        unsafe { cell.fill(object) };
        if let Some(claim) = claim {
            claim.commit();
        }
        state.end_create(slot, bytes, worth, now);
        if room == Room::MayEvict {
            state.note_leased();
        }
        Ok((slot, cell.object(), bytes))
    }
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
