//! Objects by key, with one recency order across all keys: [`KeyedPool`].
//!
//! ```text
//! key ── hash ──▶ class: idle objects of the key, newest first     acquire takes the newest of its class
//!                   │
//!                 slot ◀──▶ slot ◀──▶ slot                         (list PEERS)
//!                   ▲         ▲         ▲
//!        newest ────┴── across all keys ┴──── oldest               eviction takes the oldest of all (list RECENT)
//! ```
//!
//! A slot's links in both lists, its class, state and bytes lie beside each other, apart from the objects. Acquire
//! is one look-up of the key and two unlinkings; release needs no look-up, for the slot knows its class. All of it
//! is safe code over numbered slots behind a `RefCell`, which is never borrowed while user code runs: factory,
//! resetter, destructor, predicate and event handler may use the pool again.
//!
//! Who has a slot's object, by state:
//!
//! | state | whose it is | next |
//! |---|---|---|
//! | `Vacant` | nobody's, there is none | `Pending` |
//! | `Pending` | whoever creates it; counted towards the limits | `Leased`, `Vacant` |
//! | `Leased` | the lease | `Idle`, `Token`, `Vacant` |
//! | `Token` | whoever presents the token of its generation | `Leased`, `Vacant` |
//! | `Idle` | the pool, linked in both lists | `Leased`, `Inspected`, `Vacant` |
//! | `Inspected` | `retain`, which shows it to the predicate; linked, but nobody else may take it | `Idle`, `Vacant` |

use crate::account::{Account, Claim, OverBudget, Pressure};
use crate::clock::{Clock, NoClock, Tick};
use crate::create::{Made, create, recharge};
use crate::error::{AcquireError, ReleaseError};
use crate::held::Held;
use crate::lease::{Lease, LeaseId, Pool, next_pool_id, sealed};
use crate::lifecycle::{Factory, KeepAll, Resetter, Verdict};
use crate::lru::{Links, List, NONE, Node};
#[cfg(feature = "alloc")]
use crate::slots::Growing;
use crate::slots::{Cells, Fixed, Index, List as _, Slot, Storage};
use crate::stats::PoolStats;
#[cfg(feature = "alloc")]
use alloc::rc::Rc;
use core::cell::RefCell;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;
use core::mem;
use core::ptr::NonNull;

#[cfg(feature = "alloc")]
type DefaultStorage = Growing;
#[cfg(not(feature = "alloc"))]
type DefaultStorage = Fixed<32>;

/// A [`KeyedPool`] of at most `N` objects, and so of at most `N` keys with objects, that needs no allocator.
///
/// ```
/// use pool_core::{FixedKeyedPool, KeyedPoolBuilder};
/// use std::convert::Infallible;
///
/// # type Frame = [u8; 64];
/// let frames: FixedKeyedPool<u8, _, 4> =
///     KeyedPoolBuilder::new(|_channel: &u8| Ok::<Frame, Infallible>([0; 64])).build_fixed();
/// let mut frame = frames.acquire(&7)?;
/// frame[0] = 1;
/// # Ok::<(), pool_core::AcquireError<Infallible>>(())
/// ```
pub type FixedKeyedPool<K, F, const N: usize, R = KeepAll, C = NoClock> = KeyedPool<K, F, R, C, Fixed<N>>;

/// A pool of objects by key, for one thread: exact LRU across all keys, bounds on objects and bytes.
///
/// Within one key the most recently released object goes out first; across keys the one that was released longest
/// ago is evicted first, exactly. Objects stay where they are; a [`Lease`] is a pointer to one.
///
/// | call | cost | may call |
/// |---|---|---|
/// | [`acquire`](Self::acquire) (hit), [`try_acquire`](Self::try_acquire) | O(1), one hash | clock |
/// | [`acquire`](Self::acquire) (miss) | O(1) per object evicted, plus the factory | factory, destructor, event handler |
/// | dropping a lease | O(1) | resetter, `measure`, clock; destructor if it is discarded |
/// | [`evict_to`](Self::evict_to), [`maintain`](Self::maintain) | O(1) per object | destructor |
/// | [`retain`](Self::retain), [`trim`](Self::trim) | O(idle) | predicate, destructor |
///
/// Memory beside the objects: 64 bytes for a slot, and a key, 40 bytes and a hash entry for each key that has
/// objects; keys without any are forgotten. The pool is `Send` if what it holds is, and not `Sync`.
///
/// Choose it when objects differ (by size, by format) and share a budget. If all are alike,
/// [`LocalPool`](crate::LocalPool) is faster. If nothing is expensive to make, use no pool.
///
/// ```
/// use pool_core::{Account, AcquireError, KeyedPool};
/// use std::convert::Infallible;
///
/// let account = Account::new("buffers", 10_000);
/// let pool = KeyedPool::builder(|&len: &usize| Ok::<_, Infallible>(vec![0u8; len]))
///     .account(account.clone())
///     .build();
///
/// drop(pool.acquire(&4000)?); // made, used, idle
/// let first = pool.acquire(&4000)?; // the same one again
/// let second = pool.acquire(&5000)?;
/// assert!(matches!(pool.acquire(&3000), Err(AcquireError::OverBudget(_))));
/// drop(first); // idle: the next one may evict it
/// let third = pool.acquire(&3000)?;
/// assert_eq!((pool.stats().hits, pool.stats().evicted), (1, 1));
/// assert!(account.peak() <= 10_000);
/// # Ok::<(), AcquireError<Infallible>>(())
/// ```
pub struct KeyedPool<K, F, R = KeepAll, C = NoClock, S = DefaultStorage>
where
    F: Factory<K>,
    S: Storage,
{
    factory: F,
    resetter: R,
    clock: C,
    limits: Limits,
    account: Option<Account>,
    /// Whether released objects are measured: there is an account or a bound on what they retain.
    weighs: bool,
    /// Whether the clock is read: there is a time limit.
    timed: bool,
    hasher: S::Hasher,
    id: u32,
    cells: S::Cells<Slot<F::Object>>,
    state: RefCell<State<K, S>>,
    _key: PhantomData<K>,
}

/// Bounds of a pool; `MAX` where there is none.
#[derive(Clone, Copy, Debug)]
struct Limits {
    max_objects: usize,
    max_per_key: usize,
    max_idle_per_key: usize,
    min_idle: usize,
    idle_ttl: u64,
    max_lifetime: u64,
    max_retained_bytes: usize,
}

impl Limits {
    const NONE: Self = Self {
        max_objects: usize::MAX,
        max_per_key: usize::MAX,
        max_idle_per_key: usize::MAX,
        min_idle: 0,
        idle_ttl: u64::MAX,
        max_lifetime: u64::MAX,
        max_retained_bytes: usize::MAX,
    };

    /// Whether the clock has to be read at all.
    fn have_time(&self) -> bool {
        self.idle_ttl != u64::MAX || self.max_lifetime != u64::MAX
    }

    fn expired(&self, meta: &Meta, now: Tick) -> bool {
        now.since(meta.released) > self.idle_ttl || self.too_old(meta, now)
    }

    fn too_old(&self, meta: &Meta, now: Tick) -> bool {
        now.since(meta.created) > self.max_lifetime
    }
}

/// Idle slots across all keys.
const RECENT: usize = 0;
/// Idle slots of one class.
const PEERS: usize = 1;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SlotState {
    Vacant,
    Pending,
    Leased,
    Token,
    Idle,
    Inspected,
}

