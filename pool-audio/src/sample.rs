//! `SampleBuffer`: planes of `f32` in one aligned allocation.
//!
//! ```text
//! floats   |slack|  plane 0            |pad|  plane 1            |pad|  ...
//!          ^     ^                         ^
//!          Vec   base, 64-byte aligned     base + stride: aligned again, stride is a multiple of 16 floats
//! ```
//!
//! # Why floats with slack, and no `unsafe`
//!
//! Three ways were weighed. `alloc::alloc` with an aligned layout needs `unsafe` for the allocation, for the
//! slices and for `Send`. A `Vec` of `#[repr(align(64))]` lines needs it for the view as floats (or a crate that
//! hides it). A vector with room for 15 floats more, with the aligned start computed once, needs none: it never grows, so
//! the heap block does not move. The price is 60 bytes a buffer, which is about what
//! an allocator loses on an over-aligned request anyhow; access is one addition and one bounds check per plane
//! in all three. `bytes()` counts the slack.
//!
//! # What is known to be zero
//!
//! `written` has a bit per channel and `written_frames` a high-water mark over all of them. Every float outside
//! *(a channel whose bit is set) x (the first `written_frames` frames)* is 0.0: the allocation starts out as
//! zeros and the only way to a `&mut [f32]` sets the mark first. So `clear` has to touch nothing else, and a
//! buffer that nobody wrote costs nothing to clear. Looking at the samples to find silence would cost more
//! than clearing them.
#![deny(clippy::disallowed_types)]

use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;
use core::ops::{Index, IndexMut, Range, RangeFrom};

use pool_core::{Bytes, Footprint};

use crate::error::BufferError;
use crate::key::{ALIGN_FLOATS, BufferKey};

/// Alignment of the first sample of every plane, in bytes.
const ALIGN_BYTES: usize = ALIGN_FLOATS * size_of::<f32>();

/// Bits of the `written` mask. Channels from the last one on share its bit.
const MASK_BITS: usize = u64::BITS as usize;

/// Planar `f32` samples: one allocation, every plane aligned to 64 bytes.
///
/// The *capacity* ([`frames`](Self::frames)) is fixed when the buffer is made. The *length*
/// ([`len`](Self::len)) says how much of it is in use, starts out as the capacity and is what the planes are cut
/// to, for callbacks whose block size varies.
///
/// # Real time
///
/// Only [`SampleBuffer::new`], [`SampleBuffer::for_key`] and dropping a buffer touch the allocator. Everything
/// else is O(1), but for [`clear`](Self::clear) and the interleaved copies, which are linear in what they touch.
///
/// # Example
///
/// ```
/// use pool_audio::SampleBuffer;
///
/// let mut stereo = SampleBuffer::new(2, 128, 48_000)?;
/// stereo[0][0] = 0.5;
/// assert!(!stereo.is_channel_silent(0) && stereo.is_channel_silent(1));
/// stereo.set_len(64)?;
/// assert_eq!(stereo[1].len(), 64);
/// # Ok::<(), pool_audio::BufferError>(())
/// ```
pub struct SampleBuffer {
    /// Slack before the planes, and planes with their padding. Slack behind them is capacity. The block never moves.
    floats: Vec<f32>,
    /// Index in `floats` of the first sample of plane 0: the first one that is 64-byte aligned.
    base: usize,
    key: BufferKey,
    len: u32,
    /// Bit per channel: set once the channel was handed out mutably since the last clear.
    written: u64,
    /// What `written` is if every channel is.
    every: u64,
    /// No frame at or beyond this one was handed out mutably since the last clear. At most `len` while `written` is 0, so that
    /// who writes first need not look whether it is left from before.
    written_frames: u32,
}

impl SampleBuffer {
    /// A silent buffer of `channels` planes with room for `frames` samples each.
    ///
    /// Every page is written here, so the first use of the buffer causes no page fault.
    ///
    /// # Errors
    ///
    /// Zero channels, frames or rate; a size over `isize::MAX`; an allocator that has no memory (it is asked in
    /// the way that fails and does not abort).
    pub fn new(channels: u16, frames: u32, sample_rate: u32) -> Result<Self, BufferError> {
        Self::for_key(BufferKey::new(channels, frames, sample_rate)?)
    }

