//! What a release must do, as data: [`NodeSpec`], [`Step`], and [`run`] over a [`NodePort`].
//!
//! Setting each value and calling `disconnect()` leaves a used node different from a fresh one in many ways:
//! automation that still runs, inputs that are still heard, settings of its channels, filter memory. What undoes
//! all of it, in the order that works, is the list of steps that [`NodeSpec::steps`] gives:
//!
//! 1. cut what feeds the node and its parameters (`disconnect()` cuts only what the node feeds);
//! 2. `disconnect()`;
//! 3. each parameter: `cancelScheduledValues(0)`, **then** the default value (the other way round, Chromium
//!    restores the old value), then `automationRate`;
//! 4. attributes, such as `type`: written away and back where that empties the node's memory;
//! 5. channel interpretation, count and mode.
//!
//! The first exception ends it, and the node must be thrown away. The list is plain data, so that it is tested on
//! the host against a model of a node, with each step left out in turn, and in a browser against a fresh node.

/// How often a parameter takes a new value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AutomationRate {
    /// Each sample: `"a-rate"`.
    Sample,
    /// Each render quantum: `"k-rate"`.
    Quantum,
}

/// How channels are mixed up and down: `channelInterpretation`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interpretation {
    /// `"speakers"`
    Speakers,
    /// `"discrete"`
    Discrete,
}

/// How `channelCount` bounds the channels of the inputs: `channelCountMode`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CountMode {
    /// `"max"`: as many as the inputs have.
    Max,
    /// `"clamped-max"`: as many as the inputs have, up to the count.
    ClampedMax,
    /// `"explicit"`: exactly the count.
    Explicit,
}

/// One parameter of a node as it is when fresh.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ParamSpec {
    /// Its name in JavaScript.
    pub name: &'static str,
    /// Its value when fresh.
    pub default: f32,
    /// Its rate when fresh.
    pub rate: AutomationRate,
}

/// One attribute to write: its name in JavaScript, and a string.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AttributeWrite {
    /// The attribute.
    pub name: &'static str,
    /// What is written.
    pub value: &'static str,
}

/// What it takes to rid a node of the signal that went through it, once all its settings are reset.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum StateClass {
    /// Nothing: it holds no signal. Idle at once.
    Stateless,
    /// The attribute writes of its [`NodeSpec`] empty it at once, in browsers where that works, which a probe
    /// finds out. Elsewhere, and until the probe has answered, it is pulled with zeros for some time.
    AttributeReset {
        /// Seconds of zeros after which nothing is left.
        else_flush: f64,
    },
    /// It must be pulled with zeros for as long as its key says.
    Flush,
}

/// All that tells a fresh node of one type from a used one, and so all that a release must restore.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct NodeSpec {
    /// The interface in JavaScript, for messages.
    pub interface: &'static str,
    /// Its parameters.
    pub params: &'static [ParamSpec],
    /// Attributes to write, in this order. An attribute that is written away and back appears twice.
    pub attributes: &'static [AttributeWrite],
    /// `channelInterpretation` when fresh.
    pub interpretation: Interpretation,
    /// `channelCount` when fresh.
    pub channel_count: u32,
    /// `channelCountMode` when fresh.
    pub count_mode: CountMode,
    /// What signal it holds.
    pub state: StateClass,
}

const fn sample_rate_param(name: &'static str, default: f32) -> ParamSpec {
    ParamSpec { name, default, rate: AutomationRate::Sample }
}

/// `GainNode`.
pub const GAIN: NodeSpec = NodeSpec {
    interface: "GainNode",
    params: &[sample_rate_param("gain", 1.0)],
    attributes: &[],
    interpretation: Interpretation::Speakers,
    channel_count: 2,
    count_mode: CountMode::Max,
    state: StateClass::Stateless,
};

/// `BiquadFilterNode`. Writing `type` away and back restores it and empties the filter's memory in Chromium; in
/// Firefox the memory decays by itself within 100 ms.
pub const BIQUAD: NodeSpec = NodeSpec {
    interface: "BiquadFilterNode",
    params: &[
        sample_rate_param("frequency", 350.0),
        sample_rate_param("detune", 0.0),
        sample_rate_param("Q", 1.0),
        sample_rate_param("gain", 0.0),
    ],
    attributes: &[
        AttributeWrite { name: "type", value: "highpass" },
        AttributeWrite { name: "type", value: "lowpass" },
    ],
    interpretation: Interpretation::Speakers,
    channel_count: 2,
    count_mode: CountMode::Max,
    state: StateClass::AttributeReset { else_flush: 0.2 },
};

/// `DelayNode`.
pub const DELAY: NodeSpec = NodeSpec {
    interface: "DelayNode",
    params: &[sample_rate_param("delayTime", 0.0)],
    attributes: &[],
    interpretation: Interpretation::Speakers,
    channel_count: 2,
    count_mode: CountMode::Max,
    state: StateClass::Flush,
};

