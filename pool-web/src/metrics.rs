//! What the profiler reports: [`Metrics`] and [`LatencyInfo`]. What cannot be known is `None`, never a guess.

use crate::timing::{LoadSummary, Timings};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// How an audio context is doing.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
#[non_exhaustive]
pub struct Metrics {
    /// The context's time in seconds.
    pub context_time: f64,
    /// Seconds between the graph and the audio system of the browser.
    pub base_latency: Option<f64>,
    /// Seconds between the audio system and the ear, as the browser estimates them.
    pub output_latency: Option<f64>,
    /// Times the sound broke off because the audio thread was late, since the last reset. Only the browser knows;
    /// `None` where it does not tell.
    pub underruns: Option<u64>,
    /// Seconds of sound that were missing for it, since the last reset.
    pub underrun_seconds: Option<f64>,
    /// The part of the available time that rendering took, over the latest two seconds; 1 is all of it.
    pub load: Option<f64>,
    /// Milliseconds between callbacks of the sound device, on average over the history.
    pub average_callback_interval: Option<f64>,
    /// Render quanta seen since the last reset, while monitoring.
    pub quanta: u64,
    /// How the load was distributed since the last reset.
    pub loads: Option<LoadSummary>,
}

/// Where the delay between the graph and the ear comes from, in seconds.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct LatencyInfo {
    /// From the graph to the browser's audio system.
    pub base: Option<f64>,
    /// From there to the ear.
    pub output: Option<f64>,
    /// Both; `None` unless both are known.
    pub total: Option<f64>,
}

impl LatencyInfo {
    /// Adds up what is known.
    #[must_use]
    pub fn new(base: Option<f64>, output: Option<f64>) -> Self {
        Self { base, output, total: base.zip(output).map(|(base, output)| base + output) }
    }
}

/// What a browser counts of underruns; it counts from the start of the context.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct UnderrunCount {
    /// How often.
    pub events: f64,
    /// For how many seconds in all.
    pub seconds: f64,
}

impl UnderrunCount {
    /// What came since `baseline`.
    #[must_use]
    pub fn since(self, baseline: Self) -> Self {
        Self {
            events: (self.events - baseline.events).max(0.0),
            seconds: (self.seconds - baseline.seconds).max(0.0),
        }
    }
}

impl Metrics {
    /// Puts together what the context says and what was measured.
    #[must_use]
    pub fn new(
        context_time: f64,
        latency: LatencyInfo,
        underruns: Option<UnderrunCount>,
        timings: &Timings,
    ) -> Self {
        Self {
            context_time,
            base_latency: latency.base,
            output_latency: latency.output,
            underruns: underruns.map(|count| count.events as u64),
            underrun_seconds: underruns.map(|count| count.seconds),
            load: timings.load(),
            average_callback_interval: timings.average_interval(),
            quanta: timings.quanta(),
            loads: timings.load_summary(),
        }
    }

    /// Base and output latency.
    #[must_use]
    pub fn latency(&self) -> LatencyInfo {
        LatencyInfo::new(self.base_latency, self.output_latency)
    }

    /// The metrics as a JSON object, under the names of the fields here; what is not known is null.
    #[must_use]
    pub fn to_json(&self) -> String {
        let number = |value: Option<f64>| match value {
            Some(value) if value.is_finite() => format!("{value}"),
            _ => String::from("null"),
        };
        let loads = self.loads;
        let figures = [
            ("context_time", Some(self.context_time)),
            ("base_latency", self.base_latency),
            ("output_latency", self.output_latency),
            ("underruns", self.underruns.map(|count| count as f64)),
            ("underrun_seconds", self.underrun_seconds),
            ("load", self.load),
            ("load_p50", loads.map(|loads| loads.p50)),
            ("load_p95", loads.map(|loads| loads.p95)),
            ("load_p99", loads.map(|loads| loads.p99)),
            ("load_max", loads.map(|loads| loads.max)),
            ("average_callback_interval", self.average_callback_interval),
            ("quanta", Some(self.quanta as f64)),
        ];
        let members: Vec<String> =
            figures.iter().map(|(name, value)| format!("\"{name}\":{}", number(*value))).collect();
        format!("{{{}}}", members.join(","))
    }

    /// One line per figure, for a console.
    #[must_use]
    pub fn report(&self) -> Vec<String> {
        let latency = self.latency();
        let ms = |seconds: Option<f64>| shown(seconds.map(|s| s * 1000.0), 2, " ms");
        alloc::vec![
            format!("Context time: {:.3} s", self.context_time),
            format!("Base latency: {}", ms(latency.base)),
            format!("Output latency: {}", ms(latency.output)),
            format!("Total latency: {}", ms(latency.total)),
            format!("Underruns: {}", shown(self.underruns.map(|count| count as f64), 0, "")),
            format!("Average callback interval: {}", shown(self.average_callback_interval, 2, " ms")),
            format!("Load: {}", shown(self.load.map(|load| load * 100.0), 1, " %")),
        ]
    }
}

fn shown(value: Option<f64>, digits: usize, unit: &str) -> String {
    value.map_or_else(|| String::from("unavailable"), |value| format!("{value:.digits$}{unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    // The seed turns what is missing into 0, which reads as "no latency, no load".
    #[test]
    fn the_unknown_is_not_zero() {
        let metrics =
            Metrics::new(1.5, LatencyInfo::new(Some(0.01), None), None, &Timings::new(48000.0, None));
        assert_eq!(metrics.latency().total, None);
        let json = metrics.to_json();
        assert!(
            json.starts_with("{\"context_time\":1.5,\"base_latency\":0.01,\"output_latency\":null,"),
            "{json}"
        );
        assert!(
            json.ends_with("\"load_max\":null,\"average_callback_interval\":null,\"quanta\":0}"),
            "{json}"
        );
        let report = metrics.report();
        assert_eq!(report[0], "Context time: 1.500 s");
        assert_eq!(report[1], "Base latency: 10.00 ms");
        assert_eq!(report.iter().filter(|line| line.ends_with("unavailable")).count(), 5);
    }

    // A reset must not report what came before it, nor wrap below zero.
    #[test]
    fn underruns_count_from_the_reset() {
        let count = |events| UnderrunCount { events, seconds: events / 10.0 };
        assert_eq!(count(5.0).since(count(2.0)).events, 3.0);
        assert_eq!(count(1.0).since(count(2.0)), UnderrunCount::default());
        let timings = Timings::new(48000.0, None);
        let metrics = Metrics::new(0.0, LatencyInfo::new(Some(0.25), Some(0.5)), Some(count(3.0)), &timings);
        assert_eq!((metrics.underruns, metrics.latency().total), (Some(3), Some(0.75)));
    }
}
