//! Is a WAV file real sound?

use std::path::Path;

use anyhow::{Context, Result};
use hound::{SampleFormat, WavReader};

/// Quieter than this on average (-40 dB of full scale) is silence for a drum kit.
const MIN_RMS: f64 = 0.01;
/// Shorter than this is no mix.
const MIN_SECONDS: f64 = 0.5;

/// What is wrong with the WAV at `path`; empty if nothing is.
pub(crate) fn problems(path: &Path) -> Vec<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match listen(path) {
        Err(error) => vec![format!("{name}: {error:#}")],
        Ok(heard) => heard.problems().into_iter().map(|problem| format!("{name}: {problem}")).collect(),
    }
}

/// What listening gives.
struct Heard {
    seconds: f64,
    /// Root of the mean square, of full scale.
    rms: f64,
    /// Samples at or over full scale, or that are no number.
    clipped: u64,
}

impl Heard {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.seconds < MIN_SECONDS {
            problems.push(format!("it lasts {:.3} s, at least {MIN_SECONDS} s is a mix", self.seconds));
        } else if self.rms < MIN_RMS {
            problems.push(format!("it is silence: RMS {:.5} of full scale, under {MIN_RMS}", self.rms));
        }
        if self.clipped > 0 {
            problems.push(format!("{} samples are clipped", self.clipped));
        }
        problems
    }
}

fn listen(path: &Path) -> Result<Heard> {
    let mut reader = WavReader::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let spec = reader.spec();
    let (mut squares, mut count, mut clipped) = (0.0_f64, 0_u64, 0_u64);
    let mut take = |value: f64, is_clipped: bool| {
        squares += value * value;
        count += 1;
        clipped += u64::from(is_clipped);
    };
    match spec.sample_format {
        SampleFormat::Float => {
            for sample in reader.samples::<f32>() {
                let sample = f64::from(sample?);
                take(sample, sample.is_nan() || sample.abs() >= 1.0);
            }
        }
        SampleFormat::Int => {
            let top = (1_i64 << (spec.bits_per_sample - 1)) - 1;
            for sample in reader.samples::<i32>() {
                let sample = i64::from(sample?);
                take(sample as f64 / top as f64, sample >= top || sample <= -top);
            }
        }
    }
    let per_second = f64::from(spec.sample_rate) * f64::from(spec.channels);
    let rms = if count == 0 { 0.0 } else { (squares / count as f64).sqrt() };
    Ok(Heard { seconds: count as f64 / per_second, rms, clipped })
}

#[cfg(test)]
mod tests {
    use hound::{WavSpec, WavWriter};

    use super::*;

    fn problems_of(name: &str, format: SampleFormat, frames: u32, value: impl Fn(u32) -> f32) -> Vec<String> {
        let path = std::env::temp_dir().join(format!("xtask-{name}-{}.wav", std::process::id()));
        let bits_per_sample = if format == SampleFormat::Float { 32 } else { 16 };
        let spec = WavSpec { channels: 1, sample_rate: 48_000, bits_per_sample, sample_format: format };
        let mut writer = WavWriter::create(&path, spec).unwrap();
        for frame in 0..frames {
            let value = value(frame);
            match format {
                SampleFormat::Float => writer.write_sample(value).unwrap(),
                SampleFormat::Int => writer.write_sample((value * 32_767.0) as i16).unwrap(),
            }
        }
        writer.finalize().unwrap();
        let problems = problems(&path);
        std::fs::remove_file(path).unwrap();
        problems
    }

    fn sine(frame: u32) -> f32 {
        (frame as f32 * 0.05).sin() * 0.5
    }

    #[test]
    fn sound_passes() {
        for format in [SampleFormat::Float, SampleFormat::Int] {
            assert_eq!(problems_of("sound", format, 48_000, sine), Vec::<String>::new());
        }
    }

    /// Catches: silence, one click in silence, clipping, NaN and an empty file taken for a mix.
    #[test]
    fn what_is_no_mix_is_refused() {
        for format in [SampleFormat::Float, SampleFormat::Int] {
            let told =
                |frames, value: &dyn Fn(u32) -> f32| problems_of("no-mix", format, frames, value).len();
            assert_eq!(told(48_000, &|_| 0.0), 1);
            assert_eq!(told(48_000, &|frame| if frame == 9 { 0.9 } else { 0.0 }), 1);
            assert_eq!(told(48_000, &|frame| if frame == 9 { 1.0 } else { sine(frame) }), 1);
            assert_eq!(told(48_000, &|frame| if frame == 9 { -1.0 } else { sine(frame) }), 1);
            assert_eq!(told(0, &sine), 1);
        }
        let nan =
            problems_of(
                "nan",
                SampleFormat::Float,
                48_000,
                |frame| if frame == 9 { f32::NAN } else { sine(frame) },
            );
        assert_eq!(nan.len(), 1);
        assert_eq!(problems(Path::new("no-such.wav")).len(), 1);
    }
}
