//! What the tracker promises beyond its unit tests: exact counts whatever its account's handler does.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use pool_core::{Account, AccountEventKind, Mode, Tracker};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn consistent<M: Mode>(tracker: &Tracker<u32, M>) {
    let sum: usize = tracker.iter().map(|(_, bytes)| bytes).sum();
    assert_eq!((tracker.used(), tracker.account().used()), (sum, sum), "used, charged, tracked");
    assert_eq!(tracker.iter().count(), tracker.len());
    assert_eq!(tracker.is_empty(), tracker.iter().next().is_none());
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

/// Five of ten bytes each, the first used again.
fn five<M: Mode>(account: Account<M>) -> Tracker<u32, M> {
    let mut tracker = Tracker::new(account);
    for id in 0..5 {
        assert_eq!(tracker.track(id, 10), Ok(None));
    }
    assert!(tracker.touch(&0) && !tracker.touch(&7));
    consistent(&tracker);
    tracker
}

// The wrong end of the list, one too many, or one that is touched in vain.
#[test]
fn what_was_used_longest_ago_goes_first_and_no_more() {
    let mut tracker = five(Account::builder("a").build());
    assert_eq!(tracker.bytes_of(&1), Some(10)); // looking is not using
    assert_eq!(tracker.evict_to(50), []);
    assert_eq!(tracker.evict_to(49), [1]);
    consistent(&tracker);
    assert_eq!(tracker.evict_to(21), [2, 3]);
    assert_eq!(tracker.untrack(&4), Some(10));
    tracker.track(5, 1).unwrap();
    assert_eq!((tracker.evict_to(0), tracker.is_empty()), (vec![0, 5], true));
    assert_eq!((tracker.evict_to(0), tracker.account().used()), (vec![], 0));
    consistent(&tracker);
}

// Bytes of before that stay charged, or that are charged again; an id that keeps its old place.
#[test]
fn tracking_again_replaces_the_bytes() {
    let mut tracker = five(Account::local("a", 1000));
    for (bytes, before, used) in [(30, 10, 70), (5, 30, 45), (5, 5, 45), (0, 5, 40), (10, 0, 50)] {
        assert_eq!((tracker.track(1, bytes), tracker.used()), (Ok(Some(before)), used));
        consistent(&tracker);
    }
    assert_eq!(tracker.evict_to(10), [2, 3, 4, 0]);
    assert_eq!((tracker.peak(), tracker.len()), (70, 1));
}

// Objects that are there are refused, or objects of which nobody is warned.
#[test]
fn what_is_tracked_counts_as_external() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let heard = Rc::clone(&seen);
    let account = Account::local_builder("a")
        .hard_limit(45)
        .soft_limit(40)
        .on_event(move |event| heard.borrow_mut().push((event.kind, event.used)))
        .build();
    let mut tracker = five(account.clone());
    assert_eq!((account.external(), account.overcommitted()), (50, 5));
    assert_eq!(tracker.retain(|&id, bytes| id != 2 && bytes == 10), 10);
    assert_eq!(tracker.evict_to(35), [1]);
    let expected = [(AccountEventKind::OverSoftLimit, 50), (AccountEventKind::BackToLow, 30)];
    assert_eq!(*seen.borrow(), expected);
    drop(tracker);
    assert_eq!((account.external(), account.used()), (0, 0));
}
