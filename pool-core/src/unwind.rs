//! User code that runs while a panic unwinds, where a second panic that left a destructor would end the process. Without `std`
//! nobody knows of the first, none can be caught, and a second one ends the process.

/// Runs `work`. If a panic is under way, another one of `work` says nothing that matters more, and goes no further.
pub(crate) fn shielded(work: impl FnOnce()) {
    #[cfg(all(feature = "std", panic = "unwind"))]
    if std::thread::panicking() {
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        return;
    }
    work();
}

/// Runs `work` until it comes to its end: if it panics again, no more than `most` times, in each of which it is to get further.
pub(crate) fn to_the_end(most: usize, work: impl Fn()) {
    struct Again<F: Fn()>(usize, F);
    impl<F: Fn()> Drop for Again<F> {
        fn drop(&mut self) {
            let mut ended = false;
            for _ in 0..self.0 {
                shielded(|| {
                    (self.1)();
                    ended = true;
                });
                if ended {
                    break;
                }
            }
        }
    }
    let again = Again(most.saturating_add(1), work);
    #[cfg(all(feature = "std", panic = "unwind"))]
    if std::thread::panicking() {
        return; // as `again` ends
    }
    (again.1)();
    core::mem::forget(again);
}
