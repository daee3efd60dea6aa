//! The longest that anything took: of a million quanta, and of the first use of large buffers.
//!
//! Times are those of the thread itself (`CLOCK_THREAD_CPUTIME_ID`): page faults and system calls count, what other
//! programs do meanwhile does not. What is left of the machine are interrupts, some microseconds now and then, for all alike.

use crate::ours::AUDIO;
use crate::versions::version_of;
use crate::workloads::Kind;
use crate::workloads::audio::{CHANNELS, FRAMES, MALLOC, MIMALLOC, RcPool, Zeros, ours};
use basedrop::{Collector, Owned};
use pool_audio::Histogram;
use pool_audio_gates::kernel;
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;

/// Delay lines of a second that may be alive at once, and their length.
const LINES: usize = 8;
const LINE_FRAMES: usize = 48_000;
const LINE: usize = 2 * LINE_FRAMES;
/// Buffers whose first use is looked at.
const FIRST: usize = 64;

pub(crate) const SMALL: &str = "64 channels of 128";
pub(crate) const LARGE: &str = "2 x 48000, as delay lines that come and go";
pub(crate) const FIRST_USE: &str = "2 x 48000, first use";

/// One contender's times, in ns of the thread's own time.
#[derive(Debug, Clone)]
pub(crate) struct Worst {
    pub(crate) workload: &'static str,
    pub(crate) name: &'static str,
    pub(crate) version: Option<String>,
    pub(crate) kind: Kind,
    pub(crate) quanta: u64,
    pub(crate) median: u64,
    pub(crate) p9999: u64,
    pub(crate) max: u64,
    pub(crate) page_faults: u64,
}

/// The thread's own time, in ns.
fn own_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Collects times of one contender.
struct Stopwatch {
    times: Histogram,
    faults: u64,
}

impl Stopwatch {
    fn start() -> Self {
        Self { times: Histogram::new(), faults: 0 }
    }

    /// Times one quantum; page faults are counted around all of them, since asking costs as much as a quantum.
    fn lap(&mut self, work: impl FnOnce()) {
        let before = own_time();
        work();
        self.times.record(own_time() - before);
    }

    fn end(self, workload: &'static str, name: &'static str, package: Option<&str>, kind: Kind) -> Worst {
        let value = |quantile| self.times.value_at(quantile).unwrap_or_default();
        Worst {
            workload,
            name,
            version: package.and_then(version_of),
            kind,
            quanta: self.times.count(),
            median: value(0.5),
            p9999: value(0.9999),
            max: value(1.0),
            page_faults: self.faults,
        }
    }
}

fn faults() -> u64 {
    kernel::page_faults().unwrap_or_default()
}

/// Quanta of 64 channels: taken as zeros, written, given back.
fn channels<C>(
    quanta: u64,
    take: impl Fn() -> C,
    samples: impl Fn(&mut C) -> &mut [f32],
    mut between: impl FnMut(),
) -> Stopwatch {
    let mut watch = Stopwatch::start();
    let mut before = 0;
    for quantum in 0..quanta + WARM_UP {
        if quantum == WARM_UP {
            (watch.times, before) = (Histogram::new(), faults());
        }
        watch.lap(|| {
            let mut live: [Option<C>; CHANNELS] = [const { None }; CHANNELS];
            for place in &mut live {
                let samples = samples(place.insert(take()));
                samples.fill(1.0);
                black_box(samples);
            }
        });
        between();
    }
    watch.faults = faults() - before;
    watch
}

/// Quanta that are run and forgotten.
const WARM_UP: u64 = 1000;

struct Live<L> {
    line: L,
    position: usize,
    left: u32,
}

/// Delay lines that come and go by chance, up to eight at once; each quantum writes the next 128 frames of each. Everything
/// but `between`, which stands for the time between callbacks, is timed.
fn lines<L>(
    quanta: u64,
    mut take: impl FnMut() -> L,
    planes: impl Fn(&mut L) -> [&mut [f32]; 2],
    mut between: impl FnMut(),
) -> Stopwatch {
    let mut watch = Stopwatch::start();
    let mut live: Vec<Live<L>> = Vec::with_capacity(LINES);
    let mut dice = 0x9E37_79B9_7F4A_7C15_u64;
    let mut roll = |below: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % below
    };
    let mut before = 0;
    for quantum in 0..quanta + WARM_UP {
        if quantum == WARM_UP {
            (watch.times, before) = (Histogram::new(), faults());
        }
        let begins = live.len() < LINES && roll(40) == 0;
        let lives = 50 + roll(400) as u32;
        watch.lap(|| {
            live.retain_mut(|line| {
                line.left -= 1;
                line.left > 0
            });
            if begins {
                live.push(Live { line: take(), position: 0, left: lives });
            }
            for Live { line, position, .. } in &mut live {
                for plane in planes(line) {
                    plane[*position..*position + FRAMES].fill(1.0);
                }
                *position = (*position + FRAMES) % (LINE_FRAMES - FRAMES);
            }
            black_box(&mut live);
        });
        between();
    }
    watch.faults = faults() - before;
    watch
}

