//! Objects made, reset, doomed and destroyed: everything that runs user code, with nothing of the pool held.

use super::idle::Attention;
use super::{CLOSED, LOOKS, Leave, SharedPool, WAITER};
use crate::account::Claim;
use crate::create::{Made, Room, create, recharge};
use crate::error::AcquireError;
use crate::held::Held;
use crate::lane::Popped;
use crate::lease::Lease;
use crate::lifecycle::{Factory, Resetter, Verdict};
use crate::pages::{BITS, Kind, Pages, groups};
use crate::slots::Storage;
use crate::sync::{Count, Ordering};
use crate::unwind::{Outgoing, shielded};
use core::mem;
use core::ptr::NonNull;

impl<F, R, S> SharedPool<F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    /// Where the object is that was taken out of a lane.
    #[inline(always)]
    pub(super) fn place(&self, popped: &Popped) -> NonNull<F::Object> {
        let base: *mut F::Object = popped.base.cast();
        // SAFETY: `base` is where the objects of a group begin, which lie one after the other, and the offset is that
        // of a slot of the group that was reached.
        unsafe { NonNull::new_unchecked(base.add(popped.offset)) }
    }

    /// Where the objects of a group begin, for a lane.
    pub(super) fn base(&self, group: u32) -> *mut () {
        self.pages.object(group * BITS).as_ptr().cast()
    }

    /// A slot with an object after `take_idle` had none: from where it is dearer to get. An attempt that `waits` if this
    /// fails is no miss yet.
    #[cold]
    #[inline(never)]
    pub(crate) fn slot_slowly(&self, waits: bool) -> Result<u32, AcquireError<F::Error>> {
        if self.is_closed() {
            return Err(AcquireError::Closed);
        }
        self.destroy_doomed(LOOKS as usize);
        if self.empty_lanes(false)
            && let Some((slot, _)) = self.take_idle()
        {
            return Ok(slot);
        }
        for look in 1.. {
            if self.reserve() {
                return self.create_leased();
            }
            // Full. While attention is held, what becomes idle or vacant changes the version: if that stays the same
            // while everything is looked at, there was a moment at which nothing was to be had.
            let attention = Attention::hold(self);
            let before = self.version.load(Ordering::Acquire);
            self.empty_lanes(false);
            if let Some((slot, _)) = self.take_linear() {
                self.count_hit();
                return Ok(slot);
            }
            if self.reserve() {
                drop(attention);
                return self.create_leased();
            }
            let unchanged = self.version.load(Ordering::Acquire) == before && !self.lanes_busy();
            drop(attention);
            if self.is_closed() {
                return Err(AcquireError::Closed);
            }
            if unchanged && self.destroy_doomed(LOOKS as usize) == 0 || look == LOOKS {
                break;
            }
            crate::sync::relax();
        }
        if !waits {
            self.counts.misses.fetch_add(1, Ordering::Relaxed);
        }
        self.note_peak();
        Err(AcquireError::Exhausted { leased: self.count_leased(), max_objects: self.max_objects })
    }

    /// As `acquire`, for who waits if it fails.
    pub(crate) fn attempt(&self) -> Result<Lease<&Self>, AcquireError<F::Error>> {
        let (slot, object) = match self.take(true) {
            Some(taken) => taken,
            None => {
                let slot = self.slot_slowly(true)?;
                (slot, self.pages.object(slot))
            }
        };
        // SAFETY: the slot is the caller's, for this lease; `&self` keeps its object in place.
        Ok(unsafe { Lease::at(self, slot, object) })
    }

    /// Objects that are out or being made, as near as one can tell meanwhile.
    pub(crate) fn count_leased(&self) -> usize {
        self.objects.load(Ordering::Relaxed).saturating_sub(self.count_idle())
    }

    pub(crate) fn has_waiters(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & !CLOSED >= WAITER
    }

    /// Whether a thread was in the middle of using its lane when it was to be emptied, and has something there.
    pub(super) fn lanes_busy(&self) -> bool {
        let mut busy = false;
        self.pages.each_lane(&mut |lane| busy |= lane.is_of_thread() && lane.idle().1 != 0);
        busy
    }

    /// Looks into every group, whatever the summary says.
    pub(super) fn take_linear(&self) -> Option<(u32, NonNull<F::Object>)> {
        (0..groups(self.pages.reached())).find_map(|group| self.pages.take_in(group))
    }

    /// Room for one more object, exactly as many as there may be.
    pub(super) fn reserve(&self) -> bool {
        let mut objects = self.objects.load(Ordering::Relaxed);
        while objects < self.max_objects {
            // Acquire: the vacant bit of who made room.
            match self.objects.compare_exchange_weak(
                objects,
                objects + 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => objects = now,
            }
        }
        false
    }

    pub(super) fn unreserve(&self) {
        // SeqCst and `look_round`: there may be one who waits for room. Release: the vacant bit.
        self.objects.fetch_sub(1, Ordering::SeqCst);
        self.look_round(0, 0);
    }

    /// Makes an object of what room there is, in a slot that is then the caller's.
    pub(super) fn create_slot(&self) -> Result<u32, AcquireError<F::Error>> {
        if self.is_closed() {
            return Err(AcquireError::Closed);
        }
        if !self.reserve() {
            let leased = self.count_leased();
            return Err(AcquireError::Exhausted { leased, max_objects: self.max_objects });
        }
        self.create_reserved(Room::AsItIs)
    }

    /// A slot without object, for which room was reserved.
    pub(super) fn take_vacant(&self) -> u32 {
        loop {
            if let Some(group) = self.pages.find(Kind::Vacant) {
                let bits = self.pages.word(Kind::Vacant, group).load(Ordering::Relaxed);
                let bit = bits & bits.wrapping_neg();
                if bit != 0 && self.clear(Kind::Vacant, group, bit) {
                    return group * BITS + bit.trailing_zeros();
                }
            } else if let Some(slot) = self.pages.reach() {
                return slot;
            } else {
                // There are as many slots as objects allowed, and room was reserved: somebody is about to set a bit.
                crate::sync::relax();
            }
        }
    }

    pub(super) fn cancel_create(&self, slot: u32) {
        self.vacate(slot);
        self.unreserve();
    }

    pub(super) fn vacate(&self, slot: u32) {
        // The slot, empty, to who clears the bit.
        self.pages.set(Kind::Vacant, slot / BITS, 1 << (slot % BITS));
    }

    /// As [`create_reserved`](Self::create_reserved), after nothing idle was found.
    pub(super) fn create_leased(&self) -> Result<u32, AcquireError<F::Error>> {
        self.counts.misses.fetch_add(1, Ordering::Relaxed);
        #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
        if let Some(membership) = &self.membership {
            membership.note_miss();
        }
        let slot = self.create_reserved(Room::MayEvict);
        self.note_peak();
        slot
    }

    /// Notes how many are leased, where nothing idle was found: at that moment all are but those that are in caches, looked at or
    /// doomed.
    fn note_peak(&self) {
        let mut kept = self.counts.inspected.load(Ordering::Relaxed) + self.doomed.load(Ordering::Relaxed);
        self.pages.each_lane(&mut |lane| kept += lane.idle().1.count_ones() as usize);
        self.counts.peak_leased.fetch_max(self.counts.there().saturating_sub(kept), Ordering::Relaxed);
    }

    /// Makes an object, in a slot that is then the caller's.
    fn create_reserved(&self, room: Room) -> Result<u32, AcquireError<F::Error>> {
        let slot = self.take_vacant();
        let pending = Held { pool: self, slot, abandon: Self::cancel_create };
        let grow = |claim: &mut Claim<'_>, bytes| match room {
            // From what other pools have idle, if they give: nothing of this one is.
            Room::MayEvict => claim.grow_making_room(bytes, None),
            Room::AsItIs => claim.try_grow(bytes).map_err(|shortfall| shortfall.refused()),
        };
        let estimate = self.factory.estimate(&());
        let made = create(&self.factory, &(), estimate, self.account.as_ref(), grow)?;
        if self.is_closed() {
            drop(pending);
            drop(made);
            return Err(AcquireError::Closed);
        }
        mem::forget(pending);

        let Made { claim, object, bytes } = made;
        // SAFETY: the slot has no object, and by `take_vacant` no other user; the memory is inside an `UnsafeCell`.
        unsafe { self.pages.object(slot).write(object.into_inner()) };
        if let Some(claim) = claim {
            claim.commit();
        }
        self.pages.bytes(slot).store(bytes, Ordering::Relaxed);
        self.count_bytes(0, bytes);
        self.counts.created.fetch_add(1, Ordering::Relaxed);
        Ok(slot)
    }

    /// Counts the change of an object's bytes. Wrapping, because a pool without account refuses no size that a factory
    /// claims, however absurd their sum.
    pub(super) fn count_bytes(&self, before: usize, after: usize) {
        let change = after.wrapping_sub(before);
        let bytes = self.counts.bytes.fetch_add(change, Ordering::Relaxed).wrapping_add(change);
        self.counts.peak_bytes.fetch_max(bytes, Ordering::Relaxed);
    }

    /// Marks an object that the caller holds as one to be destroyed.
    #[cold]
    #[inline(never)]
    pub(super) fn doom(&self, slot: u32) {
        // Before it can be taken, so that the count is never below 0.
        #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
        if let Some(membership) = &self.membership {
            membership.note_doomed();
        }
        // The object, to who destroys it.
        self.pages.set(Kind::Doomed, slot / BITS, 1 << (slot % BITS));
        // SeqCst and `look_round`: who waits may have room now.
        self.doomed.fetch_add(1, Ordering::SeqCst);
        self.look_round(0, 0);
    }

    /// Takes a slot whose object is to be destroyed.
    pub(super) fn take_doomed(&self) -> Option<u32> {
        // Ordering::Relaxed: the bits say it exactly; a count that is seen late is worked off later.
        while self.doomed.load(Ordering::Relaxed) != 0 {
            let group = self.pages.find(Kind::Doomed)?;
            let bits = self.pages.word(Kind::Doomed, group).load(Ordering::Relaxed);
            let bit = bits & bits.wrapping_neg();
            if bit != 0 && self.clear(Kind::Doomed, group, bit) {
                self.doomed.fetch_sub(1, Ordering::Relaxed);
                #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
                if let Some(membership) = &self.membership {
                    membership.note_doomed_gone(1);
                }
                return Some(group * BITS + bit.trailing_zeros());
            }
        }
        None
    }

    pub(super) fn destroy_doomed(&self, most: usize) -> usize {
        let mut destroyed = 0;
        while destroyed < most
            && let Some(slot) = self.take_doomed()
        {
            destroyed += 1;
            self.destroy_slot(slot, Leave::Discarded);
        }
        destroyed
    }

    /// Uncharges, then destroys the object of a slot that the caller holds; its bytes.
    pub(super) fn destroy_slot(&self, slot: u32, why: Leave) -> usize {
        let bytes = self.pages.bytes(slot).load(Ordering::Relaxed);
        drop(self.take_out_of(slot, why));
        bytes
    }

    pub(super) fn take_out_of(&self, slot: u32, why: Leave) -> F::Object {
        // SAFETY: the caller holds the slot, which has an object, and from here on has none.
        let object = Outgoing::new(unsafe { self.pages.object(slot).read() });
        let bytes = self.pages.bytes(slot).load(Ordering::Relaxed);
        let counts = &self.counts;
        match why {
            Leave::Evicted => &counts.evicted,
            Leave::Discarded => &counts.discarded,
            Leave::Detached => &counts.detached,
        }
        .fetch_add(1, Ordering::Relaxed);
        self.count_bytes(bytes, 0);
        self.vacate(slot);
        // Before room is made: a handler may panic, a waker may, and then the object is dropped all the same.
        let room = RoomAtEnd(self);
        if let Some(account) = &self.account {
            account.uncharge_idle(bytes);
        }
        drop(room);
        object.into_inner()
    }

    /// An object that was detached was destroyed all the same.
    #[cold]
    pub(super) fn detached_is_lost(&self, _slot: u32) {
        self.counts.detached.fetch_sub(1, Ordering::Relaxed);
        self.counts.discarded.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes the new bytes of a released object; false if it grew above what the account allows.
    ///
    /// By itself, so that who calls it, and nearly always does not, saves no registers for it.
    #[cold]
    #[inline(never)]
    fn recharge(&self, noted: &Count, before: usize, bytes: usize) -> bool {
        recharge(self.account.as_ref(), before, bytes, || {
            noted.store(bytes, Ordering::Relaxed);
            self.count_bytes(before, bytes);
        })
    }

    /// Resets an object that comes back; dooms it if that panics.
    ///
    /// # Safety
    ///
    /// The caller holds the slot, whose object this is.
    #[inline(always)]
    pub(super) unsafe fn reset(&self, slot: u32, mut object: NonNull<F::Object>) -> Verdict {
        let resetting = Held { pool: self, slot, abandon: Self::doom };
        // SAFETY: the caller's promise; this is the object's only use.
        let verdict = self.resetter.reset(unsafe { object.as_mut() });
        mem::forget(resetting);
        verdict
    }

    /// Whether an object that the caller holds and has reset may be used again; dooms it otherwise.
    #[inline(always)]
    pub(super) fn settle(&self, slot: u32) -> bool {
        !self.measured || self.settle_measured(slot)
    }

    #[inline(never)]
    pub(super) fn settle_measured(&self, slot: u32) -> bool {
        // All pools that are members are measured, for they have an account.
        #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
        if let Some(membership) = &self.membership {
            membership.note_release();
        }
        let mut kept = false;
        shielded(|| {
            let (object, noted) = self.pages.object_and_bytes(slot);
            let settling = Held { pool: self, slot, abandon: Self::doom };
            // SAFETY: the caller holds the slot, so only this reference to its object exists.
            let bytes = self.factory.measure(unsafe { object.as_ref() });
            let before = noted.load(Ordering::Relaxed);
            kept =
                bytes <= self.max_retained_bytes && (bytes == before || self.recharge(noted, before, bytes));
            mem::forget(settling);
            if !kept {
                self.doom(slot);
            }
        });
        kept
    }

    /// What is left to do of a release that does not end in the lane that this thread used last.
    #[inline(never)]
    pub(super) fn give_back_slowly(&self, slot: u32) {
        #[cfg(feature = "std")]
        if self.has_thread_caches() {
            if self.settle(slot) && !self.push_recalled(slot) {
                self.put_shared(slot);
            }
            return;
        }
        if self.settle(slot) {
            self.put_shared(slot);
        }
    }
}

/// Room for an object, made when this is dropped.
struct RoomAtEnd<'a, F, R, S>(&'a SharedPool<F, R, S>)
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage;

impl<F, R, S> Drop for RoomAtEnd<'_, F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    fn drop(&mut self) {
        shielded(|| self.0.unreserve());
    }
}
