//! What is released for later.

use super::{Blocks, Washer, idle};
use pool_core::{Account, AcquireError, Clock as _, KeyedPool, KeyedPoolBuilder, ManualClock, Tick, Verdict};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

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

// An object whose time to wait begins as a limit is changed that it is no obstacle to.
#[test]
fn a_limit_that_nobody_is_above_ends_no_quarantine() {
    let (account, clock) = (Account::local("page", 300), Rc::new(ManualClock::default()));
    let pool =
        KeyedPool::builder(Blocks).account(account.clone()).clock(Rc::clone(&clock)).idle_ttl(10).build_rc();
    pool.acquire(&200).unwrap().release_at(Tick(5));
    clock.advance(5);
    assert_eq!((account.set_hard_limit(250), account.set_hard_limit(200)), (0, 0));
    // It would be too old by now, had it become idle then.
    clock.advance(11);
    assert!(pool.try_acquire(&200).is_some());
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

    let (_, pool) = due(60);
    clock.advance(5);
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

// A resetter that writes what was lent to be read only, which Miri sees.
#[test]
fn what_is_released_for_later_is_reset_in_its_place() {
    let clock = ManualClock::default();
    let zero = |number: &mut u32| {
        *number = 0;
        Verdict::Keep
    };
    let pool = KeyedPool::builder(|_: &usize| Ok::<_, ()>(7)).resetter(zero).clock(&clock).build();
    pool.acquire(&1).unwrap().release_at(Tick(5));
    clock.advance(5);
    assert_eq!(*pool.acquire(&1).unwrap(), 0);
}
