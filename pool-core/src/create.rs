//! The bytes of an object: claimed and settled when it is made, and again when it comes back.

use crate::account::{Account, Claim, Mode, OverBudget, Shared};
use crate::error::AcquireError;
use crate::lifecycle::Factory;
use crate::unwind::Outgoing;
use core::mem::ManuallyDrop;

/// Whether idle objects may go to make room for a new one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    MayEvict,
    AsItIs,
}

/// An object that was just made, and the claim on its bytes if the pool has an account: in this order, so that the charge is undone
/// before the object is destroyed.
pub(crate) struct Made<'a, T, M: Mode = Shared> {
    pub(crate) claim: Option<Claim<'a, M>>,
    pub(crate) object: Outgoing<T>,
    pub(crate) bytes: usize,
}

/// The same for a claim that stays where it is. If this is dropped the charge is undone, and the object is destroyed then; if that
/// is because somebody panics its destructor may do so, too.
pub(crate) struct Making<'c, 'a, T, M: Mode> {
    claim: &'c mut Option<Claim<'a, M>>,
    object: Outgoing<T>,
}

impl<T, M: Mode> Making<'_, '_, T, M> {
    #[inline(always)]
    pub(crate) fn object(&self) -> &T {
        self.object.get()
    }

    /// The claim stays as it is.
    #[inline(always)]
    pub(crate) fn into_object(self) -> T {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped nor used again, so the object is taken once.
        unsafe { core::ptr::read(&raw const this.object) }.into_inner()
    }
}

impl<T, M: Mode> Drop for Making<'_, '_, T, M> {
    #[cold]
    #[inline(never)]
    fn drop(&mut self) {
        *self.claim = None;
    }
}

/// Makes an object, which is to take `estimate` bytes. `grow` claims bytes, after making room if the pool can.
///
/// Nothing of the pool may be borrowed: `grow` and the factory run user code. If anything fails or panics, the
/// claim is dropped, and with it the charge.
pub(crate) fn create<'a, K, F: Factory<K>, M: Mode>(
    factory: &F,
    key: &K,
    estimate: usize,
    account: Option<&'a Account<M>>,
    grow: impl Fn(&mut Claim<'a, M>, usize) -> Result<(), OverBudget>,
) -> Result<Made<'a, F::Object, M>, AcquireError<F::Error>> {
    let mut claim = account.map(Claim::on);
    if let Some(claim) = &mut claim {
        grow(claim, estimate).map_err(AcquireError::OverBudget)?;
    }
    let (making, bytes) = make(factory, key, &mut claim, grow)?;
    let object = Outgoing::new(making.into_object());
    let mut made = Made { claim, object, bytes };
    // What is raised for it, now: nothing is in the pool's hands yet that a handler's panic could leave there.
    if let Some(claim) = &mut made.claim {
        claim.settle(bytes);
    }
    Ok(made)
}

/// The same for who has claimed the estimate already: the object, and its bytes. The claim stays where it is, and an object
/// that is a pointer stays in a register: what is stored word by word and then moved by larger ones the processor has to
/// wait for.
#[inline(always)]
pub(crate) fn make<'c, 'a, K, F: Factory<K>, M: Mode>(
    factory: &F,
    key: &K,
    claim: &'c mut Option<Claim<'a, M>>,
    grow: impl Fn(&mut Claim<'a, M>, usize) -> Result<(), OverBudget>,
) -> Result<(Making<'c, 'a, F::Object, M>, usize), AcquireError<F::Error>> {
    let object = Outgoing::new(factory.create(key).map_err(AcquireError::Create)?);
    let making = Making { claim, object };
    let bytes = factory.measure(making.object());
    if let Some(held) = making.claim
        && held.bytes() != bytes
        && let Err(refusal) = adjust(held, bytes, grow)
    {
        drop(making);
        return Err(AcquireError::OverBudget(refusal));
    }
    Ok((making, bytes))
}

#[cold]
fn adjust<'a, M: Mode>(
    claim: &mut Claim<'a, M>,
    bytes: usize,
    grow: impl Fn(&mut Claim<'a, M>, usize) -> Result<(), OverBudget>,
) -> Result<(), OverBudget> {
    match bytes.checked_sub(claim.bytes()) {
        Some(more) => grow(claim, more),
        None => {
            claim.shrink_to(bytes);
            Ok(())
        }
    }
}

/// Charges the change of an object's bytes from `before` to `after`; false if it grew and that does not fit. In
/// between `record` notes the new bytes.
pub(crate) fn recharge<M: Mode>(
    account: Option<&Account<M>>,
    before: usize,
    after: usize,
    record: impl FnOnce(),
) -> bool {
    if after == before {
        return true;
    }
    let mut claim = account.map(Claim::on);
    if let (Some(claim), Some(more)) = (&mut claim, after.checked_sub(before))
        && claim.try_grow(more).is_err()
    {
        return false;
    }
    record();
    // Last, because the account may call a handler, and that may panic: the object then has its new bytes.
    if let Some(claim) = claim {
        claim.commit();
    }
    if let (Some(account), Some(fewer)) = (account, before.checked_sub(after)) {
        account.uncharge(fewer, false);
    }
    true
}
