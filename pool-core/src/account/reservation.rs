//! Claims on bytes: [`Reservation`], and the crate's own `Claim` that borrows its account.

use super::mode::{Mode, Shared};
use super::refusal::{OverBudget, Shortfall};
use super::{Account, Crossed, Tried};
use crate::sync::Ordering::Relaxed;
use core::fmt;

/// What a [`Reservation`] may be a claim on: an [`Account`], or a `Credit` by reference. There are no others.
pub trait Charge: sealed::Charge {}

pub(crate) mod sealed {
    use super::{Crossed, OverBudget, Tried};

    pub trait Charge: Clone {
        /// The charge, if that is a matter of a few instructions.
        fn charge_quickly(&self, bytes: usize, external: bool) -> Result<Crossed, Tried>;
        /// The same, whatever it takes.
        fn charge_bytes(&self, bytes: usize, external: bool, tried: Tried) -> Result<Crossed, OverBudget>;
        fn uncharge_bytes(&self, bytes: usize, external: bool);
        fn raise_events(&self);
    }
}

impl<M: Mode> Charge for Account<M> {}

impl<M: Mode> sealed::Charge for Account<M> {
    #[inline(always)]
    fn charge_quickly(&self, bytes: usize, external: bool) -> Result<Crossed, Tried> {
        self.charge_quickly(bytes, external)
    }

    // A page downloads each copy, so there it is not copied.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    #[cfg_attr(target_family = "wasm", inline(never))]
    fn charge_bytes(&self, bytes: usize, external: bool, tried: Tried) -> Result<Crossed, OverBudget> {
        match self.full_for(bytes, external, tried) {
            Some(full) => Err(Shortfall::of(self, bytes, full).refusal(None)),
            None => self.charge_slowly(bytes, external, tried).map_err(|short| short.refused_by(self)),
        }
    }

    #[inline(always)]
    fn uncharge_bytes(&self, bytes: usize, external: bool) {
        self.uncharge(bytes, external);
    }

    fn raise_events(&self) {
        self.watch();
    }
}

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
/// let sent = body.take();
/// assert_eq!((body.bytes(), sent.bytes(), account.used()), (0, 450, 500));
/// sent.free();
/// assert_eq!(account.used(), 50);
/// # Ok::<(), pool_core::OverBudget>(())
/// ```
#[must_use = "dropping a reservation gives its bytes back at once"]
#[derive(Debug)]
pub struct Reservation<A: Charge = Account> {
    account: A,
    bytes: usize,
    external: bool,
}

impl<A: Charge> Reservation<A> {
    #[inline]
    pub(crate) fn of(account: &A, bytes: usize, external: bool) -> Result<Self, OverBudget> {
        match account.charge_quickly(bytes, external) {
            Ok(crossed) => Ok(Self::charged(account, bytes, external, crossed)),
            Err(tried) => Self::of_slowly(account, bytes, external, tried),
        }
    }

    /// With the outcome written where the caller wants it, as of [`grow_slowly`](Self::grow_slowly): what holds a charge or an
    /// error is copied in other pieces than it was written in, which a processor waits for.
    #[cold]
    #[cfg_attr(not(target_family = "wasm"), inline(never))]
    fn of_slowly(account: &A, bytes: usize, external: bool, tried: Tried) -> Result<Self, OverBudget> {
        let crossed = account.charge_bytes(bytes, external, tried)?;
        Ok(Self::charged(account, bytes, external, crossed))
    }

    #[inline(always)]
    fn charged(account: &A, bytes: usize, external: bool, crossed: Crossed) -> Self {
        let claim = Self { account: account.clone(), bytes, external };
        if crossed.0 {
            claim.account.raise_events();
        }
        claim
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What they are charged to.
    #[must_use]
    pub fn account(&self) -> &A {
        &self.account
    }

    /// Claims `bytes` more. External claims grow past the limit, as they began.
    ///
    /// # Errors
    ///
    /// [`OverBudget`]; the reservation keeps what it had. The error holds its account, to be read later and anywhere: two atomic
    /// read-modify-writes, which of a local account and on credit are most of the cost of a refusal.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    pub fn try_grow(&mut self, bytes: usize) -> Result<(), OverBudget> {
        match self.account.charge_quickly(bytes, self.external) {
            Ok(crossed) => {
                self.grown(bytes, crossed);
                Ok(())
            }
            Err(tried) => self.grow_slowly(bytes, tried),
        }
    }

    #[cold]
    #[cfg_attr(not(target_family = "wasm"), inline(never))]
    fn grow_slowly(&mut self, bytes: usize, tried: Tried) -> Result<(), OverBudget> {
        let crossed = self.account.charge_bytes(bytes, self.external, tried)?;
        self.grown(bytes, crossed);
        Ok(())
    }

    #[inline(always)]
    fn grown(&mut self, bytes: usize, crossed: Crossed) {
        self.bytes += bytes;
        // The handlers come last: if one panics, the bytes are already this reservation's to give back.
        if crossed.0 {
            self.account.raise_events();
        }
    }

