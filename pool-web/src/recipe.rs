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
//! Of a node that was only used through its lease it is known what was done to it: [`Traces`], and only the steps that undo
//! one of them are done.
//!
//! The first exception ends it, and the node must be thrown away. The list is plain data, so that it is tested on
//! the host against a model of a node, with each step left out in turn, and in a browser against a fresh node.

use alloc::vec;
use alloc::vec::Vec;

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

/// What is written to an attribute.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum AttributeValue {
    /// A string, such as `"lowpass"`.
    Text(&'static str),
    /// A number.
    Number(f64),
    /// A boolean.
    Flag(bool),
    /// `null`
    Null,
}

/// One attribute to write: its name in JavaScript, and the value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AttributeWrite {
    /// The attribute.
    pub name: &'static str,
    /// What is written.
    pub value: AttributeValue,
}

/// An experiment that finds out, in the browser at hand, whether writing attributes empties a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Probe {
    /// `type` of a `BiquadFilterNode`, away and back.
    Biquad,
    /// `oversample` of a `WaveShaperNode`, away and back.
    WaveShaper,
    /// `panningModel` of a `PannerNode`, away and back.
    Panner,
}

impl Probe {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Biquad, Self::WaveShaper, Self::Panner];
}

/// What is done with a node where writing its attributes does not empty it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Otherwise {
    /// It is pulled with zeros for so many seconds, after which nothing is left.
    Flush(f64),
    /// Nothing helps: it is thrown away.
    Discard,
    /// Nothing helps if this attribute has this value at the release: then it is thrown away. Else it holds nothing.
    DiscardIf(&'static str, &'static str),
}

/// What it takes to rid a node of the signal that went through it, once all its settings are reset.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum StateClass {
    /// Nothing: it holds no signal. Idle at once.
    Stateless,
    /// The attribute writes of its [`NodeSpec`] empty it, in every browser that was measured; but the browser has to render a few
    /// quanta, with nothing connected to the node, before it can be used again.
    Rest,
    /// The attribute writes of its [`NodeSpec`] empty it at once, in browsers where that works, which a probe
    /// finds out. Elsewhere, and until the probe has answered, something else is done.
    AttributeReset {
        /// The experiment.
        probe: Probe,
        /// What is done where it fails.
        otherwise: Otherwise,
    },
    /// It must be pulled with zeros for as long as its key says.
    Flush,
    /// Only its own code knows: an `AudioWorkletNode` is told to forget by a message, and is pulled with zeros until
    /// it has answered.
    Protocol,
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
    /// `channelInterpretation` when fresh; `None` if it cannot be changed.
    pub interpretation: Option<Interpretation>,
    /// `channelCount` when fresh; `None` if it cannot be changed.
    pub channel_count: Option<u32>,
    /// `channelCountMode` when fresh; `None` if it cannot be changed.
    pub count_mode: Option<CountMode>,
    /// What signal it holds.
    pub state: StateClass,
}

/// What may have been done to a node since it was like a fresh one, so far as it takes steps to undo: a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traces(u32);

impl Traces {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Somebody had the node itself in hand: anything.
    pub const NODE: Self = Self(1);
    /// A signal may have gone into it.
    pub const SIGNAL: Self = Self(2);
    /// An attribute was written.
    pub const ATTRIBUTE: Self = Self(4);

    /// Each of them.
    pub const ALL: Self = Self(u32::MAX);

    /// Parameters that have bits of their own; of a node with more, the rest count as [`NODE`](Self::NODE).
    const PARAMS: usize = 14;

    /// The parameter with this index was set or automated.
    #[must_use]
    pub const fn value(index: usize) -> Self {
        if index < Self::PARAMS { Self(8 << (2 * index)) } else { Self::NODE }
    }

    /// Somebody had the parameter with this index in hand: its value, what is scheduled, and its rate.
    #[must_use]
    pub const fn param(index: usize) -> Self {
        Self(Self::value(index).0 * if index < Self::PARAMS { 3 } else { 1 })
    }

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether one of them is in both.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    #[cfg(feature = "web-sys")]
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }
}

/// Where a node goes once the steps of its release are done.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Next {
    /// To the idle set.
    Idle,
    /// To the flush bus, for so many seconds.
    Quarantine(f64),
    /// To the quarantine without the bus, for no longer than its margin.
    Rest,
    /// Away.
    Discard,
}

/// One step of a release. Indices are into the [`NodeSpec`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Remove every recorded event listener.
    RemoveListeners,
    /// Cut every recorded connection into the node and its parameters.
    CutInputs,
    /// `disconnect()`: cut every connection out of the node; one by one where all of them are recorded.
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

