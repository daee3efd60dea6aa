//! Tokens presented to every kind of pool: `cargo +nightly fuzz run tokens`. As `keyed`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|ops: Vec<pool_fuzz::TokenOp>| {
    pool_fuzz::run_tokens(&ops);
});

#[cfg(not(fuzzing))]
fn main() {}
