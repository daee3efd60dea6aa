//! Idle slots: taken, put back, and taken out of the lanes in which they are kept.

use super::{CLOSED, LOOKS, MEASURED, PLENTY, RECLAIM, SharedPool, WAITER};
use crate::lease::next_pool_id;
use crate::lifecycle::{Factory, Resetter};
use crate::pages::{BITS, Kind, Pages, groups};
use crate::slots::Storage;
use crate::sync::{Ordering, after_rmw};
use crate::unwind::shielded;
use core::ptr::NonNull;

impl<F, R, S> SharedPool<F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    /// The pool's number; given when it is first asked for, since a `static` is made by the compiler.
    pub(super) fn id(&self) -> u32 {
        match self.id.load(Ordering::Relaxed) {
            0 => {
                let fresh = next_pool_id();
                // Of two threads that ask first, one's number counts.
                self.id
                    .compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed)
                    .map_or_else(|theirs| theirs, |_| fresh)
            }
            id => id,
        }
    }

    /// Takes an idle slot: from this thread's lane, or out of the pages. With `adopt`, a thread without a lane gets
    /// one, which allocates.
    ///
    /// All of it is inlined but what is rare: a lease that is returned through memory costs more than all the rest,
    /// since it is written in parts and read as a whole.
    #[inline(always)]
    pub(super) fn take(&self, adopt: bool) -> Option<(u32, NonNull<F::Object>)> {
        #[cfg(feature = "std")]
        if self.has_thread_caches()
            && let Some(taken) = self.pop_of_thread(adopt)
        {
            return Some(taken);
        }
        let _ = adopt;
        self.take_idle()
    }

    /// Takes an idle slot out of the pages.
    #[inline(always)]
    pub(crate) fn take_idle(&self) -> Option<(u32, NonNull<F::Object>)> {
        if self.is_closed() {
            return None;
        }
        let taken = match self.pages.take_last() {
            Some(taken) => taken,
            None => self.search_idle()?,
        };
        self.count_hit();
        Some(taken)
    }

    #[inline(always)]
    pub(super) fn count_hit(&self) {
        // Not a read-modify-write: two threads at once may count one.
        let hits = &self.hot.hits;
        hits.store(hits.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    #[cold]
    #[inline(never)]
    pub(super) fn search_idle(&self) -> Option<(u32, NonNull<F::Object>)> {
        loop {
            let group = match self.pages.find(Kind::Idle) {
                Some(group) => group,
                // What threads that have ended left is anybody's.
                None => self.take_left()?,
            };
            if let Some(taken) = self.pages.take_in(group) {
                return Some(taken);
            }
        }
    }

    /// Puts what is in a lane without owner back into the pages; its group.
    pub(super) fn take_left(&self) -> Option<u32> {
        let mut found = None;
        self.pages.each_lane(&mut |lane| {
            if found.is_none()
                && let Some((group, bits)) = lane.take_left()
            {
                self.put_bits(group, bits);
                found = Some(group);
            }
        });
        found
    }

    /// Takes up to `most` idle slots of one group, all at once: the group, and a bit for each. With `leave`, half of
    /// them stay if the pool is small, so that the next one finds something too.
    pub(super) fn take_many(&self, most: u32, leave: bool) -> Option<(u32, usize)> {
        if self.is_closed() {
            return None;
        }
        let leave = leave && self.max_objects < PLENTY;
        let mut group = self.pages.last()?;
        for _ in 0..LOOKS {
            let word = self.pages.word(Kind::Idle, group);
            let bits = word.load(Ordering::Relaxed);
            let count = bits.count_ones();
            let share = most.min(if leave { count.div_ceil(2) } else { count });
            let mut wanted = bits;
            for _ in share..count {
                wanted &= !(1 << wanted.ilog2());
            }
            if wanted != 0 {
                // Acquire: as in `take_in`.
                let taken = word.fetch_and(!wanted, Ordering::Acquire) & wanted;
                if taken != 0 {
                    self.count_batch(taken);
                    return Some((group, taken));
                }
            }
            group = self.pages.find(Kind::Idle).or_else(|| self.take_left())?;
        }
        None
    }

    /// Takes up to `most` idle slots of a certain group that was reached.
    pub(super) fn take_of(&self, group: u32, most: u32) -> usize {
        let word = self.pages.word(Kind::Idle, group);
        let bits = word.load(Ordering::Relaxed);
        let mut wanted = bits;
        for _ in most..bits.count_ones() {
            wanted &= !(1 << wanted.ilog2());
        }
        // Acquire: as in `clear_lowest`.
        let taken = word.fetch_and(!wanted, Ordering::Acquire) & wanted;
        self.count_batch(taken);
        taken
    }

    fn count_batch(&self, taken: usize) {
        // As in `count_hit`.
        let batched = &self.hot.batched;
        let before = batched.load(Ordering::Relaxed);
        batched.store(before.wrapping_add(taken.count_ones() as usize), Ordering::Relaxed);
    }

    /// Clears one certain bit; true if the caller has the slot now.
    pub(super) fn clear(&self, kind: Kind, group: u32, bit: usize) -> bool {
        // Acquire: as in `take_in`.
        self.pages.word(kind, group).fetch_and(!bit, Ordering::Acquire) & bit != 0
    }

    /// An object that `retain` looks at still counts as idle.
    pub(super) fn count_inspected(&self, slot: u32, begins: bool) {
        let (one, bytes) = (1_usize, self.pages.bytes(slot).load(Ordering::Relaxed));
        let (one, bytes) = if begins { (one, bytes) } else { (one.wrapping_neg(), bytes.wrapping_neg()) };
        self.counts.inspected.fetch_add(one, Ordering::Relaxed);
        self.counts.inspected_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn put_inspected(&self, slot: u32) {
        self.count_inspected(slot, false);
        self.put_shared(slot);
    }

    /// Takes the highest idle slot of the groups below `end`, and lowers `end` to just above where it was found.
    pub(super) fn take_highest(&self, end: &mut u32) -> Option<u32> {
        while let Some(group) = self.pages.find_below(Kind::Idle, *end) {
            *end = group + 1;
            let mut bits = self.pages.word(Kind::Idle, group).load(Ordering::Relaxed);
            while let Some(highest) = bits.checked_ilog2() {
                if self.clear(Kind::Idle, group, 1 << highest) {
                    return Some(group * BITS + highest);
                }
                bits &= !(1 << highest);
            }
            *end = group;
        }
        None
    }

    /// Takes the idle slot that is to go first: the highest of the pages; only if there is none, what threads keep.
    pub(super) fn take_for_eviction(&self) -> Option<u32> {
        let highest = || self.take_highest(&mut { u32::MAX });
        highest().or_else(|| if self.empty_lanes(self.lanes_busy()) { highest() } else { None })
    }

    pub(super) fn count_idle(&self) -> usize {
        let mut idle = self.counts.inspected.load(Ordering::Relaxed);
        for group in 0..groups(self.pages.reached()) {
            idle += self.pages.word(Kind::Idle, group).load(Ordering::Relaxed).count_ones() as usize;
        }
        self.pages.each_lane(&mut |lane| idle += lane.idle().1.count_ones() as usize);
        idle
    }

    /// Makes a slot idle that the caller holds.
    #[inline(always)]
    pub(super) fn put_shared(&self, slot: u32) {
        self.put_bits(slot / BITS, 1 << (slot % BITS));
    }

    /// Makes several slots of a group idle that the caller holds.
    #[inline(always)]
    pub(super) fn put_bits(&self, group: u32, bits: usize) {
        self.pages.put(group, bits);
        self.look_round(group, bits);
    }

    /// After slots of a group became idle, or none but there is room: is there somebody who wants to know?
    #[inline(always)]
    pub(super) fn look_round(&self, group: u32, idle: usize) {
        after_rmw();
        let flags = self.flags.load(Ordering::SeqCst);
        if flags > MEASURED {
            self.attend(flags, group, idle);
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn attend(&self, flags: usize, group: u32, mut idle: usize) {
        // Release: what became idle, to who compares versions.
        self.version.fetch_add(1, Ordering::Release);
        if flags & CLOSED != 0 {
            // `close` may have gone by already. It destroys what it finds, and so does this, but later.
            while idle != 0 {
                let bit = idle & idle.wrapping_neg();
                idle &= !bit;
                if self.clear(Kind::Idle, group, bit) {
                    self.doom(group * BITS + bit.trailing_zeros());
                }
            }
        }
        if flags & !CLOSED >= WAITER {
            shielded(|| self.waiters.notify());
        }
    }

    /// Takes what other threads keep for themselves back into the pages. With `wait`, waits for those that are
    /// in the middle of using it.
    pub(crate) fn empty_lanes(&self, wait: bool) -> bool {
        let mut found = false;
        while self.take_left().is_some() {
            found = true;
        }
        #[cfg(feature = "std")]
        if self.has_thread_caches() {
            found |= self.empty_threads(wait);
        }
        let _ = wait;
        found
    }

    #[cfg(feature = "std")]
    pub(super) fn empty_threads(&self, wait: bool) -> bool {
        // Nobody keeps anything: a common case, and the barrier costs microseconds. To a closing or trimming pool it is
        // worth that: what was just put in may not be seen yet.
        if !wait && !self.lanes_busy() {
            return false;
        }
        let attention = Attention::hold(self);
        if !crate::sync::heavy() {
            return false;
        }
        let mut found = false;
        self.pages.each_lane(&mut |lane| {
            loop {
                match lane.take_from_thread() {
                    Ok(Some((group, bits))) => {
                        self.put_bits(group, bits);
                        found = true;
                    }
                    Ok(None) => {}
                    Err(()) if wait => {
                        crate::sync::relax();
                        continue;
                    }
                    Err(()) => {}
                }
                break;
            }
        });
        drop(attention);
        found
    }
}

/// The pool's attention: while it is held, threads leave their lanes alone, and who makes something idle says so.
pub(super) struct Attention<'a, F, R, S>(&'a SharedPool<F, R, S>)
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage;

impl<'a, F, R, S> Attention<'a, F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    pub(super) fn hold(pool: &'a SharedPool<F, R, S>) -> Self {
        // SeqCst and `after_rmw`: a release either sees this, or is seen by what follows.
        pool.flags.fetch_add(RECLAIM, Ordering::SeqCst);
        after_rmw();
        Self(pool)
    }
}

impl<F, R, S> Drop for Attention<'_, F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    fn drop(&mut self) {
        // Release: the lanes as they were emptied, to their owners when they look at `flags` next.
        self.0.flags.fetch_sub(RECLAIM, Ordering::Release);
    }
}
