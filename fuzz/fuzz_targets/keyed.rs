//! Operations on keyed pools against a model: `cargo +nightly fuzz run keyed`.
//!
//! The input's first bytes are the bounds of three pools, the rest operations: on the first alone, growing and fixed, and on
//! all three under one tree of accounts. Without `cargo fuzz`, which sets
//! `cfg(fuzzing)`, this is a program that does nothing, so that the workspace builds on a stable compiler.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: ([pool_fuzz::Config; 3], Vec<pool_fuzz::Op>)| {
    let (configs, ops) = input;
    pool_fuzz::run(&ops, &configs[0]);
    pool_fuzz::run_several(&ops, &configs);
});

#[cfg(not(fuzzing))]
fn main() {}
