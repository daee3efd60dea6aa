//! `AudioPerformanceProfiler`.

use alloc::boxed::Box;
use alloc::vec::Vec;

use pool_web::AudioProfiler;
use wasm_bindgen::prelude::*;
use web_sys::AudioContext;

use crate::error::thrown;

/// What cannot be known is no number; `index.js` makes it null.
fn known(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::NAN)
}

/// How an audio context is doing.
#[wasm_bindgen(skip_typescript)]
pub struct AudioPerformanceProfiler {
    profiler: AudioProfiler,
}

#[wasm_bindgen]
impl AudioPerformanceProfiler {
    #[wasm_bindgen(constructor)]
    pub fn new(context: AudioContext) -> Self {
        Self { profiler: AudioProfiler::new(&context) }
    }

    /// The start, before the module is added, which `index.js` does; `false` if it monitors already.
    #[wasm_bindgen(js_name = _begin)]
    pub fn begin(&self) -> Result<bool, JsValue> {
        self.profiler.begin().map_err(thrown)
    }

    #[wasm_bindgen(js_name = _turn)]
    pub fn turn(&self) -> u32 {
        self.profiler.turn()
    }

    #[wasm_bindgen(js_name = _finish)]
    pub fn finish(&self, turn: u32) -> Result<(), JsValue> {
        self.profiler.finish(turn).map_err(thrown)
    }

    #[wasm_bindgen(js_name = stopMonitoring)]
    pub fn stop_monitoring(&self) {
        self.profiler.stop();
    }

    #[wasm_bindgen(getter, js_name = isMonitoring)]
    pub fn is_monitoring(&self) -> bool {
        self.profiler.is_monitoring()
    }

    #[wasm_bindgen(js_name = _metrics)]
    pub fn metrics(&self) -> Box<[f64]> {
        let metrics = self.profiler.metrics();
        let loads = metrics.loads;
        Box::new([
            metrics.context_time,
            known(metrics.base_latency),
            known(metrics.output_latency),
            known(metrics.underruns.map(|count| count as f64)),
            known(metrics.underrun_seconds),
            known(metrics.load),
            known(metrics.average_callback_interval),
            metrics.quanta as f64,
            known(loads.map(|loads| loads.p50)),
            known(loads.map(|loads| loads.p95)),
            known(loads.map(|loads| loads.p99)),
            known(loads.map(|loads| loads.max)),
            known(loads.map(|loads| loads.count as f64)),
        ])
    }

    #[wasm_bindgen(js_name = _latency)]
    pub fn latency(&self) -> Box<[f64]> {
        let latency = self.profiler.latency();
        Box::new([known(latency.base), known(latency.output), known(latency.total)])
    }

    /// Four numbers of each callback, one after the other.
    #[wasm_bindgen(js_name = _history)]
    pub fn history(&self) -> Box<[f64]> {
        let mut figures = Vec::new();
        for timing in self.profiler.history() {
            let entry = [timing.timestamp, known(timing.interval), timing.busy, timing.frames];
            figures.extend_from_slice(&entry);
        }
        figures.into()
    }

    #[wasm_bindgen(js_name = resetStats)]
    pub fn reset_stats(&self) {
        self.profiler.reset();
    }
}
