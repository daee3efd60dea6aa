//! Events as counters of the `metrics` facade.

use super::{Leak, Observer, Refusal, Removal};
use crate::account::Pressure;
use metrics::{counter, gauge};

/// Counts a pool's events by the [`metrics`] facade, labelled with the pool's name and not with keys, of which there may
/// be any number:
///
/// | metric | labels | |
/// |---|---|---|
/// | `pool_created_total`, `pool_created_bytes_total` | `pool` | objects made |
/// | `pool_removed_total`, `pool_removed_bytes_total` | `pool`, `why` | objects that left, by [`Removal`] |
/// | `pool_refused_total` | `pool`, `why` | acquires and prewarmings refused, by [`Refusal`] |
/// | `pool_leaked_total`, `pool_returned_total` | `pool` | leases that were out too long, and those of them that ended after all |
/// | `pool_pressure` | `pool` | 0, 1 or 2 |
///
/// What was created less what was removed is what the pool holds, in objects, as long as there is one: when it is dropped, nobody
/// is told of what it still holds. Call [`close`](crate::KeyedPool::close) before, and the two come to the same. In bytes this is so
/// for objects that weigh the same all their lives: nobody is told of a weight that has changed when it is measured at a release.
///
/// Hits and leases are told to no observer; sample [`stats`](crate::KeyedPool::stats) for those.
#[derive(Clone, Copy, Debug)]
pub struct ToMetrics {
    name: &'static str,
}

impl ToMetrics {
    /// For the pool of this name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name }
    }
}

impl<K: ?Sized> Observer<K> for ToMetrics {
    fn created(&self, _: &K, bytes: usize) {
        counter!("pool_created_total", "pool" => self.name).increment(1);
        counter!("pool_created_bytes_total", "pool" => self.name).increment(bytes as u64);
    }
    fn removed(&self, _: &K, bytes: usize, why: Removal) {
        counter!("pool_removed_total", "pool" => self.name, "why" => why.name()).increment(1);
        counter!("pool_removed_bytes_total", "pool" => self.name, "why" => why.name())
            .increment(bytes as u64);
    }
    fn refused(&self, _: &K, why: Refusal<'_>) {
        counter!("pool_refused_total", "pool" => self.name, "why" => why.name()).increment(1);
    }
    fn pressure(&self, pressure: Pressure) {
        gauge!("pool_pressure", "pool" => self.name).set(f64::from(pressure as u8));
    }
    fn leaked(&self, _: &K, _: &Leak) {
        counter!("pool_leaked_total", "pool" => self.name).increment(1);
    }
    fn returned(&self, _: &K, _: &Leak) {
        counter!("pool_returned_total", "pool" => self.name).increment(1);
    }
}
