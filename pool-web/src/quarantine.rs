//! The waiting room of nodes that still hold a signal: [`Quarantine`].
//!
//! Time is the context's `currentTime`, never a wall clock: a suspended context pulls nothing, so nothing in it
//! gets any cleaner.

use alloc::vec::Vec;

/// Quanta beyond the signal's length. One is the quantum in which the last old sample leaves; the others cover
/// that a new connection is heard only from the next quantum on, and that `currentTime` may be read while the
/// audio thread is ahead or behind by a device buffer's part.
const MARGIN_QUANTA: f64 = 8.0;

/// Items that become clean at a point of the context's time.
pub struct Quarantine<T> {
    /// Latest first, so that what is due is at the end.
    waiting: Vec<(f64, T)>,
}

impl<T> Default for Quarantine<T> {
    fn default() -> Self {
        Self { waiting: Vec::new() }
    }
}

impl<T> Quarantine<T> {
    /// Lets `item` in at context time `now`, until `seconds` of zeros and a small margin have gone through it.
    /// `quantum` is the length of a render quantum in seconds. O(log n) to find its place, O(n) to make room.
    pub fn admit(&mut self, item: T, now: f64, seconds: f64, quantum: f64) {
        let due = now + seconds + MARGIN_QUANTA * quantum;
        let place = self.waiting.partition_point(|(other, _)| *other > due);
        self.waiting.insert(place, (due, item));
    }

    /// One item that is clean at context time `now`. O(1).
    pub fn take_due(&mut self, now: f64) -> Option<T> {
        self.waiting.pop_if(|(due, _)| *due <= now).map(|(_, item)| item)
    }

    /// The item that would have waited longest: the best to give up when memory is short. O(n).
    pub fn take_latest(&mut self) -> Option<T> {
        (!self.waiting.is_empty()).then(|| self.waiting.remove(0).1)
    }

    /// When the next item is clean, in the context's time.
    #[must_use]
    pub fn next_due(&self) -> Option<f64> {
        self.waiting.last().map(|(due, _)| *due)
    }

    /// All that wait.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.waiting.iter().map(|(_, item)| item)
    }

    /// Items that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUANTUM: f64 = 128.0 / 48000.0;

    // Out too early, the old line is heard.
    #[test]
    fn nothing_leaves_before_the_line_has_passed() {
        let mut quarantine = Quarantine::default();
        quarantine.admit("delay", 1.0, 0.5, QUANTUM);
        assert_eq!(quarantine.take_due(1.5 + QUANTUM), None);
        assert_eq!(quarantine.take_due(1.5 + 9.0 * QUANTUM), Some("delay"));
        assert!(quarantine.is_empty());
    }

    // A suspended context stands still: no wall clock may set the node free.
    #[test]
    fn time_that_stands_still_frees_nothing() {
        let mut quarantine = Quarantine::default();
        quarantine.admit((), 2.0, 0.1, QUANTUM);
        assert!((0..1000).all(|_| quarantine.take_due(2.0).is_none()));
    }

    // Lines of different lengths: a long one must not hold back the short ones behind it.
    #[test]
    fn the_first_to_be_clean_leaves_first() {
        let mut quarantine = Quarantine::default();
        for (item, seconds) in [("5 s", 5.0), ("0.1 s", 0.1), ("1 s", 1.0)] {
            quarantine.admit(item, 0.0, seconds, QUANTUM);
        }
        assert_eq!(quarantine.take_due(0.2), Some("0.1 s"));
        assert_eq!(quarantine.take_due(0.2), None);
        assert_eq!(quarantine.take_latest(), Some("5 s"));
        assert_eq!(quarantine.take_due(9.0), Some("1 s"));
        assert_eq!(quarantine.next_due(), None);
    }
}
