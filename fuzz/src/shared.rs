//! Pools for threads under one tree of accounts: two keyed ones, a class of the second, and a pool without keys.
//!
//! What one thread does is checked after each operation; what several do at once, by each for what it holds, and by all
//! when they are done. There is no model of the whole: which of two threads is first nobody can say. What must hold
//! whoever is first:
//!
//! - an object has one user, who finds it as it was left, and ends exactly once;
//! - `created = leased + idle + destroyed + detached`, of each pool;
//! - no charge passes a limit: use is above it only since it was lowered, and then does not rise;
//! - once nothing is under way, an account's use is the sum of its objects' bytes; when all is over, zero.

use crate::ops::{KEYS, cost_of, estimate_of};
use crate::world::{Planned, Refused, planned};
use arbitrary::Arbitrary;
use parking_lot::{RawMutex, RwLock};
use pool_core::{
    Account, AcquireError, Factory, KeyClass, KeyedPoolBuilder, Lease, ManualClock, PoolStats, Resetter,
    SharedKeyedPool, SharedPool, SharedPoolBuilder, Silent, Tick, Verdict,
};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// One operation of one thread. `pool` counts modulo the keyed pools, of which there are two; `nth` the leases of the
/// thread, modulo how many there are.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
pub enum SharedOp {
    /// Take an object of a keyed pool, made if need be.
    Acquire {
        /// Which pool.
        pool: u8,
        /// Its key.
        key: u8,
    },
    /// Take an idle object of a keyed pool.
    TryAcquire {
        /// Which pool.
        pool: u8,
        /// Its key.
        key: u8,
    },
    /// Take an object of the class.
    AcquireClass {
        /// Only an idle one.
        idle: bool,
    },
    /// Take an object of the pool without keys.
    AcquirePlain {
        /// Only an idle one.
        idle: bool,
    },
    /// Give a lease back.
    Release {
        /// Which.
        nth: u8,
        /// By way of a token.
        token: bool,
    },
    /// Give a lease back, to be used again later, if it is of a keyed pool.
    ReleaseAt {
        /// Which.
        nth: u8,
        /// In how many ticks, modulo 32.
        after: u8,
    },
    /// Keep an object for good, or destroy it.
    Take {
        /// Which.
        nth: u8,
        /// Destroy it.
        discard: bool,
    },
    /// Let a leased object grow or shrink.
    Resize {
        /// Which.
        nth: u8,
        /// Its new size.
        bytes: u8,
    },
    /// Make idle objects.
    Prewarm {
        /// Of the keyed pools, then of the class and the pool without keys, modulo four.
        pool: u8,
        /// Of which key, where there are any.
        key: u8,
        /// How many, modulo 4.
        count: u8,
    },
    /// Trim, keep every other, evict to so many bytes, or a slice of housekeeping.
    Shed {
        /// As of `Prewarm`.
        pool: u8,
        /// Which of these, modulo 4.
        how: u8,
        /// Down to so many, modulo 8, or so many times 32 bytes.
        target: u8,
    },
    /// Change a hard limit, which evicts what it must.
    SetHardLimit {
        /// Of the account above (odd) or of the second keyed pool (even).
        top: bool,
        /// To so many times 8 bytes.
        bytes: u8,
    },
    /// Claim bytes that no object has, and give them back at once.
    Pass {
        /// How many times 4.
        bytes: u8,
    },
    /// Drop the handle to the class, which may end it, and resolve it anew.
    Resolve,
    /// Let time pass.
    Advance {
        /// Ticks, modulo 16.
        ticks: u8,
    },
    /// Let user code fail, discard or panic at its next call, whoever calls it.
    Spoil {
        /// Factory fails, resetter discards, factory panics, resetter panics, modulo four.
        what: u8,
    },
}

/// What is to go wrong next, and what became of all objects.
#[derive(Default)]
struct Yard {
    made: AtomicU64,
    destroyed: AtomicU64,
    spoiled: [AtomicBool; 4],
}

impl Yard {
    fn spoiled(&self, what: usize) -> bool {
        self.spoiled[what].load(Relaxed) && self.spoiled[what].swap(false, Relaxed)
    }
}

