//! The native demo of pool-audio: decodes recordings, mixes many voices of them in quanta of 128 frames through
//! pooled buffers under a byte budget, and measures every quantum.
//!
//! The mix is made as fast as it goes and not in time with a sound card: the load is what each quantum would
//! have taken of its 2.67 ms. With `--jack` it is played through the callbacks of a real audio server (`live.rs`).

mod args;
mod decode;
mod kit;
mod limiter;
#[cfg(feature = "jack")]
mod live;
mod mixer;
mod progress;
mod report;
mod sequence;
mod wav;

use std::error::Error;
use std::fs;
use std::process::ExitCode;

use pool_audio::{AudioMemory, CallbackProfiler};

use crate::args::{Args, Request, USAGE};
use crate::kit::SAMPLE_RATE;
use crate::mixer::{Mixer, QUANTUM};
use crate::progress::Progress;
use crate::report::{PoolTotals, Report};
use crate::wav::WavFile;

/// Counts what the audio thread asks of it.
#[cfg(feature = "jack")]
#[global_allocator]
static ALLOCATOR: pool_audio_gates::allocator::Counting = pool_audio_gates::allocator::Counting;

/// Something was mixed: 0. Nothing could be: 1. A command line that makes no sense: 2.
fn main() -> ExitCode {
    let args = match args::parse(std::env::args_os().skip(1)) {
        Ok(Request::Mix(args)) => args,
        Ok(Request::Help) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("error: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if args.jack {
        return play(&args);
    }
    match run(&args) {
        Ok(report) => {
            println!("{report}");
            println!("wrote    {} and native.json", args.out.join("mix.wav").display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The demo on an audio server: 0 if it played to the end and all of it is on the disk, else 1.
#[cfg(feature = "jack")]
fn play(args: &Args) -> ExitCode {
    match live::run(args) {
        Ok(report) => {
            println!("{report}");
            let (written, unwritten) = report.write(&args.out);
            if !written.is_empty() {
                println!("wrote    {} in {}", written.join(", "), args.out.display());
            }
            let mut problems = report.problems();
            problems.extend(unwritten);
            problems.iter().for_each(|problem| eprintln!("error: {problem}"));
            if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(feature = "jack"))]
fn play(_: &Args) -> ExitCode {
    eprintln!(
        "error: this program was built without JACK; `cargo xtask demo --native --jack` builds it with it"
    );
    ExitCode::FAILURE
}

fn run(args: &Args) -> Result<Report, Box<dyn Error>> {
    let files = kit::files(args)?;
    let mut memory = AudioMemory::new(args.budget);

    let mut progress = Progress::new("decoding", files.len() as u64);
    let kit = kit::load(&files, &mut memory, Mixer::spare(args.voices, args.budget), |_| progress.step(1));
    progress.finish();
    for (path, reason) in &kit.failed {
        eprintln!("error: {}: {reason}", path.display());
    }
    for warning in &kit.warnings {
        eprintln!("warning: {warning}");
    }
    if kit.recordings.is_empty() {
        return Err(format!("none of {} files could be used", files.len()).into());
    }
    let names = kit.recordings.iter().map(|recording| recording.name.clone()).collect();
    let tracked_bytes = memory.tracked_bytes();

    let out = |name: &str| args.out.join(name);
    let no_output = |error: std::io::Error| format!("{} cannot be made: {error}", args.out.display());
    fs::create_dir_all(&args.out).map_err(no_output)?;
    let frames = (args.seconds * f64::from(SAMPLE_RATE.get())).ceil() as u64;
    let quanta = frames.div_ceil(u64::from(QUANTUM));
    let no_wav = |error: hound::Error| format!("{} cannot be written: {error}", out("mix.wav").display());
    let mut wav = WavFile::create(&out("mix.wav"), quanta * u64::from(QUANTUM)).map_err(no_wav)?;

    let mut profiler = CallbackProfiler::new(SAMPLE_RATE);
    let mut mixer = Mixer::new(kit.recordings, args.voices, &mut memory);
    let mut progress = Progress::new("mixing", quanta);
    for _ in 0..quanta {
        let quantum = profiler.measure(QUANTUM, || mixer.quantum())?;
        wav.write(&quantum).map_err(no_wav)?;
        progress.step(1);
    }
    progress.finish();
    let loudness = wav.loudness();
    wav.finish().map_err(no_wav)?;

    let mut pools = PoolTotals::default();
    memory.pools().for_each(|pool| pools.add(&pool.stats()));
    let counts = mixer.counts();
    let peak_bytes = memory.peak();
    drop(mixer);
    memory.clear();
    let report = Report {
        files: names,
        failed: kit.failed,
        counts,
        profile: profiler.snapshot(),
        pools,
        budget: args.budget,
        peak_bytes,
        tracked_bytes,
        bytes_left: memory.used(),
        loudness,
    };
    let json = serde_json::to_string_pretty(&report.to_json())?;
    fs::write(out("native.json"), json + "\n")
        .map_err(|error| format!("{} cannot be written: {error}", out("native.json").display()))?;
    Ok(report)
}
