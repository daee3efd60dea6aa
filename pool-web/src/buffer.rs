//! [`AudioBufferPool`]: `AudioBuffer`s by shape; [`BufferLease`]: one of them, out.

use crate::any_key::AnyKey;
use crate::bindings;
use crate::context::quantum_of;
use crate::core_pool::{self, Bounds, Charged, Maker, Reset};
use crate::ended::{self, Ended};
use crate::error::{BufferFault, Exception, WebError};
use crate::key::BufferKey;
use crate::memory::{AudioMemory, Member};
use crate::quarantine::Quarantine;
use alloc::rc::{Rc, Weak};
use core::cell::{Cell, OnceCell, RefCell};
use pool_core::{LeaseId, PoolStats};
use wasm_bindgen::JsValue;
use web_sys::{AudioBuffer, AudioBufferSourceNode, BaseAudioContext};

/// A buffer in the pool.
pub(crate) struct Pooled {
    buffer: AudioBuffer,
    key: BufferKey,
    /// Its channels, fetched once.
    views: OnceCell<js_sys::Array>,
    /// So many frames of each channel may hold something else than zeros.
    dirty: Cell<u32>,
    /// Whether somebody had it since its data was last seen to be there.
    unchecked: bool,
    holds: Rc<Holds>,
}

/// The sources that may be reading a buffer. To rewrite it then would be heard at once.
#[derive(Default)]
struct Holds {
    count: Cell<usize>,
    /// The lease of a buffer that its user has released, until the last source has ended.
    released: RefCell<Option<CoreLease>>,
}

impl Holds {
    fn end_one(&self) {
        let left = self.count.get().saturating_sub(1);
        self.count.set(left);
        if left == 0 {
            let released = self.released.take();
            // With nothing borrowed: it runs the release.
            drop(released);
        }
    }
}

pub(crate) struct BufferFactory {
    context: BaseAudioContext,
}

impl BufferFactory {
    pub(crate) fn create(&self, key: &AnyKey) -> Result<Pooled, WebError> {
        // A pool of buffers only ever gets their shapes.
        let Some(&key) = key.buffer() else { return Err(WebError::PoolClosed) };
        let (channels, frames, sample_rate) = (key.channels(), key.frames(), key.sample_rate());
        match self.context.create_buffer(channels, frames, sample_rate) {
            Ok(buffer) => Ok(Pooled {
                buffer,
                key,
                views: OnceCell::new(),
                dirty: Cell::new(0),
                unchecked: false,
                holds: Rc::default(),
            }),
            Err(thrown) => {
                let fault = BufferFault::Refused(Exception::from_js("createBuffer", &thrown));
                Err(WebError::BadBuffer { channels, frames, sample_rate, fault })
            }
        }
    }
}

impl Pooled {
    pub(crate) fn bytes(&self) -> usize {
        self.key.bytes()
    }

    fn views(&self) -> Result<&js_sys::Array, JsValue> {
        if let Some(views) = self.views.get() {
            return Ok(views);
        }
        let views = bindings::channels(&self.buffer)?;
        Ok(self.views.get_or_init(|| views))
    }

    /// Checks that the context is open and the data of a used buffer still there, and zeroes what was written if asked. One
    /// call into JavaScript, and one more the first time.
    fn prepare(&mut self, context: &BaseAudioContext, zeroed: bool) -> Found {
        if !self.unchecked {
            return if bindings::is_closed(context) { Found::Closed } else { Found::Ready };
        }
        let dirty = if zeroed { self.dirty.get() } else { 0 };
        // One that does not give its channels is of no more use.
        let Ok(views) = self.views() else { return Found::Empty };
        match bindings::prepare(context, &self.buffer, views, self.key.frames(), dirty) {
            0 => return Found::Closed,
            1 => return Found::Empty,
            _ => {}
        }
        if zeroed {
            self.dirty.set(0);
            self.unchecked = false;
        }
        Found::Ready
    }

