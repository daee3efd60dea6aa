//! Bounds on objects: in all, by key, and on what may wait.

use super::{Sized, builder, destroyed, fill, order};
use pool_core::{Account, AcquireError, KeyedPool, Lease, ManualClock};
use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;

// One key that takes the place of all, or a bound that counts other keys' objects.
#[test]
fn a_key_has_at_most_its_share() {
    let pool = builder().max_per_key(2).build();
    let leases = [pool.acquire(&1).unwrap(), pool.acquire(&1).unwrap()];
    assert_eq!(pool.acquire(&1).map(drop), Err(AcquireError::KeyExhausted { leased: 2, max_per_key: 2 }));
    drop(pool.acquire(&2).unwrap());
    let [one, two] = leases;
    drop(one.detach());
    two.discard();
    drop([pool.acquire(&1).unwrap(), pool.acquire(&1).unwrap()]);
    let none = builder().max_per_key(0).build();
    assert_eq!(none.acquire(&1).map(drop), Err(AcquireError::KeyExhausted { leased: 0, max_per_key: 0 }));
}

// An error that calls idle objects leased.
#[test]
fn prewarm_reports_what_is_out_not_what_is_idle() {
    let pool = builder().max_per_key(2).build();
    assert_eq!(pool.prewarm(&1, 3), Err(AcquireError::KeyExhausted { leased: 0, max_per_key: 2 }));
    let lease = pool.acquire(&1).unwrap();
    assert_eq!(pool.prewarm(&1, 3), Err(AcquireError::KeyExhausted { leased: 1, max_per_key: 2 }));
    drop(lease);
    assert_eq!(pool.key_stats(&1).unwrap().idle, 2);
    let full = builder().max_objects(2).build();
    assert_eq!(full.prewarm(&1, 3), Err(AcquireError::Exhausted { leased: 0, max_objects: 2 }));
}

// A pool without room that says only that nothing is out, and one whose objects are all out that speaks of idle ones.
#[test]
fn an_error_of_a_full_pool_says_where_its_objects_are() {
    let pool = KeyedPool::builder(|&key: &usize| Ok::<_, Infallible>(key)).max_objects(2).build();
    let said = |error: Option<AcquireError<Infallible>>| error.unwrap().to_string();
    assert_eq!(
        said(pool.prewarm(&1, 3).err()),
        "0 objects are out, of at most 2; the others are idle and could not make room"
    );
    let single = KeyedPool::builder(|&key: &usize| Ok::<_, Infallible>(key)).max_objects(1).build();
    drop(single.acquire(&1).unwrap());
    single.retain(|_, _| {
        let text = said(single.acquire(&2).map(drop).err());
        assert_eq!(text, "0 objects are out, of at most 1; the others are idle and could not make room");
        true
    });
    let out = (pool.acquire(&1).unwrap(), pool.acquire(&2).unwrap());
    assert_eq!(said(pool.acquire(&3).map(drop).err()), "2 objects are out, of at most 2");
    drop(out);
    let share = KeyedPool::builder(|&key: &usize| Ok::<_, Infallible>(key)).max_per_key(1).build();
    assert_eq!(
        said(share.prewarm(&1, 2).err()),
        "0 objects of this key are out, of at most 1; the others are idle and could not make room"
    );
}

// A bound that evicts the newest, or another key's.
#[test]
fn a_release_beyond_max_idle_per_key_evicts_the_oldest_of_the_key() {
    let pool = builder().max_idle_per_key(2).build();
    fill(&pool, &[9, 1, 1, 1, 1]);
    assert_eq!((destroyed(&pool), order(&pool)), (vec![2, 3], vec![9, 1, 1]));
    assert_eq!(pool.stats().evicted, 2);
    let none = builder().max_idle_per_key(0).build();
    fill(&none, &[1, 2]);
    assert_eq!((none.stats().idle, none.stats().destroyed), (0, 2));
}

// A bound on growth alone, so that an object that is too large from the first stays for ever.
#[test]
fn an_object_that_is_too_large_to_retain_is_discarded_even_if_it_did_not_grow() {
    let pool = builder().max_retained_bytes(100).build();
    fill(&pool, &[100, 101]);
    assert_eq!((order(&pool), pool.stats().discarded), (vec![100], 1));
}

