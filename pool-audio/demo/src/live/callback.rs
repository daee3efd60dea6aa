//! What the audio server calls: 64 voices into two ports, and into blocks for the recorder.
//!
//! Everything in [`Callback`] keeps to what pool-audio promises: no allocator, no lock, no system call; but for a
//! look at this thread's page faults once a second, and the stall that is planted when asked for.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pool_audio::{CallbackProfiler, InstantClock, ProfileMonitor, RealtimeHandle, SharedLease};
use pool_audio_gates::{allocator, kernel};
use rtrb::Consumer;

use super::decoder::Chunk;
use super::recorder::ToRecorder;
use super::{Flags, PERIOD};
use crate::kit::SAMPLE_RATE;
use crate::limiter::limit;

/// Callbacks before page faults count: stacks have been touched then.
const WARM_UP: u64 = 100;
/// Callbacks between two looks at the page faults: a second.
const LOOK_EVERY: u64 = 375;
/// How long the planted stall lasts: one and a half periods.
const STALL: Duration = Duration::from_millis(4);
/// What a delay line gives back each time round.
const FEEDBACK: f32 = 0.4;

/// Counts of the callback, for other threads to read.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    values: [AtomicU64; Counted::ALL],
}

/// What is counted.
#[derive(Debug, Clone, Copy)]
enum Counted {
    /// Calls of the allocator.
    Allocations,
    /// Page faults after the warm-up.
    PageFaults,
    /// Buffers that it was handed.
    HandedOut,
    /// Times that a voice had nothing to play.
    Starved,
    /// Frames that were played and could not be recorded: no block, or no room in the ring.
    Unrecorded,
    /// Quanta of a voice that found no buffer.
    Refused,
    /// Delay lines that were taken.
    Echoes,
    /// Delay lines that were not to be had.
    EchoesRefused,
    /// Most voices that sounded at once.
    MostVoices,
    /// Sum of the voices that sounded, over all [`Mixes`](Self::Mixes).
    VoiceSum,
    /// Parts of at most [`PERIOD`] frames that were mixed: one of each callback, and more of those that are larger.
    Mixes,
    /// Frames of the smallest callback; 0 before the first.
    FewestFrames,
    /// Frames of the largest callback.
    MostFrames,
    /// Stalls that were planted.
    Stalls,
    /// Samples that the limiter bent.
    Limited,
    /// Frames that were played.
    Frames,
    /// Callbacks of more than [`PERIOD`] frames, which were made in parts.
    Parts,
    /// Callbacks that began more than two periods after the one before: late by more than a whole one.
    LateByPeriod,
}

impl Counted {
    const ALL: usize = Self::LateByPeriod as usize + 1;
}

/// The same, read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CountsRead {
    pub(crate) allocations: u64,
    pub(crate) page_faults: u64,
    pub(crate) handed_out: u64,
    pub(crate) starved: u64,
    pub(crate) unrecorded: u64,
    pub(crate) refused: u64,
    pub(crate) echoes: u64,
    pub(crate) echoes_refused: u64,
    pub(crate) most_voices: u64,
    pub(crate) voice_sum: u64,
    pub(crate) mixes: u64,
    pub(crate) fewest_frames: u64,
    pub(crate) most_frames: u64,
    pub(crate) stalls: u64,
    pub(crate) limited: u64,
    pub(crate) frames: u64,
    pub(crate) parts: u64,
    pub(crate) late_by_period: u64,
}

impl CountsRead {
    /// Voices that sounded at once, on average.
    pub(crate) fn mean_voices(&self) -> f64 {
        self.voice_sum as f64 / self.mixes.max(1) as f64
    }
}

impl Counts {
    fn get(&self, what: Counted) -> u64 {
        self.values[what as usize].load(Ordering::Relaxed)
    }

    /// One writer: a load and a store.
    fn add(&self, what: Counted, more: u64) {
        self.values[what as usize].store(self.get(what) + more, Ordering::Relaxed);
    }

