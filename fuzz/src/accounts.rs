//! Operations on a tree of accounts, a naive model of it, and a driver that runs both side by side.
//!
//! The tree is charged in three ways, each compared with the same model after each operation: by shared accounts, by
//! shared accounts through credits where an operation says so, and with local trees on credit below a shared root. That they
//! all agree with the model is what "the limit stays exact" means: credit changes no outcome, no event and no use, only
//! the shared accounts' peaks, which may be higher by what was lent.

use arbitrary::Arbitrary;
use pool_core::{
    Account, AccountEventKind, AccountSnapshot, Charge, Credit, LocalAccount, Mode, NotHeld, OverBudget,
    Pressure, Reservation,
};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

/// The accounts and whose children they are: a root, two below it, two below the first of those, and one at the bottom, so
/// that a refusal at the top has three levels to undo.
const PARENTS: [Option<usize>; 6] = [None, Some(0), Some(0), Some(1), Some(1), Some(3)];
const NAMES: [&str; 6] = ["root", "a", "b", "c", "d", "e"];
/// Most claims at a time.
const CLAIMS: usize = 24;

/// Bounds of the accounts, and how much each may lend. The one at the bottom has no bounds, and lends nothing.
#[derive(Arbitrary, Clone, PartialEq, Eq, Debug, Default)]
pub struct Setup {
    /// Hard limits in bytes.
    pub hard: [Option<u16>; 5],
    /// Soft limits in bytes.
    pub soft: [Option<u16>; 5],
    /// Sizes of the accounts' credits, in units of 16 bytes.
    pub credit: [u8; 5],
}

impl Setup {
    fn hard(&self, at: usize) -> usize {
        bytes_or_none(self.hard.get(at).copied().flatten())
    }

    fn soft(&self, at: usize) -> usize {
        bytes_or_none(self.soft.get(at).copied().flatten())
    }

    fn credit(&self, at: usize) -> usize {
        self.credit.get(at).map_or(0, |&size| usize::from(size) * 16)
    }
}

/// How bytes are charged.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// To the account.
    Plain,
    /// Whether it likes it or not.
    External,
    /// By the account's credit, where it has one.
    OnCredit,
}

/// One operation. `at` is an account and `nth` a claim, modulo how many there are.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "they are named after what they call")]
pub enum AccountOp {
    Reserve {
        at: u8,
        bytes: u16,
        how: How,
    },
    /// A number of bytes that wraps when something is in use.
    ReserveHuge {
        at: u8,
        below: u8,
        how: How,
    },
    Grow {
        nth: u8,
        bytes: u16,
    },
    Shrink {
        nth: u8,
        bytes: u16,
    },
    Split {
        nth: u8,
        bytes: u16,
    },
    Take {
        nth: u8,
    },
    Free {
        nth: u8,
    },
    SetHard {
        at: u8,
        bytes: Option<u16>,
    },
    SetSoft {
        at: u8,
        bytes: Option<u16>,
    },
    SetLow {
        at: u8,
        bytes: Option<u16>,
    },
    ResetPeak {
        at: u8,
    },
    MakeRoom {
        at: u8,
        bytes: u16,
    },
}

// The model

#[derive(Clone, Debug)]
struct Level {
    hard: usize,
    soft: usize,
    /// `usize::MAX` for what it is unless set.
    low: usize,
    used: usize,
    external: usize,
    peak: usize,
    lifetime_peak: usize,
    over_soft: bool,
}

#[derive(Clone, Debug)]
struct Claimed {
    at: usize,
    bytes: usize,
    external: bool,
}

/// Which account refused, the numbers: requested, used, limit, free; and what was evictable, where that is counted.
type Refused = (usize, [usize; 4], Option<usize>);

struct Model {
    levels: Vec<Level>,
    claims: Vec<Claimed>,
    events: Vec<(usize, AccountEventKind, usize)>,
}

fn path(at: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(at), |&at| PARENTS[at])
}

impl Model {
    fn over(&self, at: usize) -> usize {
        self.levels[at].used.saturating_sub(self.levels[at].hard)
    }

    fn room(&self, at: usize) -> usize {
        self.levels[at].hard.saturating_sub(self.levels[at].used)
    }

    fn low(&self, at: usize) -> usize {
        let Level { soft, low, .. } = self.levels[at];
        if low == usize::MAX { soft - soft / 8 } else { low.min(soft) }
    }

