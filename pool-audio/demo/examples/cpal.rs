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

fn main() -> Result<(), Box<dyn Error>> {
    let host =
        if std::env::args().any(|argument| argument == "--jack") { jack()? } else { cpal::default_host() };
    let device = host.default_output_device().ok_or("there is no audio device")?;
    let config = device.default_output_config()?;
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
    let stream = device.build_output_stream(
        config,
        move |out: &mut [f32], info: &cpal::OutputCallbackInfo| {
            let times = info.timestamp();
            callback.profiler.latency(times.playback.duration_since(times.callback).as_secs_f64());
            callback.fill(out);
        },
        move |error| match error.kind() {
            cpal::ErrorKind::Xrun => xruns.backend_xruns(1),
            _ => eprintln!("the stream: {error}"),
        },
        None,
    )?;
    stream.play()?;
    for _ in 0..5 {
        thread::sleep(Duration::from_secs(1));
        println!("load {:.1} % at most in the last second", 100.0 * monitor.take_max());
    }
    // The callback goes, and with it the handle; then the worker can free everything.
    drop(stream);
    println!("{}\n{}", monitor.snapshot(), worker.stats());
    worker.shut_down(Duration::from_secs(5))?;
    Ok(())
}

#[cfg(target_os = "linux")]
fn jack() -> Result<cpal::Host, cpal::Error> {
    cpal::host_from_id(cpal::HostId::Jack)
}

#[cfg(not(target_os = "linux"))]
fn jack() -> Result<cpal::Host, &'static str> {
    Err("this example knows JACK on Linux only")
}
