//! Bounds on bytes: what is evicted for them, and what is refused.

use super::{Builder, Refused, Sized, builder, destroyed, fill, order, over_budget};
use pool_core::{Account, AcquireError, Factory, KeyedPool, KeyedPoolBuilder, LocalPoolBuilder, Pressure};
use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;

// One more eviction than needed, or the wrong objects.
#[test]
fn the_fewest_are_evicted_and_those_released_longest_ago() {
    let account = Account::new("budget", 100);
    let pool = builder().account(account.clone()).build();
    fill(&pool, &[10, 20, 30, 40]);
    drop(pool.acquire(&25).unwrap());
    assert_eq!(destroyed(&pool), [1, 2], "10 and 20 make room for 25");
    drop(pool.acquire(&5).unwrap());
    assert_eq!(destroyed(&pool), [], "5 are free");
    drop(pool.acquire(&1).unwrap());
    assert_eq!(destroyed(&pool), [3], "30 for 1");
    assert_eq!((order(&pool), account.used(), account.peak()), (vec![40, 25, 5, 1], 71, 100));
}

// An object that is larger than its estimate, for which the first victim is not enough, charged for less than it has.
#[test]
fn as_many_go_as_an_object_needs_that_is_larger_than_estimated() {
    let account = Account::new("budget", 100);
    let pool = KeyedPool::builder(Sized::default()).estimate(|_| 1).account(account.clone()).build();
    let small: Vec<_> = (0..9).map(|_| pool.acquire(&10).unwrap()).collect();
    drop(small);
    let large = pool.acquire(&55).unwrap();
    assert_eq!((pool.stats().evicted, pool.stats().idle, account.used()), (5, 4, 95));
    drop(large);
    assert_eq!((pool.evict_to(0), account.used()), (95, 0));
}

// Idle objects that are thrown away for one that does not fit anyway.
#[test]
fn what_cannot_fit_fails_before_anything_is_evicted() {
    let account = Account::new("budget", 100);
    let pool = builder().account(account.clone()).build();
    let held = pool.acquire(&30).unwrap();
    fill(&pool, &[20, 40]);
    let refusal = over_budget(pool.acquire(&71).map(drop));
    assert_eq!(
        (refusal.requested, refusal.used, refusal.limit, refusal.free, refusal.evictable),
        (71, 90, 100, 10, Some(60))
    );
    assert_eq!((destroyed(&pool), pool.stats().idle, account.peak()), (vec![], 2, 90));
    assert!(refusal.to_string().contains("budget"), "{refusal}");
    drop(pool.acquire(&70).unwrap());
    assert_eq!(destroyed(&pool), [2, 3]);
    drop(held);
}

// The same when it turns out only after the create that it does not fit, and when the account above refuses.
#[test]
fn a_parents_limit_evicts_from_the_pool_that_asks() {
    let root = Account::new("root", 100);
    let [mine, yours] =
        ["mine", "yours"].map(|name| Account::builder(name).parent(&root).hard_limit(90).build());
    let (pool, other) = (builder().account(mine).build(), builder().account(yours).build());
    fill(&other, &[50]);
    fill(&pool, &[20, 20]);
    let refusal = over_budget(pool.acquire(&60).map(drop));
    assert_eq!((refusal.account.name(), refusal.free, refusal.evictable), ("root", 10, Some(40)));
    assert_eq!((pool.stats().idle, other.stats().idle), (2, 1));
    drop(pool.acquire(&30).unwrap());
    assert_eq!((destroyed(&pool), other.stats().idle, root.used()), (vec![1], 1, 100));
}

// A limit on objects and one on bytes that each evict for themselves.
#[test]
fn room_for_the_slot_is_room_for_the_bytes() {
    let pool = builder().account(Account::new("budget", 100)).max_objects(3).build();
    fill(&pool, &[40, 30, 30]);
    drop(pool.acquire(&35).unwrap());
    assert_eq!(destroyed(&pool), [1]);
    pool.factory().fail.set(true);
    assert_eq!(pool.acquire(&1).map(drop), Err(AcquireError::Create(Refused)));
    assert_eq!(pool.account().unwrap().used(), pool.stats().bytes());
}

