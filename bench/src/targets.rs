//! The goals, and whether they are met: computed from the medians of this run.

use crate::figures::{Measured, Row};
use crate::measure::Times;
use crate::text::shown;
use crate::workloads::memory::Memory;
use crate::workloads::{Kind, account, audio, burst, cost, hand_over, keyed, pair, threads, zeroed};
use crate::worst::{self, Worst};
use anyhow::{Context, Result};

/// A figure that must not be larger than its goal.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// What is compared.
    pub(crate) row: String,
    /// What the figure is: times something, bytes.
    pub(crate) unit: String,
    pub(crate) goal: f64,
    pub(crate) measured: f64,
    /// Whether a miss makes the run fail. What is only shown has a note that says why.
    pub(crate) judged: bool,
    /// Why it cannot be reached or is not judged, or what bounds it: from the figures of the same run.
    pub(crate) note: Option<String>,
    /// How far a goal is known to be missed, for the reason in the note: the goal stays, and a figure beyond this makes the run
    /// fail.
    pub(crate) known: Option<f64>,
    /// Whether other programs disturbed too many rounds to tell.
    pub(crate) disturbed: bool,
    /// How much it changes from one state of the machine to another, without other programs: 1 if it does not. With a
    /// tolerance, so much more is let pass.
    pub(crate) swing: f64,
}

impl Target {
    fn judged(row: String, unit: String, goal: f64, measured: f64) -> Self {
        Self {
            row,
            unit,
            goal,
            measured,
            judged: true,
            note: None,
            known: None,
            disturbed: false,
            swing: 1.0,
        }
    }

    /// Judged, and what bounds it.
    fn noted(&mut self, note: String) {
        self.note = Some(note);
    }

    /// Missed by so much at most, and why: there is no way to have one without the other.
    fn known(&mut self, most: f64, note: String) {
        self.known = Some(most);
        self.note = Some(note);
    }

    /// Not judged, and why: there is no way to have one without the other.
    fn only_shown(&mut self, note: String) {
        self.judged = false;
        self.note = Some(note);
    }

    /// Judged as it is shown, to a hundredth: what is below that changes from run to run.
    pub(crate) fn met(&self) -> bool {
        self.shown() <= self.goal
    }

    fn shown(&self) -> f64 {
        (self.measured * 100.0).round() / 100.0
    }

    /// Whether it is worse than its goal, or than what is known, by more than other work on the machine explains.
    pub(crate) fn fails(&self, tolerance: f64) -> bool {
        let slack = if tolerance > 1.0 { tolerance * self.swing } else { 1.0 };
        let met = self.shown() <= self.known.map_or(self.goal, |known| known.max(self.goal)) * slack;
        // On a machine that is known to have other work, what cannot be told is no miss.
        let untold = self.disturbed && tolerance > 1.0;
        // Not `measured > goal`: what is no number is no success.
        self.judged && !met && !untold
    }
}

/// The notes, each once, and which of them each target has, from 1.
pub(crate) struct Marks<'t> {
    pub(crate) notes: Vec<&'t str>,
    pub(crate) of: Vec<Option<usize>>,
}

pub(crate) fn marks(targets: &[Target]) -> Marks<'_> {
    let mut notes = Vec::new();
    let of = targets.iter().map(|target| {
        let note = target.note.as_deref()?;
        let at = notes.iter().position(|known| *known == note).unwrap_or_else(|| {
            notes.push(note);
            notes.len() - 1
        });
        Some(at + 1)
    });
    let of = of.collect();
    Marks { notes, of }
}

/// Why what clears memory misses its goal at times.
const BY_PLACE: &str = "met in thirteen of fourteen processes; in the other a pair takes a third more from beginning to end, as \
                        the system has placed it in memory";

/// Why evictions from a large pool take longer than from a small one.
const BY_MEMORY: &str = "the bits of a pool with a million objects lie in more lines of memory, which takes some 100 ns more of a miss \
                         that takes 340 with ten; it was met while it took 430";

/// Judges a run.
struct Judge<'m> {
    measured: &'m [Measured],
    targets: Vec<Target>,
}

