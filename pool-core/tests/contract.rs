//! One contract that every kind of pool runs.
//!
//! A promise is a function that is generic over [`Subject`]; [`suite!`] makes a test of each for one kind. To add a
//! kind of pool: implement `Subject` for it (the macro `subject!` does if it is built like the others), and add a
//! line with `suite!` at the end.
//!
//! `Fixture::check` looks at the invariants and is called after each step; `Fixture::finish` drops the pool and
//! checks that every object was destroyed exactly once and the account is at zero.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use pool_core::{
    Account, AcquireError, Factory, FixedKeyedPool, FixedLocalPool, KeyedPool, KeyedPoolBuilder, Lease,
    LeaseId, LocalPool, LocalPoolBuilder, Pool, PoolStats, ReleaseError, Resetter, SharedPool,
    SharedPoolBuilder, StaticPool, Verdict,
};
use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;

// What the pools hold, and who looks after it.

/// What happened to objects, and what is to happen next.
struct Probe {
    made: Cell<u64>,
    /// How often each was destroyed, by serial number.
    destroyed: RefCell<Vec<u32>>,
    /// In order.
    dropped: RefCell<Vec<u64>>,
    reset: RefCell<Vec<u64>>,
    /// Bytes of the next objects, and what they are expected to be.
    size: Cell<usize>,
    estimate: Cell<usize>,
    fail: Cell<bool>,
    verdict: Cell<Verdict>,
    on_create: Hook,
    on_measure: Hook,
    on_reset: Hook,
    on_drop: Hook,
}

/// User code, by the serial number of the object it is about.
#[derive(Default)]
struct Hook(RefCell<Option<Rc<dyn Fn(u64)>>>);

impl Hook {
    fn set(&self, action: impl Fn(u64) + 'static) {
        *self.0.borrow_mut() = Some(Rc::new(action));
    }

    /// Calls `action` at the next opportunity, and then no more: most hooks would call themselves without end.
    fn once(self: &Hook, action: impl Fn(u64) + 'static) {
        let done = Cell::new(false);
        self.set(move |serial| {
            if !done.replace(true) {
                action(serial);
            }
        });
    }

    fn clear(&self) {
        *self.0.borrow_mut() = None;
    }

    fn call(&self, serial: u64) {
        let action = self.0.borrow().clone();
        if let Some(action) = action {
            action(serial);
        }
    }
}

/// Panics without a message on the terminal.
fn quiet_panic() {
    resume_unwind(Box::new("on purpose"));
}

fn panics<T>(action: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(action)).is_err()
}

#[derive(Debug)]
struct Item {
    serial: u64,
    bytes: usize,
    probe: Rc<Probe>,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Probe({} made)", self.made.get())
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.probe.destroyed.borrow_mut()[self.serial as usize] += 1;
        self.probe.dropped.borrow_mut().push(self.serial);
        self.probe.on_drop.call(self.serial);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Refused;

struct Maker(Rc<Probe>);

impl<K> Factory<K> for Maker {
    type Object = Item;
    type Error = Refused;

    fn create(&self, _: &K) -> Result<Item, Refused> {
        let probe = &self.0;
        let serial = probe.made.get();
        probe.on_create.call(serial);
        if probe.fail.get() {
            return Err(Refused);
        }
        // Counted only now: what the hook made comes first.
        let serial = probe.made.get().max(serial);
        probe.made.set(serial + 1);
        probe.destroyed.borrow_mut().push(0);
        Ok(Item { serial, bytes: probe.size.get(), probe: Rc::clone(probe) })
    }

    fn estimate(&self, _: &K) -> usize {
        self.0.estimate.get()
    }

    fn measure(&self, item: &Item) -> usize {
        self.0.on_measure.call(item.serial);
        item.bytes
    }
}

struct Washer(Rc<Probe>);

impl Resetter<Item> for Washer {
    fn reset(&self, item: &mut Item) -> Verdict {
        self.0.reset.borrow_mut().push(item.serial);
        self.0.on_reset.call(item.serial);
        self.0.verdict.get()
    }
}

// The kinds of pools.

struct Spec {
    probe: Rc<Probe>,
    account: Option<Account>,
    max_objects: usize,
    max_retained_bytes: usize,
}

/// How a pool is shared by its owned leases: an `Rc`, or an `Arc`.
trait Hold: Deref<Target: Sized> + Clone + 'static {
    type Weak: 'static;
    fn hold(pool: Self::Target) -> Self;
    fn weak(&self) -> Self::Weak;
    fn upgrade(weak: &Self::Weak) -> Option<Self>;
    fn holders(&self) -> usize;
}

macro_rules! hold {
    ($($hold:ident, $weak:ty;)*) => {
        $(impl<P: 'static> Hold for $hold<P> {
            type Weak = $weak;
            // Pools of this suite stay on one thread, whoever else could use them.
            #[allow(clippy::arc_with_non_send_sync, reason = "see above")]
            fn hold(pool: P) -> Self {
                Self::new(pool)
            }
            fn weak(&self) -> $weak {
                Self::downgrade(self)
            }
            fn upgrade(weak: &$weak) -> Option<Self> {
                weak.upgrade()
            }
            fn holders(&self) -> usize {
                Self::strong_count(self)
            }
        })*
    };
}
hold! { Rc, std::rc::Weak<P>; Arc, std::sync::Weak<P>; }

/// For hooks, which would keep the pool alive otherwise.
struct WeakPool<P: Subject>(<P::Hold as Hold>::Weak);

impl<P: Subject> WeakPool<P> {
    fn upgrade(&self) -> Option<P::Hold> {
        P::Hold::upgrade(&self.0)
    }
}

/// A kind of pool, as the contract uses it: all objects alike.
trait Subject: Pool<Object = Item> + Sized + 'static {
    type Hold: Hold<Target = Self>;
    fn build(spec: Spec) -> Self;
    /// Destroys what releases have left for later.
    fn settle(&self);
    fn acquire(&self) -> Result<Lease<&Self>, AcquireError<Refused>>;
    fn acquire_owned(pool: &Self::Hold) -> Result<Lease<Self::Hold>, AcquireError<Refused>>;
    fn try_acquire(&self) -> Option<Lease<&Self>>;
    fn try_acquire_owned(pool: &Self::Hold) -> Option<Lease<Self::Hold>>;
    fn redeem(&self, id: LeaseId) -> Result<Lease<&Self>, ReleaseError>;
    fn redeem_owned(pool: &Self::Hold, id: LeaseId) -> Result<Lease<Self::Hold>, ReleaseError>;
    fn release(&self, id: LeaseId) -> Result<(), ReleaseError>;
    fn prewarm(&self, count: usize) -> Result<usize, AcquireError<Refused>>;
    fn evict(&self, count: usize) -> usize;
    fn retain(&self, keep: impl FnMut(&Item) -> bool) -> usize;
}

/// `subject!(type, holder, builder, how to build, [key, if any], [pattern of the key in a predicate], maintenance)`
macro_rules! subject {
    (
        $pool:ty, $hold:ident, $builder:ident, $build:ident $(::<$slots:tt $(:: $rest:ident)*>)?,
        [$($key:expr)?], [$($pattern:pat)?], $settle:expr
    ) => {
        impl Subject for $pool {
            type Hold = $hold<Self>;
            fn settle(&self) {
                let settle: fn(&Self) = $settle;
                settle(self);
            }
            fn build(spec: Spec) -> Self {
                let mut builder = $builder::new(Maker(Rc::clone(&spec.probe)))
                    .resetter(Washer(spec.probe))
                    .max_objects(spec.max_objects)
                    .max_retained_bytes(spec.max_retained_bytes);
                if let Some(account) = spec.account {
                    builder = builder.account(account);
                }
                builder.$build $(::<$slots $(:: $rest)*>)? ()
            }
            fn acquire(&self) -> Result<Lease<&Self>, AcquireError<Refused>> {
                <$pool>::acquire(self $(, $key)?)
            }
            fn acquire_owned(pool: &Self::Hold) -> Result<Lease<Self::Hold>, AcquireError<Refused>> {
                <$pool>::acquire_owned(pool $(, $key)?)
            }
            fn try_acquire(&self) -> Option<Lease<&Self>> {
                <$pool>::try_acquire(self $(, $key)?)
            }
            fn try_acquire_owned(pool: &Self::Hold) -> Option<Lease<Self::Hold>> {
                <$pool>::try_acquire_owned(pool $(, $key)?)
            }
            fn redeem(&self, id: LeaseId) -> Result<Lease<&Self>, ReleaseError> {
                <$pool>::redeem(self, id)
            }
            fn redeem_owned(pool: &Self::Hold, id: LeaseId) -> Result<Lease<Self::Hold>, ReleaseError> {
                <$pool>::redeem_owned(pool, id)
            }
            fn release(&self, id: LeaseId) -> Result<(), ReleaseError> {
                <$pool>::release(self, id)
            }
            fn prewarm(&self, count: usize) -> Result<usize, AcquireError<Refused>> {
                <$pool>::prewarm(self $(, $key)?, count)
            }
            fn evict(&self, count: usize) -> usize {
                <$pool>::evict(self, count)
            }
            fn retain(&self, mut keep: impl FnMut(&Item) -> bool) -> usize {
                <$pool>::retain(self, |$($pattern,)? item| keep(item))
            }
        }
    };
}

