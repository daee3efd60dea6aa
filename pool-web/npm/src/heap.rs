//! The allocator: lists of free blocks by powers of two, in an eighth of the code that the standard one has.
//!
//! The samples are in JavaScript; what is allocated here is the bookkeeping, some kilobytes that come and go in few sizes.
//! A block is never divided nor joined with another: each size needs at most the memory that it once had in use, and none is
//! lost. A block is at most twice as large as what was asked for.

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::{memory_grow, memory_size};
use core::cell::UnsafeCell;
use core::ptr::null_mut;

/// The smallest block.
const LEAST: usize = 16;
/// A block is aligned to its size, up to this: an account's counters have a cache line for themselves, of 128 bytes.
const MOST_ALIGN: usize = 256;
const PAGE: usize = 1 << 16;
/// Sizes from `LEAST` up to half of what 32 bits can address.
const CLASSES: usize = 28;

struct State {
    /// The first free block of each size; a free block begins with a pointer to the next.
    free: [*mut u8; CLASSES],
    /// Memory from here to `end` was never given out.
    next: usize,
    end: usize,
}

struct Heap(UnsafeCell<State>);

// SAFETY: the package is built without atomics: there is one thread.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(State { free: [null_mut(); CLASSES], next: 0, end: 0 }));

/// The index of the smallest size that holds `size` bytes aligned to `align`.
fn class(size: usize, align: usize) -> usize {
    let size = size.max(align).max(LEAST);
    (usize::BITS - (size - 1).leading_zeros()) as usize - LEAST.trailing_zeros() as usize
}

impl State {
    /// A block that was never given out; null if the browser has no more memory.
    fn fresh(&mut self, size: usize) -> *mut u8 {
        // What lies before the next multiple of the alignment is kept, as smaller blocks.
        while !self.next.is_multiple_of(size.min(MOST_ALIGN)) {
            let piece = 1 << self.next.trailing_zeros();
            // SAFETY: it was never given out, and lies before `end`, which is a multiple of more.
            unsafe { self.keep(self.next as *mut u8, class(piece, 1)) };
            self.next += piece;
        }
        if size > self.end - self.next {
            let pages = size.div_ceil(PAGE);
            let before = memory_grow(0, pages);
            if before == usize::MAX {
                return null_mut();
            }
            // Whoever else grew the memory owns what lies between; then what was left before it is given up.
            if before * PAGE != self.end {
                self.next = before * PAGE;
            }
            self.end = memory_size(0) * PAGE;
        }
        let block = self.next;
        self.next += size;
        block as *mut u8
    }

    /// Puts a block into the list of its size.
    ///
    /// # Safety
    ///
    /// Nobody else uses it, and it has that size and its alignment.
    unsafe fn keep(&mut self, block: *mut u8, class: usize) {
        // SAFETY: it has at least `LEAST` bytes, aligned to as many.
        unsafe { block.cast::<*mut u8>().write(self.free[class]) };
        self.free[class] = block;
    }
}

// SAFETY: a block that is out is in no list, and blocks do not overlap: `next` only grows, and each comes back by `dealloc`
// with the layout that it was asked for with, so to the list of its own size.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let class = class(layout.size(), layout.align());
        if layout.align() > MOST_ALIGN || class >= CLASSES {
            return null_mut();
        }
        // SAFETY: one thread, and nothing is called while this is borrowed.
        let state = unsafe { &mut *self.0.get() };
        let block = state.free[class];
        if block.is_null() {
            return state.fresh(LEAST << class);
        }
        // SAFETY: a block in a list is ours, aligned, and begins with the pointer that `keep` wrote.
        state.free[class] = unsafe { block.cast::<*mut u8>().read() };
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`.
        let state = unsafe { &mut *self.0.get() };
        // SAFETY: the caller gives the block up, which `alloc` gave out for this layout.
        unsafe { state.keep(block, class(layout.size(), layout.align())) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if class(layout.size(), layout.align()) == class(size, layout.align()) {
            return block;
        }
        // SAFETY: the caller passes a size that is no more than `isize::MAX` when rounded up to the alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the size is not 0, as the caller has it.
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            // SAFETY: two blocks that are out do not overlap, and both have as many bytes as are copied; then the old one
            // is given up with the layout that it had.
            unsafe {
                moved.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
        }
        moved
    }
}
