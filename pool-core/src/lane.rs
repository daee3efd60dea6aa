//! A few idle objects that one owner takes and gives back without atomic read-modify-writes: what stands behind a
//! [`Cache`](crate::Cache) and behind the cache that each thread has of its own.
//!
//! # Who owns what
//!
//! A lane belongs to one group of the pool at a time. `mine` says which of the group's slots its owner has taken from
//! the pool, `bits` which of those are idle here. Both are written by the owner alone, with plain loads and stores;
//! everybody may look at them, for counting.
//!
//! An object goes back into the lane that it was taken through, and to no other: a thread that only releases what
//! others acquired keeps nothing, so handing objects over piles up none.
//!
//! | lane of | owned | not owned (its thread has ended, its cache was dropped) |
//! |---|---|---|
//! | a [`Cache`](crate::Cache) | its owner alone uses it | empty: a cache that goes gives everything back |
//! | a thread | its owner uses it; who holds the pool's attention may empty it | anybody may empty it |
//!
//! A lane never changes from one kind to the other. Whoever but the owner empties a lane does it by an atomic swap, so of
//! several who try one gets the objects.
//!
//! # Emptying the lane of a thread that is elsewhere
//!
//! ```text
//! owner                                    another thread, when the pool is full
//! busy = true                              flags += RECLAIM
//! light barrier                            heavy barrier
//! flags == 0? no: leave the lane alone     busy? yes: leave the lane alone
//! change bits                              take all bits
//! busy = false                             flags -= RECLAIM
//! ```
//!
//! The barriers see to it that at least one of the two leaves the lane alone. Neither waits for the other.
#![deny(clippy::disallowed_types)]

use crate::pages::BITS;
use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Count, Ordering, const_fn};
use core::ptr;
#[cfg(feature = "alloc")]
use core::ptr::NonNull;

/// Who may own a lane.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A [`Cache`](crate::Cache).
    Cache,
    /// A thread.
    Thread,
}

/// See the module. Aligned so that the lanes of two threads share no line of the processor's cache.
#[doc(hidden)]
#[cfg_attr(target_pointer_width = "64", repr(align(64)))]
pub struct Lane {
    bits: AtomicUsize,
    mine: AtomicUsize,
    /// The first slot of its group.
    first: AtomicU32,
    /// Whether its thread is changing it.
    #[cfg(feature = "std")]
    busy: AtomicBool,
    /// Acquires that were served from here, by whoever owned it.
    hits: Count,
    owned: AtomicBool,
    kind: Owner,
    /// Where the group's first object is.
    base: AtomicPtr<()>,
    /// The pool and the thread that point here: who goes last frees it.
    #[cfg(feature = "std")]
    holders: Count,
    /// The lane that was there before, in the pool's list.
    #[cfg(feature = "alloc")]
    next: AtomicPtr<Lane>,
}

/// What an owner takes out of its lane.
#[doc(hidden)]
pub struct Popped {
    pub(crate) slot: u32,
    /// Where the object is, counted in objects from `base`.
    pub(crate) offset: usize,
    pub(crate) base: *mut (),
}

impl Lane {
    const_fn! {
        pub(crate) fn new(kind: Owner) -> Self {
            Self {
                bits: AtomicUsize::new(0),
                mine: AtomicUsize::new(0),
                first: AtomicU32::new(0),
                #[cfg(feature = "std")]
                busy: AtomicBool::new(false),
                hits: Count::new(0),
                owned: AtomicBool::new(false),
                kind,
                base: AtomicPtr::new(ptr::null_mut()),
                #[cfg(feature = "std")]
                holders: Count::new(1),
                #[cfg(feature = "alloc")]
                next: AtomicPtr::new(ptr::null_mut()),
            }
        }
    }

    /// Makes the caller its owner, if it has none. What a former owner left in it comes along.
    pub(crate) fn claim(&self, kind: Owner) -> bool {
        // Acquire: sees the bits of the former owner, who left with `disown`.
        self.kind == kind && !self.owned.load(Ordering::Relaxed) && !self.owned.swap(true, Ordering::Acquire)
    }

    /// The owner leaves; what is idle here stays until somebody needs it.
    pub(crate) fn disown(&self) {
        // Release: the bits, to who claims or empties it next.
        self.owned.store(false, Ordering::Release);
    }

    /// The slots that are idle here: their group, and a bit for each. A look from outside, not a claim.
    pub(crate) fn idle(&self) -> (u32, usize) {
        (self.first.load(Ordering::Relaxed) / BITS, self.bits.load(Ordering::Relaxed))
    }

    pub(crate) fn hits(&self) -> usize {
        self.hits.load(Ordering::Relaxed)
    }

