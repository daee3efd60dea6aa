//! The self-check: does each check turn red when there is a fault to find?
//!
//! A copy of the sources is checked as it is, which must pass, and then once for each fault that is planted in it,
//! which must fail, with the words that tell that it failed because of the fault.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::copy::Copy;
use crate::process;
use crate::tsan;
use crate::workspace::Workspace;

/// One run of a check on the copy may take so long, its first build included.
const LIMIT: Duration = Duration::from_secs(2400);

/// A fault: one text of the sources replaced by another.
struct Fault {
    /// The command of `cargo xtask` that must find it.
    check: &'static str,
    /// What is wrong.
    what: &'static str,
    file: &'static str,
    old: &'static str,
    new: &'static str,
    /// Part of what the check then says; a compiler's error does not hold it.
    sign: &'static str,
}

/// A release that sets the idle bit and publishes nothing: the next holder may not see what the last one wrote.
const SILENT_RELEASE: [&str; 2] = [
    "            group.words.idle.fetch_or(bits, Ordering::SeqCst);",
    "            group.words.idle.fetch_or(bits, Ordering::Relaxed);",
];

/// Those of one check stand together.
const FAULTS: &[Fault] = &[
    Fault {
        check: "loom",
        what: "a release that publishes nothing",
        file: "pool-core/src/pages.rs",
        old: SILENT_RELEASE[0],
        new: SILENT_RELEASE[1],
        sign: "Causality violation",
    },
    Fault {
        check: "loom",
        what: "a thread that keeps for itself what somebody waits for",
        file: "pool-core/src/lane.rs",
        old: "if flags.load(Ordering::Acquire) <= most {",
        new: "if flags.load(Ordering::Acquire) <= usize::MAX - most {",
        sign: "deadlock; threads",
    },
    Fault {
        check: "loom",
        what: "a wake-up that ends with a future which no longer wants it",
        file: "pool-core/src/wait.rs",
        old: "        if others {\n",
        new: "        if others && self.queued {\n",
        sign: "deadlock; threads",
    },
    Fault {
        check: "loom",
        what: "a charge that is read, then written",
        file: "pool-core/src/account/mode.rs",
        old: "match ledger.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits) {",
        new: "let write = |used: usize| {\n                \
              let sum = fits(used).ok_or(used)?;\n                \
              ledger.used.store(sum, Ordering::Release);\n                \
              Ok(used)\n            \
              };\n            \
              match write(ledger.used.load(Ordering::Acquire)) {",
        sign: "panicked at pool-core/tests/loom/accounts.rs",
    },
    Fault {
        check: "loom",
        what: "a new limit that who charges at this moment does not see, and whose setter does not see the charge",
        file: "pool-core/src/account/mode.rs",
        old: "ledger.used.fetch_add(0, Ordering::AcqRel)",
        new: "ledger.used.load(Ordering::Acquire)",
        sign: "panicked at pool-core/tests/loom/accounts.rs",
    },
    Fault {
        check: "loom",
        what: "a recall that does not wait for who is using the credit",
        file: "pool-core/src/account/credit.rs",
        old: "while line.busy.load(Ordering::SeqCst) {",
        new: "while false {",
        sign: "panicked at pool-core/tests/loom/accounts.rs",
    },
    Fault {
        check: "loom",
        what: "a slot that others may use before its object was taken out of it",
        file: "pool-core/src/keyed/release.rs",
        old: "let gone = self.remove(&mut self.state.lock(), slot, why);",
        new: "let left = self.state.lock().remove(slot, why, O::listens());\n        \
              // SAFETY: planted.\n        \
              let gone = super::Gone { object: unsafe { self.cells.at(slot).take() }, left, crossed: false };",
        sign: "panicked at pool-core/tests/loom/keyed.rs",
    },
    Fault {
        check: "miri",
        what: "a release that publishes nothing",
        file: "pool-core/src/pages.rs",
        old: SILENT_RELEASE[0],
        new: SILENT_RELEASE[1],
        sign: "Undefined Behavior: Data race detected",
    },
    Fault {
        check: "miri",
        what: "a lane that nobody frees",
        file: "pool-core/src/lane.rs",
        old: "holders.fetch_sub(1, Ordering::AcqRel) == 1",
        new: "holders.fetch_sub(1, Ordering::AcqRel) == 0",
        sign: "memory leaked",
    },
    Fault {
        check: "tsan",
        what: "a release that publishes nothing",
        file: "pool-core/src/pages.rs",
        old: SILENT_RELEASE[0],
        new: SILENT_RELEASE[1],
        sign: "WARNING: ThreadSanitizer: data race",
    },
    Fault {
        // In models the light barrier is a fence, which covers this up.
        check: "tsan",
        what: "a thread's lane that is left without publishing what was done with it",
        file: "pool-core/src/lane.rs",
        old: "self.busy.store(false, Ordering::Release);",
        new: "self.busy.store(false, Ordering::Relaxed);",
        sign: "WARNING: ThreadSanitizer: data race",
    },
    Fault {
        check: "tsan",
        what: "a cache that is not flushed when it goes",
        file: "pool-core/src/cache.rs",
        old: "    fn drop(&mut self) {\n        self.flush();\n",
        new: "    fn drop(&mut self) {\n",
        sign: "panicked at",
    },
    Fault {
        check: "embedded",
        what: "an idle bit that is read, then written",
        file: "pool-core/src/pages.rs",
        old: "        match word.compare_exchange_weak(bits, bits & (bits - 1), Ordering::Acquire, Ordering::Relaxed) {",
        new: "        word.store(bits & (bits - 1), Ordering::Relaxed);\n        match Ok::<usize, usize>(bits) {",
        sign: "panicked at",
    },
    Fault {
        // Cortex-M3 only: the interrupt handler waits for ever for what it has interrupted.
        check: "embedded",
        what: "a count behind a lock",
        file: "pool-core/src/sync.rs",
        old: "    pub(crate) use super::halves::Count64;",
        new: "    pub(crate) use portable_atomic::AtomicU64 as Count64;",
        sign: "did not end within",
    },
    Fault {
        check: "embedded",
        what: "an uncharge that stops at the account's own level",
        file: "pool-core/src/account/levels.rs",
        old: "        for level in self.levels() {\n            crossed |= Self::take_off(",
        new: "        for level in self.levels().take(1) {\n            crossed |= Self::take_off(",
        sign: "panicked at",
    },
    Fault {
        check: "realtime",
        what: "a lock in the release of the pool behind",
        file: "pool-core/src/shared/idle.rs",
        old: "    pub(super) fn put_shared(&self, slot: u32) {\n",
        new: "    pub(super) fn put_shared(&self, slot: u32) {\n        \
              static PLANTED: std::sync::Mutex<()> = std::sync::Mutex::new(());\n        \
              drop(PLANTED.lock());\n",
        sign: "an audio thread must not wait",
    },
    Fault {
        check: "realtime",
        what: "a handle that allocates when there is nothing",
        file: "pool-audio/src/realtime/handle.rs",
        old: "                self.signals.note_exhausted();\n                false",
        new: "                self.signals.note_exhausted();\n                std::hint::black_box(alloc::boxed::Box::new(self.key));\n                false",
        sign: "allocator calls in",
    },
    Fault {
        check: "realtime",
        what: "prewarming that leaves the pages to the audio thread",
        file: "pool-audio/src/sample.rs",
        old: "        floats.resize(count, 0.0);",
        new: "        floats = alloc::vec![0.0; count];",
        sign: "page faults in",
    },
    Fault {
        check: "realtime",
        what: "a release that frees what is not worth keeping",
        file: "pool-audio/src/realtime/class.rs",
        old: "        let key = buffer.samples.key();\n",
        new: "        let key = buffer.samples.key();\n        let fresh = (buffer.claim.account().try_reserve(0), SampleBuffer::for_key(key));\n        if let (Ok(claim), Ok(samples)) = fresh {\n            *buffer = RealtimeBuffer { claim, samples };\n        }\n",
        sign: "allocator calls in",
    },
];

