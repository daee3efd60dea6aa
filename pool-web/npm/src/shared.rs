//! What the pools of one context share: the record of connections, and which raw node is whose.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use pool_web::edges::EdgeId;
use pool_web::{NodeLease, PoolContext, PoolNode, Source, WebError};
use web_sys::{AudioNode, BaseAudioContext, Event};

use crate::registry::Registry;

/// A lease of a node of whatever type.
pub(crate) trait Held: Source {
    fn feed(&self, source: &dyn Source, output: u32, input: u32) -> Result<EdgeId, WebError>;
    fn feed_param(&self, source: &dyn Source, name: &str) -> Result<EdgeId, WebError>;
    fn ramp_to(&self, name: &str, value: f32, end_time: f64) -> Result<(), WebError>;
    fn listen(&self, kind: &str, callback: Box<dyn FnMut(Event)>) -> Result<(), WebError>;
    fn discard(self: Box<Self>);
}

impl<N: PoolNode> Held for NodeLease<N> {
    fn feed(&self, source: &dyn Source, output: u32, input: u32) -> Result<EdgeId, WebError> {
        self.connect_from_output(source, output, input)
    }
    fn feed_param(&self, source: &dyn Source, name: &str) -> Result<EdgeId, WebError> {
        self.connect_param_from(source, name)
    }
    fn ramp_to(&self, name: &str, value: f32, end_time: f64) -> Result<(), WebError> {
        NodeLease::ramp_to(self, name, value, end_time)
    }
    fn listen(&self, kind: &str, callback: Box<dyn FnMut(Event)>) -> Result<(), WebError> {
        NodeLease::listen(self, kind, callback)
    }
    fn discard(self: Box<Self>) {
        NodeLease::discard(*self);
    }
}

pub(crate) struct Shared {
    pub(crate) context: PoolContext,
    pub(crate) nodes: RefCell<Registry<Box<dyn Held>>>,
}

thread_local! {
    static CONTEXTS: RefCell<Vec<Weak<Shared>>> = const { RefCell::new(Vec::new()) };
    static POOLS: Cell<u32> = const { Cell::new(0) };
}

/// A number for a new pool.
pub(crate) fn pool_number() -> u32 {
    POOLS.replace(POOLS.get().wrapping_add(1))
}

impl Shared {
    /// The one of `context`: made with the first pool, gone with the last.
    pub(crate) fn of(context: &BaseAudioContext) -> Rc<Self> {
        CONTEXTS.with_borrow_mut(|all| {
            all.retain(|shared| shared.strong_count() > 0);
            let same = |shared: &Rc<Self>| js_sys::Object::is(shared.context.as_raw(), context);
            all.iter().filter_map(Weak::upgrade).find(same).unwrap_or_else(|| {
                let shared = Rc::new(Self { context: PoolContext::new(context), nodes: RefCell::default() });
                all.push(Rc::downgrade(&shared));
                shared
            })
        })
    }

    /// The lease of a node that is out, for `work`; the node itself if it is of no pool.
    pub(crate) fn as_source<T>(&self, node: &AudioNode, work: impl FnOnce(&dyn Source) -> T) -> T {
        match self.nodes.borrow().get(node) {
            Some(lease) => work(lease.as_source()),
            None => work(node),
        }
    }
}

/// A lease as what can feed another one.
pub(crate) trait AsSource {
    fn as_source(&self) -> &dyn Source;
}

impl AsSource for Box<dyn Held> {
    fn as_source(&self) -> &dyn Source {
        &**self
    }
}
