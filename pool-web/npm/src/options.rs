//! Options, as plain objects or, where the design note has one, as a number.

use alloc::format;

use js_sys::Reflect;
use wasm_bindgen::prelude::*;

use crate::error::fail;
use crate::memory::AudioMemoryManager;

/// The last argument of a constructor.
pub(crate) struct Options(JsValue);

impl Options {
    /// `undefined`, a number (which is then the option `named`), or an object.
    pub(crate) fn new(given: JsValue, named: &str) -> Result<Self, JsValue> {
        if given.as_f64().is_some() {
            return Ok(Self(crate::error::object(&[(named, given)])));
        }
        if given.is_undefined() || given.is_object() {
            return Ok(Self(given));
        }
        Err(fail("bad-option", "options must be an object or a number"))
    }

    pub(crate) fn get(&self, name: &str) -> JsValue {
        if self.0.is_undefined() {
            return JsValue::UNDEFINED;
        }
        Reflect::get(&self.0, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED)
    }

    /// A number of at least 0; infinite is the same as none.
    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>, JsValue> {
        let value = self.get(name);
        match value.as_f64() {
            Some(number) if number >= 0.0 => Ok(number.is_finite().then_some(number)),
            None if value.is_undefined() => Ok(None),
            _ => Err(fail("bad-option", &format!("`{name}` must be a number of at least 0"))),
        }
    }

    pub(crate) fn count(&self, name: &str) -> Result<Option<usize>, JsValue> {
        Ok(self.number(name)?.map(|number| number as usize))
    }

    pub(crate) fn memory(&self) -> Result<Option<pool_web::AudioMemory>, JsValue> {
        let value = self.get("memory");
        if value.is_undefined() {
            return Ok(None);
        }
        AudioMemoryManager::of(&value)
            .map(Some)
            .ok_or_else(|| fail("bad-option", "`memory` must be an AudioMemoryManager"))
    }
}