/// `StereoPannerNode`.
pub const STEREO_PANNER: NodeSpec = NodeSpec {
    interface: "StereoPannerNode",
    params: &[sample_rate_param("pan", 0.0)],
    attributes: &[],
    interpretation: Interpretation::Speakers,
    channel_count: 2,
    count_mode: CountMode::ClampedMax,
    state: StateClass::Stateless,
};

/// One step of a release. Indices are into the [`NodeSpec`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Cut every recorded connection into the node and its parameters.
    CutInputs,
    /// `disconnect()`: cut every connection out of the node.
    Disconnect,
    /// `cancelScheduledValues(0)` on a parameter.
    CancelParam(usize),
    /// The default value of a parameter.
    DefaultParam(usize),
    /// The `automationRate` of a parameter.
    RateParam(usize),
    /// Write an attribute.
    Attribute(usize),
    /// `channelInterpretation`.
    Interpretation,
    /// `channelCount`.
    ChannelCount,
    /// `channelCountMode`.
    CountMode,
}

impl NodeSpec {
    /// The release as a list of steps, in the order that works.
    pub fn steps(&self) -> impl Iterator<Item = Step> + use<> {
        let (params, attributes) = (self.params.len(), self.attributes.len());
        [Step::CutInputs, Step::Disconnect]
            .into_iter()
            .chain(
                (0..params).flat_map(|i| [Step::CancelParam(i), Step::DefaultParam(i), Step::RateParam(i)]),
            )
            .chain((0..attributes).map(Step::Attribute))
            .chain([Step::Interpretation, Step::ChannelCount, Step::CountMode])
    }

    /// The index of the parameter `name`. O(parameters), no call into JavaScript.
    #[must_use]
    pub fn param_index(&self, name: &str) -> Option<usize> {
        self.params.iter().position(|param| param.name == name)
    }

    /// For how many seconds a used node must be pulled with zeros, if at all. `attribute_reset_works` is what the
    /// probe of this browser said, and `key_seconds` what the node's key asks for.
    #[must_use]
    pub fn flush_seconds(&self, attribute_reset_works: bool, key_seconds: f64) -> Option<f64> {
        match self.state {
            StateClass::Stateless => None,
            StateClass::AttributeReset { else_flush } => (!attribute_reset_works).then_some(else_flush),
            StateClass::Flush => Some(key_seconds),
        }
    }
}

/// A node that steps can be done to: one in a browser, or a model of one in a test.
pub trait NodePort {
    /// What a step can fail with.
    type Error;

    /// Does one step.
    ///
    /// # Errors
    ///
    /// Whatever the node throws.
    fn apply(&mut self, step: Step) -> Result<(), Self::Error>;
}

/// A step that failed. The node is not fit for use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failed<E> {
    /// The step.
    pub step: Step,
    /// What it failed with.
    pub error: E,
}

