//! An explicit private stash in front of a shared pool: [`Cache`].
#![deny(clippy::disallowed_types)]

use crate::error::AcquireError;
use crate::lane::Lane;
use crate::lease::{Lease, LeaseId, Pool, sealed::Slots};
use crate::lifecycle::Verdict;
use crate::pages::BITS;
use crate::shared::{MEASURED, Shared};
use crate::stats::PoolStats;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;

/// At most how many objects that others had acquired a cache collects before it gives them back at once.
const RETURNS: u32 = BITS / 2;

/// A private stash in front of a [`SharedPool`](crate::SharedPool) or [`StaticPool`](crate::StaticPool): one for each
/// thread, interrupt handler or task.
///
/// It takes what is idle of a group (64 slots, 32 on 32-bit targets), or half of it in a pool bounded to fewer than 8 groups, with
/// **one** atomic operation, and then gives it out and takes it back with plain loads and stores. What it has idle is out of
/// everybody else's reach until it is [flushed](Self::flush) or dropped: of acquires, evictions, trims and pressure.
///
/// | call | cost | progress |
/// |---|---|---|
/// | [`try_acquire`](Self::try_acquire) with something in the stash, dropping its lease | O(1), no atomic read-modify-write | wait-free |
/// | [`try_acquire`](Self::try_acquire) otherwise | O(1), one atomic | lock-free |
/// | [`acquire`](Self::acquire) | as above, or the pool's miss | |
/// | [`release`](Self::release) | O(1), one atomic for every 32 (16) objects | wait-free |
/// | [`flush`](Self::flush), dropping the cache | O(1), one atomic | wait-free |
///
/// None of them but `acquire` locks, allocates, frees or calls the system: this is for real-time threads.
///
/// What it holds counts as idle, and is nobody else's until it is [flushed](Self::flush): choose it where a thread acquires
/// and releases all the time. A cache that is leaked keeps what it holds, at most one group and a half, to itself until the
/// pool goes. Memory: two lines of the processor's cache, allocated with it. A pool without allocator has room for four
/// caches at a time, or for two that [release](Self::release) what others acquired; those beyond work, but go to the pool
/// each time.
///
/// ```
/// use pool_core::SharedPool;
/// use std::convert::Infallible;
///
/// let pool = SharedPool::new(|_: &()| Ok::<_, Infallible>(vec![0f32; 256]));
/// pool.prewarm(8)?;
/// let cache = pool.cache();
/// let mut block = cache.try_acquire().expect("eight are idle");
/// block[0] = 0.5;
/// drop(block); // back into the cache
/// # Ok::<(), pool_core::AcquireError<Infallible>>(())
/// ```
///
/// Handing objects to another thread, in batches at either end:
///
/// ```
/// use pool_core::SharedPool;
/// use std::{convert::Infallible, sync::mpsc};
///
/// let pool = SharedPool::builder(|_: &()| Ok::<_, Infallible>([0u8; 64])).max_objects(128).build();
/// let (sender, receiver) = mpsc::channel();
/// std::thread::scope(|scope| {
///     let pool = &pool;
///     scope.spawn(move || {
///         let cache = pool.cache();
///         for _ in 0..100 {
///             sender.send(cache.acquire_shared().unwrap()).unwrap();
///         }
///     });
///     scope.spawn(move || {
///         let cache = pool.cache();
///         for lease in receiver {
///             cache.release(lease);
///         }
///     });
/// });
/// assert_eq!(pool.stats().leased, 0);
/// ```
pub struct Cache<P>
where
    P: Deref,
    P::Target: Shared,
{
    pool: P,
    /// What is stashed here; a lane that nothing can be put into if there was none to be had.
    lane: NonNull<Lane>,
    has_lane: bool,
    /// Objects that others had acquired, collected for a batch; claimed when there is the first.
    returns: Cell<Option<NonNull<Lane>>>,
    /// How many more are collected before they are given back.
    room: Cell<u32>,
    /// `Send`, but not `Sync`.
    one_thread: PhantomData<Cell<()>>,
}

// SAFETY: the lanes are this cache's alone, in a pool that `P` keeps where it is; they go where the cache goes.
unsafe impl<P> Send for Cache<P>
where
    P: Deref + Send,
    P::Target: Shared,
{
}

