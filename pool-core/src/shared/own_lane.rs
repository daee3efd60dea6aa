//! The lane that a thread has of its own, without knowing it.

use super::{MEASURED, SharedPool};
use crate::lane::{Lane, Owner, Popped};
use crate::lifecycle::{Factory, Resetter};
use crate::pages::{BITS, Pages};
use crate::slots::Storage;
use crate::sync::Ordering;
use core::ptr::NonNull;

/// What there is in a thread's lane.
enum Look {
    Found(Popped),
    Empty,
    /// It must not be used at the moment.
    NotNow,
    NoLane,
}

impl<F, R, S> SharedPool<F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    #[inline(always)]
    pub(super) fn has_thread_caches(&self) -> bool {
        S::THREAD_CACHES && self.thread_caches
    }

    /// This thread's lane of this pool.
    #[inline(always)]
    fn with_lane<T>(&self, use_it: impl FnOnce(&Lane) -> T) -> Option<T> {
        crate::threads::with_last(self.serial.load(Ordering::Relaxed), use_it)
    }

    #[inline(always)]
    pub(super) fn pop_of_thread(&self, adopt: bool) -> Option<(u32, NonNull<F::Object>)> {
        match self.pop_of_lane() {
            Look::Found(popped) => Some((popped.slot, self.place(&popped))),
            Look::Empty => self.refill_thread(),
            Look::NotNow => None,
            Look::NoLane => self.adopt_thread(adopt),
        }
    }

    #[inline(always)]
    fn pop_of_lane(&self) -> Look {
        let look = self.with_lane(|lane| {
            if !lane.enter(&self.flags, MEASURED) {
                return Look::NotNow;
            }
            let popped = lane.pop();
            lane.leave();
            popped.map_or(Look::Empty, Look::Found)
        });
        look.unwrap_or(Look::NoLane)
    }

    /// The lane is empty: takes some idle objects of the pages into it, and one of them for the caller.
    #[cold]
    #[inline(never)]
    pub(super) fn refill_thread(&self) -> Option<(u32, NonNull<F::Object>)> {
        let (group, bits) = self.take_many(BITS, true)?;
        let base = self.base(group);
        let left = self.with_lane(|lane| {
            if !lane.enter(&self.flags, MEASURED) {
                return Some((group, bits));
            }
            // It was empty; but to find something may have run a waker, which may have filled it again.
            let left = lane.add(group, bits, base);
            lane.leave();
            left
        });
        if let Some((group, bits)) = left.unwrap_or(Some((group, bits))) {
            self.put_bits(group, bits);
        }
        match self.pop_of_lane() {
            Look::Found(popped) => Some((popped.slot, self.place(&popped))),
            _ => None,
        }
    }

    /// This thread used another pool last, or meets this one for the first time, or again after others took its place in the table.
    #[cold]
    #[inline(never)]
    pub(super) fn adopt_thread(&self, adopt: bool) -> Option<(u32, NonNull<F::Object>)> {
        let mut serial = self.serial.load(Ordering::Relaxed);
        if serial == 0 {
            serial = crate::threads::next_serial();
            if let Err(theirs) = self.serial.compare_exchange(0, serial, Ordering::Relaxed, Ordering::Relaxed)
            {
                serial = theirs;
            }
        }
        if !crate::threads::recall(serial) {
            if !adopt {
                return None;
            }
            crate::threads::adopt(serial, || self.pages.claim_lane(Owner::Thread));
        }
        // Somebody may have left something in a new one.
        match self.pop_of_lane() {
            Look::Found(popped) => Some((popped.slot, self.place(&popped))),
            Look::Empty => self.refill_thread(),
            Look::NotNow | Look::NoLane => None,
        }
    }

    /// The same for a pool that may not be the one that this thread used last.
    #[inline(never)]
    pub(super) fn push_recalled(&self, slot: u32) -> bool {
        let serial = self.serial.load(Ordering::Relaxed);
        crate::threads::recall(serial)
            && self.with_lane(|lane| lane.push_of_thread(slot, &self.flags, MEASURED)).unwrap_or(false)
    }

    /// Gives an object back to the lane that it was taken through, if that is this thread's.
    #[inline(always)]
    pub(super) fn push_to_thread(&self, slot: u32) -> bool {
        self.with_lane(|lane| lane.push_of_thread(slot, &self.flags, 0)).unwrap_or(false)
    }
}