subject!(LocalPool<Maker, Washer>, Rc, LocalPoolBuilder, build, [], [], |_| {});
subject!(FixedLocalPool<Maker, 8, Washer>, Rc, LocalPoolBuilder, build_fixed::<8>, [], [], |_| {});
subject!(KeyedPool<u8, Maker, Washer>, Rc, KeyedPoolBuilder, build, [&7], [_], |_| {});
subject!(FixedKeyedPool<u8, Maker, 8, Washer>, Rc, KeyedPoolBuilder, build_fixed::<8>, [&7], [_], |_| {});
#[cfg(feature = "lock_api")]
subject!(
    pool_core::SharedKeyedPool<u8, Maker, parking_lot::RawMutex, Washer>, Arc, KeyedPoolBuilder,
    build_locked::<parking_lot::RawMutex>, [&7], [_], |_| {}
);
// What a release must not destroy waits for this.
subject!(SharedPool<Maker, Washer>, Arc, SharedPoolBuilder, build, [], [], |pool| _ = pool.maintain(usize::MAX));
subject!(
    StaticPool<Maker, 8, Washer>, Arc, SharedPoolBuilder, build_fixed::<8>, [], [],
    |pool| _ = pool.maintain(usize::MAX)
);

/// Most objects that a promise may have at a time: every kind can hold so many.
const ROOM: usize = 8;

// A pool and all that is known of it.

struct Fixture<P: Subject> {
    pool: P::Hold,
    probe: Rc<Probe>,
    account: Option<Account>,
}

/// How many bytes the objects have unless a promise says otherwise.
const SIZE: usize = 100;

impl<P: Subject> Fixture<P> {
    fn new() -> Self {
        Self::with(None, usize::MAX, usize::MAX)
    }

    fn budget(bytes: usize) -> Self {
        Self::with(Some(Account::new("budget", bytes)), usize::MAX, usize::MAX)
    }

    fn with(account: Option<Account>, max_objects: usize, max_retained_bytes: usize) -> Self {
        let probe = Rc::new(Probe {
            made: Cell::new(0),
            destroyed: RefCell::default(),
            dropped: RefCell::default(),
            reset: RefCell::default(),
            size: Cell::new(SIZE),
            estimate: Cell::new(SIZE),
            fail: Cell::new(false),
            verdict: Cell::new(Verdict::Keep),
            on_create: Hook::default(),
            on_measure: Hook::default(),
            on_reset: Hook::default(),
            on_drop: Hook::default(),
        });
        let spec =
            Spec { probe: Rc::clone(&probe), account: account.clone(), max_objects, max_retained_bytes };
        Self { pool: P::Hold::hold(P::build(spec)), probe, account }
    }

    fn weak(&self) -> WeakPool<P> {
        WeakPool(self.pool.weak())
    }

    fn stats(&self) -> PoolStats {
        self.pool.settle();
        self.pool.stats()
    }

    /// Checks what always holds; `leased` and `idle` are what the caller knows.
    #[track_caller]
    fn check(&self, leased: usize, idle: usize) {
        self.pool.settle();
        let stats = checked_stats(&*self.pool);
        assert_eq!((stats.leased, stats.idle), (leased, idle), "leased, idle");
        if let Some(account) = &self.account {
            assert_eq!(account.used(), stats.bytes(), "bytes in the account are those of the objects");
            assert!(account.used() <= account.hard_limit() && account.peak() >= account.used());
        }
        let gone = self.probe.dropped.borrow().len() as u64;
        assert!(stats.destroyed <= gone, "counted as destroyed: {}, destroyed: {gone}", stats.destroyed);
        assert!(self.probe.destroyed.borrow().iter().all(|&times| times <= 1), "destroyed twice");
    }

    /// Ends the pool, and checks that it left nothing.
    #[track_caller]
    fn finish(self) {
        let Self { pool, probe, account } = self;
        for hook in [&probe.on_create, &probe.on_measure, &probe.on_reset, &probe.on_drop] {
            hook.clear();
        }
        checked_stats(&*pool);
        assert_eq!(pool.holders(), 1, "somebody still holds the pool");
        drop(pool);
        let destroyed = probe.destroyed.borrow();
        assert!(destroyed.iter().all(|&times| times == 1), "destroyed, by object: {destroyed:?}");
        if let Some(account) = account {
            assert_eq!(account.used(), 0, "bytes left in the account");
        }
    }

    /// Takes `count` leases and drops them in order, so that the objects are idle from oldest to newest.
    fn fill(&self, count: usize) -> Vec<u64> {
        let leases: Vec<_> = (0..count).map(|_| self.pool.acquire().unwrap()).collect();
        let serials = leases.iter().map(|lease| lease.serial).collect();
        leases.into_iter().for_each(drop);
        serials
    }

    /// The idle objects, those released longest ago first.
    fn order(&self) -> Vec<u64> {
        let mut seen = Vec::new();
        assert_eq!(self.pool.retain(|item| (seen.push(item.serial), true).1), 0);
        seen
    }

    fn dropped(&self) -> Vec<u64> {
        self.pool.settle();
        self.probe.dropped.borrow().clone()
    }
}

#[track_caller]
fn checked_stats<P: Pool>(pool: &P) -> PoolStats {
    let stats = pool.stats();
    let accounted = stats.leased as u64 + stats.idle as u64 + stats.destroyed + stats.detached;
    assert_eq!(stats.created, accounted, "created = leased + idle + destroyed + detached: {stats:?}");
    assert_eq!(stats.destroyed, stats.evicted + stats.expired + stats.discarded);
    assert!(stats.peak_leased >= stats.leased, "{stats:?}");
    assert!(stats.peak_bytes >= stats.bytes(), "{stats:?}");
    stats
}

thread_local! {
    /// What the account's event handler does: handlers have to be `Send`, and pools for one thread are not.
    static ON_EVENT: Hook = Hook::default();
}

fn watched(soft_limit: usize, hard_limit: usize) -> Account {
    let call = |_: &pool_core::AccountEvent| ON_EVENT.with(|hook| hook.call(0));
    Account::builder("watched").soft_limit(soft_limit).hard_limit(hard_limit).on_event(call).build()
}

/// What every pool promises. Each comment says what bug the promise would catch.
mod promises {
    use super::*;

    // A count that is not kept on one of the ways an object can go.
    pub(super) fn counts_are_exact_on_every_way<P: Subject>() {
        let fx = Fixture::<P>::budget(10_000);
        fx.check(0, 0);
        let first = fx.pool.acquire().unwrap();
        fx.check(1, 0);
        let second = fx.pool.acquire().unwrap();
        let third = fx.pool.acquire().unwrap();
        fx.check(3, 0);
        drop(second);
        fx.check(2, 1);
        first.discard();
        fx.check(1, 1);
        drop(third.detach());
        fx.check(0, 1);
        assert_eq!(fx.pool.prewarm(4).unwrap(), 3);
        fx.check(0, 4);
        assert_eq!(fx.pool.retain(|item| item.serial > 3), 2);
        fx.check(0, 2);
        assert_eq!(fx.pool.trim(1), 1);
        fx.check(0, 1);
        let stats = fx.stats();
        assert_eq!(
            (stats.created, stats.evicted, stats.discarded, stats.detached, stats.hits, stats.misses),
            (6, 3, 1, 1, 0, 3)
        );
        assert_eq!((stats.peak_leased, stats.peak_bytes), (3, 4 * SIZE));
        fx.finish();
    }

    // Reuse from the wrong end: cold objects go out, warm ones wait.
    pub(super) fn what_was_released_last_goes_out_first<P: Subject>() {
        let fx = Fixture::<P>::new();
        let serials = fx.fill(4);
        let again: Vec<_> = (0..4).map(|_| fx.pool.try_acquire().unwrap()).collect();
        let out: Vec<u64> = again.iter().map(|lease| lease.serial).collect();
        assert_eq!(out, serials.iter().rev().copied().collect::<Vec<_>>());
        assert_eq!(fx.stats().hits, 4);
        drop(again);
        fx.finish();
    }

    // A reset at acquire, of what was never used, or of what is about to be destroyed; or none at all.
    pub(super) fn reset_runs_at_release_on_leased_objects_only<P: Subject>() {
        let fx = Fixture::<P>::new();
        fx.pool.prewarm(3).unwrap();
        fx.pool.trim(2);
        fx.pool.retain(|item| item.serial != 1);
        let lease = fx.pool.acquire().unwrap();
        let first = lease.serial;
        assert_eq!(*fx.probe.reset.borrow(), []);
        drop(lease);
        assert_eq!(*fx.probe.reset.borrow(), [first]);
        fx.pool.acquire().unwrap().discard();
        drop(fx.pool.acquire().unwrap().detach());
        let lease = fx.pool.acquire().unwrap();
        let last = lease.serial;
        let token = lease.into_id();
        assert_eq!(*fx.probe.reset.borrow(), [first]);
        fx.pool.release(token).unwrap();
        fx.pool.close();
        assert_eq!(*fx.probe.reset.borrow(), [first, last]);
        fx.finish();
    }

    // A spent object that goes back to the idle set, or that keeps its charge.
    pub(super) fn a_verdict_of_discard_destroys<P: Subject>() {
        let fx = Fixture::<P>::budget(1000);
        fx.fill(2);
        fx.probe.verdict.set(Verdict::Discard);
        let spent = fx.pool.acquire().unwrap();
        let serial = spent.serial;
        drop(spent);
        fx.check(0, 1);
        assert_eq!((fx.stats().discarded, fx.dropped()), (1, vec![serial]));
        fx.probe.verdict.set(Verdict::Keep);
        assert_eq!(fx.pool.acquire().unwrap().serial, 1 - serial);
        fx.finish();
    }

