//! The demo on a real audio server: what is decoded is played through real callbacks, measured, and recorded.
//!
//! ```text
//!  decoder thread            audio thread (the server's)             recorder thread
//!  decodes, cuts blocks ───> 64 voices, one ring each ── blocks ───> writes the WAV,
//!  into pooled buffers       mixes into the ports, and               drops blocks and spent buffers
//!                            into pooled blocks       ── timings ──> chart
//!                  ^                    ^
//!                  └─ worker: refills, clears delay lines ahead
//! ```
//!
//! From the audio thread to the recorder there is a ring for each kind of message.

mod callback;
mod chart;
mod decoder;
mod recorder;
mod report;
mod server;

use std::error::Error;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pool_audio::{Account, BufferKey, CallbackProfiler, RealtimePool, Worker};
use rtrb::RingBuffer;

use crate::args::Args;
use crate::kit;
use crate::kit::SAMPLE_RATE;
use callback::{Callback, Notifications, Voice};
use decoder::{CHUNK_FRAMES, Decoder};
use recorder::{BLOCKS_AHEAD, Recorder};
use report::Report;
use server::Server;

/// Frames of a callback.
pub(super) const PERIOD: u32 = 128;
/// Chunks that wait for each voice: 85 ms of sound, so that the decoder may be late.
const CHUNKS_AHEAD: usize = 4;
/// Blocks beside those that wait for the recorder: in the hands of callback and recorder, each of which keeps some for its
/// next use.
const BLOCKS_IN_HAND: usize = 128;
/// Voices of each dozen that have a delay line.
const ECHO_EVERY: usize = 4;
/// Frames of a delay line: 0.3 s. Large enough to be cleared ahead.
const LINE_FRAMES: u32 = 14_400;
/// How long the server may take to notice that we stopped.
const PATIENCE: Duration = Duration::from_secs(5);
/// Callbacks that do nothing before the library ends their thread: some may be due already.
const QUIET_CALLBACKS: u64 = 8;
/// How long they may take to come.
const QUIET_PATIENCE: Duration = Duration::from_secs(1);

/// What all threads look at.
#[derive(Debug, Default)]
pub(super) struct Flags {
    /// The decoder has nothing to do any more.
    pub(super) stop: AtomicBool,
    /// The server has gone. Set by a signal handler of its library.
    pub(super) server_gone: AtomicBool,
    /// The user asked to stop: SIGINT, SIGTERM or SIGHUP. Says nothing but itself, so relaxed.
    pub(super) interrupted: AtomicBool,
    /// The callback is to do nothing any more.
    pub(super) hush: AtomicBool,
    /// Callbacks that have ended and did nothing.
    pub(super) hushed: AtomicU64,
    /// There are no more callbacks: what the recorder has not got by now does not come.
    pub(super) played: AtomicBool,
    /// The decoder has filled every voice's ring once.
    pub(super) primed: AtomicBool,
}

