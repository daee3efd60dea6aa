//! An allocator that counts the calls of one thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// The system's, with a look at who calls.
pub(crate) struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Without a destructor, so that looking at it allocates nothing.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// Calls of the allocator by this thread in `work`.
pub(crate) fn counted(work: impl FnOnce()) -> u64 {
    let before = CALLS.load(Ordering::Relaxed);
    WATCHED.set(true);
    work();
    WATCHED.set(false);
    CALLS.load(Ordering::Relaxed) - before
}

fn note() {
    if WATCHED.get() {
        CALLS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call is the system allocator's, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note();
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
