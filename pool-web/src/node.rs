//! [`AudioNodePool`]: nodes of one type, recycled by the [`NodeSpec`](crate::recipe::NodeSpec) of each.
//!
//! A node's way:
//!
//! ```text
//!  factory ─▶ leased ──release──▶ recipe ─┬─ any exception ──▶ discarded: cut off, left to the browser
//!               ▲                         ├─ holds no signal ──▶ idle ──┐
//!               │                         └─ holds one ──▶ quarantine ──▶ idle
//!               └────────────────────acquire────────────────────────────┘
//! ```

use crate::any_key::AnyKey;
use crate::bindings;
use crate::context::PoolContext;
use crate::core_pool::{self, Bounds, Charged, Maker, Reset};
use crate::error::{Exception, WebError};
use crate::memory::{AudioMemory, Member};
use crate::node_lease::NodeLease;
use crate::node_stats::NodeStats;
use crate::pool_node::PoolNode;
use crate::protocol::Protocol;
use crate::quarantine::Quarantine;
use crate::recipe::{Next, Step};
use crate::release::{
    self, Estimate, Look, Make, NodeFactory, NodeResetter, Phase, Pooled, Recycle, UserReset,
};
use alloc::boxed::Box;
use alloc::rc::{Rc, Weak};
use core::cell::RefCell;
use core::marker::PhantomData;
use pool_core::{LeaseId, PoolStats, Verdict};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::BaseAudioContext;

/// Nodes that may wait in quarantine unless the builder says otherwise.
pub(crate) const MOST_QUARANTINED: usize = 256;
/// Seconds of the context's time that a worklet may take to answer.
const ANSWER_SECONDS: f64 = 5.0;
/// What cannot happen: a pool only ever gets keys of its own type.
pub(crate) const FOREIGN_KEY: &str = "a key of another type of node";
/// Seconds between two looks at one that has not answered.
const ANSWER_STEP: f64 = 0.02;

pub(crate) type CoreLease = core_pool::CoreLease<Pooled>;

/// What a pool's handles and leases share.
pub(crate) struct Home {
    context: PoolContext,
    pool: Charged,
    resetter: Rc<NodeResetter>,
    quarantine: RefCell<Quarantine<Waiting>>,
    most_quarantined: usize,
}

/// A node in quarantine.
struct Waiting {
    lease: CoreLease,
    /// When its zeros are through, in the context's time; a worklet must have answered some time after.
    asked: f64,
}

impl Home {
    #[inline(never)]
    pub(crate) fn new(
        context: PoolContext,
        make: Make,
        look: Look,
        bytes: Estimate,
        settings: Settings,
    ) -> Rc<Self> {
        let Settings { reset, protocol, settle, most_quarantined, left_out, bounds } = settings;
        let resetter = Rc::new(NodeResetter::new(reset, left_out));
        let factory = NodeFactory { context: context.clone(), make, look, bytes, settle, protocol };
        let recycle = Recycle(Rc::clone(&resetter));
        let pool = Charged::new(Maker::Node(factory), Reset(Some(recycle)), bounds);
        let home =
            Rc::new(Self { context, pool, resetter, quarantine: RefCell::default(), most_quarantined });
        if let Some(memory) = &home.pool.memory {
            let member: Weak<Self> = Rc::downgrade(&home);
            memory.join(member);
        }
        home
    }

    pub(crate) fn acquire(&self, key: &AnyKey) -> Result<CoreLease, WebError> {
        self.context.check_open("acquire")?;
        self.settle();
        let mut lease: CoreLease = match self.pool.take(key) {
            Some(lease) => lease,
            None => self.pool.make(key)?,
        };
        lease.phase = Phase::Leased;
        Ok(lease)
    }

    pub(crate) fn maintain(&self) -> usize {
        let moved = self.give_up_if_closed() + self.settle() + self.pool.core.maintain(256);
        self.tell();
        moved
    }

    /// What has changed, to the budget's callbacks.
    pub(crate) fn tell(&self) {
        self.pool.tell();
    }

    pub(crate) fn clear(&self) {
        self.evict_quarantined_while(|_| true);
        self.pool.trim(0);
    }

    pub(crate) fn close(&self) {
        self.pool.core.close();
        self.clear();
    }

    pub(crate) fn prewarm(&self, key: &AnyKey, count: usize) -> Result<usize, WebError> {
        self.context.check_open("prewarm")?;
        self.pool.prewarm(key, count)
    }

