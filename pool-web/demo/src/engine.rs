//! The sequencer in the browser: voices, master bus, and the interface for the page.
//!
//! ```text
//! source -> biquad -> gain -> panner -+-> master -> compressor -> volume -> destination
//!                                     +-> delay -> echo bus ---^
//! ```
//! One voice is everything left of the `+`; the rest exists once. A voice goes back when its source is over on the audio
//! clock, and if it has an echo, when the delay line has rung out. When a slice is over is known when it starts: to be told
//! so by the browser costs a listener and an event for each, which are garbage.

use std::{cell::RefCell, pin::Pin, rc::Rc};

use js_sys::{Array, Promise};
use pool_web::{AudioMemory, AudioProfiler, SampleCache, SampleLease};
use wasm_bindgen::prelude::*;
use web_sys::{
    AudioBufferSourceNode, AudioContext, AudioContextState, AudioNode, AudioScheduledSourceNode,
    BiquadFilterNode, BiquadFilterType, DelayNode, DynamicsCompressorNode, GainNode, StereoPannerNode,
};

use crate::{
    census::{Cached, FIELDS, Health, Played, flatten},
    kit::{Kit, Recording},
    pattern::{Hit, LONG, Pattern, SHORT, Track},
    rng::Rng,
    schedule::{Scheduler, TEMPO},
    scratch::{Samples, Scratch},
    supply::{Chain, Fresh, MAX_DELAY, Pooled, Supply, describe},
    trial,
};

/// Voices at once; beyond it something is wrong (the context never ends its sources), and voices are refused.
const MOST_VOICES: usize = 2_048;
/// Seconds between two rounds of the pools' housekeeping.
const CARE_SECONDS: f64 = 1.0;
/// Messages that are kept for the page.
const MOST_ERRORS: usize = 20;
/// Seconds of an echo: a dotted eighth note, which must fit the delay line.
const ECHO_SECONDS: f64 = 60.0 / TEMPO * 0.75;
const _: () = assert!(ECHO_SECONDS < MAX_DELAY);

#[wasm_bindgen]
extern "C" {
    /// Milliseconds on the page's monotonic clock.
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
}

/// The demo: a drum sequencer with pooled or fresh voices.
#[wasm_bindgen]
pub struct Demo {
    inner: Rc<RefCell<Inner>>,
}

struct Inner {
    context: AudioContext,
    scheduler: Scheduler,
    pattern: Pattern,
    playing: bool,
    /// When the last reset was, on the audio clock; stands still while stopped.
    since: f64,
    /// Seconds that were played between resets and the last stop.
    seconds: f64,
    busy_ms: f64,
    /// When the pools' housekeeping ran last, on the audio clock.
    last_care: f64,
    profiler: Rc<AudioProfiler>,
    band: Band,
}

/// Everything that starts and ends voices.
struct Band {
    context: AudioContext,
    supply: Supply,
    /// The budget of the recordings, and of pooled voices.
    memory: AudioMemory,
    recordings: SampleCache,
    /// What was decoded. As long as they are leased they stay, however short memory is.
    held: Vec<SampleLease>,
    kit: Kit,
    rng: Rng,
    bus: Bus,
    sounding: Vec<Voice>,
    /// Of the context, which does not change.
    sample_rate: f32,
    scratch: Scratch,
    voices: u64,
    refused: u64,
    /// Gain of a grain at the present rate.
    grain_gain: f32,
    errors: Vec<String>,
}

/// The nodes that exist once.
struct Bus {
    master: GainNode,
    echo: GainNode,
    _compressor: DynamicsCompressorNode,
    volume: GainNode,
}

struct Voice {
    source: AudioBufferSourceNode,
    chain: Chain,
    /// When nothing of it can be heard any more, on the audio clock.
    over: f64,
}

