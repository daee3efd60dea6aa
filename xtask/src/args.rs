//! The command line.

use std::ffi::OsString;

use anyhow::{Context, Result, bail};

/// What `cargo xtask help` prints.
pub(crate) const HELP: &str = "\
cargo xtask demo [--port N]
    Builds the demo for the browser, serves it on 127.0.0.1 and prints the address.
cargo xtask demo --headless [--seconds N] [--rate N] [--rounds N] [--floor]
    Runs the demo in Chromium, pooled and fresh in turn, N seconds each (default 20) at N voices a
    second (default 200); prints a table, writes report.json and page.png under target/demo/.
    --rounds: this often; the report has the medians. --floor: in turn with these, the sources of the
    voices alone, which nothing can spare, and the page alone.
cargo xtask demo --native [OPTIONS] [FILES...]
    Mixes audio files (default: the bundled kit) through pool-audio; writes mix.wav and native.json
    under target/demo/. Options go to the demo: see `cargo xtask demo --native --help`.
    With --jack it plays through the callbacks of a JACK server that it starts, and charts them.
cargo xtask test [--host | --browser | --firefox]
    Every test: on the host with doctests, then in headless Chromium. --firefox runs those of the
    browser in headless Firefox instead, which has to hear everything live: it takes longer.
cargo xtask bench [--quick] [--tolerance F]
    The pools against their peers, in turns in one process, and instructions counted by valgrind;
    writes report.json, table.md and a chart per workload under target/bench/. Fails if a target is
    missed, or missed by more than is known and explained in the table; with F, by more than F times
    that, for a machine with other work. --quick is shorter and less exact.
cargo xtask bench --web [--tolerance F]
    Reuse beside creation of nodes and buffers, in Chromium and through WASM.
cargo xtask npm [--check]
    Builds the npm package under target/npm/, with esbuild and Binaryen, which it installs there from the
    npm registry. --check packs it, installs it in a project of Vite and
    strict TypeScript, and tries it in Chromium, from webpack, esbuild and a plain page too.
cargo xtask ci [--only STEP | --list]
    Every check, the tests first; stops at the first failure.

cargo xtask loom [--deep]
    Models of the shared pools in every order in which their threads can meet.
cargo xtask miri [--deep]
    pool-core's tests in an interpreter that finds undefined behaviour; deep: also by the older model
    of aliasing, those with threads in many schedules, on 32 bits and on a big-endian machine.
cargo xtask tsan [--deep]
    The tests in which threads meet, under ThreadSanitizer.
cargo xtask soak
    10^8 operations by 8 threads on pools for threads under one tree of accounts, which must end at zero.
cargo xtask embedded [--deep]
    What pools promise without an allocator, on an emulated Cortex-M0 and Cortex-M3; prints the
    flash and RAM it takes.
cargo xtask mutants [FILE]
    Changes the code of the accounts and the keyed pools line by line, and sees whether a test notices:
    19 of 20 must be caught. Hours for all; FILE is part of a path.
cargo xtask realtime [--deep]
    An audio callback on pool-audio under watch: allocator, page faults, system calls, lock types,
    RealtimeSanitizer; each with a fault planted that it must find.
cargo xtask fuzz [TARGET] [--seconds N]
    Operations on pools and accounts against naive models, by fuzzing: every target, or one of them, for N
    seconds each (default 12); prints how many inputs ran, how many a second, and what they reached.
cargo xtask deep [--self-check]
    The deep form of loom, miri, tsan, embedded and realtime, the soak, a minute of every fuzz target,
    the browser's tests in Firefox, and the self-check: each check must turn red when a fault is planted.

What a command needs (targets and components of rustc, nightly, Chromium and Firefox with their
drivers, valgrind, QEMU, cargo-fuzz, cargo-mutants, JACK, ALSA and PulseAudio) it looks for first and
installs if it is missing, saying what and why.";

