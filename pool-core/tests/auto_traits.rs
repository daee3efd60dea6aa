//! What may cross threads, checked by the compiler: a failure here is a build error.
//!
//! A pool for one thread moves to another as a whole, but is never shared; a lease stays where it is, because it
//! points into its pool; accounts, claims and tokens go anywhere.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use pool_core::{
    Account, AccountEvent, AcquireError, FixedKeyedPool, FixedLocalPool, Footprint, KeyedPool,
    KeyedPoolBuilder, Lease, LeaseId, Ledger, LocalPool, LocalPoolBuilder, ManualClock, OverBudget,
    PoolStats, ReleaseError, Reservation, Tracker,
};
use std::convert::Infallible;
use std::rc::Rc;

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

// An account that only one thread can charge; an error that cannot be returned from a thread.
is!(
    Account: Send, Ledger: Send, Reservation: Send, LeaseId: Send, OverBudget: Send, AccountEvent: Send,
    AcquireError<u8>: Send, ReleaseError: Send, PoolStats: Send, ManualClock: Send, Tracker<u8>: Send,
);
is!(
    Account: Sync, Ledger: Sync, Reservation: Sync, LeaseId: Sync, OverBudget: Sync, AccountEvent: Sync,
    AcquireError<u8>: Sync, ReleaseError: Sync, PoolStats: Sync, ManualClock: Sync, Tracker<u8>: Sync,
);

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
