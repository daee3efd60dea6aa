//! Models of what threads can do to an account at the same time.

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use pool_core::{Account, AccountEventKind, KeyedPoolBuilder, Pressure};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A root with a limit, and below it an account without one: what the root refuses has been charged below.
fn tree(limit: usize) -> (Account, Account) {
    let root = Account::new("root", limit);
    let leaf = Account::builder("leaf").parent(&root).build();
    (root, leaf)
}

/// Nothing is in use, and all of it can be had: nothing was lost or found.
#[track_caller]
fn check(root: &Account, leaf: &Account, limit: usize) {
    assert_eq!((leaf.used(), root.used()), (0, 0));
    assert!(root.peak() <= limit && root.lifetime_peak() <= limit);
    let all = leaf.try_reserve(limit).unwrap();
    assert!(leaf.try_reserve(1).is_err());
    drop(all);
}

// Two that both see room for one; or both refused, where there is no level above that could refuse either.
#[test]
fn charge_against_charge_at_the_limit() {
    loom::model(|| {
        let (root, leaf) = tree(10);
        let theirs = leaf.clone();
        let other = thread::spawn(move || theirs.try_reserve(6));
        let mine = leaf.try_reserve(6);
        let other = other.join().unwrap();
        assert_eq!((mine.is_ok() as u8) + (other.is_ok() as u8), 1);
        assert_eq!((leaf.used(), root.used()), (6, 6));
        drop((mine, other));
        check(&root, &leaf, 10);
    });
}

// A charge that the old limit lets through, although it began after the new one was set, or although the excess that the
// setter was told does not count it. `charge` tells whether it was let through while it holds what it claimed.
fn charge_against_limit_change(make: fn() -> [Account; 2], charge: fn(&Account, then: &mut dyn FnMut(bool))) {
    loom::model(move || {
        let [limited, charged] = make();
        let lowered = Arc::new(AtomicBool::new(false));
        let (theirs, done) = (limited.clone(), Arc::clone(&lowered));
        let other = thread::spawn(move || {
            let over = theirs.set_hard_limit(5);
            done.store(true, Ordering::Release);
            over
        });
        let late = lowered.load(Ordering::Acquire);
        let mut other = Some(other);
        charge(&charged, &mut |granted| {
            assert!(!late || !granted);
            let over = other.take().unwrap().join().unwrap();
            assert!(over == 0 || over == 1);
            assert_eq!(limited.overcommitted(), usize::from(granted));
            assert!(limited.used() <= 5 + over, "{} in use, {over} over the limit", limited.used());
        });
        limited.set_hard_limit(10);
        check(&limited, &charged, 10);
    });
}

fn alone() -> [Account; 2] {
    let account = Account::new("account", 10);
    [account.clone(), account]
}

/// The second charge finds that it passes no bound, and later ones of as many bytes do not look.
fn calmed(account: Account, bytes: usize) -> Account {
    for _ in 0..2 {
        drop(account.try_reserve(bytes));
    }
    account
}

fn alone_and_calm() -> [Account; 2] {
    let account = calmed(Account::new("account", 10), 6);
    [account.clone(), account]
}

fn reserve(account: &Account, then: &mut dyn FnMut(bool)) {
    then(account.try_reserve(6).as_ref().is_ok());
}

#[test]
fn charge_against_limit_change_of_one_account() {
    charge_against_limit_change(alone, reserve);
    charge_against_limit_change(alone_and_calm, reserve);
}

// A charge that learns that it passes no bound while the bound is lowered, and lets later ones pass it without a look; or two
// that do, one of whom knew the old bound.
#[test]
fn calming_against_limit_change() {
    loom::model(|| {
        let account = Account::new("account", 10);
        // Both have room, and set no record.
        drop(account.try_reserve(9));
        let (lowers, charges) = (account.clone(), account.clone());
        let lowers = thread::spawn(move || _ = lowers.set_hard_limit(5));
        let charges = thread::spawn(move || drop(charges.try_reserve(3)));
        drop(account.try_reserve(6));
        for thread in [lowers, charges] {
            thread.join().unwrap();
        }
        assert!(account.try_reserve(6).is_err());
        drop(account.try_reserve(5).unwrap());
        account.set_hard_limit(10);
        check(&account, &account, 10);
    });
}

// One who knows the bound before the last, after the last was doubted in the same words.
#[test]
fn calming_against_two_limit_changes() {
    loom::model(|| {
        let account = Account::new("account", 10);
        drop(account.try_reserve(6));
        let theirs = account.clone();
        let other = thread::spawn(move || drop(theirs.try_reserve(6)));
        account.set_hard_limit(8);
        account.set_hard_limit(5);
        other.join().unwrap();
        assert!(account.try_reserve(6).is_err());
        drop(account.try_reserve(5).unwrap());
    });
}

// A peak that is reset while others charge, and is below what is in use then.
#[test]
fn charge_against_reset_of_the_peak() {
    loom::model(|| {
        let [account, theirs] = alone_and_calm();
        let other = thread::spawn(move || theirs.reset_peak());
        let mine = account.try_reserve(6).unwrap();
        other.join().unwrap();
        assert_eq!(account.peak(), 6);
        drop(mine);
    });
}

