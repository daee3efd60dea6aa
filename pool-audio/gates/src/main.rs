//! An audio callback under watch. `gates GATE [FAULT] [QUANTA]`, each in a process of its own:
//!
//! | gate | red when the audio thread |
//! |---|---|
//! | `alloc` | calls the allocator, to get or to free |
//! | `faults` | touches a page for the first time |
//! | `syscalls` | calls the system (the filter then ends the process) |
//! | `bare` | nothing is watched here: for RealtimeSanitizer, which this is built with |
//!
//! A FAULT (`alloc`, `free`, `fault`, `yield`, `lock`) is planted in the callback, for the gate to find. The exit code is 0 if nothing was
//! seen, 1 if something was, 2 if the gate could not be set up.
//!
//! `cargo xtask realtime` runs them all.
#![cfg_attr(pool_audio_rtsan, feature(sanitize))]

mod callback;

use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use pool_audio::Worker;
use pool_audio_gates::allocator::{self, Counting};
use pool_audio_gates::kernel;

use crate::callback::{Callback, Plant};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Quanta before anything is watched: stacks, caches and lanes have been touched then.
const WARM_UP: u64 = 500;
/// Quanta that are watched, unless set: some 50 s of sound.
const QUANTA: u64 = 20_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (gate, rest) = match words.split_first() {
        Some((gate, rest)) => (*gate, rest),
        None => return usage(),
    };
    let (mut plant, mut quanta) = (Plant::Nothing, QUANTA);
    for word in rest {
        match (Plant::named(word), word.parse()) {
            (Some(fault), _) => plant = fault,
            (None, Ok(number)) => quanta = number,
            _ => return usage(),
        }
    }
    let watch: fn(&mut Callback, u64) -> Result<(), String> = match gate {
        "alloc" => no_allocator_call,
        "faults" => no_page_fault,
        "syscalls" => no_system_call,
        "bare" => nothing_watched,
        _ => return usage(),
    };
    match run(watch, plant, quanta) {
        Ok(Ok(())) => {
            println!("{gate}: nothing seen in {quanta} quanta");
            ExitCode::SUCCESS
        }
        Ok(Err(seen)) => {
            println!("{gate}: {seen}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{gate}: cannot be set up: {error}");
            ExitCode::from(2)
        }
    }
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: gates (alloc | faults | syscalls | bare) [alloc | free | fault | yield | lock] [QUANTA]"
    );
    ExitCode::from(2)
}

/// A worker, an audio thread that is watched, and a recorder that releases what the audio thread sends it.
fn run(
    watch: fn(&mut Callback, u64) -> Result<(), String>,
    plant: Plant,
    quanta: u64,
) -> Result<Result<(), String>, Box<dyn std::error::Error>> {
    let worker = Worker::start_with(callback::pool(), Duration::from_millis(1))?;
    let (mut callback, mut recorder) = worker.with(|pool| Callback::new(pool, plant))?;
    let (sender, receiver) = mpsc::channel();
    let audio = thread::spawn(move || {
        for _ in 0..WARM_UP {
            callback.quantum();
        }
        let seen = watch(&mut callback, quanta);
        // Where allocating is allowed again.
        let result = seen.and_then(|()| callback.check());
        drop(callback);
        sender.send(result)
    });
    let seen = loop {
        recorder.drain();
        match receiver.recv_timeout(Duration::from_millis(1)) {
            Ok(seen) => break seen,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err("the audio thread panicked".into()),
        }
    };
    drop(audio.join());
    drop(recorder);
    worker.shut_down(Duration::from_secs(10))?;
    Ok(seen)
}

fn nothing_watched(callback: &mut Callback, quanta: u64) -> Result<(), String> {
    (0..quanta).for_each(|_| callback.quantum());
    Ok(())
}

fn no_allocator_call(callback: &mut Callback, quanta: u64) -> Result<(), String> {
    let calls = allocator::counted(|| (0..quanta).for_each(|_| callback.quantum()));
    if calls == 0 { Ok(()) } else { Err(format!("{calls} allocator calls in {quanta} quanta")) }
}

fn no_page_fault(callback: &mut Callback, quanta: u64) -> Result<(), String> {
    let before = kernel::page_faults()?;
    (0..quanta).for_each(|_| callback.quantum());
    let faults = kernel::page_faults()? - before;
    if faults == 0 { Ok(()) } else { Err(format!("{faults} page faults in {quanta} quanta")) }
}

/// Does not come back: the filter stays on the thread, so the process ends from here.
fn no_system_call(callback: &mut Callback, quanta: u64) -> Result<(), String> {
    kernel::forbid_system_calls()?;
    (0..quanta).for_each(|_| callback.quantum());
    kernel::end(&format!("syscalls: nothing seen in {quanta} quanta\n"))
}
