//! Limits of time, and the clock that they need.

use super::{Sized, builder, destroyed, fill, order};
use pool_core::{Footprint, KeepAll, KeyedPoolBuilder, ManualClock};
use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;

// An expired object that is handed out because nobody called `maintain`.
#[test]
fn an_expired_object_is_never_handed_out() {
    let clock = ManualClock::default();
    let pool = builder().clock(&clock).idle_ttl(10).build();
    fill(&pool, &[1, 1]);
    clock.advance(10);
    drop(pool.acquire(&1).unwrap()); // just in time, and renewed by its release
    clock.advance(1);
    assert_eq!(pool.try_acquire(&1).unwrap().serial, 2);
    clock.advance(11);
    assert!(pool.try_acquire(&1).is_none());
    assert_eq!((pool.stats().expired, pool.stats().idle), (2, 0));
    assert_eq!(pool.acquire(&1).unwrap().serial, 3);
    assert_eq!((pool.stats().hits, pool.stats().misses), (2, 3));
}

// A clock that is read where time means nothing; or not read where it does.
#[test]
fn the_clock_is_read_where_there_is_a_limit_of_time() {
    #[derive(Clone, Default)]
    struct Read(Rc<Cell<u32>>);
    impl pool_core::Clock for Read {
        fn now(&self) -> pool_core::Tick {
            self.0.set(self.0.get() + 1);
            pool_core::Tick(0)
        }
    }
    type Timed = KeyedPoolBuilder<usize, Sized, KeepAll, Read>;
    let read = Read::default();
    let reads = |limit: fn(Timed) -> Timed| {
        let pool = limit(builder().clock(read.clone())).build();
        drop(pool.acquire(&1).unwrap());
        drop(pool.acquire(&1).unwrap());
        pool.prewarm(&1, 2).unwrap();
        pool.maintain(usize::MAX);
        read.0.take()
    };
    assert_eq!(reads(|builder| builder.max_per_key(9).min_idle(1)), 0);
    assert_eq!(reads(|builder| builder.watch_leaks(1, 1)), 0, "nobody listens");
    assert!(reads(|builder| builder.idle_ttl(1)) > 0);
    assert!(reads(|builder| builder.soft_idle_ttl(1)) > 0);
    assert!(reads(|builder| builder.max_lifetime(1)) > 0);
}

// One that is handed out since it was not too old when the one before it was looked at, which then took its time to go.
#[test]
fn an_object_that_expires_while_another_is_destroyed_is_not_handed_out() {
    struct Slow(Rc<ManualClock>);
    impl Footprint for Slow {}
    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.advance(300);
        }
    }
    let clock = Rc::new(ManualClock::default());
    let made = Cell::new(0);
    let make = |_: &u8| {
        made.set(made.get() + 1);
        Ok::<_, Infallible>(Slow(Rc::clone(&clock)))
    };
    let pool = KeyedPoolBuilder::new(make).clock(Rc::clone(&clock)).max_lifetime(200).build();
    let old = pool.acquire(&1).unwrap();
    clock.advance(150);
    let young = pool.acquire(&1).unwrap();
    drop((young, old));
    clock.advance(100);
    let new = pool.acquire(&1).unwrap();
    assert_eq!((made.get(), pool.stats().expired), (3, 2));
    drop(new);
}

// An object that goes while a predicate looks at it, since it has become too old meanwhile and somebody prewarms its key.
#[test]
fn what_a_predicate_looks_at_stays_though_its_time_is_over() {
    let clock = ManualClock::default();
    let pool = builder().clock(&clock).idle_ttl(10).build();
    fill(&pool, &[1, 1]);
    let looks = Cell::new(0);
    pool.retain(|key, object| {
        if looks.replace(looks.get() + 1) == 0 {
            clock.advance(11);
            pool.prewarm(key, 2).unwrap();
            // The other one has gone.
            assert_eq!((object.serial, pool.stats().destroyed), (1, 1));
        }
        true
    });
}

