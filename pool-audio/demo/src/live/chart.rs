//! Two charts as SVG: how the times of callbacks are spread, and when they were long.

use std::fmt::Write;

use pool_audio::{CallbackTiming, ProfileSnapshot};

/// Columns of the timeline, at the most.
const COLUMNS: usize = 480;
/// Callbacks that are due in a column, at the least, so that there is one that is usual.
const PER_COLUMN: f64 = 4.0;
/// Bins per factor of ten, and the decades that they span from one microsecond on.
const PER_DECADE: usize = 12;
const DECADES: usize = 5;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 24.0;
const PLOT: f64 = WIDTH - LEFT - RIGHT;

const BLUE: &str = "#0969da";
const ORANGE: &str = "#bc4c00";
const GREY: &str = "#57606a";
const LIGHT_BLUE: &str = "#54aeff";
const RED: &str = "#cf222e";

/// Times of callbacks, as many as there may be, in a fixed amount of memory.
#[derive(Debug)]
pub(crate) struct Timeline {
    seconds: f64,
    period: f64,
    first: Option<u64>,
    columns: Vec<Column>,
    executions: Bins,
    gaps: Bins,
    /// The executions once more, finer.
    fine: Fine,
}

/// What fell into one column of the timeline, in seconds.
#[derive(Debug, Clone, Copy, Default)]
struct Column {
    count: u32,
    execution_sum: f64,
    execution_max: f64,
    gap_max: f64,
}

impl Column {
    /// How long a callback takes here as a rule: the mean of all but the longest, so that a single stall shows as what it is
    /// and not as a mean between it and the rest, which no callback took.
    fn usual(&self) -> f64 {
        match self.count {
            0 | 1 => self.execution_max,
            count => (self.execution_sum - self.execution_max) / f64::from(count - 1),
        }
    }
}

/// Counts by order of magnitude.
#[derive(Debug)]
struct Bins([u32; PER_DECADE * DECADES]);

/// Bins per factor of ten for percentiles: each is 0.5 % wide.
const FINE_PER_DECADE: usize = 460;
/// From 0.1 us to 10 s.
const FINE_FROM: f64 = 1e-7;
const FINE_BINS: usize = FINE_PER_DECADE * 8;

/// Counts that are fine enough for percentiles. Of times, not of loads: a server may change its period as it plays, and a
/// load tells the time of one period only.
#[derive(Debug)]
struct Fine {
    bins: Vec<u32>,
    count: u64,
}

impl Fine {
    fn new() -> Self {
        Self { bins: vec![0; FINE_BINS], count: 0 }
    }

    fn add(&mut self, seconds: f64) {
        let at = ((seconds / FINE_FROM).max(1.0).log10() * FINE_PER_DECADE as f64) as usize;
        self.bins[at.min(FINE_BINS - 1)] += 1;
        self.count += 1;
    }

    /// The least of a bin, so that it is never more than the longest.
    fn percentile(&self, fraction: f64) -> Option<f64> {
        let rank = ((self.count as f64 * fraction).ceil() as u64).max(1);
        let mut seen = 0;
        let at = self.bins.iter().position(|&count| {
            seen += u64::from(count);
            seen >= rank
        })?;
        Some(FINE_FROM * 10.0_f64.powf(at as f64 / FINE_PER_DECADE as f64))
    }
}

/// How long callbacks took, in seconds: half took no more than `p50`, and so on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Executions {
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
}

impl Bins {
    fn add(&mut self, seconds: f64) {
        let at = ((seconds * 1e6).max(1.0).log10() * PER_DECADE as f64) as usize;
        self.0[at.min(PER_DECADE * DECADES - 1)] += 1;
    }

    fn most(&self) -> u32 {
        self.0.iter().copied().max().unwrap_or(0)
    }
}

impl Timeline {
    /// For so many seconds of callbacks that are due every `period` seconds.
    pub(super) fn new(seconds: f64, period: f64) -> Self {
        let bins = || Bins([0; PER_DECADE * DECADES]);
        let columns = ((seconds / period / PER_COLUMN) as usize).clamp(1, COLUMNS);
        let columns = vec![Column::default(); columns];
        Self { seconds, period, first: None, columns, executions: bins(), gaps: bins(), fine: Fine::new() }
    }

