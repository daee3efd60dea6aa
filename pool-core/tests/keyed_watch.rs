//! Keyed pools: quarantine, soft limits of time, eviction by cost, bounded slices, observers, leaks.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use pool_core::{
    Account, AcquireError, Clock as _, Discard, Eviction, Factory, Growing, KeepAll, KeyedPool,
    KeyedPoolBuilder, Leak, ManualClock, NoClock, Observer, Pressure, Refusal, Removal, Resetter, Silent,
    Storage, Tick, Verdict, WorkLimit,
};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// An object of so many bytes, the number of which is its key.
struct Block(usize);

/// Makes blocks; those of key 13 cannot be made.
struct Blocks;

impl Factory<usize> for Blocks {
    type Object = Block;
    type Error = &'static str;
    fn create(&self, &bytes: &usize) -> Result<Block, &'static str> {
        if bytes == 13 { Err("thirteen") } else { Ok(Block(bytes)) }
    }
    fn estimate(&self, &bytes: &usize) -> usize {
        bytes
    }
    fn measure(&self, block: &Block) -> usize {
        block.0
    }
    /// As many units as a tenth of the bytes, and a great many for multiples of 100.
    fn cost(&self, &key: &usize, _: &Block) -> u32 {
        (if key % 100 == 0 { 1000 * key } else { key / 10 }) as u32
    }
}

/// Keeps blocks until it is told otherwise.
#[derive(Default)]
struct Washer {
    discard: Cell<bool>,
    panic: Cell<bool>,
}

impl Resetter<Block> for &Washer {
    fn reset(&self, _: &mut Block) -> Verdict {
        assert!(!self.panic.get(), "as planned");
        if self.discard.get() { Verdict::Discard } else { Verdict::Keep }
    }
}

fn idle<F: Factory<usize>, R: Resetter<F::Object>, C: pool_core::Clock, O: Observer<usize>>(
    pool: &KeyedPool<usize, F, R, C, Growing, O>,
) -> Vec<usize> {
    let mut keys = Vec::new();
    pool.retain(|&key, _| (keys.push(key), true).1);
    keys
}

// Quarantine

// A pool left out of the question who has what is due, since another went from the list as it was asked.
#[test]
fn what_is_due_is_found_though_a_pool_ends_meanwhile() {
    thread_local! {
        static LAST: RefCell<Option<Rc<dyn std::any::Any>>> = const { RefCell::new(None) };
    }
    /// Lets go of the last handle of its pool.
    struct Ending;
    impl pool_core::Footprint for Ending {
        fn footprint(&self) -> usize {
            100
        }
    }
    impl Drop for Ending {
        fn drop(&mut self) {
            let last = LAST.take();
            drop(last);
        }
    }
    let (account, clock) = (Account::local("page", 300), Rc::new(ManualClock::default()));
    let ending = KeyedPool::builder(|_: &u8| Ok::<_, ()>(Ending))
        .account(account.clone())
        .clock(Rc::clone(&clock))
        .max_lifetime(3)
        .build_rc();
    let build = || KeyedPool::builder(Blocks).account(account.clone()).clock(Rc::clone(&clock)).build_rc();
    let (due, asks) = (build(), build());
    ending.acquire(&0).unwrap().release_at(Tick(5));
    due.acquire(&200).unwrap().release_at(Tick(5));
    LAST.set(Some(ending));
    clock.advance(5);
    assert!(asks.acquire(&300).is_ok());
    assert_eq!((due.stats().evicted, LAST.take().is_none()), (1, true));
}

