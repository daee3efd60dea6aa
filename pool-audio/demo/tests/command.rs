//! The demo as a person or a script runs it: exit codes, messages, and the files it writes.

// Helpers of tests may stop the test, as tests may.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A new folder for one test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn demo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pool-audio-demo")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn report(folder: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join("native.json")).unwrap()).unwrap()
}

/// Peak and root mean square of each second of the mix, as fractions of full scale.
fn loudness(folder: &Path) -> Vec<(f64, f64)> {
    let mut wav = hound::WavReader::open(folder.join("mix.wav")).unwrap();
    let spec = wav.spec();
    assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (2, 48_000, 16));
    let samples: Vec<f64> =
        wav.samples::<i16>().map(|sample| f64::from(sample.unwrap()) / 32_767.0).collect();
    let second = |samples: &[f64]| {
        let peak = samples.iter().fold(0.0f64, |peak, sample| peak.max(sample.abs()));
        (peak, (samples.iter().map(|sample| sample * sample).sum::<f64>() / samples.len() as f64).sqrt())
    };
    samples.chunks(96_000).map(second).collect()
}

/// Would catch silence, clipping, a report that lacks a key or contradicts the file, and a leak.
#[test]
fn the_bundled_kit_gives_real_sound_and_a_true_report() {
    let out = folder("kit");
    let run = demo(&["--out", out.to_str().unwrap(), "--seconds", "3"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let said = text(&run.stdout);
    assert!(said.contains("18 recordings") && said.contains("not resampled"), "{said}");

    let loudness = loudness(&out);
    assert_eq!(loudness.len(), 3);
    for (peak, rms) in loudness {
        assert!(peak < 0.99 && rms > 0.02 && rms < 0.5, "peak {peak}, rms {rms}");
    }

    let report = report(&out);
    let number = |key: &str| report[key].as_f64().unwrap_or_else(|| panic!("{key} is no number"));
    assert_eq!((number("files"), number("quanta")), (18.0, 1125.0));
    assert!(number("voices") >= 64.0 && number("max_overlap") >= 64.0);
    assert!(number("created") > 0.0 && number("reused") > 50.0 * number("created"));
    assert!(number("evicted") >= 0.0 && number("bytes_left") == 0.0);
    assert!(number("peak_bytes") > number("tracked_bytes") && number("peak_bytes") < 96e6);
    let load = ["p50", "p95", "p99", "max"].map(|key| report["load"][key].as_f64().unwrap());
    assert!(load[0] > 0.0 && load.is_sorted(), "{load:?}");
}

/// Would catch a bad file that goes unnamed, or takes the good ones with it.
#[test]
fn a_bad_file_is_named_and_the_others_are_mixed() {
    let out = folder("one-bad");
    let notes = out.join("notes.wav");
    fs::write(&notes, "these are no samples\n".repeat(100)).unwrap();
    let good = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../audio/bd_808.flac");
    let files = [out.join("missing.flac"), notes, good];
    let mut arguments = vec!["--out", out.to_str().unwrap(), "--seconds", "1"];
    arguments.extend(files.iter().map(|file| file.to_str().unwrap()));
    let run = demo(&arguments);
    let errors = text(&run.stderr);
    assert!(run.status.success(), "{errors}");
    assert!(errors.contains("missing.flac: there is no such file"), "{errors}");
    assert!(errors.contains("notes.wav: this is no audio"), "{errors}");
    let report = report(&out);
    assert_eq!(report["files"], 1);
    let failed: Vec<&str> =
        report["failed"].as_array().unwrap().iter().map(|entry| entry["file"].as_str().unwrap()).collect();
    assert_eq!(failed, [files[0].to_str().unwrap(), files[1].to_str().unwrap()]);
    assert!(report["max_overlap"].as_u64().unwrap() >= 64);
    assert!(loudness(&out)[0].1 > 0.005);
}

/// Would catch success without a mix, a panic in place of a message, and a budget of which nobody is told where it went.
#[test]
fn when_nothing_can_be_mixed_the_exit_code_says_so() {
    let out = folder("none");
    let to = out.to_str().unwrap();
    let good = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../audio/bd_808.flac");
    let good = good.to_str().unwrap();
    let blocked = out.join("a file");
    fs::write(&blocked, "in the way").unwrap();
    for (arguments, code, message) in [
        (&["--out", to, "missing.flac"][..], 1, "none of 1 files could be used"),
        (
            &["--out", to, "--budget", "300000", good],
            1,
            "the budget has 0 left for them: of its 300000, 0 are taken already and 569980 set aside for the mixer's buffers",
        ),
        (&["--out", blocked.to_str().unwrap(), "--seconds", "1", good], 1, "cannot be made"),
        (&["--seconds", "nine"], 2, "--seconds wants"),
        (&["--loud"], 2, "there is no option --loud"),
    ] {
        let run = demo(arguments);
        let errors = text(&run.stderr);
        assert_eq!(run.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(errors.contains(message), "{arguments:?}: {errors}");
        assert!(!errors.contains("panicked"), "{errors}");
    }
    assert!(!out.join("native.json").exists());
}
