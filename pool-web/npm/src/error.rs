//! Errors as JavaScript sees them: a `PoolError` with a code and the numbers.

use alloc::string::ToString;

use js_sys::{Object, Reflect};
use pool_web::WebError;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/error.js")]
extern "C" {
    fn make_error(code: &str, message: &str, details: &JsValue) -> JsValue;
}

/// An object with these entries.
pub(crate) fn object(entries: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (key, value) in entries {
        // A plain object takes any entry.
        let _ = Reflect::set(&object, &JsValue::from_str(key), value);
    }
    object.into()
}

pub(crate) fn number(value: usize) -> JsValue {
    JsValue::from_f64(value as f64)
}

pub(crate) fn fail(code: &str, message: &str) -> JsValue {
    make_error(code, message, &object(&[]))
}

/// For `map_err`.
pub(crate) fn thrown(error: WebError) -> JsValue {
    let details = match &error {
        WebError::BadBuffer { channels, frames, sample_rate, .. } => object(&[
            ("channels", (*channels).into()),
            ("length", (*frames).into()),
            ("sampleRate", (*sample_rate).into()),
        ]),
        WebError::BadDelay { max_delay } => object(&[("maxDelay", (*max_delay).into())]),
        WebError::BadFilter { feedforward, feedback } => {
            object(&[("feedforward", number(*feedforward)), ("feedback", number(*feedback))])
        }
        WebError::BadChannels { channels } => object(&[("channels", (*channels).into())]),
        WebError::NotPoolable { interface, reason } => {
            object(&[("interface", interface.into()), ("reason", (*reason).into())])
        }
        WebError::Exhausted { leased, limit } => {
            object(&[("inUse", number(*leased)), ("limit", number(*limit))])
        }
        WebError::OverBudget(refusal) => object(&[
            ("requested", number(refusal.requested)),
            ("free", number(refusal.free)),
            ("limit", number(refusal.limit)),
        ]),
        WebError::UnknownParam { interface, name } => {
            object(&[("interface", (*interface).into()), ("param", name.into())])
        }
        WebError::Exception(exception) => {
            object(&[("operation", exception.operation.into()), ("exception", (&exception.name).into())])
        }
        _ => object(&[]),
    };
    make_error(error.code(), &error.to_string(), &details)
}
