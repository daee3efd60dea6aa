//! The load of the audio thread, from a clock that ticks once a millisecond: [`Timings`].
//!
//! An `AudioWorkletProcessor` has no better clock than `Date.now()`, and the moments at which quanta are rendered
//! are no periodic signal: the sound device asks for B frames at a time, and the browser renders all of their
//! quanta in one go. So the gap between two quanta of the *same* device callback is time spent rendering, and
//! the gap between quanta of different ones is mostly waiting. Only the first kind counts here. Each single gap
//! is off by up to a millisecond, but the errors of many are without bias, and their mean over a second or two is
//! good to a percent or two.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use pool_audio::Histogram;

/// Callbacks that [`Timings`] remembers.
pub const HISTORY: usize = 1000;

/// No callback comes so many milliseconds after the one before it: the context was suspended meanwhile, when frames do not
/// count on.
const PAUSE: f64 = 1000.0;

/// The load is averaged over the latest callbacks that cover this many seconds of sound.
const LOAD_WINDOW: f64 = 2.0;

/// One callback of the sound device, as far as `Date.now()` can tell.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CallbackTiming {
    /// Context time of its first frame, in seconds.
    pub timestamp: f64,
    /// Milliseconds since the callback before it began; `None` for the first, across a gap, and after a second or more, for
    /// which the context must have been suspended.
    pub interval: Option<f64>,
    /// Milliseconds between the begin of its first and of its last quantum, in whole milliseconds.
    pub busy: f64,
    /// Frames that were rendered in that time: all but its last quantum.
    pub frames: f64,
}

/// Seconds of sound in one entry of the histogram of loads: shorter, and the clock's millisecond shows more than the load.
const LOAD_STEP: f64 = 0.25;

/// Loads are filed in the histogram in millionths.
const MILLIONTHS: f64 = 1e6;

/// How the load was distributed since the last reset, over stretches of a quarter of a second. Each is a fraction of the
/// available time; percentiles are at most 3.2 % too large, the greatest is exact.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub struct LoadSummary {
    /// Half of the stretches had no more.
    pub p50: f64,
    /// 95 of 100 had no more.
    pub p95: f64,
    /// 99 of 100 had no more.
    pub p99: f64,
    /// The greatest.
    pub max: f64,
    /// Stretches measured.
    pub count: u64,
}

/// The history of the device's callbacks, fed with the frame and the time at which each quantum began.
pub struct Timings {
    sample_rate: f64,
    /// Frames that the device asks for at a time; unknown in browsers that report no `baseLatency`.
    callback_frames: Option<f64>,
    current: Option<Current>,
    history: VecDeque<CallbackTiming>,
    quanta: u64,
    /// Loads of stretches; boxed, as it has 8 KiB.
    loads: Box<Histogram>,
    /// The stretch that is being received: milliseconds busy, frames.
    stretch: (f64, f64),
}

/// The callback that is being received.
struct Current {
    index: f64,
    began: f64,
    latest: f64,
    latest_frame: f64,
    timing: CallbackTiming,
}

impl Timings {
    /// An empty history for a context of `sample_rate` hertz that reports a base latency of `base_latency` seconds.
    #[must_use]
    pub fn new(sample_rate: f64, base_latency: Option<f64>) -> Self {
        let callback_frames = base_latency
            .map(|seconds| (seconds * sample_rate + 0.5) as u64 as f64)
            .filter(|frames| *frames >= 1.0);
        Self {
            sample_rate,
            callback_frames,
            current: None,
            history: VecDeque::new(),
            quanta: 0,
            loads: Box::new(Histogram::new()),
            stretch: (0.0, 0.0),
        }
    }

