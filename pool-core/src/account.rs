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
//! Each level is one counter. A charge walks from the leaf to the root with checked additions that never
//! take a level above its hard limit; when a level refuses, the levels below are undone. Only when all levels
//! have agreed are peaks recorded and events raised, so a refused charge leaves no trace.
//!
//! Before the first addition all levels are looked at: what one of them has no room for is refused there and then, and is in
//! nobody's way.
//!
//! The counters publish nothing but themselves, therefore every access is relaxed, but for those of `used`, of the word in
//! `quiet` and of what says who lends. They order what lies in [`Credit`]s (`Mode::add`), and a charge against a limit that is
//! being changed:
//!
//! ```text
//! charge                              set_hard_limit
//!
//! limit: does the sum fit?            limit = the new one
//! used += bytes                       used += 0
//! limit: does the sum fit still?      what is used, and so the excess that is told
//! no: used -= bytes, from the top
//! ```
//!
//! Most charges of an account that has none above it pass neither a limit nor the peak, and look at one word that says so
//! (`quiet`) in place of the three.
//!
//! Of the two read-modify-writes of `used` one comes first. If it is the setter's, the charge sees the new limit when it
//! looks again; if it is the charge's, the excess that the setter tells has it in. In the same way whoever changes a soft
//! limit, or the flag that it was crossed, looks at `used` by a read-modify-write afterwards. What happens otherwise before or
//! after a charge is ordered by whoever hands the charged object over.
//!
//! Two charges may see room for one of them further up, and a limit may be lowered between the look and the addition. While
//! the charge that finds no room is being taken off again another thread may see the levels below with it in: it can be
//! refused although a moment later it would fit, and its own committed charge may record a peak that includes the other's.
//! Who takes off looks whether pressure has ended, as who gives back does. Single-threaded use is exact in everything; in all
//! use what is claimed and the limits are.
//!
//! # Parts
//!
//! | file | what |
//! |---|---|
//! | `mode` | who may charge: any thread, or one; the few operations in which they differ |
//! | `ledger` | one level's counts |
//! | `levels` | what a charge does where there are accounts above |
//! | `quiet` | up to where a charge need not look at the bounds |
//! | `builder` | [`AccountBuilder`] |
//! | `event` | soft limits that are crossed |
//! | `refusal` | what a refused charge says |
//! | `reservation` | claims that give back by themselves |
//! | `credit` | bytes lent to a thread in advance, and recalled before anybody is refused |
//! | `evict` | pools that give idle objects back to one another |
//! | `evictors` | which of them has the oldest |
//! | `report` | the tree as text and as a snapshot |

#[cfg(feature = "alloc")]
mod builder;
#[cfg(feature = "alloc")]
mod credit;
mod event;
mod evict;
#[cfg(feature = "alloc")]
mod evictors;
mod ledger;
mod levels;
mod mode;
mod quiet;
mod refusal;
#[cfg(feature = "alloc")]
mod report;
mod reservation;

#[cfg(feature = "alloc")]
pub use builder::AccountBuilder;
#[cfg(feature = "alloc")]
pub use credit::Credit;
pub use event::{AccountEvent, AccountEventKind, Pressure};
pub use ledger::Ledger;
#[cfg(feature = "alloc")]
pub use mode::Local;
pub use mode::{Mode, Shared};
pub use refusal::{AccountRef, OverBudget};
#[cfg(feature = "alloc")]
pub use report::AccountSnapshot;
pub use reservation::{Charge, NotHeld, Reservation};

pub(crate) use event::Handler;
pub(crate) use evict::{Cause, Evict, Oldest};
#[cfg(feature = "alloc")]
pub(crate) use evict::{Member, Registration};
pub(crate) use refusal::Shortfall;
pub(crate) use reservation::Claim;

use crate::sync::{
    Ordering::{Acquire, Relaxed},
    THREADS,
};
#[cfg(feature = "alloc")]
use crate::wanted;
use core::fmt;
use core::mem::ManuallyDrop;
use levels::Tree;
use mode::{Full, NotAdded, Quietly, SharedHandle};

