//! What can be wrong with the shape of a buffer, with the numbers.

use core::fmt;

/// A buffer that cannot be made, or an access that does not fit the buffer it was asked of.
///
/// Nothing has changed when one of these comes back: no memory is held and no counter moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BufferError {
    /// A buffer needs at least one channel.
    ZeroChannels {
        /// Frames asked for.
        frames: u32,
        /// Sample rate asked for, in hertz.
        sample_rate: u32,
    },
    /// A buffer needs room for at least one frame.
    ZeroFrames {
        /// Channels asked for.
        channels: u16,
        /// Sample rate asked for, in hertz.
        sample_rate: u32,
    },
    /// A sample rate of 0 Hz has no meaning.
    ZeroSampleRate {
        /// Channels asked for.
        channels: u16,
        /// Frames asked for.
        frames: u32,
    },
    /// The size in bytes is more than this machine can address in one allocation (`isize::MAX`).
    TooLarge {
        /// Channels asked for.
        channels: u16,
        /// Frames asked for.
        frames: u32,
        /// The bytes it would take, planes and padding.
        bytes: u64,
    },
    /// The allocator has no memory of that size.
    OutOfMemory {
        /// Bytes asked of the allocator.
        bytes: usize,
    },
    /// More frames than the buffer has room for; a buffer never grows.
    OverCapacity {
        /// Frames asked for.
        requested: usize,
        /// Frames there is room for.
        capacity: usize,
    },
    /// A channel number at or beyond the channel count.
    NoSuchChannel {
        /// Channel asked for, counted from 0.
        channel: usize,
        /// Channels the buffer has.
        channels: u16,
    },
    /// The same channel asked for twice, mutably.
    SameChannelTwice {
        /// The channel, counted from 0.
        channel: usize,
    },
    /// Samples of another number of channels than the buffer has.
    ChannelCount {
        /// Channels given.
        given: usize,
        /// Channels the buffer has.
        expected: u16,
    },
    /// An interleaved slice whose length is not channels x frames.
    InterleavedLength {
        /// Samples given.
        given: usize,
        /// Samples that fit the buffer: channels x current length.
        expected: usize,
    },
}

impl fmt::Display for BufferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ZeroChannels { frames, sample_rate } => {
                write!(f, "a buffer of 0 channels was asked for ({frames} frames at {sample_rate} Hz)")
            }
            Self::ZeroFrames { channels, sample_rate } => {
                write!(f, "a buffer of 0 frames was asked for ({channels} channels at {sample_rate} Hz)")
            }
            Self::ZeroSampleRate { channels, frames } => {
                write!(f, "a sample rate of 0 Hz was asked for ({channels} x {frames} frames)")
            }
            Self::TooLarge { channels, frames, bytes } => write!(
                f,
                "{channels} x {frames} frames take {bytes} bytes, more than one allocation can hold here ({})",
                isize::MAX
            ),
            Self::OutOfMemory { bytes } => write!(f, "the allocator has no {bytes} bytes in one piece"),
            Self::OverCapacity { requested, capacity } => {
                write!(f, "{requested} frames do not fit a buffer with room for {capacity}")
            }
            Self::NoSuchChannel { channel, channels } => {
                write!(f, "there is no channel {channel} (counted from 0) in a buffer of {channels}")
            }
            Self::SameChannelTwice { channel } => {
                write!(f, "channel {channel} was asked for twice at once, mutably")
            }
            Self::ChannelCount { given, expected } => {
                write!(f, "samples of {given} channels were given to a buffer of {expected}")
            }
            Self::InterleavedLength { given, expected } => {
                write!(f, "{given} interleaved samples were given where {expected} fit")
            }
        }
    }
}

impl core::error::Error for BufferError {}
