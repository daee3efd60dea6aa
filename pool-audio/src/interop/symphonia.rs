//! `symphonia` 0.6: what a decoder gave, into pooled planes.
#![deny(clippy::disallowed_types)]

use symphonia_core::audio::GenericAudioBufferRef;

use crate::error::BufferError;
use crate::sample::SampleBuffer;

impl SampleBuffer {
    /// Takes over what a decoder gave, from whatever format it has, and makes it the buffer's length. The sample rate is not
    /// looked at: a decoder's `spec().rate()` and the buffer's key are the caller's to compare.
    ///
    /// O(frames); allocates nothing up to 64 channels.
    ///
    /// # Errors
    ///
    /// Other channels than the buffer has, or more frames than it has room for; nothing is written then.
    pub fn copy_from_audio(&mut self, audio: &GenericAudioBufferRef<'_>) -> Result<(), BufferError> {
        self.check_channels(audio.num_planes())?;
        self.set_len(audio.frames())?;
        self.with_planes_mut(|planes| audio.copy_to_slice_planar(planes));
        Ok(())
    }
}
