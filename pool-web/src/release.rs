//! A node in the pool, and what a release does to it.
//!
//! From here to the public types nothing is generic over the node's type, so that the code is there once and not once
//! for each.

use crate::any_key::AnyKey;
use crate::bindings::{self, Plan};
use crate::context::PoolContext;
use crate::edges::NodeId;
use crate::error::{Exception, WebError};
use crate::pool_node::{NodeFacts, Param};
use crate::protocol::{Protocol, Question};
use crate::recipe::{
    AttributeValue, AttributeWrite, AutomationRate, CountMode, Failed, Interpretation, NodeSpec, ParamSpec,
    StateClass, Step, Traces,
};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, OnceCell, RefCell};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use pool_core::Verdict;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AudioNode, AudioParam, BaseAudioContext, Event};

/// Whether leases are handed out that keep their node to themselves. The npm package hands out the nodes, and this is never
/// written there: so the optimiser knows that it is false, and a page does not download what is for the others.
static BY_LEASE: AtomicBool = AtomicBool::new(false);

/// To be called before a lease is handed out whose node need not be in anybody's hand.
pub(crate) fn expect_leases() {
    // No edge: pages have one thread, and a pool that learns of it late undoes too much at worst.
    BY_LEASE.store(true, Relaxed);
}

fn are_leases_expected() -> bool {
    BY_LEASE.load(Relaxed)
}

/// Where a node is on its way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing is connected to it.
    Idle,
    /// In the user's hands.
    Leased,
    /// On the flush bus.
    Flushing,
    /// Reset; the browser has to render before it may be used.
    Resting,
    /// The user's for good.
    Detached,
}

/// A listener of the user's, removed at the release.
pub(crate) struct Listener {
    kind: JsValue,
    function: JsValue,
    /// Of Rust's, if it is.
    _closure: Option<Closure<dyn FnMut(Event)>>,
}

/// A node in the pool, of whatever type.
pub(crate) struct Pooled {
    pub(crate) node: AudioNode,
    pub(crate) spec: &'static NodeSpec,
    pub(crate) params: Vec<Param>,
    /// The same, as an array that lives in JavaScript.
    js_params: JsValue,
    pub(crate) id: NodeId,
    pub(crate) phase: Phase,
    pub(crate) bytes: usize,
    pub(crate) flush_seconds: f64,
    /// How a worklet node is asked to forget.
    pub(crate) question: Option<Question>,
    /// What may have been done to it since it was like a fresh one, where somebody keeps book.
    traces: Cell<Traces>,
    /// Empty for all nodes but the few that are listened to.
    listeners: RefCell<Vec<Listener>>,
    /// How it is released: looked up at the first release.
    recipe: OnceCell<Rc<Recipe>>,
    pub(crate) context: PoolContext,
}

impl Pooled {
    /// Adds a listener that the release will remove. 2 calls into JavaScript.
    pub(crate) fn listen(
        &self,
        kind: &str,
        function: JsValue,
        closure: Option<Closure<dyn FnMut(Event)>>,
    ) -> Result<(), JsValue> {
        self.node.add_event_listener_with_callback(kind, function.unchecked_ref())?;
        let listener = Listener { kind: JsValue::from_str(kind), function, _closure: closure };
        self.listeners.borrow_mut().push(listener);
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
            bindings::remove_listener(&self.node, &listener.kind, &listener.function)
        })
    }

    /// The parameter `name`, and its index. O(parameters), no call into JavaScript.
    pub(crate) fn param(&self, name: &str) -> Option<(usize, &AudioParam)> {
        let index = self.params.iter().position(|param| param.name == name)?;
        Some((index, &self.params[index].param))
    }

    /// Notes what is about to be done to it.
    pub(crate) fn mark(&self, traces: Traces) {
        self.traces.set(self.traces.get().and(traces));
    }

    fn traces(&self) -> Traces {
        if are_leases_expected() { self.traces.get() } else { Traces::NODE }
    }

    /// Whether nothing can have gone into it. A worklet may remember what it has said itself.
    pub(crate) fn is_unheard(&self) -> bool {
        !self.traces().meets(Traces::NODE.and(Traces::SIGNAL)) && !self.is_worklet()
    }

    pub(crate) fn is_worklet(&self) -> bool {
        self.spec.state == StateClass::Protocol
    }

    fn cut_off(&self) -> Result<(), JsValue> {
        let (listeners, inputs) = (self.remove_listeners(), self.context.cut_inputs(self.id));
        self.context.forget_outputs(self.id);
        listeners.and(inputs).and(self.node.disconnect())
    }
}

