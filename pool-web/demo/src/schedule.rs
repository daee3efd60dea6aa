//! When it is played: a look-ahead scheduler on the audio clock.
//!
//! A timer of the page fires now and then and late; the audio clock is exact. So each tick plans everything up to
//! `now + look_ahead` with exact times. If the timer was away for longer than that (a throttled tab, a blocked main
//! thread), what should already have sounded is skipped and counted, never played in a burst.

use crate::{
    pattern::{Beat, Hit, Pattern, STEPS, STEPS_PER_BEAT},
    rng::Rng,
};

/// Quarter notes per minute.
pub const TEMPO: f64 = 112.0;
/// Seconds that are planned in advance at each tick.
pub const LOOK_AHEAD: f64 = 0.12;
/// A voice this late (seconds) is still started, at once; a later one is skipped.
const GRACE: f64 = 0.02;
/// Seconds from start to the first voice, so that it is not late before it was planned.
const LEAD: f64 = 0.06;
/// Voices per second that can be asked for.
pub const RATES: core::ops::RangeInclusive<f64> = 1.0..=1_000.0;

/// Plans beats of a [`Pattern`] at a rate of voices per second.
#[derive(Debug)]
pub struct Scheduler {
    rate: f64,
    /// Time of beat 0 on the audio clock.
    origin: f64,
    /// The next beat to be planned.
    beat: u64,
    /// Fraction of a voice that the last beat could not play.
    carry: f64,
    planned: u64,
    skipped: u64,
    queue: Vec<Hit>,
    /// First hit in `queue` that was not handed out.
    next: usize,
    rng: Rng,
}

impl Scheduler {
    /// A scheduler at rest; [`Self::start`] sets its clock.
    pub fn new(rate: f64) -> Self {
        let mut scheduler = Self {
            rate: 1.0,
            origin: 0.0,
            beat: 0,
            carry: 0.0,
            planned: 0,
            skipped: 0,
            queue: Vec::new(),
            next: 0,
            rng: Rng::new(0),
        };
        scheduler.set_rate(rate);
        scheduler
    }

    /// Starts at bar 1, right after `now` (seconds of the audio clock). The same rates then give the same voices.
    pub fn start(&mut self, now: f64) {
        self.origin = now + LEAD;
        self.beat = 0;
        self.carry = 0.0;
        self.planned = 0;
        self.queue.clear();
        self.next = 0;
        self.rng = Rng::new(0xD12);
    }

    /// Voices per second from the next beat on; clamped to [`RATES`], and NaN is ignored.
    pub fn set_rate(&mut self, rate: f64) {
        if !rate.is_nan() {
            self.rate = rate.clamp(*RATES.start(), *RATES.end());
        }
    }

    /// Voices per second.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Voices that were not played because the tick came too late for them.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Sets [`Self::skipped`] to zero.
    pub fn reset_skipped(&mut self) {
        self.skipped = 0;
    }

    /// Seconds of one beat.
    pub fn beat_seconds() -> f64 {
        60.0 / TEMPO
    }

    /// The step of the groove that sounds at `now`, or `None` before the first.
    pub fn step_at(&self, now: f64) -> Option<usize> {
        let steps = (now - self.origin) / (Self::beat_seconds() / STEPS_PER_BEAT as f64);
        (steps >= 0.0).then(|| (steps as u64 % STEPS as u64) as usize)
    }

    /// Hands every voice that is due before `now + LOOK_AHEAD` to `play`, each once, in order of time.
    ///
    /// A pause longer than a beat costs O(1): whole beats are leapt over, and their voices counted as skipped.
    pub fn advance(&mut self, now: f64, pattern: &Pattern, mut play: impl FnMut(&Hit)) {
        let horizon = now + LOOK_AHEAD;
        self.leap(now);
        loop {
            while let Some(hit) = self.queue.get(self.next) {
                if hit.time >= horizon {
                    return;
                }
                self.next += 1;
                if hit.time < now - GRACE {
                    self.skipped += 1;
                } else {
                    play(hit);
                }
            }
            let start = self.beat_start(self.beat);
            if start >= horizon {
                return;
            }
            self.plan(start, pattern);
        }
    }

    fn beat_start(&self, beat: u64) -> f64 {
        self.origin + beat as f64 * Self::beat_seconds()
    }

    fn plan(&mut self, start: f64, pattern: &Pattern) {
        self.queue.clear();
        self.next = 0;
        let wanted = self.rate * Self::beat_seconds() + self.carry;
        let voices = wanted.floor();
        self.carry = wanted - voices;
        pattern.plan_beat(
            Beat { number: self.beat, start, duration: Self::beat_seconds() },
            voices as usize,
            self.planned,
            &mut self.rng,
            &mut self.queue,
        );
        self.planned += voices as u64;
        self.beat += 1;
    }

