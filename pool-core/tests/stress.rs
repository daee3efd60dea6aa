//! Eight threads do to a pool whatever can be done to it, and in the end every count is exact.
//!
//! Each object has a plain field that says who has it. Whoever has it writes itself there and looks again later, so
//! that an object which is out twice shows itself, and to ThreadSanitizer (`cargo xtask tsan`) also one that was handed
//! over without order. `POOL_STRESS=long` makes it long.
#![cfg(not(pool_core_loom))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use pool_core::{
    Account, AcquireError, Cache, Factory, Lease, LeaseId, Pool, PoolStats, ReleaseError, Resetter,
    SharedPool, SharedPoolBuilder, Storage, Verdict,
};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, Sender};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

const THREADS: usize = 8;
/// Threads end and others begin, so that they leave caches behind.
const ROUNDS: usize = if cfg!(miri) { 2 } else { 4 };
/// Bytes of an object.
const SIZE: usize = 100;

fn long() -> bool {
    std::env::var("POOL_STRESS").is_ok_and(|value| value == "long")
}

/// What a thread does in its life.
fn turns() -> usize {
    match (cfg!(miri), long()) {
        (true, _) => 10,
        (false, false) => 4_000,
        (false, true) => 40_000,
    }
}

/// What became of every object.
struct World {
    made: AtomicUsize,
    destroyed: Vec<AtomicU8>,
}

struct Item {
    serial: usize,
    /// The thread that has it, 0 for none. Plain, and that is the point.
    owner: usize,
    world: Arc<World>,
}

impl Drop for Item {
    fn drop(&mut self) {
        assert_eq!(self.world.destroyed[self.serial].fetch_add(1, Relaxed), 0, "destroyed twice");
    }
}

struct Maker(Arc<World>);

impl Factory for Maker {
    type Object = Item;
    type Error = &'static str;

    fn create(&self, _: &()) -> Result<Item, &'static str> {
        let serial = self.0.made.fetch_add(1, Relaxed);
        self.0.destroyed.get(serial).ok_or("far more objects than turns")?;
        Ok(Item { serial, owner: 0, world: Arc::clone(&self.0) })
    }

    fn estimate(&self, _: &()) -> usize {
        SIZE
    }

    fn measure(&self, _: &Item) -> usize {
        SIZE
    }
}

struct Washer;

impl Resetter<Item> for Washer {
    fn reset(&self, item: &mut Item) -> Verdict {
        assert_ne!(item.owner, 0, "reset, but was with nobody");
        item.owner = 0;
        if item.serial % 50 == 7 { Verdict::Discard } else { Verdict::Keep }
    }
}

type Shared<S> = SharedPool<Maker, Washer, S>;

/// What a thread sends to another.
enum Parcel<'p, S: Storage> {
    Borrowed(Lease<&'p Shared<S>>),
    Owned(Lease<Arc<Shared<S>>>),
    Token(LeaseId),
}

/// A lease of any kind.
trait Take {
    fn item(&mut self) -> &mut Item;

    /// Makes the object this thread's, from whoever it must be with now.
    fn take(mut self, from: impl FnOnce(usize) -> bool, me: usize) -> Self
    where
        Self: Sized,
    {
        let item = self.item();
        assert!(from(item.owner), "thread {me} got what is with {}", item.owner);
        item.owner = me;
        self
    }
}

impl<P> Take for Lease<P>
where
    P: std::ops::Deref,
    P::Target: Pool<Object = Item>,
{
    fn item(&mut self) -> &mut Item {
        self
    }
}

/// Xorshift: enough, and the same on every run but for how the threads meet.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What one thread has.
struct Worker<'p, S: Storage> {
    /// 1 and up.
    me: usize,
    pool: &'p Arc<Shared<S>>,
    random: Random,
    others: Vec<Sender<Parcel<'p, S>>>,
    inbox: Receiver<Parcel<'p, S>>,
    kept: Vec<Lease<&'p Shared<S>>>,
}

fn had<L>(outcome: Result<L, AcquireError<&'static str>>) -> Option<L> {
    match outcome {
        Ok(lease) => Some(lease),
        // The budget has room for as many objects as there may be: a refusal by it means that there were more.
        Err(AcquireError::Exhausted { .. } | AcquireError::TimedOut { .. }) => None,
        Err(error) => panic!("{error:?}"),
    }
}

fn nobody(owner: usize) -> bool {
    owner == 0
}

impl<'p, S: Storage> Worker<'p, S> {
    fn run(mut self, turns: usize) -> Option<Lease<Arc<Shared<S>>>> {
        let cache = self.pool.cache();
        for _ in 0..turns {
            self.turn(&cache);
            while let Ok(parcel) = self.inbox.try_recv() {
                self.open(parcel, Some(&cache));
            }
        }
        drop(cache);
        let survivor = had(self.pool.acquire_owned()).map(|lease| lease.take(nobody, self.me));
        self.kept.clear();
        // Whoever still sends does so before it gets here, and all that it sends is received.
        self.others.clear();
        while let Ok(parcel) = self.inbox.recv() {
            self.open(parcel, None);
        }
        survivor
    }

