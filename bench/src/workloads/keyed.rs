//! Objects by key, from a map in order of recency.

use super::{Contender, Kind, Workload};
use crate::ours::{PACKAGE, lease_each};
use crate::source::{Buffer, buffer, touch};
use hashlink::LruCache;
use pool_core::{Account, Factory, KeyedPool};
use schnellru::{ByLength, LruMap};
use std::convert::Infallible;
use std::num::NonZeroUsize;

pub(crate) const HITS: &str = "keyed-hits";
pub(crate) const EVICTING: &str = "keyed-evicting";

/// The sequence of keys, used from its start again when it is over.
const SEQUENCE: usize = 16_384;
/// Objects that fit, where they do not all.
const BUDGET: usize = 256;

/// A fixed pseudo-random sequence, the same for all: Zipf with exponent 1, a few keys much used.
fn keys(distinct: u32) -> Vec<u32> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..SEQUENCE)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // By inversion.
            let uniform = (state >> 11) as f64 / (1u64 << 53) as f64;
            ((f64::from(distinct) + 1.0).powf(uniform) - 1.0) as u32
        })
        .collect()
}

/// So many keys of the sequence, over and over, to what works them off.
fn over_and_over(keys: Vec<u32>, mut run: impl FnMut(&[u32])) -> impl FnMut(usize) {
    let mut next = 0;
    move |operations| {
        let mut left = operations;
        while left > 0 {
            let now = left.min(keys.len() - next);
            run(&keys[next..next + now]);
            next = (next + now) % keys.len();
            left -= now;
        }
    }
}

/// A cache by recency, used as a pool: an object is taken out while it is used.
trait Recency {
    fn remove(&mut self, key: u32) -> Option<Buffer>;
    fn insert(&mut self, key: u32, object: Buffer);
}

impl Recency for LruCache<u32, Buffer> {
    #[inline]
    fn remove(&mut self, key: u32) -> Option<Buffer> {
        LruCache::remove(self, &key)
    }

    #[inline]
    fn insert(&mut self, key: u32, object: Buffer) {
        LruCache::insert(self, key, object);
    }
}

impl Recency for lru::LruCache<u32, Buffer> {
    #[inline]
    fn remove(&mut self, key: u32) -> Option<Buffer> {
        self.pop(&key)
    }

    #[inline]
    fn insert(&mut self, key: u32, object: Buffer) {
        self.put(key, object);
    }
}

impl Recency for LruMap<u32, Buffer, ByLength> {
    #[inline]
    fn remove(&mut self, key: u32) -> Option<Buffer> {
        LruMap::remove(self, &key)
    }

    #[inline]
    fn insert(&mut self, key: u32, object: Buffer) {
        LruMap::insert(self, key, object);
    }
}

fn cached(
    name: &'static str,
    package: &'static str,
    keys: &[u32],
    mut cache: impl Recency + 'static,
) -> Contender {
    let run = over_and_over(keys.to_vec(), move |keys| {
        for key in keys {
            let mut object = cache.remove(*key).unwrap_or_else(buffer);
            touch(&mut object, 0);
            cache.insert(*key, object);
        }
    });
    Contender::here(name, Kind::Peer, run).of(package)
}

fn caches(keys: &[u32], objects: usize) -> [Contender; 3] {
    let length = NonZeroUsize::new(objects).unwrap_or(NonZeroUsize::MIN);
    [
        cached("hashlink", "hashlink", keys, LruCache::new(objects)),
        cached("schnellru", "schnellru", keys, LruMap::new(ByLength::new(objects as u32))),
        cached("lru", "lru", keys, lru::LruCache::new(length)),
    ]
}

/// Makes buffers, and knows beforehand how many bytes they take, as a factory under a budget should.
struct Buffers;

const BYTES: usize = size_of::<crate::source::Samples>() + size_of::<Buffer>();

impl Factory<u32> for Buffers {
    type Object = Buffer;
    type Error = Infallible;

    fn create(&self, _: &u32) -> Result<Buffer, Infallible> {
        Ok(buffer())
    }
    fn estimate(&self, _: &u32) -> usize {
        BYTES
    }
    fn measure(&self, _: &Buffer) -> usize {
        BYTES
    }
}

/// All keys are there.
pub(super) fn hits() -> Workload {
    let keys = keys(64);
    let pool = KeyedPool::new(|_: &u32| Ok::<_, Infallible>(buffer()));
    let run = over_and_over(keys.clone(), move |keys| lease_each(&pool, keys));
    let mut contenders = vec![Contender::here("KeyedPool", Kind::Ours, run).of(PACKAGE)];
    contenders.extend(caches(&keys, 1024));
    Workload {
        slug: HITS,
        title: "Keyed, all hits",
        per: "pair",
        note: "64 keys, Zipf; the peers take an object out while it is used and put it back.",
        contenders,
        facts: None,
    }
}

/// A quarter of the keys fits.
pub(super) fn evicting() -> Workload {
    let keys = keys(4 * BUDGET as u32);
    let account = Account::new("bench", BUDGET * BYTES);
    let pool = KeyedPool::builder(Buffers).account(account).build();
    let run = over_and_over(keys.clone(), move |keys| lease_each(&pool, keys));
    let mut contenders = vec![Contender::here("KeyedPool", Kind::Ours, run).of(PACKAGE)];
    contenders.extend(caches(&keys, BUDGET));
    Workload {
        slug: EVICTING,
        title: "Keyed, evicting",
        per: "pair",
        note: "1024 keys, room for 256 objects, Zipf; the pool keeps to a budget in bytes, the peers to a number of entries.",
        contenders,
        facts: None,
    }
}