    /// Somebody had it. Zeroing waits until somebody wants zeros.
    pub(crate) fn mark_used(&mut self) {
        self.unchecked = true;
    }
}

/// How a buffer was found that waited.
enum Found {
    Ready,
    /// Its data was transferred away.
    Empty,
    /// It is none the worse, but its context is closed.
    Closed,
}

type CoreLease = core_pool::CoreLease<Pooled>;

struct Home {
    pool: Charged,
    context: BaseAudioContext,
    /// As which it waits for the ends of sources.
    owner: u32,
    /// The claims of sources that stop at a known time, until then.
    timed: RefCell<Quarantine<Held>>,
    /// Length of a render quantum in seconds.
    quantum: f64,
    /// Whether an acquire found the context closed when it had taken a buffer already, which is then no hit.
    closed: Cell<bool>,
}

impl Home {
    /// The latest of those that wait, unless the context is known to be closed.
    fn take_idle(&self, key: &AnyKey) -> Option<CoreLease> {
        if self.closed.get() { None } else { self.pool.take(key) }
    }

    fn give_back(&self, lease: CoreLease) {
        if lease.holds.count.get() > 0 {
            let holds = Rc::clone(&lease.holds);
            holds.released.replace(Some(lease));
        } else {
            drop(lease);
        }
        self.pool.tell();
    }

    /// In a context that was closed no source plays, and none tells that it has ended: nothing holds a buffer any more. One
    /// call into JavaScript.
    fn let_go_if_closed(&self) {
        if bindings::is_closed(&self.context) {
            ended::cancel_of(self.owner);
            let timed = self.timed.take();
            // With nothing borrowed: it runs releases.
            drop(timed);
        }
    }

    /// Lets go for all sources that have stopped. One call into JavaScript, if any is to stop at all.
    fn let_go_if_over(&self) {
        if self.timed.borrow().is_empty() {
            return;
        }
        let now = self.context.current_time();
        loop {
            let held = self.timed.borrow_mut().take_due(now);
            if held.is_none() {
                return;
            }
        }
    }
}

/// Whoever is left then, has a buffer of its own right, or waits for a source that will never end. What waits is given back.
impl Drop for Home {
    fn drop(&mut self) {
        self.let_go_if_closed();
        self.pool.trim(0);
    }
}

impl Member for Home {
    fn holds_nodes(&self) -> bool {
        false
    }

    fn stats(&self) -> PoolStats {
        let mut stats = self.pool.stats();
        stats.hits -= u64::from(self.closed.get());
        stats
    }

    fn look_after(&self) {
        self.let_go_if_closed();
    }

    fn evict(&self, bytes: usize) -> usize {
        self.pool.evict(bytes)
    }
}

/// Builds an [`AudioBufferPool`].
#[must_use = "a builder makes nothing until `build`"]
pub struct AudioBufferPoolBuilder {
    context: BaseAudioContext,
    bounds: Bounds,
}

impl AudioBufferPoolBuilder {
    /// The budget that the samples are charged to. Default: one of its own, of
    /// [`DEFAULT_BUDGET`](crate::DEFAULT_BUDGET).
    pub fn memory(mut self, memory: &AudioMemory) -> Self {
        self.bounds.memory = Some(memory.clone());
        self
    }

    /// Most buffers of one shape, leased and idle. An acquire beyond fails. Default: no bound but the budget.
    pub fn max_per_key(mut self, buffers: usize) -> Self {
        self.bounds.max_per_key = Some(buffers);
        self
    }

    /// Most idle buffers of one shape. A release beyond evicts the one that waited longest. Default: no bound.
    pub fn max_idle_per_key(mut self, buffers: usize) -> Self {
        self.bounds.max_idle_per_key = Some(buffers);
        self
    }

    /// Milliseconds that a buffer may wait; one that waited longer is never handed out. It goes when
    /// [`maintain`](AudioBufferPool::maintain) is called. Default: no bound, and then no release reads the clock.
    pub fn idle_ttl_ms(mut self, milliseconds: f64) -> Self {
        self.bounds.idle_ttl_ms = Some(milliseconds);
        self
    }

