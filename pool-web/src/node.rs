//! [`AudioNodePool`]: nodes of one type, recycled by its [`NodeSpec`]; [`NodeLease`]: one of them, out.
//!
//! A node's way:
//!
//! ```text
//!  factory ─▶ leased ──release──▶ recipe ─┬─ any exception ──▶ discarded: cut off, left to the browser
//!               ▲                         ├─ holds no signal ──▶ idle ──┐
//!               │                         └─ holds one ──▶ quarantine ──▶ idle
//!               └────────────────────acquire────────────────────────────┘
//! ```

use crate::bindings;
use crate::context::{PoolContext, Wire};
use crate::edges::{EdgeId, NodeId};
use crate::error::{Exception, WebError};
use crate::memory::{AudioMemory, Member};
use crate::pool_error;
use crate::quarantine::Quarantine;
use crate::recipe::{self, NodePort, NodeSpec, Step};
use crate::time::PageClock;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::hash::Hash;
use core::marker::PhantomData;
use core::ops::Deref;
use pool_core::{Factory, KeyedPool, Lease, LeaseId, PoolStats, Resetter, Verdict};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AudioNode, AudioParam, BaseAudioContext};

/// A type of node that can be pooled.
///
/// It says what a fresh node is like, so that a used one can be made so again. Implemented for gain, biquad filter,
/// delay and stereo panner. Types of your own (an interface you bound yourself) may implement it; nothing makes sure
/// that [`SPEC`](Self::SPEC) tells all, so compare a recycled node with a fresh one.
///
/// Sources that play once (oscillators, buffer sources) cannot be started again, so they do not implement it, and
/// pooling one does not compile:
///
/// ```compile_fail
/// fn pool(pool: pool_web::AudioNodePool<web_sys::AudioBufferSourceNode>) {}
/// ```
///
/// ```
/// fn pool(pool: pool_web::AudioNodePool<web_sys::GainNode>) {}
/// ```
#[diagnostic::on_unimplemented(
    message = "nodes of type `{Self}` cannot be pooled",
    note = "sources play once; other types implement `PoolNode` to say what a fresh one is like"
)]
pub trait PoolNode: JsCast + AsRef<AudioNode> + Clone + 'static {
    /// What of the node cannot be changed once it is made; `()` if nothing.
    type Key: Clone + Eq + Hash + 'static;

    /// What a fresh node is like.
    const SPEC: NodeSpec;

    /// Bytes that a node holds beside itself, such as a delay's line.
    fn bytes(key: &Self::Key, sample_rate: f32) -> usize {
        let _ = (key, sample_rate);
        0
    }

    /// Seconds of zeros after which a node of class [`Flush`](recipe::StateClass::Flush) is silent.
    fn flush_seconds(key: &Self::Key) -> f64 {
        let _ = key;
        0.0
    }
}

/// Where a node is on its way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing is connected to it.
    Idle,
    /// In the user's hands.
    Leased,
    /// On the flush bus.
    Flushing,
}

/// A node in the pool, of whatever type: from here to the public types nothing is generic over it, so that the code is
/// there once and not once for each type.
struct Pooled {
    node: AudioNode,
    spec: &'static NodeSpec,
    /// Fetched once: each getter is a call into JavaScript.
    params: Box<[AudioParam]>,
    id: NodeId,
    phase: Phase,
    bytes: usize,
    flush_seconds: f64,
    context: PoolContext,
}

/// A node that is destroyed while connected is cut off, or what feeds it would keep it alive, and sounding.
impl Drop for Pooled {
    fn drop(&mut self) {
        if self.phase != Phase::Idle {
            // It is thrown away because something failed, or is about to be: there is nobody left to tell.
            let _ = self.context.cut_inputs(self.id);
            let _ = self.context.disconnect(self.id, &self.node);
        }
        self.context.forget_node(self.id);
    }
}

/// The steps of a release on a real node.
struct Port<'a> {
    pooled: &'a Pooled,
    /// Names and values of the attributes to write, as strings that live in JavaScript.
    attributes: &'a [(JsValue, JsValue)],
}

