//! Leases that a panic drops, of pools whose releases call nothing in the common case, and somebody all the same in another:
//! whose panic would be a second one, and end the process. What the resetter does is in `contract.rs`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use pool_core::{
    Account, Clock, Factory, KeepAll, KeyedPool, Leak, Lease, LocalPool, NoClock, Observer, Pool, Removal,
    SharedKeyedPool, SharedPool, Tick, Verdict,
};
use std::convert::Infallible;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Wake, Waker};

/// Whether what can panic does.
#[derive(Clone, Default)]
struct Trap(Arc<AtomicBool>);

impl Trap {
    fn panic_if_set(&self) {
        if self.0.load(Relaxed) {
            // Without a message on the terminal.
            resume_unwind(Box::new("the second"));
        }
    }
}

/// Its destructor may panic.
struct Object(Trap);

impl Drop for Object {
    fn drop(&mut self) {
        self.0.panic_if_set();
    }
}

/// `measure` may panic.
#[derive(Clone)]
struct Make(Trap, bool);

impl<K> Factory<K> for Make {
    type Object = Object;
    type Error = Infallible;
    fn create(&self, _: &K) -> Result<Object, Infallible> {
        Ok(Object(self.0.clone()))
    }
    fn estimate(&self, _: &K) -> usize {
        1
    }
    fn measure(&self, _: &Object) -> usize {
        if self.1 {
            self.0.panic_if_set();
        }
        1
    }
}

struct Watched(Trap);

impl Observer<u8> for Watched {
    fn removed(&self, _: &u8, _: usize, _: Removal) {
        self.0.panic_if_set();
    }
    fn returned(&self, _: &u8, _: &Leak) {
        self.0.panic_if_set();
    }
}

/// Shows 1 tick more each time.
struct Watch(Trap, AtomicU64);

impl Clock for Watch {
    fn now(&self) -> Tick {
        self.0.panic_if_set();
        Tick(self.1.fetch_add(1, Relaxed))
    }
}

/// Drops a lease by a panic, with the trap set; that one arrives, and no other.
#[track_caller]
fn drops<P>(trap: &Trap, acquire: impl FnOnce() -> Lease<P>)
where
    P: Deref<Target: Pool>,
{
    let first = catch_unwind(AssertUnwindSafe(|| {
        let _lease = acquire();
        trap.0.store(true, Relaxed);
        resume_unwind(Box::new("the first"));
    }));
    trap.0.store(false, Relaxed);
    let Err(first) = first;
    assert_eq!(first.downcast_ref(), Some(&"the first"));
}

#[test]
fn measuring_may_panic_too() {
    let trap = Trap::default();
    let make = Make(trap.clone(), true);
    let account = Account::new("a", 100);

    let pool = LocalPool::builder(make.clone()).account(account.clone()).build();
    drops(&trap, || pool.acquire().unwrap());
    assert_eq!((pool.stats().discarded, account.used()), (1, 0));

    for thread_caches in [false, true] {
        let pool = SharedPool::builder(make.clone()).account(account.clone()).thread_caches(thread_caches);
        let pool = Arc::new(pool.build());
        drops(&trap, || pool.acquire().unwrap());
        pool.maintain(9);
        assert_eq!((pool.stats().discarded, account.used()), (1, 0));
        let cache = pool.cache();
        drops(&trap, || cache.acquire().unwrap());
        pool.maintain(9);
        assert_eq!((pool.stats().discarded, account.used()), (2, 0));
        drops(&trap, || pool.acquire_owned().unwrap());
    }

    let pool = KeyedPool::builder(make.clone()).account(account.clone()).build();
    drops(&trap, || pool.acquire(&1).unwrap());
    assert_eq!((pool.stats().discarded, account.used()), (1, 0));
    let pool =
        KeyedPool::builder(make.clone()).account(account.clone()).build_shared::<parking_lot::RawMutex>();
    drops(&trap, || pool.acquire(&1).unwrap());
    let class = pool.class(&2);
    drops(&trap, || class.acquire().unwrap());
    pool.maintain(9);
    assert_eq!((pool.stats().discarded, account.used()), (1, 0));
}

// A cache that does not know of its pool's resetter; a class that does not know of its own.
#[test]
fn the_resetter_behind_a_cache_or_a_class_may_panic_too() {
    let trap = Trap::default();
    let made = || {
        let resets = trap.clone();
        let reset = move |_: &mut Object| {
            resets.panic_if_set();
            Verdict::Keep
        };
        (Make(trap.clone(), false), reset)
    };
    let (make, reset) = made();
    let pool = SharedPool::builder(make).resetter(reset).build();
    let cache = pool.cache();
    drops(&trap, || cache.acquire().unwrap());
    pool.maintain(9);
    assert_eq!((pool.stats().discarded, pool.stats().leased), (1, 0));
    let (make, reset) = made();
    let pool = KeyedPool::builder(make).resetter(reset).build_shared::<parking_lot::RawMutex>();
    let class = pool.class(&2u8);
    drops(&trap, || class.acquire().unwrap());
    pool.maintain(9);
    assert_eq!((class.stats().discarded, class.stats().leased), (1, 0));
}

