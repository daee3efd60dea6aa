//! User code that panics, or uses the pools again while they are at work, wherever it is called.
//!
//! The model cannot follow this: what a destructor does half way through an eviction changes what the eviction finds. So
//! nothing is compared with it; what must hold after each operation, whatever was done inside of it, is what `invariants`
//! says, and at the end every object has ended once and every account is at zero.

use crate::ops::{Config, KEYS, limit_of};
use crate::run::{
    Builder, Giving, GivingToThreads, Subject, builder, giving, giving_to_threads, limited, several,
};
use crate::world::{CommonWorld, Place, Planned, World, planned};
use arbitrary::Arbitrary;
use pool_core::{Account, Lease, Local, ManualClock, Mode, Pool, Shared, Storage, Tick};
use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::ops::Deref;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Arc;

/// What to do to one of three pools, from outside or from a callback. `pool` counts modulo three, `nth` the leases.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names of the pools' methods and their arguments")]
pub enum Deed {
    Acquire { pool: u8, key: u8 },
    TryAcquire { pool: u8, key: u8 },
    Release { nth: u8 },
    ReleaseAt { nth: u8, after: u8 },
    ReleaseToken { nth: u8 },
    Discard { nth: u8 },
    Detach { nth: u8 },
    Resize { nth: u8, bytes: u8 },
    Prewarm { pool: u8, key: u8, count: u8 },
    Trim { pool: u8, target: u8 },
    Retain { pool: u8, keys: u8 },
    EvictTo { pool: u8, bytes: u16 },
    Maintain { pool: u8, limit: u8 },
    SetHardLimit { level: u8, bytes: u16 },
    SetPoolLimit { pool: u8, bytes: u16 },
    SetSoftLimit { level: u8, bytes: u16 },
    SetLowWatermark { level: u8, bytes: u16 },
    Misjudge { by: i8 },
    Advance { ticks: u8 },
    Fail,
    Spend,
    Close { pool: u8 },
    Panic,
    PanicWith { nth: u8 },
}

/// What a callback does, after so many that do nothing.
pub type Planted = (u8, Deed);

/// What differs between pools of one thread and those for threads.
struct Kind<M: Mode, P: Deref<Target: Pool>> {
    /// An account whose events the world hears.
    account: fn(&'static str, (usize, usize), Option<&Account<M>>, CommonWorld) -> Account<M>,
    build: fn(Builder<Shared>, Option<&Account<M>>) -> P,
    acquire: fn(&P, u8) -> Option<Lease<P>>,
    try_acquire: fn(&P, u8) -> Option<Lease<P>>,
}

const OF_ONE_THREAD: Kind<Local, Rc<Giving>> = Kind {
    account: |name, limits, parent, world| {
        limited(Account::local_builder(name), limits, parent)
            .on_event(move |_| world.at(Place::Event))
            .build()
    },
    build: giving,
    acquire: |pool, key| pool.acquire_owned(&key).ok(),
    try_acquire: |pool, key| pool.try_acquire_owned(&key),
};

const FOR_THREADS: Kind<Shared, Arc<GivingToThreads>> = Kind {
    account: |name, limits, parent, world| {
        limited(Account::builder(name), limits, parent).on_event(move |_| world.at(Place::Event)).build()
    },
    build: giving_to_threads,
    acquire: |pool, key| pool.acquire_owned(&key).ok(),
    try_acquire: |pool, key| pool.try_acquire_owned(&key),
};

struct Player<S: Storage, M: Mode, P: Deref<Target = Subject<S, M>> + Clone> {
    kind: Kind<M, P>,
    pools: Vec<P>,
    accounts: Vec<Account<M>>,
    world: CommonWorld,
    clock: Arc<ManualClock>,
    leases: RefCell<Vec<Lease<P>>>,
    planted: RefCell<VecDeque<Planted>>,
    /// A limit was changed in this step, so that use may be above it.
    limited: Cell<bool>,
    closes: bool,
}

impl<S: Storage, M: Mode, P: Deref<Target = Subject<S, M>> + Clone> Player<S, M, P> {
    fn pool(&self, pool: u8) -> &P {
        &self.pools[usize::from(pool) % self.pools.len()]
    }

    fn take(&self, nth: u8) -> Option<Lease<P>> {
        let mut leases = self.leases.borrow_mut();
        let at = usize::from(nth).checked_rem(leases.len())?;
        Some(leases.swap_remove(at))
    }

