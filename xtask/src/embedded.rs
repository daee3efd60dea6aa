//! What pools promise without an allocator, on microcontrollers that QEMU emulates.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::args::Depth;
use crate::workspace::Workspace;
use crate::{elf, process, setup};

/// The package whose program runs there.
pub(crate) const PACKAGE: &str = "pool-embedded";
/// What the program prints last.
const VERDICT: &str = "checks passed";

struct Machine {
    core: &'static str,
    target: &'static str,
    /// QEMU's name of a board with it.
    board: &'static str,
}

const MACHINES: &[Machine] = &[
    // Without compare-and-swap: portable-atomic and a critical section stand in.
    Machine { core: "Cortex-M0", target: "thumbv6m-none-eabi", board: "microbit" },
    Machine { core: "Cortex-M3", target: "thumbv7m-none-eabi", board: "lm3s6965evb" },
];

/// Runs the checks on each machine.
pub(crate) fn run(workspace: &Workspace, depth: Depth) -> Result<()> {
    let qemu = setup::qemu_arm()?;
    let mut table = Vec::new();
    for machine in MACHINES {
        setup::rust_target(machine.target, "the checks run on it")?;
        let program = build(workspace, machine, depth)?;
        let size = elf::memory_of(&fs::read(&program)?)
            .with_context(|| format!("cannot tell what {} takes", program.display()))?;
        println!("Running on {} ({}, QEMU)", machine.core, machine.board);
        let mut emulate = Command::new(&qemu);
        emulate.args(["-machine", machine.board, "-nographic", "-monitor", "none", "-serial", "none"]);
        // Time goes by instructions, so that an interrupt comes some dozens of them after the last, on any machine.
        emulate.args(["-icount", "shift=5"]);
        emulate.args(["-semihosting-config", "enable=on,target=native", "-kernel"]).arg(&program);
        let limit = match depth {
            Depth::Short => Duration::from_secs(60),
            Depth::Deep => Duration::from_secs(600),
        };
        let mut passed = false;
        process::run_looking_within(&mut emulate, limit, |line| passed |= line.ends_with(VERDICT))
            .with_context(|| format!("the checks failed on {}", machine.core))?;
        if !passed {
            bail!("the program on {} ended before its checks did", machine.core);
        }
        table.push(format!("{:<10} {:>9} B {:>9} B", machine.core, size.flash, size.ram));
    }
    println!("\nThe program with all checks, formatted messages included:\ncore           flash         RAM");
    println!("{}", table.join("\n"));
    Ok(())
}

/// The program, built; in the deep form with as many turns of main loop and interrupt as time allows.
fn build(workspace: &Workspace, machine: &Machine, depth: Depth) -> Result<std::path::PathBuf> {
    let folder = workspace.target.join("embedded");
    let mut build = process::cargo();
    build.current_dir(&workspace.root).args(["build", "--release", "--package", PACKAGE]);
    build.args(["--target", machine.target, "--target-dir"]).arg(&folder);
    if depth == Depth::Deep {
        build.env("POOL_EMBEDDED_TICKS", "2000000");
    }
    process::run(&mut build)?;
    Ok(folder.join(machine.target).join("release").join(PACKAGE))
}
