//! The native demo on a real audio server, and the check of what it leaves.

use std::ffi::OsString;
use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::native;
use crate::setup;
use crate::sound;
use crate::workspace::Workspace;

/// Late callbacks and the server's xruns are two views of the same: they may differ by so many, in each direction. The
/// server's view begins later: a callback counts as late if it is late by half a period, a cycle of the server's if it is
/// not done when the next is due (JACK 2, `JackTimedDriver::ProcessWait` and `JackEngine::CheckXRun`). Where other programs,
/// or the host of a virtual machine, take the processor for half a period to a whole one, callbacks are late without an
/// xrun; those that are late by more than a period must be among the xruns.
const AGREE_WITHIN: f64 = 5.0;
/// Audio memory stays below this.
const MAX_BYTES: f64 = 100e6;
/// Voices that sound at once.
const VOICES: f64 = 64.0;
/// Callbacks from one planted stall to the next.
const STALL_EVERY: &str = "500";
/// Seconds that are played in a check.
const SECONDS: &str = "12";
/// Other programs on a machine can spoil a run, not improve it: what fails thrice fails.
const ATTEMPTS: usize = 3;

/// Whether these arguments of the native demo ask for the audio server.
pub(crate) fn is_asked_for(arguments: &[OsString]) -> bool {
    arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--jack")
}

/// Plays the bundled kit twice, as it is and with stalls planted, and checks what each left.
pub(crate) fn run_checked(workspace: &Workspace) -> Result<()> {
    setup::jack_server()?;
    for stalls in [false, true] {
        let mut problems = Vec::new();
        for attempt in 1..=ATTEMPTS {
            problems = perform(workspace, stalls)?;
            if problems.is_empty() {
                break;
            }
            println!("Attempt {attempt} of {ATTEMPTS}:\n- {}", problems.join("\n- "));
        }
        if !problems.is_empty() {
            bail!("the demo on the audio server does not keep its promises:\n- {}", problems.join("\n- "));
        }
    }
    println!("What was played on the audio server is as promised, and planted stalls were counted.");
    Ok(())
}

