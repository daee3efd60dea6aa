//! x
#![no_std]
#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod sync;
mod bytes;
mod lifecycle;
mod clock;
mod stats;
mod account;
mod error;
mod slots;
mod lru;
mod create;
mod lease;
mod keyed;

pub use account::*;
pub use bytes::Bytes;
pub use clock::*;
pub use error::*;
pub use keyed::*;
pub use lease::{Lease, LeaseId, Pool};
pub use lifecycle::*;
pub use slots::*;
pub use stats::PoolStats;
