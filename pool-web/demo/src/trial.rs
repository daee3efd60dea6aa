//! Every type of node of `pool-web`'s table, used and released once, to see what becomes of it.
//!
//! What is seen is compared with what the type's state class promises in this browser: a row that contradicts it is told.
//! All of it is done with pools of its own, so that those of the voices count nothing of it.
//!
//! The page gets an array of rows, each of four: interface, state class, what became of it, and whether that is what the
//! class promises: null if that was not tried.

use js_sys::{Array, Function, Promise, Reflect};
use pool_web::{
    AudioNodePool, AudioNodePoolManager, DelayKey, IirKey, NodeLease, NodeManagerStats, NodeStats,
    PoolContext, PoolNode, WebError,
    node_types::{NODE_TYPES, NodeType, Recycling},
    recipe::{Next, NodeSpec, StateClass},
};
use wasm_bindgen::{JsCast, prelude::*};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AnalyserNode, AudioContext, AudioContextState, AudioNode, AudioWorkletNode, BaseAudioContext, DelayNode,
    GainNode, IirFilterNode, OscillatorNode,
};

/// Seconds of the delay's line.
const LINE: f64 = 0.05;
/// Coefficients of the IIR filter, which rings for some milliseconds.
const IIR: [&[f64]; 2] = [&[0.5], &[1.0, -0.9]];
/// Outputs of the splitter and inputs of the merger.
const CHANNELS: u32 = 2;
/// Milliseconds for which sound goes through a node.
const USED_MS: f64 = 20.0;
/// Milliseconds between two looks at a node that rests.
const LOOK_MS: f64 = 10.0;
/// Looks until one is given up.
const MOST_LOOKS: u32 = 800;
/// The processor of the worklet: its module, its name, what it is told and what it answers.
const PROCESSOR: [&str; 4] = ["forgetful.js", "forgetful", "forget", "forgotten"];

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(call: &Function, milliseconds: f64) -> JsValue;
}

async fn sleep(milliseconds: f64) {
    let over = Promise::new(&mut |resolve, _| {
        set_timeout(&resolve, milliseconds);
    });
    // A timer is never rejected.
    let _ = JsFuture::from(over).await;
}

