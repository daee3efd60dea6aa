//! From the core's errors to ours, and once more if other pools of the budget can make room.

use crate::error::WebError;
use crate::memory::AudioMemory;
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

/// Acquires; if the budget refuses and other pools can make room, acquires again.
pub(crate) fn retry<T>(
    memory: Option<&AudioMemory>,
    acquire: impl Fn() -> Result<T, AcquireError<WebError>>,
) -> Result<T, WebError> {
    let outcome = match (acquire(), memory) {
        (Err(AcquireError::OverBudget(refusal)), Some(memory)) if memory.make_room_for(&refusal) => acquire(),
        (outcome, _) => outcome,
    };
    if let Some(memory) = memory {
        memory.deliver();
    }
    outcome.map_err(from_core)
}