#[wasm_bindgen]
impl Demo {
    /// A silent demo on `context`, without recordings, with pooled voices and a budget of `limit_bytes`.
    ///
    /// # Errors
    /// What the browser throws when the master bus cannot be built, as when the context is closed.
    #[wasm_bindgen(constructor)]
    pub fn new(context: &AudioContext, limit_bytes: f64) -> Result<Self, JsValue> {
        let bus = Bus::new(context)?;
        let memory = AudioMemory::builder().budget(limit_bytes as usize).build();
        let recordings = SampleCache::new(context, &memory);
        let mut band = Band {
            context: context.clone(),
            supply: Supply::Pooled(Box::new(Pooled::new(context, &memory, &recordings))),
            memory,
            recordings,
            held: Vec::new(),
            kit: Kit::default(),
            rng: Rng::new(0),
            bus,
            sounding: Vec::new(),
            sample_rate: context.sample_rate(),
            scratch: Scratch::new(LONG),
            voices: 0,
            refused: 0,
            grain_gain: 0.0,
            errors: Vec::new(),
        };
        let scheduler = Scheduler::new(60.0);
        band.set_headroom(scheduler.rate());
        let inner = Inner {
            context: context.clone(),
            scheduler,
            pattern: Pattern::default(),
            playing: false,
            since: 0.0,
            seconds: 0.0,
            busy_ms: 0.0,
            last_care: 0.0,
            profiler: Rc::new(AudioProfiler::new(context)),
            band,
        };
        Ok(Self { inner: Rc::new(RefCell::new(inner)) })
    }

    /// Fetches and decodes the recording at `url`, once for all voices. A promise, which is rejected with the reason if that
    /// cannot be done.
    pub fn decode(&self, url: String) -> Promise {
        let inner = Rc::clone(&self.inner);
        promise(async move {
            let recordings = inner.borrow().band.recordings.clone();
            let lease = recordings.decode_url(&url).await?;
            inner.borrow_mut().band.held.push(lease);
            Ok(JsValue::UNDEFINED)
        })
    }

    /// Lets voices play what was decoded from `url`.
    ///
    /// # Errors
    /// A message if that was not decoded, or holds no sound.
    #[wasm_bindgen(js_name = addRecording)]
    pub fn add_recording(&self, url: &str) -> Result<(), JsValue> {
        let band = &mut self.inner.borrow_mut().band;
        let lease = band.held.iter().find(|lease| lease.id() == url);
        let recording = lease
            .and_then(|lease| Recording::new(url, lease.number_of_channels(), lease.length()))
            .ok_or_else(|| js_sys::Error::new(&format!("{url} holds no sound")))?;
        band.kit.add(recording);
        Ok(())
    }

    /// Tries every type of node: a promise of an array of objects, see the module `trial`. The context must be running, as
    /// some types have to rest on its clock.
    #[wasm_bindgen(js_name = tryTypes)]
    pub fn try_types(&self) -> Promise {
        let context = self.inner.borrow().context.clone();
        promise(trial::every_type(context))
    }

    /// Every type of node and its state class, untried, in the same shape.
    pub fn types() -> Array {
        trial::untried()
    }

    /// Begins to measure the load of the audio thread; what goes wrong is told by [`Self::errors`].
    pub fn watch(&self) {
        let profiler = Rc::clone(&self.inner.borrow().profiler);
        let inner = Rc::downgrade(&self.inner);
        wasm_bindgen_futures::spawn_local(async move {
            let outcome = profiler.start().await;
            if let (Err(error), Some(inner)) = (outcome, inner.upgrade()) {
                inner.borrow_mut().band.note(format!("the load cannot be measured: {error}"));
            }
        });
    }

    /// Begins at bar 1. Without recordings nothing will sound.
    pub fn start(&self) {
        let inner = &mut *self.inner.borrow_mut();
        let now = inner.context.current_time();
        if !inner.playing {
            inner.since = now;
        }
        inner.playing = true;
        inner.scheduler.start(now);
        inner.band.rng = Rng::new(0xBA2D);
    }

    /// Silences every voice and plays no more. Voices go back as they are over.
    pub fn stop(&self) {
        let inner = &mut *self.inner.borrow_mut();
        if inner.playing {
            inner.seconds += inner.context.current_time() - inner.since;
        }
        inner.playing = false;
        inner.band.silence(inner.context.current_time());
    }

