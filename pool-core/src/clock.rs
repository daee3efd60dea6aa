//! Time, supplied by the caller.

use crate::sync::counter::{AtomicU64, Ordering};

/// A point in time, in the unit of the clock that read it. Differences are in the same unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Tick(pub u64);

impl Tick {
    /// How much later `self` is than `earlier`; 0 if it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Tells the time for idle and lifetime limits: a tick counter, `InstantClock`, `performance.now()`, the frames
/// an audio context has played.
///
/// The clock must not run backwards. A pool reads it on each acquire and release, but only if it has a time limit,
/// watches for leaks, or has something in quarantine.
pub trait Clock {
    /// The time now.
    fn now(&self) -> Tick;
}

impl<C: Clock + ?Sized> Clock for &C {
    fn now(&self) -> Tick {
        (**self).now()
    }
}

#[cfg(feature = "alloc")]
impl<C: Clock + ?Sized> Clock for alloc::rc::Rc<C> {
    fn now(&self) -> Tick {
        (**self).now()
    }
}

#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
impl<C: Clock + ?Sized> Clock for alloc::sync::Arc<C> {
    fn now(&self) -> Tick {
        (**self).now()
    }
}

/// The clock of a pool without time limits: it stands still.
#[derive(Clone, Copy, Default, Debug)]
pub struct NoClock;

impl Clock for NoClock {
    #[inline]
    fn now(&self) -> Tick {
        Tick(0)
    }
}

/// A clock that the caller moves: from a timer interrupt, once per audio block, or in a test.
#[derive(Default, Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub const fn new(start: Tick) -> Self {
        Self(AtomicU64::new(start.0))
    }

    /// Moves the clock on by `ticks`, at most to the end of time.
    pub fn advance(&self, ticks: u64) {
        // Relaxed: the count publishes nothing but itself.
        let later = |now: u64| Some(now.saturating_add(ticks));
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }

    /// Sets the clock to `tick`, or leaves it if it is already later.
    pub fn set(&self, tick: Tick) {
        // Relaxed: as above. The maximum keeps the promise that the clock never runs backwards.
        self.0.fetch_max(tick.0, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Tick {
        // Relaxed: as above.
        Tick(self.0.load(Ordering::Relaxed))
    }
}

/// Nanoseconds since the clock was made, by [`std::time::Instant`].
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug)]
pub struct InstantClock(std::time::Instant);

#[cfg(feature = "std")]
impl InstantClock {
    /// A clock that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self(std::time::Instant::now())
    }

    /// A duration in ticks of this clock, for limits: `idle_ttl(InstantClock::ticks(Duration::from_secs(60)))`.
    #[must_use]
    pub fn ticks(duration: std::time::Duration) -> u64 {
        u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(feature = "std")]
impl Default for InstantClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "std")]
impl Clock for InstantClock {
    fn now(&self) -> Tick {
        Tick(Self::ticks(self.0.elapsed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A clock that stands still, a unit that is not the clock's, a limit without end that wraps.
    #[test]
    #[cfg(feature = "std")]
    fn a_duration_has_as_many_ticks_as_the_clock_counts_in_it() {
        use std::time::Duration;
        assert_eq!(InstantClock::ticks(Duration::from_millis(3)), 3_000_000);
        assert_eq!(InstantClock::ticks(Duration::MAX), u64::MAX);
        let clock = InstantClock::new();
        let before = clock.now();
        std::thread::sleep(Duration::from_millis(2));
        assert!(clock.now().since(before) >= InstantClock::ticks(Duration::from_millis(2)));
    }

    // A clock set back would make `since` wrap, or revive expired objects.
    #[test]
    fn a_manual_clock_never_runs_backwards() {
        let clock = ManualClock::new(Tick(10));
        clock.set(Tick(5));
        assert_eq!(clock.now(), Tick(10));
        clock.advance(3);
        assert_eq!(clock.now(), Tick(13));
        clock.advance(u64::MAX);
        assert_eq!(clock.now(), Tick(u64::MAX));
        assert_eq!(Tick(5).since(Tick(9)), 0);
    }
}
