//! Child processes: shown before they start, streamed while they run, ended on Ctrl-C.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::interrupt;

/// `cargo` of the toolchain that runs us. By name: the path in `CARGO` is no rustup proxy.
pub(crate) fn cargo() -> Command {
    Command::new("cargo")
}

/// `cargo +toolchain`. What the outer `cargo run` set for its own toolchain would win over the
/// `+toolchain` in places (build scripts ask `RUSTC`, cargo-fuzz asks `CARGO`), so it is removed.
pub(crate) fn cargo_of(toolchain: &str) -> Command {
    let mut command = Command::new("cargo");
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN", "RUST_RECURSION_COUNT"] {
        command.env_remove(name);
    }
    command.arg(format!("+{toolchain}"));
    command
}

/// The command as one would type it, with the variables that it sets.
pub(crate) fn shown(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        Some(format!("{}={}", name.to_string_lossy(), quoted(&value?.to_string_lossy())))
    });
    let words = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| quoted(&word.to_string_lossy()));
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Runs a command with its output on ours; an error if it fails or Ctrl-C is pressed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("$ {}", shown(command));
    let child = KillOnDrop(start(command)?);
    wait(child, command, None)
}

/// Runs a command like [`run`], and shows each line of its standard output to `look` as well.
pub(crate) fn run_looking(command: &mut Command, look: impl FnMut(&str) + Send) -> Result<()> {
    look_on(command, Stream::Output, None, look)
}

/// Runs a command like [`run_looking`], for one that tells all of interest on its error output.
pub(crate) fn run_looking_at_errors(command: &mut Command, look: impl FnMut(&str) + Send) -> Result<()> {
    look_on(command, Stream::Errors, None, look)
}

/// Runs a command like [`run_looking`], and ends it with an error if it takes longer than `limit`. For programs that
/// start no others: those would go on.
pub(crate) fn run_looking_within(
    command: &mut Command,
    limit: Duration,
    look: impl FnMut(&str) + Send,
) -> Result<()> {
    look_on(command, Stream::Output, Some(limit), look)
}

#[derive(Clone, Copy)]
enum Stream {
    Output,
    Errors,
}

fn look_on(
    command: &mut Command,
    stream: Stream,
    limit: Option<Duration>,
    mut look: impl FnMut(&str) + Send,
) -> Result<()> {
    println!("$ {}", shown(command));
    match stream {
        Stream::Output => command.stdout(Stdio::piped()),
        Stream::Errors => command.stderr(Stdio::piped()),
    };
    let mut child = KillOnDrop(start(command)?);
    let lines: Box<dyn Read + Send> = match stream {
        Stream::Output => Box::new(child.0.stdout.take().context("the child has no standard output")?),
        Stream::Errors => Box::new(child.0.stderr.take().context("the child has no error output")?),
    };
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for line in BufReader::new(lines).lines().map_while(std::io::Result::ok) {
                match stream {
                    Stream::Output => println!("{line}"),
                    Stream::Errors => eprintln!("{line}"),
                }
                look(&line);
            }
        });
        wait(child, command, limit)
    })
}

/// Runs a command with its output, and that of all that it starts, in a file. `None` if it takes longer than `limit`:
/// then all of them are ended.
pub(crate) fn run_into(log: &Path, command: &mut Command, limit: Duration) -> Result<Option<ExitStatus>> {
    let file = std::fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    command.stdout(file.try_clone()?).stderr(file);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    let mut group = KillGroupOnDrop(KillOnDrop(start(command)?));
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(status) = group.0.0.try_wait()? {
            return Ok(Some(status));
        }
        interrupt::sleep(interrupt::POLL)?;
    }
    Ok(None)
}

/// A child in a group of its own, which ends with it.
struct KillGroupOnDrop(KillOnDrop);

impl Drop for KillGroupOnDrop {
    fn drop(&mut self) {
        // Fails if none of them is left. Elsewhere only the child itself is ended.
        if cfg!(unix) {
            succeeds(Command::new("kill").args(["-KILL", "--", &format!("-{}", self.0.0.id())]));
        }
    }
}

fn start(command: &mut Command) -> Result<Child> {
    command
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start `{}`", command.get_program().to_string_lossy()))
}

fn wait(mut child: KillOnDrop, command: &Command, limit: Option<Duration>) -> Result<()> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.0.try_wait()? {
            interrupt::check()?;
            if status.success() {
                return Ok(());
            }
            bail!("`{}` ended with {status}", shown(command));
        }
        if let Some(limit) = limit.filter(|limit| start.elapsed() > *limit) {
            bail!("`{}` did not end within {} s", shown(command), limit.as_secs());
        }
        interrupt::sleep(interrupt::POLL)?;
    }
}

/// Runs a short command silently; its standard output if it succeeds.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{}`", command.get_program().to_string_lossy()))?;
    if !status.success() {
        bail!("`{}` ended with {status}: {}", shown(command), String::from_utf8_lossy(&stderr).trim());
    }
    String::from_utf8(stdout).with_context(|| format!("`{}` printed no UTF-8", shown(command)))
}

/// Whether a short command can be started and succeeds.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The first of these programs that `PATH` holds.
pub(crate) fn find_on_path(names: &[&str]) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    names.iter().find_map(|name| {
        let file = Path::new(name).with_extension(std::env::consts::EXE_EXTENSION);
        folders.iter().map(|folder| folder.join(&file)).find(|program| program.is_file())
    })
}

/// A child that does not outlive its owner.
pub(crate) struct KillOnDrop(pub(crate) Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        // Both fail only if the child has ended already, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a command line in the log that does something else when it is pasted.
    #[test]
    fn a_shown_command_can_be_pasted() {
        let mut command = Command::new("cargo");
        command.args(["test", "a b", "it's"]).env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(shown(&command), r"RUSTDOCFLAGS='-D warnings' cargo test 'a b' 'it'\''s'");
    }

    /// Catches: a failing child that is taken for a success.
    #[test]
    fn a_failing_child_is_an_error() {
        let error = run(cargo().arg("no-such-command-of-cargo")).unwrap_err().to_string();
        assert!(error.contains("no-such-command-of-cargo"), "{error}");
    }

    /// Catches: lines of a child that are swallowed, and its failure with them.
    #[test]
    fn every_line_is_looked_at() {
        let mut lines = Vec::new();
        run_looking(cargo().arg("--version"), |line| lines.push(line.to_owned())).unwrap();
        assert!(lines.len() == 1 && lines[0].starts_with("cargo "), "{lines:?}");
        assert!(run_looking(cargo().arg("no-such-command-of-cargo"), |_| {}).is_err());
    }

    /// Catches: a program that hangs, and this one with it.
    #[cfg(unix)]
    #[test]
    fn a_child_that_takes_too_long_is_ended() {
        let limit = Duration::from_millis(50);
        let error = run_looking_within(Command::new("sleep").arg("60"), limit, |_| {}).unwrap_err();
        assert!(error.to_string().contains("did not end"), "{error}");
    }
}
