//! Rounds in turn, and their medians.
//!
//! The contenders of a workload take turns, a round each, so that a change of the machine's speed hits all of them.
//! A round is as many operations as take about [`Settings::round`]; what counts is the median over the rounds.

use crate::workloads::{Contender, Run, Workload};
use std::time::{Duration, Instant};

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// What a round of one contender is to take.
    pub round: Duration,
    /// What the rounds of a workload may take together, once there are [`MIN_ROUNDS`].
    pub budget: Duration,
}

impl Settings {
    /// Figures to publish.
    pub const FULL: Self = Self { round: Duration::from_micros(1000), budget: Duration::from_secs(4) };
    /// Enough to see a regression.
    pub const QUICK: Self = Self { round: Duration::from_micros(250), budget: Duration::from_millis(300) };
}

/// A median is of no fewer rounds.
const MIN_ROUNDS: usize = 31;
/// More rounds change nothing.
const MAX_ROUNDS: usize = 201;
/// Rounds that are run and forgotten.
const WARM_UP: usize = 3;
/// Operations come in bursts of 64 and of 10.
const STEP: usize = 640;
const MAX_OPERATIONS: usize = STEP * 4000;

/// What one contender's rounds gave, in ns per operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) median: f64,
    /// A quarter of the rounds was faster.
    pub(crate) low: f64,
    /// A quarter of the rounds was slower.
    pub(crate) high: f64,
    pub(crate) rounds: usize,
}

/// Measures all contenders of a workload, in their order.
pub(crate) fn measure(workload: &mut Workload, settings: &Settings) -> Vec<Times> {
    let contenders = &mut workload.contenders;
    let operations: Vec<usize> =
        contenders.iter_mut().map(|contender| calibrate(contender, settings.round)).collect();
    let mut times = vec![Vec::with_capacity(MAX_ROUNDS); contenders.len()];
    let start = Instant::now();
    for round in 0..WARM_UP + MAX_ROUNDS {
        if round >= WARM_UP + MIN_ROUNDS && start.elapsed() > settings.budget {
            break;
        }
        for ((times, contender), operations) in times.iter_mut().zip(contenders.iter_mut()).zip(&operations) {
            let ns = run(contender, *operations).as_nanos() as f64 / *operations as f64;
            if round >= WARM_UP {
                times.push(ns);
            }
        }
    }
    times.into_iter().map(summary).collect()
}

fn run(contender: &mut Contender, operations: usize) -> Duration {
    match &mut contender.run {
        Run::Here(run) => {
            let start = Instant::now();
            run(operations);
            start.elapsed()
        }
        Run::Threads(run) => run(operations),
    }
}

/// How many operations take about as long as a round is to take.
fn calibrate(contender: &mut Contender, round: Duration) -> usize {
    let mut operations = STEP;
    loop {
        // The faster of two: the first may be the one that creates objects.
        let time = run(contender, operations).min(run(contender, operations));
        if time * 4 >= round || operations >= MAX_OPERATIONS {
            let wanted = operations as f64 * round.as_secs_f64() / time.as_secs_f64().max(1e-9);
            return (wanted as usize / STEP).clamp(1, MAX_OPERATIONS / STEP) * STEP;
        }
        operations *= 2;
    }
}

fn summary(mut times: Vec<f64>) -> Times {
    times.sort_by(f64::total_cmp);
    let at = |quarters: usize| times[(times.len() - 1) * quarters / 4];
    Times { median: at(2), low: at(1), high: at(3), rounds: times.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: one slow round that moves a figure.
    #[test]
    fn a_median_forgets_outliers() {
        let times = summary(vec![3.0, 1.0, 2.0, 900.0, 2.5]);
        assert_eq!((times.low, times.median, times.high, times.rounds), (2.0, 2.5, 3.0, 5));
    }

    /// Catches: rounds of a few operations, which a clock cannot time.
    #[test]
    fn a_round_is_as_long_as_asked_for() {
        let mut contender = Contender::threads("fixed", crate::Kind::Floor, |operations| {
            Duration::from_nanos(10 * operations as u64)
        });
        let operations = calibrate(&mut contender, Duration::from_millis(1));
        assert!((90_000..=100_000).contains(&operations), "{operations}");
    }
}
