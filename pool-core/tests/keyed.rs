//! What only keyed pools promise: one order across all keys, bounds per key, time, pressure, a budget for all.
//!
//! What they share with the other kinds is in `contract.rs`; whether all of it holds together in `model.rs`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use pool_core::{
    Account, AcquireError, Factory, KeepAll, KeyedPool, KeyedPoolBuilder, ManualClock, OverBudget, Pressure,
    Storage,
};
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Objects of as many bytes as their key says.
#[derive(Default)]
struct Sized {
    made: Cell<u32>,
    destroyed: Rc<RefCell<Vec<u32>>>,
    fail: Cell<bool>,
}

#[derive(Debug)]
struct Object {
    /// Their number, from 1 on.
    serial: u32,
    bytes: usize,
    destroyed: Rc<RefCell<Vec<u32>>>,
}

impl Drop for Object {
    fn drop(&mut self) {
        self.destroyed.borrow_mut().push(self.serial);
    }
}

#[derive(PartialEq, Eq, Debug)]
struct Refused;

impl Factory<usize> for Sized {
    type Object = Object;
    type Error = Refused;

    fn create(&self, &bytes: &usize) -> Result<Object, Refused> {
        if self.fail.get() {
            return Err(Refused);
        }
        self.made.set(self.made.get() + 1);
        Ok(Object { serial: self.made.get(), bytes, destroyed: Rc::clone(&self.destroyed) })
    }
    fn estimate(&self, &bytes: &usize) -> usize {
        bytes
    }
    fn measure(&self, object: &Object) -> usize {
        object.bytes
    }
}

type Builder = KeyedPoolBuilder<usize, Sized>;
type Pool<C = pool_core::NoClock, S = pool_core::Growing> = KeyedPool<usize, Sized, KeepAll, C, S>;

fn builder() -> Builder {
    KeyedPoolBuilder::new(Sized::default())
}

/// Makes an object of each key, leased together, and releases them in this order: the first is the oldest.
fn fill<C: pool_core::Clock, S: Storage>(pool: &Pool<C, S>, keys: &[usize]) {
    let leases: Vec<_> = keys.iter().map(|key| pool.acquire(key).unwrap()).collect();
    leases.into_iter().for_each(drop);
}

fn destroyed<C: pool_core::Clock, S: Storage>(pool: &Pool<C, S>) -> Vec<u32> {
    pool.factory().destroyed.take()
}

/// The keys of the idle objects, the one released longest ago first.
fn order<C: pool_core::Clock, S: Storage>(pool: &Pool<C, S>) -> Vec<usize> {
    let mut keys = Vec::new();
    pool.retain(|&key, _| (keys.push(key), true).1);
    keys
}

fn over_budget<T>(result: Result<T, AcquireError<Refused>>) -> OverBudget {
    match result {
        Err(AcquireError::OverBudget(refusal)) => refusal,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it fits"),
    }
}

// Order

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
    let pool = builder().clock(ManualClock::default()).idle_ttl(1).build();
    fill(&pool, &[5, 4, 3, 2, 1]);
    assert_eq!(order(&pool), [5, 4, 3, 2, 1]);
    drop(pool.acquire(&4).unwrap());
    assert_eq!(order(&pool), [5, 3, 2, 1, 4]);
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

// Bounds on objects

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