    /// Takes an idle object. For the owner only; a thread has to have [entered](Self::enter).
    #[inline(always)]
    pub(crate) fn pop(&self) -> Option<Popped> {
        // Relaxed, here and below: only the owner writes, and who takes over gets an edge by `state` or `busy`.
        let bits = self.bits.load(Ordering::Relaxed);
        if bits == 0 {
            return None;
        }
        self.bits.store(bits & (bits - 1), Ordering::Relaxed);
        self.hits.store(self.hits.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        let bit = bits.trailing_zeros();
        Some(Popped {
            slot: self.first.load(Ordering::Relaxed) + bit,
            offset: bit as usize,
            base: self.base.load(Ordering::Relaxed),
        })
    }

    /// Puts an object back that was taken through here; false if it was not. For the owner, as above.
    #[inline(always)]
    pub(crate) fn push(&self, slot: u32) -> bool {
        let known = self.is_mine(slot);
        if known {
            self.push_bit(slot);
        }
        known
    }

    /// Whether a slot was taken through here.
    #[inline(always)]
    fn is_mine(&self, slot: u32) -> bool {
        let at = slot.wrapping_sub(self.first.load(Ordering::Relaxed));
        at < BITS && self.mine.load(Ordering::Relaxed) >> at & 1 != 0
    }

    #[inline(always)]
    fn push_bit(&self, slot: u32) {
        let bit = 1 << (slot % BITS);
        self.bits.store(self.bits.load(Ordering::Relaxed) | bit, Ordering::Relaxed);
    }

    /// Adds slots that the owner has taken from the pool: the lane is of their group from now on. What was idle
    /// of another group is returned, for the caller to put back.
    pub(crate) fn add(&self, group: u32, bits: usize, base: *mut ()) -> Option<(u32, usize)> {
        let (old, idle) = self.idle();
        if old == group {
            self.bits.store(idle | bits, Ordering::Relaxed);
            self.mine.store(self.mine.load(Ordering::Relaxed) | bits, Ordering::Relaxed);
            self.base.store(base, Ordering::Relaxed);
            return None;
        }
        self.bits.store(bits, Ordering::Relaxed);
        self.mine.store(bits, Ordering::Relaxed);
        self.first.store(group * BITS, Ordering::Relaxed);
        self.base.store(base, Ordering::Relaxed);
        (idle != 0).then_some((old, idle))
    }

    /// Takes a certain idle object; false if it is not here. For the owner.
    pub(crate) fn pop_bit(&self, bit: usize) -> bool {
        let bits = self.bits.load(Ordering::Relaxed);
        self.bits.store(bits & !bit, Ordering::Relaxed);
        bits & bit != 0
    }

    /// Collects a slot that was not taken through here; what was collected of another group is returned, for the
    /// caller to put back. For the owner.
    #[inline(always)]
    pub(crate) fn collect(&self, slot: u32) -> Option<(u32, usize)> {
        let first = slot / BITS * BITS;
        let other = if self.first.load(Ordering::Relaxed) == first {
            None
        } else {
            let (group, bits) = self.take_all();
            // What was taken through here was of the other group, whose objects `base` tells: forgotten, or who owns
            // this lane next would take these slots for those.
            self.mine.store(0, Ordering::Relaxed);
            self.first.store(first, Ordering::Relaxed);
            (bits != 0).then_some((group, bits))
        };
        self.push_bit(slot);
        other
    }

    /// Takes everything that a thread which has ended left; nothing if the lane has an owner.
    pub(crate) fn take_left(&self) -> Option<(u32, usize)> {
        if self.bits.load(Ordering::Relaxed) == 0 || !self.claim(Owner::Thread) {
            return None;
        }
        let left = self.swap_out();
        self.disown();
        left
    }

    fn swap_out(&self) -> Option<(u32, usize)> {
        let group = self.first.load(Ordering::Relaxed) / BITS;
        // A swap, for others may be emptying it as well. AcqRel: after whatever they did.
        let bits = self.bits.swap(0, Ordering::AcqRel);
        (bits != 0).then_some((group, bits))
    }

    pub(crate) fn is_of_thread(&self) -> bool {
        self.kind == Owner::Thread
    }

    /// Takes everything that is idle here. For the owner.
    pub(crate) fn take_all(&self) -> (u32, usize) {
        let (group, bits) = self.idle();
        self.bits.store(0, Ordering::Relaxed);
        (group, bits)
    }
}

#[cfg(feature = "std")]
impl Lane {
    /// A thread is about to use its lane: false if it must not, because the pool's `flags` say that somebody else
    /// may be at it, or waits for what would be put into it: that is, if they are above `most`.
    #[inline(always)]
    pub(crate) fn enter(&self, flags: &AtomicUsize, most: usize) -> bool {
        self.busy.store(true, Ordering::Relaxed);
        crate::sync::light();
        // Acquire: if it was emptied before, this sees it empty. The decrement of who emptied it is a Release, and all
        // later changes of `flags` are read-modify-writes, so they carry it on.
        if flags.load(Ordering::Acquire) <= most {
            return true;
        }
        self.leave();
        false
    }

    /// [Enters](Self::enter), puts an object back that was taken through here, and leaves; false if it was not, or if
    /// the lane must not be entered.
    #[inline(always)]
    pub(crate) fn push_of_thread(&self, slot: u32, flags: &AtomicUsize, most: usize) -> bool {
        // What is taken through here changes only by this thread.
        if !self.is_mine(slot) || !self.enter(flags, most) {
            return false;
        }
        self.push_bit(slot);
        self.leave();
        true
    }