/// A slot's state, beside its object. With 64-bit pointers it has 56 bytes; a line of its own makes it one line to
/// load, and its place a shift.
#[cfg_attr(target_pointer_width = "64", repr(align(64)))]
struct Meta {
    recent: Links,
    /// While vacant: the next vacant slot, in `older`.
    peers: Links,
    class: u32,
    state: SlotState,
    bytes: usize,
    /// How many tokens were made of this slot, ever.
    generation: u64,
    created: Tick,
    released: Tick,
}

impl Node<RECENT> for Meta {
    #[inline(always)]
    fn links(&mut self) -> &mut Links {
        &mut self.recent
    }
}

impl Node<PEERS> for Meta {
    #[inline(always)]
    fn links(&mut self) -> &mut Links {
        &mut self.peers
    }
}

/// One key's objects.
struct Class<K> {
    /// `None` while the class is vacant.
    key: Option<K>,
    hash: u64,
    idle_list: List<PEERS>,
    idle: usize,
    /// Leased, idle and pending.
    objects: usize,
    bytes: usize,
    /// The fewest idle since maintenance `epoch`.
    idle_floor: usize,
    epoch: u64,
}

impl<K> Class<K> {
    /// The fewest idle since the maintenance that began this `epoch`.
    fn floor(&self, epoch: u64) -> usize {
        if self.epoch == epoch { self.idle_floor } else { self.idle }
    }

    /// Begins counting the fewest idle anew, in the epoch after a maintenance.
    #[cold]
    fn begin_epoch(&mut self, epoch: u64) {
        self.idle_floor = self.idle;
        self.epoch = epoch;
    }

    #[inline(always)]
    fn idle_added(&mut self, epoch: u64) {
        if self.epoch != epoch {
            self.begin_epoch(epoch);
        }
        self.idle += 1;
    }

    #[inline(always)]
    fn idle_taken(&mut self, epoch: u64) {
        if self.epoch != epoch {
            self.begin_epoch(epoch);
        }
        self.idle -= 1;
        if self.idle < self.idle_floor {
            self.idle_floor = self.idle;
        }
    }

    /// An idle object was destroyed: had it never been there, one fewer would have been idle all along.
    fn idle_lost(&mut self, epoch: u64) {
        let floor = self.floor(epoch);
        self.idle -= 1;
        self.idle_floor = floor.saturating_sub(1);
        self.epoch = epoch;
    }
}

/// In this order in memory (`repr(C)`): were the two counts that a hit and a release change side by side, the compiler
/// would load them as one vector just after storing them apart, and the processor would wait for both stores to
/// reach the cache, 5 ns on each hit.
#[repr(C)]
struct State<K, S: Storage> {
    index: S::Index,
    classes: S::List<Class<K>>,
    vacant_classes: S::List<u32>,
    metas: S::List<Meta>,
    vacant: List<PEERS>,
    recent: List<RECENT>,
    idle: usize,
    pending: usize,
    /// Of the idle: those that `retain` is looking at.
    inspected_bytes: usize,
    idle_bytes: usize,
    /// Idle, leased and tokens.
    occupied: usize,
    bytes: usize,
    peak_leased: usize,
    peak_bytes: usize,
    created: u64,
    detached: u64,
    evicted: u64,
    expired: u64,
    discarded: u64,
    hits: u64,
    misses: u64,
    /// How often `maintain` ended a round, for the working set.
    epoch: u64,
    /// Where `maintain` goes on looking for objects that are too old.
    scan: u32,
    /// The idle slot where `maintain` goes on trimming; moves on if that slot is taken. `NONE` for the oldest.
    trim_at: u32,
    closed: bool,
}

/// Why an object leaves the pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Leave {
    Evicted,
    Expired,
    Discarded,
    Detached,
}

/// A walk over the idle slots, the oldest first.
struct Sweep {
    /// How many it may still look at.
    looks: usize,
    /// Where it goes on, good as long as nobody has unlinked anything since; else at the oldest.
    at: Option<(u32, u64)>,
}

impl Sweep {
    /// Over all of them.
    fn whole() -> Self {
        Self { looks: usize::MAX, at: None }
    }
}

/// What left the state and has to be uncharged and dropped once nothing is borrowed.
struct Left<K> {
    slot: u32,
    bytes: usize,
    key: Option<K>,
}

impl<K: Eq, S: Storage> State<K, S> {
    fn new() -> Self {
        Self {
            index: S::Index::default(),
            classes: S::List::default(),
            vacant_classes: S::List::default(),
            metas: S::List::default(),
            vacant: List::EMPTY,
            recent: List::EMPTY,
            idle: 0,
            idle_bytes: 0,
            inspected_bytes: 0,
            pending: 0,
            occupied: 0,
            bytes: 0,
            peak_leased: 0,
            peak_bytes: 0,
            created: 0,
            detached: 0,
            evicted: 0,
            expired: 0,
            discarded: 0,
            hits: 0,
            misses: 0,
            epoch: 0,
            scan: 0,
            trim_at: NONE,
            closed: false,
        }
    }

    #[inline(always)]
    fn class_of(&self, key: &K, hash: u64) -> Option<u32> {
        let classes = &*self.classes;
        self.index.find(hash, |class| {
            let class = &classes[class as usize];
            class.key.as_ref() == Some(key)
        })
    }

    /// The newest idle slot of a class that nobody is inspecting.
    #[inline(always)]
    fn newest_of(&mut self, class: u32) -> Option<u32> {
        let metas: &mut [Meta] = &mut self.metas;
        let mut at = self.classes[class as usize].idle_list.newest();
        while let Some(slot) = at {
            if metas[slot as usize].state == SlotState::Idle {
                return Some(slot);
            }
            at = List::<PEERS>::older_than(metas, slot);
        }
        None
    }

    /// The oldest idle slot of a class that nobody is inspecting.
    fn oldest_of(&mut self, class: u32) -> Option<u32> {
        let mut at = self.classes[class as usize].idle_list.oldest();
        while let Some(slot) = at {
            if self.metas[slot as usize].state == SlotState::Idle {
                return Some(slot);
            }
            at = List::<PEERS>::newer_than(&mut self.metas, slot);
        }
        None
    }

    /// The oldest idle slot that nobody is inspecting and `may_go` allows, from where the sweep is.
    fn next_to_go(&mut self, sweep: &mut Sweep, may_go: impl Fn(&Class<K>, &Meta) -> bool) -> Option<u32> {
        let mut at = match sweep.at {
            Some((slot, unlinkings)) if unlinkings == self.unlinkings() => Some(slot),
            _ => self.recent.oldest(),
        };
        while let Some(slot) = at {
            sweep.at = Some((slot, self.unlinkings()));
            sweep.looks = sweep.looks.checked_sub(1)?;
            let meta = &self.metas[slot as usize];
            if meta.state == SlotState::Idle && may_go(&self.classes[meta.class as usize], meta) {
                return Some(slot);
            }
            at = List::<RECENT>::newer_than(&mut self.metas, slot);
        }
        sweep.at = None;
        None
    }

