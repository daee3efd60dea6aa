//! What the tests share: contexts, sounds, and a comparison of a recycled node with a fresh one.

use crate::stage::Stage;
use pool_web::recipe::{StateClass, Step};
use pool_web::{AudioNodePool, NodeLease, PoolContext, PoolNode};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AudioBuffer, AudioBufferSourceNode, AudioContext, AudioContextState, AudioNode, AudioParam,
    BaseAudioContext, Blob, BlobPropertyBag, OfflineAudioContext, Url,
};

pub(crate) const RATE: f32 = 48_000.0;
pub(crate) const QUANTUM: f64 = 128.0 / RATE as f64;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &js_sys::Function, milliseconds: f64);
    #[wasm_bindgen(js_name = structuredClone)]
    fn structured_clone(value: &JsValue, options: &JsValue) -> JsValue;
}

pub(crate) async fn sleep(milliseconds: f64) {
    let promise = js_sys::Promise::new(&mut |resolve, _| set_timeout(&resolve, milliseconds));
    JsFuture::from(promise).await.expect("timers do not fail");
}

/// Waits until `done` says so, or fails after 5 seconds.
pub(crate) async fn until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..250 {
        if done() {
            return;
        }
        sleep(20.0).await;
    }
    panic!("waited in vain for: {what}");
}

/// A live context that is running.
pub(crate) async fn live() -> AudioContext {
    let context = AudioContext::new().expect("a context");
    JsFuture::from(context.resume().expect("a promise")).await.expect("it runs");
    assert_eq!(context.state(), AudioContextState::Running);
    context
}

pub(crate) async fn close(context: &AudioContext) {
    JsFuture::from(context.close().expect("a promise")).await.expect("it closes");
}

/// A module in a URL of its own.
pub(crate) fn module(source: &str) -> String {
    let kind = BlobPropertyBag::new();
    kind.set_type("text/javascript");
    let parts = js_sys::Array::of1(&JsValue::from_str(source));
    let blob = Blob::new_with_str_sequence_and_options(&parts, &kind).expect("a blob");
    Url::create_object_url_with_blob(&blob).expect("a URL")
}

pub(crate) async fn add(context: &AudioContext, source: &str) {
    let added = context.audio_worklet().expect("worklets").add_module(&module(source)).expect("a promise");
    JsFuture::from(added).await.expect("a module");
}

pub(crate) fn offline(channels: u32, seconds: f64) -> OfflineAudioContext {
    let frames = (seconds * f64::from(RATE)) as u32;
    OfflineAudioContext::new_with_number_of_channels_and_length_and_sample_rate(channels, frames, RATE)
        .expect("an offline context")
}

/// A context in which HRTF is heard: its tables are loaded, and stay so as long as it lives. To load them for each
/// rendering takes long, and renderings of Chromium that begin meanwhile hang at times.
pub(crate) async fn with_hrtf() -> AudioContext {
    let context = crate::stage::context();
    JsFuture::from(context.resume().expect("a promise")).await.expect("it runs");
    let panner = context.create_panner().expect("a panner");
    set(&panner, "panningModel", "HRTF");
    noise(&context, 1, 0.5, 1).connect_with_audio_node(&panner).expect("a connection");
    let meter = context.create_analyser().expect("an analyser");
    panner.connect_with_audio_node(&meter).expect("a connection");
    meter.connect_with_audio_node(&context.destination()).expect("a connection");
    until("HRTF is heard", || {
        let mut samples = [0.0; 32];
        meter.get_float_time_domain_data(&mut samples);
        samples.iter().any(|sample| *sample != 0.0)
    })
    .await;
    context
}

/// Takes the data of a channel away, as a transfer to a worker does.
pub(crate) fn transfer(buffer: &AudioBuffer, channel: u32) {
    let data = samples_of(buffer, channel).buffer();
    let options = js_sys::Object::new();
    js_sys::Reflect::set(&options, &"transfer".into(), &js_sys::Array::of1(&data)).expect("an object");
    structured_clone(&data, &options);
}