    /// All bounds at once.
    #[doc(hidden)]
    pub fn bounds(mut self, bounds: &Bounds) -> Self {
        self.bounds = bounds.clone();
        self
    }

    /// The pool.
    #[must_use]
    pub fn build(self) -> AudioBufferPool {
        let Self { context, mut bounds } = self;
        let memory = bounds.memory.get_or_insert_default().clone();
        let sample_rate = context.sample_rate();
        let maker = Maker::Buffer(BufferFactory { context: context.clone() });
        let pool = Charged::new(maker, Reset(None), bounds);
        let quantum = quantum_of(&context, sample_rate);
        let (owner, timed) = (ended::new_owner(), RefCell::default());
        let closed = Cell::new(false);
        let home = Rc::new(Home { pool, context, owner, timed, quantum, closed });
        let member: Weak<Home> = Rc::downgrade(&home);
        memory.join(member);
        AudioBufferPool { home, sample_rate }
    }
}

/// Audio buffers by channels, frames and sample rate, under a budget. A handle: clones are the same pool.
///
/// A buffer goes back to the pool when its lease is dropped **and** every source that plays it has ended, for what is
/// written into a buffer while it plays is heard at once.
///
/// | call | calls into JavaScript |
/// |---|---|
/// | acquire, hit | 1: whether the context is open, whether the data is there, and zeroing what was written |
/// | acquire_dirty, hit | 1: the same without the zeroing |
/// | acquire, miss | 2 |
/// | any acquire while sources are to stop | 1 more |
/// | write | 3 |
/// | play_on, source | 2 |
/// | timed_source, timed_source_at, start_timed | 1 each |
/// | release | none |
#[derive(Clone)]
pub struct AudioBufferPool {
    home: Rc<Home>,
    sample_rate: f32,
}

impl AudioBufferPool {
    /// A pool with a budget of its own, of [`DEFAULT_BUDGET`](crate::DEFAULT_BUDGET).
    #[must_use]
    pub fn new(context: &BaseAudioContext) -> Self {
        Self::builder(context).build()
    }

    /// Chooses bounds and budget.
    pub fn builder(context: &BaseAudioContext) -> AudioBufferPoolBuilder {
        AudioBufferPoolBuilder { context: context.clone(), bounds: Bounds::default() }
    }

    /// Takes a silent buffer.
    ///
    /// # Errors
    ///
    /// [`WebError::BadBuffer`] for a shape that cannot be or that the browser refuses; [`WebError::OverBudget`];
    /// [`WebError::Exhausted`]; closed context or pool.
    pub fn acquire(&self, channels: u32, frames: u32, sample_rate: f32) -> Result<BufferLease, WebError> {
        self.take(BufferKey::new(channels, frames, sample_rate)?, true)
    }

