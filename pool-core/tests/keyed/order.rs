//! The one order across all keys, by release.

use super::{builder, destroyed, fill, order};
use pool_core::{AcquireError, ManualClock, Tick};

// A key's object that counts as the age of the whole key; an order by creation, or by acquire.
#[test]
fn eviction_follows_the_order_of_release_across_keys() {
    let pool = builder().build();
    fill(&pool, &[1, 2, 3, 1, 2, 3]);
    let [one, three] = [pool.acquire(&1).unwrap(), pool.acquire(&3).unwrap()];
    assert_eq!((one.serial, three.serial), (4, 6), "the newest of its key");
    drop(three);
    drop(one);
    assert_eq!(order(&pool), [1, 2, 3, 2, 3, 1]);
    for (left, expected) in [(4, vec![1, 2]), (1, vec![3, 5, 6]), (0, vec![4])] {
        pool.trim(left);
        assert_eq!(destroyed(&pool), expected);
    }
}

// An order by the clock, in which objects released in one tick have none.
#[test]
fn order_does_not_depend_on_the_clock() {
    let clock = ManualClock::default();
    let pool = builder().clock(&clock).idle_ttl(99).build();
    fill(&pool, &[5, 4, 3, 2, 1]);
    assert_eq!(order(&pool), [5, 4, 3, 2, 1]);
    drop(pool.acquire(&4).unwrap());
    assert_eq!(order(&pool), [5, 3, 2, 1, 4]);
    // Not even if it goes back.
    clock.set(Tick(50));
    drop(pool.acquire(&2).unwrap());
    clock.set(Tick(10));
    drop(pool.acquire(&3).unwrap());
    assert_eq!(order(&pool), [5, 1, 4, 2, 3]);
}

// A leased object that is destroyed to make room; or a failure although there is something idle.
#[test]
fn leased_objects_are_never_evicted() {
    let pool = builder().max_objects(2).build_fixed::<2>();
    let held = pool.acquire(&1).unwrap();
    for key in 2..50 {
        drop(pool.acquire(&key).unwrap());
        assert_eq!((held.serial, pool.stats().idle), (1, 1));
    }
    let other = pool.acquire(&9).unwrap();
    assert_eq!(pool.acquire(&1).map(drop), Err(AcquireError::Exhausted { leased: 2, max_objects: 2 }));
    drop((held, other));
    assert_eq!(pool.stats().evicted, 48);
}
