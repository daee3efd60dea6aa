//! What accounts promise, each test named after its promise; every kind of account runs all of `promises`. Each
//! comment says what bug the test would catch.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use pool_core::{
    Account, AccountEvent, AccountEventKind, AcquireError, Factory, KeyedPoolBuilder, Ledger, Local, Mode,
    NotHeld, OverBudget, Pressure, Reservation, Shared,
};
use std::cell::RefCell;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};

use AccountEventKind::{BackToLow, OverSoftLimit};

const NONE: usize = usize::MAX;

/// Limits in bytes, and how events are heard: see [`EVENTS`].
#[derive(Clone, Copy)]
struct Bounds {
    hard: usize,
    soft: usize,
}

const fn hard(hard: usize) -> Bounds {
    Bounds { hard, soft: NONE }
}

const fn soft(soft: usize) -> Bounds {
    Bounds { hard: NONE, soft }
}

/// An event's account, kind and bytes.
type Heard = (&'static str, AccountEventKind, usize);

thread_local! {
    /// What this thread's accounts have raised. Handlers have to be plain functions where there is no allocator.
    static EVENTS: RefCell<Vec<Heard>> = const { RefCell::new(Vec::new()) };
    /// What the next event does besides.
    static NEXT: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

fn heard<M: Mode>(event: &AccountEvent<M>) {
    let name = ["root", "middle", "leaf"].into_iter().find(|name| *name == event.account.name());
    EVENTS.with(|events| events.borrow_mut().push((name.unwrap_or("?"), event.kind, event.used)));
    assert_eq!(event.soft_limit, event.account.soft_limit());
    if let Some(next) = NEXT.take() {
        next();
    }
}

fn events() -> Vec<Heard> {
    EVENTS.with(RefCell::take)
}

fn on_next_event(action: impl FnOnce() + 'static) {
    NEXT.set(Some(Box::new(action)));
}

/// A kind of account. [`events`] hears of its crossings.
trait Kind {
    type Mode: Mode;
    fn make(name: &'static str, bounds: Bounds, parent: Option<&Account<Self::Mode>>) -> Account<Self::Mode>;
    /// What must be so once all accounts of a test are at zero.
    fn end() {}
}

struct Heap;
impl Kind for Heap {
    type Mode = Shared;
    fn make(name: &'static str, bounds: Bounds, parent: Option<&Account>) -> Account {
        let mut builder =
            Account::builder(name).hard_limit(bounds.hard).soft_limit(bounds.soft).on_event(heard);
        if let Some(parent) = parent {
            builder = builder.parent(parent);
        }
        builder.build()
    }
}

struct Static;
impl Kind for Static {
    type Mode = Shared;
    fn make(name: &'static str, bounds: Bounds, parent: Option<&Account>) -> Account {
        let ledger = Ledger::watched(name, bounds.hard, bounds.soft, heard, parent.cloned());
        // Never freed, as a `static`, and reachable, which Miri asks for.
        static LEDGERS: Mutex<Vec<&Ledger>> = Mutex::new(Vec::new());
        let ledger: &'static Ledger = Box::leak(Box::new(ledger));
        LEDGERS.lock().unwrap().push(ledger);
        Account::from_static(ledger)
    }
}

struct OneThread;
impl Kind for OneThread {
    type Mode = Local;
    fn make(name: &'static str, bounds: Bounds, parent: Option<&Account<Local>>) -> Account<Local> {
        let mut builder =
            Account::local_builder(name).hard_limit(bounds.hard).soft_limit(bounds.soft).on_event(heard);
        if let Some(parent) = parent {
            builder = builder.parent(parent);
        }
        builder.build()
    }
}

thread_local! {
    static SERVER: Account = Account::builder("server").build();
}

/// Its top is part of a shared account.
struct OnCredit;
impl Kind for OnCredit {
    type Mode = Local;
    fn make(name: &'static str, bounds: Bounds, parent: Option<&Account<Local>>) -> Account<Local> {
        let mut builder =
            Account::local_builder(name).hard_limit(bounds.hard).soft_limit(bounds.soft).on_event(heard);
        match parent {
            Some(parent) => builder = builder.parent(parent),
            None => builder = builder.credit(SERVER.with(|server| server.credit(64))),
        }
        builder.build()
    }
    fn end() {
        SERVER.with(|server| assert_eq!((server.used(), server.external()), (0, 0)));
    }
}

fn chain<K: Kind>(bounds: [Bounds; 3]) -> [Account<K::Mode>; 3] {
    let root = K::make("root", bounds[0], None);
    let middle = K::make("middle", bounds[1], Some(&root));
    let leaf = K::make("leaf", bounds[2], Some(&middle));
    [root, middle, leaf]
}

fn numbers<M: Mode>(account: &Account<M>) -> [usize; 4] {
    [account.used(), account.external(), account.peak(), account.lifetime_peak()]
}

fn at_zero<K: Kind>(accounts: &[Account<K::Mode>]) {
    for account in accounts {
        assert_eq!((account.used(), account.external(), account.overcommitted()), (0, 0, 0), "{account:?}");
    }
    K::end();
}

fn refused<M: Mode>(result: Result<Reservation<Account<M>>, OverBudget>) -> OverBudget {
    match result {
        Err(refusal) => refusal,
        Ok(claim) => panic!("{} bytes were granted", claim.bytes()),
    }
}

mod promises {
    use super::*;

    // A level that is left out, or that counts twice; a sibling that counts.
    pub(super) fn a_parents_use_is_its_own_plus_its_childrens<K: Kind>() {
        let accounts = chain::<K>([hard(NONE); 3]);
        let [root, middle, leaf] = &accounts;
        let other = K::make("other", hard(NONE), Some(root));
        let claims =
            [root.try_reserve(1), middle.try_reserve(10), leaf.try_reserve(100), other.charge_external(1000)];
        assert_eq!([root, middle, leaf, &other].map(Account::used), [1111, 110, 100, 1000]);
        assert_eq!([root, middle, leaf, &other].map(Account::external), [1000, 0, 0, 1000]);
        assert_eq!([root, middle, leaf, &other].map(Account::peak), [1111, 110, 100, 1000]);
        drop(claims);
        at_zero::<K>(&accounts);
    }

    // A refusal further up that leaves the levels below charged, or a peak that counts what never was.
    pub(super) fn a_refused_charge_changes_no_counter_and_no_peak<K: Kind>() {
        for (refusing, name) in ["root", "middle", "leaf"].into_iter().enumerate() {
            let mut bounds = [hard(1000); 3];
            bounds[refusing] = hard(100);
            let accounts = chain::<K>(bounds);
            let held = accounts[2].try_reserve(60).unwrap();
            let before = accounts.each_ref().map(numbers);
            assert_eq!(before, [[60, 0, 60, 60]; 3]);
            let refusal = refused(accounts[2].try_reserve(41));
            assert_eq!((refusal.account.name(), refusal.requested), (name, 41));
            assert_eq!((refusal.used, refusal.limit, refusal.free, refusal.evictable), (60, 100, 40, None));
            assert_eq!(accounts.each_ref().map(numbers), before);
            drop(held);
            assert_eq!(accounts.each_ref().map(numbers), [[0, 0, 60, 60]; 3]);
            at_zero::<K>(&accounts);
        }
    }

    // One of the levels left charged, the lowest or the highest, that were charged before the refusal: with none to three of
    // them below it.
    pub(super) fn a_refusal_at_any_level_undoes_all_below_it<K: Kind>() {
        for refusing in 0..4 {
            let mut accounts: Vec<Account<K::Mode>> = Vec::new();
            for (level, name) in ["root", "upper", "middle", "leaf"].into_iter().enumerate() {
                let bounds = hard(if level == refusing { 100 } else { NONE });
                accounts.push(K::make(name, bounds, accounts.last()));
            }
            let leaf = &accounts[3];
            let mut held = leaf.try_reserve(60).unwrap();
            assert!(refused(leaf.try_reserve(41)).account == accounts[refusing]);
            assert!(held.try_grow(usize::MAX).is_err());
            assert_eq!(accounts.iter().map(Account::used).collect::<Vec<_>>(), [60; 4]);
            assert_eq!(accounts.iter().map(Account::peak).collect::<Vec<_>>(), [60; 4]);
            drop(held);
            at_zero::<K>(&accounts);
        }
    }

    // A bound that is off by one, on either side.
    pub(super) fn no_charge_takes_an_account_above_its_hard_limit<K: Kind>() {
        let accounts = chain::<K>([hard(100), hard(70), hard(NONE)]);
        let [root, middle, leaf] = &accounts;
        let inside = leaf.try_reserve(70).unwrap();
        assert_eq!((leaf.free(), middle.free(), root.free()), (0, 0, 30));
        assert_eq!(refused(leaf.try_reserve(1)).account.name(), "middle");
        let mut beside = root.try_reserve(29).unwrap();
        beside.try_grow(1).unwrap();
        assert_eq!(beside.try_grow(1).unwrap_err().account.name(), "root");
        assert_eq!((beside.bytes(), root.used(), root.free()), (30, 100, 0));
        // Nothing at all always fits.
        assert_eq!(leaf.try_reserve(0).unwrap().bytes(), 0);
        drop((inside, beside));
        at_zero::<K>(&accounts);
    }

    // `used + usize::MAX` wrapping to a small number that fits.
    pub(super) fn usize_max_is_refused_not_wrapped<K: Kind>() {
        let account = K::make("root", hard(NONE), None);
        let one = account.try_reserve(1).unwrap();
        assert_eq!(refused(account.try_reserve(usize::MAX)).requested, usize::MAX);
        assert_eq!(refused(account.charge_external(usize::MAX)).requested, usize::MAX);
        assert!(account.make_room(usize::MAX).is_err());
        assert_eq!(numbers(&account), [1, 0, 1, 1]);
        one.free();
        let all = account.try_reserve(usize::MAX).unwrap();
        assert_eq!((all.bytes(), account.free()), (usize::MAX, 0));
        drop(all);
        at_zero::<K>(&[account]);
    }

    // An external charge that is refused, or that lets the next ordinary one through.
    pub(super) fn external_bytes_overcommit_and_charges_fail_until_it_is_back_under<K: Kind>() {
        let accounts = chain::<K>([hard(100), hard(NONE), hard(NONE)]);
        let [root, _, leaf] = &accounts;
        let mut decoded = leaf.charge_external(150).unwrap();
        assert_eq!((root.used(), root.external(), root.overcommitted(), root.free()), (150, 150, 50, 0));
        assert_eq!(
            (leaf.overcommitted(), leaf.pressure(), root.pressure()),
            (0, Pressure::Critical, Pressure::Critical)
        );
        assert_eq!(refused(leaf.try_reserve(1)).free, 0);
        decoded.try_grow(10).unwrap();
        decoded.shrink(60).unwrap(); // 100: at the limit, not over
        assert_eq!((root.overcommitted(), root.external(), root.pressure()), (0, 100, Pressure::None));
        assert_eq!(refused(leaf.try_reserve(1)).used, 100);
        decoded.shrink(10).unwrap();
        let claim = leaf.try_reserve(10).unwrap();
        assert_eq!(numbers(root), [100, 90, 160, 160]);
        drop((decoded, claim));
        at_zero::<K>(&accounts);
    }

    // A limit that cannot be lowered below the use, a use that is forgotten, or a charge that the old limit lets through.
    pub(super) fn lowering_the_hard_limit_below_use_succeeds_and_reports_the_excess<K: Kind>() {
        let accounts = chain::<K>([hard(100), hard(NONE), hard(NONE)]);
        let [root, _, leaf] = &accounts;
        let mut claim = leaf.try_reserve(80).unwrap();
        assert_eq!((root.set_hard_limit(80), root.set_hard_limit(50)), (0, 30));
        assert_eq!((root.used(), root.hard_limit(), leaf.pressure()), (80, 50, Pressure::Critical));
        assert!(leaf.try_reserve(1).is_err());
        claim.shrink(31).unwrap();
        assert_eq!((root.overcommitted(), leaf.free()), (0, 1));
        assert_eq!(root.set_hard_limit(NONE), 0);
        claim.try_grow(1000).unwrap();
        drop(claim);
        at_zero::<K>(&accounts);
    }

    // An event for each charge while over the limit, none when use falls, or one in between.
    pub(super) fn crossing_soft_raises_one_event_and_falling_to_low_one<K: Kind>() {
        let account = K::make("root", soft(80), None);
        assert_eq!((account.soft_limit(), account.low_watermark()), (80, 70));
        let mut claim = account.try_reserve(80).unwrap();
        assert_eq!((account.pressure(), events()), (Pressure::None, vec![]));
        for _ in 0..5 {
            claim.try_grow(1).unwrap();
        }
        assert_eq!((account.pressure(), events()), (Pressure::Moderate, vec![("root", OverSoftLimit, 81)]));
        claim.shrink(14).unwrap(); // 71: between the two
        claim.try_grow(20).unwrap(); // 91: over again, but pressure never ended
        assert_eq!((account.pressure(), events()), (Pressure::Moderate, vec![]));
        claim.shrink(21).unwrap(); // 70
        claim.shrink(10).unwrap();
        assert_eq!((account.pressure(), events()), (Pressure::None, vec![("root", BackToLow, 70)]));
        let more = account.charge_external(21).unwrap(); // external bytes count like others
        assert_eq!(events(), [("root", OverSoftLimit, 81)]);
        drop((claim, more));
        assert_eq!(events(), [("root", BackToLow, 21)]);
        at_zero::<K>(&[account]);
    }

    // A limit that is changed and not looked at until the next charge.
    pub(super) fn changing_the_soft_limit_raises_what_is_due<K: Kind>() {
        let account = K::make("root", soft(NONE), None);
        let claim = account.try_reserve(60).unwrap();
        account.set_soft_limit(60);
        assert_eq!((account.soft_limit(), events()), (60, vec![]));
        account.set_soft_limit(50);
        account.set_soft_limit(40);
        assert_eq!(events(), [("root", OverSoftLimit, 60)]);
        account.set_soft_limit(65); // low is 57
        assert_eq!((account.low_watermark(), events(), account.pressure()), (57, vec![], Pressure::Moderate));
        account.set_soft_limit(80);
        assert_eq!((events(), account.pressure()), (vec![("root", BackToLow, 60)], Pressure::None));
        drop(claim);
        at_zero::<K>(&[account]);
    }

    // A charge that passed no bound before, and does not look at those that are lower now.
    pub(super) fn a_bound_that_is_lower_than_before_is_seen_by_the_same_charge<K: Kind>() {
        let account = K::make("root", Bounds { hard: 100, soft: 80 }, None);
        let used_to = |bytes: usize| (0..3).for_each(|_| drop(account.try_reserve(bytes).unwrap()));
        used_to(60);
        account.reset_peak();
        used_to(50);
        assert_eq!((account.peak(), account.lifetime_peak(), events()), (50, 60, vec![]));
        used_to(60);
        account.set_soft_limit(55);
        drop(account.try_reserve(60).unwrap());
        assert_eq!(events(), [("root", OverSoftLimit, 60), ("root", BackToLow, 0)]);
        // Used to under pressure, which ends.
        let held = account.try_reserve(60).unwrap();
        (0..3).for_each(|_| drop(account.try_reserve(1).unwrap()));
        drop(held);
        assert_eq!(events(), [("root", OverSoftLimit, 60), ("root", BackToLow, 0)]);
        drop(account.try_reserve(61).unwrap());
        assert_eq!(events(), [("root", OverSoftLimit, 61), ("root", BackToLow, 0)]);
        account.set_soft_limit(100);
        used_to(60);
        account.set_hard_limit(59);
        assert_eq!(refused(account.try_reserve(60)).limit, 59);
        drop(account.try_reserve(59).unwrap());
        assert_eq!((account.peak(), events()), (61, vec![]));
        at_zero::<K>(&[account]);
    }

    // Only the account itself watched, or its parent's pressure unseen below.
    pub(super) fn every_level_raises_its_own_events_and_is_felt_below<K: Kind>() {
        let accounts = chain::<K>([soft(40), soft(NONE), soft(80)]);
        let [root, middle, leaf] = &accounts;
        let claim = leaf.try_reserve(50).unwrap();
        assert_eq!(events(), [("root", OverSoftLimit, 50)]);
        assert_eq!([root, middle, leaf].map(Account::pressure), [Pressure::Moderate; 3]);
        let more = leaf.try_reserve(50).unwrap();
        assert_eq!(events(), [("leaf", OverSoftLimit, 100)]);
        drop(more);
        assert_eq!(events(), [("leaf", BackToLow, 50)]);
        drop(claim);
        assert_eq!(events(), [("root", BackToLow, 0)]);
        // Both at once.
        let both = leaf.try_reserve(100).unwrap();
        assert_eq!(events(), [("leaf", OverSoftLimit, 100), ("root", OverSoftLimit, 100)]);
        drop(both);
        assert_eq!(events(), [("leaf", BackToLow, 0), ("root", BackToLow, 0)]);
        at_zero::<K>(&accounts);
    }

    // A peak that falls with the use, or a lifetime peak that a reset forgets.
    pub(super) fn reset_peak_sets_it_to_the_use_and_the_lifetime_peak_stays<K: Kind>() {
        let account = K::make("root", hard(NONE), None);
        let mut claim = account.try_reserve(80).unwrap();
        claim.shrink(50).unwrap();
        assert_eq!((account.peak(), account.lifetime_peak()), (80, 80));
        account.reset_peak();
        assert_eq!((account.peak(), account.lifetime_peak()), (30, 80));
        claim.try_grow(10).unwrap();
        assert_eq!((account.peak(), account.lifetime_peak()), (40, 80));
        account.reset_peak();
        assert_eq!((account.peak(), account.lifetime_peak()), (40, 80));
        claim.try_grow(50).unwrap();
        assert_eq!((account.peak(), account.lifetime_peak()), (90, 90));
        drop(claim);
        account.reset_peak();
        assert_eq!((account.peak(), account.lifetime_peak()), (0, 90));
        at_zero::<K>(&[account]);
    }

    // Words without numbers, or numbers of another level.
    pub(super) fn a_refusal_explains_itself<K: Kind>() {
        let accounts = chain::<K>([hard(4 << 20), hard(NONE), hard(NONE)]);
        let held = accounts[2].charge_external(3 << 20).unwrap();
        let refusal = refused(accounts[2].try_reserve(2 << 20));
        assert!(refusal.account == accounts[0]);
        assert!(accounts[0] == refusal.account && accounts[2] != refusal.account);
        assert!(refusal.account != accounts[2].reference());
        assert!(refusal.account != accounts[2] && refusal.account == accounts[0].reference());
        assert_eq!((refusal.account.used(), refusal.free), (3 << 20, 1 << 20));
        let text = refusal.to_string();
        let words =
            "account \"root\" refused 2.00 MiB (2097152 bytes): 3.00 MiB of 4.00 MiB in use, 1.00 MiB free";
        // Nothing of what could be evicted: nobody counted.
        assert!(text.starts_with(words) && !text.contains("evictable"), "{text}");
        assert_eq!(format!("{refusal:?}"), format!("OverBudget({text})"));
        assert_eq!(format!("{:?}", accounts[0]), "root: 3.00 MiB of 4.00 MiB, peak 3.00 MiB");
        assert_eq!(format!("{:?}", refusal.account), "root: 3.00 MiB of 4.00 MiB, peak 3.00 MiB");
        assert_eq!(format!("{:?}", accounts[2]), "leaf: 3.00 MiB, peak 3.00 MiB");
        // It can be kept for longer than the accounts.
        drop(held);
        at_zero::<K>(&accounts);
        drop(accounts);
        assert_eq!((refusal.account.name(), refusal.account.used()), ("root", 0));
    }

    // Bytes that a reservation loses, or has twice; one that gives up what it had when it is refused.
    pub(super) fn a_reservation_grows_shrinks_splits_takes_and_frees<K: Kind>() {
        let accounts = chain::<K>([hard(500), hard(NONE), hard(400)]);
        let [root, _, leaf] = &accounts;
        for external in [false, true] {
            let begin = if external { leaf.charge_external(100) } else { leaf.try_reserve(100) };
            let mut body = begin.unwrap();
            assert!(body.account() == leaf);
            body.try_grow(300).unwrap();
            assert_eq!(body.try_grow(1).is_ok(), external);
            let held = body.bytes();
            let head = body.split(50).unwrap();
            assert_eq!((body.bytes(), head.bytes(), root.used()), (held - 50, 50, held));
            let all = held - 50;
            assert_eq!(body.shrink(all + 1), Err(NotHeld { requested: all + 1, held: all }));
            assert_eq!(body.split(all + 1).err(), Some(NotHeld { requested: all + 1, held: all }));
            body.shrink(150).unwrap();
            let mut rest = body.take();
            assert_eq!((body.bytes(), rest.bytes(), root.used()), (0, all - 150, all - 100));
            let nothing = (body.take(), body.split(0).unwrap());
            assert_eq!((nothing.0.bytes(), nothing.1.bytes()), (0, 0));
            // What was taken is claimed as before, and what is left behind can grow again.
            assert_eq!(leaf.external(), if external { leaf.used() } else { 0 });
            body.try_grow(7).unwrap();
            rest.shrink(all - 150).unwrap();
            assert_eq!(root.used(), 57);
            // What is of another account or kind stays what it was.
            let foreign = if external { leaf.try_reserve(3) } else { root.try_reserve(3) };
            let foreign = body.merge(foreign.unwrap()).unwrap_err();
            assert_eq!((body.bytes(), foreign.bytes(), root.used()), (7, 3, 60));
            drop(foreign);
            body.merge(head).unwrap();
            assert_eq!((body.bytes(), root.used()), (57, 57));
            drop((rest, body, nothing));
            assert_eq!(root.used(), 0);
        }
        let text = NotHeld { requested: 3, held: 2 }.to_string();
        assert_eq!(text, "3 bytes asked of a reservation that holds 2");
        at_zero::<K>(&accounts);
    }

    // An account that is locked or borrowed while its handler runs.
    pub(super) fn an_event_handler_may_use_the_account<K: Kind>()
    where
        Account<K::Mode>: 'static,
    {
        let account = K::make("root", Bounds { hard: 100, soft: 50 }, None);
        let own = account.clone();
        on_next_event(move || {
            assert_eq!(own.used(), 60);
            assert!(own.try_reserve(50).is_err());
            let inside = own.try_reserve(40).unwrap();
            own.set_soft_limit(500); // the next event, from within this one
            assert_eq!((inside.bytes(), own.snapshot().used), (40, 100));
        });
        let claim = account.try_reserve(60).unwrap();
        assert_eq!(events(), [("root", OverSoftLimit, 60), ("root", BackToLow, 100)]);
        assert_eq!(account.used(), 60);
        drop(claim);
        at_zero::<K>(&[account]);
    }

    // A charge that nobody holds, or that is undone and kept, after the handler panicked.
    pub(super) fn counts_stay_exact_when_an_event_handler_panics<K: Kind>() {
        let accounts = chain::<K>([soft(50), hard(NONE), hard(NONE)]);
        let leaf = &accounts[2];
        let panics = |action: &mut dyn FnMut()| {
            on_next_event(|| resume_unwind(Box::new("on purpose")));
            assert!(catch_unwind(AssertUnwindSafe(action)).is_err());
        };
        panics(&mut || drop(leaf.try_reserve(60)));
        at_zero::<K>(&accounts);
        let mut claim = leaf.try_reserve(40).unwrap();
        panics(&mut || _ = claim.try_grow(20));
        assert_eq!((claim.bytes(), accounts[0].used()), (60, 60));
        panics(&mut || _ = claim.shrink(50));
        assert_eq!((claim.bytes(), accounts[0].used()), (10, 10));
        drop(claim);
        at_zero::<K>(&accounts);
        events();
    }

    // A handler that panics over one edge and again over the next, which the unwinding brings about: the process ends.
    pub(super) fn a_handler_that_panics_on_both_edges_does_no_more_than_that<K: Kind>() {
        let accounts = chain::<K>([soft(50), hard(NONE), hard(NONE)]);
        let leaf = &accounts[2];
        on_next_event(|| {
            on_next_event(|| resume_unwind(Box::new("the second")));
            resume_unwind(Box::new("the first"))
        });
        let told = catch_unwind(AssertUnwindSafe(|| drop(leaf.try_reserve(60)))).unwrap_err();
        assert_eq!(told.downcast_ref(), Some(&"the first"));
        assert_eq!(events(), [("root", OverSoftLimit, 60), ("root", BackToLow, 0)]);
        assert_eq!(leaf.pressure(), Pressure::None);
        // One that panics alone is heard of, as before.
        let claim = leaf.try_reserve(60).unwrap();
        on_next_event(|| resume_unwind(Box::new("the third")));
        assert!(catch_unwind(AssertUnwindSafe(|| drop(claim))).is_err());
        at_zero::<K>(&accounts);
        events();
    }

    // An edge of an account above that nobody tells, and pressure there that stays when the bytes are gone, because a handler
    // below has panicked.
    pub(super) fn a_handler_that_panics_hides_no_edge_of_the_accounts_above<K: Kind>() {
        let accounts = chain::<K>([soft(50), hard(NONE), soft(50)]);
        let leaf = &accounts[2];
        let mut claim = leaf.try_reserve(10).unwrap();
        for (grows, kind, used) in [(true, OverSoftLimit, 60), (false, BackToLow, 10)] {
            on_next_event(|| resume_unwind(Box::new("on purpose")));
            let change = || {
                if grows {
                    claim.try_grow(50).map(drop).unwrap()
                } else {
                    claim.shrink(50).map(drop).unwrap()
                }
            };
            assert!(catch_unwind(AssertUnwindSafe(change)).is_err());
            assert_eq!(events(), [("leaf", kind, used), ("root", kind, used)]);
            let pressure = if grows { Pressure::Moderate } else { Pressure::None };
            assert_eq!([&accounts[0], leaf].map(Account::pressure), [pressure; 2]);
        }
        drop(claim);
        at_zero::<K>(&accounts);
    }

    // Handles that are accounts of their own, or accounts that are taken for one another.
    pub(super) fn clones_are_the_same_account<K: Kind>() {
        let accounts = chain::<K>([hard(9), hard(NONE), hard(NONE)]);
        let [root, middle, leaf] = &accounts;
        let again = leaf.clone();
        let claim = again.try_reserve(5).unwrap();
        assert!(again == *leaf && leaf.used() == 5 && leaf != middle);
        assert!(leaf.parent() == Some(middle) && middle.parent() == Some(root) && root.parent().is_none());
        assert_eq!([root, middle, leaf].map(Account::name), ["root", "middle", "leaf"]);
        assert_eq!(leaf.make_room(4), Ok(0));
        assert_eq!(leaf.make_room(5).unwrap_err().account, *root);
        drop(claim);
        at_zero::<K>(&accounts);
    }
}

// Claims on credit that can be divided but not put together; two credits of one account taken for one, by which one would hold
// what the other has charged.
#[test]
fn claims_on_one_credit_merge_and_on_two_do_not() {
    let account = Account::new("a", 1000);
    let credits = [account.credit(100), account.credit(100)];
    let mut body = credits[0].try_reserve(50).unwrap();
    let head = body.split(20).unwrap();
    body.merge(head).unwrap();
    let foreign = body.merge(credits[1].try_reserve(7).unwrap()).unwrap_err();
    assert_eq!((body.bytes(), foreign.bytes(), account.used()), (50, 7, 57));
    drop((body, foreign));
    assert_eq!(account.used(), 0);
}

macro_rules! every_kind {
    ($($promise:ident),* $(,)?) => {
        every_kind!(@ heap Heap $($promise)*);
        every_kind!(@ in_a_static Static $($promise)*);
        every_kind!(@ local OneThread $($promise)*);
        every_kind!(@ local_on_credit OnCredit $($promise)*);
    };
    (@ $kind:ident $type:ident $($promise:ident)*) => {
        mod $kind {
            $(#[test]
            fn $promise() {
                super::promises::$promise::<super::$type>();
            })*
        }
    };
}

every_kind!(
    a_parents_use_is_its_own_plus_its_childrens,
    a_refused_charge_changes_no_counter_and_no_peak,
    a_refusal_at_any_level_undoes_all_below_it,
    no_charge_takes_an_account_above_its_hard_limit,
    usize_max_is_refused_not_wrapped,
    external_bytes_overcommit_and_charges_fail_until_it_is_back_under,
    lowering_the_hard_limit_below_use_succeeds_and_reports_the_excess,
    crossing_soft_raises_one_event_and_falling_to_low_one,
    changing_the_soft_limit_raises_what_is_due,
    a_bound_that_is_lower_than_before_is_seen_by_the_same_charge,
    every_level_raises_its_own_events_and_is_felt_below,
    reset_peak_sets_it_to_the_use_and_the_lifetime_peak_stays,
    a_refusal_explains_itself,
    a_reservation_grows_shrinks_splits_takes_and_frees,
    an_event_handler_may_use_the_account,
    counts_stay_exact_when_an_event_handler_panics,
    a_handler_that_panics_on_both_edges_does_no_more_than_that,
    a_handler_that_panics_hides_no_edge_of_the_accounts_above,
    clones_are_the_same_account,
);

// A watermark that is not taken, or that ends the pressure that begins there.
#[test]
fn the_low_watermark_is_seven_eighths_of_soft_unless_set() {
    let low = |soft, low: Option<usize>| {
        let shared = Account::builder("a").soft_limit(soft);
        let local = Account::local_builder("a").soft_limit(soft);
        let (shared, local) = match low {
            Some(low) => (shared.low_watermark(low), local.low_watermark(low)),
            None => (shared, local),
        };
        let (shared, local) = (shared.build().low_watermark(), local.build().low_watermark());
        assert_eq!(shared, local);
        shared
    };
    assert_eq!((low(80, None), low(8, None), low(0, None)), (70, 7, 0));
    assert_eq!((low(80, Some(0)), low(80, Some(79)), low(80, Some(100))), (0, 79, 80));
}

mod reports {
    use super::*;

    // A child that is printed after it is gone, or not at all; a parent's line without its children's bytes.
    #[test]
    fn the_tree_is_printed_with_every_account_in_it() {
        let server = Account::builder("server").hard_limit(1 << 20).soft_limit(5000).build();
        let one = Account::builder("one").parent(&server).build();
        let two = Account::builder("two").parent(&server).hard_limit(512).build();
        let inner = Account::builder("inner").parent(&two).build();
        let page = Account::local_builder("page").credit(server.credit(1000)).build();
        let image = Account::local_builder("image").parent(&page).build();
        let gone = (
            Account::builder("gone").parent(&server).build(),
            Account::local_builder("gone").parent(&page).build(),
            Account::local_builder("gone").credit(server.credit(8)).build(),
        );
        assert_eq!(server.snapshot().to_string().matches("gone").count(), 3);
        drop(gone);
        let mut claims = vec![
            inner.try_reserve(100).unwrap(),
            one.try_reserve(50).unwrap(),
            one.charge_external(1024).unwrap(),
        ];
        let local = image.try_reserve(80).unwrap();
        claims.remove(0).free();
        claims.push(two.charge_external(600).unwrap());
        assert_eq!(
            server.snapshot().to_string(),
            "server  1.71 KiB, external 1.59 KiB, lent 500 B, peak 2.20 KiB, hard limit 1.00 MiB, soft limit 4.88 KiB
  one  1.05 KiB, external 1.00 KiB, peak 1.05 KiB
  two  600 B, external 600 B, over the limit by 88 B, peak 600 B, hard limit 512 B
    inner  0 B, peak 100 B
  page  80 B, peak 80 B
    image  80 B, peak 80 B
"
        );
        claims.push(one.charge_external(4000).unwrap());
        assert!(server.snapshot().to_string().starts_with("server  5.62 KiB, external 5.49 KiB, peak "));
        assert!(server.snapshot().to_string().contains("soft limit 4.88 KiB, under pressure\n  one"));
        let snapshot = server.reference().snapshot();
        assert_eq!(snapshot, server.snapshot());
        let sums: usize = snapshot.children.iter().map(|child| child.used).sum();
        assert_eq!((sums, snapshot.children.len()), (snapshot.used, 3));
        assert_eq!((snapshot.hard_limit, snapshot.children[0].hard_limit), (Some(1 << 20), None));
        drop((claims, local));
        at_zero::<Heap>(&[server, one, two, inner]);
    }

    // A snapshot, its text or its end that needs a stack as deep as the tree; a width that the formatter does not take.
    #[test]
    fn a_deep_tree_is_printed_without_a_deep_stack() {
        let depth = if cfg!(miri) { 30 } else { 20_000 };
        let root = Account::new("root", 10);
        let page = Account::local_builder("page").credit(root.credit(1)).build();
        let (mut shared, mut local) = (root.clone(), page.clone());
        for _ in 1..depth {
            shared = Account::builder("s").parent(&shared).build();
            local = Account::local_builder("l").parent(&local).build();
        }
        let claims = (shared.try_reserve(3).unwrap(), local.try_reserve(2).unwrap());
        let snapshot = root.snapshot();
        let text = snapshot.to_string();
        let mut lines = text.lines();
        assert!(lines.next().unwrap().starts_with("root  5 B, peak "));
        assert_eq!(lines.next(), Some("  s  3 B, peak 3 B"));
        assert_eq!(lines.next(), Some("    s  3 B, peak 3 B"));
        assert_eq!(lines.by_ref().filter(|line| line.trim_start().starts_with("s  3 B")).count(), depth - 3);
        assert_eq!((text.matches("l  2 B").count(), text.matches("\n  page  2 B").count()), (depth - 1, 1));
        drop((snapshot, claims, shared, local));
        assert_eq!(root.snapshot().children.len(), 1);
    }

    // A refusal that names those who have least, or who have nothing, or all of a hundred.
    #[test]
    fn a_refusal_names_the_largest_consumers() {
        let server = Account::new("server", 1000);
        let children: Vec<Account> = ["a", "b", "c", "d", "e"]
            .into_iter()
            .map(|name| Account::builder(name).parent(&server).build())
            .collect();
        let told = || refused(server.try_reserve(2000)).to_string();
        assert!(told().ends_with("1000 B free"), "{}", told());
        let claims: Vec<_> = children
            .iter()
            .zip([10, 300, 0, 200, 250])
            .map(|(child, bytes)| child.try_reserve(bytes))
            .collect();
        assert!(told().ends_with("; most by \"b\" 300 B, \"e\" 250 B, \"d\" 200 B"), "{}", told());
        drop(claims);
        let local = Account::local("page", 100);
        let image = Account::local_builder("image").parent(&local).build();
        let claim = image.try_reserve(70).unwrap();
        let told = refused(image.try_reserve(31)).to_string();
        assert!(told.ends_with("; most by \"image\" 70 B"), "{told}");
        drop(claim);
    }

    // A refusal that says that nothing can be evicted, though nobody has looked.
    #[test]
    fn a_refusal_tells_what_is_evictable_if_it_was_counted() {
        struct Blocks;
        impl Factory<usize> for Blocks {
            type Object = Vec<u8>;
            type Error = Infallible;
            fn create(&self, bytes: &usize) -> Result<Vec<u8>, Infallible> {
                Ok(vec![0; *bytes])
            }
            fn estimate(&self, bytes: &usize) -> usize {
                *bytes
            }
            fn measure(&self, block: &Vec<u8>) -> usize {
                block.len()
            }
        }
        let account = Account::local("a", 100);
        let pool = KeyedPoolBuilder::new(Blocks).account(account.clone()).build_rc();
        drop(pool.acquire(&60).unwrap());
        let told = |refusal: &OverBudget| (refusal.evictable, refusal.to_string().contains(" B evictable"));
        let over_budget = |result: Result<usize, AcquireError<Infallible>>| match result {
            Err(AcquireError::OverBudget(refusal)) => refusal,
            other => panic!("{other:?}"),
        };
        assert_eq!(told(&refused(account.try_reserve(60))), (None, false));
        assert_eq!(told(&over_budget(pool.prewarm(&50, 1))), (None, false));
        assert_eq!(told(&over_budget(pool.acquire(&101).map(|_| 1))), (Some(60), true));
        assert_eq!(told(&account.make_room(101).unwrap_err()), (Some(60), true));
        assert_eq!((account.make_room(60), account.used()), (Ok(60), 0));
        assert_eq!(told(&account.make_room(101).unwrap_err()), (Some(0), true));
    }

    // A refusal that keeps a local account's thread-bound parts alive, or takes them to another thread.
    #[test]
    fn a_local_accounts_refusal_goes_to_other_threads() {
        let page = Account::local("page", 10);
        let refusal = refused(page.try_reserve(11));
        drop(page);
        let told = std::thread::spawn(move || refusal.to_string()).join().unwrap();
        assert!(told.starts_with("account \"page\" refused 11 B"), "{told}");
    }
}

mod credits {
    use super::*;

    // Lent bytes that are reported as used, or that are not there when the holder wants them.
    #[test]
    fn what_is_lent_is_not_in_use_until_it_is_used() {
        let server = Account::new("server", 10_000);
        let credit = server.credit(1000);
        assert_eq!((credit.unused(), server.used()), (0, 0));
        let mut first = credit.try_reserve(600).unwrap();
        assert_eq!((credit.unused(), server.used(), server.free()), (500, 600, 9400));
        first.try_grow(500).unwrap(); // all of it
        assert_eq!((credit.unused(), server.used(), server.peak()), (0, 1100, 1100));
        first.shrink(1000).unwrap();
        assert_eq!((credit.unused(), server.used()), (1000, 100));
        first.shrink(1).unwrap(); // one too many to keep
        assert_eq!((credit.unused(), server.used()), (500, 99));
        assert!(first.account().account() == &server);
        drop(first);
        assert_eq!((credit.unused(), server.used()), (599, 0));
        // More at once than it may keep, with nothing to spare before: half of that stays.
        let most = credit.try_reserve(599).unwrap();
        let mut more = credit.try_reserve(0).unwrap();
        drop(most);
        more.try_grow(599 + 700).unwrap();
        assert_eq!(credit.unused(), 500);
        more.try_grow(500).unwrap();
        more.shrink(1700).unwrap();
        assert_eq!((credit.unused(), server.used()), (500, 99));
        drop(more);
        assert!(format!("{credit:?}").starts_with("Credit(599 B unused, of server: 0 B of 9.77 KiB"));
        drop(credit);
        assert_eq!((server.used(), server.snapshot().lent), (0, 0));
        assert_eq!(server.try_reserve(10_000).unwrap().bytes(), 10_000);
    }

    // A charge that is refused although only unused credit is in its way: of the same account, of one below, of a
    // sibling, and of several at once.
    #[test]
    fn unused_credit_is_recalled_before_anybody_is_refused() {
        let accounts = chain::<Heap>([hard(10_000), hard(NONE), hard(8000)]);
        let [root, middle, leaf] = &accounts;
        let sibling = Account::builder("sibling").parent(root).build();
        for account in [root, middle, leaf, &sibling] {
            let credits = [leaf.credit(1000), sibling.credit(600), root.credit(400)];
            let held: Vec<_> = credits.iter().map(|credit| credit.try_reserve(1).unwrap()).collect();
            assert_eq!((root.used(), root.snapshot().lent), (3, 1000));
            let most = if account == leaf { 7999 } else { 9997 };
            assert_eq!(refused(account.try_reserve(most + 1)).free, most);
            let all = account.try_reserve(most).unwrap();
            assert_eq!(
                (account.used(), account.free()),
                (if account == leaf { 8000 } else { account.used() }, 0)
            );
            // Nothing is lent now, so a refusal has nothing to recall and names what is really free.
            assert_eq!(refused(leaf.try_reserve(9999)).requested, 9999);
            drop((all, held));
            assert_eq!((root.used(), leaf.used()), (0, 0));
        }
        at_zero::<Heap>(&accounts);
    }

    // Credit that was borrowed under the old limit and is used above the new one.
    #[test]
    fn lowering_the_hard_limit_recalls_credit() {
        let server = Account::new("server", 10_000);
        let credit = server.credit(1000);
        let claim = credit.try_reserve(100).unwrap();
        assert_eq!(credit.unused(), 500);
        assert_eq!((server.set_hard_limit(90), credit.unused()), (10, 0));
        assert_eq!(credit.try_reserve(1).unwrap_err().free, 0);
        drop(claim);
        assert_eq!(credit.try_reserve(90).unwrap().bytes(), 90);
        assert_eq!((server.used(), credit.unused()), (0, 0));
    }

    // A refusal further up, after the first was mended: others' credit is in the way there, and is not recalled; or the
    // recall goes on for ever.
    #[test]
    fn every_level_that_refuses_recalls() {
        let root = Account::new("root", 10_000);
        let leaf = Account::builder("leaf").parent(&root).hard_limit(8000).build();
        let sibling = Account::builder("sibling").parent(&root).build();
        let (mine, theirs) = (leaf.credit(1000), sibling.credit(1000));
        let held = (mine.try_reserve(1).unwrap(), theirs.try_reserve(2101).unwrap());
        assert_eq!((mine.unused(), theirs.unused()), (500, 500));
        // With what is lent, 8501 below the leaf and 10 602 below the root; without the leaf's, still 10 102.
        let refusal = refused(leaf.try_reserve(8000));
        assert_eq!(
            (refusal.account.name(), refusal.used, mine.unused(), theirs.unused()),
            ("leaf", 1, 0, 500)
        );
        let more = mine.try_reserve(1).unwrap();
        assert_eq!(mine.unused(), 500);
        let all = leaf.try_reserve(7897).unwrap();
        assert_eq!((mine.unused(), theirs.unused(), root.used()), (0, 0, 10_000));
        drop((held, more, all));
        at_zero::<Heap>(&[root, leaf, sibling]);
    }

    // An external charge that is refused when it is tried again, or credit that is used while the limit is passed.
    #[test]
    fn external_bytes_recall_credit() {
        let server = Account::new("server", 10_000);
        let credit = server.credit(1000);
        let claim = credit.try_reserve(1).unwrap();
        assert!(server.charge_external(usize::MAX).is_err()); // recalls, and finds a byte in use
        assert_eq!((credit.unused(), server.used()), (0, 1));
        let more = credit.try_reserve(1).unwrap();
        assert_eq!(credit.unused(), 500);
        let almost = server.charge_external(usize::MAX - 2).unwrap();
        assert_eq!((server.used(), credit.unused(), credit.try_reserve(1).is_err()), (usize::MAX, 0, true));
        drop((claim, more, almost));
        let _claim = credit.try_reserve(1).unwrap();
        let _external = server.charge_external(10_000).unwrap();
        assert_eq!((server.overcommitted(), credit.unused()), (1, 0));
        // Nothing at all is no more granted than by the account itself.
        assert!(credit.try_reserve(1).is_err() && credit.try_reserve(0).is_err());
        assert!(server.try_reserve(0).is_err());
    }

    // Credit that is lent when others may need it at once: everybody would wait for recalls.
    #[test]
    fn close_to_a_limit_nothing_is_lent() {
        let root = Account::builder("root").soft_limit(5000).build();
        let server = Account::builder("server").hard_limit(10_000).parent(&root).build();
        let credit = server.credit(1000);
        drop(credit.try_reserve(2501).unwrap());
        assert_eq!(credit.unused(), 0, "one byte too many");
        let mut claim = credit.try_reserve(2500).unwrap(); // 2500 + 500 + 2000: just ample
        assert_eq!(credit.unused(), 500);
        claim.try_grow(501).unwrap();
        assert_eq!((credit.unused(), root.used()), (500, 3001));
        let _all = server.try_reserve(6999).unwrap(); // recalls
        assert_eq!((credit.unused(), server.free()), (0, 0));
        claim.shrink(3000).unwrap();
        assert_eq!((credit.unused(), server.free(), claim.bytes()), (0, 3000, 1));
        claim.try_grow(1).unwrap();
        assert_eq!(credit.unused(), 0, "the root is still over its soft limit");
    }

    // What is lent between the soft limit and the low watermark makes the next event come late.
    #[test]
    fn under_pressure_nothing_is_lent() {
        let server = Heap::make("root", soft(5000), None);
        let credit = server.credit(100);
        let mut claim = server.try_reserve(5001).unwrap();
        claim.shrink(501).unwrap(); // 4500, low is 4375
        let on_credit = credit.try_reserve(1).unwrap();
        assert_eq!((credit.unused(), server.pressure()), (0, Pressure::Moderate));
        claim.shrink(126).unwrap();
        assert_eq!(events(), [("root", OverSoftLimit, 5001), ("root", BackToLow, 4375)]);
        drop(on_credit);
        drop(credit.try_reserve(1).unwrap());
        assert_eq!(credit.unused(), 51);
    }

    // One event lost where a charge crosses a bound below and one above.
    #[test]
    fn a_charge_raises_events_of_both_trees() {
        let server = Heap::make("root", soft(50), None);
        let page =
            Account::local_builder("leaf").credit(server.credit(8)).soft_limit(50).on_event(heard).build();
        let claim = page.try_reserve(60).unwrap();
        assert_eq!(events(), [("leaf", OverSoftLimit, 60), ("root", OverSoftLimit, 60)]);
        drop(claim);
        assert_eq!(events(), [("leaf", BackToLow, 0), ("root", BackToLow, 0)]);
    }

    // Events that come early by what is lent, or late because what is given back stays with the credit.
    #[test]
    fn events_are_those_of_plain_charges() {
        let charge = |on_credit: bool| {
            let root = Heap::make("root", soft(3000), None);
            let credits = [root.credit(300), root.credit(300)];
            let mut claims: Vec<_> = credits.iter().map(|credit| credit.try_reserve(0).unwrap()).collect();
            let mut plain = [root.try_reserve(0).unwrap(), root.try_reserve(0).unwrap()];
            for step in 0..2000usize {
                let (who, bytes) = (step % 2, 1 + step * 7 % 13);
                let up = step / 500 % 2 == 0;
                if on_credit {
                    let claim = &mut claims[who];
                    if up {
                        claim.try_grow(bytes).unwrap()
                    } else {
                        _ = claim.shrink(bytes)
                    };
                } else {
                    let claim = &mut plain[who];
                    if up {
                        claim.try_grow(bytes).unwrap()
                    } else {
                        _ = claim.shrink(bytes)
                    };
                }
            }
            drop((claims, plain));
            assert_eq!(root.used(), 0);
            events()
        };
        let plain = charge(false);
        assert!(plain.len() >= 4, "{plain:?}");
        assert_eq!(charge(true), plain);
    }

    // What a local account uses of a shared one that is refused, left charged below; external bytes lost on the way.
    #[test]
    fn a_local_account_is_part_of_a_shared_one() {
        let server = Account::builder("server").hard_limit(1000).soft_limit(900).build();
        let page = Account::local_builder("page").credit(server.credit(100)).build();
        let image = Account::local_builder("image").parent(&page).build();
        let claim = image.try_reserve(600).unwrap();
        assert_eq!([image.used(), page.used(), server.used()], [600; 3]);
        let refusal = refused(image.try_reserve(401));
        assert!(refusal.account == server && refusal.free == 400 && refusal.used == 600);
        assert_eq!([image.used(), page.used(), server.used(), image.free()], [600, 600, 600, 400]);
        assert_eq!(image.make_room(401).unwrap_err().account, server);
        let decoded = page.charge_external(500).unwrap();
        assert_eq!((server.external(), server.overcommitted()), (500, 100));
        assert_eq!((image.pressure(), page.overcommitted()), (Pressure::Critical, 0));
        drop((claim, decoded));
        assert_eq!([image.used(), page.used(), server.used(), server.external()], [0; 4]);
        // With a parent, the parent's credit counts.
        let other = Account::local_builder("other").credit(server.credit(10)).parent(&page).build();
        let claim = other.try_reserve(10).unwrap();
        assert_eq!([page.used(), server.used()], [10, 10]);
        drop(claim);
    }
}

// A chain of accounts that is undone by recursion, as deep as the tree.
#[test]
fn a_deep_tree_goes_without_a_deep_stack() {
    let depth = if cfg!(miri) { 300 } else { 50_000 };
    let mut shared = Account::new("root", 10);
    let mut local = Account::local("root", 10);
    for _ in 0..depth {
        shared = Account::builder("node").parent(&shared).build();
        local = Account::local_builder("node").parent(&local).build();
    }
    assert_eq!(shared.try_reserve(11).unwrap_err().account.name(), "root");
    assert_eq!(local.try_reserve(11).unwrap_err().account.name(), "root");
    drop((shared, local));
}

// A watermark that cannot be moved, or whose crossing nobody hears.
#[test]
fn the_low_watermark_can_be_changed_at_run_time() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&events);
    let account = Account::builder("a")
        .soft_limit(100)
        .on_event(move |event| heard.lock().unwrap().push((event.kind, event.used)))
        .build();
    let mut claim = account.try_reserve(101).unwrap();
    claim.shrink(11).unwrap();
    assert_eq!((account.low_watermark(), account.pressure()), (88, Pressure::Moderate));
    account.set_low_watermark(90);
    assert_eq!((account.low_watermark(), account.pressure()), (90, Pressure::None));
    account.set_low_watermark(500);
    assert_eq!(account.low_watermark(), 100);
    account.set_low_watermark(usize::MAX);
    assert_eq!(account.low_watermark(), 88);
    let events = events.lock().unwrap();
    assert_eq!(*events, [(OverSoftLimit, 101), (BackToLow, 90)]);
}