/// A node in a tree of byte ledgers: what the pools of a program, or of a part of it, may hold together.
///
/// Cheap to clone; clones are the same account. `used` is what its pools lease and keep idle, what is reserved,
/// and what its children use. Charging is thread-safe, O(depth), and lock-free, but for a short lock where a `Credit` lends; it
/// happens when objects are made and destroyed, or come back with another size, never when they are acquired from the idle set
/// or released as they were. Interrupt and signal handlers may charge an account that nobody has a `Credit` of.
///
/// | | threads | where | a charge |
/// |---|---|---|---|
/// | `Account` | any | heap | one compare-and-swap a level |
/// | `Account`, of a [`Ledger`] in a `static` | any | no allocator | the same |
/// | `LocalAccount` | one | heap | plain loads and stores; may be part of a shared account, by a `Credit` |
/// | `&``Credit` | one at a time | heap | plain loads and stores, until the credit is used up |
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
pub struct Account<M: Mode = Shared>(ManuallyDrop<M::Handle>);

/// An [`Account`] for one thread: without atomic read-modify-writes, neither `Send` nor `Sync`.
///
/// ```
/// use pool_core::{Account, LocalAccount};
///
/// let page: LocalAccount = Account::local("page", 1000);
/// let image = page.try_reserve(600)?;
/// assert_eq!(page.try_reserve(500).unwrap_err().free, 400);
/// # drop(image);
/// # Ok::<(), pool_core::OverBudget>(())
/// ```
#[cfg(feature = "alloc")]
pub type LocalAccount = Account<Local>;

/// Whether a charge or its undoing has put some level beyond a bound, of which an event may be due, or a recall.
#[must_use = "an event may be due"]
#[derive(Clone, Copy)]
pub struct Crossed(pub(crate) bool);

/// What a charge that was to take a few instructions has left behind.
#[must_use = "bytes may have to be taken off again"]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    Nothing,
    /// The bytes are counted, and a limit that was lowered meanwhile does not let them through.
    Passed,
}

/// An event is due of what was tried before, whatever the outcome.
#[cold]
fn set_due<M: Mode>(outcome: &mut Result<Crossed, Shortfall<'_, M>>) {
    let (Ok(Crossed(crossed)) | Err(Shortfall { crossed, .. })) = outcome;
    *crossed = true;
}

impl Account {
    /// The account of a ledger in a `static`; needs no allocator.
    #[must_use]
    pub const fn from_static(ledger: &'static Ledger) -> Self {
        Self(ManuallyDrop::new(SharedHandle::Static(ledger)))
    }
}

impl<M: Mode> Account<M> {
    #[inline(always)]
    pub(crate) fn ledger(&self) -> &Ledger {
        M::ledger(&self.0)
    }

    /// Which account it is, for errors and reports.
    #[must_use]
    pub fn reference(&self) -> AccountRef {
        M::reference(&self.0)
    }

    #[cfg(feature = "alloc")]
    pub(crate) fn into_handle(self) -> M::Handle {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped nor used again, so the handle is taken once.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }

    /// This account and those above it, leaf first.
    fn levels(&self) -> impl Iterator<Item = &Self> {
        core::iter::successors(Some(self), |account| account.parent())
    }

    /// The shared account that the top of this tree is part of, if it is a local tree and part of one.
    fn above(&self) -> Option<&Account> {
        self.tree().and_then(|tree| (tree.above)(self))
    }