/// Plants every fault.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let folder = workspace.target.join("planted");
    fs::create_dir_all(&folder)?;
    let copy = Copy::new(&workspace.root, folder.join("source"));
    let mut checks: Vec<&str> = FAULTS.iter().map(|fault| fault.check).collect();
    checks.dedup();
    if !tsan::SUPPORTED {
        println!("Leaving out tsan, which this machine cannot run.");
        checks.retain(|check| *check != "tsan");
    }
    for fault in FAULTS {
        fault.planted_in(&fs::read_to_string(workspace.root.join(fault.file))?)?;
    }
    // All of them, also after one that was not found: each takes minutes.
    let (mut planted, mut problems) = (0, Vec::new());
    for check in checks {
        copy.write(|_, _| Ok(None))?;
        println!("{check}: must pass on the sources as they are");
        match run_check(&folder, &copy, check, "sound")? {
            Outcome::Passed => {}
            outcome => {
                problems.push(format!("`cargo xtask {check}` fails without a fault: {}", outcome.told()));
                continue;
            }
        }
        for (index, fault) in FAULTS.iter().enumerate().filter(|(_, fault)| fault.check == check) {
            copy.write(|name, text| (name == fault.file).then(|| fault.planted_in(text)).transpose())?;
            println!("{check}: must find {}", fault.what);
            let outcome = run_check(&folder, &copy, check, &format!("fault-{index}"))?;
            planted += 1;
            match &outcome {
                Outcome::Failed(log) if fs::read_to_string(log)?.contains(fault.sign) => {}
                Outcome::Failed(_) => problems.push(format!(
                    "`cargo xtask {check}` fails, but says nothing of `{}`, with {} planted: {}",
                    fault.sign,
                    fault.what,
                    outcome.told()
                )),
                _ => problems.push(format!(
                    "`cargo xtask {check}` did not find {}: {}",
                    fault.what,
                    outcome.told()
                )),
            }
        }
    }
    if !problems.is_empty() {
        bail!("a check is blind, or sees what is not there:\n- {}", problems.join("\n- "));
    }
    println!("{planted} faults were planted, and each was found.");
    Ok(())
}

