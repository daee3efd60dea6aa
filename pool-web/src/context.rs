//! [`PoolContext`]: what the node pools of one audio context share.

use crate::bindings;
use crate::edges::{EdgeId, EdgeTable, NodeId};
use crate::error::{Exception, WebError};
use crate::probe;
use crate::recipe::{NodeSpec, Otherwise, Probe, StateClass};
use alloc::rc::Rc;
use core::cell::{OnceCell, RefCell};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AudioNode, AudioParam, BaseAudioContext};

/// A connection to cut.
pub(crate) enum Wire {
    /// From an output to an input.
    Node { source: AudioNode, target: AudioNode, output: u32, input: u32 },
    /// From an output to a parameter.
    Param { source: AudioNode, target: AudioParam, output: u32 },
}

impl Wire {
    /// Cuts it. One call into JavaScript. That it was cut before, behind our back, is no failure.
    pub(crate) fn cut(&self) -> Result<(), JsValue> {
        let cut = match self {
            Self::Node { source, target, output, input } => bindings::cut(source, target, *output, *input),
            Self::Param { source, target, output } => bindings::cut_param(source, target, *output),
        };
        cut.or_else(|thrown| {
            let exception = Exception::from_js("disconnect", &thrown);
            if exception.name == "InvalidAccessError" { Ok(()) } else { Err(thrown) }
        })
    }

    fn source(&self) -> &AudioNode {
        match self {
            Self::Node { source, .. } | Self::Param { source, .. } => source,
        }
    }

    fn join(&self) -> Result<(), JsValue> {
        match self {
            Self::Node { source, target, output, input } => bindings::join(source, target, *output, *input),
            Self::Param { source, target, output } => bindings::join_param(source, target, *output),
        }
    }
}

/// Where nodes that still hold a signal are pulled with zeros: a looping buffer of zeros feeds them, and a gain of
/// 0 leads to the destination, because what leads nowhere is not pulled. The buffer is stereo, so that both lines
/// of a node that was stereo are pulled. (A `ConstantSourceNode` at 0 would be taken for silence, and pull nothing.)
struct FlushBus {
    zeros: AudioNode,
    sink: AudioNode,
}

impl FlushBus {
    fn new(context: &BaseAudioContext) -> Result<Self, JsValue> {
        let ends = bindings::make_bus(context)?;
        Ok(Self { zeros: ends.get(0).unchecked_into(), sink: ends.get(1).unchecked_into() })
    }
}

/// Unplugs the bus for good when the last pool of the context goes.
impl Drop for FlushBus {
    fn drop(&mut self) {
        // `disconnect()` without arguments does not throw.
        let _ = self.zeros.disconnect();
        let _ = self.sink.disconnect();
    }
}

/// Length of a render quantum in seconds. 1 call into JavaScript.
pub(crate) fn quantum_of(context: &BaseAudioContext, sample_rate: f32) -> f64 {
    // 128 frames unless the context was made with another size, which only new browsers can, and they tell.
    let frames = bindings::figure(context, "renderQuantumSize").unwrap_or(128.0);
    frames / f64::from(sample_rate)
}

struct Inner {
    context: BaseAudioContext,
    sample_rate: f32,
    /// Length of a render quantum in seconds.
    quantum: f64,
    edges: RefCell<EdgeTable<Wire>>,
    bus: OnceCell<FlushBus>,
}

/// One audio context, with what its pools share: which connection feeds which node, and where used delays are pulled
/// with zeros. Nodes of different contexts cannot be connected, so there is one of these per context. A handle:
/// clones are the same.
#[derive(Clone)]
pub struct PoolContext(Rc<Inner>);

impl PoolContext {
    /// For pools of `context`, live or offline. 2 calls into JavaScript.
    #[must_use]
    pub fn new(context: &BaseAudioContext) -> Self {
        let sample_rate = context.sample_rate();
        Self(Rc::new(Inner {
            context: context.clone(),
            sample_rate,
            quantum: quantum_of(context, sample_rate),
            edges: RefCell::default(),
            bus: OnceCell::new(),
        }))
    }

    /// Whether both are handles of the same.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// The context itself.
    #[must_use]
    pub fn as_raw(&self) -> &BaseAudioContext {
        &self.0.context
    }

    /// Its sample rate in hertz.
    #[must_use]
    pub fn sample_rate(&self) -> f32 {
        self.0.sample_rate
    }

    /// Length of a render quantum in seconds: mostly 128 frames.
    #[must_use]
    pub fn quantum(&self) -> f64 {
        self.0.quantum
    }

