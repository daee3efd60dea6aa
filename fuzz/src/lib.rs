//! Operations on a keyed pool, a naive model of it, and a driver that runs both side by side.
//!
//! The fuzz target (`fuzz_targets/keyed.rs`) and the property test (`pool-core/tests/model.rs`) differ only in who
//! invents the operations.
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
//!   the first difference, naming the operation.
#![deny(missing_docs)]

pub mod model;
mod ops;
mod run;
mod world;

pub use ops::{Bounds, Config, FIXED_SLOTS, KEYS, Limits, Op, estimate_of, levels_of};
pub use run::{run, run_several};
pub use world::{Heard, Place, Refused};