impl NodePort for Port<'_> {
    type Error = JsValue;

    fn apply(&mut self, step: Step) -> Result<(), JsValue> {
        let Pooled { node, spec, params, id, context, .. } = self.pooled;
        match step {
            Step::CutInputs => context.cut_inputs(*id),
            Step::Disconnect => context.disconnect(*id, node),
            Step::CancelParam(i) => bindings::cancel_param(&params[i], 0.0),
            Step::DefaultParam(i) => bindings::set_param(&params[i], spec.params[i].default),
            Step::RateParam(i) => bindings::set_param_rate(&params[i], spec.params[i].rate),
            Step::Attribute(i) => bindings::set_attribute(node, &self.attributes[i].0, &self.attributes[i].1),
            Step::Interpretation => bindings::set_interpretation(node, spec.interpretation),
            Step::ChannelCount => bindings::set_channel_count(node, spec.channel_count),
            Step::CountMode => bindings::set_count_mode(node, spec.count_mode),
        }
    }
}

type Make<K> = Box<dyn Fn(&BaseAudioContext, &K) -> Result<AudioNode, JsValue>>;
type UserReset = Option<Box<dyn Fn(&AudioNode) -> Verdict>>;

struct NodeFactory<K> {
    context: PoolContext,
    make: Make<K>,
    spec: &'static NodeSpec,
    bytes: fn(&K, f32) -> usize,
    flush_seconds: fn(&K) -> f64,
}

impl<K> Factory<K> for NodeFactory<K> {
    type Object = Pooled;
    type Error = WebError;

    fn create(&self, key: &K) -> Result<Pooled, WebError> {
        let context = &self.context;
        let node = (self.make)(context.as_raw(), key).map_err(Exception::of("node factory"))?;
        let param = |spec: &recipe::ParamSpec| {
            let param = js_sys::Reflect::get(&node, &JsValue::from_str(spec.name));
            param.map(JsCast::unchecked_into).map_err(Exception::of(spec.name))
        };
        let params = self.spec.params.iter().map(param).collect::<Result<Vec<AudioParam>, _>>()?;
        Ok(Pooled {
            node,
            spec: self.spec,
            params: params.into_boxed_slice(),
            id: context.add_node(),
            phase: Phase::Idle,
            bytes: self.estimate(key),
            flush_seconds: (self.flush_seconds)(key),
            context: context.clone(),
        })
    }

    fn estimate(&self, key: &K) -> usize {
        (self.bytes)(key, self.context.sample_rate())
    }

    fn measure(&self, pooled: &Pooled) -> usize {
        pooled.bytes
    }
}

struct NodeResetter {
    attributes: Box<[(JsValue, JsValue)]>,
    user: UserReset,
    /// For tests, which show that no step can be spared.
    left_out: Option<Step>,
    /// Why the latest node was discarded.
    failure: Rc<Cell<Option<Exception>>>,
}

impl NodeResetter {
    /// The whole release: the recipe, then what the user has to add.
    fn recycle(&self, pooled: &Pooled) -> Verdict {
        match self.perform(pooled, pooled.spec.steps()) {
            Verdict::Keep => self.user.as_ref().map_or(Verdict::Keep, |reset| reset(&pooled.node)),
            Verdict::Discard => Verdict::Discard,
        }
    }

    fn perform(&self, pooled: &Pooled, steps: impl Iterator<Item = Step>) -> Verdict {
        let mut port = Port { pooled, attributes: &self.attributes };
        let steps = steps.filter(|step| Some(*step) != self.left_out);
        let Err(failed) = recipe::run(steps, &mut port) else { return Verdict::Keep };
        let operation = match failed.step {
            Step::CutInputs | Step::Disconnect => "disconnect",
            Step::CancelParam(i) | Step::DefaultParam(i) | Step::RateParam(i) => pooled.spec.params[i].name,
            Step::Attribute(i) => pooled.spec.attributes[i].name,
            Step::Interpretation => "channelInterpretation",
            Step::ChannelCount => "channelCount",
            Step::CountMode => "channelCountMode",
        };
        self.failure.set(Some(Exception::from_js(operation, &failed.error)));
        Verdict::Discard
    }
}

