//! Objects by key, with one recency order across all keys: [`KeyedPool`].
//!
//! `state` says how slots, classes and lists hang together. That state is lent to one at a time (a `RefCell`, or a mutex),
//! and never while factory, resetter, destructor, observer, predicate or event handler run: all of these may use the pool
//! again. The pool works in steps, each of which leaves the state whole, and a slot that user code is at work on is
//! `Held`, so that a panic in it puts the slot right.
//!
//! The objects are beside the state, not in it: a lease points at one of them while others use the state. A slot's cell is
//! looked up only while the state is locked, and what a lease, a creation or a destruction then does with the object needs
//! no lock, for the slot's state says that it is theirs.

mod builder;
#[cfg(all(feature = "lock_api", target_has_atomic = "ptr"))]
mod class;
mod leaks;
mod miss;
mod release;
mod state;
mod upkeep;

pub use builder::KeyedPoolBuilder;
#[cfg(all(feature = "lock_api", target_has_atomic = "ptr"))]
pub use class::{KeyClass, OfKey};

#[cfg(feature = "alloc")]
use crate::account::Registration;
use crate::account::{Account, Mode, Shared};
use crate::clock::{Clock, NoClock, Tick};
use crate::create::Room;
use crate::error::{AcquireError, ReleaseError};
use crate::exclusive::Exclusive as _;
use crate::lease::{Lease, LeaseId};
use crate::lifecycle::{Factory, KeepAll, Resetter};
use crate::observe::{Observer, Removal, Silent};
#[cfg(feature = "alloc")]
use crate::slots::Growing;
#[cfg(feature = "lock_api")]
use crate::slots::Locked;
use crate::slots::{Cells as _, Fixed, Slot, Storage};
use crate::stats::PoolStats;
#[cfg(feature = "alloc")]
use crate::wanted;
#[cfg(feature = "alloc")]
use alloc::rc::Rc;
#[cfg(all(feature = "lock_api", target_has_atomic = "ptr"))]
use alloc::sync::Arc;
use builder::Limits;
use core::borrow::Borrow;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::panic::Location;
use core::ptr::NonNull;
use leaks::Sampling;
use state::{Left, Newest, SlotState, State};

#[cfg(feature = "alloc")]
type DefaultStorage = Growing;
#[cfg(not(feature = "alloc"))]
type DefaultStorage = Fixed<32>;

/// A [`KeyedPool`] of at most `N` objects, and so of at most `N` keys with objects, that needs no allocator. None of no slots
/// compiles.
///
/// All its memory is inside of it: for each of the `N` the object and, on targets of 64 bits, 172 bytes, a key of at most 4
/// included. Of these 32 are for [`watch_leaks`](KeyedPoolBuilder::watch_leaks), whether something is watched or not.
///
/// ```
/// use pool_core::{FixedKeyedPool, KeyedPoolBuilder};
/// use std::convert::Infallible;
///
/// # type Frame = [u8; 64];
/// let frames: FixedKeyedPool<u8, _, 4> =
///     KeyedPoolBuilder::new(|_channel: &u8| Ok::<Frame, Infallible>([0; 64])).build_fixed();
/// let mut frame = frames.acquire(&7)?;
/// frame[0] = 1;
/// # Ok::<(), pool_core::AcquireError<Infallible>>(())
/// ```
pub type FixedKeyedPool<K, F, const N: usize, R = KeepAll, C = NoClock, O = Silent, M = Shared> =
    KeyedPool<K, F, R, C, Fixed<N>, O, M>;

