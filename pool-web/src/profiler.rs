//! [`AudioProfiler`]: what the browser tells of an audio context, and the load of its audio thread.
//!
//! Underruns and latencies come from the browser or not at all. The often seen rule "a callback came 1.5 times later
//! than expected" is not used: measured against a browser's own count, it reported 644 underruns where there was none,
//! and 325 where there were 567. The load is measured by a small processor on the audio thread; see
//! [`timing`](crate::timing) for how.

use crate::bindings;
use crate::console;
use crate::error::{Exception, WebError};
use crate::metrics::{LatencyInfo, Metrics, UnderrunCount};
use crate::timing::{CallbackTiming, Timings};
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use js_sys::Float64Array;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen_futures::JsFuture;
use web_sys::AudioContext;

/// The processor, to be hosted where a page's policy forbids modules from a blob; see
/// [`AudioProfiler::with_module_url`].
///
/// It tells the main thread when each render quantum began, as (frame, milliseconds) pairs: by way of shared memory if it was
/// given some, and then publishes the count after what it has written, so that the reader looks no further; else in a batch
/// per message. It measures nothing itself: the only clock in there is `Date.now()`, in steps of a millisecond, and what can
/// be made of that is worked out here, where it is tested. (Comments are here too: a page downloads the module.)
pub const WORKLET_MODULE: &str = include_str!("worklet/timing.js");
const PROCESSOR: &str = "pool-web-timing";

/// Quanta per message: about 6 messages a second at 48 kHz.
const BATCH: u32 = 64;
/// Quanta that shared memory holds: 20 seconds at 48 kHz, which is as long as nobody may ask for nothing to be lost.
const SHARED_QUANTA: u32 = 8192;
/// Of those, quanta that may be under way while they are read.
const UNDER_WAY: u32 = 256;

struct Shared {
    context: AudioContext,
    timings: RefCell<Timings>,
    /// What the browser had counted at the last reset.
    baseline: Cell<UnderrunCount>,
    monitor: RefCell<Option<Monitor>>,
    /// Counts starts and stops, so that a start that was overtaken by a stop gives up.
    turn: Cell<u32>,
    module_url: Option<String>,
    /// For tests: as on a page that may share no memory.
    messages_only: bool,
}

/// The processor on the audio thread, until this is dropped.
struct Monitor {
    /// Lives in JavaScript: the node, and memory that the audio thread writes and this one reads, where the page may share
    /// any.
    raw: JsValue,
    _receive: Closure<dyn FnMut(Float64Array)>,
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // None of it can fail for a node that was set up, nor would it matter.
        let _ = bindings::stop_monitor(&self.raw);
    }
}

/// Watches one live audio context. Dropping it ends the monitoring.
///
/// Asking for metrics costs 3 to 6 calls into JavaScript. Monitoring costs nothing on a page that is cross-origin isolated:
/// the numbers are in shared memory until they are asked for, up to 20 seconds at 48 kHz. Elsewhere it costs one message of
/// 64 quanta, about 6 times a second.
pub struct AudioProfiler(Rc<Shared>);

impl AudioProfiler {
    /// A profiler of `context` that is not monitoring yet.
    #[must_use]
    pub fn new(context: &AudioContext) -> Self {
        Self::with_module(context, None, false)
    }

    /// For tests only: as on a page that is not cross-origin isolated.
    #[doc(hidden)]
    #[must_use]
    pub fn with_messages(context: &AudioContext) -> Self {
        Self::with_module(context, None, true)
    }

    /// As [`new`](Self::new), with the processor's module at `url` in place of a blob, for pages whose policy
    /// (`script-src` without `blob:`) forbids those. Serve [`WORKLET_MODULE`] there.
    #[must_use]
    pub fn with_module_url(context: &AudioContext, url: &str) -> Self {
        Self::with_module(context, Some(url.to_string()), false)
    }

    fn with_module(context: &AudioContext, module_url: Option<String>, messages_only: bool) -> Self {
        let sample_rate = f64::from(context.sample_rate());
        let profiler = Self(Rc::new(Shared {
            context: context.clone(),
            timings: RefCell::new(Timings::new(sample_rate, base_latency(context))),
            baseline: Cell::default(),
            monitor: RefCell::default(),
            turn: Cell::new(0),
            module_url,
            messages_only,
        }));
        profiler.reset();
        profiler
    }

    /// Begins to measure the load. Does nothing if it has begun already.
    ///
    /// # Errors
    ///
    /// [`WebError::ContextClosed`]; [`WebError::Unsupported`] where there are no worklets, as on pages that are not
    /// secure; [`WebError::Exception`] if the module is refused, by a content policy for example.
    pub async fn start(&self) -> Result<(), WebError> {
        if !self.begin()? {
            return Ok(());
        }
        let (shared, turn) = (&self.0, self.turn());
        let added = bindings::add_module(&shared.context, shared.module_url.as_deref(), WORKLET_MODULE)
            .ok_or(WebError::Unsupported { what: "AudioWorklet (the page must be secure)" })?;
        JsFuture::from(added).await.map_err(Exception::of("addModule"))?;
        self.finish(turn)
    }

