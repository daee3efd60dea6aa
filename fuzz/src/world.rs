//! The objects of the pool under test, and who makes, resets and buries them. All of it is written down.

use crate::ops::estimate_of;
use pool_core::{Factory, Resetter, Verdict};
use std::cell::{Cell, RefCell};

/// What happened to objects, by their serial numbers, and what is to go wrong next.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) made: Cell<u64>,
    pub(crate) dropped: RefCell<Vec<u64>>,
    pub(crate) reset: RefCell<Vec<u64>>,
    pub(crate) fail_next: Cell<bool>,
    pub(crate) discard_next: Cell<bool>,
    pub(crate) misjudge_next: Cell<i8>,
}

/// The actual size of an object whose estimate is off by `by`.
pub(crate) fn size_of_next(key: u8, by: i8) -> usize {
    estimate_of(key).saturating_add_signed(isize::from(by))
}

/// An object that says who it is, and that it is gone.
pub(crate) struct Item<'w> {
    pub(crate) serial: u64,
    pub(crate) key: u8,
    pub(crate) bytes: usize,
    world: &'w World,
}

impl Drop for Item<'_> {
    fn drop(&mut self) {
        self.world.dropped.borrow_mut().push(self.serial);
    }
}

/// The factory said no.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused;

pub(crate) struct Maker<'w>(pub(crate) &'w World);

impl<'w> Factory<u8> for Maker<'w> {
    type Object = Item<'w>;
    type Error = Refused;

    fn create(&self, &key: &u8) -> Result<Item<'w>, Refused> {
        let world = self.0;
        if world.fail_next.take() {
            return Err(Refused);
        }
        let serial = world.made.get();
        world.made.set(serial + 1);
        Ok(Item { serial, key, bytes: size_of_next(key, world.misjudge_next.take()), world })
    }

    fn estimate(&self, &key: &u8) -> usize {
        estimate_of(key)
    }

    fn measure(&self, item: &Item<'w>) -> usize {
        item.bytes
    }
}

pub(crate) struct Washer<'w>(pub(crate) &'w World);

impl<'w> Resetter<Item<'w>> for Washer<'w> {
    fn reset(&self, item: &mut Item<'w>) -> Verdict {
        self.0.reset.borrow_mut().push(item.serial);
        if self.0.discard_next.take() { Verdict::Discard } else { Verdict::Keep }
    }
}