const ALIVE: u64 = 0x0A11_7E00;

/// An object that knows its user by a plain field, so that a second one is seen, by ThreadSanitizer too.
struct Block {
    key: u8,
    bytes: usize,
    user: u64,
    /// On the heap, so that a second end is seen there as well.
    mark: Box<u64>,
    yard: Arc<Yard>,
}

impl Drop for Block {
    fn drop(&mut self) {
        assert_eq!(*self.mark, ALIVE, "destroyed twice");
        *self.mark = 0;
        self.yard.destroyed.fetch_add(1, Relaxed);
    }
}

struct Maker(Arc<Yard>);

impl Factory<u8> for Maker {
    type Object = Block;
    type Error = Refused;

    fn create(&self, &key: &u8) -> Result<Block, Refused> {
        if self.0.spoiled(0) {
            return Err(Refused);
        }
        if self.0.spoiled(2) {
            resume_unwind(Box::new(Planned));
        }
        self.0.made.fetch_add(1, Relaxed);
        let yard = Arc::clone(&self.0);
        Ok(Block { key, bytes: estimate_of(key), user: 0, mark: Box::new(ALIVE), yard })
    }
    fn estimate(&self, &key: &u8) -> usize {
        estimate_of(key)
    }
    fn measure(&self, block: &Block) -> usize {
        block.bytes
    }
    fn cost(&self, &key: &u8, _: &Block) -> u32 {
        cost_of(key)
    }
}

/// The same without keys.
impl Factory for Maker {
    type Object = Block;
    type Error = Refused;

    fn create(&self, (): &()) -> Result<Block, Refused> {
        self.create(&1u8)
    }
    fn estimate(&self, (): &()) -> usize {
        estimate_of(1)
    }
    fn measure(&self, block: &Block) -> usize {
        block.bytes
    }
}

struct Washer(Arc<Yard>);

impl Resetter<Block> for Washer {
    fn reset(&self, block: &mut Block) -> Verdict {
        assert_eq!(*block.mark, ALIVE, "reset after its end");
        block.user = 0;
        if self.0.spoiled(3) {
            resume_unwind(Box::new(Planned));
        }
        if self.0.spoiled(1) { Verdict::Discard } else { Verdict::Keep }
    }
}

type Keyed = SharedKeyedPool<u8, Maker, RawMutex, Washer, Arc<ManualClock>>;
type Class = KeyClass<u8, Maker, RawMutex, Washer, Arc<ManualClock>, Silent>;
type Plain = SharedPool<Maker, Washer>;

/// The key of the class.
const OF_CLASS: u8 = 0;

/// The bounds of the pools and accounts; all in small units.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
pub struct SharedConfig {
    /// Hard limits of the account above and of the second keyed pool, in 8 bytes.
    pub limits: [u8; 2],
    /// Ticks that an object may wait in the first keyed pool.
    pub idle_ttl: Option<u8>,
    /// Among how many the second evicts, modulo 8.
    pub window: u8,
    /// Most objects of the first, modulo 16, and one more.
    pub max_objects: u8,
}

/// The pools.
pub struct Shared {
    yard: Arc<Yard>,
    clock: Arc<ManualClock>,
    top: Account,
    below: Account,
    keyed: [Arc<Keyed>; 2],
    plain: Arc<Plain>,
    /// A limit was changed, so that a peak may be above it. Held while one is, and while they are compared: a limit that
    /// falls between two looks would seem to have been passed.
    lowered: RwLock<bool>,
}

enum Held<'p> {
    Keyed(&'p Keyed, Lease<&'p Keyed>),
    Class(Lease<Arc<Class>>),
    Plain(Lease<&'p Plain>),
}

/// A thread's leases.
struct Hand<'p> {
    pools: &'p Shared,
    tag: u64,
    class: Arc<Class>,
    held: Vec<Held<'p>>,
    /// Checks what only holds if nobody else is at work.
    alone: bool,
}