#[test]
fn charge_against_limit_change_of_a_root() {
    charge_against_limit_change(|| tree(10).into(), reserve);
}

#[test]
fn charge_against_limit_change_of_a_leaf() {
    let below_one_without = || {
        let root = Account::builder("root").build();
        let leaf = Account::builder("leaf").parent(&root).hard_limit(10).build();
        [leaf.clone(), leaf]
    };
    charge_against_limit_change(below_one_without, reserve);
}

// Lent with what is claimed, and, close to the limit, charged as it is.
#[test]
fn charge_against_limit_change_on_credit() {
    charge_against_limit_change(alone, |account, then| {
        let credit = account.credit(1);
        then(credit.try_reserve(6).as_ref().is_ok());
    });
    charge_against_limit_change(alone, |account, then| {
        let credit = account.credit(3);
        then(credit.try_reserve(6).as_ref().is_ok());
    });
}

// A pool's claim, which has a way of its own to one account.
#[test]
fn charge_against_limit_change_for_an_object() {
    charge_against_limit_change(alone, |account, then| {
        let make = |_: &()| Ok::<_, Infallible>([0u8; 6]);
        let pool = KeyedPoolBuilder::new(make).account(account.clone()).build();
        then(pool.acquire(&()).as_ref().is_ok());
    });
}

// Bytes that a refused charge leaves behind, or takes with it, while others are freed.
#[test]
fn free_against_failing_charge() {
    loom::model(|| {
        let (root, leaf) = tree(10);
        let held = leaf.try_reserve(6).unwrap();
        let other = thread::spawn(move || held.free());
        let mine = leaf.try_reserve(6);
        other.join().unwrap();
        let used = if mine.is_ok() { 6 } else { 0 };
        assert_eq!((leaf.used(), root.used()), (used, used));
        drop(mine);
        check(&root, &leaf, 10);
    });
}

// A charge that is refused although what is in use leaves room for it: it is lent, and not recalled; or lent bytes that
// both take. With the barrier and without.
fn credit_recall_against_charge(light: bool) {
    loom::model(move || {
        let root = Account::new("root", 10);
        let theirs = root.clone();
        let other = thread::spawn(move || {
            let credit = theirs.credit_for_model(2, light);
            drop(credit.try_reserve(1).unwrap());
            drop(credit.try_reserve(1).unwrap());
            credit
        });
        drop(root.try_reserve(9).unwrap());
        drop(other.join().unwrap());
        check(&root, &root, 10);
    });
}

#[test]
fn credit_recall_against_charge_with_the_barrier() {
    credit_recall_against_charge(true);
}

#[test]
fn credit_recall_against_charge_without_the_barrier() {
    credit_recall_against_charge(false);
}

// A charge that is refused for want of what a credit holds that is being dropped: on no list any more, and not given back; or
// given back when the charge looks who lends.
fn charge_against_the_end_of_a_credit(make: fn() -> [Account; 2]) {
    for light in [true, false] {
        loom::model(move || {
            let [root, account] = make();
            let theirs = account.clone();
            let other = thread::spawn(move || drop(theirs.try_reserve(9).unwrap()));
            let credit = root.credit_for_model(2, light);
            drop(credit.try_reserve(1).unwrap());
            drop(credit);
            other.join().unwrap();
            check(&root, &account, 10);
        });
    }
}

#[test]
fn charge_against_the_end_of_a_credit_of_one_account() {
    charge_against_the_end_of_a_credit(alone);
}

#[test]
fn charge_against_the_end_of_a_credit_of_a_root() {
    charge_against_the_end_of_a_credit(|| tree(10).into());
}

// A charge that is refused for want of what a credit held, which nobody can recall while it is given back.
#[test]
fn charge_against_credit_that_runs_over() {
    for light in [true, false] {
        loom::model(move || {
            let root = Account::new("root", 10);
            let credit = root.credit_for_model(2, light);
            let mut held = credit.try_reserve(3).unwrap();
            let more = credit.try_reserve(1).unwrap();
            held.shrink(2).unwrap();
            assert_eq!((credit.unused(), root.used()), (2, 2));
            let theirs = root.clone();
            let other = thread::spawn(move || drop(theirs.try_reserve(8).unwrap()));
            held.shrink(1).unwrap();
            other.join().unwrap();
            drop((held, more));
            drop(credit);
            check(&root, &root, 10);
        });
    }
}

// Credit that was borrowed under the old limit, and is used after the new one was set.
#[test]
fn credit_against_limit_change() {
    loom::model(|| {
        let root = Account::new("root", 10);
        let lowered = Arc::new(AtomicBool::new(false));
        let (theirs, seen) = (root.clone(), Arc::clone(&lowered));
        let other = thread::spawn(move || {
            let credit = theirs.credit(2);
            drop(credit.try_reserve(1));
            let late = seen.load(Ordering::Acquire);
            let claim = credit.try_reserve(1);
            assert!(!late || claim.is_err());
        });
        root.set_hard_limit(0);
        lowered.store(true, Ordering::Release);
        other.join().unwrap();
        root.set_hard_limit(10);
        check(&root, &root, 10);
    });
}

