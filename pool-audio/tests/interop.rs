//! Buffers in the hands of other crates, the real ones: pooled where it matters.
#![cfg(all(
    feature = "std",
    feature = "audio-core-0-2",
    feature = "audioadapter-5",
    feature = "dasp-frame-0-11",
    feature = "hound-3",
    feature = "symphonia-0-6"
))]
#![allow(clippy::unwrap_used)]

use std::f32::consts::TAU;
use std::fs::File;
use std::io::Cursor;
use std::path::Path;

use pool_audio::{BufferError, BufferKey, RealtimePool, SampleBuffer};

fn ramp(channels: u16, frames: u32) -> SampleBuffer {
    let mut buffer = SampleBuffer::new(channels, frames, 48_000).unwrap();
    for (channel, plane) in buffer.planes_mut().enumerate() {
        let samples = (0..frames).map(|frame| frame as f32 / 1000.0 - channel as f32 / 4.0);
        plane.iter_mut().zip(samples).for_each(|(place, sample)| *place = sample);
    }
    buffer
}

/// Would catch channels or frames that are mixed up, a length that is not told, a cut beyond the end that cuts all, and writes
/// that are not marked.
#[test]
fn audio_core_sees_the_planes() {
    use audio_core::{Buf, BufMut, Channel, ChannelMut, ExactSizeBuf};

    /// Mixes whatever buffer into one channel of another.
    fn mix(from: &impl Buf<Sample = f32>, to: &mut impl BufMut<Sample = f32>) {
        let mut to = to.get_channel_mut(0).unwrap();
        for channel in from.iter_channels() {
            to.iter_mut().zip(channel.iter()).for_each(|(sum, sample)| *sum += sample);
        }
    }

    let mut source = ramp(3, 100);
    source.set_len(40).unwrap();
    let mut sum = SampleBuffer::new(2, 40, 48_000).unwrap();
    mix(&source, &mut sum);
    for frame in [0, 17, 39] {
        assert!((sum[0][frame] - (3.0 * frame as f32 / 1000.0 - 0.75)).abs() < 1e-6);
    }
    assert!(sum.is_channel_silent(1) && !sum.is_channel_silent(0));
    assert_eq!((ExactSizeBuf::frames(&source), Buf::frames_hint(&source)), (40, Some(40)));
    assert!(Buf::get_channel(&source, 3).is_none());
    let plane = Buf::get_channel(&source, 0).unwrap();
    assert_eq!(plane.try_as_linear(), Some(&source[0]));
    assert_eq!((plane.skip(38).get(0), plane.tail(1).get(0)), (Some(0.038), Some(0.039)));
    let ramp: Vec<f32> = source[0].to_vec();
    sum[0].copy_from_slice(&ramp);
    for (n, [skip, tail, limit]) in [
        (0, [0..40, 40..40, 0..0]),
        (7, [7..40, 33..40, 0..7]),
        (40, [40..40, 0..40, 0..40]),
        (99, [40..40, 0..40, 0..40]), // beyond the end there is nothing to cut off
    ] {
        assert_eq!(
            [plane.skip(n), plane.tail(n), plane.limit(n)]
                .map(|cut| cut.try_as_linear().map(<[f32]>::to_vec)),
            [&skip, &tail, &limit].map(|frames| Some(ramp[frames.clone()].to_vec()))
        );
        assert_eq!(sum.get_channel_mut(0).unwrap().skip(n).try_as_linear(), Some(&ramp[skip]));
        assert_eq!(sum.get_channel_mut(0).unwrap().tail(n).try_as_linear(), Some(&ramp[tail]));
        assert_eq!(sum.get_channel_mut(0).unwrap().limit(n).try_as_linear(), Some(&ramp[limit]));
    }
    sum.copy_channel(0, 1);
    assert_eq!(sum[0], sum[1]);
    BufMut::fill(&mut sum, 0.5);
    assert_eq!((sum[1][39], sum[0].len()), (0.5, 40));
}

