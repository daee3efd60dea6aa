//! Keyed pools for threads, their classes, and pools that give idle objects back to one another.
#![cfg(feature = "lock_api")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use parking_lot::RawMutex;
use pool_core::{
    Account, AcquireError, Factory, Footprint, Growing, KeepAll, KeyedPool, KeyedPoolBuilder, Lease, Local,
    LocalAccount, LocalPoolBuilder, ManualClock, NoClock, OfKey, SharedKeyedPool, SharedPool,
    SharedPoolBuilder, Silent, Tick, Verdict, WorkLimit,
};
use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

/// An object of as many bytes as its key says.
#[derive(Debug)]
struct Block(usize);

impl Footprint for Block {
    fn footprint(&self) -> usize {
        self.0
    }
}

#[derive(Clone, Copy)]
struct Blocks;

impl Factory<usize> for Blocks {
    type Object = Block;
    type Error = Infallible;
    fn create(&self, &bytes: &usize) -> Result<Block, Infallible> {
        Ok(Block(bytes))
    }
    fn estimate(&self, &bytes: &usize) -> usize {
        bytes
    }
    fn measure(&self, block: &Block) -> usize {
        block.0
    }
}

/// As [`Blocks`], which cost to make again what this says of their key.
struct Costly(fn(usize) -> u32);

impl Factory<usize> for Costly {
    type Object = Block;
    type Error = Infallible;
    fn create(&self, bytes: &usize) -> Result<Block, Infallible> {
        Blocks.create(bytes)
    }
    fn estimate(&self, bytes: &usize) -> usize {
        Blocks.estimate(bytes)
    }
    fn measure(&self, block: &Block) -> usize {
        Blocks.measure(block)
    }
    fn cost(&self, &key: &usize, _: &Block) -> u32 {
        (self.0)(key)
    }
}

type Pool = Arc<SharedKeyedPool<usize, Blocks, RawMutex>>;

fn pool(account: &Account) -> Pool {
    KeyedPoolBuilder::new(Blocks).account(account.clone()).build_shared::<RawMutex>()
}

fn idle_keys(pool: &Pool) -> Vec<usize> {
    let mut keys: Vec<usize> =
        pool.keys().into_iter().filter(|(_, s)| s.idle > 0).map(|(key, _)| key).collect();
    keys.sort_unstable();
    keys
}

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

// A class of its own for each caller, whose objects others never see; one that lives for ever, or not as long as a handle.
#[test]
fn a_class_is_one_for_all_who_ask_for_its_key() {
    let account = Account::new("server", 100);
    let pool = pool(&account);
    let class = pool.class(&10);
    assert!(Arc::ptr_eq(&class, &pool.class(&10)));
    assert!(!Arc::ptr_eq(&class, &pool.class(&20)));
    class.prewarm(3).unwrap();
    assert_eq!((account.used(), class.stats().idle, pool.stats().idle), (30, 3, 0));
    let lease = class.try_acquire_owned().unwrap();
    assert_eq!((lease.0, *class.factory().key()), (10, 10));
    drop(class);
    assert_eq!(pool.class(&10).stats().leased, 1, "a lease, too, is a handle");
    drop(lease);
    assert_eq!((account.used(), pool.class(&10).stats().created), (0, 0));
    let class = pool.class(&10);
    pool.close();
    assert!(class.is_closed() && pool.class(&30).is_closed());
}

// A class that hoards, or one that is refused while the pool beside it has idle objects.
#[test]
fn a_class_gives_and_takes_as_its_pool_does() {
    let account = Account::new("server", 100);
    let pool = pool(&account);
    let class = pool.class(&20);
    class.prewarm(3).unwrap();
    drop(pool.acquire(&40).unwrap());
    // Both full. The class was last used before the pool's object was released.
    let a = pool.acquire(&15).unwrap();
    assert_eq!((class.stats().idle, idle_keys(&pool)), (2, vec![40]));
    // Now the class is used: the pool's object is older.
    let b = [class.acquire().unwrap(), class.acquire().unwrap(), class.acquire().unwrap()];
    assert_eq!((class.stats().leased, idle_keys(&pool), account.used()), (3, vec![], 75));
    drop((a, b));
}

