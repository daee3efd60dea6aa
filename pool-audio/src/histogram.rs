//! A log-linear histogram of `u64` values, for percentiles without keeping the values.
//!
//! A value below 32 has a bucket of its own. A larger one is filed by its highest bit (the row) and the five
//! bits after it (the column), so a bucket is at most 1/32 of its values wide: a percentile is never too small
//! and at most 3.2 % too large, at any magnitude. Recording is a count of leading zeros, a shift and an add,
//! with no branch that depends on how the values are spread.
//!
//! Row 0 holds the values below 32; rows 1 to 59 hold the highest bits 5 to 63. Rows 60 to 63 stay empty: 64
//! rows keep the index computation to shifts, and 8 KiB is small beside what is measured. A sorted list of all
//! values would be exact and grows; a list of the last thousand forgets the one callback in a million that
//! clicked.
#![deny(clippy::disallowed_types)]

use alloc::boxed::Box;
use core::fmt;

use crate::sync::{AtomicU32, Figure, Ordering};

/// Columns: buckets per power of two.
const COLUMNS: usize = 32;
/// Bits of a column number.
const COLUMN_BITS: u32 = COLUMNS.ilog2();
/// Rows, one per highest bit.
const ROWS: usize = 64;

/// Counts of `u64` values, 64 x 32 of them (8 KiB), for percentiles within 3.2 %.
///
/// A bucket counts up to `u32::MAX` and then stays there: at 375 callbacks a second that is 132 days of
/// values that are all alike.
///
/// # Real time
///
/// [`record`](Self::record) is O(1), allocates nothing and takes no lock. The percentiles walk all 2048 counts.
///
/// ```
/// use pool_audio::Histogram;
///
/// let mut times = Histogram::new();
/// (1..=1000).for_each(|value| times.record(value));
/// let median = times.value_at(0.5).unwrap_or(0);
/// assert!((500..=516).contains(&median));
/// assert_eq!(times.max(), Some(1000));
/// ```
#[derive(Clone)]
pub struct Histogram {
    counts: [u32; ROWS * COLUMNS],
    recorded: u64,
    min: u64,
    max: u64,
}

impl Histogram {
    /// An empty histogram. It is 8 KiB: keep it in a box or a static.
    pub const fn new() -> Self {
        Self { counts: [0; ROWS * COLUMNS], recorded: 0, min: u64::MAX, max: 0 }
    }

    /// The bucket of a value.
    const fn index(value: u64) -> usize {
        if value < COLUMNS as u64 {
            return value as usize;
        }
        let highest_bit = u64::BITS - 1 - value.leading_zeros();
        let shift = highest_bit - COLUMN_BITS;
        // The highest bit itself is dropped by the mask: the row stands for it.
        let column = (value >> shift) as usize & (COLUMNS - 1);
        (shift as usize + 1) * COLUMNS + column
    }

    /// The largest value of a bucket.
    const fn upper_end(index: usize) -> u64 {
        if index < COLUMNS {
            return index as u64;
        }
        let shift = (index / COLUMNS - 1) as u32;
        let lower = ((COLUMNS + index % COLUMNS) as u64) << shift;
        lower + ((1 << shift) - 1)
    }

    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        let count = &mut self.counts[Self::index(value)];
        *count = count.saturating_add(1);
        self.recorded += 1;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Values recorded since the last [`reset`](Self::reset).
    pub fn count(&self) -> u64 {
        self.recorded
    }

    /// The smallest value recorded, exactly; `None` if there is none.
    pub fn min(&self) -> Option<u64> {
        (self.recorded > 0).then_some(self.min)
    }

    /// The largest value recorded, exactly; `None` if there is none.
    pub fn max(&self) -> Option<u64> {
        (self.recorded > 0).then_some(self.max)
    }

    /// The smallest value that at least the share `quantile` of all values do not exceed: 0.5 is the median,
    /// 0.99 the 99th percentile. `None` if nothing was recorded or `quantile` is not a number.
    ///
    /// Never smaller than the exact answer and at most 1/32 larger; below 32 exact. A quantile below 0 counts
    /// as 0 (the smallest value), above 1 as 1 (the largest).
    pub fn value_at(&self, quantile: f64) -> Option<u64> {
        if self.recorded == 0 || quantile.is_nan() {
            return None;
        }
        let total: u64 = self.counts.iter().map(|&count| u64::from(count)).sum();
        let wanted = quantile.clamp(0.0, 1.0) * total as f64;
        // Rank ceil(q x n), counted from 1. `ceil` is not in core.
        let floor = wanted as u64;
        let rank = if (floor as f64) < wanted { floor + 1 } else { floor }.clamp(1, total);
        let mut seen = 0;
        for (index, &count) in self.counts.iter().enumerate() {
            seen += u64::from(count);
            if seen >= rank {
                return Some(Self::upper_end(index).clamp(self.min, self.max));
            }
        }
        Some(self.max)
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.counts.fill(0);
        self.recorded = 0;
        self.min = u64::MAX;
        self.max = 0;
    }
}

