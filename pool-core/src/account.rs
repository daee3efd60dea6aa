//! Byte ledgers in a tree, and claims on them.
//!
//! # How a charge works
//!
//! ```text
//!            server  used 40 MiB / hard 64 MiB        3. add, refused? undo 2 and 1
//!              │
//!            audio   used 12 MiB / hard 16 MiB        2. add, refused? undo 1
//!              │
//!            voices  used  3 MiB / no limit           1. add
//!              ▲
//!          charge 4 KiB
//! ```
//!
//! Each level is one atomic counter. A charge walks from the leaf to the root with checked additions that never
//! take a level above its hard limit; when a level refuses, the levels below are undone. Only when all levels
//! have agreed are peaks recorded and events raised, so a refused charge leaves no trace.
//!
//! The counters publish nothing but themselves, therefore every access is relaxed: what happens before or after a
//! charge is ordered by whoever hands the charged object over.
//!
//! While one thread's charge is on its way to a refusal further up, another thread may see the lower levels with
//! that charge in: it can be refused although a moment later it would fit, and its own committed charge may record
//! a peak that includes the other's. Single-threaded use is exact in everything; in all use `used` and the limits are.

use crate::bytes::Bytes;
use crate::sync::counter::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use core::fmt;
use core::mem::{self, ManuallyDrop};

#[cfg(feature = "alloc")]
use crate::sync::Arc;
#[cfg(feature = "alloc")]
use alloc::{borrow::Cow, boxed::Box};

/// The level of an account tree at which bytes are counted: what an [`Account`] points to.
///
/// Programs with an allocator use `Account::new` and never see it. Without one, ledgers are statics:
///
/// ```
/// use pool_core::{Account, Ledger};
///
/// static RAM: Ledger = Ledger::new("ram", 4096);
/// static RADIO: Ledger = Ledger::child("radio", 1024, Account::from_static(&RAM));
///
/// let radio = Account::from_static(&RADIO);
/// let frame = radio.try_reserve(1000)?;
/// assert_eq!(RAM.account().used(), 1000);
/// assert_eq!(radio.try_reserve(100).unwrap_err().free, 24);
/// # drop(frame);
/// # Ok::<(), pool_core::OverBudget>(())
/// ```
pub struct Ledger {
    name: Name,
    parent: Option<Account>,
    used: AtomicUsize,
    external: AtomicUsize,
    peak: AtomicUsize,
    lifetime_peak: AtomicUsize,
    hard_limit: AtomicUsize,
    soft_limit: AtomicUsize,
    /// `usize::MAX` stands for 7/8 of the soft limit.
    low_watermark: AtomicUsize,
    /// Whether the soft limit was crossed and the low watermark not yet reached again.
    over_soft: AtomicBool,
    on_event: Option<Handler>,
}

#[cfg(feature = "alloc")]
type Name = Cow<'static, str>;
#[cfg(not(feature = "alloc"))]
type Name = &'static str;

enum Handler {
    Plain(fn(&AccountEvent)),
    #[cfg(feature = "alloc")]
    Boxed(Box<dyn Fn(&AccountEvent) + Send + Sync>),
}

impl Ledger {
    /// A root with a hard limit in bytes (`usize::MAX` for none), without soft limit.
    #[must_use]
    pub const fn new(name: &'static str, hard_limit: usize) -> Self {
        Self::with(name, None, hard_limit, usize::MAX, None)
    }

    /// A ledger below `parent`, with a hard limit of its own in bytes (`usize::MAX` for none).
    #[must_use]
    pub const fn child(name: &'static str, hard_limit: usize, parent: Account) -> Self {
        Self::with(name, Some(parent), hard_limit, usize::MAX, None)
    }

    /// A ledger with a soft limit, whose crossings `handler` hears of.
    #[must_use]
    pub const fn watched(
        name: &'static str,
        hard_limit: usize,
        soft_limit: usize,
        handler: fn(&AccountEvent),
        parent: Option<Account>,
    ) -> Self {
        Self::with(name, parent, hard_limit, soft_limit, Some(Handler::Plain(handler)))
    }