/// The first use of each of many large buffers: taken as zeros, and written whole.
fn first_use<L>(mut take: impl FnMut() -> L, planes: impl Fn(&mut L) -> [&mut [f32]; 2]) -> Stopwatch {
    let mut watch = Stopwatch::start();
    let mut held = Vec::with_capacity(FIRST);
    let before = faults();
    for _ in 0..FIRST {
        watch.lap(|| {
            let mut line = take();
            planes(&mut line).into_iter().for_each(|plane| plane.fill(1.0));
            held.push(line);
        });
    }
    watch.faults = faults() - before;
    watch
}

fn halves(samples: &mut [f32]) -> [&mut [f32]; 2] {
    samples.split_at_mut(LINE_FRAMES).into()
}

/// Everything; `quanta` of each contender.
pub(crate) fn measure(quanta: u64) -> Vec<Worst> {
    let mut all = Vec::new();
    small(quanta, &mut all);
    large(quanta, &mut all);
    first(&mut all);
    all
}

fn small(quanta: u64, all: &mut Vec<Worst>) {
    let (mut pool, handle) = ours(1, FRAMES as u32, CHANNELS);
    let watch = channels(
        quanta,
        || handle.acquire_zeroed(),
        |lease| lease.as_mut().map_or(&mut [], |lease| &mut lease[0]),
        || _ = pool.maintain(16),
    );
    all.push(watch.end(SMALL, "RealtimeHandle", Some(AUDIO), Kind::Ours));
    let rc = RcPool::of(CHANNELS);
    let watch = channels(quanta, || rc.silence(), |channel| channel.samples_mut(), || ());
    all.push(watch.end(SMALL, "Rc pool", None, Kind::Peer));
    let mut collector = Collector::new();
    let handle = collector.handle();
    let take = || Owned::new(&handle, [0.0; FRAMES]);
    let watch = channels(quanta, take, |channel| &mut channel[..], || collector.collect());
    all.push(watch.end(SMALL, "basedrop", Some("basedrop"), Kind::Fresh));
    let watch = channels(quanta, || Zeros::of(&MIMALLOC, FRAMES), Zeros::samples_mut, || ());
    all.push(watch.end(SMALL, "mimalloc", Some("mimalloc"), Kind::Fresh));
    let watch = channels(quanta, || Zeros::of(&MALLOC, FRAMES), Zeros::samples_mut, || ());
    all.push(watch.end(SMALL, "malloc", None, Kind::Fresh));
}

fn large(quanta: u64, all: &mut Vec<Worst>) {
    // As many as may be alive, and as many that are being cleared meanwhile.
    let (mut pool, handle) = ours(2, LINE_FRAMES as u32, 2 * LINES);
    let watch = lines(
        quanta,
        || match handle.acquire_zeroed_shared() {
            Some(lease) => lease,
            None => panic!("sixteen are more than eight"),
        },
        |lease| lease.disjoint_planes_mut([0, 1]).unwrap_or_default(),
        || _ = pool.maintain(16),
    );
    all.push(watch.end(LARGE, "RealtimeHandle", Some(AUDIO), Kind::Ours));
    let mut collector = Collector::new();
    let basedrop = collector.handle();
    let take = || Owned::new(&basedrop, vec![0.0_f32; LINE]);
    let watch = lines(quanta, take, |line| halves(line), || collector.collect());
    all.push(watch.end(LARGE, "basedrop", Some("basedrop"), Kind::Fresh));
    let watch = lines(quanta, || Zeros::of(&MIMALLOC, LINE), |line| halves(line.samples_mut()), || ());
    all.push(watch.end(LARGE, "mimalloc", Some("mimalloc"), Kind::Fresh));
    let watch = lines(quanta, || Zeros::of(&MALLOC, LINE), |line| halves(line.samples_mut()), || ());
    all.push(watch.end(LARGE, "malloc", None, Kind::Fresh));
}

fn first(all: &mut Vec<Worst>) {
    let (pool, handle) = ours(2, LINE_FRAMES as u32, FIRST);
    let watch = first_use(
        || handle.acquire_zeroed_shared(),
        |lease| lease.as_mut().and_then(|lease| lease.disjoint_planes_mut([0, 1]).ok()).unwrap_or_default(),
    );
    drop((pool, handle));
    all.push(watch.end(FIRST_USE, "RealtimeHandle, prewarmed", Some(AUDIO), Kind::Ours));
    let watch = first_use(|| Zeros::of(&MIMALLOC, LINE), |line| halves(line.samples_mut()));
    all.push(watch.end(FIRST_USE, "mimalloc", Some("mimalloc"), Kind::Fresh));
    let watch = first_use(|| Zeros::of(&MALLOC, LINE), |line| halves(line.samples_mut()));
    all.push(watch.end(FIRST_USE, "malloc", None, Kind::Fresh));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a contender that panics, and one that is not measured, before the end of a long run.
    #[test]
    fn every_contender_is_timed() {
        let all = measure(300);
        for (workload, contenders, quanta) in [(SMALL, 5, 300), (LARGE, 4, 300), (FIRST_USE, 3, FIRST as u64)]
        {
            let of: Vec<&Worst> = all.iter().filter(|worst| worst.workload == workload).collect();
            assert_eq!(of.len(), contenders, "{workload}");
            for worst in of {
                assert_eq!(worst.quanta, quanta, "{}", worst.name);
                assert!(0 < worst.median && worst.median <= worst.p9999 && worst.p9999 <= worst.max);
            }
        }
    }
}