impl Shared {
    /// Pools of these bounds.
    #[must_use]
    pub fn new(config: &SharedConfig) -> Self {
        let yard = Arc::new(Yard::default());
        let clock = Arc::new(ManualClock::default());
        let [top, below] = config.limits.map(|limit| usize::from(limit) * 8);
        let top = Account::new("top", top);
        let below = Account::builder("below").parent(&top).hard_limit(below).build();
        let builder = || {
            KeyedPoolBuilder::new(Maker(Arc::clone(&yard)))
                .resetter(Washer(Arc::clone(&yard)))
                .clock(Arc::clone(&clock))
                .max_retained_bytes(200)
        };
        let ttl = config.idle_ttl.map_or(u64::MAX, u64::from);
        let max_objects = usize::from(config.max_objects % 16) + 1;
        let first = builder().idle_ttl(ttl).max_objects(max_objects).account(top.clone());
        let window = usize::from(config.window % 8);
        let second = builder().evict_cheapest_of(window).max_per_key(6).account(below.clone());
        let plain = SharedPoolBuilder::new(Maker(Arc::clone(&yard)))
            .resetter(Washer(Arc::clone(&yard)))
            .max_objects(6)
            .account(top.clone());
        Self {
            keyed: [first.build_shared::<RawMutex>(), second.build_shared::<RawMutex>()],
            plain: plain.build_arc(),
            yard,
            clock,
            top,
            below,
            lowered: RwLock::new(false),
        }
    }

    /// Lets each thread do its operations, all at the same time.
    ///
    /// # Panics
    ///
    /// If something does not hold that must.
    pub fn together<'o>(
        &self,
        threads: impl IntoIterator<Item = Box<dyn Iterator<Item = SharedOp> + Send + 'o>>,
    ) {
        std::thread::scope(|scope| {
            for (thread, ops) in threads.into_iter().enumerate() {
                scope.spawn(move || {
                    let mut hand = Hand::new(self, thread as u64 + 1, false);
                    ops.for_each(|op| hand.act(op));
                    hand.end();
                });
            }
        });
    }

    /// What was done, for who wants to see that it was anything.
    #[must_use]
    pub fn counts(&self) -> String {
        let [first, second] = [0, 1].map(|nth| self.keyed[nth].stats());
        format!("first {first}\nsecond {second}\nplain {}\n{}", self.plain.stats(), self.top.snapshot())
    }

    fn alone(&self, ops: &[SharedOp]) {
        let mut hand = Hand::new(self, 99, true);
        ops.iter().for_each(|&op| hand.act(op));
        hand.end();
    }

    /// Drops the pools.
    ///
    /// # Panics
    ///
    /// If an object or a byte is left over.
    pub fn end(self) {
        let Self { yard, top, below, keyed, plain, .. } = self;
        for pool in &keyed {
            let stats = pool.stats();
            balanced("at the end", &stats);
            assert_eq!(stats.leased, stats.quarantined, "{stats:?}");
        }
        balanced("at the end", &plain.stats());
        drop((keyed, plain));
        assert_eq!((below.used(), top.used()), (0, 0), "{below:?}, {top:?}: bytes are left over");
        assert_eq!(yard.made.load(Relaxed), yard.destroyed.load(Relaxed), "not every object has ended");
    }
}

#[track_caller]
fn balanced(pool: &str, stats: &PoolStats) {
    let sum = stats.leased as u64 + stats.idle as u64 + stats.destroyed + stats.detached;
    assert_eq!(stats.created, sum, "{pool}: {stats:?}");
}

impl<'p> Hand<'p> {
    fn new(pools: &'p Shared, tag: u64, alone: bool) -> Self {
        Self { pools, tag, class: pools.keyed[1].class(&OF_CLASS), held: Vec::new(), alone }
    }

    /// Notes who uses an object that was just taken, which nobody does.
    fn hold(&mut self, held: Option<Held<'p>>) {
        let Some(mut held) = held else { return };
        let block = held.block();
        assert_eq!((block.user, *block.mark), (0, ALIVE), "in use already, or no more");
        block.user = self.tag;
        self.held.push(held);
    }