    fn turn(&mut self, cache: &Cache<&'p Shared<S>>) {
        let (me, pool) = (self.me, &**self.pool);
        let to = self.random.below(self.others.len() as u64) as usize;
        match self.random.below(100) {
            0..25 => {
                if let Some(lease) = had(pool.acquire()) {
                    self.hold(lease.take(nobody, me));
                }
            }
            25..40 => {
                if let Some(lease) = pool.try_acquire() {
                    let lease = lease.take(nobody, me);
                    thread::yield_now();
                    assert_eq!(lease.owner, me);
                }
            }
            40..50 => {
                if let Some(lease) = had(cache.acquire()) {
                    let lease = lease.take(nobody, me);
                    let second = cache.try_acquire().map(|lease| lease.take(nobody, me));
                    thread::yield_now();
                    assert_eq!(lease.owner, me);
                    drop(lease);
                    drop(second);
                }
            }
            50..60 => {
                if let Some(lease) = had(cache.acquire_shared()) {
                    self.send(to, Parcel::Borrowed(lease.take(nobody, me)));
                }
            }
            60..68 => {
                if let Some(lease) = had(self.pool.acquire_owned()) {
                    self.send(to, Parcel::Owned(lease.take(nobody, me)));
                }
            }
            68..74 => {
                if let Some(lease) = had(pool.acquire()) {
                    let token = lease.take(nobody, me).into_id();
                    self.send(to, Parcel::Token(token));
                }
            }
            74..77 => {
                if let Some(lease) = had(pool.acquire()) {
                    lease.take(nobody, me).discard();
                }
            }
            77..80 => {
                if let Some(lease) = pool.try_acquire() {
                    let item = lease.take(nobody, me).detach();
                    assert_eq!(item.owner, me);
                }
            }
            80..84 => {
                if let Some(lease) = had(pool.acquire_timeout(Duration::from_micros(50))) {
                    drop(lease.take(nobody, me));
                }
            }
            84..87 => {
                // Begins to wait, perhaps, and thinks better of it.
                let mut waiting = pin!(pool.acquire_async());
                if let Poll::Ready(outcome) = waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    drop(had(outcome).map(|lease| lease.take(nobody, me)));
                }
            }
            87..92 => cache.flush(),
            92..94 => drop(pool.maintain(4)),
            94..95 => drop(pool.trim(pool.max_objects() / 2)),
            95..96 => drop(pool.retain(|item| {
                assert_eq!(item.owner, 0, "idle, and with somebody");
                item.serial % 10 != 3
            })),
            96..97 => drop(had(pool.prewarm(pool.max_objects() / 4))),
            97..98 => drop(pool.stats()),
            _ => self.kept.clear(),
        }
    }

    /// Keeps a lease for a while.
    fn hold(&mut self, lease: Lease<&'p Shared<S>>) {
        self.kept.push(lease);
        if self.kept.len() > 3 {
            let oldest = self.kept.remove(0);
            assert_eq!(oldest.owner, self.me);
        }
    }

    fn send(&self, to: usize, parcel: Parcel<'p, S>) {
        // To one that has ended: the lease comes back in the error, and is released here.
        if let Err(mpsc::SendError(Parcel::Token(token))) = self.others[to].send(parcel) {
            self.pool.release(token).unwrap();
        }
    }

    fn open(&mut self, parcel: Parcel<'p, S>, cache: Option<&Cache<&'p Shared<S>>>) {
        let me = self.me;
        let somebody = |owner| owner != 0;
        match parcel {
            Parcel::Borrowed(lease) => match (lease.take(somebody, me), cache) {
                (lease, Some(cache)) => cache.release(lease),
                (lease, None) => drop(lease),
            },
            Parcel::Owned(lease) => drop(lease.take(somebody, me)),
            Parcel::Token(token) => {
                drop(self.pool.redeem(token).unwrap().take(somebody, me));
                assert!(matches!(self.pool.release(token), Err(ReleaseError::Stale { .. })));
            }
        }
    }
}

/// Ends the program if a test hangs, which would be a lost wake-up or a lock.
fn watch_over<T>(what: &'static str, test: impl FnOnce() -> T) -> T {
    let limit = Duration::from_secs(if long() { 1200 } else { 300 });
    let (done, waits) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        if waits.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("{what} hangs: it did not end within {} s", limit.as_secs());
            std::process::abort();
        }
    });
    let outcome = test();
    drop(done);
    watch.join().unwrap();
    outcome
}

