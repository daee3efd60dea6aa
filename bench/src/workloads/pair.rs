//! Take one object, write a sample, give it back: the same object again and again.

use super::{Contender, Kind, Workload};
use crate::by_hand::{MALLOC, ThreadLocalList, TwoRmw, VecInRefCell};
use crate::ours::{InStatic, Local, PACKAGE, Shared};
use crate::peers::{
    Deadpool, HeaplessPool, Lifeguard, LockfreeLinear, LockfreeMutex, LockfreeSpin, MIMALLOC, ObjectPool,
    Opool, OpoolLocal, Queued, ShardedSlab, Slab,
};

use concurrent_queue::ConcurrentQueue;
use crossbeam_queue::{ArrayQueue, SegQueue};

pub(crate) const PRIVATE: &str = "pair-private";
pub(crate) const SHARED: &str = "pair-shared";
/// What a pool without caches needs at least: one to take, one to give back.
pub(crate) const TWO_RMW: &str = "two read-modify-writes";

/// Objects in each pool: more than one, so that first-in first-out shows what it costs.
const OBJECTS: usize = 64;

/// One thread, and a pool of its own.
pub(super) fn private() -> Workload {
    Workload {
        slug: PRIVATE,
        title: "Pair, private",
        per: "pair",
        note: "One thread takes an object, writes a sample and gives it back; slab and the allocators keep nothing alive.",
        contenders: vec![
            Contender::pairs("LocalPool", Kind::Ours, Local::of(OBJECTS)).of(PACKAGE),
            Contender::pairs("Cache", Kind::Ours, Shared::of(OBJECTS).stash()).of(PACKAGE),
            Contender::pairs("Vec in a RefCell", Kind::Floor, VecInRefCell::of(OBJECTS)),
            Contender::pairs("thread_local! list", Kind::Floor, ThreadLocalList),
            Contender::pairs("opool LocalPool", Kind::Peer, OpoolLocal::of(OBJECTS)).of("opool"),
            Contender::pairs("lifeguard", Kind::Peer, Lifeguard::of(OBJECTS)).of("lifeguard"),
            Contender::pairs("slab", Kind::Fresh, Slab::of(OBJECTS)).of("slab"),
            Contender::pairs("mimalloc", Kind::Fresh, MIMALLOC).of("mimalloc"),
            Contender::pairs("malloc", Kind::Fresh, MALLOC),
        ],
        facts: None,
    }
}

/// One thread, and a pool that others may use as well.
pub(super) fn shared() -> Workload {
    Workload {
        slug: SHARED,
        title: "Pair, shared",
        per: "pair",
        note: "Any thread may use the pool, and here one does. SharedPool has a cache per thread unless told not to.",
        contenders: vec![
            Contender::pairs("SharedPool", Kind::Ours, Shared::of(OBJECTS)).of(PACKAGE),
            Contender::pairs("SharedPool, no caches", Kind::Ours, Shared::without_caches(OBJECTS))
                .of(PACKAGE),
            Contender::pairs("StaticPool", Kind::Ours, InStatic::of(OBJECTS)).of(PACKAGE),
            Contender::pairs(TWO_RMW, Kind::Floor, TwoRmw::new()),
            Contender::pairs("ArrayQueue", Kind::Peer, Queued::of(ArrayQueue::new(OBJECTS), OBJECTS))
                .of("crossbeam-queue"),
            Contender::pairs("SegQueue", Kind::Peer, Queued::of(SegQueue::new(), OBJECTS))
                .of("crossbeam-queue"),
            Contender::pairs(
                "ConcurrentQueue",
                Kind::Peer,
                Queued::of(ConcurrentQueue::bounded(OBJECTS), OBJECTS),
            )
            .of("concurrent-queue"),
            Contender::pairs("lockfree linear", Kind::Peer, LockfreeLinear::of(OBJECTS))
                .of("lockfree-object-pool"),
            Contender::pairs("lockfree spin", Kind::Peer, LockfreeSpin::of(OBJECTS))
                .of("lockfree-object-pool"),
            Contender::pairs("lockfree mutex", Kind::Peer, LockfreeMutex::of(OBJECTS))
                .of("lockfree-object-pool"),
            Contender::pairs("opool", Kind::Peer, Opool::of(OBJECTS)).of("opool"),
            Contender::pairs("object-pool", Kind::Peer, ObjectPool::of(OBJECTS)).of("object-pool"),
            Contender::pairs("heapless pool", Kind::Peer, HeaplessPool::of(OBJECTS)).of("heapless"),
            Contender::pairs("sharded-slab", Kind::Peer, ShardedSlab::new()).of("sharded-slab"),
            Contender::pairs("deadpool", Kind::Peer, Deadpool::of(OBJECTS)).of("deadpool"),
        ],
        facts: None,
    }
}