    // A factory call where there must be none.
    pub(super) fn try_acquire_never_creates<P: Subject>() {
        let fx = Fixture::<P>::new();
        assert!(fx.pool.try_acquire().is_none() && P::try_acquire_owned(&fx.pool).is_none());
        let stats = fx.stats();
        assert_eq!((stats.created, stats.misses, fx.probe.made.get()), (0, 0, 0));
        fx.fill(1);
        drop(P::try_acquire_owned(&fx.pool).unwrap());
        assert_eq!(fx.stats().hits, 1);
        fx.finish();
    }

    // A slot or bytes that are lost with each failure, until nothing can be had any more.
    pub(super) fn a_failed_create_gives_back_slot_and_bytes<P: Subject>() {
        let account = Account::new("one object", SIZE);
        let fx = Fixture::<P>::with(Some(account.clone()), 1, usize::MAX);
        fx.probe.fail.set(true);
        for _ in 0..20 {
            assert_eq!(fx.pool.acquire().map(drop), Err(AcquireError::Create(Refused)));
            assert_eq!(fx.pool.prewarm(1), Err(AcquireError::Create(Refused)));
            fx.check(0, 0);
        }
        fx.probe.fail.set(false);
        drop(fx.pool.acquire().unwrap());
        let stats = fx.stats();
        assert_eq!((stats.created, stats.misses, account.used()), (1, 21, SIZE));
        fx.finish();
    }

    // The same when the factory panics, or the measurement of what it made.
    pub(super) fn a_panicking_create_gives_back_slot_and_bytes<P: Subject>() {
        let fx = Fixture::<P>::with(Some(Account::new("one object", SIZE)), 1, usize::MAX);
        for _ in 0..20 {
            fx.probe.on_create.set(|_| quiet_panic());
            assert!(panics(|| fx.pool.acquire().map(drop)));
            fx.probe.on_create.clear();
            fx.probe.on_measure.set(|_| quiet_panic());
            assert!(panics(|| fx.pool.acquire().map(drop)));
            assert!(panics(|| fx.pool.prewarm(1)));
            fx.probe.on_measure.clear();
            fx.check(0, 0);
        }
        drop(fx.pool.acquire().unwrap());
        fx.check(0, 1);
        fx.finish();
    }

    // A half reset object in the idle set, or one that is lost but still counted.
    pub(super) fn a_panicking_resetter_destroys_the_object<P: Subject>() {
        let fx = Fixture::<P>::budget(SIZE);
        for round in 0..3 {
            let lease = fx.pool.acquire().unwrap();
            fx.probe.on_reset.set(|_| quiet_panic());
            assert!(panics(|| drop(lease)));
            fx.check(0, 0);
            let token = fx.pool.acquire().unwrap().into_id();
            assert!(panics(|| fx.pool.release(token)));
            assert!(matches!(fx.pool.release(token), Err(ReleaseError::Stale { .. })));
            fx.probe.on_reset.clear();
            fx.check(0, 0);
            assert_eq!(fx.stats().discarded, 2 * (round + 1));
        }
        drop(fx.pool.acquire().unwrap());
        fx.check(0, 1);
        fx.finish();
    }

    // The same when measuring it at release panics.
    pub(super) fn a_panicking_measure_at_release_destroys_the_object<P: Subject>() {
        let fx = Fixture::<P>::budget(SIZE);
        let lease = fx.pool.acquire().unwrap();
        fx.probe.on_measure.set(|_| quiet_panic());
        assert!(panics(|| drop(lease)));
        fx.probe.on_measure.clear();
        fx.check(0, 0);
        drop(fx.pool.acquire().unwrap());
        fx.finish();
    }

    // Budget that goes with a destructor that does not return, on each way to a destructor.
    pub(super) fn a_panicking_destructor_leaks_no_budget<P: Subject>() {
        let fx = Fixture::<P>::budget(8 * SIZE);
        let ways: [fn(&P); 6] = [
            |pool| pool.acquire().unwrap().discard(),
            |pool| drop(pool.acquire().unwrap().detach()),
            |pool| _ = pool.trim(0),
            |pool| _ = pool.retain(|_| false),
            |pool| {
                let lease = pool.acquire().unwrap();
                lease.probe.verdict.set(Verdict::Discard);
                drop(lease);
                pool.settle();
            },
            |pool| {
                let token = pool.acquire().unwrap().into_id();
                pool.redeem(token).unwrap().discard();
            },
        ];
        for way in ways {
            fx.fill(1);
            fx.probe.on_drop.once(|_| quiet_panic());
            assert!(panics(|| way(&fx.pool)));
            fx.probe.on_drop.clear();
            fx.probe.verdict.set(Verdict::Keep);
            fx.check(0, 0);
        }
        drop(fx.pool.acquire().unwrap());
        fx.finish();
    }

    // Objects that stay for ever because one before them panicked on its way out.
    pub(super) fn the_pools_end_survives_a_panicking_destructor<P: Subject>() {
        let fx = Fixture::<P>::budget(8 * SIZE);
        fx.fill(4);
        let Fixture { pool, probe, account } = fx;
        probe.on_drop.once(|_| quiet_panic());
        assert!(panics(|| drop(pool)));
        assert_eq!((*probe.destroyed.borrow()).as_slice(), [1; 4]);
        assert_eq!(account.unwrap().used(), 0);
    }

    // An object that is lost because the predicate panicked while it was looked at, or an order that is mixed up.
    pub(super) fn a_panicking_predicate_changes_nothing<P: Subject>() {
        let fx = Fixture::<P>::new();
        let serials = fx.fill(4);
        for victim in &serials {
            let looks = |item: &Item| {
                if item.serial == *victim {
                    quiet_panic();
                }
                true
            };
            assert!(panics(|| fx.pool.retain(looks)));
            fx.check(0, 4);
            assert_eq!(fx.order(), serials);
        }
        fx.finish();
    }

    // A lease that is lost when its holder panics.
    pub(super) fn a_lease_is_released_when_its_holder_panics<P: Subject>() {
        let fx = Fixture::<P>::new();
        let holder = || {
            let _lease = fx.pool.acquire().unwrap();
            quiet_panic();
        };
        assert!(panics(holder));
        fx.check(0, 1);
        assert_eq!(*fx.probe.reset.borrow(), [0]);
        fx.finish();
    }

    // A borrow or lock that is held while the factory runs; two creates that get one slot.
    pub(super) fn the_factory_may_use_the_pool<P: Subject>() {
        let fx = Fixture::<P>::budget(10_000);
        let pool = fx.weak();
        let depth = Cell::new(0);
        fx.probe.on_create.set(move |_| {
            let pool = pool.upgrade().unwrap();
            if depth.replace(depth.get() + 1) >= 3 {
                return;
            }
            let before = checked_stats(&*pool);
            let other = pool.acquire().unwrap();
            assert_eq!(checked_stats(&*pool).leased, before.leased + 1);
            let id = other.into_id();
            pool.trim(0);
            pool.retain(|_| false);
            pool.release(id).unwrap();
            assert!(pool.prewarm(0).is_ok());
            // Idle now, and taken by the level above unless it goes.
            assert_eq!(pool.trim(0), 1);
        });
        let lease = fx.pool.acquire().unwrap();
        fx.probe.on_create.clear();
        drop(lease);
        fx.check(0, 1);
        assert_eq!(fx.stats().created, 4);
        fx.finish();
    }

    // The same of the resetter; or a slot that is handed out again while it is reset.
    pub(super) fn the_resetter_may_use_the_pool<P: Subject>() {
        let fx = Fixture::<P>::budget(10_000);
        let serials = fx.fill(2);
        let lease = fx.pool.acquire().unwrap();
        let pool = fx.weak();
        let mine = lease.serial;
        fx.probe.on_reset.once(move |serial| {
            let pool = pool.upgrade().unwrap();
            assert_eq!(serial, mine);
            assert_eq!((checked_stats(&*pool).leased, pool.stats().idle), (1, 1));
            let others = [pool.acquire().unwrap(), pool.acquire().unwrap(), pool.acquire().unwrap()];
            assert!(others.iter().all(|other| other.serial != mine), "handed out while it is reset");
            assert_eq!(checked_stats(&*pool).leased, 4);
            let [first, second, third] = others;
            first.discard();
            drop(second.detach());
            drop(third);
            pool.trim(0);
            pool.retain(|_| true);
            assert_eq!((checked_stats(&*pool).leased, pool.stats().idle), (1, 0));
        });
        drop(lease);
        fx.check(0, 1);
        assert_eq!((serials.contains(&mine), fx.order()), (true, vec![mine]));
        fx.finish();
    }

    // The same of a destructor, on each way to one.
    pub(super) fn a_destructor_may_use_the_pool<P: Subject>() {
        let ways: [fn(&P); 6] = [
            |pool| pool.acquire().unwrap().discard(),
            |pool| drop(pool.acquire().unwrap().detach()),
            |pool| _ = pool.trim(0),
            |pool| _ = pool.retain(|_| false),
            |pool| pool.close(),
            |pool| {
                let lease = pool.acquire().unwrap();
                lease.probe.verdict.set(Verdict::Discard);
                drop(lease);
                pool.settle();
            },
        ];
        for way in ways {
            let fx = Fixture::<P>::budget(10_000);
            fx.fill(3);
            let pool = fx.weak();
            fx.probe.on_drop.once(move |serial| {
                let pool = pool.upgrade().unwrap();
                checked_stats(&*pool);
                let other = pool.acquire();
                if let Ok(other) = other {
                    assert_ne!(other.serial, serial, "handed out while it is destroyed");
                    other.probe.verdict.set(Verdict::Keep);
                    checked_stats(&*pool);
                }
                pool.trim(1);
                pool.retain(|item| (assert_ne!(item.serial, serial), true).1);
                checked_stats(&*pool);
            });
            way(&fx.pool);
            fx.probe.on_drop.clear();
            let stats = checked_stats(&*fx.pool);
            fx.check(0, stats.idle);
            fx.finish();
        }
    }