/// Does the steps in order, up to the first that fails.
///
/// # Errors
///
/// The first step that failed; those after it were not done, and the node must be discarded.
pub fn run<P: NodePort>(steps: impl IntoIterator<Item = Step>, port: &mut P) -> Result<(), Failed<P::Error>> {
    for step in steps {
        port.apply(step).map_err(|error| Failed { step, error })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{string::String, vec, vec::Vec};

    /// A parameter as browsers have it: what was measured in Chromium and Firefox, not what one would wish.
    #[derive(Clone, PartialEq, Debug)]
    struct ModelParam {
        value: f32,
        rate: AutomationRate,
        pending_events: u32,
        curve_in_flight: bool,
        /// What Chromium goes back to when events are cancelled after the value was set.
        before_events: f32,
        inputs: u32,
    }

    #[derive(Clone, PartialEq, Debug)]
    struct ModelNode {
        spec: NodeSpec,
        params: Vec<ModelParam>,
        inputs: u32,
        outputs: u32,
        kind: String,
        filter_memory: f32,
        interpretation: Interpretation,
        channel_count: u32,
        count_mode: CountMode,
        /// A curve that cannot be cancelled, as in Firefox.
        stubborn_curve: bool,
    }

    impl ModelNode {
        fn fresh(spec: NodeSpec) -> Self {
            let params = spec.params.iter().map(|p| ModelParam {
                value: p.default,
                rate: p.rate,
                pending_events: 0,
                curve_in_flight: false,
                before_events: p.default,
                inputs: 0,
            });
            Self {
                spec,
                params: params.collect(),
                inputs: 0,
                outputs: 0,
                kind: spec.attributes.last().map_or(String::new(), |a| a.value.into()),
                filter_memory: 0.0,
                interpretation: spec.interpretation,
                channel_count: spec.channel_count,
                count_mode: spec.count_mode,
                stubborn_curve: false,
            }
        }

        fn used(spec: NodeSpec) -> Self {
            let mut node = Self::fresh(spec);
            for param in &mut node.params {
                *param = ModelParam {
                    value: 0.25,
                    rate: AutomationRate::Quantum,
                    pending_events: 2,
                    curve_in_flight: true,
                    before_events: 0.75,
                    inputs: 1,
                };
            }
            node.inputs = 2;
            node.outputs = 1;
            if !spec.attributes.is_empty() {
                node.filter_memory = 6.2;
            }
            node.interpretation = Interpretation::Discrete;
            node.channel_count = 1;
            node.count_mode = CountMode::Explicit;
            node
        }
    }

    impl NodePort for ModelNode {
        type Error = &'static str;

        fn apply(&mut self, step: Step) -> Result<(), &'static str> {
            match step {
                Step::CutInputs => {
                    self.inputs = 0;
                    self.params.iter_mut().for_each(|param| param.inputs = 0);
                }
                Step::Disconnect => self.outputs = 0,
                Step::CancelParam(i) => {
                    let stubborn = self.stubborn_curve;
                    let param = &mut self.params[i];
                    if param.pending_events > 0 {
                        param.value = param.before_events;
                    }
                    param.pending_events = 0;
                    param.curve_in_flight &= stubborn;
                }
                Step::DefaultParam(i) => {
                    let default = self.spec.params[i].default;
                    let param = &mut self.params[i];
                    if param.curve_in_flight {
                        return Err("NotSupportedError");
                    }
                    param.value = default;
                    if param.pending_events == 0 {
                        param.before_events = default;
                    }
                }
                Step::RateParam(i) => self.params[i].rate = self.spec.params[i].rate,
                Step::Attribute(i) => {
                    let write = self.spec.attributes[i];
                    if self.kind != write.value {
                        self.filter_memory = 0.0;
                    }
                    self.kind = write.value.into();
                }
                Step::Interpretation => self.interpretation = self.spec.interpretation,
                Step::ChannelCount => self.channel_count = self.spec.channel_count,
                Step::CountMode => self.count_mode = self.spec.count_mode,
            }
            Ok(())
        }
    }

    const ALL: [NodeSpec; 4] = [GAIN, BIQUAD, DELAY, STEREO_PANNER];

    // A release that leaves something behind.
    #[test]
    fn a_recycled_node_equals_a_fresh_one() {
        for spec in ALL {
            let mut node = ModelNode::used(spec);
            assert_eq!(run(spec.steps(), &mut node), Ok(()));
            assert_eq!(node, ModelNode::fresh(spec));
        }
    }

    // A step that does nothing would never be missed; one that was dropped by mistake would not either.
    #[test]
    fn every_step_is_needed() {
        for spec in ALL {
            for (left_out, step) in spec.steps().enumerate() {
                // A node may have the type that is written back, or the one that is written on the way.
                let clean = ["lowpass", "highpass"].iter().all(|kind| {
                    let mut node = ModelNode::used(spec);
                    if !spec.attributes.is_empty() {
                        node.kind = (*kind).into();
                    }
                    let rest = spec.steps().enumerate().filter(|(i, _)| *i != left_out).map(|(_, step)| step);
                    run(rest, &mut node).is_ok() && node == ModelNode::fresh(spec)
                });
                assert!(!clean, "{}: without {step:?} nothing is left behind", spec.interface);
            }
        }
    }

    // Default first, cancel second: Chromium then restores the old value.
    #[test]
    fn cancelling_comes_before_the_default() {
        let mut node = ModelNode::used(GAIN);
        node.params[0].curve_in_flight = false;
        let swapped = GAIN.steps().map(|step| match step {
            Step::CancelParam(i) => Step::DefaultParam(i),
            Step::DefaultParam(i) => Step::CancelParam(i),
            other => other,
        });
        assert_eq!(run(swapped, &mut node), Ok(()));
        assert_ne!(node, ModelNode::fresh(GAIN));
    }

    // An exception half-way must not be swallowed: the node would go back to the idle set with the rest undone.
    #[test]
    fn the_first_exception_ends_the_release() {
        let mut node = ModelNode::used(STEREO_PANNER);
        node.stubborn_curve = true;
        let failed = Failed { step: Step::DefaultParam(0), error: "NotSupportedError" };
        assert_eq!(run(STEREO_PANNER.steps(), &mut node), Err(failed));
        assert_eq!(node.count_mode, CountMode::Explicit, "nothing after it was done");
    }

    // A filter that is taken for clean where the toggle does not work rings into the next voice.
    #[test]
    fn what_holds_a_signal_is_flushed() {
        assert_eq!(GAIN.flush_seconds(false, 9.0), None);
        assert_eq!(STEREO_PANNER.flush_seconds(false, 9.0), None);
        assert_eq!(BIQUAD.flush_seconds(true, 9.0), None);
        assert_eq!(BIQUAD.flush_seconds(false, 9.0), Some(0.2));
        assert_eq!(DELAY.flush_seconds(true, 5.0), Some(5.0));
    }

    // A misspelt parameter must be an error, not a silent miss.
    #[test]
    fn parameters_are_found_by_name() {
        assert_eq!(BIQUAD.param_index("Q"), Some(2));
        assert_eq!(BIQUAD.param_index("q"), None);
        let names: Vec<_> = ALL.iter().flat_map(|s| s.params).map(|p| p.name).collect();
        assert_eq!(names, vec!["gain", "frequency", "detune", "Q", "gain", "delayTime", "pan"]);
    }
}
