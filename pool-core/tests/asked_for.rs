//! What a page leaves out unless the program asks for it (`src/wanted.rs`): each method that asks must say so.
//!
//! One test, in a program of its own, since who asks anywhere has asked for all: each feature is used for the first time
//! here. Built with debug assertions, as tests are, the flags are real on every target.
#![cfg(feature = "std")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use pool_core::{
    Account, AcquireError, Factory, KeyedPool, KeyedPoolBuilder, LocalAccount, ManualClock, Tick,
};
use std::convert::Infallible;

/// Blocks of as many bytes as their key says.
struct Blocks;

impl Factory<usize> for Blocks {
    type Object = Vec<u8>;
    type Error = Infallible;

    fn create(&self, &bytes: &usize) -> Result<Vec<u8>, Infallible> {
        Ok(vec![0; bytes])
    }
    fn estimate(&self, &bytes: &usize) -> usize {
        bytes
    }
    fn measure(&self, block: &Vec<u8>) -> usize {
        block.len()
    }
}

fn builder() -> KeyedPoolBuilder<usize, Blocks> {
    KeyedPool::builder(Blocks)
}

// A feature that is there in every other program, and missing on a page whose only use of it this is.
#[test]
fn what_is_asked_for_is_there() {
    let clock = ManualClock::default();
    let idle = |pool: &KeyedPool<usize, _, _, &ManualClock>| pool.stats().idle;

    // Before anything is asked for.
    let plain = builder().account(Account::new("plain", 100)).build();
    drop((plain.acquire(&60).unwrap(), plain.acquire(&30).unwrap()));
    drop(plain.acquire(&50).unwrap());
    assert_eq!((plain.stats().idle, plain.stats().evicted, plain.trim(0)), (2, 1, 2));

    // A bound that is there without anybody's asking.
    let fixed = builder().build_fixed::<1>();
    drop(fixed.acquire(&1).unwrap());
    drop(fixed.acquire(&2).unwrap());
    assert_eq!((fixed.stats().evicted, fixed.stats().idle), (1, 1));

    let aging = builder().clock(&clock).max_lifetime(10).build();
    drop(aging.acquire(&1).unwrap());
    clock.advance(11);
    drop(aging.acquire(&1).unwrap());
    assert_eq!(aging.stats().expired, 1);

    let resting = builder().clock(&clock).soft_idle_ttl(10).build();
    drop(resting.acquire(&1).unwrap());
    clock.advance(11);
    assert_eq!((resting.maintain(usize::MAX), idle(&resting)), (1, 0));

    let later = builder().clock(&clock).build();
    later.acquire(&1).unwrap().release_at(Tick(30));
    assert_eq!((later.stats().quarantined, later.maintain(usize::MAX)), (1, 0));
    clock.advance(30);
    later.maintain(usize::MAX);
    assert_eq!((later.stats().quarantined, idle(&later)), (0, 1));

    let keeping = builder().min_idle(1).build();
    drop((keeping.acquire(&1).unwrap(), keeping.acquire(&1).unwrap()));
    assert_eq!(keeping.trim(0), 1);

    let small = builder().max_retained_bytes(10).build();
    drop((small.acquire(&10).unwrap(), small.acquire(&11).unwrap()));
    assert_eq!((small.stats().idle, small.stats().discarded), (1, 1));

    // Of two that cost the same, the larger.
    let weighing = builder().account(Account::new("weighing", 100)).evict_cheapest_of(2).build();
    drop((weighing.acquire(&20).unwrap(), weighing.acquire(&70).unwrap()));
    drop(weighing.acquire(&30).unwrap());
    assert_eq!((weighing.try_acquire(&20).is_some(), weighing.try_acquire(&70).is_some()), (true, false));

    let looked_at = builder().build();
    drop(looked_at.acquire(&1).unwrap());
    assert_eq!(looked_at.retain(|_, _| looked_at.try_acquire(&1).is_some()), 1);

    let fixed = builder().build_fixed::<1>();
    let held = fixed.acquire(&1).unwrap();
    assert!(matches!(fixed.acquire(&2), Err(AcquireError::Exhausted { leased: 1, max_objects: 1 })));
    drop(held);
    drop(fixed.acquire(&2).unwrap());
    assert_eq!(fixed.stats().evicted, 1);

    let bounded = builder().max_objects(1).build();
    let held = bounded.acquire(&1).unwrap();
    assert!(matches!(bounded.acquire(&2), Err(AcquireError::Exhausted { leased: 1, max_objects: 1 })));
    drop(held);

    let account = LocalAccount::local_builder("giving").hard_limit(100).build();
    let giving = builder().account(account.clone()).build_rc();
    let taking = builder().account(account).build_rc();
    drop(giving.acquire(&80).unwrap());
    drop(taking.acquire(&80).unwrap());
    assert_eq!((giving.stats().evicted, taking.stats().idle), (1, 1));

    let lender = Account::new("lender", 1000);
    let credit = lender.credit(100);
    let lent = credit.try_reserve(1).unwrap();
    assert_eq!(lender.used(), 1, "what is lent and not used is not in use");
    assert!(lender.try_reserve(999).is_ok(), "it is recalled");
    drop(lent);

    // Deep enough to overflow the stack if each ended inside the one below.
    let root = Account::new("root", 100);
    let mut leaf = root.clone();
    for _ in 0..100_000 {
        leaf = Account::builder("level").parent(&leaf).build();
    }
    let claim = leaf.try_reserve(60).unwrap();
    assert_eq!((root.used(), leaf.try_reserve(50).unwrap_err().free), (60, 40));
    drop((claim, leaf));
    assert_eq!(root.used(), 0);
}
