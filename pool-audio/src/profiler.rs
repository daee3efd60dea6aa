//! `CallbackProfiler`: how much of its time an audio callback takes, and how often that was too much.
//!
//! ```text
//! begin ──────── execution ──────── end              begin ─── ...
//!   |<───────────── gap: begin to begin ──────────────>|
//!   |<──── period: frames / sample rate ────>|
//! ```
//!
//! Three things go wrong in three ways and are counted apart. The callback took longer than its period
//! (*overrun*). It was called too long after the one before, though it may be quick itself (*late*): against a
//! real audio server, execution time alone missed every one of 187 dropouts and the gap told all but 4 of them.
//! Or the backend says that it lost samples (*backend xrun*). One number for all three would hide which.
//!
//! Load is not clamped at 1: a callback that took 3 periods has load 3, and the percentiles show it.
//!
//! The profiler has one writer, the thread of the callback; what others may read is in `monitor.rs`. Nothing in `begin` and
//! `end` allocates, locks, waits or makes a system call beyond what the clock does.
#![deny(clippy::disallowed_types)]

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::num::{NonZeroU32, NonZeroU64};

use pool_core::{Clock, Tick};

use crate::monitor::{Figures, LOAD_STEPS, ProfileMonitor, ProfileSnapshot};
use crate::sync::{Arc, Ordering};

/// Callbacks that [`CallbackProfiler::history`] goes back.
pub const HISTORY: usize = 1000;

/// Time constant of the average load unless set, in seconds: follows a change within a third of a second.
const DEFAULT_SMOOTHING: f64 = 0.3;

/// How long a peak is held unless set, in seconds: long enough to read it.
const DEFAULT_HOLD: f64 = 2.0;

/// Slices of the hold time: a peak stays for one of them too long at most.
const HOLD_SLICES: u64 = 8;

/// One callback.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct CallbackTiming {
    /// When it began, by the profiler's clock.
    pub begin: Tick,
    /// Ticks since the callback before it began; 0 for the first.
    pub gap: u64,
    /// Ticks from begin to end.
    pub execution: u64,
    /// Frames it had to produce.
    pub frames: u32,
    /// Execution as a fraction of the period; more than 1 is an overrun.
    pub load: f64,
    /// Whether it began more than 1.5 periods after the one before.
    pub late: bool,
}

impl CallbackTiming {
    /// In the place of a callback that has not been. Not all zeros, so that the allocator's own
    /// zeros, pages that are not there yet, cannot stand for it.
    const NONE: Self =
        Self { begin: Tick(u64::MAX), gap: 0, execution: 0, frames: 0, load: 0.0, late: false };
}

/// A callback that has begun.
#[derive(Debug, Clone, Copy)]
struct Open {
    begin: Tick,
    gap: u64,
    frames: u32,
    late: bool,
}

/// The callback that began last, to tell the gap to the next.
#[derive(Debug, Clone, Copy)]
struct Previous {
    begin: Tick,
    frames: u32,
}

/// The highest load of the last seconds.
///
/// The time is cut into slices, and the highest of each is kept: of the one that is now, and of as many before it as make the
/// hold time. So a load costs a comparison, and only the first of a slice a walk over nine numbers. Just the highest load and
/// its time would be less, and wrong: where it is over, the highest since would be forgotten with it.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// Ticks of a slice; 0 for no hold time.
    slice: u64,
    /// When the slice began that is now.
    began: Tick,
    /// Highest of each slice, that of now first.
    peaks: [f64; HOLD_SLICES as usize + 1],
    /// Highest of them all.
    highest: f64,
}

impl Held {
    const NONE: Self =
        Self { slice: 0, began: Tick(0), peaks: [0.0; HOLD_SLICES as usize + 1], highest: 0.0 };

    /// One more load; gives what is held now.
    #[inline]
    fn note(&mut self, now: Tick, load: f64) -> f64 {
        let elapsed = now.since(self.began);
        if elapsed >= self.slice {
            self.turn(now, elapsed);
        }
        let [current, ..] = &mut self.peaks;
        if load > *current {
            *current = load;
            self.highest = self.highest.max(load);
        }
        self.highest
    }

    /// Moves on to the slice that `now` is in.
    #[cold]
    fn turn(&mut self, now: Tick, elapsed: u64) {
        let slices = elapsed.checked_div(self.slice);
        self.began = slices.map_or(now, |slices| Tick(self.began.0 + slices * self.slice));
        let all = self.peaks.len();
        let gone =
            slices.and_then(|slices| usize::try_from(slices).ok()).map_or(all, |slices| slices.min(all));
        self.peaks.rotate_right(gone);
        self.peaks.iter_mut().take(gone).for_each(|peak| *peak = 0.0);
        self.highest = self.peaks.iter().fold(0.0, |highest, &peak| highest.max(peak));
    }
}

