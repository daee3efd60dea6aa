//! Tokens of leases, presented to every pool: of its own and of others, good, used, and made up.

use arbitrary::Arbitrary;
use pool_core::{KeyedPool, Lease, LeaseId, LocalPool, Pool, ReleaseError, SharedPool};
use std::cell::Cell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One operation. `pool` is one of four, two of them of the same kind; `nth` counts leases, or all tokens ever made.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "they are named after what they do")]
pub enum TokenOp {
    Acquire {
        pool: u8,
    },
    Release {
        nth: u8,
    },
    IntoId {
        nth: u8,
    },
    /// To a pool that may not be its own.
    Present {
        nth: u8,
        pool: u8,
        redeem: bool,
    },
    /// With one bit changed.
    Forged {
        nth: u8,
        pool: u8,
        bit: u8,
        redeem: bool,
    },
    /// Any number.
    Invented {
        bits: u128,
        pool: u8,
        redeem: bool,
    },
    /// Idle objects go, and their slots with them.
    Trim {
        pool: u8,
    },
    /// A leased object goes.
    Discard {
        nth: u8,
    },
}

type Make = fn(&()) -> Result<u64, Infallible>;
type MakeKeyed = fn(&u8) -> Result<u64, Infallible>;

/// Objects are all different.
fn serial() -> Result<u64, Infallible> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Ok(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A pool of any kind.
trait Subject {
    fn acquire(&self) -> Option<Box<dyn Out>>;
    fn redeem(&self, id: LeaseId) -> Result<Box<dyn Out>, ReleaseError>;
    fn release(&self, id: LeaseId) -> Result<(), ReleaseError>;
    fn trim(&self);
    /// Leased, and what all kinds must keep to.
    fn leased(&self) -> usize;
}

trait Out {
    fn serial(&self) -> u64;
    fn into_id(self: Box<Self>) -> LeaseId;
    fn discard(self: Box<Self>);
}

impl<P> Out for Lease<P>
where
    P: std::ops::Deref,
    P::Target: Pool<Object = u64>,
{
    fn serial(&self) -> u64 {
        **self
    }
    fn into_id(self: Box<Self>) -> LeaseId {
        (*self).into_id()
    }
    fn discard(self: Box<Self>) {
        (*self).discard();
    }
}

fn leased(pool: &impl Pool) -> usize {
    let stats = pool.stats();
    let places = (stats.leased + stats.idle) as u64 + stats.destroyed + stats.detached;
    assert_eq!(stats.created, places, "created = leased + idle + destroyed + detached");
    stats.leased
}

macro_rules! subject {
    ($type:ty, $acquire:expr) => {
        impl Subject for $type {
            fn acquire(&self) -> Option<Box<dyn Out>> {
                let acquire: fn(&Self) -> _ = $acquire;
                Some(Box::new(acquire(self).ok()?))
            }
            fn redeem(&self, id: LeaseId) -> Result<Box<dyn Out>, ReleaseError> {
                Ok(Box::new(self.redeem_owned(id)?))
            }
            fn release(&self, id: LeaseId) -> Result<(), ReleaseError> {
                (**self).release(id)
            }
            fn trim(&self) {
                Pool::trim(&**self, 0);
            }
            fn leased(&self) -> usize {
                leased(&**self)
            }
        }
    };
}

subject!(Rc<LocalPool<Make>>, |pool| pool.acquire_owned());
subject!(Rc<KeyedPool<u8, MakeKeyed>>, |pool| pool.acquire_owned(&7));
subject!(std::sync::Arc<SharedPool<Make>>, |pool| pool.acquire_owned());

/// Objects of a pool that may be out.
const OBJECTS: usize = 6;

fn pools() -> Vec<Box<dyn Subject>> {
    let local = || Rc::new(LocalPool::builder((|&()| serial()) as Make).max_objects(OBJECTS).build());
    let keyed = KeyedPool::builder((|_: &u8| serial()) as MakeKeyed).max_objects(OBJECTS).build();
    let shared = SharedPool::builder((|&()| serial()) as Make).max_objects(OBJECTS).build();
    vec![
        Box::new(local()),
        Box::new(local()),
        Box::new(Rc::new(keyed)),
        Box::new(std::sync::Arc::new(shared)),
    ]
}

/// What a token stands for, and whether it still does.
struct Known {
    id: LeaseId,
    pool: usize,
    serial: u64,
    good: Cell<bool>,
}

/// Does the operations, and compares with a list of all tokens ever made. Panics at the first difference.
pub fn run_tokens(ops: &[TokenOp]) {
    let pools = pools();
    let mut ids = HashMap::new();
    let mut out: Vec<(usize, Box<dyn Out>)> = Vec::new();
    let mut tokens: Vec<Known> = Vec::new();
    // The number of each pool, from a token of it.
    for (at, pool) in pools.iter().enumerate() {
        if let Some(lease) = pool.acquire() {
            let serial = lease.serial();
            let id = lease.into_id();
            ids.insert((id.to_bits() >> 96) as u32, at);
            tokens.push(Known { id, pool: at, serial, good: Cell::new(true) });
        }
    }
    assert_eq!(ids.len(), pools.len(), "two pools have the same number");
    let number_of = |at: usize| ids.iter().find(|&(_, &pool)| pool == at).map_or(0, |(&number, _)| number);
    let check = |step: usize, op: TokenOp, out: &[(usize, Box<dyn Out>)], tokens: &[Known]| {
        for (at, pool) in pools.iter().enumerate() {
            let leases = out.iter().filter(|(pool, _)| *pool == at).count();
            let good = tokens.iter().filter(|token| token.pool == at && token.good.get()).count();
            assert_eq!(pool.leased(), leases + good, "leased in pool {at} after operation {step}, {op:?}");
        }
    };
    for (step, op) in ops.iter().copied().enumerate() {
        let at = |pool: u8| usize::from(pool) % pools.len();
        let present = |id: LeaseId, to: usize, redeem: bool, out: &mut Vec<(usize, Box<dyn Out>)>| {
            let known = tokens.iter().find(|token| token.id == id && token.pool == to && token.good.get());
            let (number, slot, generation) =
                ((id.to_bits() >> 96) as u32, (id.to_bits() >> 64) as u32, id.to_bits() as u64);
            let expected = match known {
                Some(token) => Ok(token.serial),
                None if number != number_of(to) => {
                    Err(ReleaseError::Foreign { pool: number, expected: number_of(to) })
                }
                None => Err(ReleaseError::Stale { slot, generation }),
            };
            if redeem {
                let real = pools[to].redeem(id);
                let serial = real.as_ref().map(|lease| lease.serial()).map_err(|error| *error);
                assert_eq!(serial, expected, "redeemed at operation {step}, {op:?}");
                out.extend(real.ok().map(|lease| (to, lease)));
            } else {
                assert_eq!(pools[to].release(id), expected.map(drop), "released at operation {step}, {op:?}");
            }
            if let Some(token) = known {
                token.good.set(false);
            }
        };
        match op {
            TokenOp::Acquire { pool } => {
                let pool = at(pool);
                let lease = pools[pool].acquire();
                let good = tokens.iter().filter(|token| token.pool == pool && token.good.get()).count();
                let before = good + out.iter().filter(|(of, _)| *of == pool).count();
                assert_eq!(lease.is_some(), before < OBJECTS, "acquired at operation {step}, {op:?}");
                if let Some(lease) = lease {
                    let twice = out.iter().any(|(_, other)| other.serial() == lease.serial())
                        || tokens.iter().any(|token| token.good.get() && token.serial == lease.serial());
                    assert!(!twice, "an object is out twice after operation {step}, {op:?}");
                    out.push((pool, lease));
                }
            }
            TokenOp::Release { nth } if !out.is_empty() => {
                drop(out.remove(usize::from(nth) % out.len()));
            }
            TokenOp::Discard { nth } if !out.is_empty() => {
                out.remove(usize::from(nth) % out.len()).1.discard();
            }
            TokenOp::IntoId { nth } if !out.is_empty() => {
                let (pool, lease) = out.remove(usize::from(nth) % out.len());
                let serial = lease.serial();
                let id = lease.into_id();
                let before = tokens.iter().any(|token| token.id == id);
                assert!(!before, "a token is made twice at operation {step}, {op:?}");
                tokens.push(Known { id, pool, serial, good: Cell::new(true) });
            }
            TokenOp::Present { nth, pool, redeem } => {
                let id = tokens[usize::from(nth) % tokens.len()].id;
                present(id, at(pool), redeem, &mut out);
            }
            TokenOp::Forged { nth, pool, bit, redeem } => {
                let id = tokens[usize::from(nth) % tokens.len()].id;
                present(LeaseId::from_bits(id.to_bits() ^ 1 << (bit % 128)), at(pool), redeem, &mut out);
            }
            TokenOp::Invented { bits, pool, redeem } => {
                present(LeaseId::from_bits(bits), at(pool), redeem, &mut out);
            }
            TokenOp::Trim { pool } => pools[at(pool)].trim(),
            TokenOp::Release { .. } | TokenOp::Discard { .. } | TokenOp::IntoId { .. } => {}
        }
        check(step, op, &out, &tokens);
    }
}