/// The samples themselves.
pub(crate) fn samples_of(buffer: &AudioBuffer, channel: u32) -> js_sys::Float32Array {
    let method = get(buffer, "getChannelData").unchecked_into::<js_sys::Function>();
    method.call1(buffer, &channel.into()).expect("a channel").unchecked_into()
}

pub(crate) fn get(target: &JsValue, name: &str) -> JsValue {
    js_sys::Reflect::get(target, &name.into()).expect("an object")
}

pub(crate) fn set(target: &JsValue, name: &str, value: impl Into<JsValue>) {
    js_sys::Reflect::set(target, &name.into(), &value.into()).expect("an attribute that takes this");
}

/// A looping source of noise that differs by `seed`, between -amount and amount, already started.
pub(crate) fn noise(
    context: &BaseAudioContext,
    channels: u32,
    amount: f32,
    seed: u32,
) -> AudioBufferSourceNode {
    let buffer = context.create_buffer(channels, 4800, RATE).expect("a buffer");
    let mut random = seed;
    for channel in 0..channels {
        let sound: Vec<f32> = (0..4800)
            .map(|_| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                amount * ((random >> 8) as f32 / (1 << 23) as f32 - 1.0)
            })
            .collect();
        samples_of(&buffer, channel).copy_from(&sound);
    }
    let source = context.create_buffer_source().expect("a source");
    source.set_buffer(Some(&buffer));
    source.set_loop(true);
    source.start().expect("it starts");
    source
}

/// What the second user of a node does with it, so as to hear what the first one left behind.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Use {
    /// One mono signal. A change of the channel count clears filters in Chromium, so stereo alone would hide leaks.
    Mono,
    /// One stereo signal.
    Stereo,
    /// A mono and a stereo signal at once, which have to be mixed.
    Mixed,
    /// A stereo signal, and a count of channels that is obeyed.
    Clamped,
    /// A stereo signal, and noise on each parameter; filters as peaking ones, since only those heed them all.
    Modulated,
}

pub(crate) const USES: [Use; 5] = [Use::Mono, Use::Stereo, Use::Mixed, Use::Clamped, Use::Modulated];

/// How the tests treat a type of node.
pub(crate) trait Tested: PoolNode {
    /// Values and depths of modulation that are heard, one per parameter.
    const VALUES: &'static [(f32, f32)] = &[];
    /// Ways in which the first user leaves the node's attributes, each with one in which the second sets it up.
    const WAYS: &'static [(usize, usize)] = &[(0, 0)];
    /// From the release to the acquire. In this time a delay of 20 ms is pulled empty: 7.5 quanta, and the margin.
    const REST: f64 = 18.0 * QUANTUM;
    fn pool(context: &PoolContext) -> pool_web::AudioNodePoolBuilder<Self>;
    fn key() -> Self::Key;
    fn fresh(context: &BaseAudioContext) -> Self;
    /// What the first user does to the attributes.
    fn spoil(_context: &BaseAudioContext, _node: &Self, _way: usize) {}
    /// What the first user does at the last moment.
    fn spoil_late(_node: &Self) {}
    /// What the second user sets.
    fn prepare(_context: &BaseAudioContext, _node: &Self, _way: usize, _second: Use) {}
    /// Whether a node that was left so is thrown away where no rendering can be stopped, and no probe can be made.
    fn is_given_up(_spoil: usize) -> bool {
        false
    }
    /// Whether a fresh node is heard then.
    fn is_heard(_way: usize) -> bool {
        true
    }
    /// What is seen and not heard, at the end.
    fn observe(_node: &Self) -> Vec<f32> {
        Vec::new()
    }
}