    /// After [`enter`](Self::enter).
    #[inline(always)]
    pub(crate) fn leave(&self) {
        // Release: the bits and the objects behind them, to who empties the lane after seeing it not busy.
        self.busy.store(false, Ordering::Release);
    }

    /// Takes everything out of a thread's lane. For who has raised `flags` and gone through the heavy barrier since;
    /// `Err` if its owner is in the middle of using it.
    pub(crate) fn take_from_thread(&self) -> Result<Option<(u32, usize)>, ()> {
        if !self.is_of_thread() {
            return Ok(None);
        }
        // Acquire: the owner's last use.
        if self.busy.load(Ordering::Acquire) {
            return Err(());
        }
        Ok(self.swap_out())
    }

    /// The thread holds on to it as well as the pool.
    pub(crate) fn hold(&self) {
        // Relaxed: the caller reached it by a pool that holds it.
        self.holders.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets go of a lane on the heap, and frees it if nobody else holds it.
    ///
    /// # Safety
    ///
    /// `lane` came from a `Box`, and the caller gives up one of the holds on it.
    pub(crate) unsafe fn let_go(lane: *const Self) {
        // SAFETY: the caller still holds it.
        // AcqRel: all uses by others come before the end.
        if unsafe { &*lane }.holders.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: that was the last hold, and the box is no one's else.
            drop(unsafe { alloc::boxed::Box::from_raw(lane.cast_mut()) });
        }
    }
}

/// The lanes of a pool on the heap: a list that only grows, for as long as the pool lives.
#[cfg(feature = "alloc")]
pub(crate) struct LaneList(AtomicPtr<Lane>);

#[cfg(feature = "alloc")]
impl LaneList {
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Lane> {
        // SAFETY: what is in the list is a lane that the pool holds until `drop`, which has `&mut self`.
        self.pointers().map(|lane| unsafe { lane.as_ref() })
    }

    /// As they came from their boxes: a pointer made of a reference could not be used to free one.
    fn pointers(&self) -> impl Iterator<Item = NonNull<Lane>> {
        // Acquire: the lane as it was when it was published.
        let mut at = self.0.load(Ordering::Acquire);
        core::iter::from_fn(move || {
            let lane = NonNull::new(at)?;
            // SAFETY: as in `iter`. Acquire: as above.
            at = unsafe { lane.as_ref() }.next.load(Ordering::Acquire);
            Some(lane)
        })
    }

    /// A lane without an owner, or a new one.
    pub(crate) fn claim(&self, owner: Owner) -> NonNull<Lane> {
        // SAFETY: as in `iter`.
        if let Some(lane) = self.pointers().find(|lane| unsafe { lane.as_ref() }.claim(owner)) {
            return lane;
        }
        let lane = Lane::new(owner);
        lane.owned.store(true, Ordering::Relaxed);
        let lane = NonNull::from(alloc::boxed::Box::leak(alloc::boxed::Box::new(lane)));
        let mut head = self.0.load(Ordering::Relaxed);
        loop {
            // SAFETY: it was just made, and is not yet in the list.
            unsafe { lane.as_ref() }.next.store(head, Ordering::Relaxed);
            // Release: the lane, to who walks the list.
            match self.0.compare_exchange_weak(head, lane.as_ptr(), Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return lane,
                Err(now) => head = now,
            }
        }
    }
}

#[cfg(feature = "alloc")]
impl Drop for LaneList {
    fn drop(&mut self) {
        let mut at = self.0.load(Ordering::Acquire);
        while !at.is_null() {
            // SAFETY: the list held it until now, and nobody walks the list any more.
            let next = unsafe { &*at }.next.load(Ordering::Acquire);
            #[cfg(feature = "std")]
            // SAFETY: it was boxed by `claim`, and the pool's hold ends here.
            unsafe {
                Lane::let_go(at);
            }
            #[cfg(not(feature = "std"))]
            // SAFETY: it was boxed by `claim`, and without threads of its own nobody else holds it.
            drop(unsafe { alloc::boxed::Box::from_raw(at) });
            at = next;
        }
    }
}

#[cfg(all(test, not(pool_core_loom)))]
mod tests {
    use super::*;

    // Slots of one group with objects of another: in a lane that was a stash, then collected returns, then is a stash again.
    #[test]
    fn a_lane_that_collects_forgets_what_it_was_of() {
        let lane = Lane::new(Owner::Cache);
        let mut place = 0_u8;
        assert!(lane.claim(Owner::Cache) && lane.add(1, 0b11, (&raw mut place).cast()).is_none());
        assert!(lane.push(BITS) && !lane.push(3 * BITS));
        assert_eq!(lane.take_all(), (1, 0b11));
        lane.disown();

        assert!(lane.claim(Owner::Cache));
        assert_eq!(lane.collect(3 * BITS), None);
        assert_eq!(lane.take_all(), (3, 0b1));
        lane.disown();

        assert!(lane.claim(Owner::Cache) && !lane.claim(Owner::Cache));
        assert!(!lane.push(3 * BITS) && !lane.push(BITS), "neither was taken through here");
    }
}