    /// What takes more than one level; `None` if this account is alone.
    #[inline(always)]
    fn tree(&self) -> Option<&'static Tree<M>> {
        M::tree(&self.0)
    }

    /// The name it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        self.ledger().name()
    }

    /// The account above, of the same mode.
    #[must_use]
    #[inline(always)]
    pub fn parent(&self) -> Option<&Self> {
        M::parent(&self.0)
    }

    /// Bytes in use: leased, idle and reserved, its own and its children's. What is lent to a `Credit` counts once it
    /// is used. For an instant it may show a charge of another thread that is about to be undone, or bytes that are being lent.
    /// O(1); O(credits), under a short lock, where there are any.
    #[must_use]
    pub fn used(&self) -> usize {
        self.ledger().in_use()
    }

    /// Of [`used`](Self::used): bytes that were charged by [`charge_external`](Self::charge_external).
    #[must_use]
    pub fn external(&self) -> usize {
        self.ledger().external.load(Relaxed)
    }

    /// Most bytes in use since the account was made or [`reset_peak`](Self::reset_peak) was called. What was lent to a
    /// `Credit` counts as used here: with credits the peak may be too high by what they hold.
    ///
    /// A refused charge leaves no peak, unless another thread is granted one, or resets the peak, in the instant in which the
    /// refused one is being undone. One that was granted does, whatever it was for: the bytes of an object are in use
    /// from before its factory is called, and were, if the factory fails.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.ledger().peak.load(Relaxed)
    }

    /// Most bytes ever in use.
    #[must_use]
    pub fn lifetime_peak(&self) -> usize {
        self.ledger().lifetime_peak()
    }

    /// Sets the peak to the current use; of an account that lends, with what its credits hold. The lifetime peak stays.
    pub fn reset_peak(&self) {
        let ledger = self.ledger();
        // Before the peak falls, so that nobody sees a lifetime peak fall; and after, for what was higher in between.
        M::raise(&ledger.former_peak, ledger.peak.load(Relaxed));
        let before = M::swap(&ledger.peak, ledger.used.load(Relaxed));
        self.doubt();
        M::raise(&ledger.former_peak, before);
        // Once more, for a charge in between may have found the old peak high enough.
        M::raise(&ledger.peak, M::settled(ledger));
    }

    /// The bytes that no charge passes; `usize::MAX` if there is no limit.
    #[must_use]
    #[inline(always)]
    pub fn hard_limit(&self) -> usize {
        self.ledger().hard_limit.load(Relaxed)
    }

    /// Changes the hard limit. Succeeds even below the current use: then what is lent is recalled, and idle objects of
    /// the pools that give back to one another are evicted, those released longest ago first, until use is down to the
    /// limit or nothing is idle. Returns the bytes in use above the new limit that are left; a pool that is not among
    /// those brings them down in its own [`maintain`](crate::KeyedPool::maintain), a [`LocalPool`](crate::LocalPool) when it is
    /// trimmed. A charge that another thread makes at this
    /// moment is counted in what is returned, or the new limit decides on it.
    ///
    /// Runs destructors of evicted objects.
    pub fn set_hard_limit(&self, bytes: usize) -> usize {
        let ledger = self.ledger();
        ledger.hard_limit.store(bytes, Relaxed);
        self.doubt();
        // From here on each charge is one that the new limit lets through, or is counted already.
        let _ = M::settled(ledger);
        #[cfg(feature = "alloc")]
        {
            if let Some(account) = M::as_shared(self) {
                account.recall_all();
            }
            if wanted::GIVING.is_set() && self.overcommitted() > 0 {
                self.end_due();
            }
            while wanted::GIVING.is_set()
                && self.overcommitted() > 0
                && self.evict_oldest(None, Cause::Limit).is_some()
            {}
        }
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
        self.doubt();
        self.watch_level();
    }

    /// The bytes to which maintenance trims and at which pressure ends: 7/8 of the soft limit unless set.
    #[must_use]
    pub fn low_watermark(&self) -> usize {
        self.ledger().low()
    }

    /// Changes the bytes at which pressure ends, and raises the event if that puts the current use at or below them. More
    /// than the soft limit counts as the soft limit; `usize::MAX` is 7/8 of it again.
    pub fn set_low_watermark(&self, bytes: usize) {
        self.ledger().low_watermark.store(bytes, Relaxed);
        self.watch_level();
    }

    /// Bytes in use above the hard limit, by external charges or because the limit was lowered.
    #[must_use]
    pub fn overcommitted(&self) -> usize {
        self.used().saturating_sub(self.hard_limit())
    }

    /// Bytes that a charge could get now: the least that is free here or at any account above.
    #[must_use]
    pub fn free(&self) -> usize {
        let free = self.levels().map(|level| level.hard_limit().saturating_sub(level.used())).min();
        free.unwrap_or(0).min(self.above().map_or(usize::MAX, Account::free))
    }

    /// How hard a trim should try: the highest pressure of this account and those above.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        self.tree().map_or_else(|| self.pressure_here(), |tree| (tree.pressure)(self))
    }

    fn pressure_here(&self) -> Pressure {
        if self.overcommitted() > 0 {
            Pressure::Critical
        } else if self.ledger().over_soft.load(Relaxed) {
            Pressure::Moderate
        } else {
            Pressure::None
        }
    }

    /// Bytes that must go for every level to be at its low watermark (if it is under moderate pressure) or its
    /// hard limit (if it is above that).
    pub(crate) fn excess(&self) -> usize {
        self.tree().map_or_else(|| self.excess_here(), |tree| (tree.excess)(self))
    }

    fn excess_here(&self) -> usize {
        match self.ledger().over_soft.load(Relaxed) {
            true => self.used().saturating_sub(self.low_watermark().min(self.hard_limit())),
            false => self.overcommitted(),
        }
    }

    /// Claims `bytes` here and at all accounts above, or nowhere.
    ///
    /// O(depth), allocates nothing, and lock-free where nobody lends. Where somebody does, a refusal takes a short lock, to recall
    /// that, and so does a charge that crosses a soft limit.
    ///
    /// # Errors
    ///
    /// [`OverBudget`] names the account that refused.
    pub fn try_reserve(&self, bytes: usize) -> Result<Reservation<Self>, OverBudget> {
        Reservation::of(self, bytes, false)
    }

    /// Counts bytes that exist whether we like it or not, such as a buffer that a decoder returned. What lies over
    /// the hard limit is reported as [`overcommitted`](Self::overcommitted), and charges fail until it is gone.
    ///
    /// # Errors
    ///
    /// Only if the count itself would overflow `usize`.
    pub fn charge_external(&self, bytes: usize) -> Result<Reservation<Self>, OverBudget> {
        Reservation::of(self, bytes, true)
    }

    /// Where holding `bytes` in place of the `held` that are charged already would not fit, leaf first.
    pub(crate) fn shortfalls(&self, held: usize, bytes: usize) -> impl Iterator<Item = Shortfall<'_, M>> {
        let others = move |used: usize| used.saturating_sub(held);
        let here = self.levels().map(move |level| Shortfall::at(level, bytes, others(level.used())));
        #[cfg(feature = "alloc")]
        let here = here.chain(self.levels().filter_map(|level| Some((level, M::above(&level.0)?))).flat_map(
            move |(top, credit)| {
                let above = credit.account();
                above.levels().map(move |level| {
                    Shortfall::above(top, Shortfall::at(level, bytes, others(level.used())))
                })
            },
        ));
        here.filter(|shortfall| shortfall.bytes() > 0)
    }

    /// Whether some level would be over its limit even with `surplus` bytes fewer.
    pub(crate) fn overdrawn(&self, surplus: usize) -> bool {
        self.shortfalls(surplus, 0).next().is_some()
    }

    /// As [`shortfalls`](Self::shortfalls), where it would be over by most; `None` if it would fit.
    pub(crate) fn shortfall_beyond(&self, held: usize, bytes: usize) -> Option<Shortfall<'_, M>> {
        match self.tree() {
            None => Some(self.shortfall_here(held, bytes)).filter(|shortfall| shortfall.bytes() > 0),
            Some(tree) => (tree.shortfall)(self, held, bytes),
        }
    }

    fn shortfall_here(&self, held: usize, bytes: usize) -> Shortfall<'_, M> {
        Shortfall::at(self, bytes, self.used().saturating_sub(held))
    }

    /// Where a charge would be over by most; `None` if it would fit.
    #[cfg(test)]
    pub(crate) fn shortfall(&self, bytes: usize) -> Option<Shortfall<'_, M>> {
        self.shortfalls(0, bytes).max_by_key(Shortfall::bytes)
    }

    /// Whether some of what is charged here is lent, and may be called back.
    #[inline(always)]
    pub(crate) fn lends(&self) -> bool {
        #[cfg(feature = "alloc")]
        // Acquire: what the last who lent has given back, if there is none any more.
        return wanted::LENDING.is_set() && self.ledger().lending.load(Acquire) != 0;
        #[cfg(not(feature = "alloc"))]
        false
    }

    /// Adds `bytes` to every level, or to none. What is lent is recalled before a charge is refused for want of it.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    pub(crate) fn charge(&self, bytes: usize, external: bool) -> Result<Crossed, Shortfall<'_, M>> {
        match self.charge_quickly(bytes, external) {
            Ok(crossed) => Ok(crossed),
            Err(tried) => match self.full_for(bytes, external, tried) {
                Some(full) => Err(Shortfall::of(self, bytes, full)),
                None => self.charge_slowly(bytes, external, tried),
            },
        }
    }

    /// A charge of one level that passes no bound, as most are; if it is not one,
    /// [`charge_slowly`](Self::charge_slowly) is to make it or to say why not.
    ///
    /// What is read before the read-modify-write need not be waited for after it, and what is written before it is waited for:
    /// so nothing of this goes through memory.
    // A page downloads each copy, so there it is not copied.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    pub(crate) fn charge_quickly(&self, bytes: usize, external: bool) -> Result<Crossed, Tried> {
        if !THREADS || external || self.tree().is_some() {
            return Err(Tried::Nothing);
        }
        match M::add_quietly(self.ledger(), bytes) {
            Quietly::Added => Ok(Crossed(false)),
            Quietly::Doubtful(used) => self.look_again(bytes, used),
            Quietly::NotAdded => Err(Tried::Nothing),
        }
    }

    /// After a bound was lowered that charges must not pass unseen.
    fn doubt(&self) {
        if THREADS {
            M::doubt(self.ledger());
        }
    }

    /// After a charge, beside which a bound was lowered: if that was the hard limit, the charge is to be undone.
    #[cold]
    #[inline(never)]
    fn look_again(&self, bytes: usize, used: usize) -> Result<Crossed, Tried> {
        let ledger = self.ledger();
        if used > ledger.hard_limit.load(Relaxed) {
            return Err(Tried::Passed);
        }
        Ok(Crossed(Self::record(ledger, bytes, false, used)))
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn charge_slowly(
        &self,
        bytes: usize,
        external: bool,
        tried: Tried,
    ) -> Result<Crossed, Shortfall<'_, M>> {
        let due = tried == Tried::Passed && Self::undo(self.ledger(), bytes);
        #[cfg(feature = "alloc")]
        let gone = self.credits_gone();
        let mut outcome = self.charge_once(bytes, external);
        #[cfg(feature = "alloc")]
        if let Err(refused) = &outcome
            && (refused.lender().is_some() || gone != self.credits_gone())
        {
            self.charge_after_recall(&mut outcome, gone, bytes, external);
        }
        if due {
            set_due(&mut outcome);
        }
        outcome
    }

    /// How full this account is, if that is all there is to a refusal, as mostly: it is alone, nothing is lent or what was is
    /// recalled, and nobody who held credit has gone while it was looked at. `None` if [`charge_slowly`](Self::charge_slowly) has
    /// to say.
    #[inline(always)]
    pub(crate) fn full_for(&self, bytes: usize, external: bool, tried: Tried) -> Option<Full> {
        // Where there is one thread a page downloads the code, and saves nothing by it.
        if !THREADS || external || tried == Tried::Passed || self.tree().is_some() {
            return None;
        }
        #[cfg(feature = "alloc")]
        let gone = self.credits_gone();
        let full = self.full_here(bytes)?;
        #[cfg(feature = "alloc")]
        if let Some(account) = M::as_shared(self).filter(|account| account.lends()) {
            return account.full_with_nothing_lent(bytes);
        }
        #[cfg(feature = "alloc")]
        if gone != self.credits_gone() {
            return None;
        }
        Some(full)
    }

    /// How full this account is, if that leaves no room for so many bytes.
    #[inline(always)]
    pub(crate) fn full_here(&self, bytes: usize) -> Option<Full> {
        let ledger = self.ledger();
        // Acquire, as of who is refused by `Mode::add`.
        let (used, limit) = (ledger.used.load(Acquire), ledger.hard_limit.load(Relaxed));
        used.checked_add(bytes).is_none_or(|sum| sum > limit).then_some(Full { used, limit })
    }

    /// Tries a charge again that was refused, for want of what is lent or was until now.
    #[cfg(feature = "alloc")]
    #[cold]
    fn charge_after_recall<'a>(
        &'a self,
        outcome: &mut Result<Crossed, Shortfall<'a, M>>,
        mut gone: usize,
        bytes: usize,
        external: bool,
    ) {
        let mut due = false;
        let mut recalled = None;
        while let Err(refused) = outcome {
            due |= refused.crossed;
            match refused.lender() {
                // Not for want of what is lent there.
                Some(lender) if recalled == Some(lender) => break,
                // Refused further up than before, where others may hold credit too.
                Some(lender) => {
                    recalled = Some(lender);
                    *outcome = lender.recall_then(|| self.charge_once(bytes, external));
                }
                // Whoever held what this charge lacked may have given it back, and be on no list any more.
                None => {
                    let now = self.credits_gone();
                    if now == gone {
                        break;
                    }
                    gone = now;
                    *outcome = self.charge_once(bytes, external);
                }
            }
        }
        if due {
            set_due(outcome);
        }
    }

    /// As [`charge`](Self::charge), with what is free as it is.
    fn charge_once(&self, bytes: usize, external: bool) -> Result<Crossed, Shortfall<'_, M>> {
        if let Some(tree) = self.tree() {
            return (tree.charge)(self, bytes, external);
        }
        let ledger = self.ledger();
        let mut due = false;
        match Self::add(ledger, bytes, external, &mut due) {
            Ok(used) => {
                let is_record = used > ledger.peak.load(Relaxed);
                due |= Self::record(ledger, bytes, external, used);
                // Not at each record: where one comes after the other, nothing is quiet.
                if THREADS && !is_record && !due {
                    M::calm(ledger);
                }
                Ok(Crossed(due))
            }
            Err(full) => Err(Shortfall { crossed: due, ..Shortfall::of(self, bytes, full) }),
        }
    }

    /// Adds bytes at one level, or says why they do not fit. `due` is set if an event may be due all the same.
    #[inline(always)]
    pub(crate) fn add(ledger: &Ledger, bytes: usize, external: bool, due: &mut bool) -> Result<usize, Full> {
        loop {
            match M::add(ledger, bytes, external) {
                Ok(used) => return Ok(used),
                Err(NotAdded::Full(full)) => return Err(full),
                Err(NotAdded::Passed) => *due |= Self::undo(ledger, bytes),
            }
        }
    }

    /// Takes off again at one level what was not let through here or further up; whether an event is due: who gave back
    /// meanwhile had these bytes before its eyes, and may have thought that pressure stays.
    #[cold]
    fn undo(ledger: &Ledger, bytes: usize) -> bool {
        M::sub(&ledger.used, bytes);
        Self::has_ended(ledger)
    }

    /// Whether there is pressure that has come to its end.
    #[inline(always)]
    fn has_ended(ledger: &Ledger) -> bool {
        ledger.over_soft.load(Relaxed) && ledger.used.load(Relaxed) <= ledger.low()
    }

    /// Records at this level what a charge that all levels agreed to leaves behind; whether an event is due.
    #[inline(always)]
    fn record(ledger: &Ledger, bytes: usize, external: bool, used: usize) -> bool {
        let mut overcommits = false;
        if external {
            M::tally(&ledger.external, bytes);
            overcommits = used > ledger.hard_limit.load(Relaxed);
        }
        // Most charges set no record, and a load is much cheaper than a read-modify-write.
        if ledger.peak.load(Relaxed) < used {
            M::raise(&ledger.peak, used);
        }
        overcommits || used > ledger.soft_limit.load(Relaxed) && !ledger.over_soft.load(Relaxed)
    }

    /// Gives back bytes of an earlier charge. Crate-private: outside, a [`Reservation`] does it, and cannot give
    /// back more than it holds.
    // A page downloads each copy, so there it is not copied.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    pub(crate) fn uncharge(&self, bytes: usize, external: bool) {
        if self.uncharge_quietly(bytes, external).0 {
            self.watch();
        }
    }

    /// The same, without the events: who was told that some may be due calls [`watch`](Self::watch).
    #[inline(always)]
    pub(crate) fn uncharge_quietly(&self, bytes: usize, external: bool) -> Crossed {
        // As in `charge_quickly`.
        match self.tree() {
            None => Crossed(Self::take_off(self.ledger(), bytes, external)),
            Some(tree) => (tree.uncharge)(self, bytes, external),
        }
    }

    /// Takes bytes off one level; whether an event is due.
    #[inline(always)]
    fn take_off(ledger: &Ledger, bytes: usize, external: bool) -> bool {
        M::sub(&ledger.used, bytes);
        if external {
            M::tally(&ledger.external, bytes.wrapping_neg());
        }
        // What is left by now: who took off the last of it sees that.
        Self::has_ended(ledger)
    }
}

