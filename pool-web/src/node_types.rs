//! Every node type of the Web Audio API, and how it is recycled, if at all: [`NODE_TYPES`].
//!
#![doc = include_str!("node_types.md")]

use crate::recipe::{
    AttributeValue, AttributeWrite, AutomationRate, CountMode, Interpretation, NodeSpec, Otherwise,
    ParamSpec, Probe, StateClass,
};
use AttributeValue::{Flag, Null, Number, Text};

/// What can be done with a node that was used.
#[derive(Clone, Copy, Debug)]
pub enum Recycling {
    /// It is brought back to how it was.
    Pooled(&'static NodeSpec),
    /// It plays once: a second `start()` throws.
    OneShot,
    /// It must not be used again, for this reason.
    Never(&'static str),
}

/// One node type of the Web Audio API.
#[derive(Clone, Copy, Debug)]
pub struct NodeType {
    /// Its interface in JavaScript.
    pub interface: &'static str,
    /// What can be done with a used one.
    pub recycling: Recycling,
}

const fn a_rate(name: &'static str, default: f32) -> ParamSpec {
    ParamSpec { name, default, rate: AutomationRate::Sample }
}

const fn write(name: &'static str, value: AttributeValue) -> AttributeWrite {
    AttributeWrite { name, value }
}

/// `GainNode`.
pub const GAIN: NodeSpec = NodeSpec {
    interface: "GainNode",
    params: &[a_rate("gain", 1.0)],
    attributes: &[],
    interpretation: Some(Interpretation::Speakers),
    channel_count: Some(2),
    count_mode: Some(CountMode::Max),
    state: StateClass::Stateless,
};

/// `StereoPannerNode`.
pub const STEREO_PANNER: NodeSpec = NodeSpec {
    interface: "StereoPannerNode",
    params: &[a_rate("pan", 0.0)],
    count_mode: Some(CountMode::ClampedMax),
    ..GAIN
};

/// `BiquadFilterNode`. Writing `type` away and back restores it and empties the filter's memory in Chromium; in
/// Firefox the memory decays by itself within 100 ms.
pub const BIQUAD: NodeSpec = NodeSpec {
    interface: "BiquadFilterNode",
    params: &[a_rate("frequency", 350.0), a_rate("detune", 0.0), a_rate("Q", 1.0), a_rate("gain", 0.0)],
    attributes: &[write("type", Text("highpass")), write("type", Text("lowpass"))],
    state: StateClass::AttributeReset { probe: Probe::Biquad, otherwise: Otherwise::Flush(0.2) },
    ..GAIN
};

/// `DelayNode`.
pub const DELAY: NodeSpec = NodeSpec {
    interface: "DelayNode",
    params: &[a_rate("delayTime", 0.0)],
    state: StateClass::Flush,
    ..GAIN
};

/// `IIRFilterNode`.
pub const IIR: NodeSpec =
    NodeSpec { interface: "IIRFilterNode", params: &[], state: StateClass::Flush, ..GAIN };

/// `WaveShaperNode`. Without oversampling it holds nothing; with it, filters, which the change of `oversample` empties
/// in Chromium. In Firefox nothing does.
pub const WAVE_SHAPER: NodeSpec = NodeSpec {
    interface: "WaveShaperNode",
    params: &[],
    attributes: &[write("oversample", Text("none")), write("curve", Null)],
    state: StateClass::AttributeReset { probe: Probe::WaveShaper, otherwise: Otherwise::Discard },
    ..GAIN
};

/// `ConvolverNode`. Its tail goes with its response. One that was fed in stereo and gets its new response, and its new input, before
/// the browser has rendered a quantum without them is silent in Chromium, for good: it has not noticed that its input was mono for
/// a moment, and makes one channel of two.
pub const CONVOLVER: NodeSpec = NodeSpec {
    interface: "ConvolverNode",
    params: &[],
    attributes: &[write("buffer", Null), write("normalize", Flag(true))],
    count_mode: Some(CountMode::ClampedMax),
    state: StateClass::Rest,
    ..GAIN
};

/// `PannerNode`. With equal power it holds nothing; with HRTF convolvers, which go when `panningModel` changes in
/// Chromium. In Firefox they stay, and the next HRTF user would hear 128 frames of the last one.
pub const PANNER: NodeSpec = NodeSpec {
    interface: "PannerNode",
    params: &[
        a_rate("positionX", 0.0),
        a_rate("positionY", 0.0),
        a_rate("positionZ", 0.0),
        a_rate("orientationX", 1.0),
        a_rate("orientationY", 0.0),
        a_rate("orientationZ", 0.0),
    ],
    attributes: &[
        write("panningModel", Text("equalpower")),
        write("distanceModel", Text("inverse")),
        write("refDistance", Number(1.0)),
        write("maxDistance", Number(10_000.0)),
        write("rolloffFactor", Number(1.0)),
        write("coneInnerAngle", Number(360.0)),
        write("coneOuterAngle", Number(360.0)),
        write("coneOuterGain", Number(0.0)),
    ],
    count_mode: Some(CountMode::ClampedMax),
    state: StateClass::AttributeReset {
        probe: Probe::Panner,
        otherwise: Otherwise::DiscardIf("panningModel", "HRTF"),
    },
    ..GAIN
};

/// `AnalyserNode`. The change of `fftSize` forgets the smoothed spectrum, and zeros push out the samples. The first
/// write of `minDecibels` makes room: the maximum must stay above it at each step, whatever the user had chosen.
pub const ANALYSER: NodeSpec = NodeSpec {
    interface: "AnalyserNode",
    params: &[],
    attributes: &[
        write("fftSize", Number(32.0)),
        write("fftSize", Number(2048.0)),
        write("minDecibels", Number(-1.0e30)),
        write("maxDecibels", Number(-30.0)),
        write("minDecibels", Number(-100.0)),
        write("smoothingTimeConstant", Number(0.8)),
    ],
    state: StateClass::Flush,
    ..GAIN
};

/// Frames that an analyser looks back at most.
pub const ANALYSER_FRAMES: f64 = 32_768.0;

/// `ChannelSplitterNode`. Its channel settings are fixed.
pub const SPLITTER: NodeSpec = NodeSpec {
    interface: "ChannelSplitterNode",
    params: &[],
    interpretation: None,
    channel_count: None,
    count_mode: None,
    ..GAIN
};

/// `ChannelMergerNode`. Of its channel settings only one can be changed.
pub const MERGER: NodeSpec =
    NodeSpec { interface: "ChannelMergerNode", params: &[], channel_count: None, count_mode: None, ..GAIN };

/// `AudioWorkletNode`. Its parameters are its own: they are found when a node is made, and go back to the defaults that
/// the processor declared.
pub const WORKLET: NodeSpec =
    NodeSpec { interface: "AudioWorkletNode", params: &[], state: StateClass::Protocol, ..GAIN };

const fn pooled(spec: &'static NodeSpec) -> NodeType {
    NodeType { interface: spec.interface, recycling: Recycling::Pooled(spec) }
}

const fn one_shot(interface: &'static str) -> NodeType {
    NodeType { interface, recycling: Recycling::OneShot }
}

const fn never(interface: &'static str, reason: &'static str) -> NodeType {
    NodeType { interface, recycling: Recycling::Never(reason) }
}

/// Every node type of the Web Audio API.
pub const NODE_TYPES: &[NodeType] = &[
    pooled(&GAIN),
    pooled(&STEREO_PANNER),
    pooled(&SPLITTER),
    pooled(&MERGER),
    pooled(&BIQUAD),
    pooled(&PANNER),
    pooled(&CONVOLVER),
    pooled(&WAVE_SHAPER),
    pooled(&DELAY),
    pooled(&IIR),
    pooled(&ANALYSER),
    pooled(&WORKLET),
    one_shot("OscillatorNode"),
    one_shot("AudioBufferSourceNode"),
    one_shot("ConstantSourceNode"),
    never("DynamicsCompressorNode", "it never forgets: nothing brings it back to its first state"),
    never("MediaElementAudioSourceNode", "it is bound to its element for ever"),
    never("MediaStreamAudioSourceNode", "it is bound to its stream for ever"),
    never("MediaStreamTrackAudioSourceNode", "it is bound to its track for ever"),
    never("MediaStreamAudioDestinationNode", "whoever has its stream goes on listening"),
    never("ScriptProcessorNode", "what its handler remembers only its program knows, and it is deprecated"),
    never("AudioDestinationNode", "a context has one"),
];

/// The entry of an interface; `None` if there is no such node type.
#[must_use]
pub fn find(interface: &str) -> Option<&'static NodeType> {
    NODE_TYPES.iter().find(|entry| entry.interface == interface)
}

/// The recipes of all types that can be pooled.
pub fn specs() -> impl Iterator<Item = &'static NodeSpec> {
    NODE_TYPES.iter().filter_map(|entry| match entry.recycling {
        Recycling::Pooled(spec) => Some(spec),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::String, vec::Vec};

    fn class(entry: &NodeType) -> String {
        let spec = match entry.recycling {
            Recycling::Pooled(spec) => spec,
            Recycling::OneShot => return "one-shot | it plays once; to pool it does not compile".into(),
            Recycling::Never(reason) => return format!("discard | {reason}"),
        };
        let written = |spec: &NodeSpec| {
            let mut names: Vec<_> = spec.attributes.iter().map(|a| format!("`{}`", a.name)).collect();
            names.dedup();
            names.truncate(1);
            names.join("")
        };
        match spec.state {
            StateClass::Stateless => "stateless | idle at once".into(),
            StateClass::Rest => {
                format!("rest | {} is written, which empties it, and it waits for 8 quanta", written(spec))
            }
            StateClass::AttributeReset { otherwise, .. } => {
                let otherwise = match otherwise {
                    Otherwise::Flush(seconds) => format!("{seconds} s of zeros"),
                    Otherwise::Discard => "it is discarded".into(),
                    Otherwise::DiscardIf(_, value) => format!("it is discarded if that was `{value}`"),
                };
                format!(
                    "sync reset | {} is written; where a probe finds that this is not enough, {otherwise}",
                    written(spec)
                )
            }
            StateClass::Flush => "flush | quarantined until zeros have pushed out what it holds".into(),
            StateClass::Protocol => "protocol | told to forget; quarantined until it answers".into(),
        }
    }

    // A table in the documentation that says something else than the code does.
    #[test]
    fn the_documentation_has_this_table() {
        let rows: String = NODE_TYPES
            .iter()
            .map(|entry| format!("| `{}` | {} |\n", entry.interface, class(entry)))
            .collect();
        let written = include_str!("node_types.md");
        assert!(written.contains(&rows), "node_types.md should hold:\n{rows}");
    }

    // Two entries of one name would hide each other.
    #[test]
    fn every_type_is_there_once() {
        let mut names: Vec<_> = NODE_TYPES.iter().map(|entry| entry.interface).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), NODE_TYPES.len());
        assert!(find("GainNode").is_some() && find("gainNode").is_none());
    }
}