    /// One tick of the page's timer: gives back what is over, and starts the voices of the next tenth of a second.
    pub fn tick(&self) {
        let Ok(mut inner) = self.inner.try_borrow_mut() else { return };
        let begin = performance_now();
        let inner = &mut *inner;
        if inner.context.state() != AudioContextState::Running {
            return;
        }
        let now = inner.context.current_time();
        inner.band.release_over(now);
        if inner.playing && !inner.band.kit.is_empty() {
            let band = &mut inner.band;
            inner.scheduler.advance(now, &inner.pattern, |hit| band.play(hit, now));
        }
        if now - inner.last_care >= CARE_SECONDS {
            inner.last_care = now;
            if let Some(failure) = inner.band.supply.maintain() {
                inner.band.note(failure);
            }
        }
        inner.busy_ms += performance_now() - begin;
    }

    /// Fresh or pooled voices from now on. Pools start empty; the old ones go as the last of their voices ends.
    ///
    /// # Errors
    /// A message if the bytes of an echo cannot be counted.
    #[wasm_bindgen(js_name = setMode)]
    pub fn set_mode(&self, fresh: bool) -> Result<(), JsValue> {
        let band = &mut self.inner.borrow_mut().band;
        let context = &band.context;
        band.supply = if fresh {
            Supply::Fresh(Fresh::new(context, band.recordings.stats().bytes()).map_err(thrown)?)
        } else {
            Supply::Pooled(Box::new(Pooled::new(context, &band.memory, &band.recordings)))
        };
        Ok(())
    }

    /// The budget of the recordings and of pooled voices in bytes. What no longer fits is evicted if it is idle, and refused
    /// if it is new.
    #[wasm_bindgen(js_name = setLimit)]
    pub fn set_limit(&self, bytes: f64) {
        // What is over it all the same is leased: it goes as its voices end, and shows in the chart.
        self.inner.borrow().band.memory.set_limit(bytes as usize);
    }

    /// Voices per second from the next beat on.
    #[wasm_bindgen(js_name = setRate)]
    pub fn set_rate(&self, rate: f64) {
        let inner = &mut *self.inner.borrow_mut();
        inner.scheduler.set_rate(rate);
        inner.band.set_headroom(inner.scheduler.rate());
    }

    /// Loudness, 0 to 1.
    #[wasm_bindgen(js_name = setVolume)]
    pub fn set_volume(&self, volume: f32) {
        let inner = self.inner.borrow();
        let volume = if volume.is_nan() { 0.0 } else { volume.clamp(0.0, 1.0) };
        let now = inner.context.current_time();
        // A jump would click; a closed context is silent anyway.
        let _ = inner.band.bus.volume.gain().set_target_at_time(volume * volume, now, 0.02);
    }

    /// The last node before the destination, for a meter.
    pub fn output(&self) -> AudioNode {
        self.inner.borrow().band.bus.volume.clone().into()
    }

    /// Names of the rows of the groove, separated by commas.
    pub fn rows() -> String {
        Track::ROWS.map(Track::label).join(",")
    }

    /// Whether `row` plays at `step`.
    #[wasm_bindgen(js_name = isSet)]
    pub fn is_set(&self, row: usize, step: usize) -> bool {
        self.inner.borrow().pattern.is_set(row, step)
    }

    /// Turns a step of the groove on or off; tells what it is now.
    pub fn toggle(&self, row: usize, step: usize) -> bool {
        self.inner.borrow_mut().pattern.toggle(row, step)
    }

    /// The step that sounds now, or -1.
    pub fn step(&self) -> i32 {
        let inner = self.inner.borrow();
        let step = inner.playing.then(|| inner.scheduler.step_at(inner.context.current_time()));
        step.flatten().map_or(-1, |step| step as i32)
    }

    /// Counts from zero again.
    #[wasm_bindgen(js_name = resetStats)]
    pub fn reset_stats(&self) {
        let inner = &mut *self.inner.borrow_mut();
        inner.since = inner.context.current_time();
        inner.seconds = 0.0;
        inner.busy_ms = 0.0;
        inner.scheduler.reset_skipped();
        inner.band.voices = 0;
        inner.band.refused = 0;
        inner.band.errors.clear();
        inner.band.supply.reset();
        inner.profiler.reset();
    }

    /// Names of the numbers that [`Self::read`] writes, separated by commas.
    pub fn fields() -> String {
        FIELDS.to_owned()
    }