/// By value: a drop by reference, which is what `Arc` would do here, makes the compiler keep whatever holds an account
/// in memory, such as the `Result` of an acquire whose error may be dropped. A `LocalPool`'s bursts took 4 x as long.
#[cfg(feature = "alloc")]
impl<M: Mode> Drop for Account<M> {
    #[inline(always)]
    fn drop(&mut self) {
        #[inline(never)]
        fn drop_handle<H>(_: H) {}
        // SAFETY: the account is being dropped, so nobody uses the handle again.
        drop_handle(unsafe { ManuallyDrop::take(&mut self.0) });
    }
}

impl<M: Mode> Clone for Account<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Two handles are equal if they are of the same account.
impl<M: Mode> PartialEq for Account<M> {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self.ledger(), other.ledger())
    }
}

impl<M: Mode> Eq for Account<M> {}

/// `audio: 3.00 MiB of 91.55 MiB, peak 12.00 MiB`
impl<M: Mode> fmt::Debug for Account<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ledger().fmt_line(f)
    }
}

#[cfg(all(test, feature = "alloc", not(pool_core_loom)))]
mod tests {
    use super::mode::Quietly;
    use super::*;

    /// An account with so much in use, and most of it in use before.
    fn filled(hard: usize, soft: usize, peak: usize, used: usize) -> (Account, Option<Reservation>) {
        let account = Account::builder("a").hard_limit(hard).soft_limit(soft).build();
        drop(account.try_reserve(peak));
        let held = account.try_reserve(used).ok();
        assert_eq!((account.peak(), account.used()), (peak, used));
        (account, held)
    }

