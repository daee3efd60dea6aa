//! What a pool holds beside its objects.
//!
//! Measured from outside: the same pool of two sizes of objects. What the second takes more tells how many slots there
//! are, and what is left of the first is what they cost beside the objects.

use crate::Counting;
use pool_core::LocalPool;
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

/// Every pool with every number of objects.
pub(crate) fn measure() -> Vec<Memory> {
    let mut all = Vec::new();
    for objects in OBJECTS {
        all.push(split("LocalPool", objects, local::<SMALL>(objects), local::<LARGE>(objects)));
    }
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