    /// The same from a key.
    ///
    /// # Errors
    ///
    /// As [`SampleBuffer::new`].
    pub fn for_key(key: BufferKey) -> Result<Self, BufferError> {
        let count = key.float_count()?;
        let mut floats: Vec<f32> = Vec::new();
        floats
            .try_reserve_exact(count)
            .map_err(|_| BufferError::OutOfMemory { bytes: count * size_of::<f32>() })?;
        // Not the allocator's own zeros: those are pages that fault on the audio thread, one by one.
        floats.resize(count, 0.0);
        let misaligned = floats.as_ptr() as usize % ALIGN_BYTES;
        // Floats are aligned to 4 bytes, so the way to the next line is a whole number of floats, 15 at most.
        let base = (ALIGN_BYTES - misaligned) % ALIGN_BYTES / size_of::<f32>();
        // Shorter, and where it was: so what follows the slack is the planes, and nothing else.
        floats.truncate(base + usize::from(key.channels) * key.stride());
        Ok(Self {
            floats,
            base,
            key,
            len: key.frames,
            written: 0,
            every: 1u64.checked_shl(key.channels.into()).unwrap_or(0).wrapping_sub(1),
            written_frames: 0,
        })
    }

    /// Number of channels.
    #[inline]
    pub fn channels(&self) -> usize {
        usize::from(self.key.channels)
    }

    /// Room in frames: the capacity, which never changes.
    #[inline]
    pub fn frames(&self) -> usize {
        self.key.frames as usize
    }

    /// Frames in use: the length of every plane.
    #[inline]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether no frame is in use. That is not the same as [silent](Self::is_silent).
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Frames per second.
    pub fn sample_rate(&self) -> NonZeroU32 {
        self.key.sample_rate
    }

    /// Channels, capacity and rate: what a pool files this buffer under.
    #[inline]
    pub fn key(&self) -> BufferKey {
        self.key
    }

    /// Distance between the starts of two planes, in floats: the capacity rounded up to 16.
    #[inline]
    pub fn stride(&self) -> usize {
        self.key.stride()
    }

    /// Bytes held: planes, padding, alignment slack and the header.
    pub fn bytes(&self) -> usize {
        self.floats.capacity() * size_of::<f32>() + size_of::<Self>()
    }

    /// Uses the first `frames` frames from now on.
    ///
    /// Samples beyond the old length are whatever they were: zeros, or what was written before the length was
    /// made smaller.
    ///
    /// # Errors
    ///
    /// [`BufferError::OverCapacity`] when `frames` is more than [`frames`](Self::frames); the length stays.
    #[inline]
    pub fn set_len(&mut self, frames: usize) -> Result<(), BufferError> {
        match u32::try_from(frames) {
            Ok(len) if len <= self.key.frames => {
                self.len = len;
                self.lower_frames();
                Ok(())
            }
            _ => Err(BufferError::OverCapacity { requested: frames, capacity: self.frames() }),
        }
    }

    /// Full length, at this rate from now on: what a buffer is when it is handed out. O(1).
    #[cfg(target_has_atomic = "ptr")]
    #[inline]
    pub(crate) fn renew(&mut self, sample_rate: NonZeroU32) {
        // Only if they differ: a narrow store before a wider load of the key would stall it, and where a buffer has just
        // been cleared it is the number of stores that takes the time.
        if self.key.sample_rate != sample_rate {
            self.key.sample_rate = sample_rate;
        }
        if self.len != self.key.frames {
            self.len = self.key.frames;
        }
    }

    /// Where all planes lie in `floats`, with their padding.
    #[inline]
    fn all(&self) -> RangeFrom<usize> {
        self.base..
    }

    /// Where plane `channel` lies in `floats`, cut to `frames`.
    #[inline]
    fn span(&self, channel: usize, frames: usize) -> Range<usize> {
        let start = self.base + channel * self.stride();
        start..start + frames
    }

    /// The mask bit of `channel`: its own below 63, the last one for all the others.
    #[inline]
    fn mask_bit(channel: usize) -> u64 {
        1 << channel.min(MASK_BITS - 1)
    }

