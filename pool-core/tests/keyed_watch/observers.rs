//! What observers hear.

use super::{Blocks, Log, Washer, idle};
use pool_core::{
    Account, Discard, Eviction, Growing, KeepAll, KeyedPool, KeyedPoolBuilder, ManualClock, NoClock,
    Observer, Pressure, Removal, Tick,
};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};

// An event that is not told, is told twice or for the wrong reason, or to one of two observers only; one on the way of a hit or
// a release.
#[test]
fn an_observer_hears_of_everything_but_hits_and_releases() {
    let (log, clock, washer) = (Log::default(), ManualClock::default(), Washer::default());
    let twin = Log::default();
    let account = Account::builder("a").hard_limit(100).soft_limit(80).build();
    let pool = KeyedPool::builder(Blocks)
        .observer((&log, &twin))
        .clock(&clock)
        .resetter(&washer)
        .account(account.clone())
        .idle_ttl(100)
        .max_lifetime(1000)
        .max_per_key(2)
        .max_idle_per_key(1)
        .build();
    let saw = |expected: &[&str]| {
        assert_eq!(log.take(), expected);
        assert_eq!(twin.take(), expected);
    };

    let leases = [pool.acquire(&20).unwrap(), pool.acquire(&20).unwrap()];
    saw(&["created 20 20", "created 20 20"]);
    assert!(pool.acquire(&20).is_err());
    saw(&["refused 20 KeyExhausted"]);
    drop(leases);
    saw(&["removed 20 20 Evicted(KeyIdle)"]);
    drop(pool.acquire(&20).unwrap());
    drop(pool.try_acquire(&20).unwrap());
    assert!(pool.try_acquire(&21).is_none());
    saw(&[]);
    assert!(pool.acquire(&101).is_err());
    assert!(pool.acquire(&13).is_err());
    saw(&["refused 101 over by 21", "refused 13 Create"]);
    let large = pool.acquire(&90).unwrap();
    saw(&["removed 20 20 Evicted(Room)", "created 90 90"]);
    pool.maintain(9);
    pool.maintain(9);
    saw(&["pressure Moderate"]);
    drop(large.detach());
    pool.maintain(9);
    saw(&["removed 90 90 Detached", "pressure None"]);

    assert_eq!(pool.prewarm(&5, 1), Ok(1));
    pool.acquire(&6).unwrap().discard();
    saw(&["created 5 5", "created 6 6", "removed 6 6 Discarded(Asked)"]);
    washer.discard.set(true);
    drop(pool.acquire(&6).unwrap());
    washer.discard.set(false);
    saw(&["created 6 6", "removed 6 6 Discarded(Verdict)"]);
    clock.set(Tick(101));
    assert!(pool.try_acquire(&5).is_none());
    let old = pool.acquire(&7).unwrap();
    saw(&["removed 5 5 IdleTooLong", "created 7 7"]);
    clock.set(Tick(1102));
    drop(old);
    drop(pool.acquire(&8).unwrap());
    let mut grown = pool.acquire(&9).unwrap();
    grown.0 = 99;
    drop(grown);
    saw(&["removed 7 7 TooOld", "created 8 8", "created 9 9", "removed 9 9 Discarded(Grown)"]);
    drop(pool.acquire(&10).unwrap());
    pool.trim(1);
    let last = pool.acquire(&11).unwrap();
    pool.close();
    drop(last);
    assert!(pool.acquire(&1).is_err());
    saw(&[
        "created 10 10",
        "removed 8 8 Evicted(Asked)",
        "created 11 11",
        "removed 10 10 Evicted(Closed)",
        "removed 11 11 Discarded(Closed)",
        "refused 1 Closed",
    ]);
    assert_eq!(account.used(), 0);
    let expected = [Removal::Evicted(Eviction::Room), Removal::Discarded(Discard::Panicked)];
    assert_ne!(expected[0], expected[1]);
}

// An observer that is chosen when the program runs, and hears nothing; one that was not, and hears.
#[test]
fn an_observer_may_be_chosen_at_run_time() {
    let log = Log::default();
    let heard = |work: &dyn Fn(&dyn Observer<usize>)| {
        work(&log);
        log.take()
    };
    let all: &[&str] = &["created 5 5", "removed 5 5 Evicted(Asked)"];
    let of_a_pool = heard(&|observer| {
        let boxed: Box<dyn Observer<usize> + '_> = Box::new(observer);
        let pool = KeyedPool::builder(Blocks).observer(boxed).build();
        drop(pool.acquire(&5).unwrap());
        pool.trim(0);
    });
    assert_eq!(of_a_pool, all);
    for (chosen, expected) in [(Some(&log), all), (None, &[])] {
        let pool = KeyedPool::builder(Blocks).observer(chosen).build();
        drop(pool.acquire(&5).unwrap());
        pool.trim(0);
        assert_eq!(log.take(), expected);
    }
}

