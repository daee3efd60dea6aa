//! [`SampleCache`]: sounds that are decoded once and leased many times, under a budget.

use crate::bindings;
use crate::error::{Exception, WebError};
use crate::key::buffer_bytes;
use crate::memory::{AudioMemory, Member};
use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::{Rc, Weak};
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, OnceCell, RefCell};
use core::ops::Deref;
use js_sys::{ArrayBuffer, Promise};
use pool_core::{PoolStats, Tracker};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AudioBuffer, BaseAudioContext};

/// A decoded sound.
struct Sample {
    id: String,
    buffer: AudioBuffer,
    bytes: usize,
    leases: Cell<usize>,
    /// When it was last given back, by the cache's own count; meaningless while it is leased.
    stamp: Cell<u64>,
}

impl Sample {
    /// Whether nobody has had it since it was given back at `stamp`.
    fn is_idle_since(&self, stamp: u64) -> bool {
        self.leases.get() == 0 && self.stamp.get() == stamp
    }
}

/// One that is under way.
#[derive(Clone)]
struct Decoding {
    /// For when it is over; it is never rejected.
    over: Promise,
    /// What it has come to, for all who wait. It has a lease: else others who make room could take the sound before those
    /// who wait for it run.
    outcome: Rc<OnceCell<Result<SampleLease, WebError>>>,
}

struct Inner {
    context: BaseAudioContext,
    memory: AudioMemory,
    samples: RefCell<BTreeMap<String, Rc<Sample>>>,
    /// Charges the samples to the budget, whether they fit or not: a decoder asks nobody.
    charges: RefCell<Tracker<String>>,
    /// What was given back, and when, the longest ago first. An entry counts only if the sample was not leased since: so no
    /// lease has to look for its own.
    idle: RefCell<VecDeque<(u64, Rc<Sample>)>>,
    clock: Cell<u64>,
    /// Decodings that are under way: mostly none, and seldom many.
    pending: RefCell<Vec<(String, Decoding)>>,
    stats: Cell<PoolStats>,
}

impl Inner {
    fn count(&self, change: impl FnOnce(&mut PoolStats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }

    fn lease(self: &Rc<Self>, id: &str) -> Option<SampleLease> {
        let sample = Rc::clone(self.samples.borrow().get(id)?);
        sample.leases.set(sample.leases.get() + 1);
        Some(SampleLease { sample, cache: Rc::clone(self) })
    }

    fn release(&self, sample: &Rc<Sample>) {
        let left = sample.leases.get() - 1;
        sample.leases.set(left);
        if left > 0 {
            return;
        }
        let stamp = self.clock.get();
        self.clock.set(stamp + 1);
        sample.stamp.set(stamp);
        let mut idle = self.idle.borrow_mut();
        idle.push_back((stamp, Rc::clone(sample)));
        // At most one entry of each sample counts. The others go when they are as many, which costs each release O(1).
        if idle.len() > 2 * self.samples.borrow().len() {
            idle.retain(|(stamp, sample)| sample.is_idle_since(*stamp));
        }
        drop(idle);
        // A budget that was passed while it was out gets it back now.
        self.memory.settle();
    }

    fn keep(self: &Rc<Self>, id: &str, buffer: AudioBuffer) -> Result<SampleLease, WebError> {
        let bytes = buffer_bytes(buffer.number_of_channels(), buffer.length()).unwrap_or(usize::MAX);
        self.charges.borrow_mut().track(id.to_owned(), bytes).map_err(WebError::OverBudget)?;
        let id = id.to_owned();
        let sample =
            Rc::new(Sample { id: id.clone(), buffer, bytes, leases: Cell::new(1), stamp: Cell::new(0) });
        self.samples.borrow_mut().insert(id, Rc::clone(&sample));
        self.count(|stats| stats.created += 1);
        Ok(SampleLease { sample, cache: Rc::clone(self) })
    }
}

impl Member for Inner {
    fn holds_nodes(&self) -> bool {
        false
    }

    fn stats(&self) -> PoolStats {
        let mut stats = self.stats.get();
        for sample in self.samples.borrow().values() {
            if sample.leases.get() > 0 {
                stats.leased += 1;
                stats.leased_bytes += sample.bytes;
            } else {
                stats.idle += 1;
                stats.idle_bytes += sample.bytes;
            }
        }
        stats
    }

    fn evict(&self, bytes: usize) -> usize {
        let mut freed = 0;
        while freed < bytes {
            let Some((stamp, sample)) = self.idle.borrow_mut().pop_front() else { break };
            if !sample.is_idle_since(stamp) {
                continue;
            }
            // Uncharged before the buffer is let go of. Older entries of it were before this one.
            freed += self.charges.borrow_mut().untrack(&sample.id).unwrap_or(0);
            self.samples.borrow_mut().remove(&sample.id);
            self.count(|stats| {
                stats.destroyed += 1;
                stats.evicted += 1;
            });
        }
        freed
    }
}

/// Sounds by id, each decoded once: one `AudioBuffer` may feed any number of sources at once, as long as nobody writes to
/// it. A handle: clones are the same cache.
///
/// What is leased stays; what is not goes when the budget needs room, the one given back longest ago first.
///
/// ```no_run
/// # async fn play(context: &web_sys::AudioContext) -> Result<(), pool_web::WebError> {
/// use pool_web::{AudioMemory, SampleCache, ended};
///
/// let sounds = SampleCache::new(context, &AudioMemory::new());
/// let kick = sounds.decode_url("kick.flac").await?; // the second time from the cache
/// let source = context.create_buffer_source().map_err(|e| pool_web::Exception::from_js("source", &e))?;
/// source.set_buffer(Some(&kick));
/// ended(&source, move || drop(kick))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SampleCache(Rc<Inner>);

impl SampleCache {
    /// An empty cache that decodes for `context` and charges to `memory`.
    #[must_use]
    pub fn new(context: &BaseAudioContext, memory: &AudioMemory) -> Self {
        let inner = Rc::new(Inner {
            context: context.clone(),
            memory: memory.clone(),
            samples: RefCell::default(),
            charges: RefCell::new(Tracker::new(memory.account().clone())),
            idle: RefCell::default(),
            clock: Cell::new(0),
            pending: RefCell::default(),
            stats: Cell::default(),
        });
        let member: Weak<Inner> = Rc::downgrade(&inner);
        memory.join(member);
        Self(inner)
    }

