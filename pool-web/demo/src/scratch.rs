//! The samples of a voice on their way from a recording into its buffer.
//!
//! web-sys takes slices, and makes a view of the module's memory for each call, which is garbage four times per voice. These
//! views are made once per length.

use js_sys::Float32Array;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// An `AudioBuffer` whose samples are copied by views. Neither call throws for a channel that there is.
    pub(crate) type Samples;
    /// Copies from a channel, from frame `start` on, until the view is full or the channel ends.
    #[wasm_bindgen(method, js_name = copyFromChannel)]
    pub(crate) fn read(this: &Samples, target: &Float32Array, channel: u32, start: u32);
    /// Copies to the front of a channel.
    #[wasm_bindgen(method, js_name = copyToChannel)]
    pub(crate) fn write(this: &Samples, source: &Float32Array, channel: u32);
}

/// Two sides of up to so many samples.
pub(crate) struct Scratch {
    sides: [Box<[f32]>; 2],
    /// The views of both by their length. Voices have few different ones.
    views: Vec<(u32, [Float32Array; 2])>,
}

impl Scratch {
    pub(crate) fn new(frames: u32) -> Self {
        let side = || vec![0.0; frames as usize].into_boxed_slice();
        Self { sides: [side(), side()], views: Vec::new() }
    }

    /// The first `frames` samples of both sides, or all there are, as the browser sees them: until the module's memory
    /// grows.
    pub(crate) fn views(&mut self, frames: u32) -> &[Float32Array; 2] {
        // Growing takes the memory away from all views, which are then empty.
        if self.views.first().is_some_and(|(_, [left, _])| left.length() == 0) {
            self.views.clear();
        }
        let known = self.views.iter().position(|(length, _)| *length == frames);
        let index = known.unwrap_or_else(|| {
            let views = self.sides.each_mut().map(|side| {
                let length = side.len().min(frames as usize);
                // SAFETY: the samples stay where they are as long as `self` lives, and with it the view. The browser uses it
                // only while one of the calls above runs, which do not come back to this module.
                unsafe { Float32Array::view_mut_raw(side.as_mut_ptr(), length) }
            });
            self.views.push((frames, views));
            self.views.len() - 1
        });
        &self.views[index].1
    }

    /// The samples themselves.
    pub(crate) fn sides(&mut self) -> [&mut [f32]; 2] {
        self.sides.each_mut().map(|side| &mut **side)
    }
}