    pub(crate) fn node_stats(&self) -> NodeStats {
        NodeStats::new(Member::stats(self), self.quarantine.borrow().len())
    }

    pub(crate) fn take_failure(&self) -> Option<Exception> {
        self.resetter.take_failure()
    }

    /// Releases: to the idle set, or by way of the quarantine.
    pub(crate) fn give_back(&self, lease: CoreLease) {
        let works = |probe| self.context.works(probe);
        let holds = |name, value| bindings::holds(&lease.node, name, value);
        let next = match lease.is_unheard() {
            true => Next::Idle,
            false => lease.spec.next(works, holds, lease.flush_seconds),
        };
        match next {
            Next::Idle => drop(lease),
            Next::Discard => {
                // Perhaps it was only not asked for yet.
                self.context.want_probe(lease.spec);
                lease.discard();
            }
            Next::Quarantine(seconds) => self.quarantine(lease, Some(seconds)),
            Next::Rest => self.quarantine(lease, None),
        }
        self.tell();
    }

    /// For so many seconds on the flush bus, or for no longer than the margin and off it.
    fn quarantine(&self, mut lease: CoreLease, seconds: Option<f64>) {
        if self.pool.core.is_closed() || self.resetter.recycle(&lease) == Verdict::Discard {
            return lease.discard();
        }
        let (since, seconds) = match seconds {
            Some(seconds) => (self.flush(&mut lease), seconds),
            None => {
                lease.phase = Phase::Resting;
                (self.context.time_if_open(), 0.0)
            }
        };
        // It threw, or the context is closed.
        let Some(now) = since else { return lease.discard() };
        let asked = now + seconds;
        self.quarantine.borrow_mut().admit(Waiting { lease, asked }, now, seconds, self.context.quantum());
        // In a context that is suspended for long they would pile up.
        self.evict_quarantined_while(|_| self.quarantine.borrow().len() > self.most_quarantined);
    }

    /// Asks a worklet to forget, and puts the node on the flush bus; since when it is there.
    fn flush(&self, lease: &mut CoreLease) -> Option<f64> {
        // The bus is no output of the user's.
        lease.phase = Phase::Flushing;
        let asked = lease.question.as_ref().map_or(Ok(()), |question| question.ask());
        match asked.and_then(|()| self.context.flush(&lease.node, lease.is_worklet())) {
            Ok(since) => since,
            Err(WebError::Exception(exception)) => {
                self.resetter.failed(exception);
                None
            }
            Err(_) => None,
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
            let Some(waiting) = silent else { return settled };
            let answered = waiting.lease.question.as_ref().is_none_or(|question| question.is_answered());
            if answered {
                drop(waiting.lease);
                settled += 1;
            } else if now - waiting.asked < ANSWER_SECONDS {
                let quantum = self.context.quantum();
                self.quarantine.borrow_mut().admit(waiting, now, ANSWER_STEP, quantum);
            } else {
                waiting.lease.discard();
            }
        }
    }

    /// Nothing becomes silent any more once the context is closed. One call into JavaScript, if anything waits.
    fn give_up_if_closed(&self) -> usize {
        let waiting = self.quarantine.borrow().len();
        if waiting > 0 && self.context.check_open("flush").is_err() {
            self.evict_quarantined_while(|_| true);
        }
        waiting - self.quarantine.borrow().len()
    }

    fn evict_quarantined_while(&self, mut more: impl FnMut(usize) -> bool) -> usize {
        let mut freed = 0;
        while more(freed) {
            let latest = self.quarantine.borrow_mut().take_latest();
            let Some(Waiting { lease, .. }) = latest else { break };
            freed += lease.bytes;
            lease.discard();
        }
        freed
    }
}

/// What waits is given back with it.
impl Drop for Home {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Member for Home {
    fn holds_nodes(&self) -> bool {
        true
    }

    fn stats(&self) -> PoolStats {
        self.pool.stats()
    }

    fn evict(&self, bytes: usize) -> usize {
        self.pool.evict(bytes)
    }

    fn quarantined_bytes(&self) -> usize {
        // All nodes of a pool with lines of different lengths: summed only when memory is short.
        self.quarantine.borrow().iter().map(|waiting| waiting.lease.bytes).sum()
    }

