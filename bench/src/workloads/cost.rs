//! The same ten objects come and go, of few or many that exist: the cost is to stay the same.
//!
//! Ten, so that the memory they take decides nothing.

use super::{Contender, Kind, Workload};
use crate::lap::{Lap, waited};
use crate::ours::PACKAGE;
use pool_core::{Account, Factory, KeyedPool, Lease, LocalPool, SharedPool};
use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) const OBJECTS: &str = "cost-by-objects";
pub(crate) const KEYS: &str = "cost-by-keys";
pub(crate) const EVICTIONS: &str = "cost-of-evictions";
pub(crate) const POOLS: &str = "cost-by-pools";

/// How many of them come and go.
const FEW: usize = 10;

/// The counts that are compared, and how the rows are named.
pub(crate) const LOCAL: Rows = [
    ("LocalPool, 10", 10),
    ("LocalPool, 1 000", 1_000),
    ("LocalPool, 100 000", 100_000),
    ("LocalPool, 1 000 000", 1_000_000),
];
pub(crate) const STASH: Rows = [
    ("Cache, 10", 10),
    ("Cache, 1 000", 1_000),
    ("Cache, 100 000", 100_000),
    ("Cache, 1 000 000", 1_000_000),
];
pub(crate) const SHARED: Rows = [
    ("SharedPool, 10", 10),
    ("SharedPool, 1 000", 1_000),
    ("SharedPool, 100 000", 100_000),
    ("SharedPool, 1 000 000", 1_000_000),
];
pub(crate) const BARE: Rows = [
    ("SharedPool, no caches, 10", 10),
    ("SharedPool, no caches, 1 000", 1_000),
    ("SharedPool, no caches, 100 000", 100_000),
    ("SharedPool, no caches, 1 000 000", 1_000_000),
];
pub(crate) const EVICTED: Rows = [
    ("SharedPool, 10", 10),
    ("SharedPool, 1 000", 1_000),
    ("SharedPool, 100 000", 100_000),
    ("SharedPool, 1 000 000", 1_000_000),
];
pub(crate) const GIVING: [(&str, usize); 3] =
    [("KeyedPool, 10", 10), ("KeyedPool, 1 000", 1_000), ("KeyedPool, 10 000", 10_000)];