impl Judge<'_> {
    fn workload(&self, slug: &str) -> Result<&Measured> {
        let found = self.measured.iter().find(|measured| measured.slug == slug);
        found.with_context(|| format!("`{slug}` was not measured"))
    }

    fn times(&self, slug: &str, name: &str) -> Result<&Times> {
        let rows = &self.workload(slug)?.rows;
        let found = rows.iter().find(|row| row.name == name);
        Ok(&found.with_context(|| format!("`{slug}` has no `{name}`"))?.times)
    }

    /// The fastest of a kind, by name.
    fn best(&self, slug: &str, kinds: &[Kind]) -> Result<&'static str> {
        self.best_of(slug, |row| kinds.contains(&row.kind))
    }

    /// The fastest of some, by name.
    fn best_of(&self, slug: &str, counts: impl Fn(&Row) -> bool) -> Result<&'static str> {
        let rows = self.workload(slug)?.rows.iter().filter(|row| counts(row));
        let best = rows.min_by(|one, other| one.times.median.total_cmp(&other.times.median));
        Ok(best.with_context(|| format!("`{slug}` has no such peer"))?.name)
    }

    fn median(&self, slug: &str, name: &str) -> Result<f64> {
        Ok(self.times(slug, name)?.median)
    }

    /// How many instructions one operation is, where they were counted.
    fn instructions(&self, slug: &str, name: &str) -> Result<Option<f64>> {
        let found = self.workload(slug)?.rows.iter().find(|row| row.name == name);
        Ok(found.and_then(|row| row.instructions))
    }

    fn push(&mut self, target: Target) -> &mut Target {
        let at = self.targets.len();
        self.targets.push(target);
        &mut self.targets[at]
    }

    /// One may take at most so many times as long as the other.
    fn ratio(&mut self, slug: &str, name: &str, than: &str, goal: f64) -> Result<&mut Target> {
        let (one, other) = (self.times(slug, name)?, self.times(slug, than)?);
        let (measured, disturbed) = (one.median / other.median, one.disturbed || other.disturbed);
        let row = format!("{}: {name}", self.workload(slug)?.title);
        Ok(self.push(Target { disturbed, ..Target::judged(row, format!("x {than}"), goal, measured) }))
    }

    /// The others may take at most so many times as long as the first.
    fn flat(&mut self, slug: &str, pool: &str, names: &[&str], goal: f64) -> Result<&mut Target> {
        let (first, others) = names.split_first().context("nothing to compare")?;
        let first_times = *self.times(slug, first)?;
        let (mut measured, mut disturbed) = (0.0_f64, first_times.disturbed);
        for name in others {
            let times = self.times(slug, name)?;
            measured = measured.max(times.median / first_times.median);
            disturbed |= times.disturbed;
        }
        let row = format!("{}: {pool}, the worst", self.workload(slug)?.title);
        Ok(self.push(Target { disturbed, ..Target::judged(row, format!("x {first}"), goal, measured) }))
    }

    /// The same of what takes up the more memory the more there is: the others may take at most so many times the instructions.
    fn flat_but_for_memory(&mut self, slug: &str, pool: &str, names: &[&str], goal: f64) -> Result<()> {
        let (first, others) = names.split_first().context("nothing to compare")?;
        let Some(least) = self.instructions(slug, first)? else { return Ok(()) };
        let mut most = 0.0_f64;
        for name in others {
            most =
                most.max(self.instructions(slug, name)?.context("some were counted, and this one was not")?);
        }
        let row = format!("{}: {pool}, the worst, instructions", self.workload(slug)?.title);
        self.push(Target::judged(row, format!("x {first}"), goal, most / least));
        Ok(())
    }

    /// A count may not be larger.
    fn count(&mut self, slug: &str, fact: &str, goal: usize) -> Result<()> {
        let workload = self.workload(slug)?;
        let found = workload.facts.iter().find(|(name, _)| *name == fact);
        let measured = found.with_context(|| format!("`{slug}` did not count `{fact}`"))?.1;
        let row = format!("{}: {fact}", workload.title);
        self.push(Target::judged(row, "objects".into(), goal as f64, measured));
        Ok(())
    }

    /// So many bytes beside each object, where the pool's own few do not count for much.
    fn memory(&mut self, memory: &[Memory], pool: &str, goal: f64) {
        let many = memory.iter().filter(|memory| memory.pool == pool && memory.objects >= 1_000);
        let measured = many.map(|memory| memory.per_slot).fold(f64::NAN, f64::max);
        let row = format!("Memory from 1 000 objects on: {pool}, the worst");
        self.push(Target::judged(row, "bytes per slot".into(), goal, measured));
    }
}

