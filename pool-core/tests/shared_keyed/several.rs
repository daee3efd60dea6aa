//! Several pools under one account.

use super::{Block, Blocks, Costly, idle_keys, pool};
use parking_lot::RawMutex;
use pool_core::{
    Account, AcquireError, Factory, KeyedPool, KeyedPoolBuilder, LocalPoolBuilder, ManualClock,
    SharedPoolBuilder, Tick,
};
use std::convert::Infallible;
use std::sync::Arc;

// An order of eviction within each pool only; the pool that asks emptied although another's objects are older.
#[test]
fn a_miss_evicts_the_least_recently_used_idle_object_of_any_pool() {
    let account = Account::new("server", 100);
    let (a, b) = (pool(&account), pool(&account));
    for (pool, key) in [(&a, 10), (&b, 20), (&a, 30), (&b, 40)] {
        drop(pool.acquire(&key).unwrap());
    }
    let held = b.acquire(&5).unwrap(); // 105: `a`'s 10 is the oldest
    assert_eq!((idle_keys(&a), idle_keys(&b)), (vec![30], vec![20, 40]));
    drop(a.acquire(&30).unwrap()); // used again: younger than `b`'s
    let more = a.acquire(&50).unwrap(); // short by 45: 20 and 40 of `b`
    assert_eq!((idle_keys(&a), idle_keys(&b)), (vec![30], vec![]));
    assert_eq!((a.stats().evicted, b.stats().evicted, account.used()), (1, 2, 85));
    drop((held, more));
}

// A pool that is given nothing because it gives nothing, or whose own idle objects are left out where it takes, or go last.
#[test]
fn a_pool_on_no_list_takes_from_others_and_from_itself() {
    let account = Account::new("server", 100);
    let taker = KeyedPoolBuilder::new(Blocks).account(account.clone()).build_locked::<RawMutex>();
    let a = pool(&account);
    drop(a.acquire(&60).unwrap());
    drop(taker.acquire(&50).unwrap());
    assert_eq!((a.stats().evicted, account.used()), (1, 50));
    let b = pool(&account);
    drop(b.acquire(&20).unwrap());
    drop(taker.acquire(&81).unwrap());
    assert_eq!((taker.stats().evicted, b.stats().evicted, account.used()), (1, 1, 81));
    // What it has itself goes first, though the other's is older.
    drop(taker.acquire(&10).unwrap());
    drop(b.acquire(&9).unwrap());
    drop(taker.acquire(&20).unwrap());
    assert_eq!((taker.stats().evicted, b.stats().evicted, account.used()), (2, 1, 39));
}

// An object that turns out larger than was thought, and for which only its own pool makes room; or one that is prewarmed, for
// which others have to.
#[test]
fn what_grows_while_it_is_made_takes_from_others_unless_it_is_prewarmed() {
    struct Misjudged;
    impl Factory<usize> for Misjudged {
        type Object = Block;
        type Error = Infallible;
        fn create(&self, bytes: &usize) -> Result<Block, Infallible> {
            Blocks.create(bytes)
        }
        fn estimate(&self, _: &usize) -> usize {
            1
        }
        fn measure(&self, block: &Block) -> usize {
            block.0
        }
    }
    let account = Account::new("server", 100);
    let other = pool(&account);
    let pool = KeyedPoolBuilder::new(Misjudged).account(account.clone()).build_shared::<RawMutex>();
    drop(other.acquire(&60).unwrap());
    assert!(matches!(pool.prewarm(&50, 1), Err(AcquireError::OverBudget(_))));
    assert_eq!((other.stats().evicted, account.used()), (0, 60));
    drop(pool.acquire(&50).unwrap());
    assert_eq!((other.stats().evicted, account.used()), (1, 50));
}

// What is made in place of what was made before it, and is reported as well.
#[test]
fn what_is_prewarmed_takes_from_nobody_not_even_from_itself() {
    let account = Account::new("server", 100);
    let pool = pool(&account);
    let class = pool.class(&30);
    let shared =
        SharedPoolBuilder::new(|_: &()| Ok::<_, Infallible>(Block(30))).account(account.clone()).build_arc();
    let local =
        LocalPoolBuilder::new(|_: &()| Ok::<_, Infallible>(Block(30))).account(account.clone()).build();
    drop(pool.acquire(&20).unwrap());
    for prewarm in [&|| class.prewarm(3), &|| shared.prewarm(3), &|| local.prewarm(3)]
        as [&dyn Fn() -> Result<usize, AcquireError<Infallible>>; 3]
    {
        assert!(matches!(prewarm(), Err(AcquireError::OverBudget(_))));
        assert_eq!((idle_keys(&pool), account.used()), (vec![20], 80));
        assert_eq!(class.trim(0) + shared.trim(0) + local.trim(0), 2);
    }
}

