//! What web-sys lacks, or binds without `catch`: each of these returns an exception as an error.
//!
//! Private: the types here are views of web-sys' types, reached by an unchecked cast that costs nothing.

use crate::error::{Exception, WebError};
use crate::recipe::{AttributeValue, AutomationRate, Traces};
use alloc::boxed::Box;
use alloc::string::String;
use js_sys::{Array, Float32Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AudioBuffer, AudioBufferSourceNode, AudioNode, AudioParam, AudioScheduledSourceNode, BaseAudioContext,
};

#[wasm_bindgen(module = "/src/glue.js")]
extern "C" {
    fn take_thrown() -> JsValue;
    pub(crate) fn text(thrown: &JsValue, name: &str) -> Option<String>;
    pub(crate) fn member(object: &JsValue, name: &str) -> JsValue;
    #[wasm_bindgen(js_name = figure)]
    fn figure_or_nan(object: &JsValue, name: &str) -> f64;
    #[wasm_bindgen(js_name = playback)]
    fn playback_or_nan(context: &BaseAudioContext, name: &str) -> f64;
    pub(crate) fn class_name(node: &AudioNode, steps: u32) -> Option<String>;
    pub(crate) fn worklet_params(node: &AudioNode) -> Option<Array>;
    pub(crate) fn longest_delay(node: &AudioNode) -> f64;
    pub(crate) fn is_closed(context: &BaseAudioContext) -> bool;
    fn connect(source: &AudioNode, target: &AudioNode, output: u32, input: u32) -> bool;
    fn connect_param(source: &AudioNode, target: &AudioParam, output: u32) -> bool;
    #[wasm_bindgen(js_name = automate)]
    fn automate_param(param: &AudioParam, kind: u32, value: f32, time: f64) -> bool;
    #[wasm_bindgen(js_name = plug)]
    fn plug_node(
        context: &BaseAudioContext,
        node: &AudioNode,
        zeros: &AudioNode,
        sink: &AudioNode,
        worklet: bool,
    ) -> f64;
    #[wasm_bindgen(js_name = unplug)]
    fn unplug_node(node: &AudioNode, zeros: &AudioNode, worklet: bool) -> bool;
    #[wasm_bindgen(js_name = time_if_open)]
    fn time_or_negative(context: &BaseAudioContext) -> f64;
    fn add_step(plan: &Array, traces: u32, kind: u32, key: &JsValue, value: &JsValue);
    fn perform(node: &AudioNode, params: &JsValue, plan: &JsValue, traces: u32) -> usize;
    #[wasm_bindgen(js_name = cut)]
    fn cut_node(source: &AudioNode, target: &AudioNode, output: u32, input: u32) -> bool;
    #[wasm_bindgen(js_name = cut_param)]
    fn cut_from_param(source: &AudioNode, target: &AudioParam, output: u32) -> bool;
    #[wasm_bindgen(js_name = set_source_buffer)]
    fn write_source_buffer(source: &AudioBufferSourceNode, buffer: &AudioBuffer) -> bool;
    #[wasm_bindgen(catch)]
    pub(crate) fn channels(buffer: &AudioBuffer) -> Result<Array, JsValue>;
    fn channel(buffer: &AudioBuffer, views: &Array, index: u32, frames: u32) -> Option<Float32Array>;
    pub(crate) fn prepare(
        context: &BaseAudioContext,
        buffer: &AudioBuffer,
        views: &Array,
        frames: u32,
        dirty: u32,
    ) -> u32;
    fn make_source(
        context: &BaseAudioContext,
        buffer: &AudioBuffer,
        playback_rate: f32,
    ) -> Option<AudioBufferSourceNode>;
    fn start_between(source: &AudioBufferSourceNode, start: f64, end: f64) -> bool;
    pub(crate) fn set_dispatch(callback: &JsValue);
    #[wasm_bindgen(js_name = on_ended)]
    fn do_on_ended(source: &AudioScheduledSourceNode, action: u32) -> bool;
    #[wasm_bindgen(catch)]
    pub(crate) fn make_bus(context: &BaseAudioContext) -> Result<Array, JsValue>;
    /// By a method of the context's; a size of 0 is left out.
    #[wasm_bindgen(catch)]
    pub(crate) fn create(context: &BaseAudioContext, method: &str, size: f64) -> Result<AudioNode, JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn question(node: &AudioNode, answer: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn ask(question: &JsValue, message: &JsValue) -> Result<(), JsValue>;
    pub(crate) fn is_answered(question: &JsValue) -> bool;
    pub(crate) fn forget_question(question: &JsValue);
    #[wasm_bindgen(catch)]
    pub(crate) fn start_monitor(
        context: &BaseAudioContext,
        processor: &str,
        batch: u32,
        quanta: u32,
        share: bool,
        receive: &JsValue,
    ) -> Result<JsValue, JsValue>;
    pub(crate) fn is_shared(monitor: &JsValue) -> bool;
    #[wasm_bindgen(catch)]
    pub(crate) fn stop_monitor(monitor: &JsValue) -> Result<(), JsValue>;
    pub(crate) fn drain(monitor: &JsValue, under_way: u32) -> Box<[f64]>;
    pub(crate) fn probe(kind: u32, rate: f32) -> js_sys::Promise;
    pub(crate) fn probed(kind: u32) -> u32;
    /// `None` where there are no worklets.
    pub(crate) fn add_module(
        context: &BaseAudioContext,
        url: Option<&str>,
        text: &str,
    ) -> Option<js_sys::Promise>;
}

#[wasm_bindgen]
extern "C" {
    pub(crate) type RawParam;
    #[wasm_bindgen(method, setter, structural, catch, js_name = value)]
    fn set_value(this: &RawParam, value: f32) -> Result<(), JsValue>;
    #[wasm_bindgen(method, getter, structural, js_name = automationRate)]
    fn automation_rate(this: &RawParam) -> JsValue;
    #[wasm_bindgen(method, structural, catch, js_name = cancelScheduledValues)]
    fn cancel_scheduled_values(this: &RawParam, from: f64) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, structural, catch, js_name = cancelAndHoldAtTime)]
    fn cancel_and_hold_at_time(this: &RawParam, from: f64) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, structural, js_name = cancelAndHoldAtTime)]
    fn cancel_and_hold_method(this: &RawParam) -> JsValue;

    pub(crate) type RawNode;
    #[wasm_bindgen(method, structural, catch, js_name = removeEventListener)]
    fn remove_event_listener(this: &RawNode, kind: &JsValue, listener: &JsValue) -> Result<(), JsValue>;

    pub(crate) type RawContext;
    #[wasm_bindgen(method, structural, catch, js_name = createIIRFilter)]
    fn create_iir_filter(this: &RawContext, b: &[f64], a: &[f64]) -> Result<AudioNode, JsValue>;

    #[wasm_bindgen(catch, js_name = fetch)]
    fn fetch(url: &str) -> Result<js_sys::Promise, JsValue>;
    type Answer;
    #[wasm_bindgen(method, getter)]
    fn ok(this: &Answer) -> bool;
    #[wasm_bindgen(method, getter)]
    fn status(this: &Answer) -> u32;
    #[wasm_bindgen(method, catch, js_name = arrayBuffer)]
    fn array_buffer(this: &Answer) -> Result<js_sys::Promise, JsValue>;

    #[wasm_bindgen(catch, js_namespace = performance, js_name = now)]
    fn performance_now() -> Result<f64, JsValue>;
    #[wasm_bindgen(catch, js_name = setInterval)]
    fn set_interval(callback: &JsValue, milliseconds: f64) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, js_name = clearInterval)]
    fn clear_interval(id: &JsValue) -> Result<(), JsValue>;
}