/// Would catch a copy that makes the channel it reads one that was written, or goes from or to another.
#[test]
fn audio_core_copies_a_channel_and_marks_only_the_target() {
    use audio_core::BufMut;

    let mut buffer = SampleBuffer::new(3, 100, 48_000).unwrap();
    for (from, to) in [(0, 1), (1, 1), (0, 3), (3, 0)] {
        buffer.copy_channel(from, to);
        assert!(buffer.is_silent(), "{from} to {to}: there was nothing to copy");
    }
    buffer[1].fill(0.5);
    buffer.set_len(40).unwrap();
    buffer.copy_channel(0, 1);
    assert!(buffer.is_channel_silent(0) && buffer[1].iter().all(|sample| *sample == 0.0));
    for (from, to) in [(1, 1), (1, 3), (3, 1)] {
        buffer.copy_channel(from, to);
        assert!(buffer.is_channel_silent(0) && buffer.is_channel_silent(2));
    }
    buffer.set_len(100).unwrap();
    assert_eq!((buffer[1][39], buffer[1][40]), (0.0, 0.5), "beyond the length nothing is copied");

    buffer.clear();
    buffer[2].copy_from_slice(&ramp(1, 100)[0]);
    buffer.set_len(40).unwrap();
    buffer.copy_channel(2, 0);
    assert_eq!(buffer[0], buffer[2]);
    assert_eq!([0, 1, 2].map(|channel| buffer.is_channel_silent(channel)), [false, true, false]);
    buffer.set_len(100).unwrap();
    assert_eq!(buffer.plane(0).unwrap()[40..], [0.0; 60]);
    buffer.clear();
    assert!(buffer.planes().flatten().all(|sample| *sample == 0.0));
    buffer.set_len(40).unwrap();
    buffer[1].fill(0.5);
    buffer.set_len(100).unwrap();
    buffer.copy_channel(1, 1);
    assert_eq!(buffer.clear(), 40 * size_of::<f32>(), "onto itself nothing is written");

    let mut wide = SampleBuffer::new(66, 8, 48_000).unwrap();
    wide[64].fill(0.5);
    wide.copy_channel(64, 65);
    wide.copy_channel(64, 5);
    assert!(wide[65] == wide[64] && wide[5] == wide[64] && wide.is_channel_silent(0));
}

/// Would catch an adapter that reads or writes elsewhere than it says: rubato resamples a tone from one pooled buffer into
/// another, and the tone must come out at its pitch.
#[test]
fn rubato_resamples_from_pool_to_pool() {
    use rubato::{Async, FixedAsync, PolynomialDegree, Resampler};

    let (from, to) = (BufferKey::new(2, 4410, 44_100).unwrap(), BufferKey::new(2, 4900, 48_000).unwrap());
    let mut pool = RealtimePool::builder("resampling").build();
    pool.prewarm(from, 1).unwrap();
    pool.prewarm(to, 1).unwrap();
    let (from, to) = (pool.handle(from).unwrap(), pool.handle(to).unwrap());
    let (mut source, mut target) = (from.acquire_dirty().unwrap(), to.acquire_zeroed().unwrap());
    for (channel, plane) in source.planes_mut().enumerate() {
        let hertz = 441.0 * (channel + 1) as f32;
        plane
            .iter_mut()
            .enumerate()
            .for_each(|(at, sample)| *sample = (TAU * hertz * at as f32 / 44_100.0).sin());
    }
    let mut resampler = Async::<f32>::new_poly(
        48_000.0 / 44_100.0,
        1.0,
        PolynomialDegree::Septic,
        4410,
        2,
        FixedAsync::Input,
    )
    .unwrap();
    let (read, written) = resampler.process_into_buffer(&**source, &mut **target, None).unwrap();
    assert_eq!(read, 4410);
    assert!((4780..=4800).contains(&written), "{written}");
    target.set_len(written).unwrap();
    for (channel, plane) in target.planes().enumerate() {
        // Past the resampler's own delay: crossings from below, twice 441 Hz makes twice as many.
        let plane = &plane[200..];
        let crossings = plane.windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count() as f32;
        let hertz = crossings / plane.len() as f32 * 48_000.0;
        let expected = 441.0 * (channel + 1) as f32;
        assert!((hertz - expected).abs() < 15.0, "{hertz} Hz for {expected}");
        let loudest = plane.iter().fold(0.0_f32, |loudest, sample| loudest.max(sample.abs()));
        assert!((0.98..1.02).contains(&loudest), "{loudest}");
    }
    drop((source, target));
    assert_eq!(pool.stats().classes.iter().map(|class| class.idle).sum::<usize>(), 2);
}

