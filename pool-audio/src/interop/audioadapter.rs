//! `audioadapter` 5, and through it everything that takes its adapters, such as rubato 5.
#![deny(clippy::disallowed_types)]
// Its traits are unsafe to implement. Every access here is checked all the same.
#![allow(unsafe_code)]

use audioadapter::{Adapter, AdapterMut};

use crate::sample::SampleBuffer;

/// How many of `wanted` samples there are from `skip` on.
fn available(buffer: &SampleBuffer, channel: usize, skip: usize, wanted: usize) -> usize {
    if channel < buffer.channels() { buffer.len().saturating_sub(skip).min(wanted) } else { 0 }
}

// SAFETY: channels and frames are as they are told: `channels()` planes of `len()` samples. No access here relies on the
// caller's promise: slices are indexed with their bounds checked.
unsafe impl Adapter<f32> for SampleBuffer {
    unsafe fn read_sample_unchecked(&self, channel: usize, frame: usize) -> f32 {
        self[channel][frame]
    }

    fn channels(&self) -> usize {
        self.channels()
    }

    fn frames(&self) -> usize {
        self.len()
    }

    fn copy_from_channel_to_slice(&self, channel: usize, skip: usize, slice: &mut [f32]) -> usize {
        let count = available(self, channel, skip, slice.len());
        if count > 0 {
            slice[..count].copy_from_slice(&self[channel][skip..skip + count]);
        }
        count
    }
}

// SAFETY: as above.
unsafe impl AdapterMut<f32> for SampleBuffer {
    unsafe fn write_sample_unchecked(&mut self, channel: usize, frame: usize, value: &f32) -> bool {
        self[channel][frame] = *value;
        false
    }

    fn copy_from_slice_to_channel(&mut self, channel: usize, skip: usize, slice: &[f32]) -> (usize, usize) {
        let count = available(self, channel, skip, slice.len());
        if count > 0 {
            self[channel][skip..skip + count].copy_from_slice(&slice[..count]);
        }
        (count, 0)
    }
}
