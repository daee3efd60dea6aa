//! The page's clock for idle limits.

use crate::bindings;
use pool_core::{Clock, Tick};

/// Milliseconds since the page was opened. Pools read it only if they have a limit on idle time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageClock;

impl PageClock {
    /// A duration in ticks; negative and not-a-number are 0.
    pub(crate) fn ticks(milliseconds: f64) -> u64 {
        milliseconds as u64
    }
}

impl Clock for PageClock {
    fn now(&self) -> Tick {
        Tick(Self::ticks(bindings::now_ms()))
    }
}
