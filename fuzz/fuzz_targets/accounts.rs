//! Operations on a tree of accounts against a model: `cargo +nightly fuzz run accounts`. As `keyed`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: (pool_fuzz::Setup, Vec<pool_fuzz::AccountOp>)| {
    let (setup, ops) = input;
    pool_fuzz::run_accounts(&ops, &setup);
});

#[cfg(not(fuzzing))]
fn main() {}
