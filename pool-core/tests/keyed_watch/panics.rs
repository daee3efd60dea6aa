//! Clocks and keys that panic.

use super::{Block, Blocks, Quiet};
use pool_core::{
    Account, Factory, KeepAll, KeyedPool, KeyedPoolBuilder, Leak, ManualClock, NoClock, Observer, Removal,
    Storage, Tick,
};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// A key whose clones can be made to panic: all from the next on, or from the one after that.
#[derive(PartialEq, Eq, Hash, Debug)]
struct Brittle(usize);

thread_local! {
    /// The how manieth clone panics, and all that follow; 0 for none.
    static BREAKS: Cell<u32> = const { Cell::new(0) };
}

impl Clone for Brittle {
    fn clone(&self) -> Self {
        let left = BREAKS.get();
        assert!(left != 1, "as planned");
        BREAKS.set(left.saturating_sub(1));
        Self(self.0)
    }
}

impl Factory<Brittle> for Blocks {
    type Object = Block;
    type Error = &'static str;
    fn create(&self, key: &Brittle) -> Result<Block, &'static str> {
        Ok(Block(key.0))
    }
    fn estimate(&self, key: &Brittle) -> usize {
        key.0
    }
    fn measure(&self, block: &Block) -> usize {
        block.0
    }
}

impl Observer<Brittle> for Quiet {}

// A clock that panics after the object was made, and an object that is leased by nobody for ever.
#[test]
fn a_clock_that_panics_leaves_no_object_behind() {
    struct Frail<'a>(&'a Cell<u32>);
    impl pool_core::Clock for Frail<'_> {
        fn now(&self) -> Tick {
            self.0.set(self.0.get().wrapping_sub(1));
            assert!(self.0.get() != 0, "as planned");
            Tick(0)
        }
    }
    let mut panicked = 0;
    for nth in 1..6 {
        let (left, account) = (Cell::new(nth), Account::new("a", 100));
        let pool = KeyedPool::builder(Blocks)
            .clock(Frail(&left))
            .idle_ttl(5)
            .account(account.clone())
            .watch_leaks(1, 5)
            .build();
        panicked += u32::from(catch_unwind(AssertUnwindSafe(|| drop(pool.acquire(&60)))).is_err());
        left.set(0);
        assert_eq!(
            (pool.stats().leased, account.used()),
            (0, pool.stats().idle_bytes),
            "after {nth} readings"
        );
    }
    assert!(panicked >= 3);
}

// The process ends, as the destructor of what was made panics after that of a victim, the clock or what says how dear it was; or
// what was charged for it is still when that destructor runs.
#[test]
fn whoever_panics_while_an_object_is_made_its_destructor_may_too() {
    thread_local! {
        static USED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
        static FAILS: Cell<&'static str> = const { Cell::new("") };
        static MADE: Cell<u32> = const { Cell::new(0) };
    }
    fn fail(what: &'static str) {
        if FAILS.get() == what {
            resume_unwind(Box::new(what));
        }
    }
    struct Frail(usize, Account);
    impl Drop for Frail {
        fn drop(&mut self) {
            USED.with_borrow_mut(|used| used.push(self.1.used()));
            if !FAILS.get().is_empty() {
                resume_unwind(Box::new("destructor"));
            }
        }
    }
    struct Frails(Account);
    impl Factory<usize> for Frails {
        type Object = Frail;
        type Error = &'static str;
        fn create(&self, &bytes: &usize) -> Result<Frail, &'static str> {
            MADE.set(MADE.get() + 1);
            Ok(Frail(bytes, self.0.clone()))
        }
        fn estimate(&self, _: &usize) -> usize {
            1
        }
        fn measure(&self, frail: &Frail) -> usize {
            frail.0
        }
        fn cost(&self, _: &usize, _: &Frail) -> u32 {
            fail("cost");
            1
        }
    }
    /// Fails as soon as there is a new object.
    struct Time;
    impl pool_core::Clock for Time {
        fn now(&self) -> Tick {
            if MADE.get() == 2 {
                fail("clock");
            }
            Tick(0)
        }
    }
    for (what, limit) in [("cost", 200), ("clock", 200), ("victim", 100)] {
        MADE.set(0);
        let account = Account::new("a", limit);
        let pool = KeyedPool::builder(Frails(account.clone()))
            .account(account.clone())
            .clock(Time)
            .max_lifetime(9)
            .evict_cheapest_of(4)
            .build();
        drop(pool.acquire(&60).unwrap());
        FAILS.set(what);
        assert!(catch_unwind(AssertUnwindSafe(|| drop(pool.acquire(&70)))).is_err(), "{what}");
        FAILS.set("");
        // Of the victim, whose bytes are the new one's by then, and of that one.
        let (used, idle): (&[usize], _) = if what == "victim" { (&[70, 0], 0) } else { (&[60], 60) };
        assert_eq!(USED.take(), used, "{what}");
        let stats = pool.stats();
        assert_eq!((account.used(), stats.leased, stats.idle_bytes), (idle, 0, idle), "{what}");
        drop(pool);
        USED.take();
    }
}

/// Whether `work` panics if the `nth` clone in it does, and all after it.
fn breaks(nth: u32, work: impl FnOnce()) -> bool {
    BREAKS.set(nth);
    let broke = catch_unwind(AssertUnwindSafe(work)).is_err();
    BREAKS.set(0);
    broke
}