#[test]
fn what_is_beyond_the_idle_of_its_key_may_panic_as_it_goes() {
    let trap = Trap::default();
    for (listed, watched) in [(false, false), (false, true), (true, false), (true, true)] {
        let builder = || KeyedPool::builder(Make(trap.clone(), false)).max_idle_per_key(0);
        let account = Account::new("a", 100);
        match (listed, watched) {
            (false, false) => {
                let pool = builder().build();
                drops(&trap, || pool.acquire(&1u8).unwrap());
                assert_eq!(pool.stats().evicted, 1);
            }
            (false, true) => {
                let pool = builder().observer(Watched(trap.clone())).build();
                drops(&trap, || pool.acquire(&1).unwrap());
                assert_eq!(pool.stats().evicted, 1);
            }
            (true, false) => {
                let pool = builder().account(account.clone()).build_shared::<parking_lot::RawMutex>();
                drops(&trap, || pool.acquire(&1u8).unwrap());
                assert_eq!((pool.stats().evicted, account.used()), (1, 0));
            }
            (true, true) => {
                let pool = builder()
                    .account(account.clone())
                    .observer(Watched(trap.clone()))
                    .build_shared::<parking_lot::RawMutex>();
                drops(&trap, || pool.acquire(&1).unwrap());
                assert_eq!((pool.stats().evicted, account.used()), (1, 0));
            }
        }
    }
}

#[test]
fn the_clock_and_who_hears_of_a_leak_may_panic_too() {
    let trap = Trap::default();
    let clock = || Watch(trap.clone(), AtomicU64::new(0));
    let pool = KeyedPool::builder(Make(trap.clone(), false)).clock(clock()).idle_ttl(100).build();
    drops(&trap, || pool.acquire(&1u8).unwrap());
    assert_eq!((pool.stats().discarded, pool.stats().leased), (1, 0));

    let builder = KeyedPool::builder(Make(trap.clone(), false)).observer(Watched(trap.clone()));
    let pool = builder.clock(clock()).watch_leaks(1, 0).build();
    drops(&trap, || {
        let lease = pool.acquire(&1).unwrap();
        pool.maintain(9);
        lease
    });
    assert_eq!(pool.stats().leased, 0);
}

#[test]
fn what_a_closed_pool_destroys_may_panic_too() {
    let trap = Trap::default();
    let pool = LocalPool::new(Make(trap.clone(), false));
    drops(&trap, || {
        let lease = pool.acquire().unwrap();
        pool.close();
        lease
    });
    assert_eq!((pool.stats().destroyed, pool.stats().leased), (1, 0));
    let pool = KeyedPool::new(Make(trap.clone(), false));
    drops(&trap, || {
        let lease = pool.acquire(&1u8).unwrap();
        pool.close();
        lease
    });
    assert_eq!((pool.stats().destroyed, pool.stats().leased), (1, 0));
    let pool = SharedPool::new(Make(trap.clone(), false));
    drops(&trap, || {
        let lease = pool.acquire().unwrap();
        pool.close();
        lease
    });
    pool.maintain(9);
    assert_eq!((pool.stats().destroyed, pool.stats().leased), (1, 0));
}

#[test]
fn who_is_woken_may_panic_too() {
    struct Panics(Trap);
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            self.0.panic_if_set();
        }
    }
    let trap = Trap::default();
    let pool = SharedPool::builder(Make(trap.clone(), false)).max_objects(1).build();
    let waker = Waker::from(Arc::new(Panics(trap.clone())));
    let first = pool.acquire().unwrap();
    let mut waiting = pin!(pool.acquire_async());
    assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drops(&trap, || first);
    assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
}

/// Equal, but for once if it is told to: as if another thread had made the class between the two looks.
#[derive(Clone)]
struct Late(Arc<AtomicBool>);

impl PartialEq for Late {
    fn eq(&self, _: &Self) -> bool {
        !self.0.swap(false, Relaxed)
    }
}

impl Eq for Late {}

impl Hash for Late {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

// A class that stays for ever, and its pool with it: who resolved it came second, and as what they had made in vain went an event
// was due, whose handler panicked.
#[test]
fn a_class_made_in_vain_may_bring_a_panic() {
    type Classes = SharedKeyedPool<
        Late,
        fn(&Late) -> Result<u8, Infallible>,
        parking_lot::RawMutex,
        KeepAll,
        NoClock,
        Asks,
    >;
    #[derive(Clone, Default)]
    struct Asks(Arc<Mutex<Weak<Classes>>>);
    impl Observer<Late> for Asks {
        fn removed(&self, key: &Late, _: usize, _: Removal) {
            let pool = self.0.lock().unwrap().upgrade();
            key.0.store(true, Relaxed);
            drop(pool.unwrap().class(key));
        }
    }

    let trap = Trap::default();
    let handler = trap.clone();
    let account = Account::builder("a").soft_limit(0).on_event(move |_| handler.panic_if_set()).build();
    let asks = Asks::default();
    let make: fn(&Late) -> Result<u8, Infallible> = |_| Ok(1);
    let pool: Arc<Classes> = KeyedPool::builder(make).observer(asks.clone()).account(account).build_shared();
    *asks.0.lock().unwrap() = Arc::downgrade(&pool);
    let key = Late(Arc::default());
    let class = pool.class(&key);
    let lease = pool.acquire(&key).unwrap();
    trap.0.store(true, Relaxed);
    assert!(catch_unwind(AssertUnwindSafe(|| lease.discard())).is_err());
    trap.0.store(false, Relaxed);
    assert!(!key.0.load(Relaxed), "nobody was late");
    assert_eq!(Arc::strong_count(&class), 1);
    drop((class, pool));
    assert!(asks.0.lock().unwrap().upgrade().is_none());
}