    /// Takes an idle slot out of both lists; it is then the caller's, as a lease's is.
    #[inline(always)]
    fn unlink(&mut self, slot: u32, note: impl FnOnce(&mut Class<K>, u64)) {
        // Slices of their own, so that the compiler need not load them anew after each store.
        let Self { metas, classes, recent, trim_at, epoch, .. } = self;
        let (metas, classes): (&mut [Meta], &mut [Class<K>]) = (metas, classes);
        let meta = &mut metas[slot as usize];
        meta.state = SlotState::Leased;
        let bytes = meta.bytes;
        let class = &mut classes[meta.class as usize];
        note(class, *epoch);
        if slot == *trim_at {
            *trim_at = List::<RECENT>::newer_than(metas, slot).unwrap_or(NONE);
        }
        class.idle_list.unlink(metas, slot);
        recent.unlink(metas, slot);
        self.idle -= 1;
        self.idle_bytes = self.idle_bytes.wrapping_sub(bytes);
    }

    /// Puts a leased slot into both lists, as the newest.
    #[inline(always)]
    fn link(&mut self, slot: u32) {
        let Self { metas, classes, recent, epoch, .. } = self;
        let (metas, classes): (&mut [Meta], &mut [Class<K>]) = (metas, classes);
        let meta = &mut metas[slot as usize];
        meta.state = SlotState::Idle;
        let bytes = meta.bytes;
        let class = &mut classes[meta.class as usize];
        class.idle_added(*epoch);
        class.idle_list.push_newest(metas, slot);
        recent.push_newest(metas, slot);
        self.idle += 1;
        self.idle_bytes = self.idle_bytes.wrapping_add(bytes);
    }

    #[inline(always)]
    fn note_leased(&mut self) {
        let leased = self.occupied - self.idle;
        if leased > self.peak_leased {
            self.peak_leased = leased;
        }
    }

    /// A vacant slot, no longer among the vacant; `None` if there is no room.
    fn vacant_slot<T>(&mut self, cells: &S::Cells<Slot<T>>) -> Option<u32> {
        if let Some(slot) = self.vacant.newest() {
            self.vacant.unlink(&mut self.metas, slot);
            return Some(slot);
        }
        let slot = u32::try_from(self.metas.len()).ok().filter(|&slot| slot != NONE)?;
        let meta = Meta {
            recent: Links::UNLINKED,
            peers: Links::UNLINKED,
            class: NONE,
            state: SlotState::Vacant,
            bytes: 0,
            generation: 0,
            created: Tick(0),
            released: Tick(0),
        };
        (cells.reach(slot) && self.metas.append(meta).is_ok()).then_some(slot)
    }

    /// Marks a vacant slot as pending, for an object of `class`.
    fn begin_create(&mut self, slot: u32, class: u32) {
        let meta = &mut self.metas[slot as usize];
        meta.class = class;
        meta.state = SlotState::Pending;
        self.classes[class as usize].objects += 1;
        self.pending += 1;
    }

    /// The class of `key`, made if need be; gives the key back if it was not needed, or if there is no room.
    fn enter_class(&mut self, key: K, hash: u64) -> (Option<u32>, Option<K>) {
        if let Some(class) = self.class_of(&key, hash) {
            return (Some(class), Some(key));
        }
        let fresh = Class {
            key: Some(key),
            hash,
            idle_list: List::EMPTY,
            idle: 0,
            objects: 0,
            bytes: 0,
            idle_floor: 0,
            epoch: 0,
        };
        let class = match self.vacant_classes.take_last() {
            Some(class) => {
                self.classes[class as usize] = fresh;
                class
            }
            None => {
                let class = self.classes.len() as u32;
                if let Err(refused) = self.classes.append(fresh) {
                    return (None, refused.key);
                }
                class
            }
        };
        let classes = &*self.classes;
        self.index.insert(hash, class, |class| classes[class as usize].hash);
        (Some(class), None)
    }

    /// One object fewer in `class`; the key, if the class is now empty and forgotten.
    fn leave_class(&mut self, class: u32) -> Option<K> {
        let entry = &mut self.classes[class as usize];
        entry.objects -= 1;
        if entry.objects > 0 {
            return None;
        }
        self.index.remove(entry.hash, class);
        let key = entry.key.take();
        // There is room: no more classes are vacant than there are.
        let _ = self.vacant_classes.append(class);
        key
    }

    fn vacate(&mut self, slot: u32) -> Option<K> {
        let meta = &mut self.metas[slot as usize];
        meta.state = SlotState::Vacant;
        let class = meta.class;
        self.vacant.push_newest(&mut self.metas, slot);
        self.leave_class(class)
    }

    /// Forgets a slot's object: idle, inspected, leased or token. The caller then takes the object.
    fn remove(&mut self, slot: u32, why: Leave) -> Left<K> {
        let Meta { state, bytes, class, .. } = self.metas[slot as usize];
        match state {
            SlotState::Idle => self.unlink(slot, Class::idle_lost),
            SlotState::Inspected => {
                self.inspected_bytes = self.inspected_bytes.wrapping_sub(bytes);
                self.unlink(slot, Class::idle_lost);
            }
            SlotState::Leased | SlotState::Token | SlotState::Pending | SlotState::Vacant => {}
        }
        self.occupied -= 1;
        self.count_bytes(class, bytes, 0);
        *match why {
            Leave::Evicted => &mut self.evicted,
            Leave::Expired => &mut self.expired,
            Leave::Discarded => &mut self.discarded,
            Leave::Detached => &mut self.detached,
        } += 1;
        Left { slot, bytes, key: self.vacate(slot) }
    }

    /// Counts the change of an object's bytes. Wrapping, because a pool without account refuses no size that a factory
    /// claims, however absurd their sum.
    fn count_bytes(&mut self, class: u32, before: usize, after: usize) {
        let change = |bytes: usize| bytes.wrapping_sub(before).wrapping_add(after);
        let class = &mut self.classes[class as usize];
        class.bytes = change(class.bytes);
        self.bytes = change(self.bytes);
        self.peak_bytes = self.peak_bytes.max(self.bytes);
    }

    /// Changes whenever an idle slot is unlinked, so that a remembered place in the order is known to be good.
    fn unlinkings(&self) -> u64 {
        self.hits + self.evicted + self.expired + self.discarded
    }

    fn leased(&self) -> usize {
        self.occupied - self.idle
    }
}

/// Builds a [`KeyedPool`].
#[must_use = "a builder makes nothing until `build`"]
pub struct KeyedPoolBuilder<K, F, R = KeepAll, C = NoClock> {
    factory: F,
    resetter: R,
    clock: C,
    limits: Limits,
    account: Option<Account>,
    _key: PhantomData<fn(&K)>,
}

impl<K, F> KeyedPoolBuilder<K, F>
where
    F: Factory<K>,
{
    /// A pool of what `factory` makes, without bounds.
    pub fn new(factory: F) -> Self {
        Self {
            factory,
            resetter: KeepAll,
            clock: NoClock,
            limits: Limits::NONE,
            account: None,
            _key: PhantomData,
        }
    }
}

