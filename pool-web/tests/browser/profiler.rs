//! The profiler on a live context.

use crate::support::{add, close, get, live, module, set, sleep, until};
use pool_web::{AudioMemory, AudioProfiler, WORKLET_MODULE, WebError};
use wasm_bindgen::JsValue;
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::{AudioContext, AudioWorkletNode};

#[wasm_bindgen_test]
async fn metrics_come_from_the_context() {
    let context = live().await;
    let profiler = AudioProfiler::new(&context);
    let metrics = profiler.metrics();
    // What the browser has must be found; what it has not must not be made up.
    assert_eq!(metrics.base_latency, get(&context, "baseLatency").as_f64());
    assert_eq!(metrics.output_latency.is_some(), get(&context, "outputLatency").as_f64().is_some());
    let stats = get(&context, "playbackStats");
    assert_eq!(metrics.underruns.is_some(), !stats.is_undefined());
    assert_eq!((metrics.load, metrics.average_callback_interval, metrics.quanta), (None, None, 0));
    let latency = profiler.latency();
    assert_eq!(latency.total, latency.base.zip(latency.output).map(|(base, output)| base + output));
    assert!(!profiler.is_monitoring());
    until("time passes", || profiler.metrics().context_time > metrics.context_time).await;
    close(&context).await;
    assert!(matches!(profiler.start().await, Err(WebError::ContextClosed { operation: "start" })));
}

#[wasm_bindgen_test]
async fn monitoring_starts_stops_and_resets() {
    let context = live().await;
    let profiler = AudioProfiler::new(&context);
    profiler.start().await.expect("worklets");
    profiler.start().await.expect("a second start changes nothing");
    assert!(profiler.is_monitoring());
    if tells_callbacks(&context) {
        until("callbacks are seen", || profiler.history().len() > 4).await;
        let history = profiler.history();
        assert!(history.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp));
        assert!(profiler.metrics().average_callback_interval.is_some_and(|interval| interval > 1.0));
    } else {
        until("quanta are seen", || profiler.metrics().quanta > 1000).await;
        assert!(profiler.history().is_empty(), "callbacks that nobody can know of");
        assert_eq!(profiler.metrics().average_callback_interval, None);
    }
    profiler.stop();
    sleep(100.0).await;
    let quanta = profiler.metrics().quanta;
    sleep(300.0).await;
    assert_eq!(profiler.metrics().quanta, quanta, "nothing comes after a stop");
    assert!(quanta > 0, "what was measured stays");
    profiler.reset();
    assert_eq!((profiler.metrics().quanta, profiler.history().len()), (0, 0));
    // The processor's name can be registered once per context: a second start must not stumble over the first.
    profiler.start().await.expect("once more");
    until("callbacks are seen again", || profiler.metrics().quanta > 0).await;
    profiler.dispose();
    let hosted = AudioProfiler::with_module_url(&context, &module(WORKLET_MODULE));
    hosted.start().await.expect("a module of the page's own");
    until("callbacks are seen there", || hosted.metrics().quanta > 0).await;
    let refused = AudioProfiler::with_module_url(&context, "data:text/javascript,(");
    assert!(matches!(refused.start().await, Err(WebError::Exception(e)) if e.operation == "addModule"));
    assert!(!refused.is_monitoring());
    assert!(hosted.is_monitoring());
    close(&context).await;
    assert!(!hosted.is_monitoring(), "nothing is measured in a closed context");
    let again = hosted.start().await;
    assert!(matches!(again, Err(WebError::ContextClosed { operation: "start" })), "it did not begin before");
}

/// Whether the browser tells how many frames the sound device asks for at a time, without which no load can be told.
pub(crate) fn tells_callbacks(context: &AudioContext) -> bool {
    get(context, "baseLatency").as_f64().is_some_and(|seconds| seconds > 0.0)
}

/// Processors that wait for so many changes of the millisecond in each quantum of 2.667 ms, in turn: once they are in step,
/// a known part of the time.
const BURNER: &str =
    "for (const [name, ticks] of [['b25', [1, 0, 1]], ['b50', [1, 2, 1]], ['b75', [2, 2, 2]]]) {
    registerProcessor(name, class extends AudioWorkletProcessor {
        process() {
            this.turn = ((this.turn ?? -1) + 1) % 3;
            for (let tick = 0; tick < ticks[this.turn]; tick++) {
                const t = Date.now();
                while (Date.now() === t) {}
            }
            return !this.ended;
        }
        constructor() { super(); this.port.onmessage = () => { this.ended = true; }; }
    });
}";

/// How far a reading may be off. Other programs take time from the audio thread, which then counts as load; on a machine
/// that is quiet, `POOL_WEB_STRICT=1 cargo xtask test --browser` asks for what the arithmetic can do.
const OFF: f64 = if option_env!("POOL_WEB_STRICT").is_some() { 0.02 } else { 0.1 };