/// When the first user releases the node.
const RELEASE: f64 = 18.0 * QUANTUM;
/// How long the second user has it.
const SECOND: f64 = 24.0 * QUANTUM;
/// Live, nobody knows when the second user will have it: what is to happen then happens again and again, up to here.
const LONGEST_REST: f64 = 4.0;

/// What the first user does.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum First {
    /// All that can be done to the node; with a curve in flight, or else events to come.
    InHand { curve: bool },
    /// What can be done by the lease alone: then the release undoes no more than that.
    ByLease,
    /// That, and to the parameters all that can be done to them.
    ParamsInHand,
}

/// The loudest difference between a recycled node and a fresh one, in one context and fed the same; `None` if the
/// node did not come back to the pool.
pub(crate) async fn difference<N: Tested>(
    (spoil, prepare): (usize, usize),
    second: Use,
    left_out: Option<Step>,
    first: First,
) -> Option<f32> {
    let stage = Stage::new(4, 2.0 * (RELEASE + N::REST) + SECOND).await;
    let context = stage.context();
    let pooled = PoolContext::new(context);
    if let StateClass::AttributeReset { probe, .. } = N::SPEC.state {
        // Where no rendering can be stopped, there is no probe.
        assert_eq!(pooled.probe(probe).await, !stage.is_live(), "{} can be reset", N::SPEC.interface);
    }
    let mut pool = N::pool(&pooled);
    if let Some(step) = left_out {
        pool = pool.leave_out(step);
    }
    let pool = pool.build();

    // Outputs 0 and 1 are the fresh node's, 2 and 3 the recycled one's.
    let merger = context.create_channel_merger_with_number_of_inputs(4).expect("a merger");
    merger.connect_with_audio_node(stage.output()).expect("a connection");
    let path = |node: &AudioNode, first: u32| {
        let splitter = context.create_channel_splitter_with_number_of_outputs(2).expect("a splitter");
        node.connect_with_audio_node(&splitter).expect("a connection");
        for channel in 0..2 {
            splitter
                .connect_with_audio_node_and_output_and_input(&merger, channel, first + channel)
                .expect("a connection");
        }
    };

    let rest = async || {
        stage
            .reach_and(stage.now() + N::REST, || {
                pool.maintain();
                pool.stats().quarantined == 0
            })
            .await;
    };
    let lease = match first {
        First::InHand { .. } => pool.acquire_key(&N::key()).expect("a node"),
        First::ByLease | First::ParamsInHand => {
            // Its maker had the node in hand, which its first release makes up for.
            drop(pool.acquire_key(&N::key()).expect("a node"));
            rest().await;
            let lease = pool.acquire_key(&N::key()).expect("a node");
            assert_eq!(pool.stats().hits, 1);
            lease
        }
    };
    let begin = stage.now();
    match first {
        First::InHand { curve } => misuse(&stage, &lease, spoil, second, &merger, curve),
        First::ByLease | First::ParamsInHand => use_up(&stage, &lease, second, &merger, first),
    }
    stage.reach(begin + RELEASE).await;
    if matches!(first, First::InHand { .. }) {
        N::spoil_late(&lease);
    }
    drop(lease);
    let released = stage.now();
    rest().await;

    let before = pool.stats().hits;
    let recycled = pool.acquire_key(&N::key()).expect("a node");
    let came_back = pool.stats().hits == before + 1;
    let fresh = N::fresh(context);
    path(fresh.as_ref(), 0);
    path(N::as_ref(&recycled), 2);
    for node in [&fresh, &*recycled] {
        exercise::<N>(context, node, prepare, second);
    }
    // From the release on: in between, nothing may be heard of either. Live, the first user is heard until the audio
    // thread knows of the release, so there it is from the second user on.
    let from = if stage.is_live() { stage.now() } else { released };
    let recorded = stage.finish(SECOND).await;
    let from = stage.frame(from);
    let [left, right, recycled_left, recycled_right] = [0, 1, 2, 3].map(|channel| &recorded[channel][from..]);
    let loudest = left.iter().chain(right).fold(0.0_f32, |most, sample| most.max(sample.abs()));
    assert!(loudest > 0.05 || !N::is_heard(prepare), "the fresh node is heard: {loudest}");
    let (seen, recycled_seen) = (N::observe(&fresh), N::observe(&recycled));
    let heard = left.iter().zip(recycled_left).chain(right.iter().zip(recycled_right));
    let pairs = heard.chain(seen.iter().zip(&recycled_seen));
    // Infinite minus infinite, as spectra of silence have it, is no difference.
    let off = |(a, b): (&f32, &f32)| if a == b { 0.0 } else { (a - b).abs() };
    let worst = pairs.map(off).fold(0.0_f32, |most, off| if off > most || off.is_nan() { off } else { most });
    stage.close().await;
    came_back.then_some(if seen.len() == recycled_seen.len() { worst } else { f32::INFINITY })
}

