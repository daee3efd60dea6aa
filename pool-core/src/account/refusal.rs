//! Why a charge failed: [`OverBudget`], and which account it was.

use super::Account;
use super::ledger::Ledger;
use super::mode::{Full, Mode, Shared, SharedHandle};
use crate::bytes::Bytes;
use core::fmt;
use core::mem::ManuallyDrop;

/// Which account it is, whoever may charge it: to be named, compared and read, on any thread, but not charged.
///
/// Cheap to clone; keeps the account's counts readable, even after the last [`Account`] of it is gone.
#[derive(Clone)]
pub struct AccountRef(ManuallyDrop<SharedHandle>);

impl AccountRef {
    pub(crate) fn new(handle: SharedHandle) -> Self {
        Self(ManuallyDrop::new(handle))
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.0
    }

    /// The name it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        self.ledger().name()
    }

    /// Bytes in use, as [`Account::used`].
    #[must_use]
    pub fn used(&self) -> usize {
        self.ledger().in_use()
    }
}

/// By value, as of [`Account`] and for the same reason.
#[cfg(feature = "alloc")]
impl Drop for AccountRef {
    #[inline(always)]
    fn drop(&mut self) {
        #[inline(never)]
        fn drop_handle(_: SharedHandle) {}
        // SAFETY: this is being dropped, so nobody uses the handle again.
        drop_handle(unsafe { ManuallyDrop::take(&mut self.0) });
    }
}

impl PartialEq for AccountRef {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self.ledger(), other.ledger())
    }
}

impl Eq for AccountRef {}

impl<M: Mode> PartialEq<Account<M>> for AccountRef {
    fn eq(&self, other: &Account<M>) -> bool {
        core::ptr::eq(self.ledger(), other.ledger())
    }
}

impl<M: Mode> PartialEq<AccountRef> for Account<M> {
    fn eq(&self, other: &AccountRef) -> bool {
        other == self
    }
}

/// As of the [`Account`].
impl fmt::Debug for AccountRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ledger().fmt_line(f)
    }
}

/// A charge was refused; nothing was changed by it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OverBudget {
    /// The account that refused: the one asked, or one above it.
    pub account: AccountRef,
    /// Bytes asked for: of a pool, those of the whole object.
    pub requested: usize,
    /// Bytes that were in use, for other things than what was asked for.
    pub used: usize,
    /// Its hard limit in bytes.
    pub limit: usize,
    /// Bytes that were free.
    pub free: usize,
    /// Bytes of idle objects that could have been evicted in addition: of the pool that asked, and of those at or
    /// below the account that give back to one another. What a local tree below a shared account has idle does not count:
    /// nobody but its thread can evict it.
    ///
    /// `None` if nobody counted, as what asked evicts nothing: a reservation, or `prewarm` of a pool whose `prewarm` does not.
    /// `Account::make_room` counts.
    pub evictable: Option<usize>,
}

/// `account "audio" refused 2.00 MiB (2097152 bytes): 3.00 MiB of 4.00 MiB in use, 1.00 MiB free, 0 B evictable`,
/// the last if it was counted, and who has most of it at the time of printing, `; most by "voices" 2.00 MiB, "effects" 512.00 KiB`.
impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "account \"{}\" refused {} ({} bytes): {} of {} in use, {} free",
            self.account.name(),
            Bytes(self.requested),
            self.requested,
            Bytes(self.used),
            Bytes(self.limit),
            Bytes(self.free)
        )?;
        if let Some(evictable) = self.evictable {
            write!(f, ", {} evictable", Bytes(evictable))?;
        }
        #[cfg(feature = "alloc")]
        for (nth, child) in self.account.ledger().largest_children().iter().flatten().enumerate() {
            let before = if nth == 0 { "; most by" } else { "," };
            write!(f, "{before} \"{}\" {}", child.name(), Bytes(child.in_use()))?;
        }
        Ok(())
    }
}

impl fmt::Debug for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OverBudget({self})")
    }
}

impl core::error::Error for OverBudget {}

/// A charge that does not fit: what an [`OverBudget`] says, before anybody wants to keep it.
pub(crate) struct Shortfall<'a, M: Mode = Shared> {
    pub(crate) level: Level<'a, M>,
    pub(crate) requested: usize,
    pub(crate) used: usize,
    pub(crate) limit: usize,
    /// Whether an event may be due though the charge was refused.
    pub(crate) crossed: bool,
}

/// The account that is short.
pub(crate) enum Level<'a, M: Mode> {
    Here(&'a Account<M>),
    /// A shared one, above the top of a local tree.
    #[cfg(feature = "alloc")]
    Above(&'a Account<M>, &'a Account),
}

impl<M: Mode> Clone for Shortfall<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M: Mode> Copy for Shortfall<'_, M> {}

impl<M: Mode> Clone for Level<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M: Mode> Copy for Level<'_, M> {}

impl<'a, M: Mode> Shortfall<'a, M> {
    /// Of an account that has `used` bytes in use.
    pub(crate) fn at(account: &'a Account<M>, requested: usize, used: usize) -> Self {
        Self { level: Level::Here(account), requested, used, limit: account.hard_limit(), crossed: false }
    }

    /// Of an account that refused.
    pub(crate) fn of(account: &'a Account<M>, requested: usize, full: Full) -> Self {
        let Full { used, limit } = full;
        Self { level: Level::Here(account), requested, used, limit, crossed: false }
    }

    /// As seen from below the top of a local tree.
    #[cfg(feature = "alloc")]
    pub(crate) fn above(top: &'a Account<M>, shortfall: Shortfall<'a>) -> Self {
        let Shortfall { level, requested, used, limit, crossed } = shortfall;
        let (Level::Here(account) | Level::Above(_, account)) = level;
        Self { level: Level::Above(top, account), requested, used, limit, crossed }
    }

    /// The same, told of all that is asked for: `held` of it is charged already, and what is missing is refused.
    pub(crate) fn holding(self, held: usize) -> Self {
        let requested = self.requested.saturating_add(held);
        Self { requested, used: self.used.saturating_sub(held), ..self }
    }

    /// The bytes that are missing.
    pub(crate) fn bytes(&self) -> usize {
        // A sum that wraps is short by more than any limit.
        self.used.checked_add(self.requested).map_or(usize::MAX, |sum| sum.saturating_sub(self.limit))
    }

    /// The error of who asked this account; raises the events that are due there.
    pub(crate) fn refused_by(self, asked: &Account<M>) -> OverBudget {
        if self.crossed {
            asked.watch();
        }
        self.refused()
    }

    /// The error of who evicts nothing, and has not counted what others could.
    #[cold]
    #[inline(never)]
    pub(crate) fn refused(self) -> OverBudget {
        self.refusal(None)
    }

    pub(crate) fn refusal(self, evictable: impl Into<Option<usize>>) -> OverBudget {
        let evictable = evictable.into();
        let Self { level, requested, used, limit, crossed: _ } = self;
        let account = match level {
            Level::Here(account) => account.reference(),
            #[cfg(feature = "alloc")]
            Level::Above(_, account) => account.reference(),
        };
        OverBudget { account, requested, used, limit, free: limit.saturating_sub(used), evictable }
    }
}