    /// The first half of [`start`](Self::start), before the processor's module is added: of that the npm package has the text
    /// already. `false` if it has begun before.
    #[doc(hidden)]
    pub fn begin(&self) -> Result<bool, WebError> {
        let shared = &self.0;
        if bindings::is_closed(&shared.context) {
            return Err(WebError::ContextClosed { operation: "start" });
        }
        if shared.monitor.borrow().is_some() {
            return Ok(false);
        }
        shared.turn.set(shared.turn.get().wrapping_add(1));
        Ok(true)
    }

    /// Which start this is, for [`finish`](Self::finish).
    #[doc(hidden)]
    #[must_use]
    pub fn turn(&self) -> u32 {
        self.0.turn.get()
    }

    /// The second half, once the module is there.
    #[doc(hidden)]
    pub fn finish(&self, turn: u32) -> Result<(), WebError> {
        let shared = &self.0;
        // Stopped, started once more or dropped in the meantime: then it is for somebody else to do, or nobody.
        if shared.turn.get() == turn {
            let monitor = Monitor::new(shared)?;
            shared.monitor.replace(Some(monitor));
        }
        Ok(())
    }

    /// Ends the measurement of the load. What was measured stays until [`reset`](Self::reset).
    pub fn stop(&self) {
        self.drain();
        self.0.turn.set(self.0.turn.get().wrapping_add(1));
        // Taken first: its destructor runs with nothing borrowed.
        let monitor = self.0.monitor.take();
        drop(monitor);
    }

    /// Whether the load is being measured: not in a context that was closed.
    #[must_use]
    pub fn is_monitoring(&self) -> bool {
        self.0.monitor.borrow().is_some() && !bindings::is_closed(&self.0.context)
    }

    /// How the context is doing.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let shared = &self.0;
        self.drain();
        let underruns = underruns(&shared.context).map(|count| count.since(shared.baseline.get()));
        Metrics::new(shared.context.current_time(), self.latency(), underruns, &shared.timings.borrow())
    }

    /// Where the delay between the graph and the ear comes from.
    #[must_use]
    pub fn latency(&self) -> LatencyInfo {
        let context = &self.0.context;
        LatencyInfo::new(base_latency(context), bindings::figure(context, "outputLatency"))
    }

    /// The latest 1000 callbacks of the sound device, oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<CallbackTiming> {
        self.drain();
        self.0.timings.borrow().history()
    }

    /// Whether the numbers come by way of shared memory; `None` while nothing is measured.
    #[must_use]
    pub fn shares_memory(&self) -> Option<bool> {
        self.0.monitor.borrow().as_ref().map(|monitor| bindings::is_shared(&monitor.raw))
    }

    fn drain(&self) {
        if let Some(monitor) = &*self.0.monitor.borrow() {
            let news = bindings::drain(&monitor.raw, UNDER_WAY);
            self.0.timings.borrow_mut().push_pairs(&news);
        }
    }

    /// Forgets the history, and counts underruns from now on.
    pub fn reset(&self) {
        self.drain();
        self.0.timings.borrow_mut().reset();
        self.0.baseline.set(underruns(&self.0.context).unwrap_or_default());
    }

    /// Writes the metrics to the console, as a group.
    pub fn log(&self) {
        console::group("Audio performance", &self.metrics().report());
    }

    /// Ends the monitoring and forgets the history; dropping the profiler does the same.
    pub fn dispose(self) {}
}

impl Drop for AudioProfiler {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Monitor {
    fn new(shared: &Rc<Shared>) -> Result<Self, WebError> {
        let timings = Rc::downgrade(shared);
        let receive = Closure::<dyn FnMut(Float64Array)>::new(move |pairs: Float64Array| {
            if let Some(shared) = timings.upgrade() {
                shared.timings.borrow_mut().push_pairs(&pairs.to_vec());
            }
        });
        let share = !shared.messages_only;
        let quanta = SHARED_QUANTA;
        let raw = bindings::start_monitor(&shared.context, PROCESSOR, BATCH, quanta, share, receive.as_ref())
            .map_err(Exception::of("AudioWorkletNode"))?;
        Ok(Self { raw, _receive: receive })
    }
}

/// The browser's base latency in seconds.
fn base_latency(context: &AudioContext) -> Option<f64> {
    bindings::figure(context, "baseLatency")
}

/// What the browser has counted of underruns, if it does.
fn underruns(context: &AudioContext) -> Option<UnderrunCount> {
    let told = |name| bindings::playback(context, name);
    Some(UnderrunCount { events: told("underrunEvents")?, seconds: told("underrunDuration")? })
}