    fn watch(&mut self, at: usize) {
        let low = self.low(at);
        let level = &mut self.levels[at];
        let kind = match level.over_soft {
            false if level.used > level.soft => AccountEventKind::OverSoftLimit,
            true if level.used <= low => AccountEventKind::BackToLow,
            _ => return,
        };
        level.over_soft = !level.over_soft;
        self.events.push((at, kind, level.used));
    }

    fn refusal(&self, at: usize, requested: usize) -> Refused {
        let level = &self.levels[at];
        (at, [requested, level.used, level.hard, self.room(at)], None)
    }

    fn charge(&mut self, from: usize, bytes: usize, external: bool) -> Result<(), Refused> {
        for at in path(from) {
            let level = &self.levels[at];
            let limit = if external { usize::MAX } else { level.hard };
            if level.used.checked_add(bytes).is_none_or(|sum| sum > limit) {
                return Err(self.refusal(at, bytes));
            }
        }
        for at in path(from) {
            let level = &mut self.levels[at];
            level.used += bytes;
            level.external += if external { bytes } else { 0 };
            level.peak = level.peak.max(level.used);
            level.lifetime_peak = level.lifetime_peak.max(level.used);
        }
        path(from).for_each(|at| self.watch(at));
        Ok(())
    }

    fn uncharge(&mut self, from: usize, bytes: usize, external: bool) {
        for at in path(from) {
            let level = &mut self.levels[at];
            level.used -= bytes;
            level.external -= if external { bytes } else { 0 };
        }
        path(from).for_each(|at| self.watch(at));
    }

    fn take(&mut self, nth: usize, bytes: usize) -> Result<Claimed, NotHeld> {
        let claim = &mut self.claims[nth];
        let held = claim.bytes;
        claim.bytes = held.checked_sub(bytes).ok_or(NotHeld { requested: bytes, held })?;
        Ok(Claimed { bytes, ..claim.clone() })
    }
}

// The accounts, whoever may charge them

trait Held<'a> {
    fn bytes(&self) -> usize;
    fn grow(&mut self, bytes: usize) -> Result<(), OverBudget>;
    fn shrink(&mut self, bytes: usize) -> Result<(), NotHeld>;
    fn split(&mut self, bytes: usize) -> Result<Box<dyn Held<'a> + 'a>, NotHeld>;
    fn take(&mut self) -> Box<dyn Held<'a> + 'a>;
}

impl<'a, A: Charge + 'a> Held<'a> for Reservation<A> {
    fn bytes(&self) -> usize {
        self.bytes()
    }
    fn grow(&mut self, bytes: usize) -> Result<(), OverBudget> {
        self.try_grow(bytes)
    }
    fn shrink(&mut self, bytes: usize) -> Result<(), NotHeld> {
        self.shrink(bytes)
    }
    fn split(&mut self, bytes: usize) -> Result<Box<dyn Held<'a> + 'a>, NotHeld> {
        Ok(Box::new(self.split(bytes)?))
    }
    fn take(&mut self) -> Box<dyn Held<'a> + 'a> {
        Box::new(self.take())
    }
}

/// What [`compare`] looks at.
struct Numbers {
    exact: [usize; 7],
    peaks: [usize; 2],
    pressure: Pressure,
    snapshot: AccountSnapshot,
}

trait Node {
    fn reserve<'a>(&self, bytes: usize, external: bool) -> Result<Box<dyn Held<'a> + 'a>, OverBudget>;
    fn set_hard(&self, bytes: usize) -> usize;
    fn set_soft(&self, bytes: usize);
    fn set_low(&self, bytes: usize);
    fn reset_peak(&self);
    fn make_room(&self, bytes: usize) -> Result<usize, OverBudget>;
    fn numbers(&self) -> Numbers;
}