    const fn with(
        name: &'static str,
        parent: Option<Account>,
        hard_limit: usize,
        soft_limit: usize,
        on_event: Option<Handler>,
    ) -> Self {
        #[cfg(feature = "alloc")]
        let name = Cow::Borrowed(name);
        Self {
            name,
            parent,
            used: AtomicUsize::new(0),
            external: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            lifetime_peak: AtomicUsize::new(0),
            hard_limit: AtomicUsize::new(hard_limit),
            soft_limit: AtomicUsize::new(soft_limit),
            low_watermark: AtomicUsize::new(usize::MAX),
            over_soft: AtomicBool::new(false),
            on_event,
        }
    }

    /// The account of a ledger in a `static`.
    #[must_use]
    pub const fn account(&'static self) -> Account {
        Account::from_static(self)
    }

    /// Adds `bytes` unless that passes the hard limit or wraps; returns the use it refused at.
    fn add(&self, bytes: usize, bounded: bool) -> Result<(), usize> {
        self.used
            .fetch_update(Relaxed, Relaxed, |used| {
                let limit = if bounded { self.hard_limit.load(Relaxed) } else { usize::MAX };
                used.checked_add(bytes).filter(|&sum| sum <= limit)
            })
            .map(drop)
    }

    fn low(&self) -> usize {
        let soft = self.soft_limit.load(Relaxed);
        match self.low_watermark.load(Relaxed) {
            usize::MAX => soft - soft / 8,
            // A watermark above the soft limit would end the pressure that begins there.
            low => low.min(soft),
        }
    }
}

enum Handle {
    Static(&'static Ledger),
    #[cfg(feature = "alloc")]
    Shared(Arc<Ledger>),
}

/// A node in a tree of byte ledgers: what the pools of a program, or of a part of it, may hold together.
///
/// Cheap to clone; clones are the same account. `used` is what its pools lease and keep idle, what is reserved,
/// and what its children use. Charging is thread-safe and lock-free, O(depth); it happens when objects are made
/// and destroyed, never when they are acquired from the idle set or released.
///
/// ```
/// use pool_core::Account;
///
/// let server = Account::builder("server").hard_limit(1000).build();
/// let textures = Account::builder("textures").parent(&server).build();
///
/// let claim = textures.try_reserve(600)?;
/// assert_eq!((textures.used(), server.used()), (600, 600));
///
/// let refusal = textures.try_reserve(500).unwrap_err();
/// assert_eq!((refusal.account.name(), refusal.free), ("server", 400));
///
/// drop(claim);
/// assert_eq!((server.used(), server.peak()), (0, 600));
/// # Ok::<(), pool_core::OverBudget>(())
/// ```
pub struct Account(ManuallyDrop<Handle>);

impl Account {
    /// The account of a ledger in a `static`; needs no allocator.
    #[must_use]
    pub const fn from_static(ledger: &'static Ledger) -> Self {
        Self(ManuallyDrop::new(Handle::Static(ledger)))
    }

    /// A root with a hard limit in bytes.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>, hard_limit: usize) -> Self {
        Self::builder(name).hard_limit(hard_limit).build()
    }

    /// An account with any of the limits, a parent and a handler for events.
    #[cfg(feature = "alloc")]
    pub fn builder(name: impl Into<Cow<'static, str>>) -> AccountBuilder {
        AccountBuilder { ledger: Ledger { name: name.into(), ..Ledger::new("", usize::MAX) } }
    }

    fn ledger(&self) -> &Ledger {
        match &*self.0 {
            Handle::Static(ledger) => ledger,
            #[cfg(feature = "alloc")]
            Handle::Shared(ledger) => ledger,
        }
    }

    /// This account and those above it, leaf first.
    fn levels(&self) -> impl Iterator<Item = &Self> {
        core::iter::successors(Some(self), |account| account.parent())
    }

