//! What the tracker promises beyond its unit tests: exact counts whatever its account's handler does.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use pool_core::{Account, Tracker};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn consistent(tracker: &Tracker<u32>) {
    let sum: usize = tracker.iter().map(|(_, bytes)| bytes).sum();
    assert_eq!((tracker.used(), tracker.account().used()), (sum, sum), "used, charged, tracked");
    assert_eq!(tracker.iter().count(), tracker.len());
}

// An id that shares an entry with another, or bytes that nobody can give back, after the handler panicked.
#[test]
fn tracker_counts_stay_exact_when_an_event_handler_panics() {
    let armed = Arc::new(AtomicBool::new(false));
    let trigger = Arc::clone(&armed);
    let account = Account::builder("a")
        .soft_limit(100)
        .on_event(move |_| {
            if trigger.swap(false, Ordering::Relaxed) {
                resume_unwind(Box::new("on purpose"));
            }
        })
        .build();
    let mut tracker = Tracker::new(account);
    let arm = || armed.store(true, Ordering::Relaxed);
    let panics = |action: &mut dyn FnMut()| assert!(catch_unwind(AssertUnwindSafe(action)).is_err());

    tracker.track(1, 60).unwrap();
    arm();
    panics(&mut || _ = tracker.track(2, 60)); // over
    consistent(&tracker);
    tracker.track(2, 60).unwrap();
    arm();
    panics(&mut || _ = tracker.evict_to(0)); // back to low
    consistent(&tracker);
    tracker.track(3, 10).unwrap();
    tracker.track(4, 20).unwrap();
    consistent(&tracker);
    for id in 1..5 {
        tracker.untrack(&id);
        consistent(&tracker);
    }
    tracker.track(1, 60).unwrap();
    tracker.track(2, 60).unwrap();
    arm();
    panics(&mut || _ = tracker.untrack(&1));
    consistent(&tracker);
    tracker.track(1, 60).unwrap();
    arm();
    panics(&mut || _ = tracker.retain(|_, _| false));
    consistent(&tracker);
    tracker.clear();
    assert_eq!((tracker.len(), tracker.used()), (0, 0));
}