    /// Gives back `bytes` of it.
    ///
    /// # Errors
    ///
    /// [`NotHeld`] if it holds fewer; it then keeps what it had.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    pub fn shrink(&mut self, bytes: usize) -> Result<(), NotHeld> {
        self.bytes = self.without(bytes)?;
        self.account.uncharge_bytes(bytes, self.external);
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

    /// Moves all of it into a reservation of its own, and stays behind with nothing, able to grow again. The account
    /// sees no difference.
    pub fn take(&mut self) -> Self {
        let bytes = core::mem::take(&mut self.bytes);
        Self { account: self.account.clone(), bytes, external: self.external }
    }

    /// Gives everything back, as dropping does.
    pub fn free(self) {}

    /// Takes over the bytes of another claim, as the opposite of [`split`](Self::split). The account sees no difference.
    ///
    /// # Errors
    ///
    /// The other, as it was, if it is of another account, or only one of the two is external.
    pub fn merge(&mut self, other: Self) -> Result<(), Self>
    where
        A: PartialEq,
    {
        if self.account != other.account || self.external != other.external {
            return Err(other);
        }
        self.absorb(other);
        Ok(())
    }

    #[inline(always)]
    fn without(&self, bytes: usize) -> Result<usize, NotHeld> {
        self.bytes.checked_sub(bytes).ok_or(NotHeld { requested: bytes, held: self.bytes })
    }

    /// Takes over the bytes of another claim on the same account.
    pub(crate) fn absorb(&mut self, mut other: Self) {
        debug_assert!(self.external == other.external);
        // Cannot overflow: the account has charged both.
        self.bytes += core::mem::take(&mut other.bytes);
    }
}

impl<A: Charge> Drop for Reservation<A> {
    #[inline]
    fn drop(&mut self) {
        if self.bytes != 0 {
            self.account.uncharge_bytes(self.bytes, self.external);
        }
    }
}

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

/// A [`Reservation`] that borrows its account, for the time in which an object is made.
pub(crate) struct Claim<'a, M: Mode = Shared> {
    account: &'a Account<M>,
    bytes: usize,
    /// Whether events have to be raised.
    crossed: bool,
}

impl<'a, M: Mode> Claim<'a, M> {
    pub(crate) fn on(account: &'a Account<M>) -> Self {
        Self { account, bytes: 0, crossed: false }
    }

    /// Takes over bytes that stay charged though what they were charged for is going.
    pub(crate) fn take_over(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Claims what is missing for `total`. The error, if that is refused or if holding `total` and no more would still pass a
    /// limit: the bytes by which it is over, where it is over by most; [`shortfall`](Self::shortfall) says more.
    ///
    /// Calls no handler, so a lock may be held; [`settle`](Self::settle) follows when it is not.
    // A page downloads each copy, so there it is not copied.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    pub(crate) fn fill(&mut self, total: usize) -> Result<(), usize> {
        // Most accounts are like this: one count and one limit.
        if let Some(tree) = self.account.tree() {
            return (tree.fill)(self, total);
        }
        let ledger = self.account.ledger();
        let short = if self.bytes < total {
            let missing = total - self.bytes;
            match Account::<M>::add(ledger, missing, false, &mut self.crossed) {
                Ok(used) => {
                    self.bytes = total;
                    self.crossed |= Account::<M>::record(ledger, missing, false, used);
                    return Ok(());
                }
                Err(full) => full.short_by(missing),
            }
        } else {
            let limit = self.account.hard_limit();
            let rest = ledger.used.load(Relaxed).saturating_sub(self.bytes - total);
            if rest <= limit {
                return Ok(());
            }
            rest - limit
        };
        if self.account.lends() { self.fill_levels(total) } else { Err(short) }
    }

    /// The same where there are accounts above, or bytes that were lent and may be called back.
    #[cold]
    #[inline(never)]
    pub(super) fn fill_levels(&mut self, total: usize) -> Result<(), usize> {
        loop {
            if self.bytes < total {
                let missing = total - self.bytes;
                match self.account.charge(missing, false) {
                    Ok(crossed) => {
                        self.bytes += missing;
                        self.crossed |= crossed.0;
                        return Ok(());
                    }
                    Err(refused) => self.crossed |= refused.crossed,
                }
            } else if !self.account.overdrawn(self.bytes - total) {
                return Ok(());
            }
            // `None` if somebody has given back in between.
            if let Some(short) = self.shortfall(total) {
                return Err(short.bytes());
            }
        }
    }

    /// Gives back what it holds above `total`. Calls no handler, so that it is free before a lock is; [`settle`](Self::settle)
    /// follows when it is not held any more.
    pub(crate) fn give_back_above(&mut self, total: usize) {
        let surplus = self.bytes.saturating_sub(total);
        if surplus > 0 {
            self.bytes = total;
            self.crossed |= self.account.uncharge_noted(surplus).0;
        }
    }

