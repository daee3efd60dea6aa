//! The mixer: voices that come and go, each with pooled buffers, summed in quanta of 128 frames.
//!
//! What is pooled, and for how long it is out:
//!
//! | buffer | shape | out for |
//! |---|---|---|
//! | scratch of a voice | 2 x 128 | one quantum, acquired anew in each |
//! | bus | 2 x 128 | one quantum |
//! | echo line of a voice | 1 x the length of the echo | the life of the voice |
//!
//! The length of the echo changes with each bar, so idle lines of old lengths pile up; the echo pool has a limit
//! of its own in which they make room, least recently used first, for those of the new length.

use std::fmt;
use std::rc::Rc;

use pool_audio::{
    AcquireError, AudioMemory, BufferError, BufferKey, BufferPool, OwnedBufferLease, SampleBuffer,
};

use crate::kit::{Recording, SAMPLE_RATE};
use crate::limiter::limit;
use crate::sequence::{self, Dice};

/// Frames per quantum.
pub(crate) const QUANTUM: u32 = 128;
/// Bytes that echo lines may take, leased and idle: enough for those that sound at once, not for those of all
/// five lengths.
pub(crate) const ECHO_BUDGET: usize = 4 * 1024 * 1024;
/// Bytes that scratch and bus buffers may take, per voice that sounds: one buffer is 1.2 KiB.
const SCRATCH_PER_VOICE: usize = 4096;

/// Frames per sixteenth note: 112.5 beats a minute, a whole number of quanta.
const STEP_FRAMES: usize = 50 * QUANTUM as usize;
/// How far repeats of a hit are spread, at most: 60 ms are heard as a room and not as repeats.
const ROOM_FRAMES: usize = 2880;
/// What an echo gives back each time round.
const FEEDBACK: f32 = 0.45;
/// Times an echo goes round before the voice ends: 0.45 to the sixth is -42 dB.
const ROUNDS: usize = 6;
/// Loudness of a hit itself.
const HIT_GAIN: f32 = 0.34;
/// Loudness of all its repeats together.
const ROOM_GAIN: f32 = 0.7;

const QUANTUM_KEY: BufferKey = BufferKey { channels: 2, frames: QUANTUM, sample_rate: SAMPLE_RATE };

/// A mixer that cannot go on.
#[derive(Debug)]
pub(crate) struct MixError(AcquireError<BufferError>);

impl fmt::Display for MixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no buffer to mix in: {}", self.0)
    }
}

impl std::error::Error for MixError {}

/// An echo: a ring of samples that feeds back into itself.
struct Echo {
    line: OwnedBufferLease,
    position: usize,
}

/// One recording that sounds.
struct Voice {
    recording: Rc<Recording>,
    /// Frames until it starts.
    wait: usize,
    /// Next frame of the recording.
    position: usize,
    /// Frames that it still sounds after the recording has ended, for the echo.
    tail: usize,
    gain: f32,
    /// 0 is left, 1 is right.
    pan: f32,
    echo: Option<Echo>,
    /// Fades out within this quantum, to make room for a new voice.
    stopping: bool,
}

impl Voice {
    fn ended(&self) -> bool {
        self.position >= self.recording.samples.frames() && self.tail == 0
    }