// What is due, and lies in quarantine still since nobody has looked: refused to others under the account, left over by trims
// and lowered limits, or made a second time.
#[test]
fn what_is_due_is_idle_for_all_who_ask() {
    let clock = Rc::new(ManualClock::default());
    let build = |account: &pool_core::LocalAccount| {
        KeyedPool::builder(Blocks).account(account.clone()).clock(Rc::clone(&clock)).build_rc()
    };
    let due = |bytes: usize| {
        let account = Account::local("page", 100);
        let pool = build(&account);
        pool.acquire(&bytes).unwrap().release_at(Tick(clock.now().0 + 5));
        (account, pool)
    };

    let (account, pool) = due(60);
    let other = build(&account);
    assert!(other.acquire(&50).is_err(), "not yet");
    clock.advance(5);
    assert!(other.acquire(&50).is_ok());
    assert_eq!((pool.stats().evicted, account.used()), (1, 50));

    let (account, pool) = due(60);
    clock.advance(5);
    assert_eq!((account.make_room(50), pool.stats().evicted), (Ok(60), 1));

    let (account, pool) = due(60);
    clock.advance(5);
    assert_eq!((account.set_hard_limit(10), pool.stats().evicted), (0, 1));

    let (_, pool) = due(60);
    clock.advance(5);
    assert_eq!((pool.prewarm(&60, 1), pool.stats().created), (Ok(0), 1));
    assert_eq!(pool.trim(0), 1);

    let (_, pool) = due(60);
    clock.advance(5);
    assert_eq!(pool.evict_to(0), 60);

    // In a pool of the shared account that the page is part of.
    #[cfg(all(feature = "lock_api", feature = "std"))]
    {
        let clock = std::sync::Arc::new(ManualClock::default());
        let server = Account::new("server", 100);
        let shared = KeyedPoolBuilder::new(Blocks)
            .account(server.clone())
            .clock(std::sync::Arc::clone(&clock))
            .build_shared::<parking_lot::RawMutex>();
        shared.acquire(&60).unwrap().release_at(Tick(5));
        let page = Account::local_builder("page").credit(server.credit(8)).build();
        let local = KeyedPool::builder(Blocks).account(page).build_rc();
        assert!(local.acquire(&50).is_err(), "not yet");
        clock.advance(5);
        assert!(local.acquire(&50).is_ok());
        assert_eq!((shared.stats().evicted, server.used()), (1, 50));
    }

    let (_, pool) = due(60);
    clock.advance(5);
    pool.close();
    assert_eq!((pool.stats().quarantined, pool.stats().discarded), (0, 1));

    // One that gives to nobody.
    let alone =
        KeyedPool::builder(Blocks).account(Account::new("alone", 100)).clock(Rc::clone(&clock)).build();
    alone.acquire(&60).unwrap().release_at(Tick(clock.now().0 + 5));
    assert_eq!(alone.set_hard_limit(10), Some(50), "not yet");
    clock.advance(5);
    assert_eq!(alone.set_hard_limit(10), Some(0));
}

// An object that is used before its time, is evicted or uncharged meanwhile, or never comes back.
#[test]
fn release_at_keeps_an_object_charged_and_unusable_until_the_clock_has_passed() {
    let (clock, account) = (ManualClock::default(), Account::new("a", 100));
    let pool = KeyedPool::builder(Blocks).clock(&clock).account(account.clone()).max_per_key(1).build();
    pool.acquire(&60).unwrap().release_at(Tick(10));
    let stats = pool.stats();
    assert_eq!((stats.leased, stats.quarantined, stats.idle, account.used()), (1, 1, 0, 60));
    assert!(pool.try_acquire(&60).is_none());
    assert!(matches!(pool.acquire(&60).map(drop), Err(AcquireError::KeyExhausted { .. })));
    assert!(matches!(pool.acquire(&41).map(drop), Err(AcquireError::OverBudget(_))));
    assert_eq!((pool.trim(0), pool.evict_to(0), pool.maintain(9)), (0, 0, 0));
    clock.set(Tick(9));
    assert!(pool.try_acquire(&60).is_none());
    clock.set(Tick(10));
    drop(pool.try_acquire(&60).unwrap());
    let stats = pool.stats();
    assert_eq!((stats.created, stats.idle, stats.quarantined, stats.hits), (1, 1, 0, 1));
}

