//! A miss: reserve the bytes, make the object, settle the difference.

use crate::account::{Account, OverBudget, Reservation};
use crate::error::AcquireError;
use crate::lifecycle::Factory;

/// An object that was just made, and the claim on its bytes if the pool has an account.
pub(crate) struct Made<T> {
    pub(crate) object: T,
    pub(crate) bytes: usize,
    pub(crate) claim: Option<Reservation>,
}

impl<T> Made<T> {
    /// Undoes the charge, then destroys the object.
    pub(crate) fn destroy(self) {
        drop(self.claim);
        drop(self.object);
    }
}

/// Makes an object. `reserve` claims bytes, after making room if the pool can.
///
/// Nothing of the pool may be borrowed: `reserve` and the factory run user code. If anything fails or panics, the
/// claims are dropped, and with them the charge.
pub(crate) fn create<K, F: Factory<K>>(
    factory: &F,
    key: &K,
    account: Option<&Account>,
    reserve: impl Fn(&Account, usize) -> Result<Reservation, OverBudget>,
) -> Result<Made<F::Object>, AcquireError<F::Error>> {
    let estimate = factory.estimate(key);
    let claim =
        account.map(|account| reserve(account, estimate)).transpose().map_err(AcquireError::OverBudget)?;
    let object = factory.create(key).map_err(AcquireError::Create)?;
    let bytes = factory.measure(&object);
    let mut made = Made { object, bytes, claim };
    if let (Some(account), Some(claim)) = (account, &mut made.claim) {
        if let Some(surplus) = estimate.checked_sub(bytes) {
            // Cannot fail: the claim holds the estimate.
            let _ = claim.shrink(surplus);
        } else {
            match reserve(account, bytes - estimate) {
                Ok(more) => claim.absorb(more),
                Err(refusal) => {
                    made.destroy();
                    return Err(AcquireError::OverBudget(refusal));
                }
            }
        }
    }
    Ok(made)
}
