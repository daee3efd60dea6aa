//! A recycled node against a fresh one, sample by sample, and each step of the release shown to be needed.

use crate::stage::{Stage, stops_offline};
use crate::support::{
    First, QUANTUM, RATE, Tested, USES, Use, all, close, difference, get, noise, offline, set, with_hrtf,
};
use pool_web::recipe::Step;
use pool_web::{AudioNodePool, AudioNodePoolBuilder, DelayKey, IirKey, PoolContext};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::{
    AnalyserNode, AudioBuffer, BaseAudioContext, BiquadFilterNode, ChannelMergerNode, ChannelSplitterNode,
    ConvolverNode, DelayNode, GainNode, IirFilterNode, PannerNode, StereoPannerNode, WaveShaperNode,
};

impl Tested for GainNode {
    const VALUES: &'static [(f32, f32)] = &[(0.3, 0.5)];
    fn pool(context: &PoolContext) -> AudioNodePoolBuilder<Self> {
        AudioNodePool::builder(context, |raw, ()| raw.create_gain())
    }
    fn key() {}
    fn fresh(context: &BaseAudioContext) -> Self {
        context.create_gain().expect("a gain")
    }
}

impl Tested for BiquadFilterNode {
    const VALUES: &'static [(f32, f32)] = &[(900.0, 0.5), (300.0, 0.5), (5.0, 0.5), (6.0, 0.5)];
    const WAYS: &'static [(usize, usize)] = &[(0, 0), (1, 0), (2, 0)];
    fn pool(context: &PoolContext) -> AudioNodePoolBuilder<Self> {
        AudioNodePool::builder(context, |raw, ()| raw.create_biquad_filter())
    }
    fn key() {}
    fn fresh(context: &BaseAudioContext) -> Self {
        context.create_biquad_filter().expect("a filter")
    }
    fn spoil(_: &BaseAudioContext, node: &Self, way: usize) {
        set(node, "type", ["lowpass", "highpass", "notch"][way]);
    }
    /// Only a peaking filter heeds all of its parameters.
    fn prepare(_: &BaseAudioContext, node: &Self, _: usize, second: Use) {
        if second == Use::Modulated {
            set(node, "type", "peaking");
        }
    }
}

impl Tested for StereoPannerNode {
    const VALUES: &'static [(f32, f32)] = &[(0.5, 0.5)];
    fn pool(context: &PoolContext) -> AudioNodePoolBuilder<Self> {
        AudioNodePool::builder(context, |raw, ()| raw.create_stereo_panner())
    }
    fn key() {}
    fn fresh(context: &BaseAudioContext) -> Self {
        context.create_stereo_panner().expect("a panner")
    }
}

const LINE: f64 = 0.02;

impl Tested for DelayNode {
    const VALUES: &'static [(f32, f32)] = &[(0.0131, 0.5)];
    fn pool(context: &PoolContext) -> AudioNodePoolBuilder<Self> {
        AudioNodePool::builder(context, |raw, key: &DelayKey| {
            raw.create_delay_with_max_delay_time(key.max_delay())
        })
    }
    fn key() -> DelayKey {
        DelayKey::new(LINE).expect("a length")
    }
    fn fresh(context: &BaseAudioContext) -> Self {
        context.create_delay_with_max_delay_time(LINE).expect("a delay")
    }
    /// A whole number of samples: in between, Chromium's recycled delays differ by up to 0.001.
    fn prepare(_: &BaseAudioContext, node: &Self, _: usize, second: Use) {
        if second != Use::Modulated {
            node.delay_time().set_value(480.0 / RATE);
        }
    }
}

/// A resonance that rings for 300 frames or so.
const RESONANCE: (&[f64], &[f64]) = (&[0.2, 0.1], &[1.0, -1.2, 0.81]);

impl Tested for IirFilterNode {
    fn pool(context: &PoolContext) -> AudioNodePoolBuilder<Self> {
        AudioNodePool::builder(context, |raw, key: &IirKey| iir(raw, &key.feedforward(), &key.feedback()))
    }
    fn key() -> IirKey {
        IirKey::new(RESONANCE.0, RESONANCE.1).expect("a filter")
    }
    fn fresh(context: &BaseAudioContext) -> Self {
        iir(context, RESONANCE.0, RESONANCE.1).expect("a filter")
    }
}

