//! One run: measured, judged, written.

use crate::figures::{Measured, Row};
use crate::measure::{Settings, measure};
use crate::targets::{self, Target};
use crate::versions::version_of;
use crate::workloads::memory::{self, Memory};
use crate::workloads::{ALL, Kind};
use crate::worst::{self, Worst};
use crate::{chart, table};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Instructions per operation, counted apart, or why they were not.
pub enum Instructions {
    /// By workload and contender: `{"pair-private": {"LocalPool": 25.0}}`.
    Counted(Value),
    /// Why there are none.
    Missing(String),
}

impl Instructions {
    fn of(&self, slug: &str, name: &str) -> Option<f64> {
        match self {
            Self::Counted(counts) => counts[slug][name].as_f64(),
            Self::Missing(_) => None,
        }
    }
}

/// Quanta of which the longest is told, and so many when it has to be quick.
const WORST_OF: u64 = 1_000_000;
const WORST_OF_QUICK: u64 = 50_000;

/// All figures of a run.
pub struct Report {
    measured: Vec<Measured>,
    memory: Vec<Memory>,
    worst: Vec<Worst>,
    targets: Vec<Target>,
    instructions: Instructions,
    machine: Value,
    quick: bool,
}

impl Report {
    /// Measures everything; says how far it is.
    pub fn measure(settings: &Settings, quick: bool, instructions: Instructions) -> Result<Self> {
        // Before anything else: afterwards the load is our own.
        let machine = machine();
        let mut measured = Vec::new();
        for (at, (slug, make)) in ALL.iter().enumerate() {
            let mut workload = make();
            println!("{:>2}/{} {}", at + 1, ALL.len(), workload.title);
            let times = measure(&mut workload, settings);
            let rows = workload.contenders.iter().zip(times);
            let rows: Vec<Row> = rows
                .map(|(contender, times)| Row {
                    name: contender.name,
                    version: contender.package.and_then(version_of),
                    kind: contender.kind,
                    times,
                    instructions: instructions.of(slug, contender.name),
                })
                .collect();
            for row in &rows {
                let disturbed = if row.times.disturbed { "  disturbed by other programs" } else { "" };
                println!("      {:<28} {:>9.2} ns{disturbed}", row.name, row.times.median);
            }
            let facts = workload.facts.take().map(|ask| ask()).unwrap_or_default();
            for (fact, count) in &facts {
                println!("      {fact}: {count}");
            }
            let (title, per, note) = (workload.title, workload.per, workload.note);
            measured.push(Measured { slug, title, per, note, rows, facts });
        }
        let memory = memory::measure();
        println!("      the longest of many quanta of audio");
        let program = std::env::current_exe().context("this program does not know its own path")?;
        let worst = worst::measure(&program, if quick { WORST_OF_QUICK } else { WORST_OF })?;
        for Worst { workload, name, median, max, repeated, page_faults, .. } in &worst {
            println!(
                "      {workload}: {name:<28} {median:>9} ns, longest {max:>9} ns, each time {repeated:>9} ns, \
                 {page_faults} page faults"
            );
        }
        let targets = targets::judge(&measured, &memory, &worst)?;
        Ok(Self { measured, memory, worst, targets, instructions, machine, quick })
    }