    // An object that is handed out while a predicate looks at it; a count that is wrong meanwhile.
    pub(super) fn a_predicate_may_use_the_pool<P: Subject>() {
        let fx = Fixture::<P>::budget(10_000);
        let serials = fx.fill(4);
        let mut seen = Vec::new();
        let destroyed = fx.pool.retain(|item| {
            seen.push(item.serial);
            fx.check(0, 4);
            let lease = fx.pool.acquire().unwrap();
            assert_ne!(lease.serial, item.serial, "handed out while it is looked at");
            lease.discard();
            let stats = checked_stats(&*fx.pool);
            assert_eq!(stats.leased, 0);
            // As many as there are already, but for the one that went if it was one of these.
            fx.pool.prewarm(4).unwrap();
            fx.check(0, 4);
            true
        });
        assert_eq!((destroyed, seen[0]), (0, serials[0]));
        fx.check(0, 4);
        fx.finish();
    }

    // An object under the predicate's eyes that is counted as out; a peak of leases that never were.
    pub(super) fn counts_are_exact_inside_a_predicate<P: Subject>() {
        let fx = Fixture::<P>::new();
        assert_eq!(fx.pool.prewarm(4).unwrap(), 4);
        fx.pool.retain(|_| {
            // Whether the acquire finds an idle object that the predicate has not seen is the pool's affair.
            let idle = fx.stats().idle;
            assert!(idle >= 4);
            fx.check(0, idle);
            let lease = fx.pool.acquire().unwrap();
            assert_eq!(checked_stats(&*fx.pool).leased, 1);
            drop(lease);
            fx.check(0, fx.stats().idle);
            true
        });
        assert_eq!(fx.stats().peak_leased, 1);
        let idle = fx.stats().idle;
        let leases: Vec<_> = (0..idle).map(|_| fx.pool.try_acquire().unwrap()).collect();
        fx.check(idle, 0);
        assert_eq!(fx.stats().peak_leased, idle);
        drop(leases);
        fx.finish();
    }

    // A predicate that trims or closes, and a loop that goes on with what is gone.
    pub(super) fn a_predicate_may_trim_and_close<P: Subject>() {
        let fx = Fixture::<P>::new();
        fx.fill(4);
        let mut looked = 0;
        fx.pool.retain(|_| {
            looked += 1;
            fx.pool.trim(0);
            fx.pool.retain(|_| false);
            true
        });
        assert!((1..=4).contains(&looked));
        checked_stats(&*fx.pool);

        fx.fill(4);
        fx.pool.retain(|_| {
            fx.pool.close();
            true
        });
        fx.check(0, 0);
        assert!(matches!(fx.pool.acquire(), Err(AcquireError::Closed)));
        fx.finish();
    }

    // An idle object that a closed pool keeps and hands out, because the predicate that closed it panicked.
    pub(super) fn a_predicate_that_closes_and_panics_leaves_nothing_idle<P: Subject>() {
        let fx = Fixture::<P>::budget(10_000);
        fx.fill(3);
        let closes = |_: &Item| {
            fx.pool.close();
            quiet_panic();
            true
        };
        assert!(panics(|| fx.pool.retain(closes)));
        assert!(matches!(fx.pool.acquire().map(drop), Err(AcquireError::Closed)));
        assert!(fx.pool.try_acquire().is_none());
        fx.check(0, 0);
        fx.finish();
    }

    // A borrow that is held while an account raises its event; an event that the pool does not survive.
    pub(super) fn an_event_handler_may_use_the_pool<P: Subject>() {
        let fx = Fixture::<P>::with(Some(watched(3 * SIZE, 100 * SIZE)), usize::MAX, usize::MAX);
        let events = Rc::new(Cell::new(0));
        let (pool, count) = (fx.weak(), Rc::clone(&events));
        ON_EVENT.with(|hook| {
            hook.set(move |_| {
                count.set(count.get() + 1);
                let Some(pool) = pool.upgrade() else { return };
                checked_stats(&*pool);
                if let Ok(lease) = pool.acquire() {
                    lease.discard();
                }
                pool.trim(1);
                pool.retain(|_| true);
                checked_stats(&*pool);
            });
        });
        let leases: Vec<_> = (0..6).map(|_| fx.pool.acquire().unwrap()).collect();
        assert_eq!(events.get(), 1, "over the soft limit");
        fx.check(6, 0);
        drop(leases);
        fx.check(0, 6);
        fx.pool.trim(0);
        assert_eq!(events.get(), 2, "back to the low watermark");
        fx.check(0, fx.stats().idle);
        ON_EVENT.with(Hook::clear);
        fx.finish();
    }

    // Slots or bytes that are lost when an event handler panics: in a create, in a release, in a destruction.
    pub(super) fn counts_stay_exact_when_an_event_handler_panics<P: Subject>() {
        let fx = Fixture::<P>::with(Some(watched(3 * SIZE, 100 * SIZE)), usize::MAX, usize::MAX);
        let panic_once = || ON_EVENT.with(|hook| hook.once(|_| quiet_panic()));
        let mut leases: Vec<_> = (0..3).map(|_| fx.pool.acquire().unwrap()).collect();
        panic_once();
        assert!(panics(|| fx.pool.acquire().map(drop)));
        fx.check(3, 0);

        leases.pop().unwrap().discard(); // below the low watermark, for the next crossing
        let mut grown = fx.pool.acquire().unwrap();
        grown.bytes = 2 * SIZE;
        panic_once();
        assert!(panics(|| drop(grown)));
        fx.check(2, 0);

        leases.extend([fx.pool.acquire().unwrap(), fx.pool.acquire().unwrap()]);
        fx.check(4, 0);
        panic_once();
        let (first, second) = (leases.pop().unwrap(), leases.pop().unwrap());
        assert!(panics(|| (first.discard(), second.discard())));
        ON_EVENT.with(Hook::clear);
        fx.check(2, 0);
        drop(leases);
        fx.finish();
    }

    // A detached object that the pool destroys too, or whose place is not free.
    pub(super) fn detach_takes_the_object_out_for_good<P: Subject>() {
        let fx = Fixture::<P>::with(Some(Account::new("one object", SIZE)), 1, usize::MAX);
        let object = fx.pool.acquire().unwrap().detach();
        fx.check(0, 0);
        assert_eq!(fx.stats().detached, 1);
        let lease = fx.pool.acquire().unwrap();
        assert_eq!((object.serial, lease.serial), (0, 1));
        drop(lease);
        let owned = P::acquire_owned(&fx.pool).unwrap().detach();
        assert_eq!((owned.serial, fx.stats().detached), (1, 2));
        drop((object, owned));
        fx.finish();
    }

    // A token that can be used twice, by itself or by a copy, or that is good for a later lease of its slot.
    pub(super) fn a_token_is_good_once<P: Subject>() {
        let fx = Fixture::<P>::new();
        let stale = |id: LeaseId| {
            let before = fx.stats();
            assert!(matches!(fx.pool.release(id), Err(ReleaseError::Stale { .. })), "{id:?}");
            assert!(matches!(fx.pool.redeem(id).map(drop), Err(ReleaseError::Stale { .. })), "{id:?}");
            assert!(
                matches!(P::redeem_owned(&fx.pool, id).map(drop), Err(ReleaseError::Stale { .. })),
                "{id:?}"
            );
            assert_eq!(fx.stats(), before, "a refused token changed something");
        };
        let released = fx.pool.acquire().unwrap().into_id();
        fx.check(1, 0);
        fx.pool.release(released).unwrap();
        fx.check(0, 1);
        stale(released); // idle
        let lease = fx.pool.acquire().unwrap();
        stale(released); // leased again, the same slot
        let again = lease.into_id();
        stale(released); // and a token again
        let redeemed = fx.pool.redeem(again).unwrap();
        stale(again);
        let third = redeemed.into_id();
        stale(again);
        fx.pool.redeem(third).unwrap().discard();
        stale(third); // vacant
        let fourth = fx.pool.acquire().unwrap().into_id();
        drop(fx.pool.redeem(fourth).unwrap().detach());
        stale(fourth);
        let fifth = P::acquire_owned(&fx.pool).unwrap().into_id();
        [released, again, third, fourth].into_iter().for_each(stale);
        fx.pool.close();
        drop(P::redeem_owned(&fx.pool, fifth).unwrap());
        stale(fifth);
        fx.check(0, 0);
        fx.finish();
    }

    // A token that another pool takes for its own.
    pub(super) fn a_foreign_token_is_refused<P: Subject>() {
        let (one, other) = (Fixture::<P>::new(), Fixture::<P>::new());
        let (mine, yours) = (one.pool.acquire().unwrap().into_id(), other.pool.acquire().unwrap().into_id());
        assert!(matches!(one.pool.release(yours), Err(ReleaseError::Foreign { .. })));
        assert!(matches!(other.pool.redeem(mine).map(drop), Err(ReleaseError::Foreign { .. })));
        one.check(1, 0);
        other.check(1, 0);
        one.pool.release(mine).unwrap();
        other.pool.release(yours).unwrap();
        assert!(matches!(one.pool.release(yours), Err(ReleaseError::Foreign { .. })));
        one.finish();
        other.finish();
    }

