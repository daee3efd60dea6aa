//! Tests in Miri, an interpreter that finds undefined behaviour: what the compiler may rely on and the code does not
//! keep, orders of weak memory that no processor here shows, leaks.

use anyhow::Result;

use crate::args::Depth;
use crate::process;
use crate::setup::{self, NIGHTLY};
use crate::testing::run_counting;
use crate::workspace::Workspace;

/// A pointer made from a number finds nothing.
const PROVENANCE: &str = "-Zmiri-strict-provenance";
/// Where a library that tests use makes pointers from numbers: parking_lot, for its queues of threads.
const NO_PROVENANCE: &str = "-Zmiri-permissive-provenance";
/// The newer of the two models of what references may alias.
const TREE_BORROWS: &str = "-Zmiri-tree-borrows";
/// Other schedules of threads, other values of weak loads: for the tests that have threads.
const SEEDS: &str = "-Zmiri-many-seeds=0..16";
/// Numbers of 32 bits, and of the other byte order.
const TARGETS: &[&str] = &["i686-unknown-linux-gnu", "s390x-unknown-linux-gnu"];

/// The unit tests, the promises of accounts, the contract of every kind of pool, and what threads do to either.
const SUITES: &[&str] = &[
    "--package",
    "pool-core",
    "--lib",
    "--test",
    "accounts",
    "--test",
    "accounts_threads",
    "--test",
    "shared",
    "--test",
    "contract",
];
/// Those of them that have threads.
const THREADED: &[&str] = &["--package", "pool-core", "--test", "accounts_threads", "--test", "shared"];
/// Keyed pools for threads, over parking_lot's mutex.
const PARKED: &[&str] = &["--package", "pool-core", "--features", "lock_api", "--test", "shared_keyed"];
/// A way of release that keyed pools alone have.
const LATER: &[&str] = &["--package", "pool-core", "--test", "keyed_watch", "quarantine::"];
/// The checks that microcontrollers run too.
const EMBEDDED: &[&str] = &["--package", "pool-embedded"];

/// Interprets the suites.
pub(crate) fn run(workspace: &Workspace, depth: Depth) -> Result<()> {
    setup::nightly_with(&["miri", "rust-src"], "Miri interprets tests, on a `std` built for it")?;
    const ALL: &[(&[&str], &str)] =
        &[(SUITES, PROVENANCE), (LATER, PROVENANCE), (EMBEDDED, PROVENANCE), (PARKED, NO_PROVENANCE)];
    interpret(workspace, ALL, None, &[TREE_BORROWS])?;
    if depth == Depth::Deep {
        interpret(workspace, ALL, None, &[])?;
        let threaded = &[(THREADED, PROVENANCE), (PARKED, NO_PROVENANCE)];
        interpret(workspace, threaded, None, &[TREE_BORROWS, SEEDS])?;
        for target in TARGETS {
            interpret(workspace, ALL, Some(target), &[TREE_BORROWS])?;
        }
    }
    Ok(())
}

fn interpret(
    workspace: &Workspace,
    suites: &[(&[&str], &str)],
    target: Option<&str>,
    flags: &[&str],
) -> Result<()> {
    for &(suite, provenance) in suites {
        let mut test = process::cargo_of(NIGHTLY);
        test.current_dir(&workspace.root).args(["miri", "test"]).args(suite);
        if let Some(target) = target {
            test.args(["--target", target]);
        }
        test.arg("--target-dir").arg(workspace.target.join("miri"));
        test.env("MIRIFLAGS", [&[provenance][..], flags].concat().join(" "));
        run_counting(&mut test)?;
    }
    Ok(())
}
