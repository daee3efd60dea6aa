//! An explicit private stash in front of a shared pool: [`Cache`].

use crate::error::AcquireError;
use crate::lane::Lane;
use crate::lease::{Lease, LeaseId, Pool, sealed::Slots};
use crate::pages::BITS;
use crate::shared::sealed::Shared;
use crate::stats::PoolStats;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;

/// How many objects released through a cache that others had acquired it keeps before it gives them back at once.
const RETURNS: u32 = BITS / 2;

/// A private stash in front of a [`SharedPool`](crate::SharedPool) or [`StaticPool`](crate::StaticPool): one for each
/// thread, interrupt handler or task.
///
/// It takes up to half of the idle objects of a group (64 slots, 32 on 32-bit targets) with **one** atomic operation, and
/// then gives them out and takes them back with plain loads and stores.
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
/// and releases all the time. A cache that is leaked keeps at most one group's objects to itself until the pool goes.
/// Memory: one line of the processor's cache. A pool without allocator has room for four at a time; those beyond work, but
/// go to the pool each time.
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
    lane: Option<NonNull<Lane>>,
    /// `Send`, but not `Sync`.
    one_thread: PhantomData<Cell<()>>,
}

// SAFETY: the lane is this cache's alone, in a pool that `P` keeps where it is; it goes where the cache goes.
unsafe impl<P> Send for Cache<P>
where
    P: Deref + Send,
    P::Target: Shared,
{
}

