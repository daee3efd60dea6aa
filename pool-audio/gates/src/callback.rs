//! A callback that does everything that an audio thread may do with pool-audio.

use pool_audio::{BufferKey, CallbackProfiler, InstantClock, RealtimeHandle, RealtimePool, SharedLease};
use rtrb::{Consumer, Producer, RingBuffer};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// Voices in each quantum.
const VOICES: usize = 64;
/// Frames of a quantum.
const QUANTUM: u32 = 128;
/// Delay lines that come and go: too large to be cleared on acquire.
const LINES: usize = 6;
/// Blocks on their way to the recorder, at most.
const ON_THE_WAY: usize = 64;
/// The quantum in which some handles go: the warm-up is over.
const PARTING: u64 = 700;
/// Bytes that the planted page fault has to touch.
const UNTOUCHED: usize = 512 << 20;

/// A fault that the gates must find.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Plant {
    Nothing,
    /// Allocates, and lets it be.
    Alloc,
    /// Frees what was allocated before.
    Free,
    /// Touches a page that nobody has touched.
    Fault,
    /// Gives the processor up.
    Yield,
    /// Takes a lock that another thread holds.
    Lock,
}

impl Plant {
    pub(crate) fn named(word: &str) -> Option<Self> {
        Some(match word {
            "alloc" => Self::Alloc,
            "free" => Self::Free,
            "fault" => Self::Fault,
            "yield" => Self::Yield,
            "lock" => Self::Lock,
            _ => return None,
        })
    }
}

/// A lock that another thread holds nearly all the time, for as long as somebody may want it.
fn contended() -> Arc<Mutex<()>> {
    let lock = Arc::default();
    let held: Weak<Mutex<()>> = Arc::downgrade(&lock);
    std::thread::spawn(move || {
        while let Some(lock) = held.upgrade() {
            let guard = lock.lock();
            std::thread::sleep(Duration::from_micros(500));
            drop(guard);
            // Whoever waits gets it now.
            std::thread::sleep(Duration::from_micros(100));
        }
    });
    lock
}

/// The pool of the whole program.
pub(crate) fn pool() -> RealtimePool {
    RealtimePool::builder("gates").budget(50_000_000).cleared_ahead(2).build()
}

/// What the audio thread holds.
pub(crate) struct Callback {
    profiler: CallbackProfiler<InstantClock>,
    blocks: RealtimeHandle,
    lines: RealtimeHandle,
    /// A class of which there are too few, so that it is empty each time; the worker tries to make more, and is refused.
    scarce: RealtimeHandle,
    /// Blocks that another thread acquired, to be released here.
    foreign: Consumer<SharedLease>,
    to_recorder: Producer<SharedLease>,
    /// Handles that go in the middle of it.
    parting: Option<(RealtimeHandle, RealtimeHandle)>,
    held: Vec<SharedLease>,
    held_lines: Vec<SharedLease>,
    count: u64,
    refused: u64,
    plant: Plant,
    spare: Vec<Box<[u64]>>,
    untouched: Vec<u8>,
    contended: Arc<Mutex<()>>,
}

/// What another thread holds: it gets blocks and drops them, and sends some of its own.
pub(crate) struct Recorder {
    blocks: RealtimeHandle,
    from_audio: Consumer<SharedLease>,
    to_audio: Producer<SharedLease>,
    count: u64,
}

impl Callback {
    pub(crate) fn new(
        pool: &mut RealtimePool,
        plant: Plant,
    ) -> Result<(Self, Recorder), Box<dyn std::error::Error>> {
        let block = BufferKey::new(2, QUANTUM, 48_000)?;
        let line = BufferKey::new(2, 48_000, 48_000)?;
        let scarce = BufferKey::new(1, 4096, 44_100)?;
        pool.prewarm(block, VOICES + 4 * ON_THE_WAY)?;
        pool.prewarm(line, LINES)?;
        pool.prewarm(scarce, 1)?;
        // No room for another one of any class, so that there are too few for ever.
        pool.set_budget(pool.account().used() + 100);
        let (to_recorder, from_audio) = RingBuffer::new(ON_THE_WAY);
        let (to_audio, foreign) = RingBuffer::new(ON_THE_WAY);
        let profiler = CallbackProfiler::new(block.sample_rate);
        let callback = Self {
            profiler,
            blocks: pool.handle(block)?,
            lines: pool.handle(line)?,
            scarce: pool.handle(scarce)?,
            foreign,
            to_recorder,
            parting: Some((pool.handle(block)?, pool.handle(line)?)),
            held: Vec::with_capacity(VOICES),
            held_lines: Vec::with_capacity(LINES),
            count: 0,
            refused: 0,
            plant,
            spare: if plant == Plant::Free {
                (0..1_000_000).map(|number| [number].into()).collect()
            } else {
                Vec::new()
            },
            // Zeros of the system: pages that are there once they are touched.
            untouched: if plant == Plant::Fault { vec![0; UNTOUCHED] } else { Vec::new() },
            contended: if plant == Plant::Lock { contended() } else { Arc::default() },
        };
        let recorder = Recorder { blocks: pool.handle(block)?, from_audio, to_audio, count: 0 };
        Ok((callback, recorder))
    }