    /// One quantum began at `frame` of the context, at `now` in milliseconds. O(1).
    pub fn push(&mut self, frame: f64, now: f64) {
        self.quanta += 1;
        let Some(callback_frames) = self.callback_frames else { return };
        // Both are positive, so this is the floor.
        let index = (frame / callback_frames) as u64 as f64;
        match &mut self.current {
            Some(current) if current.index == index && now >= current.latest => {
                current.timing.busy += now - current.latest;
                current.timing.frames += frame - current.latest_frame;
                current.latest = now;
                current.latest_frame = frame;
            }
            _ => {
                let before = self.current.take();
                let interval = before
                    .as_ref()
                    .filter(|before| before.index + 1.0 == index && now >= before.began)
                    .map(|before| now - before.began)
                    .filter(|interval| *interval < PAUSE);
                if let Some(before) = before {
                    self.file(before.timing);
                    if self.history.len() == HISTORY {
                        self.history.pop_front();
                    }
                    self.history.push_back(before.timing);
                }
                let timing =
                    CallbackTiming { timestamp: frame / self.sample_rate, interval, busy: 0.0, frames: 0.0 };
                self.current = Some(Current { index, began: now, latest: now, latest_frame: frame, timing });
            }
        }
    }

    fn file(&mut self, timing: CallbackTiming) {
        self.stretch = (self.stretch.0 + timing.busy, self.stretch.1 + timing.frames);
        let (busy, frames) = self.stretch;
        if frames >= LOAD_STEP * self.sample_rate {
            // Positive, and `as` saturates.
            self.loads.record((busy / 1000.0 / (frames / self.sample_rate) * MILLIONTHS + 0.5) as u64);
            self.stretch = (0.0, 0.0);
        }
    }

    /// How the load was distributed since the last reset; `None` before the first quarter of a second.
    #[must_use]
    pub fn load_summary(&self) -> Option<LoadSummary> {
        let at = |quantile| self.loads.value_at(quantile).map(|value| value as f64 / MILLIONTHS);
        Some(LoadSummary {
            p50: at(0.5)?,
            p95: at(0.95)?,
            p99: at(0.99)?,
            max: self.loads.max()? as f64 / MILLIONTHS,
            count: self.loads.count(),
        })
    }

    /// A batch of (frame, milliseconds) pairs.
    pub fn push_pairs(&mut self, pairs: &[f64]) {
        for pair in pairs.chunks_exact(2) {
            self.push(pair[0], pair[1]);
        }
    }

    /// The part of the available time that rendering took, over the latest two seconds; not clamped, above 1 the
    /// thread cannot keep up. `None` without data, where the size of a callback is unknown, and where a callback is
    /// a single quantum, so that nothing can be told. O(callbacks in two seconds).
    #[must_use]
    pub fn load(&self) -> Option<f64> {
        let (mut busy, mut frames) = (0.0, 0.0);
        for timing in self.history.iter().rev() {
            busy += timing.busy;
            frames += timing.frames;
            if frames >= LOAD_WINDOW * self.sample_rate {
                break;
            }
        }
        (frames > 0.0).then(|| busy / 1000.0 / (frames / self.sample_rate))
    }

    /// Mean time between callbacks in milliseconds, over the history. `None` without data. O(history).
    #[must_use]
    pub fn average_interval(&self) -> Option<f64> {
        let (mut sum, mut count) = (0.0, 0_u32);
        for interval in self.history.iter().filter_map(|timing| timing.interval) {
            sum += interval;
            count += 1;
        }
        (count > 0).then(|| sum / f64::from(count))
    }