    /// Writes the counts into `numbers`, in the order of [`Self::fields`]; what does not fit is left out.
    pub fn read(&self, numbers: &mut [f64]) {
        let inner = self.inner.borrow();
        let running = if inner.playing { inner.context.current_time() - inner.since } else { 0.0 };
        let band = &inner.band;
        let played = Played {
            voices: band.voices,
            sounding: band.sounding.len() as u64,
            late: inner.scheduler.skipped(),
            refused: band.refused,
            busy_ms: inner.busy_ms,
            seconds: inner.seconds + running,
        };
        let metrics = inner.profiler.metrics();
        let health = Health {
            load: metrics.load,
            loads: metrics.loads.map(|loads| [loads.p50, loads.p95, loads.p99]),
            underruns: metrics.underruns,
            base_latency: metrics.base_latency,
            output_latency: metrics.output_latency,
        };
        let recordings = band.recordings.stats();
        let cached = Cached { decoded: recordings.created, leases: recordings.hits };
        let values = flatten(&played, &health, &cached, &band.supply.census());
        for (number, value) in numbers.iter_mut().zip(values) {
            *number = value;
        }
    }

    /// The first errors since the last reset, one per kind.
    pub fn errors(&self) -> Vec<String> {
        self.inner.borrow().band.errors.clone()
    }
}

/// What a message says before its first figure.
fn kind_of(message: &str) -> &str {
    message.split(|c: char| c.is_ascii_digit()).next().unwrap_or(message)
}

/// A promise of a future. All are of one type, so that what drives them is there once.
fn promise(future: impl Future<Output = Result<JsValue, JsValue>> + 'static) -> Promise {
    let future: Pin<Box<dyn Future<Output = Result<JsValue, JsValue>>>> = Box::pin(future);
    wasm_bindgen_futures::future_to_promise(future)
}

/// A message as something to throw.
fn thrown(message: String) -> JsValue {
    js_sys::Error::new(&message).into()
}

/// The interface that has `stop`; web-sys deprecates its copies in the derived one.
fn scheduled(source: &AudioBufferSourceNode) -> &AudioScheduledSourceNode {
    source
}

impl Bus {
    fn new(context: &AudioContext) -> Result<Self, JsValue> {
        let master = context.create_gain()?;
        let echo = context.create_gain()?;
        let compressor = context.create_dynamics_compressor()?;
        let volume = context.create_gain()?;
        let now = context.current_time();
        // A limiter in effect: everything above -14 dB is held back, so that no rate clips.
        compressor.threshold().set_value_at_time(-14.0, now)?;
        compressor.knee().set_value_at_time(6.0, now)?;
        compressor.ratio().set_value_at_time(20.0, now)?;
        compressor.attack().set_value_at_time(0.002, now)?;
        compressor.release().set_value_at_time(0.12, now)?;
        echo.gain().set_value_at_time(0.5, now)?;
        volume.gain().set_value_at_time(0.5, now)?;
        echo.connect_with_audio_node(&compressor)?;
        master.connect_with_audio_node(&compressor)?;
        compressor.connect_with_audio_node(&volume)?;
        volume.connect_with_audio_node(&context.destination())?;
        Ok(Self { master, echo, _compressor: compressor, volume })
    }
}

impl Band {
    /// Grains overlap: `rate` voices of a tenth of a second each. Independent sounds add up by the root of their number.
    fn set_headroom(&mut self, rate: f64) {
        let overlap = rate * f64::from(SHORT) / 48_000.0;
        self.grain_gain = (0.55 / overlap.max(1.0).sqrt()) as f32;
    }

    fn play(&mut self, hit: &Hit, now: f64) {
        match self.try_play(hit, now) {
            Ok(()) => self.voices += 1,
            Err(message) => {
                self.refused += 1;
                self.note(message);
            }
        }
    }

    /// Keeps a message, unless there is one like it that differs in its figures only.
    fn note(&mut self, message: String) {
        let kind = kind_of(&message);
        if self.errors.len() < MOST_ERRORS && !self.errors.iter().any(|error| kind_of(error) == kind) {
            self.errors.push(message);
        }
    }

