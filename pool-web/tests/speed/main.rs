//! What reuse costs beside creation, through Rust and WASM, in one run: `cargo xtask bench --web` runs this in release
//! mode and reads the lines that begin with `speed`.

#![cfg(target_family = "wasm")]
#![allow(clippy::expect_used, reason = "a measurement")]

use pool_web::{AudioBufferPool, AudioMemory, AudioNodePoolManager, NodeLease, PoolNode, WebError};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::{console_log, wasm_bindgen_test};
use web_sys::{
    AudioContext, AudioNode, BiquadFilterNode, BiquadFilterType, DelayNode, GainNode, PannerNode,
    StereoPannerNode,
};

wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn now() -> f64;
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &js_sys::Function, milliseconds: f64);
}

// Everything undone by hand, in code that is written for the one type: what the browser's own calls take.
#[wasm_bindgen(inline_js = r#"
    const channels = (node, mode) => {
        if (node.channelInterpretation !== "speakers") node.channelInterpretation = "speakers";
        if (node.channelCount !== 2) node.channelCount = 2;
        if (node.channelCountMode !== mode) node.channelCountMode = mode;
    };
    const reset = (param, value) => {
        param.cancelScheduledValues(0);
        param.value = value;
        if (param.automationRate !== "a-rate") param.automationRate = "a-rate";
    };
    export function reuse_gain(node, destination) {
        node.connect(destination);
        node.disconnect();
        reset(node.gain, 1);
        channels(node, "max");
    }
    export function reuse_filter(node, destination) {
        node.connect(destination);
        node.disconnect();
        reset(node.frequency, 350);
        reset(node.detune, 0);
        reset(node.Q, 1);
        reset(node.gain, 0);
        node.type = "highpass";
        node.type = "lowpass";
        channels(node, "max");
    }
    export function reuse_panner(node, destination) {
        node.connect(destination);
        node.disconnect();
        reset(node.pan, 0);
        channels(node, "clamped-max");
    }
"#)]
extern "C" {
    fn reuse_gain(node: &AudioNode, destination: &AudioNode);
    fn reuse_filter(node: &AudioNode, destination: &AudioNode);
    fn reuse_panner(node: &AudioNode, destination: &AudioNode);
}

const ROUNDS: usize = 21;

async fn sleep(milliseconds: f64) {
    let promise = js_sys::Promise::new(&mut |resolve, _| set_timeout(&resolve, milliseconds));
    JsFuture::from(promise).await.expect("timers do not fail");
}

async fn live() -> AudioContext {
    let context = AudioContext::new().expect("a context");
    JsFuture::from(context.resume().expect("a promise")).await.expect("it runs");
    context
}

