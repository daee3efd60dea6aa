//! A node in the pool, and what a release does to it.
//!
//! From here to the public types nothing is generic over the node's type, so that the code is there once and not once
//! for each.

use crate::bindings;
use crate::context::PoolContext;
use crate::edges::NodeId;
use crate::error::{Exception, WebError};
use crate::pool_node::{NodeFacts, Param};
use crate::protocol::{Protocol, Question};
use crate::recipe::{self, AttributeValue, AutomationRate, NodePort, NodeSpec, ParamSpec, Step};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use pool_core::{Factory, Resetter, Verdict};
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AudioNode, AudioParam, AudioWorkletNode, BaseAudioContext, Event};

/// Where a node is on its way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing is connected to it.
    Idle,
    /// In the user's hands.
    Leased,
    /// On the flush bus.
    Flushing,
}

/// A listener of the user's, removed at the release.
pub(crate) struct Listener {
    kind: JsValue,
    closure: Closure<dyn FnMut(Event)>,
}

/// A node in the pool, of whatever type.
pub(crate) struct Pooled {
    pub(crate) node: AudioNode,
    pub(crate) spec: &'static NodeSpec,
    pub(crate) params: Box<[Param]>,
    pub(crate) id: NodeId,
    pub(crate) phase: Phase,
    pub(crate) bytes: usize,
    pub(crate) flush_seconds: f64,
    /// How a worklet node is asked to forget.
    pub(crate) question: Option<Question>,
    /// Empty for all nodes but the few that are listened to.
    listeners: RefCell<Vec<Listener>>,
    pub(crate) context: PoolContext,
}

impl Pooled {
    /// Adds a listener that the release will remove. 2 calls into JavaScript.
    pub(crate) fn listen(&self, kind: &str, closure: Closure<dyn FnMut(Event)>) -> Result<(), JsValue> {
        self.node.add_event_listener_with_callback(kind, closure.as_ref().unchecked_ref())?;
        self.listeners.borrow_mut().push(Listener { kind: JsValue::from_str(kind), closure });
        Ok(())
    }

    pub(crate) fn listeners(&self) -> usize {
        self.listeners.borrow().len()
    }

    /// No call into JavaScript if there are none.
    fn remove_listeners(&self) -> Result<(), JsValue> {
        // Taken first: dropping a closure may run code of the user's.
        let listeners = self.listeners.take();
        listeners.iter().try_for_each(|listener| {
            bindings::remove_listener(&self.node, &listener.kind, listener.closure.as_ref())
        })
    }

    /// The index of the parameter `name`. O(parameters), no call into JavaScript.
    pub(crate) fn param(&self, name: &str) -> Option<&AudioParam> {
        self.params.iter().find(|param| param.name == name).map(|param| &param.param)
    }

    fn cut_off(&self) -> Result<(), JsValue> {
        let (listeners, inputs) = (self.remove_listeners(), self.context.cut_inputs(self.id));
        listeners.and(inputs).and(self.context.disconnect(self.id, &self.node))
    }
}

/// A node that is destroyed while connected is cut off, or what feeds it would keep it alive, and sounding.
impl Drop for Pooled {
    fn drop(&mut self) {
        if self.phase != Phase::Idle {
            // It is thrown away because something failed, or is about to be: there is nobody left to tell.
            let _ = self.cut_off();
        }
        self.context.forget_node(self.id);
    }
}

/// The steps of a release on a real node.
struct Port<'a> {
    pooled: &'a Pooled,
    /// Names and values of the attributes to write, as values that live in JavaScript.
    attributes: &'a [(JsValue, JsValue)],
}

