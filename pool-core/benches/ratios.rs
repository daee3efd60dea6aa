//! The pools against what one would write by hand or take from a registry, in one process.
//!
//! `cargo bench -p pool-core --bench ratios` prints medians, checks the ratios that this version promises, and fails if one is
//! missed. The peers' rounds are interleaved with ours, so that a change of the machine's speed hits both.
//!
//! A round is the same number of operations for all; what counts is the median over the rounds.

use hashlink::LruCache;
use pool_core::{Account, KeyedPool, LocalPool};
use std::cell::RefCell;
use std::convert::Infallible;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

const OPERATIONS: usize = 20_000;
const ROUNDS: usize = 61;

/// One of the things compared: performs `OPERATIONS` operations.
type Contender<'a> = (&'static str, Box<dyn FnMut() + 'a>);

/// Medians in ns per operation, in the order of the contenders.
fn medians(contenders: &mut [Contender<'_>]) -> Vec<f64> {
    let mut times = vec![Vec::with_capacity(ROUNDS); contenders.len()];
    for round in 0..ROUNDS + 3 {
        for (times, (_, run)) in times.iter_mut().zip(contenders.iter_mut()) {
            let start = Instant::now();
            run();
            let ns = start.elapsed().as_nanos() as f64 / OPERATIONS as f64;
            if round >= 3 {
                times.push(ns);
            }
        }
    }
    times
        .into_iter()
        .map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        })
        .collect()
}

struct Report {
    failed: bool,
    /// How much worse than its goal a ratio may be before the run fails.
    tolerance: f64,
}

impl Report {
    /// Prints the workload, and checks that the first contender takes at most `goal` times as long as the second.
    /// A workload without a goal is only shown.
    fn compare(&mut self, workload: &str, goal: Option<f64>, mut contenders: Vec<Contender<'_>>) {
        let medians = medians(&mut contenders);
        let ratio = medians[0] / medians[1];
        self.failed |= goal.is_some_and(|goal| ratio > goal * self.tolerance);
        println!("{workload}");
        for ((name, _), ns) in contenders.iter().zip(&medians) {
            println!("  {name:<28} {ns:8.2} ns");
        }
        match goal {
            Some(goal) => {
                let verdict = match ratio / goal {
                    over if over <= 1.0 => "met",
                    over if over <= self.tolerance => "missed, but tolerated",
                    _ => "MISSED",
                };
                println!("  ratio {ratio:.2}, goal <= {goal:.2}: {verdict}");
            }
            None => println!("  ratio {ratio:.2}, no goal yet"),
        }
    }
}

fn buffer() -> Box<[f32; 256]> {
    Box::new([0.0; 256])
}

fn pair_local(report: &mut Report) {
    let idle = RefCell::new(vec![buffer()]);
    let pool = LocalPool::new(|_: &()| Ok::<_, Infallible>(buffer()));
    drop(pool.acquire());
    report.compare(
        "LocalPool: acquire, write, release, against a Vec's pop, write, push",
        Some(1.1),
        vec![
            (
                "LocalPool",
                Box::new(|| {
                    for at in 0..OPERATIONS {
                        if let Ok(mut lease) = pool.acquire() {
                            lease[at & 255] = 1.0;
                            black_box(&mut *lease);
                        }
                    }
                }),
            ),
            (
                "Vec in a RefCell",
                Box::new(|| {
                    for at in 0..OPERATIONS {
                        let popped = idle.borrow_mut().pop();
                        if let Some(mut object) = popped {
                            object[at & 255] = 1.0;
                            black_box(&mut *object);
                            idle.borrow_mut().push(object);
                        }
                    }
                }),
            ),
            (
                "malloc",
                Box::new(|| {
                    for at in 0..OPERATIONS {
                        let mut object = black_box(buffer());
                        object[at & 255] = 1.0;
                        black_box(&mut *object);
                    }
                }),
            ),
        ],
    );
}

/// Many are out at a time, and go back in the order in which they came.
fn burst_local(report: &mut Report) {
    const BURST: usize = 64;
    let idle = RefCell::new(Vec::from_iter((0..BURST).map(|_| buffer())));
    let pool = LocalPool::new(|_: &()| Ok::<_, Infallible>(buffer()));
    drop(pool.prewarm(BURST));
    let (mut leases, mut objects) = ([const { None }; BURST], [const { None }; BURST]);
    report.compare(
        "LocalPool: bursts of 64, acquire all, release all, against a Vec's pops and pushes",
        Some(1.0),
        vec![
            (
                "LocalPool",
                Box::new(|| {
                    for _ in 0..OPERATIONS / BURST {
                        leases.iter_mut().for_each(|place| *place = pool.acquire().ok());
                        black_box(&mut leases).iter_mut().for_each(|place| drop(place.take()));
                    }
                }),
            ),
            (
                "Vec in a RefCell",
                Box::new(|| {
                    for _ in 0..OPERATIONS / BURST {
                        objects.iter_mut().for_each(|place| *place = idle.borrow_mut().pop());
                        for object in black_box(&mut objects).iter_mut().filter_map(Option::take) {
                            idle.borrow_mut().push(object);
                        }
                    }
                }),
            ),
        ],
    );
}