    /// User code was called: does what is planted there. While somebody's panic unwinds it may panic, too, and does nothing else.
    fn called(&self) {
        let deed = {
            let mut planted = self.planted.borrow_mut();
            match planted.front_mut() {
                Some((0, _)) => planted.pop_front().map(|(_, deed)| deed),
                Some((wait, _)) => {
                    *wait -= 1;
                    None
                }
                None => None,
            }
        };
        if let Some(deed) = deed {
            if deed == Deed::Panic {
                resume_unwind(Box::new(Planned));
            }
            if !std::thread::panicking() {
                self.play(deed);
            }
        }
    }

    fn play(&self, deed: Deed) {
        match deed {
            Deed::Acquire { pool, key } => {
                let lease = (self.kind.acquire)(self.pool(pool), key % KEYS);
                self.leases.borrow_mut().extend(lease);
            }
            Deed::TryAcquire { pool, key } => {
                let lease = (self.kind.try_acquire)(self.pool(pool), key % KEYS);
                self.leases.borrow_mut().extend(lease);
            }
            Deed::Release { nth } => drop(self.take(nth)),
            Deed::ReleaseAt { nth, after } => {
                let due = Tick(pool_core::Clock::now(&*self.clock).0 + u64::from(after % 16));
                if let Some(lease) = self.take(nth) {
                    lease.release_at(due);
                }
            }
            Deed::ReleaseToken { nth } => {
                if let Some(lease) = self.take(nth) {
                    let pool = self.pools.iter().find(|pool| std::ptr::eq(&***pool, Lease::pool(&lease)));
                    let pool = pool.cloned();
                    let id = lease.into_id();
                    assert_eq!(pool.map(|pool| pool.release(id)), Some(Ok(())));
                }
            }
            Deed::Discard { nth } => _ = self.take(nth).map(Lease::discard),
            Deed::Detach { nth } => drop(self.take(nth).map(Lease::detach)),
            Deed::Resize { nth, bytes } => {
                if let Some(mut lease) = self.take(nth) {
                    lease.bytes = usize::from(bytes);
                    self.leases.borrow_mut().push(lease);
                }
            }
            Deed::Prewarm { pool, key, count } => {
                _ = self.pool(pool).prewarm(&(key % KEYS), usize::from(count % 5));
            }
            Deed::Trim { pool, target } => _ = self.pool(pool).trim(usize::from(target % 8)),
            Deed::Retain { pool, keys } => {
                self.pool(pool).retain(|&key, item| {
                    assert_eq!(item.key, key, "shown under a wrong key");
                    self.called();
                    keys >> key & 1 == 1
                });
            }
            Deed::EvictTo { pool, bytes } => _ = self.pool(pool).evict_to(usize::from(bytes % 512)),
            Deed::Maintain { pool, limit: 255 } => _ = self.pool(pool).maintain(usize::MAX),
            Deed::Maintain { pool, limit } => _ = self.pool(pool).maintain(usize::from(limit % 8)),
            Deed::SetHardLimit { level, bytes } => {
                self.limited.set(true);
                self.accounts[usize::from(level % 2)].set_hard_limit(limit_of(bytes));
            }
            Deed::SetPoolLimit { pool, bytes } => {
                self.limited.set(true);
                self.pool(pool).set_hard_limit(limit_of(bytes));
            }
            Deed::SetSoftLimit { level, bytes } => {
                self.accounts[usize::from(level % 2)].set_soft_limit(limit_of(bytes));
            }
            Deed::SetLowWatermark { level, bytes } => {
                self.accounts[usize::from(level % 2)].set_low_watermark(limit_of(bytes));
            }
            Deed::Misjudge { by } => self.world.misjudge_next.set(by),
            Deed::Advance { ticks } => self.clock.advance(u64::from(ticks % 16)),
            Deed::Fail => self.world.fail_next.set(true),
            Deed::Spend => self.world.discard_next.set(true),
            Deed::Close { pool } if self.closes => self.pool(pool).close(),
            Deed::PanicWith { nth } => {
                // Released as the panic unwinds.
                let _lease = self.take(nth);
                resume_unwind(Box::new(Planned));
            }
            Deed::Close { .. } | Deed::Panic => {}
        }
    }

