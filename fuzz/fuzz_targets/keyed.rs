//! Operations on a keyed pool against a model: `cargo +nightly fuzz run keyed`.
//!
//! The input's first bytes are the pool's bounds, the rest operations. Without `cargo fuzz`, which sets
//! `cfg(fuzzing)`, this is a program that does nothing, so that the workspace builds on a stable compiler.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: (pool_fuzz::Config, Vec<pool_fuzz::Op>)| {
    let (config, ops) = input;
    pool_fuzz::run(&ops, &config);
});

#[cfg(not(fuzzing))]
fn main() {}
