//! Operations on keyed pools, a naive model of them, and a driver that runs both side by side.
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
//! - [`run`]: does it to a growing and to a fixed pool, and compares everything after every operation. It panics at
//!   the first difference, naming the operation. [`run_several`]: to several under one tree of accounts.
//! - [`run_shared`]: operations on pools for threads, by one thread and by several, and what must hold of them in any order.
#![deny(missing_docs)]

pub mod model;
mod ops;
mod run;
mod shared;
mod world;

pub use ops::{Bounds, Config, FIXED_SLOTS, KEYS, Limits, Op, estimate_of, levels_of};
pub use run::{run, run_several};
pub use shared::{Shared, SharedConfig, SharedOp, run_shared};
pub use world::{Heard, Place, Refused};