type Thrown = Result<(), JsValue>;

fn outcome(done: bool) -> Thrown {
    if done { Ok(()) } else { Err(take_thrown()) }
}

/// From an output to an input. 1 call.
pub(crate) fn join(source: &AudioNode, target: &AudioNode, output: u32, input: u32) -> Thrown {
    outcome(connect(source, target, output, input))
}

/// From an output to a parameter. 1 call.
pub(crate) fn join_param(source: &AudioNode, target: &AudioParam, output: u32) -> Thrown {
    outcome(connect_param(source, target, output))
}

/// Takes such a connection away. 1 call.
pub(crate) fn cut(source: &AudioNode, target: &AudioNode, output: u32, input: u32) -> Thrown {
    outcome(cut_node(source, target, output, input))
}

/// Takes a connection to a parameter away. 1 call.
pub(crate) fn cut_param(source: &AudioNode, target: &AudioParam, output: u32) -> Thrown {
    outcome(cut_from_param(source, target, output))
}

/// What a parameter does at, or up to, a time.
#[derive(Clone, Copy)]
pub(crate) enum Automation {
    Set = 0,
    Linear = 1,
    Exponential = 2,
}

/// 1 call, and no garbage, which web-sys' own calls leave.
pub(crate) fn automate(param: &AudioParam, kind: Automation, value: f32, time: f64) -> Thrown {
    outcome(automate_param(param, kind as u32, value, time))
}

