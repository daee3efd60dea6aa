//! What the pools of one context share: the record of connections, and which raw node is whose.

use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use pool_web::{NodeLease, PoolContext, Source};
use web_sys::{AudioNode, BaseAudioContext};

use crate::registry::Registry;

pub(crate) struct Shared {
    pub(crate) context: PoolContext,
    pub(crate) nodes: RefCell<Registry<NodeLease<AudioNode>>>,
}

pool_web::per_thread! {
    static CONTEXTS: RefCell<Vec<Weak<Shared>>> = RefCell::new(Vec::new());
}
pool_web::per_thread! {
    static POOLS: Cell<u32> = Cell::new(0);
}

/// A number for a new pool.
pub(crate) fn pool_number() -> u32 {
    POOLS.with(|pools| pools.replace(pools.get().wrapping_add(1)))
}

impl Shared {
    /// The one of `context`: made with the first pool, gone with the last.
    pub(crate) fn of(context: &BaseAudioContext) -> Rc<Self> {
        let known = CONTEXTS.with_borrow_mut(|all| {
            all.retain(|shared| shared.strong_count() > 0);
            let same = |shared: &Rc<Self>| js_sys::Object::is(shared.context.as_raw(), context);
            all.iter().filter_map(Weak::upgrade).find(same)
        });
        known.unwrap_or_else(|| {
            let (context, nodes) = (PoolContext::new(context), RefCell::new(Registry::new("node")));
            let shared = Rc::new(Self { context, nodes });
            CONTEXTS.with_borrow_mut(|all| all.push(Rc::downgrade(&shared)));
            shared
        })
    }

    /// The lease of a node that is out, for `work`; the node itself if it is of no pool.
    pub(crate) fn as_source<T>(&self, node: &AudioNode, work: impl FnOnce(&dyn Source) -> T) -> T {
        match self.nodes.borrow().find(node) {
            Some(lease) => work(lease),
            None => work(node),
        }
    }
}
