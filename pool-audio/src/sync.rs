//! What several threads see: [`Figure`], and which atomics and which `Arc` there are.
#![deny(clippy::disallowed_types)]

pub(crate) use core::sync::atomic::Ordering;
pub(crate) use portable_atomic::{AtomicU32, AtomicUsize};

#[cfg(target_has_atomic = "ptr")]
pub(crate) use alloc::sync::Arc;
#[cfg(not(target_has_atomic = "ptr"))]
pub(crate) use portable_atomic_util::Arc;

#[cfg(not(target_has_atomic = "64"))]
pub(crate) use halves::Figure;
#[cfg(target_has_atomic = "64")]
pub(crate) use whole::Figure;

/// A number that one thread writes and any thread reads, by plain loads and stores.
#[cfg(target_has_atomic = "64")]
mod whole {
    use super::Ordering;
    use core::sync::atomic::AtomicU64;

    pub(crate) struct Figure(AtomicU64);

    impl Figure {
        pub(crate) const fn new(value: u64) -> Self {
            Self(AtomicU64::new(value))
        }

        pub(crate) fn get(&self) -> u64 {
            // Relaxed, here and below: it publishes nothing but itself.
            self.0.load(Ordering::Relaxed)
        }

        pub(crate) fn set(&self, value: u64) {
            self.0.store(value, Ordering::Relaxed);
        }
    }
}

/// The same where there are no loads and stores of 64 bits: a lock in their place would stop a reader that an interrupt
/// handler, the writer, has interrupted.
#[cfg(any(test, not(target_has_atomic = "64")))]
mod halves {
    use super::{AtomicU32, Ordering};
    use core::sync::atomic::fence;

    /// Written in the order `high`, `low`, `high_again`, and read backwards: a reader that finds both halves of `high` alike
    /// has a `low` that was written while it was so.
    pub(crate) struct Figure {
        high: AtomicU32,
        low: AtomicU32,
        high_again: AtomicU32,
    }

    impl Figure {
        pub(crate) const fn new(value: u64) -> Self {
            let high = (value >> 32) as u32;
            Self {
                high: AtomicU32::new(high),
                low: AtomicU32::new(value as u32),
                high_again: AtomicU32::new(high),
            }
        }

        pub(crate) fn get(&self) -> u64 {
            loop {
                let again = self.high_again.load(Ordering::Relaxed);
                // Acquire, with the Release of the writer: who sees a `low` sees the `high` before it; who sees a
                // `high_again` sees the `low` before it.
                fence(Ordering::Acquire);
                let low = self.low.load(Ordering::Relaxed);
                fence(Ordering::Acquire);
                if self.high.load(Ordering::Relaxed) == again {
                    return u64::from(again) << 32 | u64::from(low);
                }
            }
        }

        pub(crate) fn set(&self, value: u64) {
            let high = (value >> 32) as u32;
            self.high.store(high, Ordering::Relaxed);
            fence(Ordering::Release);
            self.low.store(value as u32, Ordering::Relaxed);
            fence(Ordering::Release);
            self.high_again.store(high, Ordering::Relaxed);
        }
    }
}

impl Figure {
    /// The writer's.
    pub(crate) fn add(&self, more: u64) {
        self.set(self.get().wrapping_add(more));
    }

    pub(crate) fn get_f64(&self) -> f64 {
        f64::from_bits(self.get())
    }

    pub(crate) fn set_f64(&self, value: f64) {
        self.set(value.to_bits());
    }
}

#[cfg(test)]
mod tests {
    use super::halves::Figure;

    /// Would catch a number of which one half is old and one new.
    #[test]
    fn halves_are_read_as_they_were_written() {
        const LAST: u64 = if cfg!(miri) { 200 } else { 300_000 };
        // Both halves change each time, and belong together.
        let value = |step: u64| (step << 32) | ((step * 7) & u64::from(u32::MAX));
        let figure = Figure::new(value(0));
        std::thread::scope(|scope| {
            scope.spawn(|| (1..=LAST).for_each(|step| figure.set(value(step))));
            let mut before = 0;
            while before < LAST {
                let now = figure.get();
                let step = now >> 32;
                assert_eq!(now, value(step));
                assert!(step >= before);
                before = step;
            }
        });
    }
}
