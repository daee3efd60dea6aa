//! Runs each single-threaded contender once, for callgrind to count.
//!
//! ```text
//! valgrind --tool=callgrind --collect-atstart=no --toggle-collect=measured_round --dump-after=measured_round \
//!          --callgrind-out-file=OUT instructions
//! ```
//!
//! Each call of `measured_round` leaves a part `OUT.1`, `OUT.2` and so on. Standard output has a line for each, in the
//! same order: workload, contender and number of operations, with tabs between them.

use pool_bench::{Run, workloads};

/// Enough that what happens once does not count.
const OPERATIONS: usize = 6400;

/// What is counted. callgrind looks for its name, and does not know every way in which compilers mangle names.
// SAFETY: nothing else has this name: no library exports such a function.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "Rust" fn measured_round(run: &mut dyn FnMut(usize)) {
    run(OPERATIONS);
}

fn main() {
    for (slug, make) in workloads::ALL {
        for contender in make().contenders {
            if let Run::Here(mut run) = contender.run {
                // Uncounted: the first objects are created, the first code is loaded.
                run(640);
                measured_round(&mut run);
                println!("{slug}\t{}\t{OPERATIONS}", contender.name);
            }
        }
    }
}