    /// Likewise.
    fn set(&self, what: Counted, value: u64) {
        self.values[what as usize].store(value, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> CountsRead {
        CountsRead {
            allocations: self.get(Counted::Allocations),
            page_faults: self.get(Counted::PageFaults),
            handed_out: self.get(Counted::HandedOut),
            starved: self.get(Counted::Starved),
            unrecorded: self.get(Counted::Unrecorded),
            refused: self.get(Counted::Refused),
            echoes: self.get(Counted::Echoes),
            echoes_refused: self.get(Counted::EchoesRefused),
            most_voices: self.get(Counted::MostVoices),
            voice_sum: self.get(Counted::VoiceSum),
            mixes: self.get(Counted::Mixes),
            fewest_frames: self.get(Counted::FewestFrames),
            most_frames: self.get(Counted::MostFrames),
            stalls: self.get(Counted::Stalls),
            limited: self.get(Counted::Limited),
            frames: self.get(Counted::Frames),
            parts: self.get(Counted::Parts),
            late_by_period: self.get(Counted::LateByPeriod),
        }
    }
}

/// One voice: what the decoder sends it, and its delay line.
pub(super) struct Voice {
    chunks: Consumer<Chunk>,
    current: Option<SharedLease>,
    position: usize,
    /// Whether it is to have a line.
    wants_line: bool,
    line: Option<SharedLease>,
    line_position: usize,
}

impl Voice {
    pub(super) fn new(chunks: Consumer<Chunk>, wants_line: bool) -> Self {
        Self { chunks, current: None, position: 0, wants_line, line: None, line_position: 0 }
    }
}

/// The callback.
pub(super) struct Callback {
    profiler: CallbackProfiler<InstantClock>,
    ports: [jack::Port<jack::AudioOut>; 2],
    mixer: Mixer,
    flags: Arc<Flags>,
    stall_every: u64,
    count: u64,
    faults_before: u64,
}

/// What the callback does besides measuring.
struct Mixer {
    voices: Vec<Voice>,
    blocks: RealtimeHandle,
    lines: RealtimeHandle,
    to_recorder: ToRecorder,
    counts: Arc<Counts>,
}

impl Callback {
    pub(super) fn new(
        profiler: CallbackProfiler<InstantClock>,
        ports: [jack::Port<jack::AudioOut>; 2],
        voices: Vec<Voice>,
        blocks: RealtimeHandle,
        lines: RealtimeHandle,
        to_recorder: ToRecorder,
        flags: Arc<Flags>,
    ) -> Self {
        let mixer = Mixer { voices, blocks, lines, to_recorder, counts: Arc::default() };
        Self { profiler, ports, mixer, flags, stall_every: 0, count: 0, faults_before: 0 }
    }

    /// Plants a stall in each `every`th callback; 0 for none.
    pub(super) fn plant_stalls(&mut self, every: u64) {
        self.stall_every = every;
    }

    pub(super) fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.mixer.counts)
    }

    /// Page faults of this thread, once a second.
    fn look_at_page_faults(&mut self) {
        if self.count == WARM_UP || (self.count > WARM_UP && self.count.is_multiple_of(LOOK_EVERY)) {
            let faults = kernel::page_faults().unwrap_or(self.faults_before);
            if self.count > WARM_UP {
                self.mixer.counts.add(Counted::PageFaults, faults - self.faults_before);
            }
            self.faults_before = faults;
        }
    }
}

impl jack::ProcessHandler for Callback {
    fn process(&mut self, client: &jack::Client, scope: &jack::ProcessScope) -> jack::Control {
        if self.flags.hush.load(Ordering::Acquire) {
            self.ports.iter_mut().for_each(|port| port.as_mut_slice(scope).fill(0.0));
            // Release: who sees it sees what the callbacks before this one did as well.
            self.flags.hushed.fetch_add(1, Ordering::Release);
            return jack::Control::Continue;
        }
        let frames = scope.n_frames();
        self.count += 1;
        self.profiler.begin(frames);
        let Self { profiler, ports, mixer, .. } = self;
        if let Ok(cycle) = scope.cycle_times() {
            // What is made now is taken at the end of the cycle.
            profiler.latency(cycle.next_usecs.saturating_sub(client.time()) as f64 / 1e6);
        }
        let [left, right] = ports;
        let out = [left.as_mut_slice(scope), right.as_mut_slice(scope)];
        let calls = allocator::counted(|| mixer.mix(out));
        mixer.counts.add(Counted::Allocations, calls);
        if self.stall_every > 0 && self.count.is_multiple_of(self.stall_every) {
            mixer.counts.add(Counted::Stalls, 1);
            let start = Instant::now();
            while start.elapsed() < STALL {
                spin_loop();
            }
        }
        if let Some(timing) = profiler.end() {
            // The profiler's clock counts nanoseconds.
            let period = u64::from(frames) * 1_000_000_000 / u64::from(SAMPLE_RATE.get());
            mixer.counts.add(Counted::LateByPeriod, u64::from(timing.gap > 2 * period));
            mixer.to_recorder.timing(timing);
        }
        self.look_at_page_faults();
        jack::Control::Continue
    }
}

