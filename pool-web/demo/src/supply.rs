//! Where a voice's nodes and buffer come from: leased from the pools, or made fresh by the browser.
//!
//! Both give the same [`Chain`], so that the engine plays it without knowing, and both sound the same.

use std::{cell::RefCell, ops::Deref, rc::Rc};

use js_sys::Float32Array;
use pool_web::{
    AudioBufferPool, AudioMemory, AudioNodePoolManager, BufferLease, DelayKey, NodeLease, NodeManagerStats,
    NodeStats, PoolNode, PoolStats, SampleCache,
};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    AudioBuffer, AudioBufferSourceNode, AudioBufferSourceOptions, AudioContext, AudioNode, AudioParam,
    BiquadFilterNode, BiquadFilterType, DelayNode, GainNode, StereoPannerNode,
};

use crate::{
    census::{Census, Count, Kind},
    scratch::Samples,
};

/// Channels of every voice's buffer.
const CHANNELS: u32 = 2;
/// Longest delay of an echo in seconds, which decides the size of its delay line.
pub(crate) const MAX_DELAY: f64 = 0.5;

/// Seconds between the end of a source and the time from which nothing of it can be heard: some quanta, since the clock may be
/// read while the audio thread is ahead or behind.
const TAIL_SECONDS: f64 = 0.03;

/// A node of a voice. A leased one is reset and goes back to its pool when it is dropped.
pub(crate) enum Part<N: PoolNode> {
    Leased(NodeLease<N>),
    Fresh(N),
}

impl<N: PoolNode> Part<N> {
    /// Sets the parameter `name` at a time: the pool keeps it at hand, a fresh node is asked for it by `getter`.
    pub(crate) fn set_at(
        &self,
        name: &str,
        getter: impl Fn(&N) -> AudioParam,
        value: f32,
        time: f64,
    ) -> Result<(), JsValue> {
        match self {
            Self::Leased(lease) => lease.set_at(name, value, time).map_err(JsValue::from),
            Self::Fresh(node) => getter(node).set_value_at_time(value, time).map(drop),
        }
    }

    /// Goes to a value by equal ratios, up to a time.
    pub(crate) fn ramp_at(
        &self,
        name: &str,
        getter: impl Fn(&N) -> AudioParam,
        value: f32,
        end_time: f64,
    ) -> Result<(), JsValue> {
        match self {
            Self::Leased(lease) => lease.exponential_ramp_at(name, value, end_time).map_err(JsValue::from),
            Self::Fresh(node) => getter(node).exponential_ramp_to_value_at_time(value, end_time).map(drop),
        }
    }

    /// Lets a node that is neither pooled nor fresh, the source, feed this one.
    pub(crate) fn feed(&self, source: &AudioNode) -> Result<(), String> {
        match self {
            Self::Leased(lease) => lease.connect_from(&source).map(drop).map_err(|error| error.to_string()),
            Self::Fresh(node) => connect(source, node.as_ref()),
        }
    }

    /// Connects this node to another one of the same voice.
    pub(crate) fn lead_to<M: PoolNode>(&self, next: &Part<M>) -> Result<(), String> {
        match (self, next) {
            (Self::Leased(from), Part::Leased(to)) => {
                to.connect_from(from).map(drop).map_err(|error| error.to_string())
            }
            // A voice is all of one kind, so these are two fresh ones.
            (from, to) => connect(from.as_node(), to.as_node()),
        }
    }

    /// Connects this node to a bus that outlives it.
    pub(crate) fn end_at(&self, bus: &GainNode) -> Result<(), String> {
        match self {
            Self::Leased(lease) => lease.connect_to(bus).map_err(|error| error.to_string()),
            Self::Fresh(node) => connect(node.as_ref(), bus),
        }
    }

    fn as_node(&self) -> &AudioNode {
        N::as_ref(self)
    }
}