impl Resetter<Pooled> for Rc<NodeResetter> {
    fn reset(&self, pooled: &mut Pooled) -> Verdict {
        let verdict = match pooled.phase {
            // The rest was done before it was put on the bus.
            Phase::Flushing => self.perform(pooled, [Step::CutInputs, Step::Disconnect].into_iter()),
            _ => self.recycle(pooled),
        };
        if verdict == Verdict::Keep {
            pooled.phase = Phase::Idle;
        }
        verdict
    }
}

type Core<K> = KeyedPool<K, NodeFactory<K>, Rc<NodeResetter>, PageClock>;
type CoreLease<K> = Lease<Rc<Core<K>>>;

/// What a pool's handles and leases share.
struct Home<K: Clone + Eq + Hash> {
    context: PoolContext,
    core: Rc<Core<K>>,
    resetter: Rc<NodeResetter>,
    quarantine: RefCell<Quarantine<CoreLease<K>>>,
    memory: Option<AudioMemory>,
}

impl<K: Clone + Eq + Hash> Home<K> {
    /// Releases: to the idle set, or by way of the quarantine.
    fn give_back(&self, mut lease: CoreLease<K>) {
        let seconds = lease.spec.flush_seconds(self.context.attribute_reset_works(), lease.flush_seconds);
        match seconds {
            None => drop(lease),
            Some(seconds) => {
                // A closed context's time stands still for ever.
                let open = self.context.check_open("flush").is_ok() && !self.core.is_closed();
                if !open || self.resetter.recycle(&lease) == Verdict::Discard {
                    lease.discard();
                } else if let Err(error) = self.context.flush(lease.id, &lease.node) {
                    if let WebError::Exception(exception) = error {
                        self.resetter.failure.set(Some(exception));
                    }
                    lease.discard();
                } else {
                    lease.phase = Phase::Flushing;
                    let (now, quantum) = (self.context.now(), self.context.quantum());
                    self.quarantine.borrow_mut().admit(lease, now, seconds, quantum);
                }
            }
        }
        if let Some(memory) = &self.memory {
            memory.deliver();
        }
    }

    /// Releases what has become silent. One call into JavaScript, if anything waits at all, and those of the
    /// release for each that is silent.
    fn settle(&self) -> usize {
        if self.quarantine.borrow().is_empty() {
            return 0;
        }
        let now = self.context.now();
        let mut settled = 0;
        loop {
            let silent = self.quarantine.borrow_mut().take_due(now);
            let Some(lease) = silent else { return settled };
            drop(lease);
            settled += 1;
        }
    }

    fn evict_quarantined_while(&self, mut more: impl FnMut(usize) -> bool) -> usize {
        let mut freed = 0;
        while more(freed) {
            let latest = self.quarantine.borrow_mut().take_latest();
            let Some(lease) = latest else { break };
            freed += lease.bytes;
            lease.discard();
        }
        freed
    }
}

impl<K: Clone + Eq + Hash> Member for Home<K> {
    fn holds_nodes(&self) -> bool {
        true
    }

    fn stats(&self) -> PoolStats {
        self.core.stats()
    }

    fn evict(&self, bytes: usize) -> usize {
        self.core.evict_to(self.core.stats().bytes().saturating_sub(bytes))
    }

    fn quarantined_bytes(&self) -> usize {
        // All nodes of a pool with lines of different lengths: summed only when memory is short.
        self.quarantine.borrow().iter().map(|lease| lease.bytes).sum()
    }

    fn evict_quarantined(&self, bytes: usize) -> usize {
        self.evict_quarantined_while(|freed| freed < bytes)
    }
}

