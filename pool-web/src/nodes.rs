//! [`AudioNodePoolManager`]: a pool of each type of node that needs no code of the program's own.

use crate::any_key::AnyKey;
use crate::bindings;
use crate::context::PoolContext;
use crate::core_pool::Bounds;
use crate::error::{Exception, WebError};
use crate::key::{DelayKey, IirKey, MAX_CHANNELS};
use crate::memory::AudioMemory;
use crate::node::{AudioNodePool, FOREIGN_KEY, Home, MOST_QUARANTINED, Settings};
use crate::node_lease::NodeLease;
use crate::node_stats::NodeStats;
use crate::pool_node::PoolNode;
use crate::probe;
use crate::recipe::Probe;
use crate::release::{Estimate, Look, Make};
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use wasm_bindgen::JsValue;
use web_sys::{
    AnalyserNode, AudioNode, BaseAudioContext, BiquadFilterNode, ChannelMergerNode, ChannelSplitterNode,
    ConvolverNode, DelayNode, GainNode, IirFilterNode, PannerNode, StereoPannerNode, WaveShaperNode,
};

/// What the pools have done and hold, by type.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct NodeManagerStats {
    /// Gains.
    pub gain: NodeStats,
    /// Biquad filters.
    pub filter: NodeStats,
    /// Delays.
    pub delay: NodeStats,
    /// Stereo panners.
    pub panner: NodeStats,
    /// Panners in space.
    pub spatial: NodeStats,
    /// Convolvers.
    pub convolver: NodeStats,
    /// Wave shapers.
    pub shaper: NodeStats,
    /// IIR filters.
    pub iir: NodeStats,
    /// Analysers.
    pub analyser: NodeStats,
    /// Channel splitters.
    pub splitter: NodeStats,
    /// Channel mergers.
    pub merger: NodeStats,
}

impl NodeManagerStats {
    /// The sum over the types.
    #[must_use]
    pub fn total(&self) -> NodeStats {
        let all = [
            self.gain,
            self.filter,
            self.delay,
            self.panner,
            self.spatial,
            self.convolver,
            self.shaper,
            self.iir,
            self.analyser,
            self.splitter,
            self.merger,
        ];
        all.into_iter().fold(NodeStats::default(), NodeStats::plus)
    }
}

/// Builds an [`AudioNodePoolManager`].
#[must_use = "a builder makes nothing until `build`"]
pub struct AudioNodePoolManagerBuilder {
    context: PoolContext,
    bounds: Bounds,
    most_quarantined: usize,
}

impl AudioNodePoolManagerBuilder {
    /// The budget that delay lines are charged to. Default: one of its own, of [`DEFAULT_BUDGET`](crate::DEFAULT_BUDGET).
    pub fn memory(mut self, memory: &AudioMemory) -> Self {
        self.bounds.memory = Some(memory.clone());
        self
    }

    /// Most nodes of each type (of each length, for delays), whatever they are doing. Default: no bound.
    pub fn max_per_type(mut self, nodes: usize) -> Self {
        self.bounds.max_per_key = Some(nodes);
        self
    }

    /// Most idle nodes of each type (of each length, for delays). Default: no bound.
    pub fn max_idle_per_type(mut self, nodes: usize) -> Self {
        self.bounds.max_idle_per_key = Some(nodes);
        self
    }

    /// Milliseconds that a node may wait to be used again. Default: no bound.
    pub fn idle_ttl_ms(mut self, milliseconds: f64) -> Self {
        self.bounds.idle_ttl_ms = Some(milliseconds);
        self
    }

    /// Most nodes of each type in quarantine; beyond it those that would wait longest are given up. Default: 256.
    pub fn max_quarantined(mut self, nodes: usize) -> Self {
        self.most_quarantined = nodes;
        self
    }

    /// All bounds at once.
    #[doc(hidden)]
    pub fn bounds(mut self, bounds: &Bounds) -> Self {
        self.bounds = bounds.clone();
        self
    }