type Taken<P> = (u32, NonNull<<<P as Deref>::Target as Pool>::Object>);
type Refused<P> = AcquireError<<<P as Deref>::Target as Shared>::Error>;

impl<P> Cache<P>
where
    P: Deref,
    P::Target: Shared,
{
    pub(crate) fn new(pool: P) -> Self {
        let (lane, has_lane) = pool.claim();
        // On the heap at once, since a release must not allocate; elsewhere when it is needed.
        let returns = if P::Target::HEAP { Some(pool.claim().0) } else { None };
        let (returns, room) = (Cell::new(returns), Cell::new(0));
        Self { pool, lane, has_lane, returns, room, one_thread: PhantomData }
    }

    #[inline(always)]
    fn lane(&self) -> &Lane {
        // SAFETY: a lane lives as long as its pool, which `P` holds.
        unsafe { self.lane.as_ref() }
    }

    fn returns(&self) -> Option<&Lane> {
        // SAFETY: as above.
        self.returns.get().map(|lane| unsafe { lane.as_ref() })
    }

    /// The pool behind it.
    #[must_use]
    pub fn pool(this: &Self) -> &P::Target {
        &this.pool
    }

    /// Takes an object: from the stash, from the pool, or a new one. The lease is bound to this thread.
    ///
    /// # Errors
    ///
    /// [`AcquireError`], as the pool's `acquire`.
    #[inline(always)]
    pub fn acquire(&self) -> Result<Lease<&Self>, Refused<P>> {
        let (slot, object) = match self.try_take() {
            Some(taken) => taken,
            None => {
                let slot = self.make()?;
                // SAFETY: the slot is this cache's for the lease.
                (slot, unsafe { self.pool.object(slot) })
            }
        };
        // SAFETY: the slot was just taken for this lease; `P` keeps its object in place.
        Ok(unsafe { Lease::at(self, slot, object) })
    }

    /// Takes an idle object from the stash or from the pool. Never creates, locks, allocates or calls the system.
    #[inline(always)]
    pub fn try_acquire(&self) -> Option<Lease<&Self>> {
        let (slot, object) = self.try_take()?;
        // SAFETY: as in `acquire`.
        Some(unsafe { Lease::at(self, slot, object) })
    }

    /// As [`acquire`](Self::acquire), with a lease of the pool itself: it may be sent to another thread and is released
    /// there, into the pool, or by [`release`](Self::release) through that thread's cache.
    ///
    /// # Errors
    ///
    /// [`AcquireError`], as the pool's `acquire`.
    #[inline(always)]
    pub fn acquire_shared(&self) -> Result<Lease<P>, Refused<P>>
    where
        P: Clone,
    {
        let (slot, object) = match self.try_take() {
            Some(taken) => taken,
            None => {
                let slot = self.make()?;
                // SAFETY: the slot is this cache's for the lease.
                (slot, unsafe { self.pool.object(slot) })
            }
        };
        // SAFETY: as in `acquire`; a clone holds the same pool.
        Ok(unsafe { Lease::at(self.pool.clone(), slot, object) })
    }

    /// As [`try_acquire`](Self::try_acquire), with a lease of the pool itself.
    #[inline(always)]
    pub fn try_acquire_shared(&self) -> Option<Lease<P>>
    where
        P: Clone,
    {
        let (slot, object) = self.try_take()?;
        // SAFETY: as in `acquire_shared`.
        Some(unsafe { Lease::at(self.pool.clone(), slot, object) })
    }

    /// Releases a lease of the pool through this cache, which gives what others had acquired back in batches of at most
    /// half a group, and of at most a quarter of the objects that the pool may have. A lease of another pool goes back to
    /// that pool.
    #[inline(always)]
    pub fn release(&self, lease: Lease<P>) {
        if !core::ptr::eq(Lease::pool(&lease), &*self.pool) {
            return drop(lease);
        }
        let (slot, object) = lease.into_slot();
        // SAFETY: the lease held the slot, whose object this is, and is gone.
        if unsafe { self.pool.reset_only(slot, object) } == Verdict::Discard {
            self.pool.spend(slot);
        } else if self.pool.flags() != 0 || !(self.lane().push(slot) || self.collect_quickly(slot)) {
            self.release_slowly(slot);
        }
    }

    /// Takes idle objects of the pool into the stash, up to `count` and to a group's worth; how many it then holds. It
    /// holds objects of one group, so another group's only take the place of what it has if they are more.
    pub fn fill(&self, count: usize) -> usize {
        let most = u32::try_from(count).unwrap_or(u32::MAX).min(BITS);
        let held = self.idle() as u32;
        if !self.has_lane || most <= held {
            return held as usize;
        }
        let (group, bits) = self.lane().idle();
        if bits != 0 {
            self.adopt(group, self.pool.take_of_group(group, most - held));
        }
        let held = self.lane().idle().1.count_ones();
        // What waits for its batch stays, and counts.
        let most = most - (self.idle() as u32 - held).min(most);
        if held < most
            && let Some((group, bits)) = self.pool.take_batch(most, false)
        {
            if bits.count_ones() > held {
                self.adopt(group, bits);
            } else {
                self.pool.put(group, bits);
            }
        }
        self.idle()
    }

    /// Objects in the stash, those that wait for their batch included.
    #[must_use]
    pub fn idle(&self) -> usize {
        let count = |lane: &Lane| lane.idle().1.count_ones() as usize;
        count(self.lane()) + self.returns().map_or(0, count)
    }

    /// Gives everything that is in the stash back to the pool, for others to use.
    pub fn flush(&self) {
        self.room.set(0);
        if self.has_lane {
            self.empty(self.lane());
        }
        if let Some(returns) = self.returns() {
            self.empty(returns);
        }
    }

    fn empty(&self, lane: &Lane) {
        let (group, bits) = lane.take_all();
        if bits != 0 {
            self.pool.put(group, bits);
        }
    }

    #[inline(always)]
    fn try_take(&self) -> Option<Taken<P>> {
        if self.pool.flags() <= MEASURED
            && let Some(popped) = self.lane().pop()
        {
            return Some((popped.slot, self.pool.place_of(&popped)));
        }
        self.take_elsewhere()
    }

    #[cold]
    #[inline(never)]
    fn take_elsewhere(&self) -> Option<Taken<P>> {
        if self.pool.is_closed() {
            self.flush();
            return None;
        }
        if !self.has_lane {
            self.flush();
            return self.pool.take_one();
        }
        if let Some(popped) = self.lane().pop() {
            return Some((popped.slot, self.pool.place_of(&popped)));
        }
        if self.pool.flags() > MEASURED {
            // Somebody waits: one, and no batch.
            self.flush();
            return self.pool.take_one();
        }
        // What others had acquired and was released here is the warmest there is.
        if let Some(returns) = self.returns() {
            self.room.set(0);
            let (group, bits) = returns.take_all();
            if bits != 0 {
                self.adopt(group, bits);
            }
        }
        if self.lane().idle().1 == 0 && !self.refill() {
            return None;
        }
        self.lane().pop().map(|popped| (popped.slot, self.pool.place_of(&popped)))
    }

    fn refill(&self) -> bool {
        let Some((group, bits)) = self.pool.take_batch(BITS, true) else { return false };
        self.adopt(group, bits);
        true
    }

    fn adopt(&self, group: u32, bits: usize) {
        if let Some((group, bits)) = self.lane().add(group, bits, self.pool.base_of(group)) {
            self.pool.put(group, bits);
        }
    }

    #[cold]
    #[inline(never)]
    fn make(&self) -> Result<u32, Refused<P>> {
        let slot = self.pool.miss()?;
        // So that what this cache had made comes back to it.
        if self.has_lane {
            let (group, bit) = (slot / BITS, 1 << (slot % BITS));
            let other = self.lane().add(group, bit, self.pool.base_of(group));
            let popped = self.lane().pop_bit(bit);
            debug_assert!(popped, "it was just put in");
            // Last, for it may run a waker, and that may use this cache.
            if let Some((group, bits)) = other {
                self.pool.put(group, bits);
            }
        }
        Ok(slot)
    }

    /// Collects what others had acquired, for a batch; false if that is to be begun or ended.
    #[inline(always)]
    fn collect_quickly(&self, slot: u32) -> bool {
        let room = self.room.get();
        if room == 0 {
            return false;
        }
        let Some(returns) = self.returns() else { return false };
        if let Some((group, bits)) = returns.collect(slot) {
            self.pool.put(group, bits);
        }
        self.room.set(room - 1);
        true
    }

    /// A batch begins with this one, or ends.
    fn collect(&self, slot: u32) {
        if self.returns().is_none()
            && self.has_lane
            && let (lane, true) = self.pool.claim()
        {
            self.returns.set(Some(lane));
        }
        let Some(returns) = self.returns() else {
            return self.pool.put(slot / BITS, 1 << (slot % BITS));
        };
        if let Some((group, bits)) = returns.collect(slot) {
            self.pool.put(group, bits);
        }
        match self.room.get() {
            0 => {
                self.room.set(usize::min(self.pool.bound() / 4, RETURNS as usize) as u32);
                self.empty(returns);
            }
            room => self.room.set(room - 1),
        }
    }

    /// What is left to do with a slot that was reset and is not in the lane; false if that is nothing.
    fn settle(&self, slot: u32) -> bool {
        if !self.pool.settle_reset(slot) {
            return false;
        }
        if self.pool.flags() > MEASURED {
            // Somebody waits, empties threads' lanes, or has closed the pool.
            self.flush();
            self.pool.put(slot / BITS, 1 << (slot % BITS));
            return false;
        }
        !self.lane().push(slot)
    }

    #[inline(never)]
    fn give_back_slowly(&self, slot: u32) {
        if self.settle(slot) {
            self.pool.put(slot / BITS, 1 << (slot % BITS));
        }
    }

    #[inline(never)]
    fn release_slowly(&self, slot: u32) {
        if self.settle(slot) {
            self.collect(slot);
        }
    }
}