    /// As [`acquire`](Self::acquire), at the sample rate of the context.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    pub fn acquire_at_context_rate(&self, channels: u32, frames: u32) -> Result<BufferLease, WebError> {
        self.acquire(channels, frames, self.sample_rate)
    }

    /// As [`acquire`](Self::acquire), but with whatever sound its last user left in it: for those who write all of it.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    pub fn acquire_dirty(
        &self,
        channels: u32,
        frames: u32,
        sample_rate: f32,
    ) -> Result<BufferLease, WebError> {
        self.take(BufferKey::new(channels, frames, sample_rate)?, false)
    }

    fn take(&self, key: BufferKey, zeroed: bool) -> Result<BufferLease, WebError> {
        let home = &self.home;
        home.let_go_if_over();
        let key = AnyKey::Buffer(key);
        // One whose data was transferred away goes, and with it one idle object: so this ends.
        while let Some(mut lease) = home.take_idle(&key) {
            match lease.prepare(&home.context, zeroed) {
                Found::Ready => return Ok(BufferLease { lease: Some(lease), home: Rc::clone(home) }),
                Found::Empty => lease.discard(),
                Found::Closed => {
                    home.closed.set(true);
                    break;
                }
            }
        }
        self.check_open("acquire")?;
        let lease = home.pool.make(&key)?;
        Ok(BufferLease { lease: Some(lease), home: Rc::clone(home) })
    }

    /// As [`acquire`](Self::acquire), with a token in place of a guard: for JavaScript.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    pub fn acquire_id(
        &self,
        channels: u32,
        frames: u32,
        sample_rate: f32,
    ) -> Result<(LeaseId, AudioBuffer), WebError> {
        let mut lease = self.acquire(channels, frames, sample_rate)?;
        let buffer = lease.as_raw().clone();
        // A lease that was just made holds its buffer.
        lease.lease.take().map(|lease| (lease.into_id(), buffer)).ok_or(WebError::PoolClosed)
    }

    /// Turns a token back into a lease.
    ///
    /// # Errors
    ///
    /// [`WebError::Token`] if it is of another pool, or was given back before; nothing is changed by it.
    pub fn redeem(&self, id: LeaseId) -> Result<BufferLease, WebError> {
        let lease = CoreLease::redeem(&self.home.pool.core, id)?;
        Ok(BufferLease { lease: Some(lease), home: Rc::clone(&self.home) })
    }

    /// Releases the buffer of a token, as dropping its lease would.
    ///
    /// # Errors
    ///
    /// As [`redeem`](Self::redeem).
    pub fn release_id(&self, id: LeaseId) -> Result<(), WebError> {
        self.redeem(id).map(drop)
    }

    /// Makes buffers of a shape until at least `count` are idle; returns how many were made. Nothing is evicted for it.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire); what was made before stays.
    pub fn prewarm(
        &self,
        channels: u32,
        frames: u32,
        sample_rate: f32,
        count: usize,
    ) -> Result<usize, WebError> {
        let key = BufferKey::new(channels, frames, sample_rate)?;
        self.check_open("prewarm")?;
        self.home.pool.prewarm(&AnyKey::Buffer(key), count)
    }

    /// Housekeeping, to be called about once a second: buffers that waited too long go, and under memory pressure
    /// those that were not needed lately. Looks at no more than 256 buffers. In a context that was closed nothing holds a
    /// buffer any more. Returns how many it destroyed. 1 call into JavaScript, 2 while sources are to stop.
    pub fn maintain(&self) -> usize {
        self.home.let_go_if_closed();
        self.home.let_go_if_over();
        let destroyed = self.home.pool.core.maintain(256);
        self.home.pool.tell();
        destroyed
    }

    /// Evicts idle buffers, those released longest ago first, until at most `idle` are left. Returns how many went.
    pub fn trim(&self, idle: usize) -> usize {
        self.home.pool.trim(idle)
    }

    /// Evicts idle buffers until this pool holds at most `bytes`, leased and idle. Returns the bytes freed.
    pub fn evict_to(&self, bytes: usize) -> usize {
        let freed = self.home.pool.core.evict_to(bytes);
        self.home.pool.tell();
        freed
    }

    /// Evicts every idle buffer. Leased ones stay.
    pub fn clear(&self) {
        self.home.let_go_if_closed();
        self.home.pool.trim(0);
    }

    /// Refuses all further acquires, and clears. Leased buffers stay usable, and are given up as they come back.
    pub fn close(&self) {
        self.home.let_go_if_closed();
        self.home.pool.core.close();
        self.home.pool.tell();
    }

    /// What the pool has done and holds. A buffer that was released while a source plays it counts as leased. No call
    /// into JavaScript.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        self.home.stats()
    }

    /// Shapes of which the pool holds buffers. O(1).
    #[must_use]
    pub fn shapes(&self) -> usize {
        self.home.pool.core.key_count()
    }

    /// The budget.
    #[must_use]
    pub fn memory(&self) -> Option<&AudioMemory> {
        self.home.pool.memory.as_ref()
    }

    fn check_open(&self, operation: &'static str) -> Result<(), WebError> {
        let closed = bindings::is_closed(&self.home.context);
        if closed { Err(WebError::ContextClosed { operation }) } else { Ok(()) }
    }
}

