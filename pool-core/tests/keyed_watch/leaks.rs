//! Leases that stay out.

use super::{Blocks, Log, Quiet};
use pool_core::{KeyedPool, Leak, ManualClock, Observer, Silent, Tick};
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

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
    // Pools that all begin at one time.
    let told = |one_in: u32, pools: u64| {
        let told = Cell::new(0);
        for _ in 0..pools {
            let clock = ManualClock::default();
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
    // As many as there can be.
    assert_eq!(told(u32::MAX, 100), 0);
    let some = told(10, 1000);
    assert!((45..=155).contains(&some), "{some} of 1000, one in 10");
    let few = told(1000, 1000);
    assert!(few <= 10, "{few} of 1000, one in 1000");
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
