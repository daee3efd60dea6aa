//! `lock_memory`, in a process of its own, for it changes the whole process.
#![cfg(all(feature = "mlock", target_os = "linux"))]

use std::fs;
use std::hint::black_box;

/// A line of a file in `/proc/self`, its number alone.
fn number(file: &str, label: &str, column: usize) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(label))?;
    line[label.len()..].split_whitespace().nth(column)?.parse().ok()
}

fn locked_kib() -> Option<u64> {
    number("/proc/self/status", "VmLck:", 0)
}

/// Would catch a call that locks what there is and not what comes, one that does nothing, and a refusal that is swallowed.
#[test]
fn what_is_there_and_what_comes_stays_in_memory_or_the_system_refuses() {
    assert_eq!(locked_kib(), Some(0));
    match pool_audio::lock_memory() {
        Ok(()) => {
            let before = locked_kib();
            assert!(before > Some(0));
            // Used, as far as the compiler knows: memory that nobody looks at is never asked for in a release build.
            let later = black_box(vec![1_u8; 8 << 20]);
            let after = locked_kib();
            assert!(after >= before.map(|before| before + 8 * 1024), "{before:?} KiB, then {after:?}");
            drop(black_box(later));
        }
        Err(error) => {
            // `None` where there is no limit.
            let limit = number("/proc/self/limits", "Max locked memory", 0);
            assert!(limit.is_some(), "refused without a limit: {error}");
            assert_eq!(locked_kib(), Some(0), "{error}");
        }
    }
}