impl<P> Drop for Cache<P>
where
    P: Deref,
    P::Target: Shared,
{
    fn drop(&mut self) {
        self.flush();
        if self.has_lane {
            self.lane().disown();
        }
        if let Some(returns) = self.returns() {
            returns.disown();
        }
    }
}

impl<P> Slots<<P::Target as Pool>::Object> for Cache<P>
where
    P: Deref,
    P::Target: Shared,
{
    unsafe fn object(&self, slot: u32) -> NonNull<<P::Target as Pool>::Object> {
        // SAFETY: the caller's promise.
        unsafe { self.pool.object(slot) }
    }

    #[inline(always)]
    fn calls_users(&self) -> bool {
        self.pool.calls_users()
    }

    unsafe fn give_back(&self, slot: u32) {
        // SAFETY: the caller's promise.
        unsafe { self.give_back_at(slot, self.pool.object(slot)) }
    }

    #[inline(always)]
    unsafe fn give_back_at(&self, slot: u32, object: NonNull<<P::Target as Pool>::Object>) {
        // SAFETY: the caller's promise.
        if unsafe { self.pool.reset_only(slot, object) } == Verdict::Discard {
            return self.pool.spend(slot);
        }
        // Little code, as in `SharedPool`.
        if self.pool.flags() != 0 || !self.lane().push(slot) {
            self.give_back_slowly(slot);
        }
    }

    unsafe fn destroy(&self, slot: u32) {
        // SAFETY: the caller's promise.
        unsafe { self.pool.destroy(slot) }
    }

    unsafe fn take_out(&self, slot: u32) -> <P::Target as Pool>::Object {
        // SAFETY: the caller's promise.
        unsafe { self.pool.take_out(slot) }
    }

    unsafe fn to_id(&self, slot: u32) -> LeaseId {
        // SAFETY: the caller's promise.
        unsafe { self.pool.to_id(slot) }
    }
}

/// All of this is the pool's; what the stash holds counts as idle there.
impl<P> Pool for Cache<P>
where
    P: Deref,
    P::Target: Shared,
{
    type Object = <P::Target as Pool>::Object;

    fn stats(&self) -> PoolStats {
        self.pool.stats()
    }

    /// Flushes first.
    fn trim(&self, target: usize) -> usize {
        self.flush();
        self.pool.trim(target)
    }

    /// Flushes first.
    fn close(&self) {
        self.flush();
        self.pool.close();
    }

    fn is_closed(&self) -> bool {
        self.pool.is_closed()
    }
}

/// `Cache(3 idle)`
impl<P> fmt::Debug for Cache<P>
where
    P: Deref,
    P::Target: Shared,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cache({} idle)", self.idle())
    }
}
