//! The goals, and whether they are met: computed from the medians of this run.

use crate::measure::Times;
use crate::report::Measured;
use crate::workloads::memory::Memory;
use crate::workloads::{Kind, burst, cost, hand_over, keyed, pair, threads, zeroed};
use anyhow::{Context, Result};

/// A figure that must not be larger than its goal.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// What is compared.
    pub(crate) row: String,
    /// What the figure is: times something, bytes.
    pub(crate) unit: String,
    pub(crate) goal: f64,
    pub(crate) measured: f64,
    /// Whether a miss makes the run fail. What is only shown belongs to work still to be done.
    pub(crate) judged: bool,
    /// Whether other programs disturbed too many rounds to tell.
    pub(crate) disturbed: bool,
}

impl Target {
    pub(crate) fn met(&self) -> bool {
        self.measured <= self.goal
    }

    /// Whether it is worse than its goal by more than other work on the machine explains.
    pub(crate) fn fails(&self, tolerance: f64) -> bool {
        let met = self.measured <= self.goal * tolerance;
        // On a machine that is known to have other work, what cannot be told is no miss.
        let untold = self.disturbed && tolerance > 1.0;
        // Not `measured > goal`: what is no number is no success.
        self.judged && !met && !untold
    }
}

/// Judges a run.
struct Judge<'m> {
    measured: &'m [Measured],
    targets: Vec<Target>,
}

impl Judge<'_> {
    fn workload(&self, slug: &str) -> Result<&Measured> {
        let found = self.measured.iter().find(|measured| measured.slug == slug);
        found.with_context(|| format!("`{slug}` was not measured"))
    }

    fn times(&self, slug: &str, name: &str) -> Result<&Times> {
        let rows = &self.workload(slug)?.rows;
        let found = rows.iter().find(|row| row.name == name);
        Ok(&found.with_context(|| format!("`{slug}` has no `{name}`"))?.times)
    }

    /// The fastest of a kind, by name.
    fn best(&self, slug: &str, kinds: &[Kind]) -> Result<&'static str> {
        let rows = self.workload(slug)?.rows.iter().filter(|row| kinds.contains(&row.kind));
        let best = rows.min_by(|one, other| one.times.median.total_cmp(&other.times.median));
        Ok(best.with_context(|| format!("`{slug}` has no such peer"))?.name)
    }

    /// One may take at most so many times as long as the other.
    fn ratio(&mut self, slug: &str, name: &str, than: &str, goal: f64, judged: bool) -> Result<()> {
        let (one, other) = (self.times(slug, name)?, self.times(slug, than)?);
        let (measured, disturbed) = (one.median / other.median, one.disturbed || other.disturbed);
        let row = format!("{}: {name}", self.workload(slug)?.title);
        self.targets.push(Target { row, unit: format!("x {than}"), goal, measured, judged, disturbed });
        Ok(())
    }

    /// The others may take at most so many times as long as the first.
    fn flat(&mut self, slug: &str, pool: &str, names: &[&str], goal: f64) -> Result<()> {
        let (first, others) = names.split_first().context("nothing to compare")?;
        let first_times = *self.times(slug, first)?;
        let (mut measured, mut disturbed) = (0.0_f64, first_times.disturbed);
        for name in others {
            let times = self.times(slug, name)?;
            measured = measured.max(times.median / first_times.median);
            disturbed |= times.disturbed;
        }
        let row = format!("{}: {pool}, the worst", self.workload(slug)?.title);
        self.targets.push(Target {
            row,
            unit: format!("x {first}"),
            goal,
            measured,
            judged: true,
            disturbed,
        });
        Ok(())
    }

    /// A count may not be larger.
    fn count(&mut self, slug: &str, fact: &str, goal: usize) -> Result<()> {
        let workload = self.workload(slug)?;
        let found = workload.facts.iter().find(|(name, _)| *name == fact);
        let measured = found.with_context(|| format!("`{slug}` did not count `{fact}`"))?.1;
        let row = format!("{}: {fact}", workload.title);
        self.targets.push(Target {
            row,
            unit: "objects".into(),
            goal: goal as f64,
            measured,
            judged: true,
            disturbed: false,
        });
        Ok(())
    }

    /// So many bytes beside each object, where the pool's own few do not count for much.
    fn memory(&mut self, memory: &[Memory], pool: &str, goal: f64) {
        let many = memory.iter().filter(|memory| memory.pool == pool && memory.objects >= 1_000);
        let measured = many.map(|memory| memory.per_slot).fold(f64::NAN, f64::max);
        let row = format!("Memory from 1 000 objects on: {pool}, the worst");
        self.targets.push(Target {
            row,
            unit: "bytes per slot".into(),
            goal,
            measured,
            judged: true,
            disturbed: false,
        });
    }
}

