//! Each workload by itself, with divan's statistics: `cargo bench -p pool-core --bench pools`.
//!
//! `cargo xtask bench` runs these and more workloads in turn with their peers, in one process, and judges.

use divan::Bencher;
use hashlink::LruCache;
use pool_core::{KeyedPool, LocalPool};
use std::cell::RefCell;
use std::convert::Infallible;
use std::hint::black_box;

fn main() {
    divan::main();
}

fn buffer() -> Box<[f32; 256]> {
    Box::new([0.0; 256])
}

/// Acquire, write, release: the pool against a `Vec` and the allocator.
#[divan::bench_group(sample_size = 10_000)]
mod pair {
    use super::*;

    #[divan::bench]
    fn local_pool(bencher: Bencher<'_, '_>) {
        let pool = LocalPool::new(|_: &()| Ok::<_, Infallible>(buffer()));
        bencher.bench_local(|| {
            if let Ok(mut lease) = pool.acquire() {
                lease[0] = 1.0;
                black_box(&mut *lease);
            }
        });
    }

    #[divan::bench]
    fn vec_in_a_ref_cell(bencher: Bencher<'_, '_>) {
        let idle = RefCell::new(vec![buffer()]);
        bencher.bench_local(|| {
            let popped = idle.borrow_mut().pop();
            if let Some(mut object) = popped {
                object[0] = 1.0;
                black_box(&mut *object);
                idle.borrow_mut().push(object);
            }
        });
    }

    #[divan::bench]
    fn allocator(bencher: Bencher<'_, '_>) {
        bencher.bench_local(|| {
            let mut object = buffer();
            object[0] = 1.0;
            black_box(&mut *object);
        });
    }
}

/// Hits on 64 keys in turn.
#[divan::bench_group(sample_size = 10_000)]
mod keyed_hits {
    use super::*;

    #[divan::bench]
    fn keyed_pool(bencher: Bencher<'_, '_>) {
        let pool = KeyedPool::new(|_: &u32| Ok::<_, Infallible>(buffer()));
        let mut key = 0;
        bencher.bench_local(|| {
            key = (key + 1) & 63;
            if let Ok(mut lease) = pool.acquire(&key) {
                lease[0] = 1.0;
                black_box(&mut *lease);
            }
        });
    }

    #[divan::bench]
    fn hashlink(bencher: Bencher<'_, '_>) {
        let mut cache = LruCache::new(1024);
        for key in 0..64 {
            cache.insert(key, buffer());
        }
        let mut key = 0;
        bencher.bench_local(|| {
            key = (key + 1) & 63;
            if let Some(mut object) = cache.remove(&key) {
                object[0] = 1.0;
                black_box(&mut *object);
                cache.insert(key, object);
            }
        });
    }
}

/// The same ten objects come and go, of ever more that exist: the cost is to stay flat.
#[divan::bench_group(sample_size = 1_000)]
mod of_many {
    use super::*;

    const OBJECTS: [u32; 3] = [10, 1_000, 100_000];

    #[divan::bench(args = OBJECTS)]
    fn local_pool(bencher: Bencher<'_, '_>, objects: u32) {
        let pool = LocalPool::new(|_: &()| Ok::<_, Infallible>([0u64; 8]));
        drop(pool.prewarm(objects as usize));
        bencher.bench_local(|| {
            let leases: [_; 10] = std::array::from_fn(|_| pool.acquire().ok());
            black_box(&leases);
        });
    }

    #[divan::bench(args = OBJECTS)]
    fn keyed_pool(bencher: Bencher<'_, '_>, keys: u32) {
        let pool = KeyedPool::new(|_: &u32| Ok::<_, Infallible>([0u64; 8]));
        for key in 0..keys {
            drop(pool.prewarm(&key, 1));
        }
        bencher.bench_local(|| {
            for key in 0..10 {
                black_box(&mut pool.acquire(&key).ok());
            }
        });
    }
}
