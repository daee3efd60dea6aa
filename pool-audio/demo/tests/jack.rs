//! The demo on a real audio server as a person or a script runs it, and what becomes of it when something goes wrong.
//! Needs `jackd` and `jack_lsp`; `cargo xtask test` sees to it.
#![cfg(all(feature = "jack", target_os = "linux"))]
// Helpers of tests may stop the test, as tests may.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod jackd;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A new folder for one test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn demo(out: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pool-audio-demo"));
    command.args(["--jack", "--out", out.to_str().unwrap()]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn report(folder: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join("native.json")).unwrap()).unwrap()
}

/// The server's process, from `server   jackd, process 123, dummy driver, ...`.
fn server_of(said: &str) -> String {
    said.split("process ").nth(1).and_then(|rest| rest.split(',').next()).unwrap().to_owned()
}

/// The name of this demo's server.
fn name_of(demo: u32) -> String {
    format!("pool-audio-{demo}")
}

/// Whether there is such a process, other than one that has ended and that nobody has asked about.
fn runs(process: &str) -> bool {
    fs::read_to_string(Path::new("/proc").join(process).join("stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// What was played is what was recorded, and what the file holds.
fn check_counts(out: &Path, report: &Value) -> u64 {
    let count = |key: &str| report[key].as_u64().unwrap_or_else(|| panic!("{key} is no count"));
    let recorded = count("frames_recorded");
    assert_eq!(count("frames"), recorded + count("frames_unrecorded"));
    let wav = hound::WavReader::open(out.join("mix.wav")).unwrap();
    assert_eq!(u64::from(wav.duration()), recorded);
    assert_eq!(count("callbacks") * 128, count("frames"));
    assert_eq!((count("allocations_in_callback"), count("bytes_left")), (0, 0));
    recorded
}

/// A WAV file of 16-bit samples, with whatever its header says.
fn wav(channels: u16, rate: u32, frames: u16) -> Vec<u8> {
    let samples: Vec<u8> = (0..frames)
        .flat_map(|frame| (0..channels).flat_map(move |_| (frame.wrapping_mul(331) as i16 / 4).to_le_bytes()))
        .collect();
    let mut file = Vec::new();
    file.extend(b"RIFF");
    file.extend((36 + samples.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0");
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend(rate.saturating_mul(u32::from(channels) * 2).to_le_bytes());
    file.extend((channels * 2).to_le_bytes());
    file.extend(16u16.to_le_bytes());
    file.extend(b"data");
    file.extend((samples.len() as u32).to_le_bytes());
    file.extend(samples);
    file
}

/// Would catch a demo that hangs when its server is killed, samples that were played and are not in the file, counts that
/// do not add up, and buffers that nobody gives back.
#[test]
fn a_server_that_is_killed_ends_the_show_and_loses_nothing() {
    let out = folder("jack-killed");
    let mut child = demo(&out, &["--seconds", "60"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let server = server_of(&lines.find(|line| line.starts_with("server ")).expect("no server was started"));
    lines.find(|line| line.starts_with("playing ")).expect("it did not begin to play");
    let process = child.id();
    assert!(Command::new("kill").args(["-KILL", &server]).status().unwrap().success());
    let killed = Instant::now();
    let rest = thread::spawn(move || lines.collect::<Vec<_>>().join("\n"));
    let run: Output = child.wait_with_output().unwrap();
    assert!(killed.elapsed() < Duration::from_secs(20), "it took {:?} to end", killed.elapsed());
    let (said, errors) = (rest.join().unwrap(), text(&run.stderr));
    assert_eq!(run.status.code(), Some(1), "{said}\n{errors}");
    assert!(errors.contains("error: the JACK server ended after"), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    assert!(!jackd::has_a_place(&name_of(process)), "after eight runs like this no server would begin");
    assert!(said.contains("what was played until then is recorded"), "{said}");
    let report = report(&out);
    assert!(report["ended_early"].as_str().unwrap().starts_with("the JACK server ended"));
    // It had played for five seconds when it said so.
    assert!(check_counts(&out, &report) > 4 * 48_000, "{said}");
}

/// Would catch a signal that leaves the server running, and one that loses the report of what was played.
#[test]
fn a_signal_ends_the_show_and_the_server() {
    for signal in ["INT", "TERM", "KILL"] {
        let out = folder(&format!("jack-signal-{signal}"));
        let mut child = demo(&out, &["--seconds", "60"]).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let server =
            server_of(&lines.find(|line| line.starts_with("server ")).expect("no server was started"));
        lines.find(|line| line.starts_with("playing ")).expect("it did not begin to play");
        let process = child.id();
        let told = Command::new("kill").args([&format!("-{signal}"), &process.to_string()]).status();
        assert!(told.unwrap().success());
        let rest = thread::spawn(move || lines.collect::<Vec<_>>().join("\n"));
        let run: Output = child.wait_with_output().unwrap();
        let (said, errors) = (rest.join().unwrap(), text(&run.stderr));
        if signal == "KILL" {
            // Nobody waits for the server then.
            let killed = Instant::now();
            while runs(&server) && killed.elapsed() < Duration::from_secs(10) {
                thread::sleep(Duration::from_millis(50));
            }
        } else {
            assert_eq!(run.status.code(), Some(1), "{said}\n{errors}");
            let report = report(&out);
            assert!(report["ended_early"].as_str().unwrap().starts_with("interrupted after"), "{errors}");
            assert!(check_counts(&out, &report) > 4 * 48_000, "{said}");
        }
        assert!(!runs(&server), "{signal}: the server goes on");
        jackd::free_place(&name_of(process));
    }
}

/// Would catch a process that is ended by its audio library, since a callback was running when that ended the thread.
#[test]
fn a_stall_in_every_callback_is_reported() {
    for every in ["1", "2"] {
        let out = folder(&format!("jack-overload-{every}"));
        let run = demo(&out, &["--seconds", "1", "--stall-every", every]).output().unwrap();
        assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
        let report = report(&out);
        assert!(report["stalls_planted"].as_u64().unwrap() > 100, "{report}");
        check_counts(&out, &report);
        assert!(!runs(&server_of(&text(&run.stdout))), "the server goes on");
    }
}

/// Would catch a demo that waits for a frozen server until that goes on.
#[test]
fn a_frozen_server_is_given_up() {
    let out = folder("jack-frozen");
    let mut child = demo(&out, &["--seconds", "6"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let server = server_of(&lines.find(|line| line.starts_with("server ")).expect("no server was started"));
    lines.find(|line| line.starts_with("playing ")).expect("it did not begin to play");
    assert!(Command::new("kill").args(["-STOP", &server]).status().unwrap().success());
    let process = child.id();
    assert!(Command::new("kill").arg(process.to_string()).status().unwrap().success());
    let frozen = Instant::now();
    let rest = thread::spawn(move || lines.collect::<Vec<_>>().join("\n"));
    let run: Output = child.wait_with_output().unwrap();
    assert!(frozen.elapsed() < Duration::from_secs(20), "it took {:?} to end", frozen.elapsed());
    let (said, errors) = (rest.join().unwrap(), text(&run.stderr));
    assert_eq!(run.status.code(), Some(1), "{said}\n{errors}");
    assert!(errors.contains("error: the JACK server did not answer"), "{errors}");
    assert!(!runs(&server), "the server goes on");
    assert!(!jackd::has_a_place(&name_of(process)), "after eight runs like this no server would begin");
    check_counts(&out, &report(&out));
}

/// Would catch memory that the audio thread is the first to touch: with one voice, rings come round to their last slots
/// only after the warm-up.
#[test]
fn one_voice_meets_no_page_fault() {
    let out = folder("jack-one-voice");
    let run = demo(&out, &["--seconds", "4", "--voices", "1"]).output().unwrap();
    assert!(run.status.success(), "{}", text(&run.stderr));
    let report = report(&out);
    assert_eq!(report["page_faults"], 0);
    check_counts(&out, &report);
}

/// Would catch a demo that cannot begin any more once eight servers were killed, the way machines are found on which demos
/// were killed together with their servers.
#[test]
fn places_of_the_dead_are_freed() {
    // No process has such a number: Linux counts to 4 194 304.
    for name in (5_000_000..5_000_008).map(name_of) {
        let mut server = jackd::spawn(&name);
        let begun = Instant::now();
        // It ends by itself if there is no place left.
        while !jackd::has_a_place(&name) && server.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(10), "it has no place");
            thread::sleep(Duration::from_millis(10));
        }
        server.kill().unwrap();
        server.wait().unwrap();
    }
    let out = folder("jack-places");
    let run = demo(&out, &["--seconds", "1"]).output().unwrap();
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    check_counts(&out, &report(&out));
}

/// Would catch a server that nobody else can connect to, since its own client took its name, and with it the socket.
#[test]
fn others_can_connect_while_it_plays() {
    let out = folder("jack-others");
    let mut child = demo(&out, &["--seconds", "20"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let server = lines.find(|line| line.starts_with("server ")).expect("no server was started");
    lines.find(|line| line.starts_with("playing ")).expect("it did not begin to play");
    let process = child.id();
    let name = name_of(process);
    let listed = Command::new("jack_lsp").arg("-c").env("JACK_DEFAULT_SERVER", &name).output().unwrap();
    assert!(Command::new("kill").arg(process.to_string()).status().unwrap().success());
    let rest = thread::spawn(move || lines.count());
    let run = child.wait_with_output().unwrap();
    rest.join().unwrap();
    assert_eq!(run.status.code(), Some(1), "{}", text(&run.stderr));
    assert!(server.contains(&format!("JACK_DEFAULT_SERVER={name} jack_lsp")), "{server}");
    let (ports, errors) = (text(&listed.stdout), text(&listed.stderr));
    assert!(listed.status.success(), "{ports}{errors}");
    let connected = format!("system:playback_1\n   pool-audio-demo-{process}:left\n");
    assert!(ports.contains(&connected), "{ports}{errors}");
    jackd::free_place(&name_of(process));
}

/// Would catch a disk that is full and ends the show, a report that goes with it, counts that call frames recorded which are
/// not in the file, and an exit code of success. The recording's size is limited in the place of the disk's.
#[test]
fn a_full_disk_ends_the_recording_alone() {
    for kibibytes in [300, 0] {
        let out = folder(&format!("jack-full-{kibibytes}"));
        let demo = env!("CARGO_BIN_EXE_pool-audio-demo");
        // A write beyond the limit is to fail, not to end the process.
        let mut child = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", demo, "--jack", "--seconds", "7", "--out"])
            .arg(&out)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let server =
            server_of(&lines.find(|line| line.starts_with("server ")).expect("no server was started"));
        // Now that the server has made its files: it has the limits that this process had when it began.
        let limited = Command::new("prlimit")
            .args(["--pid", &child.id().to_string(), &format!("--fsize={}", kibibytes * 1024)])
            .status();
        assert!(limited.unwrap().success());
        let rest = thread::spawn(move || lines.collect::<Vec<_>>().join("\n"));
        let run = child.wait_with_output().unwrap();
        let (said, errors) = (rest.join().unwrap(), text(&run.stderr));
        assert_eq!(run.status.code(), Some(1), "{said}\n{errors}");
        assert!(
            errors.contains("mix.wav cannot be written: ") && errors.contains("are not in it"),
            "{errors}"
        );
        assert!(said.contains("played   7.0 s") && said.contains("buffers  "), "{said}");
        assert!(!runs(&server), "the server goes on");
        if kibibytes == 0 {
            // No room for anything: each file is named, and none stays.
            for name in ["native.json", "histogram.svg", "timeline.svg"] {
                assert!(errors.contains(&format!("{name} cannot be written: ")), "{errors}");
            }
            assert!(!said.contains("wrote ") && !out.join("native.json").exists(), "{said}");
            assert!(!out.join("mix.wav").exists());
            continue;
        }
        let report = report(&out);
        assert!(
            report["ended_early"].is_null() && report["problems"].as_array().unwrap().len() == 1,
            "{report}"
        );
        assert!(report["frames"].as_u64() >= Some(7 * 48_000), "{report}");
        let recorded = check_counts(&out, &report);
        // What the file was flushed to, each half second.
        let room = 300 * 1024 / 4;
        assert!(recorded < room && recorded > room - 25_000, "{recorded}");
        let bytes = fs::metadata(out.join("mix.wav")).unwrap().len();
        assert_eq!(bytes, 44 + 4 * recorded);
        assert!(["histogram.svg", "timeline.svg"].iter().all(|name| out.join(name).is_file()));
    }
}

/// Would catch a bad file that stops the good ones, one that is not named, and channels or rates that break the mix.
#[test]
fn odd_files_are_played_or_named() {
    let out = folder("jack-odd-files");
    let choir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../audio/ambi_choir.flac");
    let whole = fs::read(choir).unwrap();
    let files = [
        ("8-channels.wav", wav(8, 48_000, 4000), true),
        // More than the decoder knows places for: read without it.
        ("32-channels.wav", wav(32, 48_000, 4000), true),
        ("1-hertz.wav", wav(1, 1, 4000), true),
        ("768-kilohertz.wav", wav(2, 768_000, 4000), true),
        ("truncated.flac", whole[..whole.len() / 2].to_vec(), true),
        ("empty.wav", Vec::new(), false),
        ("0-channels.wav", wav(0, 48_000, 100), false),
        ("notes.wav", "these are no samples\n".repeat(100).into_bytes(), false),
    ];
    let mut arguments = vec!["--seconds".to_owned(), "2".to_owned(), "missing.flac".to_owned()];
    for (name, contents, _) in &files {
        fs::write(out.join(name), contents).unwrap();
        arguments.push(out.join(name).to_str().unwrap().to_owned());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let run = demo(&out, &arguments).output().unwrap();
    let errors = text(&run.stderr);
    assert!(run.status.success(), "{errors}");
    let report = report(&out);
    let failed = report["failed"].as_array().unwrap();
    for (name, _, playable) in &files {
        let named = failed.iter().any(|entry| entry["file"].as_str().unwrap().ends_with(name));
        assert_eq!(named, !playable, "{name}: {errors}");
    }
    assert_eq!((report["files"].as_u64(), failed.len()), (Some(5), 4), "{errors}");
    assert!(
        errors.contains("truncated.flac: ") && errors.contains("missing.flac: there is no such file"),
        "{errors}"
    );
    assert!(errors.contains("invalid channel count"), "{errors}");
    let warned = |name: &str, how: &str| errors.lines().any(|line| line.contains(name) && line.contains(how));
    assert!(warned("1-hertz.wav: it is not resampled", "48000 times faster"), "{errors}");
    assert!(warned("768-kilohertz.wav: it is not resampled", "16 times slower"), "{errors}");
    assert!(!warned("8-channels.wav", "resampled"), "{errors}");
    assert!(text(&run.stdout).contains("not resampled"), "{}", text(&run.stdout));
    assert_eq!(report["max_overlap"], 64);
    check_counts(&out, &report);
}

/// Would catch a budget that is passed, a panic, a message without numbers, a server that is left behind, and an earlier
/// run's recording that gives way to nothing.
#[test]
fn what_cannot_be_played_is_said() {
    let out = folder("jack-none");
    let earlier = ["mix.wav", "timeline.svg"].map(|name| out.join(name));
    earlier.iter().for_each(|path| fs::write(path, "of an earlier run").unwrap());
    for (arguments, message) in [
        // Not one voice; voices but no recording; no file.
        (&["--budget", "5000"][..], "the budget is too small for 64 voices: account"),
        (&["--budget", "8000000"], "none of 18 files could be used"),
        // Buffers that are there are not set aside once more: an eighth of them is.
        (&["--budget", "8000000"], "7495296 are taken already and 936912 set aside for the mixer's buffers"),
        (&["missing.flac"], "none of 1 files could be used"),
    ] {
        let run = demo(&out, arguments).output().unwrap();
        let errors = text(&run.stderr);
        assert_eq!(run.status.code(), Some(1), "{arguments:?}: {errors}");
        assert!(errors.contains(message), "{arguments:?}: {errors}");
        assert!(!errors.contains("panicked"), "{errors}");
        assert!(!runs(&server_of(&text(&run.stdout))), "the server goes on");
    }
    assert!(!out.join("native.json").exists());
    assert!(earlier.iter().all(|path| fs::read_to_string(path).unwrap() == "of an earlier run"));
    // With a path on which there is no server.
    let run = demo(&out, &[]).env("PATH", "").output().unwrap();
    assert!(text(&run.stderr).contains("the JACK server `jackd` cannot be started"), "{}", text(&run.stderr));
}
