//! The four node types, and [`AudioNodePoolManager`] with a pool of each.

use crate::context::PoolContext;
use crate::error::{Exception, WebError};
use crate::key::DelayKey;
use crate::memory::AudioMemory;
use crate::node::{AudioNodePool, AudioNodePoolBuilder, NodeLease, NodeStats, PoolNode};
use crate::recipe::{self, NodeSpec};
use web_sys::{BaseAudioContext, BiquadFilterNode, DelayNode, GainNode, StereoPannerNode};

impl PoolNode for GainNode {
    type Key = ();
    const SPEC: NodeSpec = recipe::GAIN;
}

impl PoolNode for BiquadFilterNode {
    type Key = ();
    const SPEC: NodeSpec = recipe::BIQUAD;
}

impl PoolNode for StereoPannerNode {
    type Key = ();
    const SPEC: NodeSpec = recipe::STEREO_PANNER;
}

impl PoolNode for DelayNode {
    type Key = DelayKey;
    const SPEC: NodeSpec = recipe::DELAY;

    fn bytes(key: &DelayKey, sample_rate: f32) -> usize {
        key.bytes(sample_rate)
    }

    fn flush_seconds(key: &DelayKey) -> f64 {
        key.max_delay()
    }
}

/// What the four pools have done and hold.
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
}

impl NodeManagerStats {
    /// The sum over the types.
    #[must_use]
    pub const fn total(&self) -> NodeStats {
        self.gain.plus(self.filter).plus(self.delay).plus(self.panner)
    }
}

/// Builds an [`AudioNodePoolManager`].
#[must_use = "a builder makes nothing until `build`"]
pub struct AudioNodePoolManagerBuilder {
    context: PoolContext,
    memory: Option<AudioMemory>,
    max_per_type: Option<usize>,
    max_idle_per_type: Option<usize>,
    idle_ttl_ms: Option<f64>,
}

impl AudioNodePoolManagerBuilder {
    /// The budget that delay lines are charged to.
    pub fn memory(mut self, memory: &AudioMemory) -> Self {
        self.memory = Some(memory.clone());
        self
    }

    /// Most nodes of each type (of each length, for delays), whatever they are doing. Default: no bound.
    pub fn max_per_type(mut self, nodes: usize) -> Self {
        self.max_per_type = Some(nodes);
        self
    }

    /// Most idle nodes of each type (of each length, for delays). Default: no bound.
    pub fn max_idle_per_type(mut self, nodes: usize) -> Self {
        self.max_idle_per_type = Some(nodes);
        self
    }

    /// Milliseconds that a node may wait to be used again. Default: no bound.
    pub fn idle_ttl_ms(mut self, milliseconds: f64) -> Self {
        self.idle_ttl_ms = Some(milliseconds);
        self
    }

    fn pool<N: PoolNode>(&self, mut pool: AudioNodePoolBuilder<N>) -> AudioNodePool<N> {
        if let Some(memory) = &self.memory {
            pool = pool.memory(memory);
        }
        if let Some(nodes) = self.max_per_type {
            pool = pool.max_per_key(nodes);
        }
        if let Some(nodes) = self.max_idle_per_type {
            pool = pool.max_idle_per_key(nodes);
        }
        if let Some(milliseconds) = self.idle_ttl_ms {
            pool = pool.idle_ttl_ms(milliseconds);
        }
        pool.build()
    }

    /// The manager. Starts the probe of this browser, if it has not been done on this page; see
    /// [`PoolContext::probe`].
    #[must_use]
    pub fn build(self) -> AudioNodePoolManager {
        let context = &self.context;
        let manager = AudioNodePoolManager {
            gain: self.pool(AudioNodePool::builder(context, |raw, ()| raw.create_gain())),
            filter: self.pool(AudioNodePool::builder(context, |raw, ()| raw.create_biquad_filter())),
            delay: self.pool(AudioNodePool::builder(context, |raw: &BaseAudioContext, key: &DelayKey| {
                raw.create_delay_with_max_delay_time(key.max_delay())
            })),
            panner: self.pool(AudioNodePool::builder(context, |raw, ()| raw.create_stereo_panner())),
        };
        if !context.attribute_reset_works() {
            let context = context.clone();
            wasm_bindgen_futures::spawn_local(async move {
                context.probe().await;
            });
        }
        manager
    }
}

/// Pools of gains, biquad filters, delays and stereo panners of one audio context. A handle: clones are the same pools.
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
}

impl AudioNodePoolManager {
    /// Pools without bounds and budget.
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
            memory: None,
            max_per_type: None,
            max_idle_per_type: None,
            idle_ttl_ms: None,
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

    /// Waits for the probe of this browser, and returns whether filters need no quarantine.
    pub async fn ready(&self) -> bool {
        self.context().probe().await
    }

    /// Housekeeping of all pools, to be called about once a second. Returns how many nodes it moved or destroyed.
    pub fn maintain(&self) -> usize {
        self.gain.maintain() + self.filter.maintain() + self.delay.maintain() + self.panner.maintain()
    }

    /// What the pools have done and hold. No call into JavaScript.
    #[must_use]
    pub fn stats(&self) -> NodeManagerStats {
        NodeManagerStats {
            gain: self.gain.stats(),
            filter: self.filter.stats(),
            delay: self.delay.stats(),
            panner: self.panner.stats(),
        }
    }

    /// Why the latest node was discarded at its release, if an exception did it, of any type. Taken.
    #[must_use]
    pub fn take_failure(&self) -> Option<Exception> {
        let failures = [
            self.gain.take_failure(),
            self.filter.take_failure(),
            self.delay.take_failure(),
            self.panner.take_failure(),
        ];
        failures.into_iter().flatten().next()
    }

    /// Evicts every idle and quarantined node.
    pub fn clear(&self) {
        self.gain.clear();
        self.filter.clear();
        self.delay.clear();
        self.panner.clear();
    }

    /// Refuses all further acquires, and clears.
    pub fn close(&self) {
        self.gain.close();
        self.filter.close();
        self.delay.close();
        self.panner.close();
    }
}
