//! A run of every fuzz target, and what it came to.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Result, bail};

use crate::args::FuzzOptions;
use crate::process;
use crate::setup::{self, NIGHTLY};
use crate::workspace::Workspace;

/// The package that holds the targets as binaries.
const PACKAGE: &str = "pool-fuzz";

/// The target whose inputs start threads: LeakSanitizer takes what the C library allocates for a thread's end for lost if it
/// looks just then. It counts for itself what is made and destroyed.
const THREADED: &str = "shared_keyed";

/// Runs each target, or the one that is asked for, from the corpus that is kept; then prints a table.
pub(crate) fn run(workspace: &Workspace, options: &FuzzOptions) -> Result<()> {
    let package = workspace.member(PACKAGE)?;
    let asked = |target: &&String| options.target.as_ref().is_none_or(|only| only == *target);
    let targets: Vec<&String> = package.binaries.iter().filter(asked).collect();
    if targets.is_empty() {
        bail!("no such fuzz target; {PACKAGE} has these: {}", package.binaries.join(", "));
    }
    setup::toolchain(NIGHTLY, "fuzz targets are built with its sanitizers")?;
    let tools = setup::cargo_fuzz(workspace)?;
    let mut rows = Vec::new();
    for target in targets {
        println!("Fuzzing {target} for {} s", options.seconds);
        let mut fuzz = process::cargo_of(NIGHTLY);
        fuzz.current_dir(&workspace.root).args(["fuzz", "run"]);
        fuzz.arg("--fuzz-dir").arg(&package.folder);
        fuzz.arg("--target-dir").arg(workspace.target.join("fuzz"));
        fuzz.arg(target);
        // What this run finds new stays under the target folder, and so out of the sources.
        let corpus = workspace.target.join("fuzz-corpus").join(target);
        fs::create_dir_all(&corpus)?;
        fuzz.arg(corpus);
        let kept = package.folder.join("corpus").join(target);
        if kept.is_dir() {
            fuzz.arg(kept);
        }
        fuzz.arg("--").arg(format!("-max_total_time={}", options.seconds)).arg("-print_final_stats=1");
        if target == THREADED {
            fuzz.arg("-detect_leaks=0");
        }
        if let Some(tools) = &tools {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::iter::once(tools.clone()).chain(std::env::split_paths(&path));
            fuzz.env("PATH", std::env::join_paths(folders)?);
        }
        let mut row = Row::default();
        process::run_looking_at_errors(&mut fuzz, |line| row.read(line))?;
        // It ended well: it tells of nothing if it did not run at all.
        if row.executions == 0 {
            bail!("the fuzz target {target} ran no input");
        }
        rows.push((target, row));
    }
    println!("\n{}", table(&rows));
    Ok(())
}

/// What one target's run came to, as libFuzzer tells it.
#[derive(Debug, Default, PartialEq)]
struct Row {
    seconds: u64,
    executions: u64,
    edges: u64,
    features: u64,
}

impl Row {
    /// `#1024 pulse  cov: 1639 ft: 8144 corp: 1/1b exec/s: 178`, `Done 107110 runs in 601 second(s)`, and
    /// `stat::number_of_executed_units: 107110`
    fn read(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        for pair in words.windows(2) {
            let number = pair[1].parse().unwrap_or_default();
            match pair[0] {
                "cov:" => self.edges = number,
                "ft:" => self.features = number,
                "stat::number_of_executed_units:" => self.executions = number,
                _ => {}
            }
        }
        if let ["Done", _, "runs", "in", seconds, ..] = words[..] {
            self.seconds = seconds.parse().unwrap_or_default();
        }
    }
}

fn table(rows: &[(&String, Row)]) -> String {
    let mut table = String::from(
        "| target | time | executions | per second | coverage (edges, features) | findings |\n|---|---|---|---|---|---|\n",
    );
    for (target, Row { seconds, executions, edges, features }) in rows {
        let per_second = executions / (*seconds).max(1);
        // Writing to a string does not fail.
        let _ = writeln!(
            table,
            "| `{target}` | {seconds} s | {executions} | {per_second} | {edges}, {features} | none |"
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: figures of another line, or those of the first where the last is meant.
    #[test]
    fn the_last_figures_are_read() {
        let mut row = Row::default();
        for line in [
            "INFO: seed corpus: files: 7 min: 1b max: 90b total: 300b rss: 40Mb",
            "#8\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0 rss: 40Mb",
            "#107110\tDONE   cov: 1639 ft: 8144 corp: 900/33Kb lim: 4096 exec/s: 178 rss: 512Mb",
            "Done 107110 runs in 601 second(s)",
            "stat::number_of_executed_units: 107110",
            "stat::average_exec_per_sec:     178",
        ] {
            row.read(line);
        }
        assert_eq!(row, Row { seconds: 601, executions: 107_110, edges: 1639, features: 8144 });
        let target = "accounts".to_owned();
        assert!(
            table(&[(&target, row)]).ends_with("| `accounts` | 601 s | 107110 | 178 | 1639, 8144 | none |\n")
        );
    }
}