    /// What the pools are handles of, in the order of [`KINDS`].
    fn homes(&mut self) -> Vec<Rc<Home>> {
        self.bounds.memory.get_or_insert_default();
        let context = &self.context;
        let mut homes = Vec::with_capacity(KINDS.len());
        for &Kind { method, size, look, bytes } in &KINDS {
            let make: Make = match size {
                Some(size) => Box::new(move |context, key| bindings::create(context, method, size(key))),
                None => Box::new(|context, key| match key.get::<IirKey>() {
                    Some(key) => bindings::create_iir_filter(context, &key.feedforward(), &key.feedback()),
                    None => Err(JsValue::from_str(FOREIGN_KEY)),
                }),
            };
            let (bounds, most_quarantined) = (self.bounds.clone(), self.most_quarantined);
            let settings = Settings { bounds, most_quarantined, ..Settings::default() };
            homes.push(Home::new(context.clone(), make, look, bytes, settings));
        }
        probe::want(Probe::Biquad, context.sample_rate());
        homes
    }

    /// For the npm package, which does the same to all: the pools by number.
    #[doc(hidden)]
    #[must_use]
    pub fn build_pools(mut self) -> Vec<AudioNodePool<AudioNode>> {
        self.homes().iter().map(AudioNodePool::of_home).collect()
    }

    /// The manager. Starts the probe of this browser, if it has not been done on this page; see
    /// [`PoolContext::probe`].
    #[must_use]
    pub fn build(mut self) -> AudioNodePoolManager {
        let homes = self.homes();
        AudioNodePoolManager {
            gain: AudioNodePool::of_home(&homes[0]),
            filter: AudioNodePool::of_home(&homes[1]),
            delay: AudioNodePool::of_home(&homes[2]),
            panner: AudioNodePool::of_home(&homes[3]),
            spatial: AudioNodePool::of_home(&homes[4]),
            convolver: AudioNodePool::of_home(&homes[5]),
            shaper: AudioNodePool::of_home(&homes[6]),
            analyser: AudioNodePool::of_home(&homes[7]),
            splitter: AudioNodePool::of_home(&homes[8]),
            merger: AudioNodePool::of_home(&homes[9]),
            iir: AudioNodePool::of_home(&homes[10]),
        }
    }
}

/// A type of node that a manager has a pool of.
struct Kind {
    /// The context's, which makes one.
    method: &'static str,
    /// What it is given, 0 for nothing; `None` for a filter, which takes its coefficients.
    size: Option<fn(&AnyKey) -> f64>,
    look: Look,
    bytes: Estimate,
}

const fn kind<N: PoolNode>(method: &'static str, size: Option<fn(&AnyKey) -> f64>) -> Kind {
    Kind { method, size, look: AudioNodePool::<N>::LOOK, bytes: AudioNodePool::<N>::BYTES }
}

fn any(_: &AnyKey) -> f64 {
    0.0
}

fn line(key: &AnyKey) -> f64 {
    key.get::<DelayKey>().map_or(0.0, |key| key.max_delay())
}

fn channels(key: &AnyKey) -> f64 {
    key.get::<u32>().map_or(0.0, |&channels| f64::from(channels))
}

/// All of them. A table, so that the code that makes a pool is there once, for a page to download.
static KINDS: [Kind; 11] = [
    kind::<GainNode>("createGain", Some(any)),
    kind::<BiquadFilterNode>("createBiquadFilter", Some(any)),
    kind::<DelayNode>("createDelay", Some(line)),
    kind::<StereoPannerNode>("createStereoPanner", Some(any)),
    kind::<PannerNode>("createPanner", Some(any)),
    kind::<ConvolverNode>("createConvolver", Some(any)),
    kind::<WaveShaperNode>("createWaveShaper", Some(any)),
    kind::<AnalyserNode>("createAnalyser", Some(any)),
    kind::<ChannelSplitterNode>("createChannelSplitter", Some(channels)),
    kind::<ChannelMergerNode>("createChannelMerger", Some(channels)),
    kind::<IirFilterNode>("", None),
];