/// A [`KeyedPool`] for threads, which take turns by the mutex `L` of the user's choice.
///
/// All methods are those of [`KeyedPool`], and user code runs with nothing locked in this kind as well, but for the keys' `Eq`,
/// `Borrow` and `Clone`. By an acquire or a release that makes no key or slot the mutex is held for a bounded number of steps: a look-up of the
/// key and two changes of lists, on a miss a few times that. While the pool grows its lists move under the mutex (at 2^20 objects
/// for some 30 ms). Longer, for O(objects), it is held by `keys`, `key_stats`, a `release_at` that is due before others, a `prewarm` of
/// a pool with a [`max_lifetime`](KeyedPoolBuilder::max_lifetime), and where
/// `trim` or a `maintain` without a limit passes over what stays (what is younger than that, or [`min_idle`](KeyedPoolBuilder::min_idle) keeps);
/// `maintain` with a limit holds it for no more than so many. A thread that may not wait should not use it, but resolve a key once to a
/// [class](Self::class).
///
/// **Order of eviction.** Within the pool it is LRU by the order in which releases got the mutex, exactly. Across the pools of
/// one tree of accounts that give to one another releases are told apart by their misses: of two objects of different pools,
/// with no miss of any of those pools between their releases, either may go first; if there was one, the one released earlier
/// goes first. Misses of pools that only take divide nothing.
/// The objects of a [class](KeyClass), or of a [`SharedPool`](crate::SharedPool) built by `build_arc`, count as released when
/// the last of their class or pool was, or was made by `prewarm`, and those that come out of an explicit [`Cache`](crate::Cache)
/// when all others were out as of when somebody last looked: so they may go later than what was released after them elsewhere, as
/// long as one of them is in use, and never earlier. What they have doomed goes before anything.
///
/// ```
/// use pool_core::{Account, KeyedPoolBuilder};
/// use std::convert::Infallible;
///
/// let server = Account::new("server", 1 << 20);
/// let buffers = KeyedPoolBuilder::new(|&len: &usize| Ok::<_, Infallible>(vec![0u8; len]))
///     .estimate(|&len| size_of::<Vec<u8>>() + len)
///     .account(server.clone())
///     .build_shared::<parking_lot::RawMutex>();
/// std::thread::scope(|scope| {
///     for len in [1000, 2000] {
///         let buffers = &buffers;
///         scope.spawn(move || buffers.acquire(&len).map(|mut buffer| buffer[0] = 1));
///     }
/// });
/// assert_eq!(buffers.stats().idle, 2);
/// ```
#[cfg(feature = "lock_api")]
pub type SharedKeyedPool<K, F, L, R = KeepAll, C = NoClock, O = Silent> =
    KeyedPool<K, F, R, C, Locked<L>, O, Shared>;

