#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! | you want | look at |
//! |---|---|
//! | objects that are all alike, one thread | [`LocalPool`], without an allocator [`FixedLocalPool`] |
//! | objects by size or format under one budget, one thread | [`KeyedPool`], without an allocator [`FixedKeyedPool`] |
//! | to say how objects are made, reset and weighed | [`Factory`], [`Resetter`], [`Footprint`] |
//! | an object while it is out | [`Lease`]; across FFI [`LeaseId`] |
//! | a number of bytes that several pools must stay under | [`Account`], without an allocator [`Ledger`] |
//! | bytes of something that no pool owns | [`Reservation`]; many things by id: `Tracker` |
//! | idle objects to expire | [`Clock`], [`KeyedPoolBuilder::idle_ttl`] |
//! | to look at numbers | [`PoolStats`], [`KeyStats`], [`Bytes`] |
//!
//! # Words
//!
//! An object is *leased* while it is out and *idle* while it waits; `created = leased + idle + destroyed +
//! detached`, always. A *hit* is served from the idle set, a *miss* has to create. To *evict* is to destroy an idle
//! object, to *discard* is to destroy a leased one instead of releasing it, to *detach* is to take it out of the
//! pool for good.
//!
//! # Features
//!
//! - `std` (default): `alloc`, and `InstantClock`.
//! - `alloc`: pools that grow, owned leases, accounts on the heap, `Tracker`.
//! - `serde`: `Serialize` for snapshots.
//! - none: no allocator and no std, down to Cortex-M0. On cores without compare-and-swap the program has to supply
//!   a `critical-section` implementation, as HALs do.
#![no_std]
#![deny(missing_docs)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod account;
mod bytes;
mod cache;
mod clock;
mod create;
mod error;
mod held;
mod keyed;
mod lane;
mod lease;
mod lifecycle;
mod local;
mod lru;
mod pages;
mod shared;
mod slots;
mod stats;
mod sync;
#[cfg(feature = "std")]
mod threads;
#[cfg(feature = "alloc")]
mod tracker;
mod wait;

#[cfg(feature = "alloc")]
pub use account::AccountBuilder;
pub use account::{
    Account, AccountEvent, AccountEventKind, Ledger, NotHeld, OverBudget, Pressure, Reservation,
};
pub use bytes::Bytes;
pub use cache::Cache;
#[cfg(feature = "std")]
pub use clock::InstantClock;
pub use clock::{Clock, ManualClock, NoClock, Tick};
pub use error::{AcquireError, ReleaseError};
pub use keyed::{FixedKeyedPool, KeyStats, KeyedPool, KeyedPoolBuilder};
pub use lease::{Lease, LeaseId, Pool};
pub use lifecycle::{Factory, Footprint, KeepAll, Resetter, Verdict};
pub use local::{FixedLocalPool, LocalPool, LocalPoolBuilder};
pub use shared::{SharedPool, SharedPoolBuilder, StaticPool};
#[cfg(feature = "alloc")]
pub use slots::Growing;
pub use slots::{Fixed, Storage};
pub use stats::PoolStats;
#[cfg(feature = "alloc")]
pub use tracker::Tracker;
pub use wait::Acquire;
