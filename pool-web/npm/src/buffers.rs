//! `AudioBufferPool`.

use alloc::boxed::Box;
use core::cell::RefCell;

use pool_web::{AudioBufferPool as Pool, BufferLease, WebError};
use wasm_bindgen::prelude::*;
use web_sys::{AudioBuffer, AudioBufferSourceNode, BaseAudioContext};

use crate::error::thrown;
use crate::options::bounds;
use crate::registry::Registry;

/// Buffers by channels, length and sample rate.
#[wasm_bindgen(skip_typescript)]
pub struct AudioBufferPool {
    pool: Pool,
    out: RefCell<Registry<BufferLease>>,
}

#[wasm_bindgen]
impl AudioBufferPool {
    #[wasm_bindgen(constructor)]
    pub fn new(context: BaseAudioContext, most_idle: f64, most: f64, idle_seconds: f64, memory: f64) -> Self {
        let bounds = bounds(most_idle, most, idle_seconds, memory);
        let pool = Pool::builder(&context).bounds(&bounds).build();
        Self { pool, out: RefCell::new(Registry::new("buffer")) }
    }

    #[wasm_bindgen(js_name = _acquire)]
    pub fn acquire(
        &self,
        channels: u32,
        length: u32,
        sample_rate: f32,
        dirty: bool,
    ) -> Result<AudioBuffer, JsValue> {
        let lease: Result<BufferLease, WebError> = if dirty {
            self.pool.acquire_dirty(channels, length, sample_rate)
        } else {
            self.pool.acquire(channels, length, sample_rate)
        };
        let lease = lease.map_err(thrown)?;
        let buffer = lease.as_raw().clone();
        self.out.borrow_mut().add(&buffer, 0, lease);
        Ok(buffer)
    }

    /// With `keep` as a release, else given up.
    #[wasm_bindgen(js_name = _end)]
    pub fn end(&self, buffer: &JsValue, keep: bool) -> Result<(), JsValue> {
        let lease = self.out.borrow_mut().take(buffer, 0)?;
        if keep {
            drop(lease);
        } else {
            lease.discard();
        }
        Ok(())
    }

    pub fn play(&self, buffer: &AudioBuffer, source: &AudioBufferSourceNode) -> Result<(), JsValue> {
        let out = self.out.borrow();
        out.get(buffer)?.play_on(source).map(drop).map_err(thrown)
    }

    #[wasm_bindgen(js_name = _prewarm)]
    pub fn prewarm(
        &self,
        channels: u32,
        length: u32,
        sample_rate: f32,
        count: usize,
    ) -> Result<usize, JsValue> {
        self.pool.prewarm(channels, length, sample_rate, count).map_err(thrown)
    }

    pub fn maintain(&self) -> usize {
        self.pool.maintain()
    }

    pub fn trim(&self, available: usize) -> usize {
        self.pool.trim(available)
    }

    #[wasm_bindgen(js_name = _stats)]
    pub fn stats(&self) -> Box<[f64]> {
        let stats = self.pool.stats();
        Box::new([
            self.pool.shapes() as f64,
            stats.objects() as f64,
            stats.leased as f64,
            stats.idle as f64,
            stats.bytes() as f64,
            stats.created as f64,
            stats.destroyed as f64,
            stats.hits as f64,
            stats.misses as f64,
            stats.discarded as f64,
        ])
    }

    pub fn clear(&self) {
        self.pool.clear();
    }

    #[wasm_bindgen(js_name = _close)]
    pub fn close(&self) {
        self.pool.close();
    }
}