/// What a node pool has done and holds.
///
/// Always: `created = leased + quarantined + idle + destroyed + detached`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct NodeStats {
    /// Nodes in the user's hands.
    pub leased: usize,
    /// Nodes that were released and wait to be silent.
    pub quarantined: usize,
    /// Nodes that wait to be used again.
    pub idle: usize,
    /// Nodes made so far.
    pub created: u64,
    /// Nodes given up so far: evicted, expired or discarded.
    pub destroyed: u64,
    /// Nodes that left the pool for good.
    pub detached: u64,
    /// Of those destroyed: to make room.
    pub evicted: u64,
    /// Of those destroyed: idle too long.
    pub expired: u64,
    /// Of those destroyed: not fit for use, because an exception broke off their reset, or by the user.
    pub discarded: u64,
    /// Acquires that were served from the idle set.
    pub hits: u64,
    /// Acquires that had to create.
    pub misses: u64,
    /// Most nodes out at one time, quarantined ones included.
    pub peak_leased: usize,
    /// Bytes of leased and quarantined nodes.
    pub leased_bytes: usize,
    /// Bytes of idle nodes.
    pub idle_bytes: usize,
}

impl NodeStats {
    fn new(pool: PoolStats, quarantined: usize) -> Self {
        Self {
            leased: pool.leased - quarantined,
            quarantined,
            idle: pool.idle,
            created: pool.created,
            destroyed: pool.destroyed,
            detached: pool.detached,
            evicted: pool.evicted,
            expired: pool.expired,
            discarded: pool.discarded,
            hits: pool.hits,
            misses: pool.misses,
            peak_leased: pool.peak_leased,
            leased_bytes: pool.leased_bytes,
            idle_bytes: pool.idle_bytes,
        }
    }

    /// Nodes that exist: leased, quarantined and idle.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.leased + self.quarantined + self.idle
    }

    /// The part of the acquires that were served from the idle set; `None` before the first.
    #[must_use]
    pub fn hit_rate(&self) -> Option<f64> {
        let acquires = self.hits + self.misses;
        (acquires > 0).then(|| self.hits as f64 / acquires as f64)
    }

    /// The sum of two pools; the sum of their peaks bounds the peak of both.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            leased: self.leased + other.leased,
            quarantined: self.quarantined + other.quarantined,
            idle: self.idle + other.idle,
            created: self.created + other.created,
            destroyed: self.destroyed + other.destroyed,
            detached: self.detached + other.detached,
            evicted: self.evicted + other.evicted,
            expired: self.expired + other.expired,
            discarded: self.discarded + other.discarded,
            hits: self.hits + other.hits,
            misses: self.misses + other.misses,
            peak_leased: self.peak_leased + other.peak_leased,
            leased_bytes: self.leased_bytes + other.leased_bytes,
            idle_bytes: self.idle_bytes + other.idle_bytes,
        }
    }
}

/// Builds an [`AudioNodePool`].
#[must_use = "a builder makes nothing until `build`"]
pub struct AudioNodePoolBuilder<N: PoolNode> {
    context: PoolContext,
    make: Make<N::Key>,
    reset: UserReset,
    left_out: Option<Step>,
    memory: Option<AudioMemory>,
    max_per_key: Option<usize>,
    max_idle_per_key: Option<usize>,
    idle_ttl_ms: Option<f64>,
    _node: PhantomData<N>,
}

impl<N: PoolNode> AudioNodePoolBuilder<N> {
    /// Runs after the node's own recipe at each release: for what the recipe does not know, such as listeners of the
    /// program. May discard the node.
    pub fn resetter(mut self, reset: impl Fn(&N) -> Verdict + 'static) -> Self {
        self.reset = Some(Box::new(move |node| reset(node.unchecked_ref())));
        self
    }

    /// The budget that the nodes' bytes are charged to. Only delays hold any that count.
    pub fn memory(mut self, memory: &AudioMemory) -> Self {
        self.memory = Some(memory.clone());
        self
    }

