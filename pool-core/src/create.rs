//! The bytes of an object: claimed and settled when it is made, and again when it comes back.

use crate::account::{Account, Claim, Mode, OverBudget, Shared};
use crate::error::AcquireError;
use crate::lifecycle::Factory;

/// An object that was just made, and the claim on its bytes if the pool has an account.
pub(crate) struct Made<'a, T, M: Mode = Shared> {
    pub(crate) object: T,
    pub(crate) bytes: usize,
    pub(crate) claim: Option<Claim<'a, M>>,
}

impl<T, M: Mode> Made<'_, T, M> {
    /// Undoes the charge, then destroys the object.
    pub(crate) fn destroy(self) {
        drop(self.claim);
        drop(self.object);
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
    make(factory, key, claim, grow)
}

/// The same for who has claimed the estimate already.
pub(crate) fn make<'a, K, F: Factory<K>, M: Mode>(
    factory: &F,
    key: &K,
    claim: Option<Claim<'a, M>>,
    grow: impl Fn(&mut Claim<'a, M>, usize) -> Result<(), OverBudget>,
) -> Result<Made<'a, F::Object, M>, AcquireError<F::Error>> {
    let object = factory.create(key).map_err(AcquireError::Create)?;
    let bytes = factory.measure(&object);
    let mut made = Made { object, bytes, claim };
    if let Some(claim) = &mut made.claim {
        if let Some(more) = bytes.checked_sub(claim.bytes()).filter(|&more| more > 0) {
            if let Err(refusal) = grow(claim, more) {
                made.destroy();
                return Err(AcquireError::OverBudget(refusal));
            }
        } else if bytes < claim.bytes() {
            claim.shrink_to(bytes);
        }
    }
    Ok(made)
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
