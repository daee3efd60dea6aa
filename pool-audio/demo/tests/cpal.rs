//! The example on `cpal` where there is nothing to play on, or no longer. Needs `jackd` and `jack_lsp`; `cargo xtask test` sees to
//! them.
#![cfg(all(feature = "cpal", target_os = "linux"))]
// Helpers of tests may stop the test, as tests may.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod jackd;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;

/// The example, which cargo builds beside the tests of the whole package.
fn example() -> Command {
    let tests = std::env::current_exe().unwrap();
    let path = tests.parent().and_then(|deps| deps.parent()).unwrap().join("examples/cpal");
    assert!(path.is_file(), "cargo builds {} if no single test is chosen", path.display());
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Would catch an error for programmers where a person wants to know what is missing, and what to do.
#[test]
fn without_a_device_the_remedy_is_told() {
    // Without its configuration ALSA knows no device, whatever this machine has.
    let bare = example().env("ALSA_CONFIG_PATH", "/dev/null").output().unwrap();
    let alone = example().arg("--jack").env("JACK_DEFAULT_SERVER", "pool-audio-none").output().unwrap();
    for (run, what, remedy) in [
        (bare, "there is no audio device", "connect a sound card"),
        (alone, "no JACK server answers", "start one"),
    ] {
        let errors = text(&run.stderr);
        assert_eq!(run.status.code(), Some(1), "{errors}");
        let told = errors.split("error: ").last().unwrap();
        assert!(told.starts_with(what) && told.contains("\nRemedy: ") && told.contains(remedy), "{errors}");
        assert!(!told.contains('{'), "{errors}");
    }
}

/// Would catch a stream that has ended and that is shown as one without load, with an exit code of success.
#[test]
fn a_server_that_is_killed_ends_the_example_with_an_error() {
    let name = format!("pool-audio-cpal-{}", std::process::id());
    let mut server = jackd::start(&name);
    let mut child = example().arg("--jack").env("JACK_DEFAULT_SERVER", &name).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let began = lines.find(|line| line.starts_with("load "));
    server.kill().unwrap();
    server.wait().unwrap();
    let rest = thread::spawn(move || lines.collect::<Vec<_>>());
    let run = child.wait_with_output().unwrap();
    let (said, errors) = (rest.join().unwrap(), text(&run.stderr));
    jackd::free_place(&name);

    assert!(began.is_some(), "{errors}");
    assert_eq!(run.status.code(), Some(1), "{said:?}\n{errors}");
    assert!(errors.contains("error: the stream ended before its time: JACK server shut down"), "{errors}");
    assert!(!said.iter().any(|line| line.starts_with("load 0.0 %")), "{said:?}");
    assert!(said.iter().any(|line| line.starts_with("buffers ")), "{said:?}");
}