// A slot that is taken before the key is cloned, and lost for ever if that panics.
#[test]
fn a_key_whose_clone_panics_takes_no_slot() {
    fn check<S: Storage>(pool: &KeyedPool<Brittle, Blocks, KeepAll, NoClock, S>) {
        for _ in 0..5 {
            assert!(breaks(1, || drop(pool.acquire(&Brittle(7)))));
            assert_eq!(pool.account().unwrap().used(), 0);
        }
        let both = [pool.acquire(&Brittle(7)).unwrap(), pool.acquire(&Brittle(8)).unwrap()];
        assert_eq!((pool.stats().created, pool.stats().leased), (2, 2));
        drop(both);
        // In the place of one that was evicted.
        assert!(breaks(1, || drop(pool.acquire(&Brittle(9)))));
        assert_eq!((pool.key_count(), pool.stats().created), (1, 2));
        drop((pool.acquire(&Brittle(8)).unwrap(), pool.acquire(&Brittle(9)).unwrap()));
    }
    let builder = || KeyedPoolBuilder::new(Blocks).account(Account::new("a", 100)).max_objects(2);
    check(&builder().build());
    check(&builder().build_fixed::<2>());
}

// An object that nobody owns and that stays charged, because the key is cloned for the observer when its lease has gone; one
// that is marked for ever as looked at; a clone that is called again while its panic unwinds, which aborts.
#[test]
fn a_key_whose_clone_panics_leaves_no_object_behind() {
    let clock = ManualClock::default();
    for watched in [false, true] {
        for end in 0..6 {
            let account = Account::new("a", 100);
            let mut builder =
                KeyedPool::builder(Blocks).observer(Quiet).clock(&clock).account(account.clone());
            if watched {
                builder = builder.watch_leaks(1, 5);
            }
            let pool = builder.max_retained_bytes(50).build();
            let mut lease = pool.acquire(&Brittle(30)).unwrap();
            clock.advance(10);
            pool.maintain(9);
            lease.0 = if end == 3 { 51 } else { 30 };
            let broke = breaks(1, || match end {
                0 => lease.discard(),
                1 => drop(lease.detach()),
                2 => pool.release(lease.into_id()).unwrap(),
                3 => drop(lease),
                4 => lease.release_at(Tick(0)),
                _ => {
                    drop(lease);
                    pool.retain(|_, _| false);
                }
            });
            // Without a watch a good release clones nothing.
            assert_eq!(broke, watched || !matches!(end, 2 | 4), "end {end}, watched: {watched}");
            clock.advance(10);
            pool.maintain(9);
            let stats = pool.stats();
            assert_eq!((stats.leased, account.used()), (0, stats.idle_bytes), "end {end}: {stats:?}");
            assert_eq!(stats.created, stats.idle as u64 + stats.destroyed + stats.detached, "{stats:?}");
            assert_eq!(pool.trim(0), stats.idle, "what is idle can still go");
        }
    }
    let pool = KeyedPool::builder(Blocks).observer(Quiet).build();
    drop(pool.acquire(&Brittle(1)).unwrap());
    // The second clone is that for the observer.
    assert!(breaks(2, || _ = pool.retain(|_, _| false)));
    assert!(pool.try_acquire(&Brittle(1)).is_some());
}

// A leak that counts as told of and was not.
#[test]
fn a_leak_whose_telling_panics_is_told_of_later() {
    #[derive(Default)]
    struct Leaks(Cell<u32>);
    impl Observer<Brittle> for &Leaks {
        fn leaked(&self, _: &Brittle, _: &Leak) {
            self.0.set(self.0.get() + 1);
        }
    }
    let (leaks, clock) = (Leaks::default(), ManualClock::default());
    let pool = KeyedPool::builder(Blocks).observer(&leaks).clock(&clock).watch_leaks(1, 5).build();
    let lease = pool.acquire(&Brittle(30)).unwrap();
    clock.advance(10);
    assert!(breaks(1, || _ = pool.maintain(9)));
    assert_eq!((pool.maintain(9), leaks.0.get()), (0, 1));
    drop(lease);
}

// A count of what nobody got: an observer that panics while its object is detached.
#[test]
fn an_object_whose_detaching_panics_is_destroyed_and_counted_so() {
    struct Screams(Cell<bool>);
    impl Observer<usize> for &Screams {
        fn removed(&self, _: &usize, _: usize, _: Removal) {
            assert!(!self.0.get(), "as planned");
        }
    }
    let screams = Screams(Cell::new(true));
    let pool = KeyedPool::builder(Blocks).observer(&screams).build();
    let lease = pool.acquire(&60).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| lease.detach())).is_err());
    let stats = pool.stats();
    assert_eq!((stats.detached, stats.discarded, stats.destroyed, stats.leased), (0, 1, 1, 0));
    screams.0.set(false);
    let _ = pool.acquire(&60).unwrap().detach();
    assert_eq!((pool.stats().detached, pool.stats().destroyed), (1, 1));
}

// What comes after an object of which nobody can be told, since its key cannot be cloned, left where it is.
#[test]
fn close_gets_past_a_key_whose_clone_panics() {
    let account = Account::new("a", 100);
    let clock = ManualClock::default();
    let pool = KeyedPoolBuilder::new(Blocks).account(account.clone()).clock(&clock).observer(Quiet).build();
    pool.acquire(&Brittle(30)).unwrap().release_at(Tick(5));
    drop([1, 2, 3].map(|key| pool.acquire(&Brittle(key)).unwrap()));
    clock.advance(5);
    assert!(breaks(1, || pool.close()));
    assert_eq!((pool.stats().idle, pool.stats().quarantined, account.used()), (0, 0, 0));
}
