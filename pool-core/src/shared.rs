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
//! | [`acquire`](SharedPool::acquire) with something idle | never, but for a thread's first, which makes the thread's cache where it has one |
//! | [`acquire`](SharedPool::acquire) otherwise | empties other threads' caches, destroys what is doomed, creates, grows |
//!
//! An object that must not be used again is *doomed* by its release, and destroyed by the next miss, `trim`, `maintain`,
//! `close` or by the end of the pool. Until then it counts as idle.
//!
//! # Measured and rejected
//!
//! Throw-away prototypes on an AMD EPYC with two processors, November 2026, one thread, in multiples of crossbeam's
//! `ArrayQueue` in the same run (8.9 ns a pair, 8.3 ns an object in a burst of 64); in bold what was built.
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
//! lane in front is faster than either. `cargo xtask bench` measures what was built.
//!
//! Three things that cost more than they look, found by disassembly:
//!
//! - A lease that goes through memory is written in parts and read as a whole, which stalls: 20 ns a pair in place of 3.
//!   So acquire is inlined but for what is rare, and the drop of a lease is small enough to be inlined in unwinding too.
//! - Finding a group by its number takes as long as the atomic itself; so the one used last is found by a pointer.
//! - Also tried for a thread's lane, without effect: hits and the busy mark in one word; the last slot put in beside the
//!   bits, so that a pair passes one value through memory in place of two. It is instructions that count there.
#![deny(clippy::disallowed_types)]

mod builder;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod evict;
mod front;
mod idle;
mod making;
#[cfg(feature = "std")]
mod own_lane;
mod upkeep;

pub use builder::SharedPoolBuilder;
pub(crate) use front::Shared;

use crate::account::Account;
use crate::cache::Cache;

use crate::error::{AcquireError, ReleaseError};
use crate::held::Held;
use crate::lease::{Lease, LeaseId, Pool};
use crate::lifecycle::{Factory, KeepAll, Resetter};
use crate::pages::{BITS, Kind, Pages, groups};
#[cfg(feature = "alloc")]
use crate::slots::Growing;
use crate::slots::{Fixed, Storage};
use crate::stats::PoolStats;
use crate::sync::counter::fence;
use crate::sync::{AtomicUsize, Count, Count32, Count64, Ordering, after_rmw};
use crate::unwind::to_the_end;
use crate::wait::{Acquire, WaitQueue};
use core::cell::Cell;
use core::fmt;
use core::mem;
use core::ops::ControlFlow;

/// A [`SharedPool`] of at most `N` objects that lives in a `static` and needs no allocator. None of no slots compiles.
///
/// The same pool, with its slots inside: on a core without compare-and-swap (Cortex-M0) by way of the program's
/// `critical-section`. Leases of a `static` are `'static` and can go anywhere.
///
/// Memory beside the objects: 11 bytes a slot on 32-bit targets, 15 on 64-bit ones, and four lanes for [`Cache`]s.
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
/// | [`try_acquire`](Self::try_acquire), [`acquire`](Self::acquire) (hit) | O(1); O(threads) if nothing is idle | lock-free; through a [`Cache`] that has something, wait-free | |
/// | [`acquire`](Self::acquire) (miss) | O(1) and the factory, where other pools give what [`KeyedPool`](crate::KeyedPool) says of it; O(slots / 64 + threads) if it fails because the pool is full | waits for a moment on threads that are using their own caches | factory, event handler, destructors |
/// | dropping a lease | O(1); where the pool gives to others, and the object is not kept, the depth of the account | wait-free, but for the resetter | resetter; `measure` if bytes are bounded; a waker if somebody waits |
/// | `acquire_timeout` (`std`) | | blocks | as a miss |
/// | [`acquire_async`](Self::acquire_async) | | suspends | as a miss |
/// | [`trim`](Self::trim), [`maintain`](Self::maintain) | O(slots / 64), O(1) per object | | destructors |
/// | [`stats`](Self::stats) | O(slots) | | |
///
/// Which object comes next: of those that the thread gave back itself the one in the lowest slot, else the lowest slot of
/// the group used last. So few objects are kept busy and the rest stay cold, but the order in which they were
/// released is not kept; [`trim`](Self::trim) destroys the highest slots first. [`LocalPool`](crate::LocalPool) and
/// [`KeyedPool`](crate::KeyedPool) have exact orders.
///
/// Memory beside the objects: 8.8 bytes a slot on 64-bit targets, and 8 more where tokens are used. Slots come in chunks
/// that double, the first of 64 (or `max_objects`, if that is fewer), so up to as many are unused as used. Objects that are a multiple
/// of 64 bytes begin with a line of the processor's cache.
///
/// # Threads' own caches
///
/// With `std` on Linux, each thread keeps objects that it acquired and gave back for its next acquire, up to 64 a pool and
/// 16 pools a thread. They count as idle. A thread gets such a cache with its first [`acquire`](Self::acquire), which
/// allocates it. [`acquire`](Self::acquire) on another thread takes what is in it when it finds nothing
/// else, and takes over what an ended thread left, so no object is made that is not needed and the bound on objects holds
/// exactly. This asks the kernel for a barrier (membarrier(2)); where that is refused later on, only the thread itself
/// uses what it keeps. [`try_acquire`](Self::try_acquire), which never calls the system, does not see what other threads keep.
/// `SharedPoolBuilder::thread_caches` turns them off.
///
/// # What is approximate
///
/// `created`, `leased`, `idle`, `destroyed`, `detached` and bytes are exact whenever no call is in progress. `hits` may miss
/// some that happened on two threads at the same time; `peak_leased` is what was seen by a miss or by
/// [`stats`](Self::stats); objects that other threads acquire and release meanwhile may count as either.
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
    /// The same as [`MEASURED`] in `flags`.
    measured: bool,
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
    /// What there was to spare when maintenance was done last.
    spare: upkeep::Spare,
    /// Its place among the pools that give idle objects back to one another.
    #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
    membership: Option<evict::Membership>,
}

