//! Keys: that they come and go with their objects, and are told apart.

use super::{Refused, builder, fill};
use pool_core::{Account, AcquireError, KeepAll, KeyedPool, KeyedPoolBuilder, Storage};
use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;

// A table that keeps every key it ever saw.
#[test]
fn keys_without_objects_are_forgotten() {
    thread_local!(static ALIVE: Cell<u32> = const { Cell::new(0) });
    #[derive(PartialEq, Eq, Hash)]
    struct Key(u32);
    impl Clone for Key {
        fn clone(&self) -> Self {
            ALIVE.set(ALIVE.get() + 1);
            Self(self.0)
        }
    }
    impl Drop for Key {
        fn drop(&mut self) {
            ALIVE.set(ALIVE.get() - 1);
        }
    }
    fn key(number: u32) -> Key {
        ALIVE.set(ALIVE.get() + 1);
        Key(number)
    }
    let keys: u32 = if cfg!(miri) { 300 } else { 1_000_000 };
    let pool = KeyedPool::builder(|key: &Key| Ok::<u32, Infallible>(key.0)).max_objects(16).build();
    for number in 0..keys {
        assert_eq!(*pool.acquire(&key(number)).unwrap(), number);
        // One key for each object that there is: no other is kept.
        assert!(ALIVE.get() <= 16, "{} keys are kept after {number}", ALIVE.get());
    }
    assert_eq!((pool.keys().len(), pool.key_count()), (16, 16));
    assert_eq!(ALIVE.get(), 16);
    pool.trim(0);
    assert_eq!((pool.keys().len(), pool.key_count(), ALIVE.get()), (0, 0, 0));
    let lease = pool.acquire(&key(1)).unwrap();
    assert_eq!(ALIVE.get(), 1);
    assert_eq!(lease.detach(), 1);
    assert_eq!(ALIVE.get(), 0, "the last object was detached");
    drop(pool.acquire(&key(2)).unwrap());
    drop(pool);
    assert_eq!(ALIVE.get(), 0);
}

// A key that is kept when the create for it failed.
#[test]
fn a_failed_create_leaves_no_key() {
    let pool = builder().max_objects(1).build_fixed::<1>();
    pool.factory().fail.set(true);
    for key in 0..10 {
        assert_eq!(pool.acquire(&key).map(drop), Err(AcquireError::Create(Refused)));
        assert_eq!((pool.key_stats(&key), pool.key_count()), (None, 0));
    }
    pool.factory().fail.set(false);
    let held = pool.acquire(&1).unwrap();
    assert!(pool.acquire(&2).is_err());
    assert_eq!(pool.key_stats(&2), None);
    drop(held);
}

// A key that is forgotten, with the objects that it has, when one more of them cannot be made.
#[test]
fn a_failed_create_leaves_the_key_of_other_objects() {
    let pool = builder().build();
    let held = pool.acquire(&1).unwrap();
    pool.factory().fail.set(true);
    assert_eq!(pool.acquire(&1).map(drop), Err(AcquireError::Create(Refused)));
    assert_eq!(pool.key_stats(&1).map(|stats| stats.leased), Some(1));
    drop(held);
    assert_eq!(pool.try_acquire(&1).unwrap().serial, 1);
}

// Keys that meet in one chain of the hash table and are taken for each other.
#[test]
fn colliding_keys_are_told_apart() {
    #[derive(Clone, PartialEq, Eq, Debug)]
    struct Same(u8);
    impl std::hash::Hash for Same {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            state.write_u8(0);
        }
    }
    fn check<S: Storage>(
        pool: &KeyedPool<Same, fn(&Same) -> Result<u8, Infallible>, KeepAll, pool_core::NoClock, S>,
    ) {
        for round in 0..4 {
            let leases: Vec<_> = (0..8).map(|key| (key, pool.acquire(&Same(key)).unwrap())).collect();
            assert!(leases.iter().all(|(key, lease)| **lease == *key));
            leases.into_iter().for_each(drop);
            // Heads, middles and ends of the chain go.
            pool.retain(|key, _| key.0 % (round + 2) != 0);
            for key in 0..8 {
                assert_eq!(pool.key_stats(&Same(key)).is_some(), key % (round + 2) != 0, "{key}");
            }
        }
    }
    let make: fn(&Same) -> Result<u8, Infallible> = |key| Ok(key.0);
    check(&KeyedPoolBuilder::new(make).build());
    check(&KeyedPoolBuilder::new(make).build_fixed::<8>());
}

// Numbers of one key that are those of all, or that are lost on the way.
#[test]
fn key_stats_tell_what_is_held_for_a_key() {
    let pool = builder().account(Account::new("budget", 1000)).build();
    assert_eq!(pool.key_stats(&10), None);
    let mut held = pool.acquire(&10).unwrap();
    fill(&pool, &[10, 10, 20]);
    let stats = pool.key_stats(&10).unwrap();
    assert_eq!((stats.leased, stats.idle, stats.leased_bytes, stats.idle_bytes), (1, 2, 10, 20));
    held.bytes = 50;
    drop(held);
    let stats = pool.key_stats(&10).unwrap();
    assert_eq!((stats.leased, stats.idle, stats.leased_bytes, stats.idle_bytes), (0, 3, 0, 70));
    let mut keys: Vec<_> = pool.keys().into_iter().map(|(key, stats)| (key, stats.idle)).collect();
    keys.sort_unstable();
    assert_eq!(keys, [(10, 3), (20, 1)]);
    pool.retain(|&key, _| key == 20);
    assert_eq!(pool.key_stats(&10), None);
}

// Tokens whose slot went to another key.
#[test]
fn a_token_is_not_good_for_the_next_key_in_its_slot() {
    let pool = builder().build_fixed::<1>();
    let token = pool.acquire(&1).unwrap().into_id();
    pool.release(token).unwrap();
    let other = pool.acquire(&2).unwrap();
    assert!(pool.release(token).is_err());
    let second = other.into_id();
    assert!(pool.redeem(token).is_err());
    assert_eq!(pool.redeem(second).unwrap().serial, 2);
}

// A look-up that makes a key, which costs a string on each hit; or another hash for the borrowed form.
#[test]
fn a_borrowed_key_finds_what_the_pools_own_does() {
    let pool = Rc::new(KeyedPool::new(|name: &String| Ok::<_, Infallible>(name.len())));
    assert!(pool.try_acquire("drum").is_none());
    drop(pool.acquire(&"drum".to_owned()).unwrap());
    assert_eq!(pool.try_acquire("drum").map(|lease| *lease), Some(4));
    assert_eq!(pool.try_acquire_owned("drum").map(|lease| *lease), Some(4));
    assert_eq!(pool.key_stats("drum").map(|stats| stats.idle), Some(1));
    assert!(pool.key_stats("bass").is_none());
    assert_eq!((pool.stats().hits, pool.stats().created), (2, 1));
}