/// What is set on a node while it is used, so that the next user could tell.
#[derive(Clone, Copy)]
enum Setting {
    /// There is nothing that could be set.
    Nothing,
    Param(&'static str, f32),
    Text(&'static str, &'static str),
    Number(&'static str, f64),
    Flag(&'static str, bool),
}

/// How a type is acquired, counted and used.
struct Kind {
    interface: &'static str,
    acquire: fn(&Trial) -> Result<NodeLease<AudioNode>, WebError>,
    stats: fn(&NodeManagerStats) -> NodeStats,
    /// Seconds that a used one has to rest, if its class is one that rests.
    seconds: fn(f32) -> f64,
    setting: Setting,
}

const fn no_seconds(_: f32) -> f64 {
    0.0
}

const KINDS: &[Kind] = &[
    Kind {
        interface: "GainNode",
        acquire: |trial| trial.nodes.acquire_gain().map(NodeLease::into_any),
        stats: |stats| stats.gain,
        seconds: no_seconds,
        setting: Setting::Param("gain", 0.25),
    },
    Kind {
        interface: "StereoPannerNode",
        acquire: |trial| trial.nodes.acquire_panner().map(NodeLease::into_any),
        stats: |stats| stats.panner,
        seconds: no_seconds,
        setting: Setting::Param("pan", -0.5),
    },
    Kind {
        interface: "ChannelSplitterNode",
        acquire: |trial| trial.nodes.acquire_splitter(CHANNELS).map(NodeLease::into_any),
        stats: |stats| stats.splitter,
        seconds: no_seconds,
        setting: Setting::Nothing,
    },
    Kind {
        interface: "ChannelMergerNode",
        acquire: |trial| trial.nodes.acquire_merger(CHANNELS).map(NodeLease::into_any),
        stats: |stats| stats.merger,
        seconds: no_seconds,
        setting: Setting::Text("channelInterpretation", "discrete"),
    },
    Kind {
        interface: "BiquadFilterNode",
        acquire: |trial| trial.nodes.acquire_filter().map(NodeLease::into_any),
        stats: |stats| stats.filter,
        seconds: no_seconds,
        setting: Setting::Param("frequency", 1_000.0),
    },
    Kind {
        interface: "PannerNode",
        acquire: |trial| trial.nodes.acquire_spatial().map(NodeLease::into_any),
        stats: |stats| stats.spatial,
        seconds: no_seconds,
        setting: Setting::Param("positionX", 3.0),
    },
    Kind {
        interface: "ConvolverNode",
        acquire: |trial| trial.nodes.acquire_convolver().map(NodeLease::into_any),
        stats: |stats| stats.convolver,
        seconds: no_seconds,
        setting: Setting::Flag("normalize", false),
    },
    Kind {
        interface: "WaveShaperNode",
        acquire: |trial| trial.nodes.acquire_shaper().map(NodeLease::into_any),
        stats: |stats| stats.shaper,
        seconds: no_seconds,
        setting: Setting::Text("oversample", "4x"),
    },
    Kind {
        interface: "DelayNode",
        acquire: |trial| trial.nodes.acquire_delay_with(LINE).map(NodeLease::into_any),
        stats: |stats| stats.delay,
        seconds: |rate| DelayKey::new(LINE).map_or(0.0, |key| DelayNode::flush_seconds(&key, rate)),
        setting: Setting::Param("delayTime", 0.02),
    },
    Kind {
        interface: "IIRFilterNode",
        acquire: |trial| trial.nodes.acquire_iir(IIR[0], IIR[1]).map(NodeLease::into_any),
        stats: |stats| stats.iir,
        seconds: |rate| {
            IirKey::new(IIR[0], IIR[1]).map_or(0.0, |key| IirFilterNode::flush_seconds(&key, rate))
        },
        setting: Setting::Text("channelInterpretation", "discrete"),
    },
    Kind {
        interface: "AnalyserNode",
        acquire: |trial| trial.nodes.acquire_analyser().map(NodeLease::into_any),
        stats: |stats| stats.analyser,
        seconds: |rate| AnalyserNode::flush_seconds(&(), rate),
        setting: Setting::Number("fftSize", 64.0),
    },
];

/// Methods of the context by which nodes are made that no pool takes.
const UNPOOLED: [(&str, &str); 4] = [
    ("OscillatorNode", "createOscillator"),
    ("AudioBufferSourceNode", "createBufferSource"),
    ("ConstantSourceNode", "createConstantSource"),
    ("DynamicsCompressorNode", "createDynamicsCompressor"),
];

/// What became of a node, and whether its class promises that; `None` if it was not tried.
struct Outcome(String, Option<bool>);

impl Outcome {
    fn seen(text: &str, right: bool) -> Self {
        Self(text.to_owned(), Some(right))
    }

    fn failed(error: &WebError) -> Self {
        Self(format!("Failed: {error}"), Some(false))
    }

    fn not_tried(reason: &str) -> Self {
        Self(format!("Not tried: {reason}"), None)
    }
}

struct Trial {
    context: AudioContext,
    shared: PoolContext,
    nodes: AudioNodePoolManager,
    /// `None` where there are no worklets, as on pages that are not secure.
    worklets: Option<AudioNodePool<AudioWorkletNode>>,
    /// Feeds the nodes.
    tone: OscillatorNode,
    /// Takes what comes out of them, and lets none of it through.
    sink: GainNode,
}

impl Trial {
    async fn new(context: AudioContext) -> Result<Self, JsValue> {
        let shared = PoolContext::new(&context);
        let nodes = AudioNodePoolManager::builder_in(&shared).build();
        // What a browser's attributes do is known before it is relied on.
        nodes.ready().await;
        let worklets = Self::worklets(&context, &shared).await.ok();
        let (tone, sink) = (context.create_oscillator()?, context.create_gain()?);
        sink.gain().set_value(0.0);
        sink.connect_with_audio_node(&context.destination())?;
        tone.start()?;
        Ok(Self { context, shared, nodes, worklets, tone, sink })
    }

    async fn worklets(
        context: &AudioContext,
        shared: &PoolContext,
    ) -> Result<AudioNodePool<AudioWorkletNode>, JsValue> {
        let [module, name, message, answer] = PROCESSOR;
        JsFuture::from(context.audio_worklet()?.add_module(module)?).await?;
        let make = move |context: &BaseAudioContext, (): &()| AudioWorkletNode::new(context, name);
        Ok(AudioNodePool::builder(shared, make).protocol(message, answer).build())
    }

    async fn outcome(&self, entry: &NodeType) -> Outcome {
        match entry.recycling {
            Recycling::OneShot => self.refused(entry, "it plays once"),
            Recycling::Never(reason) => self.refused(entry, reason),
            Recycling::Pooled(spec) => {
                let Some(worklets) = &self.worklets else {
                    if spec.state == StateClass::Protocol {
                        return Outcome::not_tried("this page may use no worklets");
                    }
                    return self.kind(spec).await;
                };
                if spec.state != StateClass::Protocol {
                    return self.kind(spec).await;
                }
                let acquire = || worklets.acquire().map(NodeLease::into_any);
                let setting = Setting::Text("channelInterpretation", "discrete");
                self.told(spec, 0.0, setting, acquire, &|| worklets.stats(), &|| worklets.maintain()).await
            }
        }
    }

    async fn kind(&self, spec: &'static NodeSpec) -> Outcome {
        let Some(kind) = KINDS.iter().find(|kind| kind.interface == spec.interface) else {
            return Outcome::seen("The page does not know this type", false);
        };
        let seconds = (kind.seconds)(self.shared.sample_rate());
        let stats = || (kind.stats)(&self.nodes.stats());
        let maintain = || self.nodes.maintain();
        self.told(spec, seconds, kind.setting, || (kind.acquire)(self), &stats, &maintain).await
    }

    async fn told(
        &self,
        spec: &'static NodeSpec,
        seconds: f64,
        setting: Setting,
        acquire: impl Fn() -> Result<NodeLease<AudioNode>, WebError>,
        stats: &dyn Fn() -> NodeStats,
        maintain: &dyn Fn() -> usize,
    ) -> Outcome {
        let tried = self.pooled(spec, seconds, setting, &acquire, stats, maintain).await;
        tried.unwrap_or_else(|error| Outcome::failed(&error))
    }

    /// Acquires a node, uses it, releases it, and acquires until it comes again or is known to be gone.
    async fn pooled(
        &self,
        spec: &'static NodeSpec,
        seconds: f64,
        setting: Setting,
        acquire: &dyn Fn() -> Result<NodeLease<AudioNode>, WebError>,
        stats: &dyn Fn() -> NodeStats,
        maintain: &dyn Fn() -> usize,
    ) -> Result<Outcome, WebError> {
        let first = acquire()?;
        let node = JsValue::from(first.as_raw());
        let before = setting.value(&first);
        first.connect_from(&self.tone)?;
        first.connect_to(&self.sink)?;
        setting.apply(&first)?;
        let changed = matches!(setting, Setting::Nothing) || setting.value(&first) != before;
        sleep(USED_MS).await;

        let holds =
            |name: &str, value: &str| Reflect::get(&node, &name.into()).is_ok_and(|held| held == value);
        let expected = spec.next(|probe| self.shared.works(probe), holds, seconds);
        let released = self.context.current_time();
        drop(first);
        let next = acquire()?;
        if JsValue::from(next.as_raw()) == node {
            let right = expected == Next::Idle && changed && setting.value(&next) == before;
            return Ok(Outcome::seen("Reused at once", right));
        }
        next.discard();
        if stats().quarantined == 0 {
            return Ok(Outcome::seen("Discarded; the next one is new", expected == Next::Discard));
        }
        let mut looks = 0;
        while stats().idle == 0 {
            if looks == MOST_LOOKS || stats().quarantined == 0 {
                return Ok(Outcome::seen("It rested, and did not come back", false));
            }
            looks += 1;
            sleep(LOOK_MS).await;
            maintain();
        }
        let rested = self.context.current_time() - released;
        let again = acquire()?;
        let right = JsValue::from(again.as_raw()) == node
            && match expected {
                Next::Quarantine(seconds) => rested >= seconds,
                Next::Rest => true,
                Next::Idle | Next::Discard => false,
            }
            && changed
            && setting.value(&again) == before;
        let text = format!("Reused after a rest of {} ms", (rested * 1_000.0) as u32);
        Ok(Outcome::seen(&text, right))
    }

    /// A pool of whatever a factory makes refuses what must not be pooled.
    fn refused(&self, entry: &NodeType, reason: &str) -> Outcome {
        let Some((_, method)) = UNPOOLED.iter().find(|(interface, _)| *interface == entry.interface) else {
            return Outcome::not_tried(reason);
        };
        let make = |context: &BaseAudioContext, (): &()| {
            let method: Function = Reflect::get(context, &(*method).into())?.dyn_into()?;
            method.call0(context).map(JsCast::unchecked_into::<AudioNode>)
        };
        match AudioNodePool::builder(&self.shared, make).build().acquire() {
            Err(WebError::NotPoolable { reason, .. }) => Outcome::seen(&format!("Refused: {reason}"), true),
            Err(error) => Outcome::failed(&error),
            Ok(_) => Outcome::seen("Pooled, which it must not be", false),
        }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // Neither matters to a context that was closed meanwhile.
        let _ = self.tone.disconnect();
        let _ = self.sink.disconnect();
    }
}

impl Setting {
    fn apply(self, lease: &NodeLease<AudioNode>) -> Result<(), WebError> {
        let (name, value) = match self {
            Self::Nothing => return Ok(()),
            Self::Param(name, value) => return lease.set(name, value),
            Self::Text(name, text) => (name, JsValue::from_str(text)),
            Self::Number(name, number) => (name, JsValue::from_f64(number)),
            Self::Flag(name, flag) => (name, JsValue::from_bool(flag)),
        };
        // One that refuses it is seen to be unchanged.
        let _ = Reflect::set(lease.as_raw(), &name.into(), &value);
        Ok(())
    }

    /// What the node has there now.
    fn value(self, lease: &NodeLease<AudioNode>) -> JsValue {
        match self {
            Self::Nothing => JsValue::UNDEFINED,
            Self::Param(name, _) => lease.param(name).map_or(JsValue::NULL, |param| param.value().into()),
            Self::Text(name, _) | Self::Number(name, _) | Self::Flag(name, _) => {
                Reflect::get(lease.as_raw(), &name.into()).unwrap_or(JsValue::NULL)
            }
        }
    }
}

/// The name of a state class, as in the table of `pool-web`'s documentation.
fn class(entry: &NodeType) -> &'static str {
    match entry.recycling {
        Recycling::OneShot => "one-shot",
        Recycling::Never(_) => "discard",
        Recycling::Pooled(spec) => match spec.state {
            StateClass::Stateless => "stateless",
            StateClass::AttributeReset { .. } => "sync reset",
            StateClass::Rest => "rest",
            StateClass::Flush => "flush",
            StateClass::Protocol => "protocol",
        },
    }
}

fn row(entry: &NodeType, outcome: &Outcome) -> JsValue {
    let Outcome(text, right) = outcome;
    Array::of4(
        &entry.interface.into(),
        &class(entry).into(),
        &text.into(),
        &right.map_or(JsValue::NULL, JsValue::from_bool),
    )
    .into()
}

/// The rows before anything was tried.
pub(crate) fn untried() -> Array {
    NODE_TYPES.iter().map(|entry| row(entry, &Outcome("–".to_owned(), None))).collect()
}

/// Tries all types, one after the other.
pub(crate) async fn every_type(context: AudioContext) -> Result<JsValue, JsValue> {
    if context.state() != AudioContextState::Running {
        return Err(js_sys::Error::new(
            "The audio stands still, and some types rest on its clock. Press Play first.",
        )
        .into());
    }
    let trial = Trial::new(context).await?;
    let rows = Array::new();
    for entry in NODE_TYPES {
        rows.push(&row(entry, &trial.outcome(entry).await));
    }
    Ok(rows.into())
}
