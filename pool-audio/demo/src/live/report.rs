//! What happened on the audio server, for people and for programs.

use std::fmt;
use std::fs;
use std::path::Path;

use pool_audio::{Bytes, ProfileSnapshot, RealtimeStats};
use serde_json::{Value, json};

use super::PERIOD;
use super::callback::CountsRead;
use super::chart;
use super::decoder::Loaded;
use super::recorder::Recording;
use crate::mixer::SAMPLE_RATE;

/// What is written in the end, beside the recording.
pub(super) const FILES: [&str; 3] = ["native.json", "histogram.svg", "timeline.svg"];

/// Everything worth telling about one performance.
#[derive(Debug)]
pub(crate) struct Report {
    pub(super) loaded: Loaded,
    /// Why it ended before its time, if it did.
    pub(super) ended: Option<String>,
    pub(super) profile: ProfileSnapshot,
    pub(super) counts: CountsRead,
    pub(super) recorded: Recording,
    /// Xruns in the server's own log.
    pub(super) server_xruns: u64,
    pub(super) pool: RealtimeStats,
    pub(super) budget: usize,
    pub(super) peak_bytes: usize,
    /// Bytes still charged when everything had been dropped: 0, or something leaked.
    pub(super) bytes_left: usize,
    /// What the pool still waits for in the end.
    pub(super) left: Option<String>,
    pub(super) voices: usize,
    pub(super) stall_every: u64,
}

/// Buffers of all classes added up.
struct Totals {
    created: u64,
    evicted: u64,
    exhausted: u64,
    inline_clears: u64,
}