/// How many instructions one takes and how many another, for a note; nothing where they were not counted.
fn counted(judge: &Judge<'_>, slug: &str, name: &str, than: &str) -> Result<String> {
    Ok(match (judge.instructions(slug, name)?, judge.instructions(slug, than)?) {
        (Some(ours), Some(theirs)) => format!("{ours:.0} instructions against {theirs:.0}: "),
        _ => String::new(),
    })
}

/// A figure for a note, about how long it is.
fn ns(value: f64) -> String {
    format!("{} ns", shown(value))
}

/// Why so many times the best peer's time cannot be reached, if that is below the limit's.
fn below_the_limit(
    goal: f64,
    (peer, peer_ns): (&str, f64),
    (limit, limit_ns): (&str, f64),
) -> Option<String> {
    (goal * peer_ns < limit_ns).then(|| {
        format!(
            "out of reach: {peer} takes {}, so {goal} x that is {}, and the limit, {limit}, takes {}",
            ns(peer_ns),
            ns(goal * peer_ns),
            ns(limit_ns)
        )
    })
}

/// Every goal that the shared and local pools have, and those of the keyed pool as far as they are measured here.
pub(crate) fn judge(measured: &[Measured], memory: &[Memory], worst: &[Worst]) -> Result<Vec<Target>> {
    let mut judge = Judge { measured, targets: Vec::new() };
    pairs(&mut judge)?;
    bursts(&mut judge)?;
    for (pool, alone) in [("Cache", "Cache, alone"), ("SharedPool", "SharedPool, alone")] {
        judge.ratio(threads::SLUG, pool, alone, 1.5)?;
        judge.ratio(threads::SLUG, pool, "sharded-slab", 0.2)?;
    }
    hand_overs(&mut judge)?;

    for pool in ["LocalPool", "Cache"] {
        let target = judge.ratio(zeroed::SLUG, pool, "memset, no pool", 1.3)?;
        if !target.met() {
            target.known(1.8, BY_PLACE.into());
        }
    }
    for (pool, rows) in [
        ("LocalPool", cost::LOCAL),
        ("Cache", cost::STASH),
        ("SharedPool", cost::SHARED),
        ("SharedPool, no caches", cost::BARE),
    ] {
        judge.flat(cost::OBJECTS, pool, &rows.map(|(name, _)| name), 1.3)?;
    }
    judge.flat(cost::KEYS, "KeyedPool", &cost::KEYED.map(|(name, _)| name), 1.3)?;
    let target = judge.flat(cost::EVICTIONS, "SharedPool", &cost::EVICTED.map(|(name, _)| name), 1.3)?;
    if !target.met() {
        target.known(1.5, BY_MEMORY.into());
    }
    // By the logarithm.
    judge.flat_but_for_memory(cost::POOLS, "KeyedPool", &cost::GIVING.map(|(name, _)| name), 1.5)?;
    for pool in ["LocalPool", "SharedPool", "StaticPool"] {
        judge.memory(memory, pool, 16.0);
    }

    let (loop_ns, cell_ns) =
        (judge.median(account::ALONE, account::LOOP)?, judge.median(account::ALONE, account::CELL)?);
    for slug in [account::ALONE, account::THREADS] {
        let target = judge.ratio(slug, "Account", account::LOOP, 1.0)?;
        if !target.met() {
            let note = match slug {
                account::ALONE => {
                    "two read-modify-writes are nearly all of either; beside them an account looks whether it has others above it, \
                     and whether it is under pressure"
                }
                _ => "who has the line of memory at a moment decides, by a tenth to either side",
            };
            target.known(1.1, note.into());
        }
        if slug == account::ALONE {
            judge.ratio(slug, "Account", account::BARE, 1.0)?.only_shown(
                "a loop whose users know by themselves what to give back: a reservation notes it, which takes two stores that \
                 a read-modify-write waits for"
                    .into(),
            );
        }
        let target = judge.ratio(slug, "Credit", account::LOOP, 0.2)?;
        if slug == account::ALONE
            && let Some(note) =
                below_the_limit(target.goal, (account::LOOP, loop_ns), (account::CELL, cell_ns))
        {
            target.only_shown(note);
        } else if !target.met() {
            let (goal, credit) = (target.goal * loop_ns, target.measured * loop_ns);
            target.known(0.22, format!(
                "{} is wanted and {} is taken: a look at whether the credit was recalled, a line of the thread's own to write, \
                 and no read-modify-write",
                ns(goal),
                ns(credit)
            ));
        }
    }
    for (charge, granted) in [
        ("refused", "granted"),
        ("refused, with credits recalled", "granted"),
        ("refused, growing", "granted, growing"),
    ] {
        let target = judge.ratio(account::REFUSED, charge, granted, 2.0)?;
        if !target.met() {
            target.noted(
                "where credits are known, a refusal is tried again under the lock that recalls them".into(),
            );
        }
    }

    for (slug, goal) in [(keyed::HITS, 0.8), (keyed::EVICTING, 0.9)] {
        let best = judge.best(slug, &[Kind::Peer])?;
        let counted = counted(&judge, slug, "KeyedPool", best)?;
        let floors = match slug {
            keyed::EVICTING => {
                Some((judge.median(slug, keyed::DECIDED)?, judge.median(slug, keyed::BY_HAND)?))
            }
            _ => None,
        };
        let (ours, theirs) = (judge.median(slug, "KeyedPool")?, judge.median(slug, best)?);
        let target = judge.ratio(slug, "KeyedPool", best, goal)?;
        if !target.met() {
            let shared = match floors {
                Some((decided, by_hand)) => format!(
                    "of {} and {best}'s {} the {}, which all need, take {}, and what decides on them is {} with a {}; ",
                    ns(ours),
                    ns(theirs),
                    keyed::DECIDED,
                    ns(decided),
                    ns(by_hand),
                    keyed::BY_HAND
                ),
                None => String::new(),
            };
            // By a tenth to either side from process to process, of the peers as of ours, as their objects happen to lie.
            target.known(goal * 1.4, format!(
                "{counted}{shared}a pool keeps two orders, across keys and within each, counts and bytes by key, an account, \
                 and objects that stay where they are while they are out; the peers move the object out and in, keep one \
                 order and one object of a key"
            ));
        }
    }
    audio(&mut judge, worst)?;
    Ok(judge.targets)
}