/// A node that is destroyed while connected is cut off, or what feeds it would keep it alive, and sounding.
impl Drop for Pooled {
    fn drop(&mut self) {
        match self.phase {
            Phase::Detached => return self.context.detach_node(self.id),
            // It is thrown away because something failed, or is about to be: there is nobody left to tell.
            Phase::Leased => drop(self.cut_off()),
            Phase::Flushing => drop(self.context.unplug(&self.node, self.is_worklet())),
            Phase::Idle | Phase::Resting => {}
        }
        self.context.forget_node(self.id);
    }
}

pub(crate) type Make = Box<dyn Fn(&BaseAudioContext, &AnyKey) -> Result<AudioNode, JsValue>>;
pub(crate) type Look = fn(&AudioNode, &AnyKey, f32) -> Result<NodeFacts, WebError>;
pub(crate) type Estimate = fn(&AnyKey, f32) -> usize;
pub(crate) type UserReset = Option<Box<dyn Fn(&AudioNode) -> Result<Verdict, JsValue>>>;

pub(crate) struct NodeFactory {
    pub(crate) context: PoolContext,
    pub(crate) make: Make,
    pub(crate) look: Look,
    pub(crate) bytes: Estimate,
    /// Seconds of zeros that the user asked for, in place of what the type knows.
    pub(crate) settle: Option<f64>,
    pub(crate) protocol: Option<Rc<Protocol>>,
}

impl NodeFactory {
    pub(crate) fn create(&self, key: &AnyKey) -> Result<Pooled, WebError> {
        let context = &self.context;
        let node = (self.make)(context.as_raw(), key).map_err(Exception::of("node factory"))?;
        let facts = (self.look)(&node, key, context.sample_rate())?;
        let mut flush_seconds = self.settle.unwrap_or(facts.flush_seconds);
        let (params, question) = match bindings::worklet_params(&node) {
            Some(entries) => {
                let question = self.protocol.as_ref().map(|protocol| protocol.attach(&node)).transpose()?;
                if question.is_none() {
                    // Nobody knows what it remembers: never silent.
                    flush_seconds = f64::INFINITY;
                }
                (worklet_params(&entries), question)
            }
            None => (params_of(&node, facts.spec.params), None),
        };
        context.want_probe_at_once(facts.spec);
        Ok(Pooled {
            node,
            spec: facts.spec,
            js_params: params.iter().map(|param| &param.param).collect::<js_sys::Array>().into(),
            params,
            id: context.add_node(),
            phase: Phase::Idle,
            bytes: facts.bytes,
            flush_seconds,
            question,
            // The factory has had it in hand.
            traces: Cell::new(Traces::NODE),
            listeners: RefCell::default(),
            recipe: OnceCell::new(),
            context: context.clone(),
        })
    }

    pub(crate) fn estimate(&self, key: &AnyKey) -> usize {
        (self.bytes)(key, self.context.sample_rate())
    }
}

fn params_of(node: &AudioNode, specs: &'static [ParamSpec]) -> Vec<Param> {
    let mut params = Vec::new();
    for &ParamSpec { name, default, rate } in specs {
        let param = bindings::member(node, name).unchecked_into();
        params.push(Param { name: Cow::Borrowed(name), param, default, rate });
    }
    params
}