/// Leaves everything behind that can be left behind; a curve in flight if it is asked for, and else events to come.
fn misuse<N: Tested>(
    stage: &Stage,
    lease: &NodeLease<N>,
    spoil: usize,
    second: Use,
    merger: &AudioNode,
    curve: bool,
) {
    let (context, begin) = (stage.context(), stage.now());
    let raw: &AudioNode = lease.as_raw().as_ref();
    N::spoil(context, lease, spoil);
    // In mono for the mono user, so that the number of channels does not change between them.
    let channels = if second == Use::Mono { 1 } else { 2 };
    lease.connect_from(&noise(context, channels, 0.5, 7)).expect("a connection");
    let modulator = noise(context, 1, 0.02, 11);
    for (spec, (value, _)) in N::SPEC.params.iter().zip(N::VALUES) {
        lease.set(spec.name, *value).expect("a value");
        let param = lease.param(spec.name).expect("a parameter");
        set(param, "automationRate", "k-rate");
        lease.connect_param_from(&modulator, spec.name).expect("a connection");
        let soon = begin + 0.5 * RELEASE;
        if curve {
            // A curve in flight, far beyond the second user's time.
            let mut curve = [value * 0.5, value * 1.3, value * 0.7];
            param.set_value_curve_at_time(&mut curve, soon, 10.0).expect("a curve");
            continue;
        }
        let mut events = vec![(soon, 0.5), (begin + RELEASE + N::REST + 6.0 * QUANTUM, 1.3)];
        if stage.is_live() {
            let again = |i: u32| (events[1].0 + f64::from(i) * 8.0 * QUANTUM, [1.3, 0.5][i as usize % 2]);
            let more = (LONGEST_REST / (8.0 * QUANTUM)) as u32;
            events = std::iter::once(events[0]).chain((0..more).map(again)).collect();
        }
        for (time, factor) in events {
            param.set_value_at_time(value * factor, time).expect("an event");
        }
    }
    if N::SPEC.interpretation.is_some() {
        set(raw, "channelInterpretation", "discrete");
    }
    if N::SPEC.channel_count.is_some() && matches!(second, Use::Mono | Use::Clamped) {
        set(raw, "channelCount", 1);
    }
    if N::SPEC.count_mode.is_some() {
        set(raw, "channelCountMode", "explicit");
    }
    lead_out(context, lease, merger);
}

/// Its way out: on top of where the second user will be heard.
fn lead_out<N: PoolNode>(context: &BaseAudioContext, lease: &NodeLease<N>, merger: &AudioNode) {
    let target = context.create_gain().expect("a gain");
    target.connect_with_audio_node_and_output_and_input(merger, 0, 2).expect("a connection");
    lease.connect_to(&target).expect("a connection");
}