impl Report {
    /// What the exit code should tell.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.ended.as_deref().or(self.left.as_deref())
    }

    fn totals(&self) -> Totals {
        let classes = &self.pool.classes;
        let sum = |count: fn(&pool_audio::ClassStats) -> u64| classes.iter().map(count).sum();
        let created = sum(|class| class.created);
        Totals {
            created,
            evicted: sum(|class| class.evicted),
            exhausted: sum(|class| class.exhausted as u64),
            inline_clears: sum(|class| class.inline_clears as u64),
        }
    }

    /// Buffers that the callback and the decoder were handed. The pool's own count is larger: it has what its worker takes
    /// to clear as well.
    fn handed_out(&self) -> u64 {
        self.counts.handed_out + self.loaded.chunks
    }

    /// `128`, or `128 to 1024` if the server changed its mind.
    fn callback_frames(&self) -> String {
        let (fewest, most) = (self.counts.fewest_frames, self.counts.most_frames);
        if fewest == most { format!("{most}") } else { format!("{fewest} to {most}") }
    }

    /// Writes `native.json` and the charts.
    pub(super) fn write(&self, folder: &Path) -> Result<(), String> {
        let file = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))
        };
        let json = serde_json::to_string_pretty(&self.to_json()).map_err(|error| error.to_string())?;
        let contents = [
            json + "\n",
            chart::histogram(&self.recorded.timeline, &self.profile),
            chart::timeline(&self.recorded.timeline, &self.profile),
        ];
        FILES.into_iter().zip(contents).try_for_each(|(name, text)| file(name, text))
    }

    /// The contents of `native.json`. What is not known is `null`.
    fn to_json(&self) -> Value {
        let Self { loaded, profile, counts, recorded, .. } = self;
        let totals = self.totals();
        let load = profile.load.map(|load| {
            json!({
                "p50": load.p50, "p95": load.p95, "p99": load.p99, "p999": load.p999,
                "max": load.max, "mean": load.mean,
            })
        });
        let execution = recorded.timeline.executions().map(|times| {
            json!({
                "p50": times.p50 * 1e6, "p95": times.p95 * 1e6, "p99": times.p99 * 1e6,
                "p999": times.p999 * 1e6, "max": profile.longest_execution.map(|seconds| seconds * 1e6),
            })
        });
        let latency = profile.latency.map(|latency| {
            json!({ "min": latency.min * 1e6, "mean": latency.mean * 1e6, "max": latency.max * 1e6 })
        });
        let failed: Vec<Value> = loaded
            .failed
            .iter()
            .map(|(path, reason)| json!({ "file": path.display().to_string(), "error": reason }))
            .collect();
        let callbacks = json!({
            "mode": "jack",
            "ended_early": self.ended,
            "files": loaded.names.len(),
            "file_names": loaded.names,
            "failed": failed,
            "seconds": counts.frames as f64 / f64::from(SAMPLE_RATE.get()),
            "sample_rate": SAMPLE_RATE.get(),
            "quantum_frames": PERIOD,
            "callbacks": profile.callbacks,
            "frames": counts.frames,
            "frames_recorded": recorded.frames,
            "frames_unrecorded": counts.unrecorded,
            "callbacks_in_parts": counts.parts,
            "callback_frames_min": counts.fewest_frames,
            "callback_frames_max": counts.most_frames,
            "load": load,
            "execution_us": execution,
            "latency_us": latency,
            "overruns": profile.overruns,
            "overrun_events": profile.overrun_events,
            "late": profile.late,
            "late_events": profile.late_events,
            "backend_xruns": profile.backend_xruns,
            "server_xruns": self.server_xruns,
            "stall_every": self.stall_every,
            "stalls_planted": counts.stalls,
            "page_faults": counts.page_faults,
            "allocations_in_callback": counts.allocations,
        });
        let sound = json!({
            "voices": self.voices,
            "max_overlap": counts.most_voices,
            "mean_overlap": counts.mean_voices(),
            "recordings_started": loaded.started,
            "chunks_decoded": loaded.chunks,
            "voice_starved": counts.starved,
            "voice_refused": counts.refused,
            "echoes": counts.echoes,
            "echoes_refused": counts.echoes_refused,
            "created": totals.created,
            "handed_out": self.handed_out(),
            "evicted": totals.evicted,
            "exhausted": totals.exhausted,
            "inline_clears": totals.inline_clears,
            "budget_bytes": self.budget,
            "peak_bytes": self.peak_bytes,
            "tracked_bytes": loaded.tracked_bytes,
            "bytes_left": self.bytes_left,
            "peak": recorded.loudness.peak,
            "rms": recorded.loudness.rms(),
            "limited_samples": counts.limited,
        });
        // One object; in two parts only because the macro takes no more at once.
        match (callbacks, sound) {
            (Value::Object(mut all), Value::Object(sound)) => {
                all.extend(sound);
                Value::Object(all)
            }
            (callbacks, _) => callbacks,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { loaded, profile, counts, recorded, .. } = self;
        let rate = f64::from(SAMPLE_RATE.get());
        writeln!(
            f,
            "played   {:.1} s of {} recordings ({} could not be used) in {} callbacks of {} frames",
            counts.frames as f64 / rate,
            loaded.names.len(),
            loaded.failed.len(),
            profile.callbacks,
            self.callback_frames()
        )?;
        if let Some(ended) = &self.ended {
            writeln!(f, "ENDED    {ended}; what was played until then is recorded")?;
        }
        writeln!(
            f,
            "voices   {:.0} at once on average, {} at most, of {}; {} recordings begun, {} times nothing to play",
            counts.mean_voices(),
            counts.most_voices,
            self.voices,
            loaded.started,
            counts.starved
        )?;
        let mut line = |name: &str, [p50, p95, p99, p999, max]: [f64; 5], scale: f64, unit: &str| {
            writeln!(
                f,
                "{name:<8} p50 {:.1} {unit}, p95 {:.1} {unit}, p99 {:.1} {unit}, p99.9 {:.1} {unit}, max {:.1} {unit}",
                p50 * scale,
                p95 * scale,
                p99 * scale,
                p999 * scale,
                max * scale
            )
        };
        if let (Some(times), Some(max)) = (recorded.timeline.executions(), profile.longest_execution) {
            line("time", [times.p50, times.p95, times.p99, times.p999, max], 1e6, "us")?;
        }
        if let Some(load) = profile.load {
            line("load", [load.p50, load.p95, load.p99, load.p999, load.max], 100.0, "%")?;
        }
        writeln!(
            f,
            "dropouts {} late in {} events, {} overruns; the server told {} xruns and logged {}{}",
            profile.late,
            profile.late_events,
            profile.overruns,
            profile.backend_xruns,
            self.server_xruns,
            if self.stall_every > 0 {
                format!("; {} stalls of 4 ms were planted", counts.stalls)
            } else {
                String::new()
            }
        )?;
        if let Some(latency) = profile.latency {
            writeln!(
                f,
                "latency  {:.2} ms on average until the cycle ends, {:.2} to {:.2}",
                latency.mean * 1e3,
                latency.min * 1e3,
                latency.max * 1e3
            )?;
        }
        writeln!(
            f,
            "callback {} allocations, {} page faults after the warm-up",
            counts.allocations, counts.page_faults
        )?;
        let totals = self.totals();
        writeln!(
            f,
            "buffers  {} created, {} times one was handed out, {} evicted, {} times none to be had, {} large ones cleared in the callback of {} taken",
            totals.created,
            self.handed_out(),
            totals.evicted,
            totals.exhausted,
            totals.inline_clears,
            counts.echoes
        )?;
        writeln!(
            f,
            "memory   {} at most ({} of it recordings), limit {}, {} left in the end",
            Bytes(self.peak_bytes),
            Bytes(loaded.tracked_bytes),
            Bytes(self.budget),
            Bytes(self.bytes_left)
        )?;
        write!(
            f,
            "sound    {:.1} s recorded, {} frames lost; peak {:.3}, rms {:.3} of full scale, {:.2} % of the samples bent",
            recorded.frames as f64 / rate,
            counts.unrecorded,
            recorded.loudness.peak,
            recorded.loudness.rms(),
            counts.limited as f64 / recorded.loudness.samples.max(1) as f64 * 100.0
        )
    }
}