impl<P> Cache<P>
where
    P: Deref,
    P::Target: Shared,
{
    pub(crate) fn new(pool: P) -> Self {
        let lane = pool.claim();
        Self { pool, lane, one_thread: PhantomData }
    }

    #[inline(always)]
    fn lane(&self) -> Option<&Lane> {
        // SAFETY: a lane lives as long as its pool, which `P` holds.
        self.lane.map(|lane| unsafe { lane.as_ref() })
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
    pub fn acquire(&self) -> Result<Lease<&Self>, AcquireError<<P::Target as Shared>::Error>> {
        let (slot, object) = self.take()?;
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
    pub fn acquire_shared(&self) -> Result<Lease<P>, AcquireError<<P::Target as Shared>::Error>>
    where
        P: Clone,
    {
        let pool = self.pool.clone();
        let (slot, object) = self.take()?;
        // SAFETY: as in `acquire`; a clone holds the same pool.
        Ok(unsafe { Lease::at(pool, slot, object) })
    }

    /// As [`try_acquire`](Self::try_acquire), with a lease of the pool itself.
    #[inline(always)]
    pub fn try_acquire_shared(&self) -> Option<Lease<P>>
    where
        P: Clone,
    {
        let pool = self.pool.clone();
        let (slot, object) = self.try_take()?;
        // SAFETY: as in `acquire_shared`.
        Some(unsafe { Lease::at(pool, slot, object) })
    }

    /// Releases a lease of the pool through this cache, which gives what others had acquired back in batches. A lease of
    /// another pool goes back to that pool.
    #[inline]
    pub fn release(&self, lease: Lease<P>) {
        if !core::ptr::eq(Lease::pool(&lease), &*self.pool) {
            return drop(lease);
        }
        let (slot, object) = lease.into_slot();
        // SAFETY: the lease held the slot, whose object this is, and is gone.
        if !unsafe { self.pool.reset_slot(slot, object) } {
            return;
        }
        match self.lane() {
            Some(lane) if !self.pool.wants_attention() => {
                if !lane.push(slot) {
                    self.keep_foreign(lane, slot);
                }
            }
            _ => self.put_back(slot),
        }
    }

    /// Takes idle objects of the pool into the stash, up to `count` and to a group's worth; how many it then holds.
    pub fn fill(&self, count: usize) -> usize {
        let held = self.idle();
        let most = u32::try_from(count).unwrap_or(u32::MAX).min(BITS);
        if let Some(missing) = most.checked_sub(held as u32).filter(|&missing| missing > 0) {
            // The pool gives half of what it has, so that others find something; here all of it is asked for.
            for _ in 0..missing {
                if self.idle() >= most as usize || !self.refill(most - self.idle() as u32) {
                    break;
                }
            }
        }
        self.idle()
    }

    /// Objects in the stash.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.lane().map_or(0, |lane| lane.idle().1.count_ones() as usize)
    }

    /// Gives everything that is in the stash back to the pool, for others to use.
    pub fn flush(&self) {
        if let Some(lane) = self.lane() {
            let (group, bits) = lane.take_all();
            if bits != 0 {
                self.pool.put(group, bits);
            }
        }
    }

    #[inline(always)]
    fn try_take(&self) -> Option<(u32, NonNull<<P::Target as Pool>::Object>)> {
        if self.pool.is_closed() {
            self.flush();
            return None;
        }
        match self.lane().and_then(Lane::pop) {
            Some(popped) => Some((popped.slot, self.pool.place_of(&popped))),
            None => self.refill_and_take(),
        }
    }

    #[cold]
    #[inline(never)]
    fn refill_and_take(&self) -> Option<(u32, NonNull<<P::Target as Pool>::Object>)> {
        let Some(lane) = self.lane() else { return self.pool.take_one() };
        if !self.refill(BITS) {
            return None;
        }
        lane.pop().map(|popped| (popped.slot, self.pool.place_of(&popped)))
    }

    fn refill(&self, most: u32) -> bool {
        let Some(lane) = self.lane() else { return false };
        let Some((group, bits)) = self.pool.take_batch(most) else { return false };
        if let Some((group, bits)) = lane.add(group, bits, self.pool.base_of(group)) {
            self.pool.put(group, bits);
        }
        true
    }

    #[inline(always)]
    fn take(
        &self,
    ) -> Result<(u32, NonNull<<P::Target as Pool>::Object>), AcquireError<<P::Target as Shared>::Error>> {
        match self.try_take() {
            Some(taken) => Ok(taken),
            None => self.take_slowly(),
        }
    }

    #[cold]
    #[inline(never)]
    fn take_slowly(
        &self,
    ) -> Result<(u32, NonNull<<P::Target as Pool>::Object>), AcquireError<<P::Target as Shared>::Error>> {
        let slot = self.pool.miss()?;
        // So that what this cache had made comes back to it.
        if let Some(lane) = self.lane() {
            let (group, bit) = (slot / BITS, 1 << (slot % BITS));
            let old = lane.add(group, bit, self.pool.base_of(group));
            let popped = lane.pop_bit(bit);
            debug_assert!(popped, "it was just put in");
            if let Some((group, bits)) = old {
                self.pool.put(group, bits);
            }
        }
        // SAFETY: the pool just gave out the slot.
        Ok((slot, unsafe { self.pool.object(slot) }))
    }

    /// Stashes a slot that nobody holds any more, or puts it back into the pool.
    #[inline(always)]
    fn keep(&self, slot: u32) {
        if self.pool.wants_attention() || !self.lane().is_some_and(|lane| lane.push(slot)) {
            self.put_back(slot);
        }
    }

    /// The slot was not taken through this cache, or somebody waits, empties threads' lanes, or has closed the pool.
    // Apart, so that the rest of a release is small enough to be inlined.
    #[inline(never)]
    fn put_back(&self, slot: u32) {
        if self.pool.wants_attention() {
            self.flush();
        }
        self.pool.put(slot / BITS, 1 << (slot % BITS));
    }

    /// Collects what others had acquired, for a batch.
    fn keep_foreign(&self, lane: &Lane, slot: u32) {
        let group = slot / BITS;
        if let Some((group, bits)) = lane.add(group, 1 << (slot % BITS), self.pool.base_of(group)) {
            self.pool.put(group, bits);
        }
        if lane.idle().1.count_ones() >= RETURNS {
            lane.forget_mine();
            self.flush();
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
        if let Some(lane) = self.lane() {
            lane.disown();
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

    unsafe fn give_back(&self, slot: u32) {
        // SAFETY: the caller's promise.
        unsafe { self.give_back_at(slot, self.pool.object(slot)) }
    }

    #[inline(always)]
    unsafe fn give_back_at(&self, slot: u32, object: NonNull<<P::Target as Pool>::Object>) {
        // SAFETY: the caller's promise.
        if unsafe { self.pool.reset_slot(slot, object) } {
            self.keep(slot);
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
