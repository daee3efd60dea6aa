//! The headless demo: the page in Chromium, pooled and fresh in turn, measured from outside.

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::args::HeadlessOptions;
use crate::chromium;
use crate::interrupt;
use crate::memory;
use crate::picture;
use crate::report::{self, Mode};
use crate::server::SiteServer;
use crate::setup::{self, Browser};
use crate::site;
use crate::trace::{END_MARK, PAGE_MARK, START_MARK, Trace};
use crate::webdriver::{Driver, Session};
use crate::workspace::Workspace;

/// Time between the first voices and the start of the measurement: the pools fill, code is compiled.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long the page may take from loading to the first voice.
const PAGE_START: Duration = Duration::from_secs(40);
/// How long the last trace events may take to arrive.
const TRACE_END: Duration = Duration::from_secs(15);
/// The size of the page in CSS pixels at a desk.
const DESKTOP: Viewport = Viewport { width: 1280, height: 900, mobile: false };
/// The size of the page in CSS pixels in a hand.
const PHONE: Viewport = Viewport { width: 390, height: 844, mobile: true };
/// The types of nodes that the page must have tried: all that the Web Audio API has.
const MIN_TYPES: usize = 22;
/// A picture of a page that is longer than this is cut.
const MAX_PICTURE_HEIGHT: f64 = 8000.0;

struct Viewport {
    width: u32,
    height: u32,
    mobile: bool,
}

/// What one run of the page gave.
struct Run {
    figures: Value,
    problems: Vec<String>,
}

/// Where the results are.
pub(crate) struct Results {
    /// The report as JSON.
    pub(crate) report: PathBuf,
    /// The page at a desk.
    pub(crate) page: PathBuf,
    /// The page in a hand.
    pub(crate) phone: PathBuf,
}

impl Results {
    /// The places in the target folder.
    pub(crate) fn of(workspace: &Workspace) -> Self {
        let folder = workspace.demo_folder();
        Self {
            report: folder.join("report.json"),
            page: folder.join("page.png"),
            phone: folder.join("page-phone.png"),
        }
    }
}

