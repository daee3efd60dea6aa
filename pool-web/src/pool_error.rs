//! From the core's errors to ours.

use crate::error::WebError;
use pool_core::AcquireError;

pub(crate) fn from_core(error: AcquireError<WebError>) -> WebError {
    match error {
        AcquireError::Closed => WebError::PoolClosed,
        AcquireError::Exhausted { leased, max_objects: limit }
        | AcquireError::KeyExhausted { leased, max_per_key: limit } => WebError::Exhausted { leased, limit },
        AcquireError::OverBudget(refusal) => WebError::OverBudget(refusal),
        AcquireError::Create(error) => error,
        // Of a later version of the core: it must not be taken for success, and nothing more is known.
        _ => WebError::Unsupported { what: "this kind of refusal" },
    }
}
