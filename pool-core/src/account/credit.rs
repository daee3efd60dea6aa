//! Bytes lent to a thread in advance: [`Credit`].
//!
//! A credit has charged its account for more than its holder uses. The holder charges and uncharges by moving bytes
//! between *used* and *unused* in a line of memory of its own; the account hears of it only when unused runs out or
//! over. What is unused is counted by the account's ledgers, so a limit is never passed; and it is recalled before
//! anybody is refused for want of it, so a limit is never reached too early.
//!
//! ```text
//! holder                                  who would be refused (with the ledger's list of credits locked)
//!
//! busy = true                             recalls += 1        for each credit at or below the ledger
//! (light barrier)                         (heavy barrier, once for all)
//! recalls == 0? no: use the account       busy? wait: its holder is a few instructions from the end
//! unused -= bytes                         unused, most = 0; uncharge what was unused
//! busy = false                            try the charge again
//!                                         recalls -= 1
//! ```
//!
//! Each side writes one thing and then reads what the other writes, so one of them sees the other: either the holder
//! keeps away from its line, or the other waits for it. Where there is no heavy barrier (see `sync`), the holder turns
//! `busy` by a read-modify-write, still on its own line.
//!
//! A holder whose credit was recalled uses the account, until its next charge finds ample room again: twice what it may
//! hold must be free below every limit, soft and hard, after it has borrowed. So close to a limit there are no
//! credits, counts and events are those of plain charges, and who is refused again finds nothing to recall.
//!
//! What a holder borrows it charges while it is busy, so that no borrowing is under way when a recall has seen that it is
//! not; a refusal after a recall was right at that moment.

use super::mode::{Full, Mode, Shared};
use super::refusal::{Level, OverBudget, Shortfall};
use super::reservation::{Charge, Reservation, sealed};
use super::{Account, Crossed, Tried, set_due};
use crate::sync::{Arc, AtomicBool, AtomicUsize, Ordering, after_rmw, relax};
use crate::wanted;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;

/// Bytes of an [`Account`] that one thread holds in advance, so that its charges touch no memory that others write.
///
/// Made by [`Account::credit`]. `Send` and not `Sync`: one for each thread that charges often. The hard limits stay exact:
/// what the credit holds and its thread does not use is recalled before any charge is refused for want of it.
/// [`Account::used`] does not count it; [`Account::peak`] does.
///
/// | charge | cost |
/// |---|---|
/// | while the credit lasts | a few plain loads and stores, wait-free |
/// | when it runs out or over, and close to a limit | as of the account |
/// | that would be refused, while others hold credit | some microseconds: they hold none afterwards |
/// | that is refused, and others hold none | O(credits), some 2 ns each, under a short lock |
///
/// ```
/// use pool_core::Account;
///
/// let server = Account::new("server", 10_000);
/// let credit = server.credit(1000);
/// let frame = credit.try_reserve(600)?; // borrows 1100, uses 600
/// assert_eq!(server.used(), 600);
/// let all = server.try_reserve(9400)?; // recalls the other 500
/// assert_eq!(server.free(), 0);
/// # drop((frame, all));
/// # Ok::<(), pool_core::OverBudget>(())
/// ```
pub struct Credit {
    line: Arc<Line>,
    /// Holders are one at a time.
    _one: PhantomData<Cell<()>>,
}

/// What a credit's holder works on; on cache lines of its own (two, as processors fetch them in pairs).
#[repr(C, align(128))]
pub(crate) struct Line {
    /// The holder is at work here.
    busy: AtomicBool,
    /// Whether the holder may rely on others' heavy barrier; else it turns `busy` by a read-modify-write.
    light: bool,
    /// How many are recalling.
    recalls: AtomicUsize,
    /// Bytes that the account has charged and the holder does not use. The holder's while it is busy, else of who
    /// recalls.
    unused: AtomicUsize,
    /// Most that may be unused; 0 after a recall. As `unused`.
    most: AtomicUsize,
    /// What `most` is otherwise.
    size: usize,
    account: Account,
}

/// The holder at work on its line.
struct Busy<'a>(&'a Line);

impl Drop for Busy<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // Release: what was done to `unused`, to who recalls.
        self.0.busy.store(false, Ordering::Release);
    }
}