    fn take(&mut self, nth: u8) -> Option<Held<'p>> {
        if self.held.is_empty() {
            return None;
        }
        let mut held = self.held.swap_remove(usize::from(nth) % self.held.len());
        assert_eq!(held.block().user, self.tag, "somebody else used it");
        Some(held)
    }

    fn got<T>(&self, key: u8, result: Result<T, AcquireError<Refused>>) -> Option<T> {
        match result {
            Ok(lease) => Some(lease),
            Err(AcquireError::OverBudget(refusal)) => {
                assert!(refusal.requested <= estimate_of(key), "{refusal}");
                None
            }
            Err(AcquireError::Closed) => panic!("nobody closed it"),
            Err(_) => None,
        }
    }

    fn act(&mut self, op: SharedOp) {
        let pools = self.pools;
        let before = [pools.top.used(), pools.below.used()];
        match op {
            SharedOp::Acquire { pool, key } => {
                let (pool, key) = (&*pools.keyed[usize::from(pool % 2)], key % KEYS);
                let lease = planned(|| pool.acquire(&key)).and_then(|result| self.got(key, result));
                assert!(lease.as_ref().is_none_or(|lease| lease.key == key), "of another key");
                self.hold(lease.map(|lease| Held::Keyed(pool, lease)));
            }
            SharedOp::TryAcquire { pool, key } => {
                let pool = &*pools.keyed[usize::from(pool % 2)];
                self.hold(pool.try_acquire(&(key % KEYS)).map(|lease| Held::Keyed(pool, lease)));
            }
            SharedOp::AcquireClass { idle: true } => {
                self.hold(self.class.try_acquire_owned().map(Held::Class));
            }
            SharedOp::AcquireClass { idle: false } => {
                let result = planned(|| self.class.acquire_owned());
                self.hold(result.and_then(|result| self.got(OF_CLASS, result)).map(Held::Class));
            }
            SharedOp::AcquirePlain { idle: true } => self.hold(pools.plain.try_acquire().map(Held::Plain)),
            SharedOp::AcquirePlain { idle: false } => {
                let result = planned(|| pools.plain.acquire());
                self.hold(result.and_then(|result| self.got(1, result)).map(Held::Plain));
            }
            SharedOp::Release { nth, token } => {
                let held = self.take(nth);
                planned(|| held.map(|held| if token { held.release_by_token() } else { drop(held) }));
            }
            SharedOp::ReleaseAt { nth, after } => {
                let due = Tick(pool_core::Clock::now(&*pools.clock).0 + u64::from(after % 32));
                match self.take(nth) {
                    Some(Held::Keyed(_, lease)) => _ = planned(|| lease.release_at(due)),
                    other => _ = planned(|| drop(other)),
                }
            }
            SharedOp::Take { nth, discard } => {
                let Some(held) = self.take(nth) else { return };
                match discard {
                    true => held.discard(),
                    false => drop(held.detach()),
                }
            }
            SharedOp::Resize { nth, bytes } => {
                if let Some(mut held) = self.take(nth) {
                    held.block().bytes = usize::from(bytes);
                    self.held.push(held);
                }
            }
            SharedOp::Prewarm { pool, key, count } => {
                let count = usize::from(count % 4);
                _ = planned(|| match pool % 4 {
                    2 => _ = self.class.prewarm(count),
                    3 => _ = pools.plain.prewarm(count),
                    pool => _ = pools.keyed[usize::from(pool)].prewarm(&(key % KEYS), count),
                });
            }
            SharedOp::Shed { pool, how, target } => self.shed(pool % 4, how % 4, usize::from(target)),
            SharedOp::SetHardLimit { top, bytes } => {
                let account = if top { &pools.top } else { &pools.below };
                let mut lowered = pools.lowered.write();
                *lowered = true;
                account.set_hard_limit(usize::from(bytes) * 8);
            }
            SharedOp::Pass { bytes } => drop(pools.below.try_reserve(usize::from(bytes) * 4)),
            SharedOp::Resolve => self.class = pools.keyed[1].class(&OF_CLASS),
            SharedOp::Advance { ticks } => pools.clock.advance(u64::from(ticks % 16)),
            SharedOp::Spoil { what } => pools.yard.spoiled[usize::from(what % 4)].store(true, Relaxed),
        }
        self.check();
        for (account, before) in [&pools.top, &pools.below].into_iter().zip(before) {
            let most = before.max(account.hard_limit());
            assert!(!self.alone || account.used() <= most, "charged above the limit: {account:?}");
        }
    }

    fn shed(&self, pool: u8, how: u8, target: usize) {
        let few = target % 8;
        let keyed = self.pools.keyed.get(usize::from(pool));
        match (keyed, how) {
            (Some(pool), 0) => _ = pool.trim(few),
            (Some(pool), 1) => {
                let mut nth = 0;
                _ = pool.retain(|&key, block| {
                    assert_eq!((block.key, block.user, *block.mark), (key, 0, ALIVE));
                    nth += 1;
                    nth % 2 == 0
                });
            }
            (Some(pool), 2) => _ = pool.evict_to(target * 32),
            (Some(pool), _) => _ = pool.maintain(few),
            (None, _) if pool == 2 => shed_plain(&self.class, how, few),
            (None, _) => shed_plain(&self.pools.plain, how, few),
        }
    }

    fn check(&self) {
        let pools = self.pools;
        let lowered = pools.lowered.read();
        for account in [&pools.top, &pools.below] {
            assert!(*lowered || account.peak() <= account.hard_limit(), "a limit was passed: {account:?}");
        }
        drop(lowered);
        if !self.alone {
            return;
        }
        for (pool, name) in pools.keyed.iter().zip(["first", "second"]) {
            let stats = pool.stats();
            balanced(name, &stats);
            let mine = |held: &&Held<'_>| matches!(held, Held::Keyed(of, _) if std::ptr::eq(*of, &**pool));
            let mine = self.held.iter().filter(mine).count();
            assert_eq!(stats.leased, mine + stats.quarantined, "{name}: {stats:?}");
        }
        balanced("class", &self.class.stats());
        balanced("plain", &pools.plain.stats());
        let [first, second] = [0, 1].map(|nth| pools.keyed[nth].stats().bytes());
        // Classes whose handles were dropped live on by their leases, so the others' bytes are a lower bound.
        let others = self.class.stats().bytes();
        let (top, below) = (pools.top.used(), pools.below.used());
        assert!(below >= second + others, "{below} of {second} and {others}");
        assert_eq!(top, below + first + pools.plain.stats().bytes(), "the account above");
    }

    fn end(mut self) {
        while let Some(held) = self.take(0) {
            _ = planned(|| drop(held));
        }
        self.check();
    }
}

