//! What only keyed pools promise: one order across all keys, bounds per key, time, pressure, a budget for all.
//!
//! A module for each subject; here is what they all use. What they share with the other kinds is in `contract.rs`; whether
//! all of it holds together in `model.rs`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bounds;
mod budget;
mod callbacks;
mod keys;
mod order;
mod pressure;
mod time;

use pool_core::{AcquireError, Factory, KeepAll, KeyedPool, KeyedPoolBuilder, OverBudget, Storage};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Objects of as many bytes as their key says.
#[derive(Default)]
struct Sized {
    made: Cell<u32>,
    destroyed: Rc<RefCell<Vec<u32>>>,
    fail: Cell<bool>,
}

#[derive(Debug)]
struct Object {
    /// Their number, from 1 on.
    serial: u32,
    bytes: usize,
    destroyed: Rc<RefCell<Vec<u32>>>,
}

impl Drop for Object {
    fn drop(&mut self) {
        self.destroyed.borrow_mut().push(self.serial);
    }
}

#[derive(PartialEq, Eq, Debug)]
struct Refused;

impl Factory<usize> for Sized {
    type Object = Object;
    type Error = Refused;

    fn create(&self, &bytes: &usize) -> Result<Object, Refused> {
        if self.fail.get() {
            return Err(Refused);
        }
        self.made.set(self.made.get() + 1);
        Ok(Object { serial: self.made.get(), bytes, destroyed: Rc::clone(&self.destroyed) })
    }
    fn estimate(&self, &bytes: &usize) -> usize {
        bytes
    }
    fn measure(&self, object: &Object) -> usize {
        object.bytes
    }
}

type Builder = KeyedPoolBuilder<usize, Sized>;
type Pool<C = pool_core::NoClock, S = pool_core::Growing> = KeyedPool<usize, Sized, KeepAll, C, S>;

fn builder() -> Builder {
    KeyedPoolBuilder::new(Sized::default())
}

/// Makes an object of each key, leased together, and releases them in this order: the first is the oldest.
fn fill<C: pool_core::Clock, S: Storage>(pool: &Pool<C, S>, keys: &[usize]) {
    let leases: Vec<_> = keys.iter().map(|key| pool.acquire(key).unwrap()).collect();
    leases.into_iter().for_each(drop);
}

fn destroyed<C: pool_core::Clock, S: Storage>(pool: &Pool<C, S>) -> Vec<u32> {
    pool.factory().destroyed.take()
}

/// The keys of the idle objects, the one released longest ago first.
fn order<C: pool_core::Clock, S: Storage>(pool: &Pool<C, S>) -> Vec<usize> {
    let mut keys = Vec::new();
    pool.retain(|&key, _| (keys.push(key), true).1);
    keys
}

fn over_budget<T>(result: Result<T, AcquireError<Refused>>) -> OverBudget {
    match result {
        Err(AcquireError::OverBudget(refusal)) => refusal,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it fits"),
    }
}

// A pool that says it is closed when it is not, to who knows only the trait.
#[test]
fn a_pool_is_open_until_it_is_closed() {
    let pool = builder().build();
    assert!(!pool_core::Pool::is_closed(&pool));
    pool_core::Pool::close(&pool);
    assert!(pool_core::Pool::is_closed(&pool) && pool.is_closed());
}

// Debug output that says nothing, or all that is in it.
#[test]
fn debug_is_a_line_of_numbers() {
    let pool = builder().build();
    fill(&pool, &[10, 20]);
    assert_eq!(format!("{pool:?}"), format!("KeyedPool({})", pool.stats()));
    assert!(format!("{pool:?}").contains("idle 2/2"), "{pool:?}");
}