    // A number that is no token and is believed, or read out of bounds.
    pub(super) fn forged_tokens_are_refused<P: Subject>() {
        let fx = Fixture::<P>::new();
        let good = fx.pool.acquire().unwrap().into_id();
        let idle = fx.pool.acquire().unwrap();
        drop(idle);
        let bits = good.to_bits();
        let forgeries = (0..128).map(|bit| bits ^ 1 << bit).chain([0, u128::MAX, bits & !(u64::MAX as u128)]);
        for forged in forgeries.map(LeaseId::from_bits) {
            assert!(fx.pool.release(forged).is_err(), "{forged:?}");
            assert!(fx.pool.redeem(forged).is_err(), "{forged:?}");
        }
        fx.check(1, 1);
        fx.pool.release(LeaseId::from_bits(bits)).unwrap();
        fx.check(0, 2);
        fx.finish();
    }

    // Prewarming that counts as use, stops too early, or loses what it made when it cannot go on.
    pub(super) fn prewarm_makes_idle_objects_up_to_the_count<P: Subject>() {
        let fx = Fixture::<P>::with(Some(Account::new("five", 5 * SIZE)), 6, usize::MAX);
        assert_eq!(fx.pool.prewarm(3), Ok(3));
        assert_eq!(fx.pool.prewarm(2), Ok(0));
        assert_eq!(fx.pool.prewarm(4), Ok(1));
        let stats = fx.stats();
        assert_eq!((stats.hits, stats.misses, stats.peak_leased, stats.created), (0, 0, 0, 4));
        match fx.pool.prewarm(9) {
            Err(AcquireError::OverBudget(refusal)) => {
                assert_eq!((refusal.requested, refusal.used, refusal.free), (SIZE, 5 * SIZE, 0));
            }
            other => panic!("{other:?}"),
        }
        fx.check(0, 5);
        let leases: Vec<_> = (0..5).map(|_| fx.pool.try_acquire().unwrap()).collect();
        assert_eq!(fx.stats().peak_leased, 5);
        drop(leases);
        fx.finish();
    }

    // A peak of leases that misses those of prewarmed objects.
    pub(super) fn the_peak_counts_leases_of_prewarmed_objects<P: Subject>() {
        let fx = Fixture::<P>::new();
        fx.pool.prewarm(4).unwrap();
        let one = fx.pool.acquire().unwrap();
        assert_eq!(fx.stats().peak_leased, 1);
        let two = fx.pool.acquire().unwrap();
        assert_eq!(fx.stats().peak_leased, 2);
        drop((one, two));
        fx.pool.prewarm(6).unwrap();
        let leases: Vec<_> = (0..5).map(|_| fx.pool.acquire().unwrap()).collect();
        assert_eq!(fx.stats().peak_leased, 5);
        drop(leases);
        fx.pool.trim(0);
        fx.pool.prewarm(7).unwrap();
        let leases: Vec<_> = (0..7).map(|_| fx.pool.acquire().unwrap()).collect();
        assert_eq!(fx.stats().peak_leased, 7);
        drop(leases);
        fx.finish();
    }

    // Trimming from the wrong end, below the target, or not down to it.
    pub(super) fn trim_takes_the_oldest_first<P: Subject>() {
        let fx = Fixture::<P>::new();
        let serials = fx.fill(6);
        assert_eq!(fx.pool.trim(9), 0);
        assert_eq!(fx.pool.trim(4), 2);
        assert_eq!(fx.dropped(), serials[..2]);
        assert_eq!(fx.order(), serials[2..]);
        let newest = fx.pool.acquire().unwrap();
        let second = fx.pool.acquire().unwrap();
        drop(newest);
        drop(second); // now the newest
        assert_eq!(fx.pool.evict(1), 1);
        assert_eq!(fx.order(), [serials[3], serials[5], serials[4]]);
        assert_eq!(fx.pool.trim(1), 2);
        assert_eq!(fx.order(), [serials[4]]);
        fx.check(0, 1);
        fx.finish();
    }

    // Evicting more than was asked for, also if a destructor releases something meanwhile, or what is leased.
    pub(super) fn evict_destroys_so_many_idle_objects_and_no_more<P: Subject>() {
        let fx = Fixture::<P>::new();
        fx.fill(6);
        let lease = fx.pool.acquire().unwrap();
        assert_eq!((fx.pool.evict(0), fx.pool.evict(2)), (0, 2));
        fx.check(1, 3);
        // What comes back is not what was asked for.
        let out = RefCell::new(Some(P::acquire_owned(&fx.pool).unwrap()));
        fx.probe.on_drop.once(move |_| drop(out.borrow_mut().take()));
        assert_eq!(fx.pool.evict(2), 2);
        fx.check(1, 1);
        assert_eq!(fx.pool.evict(9), 1);
        fx.check(1, 0);
        drop(lease);
        fx.finish();
    }

    // A ring, chain or list that is mended wrongly when it is used from both ends.
    pub(super) fn order_holds_through_many_turns<P: Subject>() {
        let fx = Fixture::<P>::new();
        let mut expected: Vec<u64> = Vec::new();
        for round in 0..if cfg!(miri) { 15 } else { 50u64 } {
            if expected.len() < ROOM {
                fx.pool.prewarm(expected.len() + 1).unwrap();
                expected.push(fx.probe.made.get() - 1);
            }
            if round % 3 == 0 && expected.len() > 1 {
                // The newest two change places.
                let (newest, second) = (fx.pool.acquire().unwrap(), fx.pool.acquire().unwrap());
                drop(newest);
                drop(second);
                let last = expected.len() - 1;
                expected.swap(last, last - 1);
            }
            if round % 5 == 4 {
                fx.pool.trim(expected.len() - 2);
                expected.drain(..2);
            }
            if round % 7 == 6 {
                let gone = expected.remove(expected.len() / 2);
                assert_eq!(fx.pool.retain(|item| item.serial != gone), 1);
            }
            assert_eq!(fx.order(), expected, "round {round}");
            fx.check(0, expected.len());
        }
        fx.finish();
    }

    // A target that is missed because a destructor gave something back meanwhile.
    pub(super) fn trim_reaches_its_target_when_a_destructor_releases<P: Subject>() {
        let fx = Fixture::<P>::new();
        let lease = P::acquire_owned(&fx.pool).unwrap();
        fx.fill(2);
        // Released by the destructor of the last one.
        let stash = Rc::new(RefCell::new(Some(lease)));
        let inner = Rc::clone(&stash);
        fx.probe.on_drop.set(move |serial| {
            if serial == 2 {
                inner.borrow_mut().take();
            }
        });
        fx.pool.trim(0);
        assert!(stash.borrow().is_none());
        fx.check(0, 0);
        fx.finish();
    }

    // A predicate that is asked twice, never, or in another order.
    pub(super) fn retain_sees_each_idle_object_once<P: Subject>() {
        let fx = Fixture::<P>::new();
        let serials = fx.fill(5);
        let out = fx.pool.acquire().unwrap();
        let others: Vec<u64> = serials.into_iter().filter(|serial| *serial != out.serial).collect();
        assert_eq!(fx.order(), others);
        assert_eq!(fx.pool.retain(|item| item.serial % 2 == 0), 2);
        let even: Vec<u64> = others.into_iter().filter(|serial| serial % 2 == 0).collect();
        assert_eq!((fx.order(), fx.dropped()), (even, vec![1, 3]));
        drop(out);
        assert_eq!(fx.order(), [0, 2, 4]);
        fx.finish();
    }

    // A closed pool that still gives, or keeps, or counts twice.
    pub(super) fn close_is_final_and_idempotent<P: Subject>() {
        let fx = Fixture::<P>::budget(10_000);
        let [mut lease, owned] = [P::acquire_owned(&fx.pool).unwrap(), P::acquire_owned(&fx.pool).unwrap()];
        fx.pool.prewarm(3).unwrap();
        for _ in 0..2 {
            fx.pool.close();
            assert!(fx.pool.is_closed());
            fx.check(2, 0);
            assert_eq!(fx.stats().evicted, 3);
            assert!(matches!(fx.pool.acquire(), Err(AcquireError::Closed)));
            assert!(matches!(P::acquire_owned(&fx.pool), Err(AcquireError::Closed)));
            assert!(fx.pool.try_acquire().is_none());
            assert_eq!(fx.pool.prewarm(1), Err(AcquireError::Closed));
            assert_eq!(fx.probe.made.get(), 5);
        }
        lease.bytes = SIZE / 2; // still usable
        drop(lease);
        fx.check(1, 0);
        assert_eq!(owned.detach().serial, 1);
        fx.check(0, 0);
        assert_eq!(fx.stats().discarded, 1);
        fx.finish();
    }

    // An object that enters a pool which was closed while the factory was at it, and is never freed.
    pub(super) fn close_during_create_destroys_what_was_made<P: Subject>() {
        let fx = Fixture::<P>::budget(SIZE);
        let pool = fx.weak();
        fx.probe.on_create.once(move |_| pool.upgrade().unwrap().close());
        assert!(matches!(fx.pool.acquire(), Err(AcquireError::Closed)));
        assert_eq!(fx.dropped(), [0]);
        fx.check(0, 0);
        fx.finish();

        let fx = Fixture::<P>::budget(SIZE);
        let pool = fx.weak();
        fx.probe.on_create.once(move |_| pool.upgrade().unwrap().close());
        assert_eq!(fx.pool.prewarm(1), Err(AcquireError::Closed));
        fx.check(0, 0);
        fx.finish();
    }

