//! The longest that anything took: of a million quanta, and of the first use of large buffers.
//!
//! Times are those of the thread itself (`CLOCK_THREAD_CPUTIME_ID`): page faults and system calls count, what other
//! programs do meanwhile does not. What is left of the machine are interrupts, some microseconds now and then, for all alike.
//! So the same quanta are run three times, and of each quantum the least is taken, too: what the contender itself takes long
//! for, it takes long for each time; an interrupt does not come three times at the same place.

use crate::ours::AUDIO;
use crate::versions::version_of;
use crate::workloads::Kind;
use crate::workloads::audio::{CHANNELS, FRAMES, MALLOC, MIMALLOC, RcPool, Zeros, ours};
use anyhow::{Result, bail};
use basedrop::{Collector, Owned};
use pool_audio::Histogram;
use pool_audio_gates::kernel;
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::path::Path;
use std::process::Command;

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
    /// The longest that came in each of the runs at the same quantum.
    pub(crate) repeated: u64,
    pub(crate) page_faults: u64,
}

/// The thread's own time, in ns.
fn own_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Runs of the same quanta.
const RUNS: usize = 3;
/// Quanta at the beginning of each run that are forgotten.
const WARM_UP: usize = 1000;

/// Times of one contender.
struct Stopwatch {
    /// Of the first run.
    times: Histogram,
    /// Of each quantum, in ns.
    least: Vec<u32>,
    /// Of the run that had the fewest: a page of code that is read for the first time is nobody's.
    faults: u64,
}

impl Stopwatch {
    /// Runs the quanta, each of which times itself by `lap`; `begin` is what is before each run.
    ///
    /// Page faults are counted around all of them, since asking costs as much as a quantum.
    fn run<S>(
        quanta: u64,
        mut state: S,
        begin: impl Fn(&mut S),
        mut quantum: impl FnMut(&mut S) -> u64,
    ) -> Self {
        let mut watch =
            Self { times: Histogram::new(), least: vec![u32::MAX; quanta as usize], faults: u64::MAX };
        for run in 0..RUNS {
            begin(&mut state);
            for _ in 0..WARM_UP {
                quantum(&mut state);
            }
            let before = faults();
            for least in &mut watch.least {
                let time = quantum(&mut state);
                *least = (*least).min(u32::try_from(time).unwrap_or(u32::MAX));
                if run == 0 {
                    watch.times.record(time);
                }
            }
            watch.faults = watch.faults.min(faults() - before);
        }
        watch
    }

    fn repeated(&self) -> u64 {
        self.least.iter().copied().max().unwrap_or_default().into()
    }
}

/// The thread's own time that something takes, in ns.
fn lap(work: impl FnOnce()) -> u64 {
    let before = own_time();
    work();
    own_time() - before
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
    Stopwatch::run(
        quanta,
        (),
        |()| (),
        |()| {
            let time = lap(|| {
                let mut live: [Option<C>; CHANNELS] = [const { None }; CHANNELS];
                for place in &mut live {
                    let samples = samples(place.insert(take()));
                    samples.fill(1.0);
                    black_box(samples);
                }
            });
            between();
            time
        },
    )
}

struct Live<L> {
    line: L,
    position: usize,
    left: u32,
}

/// What is left of the lines that are alive, and the chance that decides on them: in each run the same.
struct Chance<L> {
    live: Vec<Live<L>>,
    dice: u64,
}

impl<L> Chance<L> {
    fn roll(&mut self, below: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % below
    }
}

/// Delay lines that come and go by chance, up to eight at once; each quantum writes the next 128 frames of each. Everything
/// but `between`, which stands for the time between callbacks, is timed.
fn lines<L>(
    quanta: u64,
    mut take: impl FnMut() -> L,
    planes: impl Fn(&mut L) -> [&mut [f32]; 2],
    mut between: impl FnMut(),
) -> Stopwatch {
    let chance = Chance { live: Vec::with_capacity(LINES), dice: 0 };
    let begin = |chance: &mut Chance<L>| {
        chance.live.clear();
        chance.dice = 0x9E37_79B9_7F4A_7C15;
    };
    Stopwatch::run(quanta, chance, begin, |chance| {
        let begins = chance.live.len() < LINES && chance.roll(40) == 0;
        let lives = 50 + chance.roll(400) as u32;
        let live = &mut chance.live;
        let time = lap(|| {
            live.retain_mut(|line| {
                line.left -= 1;
                line.left > 0
            });
            if begins {
                live.push(Live { line: take(), position: 0, left: lives });
            }
            for Live { line, position, .. } in live.iter_mut() {
                for plane in planes(line) {
                    plane[*position..*position + FRAMES].fill(1.0);
                }
                *position = (*position + FRAMES) % (LINE_FRAMES - FRAMES);
            }
            black_box(live);
        });
        between();
        time
    })
}