/// Measures audio callbacks: load, percentiles, dropouts by cause, and the last 1000 of them.
///
/// The clock is the caller's: `InstantClock` with `std` (see `CallbackProfiler::new`), a cycle counter on a
/// microcontroller, a [`ManualClock`](pool_core::ManualClock) in tests.
///
/// # Real time
///
/// [`begin`](Self::begin) and [`end`](Self::end) are O(1), allocate nothing, and read the clock once each: under 150 ns a
/// callback together, two readings of `Instant` included. All memory (about 47 KiB) is taken when the profiler is made.
/// Another thread reads it through a [`ProfileMonitor`], for which nobody waits.
///
/// ```
/// use core::num::{NonZeroU32, NonZeroU64};
/// use pool_audio::{CallbackProfiler, ManualClock};
///
/// const RATE: NonZeroU32 = NonZeroU32::new(48_000).unwrap();
/// const MICROSECONDS: NonZeroU64 = NonZeroU64::new(1_000_000).unwrap();
/// let clock = ManualClock::default();
/// let mut profiler = CallbackProfiler::with_clock(&clock, MICROSECONDS, RATE);
///
/// profiler.begin(480); // 10 ms of sound
/// clock.advance(2_500); // made in 2.5 ms
/// let timing = profiler.end().ok_or("no callback was open")?;
/// assert_eq!(timing.load, 0.25);
/// # Ok::<(), &str>(())
/// ```
pub struct CallbackProfiler<C> {
    clock: C,
    ticks_per_second: NonZeroU64,
    sample_rate: NonZeroU32,
    smoothing: f64,

    open: Option<Open>,
    previous: Option<Previous>,
    /// Weight of a new load in the average, and the number of frames it was computed for.
    weight: (u32, f64),

    /// Whether the callback before was one, to tell events apart.
    was_overrun: bool,
    was_late: bool,
    held: Held,

    /// What other threads may read.
    figures: Arc<Figures>,
    /// Ring of the last callbacks. Of full length from the start, so that its pages are there before the first callback.
    history: Vec<CallbackTiming>,
    /// Where the next one goes, and how many there are.
    next: usize,
    kept: usize,
}

#[cfg(feature = "std")]
impl CallbackProfiler<pool_core::InstantClock> {
    /// A profiler over [`std::time::Instant`], for a stream of `sample_rate`.
    #[must_use]
    pub fn new(sample_rate: NonZeroU32) -> Self {
        const NANOSECONDS: NonZeroU64 = NonZeroU64::new(1_000_000_000).unwrap();
        Self::with_clock(pool_core::InstantClock::new(), NANOSECONDS, sample_rate)
    }
}

impl<C: Clock> CallbackProfiler<C> {
    /// A profiler over a clock of the caller's that has `ticks_per_second`, for a stream of `sample_rate`.
    ///
    /// The clock should have at least some hundred ticks in a period; a clock of milliseconds cannot measure
    /// 128 frames.
    #[must_use]
    pub fn with_clock(clock: C, ticks_per_second: NonZeroU64, sample_rate: NonZeroU32) -> Self {
        let mut profiler = Self {
            clock,
            ticks_per_second,
            sample_rate,
            smoothing: DEFAULT_SMOOTHING,
            open: None,
            previous: None,
            weight: (0, 0.0),
            was_overrun: false,
            was_late: false,
            held: Held::NONE,
            figures: Arc::new(Figures::new(1.0 / ticks_per_second.get() as f64)),
            history: vec![CallbackTiming::NONE; HISTORY],
            next: 0,
            kept: 0,
        };
        profiler.held.slice = profiler.hold_slice(DEFAULT_HOLD);
        profiler
    }

    /// Sets the time constant of the average load, in seconds (0.3 unless set). Zero, a negative number or NaN
    /// mean no smoothing: the average is the last load.
    #[must_use]
    pub fn smoothing(mut self, seconds: f64) -> Self {
        self.smoothing = seconds;
        self.weight = (0, 0.0);
        self
    }

    /// Sets how long a peak is held, in seconds (2 unless set): for that time, and up to an eighth of it longer. Zero, a negative
    /// number or NaN hold none: then it is the last load.
    #[must_use]
    pub fn hold(mut self, seconds: f64) -> Self {
        self.held.slice = self.hold_slice(seconds);
        self
    }

