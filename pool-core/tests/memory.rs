//! What a pool takes from the allocator beside its objects.

use pool_core::{
    Account, FixedKeyedPool, KeyedPool, Leak, LocalPool, ManualClock, Observer, SharedPool, Verdict,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::convert::Infallible;

struct Counting;

thread_local! {
    /// Calls of the allocator by this thread, frees included.
    static CALLS: Cell<usize> = const { Cell::new(0) };
    /// Bytes that this thread has allocated and not freed. By thread, for the test harness allocates on its own.
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: the system's allocator does it all, and the count, a constant without destructor, allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.set(BYTES.get().wrapping_add(layout.size()));
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get().wrapping_sub(layout.size()));
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

type Object = [u64; 4];

/// Slots of the first four pages.
const SLOTS: usize = 32 + 64 + 128 + 256;

// A field more in each slot of who has no memory to spare, and is not told.
#[test]
#[cfg(target_pointer_width = "64")]
fn a_fixed_keyed_slot_costs_what_its_documentation_says() {
    type Frame = [u32; 16];
    type Pool<const N: usize> = FixedKeyedPool<u32, fn(&u32) -> Result<Frame, Infallible>, N>;
    let slots = 128;
    let beside = size_of::<Pool<256>>() - size_of::<Pool<128>>() - slots * size_of::<Frame>();
    assert_eq!(beside / slots, 172);
}

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

// An allocation or a free on a path that real-time threads take: acquire of what is idle, release, also of what is not
// kept, of another thread's lease, by a token, through a cache, and into a closed pool.
#[test]
fn acquire_and_release_of_a_shared_pool_never_allocate_or_free() {
    let spent = std::sync::atomic::AtomicBool::new(false);
    for caches in [false, true] {
        let pool = SharedPool::builder(|_: &()| Ok::<_, Infallible>(vec![0u8; 100]))
            .resetter(|_: &mut Vec<u8>| match spent.load(std::sync::atomic::Ordering::Relaxed) {
                true => Verdict::Discard,
                false => Verdict::Keep,
            })
            .account(Account::new("bytes", 1 << 20))
            .thread_caches(caches)
            .build();
        assert_eq!(pool.prewarm(200), Ok(200));
        let cache = pool.cache();
        // Tokens take memory once, when there is the first of a chunk.
        let tokens: Vec<_> =
            std::iter::from_fn(|| pool.try_acquire().map(pool_core::Lease::into_id)).collect();
        assert!(tokens.into_iter().all(|token| pool.release(token).is_ok()));
        for round in 0..3 {
            if round == 1 {
                // From here on the thread has a lane, if threads have.
                drop(pool.acquire());
            }
            let before = CALLS.get();
            for _ in 0..100 {
                let leases = [pool.try_acquire(), pool.try_acquire(), cache.try_acquire_shared()];
                assert!(leases.iter().all(Option::is_some));
                let [one, two, three] = leases;
                drop(cache.try_acquire());
                if let (Some(one), Some(three)) = (one, three) {
                    cache.release(one);
                    let token = three.into_id();
                    assert_eq!(pool.release(token), Ok(()));
                }
                drop(two);
            }
            spent.store(true, std::sync::atomic::Ordering::Relaxed);
            drop(pool.try_acquire());
            drop(cache.try_acquire());
            spent.store(false, std::sync::atomic::Ordering::Relaxed);
            cache.flush();
            assert_eq!(CALLS.get() - before, 0, "calls of the allocator, round {round}");
        }
        let last = pool.try_acquire();
        pool.close();
        let before = CALLS.get();
        drop(last);
        assert_eq!(CALLS.get(), before);
        assert!(pool.maintain(usize::MAX) > 0);
    }
}

// An allocation on the way of a hit, for the list of leases that are watched: of what was made or prewarmed, by whatever
// acquire, and at the end of a lease.
#[test]
fn hits_and_releases_of_a_watched_keyed_pool_never_allocate_or_free() {
    struct Deaf;
    impl Observer<u8> for Deaf {
        fn leaked(&self, _: &u8, _: &Leak) {}
    }
    let clock = ManualClock::default();
    let make = |_: &u8| Ok::<_, Infallible>([0u8; 100]);
    for watched in [1, 3] {
        let pool = KeyedPool::builder(make).observer(Deaf).clock(&clock).watch_leaks(watched, 10).build();
        let made: Vec<_> = (0..100).map_while(|_| pool.acquire(&2).ok()).collect();
        drop(made);
        // Last, so that their slots are beyond those that were ever leased.
        assert_eq!(pool.prewarm(&1, 300), Ok(300));
        let mut leases = Vec::with_capacity(400);
        let before = CALLS.get();
        for _ in 0..3 {
            leases.extend((0..300).map_while(|_| pool.try_acquire(&1)));
            leases.extend((0..100).map_while(|_| pool.acquire(&2).ok()));
            assert_eq!(leases.len(), 400);
            leases.clear();
        }
        assert_eq!(CALLS.get() - before, 0, "one in {watched}");
    }
}
