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
    NotAudio,
    NoTrack,
    UnknownCodec(CodecError),
    NoSamples(Option<CodecError>),
    OverBudget { needed: u64, limit: usize },
    Buffer(BufferError),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::NotFound => write!(f, "there is no such file"),
            Self::Io(error) => write!(f, "it cannot be read: {error}"),
            Self::NotAFile => write!(f, "this is not a file"),
            Self::Empty => write!(f, "the file is empty"),
            Self::NotAudio => write!(
                f,
                "this is no audio that can be read here (FLAC, WAV, AIFF, Ogg Vorbis and MP3 can be)"
            ),
            Self::NoTrack => write!(f, "there is no audio track in it"),
            Self::UnknownCodec(error) => write!(f, "its audio is of a kind that cannot be decoded: {error}"),
            Self::NoSamples(None) => write!(f, "it holds no samples"),
            Self::NoSamples(Some(error)) => write!(f, "not one sample of it could be decoded: {error}"),
            Self::OverBudget { needed, limit } => {
                write!(f, "its samples take at least {needed} bytes and {limit} bytes are left of the budget")
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
    // Whatever the probe stumbles over, short of a disk that fails, means: no format that is known here.
    let mut format = symphonia::default::get_probe()
        .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|error| match error {
            CodecError::IoError(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                DecodeError::Io(error)
            }
            _ => DecodeError::NotAudio,
        })?;
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

    fn frames(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    fn into_samples(self, expected: Option<u64>) -> Result<Decoded, DecodeError> {
        let frames = self.frames();
        if frames == 0 {
            return Err(DecodeError::NoSamples(self.broken_off));
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