/// Leaves behind what can be left by a lease whose node was never in hand.
fn use_up<N: Tested>(stage: &Stage, lease: &NodeLease<N>, second: Use, merger: &AudioNode, first: First) {
    let (context, begin) = (stage.context(), stage.now());
    let channels = if second == Use::Mono { 1 } else { 2 };
    lease.connect_from(&noise(context, channels, 0.5, 7)).expect("a connection");
    let modulator = noise(context, 1, 0.02, 11);
    let (soon, late) = (begin + 0.5 * RELEASE, begin + RELEASE + N::REST + 6.0 * QUANTUM);
    for (nth, (spec, (value, _))) in N::SPEC.params.iter().zip(N::VALUES).enumerate() {
        lease.connect_param_from(&modulator, spec.name).expect("a connection");
        if first == First::ParamsInHand {
            let param = lease.param(spec.name).expect("a parameter");
            set(param, "automationRate", "k-rate");
            param.set_value_at_time(value * 0.5, soon).expect("an event");
            param.linear_ramp_to_value_at_time(value * 1.3, late).expect("an event");
            continue;
        }
        // Each of a lease's own ways to get at a parameter, in turn.
        match nth + second as usize {
            n if n % 4 == 0 => lease.set(spec.name, *value).expect("a value"),
            n if n % 4 == 1 => lease.ramp_to(spec.name, value * 1.3, late).expect("a ramp"),
            n if n % 4 == 2 => {
                lease.set_at(spec.name, value * 0.5, soon).expect("an event");
                lease.linear_ramp_at(spec.name, value * 1.3, late).expect("an event");
            }
            _ => {
                lease.set_at(spec.name, value * 0.5, soon).expect("an event");
                lease.exponential_ramp_at(spec.name, value * 1.3, late).expect("an event");
            }
        }
    }
    lead_out(context, lease, merger);
}

/// The same for the fresh and the recycled node: seeds make the noise the same.
fn exercise<N: Tested>(context: &BaseAudioContext, node: &N, prepare: usize, second: Use) {
    let raw: &AudioNode = node.as_ref();
    let feed = |channels, seed| {
        noise(context, channels, 0.5, seed).connect_with_audio_node(raw).expect("a connection");
    };
    match second {
        Use::Mono => feed(1, 23),
        Use::Stereo => feed(2, 29),
        Use::Mixed => {
            feed(1, 31);
            feed(2, 37);
        }
        Use::Clamped => {
            if N::SPEC.count_mode.is_some() {
                set(raw, "channelCountMode", "clamped-max");
            }
            feed(2, 41);
        }
        Use::Modulated => {
            feed(2, 43);
            for (spec, (value, depth)) in N::SPEC.params.iter().zip(N::VALUES) {
                let param: AudioParam = get(raw, spec.name).unchecked_into();
                noise(context, 1, depth * value, 47).connect_with_audio_param(&param).expect("a connection");
            }
        }
    }
    N::prepare(context, node, prepare, second);
}

/// A pool of gains, for tests to which the type does not matter.
pub(crate) fn gains(context: &BaseAudioContext) -> AudioNodePool<web_sys::GainNode> {
    AudioNodePool::builder(&PoolContext::new(context), |raw, ()| raw.create_gain()).build()
}

/// Does jobs, so many at once, and returns what each has given in their order.
pub(crate) async fn all<T>(jobs: Vec<Pin<Box<dyn Future<Output = T> + '_>>>, at_once: usize) -> Vec<T> {
    let mut results: Vec<Option<T>> = jobs.iter().map(|_| None).collect();
    let mut jobs: Vec<_> = jobs.into_iter().enumerate().collect();
    poll_fn(|task| {
        let mut place = 0;
        while place < jobs.len().min(at_once) {
            let (index, job) = &mut jobs[place];
            match job.as_mut().poll(task) {
                Poll::Ready(result) => {
                    results[*index] = Some(result);
                    // The next one moves up, and is polled for the first time.
                    drop(jobs.remove(place));
                }
                Poll::Pending => place += 1,
            }
        }
        if jobs.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    results.into_iter().flatten().collect()
}
