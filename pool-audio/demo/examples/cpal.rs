//! pool-audio in a `cpal` callback, to copy from: sixteen voices in pooled blocks, measured, for some seconds.
//!
//! ```sh
//! cargo run --release --package pool-audio-demo --example cpal --features cpal            # the default device
//! cargo run --release --package pool-audio-demo --example cpal --features cpal -- --jack  # through JACK, on Linux
//! ```
//!
//! On Linux `cpal` needs the headers of ALSA and JACK (Debian: `libasound2-dev libjack-jackd2-dev pkg-config`).

use std::error::Error;
use std::f32::consts::TAU;
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use pool_audio::{BufferKey, CallbackProfiler, InstantClock, RealtimeHandle, RealtimePool, Worker};

const VOICES: usize = 16;
/// Frames that are made at once. A callback may ask for more or fewer: it is made in parts.
const BLOCK: u32 = 128;

/// Everything that the callback needs, made before it.
struct Callback {
    blocks: RealtimeHandle,
    profiler: CallbackProfiler<InstantClock>,
    phases: [f32; VOICES],
    channels: usize,
    rate: f32,
}

impl Callback {
    /// Interleaved samples for the device. No allocation, no lock, no system call but the clock's.
    fn fill(&mut self, out: &mut [f32]) {
        self.profiler.begin((out.len() / self.channels) as u32);
        for part in out.chunks_mut(BLOCK as usize * self.channels) {
            // Nothing to be had is silence, never a wait; the worker makes more.
            let Some(mut bus) = self.blocks.acquire_zeroed() else {
                part.fill(0.0);
                continue;
            };
            let frames = part.len() / self.channels;
            // A part is never more than the capacity.
            if bus.set_len(frames).is_err() {
                continue;
            }
            for (voice, phase) in self.phases.iter_mut().enumerate() {
                let Some(mut block) = self.blocks.acquire_dirty() else { continue };
                let step = 110.0 * (voice + 1) as f32 / self.rate;
                for sample in &mut block[0][..frames] {
                    *sample = (*phase * TAU).sin() * 0.1 / (voice + 1) as f32;
                    *phase = (*phase + step).fract();
                }
                for plane in bus.planes_mut() {
                    plane.iter_mut().zip(&block[0]).for_each(|(sum, &sample)| *sum += sample);
                }
            }
            if bus.copy_to_interleaved(part).is_err() {
                part.fill(0.0);
            }
        }
        self.profiler.end();
    }
}

/// What to do where there is nothing to play on.
const NO_DEVICE: &str = "there is no audio device to play on.\nRemedy: connect a sound card; on Linux also a JACK server, \
                         which needs none: `jackd -d dummy`, and `--jack` for this example";
const NO_SERVER: &str = "no JACK server answers.\nRemedy: start one, without a sound card `jackd -d dummy`; \
                         if it has a name of its own, that belongs in the variable JACK_DEFAULT_SERVER";

fn main() -> ExitCode {
    match play() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play() -> Result<(), Box<dyn Error>> {
    let (host, nothing) = match std::env::args().any(|argument| argument == "--jack") {
        true => (jack()?, NO_SERVER),
        false => (cpal::default_host(), NO_DEVICE),
    };
    let device = host.default_output_device().ok_or(nothing)?;
    // Some systems have a default device even where there is none, until somebody asks what it can do.
    let config = device.default_output_config().map_err(|error| match error.kind() {
        cpal::ErrorKind::DeviceNotAvailable | cpal::ErrorKind::HostUnavailable => nothing.to_owned(),
        _ => format!("the audio device does not tell what it can do: {error}"),
    })?;
    if config.sample_format() != cpal::SampleFormat::F32 {
        return Err(
            format!("this example writes f32, and the device wants {}", config.sample_format()).into()
        );
    }
    let config = config.config();
    let rate = NonZeroU32::new(config.sample_rate).ok_or("the device has a rate of 0 Hz")?;
    let key = BufferKey { channels: config.channels, frames: BLOCK, sample_rate: rate };

    // Off the audio thread: the pool, its worker, buffers with every page written, and the handle that goes to the callback.
    let worker = Worker::start(RealtimePool::builder("voices").budget(10_000_000).build())?;
    let blocks = worker.with(|pool| {
        pool.prewarm(key, VOICES + 1)?;
        Ok::<_, Box<dyn Error>>(pool.handle(key)?)
    })?;
    let profiler = CallbackProfiler::new(rate);
    let monitor = profiler.monitor();
    let mut callback = Callback {
        blocks,
        profiler,
        phases: [0.0; VOICES],
        channels: usize::from(config.channels),
        rate: rate.get() as f32,
    };

    let xruns = monitor.clone();
    // The backend may be on its audio thread when it tells of an error, so that is not the place to print it.
    let (errors, told) = mpsc::sync_channel(16);
    let stream = device.build_output_stream(
        config,
        move |out: &mut [f32], info: &cpal::OutputCallbackInfo| {
            let times = info.timestamp();
            callback.profiler.latency(times.playback.duration_since(times.callback).as_secs_f64());
            callback.fill(out);
        },
        move |error| match error.kind() {
            cpal::ErrorKind::Xrun => xruns.backend_xruns(1),
            // If there is no room, there are enough to end it.
            _ => _ = errors.try_send(error),
        },
        None,
    )?;
    stream.play()?;
    let (mut ended, mut calls) = (None, 0);
    for second in 1..=5 {
        thread::sleep(Duration::from_secs(1));
        ended = told.try_iter().find(|error| !goes_on(error)).map(|error| error.to_string());
        let before = std::mem::replace(&mut calls, monitor.snapshot().callbacks);
        // Some devices take their time to begin.
        if ended.is_none() && second > 1 && calls == before {
            ended = Some("the device has asked for no sound for a second".to_owned());
        }
        if ended.is_some() {
            break;
        }
        println!("load {:.1} % at most in the last second", 100.0 * monitor.take_max());
    }
    // The callback goes, and with it the handle; then the worker can free everything.
    drop(stream);
    println!("{}\n{}", monitor.snapshot(), worker.stats());
    worker.shut_down(Duration::from_secs(5))?;
    match ended {
        None => Ok(()),
        Some(error) => Err(format!(
            "the stream ended before its time: {error}.\nRemedy: see that the device or the audio server is there, and begin again"
        )
        .into()),
    }
}

/// Whether the stream plays on after this error, which is told.
fn goes_on(error: &cpal::Error) -> bool {
    let goes_on = matches!(error.kind(), cpal::ErrorKind::DeviceChanged | cpal::ErrorKind::RealtimeDenied);
    if goes_on {
        eprintln!("note: {error}");
    }
    goes_on
}

#[cfg(target_os = "linux")]
fn jack() -> Result<cpal::Host, String> {
    cpal::host_from_id(cpal::HostId::Jack).map_err(|error| format!("JACK is not to be had: {error}"))
}

#[cfg(not(target_os = "linux"))]
fn jack() -> Result<cpal::Host, &'static str> {
    Err("this example knows JACK on Linux only")
}
