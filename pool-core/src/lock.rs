//! A lock around lists that are touched on slow paths only: who is below an account, who can evict, who holds credit.
//!
//! No user code ever runs while it is held, and what does run takes tens of instructions. It is not for interrupt
//! handlers: accounts without an allocator have no such lists, and others are charged without where nobody lends.

use crate::sync::{AtomicBool, Ordering, const_fn, relax};
use core::cell::UnsafeCell;

pub struct Lock<T> {
    held: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached only by the thread that turned `held` from false to true, and by no other before that
// thread has turned it back; so a lock that threads share hands the value from one to the next, which `Send` allows.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    const_fn! {
        pub(crate) fn new(value: T) -> Self {
            Self { held: AtomicBool::new(false), value: UnsafeCell::new(value) }
        }
    }

    /// Runs `work` on the value, while nobody else does. `work` must neither call user code nor take this lock again.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        struct Held<'a>(&'a AtomicBool);
        impl Drop for Held<'_> {
            fn drop(&mut self) {
                // Release: what was done to the value, to who takes the lock next.
                self.0.store(false, Ordering::Release);
            }
        }
        // Acquire: what the one before did to the value.
        while self.held.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            relax();
        }
        let _held = Held(&self.held);
        // SAFETY: `held` was false and is true by our doing, until `_held` is dropped: nobody else has a reference.
        work(unsafe { &mut *self.value.get() })
    }
}