    /// Nothing if there was no callback.
    pub(super) fn executions(&self) -> Option<Executions> {
        let at = |fraction| self.fine.percentile(fraction);
        Some(Executions { p50: at(0.5)?, p95: at(0.95)?, p99: at(0.99)?, p999: at(0.999)? })
    }

    /// One more callback, its times in nanoseconds.
    pub(super) fn add(&mut self, timing: &CallbackTiming) {
        let seconds = |ticks: u64| ticks as f64 / 1e9;
        let first = *self.first.get_or_insert(timing.begin.0);
        let at = seconds(timing.begin.0.saturating_sub(first)) / self.seconds * self.columns.len() as f64;
        let last = self.columns.len() - 1;
        let column = &mut self.columns[(at as usize).min(last)];
        let (execution, gap) = (seconds(timing.execution), seconds(timing.gap));
        column.count += 1;
        column.execution_sum += execution;
        column.execution_max = column.execution_max.max(execution);
        column.gap_max = column.gap_max.max(gap);
        self.executions.add(execution);
        self.fine.add(execution);
        if gap > 0.0 {
            self.gaps.add(gap);
        }
    }
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = text.write_fmt(arguments);
    text.push('\n');
}

fn begin(title: &str, note: &str, height: f64) -> String {
    let mut text = String::new();
    put(
        &mut text,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"12\" role=\"img\">\n\
             <title>{title}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
             <text x=\"16\" y=\"28\" font-size=\"17\" font-weight=\"600\" fill=\"#1b1f24\">{title}</text>\n\
             <text x=\"16\" y=\"50\" fill=\"{GREY}\">{note}</text>"
        ),
    );
    text
}

fn line(text: &mut String, from: (f64, f64), to: (f64, f64), colour: &str, dashed: bool) {
    let dash = if dashed { " stroke-dasharray=\"4 3\"" } else { "" };
    put(
        text,
        format_args!(
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"{dash}/>",
            from.0, from.1, to.0, to.1
        ),
    );
}

fn label(text: &mut String, x: f64, y: f64, anchor: &str, colour: &str, words: &str) {
    put(
        text,
        format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{words}</text>"
        ),
    );
}

/// `250 us`, `2.67 ms`.
fn time(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => format!("{:.0} us", s * 1e6),
        s if s < 0.01 => format!("{:.2} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s => format!("{s:.0} s"),
    }
}