    /// Ticks of a slice of a hold time.
    fn hold_slice(&self, seconds: f64) -> u64 {
        // Saturates; NaN and negative numbers are 0.
        let ticks = (seconds * self.ticks_per_second.get() as f64) as u64;
        ticks.div_ceil(HOLD_SLICES)
    }

    /// Whether `ticks` are more than `halves` half periods of `frames`. In whole numbers: a load of exactly 1
    /// is no overrun.
    fn exceeds(&self, ticks: u64, frames: u32, halves: u32) -> bool {
        2 * u128::from(ticks) * u128::from(self.sample_rate.get())
            > u128::from(halves) * u128::from(frames) * u128::from(self.ticks_per_second.get())
    }

    /// The callback begins; it is to produce `frames`.
    ///
    /// A callback that had begun and not ended is dropped, and 0 frames begin none, since they have no period;
    /// both count as [`unpaired`](ProfileSnapshot::unpaired). Whether it began late is counted here, so that it is known of one
    /// that is dropped, too.
    pub fn begin(&mut self, frames: u32) {
        let begin = self.clock.now();
        if self.open.take().is_some() || frames == 0 {
            self.figures.unpaired.add(1);
        }
        if frames == 0 {
            return;
        }
        let (gap, late) = match self.previous {
            // What the callback before produced lasts for its period: that is when this one is due.
            Some(previous) => {
                let gap = begin.since(previous.begin);
                (gap, self.exceeds(gap, previous.frames, 3))
            }
            None => (0, false),
        };
        if late {
            // Here, and not in `end`, which a callback that returns early may never call.
            self.figures.late.add(1);
            self.figures.late_events.add(u64::from(!self.was_late));
        }
        self.was_late = late;
        self.previous = Some(Previous { begin, frames });
        self.open = Some(Open { begin, gap, frames, late });
    }

    /// The callback ends. Gives its timing, or `None` if none had begun (counted as
    /// [`unpaired`](ProfileSnapshot::unpaired)).
    pub fn end(&mut self) -> Option<CallbackTiming> {
        let now = self.clock.now();
        let Some(Open { begin, gap, frames, late }) = self.open.take() else {
            self.figures.unpaired.add(1);
            return None;
        };
        let execution = now.since(begin);
        let period = f64::from(frames) * self.ticks_per_second.get() as f64;
        let load = execution as f64 * f64::from(self.sample_rate.get()) / period;

        let overrun = self.exceeds(execution, frames, 2);
        let weight = self.weight_for(frames);
        let figures = &*self.figures;
        if overrun {
            figures.overruns.add(1);
            figures.overrun_events.add(u64::from(!self.was_overrun));
        }
        self.was_overrun = overrun;
        figures.frames.add(u64::from(frames));
        figures.execution_sum.set(figures.execution_sum.get().saturating_add(execution));
        figures.execution_max.set(figures.execution_max.get().max(execution));
        figures.load_sum.set_f64(figures.load_sum.get_f64() + load);
        figures.last.set_f64(load);
        let average = figures.average.get_f64();
        let first = figures.callbacks.get() == 0;
        figures.average.set_f64(if first { load } else { average + weight * (load - average) });
        figures.held.set_f64(self.held.note(now, load));
        figures.note_recent(load);
        let steps = load * LOAD_STEPS;
        // Up, so that what is told is never too low. What is beyond the last step is filed there.
        figures.loads.record((steps as u64).saturating_add(u64::from(steps as u64 as f64 != steps)));
        figures.callbacks.add(1);

        let timing = CallbackTiming { begin, gap, execution, frames, load, late };
        if let Some(place) = self.history.get_mut(self.next) {
            *place = timing;
        }
        self.next = (self.next + 1) % HISTORY;
        self.kept = (self.kept + 1).min(HISTORY);
        Some(timing)
    }

    /// Measures `callback`, which is to produce `frames`: `begin`, the call, `end`.
    pub fn measure<T>(&mut self, frames: u32, callback: impl FnOnce() -> T) -> T {
        self.begin(frames);
        let result = callback();
        self.end();
        result
    }

    /// Counts dropouts that the audio backend reported. A backend that does so on another thread tells
    /// [`ProfileMonitor::backend_xruns`].
    pub fn backend_xruns(&mut self, count: u32) {
        self.figures.backend_xruns.fetch_add(count as usize, Ordering::Relaxed);
    }