impl Part<BiquadFilterNode> {
    /// Sets what the filter lets through.
    pub(crate) fn set_type(&self, kind: BiquadFilterType) {
        match self {
            Self::Leased(lease) => lease.set_type(kind),
            Self::Fresh(node) => node.set_type(kind),
        }
    }
}

impl<N: PoolNode> Deref for Part<N> {
    type Target = N;

    fn deref(&self) -> &N {
        match self {
            Self::Leased(lease) => lease,
            Self::Fresh(node) => node,
        }
    }
}

fn connect(source: &AudioNode, destination: &AudioNode) -> Result<(), String> {
    source.connect_with_audio_node(destination).map(drop).map_err(|error| describe(&error))
}

/// The buffer of a voice. A leased one goes back to its pool when it is dropped and its source has ended.
pub(crate) enum Sound {
    Leased(BufferLease),
    Fresh(AudioBuffer),
}

impl Sound {
    /// Fills both sides, and makes a source that plays them at a speed: the one node that cannot be pooled.
    pub(crate) fn source(
        &self,
        context: &AudioContext,
        [left, right]: &[Float32Array; 2],
        speed: f32,
    ) -> Result<AudioBufferSourceNode, String> {
        match self {
            Self::Leased(lease) => lease
                .write_array(0, left)
                .and_then(|()| lease.write_array(1, right))
                .and_then(|()| lease.timed_source_at(speed))
                .map_err(|error| error.to_string()),
            Self::Fresh(buffer) => {
                let samples = buffer.unchecked_ref::<Samples>();
                samples.write(left, 0);
                samples.write(right, 1);
                let options = AudioBufferSourceOptions::new();
                options.set_buffer(Some(buffer));
                options.set_playback_rate(speed);
                AudioBufferSourceNode::new_with_options(context, &options).map_err(|error| describe(&error))
            }
        }
    }

    /// Lets its source play from a time to another, at which the samples are over.
    pub(crate) fn start(&self, source: &AudioBufferSourceNode, begin: f64, end: f64) -> Result<(), JsValue> {
        match self {
            // The pool has to know the end, and so decides it.
            Self::Leased(lease) => lease.start_timed(source, begin, end).map_err(JsValue::from),
            Self::Fresh(_) => source.start_with_when(begin),
        }
    }
}

/// Everything of a voice but its one-shot source.
pub(crate) struct Chain {
    pub(crate) sound: Sound,
    pub(crate) filter: Part<BiquadFilterNode>,
    pub(crate) gain: Part<GainNode>,
    pub(crate) panner: Part<StereoPannerNode>,
    pub(crate) delay: Option<Part<DelayNode>>,
    fresh: Option<Tallied>,
}

impl Chain {
    /// Seconds for which something of it can be heard after its source.
    pub(crate) fn tail(&self) -> f64 {
        if self.delay.is_some() { TAIL_SECONDS + MAX_DELAY } else { TAIL_SECONDS }
    }

    /// Whether its nodes were made for it alone.
    pub(crate) fn is_fresh(&self) -> bool {
        self.fresh.is_some()
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        // Leases undo their connections themselves; fresh nodes are disconnected here, as careful code without pools
        // does, so that the comparison is fair.
        if self.is_fresh() {
            let delay = self.delay.as_ref().map(Part::as_node);
            let nodes =
                [Some(self.filter.as_node()), Some(self.gain.as_node()), Some(self.panner.as_node()), delay];
            for node in nodes.into_iter().flatten() {
                // A node that is already disconnected, or whose context is closed, is what we want.
                let _ = node.disconnect();
            }
        }
    }
}

/// Where voices come from.
pub(crate) enum Supply {
    Pooled(Box<Pooled>),
    Fresh(Fresh),
}

impl Supply {
    /// The nodes and the buffer of one voice.
    pub(crate) fn chain(&self, frames: u32, echo: bool) -> Result<Chain, String> {
        match self {
            Self::Pooled(pooled) => pooled.chain(frames, echo).map_err(|error| error.to_string()),
            Self::Fresh(fresh) => fresh.chain(frames, echo).map_err(|error| describe(&error)),
        }
    }