/// Every goal that the shared and local pools have, and those of the keyed pool as far as they are measured here.
pub(crate) fn judge(measured: &[Measured], memory: &[Memory]) -> Result<Vec<Target>> {
    let mut judge = Judge { measured, targets: Vec::new() };

    let best = judge.best(pair::PRIVATE, &[Kind::Peer])?;
    for pool in ["Cache", "LocalPool"] {
        judge.ratio(pair::PRIVATE, pool, "Vec in a RefCell", 1.1, true)?;
        judge.ratio(pair::PRIVATE, pool, best, 0.5, true)?;
    }
    judge.ratio(pair::SHARED, "SharedPool, no caches", "ArrayQueue", 0.6, true)?;
    judge.ratio(pair::SHARED, "SharedPool", "ArrayQueue", 0.3, true)?;

    for pool in ["Cache", "LocalPool"] {
        judge.ratio(burst::SLUG, pool, "Vec in a RefCell", 1.0, true)?;
    }
    for pool in ["SharedPool", "SharedPool, no caches"] {
        judge.ratio(burst::SLUG, pool, "lockfree linear", 0.5, true)?;
    }

    for (pool, alone) in [("Cache", "Cache, alone"), ("SharedPool", "SharedPool, alone")] {
        judge.ratio(threads::SLUG, pool, alone, 1.5, true)?;
        judge.ratio(threads::SLUG, pool, "sharded-slab", 0.2, true)?;
    }

    for (slug, goal) in [(hand_over::SINGLY, 1.0), (hand_over::BATCHES, 0.3)] {
        let best = judge.best(slug, &[Kind::Peer, Kind::Fresh])?;
        for pool in ["Cache", "SharedPool"] {
            judge.ratio(slug, pool, best, goal, true)?;
        }
        for created in [hand_over::CREATED_CACHE, hand_over::CREATED, hand_over::CREATED_BARE] {
            judge.count(slug, created, hand_over::ENOUGH)?;
        }
    }

    judge.ratio(zeroed::SLUG, "LocalPool", "memset, no pool", 1.3, true)?;
    judge.ratio(zeroed::SLUG, "Cache", "memset, no pool", 1.3, true)?;
    for (pool, rows) in [
        ("LocalPool", cost::LOCAL),
        ("Cache", cost::STASH),
        ("SharedPool", cost::SHARED),
        ("SharedPool, no caches", cost::BARE),
    ] {
        judge.flat(cost::OBJECTS, pool, &rows.map(|(name, _)| name), 1.3)?;
    }
    judge.flat(cost::KEYS, "KeyedPool", &cost::KEYED.map(|(name, _)| name), 1.3)?;
    for pool in ["LocalPool", "SharedPool", "StaticPool"] {
        judge.memory(memory, pool, 16.0);
    }

    // Shown, and not judged: the goals of the keyed pool are work of their own.
    for (slug, goal) in [(keyed::HITS, 0.8), (keyed::EVICTING, 0.9)] {
        let best = judge.best(slug, &[Kind::Peer])?;
        judge.ratio(slug, "KeyedPool", best, goal, false)?;
    }
    Ok(judge.targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a goal that a missing figure meets.
    #[test]
    fn what_was_not_measured_is_not_met() {
        let target = |measured| Target {
            row: "row".into(),
            unit: "x".into(),
            goal: 1.0,
            measured,
            judged: true,
            disturbed: false,
        };
        assert!(target(1.0).met() && !target(1.0).fails(1.0));
        assert!(!target(1.2).met() && target(1.2).fails(1.0) && !target(1.2).fails(1.5));
        assert!(!target(f64::NAN).met() && target(f64::NAN).fails(1.5));
        let untold = Target { disturbed: true, ..target(2.0) };
        assert!(untold.fails(1.0) && !untold.fails(1.5));
    }
}