// A list that forgets its order when a later one is due sooner; a slice that ends all of them.
#[test]
fn what_is_due_first_is_idle_first() {
    let clock = ManualClock::default();
    let pool = KeyedPool::builder(Blocks).clock(&clock).build();
    let leases: Vec<_> = [1, 2, 3, 4].iter().map(|key| pool.acquire(key).unwrap()).collect();
    for (lease, due) in leases.into_iter().zip([30, 10, 20, 10]) {
        lease.release_at(Tick(due));
    }
    pool.maintain(9);
    assert_eq!((idle(&pool), pool.stats().quarantined), (vec![], 4));
    clock.set(Tick(10));
    pool.maintain(1);
    assert_eq!(idle(&pool), [2]);
    clock.set(Tick(25));
    pool.maintain(9);
    assert_eq!(idle(&pool), [2, 4, 3]);
    clock.set(Tick(30));
    drop(pool.acquire(&1).unwrap());
    assert_eq!((idle(&pool), pool.stats().created), (vec![2, 4, 3, 1], 4));
}

// A closed pool that keeps an object for ever, or destroys it while something may still play it.
#[test]
fn quarantine_outlasts_close_and_ends_with_the_pool() {
    let (clock, account) = (ManualClock::default(), Account::new("a", 100));
    let pool = KeyedPool::builder(Blocks).clock(&clock).account(account.clone()).build();
    pool.acquire(&30).unwrap().release_at(Tick(5));
    pool.acquire(&20).unwrap().release_at(Tick(50));
    pool.close();
    assert_eq!(account.used(), 50);
    clock.set(Tick(5));
    assert_eq!((pool.maintain(9), account.used(), pool.stats().discarded), (1, 20, 1));
    drop(pool);
    assert_eq!(account.used(), 0);
}

// A resetter that runs late, twice or not at all; what it does not keep, kept in quarantine.
#[test]
fn reset_runs_at_release_whenever_the_object_is_due() {
    let (clock, washer) = (ManualClock::default(), Washer::default());
    let pool = KeyedPool::builder(Blocks).clock(&clock).resetter(&washer).build();
    washer.discard.set(true);
    pool.acquire(&1).unwrap().release_at(Tick(5));
    assert_eq!((pool.stats().discarded, pool.stats().quarantined), (1, 0));
    washer.panic.set(true);
    let lease = pool.acquire(&1).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| lease.release_at(Tick(5)))).is_err());
    let stats = pool.stats();
    assert_eq!((stats.created, stats.discarded, stats.leased), (2, 2, 0));
}

// Time

// A soft limit that is a hard one, or that takes what a key is to keep.
#[test]
fn the_soft_idle_limit_leaves_each_key_its_least_and_the_hard_one_does_not() {
    let clock = ManualClock::default();
    let pool = KeyedPool::builder(Blocks).clock(&clock).soft_idle_ttl(10).idle_ttl(100).min_idle(1).build();
    let leases: Vec<_> = [1, 1, 1, 2].iter().map(|key| pool.acquire(key).unwrap()).collect();
    drop(leases);
    clock.set(Tick(11));
    drop(pool.try_acquire(&1).unwrap());
    clock.set(Tick(21));
    assert_eq!(pool.maintain(9), 2);
    assert_eq!((idle(&pool), pool.stats().expired), (vec![2, 1], 2));
    clock.set(Tick(105));
    assert_eq!((pool.maintain(9), idle(&pool)), (1, vec![1]));
    clock.set(Tick(200));
    assert!(pool.try_acquire(&1).is_none());
}

// An object past its lifetime that counts as the one its key keeps, though it goes by the same maintenance.
#[test]
fn what_is_too_old_is_none_of_those_that_a_key_keeps() {
    let clock = ManualClock::default();
    let pool = KeyedPool::builder(Blocks).clock(&clock).soft_idle_ttl(2).max_lifetime(7).min_idle(1).build();
    let old = pool.acquire(&1).unwrap();
    clock.set(Tick(5));
    drop(pool.acquire(&1).unwrap());
    clock.set(Tick(6));
    drop(old);
    clock.set(Tick(9));
    assert_eq!((pool.maintain(WorkLimit::NONE), idle(&pool)), (1, vec![1]));
    assert!(pool.try_acquire(&1).is_some());
}

