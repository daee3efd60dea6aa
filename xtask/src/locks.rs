//! No lock type in the modules that run on audio threads: clippy looks for them, and must find one that is planted in each.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::copy::Copy;
use crate::process;
use crate::setup;
use crate::workspace::Workspace;

/// Those with such modules. A package that depends on another comes after it.
const PACKAGES: &[&str] = &["pool-core", "pool-audio"];
/// What a module has at its head that shall have no lock.
const MARK: &str = "#![deny(clippy::disallowed_types)]";
/// What clippy says of a lock.
const SIGN: &str = "an audio thread must not wait";
/// A lock, at the end of a module.
const PLANTED: &str = "\n/// Planted.\n#[allow(dead_code)]\nstruct PlantedLock(std::sync::Mutex<()>);\n";

/// Looks at the sources as they are, and at a copy of them with a lock in every such module.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    setup::component("clippy", "clippy", "it finds lock types in modules that run on audio threads")?;
    process::run(&mut clippy(&workspace.root, &workspace.target, PACKAGES))
        .context("a lock type in a real-time module, or another lint")?;

    let copy = Copy::new(&workspace.root, workspace.target.join("planted-locks/source"));
    for package in PACKAGES {
        let modules = marked(&copy, &workspace.root, package)?;
        copy.write(|name, text| {
            Ok(modules.iter().any(|module| module == name).then(|| format!("{text}{PLANTED}")))
        })?;
        let mut clippy = clippy(copy.folder(), &workspace.target, &[package]);
        println!("$ {}", process::shown(&clippy));
        let output = clippy.output().context("cargo could not be started")?;
        let said = String::from_utf8_lossy(&output.stderr);
        let blind = unseen(&said, &modules);
        if output.status.success() || !blind.is_empty() {
            bail!("a lock is not seen that was planted in {}:\n{said}", blind.join(", "));
        }
        let count = modules.len();
        println!("  green, and red with a lock planted: each of the {count} real-time modules of {package}");
    }
    Ok(())
}

fn clippy(root: &Path, target: &Path, packages: &[&str]) -> Command {
    let mut clippy = process::cargo();
    clippy.current_dir(root).args(["clippy", "--all-features", "--target-dir"]).arg(target);
    packages.iter().for_each(|package| _ = clippy.args(["--package", package]));
    clippy.args(["--", "-D", "warnings"]);
    clippy
}

/// The modules of a package that say of themselves that they have no lock.
fn marked(copy: &Copy<'_>, root: &Path, package: &str) -> Result<Vec<String>> {
    let mut modules = Vec::new();
    for name in copy.files()? {
        if name.starts_with(&format!("{package}/src/")) && name.ends_with(".rs") {
            let text = std::fs::read_to_string(root.join(&name))?;
            if text.lines().any(|line| line == MARK) {
                modules.push(name);
            }
        }
    }
    if modules.is_empty() {
        bail!("{package} has no real-time module: none begins with `{MARK}`");
    }
    Ok(modules)
}

/// The modules in which no lock was seen. Each message begins with the reason and goes on with the place.
fn unseen(said: &str, modules: &[String]) -> Vec<String> {
    let messages = || said.split("\n\n").filter(|message| message.contains(SIGN));
    let seen = |module: &str| messages().any(|message| message.contains(&format!("--> {module}:")));
    modules.iter().filter(|module| !seen(module)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: another error in a module, or one in another module, taken for the lock's.
    #[test]
    fn a_lock_is_seen_where_it_is() {
        let lock = |module: &str| {
            format!(
                "error: use of a disallowed type `std::sync::Mutex`\n --> {module}:9:20\n  |\n  = note: {SIGN}\n\n"
            )
        };
        let other = "error: unused variable\n --> a.rs:1:1\n  |\n\n";
        let modules = ["a.rs".to_owned(), "b.rs".to_owned()];
        assert_eq!(unseen(&format!("{}{}", lock("a.rs"), lock("b.rs")), &modules), Vec::<String>::new());
        assert_eq!(unseen(&format!("{other}{}", lock("b.rs")), &modules), ["a.rs"]);
        assert_eq!(unseen(&lock("aa.rs"), &modules).len(), 2);
    }
}
