//! `AudioBufferPool`.

use alloc::boxed::Box;
use core::cell::RefCell;

use pool_web::{AudioBufferPool as Pool, BufferLease, WebError};
use wasm_bindgen::prelude::*;
use web_sys::{AudioBuffer, AudioBufferSourceNode};

use crate::error::{bad_buffer, thrown};
use crate::options::{bounds, given, given_context, whole};
use crate::registry::Registry;

/// Buffers by channels, length and sample rate.
#[wasm_bindgen(skip_typescript)]
pub struct AudioBufferPool {
    pool: Pool,
    out: RefCell<Registry<BufferLease>>,
}

/// The shape, or an error with the numbers as they were given.
fn shape(channels: f64, length: f64, sample_rate: f64) -> Result<(u32, u32, f32), JsValue> {
    match (whole(channels), whole(length)) {
        (Some(channels), Some(length)) => Ok((channels, length, sample_rate as f32)),
        _ => Err(bad_buffer(channels, length, sample_rate)),
    }
}

#[wasm_bindgen]
impl AudioBufferPool {
    #[wasm_bindgen(constructor)]
    pub fn new(
        context: JsValue,
        most_idle: f64,
        most: f64,
        idle_seconds: f64,
        memory: f64,
    ) -> Result<Self, JsValue> {
        let context = given_context(context)?;
        let bounds = bounds(most_idle, most, idle_seconds, memory);
        let pool = Pool::builder(&context).bounds(&bounds).build();
        Ok(Self { pool, out: RefCell::new(Registry::new("buffer")) })
    }

    #[wasm_bindgen(js_name = _acquire)]
    pub fn acquire(
        &self,
        channels: f64,
        length: f64,
        sample_rate: f64,
        dirty: bool,
    ) -> Result<AudioBuffer, JsValue> {
        let (channels, length, sample_rate) = shape(channels, length, sample_rate)?;
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

    pub fn play(&self, buffer: &AudioBuffer, source: JsValue) -> Result<(), JsValue> {
        let source: AudioBufferSourceNode =
            given(source, "start", "the source must be an AudioBufferSourceNode")?;
        let out = self.out.borrow();
        out.get(buffer)?.play_on(&source).map(drop).map_err(thrown)
    }

    #[wasm_bindgen(js_name = _prewarm)]
    pub fn prewarm(
        &self,
        channels: f64,
        length: f64,
        sample_rate: f64,
        count: f64,
    ) -> Result<usize, JsValue> {
        let (channels, length, sample_rate) = shape(channels, length, sample_rate)?;
        self.pool.prewarm(channels, length, sample_rate, count as usize).map_err(thrown)
    }

    pub fn maintain(&self) -> usize {
        self.pool.maintain()
    }

    #[wasm_bindgen(js_name = _trim)]
    pub fn trim(&self, available: f64) -> usize {
        self.pool.trim(available as usize)
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