fn if_open(time: f64) -> Option<f64> {
    (time >= 0.0).then_some(time)
}

/// The context's time; `None` if it is closed. 1 call.
pub(crate) fn time_if_open(context: &BaseAudioContext) -> Option<f64> {
    if_open(time_or_negative(context))
}

/// Puts a node on the flush bus, and tells since when, as [`time_if_open`]. 1 call.
pub(crate) fn plug(
    context: &BaseAudioContext,
    node: &AudioNode,
    zeros: &AudioNode,
    sink: &AudioNode,
    worklet: bool,
) -> Result<Option<f64>, JsValue> {
    let time = plug_node(context, node, zeros, sink, worklet);
    outcome(!time.is_nan()).map(|()| if_open(time))
}

/// Takes a node off the flush bus, and cuts all that it feeds. 1 call.
pub(crate) fn unplug(node: &AudioNode, zeros: &AudioNode, worklet: bool) -> Thrown {
    outcome(unplug_node(node, zeros, worklet))
}

/// Does those steps of a release in one call that undo one of the traces; in the error, the number of the one that threw.
pub(crate) fn release(
    node: &AudioNode,
    params: &JsValue,
    plan: &Plan,
    traces: Traces,
) -> Result<(), (usize, JsValue)> {
    let done = perform(node, params, &plan.steps, traces.bits());
    if done < plan.len { Err((done, take_thrown())) } else { Ok(()) }
}

/// Steps of a release, as values that live in JavaScript.
pub(crate) struct Plan {
    steps: Array,
    len: usize,
    /// What the next step undoes.
    pub(crate) undoes: Traces,
}

impl Plan {
    pub(crate) fn new() -> Self {
        Self { steps: Array::new(), len: 0, undoes: Traces::NONE }
    }

    pub(crate) fn disconnect(&mut self) {
        self.push(0, JsValue::UNDEFINED, JsValue::UNDEFINED);
    }

    pub(crate) fn cancel(&mut self, param: usize) {
        self.push(1, JsValue::from(param as u32), JsValue::UNDEFINED);
    }

    pub(crate) fn set_param(&mut self, param: usize, value: f32) {
        self.push(2, JsValue::from(param as u32), JsValue::from(value));
    }

    pub(crate) fn set_rate(&mut self, param: usize, rate: AutomationRate) {
        let name = match rate {
            AutomationRate::Sample => "a-rate",
            AutomationRate::Quantum => "k-rate",
        };
        self.push(3, JsValue::from(param as u32), JsValue::from_str(name));
    }

    /// If it differs; `always` if that is known.
    pub(crate) fn write(&mut self, name: &str, value: AttributeValue, always: bool) {
        let value = match value {
            AttributeValue::Text(text) => JsValue::from_str(text),
            AttributeValue::Number(number) => JsValue::from_f64(number),
            AttributeValue::Flag(flag) => JsValue::from_bool(flag),
            AttributeValue::Null => JsValue::NULL,
        };
        self.push(4 + u32::from(always), JsValue::from_str(name), value);
    }

    fn push(&mut self, kind: u32, key: JsValue, value: JsValue) {
        add_step(&self.steps, self.undoes.bits(), kind, &key, &value);
        self.len += 1;
    }
}

pub(crate) fn set_param(param: &AudioParam, value: f32) -> Thrown {
    param.unchecked_ref::<RawParam>().set_value(value)
}

pub(crate) fn is_k_rate(param: &AudioParam) -> bool {
    param.unchecked_ref::<RawParam>().automation_rate() == "k-rate"
}

pub(crate) fn remove_listener(node: &AudioNode, kind: &JsValue, listener: &JsValue) -> Thrown {
    node.unchecked_ref::<RawNode>().remove_event_listener(kind, listener)
}

pub(crate) fn cancel_param(param: &AudioParam, from: f64) -> Thrown {
    param.unchecked_ref::<RawParam>().cancel_scheduled_values(from).map(drop)
}