    /// What there is, and what was made and reused since the last [`Self::reset`].
    pub(crate) fn census(&self) -> Census {
        match self {
            Self::Pooled(pooled) => pooled.census(),
            Self::Fresh(fresh) => fresh.tally.borrow().clone(),
        }
    }

    /// Counts from zero again.
    pub(crate) fn reset(&mut self) {
        match self {
            Self::Pooled(pooled) => pooled.reset(),
            Self::Fresh(fresh) => fresh.reset(),
        }
    }

    /// Housekeeping, about once a second. Returns why a node had to be thrown away, if one was.
    pub(crate) fn maintain(&self) -> Option<String> {
        let Self::Pooled(pooled) = self else { return None };
        pooled.nodes.maintain();
        pooled.buffers.maintain();
        pooled.nodes.take_failure().map(|failure| failure.to_string())
    }
}

/// Nodes and buffers from the pools of `pool-web`, under one budget with the recordings.
pub(crate) struct Pooled {
    nodes: AudioNodePoolManager,
    buffers: AudioBufferPool,
    memory: AudioMemory,
    recordings: SampleCache,
    sample_rate: f32,
    /// The pools count from their beginning; this is what they had counted at the last reset.
    base_nodes: NodeManagerStats,
    base_buffers: PoolStats,
}

impl Pooled {
    /// Empty pools that are charged to `memory`, as `recordings` are.
    pub(crate) fn new(context: &AudioContext, memory: &AudioMemory, recordings: &SampleCache) -> Self {
        let nodes = AudioNodePoolManager::builder(context).memory(memory).build();
        let buffers = AudioBufferPool::builder(context).memory(memory).build();
        let (base_nodes, base_buffers) = (nodes.stats(), buffers.stats());
        Self {
            nodes,
            buffers,
            memory: memory.clone(),
            recordings: recordings.clone(),
            sample_rate: context.sample_rate(),
            base_nodes,
            base_buffers,
        }
    }

    fn chain(&self, frames: u32, echo: bool) -> Result<Chain, pool_web::WebError> {
        // Every frame is overwritten, so that the pool need not zero them.
        let sound = self.buffers.acquire_dirty(CHANNELS, frames, self.sample_rate)?;
        let delay = if echo { Some(self.nodes.acquire_delay_with(MAX_DELAY)?) } else { None };
        Ok(Chain {
            sound: Sound::Leased(sound),
            filter: Part::Leased(self.nodes.acquire_filter()?),
            gain: Part::Leased(self.nodes.acquire_gain()?),
            panner: Part::Leased(self.nodes.acquire_panner()?),
            delay: delay.map(Part::Leased),
            fresh: None,
        })
    }

    fn census(&self) -> Census {
        let (now, base) = (self.nodes.stats(), self.base_nodes);
        let buffers = self.buffers.stats();
        let (memory, recordings) = (self.memory.stats(), self.recordings.stats());
        let nodes = now.total();
        let evicted = nodes.evicted - base.total().evicted + buffers.evicted - self.base_buffers.evicted;
        let mut census = Census {
            // Those of the memory are of all that is charged to it.
            leased_bytes: (memory.leased - recordings.leased_bytes) as u64,
            idle_bytes: (memory.idle - recordings.idle_bytes) as u64,
            kit_bytes: recordings.bytes() as u64,
            peak_bytes: memory.peak as u64,
            limit_bytes: memory.limit as u64,
            evicted,
            ..Census::default()
        };
        *census.kind_mut(Kind::Gain) = count_nodes(now.gain, base.gain);
        *census.kind_mut(Kind::Filter) = count_nodes(now.filter, base.filter);
        *census.kind_mut(Kind::Panner) = count_nodes(now.panner, base.panner);
        *census.kind_mut(Kind::Delay) = count_nodes(now.delay, base.delay);
        *census.kind_mut(Kind::Buffer) = Count {
            leased: buffers.leased as u64,
            resting: 0,
            idle: buffers.idle as u64,
            created: buffers.created - self.base_buffers.created,
            reused: buffers.hits - self.base_buffers.hits,
        };
        census
    }