/// Pools of every type of node that needs no code of the program's own, of one audio context. A handle: clones are the
/// same pools.
///
/// ```no_run
/// # fn play(context: &web_sys::AudioContext, source: &web_sys::AudioBufferSourceNode) -> Result<(), pool_web::WebError> {
/// use pool_web::{AudioNodePoolManager, ended};
///
/// let nodes = AudioNodePoolManager::new(context);
/// let (gain, filter) = (nodes.acquire_gain()?, nodes.acquire_filter()?);
/// filter.set("frequency", 1200.0)?;
/// filter.connect_from(source)?;
/// gain.connect_from(&filter)?;
/// gain.connect_to(&context.destination())?;
/// ended(source, move || drop((filter, gain)))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AudioNodePoolManager {
    gain: AudioNodePool<GainNode>,
    filter: AudioNodePool<BiquadFilterNode>,
    delay: AudioNodePool<DelayNode>,
    panner: AudioNodePool<StereoPannerNode>,
    spatial: AudioNodePool<PannerNode>,
    convolver: AudioNodePool<ConvolverNode>,
    shaper: AudioNodePool<WaveShaperNode>,
    iir: AudioNodePool<IirFilterNode>,
    analyser: AudioNodePool<AnalyserNode>,
    splitter: AudioNodePool<ChannelSplitterNode>,
    merger: AudioNodePool<ChannelMergerNode>,
}

#[inline(never)]
fn acquire_any(pool: &AudioNodePool<AudioNode>, key: &AnyKey) -> Result<NodeLease<AudioNode>, WebError> {
    pool.home().acquire(key).map(|lease| NodeLease::new(lease, pool.home()))
}

fn checked_channels(channels: u32) -> Result<u32, WebError> {
    if (1..=MAX_CHANNELS).contains(&channels) {
        Ok(channels)
    } else {
        Err(WebError::BadChannels { channels })
    }
}

/// Of a pool by its number; `size` is the line of a delay in seconds, or the channels of a splitter or merger.
fn key_of(kind: usize, size: f64) -> Result<AnyKey, WebError> {
    Ok(match kind {
        2 => AnyKey::new(&DelayKey::new(size)?),
        8 | 9 => AnyKey::new(&checked_channels(size as u32)?),
        _ => AnyKey::None,
    })
}

impl AudioNodePoolManager {
    fn homes(&self) -> [&Rc<Home>; 11] {
        [
            self.gain.home(),
            self.filter.home(),
            self.delay.home(),
            self.panner.home(),
            self.spatial.home(),
            self.convolver.home(),
            self.shaper.home(),
            self.analyser.home(),
            self.splitter.home(),
            self.merger.home(),
            self.iir.home(),
        ]
    }

    /// For the npm package, too: a node of the pool with that number. `size` is the line of a delay in seconds, or the
    /// channels of a splitter or merger.
    #[doc(hidden)]
    pub fn acquire_kind(
        pools: &[AudioNodePool<AudioNode>],
        kind: usize,
        size: f64,
    ) -> Result<NodeLease<AudioNode>, WebError> {
        acquire_any(&pools[kind], &key_of(kind, size)?)
    }

    /// The same, to make so many that wait.
    #[doc(hidden)]
    pub fn prewarm_kind(
        pools: &[AudioNodePool<AudioNode>],
        kind: usize,
        size: f64,
        count: usize,
    ) -> Result<usize, WebError> {
        pools[kind].home().prewarm(&key_of(kind, size)?, count)
    }

    /// As [`acquire_iir`](Self::acquire_iir), for the npm package.
    #[doc(hidden)]
    pub fn acquire_any_iir(
        pools: &[AudioNodePool<AudioNode>],
        feedforward: &[f64],
        feedback: &[f64],
    ) -> Result<NodeLease<AudioNode>, WebError> {
        acquire_any(&pools[10], &AnyKey::new(&IirKey::new(feedforward, feedback)?))
    }

