//! What may cross threads, checked by the compiler: a failure here is a build error.
//!
//! A pool for one thread moves to another as a whole, but is never shared; a lease stays where it is, because it
//! points into its pool; accounts, claims and tokens go anywhere.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use pool_core::{
    Account, AccountEvent, AccountRef, AccountSnapshot, Acquire, AcquireError, Cache, Credit, FixedKeyedPool,
    FixedLocalPool, Footprint, Growing, KeepAll, KeyedPool, KeyedPoolBuilder, Lease, LeaseId, Ledger,
    LocalAccount, LocalPool, LocalPoolBuilder, ManualClock, OverBudget, PoolStats, ReleaseError, Reservation,
    SharedPool, StaticPool, Tracker,
};
use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

/// An object that must stay on its thread.
struct Tied(#[allow(dead_code, reason = "its type is what counts")] Rc<u8>);

impl Footprint for Tied {}

type Make<K, T> = fn(&K) -> Result<T, Infallible>;
type Local<T> = LocalPool<Make<(), T>>;
type FixedLocal<T> = FixedLocalPool<Make<(), T>, 4>;
type Keyed<T> = KeyedPool<u8, Make<u8, T>>;
type FixedKeyed<T> = FixedKeyedPool<u8, Make<u8, T>, 4>;

macro_rules! is {
    ($($type:ty: $trait:ident),* $(,)?) => {
        $(const _: () = {
            const fn holds<T: ?Sized + $trait>() {}
            holds::<$type>();
        };)*
    };
}

/// Two blanket implementations apply if the type has the trait, and the compiler then cannot tell which is meant.
macro_rules! is_not {
    ($($type:ty: $trait:ident),* $(,)?) => {
        $(const _: fn() = || {
            trait Ambiguous<Which> {
                fn unless() {}
            }
            struct HasIt;
            impl<T: ?Sized> Ambiguous<()> for T {}
            impl<T: ?Sized + $trait> Ambiguous<HasIt> for T {}
            <$type as Ambiguous<_>>::unless();
        };)*
    };
}

// A pool that cannot be built on one thread and used on another; or one that can although what it holds cannot.
is!(Local<u8>: Send, FixedLocal<u8>: Send, Keyed<u8>: Send, FixedKeyed<u8>: Send);
is_not!(Local<Tied>: Send, FixedLocal<Tied>: Send, Keyed<Tied>: Send, FixedKeyed<Tied>: Send);
is_not!(KeyedPool<Rc<u8>, Make<Rc<u8>, u8>>: Send);

// A pool without atomics that two threads use at once.
is_not!(Local<u8>: Sync, FixedLocal<u8>: Sync, Keyed<u8>: Sync, FixedKeyed<u8>: Sync);

// A release on another thread than the pool's.
is_not!(
    Lease<&'static Local<u8>>: Send, Lease<Rc<Local<u8>>>: Send,
    Lease<&'static FixedLocal<u8>>: Send, Lease<Rc<FixedLocal<u8>>>: Send,
    Lease<&'static Keyed<u8>>: Send, Lease<Rc<Keyed<u8>>>: Send,
    Lease<&'static FixedKeyed<u8>>: Send, Lease<Rc<FixedKeyed<u8>>>: Send,
);
is_not!(
    Lease<&'static Local<u8>>: Sync, Lease<Rc<Local<u8>>>: Sync,
    Lease<&'static FixedLocal<u8>>: Sync, Lease<Rc<FixedLocal<u8>>>: Sync,
    Lease<&'static Keyed<u8>>: Sync, Lease<Rc<Keyed<u8>>>: Sync,
    Lease<&'static FixedKeyed<u8>>: Sync, Lease<Rc<FixedKeyed<u8>>>: Sync,
);

type Shared<T> = SharedPool<Make<(), T>>;
type Static<T> = StaticPool<Make<(), T>, 4>;
type Waiting<T> = Acquire<'static, Make<(), T>, KeepAll, Growing>;

impl Footprint for Moved {}

/// An object that may move between threads, but must not be seen by two.
struct Moved(#[allow(dead_code, reason = "its type is what counts")] Cell<u8>);

// A shared pool that is not; or one that lets what it holds go where it cannot.
is!(Shared<u8>: Send, Shared<u8>: Sync, Static<u8>: Send, Static<u8>: Sync);
is!(Shared<Moved>: Send, Shared<Moved>: Sync, Static<Moved>: Sync);
is_not!(Shared<Tied>: Send, Shared<Tied>: Sync, Static<Tied>: Sync);
is_not!(SharedPool<TiedFactory>: Sync, SharedPool<TiedFactory>: Send);

// A lease that cannot be handed over; or one by which two threads see an object that only one may, as `&Lease` is `&T`.
is!(Lease<&'static Shared<u8>>: Send, Lease<Arc<Shared<u8>>>: Send, Lease<&'static Static<u8>>: Send);
is!(Lease<&'static Shared<u8>>: Sync, Lease<Arc<Shared<u8>>>: Sync);
is!(Lease<&'static Shared<Moved>>: Send, Lease<Arc<Shared<Moved>>>: Send);
is_not!(Lease<&'static Shared<Moved>>: Sync, Lease<Arc<Shared<Moved>>>: Sync);
is_not!(Lease<&'static Shared<Tied>>: Send, Lease<Arc<Shared<Tied>>>: Send);

// A cache that two threads use, or that cannot be given to the thread it is for; its leases write to it without atomics.
is!(Cache<&'static Shared<u8>>: Send, Cache<Arc<Shared<u8>>>: Send, Cache<&'static Static<u8>>: Send);
is_not!(Cache<&'static Shared<u8>>: Sync, Cache<Arc<Shared<u8>>>: Sync);
is_not!(Lease<&'static Cache<&'static Shared<u8>>>: Send, Lease<&'static Cache<Arc<Shared<u8>>>>: Send);
is_not!(Cache<&'static Shared<Tied>>: Send);

// A future that no executor of many threads takes; one that can be moved while it is in the queue.
is!(Waiting<u8>: Send, Waiting<Moved>: Send);
is_not!(Waiting<Tied>: Send, Waiting<u8>: Unpin);

/// A factory that must stay on its thread, though what it makes need not.
struct TiedFactory(#[allow(dead_code, reason = "its type is what counts")] Rc<u8>);

impl pool_core::Factory for TiedFactory {
    type Object = u8;
    type Error = Infallible;
    fn create(&self, (): &()) -> Result<u8, Infallible> {
        Ok(0)
    }
}

// An account that only one thread can charge; an error that cannot be returned from a thread.
is!(
    Account: Send, Ledger: Send, Reservation: Send, LeaseId: Send, OverBudget: Send, AccountEvent: Send,
    AcquireError<u8>: Send, ReleaseError: Send, PoolStats: Send, ManualClock: Send, Tracker<u8>: Send,
);
is!(
    Account: Sync, Ledger: Sync, Reservation: Sync, LeaseId: Sync, OverBudget: Sync, AccountEvent: Sync,
    AcquireError<u8>: Sync, ReleaseError: Sync, PoolStats: Sync, ManualClock: Sync, Tracker<u8>: Sync,
);

// A local account, its claims or its pools on a second thread, which would lose counts; a credit that two threads use.
is_not!(LocalAccount: Send, LocalAccount: Sync, Reservation<LocalAccount>: Send, AccountEvent<pool_core::Local>: Send);
is_not!(LocalPool<Make<(), u8>, KeepAll, Growing, pool_core::Local>: Send, Tracker<u8, pool_core::Local>: Send);
is_not!(Credit: Sync, Reservation<&'static Credit>: Send);
// A credit that cannot go to the thread that it is for; a report or a refusal that must stay where it was made.
is!(Credit: Send, AccountRef: Send, AccountRef: Sync, AccountSnapshot: Send, AccountSnapshot: Sync);

// A pool that is pinned where it was built although nothing in it points to itself.
is!(Local<u8>: Unpin, FixedLocal<u8>: Unpin, Keyed<u8>: Unpin, FixedKeyed<u8>: Unpin, LeaseId: Copy);

// Slots that are tied to the thread, or the place, that filled them.
#[test]
fn a_pool_moves_to_another_thread_with_what_it_holds() {
    let keyed = KeyedPoolBuilder::new(|key: &u8| Ok::<_, Infallible>(vec![*key; 3])).build_fixed::<4>();
    let local = LocalPoolBuilder::new(|_: &()| Ok::<_, Infallible>(String::from("one"))).build_fixed::<4>();
    drop(keyed.acquire(&7).unwrap());
    let token = keyed.acquire(&8).unwrap().into_id();
    local.acquire().unwrap().push_str(" two");
    std::thread::spawn(move || {
        assert_eq!(*keyed.try_acquire(&7).unwrap(), [7; 3]);
        assert_eq!(*keyed.redeem(token).unwrap(), [8; 3]);
        assert_eq!(*local.acquire().unwrap(), "one two");
        assert_eq!((keyed.stats().idle, local.stats().idle), (2, 1));
    })
    .join()
    .unwrap();
}
