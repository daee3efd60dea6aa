//! A short run of every fuzz target.

use anyhow::{Result, bail};

use crate::process;
use crate::setup;
use crate::workspace::Workspace;

/// The package that holds the targets as binaries.
const PACKAGE: &str = "pool-fuzz";
/// The compiler whose sanitizers libFuzzer needs.
const TOOLCHAIN: &str = "nightly";
/// Seconds per target: enough to find what a change breaks outright.
const SECONDS: u32 = 12;

/// Runs each target for some seconds, from the corpus that is kept.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let package = workspace.member(PACKAGE)?;
    if package.binaries.is_empty() {
        bail!("{PACKAGE} has no fuzz target: no binary in its manifest");
    }
    setup::toolchain(TOOLCHAIN, "fuzz targets are built with its sanitizers")?;
    let tools = setup::cargo_fuzz(workspace)?;
    for target in &package.binaries {
        println!("Fuzzing {target} for {SECONDS} s");
        let mut fuzz = process::cargo_of(TOOLCHAIN);
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
        fuzz.arg("--").arg(format!("-max_total_time={SECONDS}"));
        if let Some(tools) = &tools {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::iter::once(tools.clone()).chain(std::env::split_paths(&path));
            fuzz.env("PATH", std::env::join_paths(folders)?);
        }
        process::run(&mut fuzz)?;
    }
    Ok(())
}