impl Mixer {
    /// A callback of any length, in parts of at most a block.
    fn mix(&mut self, [left, right]: [&mut [f32]; 2]) {
        let (part, frames) = (PERIOD as usize, left.len() as u64);
        let fewest = match self.counts.get(Counted::FewestFrames) {
            0 => frames,
            fewest => fewest.min(frames),
        };
        self.counts.set(Counted::FewestFrames, fewest);
        self.counts.set(Counted::MostFrames, self.counts.get(Counted::MostFrames).max(frames));
        if left.len() > part {
            self.counts.add(Counted::Parts, 1);
        }
        for (left, right) in left.chunks_mut(part).zip(right.chunks_mut(part)) {
            self.mix_part([left, right]);
        }
    }

    fn mix_part(&mut self, mut out: [&mut [f32]; 2]) {
        let frames = out[0].len();
        out.iter_mut().for_each(|plane| plane.fill(0.0));
        let (mut sounding, mut handed_out) = (0, 0);
        for voice in &mut self.voices {
            let Some(mut scratch) = self.blocks.acquire_zeroed() else {
                // This voice is silent for a moment, and stays where it is; the others go on.
                self.counts.add(Counted::Refused, 1);
                continue;
            };
            handed_out += 1;
            if scratch.set_len(frames).is_err() {
                continue;
            }
            let Ok([left, right]) = scratch.disjoint_planes_mut([0, 1]) else { continue };
            if voice.render([left, right], &self.lines, &mut self.to_recorder, &self.counts) {
                sounding += 1;
            }
            for (sum, plane) in out.iter_mut().zip(scratch.planes()) {
                sum.iter_mut().zip(plane).for_each(|(sum, &sample)| *sum += sample);
            }
        }
        let mut limited = 0;
        for sample in out.iter_mut().flat_map(|plane| plane.iter_mut()) {
            let bent = limit(*sample);
            limited += u64::from(bent != *sample);
            *sample = bent;
        }
        self.record(&out);
        self.counts.set(Counted::MostVoices, self.counts.get(Counted::MostVoices).max(sounding));
        self.counts.add(Counted::Mixes, 1);
        self.counts.add(Counted::HandedOut, handed_out);
        self.counts.add(Counted::VoiceSum, sounding);
        self.counts.add(Counted::Limited, limited);
        self.counts.add(Counted::Frames, frames as u64);
        self.lines.flush_dirty();
    }

    /// What was played, in a block for the recorder. Sound goes on without.
    fn record(&mut self, out: &[&mut [f32]; 2]) {
        let frames = out[0].len();
        let recorded = self.blocks.acquire_dirty_shared().and_then(|mut block| {
            self.counts.add(Counted::HandedOut, 1);
            block.set_len(frames).ok()?;
            block.planes_mut().zip(out).for_each(|(plane, out)| plane.copy_from_slice(out));
            self.to_recorder.block(block).then_some(())
        });
        if recorded.is_none() {
            self.counts.add(Counted::Unrecorded, frames as u64);
        }
    }
}

