//! What a buffer of zeros costs: from the pool, from the allocator, and the zeroing alone. And what a callback
//! costs to measure.
//!
//! Each does the same work: get 2 planes of zeros, write one sample to each (or all of them), give them back.
//! Ratios within one run mean something; times of two runs or machines do not compare.

// A benchmark whose set-up fails has nothing to measure.
#![allow(clippy::expect_used)]

use std::hint::black_box;
use std::num::NonZeroU32;

use divan::Bencher;
use pool_audio::{BufferKey, BufferPool, CallbackProfiler, Histogram, SampleBuffer};

fn main() {
    divan::main();
}

const BLOCKS: [u32; 2] = [128, 48_000];

fn stereo(frames: u32) -> BufferKey {
    BufferKey { channels: 2, frames, sample_rate: NonZeroU32::new(48_000).expect("a constant above 0") }
}

/// A pool with one idle buffer, all of it written.
fn pool(frames: u32) -> BufferPool {
    let pool = BufferPool::builder("bench").budget(10_000_000).build();
    pool.prewarm(stereo(frames), 1).expect("one buffer fits");
    pool
}

/// The limit: zeros in memory that is there anyway.
#[divan::bench(args = BLOCKS)]
fn memset_alone(bencher: Bencher<'_, '_>, frames: u32) {
    let mut buffer = SampleBuffer::for_key(stereo(frames)).expect("a small buffer");
    bencher.bench_local(|| {
        for plane in buffer.planes_mut() {
            plane.fill(1.0);
            black_box(&mut *plane)[0] = 1.0;
        }
        black_box(buffer.clear())
    });
}

/// The same fill of ones, without the zeros: what to subtract from the others.
#[divan::bench(args = BLOCKS)]
fn fill_alone(bencher: Bencher<'_, '_>, frames: u32) {
    let mut buffer = SampleBuffer::for_key(stereo(frames)).expect("a small buffer");
    bencher.bench_local(|| {
        for plane in buffer.planes_mut() {
            plane.fill(1.0);
            black_box(plane);
        }
    });
}

/// All samples are written each time, so all are zeroed each time.
#[divan::bench(args = BLOCKS)]
fn pool_zeroed_all_written(bencher: Bencher<'_, '_>, frames: u32) {
    let pool = pool(frames);
    bencher.bench_local(|| {
        let mut buffer = pool.acquire(stereo(frames)).expect("it is idle");
        for plane in buffer.planes_mut() {
            plane.fill(1.0);
            black_box(plane);
        }
    });
}

/// The allocator's zeros, all samples written each time.
#[divan::bench(args = BLOCKS)]
fn vec_zeroed_all_written(bencher: Bencher<'_, '_>, frames: u32) {
    bencher.bench_local(|| {
        let mut samples = vec![0.0f32; 2 * frames as usize];
        for plane in black_box(&mut samples).chunks_exact_mut(frames as usize) {
            plane.fill(1.0);
            black_box(plane);
        }
    });
}

/// Nothing is written: a pool that zeroed anyway would show here.
#[divan::bench(args = BLOCKS)]
fn pool_zeroed_none_written(bencher: Bencher<'_, '_>, frames: u32) {
    let pool = pool(frames);
    bencher.bench_local(|| {
        let buffer = pool.acquire(stereo(frames)).expect("it is idle");
        black_box(buffer.plane(0));
    });
}

/// The keyed pool below it: what is left of the cost when nothing is zeroed.
#[divan::bench]
fn keyed_pool_alone(bencher: Bencher<'_, '_>) {
    let pool = pool(128);
    bencher.bench_local(|| {
        let buffer = pool.as_keyed().acquire(&stereo(128)).expect("it is idle");
        black_box(buffer.plane(0));
    });
}

/// Whatever is in it, to be overwritten.
#[divan::bench(args = BLOCKS)]
fn pool_dirty_all_written(bencher: Bencher<'_, '_>, frames: u32) {
    let pool = pool(frames);
    bencher.bench_local(|| {
        let mut buffer = pool.acquire_dirty(stereo(frames)).expect("it is idle");
        for plane in buffer.planes_mut() {
            plane.fill(1.0);
            black_box(plane);
        }
    });
}

/// A buffer from the allocator each time: what a miss costs.
#[divan::bench(args = BLOCKS)]
fn new_buffer(bencher: Bencher<'_, '_>, frames: u32) {
    bencher.bench_local(|| SampleBuffer::for_key(stereo(frames)).expect("a small buffer"));
}

/// Begin and end of a callback that does nothing, both clock readings included.
#[divan::bench]
fn profile_one_callback(bencher: Bencher<'_, '_>) {
    let mut profiler = CallbackProfiler::new(NonZeroU32::new(48_000).expect("a constant above 0"));
    bencher.bench_local(|| {
        profiler.begin(black_box(128));
        profiler.end()
    });
}

/// One value into the histogram.
#[divan::bench]
fn record_one_value(bencher: Bencher<'_, '_>) {
    let mut histogram = Histogram::new();
    let mut value = 1u64;
    bencher.bench_local(|| {
        value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        histogram.record(black_box(value >> 40));
    });
}

/// Interleaving, as the crate does it and strided, which compilers leave scalar.
#[divan::bench_group]
mod interleave {
    use super::{SampleBuffer, black_box};
    use divan::Bencher;

    const FRAMES: u32 = 4096;

    fn stereo() -> (SampleBuffer, Vec<f32>) {
        (SampleBuffer::new(2, FRAMES, 48_000).expect("a small buffer"), vec![0.5; 2 * FRAMES as usize])
    }

    #[divan::bench]
    fn into_f32(bencher: Bencher<'_, '_>) {
        let (buffer, mut samples) = stereo();
        bencher.bench_local(|| black_box(&buffer).copy_to_interleaved(black_box(&mut samples)));
    }

    #[divan::bench]
    fn into_f32_strided(bencher: Bencher<'_, '_>) {
        let (buffer, mut samples) = stereo();
        bencher.bench_local(|| {
            let (buffer, samples) = (black_box(&buffer), black_box(&mut samples));
            for (channel, plane) in buffer.planes().enumerate() {
                samples.iter_mut().skip(channel).step_by(2).zip(plane).for_each(|(to, &from)| *to = from);
            }
        });
    }

    #[divan::bench]
    fn into_i16(bencher: Bencher<'_, '_>) {
        let (buffer, _) = stereo();
        let mut samples = vec![0_i16; 2 * FRAMES as usize];
        bencher.bench_local(|| black_box(&buffer).copy_to_interleaved(black_box(&mut samples)));
    }

    #[divan::bench]
    fn from_f32(bencher: Bencher<'_, '_>) {
        let (mut buffer, samples) = stereo();
        bencher.bench_local(|| black_box(&mut buffer).copy_from_interleaved(black_box(&samples)));
    }

    #[divan::bench]
    fn from_f32_strided(bencher: Bencher<'_, '_>) {
        let (mut buffer, samples) = stereo();
        bencher.bench_local(|| {
            let (buffer, samples) = (black_box(&mut buffer), black_box(&samples));
            for (channel, plane) in buffer.planes_mut().enumerate() {
                plane
                    .iter_mut()
                    .zip(samples.iter().skip(channel).step_by(2))
                    .for_each(|(to, &from)| *to = from);
            }
        });
    }

    #[divan::bench]
    fn from_i16(bencher: Bencher<'_, '_>) {
        let (mut buffer, _) = stereo();
        let samples = vec![1_i16; 2 * FRAMES as usize];
        bencher.bench_local(|| black_box(&mut buffer).copy_from_interleaved(black_box(&samples)));
    }
}