/// The first signal that asks to end ends the show, and what was played is reported; a second ends the process at once,
/// for the case that this hangs.
fn listen_to_signals(flags: Arc<Flags>) -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(move || {
        if flags.interrupted.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
}

/// Removes what an earlier run left, so that it does not pass for this one's if this one ends before its report.
fn remove_earlier(out: &Path) -> Result<(), String> {
    for path in report::FILES.map(|name| out.join(name)) {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(format!("{} cannot be removed: {error}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Has the callback do nothing any more, and waits until it has begun to. The library ends its thread wherever that is at
/// the moment; within the callback of a machine that is overloaded, that would end the process.
fn hush(flags: &Flags) {
    flags.hush.store(true, Ordering::Release);
    let start = Instant::now();
    while flags.hushed.load(Ordering::Acquire) < QUIET_CALLBACKS && start.elapsed() < QUIET_PATIENCE {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Ends the callbacks and drops what they own, so that their rings end, and the recorder with them.
///
/// The library asks the server to let go and waits for the answer as long as it takes; a server that is frozen is
/// killed, which is an answer as well.
///
/// # Errors
///
/// The server did not answer.
fn end_callbacks(
    active: jack::AsyncClient<Notifications, Callback>,
    server: &mut Server,
) -> Result<(), String> {
    let (sender, receiver) = std::sync::mpsc::channel();
    thread::spawn(move || sender.send(active.deactivate().map(drop).map_err(|error| error.to_string())));
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        server.kill();
        // What the library says now is what comes of the killing.
        let _ = receiver.recv_timeout(PATIENCE);
        Err(format!("the JACK server did not answer for {} s and was killed", PATIENCE.as_secs()))
    })
}

/// Plays, measures, records and reports. An error if nothing could be played; a server that went while it played is told
/// in the report.
pub(crate) fn run(args: &Args) -> Result<Report, Box<dyn Error>> {
    let files = kit::files(args)?;
    fs::create_dir_all(&args.out)
        .map_err(|error| format!("{} cannot be made: {error}", args.out.display()))?;
    // SAFETY: this is the main thread, and it has started no other yet.
    let name = unsafe { server::choose_name() };
    let flags = Arc::new(Flags::default());
    listen_to_signals(Arc::clone(&flags))?;
    let mut server = Server::start(&name, &args.out.join("jackd.log"), PERIOD, SAMPLE_RATE)?;
    println!("{server}");
    // Not just "pool-audio": clients of one name share a socket, even those of different servers. And not the server's own
    // name: that is a socket as well, and nobody else could connect.
    let client = format!("pool-audio-demo-{}", std::process::id());
    let (client, _) = jack::Client::new(&client, jack::ClientOptions::NO_START_SERVER)
        .map_err(|error| format!("the JACK server takes no client: {error}"))?;
    if client.sample_rate() != SAMPLE_RATE.get() {
        return Err(format!("the JACK server runs at {} Hz, not {SAMPLE_RATE}", client.sample_rate()).into());
    }

    let account = Account::builder("audio").hard_limit(args.budget).build();
    let chunk = BufferKey { channels: 2, frames: CHUNK_FRAMES, sample_rate: SAMPLE_RATE };
    let block = BufferKey { channels: 2, frames: PERIOD, sample_rate: SAMPLE_RATE };
    let line = BufferKey { channels: 1, frames: LINE_FRAMES, sample_rate: SAMPLE_RATE };
    let echoes = args.voices.div_ceil(ECHO_EVERY);

    let worker =
        Worker::start(RealtimePool::builder("callback").parent(&account).budget(args.budget).build())?;
    let (decoding, handles) = worker
        .with(|pool| {
            // Chunks that wait, that sound and that are on their way back; as many blocks as may wait, lest the reserve be
            // short of them.
            pool.prewarm(chunk, args.voices * (CHUNKS_AHEAD + 4))?;
            pool.prewarm(block, BLOCKS_AHEAD + BLOCKS_IN_HAND)?;
            // One for each voice that wants one, and as many that are being cleared meanwhile.
            pool.prewarm(line, 2 * echoes)?;
            let handle = |pool: &mut RealtimePool, key| pool.handle(key);
            Ok::<_, Box<dyn Error>>((
                handle(pool, chunk)?,
                (handle(pool, block)?, handle(pool, line)?, handle(pool, block)?),
            ))
        })
        .map_err(|error| format!("the budget is too small for {} voices: {error}", args.voices))?;
    let (blocks, lines, releasing) = handles;

    let (mut producers, mut voices) = (Vec::new(), Vec::new());
    for index in 0..args.voices {
        let (producer, consumer) = RingBuffer::new(CHUNKS_AHEAD);
        producers.push(producer);
        voices.push(Voice::new(consumer, index % ECHO_EVERY == 0));
    }
    let decoder = Decoder {
        files,
        account: account.clone(),
        chunks: decoding,
        rings: producers,
        flags: Arc::clone(&flags),
    };
    let decoder = thread::Builder::new().name("decoder".into()).spawn(move || decoder.run())?;

    // The first callback finds every voice's ring full.
    while !flags.primed.load(Ordering::Acquire) && !decoder.is_finished() {
        if flags.interrupted.load(Ordering::Relaxed) {
            return Err("interrupted before anything was played".into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    if decoder.is_finished() {
        decoder.join().map_err(|_| "the decoder panicked")??;
        return Err("the decoder ended before anything was played".into());
    }
    // Only now that there is something to play: until here, what an earlier run left is whole.
    remove_earlier(&args.out)?;
    let (to_recorder, from_audio) = recorder::rings(args.voices);
    let recorder =
        Recorder::create(&args.out.join("mix.wav"), args.seconds, from_audio, releasing, Arc::clone(&flags))?;
    let recorder = thread::Builder::new().name("recorder".into()).spawn(move || recorder.run())?;
    let profiler = CallbackProfiler::new(SAMPLE_RATE);
    let monitor = profiler.monitor();
    let ports = ["left", "right"].map(|name| client.register_port(name, jack::AudioOut::default()));
    let [left, right] = ports;
    let mut callback =
        Callback::new(profiler, [left?, right?], voices, blocks, lines, to_recorder, Arc::clone(&flags));
    callback.plant_stalls(args.stall_every);
    let counts = callback.counts();
    let notifications = Notifications { monitor: monitor.clone(), flags: Arc::clone(&flags) };
    let active = client.activate_async(notifications, callback)?;
    for (port, speaker) in ["left", "right"].iter().zip(["playback_1", "playback_2"]) {
        active.as_client().connect_ports_by_name(
            &format!("{}:{port}", active.as_client().name()),
            &format!("system:{speaker}"),
        )?;
    }

    let wanted = (args.seconds * f64::from(SAMPLE_RATE.get())) as u64;
    let (start, mut told) = (Instant::now(), 0);
    let give_up = Duration::from_secs_f64(args.seconds * 2.0) + PATIENCE;
    while monitor.snapshot().frames < wanted {
        thread::sleep(Duration::from_millis(50));
        if flags.server_gone.load(Ordering::Acquire)
            || flags.interrupted.load(Ordering::Relaxed)
            || decoder.is_finished()
            || start.elapsed() > give_up
        {
            break;
        }
        let seconds = start.elapsed().as_secs();
        if seconds >= told + 5 {
            told = seconds;
            println!("playing  {seconds} s of {:.0}", args.seconds);
        }
    }

    let played = start.elapsed().as_secs_f64();
    let short = monitor.snapshot().frames < wanted;
    let gone = flags.server_gone.load(Ordering::Acquire);
    if !gone {
        hush(&flags);
    }
    let let_go = end_callbacks(active, &mut server);
    // Where even that hangs, nobody calls any more, and the recorder need not wait for the callback to be dropped.
    flags.played.store(true, Ordering::Release);
    let ended = if gone {
        Some(format!("the JACK server ended after {played:.1} s"))
    } else if let Err(error) = let_go {
        Some(error)
    } else if flags.interrupted.load(Ordering::Relaxed) && short {
        Some(format!("interrupted after {played:.1} s"))
    } else {
        short.then(|| "the JACK server stopped calling".to_owned())
    };
    flags.stop.store(true, Ordering::Release);
    let loaded = decoder.join().map_err(|_| "the decoder panicked")?;
    let recorded = recorder.join().map_err(|_| "the recorder panicked")?;
    let profile = monitor.snapshot();
    let server_xruns = server.stop();
    let pool = worker.stats();
    let left = worker.shut_down(PATIENCE).err().map(|error| error.to_string());
    let report = Report {
        loaded: loaded?,
        ended,
        profile,
        counts: counts.read(),
        recorded,
        server_xruns,
        pool,
        budget: args.budget,
        peak_bytes: account.peak(),
        bytes_left: account.used(),
        left,
        voices: args.voices,
        stall_every: args.stall_every,
    };
    Ok(report)
}