// Objects that are thrown away to make room in vain, because a slot is short as well as bytes.
#[test]
fn what_cannot_fit_evicts_nothing_where_slots_are_short_too() {
    let pool = builder().account(Account::new("budget", 100)).max_objects(2).build();
    let held = pool.acquire(&70).unwrap();
    fill(&pool, &[20]);
    let refusal = over_budget(pool.acquire(&40).map(drop));
    assert_eq!((refusal.requested, refusal.used, refusal.free, refusal.evictable), (40, 90, 10, Some(20)));
    assert_eq!((destroyed(&pool), order(&pool)), (vec![], vec![20]));
    drop(held);
}

// Memory that is taken before it is claimed, so that others may take it, too; or claimed beside what the victim still holds,
// and so passed on to a peak, or refused, that need not be.
#[test]
fn the_bytes_of_an_object_are_claimed_when_the_factory_runs_and_no_more() {
    struct Looks(Account, Cell<usize>);
    impl Factory<usize> for Looks {
        type Object = usize;
        type Error = Infallible;
        fn create(&self, &bytes: &usize) -> Result<usize, Infallible> {
            self.1.set(self.0.used());
            Ok(bytes)
        }
        fn estimate(&self, &bytes: &usize) -> usize {
            bytes
        }
        fn measure(&self, &bytes: &usize) -> usize {
            bytes
        }
    }
    // Idle, beside 40 that are leased; most objects; what is asked for; bytes in use while it is made.
    let cases: [(&[usize], usize, usize, usize); 5] = [
        (&[], 9, 60, 100),
        (&[10], 9, 60, 100), // all of the victim's, and some that were free
        (&[10, 20], 9, 55, 95),
        (&[10], 2, 30, 70),     // free bytes enough, but no slot
        (&[10, 40], 3, 30, 70), // a slot and bytes
    ];
    for (idle, objects, wanted, used) in cases {
        let account = Account::new("budget", 100);
        let looks = Looks(account.clone(), Cell::default());
        let pool = KeyedPool::builder(looks).account(account.clone()).max_objects(objects).build();
        let held = pool.acquire(&40).unwrap();
        for key in idle {
            pool.prewarm(key, 1).unwrap();
        }
        let before = account.peak();
        let lease = pool.acquire(&wanted).unwrap();
        assert_eq!((pool.factory().1.get(), account.used()), (used, used), "{wanted} beside {idle:?}");
        assert_eq!(account.peak(), before.max(used), "{wanted} beside {idle:?}");
        drop((held, lease));
    }
}

// A closure's object that is there before its bytes are claimed; one that is made, or others evicted for it, though it cannot
// fit; an estimate that nobody asks, or that is taken for what the object holds; the factory's cost that is lost.
#[test]
fn what_is_there_stays_within_the_budget_if_a_closure_s_bytes_are_estimated() {
    /// An object of so many bytes; all of them that are there, now and at most.
    struct Heavy<'a>(usize, &'a [Cell<usize>; 2]);
    impl Drop for Heavy<'_> {
        fn drop(&mut self) {
            self.1[0].set(self.1[0].get() - self.0);
        }
    }
    impl pool_core::Footprint for Heavy<'_> {
        fn footprint(&self) -> usize {
            self.0
        }
    }
    let there = [Cell::new(0), Cell::new(0)];
    let account = Account::new("all", 1000);
    let pool = KeyedPool::builder(|&bytes: &usize| {
        there[0].set(there[0].get() + bytes);
        there[1].set(there[1].get().max(there[0].get()));
        Ok::<_, Infallible>(Heavy(bytes, &there))
    })
    // One of them holds less.
    .estimate(|&bytes| if bytes == 10 { 500 } else { bytes })
    .account(account.clone())
    .build();
    for bytes in [600, 700, 300, 999, 10, 400] {
        drop(pool.acquire(&bytes).unwrap());
        assert_eq!((account.used(), there[0].get()), (pool.stats().idle_bytes, pool.stats().idle_bytes));
    }
    let idle = pool.stats().idle;
    assert!(matches!(pool.acquire(&100_000).map(drop), Err(AcquireError::OverBudget(_))));
    assert_eq!((there[1].get(), pool.stats().idle), (1000, idle), "most that was there, and what stays");
    let estimated = KeyedPoolBuilder::new(Costly).estimate(|&key| key + 100).build();
    let factory = estimated.factory();
    assert_eq!((factory.estimate(&7), factory.cost(&7, &7), factory.measure(&7)), (107, 70, 700));
    assert_eq!((factory.factory().estimate(&7), factory.create(&7)), (size_of::<usize>(), Ok(7)));

    struct Costly;
    impl Factory<usize> for Costly {
        type Object = usize;
        type Error = Infallible;
        fn create(&self, &key: &usize) -> Result<usize, Infallible> {
            Ok(key)
        }
        fn measure(&self, object: &usize) -> usize {
            100 * object
        }
        fn cost(&self, &key: &usize, _: &usize) -> u32 {
            10 * key as u32
        }
    }
}