// An object that is made before anybody asks whether it fits.
#[test]
fn a_class_claims_the_bytes_before_it_makes_an_object() {
    #[derive(Default)]
    struct Counts(AtomicUsize);
    impl Factory<usize> for Counts {
        type Object = Block;
        type Error = Infallible;
        fn create(&self, bytes: &usize) -> Result<Block, Infallible> {
            self.0.fetch_add(1, Relaxed);
            Blocks.create(bytes)
        }
        fn estimate(&self, bytes: &usize) -> usize {
            Blocks.estimate(bytes)
        }
        fn measure(&self, block: &Block) -> usize {
            Blocks.measure(block)
        }
    }
    let pool = KeyedPoolBuilder::new(Counts::default())
        .account(Account::new("server", 100))
        .build_shared::<RawMutex>();
    assert!(matches!(pool.class(&101).acquire(), Err(AcquireError::OverBudget(_))));
    assert_eq!(pool.factory().0.load(Relaxed), 0);
    assert!(pool.class(&100).acquire().is_ok());
    assert_eq!(pool.factory().0.load(Relaxed), 1);
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

// An age that is taken when somebody looks, and not at the release: then what was released long before goes last. By every
// way on which an object comes back to a class.
#[test]
fn the_order_between_a_class_and_other_pools_is_that_of_their_last_releases() {
    type Class = SharedPool<
        OfKey<SharedKeyedPool<usize, Blocks, RawMutex>, usize>,
        OfKey<SharedKeyedPool<usize, Blocks, RawMutex>, usize>,
    >;
    fn dropped(class: &Arc<Class>) {
        drop(class.acquire().unwrap());
    }
    fn by_token(class: &Arc<Class>) {
        let id = class.acquire().unwrap().into_id();
        class.release(id).unwrap();
    }
    fn through_a_cache(class: &Arc<Class>) {
        drop(class.cache().acquire().unwrap());
    }
    fn handed_over(class: &Arc<Class>) {
        let lease = class.acquire_owned().unwrap();
        let class = Arc::clone(class);
        std::thread::spawn(move || class.cache_owned().release(lease)).join().unwrap();
    }
    fn prewarmed(class: &Arc<Class>) {
        class.prewarm(1).unwrap();
    }
    for release in [dropped, by_token, through_a_cache, handed_over, prewarmed] {
        let account = Account::new("server", 300);
        let pool = pool(&account);
        let class = pool.class(&100);
        release(&class);
        // Two misses later.
        drop(pool.acquire(&99).unwrap());
        drop(pool.acquire(&98).unwrap());
        drop(pool.acquire(&97).unwrap());
        assert_eq!((class.stats().evicted, idle_keys(&pool)), (1, vec![97, 98, 99]));

        // And the other way round, but for `prewarm`, which evicts nothing.
        let account = Account::new("server", 300);
        let pool = self::pool(&account);
        let class = pool.class(&100);
        drop(pool.acquire(&99).unwrap());
        drop(pool.acquire(&98).unwrap());
        release(&class);
        drop(pool.acquire(&97).unwrap());
        assert_eq!((class.stats().idle, idle_keys(&pool)), (1, vec![97, 98]));
    }
}

// An age for each object, or one that a hit of one object does not change: as it is stated, the whole class is young.
#[test]
fn a_class_is_as_young_as_the_object_that_was_released_last() {
    let account = Account::new("server", 100);
    let pool = pool(&account);
    let class = pool.class(&20);
    class.prewarm(3).unwrap();
    drop(pool.acquire(&30).unwrap());
    drop(class.acquire().unwrap()); // a hit: three are idle, and one was used
    let held = pool.acquire(&40).unwrap();
    assert_eq!((class.stats().evicted, idle_keys(&pool)), (0, vec![]));
    let more = pool.acquire(&20).unwrap();
    assert_eq!((class.stats().evicted, account.used()), (1, 100));
    drop((held, more));
}

// What is destroyed anyway, left where it is while something that could be used again goes in its place.
#[test]
fn what_a_class_has_doomed_goes_before_anything_idle() {
    let account = Account::new("server", 100);
    let discard = |_: &mut Block| Verdict::Discard;
    let pool: Arc<SharedKeyedPool<_, _, RawMutex, _>> =
        KeyedPoolBuilder::new(Blocks).resetter(discard).account(account.clone()).build_shared();
    let other = self::pool(&account);
    let class = pool.class(&40);
    drop(other.acquire(&50).unwrap());
    drop(class.acquire().unwrap());
    let held = other.acquire(&30).unwrap();
    assert_eq!((class.stats().discarded, idle_keys(&other), account.used()), (1, vec![50], 80));
    drop(held);
}

/// The time of a miss that evicts one object of a class which has so many idle ones; the fastest of some. The pool has, or
/// had, some more: leased ones in lower slots, and vacant slots above.
fn time_of_an_eviction(idle: usize, leased: usize, vacant: usize) -> f64 {
    const BYTES: usize = 64;
    let account = Account::new("server", usize::MAX);
    let pool = pool(&account);
    let class = pool.class(&BYTES);
    class.prewarm(leased + idle + vacant).unwrap();
    let held: Vec<_> = (0..leased).map(|_| class.try_acquire().unwrap()).collect();
    class.trim(idle);
    let round = || {
        account.set_hard_limit(account.used());
        let start = Instant::now();
        let made: Vec<_> = (0..8).map(|_| pool.acquire(&BYTES).unwrap()).collect();
        let time = start.elapsed().as_secs_f64();
        account.set_hard_limit(usize::MAX);
        made.into_iter().for_each(Lease::discard);
        class.prewarm(idle).unwrap();
        time
    };
    let best = (0..20).map(|_| round()).fold(f64::MAX, f64::min);
    assert_eq!((class.stats().evicted - vacant as u64, pool.stats().misses), (160, 160));
    drop(held);
    best
}

// An eviction that counts what is idle, or looks through slots for what there is, in the class or before it goes there: with
// 400 000 idle objects each took 30 ms.
#[test]
#[cfg_attr(miri, ignore = "it is about time")]
fn an_eviction_takes_the_same_time_however_many_objects_a_class_has() {
    let few = time_of_an_eviction(10, 0, 0);
    for (idle, leased, vacant) in [(100_000, 0, 0), (10, 100_000, 0), (10, 0, 300_000)] {
        let many = time_of_an_eviction(idle, leased, vacant);
        assert!(
            many < 6.0 * few,
            "{many} s with {idle} idle, {leased} leased, {vacant} vacant; {few} s with ten"
        );
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

// Memory that does not come back from a class, whatever is over its limit; or more of it than the limit of work.
#[test]
fn critical_pressure_drops_what_classes_have_idle() {
    let account = Account::new("server", 100);
    let pool = pool(&account);
    let classes = [pool.class(&10), pool.class(&11)];
    classes.iter().for_each(|class| _ = class.prewarm(3).unwrap());
    let held = classes[0].acquire().unwrap();
    assert_eq!(pool.maintain(usize::MAX), 0, "there is no pressure");
    let external = account.charge_external(100).unwrap();
    assert_eq!(pool.maintain(2), 2);
    assert_eq!(pool.maintain(WorkLimit { objects: 9, bytes: 1 }), 1);
    assert_eq!(classes[0].maintain(usize::MAX), 0, "all but what is leased went first");
    assert_eq!(classes[1].maintain(1), 1);
    assert_eq!((pool.maintain(usize::MAX), account.used()), (1, 110));
    // What releases have doomed does not wait for pressure.
    drop(external);
    classes[0].close();
    drop(held);
    assert_eq!((pool.maintain(usize::MAX), account.used()), (1, 0));
}

// Debug output without the one thing that tells one class from another.
#[test]
fn what_makes_a_class_shows_its_key() {
    let class = pool(&Account::new("server", 100)).class(&10);
    assert_eq!(format!("{:?}", class.factory()), "OfKey { key: 10, .. }");
}

// Bounds that are promised for all objects, and hold for those of the pool alone: the guide to classes says which.
#[test]
fn a_class_has_no_part_in_the_bounds_of_its_pool() {
    let pool: Pool = KeyedPoolBuilder::new(Blocks)
        .max_objects(2)
        .max_per_key(5)
        .max_idle_per_key(1)
        .max_retained_bytes(20)
        .build_shared();
    let classes = [pool.class(&10), pool.class(&20)];
    for class in &classes {
        class.prewarm(5).unwrap();
        assert!(matches!(class.prewarm(6), Err(AcquireError::Exhausted { .. })), "by itself it has this one");
        assert_eq!(class.stats().idle, 5);
    }
    let two = [pool.acquire(&10).unwrap(), pool.acquire(&10).unwrap()];
    assert!(matches!(pool.acquire(&20), Err(AcquireError::Exhausted { leased: 2, max_objects: 2 })));
    drop(two);
    assert_eq!(pool.stats().idle, 1);
    assert_eq!((pool.trim(0), pool.evict_to(0), pool.keys().len()), (1, 0, 0));
    assert_eq!(classes.map(|class| class.stats().idle), [5, 5]);
    let large = pool.class(&21);
    drop(large.acquire().unwrap());
    assert_eq!((large.maintain(1), large.stats().discarded), (1, 1), "and what it retains has the bound");
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

// A limit passed, an object handed out twice, or bytes left over when eight threads meet.
/// Catches: a refusal because what was seen idle in one pool was gone before it could be taken, or lay in a pool that was
/// looked at already. There is room for what all of them hold at any time.
#[test]
fn nobody_is_refused_what_fits_while_others_take_and_give() {
    const SIZE: usize = 100;
    // Miri takes a thousand times as long.
    const ROUNDS: usize = if cfg!(miri) { 40 } else { 20_000 };
    for threads in [2, 4] {
        let root = Account::new("root", threads * SIZE);
        let pools: Vec<_> = (0..4).map(|_| keyed_of_numbers(&root)).collect();
        let classes: Vec<_> = pools.iter().map(|pool| pool.class(&0)).collect();
        std::thread::scope(|scope| {
            for thread in 1..=threads as u64 {
                let (pools, classes) = (&pools, &classes);
                scope.spawn(move || {
                    let mut dice = thread;
                    for _ in 0..ROUNDS {
                        dice ^= dice << 13;
                        dice ^= dice >> 7;
                        dice ^= dice << 17;
                        let (at, key) = ((dice % 4) as usize, (dice >> 20) % 8);
                        if dice & 1024 == 0 {
                            drop(pools[at].acquire(&key).unwrap());
                        } else {
                            drop(classes[at].acquire().unwrap());
                        }
                    }
                });
            }
        });
        drop((classes, pools));
        assert_eq!(root.used(), 0);
    }
}

thread_local! {
    /// What is done, by "another thread", when a [`Meddled`] lock was unlocked so many times more.
    static MEDDLE: Cell<Option<(u32, Box<dyn FnOnce()>)>> = const { Cell::new(None) };
    /// What "another thread" does each time before a [`Meddled`] lock is taken.
    static FORESTALL: Cell<Option<Box<dyn Fn()>>> = const { Cell::new(None) };
}

/// A lock before and after which somebody else comes at once.
struct Meddled(RawMutex);

// SAFETY: the lock is that of `parking_lot`; what is done besides is done when it is unlocked.
unsafe impl lock_api::RawMutex for Meddled {
    const INIT: Self = Self(<RawMutex as lock_api::RawMutex>::INIT);
    type GuardMarker = <RawMutex as lock_api::RawMutex>::GuardMarker;

    fn lock(&self) {
        // A test that fails leaves its pools to the end of the thread.
        if let Ok(Some(action)) = FORESTALL.try_with(Cell::take) {
            action();
            FORESTALL.set(Some(action));
        }
        lock_api::RawMutex::lock(&self.0);
    }
    fn try_lock(&self) -> bool {
        lock_api::RawMutex::try_lock(&self.0)
    }
    unsafe fn unlock(&self) {
        // SAFETY: the caller's promise.
        unsafe { lock_api::RawMutex::unlock(&self.0) };
        // As in `lock`.
        match MEDDLE.try_with(Cell::take).ok().flatten() {
            Some((0, action)) => action(),
            Some((more, action)) => MEDDLE.set(Some((more - 1, action))),
            None => {}
        }
    }
}

// Bytes that are neither idle nor free while an object goes, so that what fits is refused.
#[test]
fn what_is_evicted_is_free_as_soon_as_it_is_not_idle() {
    for unlock in 0.. {
        let root = Account::new("root", 100);
        let small = KeyedPoolBuilder::new(Blocks).account(root.clone()).build_shared::<Meddled>();
        let big = pool(&root);
        small.prewarm(&10, 3).unwrap();
        let asked = Rc::new(Cell::new(false));
        let then = Rc::clone(&asked);
        MEDDLE.set(Some((
            unlock,
            Box::new(move || {
                drop(big.acquire(&100).unwrap());
                then.set(true);
            }),
        )));
        small.trim(0);
        if !asked.get() {
            assert!(MEDDLE.take().is_some() && unlock > 3, "{unlock}");
            break;
        }
    }
}

// Bytes that were not yet free when the account was looked at and no longer idle when the pools were, as somebody evicts one object
// after another: however often that is seen, all of it fits.
#[test]
fn what_is_evicted_between_two_looks_is_not_missed() {
    for above in [false, true] {
        let root = Account::new("root", 10_000);
        let small = KeyedPoolBuilder::new(Blocks).account(root.clone()).build_shared::<Meddled>();
        small.prewarm(&100, 100).unwrap();
        let evicting = Arc::clone(&small);
        FORESTALL.set(Some(Box::new(move || {
            _ = evicting.evict_to(evicting.stats().idle_bytes.saturating_sub(100))
        })));
        match above {
            false => drop(pool(&root).acquire(&10_000).unwrap()),
            // One thread's tree, of which all of the other is a part.
            true => {
                let page = Account::local_builder("page").credit(root.credit(0)).build();
                drop(KeyedPoolBuilder::new(Blocks).account(page).build_rc().acquire(&10_000).unwrap());
            }
        }
        drop(FORESTALL.take());
        assert_eq!((small.stats().evicted, root.used()), (100, 0));
    }
}

// What a victim held and its successor does not need, neither idle nor free until the pool has been unlocked: what fits in it is
// refused meanwhile, by the pool itself or by another. Also where an object is larger than its estimate.
#[test]
fn what_a_victim_leaves_is_free_as_soon_as_it_is_not_idle() {
    for (low, own) in [(false, false), (false, true), (true, false), (true, true)] {
        for unlock in 0.. {
            // Of a low estimate there is room; only the object itself has to be made room for.
            let root = Account::new("root", if low { 101 } else { 100 });
            let estimate = move |&bytes: &usize| if low { 1 } else { bytes };
            let builder = KeyedPoolBuilder::new(Blocks).estimate(estimate).account(root.clone());
            let evicting = builder.build_shared::<Meddled>();
            let _held = root.try_reserve(20).unwrap();
            drop(evicting.acquire(&80).unwrap());
            let asked = Rc::new(Cell::new(false));
            let (then, same) = (Rc::clone(&asked), Arc::clone(&evicting));
            let other = (!own).then(|| pool(&root));
            MEDDLE.set(Some((
                unlock,
                Box::new(move || {
                    match other {
                        Some(other) => drop(other.acquire(&70).unwrap()),
                        None => drop(same.acquire(&70).unwrap()),
                    }
                    then.set(true);
                }),
            )));
            drop(evicting.acquire(&10).unwrap());
            if !asked.get() {
                assert!(MEDDLE.take().is_some() && unlock > 3, "{unlock}");
                break;
            }
        }
    }
}

// An object that goes although the bound was kept meanwhile; or another key's, which has the place of one that is gone.
#[test]
fn a_release_evicts_no_more_of_a_key_than_are_too_many() {
    let build = || KeyedPoolBuilder::new(Blocks).max_idle_per_key(1).build_shared::<Meddled>();
    for unlock in 0..3 {
        let pool = build();
        let [one, two] = [pool.acquire_owned(&1).unwrap(), pool.acquire_owned(&1).unwrap()];
        drop(one);
        let (other, held) = (Arc::clone(&pool), Rc::new(Cell::new(None)));
        let holder = Rc::clone(&held);
        MEDDLE.set(Some((unlock, Box::new(move || holder.set(other.try_acquire_owned(&1))))));
        drop(two);
        _ = MEDDLE.take();
        let stats = pool.stats();
        assert_eq!(stats.idle as u64 + stats.leased as u64 + stats.evicted, 2);
        assert!(stats.idle == 1 || stats.evicted == 1 && unlock > 0, "{unlock}: {stats}");
        drop(held.take());
    }
    let pool = build();
    let [one, two] = [pool.acquire_owned(&1).unwrap(), pool.acquire_owned(&1).unwrap()];
    drop(one);
    let other = Arc::clone(&pool);
    MEDDLE.set(Some((
        0,
        Box::new(move || {
            for _ in 0..2 {
                other.try_acquire_owned(&1).unwrap().discard();
            }
            other.prewarm(&2, 1).unwrap();
        }),
    )));
    drop(two);
    assert_eq!(pool.key_stats(&2).map(|stats| stats.idle), Some(1));
}

/// A pool of objects that are all of 100 bytes.
fn keyed_of_numbers(account: &Account) -> Arc<SharedKeyedPool<u64, Hundred, RawMutex>> {
    KeyedPoolBuilder::new(Hundred).account(account.clone()).build_shared()
}

/// Makes objects of 100 bytes.
struct Hundred;

impl Factory<u64> for Hundred {
    type Object = Block;
    type Error = Infallible;
    fn create(&self, _: &u64) -> Result<Block, Infallible> {
        Ok(Block(100))
    }
    fn estimate(&self, _: &u64) -> usize {
        100
    }
    fn measure(&self, block: &Block) -> usize {
        block.0
    }
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

#[test]
fn threads_stay_within_the_budget_and_end_at_zero() {
    struct Counted<'a>(&'a AtomicUsize);
    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Relaxed);
        }
    }
    let rounds = if cfg!(miri) { 20 } else { 3000 };
    let root = Account::new("root", 2000);
    let leaf = Account::builder("leaf").parent(&root).hard_limit(1500).build();
    let (a, b) = (pool(&root), pool(&leaf));
    let class = b.class(&64);
    let users = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..8usize {
            let (a, b, class, root, users) = (&a, &b, &class, &root, &users);
            scope.spawn(move || {
                for round in 0..rounds {
                    let key = 1 + (round * 7 + thread * 13) % 300;
                    let pool = if (round + thread) % 2 == 0 { a } else { b };
                    users.fetch_add(1, Relaxed);
                    let _counted = Counted(users);
                    match pool.acquire(&key) {
                        Ok(block) => assert_eq!(block.0, key),
                        Err(AcquireError::OverBudget(refusal)) => assert!(refusal.requested <= key),
                        Err(other) => panic!("{other}"),
                    }
                    if round % 5 == 0 {
                        drop(class.acquire());
                    }
                    if round % 31 == 0 {
                        pool.maintain(4);
                    }
                    assert!(root.used() <= 2000);
                }
            });
        }
    });
    for pool in [&a, &b] {
        let stats = pool.stats();
        assert_eq!(stats.created, stats.idle as u64 + stats.destroyed, "{stats:?}");
        assert_eq!(stats.leased, 0);
    }
    assert!(leaf.peak() <= 1500 && root.peak() <= 2000);
    drop((a, b, class));
    assert_eq!((root.used(), leaf.used()), (0, 0));
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

type LocalPool = Rc<KeyedPool<usize, Costly, KeepAll, NoClock, Growing, Silent, Local>>;

fn evicted<const N: usize>(pools: [&LocalPool; N]) -> [u64; N] {
    pools.map(|pool| pool.stats().evicted)
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