/// Would catch adapters that lie about where they stopped: the crate's own promises, at the edges.
#[test]
fn audioadapter_stops_at_the_edges() {
    use audioadapter::{Adapter, AdapterMut};

    let mut buffer = ramp(2, 100);
    buffer.set_len(10).unwrap();
    let mut out = [0.0; 8];
    assert_eq!(buffer.copy_from_channel_to_slice(1, 6, &mut out), 4);
    assert_eq!(out[..5], [buffer[1][6], buffer[1][7], buffer[1][8], buffer[1][9], 0.0]);
    assert_eq!(
        (
            buffer.copy_from_channel_to_slice(2, 0, &mut out),
            buffer.copy_from_channel_to_slice(0, 10, &mut out)
        ),
        (0, 0)
    );
    assert_eq!(
        (buffer.read_sample(1, 9), buffer.read_sample(1, 10), buffer.read_sample(2, 0)),
        (Some(buffer[1][9]), None, None)
    );
    assert_eq!(buffer.copy_from_slice_to_channel(0, 7, &[0.5; 9]), (3, 0));
    assert_eq!((buffer[0][9], buffer.write_sample(0, 10, &1.0)), (0.5, None));
    assert_eq!(buffer.copy_from_slice_to_channel(9, 0, &[0.5; 9]), (0, 0));
    assert_eq!(buffer.copy_frames_within(0, 5, 5), Some(5));
    assert_eq!(buffer[1][..5], buffer[1][5..]);
}

/// Would catch frames that are gathered from the wrong planes, and one that is taken from the caller and written nowhere.
#[test]
fn dasp_frames_go_out_and_in() {
    use dasp_frame::Frame;

    let source = ramp(2, 50);
    let frames = source.frames_of::<[f32; 2]>().unwrap();
    assert_eq!(frames.len(), 50);
    assert_eq!(frames.last(), Some([0.049, 0.049 - 0.25]));
    let mut target = SampleBuffer::new(2, 20, 48_000).unwrap();
    let louder = source.frames_of::<[f32; 2]>().unwrap().map(|frame| frame.scale_amp(2.0));
    assert_eq!(target.write_frames(louder), Ok(20));
    assert_eq!((target[0][19], target[1][19]), (0.038, 2.0 * (0.019 - 0.25)));
    let mut more = (0..30_u8).map(|at| [f32::from(at); 2]);
    assert_eq!(target.write_frames(&mut more), Ok(20));
    assert_eq!(more.next(), Some([20.0; 2]), "what has no room is still the caller's");
    let wrong = BufferError::ChannelCount { given: 3, expected: 2 };
    assert_eq!(source.frames_of::<[f32; 3]>().map(|_| ()), Err(wrong));
    assert_eq!(target.write_frames([[1.0_f32; 3]]), Err(wrong));
}

/// Would catch a refusal that changes something, and a decoder's packet that lands in the wrong frames or is cut: a whole recording, packet by packet through a
/// pooled buffer, against the same decoder's own copy.
#[test]
fn symphonia_decodes_into_pooled_planes() {
    use symphonia::core::codecs::audio::AudioDecoderOptions;
    use symphonia::core::formats::probe::Hint;
    use symphonia::core::formats::{FormatOptions, TrackType};
    use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
    use symphonia::core::meta::MetadataOptions;

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../audio/tabla_na.flac");
    let stream =
        MediaSourceStream::new(Box::new(File::open(path).unwrap()), MediaSourceStreamOptions::default());
    let mut format = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
        .unwrap();
    let track = format.default_track(TrackType::Audio).unwrap();
    let parameters = track.codec_params.as_ref().unwrap().audio().unwrap().clone();
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(&parameters, &AudioDecoderOptions::default())
        .unwrap();

    let mut pool = RealtimePool::builder("decoding").build();
    let mut key = None;
    let (mut total, mut planes) = (0, Vec::new());
    while let Some(packet) = format.next_packet().unwrap() {
        let audio = decoder.decode(&packet).unwrap();
        let shape = *key.get_or_insert_with(|| {
            let channels = u16::try_from(audio.num_planes()).unwrap();
            let key = BufferKey::new(channels, 8192, audio.spec().rate()).unwrap();
            pool.prewarm(key, 1).unwrap();
            key
        });
        let handle = pool.handle(shape).unwrap();
        let mut buffer = handle.acquire_dirty().unwrap();
        buffer.copy_from_audio(&audio).unwrap();
        audio.copy_to_vecs_planar::<f32>(&mut planes);
        assert_eq!(buffer.len(), audio.frames());
        assert!(buffer.planes().zip(&planes).all(|(ours, theirs)| ours == theirs));
        total += buffer.len();

        let other = u16::try_from(audio.num_planes() + 1).unwrap();
        let mut wrong = SampleBuffer::new(other, 8192, 48_000).unwrap();
        wrong.set_len(5).unwrap();
        assert!(matches!(wrong.copy_from_audio(&audio), Err(BufferError::ChannelCount { .. })));
        let mut short = SampleBuffer::new(shape.channels, 1, 48_000).unwrap();
        short.set_len(0).unwrap();
        let refused = BufferError::OverCapacity { requested: audio.frames(), capacity: 1 };
        assert_eq!(short.copy_from_audio(&audio), Err(refused));
        assert!(wrong.is_silent() && short.is_silent());
        assert_eq!((wrong.len(), short.len()), (5, 0), "who is refused keeps the length as well");
    }
    assert!(total > 10_000);
    assert_eq!(pool.stats().classes[0].created, 1);
}

