//! How a keyed pool is to be: bounds, clock, account, observer.

#[cfg(all(feature = "lock_api", target_has_atomic = "ptr"))]
use super::SharedKeyedPool;
use super::leaks::Sampling;
use super::state::{Meta, State};
use super::{FixedKeyedPool, KeyedPool};
use crate::account::{Account, Mode, Shared};
#[cfg(feature = "alloc")]
use crate::account::{Local, Member};
use crate::clock::{Clock, NoClock, Tick};
use crate::exclusive::Exclusive;
use crate::lease::next_pool_id;
use crate::lifecycle::{Estimated, Factory, KeepAll, Resetter};
use crate::observe::{Observer, Silent};
#[cfg(feature = "alloc")]
use crate::slots::Growing;
#[cfg(feature = "lock_api")]
use crate::slots::Locked;
use crate::slots::Storage;
use crate::wanted;
#[cfg(all(feature = "lock_api", target_has_atomic = "ptr"))]
use alloc::sync::{Arc, Weak as SyncWeak};
#[cfg(feature = "alloc")]
use alloc::{boxed::Box, rc::Rc};
use core::hash::Hash;
use core::marker::PhantomData;

/// Bounds of a pool; `MAX` where there is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) max_objects: usize,
    pub(super) max_per_key: usize,
    pub(super) max_idle_per_key: usize,
    pub(super) min_idle: usize,
    pub(super) idle_ttl: u64,
    pub(super) soft_idle_ttl: u64,
    pub(super) max_lifetime: u64,
    pub(super) max_retained_bytes: usize,
    /// Among how many of the oldest eviction chooses.
    pub(super) window: usize,
}

impl Limits {
    const NONE: Self = Self {
        max_objects: usize::MAX,
        max_per_key: usize::MAX,
        max_idle_per_key: usize::MAX,
        min_idle: 0,
        idle_ttl: u64::MAX,
        soft_idle_ttl: u64::MAX,
        max_lifetime: u64::MAX,
        max_retained_bytes: usize::MAX,
        window: 1,
    };

    /// Whether the clock has to be read at all.
    fn have_time(&self) -> bool {
        self.idle_ttl != u64::MAX || self.soft_idle_ttl() != u64::MAX || self.max_lifetime() != u64::MAX
    }

    pub(super) fn expired(&self, meta: &Meta, now: Tick) -> bool {
        now.since(meta.released) > self.idle_ttl || self.too_old(meta, now)
    }

    pub(super) fn too_old(&self, meta: &Meta, now: Tick) -> bool {
        let most = self.max_lifetime();
        most != u64::MAX && now.since(meta.created) > most
    }

    /// `None` if there is no bound but what a storage on the heap can number: that one refuses by itself.
    #[inline(always)]
    pub(super) fn max_objects<S: Storage>(&self) -> Option<usize> {
        ((S::MAX_SLOTS as u64) < 1 << 30 || wanted::MAX_OBJECTS.is_set()).then_some(self.max_objects)
    }

    #[inline(always)]
    pub(super) fn min_idle(&self) -> usize {
        wanted::MIN_IDLE.or(self.min_idle, 0)
    }

    #[inline(always)]
    pub(super) fn soft_idle_ttl(&self) -> u64 {
        wanted::SOFT_IDLE_TTL.or(self.soft_idle_ttl, u64::MAX)
    }

    #[inline(always)]
    pub(super) fn max_lifetime(&self) -> u64 {
        wanted::MAX_LIFETIME.or(self.max_lifetime, u64::MAX)
    }

    #[inline(always)]
    pub(super) fn max_retained_bytes(&self) -> usize {
        wanted::MAX_RETAINED_BYTES.or(self.max_retained_bytes, usize::MAX)
    }

    #[inline(always)]
    pub(super) fn window(&self) -> usize {
        wanted::WINDOW.or(self.window, 1)
    }
}

/// Builds a [`KeyedPool`].
#[must_use = "a builder makes nothing until `build`"]
pub struct KeyedPoolBuilder<K, F, R = KeepAll, C = NoClock, O = Silent, M: Mode = Shared> {
    factory: F,
    resetter: R,
    clock: C,
    observer: O,
    limits: Limits,
    sampling: Option<Sampling>,
    account: Option<Account<M>>,
    _key: PhantomData<fn(&K)>,
}

impl<K, F> KeyedPoolBuilder<K, F>
where
    F: Factory<K>,
{
    /// A pool of what `factory` makes, without bounds.
    pub fn new(factory: F) -> Self {
        Self {
            factory,
            resetter: KeepAll,
            clock: NoClock,
            observer: Silent,
            limits: Limits::NONE,
            sampling: None,
            account: None,
            _key: PhantomData,
        }
    }
}

