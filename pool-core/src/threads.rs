//! Which lane of which pool is this thread's: a table of a few entries in thread-local storage.
//!
//! An entry is found by the pool's serial number, which no two pools have, so what a pool that is gone left in the table
//! is never taken for another's. A lane stays allocated as long as its pool or a thread's table holds it.
//!
//! The table has no destructor, so that looking into it costs nothing but the look; a second thread-local that has one is
//! touched when the first entry is made, and disowns the thread's lanes when the thread ends.

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

struct Entry {
    serial: Cell<u64>,
    lane: Cell<*const Lane>,
}

impl Entry {
    const EMPTY: Self = Self { serial: Cell::new(NOBODY), lane: Cell::new(ptr::null()) };

    fn retire(&self) {
        if self.serial.replace(NOBODY) != NOBODY {
            let lane = self.lane.replace(ptr::null());
            // SAFETY: the entry held the lane since `adopt`, and no more.
            unsafe {
                (*lane).disown();
                Lane::let_go(lane);
            }
        }
    }
}

struct Table {
    entries: [Entry; ENTRIES],
    knocks: Cell<u32>,
    /// The thread is ending; nobody would disown another lane.
    ended: Cell<bool>,
}

impl Table {
    const NEW: Self =
        Self { entries: [const { Entry::EMPTY }; ENTRIES], knocks: Cell::new(0), ended: Cell::new(false) };

    #[inline(always)]
    fn entry(&self, serial: u64) -> &Entry {
        &self.entries[serial as usize % ENTRIES]
    }

    fn end(&self) {
        self.ended.set(true);
        self.entries.iter().for_each(Entry::retire);
    }
}

#[cfg(not(pool_core_loom))]
std::thread_local! {
    static TABLE: Table = const { Table::NEW };
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
    static TABLE: Table = Table::NEW;
}

#[cfg(pool_core_loom)]
impl Drop for Table {
    fn drop(&mut self) {
        self.end();
    }
}

/// Uses this thread's lane of the pool with this number, if it has one.
#[inline(always)]
pub(crate) fn with_lane<T>(serial: u64, use_it: impl FnOnce(&Lane) -> T) -> Option<T> {
    TABLE.with(|table| {
        let entry = table.entry(serial);
        if entry.serial.get() != serial {
            return None;
        }
        // SAFETY: the entry holds the lane.
        Some(use_it(unsafe { &*entry.lane.get() }))
    })
}

/// Gives this thread a lane of the pool with this number, unless another pool has its place.
/// `claim` gives a lane that is on the heap and held by its pool.
pub(crate) fn adopt(serial: u64, claim: impl FnOnce() -> Option<NonNull<Lane>>) {
    TABLE.with(|table| {
        let entry = table.entry(serial);
        if table.ended.get() || entry.serial.get() == serial {
            return;
        }
        if entry.serial.get() != NOBODY {
            table.knocks.set(table.knocks.get().wrapping_add(1));
            if table.knocks.get() % KNOCKS != 0 {
                return;
            }
            entry.retire();
        }
        #[cfg(not(pool_core_loom))]
        if END.try_with(|_| ()).is_err() {
            return;
        }
        if let Some(lane) = claim() {
            // SAFETY: its pool, which is being used, holds it.
            unsafe { lane.as_ref() }.hold();
            entry.lane.set(lane.as_ptr());
            entry.serial.set(serial);
        }
    });
}
