//! The same operations on the pool and on the model, and everything compared after each.

use crate::model::{Model, OverBudget, Refusal, Told};
use crate::ops::{Bounds, Config, FIXED_SLOTS, KEYS, Op, levels_of, limit_of};
use crate::world::{CommonWorld, Item, Maker, Place, Refused, Washer, Watcher, World, planned};
use parking_lot::RawMutex;
use pool_core::{
    Account, AccountBuilder, AccountEventKind, AcquireError, Growing, KeyedPool, KeyedPoolBuilder, Lease,
    LeaseId, Local, ManualClock, Mode, ReleaseError, Reservation, Shared, SharedKeyedPool, Storage, Tick,
    WorkLimit,
};
use std::collections::HashSet;
use std::fmt::Debug;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

/// Applies `ops` to a growing pool and to one of [`FIXED_SLOTS`] slots, both with the bounds of `config`, and to the
/// model.
///
/// # Panics
///
/// At the first operation after which pool and model differ, or an invariant does not hold.
pub fn run(ops: &[Op], config: &Config) {
    let levels: Vec<_> = levels_of(config)
        .into_iter()
        .enumerate()
        .map(|(at, (hard, soft))| (hard, soft, Some(at + 1)))
        .collect();
    let chain = |slots: usize, kind: &'static str| {
        let mut limits = levels.clone();
        if let Some(top) = limits.last_mut() {
            top.2 = None;
        }
        let home = (!limits.is_empty()).then_some(0);
        Setup {
            kind,
            pools: vec![(Bounds::new(config, slots), home)],
            limits,
            give: false,
            closes: config.closes,
        }
    };
    drive(ops, &chain(usize::MAX, "growing"), shared_account, undivided, |builder, account| {
        Box::new(charged(builder, account).build())
    });
    drive(ops, &chain(FIXED_SLOTS, "fixed"), shared_account, undivided, |builder, account| {
        Box::new(charged(builder, account).build_fixed::<FIXED_SLOTS>())
    });
}

/// Applies `ops` to several pools that give idle objects back to one another: two under an account, a third under the one
/// above it. Which of them, [`Op::Use`] says. The limits of the accounts are those of the first. Once with accounts and pools of
/// one thread, and once with those for threads, of which one uses them.
///
/// # Panics
///
/// As [`run`].
pub fn run_several(ops: &[Op], configs: &[Config; 3]) {
    drive(ops, &several(configs), local_account, undivided, giving);
    let setup = Setup { kind: "one of several shared", ..several(configs) };
    drive(ops, &setup, shared_account, divider, giving_to_threads);
}

/// Nothing between two operations: one pool knows the order of its releases, and so do pools of one thread.
fn undivided<M: Mode>(_: &Account<M>) -> Box<dyn Fn()> {
    Box::new(|| ())
}

/// A miss of a pool that has nothing and makes nothing. Pools for threads know the order of their releases among each other only
/// so far as misses divide them; one after each operation makes it exact.
fn divider(top: &Account) -> Box<dyn Fn()> {
    let pool = KeyedPoolBuilder::new(|_: &u8| Err::<u8, Refused>(Refused)).max_objects(0);
    let pool = pool.account(top.clone()).build_shared::<RawMutex>();
    Box::new(move || {
        let refused = pool.acquire(&0);
        assert!(matches!(refused, Err(AcquireError::Exhausted { .. })), "{:?}", refused.err());
    })
}

/// What [`run_several`] sets up.
pub(crate) fn several(configs: &[Config; 3]) -> Setup {
    let mut limits = levels_of(&configs[0]);
    limits.resize(2, (usize::MAX, usize::MAX));
    let bounds = |config| Bounds::new(config, usize::MAX);
    Setup {
        kind: "one of several",
        pools: configs.iter().map(bounds).zip([Some(0), Some(0), Some(1)]).collect(),
        limits: limits
            .iter()
            .zip([Some(1), None])
            .map(|(&(hard, soft), parent)| (hard, soft, parent))
            .collect(),
        give: true,
        closes: configs.iter().any(|config| config.closes),
    }
}

/// Which pools under which accounts.
pub(crate) struct Setup {
    kind: &'static str,
    pub(crate) pools: Vec<(Bounds, Option<usize>)>,
    pub(crate) limits: Vec<(usize, usize, Option<usize>)>,
    give: bool,
    pub(crate) closes: bool,
}