impl Voice {
    /// Adds what this voice has to two planes of zeros; whether it sounded.
    fn render(
        &mut self,
        [left, right]: [&mut [f32]; 2],
        lines: &RealtimeHandle,
        to_recorder: &mut ToRecorder,
        counts: &Counts,
    ) -> bool {
        let frames = left.len();
        let mut frame = 0;
        while frame < frames {
            let Some(chunk) = &self.current else {
                let Ok(Chunk { samples, begins }) = self.chunks.pop() else {
                    counts.add(Counted::Starved, 1);
                    break;
                };
                if begins && self.wants_line {
                    self.begin_line(lines, counts);
                }
                (self.current, self.position) = (Some(samples), 0);
                continue;
            };
            let count = (chunk.len() - self.position).min(frames - frame);
            for (plane, chunk) in [&mut *left, &mut *right].into_iter().zip(chunk.planes()) {
                plane[frame..frame + count].copy_from_slice(&chunk[self.position..self.position + count]);
            }
            frame += count;
            self.position += count;
            if self.position == chunk.len()
                && let Some(chunk) = self.current.take()
            {
                to_recorder.spent(chunk);
            }
        }
        if let Some(line) = &mut self.line {
            let line = &mut line[0];
            for (left, right) in left.iter_mut().zip(right) {
                let past = line[self.line_position];
                line[self.line_position] = FEEDBACK * (past + 0.5 * (*left + *right));
                self.line_position = (self.line_position + 1) % line.len();
                *left += past;
                *right += past;
            }
        }
        frame > 0
    }

    /// Another recording begins: the old line goes, and zeros come.
    fn begin_line(&mut self, lines: &RealtimeHandle, counts: &Counts) {
        self.line = None;
        self.line = lines.acquire_zeroed_shared();
        self.line_position = 0;
        if self.line.is_some() {
            counts.add(Counted::HandedOut, 1);
            counts.add(Counted::Echoes, 1);
        } else {
            counts.add(Counted::EchoesRefused, 1);
        }
    }
}

/// What the server tells besides.
pub(super) struct Notifications {
    pub(super) monitor: ProfileMonitor,
    pub(super) flags: Arc<Flags>,
}

impl jack::NotificationHandler for Notifications {
    unsafe fn shutdown(&mut self, _: jack::ClientStatus, _: &str) {
        // Called like a signal handler: a store, and no more.
        self.flags.server_gone.store(true, Ordering::Release);
    }

