//! Charge an account for an object, and undo the charge: with a limit, and with the most that was ever in use.
//!
//! DataFusion's memory pools, whose reservations work like ours, are not among the peers: `datafusion-execution` brings some
//! two hundred packages with it. What its greedy pool does is the loop by hand, without the peak and behind a `dyn`.

use super::threads::{Gate, join, lap, shift};
use super::{Contender, Kind, Workload};
use crate::lap::Lap;
use crate::ours::PACKAGE;
use pool_core::{Account, Charge, Credit, LocalAccount, Reservation};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

pub(crate) const ALONE: &str = "account";
pub(crate) const THREADS: &str = "account-threads";
pub(crate) const REFUSED: &str = "account-refused";
/// What an account and a reservation are by hand.
pub(crate) const LOOP: &str = "compare-and-swap loop";
/// An account by hand whose users know by themselves what to give back.
pub(crate) const BARE: &str = "compare-and-swap loop, what is held not noted";
/// What no account can be faster than.
pub(crate) const CELL: &str = "counter in a Cell";

const BYTES: usize = 512;
const LIMIT: usize = 64 << 20;
/// A thread's credit: some hundred objects.
const CREDIT: usize = 128 * BYTES;
/// What threads hold all the time, so that records are seldom.
const HELD: usize = 1 << 20;

/// A counter with a limit that can be changed and a peak, as one writes it.
struct ByHand {
    used: AtomicUsize,
    peak: AtomicUsize,
    limit: AtomicUsize,
}

impl ByHand {
    #[inline(always)]
    fn charge(&self, bytes: usize) -> bool {
        let limit = self.limit.load(Relaxed);
        let fits = |used: usize| used.checked_add(bytes).filter(|&sum| sum <= limit);
        let Ok(before) = self.used.fetch_update(Relaxed, Relaxed, fits) else { return false };
        if self.peak.load(Relaxed) < before + bytes {
            self.peak.fetch_max(before + bytes, Relaxed);
        }
        true
    }

    #[inline(always)]
    fn uncharge(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Relaxed);
    }
}

/// What somebody holds of it.
struct HeldByHand {
    counter: Arc<ByHand>,
    bytes: usize,
}

impl HeldByHand {
    fn of(counter: &Arc<ByHand>) -> Self {
        Self { counter: Arc::clone(counter), bytes: 0 }
    }

    #[inline(always)]
    fn grow(&mut self, bytes: usize) -> bool {
        let fits = self.counter.charge(bytes);
        if fits {
            self.bytes += bytes;
        }
        fits
    }

    #[inline(always)]
    fn shrink(&mut self, bytes: usize) -> bool {
        let Some(rest) = self.bytes.checked_sub(bytes) else { return false };
        self.bytes = rest;
        self.counter.uncharge(bytes);
        true
    }
}

/// What a thread's own account needs at least: a load, an addition and a store each way, of which the next waits for the
/// one before.
fn in_a_cell(unused: &Cell<usize>, operations: usize) {
    for _ in 0..operations {
        let Some(left) = unused.get().checked_sub(black_box(BYTES)) else { refused() };
        unused.set(left);
        unused.set(unused.get() + black_box(BYTES));
        // Memory, as a credit is, and no register.
        black_box(unused);
    }
}

/// A figure of a loop whose charges fail would be one of nothing.
#[cold]
fn refused() -> ! {
    panic!("a charge far below the limit was refused")
}

fn by_hand(held: &mut HeldByHand, operations: usize) {
    for _ in 0..operations {
        if !held.grow(black_box(BYTES)) || !held.shrink(black_box(BYTES)) {
            refused();
        }
    }
}

fn by_hand_not_noted(counter: &ByHand, operations: usize) {
    for _ in 0..operations {
        if !counter.charge(black_box(BYTES)) {
            refused();
        }
        counter.uncharge(black_box(BYTES));
    }
}

/// One reservation that grows and shrinks, as an operator of a query does.
fn growing<A: Charge>(reservation: &mut Reservation<A>, operations: usize) {
    for _ in 0..operations {
        if reservation.try_grow(black_box(BYTES)).is_err() || reservation.shrink(black_box(BYTES)).is_err() {
            refused();
        }
    }
}

/// A reservation for each object.
fn new_each(account: &Account, operations: usize) {
    for _ in 0..operations {
        match account.try_reserve(black_box(BYTES)) {
            Ok(claim) => drop(black_box(claim)),
            Err(_) => refused(),
        }
    }
}

fn new_on_credit(credit: &Credit, operations: usize) {
    for _ in 0..operations {
        match credit.try_reserve(black_box(BYTES)) {
            Ok(claim) => drop(black_box(claim)),
            Err(_) => refused(),
        }
    }
}

fn new_local(account: &LocalAccount, operations: usize) {
    for _ in 0..operations {
        match account.try_reserve(black_box(BYTES)) {
            Ok(claim) => drop(black_box(claim)),
            Err(_) => refused(),
        }
    }
}

fn account() -> Account {
    let account = Account::new("bench", LIMIT);
    // Sets the record, and stays.
    match account.try_reserve(HELD) {
        Ok(mut held) => {
            if held.shrink(HELD / 2).is_err() {
                refused();
            }
            std::mem::forget(held);
        }
        Err(_) => refused(),
    }
    account
}

fn counter() -> Arc<ByHand> {
    let counter =
        ByHand { used: AtomicUsize::new(0), peak: AtomicUsize::new(0), limit: AtomicUsize::new(LIMIT) };
    counter.charge(HELD);
    counter.uncharge(HELD / 2);
    Arc::new(counter)
}