/// One buffer that is out. Dropping it releases the buffer, once every source that plays it has ended.
#[must_use = "dropping a lease releases the buffer at once"]
pub struct BufferLease {
    /// `None` only while it is taken apart.
    lease: Option<CoreLease>,
    home: Rc<Home>,
}

impl BufferLease {
    fn pooled(&self) -> &Pooled {
        match &self.lease {
            Some(lease) => lease,
            // Those that take the lease out consume `self`.
            None => unreachable!("the lease was taken apart"),
        }
    }

    /// The buffer. To play it, [`play_on`](Self::play_on) is the way: a source that gets the buffer otherwise does not
    /// hold it, and the next user's sound would be heard through it.
    ///
    /// Whoever asks for it may write to it: the next user's buffer is zeroed as a whole.
    #[must_use]
    pub fn as_raw(&self) -> &AudioBuffer {
        let pooled = self.pooled();
        pooled.dirty.set(pooled.key.frames());
        &pooled.buffer
    }

    /// Its shape.
    #[must_use]
    pub fn key(&self) -> BufferKey {
        self.pooled().key
    }

    /// Copies `samples` into a channel, from its first frame on. 3 calls into JavaScript, and a view of the samples as
    /// garbage; [`write_array`](Self::write_array) leaves none.
    ///
    /// # Errors
    ///
    /// [`WebError::OutOfRange`] for a channel that there is not or too many samples; [`WebError::Detached`] if the
    /// buffer's data was transferred away; [`WebError::Exception`] if the browser refuses. Nothing is written then.
    pub fn write(&self, channel: u32, samples: &[f32]) -> Result<(), WebError> {
        let data = self.channel(channel, samples.len())?;
        if self.key().frames() as usize == samples.len() {
            // One copy straight out of the program's memory, shared or not; `copyToChannel` refuses shared memory.
            data.copy_from(samples);
        } else {
            data.subarray(0, samples.len() as u32).copy_from(samples);
        }
        Ok(())
    }