impl<M: Mode> Node for Account<M> {
    fn reserve<'a>(&self, bytes: usize, external: bool) -> Result<Box<dyn Held<'a> + 'a>, OverBudget> {
        Ok(Box::new(if external { self.charge_external(bytes) } else { self.try_reserve(bytes) }?))
    }
    fn set_hard(&self, bytes: usize) -> usize {
        self.set_hard_limit(bytes)
    }
    fn set_soft(&self, bytes: usize) {
        self.set_soft_limit(bytes);
    }
    fn set_low(&self, bytes: usize) {
        self.set_low_watermark(bytes);
    }
    fn reset_peak(&self) {
        self.reset_peak();
    }
    fn make_room(&self, bytes: usize) -> Result<usize, OverBudget> {
        self.make_room(bytes)
    }
    fn numbers(&self) -> Numbers {
        Numbers {
            exact: [
                self.used(),
                self.external(),
                self.free(),
                self.overcommitted(),
                self.hard_limit(),
                self.soft_limit(),
                self.low_watermark(),
            ],
            peaks: [self.peak(), self.lifetime_peak()],
            pressure: self.pressure(),
            snapshot: self.snapshot(),
        }
    }
}

type Events = Arc<Mutex<Vec<(usize, AccountEventKind, usize)>>>;

/// How a run charges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Shared,
    OnCredit,
    LocalOnCredit,
}

/// Does the operations in every way, and compares everything after each. Panics at the first difference.
pub fn run_accounts(ops: &[AccountOp], setup: &Setup) {
    for way in [Way::Shared, Way::OnCredit, Way::LocalOnCredit] {
        drive(ops, setup, way);
    }
}

fn bytes_or_none(limit: Option<u16>) -> usize {
    limit.map_or(usize::MAX, usize::from)
}

/// A shared account, and nothing above it but others.
fn shared(at: usize, setup: &Setup, parent: Option<&Account>, events: &Events) -> Account {
    let events = Arc::clone(events);
    let mut builder = Account::builder(NAMES[at])
        .hard_limit(setup.hard(at))
        .soft_limit(setup.soft(at))
        .on_event(move |event| note(&events, at, event.kind, event.used));
    if let Some(parent) = parent {
        builder = builder.parent(parent);
    }
    builder.build()
}

fn note(events: &Events, at: usize, kind: AccountEventKind, used: usize) {
    events.lock().unwrap_or_else(PoisonError::into_inner).push((at, kind, used));
}

/// Nodes, those of them that are shared, and the size of all credits.
fn tree(setup: &Setup, way: Way, events: &Events) -> (Vec<Box<dyn Node>>, Vec<Account>) {
    let mut nodes: Vec<Box<dyn Node>> = Vec::new();
    let mut shares = vec![shared(0, setup, None, events)];
    nodes.push(Box::new(shares[0].clone()));
    let mut locals: Vec<Option<LocalAccount>> = vec![None];
    for at in 1..PARENTS.len() {
        let parent = PARENTS[at].unwrap_or(0);
        if way != Way::LocalOnCredit {
            shares.push(shared(at, setup, Some(&shares[parent]), events));
            nodes.push(Box::new(shares[at].clone()));
            continue;
        }
        let events = Arc::clone(events);
        let mut builder = Account::local_builder(NAMES[at])
            .hard_limit(setup.hard(at))
            .soft_limit(setup.soft(at))
            .on_event(move |event| note(&events, at, event.kind, event.used));
        builder = match &locals[parent] {
            Some(parent) => builder.parent(parent),
            None => builder.credit(shares[0].credit(setup.credit(at))),
        };
        let account = builder.build();
        nodes.push(Box::new(account.clone()));
        locals.push(Some(account));
    }
    (nodes, shares)
}

/// Where a difference was found.
struct Place {
    at: usize,
    op: AccountOp,
    way: Way,
}

impl Place {
    #[track_caller]
    fn same<T: PartialEq + Debug>(&self, what: &str, real: T, model: T) {
        let Self { at, op, way } = self;
        assert!(
            real == model,
            "{way:?}, after operation {at}, {op:?}: {what}\n real: {real:?}\nmodel: {model:?}"
        );
    }
}

fn over_budget(refusal: &OverBudget) -> Refused {
    let at = NAMES.iter().position(|name| *name == refusal.account.name()).unwrap_or(usize::MAX);
    let OverBudget { requested, used, limit, free, evictable, .. } = *refusal;
    (at, [requested, used, limit, free], evictable)
}

