//! Measures all workloads, judges them, and writes report, charts and table.

use anyhow::{Context, Result, bail};
use pool_bench::{Counting, Instructions, Report, Settings};
use std::path::PathBuf;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const USAGE: &str = "compare --out FOLDER [--quick] [--tolerance FACTOR] \
                     [--instructions FILE | --no-instructions REASON]";

struct Options {
    out: PathBuf,
    quick: bool,
    /// How much worse than its goal a figure may be before the run fails.
    tolerance: f64,
    instructions: Instructions,
}

fn options() -> Result<Options> {
    let mut out = None;
    let mut options = Options {
        out: PathBuf::new(),
        quick: false,
        tolerance: 1.0,
        instructions: Instructions::Missing("nobody counted them".into()),
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("`{arg}` needs a value; usage: {USAGE}"));
        match arg.as_str() {
            "--out" => out = Some(PathBuf::from(value()?)),
            "--quick" => options.quick = true,
            "--tolerance" => {
                let factor = value()?;
                options.tolerance = factor.parse().with_context(|| format!("`{factor}` is no factor"))?;
            }
            "--instructions" => {
                let file = value()?;
                let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
                options.instructions = Instructions::Counted(serde_json::from_str(&text)?);
            }
            "--no-instructions" => options.instructions = Instructions::Missing(value()?),
            _ => bail!("`{arg}` is not understood; usage: {USAGE}"),
        }
    }
    options.out = out.with_context(|| format!("usage: {USAGE}"))?;
    Ok(options)
}

fn run() -> Result<usize> {
    let Options { out, quick, tolerance, instructions } = options()?;
    let settings = if quick { Settings::QUICK } else { Settings::FULL };
    let report = Report::measure(&settings, quick, instructions)?;
    report.write(&out)?;
    Ok(report.verdict(tolerance))
}

/// What this program is when it starts itself, to measure one contender in a process of its own.
fn worst() -> Option<String> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match &args[..] {
        [mode, index, quanta] if mode == "--worst" => {
            pool_bench::tell_worst(index.parse().ok()?, quanta.parse().ok()?)
        }
        _ => None,
    }
}

fn main() -> ExitCode {
    if let Some(told) = worst() {
        println!("{told}");
        return ExitCode::SUCCESS;
    }
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(missed) => {
            eprintln!("{missed} targets are missed, by more than is known and explained");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
