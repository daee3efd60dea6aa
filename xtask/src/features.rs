//! Builds of every subset of features, on the host and where there is no `std`.

use anyhow::Result;

use crate::process;
use crate::setup;
use crate::site::WASM_TARGET;
use crate::workspace::{Package, Workspace};

/// The packages that build without `std`.
const NO_STD_PACKAGES: &[&str] = &["pool-core", "pool-audio"];
/// A core without compare-and-swap, one without 64-bit atomics, and one without threads.
const NO_STD_TARGETS: &[&str] = &["thumbv6m-none-eabi", "thumbv7em-none-eabihf", WASM_TARGET];
/// The features that need an operating system, or (`tracing`) compare-and-swap.
const HOSTED: &[&str] = &["std", "metrics", "tracing"];
/// Of more features than this not every subset is built.
const MAX_POWERSET: usize = 4;

/// Builds every published package with every subset of its features, on the host.
pub(crate) fn host(workspace: &Workspace) -> Result<()> {
    for package in workspace.published() {
        for subset in subsets(&names(package, |_| true), Pairs::Too) {
            build(workspace, package, &subset, None)?;
        }
    }
    Ok(())
}

/// Builds the core for machines without an operating system.
pub(crate) fn no_std(workspace: &Workspace) -> Result<()> {
    for target in NO_STD_TARGETS {
        setup::rust_target(target, "the core must build without an operating system")?;
        for name in NO_STD_PACKAGES {
            let package = workspace.member(name)?;
            for subset in subsets(&names(package, |name| !is_hosted(package, name)), Pairs::No) {
                build(workspace, package, &subset, Some(target))?;
            }
        }
    }
    Ok(())
}

fn names(package: &Package, wanted: impl Fn(&str) -> bool) -> Vec<&str> {
    package.features.iter().map(String::as_str).filter(|name| wanted(name)).collect()
}

/// Whether a feature is one of [`HOSTED`], or switches the standard library on.
fn is_hosted(package: &Package, name: &str) -> bool {
    let others = package.raw["features"][name].as_array();
    HOSTED.contains(&name) || others.is_some_and(|others| others.iter().any(|other| other == "std"))
}

fn build(workspace: &Workspace, package: &Package, subset: &[&str], target: Option<&str>) -> Result<()> {
    let mut build = process::cargo();
    build.current_dir(&workspace.root);
    build.args(["rustc", "--quiet", "--lib", "--package", &package.name, "--no-default-features"]);
    build.arg("--target-dir").arg(&workspace.target);
    if !subset.is_empty() {
        build.arg("--features").arg(subset.join(","));
    }
    if let Some(target) = target {
        build.args(["--target", target]);
    }
    // A warning that only one combination shows is seen here and nowhere else.
    build.args(["--", "-D", "warnings"]);
    process::run(&mut build)
}

/// Whether of many features pairs are built: on the host, where what they have in common is built already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pairs {
    Too,
    No,
}

/// Every subset, the empty one first; of many features only none, single ones, perhaps pairs, and all.
fn subsets<'n>(names: &[&'n str], pairs: Pairs) -> Vec<Vec<&'n str>> {
    if names.len() > MAX_POWERSET {
        let mut few = vec![Vec::new()];
        few.extend(names.iter().map(|name| vec![*name]));
        if pairs == Pairs::Too {
            let below = |at: usize| names[..at].iter();
            few.extend(names.iter().enumerate().flat_map(|(at, one)| below(at).map(|two| vec![*two, *one])));
        }
        few.push(names.to_vec());
        return few;
    }
    let member = |bits: usize, index: usize| bits >> index & 1 == 1;
    (0..1_usize << names.len())
        .map(|bits| {
            names
                .iter()
                .enumerate()
                .filter(|(index, _)| member(bits, *index))
                .map(|(_, name)| *name)
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a combination that is never built.
    #[test]
    fn every_subset_is_there_once() {
        let all = subsets(&["alloc", "serde", "std"], Pairs::No);
        assert_eq!(all.len(), 8);
        for wanted in [vec![], vec!["alloc"], vec!["alloc", "serde"], vec!["alloc", "serde", "std"]] {
            assert_eq!(all.iter().filter(|subset| **subset == wanted).count(), 1, "{wanted:?}");
        }
    }

    #[test]
    fn many_features_are_built_singly_in_pairs_and_together() {
        let names = ["a", "b", "c", "d", "e"];
        let some = subsets(&names, Pairs::Too);
        assert_eq!(some.len(), 1 + 5 + 10 + 1);
        assert_eq!(subsets(&names, Pairs::No).len(), 1 + 5 + 1);
        assert_eq!((&some[6], &some[16]), (&vec!["a", "b"], &names.to_vec()));
    }
}
