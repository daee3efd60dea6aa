//! Maintenance: what goes under pressure, and how much of it at a time.

use super::{Pool, builder, fill, order};
use pool_core::{Account, ManualClock, Pressure};
use std::time::Duration;
use std::time::Instant;

/// A pool under moderate pressure as soon as it holds more than `soft` bytes.
fn pressed(soft: usize, low: usize, min_idle: usize) -> Pool {
    let account = Account::builder("pressed").soft_limit(soft).low_watermark(low).build();
    builder().account(account).min_idle(min_idle).build()
}

// Memory that waits for an acquire to come back, for want of traffic; or that goes though nobody wants it.
#[test]
fn idle_memory_comes_back_by_maintain_alone() {
    let account = Account::builder("all").soft_limit(100).low_watermark(30).build();
    let pool = builder().account(account.clone()).build();
    fill(&pool, &[10; 20]);
    let slices = |pool: &Pool| (0..100).map(|_| pool.maintain(3)).sum::<usize>();
    assert_eq!((slices(&pool), account.used()), (17, 30), "down to the low watermark, a few in each slice");
    assert_eq!(slices(&pool), 0, "and no further");

    let clock = ManualClock::default();
    let timed = builder().clock(&clock).idle_ttl(10).build();
    fill(&timed, &[10; 5]);
    assert_eq!(timed.maintain(usize::MAX), 0);
    clock.advance(11);
    assert_eq!((timed.maintain(usize::MAX), timed.stats().idle), (5, 0));

    let wanted = builder().build();
    fill(&wanted, &[10; 5]);
    assert_eq!((slices(&wanted), wanted.stats().idle), (0, 5), "neither pressure nor a limit of time");
}

// Trimming of what was needed a moment ago: the next peak would have to make it all again.
#[test]
fn moderate_pressure_spares_the_working_set() {
    let pool = pressed(50, 0, 0);
    fill(&pool, &[10; 6]);
    assert_eq!(pool.account().unwrap().pressure(), Pressure::Moderate);
    assert_eq!(pool.maintain(usize::MAX), 0, "all six were out since the beginning");
    let four: Vec<_> = (0..4).map(|_| pool.acquire(&10).unwrap()).collect();
    drop(four); // never fewer than two idle since
    assert_eq!(pool.maintain(usize::MAX), 2);
    assert_eq!(pool.stats().idle, 4);
    assert_eq!(pool.maintain(usize::MAX), 4, "none was needed since");
}

// A working set that is that of the last acquire, or of the time before the last maintenance.
#[test]
fn the_working_set_is_the_most_that_was_out_at_once_since_the_last_maintenance() {
    let pool = pressed(50, 0, 0);
    fill(&pool, &[10; 6]);
    pool.maintain(usize::MAX);
    drop([(); 4].map(|()| pool.acquire(&10).unwrap()));
    drop(pool.acquire(&10).unwrap());
    assert_eq!(pool.maintain(usize::MAX), 2, "four were out at once");
    drop(pool.acquire(&10).unwrap());
    assert_eq!(pool.maintain(usize::MAX), 3, "and one since");
}

// A working set of all keys together, so that a busy key is trimmed for an idle one.
#[test]
fn the_working_set_is_by_key() {
    let pool = pressed(50, 0, 0);
    fill(&pool, &[10, 10, 10, 11, 11, 11]);
    pool.maintain(usize::MAX);
    drop([(); 3].map(|()| pool.acquire(&10).unwrap()));
    assert_eq!(pool.maintain(usize::MAX), 3);
    assert_eq!(order(&pool), [10, 10, 10]);
}

// A trim below the watermark, below what a key is to keep, or beyond the limit of work.
#[test]
fn moderate_pressure_stops_at_the_low_watermark_and_min_idle() {
    let pool = pressed(50, 35, 0);
    fill(&pool, &[10; 6]);
    pool.maintain(usize::MAX);
    assert_eq!(pool.maintain(1), 1);
    assert_eq!(pool.maintain(usize::MAX), 2);
    assert_eq!((pool.stats().bytes(), pool.account().unwrap().pressure()), (30, Pressure::None));
    assert_eq!(pool.maintain(usize::MAX), 0);

    let pool = pressed(50, 0, 2);
    fill(&pool, &[10, 10, 10, 11, 11, 11]);
    pool.maintain(usize::MAX);
    assert_eq!(pool.maintain(usize::MAX), 2);
    assert_eq!(order(&pool), [10, 10, 11, 11]);
}

