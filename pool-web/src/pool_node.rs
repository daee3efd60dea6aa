//! [`PoolNode`]: the node types that can be pooled, with the keys of those that cannot be changed once they are made.

use crate::bindings;
use crate::error::WebError;
use crate::key::{DelayKey, IirKey};
use crate::node_types::{self, NodeType, Recycling};
use crate::recipe::NodeSpec;
use alloc::string::String;
use core::cell::RefCell;
use core::hash::Hash;
use wasm_bindgen::JsCast;
use web_sys::{
    AnalyserNode, AudioNode, AudioParam, AudioWorkletNode, BiquadFilterNode, ChannelMergerNode,
    ChannelSplitterNode, ConvolverNode, DelayNode, GainNode, IirFilterNode, PannerNode, StereoPannerNode,
    WaveShaperNode,
};

/// What a pool must know of a node that was made.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct NodeFacts {
    /// What a fresh one is like.
    pub spec: &'static NodeSpec,
    /// Bytes that it holds beside itself.
    pub bytes: usize,
    /// Seconds of zeros after which it is silent, if it is of class [`Flush`](crate::recipe::StateClass::Flush).
    pub flush_seconds: f64,
}

/// A type of node that can be pooled.
///
/// It says what a fresh node is like, so that a used one can be made so again. Implemented for every type of the Web
/// Audio API that can be recycled; [`NODE_TYPES`](node_types::NODE_TYPES) says how. Types of your own (an interface you
/// bound yourself) may implement it; nothing makes sure that [`SPEC`](Self::SPEC) tells all, so compare a recycled node
/// with a fresh one.
///
/// Sources that play once (oscillators, buffer sources) cannot be started again, so they do not implement it, and
/// pooling one does not compile:
///
/// ```compile_fail,E0277
/// fn pool(pool: pool_web::AudioNodePool<web_sys::AudioBufferSourceNode>) {}
/// ```
///
/// Neither does a compressor, which never forgets:
///
/// ```compile_fail,E0277
/// fn pool(pool: pool_web::AudioNodePool<web_sys::DynamicsCompressorNode>) {}
/// ```
///
/// ```
/// fn pool(pool: pool_web::AudioNodePool<web_sys::GainNode>) {}
/// ```
///
/// It is implemented for `AudioNode` itself too: what its pool's factory makes is looked up in the table when it is
/// made, and what cannot be pooled is refused with [`WebError::NotPoolable`].
#[diagnostic::on_unimplemented(
    message = "nodes of type `{Self}` cannot be pooled",
    note = "sources play once; other types implement `PoolNode` to say what a fresh one is like"
)]
pub trait PoolNode: JsCast + AsRef<AudioNode> + Clone + 'static {
    /// What of the node cannot be changed once it is made; `()` if nothing.
    type Key: Clone + Eq + Hash + 'static;

    /// What a fresh node is like.
    const SPEC: NodeSpec;

    /// Bytes that a node holds beside itself, such as a delay's line.
    fn bytes(key: &Self::Key, sample_rate: f32) -> usize {
        let _ = (key, sample_rate);
        0
    }

    /// Seconds of zeros after which a node of class [`Flush`](crate::recipe::StateClass::Flush) is silent; infinite if
    /// it never is.
    fn flush_seconds(key: &Self::Key, sample_rate: f32) -> f64 {
        let _ = (key, sample_rate);
        0.0
    }

    /// Looks at a node that was just made.
    ///
    /// # Errors
    ///
    /// [`WebError::NotPoolable`] if it is of a type that must not be pooled.
    fn facts(node: &AudioNode, key: &Self::Key, sample_rate: f32) -> Result<NodeFacts, WebError> {
        let _ = node;
        Ok(NodeFacts {
            spec: const { &Self::SPEC },
            bytes: Self::bytes(key, sample_rate),
            flush_seconds: Self::flush_seconds(key, sample_rate),
        })
    }
}

macro_rules! without_key {
    ($($node:ty => $spec:ident),* $(,)?) => {$(
        impl PoolNode for $node {
            type Key = ();
            const SPEC: NodeSpec = node_types::$spec;
        }
    )*};
}

without_key! {
    GainNode => GAIN,
    BiquadFilterNode => BIQUAD,
    StereoPannerNode => STEREO_PANNER,
    PannerNode => PANNER,
    ConvolverNode => CONVOLVER,
    WaveShaperNode => WAVE_SHAPER,
}

impl PoolNode for AnalyserNode {
    type Key = ();
    const SPEC: NodeSpec = node_types::ANALYSER;

