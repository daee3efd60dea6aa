//! What a profiler tells, and how other threads read it: [`ProfileMonitor`].
//!
//! All of it is numbers that one thread writes and any thread may read, each for itself: relaxed loads and stores, no
//! read-modify-write on the writer's side but for what other threads write too. A reader that looks while a callback ends
//! may see it in some numbers and not yet in others; nothing else can go wrong, and nobody waits.
#![deny(clippy::disallowed_types)]

use alloc::boxed::Box;
use core::fmt;

use crate::histogram::{AtomicHistogram, Histogram};
use crate::sync::{Arc, AtomicU32, AtomicUsize, Figure, Ordering};

/// Loads are filed in the histogram in steps of 5.8e-11: a nanosecond of 8192 frames is still a hundred, and the last step is a
/// load of 1e9. A power of two, so that a load is rounded once, to whole steps.
pub(crate) const LOAD_STEPS: f64 = (1_u64 << 34) as f64;

/// Loads over many callbacks, each a fraction of the period and not clamped at 1. Percentiles and `max` end at 1.07e9, where a
/// load is filed that is beyond it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct LoadSummary {
    /// Of the last callback.
    pub last: f64,
    /// Exponentially weighted average, weighted by time.
    pub average: f64,
    /// Highest of the last seconds: of the hold time, and of no more than an eighth of it beyond.
    pub held: f64,
    /// Arithmetic mean of all callbacks.
    pub mean: f64,
    /// Median; this and the other percentiles at most 3.2 % too high, never too low. Of loads below 2.5e-9, a nanosecond in 0.4 s,
    /// one step of 5.8e-11 is more than that.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// Highest of all, exactly to one such step.
    pub max: f64,
}

/// What a [`CallbackProfiler`](crate::CallbackProfiler) has seen: a plain snapshot. `Display` is a text for people.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ProfileSnapshot {
    /// Callbacks measured from begin to end.
    pub callbacks: u64,
    /// Frames they produced.
    pub frames: u64,
    /// Callbacks that took longer than their period.
    pub overruns: u64,
    /// Runs of overruns with no other callback between them: one disturbance each.
    pub overrun_events: u64,
    /// Callbacks that began more than 1.5 periods after the one before, whether or not they ended since.
    pub late: u64,
    /// Runs of late callbacks with no other between them.
    pub late_events: u64,
    /// Dropouts that the audio backend reported.
    pub backend_xruns: u64,
    /// Calls that measured nothing: `end` without `begin`, `begin` twice, `begin` of 0 frames.
    pub unpaired: u64,
    /// Mean time from begin to end, in seconds; `None` before the first callback.
    pub mean_execution: Option<f64>,
    /// Longest time from begin to end, in seconds; `None` before the first callback.
    pub longest_execution: Option<f64>,
    /// Loads; `None` before the first callback.
    pub load: Option<LoadSummary>,
    /// Latency, as the backend's timestamps told it; `None` if nobody told any.
    pub latency: Option<LatencySummary>,
}

/// Time from a callback to when its samples are heard, or from when they were taken to the callback, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct LatencySummary {
    /// Shortest.
    pub min: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Longest.
    pub max: f64,
}

/// The numbers of one profiler. One writer, but for `backend_xruns` and `reading`.
pub(crate) struct Figures {
    pub(crate) seconds_per_tick: f64,
    pub(crate) callbacks: Figure,
    pub(crate) frames: Figure,
    pub(crate) overruns: Figure,
    pub(crate) overrun_events: Figure,
    pub(crate) late: Figure,
    pub(crate) late_events: Figure,
    pub(crate) unpaired: Figure,
    pub(crate) execution_sum: Figure,
    pub(crate) execution_max: Figure,
    pub(crate) load_sum: Figure,
    pub(crate) last: Figure,
    pub(crate) average: Figure,
    pub(crate) held: Figure,
    pub(crate) latencies: Figure,
    pub(crate) latency_sum: Figure,
    pub(crate) latency_min: Figure,
    pub(crate) latency_max: Figure,
    /// Written by whoever hears of one.
    pub(crate) backend_xruns: AtomicUsize,
    /// Which of `recent` collects; moved on by who reads.
    reading: AtomicU32,
    /// Highest load since it was read, and of which reading it is.
    recent: [Figure; 2],
    pub(crate) loads: Box<AtomicHistogram>,
}

impl Figures {
    pub(crate) fn new(seconds_per_tick: f64) -> Self {
        let figure = || Figure::new(0);
        Self {
            seconds_per_tick,
            callbacks: figure(),
            frames: figure(),
            overruns: figure(),
            overrun_events: figure(),
            late: figure(),
            late_events: figure(),
            unpaired: figure(),
            execution_sum: figure(),
            execution_max: figure(),
            load_sum: figure(),
            last: figure(),
            average: figure(),
            held: figure(),
            latencies: figure(),
            latency_sum: figure(),
            latency_min: figure(),
            latency_max: figure(),
            backend_xruns: AtomicUsize::new(0),
            reading: AtomicU32::new(0),
            // Of a reading that is not the first.
            recent: [Figure::new(u64::MAX), Figure::new(u64::MAX)],
            loads: Box::new(AtomicHistogram::new()),
        }
    }