/// A pool of objects by key, for one thread: exact LRU across all keys, bounds on objects and bytes.
///
/// Within one key the most recently released object goes out first; across keys the one that was released longest
/// ago is evicted first, exactly. Objects stay where they are; a [`Lease`] is a pointer to one.
///
/// | call | cost | may call |
/// |---|---|---|
/// | [`acquire`](Self::acquire) (hit), [`try_acquire`](Self::try_acquire) | O(1), one hash; O(1) for each object of the key whose time is over | clock; the end of those |
/// | the same with objects in quarantine, if nothing else is idle | O(1) for each that is due | clock; the end of those that are not kept |
/// | [`acquire`](Self::acquire) (miss), [`prewarm`](Self::prewarm) | O(1) per object evicted, where other pools give O(log of their number) (see below), plus the factory; to be refused O(those pools), and O(idle objects of shared ones and of classes), more; each times the depth of the account; `prewarm` with a `max_lifetime`: O(idle objects of the key) more | factory, clock, observer, event handler; the end of what is evicted |
/// | dropping a lease, [`release`](Self::release), [`release_at`](Lease::release_at) | O(1); the last one more if others are due later | resetter, `measure`, clock; observer, if the lease was said to be leaked; event handler, if the object weighs something else now; its end if it is not kept, and that of an older one if too many of the key are idle |
/// | [`discard`](Lease::discard), [`detach`](Lease::detach) | O(1) | clock and observer, if the lease was said to be leaked; the object's end, when detached without the destructor |
/// | [`evict`](Self::evict), [`evict_to`](Self::evict_to), [`maintain`](Self::maintain), [`set_hard_limit`](Self::set_hard_limit), [`close`](Self::close) | O(1) per object, where other pools give O(log of their number) for `set_hard_limit`; `close`: O([classes](Self#method.class)) more | clock; the end of what goes, of classes too; `maintain`: observer; `set_hard_limit`: the same for other pools of the account |
/// | [`retain`](Self::retain), [`trim`](Self::trim) | O(idle) | predicate, of `trim` the clock; the end of what goes |
/// | `keys` | O(keys that were ever there at one time, and idle objects) | the keys' `Clone` |
/// | dropping the pool | O(slots), and O(log of their number) where it gives to others | event handler, destructor |
///
/// The end of an object is: the observer's [`removed`](Observer::removed), then the account's event handler, then its destructor.
///
/// Which of many pools has the oldest object is known from what they said last, and who looks asks those of which that does not hold
/// any more: a pool counts once for each of its objects that was the oldest, and once for each time that all there is idle has gone
/// since it was found with nothing; so with thousands of pools that have nothing and a few idle objects a miss asks a good part of
/// them. All are asked where the first eight do not do, where they weigh [cost](KeyedPoolBuilder::evict_cheapest_of), while something is
/// doomed or shown to the predicate of `retain`, and before anybody is refused. Each class of a pool counts as a pool.
///
/// **Large objects belong in a box.** A slot has the size of its object, on the heap like elsewhere, and stays with the pool for
/// the next: what is evicted, trimmed or expired gives back what the object held, not the place where it lay. For objects
/// that are a box, a vector or a handle that is nothing; a `[u8; 65536]` keeps its 64 KiB until the pool ends, while the
/// account has them free for others.
///
/// Memory beside the objects: 64 bytes for a slot, and a key, 56 bytes and a hash entry for each key that has
/// objects; keys without any are forgotten. On the heap, storage doubles as it grows, so there may be twice as many slots; objects
/// that are a multiple of 64 bytes begin with a line of the processor's cache there. The pool is `Send` if what it holds is, and
/// not `Sync`.
///
/// What it calls while its state is locked are the keys' `Eq` and `Clone` alone; those must not use the pool. All else may.
/// Where one of the two panics, the pool stays as it was, but for an object that was to make room, which goes and of which no
/// observer hears; a lease that ends at that moment is over all the same, and its object destroyed.
///
/// Choose it when objects differ (by size, by format) and share a budget. If all are alike,
/// [`LocalPool`](crate::LocalPool) is faster. If nothing is expensive to make, use no pool.
///
/// ```
/// use pool_core::{Account, AcquireError, KeyedPool};
/// use std::convert::Infallible;
///
/// let account = Account::new("buffers", 10_000);
/// let pool = KeyedPool::builder(|&len: &usize| Ok::<_, Infallible>(vec![0u8; len]))
///     .estimate(|&len| size_of::<Vec<u8>>() + len)
///     .account(account.clone())
///     .build();
///
/// drop(pool.acquire(&4000)?); // made, used, idle
/// let first = pool.acquire(&4000)?; // the same one again
/// let second = pool.acquire(&5000)?;
/// assert!(matches!(pool.acquire(&3000), Err(AcquireError::OverBudget(_))));
/// drop(first); // idle: the next one may evict it
/// let third = pool.acquire(&3000)?;
/// assert_eq!((pool.stats().hits, pool.stats().evicted), (1, 1));
/// assert!(account.peak() <= 10_000);
/// # Ok::<(), AcquireError<Infallible>>(())
/// ```
pub struct KeyedPool<K, F, R = KeepAll, C = NoClock, S = DefaultStorage, O = Silent, M = Shared>
where
    F: Factory<K>,
    S: Storage,
    M: Mode,
{
    factory: F,
    resetter: R,
    clock: C,
    observer: O,
    limits: Limits,
    account: Option<Account<M>>,
    /// Its place among the pools that give idle objects back to one another.
    #[cfg(feature = "alloc")]
    registration: Option<Registration<M>>,
    /// Whether released objects are measured: there is an account or a bound on what they retain.
    weighs: bool,
    /// Whether there is a time limit.
    timed: bool,
    sampling: Option<Sampling>,
    /// Whether acquires read the clock: there is a time limit, or leases are watched.
    attentive: bool,
    /// Whether a release has no clock to read and takes no place among those of other pools.
    plain: bool,
    hasher: S::Hasher,
    id: u32,
    cells: S::Cells<Slot<F::Object>>,
    state: S::Exclusive<State<K, S>>,
    #[cfg(all(feature = "lock_api", target_has_atomic = "ptr"))]
    classes: S::Exclusive<class::Classes<K>>,
}