    /// `used` is what the accounts had in use before the step.
    fn invariants(&self, at: &str, used: &[usize]) {
        let dropped = self.world.dropped.borrow();
        let mut present: Vec<u64> = dropped.clone();
        let mut mine = vec![0; self.pools.len()];
        for lease in &*self.leases.borrow() {
            present.push(lease.serial);
            let of = self.pools.iter().position(|pool| std::ptr::eq(&**pool, Lease::pool(lease)));
            mine[of.unwrap_or_else(|| panic!("{at}: a lease of no pool"))] += 1;
        }
        for (number, pool) in self.pools.iter().enumerate() {
            let stats = pool.stats();
            let sum = stats.leased as u64 + stats.idle as u64 + stats.destroyed + stats.detached;
            assert_eq!(stats.created, sum, "{at}: pool {number}: {stats:?}");
            assert_eq!(stats.leased, mine[number] + stats.quarantined, "{at}: pool {number}: {stats:?}");
            let mut idle = Vec::new();
            pool.retain(|_, item| {
                idle.push(item.serial);
                true
            });
            assert_eq!(idle.len(), stats.idle, "{at}: pool {number}");
            present.extend(idle);
            let keys = pool.keys();
            let of_keys = keys.iter().fold((0, 0, 0), |(leased, idle, bytes), (_, key)| {
                (leased + key.leased, idle + key.idle, bytes + key.leased_bytes + key.idle_bytes)
            });
            assert_eq!(of_keys, (stats.leased, stats.idle, stats.bytes()), "{at}: pool {number}");
        }
        let distinct: HashSet<u64> = present.iter().copied().collect();
        assert_eq!(present.len(), distinct.len(), "{at}: an object is in two places: {present:?}");
        let bytes = [0, 1, 2].map(|pool: usize| self.pools[pool].stats().bytes());
        let expected = [bytes[0] + bytes[1], bytes[0] + bytes[1] + bytes[2]];
        for (nth, account) in self.accounts.iter().enumerate() {
            assert_eq!(account.used(), expected[nth], "{at}: {account:?}");
            assert!(account.peak() >= account.used(), "{at}: {account:?}");
            let most = account.hard_limit().max(used[nth]);
            assert!(
                self.limited.get() || account.used() <= most,
                "{at}: charged above the limit: {account:?}"
            );
        }
    }

    fn used(&self) -> Vec<usize> {
        self.accounts.iter().map(Account::used).collect()
    }
}

/// Does `deeds` to three pools under one tree of accounts, whose callbacks do what is `planted`: once to pools of one thread, and
/// once to those for threads, of which one uses them. A pool that called user code with its mutex locked would stand still.
///
/// # Panics
///
/// If something does not hold that must.
pub fn run_callbacks(deeds: &[Deed], planted: &[Planted], configs: &[Config; 3]) {
    perform(deeds, planted, configs, OF_ONE_THREAD);
    perform(deeds, planted, configs, FOR_THREADS);
}

fn perform<S: Storage, M: Mode, P: Deref<Target = Subject<S, M>> + Clone>(
    deeds: &[Deed],
    planted: &[Planted],
    configs: &[Config; 3],
    kind: Kind<M, P>,
) where
    Player<S, M, P>: 'static,
{
    let setup = several(configs);
    let (world, clock) = (World::new(), Arc::new(ManualClock::default()));
    let [(hard, soft, _), (top_hard, top_soft, _)] = setup.limits[..] else { unreachable!("two accounts") };
    let open =
        |name, limits, parent: Option<&Account<M>>| (kind.account)(name, limits, parent, Arc::clone(&world));
    let top = open("top", (top_hard, top_soft), None);
    let below = open("below", (hard, soft), Some(&top));
    let accounts = vec![below, top];
    let pools = setup.pools.iter().enumerate().map(|(number, (bounds, home))| {
        (kind.build)(builder(&world, &clock, number, bounds), home.map(|home| &accounts[home]))
    });
    let player = Rc::new(Player {
        pools: pools.collect(),
        kind,
        accounts: accounts.clone(),
        world: Arc::clone(&world),
        clock,
        leases: RefCell::default(),
        planted: RefCell::new(planted.iter().copied().collect()),
        limited: Cell::new(false),
        closes: setup.closes,
    });
    for (at, &deed) in deeds.iter().enumerate() {
        let caller = Rc::clone(&player);
        *world.hook.borrow_mut() = Some(Rc::new(move |_| caller.called()));
        let used = player.used();
        player.limited.set(false);
        _ = planned(|| player.play(deed));
        world.hook.borrow_mut().take();
        player.invariants(&format!("after {at}, {deed:?}"), &used);
    }
    player.leases.take();
    drop(player);
    for account in &accounts {
        assert_eq!(account.used(), 0, "{account:?}: bytes are left in the account");
    }
    let mut dropped = world.dropped.borrow().clone();
    dropped.sort_unstable();
    assert_eq!(dropped, (0..world.made.get()).collect::<Vec<_>>(), "each object is destroyed exactly once");
}
