//! Models of the pools for threads, run in every order in which their threads can meet.

use anyhow::Result;

use crate::args::Depth;
use crate::process;
use crate::testing::run_counting;
use crate::workspace::Workspace;

/// Runs the models with as many preemptions as time allows: most faults need one or two.
pub(crate) fn run(workspace: &Workspace, depth: Depth) -> Result<()> {
    let preemptions = match depth {
        Depth::Short => "2",
        Depth::Deep => "3",
    };
    let mut test = process::cargo();
    test.current_dir(&workspace.root).args(["test", "--release", "--package", "pool-core", "--test", "loom"]);
    test.args(["--features", "lock_api"]);
    // The cfg is for every package, so what it builds is kept apart.
    test.arg("--target-dir").arg(workspace.target.join("loom"));
    test.env("RUSTFLAGS", "--cfg pool_core_loom").env("LOOM_MAX_PREEMPTIONS", preemptions);
    run_counting(&mut test)
}