    fn leap(&mut self, now: f64) {
        let behind = (now - self.beat_start(self.beat)) / Self::beat_seconds();
        if behind < 1.0 {
            return;
        }
        let beats = behind.floor();
        self.skipped += (self.queue.len() - self.next) as u64;
        self.skipped += (beats * Self::beat_seconds() * self.rate) as u64;
        self.queue.clear();
        self.next = 0;
        self.beat += beats as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(scheduler: &mut Scheduler, from: f64, seconds: f64, tick: f64) -> Vec<Hit> {
        let mut hits = Vec::new();
        let ticks = (seconds / tick).round() as usize;
        for index in 0..=ticks {
            scheduler.advance(from + index as f64 * tick, &Pattern::default(), |hit| hits.push(*hit));
        }
        hits
    }

    /// Would catch drift between the rate on the slider and the voices that are played.
    #[test]
    fn the_rate_is_kept_to_the_voice() {
        for rate in [1.0, 7.3, 60.0, 200.0, 400.0] {
            let mut scheduler = Scheduler::new(rate);
            scheduler.start(5.0);
            let hits = run(&mut scheduler, 5.0, 30.0, 0.025);
            // What is planned in advance, and the voices of one beat, are the only difference.
            let error = (hits.len() as f64 - rate * 30.0).abs();
            assert!(error <= rate * (LOOK_AHEAD + Scheduler::beat_seconds()) + 1.0, "{rate}: {}", hits.len());
            assert_eq!(scheduler.skipped(), 0);
        }
    }

    /// Would catch voices that are handed out twice, out of order, or too far ahead.
    #[test]
    fn voices_come_once_in_order_and_within_the_look_ahead() {
        let mut scheduler = Scheduler::new(200.0);
        scheduler.start(0.0);
        let mut last = f64::MIN;
        for tick in 0..400 {
            let now = tick as f64 * 0.025;
            scheduler.advance(now, &Pattern::default(), |hit| {
                assert!(hit.time >= last && hit.time >= now - GRACE && hit.time < now + LOOK_AHEAD);
                last = hit.time;
            });
        }
    }

    /// Would catch the burst of thousands of voices after a tab was throttled or the laptop slept.
    #[test]
    fn a_pause_is_skipped_and_not_caught_up() {
        let mut scheduler = Scheduler::new(200.0);
        scheduler.start(0.0);
        let before = run(&mut scheduler, 0.0, 1.0, 0.025).len();
        let mut burst = 0;
        scheduler.advance(601.0, &Pattern::default(), |_| burst += 1);
        assert!(burst as f64 <= 200.0 * (LOOK_AHEAD + GRACE) * 2.0, "{burst} voices at once");
        let expected = 600.0 * 200.0;
        let skipped = scheduler.skipped() as f64;
        assert!((skipped - expected).abs() < 300.0, "{skipped} skipped after {before}");
        // And the groove goes on in time.
        assert!(run(&mut scheduler, 601.0, 10.0, 0.025).len() > 1_900);
    }

    /// Would catch a tick on a suspended context (its clock stands still) that keeps planning.
    #[test]
    fn a_clock_that_stands_still_plans_nothing_more() {
        let mut scheduler = Scheduler::new(300.0);
        scheduler.start(0.0);
        let first = run(&mut scheduler, 0.0, 0.0, 0.025).len();
        let mut more = 0;
        for _ in 0..1_000 {
            scheduler.advance(0.0, &Pattern::default(), |_| more += 1);
        }
        assert!(first > 0);
        assert_eq!(more, 0);
    }

    /// Would catch hidden state: pooled and fresh must get identical voices, or the comparison is void.
    #[test]
    fn two_runs_are_identical() {
        let mut scheduler = Scheduler::new(123.0);
        scheduler.start(0.0);
        let first = run(&mut scheduler, 0.0, 5.0, 0.025);
        scheduler.start(0.0);
        assert_eq!(first, run(&mut scheduler, 0.0, 5.0, 0.025));
    }

    /// Would catch NaN or nonsense from the page reaching the voice count.
    #[test]
    fn rates_are_clamped() {
        let mut scheduler = Scheduler::new(f64::NAN);
        assert_eq!(scheduler.rate(), 1.0);
        scheduler.set_rate(f64::INFINITY);
        assert_eq!(scheduler.rate(), 1_000.0);
        scheduler.set_rate(-5.0);
        assert_eq!(scheduler.rate(), 1.0);
    }

    /// Would catch a playhead that is off by a step or runs past the grid.
    #[test]
    fn the_playhead_follows_the_clock() {
        let mut scheduler = Scheduler::new(1.0);
        scheduler.start(0.0);
        assert_eq!(scheduler.step_at(0.0), None);
        assert_eq!(scheduler.step_at(LEAD + 1e-6), Some(0));
        let bar = Scheduler::beat_seconds() * 4.0;
        assert_eq!(scheduler.step_at(LEAD + bar + 1e-6), Some(0));
        assert_eq!(scheduler.step_at(LEAD + bar - 1e-6), Some(STEPS - 1));
    }
}
