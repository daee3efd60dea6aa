//! What accounts and reservations promise.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use pool_core::{Account, AccountEvent, AccountEventKind, Ledger, NotHeld, Pressure};

use crate::Check;
use crate::probe::{POOLS, PROBE, RAM};

const fn check(name: &'static str, run: fn()) -> Check {
    Check { kind: "account", name, run }
}

pub(crate) const CHECKS: &[Check] = &[
    check("a refused charge leaves no trace", refused_charge),
    check("the largest charge is refused, not wrapped", largest_charge),
    check("a reservation grows, shrinks, splits and ends", reservation),
    check("external bytes overcommit and block charges", external),
    check("events come once per crossing", events),
];

/// Both accounts, with these limits.
fn limited(ram: usize, pools: usize) -> [Account; 2] {
    PROBE.reset();
    let accounts = [RAM.account(), POOLS.account()];
    accounts[0].set_hard_limit(ram);
    accounts[1].set_hard_limit(pools);
    accounts
}

// A refusal above that leaves the level below charged, or a peak that counts what never was.
fn refused_charge() {
    let [ram, pools] = limited(100, 200);
    let held = pools.try_reserve(60).ok();
    let Err(refusal) = pools.try_reserve(41) else { panic!("a charge passed the limit") };
    assert_eq!((refusal.account.name(), refusal.requested, refusal.free), ("ram", 41, 40));
    for account in [&ram, &pools] {
        assert_eq!((account.used(), account.peak()), (60, 60), "{account:?}");
    }
    drop(held);
    assert_eq!((ram.used(), pools.used()), (0, 0));
}

// `used + usize::MAX` wrapping to a small number that fits.
fn largest_charge() {
    let [ram, pools] = limited(usize::MAX, usize::MAX);
    let one = pools.try_reserve(1).ok();
    assert!(pools.try_reserve(usize::MAX).is_err());
    assert_eq!((ram.used(), pools.used()), (1, 1));
    drop(one);
}

// Bytes that a reservation loses, or has twice.
fn reservation() {
    let [ram, pools] = limited(500, 400);
    let Ok(mut body) = pools.try_reserve(100) else { panic!("refused with room") };
    assert!(body.try_grow(300).is_ok());
    assert!(body.try_grow(1).is_err());
    let Ok(head) = body.split(50) else { panic!("split refused") };
    assert_eq!((body.bytes(), head.bytes(), ram.used()), (350, 50, 400));
    assert_eq!(body.shrink(351), Err(NotHeld { requested: 351, held: 350 }));
    assert_eq!(body.shrink(150), Ok(()));
    head.free();
    assert_eq!((ram.used(), pools.used()), (200, 200));
    drop(body);
    assert_eq!((ram.used(), pools.used(), ram.peak()), (0, 0, 400));
}

// An external charge that is refused, or that lets the next ordinary one through.
fn external() {
    let [ram, pools] = limited(100, 100);
    let given = pools.charge_external(150).ok();
    assert_eq!((ram.overcommitted(), ram.pressure()), (50, Pressure::Critical));
    assert!(pools.try_reserve(1).is_err());
    drop(given);
    assert_eq!((ram.used(), ram.overcommitted(), ram.external()), (0, 0, 0));
}

static OVER: AtomicUsize = AtomicUsize::new(0);
static BACK: AtomicUsize = AtomicUsize::new(0);
static WATCHED: Ledger = Ledger::watched("watched", 100, 80, heard, None);

fn heard(event: &AccountEvent) {
    let seen = if event.kind == AccountEventKind::OverSoftLimit { &OVER } else { &BACK };
    seen.store(seen.load(Relaxed) + 1, Relaxed);
}

// An event per charge while over the limit, or none when use falls.
fn events() {
    OVER.store(0, Relaxed);
    BACK.store(0, Relaxed);
    let Ok(mut claim) = WATCHED.account().try_reserve(80) else { panic!("refused with room") };
    let step = |grown: bool| assert!(grown);
    step(claim.try_grow(1).is_ok());
    step(claim.try_grow(1).is_ok());
    assert_eq!((OVER.load(Relaxed), BACK.load(Relaxed)), (1, 0));
    step(claim.shrink(11).is_ok()); // 71: between the two
    step(claim.shrink(1).is_ok());
    step(claim.shrink(1).is_ok());
    assert_eq!((OVER.load(Relaxed), BACK.load(Relaxed)), (1, 1));
    drop(claim);
    assert_eq!(WATCHED.account().used(), 0);
}
