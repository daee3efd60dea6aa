//! What an account says when a bound is crossed, and when: [`AccountEvent`], [`Pressure`].

use super::Account;
use super::mode::{Mode, Shared};
use crate::sync::Ordering::Relaxed;
use crate::unwind::shielded;
#[cfg(feature = "alloc")]
use alloc::boxed::Box;

/// How hard a trim should try.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Pressure {
    /// There is room.
    None,
    /// Over a soft limit: trim what has not been needed lately.
    Moderate,
    /// Over a hard limit: drop everything idle.
    Critical,
}

/// A bound was crossed.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct AccountEvent<M: Mode = Shared> {
    /// The account whose bound it is.
    pub account: Account<M>,
    /// Which bound, and which way.
    pub kind: AccountEventKind,
    /// Bytes in use just after.
    pub used: usize,
    /// The soft limit in bytes.
    pub soft_limit: usize,
}

/// Which bound an account crossed, and which way. Each is raised once; between the two nothing is raised again.
///
/// Of the hard limit there is none: no charge passes it, and who is refused has the error. What external bytes or a lowered limit
/// leave above it is [`Account::overcommitted`] and [`Pressure::Critical`], which maintenance tells the observers of pools.
///
/// Where several threads charge, a crossing is raised by one of those that charge, give back or change a bound at that moment,
/// and two threads may be heard in either order; one that was taken back meanwhile may be raised with its opposite, or not. A
/// handler that has to know how things are asks [`Account::pressure`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum AccountEventKind {
    /// Above the soft limit.
    OverSoftLimit,
    /// Back at the low watermark or below.
    BackToLow,
}

/// Who hears of crossings.
pub enum Handler<M: Mode> {
    Plain(fn(&AccountEvent<M>)),
    #[cfg(feature = "alloc")]
    Boxed(Box<M::Handler>),
}

impl<M: Mode> Handler<M> {
    /// Lets it hear of the event.
    pub(crate) fn call(&self, event: &AccountEvent<M>) {
        // Bytes that go because of a panic may bring an edge, too.
        shielded(|| match self {
            Self::Plain(handler) => handler(event),
            #[cfg(feature = "alloc")]
            Self::Boxed(handler) => M::call(handler, event),
        });
    }
}

impl<M: Mode> Account<M> {
    /// Raises the events that a charge brings. After the charge, and once somebody owns it: a handler may panic.
    #[cold]
    pub(crate) fn watch(&self) {
        match self.tree() {
            None => self.watch_level(),
            Some(tree) => (tree.watch)(self),
        }
    }

    /// Raises the event if the soft limit has been crossed upward or the low watermark downward since the last.
    ///
    /// Who charges or gives back changes what is used and then looks at the flag. So this looks again at what is used after
    /// it has changed the flag: one of the two sees what the other did, and nobody rests beyond a bound that nobody raised.
    pub(super) fn watch_level(&self) {
        /// Looks again, also if a handler panics: what others did meanwhile they leave to who changed the flag.
        struct Again<'a, M: Mode>(&'a Account<M>);
        impl<M: Mode> Again<'_, M> {
            fn watch(&self) {
                while let Some(event) = self.0.next_edge() {
                    if let Some(handler) = M::handler(&self.0.0) {
                        handler.call(&event);
                    }
                }
            }
        }
        impl<M: Mode> Drop for Again<'_, M> {
            fn drop(&mut self) {
                self.watch();
            }
        }
        let again = Again(self);
        again.watch();
        // Nothing is due any more.
        core::mem::forget(again);
    }

    /// The edge that is due, if one is. It is no more once it was told.
    fn next_edge(&self) -> Option<AccountEvent<M>> {
        let (ledger, soft_limit) = (self.ledger(), self.soft_limit());
        let used = M::settled(ledger);
        let over = ledger.over_soft.load(Relaxed);
        #[cfg(feature = "alloc")]
        let used = match M::as_shared(self) {
            // What is lent is not in use, so it crosses nothing; and nobody charges, on credit or not, above the limit.
            Some(account) if account.lends() && (used > soft_limit && !over || used > self.hard_limit()) => {
                account.recall_all();
                ledger.used.load(Relaxed)
            }
            _ => used,
        };
        let kind = if used > soft_limit && !over && M::flip(&ledger.over_soft, true) {
            AccountEventKind::OverSoftLimit
        } else if over && used <= self.low_watermark() && M::flip(&ledger.over_soft, false) {
            self.doubt();
            AccountEventKind::BackToLow
        } else {
            return None;
        };
        Some(AccountEvent { account: self.clone(), kind, used, soft_limit })
    }
}
