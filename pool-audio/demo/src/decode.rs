//! From a file to a [`SampleBuffer`], with errors that a person can act on.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use pool_audio::{BufferError, SampleBuffer};
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as CodecError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;

/// A recording as samples, and what was wrong with it, if it could be used all the same.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// The samples at the file's own rate.
    pub(crate) samples: SampleBuffer,
    /// What a listener should know: the file ends early, or some of it was damaged.
    pub(crate) warning: Option<String>,
}

/// Why a file gave no samples. The text does not name the file; whoever asked knows it.
#[derive(Debug)]
pub(crate) enum DecodeError {
    Io(io::Error),
    NotAFile,
    Empty,
    NotAudio(CodecError),
    NoTrack,
    UnknownCodec(CodecError),
    NoSamples {
        broken_off: Option<CodecError>,
        /// Frames that it says it has.
        expected: Option<u64>,
    },
    OverBudget {
        needed: u64,
        limit: usize,
    },
    Buffer(BufferError),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::NotFound => write!(f, "there is no such file"),
            Self::Io(error) => write!(f, "it cannot be read: {error}"),
            Self::NotAFile => write!(f, "this is not a file"),
            Self::Empty => write!(f, "the file is empty"),
            Self::NotAudio(error) => write!(
                f,
                "this is no audio that can be read here (FLAC, WAV, AIFF, Ogg Vorbis and MP3 can be): {error}"
            ),
            Self::NoTrack => write!(f, "there is no audio track in it"),
            Self::UnknownCodec(error) => write!(f, "its audio is of a kind that cannot be decoded: {error}"),
            Self::NoSamples { broken_off: Some(error), .. } => {
                write!(f, "not one sample of it could be decoded: {error}")
            }
            Self::NoSamples { expected: Some(frames @ 1..), .. } => {
                write!(
                    f,
                    "it breaks off: not one of the {frames} frames that it says it has could be decoded"
                )
            }
            Self::NoSamples { .. } => write!(f, "it holds no samples"),
            Self::OverBudget { needed, limit } => {
                write!(f, "its samples take at least {needed} bytes and the budget has {limit} left for them")
            }
            Self::Buffer(error) => write!(f, "its samples do not fit a buffer: {error}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Decodes the first audio track of `path` whole, if it takes no more than `byte_limit` bytes of samples.
///
/// A file that breaks off or is damaged somewhere still gives what could be decoded, with a warning.
pub(crate) fn decode(path: &Path, byte_limit: usize) -> Result<Decoded, DecodeError> {
    let metadata = fs::metadata(path).map_err(DecodeError::Io)?;
    if !metadata.is_file() {
        return Err(DecodeError::NotAFile);
    }
    if metadata.len() == 0 {
        return Err(DecodeError::Empty);
    }
    let file = File::open(path).map_err(DecodeError::Io)?;
    let stream = MediaSourceStream::new(Box::new(file), MediaSourceStreamOptions::default());
    let mut hint = Hint::new();
    if let Some(extension) = path.extension().and_then(|extension| extension.to_str()) {
        hint.with_extension(extension);
    }
    let probed = symphonia::default::get_probe().probe(
        &hint,
        stream,
        FormatOptions::default(),
        MetadataOptions::default(),
    );
    let mut format = match probed {
        Ok(format) => format,
        Err(CodecError::IoError(error)) if error.kind() != io::ErrorKind::UnexpectedEof => {
            return Err(DecodeError::Io(error));
        }
        // Whatever else it stumbles over means: no format that is known here, if it is no WAV of many channels.
        Err(error) => return wide_wav(path, byte_limit).unwrap_or(Err(DecodeError::NotAudio(error))),
    };
    let track = format.default_track(TrackType::Audio).ok_or(DecodeError::NoTrack)?;
    let parameters =
        track.codec_params.as_ref().and_then(|codec| codec.audio()).ok_or(DecodeError::NoTrack)?;
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(DecodeError::UnknownCodec)?;
    let expected = track.num_frames;
    let id = track.id;
    let planes = Planes::decode(format.as_mut(), id, decoder.as_mut(), byte_limit)?;
    planes.into_samples(expected)
}

/// A WAV file of more channels than symphonia takes (26), as multi-track recorders write; `None` for what is no such file.
fn wide_wav(path: &Path, byte_limit: usize) -> Option<Result<Decoded, DecodeError>> {
    let reader = hound::WavReader::open(path).ok().filter(|reader| reader.spec().channels > 26)?;
    let (spec, frames) = (reader.spec(), u64::from(reader.duration()));
    let needed = frames * u64::from(spec.channels) * size_of::<f32>() as u64;
    if needed > byte_limit as u64 {
        return Some(Err(DecodeError::OverBudget { needed, limit: byte_limit }));
    }
    let mut planes = Planes {
        rate: spec.sample_rate,
        channels: vec![Vec::new(); usize::from(spec.channels)],
        damaged: 0,
        broken_off: None,
    };
    match spec.sample_format {
        hound::SampleFormat::Float => planes.take_turns(reader.into_samples::<f32>()),
        hound::SampleFormat::Int => {
            let full = (1_u64 << (spec.bits_per_sample.clamp(1, 32) - 1)) as f32;
            planes.take_turns(
                reader.into_samples::<i32>().map(|sample| sample.map(|sample| sample as f32 / full)),
            );
        }
    }
    Some(planes.into_samples(Some(frames)))
}

/// What has been decoded so far.
struct Planes {
    rate: u32,
    channels: Vec<Vec<f32>>,
    /// Packets that were damaged and left out.
    damaged: usize,
    /// What ended the stream before its end.
    broken_off: Option<CodecError>,
}

impl Planes {
    fn decode(
        format: &mut dyn FormatReader,
        track: u32,
        decoder: &mut dyn AudioDecoder,
        byte_limit: usize,
    ) -> Result<Self, DecodeError> {
        let mut planes = Self { rate: 0, channels: Vec::new(), damaged: 0, broken_off: None };
        let mut packet_planes: Vec<Vec<f32>> = Vec::new();
        loop {
            let packet = match format.next_packet() {
                Ok(Some(packet)) if packet.track_id == track => packet,
                Ok(Some(_)) => continue,
                Ok(None) => break,
                Err(error) => {
                    planes.broken_off = Some(error);
                    break;
                }
            };
            let audio = match decoder.decode(&packet) {
                Ok(audio) => audio,
                Err(CodecError::DecodeError(_)) => {
                    planes.damaged += 1;
                    continue;
                }
                Err(error) => {
                    planes.broken_off = Some(error);
                    break;
                }
            };
            if audio.is_empty() {
                continue;
            }
            let (rate, channels) = (audio.spec().rate(), audio.num_planes());
            if planes.channels.is_empty() {
                planes.rate = rate;
                planes.channels.resize_with(channels, Vec::new);
            } else if (rate, channels) != (planes.rate, planes.channels.len()) {
                planes.broken_off = Some(CodecError::Unsupported("the format changes in the middle"));
                break;
            }
            audio.copy_to_vecs_planar(&mut packet_planes);
            for (plane, packet_plane) in planes.channels.iter_mut().zip(&packet_planes) {
                plane.extend_from_slice(packet_plane);
            }
            let needed = (planes.frames() * planes.channels.len() * size_of::<f32>()) as u64;
            if needed > byte_limit as u64 {
                return Err(DecodeError::OverBudget { needed, limit: byte_limit });
            }
        }
        Ok(planes)
    }

    /// Interleaved samples, up to the last whole frame.
    fn take_turns(&mut self, mut samples: impl Iterator<Item = Result<f32, hound::Error>>) {
        loop {
            for channel in 0..self.channels.len() {
                match samples.next() {
                    Some(Ok(sample)) => self.channels[channel].push(sample),
                    rest => {
                        if let Some(Err(error)) = rest {
                            self.broken_off = Some(CodecError::IoError(io::Error::other(error)));
                        }
                        let whole = self.channels.last().map_or(0, Vec::len);
                        self.channels.iter_mut().for_each(|plane| plane.truncate(whole));
                        return;
                    }
                }
            }
        }
    }

    fn frames(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    fn into_samples(self, expected: Option<u64>) -> Result<Decoded, DecodeError> {
        let frames = self.frames();
        if frames == 0 {
            return Err(DecodeError::NoSamples { broken_off: self.broken_off, expected });
        }
        // A count beyond the type saturates, and the buffer refuses it with the numbers.
        let channel_count = u16::try_from(self.channels.len()).unwrap_or(u16::MAX);
        let frame_count = u32::try_from(frames).unwrap_or(u32::MAX);
        let mut samples =
            SampleBuffer::new(channel_count, frame_count, self.rate).map_err(DecodeError::Buffer)?;
        let mut repaired = 0usize;
        for (target, source) in samples.planes_mut().zip(&self.channels) {
            for (target, &source) in target.iter_mut().zip(source) {
                // Files of floats may hold NaN and infinities; one of them would silence the whole mix.
                *target = if source.is_finite() {
                    source
                } else {
                    repaired += 1;
                    0.0
                };
            }
        }
        let mut warnings = Vec::new();
        if let Some(error) = self.broken_off {
            warnings.push(format!("it breaks off ({error})"));
        }
        if let Some(expected) = expected.filter(|&expected| expected > frames as u64) {
            warnings.push(format!("{frames} of its {expected} frames could be decoded"));
        }
        if self.damaged > 0 {
            warnings.push(format!("{} damaged packets were left out", self.damaged));
        }
        if repaired > 0 {
            warnings.push(format!("{repaired} samples that were no numbers were made silent"));
        }
        let warning = (!warnings.is_empty()).then(|| warnings.join("; "));
        Ok(Decoded { samples, warning })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::bundled;
    use crate::sequence::Dice;
    use std::path::PathBuf;

    const PLENTY: usize = 96_000_000;

    /// A file that is removed when it is dropped.
    struct TestFile(PathBuf);

    impl TestFile {
        fn new(name: &str, contents: &[u8]) -> Self {
            let path = std::env::temp_dir().join(format!("pool-audio-demo-{}-{name}", std::process::id()));
            fs::write(&path, contents).unwrap();
            Self(path)
        }

        fn decode(&self) -> Result<Decoded, DecodeError> {
            decode(&self.0, PLENTY)
        }
    }

    impl Drop for TestFile {
        fn drop(&mut self) {
            fs::remove_file(&self.0).ok();
        }
    }

    /// A WAV file of 32-bit floats, with whatever its header says.
    fn wav(channels: u16, rate: u32, samples: &[f32]) -> Vec<u8> {
        let data = (samples.len() * 4) as u32;
        let mut file = Vec::new();
        file.extend(b"RIFF");
        file.extend((36 + data).to_le_bytes());
        file.extend(b"WAVEfmt \x10\0\0\0\x03\0");
        file.extend(channels.to_le_bytes());
        file.extend(rate.to_le_bytes());
        file.extend((rate.saturating_mul(u32::from(channels) * 4)).to_le_bytes());
        file.extend((channels * 4).to_le_bytes());
        file.extend(32u16.to_le_bytes());
        file.extend(b"data");
        file.extend(data.to_le_bytes());
        samples.iter().for_each(|sample| file.extend(sample.to_le_bytes()));
        file
    }

    /// Would catch channels that are swapped, or samples that are lost or scaled on the way.
    #[test]
    fn samples_arrive_as_they_were_written() {
        let samples: Vec<f32> = (0..2000u16).map(|step| f32::from(step) / 2000.0 - 0.5).collect();
        let decoded = TestFile::new("ramp.wav", &wav(2, 44_100, &samples)).decode().unwrap();
        assert_eq!((decoded.samples.channels(), decoded.samples.frames()), (2, 1000));
        assert_eq!(decoded.samples.sample_rate().get(), 44_100);
        let mut back = vec![0.0; 2000];
        decoded.samples.copy_to_interleaved(&mut back).unwrap();
        assert_eq!(back, samples);
        assert_eq!(decoded.warning, None);
    }

    /// Would catch a kit that cannot be decoded whole: shape and loudness of each recording, without a warning.
    #[test]
    fn the_bundled_kit_decodes_whole() {
        let files = bundled().unwrap();
        assert_eq!(files.len(), 18);
        for path in files {
            let Decoded { samples, warning } = decode(&path, PLENTY).unwrap();
            assert_eq!(warning, None, "{}", path.display());
            assert!([44_100, 96_000, 192_000].contains(&samples.sample_rate().get()));
            let loudest =
                samples.planes().flatten().fold(0.0f32, |loudest, sample| loudest.max(sample.abs()));
            assert!((0.3..=1.0).contains(&loudest), "{}: {loudest}", path.display());
        }
    }

    /// Would catch a reason that does not fit, or a panic, for each thing that is no recording.
    #[test]
    fn what_is_no_audio_is_refused_with_its_reason() {
        let reason = |name: &str, contents: &[u8]| TestFile::new(name, contents).decode().unwrap_err();
        assert!(matches!(decode(Path::new("no such file"), PLENTY), Err(DecodeError::Io(_))));
        assert!(matches!(decode(&std::env::temp_dir(), PLENTY), Err(DecodeError::NotAFile)));
        assert!(matches!(reason("empty.wav", b""), DecodeError::Empty));
        let text = "Sing, O goddess, the anger of Achilles son of Peleus.\n".repeat(200);
        assert!(matches!(reason("song.flac", text.as_bytes()), DecodeError::NotAudio(_)));
        assert!(matches!(reason("zeros.mp3", &[0; 5000]), DecodeError::NotAudio(_)));
        assert!(matches!(reason("silent.wav", &wav(2, 48_000, &[])), DecodeError::NoSamples { .. }));
        // What the demuxer says about these is its own affair; that they give no samples is not.
        for (name, contents) in [
            ("no-channels.wav", wav(0, 48_000, &[0.5; 100])),
            ("no-rate.wav", wav(1, 0, &[0.5; 100])),
            ("less-than-a-frame.wav", wav(4000, 48_000, &[0.5; 100])),
        ] {
            let error = reason(name, &contents);
            assert!(!error.to_string().is_empty(), "{name}");
        }
    }

    /// Would catch a multi-track recording that is refused, mixed up, or lost because it breaks off.
    #[test]
    fn a_recording_of_many_channels_is_read_as_far_as_it_goes() {
        let samples: Vec<f32> = (0..3200_u16).map(|at| f32::from(at) / 3200.0).collect();
        let whole = wav(32, 48_000, &samples);
        let decoded = TestFile::new("tracks.wav", &whole).decode().unwrap();
        assert_eq!((decoded.samples.channels(), decoded.samples.frames()), (32, 100));
        let mut back = vec![0.0; 3200];
        decoded.samples.copy_to_interleaved(&mut back).unwrap();
        assert_eq!((back, decoded.warning), (samples.clone(), None));

        let broken = TestFile::new("half.wav", &whole[..44 + 4 * (32 * 50 + 7)]).decode().unwrap();
        assert_eq!(broken.samples.frames(), 50);
        assert!(broken.warning.unwrap().contains("50 of its 100 frames"));

        let file = TestFile::new("wide-and-long.wav", &whole);
        assert!(matches!(decode(&file.0, 12_799), Err(DecodeError::OverBudget { needed: 12_800, .. })));
        assert!(decode(&file.0, 12_800).is_ok());
    }

    /// Would catch NaN and infinities from a file of floats, which silence a mix for good.
    #[test]
    fn samples_that_are_no_numbers_are_made_silent_and_told() {
        let samples = [0.5, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.5];
        let decoded = TestFile::new("nan.wav", &wav(1, 48_000, &samples)).decode().unwrap();
        assert_eq!(decoded.samples[0], [0.5, 0.0, 0.0, 0.0, -0.5]);
        assert!(decoded.warning.unwrap().starts_with("3 samples"));
    }

    /// Would catch a file that is decoded past the budget, or refused when it just fits.
    #[test]
    fn a_file_beyond_the_limit_is_refused_with_the_numbers() {
        let file = TestFile::new("large.wav", &wav(2, 48_000, &vec![0.5; 20_000]));
        assert!(decode(&file.0, 80_000).is_ok());
        match decode(&file.0, 79_999).unwrap_err() {
            DecodeError::OverBudget { needed, limit: 79_999 } => assert!(needed >= 80_000),
            other => panic!("{other}"),
        }
    }

    /// Would catch a panic or a hang on files that break off anywhere or have a few bytes changed: an answer or a
    /// reason, never more frames than the whole file has.
    #[test]
    fn damaged_recordings_never_panic() {
        let mut dice = Dice::new(1);
        for path in bundled().unwrap() {
            let whole = fs::read(&path).unwrap();
            let frames = decode(&path, PLENTY).unwrap().samples.frames();
            let name = path.file_stem().unwrap().to_str().unwrap();
            for round in 0..6 {
                let mut contents = whole.clone();
                if round % 2 == 0 {
                    contents.truncate(dice.below(whole.len()));
                } else {
                    for _ in 0..1 + dice.below(20) {
                        let at = dice.below(whole.len());
                        contents[at] ^= 1 << dice.below(8);
                    }
                }
                match TestFile::new(&format!("{name}-{round}.flac"), &contents).decode() {
                    Ok(decoded) if round % 2 == 0 => {
                        assert!(decoded.samples.frames() <= frames);
                        assert!(decoded.samples.frames() == frames || decoded.warning.is_some(), "{name}");
                    }
                    Ok(decoded) => {
                        assert!(decoded.samples.planes().flatten().all(|sample| sample.is_finite()))
                    }
                    Err(error) => assert!(!error.to_string().is_empty()),
                }
            }
        }
    }
}
