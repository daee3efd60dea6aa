//! The only place that says which atomics, fences and reference counter the crate uses.
//!
//! portable-atomic gives cores without compare-and-swap the same types, so nothing else in the crate asks what
//! the target can do. Built with `--cfg pool_core_loom`, the atomics are those of loom, which tries every order in
//! which threads can meet (`cargo xtask loom`).
//!
//! # Barriers in pairs
//!
//! Twice in this crate two threads each write one thing and then read what the other writes, and at least one of
//! them has to see the other ("store, load" on both sides). Two pairs of barriers see to that:
//!
//! | one side | other side | used for |
//! |---|---|---|
//! | a SeqCst read-modify-write, [`after_rmw`], a SeqCst load | the same | release against waiting or closing |
//! | a store, [`light`], a load | a read-modify-write, [`heavy`], a load | a thread's own cache against who empties it |
//!
//! The first pair needs no fence: accesses that are SeqCst on both sides have one total order. Loom takes SeqCst
//! accesses for weaker than they are, so there, and only there, `after_rmw` is a fence.
//!
//! In the second pair `light` costs nothing at run time, it only keeps the compiler from reordering; `heavy` asks the
//! kernel to run a barrier on every processor that runs a thread of this process (membarrier(2), which states just
//! this use). Where that is not to be had, threads have no caches of their own. Loom and Miri get fences for both.

/// Whether anybody else can come in between: not in a page whose WebAssembly has no threads, which then need not download what
/// is done about it.
pub(crate) const THREADS: bool = cfg!(not(all(target_family = "wasm", not(target_feature = "atomics"))));

#[cfg(not(pool_core_loom))]
pub(crate) use portable_atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};

#[cfg(pool_core_loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};

#[cfg(feature = "alloc")]
pub(crate) use portable_atomic_util::{Arc, Weak};

/// Counters that publish nothing but themselves and guard nothing: not worth a model, and const everywhere.
pub(crate) mod counter {
    pub(crate) use portable_atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
    // Under other names where they stand beside atomics that may be loom's.
    pub(crate) use portable_atomic::{AtomicU16 as Count16, AtomicU32 as Count32, AtomicUsize as Count};

    #[cfg(not(target_has_atomic = "64"))]
    pub(crate) use super::halves::Count64;
    #[cfg(target_has_atomic = "64")]
    pub(crate) use portable_atomic::AtomicU64 as Count64;
}
pub(crate) use counter::{Count, Count16, Count32, Count64};

/// A count of 64 bits where no atomic has so many.
///
/// portable-atomic has one there, but behind a lock: an interrupt handler that counts would wait for ever if it came
/// while the main loop counts (Cortex-M3 and up; Cortex-M0 has a critical section in place of the lock).
#[cfg(not(target_has_atomic = "64"))]
mod halves {
    use portable_atomic::{AtomicU32, Ordering};

    pub(crate) struct Count64 {
        low: AtomicU32,
        high: AtomicU32,
    }

    impl Count64 {
        pub(crate) const fn new(value: u64) -> Self {
            Self { low: AtomicU32::new(value as u32), high: AtomicU32::new((value >> 32) as u32) }
        }

        /// Who looks between a carry and its arrival misses it.
        pub(crate) fn load(&self, order: Ordering) -> u64 {
            loop {
                let high = self.high.load(order);
                let low = self.low.load(order);
                if self.high.load(order) == high {
                    return u64::from(high) << 32 | u64::from(low);
                }
            }
        }

        /// Adds a number that fits into half of it.
        pub(crate) fn fetch_add(&self, more: u64, order: Ordering) {
            if self.low.fetch_add(more as u32, order).checked_add(more as u32).is_none() {
                self.high.fetch_add(1, order);
            }
        }

        /// Takes such a number off again.
        pub(crate) fn fetch_sub(&self, fewer: u64, order: Ordering) {
            if self.low.fetch_sub(fewer as u32, order) < fewer as u32 {
                self.high.fetch_sub(1, order);
            }
        }
    }
}

