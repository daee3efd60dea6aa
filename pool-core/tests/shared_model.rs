//! The pools for many threads, on one, against what must come out; operations invented and shrunk by proptest.
//!
//! Which idle object an acquire gets is the pool's affair; that it gets one if there is one within its reach, that nothing
//! is out twice, made without need, lost or destroyed twice, and every number, is compared after each operation. What
//! threads do to one another is loom's (`tests/loom.rs`) and the stress test's.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use pool_core::{
    Account, AcquireError, Cache, Factory, Lease, LeaseId, ReleaseError, Resetter, SharedPool,
    SharedPoolBuilder, Storage, Verdict,
};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

const CASES: u32 = if cfg!(miri) { 4 } else { 256 };
const OPS: usize = if cfg!(miri) { 40 } else { 300 };
/// Slots of the fixed pool: more than a group has where words are short, fewer where they are long.
const SLOTS: usize = 40;
const SIZE: usize = 10;

#[derive(Clone, Copy, Debug)]
enum Op {
    Acquire,
    TryAcquire,
    /// Through a cache, bound to it.
    CacheAcquire(usize),
    /// Through a cache, as a lease of the pool.
    CacheAcquireShared(usize),
    Release(usize),
    /// A lease of the pool, through a cache.
    ReleaseThrough(usize, usize),
    IntoId(usize),
    Redeem(usize),
    Stale,
    Detach(usize),
    Discard(usize),
    Resize(usize, usize),
    Fill(usize, usize),
    Flush(usize),
    Prewarm(usize),
    Trim(usize),
    Retain(u64),
    Maintain(usize),
    FailNext,
    DiscardNext,
    SetLimit(usize),
    Close,
}

fn op() -> impl Strategy<Value = Op> {
    let nth = || 0..16_usize;
    let cache = || 0..2_usize;
    prop_oneof![
        12 => Just(Op::Acquire),
        4 => Just(Op::TryAcquire),
        8 => cache().prop_map(Op::CacheAcquire),
        6 => cache().prop_map(Op::CacheAcquireShared),
        20 => nth().prop_map(Op::Release),
        6 => (nth(), cache()).prop_map(|(nth, cache)| Op::ReleaseThrough(nth, cache)),
        3 => nth().prop_map(Op::IntoId),
        3 => nth().prop_map(Op::Redeem),
        1 => Just(Op::Stale),
        2 => nth().prop_map(Op::Detach),
        2 => nth().prop_map(Op::Discard),
        2 => (nth(), 0..40_usize).prop_map(|(nth, bytes)| Op::Resize(nth, bytes)),
        2 => (cache(), 0..70_usize).prop_map(|(cache, count)| Op::Fill(cache, count)),
        2 => cache().prop_map(Op::Flush),
        2 => (0..50_usize).prop_map(Op::Prewarm),
        2 => (0..20_usize).prop_map(Op::Trim),
        1 => any::<u64>().prop_map(Op::Retain),
        2 => (0..4_usize).prop_map(Op::Maintain),
        1 => Just(Op::FailNext),
        3 => Just(Op::DiscardNext),
        1 => (0..600_usize).prop_map(Op::SetLimit),
        1 => Just(Op::Close),
    ]
}

/// Who makes, resets and buries, and keeps book of it.
#[derive(Default)]
struct World {
    made: Cell<u64>,
    dropped: RefCell<Vec<u64>>,
    fail_next: Cell<bool>,
    discard_next: Cell<bool>,
}

struct Item<'w> {
    serial: u64,
    bytes: usize,
    world: &'w World,
}

impl Drop for Item<'_> {
    fn drop(&mut self) {
        self.world.dropped.borrow_mut().push(self.serial);
    }
}

struct Maker<'w>(&'w World);

#[derive(PartialEq, Eq, Debug)]
struct Refused;

impl<'w> Factory for Maker<'w> {
    type Object = Item<'w>;
    type Error = Refused;

