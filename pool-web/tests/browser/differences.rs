//! What differs between browsers, as the documentation has it: found out here, and compared with the table.

use crate::profiler::tells_callbacks;
use crate::stage::stops_offline;
use crate::support::{QUANTUM, RATE, close, get, live, offline, samples_of, set, until, with_hrtf};
use pool_web::recipe::Probe;
use pool_web::{AudioBufferPool, AudioNodePoolManager, AudioProfiler, NodeStats};
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::AudioBuffer;

const DOCUMENTATION: &str = include_str!("../../src/node_types.md");

/// What this browser does, by the first words of a line of the table.
async fn found() -> Vec<(&'static str, bool)> {
    let mut found = vec![("An offline rendering", stops_offline())];
    let context = live().await;
    let nodes = AudioNodePoolManager::builder(&context).build();
    let idle = |pool: NodeStats| (pool.idle, pool.discarded) == (1, 0);
    let ready = nodes.ready().await;
    drop(nodes.acquire_filter().expect("a filter"));
    assert_eq!(ready, nodes.stats().filter.quarantined == 0, "what it says of filters is what it does");
    found.push(("A filter", idle(nodes.stats().filter)));
    drop(nodes.acquire_shaper().expect("a shaper"));
    found.push(("A shaper", idle(nodes.stats().shaper)));

    let spatial = nodes.acquire_spatial().expect("a panner");
    let tables = with_hrtf().await;
    nodes.context().probe(Probe::Panner).await;
    set(spatial.as_raw(), "panningModel", "HRTF");
    drop(spatial);
    close(&tables).await;
    found.push(("A panner", idle(nodes.stats().spatial)));
    let before = nodes.stats().spatial.discarded;
    drop(nodes.acquire_spatial().expect("a panner"));
    let after = nodes.stats().spatial;
    assert_eq!((after.idle, after.discarded), (1, before), "a panner without HRTF comes back anywhere");

    let gain = nodes.acquire_gain().expect("a gain");
    let mut curve = [0.1, 0.9, 0.2];
    let began = context.current_time();
    gain.gain().set_value_curve_at_time(&mut curve, began + 0.02, 60.0).expect("a curve");
    until("it is in flight", || context.current_time() > began + 0.1).await;
    drop(gain);
    found.push(("A node", idle(nodes.stats().gain)));
    let thrown = nodes.take_failure().map(|failure| failure.name);
    let expected = (!idle(nodes.stats().gain)).then_some("NotSupportedError");
    assert_eq!(thrown.as_deref(), expected, "why it was discarded");

    let gain = nodes.acquire_gain().expect("a gain");
    let rate = get(&gain.gain(), "automationRate");
    found.push(("Parameters", !rate.is_undefined()));
    gain.set("gain", 0.0).expect("a value");
    gain.connect_to(&context.destination()).expect("a connection");
    gain.ramp_to("gain", 1.0, context.current_time() + 60.0).expect("a ramp");
    let began = context.current_time();
    until("it climbs", || context.current_time() > began + 0.1).await;
    let value = gain.gain().value();
    assert!(value > 0.0 && value < 0.5, "`ramp_to` begins where automation has got to: {value}");
    found.push(("`hold`", gain.hold("gain", context.current_time()).expect("no exception")));

    let buffers = AudioBufferPool::new(&context);
    let buffer = buffers.acquire(1, 480, RATE).expect("a buffer");
    buffer.write(0, &[0.01; 480]).expect("it fits");
    let data = samples_of(buffer.as_raw(), 0);
    let source = buffer.source().expect("a source");
    source.start().expect("it starts");
    found.push(("A buffer keeps", data.length() == 480));
    drop(buffer);
    until("it has played", || buffers.stats().leased == 0).await;
    let buffer = buffers.acquire(1, 480, RATE).expect("the same buffer");
    assert_eq!((buffers.stats().created, buffers.stats().hits), (1, 1), "it comes back anywhere");
    assert!(samples_of(buffer.as_raw(), 0).to_vec().iter().all(|sample| *sample == 0.0), "and is silent");
    drop(buffer);

    let profiler = AudioProfiler::new(&context);
    found.push(("Underruns", profiler.metrics().underruns.is_some()));
    profiler.start().await.expect("worklets");
    until("it measures", || profiler.metrics().quanta > 200).await;
    found.push(("The load", profiler.metrics().load.is_some()));
    assert_eq!(profiler.history().is_empty(), profiler.metrics().load.is_none());
    assert_eq!(profiler.metrics().load.is_some(), tells_callbacks(&context));
    close(&context).await;
    found.push(("A value that is set", first_samples_are_set().await));
    // Which steps are heard is asked, one by one, by the tests that compare a recycled node with a fresh one.
    found.push(("Every step", stops_offline()));
    found
}

/// Whether what is set at the begin of a quantum is heard from its first sample on, when something was set before.
async fn first_samples_are_set() -> bool {
    const QUANTA: u32 = 200;
    let context = offline(1, QUANTUM * f64::from(QUANTA));
    let ones = context.create_buffer(1, 128, RATE).expect("a buffer");
    samples_of(&ones, 0).fill(1.0, 0, 128);
    let source = context.create_buffer_source().expect("a source");
    source.set_buffer(Some(&ones));
    source.set_loop(true);
    let gain = context.create_gain().expect("a gain");
    source.connect_with_audio_node(&gain).expect("a connection");
    gain.connect_with_audio_node(&context.destination()).expect("a connection");
    source.start().expect("it starts");
    let value = |quantum: u32| 0.25 + 0.5 * (quantum % 2) as f32;
    for quantum in 0..QUANTA {
        // What `currentTime` says then, and `value = ` takes.
        let time = f64::from(128 * quantum) / f64::from(RATE);
        gain.gain().set_value_at_time(value(quantum), time).expect("a time");
    }
    let rendering = context.start_rendering().expect("a promise");
    let heard: AudioBuffer = JsFuture::from(rendering).await.expect("it renders").unchecked_into();
    let samples = samples_of(&heard, 0);
    let is = |frame, quantum| (samples.get_index(frame) - value(quantum)).abs() < 1e-6;
    assert!((0..QUANTA).all(|quantum| is(128 * quantum + 1, quantum)), "it is one sample, no more");
    let late = (1..QUANTA).filter(|quantum| !is(128 * quantum, *quantum));
    assert!(late.clone().all(|quantum| is(128 * quantum, quantum - 1)), "it is the former value");
    late.count() == 0
}

// A table that praises what a browser cannot do, or goes on excusing what it has learnt.
#[wasm_bindgen_test]
async fn the_documentation_knows_this_browser() {
    let navigator = get(&js_sys::global(), "navigator");
    let agent = get(&navigator, "userAgent").as_string().expect("a name");
    let column = if agent.contains("Firefox") { 3 } else { 2 };
    let found = found().await;
    let (_, table) = DOCUMENTATION.split_once("| What differs |").expect("a table");
    let lines: Vec<Vec<&str>> = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert_eq!(lines.len(), found.len(), "every line is tested");
    for (line, (begin, works)) in lines.iter().zip(&found) {
        assert!(line[1].starts_with(begin), "{begin}: {line:?}");
        assert_eq!(line[column].starts_with("yes"), *works, "{line:?} in {agent}");
    }
}