// A bound that only releases respect.
#[test]
fn prewarm_stays_within_max_idle_per_key() {
    let pool = builder().max_idle_per_key(3).build();
    let _ = pool.prewarm(&1, 10);
    assert_eq!(pool.stats().idle, 3);
}

// A trim that takes what a key is to keep, or stops at the first key that has no more to give.
#[test]
fn trim_leaves_each_key_its_min_idle() {
    let pool = builder().min_idle(1).build();
    fill(&pool, &[1, 1, 1, 2, 3, 3]);
    assert_eq!(pool.trim(4), 2);
    assert_eq!(order(&pool), [1, 2, 3, 3]);
    assert_eq!(pool.trim(0), 1);
    assert_eq!(order(&pool), [1, 2, 3]);
    assert_eq!(pool.evict_to(3), 3, "not asked by evict_to");
    assert_eq!(order(&pool), [3]);
}

// More idle objects of a key than may be, because a factory released one meanwhile; expired ones that count as there.
#[test]
fn prewarm_keeps_to_the_bounds_and_counts_what_can_be_used() {
    type Make = Box<dyn Fn(&usize) -> Result<u8, Infallible>>;
    let pool: Rc<KeyedPool<usize, Make>> = Rc::new_cyclic(|pool: &std::rc::Weak<KeyedPool<usize, Make>>| {
        let (pool, again) = (pool.clone(), Cell::new(true));
        let make: Make = Box::new(move |_| {
            if let Some(pool) = pool.upgrade().filter(|_| again.replace(false)) {
                drop(pool.acquire(&1)); // one that is idle before this one is made
            }
            Ok(0)
        });
        KeyedPool::builder(make).max_idle_per_key(1).build()
    });
    assert_eq!(pool.prewarm(&1, 1).unwrap(), 1);
    assert_eq!((pool.stats().created, pool.stats().idle), (2, 1));

    let clock = ManualClock::default();
    let pool = builder().clock(&clock).idle_ttl(10).build();
    assert_eq!(pool.prewarm(&5, 2).unwrap(), 2);
    clock.advance(11);
    assert_eq!((pool.prewarm(&5, 2).unwrap(), pool.stats().expired), (2, 2));
    assert!(pool.try_acquire(&5).is_some());

    // Those that are too old may have been released after others that are not.
    let clock = ManualClock::default();
    let pool = builder().clock(&clock).max_lifetime(3).build();
    let old: Vec<_> = (0..3).map(|_| pool.acquire(&5).unwrap()).collect();
    clock.advance(3);
    let young: Vec<_> = (0..2).map(|_| pool.acquire(&5).unwrap()).collect();
    for (old, young) in old.into_iter().zip(young.into_iter().map(Some).chain([None])) {
        drop((young, old));
    }
    clock.advance(1);
    assert_eq!((pool.prewarm(&5, 3).unwrap(), pool.stats().expired, pool.stats().idle), (1, 3, 3));
    assert_eq!(destroyed(&pool), [1, 2, 3]);
    assert!((0..3).all(|_| pool.try_acquire(&5).map(Lease::into_id).is_some()));
}

// A peak that is looked for too seldom: not after an eviction, a discard or a prewarm has changed how many there are.
#[test]
fn peaks_are_those_of_who_looks_after_each_step() {
    for limit in [usize::MAX, 700] {
        let pool = KeyedPool::builder(Sized::default()).account(Account::new("all", limit)).build();
        let (mut out, mut leased, mut bytes) = (Vec::new(), 0, 0);
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..2000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let key = 10 + (state >> 32) as usize % 5 * 30;
            match state % 16 {
                0..7 => out.extend(pool.acquire(&key).ok()),
                7..12 if !out.is_empty() => drop(out.swap_remove((state >> 40) as usize % out.len())),
                12 => _ = out.pop().map(|lease| lease.discard()),
                13 => _ = out.pop().map(|lease| lease.detach()),
                14 => _ = pool.prewarm(&key, 2),
                15 => _ = pool.trim(3),
                _ => {}
            }
            let stats = pool.stats();
            (leased, bytes) = (stats.leased.max(leased), stats.bytes().max(bytes));
            assert_eq!((stats.leased, stats.peak_leased), (out.len(), leased));
            // Within a step that evicts it may have been more for a moment, but never more than the account allows.
            assert!(stats.peak_bytes >= bytes && stats.peak_bytes <= limit, "{stats:?}");
        }
        assert!(leased > 10, "nothing was tested");
    }
}