fn empty<A: Charge>(claim: Result<Reservation<A>, pool_core::OverBudget>) -> Reservation<A> {
    match claim {
        Ok(claim) => claim,
        Err(_) => refused(),
    }
}

/// One thread.
pub(super) fn alone() -> Workload {
    let mut grown = empty(account().try_reserve(0));
    let each = account();
    let credit: &'static Credit = Box::leak(Box::new(account().credit(CREDIT)));
    let mut borrowed = empty(credit.try_reserve(0));
    let local = Account::local("bench", LIMIT);
    let mut local_grown = empty(local.try_reserve(0));
    let (mut held, bare, cell) = (HeldByHand::of(&counter()), counter(), Cell::new(HELD));
    let ours = |name, run: Box<dyn FnMut(usize)>| Contender::here(name, Kind::Ours, run).of(PACKAGE);
    Workload {
        slug: ALONE,
        title: "Charge an account",
        per: "charge and its undoing",
        note: "512 bytes, with a limit and the most ever in use; one reservation that grows and shrinks, or a new one \
               each time.",
        contenders: vec![
            ours("Account", Box::new(move |operations| growing(&mut grown, operations))),
            ours("Account, new reservations", Box::new(move |operations| new_each(&each, operations))),
            ours("Credit", Box::new(move |operations| growing(&mut borrowed, operations))),
            ours("Credit, new reservations", Box::new(move |operations| new_on_credit(credit, operations))),
            ours("LocalAccount", Box::new(move |operations| growing(&mut local_grown, operations))),
            ours("LocalAccount, new reservations", Box::new(move |operations| new_local(&local, operations))),
            Contender::here(LOOP, Kind::Floor, move |operations| by_hand(&mut held, operations)),
            Contender::here(BARE, Kind::Floor, move |operations| by_hand_not_noted(&bare, operations)),
            Contender::here(CELL, Kind::Floor, move |operations| in_a_cell(&cell, operations)),
        ],
        facts: None,
    }
}

/// Two threads at once, each of which does this.
fn two(work: impl Fn(usize) + Sync) -> impl Fn(usize) -> Lap {
    move |operations| {
        let gate = Gate::new(2);
        thread::scope(|scope| {
            let work = || {
                work(64);
                shift(&gate, || work(operations))
            };
            let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
            lap(&threads.into_iter().map(join).collect::<Vec<_>>())
        })
    }
}

/// Two threads on one account.
pub(super) fn threads() -> Workload {
    let (grown, each, borrowed, counter) = (account(), account(), account(), counter());
    let ours =
        |name, run: Box<dyn FnMut(usize) -> Lap>| Contender::threads(name, Kind::Ours, run).of(PACKAGE);
    let on_credit = move |operations| {
        let gate = Gate::new(2);
        thread::scope(|scope| {
            let work = || {
                // Each has a credit of its own, from before the clock runs.
                let credit = borrowed.credit(CREDIT);
                let mut claim = empty(credit.try_reserve(0));
                growing(&mut claim, 64);
                shift(&gate, || growing(&mut claim, operations))
            };
            let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
            lap(&threads.into_iter().map(join).collect::<Vec<_>>())
        })
    };
    Workload {
        slug: THREADS,
        title: "Two threads charge one account",
        per: "charge and its undoing, and thread",
        note: "The same until both threads are done with theirs.",
        contenders: vec![
            ours(
                "Account",
                Box::new(two(move |operations| growing(&mut empty(grown.try_reserve(0)), operations))),
            ),
            ours("Account, new reservations", Box::new(two(move |operations| new_each(&each, operations)))),
            ours("Credit", Box::new(on_credit)),
            Contender::threads(
                LOOP,
                Kind::Floor,
                two(move |operations| by_hand(&mut HeldByHand::of(&counter), operations)),
            ),
        ],
        facts: None,
    }
}

/// A charge that does not fit, against one that does and its undoing.
pub(super) fn refusals() -> Workload {
    let [granted, full, grown, grown_full] = [account(), account(), account(), account()];
    // A holder of credit that has been recalled: there is nothing more to recall.
    let (lending, credit) = {
        let account = account();
        let credit = account.credit(CREDIT);
        drop(credit.try_reserve(1));
        (account, credit)
    };
    let told = |account: &Account, operations: usize| {
        for _ in 0..operations {
            match account.try_reserve(black_box(LIMIT)) {
                Ok(_) => refused(),
                Err(refusal) => drop(black_box(refusal)),
            }
        }
    };
    let grows = |account: &Account| match account.try_reserve(BYTES) {
        Ok(held) => held,
        Err(_) => refused(),
    };
    let (mut granted_more, mut refused_more) = (grows(&grown), grows(&grown_full));
    let ours = |name, run: Box<dyn FnMut(usize)>| Contender::here(name, Kind::Ours, run).of(PACKAGE);
    Workload {
        slug: REFUSED,
        title: "A charge that is refused",
        per: "charge",
        note: "\"granted\" is a charge that fits and its undoing; with a reservation of its own, or one that grows.",
        contenders: vec![
            ours("granted", Box::new(move |operations| new_each(&granted, operations))),
            ours("refused", Box::new(move |operations| told(&full, operations))),
            ours(
                "refused, with credits recalled",
                Box::new(move |operations| {
                    told(&lending, operations);
                    black_box(&credit);
                }),
            ),
            ours("granted, growing", Box::new(move |operations| growing(&mut granted_more, operations))),
            ours(
                "refused, growing",
                Box::new(move |operations| {
                    for _ in 0..operations {
                        match refused_more.try_grow(black_box(LIMIT)) {
                            Ok(()) => refused(),
                            Err(refusal) => drop(black_box(refusal)),
                        }
                    }
                }),
            ),
        ],
        facts: None,
    }
}