type Rows = [(&'static str, usize); 4];
pub(crate) const KEYED: [(&str, u32); 3] =
    [("KeyedPool, 10", 10), ("KeyedPool, 1 000", 1_000), ("KeyedPool, 100 000", 100_000)];

/// Small, as a million are made.
pub(super) type Small = [u64; 8];

pub(super) fn small() -> impl Factory<Object = Small> {
    |_: &()| Ok::<_, Infallible>([0; 8])
}

/// All of `take` at once, then all dropped.
#[inline]
fn bursts<T>(operations: usize, take: impl Fn() -> T) {
    let mut all = Vec::with_capacity(FEW);
    for _ in 0..operations / FEW {
        all.extend((0..FEW).map(|_| take()));
        black_box(&mut all);
        all.clear();
    }
}

pub(super) fn by_objects() -> Workload {
    let local = LOCAL.map(|(name, objects)| {
        let pool = LocalPool::new(small());
        drop(pool.prewarm(objects));
        let run = move |operations| bursts(operations, || pool.acquire().ok());
        Contender::here(name, Kind::Ours, run).of(PACKAGE)
    });
    let stash = STASH.map(|(name, objects)| {
        let pool = Arc::new(SharedPool::new(small()));
        drop(pool.prewarm(objects));
        let cache = pool.cache_owned();
        let run = move |operations| bursts(operations, || cache.acquire().ok());
        Contender::here(name, Kind::Ours, run).of(PACKAGE)
    });
    let shared = [(SHARED, true), (BARE, false)].map(|(rows, caches)| {
        rows.map(|(name, objects)| {
            let pool = SharedPool::builder(small()).thread_caches(caches).build();
            drop(pool.prewarm(objects));
            let run = move |operations| bursts(operations, || pool.acquire().ok());
            Contender::here(name, Kind::Ours, run).of(PACKAGE)
        })
    });
    Workload {
        slug: OBJECTS,
        title: "Cost by objects",
        per: "object",
        note: "Bursts of 10, of 10 to 1 000 000 objects that exist: the bars of a pool are to be alike.",
        contenders: local.into_iter().chain(stash).chain(shared.into_iter().flatten()).collect(),
        facts: None,
    }
}

pub(super) fn by_keys() -> Workload {
    let keyed = KEYED.map(|(name, keys)| {
        let pool = KeyedPool::new(|_: &u32| Ok::<_, Infallible>([0_u64; 8]));
        (0..keys).for_each(|key| drop(pool.prewarm(&key, 1)));
        Contender::here(name, Kind::Ours, move |operations| {
            for at in 0..operations as u32 {
                black_box(&mut pool.acquire(&(at % FEW as u32)).ok());
            }
        })
        .of(PACKAGE)
    });
    Workload {
        slug: KEYS,
        title: "Cost by keys",
        per: "pair",
        note: "Hits on 10 keys, of 10 to 100 000 that exist: the bars are to be alike.",
        contenders: keyed.into(),
        facts: None,
    }
}

/// Misses of one pool, of which each evicts an object of another that has so many idle. The clock stands still while those are
/// made again.
fn evictions(idle: usize) -> impl FnMut(usize) -> Lap {
    let account = Account::new("bench", idle * size_of::<Small>());
    let pool = || SharedPool::builder(small()).account(account.clone()).thread_caches(false).build_arc();
    let (gives, takes) = (pool(), pool());
    drop(gives.prewarm(idle));
    move |operations| {
        let mut lap = Lap { time: Duration::ZERO, calm: true };
        let mut made = Vec::with_capacity(FEW);
        for _ in 0..operations / FEW {
            let (before, start) = (waited(), Instant::now());
            made.extend((0..FEW).map(|_| takes.acquire().ok()));
            lap.time += start.elapsed();
            lap.calm &= waited() == before;
            made.drain(..).flatten().for_each(Lease::discard);
            drop(gives.prewarm(idle));
        }
        lap
    }
}

pub(super) fn of_evictions() -> Workload {
    let rows = EVICTED.map(|(name, idle)| Contender::threads(name, Kind::Ours, evictions(idle)).of(PACKAGE));
    Workload {
        slug: EVICTIONS,
        title: "Cost of evictions",
        per: "miss",
        note: "Misses of a SharedPool, of which each evicts an object of another that has 10 to 1 000 000 idle: the bars are to be \
               alike.",
        contenders: rows.into(),
        facts: None,
    }
}

/// Of so many pools under one account all but one have an object. Each in turn makes its own, for which the oldest of all goes, that
/// of the next.
fn misses_among(pools: usize) -> impl FnMut(usize) {
    let account = Account::local("bench", (pools - 1) * size_of::<Small>());
    let pools: Vec<_> = (0..pools)
        .map(|_| {
            let builder = KeyedPool::<(), _>::builder(|_: &()| Ok::<Small, Infallible>([0; 8]));
            builder.estimate(|&()| size_of::<Small>()).account(account.clone()).build_rc()
        })
        .collect();
    let mut next = 0;
    let mut run = move |operations| {
        for _ in 0..operations {
            black_box(&mut pools[next].acquire(&()).ok());
            next = if next + 1 == pools.len() { 0 } else { next + 1 };
        }
    };
    // All have had their turn.
    run(2 * GIVING[2].1);
    run
}

pub(super) fn by_pools() -> Workload {
    let rows = GIVING.map(|(name, pools)| Contender::here(name, Kind::Ours, misses_among(pools)).of(PACKAGE));
    Workload {
        slug: POOLS,
        title: "Cost by pools",
        per: "miss",
        note: "10 to 10 000 pools under one account make an object in turn, for which another's goes: the more they are, the longer \
               ago was one of them in the processor's cache.",
        contenders: rows.into(),
        facts: None,
    }
}
