//! [`NodeLease`]: one node that is out, and what can be connected to it.

use crate::bindings::{self, Automation};
use crate::context::{PoolContext, Wire};
use crate::core_pool::Thing;
use crate::edges::{EdgeId, NodeId};
use crate::error::{Exception, WebError};
use crate::node::{CoreLease, Home};
use crate::pool_node::PoolNode;
use crate::recipe::Traces;
use crate::release::{Phase, Pooled};
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::rc::Rc;
use core::marker::PhantomData;
use core::ops::Deref;
use pool_core::LeaseId;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::{AudioNode, AudioParam, BiquadFilterNode, BiquadFilterType, Event};

/// What can feed a pooled node: any web-sys node, or a [`NodeLease`].
pub trait Source {
    /// The node.
    fn source_node(&self) -> &AudioNode;

    /// The same, for a connection that is recorded.
    #[doc(hidden)]
    fn recorded_node(&self) -> &AudioNode {
        self.source_node()
    }

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
        self.expose()
    }

    fn recorded_node(&self) -> &AudioNode {
        &self.pooled().node
    }

    fn pooled_in(&self, context: &PoolContext) -> Option<NodeId> {
        let pooled = self.lease.as_ref()?;
        if !pooled.context.is(context) {
            // Its own record does not learn of the connection.
            pooled.mark(Traces::NODE);
            return None;
        }
        Some(pooled.id)
    }
}

/// One node that is out. Dropping it releases the node: everything that was done to it is undone, whether it was
/// done here or on the node itself, but for what no browser tells: connections *into* it, unless they were made by
/// [`connect_from`](Self::connect_from) and [`connect_param_from`](Self::connect_param_from); listeners, unless they were
/// added by [`listen`](Self::listen); and properties of your own, a worklet's `port.onmessage` among them.
///
/// Dereferences to the node. Do not keep clones of the node beyond the lease. A node that was never asked for leaves less
/// for the garbage collector when it is released: then all that it feeds is known, and is cut one by one.
#[must_use = "dropping a lease releases the node at once"]
pub struct NodeLease<N: PoolNode> {
    /// `None` only while it is taken apart.
    lease: Option<CoreLease>,
    home: Rc<Home>,
    _node: PhantomData<N>,
}