// A bound that a destructor can pass by taking another of the same key while the first is being admitted.
#[test]
fn the_share_of_a_key_holds_when_a_destructor_acquires() {
    struct Bomb(Rc<RefCell<Option<Box<dyn FnOnce()>>>>);
    impl Drop for Bomb {
        fn drop(&mut self) {
            let action = self.0.borrow_mut().take();
            if let Some(action) = action {
                action();
            }
        }
    }
    impl pool_core::Footprint for Bomb {}

    let action: Rc<RefCell<Option<Box<dyn FnOnce()>>>> = Rc::default();
    let fuse = Rc::clone(&action);
    let pool = KeyedPool::builder(move |_: &u8| Ok::<_, Infallible>(Bomb(Rc::clone(&fuse))))
        .max_objects(2)
        .max_per_key(1)
        .build();
    let pool = Rc::new(pool);
    let other = pool.acquire_owned(&1).unwrap();
    drop(pool.acquire(&2).unwrap());
    // To make room for an object of key 3, the idle one of key 2 goes; its destructor takes one of key 3 first.
    let taken = Rc::new(RefCell::new(None));
    let (inner, keep) = (Rc::downgrade(&pool), Rc::clone(&taken));
    *action.borrow_mut() = Some(Box::new(move || {
        *keep.borrow_mut() = inner.upgrade().unwrap().acquire_owned(&3).ok();
        other.discard();
    }));
    let second = pool.acquire(&3).map(|lease| lease.into_id());
    let leased = pool.key_stats(&3).unwrap().leased;
    assert_eq!(leased, 1, "more than its share of key 3: {second:?}");
    taken.borrow_mut().take();
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

// Budget

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

// Time

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

// Pressure

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

// Keys

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

// A pool that says it is closed when it is not, to who knows only the trait.
#[test]
fn a_pool_is_open_until_it_is_closed() {
    let pool = builder().build();
    assert!(!pool_core::Pool::is_closed(&pool));
    pool_core::Pool::close(&pool);
    assert!(pool_core::Pool::is_closed(&pool) && pool.is_closed());
}

// An object that stays out for ever, because who was told that it came back panicked before it was taken out of the pool.
#[test]
fn a_panic_of_who_hears_of_a_leak_that_came_back_loses_no_slot() {
    struct Touchy;
    impl pool_core::Observer<usize> for Touchy {
        fn returned(&self, _: &usize, _: &pool_core::Leak) {
            panic!("planned");
        }
    }
    let account = Account::new("all", 100);
    let clock = ManualClock::default();
    let pool = builder().clock(&clock).observer(Touchy).watch_leaks(1, 5).account(account.clone()).build();
    for end in 0..3 {
        let lease = pool.acquire(&10).unwrap();
        clock.advance(6);
        pool.maintain(usize::MAX);
        let ending = std::panic::AssertUnwindSafe(|| match end {
            0 => drop(lease),
            1 => lease.discard(),
            _ => drop(lease.detach()),
        });
        assert!(std::panic::catch_unwind(ending).is_err());
        let stats = pool.stats();
        assert_eq!((stats.leased, stats.created, account.used()), (0, stats.destroyed, 0), "{stats:?}");
    }
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

// Bytes that nobody needs any more and that are withheld from others for as long as a victim's destructor takes.
#[test]
fn what_a_victim_held_beyond_the_need_is_free_before_its_destructor_runs() {
    struct Tells(usize, Account, Rc<RefCell<Vec<usize>>>);
    impl Drop for Tells {
        fn drop(&mut self) {
            self.2.borrow_mut().push(self.1.used());
        }
    }
    struct Telling(Account, Rc<RefCell<Vec<usize>>>, usize);
    impl Factory<usize> for Telling {
        type Object = Tells;
        type Error = Infallible;
        fn create(&self, &bytes: &usize) -> Result<Tells, Infallible> {
            Ok(Tells(bytes, self.0.clone(), Rc::clone(&self.1)))
        }
        fn estimate(&self, &bytes: &usize) -> usize {
            bytes.min(self.2)
        }
        fn measure(&self, object: &Tells) -> usize {
            object.0
        }
    }
    // Known beforehand, and only once it is made.
    for estimate in [usize::MAX, 0] {
        let (account, heard) = (Account::new("a", 1000), Rc::default());
        let pool = KeyedPool::builder(Telling(account.clone(), Rc::clone(&heard), estimate))
            .account(account)
            .build();
        drop(pool.acquire(&1000).unwrap());
        let _small = pool.acquire(&10).unwrap();
        assert_eq!(*heard.borrow(), [10], "estimates up to {estimate}");
    }
}

// An object that is passed over because a destructor took the one before it.
#[test]
fn a_destructor_may_take_what_retain_has_not_seen_yet() {
    struct Takes(usize, std::rc::Weak<KeyedPool<usize, Taking>>, Rc<RefCell<Vec<usize>>>);
    struct Taking(std::rc::Weak<KeyedPool<usize, Taking>>, Rc<RefCell<Vec<usize>>>);
    impl Factory<usize> for Taking {
        type Object = Takes;
        type Error = Infallible;
        fn create(&self, &key: &usize) -> Result<Takes, Infallible> {
            Ok(Takes(key, self.0.clone(), Rc::clone(&self.1)))
        }
    }
    impl Drop for Takes {
        fn drop(&mut self) {
            // Used and released again: the newest now.
            if let Some(pool) = self.1.upgrade().filter(|_| self.0 == 1) {
                self.2
                    .borrow_mut()
                    .extend([2, 3].iter().filter_map(|key| pool.try_acquire(key)).map(|lease| lease.0));
            }
        }
    }
    let taken = Rc::default();
    let pool = Rc::new_cyclic(|pool| KeyedPool::new(Taking(pool.clone(), Rc::clone(&taken))));
    let leases: Vec<_> = (1..=5).map(|key| pool.acquire(&key).unwrap()).collect();
    leases.into_iter().for_each(drop);
    let mut seen = Vec::new();
    assert_eq!(pool.retain(|&key, _| (seen.push(key), key != 1).1), 1);
    // 2 is next, and nobody may have it; 3 may be had, and is then the newest.
    assert_eq!((seen, taken.take()), (vec![1, 2, 4, 5, 3], vec![3]));
    assert_eq!(pool.stats().idle, 4);
}

// One that was used or made a moment ago destroyed before those that were not, because it is where the next one was.
#[test]
fn what_a_destructor_uses_or_makes_is_the_newest_for_the_rest_of_a_trim() {
    type Used = KeyedPool<usize, Using>;
    struct Uses(usize, std::rc::Weak<Used>, Rc<RefCell<Vec<usize>>>);
    struct Using(std::rc::Weak<Used>, Rc<RefCell<Vec<usize>>>, fn(&Used));
    impl Factory<usize> for Using {
        type Object = Uses;
        type Error = Infallible;
        fn create(&self, &key: &usize) -> Result<Uses, Infallible> {
            Ok(Uses(key, self.0.clone(), Rc::clone(&self.1)))
        }
    }
    impl Drop for Uses {
        fn drop(&mut self) {
            self.2.borrow_mut().push(self.0);
            if let Some(pool) = self.1.upgrade().filter(|_| self.0 == 1) {
                (pool.factory().2)(&pool);
            }
        }
    }
    fn uses(pool: &Used) {
        drop(pool.try_acquire(&2));
    }
    fn makes(pool: &Used) {
        pool.retain(|&key, _| key != 2);
        pool.prewarm(&9, 1).unwrap();
    }
    for (during, expected) in [(uses as fn(&Used), vec![1, 3, 4, 5, 2]), (makes, vec![1, 2, 3, 4, 5, 9])] {
        let gone = Rc::default();
        let pool = Rc::new_cyclic(|pool| KeyedPool::new(Using(pool.clone(), Rc::clone(&gone), during)));
        let leases: Vec<_> = (1..=5).map(|key| pool.acquire(&key).unwrap()).collect();
        leases.into_iter().for_each(drop);
        assert_eq!((pool.trim(0), gone.take()), (5, expected));
    }
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

// Debug output that says nothing, or all that is in it.
#[test]
fn debug_is_a_line_of_numbers() {
    let pool = builder().build();
    fill(&pool, &[10, 20]);
    assert_eq!(format!("{pool:?}"), format!("KeyedPool({})", pool.stats()));
    assert!(format!("{pool:?}").contains("idle 2/2"), "{pool:?}");
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