impl<K, F, R, C, O, M> KeyedPoolBuilder<K, F, R, C, O, M>
where
    K: Hash + Eq + Clone,
    F: Factory<K>,
    R: Resetter<F::Object>,
    C: Clock,
    O: Observer<K>,
    M: Mode,
{
    /// What brings a released object back to its first state. Default: nothing does, [`KeepAll`].
    pub fn resetter<R2: Resetter<F::Object>>(self, resetter: R2) -> KeyedPoolBuilder<K, F, R2, C, O, M> {
        let Self { factory, clock, observer, limits, sampling, account, .. } = self;
        KeyedPoolBuilder { factory, resetter, clock, observer, limits, sampling, account, _key: PhantomData }
    }

    /// How many bytes an object of a key will hold, if the factory cannot tell because it is a closure: they are reserved before
    /// it is called. It stands in for [`Factory::estimate`]; once an object is made, it is measured as it would be without.
    ///
    /// Without an estimate only the size of the object itself is reserved, for a `Vec` three words. What it holds is counted when
    /// it is there, so until then a pool with an [`account`](Self::account) is over its limit by that, and finds out too late
    /// that it does not fit.
    ///
    /// ```
    /// use pool_core::{Account, AcquireError, KeyedPool};
    /// use std::convert::Infallible;
    ///
    /// let pool = KeyedPool::builder(|&len: &usize| Ok::<_, Infallible>(vec![0u8; len]))
    ///     .estimate(|&len| size_of::<Vec<u8>>() + len)
    ///     .account(Account::new("buffers", 10_000))
    ///     .build();
    /// drop(pool.acquire(&4000)?);
    /// assert!(matches!(pool.acquire(&1_000_000_000), Err(AcquireError::OverBudget(_)))); // and nothing was made
    /// assert_eq!(pool.stats().idle, 1); // nor evicted
    /// # Ok::<(), AcquireError<Infallible>>(())
    /// ```
    pub fn estimate<E: Fn(&K) -> usize>(
        self,
        estimate: E,
    ) -> KeyedPoolBuilder<K, Estimated<F, E>, R, C, O, M> {
        let Self { resetter, clock, observer, limits, sampling, account, .. } = self;
        let factory = Estimated::new(self.factory, estimate);
        KeyedPoolBuilder { factory, resetter, clock, observer, limits, sampling, account, _key: PhantomData }
    }

    /// The clock for all limits in ticks, which are in its unit, and for [`Lease::release_at`](crate::Lease::release_at). Default:
    /// [`NoClock`], by which no time passes, so that no such limit is ever reached.
    pub fn clock<C2: Clock>(self, clock: C2) -> KeyedPoolBuilder<K, F, R, C2, O, M> {
        let Self { factory, resetter, observer, limits, sampling, account, .. } = self;
        KeyedPoolBuilder { factory, resetter, clock, observer, limits, sampling, account, _key: PhantomData }
    }

    /// Who hears what the pool makes, destroys and refuses. Default: nobody, [`Silent`].
    pub fn observer<O2: Observer<K>>(self, observer: O2) -> KeyedPoolBuilder<K, F, R, C, O2, M> {
        let Self { factory, resetter, clock, limits, sampling, account, .. } = self;
        KeyedPoolBuilder { factory, resetter, clock, observer, limits, sampling, account, _key: PhantomData }
    }

    /// The account that the objects' bytes are charged to, a shared or a local one. Default: none, the pool then counts
    /// the bytes that objects have when they are made, and refuses none. If the factory is a closure, it takes an
    /// [`estimate`](Self::estimate) to stay within the account while an object is made.
    ///
    /// Refusals and reports name accounts and not pools: to be told apart, each pool takes an account of its own below the one
    /// they share.
    ///
    /// Of what other pools of the same tree of accounts keep idle, an acquire may evict what those give that were built by
    /// `build_rc`, `build_shared` or, of [`SharedPool`](crate::SharedPool)s, `build_arc`, and what classes have; and
    /// [`Account::set_hard_limit`] evicts from those, and from no others.
    pub fn account<M2: Mode>(self, account: Account<M2>) -> KeyedPoolBuilder<K, F, R, C, O, M2> {
        let Self { factory, resetter, clock, observer, limits, sampling, .. } = self;
        let account = Some(account);
        KeyedPoolBuilder { factory, resetter, clock, observer, limits, sampling, account, _key: PhantomData }
    }

    /// Most objects of all keys, leased and idle, but for those of [classes](KeyedPool#method.class). An acquire beyond evicts
    /// an idle one, or fails.
    pub fn max_objects(mut self, objects: usize) -> Self {
        wanted::MAX_OBJECTS.set();
        self.limits.max_objects = objects;
        self
    }

    /// Most objects of one key, leased and idle. An acquire beyond fails.
    pub fn max_per_key(mut self, objects: usize) -> Self {
        self.limits.max_per_key = objects;
        self
    }

    /// Most idle objects of one key. A release beyond evicts the one that was released longest ago.
    pub fn max_idle_per_key(mut self, objects: usize) -> Self {
        self.limits.max_idle_per_key = objects;
        self
    }

    /// Idle objects of each key that [`trim`](KeyedPool::trim), moderate pressure and
    /// [`soft_idle_ttl`](Self::soft_idle_ttl) leave. Expiry, a budget that
    /// would otherwise refuse, [`evict_to`](KeyedPool::evict_to) and [`close`](KeyedPool::close) do not ask.
    pub fn min_idle(mut self, objects: usize) -> Self {
        wanted::MIN_IDLE.set();
        self.limits.min_idle = objects;
        self
    }

    /// Ticks of the clock that an object may wait; one that waited longer is never handed out. What was in quarantine
    /// ([`release_at`](crate::Lease::release_at)) waits from the moment when somebody finds it due.
    pub fn idle_ttl(mut self, ticks: u64) -> Self {
        self.limits.idle_ttl = ticks;
        self
    }

    /// Ticks of the clock after which [`maintain`](KeyedPool::maintain) destroys an object that waits, if its key keeps
    /// [`min_idle`](Self::min_idle) others. Until then it may still be handed out.
    pub fn soft_idle_ttl(mut self, ticks: u64) -> Self {
        wanted::SOFT_IDLE_TTL.set();
        self.limits.soft_idle_ttl = ticks;
        self
    }

    /// Ticks of the clock from creation after which an object is no longer handed out nor kept.
    pub fn max_lifetime(mut self, ticks: u64) -> Self {
        wanted::MAX_LIFETIME.set();
        self.limits.max_lifetime = ticks;
        self
    }

    /// Bytes above which a released object is discarded: one request's giant buffer should not stay for ever.
    pub fn max_retained_bytes(mut self, bytes: usize) -> Self {
        wanted::MAX_RETAINED_BYTES.set();
        self.limits.max_retained_bytes = bytes;
        self
    }

    /// Lets room be made by the object that is cheapest to make again, for each of its bytes
    /// ([`Factory::cost`], within 1 in 256), among the `window` idle ones that were released longest ago, instead of by the
    /// oldest alone.
    ///
    /// An object that was passed over counts half as much the next time, so none stays for ever; used again, it counts in
    /// full. Eviction then looks at `window` objects, so keep it small: 8 or 16. Only room for a new object is made so;
    /// trims, expiry and pressure keep to the order of release.
    ///
    /// Of pools that give back to one another, those with a window compare the objects that they would evict: if the one
    /// released longest ago is theirs, the cheapest of these goes, a gain node before a decoded sample. Objects of pools
    /// without a window go by age, and a pool that only takes gives its own before any of theirs. Default: 1, which is exact
    /// LRU.
    pub fn evict_cheapest_of(mut self, window: usize) -> Self {
        wanted::WINDOW.set();
        self.limits.window = window.max(1);
        self
    }

    /// Watches one lease in `one_in`, on average and by chance: when it has been out for more than `after` ticks of the clock,
    /// [`maintain`](KeyedPool::maintain) tells the observer, once, with the place in the source where it was acquired; and
    /// again if it ends after all, be its object released, discarded or detached. Nothing is taken back.
    ///
    /// Default: nothing is watched, which takes no time, and no memory but in [fixed](super::FixedKeyedPool) pools. If something
    /// is, an acquire reads the clock, and each slot has 32 bytes more. Watching, telling and the end of a lease are O(1) each. 0 is
    /// one in 1. A pool without a clock has time 0, so that nothing is ever told.
    pub fn watch_leaks(mut self, one_in: u32, after: u64) -> Self {
        self.sampling = Some(Sampling::new(one_in, after));
        self
    }

    /// For models, which have to know what is watched: chance begins here, and not with the pool's number.
    #[doc(hidden)]
    pub fn leak_seed(mut self, seed: u32) -> Self {
        self.sampling = self.sampling.map(|sampling| sampling.seeded(seed));
        self
    }

    /// A pool that grows on the heap.
    ///
    /// It takes from other pools under its account, but gives nothing. So what it has idle itself goes before anything of
    /// theirs, and [`Account::set_hard_limit`] evicts nothing of it: [`KeyedPool::set_hard_limit`] does, and
    /// [`maintain`](KeyedPool::maintain) once the account is over its limit. `build_rc` and `build_shared` make pools that give.
    #[cfg(feature = "alloc")]
    pub fn build(self) -> KeyedPool<K, F, R, C, Growing, O, M> {
        self.build_in()
    }

    /// A pool of at most `N` objects that needs no allocator. As one of `build`, it gives nothing to other pools.
    pub fn build_fixed<const N: usize>(self) -> FixedKeyedPool<K, F, N, R, C, O, M> {
        self.build_in()
    }

    /// A pool that grows on the heap, for threads that take turns by the mutex `L`. It takes from other pools under its
    /// account, but gives nothing, and so what it has idle itself goes before anything of theirs; `build_shared` makes one that
    /// does both.
    #[cfg(feature = "lock_api")]
    pub fn build_locked<L: lock_api::RawMutex>(self) -> KeyedPool<K, F, R, C, Locked<L>, O, M> {
        self.build_in()
    }

    fn build_in<S: Storage>(self) -> KeyedPool<K, F, R, C, S, O, M> {
        let mut limits = self.limits;
        limits.max_objects = limits.max_objects.min(S::MAX_SLOTS);
        let timed = limits.have_time();
        let attentive = timed || O::listens() && self.sampling.is_some();
        let id = next_pool_id();
        // Pools that are alike and begin at the same time are not watched at the same places.
        let sampling = self.sampling.map(|sampling| sampling.seeded(id.wrapping_mul(0x9e37_79b1)));
        let weighs = self.account.is_some() || limits.max_retained_bytes() != usize::MAX;
        KeyedPool {
            factory: self.factory,
            resetter: self.resetter,
            clock: self.clock,
            observer: self.observer,
            limits,
            timed,
            sampling,
            attentive,
            weighs,
            plain: !attentive,
            account: self.account,
            #[cfg(feature = "alloc")]
            registration: None,
            hasher: S::Hasher::default(),
            id,
            cells: S::Cells::default(),
            state: S::Exclusive::new(State::new()),
            #[cfg(all(feature = "lock_api", target_has_atomic = "ptr"))]
            classes: S::Exclusive::new(super::class::Classes::new()),
        }
    }
}