fn iir(context: &BaseAudioContext, b: &[f64], a: &[f64]) -> Result<IirFilterNode, JsValue> {
    let list = |values: &[f64]| values.iter().copied().map(JsValue::from_f64).collect::<js_sys::Array>();
    let create: js_sys::Function = get(context, "createIIRFilter").unchecked_into();
    create.call2(context, &list(b), &list(a)).map(JsCast::unchecked_into)
}

/// A curve of five points that bends everything but silence.
fn curve(node: &WaveShaperNode) {
    let points = js_sys::Float32Array::from([-0.9, -0.7, 0.0, 0.3, 0.9].as_slice());
    set(node, "curve", points);
}

impl Tested for WaveShaperNode {
    const WAYS: &'static [(usize, usize)] = &[(0, 0), (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];
    fn pool(context: &PoolContext) -> AudioNodePoolBuilder<Self> {
        AudioNodePool::builder(context, |raw, ()| raw.create_wave_shaper())
    }
    fn key() {}
    fn fresh(context: &BaseAudioContext) -> Self {
        context.create_wave_shaper().expect("a shaper")
    }
    fn is_given_up(_: usize) -> bool {
        true
    }
    fn spoil(_: &BaseAudioContext, node: &Self, way: usize) {
        curve(node);
        set(node, "oversample", ["4x", "2x", "none"][way]);
    }
    /// Nothing, a curve, and one with filters.
    fn prepare(_: &BaseAudioContext, node: &Self, way: usize, _: Use) {
        if way > 0 {
            curve(node);
        }
        if way > 1 {
            set(node, "oversample", ["2x", "4x"][way - 2]);
        }
    }
}

fn response(context: &BaseAudioContext, channels: u32, seed: u32) -> AudioBuffer {
    noise(context, channels, 0.1, seed).buffer().expect("a response")
}

impl Tested for ConvolverNode {
    const WAYS: &'static [(usize, usize)] = &[(0, 0), (0, 1), (0, 2)];
    fn pool(context: &PoolContext) -> AudioNodePoolBuilder<Self> {
        AudioNodePool::builder(context, |raw, ()| raw.create_convolver())
    }
    fn key() {}
    fn fresh(context: &BaseAudioContext) -> Self {
        context.create_convolver().expect("a convolver")
    }
    fn spoil(context: &BaseAudioContext, node: &Self, _: usize) {
        set(node, "normalize", false);
        set(node, "buffer", response(context, 2, 53));
    }
    fn prepare(context: &BaseAudioContext, node: &Self, way: usize, _: Use) {
        if way > 0 {
            set(node, "buffer", response(context, way as u32, 59));
        }
    }
    /// Without a response it is silent.
    fn is_heard(way: usize) -> bool {
        way > 0
    }
}

impl Tested for PannerNode {
    const VALUES: &'static [(f32, f32)] =
        &[(0.8, 0.5), (0.4, 0.5), (-0.7, 0.5), (-0.5, 0.9), (0.6, 0.9), (0.7, 0.9)];
    const WAYS: &'static [(usize, usize)] = &[(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 4)];
    fn pool(context: &PoolContext) -> AudioNodePoolBuilder<Self> {
        AudioNodePool::builder(context, |raw, ()| raw.create_panner())
    }
    fn key() {}
    fn fresh(context: &BaseAudioContext) -> Self {
        context.create_panner().expect("a panner")
    }
    fn is_given_up(way: usize) -> bool {
        way == 1
    }
    fn spoil(_: &BaseAudioContext, node: &Self, way: usize) {
        set(node, "panningModel", ["equalpower", "HRTF"][way]);
        set(node, "distanceModel", "linear");
        for (name, value) in [
            ("refDistance", 0.25),
            ("maxDistance", 5.0),
            ("rolloffFactor", 0.5),
            ("coneInnerAngle", 20.0),
            ("coneOuterAngle", 40.0),
            ("coneOuterGain", 0.7),
        ] {
            set(node, name, value);
        }
    }
    /// At the listener; beside it, on one axis; with a cone; far away; with HRTF.
    fn prepare(_: &BaseAudioContext, node: &Self, way: usize, _: Use) {
        let at = |x: f32, y: f32, z: f32| {
            node.position_x().set_value(x);
            node.position_y().set_value(y);
            node.position_z().set_value(z);
        };
        match way {
            1 => node.position_x().set_value(2.0),
            2 => {
                at(1.0, 0.5, -1.0);
                set(node, "coneInnerAngle", 30.0);
            }
            3 => {
                at(60.0, 0.0, -80.0);
                set(node, "distanceModel", "linear");
            }
            4 => {
                at(1.0, 0.5, -2.0);
                set(node, "panningModel", "HRTF");
            }
            _ => {}
        }
    }
}

