//! The comparison with the peers: instructions are counted first, then times are measured, judged and written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::args::BenchOptions;
use crate::process;
use crate::setup;
use crate::workspace::Workspace;

/// The package that compares.
const PACKAGE: &str = "pool-bench";
/// Its binary that measures, judges and writes.
const COMPARE: &str = "compare";
/// Its binary that callgrind runs.
const COUNTED: &str = "instructions";
/// The function in it whose calls are counted, one by one.
const ROUND: &str = "measured_round";

/// Runs the comparison; an error if a target is missed.
pub(crate) fn run(workspace: &Workspace, options: BenchOptions) -> Result<()> {
    let folder = workspace.target.join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut build = process::cargo();
    build.current_dir(&workspace.root).args(["build", "--release", "--package", PACKAGE, "--bins"]);
    process::run(build.arg("--target-dir").arg(&workspace.target))?;

    let mut compare = Command::new(binary(workspace, COMPARE));
    compare.arg("--out").arg(&folder);
    match instructions(workspace, &folder.join("callgrind")) {
        Ok(counts) => {
            let file = folder.join("instructions.json");
            fs::write(&file, counts.to_string())
                .with_context(|| format!("cannot write {}", file.display()))?;
            compare.arg("--instructions").arg(file);
        }
        Err(error) => {
            eprintln!("Instructions are not counted: {error:#}");
            compare.arg("--no-instructions").arg(format!("{error:#}"));
        }
    }
    if options.quick {
        compare.arg("--quick");
    }
    if let Some(tolerance) = options.tolerance {
        compare.arg("--tolerance").arg(tolerance.to_string());
    }
    let outcome = process::run(&mut compare);
    println!("The report, the charts and the table are in {}.", workspace.shown(&folder));
    outcome.context("a target is missed, or the comparison failed")
}

fn binary(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.target.join("release").join(name).with_extension(std::env::consts::EXE_EXTENSION)
}

/// Instructions per operation, by workload and contender.
fn instructions(workspace: &Workspace, folder: &Path) -> Result<Value> {
    let valgrind = setup::valgrind()?;
    if folder.exists() {
        // Parts of an earlier run must not pass for this one's.
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let parts = folder.join("callgrind.out");
    let mut count = Command::new(valgrind);
    count.args(["--quiet", "--tool=callgrind", "--collect-atstart=no"]);
    count.arg(format!("--toggle-collect={ROUND}")).arg(format!("--dump-after={ROUND}"));
    count.arg(format!("--callgrind-out-file={}", parts.display()));
    count.arg(binary(workspace, COUNTED));
    println!("Counting instructions: {}", process::shown(&count));
    let rounds = process::output(&mut count)?;
    per_operation(&rounds, |part| {
        let path = folder.join(format!("callgrind.out.{part}"));
        fs::read_to_string(&path).with_context(|| format!("callgrind left no {}", path.display()))
    })
}

/// The rounds as the binary lists them, and the part that each left.
fn per_operation(rounds: &str, part: impl Fn(usize) -> Result<String>) -> Result<Value> {
    let mut all = Map::new();
    for (index, line) in rounds.lines().enumerate() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [workload, contender, operations] = fields[..] else { bail!("no round: `{line}`") };
        let operations: f64 = operations.parse().with_context(|| format!("no number: `{line}`"))?;
        let part = part(index + 1)?;
        let total = part.lines().find_map(|line| line.strip_prefix("totals: "));
        let total: f64 = total.context("callgrind counted nothing")?.trim().parse()?;
        let counts = all.entry(workload).or_insert_with(|| json!({}));
        counts[contender] = json!((total / operations * 10.0).round() / 10.0);
    }
    if all.is_empty() {
        bail!("nothing was run under callgrind");
    }
    Ok(Value::Object(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: counts that land at the wrong contender.
    #[test]
    fn counts_are_of_one_operation_and_in_the_listed_order() {
        let rounds = "pair\tVec in a RefCell\t100\npair\tmalloc\t100\nburst\tmalloc\t10\n";
        let totals = ["totals: 3000", "events: Ir\ntotals: 14250\n", "totals: 10"];
        let counts = per_operation(rounds, |part| Ok(totals[part - 1].to_owned())).unwrap();
        let expected = json!({
            "pair": { "Vec in a RefCell": 30.0, "malloc": 142.5 },
            "burst": { "malloc": 1.0 },
        });
        assert_eq!(counts, expected);
        assert!(per_operation("", |_| Ok(String::new())).is_err());
        assert!(per_operation(rounds, |_| Ok("no totals".into())).is_err());
    }
}
