//! An allocator that counts the calls of one thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's, with a look at who calls.
#[derive(Debug)]
pub struct Counting;

thread_local! {
    // Without destructors, so that looking at them allocates nothing.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// Calls of the allocator by this thread in `work`, if the program's global allocator is [`Counting`].
pub fn counted(work: impl FnOnce()) -> u64 {
    let before = CALLS.get();
    WATCHED.set(true);
    work();
    WATCHED.set(false);
    CALLS.get() - before
}

fn note() {
    if WATCHED.get() {
        CALLS.set(CALLS.get() + 1);
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