// A pressure that is told after one that was found later, by a thread that was held up; a gauge shows it for ever.
#[test]
fn the_pressure_that_is_heard_last_is_the_one_that_was_found_last() {
    /// Finds another pressure while the first is told; afterwards it panics, if it is to.
    struct Slow(RefCell<Option<Box<dyn Fn()>>>, RefCell<Vec<Pressure>>, bool);
    impl Observer<usize> for &Slow {
        fn pressure(&self, pressure: Pressure) {
            let other = self.0.take();
            if let Some(other) = &other {
                other();
            }
            self.1.borrow_mut().push(pressure);
            assert!(!(other.is_some() && self.2), "as planned");
        }
    }
    for panics in [false, true] {
        let slow: &'static Slow = Box::leak(Box::new(Slow(RefCell::default(), RefCell::default(), panics)));
        let account = Account::builder("a").hard_limit(100).soft_limit(50).build();
        let pool = KeyedPool::builder(Blocks).observer(slow).account(account.clone()).build();
        let pool = Rc::new(pool);
        let (other, lease) = (Rc::clone(&pool), RefCell::new(Some(account.try_reserve(60).unwrap())));
        *slow.0.borrow_mut() = Some(Box::new(move || {
            lease.take();
            other.maintain(9);
        }));
        let told = catch_unwind(AssertUnwindSafe(|| pool.maintain(9)));
        assert_eq!(told.is_err(), panics);
        pool.maintain(9);
        assert_eq!(*slow.1.borrow(), [Pressure::Moderate, Pressure::None], "panics: {panics}");
        pool.maintain(9);
        assert_eq!(slow.1.borrow().len(), 2);
    }
}

// An object that the predicate keeps, told and counted as one that it refused, since the pool was closed meanwhile.
#[test]
fn what_is_kept_as_the_pool_closes_goes_because_of_that() {
    let log = Log::default();
    let pool = KeyedPool::builder(Blocks).observer(&log).build();
    drop((pool.acquire(&5).unwrap(), pool.acquire(&6).unwrap(), pool.acquire(&7).unwrap()));
    log.take();
    let destroyed = pool.retain(|&key, _| {
        if key == 6 {
            pool.close();
        }
        key == 6
    });
    let (refused, closed) = ("Evicted(Asked)", "Evicted(Closed)");
    let told = log.take();
    let removed = |key: usize, why: &str| told.contains(&format!("removed {key} {key} {why}"));
    assert!(removed(6, closed) && told.len() == 3, "{told:?}");
    assert_eq!(destroyed, told.iter().filter(|told| told.ends_with(refused)).count(), "{told:?}");
}

// A pool that is locked while it tells, or counts that a panicking observer leaves wrong.
#[test]
fn an_observer_may_use_the_pool_and_may_panic() {
    type Watched = KeyedPool<usize, Blocks, KeepAll, NoClock, Growing, Again>;
    #[derive(Clone, Default)]
    struct Again(Rc<RefCell<Weak<Watched>>>);
    impl Observer<usize> for Again {
        fn removed(&self, key: &usize, _: usize, _: Removal) {
            let pool = self.0.borrow().upgrade().unwrap();
            if *key < 3 {
                drop(pool.acquire(&(key + 1)).unwrap());
            }
            assert_eq!(pool.stats().leased, 0);
        }
    }
    let again = Again::default();
    let pool = Rc::new(KeyedPoolBuilder::new(Blocks).observer(again.clone()).build());
    *again.0.borrow_mut() = Rc::downgrade(&pool);
    pool.acquire(&1).unwrap().discard();
    assert_eq!(idle(&pool), [2]);

    let (log, account) = (Log::default(), Account::new("a", 100));
    let pool = KeyedPool::builder(Blocks).observer(&log).account(account.clone()).build();
    let panics = |work: &dyn Fn()| {
        log.1.set(true);
        assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
    };
    panics(&|| drop(pool.acquire(&10)));
    assert_eq!((pool.stats().idle, pool.stats().created, account.used()), (1, 1, 10));
    panics(&|| drop(pool.acquire(&13)));
    assert_eq!((pool.stats().created, account.used()), (1, 10));
    panics(&|| _ = pool.trim(0));
    assert_eq!((pool.stats().evicted, pool.stats().idle, account.used()), (1, 0, 0));
    panics(&|| _ = pool.prewarm(&20, 1));
    panics(&|| drop(pool.acquire(&90).unwrap()));
    assert_eq!((pool.stats().leased, account.used()), (0, 0), "{:?}", pool.stats());
}

