//! Which raw object is out, and of which pool: by identity, as JavaScript's `Map` has it.

use alloc::vec::Vec;

use js_sys::{Map, WeakSet};
use wasm_bindgen::prelude::*;

use crate::error::{Code, fail};

/// Leases of type `L`, found by the object that is out.
pub(crate) struct Registry<L> {
    /// What the objects are called.
    what: &'static str,
    /// From an object to the number of its slot, for as long as it is out.
    out: Map,
    /// Every object that was ever handed out: what is in here and not out was released.
    known: WeakSet,
    slots: Vec<Option<(u32, L)>>,
    free: Vec<u32>,
}

impl<L> Registry<L> {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, out: Map::new(), known: WeakSet::new(), slots: Vec::new(), free: Vec::new() }
    }

    /// Hands `object` out for `pool`.
    pub(crate) fn add(&mut self, object: &js_sys::Object, pool: u32, lease: L) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.slots[slot as usize] = Some((pool, lease));
        self.out.set(object, &slot.into());
        self.known.add(object);
    }

    /// Notes an object that was made for a pool; false if it is of a pool already.
    pub(crate) fn note(&self, object: &js_sys::Object) -> bool {
        let new = !self.known.has(object);
        self.known.add(object);
        new
    }

    /// Takes the leases of all objects that `pool` handed out. What becomes of each is to be told to [`forget`](Self::forget).
    pub(crate) fn take_all(&mut self, pool: u32) -> Vec<L> {
        let of_pool = |slot: &mut Option<(u32, L)>| slot.take_if(|(owner, _)| *owner == pool);
        self.slots.iter_mut().filter_map(of_pool).map(|(_, lease)| lease).collect()
    }

    /// Knows nothing of an object any more.
    pub(crate) fn forget(&mut self, object: &js_sys::Object) {
        self.free.extend(self.out.get(object).as_f64().map(|slot| slot as u32));
        self.out.delete(object);
        self.known.delete(object);
    }

    fn slot(&self, object: &JsValue) -> Result<usize, JsValue> {
        self.out.get(object).as_f64().map(|slot| slot as usize).ok_or_else(|| {
            let known = object.is_object() && self.known.has(object.unchecked_ref());
            fail(if known { Code::ReleasedTwice } else { Code::Unknown }, self.what)
        })
    }

    /// The lease of an object that must be out.
    pub(crate) fn get(&self, object: &JsValue) -> Result<&L, JsValue> {
        let slot = self.slot(object)?;
        self.slots[slot].as_ref().map(|(_, lease)| lease).ok_or_else(|| fail(Code::Unknown, self.what))
    }

    /// The lease of an object, if it is out.
    pub(crate) fn find(&self, object: &JsValue) -> Option<&L> {
        let slot = self.out.get(object).as_f64()? as usize;
        self.slots[slot].as_ref().map(|(_, lease)| lease)
    }

    /// Takes back an object that `pool` handed out.
    pub(crate) fn take(&mut self, object: &JsValue, pool: u32) -> Result<L, JsValue> {
        let slot = self.slot(object)?;
        match self.slots[slot].take() {
            Some((owner, lease)) if owner == pool => {
                self.out.delete(object);
                self.free.push(slot as u32);
                Ok(lease)
            }
            other => {
                self.slots[slot] = other;
                Err(fail(Code::Foreign, self.what))
            }
        }
    }
}