#[cfg(feature = "alloc")]
impl<K, F> KeyedPool<K, F>
where
    K: Hash + Eq + Clone,
    F: Factory<K>,
{
    /// A pool of what `factory` makes, without bounds, on the heap.
    pub fn new(factory: F) -> Self {
        Self::builder(factory).build()
    }

    /// A pool with bounds, a resetter, a clock or an account.
    pub fn builder(factory: F) -> KeyedPoolBuilder<K, F> {
        KeyedPoolBuilder::new(factory)
    }
}

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
    /// Takes an object of `key`: the one of its idle objects that was released last, or a new one.
    ///
    /// On a miss, idle objects are evicted if the bounds ask for it, those released longest ago first and no more
    /// than needed; if it would not fit even then, nothing is evicted.
    ///
    /// # Errors
    ///
    /// [`AcquireError`]: closed, too many objects out, over budget, or the factory's own error.
    #[inline(always)]
    #[track_caller]
    pub fn acquire(&self, key: &K) -> Result<Lease<&Self>, AcquireError<F::Error>> {
        let hash = self.hasher.hash_one(key);
        match self.take_idle(key, hash, Location::caller()) {
            // SAFETY: the slot was just marked as leased, for this lease; `&self` keeps its object in place.
            Some((slot, object)) => Ok(unsafe { Lease::at(self, slot, object) }),
            None => self.acquire_miss(key, hash, Location::caller()),
        }
    }

    /// Takes an idle object of `key`, if there is one. Never creates, and allocates nothing itself; but objects of
    /// the key whose time is over it destroys, and clones the key for an observer to hear of each.
    ///
    /// The key may be a borrowed form of the pool's: where keys are strings, `try_acquire("drum")` asks without making one, and
    /// only what is not there is asked for by `acquire(&"drum".to_owned())`.
    #[inline]
    #[track_caller]
    pub fn try_acquire<Q>(&self, key: &Q) -> Option<Lease<&Self>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (slot, object) = self.take_any_idle(key, Location::caller())?;
        // SAFETY: as in `acquire`.
        Some(unsafe { Lease::at(self, slot, object) })
    }

    /// Turns a token back into a lease. Other copies of the token are stale from then on. O(1).
    ///
    /// # Errors
    ///
    /// [`ReleaseError`] if the token is of another pool, or its object is no longer out under it.
    pub fn redeem(&self, id: LeaseId) -> Result<Lease<&Self>, ReleaseError> {
        let (slot, object) = self.redeem_slot(id)?;
        // SAFETY: the slot was a token's and is now marked as leased, for this lease.
        Ok(unsafe { Lease::at(self, slot, object) })
    }

    /// Releases the object that a token names. O(1).
    ///
    /// # Errors
    ///
    /// [`ReleaseError`]: the second release of a token, or a token of another pool; nothing is changed by it.
    pub fn release(&self, id: LeaseId) -> Result<(), ReleaseError> {
        self.redeem(id).map(drop)
    }

    /// Makes as many idle objects of `key` as it has fewer than `count` when this begins. Returns how many were made.
    ///
    /// They count as released now, and are no more than [`max_idle_per_key`](KeyedPoolBuilder::max_idle_per_key). Nothing idle is
    /// evicted for it, of this key or another: where the bounds have no room left, it stops with the error. What others release
    /// or take meanwhile it does not look at: then fewer may be idle at the end, or the oldest go, as at any release of too many.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire); what was made before the error stays.
    pub fn prewarm(&self, key: &K, count: usize) -> Result<usize, AcquireError<F::Error>> {
        let hash = self.hasher.hash_one(key);
        let _ = self.end_quarantines();
        self.expire_key(key, hash);
        let count = count.min(self.limits.max_idle_per_key);
        let missing = count.saturating_sub(self.idle_of(key, hash));
        // No more, whatever others and callbacks destroy meanwhile.
        for _ in 0..missing {
            let (slot, _, bytes) = match self.create_slot(key, hash, Room::AsItIs) {
                Ok(new) => new,
                Err(error) => {
                    if O::listens() {
                        self.observer.refused(key, miss::refusal(&error));
                    }
                    return Err(error);
                }
            };
            self.tell_created(key, slot, bytes);
            if self.sampling().is_some() {
                self.state.lock().watch.reach(slot);
            }
            self.shelve_unused(slot);
        }
        Ok(missing)
    }

    /// What the pool has done and holds. O(1).
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        self.state.lock().stats()
    }

    /// What is held for one key; `None` if nothing is. O(idle objects of the key).
    #[must_use]
    pub fn key_stats<Q>(&self, key: &Q) -> Option<KeyStats>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let mut state = self.state.lock();
        let class = state.class_of(key, hash)?;
        state.key_stats(class)
    }

    /// The keys that have objects, in no particular order, and what is held for each. O(keys that were ever there at one time, and idle
    /// objects).
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn keys(&self) -> alloc::vec::Vec<(K, KeyStats)> {
        let mut state = self.state.lock();
        let classes = 0..state.classes.len() as u32;
        classes
            .filter_map(|class| {
                let stats = state.key_stats(class)?;
                Some((state.classes[class as usize].key.clone()?, stats))
            })
            .collect()
    }

    /// How many keys have objects. O(1).
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.state.lock().key_count()
    }

    /// The account that objects are charged to.
    #[must_use]
    pub fn account(&self) -> Option<&Account<M>> {
        self.account.as_ref()
    }

    /// The factory.
    #[must_use]
    pub fn factory(&self) -> &F {
        &self.factory
    }

    /// The observer.
    #[must_use]
    pub fn observer(&self) -> &O {
        &self.observer
    }

    /// Its place among the pools that give idle objects back to one another.
    #[cfg(feature = "alloc")]
    #[inline(always)]
    fn registration(&self) -> Option<&Registration<M>> {
        self.registration.as_ref().filter(|_| wanted::GIVING.is_set())
    }

    /// The place of a release in the order of all pools that give back to one another, if this is one of them.
    #[inline(always)]
    fn stamp(&self) -> Option<u64> {
        #[cfg(feature = "alloc")]
        return self.registration().map(|registration| registration.account().stamp());
        #[cfg(not(feature = "alloc"))]
        None
    }

    /// Which leases are watched: only the observer is told of leaks, so where nobody listens none is.
    #[inline(always)]
    fn sampling(&self) -> Option<Sampling> {
        if O::listens() { self.sampling } else { None }
    }

    fn now(&self) -> Tick {
        if self.timed { self.clock.now() } else { Tick(0) }
    }

    fn idle_of(&self, key: &K, hash: u64) -> usize {
        let state = self.state.lock();
        state.class_of(key, hash).map_or(0, |class| state.classes[class as usize].idle)
    }

    /// The newest idle object of `key`, marked as leased.
    ///
    /// Who looks for the second time calls [`take_idle_attentively`](Self::take_idle_attentively): this one the compiler then
    /// puts where it is called, in programs that call it from few places.
    #[inline]
    fn take_idle<Q>(
        &self,
        key: &Q,
        hash: u64,
        site: &'static Location<'static>,
    ) -> Option<(u32, NonNull<F::Object>)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        if !self.attentive {
            let mut state = self.state.lock();
            match state.take_newest(key, hash) {
                // SAFETY: the slot was idle, so it was reached; the state is still locked.
                Newest::Taken(slot) => return Some((slot, unsafe { self.cells.reached(slot) }.object())),
                Newest::None => return None,
                Newest::Unclear => {}
            }
        }
        self.take_idle_attentively(key, hash, site)
    }

    /// The same for a pool that has to know the time, or is closed, or of which somebody inspects the newest.
    #[inline(never)]
    fn take_idle_attentively<Q>(
        &self,
        key: &Q,
        hash: u64,
        site: &'static Location<'static>,
    ) -> Option<(u32, NonNull<F::Object>)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        loop {
            // Each time: to destroy the one before may have taken its time.
            let now = if self.attentive { self.clock.now() } else { Tick(0) };
            let mut guard = self.state.lock();
            let state = &mut *guard;
            let class = state.class_of(key, hash)?;
            // A closed pool may still have idle objects: those that `close` is destroying at this moment.
            let slot = if state.closed { None } else { state.newest_of(class) }?;
            let meta = &state.metas[slot as usize];
            if self.timed && self.limits.expired(meta, now) {
                let why = if self.limits.too_old(meta, now) { Removal::TooOld } else { Removal::IdleTooLong };
                let gone = self.remove(state, slot, why);
                drop(guard);
                self.destroy(gone);
                continue;
            }
            state.take(slot);
            if let Some(sampling) = self.sampling() {
                state.watch.leased(sampling, slot, now, site);
            }
            return Some((slot, self.cells.at(slot).object()));
        }
    }

    /// An idle object of `key`, or one that was in quarantine until now.
    #[inline]
    fn take_any_idle<Q>(&self, key: &Q, site: &'static Location<'static>) -> Option<(u32, NonNull<F::Object>)>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        self.take_idle(key, hash, site).or_else(|| {
            if self.end_quarantines() { self.take_idle_attentively(key, hash, site) } else { None }
        })
    }

    fn redeem_slot(&self, id: LeaseId) -> Result<(u32, NonNull<F::Object>), ReleaseError> {
        if id.pool != self.id {
            return Err(ReleaseError::Foreign { pool: id.pool, expected: self.id });
        }
        let mut state = self.state.lock();
        match state.metas.get_mut(id.slot as usize) {
            Some(meta) if meta.state == SlotState::Token && meta.generation == id.generation => {
                meta.state = SlotState::Leased;
                Ok((id.slot, self.cells.at(id.slot).object()))
            }
            _ => Err(ReleaseError::Stale { slot: id.slot, generation: id.generation }),
        }
    }
}