    /// Adds the next quantum of this voice to `scratch`, and does not touch it while the voice waits.
    fn render(&mut self, scratch: &mut SampleBuffer) {
        let quantum = scratch.len();
        let first = self.wait.min(quantum);
        self.wait -= first;
        if first == quantum {
            return;
        }
        let Ok([left, right]) = scratch.disjoint_planes_mut([0, 1]) else { return };
        let samples = &self.recording.samples;
        // Mono recordings feed both sides, those of more channels the first two.
        let (source_left, source_right) = (&samples[0], &samples[samples.channels().min(2) - 1]);
        let gain = self.gain * self.recording.gain;
        // Equal power: the same loudness wherever it stands.
        let (gain_left, gain_right) = (gain * (1.0 - self.pan).sqrt(), gain * self.pan.sqrt());
        let fade = if self.stopping { 1.0 / quantum as f32 } else { 0.0 };
        for frame in first..quantum {
            let level = 1.0 - fade * frame as f32;
            let (mut dry_left, mut dry_right) = (0.0, 0.0);
            if let (Some(&at_left), Some(&at_right)) =
                (source_left.get(self.position), source_right.get(self.position))
            {
                (dry_left, dry_right) = (at_left * gain_left, at_right * gain_right);
                self.position += 1;
            } else {
                self.tail = self.tail.saturating_sub(1);
            }
            let mut wet = 0.0;
            if let Some(echo) = &mut self.echo {
                let line = &mut echo.line[0];
                wet = line[echo.position];
                line[echo.position] = (dry_left + dry_right) * 0.5 * FEEDBACK + wet * FEEDBACK;
                echo.position = (echo.position + 1) % line.len();
            }
            // The echo answers from the other side.
            left[frame] += (dry_left + wet * self.pan) * level;
            right[frame] += (dry_right + wet * (1.0 - self.pan)) * level;
        }
    }
}

/// What the mixer has done.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Counts {
    /// Quanta made.
    pub(crate) quanta: u64,
    /// Voices started.
    pub(crate) voices: u64,
    /// Most voices that sounded in one quantum.
    pub(crate) max_overlap: usize,
    /// Voices that sounded, added up over the quanta.
    pub(crate) overlap_sum: u64,
    /// Voices that had to stop early for a new one.
    pub(crate) stopped_early: u64,
    /// Voices that had to do without an echo, since its line did not fit the budget.
    pub(crate) echoes_refused: u64,
    /// Samples that the limiter bent.
    pub(crate) limited: u64,
}

/// Mixes the recordings; each call makes one quantum.
pub(crate) struct Mixer {
    recordings: Vec<Rc<Recording>>,
    /// Voices that sound at once, at the least whenever a step begins.
    wanted: usize,
    scratch_pool: BufferPool,
    echo_pool: BufferPool,
    voices: Vec<Voice>,
    /// The scratch buffers of this quantum; empty between quanta, kept for its memory.
    scratches: Vec<OwnedBufferLease>,
    dice: Dice,
    frame: usize,
    counts: Counts,
}

impl Mixer {
    /// A mixer whose pools are charged to `memory`.
    pub(crate) fn new(recordings: Vec<Rc<Recording>>, wanted: usize, memory: &mut AudioMemory) -> Self {
        Self {
            recordings,
            wanted,
            scratch_pool: memory.pool("quanta", Self::scratch_budget(wanted)),
            echo_pool: memory.pool("echo lines", Self::echo_budget(memory.account().hard_limit())),
            voices: Vec::with_capacity(2 * wanted),
            scratches: Vec::with_capacity(2 * wanted),
            dice: Dice::new(128),
            frame: 0,
            counts: Counts::default(),
        }
    }

    /// Bytes that the buffers of single quanta may take.
    fn scratch_budget(wanted: usize) -> usize {
        (2 * wanted + 2) * SCRATCH_PER_VOICE
    }

    /// Bytes that echo lines may take under a budget for everything: no more than an eighth of it.
    fn echo_budget(budget: usize) -> usize {
        ECHO_BUDGET.min(budget / 8)
    }