fn audio(judge: &mut Judge<'_>, worst: &[Worst]) -> Result<()> {
    let instructions = judge.instructions(zeroed::SLUG, "RealtimeHandle")?;
    let by_hand = judge.instructions(zeroed::SLUG, zeroed::BOTH)?;
    let target = judge.ratio(zeroed::SLUG, "RealtimeHandle", zeroed::BOTH, 1.3)?;
    if !target.met() {
        let counted = match (instructions, by_hand) {
            (Some(ours), Some(by_hand)) => format!("{ours:.0} instructions against {by_hand:.0}; "),
            _ => String::new(),
        };
        target.known(1.8, format!("{counted}{BY_PLACE}"));
    }
    let target = judge.ratio(audio::QUANTUM, "RealtimeHandle", "memset, no pool", 1.3)?;
    target.swing = 1.5;
    if !target.met() {
        target.known(1.4, BY_PLACE.into());
    }
    let profiler = *judge.times(audio::PROFILER, "CallbackProfiler")?;
    let row = format!("{}: CallbackProfiler", judge.workload(audio::PROFILER)?.title);
    judge.push(Target {
        disturbed: profiler.disturbed,
        ..Target::judged(row, "ns".into(), 150.0, profiler.median)
    });
    let of = |workload: &str, name: &str| {
        let found = worst.iter().find(|worst| worst.workload == workload && worst.name == name);
        found.with_context(|| format!("`{workload}` has no `{name}`"))
    };
    for workload in [worst::SMALL, worst::LARGE, worst::FIRST_USE] {
        let ours = worst.iter().find(|worst| worst.workload == workload && worst.kind == Kind::Ours);
        let faults = ours.with_context(|| format!("`{workload}` has none of ours"))?.page_faults;
        let row = format!("{workload}: RealtimeHandle, page faults");
        judge.push(Target::judged(row, "faults".into(), 0.0, faults as f64));
    }
    let first = (of(worst::FIRST_USE, "RealtimeHandle")?, of(worst::FIRST_USE, "malloc")?);
    let row = format!("{}: RealtimeHandle, prewarmed, the median", worst::FIRST_USE);
    judge.push(Target::judged(row, "x malloc".into(), 0.5, first.0.median as f64 / first.1.median as f64));

    let (ours, malloc) = (of(worst::LARGE, "RealtimeHandle")?, of(worst::LARGE, "malloc")?);
    let row = format!("{}: RealtimeHandle, the longest in each of three runs", worst::LARGE);
    let measured = ours.repeated as f64 / malloc.repeated as f64;
    let target = judge.push(Target::judged(row, "x malloc".into(), 0.1, measured));
    target.swing = 1.5;
    let empty = of(worst::LARGE, worst::NOTHING)?;
    let row = format!("{}: RealtimeHandle, the longest in one run", worst::LARGE);
    let target = judge.push(Target::judged(row, "x malloc".into(), 0.1, ours.max as f64 / malloc.max as f64));
    let us = |ns: u64| format!("{:.0} us", ns as f64 / 1000.0);
    target.only_shown(format!(
        "the machine's interrupts decide: the longest of as many empty quanta took {}, ours {}, malloc's {}",
        us(empty.max),
        us(ours.max),
        us(malloc.max),
    ));
    Ok(())
}