impl<K, F, R, C> KeyedPoolBuilder<K, F, R, C>
where
    K: Hash + Eq + Clone,
    F: Factory<K>,
    R: Resetter<F::Object>,
    C: Clock,
{
    /// What brings a released object back to its first state. Default: nothing does, [`KeepAll`].
    pub fn resetter<R2: Resetter<F::Object>>(self, resetter: R2) -> KeyedPoolBuilder<K, F, R2, C> {
        let Self { factory, clock, limits, account, .. } = self;
        KeyedPoolBuilder { factory, resetter, clock, limits, account, _key: PhantomData }
    }

    /// The clock for [`idle_ttl`](Self::idle_ttl) and [`max_lifetime`](Self::max_lifetime), which are in its unit.
    pub fn clock<C2: Clock>(self, clock: C2) -> KeyedPoolBuilder<K, F, R, C2> {
        let Self { factory, resetter, limits, account, .. } = self;
        KeyedPoolBuilder { factory, resetter, clock, limits, account, _key: PhantomData }
    }

    /// The account that the objects' bytes are charged to. Default: none, the pool then counts bytes but refuses
    /// none.
    pub fn account(mut self, account: Account) -> Self {
        self.account = Some(account);
        self
    }

    /// Most objects of all keys, leased and idle. An acquire beyond evicts an idle one, or fails.
    pub fn max_objects(mut self, objects: usize) -> Self {
        self.limits.max_objects = objects;
        self
    }

    /// Most objects of one key, leased and idle. An acquire beyond fails.
    pub fn max_per_key(mut self, objects: usize) -> Self {
        self.limits.max_per_key = objects;
        self
    }

    /// Most idle objects of one key. A release beyond evicts the one that was released longest ago.
    pub fn max_idle_per_key(mut self, objects: usize) -> Self {
        self.limits.max_idle_per_key = objects;
        self
    }

    /// Idle objects of each key that [`trim`](KeyedPool::trim) and moderate pressure leave. Expiry, a budget that
    /// would otherwise refuse, [`evict_to`](KeyedPool::evict_to) and [`close`](KeyedPool::close) do not ask.
    pub fn min_idle(mut self, objects: usize) -> Self {
        self.limits.min_idle = objects;
        self
    }

    /// Ticks of the clock that an object may wait; one that waited longer is never handed out.
    pub fn idle_ttl(mut self, ticks: u64) -> Self {
        self.limits.idle_ttl = ticks;
        self
    }

    /// Ticks of the clock from creation after which an object is no longer handed out nor kept.
    pub fn max_lifetime(mut self, ticks: u64) -> Self {
        self.limits.max_lifetime = ticks;
        self
    }

    /// Bytes above which a released object is discarded: one request's giant buffer should not stay for ever.
    pub fn max_retained_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_retained_bytes = bytes;
        self
    }

    /// A pool that grows on the heap.
    #[cfg(feature = "alloc")]
    pub fn build(self) -> KeyedPool<K, F, R, C, Growing> {
        self.build_in()
    }

    /// A pool of at most `N` objects that needs no allocator.
    pub fn build_fixed<const N: usize>(self) -> FixedKeyedPool<K, F, N, R, C> {
        self.build_in()
    }

    fn build_in<S: Storage>(self) -> KeyedPool<K, F, R, C, S> {
        let mut limits = self.limits;
        limits.max_objects = limits.max_objects.min(S::MAX_SLOTS);
        KeyedPool {
            factory: self.factory,
            resetter: self.resetter,
            clock: self.clock,
            limits,
            timed: limits.have_time(),
            weighs: self.account.is_some() || limits.max_retained_bytes != usize::MAX,
            account: self.account,
            hasher: S::Hasher::default(),
            id: next_pool_id(),
            cells: S::Cells::default(),
            state: RefCell::new(State::new()),
            _key: PhantomData,
        }
    }
}

#[cfg(feature = "alloc")]
impl<K, F> KeyedPool<K, F>
where
    K: Hash + Eq + Clone,
    F: Factory<K>,
{
    /// A pool of what `factory` makes, without bounds, on the heap.
    pub fn new(factory: F) -> Self {
        Self::builder(factory).build()
    }

    /// A pool with bounds, a resetter, a clock or an account.
    pub fn builder(factory: F) -> KeyedPoolBuilder<K, F> {
        KeyedPoolBuilder::new(factory)
    }
}