    /// Most nodes of one key, leased, quarantined and idle. An acquire beyond fails. Default: no bound.
    pub fn max_per_key(mut self, nodes: usize) -> Self {
        self.max_per_key = Some(nodes);
        self
    }

    /// Most idle nodes of one key. A release beyond evicts the one that waited longest. Default: no bound.
    pub fn max_idle_per_key(mut self, nodes: usize) -> Self {
        self.max_idle_per_key = Some(nodes);
        self
    }

    /// Milliseconds that a node may wait; one that waited longer is never handed out. It goes when
    /// [`maintain`](AudioNodePool::maintain) is called. Default: no bound, and then no release reads the clock.
    pub fn idle_ttl_ms(mut self, milliseconds: f64) -> Self {
        self.idle_ttl_ms = Some(milliseconds);
        self
    }

    /// For tests only: a release without `step`, to show that it is needed.
    #[doc(hidden)]
    pub fn leave_out(mut self, step: Step) -> Self {
        self.left_out = Some(step);
        self
    }

    /// The pool.
    #[must_use]
    pub fn build(self) -> AudioNodePool<N> {
        let attributes = N::SPEC.attributes.iter();
        let resetter = Rc::new(NodeResetter {
            attributes: attributes.map(|a| (JsValue::from_str(a.name), JsValue::from_str(a.value))).collect(),
            user: self.reset,
            left_out: self.left_out,
            failure: Rc::default(),
        });
        let factory = NodeFactory {
            context: self.context.clone(),
            make: self.make,
            spec: const { &N::SPEC },
            bytes: N::bytes,
            flush_seconds: N::flush_seconds,
        };
        let mut core = KeyedPool::builder(factory).resetter(Rc::clone(&resetter)).clock(PageClock);
        if let Some(memory) = &self.memory {
            core = core.account(memory.account().clone());
        }
        if let Some(nodes) = self.max_per_key {
            core = core.max_per_key(nodes);
        }
        if let Some(nodes) = self.max_idle_per_key {
            core = core.max_idle_per_key(nodes);
        }
        if let Some(milliseconds) = self.idle_ttl_ms {
            core = core.idle_ttl(PageClock::ticks(milliseconds));
        }
        let home = Rc::new(Home {
            context: self.context,
            core: Rc::new(core.build()),
            resetter,
            quarantine: RefCell::default(),
            memory: self.memory,
        });
        if let Some(memory) = &home.memory {
            let member: Weak<Home<N::Key>> = Rc::downgrade(&home);
            memory.join(member);
        }
        AudioNodePool { home, _node: PhantomData }
    }
}

/// Nodes of one type, recycled. A handle: clones are the same pool.
///
/// | call | calls into JavaScript |
/// |---|---|
/// | acquire, hit | 1, whether the context is open; 1 more while nodes are in quarantine |
/// | acquire, miss | the factory's, and 1 per parameter |
/// | release | 1 per input, 1 `disconnect()`, 3 per parameter, 1 per attribute written, 3 for the channels |
/// | release of a delay | those, and 5 to put it on the flush bus; 2 to take it off |
pub struct AudioNodePool<N: PoolNode> {
    home: Rc<Home<N::Key>>,
    _node: PhantomData<N>,
}

impl<N: PoolNode> Clone for AudioNodePool<N> {
    fn clone(&self) -> Self {
        Self { home: Rc::clone(&self.home), _node: PhantomData }
    }
}

impl<N: PoolNode> AudioNodePool<N> {
    /// A pool of what `factory` makes. The factory may throw; the acquire then fails with the exception.
    pub fn builder(
        context: &PoolContext,
        factory: impl Fn(&BaseAudioContext, &N::Key) -> Result<N, JsValue> + 'static,
    ) -> AudioNodePoolBuilder<N> {
        AudioNodePoolBuilder {
            context: context.clone(),
            make: Box::new(move |context, key| factory(context, key).map(JsCast::unchecked_into)),
            reset: None,
            left_out: None,
            memory: None,
            max_per_key: None,
            max_idle_per_key: None,
            idle_ttl_ms: None,
            _node: PhantomData,
        }
    }