/// How many callbacks took how long, and how far apart they began. Both axes are logarithmic, so that the one in a
/// hundred thousand is seen beside the rest.
pub(super) fn histogram(timeline: &Timeline, profile: &ProfileSnapshot) -> String {
    const PANEL: f64 = 150.0;
    let note = format!(
        "{} callbacks, one due every {}; {} late, {} overruns, {} xruns told by the server",
        profile.callbacks,
        time(timeline.period),
        profile.late,
        profile.overruns,
        profile.backend_xruns
    );
    let mut text = begin("Times of callbacks", &note, 2.0 * (PANEL + 58.0) + 60.0);
    let x = |seconds: f64| LEFT + (seconds * 1e6).max(1.0).log10() / DECADES as f64 * PLOT;
    let panels =
        [("from begin to end", &timeline.executions, BLUE), ("from begin to begin", &timeline.gaps, ORANGE)];
    for (index, (name, bins, colour)) in panels.into_iter().enumerate() {
        let top = 86.0 + index as f64 * (PANEL + 58.0);
        let bottom = top + PANEL;
        let most = f64::from(bins.most()).max(1.0).log10().max(1.0);
        let height =
            |count: f64| if count < 1.0 { 0.0 } else { (count.log10() + 0.3) / (most + 0.3) * PANEL };
        label(&mut text, LEFT, top - 10.0, "start", colour, name);
        for decade in 0..=most as i32 {
            let y = bottom - height(10.0_f64.powi(decade));
            line(&mut text, (LEFT, y), (LEFT + PLOT, y), "#e4e8ec", false);
            label(&mut text, LEFT - 8.0, y + 4.0, "end", GREY, &format!("{}", 10_u64.pow(decade as u32)));
        }
        let step = PLOT / (PER_DECADE * DECADES) as f64;
        for (bin, &count) in bins.0.iter().enumerate().filter(|(_, count)| **count > 0) {
            let tall = height(f64::from(count));
            put(
                &mut text,
                format_args!(
                    "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\" fill=\"{colour}\"/>",
                    LEFT + bin as f64 * step + 0.5,
                    bottom - tall,
                    step - 1.0
                ),
            );
        }
        line(&mut text, (LEFT, bottom), (LEFT + PLOT, bottom), GREY, false);
        for decade in 0..=DECADES as i32 {
            let seconds = 1e-6 * 10.0_f64.powi(decade);
            line(&mut text, (x(seconds), bottom), (x(seconds), bottom + 4.0), GREY, false);
            label(&mut text, x(seconds), bottom + 17.0, "middle", GREY, &tick(decade));
        }
        let due = x(timeline.period);
        line(&mut text, (due, top - 4.0), (due, bottom), RED, true);
        label(&mut text, due + 4.0, top - 10.0, "start", RED, &format!("period {}", time(timeline.period)));
        if let (0, Some(times)) = (index, timeline.executions()) {
            let words = format!(
                "p50 {:.1}, p95 {:.1}, p99 {:.1}, p99.9 {:.1} us",
                times.p50 * 1e6,
                times.p95 * 1e6,
                times.p99 * 1e6,
                times.p999 * 1e6
            );
            label(&mut text, LEFT + 130.0, top - 10.0, "start", GREY, &words);
        }
    }
    text.push_str("</svg>\n");
    text
}

fn tick(decade: i32) -> String {
    ["1 us", "10 us", "100 us", "1 ms", "10 ms", "100 ms"]
        .get(decade as usize)
        .copied()
        .unwrap_or("")
        .to_owned()
}

/// Seconds from one tick to the next, so that there are at most ten, and the digits that tell them apart: 1, 2 or 5 times a
/// power of ten, so that no label is rounded.
fn tick_seconds(seconds: f64) -> (f64, usize) {
    for exponent in -2..6_i32 {
        for factor in [1.0, 2.0, 5.0] {
            let every = factor * 10.0_f64.powi(exponent);
            if seconds / every <= 10.0 {
                return (every, (-exponent).max(0) as usize);
            }
        }
    }
    (seconds, 0)
}

/// The least of 1, 2 and 5 times the powers of ten that is no less than this; or the greatest that is no more.
fn round_number(seconds: f64, up: bool) -> f64 {
    let decade = 10.0_f64.powf(seconds.log10().floor());
    // Not to be thrown off by what a float has no digits for.
    let above = |factor: &f64| factor * decade >= seconds * (1.0 - 1e-9);
    let below = |factor: &f64| factor * decade <= seconds * (1.0 + 1e-9);
    let factors = [1.0, 2.0, 5.0, 10.0];
    let found = if up { factors.iter().find(|f| above(f)) } else { factors.iter().rfind(|f| below(f)) };
    found.map_or(seconds, |factor| factor * decade)
}

/// The times of a logarithmic axis on which everything from `least` to `most` lies, with little room to spare: the first and
/// the last are its ends. All are 1, 2 or 5 times a power of ten; where they would crowd, powers of ten but for the ends.
fn axis(least: f64, most: f64) -> Vec<f64> {
    let bottom = round_number(least.max(1e-7), false);
    let top = round_number(most.max(10.0 * bottom), true);
    let crowded = (top / bottom).log10() > 4.1;
    let mut ticks = vec![bottom];
    for exponent in -7..5_i32 {
        for factor in [1.0, 2.0, 5.0] {
            let tick = factor * 10.0_f64.powi(exponent);
            let room = if crowded { 2.0 } else { 1.1 };
            if tick > bottom * room && tick < top / room && (factor == 1.0 || !crowded) {
                ticks.push(tick);
            }
        }
    }
    ticks.push(top);
    ticks
}

