//! The tree below an account as text and as a snapshot: [`AccountSnapshot`].

use super::ledger::Ledger;
use super::mode::Mode;
use super::{Account, AccountRef};
use crate::bytes::Bytes;
use crate::numbered::{Numbered, in_turn};
use crate::sync::{Arc, Ordering::Relaxed, Weak};
use alloc::{
    string::String,
    vec::{self, Vec},
};
use core::{fmt, mem};

/// How many consumers a refusal names.
const NAMED: usize = 3;
/// Levels by which lines are indented: an endless chain makes no text that grows by the square of its length.
const DEEPEST: usize = 100;

/// What an account and those below it hold, at one moment. Each number is exact by itself; while other threads
/// charge, numbers of different accounts may be of slightly different moments.
///
/// It is taken, printed and dropped without recursion, however deep the tree is. To clone and to compare it, `Debug` and
/// `serde` take a stack as deep as the tree.
///
/// [`Display`](fmt::Display) prints the tree, an account a line, names as they are (one with a line break breaks its line):
///
/// ```
/// use pool_core::Account;
///
/// let server = Account::new("server", 64 << 20);
/// let audio = Account::builder("audio").parent(&server).soft_limit(8 << 20).build();
/// let web = Account::builder("web").parent(&server).build();
/// let claims = (audio.try_reserve(3 << 20)?, web.charge_external(1 << 20)?);
/// assert_eq!(
///     server.snapshot().to_string(),
///     "server  4.00 MiB, external 1.00 MiB, peak 4.00 MiB, hard limit 64.00 MiB
///   audio  3.00 MiB, peak 3.00 MiB, soft limit 8.00 MiB
///   web  1.00 MiB, external 1.00 MiB, peak 1.00 MiB
/// "
/// );
/// # Ok::<(), pool_core::OverBudget>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct AccountSnapshot {
    /// Its name.
    pub name: String,
    /// Bytes in use, those of the accounts below among them.
    pub used: usize,
    /// Of those: bytes that were charged as external.
    pub external: usize,
    /// Bytes lent to credits and not used, in addition.
    pub lent: usize,
    /// Most bytes in use since the peak was reset.
    pub peak: usize,
    /// Most bytes ever in use.
    pub lifetime_peak: usize,
    /// The bytes that no charge passes, if there is such a limit.
    pub hard_limit: Option<usize>,
    /// The bytes above which it is under pressure, if there is such a limit.
    pub soft_limit: Option<usize>,
    /// Bytes in use above the hard limit.
    pub overcommitted: usize,
    /// Whether the soft limit was crossed and the low watermark not reached again.
    pub over_soft_limit: bool,
    /// The accounts directly below that are on the heap and alive, those that use most first. An account lives as long as anybody
    /// has it, an [`OverBudget`](crate::OverBudget) that names it included.
    pub children: Vec<AccountSnapshot>,
}

impl<M: Mode> Account<M> {
    /// What this account and those below it hold. O(accounts below); allocates.
    #[must_use]
    pub fn snapshot(&self) -> AccountSnapshot {
        self.ledger().snapshot()
    }
}

impl AccountRef {
    /// What the account and those below it hold; see [`Account::snapshot`].
    #[must_use]
    pub fn snapshot(&self) -> AccountSnapshot {
        self.ledger().snapshot()
    }
}

impl Ledger {
    /// The ledgers directly below that are alive.
    fn children(&self) -> impl Iterator<Item = Arc<Self>> {
        let next = |after| {
            let next = |children: &mut Numbered<Weak<Self>>| {
                children.after(after).next().map(|(number, child)| (number, child.clone()))
            };
            self.children.with(next)
        };
        in_turn(next).filter_map(|child| child.upgrade())
    }