// A slice that begins anew each time, and so for ever looks at the same objects that are to stay; one that loses its place if
// what is there is used or destroyed; one that walks through all that has not waited yet before it begins anew.
#[test]
fn slices_of_the_soft_idle_limit_get_past_objects_that_stay() {
    for way in 0..4 {
        let clock = ManualClock::default();
        let pool = KeyedPool::builder(Blocks).clock(&clock).soft_idle_ttl(10).min_idle(1).build();
        // The oldest are to stay, each as the only one of its key; five of the others may go.
        for key in 1..=4 {
            drop(pool.acquire(&key).unwrap());
        }
        let spare: Vec<_> = (0..6).map(|_| pool.acquire(&100).unwrap()).collect();
        drop(spare);
        clock.set(Tick(11));
        let fresh: Vec<_> = (0..50).map(|_| pool.acquire(&200).unwrap()).collect();
        drop(fresh);
        assert_eq!(pool.maintain(3), 0, "it looked at 1, 2 and 3");
        let mut lease = (way % 2 == 1).then(|| pool.acquire(&4).unwrap());
        match way {
            1 => lease = None,
            2 => assert_eq!(pool.retain(|&key, _| key != 4), 1),
            _ => {}
        }
        // Behind those, 4 among them if it is still there.
        assert_eq!(pool.maintain(3), if way == 0 { 2 } else { 3 }, "way {way}");
        drop(lease);
        // Traffic elsewhere changes nothing.
        drop(pool.acquire(&200).unwrap());
        assert_eq!(pool.maintain(3), if way == 0 { 3 } else { 2 }, "way {way}");
        assert_eq!((pool.key_stats(&100).unwrap().idle, pool.key_stats(&200).unwrap().idle), (1, 50));
        assert_eq!(pool.prewarm(&1, 2), Ok(1), "now the old one may go");
        assert_eq!(pool.maintain(3) + pool.maintain(3), 1, "way {way}");
        clock.set(Tick(22));
        assert_eq!(pool.maintain(usize::MAX), 49, "a whole round sees all, wherever the last slice ended");
    }
}

// One place for two walks: the soft limit's, which is over soon, would send the trim under pressure back to the oldest each time.
#[test]
fn slices_of_the_soft_idle_limit_and_of_pressure_have_a_place_each() {
    let clock = ManualClock::default();
    let account = Account::builder("pressed").soft_limit(1).low_watermark(0).build();
    let builder = KeyedPool::builder(Blocks).clock(&clock).soft_idle_ttl(10).min_idle(1);
    let pool = builder.account(account.clone()).build();
    // All but the last are to stay; the first two have waited for too long.
    for key in [1, 2] {
        drop(pool.acquire(&key).unwrap());
    }
    clock.set(Tick(11));
    let leases: Vec<_> = [3, 4, 5, 100, 100, 100].iter().map(|key| pool.acquire(key).unwrap()).collect();
    drop(leases);
    assert_eq!(pool.maintain(usize::MAX), 0, "nothing was spare since the last maintenance");
    let destroyed: usize = (0..6).map(|_| pool.maintain(3)).sum();
    assert_eq!((destroyed, pool.stats().evicted, idle(&pool)), (2, 2, vec![1, 2, 3, 4, 5, 100]));
}

// Cost

// Size or age alone; an object that is dear to make again evicted for a cheap one, or kept for ever.
#[test]
fn room_is_made_by_what_is_cheapest_to_make_again() {
    let account = Account::new("a", 1000);
    let pool = KeyedPool::builder(Blocks).account(account.clone()).evict_cheapest_of(3).build();
    // 300 costs a thousand for each byte, the others a tenth.
    for key in [300, 310, 290, 90] {
        drop(pool.acquire(&key).unwrap());
    }
    let mut evicted = Vec::new();
    for round in 0.. {
        let before = idle(&pool);
        drop(pool.acquire(&(299 - round)).unwrap());
        let after = idle(&pool);
        evicted.extend(before.into_iter().filter(|key| !after.contains(key)));
        if evicted.contains(&300) {
            break;
        }
    }
    assert_eq!(evicted[..2], [310, 290], "{evicted:?}");
    assert!((12..=16).contains(&evicted.len()), "half its worth for each time it stays: {evicted:?}");

    let exact = KeyedPool::builder(Blocks).account(Account::new("b", 1000)).build();
    for key in [300, 310, 290, 299] {
        drop(exact.acquire(&key).unwrap());
    }
    assert_eq!(idle(&exact), [310, 290, 299]);
}

