//! Keys: what of a buffer or a node cannot be changed once it is made.

use crate::error::{BufferFault, WebError};
use alloc::rc::Rc;
use alloc::vec::Vec;

/// The most channels that every browser supports.
pub const MAX_CHANNELS: u32 = 32;

/// The longest delay line that Web Audio allows is just below this, in seconds.
pub const DELAY_LIMIT: f64 = 180.0;

/// Size of one sample: Web Audio buffers hold `f32`.
const SAMPLE_BYTES: usize = size_of::<f32>();

/// The shape of an `AudioBuffer`: buffers of equal shape are interchangeable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BufferKey {
    channels: u32,
    frames: u32,
    /// The bits of the rate, so that keys can be compared and hashed. Positive and finite, so equal rates have
    /// equal bits.
    sample_rate: u32,
}

impl BufferKey {
    /// A buffer of `channels` times `frames` samples at `sample_rate` hertz. O(1), no call into JavaScript.
    ///
    /// # Errors
    ///
    /// [`WebError::BadBuffer`] for no channels, more than [`MAX_CHANNELS`], no frames, a rate that is not a
    /// positive number, or more bytes than can be addressed. What rates a browser supports only it knows; that
    /// error comes when the buffer is made.
    pub fn new(channels: u32, frames: u32, sample_rate: f32) -> Result<Self, WebError> {
        let fault = if channels == 0 {
            BufferFault::ZeroChannels
        } else if channels > MAX_CHANNELS {
            BufferFault::TooManyChannels
        } else if frames == 0 {
            BufferFault::ZeroFrames
        } else if !(sample_rate.is_finite() && sample_rate > 0.0) {
            BufferFault::SampleRate
        } else if buffer_bytes(channels, frames).is_none() {
            BufferFault::Overflow
        } else {
            return Ok(Self { channels, frames, sample_rate: sample_rate.to_bits() });
        };
        Err(WebError::BadBuffer { channels, frames, sample_rate, fault })
    }

    /// Number of channels.
    #[must_use]
    pub const fn channels(self) -> u32 {
        self.channels
    }

    /// Samples per channel.
    #[must_use]
    pub const fn frames(self) -> u32 {
        self.frames
    }

    /// Sample rate in hertz.
    #[must_use]
    pub const fn sample_rate(self) -> f32 {
        f32::from_bits(self.sample_rate)
    }

    /// Two bytes in which shapes differ, for the pools' index: a page's hasher takes its time over each byte, and the key has twelve.
    #[cfg(feature = "web-sys")]
    pub(crate) fn digest(self) -> u16 {
        // Odd multipliers (the first two primes of xxHash) carry whatever bits differ, the low ones of a power of two or those of
        // a rate, into the upper half of the products.
        let size = (self.frames ^ self.channels.rotate_right(5)).wrapping_mul(0x9e37_79b1);
        ((size ^ self.sample_rate.wrapping_mul(0x85eb_ca77)) >> 16) as u16
    }

    /// Bytes of the samples. What a browser keeps beside them is small, and not known.
    #[must_use]
    pub fn bytes(self) -> usize {
        // Checked in `new`.
        buffer_bytes(self.channels, self.frames).unwrap_or(usize::MAX)
    }
}

/// Bytes of a buffer's samples; `None` if they cannot be addressed.
#[must_use]
pub fn buffer_bytes(channels: u32, frames: u32) -> Option<usize> {
    (channels as usize).checked_mul(frames as usize)?.checked_mul(SAMPLE_BYTES)
}

/// The longest delay of a `DelayNode`, fixed when it is made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DelayKey(u64);

impl DelayKey {
    /// A delay line of at most `max_delay` seconds.
    ///
    /// # Errors
    ///
    /// [`WebError::BadDelay`] unless it is above 0 and below [`DELAY_LIMIT`].
    pub fn new(max_delay: f64) -> Result<Self, WebError> {
        if max_delay > 0.0 && max_delay < DELAY_LIMIT {
            Ok(Self(max_delay.to_bits()))
        } else {
            Err(WebError::BadDelay { max_delay })
        }
    }

    /// The longest delay, in seconds.
    #[must_use]
    pub const fn max_delay(self) -> f64 {
        f64::from_bits(self.0)
    }