    /// The name it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        self.ledger().name.as_ref()
    }

    /// The account above.
    #[must_use]
    pub fn parent(&self) -> Option<&Self> {
        self.ledger().parent.as_ref()
    }

    /// Bytes in use: leased, idle and reserved, its own and its children's.
    #[must_use]
    pub fn used(&self) -> usize {
        self.ledger().used.load(Relaxed)
    }

    /// Of [`used`](Self::used): bytes that were charged by [`charge_external`](Self::charge_external).
    #[must_use]
    pub fn external(&self) -> usize {
        self.ledger().external.load(Relaxed)
    }

    /// Most bytes in use since the account was made or [`reset_peak`](Self::reset_peak) was called.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.ledger().peak.load(Relaxed)
    }

    /// Most bytes ever in use.
    #[must_use]
    pub fn lifetime_peak(&self) -> usize {
        self.ledger().lifetime_peak.load(Relaxed)
    }

    /// Sets the peak to the current use. The lifetime peak stays.
    pub fn reset_peak(&self) {
        self.ledger().peak.store(self.used(), Relaxed);
    }

    /// The bytes that no charge passes; `usize::MAX` if there is no limit.
    #[must_use]
    pub fn hard_limit(&self) -> usize {
        self.ledger().hard_limit.load(Relaxed)
    }

    /// Changes the hard limit. Succeeds even below the current use; returns the bytes in use above the new limit,
    /// which a pool's [`maintain`](crate::KeyedPool::maintain) brings down as far as idle objects go.
    pub fn set_hard_limit(&self, bytes: usize) -> usize {
        self.ledger().hard_limit.store(bytes, Relaxed);
        self.overcommitted()
    }

    /// The bytes above which the account is under pressure; `usize::MAX` if there is no such limit.
    #[must_use]
    pub fn soft_limit(&self) -> usize {
        self.ledger().soft_limit.load(Relaxed)
    }

    /// Changes the soft limit, and raises the event if that puts the current use above it, or at or below the
    /// low watermark again.
    pub fn set_soft_limit(&self, bytes: usize) {
        self.ledger().soft_limit.store(bytes, Relaxed);
        self.watch_level();
    }

    /// The bytes to which maintenance trims and at which pressure ends: 7/8 of the soft limit unless set.
    #[must_use]
    pub fn low_watermark(&self) -> usize {
        self.ledger().low()
    }

    /// Bytes in use above the hard limit, by external charges or because the limit was lowered.
    #[must_use]
    pub fn overcommitted(&self) -> usize {
        self.used().saturating_sub(self.hard_limit())
    }

    /// Bytes that a charge could get now: the least that is free here or at any account above.
    #[must_use]
    pub fn free(&self) -> usize {
        self.levels().map(|level| level.hard_limit().saturating_sub(level.used())).min().unwrap_or(0)
    }

    /// How hard a trim should try: the highest pressure of this account and those above.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        self.levels()
            .map(|level| match level {
                _ if level.overcommitted() > 0 => Pressure::Critical,
                _ if level.ledger().over_soft.load(Relaxed) => Pressure::Moderate,
                _ => Pressure::None,
            })
            .max()
            .unwrap_or(Pressure::None)
    }

    /// Bytes that must go for every level to be at its low watermark (if it is under moderate pressure) or its
    /// hard limit (if it is above that).
    pub(crate) fn excess(&self) -> usize {
        self.levels()
            .map(|level| match level.ledger().over_soft.load(Relaxed) {
                true => level.used().saturating_sub(level.low_watermark().min(level.hard_limit())),
                false => level.overcommitted(),
            })
            .max()
            .unwrap_or(0)
    }

    /// Claims `bytes` here and at all accounts above, or nowhere.
    ///
    /// Lock-free, O(depth); allocates nothing.
    ///
    /// # Errors
    ///
    /// [`OverBudget`] names the account that refused.
    pub fn try_reserve(&self, bytes: usize) -> Result<Reservation, OverBudget> {
        self.claim(bytes, false)
    }

    /// Counts bytes that exist whether we like it or not, such as a buffer that a decoder returned. What lies over
    /// the hard limit is reported as [`overcommitted`](Self::overcommitted), and charges fail until it is gone.
    ///
    /// # Errors
    ///
    /// Only if the count itself would overflow `usize`.
    pub fn charge_external(&self, bytes: usize) -> Result<Reservation, OverBudget> {
        self.claim(bytes, true)
    }

    /// Where holding `bytes` in place of the `held` that are charged already would be over by most; `None` if it would fit.
    fn shortfall(&self, held: usize, bytes: usize) -> Option<Shortfall<'_>> {
        self.levels()
            .map(|level| Shortfall {
                level,
                requested: bytes.saturating_sub(held),
                used: level.used().saturating_sub(held.saturating_sub(bytes)),
                limit: level.hard_limit(),
            })
            .filter(|shortfall| shortfall.bytes() > 0)
            .max_by_key(Shortfall::bytes)
    }

    fn claim(&self, bytes: usize, external: bool) -> Result<Reservation, OverBudget> {
        let mut claim = Reservation { account: self.clone(), bytes: 0, external };
        claim.try_grow(bytes)?;
        Ok(claim)
    }

    /// Adds `bytes` to every level, or to none.
    pub(crate) fn charge(&self, bytes: usize, external: bool) -> Result<(), Shortfall<'_>> {
        for (depth, level) in self.levels().enumerate() {
            if let Err(used) = level.ledger().add(bytes, !external) {
                for charged in self.levels().take(depth) {
                    charged.ledger().used.fetch_sub(bytes, Relaxed);
                }
                return Err(Shortfall { level, requested: bytes, used, limit: level.hard_limit() });
            }
        }
        for level in self.levels() {
            let ledger = level.ledger();
            if external {
                ledger.external.fetch_add(bytes, Relaxed);
            }
            let used = level.used();
            // Most charges set no record, and a load is much cheaper than a read-modify-write.
            for peak in [&ledger.peak, &ledger.lifetime_peak] {
                if peak.load(Relaxed) < used {
                    peak.fetch_max(used, Relaxed);
                }
            }
        }
        Ok(())
    }

    /// Raises the events that a charge brings. After the charge, and once somebody owns it: a handler may panic.
    pub(crate) fn watch(&self) {
        for level in self.levels() {
            level.watch_level();
        }
    }

    /// Gives back bytes of an earlier charge. Crate-private: outside, a [`Reservation`] does it, and cannot give
    /// back more than it holds.
    pub(crate) fn uncharge(&self, bytes: usize, external: bool) {
        for level in self.levels() {
            let ledger = level.ledger();
            ledger.used.fetch_sub(bytes, Relaxed);
            if external {
                ledger.external.fetch_sub(bytes, Relaxed);
            }
        }
        self.watch();
    }

    /// Raises the event if the soft limit has been crossed upward or the low watermark downward since the last.
    fn watch_level(&self) {
        let ledger = self.ledger();
        let (used, soft_limit) = (self.used(), self.soft_limit());
        let kind = if used > soft_limit && !ledger.over_soft.swap(true, Relaxed) {
            AccountEventKind::OverSoftLimit
        } else if ledger.over_soft.load(Relaxed)
            && used <= self.low_watermark()
            && ledger.over_soft.swap(false, Relaxed)
        {
            AccountEventKind::BackToLow
        } else {
            return;
        };
        let event = AccountEvent { account: self.clone(), kind, used, soft_limit };
        match &ledger.on_event {
            Some(Handler::Plain(handler)) => handler(&event),
            #[cfg(feature = "alloc")]
            Some(Handler::Boxed(handler)) => handler(&event),
            None => {}
        }
    }
}