pub(crate) type Builder<M> = KeyedPoolBuilder<u8, Maker, Washer, Arc<ManualClock>, Watcher, M>;
pub(crate) type Subject<S, M> = KeyedPool<u8, Maker, Washer, Arc<ManualClock>, S, Watcher, M>;
/// A pool that gives idle objects to others.
pub(crate) type Giving = Subject<Growing, Local>;
/// The same, for threads.
pub(crate) type GivingToThreads = SharedKeyedPool<u8, Maker, RawMutex, Washer, Arc<ManualClock>, Watcher>;
type Events = Arc<Mutex<Vec<(usize, AccountEventKind, usize)>>>;

/// What is out, and of which pool: index by index the same as the model's `leased`.
enum Held<'p, S: Storage, M: Mode> {
    Lease(Lease<&'p Subject<S, M>>),
    Token(LeaseId),
}

/// An account of a number, with its limits, a parent and where to note its events.
type Open<M> = fn(usize, (usize, usize), Option<&Account<M>>, &Events) -> Account<M>;

fn note(events: &Events, level: usize, kind: AccountEventKind, used: usize) {
    events.lock().unwrap_or_else(PoisonError::into_inner).push((level, kind, used));
}

/// What both kinds of accounts are built from.
pub(crate) fn limited<M: Mode>(
    builder: AccountBuilder<M>,
    (hard, soft): (usize, usize),
    parent: Option<&Account<M>>,
) -> AccountBuilder<M> {
    let builder = builder.hard_limit(hard).soft_limit(soft);
    match parent {
        Some(parent) => builder.parent(parent),
        None => builder,
    }
}

fn shared_account(
    level: usize,
    limits: (usize, usize),
    parent: Option<&Account>,
    events: &Events,
) -> Account {
    let events = Arc::clone(events);
    limited(Account::builder(format!("level {level}")), limits, parent)
        .on_event(move |event| note(&events, level, event.kind, event.used))
        .build()
}

fn local_account(
    level: usize,
    limits: (usize, usize),
    parent: Option<&Account<Local>>,
    events: &Events,
) -> Account<Local> {
    let events = Arc::clone(events);
    limited(Account::local_builder(format!("level {level}")), limits, parent)
        .on_event(move |event| note(&events, level, event.kind, event.used))
        .build()
}

/// Accounts of these limits and parents; a parent comes after its children.
fn accounts<M: Mode>(
    limits: &[(usize, usize, Option<usize>)],
    events: &Events,
    open: Open<M>,
) -> Vec<Account<M>> {
    let mut made: Vec<Account<M>> = Vec::new();
    for (level, &(hard, soft, parent)) in limits.iter().enumerate().rev() {
        let parent = parent.map(|parent| &made[parent - level - 1]);
        let account = open(level, (hard, soft), parent, events);
        made.insert(0, account);
    }
    made
}

fn charged(builder: Builder<Shared>, account: Option<&Account>) -> Builder<Shared> {
    match account {
        Some(account) => builder.account(account.clone()),
        None => builder,
    }
}

/// A pool that gives idle objects to others under its account.
pub(crate) fn giving(builder: Builder<Shared>, account: Option<&Account<Local>>) -> Rc<Giving> {
    match account {
        Some(account) => builder.account(account.clone()).build_rc(),
        None => unreachable!("several pools have an account each"),
    }
}

/// The same, for threads.
pub(crate) fn giving_to_threads(builder: Builder<Shared>, account: Option<&Account>) -> Arc<GivingToThreads> {
    charged(builder, account).build_shared()
}

/// A builder with the bounds of a pool.
pub(crate) fn builder(
    world: &CommonWorld,
    clock: &Arc<ManualClock>,
    number: usize,
    bounds: &Bounds,
) -> Builder<Shared> {
    let mut builder = KeyedPoolBuilder::new(Maker(Arc::clone(world)))
        .resetter(Washer(Arc::clone(world)))
        .clock(Arc::clone(clock))
        .observer(Watcher(Arc::clone(world), number))
        .max_objects(bounds.max_objects)
        .max_per_key(bounds.max_per_key)
        .max_idle_per_key(bounds.max_idle_per_key)
        .min_idle(bounds.min_idle)
        .idle_ttl(bounds.idle_ttl)
        .soft_idle_ttl(bounds.soft_idle_ttl)
        .max_lifetime(bounds.max_lifetime)
        .max_retained_bytes(bounds.max_retained_bytes)
        .evict_cheapest_of(bounds.window);
    if let Some((one_in, after)) = bounds.watch {
        builder = builder.watch_leaks(one_in, after).leak_seed(0);
    }
    builder
}