    /// From here on nothing is known about the first `len` frames of `channel`.
    #[inline]
    fn mark_written(&mut self, channel: usize) {
        if self.len > 0 {
            self.mark_frames();
            self.written |= Self::mask_bit(channel);
        }
    }

    /// Before a channel is marked.
    #[inline]
    fn mark_frames(&mut self) {
        // Mostly it is what it was: no store then, as in `renew`.
        if self.written_frames < self.len {
            self.written_frames = self.len;
        }
    }

    /// After a change of the length, or once nothing counts as written.
    #[inline]
    fn lower_frames(&mut self) {
        if self.written == 0 && self.written_frames > self.len {
            self.written_frames = 0;
        }
    }

    /// The samples of one channel, or `None` if there is no such channel. See also `buffer[channel]`.
    #[inline]
    pub fn plane(&self, channel: usize) -> Option<&[f32]> {
        (channel < self.channels()).then(|| &self.floats[self.span(channel, self.len())])
    }

    /// The samples of one channel for writing, or `None` if there is no such channel.
    ///
    /// The channel counts as written from here on, whether or not anything is written.
    #[inline]
    pub fn plane_mut(&mut self, channel: usize) -> Option<&mut [f32]> {
        if channel >= self.channels() {
            return None;
        }
        self.mark_written(channel);
        let span = self.span(channel, self.len());
        Some(&mut self.floats[span])
    }