/// A charge that does not fit: what an [`OverBudget`] says, before anybody wants to keep it.
#[derive(Clone, Copy)]
pub(crate) struct Shortfall<'a> {
    level: &'a Account,
    requested: usize,
    used: usize,
    limit: usize,
}

impl Shortfall<'_> {
    /// The bytes that are missing.
    pub(crate) fn bytes(&self) -> usize {
        // A sum that wraps is short by more than any limit.
        self.used.checked_add(self.requested).map_or(usize::MAX, |sum| sum.saturating_sub(self.limit))
    }

    pub(crate) fn refusal(self, evictable: usize) -> OverBudget {
        let Self { level, requested, used, limit } = self;
        let account = level.clone();
        OverBudget { account, requested, used, limit, free: limit.saturating_sub(used), evictable }
    }
}

/// A [`Reservation`] that borrows its account, for the time in which an object is made.
pub(crate) struct Claim<'a> {
    account: &'a Account,
    bytes: usize,
    /// Whether events may have to be raised.
    unheard: bool,
}

impl<'a> Claim<'a> {
    pub(crate) fn on(account: &'a Account) -> Self {
        Self { account, bytes: 0, unheard: false }
    }

    pub(crate) fn try_grow(&mut self, bytes: usize) -> Result<(), Shortfall<'a>> {
        self.account.charge(bytes, false)?;
        self.bytes += bytes;
        self.account.watch();
        Ok(())
    }

    /// Whether holding `total` would pass no limit.
    pub(crate) fn fits(&self, total: usize) -> bool {
        self.account.levels().all(|level| {
            let others = level.used().saturating_sub(self.bytes);
            others.checked_add(total).is_some_and(|sum| sum <= level.hard_limit())
        })
    }

    /// Where it would be over by most if it were to hold `total`; `None` if that fits.
    #[cold]
    pub(crate) fn shortfall(&self, total: usize) -> Option<Shortfall<'a>> {
        self.account.shortfall(self.bytes, total)
    }

    /// Takes over bytes that stay charged though what they were charged for is going.
    pub(crate) fn take_over(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Claims what is missing for `total`; false if that is refused. Calls no handler, so a lock may be held;
    /// [`settle`](Self::settle) follows when it is not.
    pub(crate) fn fill(&mut self, total: usize) -> bool {
        let missing = total.saturating_sub(self.bytes);
        if missing > 0 {
            if self.account.charge(missing, false).is_err() {
                return false;
            }
            self.bytes += missing;
            self.unheard = true;
        }
        true
    }

    /// Gives back what it holds above `total`, and raises the events of what was claimed and given back.
    pub(crate) fn settle(&mut self, total: usize) {
        if self.bytes > total {
            self.unheard = false;
            self.shrink_to(total);
        } else if mem::take(&mut self.unheard) {
            self.account.watch();
        }
    }

    /// Gives back what it holds above `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let surplus = self.bytes.saturating_sub(bytes);
        self.bytes -= surplus;
        self.account.uncharge(surplus, false);
    }

    /// Leaves the bytes charged; the caller will [`Account::uncharge`] them one day.
    pub(crate) fn commit(mut self) {
        self.bytes = 0;
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.account.uncharge(self.bytes, false);
        }
    }
}

