//! One thread takes objects, writes them and sends them; another receives them and gives them back.
//!
//! The time is that of the whole way, the channel's included, which is the same for all: a ring between the two,
//! with no waiting but spinning.

use super::threads::{Gate, join, lap, shift, wait_a_little};
use super::{Contender, Facts, Kind, Workload};
use crate::by_hand::{MALLOC, NeverBack, Nothing};
use crate::lap::Lap;
use crate::ours::{PACKAGE, Shared};
use crate::peers::{MIMALLOC, Opool, Queued, ShardedSlab};
use crate::source::End;
use concurrent_queue::ConcurrentQueue;
use crossbeam_queue::{ArrayQueue, SegQueue};
use std::thread;

pub(crate) const SINGLY: &str = "hand-over-singly";
pub(crate) const BATCHES: &str = "hand-over-batches";
/// The fastest peers of [`SINGLY`], in the rounds of [`BATCHES`]: what batches are to be compared with.
pub(crate) const ONE_BY_ONE: [&str; 3] =
    ["ConcurrentQueue, one by one", "ArrayQueue, one by one", "SegQueue, one by one"];
/// All that a hand-over does without a pool.
pub(crate) const ALONE: &str = "channel and writes alone";

/// Most objects that are on their way at a time.
const RING: usize = 256;
/// Objects in each pool: those on their way, and a batch at either end.
const OBJECTS: usize = RING + 2 * BATCH;
const BATCH: usize = 64;

/// Sends `objects` from one end to another, `batch` at a time; until the last is given back.
fn hand_over<E: End>(objects: usize, batch: usize, make: &(impl Fn() -> E + Sync)) -> Lap {
    let (mut producer, mut consumer) = rtrb::RingBuffer::<E::Item>::new(RING);
    let gate = Gate::new(2);
    let send = || {
        let end = make();
        let mut batched = Vec::with_capacity(batch);
        shift(&gate, || {
            for first in (0..objects).step_by(batch) {
                for at in first..objects.min(first + batch) {
                    let mut item = end.take();
                    E::write(&mut item, at);
                    batched.push(item);
                }
                let mut spins = 0;
                let chunk = loop {
                    match producer.write_chunk_uninit(batched.len()) {
                        Ok(chunk) => break chunk,
                        Err(_) => wait_a_little(&mut spins),
                    }
                };
                chunk.fill_from_iter(batched.drain(..));
            }
        })
    };
    let receive = || {
        let end = make();
        shift(&gate, || {
            let mut left = objects;
            while left > 0 {
                let wanted = batch.min(left);
                let mut spins = 0;
                let chunk = loop {
                    match consumer.read_chunk(wanted) {
                        Ok(chunk) => break chunk,
                        Err(_) => wait_a_little(&mut spins),
                    }
                };
                for item in chunk {
                    end.give(item);
                }
                left -= wanted;
            }
        })
    };
    thread::scope(|scope| {
        let threads = [scope.spawn(send), scope.spawn(receive)];
        lap(&threads.map(join))
    })
}

/// Hands over so many at a time; each thread calls `make` for its end.
fn crossing<E: End>(
    name: &'static str,
    kind: Kind,
    batch: usize,
    make: impl Fn() -> E + Sync + 'static,
) -> Contender {
    Contender::threads(name, kind, move |objects| hand_over(objects, batch, &make))
}

fn contenders(batch: usize) -> (Vec<Contender>, Facts) {
    let concurrent_queue = Queued::of(ConcurrentQueue::bounded(OBJECTS), OBJECTS);
    let array_queue = Queued::of(ArrayQueue::new(OBJECTS), OBJECTS);
    let seg_queue = Queued::of(SegQueue::new(), OBJECTS);
    let opool = Opool::of(OBJECTS);
    let sharded_slab = ShardedSlab::new();
    let never_back = NeverBack::objects(OBJECTS);
    let stashed = Shared::of(OBJECTS);
    let cached = Shared::of(OBJECTS);
    let bare = Shared::without_caches(OBJECTS);
    let contenders = vec![
        crossing("Cache", Kind::Ours, batch, move || stashed.stash()).of(PACKAGE),
        crossing("SharedPool", Kind::Ours, batch, move || cached).of(PACKAGE),
        crossing("SharedPool, no caches", Kind::Ours, batch, move || bare).of(PACKAGE),
        crossing(ALONE, Kind::Floor, batch, move || NeverBack::of(never_back)),
        crossing("channel alone", Kind::Floor, batch, || Nothing),
        crossing("ConcurrentQueue", Kind::Peer, batch, move || concurrent_queue).of("concurrent-queue"),
        crossing("ArrayQueue", Kind::Peer, batch, move || array_queue).of("crossbeam-queue"),
        crossing("SegQueue", Kind::Peer, batch, move || seg_queue).of("crossbeam-queue"),
        crossing("opool", Kind::Peer, batch, move || opool).of("opool"),
        crossing("sharded-slab", Kind::Peer, batch, move || sharded_slab.clone()).of("sharded-slab"),
        crossing("mimalloc", Kind::Fresh, batch, || MIMALLOC).of("mimalloc"),
        crossing("malloc", Kind::Fresh, batch, || MALLOC),
    ];
    let facts = move || {
        let created = |pool: Shared| pool.0.stats().created as f64;
        vec![(CREATED_CACHE, created(stashed)), (CREATED, created(cached)), (CREATED_BARE, created(bare))]
    };
    (contenders, Box::new(facts))
}

/// How many objects our pools made for all rounds together.
pub(crate) const CREATED_CACHE: &str = "created with Caches";
pub(crate) const CREATED: &str = "created by SharedPool";
pub(crate) const CREATED_BARE: &str = "created by SharedPool, no caches";
/// As many as can be on their way, in a batch at either end, and in a group that each thread keeps.
pub(crate) const ENOUGH: usize = OBJECTS + 2 * 64;

/// Object by object.
pub(super) fn singly() -> Workload {
    let (contenders, facts) = contenders(1);
    Workload {
        slug: SINGLY,
        title: "Hand-over, one by one",
        per: "object",
        note: "One thread takes and sends, another receives and gives back; includes the channel, the same for all.",
        contenders,
        facts: Some(facts),
    }
}

/// 64 objects with each message.
pub(super) fn batches() -> Workload {
    let (mut contenders, facts) = contenders(BATCH);
    let concurrent_queue = Queued::of(ConcurrentQueue::bounded(OBJECTS), OBJECTS);
    let array_queue = Queued::of(ArrayQueue::new(OBJECTS), OBJECTS);
    let seg_queue = Queued::of(SegQueue::new(), OBJECTS);
    let [concurrent, array, seg] = ONE_BY_ONE;
    contenders.extend([
        crossing(concurrent, Kind::Peer, 1, move || concurrent_queue).of("concurrent-queue"),
        crossing(array, Kind::Peer, 1, move || array_queue).of("crossbeam-queue"),
        crossing(seg, Kind::Peer, 1, move || seg_queue).of("crossbeam-queue"),
    ]);
    Workload {
        slug: BATCHES,
        title: "Hand-over, 64 at a time",
        per: "object",
        note: "One thread takes 64 and sends them at once, another receives and gives back 64; includes the channel.",
        contenders,
        facts: Some(facts),
    }
}