    fn create(&self, (): &()) -> Result<Item<'w>, Refused> {
        if self.0.fail_next.take() {
            return Err(Refused);
        }
        let serial = self.0.made.get();
        self.0.made.set(serial + 1);
        Ok(Item { serial, bytes: SIZE, world: self.0 })
    }

    fn estimate(&self, (): &()) -> usize {
        SIZE
    }

    fn measure(&self, item: &Item<'w>) -> usize {
        item.bytes
    }
}

struct Washer<'w>(&'w World);

impl<'w> Resetter<Item<'w>> for Washer<'w> {
    fn reset(&self, _: &mut Item<'w>) -> Verdict {
        if self.0.discard_next.take() { Verdict::Discard } else { Verdict::Keep }
    }
}

type Subject<'w, S> = SharedPool<Maker<'w>, Washer<'w>, S>;

/// What is out.
enum Held<'p, 'w, S: Storage> {
    Lease(Lease<&'p Subject<'w, S>>),
    Cached(Lease<&'p Cache<&'p Subject<'w, S>>>),
    Token(LeaseId, u64),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// With the bytes it holds, and those that are charged.
    Leased {
        bytes: usize,
        charged: usize,
    },
    Idle(usize),
    Doomed(usize),
}

struct Driver<'p, 'w, S: Storage> {
    pool: &'p Subject<'w, S>,
    caches: [&'p Cache<&'p Subject<'w, S>>; 2],
    world: &'w World,
    account: Account,
    max_objects: usize,
    held: Vec<Held<'p, 'w, S>>,
    /// Every object that the pool has.
    objects: BTreeMap<u64, State>,
    stale: Option<LeaseId>,
    detached: u64,
    destroyed: u64,
    closed: bool,
}

impl<'p, 'w, S: Storage> Driver<'p, 'w, S> {
    fn count(&self, is: impl Fn(&State) -> bool) -> usize {
        self.objects.values().filter(|state| is(state)).count()
    }

    /// Idle objects that anybody can take.
    fn free(&self) -> usize {
        let stashed: usize = self.caches.iter().map(|cache| cache.idle()).sum();
        self.count(|state| matches!(state, State::Idle(_))) - stashed
    }

    fn nth(&self, nth: usize) -> Option<usize> {
        (!self.held.is_empty()).then(|| nth % self.held.len())
    }

    fn serial(held: &Held<'p, 'w, S>) -> u64 {
        match held {
            Held::Lease(lease) => lease.serial,
            Held::Cached(lease) => lease.serial,
            Held::Token(_, serial) => *serial,
        }
    }

    /// Something was acquired, or not: `reach` idle objects were to be had.
    fn acquired(
        &mut self,
        reach: usize,
        outcome: Result<Held<'p, 'w, S>, AcquireError<Refused>>,
        made_before: u64,
        failing: bool,
    ) {
        match outcome {
            Ok(held) => {
                let serial = Self::serial(&held);
                assert!(!self.closed);
                if serial < made_before {
                    assert!(matches!(self.objects.get(&serial), Some(State::Idle(_))), "not idle: {serial}");
                    let Some(State::Idle(bytes)) = self.objects.remove(&serial) else { unreachable!() };
                    self.objects.insert(serial, State::Leased { bytes, charged: bytes });
                } else {
                    assert_eq!((reach, serial), (0, made_before), "made without need");
                    self.objects.insert(serial, State::Leased { bytes: SIZE, charged: SIZE });
                }
                self.held.push(held);
            }
            Err(AcquireError::Closed) => assert!(self.closed),
            Err(AcquireError::Exhausted { leased, max_objects }) => {
                assert_eq!((reach, max_objects), (0, self.max_objects));
                assert_eq!(leased, self.count(|state| matches!(state, State::Leased { .. })));
            }
            Err(AcquireError::OverBudget(refusal)) => {
                assert_eq!((reach, refusal.requested), (0, SIZE));
                assert!(self.account.used() + SIZE > self.account.hard_limit());
            }
            Err(AcquireError::Create(Refused)) => assert!(failing && reach == 0),
            Err(other) => panic!("{other:?}"),
        }
    }

