//! Soft limits of time, and maintenance in slices.

use super::{Blocks, idle};
use pool_core::{Account, KeyedPool, ManualClock, Pressure, Tick, WorkLimit};

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

// A slice that looks at places where nothing is any more, or at what is out, and so finds what is too old after thousands of them;
// one that begins anew each time, or loses its place.
#[test]
fn slices_of_the_lifetime_look_at_what_is_idle_and_get_past_what_is_young() {
    let clock = ManualClock::default();
    let pool = KeyedPool::builder(Blocks).clock(&clock).max_lifetime(10).build();
    let many: Vec<_> = (0..1000).map(|_| pool.acquire(&1).unwrap()).collect();
    let mut old: Vec<_> = (0..3).map(|_| pool.acquire(&2).unwrap()).collect();
    many.into_iter().for_each(pool_core::Lease::discard);
    clock.set(Tick(8));
    // Released before the old ones, and younger.
    let out = pool.acquire(&4).unwrap();
    let young: Vec<_> = (0..5).map(|_| pool.acquire(&3).unwrap()).collect();
    drop(young);
    old.drain(..).for_each(drop);
    clock.set(Tick(11));
    assert_eq!(pool.maintain(3), 0, "it looked at three young ones");
    // One of those goes, which is not where the next slice begins; and then that one.
    assert_eq!(pool.evict_to(pool.stats().bytes() - 3), 3);
    drop(pool.try_acquire(&3).unwrap());
    assert_eq!(pool.maintain(2), 1, "behind them");
    assert_eq!(pool.maintain(2), 2);
    assert_eq!((idle(&pool), pool.stats().expired), (vec![3, 3, 3, 3], 3));
    drop(out);
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