// Bytes as they were when it was made; two digits of what is asked.
#[test]
fn what_is_cheapest_is_so_for_the_bytes_that_it_has_now() {
    /// Costs as much as its key says, and takes as many bytes as somebody set.
    struct Costly;
    impl Factory<u32> for Costly {
        type Object = usize;
        type Error = ();
        fn create(&self, _: &u32) -> Result<usize, ()> {
            Ok(10)
        }
        fn measure(&self, &bytes: &usize) -> usize {
            bytes
        }
        fn cost(&self, &key: &u32, _: &usize) -> u32 {
            key
        }
    }
    let build = || {
        let account = Account::new("a", 1000);
        KeyedPool::builder(Costly).account(account).max_objects(2).evict_cheapest_of(2).build()
    };
    let pool = build();
    drop(pool.acquire(&100).unwrap());
    let mut grown = pool.acquire(&101).unwrap();
    *grown = 500;
    drop(grown);
    drop(pool.acquire(&1).unwrap());
    assert!(pool.try_acquire(&100).is_some() && pool.try_acquire(&101).is_none());

    for (older, newer) in [(1006, 1000), (u32::MAX, u32::MAX - (1 << 25)), (3, 2)] {
        let pool = build();
        drop(pool.acquire(&older).unwrap());
        drop(pool.acquire(&newer).unwrap());
        drop(pool.acquire(&1).unwrap());
        assert!(pool.try_acquire(&older).is_some() && pool.try_acquire(&newer).is_none(), "{newer} goes");
    }
}

// What others have, however cheap, taken by one that gives nothing before it gives its own.
#[test]
fn a_pool_that_only_takes_gives_its_own_before_what_is_cheaper_elsewhere() {
    let account = Account::local("page", 300);
    let build = || KeyedPool::builder(Blocks).account(account.clone()).evict_cheapest_of(8);
    let (gives, takes) = (build().build_rc(), build().build());
    drop(gives.acquire(&90).unwrap());
    drop(takes.acquire(&200).unwrap());
    drop(takes.acquire(&150).unwrap());
    assert_eq!((takes.stats().evicted, gives.stats().evicted), (1, 0));
}

// A window that is not kept to; one that goes by the number of objects in place of their worth.
#[test]
fn only_the_oldest_few_are_compared() {
    let pool = KeyedPool::builder(Blocks).max_objects(4).evict_cheapest_of(2).build();
    for key in [100, 200, 15, 16] {
        drop(pool.acquire(&key).unwrap());
    }
    drop(pool.acquire(&17).unwrap());
    assert_eq!(idle(&pool), [200, 15, 16, 17], "of equals the oldest");
    drop(pool.acquire(&18).unwrap());
    assert_eq!(idle(&pool), [200, 16, 17, 18]);
}

// Work

// A slice that frees gigabytes at a stretch; one that never gets at an object larger than its limit.
#[test]
fn maintain_is_bounded_by_bytes_as_well() {
    let account = Account::builder("a").hard_limit(1000).build();
    let pool = KeyedPool::builder(Blocks).account(account.clone()).build();
    let leases: Vec<_> = [30, 100, 50, 60, 70].iter().map(|key| pool.acquire(key).unwrap()).collect();
    drop(leases);
    account.set_hard_limit(10);
    assert_eq!(account.pressure(), Pressure::Critical);
    assert_eq!((pool.maintain(WorkLimit { objects: 9, bytes: 30 }), account.used()), (1, 280));
    assert_eq!((pool.maintain(WorkLimit { objects: 9, bytes: 1 }), account.used()), (1, 180));
    assert_eq!((pool.maintain(WorkLimit { objects: 9, bytes: 60 }), account.used()), (2, 70));
    assert_eq!((pool.maintain(WorkLimit { bytes: 0, ..WorkLimit::NONE }), account.used()), (0, 70));
    assert_eq!((pool.maintain(WorkLimit::NONE), account.used()), (1, 0));
}

