//! `AudioPerformanceProfiler`.

use js_sys::Array;
use pool_web::AudioProfiler;
use wasm_bindgen::prelude::*;
use web_sys::AudioContext;

use crate::error::{object, thrown};
use crate::options::Options;

/// What cannot be known is null: JavaScript takes `undefined` for an option that was left out.
fn known(value: Option<f64>) -> JsValue {
    value.map_or(JsValue::NULL, JsValue::from_f64)
}

/// How an audio context is doing.
#[wasm_bindgen(skip_typescript)]
pub struct AudioPerformanceProfiler {
    profiler: alloc::rc::Rc<AudioProfiler>,
}

#[wasm_bindgen]
impl AudioPerformanceProfiler {
    #[wasm_bindgen(constructor)]
    pub fn new(context: AudioContext, options: JsValue) -> Result<Self, JsValue> {
        let options = Options::new(options, "")?;
        let profiler = match options.get("moduleUrl").as_string() {
            Some(url) => AudioProfiler::with_module_url(&context, &url),
            None => AudioProfiler::new(&context),
        };
        Ok(Self { profiler: profiler.into() })
    }

    #[wasm_bindgen(js_name = startMonitoring)]
    pub fn start_monitoring(&self) -> js_sys::Promise {
        let profiler = alloc::rc::Rc::clone(&self.profiler);
        wasm_bindgen_futures::future_to_promise(async move {
            profiler.start().await.map(|()| JsValue::UNDEFINED).map_err(thrown)
        })
    }

    #[wasm_bindgen(js_name = stopMonitoring)]
    pub fn stop_monitoring(&self) {
        self.profiler.stop();
    }

    #[wasm_bindgen(getter, js_name = isMonitoring)]
    pub fn is_monitoring(&self) -> bool {
        self.profiler.is_monitoring()
    }

    #[wasm_bindgen(js_name = getMetrics)]
    pub fn get_metrics(&self) -> JsValue {
        let metrics = self.profiler.metrics();
        object(&[
            ("contextTime", metrics.context_time.into()),
            ("baseLatency", known(metrics.base_latency)),
            ("outputLatency", known(metrics.output_latency)),
            ("bufferUnderruns", known(metrics.underruns.map(|count| count as f64))),
            ("underrunSeconds", known(metrics.underrun_seconds)),
            ("processingLoad", known(metrics.load)),
            ("averageCallbackTime", known(metrics.average_callback_interval)),
            ("quanta", (metrics.quanta as f64).into()),
        ])
    }

    #[wasm_bindgen(js_name = getLatencyInfo)]
    pub fn get_latency_info(&self) -> JsValue {
        let latency = self.profiler.latency();
        object(&[
            // The design note calls it so; it is no latency of an input.
            ("input", known(latency.base)),
            ("base", known(latency.base)),
            ("output", known(latency.output)),
            ("total", known(latency.total)),
        ])
    }

    #[wasm_bindgen(js_name = getTimingHistory)]
    pub fn get_timing_history(&self) -> Array {
        let history = self.profiler.history().into_iter();
        let entry = |timing: pool_web::CallbackTiming| {
            object(&[
                ("timestamp", timing.timestamp.into()),
                ("duration", known(timing.interval)),
                ("busy", timing.busy.into()),
                ("frames", timing.frames.into()),
            ])
        };
        history.map(entry).collect()
    }

    #[wasm_bindgen(js_name = resetStats)]
    pub fn reset_stats(&self) {
        self.profiler.reset();
    }

    #[wasm_bindgen(js_name = logMetrics)]
    pub fn log_metrics(&self) {
        self.profiler.log();
    }

    pub fn dispose(&self) {
        self.profiler.stop();
        self.profiler.reset();
    }
}