    /// The same, and raises the events of what was claimed and given back.
    pub(crate) fn settle(&mut self, total: usize) {
        self.give_back_above(total);
        if core::mem::take(&mut self.crossed) {
            self.account.watch();
        }
    }

    /// Where it would be over by most if it were to hold `total`; `None` if that fits.
    #[cold]
    pub(crate) fn shortfall(&self, total: usize) -> Option<Shortfall<'a, M>> {
        self.account.shortfall_beyond(self.bytes, total)
    }

    #[inline]
    pub(crate) fn try_grow(&mut self, bytes: usize) -> Result<(), Shortfall<'a, M>> {
        let held = self.bytes;
        let crossed = self.account.charge(bytes, false).map_err(|short| {
            // Raised when this is dropped.
            self.crossed |= short.crossed;
            short.holding(held)
        })?;
        self.bytes += bytes;
        if crossed.0 {
            self.account.watch();
        }
        Ok(())
    }

    /// Gives back what it holds above `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let surplus = self.bytes.saturating_sub(bytes);
        self.bytes -= surplus;
        self.account.uncharge(surplus, false);
    }

    /// The same claim, by a handle of its own.
    #[cfg(feature = "alloc")]
    pub(crate) fn into_reservation(self) -> Reservation<Account<M>> {
        let reservation = Reservation { account: self.account.clone(), bytes: self.bytes, external: false };
        self.commit();
        reservation
    }

    /// The charge stays: whatever holds the bytes now uncharges them one day.
    pub(crate) fn commit(mut self) {
        self.bytes = 0;
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn account(&self) -> &'a Account<M> {
        self.account
    }
}

impl<M: Mode> Drop for Claim<'_, M> {
    fn drop(&mut self) {
        if self.bytes != 0 {
            self.account.uncharge(self.bytes, false);
        }
        if self.crossed {
            self.account.watch();
        }
    }
}

#[cfg(test)]
#[cfg(feature = "std")]
mod tests {
    use super::*;

    // Bytes that a claim keeps, loses or gives back twice, on each of the ways it can go.
    #[test]
    fn a_claim_gives_back_what_it_is_told() {
        let account = Account::new("a", 100);
        let mut claim = Claim::on(&account);
        assert!(claim.try_grow(60).is_ok() && claim.try_grow(41).is_err());
        assert_eq!((claim.bytes(), account.used()), (60, 60));
        claim.shrink_to(70); // holds no more than that: nothing to give back
        assert_eq!((claim.bytes(), account.used()), (60, 60));
        claim.shrink_to(20);
        assert_eq!((claim.bytes(), account.used()), (20, 20));
        drop(claim);
        assert_eq!(account.used(), 0);
        let mut claim = Claim::on(&account);
        assert!(claim.try_grow(7).is_ok());
        claim.commit();
        assert_eq!(account.used(), 7);
        let mut claim = Claim::on(&account);
        claim.take_over(7);
        claim.settle(5);
        assert_eq!((claim.bytes(), account.used()), (5, 5));
        drop(claim);
        assert_eq!(account.used(), 0);
    }

    // A sum that wraps, or one of several levels, taken for bytes that are nearly there.
    #[test]
    fn a_claim_says_how_much_it_is_short_by() {
        let root = Account::new("root", 50);
        let leaf = Account::builder("leaf").parent(&root).hard_limit(70).build();
        let endless = Account::new("endless", usize::MAX);
        let mut claim = Claim::on(&leaf);
        assert_eq!(claim.fill(80), Err(30));
        assert_eq!(claim.fill(50), Ok(()));
        let mut other = Claim::on(&root);
        assert_eq!((other.fill(7), other.fill(usize::MAX)), (Err(7), Err(usize::MAX)));
        let mut claim = Claim::on(&endless);
        assert_eq!((claim.fill(1), claim.fill(usize::MAX)), (Ok(()), Ok(())));
        let mut other = Claim::on(&endless);
        assert_eq!((other.fill(0), other.fill(1)), (Ok(()), Err(usize::MAX)));
    }

    // A bound that is off by one for who holds more than is needed already.
    #[test]
    fn a_claim_that_holds_more_is_filled_unless_the_rest_passes_a_limit() {
        let account = Account::new("a", 100);
        let external = account.charge_external(70).unwrap();
        let mut claim = Claim::on(&account);
        assert!(claim.try_grow(30).is_ok());
        account.set_hard_limit(90);
        // 70 and 20 are 90; 70 and 21 are not.
        assert_eq!([20, 21, 30].map(|total| claim.fill(total)), [Ok(()), Err(1), Err(10)]);
        assert_eq!(claim.bytes(), 30);
        drop(external);
        assert_eq!([30, 90, 91].map(|total| claim.fill(total)), [Ok(()), Ok(()), Err(1)]);
        assert_eq!((claim.bytes(), account.used()), (90, 90));
    }
}