    /// All planes in order.
    #[inline]
    pub fn planes(&self) -> Planes<'_> {
        let all = self.all();
        Planes { rest: &self.floats[all], stride: self.stride(), len: self.len() }
    }

    /// All planes in order, for writing and to hold at once. Only the channels that the iterator has yielded
    /// count as written.
    #[inline]
    pub fn planes_mut(&mut self) -> PlanesMut<'_> {
        let (all, stride) = (self.all(), self.stride());
        // Without a channel that is written it says nothing, and so may be more than is yielded.
        self.mark_frames();
        let len = self.len();
        PlanesMut {
            rest: &mut self.floats[all],
            stride,
            len,
            bit: u64::from(self.len > 0),
            written: &mut self.written,
        }
    }

    /// Several planes at once for writing, in the order asked for.
    ///
    /// # Errors
    ///
    /// A channel that is not there, or is asked for twice; no channel counts as written then.
    ///
    /// ```
    /// # use pool_audio::SampleBuffer;
    /// let mut quad = SampleBuffer::new(4, 128, 48_000)?;
    /// let [rear, front] = quad.disjoint_planes_mut([2, 0])?;
    /// front[0] = 1.0;
    /// rear[0] = -front[0];
    /// # Ok::<(), pool_audio::BufferError>(())
    /// ```
    #[inline]
    pub fn disjoint_planes_mut<const N: usize>(
        &mut self,
        channels: [usize; N],
    ) -> Result<[&mut [f32]; N], BufferError> {
        for (position, &channel) in channels.iter().enumerate() {
            if channel >= self.channels() {
                return Err(BufferError::NoSuchChannel { channel, channels: self.key.channels });
            }
            if channels[..position].contains(&channel) {
                return Err(BufferError::SameChannelTwice { channel });
            }
        }
        for channel in channels {
            self.mark_written(channel);
        }
        let len = self.len();
        if len == 0 {
            // Ranges of length 0 at the same place would be disjoint, but there is nothing to look up.
            return Ok(channels.map(|_| <&mut [f32]>::default()));
        }
        let spans = channels.map(|channel| self.span(channel, len));
        // The loop above has ruled out what this can refuse; the error arm is there for the compiler.
        self.floats
            .get_disjoint_mut(spans)
            .map_err(|_| BufferError::SameChannelTwice { channel: channels.first().copied().unwrap_or(0) })
    }

    /// Copies the frames in use of one channel to another, which alone counts as written: whoever takes both for writing at once
    /// marks the one that is only read. Nothing is copied from or to a channel that is not there, nor where both are silent.
    #[cfg(feature = "audio-core-0-2")]
    pub(crate) fn copy_plane(&mut self, from: usize, to: usize) {
        let there = from.max(to) < self.channels();
        if there && from != to && !(self.is_channel_silent(from) && self.is_channel_silent(to)) {
            self.mark_written(to);
            let (from, to) = (self.span(from, self.len()), self.span(to, self.len()));
            self.floats.copy_within(from, to.start);
        }
    }

    /// Whether every sample of every channel, up to the capacity, is known to be 0.0.
    ///
    /// `false` means *not known*: the samples were handed out for writing and not cleared since.
    #[inline]
    pub fn is_silent(&self) -> bool {
        self.written == 0
    }

    /// Whether every sample of one channel is known to be 0.0. A channel that is not there is silent.
    ///
    /// Channels from 63 on share one answer: writing one of them makes all of them *not known*.
    #[inline]
    pub fn is_channel_silent(&self, channel: usize) -> bool {
        channel >= self.channels() || self.written & Self::mask_bit(channel) == 0
    }

    /// Makes every sample 0.0, also those beyond the length, and gives the bytes it had to write.
    ///
    /// Writes only the channels that were handed out for writing, and of them only the frames that were: 0 bytes
    /// for a buffer that nobody wrote.
    #[inline]
    pub fn clear(&mut self) -> usize {
        if self.written == self.every && self.written_frames == self.key.frames {
            let all = self.all();
            if let Some(planes) = self.floats.get_mut(all) {
                // The mark first, so that whoever writes next need not wait for the clearing.
                self.written = 0;
                if self.len < self.key.frames {
                    self.written_frames = 0;
                }
                // One run over the padding too: a single fill is faster than one per plane.
                planes.fill(0.0);
                return size_of_val(planes);
            }
        }
        if self.written == 0 { 0 } else { self.clear_parts() }
    }

    /// The bytes that [`clear`](Self::clear) would have to write, of planes alone.
    #[cfg(target_has_atomic = "ptr")]
    pub(crate) fn bytes_to_clear(&self) -> usize {
        let own = (self.written & !(1 << (MASK_BITS - 1))).count_ones() as usize;
        // The last bit is of all channels from there on.
        let last = self.written >> (MASK_BITS - 1) != 0;
        let others = if last { self.channels().saturating_sub(MASK_BITS - 1) } else { 0 };
        (own + others) * self.written_frames as usize * size_of::<f32>()
    }

    /// `extern "C"`: the compiler knows that nothing unwinds from here. Where something could, it would keep a lease in
    /// memory all along, for the sake of its destructor, and every clear of every handle would pay for it.
    #[inline(never)]
    extern "C" fn clear_parts(&mut self) -> usize {
        let (written, frames) = (self.written, self.written_frames as usize);
        self.written = 0;
        self.lower_frames();
        let mut floats = 0;
        for channel in 0..self.channels() {
            if written & Self::mask_bit(channel) != 0 {
                let span = self.span(channel, frames);
                floats += span.len();
                self.floats[span].fill(0.0);
            }
        }
        floats * size_of::<f32>()
    }

    /// Lends all planes as a slice of slices, for code that takes `&[&[f32]]`. Allocates nothing up to 64 channels.
    pub fn with_planes<R>(&self, use_planes: impl FnOnce(&[&[f32]]) -> R) -> R {
        let mut planes: [&[f32]; MASK_BITS] = [&[]; MASK_BITS];
        match planes.get_mut(..self.channels()) {
            Some(planes) => {
                planes.iter_mut().zip(self.planes()).for_each(|(place, plane)| *place = plane);
                use_planes(planes)
            }
            None => use_planes(&self.planes().collect::<Vec<_>>()),
        }
    }

    /// The same for writing: `&mut [&mut [f32]]`. All channels count as written.
    pub fn with_planes_mut<R>(&mut self, use_planes: impl FnOnce(&mut [&mut [f32]]) -> R) -> R {
        let channels = self.channels();
        let mut planes = [(); MASK_BITS].map(|()| <&mut [f32]>::default());
        match planes.get_mut(..channels) {
            Some(planes) => {
                planes.iter_mut().zip(self.planes_mut()).for_each(|(place, plane)| *place = plane);
                use_planes(planes)
            }
            None => use_planes(&mut self.planes_mut().collect::<Vec<_>>()),
        }
    }

    /// For those who bring frames of so many channels.
    #[cfg(any(feature = "dasp-frame-0-11", feature = "symphonia-0-6"))]
    pub(crate) fn check_channels(&self, given: usize) -> Result<(), BufferError> {
        if given == self.channels() {
            Ok(())
        } else {
            Err(BufferError::ChannelCount { given, expected: self.key.channels })
        }
    }
}