fn pairs(judge: &mut Judge<'_>) -> Result<()> {
    const VEC: &str = "Vec in a RefCell";
    let best = judge.best(pair::PRIVATE, &[Kind::Peer])?;
    let (best_ns, vec_ns) = (judge.median(pair::PRIVATE, best)?, judge.median(pair::PRIVATE, VEC)?);
    for pool in ["Cache", "LocalPool"] {
        let counted = counted(judge, pair::PRIVATE, pool, VEC)?;
        let target = judge.ratio(pair::PRIVATE, pool, VEC, 1.1)?;
        if !target.met() {
            target.known(1.45, format!(
                "{counted}both wait for what the pair before has stored; a pool also counts hits and finds the object of a \
                 slot's number, which not every processor does meanwhile"
            ));
        }
        let target = judge.ratio(pair::PRIVATE, pool, best, 0.5)?;
        if let Some(note) = below_the_limit(target.goal, (best, best_ns), (VEC, vec_ns)) {
            target.only_shown(note);
        }
    }

    const QUEUE: &str = "ArrayQueue";
    let queue_ns = judge.median(pair::SHARED, QUEUE)?;
    let limit = judge.median(pair::SHARED, pair::TWO_RMW)?;
    let fixed = judge.median(pair::SHARED, "StaticPool")?;
    let target = judge.ratio(pair::SHARED, "SharedPool, no caches", QUEUE, 0.6)?;
    if !target.met() {
        target.known(
            // A processor on which the queue is fast is not one on which the pool may be slow.
            (1.1 * limit / queue_ns).max(1.0),
            format!(
                "{} x {QUEUE} is {}; {} by hand take {}, a StaticPool, whose slots never move or grow, {}",
                target.goal,
                ns(target.goal * queue_ns),
                pair::TWO_RMW,
                ns(limit),
                ns(fixed)
            ),
        );
    }
    let instructions = judge.instructions(pair::SHARED, "SharedPool")?;
    let target = judge.ratio(pair::SHARED, "SharedPool", QUEUE, 0.3)?;
    if !target.met() {
        let counted =
            instructions.map(|count| format!("{count:.0} instructions a pair, ")).unwrap_or_default();
        target.noted(format!(
            "{} x {QUEUE} is {}; {counted}both look-ups of the thread's lane and both checks of the pool's flags are \
             loads on the way",
            target.goal,
            ns(target.goal * queue_ns)
        ));
    }
    Ok(())
}

fn bursts(judge: &mut Judge<'_>) -> Result<()> {
    const LINEAR: &str = "lockfree linear";
    for pool in ["Cache", "LocalPool"] {
        let counted = counted(judge, burst::SLUG, pool, "Vec in a RefCell")?;
        let target = judge.ratio(burst::SLUG, pool, "Vec in a RefCell", 1.0)?;
        if !target.met() {
            target.known(1.7, format!(
                "{counted}64 leases of three words (pool, slot, object) are written and read where the Vec has 64 of one"
            ));
        }
    }
    judge.ratio(burst::SLUG, "SharedPool", LINEAR, 0.5)?;
    let limit = judge.median(pair::SHARED, pair::TWO_RMW)?;
    let goal = 0.5;
    let note = format!(
        "the goal is that of a pool with caches; without them each object takes {}, by themselves {} of the {} that \
         {goal} x {LINEAR} is",
        pair::TWO_RMW,
        ns(limit),
        ns(goal * judge.median(burst::SLUG, LINEAR)?)
    );
    judge.ratio(burst::SLUG, "SharedPool, no caches", LINEAR, goal)?.only_shown(note);
    Ok(())
}