    fn evict_quarantined(&self, bytes: usize) -> usize {
        self.evict_quarantined_while(|freed| freed < bytes)
    }
}

/// Builds an [`AudioNodePool`].
#[must_use = "a builder makes nothing until `build`"]
pub struct AudioNodePoolBuilder<N: PoolNode> {
    context: PoolContext,
    make: Make,
    settings: Settings,
    _node: PhantomData<N>,
}

/// What does not hang on the type of the nodes.
pub(crate) struct Settings {
    pub(crate) reset: UserReset,
    pub(crate) protocol: Option<Rc<Protocol>>,
    pub(crate) settle: Option<f64>,
    pub(crate) most_quarantined: usize,
    pub(crate) left_out: Option<Step>,
    pub(crate) bounds: Bounds,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            reset: None,
            protocol: None,
            settle: None,
            most_quarantined: MOST_QUARANTINED,
            left_out: None,
            bounds: Bounds::default(),
        }
    }
}

impl<N: PoolNode> AudioNodePoolBuilder<N> {
    /// Runs after the node's own recipe at each release: for what the recipe does not know, such as listeners of the
    /// program. May discard the node.
    pub fn resetter(self, reset: impl Fn(&N) -> Verdict + 'static) -> Self {
        self.try_resetter(move |node| Ok(reset(node)))
    }

    /// As [`resetter`](Self::resetter), for code that may throw: the node is discarded then, and
    /// [`take_failure`](AudioNodePool::take_failure) tells why.
    pub fn try_resetter(mut self, reset: impl Fn(&N) -> Result<Verdict, JsValue> + 'static) -> Self {
        self.settings.reset = Some(Box::new(move |node| reset(node.unchecked_ref())));
        self
    }

    /// How an `AudioWorkletNode` is told to forget: `message` is posted to its processor at each release, and the node
    /// waits in quarantine, pulled with zeros, until the processor has posted `answer` (compared as `Object.is` does,
    /// so use a string or a number). One that does not answer within 5 seconds is discarded.
    ///
    /// In the processor: `this.port.onmessage = ({ data }) => { if (data === "reset") { ...; this.port.postMessage("done"); } }`
    pub fn protocol(mut self, message: impl Into<JsValue>, answer: impl Into<JsValue>) -> Self {
        self.settings.protocol = Some(Rc::new(Protocol { message: message.into(), answer: answer.into() }));
        self
    }

    /// Seconds of zeros that a released node is pulled with, in place of what its type knows: for the filters of a pool
    /// of `AudioNode`, which do not tell their coefficients, and worklets with a tail. Only types that are quarantined
    /// at all heed it.
    pub fn settle_seconds(mut self, seconds: f64) -> Self {
        self.settings.settle = Some(seconds);
        self
    }

    /// Most nodes in quarantine; beyond it those that would wait longest are given up. Default: 256.
    pub fn max_quarantined(mut self, nodes: usize) -> Self {
        self.settings.most_quarantined = nodes;
        self
    }

    /// The budget that the nodes' bytes are charged to. Only delays hold any that count.
    pub fn memory(mut self, memory: &AudioMemory) -> Self {
        self.settings.bounds.memory = Some(memory.clone());
        self
    }

    /// Most nodes of one key, leased, quarantined and idle. An acquire beyond fails. Default: no bound.
    pub fn max_per_key(mut self, nodes: usize) -> Self {
        self.settings.bounds.max_per_key = Some(nodes);
        self
    }

    /// Most idle nodes of one key. A release beyond evicts the one that waited longest. Default: no bound.
    pub fn max_idle_per_key(mut self, nodes: usize) -> Self {
        self.settings.bounds.max_idle_per_key = Some(nodes);
        self
    }

    /// Milliseconds that a node may wait; one that waited longer is never handed out. It goes when
    /// [`maintain`](AudioNodePool::maintain) is called. Default: no bound, and then no release reads the clock.
    pub fn idle_ttl_ms(mut self, milliseconds: f64) -> Self {
        self.settings.bounds.idle_ttl_ms = Some(milliseconds);
        self
    }

    /// For tests only: a release without `step`, to show that it is needed.
    #[doc(hidden)]
    pub fn leave_out(mut self, step: Step) -> Self {
        self.settings.left_out = Some(step);
        self
    }

    /// All pools of a manager alike.
    #[doc(hidden)]
    pub fn bounds(mut self, bounds: &Bounds) -> Self {
        self.settings.bounds = bounds.clone();
        self
    }

