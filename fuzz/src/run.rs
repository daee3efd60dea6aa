//! The same operations on the pool and on the model, and everything compared after each.

use crate::model::{Model, OverBudget, Refusal};
use crate::ops::{Bounds, Config, FIXED_SLOTS, KEYS, Op, limit_of};
use crate::world::{Item, Maker, Refused, Washer, World};
use pool_core::{
    Account, AccountEventKind, AcquireError, KeyedPool, KeyedPoolBuilder, Lease, LeaseId, ManualClock,
    ReleaseError, Reservation, Storage,
};
use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

/// Applies `ops` to a growing pool and to one of [`FIXED_SLOTS`] slots, both with the bounds of `config`, and to the
/// model.
///
/// # Panics
///
/// At the first operation after which pool and model differ, or an invariant does not hold.
pub fn run(ops: &[Op], config: &Config) {
    drive(ops, config, usize::MAX, |builder| builder.build());
    drive(ops, config, FIXED_SLOTS, |builder| builder.build_fixed::<FIXED_SLOTS>());
}

type Builder<'w> = KeyedPoolBuilder<u8, Maker<'w>, Washer<'w>, &'w ManualClock>;
type Subject<'w, S> = KeyedPool<u8, Maker<'w>, Washer<'w>, &'w ManualClock, S>;
type Events = Arc<Mutex<Vec<(usize, AccountEventKind, usize)>>>;

/// What is out: index by index the same as the model's `leased`.
enum Held<'p, 'w, S: Storage> {
    Lease(Lease<&'p Subject<'w, S>>),
    Token(LeaseId),
}

fn account(bounds: &Bounds, events: &Events) -> Vec<Account> {
    let mut accounts: Vec<Account> = Vec::new();
    for (level, &(hard, soft)) in bounds.accounts.iter().enumerate().rev() {
        let events = Arc::clone(events);
        let mut builder = Account::builder(["own", "parent"][level])
            .hard_limit(hard)
            .soft_limit(soft)
            .on_event(move |event| {
                events.lock().unwrap_or_else(PoisonError::into_inner).push((level, event.kind, event.used));
            });
        if let Some(parent) = accounts.first() {
            builder = builder.parent(parent);
        }
        accounts.insert(0, builder.build());
    }
    accounts
}

fn drive<S: Storage>(
    ops: &[Op],
    config: &Config,
    slots: usize,
    build: for<'w> fn(Builder<'w>) -> Subject<'w, S>,
) {
    let bounds = Bounds::new(config, slots);
    let (world, clock, events) = (World::default(), ManualClock::default(), Events::default());
    let accounts = account(&bounds, &events);
    let mut builder = KeyedPoolBuilder::new(Maker(&world))
        .resetter(Washer(&world))
        .clock(&clock)
        .max_objects(bounds.max_objects)
        .max_per_key(bounds.max_per_key)
        .max_idle_per_key(bounds.max_idle_per_key)
        .min_idle(bounds.min_idle)
        .idle_ttl(bounds.idle_ttl)
        .max_lifetime(bounds.max_lifetime)
        .max_retained_bytes(bounds.max_retained_bytes);
    if let Some(own) = accounts.first() {
        builder = builder.account(own.clone());
    }
    let stranger = KeyedPool::builder(|_: &u8| Ok::<u8, Refused>(0)).build();
    let foreign = match stranger.acquire(&0) {
        Ok(lease) => lease.into_id(),
        Err(error) => panic!("a pool without bounds refused: {error:?}"),
    };

    let mut model = Model::new(bounds);
    let (detached, claims) = {
        let pool = build(builder);
        let mut driver = Driver {
            pool: &pool,
            world: &world,
            clock: &clock,
            accounts: &accounts,
            events: &events,
            closes: config.closes,
            foreign,
            held: Vec::new(),
            used_tokens: Vec::new(),
            detached: Vec::new(),
            claims: Vec::new(),
        };
        for (at, &op) in ops.iter().enumerate() {
            driver.step(&mut model, op, &Context { at, op, fixed: slots != usize::MAX });
        }
        let Driver { held, detached, claims, .. } = driver;
        while !model.leased.is_empty() {
            model.release(0);
        }
        // Tokens that nobody releases are as good as leaked.
        let mut kept = Vec::new();
        for held in held {
            match held {
                Held::Lease(lease) => drop(lease),
                Held::Token(id) => kept.push(id),
            }
        }
        for id in kept {
            assert_eq!(pool.release(id), Ok(()), "at the end");
        }
        (detached, claims)
    };
    // The pool is gone.
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
    fixed: bool,
}