/// What is asked for.
#[derive(Debug, PartialEq)]
pub(crate) enum Task {
    /// Print [`HELP`].
    Help,
    /// Serve the demo.
    DemoServe {
        /// The port that is tried first.
        port: Option<u16>,
    },
    /// Measure the demo in Chromium.
    DemoHeadless(HeadlessOptions),
    /// Run the native demo with these arguments.
    DemoNative(Vec<OsString>),
    /// Run tests.
    Test(TestScope),
    /// Compare with the peers.
    Bench(BenchOptions),
    /// Build the npm package.
    Npm {
        /// Try it as well.
        check: bool,
    },
    /// Run the steps of the continuous integration.
    Ci(CiScope),
    /// Run the models.
    Loom(Depth),
    /// Run tests in the interpreter.
    Miri(Depth),
    /// Run the tests in which threads meet under ThreadSanitizer.
    Tsan(Depth),
    /// Run the soak test.
    Soak,
    /// Run checks on microcontrollers.
    Embedded(Depth),
    /// Change the code and see whether tests notice; only files whose path holds this.
    Mutants(Option<String>),
    /// Watch an audio callback.
    Realtime(Depth),
    /// Run fuzz targets.
    Fuzz(FuzzOptions),
    /// Run what takes too long for every change.
    Deep {
        /// Only the self-check.
        self_check: bool,
    },
    /// Serve as cargo's runner of WASM tests, with these arguments.
    WasmRunner(Vec<OsString>),
}

/// How long and how hard the headless demo runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct HeadlessOptions {
    /// Seconds measured per mode, after the warm-up.
    pub(crate) seconds: u32,
    /// Voices started per second.
    pub(crate) rate: u32,
    /// How often each mode runs.
    pub(crate) rounds: u32,
    /// What cannot be spared is measured as well.
    pub(crate) floor: bool,
}

impl Default for HeadlessOptions {
    fn default() -> Self {
        Self { seconds: 20, rate: 200, rounds: 1, floor: false }
    }
}

/// How the comparison with the peers runs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct BenchOptions {
    /// Fewer and shorter rounds.
    pub(crate) quick: bool,
    /// How much worse than its goal a figure may be, if not at all.
    pub(crate) tolerance: Option<f64>,
    /// In the browser instead.
    pub(crate) web: bool,
}

/// Which fuzz targets run, and how long.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FuzzOptions {
    /// Only the one of this name.
    pub(crate) target: Option<String>,
    /// Seconds for each.
    pub(crate) seconds: u32,
}

/// Enough to find what a change breaks outright.
impl Default for FuzzOptions {
    fn default() -> Self {
        Self { target: None, seconds: 12 }
    }
}

/// Which tests to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum TestScope {
    /// On the host and in the browser.
    All,
    /// On the host only.
    Host,
    /// In Chromium only.
    Browser,
    /// In Firefox only.
    Firefox,
}

/// Which steps of the continuous integration to run.
#[derive(Debug, PartialEq)]
pub(crate) enum CiScope {
    /// Every step.
    All,
    /// The step of this name.
    Only(String),
    /// None: print the names.
    List,
}

/// How thorough a check is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Depth {
    /// In a minute or two, for every change.
    Short,
    /// As long as it takes.
    Deep,
}

/// Parses the arguments that follow the program's name.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Task> {
    let mut args = args.into_iter();
    let Some(name) = args.next() else { return Ok(Task::Help) };
    match name.to_str() {
        Some("help" | "--help" | "-h") => Ok(Task::Help),
        Some("demo") => parse_demo(args),
        Some("test") => parse_test(args),
        Some("bench") => parse_bench(args),
        Some("npm") => parse_flag("npm", "--check", |check| Task::Npm { check }, args),
        Some("ci") => parse_ci(args),
        Some("loom") => parse_depth("loom", Task::Loom, args),
        Some("miri") => parse_depth("miri", Task::Miri, args),
        Some("tsan") => parse_depth("tsan", Task::Tsan, args),
        Some("soak") => parse_bare("soak", Task::Soak, args),
        Some("embedded") => parse_depth("embedded", Task::Embedded, args),
        Some("mutants") => parse_mutants(args),
        Some("realtime") => parse_depth("realtime", Task::Realtime, args),
        Some("fuzz") => parse_fuzz(args),
        Some("deep") => parse_flag("deep", "--self-check", |self_check| Task::Deep { self_check }, args),
        Some("wasm-runner") => Ok(Task::WasmRunner(args.collect())),
        _ => bail!("there is no command `{}`; the commands are:\n\n{HELP}", name.to_string_lossy()),
    }
}