/// The same with one writer and readers on other threads: relaxed loads and stores, each count for itself.
pub(crate) struct AtomicHistogram {
    counts: [AtomicU32; ROWS * COLUMNS],
    min: Figure,
    max: Figure,
}

impl AtomicHistogram {
    pub(crate) fn new() -> Self {
        let counts = [const { AtomicU32::new(0) }; ROWS * COLUMNS];
        Self { counts, min: Figure::new(u64::MAX), max: Figure::new(0) }
    }

    /// Writer: counts one value. Extremes first: then a reader that sees the count sees no value outside them.
    pub(crate) fn record(&self, value: u64) {
        if value < self.min.get() {
            self.min.set(value);
        }
        if value > self.max.get() {
            self.max.set(value);
        }
        let count = &self.counts[Histogram::index(value)];
        count.store(count.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
    }

    /// What has been counted, for looking at.
    pub(crate) fn copy(&self) -> Box<Histogram> {
        let mut copy = Box::new(Histogram::new());
        for (count, theirs) in copy.counts.iter_mut().zip(&self.counts) {
            *count = theirs.load(Ordering::Relaxed);
            copy.recorded += u64::from(*count);
        }
        (copy.min, copy.max) = (self.min.get(), self.max.get());
        if copy.min > copy.max {
            // Nothing yet, or the first value is being recorded.
            copy.reset();
        }
        copy
    }

    /// Writer: forgets everything.
    pub(crate) fn reset(&self) {
        self.counts.iter().for_each(|count| count.store(0, Ordering::Relaxed));
        self.min.set(u64::MAX);
        self.max.set(0);
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min(), self.value_at(0.5), self.value_at(0.99), self.max()) {
            (Some(min), Some(p50), Some(p99), Some(max)) => {
                write!(f, "Histogram({} values, min {min}, p50 {p50}, p99 {p99}, max {max})", self.recorded)
            }
            _ => f.write_str("Histogram(empty)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// What `value_at` approximates, computed from the values themselves.
    fn exact(sorted: &[u64], quantile: f64) -> u64 {
        let rank = (quantile * sorted.len() as f64).ceil() as usize;
        sorted[rank.clamp(1, sorted.len()) - 1]
    }

    /// Would catch an off-by-one between rows: a gap or an overlap at a power of two.
    #[test]
    fn buckets_follow_one_another_without_gap_up_to_the_last_value() {
        let last = Histogram::index(u64::MAX);
        assert_eq!(last, 59 * COLUMNS + 31);
        assert!(last < ROWS * COLUMNS);
        assert_eq!(Histogram::upper_end(last), u64::MAX);
        for index in 0..last {
            let end = Histogram::upper_end(index);
            assert_eq!(Histogram::index(end), index, "the end of a bucket lies in it");
            assert_eq!(Histogram::index(end + 1), index + 1, "the next value lies in the next bucket");
        }
    }

    /// Would catch a percentile invented for no values, and a quantile out of range that panics.
    #[test]
    fn nothing_recorded_has_no_percentile() {
        let mut histogram = Histogram::new();
        assert_eq!((histogram.value_at(0.5), histogram.min(), histogram.max()), (None, None, None));
        assert_eq!(format!("{histogram:?}"), "Histogram(empty)");
        histogram.record(7);
        for quantile in [-1.0, 0.0, 0.5, 1.0, 2.0, f64::INFINITY] {
            assert_eq!(histogram.value_at(quantile), Some(7), "{quantile}");
        }
        assert_eq!(histogram.value_at(f64::NAN), None);
        histogram.reset();
        assert_eq!((histogram.count(), histogram.max()), (0, None));
    }

    /// Would catch a counter that wraps to 0 and makes the most frequent value vanish.
    #[test]
    fn a_full_bucket_stays_full() {
        let mut histogram = Histogram::new();
        histogram.counts[5] = u32::MAX;
        histogram.record(5);
        histogram.record(9);
        assert_eq!(histogram.counts[5], u32::MAX);
        assert_eq!(histogram.value_at(0.5), Some(5));
    }

    proptest! {
        /// Would catch a wrong rank or a wrong bucket: compared with a sort, at magnitudes from 1 to 2^63.
        #[test]
        fn percentiles_are_within_a_thirty_second_of_a_sort(
            values in proptest::collection::vec((0u32..64, any::<u64>()), 1..400),
            quantile in 0.0f64..=1.0,
        ) {
            let mut values: Vec<u64> = values.into_iter().map(|(shift, bits)| bits >> shift).collect();
            let mut histogram = Histogram::new();
            values.iter().for_each(|&value| histogram.record(value));
            values.sort_unstable();
            for quantile in [quantile, 0.5, 0.95, 0.99, 0.999, 1.0] {
                let exact = exact(&values, quantile);
                let told = histogram.value_at(quantile).unwrap();
                prop_assert!(told >= exact, "{told} is less than the exact {exact}");
                prop_assert!(told - exact <= exact / 32, "{told} is too far above {exact}");
            }
            prop_assert_eq!(histogram.max(), values.last().copied());
            prop_assert_eq!(histogram.min(), values.first().copied());
            prop_assert_eq!(histogram.count(), values.len() as u64);
        }
    }
}