    /// As [`write`](Self::write), from an array that lives in JavaScript.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_array(&self, channel: u32, samples: &js_sys::Float32Array) -> Result<(), WebError> {
        let data = self.channel(channel, samples.length() as usize)?;
        data.set(samples, 0);
        Ok(())
    }

    fn channel(&self, channel: u32, samples: usize) -> Result<js_sys::Float32Array, WebError> {
        let pooled = self.pooled();
        let Pooled { buffer, key, dirty, .. } = pooled;
        let (channels, frames) = (key.channels(), key.frames());
        if channel >= channels || samples > frames as usize {
            return Err(WebError::OutOfRange { channel, samples, channels, frames });
        }
        let data = pooled
            .views()
            .and_then(|views| bindings::channel_data(buffer, views, channel, frames))
            .map_err(Exception::of("getChannelData"))?;
        if data.length() != frames {
            return Err(WebError::Detached { channel });
        }
        // No more than `frames`, which are 32 bits.
        dirty.set(dirty.get().max(samples as u32));
        Ok(data)
    }

    /// Gives the buffer to `source`, and keeps it out of the pool until that has ended. May be called for several
    /// sources. 2 calls into JavaScript.
    ///
    /// # Errors
    ///
    /// [`WebError::Exception`], such as for a source that has a buffer already; then it holds nothing.
    pub fn play_on(&self, source: &AudioBufferSourceNode) -> Result<Hold, WebError> {
        bindings::set_source_buffer(source, &self.pooled().buffer)
            .map_err(Exception::of("AudioBufferSourceNode.buffer"))?;
        self.hold(source)
    }

    fn hold(&self, source: &AudioBufferSourceNode) -> Result<Hold, WebError> {
        let held = Held::new(&self.pooled().holds);
        ended::ended_of(self.home.owner, source, move || drop(held)).map(Hold)
    }

    /// A new source that plays this buffer, and holds it as [`play_on`](Self::play_on) does once it is started. 2 calls
    /// into JavaScript.
    ///
    /// What is written by way of the source's own `buffer()` is not known here, and stays for the next user: ask
    /// [`as_raw`](Self::as_raw) for the buffer to write to. The same for all sources.
    ///
    /// # Errors
    ///
    /// [`WebError::Exception`], though none is known.
    pub fn source(&self) -> Result<AudioBufferSourceNode, WebError> {
        let source = self.timed_source()?;
        self.hold(&source)?;
        Ok(source)
    }

    /// A new source with this buffer, for [`start_timed`](Self::start_timed): until then the lease is all that keeps the
    /// buffer. 1 call into JavaScript.
    ///
    /// # Errors
    ///
    /// [`WebError::Exception`], though none is known.
    pub fn timed_source(&self) -> Result<AudioBufferSourceNode, WebError> {
        self.timed_source_at(1.0)
    }

    /// As [`timed_source`](Self::timed_source), with a playback rate. One that is set later is an event of automation, which the
    /// source keeps until it is collected.
    ///
    /// # Errors
    ///
    /// [`WebError::Exception`] for a rate that is no finite number.
    pub fn timed_source_at(&self, playback_rate: f32) -> Result<AudioBufferSourceNode, WebError> {
        bindings::source_of(&self.home.context, &self.pooled().buffer, playback_rate)
            .map_err(Exception::of("AudioBufferSourceNode"))
    }

    /// Starts a source that plays this buffer at the context time `start`, stops it at `end`, and keeps the buffer out of the
    /// pool until the context's clock has passed that. Nothing is told when it has ended: it has no listener and makes no
    /// event, which are most of what a source leaves for the garbage collector. 1 call into JavaScript.
    ///
    /// The clock is looked at by whoever acquires next, and by [`maintain`](AudioBufferPool::maintain). A source that is
    /// stopped earlier holds the buffer all the same.
    ///
    /// # Errors
    ///
    /// [`WebError::Exception`], as for times that are none, and for a source that was started before. Nothing is held by it
    /// then.
    pub fn start_timed(&self, source: &AudioBufferSourceNode, start: f64, end: f64) -> Result<(), WebError> {
        bindings::play_between(source, start, end).map_err(Exception::of("start"))?;
        let held = Held::new(&self.pooled().holds);
        self.home.timed.borrow_mut().admit(held, end, 0.0, self.home.quantum);
        Ok(())
    }

    /// Sources that hold the buffer now.
    #[must_use]
    pub fn holds(&self) -> usize {
        self.pooled().holds.count.get()
    }

    /// Takes the buffer out of the pool for good.
    #[must_use = "dropping the buffer gives it up"]
    pub fn detach(mut self) -> AudioBuffer {
        let buffer = self.as_raw().clone();
        if let Some(lease) = self.lease.take() {
            drop(lease.detach());
        }
        self.home.pool.tell();
        buffer
    }

    /// Gives the buffer up instead of releasing it. Sources that play it go on playing.
    pub fn discard(mut self) {
        if let Some(lease) = self.lease.take() {
            lease.discard();
        }
        self.home.pool.tell();
    }
}

impl Drop for BufferLease {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.home.give_back(lease);
        }
    }
}

/// One source's claim on a buffer, which its end takes back.
struct Held(Rc<Holds>);

impl Held {
    fn new(holds: &Rc<Holds>) -> Self {
        holds.count.set(holds.count.get() + 1);
        Self(Rc::clone(holds))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.end_one();
    }
}

/// A source that holds a buffer; made by [`BufferLease::play_on`]. It may be dropped: the source's `ended` is what
/// counts.
pub struct Hold(Ended);

impl Hold {
    /// Lets go of the buffer now: for a source that will never be started, and so never end. `false` if it has ended.
    pub fn cancel(self) -> bool {
        self.0.cancel()
    }

    /// Whether the source still holds the buffer.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.0.is_pending()
    }
}
