//! `AudioMemoryManager`.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use js_sys::{Array, Function, Set};
use pool_web::{AudioMemory, DEFAULT_BUDGET};
use wasm_bindgen::prelude::*;
use web_sys::AudioBuffer;

use crate::error::refused;
use crate::options::{finite, given};

pool_web::per_thread! {
    /// By number: the options of a pool tell it.
    static ALL: RefCell<Vec<Option<AudioMemory>>> = RefCell::new(Vec::new());
}

/// One budget in bytes for buffers, delay lines and what is tracked by id.
#[wasm_bindgen(skip_typescript)]
pub struct AudioMemoryManager {
    memory: AudioMemory,
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

/// The callbacks come from `index.js`, and do not throw.
fn call(callback: Function) -> impl Fn(usize) {
    move |used| {
        let _ = callback.call1(&JsValue::UNDEFINED, &JsValue::from_f64(used as f64));
    }
}

#[wasm_bindgen]
impl AudioMemoryManager {
    #[wasm_bindgen(constructor)]
    pub fn new(warning: f64, budget: f64, on_warning: Function, on_recovery: Function) -> Self {
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
        Self { memory, key }
    }

    #[wasm_bindgen(js_name = _key)]
    pub fn key(&self) -> u32 {
        self.key
    }

    #[wasm_bindgen(js_name = trackBuffer)]
    pub fn track_buffer(&self, id: &str, buffer: JsValue) -> Result<(), JsValue> {
        let buffer: AudioBuffer = given(buffer, "getChannelData", "the buffer must be an AudioBuffer")?;
        let tracked = self.memory.track_buffer(id, &buffer);
        tracked.map(drop).map_err(refused)
    }

    #[wasm_bindgen(js_name = untrackBuffer)]
    pub fn untrack_buffer(&self, id: &str) -> Option<f64> {
        self.memory.untrack_buffer(id).map(|bytes| bytes as f64)
    }

    pub fn touch(&self, id: &str) -> bool {
        self.memory.touch(id)
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
            stats.cached_buffers,
            stats.peak,
            stats.leased,
            stats.idle,
            stats.tracked,
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

    #[wasm_bindgen(js_name = _cleanup)]
    pub fn cleanup(&self, keep: &Set) -> f64 {
        self.memory.retain(|id, _| keep.has(&JsValue::from_str(id))) as f64
    }

    #[wasm_bindgen(js_name = evictToSize)]
    pub fn evict_to_size(&self, bytes: f64) -> Array {
        let ids = Array::new();
        // A negative number and NaN become 0.
        let gone: Vec<String> = self.memory.evict_to(bytes as usize);
        for id in &gone {
            ids.push(&JsValue::from_str(id));
        }
        ids
    }

    #[wasm_bindgen(js_name = resetPeak)]
    pub fn reset_peak(&self) {
        self.memory.reset_peak();
    }

    pub fn clear(&self) {
        self.memory.clear();
    }
}