/// Would catch samples that are scaled, clipped or swapped on the way through a file, in each of its formats.
#[test]
fn hound_writes_and_reads_wav() {
    use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

    for (bits, sample_format) in
        [(16, SampleFormat::Int), (24, SampleFormat::Int), (32, SampleFormat::Int), (32, SampleFormat::Float)]
    {
        let spec = WavSpec { channels: 2, sample_rate: 48_000, bits_per_sample: bits, sample_format };
        let mut source = ramp(2, 300);
        source[0][0] = 1.0;
        source[0][1] = -1.0;
        let mut file = Cursor::new(Vec::new());
        let mut writer = WavWriter::new(&mut file, spec).unwrap();
        source.set_len(100).unwrap();
        source.write_wav(&mut writer).unwrap();
        source.write_wav(&mut writer).unwrap();
        writer.finalize().unwrap();

        let mut reader = WavReader::new(Cursor::new(file.into_inner())).unwrap();
        let mut back = SampleBuffer::new(2, 150, 48_000).unwrap();
        assert_eq!(back.read_wav(&mut reader).unwrap(), 150);
        let step =
            if sample_format == SampleFormat::Int { 1.0 / f64::from(1_u32 << (bits - 1)) } else { 0.0 };
        for channel in 0..2 {
            for frame in 0..100 {
                let error = f64::from(back[channel][frame]) - f64::from(source[channel][frame]);
                assert!(
                    error.abs() <= step + 1e-7,
                    "{bits} bits: frame {frame} of channel {channel} is off by {error}"
                );
            }
            assert_eq!(back[channel][100..], back[channel][..50]);
        }
        assert_eq!(back.read_wav(&mut reader).unwrap(), 50, "what was left");
        assert_eq!(back.read_wav(&mut reader).unwrap(), 0);
        let mut mono = SampleBuffer::new(1, 10, 48_000).unwrap();
        assert!(mono.read_wav(&mut reader).is_err() && mono.is_silent());
    }
}

/// Would catch frames that are lost with the part of a file that is not there, and half a frame that is given as one.
#[test]
fn what_is_before_the_cut_of_a_file_is_read() {
    use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

    let spec =
        WavSpec { channels: 2, sample_rate: 48_000, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut file = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut file, spec).unwrap();
    let source = ramp(2, 300);
    source.write_wav(&mut writer).unwrap();
    writer.finalize().unwrap();

    // 200 frames more than half a sample are gone.
    let mut bytes = file.into_inner();
    bytes.truncate(bytes.len() - 200 * 4 - 3);
    let mut reader = WavReader::new(Cursor::new(bytes)).unwrap();
    let mut back = SampleBuffer::new(2, 64, 48_000).unwrap();
    assert_eq!(back.read_wav(&mut reader).unwrap(), 64);
    assert!(back.read_wav(&mut reader).is_err());
    assert_eq!(back.len(), 99 - 64);
    assert!((back[1][34] - source[1][98]).abs() < 1e-4, "{} of {}", back[1][34], source[1][98]);
}

/// Would catch whole numbers that are rounded in one way for files and in another for interleaved samples.
#[test]
fn samples_are_rounded_alike_everywhere() {
    use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

    let spec =
        WavSpec { channels: 1, sample_rate: 48_000, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut source = SampleBuffer::new(1, 8, 48_000).unwrap();
    let halves = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5].map(|step: f32| step / 32_768.0);
    source[0][..6].copy_from_slice(&halves);
    source[0][6..].copy_from_slice(&[2.0, f32::NAN]);
    let mut interleaved = [0_i16; 8];
    source.copy_to_interleaved(&mut interleaved).unwrap();
    assert_eq!(interleaved, [0, 2, 2, 0, -2, -2, i16::MAX, 0]);

    let mut file = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut file, spec).unwrap();
    source.write_wav(&mut writer).unwrap();
    writer.finalize().unwrap();
    let mut reader = WavReader::new(Cursor::new(file.into_inner())).unwrap();
    let written: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    assert_eq!(written, interleaved);
}
