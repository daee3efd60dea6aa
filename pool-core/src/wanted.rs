//! What the program asks for anywhere, so that a page need not download the rest.
//!
//! Whether a pool has a window, or an account lends, is told by its fields, which no optimiser can foresee. So what takes
//! much code and few programs use has a flag here. The method that asks for it sets the flag; what it is for looks at the
//! flag before the field. In a program that never calls that method nothing writes the flag, so the optimiser knows that it
//! is false, and with it the code behind goes.
//!
//! Only where code is downloaded: elsewhere flags are true from the beginning, and looking at one is no instruction. Builds
//! with debug assertions have real ones everywhere, so that tests find a method that forgets to set its own.
//!
//! Relaxed is enough: a pool, or an account, with the feature was made after the flag was set, and whoever has it from another
//! thread got it by way of something that orders the two.

use crate::sync::counter::{AtomicBool, Ordering::Relaxed};

/// Whether something was asked for.
pub(crate) struct Flag(AtomicBool);

impl Flag {
    const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// It is asked for.
    #[inline(always)]
    pub(crate) fn set(&self) {
        if REAL {
            self.0.store(true, Relaxed);
        }
    }

    /// Whether it may have been asked for.
    #[inline(always)]
    pub(crate) fn is_set(&self) -> bool {
        !REAL || self.0.load(Relaxed)
    }

    /// `value` if it was asked for, else what stands for none.
    #[inline(always)]
    pub(crate) fn or<T: PartialEq>(&self, value: T, none: T) -> T {
        if self.is_set() {
            return value;
        }
        debug_assert!(value == none, "somebody did not say that it is wanted");
        none
    }
}

const REAL: bool = cfg!(any(target_family = "wasm", debug_assertions));

/// A bound on the objects of a pool.
pub(crate) static MAX_OBJECTS: Flag = Flag::new();
/// Idle objects that a key keeps.
pub(crate) static MIN_IDLE: Flag = Flag::new();
/// An idle time after which objects go if others of their key wait.
pub(crate) static SOFT_IDLE_TTL: Flag = Flag::new();
/// A bound on the age of objects.
pub(crate) static MAX_LIFETIME: Flag = Flag::new();
/// A bound on the bytes of an object that is kept.
pub(crate) static MAX_RETAINED_BYTES: Flag = Flag::new();
/// Eviction of the cheapest among several.
pub(crate) static WINDOW: Flag = Flag::new();
/// Releases that come into force later.
pub(crate) static QUARANTINE: Flag = Flag::new();
/// Idle objects shown to a predicate.
pub(crate) static INSPECTION: Flag = Flag::new();
/// Pools that give idle objects back to others.
#[cfg(feature = "alloc")]
pub(crate) static GIVING: Flag = Flag::new();
/// Bytes lent in advance.
#[cfg(feature = "alloc")]
pub(crate) static LENDING: Flag = Flag::new();
/// Accounts on the heap that are below others.
#[cfg(feature = "alloc")]
pub(crate) static CHILDREN: Flag = Flag::new();
