//! Replays the fuzzer's corpus on a stable compiler.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use arbitrary::{Arbitrary, Unstructured};
use pool_fuzz::{Config, Op, run, run_several};

// What the fuzzer once found to take a way of its own through the pool, and what it once failed on.
#[test]
fn the_corpus_passes() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/keyed");
    let (mut inputs, mut operations) = (0, 0);
    for entry in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        // As `fuzz_target!` does it.
        let Ok((configs, ops)) = <([Config; 3], Vec<Op>)>::arbitrary_take_rest(Unstructured::new(&bytes))
        else {
            continue;
        };
        run(&ops, &configs[0]);
        run_several(&ops, &configs);
        inputs += 1;
        operations += ops.len();
    }
    assert!(inputs >= 20 && operations >= 1000, "{inputs} inputs, {operations} operations: no corpus");
}