fn parse_mutants(mut args: impl Iterator<Item = OsString>) -> Result<Task> {
    let file = args.next().map(|file| file.to_string_lossy().into_owned());
    match (file.as_deref(), args.next()) {
        (Some("--help" | "-h"), _) => Ok(Task::Help),
        (_, None) => Ok(Task::Mutants(file)),
        (_, Some(other)) => {
            bail!("`mutants` takes one part of a path, not also `{}`", other.to_string_lossy())
        }
    }
}

fn parse_fuzz(mut args: impl Iterator<Item = OsString>) -> Result<Task> {
    let mut options = FuzzOptions::default();
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--help" | "-h") => return Ok(Task::Help),
            Some("--seconds") => options.seconds = number(&mut args, "--seconds", 1, 86_400)?,
            Some(name) if !name.starts_with('-') && options.target.is_none() => {
                options.target = Some(name.to_owned());
            }
            _ => bail!("`fuzz` knows no `{}`; usage:\n\n{HELP}", arg.to_string_lossy()),
        }
    }
    Ok(Task::Fuzz(options))
}

fn parse_demo(mut args: impl Iterator<Item = OsString>) -> Result<Task> {
    let (mut port, mut headless, mut seconds, mut rate) = (None, false, None, None);
    let (mut rounds, mut floor) = (None, false);
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--help" | "-h") => return Ok(Task::Help),
            // The rest belongs to the native demo, its own options included.
            Some("--native") => {
                if port.is_some()
                    || headless
                    || seconds.is_some()
                    || rate.is_some()
                    || rounds.is_some()
                    || floor
                {
                    bail!("write `--native` first: what follows it goes to the native demo");
                }
                return Ok(Task::DemoNative(args.collect()));
            }
            Some("--headless") => headless = true,
            Some("--port") => port = Some(number(&mut args, "--port", 1, u16::MAX)?),
            Some("--seconds") => seconds = Some(number(&mut args, "--seconds", 1, 3600)?),
            Some("--rate") => rate = Some(number(&mut args, "--rate", 1, 5000)?),
            Some("--rounds") => rounds = Some(number(&mut args, "--rounds", 1, 99)?),
            Some("--floor") => floor = true,
            _ => bail!("`demo` knows no `{}`; usage:\n\n{HELP}", arg.to_string_lossy()),
        }
    }
    let default = HeadlessOptions::default();
    match (headless, port, seconds, rate) {
        (true, None, ..) => Ok(Task::DemoHeadless(HeadlessOptions {
            seconds: seconds.unwrap_or(default.seconds),
            rate: rate.unwrap_or(default.rate),
            rounds: rounds.unwrap_or(default.rounds),
            floor,
        })),
        (true, Some(_), ..) => bail!("`--headless` takes any free port; leave `--port` out"),
        (false, _, None, None) if rounds.is_none() && !floor => Ok(Task::DemoServe { port }),
        (false, ..) => bail!("`--seconds`, `--rate`, `--rounds` and `--floor` go with `--headless`"),
    }
}

fn parse_test(args: impl Iterator<Item = OsString>) -> Result<Task> {
    let mut scope = TestScope::All;
    for arg in args {
        let asked = match arg.to_str() {
            Some("--help" | "-h") => return Ok(Task::Help),
            Some("--host") => TestScope::Host,
            Some("--browser") => TestScope::Browser,
            Some("--firefox") => TestScope::Firefox,
            _ => bail!("`test` knows no `{}`; usage:\n\n{HELP}", arg.to_string_lossy()),
        };
        scope = match (scope, asked) {
            (TestScope::All, _) => asked,
            (before, asked) if before == asked => asked,
            (TestScope::Firefox, _) | (_, TestScope::Firefox) => {
                bail!("`--firefox` is no part of the whole: it goes alone")
            }
            // Both halves asked for one by one are the whole.
            _ => return Ok(Task::Test(TestScope::All)),
        };
    }
    Ok(Task::Test(scope))
}