/// A worklet node's parameters are its processor's, with the defaults declared there.
fn worklet_params(entries: &js_sys::Array) -> Vec<Param> {
    let mut params = Vec::new();
    for entry in entries.iter() {
        let param: AudioParam = bindings::member(&entry, "1").unchecked_into();
        params.push(Param {
            name: Cow::Owned(bindings::text(&entry, "0").unwrap_or_default()),
            default: param.default_value(),
            rate: if bindings::is_k_rate(&param) { AutomationRate::Quantum } else { AutomationRate::Sample },
            param,
        });
    }
    params
}

/// A release, prepared: the steps that are done here, and those that JavaScript does in one call.
struct Prepared {
    here: Vec<Step>,
    there: Vec<Step>,
    plan: Plan,
}

impl Prepared {
    #[inline(never)]
    fn new(pooled: &Pooled, steps: &[Step]) -> Self {
        let Pooled { spec, params, .. } = pooled;
        let mut prepared = Self { here: Vec::new(), there: Vec::new(), plan: Plan::new() };
        let plan = &mut prepared.plan;
        for &step in steps {
            plan.undoes = if are_leases_expected() { step.undoes(spec) } else { Traces::ALL };
            match step {
                Step::RemoveListeners | Step::CutInputs => {
                    prepared.here.push(step);
                    continue;
                }
                Step::Disconnect => plan.disconnect(),
                Step::CancelParam(i) => plan.cancel(i),
                Step::DefaultParam(i) => plan.set_param(i, params[i].default),
                Step::RateParam(i) => plan.set_rate(i, params[i].rate),
                Step::Attribute(i) => {
                    let AttributeWrite { name, value } = spec.attributes[i];
                    // Written away and back it differs both times, unless the user has left it at what it is written away to.
                    plan.write(name, value, spec.is_toggled(i));
                }
                // A step is there only if the spec says what to write.
                Step::Interpretation => {
                    let discrete = spec.interpretation == Some(Interpretation::Discrete);
                    let name = if discrete { "discrete" } else { "speakers" };
                    plan.write("channelInterpretation", AttributeValue::Text(name), false);
                }
                Step::ChannelCount => {
                    let count = f64::from(spec.channel_count.unwrap_or(2));
                    plan.write("channelCount", AttributeValue::Number(count), false);
                }
                Step::CountMode => {
                    let name = match spec.count_mode {
                        Some(CountMode::ClampedMax) => "clamped-max",
                        Some(CountMode::Explicit) => "explicit",
                        _ => "max",
                    };
                    plan.write("channelCountMode", AttributeValue::Text(name), false);
                }
            }
            prepared.there.push(step);
        }
        prepared
    }

    /// One call into JavaScript, and one for each listener, each input, and each output of a node that nobody had in hand.
    fn perform(&self, pooled: &Pooled) -> Result<(), Failed<JsValue>> {
        let Pooled { node, js_params, id, context, .. } = pooled;
        for &step in &self.here {
            let done = match step {
                Step::RemoveListeners => pooled.remove_listeners(),
                _ => context.cut_inputs(*id),
            };
            done.map_err(|error| Failed { step, error })?;
        }
        let traces = pooled.traces();
        if self.there.first() == Some(&Step::Disconnect) {
            if traces.meets(Traces::NODE) {
                context.forget_outputs(*id);
            } else {
                // All that it feeds is known. Chromium keeps a table of what a node feeds, which `disconnect()` throws away and
                // the next connection makes anew: garbage in each round, and none if connections are cut one by one.
                context.cut_outputs(*id).map_err(|error| Failed { step: Step::Disconnect, error })?;
            }
        }
        if traces == Traces::NONE {
            return Ok(());
        }
        bindings::release(node, js_params, &self.plan, traces).map_err(|(done, error)| {
            let step = self.there.get(done).copied().unwrap_or(Step::Disconnect);
            Failed { step, error }
        })
    }
}