    /// Bytes of the line of a stereo signal, which is what is charged: browsers make one line per channel. A
    /// signal of more channels needs more, and no browser tells.
    #[must_use]
    pub fn bytes(self, sample_rate: f32) -> usize {
        let frames = self.max_delay() * f64::from(sample_rate);
        // At most 180 s at a rate below 1 MHz: far inside usize on 32 bits; `as` saturates above. The part of a
        // frame counts as a whole one.
        (frames as usize).saturating_add(1).saturating_mul(2 * SAMPLE_BYTES)
    }
}

/// 5 seconds, as in the design note.
impl Default for DelayKey {
    fn default() -> Self {
        Self(5.0_f64.to_bits())
    }
}

/// The coefficients of an `IIRFilterNode`, fixed when it is made.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct IirKey {
    /// Bits of the coefficients, so that keys can be compared and hashed.
    feedforward: Rc<[u64]>,
    feedback: Rc<[u64]>,
}

/// The most coefficients of either kind that browsers take.
const MAX_COEFFICIENTS: usize = 20;
/// What is left of a filter's memory when it counts as silent, of 1: nothing that an `f32` would notice beside a sound.
const SILENT: f64 = 1e-12;
/// Frames after which a filter that still rings is not worth waiting for.
const LONGEST_RING: u32 = 500_000;

impl IirKey {
    /// A filter with these coefficients.
    ///
    /// # Errors
    ///
    /// [`WebError::BadFilter`] unless there are 1 to 20 of each, all finite, not all feedforward ones 0, and the first
    /// feedback one not 0.
    pub fn new(feedforward: &[f64], feedback: &[f64]) -> Result<Self, WebError> {
        let fits = |list: &[f64]| {
            (1..=MAX_COEFFICIENTS).contains(&list.len()) && list.iter().all(|value| value.is_finite())
        };
        if fits(feedforward) && fits(feedback) && feedback[0] != 0.0 && feedforward.iter().any(|b| *b != 0.0)
        {
            let bits = |list: &[f64]| list.iter().map(|value| value.to_bits()).collect();
            Ok(Self { feedforward: bits(feedforward), feedback: bits(feedback) })
        } else {
            Err(WebError::BadFilter { feedforward: feedforward.len(), feedback: feedback.len() })
        }
    }

    /// The feedforward coefficients.
    #[must_use]
    pub fn feedforward(&self) -> Vec<f64> {
        self.feedforward.iter().map(|bits| f64::from_bits(*bits)).collect()
    }

    /// The feedback coefficients.
    #[must_use]
    pub fn feedback(&self) -> Vec<f64> {
        self.feedback.iter().map(|bits| f64::from_bits(*bits)).collect()
    }

