//! What is done with the pools; a file each.

pub(crate) mod account;
pub(crate) mod audio;
pub(crate) mod burst;
pub(crate) mod cost;
pub(crate) mod hand_over;
pub(crate) mod keyed;
pub(crate) mod memory;
pub(crate) mod pair;
pub(crate) mod threads;
pub(crate) mod zeroed;

use crate::lap::Lap;
use crate::source::{self, Source};

/// One kind of work, done by each contender.
pub struct Workload {
    /// For file names and look-ups.
    pub slug: &'static str,
    /// What is done, for people.
    pub title: &'static str,
    /// What the figure is per.
    pub per: &'static str,
    /// More about it, in a sentence.
    pub note: &'static str,
    /// Who does it.
    pub contenders: Vec<Contender>,
    /// What is to be asked when the rounds are over: counts by name.
    pub facts: Option<Facts>,
}

/// Asks a workload's pools for counts.
pub type Facts = Box<dyn FnOnce() -> Vec<(&'static str, f64)>>;

/// Who works.
pub struct Contender {
    /// Its name.
    pub name: &'static str,
    /// The package it is from, if any.
    pub package: Option<&'static str>,
    /// In what relation it stands to the pools.
    pub kind: Kind,
    /// One round.
    pub run: Run,
}

/// In what relation a contender stands to the pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One of ours.
    Ours,
    /// From the registry, keeps objects alive.
    Peer,
    /// Keeps nothing alive between two uses: an allocator, storage by index.
    Fresh,
    /// Written by hand: what cannot be passed by much.
    Floor,
}

/// A round of so many operations.
pub enum Run {
    /// On this thread, by itself.
    Here(Box<dyn FnMut(usize)>),
    /// On threads of its own; tells the time.
    Threads(Box<dyn FnMut(usize) -> Lap>),
}

impl Contender {
    /// One that works on the thread that measures.
    pub(crate) fn here(name: &'static str, kind: Kind, run: impl FnMut(usize) + 'static) -> Self {
        Self { name, package: None, kind, run: Run::Here(Box::new(run)) }
    }

    /// One that starts threads and tells how long they took.
    pub(crate) fn threads(name: &'static str, kind: Kind, run: impl FnMut(usize) -> Lap + 'static) -> Self {
        Self { name, package: None, kind, run: Run::Threads(Box::new(run)) }
    }

    /// From a package of the registry, or ours.
    pub(crate) fn of(self, package: &'static str) -> Self {
        Self { package: Some(package), ..self }
    }

    /// Pairs with this pool.
    fn pairs(name: &'static str, kind: Kind, pool: impl Source + 'static) -> Self {
        Self::here(name, kind, move |operations| source::pairs(&pool, operations))
    }

    /// Bursts with this pool.
    fn bursts(name: &'static str, kind: Kind, pool: impl Source + 'static) -> Self {
        Self::here(name, kind, move |operations| source::bursts(&pool, operations))
    }
}

/// All workloads by slug, each made when it is its turn.
pub const ALL: &[(&str, fn() -> Workload)] = &[
    (pair::PRIVATE, pair::private),
    (pair::SHARED, pair::shared),
    (burst::SLUG, burst::workload),
    (threads::SLUG, threads::workload),
    (hand_over::SINGLY, hand_over::singly),
    (hand_over::BATCHES, hand_over::batches),
    (zeroed::SLUG, zeroed::workload),
    (cost::OBJECTS, cost::by_objects),
    (cost::KEYS, cost::by_keys),
    (cost::EVICTIONS, cost::of_evictions),
    (cost::POOLS, cost::by_pools),
    (keyed::HITS, keyed::hits),
    (keyed::EVICTING, keyed::evicting),
    (account::ALONE, account::alone),
    (account::THREADS, account::threads),
    (account::REFUSED, account::refusals),
    (audio::QUANTUM, audio::quantum),
    (audio::PROFILER, audio::profiler),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches, before the end of a long run: a contender that panics or hangs, a package whose name is misspelt and so
    /// has no version.
    #[test]
    fn every_contender_works() {
        for (slug, make) in ALL {
            let mut workload = make();
            assert_eq!(*slug, workload.slug);
            for contender in &mut workload.contenders {
                if let Some(package) = contender.package {
                    assert!(crate::versions::version_of(package).is_some(), "{slug}: {package}");
                }
                match &mut contender.run {
                    Run::Here(run) => run(640),
                    Run::Threads(run) => assert!(!run(640).time.is_zero(), "{slug}: {}", contender.name),
                }
            }
        }
    }
}