fn drive(ops: &[AccountOp], setup: &Setup, way: Way) {
    let events = Events::default();
    let (nodes, shares) = tree(setup, way, &events);
    let credits: Vec<Option<Credit>> = (0..nodes.len())
        .map(|at| {
            let account = shares.get(at).filter(|_| way != Way::Shared)?;
            Some(account.credit(setup.credit(at)))
        })
        .collect();
    let lent = (0..nodes.len()).map(|at| setup.credit(at)).sum::<usize>();
    let lent = if way == Way::Shared { 0 } else { lent };
    let level = |at: usize| Level {
        hard: setup.hard(at),
        soft: setup.soft(at),
        low: usize::MAX,
        used: 0,
        external: 0,
        peak: 0,
        lifetime_peak: 0,
        over_soft: false,
    };
    let mut model =
        Model { levels: (0..nodes.len()).map(level).collect(), claims: Vec::new(), events: Vec::new() };
    let mut held: Vec<Box<dyn Held<'_> + '_>> = Vec::new();
    for (index, &op) in ops.iter().enumerate() {
        let place = Place { at: index, op, way };
        step(&nodes, &credits, &mut model, &mut held, op, &place);
        compare(&nodes, &model, &events, lent, &place);
    }
    drop(held);
    drop(credits);
    for node in &nodes {
        let [used, external, ..] = node.numbers().exact;
        assert_eq!((used, external), (0, 0), "{way:?}: what is left when all claims are gone");
        assert_eq!(
            node.numbers().snapshot.lent,
            if way == Way::LocalOnCredit { node.numbers().snapshot.lent } else { 0 }
        );
    }
}

fn step<'c>(
    nodes: &[Box<dyn Node>],
    credits: &'c [Option<Credit>],
    model: &mut Model,
    held: &mut Vec<Box<dyn Held<'c> + 'c>>,
    op: AccountOp,
    place: &Place,
) {
    let account = |at: u8| usize::from(at) % nodes.len();
    let claims = held.len();
    let claim = |nth: u8| (claims > 0).then(|| usize::from(nth) % claims);
    let mut reserve = |model: &mut Model, at: usize, bytes: usize, how: How| {
        if claims >= CLAIMS {
            return;
        }
        let external = how == How::External;
        let real: Result<Box<dyn Held<'c> + 'c>, OverBudget> = match &credits[at] {
            Some(credit) if how == How::OnCredit => {
                credit.try_reserve(bytes).map(|claim| Box::new(claim) as Box<dyn Held<'c> + 'c>)
            }
            _ => nodes[at].reserve(bytes, external),
        };
        let expected = model.charge(at, bytes, external);
        place.same(
            "reserved",
            real.as_ref().map(|claim| claim.bytes()).map_err(over_budget),
            expected.map(|()| bytes),
        );
        if let Ok(real) = real {
            held.push(real);
            model.claims.push(Claimed { at, bytes, external });
        }
    };
    // A charge of nothing is refused by an account over its limit, and granted by a credit: it is left out.
    match op {
        AccountOp::Reserve { at, bytes, how } => reserve(model, account(at), usize::from(bytes).max(1), how),
        AccountOp::ReserveHuge { at, below, how } => {
            // What is granted would make the sums of the next operations meaningless.
            let (at, bytes) = (account(at), usize::MAX - usize::from(below));
            let wraps = |at: usize| model.levels[at].used > usize::from(below);
            let bounds = |at: usize| how != How::External && model.levels[at].hard != usize::MAX;
            if path(at).any(|at| wraps(at) || bounds(at)) {
                reserve(model, at, bytes, how);
            }
        }
        AccountOp::Grow { nth, bytes } => {
            let (Some(nth), bytes) = (claim(nth), usize::from(bytes).max(1)) else { return };
            let Claimed { at, external, .. } = model.claims[nth];
            let expected = model.charge(at, bytes, external);
            place.same("grown", held[nth].grow(bytes).map_err(|refusal| over_budget(&refusal)), expected);
            model.claims[nth].bytes += if expected.is_ok() { bytes } else { 0 };
        }
        AccountOp::Shrink { nth, bytes } => {
            let (Some(nth), bytes) = (claim(nth), usize::from(bytes)) else { return };
            let expected = model.take(nth, bytes);
            place.same("shrunk", held[nth].shrink(bytes), expected.clone().map(drop));
            if let Ok(Claimed { at, bytes, external }) = expected {
                model.uncharge(at, bytes, external);
            }
        }
        AccountOp::Split { nth, bytes } => {
            let (Some(nth), bytes) = (claim(nth), usize::from(bytes)) else { return };
            if claims >= CLAIMS {
                return;
            }
            let (real, expected) = (held[nth].split(bytes), model.take(nth, bytes));
            place.same(
                "split",
                real.as_ref().map(|claim| claim.bytes()).map_err(|error| *error),
                expected.as_ref().map(|claim| claim.bytes).map_err(|error| *error),
            );
            held.extend(real.ok());
            model.claims.extend(expected.ok());
        }
        AccountOp::Take { nth } => {
            let Some(nth) = claim(nth).filter(|_| claims < CLAIMS) else { return };
            let (real, all) = (held[nth].take(), model.claims[nth].bytes);
            place.same("taken", (held[nth].bytes(), real.bytes()), (0, all));
            held.push(real);
            let expected = model.take(nth, all);
            model.claims.extend(expected.ok());
        }
        AccountOp::Free { nth } => {
            let Some(nth) = claim(nth) else { return };
            drop(held.remove(nth));
            let Claimed { at, bytes, external } = model.claims.remove(nth);
            model.uncharge(at, bytes, external);
        }
        AccountOp::SetHard { at, bytes } => {
            let (at, bytes) = (account(at), bytes_or_none(bytes));
            model.levels[at].hard = bytes;
            place.same("over the new limit", nodes[at].set_hard(bytes), model.over(at));
        }
        AccountOp::SetSoft { at, bytes } => {
            let (at, bytes) = (account(at), bytes_or_none(bytes));
            nodes[at].set_soft(bytes);
            model.levels[at].soft = bytes;
            model.watch(at);
        }
        AccountOp::SetLow { at, bytes } => {
            let (at, bytes) = (account(at), bytes_or_none(bytes));
            nodes[at].set_low(bytes);
            model.levels[at].low = bytes;
            model.watch(at);
        }
        AccountOp::ResetPeak { at } => {
            let at = account(at);
            nodes[at].reset_peak();
            model.levels[at].peak = model.levels[at].used;
        }
        AccountOp::MakeRoom { at, bytes } => {
            let (at, bytes) = (account(at), usize::from(bytes));
            // The account that is short of most; the highest of several.
            let worst = path(at).filter(|&at| model.room(at) < bytes + model.over(at));
            let short = |at: usize| (model.levels[at].used + bytes).saturating_sub(model.levels[at].hard);
            let expected = match worst.filter(|&at| short(at) > 0).max_by_key(|&at| short(at)) {
                // There is no pool.
                Some(worst) => {
                    let (at, numbers, _) = model.refusal(worst, bytes);
                    Err((at, numbers, Some(0)))
                }
                None => Ok(0),
            };
            let real = nodes[at].make_room(bytes);
            place.same("room", real.map_err(|refusal| over_budget(&refusal)), expected);
        }
    }
}