/// How nodes of one kind are released.
struct Recipe {
    spec: &'static NodeSpec,
    /// The parameters' defaults and rates: of worklet nodes each kind has its own.
    params: Vec<(f32, AutomationRate)>,
    prepared: Prepared,
}

pub(crate) struct NodeResetter {
    /// Of each kind of node that this pool has met: mostly one.
    recipes: RefCell<Vec<Rc<Recipe>>>,
    user: UserReset,
    /// For tests, which show that no step can be spared.
    left_out: Option<Step>,
    /// Why the latest node was discarded.
    failure: Cell<Option<Exception>>,
}

impl NodeResetter {
    pub(crate) fn new(user: UserReset, left_out: Option<Step>) -> Self {
        Self { recipes: RefCell::default(), user, left_out, failure: Cell::default() }
    }

    pub(crate) fn take_failure(&self) -> Option<Exception> {
        self.failure.take()
    }

    pub(crate) fn failed(&self, exception: Exception) {
        self.failure.set(Some(exception));
    }

    /// The whole release: the recipe, then what the user has to add.
    pub(crate) fn recycle(&self, pooled: &Pooled) -> Verdict {
        let recipe = pooled.recipe.get_or_init(|| self.look_up(pooled));
        let verdict = match recipe.prepared.perform(pooled) {
            Ok(()) => Verdict::Keep,
            Err(Failed { step, error }) => self.give_up(step, pooled, &error),
        };
        match &self.user {
            Some(reset) if verdict == Verdict::Keep => reset(&pooled.node).unwrap_or_else(|thrown| {
                self.failed(Exception::from_js("resetter", &thrown));
                Verdict::Discard
            }),
            _ => verdict,
        }
    }

    /// Off the flush bus: the rest was done before it was put there.
    fn unplug(&self, pooled: &Pooled) -> Verdict {
        // What a step does that is left out this would do for it.
        if self.left_out.is_some_and(|step| matches!(step, Step::CutInputs | Step::Disconnect)) {
            return Verdict::Keep;
        }
        match pooled.context.unplug(&pooled.node, pooled.is_worklet()) {
            Ok(()) => Verdict::Keep,
            Err(error) => self.give_up(Step::Disconnect, pooled, &error),
        }
    }

    #[inline(never)]
    fn look_up(&self, pooled: &Pooled) -> Rc<Recipe> {
        let params: Vec<_> = pooled.params.iter().map(|param| (param.default, param.rate)).collect();
        let same = |recipe: &&Rc<Recipe>| core::ptr::eq(recipe.spec, pooled.spec) && recipe.params == params;
        if let Some(known) = self.recipes.borrow().iter().find(same) {
            return Rc::clone(known);
        }
        let mut steps = pooled.spec.list(pooled.params.len());
        steps.retain(|step| Some(*step) != self.left_out);
        let prepared = Prepared::new(pooled, &steps);
        let recipe = Rc::new(Recipe { spec: pooled.spec, params, prepared });
        self.recipes.borrow_mut().push(Rc::clone(&recipe));
        recipe
    }

    #[inline(never)]
    fn give_up(&self, failed: Step, pooled: &Pooled, error: &JsValue) -> Verdict {
        let operation = match failed {
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
        self.failed(Exception::from_js(operation, error));
        Verdict::Discard
    }
}

/// The pool's resetter: shared with the pool, which asks for failures.
pub(crate) struct Recycle(pub(crate) Rc<NodeResetter>);

impl Recycle {
    pub(crate) fn reset(&self, pooled: &mut Pooled) -> Verdict {
        let verdict = match pooled.phase {
            Phase::Flushing => self.0.unplug(pooled),
            Phase::Resting => Verdict::Keep,
            _ => self.0.recycle(pooled),
        };
        if verdict == Verdict::Keep {
            pooled.phase = Phase::Idle;
            pooled.traces.set(Traces::NONE);
        }
        verdict
    }
}
