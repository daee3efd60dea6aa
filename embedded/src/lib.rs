//! What the pools that need no allocator promise, as checks that a microcontroller can run.
//!
//! [`checks`] has all of them; the program runs each on its target, the test on the host. A check that fails panics.
//! They share one [`Probe`], so they must run one after the other.
#![no_std]

mod account;
mod pools;
mod probe;

use pool_core::{FixedLocalPool, StaticPool};

pub use probe::{Item, Maker, Probe, Washer};

/// One promise, checked by calling it.
#[derive(Clone, Copy)]
pub struct Check {
    /// Which kind of pool it is about, or `account`.
    pub kind: &'static str,
    /// What is promised.
    pub name: &'static str,
    /// Panics if the promise is broken.
    pub run: fn(),
}

/// Objects that the pools of the checks can hold.
pub const ROOM: usize = 8;

/// Every check.
pub fn checks() -> impl Iterator<Item = Check> {
    let local = pools::checks::<FixedLocalPool<Maker, ROOM, Washer>>();
    account::CHECKS.iter().copied().chain(local).chain(pools::checks::<StaticPool<Maker, ROOM, Washer>>())
}
