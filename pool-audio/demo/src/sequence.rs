//! Which recording starts when: a drum pattern that suits any number of any recordings.
//!
//! Each recording gets a rhythm that spreads its hits over a bar as evenly as they go (Bjorklund's rhythms, which
//! are those of much of the world's drumming), and takes turns: a third of the recordings rests in each bar, so
//! the music goes on changing.

/// Sixteenth notes in a bar.
pub(crate) const STEPS: usize = 16;

/// Hits per bar, dealt out to the recordings in turn: few of most, so that 18 recordings are a groove and no noise.
const HITS: [usize; 6] = [4, 2, 5, 1, 3, 7];

/// Lengths of the echo, in steps, dealt out to the bars in turn.
const ECHO_STEPS: [usize; 5] = [3, 2, 4, 6, 1];

/// Whether the recording with this index starts at this step, counted from the beginning of the mix.
pub(crate) fn starts(recording: usize, recordings: usize, step: usize) -> bool {
    let bar = step / STEPS;
    if recordings > 2 && (recording + bar) % 3 == 2 {
        return false;
    }
    let hits = HITS[recording % HITS.len()];
    // Spread evenly: a hit wherever the running sum passes a whole bar. Turned so that not all start on the one.
    let turned = (step + 2 * (recording / HITS.len()) + recording % 2 * 4) % STEPS;
    turned * hits % STEPS < hits
}

/// How long the echo of a voice that starts at this step is, in steps; `None` for most recordings.
pub(crate) fn echo_steps(recording: usize, step: usize) -> Option<usize> {
    (recording % 3 == 1).then(|| ECHO_STEPS[step / STEPS % ECHO_STEPS.len()])
}

/// A generator of evenly spread numbers (xorshift): the same mix every time, on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// A generator; any seed will do.
    pub(crate) fn new(seed: u64) -> Self {
        // The state must not be 0.
        Self(seed ^ 0x9E37_79B9_7F4A_7C15 | 1)
    }

    /// The next number, at least 0 and less than 1.
    pub(crate) fn roll(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // 24 bits are what a float holds exactly.
        (self.0 >> 40) as f32 / (1u32 << 24) as f32
    }

    /// A whole number less than `below`, or 0 if `below` is 0.
    pub(crate) fn below(&mut self, below: usize) -> usize {
        ((f64::from(self.roll()) * below as f64) as usize).min(below.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Would catch recordings that are decoded and never heard, for any number of them.
    #[test]
    fn every_recording_is_heard_within_three_bars() {
        for recordings in [1, 2, 3, 18, 100] {
            for recording in 0..recordings {
                let hits = (0..3 * STEPS).filter(|&step| starts(recording, recordings, step)).count();
                assert!(hits > 0, "recording {recording} of {recordings}");
            }
        }
    }

    /// Would catch a rhythm whose hits bunch up: between neighbours at most one step of difference.
    #[test]
    fn hits_are_spread_evenly() {
        for (recording, wanted) in HITS.into_iter().enumerate() {
            let hits: Vec<usize> = (0..STEPS).filter(|&step| starts(recording, 1, step)).collect();
            assert_eq!(hits.len(), wanted);
            let gaps: Vec<usize> = (0..hits.len())
                .map(|hit| (hits[(hit + 1) % hits.len()] + STEPS - hits[hit] - 1) % STEPS + 1)
                .collect();
            let (least, most) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
            assert!(most - least <= 1, "{gaps:?}");
        }
    }

    /// Would catch a generator that sticks, or leaves its range.
    #[test]
    fn dice_fall_evenly_and_within_range() {
        let mut dice = Dice::new(0);
        let rolls: Vec<f32> = (0..10_000).map(|_| dice.roll()).collect();
        assert!(rolls.iter().all(|roll| (0.0..1.0).contains(roll)));
        let mean = rolls.iter().sum::<f32>() / rolls.len() as f32;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        assert_eq!(dice.below(0), 0);
        assert!((0..1000).all(|_| dice.below(3) < 3));
    }
}