    /// Takes a node that is like a fresh one.
    ///
    /// # Errors
    ///
    /// [`WebError`]: closed context or pool, too many nodes out, no room in the budget, or the factory's exception.
    pub fn acquire(&self) -> Result<NodeLease<N>, WebError>
    where
        N::Key: Default,
    {
        self.acquire_key(&N::Key::default())
    }

    /// As [`acquire`](Self::acquire), of a key.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    pub fn acquire_key(&self, key: &N::Key) -> Result<NodeLease<N>, WebError> {
        let home = &self.home;
        home.context.check_open("acquire")?;
        home.settle();
        let mut lease = pool_error::retry(home.memory.as_ref(), || home.core.acquire_owned(key))?;
        lease.phase = Phase::Leased;
        Ok(NodeLease { lease: Some(lease), home: Rc::clone(home), _node: PhantomData })
    }

    /// As [`acquire_key`](Self::acquire_key), with a token in place of a guard: for JavaScript.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    pub fn acquire_id(&self, key: &N::Key) -> Result<(LeaseId, N), WebError> {
        let lease = self.acquire_key(key)?;
        let node = N::clone(&lease);
        // A lease that was just made holds its node.
        lease.into_id().map(|id| (id, node)).ok_or(WebError::PoolClosed)
    }

    /// Turns a token back into a lease.
    ///
    /// # Errors
    ///
    /// [`WebError::Token`] if it is of another pool, or was given back before; nothing is changed by it.
    pub fn redeem(&self, id: LeaseId) -> Result<NodeLease<N>, WebError> {
        let lease = self.home.core.redeem_owned(id)?;
        Ok(NodeLease { lease: Some(lease), home: Rc::clone(&self.home), _node: PhantomData })
    }

    /// Releases the node of a token, as dropping its lease would.
    ///
    /// # Errors
    ///
    /// As [`redeem`](Self::redeem).
    pub fn release_id(&self, id: LeaseId) -> Result<(), WebError> {
        self.redeem(id).map(drop)
    }

    /// Makes nodes of `key` until at least `count` are idle; returns how many were made. Nothing is evicted for it.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire); what was made before stays.
    pub fn prewarm(&self, key: &N::Key, count: usize) -> Result<usize, WebError> {
        self.home.context.check_open("prewarm")?;
        self.home.core.prewarm(key, count).map_err(pool_error::from_core)
    }

    /// Housekeeping, to be called about once a second: what has become silent goes back to the idle set, what waited
    /// too long goes, and under memory pressure what was not needed lately. Looks at no more than 256 nodes. Returns
    /// how many were settled or destroyed.
    pub fn maintain(&self) -> usize {
        self.home.settle() + self.home.core.maintain(256)
    }

    /// Evicts idle nodes, those released longest ago first, until at most `idle` are left. Returns how many went.
    pub fn trim(&self, idle: usize) -> usize {
        self.home.core.trim(idle)
    }

    /// Evicts every idle and quarantined node. Leased ones stay.
    pub fn clear(&self) {
        self.home.evict_quarantined_while(|_| true);
        self.home.core.retain(|_, _| false);
    }

    /// Refuses all further acquires, and clears. Leased nodes are reset and given up as they come back.
    pub fn close(&self) {
        self.home.core.close();
        self.clear();
    }

    /// What the pool has done and holds. No call into JavaScript.
    #[must_use]
    pub fn stats(&self) -> NodeStats {
        NodeStats::new(self.home.core.stats(), self.home.quarantine.borrow().len())
    }

    /// Why the latest node was discarded at its release, if an exception did it. Taken: a second call gives `None`.
    #[must_use]
    pub fn take_failure(&self) -> Option<Exception> {
        self.home.resetter.failure.take()
    }

    /// The context whose nodes these are.
    #[must_use]
    pub fn context(&self) -> &PoolContext {
        &self.home.context
    }
}

