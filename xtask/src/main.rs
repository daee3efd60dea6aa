//! One command for the demos and for every check: `cargo xtask help`.
//!
//! | File | Holds |
//! |---|---|
//! | `args` | the command line |
//! | `interrupt`, `process` | Ctrl-C; child processes |
//! | `workspace` | facts asked from cargo |
//! | `setup`, `room` | what is installed if it is missing; whether the disk has room |
//! | `site`, `server` | the demo's site, built and served |
//! | `chromium`, `webdriver` | the browser's flags; a client of its driver |
//! | `firefox`, `pulse` | the other browser's capabilities; the sound server that it needs |
//! | `trace`, `memory` | garbage collections and memory, measured from outside the page |
//! | `headless`, `native`, `jack` | the demos: in the browser, native, on an audio server |
//! | `report`, `picture`, `sound` | checks of what they leave |
//! | `testing` | every test |
//! | `bench`, `web_bench` | the comparison with the peers; reuse beside creation in the browser |
//! | `npm`, `shrink` | the package for JavaScript, built, made small and tried |
//! | `features`, `publishing` | steps that are more than one command |
//! | `fuzzing` | a run of every fuzz target, and what it came to |
//! | `loom`, `miri`, `tsan`, `embedded` | checks of what threads, memory and microcontrollers can do |
//! | `soak` | a long time of everything, by 8 threads |
//! | `mutants` | whether tests notice a changed line |
//! | `realtime` | what pool-audio promises an audio thread, and faults that must be found |
//! | `locks` | no lock type in modules that run on audio threads, and those planted that must be found |
//! | `elf` | what a program takes of a microcontroller |
//! | `copy` | a copy of the sources with something changed in it |
//! | `planted`, `deep` | faults that checks must find; what takes long |
//! | `ci` | every step in turn |

mod args;
mod bench;
mod chromium;
mod ci;
mod copy;
mod deep;
mod elf;
mod embedded;
mod features;
mod firefox;
mod fuzzing;
mod headless;
mod interrupt;
mod jack;
mod locks;
mod loom;
mod memory;
mod miri;
mod mutants;
mod native;
mod npm;
mod picture;
mod planted;
mod process;
mod publishing;
mod pulse;
mod realtime;
mod report;
mod room;
mod server;
mod setup;
mod shrink;
mod site;
mod soak;
mod sound;
mod testing;
mod trace;
mod tsan;
mod web_bench;
mod webdriver;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;

use crate::args::Task;
use crate::server::SiteServer;
use crate::workspace::Workspace;

/// The port of the demo, if it is free.
const DEFAULT_PORT: u16 = 8080;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let task = args::parse(std::env::args_os().skip(1))?;
    match task {
        Task::Help => {
            println!("{}", args::HELP);
            return Ok(());
        }
        // Has a driver and a browser of its own, which end with it on a signal.
        Task::WasmRunner(arguments) => return testing::wasm_runner(arguments),
        _ => {}
    }
    interrupt::install()?;
    let workspace = Workspace::load()?;
    match task {
        Task::DemoServe { port } => serve(&workspace, port),
        Task::DemoHeadless(options) => headless::run(&workspace, options),
        Task::DemoNative(arguments) => native::run(&workspace, &arguments),
        Task::Test(scope) => testing::run(&workspace, scope),
        Task::Bench(options) if options.web => web_bench::run(&workspace, options.tolerance),
        Task::Bench(options) => bench::run(&workspace, options),
        Task::Npm { check } => npm::run(&workspace, check),
        Task::Ci(scope) => ci::run(&workspace, &scope),
        Task::Loom(depth) => loom::run(&workspace, depth),
        Task::Miri(depth) => miri::run(&workspace, depth),
        Task::Tsan(depth) => tsan::run(&workspace, depth),
        Task::Soak => soak::run(&workspace),
        Task::Embedded(depth) => embedded::run(&workspace, depth),
        Task::Mutants(only) => mutants::run(&workspace, only.as_deref()),
        Task::Realtime(depth) => realtime::run(&workspace, depth),
        Task::Fuzz(options) => fuzzing::run(&workspace, &options),
        Task::Deep { self_check } => deep::run(&workspace, self_check),
        Task::Help | Task::WasmRunner(_) => Ok(()),
    }
}

fn serve(workspace: &Workspace, port: Option<u16>) -> Result<()> {
    let site = site::build(workspace)?;
    let server = SiteServer::start(&site, port.unwrap_or(DEFAULT_PORT))?;
    println!("\nThe demo is at {} - end it with Ctrl-C.", server.address());
    server.wait();
    println!("\nEnded.");
    Ok(())
}
