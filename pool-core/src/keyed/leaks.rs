//! Leases that stay out: one in so many is watched, and told of once if it takes too long.
//!
//! What is watched is in a list of its own, so that slots and hits of pools that watch nothing know nothing of it; those
//! of a pool that does look it up for each release, which is why only one in so many is in it.

use crate::clock::Tick;
use crate::slots::{List as _, Storage};
use core::panic::Location;

/// When to look, and when to tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampling {
    /// One lease in so many.
    pub(super) one_in: u32,
    /// Ticks of the clock after which a lease counts as leaked.
    pub(super) after: u64,
}

/// A lease that is watched.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    pub(super) slot: u32,
    pub(super) since: Tick,
    pub(super) site: &'static Location<'static>,
    pub(super) told: bool,
}

pub(super) struct Watch<S: Storage> {
    samples: S::List<Sample>,
    /// Leases until the next that is watched.
    countdown: u32,
}

impl<S: Storage> Default for Watch<S> {
    fn default() -> Self {
        Self { samples: S::List::default(), countdown: 0 }
    }
}

impl<S: Storage> Watch<S> {
    /// A slot was leased, at `site`.
    pub(super) fn leased(
        &mut self,
        sampling: Sampling,
        slot: u32,
        since: Tick,
        site: &'static Location<'static>,
    ) {
        if let Some(fewer) = self.countdown.checked_sub(1) {
            self.countdown = fewer;
            return;
        }
        self.countdown = sampling.one_in.saturating_sub(1);
        // There is room for each slot once, and a slot is watched once at a time.
        let _ = self.samples.append(Sample { slot, since, site, told: false });
    }

    /// A slot is no longer leased; what was known of it.
    pub(super) fn ended(&mut self, slot: u32) -> Option<Sample> {
        let at = self.samples.iter().position(|sample| sample.slot == slot)?;
        let last = self.samples.len() - 1;
        self.samples.swap(at, last);
        self.samples.take_last()
    }

    /// The next lease that has been out for longer than it may be and was not told of; it is from then on.
    pub(super) fn overdue(&mut self, sampling: Sampling, now: Tick) -> Option<Sample> {
        let sample = self
            .samples
            .iter_mut()
            .find(|sample| !sample.told && now.since(sample.since) > sampling.after)?;
        sample.told = true;
        Some(*sample)
    }
}
