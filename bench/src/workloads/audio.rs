//! What an audio callback does: 64 channels of a quantum as zeros, written and given back; and its own measurement.

use super::{Contender, Kind, Workload};
use crate::ours::AUDIO;
use basedrop::{Collector, Owned};
use mimalloc::MiMalloc;
use pool_audio::{BufferKey, CallbackProfiler, RealtimeHandle, RealtimePool};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::RefCell;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::ptr::NonNull;
use std::rc::Rc;
use std::time::Instant;

pub(crate) const QUANTUM: &str = "audio-quantum";
pub(crate) const PROFILER: &str = "audio-profiler";

/// Channels that are out at once.
pub(crate) const CHANNELS: usize = 64;
/// Samples of a channel.
pub(crate) const FRAMES: usize = 128;
const RATE: NonZeroU32 = NonZeroU32::new(48_000).unwrap();

pub(crate) type Channel = [f32; FRAMES];

/// A pool with what a handle needs, and the handle.
pub(crate) fn ours(channels: u16, frames: u32, count: usize) -> (RealtimePool, RealtimeHandle) {
    let key = BufferKey { channels, frames, sample_rate: RATE };
    let mut pool = RealtimePool::builder("bench").budget(usize::MAX).build();
    match pool
        .prewarm(key, count)
        .map_err(|error| error.to_string())
        .and_then(|_| pool.handle(key).map_err(|error| error.to_string()))
    {
        Ok(handle) => (pool, handle),
        Err(error) => panic!("no buffers to measure: {error}"),
    }
}

/// The pattern of web-audio-api-rs, as its documentation and interface show it: channels are counted references that one
/// pool in a cell takes back when the last one goes; zeros are one shared channel, copied when somebody writes.
#[derive(Clone)]
pub(crate) struct RcPool(Rc<Shelf>);

struct Shelf {
    idle: RefCell<Vec<Rc<Channel>>>,
    zeros: Rc<Channel>,
}

pub(crate) struct RcChannel {
    samples: Rc<Channel>,
    shelf: Rc<Shelf>,
}

impl RcPool {
    pub(crate) fn of(channels: usize) -> Self {
        let idle = (0..channels).map(|_| Rc::new([0.0; FRAMES])).collect();
        Self(Rc::new(Shelf { idle: RefCell::new(idle), zeros: Rc::new([0.0; FRAMES]) }))
    }

    #[inline]
    pub(crate) fn silence(&self) -> RcChannel {
        RcChannel { samples: Rc::clone(&self.0.zeros), shelf: Rc::clone(&self.0) }
    }
}

impl RcChannel {
    #[inline]
    pub(crate) fn samples_mut(&mut self) -> &mut Channel {
        if Rc::get_mut(&mut self.samples).is_none() {
            let idle = self.shelf.idle.borrow_mut().pop();
            let mut own = idle.unwrap_or_else(|| Rc::new([0.0; FRAMES]));
            Rc::make_mut(&mut own).copy_from_slice(&*self.samples);
            self.samples = own;
        }
        Rc::make_mut(&mut self.samples)
    }
}

impl Drop for RcChannel {
    #[inline]
    fn drop(&mut self) {
        if Rc::strong_count(&self.samples) == 1 {
            let zeros = Rc::clone(&self.shelf.zeros);
            let own = std::mem::replace(&mut self.samples, zeros);
            self.shelf.idle.borrow_mut().push(own);
        }
    }
}

/// Zeros from an allocator, freed when they go.
pub(crate) struct Zeros<A: GlobalAlloc + 'static> {
    at: NonNull<f32>,
    len: usize,
    allocator: &'static A,
}

impl<A: GlobalAlloc> Zeros<A> {
    #[inline]
    pub(crate) fn of(allocator: &'static A, len: usize) -> Self {
        // SAFETY: the layout has a size, as no length here is 0.
        let at = unsafe { allocator.alloc_zeroed(Self::layout(len)) };
        match NonNull::new(at.cast()) {
            Some(at) => Self { at, len, allocator },
            None => panic!("the allocator is empty"),
        }
    }

    fn layout(len: usize) -> Layout {
        // No length here comes near the limit.
        Layout::array::<f32>(len).unwrap_or(Layout::new::<f32>())
    }