impl Context {
    #[track_caller]
    fn same<T: PartialEq + Debug>(&self, what: &str, real: T, model: T) {
        let Self { at, op, fixed } = self;
        let kind = if *fixed { "fixed" } else { "growing" };
        assert!(
            real == model,
            "{kind} pool, after operation {at}, {op:?}: {what}\n pool: {real:?}\nmodel: {model:?}"
        );
    }
}

struct Driver<'p, 'w, S: Storage> {
    pool: &'p Subject<'w, S>,
    world: &'w World,
    clock: &'w ManualClock,
    accounts: &'p [Account],
    events: &'p Events,
    closes: bool,
    foreign: LeaseId,
    held: Vec<Held<'p, 'w, S>>,
    used_tokens: Vec<LeaseId>,
    detached: Vec<Item<'w>>,
    claims: Vec<Reservation>,
}

/// Pool of a token, by its documented bits.
fn pool_of(id: LeaseId) -> u32 {
    (id.to_bits() >> 96) as u32
}

fn stale(id: LeaseId) -> ReleaseError {
    let bits = id.to_bits();
    ReleaseError::Stale { slot: (bits >> 64) as u32, generation: bits as u64 }
}

impl<'p, 'w, S: Storage> Driver<'p, 'w, S> {
    fn nth(&self, nth: u8) -> Option<usize> {
        (!self.held.is_empty()).then(|| usize::from(nth) % self.held.len())
    }