    /// The latest [`HISTORY`] callbacks, oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<CallbackTiming> {
        self.history.iter().copied().collect()
    }

    /// Quanta seen since the last reset.
    #[must_use]
    pub fn quanta(&self) -> u64 {
        self.quanta
    }

    /// Forgets everything but what it was made with.
    pub fn reset(&mut self) {
        self.current = None;
        self.history.clear();
        self.quanta = 0;
        self.loads.reset();
        self.stretch = (0.0, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: f64 = 48000.0;

    /// A device that asks for `callback` frames at a time, and a thread that needs `load` of the time.
    fn simulate(timings: &mut Timings, callback: u64, load: f64, callbacks: u64) {
        let quantum_ms = 128.0 / RATE * 1000.0;
        for index in 0..callbacks {
            // The device's clock and the wall clock are neither in phase nor of exactly one speed; with both, rounding
            // to milliseconds would fall the same way each time.
            let woken = 5000.37 + (index * callback) as f64 / RATE * 1000.0 * 1.0001;
            for quantum in 0..callback / 128 {
                let now = woken + quantum as f64 * quantum_ms * load;
                timings.push((index * callback + quantum * 128) as f64, now.floor());
            }
        }
    }

    fn timings(callback: u64) -> Timings {
        Timings::new(RATE, Some(callback as f64 / RATE))
    }

    // Counting the wait between callbacks as work would read 1.0 whatever the thread does.
    #[test]
    fn load_is_what_was_burnt() {
        for load in [0.05, 0.375, 0.75, 1.4] {
            for callback in [512, 1024, 4096] {
                let mut timings = timings(callback);
                simulate(&mut timings, callback, load, 400);
                let read = timings.load().expect("there is data");
                assert!((read - load).abs() < 0.02, "{read} instead of {load} at {callback}");
            }
        }
    }

    // Percentiles of single callbacks would show the clock's steps; and what came before a reset must be gone.
    #[test]
    fn loads_have_percentiles() {
        let mut timings = timings(512);
        assert_eq!(timings.load_summary(), None);
        simulate(&mut timings, 512, 0.2, 900);
        let summary = timings.load_summary().expect("there is data");
        for value in [summary.p50, summary.p95, summary.p99, summary.max] {
            assert!((value - 0.2).abs() < 0.05, "{summary:?}");
        }
        assert!(summary.p50 <= summary.p95 && summary.p99 <= summary.max && summary.count > 20);
        timings.reset();
        assert_eq!(timings.load_summary(), None);
    }

    // A number that cannot be known must not be made up.
    #[test]
    fn what_cannot_be_known_is_none() {
        assert_eq!(timings(512).load(), None);
        for (base_latency, callback) in [(None, 512), (Some(0.0), 512), (Some(128.0 / RATE), 128)] {
            let mut timings = Timings::new(RATE, base_latency);
            simulate(&mut timings, callback, 0.5, 100);
            assert_eq!(timings.load(), None, "{base_latency:?}");
            assert!(timings.quanta() >= 100);
        }
    }

    // The seed keeps the last 1000 too; without a bound the page grows for ever.
    #[test]
    fn history_is_bounded_and_in_order() {
        let mut timings = timings(512);
        simulate(&mut timings, 512, 0.1, 1500);
        let history = timings.history();
        assert_eq!(history.len(), HISTORY);
        assert!(history.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp));
        let average = timings.average_interval().expect("there is data");
        assert!((average - 512.0 / 48.0).abs() < 0.02, "{average}");
        timings.reset();
        assert_eq!((timings.history().len(), timings.load(), timings.quanta()), (0, None, 0));
    }

    // A context that was suspended goes on with the next frame: the time in between would be the longest interval of all.
    #[test]
    fn a_suspension_is_no_interval() {
        let mut timings = timings(512);
        for (frame, now) in
            [(0.0, 100.0), (512.0, 111.0), (1024.0, 3111.0), (1536.0, 3121.0), (2048.0, 3132.0)]
        {
            timings.push(frame, now);
        }
        assert_eq!(timings.average_interval(), Some(10.5));
    }

    // Quanta may be lost, and the wall clock may be set back: neither is an interval.
    #[test]
    fn gaps_and_clocks_set_back_are_no_intervals() {
        let mut timings = timings(512);
        for (frame, now) in [(0.0, 100.0), (512.0, 111.0), (5120.0, 9000.0), (5632.0, 20.0), (6144.0, 31.0)] {
            timings.push(frame, now);
        }
        let intervals: Vec<_> = timings.history().iter().map(|timing| timing.interval).collect();
        assert_eq!(intervals, [None, Some(11.0), None, None]);
        timings.push_pairs(&[6272.0, 25.0, 6656.0]);
        assert!(timings.history().iter().all(|timing| timing.busy >= 0.0));
    }
}
