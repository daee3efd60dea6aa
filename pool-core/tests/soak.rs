//! Eight threads at two keyed pools, a class and a pool without keys under one tree of accounts, for long; in the end every
//! account is at zero and every object has ended.
//!
//! What they do and what must hold is in `pool-fuzz`, which the fuzz target `shared_keyed` shares. Here nobody invents
//! inputs; it is the number that counts: 10^6 operations, and with `POOL_SOAK=long` (`cargo xtask soak`) 10^8.
#![cfg(all(not(pool_core_loom), feature = "lock_api"))]

use arbitrary::{Arbitrary, Unstructured};
use pool_fuzz::{Shared, SharedConfig, SharedOp, run_shared};
use std::time::Instant;

const THREADS: u64 = 8;

fn operations() -> u64 {
    match std::env::var("POOL_SOAK") {
        _ if cfg!(miri) => 400,
        Ok(value) if value == "long" => 100_000_000,
        _ => 1_000_000,
    }
}

/// Numbers that look random (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// An operation as programs do them: mostly taking and giving back, seldom what changes bounds or spoils a call.
    fn op(&mut self) -> SharedOp {
        let [a, b, c, ..] = self.next().to_le_bytes();
        let (pool, key, nth) = (a, b, b);
        match c {
            0..90 => SharedOp::Acquire { pool, key },
            90..100 => SharedOp::TryAcquire { pool, key },
            100..115 => SharedOp::AcquireClass { idle: pool % 2 == 0 },
            115..125 => SharedOp::AcquirePlain { idle: pool % 2 == 0 },
            125..230 => SharedOp::Release { nth, token: pool % 8 == 0 },
            _ => self.any(),
        }
    }

    fn any(&mut self) -> SharedOp {
        let bytes = [self.next(), self.next()].map(u64::to_le_bytes).concat();
        match SharedOp::arbitrary(&mut Unstructured::new(&bytes)) {
            // Both limits stay near what is needed, or most operations would only be refused.
            Ok(SharedOp::SetHardLimit { top, bytes }) => {
                SharedOp::SetHardLimit { top, bytes: 100 + bytes / 4 }
            }
            Ok(op) => op,
            Err(error) => panic!("sixteen bytes are no operation: {error}"),
        }
    }
}

// What only shows after a long time: counts that drift apart, a byte in a million lost, an order of threads that is rare.
#[test]
fn a_long_time_of_everything_ends_at_zero() {
    let (all, began) = (operations(), Instant::now());
    let config = SharedConfig { limits: [160, 110], idle_ttl: Some(200), window: 4, max_objects: 15 };
    let pools = Shared::new(&config);
    pools.together((0..THREADS).map(|thread| {
        let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ (thread + 1));
        Box::new((0..all / THREADS).map(move |_| random.op())) as Box<dyn Iterator<Item = SharedOp> + Send>
    }));
    println!("{}", pools.counts());
    pools.end();
    let took = began.elapsed();
    println!(
        "{all} operations by {THREADS} threads in {:.1} s, {} ns each",
        took.as_secs_f64(),
        took.as_nanos() / u128::from(all)
    );
}

// The same by one thread, which checks all sums after each operation, and some others after that; many short lives.
#[test]
fn short_lives_of_everything_keep_every_sum() {
    let mut random = Random(1);
    for _ in 0..if cfg!(miri) { 2 } else { 300 } {
        let bytes = [random.next(), random.next()].map(u64::to_le_bytes).concat();
        let Ok(config) = SharedConfig::arbitrary(&mut Unstructured::new(&bytes)) else { continue };
        let mut ops = |count| (0..count).map(|_| random.any()).collect::<Vec<_>>();
        let (alone, threads) = (ops(150), [ops(40), ops(40)]);
        run_shared(&config, &alone, &threads);
    }
}
