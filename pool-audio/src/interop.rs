//! Buffers of this crate in the words of others; each behind a feature of its own, named after the crate and its version.
//!
//! | feature | what a [`SampleBuffer`](crate::SampleBuffer) then is or does |
//! |---|---|
//! | `audio-core-0-2` | `Buf`, `BufMut`, `ExactSizeBuf` |
//! | `audioadapter-5` | `Adapter`, `AdapterMut`: rubato 5 resamples from one pooled buffer into another |
//! | `dasp-frame-0-11` | `frames_of`, `write_frames`: dasp's frames, out of the planes and into them; implies `std` |
//! | `symphonia-0-6` | `copy_from_audio`: what a decoder gave, into the planes; implies `std` |
//! | `hound-3` | `write_wav`, `read_wav`; implies `std` |
//!
//! Slices need no feature: `with_planes` and `with_planes_mut`. What these other crates do with the buffer is theirs to
//! promise; what is here allocates nothing, but for the two that read and write files.

#[cfg(feature = "audio-core-0-2")]
mod audio_core;
#[cfg(feature = "audioadapter-5")]
mod audioadapter;
#[cfg(feature = "dasp-frame-0-11")]
mod dasp;
#[cfg(feature = "hound-3")]
mod hound;
#[cfg(feature = "symphonia-0-6")]
mod symphonia;