fn perform(workspace: &Workspace, stalls: bool) -> Result<Vec<String>> {
    let folder = workspace.demo_folder();
    let names = ["mix.wav", "native.json", "histogram.svg", "timeline.svg"];
    for path in names.map(|name| folder.join(name)) {
        // Results of an earlier run must not pass for this one's.
        if path.exists() {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    let mut arguments: Vec<OsString> = ["--jack", "--seconds", SECONDS].map(OsString::from).into();
    if stalls {
        arguments.extend(["--stall-every", STALL_EVERY].map(OsString::from));
    }
    native::run(workspace, &arguments)?;
    let json = folder.join("native.json");
    let text = fs::read_to_string(&json).with_context(|| format!("the demo wrote no {}", json.display()))?;
    let mut problems = problems(&serde_json::from_str(&text)?, stalls);
    problems.extend(sound::problems(&folder.join("mix.wav")));
    for chart in &names[2..] {
        let text = fs::read_to_string(folder.join(chart)).unwrap_or_default();
        if !(text.starts_with("<svg ") && text.trim_end().ends_with("</svg>") && !text.contains("NaN")) {
            problems.push(format!("{chart} is no picture"));
        }
    }
    Ok(problems)
}

/// What is wrong with a report of the demo on the audio server.
fn problems(report: &Value, stalls: bool) -> Vec<String> {
    let number = |key: &str| report[key].as_f64().unwrap_or(f64::NAN);
    let mut problems = Vec::new();
    let mut must = |holds: bool, problem: String| {
        if !holds {
            problems.push(problem);
        }
    };
    must(report["ended_early"].is_null(), format!("it ended early: {}", report["ended_early"]));
    must(report["problems"] == json!([]), format!("it tells of problems: {}", report["problems"]));
    for key in ["files", "callbacks", "created", "handed_out", "reused", "echoes", "frames"] {
        must(number(key) > 0.0, format!("`{key}` is {}, it must be over 0", report[key]));
    }
    for key in ["allocations_in_callback", "page_faults", "bytes_left", "frames_unrecorded", "voice_refused"]
    {
        must(number(key) == 0.0, format!("`{key}` is {}, it must be 0", report[key]));
    }
    must(number("evicted") >= 0.0, format!("`evicted` is {}, no count", report["evicted"]));
    must(
        number("max_overlap") >= VOICES,
        format!("`max_overlap` is {}, not {VOICES}", report["max_overlap"]),
    );
    // A buffer for each voice in each callback, and one for the recorder. What the worker takes to clear is not in it.
    must(
        number("handed_out") >= number("callbacks") * number("mean_overlap"),
        format!("`handed_out` is {}, too few for so many voices", report["handed_out"]),
    );
    must(
        number("reused") + number("created") >= number("handed_out")
            && number("reused") < number("handed_out"),
        format!("`reused` is {}, and {} were handed out", report["reused"], report["handed_out"]),
    );
    must(
        number("mean_overlap") <= number("max_overlap"),
        format!(
            "{} voices at once on average, and {} at most",
            report["mean_overlap"], report["max_overlap"]
        ),
    );
    must(
        number("peak_bytes") < MAX_BYTES,
        format!("`peak_bytes` is {}, not below {MAX_BYTES}", report["peak_bytes"]),
    );
    must(
        number("frames") == number("frames_recorded"),
        format!("{} frames were played and {} recorded", report["frames"], report["frames_recorded"]),
    );
    for group in ["load", "execution_us"] {
        let mut below = 0.0;
        for key in ["p50", "p95", "p99", "p999"] {
            let value = report[group][key].as_f64().unwrap_or(f64::NAN);
            must(value >= below, format!("`{group}.{key}` is {}, no rising percentile", report[group][key]));
            below = value;
        }
        must(
            report[group]["max"].as_f64().is_some_and(|max| max > 0.0 && max >= below),
            format!("`{group}.max` is {}, less than a percentile", report[group]["max"]),
        );
    }
    let (late, by_a_period) = (number("late"), number("late_by_a_period"));
    let told = number("backend_xruns");
    must(
        by_a_period <= late && told <= late + AGREE_WITHIN && told >= by_a_period - AGREE_WITHIN,
        format!(
            "{late} callbacks were late, {by_a_period} of them by more than a period, and the server told {told} xruns: \
             more than {AGREE_WITHIN} too many or too few"
        ),
    );
    let planted = number("stalls_planted");
    if stalls {
        must(planted >= 5.0, format!("{planted} stalls were planted, too few to see"));
        // The last one may have no callback after it that is late.
        for (key, least) in [("overruns", planted), ("late", planted - 1.0), ("backend_xruns", planted - 1.0)]
        {
            must(
                number(key) >= least,
                format!("{planted} stalls were planted, and `{key}` is {}", report[key]),
            );
        }
    } else {
        must(planted == 0.0, format!("{planted} stalls were planted, and none was asked for"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Value {
        json!({
            "ended_early": null, "problems": [], "files": 18, "callbacks": 4500, "created": 700, "handed_out": 300_000,
            "reused": 299_300, "echoes": 300,
            "frames": 576_000, "frames_recorded": 576_000, "frames_unrecorded": 0, "allocations_in_callback": 0,
            "page_faults": 0, "bytes_left": 0, "voice_refused": 0, "evicted": 0, "max_overlap": 64, "mean_overlap": 63.9,
            "peak_bytes": 9_000_000, "late": 12, "late_by_a_period": 1, "backend_xruns": 10, "overruns": 9, "stalls_planted": 9,
            "load": { "p50": 0.02, "p95": 0.03, "p99": 0.03, "p999": 1.5, "max": 1.5 },
            "execution_us": { "p50": 50.0, "p95": 60.0, "p99": 70.0, "p999": 4000.0, "max": 4100.0 },
        })
    }

    /// Catches: a broken promise that passes.
    #[test]
    fn each_promise_is_checked() {
        assert_eq!(problems(&good(), true), Vec::<String>::new());
        for (key, value) in [
            ("ended_early", json!("the server ended")),
            ("problems", json!(["128 frames are missing"])),
            ("callbacks", json!(0)),
            ("reused", json!(null)),
            ("reused", json!(299_299)),
            ("reused", json!(300_000)),
            ("allocations_in_callback", json!(1)),
            ("page_faults", json!(null)),
            ("bytes_left", json!(100)),
            ("max_overlap", json!(63)),
            ("mean_overlap", json!(123)),
            ("handed_out", json!(287_000)),
            ("execution_us", json!({ "p50": 50.0, "p95": 60.0, "p99": 70.0, "p999": 62.8, "max": 350.0 })),
            ("execution_us", json!({ "p50": 50.0, "p95": 60.0, "p99": 70.0, "p999": 400.0, "max": 350.0 })),
            ("peak_bytes", json!(100_000_000)),
            ("frames_recorded", json!(575_872)),
            ("late", json!(4)),
            ("late", json!(null)),
            ("late_by_a_period", json!(13)),
            ("late_by_a_period", json!(null)),
            ("backend_xruns", json!(18)),
            ("overruns", json!(8)),
            ("stalls_planted", json!(0)),
            ("load", json!({})),
        ] {
            let mut report = good();
            report[key] = value;
            assert!(!problems(&report, true).is_empty(), "{key}");
        }
        assert!(!problems(&good(), false).is_empty(), "stalls that nobody asked for");
    }

    /// Catches: a server that is set up for a file of that name, or not for the option.
    #[test]
    fn the_option_is_found_among_the_arguments() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert!(is_asked_for(&words("--seconds 5 --jack a.flac")));
        assert!(!is_asked_for(&words("--seconds 5 -- --jack")));
    }
}
