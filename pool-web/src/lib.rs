#![cfg_attr(feature = "web-sys", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "web-sys"),
    doc = "The bookkeeping of pooled Web Audio, without a browser: keys, errors, recipes, edges, quarantine, memory, and \
           the profiler's arithmetic. The pools themselves need the feature `web-sys`, which is on by default."
)]
#![deny(missing_docs)]
#![no_std]
// On docs.rs each item says which feature it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
// Where there may be several threads, for what each of them has of its own.
#[cfg(any(test, not(all(target_family = "wasm", not(target_feature = "atomics")))))]
extern crate std;

pub mod edges;
mod error;
mod key;
mod memory;
mod metrics;
pub mod node_types;
#[cfg(feature = "web-sys")]
#[doc(hidden)]
pub mod per_thread;
pub mod quarantine;
pub mod recipe;
pub mod timing;

pub use error::{BufferFault, Exception, WebError};
pub use key::{BufferKey, DELAY_LIMIT, DelayKey, IirKey, MAX_CHANNELS, buffer_bytes};
pub use memory::{AudioMemory, AudioMemoryBuilder, DEFAULT_BUDGET, Member, MemoryStats};
pub use metrics::{LatencyInfo, Metrics, UnderrunCount};
pub use pool_audio::Histogram;
pub use pool_core::{Bytes, LeaseId, OverBudget, PoolStats, ReleaseError, Reservation, Verdict};
pub use timing::{CallbackTiming, LoadSummary};

#[cfg(feature = "web-sys")]
#[doc = include_str!("design_note.md")]
pub mod coming_from_the_design_note {}

#[cfg(feature = "web-sys")]
mod any_key;
#[cfg(feature = "web-sys")]
mod bindings;
#[cfg(feature = "web-sys")]
mod buffer;
#[cfg(feature = "web-sys")]
mod console;
#[cfg(feature = "web-sys")]
mod context;
#[cfg(feature = "web-sys")]
mod core_pool;
#[cfg(feature = "web-sys")]
mod ended;
#[cfg(feature = "web-sys")]
mod node;
#[cfg(feature = "web-sys")]
mod node_lease;
#[cfg(feature = "web-sys")]
mod node_stats;
#[cfg(feature = "web-sys")]
mod nodes;
#[cfg(feature = "web-sys")]
mod pool_error;
#[cfg(feature = "web-sys")]
mod pool_node;
#[cfg(feature = "web-sys")]
mod probe;
#[cfg(feature = "web-sys")]
mod profiler;
#[cfg(feature = "web-sys")]
mod protocol;
#[cfg(feature = "web-sys")]
mod release;
#[cfg(feature = "web-sys")]
mod samples;
#[cfg(feature = "web-sys")]
mod time;

#[cfg(feature = "web-sys")]
#[doc(hidden)]
pub use self::core_pool::Bounds;
#[cfg(feature = "web-sys")]
pub use self::{
    bindings::Interval,
    buffer::{AudioBufferPool, AudioBufferPoolBuilder, BufferLease, Hold},
    context::PoolContext,
    ended::{Ended, ended},
    node::{AudioNodePool, AudioNodePoolBuilder},
    node_lease::{NodeLease, Source},
    node_stats::NodeStats,
    nodes::{AudioNodePoolManager, AudioNodePoolManagerBuilder, NodeManagerStats},
    pool_node::{NodeFacts, PoolNode},
    profiler::{AudioProfiler, WORKLET_MODULE},
    samples::{SampleCache, SampleLease},
};