// A profiler that counts the waiting between callbacks reads 1, one that counts callbacks alone 0. By messages and by
// shared memory it must read the same.
#[wasm_bindgen_test]
async fn load_is_what_was_burnt() {
    let context = live().await;
    add(&context, BURNER).await;
    // A burn is a part of 128 frames at 48 kHz; in a context of another rate, of another length.
    let scale = f64::from(context.sample_rate()) / 48_000.0;
    if !tells_callbacks(&context) {
        let profiler = AudioProfiler::new(&context);
        profiler.start().await.expect("worklets");
        until("quanta are seen", || profiler.metrics().quanta > 1000).await;
        assert_eq!(
            (profiler.metrics().load, profiler.metrics().loads),
            (None, None),
            "a load that was guessed"
        );
        return close(&context).await;
    }
    for (name, burnt) in [("b25", 0.25), ("b50", 0.5), ("b75", 0.75)] {
        let burner = AudioWorkletNode::new(&context, name).expect("a node");
        burner.connect_with_audio_node(&context.destination()).expect("a connection");
        for profiler in [AudioProfiler::new(&context), AudioProfiler::with_messages(&context)] {
            let mut read = Vec::new();
            profiler.start().await.expect("worklets");
            // Other programs on a machine add to the load and cannot take from it: the nearest of some windows counts.
            for _ in 0..4 {
                sleep(300.0).await;
                profiler.reset();
                sleep(2200.0).await;
                read.push(profiler.metrics().load.expect("the base latency is known"));
                if read.last().is_some_and(|load| (load - burnt * scale).abs() <= OFF) {
                    break;
                }
            }
            let near = read.last().is_some_and(|load| (load - burnt * scale).abs() <= OFF);
            assert!(near, "{burnt} x {scale} was burnt, and read: {read:?}");
            let loads = profiler.metrics().loads.expect("some quarters of a second");
            assert!(loads.p50 <= loads.p95 && loads.p95 <= loads.max, "{loads:?}");
        }
        burner.port().expect("a port").post_message(&JsValue::TRUE).expect("a message");
        burner.disconnect().expect("it was connected");
    }
    close(&context).await;
}

// Shared memory is used where the page may share any; nothing is lost while the main thread is blocked.
#[wasm_bindgen_test]
async fn a_blocked_page_is_no_underrun() {
    let context = live().await;
    let isolated = get(&js_sys::global(), "crossOriginIsolated").is_truthy();
    for (profiler, shares) in
        [(AudioProfiler::new(&context), isolated), (AudioProfiler::with_messages(&context), false)]
    {
        assert_eq!(profiler.shares_memory(), None);
        profiler.start().await.expect("worklets");
        assert_eq!(profiler.shares_memory(), Some(shares));
        until("it runs", || profiler.metrics().quanta > 0).await;
        // The browser's own count is made once a second.
        sleep(1100.0).await;
        profiler.reset();
        let (began, count) = (context.current_time(), browser_underruns(&context));
        let blocked = js_sys::Date::now();
        while js_sys::Date::now() < blocked + 2000.0 {}
        sleep(1300.0).await;
        let metrics = profiler.metrics();
        let told = browser_underruns(&context).zip(count).map(|(now, before)| now - before);
        // On a busy machine some are real; those the browser has counted.
        assert_eq!(metrics.underruns.map(|count| count as f64), told);
        let seconds = metrics.quanta as f64 * 128.0 / f64::from(context.sample_rate());
        let passed = context.current_time() - began;
        assert!((seconds - passed).abs() < 0.5, "{seconds} s of {passed} s were seen");
    }
    close(&context).await;
}

fn browser_underruns(context: &AudioContext) -> Option<f64> {
    let stats = get(context, "playbackStats");
    if stats.is_undefined() { None } else { get(&stats, "underrunEvents").as_f64() }
}

/// What `action` writes to the console, as lines; a group's title begins with '#'.
fn console_of(action: impl FnOnce()) -> Vec<String> {
    let console = get(&js_sys::global(), "console");
    let lines = js_sys::Array::new();
    let hooks = js_sys::Function::new_with_args(
        "lines",
        "return {
        group: t => lines.push('#' + t), log: t => lines.push(t), groupEnd: () => lines.push('end') }",
    );
    let hooks = hooks.call1(&JsValue::NULL, &lines).expect("an object");
    let names = ["group", "log", "groupEnd"];
    let originals = names.map(|name| get(&console, name));
    names.iter().for_each(|name| set(&console, name, get(&hooks, name)));
    action();
    names.iter().zip(originals).for_each(|(name, original)| set(&console, name, original));
    lines.iter().filter_map(|line| line.as_string()).collect()
}

#[wasm_bindgen_test]
async fn logs_are_groups_of_lines() {
    let context = live().await;
    let profiler = AudioProfiler::new(&context);
    let lines = console_of(|| profiler.log());
    assert_eq!((&*lines[0], lines.len(), &*lines[8]), ("#Audio performance", 9, "end"));
    assert_eq!(lines[7], "Load: unavailable");
    let memory = AudioMemory::new();
    let buffer = context.create_buffer(2, 128, 48_000.0).expect("a buffer");
    assert_eq!(memory.track_buffer("kick", &buffer).expect("it fits"), None);
    let lines = console_of(|| memory.log());
    assert_eq!((&*lines[0], &*lines[4]), ("#Audio memory", "Tracked: 1.00 KiB"));
    assert_eq!(memory.untrack_buffer("kick"), Some(1024));
    close(&context).await;
}
