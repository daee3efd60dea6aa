//! The keyed pool below both kinds of pools, nodes and buffers: one type, so that its code is there once and not once for
//! each, which a page downloads.

use crate::any_key::AnyKey;
use crate::buffer::{self, BufferFactory};
use crate::error::WebError;
use crate::memory::AudioMemory;
use crate::pool_error;
use crate::release::{self, NodeFactory, Recycle};
use crate::time::PageClock;
use alloc::rc::Rc;
use core::cell::Cell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use pool_core::{
    AcquireError, Factory, KeyedPool, Lease, LeaseId, PoolStats, ReleaseError, Resetter, Verdict,
};

/// What is in a pool: in one of nodes always the one, in one of buffers always the other.
pub(crate) enum Thing {
    Node(release::Pooled),
    Buffer(buffer::Pooled),
}

/// One of the two.
pub(crate) trait Part: Sized {
    fn of(thing: &Thing) -> Option<&Self>;
    fn of_mut(thing: &mut Thing) -> Option<&mut Self>;
}

macro_rules! part {
    ($variant:ident, $type:ty) => {
        impl Part for $type {
            fn of(thing: &Thing) -> Option<&Self> {
                if let Thing::$variant(part) = thing { Some(part) } else { None }
            }
            fn of_mut(thing: &mut Thing) -> Option<&mut Self> {
                if let Thing::$variant(part) = thing { Some(part) } else { None }
            }
        }
    };
}

part!(Node, release::Pooled);
part!(Buffer, buffer::Pooled);

/// What makes them.
pub(crate) enum Maker {
    Node(NodeFactory),
    Buffer(BufferFactory),
}

impl Factory<AnyKey> for Maker {
    type Object = Thing;
    type Error = WebError;

    fn create(&self, key: &AnyKey) -> Result<Thing, WebError> {
        match self {
            Self::Node(factory) => factory.create(key).map(Thing::Node),
            Self::Buffer(factory) => factory.create(key).map(Thing::Buffer),
        }
    }

    fn estimate(&self, key: &AnyKey) -> usize {
        match self {
            Self::Node(factory) => factory.estimate(key),
            Self::Buffer(_) => key.buffer().map_or(0, |key| key.bytes()),
        }
    }

    fn measure(&self, thing: &Thing) -> usize {
        match thing {
            Thing::Node(pooled) => pooled.bytes,
            Thing::Buffer(pooled) => pooled.bytes(),
        }
    }
}

/// What resets them: of a pool of buffers nothing has to be known.
pub(crate) struct Reset(pub(crate) Option<Recycle>);

impl Resetter<Thing> for Reset {
    fn reset(&self, thing: &mut Thing) -> Verdict {
        match (thing, &self.0) {
            (Thing::Node(pooled), Some(recycle)) => recycle.reset(pooled),
            (Thing::Node(_), None) => Verdict::Discard,
            (Thing::Buffer(pooled), _) => {
                pooled.mark_used();
                Verdict::Keep
            }
        }
    }
}

/// Bounds and budget of a pool: what the methods of all builders set, and the npm package at once.
#[doc(hidden)]
#[derive(Clone, Default)]
pub struct Bounds {
    pub memory: Option<AudioMemory>,
    pub max_per_key: Option<usize>,
    pub max_idle_per_key: Option<usize>,
    pub idle_ttl_ms: Option<f64>,
}

pub(crate) type Core = KeyedPool<AnyKey, Maker, Reset, PageClock>;

/// A pool and the budget that it is charged to: what the homes of nodes and of buffers are built around.
pub(crate) struct Charged {
    pub(crate) core: Rc<Core>,
    pub(crate) memory: Option<AudioMemory>,
    /// Misses that were a second try of one acquire.
    again: Cell<u64>,
}

