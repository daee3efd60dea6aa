//! Options, as numbers: what was left out is infinite. They are read and checked in `package/index.js`.

use pool_web::Bounds;

use crate::error::{Code, fail};
use crate::memory::AudioMemoryManager;
use wasm_bindgen::prelude::*;
use web_sys::BaseAudioContext;

#[wasm_bindgen(module = "/src/error.js")]
extern "C" {
    fn has_method(value: &JsValue, method: &str) -> bool;
}

/// The options that all pools have.
pub(crate) fn bounds(most_idle: f64, most: f64, idle_seconds: f64, memory: f64) -> Bounds {
    Bounds {
        memory: finite(memory).and_then(|key| AudioMemoryManager::of(key as u32)),
        max_per_key: finite(most).map(|most| most as usize),
        max_idle_per_key: Some(most_idle as usize),
        idle_ttl_ms: finite(idle_seconds).map(|seconds| seconds * 1000.0),
    }
}

pub(crate) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// An argument, if it has this method, by which objects of other windows are known as well. Found out before anything is
/// borrowed: an exception of JavaScript's in the midst of it would leave it borrowed for ever.
pub(crate) fn given<T: JsCast>(value: JsValue, method: &str, otherwise: &str) -> Result<T, JsValue> {
    if has_method(&value, method) {
        Ok(value.unchecked_into())
    } else {
        Err(fail(Code::BadOption, otherwise))
    }
}

/// The context that a pool is for.
pub(crate) fn given_context(value: JsValue) -> Result<BaseAudioContext, JsValue> {
    given(value, "createGain", "the context must be an AudioContext")
}

/// A whole number that 32 bits hold.
pub(crate) fn whole(value: f64) -> Option<u32> {
    let number = value as u32;
    (f64::from(number) == value).then_some(number)
}