fn drive<S: Storage, M: Mode, P: Deref<Target = Subject<S, M>>>(
    ops: &[Op],
    setup: &Setup,
    open: Open<M>,
    divide: fn(&Account<M>) -> Box<dyn Fn()>,
    build: fn(Builder<Shared>, Option<&Account<M>>) -> P,
) {
    let (world, clock, events) = (World::new(), Arc::new(ManualClock::default()), Events::default());
    let accounts = accounts(&setup.limits, &events, open);
    let stranger = KeyedPool::builder(|_: &u8| Ok::<u8, Refused>(0)).build();
    let foreign = match stranger.acquire(&0) {
        Ok(lease) => lease.into_id(),
        Err(error) => panic!("a pool without bounds refused: {error:?}"),
    };

    let divide = accounts.last().map(divide);
    let mut model = Model::new(setup.pools.clone(), &setup.limits, setup.give);
    let (detached, claims) = {
        let pools: Vec<P> = setup
            .pools
            .iter()
            .enumerate()
            .map(|(number, (bounds, home))| {
                build(builder(&world, &clock, number, bounds), home.map(|home| &accounts[home]))
            })
            .collect();
        let mut driver = Driver {
            pools: pools.iter().map(|pool| &**pool).collect(),
            current: 0,
            world: &world,
            clock: &clock,
            accounts: &accounts,
            events: &events,
            closes: setup.closes,
            foreign,
            held: Vec::new(),
            used_tokens: Vec::new(),
            detached: Vec::new(),
            claims: Vec::new(),
        };
        for (at, &op) in ops.iter().enumerate() {
            driver.step(&mut model, op, &Context { at, op, kind: setup.kind });
            if let Some(divide) = &divide {
                divide();
            }
        }
        world.panic_next.set(None);
        model.panic_next = None;
        let Driver { held, detached, claims, .. } = driver;
        while !model.leased.is_empty() {
            model.release(0, None);
        }
        // Tokens that nobody releases are as good as leaked.
        let mut kept = Vec::new();
        for (pool, held) in held {
            match held {
                Held::Lease(lease) => drop(lease),
                Held::Token(id) => kept.push((pool, id)),
            }
        }
        for (pool, id) in kept {
            assert_eq!(pools[pool].release(id), Ok(()), "at the end");
        }
        (detached, claims)
    };
    // The pools are gone.
    let mut expected: Vec<u64> = model.dropped.clone();
    expected.extend(model.end());
    expected.sort_unstable();
    let mut dropped = world.dropped.borrow().clone();
    dropped.sort_unstable();
    assert_eq!(dropped, expected, "destroyed when all was over, each exactly once");
    for account in &accounts {
        let claimed: usize = claims.iter().map(Reservation::bytes).sum();
        assert!(account.used() <= claimed, "{account:?}: bytes of objects are left in the account");
    }
    drop((detached, claims));
    for account in &accounts {
        assert_eq!(
            (account.used(), account.external()),
            (0, 0),
            "{account:?}: bytes are left in the account"
        );
    }
    let mut dropped = world.dropped.borrow().clone();
    dropped.sort_unstable();
    assert_eq!(dropped, (0..world.made.get()).collect::<Vec<_>>(), "each object is destroyed exactly once");
}

/// Where a difference was found.
struct Context {
    at: usize,
    op: Op,
    kind: &'static str,
}

impl Context {
    #[track_caller]
    fn same<T: PartialEq + Debug>(&self, what: &str, real: T, model: T) {
        let Self { at, op, kind } = self;
        assert!(
            real == model,
            "{kind} pool, after operation {at}, {op:?}: {what}\n pool: {real:?}\nmodel: {model:?}"
        );
    }
}