    /// Notes how long it takes until what this callback makes is heard, in seconds, as the backend's timestamps tell it. What
    /// is negative or no number is not noted.
    pub fn latency(&mut self, seconds: f64) {
        if !(seconds >= 0.0 && seconds.is_finite()) {
            return;
        }
        let figures = &*self.figures;
        let first = figures.latencies.get() == 0;
        let (min, max) = (figures.latency_min.get_f64(), figures.latency_max.get_f64());
        figures.latency_min.set_f64(if first { seconds } else { min.min(seconds) });
        figures.latency_max.set_f64(max.max(seconds));
        figures.latency_sum.set_f64(figures.latency_sum.get_f64() + seconds);
        figures.latencies.add(1);
    }

    /// A reader for other threads.
    #[must_use]
    pub fn monitor(&self) -> ProfileMonitor {
        ProfileMonitor::new(&self.figures)
    }

    /// The weight of a load over `frames` in the average: 1 - exp(-period / time constant).
    fn weight_for(&mut self, frames: u32) -> f64 {
        if self.weight.0 != frames {
            let period = f64::from(frames) / f64::from(self.sample_rate.get());
            let weight = if self.smoothing > 0.0 { 1.0 - decay(period / self.smoothing) } else { 1.0 };
            self.weight = (frames, weight);
        }
        self.weight.1
    }

    /// Everything seen so far: as [`ProfileMonitor::snapshot`], and not for the callback either.
    #[must_use]
    pub fn snapshot(&self) -> ProfileSnapshot {
        self.monitor().snapshot()
    }

    /// The highest load since this was last asked: as [`ProfileMonitor::take_max`].
    pub fn take_max(&mut self) -> f64 {
        self.monitor().take_max()
    }

    /// The last callbacks, oldest first, at most [`HISTORY`].
    pub fn history(&self) -> impl ExactSizeIterator<Item = &CallbackTiming> + '_ {
        let oldest = self.next + HISTORY - self.kept;
        (0..self.kept).map(move |age| &self.history[(oldest + age) % HISTORY])
    }

    /// Forgets everything but the settings. A callback that has begun is dropped and not counted, nor is that it was late.
    pub fn reset(&mut self) {
        self.open = None;
        self.previous = None;
        (self.was_overrun, self.was_late) = (false, false);
        self.held = Held { slice: self.held.slice, ..Held::NONE };
        self.figures.reset();
        (self.next, self.kept) = (0, 0);
    }
}

/// e^-x for x >= 0; `exp` is not in core. Halved until five terms of the series are exact to 1e-9, then squared
/// back.
fn decay(x: f64) -> f64 {
    // e^-64 is less than anything that is added to it here.
    let mut small = x.clamp(0.0, 64.0);
    let mut halvings = 0;
    while small > 0.0625 {
        small /= 2.0;
        halvings += 1;
    }
    let series =
        1.0 - small * (1.0 - small / 2.0 * (1.0 - small / 3.0 * (1.0 - small / 4.0 * (1.0 - small / 5.0))));
    (0..halvings).fold(series, |value, _| value * value)
}

