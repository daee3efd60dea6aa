//! Every check, one step after the other; each can be repeated alone.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::args::{BenchOptions, CiScope, Depth, FuzzOptions, HeadlessOptions, TestScope};
use crate::site::{PACKAGE as WEB_DEMO, WASM_TARGET};
use crate::workspace::Workspace;
use crate::{
    bench, embedded, features, fuzzing, headless, jack, loom, miri, native, npm, process, publishing,
    realtime, room, setup, testing, tsan, web_bench,
};

/// Long enough for a warm pool and some garbage collections, short enough for every change.
const DEMO: HeadlessOptions = HeadlessOptions { seconds: 8, rate: 200, rounds: 1, floor: true };

/// Finds regressions, not whether a goal is met.
const BENCH: BenchOptions = BenchOptions { quick: true, tolerance: Some(2.0), web: false };

/// What all steps build, tools among it: measured on Linux, with a target folder that was empty.
const BUILT_GIB: f64 = 10.5;

struct Step {
    name: &'static str,
    what: &'static str,
    run: fn(&Workspace) -> Result<()>,
}

/// The README's command comes first: a newcomer's first steps must work before anything else counts.
const STEPS: &[Step] = &[
    Step {
        name: "test",
        what: "every test, on the host and in the browser",
        run: |w| testing::run(w, TestScope::All),
    },
    Step { name: "fmt", what: "the sources are formatted", run: format },
    Step { name: "clippy", what: "no lint, on the host", run: clippy },
    Step { name: "clippy-web", what: "no lint, as WebAssembly", run: clippy_web },
    Step { name: "clippy-arm", what: "no lint, as a microcontroller's program", run: clippy_arm },
    Step { name: "docs", what: "the documentation builds without a warning", run: docs },
    Step { name: "no-std", what: "the core builds without an operating system", run: features::no_std },
    Step { name: "features", what: "every subset of features builds", run: features::host },
    Step { name: "metadata", what: "the packages are ready for publishing", run: publishing::metadata },
    Step {
        name: "oldest-rust",
        what: "the oldest Rust that is promised suffices",
        run: publishing::oldest_rust,
    },
    Step { name: "bench", what: "speed against peers in one run, with some tolerance", run: compare },
    Step { name: "server", what: "four pools keep to one budget under load from eight threads", run: server },
    Step {
        name: "loom",
        what: "models in every order in which threads can meet",
        run: |w| loom::run(w, Depth::Short),
    },
    Step { name: "miri", what: "no undefined behaviour in tests", run: |w| miri::run(w, Depth::Short) },
    Step { name: "tsan", what: "no data race under stress", run: |w| tsan::run(w, Depth::Short) },
    Step {
        name: "embedded",
        what: "the promises hold on microcontrollers",
        run: |w| embedded::run(w, Depth::Short),
    },
    Step {
        name: "realtime",
        what: "audio threads neither allocate, fault, lock nor call the system",
        run: |w| realtime::run(w, Depth::Short),
    },
    Step {
        name: "fuzz",
        what: "a short run of every fuzz target",
        run: |w| fuzzing::run(w, &FuzzOptions::default()),
    },
    Step { name: "demo-native", what: "the native demo, its report and its sound", run: native::run_checked },
    Step {
        name: "bench-web",
        what: "reuse beside creation in the browser, with some tolerance",
        run: compare_web,
    },
    Step {
        name: "npm",
        what: "the npm package, in a project of Vite and strict TypeScript and in the browser",
        run: |w| npm::run(w, true),
    },
    Step {
        name: "demo-jack",
        what: "the demo on a real audio server, as it is and with stalls planted",
        run: jack::run_checked,
    },
    Step {
        name: "demo-web",
        what: "the demo in the browser, its report and its pictures",
        run: |w| headless::run(w, DEMO),
    },
];

/// Runs the steps that are asked for.
pub(crate) fn run(workspace: &Workspace, scope: &CiScope) -> Result<()> {
    let steps: Vec<&Step> = match scope {
        CiScope::List => {
            for step in STEPS {
                println!("{:<12} {}", step.name, step.what);
            }
            return Ok(());
        }
        CiScope::All => {
            room::for_builds(workspace, "all of it", BUILT_GIB)?;
            STEPS.iter().collect()
        }
        CiScope::Only(name) => match STEPS.iter().find(|step| step.name == name) {
            Some(step) => vec![step],
            None => bail!("there is no step `{name}`; `cargo xtask ci --list` shows them"),
        },
    };
    let mut times: Vec<(&str, Duration)> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        println!("\n=== {}/{} {}: {}", index + 1, steps.len(), step.name, step.what);
        let start = Instant::now();
        let outcome = (step.run)(workspace);
        times.push((step.name, start.elapsed()));
        if let Err(error) = outcome {
            summary(&times, steps.len());
            return Err(error).with_context(|| {
                format!("the step `{0}` failed; repeat it alone with `cargo xtask ci --only {0}`", step.name)
            });
        }
        println!("=== {} passed in {}", step.name, seconds(start.elapsed()));
    }
    summary(&times, steps.len());
    println!("Every check passed.");
    Ok(())
}

