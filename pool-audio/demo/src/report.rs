//! What happened, for people and for programs.

use std::fmt;
use std::path::PathBuf;

use pool_audio::{Bytes, PoolStats, ProfileSnapshot};
use serde_json::{Value, json};

use crate::kit::SAMPLE_RATE;
use crate::mixer::{Counts, QUANTUM};
use crate::wav::Loudness;

/// Everything worth telling about one mix.
#[derive(Debug)]
pub(crate) struct Report {
    /// Files that were mixed.
    pub(crate) files: Vec<String>,
    /// Files that could not be used, and why.
    pub(crate) failed: Vec<(PathBuf, String)>,
    pub(crate) counts: Counts,
    pub(crate) profile: ProfileSnapshot,
    /// Both pools added up.
    pub(crate) pools: PoolTotals,
    /// Limit of the audio memory, in bytes.
    pub(crate) budget: usize,
    /// Most bytes that samples and buffers took together.
    pub(crate) peak_bytes: usize,
    /// Of the peak: bytes of the recordings.
    pub(crate) tracked_bytes: usize,
    /// Bytes still charged when everything had been dropped: 0, or something leaked.
    pub(crate) bytes_left: usize,
    pub(crate) loudness: Loudness,
}

/// Counts of several pools, added up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PoolTotals {
    pub(crate) created: u64,
    pub(crate) reused: u64,
    pub(crate) evicted: u64,
}

impl PoolTotals {
    /// Adds one pool.
    pub(crate) fn add(&mut self, stats: &PoolStats) {
        self.created += stats.created;
        self.reused += stats.hits;
        self.evicted += stats.evicted;
    }
}

impl Report {
    fn seconds(&self) -> f64 {
        self.counts.quanta as f64 * f64::from(QUANTUM) / f64::from(SAMPLE_RATE.get())
    }

    fn mean_overlap(&self) -> f64 {
        self.counts.overlap_sum as f64 / self.counts.quanta.max(1) as f64
    }

    /// The contents of `native.json`. What is not known is `null`.
    pub(crate) fn to_json(&self) -> Value {
        let load = self.profile.load.map(|load| {
            json!({
                "p50": load.p50, "p95": load.p95, "p99": load.p99, "p999": load.p999,
                "max": load.max, "mean": load.mean,
            })
        });
        let failed: Vec<Value> = self
            .failed
            .iter()
            .map(|(path, reason)| json!({ "file": path.display().to_string(), "error": reason }))
            .collect();
        json!({
            "files": self.files.len(),
            "file_names": self.files,
            "failed": failed,
            "seconds": self.seconds(),
            "sample_rate": SAMPLE_RATE.get(),
            "quantum_frames": QUANTUM,
            "quanta": self.counts.quanta,
            "voices": self.counts.voices,
            "max_overlap": self.counts.max_overlap,
            "mean_overlap": self.mean_overlap(),
            "load": load,
            "overruns": self.profile.overruns,
            "created": self.pools.created,
            "reused": self.pools.reused,
            "evicted": self.pools.evicted,
            "echoes_refused": self.counts.echoes_refused,
            "stopped_early": self.counts.stopped_early,
            "budget_bytes": self.budget,
            "peak_bytes": self.peak_bytes,
            "tracked_bytes": self.tracked_bytes,
            "bytes_left": self.bytes_left,
            "peak": self.loudness.peak,
            "rms": self.loudness.rms(),
            "limited_samples": self.counts.limited,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { counts, pools, loudness, .. } = self;
        writeln!(
            f,
            "mixed    {:.1} s of {} recordings ({} could not be used), frame by frame, not resampled",
            self.seconds(),
            self.files.len(),
            self.failed.len()
        )?;
        writeln!(
            f,
            "voices   {} started, {:.0} at once on average, {} at most",
            counts.voices,
            self.mean_overlap(),
            counts.max_overlap
        )?;
        // Not the profile's own text: its gaps mean nothing here, where no sound card sets the pace.
        if let (Some(load), Some(mean), Some(longest)) =
            (self.profile.load, self.profile.mean_execution, self.profile.longest_execution)
        {
            writeln!(
                f,
                "load     p50 {:.2} %, p95 {:.2} %, p99 {:.2} %, max {:.2} % of the period of {:.3} ms",
                load.p50 * 100.0,
                load.p95 * 100.0,
                load.p99 * 100.0,
                load.max * 100.0,
                f64::from(QUANTUM) / f64::from(SAMPLE_RATE.get()) * 1e3
            )?;
            writeln!(
                f,
                "quanta   {} made, mean {:.1} us, longest {:.1} us, {} took longer than their period",
                counts.quanta,
                mean * 1e6,
                longest * 1e6,
                self.profile.overruns
            )?;
        }
        let acquired = pools.created + pools.reused;
        writeln!(
            f,
            "buffers  {} created, {} reused ({:.3} % of {acquired}), {} evicted, {} echoes refused",
            pools.created,
            pools.reused,
            pools.reused as f64 / acquired.max(1) as f64 * 100.0,
            pools.evicted,
            counts.echoes_refused
        )?;
        writeln!(
            f,
            "memory   {} at most ({} of it recordings), limit {}, {} left in the end",
            Bytes(self.peak_bytes),
            Bytes(self.tracked_bytes),
            Bytes(self.budget),
            Bytes(self.bytes_left)
        )?;
        write!(
            f,
            "sound    peak {:.3}, rms {:.3} of full scale, {:.2} % of the samples bent by the limiter",
            loudness.peak,
            loudness.rms(),
            counts.limited as f64 / loudness.samples.max(1) as f64 * 100.0
        )
    }
}
