//! What a pool tells those who watch it: [`Observer`], and ready ones for logs and metrics.

use crate::account::{OverBudget, Pressure};
use crate::clock::Tick;
use core::panic::Location;

/// Hears what a keyed pool does, except for what happens all the time: a hit and a release are told to nobody.
///
/// Every method does nothing unless it is written. They are called by whichever thread did it, with nothing locked or
/// borrowed, so they may use the pool; one that panics leaves the pool's counts right. To hear is free for a pool
/// without an observer ([`Silent`]), and costs a clone of the key for each event of one that has.
///
/// ```
/// use pool_core::{KeyedPool, Observer, Removal};
/// use std::cell::Cell;
/// use std::convert::Infallible;
///
/// #[derive(Default)]
/// struct Evictions(Cell<usize>);
/// impl Observer<u8> for &Evictions {
///     fn removed(&self, _key: &u8, bytes: usize, why: Removal) {
///         if matches!(why, Removal::Evicted(_)) {
///             self.0.set(self.0.get() + bytes);
///         }
///     }
/// }
///
/// let evictions = Evictions::default();
/// let pool = KeyedPool::builder(|_: &u8| Ok::<_, Infallible>([0u8; 100])).observer(&evictions).build();
/// drop(pool.acquire(&1)?);
/// pool.trim(0);
/// assert_eq!(evictions.0.get(), 100);
/// # Ok::<(), pool_core::AcquireError<Infallible>>(())
/// ```
pub trait Observer<K: ?Sized> {
    /// Whether anybody hears; where not, no key is cloned.
    #[doc(hidden)]
    const LISTENS: bool = true;

    /// An object of `key` was made, of so many bytes.
    fn created(&self, key: &K, bytes: usize) {
        _ = (key, bytes);
    }

    /// An object of `key` has left the pool, and so many bytes were uncharged; it is destroyed next, or in the hands of
    /// who detached it.
    fn removed(&self, key: &K, bytes: usize, why: Removal) {
        _ = (key, bytes, why);
    }

    /// An acquire or prewarming of `key` was refused.
    fn refused(&self, key: &K, why: Refusal<'_>) {
        _ = (key, why);
    }

    /// The pressure that maintenance found differs from what the last one found.
    fn pressure(&self, pressure: Pressure) {
        _ = pressure;
    }

    /// A lease of `key` is out for longer than is likely; told once.
    fn leaked(&self, key: &K, leak: &Leak) {
        _ = (key, leak);
    }

    /// An object that was said to be leaked has come back after all.
    fn returned(&self, key: &K, leak: &Leak) {
        _ = (key, leak);
    }
}

/// The observer of a pool that nobody watches.
#[derive(Clone, Copy, Default, Debug)]
pub struct Silent;

impl<K: ?Sized> Observer<K> for Silent {
    const LISTENS: bool = false;
}

/// Why an object left a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum Removal {
    /// It was idle and had to go.
    Evicted(Eviction),
    /// It was idle too long.
    IdleTooLong,
    /// It was older than objects may become.
    TooOld,
    /// It was leased and not worth keeping.
    Discarded(Discard),
    /// It was taken out for good by [`Lease::detach`](crate::Lease::detach).
    Detached,
}

/// Why an idle object was evicted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum Eviction {
    /// To make room for a new one, in bytes or in number.
    Room,
    /// More of its key were idle than may be.
    KeyIdle,
    /// By `trim`, `retain` or `evict_to`, or because a hard limit was lowered by way of the pool.
    Asked,
    /// By `maintain`, under pressure.
    Pressure,
    /// The pool was closed.
    Closed,
}

/// Why a leased object was destroyed instead of going back to the idle set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum Discard {
    /// [`Lease::discard`](crate::Lease::discard).
    Asked,
    /// The resetter said so.
    Verdict,
    /// The resetter, the factory's `measure`, or the clock panicked.
    Panicked,
    /// It had grown above what an object may retain, or above what the account had left.
    Grown,
    /// The pool was closed.
    Closed,
}

/// Why an object could not be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Refusal<'a> {
    /// The pool is closed.
    Closed,
    /// As many objects are out as may be.
    Exhausted,
    /// As many objects of the key are out as may be.
    KeyExhausted,
    /// Its bytes do not fit.
    OverBudget(&'a OverBudget),
    /// The factory failed.
    Create,
}

/// A lease that is out for longer than is likely.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Leak {
    /// Bytes of the object.
    pub bytes: usize,
    /// When it was leased, by the pool's clock.
    pub since: Tick,
    /// How long it was out when this was told, in ticks of the clock.
    pub age: u64,
    /// Where it was leased.
    pub site: &'static Location<'static>,
}

impl<K: ?Sized, O: Observer<K> + ?Sized> Observer<K> for &O {
    fn created(&self, key: &K, bytes: usize) {
        (**self).created(key, bytes);
    }
    fn removed(&self, key: &K, bytes: usize, why: Removal) {
        (**self).removed(key, bytes, why);
    }
    fn refused(&self, key: &K, why: Refusal<'_>) {
        (**self).refused(key, why);
    }
    fn pressure(&self, pressure: Pressure) {
        (**self).pressure(pressure);
    }
    fn leaked(&self, key: &K, leak: &Leak) {
        (**self).leaked(key, leak);
    }
    fn returned(&self, key: &K, leak: &Leak) {
        (**self).returned(key, leak);
    }
}