enum Outcome {
    Passed,
    Failed(PathBuf),
    Hung(PathBuf),
}

impl Outcome {
    fn told(&self) -> String {
        match self {
            Self::Passed => "it passed".into(),
            Self::Failed(log) => format!("see {}", log.display()),
            Self::Hung(log) => format!("it did not end within {} s, see {}", LIMIT.as_secs(), log.display()),
        }
    }
}

/// Runs a check on the copy, as somebody would type it there.
fn run_check(folder: &Path, copy: &Copy<'_>, check: &str, name: &str) -> Result<Outcome> {
    let mut command =
        Command::new(std::env::current_exe().context("this program does not know its own path")?);
    command.arg(check);
    command.env("CARGO_MANIFEST_DIR", copy.folder().join("xtask")).env("CARGO_TARGET_DIR", folder);
    let log = folder.join(format!("{check}-{name}.log"));
    let start = Instant::now();
    let status = process::run_into(&log, &mut command, LIMIT)?;
    println!("  {} in {:.1} s", log.display(), start.elapsed().as_secs_f64());
    Ok(match status {
        Some(status) if status.success() => Outcome::Passed,
        Some(_) => Outcome::Failed(log),
        None => Outcome::Hung(log),
    })
}

impl Fault {
    /// The text with the fault in it.
    fn planted_in(&self, text: &str) -> Result<String> {
        match text.matches(self.old).count() {
            1 => Ok(text.replacen(self.old, self.new, 1)),
            count => bail!(
                "the fault \"{}\" cannot be planted: {} holds what it replaces {count} times",
                self.what,
                self.file
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Catches: sources that have moved on from under a fault, long before anybody runs the self-check.
    #[test]
    fn every_fault_can_be_planted() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for fault in FAULTS {
            let text = fs::read_to_string(root.join(fault.file)).unwrap();
            assert_ne!(fault.planted_in(&text).unwrap(), text, "{}", fault.what);
        }
    }

    /// Catches: a check whose faults are not together, and which therefore begins anew.
    #[test]
    fn faults_of_one_check_are_together() {
        let mut checks: Vec<&str> = FAULTS.iter().map(|fault| fault.check).collect();
        checks.dedup();
        assert_eq!(checks.iter().collect::<BTreeSet<_>>().len(), checks.len());
    }
}