impl Line {
    #[inline(always)]
    fn enter(&self) -> Option<Busy<'_>> {
        // Acquire, here and below: what the one who recalled last did to `unused`.
        let recalls = if self.light {
            self.busy.store(true, Ordering::Relaxed);
            barrier::light();
            self.recalls.load(Ordering::Acquire)
        } else {
            // SeqCst, as is the other side: one of the two comes first.
            self.busy.swap(true, Ordering::SeqCst);
            after_rmw();
            self.recalls.load(Ordering::SeqCst)
        };
        let busy = Busy(self);
        (recalls == 0).then_some(busy)
    }

    /// Relaxed, as are the accesses below: who is busy or recalls has its edge already, and others only want to know.
    #[inline(always)]
    pub(crate) fn unused(&self) -> usize {
        self.unused.load(Ordering::Relaxed)
    }

    /// What is unused, if it could be recalled.
    pub(crate) fn recallable(&self) -> usize {
        if self.light && barrier::heavy_has_failed() { 0 } else { self.unused() }
    }
}

/// The pair of barriers, where there is one.
mod barrier {
    #[cfg(feature = "std")]
    pub(super) use crate::sync::{heavy, heavy_has_failed, heavy_works, light};

    #[cfg(not(feature = "std"))]
    pub(super) fn light() {}
    #[cfg(not(feature = "std"))]
    pub(super) fn heavy() -> bool {
        false
    }
    #[cfg(not(feature = "std"))]
    pub(super) fn heavy_works() -> bool {
        false
    }
    #[cfg(not(feature = "std"))]
    pub(super) fn heavy_has_failed() -> bool {
        false
    }
}

impl Credit {
    /// The account that lends.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.line.account
    }

    /// Bytes it holds and its thread does not use, at this moment.
    #[must_use]
    pub fn unused(&self) -> usize {
        self.line.unused()
    }

    /// Claims `bytes`, of the credit if it has them, else of the account.
    ///
    /// # Errors
    ///
    /// [`OverBudget`], as of the account.
    pub fn try_reserve(&self, bytes: usize) -> Result<Reservation<&Self>, OverBudget> {
        Reservation::of(&self, bytes, false)
    }

    #[inline(always)]
    pub(crate) fn charge(&self, bytes: usize, external: bool) -> Result<Crossed, Shortfall<'_>> {
        match self.charge_quickly(bytes, external) {
            Some(crossed) => Ok(crossed),
            None => self.charge_slowly(bytes, external),
        }
    }

    /// A charge that the credit has the bytes for; `None` if it was not made.
    #[inline(always)]
    fn charge_quickly(&self, bytes: usize, external: bool) -> Option<Crossed> {
        if external {
            return None;
        }
        let _busy = self.line.enter()?;
        // Nothing at all is the account's to grant: it is refused while that is over its limit.
        let left = self.line.unused().checked_sub(bytes).filter(|_| bytes > 0)?;
        self.line.unused.store(left, Ordering::Relaxed);
        Some(Crossed(false))
    }

    /// Borrows if there is ample room, else charges the account for what is asked.
    #[cold]
    #[inline(never)]
    fn charge_slowly(&self, bytes: usize, external: bool) -> Result<Crossed, Shortfall<'_>> {
        let line = &*self.line;
        let mut due = false;
        if !external && let Some(_busy) = line.enter() {
            let keep = line.size / 2;
            let more = bytes.checked_add(keep).and_then(|sum| sum.checked_sub(line.unused()));
            if let Some(more) = more.filter(|&more| line.account.may_lend(more, 2 * line.size)) {
                // Before the charge, which releases it: who is refused because of the charge sees that this can be recalled.
                let most = line.most.load(Ordering::Relaxed);
                line.most.store(line.size, Ordering::Relaxed);
                match line.account.charge_once(more, false) {
                    Ok(crossed) => {
                        line.unused.store(keep, Ordering::Relaxed);
                        return Ok(crossed);
                    }
                    Err(refused) => due = refused.crossed,
                }
                line.most.store(most, Ordering::Relaxed);
            }
        }
        // Not busy any more: this may recall, and would wait for itself.
        let mut outcome = line.account.charge(bytes, external);
        if due {
            set_due(&mut outcome);
        }
        outcome
    }

    #[inline(always)]
    pub(crate) fn uncharge_quietly(&self, bytes: usize, external: bool) -> Crossed {
        if !external && let Some(_busy) = self.line.enter() {
            let unused = self.line.unused();
            // Cannot overflow: the account has charged both.
            if bytes + unused <= self.line.most.load(Ordering::Relaxed) {
                self.line.unused.store(bytes + unused, Ordering::Relaxed);
                return Crossed(false);
            }
        }
        self.uncharge_slowly(bytes, external)
    }

    #[cold]
    #[inline(never)]
    fn uncharge_slowly(&self, mut bytes: usize, external: bool) -> Crossed {
        let line = &*self.line;
        // Until they are given back: bytes that are on no line cannot be recalled.
        let busy = if external { None } else { line.enter() };
        if busy.is_some() {
            // So that the next few of either kind stay here.
            let keep = line.most.load(Ordering::Relaxed) / 2;
            let unused = line.unused();
            let kept = keep.min(bytes + unused);
            bytes = bytes + unused - kept;
            line.unused.store(kept, Ordering::Relaxed);
        }
        line.account.uncharge_quietly(bytes, external)
    }
}

