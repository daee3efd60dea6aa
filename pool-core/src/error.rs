//! Why a pool refused: errors that carry the numbers.

use crate::account::OverBudget;
use core::fmt;

/// No object could be had.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum AcquireError<E> {
    /// The pool was closed.
    Closed,
    /// The pool has as many objects as it may have. Those that are not out are idle, and may not make room: none may for what is
    /// prewarmed, nor any that a predicate of `retain` looks at.
    Exhausted {
        /// Objects that are out, or being made.
        leased: usize,
        /// Most objects that the pool may have.
        max_objects: usize,
    },
    /// There are as many objects of this key as there may be. Those that are not out are idle, as above.
    KeyExhausted {
        /// Objects of the key that are out, or being made.
        leased: usize,
        /// Most objects that a key may have.
        max_per_key: usize,
    },
    /// The pool was full for as long as the caller would wait.
    TimedOut {
        /// How long that was.
        waited: core::time::Duration,
        /// Objects that are out, or being made.
        leased: usize,
        /// Most objects that the pool may have.
        max_objects: usize,
    },
    /// The bytes for a new object do not fit, even if every idle object of the pool were evicted; of a prewarming, which evicts
    /// nothing, as it is.
    OverBudget(OverBudget),
    /// The factory failed.
    Create(E),
}

impl<E: fmt::Display> fmt::Display for AcquireError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the pool is closed"),
            Self::Exhausted { leased, max_objects } => full(f, "objects", *leased, *max_objects),
            Self::KeyExhausted { leased, max_per_key } => {
                full(f, "objects of this key", *leased, *max_per_key)
            }
            Self::TimedOut { waited, leased, max_objects } => {
                full(f, "objects", *leased, *max_objects)?;
                write!(f, ", after waiting {waited:?}")
            }
            Self::OverBudget(refusal) => refusal.fmt(f),
            Self::Create(error) => write!(f, "the factory failed: {error}"),
        }
    }
}

/// All that may be are there; whether all of them are out.
fn full(f: &mut fmt::Formatter<'_>, what: &str, leased: usize, most: usize) -> fmt::Result {
    write!(f, "{leased} {what} are out, of at most {most}")?;
    if leased < most { f.write_str("; the others are idle and could not make room") } else { Ok(()) }
}

/// What caused it is part of its text already; so the source is that of the factory's error, for who prints one after the other.
impl<E: core::error::Error + 'static> core::error::Error for AcquireError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Create(error) => error.source(),
            _ => None,
        }
    }
}

/// A [`LeaseId`](crate::LeaseId) that the pool does not honour. Nothing was changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ReleaseError {
    /// Of this pool, but no longer out: released, redeemed, discarded or detached before.
    Stale {
        /// The slot it names.
        slot: u32,
        /// The use of the slot that it names.
        generation: u64,
    },
    /// Of another pool.
    Foreign {
        /// The pool it names.
        pool: u32,
        /// The pool that was asked.
        expected: u32,
    },
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale { slot, generation } => {
                write!(f, "stale token: use {generation} of slot {slot} is over")
            }
            Self::Foreign { pool, expected } => {
                write!(f, "foreign token: it is of pool {pool}, this is pool {expected}")
            }
        }
    }
}

impl core::error::Error for ReleaseError {}