impl Step {
    /// After which of these it must be done to a node of this type.
    #[must_use]
    pub fn undoes(self, spec: &NodeSpec) -> Traces {
        let also = match self {
            // Both look at what was recorded.
            Self::RemoveListeners | Self::CutInputs => return Traces::ALL,
            Self::CancelParam(i) | Self::DefaultParam(i) => Traces::param(i),
            // The bit that setting the value does not set.
            Self::RateParam(i) => Traces(Traces::param(i).0 & !Traces::value(i).0),
            Self::Attribute(i) if spec.is_toggled(i) => Traces::ATTRIBUTE.and(Traces::SIGNAL),
            Self::Attribute(_) => Traces::ATTRIBUTE,
            Self::Disconnect | Self::Interpretation | Self::ChannelCount | Self::CountMode => Traces::NONE,
        };
        Traces::NODE.and(also)
    }
}

impl NodeSpec {
    /// Whether the attribute is written away and back, which empties the node.
    pub(crate) fn is_toggled(&self, index: usize) -> bool {
        let name = self.attributes[index].name;
        self.attributes.iter().filter(|other| other.name == name).count() > 1
    }

    /// The release as a list of steps, in the order that works.
    pub fn steps(&self) -> impl Iterator<Item = Step> + use<> {
        self.steps_with(self.params.len())
    }

    /// As [`steps`](Self::steps), of a node with so many parameters: those of a worklet are its own.
    pub fn steps_with(&self, params: usize) -> impl Iterator<Item = Step> + use<> {
        self.list(params).into_iter()
    }

    // Pushed one by one: a chain of iterators is several times the code, which a page downloads.
    pub(crate) fn list(&self, params: usize) -> Vec<Step> {
        let mut steps = vec![Step::RemoveListeners, Step::CutInputs, Step::Disconnect];
        for i in 0..params {
            steps.extend([Step::CancelParam(i), Step::DefaultParam(i), Step::RateParam(i)]);
        }
        for i in 0..self.attributes.len() {
            steps.push(Step::Attribute(i));
        }
        if self.interpretation.is_some() {
            steps.push(Step::Interpretation);
        }
        if self.channel_count.is_some() {
            steps.push(Step::ChannelCount);
        }
        if self.count_mode.is_some() {
            steps.push(Step::CountMode);
        }
        steps
    }

    /// Where a used node goes. `works` is what a probe of this browser has answered, `holds` whether an attribute of the
    /// node has a value, and `key_seconds` how long the node's key asks for zeros; more than [`LONGEST_FLUSH`] is not
    /// worth the wait.
    #[must_use]
    pub fn next(
        &self,
        works: impl Fn(Probe) -> bool,
        holds: impl Fn(&'static str, &'static str) -> bool,
        key_seconds: f64,
    ) -> Next {
        let seconds = match self.state {
            StateClass::Stateless => return Next::Idle,
            StateClass::Rest => return Next::Rest,
            StateClass::AttributeReset { probe, .. } if works(probe) => return Next::Idle,
            StateClass::AttributeReset { otherwise: Otherwise::Discard, .. } => return Next::Discard,
            StateClass::AttributeReset { otherwise: Otherwise::DiscardIf(name, value), .. } => {
                return if holds(name, value) { Next::Discard } else { Next::Idle };
            }
            StateClass::AttributeReset { otherwise: Otherwise::Flush(seconds), .. } => seconds,
            StateClass::Flush | StateClass::Protocol => key_seconds,
        };
        if seconds <= LONGEST_FLUSH { Next::Quarantine(seconds) } else { Next::Discard }
    }
}