    /// A lease was given back.
    fn released(&mut self, serial: u64, discards: bool, before: usize) {
        let Some(State::Leased { bytes, charged }) = self.objects.remove(&serial) else {
            panic!("{serial} was not out")
        };
        let grown = bytes.saturating_sub(charged);
        let fits = grown == 0 || before + grown <= self.account.hard_limit();
        let state = if discards || !fits {
            State::Doomed(charged)
        } else if self.closed {
            State::Doomed(bytes)
        } else {
            State::Idle(bytes)
        };
        self.objects.insert(serial, state);
    }

    fn step(&mut self, op: Op) {
        let pool = self.pool;
        let made = self.world.made.get();
        let failing = self.world.fail_next.get();
        let discards = self.world.discard_next.get();
        let (used, free) = (self.account.used(), self.free());
        // Which objects may have been destroyed by this operation, besides doomed ones.
        let mut may_go: fn(&State) -> bool = |_| false;
        let mut goes = None;
        match op {
            Op::Acquire => self.acquired(free, pool.acquire().map(Held::Lease), made, failing),
            Op::TryAcquire => match pool.try_acquire() {
                Some(lease) => self.acquired(free, Ok(Held::Lease(lease)), made, failing),
                None => assert!(free == 0 || self.closed),
            },
            Op::CacheAcquire(at) => {
                let reach = free + self.caches[at].idle();
                self.acquired(reach, self.caches[at].acquire().map(Held::Cached), made, failing);
            }
            Op::CacheAcquireShared(at) => {
                let reach = free + self.caches[at].idle();
                self.acquired(reach, self.caches[at].acquire_shared().map(Held::Lease), made, failing);
            }
            Op::Release(nth) => {
                let Some(at) = self.nth(nth) else { return };
                let held = self.held.swap_remove(at);
                let serial = Self::serial(&held);
                match held {
                    Held::Lease(lease) => drop(lease),
                    Held::Cached(lease) => drop(lease),
                    Held::Token(id, _) => {
                        pool.release(id).unwrap();
                        self.stale = Some(id);
                    }
                }
                self.released(serial, discards, used);
            }
            Op::ReleaseThrough(nth, cache) => {
                let Some(at) = self.nth(nth) else { return };
                if !matches!(self.held[at], Held::Lease(_)) {
                    return;
                }
                let held = self.held.swap_remove(at);
                let serial = Self::serial(&held);
                if let Held::Lease(lease) = held {
                    self.caches[cache].release(lease);
                }
                self.released(serial, discards, used);
            }
            Op::IntoId(nth) => {
                let Some(at) = self.nth(nth) else { return };
                let held = self.held.swap_remove(at);
                let serial = Self::serial(&held);
                let id = match held {
                    Held::Lease(lease) => lease.into_id(),
                    Held::Cached(lease) => lease.into_id(),
                    Held::Token(id, _) => id,
                };
                self.held.push(Held::Token(id, serial));
            }
            Op::Redeem(nth) => {
                let Some(at) = self.nth(nth) else { return };
                if let Held::Token(id, serial) = self.held[at] {
                    let lease = pool.redeem(id).unwrap();
                    assert_eq!(lease.serial, serial);
                    self.held[at] = Held::Lease(lease);
                    self.stale = Some(id);
                }
            }
            Op::Stale => {
                if let Some(id) = self.stale {
                    assert!(matches!(pool.release(id), Err(ReleaseError::Stale { .. })));
                }
            }
            Op::Detach(nth) => {
                let Some(at) = self.nth(nth) else { return };
                let held = self.held.swap_remove(at);
                let serial = Self::serial(&held);
                let object = match held {
                    Held::Lease(lease) => lease.detach(),
                    Held::Cached(lease) => lease.detach(),
                    Held::Token(id, _) => {
                        self.stale = Some(id);
                        pool.redeem(id).unwrap().detach()
                    }
                };
                assert_eq!(object.serial, serial);
                self.objects.remove(&serial);
                self.detached += 1;
                drop(object);
                assert_eq!(self.world.dropped.borrow_mut().pop(), Some(serial), "it was ours");
            }
            Op::Discard(nth) => {
                let Some(at) = self.nth(nth) else { return };
                let held = self.held.swap_remove(at);
                goes = Some(Self::serial(&held));
                match held {
                    Held::Lease(lease) => lease.discard(),
                    Held::Cached(lease) => lease.discard(),
                    Held::Token(id, _) => {
                        self.stale = Some(id);
                        pool.redeem(id).unwrap().discard();
                    }
                }
            }
            Op::Resize(nth, size) => {
                let Some(at) = self.nth(nth) else { return };
                let serial = Self::serial(&self.held[at]);
                match &mut self.held[at] {
                    Held::Lease(lease) => lease.bytes = size,
                    Held::Cached(lease) => lease.bytes = size,
                    Held::Token(..) => return,
                }
                if let Some(State::Leased { bytes, .. }) = self.objects.get_mut(&serial) {
                    *bytes = size;
                }
            }
            Op::Fill(at, count) => {
                let had = self.caches[at].idle();
                let has = self.caches[at].fill(count);
                assert_eq!(has, self.caches[at].idle());
                assert!(has <= had.max(count) && has <= had + free);
            }
            Op::Flush(at) => {
                self.caches[at].flush();
                assert_eq!(self.caches[at].idle(), 0);
            }
            Op::Prewarm(count) => {
                let idle = self.count(|state| matches!(state, State::Idle(_)));
                let outcome = pool.prewarm(count);
                let fresh = self.world.made.get() - made;
                for serial in made..made + fresh {
                    self.objects.insert(serial, State::Idle(SIZE));
                }
                match outcome {
                    Ok(n) => assert_eq!((n as u64, n), (fresh, count.saturating_sub(idle))),
                    Err(_) => assert!((fresh as usize) < count.saturating_sub(idle)),
                }
            }
            Op::Trim(target) => {
                may_go = |state| matches!(state, State::Idle(_));
                pool.trim(target);
            }
            Op::Retain(mask) => {
                may_go = |state| matches!(state, State::Idle(_));
                let mut seen = Vec::new();
                pool.retain(|item| {
                    seen.push(item.serial);
                    mask >> (item.serial % 64) & 1 == 1
                });
                assert_eq!(seen.len(), free, "each that is within reach, once");
                for serial in seen {
                    assert_eq!(self.world.dropped.borrow().contains(&serial), mask >> (serial % 64) & 1 == 0);
                }
            }
            Op::Maintain(limit) => {
                may_go = |state| matches!(state, State::Idle(_));
                let doomed = self.objects.values().filter_map(|state| match *state {
                    State::Doomed(bytes) => Some(bytes),
                    _ => None,
                });
                let (doomed, doomed_bytes) = (doomed.clone().count(), doomed.sum::<usize>());
                let critical = used - doomed_bytes > self.account.hard_limit();
                let expected = doomed + if critical { free } else { 0 };
                assert_eq!(pool.maintain(limit), expected.min(limit));
            }
            Op::FailNext => self.world.fail_next.set(true),
            Op::DiscardNext => self.world.discard_next.set(true),
            Op::SetLimit(bytes) => _ = self.account.set_hard_limit(bytes),
            Op::Close => {
                may_go = |state| matches!(state, State::Idle(_));
                pool.close();
                self.closed = true;
            }
        }
        for serial in self.world.dropped.take() {
            let state = self.objects.remove(&serial).unwrap_or_else(|| panic!("{serial} went twice"));
            let allowed = matches!(state, State::Doomed(_)) || may_go(&state) || goes == Some(serial);
            assert!(allowed, "{serial} was {state:?}");
            self.destroyed += 1;
        }
        self.compare(op);
    }

