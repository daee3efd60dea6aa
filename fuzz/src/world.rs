//! The objects of the pool under test, and who makes, resets, watches and buries them. All of it is written down.

use crate::ops::{cost_of, estimate_of};
use pool_core::{Factory, Leak, Observer, Pressure, Refusal, Removal, Resetter, Verdict};
use send_wrapper::SendWrapper;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;

/// Where a pool calls user code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// `Factory::create`.
    Create,
    /// `Factory::measure`.
    Measure,
    /// `Resetter::reset`.
    Reset,
    /// `Factory::cost`.
    Cost,
    /// An object's destructor.
    Drop,
    /// Any method of the observer.
    Observer,
    /// A handler of account events.
    Event,
    /// The predicate of `retain`.
    Predicate,
}

/// What the panics of user code carry.
pub(crate) struct Planned;

/// What `act` returns; `None` if user code in it panicked as planned.
pub(crate) fn planned<T>(act: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(value) => Some(value),
        Err(panic) if panic.is::<Planned>() => None,
        Err(panic) => resume_unwind(panic),
    }
}

/// What an observer heard.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the arguments of `Observer`")]
pub enum Heard {
    Created { key: u8, bytes: usize },
    Removed { key: u8, bytes: usize, why: Removal },
    Refused { key: u8, why: &'static str },
    Pressure(Pressure),
    Leaked { key: u8, bytes: usize, since: u64, age: u64 },
    Returned { key: u8, bytes: usize, since: u64, age: u64 },
}

/// What happened to objects, by their serial numbers, and what is to go wrong next.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) made: Cell<u64>,
    pub(crate) dropped: RefCell<Vec<u64>>,
    pub(crate) reset: RefCell<Vec<u64>>,
    /// By the number of the pool.
    pub(crate) heard: RefCell<Vec<(usize, Heard)>>,
    pub(crate) fail_next: Cell<bool>,
    pub(crate) discard_next: Cell<bool>,
    pub(crate) misjudge_next: Cell<i8>,
    pub(crate) panic_next: Cell<Option<Place>>,
    /// Called wherever user code is, to use the pools again.
    pub(crate) hook: RefCell<Option<Rc<dyn Fn(Place)>>>,
}

/// The world of all pools of a run, for those of threads, too: it panics if another thread looks.
pub(crate) type CommonWorld = Arc<SendWrapper<World>>;

impl World {
    pub(crate) fn new() -> CommonWorld {
        Arc::new(SendWrapper::new(Self::default()))
    }

    /// User code is called.
    pub(crate) fn at(&self, place: Place) {
        if self.panic_next.get() == Some(place) && !std::thread::panicking() {
            self.panic_next.set(None);
            // Not `panic!`, whose hook would print, and abort a fuzzer.
            resume_unwind(Box::new(Planned));
        }
        let hook = self.hook.borrow().clone();
        if let Some(hook) = hook {
            hook(place);
        }
    }
}

/// The actual size of an object whose estimate is off by `by`.
pub(crate) fn size_of_next(key: u8, by: i8) -> usize {
    estimate_of(key).saturating_add_signed(isize::from(by))
}

/// An object that says who it is, and that it is gone.
pub(crate) struct Item {
    pub(crate) serial: u64,
    pub(crate) key: u8,
    pub(crate) bytes: usize,
    world: CommonWorld,
}

impl Drop for Item {
    fn drop(&mut self) {
        self.world.dropped.borrow_mut().push(self.serial);
        self.world.at(Place::Drop);
    }
}

/// The factory said no.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused;

pub(crate) struct Maker(pub(crate) CommonWorld);

impl Factory<u8> for Maker {
    type Object = Item;
    type Error = Refused;

    fn create(&self, &key: &u8) -> Result<Item, Refused> {
        let world = &self.0;
        world.at(Place::Create);
        if world.fail_next.take() {
            return Err(Refused);
        }
        let serial = world.made.get();
        world.made.set(serial + 1);
        let bytes = size_of_next(key, world.misjudge_next.take());
        Ok(Item { serial, key, bytes, world: Arc::clone(world) })
    }

    fn estimate(&self, &key: &u8) -> usize {
        estimate_of(key)
    }

    fn measure(&self, item: &Item) -> usize {
        self.0.at(Place::Measure);
        item.bytes
    }

    fn cost(&self, &key: &u8, item: &Item) -> u32 {
        assert_eq!(item.key, key, "the cost of another key's object is asked");
        self.0.at(Place::Cost);
        cost_of(key)
    }
}

pub(crate) struct Washer(pub(crate) CommonWorld);

impl Resetter<Item> for Washer {
    fn reset(&self, item: &mut Item) -> Verdict {
        self.0.reset.borrow_mut().push(item.serial);
        self.0.at(Place::Reset);
        if self.0.discard_next.take() { Verdict::Discard } else { Verdict::Keep }
    }
}

/// Writes down what the pool of a number says.
pub(crate) struct Watcher(pub(crate) CommonWorld, pub(crate) usize);

impl Watcher {
    fn hear(&self, what: Heard) {
        self.0.heard.borrow_mut().push((self.1, what));
        self.0.at(Place::Observer);
    }
}

/// The names of refusals, as `Heard` has them.
pub(crate) fn name_of(why: Refusal<'_>) -> &'static str {
    match why {
        Refusal::Closed => "closed",
        Refusal::Exhausted => "exhausted",
        Refusal::KeyExhausted => "key exhausted",
        Refusal::OverBudget(_) => "over budget",
        Refusal::Create => "create",
        _ => "unknown",
    }
}

impl Observer<u8> for Watcher {
    fn created(&self, &key: &u8, bytes: usize) {
        self.hear(Heard::Created { key, bytes });
    }
    fn removed(&self, &key: &u8, bytes: usize, why: Removal) {
        self.hear(Heard::Removed { key, bytes, why });
    }
    fn refused(&self, &key: &u8, why: Refusal<'_>) {
        self.hear(Heard::Refused { key, why: name_of(why) });
    }
    fn pressure(&self, pressure: Pressure) {
        self.hear(Heard::Pressure(pressure));
    }
    fn leaked(&self, &key: &u8, leak: &Leak) {
        self.hear(Heard::Leaked { key, bytes: leak.bytes, since: leak.since.0, age: leak.age });
    }
    fn returned(&self, &key: &u8, leak: &Leak) {
        self.hear(Heard::Returned { key, bytes: leak.bytes, since: leak.since.0, age: leak.age });
    }
}