impl<N: PoolNode> NodeLease<N> {
    pub(crate) fn new(lease: CoreLease, home: &Rc<Home>) -> Self {
        Self { lease: Some(lease), home: Rc::clone(home), _node: PhantomData }
    }

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
        self.expose().unchecked_ref()
    }

    /// The node, for whoever may do with it what is not recorded.
    fn expose(&self) -> &AudioNode {
        let pooled = self.pooled();
        pooled.mark(Traces::NODE);
        &pooled.node
    }

    /// Connects output 0 of `source` to input 0 of this node. The release of either cuts it. 1 call into JavaScript.
    ///
    /// # Errors
    ///
    /// [`WebError::Exception`], such as for a node of another context.
    pub fn connect_from(&self, source: &(impl Source + ?Sized)) -> Result<EdgeId, WebError> {
        self.connect_from_output(source, 0, 0)
    }

    /// As [`connect_from`](Self::connect_from), from one of several outputs to one of several inputs.
    ///
    /// # Errors
    ///
    /// [`WebError::Exception`], such as for an output or input that does not exist.
    pub fn connect_from_output(
        &self,
        source: &(impl Source + ?Sized),
        output: u32,
        input: u32,
    ) -> Result<EdgeId, WebError> {
        let pooled = self.pooled();
        pooled.mark(Traces::SIGNAL);
        let node = source.recorded_node().clone();
        let wire = Wire::Node { source: node, target: pooled.node.clone(), output, input };
        pooled.context.connect(source.pooled_in(&pooled.context), pooled.id, wire)
    }

    /// Connects output 0 of `source` to the parameter `name`. The release of either cuts it. 1 call into JavaScript.
    ///
    /// # Errors
    ///
    /// [`WebError::UnknownParam`], or [`WebError::Exception`] such as for a node of another context.
    pub fn connect_param_from(
        &self,
        source: &(impl Source + ?Sized),
        name: &str,
    ) -> Result<EdgeId, WebError> {
        let target = self.require(name)?.1.clone();
        let pooled = self.pooled();
        // Not to it, but a filter may be left in another state by what its parameters did.
        pooled.mark(Traces::SIGNAL);
        let wire = Wire::Param { source: source.recorded_node().clone(), target, output: 0 };
        pooled.context.connect(source.pooled_in(&pooled.context), pooled.id, wire)
    }

    /// Connects output 0 of this node to `target`, which is no lease: to one, use its
    /// [`connect_from`](Self::connect_from). The release cuts all that leaves the node. 1 call into JavaScript.
    ///
    /// # Errors
    ///
    /// [`WebError::Exception`], such as for a node of another context.
    pub fn connect_to(&self, target: &impl AsRef<AudioNode>) -> Result<(), WebError> {
        let Pooled { node, id, context, .. } = self.pooled();
        let (source, target) = (node.clone(), target.as_ref().clone());
        context.connect_out(*id, Wire::Node { source, target, output: 0, input: 0 })
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

    /// Cuts all connections from `source` into this node that were made here, and forgets them; returns how many there were.
    /// As [`cut`](Self::cut), for who has kept no number. O(connections into this node), with a call into JavaScript for
    /// each of them that is not from another node of a pool.
    ///
    /// # Errors
    ///
    /// As [`cut`](Self::cut).
    pub fn cut_from(&self, source: &(impl Source + ?Sized)) -> Result<usize, WebError> {
        let pooled = self.pooled();
        pooled.context.cut_from(source.pooled_in(&pooled.context), source.recorded_node(), pooled.id)
    }

    /// Calls `callback` at each event of this `kind` on the node, until the release. 2 calls into JavaScript, and 1 at the
    /// release.
    ///
    /// Listeners that are added to the node itself stay on it: no browser tells what listens.
    ///
    /// # Errors
    ///
    /// [`WebError::Exception`], though none is known.
    pub fn listen(&self, kind: &str, callback: impl FnMut(Event) + 'static) -> Result<(), WebError> {
        // Events tell their node.
        self.expose();
        let closure = Closure::wrap(Box::new(callback) as Box<dyn FnMut(Event)>);
        let function = closure.as_ref().clone();
        self.pooled().listen(kind, function, Some(closure)).map_err(Exception::of("addEventListener"))
    }

    /// As [`listen`](Self::listen), of a function that lives in JavaScript.
    ///
    /// # Errors
    ///
    /// As [`listen`](Self::listen).
    pub fn listen_by(&self, kind: &str, function: &js_sys::Function) -> Result<(), WebError> {
        self.expose();
        let function = function.clone().into();
        self.pooled().listen(kind, function, None).map_err(Exception::of("addEventListener"))
    }

    /// Listeners that [`listen`](Self::listen) has added.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.pooled().listeners()
    }

    /// The parameter `name`. No call into JavaScript.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&AudioParam> {
        let pooled = self.pooled();
        pooled.param(name).map(|(index, param)| {
            pooled.mark(Traces::param(index));
            param
        })
    }

    /// Sets a parameter's value now, which ends what is scheduled for this moment only. 1 call into JavaScript.
    ///
    /// # Errors
    ///
    /// [`WebError::UnknownParam`], or [`WebError::Exception`] while a curve is in flight.
    pub fn set(&self, name: &str, value: f32) -> Result<(), WebError> {
        bindings::set_param(self.marked(name)?, value).map_err(Exception::of("AudioParam.value"))
    }

    /// Goes from the value that the parameter has now to `value` in a straight line, up to the context time
    /// `end_time` in seconds; what was scheduled from now on is dropped. 5 calls into JavaScript.
    ///
    /// This anchors the ramp at the present. A ramp without an anchor starts at the parameter's last event, and the
    /// reset at the latest release was one.
    ///
    /// # Errors
    ///
    /// [`WebError::UnknownParam`], or [`WebError::Exception`] for times and values that are no numbers, and in Firefox
    /// while a curve is in flight.
    pub fn ramp_to(&self, name: &str, value: f32, end_time: f64) -> Result<(), WebError> {
        let param = self.marked(name)?;
        let now = self.pooled().context.now();
        let anchored = || {
            let present = param.value();
            bindings::cancel_param(param, now)?;
            bindings::automate(param, Automation::Set, present, now)?;
            bindings::automate(param, Automation::Linear, value, end_time)
        };
        anchored().map_err(Exception::of("ramp"))
    }

    /// Sets the value of the parameter `name` at the context time `time`, in seconds. 1 call into JavaScript, and unlike
    /// web-sys' own it leaves nothing for the garbage collector; the same for the other two.
    ///
    /// # Errors
    ///
    /// [`WebError::UnknownParam`], or [`WebError::Exception`] for times and values that are no numbers, and during a
    /// curve.
    pub fn set_at(&self, name: &str, value: f32, time: f64) -> Result<(), WebError> {
        self.automate(name, Automation::Set, value, time)
    }

    /// Goes from the event before to `value` in a straight line, up to the context time `end_time`. Without an event
    /// before it, use [`ramp_to`](Self::ramp_to).
    ///
    /// # Errors
    ///
    /// As [`set_at`](Self::set_at).
    pub fn linear_ramp_at(&self, name: &str, value: f32, end_time: f64) -> Result<(), WebError> {
        self.automate(name, Automation::Linear, value, end_time)
    }

    /// As [`linear_ramp_at`](Self::linear_ramp_at), by equal ratios: neither end may be 0.
    ///
    /// # Errors
    ///
    /// As [`set_at`](Self::set_at).
    pub fn exponential_ramp_at(&self, name: &str, value: f32, end_time: f64) -> Result<(), WebError> {
        self.automate(name, Automation::Exponential, value, end_time)
    }

    fn automate(&self, name: &str, kind: Automation, value: f32, time: f64) -> Result<(), WebError> {
        bindings::automate(self.marked(name)?, kind, value, time).map_err(Exception::of("automation"))
    }

    /// Drops what is scheduled for `name` after the context time `time`, and holds the value it has then. `false` where
    /// the browser cannot do that (Firefox); nothing is changed there.
    ///
    /// # Errors
    ///
    /// [`WebError::UnknownParam`], or [`WebError::Exception`] for a time that is no number.
    pub fn hold(&self, name: &str, time: f64) -> Result<bool, WebError> {
        bindings::hold_param(self.marked(name)?, time).map_err(Exception::of("cancelAndHoldAtTime"))
    }

    /// The same lease, of a node of whatever type: for lists of leases of different types.
    pub fn into_any(mut self) -> NodeLease<AudioNode> {
        NodeLease { lease: self.lease.take(), home: Rc::clone(&self.home), _node: PhantomData }
    }

    /// Takes the node out of the pool for good, as it is, with all its connections.
    #[must_use = "dropping the node leaves it connected: `discard` cuts it off"]
    pub fn detach(mut self) -> N {
        let node = self.as_raw().clone();
        if let Some(Thing::Node(pooled)) = self.lease.take().map(CoreLease::detach).as_mut() {
            // So that its destructor cuts nothing.
            pooled.phase = Phase::Detached;
        }
        self.home.tell();
        node
    }

    /// Cuts the node off and gives it up instead of releasing it.
    pub fn discard(mut self) {
        if let Some(lease) = self.lease.take() {
            lease.discard();
        }
        self.home.tell();
    }

    /// Turns the lease into a token, which [`redeem`](AudioNodePool::redeem) turns back.
    #[must_use = "the node stays leased until its token is released"]
    pub(crate) fn into_id(mut self) -> Option<LeaseId> {
        self.lease.take().map(CoreLease::into_id)
    }

    /// The parameter, to be set or automated.
    fn marked(&self, name: &str) -> Result<&AudioParam, WebError> {
        let (index, param) = self.require(name)?;
        self.pooled().mark(Traces::value(index));
        Ok(param)
    }

    fn require(&self, name: &str) -> Result<(usize, &AudioParam), WebError> {
        self.pooled().param(name).ok_or_else(|| WebError::UnknownParam {
            interface: self.pooled().spec.interface,
            name: name.to_owned(),
        })
    }
}

impl NodeLease<BiquadFilterNode> {
    /// Sets what the filter lets through. As web-sys' own, but the node is not touched for it; see
    /// [`AudioNodePool`](crate::AudioNodePool).
    pub fn set_type(&self, kind: BiquadFilterType) {
        let pooled = self.pooled();
        pooled.mark(Traces::ATTRIBUTE);
        pooled.node.unchecked_ref::<BiquadFilterNode>().set_type(kind);
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
