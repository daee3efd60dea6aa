//! The only place that says which atomics and which reference counter the crate uses.
//!
//! portable-atomic gives cores without compare-and-swap the same types, so nothing else in the crate asks what
//! the target can do.

pub(crate) use portable_atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

#[cfg(feature = "alloc")]
pub(crate) use portable_atomic_util::Arc;