    /// One quantum.
    #[inline(never)]
    #[cfg_attr(pool_audio_rtsan, sanitize(realtime = "nonblocking"))]
    pub(crate) fn quantum(&mut self) {
        self.count += 1;
        self.profiler.begin(QUANTUM);
        self.profiler.latency(0.005);
        self.mix();
        self.delay();
        self.starve();
        self.do_what_is_forbidden();
        self.profiler.end();
    }

    /// Voices into a bus, which goes to the recorder.
    fn mix(&mut self) {
        let Some(mut bus) = self.blocks.acquire_zeroed_shared() else {
            self.refused += 1;
            return;
        };
        for voice in 0..VOICES {
            let Some(mut block) = self.blocks.acquire_zeroed() else {
                self.refused += 1;
                continue;
            };
            // Some voices stay silent, some write a part.
            match voice % 4 {
                0 => {}
                1 => drop(block.set_len(17)),
                _ => block.planes_mut().for_each(|plane| plane.fill(1.0 / VOICES as f32)),
            }
            if voice % 16 == 0 {
                self.held.extend(self.blocks.acquire_dirty_shared());
            }
            for (sum, plane) in bus.planes_mut().zip(block.planes()) {
                sum.iter_mut().zip(plane).for_each(|(sum, &sample)| *sum += sample);
            }
        }
        for held in self.held.drain(..) {
            self.blocks.release(held);
        }
        while let Ok(foreign) = self.foreign.pop() {
            if self.count.is_multiple_of(2) {
                self.blocks.release(foreign);
            }
        }
        // A ring that is full: the recorder sleeps, the block is dropped here.
        if let Err(rtrb::PushError::Full(block)) = self.to_recorder.push(bus) {
            drop(block);
        }
        if self.count.is_multiple_of(64) {
            self.blocks.flush();
        }
    }

    /// Delay lines that are taken and given back, cleared ahead or here.
    fn delay(&mut self) {
        match self.count % 8 {
            0 => self.held_lines.extend(self.lines.acquire_zeroed_shared()),
            1 => self.held_lines.extend(self.lines.acquire_silent_shared()),
            2 => drop(self.lines.acquire_zeroed()),
            3 => drop(self.lines.acquire_silent()),
            4 => self.held_lines.extend(self.lines.acquire_dirty_shared()),
            5 => self.held_lines.iter_mut().for_each(|line| line[1][0] = 1.0),
            6 => self.held_lines.clear(),
            _ => self.lines.flush_dirty(),
        }
    }

    /// More than there is, and handles that are dropped.
    fn starve(&mut self) {
        if self.count == PARTING {
            self.parting = None;
        }
        let first = self.scarce.acquire_dirty();
        let second = self.scarce.acquire_zeroed_shared();
        let third = self.scarce.acquire_silent();
        drop((first, second, third));
    }

    fn do_what_is_forbidden(&mut self) {
        match self.plant {
            Plant::Nothing => {}
            Plant::Alloc => std::mem::forget(std::hint::black_box(Box::new(self.count))),
            Plant::Free => drop(self.spare.pop()),
            Plant::Fault => {
                let at = self.count as usize * 4096;
                if let Some(byte) = self.untouched.get_mut(at) {
                    *byte = 1;
                }
            }
            Plant::Yield => std::thread::yield_now(),
            Plant::Lock => drop(self.contended.lock()),
        }
    }

    /// Whether it did what it is for, and not nothing.
    pub(crate) fn check(&self) -> Result<(), String> {
        let seen = self.profiler.snapshot();
        if seen.callbacks != self.count || self.refused * 100 > self.count * VOICES as u64 {
            return Err(format!(
                "{} callbacks of {}, {} blocks refused",
                seen.callbacks, self.count, self.refused
            ));
        }
        Ok(())
    }
}

impl Recorder {
    pub(crate) fn drain(&mut self) {
        while let Ok(block) = self.from_audio.pop() {
            self.count += 1;
            if self.count.is_multiple_of(3) {
                self.blocks.release(block);
            }
        }
        while !self.to_audio.is_full() {
            let Some(block) = self.blocks.acquire_dirty_shared() else { break };
            if self.to_audio.push(block).is_err() {
                break;
            }
        }
    }
}
