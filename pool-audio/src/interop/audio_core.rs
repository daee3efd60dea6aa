//! `audio-core` 0.2: buffers of channels that lie in one piece.
#![deny(clippy::disallowed_types)]

use core::iter::Copied;
use core::slice::{Iter, IterMut};

use audio_core::{Buf, BufMut, Channel, ChannelMut, ExactSizeBuf, LinearChannel, LinearChannelMut};

use crate::sample::{Planes, PlanesMut, SampleBuffer};

/// A plane of a [`SampleBuffer`] in the words of `audio-core`.
#[derive(Debug, Clone, Copy)]
pub struct Plane<'a>(&'a [f32]);

/// The same for writing.
#[derive(Debug)]
pub struct PlaneMut<'a>(&'a mut [f32]);

impl Channel for Plane<'_> {
    type Sample = f32;
    type Channel<'this>
        = Plane<'this>
    where
        Self: 'this;
    type Iter<'this>
        = Copied<Iter<'this, f32>>
    where
        Self: 'this;

    fn as_channel(&self) -> Plane<'_> {
        *self
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, n: usize) -> Option<f32> {
        self.0.get(n).copied()
    }

    fn iter(&self) -> Self::Iter<'_> {
        self.0.iter().copied()
    }

    fn try_as_linear(&self) -> Option<&[f32]> {
        Some(self.0)
    }

    fn skip(self, n: usize) -> Self {
        Self(self.0.get(n..).unwrap_or_default())
    }

    fn tail(self, n: usize) -> Self {
        Self(&self.0[self.0.len().saturating_sub(n)..])
    }

    fn limit(self, limit: usize) -> Self {
        Self(self.0.get(..limit).unwrap_or(self.0))
    }
}

impl Channel for PlaneMut<'_> {
    type Sample = f32;
    type Channel<'this>
        = Plane<'this>
    where
        Self: 'this;
    type Iter<'this>
        = Copied<Iter<'this, f32>>
    where
        Self: 'this;

    fn as_channel(&self) -> Plane<'_> {
        Plane(self.0)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, n: usize) -> Option<f32> {
        self.0.get(n).copied()
    }

    fn iter(&self) -> Self::Iter<'_> {
        self.0.iter().copied()
    }

    fn try_as_linear(&self) -> Option<&[f32]> {
        Some(self.0)
    }

    fn skip(self, n: usize) -> Self {
        Self(self.0.get_mut(n..).unwrap_or_default())
    }

    fn tail(self, n: usize) -> Self {
        let from = self.0.len().saturating_sub(n);
        Self(&mut self.0[from..])
    }

    fn limit(self, limit: usize) -> Self {
        let to = self.0.len().min(limit);
        Self(&mut self.0[..to])
    }
}

impl ChannelMut for PlaneMut<'_> {
    type ChannelMut<'this>
        = PlaneMut<'this>
    where
        Self: 'this;
    type IterMut<'this>
        = IterMut<'this, f32>
    where
        Self: 'this;

    fn as_channel_mut(&mut self) -> PlaneMut<'_> {
        PlaneMut(self.0)
    }

    fn iter_mut(&mut self) -> Self::IterMut<'_> {
        self.0.iter_mut()
    }

    fn get_mut(&mut self, n: usize) -> Option<&mut f32> {
        self.0.get_mut(n)
    }

    fn try_as_linear_mut(&mut self) -> Option<&mut [f32]> {
        Some(self.0)
    }
}

impl LinearChannel for Plane<'_> {
    fn as_linear_channel(&self) -> &[f32] {
        self.0
    }
}

impl LinearChannel for PlaneMut<'_> {
    fn as_linear_channel(&self) -> &[f32] {
        self.0
    }
}

impl LinearChannelMut for PlaneMut<'_> {
    fn as_linear_channel_mut(&mut self) -> &mut [f32] {
        self.0
    }
}

/// Iterates over the channels of a [`SampleBuffer`] in the words of `audio-core`.
#[derive(Debug, Clone)]
pub struct Channels<'a>(Planes<'a>);

impl<'a> Iterator for Channels<'a> {
    type Item = Plane<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(Plane)
    }
}

/// The same for writing.
#[derive(Debug)]
pub struct ChannelsMut<'a>(PlanesMut<'a>);

impl<'a> Iterator for ChannelsMut<'a> {
    type Item = PlaneMut<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(PlaneMut)
    }
}

impl Buf for SampleBuffer {
    type Sample = f32;
    type Channel<'this> = Plane<'this>;
    type IterChannels<'this> = Channels<'this>;

    fn frames_hint(&self) -> Option<usize> {
        Some(self.len())
    }

    fn channels(&self) -> usize {
        self.channels()
    }

    fn get_channel(&self, channel: usize) -> Option<Self::Channel<'_>> {
        self.plane(channel).map(Plane)
    }

    fn iter_channels(&self) -> Self::IterChannels<'_> {
        Channels(self.planes())
    }
}

/// Frames are those in use: [`SampleBuffer::len`].
impl ExactSizeBuf for SampleBuffer {
    fn frames(&self) -> usize {
        self.len()
    }
}

impl BufMut for SampleBuffer {
    type ChannelMut<'this> = PlaneMut<'this>;
    type IterChannelsMut<'this> = ChannelsMut<'this>;

    fn iter_channels_mut(&mut self) -> Self::IterChannelsMut<'_> {
        ChannelsMut(self.planes_mut())
    }

    fn get_channel_mut(&mut self, channel: usize) -> Option<Self::ChannelMut<'_>> {
        self.plane_mut(channel).map(PlaneMut)
    }

    /// Copies nothing onto itself, nor from or to a channel that is not there. Only the channel it copies to counts as written,
    /// and not even that one where both are silent.
    fn copy_channel(&mut self, from: usize, to: usize) {
        self.copy_plane(from, to);
    }
}