// A walk that goes on at a place which a destructor has emptied, and so misses what is too old behind it.
#[test]
fn what_is_too_old_is_found_whatever_destructors_do_to_what_lies_between() {
    type Action = Cell<Option<Box<dyn FnOnce()>>>;
    struct Part(u8, Rc<Action>);
    impl Footprint for Part {}
    impl Drop for Part {
        fn drop(&mut self) {
            if let Some(action) = self.1.take() {
                action();
            }
        }
    }
    let (clock, action) = (Rc::new(ManualClock::default()), Rc::new(Action::default()));
    let (made, same) = (Cell::new(0), Rc::clone(&action));
    let make = move |_: &u8| {
        made.set(made.get() + 1);
        Ok::<_, Infallible>(Part(made.get(), Rc::clone(&same)))
    };
    let pool = Rc::new(KeyedPoolBuilder::new(make).clock(Rc::clone(&clock)).max_lifetime(3).build());
    let [first, last] = [pool.acquire(&1).unwrap(), pool.acquire(&1).unwrap()];
    clock.advance(3);
    let between = pool.acquire(&1).unwrap();
    assert_eq!((first.0, last.0, between.0), (1, 2, 3));
    drop(first);
    drop(between);
    drop(last);
    clock.advance(1);
    let meddling = Rc::clone(&pool);
    action.set(Some(Box::new(move || assert_eq!(meddling.retain(|_, part| part.0 != 3), 1))));
    assert_eq!(pool.prewarm(&1, 2).unwrap(), 2);
    assert_eq!((pool.stats().expired, pool.stats().evicted, pool.stats().idle), (2, 1, 2));
}

// A lifetime that use prolongs, or that only idle objects have.
#[test]
fn an_object_lives_no_longer_than_its_lifetime() {
    let clock = ManualClock::default();
    let pool = builder().clock(&clock).max_lifetime(10).build();
    for _ in 0..5 {
        drop(pool.acquire(&1).unwrap());
        clock.advance(2);
    }
    assert_eq!(pool.acquire(&1).unwrap().serial, 1, "10 ticks old");
    let held = pool.acquire(&1).unwrap();
    clock.advance(1);
    assert_eq!(held.serial, 1, "a lease is never taken back");
    drop(held);
    assert_eq!((pool.stats().expired, pool.stats().idle), (1, 0));

    drop(pool.acquire(&1).unwrap());
    clock.advance(11);
    assert!(pool.try_acquire(&1).is_none());
    drop(pool.acquire(&1).unwrap());
    clock.advance(11);
    assert_eq!(pool.maintain(1), 1);
    assert_eq!((pool.stats().expired, pool.stats().idle), (3, 0));
}

// Expiry that takes one that is not due, or goes on beyond the limit of work.
#[test]
fn maintenance_expires_the_oldest_within_its_limit() {
    let clock = ManualClock::default();
    let pool = builder().clock(&clock).idle_ttl(5).build();
    fill(&pool, &[1, 2, 3, 4]);
    clock.advance(3);
    fill(&pool, &[5, 6]);
    clock.advance(2);
    assert_eq!(pool.maintain(100), 0, "just in time");
    clock.advance(1);
    assert_eq!(pool.maintain(0), 0);
    assert_eq!(pool.maintain(3), 3);
    assert_eq!(destroyed(&pool), [1, 2, 3]);
    assert_eq!(pool.maintain(3), 1);
    assert_eq!(order(&pool), [5, 6]);
    assert_eq!(pool.maintain(100), 0);
}

// A lifetime's scan that never comes round to some of the slots.
#[test]
fn maintenance_comes_round_to_every_object() {
    let clock = ManualClock::default();
    let pool = builder().clock(&clock).max_lifetime(5).build();
    fill(&pool, &[1; 50]);
    clock.advance(6);
    let fresh = pool.acquire(&2).unwrap();
    drop(fresh);
    let mut destroyed = 0;
    for _ in 0..20 {
        let slice = pool.maintain(7);
        assert!(slice <= 7);
        destroyed += slice;
    }
    assert_eq!((destroyed, order(&pool)), (50, vec![2]));
}
