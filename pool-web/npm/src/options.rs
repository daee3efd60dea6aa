//! Options, as numbers: what was left out is infinite. They are read and checked in `package/index.js`.

use pool_web::AudioMemory;

use crate::memory::AudioMemoryManager;

/// The options that all pools have.
pub(crate) struct Options {
    pub(crate) most_idle: usize,
    pub(crate) most: Option<usize>,
    pub(crate) idle_ms: Option<f64>,
    pub(crate) memory: Option<AudioMemory>,
}

impl Options {
    pub(crate) fn new(most_idle: f64, most: f64, idle_seconds: f64, memory: f64) -> Self {
        Self {
            most_idle: most_idle as usize,
            most: finite(most).map(|most| most as usize),
            idle_ms: finite(idle_seconds).map(|seconds| seconds * 1000.0),
            memory: finite(memory).and_then(|key| AudioMemoryManager::of(key as u32)),
        }
    }
}

pub(crate) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
