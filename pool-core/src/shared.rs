//! Objects that are all alike, for many threads: [`SharedPool`] and [`StaticPool`].
//!
//! # Algorithm
//!
//! Slots in groups of as many as a word has bits, and a word of *idle* bits for each group (`pages.rs` draws it). An
//! acquire clears the lowest bit of a group that has one, with a compare-and-swap; a release sets the bit, with one atomic
//! `or`, whatever other threads do: it is wait-free. There is no pointer in this, so there is no ABA problem, and no field
//! in a slot that two threads write. How many objects are idle is counted when somebody asks.
//!
//! In front of that a thread can keep a few objects for itself, in a lane (`lane.rs`): by a [`Cache`] that it holds, or,
//! with `std` on Linux, without knowing it. Acquire and release are then plain loads and stores.
//!
//! `flags` is zero nearly always. It tells who is about to keep something for itself, or has just made something idle, that
//! somebody waits for it, is emptying the lanes, or has closed the pool. Where two sides each write and then look at
//! what the other wrote, `sync.rs` says why at least one of them sees it.
//!
//! # Who may do what
//!
//! | path | locks, allocates, frees, calls the system |
//! |---|---|
//! | [`try_acquire`](SharedPool::try_acquire), dropping a lease, [`release`](SharedPool::release) | never; a release wakes who waits, if somebody does |
//! | [`acquire`](SharedPool::acquire) with something idle | never |
//! | [`acquire`](SharedPool::acquire) otherwise | empties other threads' caches, destroys what is doomed, creates, grows |
//!
//! An object that must not be used again is *doomed* by its release, and destroyed by the next miss, `trim`, `maintain`,
//! `close` or by the end of the pool. Until then it counts as idle.
//!
//! # Measured and rejected
//!
//! On an AMD EPYC with two processors, November 2026, one thread: pair and burst of 64 in multiples of crossbeam's
//! `ArrayQueue` in the same run (8.9 ns and 8.3 ns a pair).
//!
//! | design | pair | burst |
//! |---|---|---|
//! | **bitmap, compare-and-swap to acquire** | 0.53 | 0.65 |
//! | bitmap, atomic `and` to acquire | 0.58 | 0.71 |
//! | a state byte per slot, a hint to the last one, release by a plain store | 0.24 | 1.98 |
//! | a state word per slot, a ring of 64 hints, release by a plain store | 0.55 | 0.47 |
//! | **a thread's lane in front, checked for `flags`** | 0.24-0.28 | 0.33 |
//! | **a lane with a handle** | 0.12-0.15 | 0.20 |
//!
//! A state per slot saves one read-modify-write of two, but has to be scanned: a scan that finds nothing is no
//! proof that nothing was idle, since objects come and go behind its back. A word of bits is looked at all at once. And the
//! lane in front is faster than either.

use crate::account::{Account, Claim};
use crate::cache::Cache;
use crate::create::{Made, create, recharge};
use crate::error::{AcquireError, ReleaseError};
use crate::held::Held;
use crate::lane::{Lane, Owner, Popped};
use crate::lease::{Lease, LeaseId, Pool, next_pool_id, sealed::Slots};
use crate::lifecycle::{Factory, KeepAll, Resetter, Verdict};
use crate::pages::{BITS, Kind, Pages, groups};
#[cfg(feature = "alloc")]
use crate::slots::Growing;
use crate::slots::{Fixed, Storage};
use crate::stats::PoolStats;
use crate::sync::{AtomicUsize, Count, Count32, Count64, Ordering, after_rmw};
use crate::wait::{Acquire, WaitQueue};
use core::fmt;
use core::mem;
use core::ptr::NonNull;

/// A [`SharedPool`] of at most `N` objects that lives in a `static` and needs no allocator.
///
/// The same pool, with its slots inside: on a core without compare-and-swap (Cortex-M0) by way of the program's
/// `critical-section`. Leases of a `static` are `'static` and can go anywhere.
///
/// Memory beside the objects: 16 bytes a slot on 32-bit targets, 24 on 64-bit ones, and four lanes for [`Cache`]s.
///
/// ```
/// use pool_core::StaticPool;
/// use std::convert::Infallible;
///
/// fn frame(_: &()) -> Result<[u8; 256], Infallible> { Ok([0; 256]) }
/// static FRAMES: StaticPool<fn(&()) -> Result<[u8; 256], Infallible>, 8> = StaticPool::const_new(frame);
///
/// FRAMES.prewarm(8)?;
/// let mut frame = FRAMES.try_acquire().expect("eight are idle"); // in an interrupt handler, say
/// frame[0] = 0x7e;
/// # Ok::<(), pool_core::AcquireError<Infallible>>(())
/// ```
pub type StaticPool<F, const N: usize, R = KeepAll> = SharedPool<F, R, Fixed<N>>;

#[cfg(feature = "alloc")]
type DefaultStorage = Growing;
#[cfg(not(feature = "alloc"))]
type DefaultStorage = Fixed<32>;