/// By value: a drop by reference, which is what `Arc` would do here, makes the compiler keep whatever holds an account
/// in memory, such as the `Result` of an acquire whose error may be dropped. A `LocalPool`'s bursts took 4 x as long.
#[cfg(feature = "alloc")]
impl Drop for Account {
    #[inline(always)]
    fn drop(&mut self) {
        #[inline(never)]
        fn drop_handle(_: Handle) {}
        // SAFETY: the account is being dropped, so nobody uses the handle again.
        drop_handle(unsafe { ManuallyDrop::take(&mut self.0) });
    }
}

impl Clone for Account {
    fn clone(&self) -> Self {
        Self(ManuallyDrop::new(match &*self.0 {
            Handle::Static(ledger) => Handle::Static(ledger),
            #[cfg(feature = "alloc")]
            Handle::Shared(ledger) => Handle::Shared(Arc::clone(ledger)),
        }))
    }
}

/// Two handles are equal if they are of the same account.
impl PartialEq for Account {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self.ledger(), other.ledger())
    }
}

impl Eq for Account {}

/// `audio: 3.00 MiB of 91.55 MiB, peak 12.00 MiB`
impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name(), Bytes(self.used()))?;
        match self.hard_limit() {
            usize::MAX => {}
            limit => write!(f, " of {}", Bytes(limit))?,
        }
        write!(f, ", peak {}", Bytes(self.peak()))
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, Bytes(self.used.load(Relaxed)))
    }
}