    #[inline]
    pub(crate) fn samples_mut(&mut self) -> &mut [f32] {
        // SAFETY: so many floats, all initialised to zero, that nobody else has.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), self.len) }
    }
}

impl<A: GlobalAlloc> Drop for Zeros<A> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: it came from this allocator with this layout.
        unsafe { self.allocator.dealloc(self.at.as_ptr().cast(), Self::layout(self.len)) };
    }
}

pub(crate) static MALLOC: System = System;
pub(crate) static MIMALLOC: MiMalloc = MiMalloc;

/// Takes 64 channels, writes each whole, and gives all back; so often that it makes `operations` channels.
fn quanta<C>(operations: usize, take: impl Fn() -> C, samples: impl Fn(&mut C) -> &mut [f32]) {
    for _ in 0..operations / CHANNELS {
        let mut live: [Option<C>; CHANNELS] = [const { None }; CHANNELS];
        for place in &mut live {
            let channel = place.insert(take());
            let samples = samples(channel);
            samples.fill(1.0);
            black_box(samples);
        }
    }
}

pub(super) fn quantum() -> Workload {
    let (pool, handle) = ours(1, FRAMES as u32, CHANNELS);
    let (shared_pool, shared) = ours(1, FRAMES as u32, CHANNELS);
    let rc = RcPool::of(CHANNELS);
    let mut collector = Collector::new();
    let lone = RefCell::new([[0.0_f32; FRAMES]; CHANNELS]);
    Workload {
        slug: QUANTUM,
        title: "An audio quantum: 64 channels of 128 samples, zeroed",
        per: "channel",
        note: "One thread takes zeros for 64 channels, writes them whole, and gives all of them back.",
        contenders: vec![
            Contender::here("RealtimeHandle", Kind::Ours, move |operations| {
                black_box(&pool);
                quanta(
                    operations,
                    || handle.acquire_zeroed(),
                    |lease| match lease {
                        Some(lease) => &mut lease[0],
                        None => &mut [],
                    },
                );
            })
            .of(AUDIO),
            Contender::here("RealtimeHandle, to be sent", Kind::Ours, move |operations| {
                black_box(&shared_pool);
                quanta(
                    operations,
                    || shared.acquire_zeroed_shared(),
                    |lease| match lease {
                        Some(lease) => &mut lease[0],
                        None => &mut [],
                    },
                );
            })
            .of(AUDIO),
            Contender::here("memset, no pool", Kind::Floor, move |operations| {
                let mut lone = lone.borrow_mut();
                for _ in 0..operations / CHANNELS {
                    for channel in lone.iter_mut() {
                        channel.fill(0.0);
                        black_box(&mut *channel);
                        channel.fill(1.0);
                        black_box(channel);
                    }
                }
            }),
            Contender::here("Rc pool", Kind::Peer, move |operations| {
                quanta(operations, || rc.silence(), |channel| channel.samples_mut());
            }),
            Contender::here("basedrop", Kind::Fresh, move |operations| {
                let handle = collector.handle();
                quanta(operations, || Owned::new(&handle, [0.0; FRAMES]), |channel| &mut channel[..]);
                collector.collect();
            })
            .of("basedrop"),
            Contender::here("mimalloc", Kind::Fresh, |operations| {
                quanta(operations, || Zeros::of(&MIMALLOC, FRAMES), Zeros::samples_mut);
            })
            .of("mimalloc"),
            Contender::here("malloc", Kind::Fresh, |operations| {
                quanta(operations, || Zeros::of(&MALLOC, FRAMES), Zeros::samples_mut);
            }),
        ],
        facts: None,
    }
}

pub(super) fn profiler() -> Workload {
    let mut profiler = CallbackProfiler::new(RATE);
    Workload {
        slug: PROFILER,
        title: "Measuring a callback",
        per: "callback",
        note: "Begin and end of a callback that does nothing; two readings of the clock are part of it.",
        contenders: vec![
            Contender::here("CallbackProfiler", Kind::Ours, move |operations| {
                for _ in 0..operations {
                    profiler.begin(FRAMES as u32);
                    black_box(profiler.end());
                }
            })
            .of(AUDIO),
            Contender::here("two readings of Instant", Kind::Floor, |operations| {
                for _ in 0..operations {
                    let begin = Instant::now();
                    black_box(begin.elapsed());
                }
            }),
        ],
        facts: None,
    }
}