impl BufferKey {
    /// Bytes that a buffer of this key holds: planes, padding, alignment slack and the header of
    /// [`SampleBuffer`].
    ///
    /// # Errors
    ///
    /// The same as [`BufferKey::new`].
    pub fn bytes(self) -> Result<usize, BufferError> {
        // No overflow: the first term is at most `isize::MAX`.
        Ok(self.float_count()? * size_of::<f32>() + size_of::<SampleBuffer>())
    }
}

impl Index<usize> for SampleBuffer {
    type Output = [f32];

    /// The samples of one channel.
    ///
    /// # Panics
    ///
    /// If there is no such channel, as indexing a slice does. [`SampleBuffer::plane`] does not panic.
    #[inline]
    fn index(&self, channel: usize) -> &[f32] {
        assert!(channel < self.channels(), "channel {channel} of {}", self.channels());
        &self.floats[self.span(channel, self.len())]
    }
}

impl IndexMut<usize> for SampleBuffer {
    /// The samples of one channel for writing; it counts as written from here on.
    ///
    /// # Panics
    ///
    /// If there is no such channel, as indexing a slice does. [`SampleBuffer::plane_mut`] does not panic.
    #[inline]
    fn index_mut(&mut self, channel: usize) -> &mut [f32] {
        assert!(channel < self.channels(), "channel {channel} of {}", self.channels());
        self.mark_written(channel);
        let span = self.span(channel, self.len());
        &mut self.floats[span]
    }
}

impl Footprint for SampleBuffer {
    fn footprint(&self) -> usize {
        self.bytes()
    }
}

impl fmt::Debug for SampleBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let silent = (0..self.channels()).filter(|&channel| self.is_channel_silent(channel)).count();
        write!(
            f,
            "SampleBuffer({}, length {}, {}, {silent} of {} channels silent)",
            self.key,
            self.len,
            Bytes(self.bytes()),
            self.key.channels
        )
    }
}

/// The planes of a [`SampleBuffer`], from [`SampleBuffer::planes`].
// Not `chunks_exact`: that begins with a division, which takes as long as acquiring the buffer.
#[derive(Debug, Clone)]
pub struct Planes<'a> {
    rest: &'a [f32],
    stride: usize,
    len: usize,
}

impl<'a> Iterator for Planes<'a> {
    type Item = &'a [f32];

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (plane, rest) = self.rest.split_at_checked(self.stride)?;
        self.rest = rest;
        Some(&plane[..self.len])
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.rest.len() / self.stride;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Planes<'_> {}

/// The planes of a [`SampleBuffer`] for writing, from [`SampleBuffer::planes_mut`].
#[derive(Debug)]
pub struct PlanesMut<'a> {
    rest: &'a mut [f32],
    stride: usize,
    len: usize,
    /// The mask bit of the next channel; none if no frame is in use.
    bit: u64,
    written: &'a mut u64,
}

impl<'a> Iterator for PlanesMut<'a> {
    type Item = &'a mut [f32];

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // What is left is whole planes: if there is no further one, nothing is lost by the taking.
        let (plane, rest) = core::mem::take(&mut self.rest).split_at_mut_checked(self.stride)?;
        self.rest = rest;
        *self.written |= self.bit;
        // Beyond the last bit those of the first channels come again, which were yielded and count as written already.
        self.bit = self.bit.rotate_left(1);
        plane.get_mut(..self.len)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.rest.len() / self.stride;
        (left, Some(left))
    }
}