impl<C> fmt::Debug for CallbackProfiler<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CallbackProfiler({} callbacks at {} Hz, average load {:.3}, {} overruns, {} late, {} backend xruns)",
            self.figures.callbacks.get(),
            self.sample_rate,
            self.figures.average.get_f64(),
            self.figures.overruns.get(),
            self.figures.late.get(),
            self.figures.backend_xruns.load(Ordering::Relaxed)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use pool_core::ManualClock;
    use proptest::prelude::*;

    const RATE: NonZeroU32 = NonZeroU32::new(48_000).unwrap();
    /// Ticks of 1/48 us: a period of 128 frames is exactly 128_000 ticks.
    const TICKS: NonZeroU64 = NonZeroU64::new(48_000_000).unwrap();
    const PERIOD: u64 = 128_000;

    fn profiler(clock: &ManualClock) -> CallbackProfiler<&ManualClock> {
        CallbackProfiler::with_clock(clock, TICKS, RATE)
    }

    /// One callback that takes `execution` ticks and is followed by a wait until `gap` ticks after its begin.
    fn callback(
        profiler: &mut CallbackProfiler<&ManualClock>,
        clock: &ManualClock,
        execution: u64,
        gap: u64,
    ) -> CallbackTiming {
        profiler.begin(128);
        clock.advance(execution);
        let timing = profiler.end().unwrap();
        clock.advance(gap.saturating_sub(execution));
        timing
    }

    /// Would catch a load that is clamped at 1 or rounded to a percentage.
    #[test]
    fn load_is_execution_over_period_and_not_clamped() {
        let clock = ManualClock::default();
        let mut profiler = profiler(&clock);
        for (execution, load) in [(PERIOD / 4, 0.25), (PERIOD, 1.0), (3 * PERIOD, 3.0)] {
            assert_eq!(callback(&mut profiler, &clock, execution, 0).load, load);
        }
        let seen = profiler.snapshot().load.unwrap();
        assert_eq!((seen.max, seen.last, seen.held), (3.0, 3.0, 3.0));
        assert!((seen.mean - 4.25 / 3.0).abs() < 1e-12);
    }

    /// Would catch an overrun counted at a load of exactly 1, and causes that are lumped together.
    #[test]
    fn the_three_counts_are_apart() {
        let clock = ManualClock::default();
        let mut profiler = profiler(&clock);
        callback(&mut profiler, &clock, PERIOD, PERIOD); // full, in time
        callback(&mut profiler, &clock, PERIOD + 1, PERIOD + 1); // overrun, the next is hardly late
        callback(&mut profiler, &clock, 10, PERIOD * 3 / 2); // the next is 1.5 periods later: not late yet
        callback(&mut profiler, &clock, 10, PERIOD * 3 / 2 + 1); // the next is late
        let timing = callback(&mut profiler, &clock, 10, PERIOD);
        assert!(timing.late && timing.gap == PERIOD * 3 / 2 + 1);
        profiler.backend_xruns(2);
        let seen = profiler.snapshot();
        assert_eq!((seen.overruns, seen.late, seen.backend_xruns, seen.callbacks), (1, 1, 2, 5));
    }

    /// Would catch a gap that is held against the frames of the wrong callback when the block size varies.
    #[test]
    fn a_gap_is_measured_against_the_block_before_it() {
        let clock = ManualClock::default();
        let mut profiler = profiler(&clock);
        profiler.begin(1024);
        profiler.end();
        clock.advance(8 * PERIOD); // the 1024 frames have just been played
        profiler.begin(128);
        assert!(!profiler.end().unwrap().late);
        clock.advance(8 * PERIOD); // the 128 frames ran out long ago
        profiler.begin(1024);
        assert!(profiler.end().unwrap().late);
    }

    /// Would catch a panic, a division by zero or a phantom callback on calls out of order.
    #[test]
    fn calls_out_of_order_measure_nothing_and_are_counted() {
        let clock = ManualClock::default();
        let mut profiler = profiler(&clock);
        assert_eq!(profiler.end(), None);
        profiler.begin(0);
        assert_eq!(profiler.end(), None, "0 frames begin nothing");
        profiler.begin(128);
        clock.advance(100);
        profiler.begin(128);
        clock.advance(7);
        assert_eq!(profiler.end().unwrap().execution, 7, "the second begin counts");
        let seen = profiler.snapshot();
        assert_eq!((seen.callbacks, seen.unpaired), (1, 4));
    }

    /// Would catch a late callback that goes uncounted because it returned early, without its `end`.
    #[test]
    fn late_counts_for_a_callback_that_never_ends() {
        let clock = ManualClock::default();
        let mut profiler = profiler(&clock);
        callback(&mut profiler, &clock, 10, 10 * PERIOD);
        profiler.begin(128); // late, and dropped
        clock.advance(PERIOD);
        callback(&mut profiler, &clock, 10, 10 * PERIOD); // in time: another event begins after it
        profiler.begin(128);
        let seen = profiler.snapshot();
        assert_eq!((seen.callbacks, seen.unpaired, seen.late, seen.late_events), (2, 1, 2, 2));
        profiler.end();
        assert_eq!(profiler.snapshot().late, 2, "once for each");
    }

    /// Would catch statistics invented for no callback at all, and a reset that leaves something behind.
    #[test]
    fn before_the_first_callback_and_after_a_reset_nothing_is_known() {
        let clock = ManualClock::default();
        let mut profiler = profiler(&clock);
        let empty = profiler.snapshot();
        assert_eq!((empty.load, empty.mean_execution, empty.longest_execution), (None, None, None));
        assert!(format!("{empty}").contains("not known"));
        callback(&mut profiler, &clock, 2 * PERIOD, 9 * PERIOD);
        callback(&mut profiler, &clock, 2 * PERIOD, 9 * PERIOD);
        profiler.end();
        profiler.backend_xruns(1);
        assert_ne!(profiler.snapshot(), empty);
        profiler.begin(128);
        profiler.reset();
        assert_eq!(profiler.snapshot(), empty);
        assert_eq!(profiler.history().len(), 0);
        assert_eq!(profiler.take_max(), 0.0);
        clock.advance(9 * PERIOD); // not as long as a peak is held
        let first = callback(&mut profiler, &clock, 1, 1);
        assert_eq!(
            (first.gap, first.late, profiler.snapshot().late),
            (0, false, 0),
            "a gap over a reset is none"
        );
        assert_eq!(profiler.snapshot().load.unwrap().held, first.load);
    }

    /// Would catch a ring that grows, or is read in the wrong order once it has gone round.
    #[test]
    fn the_history_is_the_last_thousand_in_order() {
        let clock = ManualClock::default();
        let mut profiler = profiler(&clock);
        for execution in 1..=2_345 {
            callback(&mut profiler, &clock, execution, PERIOD);
        }
        let executions: Vec<u64> = profiler.history().map(|timing| timing.execution).collect();
        assert_eq!(executions, (1_346..=2_345).collect::<Vec<_>>());
        assert_eq!(profiler.snapshot().callbacks, 2_345);
    }

    /// Would catch an average that depends on how the same time is cut into callbacks, or does not move.
    #[test]
    fn the_average_follows_in_its_time_constant_whatever_the_block_size() {
        let after_one_constant = |frames: u32| {
            let clock = ManualClock::default();
            let mut profiler = profiler(&clock).smoothing(0.1);
            let period = u64::from(frames) * 1000;
            profiler.begin(frames);
            profiler.end();
            for _ in 0..4_800 / frames {
                profiler.begin(frames);
                clock.advance(period);
                profiler.end();
            }
            profiler.snapshot().load.unwrap().average
        };
        let expected = 1.0 - (-1.0f64).exp();
        for frames in [32, 48, 480, 4_800] {
            let average = after_one_constant(frames);
            assert!((average - expected).abs() < 1e-6, "{frames} frames: {average}");
        }
        let clock = ManualClock::default();
        let mut unsmoothed = profiler(&clock).smoothing(0.0);
        callback(&mut unsmoothed, &clock, PERIOD, PERIOD);
        callback(&mut unsmoothed, &clock, PERIOD / 2, PERIOD);
        assert_eq!(unsmoothed.snapshot().load.unwrap().average, 0.5);
    }

    /// Would catch a peak that vanishes at once or never, and a meter reading that is told twice.
    #[test]
    fn the_peak_is_held_for_its_time_and_the_maximum_is_taken_once() {
        let clock = ManualClock::default();
        let mut profiler = profiler(&clock).hold(1.0); // 48 000 000 ticks
        callback(&mut profiler, &clock, PERIOD / 2, PERIOD);
        callback(&mut profiler, &clock, PERIOD / 8, 24_000_000);
        assert_eq!(profiler.snapshot().load.unwrap().held, 0.5);
        clock.advance(30_000_000); // an eighth of the hold time longer
        callback(&mut profiler, &clock, PERIOD / 4, PERIOD);
        assert_eq!(profiler.snapshot().load.unwrap().held, 0.25);
        assert_eq!((profiler.take_max(), profiler.take_max()), (0.5, 0.0));
        callback(&mut profiler, &clock, PERIOD / 4, PERIOD);
        assert_eq!(profiler.take_max(), 0.25);
    }

    /// Would catch a high load that is not seen because a higher one was held before it.
    #[test]
    fn when_a_peak_is_over_the_highest_since_is_held() {
        let clock = ManualClock::default();
        let mut profiler = profiler(&clock).hold(2.0); // 750 periods
        let mut held_after = |execution, periods| {
            callback(&mut profiler, &clock, execution, PERIOD);
            for _ in 1..periods {
                callback(&mut profiler, &clock, PERIOD / 10, PERIOD);
            }
            profiler.snapshot().load.unwrap().held
        };
        assert_eq!(held_after(PERIOD, 712), 1.0);
        assert_eq!(held_after(9 * PERIOD / 10, 38), 1.0);
        assert_eq!(held_after(PERIOD / 10, 700), 0.9);
        assert_eq!(held_after(PERIOD / 10, 112), 0.1);
    }

    /// Would catch a peak that stays where none is to be held.
    #[test]
    fn without_a_hold_time_the_last_load_is_held() {
        let clock = ManualClock::default();
        for seconds in [0.0, -1.0, f64::NAN] {
            let mut profiler = profiler(&clock).hold(seconds);
            for execution in [PERIOD, PERIOD / 2, 0] {
                let timing = callback(&mut profiler, &clock, execution, execution);
                assert_eq!(profiler.snapshot().load.unwrap().held, timing.load);
            }
        }
    }

    /// Would catch percentiles that are mixed up or computed from something else than the loads.
    #[test]
    fn percentiles_are_those_of_the_loads() {
        let clock = ManualClock::default();
        let mut profiler = profiler(&clock);
        for per_mille in 1..=1000 {
            callback(&mut profiler, &clock, PERIOD * per_mille / 1000, PERIOD);
        }
        let seen = profiler.snapshot().load.unwrap();
        for (told, exact) in [(seen.p50, 0.5), (seen.p95, 0.95), (seen.p99, 0.99), (seen.p999, 0.999)] {
            assert!(told >= exact && told <= exact * (1.0 + 1.0 / 32.0), "{told} for {exact}");
        }
        assert_eq!(seen.max, 1.0);
    }

    /// Would catch a load beyond what the histogram counts to that panics in the callback, or is told as none.
    #[test]
    fn a_load_beyond_all_is_the_greatest_there_is() {
        let clock = ManualClock::default();
        let mut profiler = profiler(&clock);
        profiler.begin(1);
        clock.advance(u64::MAX);
        let load = profiler.end().unwrap().load;
        assert!(load > 1e16);
        let seen = profiler.snapshot().load.unwrap();
        assert_eq!((seen.last, seen.mean, seen.held), (load, load, load));
        assert!(seen.p50 >= 1e9 && seen.p50 == seen.max, "{seen:?}");
    }

    /// Would catch percentiles of callbacks that do next to nothing that are further off than is told.
    #[test]
    fn percentiles_are_as_near_for_the_smallest_loads() {
        const NANOSECONDS: NonZeroU64 = NonZeroU64::new(1_000_000_000).unwrap();
        for (ticks, frames) in [(1, 8192), (45, 1024), (100, 8192), (1, 1)] {
            let clock = ManualClock::default();
            let mut profiler = CallbackProfiler::with_clock(&clock, NANOSECONDS, RATE);
            profiler.begin(frames);
            clock.advance(ticks);
            let exact = profiler.end().unwrap().load;
            profiler.begin(frames);
            clock.advance(1_000_000);
            profiler.end();
            let told = profiler.snapshot().load.unwrap().p50;
            assert!(told >= exact && told <= exact * 1.032, "{told} for {exact}");
        }
    }

    /// Would catch a disturbance of several callbacks that counts as several, or two that count as one.
    #[test]
    fn callbacks_in_a_row_are_one_event() {
        let clock = ManualClock::default();
        let mut profiler = profiler(&clock);
        for (execution, gap) in [(2, 3), (2, 3), (0, 1), (2, 2), (0, 1), (0, 5), (0, 1)] {
            callback(&mut profiler, &clock, execution * PERIOD, gap * PERIOD);
        }
        let seen = profiler.snapshot();
        assert_eq!((seen.overruns, seen.overrun_events), (3, 2));
        assert_eq!((seen.late, seen.late_events), (4, 3));
    }

    /// Would catch a latency of 0 that nobody told, and one that is no number.
    #[test]
    fn latency_is_what_the_backend_told() {
        let clock = ManualClock::default();
        let mut profiler = profiler(&clock);
        assert_eq!(profiler.snapshot().latency, None);
        for seconds in [0.003, f64::NAN, 0.001, -1.0, f64::INFINITY, 0.002] {
            profiler.latency(seconds);
        }
        let latency = profiler.snapshot().latency.unwrap();
        assert_eq!((latency.min, latency.max), (0.001, 0.003));
        assert!((latency.mean - 0.002).abs() < 1e-12);
    }

    /// Would catch a reader that stops the writer, counts that run backwards, and a maximum that is lost or told twice.
    #[test]
    fn other_threads_read_while_it_measures() {
        const CALLBACKS: u64 = if cfg!(miri) { 50 } else { 20_000 };
        let clock = ManualClock::default();
        let mut profiler = profiler(&clock);
        let monitor = profiler.monitor();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut before = monitor.snapshot();
                let mut highest = 0.0_f64;
                // Whatever comes first: all of it may be over before this thread begins.
                monitor.backend_xruns(1);
                while before.callbacks < CALLBACKS {
                    let now = monitor.snapshot();
                    assert!(now.callbacks >= before.callbacks && now.frames >= before.frames);
                    if let Some(load) = now.load {
                        assert!(load.p50 <= load.p99 && load.max <= 0.75, "{load:?}");
                    }
                    highest = highest.max(monitor.take_max());
                    monitor.backend_xruns(1);
                    before = now;
                }
                highest.max(monitor.take_max())
            });
            for index in 0..CALLBACKS {
                callback(&mut profiler, &clock, if index == 7 { 3 * PERIOD / 4 } else { PERIOD / 2 }, PERIOD);
            }
            let highest = reader.join().unwrap();
            assert!(highest == 0.75 || highest == 0.5 || cfg!(miri), "{highest}");
        });
        let seen = profiler.snapshot();
        assert_eq!((seen.callbacks, seen.frames), (CALLBACKS, 128 * CALLBACKS));
        assert!(seen.backend_xruns > 0);
    }

    /// Would catch a measurement that forgets to end.
    #[test]
    fn measure_is_begin_and_end_around_the_call() {
        let clock = ManualClock::default();
        let mut profiler = profiler(&clock);
        assert_eq!(profiler.measure(128, || clock.advance(PERIOD / 2)), ());
        assert_eq!(profiler.snapshot().load.unwrap().last, 0.5);
        assert_eq!(profiler.snapshot().unpaired, 0);
    }

    /// Would catch memory that grows unnoticed; the documentation tells its size.
    #[cfg(target_pointer_width = "64")]
    #[test]
    fn a_profiler_takes_47_kib() {
        let bytes = size_of::<crate::histogram::AtomicHistogram>() + HISTORY * size_of::<CallbackTiming>();
        assert_eq!(bytes / 1024, 47);
    }

    /// Would catch a profiler that cannot be moved to the audio thread.
    #[test]
    fn a_profiler_can_be_sent() {
        fn is_send<T: Send>() {}
        is_send::<CallbackProfiler<ManualClock>>();
        is_send::<ProfileSnapshot>();
        fn is_shared<T: Send + Sync>() {}
        is_shared::<ProfileMonitor>();
    }

    proptest! {
        /// Would catch a series that is cut too early: compared with the library's `exp`.
        #[test]
        fn decay_is_the_exponential(x in 0.0f64..70.0) {
            prop_assert!((decay(x) - (-x).exp()).abs() < 1e-9);
        }

        /// Would catch a held load that is forgotten too early, kept for good, or not held anew: compared with all loads and
        /// their times.
        #[test]
        fn the_held_load_is_the_highest_of_the_hold_time_and_of_no_more_than_an_eighth_beyond(
            callbacks in proptest::collection::vec(
                // Mostly many to a slice, at times none in several.
                (0..PERIOD, prop_oneof![9 => 0..20 * PERIOD, 1 => 0..500 * PERIOD]),
                1..200,
            ),
        ) {
            const HOLD: u64 = 48_000_000; // 375 periods
            let clock = ManualClock::default();
            let mut profiler = profiler(&clock).hold(1.0);
            let mut seen: Vec<(u64, f64)> = Vec::new();
            for (execution, gap) in callbacks {
                let timing = callback(&mut profiler, &clock, execution, gap);
                let now = timing.begin.0 + execution;
                seen.push((now, timing.load));
                let highest = |ticks: u64| {
                    seen.iter().filter(|(at, _)| now - at <= ticks).fold(0.0_f64, |most, (_, load)| most.max(*load))
                };
                let held = profiler.figures.held.get_f64();
                prop_assert!(held >= highest(HOLD), "{held} is less than {}", highest(HOLD));
                prop_assert!(held <= highest(HOLD + HOLD / 8), "{held} is more than {}", highest(HOLD + HOLD / 8));
            }
        }

        /// Would catch overflow or a panic on clocks and rates at the edge.
        #[test]
        fn no_clock_and_no_rate_panics(
            steps in proptest::collection::vec((any::<u32>(), any::<u64>()), 1..20),
            rate in 1u32..,
            ticks in 1u64..,
        ) {
            let clock = ManualClock::default();
            let mut profiler = CallbackProfiler::with_clock(
                &clock,
                NonZeroU64::new(ticks).unwrap(),
                NonZeroU32::new(rate).unwrap(),
            );
            for (frames, advance) in steps {
                profiler.begin(frames);
                clock.set(Tick(advance));
                profiler.end();
            }
            let seen = profiler.snapshot();
            prop_assert!(seen.overruns <= seen.callbacks && seen.late <= seen.callbacks);
        }
    }
}
