//! Does writing an attribute empty a node in this browser?

use crate::bindings::{self, RawContext};
use crate::recipe::Probe;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AudioBuffer, AudioBufferSourceNode, AudioNode, OfflineAudioContext};

const QUANTUM: u32 = 128;
/// How long a rendering may take. Chromium's hangs at times if it begins while the tables of HRTF are being loaded.
const PATIENCE_MS: f64 = 10_000.0;
/// Quanta of sound into the node, then quanta of zeros.
const FED: u32 = 8;
const WATCHED: u32 = 16;

#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    #[default]
    Unasked,
    Asked,
    Known(bool),
}

/// A property of the browser, not of a context.
#[derive(Default)]
struct Answers {
    states: Cell<[State; Probe::ALL.len()]>,
    /// Who waits for an answer that is under way.
    waiting: RefCell<Vec<js_sys::Function>>,
}

std::thread_local! {
    static ANSWERS: Rc<Answers> = Rc::default();
}

fn state(probe: Probe) -> State {
    ANSWERS.with(|answers| answers.states.get()[probe as usize])
}

fn set_state(probe: Probe, state: State) {
    ANSWERS.with(|answers| {
        let mut states = answers.states.get();
        states[probe as usize] = state;
        answers.states.set(states);
    });
}

/// The answer, once it is known.
pub(crate) fn answer(probe: Probe) -> Option<bool> {
    match state(probe) {
        State::Known(works) => Some(works),
        _ => None,
    }
}

/// Asks in the background, unless that was done.
pub(crate) fn want(probe: Probe, rate: f32) {
    if state(probe) == State::Unasked {
        set_state(probe, State::Asked);
        wasm_bindgen_futures::spawn_local(async move {
            find_out(probe, rate).await;
        });
    }
}

/// Waits for the answer. `rate` is the one of the context that it is for: its tables of HRTF are loaded or will be.
pub(crate) async fn ask(probe: Probe, rate: f32) -> bool {
    if state(probe) == State::Unasked {
        set_state(probe, State::Asked);
        return find_out(probe, rate).await;
    }
    loop {
        if let Some(works) = answer(probe) {
            return works;
        }
        let news = js_sys::Promise::new(&mut |resolve, _| {
            ANSWERS.with(|answers| answers.waiting.borrow_mut().push(resolve));
        });
        // It only ever resolves.
        let _ = JsFuture::from(news).await;
    }
}

async fn find_out(probe: Probe, rate: f32) -> bool {
    // Whatever goes wrong, the cautious answer is right: then nodes are pulled with zeros or thrown away.
    let works = within(PATIENCE_MS, leaves_nothing(probe, rate)).await.unwrap_or(false);
    set_state(probe, State::Known(works));
    let waiting = ANSWERS.with(|answers| answers.waiting.take());
    for resolve in waiting {
        // Resolving does not throw.
        let _ = resolve.call0(&JsValue::UNDEFINED);
    }
    works
}

/// What `answer` gives, or no if that takes too long.
async fn within(
    milliseconds: f64,
    answer: impl Future<Output = Result<bool, JsValue>>,
) -> Result<bool, JsValue> {
    let mut answer = pin!(answer);
    let timeout = js_sys::Promise::new(&mut |resolve, _| bindings::after(milliseconds, &resolve));
    let mut timeout = pin!(JsFuture::from(timeout));
    poll_fn(|task| match answer.as_mut().poll(task) {
        Poll::Ready(answer) => Poll::Ready(answer),
        Poll::Pending => timeout.as_mut().poll(task).map(|_| Ok(false)),
    })
    .await
}

/// Feeds a node, cuts it off in mid-render, resets it, and watches what comes out of it on zeros. Mono all the way,
/// since a change of the channel count alone would clear it, and prove nothing.
async fn leaves_nothing(probe: Probe, rate: f32) -> Result<bool, JsValue> {
    let context = OfflineAudioContext::new_with_number_of_channels_and_length_and_sample_rate(
        1,
        (FED + WATCHED) * QUANTUM,
        rate,
    )?;
    let raw = context.unchecked_ref::<RawContext>();
    if raw.suspend_method().is_undefined() {
        return Ok(false);
    }
    let node = make(&context, probe)?;
    let loud = looping(&context, 1.0, rate)?;
    loud.connect_with_audio_node(&node)?;
    node.connect_with_audio_node(&context.destination())?;

    let cut = JsFuture::from(raw.suspend_at(f64::from(FED * QUANTUM) / f64::from(rate))?);
    let rendering = JsFuture::from(context.start_rendering()?);
    cut.await?;
    loud.disconnect()?;
    node.disconnect()?;
    // As a release does it, and as the next user sets it up again.
    for (name, value) in match probe {
        Probe::Biquad => [("type", "highpass"), ("type", "lowpass")],
        Probe::WaveShaper => [("oversample", "none"), ("oversample", "4x")],
        Probe::Panner => [("panningModel", "equalpower"), ("panningModel", "HRTF")],
    } {
        bindings::set_attribute(&node, &JsValue::from_str(name), &JsValue::from_str(value))?;
    }
    looping(&context, 0.0, rate)?.connect_with_audio_node(&node)?;
    node.connect_with_audio_node(&context.destination())?;
    // Its promise tells no more than the one of the rendering.
    let _ = context.resume()?;

    let rendered: AudioBuffer = rendering.await?.unchecked_into();
    let samples = bindings::channel_data(&rendered, 0)?.to_vec();
    let (fed, watched) = samples.split_at((FED * QUANTUM) as usize);
    let loudest = |part: &[f32]| part.iter().fold(0.0_f32, |most, sample| most.max(sample.abs()));
    // Silence before would mean that nothing was tested.
    Ok(loudest(fed) > 0.1 && loudest(watched) == 0.0)
}

fn make(context: &OfflineAudioContext, probe: Probe) -> Result<AudioNode, JsValue> {
    Ok(match probe {
        Probe::Biquad => context.create_biquad_filter()?.into(),
        Probe::Panner => {
            let panner = context.create_panner()?;
            bindings::set_attribute(&panner, &JsValue::from_str("panningModel"), &JsValue::from_str("HRTF"))?;
            panner.into()
        }
        Probe::WaveShaper => {
            let shaper = context.create_wave_shaper()?;
            let curve = js_sys::Float32Array::from([-1.0, 0.0, 1.0].as_slice());
            bindings::set_attribute(&shaper, &JsValue::from_str("curve"), &curve)?;
            bindings::set_attribute(&shaper, &JsValue::from_str("oversample"), &JsValue::from_str("4x"))?;
            shaper.into()
        }
    })
}

fn looping(context: &OfflineAudioContext, value: f32, rate: f32) -> Result<AudioBufferSourceNode, JsValue> {
    let buffer = context.create_buffer(1, QUANTUM, rate)?;
    bindings::channel_data(&buffer, 0)?.fill(value, 0, QUANTUM);
    let source = context.create_buffer_source()?;
    bindings::set_source_buffer(&source, &buffer)?;
    source.set_loop(true);
    source.start()?;
    Ok(source)
}
