//! The part of `SampleCache` that is bytes: sounds, leases and their order are in `index.js`, where the decoder is.

use alloc::rc::{Rc, Weak};
use core::cell::{Cell, RefCell};

use js_sys::Function;
use pool_web::{AudioMemory, Member, PoolStats, Reservation};
use wasm_bindgen::prelude::*;

use crate::error::refused;
use crate::memory::{AudioMemoryManager, shift};
use crate::options::finite;

/// What the sounds of one cache take, and who gives them up.
struct Held {
    /// Bytes of all sounds. A decoder asks nobody: they count whether they fit or not.
    claim: RefCell<Reservation>,
    /// Of those, bytes of sounds that nobody has leased.
    idle: Cell<usize>,
    /// Takes the bytes that are wanted, and returns those that it gave up.
    evict: Function,
}

impl Member for Held {
    fn holds_nodes(&self) -> bool {
        false
    }

    fn stats(&self) -> PoolStats {
        let mut stats = PoolStats::default();
        stats.idle_bytes = self.idle.get();
        stats.leased_bytes = self.claim.borrow().bytes() - stats.idle_bytes;
        stats
    }

    fn evict(&self, bytes: usize) -> usize {
        // It does not throw, and comes back to `shift`.
        let freed = self.evict.call1(&JsValue::UNDEFINED, &JsValue::from_f64(bytes as f64));
        freed.ok().and_then(|freed| freed.as_f64()).unwrap_or(0.0) as usize
    }
}

/// The bytes of a cache of decoded sounds.
#[wasm_bindgen(skip_typescript)]
pub struct Samples {
    memory: AudioMemory,
    held: Rc<Held>,
}

#[wasm_bindgen]
impl Samples {
    #[wasm_bindgen(constructor)]
    pub fn new(memory: f64, evict: Function) -> Result<Self, JsValue> {
        let memory = finite(memory).and_then(|key| AudioMemoryManager::of(key as u32)).unwrap_or_default();
        let claim = memory.account().charge_external(0).map_err(refused)?;
        let held = Rc::new(Held { claim: RefCell::new(claim), idle: Cell::new(0), evict });
        let member: Weak<Held> = Rc::downgrade(&held);
        memory.join(member);
        Ok(Self { memory, held })
    }

    /// There are so many bytes more, or fewer, and more or fewer of them are idle. Returns how many there are.
    #[wasm_bindgen(js_name = _shift)]
    pub fn shift(&self, bytes: f64, idle: f64) -> Result<f64, JsValue> {
        shift(&self.held.claim, bytes)?;
        self.held.idle.set((self.held.idle.get() as f64 + idle) as usize);
        Ok(self.held.claim.borrow().bytes() as f64)
    }

    /// Makes room for what is over the budget, and calls the callbacks that are due.
    #[wasm_bindgen(js_name = _settle)]
    pub fn settle(&self) {
        self.memory.settle();
    }
}