    // Charges that take the longer way, to the same end: nothing but time would tell.
    #[test]
    fn a_charge_below_all_bounds_takes_a_few_instructions() {
        let (account, held) = filled(100, 90, 80, 30);
        assert!(matches!(account.charge_quickly(50, false), Ok(Crossed(false))));
        assert_eq!(account.used(), 80);
        account.uncharge(50, false);
        // To the peak and no further; what is external is counted besides.
        assert!(matches!(account.charge_quickly(51, false), Err(Tried::Nothing)));
        assert!(matches!(account.charge_quickly(1, true), Err(Tried::Nothing)));
        let below = Account::builder("below").parent(&account).build();
        assert!(matches!(below.charge_quickly(1, false), Err(Tried::Nothing)));
        assert_eq!((account.used(), below.used()), (30, 0));
        // In doubt, until a charge finds that it sets no record and that nothing is due.
        account.set_soft_limit(60);
        assert!(matches!(account.charge_quickly(1, false), Err(Tried::Nothing)));
        let more = account.try_reserve(1).unwrap();
        assert!(matches!(account.charge_quickly(29, false), Ok(Crossed(false))));
        assert!(matches!(account.charge_quickly(1, false), Err(Tried::Nothing)));
        account.uncharge(29, false);
        drop((held, more));

        // A record is no time for that, as the next one may be, too; to be as high as ever is none.
        let account = Account::new("records", 100);
        drop(account.try_reserve(10));
        assert!(matches!(account.charge_quickly(10, false), Err(Tried::Nothing)));
        drop(account.try_reserve(10));
        assert!(matches!(account.charge_quickly(10, false), Ok(Crossed(false))));
        account.uncharge(10, false);
    }