// A slice that frees all that is too old at a stretch, or as much again for each thing that is to be done.
#[test]
fn maintain_is_bounded_by_bytes_whatever_they_are_freed_for() {
    let clock = ManualClock::default();
    let pool = KeyedPool::builder(Blocks).clock(&clock).max_lifetime(100).idle_ttl(10).build();
    let old = [10, 20, 30, 40].map(|key| pool.acquire(&key).unwrap());
    clock.set(Tick(90));
    drop(pool.acquire(&50).unwrap());
    clock.set(Tick(100));
    drop(old);
    clock.set(Tick(101));
    // One has waited for too long, the others are too old.
    let slice = |bytes| pool.maintain(WorkLimit { objects: 9, bytes });
    assert_eq!((slice(50), idle(&pool)), (1, vec![10, 20, 30, 40]));
    assert_eq!((slice(30), idle(&pool)), (2, vec![30, 40]));
    assert_eq!((slice(31), idle(&pool)), (2, vec![]));
}

// Observers

#[derive(Default)]
struct Log(RefCell<Vec<String>>, Cell<bool>);

impl Log {
    fn add(&self, line: String) {
        self.0.borrow_mut().push(line);
        assert!(!self.1.take(), "as planned");
    }
    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

impl Observer<usize> for Log {
    fn created(&self, key: &usize, bytes: usize) {
        self.add(format!("created {key} {bytes}"));
    }
    fn removed(&self, key: &usize, bytes: usize, why: Removal) {
        self.add(format!("removed {key} {bytes} {why:?}"));
    }
    fn refused(&self, key: &usize, why: Refusal<'_>) {
        let why = match why {
            Refusal::OverBudget(refusal) => format!("over by {}", refusal.requested - refusal.free),
            other => format!("{other:?}"),
        };
        self.add(format!("refused {key} {why}"));
    }
    fn pressure(&self, pressure: Pressure) {
        self.add(format!("pressure {pressure:?}"));
    }
    fn leaked(&self, key: &usize, leak: &Leak) {
        self.add(format!("leaked {key} {} {} {}", leak.bytes, leak.age, leak.site.line()));
    }
    fn returned(&self, key: &usize, leak: &Leak) {
        self.add(format!("returned {key} {} {}", leak.bytes, leak.age));
    }
}

/// Hears, and says nothing.
struct Quiet;

impl Observer<usize> for Quiet {}

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
    clock.set(Tick(11));
    pool.maintain(9);
    assert_eq!(log.take(), ["created 5 5"]);
    assert_eq!((pool.stats().leased, idle(&pool)), (0, vec![5]));
    drop(pool.try_acquire(&5).unwrap());
    assert_eq!(log.take(), ["removed 5 5 Discarded(Verdict)"]);
}

// Leaks

// A leak told of again and again, or never; a site inside the library; a lease taken back.
#[test]
fn a_lease_that_stays_out_is_told_of_once_and_again_when_it_ends() {
    let (log, twin, clock) = (Log::default(), Log::default(), ManualClock::default());
    let pool =
        KeyedPool::builder(Blocks).observer((&log, (Silent, &twin))).clock(&clock).watch_leaks(1, 10).build();
    let line = line!() + 1;
    let lease = pool.acquire(&5).unwrap();
    let quick = pool.acquire(&6).unwrap();
    log.take();
    clock.set(Tick(10));
    drop(quick);
    pool.maintain(9);
    assert_eq!(log.take(), Vec::<String>::new());
    clock.set(Tick(12));
    pool.maintain(9);
    pool.maintain(9);
    assert_eq!(log.take(), [format!("leaked 5 5 12 {line}")]);
    assert_eq!(lease.0, 5);
    clock.set(Tick(20));
    let token = lease.into_id();
    pool.maintain(9);
    assert_eq!(log.take(), Vec::<String>::new(), "a token is the same lease");
    pool.release(token).unwrap();
    assert_eq!(log.take(), ["returned 5 5 20"]);
    let line = line!() + 1;
    let kept = pool.try_acquire(&5).unwrap();
    clock.set(Tick(40));
    pool.maintain(0);
    pool.maintain(1);
    assert_eq!(log.take(), [format!("leaked 5 5 20 {line}")]);
    kept.discard();
    assert_eq!(log.take(), ["returned 5 5 20", "removed 5 5 Discarded(Asked)"]);
    // Who hears beside others hears the same.
    let told =
        twin.take().into_iter().filter(|line| line.starts_with("leaked") || line.starts_with("returned"));
    assert_eq!(told.count(), 4);
}

