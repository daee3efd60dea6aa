//! `AudioBufferPool`.

use core::cell::RefCell;

use pool_web::{AudioBufferPool as Pool, BufferLease, Interval, WebError};
use wasm_bindgen::prelude::*;
use web_sys::{AudioBuffer, AudioBufferSourceNode, BaseAudioContext};

use crate::error::{number, object, thrown};
use crate::options::Options;
use crate::registry::Registry;

/// Idle buffers of a shape that are kept unless the options say otherwise: the design note's number.
const KEPT: usize = 20;
/// Seconds between two rounds of housekeeping: the design note's number.
const CARE_SECONDS: f64 = 30.0;

/// Buffers by channels, length and sample rate.
#[wasm_bindgen(skip_typescript)]
pub struct AudioBufferPool {
    pool: Pool,
    out: RefCell<Registry<BufferLease>>,
    sample_rate: f32,
    care: RefCell<Option<Interval>>,
}

#[wasm_bindgen]
impl AudioBufferPool {
    #[wasm_bindgen(constructor)]
    pub fn new(context: BaseAudioContext, options: JsValue) -> Result<Self, JsValue> {
        let options = Options::new(options, "maxPoolSize")?;
        let mut builder =
            Pool::builder(&context).max_idle_per_key(options.count("maxPoolSize")?.unwrap_or(KEPT));
        if let Some(memory) = options.memory()? {
            builder = builder.memory(&memory);
        }
        if let Some(buffers) = options.count("maxBuffers")? {
            builder = builder.max_per_key(buffers);
        }
        let idle = options.number("idleSeconds")?;
        if let Some(seconds) = idle {
            builder = builder.idle_ttl_ms(seconds * 1000.0);
        }
        let pool = builder.build();
        let cared_for = pool.clone();
        // Without a limit of idle time there is nothing to look after.
        let care = match idle {
            Some(seconds) => {
                let every = seconds.clamp(1.0, CARE_SECONDS) * 1000.0;
                let care = move || {
                    cared_for.maintain();
                };
                Some(Interval::new(every, care).map_err(thrown)?)
            }
            None => None,
        };
        Ok(Self {
            pool,
            out: RefCell::default(),
            sample_rate: context.sample_rate(),
            care: RefCell::new(care),
        })
    }

    pub fn acquire(
        &self,
        channels: u32,
        length: u32,
        sample_rate: Option<f32>,
    ) -> Result<AudioBuffer, JsValue> {
        self.hand_out(self.pool.acquire(channels, length, sample_rate.unwrap_or(self.sample_rate)))
    }

    #[wasm_bindgen(js_name = acquireDirty)]
    pub fn acquire_dirty(
        &self,
        channels: u32,
        length: u32,
        sample_rate: Option<f32>,
    ) -> Result<AudioBuffer, JsValue> {
        self.hand_out(self.pool.acquire_dirty(channels, length, sample_rate.unwrap_or(self.sample_rate)))
    }

    fn hand_out(&self, lease: Result<BufferLease, WebError>) -> Result<AudioBuffer, JsValue> {
        let lease = lease.map_err(thrown)?;
        let buffer = lease.as_raw().clone();
        self.out.borrow_mut().add(&buffer, 0, lease);
        Ok(buffer)
    }

    pub fn release(&self, buffer: &JsValue) -> Result<(), JsValue> {
        let lease = self.out.borrow_mut().take(buffer, 0, "buffer")?;
        drop(lease);
        Ok(())
    }

    pub fn discard(&self, buffer: &JsValue) -> Result<(), JsValue> {
        let lease = self.out.borrow_mut().take(buffer, 0, "buffer")?;
        lease.discard();
        Ok(())
    }

    pub fn play(&self, buffer: &AudioBuffer, source: &AudioBufferSourceNode) -> Result<(), JsValue> {
        let out = self.out.borrow();
        let lease = out.get(buffer).ok_or_else(|| out.missing(buffer, "buffer"))?;
        lease.play_on(source).map(drop).map_err(thrown)
    }

    pub fn prewarm(
        &self,
        channels: u32,
        length: u32,
        count: usize,
        sample_rate: Option<f32>,
    ) -> Result<usize, JsValue> {
        let rate = sample_rate.unwrap_or(self.sample_rate);
        self.pool.prewarm(channels, length, rate, count).map_err(thrown)
    }

    pub fn maintain(&self) -> usize {
        self.pool.maintain()
    }

    pub fn trim(&self, available: usize) -> usize {
        self.pool.trim(available)
    }

    #[wasm_bindgen(js_name = getStats)]
    pub fn get_stats(&self) -> JsValue {
        let stats = self.pool.stats();
        object(&[
            ("poolCount", number(self.pool.shapes())),
            ("totalBuffers", number(stats.objects())),
            ("inUse", number(stats.leased)),
            ("available", number(stats.idle)),
            ("bytes", number(stats.bytes())),
            ("created", (stats.created as f64).into()),
            ("destroyed", (stats.destroyed as f64).into()),
            ("hits", (stats.hits as f64).into()),
            ("misses", (stats.misses as f64).into()),
            ("discarded", (stats.discarded as f64).into()),
        ])
    }

    pub fn clear(&self) {
        self.pool.clear();
    }

    pub fn dispose(&self) {
        self.care.take();
        self.pool.close();
    }
}