// Idle objects that stay although memory is gone; or more of them than the limit of work.
#[test]
fn critical_pressure_drops_every_idle_object() {
    let account = Account::new("budget", 100);
    let pool = builder().account(account.clone()).min_idle(2).build();
    let held = pool.acquire(&40).unwrap();
    fill(&pool, &[10, 10, 10, 11]);
    account.set_hard_limit(1);
    assert_eq!(pool.maintain(1), 1);
    assert_eq!(pool.maintain(usize::MAX), 3);
    assert_eq!((pool.stats().idle, pool.stats().leased, account.overcommitted()), (0, 1, 39));
    drop(held);
}

// A slice of housekeeping that looks at every idle object to find one that may go.
#[test]
#[cfg_attr(miri, ignore = "measures time")]
fn maintain_is_bounded_by_its_work_limit() {
    let slices = |keys: usize| {
        let pool = pressed(1, 0, 1);
        fill(&pool, &(1..=keys).collect::<Vec<_>>());
        // None may go: each key has its least.
        let once = || {
            let begin = Instant::now();
            for _ in 0..20 {
                assert_eq!(pool.maintain(1), 0);
            }
            begin.elapsed()
        };
        (0..5).map(|_| once()).min().unwrap_or(Duration::MAX)
    };
    let (few, many) = (slices(10), slices(100_000));
    assert!(many < few * 100 + Duration::from_micros(100), "10 idle: {few:?}, 100 000 idle: {many:?}");
}

// An event that is raised with each charge, or that ends pressure while the use is above the soft limit.
#[test]
fn a_low_watermark_above_the_soft_limit_raises_no_storm() {
    let events = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = std::sync::Arc::clone(&events);
    let account = Account::builder("a")
        .soft_limit(100)
        .low_watermark(80)
        .on_event(move |_| _ = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
        .build();
    let mut claim = account.try_reserve(60).unwrap();
    account.set_soft_limit(50);
    for _ in 0..10 {
        claim.try_grow(1).unwrap();
    }
    assert_eq!(events.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(account.pressure(), Pressure::Moderate);
    claim.free();
    assert_eq!(events.load(std::sync::atomic::Ordering::Relaxed), 2);
}

// A slice that begins anew each time, and so for ever looks at the same objects that are to stay.
#[test]
fn slices_of_one_look_get_past_objects_that_stay() {
    let account = Account::builder("all").hard_limit(1000).soft_limit(50).build();
    let pool = builder().min_idle(1).account(account.clone()).build();
    fill(&pool, &[10, 20, 20, 20]);
    for _ in 0..6 {
        pool.maintain(1);
    }
    assert!(pool.stats().evicted > 0, "{:?}", pool.stats());
    assert_eq!(order(&pool)[0], 10, "its key keeps one");
}

// A slice that begins with an object that is no longer where it was, or anywhere but behind the slice before.
#[test]
fn a_slice_goes_on_where_the_last_ended_whatever_is_taken_meanwhile() {
    fn check<C: pool_core::Clock>(make: impl Fn() -> Pool<C>) {
        // The next to be looked at, and one that was looked at: how far it then is to the first 14.
        for (key, looks) in [(13, 1), (11, 2)] {
            for way in 0..3 {
                let pool = make();
                // Each key keeps one, so only a 14 may go.
                fill(&pool, &[11, 12, 13, 14, 14, 14]);
                assert_eq!((pool.maintain(usize::MAX), pool.maintain(2)), (0, 0));
                let lease = if way < 2 { Some(pool.acquire(&key).unwrap()) } else { None };
                match way {
                    0 => drop(lease),
                    1 => assert_eq!(pool.maintain(looks), 1, "{key} is leased"),
                    _ => assert_eq!(pool.retain(|&other, _| other != key), 1),
                }
                if way != 1 {
                    assert_eq!(pool.maintain(looks), 1, "{key} was {}", ["used", "", "destroyed"][way]);
                }
                assert_eq!(pool.key_stats(&14).unwrap().idle, 2);
            }
        }
    }
    let pressed = || {
        let account = Account::builder("pressed").soft_limit(1).low_watermark(0).build();
        builder().account(account).min_idle(1)
    };
    check(|| pressed().build());
    check(|| pressed().clock(ManualClock::default()).idle_ttl(1000).build());
}