// User code that is asked what nobody wants to know.
#[test]
fn the_cost_is_asked_once_of_pools_that_choose_by_it_and_of_no_others() {
    struct Asked(Cell<u32>);
    impl Factory<u8> for &Asked {
        type Object = u8;
        type Error = Infallible;
        fn create(&self, &key: &u8) -> Result<u8, Infallible> {
            Ok(key)
        }
        fn cost(&self, _: &u8, _: &u8) -> u32 {
            self.0.set(self.0.get() + 1);
            1
        }
    }
    for (window, expected) in [(1, 0), (2, 2)] {
        let asked = Asked(Cell::new(0));
        let pool = KeyedPool::builder(&asked).evict_cheapest_of(window).max_objects(1).build();
        for key in [1, 2, 2] {
            drop(pool.acquire(&key).unwrap());
        }
        assert_eq!(asked.0.get(), expected, "window {window}");
    }
}

// A pool without keys that is refused what others under its account have idle; or that takes more of it than it needs.
#[cfg(feature = "alloc")]
#[test]
fn a_pool_without_keys_takes_what_others_have_idle() {
    let account = Account::local("page", 100);
    let others = KeyedPoolBuilder::new(|&bytes: &usize| Ok::<_, Infallible>(vec![0_u8; bytes]))
        .estimate(|&bytes| bytes)
        .account(account.clone())
        .build_rc();
    let held = |bytes: usize| size_of::<Vec<u8>>() + bytes;
    drop([1, 2].map(|bytes| others.acquire(&bytes).unwrap()));
    let mine =
        LocalPoolBuilder::new(|_: &()| Ok::<_, Infallible>([0_u8; 40])).account(account.clone()).build();
    let one = mine.acquire().unwrap();
    assert_eq!((account.used(), others.stats().idle), (40 + held(1) + held(2), 2));
    let two = mine.acquire().unwrap();
    assert_eq!((account.used(), others.stats().idle), (80, 0), "each of the two was needed");
    let Err(AcquireError::OverBudget(refusal)) = mine.acquire() else { panic!("a limit was passed") };
    assert_eq!((refusal.requested, refusal.free, refusal.evictable), (40, 20, Some(0)));
    drop((one, two));
}

// A target of bytes that is missed, or passed by one object too many.
#[test]
fn evict_to_frees_what_it_says() {
    let pool = builder().account(Account::new("budget", 1000)).build();
    let held = pool.acquire(&100).unwrap();
    fill(&pool, &[10, 20, 30]);
    assert_eq!(pool.evict_to(160), 0);
    assert_eq!(pool.evict_to(131), 30);
    assert_eq!(order(&pool), [30]);
    assert_eq!(pool.evict_to(0), 30);
    assert_eq!((pool.evict_to(0), pool.stats().bytes()), (0, 100));
    drop(held);
}

// Bytes beside the pool that it does not make room for, or a limit that is lowered in vain.
#[test]
fn lowering_the_limit_is_felt_at_the_next_maintenance_and_acquire() {
    let account = Account::new("budget", 100);
    let pool = builder().account(account.clone()).build();
    let held = pool.acquire(&30).unwrap();
    fill(&pool, &[20, 40]);
    assert_eq!(account.set_hard_limit(50), 40);
    assert_eq!(account.pressure(), Pressure::Critical);
    let refusal = over_budget(pool.acquire(&21).map(drop));
    assert_eq!((refusal.free, refusal.evictable), (0, Some(60)));
    drop(pool.acquire(&20).unwrap()); // a hit needs no bytes
    pool.maintain(usize::MAX);
    assert_eq!((pool.stats().idle, account.used(), account.overcommitted()), (0, 30, 0));

    let decoded = account.charge_external(60).unwrap();
    assert_eq!(account.overcommitted(), 40);
    over_budget(pool.acquire(&1).map(drop));
    drop(decoded);
    drop(pool.acquire(&20).unwrap());
    drop(held);
}