impl Drop for Credit {
    /// Gives back what is unused while it can still be recalled, so that who lacks it waits for it, and only then leaves the
    /// lists.
    fn drop(&mut self) {
        let line = &*self.line;
        let give_back = || match line.unused.swap(0, Ordering::Relaxed) {
            0 => Crossed(false),
            unused => line.account.uncharge_quietly(unused, false),
        };
        let mut due = false;
        if let Some(_busy) = line.enter() {
            due |= give_back().0;
        }
        for level in line.account.levels() {
            let ledger = level.ledger();
            let gone = ledger.credits.with(|lines| {
                let at = lines.iter().position(|other| Arc::ptr_eq(other, &self.line))?;
                // Release, both: who sees that this lends no more sees what it has given back.
                ledger.credits_gone.fetch_add(1, Ordering::Release);
                ledger.lending.fetch_sub(1, Ordering::Release);
                Some(lines.swap_remove(at))
            });
            drop(gone);
        }
        // What could not be recalled. On no list any more, and who recalled from it has ended: it is this thread's alone.
        due |= give_back().0;
        if due {
            line.account.watch();
        }
    }
}

/// Whether they are the same credit, so that claims on it can be [merged](crate::Reservation::merge).
impl PartialEq for Credit {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.line, &other.line)
    }
}

impl Eq for Credit {}

/// `Credit(1.00 KiB unused, of audio: 3.00 MiB of 91.55 MiB, peak 12.00 MiB)`
impl fmt::Debug for Credit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credit({} unused, of {:?})", crate::bytes::Bytes(self.unused()), self.account())
    }
}

impl Charge for &Credit {}

impl sealed::Charge for &Credit {
    #[inline(always)]
    fn charge_quickly(&self, bytes: usize, external: bool) -> Result<Crossed, Tried> {
        (*self).charge_quickly(bytes, external).ok_or(Tried::Nothing)
    }

    // A page downloads each copy, so there it is not copied.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    #[cfg_attr(target_family = "wasm", inline(never))]
    fn charge_bytes(&self, bytes: usize, external: bool, _: Tried) -> Result<Crossed, OverBudget> {
        self.charge_slowly(bytes, external).map_err(|shortfall| shortfall.refused_by(self.account()))
    }

    #[inline(always)]
    fn uncharge_bytes(&self, bytes: usize, external: bool) {
        if self.uncharge_quietly(bytes, external).0 {
            self.raise_events();
        }
    }

    fn raise_events(&self) {
        self.account().watch();
    }
}

impl Account {
    /// A credit of at most `bytes` unused bytes at this account and those above; nothing is borrowed yet.
    ///
    /// A good size is what a thread charges in a few hundred objects, and a small part of the limit: credit is lent only
    /// while three times as much is free. O(depth).
    pub fn credit(&self, bytes: usize) -> Credit {
        self.credit_with(bytes, barrier::heavy_works())
    }

    /// As [`credit`](Self::credit), and says whether its holder relies on others' heavy barrier. For models and tests of
    /// the way without.
    #[doc(hidden)]
    #[cfg(pool_core_loom)]
    pub fn credit_for_model(&self, bytes: usize, light: bool) -> Credit {
        self.credit_with(bytes, light)
    }

