//! `AudioMemoryManager`.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::RefCell;

use js_sys::Function;
use pool_web::{AudioMemory, DEFAULT_BUDGET, Reservation};
use wasm_bindgen::prelude::*;

use crate::error::refused;
use crate::options::finite;

pool_web::per_thread! {
    /// By number: the options of a pool tell it.
    static ALL: RefCell<Vec<Option<AudioMemory>>> = RefCell::new(Vec::new());
}

/// One budget in bytes for buffers, delay lines and what is tracked by id.
#[wasm_bindgen(skip_typescript)]
pub struct AudioMemoryManager {
    memory: AudioMemory,
    /// What `index.js` tracks by id. It is there already: it counts whether it fits or not.
    tracked: RefCell<Reservation>,
    key: u32,
}

impl AudioMemoryManager {
    /// The budget with this number.
    pub(crate) fn of(key: u32) -> Option<AudioMemory> {
        ALL.with_borrow(|all| all.get(key as usize).cloned().flatten())
    }
}

impl Drop for AudioMemoryManager {
    fn drop(&mut self) {
        let memory = ALL.with_borrow_mut(|all| all[self.key as usize].take());
        drop(memory);
    }
}

/// There are so many bytes more, or fewer.
pub(crate) fn shift(claim: &RefCell<Reservation>, bytes: f64) -> Result<(), JsValue> {
    let mut claim = claim.borrow_mut();
    // A negative number becomes 0.
    claim.try_grow(bytes as usize).map_err(refused)?;
    // No more is given back than was taken: `index.js` has the sum.
    let _ = claim.shrink(-bytes as usize);
    Ok(())
}

/// The callbacks come from `index.js`, and do not throw.
fn call(callback: Function) -> impl Fn(usize) {
    move |used| {
        let _ = callback.call1(&JsValue::UNDEFINED, &JsValue::from_f64(used as f64));
    }
}

#[wasm_bindgen]
impl AudioMemoryManager {
    #[wasm_bindgen(constructor)]
    pub fn new(
        warning: f64,
        budget: f64,
        on_warning: Function,
        on_recovery: Function,
    ) -> Result<Self, JsValue> {
        let warning = finite(warning).map(|bytes| bytes as usize);
        // Who names a threshold beyond the default budget means to use as much.
        let default = DEFAULT_BUDGET.max(warning.unwrap_or(0));
        let budget = finite(budget).map_or(default, |bytes| bytes as usize);
        let mut builder =
            AudioMemory::builder().budget(budget).on_warning(call(on_warning)).on_recovery(call(on_recovery));
        if let Some(bytes) = warning {
            builder = builder.warning_at(bytes);
        }
        let memory = builder.build();
        let key = ALL.with_borrow_mut(|all| {
            let free = all.iter().position(Option::is_none);
            let key = free.unwrap_or(all.len());
            if free.is_none() {
                all.push(None);
            }
            all[key] = Some(memory.clone());
            key as u32
        });
        let tracked = RefCell::new(memory.account().charge_external(0).map_err(refused)?);
        Ok(Self { memory, tracked, key })
    }

    #[wasm_bindgen(js_name = _key)]
    pub fn key(&self) -> u32 {
        self.key
    }

    /// So many bytes more, or fewer, are tracked by id, which `index.js` does: it has the ids.
    #[wasm_bindgen(js_name = _track)]
    pub fn track(&self, bytes: f64) -> Result<(), JsValue> {
        shift(&self.tracked, bytes)
    }

    /// Makes room for what is over the budget, and calls the callbacks that are due.
    #[wasm_bindgen(js_name = _settle)]
    pub fn settle(&self) {
        self.memory.settle();
    }

    #[wasm_bindgen(js_name = trackNode)]
    pub fn track_node(&self) {
        self.memory.track_node();
    }

    #[wasm_bindgen(js_name = untrackNode)]
    pub fn untrack_node(&self) {
        self.memory.untrack_node();
    }

    #[wasm_bindgen(js_name = getEstimatedMemory)]
    pub fn get_estimated_memory(&self) -> f64 {
        self.memory.used() as f64
    }

    #[wasm_bindgen(js_name = _stats)]
    pub fn stats(&self) -> Box<[f64]> {
        let stats = self.memory.stats();
        let figures = [
            stats.used,
            stats.active_nodes,
            stats.peak,
            stats.leased,
            stats.idle,
            self.tracked.borrow().bytes(),
            stats.limit,
            stats.overcommitted,
            stats.idle_nodes,
        ];
        Box::new(figures.map(|figure| figure as f64))
    }

    #[wasm_bindgen(js_name = _setBudget)]
    pub fn set_budget(&self, bytes: f64) -> f64 {
        self.memory.set_limit(bytes as usize) as f64
    }

    /// Evicts what the pools have idle until no more is in use; returns the bytes that are still to go.
    #[wasm_bindgen(js_name = _evict)]
    pub fn evict(&self, bytes: f64) -> f64 {
        // A negative number and NaN become 0.
        self.memory.evict_pools_to(bytes as usize) as f64
    }

    #[wasm_bindgen(js_name = resetPeak)]
    pub fn reset_peak(&self) {
        self.memory.reset_peak();
    }

    /// Of what is not tracked.
    #[wasm_bindgen(js_name = _clear)]
    pub fn clear(&self) {
        self.memory.clear_pools();
    }
}