/// The first use of each of many large buffers: taken as zeros, and written whole. There is no second first use.
fn first_use<L>(mut take: impl FnMut() -> L, planes: impl Fn(&mut L) -> [&mut [f32]; 2]) -> Stopwatch {
    let (mut times, mut least) = (Histogram::new(), vec![0; FIRST]);
    // Filled, so that its own pages are there.
    let mut held: Vec<Option<L>> = (0..FIRST).map(|_| None).collect();
    // One more, before: a page of code that is read for the first time is nobody's.
    let mut unmeasured = take();
    planes(&mut unmeasured).into_iter().for_each(|plane| plane.fill(1.0));
    lap(|| ());
    let before = faults();
    for (place, least) in held.iter_mut().zip(&mut least) {
        let time = lap(|| {
            let mut line = take();
            planes(&mut line).into_iter().for_each(|plane| plane.fill(1.0));
            *place = Some(line);
        });
        times.record(time);
        *least = u32::try_from(time).unwrap_or(u32::MAX);
    }
    let faults = faults() - before;
    black_box((unmeasured, held));
    Stopwatch { times, least, faults }
}

fn halves(samples: &mut [f32]) -> [&mut [f32]; 2] {
    samples.split_at_mut(LINE_FRAMES).into()
}

/// Who takes part in what, and one run of it.
struct Contender {
    workload: &'static str,
    name: &'static str,
    package: Option<&'static str>,
    kind: Kind,
    run: fn(u64) -> Stopwatch,
}

const OURS: &str = "RealtimeHandle";

const CONTENDERS: &[Contender] = &[
    Contender { workload: SMALL, name: OURS, package: Some(AUDIO), kind: Kind::Ours, run: small_ours },
    Contender { workload: SMALL, name: "Rc pool", package: None, kind: Kind::Peer, run: small_rc },
    Contender {
        workload: SMALL,
        name: "basedrop",
        package: Some("basedrop"),
        kind: Kind::Fresh,
        run: small_basedrop,
    },
    Contender {
        workload: SMALL,
        name: "mimalloc",
        package: Some("mimalloc"),
        kind: Kind::Fresh,
        run: small_mimalloc,
    },
    Contender { workload: SMALL, name: "malloc", package: None, kind: Kind::Fresh, run: small_malloc },
    Contender { workload: SMALL, name: NOTHING, package: None, kind: Kind::Floor, run: nothing },
    Contender { workload: LARGE, name: OURS, package: Some(AUDIO), kind: Kind::Ours, run: large_ours },
    Contender {
        workload: LARGE,
        name: "basedrop",
        package: Some("basedrop"),
        kind: Kind::Fresh,
        run: large_basedrop,
    },
    Contender {
        workload: LARGE,
        name: "mimalloc",
        package: Some("mimalloc"),
        kind: Kind::Fresh,
        run: large_mimalloc,
    },
    Contender { workload: LARGE, name: "malloc", package: None, kind: Kind::Fresh, run: large_malloc },
    Contender { workload: LARGE, name: NOTHING, package: None, kind: Kind::Floor, run: nothing },
    Contender { workload: FIRST_USE, name: OURS, package: Some(AUDIO), kind: Kind::Ours, run: first_ours },
    Contender {
        workload: FIRST_USE,
        name: "mimalloc",
        package: Some("mimalloc"),
        kind: Kind::Fresh,
        run: first_mimalloc,
    },
    Contender { workload: FIRST_USE, name: "malloc", package: None, kind: Kind::Fresh, run: first_malloc },
];

/// Quanta in which nothing is done: what the machine's interrupts and the clock take.
pub(crate) const NOTHING: &str = "an empty quantum";

/// Every contender, each in a process of its own: what an allocator holds depends on what the program did before. `program`
/// is one that answers to `--worst INDEX QUANTA` with what [`tell`] prints.
pub(crate) fn measure(program: &Path, quanta: u64) -> Result<Vec<Worst>> {
    let run = |(index, contender): (usize, &Contender)| {
        let mut child = Command::new(program);
        let output = child.args(["--worst", &index.to_string(), &quanta.to_string()]).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [quanta, median, p9999, max, repeated, page_faults] = numbers[..] else {
            bail!("{} ended with {}: {text}", contender.name, output.status);
        };
        let Contender { workload, name, package, kind, .. } = *contender;
        let version = package.and_then(version_of);
        Ok(Worst { workload, name, version, kind, quanta, median, p9999, max, repeated, page_faults })
    };
    CONTENDERS.iter().enumerate().map(run).collect()
}