impl NodePort for Port<'_> {
    type Error = JsValue;

    fn apply(&mut self, step: Step) -> Result<(), JsValue> {
        let Pooled { node, spec, params, id, context, .. } = self.pooled;
        match step {
            Step::RemoveListeners => self.pooled.remove_listeners(),
            Step::CutInputs => context.cut_inputs(*id),
            Step::Disconnect => context.disconnect(*id, node),
            Step::CancelParam(i) => bindings::cancel_param(&params[i].param, 0.0),
            Step::DefaultParam(i) => bindings::set_param(&params[i].param, params[i].default),
            Step::RateParam(i) => bindings::set_param_rate(&params[i].param, params[i].rate),
            Step::Attribute(i) => bindings::set_attribute(node, &self.attributes[i].0, &self.attributes[i].1),
            // A step is there only if the spec says what to write.
            Step::Interpretation => {
                spec.interpretation.map_or(Ok(()), |value| bindings::set_interpretation(node, value))
            }
            Step::ChannelCount => {
                spec.channel_count.map_or(Ok(()), |value| bindings::set_channel_count(node, value))
            }
            Step::CountMode => spec.count_mode.map_or(Ok(()), |value| bindings::set_count_mode(node, value)),
        }
    }
}

type Make<K> = Box<dyn Fn(&BaseAudioContext, &K) -> Result<AudioNode, JsValue>>;
type Look<K> = fn(&AudioNode, &K, f32) -> Result<NodeFacts, WebError>;
pub(crate) type UserReset = Option<Box<dyn Fn(&AudioNode) -> Result<Verdict, JsValue>>>;

pub(crate) struct NodeFactory<K> {
    pub(crate) context: PoolContext,
    pub(crate) make: Make<K>,
    pub(crate) look: Look<K>,
    pub(crate) bytes: fn(&K, f32) -> usize,
    /// Seconds of zeros that the user asked for, in place of what the type knows.
    pub(crate) settle: Option<f64>,
    pub(crate) protocol: Option<Rc<Protocol>>,
}

impl<K> Factory<K> for NodeFactory<K> {
    type Object = Pooled;
    type Error = WebError;

    fn create(&self, key: &K) -> Result<Pooled, WebError> {
        let context = &self.context;
        let node = (self.make)(context.as_raw(), key).map_err(Exception::of("node factory"))?;
        let facts = (self.look)(&node, key, context.sample_rate())?;
        let mut flush_seconds = self.settle.unwrap_or(facts.flush_seconds);
        let (params, question) = match node.dyn_ref::<AudioWorkletNode>() {
            Some(worklet) => {
                let question = self.protocol.as_ref().map(|protocol| protocol.attach(worklet)).transpose()?;
                if question.is_none() {
                    // Nobody knows what it remembers: never silent.
                    flush_seconds = f64::INFINITY;
                }
                (worklet_params(worklet)?, question)
            }
            None => (params_of(&node, facts.spec.params)?, None),
        };
        context.want_probe(facts.spec);
        Ok(Pooled {
            node,
            spec: facts.spec,
            params,
            id: context.add_node(),
            phase: Phase::Idle,
            bytes: facts.bytes,
            flush_seconds,
            question,
            listeners: RefCell::default(),
            context: context.clone(),
        })
    }

    fn estimate(&self, key: &K) -> usize {
        (self.bytes)(key, self.context.sample_rate())
    }

    fn measure(&self, pooled: &Pooled) -> usize {
        pooled.bytes
    }
}

fn params_of(node: &AudioNode, specs: &'static [ParamSpec]) -> Result<Box<[Param]>, WebError> {
    let of = |spec: &'static ParamSpec| {
        let param =
            js_sys::Reflect::get(node, &JsValue::from_str(spec.name)).map_err(Exception::of(spec.name))?;
        let name = Cow::Borrowed(spec.name);
        Ok(Param { name, param: param.unchecked_into(), default: spec.default, rate: spec.rate })
    };
    specs.iter().map(of).collect()
}

/// A worklet node's parameters are its processor's, with the defaults declared there.
fn worklet_params(node: &AudioWorkletNode) -> Result<Box<[Param]>, WebError> {
    let failed = Exception::of("AudioWorkletNode.parameters");
    let map = node.parameters().map_err(&failed)?;
    let mut params = Vec::new();
    for entry in js_sys::Array::from(&map).iter() {
        let entry: js_sys::Array = entry.unchecked_into();
        let param: AudioParam = entry.get(1).unchecked_into();
        params.push(Param {
            name: Cow::Owned(entry.get(0).as_string().unwrap_or_default()),
            default: param.default_value(),
            rate: if bindings::is_k_rate(&param) { AutomationRate::Quantum } else { AutomationRate::Sample },
            param,
        });
    }
    Ok(params.into_boxed_slice())
}