    fn flush_seconds((): &(), sample_rate: f32) -> f64 {
        node_types::ANALYSER_FRAMES / f64::from(sample_rate)
    }
}

impl PoolNode for DelayNode {
    type Key = DelayKey;
    const SPEC: NodeSpec = node_types::DELAY;

    fn bytes(key: &DelayKey, sample_rate: f32) -> usize {
        key.bytes(sample_rate)
    }

    fn flush_seconds(key: &DelayKey, _: f32) -> f64 {
        key.max_delay()
    }
}

crate::per_thread! {
    /// The filter that was looked at last: one that rings for long is made anew for each use.
    static LATEST_RING: RefCell<Option<(IirKey, Option<u32>)>> = RefCell::new(None);
}

impl PoolNode for IirFilterNode {
    type Key = IirKey;
    const SPEC: NodeSpec = node_types::IIR;

    fn flush_seconds(key: &IirKey, sample_rate: f32) -> f64 {
        let known = LATEST_RING.with_borrow(|latest| {
            latest.as_ref().filter(|(latest, _)| latest == key).map(|&(_, frames)| frames)
        });
        let frames = known.unwrap_or_else(|| {
            let frames = key.ring_frames();
            LATEST_RING.with_borrow_mut(|latest| *latest = Some((key.clone(), frames)));
            frames
        });
        frames.map_or(f64::INFINITY, |frames| frames as f64 / f64::from(sample_rate))
    }
}

/// The key is the number of outputs.
impl PoolNode for ChannelSplitterNode {
    type Key = u32;
    const SPEC: NodeSpec = node_types::SPLITTER;
}

/// The key is the number of inputs.
impl PoolNode for ChannelMergerNode {
    type Key = u32;
    const SPEC: NodeSpec = node_types::MERGER;
}

/// Needs a [`protocol`](crate::AudioNodePoolBuilder::protocol): without one each node is discarded at its release, as
/// nobody knows what its processor remembers.
impl PoolNode for AudioWorkletNode {
    type Key = ();
    const SPEC: NodeSpec = node_types::WORKLET;
}

impl PoolNode for AudioNode {
    type Key = ();
    /// Of no use: each node has the one of its own type.
    const SPEC: NodeSpec = node_types::WORKLET;

    fn facts(node: &AudioNode, (): &(), sample_rate: f32) -> Result<NodeFacts, WebError> {
        let spec = match entry_of(node) {
            Ok(NodeType { recycling: Recycling::Pooled(spec), .. }) => *spec,
            Ok(NodeType { interface, recycling: Recycling::OneShot }) => {
                return Err(WebError::NotPoolable {
                    interface: (*interface).into(),
                    reason: "it plays once",
                });
            }
            Ok(NodeType { interface, recycling: Recycling::Never(reason) }) => {
                return Err(WebError::NotPoolable { interface: (*interface).into(), reason });
            }
            Err(interface) => {
                return Err(WebError::NotPoolable { interface, reason: "it is no known type of node" });
            }
        };
        let line = match spec.interface {
            "DelayNode" => DelayKey::new(bindings::longest_delay(node)).ok(),
            _ => None,
        };
        Ok(NodeFacts {
            spec,
            bytes: line.map_or(0, |line| line.bytes(sample_rate)),
            flush_seconds: match spec.interface {
                "DelayNode" => line.map_or(f64::INFINITY, DelayKey::max_delay),
                "AnalyserNode" => node_types::ANALYSER_FRAMES / f64::from(sample_rate),
                // A node does not tell its coefficients.
                "IIRFilterNode" => f64::INFINITY,
                _ => 0.0,
            },
        })
    }
}

/// The entry of a node's type or of the nearest one that it is derived from, as user-defined classes of worklet nodes
/// are; else the name of its class.
fn entry_of(node: &AudioNode) -> Result<&'static NodeType, String> {
    let mut first = None;
    for steps in 0.. {
        let Some(name) = bindings::class_name(node, steps) else { break };
        if let Some(entry) = node_types::find(&name) {
            return Ok(entry);
        }
        first.get_or_insert(name);
    }
    Err(first.unwrap_or_default())
}

/// One parameter of a node that was made: fetched once, as each getter is a call into JavaScript.
pub(crate) struct Param {
    pub(crate) name: alloc::borrow::Cow<'static, str>,
    pub(crate) param: AudioParam,
    pub(crate) default: f32,
    pub(crate) rate: crate::recipe::AutomationRate,
}