    // The next release taken for one that was.
    #[test]
    fn the_next_stamp_of_one_thread_is_known() {
        let account = Account::local("a", 1);
        for _ in 0..3 {
            let now = Local::now(&account.0);
            assert_eq!((Local::stamp(&account.0), Local::now(&account.0)), (now, now + 1));
        }
    }

    // The same for one thread, whose accounts count in another way.
    #[test]
    fn a_charge_of_one_thread_takes_a_few_instructions() {
        let account = Account::local_builder("a").hard_limit(100).soft_limit(90).build();
        drop(account.try_reserve(80).unwrap());
        drop(account.try_reserve(30).unwrap());
        assert!(matches!(account.charge_quickly(80, false), Ok(Crossed(false))));
        assert!(matches!(account.charge_quickly(1, false), Err(Tried::Nothing)));
        assert_eq!(account.used(), 80);
        account.uncharge(80, false);
    }

    // A charge that was to pass no bound, beside which one was lowered, taken for one that passes it, or for one that does not.
    #[test]
    fn a_charge_in_doubt_is_looked_at_again() {
        let (account, held) = filled(100, 90, 80, 30);
        for (used, passes) in [(99, false), (100, false), (101, true)] {
            assert_eq!(account.look_again(10, used).is_err(), passes, "{used}");
        }
        assert!(matches!(account.look_again(10, 80), Ok(Crossed(false))));
        assert!(matches!(account.look_again(10, 95), Ok(Crossed(true))));
        // What is asked for is added to what is there, not more.
        let ledger = account.ledger();
        ledger.quiet.set(50);
        assert!(matches!(Shared::add_quietly(ledger, 20), Quietly::Added));
        assert!(matches!(Shared::add_quietly(ledger, 1), Quietly::NotAdded));
        assert_eq!(account.used(), 50);
        account.uncharge(20, false);
        drop(held);
    }

