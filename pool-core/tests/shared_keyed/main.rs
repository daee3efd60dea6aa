//! Keyed pools for threads, their classes, and pools that give idle objects back to one another.
#![cfg(feature = "lock_api")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod classes;
mod several;
mod threads;
mod worth;

use parking_lot::RawMutex;
use pool_core::{
    Account, Factory, Footprint, Growing, KeepAll, KeyedPool, KeyedPoolBuilder, Local, NoClock,
    SharedKeyedPool, Silent,
};
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

/// An object of as many bytes as its key says.
#[derive(Debug)]
struct Block(usize);

impl Footprint for Block {
    fn footprint(&self) -> usize {
        self.0
    }
}

#[derive(Clone, Copy)]
struct Blocks;

impl Factory<usize> for Blocks {
    type Object = Block;
    type Error = Infallible;
    fn create(&self, &bytes: &usize) -> Result<Block, Infallible> {
        Ok(Block(bytes))
    }
    fn estimate(&self, &bytes: &usize) -> usize {
        bytes
    }
    fn measure(&self, block: &Block) -> usize {
        block.0
    }
}

/// As [`Blocks`], which cost to make again what this says of their key.
struct Costly(fn(usize) -> u32);

impl Factory<usize> for Costly {
    type Object = Block;
    type Error = Infallible;
    fn create(&self, bytes: &usize) -> Result<Block, Infallible> {
        Blocks.create(bytes)
    }
    fn estimate(&self, bytes: &usize) -> usize {
        Blocks.estimate(bytes)
    }
    fn measure(&self, block: &Block) -> usize {
        Blocks.measure(block)
    }
    fn cost(&self, &key: &usize, _: &Block) -> u32 {
        (self.0)(key)
    }
}

type Pool = Arc<SharedKeyedPool<usize, Blocks, RawMutex>>;

fn pool(account: &Account) -> Pool {
    KeyedPoolBuilder::new(Blocks).account(account.clone()).build_shared::<RawMutex>()
}

fn idle_keys(pool: &Pool) -> Vec<usize> {
    let mut keys: Vec<usize> =
        pool.keys().into_iter().filter(|(_, s)| s.idle > 0).map(|(key, _)| key).collect();
    keys.sort_unstable();
    keys
}

type LocalPool = Rc<KeyedPool<usize, Costly, KeepAll, NoClock, Growing, Silent, Local>>;

fn evicted<const N: usize>(pools: [&LocalPool; N]) -> [u64; N] {
    pools.map(|pool| pool.stats().evicted)
}