    fn reset(&mut self) {
        self.base_nodes = self.nodes.stats();
        self.base_buffers = self.buffers.stats();
        self.memory.reset_peak();
    }
}

fn count_nodes(now: NodeStats, base: NodeStats) -> Count {
    Count {
        leased: now.leased as u64,
        resting: now.quarantined as u64,
        idle: now.idle as u64,
        created: now.created - base.created,
        reused: now.hits - base.hits,
    }
}

/// Nodes and buffers made by the browser for one voice each.
pub(crate) struct Fresh {
    context: AudioContext,
    tally: Rc<RefCell<Census>>,
    /// Bytes of an echo's delay line, counted as the pools do.
    line_bytes: u64,
}

impl Fresh {
    /// Counts `kit_bytes` of decoded recordings among its bytes, as the pools do.
    pub(crate) fn new(context: &AudioContext, kit_bytes: usize) -> Result<Self, String> {
        let kit_bytes = kit_bytes as u64;
        let census = Census { kit_bytes, peak_bytes: kit_bytes, ..Census::default() };
        let line = DelayKey::new(MAX_DELAY).map_err(|error| error.to_string())?;
        Ok(Self {
            context: context.clone(),
            tally: Rc::new(RefCell::new(census)),
            line_bytes: line.bytes(context.sample_rate()) as u64,
        })
    }

    fn chain(&self, frames: u32, echo: bool) -> Result<Chain, JsValue> {
        let context = &self.context;
        let buffer = context.create_buffer(CHANNELS, frames, context.sample_rate())?;
        let filter = context.create_biquad_filter()?;
        let gain = context.create_gain()?;
        let panner = context.create_stereo_panner()?;
        let delay = if echo { Some(context.create_delay_with_max_delay_time(MAX_DELAY)?) } else { None };
        let line = if echo { self.line_bytes } else { 0 };
        let bytes = u64::from(frames * CHANNELS) * size_of::<f32>() as u64 + line;
        Ok(Chain {
            sound: Sound::Fresh(buffer),
            filter: Part::Fresh(filter),
            gain: Part::Fresh(gain),
            panner: Part::Fresh(panner),
            delay: delay.map(Part::Fresh),
            fresh: Some(Tallied::new(&self.tally, bytes, echo)),
        })
    }

    fn reset(&self) {
        let mut tally = self.tally.borrow_mut();
        for count in &mut tally.kinds {
            count.created = 0;
        }
        tally.peak_bytes = tally.used_bytes();
    }
}

/// A fresh voice in the tally, for as long as it exists.
struct Tallied {
    tally: Rc<RefCell<Census>>,
    bytes: u64,
    echo: bool,
}

impl Tallied {
    fn new(tally: &Rc<RefCell<Census>>, bytes: u64, echo: bool) -> Self {
        {
            let mut census = tally.borrow_mut();
            for kind in kinds(echo) {
                let count = census.kind_mut(kind);
                count.leased += 1;
                count.created += 1;
            }
            census.leased_bytes += bytes;
            census.peak_bytes = census.peak_bytes.max(census.used_bytes());
        }
        Self { tally: Rc::clone(tally), bytes, echo }
    }
}

impl Drop for Tallied {
    fn drop(&mut self) {
        let mut census = self.tally.borrow_mut();
        for kind in kinds(self.echo) {
            census.kind_mut(kind).leased -= 1;
        }
        census.leased_bytes -= self.bytes;
    }
}

fn kinds(echo: bool) -> impl Iterator<Item = Kind> {
    Kind::ALL.into_iter().filter(move |&kind| echo || kind != Kind::Delay)
}

/// An exception of the browser in words.
pub(crate) fn describe(error: &JsValue) -> String {
    js_sys::Object::from(error.clone()).to_string().into()
}
