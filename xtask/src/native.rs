//! The native demo, and the check of what it leaves.

use std::ffi::OsString;
use std::fs;

use anyhow::{Context, Result, bail};

use crate::jack;
use crate::process;
use crate::report;
use crate::setup;
use crate::sound;
use crate::workspace::Workspace;

/// The package of the demo.
const PACKAGE: &str = "pool-audio-demo";

/// Runs the native demo; `arguments` are its own options and files.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    let mut demo = process::cargo();
    // Not in the root: files are named from where the user stands.
    demo.args(["run", "--release", "--package", PACKAGE]);
    if jack::is_asked_for(arguments) {
        setup::jack_server()?;
        demo.args(["--features", "jack"]);
    }
    demo.arg("--manifest-path");
    demo.arg(workspace.root.join("Cargo.toml"));
    demo.arg("--target-dir").arg(&workspace.target);
    demo.arg("--").arg("--out").arg(workspace.demo_folder()).args(arguments);
    process::run(&mut demo)
}

/// Runs the native demo on the bundled kit and checks its report and its sound.
pub(crate) fn run_checked(workspace: &Workspace) -> Result<()> {
    let folder = workspace.demo_folder();
    let (wav, json) = (folder.join("mix.wav"), folder.join("native.json"));
    for old in [&wav, &json] {
        // Results of an earlier run must not pass for this one's.
        if old.exists() {
            fs::remove_file(old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
    }
    run(workspace, &[])?;
    let text = fs::read_to_string(&json).with_context(|| format!("the demo wrote no {}", json.display()))?;
    let mut problems = report::native_problems(&serde_json::from_str(&text)?);
    problems.extend(sound::problems(&wav));
    if !problems.is_empty() {
        bail!("the native demo does not keep its promises:\n- {}", problems.join("\n- "));
    }
    println!("{} and {} are as promised.", workspace.shown(&json), workspace.shown(&wav));
    Ok(())
}
