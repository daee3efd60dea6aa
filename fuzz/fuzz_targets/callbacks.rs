//! Keyed pools whose callbacks panic and use the pools again: `cargo +nightly fuzz run callbacks`.
//!
//! The input is the bounds of three pools, what is done to them, and what callbacks do. Without `cargo fuzz`, as `keyed`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
type Input = ([pool_fuzz::Config; 3], Vec<pool_fuzz::Planted>, Vec<pool_fuzz::Deed>);

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: Input| {
    let (configs, planted, deeds) = input;
    pool_fuzz::run_callbacks(&deeds, &planted, &configs);
});

#[cfg(not(fuzzing))]
fn main() {}
