//! The mix as a WAV file, and what it sounds like in numbers.

use std::fs::File;
use std::io::BufWriter;
#[cfg(feature = "jack")]
use std::io::Seek;
use std::path::Path;

use pool_audio::SampleBuffer;

use crate::kit::SAMPLE_RATE;

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

    /// How loud what was written is.
    pub(crate) fn loudness(&self) -> Loudness {
        self.loudness
    }

    /// Completes the file.
    pub(crate) fn finish(self) -> Result<(), hound::Error> {
        self.writer.finalize()
    }
}

/// Of a file that could not be written to its end: cuts off what comes after its last flush, which makes room for a report
/// perhaps, and removes it if there was none. Gives the frames that it holds.
#[cfg(feature = "jack")]
pub(crate) fn keep_readable(path: &Path) -> u64 {
    let kept = || {
        let reader = hound::WavReader::open(path).ok()?;
        let (frames, channels) = (u64::from(reader.duration()), u64::from(reader.spec().channels));
        // Where the samples begin.
        let start = reader.into_inner().stream_position().ok()?;
        let file = File::options().write(true).open(path).ok()?;
        file.set_len(start + frames * channels * size_of::<i16>() as u64).ok()?;
        Some(frames)
    };
    let frames = kept().unwrap_or(0);
    if frames == 0 {
        // Whether it could be removed or not, it holds nothing.
        let _ = std::fs::remove_file(path);
    }
    frames
}

#[cfg(all(test, feature = "jack"))]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    /// Would catch a file of a full disk that promises more than it holds, or ends in half a frame, and one that holds
    /// nothing and stays.
    #[test]
    fn what_was_flushed_can_be_read_and_the_rest_is_cut() {
        let path = std::env::temp_dir().join(format!("pool-audio-cut-{}.wav", std::process::id()));
        let mut wav = WavFile::create(&path, 1000).unwrap();
        wav.write(&SampleBuffer::new(2, 100, 48_000).unwrap()).unwrap();
        wav.flush().unwrap();
        // As many of the next samples as the disk had room for.
        File::options().append(true).open(&path).unwrap().write_all(&[1; 33]).unwrap();
        std::mem::forget(wav);
        assert_eq!(keep_readable(&path), 100);
        assert_eq!(fs::metadata(&path).unwrap().len(), 44 + 400);
        assert_eq!(
            hound::WavReader::open(&path).unwrap().samples::<i16>().filter(Result::is_ok).count(),
            200
        );
        fs::write(&path, "RIFF").unwrap();
        assert_eq!(keep_readable(&path), 0);
        assert!(!path.exists());
    }
}
