//! Two channels of 128 samples, zeros when they are taken: take, write one, give back.

use super::{Contender, Kind, Workload, audio};
use crate::by_hand::{Fresh, MALLOC};
use crate::ours::{AUDIO, PACKAGE};
use crate::peers::MIMALLOC;
use pool_core::{Footprint, LocalPool, SharedPool, Verdict};
use std::alloc::GlobalAlloc;
use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;

pub(crate) const SLUG: &str = "zeroed";

/// By hand what a sample buffer does: as many samples as the program is told when it runs, and both channels written.
pub(crate) const BOTH: &str = "memset, no pool, both written";

/// Where a line of the processor's cache begins, so that it is not chance whose stores straddle two.
#[repr(align(64))]
struct Channels([[f32; 128]; 2]);

impl Channels {
    const ZEROS: Self = Self([[0.0; 128]; 2]);
}

impl Footprint for Channels {}

type Stereo = Box<Channels>;

fn zeros() -> Stereo {
    Box::new(Channels::ZEROS)
}

/// A sample in one channel, the other untouched.
#[inline(always)]
fn write(stereo: &mut Channels, at: usize) {
    stereo.0[at & 1][at & 127] = 1.0;
    black_box(stereo);
}

fn fresh<A: GlobalAlloc>(allocator: Fresh<A>) -> impl FnMut(usize) {
    move |operations| {
        for at in 0..operations {
            let mut block = allocator.allocate_zeroed();
            block.write(at);
        }
    }
}

pub(super) fn workload() -> Workload {
    let make = |_: &()| Ok::<_, Infallible>(zeros());
    let clear = |stereo: &mut Stereo| {
        **stereo = Channels::ZEROS;
        Verdict::Keep
    };
    let pool = LocalPool::builder(make).resetter(clear).build();
    let stashed = Arc::new(SharedPool::builder(make).resetter(clear).build());
    let shared = SharedPool::builder(make).resetter(clear).thread_caches(false).build();
    drop((pool.prewarm(64), stashed.prewarm(64), shared.prewarm(64)));
    let cache = stashed.cache_owned();
    let (realtime, handle) = audio::ours(2, 128, 64);
    let mut lone = zeros();
    let mut planes = vec![0.0_f32; black_box(256)];
    Workload {
        slug: SLUG,
        title: "2 x 128 samples, zeroed",
        per: "pair",
        note: "One thread takes zeros, writes a sample and gives back; the pools' resetter clears all at each release.",
        contenders: vec![
            Contender::here("LocalPool", Kind::Ours, move |operations| {
                for at in 0..operations {
                    if let Ok(mut stereo) = pool.acquire() {
                        write(&mut stereo, at);
                    }
                }
            })
            .of(PACKAGE),
            Contender::here("Cache", Kind::Ours, move |operations| {
                for at in 0..operations {
                    if let Ok(mut stereo) = cache.acquire() {
                        write(&mut stereo, at);
                    }
                }
            })
            .of(PACKAGE),
            Contender::here("SharedPool, no caches", Kind::Ours, move |operations| {
                for at in 0..operations {
                    if let Ok(mut stereo) = shared.acquire() {
                        write(&mut stereo, at);
                    }
                }
            })
            .of(PACKAGE),
            Contender::here("RealtimeHandle", Kind::Ours, move |operations| {
                black_box(&realtime);
                for at in 0..operations {
                    if let Some(mut stereo) = handle.acquire_zeroed() {
                        // Both channels, so that both are cleared the next time.
                        for plane in stereo.planes_mut() {
                            plane[at & 127] = 1.0;
                        }
                        black_box(&mut *stereo);
                    }
                }
            })
            .of(AUDIO),
            Contender::here("memset, no pool", Kind::Floor, move |operations| {
                for at in 0..operations {
                    write(&mut lone, at);
                    *lone = Channels::ZEROS;
                    black_box(&mut lone);
                }
            }),
            Contender::here(BOTH, Kind::Floor, move |operations| {
                for at in 0..operations {
                    for plane in planes.chunks_exact_mut(128) {
                        plane[at & 127] = 1.0;
                    }
                    black_box(&mut *planes);
                    planes.fill(0.0);
                    black_box(&mut *planes);
                }
            }),
            Contender::here("mimalloc", Kind::Fresh, fresh(MIMALLOC)).of("mimalloc"),
            Contender::here("malloc", Kind::Fresh, fresh(MALLOC)),
        ],
        facts: None,
    }
}