    fn credit_with(&self, bytes: usize, light: bool) -> Credit {
        wanted::LENDING.set();
        let line = Arc::new(Line {
            busy: AtomicBool::new(false),
            light,
            recalls: AtomicUsize::new(0),
            unused: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            // Small enough that sums of a few of them do not wrap.
            size: bytes.min(usize::MAX >> 4),
            account: self.clone(),
        });
        for level in self.levels() {
            let ledger = level.ledger();
            ledger.credits.with(|lines| {
                lines.push(Arc::clone(&line));
                ledger.lending.fetch_add(1, Ordering::Relaxed);
            });
        }
        Credit { line, _one: PhantomData }
    }

    /// Whether `bytes` fit with room to `spare` below every limit, and no limit has been crossed.
    fn may_lend(&self, bytes: usize, spare: usize) -> bool {
        self.levels().all(|level| {
            let ledger = level.ledger();
            let bound = level.hard_limit().min(level.soft_limit());
            let after = ledger.used.load(Ordering::Relaxed).checked_add(bytes);
            let after = after.and_then(|after| after.checked_add(spare));
            after.is_some_and(|after| after <= bound) && !ledger.over_soft.load(Ordering::Relaxed)
        })
    }

    /// Recalls what credits at or below this account hold unused, then runs `retry`, before anybody can borrow again. If that
    /// fails, it was not for want of what is lent.
    ///
    /// Takes a lock; who else is about to be refused here waits for it. `retry` must not recall.
    pub(super) fn recall_then<T, E>(&self, retry: impl Fn() -> Result<T, E>) -> Result<T, E> {
        self.ledger().credits.with(|lines| {
            if nothing_is_lent(lines) {
                let outcome = retry();
                // Else somebody has borrowed in between.
                if outcome.is_ok() || nothing_is_lent(lines) {
                    return outcome;
                }
            }
            recall_from(lines, retry)
        })
    }

    /// How full this account is, if that leaves no room for so many bytes though nothing is lent: there is nothing to recall then,
    /// as [`recall_then`](Self::recall_then) finds. Takes the same lock.
    pub(super) fn full_with_nothing_lent(&self, bytes: usize) -> Option<Full> {
        self.ledger().credits.with(|lines| {
            let full = if nothing_is_lent(lines) { self.full_here(bytes) } else { None };
            full.filter(|_| nothing_is_lent(lines))
        })
    }

    /// Recalls what credits at or below this account hold, and what they are borrowing at this moment.
    ///
    /// The lock is taken even if none is known: a credit made later, which takes it too, then sees the new limit.
    pub(super) fn recall_all(&self) {
        self.ledger().credits.with(|lines| {
            if wanted::LENDING.is_set() {
                recall_from(lines, || ());
            }
        });
    }
}

/// Whoever borrowed what a charge lacks had told so before: see `Mode::add`.
fn nothing_is_lent(lines: &[Arc<Line>]) -> bool {
    lines.iter().all(|line| line.most.load(Ordering::Relaxed) == 0)
}

fn recall_from<R>(lines: &[Arc<Line>], retry: impl FnOnce() -> R) -> R {
    if lines.is_empty() {
        return retry();
    }
    for line in lines {
        line.recalls.fetch_add(1, Ordering::SeqCst);
    }
    after_rmw();
    // Where holders rely on the barrier and it fails (a filter on system calls), what they hold cannot be recalled.
    let seen = barrier::heavy();
    for line in lines.iter().filter(|line| seen || !line.light) {
        // Acquire: what the holder did to `unused`. SeqCst for those who turn it by a read-modify-write.
        while line.busy.load(Ordering::SeqCst) {
            relax();
        }
        line.most.store(0, Ordering::Relaxed);
        let unused = line.unused.swap(0, Ordering::Relaxed);
        // No event can be due: while one is, nothing is lent.
        let _ = line.account.uncharge_quietly(unused, false);
    }
    let outcome = retry();
    for line in lines {
        // Release: what was done to `unused`, to the holder.
        line.recalls.fetch_sub(1, Ordering::Release);
    }
    outcome
}

impl<M: Mode> Account<M> {
    /// How many credits of this tree are no more, to tell whether one went meanwhile.
    pub(super) fn credits_gone(&self) -> usize {
        let shared = M::as_shared(self).filter(|_| wanted::LENDING.is_set());
        // Acquire: what they have given back.
        shared.map_or(0, |account| account.top().ledger().credits_gone.load(Ordering::Acquire))
    }
}

