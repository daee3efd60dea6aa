//! Eviction by cost.

use super::{Blocks, idle};
use pool_core::{Account, Factory, KeyedPool};

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

// Bytes as they were when it was made; two digits of what is asked; what it was passed over for before it was used again.
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

    // Passed over for 200 it is worth half, and when it was used again all of it.
    for (used_again, goes) in [(false, 300), (true, 201)] {
        let pool = build();
        for key in [300, 200, 201] {
            drop(pool.acquire(&key).unwrap());
        }
        assert!(pool.key_stats(&200).is_none() && pool.stats().idle == 2);
        if used_again {
            drop(pool.try_acquire(&300).unwrap());
        }
        drop(pool.acquire(&1).unwrap());
        assert!(pool.key_stats(&goes).is_none(), "{goes} goes");
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