// A pool that is on no list, so that its account does not reach what it has idle; one that gives up more than it has to.
#[test]
fn lowering_the_limit_by_the_pool_evicts_no_more_than_needed() {
    let pool = builder().account(Account::new("budget", 100)).build();
    let held = pool.acquire(&30).unwrap();
    fill(&pool, &[20, 40]);
    assert_eq!((pool.set_hard_limit(75), destroyed(&pool)), (Some(0), vec![2]));
    assert_eq!((pool.set_hard_limit(70), destroyed(&pool)), (Some(0), vec![]));
    assert_eq!((pool.set_hard_limit(20), destroyed(&pool)), (Some(10), vec![3]));
    drop(held);
    assert_eq!(builder().build().set_hard_limit(1), None);
}

// A refusal that tells what was missing, as if it had been asked for.
#[test]
fn a_refusal_tells_the_bytes_of_the_whole_object() {
    let account = Account::new("a", 1000);
    let pool = builder().account(account.clone()).build();
    let held = pool.acquire(&700).unwrap();
    drop(pool.acquire(&200).unwrap());
    let Err(AcquireError::OverBudget(refusal)) = pool.acquire(&600).map(drop) else {
        panic!("it does not fit")
    };
    assert_eq!(
        (refusal.requested, refusal.used, refusal.free, refusal.evictable),
        (600, 900, 100, Some(200))
    );
    drop(held);
}

// Bytes that count as looked at when they no longer are, or as free to go while they are.
#[test]
fn what_could_be_evicted_is_what_is_idle_and_not_looked_at() {
    let pool = builder().account(Account::new("a", 100)).build();
    let held = pool.acquire(&50).unwrap();
    let evictable = || over_budget(pool.acquire(&99).map(drop)).evictable.unwrap();
    fill(&pool, &[10, 20, 5]);
    assert_eq!((evictable(), pool.trim(2), evictable()), (35, 1, 25));
    let mut seen = Vec::new();
    pool.retain(|&key, _| (seen.push((key, evictable())), key != 20).1);
    assert_eq!((seen, evictable()), (vec![(20, 5), (5, 0)], 5));
    drop(held);
}

// A victim's bytes that are taken for room although an account above is over its limit even without them; or an acquire that
// evicts more than it needs where it is not.
#[test]
fn a_victim_s_bytes_are_room_only_if_no_account_above_is_over_its_limit() {
    let top = Account::new("top", 100);
    let part = Account::builder("part").parent(&top).build();
    let pool = Builder::new(Sized::default()).account(part).build();
    for key in [50, 49] {
        drop(pool.acquire(&key).unwrap());
    }
    drop(pool.acquire(&48).unwrap());
    assert_eq!((pool.stats().evicted, top.used()), (1, 97));
    assert_eq!(top.set_hard_limit(48), 49);
    drop(pool.acquire(&47).unwrap());
    assert_eq!((pool.stats().evicted, top.used()), (3, 47));
}

// An event that only accounts without others above them raise.
#[test]
fn an_object_that_crosses_a_soft_limit_is_told_below_other_accounts_too() {
    let heard = Rc::new(Cell::new(0));
    let told = Rc::clone(&heard);
    let top = Account::local("top", 1000);
    let part = Account::local_builder("part").parent(&top).soft_limit(60);
    let part = part.on_event(move |_| told.set(told.get() + 1)).build();
    let pool = Builder::new(Sized::default()).account(part).build();
    let first = pool.acquire(&50).unwrap();
    assert_eq!(heard.get(), 0);
    let second = pool.acquire(&50).unwrap();
    assert_eq!(heard.get(), 1);
    drop((first, second));
}

// What a victim has beyond the need, counted twice or not at all where the limit was lowered meanwhile.
#[test]
fn what_a_victim_has_too_much_counts_as_given_back() {
    for (limit, evicted) in [(75, 1), (69, 2)] {
        let account = Account::new("a", 100);
        let pool = Builder::new(Sized::default()).account(account.clone()).build();
        for key in [60, 40] {
            drop(pool.acquire(&key).unwrap());
        }
        account.set_hard_limit(limit);
        drop(pool.acquire(&30).unwrap());
        assert_eq!(pool.stats().evicted, evicted, "the limit is {limit}");
        assert!(account.used() <= limit);
    }
}