/// Pools that give idle objects back to the others of their tree of accounts.
#[cfg(feature = "alloc")]
impl<K, F, R, C, O> KeyedPoolBuilder<K, F, R, C, O, Local>
where
    K: Hash + Eq + Clone + 'static,
    F: Factory<K> + 'static,
    R: Resetter<F::Object> + 'static,
    C: Clock + 'static,
    O: Observer<K> + 'static,
{
    /// A pool that grows on the heap and, under a local account, gives and takes: where the bytes for a new object are
    /// refused, the idle object that was released longest ago makes room, in whichever of the pools at or below the account
    /// that refuses it is. The order across pools is exact.
    ///
    /// Where the local tree is part of a shared account ([`credit`](crate::AccountBuilder::credit)), and that refuses, it takes
    /// from the pools there what its own tree cannot give, whatever is older, and gives nothing: no other thread can reach its
    /// objects.
    pub fn build_rc(self) -> Rc<KeyedPool<K, F, R, C, Growing, O, Local>> {
        Rc::new_cyclic(|weak| {
            let mut pool = self.build_in();
            pool.registration =
                pool.account.as_ref().map(|account| account.register(Box::new(Member(weak.clone()))));
            pool.plain &= pool.registration.is_none();
            pool
        })
    }
}

/// Pools for threads.
#[cfg(all(feature = "lock_api", target_has_atomic = "ptr"))]
impl<K, F, R, C, O> KeyedPoolBuilder<K, F, R, C, O, Shared>
where
    K: Hash + Eq + Clone + Send + 'static,
    F: Factory<K, Object: Send> + Send + Sync + 'static,
    R: Resetter<F::Object> + Send + Sync + 'static,
    C: Clock + Send + Sync + 'static,
    O: Observer<K> + Send + Sync + 'static,
{
    /// A pool for threads, which take turns by the mutex `L`. Under an account it gives and takes: where the bytes
    /// for a new object are refused, the idle object that was released longest ago makes room, in whichever of the pools at
    /// or below the account that refuses it is; see [`SharedKeyedPool`] for how exact that is.
    pub fn build_shared<L: lock_api::RawMutex + Send + Sync + 'static>(
        self,
    ) -> Arc<SharedKeyedPool<K, F, L, R, C, O>> {
        Arc::new_cyclic(|weak: &SyncWeak<SharedKeyedPool<K, F, L, R, C, O>>| {
            let mut pool = self.build_in();
            pool.registration =
                pool.account.as_ref().map(|account| account.register(Box::new(Member(weak.clone()))));
            pool.plain &= pool.registration.is_none();
            pool
        })
    }
}
