//! Which raw object is out, and of which pool: by identity, as JavaScript's `Map` has it.

use alloc::format;
use alloc::vec::Vec;

use js_sys::{Map, WeakSet};
use wasm_bindgen::prelude::*;

use crate::error::fail;

/// Leases of type `L`, found by the object that is out.
pub(crate) struct Registry<L> {
    /// From an object to the number of its slot, for as long as it is out.
    out: Map,
    /// Every object that was ever handed out: what is in here and not out was released.
    known: WeakSet,
    slots: Vec<Option<(u32, L)>>,
    free: Vec<u32>,
}

impl<L> Default for Registry<L> {
    fn default() -> Self {
        Self { out: Map::new(), known: WeakSet::new(), slots: Vec::new(), free: Vec::new() }
    }
}

impl<L> Registry<L> {
    /// Hands `object` out for `pool`.
    pub(crate) fn add(&mut self, object: &js_sys::Object, pool: u32, lease: L) {
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        if slot as usize == self.slots.len() {
            self.slots.push(None);
            // Only a new slot can bring a new object.
        }
        self.slots[slot as usize] = Some((pool, lease));
        self.out.set(object, &slot.into());
        self.known.add(object);
    }

    /// The lease of an object that is out.
    pub(crate) fn get(&self, object: &JsValue) -> Option<&L> {
        let slot = self.out.get(object).as_f64()? as usize;
        self.slots.get(slot)?.as_ref().map(|(_, lease)| lease)
    }

    /// Takes back an object that `pool` handed out.
    pub(crate) fn take(&mut self, object: &JsValue, pool: u32, what: &str) -> Result<L, JsValue> {
        let Some(slot) = self.out.get(object).as_f64() else { return Err(self.refusal(object, what)) };
        let slot = slot as u32;
        let entry = &mut self.slots[slot as usize];
        match entry.take() {
            Some((owner, lease)) if owner == pool => {
                self.out.delete(object);
                self.free.push(slot);
                Ok(lease)
            }
            other => {
                *entry = other;
                Err(fail("foreign", &format!("this {what} is of another pool")))
            }
        }
    }

    fn refusal(&self, object: &JsValue, what: &str) -> JsValue {
        let known = object.dyn_ref::<js_sys::Object>().is_some_and(|object| self.known.has(object));
        if known {
            fail("released-twice", &format!("this {what} was released before"))
        } else {
            fail("unknown", &format!("this {what} is of no pool"))
        }
    }

    /// The refusal of an object that must be out, and is not.
    pub(crate) fn missing(&self, object: &JsValue, what: &str) -> JsValue {
        self.refusal(object, what)
    }
}