    /// Writes `report.json`, `table.md` and the charts.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        write("report.json", &format!("{:#}\n", self.json()))?;
        write("table.md", &table::markdown(&self.measured, &self.memory, &self.worst, &self.targets))?;
        for measured in &self.measured {
            write(&format!("{}.svg", measured.slug), &chart::of_times(measured))?;
        }
        for (file, workload) in [
            ("worst-small.svg", worst::SMALL),
            ("worst-large.svg", worst::LARGE),
            ("first-use.svg", worst::FIRST_USE),
        ] {
            write(file, &chart::of_worst(&self.worst, workload))?;
        }
        write("memory.svg", &chart::of_memory(&self.memory))
    }

    /// Prints the goals; how many are missed by more than is known, and than the tolerance allows.
    pub fn verdict(&self, tolerance: f64) -> usize {
        let named = |target: &Target| format!("{} ({})", target.row, target.unit);
        let width = self.targets.iter().map(|target| named(target).len()).max().unwrap_or_default();
        println!("\n{:<width$} {:>9} {:>9}", "Targets", "goal", "measured");
        let marks = targets::marks(&self.targets);
        for (target, mark) in self.targets.iter().zip(&marks.of) {
            let verdict = match (target.met(), target.judged, target.fails(tolerance)) {
                (true, ..) => "met",
                (false, false, _) => "missed, not judged",
                (false, true, false) if target.known.is_some() => "missed, as known",
                (false, true, false) if target.disturbed => "cannot be told: disturbed by other programs",
                (false, true, false) => "missed, but tolerated",
                (false, true, true) => "MISSED",
            };
            let goal = format!("<= {}", target.goal);
            let mark = mark.map(|mark| format!(" [{mark}]")).unwrap_or_default();
            let known = target.known.map(|known| format!(" (<= {known:.2})")).unwrap_or_default();
            println!("{:<width$} {goal:>9} {:>9.2}  {verdict}{known}{mark}", named(target), target.measured);
        }
        for (at, note) in marks.notes.iter().enumerate() {
            println!("[{}] {note}", at + 1);
        }
        if let Instructions::Missing(why) = &self.instructions {
            println!("Instructions were not counted: {why}");
        }
        self.targets.iter().filter(|target| target.fails(tolerance)).count()
    }

    fn json(&self) -> Value {
        let rows = self.measured.iter().flat_map(|measured| {
            measured.rows.iter().map(|row| {
                json!({
                    "workload": measured.slug,
                    "peer": row.name,
                    "kind": kind(row.kind),
                    "version": row.version,
                    "median_ns": figure(row.times.median),
                    "quartiles_ns": [figure(row.times.low), figure(row.times.high)],
                    "rounds": row.times.rounds,
                    "disturbed": row.times.disturbed,
                    "instructions": row.instructions,
                })
            })
        });
        let targets = self.targets.iter().map(|target| {
            json!({
                "row": target.row,
                "unit": target.unit,
                "goal": target.goal,
                "measured": figure(target.measured),
                "met": target.met(),
                "judged": target.judged,
                "note": target.note,
                "known": target.known,
                "disturbed": target.disturbed,
            })
        });
        let workloads = self.measured.iter().map(|measured| {
            let facts: serde_json::Map<String, Value> =
                measured.facts.iter().map(|(name, count)| ((*name).to_owned(), json!(count))).collect();
            json!({
                "slug": measured.slug,
                "title": measured.title,
                "per": measured.per,
                "note": measured.note,
                "facts": facts,
            })
        });
        let memory = self.memory.iter().map(|memory| {
            json!({
                "pool": memory.pool,
                "objects": memory.objects,
                "slots": memory.slots.round(),
                "bytes_per_slot": figure(memory.per_slot),
            })
        });
        let worst = self.worst.iter().map(|worst| {
            json!({
                "workload": worst.workload,
                "peer": worst.name,
                "kind": kind(worst.kind),
                "version": worst.version,
                "quanta": worst.quanta,
                "median_ns": worst.median,
                "p9999_ns": worst.p9999,
                "max_ns": worst.max,
                "repeated_ns": worst.repeated,
                "page_faults": worst.page_faults,
            })
        });
        let why = match &self.instructions {
            Instructions::Counted(_) => Value::Null,
            Instructions::Missing(why) => json!(why),
        };
        json!({
            "rows": rows.collect::<Vec<_>>(),
            "targets": targets.collect::<Vec<_>>(),
            "workloads": workloads.collect::<Vec<_>>(),
            "memory": memory.collect::<Vec<_>>(),
            "worst": worst.collect::<Vec<_>>(),
            "no_instructions_because": why,
            "machine": self.machine,
            "quick": self.quick,
        })
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Ours => "ours",
        Kind::Peer => "peer",
        Kind::Fresh => "keeps nothing alive",
        Kind::Floor => "by hand",
    }
}

/// No more digits than were measured.
fn figure(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn machine() -> Value {
    let read = |path: &str| fs::read_to_string(path).ok();
    let info = read("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let rustc = Command::new("rustc").arg("--version").output().ok();
    let rustc = rustc.and_then(|output| String::from_utf8(output.stdout).ok());
    json!({
        "processor": model.map(|(_, name)| name.trim()),
        "threads": std::thread::available_parallelism().ok().map(usize::from),
        "system": format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        "rustc": rustc.as_deref().map(str::trim),
        "load_before": read("/proc/loadavg").as_deref().and_then(|load| load.split(' ').next()),
    })
}