/// Holds the value that the parameter has at `time`; `Ok(false)` where the browser cannot (Firefox).
pub(crate) fn hold_param(param: &AudioParam, time: f64) -> Result<bool, JsValue> {
    let param = param.unchecked_ref::<RawParam>();
    if param.cancel_and_hold_method().is_undefined() {
        return Ok(false);
    }
    param.cancel_and_hold_at_time(time).map(|_| true)
}

/// Whether an attribute has this value. 1 call.
pub(crate) fn holds(node: &AudioNode, name: &str, value: &str) -> bool {
    text(node, name).is_some_and(|held| held == value)
}

fn known(figure: f64) -> Option<f64> {
    (!figure.is_nan()).then_some(figure)
}

/// A number of a context that the specification gained lately, and some browsers lack. 1 call.
pub(crate) fn figure(context: &BaseAudioContext, name: &str) -> Option<f64> {
    known(figure_or_nan(context, name))
}

/// A number of what the browser has counted of underruns, if it does. 1 call.
pub(crate) fn playback(context: &BaseAudioContext, name: &str) -> Option<f64> {
    known(playback_or_nan(context, name))
}

/// The samples themselves, not a copy as with web-sys: the view of them that is at hand, or a new one if they are no longer
/// there. 1 call.
pub(crate) fn channel_data(
    buffer: &AudioBuffer,
    views: &Array,
    index: u32,
    frames: u32,
) -> Result<Float32Array, JsValue> {
    channel(buffer, views, index, frames).ok_or_else(take_thrown)
}

/// A source that plays a buffer at a rate. 1 call.
pub(crate) fn source_of(
    context: &BaseAudioContext,
    buffer: &AudioBuffer,
    playback_rate: f32,
) -> Result<AudioBufferSourceNode, JsValue> {
    make_source(context, buffer, playback_rate).ok_or_else(take_thrown)
}

/// Plays a source from a time to a time. 1 call.
pub(crate) fn play_between(source: &AudioBufferSourceNode, start: f64, end: f64) -> Thrown {
    outcome(start_between(source, start, end))
}

/// Has the number told when the source ends. 1 call.
pub(crate) fn on_ended(source: &AudioScheduledSourceNode, action: u32) -> Thrown {
    outcome(do_on_ended(source, action))
}

/// Sets the buffer of a source; a second time is an exception, which web-sys lets through.
pub(crate) fn set_source_buffer(source: &AudioBufferSourceNode, buffer: &AudioBuffer) -> Thrown {
    outcome(write_source_buffer(source, buffer))
}

/// web-sys takes the coefficients as an array of values, which costs a call for each.
pub(crate) fn create_iir_filter(
    context: &BaseAudioContext,
    feedforward: &[f64],
    feedback: &[f64],
) -> Result<AudioNode, JsValue> {
    context.unchecked_ref::<RawContext>().create_iir_filter(feedforward, feedback)
}

/// The bytes at an address; an answer that is no success is an error.
pub(crate) async fn fetch_bytes(url: &str) -> Result<js_sys::ArrayBuffer, JsValue> {
    let answer: Answer = JsFuture::from(fetch(url)?).await?.unchecked_into();
    if !answer.ok() {
        let message = alloc::format!("{url}: the server answered {}", answer.status());
        return Err(js_sys::Error::new(&message).into());
    }
    JsFuture::from(answer.array_buffer()?).await.map(JsCast::unchecked_into)
}

/// Milliseconds since the page was opened, in steps that the browser chooses; 0 where there is no such clock, as
/// in a worklet.
pub(crate) fn now_ms() -> f64 {
    performance_now().unwrap_or(0.0)
}

/// A call that repeats until this is dropped.
#[must_use = "dropping the interval stops it"]
pub struct Interval {
    id: JsValue,
    _closure: Closure<dyn FnMut()>,
}

impl Interval {
    /// Calls `work` about every `milliseconds`. Browsers slow timers of hidden pages down, to once a second or once
    /// a minute.
    ///
    /// # Errors
    ///
    /// [`WebError::Exception`] where there are no timers, as in a worklet.
    pub fn new(milliseconds: f64, work: impl FnMut() + 'static) -> Result<Self, WebError> {
        let closure = Closure::<dyn FnMut()>::wrap(Box::new(work));
        let id = set_interval(closure.as_ref(), milliseconds).map_err(Exception::of("setInterval"))?;
        Ok(Self { id, _closure: closure })
    }
}

impl Drop for Interval {
    fn drop(&mut self) {
        // An interval that was set can be cleared.
        let _ = clear_interval(&self.id);
    }
}
