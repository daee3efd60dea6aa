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
use crate::kit::SAMPLE_RATE;

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
    /// What the exit code should tell: none of it, or each of these.
    pub(crate) fn problems(&self) -> Vec<String> {
        let unwritten = self.recorded.problem.as_ref().map(|problem| match self.lost() {
            0 => problem.clone(),
            lost => format!("{problem}; {lost} frames that were played are not in it"),
        });
        let gaps = (unwritten.is_none() && self.lost() > 0).then(|| {
            format!(
                "{} frames that were played are missing in the recording: the recorder was too far behind",
                self.lost()
            )
        });
        [self.ended.clone(), unwritten, gaps, self.left.clone()].into_iter().flatten().collect()
    }

    /// Frames that were played and are not in the recording.
    fn lost(&self) -> u64 {
        self.counts.unrecorded + self.recorded.lost
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

    /// Of those: buffers that somebody had had before. At the least: as if each that was created had been handed out.
    fn reused(&self) -> u64 {
        self.handed_out().saturating_sub(self.totals().created)
    }

    /// `128`, or `128 to 1024` if the server changed its mind.
    fn callback_frames(&self) -> String {
        let (fewest, most) = (self.counts.fewest_frames, self.counts.most_frames);
        if fewest == most { format!("{most}") } else { format!("{fewest} to {most}") }
    }

    /// Writes `native.json` and the charts, each whatever became of the others. Gives the names of those that were written,
    /// the recording among them, and what is wrong with the others.
    pub(crate) fn write(&self, folder: &Path) -> (Vec<&'static str>, Vec<String>) {
        let contents = [
            format!("{:#}\n", self.to_json()),
            chart::histogram(&self.recorded.timeline, &self.profile),
            chart::timeline(&self.recorded.timeline, &self.profile),
        ];
        let mut written = Vec::new();
        if self.recorded.frames > 0 {
            written.push("mix.wav");
        }
        let mut problems = Vec::new();
        for (name, text) in FILES.into_iter().zip(contents) {
            let path = folder.join(name);
            match fs::write(&path, text) {
                Ok(()) => written.push(name),
                Err(error) => {
                    problems.push(format!("{} cannot be written: {error}", path.display()));
                    // Half of it, perhaps, which makes no sense to anybody, and takes room from the next.
                    let _ = fs::remove_file(&path);
                }
            }
        }
        (written, problems)
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
            "problems": self.problems(),
            "files": loaded.names.len(),
            "file_names": loaded.names,
            "failed": failed,
            "seconds": counts.frames as f64 / f64::from(SAMPLE_RATE.get()),
            "sample_rate": SAMPLE_RATE.get(),
            "quantum_frames": PERIOD,
            "callbacks": profile.callbacks,
            "frames": counts.frames,
            "frames_recorded": recorded.frames,
            "frames_unrecorded": self.lost(),
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
            "late_by_a_period": counts.late_by_period,
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
            "reused": self.reused(),
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
            "played   {:.1} s of {} recordings ({} could not be used), frame by frame, not resampled, in {} callbacks of {} frames",
            counts.frames as f64 / rate,
            loaded.names.len(),
            loaded.failed.len(),
            profile.callbacks,
            self.callback_frames()
        )?;
        if let Some(ended) = &self.ended {
            let recorded = if self.lost() == 0 { "; what was played until then is recorded" } else { "" };
            writeln!(f, "ENDED    {ended}{recorded}")?;
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
            "dropouts {} late in {} events, {} of them by more than a period; {} overruns; the server told {} xruns and logged {}{}",
            profile.late,
            profile.late_events,
            counts.late_by_period,
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
            "buffers  {} created, {} times one was handed out, at least {} of them reused ({:.3} %), {} evicted, {} times none to be had, {} large ones cleared in the callback of {} taken",
            totals.created,
            self.handed_out(),
            self.reused(),
            self.reused() as f64 / self.handed_out().max(1) as f64 * 100.0,
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
            self.lost(),
            recorded.loudness.peak,
            recorded.loudness.rms(),
            counts.limited as f64 / recorded.loudness.samples.max(1) as f64 * 100.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::callback::CountsRead;
    use crate::live::chart::Timeline;
    use crate::wav::Loudness;
    use pool_audio::{CallbackProfiler, RealtimePool};

    /// A second in which all went well.
    fn good() -> Report {
        let mut profiler = CallbackProfiler::new(SAMPLE_RATE);
        let mut timeline = Timeline::new(1.0, 128.0 / 48_000.0);
        profiler.begin(PERIOD);
        timeline.add(&profiler.end().unwrap());
        let counts = CountsRead { frames: 48_000, handed_out: 24_000, ..CountsRead::default() };
        Report {
            loaded: Loaded { chunks: 3000, ..Loaded::default() },
            ended: None,
            profile: profiler.snapshot(),
            counts,
            recorded: Recording {
                frames: 48_000,
                lost: 0,
                problem: None,
                loudness: Loudness::default(),
                timeline,
            },
            server_xruns: 0,
            pool: RealtimePool::builder("test").build().stats(),
            budget: 1000,
            peak_bytes: 500,
            bytes_left: 0,
            left: None,
            voices: 64,
            stall_every: 0,
        }
    }

    /// Would catch a gap in the recording that nobody is told of, and one of two problems that hides the other.
    #[test]
    fn what_is_not_recorded_is_a_problem() {
        assert_eq!(good().problems(), Vec::<String>::new());
        let mut gap = good();
        gap.counts.unrecorded = 12_032;
        let told = gap.problems();
        assert!(
            told.len() == 1 && told[0].starts_with("12032 frames that were played are missing"),
            "{told:?}"
        );
        let json = gap.to_json();
        assert_eq!((&json["frames_unrecorded"], &json["problems"][0]), (&json!(12_032), &json!(told[0])));
        assert!(gap.to_string().contains("12032 frames lost"), "{gap}");
        let mut full = good();
        full.ended = Some("interrupted after 1.0 s".to_owned());
        full.recorded.lost = 100;
        full.recorded.problem = Some("mix.wav cannot be written: no space".to_owned());
        let told = full.problems();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[1].ends_with("no space; 100 frames that were played are not in it"), "{told:?}");
        assert!(!full.to_string().contains("what was played until then is recorded"), "{full}");
    }

    /// Would catch a report that ends with the first file that cannot be written, one that leaves half a file, and one that
    /// names what it has not written.
    #[test]
    fn each_file_is_written_whatever_becomes_of_the_others() {
        let folder = std::env::temp_dir().join(format!("pool-audio-report-{}", std::process::id()));
        // In the way of the first file.
        fs::create_dir_all(folder.join("native.json")).unwrap();
        let (written, problems) = good().write(&folder);
        let charts = ["histogram.svg", "timeline.svg"].map(|name| folder.join(name).is_file());
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!((written, charts), (vec!["mix.wav", "histogram.svg", "timeline.svg"], [true, true]));
        assert!(
            problems.len() == 1 && problems[0].contains("native.json cannot be written: "),
            "{problems:?}"
        );
    }

    /// Would catch a report without one of what a pool is asked about, a reuse that counts first uses, and one that is told as a
    /// count, though it is a bound.
    #[test]
    fn buffers_are_told_as_created_reused_evicted_and_bytes() {
        let json = good().to_json();
        assert_eq!(
            ["created", "handed_out", "reused", "evicted", "peak_bytes"].map(|key| json[key].as_u64()),
            [0, 27_000, 27_000, 0, 500].map(Some)
        );
        let mut report = good();
        let mut pool = RealtimePool::builder("test").build();
        let key = pool_audio::BufferKey { channels: 2, frames: PERIOD, sample_rate: SAMPLE_RATE };
        pool.prewarm(key, 1200).unwrap();
        report.pool = pool.stats();
        assert_eq!(report.to_json()["reused"], 25_800);
        assert!(report.to_string().contains(
            "1200 created, 27000 times one was handed out, at least 25800 of them reused (95.556 %)"
        ));
    }
}
