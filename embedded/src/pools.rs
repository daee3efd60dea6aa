//! What a pool without an allocator promises, whichever kind it is.

use core::sync::atomic::Ordering::Relaxed;

use pool_core::{
    Account, AcquireError, FixedLocalPool, Lease, LeaseId, LocalPoolBuilder, Pool, PoolStats, ReleaseError,
    StaticPool,
};

use crate::probe::{Item, Maker, POOLS, PROBE, RAM, Refused, SIZE, Washer};
use crate::{Check, ROOM};

type Taken<'p, P> = Result<Lease<&'p P>, AcquireError<Refused>>;

/// A kind of pool, as the checks use it.
pub(crate) trait Subject: Pool<Object = Item> + Sized {
    const KIND: &'static str;
    fn build(account: Account) -> Self;
    fn acquire(&self) -> Taken<'_, Self>;
    fn try_acquire(&self) -> Option<Lease<&Self>>;
    fn redeem(&self, id: LeaseId) -> Result<Lease<&Self>, ReleaseError>;
    fn release(&self, id: LeaseId) -> Result<(), ReleaseError>;
    fn prewarm(&self, count: usize) -> Result<usize, AcquireError<Refused>>;
    fn retain(&self, keep: impl FnMut(&Item) -> bool) -> usize;
    /// Destroys what a release left to be destroyed later; such objects count as idle until then.
    fn settle(&self);
}

macro_rules! subject {
    ($kind:literal, $pool:ty, $build:expr, $settle:expr) => {
        impl Subject for $pool {
            const KIND: &'static str = $kind;

            fn build(account: Account) -> Self {
                $build(account)
            }
            fn acquire(&self) -> Taken<'_, Self> {
                self.acquire()
            }
            fn try_acquire(&self) -> Option<Lease<&Self>> {
                self.try_acquire()
            }
            fn redeem(&self, id: LeaseId) -> Result<Lease<&Self>, ReleaseError> {
                self.redeem(id)
            }
            fn release(&self, id: LeaseId) -> Result<(), ReleaseError> {
                self.release(id)
            }
            fn prewarm(&self, count: usize) -> Result<usize, AcquireError<Refused>> {
                self.prewarm(count)
            }
            fn retain(&self, keep: impl FnMut(&Item) -> bool) -> usize {
                self.retain(keep)
            }
            fn settle(&self) {
                $settle(self);
            }
        }
    };
}

subject!(
    "FixedLocalPool",
    FixedLocalPool<Maker, ROOM, Washer>,
    |account| LocalPoolBuilder::new(Maker).resetter(Washer).account(account).build_fixed(),
    |_| {}
);
subject!(
    "StaticPool",
    StaticPool<Maker, ROOM, Washer>,
    |account| StaticPool::const_with_account(Maker, Washer, account),
    |pool: &Self| pool.maintain(usize::MAX)
);

