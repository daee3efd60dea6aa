//! What threads do to one another, or another thread does at each unlock.

use super::{Block, Blocks, pool};
use parking_lot::RawMutex;
use pool_core::{Account, AcquireError, Factory, KeyedPoolBuilder, SharedKeyedPool, SharedPool};
use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

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

// A pool that is passed over as another one ends, which stood before it in a list: what it has idle is said to be in use, or stays
// although it is the oldest.
#[test]
fn no_pool_is_left_out_as_another_ends() {
    for unlock in 0.. {
        for lowered in [false, true] {
            let root = Account::new("root", 100);
            let meddled = || KeyedPoolBuilder::new(Blocks).account(root.clone()).build_shared::<Meddled>();
            let (ends, asked, younger) = (meddled(), meddled(), pool(&root));
            let oldest = pool(&root);
            let _held = root.try_reserve(10).unwrap();
            drop(oldest.acquire(&40).unwrap());
            drop(younger.acquire(&25).unwrap());
            drop(younger.acquire(&24).unwrap());
            let ended = Rc::new(Cell::new(false));
            let then = Rc::clone(&ended);
            MEDDLE.set(Some((unlock, Box::new(move || (drop(ends), then.set(true)).1))));
            if lowered {
                assert_eq!(root.set_hard_limit(10), 0);
            } else {
                drop(asked.acquire(&41).unwrap());
                assert_eq!((oldest.stats().evicted, younger.stats().evicted), (1, 0));
            }
            if !ended.get() {
                assert!(MEDDLE.take().is_some() && unlock > 1, "{unlock}");
                return;
            }
        }
    }
}

// Which pool has the oldest, of many that are used, empty, and come and go: any other order than that of a list of all.
#[test]
fn of_many_pools_the_one_with_the_oldest_object_gives() {
    const LIMIT: usize = 60;
    let account = Account::local("page", LIMIT);
    let build = || KeyedPoolBuilder::new(Blocks).account(account.clone()).build_rc();
    let mut pools: Vec<_> = (0..if cfg!(miri) { 10 } else { 200 }).map(|_| build()).collect();
    // The idle objects, by pool and key, in the order of their release.
    let mut idle: Vec<(usize, usize)> = Vec::new();
    let mut dice = 9_u64;
    for _ in 0..if cfg!(miri) { 100 } else { 20_000 } {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        // Few of them much, so that most are empty most of the time.
        let at = (dice % pools.len() as u64).min(dice >> 8 & 255) as usize;
        let bytes = (dice >> 20) as usize % 7 + 1;
        if dice >> 30 & 63 == 0 {
            idle.retain(|&(pool, _)| pool != at);
            pools[at] = build();
            continue;
        }
        drop(pools[at].acquire(&bytes).unwrap());
        match idle.iter().rposition(|&object| object == (at, bytes)) {
            Some(hit) => _ = idle.remove(hit),
            None => {
                let held = |idle: &[(usize, usize)]| idle.iter().map(|(_, bytes)| bytes).sum::<usize>();
                while held(&idle) + bytes > LIMIT {
                    idle.remove(0);
                }
            }
        }
        idle.push((at, bytes));
        assert_eq!(account.used(), idle.iter().map(|(_, bytes)| bytes).sum());
        let there = |pool: usize| idle.iter().filter(|&&(other, _)| other == pool).count();
        assert_eq!(pools[at].stats().idle, there(at));
    }
    (0..pools.len()).for_each(|at| {
        let own = idle.iter().filter(|&&(pool, _)| pool == at).map(|&(_, bytes)| bytes);
        let mut keys = Vec::new();
        pools[at].retain(|&key, _| (keys.push(key), true).1);
        assert_eq!(keys, own.collect::<Vec<_>>());
    });
}

// A pool that is as young as what was released last, for ever, because somebody looked at its objects in the moment in which
// `retain` of another thread had them.
#[test]
fn what_another_thread_shows_to_a_predicate_is_as_old_as_before() {
    const MANY: usize = if cfg!(miri) { 20 } else { 4000 };
    for _ in 0..8 {
        let root = Account::new("root", usize::MAX);
        let shown = SharedPool::builder(|_: &()| Ok::<_, Infallible>(Block(10)));
        let shown = shown.account(root.clone()).thread_caches(false).build_arc();
        drop(shown.acquire().unwrap());
        let younger = pool(&root);
        for bytes in 1..=MANY {
            drop(younger.acquire(&bytes).unwrap());
        }
        let evict = || _ = root.set_hard_limit(root.used() - 1);
        let (begun, ended) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Relaxed) {
                    shown.retain(|_| {
                        begun.store(true, Relaxed);
                        true
                    });
                }
            });
            while !begun.load(Relaxed) {
                std::thread::yield_now();
            }
            for _ in 0..MANY * 3 / 4 {
                if shown.stats().evicted == 0 {
                    evict();
                }
            }
            ended.store(true, Relaxed);
        });
        // Now, if not before.
        if shown.stats().evicted == 0 {
            evict();
        }
        assert_eq!(shown.stats().evicted, 1);
    }
}
