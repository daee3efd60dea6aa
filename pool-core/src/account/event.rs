//! What an account says when a bound is crossed: [`AccountEvent`], [`Pressure`].

use super::Account;
use super::mode::{Mode, Shared};
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
