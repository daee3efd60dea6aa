//! 64 objects taken and written, then all given back.

use super::{Contender, Kind, Workload};
use crate::by_hand::{MALLOC, VecInRefCell};
use crate::ours::{Local, PACKAGE, Shared};
use crate::peers::{LockfreeLinear, MIMALLOC, Opool, OpoolLocal, Queued};
use crate::source::BURST;
use crossbeam_queue::ArrayQueue;

pub(crate) const SLUG: &str = "burst";

pub(super) fn workload() -> Workload {
    Workload {
        slug: SLUG,
        title: "Burst of 64",
        per: "object",
        note: "One thread takes 64 objects of 1 KiB, writes a sample in each and gives all back.",
        contenders: vec![
            Contender::bursts("LocalPool", Kind::Ours, Local::of(BURST)).of(PACKAGE),
            Contender::bursts("Cache", Kind::Ours, Shared::of(BURST).stash()).of(PACKAGE),
            Contender::bursts("SharedPool", Kind::Ours, Shared::of(BURST)).of(PACKAGE),
            Contender::bursts("SharedPool, no caches", Kind::Ours, Shared::without_caches(BURST)).of(PACKAGE),
            Contender::bursts("Vec in a RefCell", Kind::Floor, VecInRefCell::of(BURST)),
            Contender::bursts("opool LocalPool", Kind::Peer, OpoolLocal::of(BURST)).of("opool"),
            Contender::bursts("lockfree linear", Kind::Peer, LockfreeLinear::of(BURST))
                .of("lockfree-object-pool"),
            Contender::bursts("opool", Kind::Peer, Opool::of(BURST)).of("opool"),
            Contender::bursts("ArrayQueue", Kind::Peer, Queued::of(ArrayQueue::new(BURST), BURST))
                .of("crossbeam-queue"),
            Contender::bursts("mimalloc", Kind::Fresh, MIMALLOC).of("mimalloc"),
            Contender::bursts("malloc", Kind::Fresh, MALLOC),
        ],
        facts: None,
    }
}