/// Builds an [`Account`]; made by [`Account::builder`].
#[cfg(feature = "alloc")]
#[must_use = "a builder makes nothing until `build`"]
pub struct AccountBuilder {
    ledger: Ledger,
}

#[cfg(feature = "alloc")]
impl AccountBuilder {
    /// The account above, which counts these bytes too.
    pub fn parent(mut self, parent: &Account) -> Self {
        self.ledger.parent = Some(parent.clone());
        self
    }

    /// The bytes that no charge passes. Default: none.
    pub fn hard_limit(self, bytes: usize) -> Self {
        self.ledger.hard_limit.store(bytes, Relaxed);
        self
    }

    /// The bytes above which the account is under pressure. Default: none.
    pub fn soft_limit(self, bytes: usize) -> Self {
        self.ledger.soft_limit.store(bytes, Relaxed);
        self
    }

    /// The bytes at which pressure ends. Default: 7/8 of the soft limit.
    pub fn low_watermark(self, bytes: usize) -> Self {
        self.ledger.low_watermark.store(bytes, Relaxed);
        self
    }

    /// Who hears of crossings. Called by whichever thread crosses, with nothing locked; may use the account and
    /// its pools. If it panics, the counts are right all the same; if it panics while another panic unwinds, the
    /// process aborts, as with any destructor. A handler that holds a clone of its own account keeps it alive for ever.
    pub fn on_event(mut self, handler: impl Fn(&AccountEvent) + Send + Sync + 'static) -> Self {
        self.ledger.on_event = Some(Handler::Boxed(Box::new(handler)));
        self
    }

    /// The account.
    #[must_use]
    pub fn build(self) -> Account {
        Account(ManuallyDrop::new(Handle::Shared(Arc::new(self.ledger))))
    }
}

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
pub struct AccountEvent {
    /// The account whose bound it is.
    pub account: Account,
    /// Which bound, and which way.
    pub kind: AccountEventKind,
    /// Bytes in use just after.
    pub used: usize,
    /// The soft limit in bytes.
    pub soft_limit: usize,
}

/// Which bound an account crossed, and which way. Each is raised once; between the two nothing is raised again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum AccountEventKind {
    /// Above the soft limit.
    OverSoftLimit,
    /// Back at the low watermark or below.
    BackToLow,
}

/// A charge was refused; nothing was changed by it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OverBudget {
    /// The account that refused: the one asked, or one above it.
    pub account: Account,
    /// Bytes asked for.
    pub requested: usize,
    /// Bytes that were in use.
    pub used: usize,
    /// Its hard limit in bytes.
    pub limit: usize,
    /// Bytes that were free.
    pub free: usize,
    /// Bytes of idle objects that the pool which asked could have evicted in addition; 0 if no pool asked.
    pub evictable: usize,
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "account \"{}\" refused {} ({} bytes): {} of {} in use, {} free, {} evictable",
            self.account.name(),
            Bytes(self.requested),
            self.requested,
            Bytes(self.used),
            Bytes(self.limit),
            Bytes(self.free),
            Bytes(self.evictable)
        )
    }
}

impl fmt::Debug for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OverBudget({self})")
    }
}

impl core::error::Error for OverBudget {}

/// More was asked of a [`Reservation`] than it holds; nothing was changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotHeld {
    /// Bytes asked for.
    pub requested: usize,
    /// Bytes it holds.
    pub held: usize,
}

impl fmt::Display for NotHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes asked of a reservation that holds {}", self.requested, self.held)
    }
}

impl core::error::Error for NotHeld {}

