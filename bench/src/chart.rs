//! Horizontal bars as SVG: ours in colour, the rest in grey.

use crate::figures::Measured;
use crate::text::{put, shown, spaced};
use crate::workloads::Kind;
use crate::workloads::memory::Memory;
use crate::worst::Worst;

struct Bar {
    label: String,
    /// Written small after the label.
    detail: String,
    value: f64,
    kind: Kind,
}

impl Bar {
    /// About how wide the label is drawn.
    fn label_width(&self) -> f64 {
        7.9 * self.label.chars().count() as f64 + 7.0 * self.detail.chars().count() as f64
    }
}

const WIDTH: f64 = 860.0;
/// What is right of the longest bar: its figure.
const RIGHT: f64 = 80.0;
const TOP: f64 = 74.0;
const ROW: f64 = 26.0;
const THICK: f64 = 17.0;

/// A workload's medians.
pub(crate) fn of_times(measured: &Measured) -> String {
    let mut bars: Vec<Bar> = measured
        .rows
        .iter()
        .map(|row| Bar {
            label: row.name.to_owned(),
            detail: row.version.clone().filter(|_| !measured.all_ours()).unwrap_or_default(),
            value: row.times.median,
            kind: row.kind,
        })
        .collect();
    // Where all are ours, the order tells something: ever more objects.
    if !measured.all_ours() {
        bars.sort_by(|one, other| one.value.total_cmp(&other.value));
    }
    svg(measured.title, measured.note, &format!("ns per {}", measured.per), &bars)
}

/// The longest of many quanta.
pub(crate) fn of_worst(worst: &[Worst], workload: &str) -> String {
    let of = || worst.iter().filter(|worst| worst.workload == workload);
    let mut bars: Vec<Bar> = of()
        .map(|worst| Bar {
            label: worst.name.to_owned(),
            detail: worst.version.clone().unwrap_or_default(),
            value: worst.repeated as f64,
            kind: worst.kind,
        })
        .collect();
    bars.sort_by(|one, other| one.value.total_cmp(&other.value));
    let quanta = of().map(|worst| worst.quanta as usize).max().unwrap_or_default();
    let note = format!(
        "Of {} quanta the longest, in the thread's own time, that came in each of three runs: other programs and interrupts do not.",
        spaced(quanta)
    );
    svg(&format!("The worst case: {workload}"), &note, "ns, the longest", &bars)
}

/// What the pools hold beside their objects.
pub(crate) fn of_memory(memory: &[Memory]) -> String {
    let bars: Vec<Bar> = memory
        .iter()
        .map(|memory| Bar {
            label: format!("{}, {} objects", memory.pool, spaced(memory.objects)),
            detail: String::new(),
            value: memory.per_slot,
            kind: Kind::Ours,
        })
        .collect();
    let note = "A slot is a place for an object, taken or not; few objects carry the pool's own few bytes.";
    svg("Memory beside the objects", note, "bytes per slot", &bars)
}

fn svg(title: &str, note: &str, unit: &str, bars: &[Bar]) -> String {
    let most = bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
    let least = bars.iter().map(|bar| bar.value).fold(most, f64::min).max(most / 1e6);
    let left = bars.iter().map(Bar::label_width).fold(120.0, f64::max) + 24.0;
    let scale = Scale::of(least, most, WIDTH - RIGHT - left);
    let bottom = TOP + ROW * bars.len() as f64;
    let height = bottom + 46.0;
    let mut text = String::new();
    put(
        &mut text,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"13\" role=\"img\">\n\
             <title>{0}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
             <text x=\"16\" y=\"28\" font-size=\"17\" font-weight=\"600\" fill=\"#1b1f24\">{0}</text>\n\
             <text x=\"16\" y=\"50\" fill=\"#57606a\">{1}</text>\n",
            escaped(title),
            escaped(note),
        ),
    );
    for mark in scale.marks() {
        let x = left + scale.length(mark);
        put(
            &mut text,
            format_args!(
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{bottom:.1}\" stroke=\"#e4e8ec\"/>\n\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"11\" fill=\"#57606a\">{}</text>\n",
                TOP - 4.0,
                bottom + 16.0,
                mark_shown(mark),
            ),
        );
    }
    for (at, bar) in bars.iter().enumerate() {
        let y = TOP + ROW * at as f64;
        let middle = y + THICK / 2.0 + 4.5;
        let length = scale.length(bar.value).max(1.0);
        let (fill, weight) = match bar.kind {
            Kind::Ours => ("#0969da", "600"),
            Kind::Peer => ("#8c959f", "400"),
            Kind::Fresh => ("#c4cad1", "400"),
            Kind::Floor => ("#57ab5a", "400"),
        };
        put(
            &mut text,
            format_args!(
                "<text x=\"{:.1}\" y=\"{middle:.1}\" text-anchor=\"end\" font-weight=\"{weight}\" fill=\"#1b1f24\">{} \
                 <tspan fill=\"#6e7781\" font-size=\"11\" font-weight=\"400\">{}</tspan></text>\n\
                 <rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{THICK}\" rx=\"2\" fill=\"{fill}\"/>\n\
                 <text x=\"{:.1}\" y=\"{middle:.1}\" font-weight=\"{weight}\" fill=\"#1b1f24\">{}</text>\n",
                left - 8.0,
                escaped(&bar.label),
                escaped(&bar.detail),
                left + length + 6.0,
                shown(bar.value),
            ),
        );
    }
    let scale_name = if scale.logarithmic { ", logarithmic" } else { "" };
    put(
        &mut text,
        format_args!(
            "<text x=\"16\" y=\"{:.1}\" font-size=\"11\" fill=\"#57606a\">{}{scale_name}; shorter is better</text>\n",
            bottom + 36.0,
            escaped(unit),
        ),
    );
    legend(&mut text, bars, bottom + 36.0);
    text.push_str("</svg>\n");
    text
}