#[cfg(feature = "alloc")]
macro_rules! owned_leases {
    ($pointer:ident, [$($parameter:tt)*], $storage:ty, $($bound:tt)*) => {
        /// Leases that share the pool.
        impl<K, F, R, C, O, M, $($parameter)*> KeyedPool<K, F, R, C, $storage, O, M>
        where
            K: Hash + Eq + Clone,
            F: Factory<K>,
            R: Resetter<F::Object>,
            C: Clock,
            O: Observer<K>,
            M: Mode,
            $($bound)*
        {
            /// As [`acquire`](Self::acquire), with a lease that shares the pool and so may outlive this handle to it.
            ///
            /// # Errors
            ///
            /// As [`acquire`](Self::acquire).
            #[track_caller]
            pub fn acquire_owned(
                self: &$pointer<Self>,
                key: &K,
            ) -> Result<Lease<$pointer<Self>>, AcquireError<F::Error>> {
                Ok(self.acquire(key)?.with_pool(|_| $pointer::clone(self)))
            }

            /// As [`try_acquire`](Self::try_acquire), with a lease that shares the pool.
            #[track_caller]
            pub fn try_acquire_owned<Q>(self: &$pointer<Self>, key: &Q) -> Option<Lease<$pointer<Self>>>
            where
                K: Borrow<Q>,
                Q: Hash + Eq + ?Sized,
            {
                Some(self.try_acquire(key)?.with_pool(|_| $pointer::clone(self)))
            }

            /// As [`redeem`](Self::redeem), with a lease that shares the pool.
            ///
            /// # Errors
            ///
            /// As [`redeem`](Self::redeem).
            pub fn redeem_owned(
                self: &$pointer<Self>,
                id: LeaseId,
            ) -> Result<Lease<$pointer<Self>>, ReleaseError> {
                Ok(self.redeem(id)?.with_pool(|_| $pointer::clone(self)))
            }
        }
    };
}