    /// Pools without bounds, under a budget of their own, of [`DEFAULT_BUDGET`](crate::DEFAULT_BUDGET).
    #[must_use]
    pub fn new(context: &BaseAudioContext) -> Self {
        Self::builder(context).build()
    }

    /// Chooses bounds and budget.
    pub fn builder(context: &BaseAudioContext) -> AudioNodePoolManagerBuilder {
        Self::builder_in(&PoolContext::new(context))
    }

    /// As [`builder`](Self::builder), to share a context with pools of other types, so that connections between
    /// their nodes are known to both.
    pub fn builder_in(context: &PoolContext) -> AudioNodePoolManagerBuilder {
        AudioNodePoolManagerBuilder {
            context: context.clone(),
            bounds: Bounds::default(),
            most_quarantined: MOST_QUARANTINED,
        }
    }

    /// A gain of 1.
    ///
    /// # Errors
    ///
    /// As [`AudioNodePool::acquire`]; the same for the other types.
    pub fn acquire_gain(&self) -> Result<NodeLease<GainNode>, WebError> {
        self.gain.acquire()
    }

    /// A lowpass at 350 Hz, Q 1.
    ///
    /// # Errors
    ///
    /// As [`AudioNodePool::acquire`].
    pub fn acquire_filter(&self) -> Result<NodeLease<BiquadFilterNode>, WebError> {
        self.filter.acquire()
    }

    /// A delay of 0, with a line of 5 seconds: 1.9 MB of the budget at 48 kHz.
    ///
    /// # Errors
    ///
    /// As [`AudioNodePool::acquire`].
    pub fn acquire_delay(&self) -> Result<NodeLease<DelayNode>, WebError> {
        self.delay.acquire()
    }

    /// A delay of 0, with a line of `max_delay` seconds. Few different lengths are reused more often than many.
    ///
    /// # Errors
    ///
    /// [`WebError::BadDelay`] for a length that no browser makes; else as [`AudioNodePool::acquire`].
    pub fn acquire_delay_with(&self, max_delay: f64) -> Result<NodeLease<DelayNode>, WebError> {
        self.delay.acquire_key(&DelayKey::new(max_delay)?)
    }

    /// A panner in the middle.
    ///
    /// # Errors
    ///
    /// As [`AudioNodePool::acquire`].
    pub fn acquire_panner(&self) -> Result<NodeLease<StereoPannerNode>, WebError> {
        self.panner.acquire()
    }

    /// A panner in space, at the listener's place: the `PannerNode`.
    ///
    /// # Errors
    ///
    /// As [`AudioNodePool::acquire`].
    pub fn acquire_spatial(&self) -> Result<NodeLease<PannerNode>, WebError> {
        self.spatial.acquire()
    }

    /// A convolver without a response, which is silent.
    ///
    /// # Errors
    ///
    /// As [`AudioNodePool::acquire`].
    pub fn acquire_convolver(&self) -> Result<NodeLease<ConvolverNode>, WebError> {
        self.convolver.acquire()
    }

    /// A wave shaper without a curve, which passes everything on.
    ///
    /// # Errors
    ///
    /// As [`AudioNodePool::acquire`].
    pub fn acquire_shaper(&self) -> Result<NodeLease<WaveShaperNode>, WebError> {
        self.shaper.acquire()
    }

    /// A filter with these coefficients. A released one is quarantined for as long as it rings; one that rings for more
    /// than 500 000 frames is thrown away instead.
    ///
    /// # Errors
    ///
    /// [`WebError::BadFilter`] for coefficients that no browser takes; else as [`AudioNodePool::acquire`].
    pub fn acquire_iir(
        &self,
        feedforward: &[f64],
        feedback: &[f64],
    ) -> Result<NodeLease<IirFilterNode>, WebError> {
        self.iir.acquire_key(&IirKey::new(feedforward, feedback)?)
    }

    /// An analyser of 2048 frames. A released one is quarantined for the 32 768 frames that it may look back.
    ///
    /// # Errors
    ///
    /// As [`AudioNodePool::acquire`].
    pub fn acquire_analyser(&self) -> Result<NodeLease<AnalyserNode>, WebError> {
        self.analyser.acquire()
    }

