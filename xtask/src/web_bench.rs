//! What reuse costs beside creation in the browser, through Rust and WASM: `cargo xtask bench --web`.

use std::fmt::Write as _;

use anyhow::{Result, bail};

use crate::process;
use crate::testing;
use crate::workspace::Workspace;

/// How many times as much creation must cost; what has none is shown beside.
const GOALS: &[(&str, f64)] = &[
    ("gain", 3.0),
    ("biquad", 6.0),
    ("stereo-panner", 4.0),
    ("delay-5", 100.0),
    ("buffer-2x128", 15.0),
    ("buffer-2x4800", 80.0),
];

/// By how many times a ratio differs from run to run of one build: to create the five seconds of a delay line took 430 to
/// 1300 us, as the system had memory at hand. Where some tolerance is asked for, this comes on top.
const SWINGS: &[(&str, f64)] = &[("delay-5", 4.0)];

/// One line of the browser's: microseconds of creation and of reuse.
#[derive(Debug, PartialEq)]
struct Row {
    name: String,
    fresh: f64,
    reused: f64,
}

/// Measures, prints a table, and fails if a goal is missed by more than `tolerance` times.
pub(crate) fn run(workspace: &Workspace, tolerance: Option<f64>) -> Result<()> {
    let mut rows = Vec::new();
    let mut measure = testing::in_browser(workspace, "speed", &["--release", "--", "--nocapture"])?;
    process::run_looking(&mut measure, |line| rows.extend(row_in(line)))?;
    let (table, missed) = judge(&rows, tolerance.unwrap_or(1.0));
    println!("\n{table}");
    if !missed.is_empty() {
        bail!("reuse is too slow beside creation:\n- {}", missed.join("\n- "));
    }
    Ok(())
}

/// `speed gain 9.850 3.050`
fn row_in(line: &str) -> Option<Row> {
    let mut words = line.trim().strip_prefix("speed ")?.split(' ');
    let row = Row {
        name: words.next()?.to_owned(),
        fresh: words.next()?.parse().ok()?,
        reused: words.next()?.parse().ok()?,
    };
    words.next().is_none().then_some(row)
}

fn judge(rows: &[Row], tolerance: f64) -> (String, Vec<String>) {
    let mut table =
        format!("{:<22} {:>9} {:>9} {:>7} {:>6}\n", "microseconds", "fresh", "reused", "ratio", "goal");
    let mut missed = Vec::new();
    for Row { name, fresh, reused } in rows {
        let goal = GOALS.iter().find(|(other, _)| other == name).map(|(_, goal)| *goal);
        let swing = SWINGS.iter().find(|(other, _)| other == name).map_or(1.0, |(_, swing)| *swing);
        let tolerance = if tolerance > 1.0 { tolerance * swing } else { tolerance };
        let ratio = fresh / reused;
        let shown = goal.map_or(String::new(), |goal| format!("{goal:.0}"));
        // Writing to a string does not fail.
        let _ = writeln!(table, "{name:<22} {fresh:>9.2} {reused:>9.2} {ratio:>7.1} {shown:>6}");
        if goal.is_some_and(|goal| ratio.is_nan() || ratio * tolerance < goal) {
            missed.push(format!("{name}: {ratio:.1} times, the goal is {shown}"));
        }
    }
    for (name, _) in GOALS {
        if !rows.iter().any(|row| row.name == *name) {
            missed.push(format!("{name} was not measured"));
        }
    }
    (table, missed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, fresh: f64, reused: f64) -> Row {
        Row { name: name.into(), fresh, reused }
    }

    /// Catches: a line that is not understood, so that nothing is judged.
    #[test]
    fn rows_are_read() {
        assert_eq!(row_in("speed gain 9.850 3.050"), Some(row("gain", 9.85, 3.05)));
        assert_eq!(row_in("test reuse_beside_creation ... ok"), None);
        assert_eq!(row_in("speed gain fast 3"), None);
    }

    /// Catches: a goal that is missed or not measured and passes all the same.
    #[test]
    fn each_goal_must_be_met() {
        let good: Vec<Row> = GOALS.iter().map(|(name, goal)| row(name, *goal, 1.0)).collect();
        assert_eq!(judge(&good, 1.0).1, Vec::<String>::new());
        for index in 0..GOALS.len() {
            let mut rows: Vec<Row> = GOALS.iter().map(|(name, goal)| row(name, *goal, 1.0)).collect();
            rows[index].reused = 1.5;
            assert_eq!(judge(&rows, 1.0).1.len(), 1);
            assert_eq!(judge(&rows, 2.0).1.len(), 0);
            rows[index].reused = 9.0;
            assert_eq!((judge(&rows, 1.0).1.len(), judge(&rows, 2.0).1.len()), (1, 1));
            rows[index].reused = f64::NAN;
            assert_eq!(judge(&rows, 2.0).1.len(), 1);
            rows.remove(index);
            assert_eq!(judge(&rows, 2.0).1.len(), 1);
        }
    }
}
