//! A recycled node against a fresh one, sample by sample, and each step of the release shown to be needed.

use crate::support::{QUANTUM, RATE, Tested, USES, Use, difference, noise, offline, samples_of};
use pool_web::recipe::Step;
use pool_web::{AudioNodePool, AudioNodePoolBuilder, DelayKey, PoolContext};
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::{
    AudioBuffer, BaseAudioContext, BiquadFilterNode, DelayNode, GainNode, OfflineAudioContext,
    StereoPannerNode,
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
    fn pool(context: &PoolContext) -> AudioNodePoolBuilder<Self> {
        AudioNodePool::builder(context, |raw, ()| raw.create_biquad_filter())
    }
    fn key() {}
    fn fresh(context: &BaseAudioContext) -> Self {
        context.create_biquad_filter().expect("a filter")
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
    fn prepare(node: &Self) {
        node.delay_time().set_value(480.0 / RATE);
    }
}

/// Every use equal, and without each step at least one that is not; returns how many steps there were.
async fn prove<N: Tested>(first_kinds: &[Option<&str>], tolerance: impl Fn(Use) -> f32) -> usize {
    let name = N::SPEC.interface;
    for &kind in first_kinds {
        for second in USES {
            let off = difference::<N>(kind, second, None).await;
            let off = off.unwrap_or_else(|| panic!("{name}, {second:?}: the node did not come back"));
            assert!(off <= tolerance(second), "{name}, first {kind:?}, then {second:?}: off by {off}");
        }
    }
    let mut steps = 0;
    for step in N::SPEC.steps() {
        let mut heard = false;
        'search: for second in USES {
            for &kind in first_kinds {
                // A node that did not come back was noticed too.
                let off = difference::<N>(kind, second, Some(step)).await;
                heard = off.is_none_or(|off| off > 10.0 * tolerance(second).max(1e-7));
                if heard {
                    break 'search;
                }
            }
        }
        assert!(heard, "{name}: without {step:?} nothing was heard");
        steps += 1;
    }
    steps
}

// Each of these: something of the first user is heard by the second one.

#[wasm_bindgen_test]
async fn a_recycled_gain_is_like_a_fresh_one() {
    assert_eq!(prove::<GainNode>(&[None], |_| 0.0).await, 8);
}

#[wasm_bindgen_test]
async fn a_recycled_filter_is_like_a_fresh_one() {
    let kinds = [Some("lowpass"), Some("highpass"), Some("notch")];
    assert_eq!(prove::<BiquadFilterNode>(&kinds, |_| 0.0).await, 19);
}

#[wasm_bindgen_test]
async fn a_recycled_panner_is_like_a_fresh_one() {
    assert_eq!(prove::<StereoPannerNode>(&[None], |_| 1e-7).await, 8);
}

#[wasm_bindgen_test]
async fn a_recycled_delay_is_like_a_fresh_one() {
    let tolerance = |second| if second == Use::Modulated { 1e-3 } else { 0.0 };
    assert_eq!(prove::<DelayNode>(&[None], tolerance).await, 8);
}

/// What comes out of a delay on silence, after a first use that `reuse` ends at `seconds`.
async fn echo_of_a_first_use(
    channels: u32,
    reuse: impl Fn(&OfflineAudioContext, DelayNode) -> DelayNode,
) -> f32 {
    let context = offline(2, 0.2);
    let delay = context.create_delay_with_max_delay_time(0.1).expect("a delay");
    let source = noise(&context, channels, 0.5, 3);
    source.connect_with_audio_node(&delay).expect("a connection");
    delay.connect_with_audio_node(&context.destination()).expect("a connection");
    let suspendable = crate::support::suspend_at(&context, 24.0 * QUANTUM);
    let rendering = JsFuture::from(context.start_rendering().expect("a promise"));
    suspendable.await.expect("it gets there");
    source.disconnect().expect("it was connected");
    delay.disconnect().expect("it was connected");
    let again = reuse(&context, delay);
    again.delay_time().set_value(0.05);
    noise(&context, channels, 0.0, 3).connect_with_audio_node(&again).expect("a connection");
    again.connect_with_audio_node(&context.destination()).expect("a connection");
    let _ = context.resume().expect("it goes on");
    let rendered: AudioBuffer = rendering.await.expect("a rendering").unchecked_into();
    let heard = samples_of(&rendered, 0).to_vec().split_off(24 * 128);
    heard.iter().fold(0.0_f32, |most, sample| most.max(sample.abs()))
}

// The oracle of the delay tests: if a delay that is reused at once leaked nothing, they would show nothing.
#[wasm_bindgen_test]
async fn without_quarantine_a_delay_repeats_its_last_user() {
    for channels in [1, 2] {
        let leaked = echo_of_a_first_use(channels, |_, delay| delay).await;
        assert!(leaked > 0.1, "{channels} channels: {leaked}");
        let fresh = |context: &OfflineAudioContext, _| {
            context.create_delay_with_max_delay_time(0.1).expect("a delay")
        };
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