// An edge that two threads meet at, and neither of them sees: pressure that stays, or stays away, until the next charge.
#[test]
fn charge_against_free_at_the_soft_limit() {
    // The bytes of one who frees and of one who charges; each alone is at rest, and both are over the limit.
    for (freed, charged, over) in [(30, 30, false), (60, 60, true)] {
        loom::model(move || {
            // std's, which loom does not interleave: the handler is not what is tried.
            let (told, told_back) = (Arc::default(), Arc::default());
            let hears: [Arc<AtomicUsize>; 2] = [Arc::clone(&told), Arc::clone(&told_back)];
            let account = Account::builder("account")
                .soft_limit(50)
                .on_event(move |event| {
                    let [over, back] = &hears;
                    match event.kind {
                        AccountEventKind::OverSoftLimit => over.fetch_add(1, Relaxed),
                        AccountEventKind::BackToLow => back.fetch_add(1, Relaxed),
                    };
                })
                .build();
            let account = calmed(account, charged);
            for times in [&told, &told_back] {
                times.store(0, Relaxed);
            }
            let held = account.try_reserve(freed).unwrap();
            let other = thread::spawn(move || held.free());
            let mine = account.try_reserve(charged).unwrap();
            other.join().unwrap();
            let expected = if over { Pressure::Moderate } else { Pressure::None };
            assert_eq!((account.used(), account.pressure()), (charged, expected));
            assert_eq!(told.load(Relaxed), told_back.load(Relaxed) + usize::from(over));
            drop(mine);
            assert_eq!((account.used(), account.pressure()), (0, Pressure::None));
            assert_eq!(told.load(Relaxed), told_back.load(Relaxed));
        });
    }
}

// Bytes on their way to a refusal that hide from who gives back that pressure ends, and are taken off without a look.
fn charge_in_vain_against_free(make: fn() -> [Account; 2], in_its_way: fn(&Account)) {
    loom::model(move || {
        // What the second thread does is in the way of the charge.
        let [account, root] = make();
        account.set_low_watermark(3);
        account.set_soft_limit(5);
        let held = account.try_reserve(6).unwrap();
        // Sets a record, or, where there is one, lets later ones of as many bytes pass without a look.
        drop(account.try_reserve(4).unwrap());
        assert_eq!(account.pressure(), Pressure::Moderate);
        let free = thread::spawn(move || held.free());
        let other = thread::spawn(move || in_its_way(&root));
        drop(account.try_reserve(4));
        for thread in [free, other] {
            thread.join().unwrap();
        }
        assert_eq!((account.used(), account.pressure()), (0, Pressure::None));
    });
}

#[test]
fn charge_that_its_root_refuses_against_free() {
    let make = || {
        let (root, leaf) = tree(10);
        [leaf, root]
    };
    charge_in_vain_against_free(make, |root| drop(root.try_reserve(4)));
}

#[test]
fn charge_that_a_new_limit_refuses_against_free() {
    // So low that a second try is in vain as well.
    charge_in_vain_against_free(alone, |account| _ = account.set_hard_limit(3));
    let calm = || {
        let account = calmed(Account::new("account", 10), 10);
        [account.clone(), account]
    };
    charge_in_vain_against_free(calm, |account| _ = account.set_hard_limit(3));
}

// An edge that comes while a handler runs that panics, and who brought it leaves it to the one that does not look again.
#[test]
fn charge_against_a_handler_that_panics() {
    loom::model(|| {
        let account = Account::builder("account")
            .soft_limit(50)
            .on_event(|event| {
                if event.kind == AccountEventKind::BackToLow {
                    resume_unwind(Box::new(()));
                }
            })
            .build();
        let held = account.try_reserve(60).unwrap();
        let other = thread::spawn(move || drop(catch_unwind(AssertUnwindSafe(|| held.free()))));
        let mine = catch_unwind(AssertUnwindSafe(|| account.try_reserve(60).unwrap()));
        other.join().unwrap();
        // Whose charge raises the other's edge loses its claim to the panic.
        let expected = if mine.is_ok() { Pressure::Moderate } else { Pressure::None };
        assert_eq!(account.pressure(), expected);
        drop(catch_unwind(AssertUnwindSafe(|| drop(mine))));
    });
}

// A soft limit that is set while others charge: above it, or no more, and neither the charge nor the setter says so.
#[test]
fn charge_against_soft_limit_change() {
    for (before, after, expected) in
        [(usize::MAX, 50, Pressure::Moderate), (50, 100, Pressure::None), (100, 50, Pressure::Moderate)]
    {
        loom::model(move || {
            let account = calmed(Account::builder("account").soft_limit(before).build(), 60);
            let theirs = account.clone();
            let other = thread::spawn(move || theirs.set_soft_limit(after));
            let mine = account.try_reserve(60).unwrap();
            other.join().unwrap();
            assert_eq!(account.pressure(), expected);
            drop(mine);
            assert_eq!(account.pressure(), Pressure::None);
        });
    }
}
