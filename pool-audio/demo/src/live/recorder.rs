//! The recorder thread: writes what was played, and drops every buffer.

use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use pool_audio::{CallbackTiming, RealtimeHandle, SharedLease};
use rtrb::{Consumer, Producer, RingBuffer};

use super::chart::Timeline;
use super::{Flags, PERIOD};
use crate::kit::SAMPLE_RATE;
use crate::wav::{self, Loudness, WavFile};

/// Blocks that wait for the recorder: 2.7 s of sound, so that a disk may be slow.
pub(super) const BLOCKS_AHEAD: usize = 1024;
/// Chunks of each voice that wait to be dropped. Few, for what waits here is not there for the decoder; where there is no
/// room the callback drops them itself.
const SPENT_AHEAD: usize = 2;
/// How long it sleeps when there is nothing: a hundredth of what may wait.
const REST: Duration = Duration::from_millis(20);
/// Frames between two times that the file is brought to a state in which it can be read: half a second.
const FLUSH_FRAMES: u64 = 24_000;

/// The audio thread's end. A ring for each kind of message: in one for all, the many chunks would take the room of the
/// blocks, and a tenth of the sound would fit.
pub(super) struct ToRecorder {
    blocks: Producer<SharedLease>,
    spent: Producer<SharedLease>,
    timings: Producer<CallbackTiming>,
}

/// The recorder's end.
pub(super) struct FromAudio {
    /// What was played, in this order.
    pub(super) blocks: Consumer<SharedLease>,
    /// What has been played to its end, to be dropped.
    pub(super) spent: Consumer<SharedLease>,
    /// How long callbacks took.
    pub(super) timings: Consumer<CallbackTiming>,
}

/// The way from the audio thread to the recorder, its pages in memory.
pub(super) fn rings(voices: usize) -> (ToRecorder, FromAudio) {
    let (mut to_blocks, blocks) = RingBuffer::new(BLOCKS_AHEAD);
    let (mut to_spent, spent) = RingBuffer::new(SPENT_AHEAD * voices);
    let (mut to_timings, timings) = RingBuffer::new(BLOCKS_AHEAD);
    touch(&mut to_blocks);
    touch(&mut to_spent);
    touch(&mut to_timings);
    let to_recorder = ToRecorder { blocks: to_blocks, spent: to_spent, timings: to_timings };
    (to_recorder, FromAudio { blocks, spent, timings })
}

/// Writes to every slot of a new ring: its pages are there before the audio thread meets them, which comes round to the
/// last ones only after seconds if voices are few. The voices' rings are filled by the decoder instead.
fn touch<T>(ring: &mut Producer<T>) {
    if let Ok(mut chunk) = ring.write_chunk_uninit(ring.slots()) {
        let (first, second) = chunk.as_mut_slices();
        first.iter_mut().chain(second).for_each(|slot| *slot = MaybeUninit::zeroed());
        // Dropped uncommitted: nothing was sent.
    }
}

impl ToRecorder {
    /// Whether there was room. If not, the block is dropped here, which frees nothing.
    pub(super) fn block(&mut self, block: SharedLease) -> bool {
        self.blocks.push(block).is_ok()
    }

    /// Where there is no room it is dropped here, which frees nothing either.
    pub(super) fn spent(&mut self, chunk: SharedLease) {
        let _ = self.spent.push(chunk);
    }

    /// Where there is no room the chart has a gap.
    pub(super) fn timing(&mut self, timing: CallbackTiming) {
        let _ = self.timings.push(timing);
    }
}

impl FromAudio {
    /// Whether nothing comes any more.
    fn is_abandoned(&self) -> bool {
        self.blocks.is_abandoned() && self.spent.is_abandoned() && self.timings.is_abandoned()
    }
}

/// What was recorded.
#[derive(Debug)]
pub(crate) struct Recording {
    /// Frames that the file holds.
    pub(crate) frames: u64,
    /// Frames that came and could not be written.
    pub(crate) lost: u64,
    /// Why not all could be written.
    pub(crate) problem: Option<String>,
    pub(crate) loudness: Loudness,
    pub(crate) timeline: Timeline,
}

pub(super) struct Recorder {
    path: PathBuf,
    /// None once it could not be written.
    wav: Option<WavFile>,
    from_audio: FromAudio,
    /// To give buffers back in batches.
    blocks: RealtimeHandle,
    flags: Arc<Flags>,
    /// Frames when the file could be read last.
    flushed: u64,
    recording: Recording,
}

