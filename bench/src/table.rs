//! The figures as Markdown, for a README.

use crate::report::{Measured, Row};
use crate::targets::Target;
use crate::workloads::Kind;
use crate::workloads::memory::Memory;
use std::fmt::Write;

/// Tables of the times, the memory and the goals.
pub(crate) fn markdown(measured: &[Measured], memory: &[Memory], targets: &[Target]) -> String {
    let mut text = String::from(
        "| ns, medians | ours | by hand | registry, keeps objects alive | keeps nothing alive |\n|---|---|---|---|---|\n",
    );
    for measured in measured {
        let cell = |kind: Kind| {
            let mut rows: Vec<&Row> = measured.rows.iter().filter(|row| row.kind == kind).collect();
            if kind != Kind::Ours {
                rows.sort_by(|one, other| one.times.median.total_cmp(&other.times.median));
            }
            let cells = rows.into_iter().map(|row| {
                let name = row.name;
                let ns = shown(row.times.median);
                if kind == Kind::Ours { format!("**{name} {ns}**") } else { format!("{name} {ns}") }
            });
            cells.collect::<Vec<_>>().join("; ")
        };
        let cells = [Kind::Ours, Kind::Floor, Kind::Peer, Kind::Fresh].map(cell);
        put(
            &mut text,
            format_args!("| {}, per {} | {} |\n", measured.title, measured.per, cells.join(" | ")),
        );
    }
    text.push_str("\n| objects | slots | bytes per slot beside the object |\n|---|---|---|\n");
    for memory in memory {
        let Memory { pool, objects, slots, per_slot } = memory;
        put(&mut text, format_args!("| {pool}, {objects} | {slots:.0} | {per_slot:.1} |\n"));
    }
    text.push_str("\n| target | goal | measured | |\n|---|---|---|---|\n");
    for target in targets {
        let met = match (target.met(), target.judged) {
            (true, _) => "met",
            (false, true) => "**missed**",
            (false, false) => "not yet",
        };
        let Target { row, unit, goal, measured, .. } = target;
        put(&mut text, format_args!("| {row} | <= {goal} {unit} | {measured:.2} | {met} |\n"));
    }
    text
}

/// Appends. Writing to a `String` cannot fail.
pub(crate) fn put(text: &mut String, more: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(more);
}

/// As many digits as mean something.
pub(crate) fn shown(value: f64) -> String {
    match value {
        _ if value < 9.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