impl Tested for AnalyserNode {
    const WAYS: &'static [(usize, usize)] = &[(0, 0), (1, 0), (2, 1)];
    /// As many frames as it can look back at, and the margin.
    const REST: f64 = (256.0 + 10.0) * QUANTUM;
    fn pool(context: &PoolContext) -> AudioNodePoolBuilder<Self> {
        AudioNodePool::builder(context, |raw, ()| raw.create_analyser())
    }
    fn key() {}
    fn fresh(context: &BaseAudioContext) -> Self {
        context.create_analyser().expect("an analyser")
    }
    /// Ranges of decibels above and below the one of a fresh node.
    fn spoil(_: &BaseAudioContext, node: &Self, way: usize) {
        set(node, "fftSize", [2048, 32, 512][way]);
        set(node, "smoothingTimeConstant", 0.95);
        match way {
            0 => {
                set(node, "maxDecibels", 0.0);
                set(node, "minDecibels", -10.0);
            }
            1 => {
                set(node, "minDecibels", -200.0);
                set(node, "maxDecibels", -120.0);
            }
            _ => {}
        }
    }
    /// A look at the spectrum, which is smoothed into the next one.
    fn spoil_late(node: &Self) {
        node.get_float_frequency_data(&mut vec![0.0; node.frequency_bin_count() as usize]);
    }
    fn prepare(_: &BaseAudioContext, node: &Self, way: usize, _: Use) {
        if way == 1 {
            node.set_fft_size(32_768);
        }
    }
    fn observe(node: &Self) -> Vec<f32> {
        let mut samples = vec![0.0; node.fft_size() as usize];
        node.get_float_time_domain_data(&mut samples);
        let mut spectrum = vec![0.0; node.frequency_bin_count() as usize];
        node.get_float_frequency_data(&mut spectrum);
        let mut bytes = vec![0; spectrum.len()];
        node.get_byte_frequency_data(&mut bytes);
        samples.into_iter().chain(spectrum).chain(bytes.into_iter().map(f32::from)).collect()
    }
}

impl Tested for ChannelSplitterNode {
    fn pool(context: &PoolContext) -> AudioNodePoolBuilder<Self> {
        AudioNodePool::builder(context, |raw, outputs: &u32| {
            raw.create_channel_splitter_with_number_of_outputs(*outputs)
        })
    }
    fn key() -> u32 {
        3
    }
    fn fresh(context: &BaseAudioContext) -> Self {
        context.create_channel_splitter_with_number_of_outputs(3).expect("a splitter")
    }
}

impl Tested for ChannelMergerNode {
    fn pool(context: &PoolContext) -> AudioNodePoolBuilder<Self> {
        AudioNodePool::builder(context, |raw, inputs: &u32| {
            raw.create_channel_merger_with_number_of_inputs(*inputs)
        })
    }
    fn key() -> u32 {
        2
    }
    fn fresh(context: &BaseAudioContext) -> Self {
        context.create_channel_merger_with_number_of_inputs(2).expect("a merger")
    }
}

/// Comparisons at the same time, where they are made live and so take as long as they sound.
const AT_ONCE: usize = 8;

/// Steps that cannot be heard in a browser that stops no offline rendering (Firefox): there are no rates; writing a filter's
/// type away empties nothing; and the nodes that this step is for are thrown away. The documentation says so.
fn is_silent(interface: &str, step: Step) -> bool {
    match step {
        Step::RateParam(_) => true,
        Step::Attribute(0) => ["BiquadFilterNode", "PannerNode"].contains(&interface),
        _ => false,
    }
}