    /// Bytes of `budget` that a mixer of so many voices needs beside the recordings.
    pub(crate) fn spare(wanted: usize, budget: usize) -> usize {
        Self::scratch_budget(wanted) + Self::echo_budget(budget)
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Makes the next quantum and hands it to the caller, two planes of 128 frames, none louder than the
    /// limiter's ceiling.
    ///
    /// # Errors
    ///
    /// If the budget has no room for a buffer of one quantum.
    pub(crate) fn quantum(&mut self) -> Result<OwnedBufferLease, MixError> {
        if self.frame.is_multiple_of(STEP_FRAMES) {
            self.begin_step(self.frame / STEP_FRAMES);
        }
        let mut bus = self.scratch_pool.acquire_owned(QUANTUM_KEY).map_err(MixError)?;
        for voice in &mut self.voices {
            let mut scratch = self.scratch_pool.acquire_owned(QUANTUM_KEY).map_err(MixError)?;
            voice.render(&mut scratch);
            self.scratches.push(scratch);
        }
        let mut sounding = 0;
        for scratch in &self.scratches {
            // A voice that still waits has written nothing, and its buffer knows.
            if scratch.is_silent() {
                continue;
            }
            sounding += 1;
            for (sum, voice) in bus.planes_mut().zip(scratch.planes()) {
                for (sum, &sample) in sum.iter_mut().zip(voice) {
                    *sum += sample;
                }
            }
        }
        self.scratches.clear();
        self.voices.retain(|voice| !voice.stopping && !voice.ended());

        let mut limited = 0;
        for plane in bus.planes_mut() {
            for sample in plane {
                let bent = limit(*sample);
                limited += u64::from(bent != *sample);
                *sample = bent;
            }
        }
        self.counts.limited += limited;
        self.counts.quanta += 1;
        self.counts.overlap_sum += sounding as u64;
        self.counts.max_overlap = self.counts.max_overlap.max(sounding);
        self.frame += QUANTUM as usize;
        Ok(bus)
    }

    /// Starts the voices of a sixteenth note: the hits of the pattern, and as many repeats of them as it takes to
    /// have the wanted number of voices at once.
    fn begin_step(&mut self, step: usize) {
        let count = self.recordings.len();
        let mut hits: Vec<usize> =
            (0..count).filter(|&recording| sequence::starts(recording, count, step)).collect();
        if hits.is_empty() && self.voices.len() <= self.wanted {
            hits.push(self.dice.below(count));
        }
        let Some(&shortest) = hits.iter().min_by_key(|&&hit| self.recordings[hit].samples.frames()) else {
            return;
        };
        for &hit in &hits {
            self.start_hit(hit, step);
        }
        // All repeats of a step have begun before the shortest of its recordings is half over, so they overlap.
        let spread = (self.recordings[shortest].samples.frames() / 2).min(ROOM_FRAMES);
        // A quarter more than wanted, since some of them end before the next step.
        let missing = (self.wanted + self.wanted.div_ceil(4)).saturating_sub(self.voices.len());
        for repeat in 0..missing {
            let distance = (repeat + 1) as f32 / missing as f32;
            let gain = ROOM_GAIN / self.wanted as f32 * (1.5 - distance);
            let wait = (spread as f32 * distance * self.dice.roll()) as usize;
            let pan = self.dice.roll();
            self.start(hits[repeat % hits.len()], wait, gain, pan, None);
        }
    }

    /// Starts a hit itself: loud, near the middle, some of them with an echo.
    fn start_hit(&mut self, recording: usize, step: usize) {
        let accent = if step.is_multiple_of(4) { 1.0 } else { 0.75 };
        let pan = 0.5 + 0.3 * ((recording % 5) as f32 / 2.0 - 1.0);
        let echo = sequence::echo_steps(recording, step).and_then(|steps| {
            let key =
                BufferKey { channels: 1, frames: (steps * STEP_FRAMES) as u32, sample_rate: SAMPLE_RATE };
            let line = self.echo_pool.acquire_owned(key);
            self.counts.echoes_refused += u64::from(line.is_err());
            line.ok().map(|line| Echo { line, position: 0 })
        });
        // Room for a new voice, when long recordings have piled up.
        let sounding = self.voices.iter().filter(|voice| !voice.stopping).count();
        if sounding >= 2 * self.wanted
            && let Some(oldest) = self.voices.iter_mut().find(|voice| !voice.stopping)
        {
            oldest.stopping = true;
            self.counts.stopped_early += 1;
        }
        self.start(recording, 0, HIT_GAIN * accent, pan, echo);
    }

    fn start(&mut self, recording: usize, wait: usize, gain: f32, pan: f32, echo: Option<Echo>) {
        let tail = echo.as_ref().map_or(0, |echo| ROUNDS * echo.line.frames());
        let recording = Rc::clone(&self.recordings[recording]);
        self.voices.push(Voice { recording, wait, position: 0, tail, gain, pan, echo, stopping: false });
        self.counts.voices += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit;
    use crate::limiter::CEILING;

    /// Recordings of a quiet tone with these many frames.
    fn tones(frames: &[u32]) -> Vec<Rc<Recording>> {
        frames.iter().map(|&frames| Rc::new(kit::tone(frames))).collect()
    }

    /// Mixes so many quanta; the counts, and what the memory holds when everything is gone.
    fn mix(frames: &[u32], wanted: usize, quanta: usize, budget: usize) -> Result<(Counts, usize), MixError> {
        let mut memory = AudioMemory::new(budget);
        let mut mixer = Mixer::new(tones(frames), wanted, &mut memory);
        for _ in 0..quanta {
            let quantum = mixer.quantum()?;
            let loudest =
                quantum.planes().flatten().fold(0.0f32, |loudest, sample| loudest.max(sample.abs()));
            assert!(loudest <= CEILING, "{loudest}");
            assert!(memory.used() <= budget);
        }
        let counts = mixer.counts();
        drop(mixer);
        memory.clear();
        Ok((counts, memory.used()))
    }

    /// Would catch a mix of fewer voices than asked for, whether recordings last a frame or a minute, and buffers
    /// that are never given back.
    #[test]
    fn as_many_voices_as_wanted_sound_at_once_and_nothing_is_left() {
        for frames in [&[1][..], &[100], &[200, 3_000_000], &[20_000, 30_000, 9_000, 500]] {
            let (counts, left) = mix(frames, 64, 400, 96_000_000).unwrap();
            assert!(counts.max_overlap >= 64, "{frames:?}: {counts:?}");
            assert!(counts.max_overlap <= 2 * 64 + frames.len() + 1, "{frames:?}: {counts:?}");
            assert_eq!((counts.quanta, left), (400, 0));
        }
    }

    /// Would catch a pool that is by-passed or refilled each time: created must be what is out at once, and all
    /// else reuse.
    #[test]
    fn buffers_are_created_once_and_reused_ever_after() {
        let mut memory: AudioMemory = AudioMemory::default();
        let mut mixer = Mixer::new(tones(&[20_000, 30_000]), 64, &mut memory);
        for _ in 0..500 {
            drop(mixer.quantum().unwrap());
        }
        let stats = mixer.scratch_pool.stats();
        assert_eq!(stats.created, stats.peak_leased as u64);
        assert_eq!((stats.leased, stats.evicted), (0, 0));
        assert!(stats.hit_rate().unwrap() > 0.99);
        // Each quantum: a scratch per voice, and the bus.
        assert!(stats.hits + stats.misses >= mixer.counts().overlap_sum + 500);
    }

    /// Would catch echo lines of past lengths that stay for ever, or a mix that stops when they do not fit.
    #[test]
    fn echo_lines_make_room_for_one_another() {
        let mut memory: AudioMemory = AudioMemory::default();
        let mut mixer = Mixer::new(tones(&[9_000; 18]), 16, &mut memory);
        for _ in 0..6 * 16 * 50 {
            drop(mixer.quantum().unwrap());
        }
        let stats = mixer.echo_pool.stats();
        assert!(stats.evicted > 0 && stats.hits > 0, "{stats:?}");
        assert!(mixer.echo_pool.account().peak() <= ECHO_BUDGET);
        mixer.echo_pool.set_budget(0);
        for _ in 0..16 * 50 {
            drop(mixer.quantum().unwrap());
        }
        assert!(mixer.counts().echoes_refused > 0, "voices go on without an echo");
    }

    /// Would catch a panic where a budget has no room for one quantum.
    #[test]
    fn a_budget_smaller_than_a_quantum_is_an_error() {
        let error = mix(&[1000], 4, 1, 1000).unwrap_err();
        assert!(error.to_string().starts_with("there is no buffer to mix in"), "{error}");
    }
}
