//! What a pool holds beside its objects.
//!
//! Measured from outside: the same pool of two sizes of objects. What the second takes more tells how many slots there
//! are, and what is left of the first is what they cost beside the objects.

use crate::Counting;
use pool_core::{LocalPool, SharedPool, StaticPool};
use std::convert::Infallible;

/// The numbers of objects that are looked at.
pub(crate) const OBJECTS: [usize; 4] = [10, 1_000, 100_000, 1_000_000];

/// One pool of so many objects.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    pub(crate) pool: &'static str,
    pub(crate) objects: usize,
    /// Places for objects that were allocated.
    pub(crate) slots: f64,
    /// Bytes beside the object, for each place.
    pub(crate) per_slot: f64,
}

const SMALL: usize = 1;
const LARGE: usize = 9;

/// From the bytes that a pool of small objects and one of large objects hold.
fn split(pool: &'static str, objects: usize, small: isize, large: isize) -> Memory {
    let slots = (large - small) as f64 / ((LARGE - SMALL) * size_of::<u64>()) as f64;
    let per_slot = small as f64 / slots - (SMALL * size_of::<u64>()) as f64;
    Memory { pool, objects, slots, per_slot }
}

/// Bytes on the heap with the pool and `objects` objects, all idle.
fn local<const WORDS: usize>(objects: usize) -> isize {
    let (pool, bytes) = Counting::bytes_of(|| {
        let pool = LocalPool::new(|_: &()| Ok::<_, Infallible>([0_u64; WORDS]));
        drop(pool.prewarm(objects));
        pool
    });
    drop(pool);
    bytes
}

/// The same of a shared pool.
fn shared<const WORDS: usize>(objects: usize) -> isize {
    let (pool, bytes) = Counting::bytes_of(|| {
        let pool = SharedPool::new(|_: &()| Ok::<_, Infallible>([0_u64; WORDS]));
        drop(pool.prewarm(objects));
        pool
    });
    drop(pool);
    bytes
}

type Words<const WORDS: usize> = fn(&()) -> Result<[u64; WORDS], Infallible>;

/// A pool in a `static` has no heap: its size tells.
fn in_static<const OBJECTS: usize>() -> Memory {
    let small = size_of::<StaticPool<Words<SMALL>, OBJECTS>>() as isize;
    let large = size_of::<StaticPool<Words<LARGE>, OBJECTS>>() as isize;
    split("StaticPool", OBJECTS, small, large)
}

/// Every pool with every number of objects.
pub(crate) fn measure() -> Vec<Memory> {
    let mut all = Vec::new();
    for objects in OBJECTS {
        all.push(split("LocalPool", objects, local::<SMALL>(objects), local::<LARGE>(objects)));
    }
    for objects in OBJECTS {
        all.push(split("SharedPool", objects, shared::<SMALL>(objects), shared::<LARGE>(objects)));
    }
    all.extend([in_static::<10>(), in_static::<1_000>(), in_static::<100_000>()]);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: room for objects that do not exist yet counted as overhead.
    #[test]
    fn places_and_what_they_cost_are_told_apart() {
        // 64 places for 10 objects, 16 bytes each beside them.
        let memory = split("pool", 10, 64 * (8 + 16), 64 * (72 + 16));
        assert_eq!((memory.slots, memory.per_slot), (64.0, 16.0));
    }
}