impl<K, F, R, C, S> KeyedPool<K, F, R, C, S>
where
    K: Hash + Eq + Clone,
    F: Factory<K>,
    R: Resetter<F::Object>,
    C: Clock,
    S: Storage,
{
    /// Takes an object of `key`: the one of its idle objects that was released last, or a new one.
    ///
    /// On a miss, idle objects are evicted if the bounds ask for it, those released longest ago first and no more
    /// than needed; if it would not fit even then, nothing is evicted.
    ///
    /// # Errors
    ///
    /// [`AcquireError`]: closed, too many objects out, over budget, or the factory's own error.
    #[inline(always)]
    pub fn acquire(&self, key: &K) -> Result<Lease<&Self>, AcquireError<F::Error>> {
        let hash = self.hasher.hash_one(key);
        match self.take_idle(key, hash) {
            // SAFETY: the slot was just marked as leased, for this lease; `&self` keeps its object in place.
            Some(slot) => Ok(unsafe { Lease::new(self, slot) }),
            None => self.acquire_miss(key, hash),
        }
    }

    /// As [`acquire`](Self::acquire), with a lease that shares the pool and so may outlive this handle to it.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    #[cfg(feature = "alloc")]
    pub fn acquire_owned(self: &Rc<Self>, key: &K) -> Result<Lease<Rc<Self>>, AcquireError<F::Error>> {
        let hash = self.hasher.hash_one(key);
        let slot = match self.take_idle(key, hash) {
            Some(slot) => slot,
            None => self.miss_slot(key, hash)?,
        };
        // SAFETY: as in `acquire`; the `Rc` keeps pool and object in place.
        Ok(unsafe { Lease::new(Rc::clone(self), slot) })
    }

    /// Takes an idle object of `key`, if there is one. Never creates and never allocates.
    pub fn try_acquire(&self, key: &K) -> Option<Lease<&Self>> {
        let slot = self.take_idle(key, self.hasher.hash_one(key))?;
        // SAFETY: as in `acquire`.
        Some(unsafe { Lease::new(self, slot) })
    }

    /// As [`try_acquire`](Self::try_acquire), with a lease that shares the pool.
    #[cfg(feature = "alloc")]
    pub fn try_acquire_owned(self: &Rc<Self>, key: &K) -> Option<Lease<Rc<Self>>> {
        let slot = self.take_idle(key, self.hasher.hash_one(key))?;
        // SAFETY: as in `acquire_owned`.
        Some(unsafe { Lease::new(Rc::clone(self), slot) })
    }

    /// Turns a token back into a lease. Other copies of the token are stale from then on. O(1).
    ///
    /// # Errors
    ///
    /// [`ReleaseError`] if the token is of another pool, or its object is no longer out under it.
    pub fn redeem(&self, id: LeaseId) -> Result<Lease<&Self>, ReleaseError> {
        let slot = self.redeem_slot(id)?;
        // SAFETY: the slot was a token's and is now marked as leased, for this lease.
        Ok(unsafe { Lease::new(self, slot) })
    }

    /// As [`redeem`](Self::redeem), with a lease that shares the pool.
    ///
    /// # Errors
    ///
    /// As [`redeem`](Self::redeem).
    #[cfg(feature = "alloc")]
    pub fn redeem_owned(self: &Rc<Self>, id: LeaseId) -> Result<Lease<Rc<Self>>, ReleaseError> {
        let slot = self.redeem_slot(id)?;
        // SAFETY: as in `redeem`.
        Ok(unsafe { Lease::new(Rc::clone(self), slot) })
    }

    /// Releases the object that a token names. O(1).
    ///
    /// # Errors
    ///
    /// [`ReleaseError`]: the second release of a token, or a token of another pool; nothing is changed by it.
    pub fn release(&self, id: LeaseId) -> Result<(), ReleaseError> {
        self.redeem(id).map(drop)
    }

    /// Makes idle objects of `key` until it has at least `count` of them. Returns how many were made.
    ///
    /// They count as released now, and are no more than [`max_idle_per_key`](KeyedPoolBuilder::max_idle_per_key).
    /// Nothing idle is evicted for it, of this key or another: where the bounds have
    /// no room left, it stops with the error.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire); what was made before the error stays.
    pub fn prewarm(&self, key: &K, count: usize) -> Result<usize, AcquireError<F::Error>> {
        let hash = self.hasher.hash_one(key);
        let count = count.min(self.limits.max_idle_per_key);
        let mut made = 0;
        while self.idle_of(key, hash) < count {
            // Linked as it is: the creation stamped it as released now.
            let slot = self.create_slot(key, hash, Room::AsItIs)?;
            self.state.borrow_mut().link(slot);
            made += 1;
        }
        Ok(made)
    }

    /// Destroys idle objects, those released longest ago first, until at most `target` are idle in all. Leaves
    /// each key its [`min_idle`](KeyedPoolBuilder::min_idle). Returns how many were destroyed.
    pub fn trim(&self, target: usize) -> usize {
        let min_idle = self.limits.min_idle;
        self.evict_while(
            Leave::Evicted,
            &mut Sweep::whole(),
            |state| state.idle > target,
            |class, _| class.idle > min_idle,
        )
        .0
    }

    /// Destroys the idle objects that `keep` refuses. Returns how many.
    ///
    /// The predicate sees each idle object once, those released longest ago first, and may use the pool: it will not
    /// be handed the object that it looks at. What it acquires meanwhile it may not see, and what it releases it may
    /// see again. The order of the others is untouched.
    pub fn retain(&self, mut keep: impl FnMut(&K, &F::Object) -> bool) -> usize {
        let mut destroyed = 0;
        let (mut at, mut left) = {
            let state = self.state.borrow();
            (state.recent.oldest(), state.idle)
        };
        while let Some(slot) = at.filter(|_| left > 0) {
            left -= 1;
            let Some(key) = self.begin_inspect(slot) else {
                // A `retain` further up the stack is looking at it.
                at = List::<RECENT>::newer_than(&mut self.state.borrow_mut().metas, slot);
                continue;
            };
            // It stays idle if the predicate panics.
            let inspection =
                Held { pool: self, slot, abandon: |pool, slot| _ = pool.end_inspect(slot, true) };
            // SAFETY: the slot is marked as inspected, so nobody takes its object until the inspection ends, and
            // all that is lent here is a shared reference.
            let kept = keep(&key, unsafe { self.cells.at(slot).object().as_ref() });
            at = List::<RECENT>::newer_than(&mut self.state.borrow_mut().metas, slot);
            mem::forget(inspection);
            destroyed += usize::from(self.end_inspect(slot, kept));
        }
        destroyed
    }

    /// Destroys idle objects, those released longest ago first, until the pool holds at most `bytes`, leased and
    /// idle, or nothing is idle. Returns the bytes freed.
    pub fn evict_to(&self, bytes: usize) -> usize {
        self.evict_while(Leave::Evicted, &mut Sweep::whole(), |state| state.bytes > bytes, |_, _| true).1
    }

    /// One bounded slice of housekeeping: looks at no more than `work_limit` slots for each of these, and returns
    /// how many objects it destroyed.
    ///
    /// - Idle objects past their time are destroyed.
    /// - Under critical pressure (the account, or one above, is over its hard limit) every idle object goes.
    /// - Under moderate pressure (over a soft limit) idle objects go until the low watermark is reached, but of each
    ///   key no more than the fewest that were idle at any time since the last call (Bonwick's working set), and
    ///   not below [`min_idle`](KeyedPoolBuilder::min_idle). A release that follows the eviction of an idle object does
    ///   not raise that fewest again: in doubt objects are kept.
    ///
    /// A slice that looked at `work_limit` objects ends there, and the next goes on behind them, so that it is not
    /// always the same that are looked at and passed over. Only such slices can evict an object before one that was
    /// released earlier; a call that is not cut short keeps the order exactly.
    pub fn maintain(&self, work_limit: usize) -> usize {
        let mut destroyed = 0;
        if self.timed {
            let (now, limits) = (self.now(), self.limits);
            let waited = |meta: &Meta| now.since(meta.released) > limits.idle_ttl;
            let expired = |state: &State<K, S>| {
                state.recent.oldest().is_some_and(|slot| waited(&state.metas[slot as usize]))
            };
            destroyed += self
                .evict_while(
                    Leave::Expired,
                    &mut Sweep { looks: work_limit, at: None },
                    expired,
                    |_, meta| waited(meta),
                )
                .0;
            if limits.max_lifetime != u64::MAX {
                destroyed += self.expire_old(now, work_limit);
            }
        }
        let Some(account) = &self.account else { return destroyed };
        match account.pressure() {
            Pressure::None => {}
            Pressure::Critical => {
                let slice = &mut Sweep { looks: work_limit, at: None };
                destroyed += self.evict_while(Leave::Evicted, slice, |_| true, |_, _| true).0;
            }
            Pressure::Moderate => {
                let (min_idle, epoch) = (self.limits.min_idle, self.state.borrow().epoch);
                let spare = |class: &Class<K>, _: &Meta| class.floor(epoch) > 0 && class.idle > min_idle;
                // The last slice may have ended among objects that are to stay: go on behind them.
                let at = {
                    let mut state = self.state.borrow_mut();
                    let slot = mem::replace(&mut state.trim_at, NONE);
                    (slot != NONE).then(|| (slot, state.unlinkings()))
                };
                let slice = &mut Sweep { looks: work_limit, at };
                destroyed += self.evict_while(Leave::Evicted, slice, |_| account.excess() > 0, spare).0;
                let mut state = self.state.borrow_mut();
                if let (0, Some((slot, unlinkings))) = (slice.looks, slice.at)
                    && unlinkings == state.unlinkings()
                {
                    state.trim_at = slot;
                }
            }
        }
        self.state.borrow_mut().epoch += 1;
        destroyed
    }

    /// Changes the hard limit of the pool's account and, if it is over that now, evicts idle objects of this pool,
    /// those released longest ago first, until it is not. Returns the bytes still in use above the limit, which
    /// other pools or leases hold; `None` if the pool has no account.
    pub fn set_hard_limit(&self, bytes: usize) -> Option<usize> {
        let account = self.account.as_ref()?;
        account.set_hard_limit(bytes);
        self.evict_while(Leave::Evicted, &mut Sweep::whole(), |_| account.overcommitted() > 0, |_, _| true);
        Some(account.overcommitted())
    }

    /// Refuses all further acquires and destroys what is idle. Leases stay usable; their objects are destroyed and
    /// uncharged as they come back. Closing again changes nothing.
    pub fn close(&self) {
        /// Goes on if a destructor panics: whoever closes a pool wants everything gone.
        struct Closing<E: Fn()>(E);
        impl<E: Fn()> Drop for Closing<E> {
            fn drop(&mut self) {
                (self.0)();
            }
        }
        self.state.borrow_mut().closed = true;
        let closing = Closing(|| {
            self.evict_while(Leave::Evicted, &mut Sweep::whole(), |_| true, |_, _| true);
        });
        (closing.0)();
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.borrow().closed
    }

    /// What the pool has done and holds. O(1).
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let state = self.state.borrow();
        PoolStats {
            leased: state.leased(),
            idle: state.idle,
            created: state.created,
            destroyed: state.evicted + state.expired + state.discarded,
            detached: state.detached,
            evicted: state.evicted,
            expired: state.expired,
            discarded: state.discarded,
            hits: state.hits,
            misses: state.misses,
            peak_leased: state.peak_leased,
            leased_bytes: state.bytes.wrapping_sub(state.idle_bytes),
            idle_bytes: state.idle_bytes,
            peak_bytes: state.peak_bytes,
        }
    }

    /// What is held for one key; `None` if nothing is. O(idle objects of the key).
    #[must_use]
    pub fn key_stats(&self, key: &K) -> Option<KeyStats> {
        let hash = self.hasher.hash_one(key);
        let mut state = self.state.borrow_mut();
        let class = state.class_of(key, hash)?;
        state.key_stats(class)
    }

    /// The keys that have objects, in no particular order, and what is held for each. O(objects).
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn keys(&self) -> alloc::vec::Vec<(K, KeyStats)> {
        let mut state = self.state.borrow_mut();
        let classes = 0..state.classes.len() as u32;
        classes
            .filter_map(|class| {
                let stats = state.key_stats(class)?;
                Some((state.classes[class as usize].key.clone()?, stats))
            })
            .collect()
    }

    /// The account that objects are charged to.
    #[must_use]
    pub fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// The factory.
    #[must_use]
    pub fn factory(&self) -> &F {
        &self.factory
    }

    fn now(&self) -> Tick {
        if self.timed { self.clock.now() } else { Tick(0) }
    }

    fn idle_of(&self, key: &K, hash: u64) -> usize {
        let state = self.state.borrow();
        state.class_of(key, hash).map_or(0, |class| state.classes[class as usize].idle)
    }

    #[inline]
    fn take_idle(&self, key: &K, hash: u64) -> Option<u32> {
        let timed = self.timed;
        let now = if timed { self.clock.now() } else { Tick(0) };
        loop {
            let mut guard = self.state.borrow_mut();
            let state = &mut *guard;
            let class = state.class_of(key, hash)?;
            // A closed pool may still have idle objects: those that `close` is destroying at this moment.
            let slot = if state.closed { None } else { state.newest_of(class) }?;
            if timed && self.limits.expired(&state.metas[slot as usize], now) {
                let left = state.remove(slot, Leave::Expired);
                drop(guard);
                self.destroy_left(left);
                continue;
            }
            state.unlink(slot, Class::idle_taken);
            state.hits += 1;
            state.note_leased();
            return Some(slot);
        }
    }

    #[cold]
    #[inline(never)]
    fn acquire_miss(&self, key: &K, hash: u64) -> Result<Lease<&Self>, AcquireError<F::Error>> {
        let slot = self.miss_slot(key, hash)?;
        // SAFETY: the slot was just made and marked as leased, for this lease; `&self` keeps its object in place.
        Ok(unsafe { Lease::new(self, slot) })
    }

    fn miss_slot(&self, key: &K, hash: u64) -> Result<u32, AcquireError<F::Error>> {
        {
            let mut state = self.state.borrow_mut();
            if !state.closed {
                state.misses += 1;
            }
        }
        let slot = self.create_slot(key, hash, Room::MayEvict)?;
        self.state.borrow_mut().note_leased();
        Ok(slot)
    }

    /// Makes an object of `key`, in a slot that is marked as leased.
    fn create_slot(&self, key: &K, hash: u64, room: Room) -> Result<u32, AcquireError<F::Error>> {
        let estimate = self.factory.estimate(key);
        self.admit(key, hash, estimate, room)?;
        let pending = self.begin_create(key, hash, room)?;
        let grow = |claim: &mut Claim<'_>, bytes| self.grow(claim, bytes, room);
        let made = create(&self.factory, key, estimate, self.account.as_ref(), grow)?;
        self.commit(pending, made)
    }

    /// Refuses what cannot succeed whatever is evicted, before anything is.
    fn admit(&self, key: &K, hash: u64, bytes: usize, room: Room) -> Result<(), AcquireError<F::Error>> {
        let state = self.state.borrow();
        if state.closed {
            return Err(AcquireError::Closed);
        }
        if let Some(class) = state.class_of(key, hash) {
            self.admit_key(&state.classes[class as usize])?;
        } else if self.limits.max_per_key == 0 {
            return Err(AcquireError::KeyExhausted { leased: 0, max_per_key: 0 });
        }
        let (evictable_objects, evictable_bytes) = match room {
            Room::MayEvict => (state.idle, state.idle_bytes.wrapping_sub(state.inspected_bytes)),
            Room::AsItIs => (0, 0),
        };
        if state.occupied + state.pending >= self.limits.max_objects.saturating_add(evictable_objects) {
            return Err(self.exhausted(&state));
        }
        if let Some(account) = &self.account
            && let Some(shortfall) = account.shortfall(bytes)
            && shortfall.bytes() > evictable_bytes
        {
            return Err(AcquireError::OverBudget(shortfall.refusal(evictable_bytes)));
        }
        Ok(())
    }

    fn admit_key(&self, class: &Class<K>) -> Result<(), AcquireError<F::Error>> {
        let (leased, max_per_key) = (class.objects - class.idle, self.limits.max_per_key);
        if class.objects < max_per_key {
            Ok(())
        } else {
            Err(AcquireError::KeyExhausted { leased, max_per_key })
        }
    }

    fn exhausted(&self, state: &State<K, S>) -> AcquireError<F::Error> {
        AcquireError::Exhausted {
            leased: state.leased() + state.pending,
            max_objects: self.limits.max_objects,
        }
    }

    /// Marks a slot as pending, after evicting an object if the pool is full.
    fn begin_create(&self, key: &K, hash: u64, room: Room) -> Result<Held<'_, Self>, AcquireError<F::Error>> {
        let own_key = key.clone();
        loop {
            let mut guard = self.state.borrow_mut();
            let state = &mut *guard;
            if state.closed {
                return Err(AcquireError::Closed);
            }
            if state.occupied + state.pending >= self.limits.max_objects {
                drop(guard);
                if room == Room::AsItIs || self.evict_oldest().is_none() {
                    return Err(self.exhausted(&self.state.borrow()));
                }
                continue;
            }
            // Once more, for an evicted object's destructor may have acquired.
            if let Some(class) = state.class_of(key, hash) {
                self.admit_key(&state.classes[class as usize])?;
            }
            let Some(slot) = state.vacant_slot(&self.cells) else { return Err(self.exhausted(state)) };
            let (class, spare_key) = state.enter_class(own_key, hash);
            let entered = match class {
                Some(class) => {
                    state.begin_create(slot, class);
                    Ok(())
                }
                None => {
                    state.vacant.push_newest(&mut state.metas, slot);
                    Err(self.exhausted(state))
                }
            };
            drop(guard);
            drop(spare_key); // user code, so only now
            return entered.map(|()| Held { pool: self, slot, abandon: Self::cancel_create });
        }
    }

    fn cancel_create(&self, slot: u32) {
        let key = {
            let mut state = self.state.borrow_mut();
            state.pending -= 1;
            state.vacate(slot)
        };
        drop(key); // user code, so only now
    }

    /// Claims `bytes` more, evicting the fewest objects that make room if there are enough of them.
    fn grow(&self, claim: &mut Claim<'_>, bytes: usize, room: Room) -> Result<(), OverBudget> {
        while let Err(refused) = claim.try_grow(bytes) {
            // Another thread may have made room in the meantime, or taken more.
            let shortfall = claim.account().shortfall(bytes).unwrap_or(refused);
            let evictable = match room {
                Room::AsItIs => 0,
                Room::MayEvict => {
                    let state = self.state.borrow();
                    state.idle_bytes.wrapping_sub(state.inspected_bytes)
                }
            };
            if shortfall.bytes() > evictable {
                return Err(shortfall.refusal(evictable));
            }
            let mut freed = 0usize;
            while freed < shortfall.bytes() {
                match self.evict_oldest() {
                    Some(bytes) => freed = freed.saturating_add(bytes),
                    None => return Err(shortfall.refusal(evictable)),
                }
            }
        }
        Ok(())
    }

    /// Puts a new object into its slot, leased; unless the pool was closed while it was made.
    fn commit(
        &self,
        pending: Held<'_, Self>,
        made: Made<'_, F::Object>,
    ) -> Result<u32, AcquireError<F::Error>> {
        let now = self.now();
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        if state.closed {
            drop(guard);
            drop(pending);
            made.destroy();
            return Err(AcquireError::Closed);
        }
        let slot = pending.slot;
        mem::forget(pending);
        let Made { object, bytes, claim } = made;
        // SAFETY: the slot was reached and vacant when it was marked as pending, for this caller alone.
        unsafe { self.cells.at(slot).fill(object) };
        if let Some(claim) = claim {
            claim.commit();
        }
        let meta = &mut state.metas[slot as usize];
        meta.state = SlotState::Leased;
        meta.bytes = bytes;
        (meta.created, meta.released) = (now, now);
        let class = meta.class;
        state.count_bytes(class, 0, bytes);
        state.pending -= 1;
        state.occupied += 1;
        state.created += 1;
        Ok(slot)
    }

    /// Uncharges, then destroys what has left the state.
    fn destroy_left(&self, left: Left<K>) {
        drop(self.take_left(left));
    }

    fn take_left(&self, left: Left<K>) -> F::Object {
        let Left { slot, bytes, key } = left;
        // SAFETY: the slot held an object until `State::remove` marked it as vacant, whose caller alone knows.
        // Nothing has run since that could have filled it again.
        let object = unsafe { self.cells.at(slot).take() };
        if let Some(account) = &self.account {
            account.uncharge(bytes, false);
        }
        drop(key);
        object
    }

    /// Evicts the object that was released longest ago; its bytes.
    fn evict_oldest(&self) -> Option<usize> {
        let left = {
            let mut state = self.state.borrow_mut();
            let slot = state.next_to_go(&mut Sweep::whole(), |_, _| true)?;
            state.remove(slot, Leave::Evicted)
        };
        let bytes = left.bytes;
        self.destroy_left(left);
        Some(bytes)
    }

    /// Destroys idle objects, oldest first, while `more` says so, passing over those that `may_go` forbids. Returns how
    /// many and how many bytes.
    fn evict_while(
        &self,
        why: Leave,
        sweep: &mut Sweep,
        mut more: impl FnMut(&State<K, S>) -> bool,
        may_go: impl Fn(&Class<K>, &Meta) -> bool,
    ) -> (usize, usize) {
        let (mut objects, mut bytes) = (0, 0);
        loop {
            let left = {
                let mut guard = self.state.borrow_mut();
                let state = &mut *guard;
                if !more(state) {
                    break;
                }
                let Some(slot) = state.next_to_go(sweep, &may_go) else { break };
                let next = List::<RECENT>::newer_than(&mut state.metas, slot);
                let left = state.remove(slot, why);
                sweep.at = next.map(|next| (next, state.unlinkings()));
                left
            };
            objects += 1;
            bytes = left.bytes.wrapping_add(bytes);
            self.destroy_left(left);
        }
        (objects, bytes)
    }

    /// Looks at `work_limit` slots, going round, and destroys those idle objects that are too old.
    fn expire_old(&self, now: Tick, work_limit: usize) -> usize {
        let mut destroyed = 0;
        let slots = self.state.borrow().metas.len();
        for _ in 0..work_limit.min(slots) {
            let left = {
                let mut guard = self.state.borrow_mut();
                let state = &mut *guard;
                let slot = if (state.scan as usize) < state.metas.len() { state.scan } else { 0 };
                state.scan = slot + 1;
                let meta = &state.metas[slot as usize];
                if meta.state != SlotState::Idle || !self.limits.too_old(meta, now) {
                    continue;
                }
                state.remove(slot, Leave::Expired)
            };
            self.destroy_left(left);
            destroyed += 1;
        }
        destroyed
    }

    fn begin_inspect(&self, slot: u32) -> Option<K> {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        let meta = &mut state.metas[slot as usize];
        if meta.state != SlotState::Idle {
            return None;
        }
        let key = state.classes[meta.class as usize].key.clone()?;
        meta.state = SlotState::Inspected;
        state.inspected_bytes = state.inspected_bytes.wrapping_add(meta.bytes);
        Some(key)
    }

    /// Ends an inspection; true if the object was destroyed.
    fn end_inspect(&self, slot: u32, kept: bool) -> bool {
        let left = {
            let mut guard = self.state.borrow_mut();
            let state = &mut *guard;
            if kept && !state.closed {
                let meta = &mut state.metas[slot as usize];
                meta.state = SlotState::Idle;
                state.inspected_bytes = state.inspected_bytes.wrapping_sub(meta.bytes);
                return false;
            }
            state.remove(slot, Leave::Evicted)
        };
        self.destroy_left(left);
        true
    }

    fn redeem_slot(&self, id: LeaseId) -> Result<u32, ReleaseError> {
        if id.pool != self.id {
            return Err(ReleaseError::Foreign { pool: id.pool, expected: self.id });
        }
        let mut state = self.state.borrow_mut();
        match state.metas.get_mut(id.slot as usize) {
            Some(meta) if meta.state == SlotState::Token && meta.generation == id.generation => {
                meta.state = SlotState::Leased;
                Ok(id.slot)
            }
            _ => Err(ReleaseError::Stale { slot: id.slot, generation: id.generation }),
        }
    }

    /// Destroys the object of a slot that is out.
    ///
    /// # Safety
    ///
    /// The caller holds the slot, and from then on no more.
    unsafe fn remove_leased(&self, slot: u32, why: Leave) -> F::Object {
        let left = self.state.borrow_mut().remove(slot, why);
        self.take_left(left)
    }

    /// # Safety
    ///
    /// As of [`remove_leased`](Self::remove_leased).
    #[cold]
    #[inline(never)]
    unsafe fn destroy_leased(&self, slot: u32, why: Leave) {
        // SAFETY: the caller's promise.
        drop(unsafe { self.remove_leased(slot, why) });
    }

    /// Evicts the object of a class that was released longest ago.
    #[cold]
    #[inline(never)]
    fn evict_oldest_of(&self, class: u32) {
        let left = {
            let mut guard = self.state.borrow_mut();
            let state = &mut *guard;
            state.oldest_of(class).map(|oldest| state.remove(oldest, Leave::Evicted))
        };
        if let Some(left) = left {
            self.destroy_left(left);
        }
    }

    /// Measures an object that comes back, and charges the difference; false if it grew above what it may retain or
    /// what the account allows.
    fn settle_bytes(&self, slot: u32, object: &F::Object) -> bool {
        let bytes = self.factory.measure(object);
        if bytes > self.limits.max_retained_bytes {
            return false;
        }
        let before = self.state.borrow().metas[slot as usize].bytes;
        recharge(self.account.as_ref(), before, bytes, || {
            let mut guard = self.state.borrow_mut();
            let state = &mut *guard;
            let meta = &mut state.metas[slot as usize];
            meta.bytes = bytes;
            let class = meta.class;
            state.count_bytes(class, before, bytes);
        })
    }
}