/// Every check, for one kind of pool.
pub(crate) fn checks<P: Subject>() -> impl Iterator<Item = Check> {
    let named: [(&'static str, fn()); 12] = [
        ("counts are exact on every way", counts::<P>),
        ("the limit on objects is exact", limit::<P>),
        ("only leased objects are reset, at release", resets::<P>),
        ("a verdict of discard destroys", discards::<P>),
        ("try_acquire never creates", never_creates::<P>),
        ("a failed create gives back slot and bytes", failed_create::<P>),
        ("a refused charge leaves no trace", over_budget::<P>),
        ("a wrong estimate is put right", estimates::<P>),
        ("a token is good once, and in its pool", tokens::<P>),
        ("prewarm and trim go to their targets", prewarm_and_trim::<P>),
        ("close is final", close::<P>),
        ("leaked leases end with the pool", leaked::<P>),
    ];
    named.into_iter().map(|(name, run)| Check { kind: P::KIND, name, run })
}

fn begin<P: Subject>() -> P {
    PROBE.reset();
    P::build(POOLS.account())
}

/// Checks what always holds; `leased` and `idle` are what the caller knows.
#[track_caller]
fn expect<P: Subject>(pool: &P, leased: usize, idle: usize) -> PoolStats {
    let stats = pool.stats();
    assert_eq!((stats.leased, stats.idle), (leased, idle), "leased, idle");
    assert_eq!(stats.created, (leased + idle) as u64 + stats.destroyed + stats.detached);
    // Objects that were too large are made and destroyed without being the pool's; what is detached, checks drop.
    assert_eq!(leased + idle, PROBE.made() - PROBE.destroyed(), "objects that exist");
    assert_eq!(POOLS.account().used(), stats.bytes(), "bytes in the account are those of the objects");
    assert_eq!(RAM.account().used(), stats.bytes());
    stats
}

/// Ends the pool, and checks that it left nothing.
#[track_caller]
fn finish<P: Subject>(pool: P) {
    drop(pool);
    assert_eq!(PROBE.destroyed(), PROBE.made(), "every object was destroyed");
    assert_eq!((POOLS.account().used(), RAM.account().used()), (0, 0), "bytes left in the account");
}

#[track_caller]
fn take<P: Subject>(pool: &P) -> Lease<&P> {
    match pool.acquire() {
        Ok(lease) => lease,
        Err(error) => panic!("refused: {error:?}"),
    }
}

// A count that is not kept on one of the ways an object can go.
fn counts<P: Subject>() {
    let pool = begin::<P>();
    expect(&pool, 0, 0);
    let (first, second, third) = (take(&pool), take(&pool), take(&pool));
    expect(&pool, 3, 0);
    drop(second);
    expect(&pool, 2, 1);
    first.discard();
    pool.settle();
    expect(&pool, 1, 1);
    drop(third.detach());
    expect(&pool, 0, 1);
    assert_eq!(pool.prewarm(4), Ok(3));
    expect(&pool, 0, 4);
    assert_eq!(pool.retain(|item| item.serial > 3), 2);
    let stats = expect(&pool, 0, 2);
    assert_eq!((stats.created, stats.discarded, stats.detached, stats.evicted), (6, 1, 1, 2));
    finish(pool);
}

// A limit that is off by one, or that leases beyond it get past.
fn limit<P: Subject>() {
    let pool = begin::<P>();
    let mut leases: [Option<Lease<&P>>; ROOM] = core::array::from_fn(|_| Some(take(&pool)));
    match pool.acquire() {
        Err(AcquireError::Exhausted { leased: ROOM, max_objects: ROOM }) => {}
        other => panic!("{other:?}"),
    }
    expect(&pool, ROOM, 0);
    // No object is out twice.
    for (index, lease) in leases.iter_mut().flatten().enumerate() {
        lease.value = index as u32 + 1;
    }
    for (index, lease) in leases.iter().flatten().enumerate() {
        assert_eq!(lease.value, index as u32 + 1);
    }
    leases[3] = None;
    leases[3] = Some(take(&pool));
    assert!(pool.try_acquire().is_none());
    drop(leases);
    assert_eq!(expect(&pool, 0, ROOM).created, ROOM as u64);
    finish(pool);
}

// A reset at acquire, of what was never used, or of what is about to be destroyed; or none at all.
fn resets<P: Subject>() {
    let pool = begin::<P>();
    assert_eq!(pool.prewarm(3), Ok(3));
    pool.trim(2);
    let mut lease = take(&pool);
    lease.value = 7;
    assert_eq!(PROBE.resets(), 0);
    drop(lease);
    assert_eq!(PROBE.resets(), 1);
    assert_eq!(pool.retain(|item| item.value == 0), 0);
    take(&pool).discard();
    drop(take(&pool).detach());
    assert_eq!(PROBE.resets(), 1);
    pool.close();
    assert_eq!(PROBE.resets(), 1);
    finish(pool);
}

// A spent object that goes back to the idle set, or that keeps its charge.
fn discards<P: Subject>() {
    let pool = begin::<P>();
    assert_eq!(pool.prewarm(2), Ok(2));
    PROBE.discard.store(true, Relaxed);
    drop(take(&pool));
    PROBE.discard.store(false, Relaxed);
    // Whether or not it is destroyed by now, it does not come back.
    let lease = take(&pool);
    assert!(pool.try_acquire().is_none());
    pool.settle();
    assert_eq!(expect(&pool, 1, 0).discarded, 1);
    drop(lease);
    finish(pool);
}

// A factory call where there must be none.
fn never_creates<P: Subject>() {
    let pool = begin::<P>();
    assert!(pool.try_acquire().is_none());
    assert_eq!(expect(&pool, 0, 0).created, 0);
    drop(take(&pool));
    let lease = pool.try_acquire();
    assert!(lease.is_some() && pool.try_acquire().is_none());
    drop(lease);
    finish(pool);
}

// A slot or bytes that a failed create keeps.
fn failed_create<P: Subject>() {
    let pool = begin::<P>();
    PROBE.fail.store(true, Relaxed);
    for _ in 0..2 * ROOM {
        assert!(matches!(pool.acquire(), Err(AcquireError::Create(Refused))));
    }
    assert_eq!(pool.prewarm(1), Err(AcquireError::Create(Refused)));
    expect(&pool, 0, 0);
    PROBE.fail.store(false, Relaxed);
    assert_eq!(pool.prewarm(ROOM), Ok(ROOM));
    expect(&pool, 0, ROOM);
    finish(pool);
}

// An object that is made although its bytes do not fit, or a refusal that changes something.
fn over_budget<P: Subject>() {
    let pool = begin::<P>();
    RAM.account().set_hard_limit(3 * SIZE - 1);
    let (first, second) = (take(&pool), take(&pool));
    match pool.acquire() {
        Err(AcquireError::OverBudget(refusal)) => {
            assert_eq!((refusal.account.name(), refusal.requested, refusal.free), ("ram", SIZE, SIZE - 1));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(expect(&pool, 2, 0).created, 2);
    first.discard();
    pool.settle();
    drop(take(&pool));
    drop(second);
    expect(&pool, 0, 2);
    assert_eq!(RAM.account().peak(), 2 * SIZE);
    finish(pool);
}

// A charge that stays at the estimate, or an object that was too large and is kept.
fn estimates<P: Subject>() {
    let pool = begin::<P>();
    RAM.account().set_hard_limit(3 * SIZE);
    PROBE.estimate.store(2 * SIZE, Relaxed);
    let small = take(&pool);
    assert_eq!(expect(&pool, 1, 0).leased_bytes, SIZE);
    drop(small);
    pool.trim(0);
    PROBE.estimate.store(1, Relaxed);
    PROBE.size.store(3 * SIZE + 1, Relaxed);
    assert!(matches!(pool.acquire(), Err(AcquireError::OverBudget(_))));
    expect(&pool, 0, 0);
    PROBE.size.store(3 * SIZE, Relaxed);
    drop(take(&pool));
    assert_eq!(expect(&pool, 0, 1).idle_bytes, 3 * SIZE);
    finish(pool);
}

// A token that releases what somebody else has by now.
fn tokens<P: Subject>() {
    let pool = begin::<P>();
    let other = P::build(POOLS.account());
    let token = take(&pool).into_id();
    expect(&pool, 1, 0);
    assert!(matches!(other.release(token), Err(ReleaseError::Foreign { .. })));
    let Ok(lease) = pool.redeem(token) else { panic!("a good token is refused") };
    assert!(matches!(pool.release(token), Err(ReleaseError::Stale { .. })));
    let again = lease.into_id();
    assert!(matches!(pool.redeem(token), Err(ReleaseError::Stale { .. })));
    assert_eq!(pool.release(again), Ok(()));
    assert!(matches!(pool.release(again), Err(ReleaseError::Stale { .. })));
    for bit in 0..128 {
        assert!(pool.release(LeaseId::from_bits(again.to_bits() ^ 1 << bit)).is_err(), "bit {bit}");
    }
    expect(&pool, 0, 1);
    drop(other);
    finish(pool);
}

// One object too many or too few.
fn prewarm_and_trim<P: Subject>() {
    let pool = begin::<P>();
    assert_eq!(pool.prewarm(5), Ok(5));
    assert_eq!(pool.prewarm(3), Ok(0));
    let lease = take(&pool);
    expect(&pool, 1, 4);
    assert_eq!((pool.trim(1), pool.trim(1)), (3, 0));
    expect(&pool, 1, 1);
    match pool.prewarm(ROOM) {
        Err(AcquireError::Exhausted { .. }) => {}
        other => panic!("{other:?}"),
    }
    expect(&pool, 1, ROOM - 1);
    drop(lease);
    assert_eq!(pool.trim(0), ROOM);
    assert_eq!(expect(&pool, 0, 0).evicted, 3 + ROOM as u64);
    finish(pool);
}

// A closed pool that hands out or keeps objects.
fn close<P: Subject>() {
    let pool = begin::<P>();
    let lease = take(&pool);
    let token = take(&pool).into_id();
    assert_eq!(pool.prewarm(2), Ok(2));
    pool.close();
    pool.close();
    assert!(pool.is_closed());
    expect(&pool, 2, 0);
    assert!(matches!(pool.acquire(), Err(AcquireError::Closed)) && pool.try_acquire().is_none());
    assert_eq!(pool.prewarm(1), Err(AcquireError::Closed));
    assert_eq!(pool.release(token), Ok(()));
    drop(lease);
    pool.settle();
    assert_eq!(expect(&pool, 0, 0).destroyed, 4);
    finish(pool);
}

// An object or its bytes that outlive the pool because a lease was forgotten.
fn leaked<P: Subject>() {
    let pool = begin::<P>();
    core::mem::forget(take(&pool));
    let _token = take(&pool).into_id();
    drop(take(&pool));
    expect(&pool, 2, 1);
    finish(pool);
}
