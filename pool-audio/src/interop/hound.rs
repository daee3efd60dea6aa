//! `hound` 3: WAV files.

use std::io::{Read, Seek, Write};

use hound::{Error, SampleFormat, WavReader, WavWriter};

use crate::sample::SampleBuffer;

/// The largest sample of a whole number of so many bits.
fn full_scale(bits: u16) -> f64 {
    // hound knows 8 to 32 bits.
    f64::from(1_u32 << (bits.clamp(1, 32) - 1))
}

impl SampleBuffer {
    /// Appends the frames in use, in the file's own format: floats as they are, whole numbers of so many bits rounded to the
    /// nearest, of two as near to the even one, and held at full scale, as by
    /// [`copy_to_interleaved`](Self::copy_to_interleaved). Not for an audio thread: it writes a file.
    ///
    /// # Errors
    ///
    /// hound's, when the file cannot be written. A file of another number of channels is
    /// [`Error::Unsupported`]; nothing is written then.
    pub fn write_wav<W: Write + Seek>(&self, file: &mut WavWriter<W>) -> Result<(), Error> {
        let spec = file.spec();
        if usize::from(spec.channels) != self.channels() {
            return Err(Error::Unsupported);
        }
        let full = full_scale(spec.bits_per_sample);
        for frame in 0..self.len() {
            for plane in self.planes() {
                match spec.sample_format {
                    SampleFormat::Float => file.write_sample(plane[frame])?,
                    // `as` holds what is out of range at its end, and full scale is one step above the largest.
                    SampleFormat::Int => {
                        let scaled = (f64::from(plane[frame]) * full).round_ties_even();
                        file.write_sample(scaled.clamp(-full, full - 1.0) as i32)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads frames from a file, as many as the buffer has room for and the file has left, and makes that its length; gives
    /// how many. Not for an audio thread: it reads a file.
    ///
    /// # Errors
    ///
    /// hound's, when the file cannot be read, as one that was cut short: the length is then that of the frames read before,
    /// and they are there. A file of another number of channels is [`Error::Unsupported`]; then nothing is read.
    pub fn read_wav<R: Read>(&mut self, file: &mut WavReader<R>) -> Result<usize, Error> {
        let spec = file.spec();
        if usize::from(spec.channels) != self.channels() {
            return Err(Error::Unsupported);
        }
        // From here on every sample is written, or the length is cut to what was.
        let capacity = self.frames();
        self.set_len(capacity).map_err(|_| Error::TooWide)?;
        let (read, end) = match spec.sample_format {
            SampleFormat::Float => self.fill_frames(file.samples::<f32>()),
            SampleFormat::Int => {
                let full = full_scale(spec.bits_per_sample);
                let scaled = |sample: i32| (f64::from(sample) / full) as f32;
                self.fill_frames(file.samples::<i32>().map(|sample| sample.map(scaled)))
            }
        };
        self.set_len(read).map_err(|_| Error::TooWide)?;
        end.map(|()| read)
    }

    /// How many whole frames came, and whether that is because of an error.
    fn fill_frames(
        &mut self,
        mut samples: impl Iterator<Item = Result<f32, Error>>,
    ) -> (usize, Result<(), Error>) {
        for frame in 0..self.len() {
            for channel in 0..self.channels() {
                match samples.next() {
                    Some(Ok(sample)) => self[channel][frame] = sample,
                    Some(Err(error)) => return (frame, Err(error)),
                    None if channel == 0 => return (frame, Ok(())),
                    None => {
                        return (frame, Err(Error::FormatError("the file ends in the middle of a frame")));
                    }
                }
            }
        }
        (self.len(), Ok(()))
    }
}