fn summary(times: &[(&str, Duration)], all: usize) {
    println!("\n=== {} of {all} steps ran", times.len());
    for (name, time) in times {
        println!("{name:<12} {:>8}", seconds(*time));
    }
    println!("{:<12} {:>8}", "all", seconds(times.iter().map(|(_, time)| *time).sum()));
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// `cargo` in the root of the workspace, with these words.
fn cargo(workspace: &Workspace, words: &[&str]) -> std::process::Command {
    let mut command = process::cargo();
    command.current_dir(&workspace.root).args(words).arg("--target-dir").arg(&workspace.target);
    command
}

fn format(workspace: &Workspace) -> Result<()> {
    setup::component("rustfmt", "fmt", "it formats the sources")?;
    process::run(process::cargo().current_dir(&workspace.root).args(["fmt", "--all", "--check"]))
}

fn clippy(workspace: &Workspace) -> Result<()> {
    setup::component("clippy", "clippy", "it finds what the compiler lets pass")?;
    setup::sound_headers()?;
    let mut clippy = cargo(workspace, &["clippy", "--workspace", "--all-targets", "--all-features"]);
    process::run(clippy.args(["--", "-D", "warnings"]))
}

fn clippy_web(workspace: &Workspace) -> Result<()> {
    setup::component("clippy", "clippy", "it finds what the compiler lets pass")?;
    setup::rust_target(WASM_TARGET, "half of the code is built for no other")?;
    let check = |words: &[&str]| {
        let mut clippy = cargo(workspace, &["clippy", "--target", WASM_TARGET]);
        process::run(clippy.args(words).args(["--", "-D", "warnings"]))
    };
    check(&["--package", "pool-web", "--package", WEB_DEMO, "--all-targets", "--all-features"])?;
    // By itself: it is without `std`, which the others' features bring.
    check(&["--package", npm::PACKAGE])
}

fn clippy_arm(workspace: &Workspace) -> Result<()> {
    setup::component("clippy", "clippy", "it finds what the compiler lets pass")?;
    let target = "thumbv6m-none-eabi";
    setup::rust_target(target, "some of the code is built for no other")?;
    let mut clippy = cargo(workspace, &["clippy", "--package", embedded::PACKAGE, "--no-deps"]);
    process::run(clippy.args(["--target", target, "--", "-D", "warnings"]))
}

/// Some seconds of the example, which fails if a limit was passed or a byte is left over.
fn server(workspace: &Workspace) -> Result<()> {
    let mut run = process::cargo();
    run.current_dir(&workspace.root);
    run.args([
        "run",
        "--release",
        "--package",
        "pool-core",
        "--features",
        "lock_api",
        "--example",
        "server",
        "--",
        "3",
    ]);
    run.arg(workspace.target.join("server.svg"));
    process::run(&mut run)
}

/// A regression would pass unseen otherwise. Other programs on a machine can spoil a run, not improve it: so with some
/// tolerance, and what is missed thrice is missed.
fn compare(workspace: &Workspace) -> Result<()> {
    let once = || bench::run(workspace, BENCH);
    once().or_else(|_| once()).or_else(|_| once())
}

/// As [`compare`].
fn compare_web(workspace: &Workspace) -> Result<()> {
    let once = || web_bench::run(workspace, Some(2.0));
    once().or_else(|_| once()).or_else(|_| once())
}

fn docs(workspace: &Workspace) -> Result<()> {
    let document = |words: &[&str]| {
        let mut doc = cargo(workspace, &["doc", "--no-deps"]);
        process::run(doc.args(words).env("RUSTDOCFLAGS", "-D warnings"))
    };
    setup::sound_headers()?;
    document(&["--workspace", "--all-features"])?;
    // Whoever leaves features out reads documentation too, and so does whoever builds for the browser.
    for package in workspace.published() {
        document(&["--package", &package.name, "--no-default-features"])?;
    }
    setup::rust_target(WASM_TARGET, "half of the documentation is of code for the browser")?;
    document(&["--package", "pool-web", "--all-features", "--target", WASM_TARGET])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a step that `--only` cannot reach, and tests that do not come first.
    #[test]
    fn steps_have_names_of_their_own() {
        assert_eq!(STEPS[0].name, "test");
        for (index, step) in STEPS.iter().enumerate() {
            assert!(STEPS[..index].iter().all(|other| other.name != step.name), "{}", step.name);
        }
    }
}