/// Says what the colours mean that occur.
fn legend(text: &mut String, bars: &[Bar], y: f64) {
    let all = [
        (Kind::Ours, "#0969da", "ours", 50.0),
        (Kind::Floor, "#57ab5a", "by hand", 66.0),
        (Kind::Peer, "#8c959f", "keeps objects alive", 126.0),
        (Kind::Fresh, "#c4cad1", "keeps nothing alive", 126.0),
    ];
    let there: Vec<_> = all.iter().filter(|(kind, ..)| bars.iter().any(|bar| bar.kind == *kind)).collect();
    if there.len() < 2 {
        return;
    }
    let mut x = WIDTH - 16.0 - there.iter().map(|(.., width)| width).sum::<f64>();
    for (_, fill, name, width) in there {
        put(
            text,
            format_args!(
                "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"10\" height=\"10\" rx=\"2\" fill=\"{fill}\"/>\
                 <text x=\"{:.1}\" y=\"{y:.1}\" font-size=\"11\" fill=\"#57606a\">{name}</text>\n",
                y - 9.0,
                x + 14.0,
            ),
        );
        x += width;
    }
}

/// From a value to a length.
struct Scale {
    logarithmic: bool,
    from: f64,
    to: f64,
    /// The length of the longest bar.
    longest: f64,
}

impl Scale {
    /// Linear, unless the shortest bar would not be seen.
    fn of(least: f64, most: f64, longest: f64) -> Self {
        if most > 20.0 * least {
            // Starts below the least, so that its bar has a length.
            Self { logarithmic: true, from: (least / 2.0).ln(), to: most.ln(), longest }
        } else {
            Self { logarithmic: false, from: 0.0, to: most, longest }
        }
    }

    fn length(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.max(f64::MIN_POSITIVE).ln() } else { value };
        ((value - self.from) / (self.to - self.from) * self.longest).clamp(0.0, self.longest)
    }

    /// Where lines are drawn: round numbers.
    fn marks(&self) -> Vec<f64> {
        if self.logarithmic {
            let (from, to) = (self.from.exp(), self.to.exp());
            let powers = (from.log10().floor() as i32)..=(to.log10().ceil() as i32);
            let wide = to > 300.0 * from;
            let steps: &[f64] = if wide { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let marks = powers.flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
            return marks.filter(|mark| *mark >= from && *mark <= to).collect();
        }
        let rough = self.to / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        (0..=5).map(|at| f64::from(at) * step).filter(|mark| *mark <= self.to).collect()
    }
}

fn mark_shown(mark: f64) -> String {
    // Up to what `powi` leaves behind.
    let rounded = (mark * 1e6).round() / 1e6;
    format!("{rounded}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(label: &str, value: f64) -> Bar {
        Bar { label: label.into(), detail: String::new(), value, kind: Kind::Peer }
    }

    /// Catches: a name that breaks the picture.
    #[test]
    fn names_are_escaped() {
        let svg = svg("a < b", "\"c\" & d", "ns", &[bar("Vec<T>", 1.0)]);
        assert!(
            svg.contains("Vec&lt;T&gt;") && svg.contains("a &lt; b") && svg.contains("&quot;c&quot; &amp; d")
        );
    }

    /// Catches: bars that leave the picture, or that cannot be told apart on a logarithmic scale.
    #[test]
    fn lengths_keep_their_order_and_fit() {
        for values in [[2.0, 3.0, 4.0], [2.0, 30.0, 2000.0]] {
            let scale = Scale::of(values[0], values[2], 500.0);
            let lengths = values.map(|value| scale.length(value));
            assert!(0.0 < lengths[0] && lengths[0] < lengths[1] && lengths[1] < lengths[2], "{lengths:?}");
            assert!((lengths[2] - 500.0).abs() < 1e-6);
            let marks = scale.marks();
            assert!((2..=12).contains(&marks.len()), "{marks:?}");
        }
    }
}
