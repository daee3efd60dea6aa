//! What a pool takes from the allocator beside its objects.

use pool_core::LocalPool;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::convert::Infallible;

struct Counting;

thread_local! {
    /// Bytes that this thread has allocated and not freed. By thread, for the test harness allocates on its own.
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: the system's allocator does it all, and the count, a constant without destructor, allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.set(BYTES.get().wrapping_add(layout.size()));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get().wrapping_sub(layout.size()));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

type Object = [u64; 4];

/// Slots of the first four pages.
const SLOTS: usize = 32 + 64 + 128 + 256;

// A field more in each slot; an array that is longer than the pages; generations for those who use no tokens; a
// `trim` or `retain` that allocates; memory that stays when the pool has gone.
#[test]
fn a_slot_costs_16_bytes_beside_its_object() {
    let before = BYTES.get();
    let beside = || BYTES.get().wrapping_sub(before) - SLOTS * size_of::<Object>();
    let pool = LocalPool::new(|_: &()| Ok::<Object, Infallible>([0; 4]));
    assert_eq!(pool.prewarm(SLOTS), Ok(SLOTS));
    assert_eq!(beside(), SLOTS * 16);
    assert_eq!((pool.retain(|_| true), pool.trim(1)), (0, SLOTS - 1));
    drop(pool.acquire());
    assert_eq!(beside(), SLOTS * 16);

    // The one that is left is in the last page, so all slots get a generation.
    let token = pool.acquire().map(pool_core::Lease::into_id);
    assert_eq!(token.map(|token| pool.release(token)), Ok(Ok(())));
    assert_eq!(beside(), SLOTS * (16 + 8));
    drop(pool);
    assert_eq!(BYTES.get(), before);
}