/// What can feed a pooled node: any web-sys node, or a [`NodeLease`].
pub trait Source {
    /// The node.
    fn source_node(&self) -> &AudioNode;

    /// Its entry in the record of connections, if it is a lease of `context`.
    #[doc(hidden)]
    fn pooled_in(&self, context: &PoolContext) -> Option<NodeId> {
        let _ = context;
        None
    }
}

impl<T: AsRef<AudioNode>> Source for T {
    fn source_node(&self) -> &AudioNode {
        self.as_ref()
    }
}

impl<N: PoolNode> Source for NodeLease<N> {
    fn source_node(&self) -> &AudioNode {
        &self.pooled().node
    }

    fn pooled_in(&self, context: &PoolContext) -> Option<NodeId> {
        let pooled = self.lease.as_ref()?;
        pooled.context.is(context).then_some(pooled.id)
    }
}

/// One node that is out. Dropping it releases the node: everything that was done to it is undone, whether it was
/// done here or on the node itself, with one exception: connections *into* it are only known if they were made by
/// [`connect_from`](Self::connect_from) and [`connect_param_from`](Self::connect_param_from).
///
/// Dereferences to the node. Do not keep clones of the node beyond the lease.
#[must_use = "dropping a lease releases the node at once"]
pub struct NodeLease<N: PoolNode> {
    /// `None` only while it is taken apart.
    lease: Option<CoreLease<N::Key>>,
    home: Rc<Home<N::Key>>,
    _node: PhantomData<N>,
}

impl<N: PoolNode> NodeLease<N> {
    fn pooled(&self) -> &Pooled {
        match &self.lease {
            Some(lease) => lease,
            // Those that take the lease out consume `self`.
            None => unreachable!("the lease was taken apart"),
        }
    }

    /// The node. Never needed where a `&N` will do, since the lease dereferences to it.
    #[must_use]
    pub fn as_raw(&self) -> &N {
        self.pooled().node.unchecked_ref()
    }

    /// Connects output 0 of `source` to input 0 of this node. The release of either cuts it. 1 call into JavaScript.
    ///
    /// # Errors
    ///
    /// [`WebError::Exception`], such as for a node of another context.
    pub fn connect_from(&self, source: &impl Source) -> Result<EdgeId, WebError> {
        self.connect_from_output(source, 0, 0)
    }

    /// As [`connect_from`](Self::connect_from), from one of several outputs to one of several inputs.
    ///
    /// # Errors
    ///
    /// [`WebError::Exception`], such as for an output or input that does not exist.
    pub fn connect_from_output(
        &self,
        source: &impl Source,
        output: u32,
        input: u32,
    ) -> Result<EdgeId, WebError> {
        let pooled = self.pooled();
        let node = source.source_node().clone();
        let wire = Wire::Node { source: node, target: pooled.node.clone(), output, input };
        pooled.context.connect(source.pooled_in(&pooled.context), pooled.id, wire)
    }

    /// Connects output 0 of `source` to the parameter `name`. The release of either cuts it. 1 call into JavaScript.
    ///
    /// # Errors
    ///
    /// [`WebError::UnknownParam`], or [`WebError::Exception`] such as for a node of another context.
    pub fn connect_param_from(&self, source: &impl Source, name: &str) -> Result<EdgeId, WebError> {
        let target = self.require(name)?.clone();
        let pooled = self.pooled();
        let wire = Wire::Param { source: source.source_node().clone(), target, output: 0 };
        pooled.context.connect(source.pooled_in(&pooled.context), pooled.id, wire)
    }

    /// Connects output 0 of this node to `target`, which is no lease: to one, use its
    /// [`connect_from`](Self::connect_from). The release cuts all that leaves the node. 1 call into JavaScript.
    ///
    /// # Errors
    ///
    /// [`WebError::Exception`], such as for a node of another context.
    pub fn connect_to(&self, target: &impl AsRef<AudioNode>) -> Result<(), WebError> {
        let connected = self.pooled().node.connect_with_audio_node(target.as_ref());
        connected.map(drop).map_err(Exception::of("connect"))
    }