impl<'a, M: Mode> Shortfall<'a, M> {
    /// The account that refused, if some of it is lent.
    pub(super) fn lender(&self) -> Option<&'a Account<Shared>> {
        match self.level {
            Level::Here(account) => M::as_shared(account).filter(|account| account.lends()),
            // The credit's own account has tried already.
            Level::Above(..) => None,
        }
    }
}

#[cfg(test)]
#[cfg(feature = "std")]
mod tests {
    use super::*;
    use crate::account::Pressure;
    use std::vec::Vec;

    // Without the kernel's barrier: a way that no test takes on a machine that has it.
    #[test]
    fn threads_without_the_barrier_never_pass_the_limit() {
        let account = Account::new("a", 2000);
        let held = crate::sync::Count::new(0);
        std::thread::scope(|scope| {
            for light in [false, barrier::heavy_works(), false] {
                let (account, held) = (&account, &held);
                scope.spawn(move || {
                    let credit = account.credit_with(100, light);
                    for round in 0..if cfg!(miri) { 40 } else { 5000 } {
                        let mut claims = Vec::new();
                        for bytes in 0..round % 40 {
                            let Ok(claim) = credit.try_reserve(bytes) else { break };
                            assert!(held.fetch_add(bytes, Ordering::SeqCst) + bytes <= 2000);
                            claims.push(claim);
                        }
                        for claim in claims {
                            held.fetch_sub(claim.bytes(), Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        assert_eq!((account.used(), account.ledger().used.load(Ordering::Relaxed)), (0, 0));
        assert!(account.peak() <= 2000);
    }

    // A list that is locked for want of credits that nobody ever made: an interrupt handler that charges while it is would
    // wait for ever.
    #[test]
    fn who_crosses_a_bound_locks_nothing_where_nothing_is_lent() {
        let account = Account::builder("a").hard_limit(100).soft_limit(50).build();
        let (done, outcome) = std::sync::mpsc::channel();
        let theirs = account.clone();
        let work = move || {
            let held = theirs.try_reserve(60).unwrap();
            let seen = (theirs.try_reserve(60).is_err(), theirs.used(), theirs.pressure());
            drop((held, theirs.charge_external(200)));
            done.send((seen, theirs.pressure())).unwrap();
        };
        let limit = std::time::Duration::from_secs(20);
        let (thread, seen) =
            account.ledger().credits.with(|_| (std::thread::spawn(work), outcome.recv_timeout(limit)));
        thread.join().unwrap();
        assert_eq!(seen, Ok(((true, 60, Pressure::Moderate), Pressure::None)));
    }

    // What is lent called back though no bound is passed, and nobody is short of it.
    #[test]
    fn what_is_lent_stays_so_up_to_the_bounds() {
        for (soft, hard, recalled) in [(30, 100, false), (100, 30, false), (29, 100, true), (100, 29, true)] {
            let account = Account::builder("a").hard_limit(200).soft_limit(200).build();
            let credit = account.credit(40);
            let claim = credit.try_reserve(10).unwrap();
            assert_eq!((account.ledger().used.load(Ordering::Relaxed), credit.unused()), (30, 20));
            // As if it were changed by another thread at this moment.
            account.ledger().soft_limit.store(soft, Ordering::Relaxed);
            account.ledger().hard_limit.store(hard, Ordering::Relaxed);
            account.watch();
            assert_eq!(credit.unused() == 0, recalled, "{soft}, {hard}");
            drop(claim);
        }
    }

    // A size so large that sums with it wrap.
    #[test]
    fn a_credit_of_any_size_is_safe() {
        let account = Account::builder("a").build();
        let credit = account.credit(usize::MAX);
        let claim = credit.try_reserve(1).unwrap();
        assert_eq!((account.used(), credit.unused()), (1, usize::MAX >> 5));
        drop(claim);
        let all = account.try_reserve(usize::MAX).unwrap();
        assert_eq!((account.used(), credit.unused()), (usize::MAX, 0));
        drop((all, credit));
        let none = account.credit(0);
        drop(none.try_reserve(7).unwrap());
        assert_eq!((none.unused(), account.used()), (0, 0));
    }
}