/// Builds the demo, runs it in both modes, and fails unless the results are as promised.
pub(crate) fn run(workspace: &Workspace, options: HeadlessOptions) -> Result<()> {
    let browser = setup::browser()?;
    let site = site::build(workspace)?;
    let results = Results::of(workspace);
    for old in [&results.report, &results.page, &results.phone] {
        // Results of an earlier run must not pass for this one's.
        if old.exists() {
            fs::remove_file(old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
    }
    run_site(&site, &browser, options, &results)?;
    for path in [&results.report, &results.page, &results.phone] {
        println!("{}", workspace.shown(path));
    }
    Ok(())
}

fn run_site(site: &Path, browser: &Browser, options: HeadlessOptions, results: &Results) -> Result<()> {
    let server = SiteServer::start(site, 0)?;
    let modes = Mode::of(options);
    let mut rounds = vec![Vec::new(); modes.len()];
    let mut problems = Vec::new();
    for _ in 0..options.rounds {
        for (&mode, rounds) in modes.iter().zip(&mut rounds) {
            // A process of its own for each: what one left in the heap must not count for the other.
            let run = run_mode(browser, &server.address(), mode, options, results)
                .with_context(|| format!("the {} run", mode.name()))?;
            problems.extend(run.problems.into_iter().map(|problem| format!("{}: {problem}", mode.name())));
            rounds.push(run.figures);
        }
    }
    let sides = modes.iter().zip(&rounds);
    let report = sides.map(|(mode, rounds)| (mode.name().to_owned(), report::medians(rounds)));
    let report = Value::Object(report.collect());
    fs::write(&results.report, serde_json::to_string_pretty(&report)? + "\n")
        .with_context(|| format!("cannot write {}", results.report.display()))?;
    println!("\n{}", report::table(&report));

    problems.extend(report::problems(&report, options));
    problems.extend(picture::problems(&results.page, DESKTOP.width));
    problems.extend(picture::problems(&results.phone, PHONE.width));
    if !problems.is_empty() {
        bail!("the demo does not keep its promises:\n- {}", problems.join("\n- "));
    }
    Ok(())
}

fn run_mode(
    browser: &Browser,
    address: &str,
    mode: Mode,
    options: HeadlessOptions,
    results: &Results,
) -> Result<Run> {
    let driver = Driver::start(&browser.driver)?;
    let session = driver.session(&chromium::measuring_capabilities(&browser.program))?;
    let outcome = measure(&session, address, mode, options, results);
    let mut problems = console_problems(&session.drain_log("browser").unwrap_or_default());
    match outcome {
        Ok(mut run) => {
            problems.append(&mut run.problems);
            Ok(Run { problems, ..run })
        }
        Err(error) if problems.is_empty() => Err(error),
        // What the console says is nearer to the cause.
        Err(error) => Err(error.context(format!("the console says:\n- {}", problems.join("\n- ")))),
    }
}

fn measure(
    session: &Session<'_>,
    address: &str,
    mode: Mode,
    options: HeadlessOptions,
    results: &Results,
) -> Result<Run> {
    set_viewport(session, &DESKTOP)?;
    session.devtools("Performance.enable", json!({}))?;
    // It stands still: what is drawn is no part of a voice, and leaves more for the garbage collector than voices do.
    let query = format!("?mode={}&rate={}&autostart=1&still=1", mode.name(), options.rate);
    session.open(&format!("{address}{query}"))?;
    wait_for_voices(session)?;
    let warm = Instant::now() + WARM_UP;
    let mut trace = Trace::default();
    // The process is known once its mark has come through the trace, which takes some seconds.
    session.run_async(&format!("performance.mark('{PAGE_MARK}');"))?;
    drain_until(session, &mut trace, |trace| trace.page_pid().is_some())?;
    interrupt::sleep(warm.saturating_duration_since(Instant::now()))?;

    // What loading left counts for nobody; and Chromium, whose first limit is far off, collects from now on whenever the heap has
    // grown by some megabytes, as in a page that has been open for a while.
    session.devtools("HeapProfiler.collectGarbage", json!({}))?;
    session.run_async(&format!("poolDemo.resetStats(); performance.mark('{START_MARK}');"))?;
    let script_before = script_seconds(session)?;
    let renderer = trace.page_pid();
    let peak_was_reset = renderer.is_some_and(memory::reset_peak);
    let private_peak = wait_showing_progress(mode, options.seconds, renderer)?;

    let script_after = script_seconds(session)?;
    let page = session.run_async(&format!(
        "const report = poolDemo.report(); performance.mark('{END_MARK}'); return report;"
    ))?;
    let renderer_peak = renderer.and_then(memory::renderer_peak);
    drain_until(session, &mut trace, Trace::is_complete)?;

    let mut problems = page_problems(&page, mode);
    if mode == Mode::Pooled {
        problems.extend(type_problems(&session.run_async("return await poolDemo.tryTypes();")?));
        session.run_async("poolDemo.draw();")?;
        take_picture(session, &results.page)?;
        set_viewport(session, &PHONE)?;
        // The charts draw once a second or so; they must have drawn at the new width.
        interrupt::sleep(Duration::from_millis(1500))?;
        problems.extend(overflow_problem(session)?);
        take_picture(session, &results.phone)?;
    }
    session.run_async("await poolDemo.stop();")?;

    if renderer_peak.is_some() && !peak_was_reset {
        println!("Note: the peak of the renderer's memory includes its start.");
    }
    let gc = trace.gc_times();
    let measured = [
        ("script_ms", script_after.zip(script_before).map(|(after, before)| (after - before) * 1000.0)),
        ("gc_ms", gc.map(|gc| gc.total_ms)),
        ("gc_thread_ms", gc.and_then(|gc| gc.thread_ms)),
        ("gc_stops_thread_ms", gc.and_then(|gc| gc.stops_thread_ms)),
        ("gc_longest_ms", gc.map(|gc| gc.longest_ms)),
    ];
    let mut figures = page;
    for (key, value) in measured {
        figures[key] = json!(value.map(|ms| (ms * 100.0).round() / 100.0));
    }
    figures["renderer_peak_bytes"] = json!(renderer_peak);
    figures["private_peak_bytes"] = json!(renderer_peak.and(private_peak));
    Ok(Run { figures: report::only_the_promised(&figures, mode), problems })
}

/// Waits until the page has loaded its samples and voices sound.
fn wait_for_voices(session: &Session<'_>) -> Result<()> {
    let end = Instant::now() + PAGE_START;
    // The module is evaluated after `load` if it awaits the WASM at its top level.
    while session.run_async("return typeof poolDemo === 'object' && poolDemo !== null;")? != json!(true) {
        if Instant::now() > end {
            bail!("the page set no `window.poolDemo` within {} s", PAGE_START.as_secs());
        }
        interrupt::sleep(interrupt::POLL)?;
    }
    let left = end.saturating_duration_since(Instant::now()).as_millis();
    session
        .run_async(&format!(
            "const late = (_, reject) => setTimeout(reject, {left}, 'poolDemo.ready is still pending');
             await Promise.race([poolDemo.ready, new Promise(late)]);"
        ))
        .context("the page did not get ready")?;
    loop {
        let state = session
            .run_async("const r = poolDemo.report(); return [r.mode === 'empty' ? r.seconds : r.voices, r.context_state, r.errors];")?;
        if state[0].as_f64().is_some_and(|voices| voices > 0.0) {
            return Ok(());
        }
        if Instant::now() > end {
            bail!(
                "no voice within {} s; the AudioContext is {}, errors: {}",
                PAGE_START.as_secs(),
                state[1],
                state[2]
            );
        }
        interrupt::sleep(interrupt::POLL)?;
    }
}

/// Waits; the most that the renderer held of its own at one of ten looks a second, if the kernel tells.
fn wait_showing_progress(mode: Mode, seconds: u32, renderer: Option<u32>) -> Result<Option<u64>> {
    let start = Instant::now();
    let whole = Duration::from_secs(seconds.into());
    // A log has no line to write over.
    let rewrites = std::io::stdout().is_terminal();
    let begin = if rewrites { "\r" } else { "" };
    let (mut peak, mut shown) = (None, None);
    loop {
        let passed = start.elapsed().min(whole);
        peak = peak.max(renderer.and_then(memory::renderer_private));
        let line = format!("{:>7}: {:3} of {seconds} s", mode.name(), passed.as_secs());
        if passed == whole {
            println!("{begin}{line}");
            return Ok(peak);
        }
        if rewrites && shown != Some(passed.as_secs()) {
            shown = Some(passed.as_secs());
            print!("{begin}{line}");
            // A line that is not shown is no reason to fail.
            let _ = std::io::stdout().flush();
        }
        // Nothing is asked meanwhile: a script of ours would count as the page's, and taking trace
        // events out stops the trace for a moment.
        interrupt::sleep((whole - passed).min(Duration::from_millis(100)))?;
    }
}

/// Takes trace events until they hold what is wanted; without it in the end, the trace tells so.
fn drain_until(session: &Session<'_>, trace: &mut Trace, wanted: impl Fn(&Trace) -> bool) -> Result<()> {
    let end = Instant::now() + TRACE_END;
    loop {
        trace.add(&session.drain_log("performance")?);
        if wanted(trace) || Instant::now() > end {
            return Ok(());
        }
        interrupt::sleep(Duration::from_millis(200))?;
    }
}

/// Seconds that the page's process has spent in scripts; `None` if this browser does not count.
fn script_seconds(session: &Session<'_>) -> Result<Option<f64>> {
    let answer = session.devtools("Performance.getMetrics", json!({}))?;
    let metrics = answer["metrics"].as_array().context("DevTools gave no metrics")?;
    let script = metrics.iter().find(|metric| metric["name"] == "ScriptDuration");
    Ok(script.and_then(|metric| metric["value"].as_f64()))
}

fn set_viewport(session: &Session<'_>, viewport: &Viewport) -> Result<()> {
    let params = json!({
        "width": viewport.width,
        "height": viewport.height,
        "deviceScaleFactor": 1,
        "mobile": viewport.mobile,
    });
    session.devtools("Emulation.setDeviceMetricsOverride", params).map(drop)
}

/// Writes the whole page as PNG, the part below the fold too.
fn take_picture(session: &Session<'_>, path: &Path) -> Result<()> {
    let metrics = session.devtools("Page.getLayoutMetrics", json!({}))?;
    let size = |key: &str| metrics["cssContentSize"][key].as_f64();
    let (Some(width), Some(height)) = (size("width"), size("height")) else {
        bail!("DevTools gave no size of the page");
    };
    let height = height.min(MAX_PICTURE_HEIGHT);
    let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
    let params = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
    let picture = session.devtools("Page.captureScreenshot", params)?;
    let bytes = base64_decoded(picture["data"].as_str().context("DevTools gave no picture")?)
        .context("DevTools gave a picture that is no base64")?;
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn base64_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(bytes)
}

fn page_problems(page: &Value, mode: Mode) -> Vec<String> {
    let mut problems = Vec::new();
    if page["mode"] != mode.name() {
        problems.push(format!("the page ran in mode {}", page["mode"]));
    }
    if page["context_state"] != "running" {
        problems.push(format!("the AudioContext is {}", page["context_state"]));
    }
    match page["errors"].as_array() {
        Some(errors) => problems.extend(errors.iter().map(|error| format!("the page reports {error}"))),
        None => problems.push("the page reports no list of errors".into()),
    }
    problems
}

/// The node types of the page's table that did not do what their state classes promise.
fn type_problems(rows: &Value) -> Vec<String> {
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut problems = Vec::new();
    if rows.len() < MIN_TYPES {
        problems
            .push(format!("the page tried {} types of nodes, there are at least {MIN_TYPES}", rows.len()));
    }
    // What cannot be made without a microphone or the like is of class discard, and need not be tried.
    let kept = |row: &Value| row["right"] == true || (row["right"].is_null() && row["class"] == "discard");
    for row in rows.iter().filter(|row| !kept(row)) {
        problems.push(format!("{} of class {}: {}", row["type"], row["class"], row["outcome"]));
    }
    problems
}

fn overflow_problem(session: &Session<'_>) -> Result<Option<String>> {
    let width = session.run_async("return document.documentElement.scrollWidth;")?;
    let fits = width.as_f64().is_some_and(|width| width <= f64::from(PHONE.width));
    Ok((!fits).then(|| format!("at {} px the page is {width} px wide and scrolls sideways", PHONE.width)))
}

/// Every entry of the console at the level of an error.
fn console_problems(entries: &[Value]) -> Vec<String> {
    let severe = entries.iter().filter(|entry| entry["level"] == "SEVERE");
    severe.map(|entry| format!("console: {}", entry["message"].as_str().unwrap_or("?"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a type of node that breaks its promise, or that is not tried at all, and nobody is told.
    #[test]
    fn a_type_that_breaks_its_promise_is_told() {
        let row = |right| json!({ "type": "DelayNode", "class": "flush", "outcome": "Reused at once", "right": right });
        let mut rows = vec![row(json!(true)); MIN_TYPES];
        assert_eq!(type_problems(&json!(rows)), Vec::<String>::new());
        for wrong in [json!(false), json!(null)] {
            rows[3] = row(wrong);
            assert_eq!(type_problems(&json!(rows)).len(), 1);
        }
        rows[3]["class"] = json!("discard");
        assert_eq!(type_problems(&json!(rows)), Vec::<String>::new(), "not tried, and need not be");
        rows.truncate(3);
        assert_eq!(type_problems(&json!(rows)).len(), 1);
        assert_eq!(type_problems(&json!(null)).len(), 1);
    }

    /// Catches: an exception of the page, a suspended context or a refused mode that goes unnoticed.
    #[test]
    fn what_went_wrong_in_the_page_is_told() {
        let good = json!({ "mode": "pooled", "context_state": "running", "errors": [] });
        assert_eq!(page_problems(&good, Mode::Pooled), Vec::<String>::new());
        for (key, bad) in [
            ("mode", json!("fresh")),
            ("context_state", json!("suspended")),
            ("errors", json!(["boom"])),
            ("errors", json!(null)),
        ] {
            let mut page = good.clone();
            page[key] = bad;
            assert_eq!(page_problems(&page, Mode::Pooled).len(), 1, "{page}");
        }
    }

    #[test]
    fn only_errors_of_the_console_count() {
        let log = [
            json!({ "level": "SEVERE", "message": "Uncaught TypeError" }),
            json!({ "level": "INFO", "message": "hello" }),
        ];
        assert_eq!(console_problems(&log), ["console: Uncaught TypeError"]);
    }

    #[test]
    fn base64_is_decoded() {
        assert_eq!(base64_decoded("aGVsbG8="), Some(b"hello".to_vec()));
        assert_eq!(base64_decoded("+/8A"), Some(vec![0xfb, 0xff, 0x00]));
        assert_eq!(base64_decoded("a*"), None);
    }
}