/// `20 us`, `500 us`, `2 ms`, `1 s`: for round numbers.
fn round_time(seconds: f64) -> String {
    match seconds {
        s if s < 0.99e-6 => format!("{:.1} us", s * 1e6),
        s if s < 0.99e-3 => format!("{:.0} us", s * 1e6),
        s if s < 0.99 => format!("{:.0} ms", s * 1e3),
        s => format!("{s:.0} s"),
    }
}

/// A path of strokes: as many as one likes in one element.
fn strokes(text: &mut String, path: &str, colour: &str, width: f64, cap: &str) {
    if !path.is_empty() {
        put(
            text,
            format_args!(
                "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width:.1}\" \
                 stroke-linecap=\"{cap}\" stroke-linejoin=\"round\"/>"
            ),
        );
    }
}

/// When callbacks were long, and when they came late: the worst of each moment, on a logarithmic scale.
pub(super) fn timeline(timeline: &Timeline, profile: &ProfileSnapshot) -> String {
    const PANEL: f64 = 260.0;
    const TOP: f64 = 92.0;
    const BOTTOM: f64 = TOP + PANEL;
    let moment = timeline.seconds / timeline.columns.len() as f64;
    let note = format!(
        "{} callbacks in {:.0} s; of each {} what is usual and the longest, and the longest from begin to begin",
        profile.callbacks,
        timeline.seconds,
        time(moment)
    );
    let mut text = begin("Callbacks in the course of time", &note, BOTTOM + 32.0);
    let seen = || timeline.columns.iter().enumerate().filter(|(_, column)| column.count > 0);
    let least = seen().map(|(_, column)| column.usual()).fold(timeline.period, f64::min);
    let most = |column: &Column| column.gap_max.max(column.execution_max);
    let most = seen().map(|(_, column)| most(column)).fold(timeline.period, f64::max);
    let ticks = axis(least, most);
    let (bottom, top) = (ticks[0], ticks[ticks.len() - 1]);
    let y = |seconds: f64| {
        let part = (seconds / bottom).max(1.0).log10() / (top / bottom).log10();
        BOTTOM - part.min(1.0) * PANEL
    };
    for &tick in &ticks {
        line(&mut text, (LEFT, y(tick)), (LEFT + PLOT, y(tick)), "#e4e8ec", false);
        label(&mut text, LEFT - 8.0, y(tick) + 4.0, "end", GREY, &round_time(tick));
    }
    let step = PLOT / timeline.columns.len() as f64;
    let x = |column: usize| LEFT + (column as f64 + 0.5) * step;
    // Writing to a string does not fail.
    let (mut bars, mut usual, mut gaps, mut before) = (String::new(), String::new(), String::new(), None);
    for (index, column) in seen() {
        let (at, longest) = (x(index), y(column.execution_max));
        let _ = write!(bars, "M{at:.1} {:.1}V{longest:.1}", y(column.usual()) + 0.5);
        // A line where there are columns side by side.
        let command = if before.replace(index + 1) == Some(index) { 'L' } else { 'M' };
        let _ = write!(usual, "{command}{at:.1} {:.1}", y(column.usual()));
        if column.gap_max > 0.0 && column.gap_max <= 1.5 * timeline.period {
            // A stroke of no length with round ends is a dot.
            let _ = write!(gaps, "M{at:.1} {:.1}h0", y(column.gap_max));
        }
    }
    let due = y(timeline.period);
    line(&mut text, (LEFT, due), (LEFT + PLOT, due), RED, true);
    strokes(&mut text, &bars, LIGHT_BLUE, 0.8 * step.min(4.0), "butt");
    strokes(&mut text, &usual, BLUE, 1.5, "round");
    strokes(&mut text, &gaps, ORANGE, 2.4, "round");
    // One is a ring and the other a dot: a stall makes both, often in the same place.
    let mut mark = |at: f64, value: f64, radius: f64, fill: &str| {
        put(
            &mut text,
            format_args!("<circle cx=\"{at:.1}\" cy=\"{:.1}\" r=\"{radius:.1}\" {fill}/>", y(value)),
        );
    };
    for (index, column) in seen() {
        if column.gap_max > 1.5 * timeline.period {
            let ring = format!("fill=\"none\" stroke=\"{ORANGE}\" stroke-width=\"1.5\"");
            mark(x(index), column.gap_max, 5.2, &ring);
        }
        if column.execution_max > timeline.period {
            mark(x(index), column.execution_max, 3.2, &format!("fill=\"{BLUE}\""));
        }
    }
    // On white, so that it can be read where lines cross it.
    put(
        &mut text,
        format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"{RED}\" stroke=\"#ffffff\" \
             stroke-width=\"4\" paint-order=\"stroke\">period {}</text>",
            LEFT + PLOT,
            due + 15.0,
            time(timeline.period)
        ),
    );
    let legend = [
        ("begin to end: usual to longest", BLUE, LIGHT_BLUE, 0.0),
        ("over its period: overrun", BLUE, BLUE, 205.0),
        ("begin to begin, longest", ORANGE, ORANGE, 380.0),
        ("over 1.5 periods: late", ORANGE, "none", 550.0),
    ];
    for (words, colour, fill, at) in legend {
        let at = LEFT + at;
        put(
            &mut text,
            format_args!("<circle cx=\"{at:.1}\" cy=\"70\" r=\"4\" fill=\"{fill}\" stroke=\"{colour}\"/>"),
        );
        label(&mut text, at + 9.0, 74.0, "start", GREY, words);
    }
    line(&mut text, (LEFT, BOTTOM), (LEFT + PLOT, BOTTOM), GREY, false);
    let (every, digits) = tick_seconds(timeline.seconds);
    for part in 0..=(timeline.seconds / every + 1e-9) as u32 {
        let seconds = every * f64::from(part);
        let at = LEFT + PLOT * seconds / timeline.seconds;
        line(&mut text, (at, BOTTOM), (at, BOTTOM + 4.0), GREY, false);
        label(&mut text, at, BOTTOM + 18.0, "middle", GREY, &format!("{seconds:.digits$} s"));
    }
    text.push_str("</svg>\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::{NonZeroU32, NonZeroU64};

    use pool_audio::{CallbackProfiler, ManualClock, Tick};

    /// Would catch a time beyond the axis that panics, or one that is not counted.
    #[test]
    fn every_time_has_a_bin() {
        let mut bins = Bins([0; PER_DECADE * DECADES]);
        for seconds in [0.0, 1e-9, 1e-6, 2.667e-3, 0.099, 1.0, 1e9] {
            bins.add(seconds);
        }
        assert_eq!(bins.0.iter().sum::<u32>(), 7);
        assert_eq!((bins.0[0], bins.0[PER_DECADE * DECADES - 1]), (3, 3));
        assert_eq!(bins.most(), 3);
    }

    /// Would catch percentiles that are off by a rank or by more than a bin, and one above the longest time.
    #[test]
    fn percentiles_are_those_of_the_times() {
        let mut fine = Fine::new();
        assert_eq!(fine.percentile(0.5), None);
        (1..=1000).for_each(|micros| fine.add(f64::from(micros) * 1e-6));
        for (fraction, wanted) in [(0.5, 500e-6), (0.95, 950e-6), (0.999, 999e-6), (1.0, 1000e-6)] {
            let found = fine.percentile(fraction).unwrap();
            assert!(found <= wanted * 1.000_001 && found > wanted * 0.994, "{fraction}: {found}");
        }
        fine.add(0.0);
        fine.add(1e9);
        assert_eq!(fine.percentile(0.0), Some(FINE_FROM));
    }

    /// Would catch ticks whose labels are rounded, that crowd, or of which there are none.
    #[test]
    fn labels_of_ticks_are_exact() {
        for seconds in [0.1, 0.75, 1.0, 2.5, 6.0, 12.0, 16.0, 61.0, 3600.0] {
            let (every, digits) = tick_seconds(seconds);
            let count = (seconds / every + 1e-9) as u32;
            assert!((2..=10).contains(&count), "{seconds}: {count}");
            for part in 0..=count {
                let tick = every * f64::from(part);
                let told: f64 = format!("{tick:.digits$}").parse().unwrap();
                assert!((told - tick).abs() < 1e-9, "{seconds}: {told} for {tick}");
            }
        }
    }

    fn timing(
        profiler: &mut CallbackProfiler<&ManualClock>,
        clock: &ManualClock,
        execution: u64,
    ) -> CallbackTiming {
        profiler.begin(128);
        clock.advance(execution);
        let timing = profiler.end().unwrap();
        clock.advance(2_666_667_u64.saturating_sub(execution));
        timing
    }

    /// Would catch a stall that is drawn as a mean which no callback took, and one that is not drawn as what it was.
    #[test]
    fn a_stall_leaves_what_is_usual_as_it_is() {
        let clock = ManualClock::new(Tick(0));
        let mut profiler = CallbackProfiler::with_clock(
            &clock,
            NonZeroU64::new(1_000_000_000).unwrap(),
            NonZeroU32::new(48_000).unwrap(),
        );
        let mut timeline = Timeline::new(12.0, 128.0 / 48_000.0);
        for call in 1..=4500 {
            timeline.add(&timing(&mut profiler, &clock, if call % 500 == 0 { 4_200_000 } else { 25_000 }));
        }
        assert_eq!(timeline.columns.len(), 480);
        for column in timeline.columns.iter().filter(|column| column.count > 0) {
            assert!((column.usual() - 25e-6).abs() < 1e-9, "{column:?}");
        }
        let text = super::timeline(&timeline, &profiler.snapshot());
        // Nine overruns and nine callbacks after them that were late, but for the last; four marks in the legend.
        let marks = |of: &str| text.matches(of).count();
        assert_eq!((marks("r=\"3.2\""), marks("r=\"5.2\""), marks("r=\"4\"")), (9, 8, 4));
        assert!(!text.contains("NaN"));
        // The scale goes from 20 us to 5 ms.
        assert!(text.contains(">20 us<") && text.contains(">5 ms<"), "{text}");
        assert!(!text.contains(">10 us<") && !text.contains(">10 ms<"), "{text}");
    }

    /// Would catch a picture with a part that stays blank, and points beyond its ends.
    #[test]
    fn the_scale_leaves_little_room() {
        for (least, most) in
            [(25e-6, 4.1e-3), (9.9e-6, 2.7e-3), (1e-5, 1e-2), (99e-6, 0.1), (2e-6, 1.5), (1e-3, 2e-3)]
        {
            let ticks = axis(least, most);
            let (bottom, top) = (ticks[0], ticks[ticks.len() - 1]);
            assert!(bottom <= least * 1.000_001 && bottom * 2.6 > least, "{least}: {ticks:?}");
            assert!(top >= most * 0.999_999 && (top < 2.6 * most || top < 25.0 * least), "{most}: {ticks:?}");
            assert!(ticks.is_sorted() && ticks.len() <= 13, "{ticks:?}");
            let labels: Vec<String> = ticks.iter().map(|&tick| round_time(tick)).collect();
            assert!(labels.windows(2).all(|pair| pair[0] != pair[1]), "{labels:?}");
        }
    }

    /// Would catch a column for each callback of a short run, in which nothing is usual, and a chart of nothing that panics.
    #[test]
    fn a_short_run_has_few_columns() {
        let timeline = Timeline::new(1.0, 128.0 / 48_000.0);
        assert_eq!((timeline.columns.len(), Timeline::new(0.001, 0.002).columns.len()), (93, 1));
        let profile = CallbackProfiler::new(NonZeroU32::new(48_000).unwrap()).snapshot();
        assert!(super::timeline(&timeline, &profile).ends_with("</svg>\n"));
    }
}
