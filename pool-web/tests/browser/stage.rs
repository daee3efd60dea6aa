//! Where sound is made and recorded: [`Stage`]. Where the browser can stop an offline rendering, time stands still
//! between its steps, and everything is exact; elsewhere (Firefox) it is a live context with a recorder on its way out.

use crate::support::{RATE, add, get, offline, samples_of, set, sleep};
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AudioBuffer, AudioContext, AudioContextOptions, AudioContextState, AudioNode, AudioWorkletNode,
    AudioWorkletNodeOptions, BaseAudioContext, MessageEvent, OfflineAudioContext,
};

#[wasm_bindgen]
extern "C" {
    type Suspendable;
    #[wasm_bindgen(method, structural, catch)]
    fn suspend(this: &Suspendable, time: f64) -> Result<js_sys::Promise, JsValue>;
}

/// Whether the browser can stop an offline rendering and go on with it.
pub(crate) fn stops_offline() -> bool {
    !get(&offline(1, 0.01), "suspend").is_undefined()
}

/// Seconds from a change on the page to the moment when the audio thread has heard of it, on a busy machine.
const LAG: f64 = 0.15;
/// How often a live context's time is looked at.
const LOOK_MS: f64 = 10.0;
/// How long anything may take.
const PATIENCE_MS: f64 = 20_000.0;

/// Posts what it hears with the frame of its beginning, 16 quanta at a time, channel by channel.
const RECORDER: &str = "registerProcessor('recorder', class extends AudioWorkletProcessor {
    constructor({ processorOptions: { channels } }) {
        super();
        this.channels = channels;
        this.filled = 16;
    }
    process([input]) {
        if (this.filled === 16) {
            this.data = new Float32Array(1 + this.channels * 16 * 128);
            this.data[0] = currentFrame;
            this.filled = 0;
        }
        for (let channel = 0; channel < input.length; channel++) {
            this.data.set(input[channel], 1 + (channel * 16 + this.filled) * 128);
        }
        if (++this.filled === 16) this.port.postMessage(this.data, [this.data.buffer]);
        return true;
    }
})";
const BATCH: usize = 16 * 128;

thread_local! {
    /// Firefox ends its sound device with the last context and takes two seconds to begin a new one: this is never closed.
    static KEEPER: OnceCell<AudioContext> = const { OnceCell::new() };
}

/// A live context at the rate of the tests' sounds.
pub(crate) fn context() -> AudioContext {
    let options = AudioContextOptions::new();
    options.set_sample_rate(RATE);
    AudioContext::new_with_context_options(&options).expect("a context")
}

/// A context, what it records, and a clock.
pub(crate) struct Stage {
    kind: Kind,
    context: BaseAudioContext,
    output: AudioNode,
    channels: u32,
}

enum Kind {
    Offline {
        context: OfflineAudioContext,
        rendering: RefCell<Option<JsFuture<JsValue>>>,
    },
    Live {
        context: AudioContext,
        recorded: Rc<RefCell<Recorded>>,
        _on_message: Closure<dyn FnMut(MessageEvent)>,
    },
}

/// What was recorded live.
#[derive(Default)]
struct Recorded {
    /// The first frame.
    begin: Option<usize>,
    channels: Vec<Vec<f32>>,
}

impl Recorded {
    fn end(&self) -> usize {
        self.begin.map_or(0, |begin| begin + self.channels[0].len())
    }
}

