//! Operations on pools and accounts, naive models of them, and drivers that run both side by side.
//!
//! The fuzz targets (`fuzz_targets/`) and the property tests (`pool-core/tests/model.rs`) differ only in who invents the
//! operations.
//!
//! ```
//! use pool_fuzz::{Config, Op, run};
//!
//! run(&[Op::Acquire { key: 0 }, Op::Release { nth: 0 }, Op::Trim { target: 0 }], &Config::default());
//! ```
//!
//! - [`Op`], [`Config`]: what to do, to a pool with which bounds. Every value is valid; large ones wrap around.
//! - [`model`]: what has to come out. Lists that are scanned from end to end, and nothing clever.
//! - [`run_accounts`] and [`run_tokens`] do the same for a tree of accounts, and for tokens of all kinds of pools.
//! - [`run`]: does it to a growing and to a fixed pool, and compares everything after every operation. It panics at
//!   the first difference, naming the operation. [`run_several`]: to several under one tree of accounts.
//! - [`run_callbacks`]: callbacks that panic and use the pools again, which no model can follow, and what must hold.
//! - [`run_shared`]: operations on pools for threads, by one thread and by several, and what must hold of them in any order.
#![deny(missing_docs)]

mod accounts;
mod callbacks;
pub mod model;
mod ops;
mod run;
mod shared;
mod tokens;
mod world;

pub use accounts::{AccountOp, How, Setup, run_accounts};
pub use callbacks::{Deed, Planted, run_callbacks};
pub use ops::{Bounds, Config, FIXED_SLOTS, KEYS, Limits, Op, estimate_of, levels_of};
pub use run::{run, run_several};
pub use shared::{Shared, SharedConfig, SharedOp, run_shared};
pub use tokens::{TokenOp, run_tokens};
pub use world::{Heard, Place, Refused};