/// Microseconds of one call, over a batch of them: the page's clock is coarse.
fn timed(batch: usize, mut work: impl FnMut()) -> f64 {
    let began = now();
    (0..batch).for_each(|_| work());
    (now() - began) * 1000.0 / batch as f64
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn tell(name: &str, fresh: Vec<f64>, reused: Vec<f64>) {
    let (fresh, reused) = (median(fresh), median(reused));
    console_log!("speed {name} {fresh:.3} {reused:.3}");
}

/// In turns. The batches are so large that collecting what a batch throws away falls into the time of that batch.
async fn compare(name: &str, batch: usize, mut fresh: impl FnMut(), mut reuse: impl FnMut()) {
    let (mut made, mut reused) = (Vec::new(), Vec::new());
    reuse();
    for _ in 0..ROUNDS {
        made.push(timed(batch, &mut fresh));
        sleep(10.0).await;
        reused.push(timed(batch, &mut reuse));
        sleep(10.0).await;
    }
    tell(name, made, reused);
}

/// Create, connect, disconnect; and acquire, connect, release: of a node that was only used by its lease, whose release undoes what
/// was done; of one with settings that a voice makes, which `touch` stands for; and of one that the program had in hand, whose
/// release undoes all that can have been done to it, beside the same `by_hand` and without a pool.
async fn nodes<N: PoolNode>(
    name: &str,
    context: &AudioContext,
    make: impl Fn() -> Result<N, JsValue>,
    acquire: impl Fn() -> Result<NodeLease<N>, WebError>,
    touch: impl Fn(&NodeLease<N>),
    by_hand: Option<fn(&AudioNode, &AudioNode)>,
) {
    let destination = context.destination();
    let fresh = || {
        let node = make().expect("a node");
        let raw: &AudioNode = node.as_ref();
        raw.connect_with_audio_node(&destination).expect("a connection");
        raw.disconnect().expect("it was connected");
    };
    let reuse = || {
        let lease = acquire().expect("a node");
        lease.connect_to(&destination).expect("a connection");
    };
    compare(name, 1000, fresh, reuse).await;
    let touched = || {
        let lease = acquire().expect("a node");
        touch(&lease);
        lease.connect_to(&destination).expect("a connection");
    };
    compare(&format!("{name}-touched"), 1000, fresh, touched).await;
    let in_hand = || {
        let lease = acquire().expect("a node");
        let _ = lease.as_raw();
        lease.connect_to(&destination).expect("a connection");
    };
    compare(&format!("{name}-in-hand"), 1000, fresh, in_hand).await;
    if let Some(by_hand) = by_hand {
        let node = make().expect("a node");
        compare(&format!("{name}-by-hand"), 1000, fresh, || by_hand(node.as_ref(), &destination)).await;
    }
}

/// Has the parameters in hand, all of which the release then resets, and costs no call into JavaScript.
fn hold<N: PoolNode>(lease: &NodeLease<N>, params: &[&str]) {
    assert!(params.iter().all(|name| lease.param(name).is_some()), "it has them");
}

#[wasm_bindgen_test]
async fn reuse_beside_creation() {
    let context = live().await;
    // With room for many lines of five seconds at once, whose time the page's clock can tell.
    let memory = AudioMemory::builder().budget(1 << 30).build();
    let pools = AudioNodePoolManager::builder(&context).memory(&memory).build();
    assert!(pools.ready().await, "filters can be reset in this browser");
    let gain = |gain: &NodeLease<GainNode>| hold(gain, &["gain"]);
    let by_hand: fn(&AudioNode, &AudioNode) = reuse_gain;
    nodes("gain", &context, || context.create_gain(), || pools.acquire_gain(), gain, Some(by_hand)).await;
    let filter = |filter: &NodeLease<BiquadFilterNode>| {
        hold(filter, &["frequency", "Q"]);
        // Its memory is emptied for that, as after a signal.
        filter.set_type(BiquadFilterType::Lowpass);
    };
    let by_hand: fn(&AudioNode, &AudioNode) = reuse_filter;
    nodes(
        "biquad",
        &context,
        || context.create_biquad_filter(),
        || pools.acquire_filter(),
        filter,
        Some(by_hand),
    )
    .await;
    let panner = |panner: &NodeLease<StereoPannerNode>| hold(panner, &["pan"]);
    let by_hand: fn(&AudioNode, &AudioNode) = reuse_panner;
    let make = || context.create_stereo_panner();
    nodes("stereo-panner", &context, make, || pools.acquire_panner(), panner, Some(by_hand)).await;
    let spatial = |spatial: &NodeLease<PannerNode>| hold(spatial, &["positionX", "positionY", "positionZ"]);
    nodes("panner", &context, || context.create_panner(), || pools.acquire_spatial(), spatial, None).await;

    let buffers = AudioBufferPool::new(&context);
    let rate = context.sample_rate();
    for (name, frames, batch) in
        [("buffer-2x128", 128, 2000), ("buffer-2x4800", 4800, 1000), ("buffer-2x48000", 48_000, 50)]
    {
        let fresh = || drop(context.create_buffer(2, frames, rate).expect("a buffer"));
        // Whoever looks at the buffer itself may have written to it: then each acquire zeroes all of it.
        let zeroed = || {
            let _ = buffers.acquire(2, frames, rate).expect("a buffer").as_raw();
        };
        compare(&format!("{name}-zeroed"), batch, fresh, zeroed).await;
        let reuse = || {
            let _ = buffers.acquire_dirty(2, frames, rate).expect("a buffer").as_raw();
        };
        compare(name, batch, fresh, reuse).await;
    }
    delays(&context, &pools).await;
}

/// A delay of 5 seconds that was fed rests for as long between two uses, so each is timed in two halves: acquire, feed
/// and release to the flush bus; and the end of the rest. The first right after as much with short lines, as the other rows are
/// timed in long batches, too: without it half of the time is the processor's, which did something else for 5 seconds.
async fn delays(context: &AudioContext, pools: &AudioNodePoolManager) {
    const DELAYS: usize = 48;
    const SHORT: f64 = 0.001;
    let destination = context.destination();
    let source: AudioNode = context.create_gain().expect("a source").into();
    let use_them = |seconds: f64, leases: &mut Vec<NodeLease<DelayNode>>| {
        leases.extend((0..DELAYS).map(|_| pools.acquire_delay_with(seconds).expect("a delay")));
        for lease in &*leases {
            lease.connect_from(&source).expect("a connection");
        }
        leases.clear();
    };
    let mut leases = Vec::with_capacity(DELAYS);
    let use_short_ones = async |leases: &mut Vec<_>, times| {
        for _ in 0..times {
            use_them(SHORT, leases);
            sleep(50.0).await;
            pools.maintain();
        }
    };
    let (mut made, mut reused) = (Vec::new(), Vec::new());
    // Until the browser has compiled what is measured.
    use_short_ones(&mut leases, 40).await;
    for (seconds, delays) in [(5.0, DELAYS), (SHORT, 4 * DELAYS)] {
        pools.prewarm_delays(seconds, delays).expect("the memory is not bounded");
    }
    let warmed = pools.stats().delay.created;
    for _ in 0..5 {
        made.push(timed(DELAYS, || {
            let delay = context.create_delay_with_max_delay_time(5.0).expect("a delay");
            delay.connect_with_audio_node(&destination).expect("a connection");
            delay.disconnect().expect("it was connected");
        }));
        use_short_ones(&mut leases, 3).await;
        use_them(SHORT, &mut leases);
        let first_half = timed(1, || use_them(5.0, &mut leases));
        let released = context.current_time();
        // Whoever uses the pool ends a rest that is over: no more of it shortly before.
        while context.current_time() < released + 4.8 {
            use_short_ones(&mut leases, 1).await;
        }
        assert_eq!(pools.stats().delay.quarantined, DELAYS, "all rest");
        while context.current_time() < released + 5.2 {
            sleep(50.0).await;
        }
        let second_half = timed(1, || {
            pools.maintain();
        });
        assert_eq!(pools.stats().delay.quarantined, 0, "all are silent");
        reused.push((first_half + second_half) / DELAYS as f64);
    }
    assert_eq!(pools.stats().delay.created, warmed, "none was made in the time measured");
    tell("delay-5", made, reused);
}
