//! The mix as a WAV file, and what it sounds like in numbers.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use pool_audio::SampleBuffer;

use crate::mixer::SAMPLE_RATE;

/// Loudness of what was written.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Loudness {
    /// Samples written, both channels.
    pub(crate) samples: u64,
    /// The loudest sample; 1 would be full scale.
    pub(crate) peak: f32,
    sum_of_squares: f64,
}

impl Loudness {
    /// Root mean square over everything; 0 if there is nothing.
    pub(crate) fn rms(&self) -> f64 {
        if self.samples == 0 { 0.0 } else { (self.sum_of_squares / self.samples as f64).sqrt() }
    }

    fn add(&mut self, sample: f32) {
        self.samples += 1;
        self.peak = self.peak.max(sample.abs());
        self.sum_of_squares += f64::from(sample) * f64::from(sample);
    }
}

/// Writes planes as 16-bit stereo at 48 kHz.
pub(crate) struct WavFile {
    writer: hound::WavWriter<BufWriter<File>>,
    loudness: Loudness,
    frame: u64,
    frames: u64,
}

/// The mix fades out over this, so that it does not end with a click.
const FADE_FRAMES: u64 = 9600;

impl WavFile {
    /// A new file that is to hold `frames` frames, the last of them faded out.
    pub(crate) fn create(path: &Path, frames: u64) -> Result<Self, hound::Error> {
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: SAMPLE_RATE.get(),
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let writer = hound::WavWriter::create(path, spec)?;
        Ok(Self { writer, loudness: Loudness::default(), frame: 0, frames })
    }

    /// Appends a quantum of two planes.
    pub(crate) fn write(&mut self, quantum: &SampleBuffer) -> Result<(), hound::Error> {
        for frame in 0..quantum.len() {
            let left = self.frames.saturating_sub(self.frame);
            let fade = (left as f32 / FADE_FRAMES.min(self.frames).max(1) as f32).min(1.0);
            for plane in quantum.planes() {
                let sample = plane[frame] * fade;
                self.loudness.add(sample);
                self.writer.write_sample((sample * f32::from(i16::MAX)).round() as i16)?;
            }
            self.frame += 1;
        }
        Ok(())
    }

    /// Brings the file to a state in which it can be read, whatever happens next.
    #[cfg(feature = "jack")]
    pub(crate) fn flush(&mut self) -> Result<(), hound::Error> {
        self.writer.flush()
    }

    /// Completes the file and tells how loud it is.
    pub(crate) fn finish(self) -> Result<Loudness, hound::Error> {
        self.writer.finalize()?;
        Ok(self.loudness)
    }
}
