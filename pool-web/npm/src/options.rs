//! Options, as numbers: what was left out is infinite. They are read and checked in `package/index.js`.

use pool_web::Bounds;

use crate::memory::AudioMemoryManager;

/// The options that all pools have.
pub(crate) fn bounds(most_idle: f64, most: f64, idle_seconds: f64, memory: f64) -> Bounds {
    Bounds {
        memory: finite(memory).and_then(|key| AudioMemoryManager::of(key as u32)),
        max_per_key: finite(most).map(|most| most as usize),
        max_idle_per_key: Some(most_idle as usize),
        idle_ttl_ms: finite(idle_seconds).map(|seconds| seconds * 1000.0),
    }
}

pub(crate) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
