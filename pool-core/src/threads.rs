//! Which lane of which pool is this thread's: a table of a few entries in thread-local storage.
//!
//! An entry is found by the pool's serial number, which no two pools have, so what a pool that is gone left in the table
//! is never taken for another's. A lane stays allocated as long as its pool or a thread's table holds it.
//!
//! The table has no destructor, so that looking into it costs nothing but the look; a second thread-local that has one is
//! touched when the first entry is made, and disowns the thread's lanes when the thread ends.
#![deny(clippy::disallowed_types)]

use crate::lane::Lane;
use crate::sync::counter::{AtomicU64, Ordering::Relaxed};
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// Pools that a thread can have lanes of at a time.
const ENTRIES: usize = 16;
/// How often in vain a pool asks for an entry that another has before it gets it.
const KNOCKS: u32 = 32;
/// Not the number of any pool; nor is 0, which a pool has until it first asks.
const NOBODY: u64 = u64::MAX;

/// A number that no other pool has.
pub(crate) fn next_serial() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Relaxed)
}

struct Table {
    /// The pool that was used last, and its lane: one of those below. A pool that comes again is found by one comparison.
    last: (Cell<u64>, Cell<*const Lane>),
    // Side by side, so that both are found by the same number.
    serials: [Cell<u64>; ENTRIES],
    lanes: [Cell<*const Lane>; ENTRIES],
    knocks: Cell<u32>,
    /// The thread is ending; nobody would disown another lane.
    ended: Cell<bool>,
}

impl Table {
    const fn new() -> Self {
        Self {
            last: (Cell::new(NOBODY), Cell::new(ptr::null())),
            serials: [const { Cell::new(NOBODY) }; ENTRIES],
            lanes: [const { Cell::new(ptr::null()) }; ENTRIES],
            knocks: Cell::new(0),
            ended: Cell::new(false),
        }
    }

    fn retire(&self, at: usize) {
        if self.serials[at].replace(NOBODY) != NOBODY {
            self.last.0.set(NOBODY);
            let lane = self.lanes[at].replace(ptr::null());
            // SAFETY: the entry held the lane since `adopt`, and no more.
            unsafe {
                (*lane).disown();
                Lane::let_go(lane);
            }
        }
    }

    fn end(&self) {
        self.ended.set(true);
        (0..ENTRIES).for_each(|at| self.retire(at));
    }
}

#[cfg(not(pool_core_loom))]
std::thread_local! {
    static TABLE: Table = const { Table::new() };
    static END: End = const { End };
}

#[cfg(not(pool_core_loom))]
struct End;

#[cfg(not(pool_core_loom))]
impl Drop for End {
    fn drop(&mut self) {
        TABLE.with(Table::end);
    }
}

// Loom has its own threads, and drops their locals as they end.
#[cfg(pool_core_loom)]
loom::thread_local! {
    static TABLE: Table = Table::new();
}

#[cfg(pool_core_loom)]
impl Drop for Table {
    fn drop(&mut self) {
        self.end();
    }
}

/// Uses this thread's lane of the pool with this number, if that was the last it used.
#[inline(always)]
pub(crate) fn with_last<T>(serial: u64, use_it: impl FnOnce(&Lane) -> T) -> Option<T> {
    TABLE.with(|table| {
        if table.last.0.get() != serial {
            return None;
        }
        // SAFETY: an entry of the table holds the lane.
        Some(use_it(unsafe { &*table.last.1.get() }))
    })
}

/// Makes the pool with this number the last that this thread used, if it has a lane of it.
pub(crate) fn recall(serial: u64) -> bool {
    TABLE.with(|table| {
        let at = serial as usize % ENTRIES;
        let found = table.serials[at].get() == serial;
        if found {
            table.last.1.set(table.lanes[at].get());
            table.last.0.set(serial);
        }
        found
    })
}

/// Gives this thread a lane of the pool with this number, unless another pool has its place.
/// `claim` gives a lane that is on the heap and held by its pool.
pub(crate) fn adopt(serial: u64, claim: impl FnOnce() -> Option<NonNull<Lane>>) {
    TABLE.with(|table| {
        let at = serial as usize % ENTRIES;
        if table.ended.get() || table.serials[at].get() == serial {
            return;
        }
        if table.serials[at].get() != NOBODY {
            table.knocks.set(table.knocks.get().wrapping_add(1));
            if !table.knocks.get().is_multiple_of(KNOCKS) {
                return;
            }
            table.retire(at);
        }
        #[cfg(not(pool_core_loom))]
        if END.try_with(|_| ()).is_err() {
            return;
        }
        if let Some(lane) = claim() {
            // SAFETY: its pool, which is being used, holds it.
            unsafe { lane.as_ref() }.hold();
            table.lanes[at].set(lane.as_ptr());
            table.serials[at].set(serial);
            table.last.1.set(lane.as_ptr());
            table.last.0.set(serial);
        }
    });
}
