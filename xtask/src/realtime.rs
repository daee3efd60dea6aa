//! The gates of real time: an audio callback that does all that pool-audio allows one to do, under watch; and the same with
//! a fault in it, which has to be found.

use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};

use anyhow::{Context, Result, bail};

use crate::args::Depth;
use crate::locks;
use crate::process;
use crate::setup::{self, NIGHTLY};
use crate::tsan;
use crate::workspace::Workspace;

/// The package whose program is watched.
const PACKAGE: &str = "pool-audio-gates";
/// Where RealtimeSanitizer is known to work.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// A watch, and a fault that it must find.
struct Gate {
    name: &'static str,
    what: &'static str,
    fault: &'static str,
    /// How it tells that it found that fault: part of its output, or the signal that ends it.
    sign: Sign,
}

enum Sign {
    Text(&'static str),
    /// `SIGSYS`: the system's filter has ended the process.
    BadSystemCall,
}

const GATES: &[Gate] = &[
    Gate {
        name: "alloc",
        what: "no allocator call, when something is taken",
        fault: "alloc",
        sign: Sign::Text("allocator calls in"),
    },
    Gate {
        name: "alloc",
        what: "no allocator call, when something is given back",
        fault: "free",
        sign: Sign::Text("allocator calls in"),
    },
    Gate {
        name: "faults",
        what: "no page fault after the warm-up",
        fault: "fault",
        sign: Sign::Text("page faults in"),
    },
    Gate {
        name: "syscalls",
        what: "no system call but to read the clock",
        fault: "yield",
        sign: Sign::BadSystemCall,
    },
    Gate {
        name: "syscalls",
        what: "no wait for a lock that another thread holds",
        fault: "lock",
        sign: Sign::BadSystemCall,
    },
];

/// What RealtimeSanitizer has to find.
const SANITIZED: &[Gate] = &[
    Gate {
        name: "bare",
        what: "RealtimeSanitizer: no malloc",
        fault: "alloc",
        sign: Sign::Text("call to real-time unsafe function `malloc`"),
    },
    Gate {
        name: "bare",
        what: "RealtimeSanitizer: no call that waits",
        fault: "yield",
        sign: Sign::Text("call to real-time unsafe function `sched_yield`"),
    },
    Gate {
        name: "bare",
        what: "RealtimeSanitizer: no wait for a lock that another thread holds",
        fault: "lock",
        sign: Sign::Text("call to real-time unsafe function `syscall`"),
    },
];

/// Runs all gates.
pub(crate) fn run(workspace: &Workspace, depth: Depth) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!(
            "page faults and system calls of a thread are asked of Linux only.\nRemedy: such a machine, or the CI's"
        );
    }
    let quanta = if depth == Depth::Deep { "400000" } else { "20000" };

    locks::run(workspace)?;

    let mut build = process::cargo();
    build.current_dir(&workspace.root).args(["build", "--release", "--package", PACKAGE]);
    process::run(build.arg("--target-dir").arg(&workspace.target))?;
    let program = workspace.target.join("release").join(PACKAGE);
    for gate in GATES {
        gate.check(&program, quanta)?;
    }

    if !tsan::SUPPORTED {
        println!("Leaving out RealtimeSanitizer, which is known to work on {TARGET} only.");
        return Ok(());
    }
    setup::toolchain(NIGHTLY, "RealtimeSanitizer is not stable yet")?;
    let folder = workspace.target.join("rtsan");
    let mut build = process::cargo_of(NIGHTLY);
    build.current_dir(&workspace.root).args(["build", "--package", PACKAGE, "--target", TARGET]);
    build.arg("--target-dir").arg(&folder);
    process::run(build.env("RUSTFLAGS", "-Zsanitizer=realtime --cfg pool_audio_rtsan"))?;
    let program = folder.join(TARGET).join("debug").join(PACKAGE);
    for gate in SANITIZED {
        gate.check(&program, if depth == Depth::Deep { "20000" } else { "2000" })?;
    }
    println!("An audio thread is left alone by pool-audio, and every planted fault was found.");
    Ok(())
}

impl Gate {
    fn check(&self, program: &Path, quanta: &str) -> Result<()> {
        let sound = watch(Command::new(program).args([self.name, quanta]))?;
        if !sound.status.success() {
            bail!("the gate \"{}\" is red ({}):\n{}", self.what, sound.status, text(&sound));
        }
        let planted = watch(Command::new(program).args([self.name, self.fault, quanta]))?;
        if !self.sign.is_in(&planted) {
            bail!(
                "the gate \"{}\" is blind: with the fault `{}` planted it ended with {}:\n{}",
                self.what,
                self.fault,
                planted.status,
                text(&planted)
            );
        }
        println!("  green, and red with `{}` planted: {}", self.fault, self.what);
        Ok(())
    }
}

impl Sign {
    fn is_in(&self, output: &Output) -> bool {
        match self {
            Self::Text(sign) => !output.status.success() && text(output).contains(sign),
            Self::BadSystemCall => ended_by_bad_system_call(output.status),
        }
    }
}

#[cfg(unix)]
fn ended_by_bad_system_call(status: ExitStatus) -> bool {
    const SIGSYS: i32 = 31;
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(SIGSYS)
}

#[cfg(not(unix))]
fn ended_by_bad_system_call(_: ExitStatus) -> bool {
    false
}

fn watch(command: &mut Command) -> Result<Output> {
    println!("$ {}", process::shown(command));
    command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{}`", process::shown(command)))
}

fn text(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{err}")
}