/// Every use equal, and without each step at least one that is not; returns how many steps there were, but for the
/// one that removes listeners, which are not heard.
async fn prove<N: Tested>(tolerance: impl Fn(Use) -> f32) -> usize {
    let name = N::SPEC.interface;
    let live = !stops_offline();
    let at_once = if live { AT_ONCE } else { 1 };
    let cases = || N::WAYS.iter().flat_map(|&way| USES.map(|second| (way, second)));
    let given_up = |(spoil, _): (usize, usize)| live && N::is_given_up(spoil);
    // A curve in flight costs Firefox the node: then it is not among the uses, but has a line of its own.
    let compare = |way, second, left_out| {
        difference::<N>(way, second, left_out, First::InHand { curve: !live && second == Use::Stereo })
    };
    let jobs = cases().map(|(way, second)| Box::pin(compare(way, second, None)) as _).collect();
    for ((way, second), off) in cases().zip(all::<Option<f32>>(jobs, at_once).await) {
        assert_eq!(off.is_none(), given_up(way), "{name}, {way:?}, then {second:?}: whether it was lost");
        let off = off.unwrap_or(0.0);
        assert!(off <= tolerance(second), "{name}, {way:?}, then {second:?}: off by {off}");
    }
    if live && !N::SPEC.params.is_empty() {
        let off = difference::<N>(N::WAYS[0], Use::Stereo, None, First::InHand { curve: true }).await;
        assert_eq!(off, None, "{name}: a curve in flight can be cancelled after all");
    }
    let steps: Vec<_> = N::SPEC.steps().filter(|step| *step != Step::RemoveListeners).collect();
    let is_heard = async |step| {
        for (way, second) in cases().filter(|(way, _)| !given_up(*way)) {
            // A node that did not come back was noticed too.
            let off = compare(way, second, Some(step)).await;
            if off.is_none_or(|off| off > 10.0 * tolerance(second).max(1e-7)) {
                return true;
            }
        }
        false
    };
    let jobs = steps.iter().map(|step| Box::pin(is_heard(*step)) as _).collect();
    let all_given_up = N::WAYS.iter().all(|way| given_up(*way));
    for (step, heard) in steps.iter().zip(all::<bool>(jobs, at_once).await) {
        let silent = live && (all_given_up || is_silent(name, *step));
        assert_eq!(heard, !silent, "{name}: whether anything was heard without {step:?}");
    }
    // Of a node that was never in hand only what was done to it is undone.
    let by_lease =
        USES.into_iter().flat_map(|second| [(First::ByLease, second), (First::ParamsInHand, second)]);
    let (spoil, prepare) = N::WAYS[0];
    if given_up(N::WAYS[0]) {
        return steps.len();
    }
    let jobs = by_lease
        .clone()
        .map(|(first, second)| Box::pin(difference::<N>((spoil, prepare), second, None, first)) as _)
        .collect();
    for ((first, second), off) in by_lease.zip(all::<Option<f32>>(jobs, at_once).await) {
        let by = if first == First::ByLease { "by its lease" } else { "with its parameters in hand" };
        let off = off.unwrap_or(f32::INFINITY);
        assert!(off <= tolerance(second), "{name}, {by}, then {second:?}: off by {off}");
    }
    steps.len()
}

// Each of these: something of the first user is heard by the second one.

#[wasm_bindgen_test]
async fn a_recycled_gain_is_like_a_fresh_one() {
    assert_eq!(prove::<GainNode>(|_| 0.0).await, 8);
}

#[wasm_bindgen_test]
async fn a_recycled_filter_is_like_a_fresh_one() {
    assert_eq!(prove::<BiquadFilterNode>(|_| 0.0).await, 19);
}

#[wasm_bindgen_test]
async fn a_recycled_panner_is_like_a_fresh_one() {
    assert_eq!(prove::<StereoPannerNode>(|_| 1e-7).await, 8);
}

#[wasm_bindgen_test]
async fn a_recycled_delay_is_like_a_fresh_one() {
    let tolerance = |second| if second == Use::Modulated { 1e-3 } else { 0.0 };
    assert_eq!(prove::<DelayNode>(tolerance).await, 8);
}

#[wasm_bindgen_test]
async fn a_recycled_iir_filter_is_like_a_fresh_one() {
    assert_eq!(prove::<IirFilterNode>(|_| 0.0).await, 5);
}

#[wasm_bindgen_test]
async fn a_recycled_shaper_is_like_a_fresh_one() {
    assert_eq!(prove::<WaveShaperNode>(|_| 0.0).await, 7);
}

