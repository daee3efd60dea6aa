//! Up to where a charge changes nothing but the count: [`Quiet`].
//!
//! After each charge three bounds have to be looked at: the hard limit, which may have been lowered meanwhile, the peak, and
//! the soft limit, unless it was crossed already. Most charges end below all three, and one word that is no more than the
//! least of them says so.
//!
//! The word may be too low, which costs a charge a look at the bounds themselves, but not too high once a bound has been
//! lowered. So who lowers a bound first writes the bound and then that the word is in [`DOUBT`]; and who raises the word first
//! says that it is [`RAISING`], then reads the bounds, and sets the word only if nobody has doubted it since:
//!
//! ```text
//! lower a bound                       raise the word, one at a time
//!
//! bound = the new one                 word: RAISING
//! word: DOUBT                         least of the bounds
//!                                     word: RAISING -> one more than that, or it stays as it is
//! ```
//!
//! All three writes of the word are read-modify-writes, so they have an order. If the doubt comes before the raise begins, who
//! raises sees the new bound; if it comes in between, the word is not set; if it comes later, it is what stays. Nobody waits for
//! anybody: who finds that another is raising the word leaves that to them.
//!
//! A charge is a read-modify-write of what is used, and who lowers a bound looks at that by another one afterwards
//! (`Mode::settled`): if the charge comes later it sees the doubt, or the word as somebody has set it who saw the new bound.

use crate::sync::{AtomicBool, AtomicUsize, Ordering, const_fn};

/// Somebody is about to set the word. No sum is below this, and none but nothing, which passes no bound, below [`DOUBT`].
const RAISING: usize = 0;
/// Some bound may be lower than it was.
const DOUBT: usize = 1;

pub(crate) struct Quiet {
    /// One more than the bound, as far as there are numbers.
    below: AtomicUsize,
    /// Whether somebody is at it, from [`RAISING`] to the end.
    busy: AtomicBool,
}

impl Quiet {
    const_fn! {
        /// In doubt.
        pub(crate) fn new() -> Self {
            Self { below: AtomicUsize::new(DOUBT), busy: AtomicBool::new(false) }
        }
    }

    /// Whether a charge that ends with so many bytes in use is known to pass no bound.
    #[inline(always)]
    pub(crate) fn covers(&self, sum: usize) -> bool {
        // Relaxed: the order is that of `used`, by which the charge was made.
        sum < self.below.load(Ordering::Relaxed)
    }

    /// Sets the bound, for who alone uses it.
    #[cfg(feature = "alloc")]
    pub(crate) fn set(&self, bound: usize) {
        self.below.store(bound.saturating_add(1), Ordering::Relaxed);
    }

    /// After a bound was lowered.
    pub(crate) fn doubt(&self) {
        // Release: who raises it afterwards sees what was lowered.
        self.below.swap(DOUBT, Ordering::Release);
    }

    /// Raises it to the least of the bounds, which it reads.
    pub(crate) fn raise(&self, bound: impl FnOnce() -> usize) {
        // Acquire: what the one before wrote to the word comes before what this does.
        if self.busy.swap(true, Ordering::Acquire) {
            return;
        }
        // Acquire: the bounds as they were when somebody last doubted.
        self.below.swap(RAISING, Ordering::Acquire);
        let below = bound().saturating_add(1);
        // Relaxed: it passes on what was doubted before, as every read-modify-write does. If it fails, somebody has doubted.
        let _ = self.below.compare_exchange(RAISING, below, Ordering::Relaxed, Ordering::Relaxed);
        // Release: see above.
        self.busy.store(false, Ordering::Release);
    }
}
