//! Events as those of `tracing`.

use super::{Leak, Observer, Refusal, Removal};
use crate::account::Pressure;
use core::fmt::Debug;

/// Sends a pool's events to [`tracing`], with the target `pool` and fields of their numbers: what was refused or leaked as
/// warnings, pressure and leases that ended after all as information, what was made and destroyed for debugging.
#[derive(Clone, Copy, Debug)]
pub struct ToTracing {
    name: &'static str,
}

impl ToTracing {
    /// For the pool of this name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name }
    }
}

impl<K: Debug + ?Sized> Observer<K> for ToTracing {
    fn created(&self, key: &K, bytes: usize) {
        tracing::debug!(target: "pool", pool = self.name, ?key, bytes, "created");
    }
    fn removed(&self, key: &K, bytes: usize, why: Removal) {
        tracing::debug!(target: "pool", pool = self.name, ?key, bytes, why = why.name(), "removed");
    }
    fn refused(&self, key: &K, why: Refusal<'_>) {
        match why {
            Refusal::OverBudget(refusal) => {
                tracing::warn!(
                    target: "pool", pool = self.name, ?key, why = why.name(),
                    account = refusal.account.name(), requested = refusal.requested, free = refusal.free,
                    evictable = refusal.evictable, "refused"
                );
            }
            _ => tracing::warn!(target: "pool", pool = self.name, ?key, why = why.name(), "refused"),
        }
    }
    fn pressure(&self, pressure: Pressure) {
        tracing::info!(target: "pool", pool = self.name, ?pressure, "pressure");
    }
    fn leaked(&self, key: &K, leak: &Leak) {
        let Leak { bytes, age, site, .. } = leak;
        tracing::warn!(target: "pool", pool = self.name, ?key, bytes, age, %site, "leaked");
    }
    fn returned(&self, key: &K, leak: &Leak) {
        let Leak { bytes, age, site, .. } = leak;
        tracing::info!(target: "pool", pool = self.name, ?key, bytes, age, %site, "returned");
    }
}
