//! What can be done to a pool, as data that a fuzzer can make out of any bytes.

use arbitrary::Arbitrary;

/// One operation. `nth` counts the leases that are out, modulo how many there are; without any it does nothing.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Take an object, made if need be.
    Acquire {
        /// Its key, modulo [`KEYS`].
        key: u8,
    },
    /// Take an idle object.
    TryAcquire {
        /// Its key.
        key: u8,
    },
    /// Give a lease or token back.
    Release {
        /// Which.
        nth: u8,
    },
    /// Turn a lease into a token.
    IntoId {
        /// Which.
        nth: u8,
    },
    /// Turn a token into a lease.
    Redeem {
        /// Which.
        nth: u8,
    },
    /// Present a token that was used before.
    Stale {
        /// Which of the used ones.
        nth: u8,
        /// To `redeem`, and not to `release`.
        redeem: bool,
    },
    /// Present a token of another pool.
    Foreign {
        /// To `redeem`, and not to `release`.
        redeem: bool,
    },
    /// Present a token, good or used, with one bit changed.
    Forged {
        /// Which.
        nth: u8,
        /// The bit, modulo 128.
        bit: u8,
    },
    /// Keep an object for good.
    Detach {
        /// Which.
        nth: u8,
    },
    /// Destroy a leased object.
    Discard {
        /// Which.
        nth: u8,
    },
    /// Leak a lease: `mem::forget`.
    Forget {
        /// Which.
        nth: u8,
    },
    /// Let a leased object grow or shrink.
    Resize {
        /// Which.
        nth: u8,
        /// Its new size, modulo 256.
        bytes: u8,
    },
    /// Trim to so many idle objects.
    Trim {
        /// How many, modulo 8.
        target: u8,
    },
    /// Keep idle objects by their keys.
    Retain {
        /// Bit `k` keeps the key `k`.
        keys: u8,
    },
    /// Evict to so many bytes.
    EvictTo {
        /// How many, modulo 512.
        bytes: u16,
    },
    /// Make idle objects.
    Prewarm {
        /// Of which key.
        key: u8,
        /// How many, modulo 5.
        count: u8,
    },
    /// A slice of housekeeping.
    Maintain {
        /// Its work limit, modulo 8; 7 stands for no limit.
        limit: u8,
    },
    /// Let time pass.
    Advance {
        /// Ticks.
        ticks: u8,
    },
    /// Change a hard limit.
    SetHardLimit {
        /// Of the pool's account (even) or its parent (odd).
        level: u8,
        /// To how many bytes, modulo 1024; from 1000 on: no limit.
        bytes: u16,
    },
    /// Change the hard limit of the pool's account by way of the pool.
    SetPoolLimit {
        /// To how many bytes, as above.
        bytes: u16,
    },
    /// Change a soft limit.
    SetSoftLimit {
        /// Of the pool's account (even) or its parent (odd).
        level: u8,
        /// To how many bytes, modulo 1024; from 1000 on: no limit.
        bytes: u16,
    },
    /// Set the peak of the accounts to their use.
    ResetPeak,
    /// Claim bytes that no object has.
    Charge {
        /// At the pool's account (even) or its parent (odd).
        level: u8,
        /// How many, modulo 512.
        bytes: u16,
        /// Past the limit if need be.
        external: bool,
    },
    /// Give such bytes back.
    Uncharge {
        /// Which of the claims.
        nth: u8,
    },
    /// Close the pool, if [`Config::closes`] allows.
    Close,
    /// Let the factory fail at its next call.
    FailNext,
    /// Let the resetter discard at its next call.
    DiscardNext,
    /// Let the next object be larger or smaller than its estimate.
    MisjudgeNext {
        /// By so many bytes.
        by: i8,
    },
    /// Give a lease or token back, to be used again later.
    ReleaseAt {
        /// Which.
        nth: u8,
        /// In how many ticks, modulo 32.
        after: u8,
    },
    /// A slice of housekeeping that ends after so many bytes.
    MaintainBytes {
        /// Its limit on objects, as above.
        limit: u8,
        /// Its limit on bytes, modulo 512.
        bytes: u16,
    },
    /// Let user code panic the next time.
    PanicNext {
        /// Where: factory, measure, resetter or cost, modulo 4.
        place: u8,
    },
    /// From now on what names no lease is done to this pool.
    Use {
        /// Which, modulo how many there are.
        pool: u8,
    },
}

/// Keys there are.
pub const KEYS: u8 = 4;

