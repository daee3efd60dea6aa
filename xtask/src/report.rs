//! The report of the headless demo and of the native one: what they must hold and promise.

use serde_json::{Map, Value};

use crate::args::HeadlessOptions;

/// What each mode reports, in the order of the table.
const KEYS: &[&str] = &[
    "seconds",
    "voices",
    "nodes_created",
    "nodes_reused",
    "buffers_created",
    "buffers_reused",
    "hit_rate",
    "tracked_bytes",
    "tracked_peak_bytes",
    "script_ms",
    "gc_ms",
    "gc_thread_ms",
    "gc_stops_thread_ms",
    "gc_longest_ms",
    "renderer_peak_bytes",
    "private_peak_bytes",
    "underruns",
    "load",
    "load_p95",
];
/// Of those, what is known only where there are pools, which the floor has none of.
const OF_POOLS: &[&str] = &[
    "nodes_created",
    "nodes_reused",
    "buffers_created",
    "buffers_reused",
    "hit_rate",
    "tracked_bytes",
    "tracked_peak_bytes",
];
/// Of what pooled voices are to need less than fresh ones.
const COMPARED: &[&str] = &[
    "script_ms",
    "gc_ms",
    "gc_thread_ms",
    "gc_stops_thread_ms",
    "gc_longest_ms",
    "renderer_peak_bytes",
    "private_peak_bytes",
];
/// What no browser or machine may leave unknown.
const ALWAYS_KNOWN: &[&str] = &[
    "seconds",
    "voices",
    "nodes_created",
    "nodes_reused",
    "buffers_created",
    "buffers_reused",
    "tracked_bytes",
    "tracked_peak_bytes",
];
/// What the native demo reports.
const NATIVE_KEYS: &[&str] =
    &["files", "quanta", "voices", "max_overlap", "load", "created", "reused", "evicted", "peak_bytes"];
/// What `load` of the native demo holds.
const LOAD_KEYS: &[&str] = &["p50", "p95", "p99", "max"];
/// The least part of acquires that a warm pool serves from idle objects.
const MIN_HIT_RATE: f64 = 0.95;
/// Audio memory stays below this.
const MAX_TRACKED_BYTES: f64 = 100e6;
/// The fewest voices that the native demo must mix at some time.
const MIN_OVERLAP: f64 = 64.0;
/// The least part of the asked-for voices that must have sounded; a busy machine starts fewer.
const MIN_VOICES: f64 = 0.5;

/// How the page gets its nodes and buffers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mode {
    /// From pools.
    Pooled,
    /// Newly made for every voice.
    Fresh,
    /// None but the sources, which neither can spare.
    Sources,
    /// Not at all: the page alone.
    Empty,
}

impl Mode {
    /// The name in the page's address and in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pooled => "pooled",
            Self::Fresh => "fresh",
            Self::Sources => "sources",
            Self::Empty => "empty",
        }
    }

    /// Those that are asked for.
    pub(crate) fn of(options: HeadlessOptions) -> &'static [Self] {
        let all = &[Self::Pooled, Self::Fresh, Self::Sources, Self::Empty];
        if options.floor { all } else { &all[..2] }
    }

    /// What it reports.
    fn keys(self) -> Vec<&'static str> {
        let has_pools = matches!(self, Self::Pooled | Self::Fresh);
        KEYS.iter().copied().filter(|key| has_pools || !OF_POOLS.contains(key)).collect()
    }
}

/// Of what the page tells, the keys of the report; one that is missing stays so, and is a problem.
pub(crate) fn only_the_promised(page: &Value, mode: Mode) -> Value {
    let keys = mode.keys().into_iter();
    let kept = keys.filter_map(|key| Some((key.to_owned(), page.get(key)?.clone())));
    Value::Object(kept.collect::<Map<_, _>>())
}

/// The median of each figure of several runs; one that is missing or unknown in any run stays so.
pub(crate) fn medians(runs: &[Value]) -> Value {
    let Some(first) = runs.first().and_then(Value::as_object) else { return Value::Null };
    let median = |key: &String| {
        let values = runs.iter().map(|run| run.get(key)).collect::<Option<Vec<_>>>()?;
        let numbers: Option<Vec<f64>> = values.iter().map(|value| value.as_f64()).collect();
        let Some(mut numbers) = numbers else { return Some((key.clone(), Value::Null)) };
        numbers.sort_by(f64::total_cmp);
        let (low, high) = (numbers[(numbers.len() - 1) / 2], numbers[numbers.len() / 2]);
        Some((key.clone(), Value::from((low + high) / 2.0)))
    };
    // A single run is told as it is, what is no number included.
    if runs.len() == 1 { runs[0].clone() } else { Value::Object(first.keys().filter_map(median).collect()) }
}

