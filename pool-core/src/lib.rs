#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! | you want | look at |
//! |---|---|
//! | objects that are all alike, one thread | [`LocalPool`], without an allocator [`FixedLocalPool`] |
//! | objects that are all alike, for threads | [`SharedPool`]; in a `static`, without an allocator [`StaticPool`] |
//! | the same on a thread that may not wait, or at full speed | a [`Cache`] in front of either |
//! | objects by size or format under one budget, one thread | [`KeyedPool`], without an allocator [`FixedKeyedPool`] |
//! | the same for threads, over a mutex of your choice | `SharedKeyedPool`; one key of it, lock-free: `KeyClass` |
//! | several pools under one number of bytes that give back to one another | `KeyedPoolBuilder::build_rc`, `build_shared`, `SharedPoolBuilder::build_arc` |
//! | to hear what a pool makes, destroys and refuses, and of leaks | [`Observer`]; `ToLog`, `ToTracing`, `ToMetrics` |
//! | an object back, but not before a certain time | [`Lease::release_at`] |
//! | to say how objects are made, reset and weighed | [`Factory`], [`Resetter`], [`Footprint`]; for closures [`KeyedPoolBuilder::estimate`] |
//! | an object while it is out | [`Lease`]; across FFI [`LeaseId`] |
//! | a number of bytes that several pools must stay under | [`Account`], without an allocator [`Ledger`] |
//! | bytes of something that no pool owns | [`Reservation`]; many things by id: `Tracker` |
//! | idle objects to expire | [`Clock`], [`KeyedPoolBuilder::idle_ttl`] |
//! | to look at numbers | [`PoolStats`], [`KeyStats`], [`Bytes`] |
//!
//! # Which pool
//!
//! | | [`LocalPool`] | [`Cache`] | [`SharedPool`] | [`StaticPool`] | [`KeyedPool`] |
//! |---|---|---|---|---|---|
//! | threads | one | one, in front of a shared pool | any | any, and interrupt handlers | one |
//! | acquire and release | O(1) | O(1), wait-free while it has something | O(1), lock-free; release wait-free | the same | O(1) |
//! | who waits | nobody | nobody | who calls `acquire_timeout` or `acquire_async` | the same, but blocking | nobody |
//! | order of reuse | last released first | lowest slot | lowest slot of the group used last | the same | last released first |
//! | memory a slot beside the object, 64 bits | 16 bytes | | 8.8 bytes | 15 bytes | 64 bytes |
//! | destroys on release | yes | no | no: [`SharedPool::maintain`] | no | yes |
//! | keys, expiry | | | | | yes |
//!
//! # Words
//!
//! An object is *leased* while it is out and *idle* while it waits; `created = leased + idle + destroyed +
//! detached`, always. A *hit* is served from the idle set, a *miss* has to create. To *evict* is to destroy an idle
//! object, to *discard* is to destroy a leased one instead of releasing it, to *detach* is to take it out of the
//! pool for good. In pools for threads a release destroys nothing: what is not worth keeping is *doomed*, and counts as
//! idle until it is destroyed by who may.
//!
//! # Features
//!
//! - `std` (default): `alloc`, `InstantClock`, blocking acquires, and caches that threads have of their own.
//! - `alloc`: pools that grow, owned leases, accounts on the heap, `Tracker`.
//! - `lock_api`: keyed pools for threads.
//! - `log`, `tracing`, `metrics`: ready observers. `metrics` needs `std`, and `tracing` a core with compare-and-swap.
//! - `serde`: `Serialize` for snapshots.
//! - none: no allocator and no std, down to Cortex-M0. On cores without compare-and-swap the program has to supply
//!   a `critical-section` implementation, as HALs do.
#![no_std]
// On docs.rs each item says which feature it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

#[cfg(all(feature = "lock_api", target_has_atomic = "ptr"))]
#[doc = include_str!("../PROMISES.md")]
pub mod promises {}

mod account;
mod bytes;
mod cache;
mod clock;
mod create;
mod error;
mod exclusive;
mod held;
mod keyed;
mod lane;
mod lease;
mod lifecycle;
#[cfg(feature = "alloc")]
mod lines;
mod local;
#[cfg(feature = "alloc")]
mod lock;
mod lru;
#[cfg(feature = "alloc")]
mod numbered;
mod observe;
mod pages;
mod shared;
mod slots;
mod stats;
mod sync;
#[cfg(feature = "std")]
mod threads;
#[cfg(feature = "alloc")]
mod tracker;
mod unwind;
mod wait;
mod wanted;
mod work;

pub use account::{
    Account, AccountEvent, AccountEventKind, AccountRef, Charge, Ledger, Mode, NotHeld, OverBudget, Pressure,
    Reservation, Shared,
};
#[cfg(feature = "alloc")]
pub use account::{AccountBuilder, AccountSnapshot, Credit, Local, LocalAccount};
pub use bytes::Bytes;
pub use cache::Cache;
#[cfg(feature = "std")]
pub use clock::InstantClock;
pub use clock::{Clock, ManualClock, NoClock, Tick};
pub use error::{AcquireError, ReleaseError};
#[cfg(feature = "lock_api")]
pub use keyed::SharedKeyedPool;
pub use keyed::{FixedKeyedPool, KeyStats, KeyedPool, KeyedPoolBuilder};
#[cfg(all(feature = "lock_api", target_has_atomic = "ptr"))]
pub use keyed::{KeyClass, OfKey};
pub use lease::{Lease, LeaseId, Pool};
pub use lifecycle::{Estimated, Factory, Footprint, KeepAll, Resetter, Verdict};
pub use local::{FixedLocalPool, LocalPool, LocalPoolBuilder};
#[cfg(feature = "log")]
pub use observe::ToLog;
#[cfg(feature = "metrics")]
pub use observe::ToMetrics;
#[cfg(feature = "tracing")]
pub use observe::ToTracing;
pub use observe::{Discard, Eviction, Leak, Observer, Refusal, Removal, Silent};
pub use shared::{SharedPool, SharedPoolBuilder, StaticPool};
#[cfg(feature = "alloc")]
pub use slots::Growing;
#[cfg(feature = "lock_api")]
pub use slots::Locked;
pub use slots::{Fixed, Storage};
pub use stats::PoolStats;
#[cfg(feature = "alloc")]
pub use tracker::Tracker;
pub use wait::Acquire;
pub use work::WorkLimit;