    /// The nth of what is out as a lease, whatever it is.
    fn take(&mut self, at: usize) -> Lease<&'p Subject<'w, S>> {
        match self.held.remove(at) {
            Held::Lease(lease) => lease,
            Held::Token(id) => {
                self.used_tokens.push(id);
                match self.pool.redeem(id) {
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
    fn refused(&self, cx: &Context, id: LeaseId, redeem: bool, expected: ReleaseError) {
        let result = if redeem { self.pool.redeem(id).map(drop) } else { self.pool.release(id) };
        cx.same("token", result, Err(expected));
    }

    fn step(&mut self, model: &mut Model, op: Op, cx: &Context) {
        match op {
            Op::Acquire { key } => {
                let key = key % KEYS;
                let real = self.pool.acquire(&key);
                let expected = model.acquire(key);
                cx.same(
                    "acquired",
                    real.as_ref().map(|lease| lease.serial).map_err(|error| self.refusal(error.clone())),
                    expected,
                );
                self.held.extend(real.ok().map(Held::Lease));
            }
            Op::TryAcquire { key } => {
                let key = key % KEYS;
                let real = self.pool.try_acquire(&key);
                cx.same("acquired", real.as_ref().map(|lease| lease.serial), model.try_acquire(key));
                self.held.extend(real.map(Held::Lease));
            }
            Op::Release { nth } => {
                let Some(at) = self.nth(nth) else { return };
                match self.held.remove(at) {
                    Held::Lease(lease) => drop(lease),
                    Held::Token(id) => {
                        self.used_tokens.push(id);
                        cx.same("released", self.pool.release(id), Ok(()));
                    }
                }
                model.release(at);
            }
            Op::IntoId { nth } => {
                let Some(at) = self.nth(nth) else { return };
                let id = self.take(at).into_id();
                cx.same("a new token among the used ones", self.used_tokens.contains(&id), false);
                self.held.insert(at, Held::Token(id));
            }
            Op::Redeem { nth } => {
                let Some(at) = self.nth(nth) else { return };
                let lease = self.take(at);
                self.held.insert(at, Held::Lease(lease));
            }
            Op::Stale { nth, redeem } => {
                if self.used_tokens.is_empty() {
                    return;
                }
                let id = self.used_tokens[usize::from(nth) % self.used_tokens.len()];
                self.refused(cx, id, redeem, stale(id));
            }
            Op::Foreign { redeem } => {
                let expected = self.some_token().map(pool_of);
                let id = self.foreign;
                let result = if redeem { self.pool.redeem(id).map(drop) } else { self.pool.release(id) };
                match (result, expected) {
                    (Err(ReleaseError::Foreign { pool, expected, .. }), own) => {
                        cx.same("foreign", (pool, own.unwrap_or(expected)), (pool_of(id), expected));
                    }
                    (result, _) => panic!("a foreign token: {result:?}"),
                }
            }
            Op::Forged { nth, bit } => {
                let mut tokens = self.tokens();
                tokens.extend(&self.used_tokens);
                if tokens.is_empty() {
                    return;
                }
                let original = tokens[usize::from(nth) % tokens.len()];
                let forged = LeaseId::from_bits(original.to_bits() ^ 1 << (bit % 128));
                // By chance it is the name of another lease: then it is as good as that one's token.
                if self.tokens().contains(&forged) {
                    return;
                }
                let expected = match pool_of(original) {
                    own if own == pool_of(forged) => stale(forged),
                    own => ReleaseError::Foreign { pool: pool_of(forged), expected: own },
                };
                self.refused(cx, forged, nth % 2 == 0, expected);
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
                let mut lease = self.take(at);
                lease.bytes = usize::from(bytes);
                model.leased[at].actual = usize::from(bytes);
                self.held.insert(at, Held::Lease(lease));
            }
            Op::Trim { target } => {
                let target = usize::from(target % 8);
                cx.same("trimmed", self.pool.trim(target), model.trim(target));
            }
            Op::Retain { keys } => {
                let keep = |key: u8| keys >> key & 1 == 1;
                let mut wrong_key = false;
                let real = self.pool.retain(|&key, item| {
                    wrong_key |= item.key != key;
                    keep(key)
                });
                cx.same("an object under a wrong key", wrong_key, false);
                cx.same("retained", real, model.retain(keep));
            }
            Op::EvictTo { bytes } => {
                let bytes = usize::from(bytes % 512);
                cx.same("freed", self.pool.evict_to(bytes), model.evict_to(bytes));
            }
            Op::Prewarm { key, count } => {
                let (key, count) = (key % KEYS, usize::from(count % 5));
                let real = self.pool.prewarm(&key, count).map_err(|error| self.refusal(error));
                cx.same("prewarmed", real, model.prewarm(key, count));
            }
            Op::Maintain { limit } => {
                let limit = match limit % 8 {
                    7 => usize::MAX,
                    limit => usize::from(limit),
                };
                let real = self.pool.maintain(limit);
                let expired = self.pool.stats().expired;
                let dropped = self.world.dropped.borrow().clone();
                cx.same("maintained", real, model.maintain(limit, &dropped, expired));
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
                cx.same("excess", self.pool.set_hard_limit(bytes), model.set_pool_limit(bytes));
            }
            Op::SetSoftLimit { level, bytes } => {
                let Some(level) = self.level(level) else { return };
                let bytes = limit_of(bytes);
                self.accounts[level].set_soft_limit(bytes);
                model.set_soft_limit(level, bytes);
            }
            Op::ResetPeak => {
                for (account, level) in self.accounts.iter().zip(&mut model.levels) {
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
                    self.pool.close();
                    model.close();
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
        }
        self.compare(model, cx);
    }

    fn tokens(&self) -> Vec<LeaseId> {
        let token = |held: &Held<'_, '_, S>| match held {
            Held::Lease(_) => None,
            Held::Token(id) => Some(*id),
        };
        self.held.iter().filter_map(token).collect()
    }

    fn some_token(&self) -> Option<LeaseId> {
        self.tokens().first().or(self.used_tokens.first()).copied()
    }

    fn compare(&self, model: &Model, cx: &Context) {
        let (pool, world) = (self.pool, self.world);
        cx.same("destroyed, in order", &*world.dropped.borrow(), &model.dropped);
        cx.same("reset, in order", &*world.reset.borrow(), &model.reset);
        cx.same("made", world.made.get(), model.made);
        let stats = pool.stats();
        cx.same("stats", stats, model.stats());
        cx.same("closed", pool.is_closed(), model.closed);

        // The predicate sees the idle objects, those released longest ago first.
        let mut idle = Vec::new();
        pool.retain(|&key, item| {
            idle.push((item.serial, key));
            true
        });
        let expected: Vec<(u64, u8)> = model.idle.iter().map(|object| (object.serial, object.key)).collect();
        cx.same("idle objects, in the order of release", &idle, &expected);

        // No object is out twice, nor out and idle, nor destroyed: all that exist are different.
        let mut present: Vec<u64> = idle.iter().map(|&(serial, _)| serial).collect();
        for (held, object) in self.held.iter().zip(&model.leased) {
            if let Held::Lease(lease) = held {
                cx.same("a leased object", (lease.serial, lease.key), (object.serial, object.key));
            }
            present.push(object.serial);
        }
        present.extend(self.detached.iter().map(|item| item.serial));
        present.extend(&*world.dropped.borrow());
        let distinct: HashSet<u64> = present.iter().copied().collect();
        cx.same("objects that are in two places", present.len(), distinct.len());

        let mut keys = pool.keys();
        keys.sort_by_key(|&(key, _)| key);
        let expected: Vec<_> = (0..KEYS).filter_map(|key| Some((key, model.key_stats(key)?))).collect();
        cx.same("keys that have objects", &keys, &expected);
        for key in 0..KEYS {
            cx.same("key_stats", pool.key_stats(&key), model.key_stats(key));
        }

        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        cx.same("events", &*events, &model.events);
        for (account, level) in self.accounts.iter().zip(&model.levels) {
            cx.same(
                "use, external, peak, lifetime peak, overcommitted",
                [
                    account.used(),
                    account.external(),
                    account.peak(),
                    account.lifetime_peak(),
                    account.overcommitted(),
                ],
                [
                    level.used,
                    level.external,
                    level.peak,
                    level.lifetime_peak,
                    level.used.saturating_sub(level.hard),
                ],
            );
        }
        self.invariants(cx);
    }

    /// What must hold whatever the model says.
    fn invariants(&self, cx: &Context) {
        let stats = self.pool.stats();
        cx.same(
            "created = leased + idle + destroyed + detached",
            stats.created,
            stats.leased as u64 + stats.idle as u64 + stats.destroyed + stats.detached,
        );
        cx.same("peaks below what there is", stats.peak_bytes < stats.bytes(), false);
        cx.same("peaks below what is out", stats.peak_leased < stats.leased, false);
        for (at, account) in self.accounts.iter().enumerate() {
            cx.same("peak below the use", account.peak() < account.used(), false);
            let claimed: usize = self
                .claims
                .iter()
                .filter(|claim| at == 1 || *claim.account() == *account)
                .map(Reservation::bytes)
                .sum();
            cx.same("use = leased + idle + reserved", account.used(), stats.bytes() + claimed);
            let over = account.used() > account.hard_limit();
            cx.same("over the limit, and not reported", over, account.overcommitted() > 0);
        }
    }
}