/// A pool of objects that are all alike, for many threads.
///
/// | call | cost | progress | may call |
/// |---|---|---|---|
/// | [`try_acquire`](Self::try_acquire), [`acquire`](Self::acquire) (hit) | O(1) | lock-free; through a [`Cache`] that has something, wait-free | |
/// | [`acquire`](Self::acquire) (miss) | O(1) and the factory; O(slots / 64) if it fails because the pool is full | waits for a moment on threads that are using their own caches | factory, event handler, destructors |
/// | dropping a lease | O(1) | wait-free, but for the resetter | resetter; `measure` if bytes are bounded; a waker if somebody waits |
/// | [`acquire_timeout`](Self::acquire_timeout) | | blocks | as a miss |
/// | [`acquire_async`](Self::acquire_async) | | suspends | as a miss |
/// | [`trim`](Self::trim), [`maintain`](Self::maintain) | O(slots / 64), O(1) per object | | destructors |
/// | [`stats`](Self::stats) | O(slots) | | |
///
/// Which object comes next: of those that the thread gave back itself the one in the lowest slot, else the lowest slot of
/// the group used last. So few objects are kept busy and the rest stay cold, but the order in which they were
/// released is not kept; [`trim`](Self::trim) destroys the highest slots first. [`LocalPool`](crate::LocalPool) and
/// [`KeyedPool`](crate::KeyedPool) have exact orders.
///
/// Memory beside the objects: 8.4 bytes a slot on 64-bit targets, and as much again where tokens are used.
///
/// # Threads' own caches
///
/// With `std` on Linux, each thread keeps objects that it acquired and gave back for its next acquire, up to 64 a pool and
/// 16 pools a thread. They count as idle. [`acquire`](Self::acquire) on another thread takes them when it finds nothing
/// else, and takes over what an ended thread left, so no object is made that is not needed and the bound on objects holds
/// exactly; [`try_acquire`](Self::try_acquire), which never calls the system, does not see what other threads keep.
/// [`SharedPoolBuilder::thread_caches`] turns them off.
///
/// # What is approximate
///
/// `created`, `leased`, `idle`, `destroyed`, `detached` and bytes are exact whenever no call is in progress. `hits` may miss
/// some that happened on two threads at the same time; `peak_leased` is what was seen by a miss or by
/// [`stats`](Self::stats), at least; objects that other threads acquire and release meanwhile may count as either.
///
/// # When to choose it
///
/// For objects that threads share, or hand to one another. [`LocalPool`](crate::LocalPool) is faster on one thread and has
/// an exact order; a [`Cache`] in front of this pool is as fast, and wait-free.
///
/// ```
/// use pool_core::{SharedPool, Verdict};
/// use std::convert::Infallible;
///
/// let pool = SharedPool::builder(|_: &()| Ok::<_, Infallible>(Vec::<u8>::with_capacity(4096)))
///     .resetter(|buffer: &mut Vec<u8>| { buffer.clear(); Verdict::Keep })
///     .max_objects(64)
///     .build();
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| {
///             let mut buffer = pool.acquire().unwrap();
///             buffer.extend_from_slice(b"hello");
///         });
///     }
/// });
/// let stats = pool.stats();
/// assert!(stats.created <= 4 && stats.leased == 0);
/// ```
///
/// An object that must not be seen by two threads at once is not:
///
/// ```compile_fail,E0277
/// use pool_core::SharedPool;
/// use std::{cell::Cell, convert::Infallible};
/// let pool = SharedPool::new(|_: &()| Ok::<_, Infallible>(Cell::new(0)));
/// let lease = pool.acquire().unwrap();
/// std::thread::scope(|scope| {
///     scope.spawn(|| lease.set(1)); // `&Lease` gives `&Cell`, which is not `Sync`
///     lease.set(2);
/// });
/// ```
///
/// And one that must stay on its thread stays there:
///
/// ```compile_fail,E0277
/// use pool_core::SharedPool;
/// use std::{convert::Infallible, rc::Rc};
/// let pool = SharedPool::new(|_: &()| Ok::<_, Infallible>(Rc::new(0)));
/// std::thread::scope(|scope| {
///     scope.spawn(|| drop(pool.acquire())); // the pool is not `Sync`
/// });
/// ```
pub struct SharedPool<F, R = KeepAll, S = DefaultStorage>
where
    F: Factory,
    S: Storage,
{
    /// Zero, or what [`MEASURED`], [`RECLAIM`], [`WAITER`] and [`CLOSED`] say: a release that finds zero has nothing to do
    /// but to reset and to put back.
    pub(crate) flags: AtomicUsize,
    hot: Hot,
    pages: S::Pages<F::Object>,
    factory: F,
    resetter: R,
    account: Option<Account>,
    max_objects: usize,
    max_retained_bytes: usize,
    id: Count32,
    #[cfg(feature = "std")]
    serial: Count64,
    #[cfg(feature = "std")]
    thread_caches: bool,
    /// Objects that exist, are being made or destroyed.
    objects: AtomicUsize,
    /// Slots with a doomed bit.
    doomed: AtomicUsize,
    /// Changes while somebody holds the pool's attention and something becomes idle.
    version: AtomicUsize,
    pub(crate) waiters: WaitQueue,
    counts: Counts,
}

/// What each acquire and release of the pages may write: apart from what those of lanes read.
#[cfg_attr(target_pointer_width = "64", repr(align(64)))]
struct Hot {
    hits: Count,
}

/// In `flags` of a pool whose objects are measured as they come back, from the start. More than this, and somebody
/// wants attention.
pub(crate) const MEASURED: usize = 1;
/// Added to `flags` by who is emptying other threads' lanes.
const RECLAIM: usize = 2;
/// Added to `flags` by each that waits for an object.
pub(crate) const WAITER: usize = 1 << (usize::BITS / 2 - 2);
/// Set in `flags` once the pool is closed.
const CLOSED: usize = 1 << (usize::BITS - 1);
/// A pool that may have this many objects has enough for several caches to fill themselves.
const PLENTY: usize = 8 * BITS as usize;
/// How often an acquire looks again before it says that the pool is full.
#[cfg(not(pool_core_loom))]
const LOOKS: u32 = 64;
/// Few, so that models end.
#[cfg(pool_core_loom)]
const LOOKS: u32 = 2;

/// What only the slow paths change.
struct Counts {
    created: Count64,
    evicted: Count64,
    discarded: Count64,
    detached: Count64,
    misses: Count64,
    bytes: Count,
    peak_bytes: Count,
    peak_leased: Count,
    /// Idle objects that `retain` looks at, and their bytes.
    inspected: Count,
    inspected_bytes: Count,
}

impl Counts {
    /// Objects that exist.
    fn there(&self) -> usize {
        // Those that went first, so that there are not more of them than were created.
        let gone = self.evicted.load(Ordering::Relaxed)
            + self.discarded.load(Ordering::Relaxed)
            + self.detached.load(Ordering::Relaxed);
        usize::try_from(self.created.load(Ordering::Relaxed).saturating_sub(gone)).unwrap_or(usize::MAX)
    }
}

/// Why an object leaves the pool.
#[derive(Clone, Copy)]
enum Leave {
    Evicted,
    Discarded,
    Detached,
}

// SAFETY: everything of the pool but the objects is atomic or `Sync` by these bounds. A slot's object is only ever
// touched by who holds the slot; objects move between threads, one at a time, so `Send` is what they need.
unsafe impl<F, R, S> Sync for SharedPool<F, R, S>
where
    F: Factory<Object: Send> + Sync,
    R: Sync,
    S: Storage,
{
}

// SAFETY: the pool owns its objects, the factory and the resetter; the rest goes anywhere.
unsafe impl<F, R, S> Send for SharedPool<F, R, S>
where
    F: Factory<Object: Send> + Send,
    R: Send,
    S: Storage,
{
}

/// Builds a [`SharedPool`].
#[must_use = "a builder makes nothing until `build`"]
pub struct SharedPoolBuilder<F, R = KeepAll> {
    factory: F,
    resetter: R,
    max_objects: usize,
    max_retained_bytes: usize,
    account: Option<Account>,
    #[cfg(feature = "std")]
    thread_caches: bool,
}

impl<F: Factory> SharedPoolBuilder<F> {
    /// A pool of what `factory` makes, without bounds.
    pub fn new(factory: F) -> Self {
        Self {
            factory,
            resetter: KeepAll,
            max_objects: usize::MAX,
            max_retained_bytes: usize::MAX,
            account: None,
            #[cfg(feature = "std")]
            thread_caches: true,
        }
    }
}

impl<F, R> SharedPoolBuilder<F, R>
where
    F: Factory,
    R: Resetter<F::Object>,
{
    /// What brings a released object back to its first state, on the thread that releases it. Default: nothing does,
    /// [`KeepAll`].
    pub fn resetter<R2: Resetter<F::Object>>(self, resetter: R2) -> SharedPoolBuilder<F, R2> {
        SharedPoolBuilder {
            factory: self.factory,
            resetter,
            max_objects: self.max_objects,
            max_retained_bytes: self.max_retained_bytes,
            account: self.account,
            #[cfg(feature = "std")]
            thread_caches: self.thread_caches,
        }
    }

    /// The account that the objects' bytes are charged to. Default: none.
    pub fn account(mut self, account: Account) -> Self {
        self.account = Some(account);
        self
    }

    /// Most objects, leased, idle and doomed. An acquire beyond fails, or waits.
    pub fn max_objects(mut self, objects: usize) -> Self {
        self.max_objects = objects;
        self
    }

    /// Bytes above which a released object is discarded.
    pub fn max_retained_bytes(mut self, bytes: usize) -> Self {
        self.max_retained_bytes = bytes;
        self
    }

    /// Whether threads may keep a few objects for themselves, see [`SharedPool`]. Default: yes, where the system can
    /// do it. A pool with fixed storage has none.
    #[cfg(feature = "std")]
    pub fn thread_caches(mut self, wanted: bool) -> Self {
        self.thread_caches = wanted;
        self
    }

    /// A pool that grows on the heap.
    #[cfg(feature = "alloc")]
    pub fn build(self) -> SharedPool<F, R, Growing> {
        let limit = self.max_objects.min(Growing::MAX_SLOTS);
        self.build_in(crate::pages::Chunks::new(limit))
    }

    /// A pool of at most `N` objects that needs no allocator.
    pub fn build_fixed<const N: usize>(self) -> StaticPool<F, N, R> {
        self.build_in(crate::pages::Inside::new())
    }

    fn build_in<S: Storage>(self, pages: S::Pages<F::Object>) -> SharedPool<F, R, S> {
        let mut pool = SharedPool::of(self.factory, self.resetter, self.account, pages);
        pool.max_objects = self.max_objects.min(S::MAX_SLOTS);
        pool.max_retained_bytes = self.max_retained_bytes;
        if self.max_retained_bytes != usize::MAX {
            pool.flags.fetch_or(MEASURED, Ordering::Relaxed);
        }
        #[cfg(feature = "std")]
        {
            pool.thread_caches = self.thread_caches && S::THREAD_CACHES && crate::sync::heavy_works();
        }
        pool
    }
}

#[cfg(feature = "alloc")]
impl<F: Factory> SharedPool<F> {
    /// A pool of what `factory` makes, without bounds, on the heap.
    pub fn new(factory: F) -> Self {
        Self::builder(factory).build()
    }

    /// A pool with bounds, a resetter or an account.
    pub fn builder(factory: F) -> SharedPoolBuilder<F> {
        SharedPoolBuilder::new(factory)
    }
}

#[cfg(not(pool_core_loom))]
impl<F: Factory, const N: usize> SharedPool<F, KeepAll, Fixed<N>> {
    /// A pool of at most `N` objects that `factory` makes, for a `static`.
    pub const fn const_new(factory: F) -> Self {
        Self::const_with_resetter(factory, KeepAll)
    }
}

#[cfg(not(pool_core_loom))]
impl<F: Factory, R, const N: usize> SharedPool<F, R, Fixed<N>> {
    /// The same with a resetter.
    pub const fn const_with_resetter(factory: F, resetter: R) -> Self {
        Self::of(factory, resetter, None, crate::pages::Inside::new())
    }

    /// The same with a resetter and an account, such as that of a [`Ledger`](crate::Ledger) in a `static`.
    pub const fn const_with_account(factory: F, resetter: R, account: Account) -> Self {
        Self::of(factory, resetter, Some(account), crate::pages::Inside::new())
    }
}

impl<F, R, S> SharedPool<F, R, S>
where
    F: Factory,
    S: Storage,
{
    crate::sync::const_fn! {
        fn of(factory: F, resetter: R, account: Option<Account>, pages: S::Pages<F::Object>) -> Self {
            Self {
                flags: AtomicUsize::new(if account.is_some() { MEASURED } else { 0 }),
                hot: Hot { hits: Count::new(0) },
                pages,
                factory,
                resetter,
                account,
                max_objects: S::MAX_SLOTS,
                max_retained_bytes: usize::MAX,
                id: Count32::new(0),
                #[cfg(feature = "std")]
                serial: Count64::new(0),
                #[cfg(feature = "std")]
                thread_caches: false,
                objects: AtomicUsize::new(0),
                doomed: AtomicUsize::new(0),
                version: AtomicUsize::new(0),
                waiters: WaitQueue::new(),
                counts: Counts {
                    created: Count64::new(0),
                    evicted: Count64::new(0),
                    discarded: Count64::new(0),
                    detached: Count64::new(0),
                    misses: Count64::new(0),
                    bytes: Count::new(0),
                    peak_bytes: Count::new(0),
                    peak_leased: Count::new(0),
                    inspected: Count::new(0),
                    inspected_bytes: Count::new(0),
                },
            }
        }
    }
}

// What users call.
impl<F, R, S> SharedPool<F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    /// Takes an object: an idle one, or a new one.
    ///
    /// # Errors
    ///
    /// [`AcquireError`]: closed, too many objects out, over budget, or the factory's own error.
    #[inline(always)]
    pub fn acquire(&self) -> Result<Lease<&Self>, AcquireError<F::Error>> {
        let (slot, object) = match self.take() {
            Some(taken) => taken,
            None => self.take_slowly()?,
        };
        // SAFETY: the slot is the caller's, for this lease; `&self` keeps its object in place.
        Ok(unsafe { Lease::at(self, slot, object) })
    }

    /// Takes an idle object, if there is one. Never creates, locks, allocates or calls the system.
    ///
    /// `None` is no proof that nothing was idle in a pool of more slots than a word has bits: an object that was
    /// released while this looked may have been missed, and so is what another thread keeps for itself.
    #[inline(always)]
    pub fn try_acquire(&self) -> Option<Lease<&Self>> {
        let (slot, object) = self.take()?;
        // SAFETY: as in `acquire`.
        Some(unsafe { Lease::at(self, slot, object) })
    }

    /// As [`acquire`](Self::acquire), with a lease that shares the pool and so may outlive this handle to it.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
    pub fn acquire_owned(
        self: &alloc::sync::Arc<Self>,
    ) -> Result<Lease<alloc::sync::Arc<Self>>, AcquireError<F::Error>> {
        self.acquire().map(|lease| self.own(lease))
    }

    /// As [`try_acquire`](Self::try_acquire), with a lease that shares the pool.
    #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
    pub fn try_acquire_owned(self: &alloc::sync::Arc<Self>) -> Option<Lease<alloc::sync::Arc<Self>>> {
        self.try_acquire().map(|lease| self.own(lease))
    }

    #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
    fn own(self: &alloc::sync::Arc<Self>, lease: Lease<&Self>) -> Lease<alloc::sync::Arc<Self>> {
        lease.with_pool(|_| alloc::sync::Arc::clone(self))
    }

    /// Turns a token back into a lease. Other copies of the token are stale from then on. O(1), lock-free; of two
    /// threads that redeem the same token one gets the lease.
    ///
    /// # Errors
    ///
    /// [`ReleaseError`] if the token is of another pool, or its object is no longer out under it.
    pub fn redeem(&self, id: LeaseId) -> Result<Lease<&Self>, ReleaseError> {
        let expected = self.id();
        if id.pool != expected {
            return Err(ReleaseError::Foreign { pool: id.pool, expected });
        }
        match self.pages.known_tag(id.slot) {
            // SAFETY: the slot was out under this token, and only one redeems it.
            Some(tag) if tag.redeem(id.generation) => {
                Ok(unsafe { Lease::at(self, id.slot, self.pages.object(id.slot)) })
            }
            _ => Err(ReleaseError::Stale { slot: id.slot, generation: id.generation }),
        }
    }

    /// As [`redeem`](Self::redeem), with a lease that shares the pool.
    ///
    /// # Errors
    ///
    /// As [`redeem`](Self::redeem).
    #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
    pub fn redeem_owned(
        self: &alloc::sync::Arc<Self>,
        id: LeaseId,
    ) -> Result<Lease<alloc::sync::Arc<Self>>, ReleaseError> {
        self.redeem(id).map(|lease| self.own(lease))
    }

    /// Releases the object that a token names. O(1), lock-free.
    ///
    /// # Errors
    ///
    /// [`ReleaseError`]: the second release of a token, or a token of another pool; nothing is changed by it.
    pub fn release(&self, id: LeaseId) -> Result<(), ReleaseError> {
        self.redeem(id).map(drop)
    }

    /// Waits for an object if the pool is full; those that wait are served in the order in which they began to.
    ///
    /// The future is of no executor, needs no allocator, and may be dropped at any time: nothing is lost, and who comes
    /// next is woken. It does what [`acquire`](Self::acquire) does as soon as an object or room for one is there. An
    /// `acquire` that does not wait may come in between; what a [`Cache`] keeps for itself is not waited for, only what it
    /// gives back.
    ///
    /// Polling takes a lock for a few instructions, so it is not for real-time threads, nor for an interrupt handler
    /// that may interrupt another poll of the same pool's futures.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire), but for [`AcquireError::Exhausted`].
    ///
    /// ```
    /// use pool_core::SharedPool;
    /// use std::{convert::Infallible, future::Future, pin::pin, task::{Context, Poll, Waker}};
    ///
    /// let pool = SharedPool::builder(|_: &()| Ok::<_, Infallible>([0u8; 64])).max_objects(1).build();
    /// let first = pool.acquire()?;
    /// let mut second = pin!(pool.acquire_async());
    /// let mut context = Context::from_waker(Waker::noop());
    /// assert!(second.as_mut().poll(&mut context).is_pending());
    /// drop(first);
    /// assert!(matches!(second.as_mut().poll(&mut context), Poll::Ready(Ok(_))));
    /// # Ok::<(), pool_core::AcquireError<Infallible>>(())
    /// ```
    pub fn acquire_async(&self) -> Acquire<'_, F, R, S> {
        Acquire::new(self)
    }

    /// Blocks until there is an object, at most for `timeout`; first come, first served.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire); [`AcquireError::TimedOut`] if the pool was full all the time.
    #[cfg(feature = "std")]
    pub fn acquire_timeout(
        &self,
        timeout: core::time::Duration,
    ) -> Result<Lease<&Self>, AcquireError<F::Error>> {
        crate::wait::block(self, timeout)
    }

    /// A private stash in front of the pool, for one thread: acquire and release are plain loads and stores.
    pub fn cache(&self) -> Cache<&Self> {
        Cache::new(self)
    }

    /// The same, sharing the pool.
    #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
    pub fn cache_owned(self: &alloc::sync::Arc<Self>) -> Cache<alloc::sync::Arc<Self>> {
        Cache::new(alloc::sync::Arc::clone(self))
    }

    /// Makes idle objects until there are at least `count`. Returns how many were made.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire); what was made before the error stays.
    pub fn prewarm(&self, count: usize) -> Result<usize, AcquireError<F::Error>> {
        self.destroy_doomed(usize::MAX);
        let missing = count.saturating_sub(self.count_idle());
        for _ in 0..missing {
            let slot = self.create_slot()?;
            self.put_shared(slot);
        }
        Ok(missing)
    }

    /// Destroys idle objects, those in the highest slots first, until at most `target` are idle; what is doomed goes in
    /// any case. Returns how many were destroyed.
    pub fn trim(&self, target: usize) -> usize {
        self.empty_lanes(true);
        let mut destroyed = self.destroy_doomed(usize::MAX);
        // Again, if a destructor has released something; but not for ever, if other threads do.
        for _ in 0..LOOKS {
            let surplus = self.count_idle().saturating_sub(target);
            if surplus == 0 {
                break;
            }
            for _ in 0..surplus {
                let Some(slot) = self.take_highest(Kind::Idle) else { break };
                destroyed += 1;
                self.destroy_slot(slot, Leave::Evicted);
            }
        }
        destroyed
    }

    /// Destroys the idle objects that `keep` refuses. Returns how many.
    ///
    /// The predicate sees each object that stays idle until its turn once, in the order of slots. It may use the pool;
    /// the object that it looks at is not handed out meanwhile, the others are.
    pub fn retain(&self, mut keep: impl FnMut(&F::Object) -> bool) -> usize {
        self.empty_lanes(true);
        let mut destroyed = 0;
        for group in 0..groups(self.pages.reached()) {
            let mut seen = self.pages.word(Kind::Idle, group).load(Ordering::Relaxed);
            while seen != 0 {
                let bit = seen & seen.wrapping_neg();
                seen &= !bit;
                if !self.clear(Kind::Idle, group, bit) {
                    continue;
                }
                let slot = group * BITS + bit.trailing_zeros();
                self.count_inspected(slot, true);
                // Idle again if the predicate panics.
                let inspected = Held { pool: self, slot, abandon: Self::put_inspected };
                // SAFETY: its idle bit was just cleared, so only this shared reference to its object exists until the
                // predicate returns.
                let kept = keep(unsafe { self.pages.object(slot).as_ref() });
                if kept && !self.is_closed() {
                    drop(inspected);
                } else {
                    mem::forget(inspected);
                    self.count_inspected(slot, false);
                    destroyed += 1;
                    self.destroy_slot(slot, Leave::Evicted);
                }
            }
        }
        destroyed
    }

    /// A slice of housekeeping: destroys what releases have doomed, at most `work_limit` objects. Returns how many.
    ///
    /// Call it now and then from where freeing is allowed, if threads that must not free release objects here.
    pub fn maintain(&self, work_limit: usize) -> usize {
        self.destroy_doomed(work_limit)
    }

    /// Refuses all further acquires and destroys what is idle. Leases stay usable; their objects are doomed as they come
    /// back. Who waits gets [`AcquireError::Closed`]. Closing again changes nothing.
    pub fn close(&self) {
        // SeqCst, and `after_rmw`: a release either sees this and takes its object out again, or is seen below.
        self.flags.fetch_or(CLOSED, Ordering::SeqCst);
        after_rmw();
        self.waiters.wake_all();
        // Again if a destructor panics: the others still run.
        let rest = Closing(self);
        self.trim(0);
        mem::forget(rest);
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & CLOSED != 0
    }

    /// What the pool has done and holds. O(slots): most of it is counted from the slots' own state.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let counts = &self.counts;
        let mut idle = counts.inspected.load(Ordering::Relaxed);
        let mut idle_bytes = counts.inspected_bytes.load(Ordering::Relaxed);
        let mut hits = self.hot.hits.load(Ordering::Relaxed) as u64;
        let mut count = |group: u32, mut bits: usize| {
            idle += bits.count_ones() as usize;
            while bits != 0 {
                let slot = group * BITS + bits.trailing_zeros();
                idle_bytes = idle_bytes.wrapping_add(self.pages.bytes(slot).load(Ordering::Relaxed));
                bits &= bits - 1;
            }
        };
        for group in 0..groups(self.pages.reached()) {
            for kind in [Kind::Idle, Kind::Doomed] {
                count(group, self.pages.word(kind, group).load(Ordering::Acquire));
            }
        }
        self.pages.each_lane(&mut |lane| {
            let (group, bits) = lane.idle();
            count(group, bits);
            hits += lane.hits() as u64;
        });
        // Those that went first, so that there are not more of them than were created.
        let (evicted, discarded) =
            (counts.evicted.load(Ordering::Relaxed), counts.discarded.load(Ordering::Relaxed));
        let detached = counts.detached.load(Ordering::Relaxed);
        let created = counts.created.load(Ordering::Relaxed);
        let there =
            usize::try_from(created.saturating_sub(evicted + discarded + detached)).unwrap_or(usize::MAX);
        let idle = idle.min(there);
        let leased = there - idle;
        let bytes = counts.bytes.load(Ordering::Relaxed);
        PoolStats {
            leased,
            idle,
            created,
            destroyed: evicted + discarded,
            detached,
            evicted,
            expired: 0,
            discarded,
            hits,
            misses: counts.misses.load(Ordering::Relaxed),
            peak_leased: counts.peak_leased.fetch_max(leased, Ordering::Relaxed).max(leased),
            leased_bytes: bytes.wrapping_sub(idle_bytes),
            idle_bytes,
            peak_bytes: counts.peak_bytes.load(Ordering::Relaxed).max(bytes),
        }
    }

    /// Most objects that there may be.
    #[must_use]
    pub fn max_objects(&self) -> usize {
        self.max_objects
    }

    /// The account that objects are charged to.
    #[must_use]
    pub fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// The factory.
    #[must_use]
    pub fn factory(&self) -> &F {
        &self.factory
    }
}