impl<K: Eq, S: Storage> State<K, S> {
    fn key_stats(&mut self, class: u32) -> Option<KeyStats> {
        let entry = &self.classes[class as usize];
        entry.key.as_ref()?;
        let (idle, objects, bytes) = (entry.idle, entry.objects, entry.bytes);
        let mut idle_bytes = 0;
        let mut at = entry.idle_list.newest();
        while let Some(slot) = at {
            idle_bytes = self.metas[slot as usize].bytes.wrapping_add(idle_bytes);
            at = List::<PEERS>::older_than(&mut self.metas, slot);
        }
        Some(KeyStats {
            leased: objects - idle,
            idle,
            leased_bytes: bytes.wrapping_sub(idle_bytes),
            idle_bytes,
        })
    }
}

/// What a pool holds for one key.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct KeyStats {
    /// Objects that are out, or being made.
    pub leased: usize,
    /// Objects that wait.
    pub idle: usize,
    /// Bytes of those that are out.
    pub leased_bytes: usize,
    /// Bytes of those that wait.
    pub idle_bytes: usize,
}

/// Whether idle objects may go to make room for a new one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    MayEvict,
    AsItIs,
}

impl<K, F, R, C, S> sealed::Slots<F::Object> for KeyedPool<K, F, R, C, S>
where
    K: Hash + Eq + Clone,
    F: Factory<K>,
    R: Resetter<F::Object>,
    C: Clock,
    S: Storage,
{
    #[inline]
    unsafe fn object(&self, slot: u32) -> NonNull<F::Object> {
        self.cells.at(slot).object()
    }

    #[inline]
    unsafe fn give_back(&self, slot: u32) {
        let cell = self.cells.at(slot);
        // Destroyed if the resetter, `measure` or the clock panics.
        let resetting = Held {
            pool: self,
            slot,
            // SAFETY: the lease whose release this is held the slot, and nobody else took it since.
            abandon: |pool, slot| unsafe { pool.destroy_leased(slot, Leave::Discarded) },
        };
        // SAFETY: the caller held the slot's object, so until it is linked or removed below this is its only use.
        let object = unsafe { cell.object().as_mut() };
        let mut keep = self.resetter.reset(object) == Verdict::Keep;
        if keep && self.weighs {
            keep = self.settle_bytes(slot, object);
        }
        let now = self.now();
        mem::forget(resetting);

        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        let meta = &mut state.metas[slot as usize];
        let class = meta.class;
        let mut expired = false;
        if self.timed {
            meta.released = now;
            expired = self.limits.too_old(meta, now);
        }
        if !keep || expired || state.closed {
            drop(guard);
            // SAFETY: the caller's promise.
            unsafe {
                self.destroy_leased(slot, if keep && expired { Leave::Expired } else { Leave::Discarded })
            };
            return;
        }
        state.link(slot);
        if state.classes[class as usize].idle > self.limits.max_idle_per_key {
            drop(guard);
            self.evict_oldest_of(class);
        }
    }

    unsafe fn destroy(&self, slot: u32) {
        // SAFETY: the caller's promise.
        unsafe { self.destroy_leased(slot, Leave::Discarded) };
    }

    unsafe fn take_out(&self, slot: u32) -> F::Object {
        // SAFETY: the caller's promise.
        unsafe { self.remove_leased(slot, Leave::Detached) }
    }

    unsafe fn to_id(&self, slot: u32) -> LeaseId {
        let mut state = self.state.borrow_mut();
        let meta = &mut state.metas[slot as usize];
        meta.state = SlotState::Token;
        meta.generation += 1;
        LeaseId { pool: self.id, slot, generation: meta.generation }
    }
}