    fn compare(&mut self, op: Op) {
        if self.closed {
            // What a cache had kept is doomed when it is used next.
            for cache in self.caches {
                assert!(cache.try_acquire().is_none());
            }
            for state in self.objects.values_mut() {
                if let State::Idle(bytes) = *state {
                    *state = State::Doomed(bytes);
                }
            }
        }
        let stats = self.pool.stats();
        let leased = self.count(|state| matches!(state, State::Leased { .. }));
        assert_eq!((stats.leased, stats.idle), (leased, self.objects.len() - leased), "leased, idle");
        assert_eq!(
            (stats.created, stats.destroyed, stats.detached),
            (self.world.made.get(), self.destroyed, self.detached)
        );
        let (mut leased_bytes, mut idle_bytes) = (0, 0);
        for state in self.objects.values() {
            match *state {
                State::Leased { charged, .. } => leased_bytes += charged,
                State::Idle(bytes) | State::Doomed(bytes) => idle_bytes += bytes,
            }
        }
        assert_eq!((stats.leased_bytes, stats.idle_bytes), (leased_bytes, idle_bytes), "bytes");
        assert_eq!(self.account.used(), leased_bytes + idle_bytes, "charged");
        assert!(self.objects.len() <= self.max_objects);
        if let Op::Trim(target) = op {
            let stashed: usize = self.caches.iter().map(|cache| cache.idle()).sum();
            assert!(stats.idle <= target.max(stashed), "trimmed to {target}");
        }
    }
}

fn drive<'w, S: Storage>(
    world: &'w World,
    ops: &[Op],
    max_objects: usize,
    build: impl FnOnce(SharedPoolBuilder<Maker<'w>, Washer<'w>>) -> Subject<'w, S>,
) {
    let account = Account::new("model", 400);
    let pool = build(
        SharedPoolBuilder::new(Maker(world))
            .resetter(Washer(world))
            .account(account.clone())
            .max_objects(max_objects),
    );
    {
        let caches = [pool.cache(), pool.cache()];
        let mut driver = Driver {
            pool: &pool,
            caches: [&caches[0], &caches[1]],
            world,
            account: account.clone(),
            max_objects: pool.max_objects(),
            held: Vec::new(),
            objects: BTreeMap::new(),
            stale: None,
            detached: 0,
            destroyed: 0,
            closed: false,
        };
        for &op in ops {
            driver.step(op);
        }
    }
    drop(pool);
    assert_eq!(account.used(), 0);
    // Each once: those that were detached or seen to go before have been taken out of the book.
    let mut rest = world.dropped.take();
    let count = rest.len();
    rest.sort_unstable();
    rest.dedup();
    assert_eq!(rest.len(), count, "destroyed twice");
}

// A fill that does not count what waits for its batch: the cache then holds more than it was asked to.
#[test]
fn a_fill_counts_what_waits_for_its_batch() {
    use Op::*;
    let ops = [
        Acquire,
        Release(0),
        Acquire,
        Acquire,
        Acquire,
        Acquire,
        Acquire,
        ReleaseThrough(0, 1),
        CacheAcquireShared(0),
        Acquire,
        Acquire,
        Prewarm(5),
        ReleaseThrough(0, 1),
        Fill(1, 2),
    ];
    let (one, two, three) = (World::default(), World::default(), World::default());
    drive(&one, &ops, 9, |builder| builder.thread_caches(false).build());
    drive(&two, &ops, 9, |builder| builder.build());
    drive(&three, &ops, 9, |builder| builder.build_fixed::<SLOTS>());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        max_shrink_iters: 20_000,
        // Regressions become tests of their own, with a name; a file of seeds says nothing.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    // Objects lost, doubled, made without need or miscounted, on whichever way they take between pool and caches.
    #[test]
    fn a_shared_pool_does_what_it_must(ops in prop::collection::vec(op(), 1..OPS), max in 0..100_usize) {
        let (one, two, three) = (World::default(), World::default(), World::default());
        drive(&one, &ops, max, |builder| builder.thread_caches(false).build());
        drive(&two, &ops, max, |builder| builder.build());
        drive(&three, &ops, max, |builder| builder.build_fixed::<SLOTS>());
    }
}