/// 64 keys, a few of them much used: a fixed pseudo-random sequence, the same for all.
fn keys(count: usize, distinct: u32) -> Vec<u32> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // Zipf with exponent 1, by inversion.
            let uniform = (state >> 11) as f64 / (1u64 << 53) as f64;
            ((f64::from(distinct) + 1.0).powf(uniform) - 1.0) as u32
        })
        .collect()
}

/// Acquire, write, release, for each key in turn.
fn lease_each<F>(pool: &KeyedPool<u32, F>, sequence: &[u32])
where
    F: pool_core::Factory<u32, Object = Box<[f32; 256]>>,
{
    for key in sequence {
        if let Ok(mut lease) = pool.acquire(key) {
            lease[0] = 1.0;
            black_box(&mut *lease);
        }
    }
}

fn keyed_hits(report: &mut Report) {
    let sequence = keys(OPERATIONS, 64);
    let pool = KeyedPool::new(|_: &u32| Ok::<_, Infallible>(buffer()));
    let mut cache: LruCache<u32, Box<[f32; 256]>> = LruCache::new(1024);
    for key in 0..64 {
        drop(pool.acquire(&key));
        cache.insert(key, buffer());
    }
    report.compare(
        "KeyedPool: 64 keys, Zipf, all hits, against hashlink's LruCache (remove, use, insert)",
        Some(1.0),
        vec![
            ("KeyedPool", Box::new(|| lease_each(&pool, &sequence))),
            (
                "hashlink",
                Box::new(|| {
                    for key in &sequence {
                        if let Some(mut object) = cache.remove(key) {
                            object[0] = 1.0;
                            black_box(&mut *object);
                            cache.insert(*key, object);
                        }
                    }
                }),
            ),
        ],
    );
}

fn keyed_evicting(report: &mut Report) {
    let sequence = keys(OPERATIONS, 1024);
    let account = Account::new("bench", 256 * (1024 + size_of::<Box<()>>()));
    let pool = KeyedPool::builder(|_: &u32| Ok::<_, Infallible>(buffer())).account(account).build();
    let mut cache: LruCache<u32, Box<[f32; 256]>> = LruCache::new(256);
    report.compare(
        "KeyedPool: 1024 keys, Zipf, a budget of 256 objects, evicting, against hashlink",
        None,
        vec![
            ("KeyedPool", Box::new(|| lease_each(&pool, &sequence))),
            (
                "hashlink",
                Box::new(|| {
                    for key in &sequence {
                        let mut object = cache.remove(key).unwrap_or_else(buffer);
                        object[0] = 1.0;
                        black_box(&mut *object);
                        cache.insert(*key, object);
                    }
                }),
            ),
        ],
    );
}

/// The same ten objects come and go, of few or many that exist, so that memory caches do not decide.
fn flat(report: &mut Report) {
    let small = LocalPool::new(|_: &()| Ok::<_, Infallible>([0u64; 8]));
    let large = LocalPool::new(|_: &()| Ok::<_, Infallible>([0u64; 8]));
    drop(small.prewarm(10));
    drop(large.prewarm(100_000));
    fn bursts<F: pool_core::Factory>(pool: &LocalPool<F>) {
        for _ in 0..OPERATIONS / 10 {
            let leases: [_; 10] = std::array::from_fn(|_| pool.acquire().ok());
            black_box(&leases);
        }
    }
    report.compare(
        "LocalPool: bursts of 10, of 100 000 objects against 10",
        Some(1.3),
        vec![("100 000 objects", Box::new(|| bursts(&large))), ("10 objects", Box::new(|| bursts(&small)))],
    );

    let make = |_: &u32| Ok::<_, Infallible>([0u64; 8]);
    let (few, many) = (KeyedPool::new(make), KeyedPool::new(make));
    for key in 0..10 {
        drop(few.prewarm(&key, 1));
    }
    for key in 0..100_000 {
        drop(many.prewarm(&key, 1));
    }
    let sequence: Vec<u32> = (0..OPERATIONS as u32).map(|at| at % 10).collect();
    let hits = |pool: &KeyedPool<u32, _>| {
        for key in &sequence {
            black_box(&mut pool.acquire(key).ok());
        }
    };
    report.compare(
        "KeyedPool: hits on 10 keys, of 100 000 keys against 10",
        Some(1.3),
        vec![("100 000 keys", Box::new(|| hits(&many))), ("10 keys", Box::new(|| hits(&few)))],
    );
}

fn main() -> ExitCode {
    // `cargo test --benches` runs benchmarks with `--test`: once, to see that they work, without judging times.
    let judge = !std::env::args().any(|arg| arg == "--test");
    // `--tolerance 1.5` is for machines with other work: it finds regressions, not whether a goal is met.
    let tolerance = std::env::args().skip_while(|arg| arg != "--tolerance").nth(1);
    let tolerance = tolerance.and_then(|factor| factor.parse().ok()).unwrap_or(1.0);
    let mut report = Report { failed: false, tolerance };
    pair_local(&mut report);
    burst_local(&mut report);
    keyed_hits(&mut report);
    keyed_evicting(&mut report);
    flat(&mut report);
    ExitCode::from(u8::from(judge && report.failed))
}