// A site inside the library, by way of what only passes it on.
#[test]
fn a_leak_names_the_place_that_acquired_it_whatever_it_called() {
    let (log, clock) = (Log::default(), ManualClock::default());
    let pool = Rc::new(KeyedPool::builder(Blocks).observer(&log).clock(&clock).watch_leaks(1, 10).build());
    drop((pool.acquire(&3).unwrap(), pool.acquire(&4).unwrap()));
    log.take();
    let line = line!();
    let made = pool.acquire(&1).unwrap();
    let made_owned = pool.acquire_owned(&2).unwrap();
    let hit_owned = pool.try_acquire_owned(&3).unwrap();
    let hit = pool.acquire_owned(&4).unwrap();
    log.take();
    clock.set(Tick(11));
    pool.maintain(9);
    let expected: Vec<_> = (1..5).map(|nth| format!("leaked {nth} {nth} 11 {}", line + nth)).collect();
    assert_eq!(log.take(), expected);
    drop((made, made_owned, hit_owned, hit));
}

// The first lease of each pool, whatever was asked: all of a program whose pools live for one request.
#[test]
fn the_first_lease_is_watched_no_more_often_than_any_other() {
    struct Told<'a>(&'a Cell<u32>);
    impl Observer<usize> for Told<'_> {
        fn leaked(&self, _: &usize, _: &Leak) {
            self.0.set(self.0.get() + 1);
        }
    }
    let told = |one_in: u32, pools: u64| {
        let told = Cell::new(0);
        for nth in 0..pools {
            let clock = ManualClock::default();
            clock.set(Tick(nth * 1_234_567));
            let observer = Told(&told);
            let pool =
                KeyedPool::builder(Blocks).clock(&clock).watch_leaks(one_in, 5).observer(observer).build();
            let lease = pool.acquire(&1).unwrap();
            clock.advance(6);
            pool.maintain(9);
            drop(lease);
        }
        told.get()
    };
    assert_eq!(told(1, 100), 100);
    let some = told(10, 1000);
    assert!((60..=140).contains(&some), "{some} of 1000, one in 10");
    let few = told(1000, 1000);
    assert!(few <= 5, "{few} of 1000, one in 1000");
}

// Every lease watched, or none; or always the same of those that each request takes.
#[test]
fn one_lease_in_so_many_is_watched_whatever_the_pattern() {
    for (one_in, of_each, leaked) in [(1, 1, 0), (2, 2, 1), (2, 2, 0), (4, 4, 3), (10, 5, 2), (7, 1, 0)] {
        let (log, clock) = (Log::default(), ManualClock::default());
        let pool = KeyedPool::builder(Blocks).observer(&log).clock(&clock).watch_leaks(one_in, 10).build();
        let (requests, mut good) = (1000 * one_in as usize, Vec::new());
        for request in 0..requests {
            clock.set(Tick(request as u64 / 7));
            for nth in 0..of_each {
                let lease = pool.acquire(&(20 + nth)).unwrap();
                if nth == leaked { std::mem::forget(lease) } else { good.push(lease) }
            }
            good.clear();
        }
        log.take();
        clock.set(Tick(1_000_000));
        pool.maintain(usize::MAX);
        let told = log.take();
        assert!(told.iter().all(|line| line.starts_with(&format!("leaked {} ", 20 + leaked))), "{told:?}");
        let expected = if one_in == 1 { 1000..=1000 } else { 900..=1100 };
        assert!(
            expected.contains(&told.len()),
            "one in {one_in}: {} of {requests}, of which the {leaked}th of {of_each} is leaked",
            told.len()
        );
    }
}