    /// Frames of zeros after which a memory full of ones has died away; `None` for a filter that rings for more than
    /// 500 000 frames, or for ever. O(frames x coefficients): 20 ms for the longest of 20 coefficients, fractions of one for
    /// most. A pool asks when it makes a node, and remembers the latest answer.
    #[must_use]
    pub fn ring_frames(&self) -> Option<u32> {
        let feedback = self.feedback();
        let first = feedback[0];
        let rest: Vec<f64> = feedback[1..].iter().map(|a| a / first).collect();
        // The latest outputs, newest first.
        let mut memory = [1.0_f64; MAX_COEFFICIENTS];
        let mut quiet = 0;
        for frame in 0..LONGEST_RING {
            let next: f64 = -rest.iter().zip(&memory).map(|(a, y)| a * y).sum::<f64>();
            if !next.is_finite() {
                return None;
            }
            memory.rotate_right(1);
            memory[0] = next;
            // All of the memory must be quiet, not a single zero on the way; the inputs it remembers are zeros by then.
            quiet = if next.abs() < SILENT { quiet + 1 } else { 0 };
            if quiet >= MAX_COEFFICIENTS {
                return Some(frame + 1);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(channels: u32, frames: u32, rate: f32) -> Option<BufferFault> {
        match BufferKey::new(channels, frames, rate) {
            Err(WebError::BadBuffer { channels: c, frames: f, fault, .. }) => {
                assert_eq!((c, f), (channels, frames), "the numbers that were asked for");
                Some(fault)
            }
            _ => None,
        }
    }

    // Each would otherwise reach the browser as an exception, or wrap the byte count.
    #[test]
    fn shapes_that_cannot_be_are_refused() {
        assert_eq!(fault(0, 128, 48000.0), Some(BufferFault::ZeroChannels));
        assert_eq!(fault(33, 128, 48000.0), Some(BufferFault::TooManyChannels));
        assert_eq!(fault(2, 0, 48000.0), Some(BufferFault::ZeroFrames));
        for rate in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert_eq!(fault(2, 128, rate), Some(BufferFault::SampleRate));
        }
        assert_eq!(fault(32, 128, 48000.0), None);
    }

    // 32 x 2^32 samples are 2^39 bytes: more than a 32-bit address space, less than a 64-bit one.
    #[test]
    fn bytes_do_not_wrap() {
        let overflows = fault(32, u32::MAX, 48000.0) == Some(BufferFault::Overflow);
        assert_eq!(overflows, usize::BITS == 32);
        assert_eq!(buffer_bytes(2, 48000), Some(384_000));
    }

    // Rates that differ must not share buffers; equal ones must.
    #[test]
    fn keys_tell_rates_apart() {
        let key = |rate| BufferKey::new(1, 1, rate).ok();
        assert_ne!(key(44100.0), key(48000.0));
        assert_eq!(key(44100.0), key(44100.0));
        assert_eq!(key(44100.5).map(BufferKey::sample_rate), Some(44100.5));
    }

    // A digest that loses what tells common shapes apart would have one chain of all of them walked at each acquire.
    #[cfg(feature = "web-sys")]
    #[test]
    fn digests_differ_as_shapes_do() {
        let mut digests = Vec::new();
        for rate in [8000.0, 16_000.0, 22_050.0, 44_100.0, 48_000.0, 88_200.0, 96_000.0, 192_000.0] {
            for channels in [1, 2, 4, 6, 8, 32] {
                let frames = (0..16).map(|power| 128 << power).chain([1, 480, 4800, 48_000, 441, 44_100]);
                digests.extend(frames.map(|frames| BufferKey::new(channels, frames, rate).unwrap().digest()));
            }
        }
        let shapes = digests.len();
        digests.sort_unstable();
        digests.dedup();
        // Drawn by lot, 1056 of 65 536 leave 8 or 9 that are there already.
        assert!(digests.len() + 20 > shapes, "{} digests of {shapes} shapes", digests.len());
    }

    // A line of 0 s or 180 s is an exception in the browser, NaN too.
    #[test]
    fn delays_have_bounds() {
        for bad in [0.0, -1.0, 180.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(DelayKey::new(bad), Err(WebError::BadDelay { .. })), "{bad}");
        }
        assert_eq!(DelayKey::default().max_delay(), 5.0);
        assert_eq!(DelayKey::default().bytes(48000.0), (240_000 + 1) * 8);
    }

    // Each would reach the browser as an exception.
    #[test]
    fn filters_that_cannot_be_are_refused() {
        let refused = |b: &[f64], a: &[f64]| match IirKey::new(b, a) {
            Err(WebError::BadFilter { feedforward, feedback }) => {
                (feedforward, feedback) == (b.len(), a.len())
            }
            _ => false,
        };
        assert!(refused(&[], &[1.0]) && refused(&[1.0], &[]) && refused(&[1.0], &[0.0, 1.0]));
        assert!(refused(&[0.0, 0.0], &[1.0]) && refused(&[f64::NAN], &[1.0]) && refused(&[1.0; 21], &[1.0]));
        let key = IirKey::new(&[1.0, 0.5], &[2.0, 0.25]).expect("a filter");
        assert_eq!((key.feedforward(), key.feedback()), (alloc::vec![1.0, 0.5], alloc::vec![2.0, 0.25]));
        assert_ne!(Some(key), IirKey::new(&[1.0, 0.5], &[2.0, 0.26]).ok());
    }

    // Too short a wait, and a filter rings into the next voice; without end, and it never comes back.
    #[test]
    fn filters_are_waited_for_as_long_as_they_ring() {
        let ring = |a: &[f64]| IirKey::new(&[1.0], a).expect("a filter").ring_frames();
        // 0.5^40 < 1e-12, and twenty more to be sure.
        assert_eq!(ring(&[1.0, -0.5]), Some(59));
        assert_eq!(ring(&[2.0, -1.0]), Some(59), "the first coefficient divides the others");
        assert!(ring(&[1.0, -0.999]).is_some_and(|frames| (27_600..27_700).contains(&frames)));
        assert!(ring(&[1.0]).is_some_and(|frames| frames <= 20), "no feedback at all");
        // A resonance passes through zero, and goes on.
        assert!(ring(&[1.0, 0.0, 0.9801]).is_some_and(|frames| frames > 2000));
        assert_eq!(ring(&[1.0, -1.0]), None, "it holds for ever");
        assert_eq!(ring(&[1.0, -1.1]), None, "it grows");
    }
}