#[wasm_bindgen_test]
async fn a_recycled_convolver_is_like_a_fresh_one() {
    assert_eq!(prove::<ConvolverNode>(|_| 0.0).await, 7);
}

#[wasm_bindgen_test]
async fn a_recycled_spatial_panner_is_like_a_fresh_one() {
    let context = with_hrtf().await;
    assert_eq!(prove::<PannerNode>(|_| 0.0).await, 31);
    close(&context).await;
}

#[wasm_bindgen_test]
async fn a_recycled_analyser_is_like_a_fresh_one() {
    assert_eq!(prove::<AnalyserNode>(|_| 0.0).await, 11);
}

#[wasm_bindgen_test]
async fn a_recycled_splitter_is_like_a_fresh_one() {
    assert_eq!(prove::<ChannelSplitterNode>(|_| 0.0).await, 2);
}

#[wasm_bindgen_test]
async fn a_recycled_merger_is_like_a_fresh_one() {
    // Three terms at one input, of two signals, are added in any order.
    let tolerance = |second| if second == Use::Mixed { 1e-7 } else { 0.0 };
    assert_eq!(prove::<ChannelMergerNode>(tolerance).await, 3);
}

/// What comes out of a delay on silence, after a first use that `reuse` ends.
async fn echo_of_a_first_use(
    channels: u32,
    reuse: impl Fn(&BaseAudioContext, DelayNode) -> DelayNode,
) -> f32 {
    let stage = Stage::new(2, 0.2).await;
    let context = stage.context();
    let delay = context.create_delay_with_max_delay_time(0.1).expect("a delay");
    let source = noise(context, channels, 0.5, 3);
    source.connect_with_audio_node(&delay).expect("a connection");
    // Not to where it is recorded: what is heard there later is the second user's.
    delay.connect_with_audio_node(&context.destination()).expect("a connection");
    stage.reach(stage.now() + 24.0 * QUANTUM).await;
    source.disconnect().expect("it was connected");
    delay.disconnect().expect("it was connected");
    let again = reuse(context, delay);
    again.delay_time().set_value(0.05);
    noise(context, channels, 0.0, 3).connect_with_audio_node(&again).expect("a connection");
    again.connect_with_audio_node(stage.output()).expect("a connection");
    let from = stage.now();
    let heard = stage.finish(0.1).await.swap_remove(0).split_off(stage.frame(from));
    stage.close().await;
    heard.iter().fold(0.0_f32, |most, sample| most.max(sample.abs()))
}

// The oracle of the delay tests: if a delay that is reused at once leaked nothing, they would show nothing.
#[wasm_bindgen_test]
async fn without_quarantine_a_delay_repeats_its_last_user() {
    for channels in [1, 2] {
        let leaked = echo_of_a_first_use(channels, |_, delay| delay).await;
        assert!(leaked > 0.1, "{channels} channels: {leaked}");
        let fresh =
            |context: &BaseAudioContext, _| context.create_delay_with_max_delay_time(0.1).expect("a delay");
        assert_eq!(echo_of_a_first_use(channels, fresh).await, 0.0);
    }
}

// A curve in flight makes setting a value throw: the events have to be cancelled first, or the node is lost.
#[wasm_bindgen_test]
async fn a_curve_in_flight_is_cancelled() {
    for (left_out, comes_back) in [(None, true), (Some(Step::CancelParam(0)), false)] {
        let context = offline(1, 0.1);
        let mut pool = GainNode::pool(&PoolContext::new(&context));
        if let Some(step) = left_out {
            pool = pool.leave_out(step);
        }
        let pool = pool.build();
        let lease = pool.acquire().expect("a gain");
        let mut curve = [0.1, 0.9, 0.2];
        lease.gain().set_value_curve_at_time(&mut curve, 0.0, 10.0).expect("a curve");
        drop(lease);
        let stats = pool.stats();
        assert_eq!((stats.idle == 1, stats.discarded == 0), (comes_back, comes_back), "{stats:?}");
        assert_eq!(stats.created, (stats.leased + stats.idle) as u64 + stats.destroyed + stats.detached);
        match pool.take_failure() {
            None => assert!(comes_back),
            Some(failure) => {
                assert!(!comes_back);
                assert_eq!((failure.operation, &*failure.name), ("gain", "NotSupportedError"));
            }
        }
    }
}
