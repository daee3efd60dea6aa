//! What a pool tells those who watch it: [`Observer`], and ready ones for logs and metrics.

#[cfg(feature = "log")]
mod to_log;
#[cfg(feature = "metrics")]
mod to_metrics;
#[cfg(feature = "tracing")]
mod to_tracing;

#[cfg(feature = "log")]
pub use to_log::ToLog;
#[cfg(feature = "metrics")]
pub use to_metrics::ToMetrics;
#[cfg(feature = "tracing")]
pub use to_tracing::ToTracing;

use crate::account::{OverBudget, Pressure};
use crate::clock::Tick;
use core::panic::Location;

/// Hears what a keyed pool does, except for what happens all the time: a hit and a release are told to nobody.
///
/// Every method does nothing unless it is written. They are called by whichever thread did it, with nothing locked or
/// borrowed, so they may use the pool; one that panics leaves the pool's counts right, and one that does so because another panic
/// brought it here goes unheard (without `std` it ends the process). To hear is free for a pool
/// without an observer ([`Silent`]), and costs a clone of the key for each event of one that has.
///
/// Of a pool for threads, what two of them do at the same time may be heard in either order, also of one lease:
/// [`returned`](Self::returned) before [`leaked`](Self::leaked). But the [`pressure`](Self::pressure) that is heard last is the
/// one that was found last.
///
/// An observer that is chosen at run time is an `Option` of one, or a `Box<dyn Observer<K>>`.
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
    #[inline(always)]
    fn listens() -> bool
    where
        Self: Sized,
    {
        true
    }

    /// An object of `key` was made, of so many bytes.
    fn created(&self, key: &K, bytes: usize) {
        _ = (key, bytes);
    }

    /// An object of `key` and so many bytes has left the pool; it is destroyed next, or in the hands of who detached it. Its
    /// bytes were uncharged, but for what a new object takes in its place ([`Eviction::Room`]).
    ///
    /// When the pool is dropped nobody is told of what it still holds, for the observer is dropped as well. Who wants as many
    /// removed as were [`created`](Self::created) calls [`close`](crate::KeyedPool::close) before, when no lease is out.
    fn removed(&self, key: &K, bytes: usize, why: Removal) {
        _ = (key, bytes, why);
    }

    /// An acquire or prewarming of `key` was refused.
    fn refused(&self, key: &K, why: Refusal<'_>) {
        _ = (key, why);
    }

    /// The pressure that maintenance found differs from what was told last. One call at a time: what is found during one is told
    /// after it, by the same thread.
    fn pressure(&self, pressure: Pressure) {
        _ = pressure;
    }

    /// A lease of `key` is out for longer than is likely; told once.
    fn leaked(&self, key: &K, leak: &Leak) {
        _ = (key, leak);
    }

    /// A lease that was said to be leaked has ended after all: its object was released, discarded or detached. Of the latter
    /// two [`removed`](Self::removed) tells next.
    fn returned(&self, key: &K, leak: &Leak) {
        _ = (key, leak);
    }
}

/// The observer of a pool that nobody watches.
#[derive(Clone, Copy, Default, Debug)]
pub struct Silent;

impl<K: ?Sized> Observer<K> for Silent {
    #[inline(always)]
    fn listens() -> bool {
        false
    }
}

/// The six methods of what holds observers: each hears all. The holder, and those that it holds as any number of things that can
/// be iterated over.
macro_rules! forward {
    ($holder:ident => $($held:expr),+) => {
        fn created(&$holder, key: &K, bytes: usize) {
            $($held.into_iter().for_each(|observer| observer.created(key, bytes));)+
        }
        fn removed(&$holder, key: &K, bytes: usize, why: Removal) {
            $($held.into_iter().for_each(|observer| observer.removed(key, bytes, why));)+
        }
        fn refused(&$holder, key: &K, why: Refusal<'_>) {
            $($held.into_iter().for_each(|observer| observer.refused(key, why));)+
        }
        fn pressure(&$holder, pressure: Pressure) {
            $($held.into_iter().for_each(|observer| observer.pressure(pressure));)+
        }
        fn leaked(&$holder, key: &K, leak: &Leak) {
            $($held.into_iter().for_each(|observer| observer.leaked(key, leak));)+
        }
        fn returned(&$holder, key: &K, leak: &Leak) {
            $($held.into_iter().for_each(|observer| observer.returned(key, leak));)+
        }
    };
}

/// Two of them, one after the other, such as one for the log and one for the metrics. If the first panics, the second does not
/// hear of it.
impl<K: ?Sized, A: Observer<K>, B: Observer<K>> Observer<K> for (A, B) {
    #[inline(always)]
    fn listens() -> bool {
        A::listens() || B::listens()
    }

    forward!(self => [&self.0], [&self.1]);
}

/// One that may be switched off when the pool is made. `None` hears nothing, but costs as much.
impl<K: ?Sized, O: Observer<K>> Observer<K> for Option<O> {
    #[inline(always)]
    fn listens() -> bool {
        O::listens()
    }

    forward!(self => self);
}

