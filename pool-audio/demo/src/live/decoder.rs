//! The decoder thread: recordings in, chunks for voices out.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use pool_audio::{Account, AudioMemory, RealtimeHandle, SharedLease};
use rtrb::Producer;

use super::Flags;
use crate::kit::{self, Kit};
use crate::progress::Progress;
use crate::sequence::Dice;

/// Frames of a chunk: 21 ms, so that the threads meet 50 times a second and not 375 times.
pub(super) const CHUNK_FRAMES: u32 = 1024;
/// How long the decoder sleeps when every voice has enough: a tenth of what waits.
const REST: Duration = Duration::from_millis(8);
/// Loudness of one voice of `n`, times the root of `n`: voices that have nothing to do with one another add up so.
const GAIN: f32 = 0.5;

/// A piece of sound for one voice.
pub(super) struct Chunk {
    pub(super) samples: SharedLease,
    /// A recording begins with it.
    pub(super) begins: bool,
}

/// What became of the files.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) names: Vec<String>,
    pub(crate) failed: Vec<(PathBuf, String)>,
    pub(crate) tracked_bytes: usize,
    /// Chunks that were sent.
    pub(crate) chunks: u64,
    /// Recordings that were begun.
    pub(crate) started: u64,
}

pub(super) struct Decoder {
    pub(super) files: Vec<PathBuf>,
    pub(super) account: Account,
    pub(super) chunks: RealtimeHandle,
    pub(super) rings: Vec<Producer<Chunk>>,
    pub(super) flags: Arc<Flags>,
}

/// Where a voice is in its recording.
#[derive(Clone)]
struct Place {
    recording: usize,
    position: usize,
    /// Of the left and of the right side.
    gains: [f32; 2],
}

impl Place {
    /// The next chunk of this voice. It begins another recording when one has ended.
    fn chunk(&mut self, kit: &Kit, mut samples: SharedLease, gain: f32, dice: &mut Dice) -> Chunk {
        let begins = self.position >= kit.recordings[self.recording].samples.frames();
        if begins {
            let recording = dice.below(kit.recordings.len());
            let pan = dice.roll();
            let gain = gain * kit.recordings[recording].gain;
            // Equal power: the same loudness wherever it stands.
            *self = Self { recording, position: 0, gains: [gain * (1.0 - pan).sqrt(), gain * pan.sqrt()] };
        }
        let source = &kit.recordings[self.recording].samples;
        let frames = (source.frames() - self.position).min(samples.frames());
        // Never more than its capacity.
        let fits = samples.set_len(frames);
        debug_assert_eq!(fits, Ok(()));
        // Mono recordings feed both sides, those of more channels the first two.
        let sides = [0, source.channels().min(2) - 1];
        for ((plane, side), gain) in samples.planes_mut().zip(sides).zip(self.gains) {
            let source = &source[side][self.position..self.position + frames];
            plane.iter_mut().zip(source).for_each(|(sample, &source)| *sample = gain * source);
        }
        self.position += frames;
        Chunk { samples, begins }
    }
}

impl Decoder {
    /// Decodes everything, then keeps every voice supplied until it is told to stop.
    pub(super) fn run(mut self) -> Result<Loaded, String> {
        let mut memory: AudioMemory =
            AudioMemory::builder().budget(self.account.hard_limit()).parent(&self.account).build();
        let mut progress = Progress::new("decoding", self.files.len() as u64);
        // What is left of the budget is for recordings, and the buffers that are there have theirs already; a few more may be
        // made while it plays.
        let spare = self.account.used() / 8;
        let kit = kit::load(&self.files, &mut memory, spare, |_| progress.step(1));
        progress.finish();
        for (path, reason) in &kit.failed {
            eprintln!("error: {}: {reason}", path.display());
        }
        for warning in &kit.warnings {
            eprintln!("warning: {warning}");
        }
        if kit.recordings.is_empty() {
            return Err(format!("none of {} files could be used", self.files.len()));
        }
        let mut loaded = Loaded {
            names: kit.recordings.iter().map(|recording| recording.name.clone()).collect(),
            failed: kit.failed.clone(),
            tracked_bytes: memory.tracked_bytes(),
            ..Loaded::default()
        };
        self.supply(&kit, &mut loaded);
        Ok(loaded)
    }

    fn supply(&mut self, kit: &Kit, loaded: &mut Loaded) {
        let mut dice = Dice::new(64);
        let gain = GAIN / (self.rings.len() as f32).sqrt();
        // Past its end, so that each begins with a choice.
        let mut places =
            vec![Place { recording: 0, position: usize::MAX, gains: [0.0; 2] }; self.rings.len()];
        while !self.flags.stop.load(Ordering::Acquire) {
            let mut all_full = true;
            for (ring, place) in self.rings.iter_mut().zip(&mut places) {
                while !ring.is_full() {
                    // None to be had: the worker has been told, and there is one the next time round.
                    let Some(samples) = self.chunks.acquire_dirty_shared() else {
                        all_full = false;
                        break;
                    };
                    let chunk = place.chunk(kit, samples, gain, &mut dice);
                    loaded.chunks += 1;
                    loaded.started += u64::from(chunk.begins);
                    if ring.push(chunk).is_err() {
                        break;
                    }
                }
            }
            if all_full {
                self.flags.primed.store(true, Ordering::Release);
            }
            thread::sleep(REST);
        }
    }
}
