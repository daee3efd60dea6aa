//! Accounts that threads charge at once. Each comment says what bug the test would catch; what takes a certain order of two
//! threads the models in `loom/accounts.rs` show, too.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use pool_core::Account;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};

/// What a thread does beside another.
const ROUNDS: usize = if cfg!(miri) { 100 } else { 1_000_000 };

// A lost update between threads: the limit passed, or bytes left over.
#[test]
fn threads_never_pass_the_limit_and_end_at_zero() {
    let root = Account::new("root", 1000);
    let middle = Account::builder("middle").parent(&root).hard_limit(700).build();
    let leaf = Account::builder("leaf").parent(&middle).build();
    let other = Account::builder("other").parent(&root).build();
    std::thread::scope(|scope| {
        for charged in [&leaf, &leaf, &other] {
            scope.spawn(|| {
                for size in 0..if cfg!(miri) { 40 } else { 2000 } {
                    if let Ok(claim) = charged.try_reserve(size % 400) {
                        assert!(charged.used() >= claim.bytes());
                    }
                    assert!(root.used() <= 1000 && middle.used() <= 700);
                }
            });
        }
    });
    assert_eq!([&root, &middle, &leaf, &other].map(Account::used), [0; 4]);
    assert!(root.peak() <= 1000);
}

// A limit passed, or credit lost, while threads borrow, recall and give back at once. What is really held is counted
// apart.
#[test]
fn threads_with_credit_never_pass_the_limit_and_end_at_zero() {
    const LIMIT: usize = 4000;
    let root = Account::new("root", LIMIT);
    let leaf = Account::builder("leaf").parent(&root).hard_limit(3000).build();
    let held = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let rounds = if cfg!(miri) { 60 } else { 20_000 };
    std::thread::scope(|scope| {
        for who in 0..3usize {
            let (root, leaf, held) = (&root, &leaf, &held);
            scope.spawn(move || {
                let account = if who == 0 { root } else { leaf };
                let credit = account.credit(200);
                let mut claims = VecDeque::new();
                for round in 0..rounds {
                    let bytes = (round * 37 + who * 11) % 190;
                    if let Ok(claim) = credit.try_reserve(bytes) {
                        let all = held[0].fetch_add(bytes, SeqCst) + bytes;
                        let inside = if who == 0 { 0 } else { held[1].fetch_add(bytes, SeqCst) + bytes };
                        assert!(all <= LIMIT && inside <= 3000, "{all} {inside}");
                        claims.push_back(claim);
                    }
                    // Few, many, few: with ample room, and close to the limit.
                    if claims.len() > round / 50 % 24 {
                        for claim in claims.drain(..claims.len() / 2 + 1) {
                            held[0].fetch_sub(claim.bytes(), SeqCst);
                            if who > 0 {
                                held[1].fetch_sub(claim.bytes(), SeqCst);
                            }
                        }
                    }
                    assert!(root.used() <= LIMIT && leaf.used() <= 3000);
                }
                for claim in claims {
                    held[0].fetch_sub(claim.bytes(), SeqCst);
                    if who > 0 {
                        held[1].fetch_sub(claim.bytes(), SeqCst);
                    }
                }
            });
        }
    });
    assert_eq!((root.used(), leaf.used()), (0, 0));
}

// Charges that the account above refuses, each time, and that others see below meanwhile: what fits is refused, a peak and an
// event tell of bytes that nobody got.
#[test]
fn what_has_no_room_above_is_in_nobodys_way() {
    let root = Account::new("root", 100);
    let told = Arc::new(AtomicUsize::new(0));
    let hears = Arc::clone(&told);
    let leaf = Account::builder("leaf")
        .parent(&root)
        .hard_limit(60)
        .soft_limit(20)
        .on_event(move |_| _ = hears.fetch_add(1, Relaxed))
        .build();
    let held = root.try_reserve(70).unwrap();
    let (done, tries) = (AtomicBool::new(false), AtomicUsize::new(0));
    let refused = std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            while !done.load(Relaxed) {
                assert!(leaf.try_reserve(50).is_err());
                tries.fetch_add(1, Relaxed);
            }
        });
        let mut refused = 0;
        while tries.load(Relaxed) < ROUNDS && !other.is_finished() {
            refused += usize::from(leaf.try_reserve(15).is_err()) + leaf.set_hard_limit(60);
        }
        done.store(true, Relaxed);
        other.join().unwrap();
        refused
    });
    assert_eq!(refused, 0);
    assert_eq!((leaf.peak(), told.load(Relaxed)), (15, 0));
    drop(held);
    assert_eq!((leaf.used(), root.used()), (0, 0));
}

// A charge that is refused for want of what credits hold that come and go: of one that is gone when the charge looks who lends, or
// of the next, which borrows while the charge is tried again.
#[test]
fn what_credits_hold_that_come_and_go_is_free() {
    let account = Account::new("account", 1000);
    let credits = AtomicUsize::new(0);
    let refused = std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            for _ in 0..ROUNDS {
                let credit = account.credit(100);
                drop(credit.try_reserve(1).unwrap());
                credits.fetch_add(1, Relaxed);
            }
        });
        let mut refused = 0;
        while credits.load(Relaxed) < ROUNDS && !other.is_finished() {
            refused += usize::from(account.try_reserve(999).is_err());
        }
        refused
    });
    assert_eq!((refused, account.used()), (0, 0));
}

// A lifetime peak that falls for a moment while the peak is reset.
#[test]
fn a_lifetime_peak_never_falls() {
    let account = Account::new("account", ROUNDS);
    let (done, looks) = (AtomicBool::new(false), AtomicUsize::new(0));
    let fell = std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let (mut most, mut fell) = (0, 0);
            while !done.load(Relaxed) {
                let now = account.lifetime_peak();
                fell += usize::from(now < most);
                most = most.max(now);
                looks.fetch_add(1, Relaxed);
            }
            fell
        });
        let mut bytes = 0;
        while looks.load(Relaxed) < ROUNDS {
            bytes = ROUNDS.min(bytes + 1);
            drop(account.try_reserve(bytes).unwrap());
            account.reset_peak();
        }
        done.store(true, Relaxed);
        other.join().unwrap()
    });
    assert_eq!((fell, account.peak()), (0, 0));
}

// An account that is missing in a report, or the largest consumer in a refusal, because another one ends beside it.
#[test]
fn who_is_there_is_in_every_report() {
    let root = Account::new("root", 100);
    for _ in 0..if cfg!(miri) { 2 } else { 2000 } {
        let others: Vec<_> = (0..10).map(|_| Account::builder("other").parent(&root).build()).collect();
        let steady = Account::builder("steady").parent(&root).build();
        let held = steady.try_reserve(100).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| drop(others));
            for _ in 0..3 {
                let snapshot = root.snapshot();
                assert!(snapshot.children.iter().any(|child| child.name == "steady" && child.used == 100));
                let refusal = root.try_reserve(1).unwrap_err().to_string();
                assert!(refusal.ends_with("most by \"steady\" 100 B"), "{refusal}");
            }
        });
        drop(held);
    }
}