#[track_caller]
fn checked<S: Storage>(pool: &Shared<S>, world: &World, account: &Account) -> PoolStats {
    let stats = pool.stats();
    let gone = stats.destroyed + stats.detached;
    assert_eq!(stats.created, (stats.leased + stats.idle) as u64 + gone, "{stats:?}");
    assert_eq!(stats.created, world.made.load(Relaxed) as u64);
    let destroyed = world.destroyed.iter().filter(|times| times.load(Relaxed) == 1).count();
    assert_eq!(gone, destroyed as u64, "what was detached was dropped: {stats:?}");
    assert_eq!((account.used(), stats.bytes()), (stats.objects() * SIZE, stats.objects() * SIZE));
    stats
}

/// One storm on one kind of pool.
fn storm<S>(
    what: &'static str,
    max_objects: usize,
    build: impl Fn(SharedPoolBuilder<Maker, Washer>) -> Shared<S>,
) where
    S: Storage + 'static,
{
    watch_over(what, || {
        let turns = turns();
        let account = Account::new("storm", max_objects * SIZE);
        let world = Arc::new(World {
            made: AtomicUsize::new(0),
            destroyed: (0..2 * THREADS * ROUNDS * turns + 1000).map(|_| AtomicU8::new(0)).collect(),
        });
        let pool = Arc::new(build(
            SharedPoolBuilder::new(Maker(Arc::clone(&world)))
                .resetter(Washer)
                .account(account.clone())
                .max_objects(max_objects),
        ));
        let mut survivors = Vec::new();
        for round in 0..ROUNDS {
            survivors.clear();
            survivors = round_of_threads(&pool, round, turns);
            let stats = checked(&pool, &world, &account);
            assert_eq!(stats.leased, survivors.len(), "{stats:?}");
            assert!(stats.objects() <= max_objects);
        }
        finish(pool, &world, &account, survivors);
        assert_eq!(account.used(), 0, "bytes left in the account");
        assert!(account.peak() <= account.hard_limit());
        let made = world.made.load(Relaxed);
        for (serial, times) in world.destroyed[..made].iter().enumerate() {
            assert_eq!(times.load(Relaxed), 1, "object {serial} was destroyed so often");
        }
    });
}

/// Eight threads, from their beginning to their end; what they have left.
fn round_of_threads<S>(pool: &Arc<Shared<S>>, round: usize, turns: usize) -> Vec<Lease<Arc<Shared<S>>>>
where
    S: Storage + 'static,
{
    let (senders, inboxes): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| mpsc::channel()).unzip();
    thread::scope(|scope| {
        let workers: Vec<_> = inboxes
            .into_iter()
            .enumerate()
            .map(|(index, inbox)| {
                let worker = Worker {
                    me: 1 + round * THREADS + index,
                    pool,
                    random: Random(0x9e37_79b9_7f4a_7c15 ^ (1 + round * THREADS + index) as u64),
                    others: senders.clone(),
                    inbox,
                    kept: Vec::new(),
                };
                scope.spawn(move || worker.run(turns))
            })
            .collect();
        drop(senders);
        workers.into_iter().filter_map(|worker| worker.join().unwrap()).collect()
    })
}

/// Owned leases outlive the pool, closed or not.
fn finish<S: Storage>(
    pool: Arc<Shared<S>>,
    world: &World,
    account: &Account,
    mut survivors: Vec<Lease<Arc<Shared<S>>>>,
) {
    pool.close();
    assert!(matches!(pool.acquire(), Err(AcquireError::Closed)) && pool.try_acquire().is_none());
    let stats = checked(&pool, world, account);
    assert_eq!((stats.leased, stats.idle), (survivors.len(), 0), "{stats:?}");
    if let Some(first) = survivors.pop() {
        drop(first);
        pool.maintain(usize::MAX);
        let stats = checked(&pool, world, account);
        assert_eq!((stats.leased, stats.idle), (survivors.len(), 0), "{stats:?}");
    }
    drop(pool);
    for lease in survivors {
        assert_ne!(lease.owner, 0);
    }
}

// Fewer objects than threads want: each is handed round, and what threads keep for themselves is taken from them.
#[test]
fn few_objects_with_threads_own_caches() {
    storm("few objects", 12, SharedPoolBuilder::build);
}

// Several groups, so that the search for one is exercised as well.
#[test]
fn many_objects_with_threads_own_caches() {
    storm("many objects", 300, SharedPoolBuilder::build);
}

#[test]
fn few_objects_without_threads_own_caches() {
    storm("no thread caches", 12, |builder| builder.thread_caches(false).build());
}

// Two groups, the second of them not full; and more caches than a pool without an allocator has lanes for.
#[test]
fn objects_inside_the_pool() {
    storm("a fixed pool", 70, SharedPoolBuilder::build_fixed::<70>);
}

#[test]
fn few_objects_inside_the_pool() {
    storm("a small fixed pool", 5, SharedPoolBuilder::build_fixed::<5>);
}