    /// Connections of pooled nodes that are recorded now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.edges.borrow().len()
    }

    /// Finds out, once per page, whether writing an attribute empties nodes of a type in this browser, and returns it.
    /// Until it is known, they are pulled with zeros or thrown away after each use, which works anywhere. Renders 24
    /// quanta of an offline context; a browser that cannot suspend one (Firefox) is taken for one where it does not
    /// work. A pool asks by itself: when it makes its first node, or of panners when the first with HRTF is released.
    pub async fn probe(&self, probe: Probe) -> bool {
        probe::ask(probe, self.0.sample_rate).await
    }

    /// Whether the probe has said yes.
    #[must_use]
    pub fn works(&self, probe: Probe) -> bool {
        probe::answer(probe).unwrap_or(false)
    }

    /// Starts the probe of a type that needs it for every node, unless that was done.
    pub(crate) fn want_probe_at_once(&self, spec: &NodeSpec) {
        match spec.state {
            // The tables of HRTF are loaded for it, which a page of plain panners shall not pay for.
            StateClass::AttributeReset { otherwise: Otherwise::DiscardIf(..), .. } => {}
            _ => self.want_probe(spec),
        }
    }

    /// Starts the probe of a type, unless that was done.
    pub(crate) fn want_probe(&self, spec: &NodeSpec) {
        if let StateClass::AttributeReset { probe, .. } = spec.state {
            probe::want(probe, self.0.sample_rate);
        }
    }

    /// An error if the context is closed. One call into JavaScript.
    pub(crate) fn check_open(&self, operation: &'static str) -> Result<(), WebError> {
        if bindings::is_closed(&self.0.context) { Err(WebError::ContextClosed { operation }) } else { Ok(()) }
    }

    /// `None` if it is closed: then its time stands still for ever. 1 call.
    pub(crate) fn time_if_open(&self) -> Option<f64> {
        bindings::time_if_open(&self.0.context)
    }

    pub(crate) fn now(&self) -> f64 {
        self.0.context.current_time()
    }

    pub(crate) fn add_node(&self) -> NodeId {
        self.0.edges.borrow_mut().add_node()
    }

    /// Forgets a node without cutting anything.
    pub(crate) fn forget_node(&self, node: NodeId) {
        self.0.edges.borrow_mut().remove_node(node);
    }

    /// Lets a node go with its connections, which those at their other ends still know of.
    pub(crate) fn detach_node(&self, node: NodeId) {
        self.0.edges.borrow_mut().detach_node(node);
    }

    /// Makes a connection, and records it.
    pub(crate) fn connect(&self, from: Option<NodeId>, to: NodeId, wire: Wire) -> Result<EdgeId, WebError> {
        wire.join().map_err(Exception::of("connect"))?;
        self.record(from, to, wire)
    }

    /// Makes a connection to what is not pooled, and records it.
    pub(crate) fn connect_out(&self, from: NodeId, wire: Wire) -> Result<(), WebError> {
        wire.join().map_err(Exception::of("connect"))?;
        let edge = self.0.edges.borrow_mut().connect_out(from, wire);
        edge.map(drop).ok_or(WebError::PoolClosed)
    }

    /// Records a connection that was made.
    fn record(&self, from: Option<NodeId>, to: NodeId, wire: Wire) -> Result<EdgeId, WebError> {
        let edge = self.0.edges.borrow_mut().connect(from, to, wire);
        // Both nodes are leased, so neither was removed.
        edge.ok_or(WebError::PoolClosed)
    }

    /// Cuts one connection; `false` if it is gone already.
    pub(crate) fn cut(&self, edge: EdgeId) -> Result<bool, WebError> {
        let wire = self.0.edges.borrow_mut().take(edge);
        match wire {
            Some(wire) => wire.cut().map(|()| true).map_err(Exception::of("disconnect")),
            None => Ok(false),
        }
    }

    /// Cuts all that leads from `source`, whose entry is `from` if it has one, into `node`; returns how many there were.
    pub(crate) fn cut_from(
        &self,
        from: Option<NodeId>,
        source: &AudioNode,
        node: NodeId,
    ) -> Result<usize, WebError> {
        let is_source = |wire: &Wire| wire.source() == source;
        let edges = self.0.edges.borrow().incoming(node, from, is_source);
        // Found first: with nothing borrowed while JavaScript runs.
        for &edge in &edges {
            self.cut(edge)?;
        }
        Ok(edges.len())
    }

    /// Cuts all that feeds `node`. All of it is tried, whatever fails; the first failure is returned.
    pub(crate) fn cut_inputs(&self, node: NodeId) -> Result<(), JsValue> {
        self.cut_all(|edges| edges.take_incoming(node))
    }

    /// Cuts all that `node` is known to feed, in the same way.
    pub(crate) fn cut_outputs(&self, node: NodeId) -> Result<(), JsValue> {
        self.cut_all(|edges| edges.take_outgoing(node))
    }

    fn cut_all(&self, next: impl Fn(&mut EdgeTable<Wire>) -> Option<Wire>) -> Result<(), JsValue> {
        let mut outcome = Ok(());
        loop {
            // Taken first: with nothing borrowed while JavaScript runs.
            let wire = next(&mut self.0.edges.borrow_mut());
            match wire {
                Some(wire) => outcome = outcome.and(wire.cut()),
                None => return outcome,
            }
        }
    }

    /// Forgets where a node led, which its `disconnect()` cuts.
    pub(crate) fn forget_outputs(&self, id: NodeId) {
        self.0.edges.borrow_mut().drop_outgoing(id);
    }

    /// Lets zeros flow through a node that was reset, until [`unplug`](Self::unplug); tells since when, `None` if the context is
    /// closed. 1 call into JavaScript.
    pub(crate) fn flush(&self, node: &AudioNode, worklet: bool) -> Result<Option<f64>, WebError> {
        let inner = &*self.0;
        if inner.bus.get().is_none() {
            let bus = FlushBus::new(&inner.context).map_err(Exception::of("flush bus"))?;
            // Empty a moment ago, and nothing ran since that could have filled it.
            let _ = inner.bus.set(bus);
        }
        let Some(bus) = inner.bus.get() else { return Err(WebError::PoolClosed) };
        bindings::plug(&inner.context, node, &bus.zeros, &bus.sink, worklet).map_err(Exception::of("connect"))
    }

    /// Takes a node off the flush bus. 1 call into JavaScript.
    pub(crate) fn unplug(&self, node: &AudioNode, worklet: bool) -> Result<(), JsValue> {
        self.0.bus.get().map_or(Ok(()), |bus| bindings::unplug(node, &bus.zeros, worklet))
    }
}