impl ExactSizeIterator for PlanesMut<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use proptest::prelude::*;

    /// Every float of the buffer, to look behind the planes.
    fn all(buffer: &SampleBuffer) -> &[f32] {
        &buffer.floats[buffer.span(0, buffer.channels() * buffer.stride())]
    }

    /// Would catch shapes that divide by zero or wrap around further down.
    #[test]
    fn shapes_that_cannot_be_are_refused_with_their_numbers() {
        let refused = |channels, frames, rate| SampleBuffer::new(channels, frames, rate).unwrap_err();
        assert_eq!(refused(0, 128, 48_000), BufferError::ZeroChannels { frames: 128, sample_rate: 48_000 });
        assert_eq!(refused(2, 0, 48_000), BufferError::ZeroFrames { channels: 2, sample_rate: 48_000 });
        assert_eq!(refused(2, 128, 0), BufferError::ZeroSampleRate { channels: 2, frames: 128 });
        let literal = BufferKey { channels: 0, frames: 1, sample_rate: NonZeroU32::MIN };
        assert!(SampleBuffer::for_key(literal).is_err(), "a key written as a literal is checked too");
    }

    /// Would catch an allocation that aborts the process, and sizes that wrap: 65535 x 4294967295 floats are
    /// 2^50 bytes, which fit the address space of a 64-bit machine but not its memory.
    #[test]
    fn sizes_that_nobody_has_are_an_error_and_not_an_abort() {
        match SampleBuffer::new(u16::MAX, u32::MAX, 48_000).unwrap_err() {
            BufferError::OutOfMemory { bytes } => assert_eq!(bytes, (65_535 * 4_294_967_296 + 15) * 4),
            BufferError::TooLarge { bytes, .. } => assert!(bytes > isize::MAX as u64),
            other => panic!("{other}"),
        }
        #[cfg(target_pointer_width = "32")]
        assert!(matches!(SampleBuffer::new(1, u32::MAX, 1).unwrap_err(), BufferError::TooLarge { .. }));
    }

    /// Would catch a length that reads past the plane, into the padding or the next channel.
    #[test]
    fn the_length_moves_within_the_capacity_only() {
        let mut buffer = SampleBuffer::new(2, 100, 44_100).unwrap();
        assert_eq!(buffer.set_len(101), Err(BufferError::OverCapacity { requested: 101, capacity: 100 }));
        assert_eq!(buffer.len(), 100, "a refused length changes nothing");
        buffer.set_len(0).unwrap();
        assert!(buffer.is_empty() && buffer.plane(1).unwrap().is_empty());
        assert!(buffer.plane_mut(0).unwrap().is_empty() && buffer.is_silent(), "nothing handed out to write");
        buffer.set_len(100).unwrap();
        assert_eq!(buffer.planes().map(<[f32]>::len).collect::<Vec<_>>(), [100, 100]);
    }

    /// Would catch a missing mark on one of the ways to write: stale samples would be taken for silence.
    #[test]
    fn every_way_to_write_marks_its_channels() {
        let fresh = || SampleBuffer::new(3, 32, 48_000).unwrap();
        let silent = |buffer: &SampleBuffer| [0, 1, 2].map(|channel| buffer.is_channel_silent(channel));

        let mut buffer = fresh();
        assert!(buffer.is_silent());
        buffer.plane_mut(1).unwrap();
        assert_eq!(silent(&buffer), [true, false, true]);

        let mut buffer = fresh();
        buffer[2][0] = 1.0;
        assert_eq!(silent(&buffer), [true, true, false]);

        let mut buffer = fresh();
        buffer.planes_mut().next().unwrap();
        assert_eq!(silent(&buffer), [false, true, true], "only what was yielded");

        let mut buffer = fresh();
        buffer.disjoint_planes_mut([2, 0]).unwrap();
        assert_eq!(silent(&buffer), [false, true, false]);

        let mut buffer = fresh();
        buffer.copy_from_interleaved(&[0.25; 96]).unwrap();
        assert_eq!(silent(&buffer), [false; 3]);
        assert!(!buffer.is_silent());
    }

    /// Would catch two `&mut` to one plane, and marks left by a refused call.
    #[test]
    fn disjoint_planes_are_in_order_and_refused_when_they_are_not_disjoint() {
        let mut buffer = SampleBuffer::new(3, 20, 48_000).unwrap();
        let [third, first] = buffer.disjoint_planes_mut([2, 0]).unwrap();
        third.fill(3.0);
        first.fill(1.0);
        assert_eq!([buffer[0][19], buffer[1][19], buffer[2][19]], [1.0, 0.0, 3.0]);
        buffer.clear();
        assert_eq!(
            buffer.disjoint_planes_mut([1, 1]).unwrap_err(),
            BufferError::SameChannelTwice { channel: 1 }
        );
        assert_eq!(
            buffer.disjoint_planes_mut([0, 3]).unwrap_err(),
            BufferError::NoSuchChannel { channel: 3, channels: 3 }
        );
        assert!(buffer.is_silent());
        buffer.set_len(0).unwrap();
        assert_eq!(buffer.disjoint_planes_mut([0, 1]).unwrap().map(|plane| plane.len()), [0, 0]);
    }

    /// Would catch a clear that stops at the current length: the old tail would sound after the next `set_len`.
    #[test]
    fn clear_reaches_what_was_written_before_the_length_shrank() {
        let mut buffer = SampleBuffer::new(2, 64, 48_000).unwrap();
        buffer[0].fill(1.0);
        buffer.set_len(8).unwrap();
        buffer[1].fill(1.0);
        assert_eq!(buffer.clear(), 2 * 64 * 4);
        assert!(all(&buffer).iter().all(|&sample| sample == 0.0));
        assert_eq!(buffer.len(), 8, "clearing is about samples, not about the length");
    }

    /// Would catch a clear that writes more than it must: the silent mask is there to save that.
    #[test]
    fn clear_writes_only_what_was_handed_out() {
        let mut buffer = SampleBuffer::new(2, 48_000, 48_000).unwrap();
        assert_eq!(buffer.clear(), 0, "nobody wrote");
        buffer[1][0] = 1.0;
        assert_eq!(buffer.clear(), 48_000 * 4, "one channel of two");
        buffer.set_len(128).unwrap();
        buffer[0][0] = 1.0;
        assert_eq!(buffer.clear(), 128 * 4, "one block of one channel");
        assert!(buffer.is_silent() && buffer.clear() == 0);
    }

    /// Would catch a mask that forgets channels it has no bit for.
    #[test]
    fn channels_beyond_the_mask_are_never_taken_for_silent() {
        let mut buffer = SampleBuffer::new(100, 4, 48_000).unwrap();
        buffer[99].fill(1.0);
        assert!(!buffer.is_channel_silent(99) && !buffer.is_channel_silent(63));
        assert!(buffer.is_channel_silent(62));
        buffer.clear();
        assert!(all(&buffer).iter().all(|&sample| sample == 0.0) && buffer.is_silent());
        for plane in buffer.planes_mut() {
            plane.fill(1.0);
        }
        buffer.clear();
        assert!(all(&buffer).iter().all(|&sample| sample == 0.0));
    }

    /// Would catch a high-water mark that is raised without a channel, or not raised by an iterator: what was written
    /// before with fewer frames is cleared all the same.
    #[test]
    fn an_iterator_marks_what_it_yields_and_no_less() {
        let mut buffer = SampleBuffer::new(2, 64, 48_000).unwrap();
        assert_eq!(buffer.planes_mut().len(), 2);
        assert!(buffer.is_silent() && buffer.clear() == 0, "nothing was yielded");
        buffer.set_len(8).unwrap();
        buffer[1].fill(1.0);
        buffer.set_len(64).unwrap();
        buffer.planes_mut().next().unwrap().fill(1.0);
        assert!(buffer.clear() >= (64 + 8) * 4);
        assert!(all(&buffer).iter().all(|&sample| sample == 0.0));
        buffer.set_len(0).unwrap();
        assert_eq!(buffer.planes_mut().count(), 2);
        assert!(buffer.is_silent(), "planes of no frames");
    }

    /// Would catch planes that are missing, out of order, or not marked, with few channels and with many.
    #[test]
    fn planes_are_lent_as_slices() {
        for channels in [1, 2, 64, 65] {
            let mut buffer = SampleBuffer::new(channels, 20, 48_000).unwrap();
            buffer.set_len(7).unwrap();
            buffer.with_planes_mut(|planes: &mut [&mut [f32]]| {
                planes.iter_mut().enumerate().for_each(|(channel, plane)| plane.fill(channel as f32));
            });
            assert!((0..buffer.channels()).all(|channel| !buffer.is_channel_silent(channel)));
            buffer.with_planes(|planes| {
                assert_eq!(planes.len(), usize::from(channels));
                for (channel, plane) in planes.iter().enumerate() {
                    assert_eq!(**plane, [channel as f32; 7]);
                }
            });
        }
    }

    /// Would catch an out-of-range channel that reads a neighbour's samples.
    #[test]
    fn a_channel_that_is_not_there_is_none() {
        let mut buffer = SampleBuffer::new(2, 16, 48_000).unwrap();
        assert!(
            buffer.plane(2).is_none() && buffer.plane_mut(2).is_none() && buffer.plane(usize::MAX).is_none()
        );
        assert!(buffer.is_silent() && buffer.is_channel_silent(2));
        assert_eq!(buffer.planes().len(), 2);
        assert_eq!(buffer.planes_mut().len(), 2);
    }

    /// Would catch a header that grows unnoticed; the README tells its size.
    #[cfg(target_pointer_width = "64")]
    #[test]
    fn the_header_is_as_small_as_it_is_said_to_be() {
        assert_eq!(size_of::<SampleBuffer>(), 72);
    }

    /// Would catch Debug output that dumps samples or says nothing.
    #[test]
    fn debug_says_shape_bytes_and_silence() {
        let mut buffer = SampleBuffer::new(2, 128, 48_000).unwrap();
        buffer[0][0] = 1.0;
        let text = format!("{buffer:?}");
        assert!(text.starts_with("SampleBuffer(2 x 128 @ 48000 Hz, length 128, 1."), "{text}");
        assert!(text.ends_with("1 of 2 channels silent)"), "{text}");
    }

    proptest! {
        /// Would catch planes that overlap, lose their alignment, or bytes that do not say what is held.
        #[test]
        fn planes_are_aligned_apart_and_counted(channels in 1u16..80, frames in 1u32..3000) {
            let mut buffer = SampleBuffer::new(channels, frames, 48_000).unwrap();
            prop_assert_eq!(buffer.stride() % 16, 0);
            prop_assert!(buffer.stride() >= buffer.frames() && buffer.stride() < buffer.frames() + 16);
            let least = usize::from(channels) * buffer.stride() * 4 + size_of::<SampleBuffer>();
            prop_assert!(buffer.bytes() >= least && buffer.bytes() <= least + 60);
            prop_assert_eq!(buffer.bytes(), buffer.key().bytes().unwrap());
            for (channel, plane) in buffer.planes_mut().enumerate() {
                prop_assert_eq!(plane.as_ptr() as usize % 64, 0);
                prop_assert_eq!(plane.len(), frames as usize);
                prop_assert!(plane.iter().all(|&sample| sample == 0.0), "overlaps a plane before it");
                plane.fill(channel as f32 + 1.0);
            }
            for (channel, plane) in buffer.planes().enumerate() {
                prop_assert!(plane.iter().all(|&sample| sample == channel as f32 + 1.0));
            }
        }

        /// Would catch a sample that survives `clear` whatever the order of writes and lengths: the mask and the
        /// high-water mark are compared with the samples themselves.
        #[test]
        fn what_is_called_silent_is_zero(
            channels in 1u16..70,
            writes in proptest::collection::vec((0usize..70, 0usize..=40), 0..12),
            clear_at in 0usize..12,
        ) {
            let mut buffer = SampleBuffer::new(channels, 40, 48_000).unwrap();
            for (step, (channel, len)) in writes.into_iter().enumerate() {
                buffer.set_len(len).unwrap();
                if let Some(plane) = buffer.plane_mut(channel) {
                    plane.fill(0.5);
                }
                if step == clear_at {
                    buffer.clear();
                    prop_assert!(all(&buffer).iter().all(|&sample| sample == 0.0));
                }
                for channel in 0..buffer.channels() {
                    let zero = buffer.floats[buffer.span(channel, buffer.stride())].iter().all(|&s| s == 0.0);
                    prop_assert!(zero || !buffer.is_channel_silent(channel));
                }
            }
        }
    }
}