/// What each acquire and release of the pages may write: apart from what those of lanes read.
#[cfg_attr(target_pointer_width = "64", repr(align(64)))]
struct Hot {
    hits: Count,
    /// Objects that were taken several at once, for a lane.
    batched: Count,
}

/// In `flags` of a pool whose objects are measured as they come back, from the start. More than this, and somebody
/// wants attention.
pub(crate) const MEASURED: usize = 1;
/// Added to `flags` by who is emptying other threads' lanes.
const RECLAIM: usize = 2;
/// Added to `flags` by each that waits for an object.
/// There is room for two million on 32 bits; more reclaimers than fit below only wake in vain.
pub(crate) const WAITER: usize = 1 << (usize::BITS / 3);
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
    /// How often `retain` began to look at objects, and came to an end.
    inspections: [Count; 2],
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

    /// What `look` finds, and whether `retain` was at work meanwhile.
    #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
    fn uninspected<T>(&self, look: impl FnOnce() -> T) -> (T, bool) {
        let [begun, ended] = &self.inspections;
        // Acquire: what was put back by those that have ended.
        let ended = ended.load(Ordering::Acquire);
        let found = look();
        // If a bit was found that is cleared, who cleared it had begun.
        fence(Ordering::Acquire);
        (found, begun.load(Ordering::Relaxed) != ended)
    }
}

/// The time in which `retain` takes objects out and puts them back, as old as they were.
struct Inspection<'a>(&'a Counts);

impl<'a> Inspection<'a> {
    fn begin(counts: &'a Counts) -> Self {
        counts.inspections[0].fetch_add(1, Ordering::Relaxed);
        // Whoever sees an idle bit that is cleared from here on sees the count.
        fence(Ordering::Release);
        Self(counts)
    }
}