/// Runs one contender, and gives what `measure` reads.
pub fn tell(index: usize, quanta: u64) -> Option<String> {
    let watch = (CONTENDERS.get(index)?.run)(quanta);
    let value = |quantile| watch.times.value_at(quantile).unwrap_or_default();
    let (count, repeated, faults) = (watch.times.count(), watch.repeated(), watch.faults);
    Some(format!("{count} {} {} {} {repeated} {faults}", value(0.5), value(0.9999), value(1.0)))
}

fn nothing(quanta: u64) -> Stopwatch {
    Stopwatch::run(quanta, (), |()| (), |()| lap(|| ()))
}

fn small_ours(quanta: u64) -> Stopwatch {
    let (mut pool, handle) = ours(1, FRAMES as u32, CHANNELS);
    channels(
        quanta,
        || handle.acquire_zeroed(),
        |lease| lease.as_mut().map_or(&mut [], |lease| &mut lease[0]),
        || _ = pool.maintain(16),
    )
}

fn small_rc(quanta: u64) -> Stopwatch {
    let rc = RcPool::of(CHANNELS);
    channels(quanta, || rc.silence(), |channel| channel.samples_mut(), || ())
}

fn small_basedrop(quanta: u64) -> Stopwatch {
    let mut collector = Collector::new();
    let handle = collector.handle();
    channels(
        quanta,
        || Owned::new(&handle, [0.0; FRAMES]),
        |channel| &mut channel[..],
        || collector.collect(),
    )
}

fn small_mimalloc(quanta: u64) -> Stopwatch {
    channels(quanta, || Zeros::of(&MIMALLOC, FRAMES), Zeros::samples_mut, || ())
}

fn small_malloc(quanta: u64) -> Stopwatch {
    channels(quanta, || Zeros::of(&MALLOC, FRAMES), Zeros::samples_mut, || ())
}

fn large_ours(quanta: u64) -> Stopwatch {
    // As many as may be alive, and as many that are being cleared meanwhile.
    let (mut pool, handle) = ours(2, LINE_FRAMES as u32, 2 * LINES);
    lines(
        quanta,
        || match handle.acquire_zeroed_shared() {
            Some(lease) => lease,
            None => panic!("sixteen are more than eight"),
        },
        |lease| lease.disjoint_planes_mut([0, 1]).unwrap_or_default(),
        || _ = pool.maintain(16),
    )
}

fn large_basedrop(quanta: u64) -> Stopwatch {
    let mut collector = Collector::new();
    let handle = collector.handle();
    lines(quanta, || Owned::new(&handle, vec![0.0_f32; LINE]), |line| halves(line), || collector.collect())
}

fn large_mimalloc(quanta: u64) -> Stopwatch {
    lines(quanta, || Zeros::of(&MIMALLOC, LINE), |line| halves(line.samples_mut()), || ())
}

fn large_malloc(quanta: u64) -> Stopwatch {
    lines(quanta, || Zeros::of(&MALLOC, LINE), |line| halves(line.samples_mut()), || ())
}

fn first_ours(_: u64) -> Stopwatch {
    let (_pool, handle) = ours(2, LINE_FRAMES as u32, FIRST + 1);
    first_use(
        || handle.acquire_zeroed_shared(),
        |lease| lease.as_mut().and_then(|lease| lease.disjoint_planes_mut([0, 1]).ok()).unwrap_or_default(),
    )
}

fn first_mimalloc(_: u64) -> Stopwatch {
    first_use(|| Zeros::of(&MIMALLOC, LINE), |line| halves(line.samples_mut()))
}

fn first_malloc(_: u64) -> Stopwatch {
    first_use(|| Zeros::of(&MALLOC, LINE), |line| halves(line.samples_mut()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a contender that panics, and one that is not measured, before the end of a long run.
    #[test]
    fn every_contender_is_timed() {
        for (index, contender) in CONTENDERS.iter().enumerate() {
            let told = tell(index, 300).unwrap();
            let numbers: Vec<u64> = told.split(' ').map(|word| word.parse().unwrap()).collect();
            let quanta = if contender.workload == FIRST_USE { FIRST as u64 } else { 300 };
            assert_eq!((numbers.len(), numbers[0]), (6, quanta), "{}", contender.name);
            assert!(0 < numbers[1] && numbers[1..4].is_sorted(), "{}: {told}", contender.name);
            assert!(0 < numbers[4] && numbers[4] <= numbers[3], "{}: {told}", contender.name);
        }
        assert_eq!(tell(CONTENDERS.len(), 1), None);
    }
}