    fn xrun(&mut self, _: &jack::Client) -> jack::Control {
        self.monitor.backend_xruns(1);
        jack::Control::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::super::recorder::{BLOCKS_AHEAD, FromAudio, rings};
    use super::*;
    use crate::kit::SAMPLE_RATE;
    use pool_audio::{BufferKey, RealtimePool};
    use rtrb::RingBuffer;

    fn key(channels: u16, frames: u32) -> BufferKey {
        BufferKey { channels, frames, sample_rate: SAMPLE_RATE }
    }

    /// A mixer of one voice that has 200 frames of ones to play, with so many blocks; and its recorder's end.
    fn mixer(pool: &mut RealtimePool, blocks: usize) -> (Mixer, FromAudio) {
        pool.prewarm(key(2, PERIOD), blocks).unwrap();
        pool.prewarm(key(2, 200), 1).unwrap();
        let (mut chunks, waiting) = RingBuffer::new(1);
        let mut samples = pool.handle(key(2, 200)).unwrap().acquire_dirty_shared().unwrap();
        samples.planes_mut().for_each(|plane| plane.fill(0.5));
        assert!(chunks.push(Chunk { samples, begins: true }).is_ok());
        let (to_recorder, recorded) = rings(1);
        let mixer = Mixer {
            voices: vec![Voice::new(waiting, false)],
            blocks: pool.handle(key(2, PERIOD)).unwrap(),
            lines: pool.handle(key(1, 100)).unwrap(),
            to_recorder,
            counts: Arc::default(),
        };
        (mixer, recorded)
    }

    /// Would catch a callback larger than a block that is cut, panics, is recorded in the wrong order, or whose parts are
    /// counted as callbacks of their own.
    #[test]
    fn a_callback_larger_than_the_capacity_is_made_in_parts() {
        let mut pool = RealtimePool::builder("test").build();
        let (mut mixer, mut recorded) = mixer(&mut pool, 8);
        let (mut left, mut right) = ([9.0; 300], [9.0; 300]);
        mixer.mix([&mut left, &mut right]);
        assert!(
            left[..200].iter().all(|&sample| sample == 0.5)
                && left[200..].iter().all(|&sample| sample == 0.0)
        );
        assert_eq!(left, right);
        let counts = mixer.counts.read();
        assert_eq!((counts.parts, counts.frames, counts.unrecorded, counts.starved), (1, 300, 0, 2));
        // Two parts of three had sound. On average, no more voices than at most.
        // A buffer for the voice and one for the recorder in each, and what the voice was sent was not taken here.
        assert_eq!(counts.handed_out, 6);
        assert_eq!((counts.mixes, counts.voice_sum, counts.most_voices), (3, 2, 1));
        assert!(counts.mean_voices() <= 1.0);
        assert_eq!((counts.fewest_frames, counts.most_frames), (300, 300));
        let mut lengths = Vec::new();
        while let Ok(block) = recorded.blocks.pop() {
            lengths.push(block.len());
        }
        assert_eq!(lengths, [128, 128, 44]);
    }

    /// Would catch a voice that panics or plays noise where there is no buffer, and frames that are lost uncounted.
    #[test]
    fn without_buffers_there_is_silence_and_it_is_counted() {
        let mut pool = RealtimePool::builder("test").build();
        let (mut mixer, mut recorded) = mixer(&mut pool, 0);
        let (mut left, mut right) = ([9.0; 128], [9.0; 128]);
        mixer.mix([&mut left, &mut right]);
        assert!(left.iter().chain(&right).all(|&sample| sample == 0.0));
        let counts = mixer.counts.read();
        assert_eq!((counts.refused, counts.unrecorded, counts.frames), (1, 128, 128));
        assert!(recorded.blocks.pop().is_err());
        // The worker makes some, and the voice goes on where it was.
        pool.maintain(8);
        pool.maintain(8);
        mixer.mix([&mut left, &mut right]);
        assert_eq!((left[0], mixer.counts.read().most_voices), (0.5, 1));
    }

    /// Would catch a recorder's reserve that other messages take up, and a loss that is not counted: a disk may hold the
    /// recorder up for as long as is said, with every voice sending its chunks back and each callback its time.
    #[test]
    fn the_recorder_may_be_behind_as_long_as_is_said() {
        const VOICES: usize = 64;
        let chunk = key(2, 1024);
        let mut pool = RealtimePool::builder("test").build();
        pool.prewarm(key(2, PERIOD), BLOCKS_AHEAD + 64).unwrap();
        pool.prewarm(chunk, 4 * VOICES).unwrap();
        let decoding = pool.handle(chunk).unwrap();
        let (mut chunks, voices): (Vec<_>, Vec<_>) = (0..VOICES)
            .map(|_| {
                let (producer, consumer) = RingBuffer::new(1);
                (producer, Voice::new(consumer, false))
            })
            .unzip();
        let (to_recorder, mut recorded) = rings(VOICES);
        let mut mixer = Mixer {
            voices,
            blocks: pool.handle(key(2, PERIOD)).unwrap(),
            lines: pool.handle(key(1, 100)).unwrap(),
            to_recorder,
            counts: Arc::default(),
        };
        let mut profiler = CallbackProfiler::new(SAMPLE_RATE);
        let (mut left, mut right) = ([0.0; PERIOD as usize], [0.0; PERIOD as usize]);
        let mut call = || {
            for ring in chunks.iter_mut().filter(|ring| !ring.is_full()) {
                let samples =
                    decoding.acquire_zeroed_shared().expect("chunks come back while the recorder waits");
                assert!(ring.push(Chunk { samples, begins: false }).is_ok());
            }
            mixer.mix([&mut left, &mut right]);
            profiler.begin(PERIOD);
            mixer.to_recorder.timing(profiler.end().unwrap());
            mixer.counts.read()
        };
        let reserve = 2.7 * f64::from(SAMPLE_RATE.get()) / f64::from(PERIOD);
        for _ in 0..reserve as usize {
            let counts = call();
            assert_eq!((counts.unrecorded, counts.refused, counts.starved), (0, 0, 0));
        }
        let times = std::iter::from_fn(|| recorded.timings.pop().ok()).count();
        assert_eq!(times, reserve as usize);
        // Nobody has taken a block yet: there is an end to it, and what is lost is counted.
        let lost = (0..50).map(|_| call()).last().map(|counts| counts.unrecorded);
        assert!(lost > Some(0) && lost < Some(50 * u64::from(PERIOD)), "{lost:?}");
    }
}