impl Drop for Inspection<'_> {
    fn drop(&mut self) {
        // Release: what was put back is there for who sees that this has ended.
        self.0.inspections[1].fetch_add(1, Ordering::Release);
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
                measured: account.is_some(),
                flags: AtomicUsize::new(if account.is_some() { MEASURED } else { 0 }),
                hot: Hot { hits: Count::new(0), batched: Count::new(0) },
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
                    inspections: [Count::new(0), Count::new(0)],
                },
                spare: upkeep::Spare::new(),
                #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
                membership: None,
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
        let (slot, object) = match self.take(true) {
            Some(taken) => taken,
            None => {
                let slot = self.slot_slowly(false)?;
                (slot, self.pages.object(slot))
            }
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
        let (slot, object) = self.take(false)?;
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
            Some(tag) if tag.redeem(id.generation) => {
                // SAFETY: the slot was out under this token, and only one redeems it.
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

    /// Waits for an object if the pool is full; those that wait are served in the order in which they began to. Full is a pool
    /// with as many objects as it may have: nobody waits for bytes, and what does not fit in the account is refused at once.
    ///
    /// The future is of no executor, needs no allocator, and may be dropped at any time: nothing is lost, and who comes
    /// next is woken. It does what [`acquire`](Self::acquire) does as soon as an object or room for one is there. An
    /// `acquire` that does not wait may come in between; what a [`Cache`] keeps for itself is not waited for, only what it
    /// gives back.
    ///
    /// A future that has been polled and is not polled any more when it is woken holds up those behind it: drop it.
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

    /// Blocks while the pool is full, at most for `timeout`; those that wait are served in the order in which they began to. As of
    /// [`acquire_async`](Self::acquire_async), nobody waits for bytes, and an `acquire` that does not wait, or a last try as the time
    /// is over, may come in between.
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

    /// Makes as many idle objects as there are fewer than `count` now. Returns how many were made. They count as released now.
    /// Nothing idle is evicted for it, of this pool or another: where the bounds have no room left, it stops with the error.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire); what was made before the error stays.
    pub fn prewarm(&self, count: usize) -> Result<usize, AcquireError<F::Error>> {
        self.destroy_doomed(usize::MAX);
        let missing = count.saturating_sub(self.count_idle());
        for _ in 0..missing {
            let slot = self.create_slot()?;
            #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
            if let Some(membership) = &self.membership {
                membership.note_release();
            }
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
            let mut end = groups(self.pages.reached());
            for _ in 0..surplus {
                let Some(slot) = self.take_highest(&mut end) else { break };
                destroyed += 1;
                self.destroy_slot(slot, Leave::Evicted);
            }
        }
        destroyed
    }

    /// Destroys at most `count` idle objects: what is doomed first, then those in the highest slots. Returns how many were
    /// destroyed. O(1) for each, whatever other threads release meanwhile.
    pub fn evict(&self, count: usize) -> usize {
        let mut destroyed = self.destroy_doomed(count);
        if destroyed < count {
            self.empty_lanes(true);
        }
        let mut end = groups(self.pages.reached());
        while destroyed < count {
            let Some(slot) = self.take_highest(&mut end) else { break };
            destroyed += 1;
            self.destroy_slot(slot, Leave::Evicted);
        }
        destroyed
    }

    /// How many idle objects [`evict`](Self::evict) finds: all but those that explicit [`Cache`]s have. O(slots / 64).
    pub fn idle_in_reach(&self) -> usize {
        let mut idle = 0;
        // Relaxed: a look, not a claim.
        for group in 0..groups(self.pages.reached()) {
            for kind in [Kind::Idle, Kind::Doomed] {
                idle += self.pages.word(kind, group).load(Ordering::Relaxed).count_ones() as usize;
            }
        }
        self.pages.each_lane(&mut |lane| {
            if lane.is_of_thread() {
                idle += lane.idle().1.count_ones() as usize;
            }
        });
        idle
    }

    /// Destroys the idle objects that `keep` refuses. Returns how many.
    ///
    /// The predicate sees each object that stays idle until its turn once, in the order of slots. It may use the pool;
    /// the object that it looks at is not handed out meanwhile, the others are.
    pub fn retain(&self, mut keep: impl FnMut(&F::Object) -> bool) -> usize {
        self.inspect(|object| ControlFlow::Continue(keep(object)))
    }

    /// Shows the idle objects to `visit`, which may change them, until it breaks: to prepare, away from where time matters,
    /// what is handed out next.
    ///
    /// It sees each object that stays idle until its turn once, in the order of slots. It may use the pool; the object that it
    /// looks at is not handed out meanwhile, the others are. What it changes of an object's bytes is noted when that is
    /// released the next time.
    pub fn visit_idle(&self, mut visit: impl FnMut(&mut F::Object) -> ControlFlow<()>) {
        self.inspect(|object| visit(object).map_continue(|()| true));
    }

    /// Shows the idle objects, and destroys those that are not to be kept; how many.
    fn inspect(&self, mut see: impl FnMut(&mut F::Object) -> ControlFlow<(), bool>) -> usize {
        let _inspection = Inspection::begin(&self.counts);
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
                // SAFETY: its idle bit was just cleared, so this is the only reference to its object until it is idle again
                // or destroyed.
                let told = see(unsafe { self.pages.object(slot).as_mut() });
                if told != ControlFlow::Continue(false) && !self.is_closed() {
                    drop(inspected);
                } else {
                    mem::forget(inspected);
                    self.count_inspected(slot, false);
                    destroyed += usize::from(told == ControlFlow::Continue(false));
                    self.destroy_slot(slot, Leave::Evicted);
                }
                if told.is_break() {
                    return destroyed;
                }
            }
        }
        destroyed
    }

    /// Refuses all further acquires and destroys what is idle. Leases stay usable; their objects are doomed as they come
    /// back. Who waits gets [`AcquireError::Closed`]. Closing again changes nothing. If a destructor panics the others
    /// still run; without `std`, where no panic can be caught, a second one ends the process.
    pub fn close(&self) {
        // SeqCst, and `after_rmw`: a release either sees this and takes its object out again, or is seen below.
        self.flags.fetch_or(CLOSED, Ordering::SeqCst);
        after_rmw();
        // Again if a waker or a destructor panics: the others still run.
        to_the_end(usize::MAX, || {
            self.waiters.wake_all();
            self.trim(0);
        });
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
            quarantined: 0,
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
        let Self { pages, account, counts, .. } = &*self;
        let charged = Cell::new(counts.bytes.load(Ordering::Relaxed));
        let next = Cell::new(0);
        #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
        if let Some(membership) = &self.membership {
            membership.note_doomed_gone(self.doomed.load(Ordering::Relaxed));
        }
        // Again if a destructor or a handler panics: the others still run, each object once.
        to_the_end(usize::MAX, || {
            // All at once, for it may take destructors long to get to the last of it.
            if let Some(account) = account {
                account.uncharge_idle(charged.take());
            }
            while next.get() < pages.reached() {
                let slot = next.replace(next.get() + 1);
                let vacant = pages.word(Kind::Vacant, slot / BITS).load(Ordering::Acquire);
                if vacant >> (slot % BITS) & 1 == 0 {
                    // SAFETY: a slot that was reached and is not vacant holds an object; nobody has the pool any more, and
                    // each slot is looked at once.
                    drop(unsafe { pages.object(slot).read() });
                }
            }
        });
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