    // The same while an object is reset.
    pub(super) fn close_during_reset_destroys_the_object<P: Subject>() {
        let fx = Fixture::<P>::budget(SIZE);
        let lease = fx.pool.acquire().unwrap();
        let pool = fx.weak();
        fx.probe.on_reset.once(move |_| pool.upgrade().unwrap().close());
        drop(lease);
        fx.check(0, 0);
        assert_eq!(fx.dropped(), [0]);
        fx.finish();
    }

    // A hit on a pool that is just being closed.
    pub(super) fn acquires_fail_from_the_moment_of_close<P: Subject>() {
        let fx = Fixture::<P>::new();
        fx.fill(4);
        let pool = fx.weak();
        fx.probe.on_drop.set(move |_| {
            let pool = pool.upgrade().unwrap();
            assert!(pool.is_closed());
            assert!(matches!(pool.acquire().map(drop), Err(AcquireError::Closed)), "closed, and gave");
            assert!(pool.try_acquire().is_none(), "closed, and gave");
        });
        fx.pool.close();
        fx.probe.on_drop.clear();
        fx.check(0, 0);
        fx.finish();
    }

    // Idle objects that stay in a closed pool, and are handed out, because one destructor panicked.
    pub(super) fn close_goes_on_after_a_panicking_destructor<P: Subject>() {
        let fx = Fixture::<P>::budget(10_000);
        fx.fill(4);
        fx.probe.on_drop.once(|_| quiet_panic());
        assert!(panics(|| fx.pool.close()));
        assert!(matches!(fx.pool.acquire().map(drop), Err(AcquireError::Closed)));
        assert!(fx.pool.try_acquire().is_none());
        fx.check(0, 0);
        fx.finish();
    }

    // A use after free, or a leak, when leases outlive every other handle to the pool.
    pub(super) fn owned_leases_outlive_the_pool<P: Subject>() {
        let Fixture { pool, probe, account } = Fixture::<P>::budget(10_000);
        let [mut first, second, third, fourth] = [(); 4].map(|()| P::acquire_owned(&pool).unwrap());
        let token = fourth.into_id();
        drop(pool);
        first.bytes = 2 * SIZE;
        drop(first);
        second.discard();
        let pool = Lease::pool(&third);
        assert_eq!(checked_stats(pool).leased, 2);
        let object = third.detach(); // the last handle: the pool goes, and with it the token's object
        assert_eq!(object.serial, 2);
        assert_eq!(*probe.destroyed.borrow(), [1, 1, 0, 1]);
        drop(object);
        assert_eq!(*probe.destroyed.borrow(), [1; 4]);
        assert_eq!(account.unwrap().used(), 0);
        let _ = token;
    }

    // Objects of leaked leases and tokens that are never destroyed, or whose bytes are never given back.
    pub(super) fn leaked_leases_end_with_the_pool<P: Subject>() {
        let fx = Fixture::<P>::budget(10_000);
        std::mem::forget(fx.pool.acquire().unwrap());
        let _token = fx.pool.acquire().unwrap().into_id();
        fx.check(2, 0);
        drop(fx.pool.acquire().unwrap());
        fx.pool.close();
        fx.check(2, 0);
        fx.finish();
    }

    // A refusal that moves a counter or a peak, or does not say why.
    pub(super) fn a_refused_charge_leaves_no_trace<P: Subject>() {
        let root = Account::new("root", 250);
        let account = Account::builder("leaf").parent(&root).hard_limit(1000).build();
        let fx = Fixture::<P>::with(Some(account.clone()), usize::MAX, usize::MAX);
        let leases = [fx.pool.acquire().unwrap(), fx.pool.acquire().unwrap()];
        for _ in 0..3 {
            match fx.pool.acquire() {
                Err(AcquireError::OverBudget(refusal)) => {
                    assert_eq!(refusal.account, root);
                    assert_eq!((refusal.requested, refusal.used, refusal.limit), (SIZE, 200, 250));
                    // Nothing is, or nobody looked: a local pool evicts nothing for an object.
                    assert_eq!((refusal.free, refusal.evictable.unwrap_or(0)), (50, 0));
                }
                other => panic!("{:?}", other.map(drop)),
            }
            fx.check(2, 0);
            assert_eq!((root.used(), root.peak(), account.used(), account.peak()), (200, 200, 200, 200));
            assert_eq!((fx.stats().peak_bytes, fx.probe.made.get()), (200, 2));
        }
        drop(leases);
        fx.finish();
        assert_eq!(root.used(), 0);
    }