#[cfg(feature = "alloc")]
owned_leases!(Rc, [], Growing,);
#[cfg(feature = "alloc")]
owned_leases!(Rc, [const N: usize], Fixed<N>,);
#[cfg(all(feature = "lock_api", target_has_atomic = "ptr"))]
owned_leases!(Arc, [L], Locked<L>, L: lock_api::RawMutex);

/// What a pool holds for one key.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct KeyStats {
    /// Objects that are out, or being made.
    pub leased: usize,
    /// Objects that wait.
    pub idle: usize,
    /// Bytes of those that are out.
    pub leased_bytes: usize,
    /// Bytes of those that wait.
    pub idle_bytes: usize,
}

/// An object that has left the state, destroyed when nothing is locked.
struct Gone<K, T> {
    object: T,
    left: Left<K>,
    /// Whether an event may be due since its bytes are charged no more.
    crossed: bool,
}

/// `KeyedPool(idle 3/64, 12.50 KiB, hits 97.3 %)`
impl<K, F, R, C, S, O, M> fmt::Debug for KeyedPool<K, F, R, C, S, O, M>
where
    K: Hash + Eq + Clone,
    F: Factory<K>,
    R: Resetter<F::Object>,
    C: Clock,
    S: Storage,
    O: Observer<K>,
    M: Mode,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyedPool({})", self.stats())
    }
}
