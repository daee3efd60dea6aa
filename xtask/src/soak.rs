//! A long time of everything that threads can do to pools under one tree of accounts.

use anyhow::Result;

use crate::process;
use crate::testing::run_counting;
use crate::workspace::Workspace;

/// Runs the soak test with all of its operations; `cargo test` runs a hundredth.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut test = process::cargo();
    test.current_dir(&workspace.root).args(["test", "--release", "--package", "pool-core"]);
    test.args(["--features", "lock_api", "--test", "soak"]);
    test.arg("--target-dir").arg(&workspace.target);
    test.args(["--", "--nocapture"]).env("POOL_SOAK", "long");
    run_counting(&mut test)
}