    // A charge, however short, on the way of a hit or a release: one that others are refused for, or that is refused itself.
    pub(super) fn hits_and_releases_touch_no_account<P: Subject>() {
        let events = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = Arc::clone(&events);
        let account = Account::builder("full")
            .hard_limit(2 * SIZE)
            .on_event(move |_| _ = counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
            .build();
        let fx = Fixture::<P>::with(Some(account.clone()), usize::MAX, usize::MAX);
        drop([fx.pool.acquire().unwrap(), fx.pool.acquire().unwrap()]);
        fx.check(0, 2);
        // From here on no charge fits, not even of one byte.
        let over = account.charge_external(1000).unwrap();
        account.set_soft_limit(2 * SIZE + 1000);
        let numbers = || (account.used(), account.peak(), events.load(std::sync::atomic::Ordering::Relaxed));
        let before = numbers();
        for _ in 0..3 {
            let leases = [fx.pool.acquire().unwrap(), fx.pool.acquire().unwrap()];
            assert_eq!((fx.probe.made.get(), numbers()), (2, before));
            let token = fx.pool.try_acquire().map(Lease::into_id);
            assert_eq!(token, None);
            drop(leases);
            assert_eq!(numbers(), before);
        }
        drop(over);
        fx.check(0, 2);
        // And here any would, and be seen by the peak.
        account.set_hard_limit(1000);
        account.reset_peak();
        for _ in 0..3 {
            drop([fx.pool.acquire().unwrap(), fx.pool.acquire().unwrap()]);
            assert_eq!((account.used(), account.peak()), (2 * SIZE, 2 * SIZE));
        }
        fx.finish();
    }

    // A size that wraps around to one that fits.
    pub(super) fn the_largest_sizes_are_refused<P: Subject>() {
        let fx = Fixture::<P>::budget(usize::MAX);
        let small = fx.pool.acquire().unwrap();
        for size in [usize::MAX, usize::MAX - SIZE + 1] {
            fx.probe.estimate.set(size);
            fx.probe.size.set(size);
            assert!(matches!(fx.pool.acquire().map(drop), Err(AcquireError::OverBudget(_))));
            fx.probe.estimate.set(0); // found out only when it is there
            assert!(matches!(fx.pool.acquire().map(drop), Err(AcquireError::OverBudget(_))));
            fx.check(1, 0);
        }
        drop(small);
        fx.check(0, 1);
        fx.finish();
    }

    // A sum of bytes that panics or wraps in a pool that has no account to refuse it.
    pub(super) fn sizes_that_sum_above_the_largest_number_do_no_harm<P: Subject>() {
        let fx = Fixture::<P>::new();
        fx.probe.size.set(usize::MAX);
        let leases: Vec<_> = (0..3).map(|_| fx.pool.acquire()).collect();
        drop(leases);
        let _ = fx.stats();
        fx.pool.trim(0);
        fx.probe.size.set(SIZE);
        fx.fill(2);
        let stats = fx.stats();
        assert_eq!((stats.leased, stats.idle, stats.idle_bytes), (0, 2, 2 * SIZE));
        fx.finish();
    }

    // An estimate that is charged for good in place of what the object holds.
    pub(super) fn an_object_smaller_than_estimated_is_charged_as_it_is<P: Subject>() {
        let fx = Fixture::<P>::budget(300);
        fx.probe.estimate.set(200);
        let leases = [fx.pool.acquire().unwrap(), fx.pool.acquire().unwrap()];
        fx.check(2, 0);
        assert_eq!((fx.stats().leased_bytes, fx.account.as_ref().unwrap().peak()), (2 * SIZE, 300));
        drop(leases);
        fx.finish();
    }

    // Bytes above the estimate that nobody is charged for; an object above the limit that stays.
    pub(super) fn an_object_larger_than_estimated_grows_its_charge_or_goes<P: Subject>() {
        let fx = Fixture::<P>::budget(250);
        fx.probe.estimate.set(10);
        let lease = fx.pool.acquire().unwrap();
        fx.check(1, 0);
        assert_eq!(fx.stats().leased_bytes, SIZE);
        fx.probe.size.set(151);
        match fx.pool.acquire().map(drop) {
            Err(AcquireError::OverBudget(refusal)) => {
                // Of the 151 that it takes 10 were had already.
                assert_eq!((refusal.requested, refusal.used, refusal.free), (151, 100, 150));
            }
            other => panic!("{other:?}"),
        }
        fx.check(1, 0);
        assert_eq!(fx.dropped(), [1]);
        fx.probe.size.set(150);
        drop(fx.pool.acquire().unwrap());
        drop(lease);
        fx.check(0, 2);
        fx.finish();
    }

    // Growth while an object is out that is never charged, or that passes the limit.
    pub(super) fn growth_is_charged_at_release_or_the_object_goes<P: Subject>() {
        let fx = Fixture::<P>::budget(300);
        let (mut first, mut second) = (fx.pool.acquire().unwrap(), fx.pool.acquire().unwrap());
        first.bytes = 200;
        second.bytes = 101;
        fx.check(2, 0);
        drop(first);
        fx.check(1, 1);
        assert_eq!(fx.stats().idle_bytes, 200);
        drop(second);
        fx.check(0, 1);
        assert_eq!((fx.stats().discarded, fx.dropped()), (1, vec![1]));
        let mut shrinks = fx.pool.acquire().unwrap();
        shrinks.bytes = 20;
        drop(shrinks);
        fx.check(0, 1);
        assert_eq!(fx.stats().idle_bytes, 20);
        fx.finish();
    }

    // A giant that one use left behind and that stays for ever.
    pub(super) fn an_object_above_what_it_may_retain_is_discarded<P: Subject>() {
        for account in [None, Some(Account::new("a", 10_000))] {
            let fx = Fixture::<P>::with(account, usize::MAX, 150);
            let [mut small, mut giant] = [fx.pool.acquire().unwrap(), fx.pool.acquire().unwrap()];
            small.bytes = 150;
            giant.bytes = 151;
            drop(small);
            drop(giant);
            fx.check(0, 1);
            assert_eq!((fx.stats().discarded, fx.stats().idle_bytes, fx.dropped()), (1, 150, vec![1]));
            fx.finish();
        }
    }

    // One object too many or too few; an error that does not say how many.
    pub(super) fn the_limit_on_objects_is_exact<P: Subject>() {
        for max_objects in [0, 1, 3, ROOM] {
            let fx = Fixture::<P>::with(None, max_objects, usize::MAX);
            let mut leases: Vec<_> = (0..max_objects).map(|_| fx.pool.acquire().unwrap()).collect();
            let exhausted = AcquireError::Exhausted { leased: max_objects, max_objects };
            assert_eq!(fx.pool.acquire().map(drop), Err(exhausted.clone()));
            fx.check(max_objects, 0);
            if let Some(lease) = leases.pop() {
                drop(lease.detach());
                leases.push(fx.pool.acquire().unwrap());
            }
            if let Some(lease) = leases.pop() {
                lease.discard();
                leases.push(fx.pool.acquire().unwrap());
            }
            if let Some(lease) = leases.pop() {
                drop(lease);
                leases.push(fx.pool.acquire().unwrap());
            }
            assert_eq!(fx.pool.acquire().map(drop), Err(exhausted));
            drop(leases);
            fx.check(0, max_objects);
            fx.finish();
        }
    }

    // Objects being made that are not counted: a pool that grows above its limit by way of its factory.
    pub(super) fn objects_being_made_count_towards_the_limit<P: Subject>() {
        let fx = Fixture::<P>::with(None, 1, usize::MAX);
        let pool = fx.weak();
        fx.probe.on_create.once(move |_| {
            let inner = pool.upgrade().unwrap().acquire().map(drop);
            assert_eq!(inner, Err(AcquireError::Exhausted { leased: 1, max_objects: 1 }));
        });
        drop(fx.pool.acquire().unwrap());
        fx.check(0, 1);
        fx.finish();
    }

    // An object that moves or is handed out twice while others come and go.
    pub(super) fn objects_stay_where_they_are<P: Subject>() {
        let fx = Fixture::<P>::new();
        let lease = fx.pool.acquire().unwrap();
        let place: *const Item = &raw const *lease;
        let mut others = Vec::new();
        // More than one group of slots, or page.
        while others.len() < if cfg!(miri) { 70 } else { 200 } {
            match fx.pool.acquire() {
                Ok(other) => others.push(other),
                Err(AcquireError::Exhausted { .. }) => break,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(others.len() + 1 >= ROOM);
        assert!(std::ptr::eq(place, &raw const *lease));
        let mut places: Vec<*const Item> = others.iter().map(|other| &raw const **other).collect();
        places.push(place);
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), others.len() + 1, "two objects in one place");
        drop(others);
        fx.pool.trim(0);
        assert_eq!((lease.serial, lease.bytes), (0, SIZE));
        drop(lease);
        fx.finish();
    }

    // A loop until there are as many as wanted, without end where somebody destroys what it makes.
    pub(super) fn prewarm_makes_no_more_than_was_missing<P: Subject>() {
        let fx = Fixture::<P>::new();
        fx.fill(1);
        let (pool, probe) = (fx.weak(), Rc::clone(&fx.probe));
        fx.probe.on_create.set(move |serial| {
            pool.upgrade().unwrap().trim(0);
            probe.fail.set(serial > 50); // an end, if there is none
        });
        assert_eq!(fx.pool.prewarm(5), Ok(4));
        fx.check(0, 1);
        fx.finish();
    }

    // A second panic on the way out of a first one, which ends the process.
    pub(super) fn close_goes_on_whatever_panics<P: Subject>() {
        for handler_too in [false, true] {
            let fx = Fixture::<P>::with(Some(watched(250, 1000)), usize::MAX, usize::MAX);
            fx.fill(4);
            if handler_too {
                ON_EVENT.with(|hook| hook.set(|_| quiet_panic()));
            }
            fx.probe.on_drop.set(|_| quiet_panic());
            assert!(panics(|| fx.pool.close()));
            ON_EVENT.with(Hook::clear);
            fx.check(0, 0);
            fx.finish();
        }
    }

    // A handler, and then the destructor of the object that it hears of; an object that is counted as with somebody who did not
    // get it.
    pub(super) fn what_is_detached_in_vain_is_destroyed_and_counted_so<P: Subject>() {
        let fx = Fixture::<P>::with(Some(watched(50, 1000)), usize::MAX, usize::MAX);
        let lease = fx.pool.acquire().unwrap();
        ON_EVENT.with(|hook| hook.once(|_| quiet_panic()));
        fx.probe.on_drop.once(|_| quiet_panic());
        assert!(panics(|| lease.detach()));
        ON_EVENT.with(Hook::clear);
        fx.check(0, 0);
        assert_eq!((fx.stats().destroyed, fx.stats().detached), (1, 0));
        fx.finish();
    }

    // Bytes that stay charged while a destructor takes its time.
    pub(super) fn the_charge_is_undone_before_the_destructor_runs<P: Subject>() {
        let fx = Fixture::<P>::budget(1000);
        let used = Rc::new(RefCell::new(Vec::new()));
        let (account, seen) = (fx.account.clone().unwrap(), Rc::clone(&used));
        fx.probe.on_drop.set(move |_| seen.borrow_mut().push(account.used()));
        fx.fill(2);
        fx.pool.trim(0);
        fx.pool.acquire().unwrap().discard();
        fx.probe.verdict.set(Verdict::Discard);
        drop(fx.pool.acquire().unwrap());
        fx.pool.settle();
        fx.probe.verdict.set(Verdict::Keep);
        fx.fill(1);
        fx.pool.close();
        assert_eq!(*used.borrow(), [SIZE, 0, 0, 0, 0]);
        fx.finish();
    }

    // The same of an object that never gets into the pool; and its destructor as the second panic, which ends the process.
    pub(super) fn what_does_not_get_into_the_pool_is_free_before_its_destructor_runs<P: Subject>() {
        /// What keeps it out, and whether that is a panic.
        type Way<P> = (fn(&Fixture<P>), bool);
        let ways: [Way<P>; 4] = [
            (|fx| fx.probe.on_measure.set(|_| quiet_panic()), true),
            // As it turns out to be larger.
            (|_| ON_EVENT.with(|hook| hook.once(|_| quiet_panic())), true),
            (|fx| fx.probe.size.set(1001), false),
            (
                |fx| {
                    let pool = fx.weak();
                    fx.probe.on_create.set(move |_| pool.upgrade().unwrap().close());
                },
                false,
            ),
        ];
        for (keep_out, panicking) in ways {
            for destructor_too in [false, true] {
                let fx = Fixture::<P>::with(Some(watched(50, 1000)), usize::MAX, usize::MAX);
                fx.probe.estimate.set(10);
                let used = Rc::new(RefCell::new(Vec::new()));
                let (account, seen) = (fx.account.clone().unwrap(), Rc::clone(&used));
                fx.probe.on_drop.set(move |_| {
                    seen.borrow_mut().push(account.used());
                    if destructor_too {
                        quiet_panic();
                    }
                });
                keep_out(&fx);
                assert_eq!(panics(|| fx.pool.acquire().is_ok()), panicking || destructor_too);
                ON_EVENT.with(Hook::clear);
                assert_eq!(*used.borrow(), [0]);
                fx.check(0, 0);
                fx.finish();
            }
        }
    }

    // A pool that never had to make anything while it was used, and is asked when all is back: what it had out, it has seen only
    // as it had nothing more to give.
    pub(super) fn who_is_refused_sees_how_many_are_out<P: Subject>() {
        for of_bytes in [false, true] {
            let fx = match of_bytes {
                true => Fixture::<P>::budget(3 * SIZE),
                false => Fixture::<P>::with(None, 3, usize::MAX),
            };
            assert_eq!(fx.pool.prewarm(3), Ok(3));
            let leases = [(); 3].map(|()| fx.pool.acquire().unwrap());
            assert!(fx.pool.acquire().is_err());
            drop(leases);
            assert_eq!((fx.stats().peak_leased, fx.stats().misses), (3, 1));
            fx.finish();
        }
    }

    // A second panic, of a lease that a first one drops, whose object is in whatever state that left it: of a resetter that refuses
    // such by a panic, or of what comes after it. It ends the process.
    pub(super) fn a_lease_that_a_panic_drops_ends_whatever_panics<P: Subject>() {
        let plans: [fn(&Probe); 3] = [
            |probe| probe.on_reset.set(|_| quiet_panic()),
            |probe| probe.on_measure.set(|_| quiet_panic()),
            |probe| {
                probe.verdict.set(Verdict::Discard);
                probe.on_drop.set(|_| quiet_panic());
            },
        ];
        let ways: [fn(&P); 3] = [
            |pool| {
                let _lease = pool.acquire().unwrap();
                quiet_panic();
            },
            |pool| {
                struct ByHand<'p, P: Subject>(&'p P, LeaseId);
                impl<P: Subject> Drop for ByHand<'_, P> {
                    fn drop(&mut self) {
                        assert_eq!(self.0.release(self.1), Ok(()));
                    }
                }
                let _token = ByHand(pool, pool.acquire().unwrap().into_id());
                quiet_panic();
            },
            |pool| {
                struct Broken<L: FnOnce()>(Option<L>);
                impl<L: FnOnce()> Drop for Broken<L> {
                    fn drop(&mut self) {
                        self.0.take().unwrap()();
                    }
                }
                let lease = pool.acquire().unwrap();
                let _lease = Broken(Some(|| lease.discard()));
                quiet_panic();
            },
        ];
        for plan in plans {
            for way in ways {
                let fx = Fixture::<P>::budget(SIZE);
                fx.fill(1);
                plan(&fx.probe);
                assert!(panics(|| way(&fx.pool)));
                // Where what is discarded is only destroyed later, that panic is the first.
                let _ = panics(|| fx.pool.settle());
                fx.probe.on_drop.clear();
                fx.probe.on_reset.clear();
                fx.probe.on_measure.clear();
                fx.probe.verdict.set(Verdict::Keep);
                // Discarding neither resets nor measures, but it does destroy.
                fx.check(0, 0);
                drop(fx.pool.acquire().unwrap());
                fx.check(0, 1);
                fx.finish();
            }
        }
    }

    // The same where the pool ends.
    pub(super) fn the_pools_end_goes_on_whatever_panics<P: Subject>() {
        let fx = Fixture::<P>::budget(1000);
        let serials = fx.fill(4);
        fx.probe.on_drop.set(|_| quiet_panic());
        let Fixture { pool, probe, account } = fx;
        assert!(panics(|| drop(pool)));
        probe.on_drop.clear();
        assert_eq!((probe.dropped.borrow().len(), account.unwrap().used()), (serials.len(), 0));
    }

    // The same where the resetter panics, and then the destructor.
    pub(super) fn a_resetter_and_then_a_destructor_may_panic<P: Subject>() {
        let fx = Fixture::<P>::budget(1000);
        fx.probe.on_reset.once(|_| quiet_panic());
        fx.probe.on_drop.once(|_| quiet_panic());
        let lease = fx.pool.acquire().unwrap();
        assert!(panics(|| drop(lease)));
        // What a release must not destroy goes now.
        let _ = panics(|| fx.pool.settle());
        assert_eq!(*fx.probe.destroyed.borrow(), [1]);
        fx.check(0, 0);
        fx.finish();
    }

    // Bytes that are charged until the destructors of a dropped pool get to them, and evictable by nobody.
    pub(super) fn what_a_pool_held_is_free_before_its_destructors_run<P: Subject>() {
        let fx = Fixture::<P>::budget(400);
        fx.fill(4);
        let Fixture { pool, probe, account } = fx;
        let (account, seen) = (account.unwrap(), Rc::new(Cell::new(None)));
        let (theirs, note) = (account.clone(), Rc::clone(&seen));
        probe.on_drop.once(move |_| note.set(Some(theirs.used())));
        drop(pool);
        probe.on_drop.clear();
        assert_eq!((seen.get(), account.used(), probe.dropped.borrow().len()), (Some(0), 0, 4));
    }

    // An object on its way to the caller, lost if what ends after it panics.
    pub(super) fn an_object_is_destroyed_if_the_pool_ends_with_a_panic_as_it_is_detached<P: Subject>() {
        let fx = Fixture::<P>::budget(400);
        let lease = P::acquire_owned(&fx.pool).unwrap();
        fx.fill(1);
        let Fixture { pool, probe, account } = fx;
        drop(pool);
        // Each of the two: the second panic, of what is not detached after all, would end the process.
        probe.on_drop.set(|_| quiet_panic());
        assert!(panics(|| lease.detach()));
        probe.on_drop.clear();
        assert_eq!((&*probe.destroyed.borrow(), account.unwrap().used()), (&vec![1, 1], 0));
    }

    // A guard for any kind of pool that cannot do without knowing which.
    pub(super) fn any_pool_can_be_used_as_a_pool<P: Subject>() {
        fn close_all(pools: &[&dyn Fn() -> PoolStats]) -> usize {
            pools.iter().map(|stats| stats().idle).sum()
        }
        let fx = Fixture::<P>::new();
        let lease = P::acquire_owned(&fx.pool).unwrap();
        assert_eq!(Lease::pool(&lease).stats().leased, 1);
        assert!(format!("{lease:?}").contains("serial: 0"));
        drop(lease);
        assert_eq!(close_all(&[&|| fx.stats()]), 1);
        Pool::close(&*fx.pool);
        assert!(Pool::is_closed(&*fx.pool));
        assert_eq!(Pool::trim(&*fx.pool, 0), 0);
        fx.finish();
    }
}

