//! Eviction by cost across pools.

use super::{Block, Costly, LocalPool, evicted, pool};
use parking_lot::RawMutex;
use pool_core::{Account, KeyedPoolBuilder, LocalAccount, SharedPool};
use std::convert::Infallible;

// A decoded sample that goes for a gain node, because it is of another pool; or one that stays for ever.
#[test]
fn pools_that_weigh_cost_weigh_it_across_pools() {
    let account = Account::local("page", 300);
    let of = |cost: fn(usize) -> u32, window| {
        let builder = KeyedPoolBuilder::new(Costly(cost)).account(account.clone());
        builder.evict_cheapest_of(window).build_rc()
    };
    let (samples, gains, plain) = (of(|_| 1_000_000, 8), of(|_| 1, 8), of(|_| 1, 1));
    drop(samples.acquire(&100).unwrap());
    drop(gains.acquire(&101).unwrap());
    drop(plain.acquire(&99).unwrap());
    drop(gains.acquire(&100).unwrap()); // the sample is the oldest, and dear
    assert_eq!((samples.stats().evicted, gains.stats().evicted, plain.stats().evicted), (0, 1, 0));
    // Passed over often enough, it goes: a millionth is 20 halves.
    let mut misses = 0;
    while samples.stats().evicted == 0 {
        drop(gains.acquire(&(100 + misses % 2)).unwrap());
        misses += 1;
        assert!(misses < 60, "it stays for ever");
    }
    assert!(misses > 10, "{misses}");
}

/// A pool of one thread whose objects cost so much, which weighs the cost if `window` is more than 1.
fn weighing(account: &LocalAccount, cost: fn(usize) -> u32, window: usize) -> LocalPool {
    KeyedPoolBuilder::new(Costly(cost)).account(account.clone()).evict_cheapest_of(window).build_rc()
}

// Of objects that cost the same, a newer one that goes because its pool is looked at later.
#[test]
fn of_objects_of_one_worth_the_oldest_goes() {
    let account = Account::local("page", 200);
    let [old, new] = [(); 2].map(|()| weighing(&account, |_| 1, 8));
    let plain = weighing(&account, |_| 1, 1);
    drop(old.acquire(&100).unwrap());
    drop(new.acquire(&100).unwrap());
    drop(plain.acquire(&100).unwrap());
    assert_eq!(evicted([&old, &new, &plain]), [1, 0, 0]);
}

// Of several that are cheaper than the oldest, the one that its pool's place in a list decides on; or a dear one, for its age.
#[test]
fn of_the_cheap_ones_the_older_goes() {
    for dear_is_last in [false, true] {
        let account = Account::local("page", 300);
        // In the order in which they are made they are looked at.
        let new = weighing(&account, |_| 1, 8);
        let middle = weighing(&account, if dear_is_last { |_| 1 } else { |_| 1000 }, 8);
        let last = weighing(&account, if dear_is_last { |_| 1000 } else { |_| 1 }, 8);
        let plain = weighing(&account, |_| 1, 1);
        let (dear, old) = if dear_is_last { (&last, &middle) } else { (&middle, &last) };
        for pool in [dear, old, &new, &plain] {
            drop(pool.acquire(&100).unwrap());
        }
        assert_eq!(evicted([&new, dear, old, &plain]), [0, 0, 1, 0]);
    }
}

// An object of a pool that weighs nothing, which goes as if it cost nothing.
#[test]
fn who_weighs_nothing_is_not_cheap() {
    let account = Account::new("server", 200);
    let dear = KeyedPoolBuilder::new(Costly(|_| 1000))
        .account(account.clone())
        .evict_cheapest_of(8)
        .build_shared::<RawMutex>();
    let plain = SharedPool::builder(|_: &()| Ok::<_, Infallible>(Block(100)))
        .account(account.clone())
        .thread_caches(false)
        .build_arc();
    drop(dear.acquire(&100).unwrap());
    plain.prewarm(1).unwrap();
    drop(pool(&account).acquire(&100).unwrap());
    assert_eq!((dear.stats().evicted, plain.stats().evicted), (1, 0));
}

// An object that is thought less of although nothing cheaper went in its place.
#[test]
fn who_is_not_passed_over_keeps_its_worth() {
    let account = Account::local("page", 300);
    let (dear, cheap) = (weighing(&account, |_| 1000, 8), weighing(&account, |_| 750, 8));
    let plain = weighing(&account, |_| 1, 1);
    let both = [dear.acquire(&100).unwrap(), dear.acquire(&100).unwrap()];
    drop(both);
    let out = cheap.acquire(&100).unwrap();
    let first = plain.acquire(&100).unwrap();
    assert_eq!(evicted([&dear, &cheap]), [1, 0], "nothing else was idle");
    drop(out);
    let second = plain.acquire(&100).unwrap();
    assert_eq!(evicted([&dear, &cheap]), [1, 1], "three quarters are less than the whole");
    drop((first, second));
}
