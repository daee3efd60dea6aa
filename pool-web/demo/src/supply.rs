//! Where a voice's nodes and buffer come from: made fresh by the browser, or leased from the pools.
//!
//! Both give the same [`Chain`], so that the engine plays it without knowing, and both sound the same.

use std::{cell::RefCell, ops::Deref, rc::Rc};

use wasm_bindgen::JsValue;
use web_sys::{
    AudioBuffer, AudioContext, AudioNode, BiquadFilterNode, DelayNode, GainNode, StereoPannerNode,
};

use crate::census::{Census, Kind};

/// Channels of every voice's buffer.
pub(crate) const CHANNELS: u32 = 2;
/// Longest delay of an echo in seconds, which decides the size of its delay line.
pub(crate) const MAX_DELAY: f64 = 0.5;

/// A node or buffer of a voice; dropping it gives it back to where it came from.
pub(crate) enum Part<T> {
    /// Made for this voice alone, and left to the garbage collector.
    Fresh(T),
}

impl<T> Deref for Part<T> {
    type Target = T;
    fn deref(&self) -> &T {
        match self {
            Self::Fresh(object) => object,
        }
    }
}

/// Everything of a voice but its one-shot source.
pub(crate) struct Chain {
    pub(crate) buffer: Part<AudioBuffer>,
    pub(crate) filter: Part<BiquadFilterNode>,
    pub(crate) gain: Part<GainNode>,
    pub(crate) panner: Part<StereoPannerNode>,
    pub(crate) delay: Option<Part<DelayNode>>,
    fresh: Option<Tallied>,
}

impl Drop for Chain {
    fn drop(&mut self) {
        // Leases undo their connections themselves; fresh nodes are disconnected here, as careful code without pools
        // does, so that the comparison is fair.
        if self.fresh.is_some() {
            let delay = self.delay.as_ref().map(|delay| &***delay);
            let nodes: [Option<&AudioNode>; 4] =
                [Some(&self.filter), Some(&self.gain), Some(&self.panner), delay];
            for node in nodes.into_iter().flatten() {
                // A node that is already disconnected, or whose context is closed, is what we want.
                let _ = node.disconnect();
            }
        }
    }
}

/// Where voices come from.
pub(crate) enum Supply {
    Fresh(Fresh),
}

impl Supply {
    /// The nodes and the buffer of one voice.
    pub(crate) fn chain(&self, frames: u32, echo: bool) -> Result<Chain, String> {
        match self {
            Self::Fresh(fresh) => fresh.chain(frames, echo).map_err(|error| describe(&error)),
        }
    }

    /// Connects two nodes so that the connection is undone when the destination goes back to where it came from.
    pub(crate) fn connect(&self, source: &AudioNode, destination: &AudioNode) -> Result<(), String> {
        match self {
            Self::Fresh(_) => {
                source.connect_with_audio_node(destination).map(drop).map_err(|error| describe(&error))
            }
        }
    }

    /// What there is, and what was made and reused since the last [`Self::reset`].
    pub(crate) fn census(&self) -> Census {
        match self {
            Self::Fresh(fresh) => fresh.tally.borrow().clone(),
        }
    }

    /// Counts from zero again.
    pub(crate) fn reset(&self) {
        match self {
            Self::Fresh(fresh) => fresh.reset(),
        }
    }
}

/// Nodes and buffers made by the browser for one voice each.
pub(crate) struct Fresh {
    context: AudioContext,
    tally: Rc<RefCell<Census>>,
}

impl Fresh {
    /// Counts `kit_bytes` of decoded recordings among its bytes, as the pools do.
    pub(crate) fn new(context: &AudioContext, kit_bytes: u64) -> Self {
        let census = Census { kit_bytes, peak_bytes: kit_bytes, ..Census::default() };
        Self { context: context.clone(), tally: Rc::new(RefCell::new(census)) }
    }

    fn chain(&self, frames: u32, echo: bool) -> Result<Chain, JsValue> {
        let context = &self.context;
        let rate = context.sample_rate();
        let buffer = context.create_buffer(CHANNELS, frames, rate)?;
        let filter = context.create_biquad_filter()?;
        let gain = context.create_gain()?;
        let panner = context.create_stereo_panner()?;
        let delay = if echo { Some(context.create_delay_with_max_delay_time(MAX_DELAY)?) } else { None };
        let line = if echo { delay_line_bytes(rate) } else { 0 };
        let bytes = u64::from(frames * CHANNELS) * size_of::<f32>() as u64 + line;
        Ok(Chain {
            buffer: Part::Fresh(buffer),
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

/// Bytes of a delay line at `rate` hertz, as the pools count it.
fn delay_line_bytes(rate: f32) -> u64 {
    (MAX_DELAY * f64::from(rate)).ceil() as u64 * u64::from(CHANNELS) * size_of::<f32>() as u64
}

/// An exception of the browser in words.
pub(crate) fn describe(error: &JsValue) -> String {
    js_sys::Object::from(error.clone()).to_string().into()
}