fn parse_bench(mut args: impl Iterator<Item = OsString>) -> Result<Task> {
    let mut options = BenchOptions::default();
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--help" | "-h") => return Ok(Task::Help),
            Some("--quick") => options.quick = true,
            Some("--web") => options.web = true,
            Some("--tolerance") => options.tolerance = Some(number(&mut args, "--tolerance", 1.0, 10.0)?),
            _ => bail!("`bench` knows no `{}`; usage:\n\n{HELP}", arg.to_string_lossy()),
        }
    }
    Ok(Task::Bench(options))
}

fn parse_ci(mut args: impl Iterator<Item = OsString>) -> Result<Task> {
    let Some(arg) = args.next() else { return Ok(Task::Ci(CiScope::All)) };
    let scope = match arg.to_str() {
        Some("--help" | "-h") => return Ok(Task::Help),
        Some("--list") => CiScope::List,
        Some("--only") => CiScope::Only(value(&mut args, "--only")?),
        _ => bail!("`ci` knows no `{}`; usage:\n\n{HELP}", arg.to_string_lossy()),
    };
    match args.next() {
        None => Ok(Task::Ci(scope)),
        Some(extra) => bail!("`ci` takes one option, and `{}` is too many", extra.to_string_lossy()),
    }
}

fn parse_depth(
    name: &str,
    task: impl Fn(Depth) -> Task,
    args: impl Iterator<Item = OsString>,
) -> Result<Task> {
    let depth = |deep| if deep { Depth::Deep } else { Depth::Short };
    parse_flag(name, "--deep", |deep| task(depth(deep)), args)
}

/// The arguments of a command that takes none.
fn parse_bare(name: &str, task: Task, mut args: impl Iterator<Item = OsString>) -> Result<Task> {
    match args.next() {
        None => Ok(task),
        Some(arg) if arg == "--help" || arg == "-h" => Ok(Task::Help),
        Some(arg) => bail!("`{name}` takes nothing, not `{}`; usage:\n\n{HELP}", arg.to_string_lossy()),
    }
}

/// The arguments of a command that knows one option and no values.
fn parse_flag(
    name: &str,
    flag: &str,
    task: impl Fn(bool) -> Task,
    args: impl Iterator<Item = OsString>,
) -> Result<Task> {
    let mut given = false;
    for arg in args {
        match arg.to_str() {
            Some("--help" | "-h") => return Ok(Task::Help),
            Some(text) if text == flag => given = true,
            _ => bail!("`{name}` knows no `{}`; usage:\n\n{HELP}", arg.to_string_lossy()),
        }
    }
    Ok(task(given))
}

fn value(args: &mut impl Iterator<Item = OsString>, option: &str) -> Result<String> {
    let value = args.next().with_context(|| format!("`{option}` needs a value"))?;
    value.into_string().map_err(|value| anyhow::anyhow!("`{option}`: {value:?} is no UTF-8"))
}