    // Refusals that take the longer way.
    #[test]
    fn a_refusal_by_one_account_alone_takes_a_few_instructions() {
        let told = |full: Option<Full>| full.map(|full| (full.used, full.limit));
        let (account, held) = filled(100, 90, 80, 30);
        assert_eq!(told(account.full_for(71, false, Tried::Nothing)), Some((30, 100)));
        assert_eq!(told(account.full_for(usize::MAX, false, Tried::Nothing)), Some((30, 100)));
        assert_eq!(told(account.full_for(70, false, Tried::Nothing)), None);
        assert_eq!(told(account.full_for(71, true, Tried::Nothing)), None);
        assert_eq!(told(account.full_for(71, false, Tried::Passed)), None);
        let below = Account::builder("below").parent(&account).hard_limit(1).build();
        assert_eq!(told(below.full_for(2, false, Tried::Nothing)), None);
        // Of one that lends, too, once what is lent is recalled.
        let credit = account.credit(10);
        drop(credit.try_reserve(1).unwrap());
        assert_eq!(told(account.full_for(71, false, Tried::Nothing)), None);
        drop(account.try_reserve(70).unwrap());
        assert_eq!(told(account.full_for(71, false, Tried::Nothing)), Some((30, 100)));
        drop((held, credit));
    }

