//! Replays the fuzzer's corpora on a stable compiler.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use arbitrary::{Arbitrary, Unstructured};
use pool_fuzz::{
    AccountOp, Config, Deed, Op, Planted, Setup, SharedConfig, SharedOp, TokenOp, run, run_accounts,
    run_callbacks, run_several, run_shared, run_tokens,
};

/// What the fuzzer once found to take a way of its own through the code, and what it once failed on. `run` returns how
/// many operations it did.
fn replay<T: for<'a> Arbitrary<'a>>(target: &str, run: impl Fn(T) -> usize) {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let (mut inputs, mut operations) = (0, 0);
    for entry in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        // As `fuzz_target!` does it.
        let Ok(input) = T::arbitrary_take_rest(Unstructured::new(&bytes)) else { continue };
        operations += run(input);
        inputs += 1;
    }
    assert!(inputs >= 20 && operations >= 500, "{inputs} inputs, {operations} operations: no corpus");
}

#[test]
fn the_corpus_of_keyed_pools_passes() {
    replay("keyed", |(configs, ops): ([Config; 3], Vec<Op>)| {
        run(&ops, &configs[0]);
        run_several(&ops, &configs);
        ops.len()
    });
}

#[test]
fn the_corpus_of_keyed_pools_for_threads_passes() {
    replay("shared_keyed", |(config, ops, threads): (SharedConfig, Vec<SharedOp>, [Vec<SharedOp>; 3])| {
        run_shared(&config, &ops, &threads);
        ops.len() + threads.iter().map(Vec::len).sum::<usize>()
    });
}

#[test]
fn the_corpus_of_callbacks_passes() {
    replay("callbacks", |(configs, planted, deeds): ([Config; 3], Vec<Planted>, Vec<Deed>)| {
        run_callbacks(&deeds, &planted, &configs);
        deeds.len()
    });
}

#[test]
fn the_corpus_of_accounts_passes() {
    replay("accounts", |(setup, ops): (Setup, Vec<AccountOp>)| {
        run_accounts(&ops, &setup);
        ops.len()
    });
}

#[test]
fn the_corpus_of_tokens_passes() {
    replay("tokens", |ops: Vec<TokenOp>| {
        run_tokens(&ops);
        ops.len()
    });
}