// An object that is reset though nobody has used it, or watched though nobody has it, as who hears of its making panics.
#[test]
fn what_nobody_used_is_idle_and_not_reset_if_its_telling_panics() {
    let (log, washer, clock) = (Log::default(), Washer::default(), ManualClock::default());
    let builder = KeyedPool::builder(Blocks).resetter(&washer).observer(&log).clock(&clock);
    let pool = builder.watch_leaks(1, 10).build();
    washer.discard.set(true);
    log.1.set(true);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(pool.acquire(&5)))).is_err());
    assert_eq!(washer.washed.get(), 0);
    clock.set(Tick(11));
    pool.maintain(9);
    assert_eq!(log.take(), ["created 5 5"]);
    assert_eq!((pool.stats().leased, idle(&pool)), (0, vec![5]));
    drop(pool.try_acquire(&5).unwrap());
    assert_eq!((log.take(), washer.washed.get()), (vec!["removed 5 5 Discarded(Verdict)".into()], 1));
}

/// Counts what was made and what went.
#[derive(Default)]
struct Tally {
    created: Cell<u64>,
    removed: Cell<u64>,
}

impl Observer<usize> for &Tally {
    fn created(&self, _: &usize, _: usize) {
        self.created.set(self.created.get() + 1);
    }
    fn removed(&self, _: &usize, _: usize, _: Removal) {
        self.removed.set(self.removed.get() + 1);
    }
}

// An observer that hears of one end of an object only, since somebody else's callback panics.
#[test]
fn what_was_created_less_what_was_removed_is_there_whoever_panics() {
    let told = |tally: &Tally| (tally.created.get(), tally.removed.get());
    // The handler of an event, as what it is told of goes, and as it goes for something smaller.
    let handler = |event: &pool_core::AccountEvent| {
        assert!(event.kind != pool_core::AccountEventKind::BackToLow, "as planned");
    };
    let tally = Tally::default();
    let account = Account::builder("a").hard_limit(250).soft_limit(150).on_event(handler).build();
    let pool = KeyedPool::builder(Blocks).account(account.clone()).observer(&tally).build();
    drop(pool.acquire(&200).unwrap());
    assert!(catch_unwind(AssertUnwindSafe(|| pool.trim(0))).is_err());
    assert_eq!((told(&tally), pool.stats().destroyed, account.used()), ((1, 1), 1, 0));
    drop(pool.acquire(&200).unwrap());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(pool.acquire(&60)))).is_err());
    assert_eq!((told(&tally), pool.stats().destroyed, account.used()), ((2, 2), 2, 0));
    drop(pool.acquire(&60).unwrap());
    assert_eq!(told(&tally), (3, 2));

    // The clock, after the object was made.
    struct Frail(Cell<u32>);
    impl pool_core::Clock for &Frail {
        fn now(&self) -> Tick {
            self.0.set(self.0.get() - 1);
            assert!(self.0.get() != 0, "as planned");
            Tick(0)
        }
    }
    for readings in 1..4 {
        let (tally, clock) = (Tally::default(), Frail(Cell::new(readings)));
        let pool = KeyedPool::builder(Blocks).clock(&clock).watch_leaks(1, 5).observer(&tally).build();
        _ = catch_unwind(AssertUnwindSafe(|| drop(pool.acquire(&10))));
        let stats = pool.stats();
        assert_eq!(told(&tally), (stats.created, stats.destroyed), "after {readings} readings");
    }
}

// An observer that panics of each object: the process ends, or some stay.
#[test]
fn close_goes_on_though_the_observer_panics() {
    struct Frail;
    impl Observer<usize> for Frail {
        fn removed(&self, _: &usize, _: usize, _: Removal) {
            panic!("as planned");
        }
    }
    let (account, washer) = (Account::new("a", 1000), Washer::default());
    let pool = KeyedPool::builder(Blocks).account(account.clone()).resetter(&washer).observer(Frail).build();
    drop([10, 20, 30].map(|key| pool.acquire(&key).unwrap()));
    assert!(catch_unwind(AssertUnwindSafe(|| pool.close())).is_err());
    assert_eq!((pool.stats().destroyed, account.used()), (3, 0));

    // And one that panics of what goes because the resetter panicked.
    let pool = KeyedPool::builder(Blocks).account(account.clone()).resetter(&washer).observer(Frail).build();
    let lease = pool.acquire(&10).unwrap();
    washer.panic.set(true);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(lease))).is_err());
    assert_eq!((pool.stats().destroyed, account.used()), (1, 0));
}
