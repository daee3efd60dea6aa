//! Rounds in turn, and their medians.
//!
//! The contenders of a workload take turns, a round each, so that a change of the machine's speed hits all of them.
//! A round is as many operations as take about [`Settings::round`]; what counts is the median over the rounds.
//!
//! A round in which a thread had to wait for a processor says more about other programs than about pools: two threads
//! that never run at once do not contend. Linux tells how long a thread waited, and such a round does not count, as long
//! as others do.
//!
//! Each round runs at another depth of the stack. A processor compares loads with the stores before them by the lower twelve
//! bits of their addresses, and waits where they agree: so it hangs on where the stack happens to lie whether a contender's own
//! variables wait for the block that it clears, which took 9.3 ns in place of 7.4 in every third process.

use crate::lap::{Lap, waited};
use crate::workloads::{Contender, Run, Workload};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// What a round of one contender is to take.
    pub round: Duration,
    /// What the rounds of a workload may take together, once there are enough of them for each contender.
    pub budget: Duration,
    /// What they may take where other programs disturb most of them.
    pub patience: Duration,
}

impl Settings {
    /// Figures to publish.
    pub const FULL: Self = Self {
        round: Duration::from_micros(400),
        budget: Duration::from_secs(4),
        patience: Duration::from_secs(40),
    };
    /// Enough to see a regression.
    pub const QUICK: Self = Self {
        round: Duration::from_micros(200),
        budget: Duration::from_millis(300),
        patience: Duration::from_secs(10),
    };
}

/// A median is of no fewer rounds.
const MIN_ROUNDS: usize = 31;
/// More rounds change nothing.
const MAX_ROUNDS: usize = 2001;
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
    /// Whether rounds count that other programs disturbed, as there were too few others.
    pub(crate) disturbed: bool,
}

/// Measures all contenders of a workload, in their order.
pub(crate) fn measure(workload: &mut Workload, settings: &Settings) -> Vec<Times> {
    let contenders = &mut workload.contenders;
    let operations: Vec<usize> =
        contenders.iter_mut().map(|contender| calibrate(contender, settings.round)).collect();
    let mut rounds = vec![Rounds::default(); contenders.len()];
    let start = Instant::now();
    for turn in 0.. {
        let enough = rounds.iter().all(|rounds| rounds.calm.len() >= MIN_ROUNDS);
        let late = if enough { settings.budget } else { settings.patience };
        if turn >= WARM_UP + MAX_ROUNDS || turn >= WARM_UP + MIN_ROUNDS && start.elapsed() > late {
            break;
        }
        for ((rounds, contender), operations) in rounds.iter_mut().zip(contenders.iter_mut()).zip(&operations)
        {
            let Lap { time, calm } = at_depth(turn % DEPTHS, &mut || run(contender, *operations));
            let ns = time.as_nanos() as f64 / *operations as f64;
            match (turn >= WARM_UP, calm) {
                (true, true) => rounds.calm.push(ns),
                (true, false) => rounds.disturbed.push(ns),
                (false, _) => {}
            }
        }
    }
    rounds.into_iter().map(Rounds::times).collect()
}

/// One contender's, in ns per operation.
#[derive(Clone, Default)]
struct Rounds {
    calm: Vec<f64>,
    disturbed: Vec<f64>,
}

impl Rounds {
    fn times(mut self) -> Times {
        let disturbed = self.calm.len() < MIN_ROUNDS;
        if disturbed {
            self.calm.append(&mut self.disturbed);
        }
        summary(self.calm, disturbed)
    }
}

/// Depths of the stack, a frame of [`at_depth`] apart: together more than the 4 KiB after which addresses look the same.
const DEPTHS: usize = 64;

#[inline(never)]
fn at_depth(frames: usize, round: &mut dyn FnMut() -> Lap) -> Lap {
    let frame = black_box([0_u8; 48]);
    let lap = if frames == 0 { round() } else { at_depth(frames - 1, round) };
    // Used after the call, so that each has a frame.
    black_box(&frame);
    lap
}

fn run(contender: &mut Contender, operations: usize) -> Lap {
    match &mut contender.run {
        Run::Here(run) => {
            let before = waited();
            let start = Instant::now();
            run(operations);
            let time = start.elapsed();
            Lap { time, calm: waited() == before }
        }
        Run::Threads(run) => run(operations),
    }
}

/// How many operations take about as long as a round is to take.
fn calibrate(contender: &mut Contender, round: Duration) -> usize {
    let mut operations = STEP;
    loop {
        // The fastest of some: the first may be the one that creates objects, others may be disturbed.
        let mut time = Duration::MAX;
        for attempt in 0..20 {
            let lap = run(contender, operations);
            time = time.min(lap.time);
            if attempt >= 1 && lap.calm {
                break;
            }
        }
        if time * 4 >= round || operations >= MAX_OPERATIONS {
            let wanted = operations as f64 * round.as_secs_f64() / time.as_secs_f64().max(1e-9);
            return (wanted as usize / STEP).clamp(1, MAX_OPERATIONS / STEP) * STEP;
        }
        operations *= 2;
    }
}

fn summary(mut times: Vec<f64>, disturbed: bool) -> Times {
    times.sort_by(f64::total_cmp);
    let at = |quarters: usize| times[(times.len() - 1) * quarters / 4];
    Times { median: at(2), low: at(1), high: at(3), rounds: times.len(), disturbed }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: one slow round that moves a figure.
    #[test]
    fn a_median_forgets_outliers() {
        let times = summary(vec![3.0, 1.0, 2.0, 900.0, 2.5], false);
        assert_eq!((times.low, times.median, times.high, times.rounds), (2.0, 2.5, 3.0, 5));
    }

    /// Catches: a figure of rounds in which nothing ran, while there are enough others.
    #[test]
    fn disturbed_rounds_count_only_if_there_are_too_few_others() {
        let rounds = |calm| Rounds { calm: vec![1.0; calm], disturbed: vec![9.0; 100] }.times();
        let (many, few) = (rounds(MIN_ROUNDS), rounds(MIN_ROUNDS - 1));
        assert_eq!((many.median, many.disturbed, many.rounds), (1.0, false, MIN_ROUNDS));
        assert_eq!((few.median, few.disturbed, few.rounds), (9.0, true, MIN_ROUNDS + 99));
    }

    /// Catches: rounds that all lie where the first one does, as they would in frames that the compiler merges.
    #[test]
    fn depths_reach_over_a_page() {
        let place = |depth| {
            let mut at = 0;
            at_depth(depth, &mut || {
                let here = 0_u8;
                at = &raw const here as usize;
                Lap { time: Duration::ZERO, calm: true }
            });
            at
        };
        let places: Vec<usize> = (0..DEPTHS).map(place).collect();
        assert!(places.windows(2).all(|pair| (48..256).contains(&(pair[0] - pair[1]))));
        assert!(places[0] - places[DEPTHS - 1] >= 4096 - 256);
    }

    /// Catches: rounds of a few operations, which a clock cannot time.
    #[test]
    fn a_round_is_as_long_as_asked_for() {
        let mut contender = Contender::threads("fixed", crate::Kind::Floor, |operations| Lap {
            time: Duration::from_nanos(10 * operations as u64),
            calm: true,
        });
        let operations = calibrate(&mut contender, Duration::from_millis(1));
        assert!((90_000..=100_000).contains(&operations), "{operations}");
    }
}