fn number<N>(args: &mut impl Iterator<Item = OsString>, option: &str, min: N, max: N) -> Result<N>
where
    N: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let text = value(args, option)?;
    match text.parse::<N>() {
        Ok(number) if number >= min && number <= max => Ok(number),
        _ => bail!("`{option}` needs a number from {min} to {max}, not `{text}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Task> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn every_command_of_the_help_is_understood() {
        assert_eq!(parsed("").unwrap(), Task::Help);
        assert_eq!(parsed("demo").unwrap(), Task::DemoServe { port: None });
        assert_eq!(parsed("demo --port 9000").unwrap(), Task::DemoServe { port: Some(9000) });
        let options = HeadlessOptions { seconds: 5, rate: 300, rounds: 3, floor: true };
        assert_eq!(
            parsed("demo --headless --seconds 5 --floor --rate 300 --rounds 3").unwrap(),
            Task::DemoHeadless(options)
        );
        for lone in ["demo --floor", "demo --rounds 3", "demo --headless --rounds 0"] {
            assert!(parsed(lone).is_err(), "{lone}");
        }
        assert_eq!(parsed("demo --headless").unwrap(), Task::DemoHeadless(HeadlessOptions::default()));
        assert_eq!(parsed("test").unwrap(), Task::Test(TestScope::All));
        assert_eq!(parsed("test --browser").unwrap(), Task::Test(TestScope::Browser));
        assert_eq!(parsed("test --browser --host").unwrap(), Task::Test(TestScope::All));
        assert_eq!(parsed("test --firefox").unwrap(), Task::Test(TestScope::Firefox));
        assert_eq!(parsed("bench").unwrap(), Task::Bench(BenchOptions::default()));
        let options = BenchOptions { quick: true, tolerance: Some(1.5), web: false };
        assert_eq!(
            parsed("bench --web").unwrap(),
            Task::Bench(BenchOptions { web: true, ..BenchOptions::default() })
        );
        assert_eq!(parsed("npm").unwrap(), Task::Npm { check: false });
        assert_eq!(parsed("npm --check").unwrap(), Task::Npm { check: true });
        assert_eq!(parsed("bench --quick --tolerance 1.5").unwrap(), Task::Bench(options));
        assert_eq!(parsed("ci").unwrap(), Task::Ci(CiScope::All));
        assert_eq!(parsed("ci --only fmt").unwrap(), Task::Ci(CiScope::Only("fmt".into())));
        assert_eq!(parsed("loom").unwrap(), Task::Loom(Depth::Short));
        assert_eq!(parsed("miri --deep").unwrap(), Task::Miri(Depth::Deep));
        assert_eq!(parsed("tsan").unwrap(), Task::Tsan(Depth::Short));
        assert_eq!(parsed("soak").unwrap(), Task::Soak);
        assert!(parsed("soak 5").is_err());
        assert_eq!(parsed("embedded --deep").unwrap(), Task::Embedded(Depth::Deep));
        assert_eq!(parsed("mutants").unwrap(), Task::Mutants(None));
        assert_eq!(parsed("mutants account").unwrap(), Task::Mutants(Some("account".into())));
        assert!(parsed("mutants account keyed").is_err());
        assert_eq!(parsed("realtime --deep").unwrap(), Task::Realtime(Depth::Deep));
        assert_eq!(parsed("fuzz").unwrap(), Task::Fuzz(FuzzOptions::default()));
        let options = FuzzOptions { target: Some("keyed".into()), seconds: 600 };
        assert_eq!(parsed("fuzz keyed --seconds 600").unwrap(), Task::Fuzz(options));
        assert!(parsed("fuzz keyed accounts").is_err());
        assert_eq!(parsed("deep").unwrap(), Task::Deep { self_check: false });
        assert_eq!(parsed("deep --self-check").unwrap(), Task::Deep { self_check: true });
    }

    /// Catches: an option of the native demo that is eaten or refused here.
    #[test]
    fn everything_after_native_is_passed_on() {
        let Task::DemoNative(rest) = parsed("demo --native --seconds 2 --port kick.flac").unwrap() else {
            panic!("not the native demo");
        };
        assert_eq!(rest, ["--seconds", "2", "--port", "kick.flac"]);
    }

    /// Catches: a typo that silently runs with the default.
    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for (line, named) in [
            ("demos", "demos"),
            ("demo --second 5", "--second"),
            ("demo --headless --seconds 0", "`0`"),
            ("demo --headless --seconds", "--seconds"),
            ("demo --port 70000", "70000"),
            ("demo --seconds 5", "--headless"),
            ("demo --headless --port 9000", "--port"),
            ("test --safari", "--safari"),
            ("test --host --firefox", "--firefox"),
            ("test --firefox --browser", "--firefox"),
            ("bench --fast", "--fast"),
            ("bench --tolerance 0.5", "`0.5`"),
            ("bench --tolerance NaN", "`NaN`"),
            ("ci --only", "--only"),
            ("ci --list all", "all"),
            ("loom --depth", "--depth"),
            ("deep --deep", "--deep"),
        ] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(error.contains(named), "{line}: {error}");
        }
    }
}
