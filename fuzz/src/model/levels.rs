//! What a tree of accounts must do.

use pool_core::{AccountEventKind, Pressure};

/// An account and its history.
#[derive(Clone, Debug)]
pub struct Level {
    /// The account above, by its place in the list.
    pub parent: Option<usize>,
    /// No charge passes this.
    pub hard: usize,
    /// Above this is pressure.
    pub soft: usize,
    /// Bytes in use.
    pub used: usize,
    /// Of those: external.
    pub external: usize,
    /// Most in use since the last reset.
    pub peak: usize,
    /// Most ever in use.
    pub lifetime_peak: usize,
    /// Whether `soft` was passed, and `low` not yet reached again.
    pub over_soft: bool,
}

impl Level {
    fn low(&self) -> usize {
        self.soft - self.soft / 8
    }

    /// Bytes above the hard limit.
    #[must_use]
    pub fn over(&self) -> usize {
        self.used.saturating_sub(self.hard)
    }
}

/// A refusal for want of bytes, with all its numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names of `OverBudget`")]
pub struct OverBudget {
    pub level: usize,
    pub requested: usize,
    pub used: usize,
    pub limit: usize,
    pub free: usize,
    pub evictable: Option<usize>,
}

/// A tree of accounts. Where an account is asked for, `None` is that of a pool that has none.
pub struct Levels {
    /// The accounts, in the order of the driver's.
    pub all: Vec<Level>,
    /// Crossings of soft limits, in order: account, which way, bytes in use.
    pub events: Vec<(usize, AccountEventKind, usize)>,
}

impl Levels {
    /// Accounts of these hard and soft limits, and with these above them.
    pub(crate) fn new(limits: &[(usize, usize, Option<usize>)]) -> Self {
        let level = |&(hard, soft, parent): &(usize, usize, Option<usize>)| Level {
            parent,
            hard,
            soft,
            used: 0,
            external: 0,
            peak: 0,
            lifetime_peak: 0,
            over_soft: false,
        };
        Self { all: limits.iter().map(level).collect(), events: Vec::new() }
    }

    /// An account and those above it.
    pub(crate) fn path(&self, from: Option<usize>) -> Vec<usize> {
        std::iter::successors(from, |&at| self.all[at].parent).collect()
    }

    /// Raises the events of an account.
    pub(crate) fn watch(&mut self, at: usize) {
        let level = &mut self.all[at];
        let kind = if level.used > level.soft && !level.over_soft {
            AccountEventKind::OverSoftLimit
        } else if level.used <= level.low() && level.over_soft {
            AccountEventKind::BackToLow
        } else {
            return;
        };
        level.over_soft = !level.over_soft;
        self.events.push((at, kind, level.used));
    }

    /// Charges the account `from` and those above it, or none.
    pub(crate) fn charge(
        &mut self,
        from: Option<usize>,
        bytes: usize,
        external: bool,
    ) -> Result<(), OverBudget> {
        let path = self.path(from);
        let refuses = |&&at: &&usize| !external && self.all[at].used + bytes > self.all[at].hard;
        if let Some(&at) = path.iter().find(refuses) {
            return Err(self.refusal(at, bytes, None));
        }
        for &at in &path {
            let level = &mut self.all[at];
            level.used += bytes;
            level.external += if external { bytes } else { 0 };
            level.peak = level.peak.max(level.used);
            level.lifetime_peak = level.lifetime_peak.max(level.used);
        }
        path.into_iter().for_each(|at| self.watch(at));
        Ok(())
    }

    pub(crate) fn uncharge(&mut self, from: Option<usize>, bytes: usize, external: bool) {
        let path = self.path(from);
        for &at in &path {
            self.all[at].used -= bytes;
            self.all[at].external -= if external { bytes } else { 0 };
        }
        path.into_iter().for_each(|at| self.watch(at));
    }

    pub(crate) fn refusal(&self, at: usize, requested: usize, evictable: Option<usize>) -> OverBudget {
        let level = &self.all[at];
        OverBudget {
            level: at,
            requested,
            used: level.used,
            limit: level.hard,
            free: level.hard.saturating_sub(level.used),
            evictable,
        }
    }

    /// The accounts that are short of bytes for holding `total` in place of the `held` that are charged already, and of how
    /// many, the lowest first.
    pub(crate) fn short(&self, from: Option<usize>, held: usize, total: usize) -> Vec<(usize, usize)> {
        let short = |at: usize| (self.all[at].used - held + total).saturating_sub(self.all[at].hard);
        self.path(from).into_iter().map(|at| (at, short(at))).filter(|&(_, short)| short > 0).collect()
    }

    /// Of these the one that is short of the most; the highest if several are.
    pub(crate) fn tightest(&self, from: Option<usize>, held: usize, total: usize) -> Option<(usize, usize)> {
        self.short(from, held, total).into_iter().max_by_key(|&(_, short)| short)
    }

    pub(crate) fn refusal_beyond(
        &self,
        at: usize,
        held: usize,
        total: usize,
        evictable: Option<usize>,
    ) -> OverBudget {
        let mut refusal = self.refusal(at, total, evictable);
        refusal.used -= held;
        refusal.free = refusal.limit.saturating_sub(refusal.used);
        refusal
    }

    /// How hard a trim should try.
    pub(crate) fn pressure(&self, from: Option<usize>) -> Pressure {
        let path = self.path(from);
        if path.iter().any(|&at| self.all[at].over() > 0) {
            Pressure::Critical
        } else if path.iter().any(|&at| self.all[at].over_soft) {
            Pressure::Moderate
        } else {
            Pressure::None
        }
    }

    /// Whether an account whose soft limit was passed is not yet at its low watermark.
    pub(crate) fn above_low(&self, from: Option<usize>) -> bool {
        self.path(from).into_iter().any(|at| self.all[at].over_soft && self.all[at].used > self.all[at].low())
    }
}
