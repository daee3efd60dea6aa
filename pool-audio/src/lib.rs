// The example there reads the clock of `std`.
#![cfg_attr(feature = "std", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "std"), doc = "Pooled sample buffers and a callback profiler; see the README.")]
#![no_std]
// On docs.rs each item says which feature it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]
// Denied and not forbidden: the traits of `audioadapter` are unsafe to implement, which one file does.
#![deny(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

// Who may use whom: error < key < sample < format, interop, pool < memory < realtime, and sync < histogram < monitor < profiler.
mod error;
mod format;
mod histogram;
mod interop;
mod key;
#[cfg(feature = "mlock")]
mod lock;
mod memory;
mod monitor;
mod pool;
mod profiler;
// Leases in an `Arc`: not for cores without compare-and-swap.
#[cfg(target_has_atomic = "ptr")]
mod realtime;
mod sample;
mod sync;

pub use error::BufferError;
pub use format::SampleFormat;
pub use histogram::Histogram;
pub use key::BufferKey;
#[cfg(feature = "mlock")]
pub use lock::lock_memory;
pub use memory::{AudioMemory, AudioMemoryBuilder, DEFAULT_BUDGET, Evicted, MemoryReport, PoolReport};
pub use monitor::{LatencySummary, LoadSummary, ProfileMonitor, ProfileSnapshot};
pub use pool::{
    BufferFactory, BufferLease, BufferPool, BufferPoolBuilder, FullLength, KeyedBuffers, OwnedBufferLease,
};
pub use profiler::{CallbackProfiler, CallbackTiming, HISTORY};
#[cfg(target_has_atomic = "ptr")]
pub use realtime::{
    CLEARED_ON_ACQUIRE, ClassFactory, ClassPool, ClassStats, CreateError, Maintained, RealtimeBuffer,
    RealtimeHandle, RealtimeLease, RealtimePool, RealtimePoolBuilder, RealtimeStats, SameShape, SharedLease,
};
#[cfg(all(feature = "std", target_has_atomic = "ptr"))]
pub use realtime::{StillOut, Worker};
pub use sample::{Planes, PlanesMut, SampleBuffer};

// What the signatures here are made of, so that a user needs no second dependency.
#[cfg(feature = "std")]
pub use pool_core::InstantClock;
pub use pool_core::{
    Account, AccountEvent, AccountEventKind, AcquireError, Bytes, Clock, KeyStats, ManualClock, OverBudget,
    PoolStats, Pressure, Tick,
};