    // Nobody recalls, so the second look of an account that has lent nothing is not wanted.
    #[test]
    fn what_an_account_lacks_that_lends_nothing_is_asked_for_once() {
        let (account, held) = filled(100, 90, 80, 30);
        let credit = account.credit(10);
        let tries = core::cell::Cell::new(0);
        let outcome = account.recall_then(|| {
            tries.set(tries.get() + 1);
            Err::<(), ()>(())
        });
        assert_eq!((outcome, tries.get()), (Err(()), 1));
        drop((credit, held));
    }

    // Bounds that are looked at where none was passed, which is the longer way, or are not where one was.
    #[test]
    fn what_a_charge_leaves_is_beyond_a_bound_or_not() {
        let (account, held) = filled(100, 60, 50, 50);
        let ledger = account.ledger();
        let record = |external, used| Account::<Shared>::record(ledger, 0, external, used);
        assert_eq!([60, 61, 100].map(|used| record(false, used)), [false, true, true]);
        assert!(!Account::<Shared>::has_ended(ledger));
        let more = account.try_reserve(20).unwrap();
        assert_eq!([61, 100].map(|used| record(false, used)), [false, false]);
        assert_eq!([100, 101].map(|used| record(true, used)), [false, true]);
        assert!(!Account::<Shared>::has_ended(ledger));
        drop(more);
        assert!(ledger.over_soft.load(Relaxed) == (50 > ledger.low()));
        // As it is between an uncharge and its event.
        ledger.over_soft.store(true, Relaxed);
        ledger.low_watermark.store(50, Relaxed);
        assert!(Account::<Shared>::has_ended(ledger));
        ledger.low_watermark.store(49, Relaxed);
        assert!(!Account::<Shared>::has_ended(ledger));
        drop(held);
    }

    // An event of what was tried before that nobody raises, whatever the second try brings.
    #[test]
    fn what_is_due_stays_due() {
        let (account, held) = filled(100, 60, 50, 50);
        let mut charged = Ok::<_, Shortfall<'_, Shared>>(Crossed(false));
        set_due(&mut charged);
        assert!(matches!(charged, Ok(Crossed(true))));
        let mut refused = account.charge(60, false);
        assert!(matches!(refused, Err(Shortfall { crossed: false, .. })));
        set_due(&mut refused);
        assert!(matches!(refused, Err(Shortfall { crossed: true, .. })));
        drop(held);
    }

    // A limit that was lowered below what is there, missed, or seen where what goes is enough.
    #[test]
    fn what_is_above_a_limit_is_known_with_what_goes() {
        let (account, held) = filled(100, 90, 50, 50);
        account.set_hard_limit(40);
        assert_eq!([0, 9, 10, 50].map(|surplus| account.overdrawn(surplus)), [true, true, false, false]);
        // To hold so many bytes and no more.
        let beyond = |held, bytes| account.shortfall_beyond(held, bytes).map(|short| short.bytes());
        assert_eq!(beyond(50, 40), None);
        assert_eq!(beyond(50, 41), Some(1));
        drop(held);
    }
}