// Many cheap objects thrown away for one that does not fit even then.
#[test]
fn a_pool_of_small_objects_is_not_emptied_for_a_large_one_that_cannot_fit() {
    let account = Account::new("server", 100);
    let (small, large) = (pool(&account), pool(&account));
    let leases: Vec<_> = (0..10).map(|_| small.acquire(&4).unwrap()).collect();
    drop(leases);
    let _held = large.acquire(&50).unwrap();
    match large.acquire(&51).map(drop) {
        Err(AcquireError::OverBudget(refusal)) => {
            assert_eq!((refusal.requested, refusal.free, refusal.evictable), (51, 10, Some(40)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(small.stats().idle, 10);
    drop(large.acquire(&50).unwrap());
    assert_eq!(small.stats().idle, 0);
}

// A limit lowered that leaves what is idle in place.
#[test]
fn lowering_the_hard_limit_evicts_idle_objects_of_all_pools() {
    let account = Account::new("server", 100);
    let (a, b) = (pool(&account), pool(&account));
    for (pool, key) in [(&a, 10), (&b, 20), (&a, 30)] {
        drop(pool.acquire(&key).unwrap());
    }
    assert_eq!(account.set_hard_limit(35), 0);
    assert_eq!((account.used(), idle_keys(&a), idle_keys(&b)), (30, vec![30], vec![]));
}

// A shared pool on no list, or one that is never found used.
#[test]
fn shared_pools_give_and_take() {
    let account = Account::new("server", 100);
    let make = |_: &()| Ok::<_, Infallible>(Block(25));
    let shared = SharedPoolBuilder::new(make).account(account.clone()).build_arc();
    let keyed = pool(&account);
    shared.prewarm(2).unwrap();
    drop(keyed.acquire(&50).unwrap());
    drop(keyed.acquire(&30).unwrap());
    assert_eq!((shared.stats().idle, account.used()), (0, 80), "two of 25 made room for 30");
    let leases = [shared.acquire().unwrap(), shared.acquire().unwrap()];
    assert_eq!((idle_keys(&keyed), account.used()), (vec![30], 80));
    drop(leases);
}

// A release that takes no place among those of other pools, because it is not the plain one: of a pool with a clock, of an object
// that has grown, or that was due later; and what is prewarmed.
#[test]
fn every_way_of_release_has_its_place_in_the_order_between_shared_pools() {
    for way in 0..4 {
        for last in [false, true] {
            let account = Account::new("server", 100);
            let (other, third, clock) = (pool(&account), pool(&account), Arc::new(ManualClock::default()));
            let builder = KeyedPoolBuilder::new(Blocks).account(account.clone()).clock(Arc::clone(&clock));
            let odd = if way == 0 { builder.idle_ttl(1000) } else { builder }.build_shared::<RawMutex>();
            // Releases are told apart by misses.
            let miss = || assert!(third.acquire(&101).is_err());
            let first = (!last).then(|| other.acquire(&40).unwrap());
            let lease = (way < 3).then(|| odd.acquire(&40).unwrap());
            if last {
                drop(other.acquire(&40).unwrap());
            }
            miss();
            match (way, lease) {
                (0, Some(lease)) => drop(lease),
                (1, Some(mut lease)) => lease.0 = 41,
                (2, Some(lease)) => {
                    lease.release_at(Tick(5));
                    clock.set(Tick(5));
                    odd.maintain(9);
                }
                _ => assert_eq!(odd.prewarm(&40, 1), Ok(1)),
            }
            miss();
            drop(first);
            miss();
            drop(third.acquire(&50).unwrap());
            let evicted = (odd.stats().evicted, other.stats().evicted);
            assert_eq!(evicted, if last { (0, 1) } else { (1, 0) }, "way {way}, released last: {last}");
        }
    }
}

// Bytes that are counted only as far as somebody thought was enough.
#[test]
fn a_refusal_tells_of_all_that_could_be_evicted() {
    let account = Account::new("server", 1000);
    let pool = pool(&account);
    let (one, two) = (pool.class(&10), pool.class(&20));
    one.prewarm(20).unwrap();
    two.prewarm(30).unwrap();
    let lease = one.acquire().unwrap();
    drop(pool.acquire(&190).unwrap());
    match pool.acquire(&991).map(drop) {
        Err(AcquireError::OverBudget(refusal)) => {
            assert_eq!((refusal.free, refusal.evictable), (10, Some(980)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((one.stats().idle, two.stats().idle, idle_keys(&pool)), (19, 30, vec![190]));
    drop(pool.acquire(&990).unwrap());
    assert_eq!((account.used(), account.peak()), (1000, 1000));
    drop(lease);
}

// The order across local pools known only as far as misses tell it, or that in which the objects were made.
#[test]
fn local_pools_under_a_local_account_give_back_in_the_exact_order_of_release() {
    for (releases, left) in [([(1, 25), (0, 30), (0, 20)], 86), ([(0, 30), (0, 20), (1, 25)], 91)] {
        let account = Account::local("page", 100);
        let pool = || KeyedPool::builder(Blocks).account(account.clone()).build_rc();
        let pools = [pool(), pool()];
        for (pool, key) in [(0, 20), (1, 25), (0, 30)] {
            pools[pool].prewarm(&key, 1).unwrap();
        }
        for (pool, key) in releases {
            drop(pools[pool].acquire(&key).unwrap()); // hits: no miss tells them apart
        }
        let idle = || releases.map(|(pool, key)| pools[pool].key_stats(&key).is_some());
        let held = pools[0].acquire(&26).unwrap();
        assert_eq!(idle(), [false, true, true]);
        let more = pools[1].acquire(&40).unwrap();
        assert_eq!((idle(), account.used()), ([false, false, true], left));
        drop((held, more));
        drop(pools);
        assert_eq!(account.used(), 0);
    }
}

// A pool that was dropped and is still asked, or keeps its account's list from ending.
#[test]
fn a_dropped_pool_gives_nothing_more() {
    let account = Account::new("server", 100);
    let (a, b) = (pool(&account), pool(&account));
    drop(a.acquire(&60).unwrap());
    drop(a);
    assert_eq!(account.used(), 0);
    drop(b.acquire(&100).unwrap());
    assert_eq!(account.used(), 100);
}

/// Catches: a full pool that takes an object of another for the bytes, and then one of its own for the slot, which alone
/// would have done; and, where its own does not do, one that takes nothing else, or for what cannot fit.
#[test]
fn a_full_pool_gives_its_own_first() {
    let root = Account::new("root", 100);
    let full = KeyedPoolBuilder::new(Blocks).account(root.clone()).max_objects(1).build_shared::<RawMutex>();
    let other = pool(&root);
    drop(other.acquire(&20).unwrap());
    drop(other.acquire(&30).unwrap());
    drop(full.acquire(&50).unwrap());
    drop(full.acquire(&49).unwrap());
    assert_eq!((full.stats().evicted, other.stats().evicted), (1, 0));
    assert!(full.acquire(&101).is_err());
    assert_eq!((full.stats().evicted, other.stats().evicted), (1, 0));
    drop(full.acquire(&60).unwrap());
    assert_eq!((full.stats().evicted, other.stats().evicted, root.used()), (2, 1, 90));

    let root = Account::local("root", 100);
    let full = KeyedPoolBuilder::new(Blocks).account(root.clone()).max_objects(1).build_rc();
    let other = KeyedPoolBuilder::new(Blocks).account(root.clone()).build_rc();
    drop(other.acquire(&50).unwrap());
    drop(full.acquire(&50).unwrap());
    drop(full.acquire(&49).unwrap());
    assert_eq!((full.stats().evicted, other.stats().evicted), (1, 0));
}

// Objects of pools outside the account that is short, evicted for an account above that would be helped anyway.
#[test]
fn where_two_levels_are_short_no_more_goes_than_is_needed() {
    let root = Account::new("root", 150);
    let leaf = Account::builder("leaf").parent(&root).hard_limit(100).build();
    let other = Account::builder("other").parent(&root).build();
    let (p, o) = (pool(&leaf), pool(&other));
    for (pool, key) in [(&o, 50), (&p, 49), (&p, 51)] {
        drop(pool.acquire(&key).unwrap());
    }
    drop(p.acquire(&20).unwrap()); // the leaf is short by 20, and so is the root
    assert_eq!((idle_keys(&p), idle_keys(&o)), (vec![20, 51], vec![50]));
}

// A limit that is lowered and told as room for something new; a cheap object that goes before an older dear one.
#[test]
fn a_lowered_limit_evicts_in_the_order_of_release_and_says_so() {
    #[derive(Default)]
    struct Heard(std::sync::Mutex<Vec<(usize, pool_core::Removal)>>);
    impl pool_core::Observer<usize> for Heard {
        fn removed(&self, &key: &usize, _: usize, why: pool_core::Removal) {
            self.0.lock().unwrap().push((key, why));
        }
    }
    let account = Account::new("a", 1000);
    let pool = KeyedPoolBuilder::new(Costly(|key| if key == 100 { 1_000_000 } else { 1 }))
        .account(account.clone())
        .observer(Heard::default())
        .evict_cheapest_of(8)
        .build_shared::<RawMutex>();
    drop(pool.acquire(&100).unwrap());
    drop(pool.acquire(&101).unwrap());
    assert_eq!(pool.set_hard_limit(150), Some(0));
    assert_eq!(account.set_hard_limit(50), 0);
    let asked = pool_core::Removal::Evicted(pool_core::Eviction::Asked);
    assert_eq!(*pool.observer().0.lock().unwrap(), [(100, asked), (101, asked)]);
}

// What is taken for gone, or for as new as what comes next, because somebody looked at it just when the oldest was wanted.
#[test]
fn what_was_shown_to_a_predicate_is_as_old_as_before() {
    let account = Account::local("page", 60);
    let [shown, other, asks] =
        [(); 3].map(|()| KeyedPoolBuilder::new(Blocks).account(account.clone()).build_rc());
    let _held = asks.acquire(&10).unwrap();
    drop(shown.acquire(&20).unwrap());
    drop((other.acquire(&15).unwrap(), other.acquire(&15).unwrap()));
    let evicted = || [shown.stats().evicted, other.stats().evicted];
    let mut seen = 0;
    shown.retain(|_, _| {
        seen += 1;
        drop(asks.acquire(&14).unwrap());
        assert_eq!(evicted(), [0, 1], "the oldest of those that may go");
        true
    });
    drop(asks.acquire(&13).unwrap());
    assert_eq!((seen, evicted()), (1, [1, 1]));
}

// A slot, an object and its bytes that nobody has any more, as the handler of an event panics that only a refused try had left.
#[test]
fn what_a_refused_try_left_to_tell_is_told_before_the_pool_has_the_object() {
    use pool_core::{AccountEvent, AccountEventKind, Footprint, Local, LocalPool, Observer, Removal};
    use std::cell::{Cell, RefCell};
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::rc::Rc;
    struct Weighs(Rc<Cell<u32>>);
    impl Footprint for Weighs {
        fn footprint(&self) -> usize {
            50
        }
    }
    impl Drop for Weighs {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    /// Does something as an object goes: its account is below the low watermark then, and has not yet said so.
    struct Then(RefCell<Option<Box<dyn FnOnce()>>>);
    impl Observer<usize> for &Then {
        fn removed(&self, _: &usize, _: usize, _: Removal) {
            if let Some(then) = self.0.take() {
                then();
            }
        }
    }
    let server = Account::new("server", 10_000);
    let armed = Rc::new(Cell::new(true));
    let arm = Rc::clone(&armed);
    let page = Account::local_builder("page").credit(server.credit(0)).soft_limit(1000).low_watermark(100);
    let page = page.on_event(move |event: &AccountEvent<Local>| {
        if event.kind == AccountEventKind::BackToLow && arm.get() {
            resume_unwind(Box::new("as planned"));
        }
    });
    let page = page.build();
    let gives = pool(&server);
    drop(gives.acquire(&4000).unwrap());
    let (dropped, then) = (Rc::new(Cell::new(0)), Then(RefCell::default()));
    let goes = KeyedPoolBuilder::new(Blocks).account(page.clone()).observer(&then).build();
    drop(goes.acquire(&2000).unwrap());
    let count = Rc::clone(&dropped);
    let makes = LocalPool::builder(move |_: &()| Ok::<_, Infallible>(Weighs(Rc::clone(&count))));
    let makes = Rc::new(makes.account(page.clone()).max_objects(1).build());
    let (maker, full) = (Rc::clone(&makes), server.clone());
    then.0.replace(Some(Box::new(move || {
        let _full = full.try_reserve(full.free()).unwrap();
        let made = catch_unwind(AssertUnwindSafe(|| drop(maker.acquire())));
        assert!(made.is_err(), "the handler was called");
    })));
    _ = catch_unwind(AssertUnwindSafe(|| goes.trim(0)));
    armed.set(false);
    assert!(then.0.borrow().is_none());
    assert_eq!((page.used(), makes.stats().leased, dropped.get()), (0, 0, 1));
    drop(makes.acquire().unwrap());
    assert_eq!((makes.stats().created, dropped.get()), (1, 1));
}