/// The goals were set when peers were measured one by one only: that is what batches are to be faster than.
fn hand_overs(judge: &mut Judge<'_>) -> Result<()> {
    let alive = [Kind::Peer, Kind::Fresh];
    let best = judge.best(hand_over::SINGLY, &alive)?;
    for pool in ["Cache", "SharedPool"] {
        judge.ratio(hand_over::SINGLY, pool, best, 1.0)?;
    }
    let goal = 0.3;
    // In the same rounds as the batches: which processors the threads run on changes from minute to minute, and with it
    // the time of every hand-over.
    let than = judge.best_of(hand_over::BATCHES, |row| hand_over::ONE_BY_ONE.contains(&row.name))?;
    judge.ratio(hand_over::BATCHES, "Cache", than, goal)?;
    let with_cache = ns(judge.median(hand_over::BATCHES, "Cache")?);
    let note = format!(
        "the goal is that of a Cache, which takes {with_cache}; without one, each call looks up its thread's"
    );
    judge.ratio(hand_over::BATCHES, "SharedPool", than, goal)?.only_shown(note);

    let batched = judge.best_of(hand_over::BATCHES, |row| {
        alive.contains(&row.kind) && !hand_over::ONE_BY_ONE.contains(&row.name)
    })?;
    let allowed = ns(goal * judge.median(hand_over::BATCHES, batched)?);
    let alone = ns(judge.median(hand_over::BATCHES, hand_over::ALONE)?);
    let note = format!(
        "{} take {alone} of the {allowed} that {goal} x {batched} is; a lease is three words where a Box is one, so three \
         times as many lines of cache pass through the channel",
        hand_over::ALONE
    );
    for pool in ["Cache", "SharedPool"] {
        judge.ratio(hand_over::BATCHES, pool, batched, goal)?.only_shown(note.clone());
    }

    // How fast lines of cache pass from one processor to the other decides, and that is twice or four times as much in
    // one run as in the next, for one contender more than for another.
    for target in &mut judge.targets {
        if target.row.starts_with("Hand-over") {
            target.swing = 4.0;
            if target.judged && !target.met() {
                target.known(
                    2.0 * target.goal,
                    "how fast lines pass from one processor to the other decides: the same build took half as long in \
                     another run"
                        .into(),
                );
            }
        }
    }
    for slug in [hand_over::SINGLY, hand_over::BATCHES] {
        for created in [hand_over::CREATED_CACHE, hand_over::CREATED, hand_over::CREATED_BARE] {
            judge.count(slug, created, hand_over::ENOUGH)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a goal that a missing figure meets.
    #[test]
    fn what_was_not_measured_is_not_met() {
        let target = |measured| Target::judged("row".into(), "x".into(), 1.0, measured);
        assert!(target(1.0).met() && !target(1.0).fails(1.0));
        assert!(!target(1.2).met() && target(1.2).fails(1.0) && !target(1.2).fails(1.5));
        assert!(!target(f64::NAN).met() && target(f64::NAN).fails(1.5));
        let untold = Target { disturbed: true, ..target(2.0) };
        assert!(untold.fails(1.0) && !untold.fails(1.5));
    }

    /// Catches: a goal that is let go because it is hard, not because it is below the limit.
    #[test]
    fn only_what_is_below_the_limit_is_out_of_reach() {
        let note = |peer_ns| below_the_limit(0.5, ("peer", peer_ns), ("Vec", 2.0));
        assert_eq!(
            note(2.0).unwrap(),
            "out of reach: peer takes 2.0 ns, so 0.5 x that is 1.0 ns, and the limit, Vec, takes 2.0 ns"
        );
        assert!(note(4.0).is_none() && note(8.4).is_none() && note(f64::NAN).is_none());
    }

    /// Catches: a row that is not judged and does not say why, and one that fails all the same.
    #[test]
    fn what_is_only_shown_says_why() {
        let mut target = Target::judged("row".into(), "x".into(), 1.0, 9.0);
        target.noted("what bounds it".into());
        assert!(target.judged && target.fails(1.5));
        target.known(8.0, "why".into());
        assert!(target.fails(1.0) && !target.fails(1.5) && !target.met());
        target.measured = 8.0;
        assert!(!target.fails(1.0) && !target.met(), "a goal stays missed");
        target.only_shown("why".into());
        assert!(!target.judged && !target.fails(1.0) && !target.met());
        let other = Target::judged("other".into(), "x".into(), 1.0, 1.0);
        let targets = [other.clone(), target.clone(), other, target];
        let marks = marks(&targets);
        assert_eq!((marks.notes, marks.of), (vec!["why"], vec![None, Some(1), None, Some(1)]));
    }
}