struct Driver<'p, S: Storage, M: Mode> {
    pools: Vec<&'p Subject<S, M>>,
    /// The number of the pool that is used.
    current: usize,
    world: &'p World,
    clock: &'p ManualClock,
    accounts: &'p [Account<M>],
    events: &'p Events,
    closes: bool,
    foreign: LeaseId,
    held: Vec<(usize, Held<'p, S, M>)>,
    used_tokens: Vec<(usize, LeaseId)>,
    detached: Vec<Item>,
    claims: Vec<Reservation<Account<M>>>,
}

/// Pool of a token, by its documented bits.
fn pool_of(id: LeaseId) -> u32 {
    (id.to_bits() >> 96) as u32
}

/// A limit on objects, from an operation's number.
fn objects_of(limit: u8) -> usize {
    match limit % 8 {
        7 => usize::MAX,
        limit => usize::from(limit),
    }
}

fn stale(id: LeaseId) -> ReleaseError {
    let bits = id.to_bits();
    ReleaseError::Stale { slot: (bits >> 64) as u32, generation: bits as u64 }
}

impl<'p, S: Storage, M: Mode> Driver<'p, S, M> {
    fn pool(&self) -> &'p Subject<S, M> {
        self.pools[self.current]
    }

    fn nth(&self, nth: u8) -> Option<usize> {
        (!self.held.is_empty()).then(|| usize::from(nth) % self.held.len())
    }

    /// The nth of what is out as a lease, whatever it is.
    fn take(&mut self, at: usize) -> Lease<&'p Subject<S, M>> {
        match self.held.remove(at) {
            (_, Held::Lease(lease)) => lease,
            (pool, Held::Token(id)) => {
                self.used_tokens.push((pool, id));
                match self.pools[pool].redeem(id) {
                    Ok(lease) => lease,
                    Err(error) => panic!("a good token was refused: {error}"),
                }
            }
        }
    }

    fn refusal(&self, error: AcquireError<Refused>) -> Refusal {
        match error {
            AcquireError::Closed => Refusal::Closed,
            AcquireError::Exhausted { leased, max_objects, .. } => Refusal::Exhausted { leased, max_objects },
            AcquireError::KeyExhausted { leased, max_per_key, .. } => {
                Refusal::KeyExhausted { leased, max_per_key }
            }
            AcquireError::OverBudget(refusal) => Refusal::OverBudget(self.over_budget(&refusal)),
            AcquireError::Create(refused) => Refusal::Create(refused),
            other => panic!("a refusal that the model does not know: {other:?}"),
        }
    }

    fn over_budget(&self, refusal: &pool_core::OverBudget) -> OverBudget {
        let level = self.accounts.iter().position(|account| *account == refusal.account);
        OverBudget {
            level: level.unwrap_or(usize::MAX),
            requested: refusal.requested,
            used: refusal.used,
            limit: refusal.limit,
            free: refusal.free,
            evictable: refusal.evictable,
        }
    }

    fn level(&self, level: u8) -> Option<usize> {
        (!self.accounts.is_empty()).then(|| usize::from(level) % self.accounts.len())
    }

    /// A token that is no lease's must be refused.
    fn refused(&self, cx: &Context, pool: usize, id: LeaseId, redeem: bool, expected: ReleaseError) {
        let pool = self.pools[pool];
        let result = if redeem { pool.redeem(id).map(drop) } else { pool.release(id) };
        cx.same("token", result, Err(expected));
    }

    fn step(&mut self, model: &mut Model, op: Op, cx: &Context) {
        match op {
            Op::Acquire { key } => {
                let key = key % KEYS;
                let real = planned(|| self.pool().acquire(&key));
                let outcome = match &real {
                    Some(real) => {
                        real.as_ref().map(|lease| lease.serial).map_err(|error| self.refusal(error.clone()))
                    }
                    None => Err(Refusal::Panicked),
                };
                cx.same("acquired", outcome, model.acquire(self.current, key));
                self.hold(real.and_then(Result::ok));
            }
            Op::TryAcquire { key } => {
                let key = key % KEYS;
                let real = self.pool().try_acquire(&key);
                let expected = model.try_acquire(self.current, key);
                cx.same("acquired", real.as_ref().map(|lease| lease.serial), expected);
                self.hold(real);
            }
            Op::Release { nth } => {
                let Some(at) = self.nth(nth) else { return };
                let real = match self.held.remove(at) {
                    (_, Held::Lease(lease)) => planned(|| drop(lease)),
                    (pool, Held::Token(id)) => {
                        self.used_tokens.push((pool, id));
                        planned(|| cx.same("released", self.pools[pool].release(id), Ok(())))
                    }
                };
                cx.same("a release panicked", real.is_none(), model.release(at, None));
            }
            Op::ReleaseAt { nth, after } => {
                let Some(at) = self.nth(nth) else { return };
                let lease = self.take(at);
                let due = model.now + u64::from(after % 32);
                let real = planned(|| lease.release_at(Tick(due)));
                cx.same("a release panicked", real.is_none(), model.release(at, Some(due)));
            }
            Op::IntoId { nth } => {
                let Some(at) = self.nth(nth) else { return };
                let pool = self.held[at].0;
                let id = self.take(at).into_id();
                cx.same("a new token among the used ones", self.used_tokens.contains(&(pool, id)), false);
                self.held.insert(at, (pool, Held::Token(id)));
            }
            Op::Redeem { nth } => {
                let Some(at) = self.nth(nth) else { return };
                let pool = self.held[at].0;
                let lease = self.take(at);
                self.held.insert(at, (pool, Held::Lease(lease)));
            }
            Op::Stale { nth, redeem } => {
                if self.used_tokens.is_empty() {
                    return;
                }
                let (pool, id) = self.used_tokens[usize::from(nth) % self.used_tokens.len()];
                self.refused(cx, pool, id, redeem, stale(id));
            }
            Op::Foreign { redeem } => {
                let id = self.foreign;
                let known = self.tokens().into_iter().chain(self.used_tokens.iter().copied());
                let own = known.filter(|&(pool, _)| pool == self.current).map(|(_, id)| pool_of(id)).next();
                let pool = self.pool();
                let result = if redeem { pool.redeem(id).map(drop) } else { pool.release(id) };
                match result {
                    Err(ReleaseError::Foreign { pool, expected, .. }) => {
                        cx.same("foreign", (pool, own.unwrap_or(expected)), (pool_of(id), expected));
                    }
                    result => panic!("a foreign token: {result:?}"),
                }
            }
            Op::Forged { nth, bit } => {
                let mut tokens = self.tokens();
                tokens.extend(&self.used_tokens);
                if tokens.is_empty() {
                    return;
                }
                let (pool, original) = tokens[usize::from(nth) % tokens.len()];
                let forged = LeaseId::from_bits(original.to_bits() ^ 1 << (bit % 128));
                // By chance it is the name of another lease: then it is as good as that one's token.
                if self.tokens().iter().any(|&(_, id)| id == forged) {
                    return;
                }
                let expected = match pool_of(original) {
                    own if own == pool_of(forged) => stale(forged),
                    own => ReleaseError::Foreign { pool: pool_of(forged), expected: own },
                };
                self.refused(cx, pool, forged, nth % 2 == 0, expected);
            }
            Op::Detach { nth } => {
                let Some(at) = self.nth(nth) else { return };
                let item = self.take(at).detach();
                cx.same("detached", item.serial, model.detach(at));
                self.detached.push(item);
            }
            Op::Discard { nth } => {
                let Some(at) = self.nth(nth) else { return };
                self.take(at).discard();
                model.discard(at);
            }
            Op::Forget { nth } => {
                let Some(at) = self.nth(nth) else { return };
                std::mem::forget(self.take(at));
                model.forget(at);
            }
            Op::Resize { nth, bytes } => {
                let Some(at) = self.nth(nth) else { return };
                let pool = self.held[at].0;
                let mut lease = self.take(at);
                lease.bytes = usize::from(bytes);
                model.leased[at].actual = usize::from(bytes);
                self.held.insert(at, (pool, Held::Lease(lease)));
            }
            Op::Trim { target } => {
                let target = usize::from(target % 8);
                cx.same("trimmed", self.pool().trim(target), model.trim(self.current, target));
            }
            Op::Retain { keys } => {
                let keep = |key: u8| keys >> key & 1 == 1;
                let mut wrong_key = false;
                let real = self.pool().retain(|&key, item| {
                    wrong_key |= item.key != key;
                    keep(key)
                });
                cx.same("an object under a wrong key", wrong_key, false);
                cx.same("retained", real, model.retain(self.current, keep));
            }
            Op::EvictTo { bytes } => {
                let bytes = usize::from(bytes % 512);
                cx.same("freed", self.pool().evict_to(bytes), model.evict_to(self.current, bytes));
            }
            Op::Prewarm { key, count } => {
                let (key, count) = (key % KEYS, usize::from(count % 5));
                let real = planned(|| self.pool().prewarm(&key, count));
                let outcome = match real {
                    Some(real) => real.map_err(|error| self.refusal(error)),
                    None => Err(Refusal::Panicked),
                };
                cx.same("prewarmed", outcome, model.prewarm(self.current, key, count));
            }
            Op::Maintain { limit } => self.maintain(model, cx, WorkLimit::from(objects_of(limit))),
            Op::MaintainBytes { limit, bytes } => {
                let bytes = usize::from(bytes % 512);
                self.maintain(model, cx, WorkLimit { objects: objects_of(limit), bytes });
            }
            Op::Advance { ticks } => {
                self.clock.advance(u64::from(ticks));
                model.now += u64::from(ticks);
            }
            Op::SetHardLimit { level, bytes } => {
                let Some(level) = self.level(level) else { return };
                let bytes = limit_of(bytes);
                let excess = self.accounts[level].set_hard_limit(bytes);
                cx.same("excess", excess, model.set_hard_limit(level, bytes));
            }
            Op::SetPoolLimit { bytes } => {
                let bytes = limit_of(bytes);
                let excess = self.pool().set_hard_limit(bytes);
                cx.same("excess", excess, model.set_pool_limit(self.current, bytes));
            }
            Op::SetSoftLimit { level, bytes } => {
                let Some(level) = self.level(level) else { return };
                let bytes = limit_of(bytes);
                self.accounts[level].set_soft_limit(bytes);
                model.set_soft_limit(level, bytes);
            }
            Op::ResetPeak => {
                for (account, level) in self.accounts.iter().zip(&mut model.levels.all) {
                    account.reset_peak();
                    level.peak = level.used;
                }
            }
            Op::Charge { level, bytes, external } => {
                let Some(level) = self.level(level) else { return };
                let (account, bytes) = (&self.accounts[level], usize::from(bytes % 512));
                let real = match external {
                    true => account.charge_external(bytes),
                    false => account.try_reserve(bytes),
                };
                let expected = model.claim(level, bytes, external);
                let outcome =
                    real.as_ref().map(|claim| claim.bytes()).map_err(|refusal| self.over_budget(refusal));
                cx.same("claimed", outcome, expected.map(|()| bytes));
                self.claims.extend(real.ok());
            }
            Op::Uncharge { nth } => {
                if self.claims.is_empty() {
                    return;
                }
                let at = usize::from(nth) % self.claims.len();
                self.claims.remove(at).free();
                model.unclaim(at);
            }
            Op::Close => {
                if self.closes {
                    self.pool().close();
                    model.close(self.current);
                }
            }
            Op::FailNext => {
                self.world.fail_next.set(true);
                model.fail_next = true;
            }
            Op::DiscardNext => {
                self.world.discard_next.set(true);
                model.discard_next = true;
            }
            Op::MisjudgeNext { by } => {
                self.world.misjudge_next.set(by);
                model.misjudge_next = by;
            }
            Op::PanicNext { place } => {
                let place =
                    [Place::Create, Place::Measure, Place::Reset, Place::Cost][usize::from(place % 4)];
                self.world.panic_next.set(Some(place));
                model.panic_next = Some(place);
            }
            Op::Use { pool } => self.current = usize::from(pool) % self.pools.len(),
        }
        self.compare(model, cx);
    }

    fn hold(&mut self, lease: Option<Lease<&'p Subject<S, M>>>) {
        self.held.extend(lease.map(|lease| (self.current, Held::Lease(lease))));
    }

    fn maintain(&self, model: &mut Model, cx: &Context, limit: WorkLimit) {
        let real = self.pool().maintain(limit);
        let told = Told { heard: &self.world.heard.borrow(), dropped: &self.world.dropped.borrow() };
        cx.same("maintained", real, model.maintain(self.current, limit, &told));
    }

    fn tokens(&self) -> Vec<(usize, LeaseId)> {
        let token = |(pool, held): &(usize, Held<'_, S, M>)| match held {
            Held::Lease(_) => None,
            Held::Token(id) => Some((*pool, *id)),
        };
        self.held.iter().filter_map(token).collect()
    }

    fn compare(&self, model: &Model, cx: &Context) {
        let world = self.world;
        cx.same("destroyed, in order", &*world.dropped.borrow(), &model.dropped);
        cx.same("reset, in order", &*world.reset.borrow(), &model.reset);
        cx.same("heard, in order", &*world.heard.borrow(), &model.heard);
        cx.same("made", world.made.get(), model.made);

        // No object is out twice, nor out and idle, nor destroyed: all that exist are different.
        let mut present: Vec<u64> = world.dropped.borrow().clone();
        present.extend(self.detached.iter().map(|item| item.serial));
        for ((_, held), object) in self.held.iter().zip(&model.leased) {
            if let Held::Lease(lease) = held {
                cx.same("a leased object", (lease.serial, lease.key), (object.serial, object.key));
            }
            present.push(object.serial);
        }
        for (number, pool) in self.pools.iter().enumerate() {
            cx.same("stats", (number, pool.stats()), (number, model.stats(number)));
            cx.same("closed", pool.is_closed(), model.pools[number].closed);

            // The predicate sees the idle objects, those released longest ago first.
            let mut idle = Vec::new();
            pool.retain(|&key, item| {
                idle.push((item.serial, key));
                true
            });
            let own = model.idle.iter().filter(|object| object.pool == number);
            let expected: Vec<(u64, u8)> = own.map(|object| (object.serial, object.key)).collect();
            cx.same("idle objects, in the order of release", &idle, &expected);
            present.extend(idle.iter().map(|&(serial, _)| serial));

            let mut keys = pool.keys();
            keys.sort_by_key(|&(key, _)| key);
            let expected: Vec<_> =
                (0..KEYS).filter_map(|key| Some((key, model.key_stats(number, key)?))).collect();
            cx.same("keys that have objects", &keys, &expected);
            cx.same("how many those are", &pool.key_count(), &expected.len());
            for key in 0..KEYS {
                cx.same("key_stats", pool.key_stats(&key), model.key_stats(number, key));
            }
        }
        let distinct: HashSet<u64> = present.iter().copied().collect();
        cx.same("objects that are in two places", present.len(), distinct.len());

        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        cx.same("events", &*events, &model.levels.events);
        for (account, level) in self.accounts.iter().zip(&model.levels.all) {
            cx.same(
                "use, external, peak, lifetime peak, overcommitted",
                [
                    account.used(),
                    account.external(),
                    account.peak(),
                    account.lifetime_peak(),
                    account.overcommitted(),
                ],
                [level.used, level.external, level.peak, level.lifetime_peak, level.over()],
            );
        }
        self.invariants(model, cx);
    }

    /// What must hold whatever the model says; of it only which account is below which.
    fn invariants(&self, model: &Model, cx: &Context) {
        for pool in &self.pools {
            let stats = pool.stats();
            cx.same(
                "created = leased + idle + destroyed + detached",
                stats.created,
                stats.leased as u64 + stats.idle as u64 + stats.destroyed + stats.detached,
            );
            cx.same("peaks below what there is", stats.peak_bytes < stats.bytes(), false);
            cx.same("peaks below what is out", stats.peak_leased < stats.leased, false);
        }
        for (at, account) in self.accounts.iter().enumerate() {
            cx.same("peak below the use", account.peak() < account.used(), false);
            let inside = |level: usize| model.levels.path(Some(level)).contains(&at);
            let place = |claim: &&Reservation<Account<M>>| {
                self.accounts.iter().position(|account| account == claim.account()).is_some_and(inside)
            };
            let claimed: usize = self.claims.iter().filter(place).map(Reservation::bytes).sum();
            let homes = self.pools.iter().zip(&model.pools);
            let objects: usize = homes
                .filter(|(_, model)| model.home.is_some_and(inside))
                .map(|(pool, _)| pool.stats().bytes())
                .sum();
            cx.same("use = leased + idle + reserved", account.used(), objects + claimed);
            let over = account.used() > account.hard_limit();
            cx.same("over the limit, and not reported", over, account.overcommitted() > 0);
        }
    }
}