fn to_js(value: AttributeValue) -> JsValue {
    match value {
        AttributeValue::Text(text) => JsValue::from_str(text),
        AttributeValue::Number(number) => JsValue::from_f64(number),
        AttributeValue::Flag(flag) => JsValue::from_bool(flag),
        AttributeValue::Null => JsValue::NULL,
    }
}

/// Attributes of each spec that this pool has met, as values that live in JavaScript. Mostly one.
type Attributes = Vec<(&'static NodeSpec, Rc<[(JsValue, JsValue)]>)>;

pub(crate) struct NodeResetter {
    attributes: RefCell<Attributes>,
    user: UserReset,
    /// For tests, which show that no step can be spared.
    left_out: Option<Step>,
    /// Why the latest node was discarded.
    failure: Cell<Option<Exception>>,
}

impl NodeResetter {
    pub(crate) fn new(user: UserReset, left_out: Option<Step>) -> Self {
        Self { attributes: RefCell::default(), user, left_out, failure: Cell::default() }
    }

    pub(crate) fn take_failure(&self) -> Option<Exception> {
        self.failure.take()
    }

    pub(crate) fn failed(&self, exception: Exception) {
        self.failure.set(Some(exception));
    }

    /// The whole release: the recipe, then what the user has to add.
    pub(crate) fn recycle(&self, pooled: &Pooled) -> Verdict {
        let verdict = self.perform(pooled, pooled.spec.steps_with(pooled.params.len()));
        match &self.user {
            Some(reset) if verdict == Verdict::Keep => reset(&pooled.node).unwrap_or_else(|thrown| {
                self.failed(Exception::from_js("resetter", &thrown));
                Verdict::Discard
            }),
            _ => verdict,
        }
    }

    fn attributes_of(&self, spec: &'static NodeSpec) -> Rc<[(JsValue, JsValue)]> {
        let known = self.attributes.borrow();
        if let Some((_, attributes)) = known.iter().find(|(other, _)| core::ptr::eq(*other, spec)) {
            return Rc::clone(attributes);
        }
        drop(known);
        let writes = spec.attributes.iter();
        let made: Rc<[_]> = writes.map(|a| (JsValue::from_str(a.name), to_js(a.value))).collect();
        self.attributes.borrow_mut().push((spec, Rc::clone(&made)));
        made
    }

    fn perform(&self, pooled: &Pooled, steps: impl Iterator<Item = Step>) -> Verdict {
        let attributes = self.attributes_of(pooled.spec);
        let mut port = Port { pooled, attributes: &attributes };
        let steps = steps.filter(|step| Some(*step) != self.left_out);
        let Err(failed) = recipe::run(steps, &mut port) else { return Verdict::Keep };
        let operation = match failed.step {
            Step::RemoveListeners => "removeEventListener",
            Step::CutInputs | Step::Disconnect => "disconnect",
            Step::CancelParam(i) | Step::DefaultParam(i) | Step::RateParam(i) => {
                pooled.spec.params.get(i).map_or("AudioParam", |param| param.name)
            }
            Step::Attribute(i) => pooled.spec.attributes[i].name,
            Step::Interpretation => "channelInterpretation",
            Step::ChannelCount => "channelCount",
            Step::CountMode => "channelCountMode",
        };
        self.failed(Exception::from_js(operation, &failed.error));
        Verdict::Discard
    }
}

/// The pool's resetter: shared with the pool, which asks for failures.
pub(crate) struct Recycle(pub(crate) Rc<NodeResetter>);

impl Resetter<Pooled> for Recycle {
    fn reset(&self, pooled: &mut Pooled) -> Verdict {
        let verdict = match pooled.phase {
            // The rest was done before it was put on the bus.
            Phase::Flushing => self.0.perform(pooled, [Step::CutInputs, Step::Disconnect].into_iter()),
            _ => self.0.recycle(pooled),
        };
        if verdict == Verdict::Keep {
            pooled.phase = Phase::Idle;
        }
        verdict
    }
}