impl Recorder {
    pub(super) fn create(
        path: &Path,
        seconds: f64,
        from_audio: FromAudio,
        blocks: RealtimeHandle,
        flags: Arc<Flags>,
    ) -> Result<Self, String> {
        let rate = f64::from(SAMPLE_RATE.get());
        let wav = WavFile::create(path, (seconds * rate) as u64)
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        let timeline = Timeline::new(seconds, f64::from(PERIOD) / rate);
        let loudness = Loudness::default();
        let recording = Recording { frames: 0, lost: 0, problem: None, loudness, timeline };
        let (path, wav) = (path.to_owned(), Some(wav));
        Ok(Self { path, wav, from_audio, blocks, flags, flushed: 0, recording })
    }

    /// Until the audio thread is gone and everything that it sent is written; or dropped and counted, if it cannot be.
    pub(super) fn run(mut self) -> Recording {
        loop {
            // First, so that what was sent before it went is still seen.
            let gone = self.from_audio.is_abandoned() || self.flags.played.load(Ordering::Acquire);
            while let Ok(block) = self.from_audio.blocks.pop() {
                self.write(&block);
                self.blocks.release(block);
            }
            while let Ok(chunk) = self.from_audio.spent.pop() {
                drop(chunk);
            }
            while let Ok(timing) = self.from_audio.timings.pop() {
                self.recording.timeline.add(&timing);
            }
            if gone {
                break;
            }
            thread::sleep(REST);
        }
        if let Some(wav) = self.wav.take() {
            self.recording.loudness = wav.loudness();
            if let Err(error) = wav.finish() {
                self.break_off(&error);
            }
        }
        self.recording
    }

    fn write(&mut self, block: &SharedLease) {
        let frames = block.len() as u64;
        let Some(wav) = &mut self.wav else {
            self.recording.lost += frames;
            return;
        };
        self.recording.frames += frames;
        let mut written = wav.write(block);
        if written.is_ok() && self.recording.frames - self.flushed >= FLUSH_FRAMES {
            self.flushed = self.recording.frames;
            written = wav.flush();
        }
        if let Err(error) = written {
            self.recording.loudness = wav.loudness();
            self.wav = None;
            self.break_off(&error);
        }
    }

    /// The file can be written no further; it has been closed. What it can be read to is kept, and the rest was lost.
    fn break_off(&mut self, error: &hound::Error) {
        let recording = &mut self.recording;
        let kept = wav::keep_readable(&self.path).min(recording.frames);
        recording.lost += recording.frames - kept;
        recording.frames = kept;
        recording.problem = Some(format!("{} cannot be written: {error}", self.path.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pool_audio::{BufferKey, CallbackProfiler, RealtimePool};

    /// Would catch a ring that is full, or shorter, after it was touched.
    #[test]
    fn a_touched_ring_is_as_empty_as_before() {
        let (mut producer, mut consumer) = RingBuffer::new(3);
        touch(&mut producer);
        assert!(consumer.pop().is_err());
        for value in ["a", "b", "c"] {
            producer.push(value.to_owned()).unwrap();
        }
        assert!(producer.is_full());
        assert_eq!(
            [consumer.pop(), consumer.pop(), consumer.pop()],
            ["a", "b", "c"].map(|value| Ok(value.to_owned()))
        );
    }

    /// Would catch a recorder that ends when the disk is full, and with it the rings' emptying, the timings and the counts;
    /// and frames that count as recorded and are not in the file.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_loses_sound_and_no_counts() {
        let link = std::env::temp_dir().join(format!("pool-audio-full-{}.wav", std::process::id()));
        std::os::unix::fs::symlink("/dev/full", &link).unwrap();
        let key = BufferKey { channels: 2, frames: PERIOD, sample_rate: SAMPLE_RATE };
        let mut pool = RealtimePool::builder("test").build();
        pool.prewarm(key, 600).unwrap();
        let (mut to_recorder, from_audio) = rings(1);
        let handle = pool.handle(key).unwrap();
        for _ in 0..600 {
            assert!(to_recorder.block(handle.acquire_dirty_shared().unwrap()));
        }
        let mut profiler = CallbackProfiler::new(SAMPLE_RATE);
        profiler.begin(PERIOD);
        to_recorder.timing(profiler.end().unwrap());
        drop(to_recorder);
        let flags = Arc::new(Flags::default());
        let recording = Recorder::create(&link, 10.0, from_audio, handle, flags).unwrap().run();
        let _ = std::fs::remove_file(&link);
        assert_eq!((recording.frames, recording.lost), (0, 600 * u64::from(PERIOD)));
        assert!(recording.problem.unwrap().contains("cannot be written: "));
        assert!(recording.timeline.executions().is_some());
        assert_eq!(pool.stats().classes[0].leased, 0);
    }
}