    /// The sound under `id`, if it is there. No call into JavaScript but a copy of the reference.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<SampleLease> {
        let lease = self.0.lease(id);
        self.0.count(|stats| if lease.is_some() { stats.hits += 1 } else { stats.misses += 1 });
        lease
    }

    /// The sound under `id`, decoded from `bytes` unless it is there or under way. Decoding takes the bytes: the array is
    /// empty afterwards.
    ///
    /// What was decoded counts even over the budget; then what is idle goes.
    ///
    /// # Errors
    ///
    /// [`WebError::Exception`] if the browser cannot decode it; nothing is kept then, and it may be tried again.
    pub async fn decode(&self, id: &str, bytes: ArrayBuffer) -> Result<SampleLease, WebError> {
        let context = self.0.context.clone();
        self.once(id, async move { decode(&context, &bytes).await }).await
    }

    /// As [`decode`](Self::decode), fetched from `url`, which is its id.
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode); [`WebError::Exception`] with the operation `"fetch"` if the answer is no success.
    pub async fn decode_url(&self, url: &str) -> Result<SampleLease, WebError> {
        let (context, address) = (self.0.context.clone(), url.to_owned());
        let fetched = async move {
            let bytes = bindings::fetch_bytes(&address).await.map_err(Exception::of("fetch"))?;
            decode(&context, &bytes).await
        };
        self.once(url, fetched).await
    }

    async fn once(
        &self,
        id: &str,
        work: impl Future<Output = Result<AudioBuffer, WebError>> + 'static,
    ) -> Result<SampleLease, WebError> {
        if let Some(lease) = self.get(id) {
            return Ok(lease);
        }
        let under_way = self
            .0
            .pending
            .borrow()
            .iter()
            .find(|(other, _)| other == id)
            .map(|(_, decoding)| decoding.clone());
        let decoding = under_way.unwrap_or_else(|| self.begin(id, work));
        // What it has come to is told by the outcome.
        let _ = JsFuture::from(decoding.over).await;
        decoding.outcome.get().cloned().unwrap_or(Err(WebError::PoolClosed))
    }

    fn begin(
        &self,
        id: &str,
        work: impl Future<Output = Result<AudioBuffer, WebError>> + 'static,
    ) -> Decoding {
        let outcome = Rc::new(OnceCell::new());
        let (cache, told, key) = (Rc::clone(&self.0), Rc::clone(&outcome), id.to_owned());
        let over = wasm_bindgen_futures::future_to_promise(async move {
            let decoded = work.await;
            cache.pending.borrow_mut().retain(|(other, _)| *other != key);
            // It is told once, here.
            let _ = told.set(decoded.and_then(|buffer| cache.keep(&key, buffer)));
            // Room for it is made now that it is leased, so that it does not go itself.
            cache.memory.settle();
            Ok(JsValue::UNDEFINED)
        });
        let decoding = Decoding { over, outcome };
        self.0.pending.borrow_mut().push((id.to_owned(), decoding.clone()));
        decoding
    }

    /// Lets go of every sound that nobody has leased.
    pub fn clear(&self) {
        self.0.evict(usize::MAX);
        self.0.memory.deliver();
    }

    /// What the cache has done and holds. O(sounds), no call into JavaScript.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        Member::stats(&*self.0)
    }
}

async fn decode(context: &BaseAudioContext, bytes: &ArrayBuffer) -> Result<AudioBuffer, WebError> {
    let failed = Exception::of("decodeAudioData");
    match context.decode_audio_data(bytes) {
        Ok(decoded) => JsFuture::from(decoded).await.map(JsCast::unchecked_into).map_err(failed),
        Err(thrown) => Err(failed(thrown)),
    }
}

/// A decoded sound, in use. Dereferences to the `AudioBuffer`; do not write to it, as others may play it.
#[must_use = "dropping a lease lets the sound go when room is needed"]
pub struct SampleLease {
    sample: Rc<Sample>,
    cache: Rc<Inner>,
}

impl SampleLease {
    /// Its id in the cache.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.sample.id
    }
}

impl Deref for SampleLease {
    type Target = AudioBuffer;

    fn deref(&self) -> &AudioBuffer {
        &self.sample.buffer
    }
}

impl Clone for SampleLease {
    fn clone(&self) -> Self {
        self.sample.leases.set(self.sample.leases.get() + 1);
        Self { sample: Rc::clone(&self.sample), cache: Rc::clone(&self.cache) }
    }
}

impl Drop for SampleLease {
    fn drop(&mut self) {
        self.cache.release(&self.sample);
    }
}
