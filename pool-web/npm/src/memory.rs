//! `AudioMemoryManager`.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;

use js_sys::{Array, Function, Reflect};
use pool_web::{AudioMemory, Bytes, DEFAULT_BUDGET};
use wasm_bindgen::prelude::*;
use web_sys::AudioBuffer;

use crate::error::{fail, number, object, thrown};
use crate::options::Options;

pool_web::per_thread! {
    /// By number: a manager inside an options object is a plain object to us, which tells its number.
    static ALL: RefCell<(u32, BTreeMap<u32, AudioMemory>)> = RefCell::new((0, BTreeMap::new()));
}

/// One budget in bytes for buffers, delay lines and what is tracked by id.
#[wasm_bindgen(skip_typescript)]
pub struct AudioMemoryManager {
    memory: AudioMemory,
    key: u32,
}

impl AudioMemoryManager {
    /// The budget behind a value of this class.
    pub(crate) fn of(value: &JsValue) -> Option<AudioMemory> {
        let key = Reflect::get(value, &"poolWebKey".into()).ok()?.as_f64()?;
        ALL.with_borrow(|all| all.1.get(&(key as u32)).cloned())
    }
}

impl Drop for AudioMemoryManager {
    fn drop(&mut self) {
        let memory = ALL.with_borrow_mut(|all| all.1.remove(&self.key));
        drop(memory);
    }
}

fn megabytes(value: f64) -> Result<usize, JsValue> {
    if value >= 0.0 {
        Ok((value * 1024.0 * 1024.0) as usize)
    } else {
        Err(fail("bad-option", "the threshold must be a number of at least 0"))
    }
}

/// What a callback throws must not end what the pools are doing: it is thrown on in a task of its own.
fn call(callback: Function) -> impl Fn(usize) {
    move |used| {
        if let Err(error) = callback.call1(&JsValue::UNDEFINED, &number(used)) {
            wasm_bindgen_futures::spawn_local(async move { wasm_bindgen::throw_val(error) });
        }
    }
}

#[wasm_bindgen]
impl AudioMemoryManager {
    #[wasm_bindgen(constructor)]
    pub fn new(
        warning_megabytes: Option<f64>,
        on_warning: Option<Function>,
        options: JsValue,
    ) -> Result<Self, JsValue> {
        let options = Options::new(options, "budgetBytes")?;
        let warning = warning_megabytes.map(megabytes).transpose()?;
        // Who names a threshold beyond the default budget means to use as much.
        let budget = options.count("budgetBytes")?.unwrap_or(DEFAULT_BUDGET.max(warning.unwrap_or(0)));
        let mut builder = AudioMemory::builder().budget(budget);
        if let Some(bytes) = warning {
            builder = builder.warning_at(bytes);
        }
        if let Some(callback) = on_warning {
            builder = builder.on_warning(call(callback));
        }
        if let Some(callback) = options.get("onRecovery").dyn_ref::<Function>().cloned() {
            builder = builder.on_recovery(call(callback));
        }
        let memory = builder.build();
        let key = ALL.with_borrow_mut(|(next, all)| {
            let key = *next;
            *next = next.wrapping_add(1);
            all.insert(key, memory.clone());
            key
        });
        Ok(Self { memory, key })
    }

    #[wasm_bindgen(getter, js_name = poolWebKey)]
    pub fn key(&self) -> u32 {
        self.key
    }

    #[wasm_bindgen(js_name = trackBuffer)]
    pub fn track_buffer(&self, id: &str, buffer: &AudioBuffer) -> Result<(), JsValue> {
        let tracked = self.memory.track_buffer(id, buffer);
        tracked.map(drop).map_err(|refusal| thrown(pool_web::WebError::OverBudget(refusal)))
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

    #[wasm_bindgen(js_name = getStats)]
    pub fn get_stats(&self) -> JsValue {
        let stats = self.memory.stats();
        object(&[
            ("estimatedBufferMemory", number(stats.used)),
            ("activeNodes", number(stats.active_nodes)),
            ("cachedBuffers", number(stats.cached_buffers)),
            ("peakMemory", number(stats.peak)),
            ("inUse", number(stats.leased)),
            ("available", number(stats.idle)),
            ("tracked", number(stats.tracked)),
            ("budget", number(stats.limit)),
            ("overBudget", number(stats.overcommitted)),
            ("idleNodes", number(stats.idle_nodes)),
        ])
    }

    #[wasm_bindgen(js_name = setBudget)]
    pub fn set_budget(&self, bytes: f64) -> Result<f64, JsValue> {
        if bytes >= 0.0 {
            Ok(self.memory.set_limit(bytes as usize) as f64)
        } else {
            Err(fail("bad-option", "the budget must be a number of at least 0"))
        }
    }

    /// Any iterable of ids: the design note has a `Set`.
    pub fn cleanup(&self, keep: &JsValue) -> Result<f64, JsValue> {
        let keep = js_sys::try_iter(keep)?.ok_or_else(|| fail("bad-option", "`keepIds` must be iterable"))?;
        let mut ids = BTreeSet::new();
        for id in keep {
            ids.extend(id?.as_string());
        }
        Ok(self.memory.retain(|id, _| ids.contains(id)) as f64)
    }

    #[wasm_bindgen(js_name = evictToSize)]
    pub fn evict_to_size(&self, bytes: f64) -> Array {
        // A negative number and NaN become 0.
        self.memory.evict_to(bytes as usize).into_iter().map(JsValue::from).collect()
    }

    #[wasm_bindgen(js_name = formatBytes)]
    pub fn format_bytes(&self, bytes: f64) -> String {
        Bytes(bytes as usize).to_string()
    }

    #[wasm_bindgen(js_name = logStats)]
    pub fn log_stats(&self) {
        self.memory.log();
    }

    pub fn report(&self) -> String {
        self.memory.report()
    }

    #[wasm_bindgen(js_name = resetPeak)]
    pub fn reset_peak(&self) {
        self.memory.reset_peak();
    }

    pub fn clear(&self) {
        self.memory.clear();
    }
}