    /// A splitter with so many outputs.
    ///
    /// # Errors
    ///
    /// [`WebError::BadChannels`] unless there are 1 to 32; else as [`AudioNodePool::acquire`].
    pub fn acquire_splitter(&self, outputs: u32) -> Result<NodeLease<ChannelSplitterNode>, WebError> {
        self.splitter.acquire_key(&checked_channels(outputs)?)
    }

    /// A merger with so many inputs.
    ///
    /// # Errors
    ///
    /// As [`acquire_splitter`](Self::acquire_splitter).
    pub fn acquire_merger(&self, inputs: u32) -> Result<NodeLease<ChannelMergerNode>, WebError> {
        self.merger.acquire_key(&checked_channels(inputs)?)
    }

    /// Makes nodes until `gains`, `filters` and `panners` of each are idle. Returns how many were made.
    ///
    /// # Errors
    ///
    /// As [`AudioNodePool::prewarm`].
    pub fn prewarm(&self, gains: usize, filters: usize, panners: usize) -> Result<usize, WebError> {
        Ok(self.gain.prewarm(&(), gains)?
            + self.filter.prewarm(&(), filters)?
            + self.panner.prewarm(&(), panners)?)
    }

    /// Makes delays with a line of `max_delay` seconds until `count` are idle. Returns how many were made.
    ///
    /// # Errors
    ///
    /// [`WebError::BadDelay`]; else as [`AudioNodePool::prewarm`].
    pub fn prewarm_delays(&self, max_delay: f64, count: usize) -> Result<usize, WebError> {
        self.delay.prewarm(&DelayKey::new(max_delay)?, count)
    }

    /// The pool of gains.
    #[must_use]
    pub fn gains(&self) -> &AudioNodePool<GainNode> {
        &self.gain
    }

    /// The pool of biquad filters.
    #[must_use]
    pub fn filters(&self) -> &AudioNodePool<BiquadFilterNode> {
        &self.filter
    }

    /// The pool of delays.
    #[must_use]
    pub fn delays(&self) -> &AudioNodePool<DelayNode> {
        &self.delay
    }

    /// The pool of stereo panners.
    #[must_use]
    pub fn panners(&self) -> &AudioNodePool<StereoPannerNode> {
        &self.panner
    }

    /// The context whose nodes these are.
    #[must_use]
    pub fn context(&self) -> &PoolContext {
        self.gain.context()
    }

    /// Waits until this browser has been probed, and returns whether biquad filters need no quarantine.
    pub async fn ready(&self) -> bool {
        self.context().probe(Probe::WaveShaper).await;
        self.context().probe(Probe::Biquad).await
    }

    /// Housekeeping of all pools, to be called about once a second. Returns how many nodes it moved or destroyed.
    pub fn maintain(&self) -> usize {
        self.homes().into_iter().map(|home| home.maintain()).sum()
    }

    /// What the pools have done and hold. No call into JavaScript.
    #[must_use]
    pub fn stats(&self) -> NodeManagerStats {
        NodeManagerStats {
            gain: self.gain.stats(),
            filter: self.filter.stats(),
            delay: self.delay.stats(),
            panner: self.panner.stats(),
            spatial: self.spatial.stats(),
            convolver: self.convolver.stats(),
            shaper: self.shaper.stats(),
            iir: self.iir.stats(),
            analyser: self.analyser.stats(),
            splitter: self.splitter.stats(),
            merger: self.merger.stats(),
        }
    }

    /// Why the latest node was discarded at its release, if an exception did it, of any type. Taken.
    #[must_use]
    pub fn take_failure(&self) -> Option<Exception> {
        self.homes().into_iter().find_map(|home| home.take_failure())
    }

    /// Evicts every idle and quarantined node.
    pub fn clear(&self) {
        self.homes().into_iter().for_each(|home| home.clear());
    }

    /// Refuses all further acquires, and clears.
    pub fn close(&self) {
        self.homes().into_iter().for_each(|home| home.close());
    }
}
