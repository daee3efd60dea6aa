//! Two threads that take from and give back to one pool, as fast as they can.

use super::{Contender, Kind, Workload};
use crate::by_hand::VecInRefCell;
use crate::lap::{Lap, waited};
use crate::ours::{PACKAGE, Shared};
use crate::peers::{Deadpool, LockfreeLinear, LockfreeSpin, Opool, Queued, ShardedSlab};
use crate::source::{Source, pairs};
use crossbeam_queue::{ArrayQueue, SegQueue};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const SLUG: &str = "threads";

const OBJECTS: usize = 256;
/// What a thread does before the clock runs: it meets the pool, which may set something up for it.
const GREETING: usize = 256;
/// Spins before a waiting thread lets others run, some microseconds: a machine may have fewer free cores than threads.
const PATIENCE: usize = 1000;

/// Where threads wait for each other, spinning, as waking a thread takes longer than many an operation.
pub(super) struct Gate {
    expected: usize,
    arrived: AtomicUsize,
}

impl Gate {
    pub(super) fn new(expected: usize) -> Self {
        Self { expected, arrived: AtomicUsize::new(0) }
    }

    pub(super) fn pass(&self) {
        self.arrived.fetch_add(1, Ordering::AcqRel);
        let mut spins = 0;
        while self.arrived.load(Ordering::Acquire) < self.expected {
            wait_a_little(&mut spins);
        }
    }
}

/// One turn of a loop that waits for another thread.
#[inline]
pub(super) fn wait_a_little(spins: &mut usize) {
    *spins += 1;
    if spins.is_multiple_of(PATIENCE) {
        thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}

/// What one thread did.
pub(super) struct Shift {
    start: Instant,
    end: Instant,
    calm: bool,
}

/// Runs `work` when all have arrived at the gate.
#[inline]
pub(super) fn shift(gate: &Gate, work: impl FnOnce()) -> Shift {
    let before = waited();
    gate.pass();
    let start = Instant::now();
    work();
    let end = Instant::now();
    Shift { start, end, calm: waited() == before }
}

/// From the first start to the last end. It was calm if all ran most of the time at once.
pub(super) fn lap(shifts: &[Shift]) -> Lap {
    let start = shifts.iter().map(|shift| shift.start);
    let end = shifts.iter().map(|shift| shift.end);
    let (Some(first), Some(last)) = (start.clone().min(), end.clone().max()) else {
        return Lap { time: Duration::ZERO, calm: false };
    };
    let time = last - first;
    let together = end
        .min()
        .zip(start.max())
        .map_or(Duration::ZERO, |(end, start)| end.saturating_duration_since(start));
    // The faster thread may have been done a little earlier; what counts is that it was not done before the other began.
    let calm = shifts.iter().all(|shift| shift.calm) && together * 3 >= time * 2;
    Lap { time, calm }
}

/// Waits for a thread, and panics if it did.
pub(super) fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    match thread.join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// How long the threads take for so many operations each.
fn together<S: Source>(threads: usize, operations: usize, make: &(impl Fn() -> S + Sync)) -> Lap {
    let gate = Gate::new(threads);
    thread::scope(|scope| {
        let work = || {
            let source = make();
            pairs(&source, GREETING);
            shift(&gate, || pairs(&source, operations))
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        lap(&threads.into_iter().map(join).collect::<Vec<_>>())
    })
}

/// Two threads; each calls `make` for its side of the pool.
fn two<S: Source>(
    name: &'static str,
    kind: Kind,
    package: &'static str,
    make: impl Fn() -> S + Sync + 'static,
) -> Contender {
    let contender = Contender::threads(name, kind, move |operations| together(2, operations, &make));
    contender.of(package)
}

/// The same of ours with one thread, started in the same way.
fn alone<S: Source>(
    name: &'static str,
    package: &'static str,
    make: impl Fn() -> S + Sync + 'static,
) -> Contender {
    Contender::threads(name, Kind::Ours, move |operations| together(1, operations, &make)).of(package)
}

pub(super) fn workload() -> Workload {
    let stashed = Shared::of(OBJECTS);
    let cached = Shared::of(OBJECTS);
    let bare = Shared::without_caches(OBJECTS);
    let array_queue = Queued::of(ArrayQueue::new(OBJECTS), OBJECTS);
    let seg_queue = Queued::of(SegQueue::new(), OBJECTS);
    let linear = LockfreeLinear::of(OBJECTS);
    let spin = LockfreeSpin::of(OBJECTS);
    let opool = Opool::of(OBJECTS);
    let sharded_slab = ShardedSlab::new();
    let deadpool = Deadpool::of(OBJECTS);
    Workload {
        slug: SLUG,
        title: "Two threads on one pool",
        per: "pair and thread",
        note: "Pairs, until both threads are done with theirs; \"alone\" is one thread with the same pool.",
        contenders: vec![
            two("Cache", Kind::Ours, PACKAGE, move || stashed.stash()),
            alone("Cache, alone", PACKAGE, move || stashed.stash()),
            two("SharedPool", Kind::Ours, PACKAGE, move || cached),
            alone("SharedPool, alone", PACKAGE, move || cached),
            two("SharedPool, no caches", Kind::Ours, PACKAGE, move || bare),
            Contender::threads("a Vec per thread", Kind::Floor, |operations| {
                together(2, operations, &|| VecInRefCell::of(OBJECTS / 2))
            }),
            two("sharded-slab", Kind::Peer, "sharded-slab", move || sharded_slab.clone()),
            two("SegQueue", Kind::Peer, "crossbeam-queue", move || seg_queue),
            two("lockfree spin", Kind::Peer, "lockfree-object-pool", move || spin),
            two("lockfree linear", Kind::Peer, "lockfree-object-pool", move || linear),
            two("ArrayQueue", Kind::Peer, "crossbeam-queue", move || array_queue),
            two("opool", Kind::Peer, "opool", move || opool),
            two("deadpool", Kind::Peer, "deadpool", move || deadpool.clone()),
        ],
        facts: None,
    }
}
