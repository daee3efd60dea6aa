//! A run of every fuzz target.

use anyhow::{Result, bail};

use crate::args::Depth;
use crate::process;
use crate::setup::{self, NIGHTLY};
use crate::workspace::Workspace;

/// The package that holds the targets as binaries.
const PACKAGE: &str = "pool-fuzz";

/// The target whose inputs start threads: LeakSanitizer takes what the C library allocates for a thread's end for lost if it
/// looks just then. It counts for itself what is made and destroyed.
const THREADED: &str = "shared_keyed";

/// Runs each target, from the corpus that is kept: for some seconds, enough to find what a change breaks outright, or
/// for a minute.
pub(crate) fn run(workspace: &Workspace, depth: Depth) -> Result<()> {
    let seconds = match depth {
        Depth::Short => 12,
        Depth::Deep => 60,
    };
    let package = workspace.member(PACKAGE)?;
    if package.binaries.is_empty() {
        bail!("{PACKAGE} has no fuzz target: no binary in its manifest");
    }
    setup::toolchain(NIGHTLY, "fuzz targets are built with its sanitizers")?;
    let tools = setup::cargo_fuzz(workspace)?;
    for target in &package.binaries {
        println!("Fuzzing {target} for {seconds} s");
        let mut fuzz = process::cargo_of(NIGHTLY);
        fuzz.current_dir(&workspace.root).args(["fuzz", "run"]);
        fuzz.arg("--fuzz-dir").arg(&package.folder);
        fuzz.arg("--target-dir").arg(workspace.target.join("fuzz"));
        fuzz.arg(target);
        // What this run finds new stays under the target folder, and so out of the sources.
        let corpus = workspace.target.join("fuzz-corpus").join(target);
        std::fs::create_dir_all(&corpus)?;
        fuzz.arg(corpus);
        let kept = package.folder.join("corpus").join(target);
        if kept.is_dir() {
            fuzz.arg(kept);
        }
        fuzz.arg("--").arg(format!("-max_total_time={seconds}"));
        if target == THREADED {
            fuzz.arg("-detect_leaks=0");
        }
        if let Some(tools) = &tools {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::iter::once(tools.clone()).chain(std::env::split_paths(&path));
            fuzz.env("PATH", std::env::join_paths(folders)?);
        }
        process::run(&mut fuzz)?;
    }
    Ok(())
}