/// What is wrong with a report, in sentences; empty if nothing is.
pub(crate) fn problems(report: &Value, options: HeadlessOptions) -> Vec<String> {
    let mut problems = Vec::new();
    for &mode in Mode::of(options) {
        let side = &report[mode.name()];
        let mut found = shape_problems(side, &mode.keys(), ALWAYS_KNOWN);
        if found.is_empty() {
            found = promise_problems(side, mode, options);
        }
        problems.extend(found.into_iter().map(|problem| format!("{}: {problem}", mode.name())));
    }
    problems
}

/// Keys that are missing, are too many, or hold no number.
fn shape_problems(side: &Value, keys: &[&str], always_known: &[&str]) -> Vec<String> {
    let Some(map) = side.as_object() else { return vec!["it is missing from the report".into()] };
    let mut problems = Vec::new();
    for &key in keys {
        match map.get(key) {
            None => problems.push(format!("`{key}` is missing")),
            Some(Value::Null) if always_known.contains(&key) => {
                problems.push(format!("`{key}` is null, but it can be known"));
            }
            Some(Value::Null) => {}
            Some(Value::Number(number)) if number.as_f64().is_some_and(|number| number >= 0.0) => {}
            Some(other) => problems.push(format!("`{key}` is {other}, no number of at least 0")),
        }
    }
    let unknown = map.keys().filter(|key| !keys.contains(&key.as_str()));
    problems.extend(unknown.map(|key| format!("`{key}` does not belong in the report")));
    problems
}

fn promise_problems(side: &Value, mode: Mode, options: HeadlessOptions) -> Vec<String> {
    let number = |key: &str| side[key].as_f64().unwrap_or(f64::NAN);
    let mut problems = Vec::new();
    let mut must = |holds: bool, problem: String| {
        if !holds {
            problems.push(problem);
        }
    };

    let (seconds, asked) = (number("seconds"), f64::from(options.seconds));
    must(seconds >= 0.9 * asked, format!("it measured {seconds} s of {asked}"));
    let rate = if mode == Mode::Empty { 0 } else { options.rate };
    let (voices, wanted) = (number("voices"), MIN_VOICES * asked * f64::from(rate));
    must(voices >= wanted, format!("{voices} voices sounded, at least {wanted} were to"));

    match mode {
        Mode::Pooled => {
            let rate = side["hit_rate"].as_f64();
            must(
                rate.is_some_and(|rate| (MIN_HIT_RATE..=1.0).contains(&rate)),
                format!("the hit rate is {}, at least {MIN_HIT_RATE} is promised", side["hit_rate"]),
            );
            for key in ["nodes_reused", "buffers_reused"] {
                must(number(key) > 0.0, format!("`{key}` is 0: nothing was pooled"));
            }
            for key in ["tracked_bytes", "tracked_peak_bytes"] {
                let bytes = number(key);
                must(bytes > 0.0, format!("`{key}` is 0, and audio takes memory"));
                must(bytes < MAX_TRACKED_BYTES, format!("`{key}` is {bytes}, over {MAX_TRACKED_BYTES}"));
            }
        }
        Mode::Fresh => {
            for key in ["nodes_created", "buffers_created"] {
                must(number(key) > 0.0, format!("`{key}` is 0: nothing was made"));
            }
            for key in ["nodes_reused", "buffers_reused"] {
                must(number(key) == 0.0, format!("`{key}` is {}: that is not fresh", number(key)));
            }
        }
        Mode::Sources => {}
        Mode::Empty => must(voices == 0.0, format!("{voices} voices sounded in an empty page")),
    }
    problems
}

/// What is wrong with the native demo's report.
pub(crate) fn native_problems(report: &Value) -> Vec<String> {
    let Some(map) = report.as_object() else { return vec!["the native report is no object".into()] };
    let mut problems: Vec<String> = NATIVE_KEYS
        .iter()
        .filter(|key| !map.contains_key(**key))
        .map(|key| format!("`{key}` is missing"))
        .collect();
    for key in ["files", "quanta", "voices", "created", "reused", "peak_bytes"] {
        if report[key].as_f64().is_none_or(|count| count <= 0.0) {
            problems.push(format!("`{key}` is {}, it must be over 0", report[key]));
        }
    }
    if report["max_overlap"].as_f64().is_none_or(|voices| voices < MIN_OVERLAP) {
        problems.push(format!(
            "`max_overlap` is {}, at least {MIN_OVERLAP} are to sound at once",
            report["max_overlap"]
        ));
    }
    if report["evicted"].as_f64().is_none_or(|count| count < 0.0) {
        problems.push(format!("`evicted` is {}, no count", report["evicted"]));
    }
    if report["peak_bytes"].as_f64().is_some_and(|bytes| bytes >= MAX_TRACKED_BYTES) {
        problems.push(format!("`peak_bytes` is {}, over {MAX_TRACKED_BYTES}", report["peak_bytes"]));
    }
    let mut below = 0.0;
    for key in LOAD_KEYS {
        match report["load"][key].as_f64() {
            Some(value) if value >= below => below = value,
            _ => problems.push(format!("`load.{key}` is {}, no rising percentile", report["load"][key])),
        }
    }
    problems
}

