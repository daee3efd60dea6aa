//! Mutation tests: does a test fail when an operator, a constant or a body is changed?

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::setup;
use crate::workspace::Workspace;

/// What the mutants of some files are looked for with.
struct Subject {
    files: &'static [&'static str],
    /// Those that are built and run soonest come first, and each of the following tries what these let pass.
    passes: &'static [&'static [&'static str]],
}

const SUBJECTS: &[Subject] = &[
    Subject {
        files: &["pool-core/src/account.rs", "pool-core/src/account/*.rs", "pool-core/src/tracker.rs"],
        passes: &[
            &["--test=accounts", "--test=tracker", "--test=contract"],
            &["--lib", "--test=accounts_model", "--test=accounts_threads"],
            // Much of how pools give way to one another is seen only where there are pools.
            &["--test=keyed", "--test=keyed_watch", "--test=shared_keyed", "--test=asked_for"],
        ],
    },
    Subject {
        files: &["pool-core/src/keyed.rs", "pool-core/src/keyed/*.rs", "pool-core/src/lru.rs"],
        passes: &[
            &["--test=contract", "--test=keyed_watch"],
            &["--lib", "--test=keyed", "--test=shared_keyed", "--test=asked_for"],
            &["--test=model"],
        ],
    },
];

/// At least so many of the mutants that can be built must be caught, in per cent.
const WANTED: f64 = 95.0;

/// The text that explains those that are not caught, one by one.
const EXPLAINED: &str = "docs/mutants.md";

/// Tries every mutant of the files whose path holds `only`, or of all; hours, for all.
pub(crate) fn run(workspace: &Workspace, only: Option<&str>) -> Result<()> {
    let tools = setup::cargo_mutants(workspace)?;
    let mut problems = Vec::new();
    let mut any = false;
    for (index, subject) in SUBJECTS.iter().enumerate() {
        let files: Vec<&str> = subject
            .files
            .iter()
            .copied()
            .filter(|file| only.is_none_or(|only| file.contains(only)))
            .collect();
        if files.is_empty() {
            continue;
        }
        any = true;
        let out = workspace.target.join("mutants").join(index.to_string());
        let mut result = Outcome { caught: 0, missed: Vec::new() };
        for (nth, tests) in subject.passes.iter().enumerate() {
            if nth > 0 && result.missed.is_empty() {
                break;
            }
            let out = out.join(nth.to_string());
            fs::create_dir_all(&out)?;
            let mut mutants = mutants_of(workspace, &files, tests, &result.missed);
            if let Some(tools) = &tools {
                let path = std::env::var_os("PATH").unwrap_or_default();
                let folders = std::iter::once(tools.clone()).chain(std::env::split_paths(&path));
                mutants.env("PATH", std::env::join_paths(folders)?);
            }
            let pass = outcome(mutants.arg("--output").arg(&out), &out.join("mutants.out"), &result.missed)?;
            result = Outcome { caught: result.caught + pass.caught, missed: pass.missed };
        }
        judge(&result, &mut problems)?;
    }
    if !any {
        bail!("no file that is tested so holds `{}` in its path", only.unwrap_or_default());
    }
    if !problems.is_empty() {
        bail!("{}; those that cannot be caught are explained in {EXPLAINED}", problems.join("; "));
    }
    Ok(())
}

/// What tries the mutants of these files that are called `which`, or all, with these tests.
fn mutants_of(workspace: &Workspace, files: &[&str], tests: &[&str], which: &[String]) -> Command {
    let mut mutants = process::cargo();
    mutants.current_dir(&workspace.root).args(["mutants", "--package", "pool-core"]);
    for file in files {
        mutants.args(["--file", file]);
    }
    for name in which {
        mutants.arg("--re").arg(format!("^{}$", literal(name)));
    }
    // Not after `--`: so it builds no other tests, either.
    for test in tests {
        mutants.arg(format!("--cargo-arg={test}"));
    }
    // Models and targets without `std` see code that these tests do not build; and what helps a test is no subject.
    mutants.args(["--exclude-re", "credit_for_model|barrier::heavy|tests::", "--timeout", "30"]);
    // Many a mutant never ends; another is tried meanwhile.
    mutants.args(["--jobs", "2"]);
    mutants.env("CARGO_PROFILE_TEST_DEBUG", "0").env("CARGO_PROFILE_DEV_DEBUG", "0");
    mutants
}

/// A regular expression for this text and no other.
fn literal(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// What became of the mutants that could be built.
struct Outcome {
    caught: usize,
    missed: Vec<String>,
}

/// Runs them. The tool's own verdict is stricter than ours: it fails if any mutant is missed.
///
/// Of those that are called `which`, or of all. The tool tries deleted fields whatever they are called, so others may be there.
fn outcome(mutants: &mut Command, out: &Path, which: &[String]) -> Result<Outcome> {
    let status = mutants.status().context("cargo-mutants could not be run")?;
    // 2: some were missed; 3: some timed out.
    if !matches!(status.code(), Some(0 | 2 | 3)) {
        bail!("cargo-mutants failed: {status}");
    }
    let lines = |name: &str| -> Result<Vec<String>> {
        let file = out.join(name);
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let asked = |name: &String| which.is_empty() || which.contains(name);
        Ok(text.lines().map(str::to_owned).filter(asked).collect())
    };
    // A mutant that never ends is seen to be one.
    Ok(Outcome {
        caught: lines("caught.txt")?.len() + lines("timeout.txt")?.len(),
        missed: lines("missed.txt")?,
    })
}

fn judge(result: &Outcome, problems: &mut Vec<String>) -> Result<()> {
    let Outcome { caught, missed } = result;
    let share = share(*caught, missed.len())?;
    println!("{caught} of {} mutants were caught, {share:.1} %; not these:", caught + missed.len());
    for name in missed {
        println!("  {name}");
    }
    if share < WANTED {
        problems.push(format!("only {share:.1} % of {} mutants were caught", caught + missed.len()));
    }
    Ok(())
}

fn share(caught: usize, missed: usize) -> Result<f64> {
    if caught + missed == 0 {
        bail!("there was nothing to test: no mutant could be built");
    }
    Ok(100.0 * caught as f64 / (caught + missed) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: files that have moved away, of which nobody would miss the mutants; no mutants taken for all caught.
    #[test]
    fn every_file_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for file in SUBJECTS.iter().flat_map(|subject| subject.files) {
            let path = root.join(file.trim_end_matches("/*.rs"));
            assert!(path.exists(), "{file}");
        }
        assert!(share(0, 0).is_err());
        assert!(matches!(share(19, 1), Ok(share) if share == WANTED));
    }

    /// Catches: names of mutants that are taken for patterns, so that the second pass tries none of them, or others.
    #[test]
    fn a_mutant_is_named_as_it_is() {
        assert_eq!(
            literal(r"a.rs:1:2: replace += with -= in A<B>::c"),
            r"a\.rs:1:2: replace \+= with \-= in A<B>::c"
        );
        assert_eq!(literal(r"f -> Option<()> with None"), r"f \-> Option<\(\)> with None");
    }
}
