//! Classes: one key's objects without the pool's lock.

use super::{Block, Blocks, Pool, idle_keys, pool};
use parking_lot::RawMutex;
use pool_core::{
    Account, AcquireError, Factory, KeyedPoolBuilder, Lease, OfKey, SharedKeyedPool, SharedPool, Verdict,
    WorkLimit,
};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

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

    // Also if it was asked before, when what it had was younger than what others have.
    static DISCARDS: AtomicBool = AtomicBool::new(false);
    let verdict = |_: &mut Block| if DISCARDS.load(Relaxed) { Verdict::Discard } else { Verdict::Keep };
    let account = Account::new("server", 100);
    let pool: Arc<SharedKeyedPool<_, _, RawMutex, _>> =
        KeyedPoolBuilder::new(Blocks).resetter(verdict).account(account.clone()).build_shared();
    let other = self::pool(&account);
    let class = pool.class(&30);
    drop(other.acquire(&40).unwrap());
    drop(other.acquire(&29).unwrap());
    drop(class.acquire().unwrap());
    drop(other.acquire(&28).unwrap());
    assert_eq!((class.stats().idle, idle_keys(&other)), (1, vec![28, 29]), "the oldest went");
    DISCARDS.store(true, Relaxed);
    drop(class.try_acquire().unwrap());
    drop(other.acquire(&27).unwrap());
    assert_eq!((class.stats().discarded, idle_keys(&other)), (1, vec![27, 28, 29]));
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

// A bounded slice that goes through all classes, however many, or through the first ones again and again.
#[test]
fn a_slice_looks_at_as_many_classes_as_objects_and_the_next_goes_on() {
    // What it releases is doomed.
    let pool: Pool = KeyedPoolBuilder::new(Blocks).max_retained_bytes(20).build_shared();
    let classes: Vec<_> = (21..=25).map(|key| pool.class(&key)).collect();
    let destroyed = || classes.iter().map(|class| class.stats().destroyed).collect::<Vec<_>>();
    classes.iter().for_each(|class| drop(class.acquire().unwrap()));
    assert_eq!(destroyed(), [0; 5], "a release destroys nothing");
    assert_eq!((pool.maintain(2), destroyed()), (2, vec![1, 1, 0, 0, 0]));
    classes[..2].iter().for_each(|class| drop(class.acquire().unwrap()));
    assert_eq!((pool.maintain(2), destroyed()), (2, vec![1, 1, 1, 1, 0]));
    assert_eq!((pool.maintain(2), destroyed()), (2, vec![2, 1, 1, 1, 1]));
    assert_eq!((pool.maintain(1), pool.maintain(0), destroyed()), (1, 0, vec![2, 2, 1, 1, 1]));
    // One of three looks is for a class that has something.
    drop(classes[3].acquire().unwrap());
    assert_eq!([(); 3].map(|()| pool.maintain(1)), [0, 1, 0]);
    drop(classes);
    assert_eq!(pool.maintain(WorkLimit::NONE), 0);
}
