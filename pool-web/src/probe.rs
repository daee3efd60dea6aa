//! Does writing an attribute away and back empty a filter in this browser?

use crate::bindings::{self, RawContext};
use core::cell::Cell;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AudioBuffer, AudioBufferSourceNode, BiquadFilterNode, OfflineAudioContext};

const RATE: f32 = 48000.0;
const QUANTUM: u32 = 128;
/// Quanta of sound into the filter, then quanta of zeros.
const FED: u32 = 8;
const WATCHED: u32 = 16;

std::thread_local! {
    /// The answer, once it is known: it is a property of the browser, not of a context.
    static ANSWER: Cell<Option<bool>> = const { Cell::new(None) };
}

pub(crate) fn attribute_reset_works() -> bool {
    ANSWER.get().unwrap_or(false)
}

pub(crate) async fn attribute_reset() -> bool {
    if let Some(answer) = ANSWER.get() {
        return answer;
    }
    // Whatever goes wrong, the cautious answer is right: then filters are pulled with zeros instead.
    let answer = leaves_nothing().await.unwrap_or(false);
    ANSWER.set(Some(answer));
    answer
}

/// Feeds a filter, cuts it off in mid-render, resets it, and watches what comes out of it on zeros. Mono all the way,
/// since a change of the channel count alone would clear it, and prove nothing.
async fn leaves_nothing() -> Result<bool, JsValue> {
    let context = OfflineAudioContext::new_with_number_of_channels_and_length_and_sample_rate(
        1,
        (FED + WATCHED) * QUANTUM,
        RATE,
    )?;
    let raw = context.unchecked_ref::<RawContext>();
    if raw.suspend_method().is_undefined() {
        return Ok(false);
    }
    let filter = context.create_biquad_filter()?;
    let loud = looping(&context, 1.0)?;
    loud.connect_with_audio_node(&filter)?;
    filter.connect_with_audio_node(&context.destination())?;

    let cut = JsFuture::from(raw.suspend_at(f64::from(FED * QUANTUM) / f64::from(RATE))?);
    let rendering = JsFuture::from(context.start_rendering()?);
    cut.await?;
    loud.disconnect()?;
    filter.disconnect()?;
    write_type(&filter, "highpass")?;
    write_type(&filter, "lowpass")?;
    looping(&context, 0.0)?.connect_with_audio_node(&filter)?;
    filter.connect_with_audio_node(&context.destination())?;
    // Its promise tells no more than the one of the rendering.
    let _ = context.resume()?;

    let rendered: AudioBuffer = rendering.await?.unchecked_into();
    let samples = bindings::channel_data(&rendered, 0)?.to_vec();
    let (fed, watched) = samples.split_at((FED * QUANTUM) as usize);
    let loudest = |part: &[f32]| part.iter().fold(0.0_f32, |most, sample| most.max(sample.abs()));
    // Silence before would mean that nothing was tested.
    Ok(loudest(fed) > 0.1 && loudest(watched) == 0.0)
}

fn write_type(filter: &BiquadFilterNode, value: &str) -> Result<(), JsValue> {
    bindings::set_attribute(filter, &JsValue::from_str("type"), &JsValue::from_str(value))
}

fn looping(context: &OfflineAudioContext, value: f32) -> Result<AudioBufferSourceNode, JsValue> {
    let buffer = context.create_buffer(1, QUANTUM, RATE)?;
    bindings::channel_data(&buffer, 0)?.fill(value, 0, QUANTUM);
    let source = context.create_buffer_source()?;
    bindings::set_source_buffer(&source, &buffer)?;
    source.set_loop(true);
    source.start()?;
    Ok(source)
}
