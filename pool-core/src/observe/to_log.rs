//! Events as records of the `log` facade.

use super::{Leak, Observer, Refusal, Removal};
use crate::account::Pressure;
use crate::bytes::Bytes;
use core::fmt::Debug;

/// Writes a pool's events to the [`log`] facade, with the target `pool`: what was refused or leaked as warnings, pressure
/// and leases that ended after all as information, what was made and destroyed for debugging.
#[derive(Clone, Copy, Debug)]
pub struct ToLog {
    name: &'static str,
}

impl ToLog {
    /// For the pool of this name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name }
    }
}

impl<K: Debug + ?Sized> Observer<K> for ToLog {
    fn created(&self, key: &K, bytes: usize) {
        log::debug!(target: "pool", "{}: created {key:?}, {}", self.name, Bytes(bytes));
    }
    fn removed(&self, key: &K, bytes: usize, why: Removal) {
        log::debug!(target: "pool", "{}: removed {key:?}, {}: {}", self.name, Bytes(bytes), why.name());
    }
    fn refused(&self, key: &K, why: Refusal<'_>) {
        match why {
            Refusal::OverBudget(refusal) => {
                log::warn!(target: "pool", "{}: refused {key:?}: {refusal}", self.name)
            }
            _ => log::warn!(target: "pool", "{}: refused {key:?}: {}", self.name, why.name()),
        }
    }
    fn pressure(&self, pressure: Pressure) {
        log::info!(target: "pool", "{}: pressure {pressure:?}", self.name);
    }
    fn leaked(&self, key: &K, leak: &Leak) {
        let Leak { bytes, age, site, .. } = leak;
        log::warn!(target: "pool", "{}: {key:?} of {site} is out for {age}, {}", self.name, Bytes(*bytes));
    }
    fn returned(&self, key: &K, leak: &Leak) {
        log::info!(target: "pool", "{}: {key:?} of {} ended after {}", self.name, leak.site, leak.age);
    }
}