fn compare(nodes: &[Box<dyn Node>], model: &Model, events: &Events, lent: usize, place: &Place) {
    let heard = events.lock().unwrap_or_else(PoisonError::into_inner);
    place.same("events", &*heard, &model.events);
    for (at, node) in nodes.iter().enumerate() {
        let (Numbers { exact, peaks, pressure, snapshot }, level) = (node.numbers(), &model.levels[at]);
        let free = path(at).map(|at| model.room(at)).min().unwrap_or(0);
        place.same(
            NAMES[at],
            exact,
            [level.used, level.external, free, model.over(at), level.hard, level.soft, model.low(at)],
        );
        for (real, model) in peaks.into_iter().zip([level.peak, level.lifetime_peak]) {
            place.same("a peak that is too low, or too high by more than is lent", real < model, false);
            place.same(
                "a peak that is too high by more than is lent",
                real > model.saturating_add(lent),
                false,
            );
        }
        let felt = path(at).map(|at| match () {
            () if model.over(at) > 0 => Pressure::Critical,
            () if model.levels[at].over_soft => Pressure::Moderate,
            () => Pressure::None,
        });
        place.same("pressure", Some(pressure), felt.max());
        let children = PARENTS.iter().filter(|parent| **parent == Some(at)).count();
        place.same("children", snapshot.children.len(), children);
        place.same(
            "a snapshot's use",
            (snapshot.used, snapshot.over_soft_limit),
            (level.used, level.over_soft),
        );
        place.same("lent above the limit", snapshot.lent > lent, false);
    }
    // Use is the sum of what is held at and below an account.
    for at in 0..nodes.len() {
        let inside = model.claims.iter().filter(|claim| path(claim.at).any(|level| level == at));
        place.same("the model's sum", model.levels[at].used, inside.map(|claim| claim.bytes).sum());
    }
}