    /// Cuts one connection; `false` if that has been done already. Worth calling at a bus that lives long, for each
    /// source that has ended: until then the record keeps the source alive.
    ///
    /// # Errors
    ///
    /// [`WebError::Exception`], though none is known.
    pub fn cut(&self, edge: EdgeId) -> Result<bool, WebError> {
        self.pooled().context.cut(edge)
    }

    /// The parameter `name`. No call into JavaScript.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&AudioParam> {
        N::SPEC.param_index(name).map(|index| &self.pooled().params[index])
    }

    /// Sets a parameter's value now, which ends what is scheduled for this moment only. 1 call into JavaScript.
    ///
    /// # Errors
    ///
    /// [`WebError::UnknownParam`], or [`WebError::Exception`] while a curve is in flight.
    pub fn set(&self, name: &str, value: f32) -> Result<(), WebError> {
        bindings::set_param(self.require(name)?, value).map_err(Exception::of("AudioParam.value"))
    }

    /// Goes from the value that the parameter has now to `value` in a straight line, up to the context time
    /// `end_time` in seconds; what was scheduled from now on is dropped. 5 calls into JavaScript.
    ///
    /// This anchors the ramp at the present. A ramp without an anchor starts at the parameter's last event, and the
    /// reset at the latest release was one. The limit: Firefox tells the value that was set last, and not where
    /// automation has got to, so there a ramp that begins during another one begins with a step.
    ///
    /// # Errors
    ///
    /// [`WebError::UnknownParam`], or [`WebError::Exception`] for times and values that are no numbers, and in Firefox
    /// while a curve is in flight.
    pub fn ramp_to(&self, name: &str, value: f32, end_time: f64) -> Result<(), WebError> {
        let param = self.require(name)?;
        let now = self.pooled().context.now();
        let anchored = || {
            let present = param.value();
            bindings::cancel_param(param, now)?;
            param.set_value_at_time(present, now)?;
            param.linear_ramp_to_value_at_time(value, end_time).map(drop)
        };
        anchored().map_err(Exception::of("ramp"))
    }

    /// Drops what is scheduled for `name` after the context time `time`, and holds the value it has then. `false` where
    /// the browser cannot do that (Firefox); nothing is changed there.
    ///
    /// # Errors
    ///
    /// [`WebError::UnknownParam`], or [`WebError::Exception`] for a time that is no number.
    pub fn hold(&self, name: &str, time: f64) -> Result<bool, WebError> {
        bindings::hold_param(self.require(name)?, time).map_err(Exception::of("cancelAndHoldAtTime"))
    }

    /// Takes the node out of the pool for good, as it is, with all its connections.
    #[must_use = "dropping the node leaves it connected: `discard` cuts it off"]
    pub fn detach(mut self) -> N {
        let node = self.as_raw().clone();
        if let Some(lease) = self.lease.take() {
            let mut pooled = lease.detach();
            // So that its destructor cuts nothing.
            pooled.phase = Phase::Idle;
        }
        node
    }

    /// Cuts the node off and gives it up instead of releasing it.
    pub fn discard(mut self) {
        if let Some(lease) = self.lease.take() {
            lease.discard();
        }
    }

    /// Turns the lease into a token, which [`redeem`](AudioNodePool::redeem) turns back.
    #[must_use = "the node stays leased until its token is released"]
    fn into_id(mut self) -> Option<LeaseId> {
        self.lease.take().map(Lease::into_id)
    }

    fn require(&self, name: &str) -> Result<&AudioParam, WebError> {
        self.param(name)
            .ok_or_else(|| WebError::UnknownParam { interface: N::SPEC.interface, name: name.to_owned() })
    }
}

impl<N: PoolNode> Deref for NodeLease<N> {
    type Target = N;

    fn deref(&self) -> &N {
        self.as_raw()
    }
}

impl<N: PoolNode> Drop for NodeLease<N> {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.home.give_back(lease);
        }
    }
}
