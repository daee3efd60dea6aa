//! Keyed pools: quarantine, soft limits of time, eviction by cost, bounded slices, observers, leaks.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cost;
mod leaks;
mod observers;
mod panics;
mod quarantine;
mod slices;

use pool_core::{Factory, Growing, KeyedPool, Leak, Observer, Pressure, Refusal, Removal, Resetter, Verdict};
use std::cell::{Cell, RefCell};

/// An object of so many bytes, the number of which is its key.
struct Block(usize);

/// Makes blocks; those of key 13 cannot be made.
struct Blocks;

impl Factory<usize> for Blocks {
    type Object = Block;
    type Error = &'static str;
    fn create(&self, &bytes: &usize) -> Result<Block, &'static str> {
        if bytes == 13 { Err("thirteen") } else { Ok(Block(bytes)) }
    }
    fn estimate(&self, &bytes: &usize) -> usize {
        bytes
    }
    fn measure(&self, block: &Block) -> usize {
        block.0
    }
    /// As many units as a tenth of the bytes, and a great many for multiples of 100.
    fn cost(&self, &key: &usize, _: &Block) -> u32 {
        (if key % 100 == 0 { 1000 * key } else { key / 10 }) as u32
    }
}

/// Keeps blocks until it is told otherwise.
#[derive(Default)]
struct Washer {
    discard: Cell<bool>,
    panic: Cell<bool>,
    washed: Cell<u32>,
}

impl Resetter<Block> for &Washer {
    fn reset(&self, _: &mut Block) -> Verdict {
        self.washed.set(self.washed.get() + 1);
        assert!(!self.panic.get(), "as planned");
        if self.discard.get() { Verdict::Discard } else { Verdict::Keep }
    }
}

fn idle<F: Factory<usize>, R: Resetter<F::Object>, C: pool_core::Clock, O: Observer<usize>>(
    pool: &KeyedPool<usize, F, R, C, Growing, O>,
) -> Vec<usize> {
    let mut keys = Vec::new();
    pool.retain(|&key, _| (keys.push(key), true).1);
    keys
}

#[derive(Default)]
struct Log(RefCell<Vec<String>>, Cell<bool>);

impl Log {
    fn add(&self, line: String) {
        self.0.borrow_mut().push(line);
        assert!(!self.1.take(), "as planned");
    }
    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

impl Observer<usize> for Log {
    fn created(&self, key: &usize, bytes: usize) {
        self.add(format!("created {key} {bytes}"));
    }
    fn removed(&self, key: &usize, bytes: usize, why: Removal) {
        self.add(format!("removed {key} {bytes} {why:?}"));
    }
    fn refused(&self, key: &usize, why: Refusal<'_>) {
        let why = match why {
            Refusal::OverBudget(refusal) => format!("over by {}", refusal.requested - refusal.free),
            other => format!("{other:?}"),
        };
        self.add(format!("refused {key} {why}"));
    }
    fn pressure(&self, pressure: Pressure) {
        self.add(format!("pressure {pressure:?}"));
    }
    fn leaked(&self, key: &usize, leak: &Leak) {
        self.add(format!("leaked {key} {} {} {}", leak.bytes, leak.age, leak.site.line()));
    }
    fn returned(&self, key: &usize, leak: &Leak) {
        self.add(format!("returned {key} {} {}", leak.bytes, leak.age));
    }
}

/// Hears, and says nothing.
struct Quiet;

impl Observer<usize> for Quiet {}