impl<K, F, R, C, S> Pool for KeyedPool<K, F, R, C, S>
where
    K: Hash + Eq + Clone,
    F: Factory<K>,
    R: Resetter<F::Object>,
    C: Clock,
    S: Storage,
{
    type Object = F::Object;

    fn stats(&self) -> PoolStats {
        self.stats()
    }

    fn trim(&self, target: usize) -> usize {
        self.trim(target)
    }

    fn close(&self) {
        self.close();
    }

    fn is_closed(&self) -> bool {
        self.is_closed()
    }
}

/// Destroys what the pool still holds, objects of leaked leases and tokens included, and uncharges it.
impl<K, F, R, C, S> Drop for KeyedPool<K, F, R, C, S>
where
    F: Factory<K>,
    S: Storage,
{
    fn drop(&mut self) {
        struct Rest<'a, K, F: Factory<K>, R, C, S: Storage>(&'a KeyedPool<K, F, R, C, S>);

        impl<K, F: Factory<K>, R, C, S: Storage> Rest<'_, K, F, R, C, S> {
            fn destroy(&self) {
                let pool = self.0;
                loop {
                    let next = {
                        let mut state = pool.state.borrow_mut();
                        // From the end, so that each slot is looked at once.
                        let Some(meta) = state.metas.take_last() else { return };
                        (state.metas.len() as u32, meta)
                    };
                    let (slot, Meta { state, bytes, .. }) = next;
                    if matches!(state, SlotState::Vacant | SlotState::Pending) {
                        continue;
                    }
                    // SAFETY: the slot holds an object, nothing borrows the pool any more, and its state is gone.
                    let object = unsafe { pool.cells.at(slot).take() };
                    if let Some(account) = &pool.account {
                        account.uncharge(bytes, false);
                    }
                    drop(object);
                }
            }
        }

        impl<K, F: Factory<K>, R, C, S: Storage> Drop for Rest<'_, K, F, R, C, S> {
            // A destructor has panicked: the others still run, each once.
            fn drop(&mut self) {
                self.destroy();
            }
        }

        self.state.get_mut().closed = true;
        let rest = Rest(self);
        rest.destroy();
    }
}

/// `KeyedPool(idle 3/64, 12.50 KiB, hits 97.3 %)`
impl<K, F, R, C, S> fmt::Debug for KeyedPool<K, F, R, C, S>
where
    K: Hash + Eq + Clone,
    F: Factory<K>,
    R: Resetter<F::Object>,
    C: Clock,
    S: Storage,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyedPool({})", self.stats())
    }
}