/// Every promise, for one kind of pool; and those that are named besides.
macro_rules! suite {
    ($kind:ident, $pool:ty $(; $($ordered:ident)*)?) => {
        mod $kind {
            use super::*;
            suite! { @promises $pool; $($($ordered)*)? }
            suite! { @promises $pool;
                counts_are_exact_on_every_way
                reset_runs_at_release_on_leased_objects_only
                a_verdict_of_discard_destroys
                try_acquire_never_creates
                a_failed_create_gives_back_slot_and_bytes
                a_panicking_create_gives_back_slot_and_bytes
                a_panicking_resetter_destroys_the_object
                a_panicking_measure_at_release_destroys_the_object
                a_panicking_destructor_leaks_no_budget
                the_pools_end_survives_a_panicking_destructor
                a_lease_that_a_panic_drops_ends_whatever_panics
                who_is_refused_sees_how_many_are_out
                a_panicking_predicate_changes_nothing
                a_lease_is_released_when_its_holder_panics
                the_factory_may_use_the_pool
                the_resetter_may_use_the_pool
                a_destructor_may_use_the_pool
                a_predicate_may_use_the_pool
                counts_are_exact_inside_a_predicate
                a_predicate_may_trim_and_close
                a_predicate_that_closes_and_panics_leaves_nothing_idle
                an_event_handler_may_use_the_pool
                counts_stay_exact_when_an_event_handler_panics
                detach_takes_the_object_out_for_good
                a_token_is_good_once
                a_foreign_token_is_refused
                forged_tokens_are_refused
                prewarm_makes_idle_objects_up_to_the_count
                prewarm_makes_no_more_than_was_missing
                the_peak_counts_leases_of_prewarmed_objects
                trim_reaches_its_target_when_a_destructor_releases
                retain_sees_each_idle_object_once
                close_is_final_and_idempotent
                close_during_create_destroys_what_was_made
                close_during_reset_destroys_the_object
                acquires_fail_from_the_moment_of_close
                close_goes_on_after_a_panicking_destructor
                close_goes_on_whatever_panics
                what_is_detached_in_vain_is_destroyed_and_counted_so
                the_charge_is_undone_before_the_destructor_runs
                what_does_not_get_into_the_pool_is_free_before_its_destructor_runs
                the_pools_end_goes_on_whatever_panics
                a_resetter_and_then_a_destructor_may_panic
                what_a_pool_held_is_free_before_its_destructors_run
                an_object_is_destroyed_if_the_pool_ends_with_a_panic_as_it_is_detached
                evict_destroys_so_many_idle_objects_and_no_more
                owned_leases_outlive_the_pool
                leaked_leases_end_with_the_pool
                a_refused_charge_leaves_no_trace
                the_largest_sizes_are_refused
                sizes_that_sum_above_the_largest_number_do_no_harm
                hits_and_releases_touch_no_account
                an_object_smaller_than_estimated_is_charged_as_it_is
                an_object_larger_than_estimated_grows_its_charge_or_goes
                growth_is_charged_at_release_or_the_object_goes
                an_object_above_what_it_may_retain_is_discarded
                the_limit_on_objects_is_exact
                objects_being_made_count_towards_the_limit
                objects_stay_where_they_are
                any_pool_can_be_used_as_a_pool
            }
        }
    };
    (@promises $pool:ty; $($promise:ident)*) => {
        $(#[test] fn $promise() { promises::$promise::<$pool>(); })*
    };
}

/// The same with an exact order of release.
macro_rules! ordered_suite {
    ($kind:ident, $pool:ty) => {
        suite! {
            $kind, $pool;
            what_was_released_last_goes_out_first
            trim_takes_the_oldest_first
            order_holds_through_many_turns
        }
    };
}

ordered_suite!(local, LocalPool<Maker, Washer>);
ordered_suite!(fixed_local, FixedLocalPool<Maker, 8, Washer>);
ordered_suite!(keyed, KeyedPool<u8, Maker, Washer>);
ordered_suite!(fixed_keyed, FixedKeyedPool<u8, Maker, 8, Washer>);
#[cfg(feature = "lock_api")]
ordered_suite!(shared_keyed, pool_core::SharedKeyedPool<u8, Maker, parking_lot::RawMutex, Washer>);
suite!(shared, SharedPool<Maker, Washer>);
suite!(static_pool, StaticPool<Maker, 8, Washer>);