// Idle slots.
impl<F, R, S> SharedPool<F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    /// The pool's number; given when it is first asked for, since a `static` is made by the compiler.
    fn id(&self) -> u32 {
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

    /// Takes an idle slot: from this thread's lane, or out of the pages.
    ///
    /// All of it is inlined but what is rare: a lease that is returned through memory costs more than all the rest,
    /// since it is written in parts and read as a whole.
    #[inline(always)]
    fn take(&self) -> Option<(u32, NonNull<F::Object>)> {
        #[cfg(feature = "std")]
        if self.has_thread_caches()
            && let Some(taken) = self.pop_of_thread()
        {
            return Some(taken);
        }
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
    fn count_hit(&self) {
        // Not a read-modify-write: two threads at once may count one.
        let hits = &self.hot.hits;
        hits.store(hits.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    #[cold]
    #[inline(never)]
    fn search_idle(&self) -> Option<(u32, NonNull<F::Object>)> {
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
    fn take_left(&self) -> Option<u32> {
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
    fn take_many(&self, most: u32, leave: bool) -> Option<(u32, usize)> {
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
                    return Some((group, taken));
                }
            }
            group = self.pages.find(Kind::Idle).or_else(|| self.take_left())?;
        }
        None
    }

    /// Clears one certain bit; true if the caller has the slot now.
    fn clear(&self, kind: Kind, group: u32, bit: usize) -> bool {
        // Acquire: as in `take_in`.
        self.pages.word(kind, group).fetch_and(!bit, Ordering::Acquire) & bit != 0
    }

    /// An object that `retain` looks at still counts as idle.
    fn count_inspected(&self, slot: u32, begins: bool) {
        let (one, bytes) = (1_usize, self.pages.bytes(slot).load(Ordering::Relaxed));
        let (one, bytes) = if begins { (one, bytes) } else { (one.wrapping_neg(), bytes.wrapping_neg()) };
        self.counts.inspected.fetch_add(one, Ordering::Relaxed);
        self.counts.inspected_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn put_inspected(&self, slot: u32) {
        self.count_inspected(slot, false);
        self.put_shared(slot);
    }

    fn take_highest(&self, kind: Kind) -> Option<u32> {
        for group in (0..groups(self.pages.reached())).rev() {
            let mut bits = self.pages.word(kind, group).load(Ordering::Relaxed);
            while let Some(highest) = bits.checked_ilog2() {
                if self.clear(kind, group, 1 << highest) {
                    return Some(group * BITS + highest);
                }
                bits &= !(1 << highest);
            }
        }
        None
    }

    fn count_idle(&self) -> usize {
        let mut idle = self.counts.inspected.load(Ordering::Relaxed);
        for group in 0..groups(self.pages.reached()) {
            idle += self.pages.word(Kind::Idle, group).load(Ordering::Relaxed).count_ones() as usize;
        }
        self.pages.each_lane(&mut |lane| idle += lane.idle().1.count_ones() as usize);
        idle
    }

    /// Makes a slot idle that the caller holds.
    #[inline(always)]
    fn put_shared(&self, slot: u32) {
        self.put_bits(slot / BITS, 1 << (slot % BITS));
    }

    /// Makes several slots of a group idle that the caller holds.
    #[inline(always)]
    fn put_bits(&self, group: u32, bits: usize) {
        self.pages.put(group, bits);
        self.look_round(group, bits);
    }

    /// After slots of a group became idle, or none but there is room: is there somebody who wants to know?
    #[inline(always)]
    fn look_round(&self, group: u32, idle: usize) {
        after_rmw();
        let flags = self.flags.load(Ordering::SeqCst);
        if flags > MEASURED {
            self.attend(flags, group, idle);
        }
    }

    #[cold]
    #[inline(never)]
    fn attend(&self, flags: usize, group: u32, mut idle: usize) {
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
            self.waiters.notify();
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
    fn empty_threads(&self, wait: bool) -> bool {
        // Nobody keeps anything: a common case, and the barrier costs microseconds. To a closing or trimming pool it is
        // worth that: what was just put in may not be seen yet.
        if !wait && !self.lanes_busy() {
            return false;
        }
        let attention = Attention::hold(self);
        crate::sync::heavy();
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

/// What there is in a thread's lane.
#[cfg(feature = "std")]
enum Look {
    Found(Popped),
    Empty,
    /// It must not be used at the moment.
    NotNow,
    NoLane,
}

// A thread's own lane.
#[cfg(feature = "std")]
impl<F, R, S> SharedPool<F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    #[inline(always)]
    fn has_thread_caches(&self) -> bool {
        S::THREAD_CACHES && self.thread_caches
    }

    /// This thread's lane of this pool.
    #[inline(always)]
    fn with_lane<T>(&self, use_it: impl FnOnce(&Lane) -> T) -> Option<T> {
        crate::threads::with_last(self.serial.load(Ordering::Relaxed), use_it)
    }

    #[inline(always)]
    fn pop_of_thread(&self) -> Option<(u32, NonNull<F::Object>)> {
        match self.pop_of_lane() {
            Look::Found(popped) => Some((popped.slot, self.place(&popped))),
            Look::Empty => self.refill_thread(),
            Look::NotNow => None,
            Look::NoLane => self.adopt_thread(),
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
    fn refill_thread(&self) -> Option<(u32, NonNull<F::Object>)> {
        let (group, bits) = self.take_many(BITS, true)?;
        let base = self.base(group);
        let added = self.with_lane(|lane| {
            if !lane.enter(&self.flags, MEASURED) {
                return false;
            }
            // It is empty, and only this thread fills it.
            let left = lane.add(group, bits, base);
            debug_assert!(left.is_none());
            lane.leave();
            true
        });
        if added != Some(true) {
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
    fn adopt_thread(&self) -> Option<(u32, NonNull<F::Object>)> {
        let mut serial = self.serial.load(Ordering::Relaxed);
        if serial == 0 {
            serial = crate::threads::next_serial();
            if let Err(theirs) = self.serial.compare_exchange(0, serial, Ordering::Relaxed, Ordering::Relaxed)
            {
                serial = theirs;
            }
        }
        if !crate::threads::recall(serial) {
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
    fn push_recalled(&self, slot: u32) -> bool {
        let serial = self.serial.load(Ordering::Relaxed);
        crate::threads::recall(serial)
            && self.with_lane(|lane| lane.push_of_thread(slot, &self.flags, MEASURED)).unwrap_or(false)
    }

    /// Gives an object back to the lane that it was taken through, if that is this thread's.
    #[inline(always)]
    fn push_to_thread(&self, slot: u32) -> bool {
        self.with_lane(|lane| lane.push_of_thread(slot, &self.flags, 0)).unwrap_or(false)
    }
}

// Making and destroying.
impl<F, R, S> SharedPool<F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    /// Where the object is that was taken out of a lane.
    #[inline(always)]
    fn place(&self, popped: &Popped) -> NonNull<F::Object> {
        let base: *mut F::Object = popped.base.cast();
        // SAFETY: `base` is where the objects of a group begin, which lie one after the other, and the offset is that
        // of a slot of the group that was reached.
        unsafe { NonNull::new_unchecked(base.add(popped.offset)) }
    }

    /// Where the objects of a group begin, for a lane.
    fn base(&self, group: u32) -> *mut () {
        self.pages.object(group * BITS).as_ptr().cast()
    }

    #[cold]
    #[inline(never)]
    fn take_slowly(&self) -> Result<(u32, NonNull<F::Object>), AcquireError<F::Error>> {
        let slot = self.slot_slowly()?;
        Ok((slot, self.pages.object(slot)))
    }

    /// A slot with an object after `take_idle` had none: from where it is dearer to get.
    pub(crate) fn slot_slowly(&self) -> Result<u32, AcquireError<F::Error>> {
        if self.is_closed() {
            return Err(AcquireError::Closed);
        }
        self.destroy_doomed(LOOKS as usize);
        if self.empty_lanes(false)
            && let Some((slot, _)) = self.take_idle()
        {
            return Ok(slot);
        }
        self.counts.misses.fetch_add(1, Ordering::Relaxed);
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
        Err(AcquireError::Exhausted { leased: self.count_leased(), max_objects: self.max_objects })
    }

    /// Objects that are out or being made, as near as one can tell meanwhile.
    pub(crate) fn count_leased(&self) -> usize {
        self.objects.load(Ordering::Relaxed).saturating_sub(self.count_idle())
    }

    pub(crate) fn has_waiters(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & !CLOSED >= WAITER
    }

    /// Whether a thread was in the middle of using its lane when it was to be emptied, and has something there.
    fn lanes_busy(&self) -> bool {
        let mut busy = false;
        self.pages.each_lane(&mut |lane| busy |= lane.is_of_thread() && lane.idle().1 != 0);
        busy
    }

    /// Looks into every group, whatever the summary says.
    fn take_linear(&self) -> Option<(u32, NonNull<F::Object>)> {
        (0..groups(self.pages.reached())).find_map(|group| self.pages.take_in(group))
    }

    /// Room for one more object, exactly as many as there may be.
    fn reserve(&self) -> bool {
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

    fn unreserve(&self) {
        // SeqCst and `look_round`: there may be one who waits for room. Release: the vacant bit.
        self.objects.fetch_sub(1, Ordering::SeqCst);
        self.look_round(0, 0);
    }

    fn create_slot(&self) -> Result<u32, AcquireError<F::Error>> {
        if self.is_closed() {
            return Err(AcquireError::Closed);
        }
        if !self.reserve() {
            let leased = self.count_leased();
            return Err(AcquireError::Exhausted { leased, max_objects: self.max_objects });
        }
        self.create_reserved()
    }

    /// A slot without object, for which room was reserved.
    fn take_vacant(&self) -> u32 {
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

    fn cancel_create(&self, slot: u32) {
        self.vacate(slot);
        self.unreserve();
    }

    fn vacate(&self, slot: u32) {
        // The slot, empty, to who clears the bit.
        self.pages.set(Kind::Vacant, slot / BITS, 1 << (slot % BITS));
    }

    /// As [`create_reserved`](Self::create_reserved), after nothing idle was found: a moment at which all are leased.
    fn create_leased(&self) -> Result<u32, AcquireError<F::Error>> {
        let slot = self.create_reserved()?;
        self.counts.peak_leased.fetch_max(self.counts.there(), Ordering::Relaxed);
        Ok(slot)
    }

    /// Makes an object, in a slot that is then the caller's.
    fn create_reserved(&self) -> Result<u32, AcquireError<F::Error>> {
        let slot = self.take_vacant();
        let pending = Held { pool: self, slot, abandon: Self::cancel_create };
        let grow =
            |claim: &mut Claim<'_>, bytes| claim.try_grow(bytes).map_err(|shortfall| shortfall.refusal(0));
        let estimate = self.factory.estimate(&());
        let made = create(&self.factory, &(), estimate, self.account.as_ref(), grow)?;
        if self.is_closed() {
            drop(pending);
            made.destroy();
            return Err(AcquireError::Closed);
        }
        mem::forget(pending);

        let Made { object, bytes, claim } = made;
        // SAFETY: the slot has no object, and by `take_vacant` no other user; the memory is inside an `UnsafeCell`.
        unsafe { self.pages.object(slot).write(object) };
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
    fn count_bytes(&self, before: usize, after: usize) {
        let change = after.wrapping_sub(before);
        let bytes = self.counts.bytes.fetch_add(change, Ordering::Relaxed).wrapping_add(change);
        self.counts.peak_bytes.fetch_max(bytes, Ordering::Relaxed);
    }

    /// Marks an object that the caller holds as one to be destroyed.
    #[cold]
    #[inline(never)]
    fn doom(&self, slot: u32) {
        // The object, to who destroys it.
        self.pages.set(Kind::Doomed, slot / BITS, 1 << (slot % BITS));
        // SeqCst and `look_round`: who waits may have room now.
        self.doomed.fetch_add(1, Ordering::SeqCst);
        self.look_round(0, 0);
    }

    fn destroy_doomed(&self, most: usize) -> usize {
        let mut destroyed = 0;
        // Ordering::Relaxed: the bits say it exactly; a count that is seen late is worked off later.
        while destroyed < most && self.doomed.load(Ordering::Relaxed) != 0 {
            let Some(group) = self.pages.find(Kind::Doomed) else { break };
            let bits = self.pages.word(Kind::Doomed, group).load(Ordering::Relaxed);
            let bit = bits & bits.wrapping_neg();
            if bit != 0 && self.clear(Kind::Doomed, group, bit) {
                self.doomed.fetch_sub(1, Ordering::Relaxed);
                destroyed += 1;
                self.destroy_slot(group * BITS + bit.trailing_zeros(), Leave::Discarded);
            }
        }
        destroyed
    }

    /// Uncharges, then destroys the object of a slot that the caller holds.
    fn destroy_slot(&self, slot: u32, why: Leave) {
        drop(self.take_out_of(slot, why));
    }

    fn take_out_of(&self, slot: u32, why: Leave) -> F::Object {
        // SAFETY: the caller holds the slot, which has an object, and from here on has none.
        let object = unsafe { self.pages.object(slot).read() };
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
        let room = Room(self);
        if let Some(account) = &self.account {
            account.uncharge(bytes, false);
        }
        drop(room);
        object
    }

    /// Measures a released object; false if it grew above what it may retain or what the account allows.
    fn settle_bytes(&self, slot: u32, object: &F::Object) -> bool {
        let bytes = self.factory.measure(object);
        let noted = self.pages.bytes(slot);
        let before = noted.load(Ordering::Relaxed);
        bytes <= self.max_retained_bytes
            && recharge(self.account.as_ref(), before, bytes, || {
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
    unsafe fn reset(&self, slot: u32, mut object: NonNull<F::Object>) -> Verdict {
        let resetting = Held { pool: self, slot, abandon: Self::doom };
        // SAFETY: the caller's promise; this is the object's only use.
        let verdict = self.resetter.reset(unsafe { object.as_mut() });
        mem::forget(resetting);
        verdict
    }

    /// Whether an object that was reset may be used again; dooms it otherwise.
    ///
    /// # Safety
    ///
    /// As of [`reset`](Self::reset).
    unsafe fn settle(&self, slot: u32, object: NonNull<F::Object>, verdict: Verdict) -> bool {
        let measured = self.flags.load(Ordering::Relaxed) & MEASURED != 0;
        if verdict == Verdict::Keep && !measured {
            return true;
        }
        let settling = Held { pool: self, slot, abandon: Self::doom };
        // SAFETY: the caller's promise.
        let kept = verdict == Verdict::Keep && self.settle_bytes(slot, unsafe { object.as_ref() });
        mem::forget(settling);
        if !kept {
            self.doom(slot);
        }
        kept
    }

    /// What is left to do of a release that does not end in the lane that this thread used last.
    ///
    /// # Safety
    ///
    /// As of [`reset`](Self::reset).
    #[inline(never)]
    unsafe fn give_back_slowly(&self, slot: u32, object: NonNull<F::Object>, verdict: Verdict) {
        // SAFETY: the caller's promise.
        if !unsafe { self.settle(slot, object, verdict) } {
            return;
        }
        #[cfg(feature = "std")]
        if self.has_thread_caches() && self.push_recalled(slot) {
            return;
        }
        self.put_shared(slot);
    }
}

/// A pool that is being closed; dropped by a panic, it goes on with that.
struct Closing<'a, F, R, S>(&'a SharedPool<F, R, S>)
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage;

impl<F, R, S> Drop for Closing<'_, F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    fn drop(&mut self) {
        self.0.trim(0);
    }
}

/// The pool's attention: while it is held, threads leave their lanes alone, and who makes something idle says so.
struct Attention<'a, F, R, S>(&'a SharedPool<F, R, S>)
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
    fn hold(pool: &'a SharedPool<F, R, S>) -> Self {
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

/// Room for an object, made when this is dropped.
struct Room<'a, F, R, S>(&'a SharedPool<F, R, S>)
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage;

impl<F, R, S> Drop for Room<'_, F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    fn drop(&mut self) {
        self.0.unreserve();
    }
}

impl<F, R, S> Slots<F::Object> for SharedPool<F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    #[inline(always)]
    unsafe fn object(&self, slot: u32) -> NonNull<F::Object> {
        self.pages.object(slot)
    }

    unsafe fn give_back(&self, slot: u32) {
        // SAFETY: the caller's promise.
        unsafe { self.give_back_at(slot, self.pages.object(slot)) }
    }

    #[inline(always)]
    unsafe fn give_back_at(&self, slot: u32, object: NonNull<F::Object>) {
        // SAFETY: the caller's promise.
        let verdict = unsafe { self.reset(slot, object) };
        // Little code for the common case, so that the drop of a lease is inlined wherever it may happen, on unwinding
        // too: only then can a lease stay in registers.
        #[cfg(feature = "std")]
        if S::THREAD_CACHES && verdict == Verdict::Keep && self.push_to_thread(slot) {
            return;
        }
        // SAFETY: the caller's promise.
        unsafe { self.give_back_slowly(slot, object, verdict) }
    }

    unsafe fn destroy(&self, slot: u32) {
        self.destroy_slot(slot, Leave::Discarded);
    }

    unsafe fn take_out(&self, slot: u32) -> F::Object {
        self.take_out_of(slot, Leave::Detached)
    }

    unsafe fn to_id(&self, slot: u32) -> LeaseId {
        LeaseId { pool: self.id(), slot, generation: self.pages.tag(slot).issue() }
    }
}

pub(crate) mod sealed {
    use super::{AcquireError, Lane, NonNull, Pool, Popped, Verdict};

    /// What a [`Cache`](crate::Cache) needs of the pool behind it.
    pub trait Shared: Pool {
        /// The factory's.
        type Error;
        /// A lane, and whether it is the caller's own; otherwise nothing can be put in.
        fn claim(&self) -> (NonNull<Lane>, bool);
        fn take_one(&self) -> Option<(u32, NonNull<Self::Object>)>;
        fn take_batch(&self, most: u32, leave: bool) -> Option<(u32, usize)>;
        /// The caller holds these slots.
        fn put(&self, group: u32, bits: usize);
        fn miss(&self) -> Result<u32, AcquireError<Self::Error>>;
        fn base_of(&self, group: u32) -> *mut ();
        fn place_of(&self, popped: &Popped) -> NonNull<Self::Object>;
        fn bound(&self) -> usize;
        fn flags(&self) -> usize;
        /// # Safety
        /// The caller holds the slot, whose object this is.
        unsafe fn reset_only(&self, slot: u32, object: NonNull<Self::Object>) -> Verdict;
        /// # Safety
        /// As above, and the object was reset.
        unsafe fn settle_reset(&self, slot: u32, object: NonNull<Self::Object>, verdict: Verdict) -> bool;
    }
}

impl<F, R, S> sealed::Shared for SharedPool<F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    type Error = F::Error;

    fn claim(&self) -> (NonNull<Lane>, bool) {
        match self.pages.claim_lane(Owner::Cache) {
            Some(lane) => (lane, true),
            None => (self.pages.no_lane(), false),
        }
    }

    fn take_one(&self) -> Option<(u32, NonNull<F::Object>)> {
        self.take_idle()
    }

    fn take_batch(&self, most: u32, leave: bool) -> Option<(u32, usize)> {
        self.take_many(most, leave)
    }

    fn put(&self, group: u32, bits: usize) {
        self.put_bits(group, bits);
    }

    fn miss(&self) -> Result<u32, AcquireError<F::Error>> {
        self.slot_slowly()
    }

    fn base_of(&self, group: u32) -> *mut () {
        self.base(group)
    }

    #[inline(always)]
    fn place_of(&self, popped: &Popped) -> NonNull<F::Object> {
        self.place(popped)
    }

    fn bound(&self) -> usize {
        self.max_objects
    }

    #[inline(always)]
    fn flags(&self) -> usize {
        self.flags.load(Ordering::Relaxed)
    }

    #[inline(always)]
    unsafe fn reset_only(&self, slot: u32, object: NonNull<F::Object>) -> Verdict {
        // SAFETY: the caller's promise.
        unsafe { self.reset(slot, object) }
    }

    unsafe fn settle_reset(&self, slot: u32, object: NonNull<F::Object>, verdict: Verdict) -> bool {
        // SAFETY: the caller's promise.
        unsafe { self.settle(slot, object, verdict) }
    }
}

impl<F, R, S> Pool for SharedPool<F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    type Object = F::Object;

    fn stats(&self) -> PoolStats {
        self.stats()
    }

    fn trim(&self, target: usize) -> usize {
        self.trim(target)
    }

    fn close(&self) {
        self.close();
    }

    fn is_closed(&self) -> bool {
        self.is_closed()
    }
}

/// Destroys what the pool still holds, objects of leaked leases and tokens included, and uncharges it.
impl<F, R, S> Drop for SharedPool<F, R, S>
where
    F: Factory,
    S: Storage,
{
    fn drop(&mut self) {
        struct Rest<'a, F: Factory, R, S: Storage> {
            pool: &'a SharedPool<F, R, S>,
            next: u32,
        }

        impl<F: Factory, R, S: Storage> Rest<'_, F, R, S> {
            fn destroy(&mut self) {
                let pages = &self.pool.pages;
                while self.next < pages.reached() {
                    let slot = self.next;
                    self.next += 1;
                    let vacant = pages.word(Kind::Vacant, slot / BITS).load(Ordering::Acquire);
                    if vacant >> (slot % BITS) & 1 == 0 {
                        // SAFETY: a slot that was reached and is not vacant holds an object; nobody has the pool any
                        // more, and each slot is looked at once.
                        let object = unsafe { pages.object(slot).read() };
                        if let Some(account) = &self.pool.account {
                            account.uncharge(pages.bytes(slot).load(Ordering::Relaxed), false);
                        }
                        drop(object);
                    }
                }
            }
        }

        impl<F: Factory, R, S: Storage> Drop for Rest<'_, F, R, S> {
            // A destructor has panicked: the others still run, each once.
            fn drop(&mut self) {
                self.destroy();
            }
        }

        Rest { pool: self, next: 0 }.destroy();
    }
}

/// `SharedPool(idle 3/64, 12.50 KiB, hits 97.3 %)`
impl<F, R, S> fmt::Debug for SharedPool<F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedPool({})", self.stats())
    }
}
