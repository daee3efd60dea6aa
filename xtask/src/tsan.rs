//! The tests in which threads meet, under ThreadSanitizer, which watches every access and tells which two had no order.

use anyhow::{Result, bail};

use crate::args::Depth;
use crate::process;
use crate::setup::{self, NIGHTLY};
use crate::testing::run_counting;
use crate::workspace::Workspace;

/// Where it is known to work. Rust's ThreadSanitizer exists for a few more targets.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Runs them.
pub(crate) fn run(workspace: &Workspace, depth: Depth) -> Result<()> {
    if !SUPPORTED {
        bail!("`cargo xtask tsan` runs on {TARGET} only.\nRemedy: such a machine, or the CI's");
    }
    setup::nightly_with(&["rust-src"], "ThreadSanitizer needs a `std` that is built with it")?;
    let mut test = process::cargo_of(NIGHTLY);
    test.current_dir(&workspace.root).args(["test", "-Zbuild-std", "--target", TARGET]);
    test.args(["--package", "pool-core", "--features", "lock_api"]);
    test.args(["--test", "stress", "--test", "accounts_threads", "--test", "shared_keyed", "--test", "soak"]);
    test.arg("--target-dir").arg(workspace.target.join("tsan"));
    test.env("RUSTFLAGS", "-Zsanitizer=thread");
    if depth == Depth::Deep {
        test.env("POOL_STRESS", "long");
    }
    run_counting(&mut test)
}

/// Whether this machine is a [`TARGET`].
pub(crate) const SUPPORTED: bool = cfg!(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"));
