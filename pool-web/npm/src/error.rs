//! Errors as JavaScript sees them: a `PoolError` with a code and the numbers. Its text is put together in `error.js`: what
//! formats numbers is there already.

use pool_web::{BufferFault, Exception, OverBudget, WebError};
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/error.js")]
extern "C" {
    /// The meaning of numbers and texts depends on the code.
    fn error_of(code: u32, numbers: &[f64], a: &str, b: &str, c: &str) -> JsValue;
    fn describe(operation: &str, name: &str, message: &str) -> JsValue;
}

/// By number, since the codes are in `error.js`: in the order in which they are there.
#[derive(Clone, Copy)]
pub(crate) enum Code {
    BadBuffer,
    BadDelay,
    BadFilter,
    BadChannels,
    NotPoolable,
    Exhausted,
    OverBudget,
    UnknownParam,
    Exception,
    ContextClosed,
    PoolClosed,
    Unsupported,
    BadOption,
    NotANode,
    Foreign,
    ReleasedTwice,
    Unknown,
}

/// Refuses what was given; `what` is the kind of object that it should have been.
pub(crate) fn fail(code: Code, what: &str) -> JsValue {
    error_of(code as u32, &[], what, "", "")
}

/// A shape that no numbers of 32 bits hold.
pub(crate) fn bad_buffer(channels: f64, length: f64, sample_rate: f64) -> JsValue {
    let why = "channels and frames must be whole numbers";
    error_of(Code::BadBuffer as u32, &[channels, length, sample_rate], why, "", "")
}

/// An exception in words.
pub(crate) fn in_words(exception: &Exception) -> JsValue {
    describe(exception.operation, &exception.name, &exception.message)
}

/// For `map_err`.
pub(crate) fn refused(refusal: OverBudget) -> JsValue {
    thrown(WebError::OverBudget(refusal))
}

/// For `map_err`.
#[inline(never)]
pub(crate) fn thrown(error: WebError) -> JsValue {
    let mut numbers = [0.0; 5];
    let (mut a, mut b, mut c) = ("", "", "");
    let mut set = |values: &[f64]| numbers[..values.len()].copy_from_slice(values);
    let code = match &error {
        WebError::BadBuffer { channels, frames, sample_rate, fault } => {
            set(&[f64::from(*channels), f64::from(*frames), f64::from(*sample_rate)]);
            match fault {
                BufferFault::ZeroChannels => a = "it has no channels",
                BufferFault::TooManyChannels => a = "more than 32 channels",
                BufferFault::ZeroFrames => a = "it has no frames",
                BufferFault::Overflow => a = "more bytes than can be addressed",
                BufferFault::SampleRate => a = "the sample rate is not a positive number",
                BufferFault::Refused(exception) => {
                    (a, b, c) = (exception.operation, &exception.name, &exception.message);
                }
                _ => {}
            }
            Code::BadBuffer
        }
        WebError::BadDelay { max_delay } => {
            set(&[*max_delay]);
            Code::BadDelay
        }
        WebError::BadFilter { feedforward, feedback } => {
            set(&[*feedforward as f64, *feedback as f64]);
            Code::BadFilter
        }
        WebError::BadChannels { channels } => {
            set(&[f64::from(*channels)]);
            Code::BadChannels
        }
        WebError::NotPoolable { interface, reason } => {
            (a, b) = (interface, reason);
            Code::NotPoolable
        }
        WebError::Exhausted { leased, limit } => {
            set(&[*leased as f64, *limit as f64]);
            Code::Exhausted
        }
        WebError::OverBudget(refusal) => {
            set(&[
                refusal.requested as f64,
                refusal.free as f64,
                refusal.limit as f64,
                refusal.used as f64,
                // Less than nothing: not counted.
                refusal.evictable.map_or(-1.0, |bytes| bytes as f64),
            ]);
            Code::OverBudget
        }
        WebError::UnknownParam { interface, name } => {
            (a, b) = (interface, name);
            Code::UnknownParam
        }
        WebError::Exception(exception) => {
            (a, b, c) = (exception.operation, &exception.name, &exception.message);
            Code::Exception
        }
        WebError::ContextClosed { operation } => {
            a = operation;
            Code::ContextClosed
        }
        WebError::PoolClosed => Code::PoolClosed,
        WebError::Unsupported { what } => {
            a = what;
            Code::Unsupported
        }
        // Nothing here uses tokens, nor writes into buffers.
        _ => Code::Unknown,
    };
    error_of(code as u32, &numbers, a, b, c)
}
