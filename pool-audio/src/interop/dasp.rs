//! `dasp_frame` 0.11: one sample of each channel at a time.
#![deny(clippy::disallowed_types)]

use dasp_frame::Frame;

use crate::error::BufferError;
use crate::sample::SampleBuffer;

impl SampleBuffer {
    /// The frames in use, one after the other. The buffer is planar, so each is gathered from its planes.
    ///
    /// # Errors
    ///
    /// [`BufferError::ChannelCount`] unless a frame has as many channels as the buffer.
    ///
    /// ```
    /// # use pool_audio::SampleBuffer;
    /// let mut stereo = SampleBuffer::new(2, 128, 48_000)?;
    /// stereo[1][5] = 0.5;
    /// let louder = stereo.frames_of::<[f32; 2]>()?.map(|frame| dasp_frame::Frame::scale_amp(frame, 2.0)).nth(5);
    /// assert_eq!(louder, Some([0.0, 1.0]));
    /// # Ok::<(), pool_audio::BufferError>(())
    /// ```
    pub fn frames_of<F: Frame<Sample = f32>>(&self) -> Result<impl ExactSizeIterator<Item = F>, BufferError> {
        self.check_channels(F::CHANNELS)?;
        Ok((0..self.len()).map(|frame| F::from_fn(|channel| self[channel][frame])))
    }

    /// Writes frames from the first on, at most as many as are [in use](Self::len); gives how many.
    ///
    /// # Errors
    ///
    /// [`BufferError::ChannelCount`] unless a frame has as many channels as the buffer; nothing is written then.
    pub fn write_frames<F: Frame<Sample = f32>>(
        &mut self,
        frames: impl IntoIterator<Item = F>,
    ) -> Result<usize, BufferError> {
        self.check_channels(F::CHANNELS)?;
        let mut count = 0;
        for (at, frame) in (0..self.len()).zip(frames) {
            for (plane, sample) in self.planes_mut().zip(frame.channels()) {
                plane[at] = sample;
            }
            count += 1;
        }
        Ok(count)
    }
}