/// A claim on an account's bytes. Dropping it gives them back.
///
/// For memory that no pool owns: a decoder's scratch space, a request's body, a buffer that an API returned.
///
/// ```
/// use pool_core::Account;
///
/// let account = Account::new("uploads", 1000);
/// let mut body = account.try_reserve(100)?;
/// body.try_grow(400)?;
/// let head = body.split(50).unwrap();
/// assert_eq!((body.bytes(), head.bytes(), account.used()), (450, 50, 500));
/// body.free();
/// assert_eq!(account.used(), 50);
/// # Ok::<(), pool_core::OverBudget>(())
/// ```
#[must_use = "dropping a reservation gives its bytes back at once"]
#[derive(Debug)]
pub struct Reservation {
    account: Account,
    bytes: usize,
    external: bool,
}

impl Reservation {
    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The account they are charged to.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Claims `bytes` more. External claims grow past the limit, as they began.
    ///
    /// # Errors
    ///
    /// [`OverBudget`]; the reservation keeps what it had.
    pub fn try_grow(&mut self, bytes: usize) -> Result<(), OverBudget> {
        self.account.charge(bytes, self.external).map_err(|shortfall| shortfall.refusal(0))?;
        self.bytes += bytes;
        // The handlers come last: if one panics, the bytes are already this reservation's to give back.
        self.account.watch();
        Ok(())
    }

    /// Gives back `bytes` of it.
    ///
    /// # Errors
    ///
    /// [`NotHeld`] if it holds fewer; it then keeps what it had.
    pub fn shrink(&mut self, bytes: usize) -> Result<(), NotHeld> {
        self.bytes = self.without(bytes)?;
        self.account.uncharge(bytes, self.external);
        Ok(())
    }

    /// Moves `bytes` of it into a reservation of their own. The account sees no difference.
    ///
    /// # Errors
    ///
    /// [`NotHeld`] if it holds fewer; it then keeps what it had.
    pub fn split(&mut self, bytes: usize) -> Result<Self, NotHeld> {
        self.bytes = self.without(bytes)?;
        Ok(Self { account: self.account.clone(), bytes, external: self.external })
    }

    /// Gives everything back, as dropping does.
    pub fn free(self) {}

    fn without(&self, bytes: usize) -> Result<usize, NotHeld> {
        self.bytes.checked_sub(bytes).ok_or(NotHeld { requested: bytes, held: self.bytes })
    }

    /// Takes over the bytes of another claim on the same account.
    #[cfg(feature = "alloc")]
    pub(crate) fn absorb(&mut self, mut other: Self) {
        debug_assert!(self.account == other.account && self.external == other.external);
        self.bytes += mem::take(&mut other.bytes);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.account.uncharge(self.bytes, self.external);
        }
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::vec::Vec;

    fn chain(limits: [usize; 3]) -> [Account; 3] {
        let root = Account::new("root", limits[0]);
        let middle = Account::builder("middle").parent(&root).hard_limit(limits[1]).build();
        let leaf = Account::builder("leaf").parent(&middle).hard_limit(limits[2]).build();
        [root, middle, leaf]
    }

    // A refusal above that leaves the levels below charged, or a peak that counts what never was.
    #[test]
    fn a_refused_charge_leaves_no_trace() {
        let accounts = chain([100, 200, 300]);
        let held = accounts[2].try_reserve(60).unwrap();
        let refusal = accounts[2].try_reserve(41).unwrap_err();
        assert_eq!(
            (refusal.account.name(), refusal.requested, refusal.used, refusal.limit, refusal.free),
            ("root", 41, 60, 100, 40)
        );
        for account in &accounts {
            assert_eq!(
                (account.used(), account.peak(), account.lifetime_peak()),
                (60, 60, 60),
                "{account:?}"
            );
        }
        drop(held);
        for account in &accounts {
            assert_eq!((account.used(), account.peak()), (0, 60), "{account:?}");
        }
    }