    fn snapshot(&self) -> AccountSnapshot {
        // An account whose children are being read, and those of them that are not read yet. A list and no recursion: a tree
        // may be deep.
        type Open = (AccountSnapshot, vec::IntoIter<Arc<Ledger>>);
        fn open(ledger: &Ledger) -> Open {
            (ledger.snapshot_alone(), ledger.children().collect::<Vec<_>>().into_iter())
        }
        let mut above: Vec<Open> = Vec::new();
        let (mut snapshot, mut children) = open(self);
        loop {
            if let Some(child) = children.next() {
                above.push((snapshot, children));
                (snapshot, children) = open(&child);
                continue;
            }
            let by_use = |one: &AccountSnapshot, other: &AccountSnapshot| other.used.cmp(&one.used);
            snapshot
                .children
                .sort_by(|one, other| by_use(one, other).then_with(|| one.name.cmp(&other.name)));
            let Some((mut parent, rest)) = above.pop() else { return snapshot };
            parent.children.push(snapshot);
            (snapshot, children) = (parent, rest);
        }
    }

    /// A snapshot without those below.
    fn snapshot_alone(&self) -> AccountSnapshot {
        let limit = |bytes: usize| (bytes != usize::MAX).then_some(bytes);
        let used = self.in_use();
        let hard_limit = self.hard_limit.load(Relaxed);
        AccountSnapshot {
            name: self.name().into(),
            used,
            external: self.external.load(Relaxed),
            lent: self.used.load(Relaxed).saturating_sub(used),
            peak: self.peak.load(Relaxed),
            lifetime_peak: self.lifetime_peak(),
            hard_limit: limit(hard_limit),
            soft_limit: limit(self.soft_limit.load(Relaxed)),
            overcommitted: used.saturating_sub(hard_limit),
            over_soft_limit: self.over_soft.load(Relaxed),
            children: Vec::new(),
        }
    }

    /// The children that use most, if any use something; the first is the largest.
    pub(crate) fn largest_children(&self) -> [Option<Arc<Self>>; NAMED] {
        let mut largest: [Option<Arc<Self>>; NAMED] = [const { None }; NAMED];
        let used = |child: &Option<Arc<Self>>| child.as_ref().map_or(0, |child| child.in_use());
        for child in self.children() {
            let mut child = Some(child);
            for place in &mut largest {
                if used(&child) > used(place) {
                    mem::swap(&mut child, place);
                }
            }
        }
        largest
    }
}

/// Those below end one after the other and not each inside the one above: a tree may be deep.
impl Drop for AccountSnapshot {
    fn drop(&mut self) {
        let mut rest = mem::take(&mut self.children);
        while let Some(mut next) = rest.pop() {
            rest.append(&mut next.children);
        }
    }
}

impl AccountSnapshot {
    fn fmt_line(&self, depth: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indent = 2 * depth.min(DEEPEST);
        write!(f, "{:indent$}{}  {}", "", self.name, Bytes(self.used))?;
        let amounts = [
            ("external", self.external),
            ("lent", self.lent),
            ("over the limit by", self.overcommitted),
            ("peak", self.peak),
        ];
        for (what, bytes) in amounts.into_iter().filter(|&(_, bytes)| bytes > 0) {
            write!(f, ", {what} {}", Bytes(bytes))?;
        }
        for (what, bytes) in [("hard limit", self.hard_limit), ("soft limit", self.soft_limit)] {
            if let Some(bytes) = bytes {
                write!(f, ", {what} {}", Bytes(bytes))?;
            }
        }
        if self.over_soft_limit {
            f.write_str(", under pressure")?;
        }
        f.write_str("\n")
    }
}

/// A line for each account, indented by its depth; those below the hundredth level as that.
impl fmt::Display for AccountSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_line(0, f)?;
        // At each level those that are not printed yet.
        let mut rest = Vec::from([self.children.iter()]);
        while let Some(level) = rest.last_mut() {
            match level.next() {
                Some(child) => {
                    child.fmt_line(rest.len(), f)?;
                    rest.push(child.children.iter());
                }
                None => _ = rest.pop(),
            }
        }
        Ok(())
    }
}