    /// The pool.
    #[must_use]
    pub fn build(self) -> AudioNodePool<N> {
        let (look, bytes) = (AudioNodePool::<N>::LOOK, AudioNodePool::<N>::BYTES);
        AudioNodePool {
            home: Home::new(self.context, self.make, look, bytes, self.settings),
            _node: PhantomData,
        }
    }
}

/// Nodes of one type, recycled. A handle: clones are the same pool.
///
/// | call | calls into JavaScript |
/// |---|---|
/// | acquire, hit | 1, whether the context is open; 1 more while nodes are in quarantine |
/// | acquire, miss | the factory's, and 1 per parameter; 2 per parameter of a worklet |
/// | release | 1 for the recipe, 1 per input, 1 per listener; 1 per output if only the lease was used, never the node itself |
/// | release to the quarantine | those, and 1 to put it on the flush bus, or for the time alone; 1 to take it off; 1 for a worklet's message, 1 for its answer |
/// | `connect_from`, `connect_to`, `set` | 1 each |
///
/// Of a node that was only used by its lease it is known what was done to it, and no more than that is undone: parameters that were
/// set, a filter's memory if it was fed. A delay that was never fed is not quarantined. After [`NodeLease::as_raw`], or a call of
/// one of the node's own methods, all is undone that can have been done.
pub struct AudioNodePool<N: PoolNode> {
    home: Rc<Home>,
    _node: PhantomData<N>,
}

impl<N: PoolNode> Clone for AudioNodePool<N> {
    fn clone(&self) -> Self {
        Self { home: Rc::clone(&self.home), _node: PhantomData }
    }
}

impl<N: PoolNode> AudioNodePool<N> {
    pub(crate) const LOOK: Look = |node, key, rate| {
        let key = key.get::<N::Key>().ok_or(WebError::Unsupported { what: FOREIGN_KEY })?;
        N::facts(node, key, rate)
    };
    pub(crate) const BYTES: Estimate = |key, rate| key.get::<N::Key>().map_or(0, |key| N::bytes(key, rate));

    /// A pool of what `factory` makes. The factory may throw; the acquire then fails with the exception.
    pub fn builder(
        context: &PoolContext,
        factory: impl Fn(&BaseAudioContext, &N::Key) -> Result<N, JsValue> + 'static,
    ) -> AudioNodePoolBuilder<N> {
        AudioNodePoolBuilder {
            context: context.clone(),
            make: Box::new(move |context, key| {
                let key = key.get::<N::Key>().ok_or_else(|| JsValue::from_str(FOREIGN_KEY))?;
                factory(context, key).map(JsCast::unchecked_into)
            }),
            settings: Settings::default(),
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
        release::expect_leases();
        self.home.acquire(&AnyKey::new(key)).map(|lease| NodeLease::new(lease, &self.home))
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
        let lease = CoreLease::redeem(&self.home.pool.core, id)?;
        Ok(NodeLease::new(lease, &self.home))
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
        self.home.prewarm(&AnyKey::new(key), count)
    }

    /// Housekeeping, to be called about once a second: what has become silent goes back to the idle set, what waited
    /// too long goes, and under memory pressure what was not needed lately. Looks at no more than 256 nodes. Returns
    /// how many were settled or destroyed.
    pub fn maintain(&self) -> usize {
        self.home.maintain()
    }

    /// Evicts idle nodes, those released longest ago first, until at most `idle` are left. Returns how many went.
    pub fn trim(&self, idle: usize) -> usize {
        self.home.pool.trim(idle)
    }

    /// Evicts every idle and quarantined node. Leased ones stay.
    pub fn clear(&self) {
        self.home.clear();
    }

    /// Refuses all further acquires, and clears. Leased nodes are reset and given up as they come back.
    pub fn close(&self) {
        self.home.close();
    }

    /// What the pool has done and holds. No call into JavaScript.
    #[must_use]
    pub fn stats(&self) -> NodeStats {
        self.home.node_stats()
    }

    /// Why the latest node was discarded at its release, if an exception did it. Taken: a second call gives `None`.
    #[must_use]
    pub fn take_failure(&self) -> Option<Exception> {
        self.home.take_failure()
    }

    /// The context whose nodes these are.
    #[must_use]
    pub fn context(&self) -> &PoolContext {
        &self.home.context
    }

    pub(crate) fn of_home(home: &Rc<Home>) -> Self {
        Self { home: Rc::clone(home), _node: PhantomData }
    }

    pub(crate) fn home(&self) -> &Rc<Home> {
        &self.home
    }
}