    // `used + usize::MAX` wrapping to a small number that fits.
    #[test]
    fn the_largest_charge_is_refused_not_wrapped() {
        let unlimited = Account::builder("unlimited").build();
        let one = unlimited.try_reserve(1).unwrap();
        assert_eq!(unlimited.try_reserve(usize::MAX).unwrap_err().requested, usize::MAX);
        assert!(unlimited.charge_external(usize::MAX).is_err());
        assert_eq!(unlimited.shortfall(0, usize::MAX).map(|s| s.bytes()), Some(usize::MAX));
        assert_eq!((unlimited.used(), unlimited.external()), (1, 0));
        one.free();
        assert_eq!(unlimited.try_reserve(usize::MAX).unwrap().bytes(), usize::MAX);
    }

    // An external charge that is refused, or that lets the next ordinary one through.
    #[test]
    fn external_bytes_overcommit_and_block_charges() {
        let account = Account::new("a", 100);
        let mut decoded = account.charge_external(150).unwrap();
        assert_eq!((account.used(), account.external(), account.overcommitted()), (150, 150, 50));
        assert_eq!(account.pressure(), Pressure::Critical);
        assert_eq!(account.try_reserve(1).unwrap_err().free, 0);
        decoded.shrink(60).unwrap();
        assert_eq!((account.overcommitted(), account.external()), (0, 90));
        assert_eq!(account.try_reserve(10).unwrap().bytes(), 10);
        assert_eq!(decoded.shrink(91), Err(NotHeld { requested: 91, held: 90 }));
        drop(decoded);
        assert_eq!((account.used(), account.external()), (0, 0));
    }

    // An event per charge while over the limit, or none when use falls.
    #[test]
    fn soft_limit_events_come_once_per_crossing() {
        static SEEN: Mutex<Vec<(AccountEventKind, usize)>> = Mutex::new(Vec::new());
        let account = Account::builder("a")
            .soft_limit(80)
            .on_event(|event| SEEN.lock().unwrap().push((event.kind, event.used)))
            .build();
        assert_eq!(account.low_watermark(), 70);
        let mut claim = account.try_reserve(80).unwrap();
        assert_eq!(account.pressure(), Pressure::None);
        for _ in 0..5 {
            claim.try_grow(1).unwrap();
        }
        assert_eq!(account.pressure(), Pressure::Moderate);
        claim.shrink(14).unwrap(); // 71: between the two
        claim.try_grow(20).unwrap(); // 91: over again, but pressure never ended
        claim.shrink(21).unwrap(); // 70
        claim.shrink(10).unwrap();
        let expected = [(AccountEventKind::OverSoftLimit, 81), (AccountEventKind::BackToLow, 70)];
        assert_eq!(*SEEN.lock().unwrap(), expected);
        account.set_soft_limit(50);
        assert_eq!(SEEN.lock().unwrap().last(), Some(&(AccountEventKind::OverSoftLimit, 60)));
    }

    // A limit that cannot be lowered below the use, or a use that is forgotten.
    #[test]
    fn lowering_the_limit_reports_the_excess() {
        let account = Account::new("a", 100);
        let claim = account.try_reserve(80).unwrap();
        assert_eq!(account.set_hard_limit(50), 30);
        assert_eq!((account.used(), account.excess()), (80, 30));
        drop(claim);
        assert_eq!(account.overcommitted(), 0);
        account.reset_peak();
        assert_eq!((account.peak(), account.lifetime_peak()), (0, 80));
    }

    // A lost update between threads: the limit passed, or bytes left over.
    #[test]
    fn threads_never_pass_the_limit_and_end_at_zero() {
        let accounts = chain([1000, 700, usize::MAX]);
        let other = Account::builder("other").parent(&accounts[0]).build();
        std::thread::scope(|scope| {
            for leaf in [&accounts[2], &accounts[2], &other] {
                scope.spawn(|| {
                    for size in 0..if cfg!(miri) { 40 } else { 2000 } {
                        if let Ok(claim) = leaf.try_reserve(size % 400) {
                            assert!(leaf.used() >= claim.bytes());
                        }
                        assert!(accounts[0].used() <= 1000 && accounts[1].used() <= 700);
                    }
                });
            }
        });
        for account in accounts.iter().chain([&other]) {
            assert_eq!(account.used(), 0);
        }
        assert!(accounts[0].peak() <= 1000);
    }
}
