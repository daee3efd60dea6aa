//! The figures as Markdown, for a README.

use crate::figures::{Measured, Row};
use crate::targets::{self, Target};
use crate::text::{put, shown, spaced};
use crate::workloads::Kind;
use crate::workloads::memory::Memory;
use crate::worst::Worst;

/// Tables of the times, of what depends on the number of objects, and of the goals.
pub(crate) fn markdown(
    measured: &[Measured],
    memory: &[Memory],
    worst: &[Worst],
    targets: &[Target],
) -> String {
    let mut text = times(measured);
    for measured in measured {
        if measured.all_ours() {
            let rows = measured.rows.iter().filter_map(|row| {
                let (pool, objects) = row.name.rsplit_once(", ")?;
                Some((pool.to_owned(), objects.to_owned(), shown(row.times.median)))
            });
            text.push_str(&by_number(
                &format!("{}, ns per {}", measured.title, measured.per),
                rows.collect(),
            ));
        }
    }
    let memory = memory.iter().map(|memory| {
        let bytes = format!("{:.1} in {} slots", memory.per_slot, spaced(memory.slots.round() as usize));
        (memory.pool.to_owned(), spaced(memory.objects), bytes)
    });
    text.push_str(&by_number("Bytes per slot, beside the object", memory.collect()));
    text.push_str(&longest(worst));
    text.push_str(&goals(targets));
    text
}

/// A line for each contender of each kind of quantum.
fn longest(worst: &[Worst]) -> String {
    let mut text = String::from(
        "\n| audio, us of the thread's own time | | median | 99.99 % | longest | longest in each of three runs | page faults |\n|---|---|---|---|---|---|---|\n",
    );
    for worst in worst {
        let us = |ns: u64| format!("{:.1}", ns as f64 / 1000.0);
        let name =
            if worst.kind == Kind::Ours { format!("**{}**", worst.name) } else { worst.name.to_owned() };
        put(
            &mut text,
            format_args!(
                "| {}, {} times | {name} | {} | {} | {} | {} | {} |\n",
                worst.workload,
                spaced(worst.quanta as usize),
                us(worst.median),
                us(worst.p9999),
                us(worst.max),
                us(worst.repeated),
                worst.page_faults
            ),
        );
    }
    text
}

/// A line for each kind of work.
fn times(measured: &[Measured]) -> String {
    let mut text = String::from(
        "| ns (instructions) | ours | by hand | from the registry | that keep nothing alive |\n|---|---|---|---|---|\n",
    );
    for measured in measured.iter().filter(|measured| !measured.all_ours()) {
        let cell = |kind: Kind| {
            let mut rows: Vec<&Row> = measured.rows.iter().filter(|row| row.kind == kind).collect();
            if kind != Kind::Ours {
                rows.sort_by(|one, other| one.times.median.total_cmp(&other.times.median));
            }
            rows.into_iter().map(cell_of).collect::<Vec<_>>().join("; ")
        };
        let cells = [Kind::Ours, Kind::Floor, Kind::Peer, Kind::Fresh].map(cell);
        put(
            &mut text,
            format_args!("| {}, per {} | {} |\n", measured.title, measured.per, cells.join(" | ")),
        );
    }
    text
}

fn cell_of(row: &Row) -> String {
    let name = row.name;
    // A figure that other programs had a part in says so.
    let about = if row.times.disturbed { "~" } else { "" };
    let ns = format!("{about}{}", shown(row.times.median));
    let instructions = row.instructions.map(|count| format!(" ({count:.0})")).unwrap_or_default();
    match row.kind {
        Kind::Ours => format!("**{name} {ns}**{instructions}"),
        _ => format!("{name} {ns}{instructions}"),
    }
}

/// A line for each pool, a column for each number of objects: from pool, number and figure.
fn by_number(title: &str, rows: Vec<(String, String, String)>) -> String {
    let (mut pools, mut numbers) = (Vec::new(), Vec::new());
    for (pool, number, _) in &rows {
        if !pools.contains(pool) {
            pools.push(pool.clone());
        }
        if !numbers.contains(number) {
            numbers.push(number.clone());
        }
    }
    let mut text =
        format!("\n| {title} | {} |\n|---|{}\n", numbers.join(" | "), "---|".repeat(numbers.len()));
    for pool in pools {
        let cells = numbers.iter().map(|number| {
            let found = rows.iter().find(|row| row.0 == pool && row.1 == *number);
            found.map(|row| row.2.as_str()).unwrap_or_default()
        });
        let cells: Vec<&str> = cells.collect();
        put(&mut text, format_args!("| {pool} | {} |\n", cells.join(" | ")));
    }
    text
}

fn goals(targets: &[Target]) -> String {
    let mut text = String::from("\n| target | goal | measured | |\n|---|---|---|---|\n");
    let marks = targets::marks(targets);
    for (target, mark) in targets.iter().zip(&marks.of) {
        let met = match (target.met(), target.judged, target.known) {
            (true, ..) => String::from("met"),
            (false, true, Some(known)) => format!("**missed**, as known: <= {known:.2}"),
            (false, true, None) => String::from("**missed**"),
            (false, false, _) => String::from("missed, not judged"),
        };
        let Target { row, unit, goal, measured, .. } = target;
        let measured = if measured.fract() == 0.0 { format!("{measured}") } else { format!("{measured:.2}") };
        let mark = mark.map(|mark| format!(" ({mark})")).unwrap_or_default();
        put(&mut text, format_args!("| {row} | <= {goal} {unit} | {measured} | {met}{mark} |\n"));
    }
    for (at, note) in marks.notes.iter().enumerate() {
        let gap = if at == 0 { "\n" } else { "" };
        put(&mut text, format_args!("{gap}{}. {note}\n", at + 1));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: figures in another pool's line or under another number.
    #[test]
    fn a_pool_has_a_line_and_a_number_a_column() {
        let rows = [("a", "10", "1"), ("a", "1 000", "2"), ("b", "1 000", "3")];
        let rows = rows.map(|(pool, number, figure)| (pool.into(), number.into(), figure.into()));
        let text = by_number("ns", rows.into());
        assert_eq!(text, "\n| ns | 10 | 1 000 |\n|---|---|---|\n| a | 1 | 2 |\n| b |  | 3 |\n");
    }
}
