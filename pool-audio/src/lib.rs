#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod error;
mod histogram;
mod key;
mod profiler;
mod sample;

pub use error::BufferError;
pub use histogram::Histogram;
pub use key::BufferKey;
pub use profiler::{CallbackProfiler, CallbackTiming, HISTORY, LoadSummary, ProfileSnapshot};
pub use sample::{Planes, PlanesMut, SampleBuffer};
