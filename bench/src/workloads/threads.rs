//! Two threads that take from and give back to one pool, as fast as they can.

use super::{Contender, Kind, Workload};
use crate::by_hand::VecInRefCell;
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
/// Spins before a waiting thread lets others run: a machine may have fewer free cores than threads.
const PATIENCE: usize = 20_000;

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

/// How long the slower of the threads takes for its operations.
fn together<S: Source>(threads: usize, operations: usize, make: &(impl Fn() -> S + Sync)) -> Duration {
    let gate = Gate::new(threads);
    thread::scope(|scope| {
        let work = || {
            let source = make();
            pairs(&source, GREETING);
            gate.pass();
            let start = Instant::now();
            pairs(&source, operations);
            start.elapsed()
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let times = threads.into_iter().map(|thread| match thread.join() {
            Ok(time) => time,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        times.max().unwrap_or_default()
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

pub(super) fn workload() -> Workload {
    let array_queue = Queued::of(ArrayQueue::new(OBJECTS), OBJECTS);
    let seg_queue = Queued::of(SegQueue::new(), OBJECTS);
    let linear = LockfreeLinear::of(OBJECTS);
    let spin = LockfreeSpin::of(OBJECTS);
    let opool = Opool::of(OBJECTS);
    let sharded_slab = ShardedSlab::new();
    let deadpool = Deadpool::of(OBJECTS);
    Workload {
        slug: SLUG,
        title: "Pairs on one pool, two threads at once",
        per: "pair and thread",
        note: "The slower thread's time for its pairs; \"alone\" is one thread with the same pool.",
        contenders: vec![
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
