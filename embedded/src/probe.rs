//! Objects that tell how often each was made, reset and destroyed.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use pool_core::{Account, Factory, Ledger, Resetter, Verdict};

/// Most objects that one check makes.
const OBJECTS: usize = 64;

/// What happened to objects since the check began, and what is to happen next.
///
/// Only loads and stores: a Cortex-M0 has no other atomics, and one check runs at a time.
pub struct Probe {
    made: AtomicUsize,
    /// How often each was destroyed, by serial number.
    destroyed: [AtomicUsize; OBJECTS],
    /// Resets so far.
    resets: AtomicUsize,
    /// Bytes that the next object is expected to hold, and that objects hold.
    pub(crate) estimate: AtomicUsize,
    pub(crate) size: AtomicUsize,
    pub(crate) fail: AtomicBool,
    pub(crate) discard: AtomicBool,
}

/// The one that every [`Item`] reports to.
pub(crate) static PROBE: Probe = Probe {
    made: AtomicUsize::new(0),
    destroyed: [const { AtomicUsize::new(0) }; OBJECTS],
    resets: AtomicUsize::new(0),
    estimate: AtomicUsize::new(SIZE),
    size: AtomicUsize::new(SIZE),
    fail: AtomicBool::new(false),
    discard: AtomicBool::new(false),
};

/// Bytes of an object unless a check says otherwise.
pub(crate) const SIZE: usize = 100;

/// Everything, and a part of it that pools are charged to.
pub(crate) static RAM: Ledger = Ledger::new("ram", usize::MAX);
pub(crate) static POOLS: Ledger = Ledger::child("pools", usize::MAX, Account::from_static(&RAM));

impl Probe {
    /// Forgets everything, and lifts the limits of the accounts.
    pub(crate) fn reset(&self) {
        for account in [RAM.account(), POOLS.account()] {
            assert_eq!(account.used(), 0, "an earlier check left bytes in {account:?}");
            account.set_hard_limit(usize::MAX);
            account.reset_peak();
        }
        self.destroyed.iter().for_each(|times| times.store(0, Relaxed));
        for count in [&self.made, &self.resets] {
            count.store(0, Relaxed);
        }
        self.estimate.store(SIZE, Relaxed);
        self.size.store(SIZE, Relaxed);
        self.fail.store(false, Relaxed);
        self.discard.store(false, Relaxed);
    }

    /// Objects made.
    pub fn made(&self) -> usize {
        self.made.load(Relaxed)
    }

    /// Resets so far.
    pub(crate) fn resets(&self) -> usize {
        self.resets.load(Relaxed)
    }

    /// Objects destroyed; panics if one was destroyed twice.
    pub fn destroyed(&self) -> usize {
        self.destroyed
            .iter()
            .enumerate()
            .map(|(serial, times)| match times.load(Relaxed) {
                times @ 0..=1 => times,
                times => panic!("object {serial} was destroyed {times} times"),
            })
            .sum()
    }
}

fn count(counter: &AtomicUsize) -> usize {
    let before = counter.load(Relaxed);
    counter.store(before + 1, Relaxed);
    before
}

/// An object with a serial number.
#[derive(Debug)]
pub struct Item {
    /// Which it is, in the order in which they were made.
    pub serial: usize,
    /// What its holder writes into it; a reset makes it 0.
    pub value: u32,
}

impl Drop for Item {
    fn drop(&mut self) {
        count(&PROBE.destroyed[self.serial]);
    }
}

/// The factory failed, as it was told to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused;

/// Makes items.
#[derive(Debug)]
pub struct Maker;

impl Factory for Maker {
    type Object = Item;
    type Error = Refused;

    fn create(&self, _: &()) -> Result<Item, Refused> {
        if PROBE.fail.load(Relaxed) {
            return Err(Refused);
        }
        Ok(Item { serial: count(&PROBE.made), value: 0 })
    }

    fn estimate(&self, _: &()) -> usize {
        PROBE.estimate.load(Relaxed)
    }

    fn measure(&self, _: &Item) -> usize {
        PROBE.size.load(Relaxed)
    }
}

/// Resets items, or discards them as it was told to.
#[derive(Debug)]
pub struct Washer;

impl Resetter<Item> for Washer {
    fn reset(&self, item: &mut Item) -> Verdict {
        count(&PROBE.resets);
        item.value = 0;
        if PROBE.discard.load(Relaxed) { Verdict::Discard } else { Verdict::Keep }
    }
}
