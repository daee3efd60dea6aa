//! Operations on keyed pools for threads, their classes and a shared pool: `cargo +nightly fuzz run shared_keyed`.
//!
//! The input is the bounds, what one thread does, and what three do at the same time. Without `cargo fuzz`, as `keyed`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
type Input = (pool_fuzz::SharedConfig, Vec<pool_fuzz::SharedOp>, [Vec<pool_fuzz::SharedOp>; 3]);

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: Input| {
    let (config, ops, threads) = input;
    pool_fuzz::run_shared(&config, &ops, &threads);
});

#[cfg(not(fuzzing))]
fn main() {}
