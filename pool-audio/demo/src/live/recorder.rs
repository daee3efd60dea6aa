//! The recorder thread: writes what was played, and drops every buffer.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use pool_audio::{CallbackTiming, RealtimeHandle, SharedLease};
use rtrb::Consumer;

use super::chart::Timeline;
use super::{Flags, PERIOD};
use crate::mixer::SAMPLE_RATE;
use crate::wav::{Loudness, WavFile};

/// How long it sleeps when there is nothing: a hundredth of what may wait.
const REST: Duration = Duration::from_millis(20);
/// Frames between two times that the file is brought to a state in which it can be read: half a second.
const FLUSH_FRAMES: u64 = 24_000;

/// What comes from the audio thread.
pub(super) enum Recorded {
    /// Was played, in this order.
    Block(SharedLease),
    /// Has been played to its end, to be dropped.
    Spent(SharedLease),
    /// How long a callback took.
    Timing(CallbackTiming),
}

/// What was recorded.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) frames: u64,
    pub(crate) loudness: Loudness,
    pub(crate) timeline: Timeline,
}

pub(super) struct Recorder {
    wav: WavFile,
    from_audio: Consumer<Recorded>,
    /// To give buffers back in batches.
    blocks: RealtimeHandle,
    timeline: Timeline,
    flags: Arc<Flags>,
}

impl Recorder {
    pub(super) fn create(
        path: &Path,
        seconds: f64,
        from_audio: Consumer<Recorded>,
        blocks: RealtimeHandle,
        flags: Arc<Flags>,
    ) -> Result<Self, String> {
        let rate = f64::from(SAMPLE_RATE.get());
        let wav = WavFile::create(path, (seconds * rate) as u64)
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        let period = f64::from(PERIOD) / rate;
        Ok(Self { wav, from_audio, blocks, timeline: Timeline::new(seconds, period), flags })
    }

    /// Until the audio thread is gone and everything that it sent is written.
    pub(super) fn run(mut self) -> Result<Recording, String> {
        let told = |error: hound::Error| format!("the recording cannot be written: {error}");
        let (mut frames, mut flushed) = (0, 0);
        loop {
            // First, so that what was sent before it went is still seen.
            let gone = self.from_audio.is_abandoned() || self.flags.played.load(Ordering::Acquire);
            while let Ok(recorded) = self.from_audio.pop() {
                match recorded {
                    Recorded::Block(block) => {
                        self.wav.write(&block).map_err(told)?;
                        frames += block.len() as u64;
                        self.blocks.release(block);
                    }
                    Recorded::Spent(chunk) => drop(chunk),
                    Recorded::Timing(timing) => self.timeline.add(&timing),
                }
            }
            if frames - flushed >= FLUSH_FRAMES {
                self.wav.flush().map_err(told)?;
                flushed = frames;
            }
            if gone {
                break;
            }
            thread::sleep(REST);
        }
        let loudness = self.wav.finish().map_err(told)?;
        Ok(Recording { frames, loudness, timeline: self.timeline })
    }
}