/// Seconds of zeros beyond which a node is thrown away instead. The longest delay line passes; a filter that rings for
/// ever, or a time that is no number, does not.
pub const LONGEST_FLUSH: f64 = 180.0;

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
    use crate::node_types::{ANALYSER, BIQUAD, DELAY, GAIN, PANNER, STEREO_PANNER, WAVE_SHAPER, specs};
    use alloc::{collections::BTreeMap, vec::Vec};

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
        listeners: u32,
        attributes: BTreeMap<&'static str, AttributeValue>,
        /// What went through it, for types that a change of an attribute empties: one for each attribute.
        memory: BTreeMap<&'static str, u32>,
        interpretation: Interpretation,
        channel_count: u32,
        count_mode: CountMode,
        /// A curve that cannot be cancelled, as in Firefox.
        stubborn_curve: bool,
    }

    /// Attributes that are written twice are there to be changed: the change empties the node.
    fn toggled(spec: &NodeSpec) -> impl Iterator<Item = &'static str> {
        let attributes = spec.attributes;
        attributes.iter().enumerate().filter_map(move |(i, a)| {
            attributes[..i].iter().any(|earlier| earlier.name == a.name).then_some(a.name)
        })
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
                listeners: 0,
                // The last write of each is what it is when fresh.
                attributes: spec.attributes.iter().map(|a| (a.name, a.value)).collect(),
                memory: toggled(&spec).map(|name| (name, 0)).collect(),
                interpretation: spec.interpretation.unwrap_or(Interpretation::Discrete),
                channel_count: spec.channel_count.unwrap_or(6),
                count_mode: spec.count_mode.unwrap_or(CountMode::Explicit),
                stubborn_curve: false,
            }
        }

        /// Used in every way; the attributes are `odd` values, or those that a release writes on the way.
        fn used(spec: NodeSpec, odd: bool) -> Self {
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
                if spec.interface == "PannerNode" {
                    param.value = 0.5;
                }
            }
            node.inputs = 2;
            node.outputs = 1;
            node.listeners = 1;
            node.memory.values_mut().for_each(|memory| *memory = 7);
            for write in spec.attributes {
                let fresh = node.attributes[write.name];
                if write.value != fresh {
                    // Either as it is when fresh, or as it is on the way.
                    node.attributes.insert(write.name, if odd { write.value } else { fresh });
                } else if !spec.attributes.iter().any(|other| other.name == write.name && other != write) {
                    node.attributes.insert(write.name, AttributeValue::Text("odd"));
                }
            }
            if spec.interpretation.is_some() {
                node.interpretation = match spec.interpretation {
                    Some(Interpretation::Discrete) => Interpretation::Speakers,
                    _ => Interpretation::Discrete,
                };
            }
            if spec.channel_count.is_some() {
                node.channel_count = 1;
            }
            if spec.count_mode.is_some() {
                node.count_mode = CountMode::Explicit;
            }
            node
        }
    }

    impl NodePort for ModelNode {
        type Error = &'static str;

        fn apply(&mut self, step: Step) -> Result<(), &'static str> {
            match step {
                Step::RemoveListeners => self.listeners = 0,
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
                    let before = self.attributes.insert(write.name, write.value);
                    if let Some(memory) = self.memory.get_mut(write.name)
                        && before != Some(write.value)
                    {
                        *memory = 0;
                    }
                }
                Step::Interpretation => self.interpretation = self.spec.interpretation.ok_or("fixed")?,
                Step::ChannelCount => self.channel_count = self.spec.channel_count.ok_or("fixed")?,
                Step::CountMode => self.count_mode = self.spec.count_mode.ok_or("fixed")?,
            }
            Ok(())
        }
    }

    // A release that leaves something behind.
    #[test]
    fn a_recycled_node_equals_a_fresh_one() {
        for spec in specs() {
            for odd in [false, true] {
                let mut node = ModelNode::used(*spec, odd);
                assert_eq!(run(spec.steps(), &mut node), Ok(()));
                assert_eq!(node, ModelNode::fresh(*spec));
            }
        }
    }

    // A step that does nothing would never be missed; one that was dropped by mistake would not either. The first write
    // of the analyser's minimum is no such step here: it is there for its maximum, which has to stay above it.
    #[test]
    fn every_step_is_needed() {
        let first_minimum = ANALYSER.attributes.iter().position(|a| a.name == "minDecibels");
        for spec in specs() {
            for (left_out, step) in spec.steps().enumerate() {
                if spec.interface == ANALYSER.interface && Some(step) == first_minimum.map(Step::Attribute) {
                    continue;
                }
                let clean = [false, true].iter().all(|&odd| {
                    let mut node = ModelNode::used(*spec, odd);
                    let rest = spec.steps().enumerate().filter(|(i, _)| *i != left_out).map(|(_, step)| step);
                    run(rest, &mut node).is_ok() && node == ModelNode::fresh(*spec)
                });
                // A fresh one of the types with a count mode of "explicit" looks like a used one.
                let same = spec.count_mode == Some(CountMode::Explicit) && step == Step::CountMode;
                assert!(!clean || same, "{}: without {step:?} nothing is left behind", spec.interface);
            }
        }
    }

    /// Used so that no more than these traces are left; what is recorded is cut in any case.
    fn traced(spec: NodeSpec, traces: Traces) -> ModelNode {
        let (mut node, used) = (ModelNode::fresh(spec), ModelNode::used(spec, true));
        if traces.meets(Traces::NODE) {
            return used;
        }
        if traces.meets(Traces::SIGNAL) {
            node.memory = used.memory;
        }
        if traces.meets(Traces::ATTRIBUTE) {
            node.attributes = used.attributes;
        }
        for (i, (param, used)) in node.params.iter_mut().zip(used.params).enumerate() {
            let rate = Step::RateParam(i).undoes(&spec);
            if traces.meets(Traces::value(i)) {
                *param = ModelParam { rate: param.rate, ..used.clone() };
            }
            if traces.meets(rate) {
                param.rate = used.rate;
            }
            param.inputs = 0;
        }
        node
    }

    fn all_traces(spec: &NodeSpec) -> Vec<Traces> {
        let of_params = (0..spec.params.len()).flat_map(|i| [Traces::value(i), Traces::param(i)]);
        [Traces::NODE, Traces::SIGNAL, Traces::ATTRIBUTE].into_iter().chain(of_params).collect()
    }

    // A step that is left out because nobody looks closely enough at what was done to the node.
    #[test]
    fn what_was_done_is_undone_and_what_was_not_is_not() {
        for spec in specs() {
            let all = all_traces(spec);
            for (i, &one) in all.iter().enumerate() {
                for &two in &all[i..] {
                    let traces = one.and(two);
                    let mut node = traced(*spec, traces);
                    let steps: Vec<_> = spec.steps().filter(|step| step.undoes(spec).meets(traces)).collect();
                    assert_eq!(run(steps.iter().copied(), &mut node), Ok(()));
                    assert_eq!(node, ModelNode::fresh(*spec), "{}: {traces:?} by {steps:?}", spec.interface);
                }
            }
            let steps = spec.steps().filter(|step| step.undoes(spec).meets(Traces::NONE));
            assert_eq!(steps.count(), 0, "recorded connections and listeners are looked for in any case");
        }
        let set = Traces::value(2);
        let needed: Vec<_> = BIQUAD.steps().filter(|step| step.undoes(&BIQUAD).meets(set)).collect();
        let always = [Step::RemoveListeners, Step::CutInputs];
        assert_eq!(needed, [&always[..], &[Step::CancelParam(2), Step::DefaultParam(2)]].concat());
    }

    // A worklet's fifteenth parameter shares its bit with nobody's.
    #[test]
    fn parameters_beyond_those_with_bits_count_as_the_whole_node() {
        let mut seen = Vec::new();
        for i in 0..Traces::PARAMS {
            assert!(!Traces::value(i).meets(Traces::NODE.and(Traces::SIGNAL).and(Traces::ATTRIBUTE)));
            assert!(Traces::param(i).meets(Traces::value(i)) && Traces::param(i) != Traces::value(i));
            assert!(seen.iter().all(|other| !Traces::param(i).meets(*other)), "parameter {i}");
            seen.push(Traces::param(i));
        }
        assert_eq!((Traces::value(14), Traces::param(99)), (Traces::NODE, Traces::NODE));
    }

    // Default first, cancel second: Chromium then restores the old value.
    #[test]
    fn cancelling_comes_before_the_default() {
        let mut node = ModelNode::used(GAIN, true);
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
        let mut node = ModelNode::used(STEREO_PANNER, true);
        node.stubborn_curve = true;
        let failed = Failed { step: Step::DefaultParam(0), error: "NotSupportedError" };
        assert_eq!(run(STEREO_PANNER.steps(), &mut node), Err(failed));
        assert_eq!(node.count_mode, CountMode::Explicit, "nothing after it was done");
    }

    // A filter that is taken for clean where the toggle does not work rings into the next voice, and a line that is
    // waited for without end is a leak.
    #[test]
    fn what_holds_a_signal_is_flushed_or_given_up() {
        let none = |_| false;
        let as_new = |_: &str, _: &str| false;
        let hrtf = |name: &str, value: &str| (name, value) == ("panningModel", "HRTF");
        assert_eq!(GAIN.next(none, as_new, 9.0), Next::Idle);
        assert_eq!(STEREO_PANNER.next(none, as_new, 9.0), Next::Idle);
        assert_eq!(BIQUAD.next(|probe| probe == Probe::Biquad, as_new, 9.0), Next::Idle);
        assert_eq!(BIQUAD.next(|probe| probe != Probe::Biquad, as_new, 9.0), Next::Quarantine(0.2));
        assert_eq!(WAVE_SHAPER.next(none, as_new, 9.0), Next::Discard);
        assert_eq!(WAVE_SHAPER.next(|probe| probe == Probe::WaveShaper, as_new, 9.0), Next::Idle);
        assert_eq!(PANNER.next(none, as_new, 9.0), Next::Idle);
        assert_eq!(PANNER.next(none, hrtf, 9.0), Next::Discard);
        assert_eq!(PANNER.next(|probe| probe == Probe::Panner, hrtf, 9.0), Next::Idle);
        assert_eq!(DELAY.next(|_| true, as_new, 5.0), Next::Quarantine(5.0));
        for never in [f64::INFINITY, f64::NAN, 181.0] {
            assert_eq!(DELAY.next(|_| true, as_new, never), Next::Discard);
        }
    }
}