/// Slots of the fixed pool.
pub const FIXED_SLOTS: usize = 5;

/// Bytes the factory expects an object of a key to hold. One key's objects weigh nothing.
#[must_use]
pub fn estimate_of(key: u8) -> usize {
    [32, 64, 0, 100][usize::from(key % KEYS)]
}

/// What it costs to make an object of a key again.
#[must_use]
pub(crate) fn cost_of(key: u8) -> u32 {
    [1, 9, 2, 4][usize::from(key % KEYS)]
}

/// A limit in bytes, from an operation's number.
#[must_use]
pub(crate) fn limit_of(bytes: u16) -> usize {
    match bytes % 1024 {
        1000.. => usize::MAX,
        bytes => usize::from(bytes),
    }
}

/// The bounds of a pool. `None` is no bound.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Config {
    /// Most objects, modulo 16.
    pub max_objects: Option<u8>,
    /// Most objects of a key, modulo 8.
    pub max_per_key: Option<u8>,
    /// Most idle objects of a key, modulo 8.
    pub max_idle_per_key: Option<u8>,
    /// Idle objects of a key that trimming leaves, modulo 4.
    pub min_idle: u8,
    /// Ticks that an object may wait.
    pub idle_ttl: Option<u8>,
    /// Ticks that an object may live.
    pub max_lifetime: Option<u8>,
    /// Bytes that an object may hold after its release.
    pub max_retained_bytes: Option<u8>,
    /// The account, and the parent above it.
    pub accounts: [Option<Limits>; 2],
    /// Whether [`Op::Close`] closes; the rest of a run is short of surprises then.
    pub closes: bool,
    /// Ticks that an object may wait if its key has others.
    pub soft_idle_ttl: Option<u8>,
    /// Among how many eviction chooses, modulo 8.
    pub window: u8,
    /// Which leases are watched: one in so many, modulo 4, for more than so many ticks.
    pub watch: Option<(u8, u8)>,
}

/// The limits of an account.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The hard limit, as in [`Op::SetHardLimit`].
    pub hard: u16,
    /// The soft limit, as in [`Op::SetSoftLimit`].
    pub soft: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self { hard: 1000, soft: 1000 }
    }
}

/// The same with the moduli applied: what both the pool and the model are built from.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Most objects.
    pub max_objects: usize,
    /// Most objects of a key.
    pub max_per_key: usize,
    /// Most idle objects of a key.
    pub max_idle_per_key: usize,
    /// Idle objects of a key that trimming leaves.
    pub min_idle: usize,
    /// Ticks that an object may wait.
    pub idle_ttl: u64,
    /// Ticks that an object may live.
    pub max_lifetime: u64,
    /// Bytes that an object may hold after its release.
    pub max_retained_bytes: usize,
    /// Ticks that an object may wait if its key has others.
    pub soft_idle_ttl: u64,
    /// Among how many eviction chooses.
    pub window: usize,
    /// One in how many leases is watched, and for how many ticks it may be out.
    pub watch: Option<(u32, u64)>,
}

impl Bounds {
    /// The bounds of a pool with `slots` slots.
    #[must_use]
    pub fn new(config: &Config, slots: usize) -> Self {
        let count = |bound: Option<u8>, modulus: u8| bound.map_or(usize::MAX, |n| usize::from(n % modulus));
        let ticks = |bound: Option<u8>| bound.map_or(u64::MAX, u64::from);
        Self {
            max_objects: count(config.max_objects, 16).min(slots),
            max_per_key: count(config.max_per_key, 8),
            max_idle_per_key: count(config.max_idle_per_key, 8),
            min_idle: usize::from(config.min_idle % 4),
            idle_ttl: ticks(config.idle_ttl),
            max_lifetime: ticks(config.max_lifetime),
            max_retained_bytes: config.max_retained_bytes.map_or(usize::MAX, usize::from),
            soft_idle_ttl: ticks(config.soft_idle_ttl),
            window: usize::from(config.window % 8).max(1),
            watch: config.watch.map(|(one_in, after)| (u32::from(one_in % 4).max(1), u64::from(after))),
        }
    }
}

/// Hard and soft limits of the accounts, the pool's own first. Empty: the pool has no account.
#[must_use]
pub fn levels_of(config: &Config) -> Vec<(usize, usize)> {
    let limits = |limits: Limits| (limit_of(limits.hard), limit_of(limits.soft));
    let [own, parent] = config.accounts;
    // A parent without a child would be nobody's.
    own.into_iter().chain(own.and(parent)).map(limits).collect()
}
