//! One round: how long it took, and whether it was left alone.

use std::time::Duration;

/// What one round took.
#[derive(Debug, Clone, Copy)]
pub struct Lap {
    /// From start to end.
    pub time: Duration,
    /// Whether all that took part were running all the time.
    pub calm: bool,
}

/// How long this thread has waited for a processor so far, where the system tells.
pub(crate) fn waited() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split(' ').nth(1)?.parse().ok()
}