impl Stage {
    /// With so many channels. `seconds` is as long as it can be used, if it is offline.
    pub(crate) async fn new(channels: u32, seconds: f64) -> Self {
        if stops_offline() {
            let context = offline(channels, seconds);
            let output = context.destination().into();
            let base = context.clone().into();
            let kind = Kind::Offline { context, rendering: RefCell::default() };
            return Self { kind, context: base, output, channels };
        }
        KEEPER.with(|keeper| {
            keeper.get_or_init(context);
        });
        let context = context();
        JsFuture::from(context.resume().expect("a promise")).await.expect("it runs");
        assert_eq!(context.state(), AudioContextState::Running);
        add(&context, RECORDER).await;
        let options = AudioWorkletNodeOptions::new();
        options.set_channel_count(channels);
        set(&options, "channelCountMode", "explicit");
        set(&options, "channelInterpretation", "discrete");
        let own = js_sys::Object::new();
        set(&own, "channels", channels);
        options.set_processor_options(Some(&own));
        let recorder =
            AudioWorkletNode::new_with_options(&context, "recorder", &options).expect("a recorder");
        // What leads nowhere is not asked to render.
        recorder.connect_with_audio_node(&context.destination()).expect("a connection");
        let recorded =
            Rc::new(RefCell::new(Recorded { begin: None, channels: vec![Vec::new(); channels as usize] }));
        let heard = Rc::clone(&recorded);
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            let data = event.data().unchecked_into::<js_sys::Float32Array>().to_vec();
            let mut heard = heard.borrow_mut();
            let frame = data[0] as usize;
            if heard.begin.is_none() {
                heard.begin = Some(frame);
            }
            assert_eq!(heard.end(), frame, "the recording has no gaps");
            for (channel, samples) in heard.channels.iter_mut().zip(data[1..].chunks_exact(BATCH)) {
                channel.extend_from_slice(samples);
            }
        });
        recorder.port().expect("a port").set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        let base = context.clone().into();
        let kind = Kind::Live { context, recorded, _on_message: on_message };
        let stage = Self { kind, context: base, output: recorder.into(), channels };
        stage.when("the recorder runs", || stage.recorded_until() > 0).await;
        stage
    }

    pub(crate) fn context(&self) -> &BaseAudioContext {
        &self.context
    }

    /// What is connected to this is recorded.
    pub(crate) fn output(&self) -> &AudioNode {
        &self.output
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self.kind, Kind::Live { .. })
    }

    pub(crate) fn now(&self) -> f64 {
        self.context.current_time()
    }

    /// The frame of the recording that is at context time `time`.
    pub(crate) fn frame(&self, time: f64) -> usize {
        let begin = match &self.kind {
            Kind::Offline { .. } => 0,
            Kind::Live { recorded, .. } => recorded.borrow().begin.unwrap_or(0),
        };
        (time * f64::from(RATE)).round() as usize - begin
    }

    fn recorded_until(&self) -> usize {
        match &self.kind {
            Kind::Offline { .. } => 0,
            Kind::Live { recorded, .. } => recorded.borrow().end(),
        }
    }

    /// Waits until something is so, in a live context.
    async fn when(&self, what: &str, done: impl Fn() -> bool) {
        let began = js_sys::Date::now();
        while !done() {
            assert!(js_sys::Date::now() < began + PATIENCE_MS, "waited in vain for: {what}");
            sleep(LOOK_MS).await;
        }
    }

    /// Lets time pass. Offline it stops at `time` exactly; live it is a little later.
    pub(crate) async fn reach(&self, time: f64) {
        match &self.kind {
            Kind::Offline { context, rendering } => {
                let suspendable = context.unchecked_ref::<Suspendable>();
                let there = JsFuture::from(suspendable.suspend(time).expect("a promise"));
                self.go_on(context, rendering);
                there.await.expect("it gets there");
            }
            Kind::Live { .. } => self.when("time passes", || self.now() >= time).await,
        }
    }

    /// Lets time pass until `time` and, live, until `done` says so.
    pub(crate) async fn reach_and(&self, time: f64, done: impl Fn() -> bool) {
        self.reach(time).await;
        if self.is_live() {
            self.when("the pool is at rest", done).await;
        }
    }

    fn go_on(&self, context: &OfflineAudioContext, rendering: &RefCell<Option<JsFuture<JsValue>>>) {
        let mut rendering = rendering.borrow_mut();
        if rendering.is_some() {
            let _ = context.resume().expect("it goes on");
        } else {
            *rendering = Some(JsFuture::from(
                context.start_rendering().expect("a promise").unchecked_into::<js_sys::Promise>(),
            ));
        }
    }

    /// All that was recorded, channel by channel, up to `seconds` from now or more. Time stands still afterwards.
    pub(crate) async fn finish(&self, seconds: f64) -> Vec<Vec<f32>> {
        match &self.kind {
            Kind::Offline { context, rendering } => {
                self.go_on(context, rendering);
                let rendering = rendering.take().expect("it was started");
                let rendered: AudioBuffer = rendering.await.expect("a rendering").unchecked_into();
                (0..self.channels).map(|channel| samples_of(&rendered, channel).to_vec()).collect()
            }
            Kind::Live { context, recorded, .. } => {
                let end = ((self.now() + seconds + LAG) * f64::from(RATE)) as usize;
                self.when("it is recorded", || self.recorded_until() >= end).await;
                JsFuture::from(context.suspend().expect("a promise")).await.expect("it is suspended");
                recorded.borrow().channels.clone()
            }
        }
    }

    /// Gives back what the browser has only few of.
    pub(crate) async fn close(self) {
        if let Kind::Live { context, .. } = &self.kind {
            crate::support::close(context).await;
        }
    }
}