// A slice that looks through all that is watched, or begins anew for each lease that it tells of.
#[test]
fn a_slice_looks_at_no_more_leases_than_it_is_told() {
    let watch = |leases: usize| {
        let clock = ManualClock::default();
        let pool = KeyedPool::builder(Blocks).observer(Quiet).clock(&clock).watch_leaks(1, 10).build();
        let held: Vec<_> = (0..leases).map(|_| pool.acquire(&5).unwrap()).collect();
        // Of what it takes at its quickest: nothing is due, and then one more in each slice.
        let slices = |begin: u64| {
            let slice = |nth| {
                clock.set(Tick(begin + nth));
                let from = Instant::now();
                pool.maintain(1);
                from.elapsed()
            };
            (0..20).map(slice).min().unwrap()
        };
        let (idle, due) = (slices(0).min(slices(1)), slices(11));
        clock.set(Tick(100));
        let from = Instant::now();
        pool.maintain(usize::MAX);
        let all = from.elapsed();
        drop(held);
        (idle, due, all)
    };
    let (few, many) = (watch(100), watch(30_000));
    let limit = |few: Duration| few * 100 + Duration::from_micros(50);
    assert!(many.0 < limit(few.0) && many.1 < limit(few.1), "100 leases: {few:?}, 30 000: {many:?}");
    // 300 times as many; each for itself would be 90 000 times.
    assert!(many.2 < few.2 * 10_000 + Duration::from_millis(20), "100 leases: {few:?}, 30 000: {many:?}");
}

// The order of the slots, or that in which leases end, for that in which they were taken; one that is told of twice, or
// not any more because another ended; a place in the list that is lost with its slot's next lease.
#[test]
fn leases_are_told_of_in_the_order_in_which_they_were_taken() {
    let (log, clock) = (Log::default(), ManualClock::default());
    let pool = KeyedPool::builder(Blocks).observer(&log).clock(&clock).watch_leaks(1, 10).build();
    let mut leases: Vec<_> = (20..26).map(|key| Some(pool.acquire(&key).unwrap())).collect();
    for (tick, nth) in [(1, 4), (2, 0), (3, 2)] {
        clock.set(Tick(tick));
        leases[nth] = None;
        leases[nth] = Some(pool.acquire(&(20 + nth)).unwrap());
    }
    leases[3] = None;
    log.take();
    let told = || -> Vec<String> {
        log.take().iter().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
    };
    clock.set(Tick(11));
    pool.maintain(1);
    assert_eq!(told(), ["leaked 21"]);
    pool.maintain(9);
    assert_eq!(told(), ["leaked 25"]);
    leases[1] = None;
    assert_eq!(told(), ["returned 21"]);
    clock.set(Tick(13));
    pool.maintain(9);
    assert_eq!(told(), ["leaked 24", "leaked 20"]);
    leases[2].take().unwrap().discard();
    let _ = leases[5].take().unwrap().detach();
    leases.clear();
    assert_eq!(told(), ["removed 22", "returned 25", "removed 25", "returned 20", "returned 24"]);
    clock.set(Tick(99));
    pool.maintain(9);
    assert_eq!(told(), Vec::<String>::new());
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

// A slice that ends a whole quarantine whatever it was told, or takes the work of others for its own.
#[test]
fn a_slice_is_bounded_in_quarantine_too_and_counts_its_own_work() {
    let clock = ManualClock::default();
    let pool = KeyedPool::builder(Blocks).clock(&clock).build();
    let leases: Vec<_> = (0..10).map(|_| pool.acquire(&1000).unwrap()).collect();
    leases.into_iter().for_each(|lease| lease.release_at(Tick(5)));
    pool.close();
    clock.set(Tick(5));
    assert_eq!(pool.maintain(WorkLimit { objects: 99, bytes: 1500 }), 2);
    assert_eq!(pool.maintain(WorkLimit { objects: 3, bytes: usize::MAX }), 3);
    assert_eq!(pool.maintain(WorkLimit { objects: 99, bytes: 2000 }), 2);
    assert_eq!((pool.maintain(99), pool.stats().leased), (3, 0));
}