    /// Writer: one more load for who asks for the highest.
    pub(crate) fn note_recent(&self, load: f64) {
        let reading = self.reading.load(Ordering::Relaxed);
        let recent = &self.recent[reading as usize % 2];
        let word = |load: f32| u64::from(reading) << 32 | u64::from(load.to_bits());
        let before = recent.get();
        // Of positive floats the greater has the greater bits.
        let new = word(load as f32);
        if before >> 32 != u64::from(reading) || before < new {
            recent.set(new);
        }
    }

    fn take_recent(&self) -> f64 {
        let reading = self.reading.fetch_add(1, Ordering::Relaxed);
        let recent = self.recent[reading as usize % 2].get();
        if recent >> 32 == u64::from(reading) { f64::from(f32::from_bits(recent as u32)) } else { 0.0 }
    }

    /// Writer: everything from the beginning.
    pub(crate) fn reset(&self) {
        let all = [
            &self.callbacks,
            &self.frames,
            &self.overruns,
            &self.overrun_events,
            &self.late,
            &self.late_events,
            &self.unpaired,
            &self.execution_sum,
            &self.execution_max,
            &self.load_sum,
            &self.last,
            &self.average,
            &self.held,
            &self.latencies,
            &self.latency_sum,
            &self.latency_min,
            &self.latency_max,
        ];
        all.iter().for_each(|figure| figure.set(0));
        self.backend_xruns.store(0, Ordering::Relaxed);
        self.reading.fetch_add(1, Ordering::Relaxed);
        self.loads.reset();
    }

    fn snapshot(&self) -> ProfileSnapshot {
        let callbacks = self.callbacks.get();
        let measured = callbacks > 0;
        let count = callbacks as f64;
        let loads: Box<Histogram> = self.loads.copy();
        let percentile = |quantile| loads.value_at(quantile).map(|steps| steps as f64 / LOAD_STEPS);
        let load = || {
            Some(LoadSummary {
                last: self.last.get_f64(),
                average: self.average.get_f64(),
                held: self.held.get_f64(),
                mean: self.load_sum.get_f64() / count,
                p50: percentile(0.5)?,
                p95: percentile(0.95)?,
                p99: percentile(0.99)?,
                p999: percentile(0.999)?,
                max: percentile(1.0)?,
            })
        };
        let seconds = |ticks: u64| ticks as f64 * self.seconds_per_tick;
        let latencies = self.latencies.get();
        ProfileSnapshot {
            callbacks,
            frames: self.frames.get(),
            overruns: self.overruns.get(),
            overrun_events: self.overrun_events.get(),
            late: self.late.get(),
            late_events: self.late_events.get(),
            backend_xruns: self.backend_xruns.load(Ordering::Relaxed) as u64,
            unpaired: self.unpaired.get(),
            mean_execution: measured.then(|| seconds(self.execution_sum.get()) / count),
            longest_execution: measured.then(|| seconds(self.execution_max.get())),
            load: if measured { load() } else { None },
            latency: (latencies > 0).then(|| LatencySummary {
                min: self.latency_min.get_f64(),
                mean: self.latency_sum.get_f64() / latencies as f64,
                max: self.latency_max.get_f64(),
            }),
        }
    }
}

/// Reads a [`CallbackProfiler`](crate::CallbackProfiler) from any thread, while it measures, and without its noticing.
///
/// From [`CallbackProfiler::monitor`](crate::CallbackProfiler::monitor); clones read the same profiler.
#[derive(Clone)]
pub struct ProfileMonitor {
    figures: Arc<Figures>,
}

impl ProfileMonitor {
    pub(crate) fn new(figures: &Arc<Figures>) -> Self {
        Self { figures: Arc::clone(figures) }
    }

    /// Everything seen so far. Allocates 8 KiB for a moment and walks the histogram (some microseconds): not for the
    /// callback. A callback that ends meanwhile may be in some of the numbers and not in others.
    #[must_use]
    pub fn snapshot(&self) -> ProfileSnapshot {
        self.figures.snapshot()
    }

    /// The highest load since this was last asked by anybody, for a meter that is read now and then; 0 if there was no
    /// callback in between. One that ends at this very moment may be missed.
    #[must_use = "the next answer begins anew"]
    pub fn take_max(&self) -> f64 {
        self.figures.take_recent()
    }

    /// Counts dropouts that the audio backend reported, on whatever thread it did. One atomic addition.
    pub fn backend_xruns(&self, count: u32) {
        self.figures.backend_xruns.fetch_add(count as usize, Ordering::Relaxed);
    }
}

impl fmt::Debug for ProfileMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProfileMonitor({} callbacks)", self.figures.callbacks.get())
    }
}

/// Three lines: load, dropouts, times.
impl fmt::Display for ProfileSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.load {
            Some(load) => writeln!(
                f,
                "load     p50 {:.2} %, p95 {:.2} %, p99 {:.2} %, p99.9 {:.2} %, max {:.2} % of the period",
                load.p50 * 100.0,
                load.p95 * 100.0,
                load.p99 * 100.0,
                load.p999 * 100.0,
                load.max * 100.0
            )?,
            None => writeln!(f, "load     not known, no callback was measured")?,
        }
        writeln!(
            f,
            "dropouts {} overruns in {} events, {} late in {}, {} told by the backend, of {} callbacks",
            self.overruns,
            self.overrun_events,
            self.late,
            self.late_events,
            self.backend_xruns,
            self.callbacks
        )?;
        match (self.mean_execution, self.longest_execution) {
            (Some(mean), Some(longest)) => {
                write!(f, "times    mean {:.1} us, longest {:.1} us", mean * 1e6, longest * 1e6)
            }
            _ => write!(f, "times    not known"),
        }
    }
}