/// Declares a function that is const, but not under loom, whose atomics cannot be made at compile time.
macro_rules! const_fn {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:tt)*) -> $ret:ty $body:block) => {
        $(#[$meta])* #[cfg(not(pool_core_loom))] $vis const fn $name($($arg)*) -> $ret $body
        $(#[$meta])* #[cfg(pool_core_loom)] $vis fn $name($($arg)*) -> $ret $body
    };
}
pub(crate) use const_fn;

/// Between a SeqCst read-modify-write and a SeqCst load that must not be taken before it.
#[inline(always)]
pub(crate) fn after_rmw() {
    #[cfg(pool_core_loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
}

/// Lets another thread go on, in a loop that waits for it.
pub(crate) fn relax() {
    #[cfg(pool_core_loom)]
    loom::thread::yield_now();
    #[cfg(not(pool_core_loom))]
    {
        #[cfg(feature = "std")]
        std::thread::yield_now();
        #[cfg(not(feature = "std"))]
        core::hint::spin_loop();
    }
}

/// The cheap side of the pair of barriers.
#[cfg(feature = "std")]
#[inline(always)]
pub(crate) fn light() {
    #[cfg(pool_core_loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
    #[cfg(all(miri, not(pool_core_loom)))]
    core::sync::atomic::fence(Ordering::SeqCst);
    #[cfg(not(any(miri, pool_core_loom)))]
    core::sync::atomic::compiler_fence(Ordering::SeqCst);
}

/// The dear side of the pair of barriers; some microseconds. Only after [`heavy_works`] said so; false if the kernel has
/// changed its mind (a filter on system calls): then there was no barrier.
#[cfg(feature = "std")]
pub(crate) fn heavy() -> bool {
    #[cfg(pool_core_loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
    #[cfg(all(miri, not(pool_core_loom)))]
    core::sync::atomic::fence(Ordering::SeqCst);
    #[cfg(not(any(miri, pool_core_loom)))]
    {
        // A full barrier here as well: membarrier(2) speaks of the other threads.
        core::sync::atomic::fence(Ordering::SeqCst);
        let done = membarrier::run();
        core::sync::atomic::fence(Ordering::SeqCst);
        if !done {
            membarrier::FAILED.store(true, Ordering::Relaxed);
        }
        done
    }
    #[cfg(any(miri, pool_core_loom))]
    true
}

/// Whether [`heavy`] has ever failed, though [`heavy_works`] said that it would not.
#[cfg(feature = "std")]
pub(crate) fn heavy_has_failed() -> bool {
    #[cfg(any(miri, pool_core_loom))]
    return false;
    #[cfg(not(any(miri, pool_core_loom)))]
    membarrier::FAILED.load(Ordering::Relaxed)
}

/// Whether [`heavy`] does what it says on this system.
#[cfg(feature = "std")]
pub(crate) fn heavy_works() -> bool {
    #[cfg(any(miri, pool_core_loom))]
    return true;
    #[cfg(not(any(miri, pool_core_loom)))]
    membarrier::ready()
}

#[cfg(all(feature = "std", not(any(miri, pool_core_loom))))]
mod membarrier {
    pub(super) static FAILED: super::AtomicBool = super::AtomicBool::new(false);

    #[cfg(target_os = "linux")]
    mod linux {
        use std::sync::OnceLock;

        // membarrier(2), <linux/membarrier.h>.
        const QUERY: libc::c_int = 0;
        const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
        const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

        fn call(command: libc::c_int) -> libc::c_long {
            // SAFETY: the command takes no pointers; what the kernel does not know it refuses with an error.
            unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) }
        }

        pub(in super::super) fn run() -> bool {
            call(PRIVATE_EXPEDITED) == 0
        }

        pub(in super::super) fn ready() -> bool {
            static READY: OnceLock<bool> = OnceLock::new();
            *READY.get_or_init(|| {
                let supported = call(QUERY);
                supported > 0
                    && supported & libc::c_long::from(PRIVATE_EXPEDITED) != 0
                    && call(REGISTER_PRIVATE_EXPEDITED) == 0
                    && call(PRIVATE_EXPEDITED) == 0
            })
        }
    }
    #[cfg(target_os = "linux")]
    pub(super) use linux::{ready, run};

    #[cfg(not(target_os = "linux"))]
    pub(super) fn ready() -> bool {
        false
    }
    #[cfg(not(target_os = "linux"))]
    pub(super) fn run() -> bool {
        false
    }
}