macro_rules! by_pointer {
    ($pointer:ty) => {
        /// The one it points to.
        impl<K: ?Sized, O: Observer<K> + ?Sized> Observer<K> for $pointer {
            forward!(self => [&**self]);
        }
    };
}
by_pointer!(&O);
#[cfg(feature = "alloc")]
by_pointer!(alloc::boxed::Box<O>);
#[cfg(feature = "alloc")]
by_pointer!(alloc::rc::Rc<O>);
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
by_pointer!(alloc::sync::Arc<O>);

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

impl Removal {
    /// In snake case, for labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Evicted(Eviction::Room) => "evicted_for_room",
            Self::Evicted(Eviction::KeyIdle) => "evicted_beyond_idle_of_key",
            Self::Evicted(Eviction::Asked) => "evicted_as_asked",
            Self::Evicted(Eviction::Pressure) => "evicted_under_pressure",
            Self::Evicted(Eviction::Closed) => "evicted_by_close",
            Self::IdleTooLong => "idle_too_long",
            Self::TooOld => "too_old",
            Self::Discarded(Discard::Asked) => "discarded_as_asked",
            Self::Discarded(Discard::Verdict) => "discarded_by_resetter",
            Self::Discarded(Discard::Panicked) => "discarded_after_panic",
            Self::Discarded(Discard::Grown) => "discarded_for_size",
            Self::Discarded(Discard::Closed) => "discarded_by_close",
            Self::Detached => "detached",
        }
    }
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
    /// By `trim`, `retain` or `evict_to`, or because a hard limit was lowered.
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
    /// The resetter, the factory's `measure`, or the clock panicked; or who was told that it is detached.
    Panicked,
    /// It had grown above what an object may retain, or above what the account had left. The bytes that are told are those that
    /// were charged, before it grew.
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
    /// As many objects are there as may be, and none that could go for it.
    Exhausted,
    /// As many objects of the key are there as may be.
    KeyExhausted,
    /// Its bytes do not fit.
    OverBudget(&'a OverBudget),
    /// The factory failed.
    Create,
}

impl Refusal<'_> {
    /// In snake case, for labels.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Exhausted => "exhausted",
            Self::KeyExhausted => "key_exhausted",
            Self::OverBudget(_) => "over_budget",
            Self::Create => "create",
        }
    }
}

/// A lease that is out for longer than is likely.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Leak {
    /// Bytes of the object, as of its creation or last release.
    pub bytes: usize,
    /// When it was leased, by the pool's clock.
    pub since: Tick,
    /// How long it was out when this was told, in ticks of the clock.
    pub age: u64,
    /// Where it was leased.
    pub site: &'static Location<'static>,
}

#[cfg(test)]
#[cfg(feature = "std")]
mod tests {
    use super::*;
    use std::boxed::Box;
    use std::rc::Rc;
    use std::sync::{Arc, Mutex};
    use std::vec::Vec;

    #[derive(Default)]
    struct Log(Mutex<Vec<&'static str>>);

    impl Log {
        fn push(&self, what: &'static str) {
            self.0.lock().unwrap().push(what);
        }

        fn take(&self) -> Vec<&'static str> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl Observer<u8> for Log {
        fn created(&self, _: &u8, _: usize) {
            self.push("created");
        }
        fn removed(&self, _: &u8, _: usize, _: Removal) {
            self.push("removed");
        }
        fn refused(&self, _: &u8, _: Refusal<'_>) {
            self.push("refused");
        }
        fn pressure(&self, _: Pressure) {
            self.push("pressure");
        }
        fn leaked(&self, _: &u8, _: &Leak) {
            self.push("leaked");
        }
        fn returned(&self, _: &u8, _: &Leak) {
            self.push("returned");
        }
    }

    const ALL: [&str; 6] = ["created", "removed", "refused", "pressure", "leaked", "returned"];

    fn tell<O: Observer<u8>>(observer: &O) {
        let leak = Leak { bytes: 1, since: Tick(0), age: 1, site: Location::caller() };
        observer.created(&1, 1);
        observer.removed(&1, 1, Removal::TooOld);
        observer.refused(&1, Refusal::Closed);
        observer.pressure(Pressure::None);
        observer.leaked(&1, &leak);
        observer.returned(&1, &leak);
    }

    // A holder that keeps one of the events to itself, or tells it as another; one of nobody that has every key cloned.
    #[test]
    fn whatever_holds_an_observer_tells_it_everything() {
        let log = Rc::new(Log::default());
        let heard = |expected: &[&str]| assert_eq!(log.take(), expected);
        tell(&&*log);
        heard(&ALL);
        tell(&Rc::clone(&log));
        heard(&ALL);
        tell::<Box<dyn Observer<u8>>>(&(Box::new(Rc::clone(&log)) as _));
        heard(&ALL);
        tell(&Some(&*log));
        heard(&ALL);
        tell(&(Silent, &*log));
        heard(&ALL);
        tell(&(&*log, None::<&Log>));
        heard(&ALL);
        tell(&None::<Rc<Log>>);
        heard(&[]);
        let shared = Arc::new(Log::default());
        tell(&shared);
        assert_eq!(shared.take(), ALL);
        assert!(!<Silent as Observer<u8>>::listens() && !<Option<Silent> as Observer<u8>>::listens());
        assert!(!<(Silent, Silent) as Observer<u8>>::listens());
        assert!(<(Silent, Log) as Observer<u8>>::listens() && <(Log, Silent) as Observer<u8>>::listens());
    }
}
