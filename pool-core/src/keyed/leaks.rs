//! Leases that stay out: one in so many is watched, and told of once if it takes too long.
//!
//! What is watched is in an array of its own, by slot, so that slots and hits of pools that watch nothing know nothing of it. It
//! grows where an object is made; a hit finds its slot's place there. Those that nobody was told of are in a list through
//! it, in the order in which they were taken: the one that is out for longest is its oldest, and who ends leaves it in O(1).
//!
//! Which are watched is left to chance, for what a program does has patterns: of two leases that each request takes, every
//! second one would always be the same.

use crate::clock::Tick;
use crate::lru::{Links, List, Node};
use crate::slots::{List as _, Storage};
use core::panic::Location;

/// When to look, and when to tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampling {
    /// One lease in so many, on average.
    one_in: u32,
    /// Ticks of the clock after which a lease counts as leaked.
    after: u64,
    /// Where chance begins.
    seed: Option<u32>,
}

impl Sampling {
    pub(super) fn new(one_in: u32, after: u64) -> Self {
        Self { one_in: one_in.max(1), after, seed: None }
    }

    /// The same, where chance begins there, unless it was said where.
    pub(super) fn seeded(self, seed: u32) -> Self {
        Self { seed: self.seed.or(Some(seed)), ..self }
    }
}

/// What is known of a slot's lease.
struct Sample {
    /// In the list, until somebody was told.
    links: Links,
    since: Tick,
    /// Where it was leased; `None` if it is not watched.
    site: Option<&'static Location<'static>>,
    told: bool,
}

impl Node<0> for Sample {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
}

/// A lease that is out for too long.
#[derive(Clone, Copy)]
pub(super) struct Overdue {
    pub(super) slot: u32,
    pub(super) since: Tick,
    pub(super) site: &'static Location<'static>,
}

pub(super) struct Watch<S: Storage> {
    samples: S::List<Sample>,
    /// Those that are watched and that nobody was told of.
    untold: List<0>,
    /// Leases until the next that is watched; `None` before the first.
    countdown: Option<u32>,
    chance: u32,
}

impl<S: Storage> Default for Watch<S> {
    fn default() -> Self {
        Self { samples: S::List::default(), untold: List::EMPTY, countdown: None, chance: 0x9e37_79b9 }
    }
}

impl<S: Storage> Watch<S> {
    /// Makes room for a slot, so that no hit has to.
    pub(super) fn reach(&mut self, slot: u32) {
        while self.samples.len() <= slot as usize {
            let none = Sample { links: Links::UNLINKED, since: Tick(0), site: None, told: false };
            if self.samples.append(none).is_err() {
                return;
            }
        }
    }

    /// A slot was leased, at `site`.
    pub(super) fn leased(
        &mut self,
        sampling: Sampling,
        slot: u32,
        since: Tick,
        site: &'static Location<'static>,
    ) {
        // Only for a new object.
        self.reach(slot);
        let before = match self.countdown {
            Some(before) => before,
            // The first as likely as any other, also in a program of pools that end after a few.
            None => {
                self.chance ^= sampling.seed.unwrap_or_default();
                self.draw(1, since);
                self.draw(sampling.one_in.into(), since)
            }
        };
        if let Some(fewer) = before.checked_sub(1) {
            self.countdown = Some(fewer);
            return;
        }
        // From none to twice as many as would make it each of so many.
        self.countdown = Some(self.draw(2 * u64::from(sampling.one_in) - 1, since));
        if let Some(sample) = self.samples.get_mut(slot as usize) {
            (sample.since, sample.site, sample.told) = (since, Some(site), false);
            self.untold.push_newest(&mut self.samples, slot);
        }
    }

    /// A number below that one, which is at most 2^33, each as likely as another. By the time as well, lest a program that does
    /// the same each time it runs is always watched at the same places.
    fn draw(&mut self, below: u64, since: Tick) -> u32 {
        // Marsaglia's xorshift, which must not be 0.
        let mut x = (self.chance ^ since.0 as u32).max(1);
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        self.chance = x;
        ((u64::from(x) * below) >> 32) as u32
    }

    /// A slot is no longer leased; what was told of it, if anything was.
    pub(super) fn ended(&mut self, slot: u32) -> Option<Overdue> {
        let sample = self.samples.get_mut(slot as usize)?;
        let site = sample.site.take()?;
        if sample.told {
            return Some(Overdue { slot, since: sample.since, site });
        }
        self.untold.unlink(&mut self.samples, slot);
        None
    }

    /// The lease that has been out for longest of those that nobody was told of, if that is longer than it may be.
    pub(super) fn overdue(&self, sampling: Sampling, now: Tick) -> Option<Overdue> {
        let slot = self.untold.oldest()?;
        let &Sample { since, site, .. } = self.samples.get(slot as usize)?;
        let overdue = now.since(since) > sampling.after;
        site.filter(|_| overdue).map(|site| Overdue { slot, since, site })
    }

    /// Somebody is told of it now.
    pub(super) fn tell(&mut self, slot: u32) {
        if let Some(sample) = self.samples.get_mut(slot as usize) {
            sample.told = true;
            self.untold.unlink(&mut self.samples, slot);
        }
    }
}