/// The report as a table, pooled against fresh, and the floor beside them if it was measured.
pub(crate) fn table(report: &Value) -> String {
    let (pooled, fresh) = (Mode::Pooled.name(), Mode::Fresh.name());
    let floor = [Mode::Sources.name(), Mode::Empty.name()];
    let with_floor = floor.iter().any(|mode| report.get(mode).is_some());
    let mut table = format!("{:<21} {pooled:>15} {fresh:>15} {:>7}", "", "share");
    if with_floor {
        table.push_str(&format!(" {:>15} {:>15}", floor[0], floor[1]));
    }
    table.push('\n');
    for key in KEYS {
        let cell = |mode: Mode| cell(&report[mode.name()][key]);
        let share = match (report[pooled][key].as_f64(), report[fresh][key].as_f64()) {
            (Some(pooled), Some(fresh)) if fresh > 0.0 && COMPARED.contains(key) => {
                format!("{:.0} %", pooled / fresh * 100.0)
            }
            _ => String::new(),
        };
        let mut line = format!("{key:<21} {:>15} {:>15} {share:>7}", cell(Mode::Pooled), cell(Mode::Fresh));
        if with_floor && !OF_POOLS.contains(key) {
            line.push_str(&format!(" {:>15} {:>15}", cell(Mode::Sources), cell(Mode::Empty)));
        }
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
}

fn cell(value: &Value) -> String {
    match value.as_f64() {
        None => "not known".into(),
        Some(number) if number.fract() == 0.0 => grouped(&format!("{number:.0}")),
        Some(number) if number < 10.0 => format!("{number:.3}"),
        Some(number) => {
            let text = format!("{number:.1}");
            let (whole, fraction) = text.split_once('.').unwrap_or((&text, "0"));
            format!("{}.{fraction}", grouped(whole))
        }
    }
}

/// `1234567` as `1 234 567`.
fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OPTIONS: HeadlessOptions = HeadlessOptions { seconds: 10, rate: 200, rounds: 1, floor: false };
    const FLOOR: HeadlessOptions = HeadlessOptions { floor: true, ..OPTIONS };

    fn good() -> Value {
        let pooled = json!({
            "seconds": 10.1, "voices": 2000, "nodes_created": 12, "nodes_reused": 5988,
            "buffers_created": 4, "buffers_reused": 1996, "hit_rate": 0.998, "tracked_bytes": 4_000_000,
            "tracked_peak_bytes": 5_000_000, "script_ms": 120.5, "gc_ms": 3.25, "gc_thread_ms": 3.0, "gc_stops_thread_ms": 2.0, "gc_longest_ms": 1.5,
            "renderer_peak_bytes": 176_000_000, "private_peak_bytes": 60_000_000, "underruns": 0, "load": null,
            "load_p95": 0.2,
        });
        let mut fresh = pooled.clone();
        for (key, value) in
            [("nodes_created", 6000), ("buffers_created", 2000), ("nodes_reused", 0), ("buffers_reused", 0)]
        {
            fresh[key] = json!(value);
        }
        fresh["hit_rate"] = json!(0.0);
        json!({ "pooled": pooled, "fresh": fresh })
    }

    fn with(mode: &str, key: &str, value: Value) -> Vec<String> {
        let mut report = good();
        report[mode][key] = value;
        problems(&report, OPTIONS)
    }

    #[test]
    fn a_good_report_passes() {
        assert_eq!(problems(&good(), OPTIONS), Vec::<String>::new());
        assert_eq!(with("pooled", "gc_ms", Value::Null), Vec::<String>::new());
    }

    /// Catches: a check that cannot fail.
    #[test]
    fn each_broken_promise_is_told() {
        for (mode, key, value) in [
            ("pooled", "hit_rate", json!(0.5)),
            ("pooled", "hit_rate", json!(null)),
            ("pooled", "hit_rate", json!(1.5)),
            ("pooled", "nodes_reused", json!(0)),
            ("pooled", "buffers_reused", json!(0)),
            ("pooled", "tracked_bytes", json!(100_000_000)),
            ("pooled", "tracked_bytes", json!(0)),
            ("pooled", "tracked_peak_bytes", json!(150_000_000)),
            ("pooled", "voices", json!(100)),
            ("pooled", "seconds", json!(2)),
            ("fresh", "nodes_reused", json!(1)),
            ("fresh", "buffers_created", json!(0)),
            ("fresh", "voices", json!(null)),
            ("fresh", "load", json!("high")),
            ("fresh", "underruns", json!(-1)),
            ("fresh", "color", json!(1)),
        ] {
            let problems = with(mode, key, value.clone());
            assert_eq!(problems.len(), 1, "{mode}.{key} = {value}: {problems:?}");
            assert!(problems[0].starts_with(mode), "{problems:?}");
        }
    }

    #[test]
    fn a_missing_key_or_side_is_told() {
        for key in KEYS {
            let mut report = good();
            report["fresh"].as_object_mut().unwrap().remove(*key);
            assert_eq!(problems(&report, OPTIONS), [format!("fresh: `{key}` is missing")]);
        }
        let mut report = good();
        report.as_object_mut().unwrap().remove("fresh");
        assert_eq!(problems(&report, OPTIONS).len(), 1);
    }

    #[test]
    fn the_page_s_other_keys_stay_out_of_the_report() {
        let mut page = good()["pooled"].clone();
        page["latency_ms"] = json!(10);
        assert_eq!(only_the_promised(&page, Mode::Pooled), good()["pooled"]);
        assert_eq!(only_the_promised(&page, Mode::Sources)["hit_rate"], Value::Null);
    }

    /// Catches: a floor that was not measured, or one with something in it.
    #[test]
    fn the_floor_is_checked_where_it_is_asked_for() {
        assert_eq!(problems(&good(), FLOOR).len(), 2);
        let mut report = good();
        for mode in [Mode::Sources, Mode::Empty] {
            report[mode.name()] = only_the_promised(&report["pooled"], mode);
        }
        assert_eq!(problems(&report, FLOOR), ["empty: 2000 voices sounded in an empty page"]);
        report["empty"]["voices"] = json!(0);
        assert_eq!(problems(&report, FLOOR), Vec::<String>::new());
        assert!(table(&report).lines().next().unwrap().ends_with("empty"));
        assert!(table(&good()).lines().next().unwrap().ends_with("share"));
    }

    /// Catches: one round with a long collection that decides the report, and a figure that one round did not know.
    #[test]
    fn of_several_rounds_the_median_counts() {
        let run = |gc: f64, load: Value| json!({ "gc_ms": gc, "load": load });
        let three = [run(3.0, json!(0.1)), run(90.0, json!(null)), run(2.0, json!(0.2))];
        assert_eq!(medians(&three), json!({ "gc_ms": 3.0, "load": null }));
        assert_eq!(medians(&three[..2]), json!({ "gc_ms": 46.5, "load": null }));
        assert_eq!(medians(&three[1..2]), three[1]);
    }

    fn good_native() -> Value {
        json!({
            "files": 18, "quanta": 3750, "voices": 900, "max_overlap": 70, "created": 70, "reused": 830,
            "evicted": 0, "peak_bytes": 20_000_000, "load": { "p50": 0.01, "p95": 0.02, "p99": 0.02, "max": 0.3 },
        })
    }

    #[test]
    fn a_native_report_is_checked_key_by_key() {
        assert_eq!(native_problems(&good_native()), Vec::<String>::new());
        for key in NATIVE_KEYS {
            let mut report = good_native();
            report.as_object_mut().unwrap().remove(*key);
            assert!(!native_problems(&report).is_empty(), "{key}");
        }
        for (pointer, value) in [
            ("/peak_bytes", json!(100_000_000)),
            ("/reused", json!(0)),
            ("/quanta", json!("many")),
            ("/load/p95", json!(0.001)),
            ("/load/max", json!(null)),
        ] {
            let mut report = good_native();
            *report.pointer_mut(pointer).unwrap() = value;
            assert_eq!(native_problems(&report).len(), 1, "{pointer}");
        }
    }

    #[test]
    fn figures_are_grouped() {
        assert_eq!(cell(&json!(176_000_000)), "176 000 000");
        assert_eq!(cell(&json!(1234.56)), "1 234.6");
        assert_eq!(cell(&json!(0.998)), "0.998");
        assert_eq!(cell(&json!(null)), "not known");
    }
}