fn shed_plain<F: Factory<Object = Block>, R: Resetter<Block>>(pool: &SharedPool<F, R>, how: u8, few: usize) {
    match how {
        0 => _ = pool.trim(few),
        1 => _ = pool.retain(|block| *block.mark == ALIVE && block.user == 0 && few.is_multiple_of(2)),
        _ => _ = pool.maintain(few),
    }
}

impl Held<'_> {
    fn block(&mut self) -> &mut Block {
        match self {
            Self::Keyed(_, lease) => lease,
            Self::Class(lease) => lease,
            Self::Plain(lease) => lease,
        }
    }

    fn release_by_token(self) {
        match self {
            Self::Keyed(pool, lease) => assert_eq!(pool.release(lease.into_id()), Ok(())),
            Self::Class(lease) => drop(lease),
            Self::Plain(lease) => drop(lease),
        }
    }

    fn discard(self) {
        match self {
            Self::Keyed(_, lease) => lease.discard(),
            Self::Class(lease) => lease.discard(),
            Self::Plain(lease) => lease.discard(),
        }
    }

    fn detach(self) -> Block {
        match self {
            Self::Keyed(_, lease) => lease.detach(),
            Self::Class(lease) => lease.detach(),
            Self::Plain(lease) => lease.detach(),
        }
    }
}

/// Applies `ops` by one thread, which checks everything after each, and then `threads` all at once.
///
/// # Panics
///
/// If something does not hold that must.
pub fn run_shared(config: &SharedConfig, ops: &[SharedOp], threads: &[Vec<SharedOp>]) {
    let pools = Shared::new(config);
    pools.alone(ops);
    pools.together(threads.iter().map(|ops| Box::new(ops.iter().copied()) as Box<_>));
    pools.end();
}