impl Charged {
    #[inline(never)]
    pub(crate) fn new(maker: Maker, reset: Reset, bounds: Bounds) -> Self {
        let mut core = KeyedPool::builder(maker).resetter(reset).clock(PageClock);
        if let Some(memory) = &bounds.memory {
            core = core.account(memory.account().clone());
        }
        if let Some(objects) = bounds.max_per_key {
            core = core.max_per_key(objects);
        }
        if let Some(objects) = bounds.max_idle_per_key {
            core = core.max_idle_per_key(objects);
        }
        if let Some(milliseconds) = bounds.idle_ttl_ms {
            core = core.idle_ttl(PageClock::ticks(milliseconds));
        }
        Self { core: Rc::new(core.build()), memory: bounds.memory, again: Cell::default() }
    }

    /// Takes the latest of those that wait. Apart from what can fail: an error is of many words, which would be handed on from
    /// function to function.
    #[inline]
    pub(crate) fn take<T: Part>(&self, key: &AnyKey) -> Option<CoreLease<T>> {
        let lease = self.take_any(key);
        // What has waited too long went.
        self.tell();
        lease.map(CoreLease::new)
    }

    #[inline(never)]
    fn take_any(&self, key: &AnyKey) -> Option<Lease<Rc<Core>>> {
        self.core.try_acquire_owned(key)
    }

    /// Makes one, since none waits. If the budget refuses and other pools can make room, once more: each try is a miss of the
    /// pool's below.
    pub(crate) fn make<T: Part>(&self, key: &AnyKey) -> Result<CoreLease<T>, WebError> {
        self.make_any(key).map(CoreLease::new)
    }

    #[inline(never)]
    fn make_any(&self, key: &AnyKey) -> Result<Lease<Rc<Core>>, WebError> {
        let outcome = match (self.core.acquire_owned(key), &self.memory) {
            (Err(AcquireError::OverBudget(refusal)), Some(memory)) if memory.make_room_for(&refusal) => {
                self.again.set(self.again.get() + 1);
                self.core.acquire_owned(key)
            }
            (outcome, _) => outcome,
        };
        self.tell();
        outcome.map_err(pool_error::from_core)
    }

    /// Makes some ahead. Returns how many.
    pub(crate) fn prewarm(&self, key: &AnyKey, count: usize) -> Result<usize, WebError> {
        let made = self.core.prewarm(key, count);
        self.tell();
        made.map_err(pool_error::from_core)
    }

    /// Evicts idle ones until at most so many are left. Returns how many went.
    pub(crate) fn trim(&self, idle: usize) -> usize {
        let evicted = self.core.trim(idle);
        self.tell();
        evicted
    }

    /// Evicts idle ones of at least so many bytes, if there are. Returns the bytes freed.
    pub(crate) fn evict(&self, bytes: usize) -> usize {
        self.core.evict_to(self.core.stats().bytes().saturating_sub(bytes))
    }

    pub(crate) fn stats(&self) -> PoolStats {
        let mut stats = self.core.stats();
        stats.misses -= self.again.get();
        stats
    }

    /// Calls the callbacks of the budget that are due: after all that may have changed what is held.
    pub(crate) fn tell(&self) {
        if let Some(memory) = &self.memory {
            memory.deliver();
        }
    }
}

/// A lease of one of the two.
pub(crate) struct CoreLease<T>(Lease<Rc<Core>>, PhantomData<T>);

impl<T: Part> CoreLease<T> {
    pub(crate) fn new(lease: Lease<Rc<Core>>) -> Self {
        Self(lease, PhantomData)
    }

    /// The one that `id` stands for.
    pub(crate) fn redeem(core: &Rc<Core>, id: LeaseId) -> Result<Self, ReleaseError> {
        core.redeem_owned(id).map(Self::new)
    }

    pub(crate) fn into_id(self) -> LeaseId {
        self.0.into_id()
    }

    pub(crate) fn discard(self) {
        self.0.discard();
    }

    pub(crate) fn detach(self) -> Thing {
        self.0.detach()
    }
}

impl<T: Part> Deref for CoreLease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match T::of(&self.0) {
            Some(part) => part,
            None => unreachable!("a pool holds one kind of things"),
        }
    }
}

impl<T: Part> DerefMut for CoreLease<T> {
    fn deref_mut(&mut self) -> &mut T {
        match T::of_mut(&mut self.0) {
            Some(part) => part,
            None => unreachable!("a pool holds one kind of things"),
        }
    }
}