    fn try_play(&mut self, hit: &Hit, now: f64) -> Result<(), String> {
        // Drawn first, so that a refused voice does not change those after it.
        let recording = self.kit.choose(hit.track, &mut self.rng).ok_or("no recording was decoded")?;
        if self.sounding.len() == MOST_VOICES {
            return Err(format!("more than {MOST_VOICES} voices at once"));
        }
        let frames = hit.frames.min(LONG);
        let slice = recording.slice(hit.offset, frames);
        let views = self.scratch.views(frames);
        {
            // Decoded once, leased by each voice for as long as it copies.
            let sample = self.recordings.get(recording.id()).ok_or("the recording is gone")?;
            for (view, channel) in views.iter().zip(recording.sides()) {
                sample.unchecked_ref::<Samples>().read(view, channel, slice.start);
            }
        }
        for side in self.scratch.sides() {
            slice.shape(&mut side[..frames as usize]);
        }

        let chain = self.supply.chain(hit.frames, hit.echo)?;
        // Anew: what was made since may have made the memory grow.
        let source = chain.sound.source(&self.context, self.scratch.views(frames), hit.speed)?;
        self.wire(&source, &chain)?;
        let end = self.start_source(hit, now, &source, &chain).map_err(|error| describe(&error))?;
        let over = end + chain.tail();
        self.sounding.push(Voice { source, chain, over });
        Ok(())
    }

    /// Writes the automation, and starts the source. Returns when that will be over.
    fn start_source(
        &self,
        hit: &Hit,
        now: f64,
        source: &AudioBufferSourceNode,
        chain: &Chain,
    ) -> Result<f64, JsValue> {
        let time = hit.time.max(now);
        let length = f64::from(hit.frames) / f64::from(self.sample_rate) / f64::from(hit.speed);
        let end = time + length;
        let headroom = if hit.grain { self.grain_gain } else { 0.6 };
        let level = hit.level * headroom;
        chain.gain.set_at("gain", GainNode::gain, level, time)?;
        chain.gain.set_at("gain", GainNode::gain, level, time + length * 0.3)?;
        chain.gain.ramp_at("gain", GainNode::gain, 1e-4, end)?;

        // Hits open the filter at their attack and close it; grains are narrow bands, which keeps many of them clear.
        let top = (400.0 + 15_000.0 * hit.brightness.powi(3)).min(self.sample_rate * 0.45);
        let bottom = if hit.grain { top * 0.6 } else { (top * 0.25).max(200.0) };
        chain.filter.set_type(if hit.grain { BiquadFilterType::Bandpass } else { BiquadFilterType::Lowpass });
        chain.filter.set_at("Q", BiquadFilterNode::q, 0.7, time)?;
        chain.filter.set_at("frequency", BiquadFilterNode::frequency, top, time)?;
        chain.filter.ramp_at("frequency", BiquadFilterNode::frequency, bottom, end)?;

        chain.panner.set_at("pan", StereoPannerNode::pan, hit.pan, time)?;
        if let Some(delay) = &chain.delay {
            delay.set_at("delayTime", DelayNode::delay_time, ECHO_SECONDS as f32, now)?;
        }
        chain.sound.start(source, time, end)?;
        Ok(end)
    }

    fn wire(&self, source: &AudioBufferSourceNode, chain: &Chain) -> Result<(), String> {
        chain.filter.feed(source)?;
        chain.filter.lead_to(&chain.gain)?;
        chain.gain.lead_to(&chain.panner)?;
        chain.panner.end_at(&self.bus.master)?;
        if let Some(delay) = &chain.delay {
            chain.panner.lead_to(delay)?;
            delay.end_at(&self.bus.echo)?;
        }
        Ok(())
    }

    fn release_over(&mut self, now: f64) {
        let mut index = 0;
        while let Some(voice) = self.sounding.get(index) {
            if voice.over > now {
                index += 1;
                continue;
            }
            let Voice { source, chain, .. } = self.sounding.swap_remove(index);
            // A leased filter cuts its input itself, and what is cut twice throws, which is slow.
            if chain.is_fresh() {
                // A closed context throws; the source is silent all the same.
                let _ = source.disconnect();
            }
        }
    }

    fn silence(&mut self, now: f64) {
        for Voice { source, chain, over } in &mut self.sounding {
            // Throws if it never started, and then it is silent.
            let _ = scheduled(source).stop();
            *over = over.min(now + chain.tail());
        }
    }
}
