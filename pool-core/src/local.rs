//! Objects that are all alike, for one thread: [`LocalPool`], the fastest of the pools.
//!
//! Idle slots are a stack of slot numbers in an array: an acquire is a pop, a release a push. All state is in `Cell`s,
//! so nothing is ever borrowed while user code runs.
//!
//! ```text
//! stack   [ 4 7 2 | . . . . . ]   three idle, in the order of their release; with room for all slots
//! links   [ F F F F F 6 - F ]     by slot: the next vacant one, or the next in a chain, or `FULL`
//! ```
//!
//! A lease does not mark its slot: what is in the stack is idle, what is in the list of vacant slots holds no object,
//! and any other is leased, or in a chain that `trim` or `retain` work off. A token marks its slot by an odd
//! generation, in an array that comes to be with the first token.
//!
//! The hot path counts hits and the height of the stack; leases follow from the height. The most leases at a time
//! are watched by one comparison, which finds an empty stack as well: with the height at which a pop would mean more
//! leases than ever before. A pair waits only for the height that the one before has stored; its object's place is
//! looked up meanwhile. Numbers of slots are not checked, for they never leave the pool but in leases; tokens are.
//!
//! A slot takes 16 bytes beside its object: 4 in the stack, 4 for its link, 8 for the number of its bytes.
//!
//! Ratios to a `Vec`'s pop and push, pair and burst of 64, medians of 7 to 15 processes on a shared 2-core x86-64 machine,
//! November 2026 (`cargo bench -p pool-core --bench ratios`):
//!
//! | | pair | burst | |
//! |---|---|---|---|
//! | this | 0.77 | 0.94 | |
//! | [`Account`] dropped by reference | 1.1 | 4.4 | a lease is put together in memory, and its copy waits for that |
//! | a list linked through the slots | 1.18 | 1.8 | a pop waits for the slot that the one before found; 24 bytes a slot |
//! | a stack of pointers (prototype) | 0.7 | 0.85 | 20 bytes a slot at least; a lease has to find its number |
//! | state in a `RefCell` | 2.9 | | the flag, bounds checks and a second look-up cost more than the pop |

mod builder;

pub use builder::LocalPoolBuilder;

use crate::account::{Account, Claim, Mode, Shared};
use crate::create::{Made, Room, create, recharge};
use crate::error::{AcquireError, ReleaseError};
use crate::held::Held;
use crate::lease::{Lease, LeaseId, Pool, sealed};
use crate::lifecycle::{Factory, KeepAll, Resetter, Verdict};
#[cfg(feature = "alloc")]
use crate::slots::Growing;
use crate::slots::{Cells, Column, Fixed, Slot, Storage};
use crate::stats::PoolStats;
use crate::unwind::{Outgoing, shielded, to_the_end};
#[cfg(feature = "alloc")]
use alloc::rc::Rc;
use core::cell::Cell;
use core::fmt;
use core::mem;
use core::ptr::NonNull;

#[cfg(feature = "alloc")]
type DefaultStorage = Growing;
#[cfg(not(feature = "alloc"))]
type DefaultStorage = Fixed<32>;

/// A [`LocalPool`] of at most `N` objects that needs no allocator.
///
/// ```
/// use pool_core::{FixedLocalPool, LocalPoolBuilder};
/// use std::convert::Infallible;
///
/// let frames: FixedLocalPool<_, 8> =
///     LocalPoolBuilder::new(|_: &()| Ok::<[u8; 256], Infallible>([0; 256])).build_fixed();
/// let mut frame = frames.acquire()?;
/// frame[0] = 0x7e;
/// # Ok::<(), pool_core::AcquireError<Infallible>>(())
/// ```
pub type FixedLocalPool<F, const N: usize, R = KeepAll, M = Shared> = LocalPool<F, R, Fixed<N>, M>;

/// A pool of objects that are all alike, for one thread.
///
/// The object released last goes out first: it is warm in the processor's cache. Objects stay where they are; a
/// [`Lease`] is a pointer to one.
///
/// | call | cost | may call |
/// |---|---|---|
/// | [`acquire`](Self::acquire) (hit), [`try_acquire`](Self::try_acquire) | O(1), a pop | |
/// | [`acquire`](Self::acquire) (miss), [`prewarm`](Self::prewarm) | O(1) and the factory; where other pools of the account give, what they have to evict | factory, event handler; the end of what others evict |
/// | dropping a lease | O(1), a push | resetter; `measure` if bytes are bounded; destructor if it is discarded |
/// | [`trim`](Self::trim), [`evict`](Self::evict) | O(idle), O(evicted) | destructor |
/// | [`retain`](Self::retain) | O(idle) | predicate, destructor |
///
/// It takes what other pools of its account have idle and gives nothing itself: not to them, nor to a lowered limit or to
/// pressure, which it does not look at. [`trim`](Self::trim) it when [`Account::pressure`] says so, or use a
/// [`KeyedPool`](crate::KeyedPool) of the key `()`.
///
/// Memory beside the objects: 16 bytes a slot, on 64-bit targets, and 8 more once tokens are made (with [`Fixed`]
/// storage from the start); [`Lease::into_id`] allocates when it is the first of a growing pool, or of new slots. On the
/// heap, objects that are a multiple of 64 bytes begin with a line of the processor's cache. The pool is `Send` if what it
/// holds is, and not `Sync`.
///
/// Choose it when all objects are alike; [`KeyedPool`](crate::KeyedPool) when they differ by size or format, or
/// should expire.
///
/// ```
/// use pool_core::{LocalPool, Verdict};
/// use std::convert::Infallible;
///
/// let pool = LocalPool::builder(|_: &()| Ok::<_, Infallible>(String::with_capacity(1024)))
///     .resetter(|text: &mut String| {
///         text.clear();
///         Verdict::Keep
///     })
///     .max_objects(64)
///     .build();
/// let mut text = pool.acquire()?;
/// text.push_str("hello");
/// drop(text);
/// assert!(pool.acquire()?.is_empty());
/// assert_eq!(pool.stats().created, 1);
/// # Ok::<(), pool_core::AcquireError<Infallible>>(())
/// ```
pub struct LocalPool<F, R = KeepAll, S = DefaultStorage, M = Shared>
where
    F: Factory,
    S: Storage,
    M: Mode,
{
    factory: F,
    resetter: R,
    max_objects: usize,
    max_retained_bytes: usize,
    account: Option<Account<M>>,
    id: u32,
    cells: S::Cells<Slot<F::Object>>,
    /// By slot: the bytes of its object.
    bytes: S::Column<usize>,
    /// The idle slots, the one released last on top. There is room for all slots that were ever used.
    stack: S::Column<u32>,
    /// How many are in the stack.
    height: Cell<usize>,
    /// A pop from a stack that is no higher means more leases than ever before, or finds none.
    calm: Cell<usize>,
    /// Whether a release has more to do than a reset and a push: to measure, or to destroy because it is closed.
    slow_release: Cell<bool>,
    hits: Cell<u64>,
    /// By slot: the next in its chain or among the vacant, or `FULL`.
    links: S::Column<u32>,
    /// By slot: how many tokens were made of it and redeemed, ever; odd while one is out. Grows when a token is made.
    generations: S::Column<u64>,
    state: State,
}

/// No slot.
const NONE: u32 = u32::MAX;
/// In place of the next slot: this one holds an object, and is in no list.
const FULL: u32 = NONE - 1;

/// What is not touched by a hit or an ordinary release.
struct State {
    closed: Cell<bool>,
    /// Slots that were ever used. Numbers below it are all that this pool deals with.
    slots: Cell<u32>,
    /// The first vacant slot.
    vacant: Cell<u32>,
    pending: Cell<usize>,
    /// Idle, leased and tokens.
    occupied: Cell<usize>,
    /// Of the idle: those in the chains of `trim` and `retain`.
    chained: Cell<usize>,
    chained_bytes: Cell<usize>,
    bytes: Cell<usize>,
    peak_leased: Cell<usize>,
    peak_bytes: Cell<usize>,
    created: Cell<u64>,
    detached: Cell<u64>,
    evicted: Cell<u64>,
    discarded: Cell<u64>,
    misses: Cell<u64>,
}

impl State {
    fn count_chained(&self, before: usize, after: usize) {
        self.chained_bytes.set(self.chained_bytes.get().wrapping_sub(before).wrapping_add(after));
    }
}

/// Why an object leaves the pool.
#[derive(Clone, Copy)]
enum Leave {
    Evicted,
    Discarded,
    Detached,
}

/// Adds to a count. Counts are of things that exist, so they do not overflow.
fn add<T: Copy + core::ops::Add<Output = T>>(count: &Cell<T>, more: T) {
    count.set(count.get() + more);
}

/// Takes from a count what was added before.
fn sub<T: Copy + core::ops::Sub<Output = T>>(count: &Cell<T>, fewer: T) {
    count.set(count.get() - fewer);
}

#[cfg(feature = "alloc")]
impl<F: Factory> LocalPool<F> {
    /// A pool of what `factory` makes, without bounds, on the heap.
    pub fn new(factory: F) -> Self {
        Self::builder(factory).build()
    }

    /// A pool with bounds, a resetter or an account.
    pub fn builder(factory: F) -> LocalPoolBuilder<F> {
        LocalPoolBuilder::new(factory)
    }
}

impl<F, R, S, M> LocalPool<F, R, S, M>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
    M: Mode,
{
    /// Takes an object: the idle one that was released last, or a new one.
    ///
    /// # Errors
    ///
    /// [`AcquireError`]: closed, too many objects out, over budget, or the factory's own error.
    #[inline(always)]
    pub fn acquire(&self) -> Result<Lease<&Self>, AcquireError<F::Error>> {
        let slot = match self.take_calmly() {
            Some(slot) => slot,
            None => self.slot_slowly()?,
        };
        // SAFETY: the slot was just taken or made, for this lease; `&self` keeps its object in place.
        Ok(unsafe { Lease::new(self, slot) })
    }

    /// As [`acquire`](Self::acquire), with a lease that shares the pool and so may outlive this handle to it.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    #[cfg(feature = "alloc")]
    pub fn acquire_owned(self: &Rc<Self>) -> Result<Lease<Rc<Self>>, AcquireError<F::Error>> {
        let slot = match self.take_calmly() {
            Some(slot) => slot,
            None => self.slot_slowly()?,
        };
        // SAFETY: as in `acquire`; the `Rc` keeps pool and object in place.
        Ok(unsafe { Lease::new(Rc::clone(self), slot) })
    }

    /// Takes an idle object, if there is one. Never creates and never allocates.
    #[inline(always)]
    pub fn try_acquire(&self) -> Option<Lease<&Self>> {
        let slot = self.take_idle()?;
        // SAFETY: the slot was just taken out of the stack, for this lease; `&self` keeps its object in place.
        Some(unsafe { Lease::new(self, slot) })
    }

    /// As [`try_acquire`](Self::try_acquire), with a lease that shares the pool.
    #[cfg(feature = "alloc")]
    pub fn try_acquire_owned(self: &Rc<Self>) -> Option<Lease<Rc<Self>>> {
        let slot = self.take_idle()?;
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
        // SAFETY: the slot was a token's and is no longer marked so; this lease alone has it.
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

    /// Makes as many idle objects as there are fewer than `count` when it begins. Returns how many were made. Nothing idle is
    /// evicted for it, of this pool or another: where the bounds have no room left, it stops with the error.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire); what was made before the error stays.
    pub fn prewarm(&self, count: usize) -> Result<usize, AcquireError<F::Error>> {
        let missing = count.saturating_sub(self.height.get() + self.state.chained.get());
        for _ in 0..missing {
            let slot = self.create_slot(Room::AsItIs)?;
            self.push(slot);
            self.recount();
        }
        Ok(missing)
    }

    /// Destroys idle objects, those released longest ago first, until at most `target` are idle. Returns how many.
    pub fn trim(&self, target: usize) -> usize {
        let mut destroyed = 0;
        // Again, if a destructor has released something.
        while let surplus @ 1.. = self.height.get().saturating_sub(target) {
            destroyed += self.evict(surplus);
        }
        destroyed
    }

    /// Destroys at most `count` idle objects, those released longest ago first. Returns how many.
    pub fn evict(&self, count: usize) -> usize {
        let chain = self.chain_below(self.height.get().saturating_sub(count));
        let mut destroyed = 0;
        while let Some(slot) = chain.next() {
            destroyed += 1;
            self.destroy_chained(slot);
        }
        destroyed
    }

    /// Destroys the idle objects that `keep` refuses. Returns how many.
    ///
    /// The predicate sees each object that was idle at the start once, those released longest ago first. It may use
    /// the pool, which hands out neither the object that it looks at nor those that it has not seen yet. The order
    /// of reuse is untouched.
    pub fn retain(&self, mut keep: impl FnMut(&F::Object) -> bool) -> usize {
        let chain = self.chain_below(0);
        let mut destroyed = 0;
        while let Some(slot) = chain.next() {
            // Back into the stack if the predicate panics.
            let inspected = Held { pool: self, slot, abandon: Self::restore };
            // SAFETY: the slot is in neither the stack nor the chain, so only this shared reference to its object
            // exists until the predicate returns.
            let kept = keep(unsafe { self.cell(slot).object().as_ref() });
            mem::forget(inspected);
            if kept && !self.state.closed.get() {
                self.restore(slot);
            } else {
                destroyed += usize::from(!kept);
                self.destroy_chained(slot);
            }
        }
        destroyed
    }

    /// Refuses all further acquires and destroys what is idle. Leases stay usable; their objects are destroyed and
    /// uncharged as they come back. Closing again changes nothing. If a destructor panics the others still run; without `std`,
    /// where no panic can be caught, a second one ends the process.
    pub fn close(&self) {
        self.state.closed.set(true);
        self.slow_release.set(true);
        to_the_end(self.height.get(), || _ = self.trim(0));
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.closed.get()
    }

    /// What the pool has done and holds. O(slots), for the bytes of the idle objects are not counted before.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let state = &self.state;
        let mut idle_bytes = state.chained_bytes.get();
        for at in 0..self.height.get() {
            idle_bytes = idle_bytes.wrapping_add(self.bytes(self.stacked(at)));
        }
        let idle = self.height.get() + state.chained.get();
        PoolStats {
            leased: state.occupied.get() - idle,
            quarantined: 0,
            idle,
            created: state.created.get(),
            destroyed: state.evicted.get() + state.discarded.get(),
            detached: state.detached.get(),
            evicted: state.evicted.get(),
            expired: 0,
            discarded: state.discarded.get(),
            hits: self.hits.get(),
            misses: state.misses.get(),
            peak_leased: state.peak_leased.get(),
            leased_bytes: state.bytes.get().wrapping_sub(idle_bytes),
            idle_bytes,
            peak_bytes: state.peak_bytes.get(),
        }
    }

    /// The account that objects are charged to.
    #[must_use]
    pub fn account(&self) -> Option<&Account<M>> {
        self.account.as_ref()
    }

    /// The factory.
    #[must_use]
    pub fn factory(&self) -> &F {
        &self.factory
    }

    /// A slot that was used.
    #[inline(always)]
    fn cell(&self, slot: u32) -> &Slot<F::Object> {
        // SAFETY: all numbers of slots come from `begin_create`, which reached the slot; they go through the stack, the
        // links, leases of this pool, and tokens, which `redeem_slot` accepts only as they were made.
        unsafe { self.cells.reached(slot) }
    }

    fn bytes(&self, slot: u32) -> usize {
        // SAFETY: `begin_create` reached the number of its bytes too; otherwise as in `cell`.
        unsafe { self.bytes.get(slot as usize) }
    }

    fn set_bytes(&self, slot: u32, to: usize) {
        // SAFETY: as in `bytes`.
        unsafe { self.bytes.set(slot as usize, to) }
    }

    /// The slot at a place in the stack, which is below its height or was.
    fn stacked(&self, at: usize) -> u32 {
        debug_assert!(at < self.state.slots.get() as usize);
        // SAFETY: the stack has room for as many as there are slots, and no slot is in it twice.
        unsafe { self.stack.get(at) }
    }

    fn link(&self, slot: u32) -> u32 {
        // SAFETY: `begin_create` reached the link too; otherwise as in `cell`.
        unsafe { self.links.get(slot as usize) }
    }

    fn set_link(&self, slot: u32, to: u32) {
        // SAFETY: as in `link`.
        unsafe { self.links.set(slot as usize, to) }
    }

    /// Takes the idle slot that was released last, if the stack is higher than `calm`.
    #[inline(always)]
    fn take_calmly(&self) -> Option<u32> {
        let height = self.height.get();
        if height <= self.calm.get() {
            return None;
        }
        Some(self.pop(height))
    }

    #[inline(always)]
    fn take_idle(&self) -> Option<u32> {
        self.take_calmly().or_else(|| self.take_more_than_ever())
    }

    #[cold]
    #[inline(never)]
    fn take_more_than_ever(&self) -> Option<u32> {
        let height = self.height.get();
        if height == 0 {
            return None;
        }
        let slot = self.pop(height);
        self.recount();
        Some(slot)
    }

    /// Takes a slot out of the stack, whose height is `height` and not 0.
    #[inline(always)]
    fn pop(&self, height: usize) -> u32 {
        self.height.set(height - 1);
        self.hits.set(self.hits.get() + 1);
        // SAFETY: as in `stacked`.
        unsafe { self.stack.get(height - 1) }
    }

    /// Puts a slot that nobody holds any more into the stack.
    #[inline(always)]
    fn push(&self, slot: u32) {
        let height = self.height.get();
        // SAFETY: as in `stacked`: the slot is not in the stack, so that is not full.
        unsafe { self.stack.set(height, slot) };
        self.height.set(height + 1);
    }

    /// Notes the most leases at a time, and the height of the stack at which a pop would mean more.
    #[cold]
    fn recount(&self) {
        let state = &self.state;
        let idle = self.height.get() + state.chained.get();
        let leased = state.occupied.get() - idle;
        state.peak_leased.set(state.peak_leased.get().max(leased));
        let calm = state.occupied.get() - state.chained.get();
        self.calm.set(calm.saturating_sub(state.peak_leased.get()));
    }

    #[cold]
    #[inline(never)]
    fn slot_slowly(&self) -> Result<u32, AcquireError<F::Error>> {
        if let Some(slot) = self.take_more_than_ever() {
            return Ok(slot);
        }
        if !self.state.closed.get() {
            add(&self.state.misses, 1);
        }
        let slot = self.create_slot(Room::MayEvict)?;
        self.recount();
        Ok(slot)
    }

    /// Takes the oldest out of the stack until `target` are left in it.
    fn chain_below(&self, target: usize) -> Chain<'_, F, R, S, M> {
        let height = self.height.get();
        let left = target.min(height);
        let mut first = NONE;
        // From the newest of them, so that the oldest comes first.
        for at in (0..height - left).rev() {
            let slot = self.stacked(at);
            self.set_link(slot, first);
            self.state.count_chained(0, self.bytes(slot));
            first = slot;
        }
        for at in 0..left {
            // SAFETY: as in `stacked`.
            unsafe { self.stack.set(at, self.stacked(height - left + at)) };
        }
        self.height.set(left);
        add(&self.state.chained, height - left);
        Chain { pool: self, first: Cell::new(first) }
    }

    /// A slot of a chain is no longer to count as idle there.
    fn unchain(&self, slot: u32) {
        sub(&self.state.chained, 1);
        self.state.count_chained(self.bytes(slot), 0);
    }

    /// A slot of a chain goes back into the stack, unless the pool was closed meanwhile.
    fn restore(&self, slot: u32) {
        if self.state.closed.get() {
            self.destroy_chained(slot);
        } else {
            self.unchain(slot);
            self.push(slot);
            self.recount();
        }
    }

    fn destroy_chained(&self, slot: u32) {
        self.unchain(slot);
        self.destroy_left(self.remove(slot, Leave::Evicted));
    }

    /// A vacant slot, counted as pending.
    fn begin_create(&self) -> Option<u32> {
        let state = &self.state;
        let slot = match state.vacant.get() {
            NONE => {
                let slot = state.slots.get();
                let columns = self.stack.reach(slot) && self.links.reach(slot) && self.bytes.reach(slot);
                if !(self.cells.reach(slot) && columns) {
                    return None;
                }
                state.slots.set(slot + 1);
                slot
            }
            slot => {
                state.vacant.set(self.link(slot));
                slot
            }
        };
        add(&state.pending, 1);
        Some(slot)
    }

    fn vacate(&self, slot: u32) {
        self.set_link(slot, self.state.vacant.replace(slot));
    }

    fn cancel_create(&self, slot: u32) {
        sub(&self.state.pending, 1);
        self.vacate(slot);
    }

    /// Makes an object, in a slot that is leased: not in the stack.
    fn create_slot(&self, room: Room) -> Result<u32, AcquireError<F::Error>> {
        let state = &self.state;
        if state.closed.get() {
            return Err(AcquireError::Closed);
        }
        let objects = state.occupied.get() + state.pending.get();
        let slot = if objects < self.max_objects { self.begin_create() } else { None };
        let slot = slot.ok_or(AcquireError::Exhausted {
            leased: objects - self.height.get() - state.chained.get(),
            max_objects: self.max_objects,
        })?;
        let pending = Held { pool: self, slot, abandon: Self::cancel_create };
        #[cfg(not(feature = "alloc"))]
        let _ = room; // There are no others to take from.
        let grow = |claim: &mut Claim<'_, M>, bytes| {
            // From what other pools have idle, if they give: nothing of this one is.
            #[cfg(feature = "alloc")]
            if room == Room::MayEvict && claim.account().others_give(false) {
                return claim.grow_making_room(bytes, None);
            }
            claim.try_grow(bytes).map_err(|shortfall| shortfall.refused())
        };
        let estimate = self.factory.estimate(&());
        let made = create(&self.factory, &(), estimate, self.account.as_ref(), grow)?;
        if state.closed.get() {
            drop(pending);
            drop(made);
            return Err(AcquireError::Closed);
        }
        mem::forget(pending);

        let Made { claim, object, bytes } = made;
        let cell = self.cell(slot);
        // SAFETY: the slot was vacant when `begin_create` gave it to this caller alone.
        unsafe { cell.fill(object.into_inner()) };
        if let Some(claim) = claim {
            claim.commit();
        }
        self.set_bytes(slot, bytes);
        self.set_link(slot, FULL);
        sub(&state.pending, 1);
        add(&state.occupied, 1);
        add(&state.created, 1);
        self.count_bytes(0, bytes);
        Ok(slot)
    }

    /// Counts the change of an object's bytes. Wrapping, because a pool without account refuses no size that a factory
    /// claims, however absurd their sum.
    fn count_bytes(&self, before: usize, after: usize) {
        let state = &self.state;
        state.bytes.set(state.bytes.get().wrapping_sub(before).wrapping_add(after));
        state.peak_bytes.set(state.peak_bytes.get().max(state.bytes.get()));
    }

    /// Forgets the object of a slot that is not in the stack. The caller then takes the object.
    fn remove(&self, slot: u32, why: Leave) -> (u32, usize) {
        let state = &self.state;
        let bytes = self.bytes(slot);
        sub(&state.occupied, 1);
        self.count_bytes(bytes, 0);
        add(
            match why {
                Leave::Evicted => &state.evicted,
                Leave::Discarded => &state.discarded,
                Leave::Detached => &state.detached,
            },
            1,
        );
        self.vacate(slot);
        self.recount();
        (slot, bytes)
    }

    /// Uncharges, then destroys an object that has left the state.
    fn destroy_left(&self, left: (u32, usize)) {
        drop(self.take_left(left));
    }

    fn take_left(&self, (slot, bytes): (u32, usize)) -> F::Object {
        // SAFETY: the slot held an object until `remove` vacated it, whose caller alone knows. Nothing has run since
        // that could have filled it again.
        let object = Outgoing::new(unsafe { self.cell(slot).take() });
        if let Some(account) = &self.account {
            account.uncharge(bytes, false);
        }
        object.into_inner()
    }

    fn redeem_slot(&self, id: LeaseId) -> Result<u32, ReleaseError> {
        if id.pool != self.id {
            return Err(ReleaseError::Foreign { pool: id.pool, expected: self.id });
        }
        let at = id.slot as usize;
        if at < self.generations.len() && id.generation % 2 == 1 {
            // SAFETY: just checked.
            unsafe {
                if self.generations.get(at) == id.generation {
                    self.generations.set(at, id.generation + 1);
                    return Ok(id.slot);
                }
            }
        }
        Err(ReleaseError::Stale { slot: id.slot, generation: id.generation })
    }

    /// # Safety
    ///
    /// The caller holds the slot, which is leased, and from then on no more.
    #[cold]
    #[inline(never)]
    unsafe fn discard(&self, slot: u32) {
        self.destroy_left(self.remove(slot, Leave::Discarded));
    }

    /// # Safety
    ///
    /// As of [`discard`](Self::discard).
    #[inline(never)]
    unsafe fn give_back_slowly(&self, slot: u32) {
        shielded(|| {
            // Destroyed if measuring panics.
            let settling = Held {
                pool: self,
                slot,
                // SAFETY: the lease whose release this is held the slot, and nobody else took it since.
                abandon: |pool, slot| unsafe { pool.discard(slot) },
            };
            // SAFETY: as above, and only shared references are made of it.
            let kept = self.settle_bytes(slot, unsafe { self.cell(slot).object().as_ref() });
            mem::forget(settling);
            if kept && !self.state.closed.get() {
                self.push(slot);
            } else {
                // SAFETY: the caller's promise.
                unsafe { self.discard(slot) };
            }
        });
    }

    /// Measures a released object; false if it grew above what it may retain or what the account allows.
    fn settle_bytes(&self, slot: u32, object: &F::Object) -> bool {
        if self.account.is_none() && self.max_retained_bytes == usize::MAX {
            return true;
        }
        let bytes = self.factory.measure(object);
        let before = self.bytes(slot);
        bytes <= self.max_retained_bytes
            && recharge(self.account.as_ref(), before, bytes, || {
                self.set_bytes(slot, bytes);
                self.count_bytes(before, bytes);
            })
    }
}

/// Idle slots that `trim` or `retain` work off, the oldest first. What is left of it when they panic goes back into
/// the stack, in the order it had.
struct Chain<'a, F, R, S, M>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
    M: Mode,
{
    pool: &'a LocalPool<F, R, S, M>,
    first: Cell<u32>,
}

impl<F, R, S, M> Chain<'_, F, R, S, M>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
    M: Mode,
{
    /// Takes the oldest, which still counts as idle until the caller unchains or restores it.
    fn next(&self) -> Option<u32> {
        let slot = self.first.get();
        if slot == NONE {
            return None;
        }
        self.first.set(self.pool.link(slot));
        self.pool.set_link(slot, FULL);
        Some(slot)
    }
}

impl<F, R, S, M> Drop for Chain<'_, F, R, S, M>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
    M: Mode,
{
    fn drop(&mut self) {
        // Each is destroyed if the pool was closed.
        to_the_end(usize::MAX, || {
            while let Some(slot) = self.next() {
                self.pool.restore(slot);
            }
        });
    }
}

impl<F, R, S, M> sealed::Slots<F::Object> for LocalPool<F, R, S, M>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
    M: Mode,
{
    #[inline(always)]
    unsafe fn object(&self, slot: u32) -> NonNull<F::Object> {
        self.cell(slot).object()
    }

    #[inline(always)]
    fn calls_users(&self) -> bool {
        R::may_panic()
    }

    #[inline(always)]
    unsafe fn give_back(&self, slot: u32) {
        // SAFETY: the caller's promise.
        unsafe { self.give_back_at(slot, self.object(slot)) }
    }

    #[inline(always)]
    unsafe fn give_back_at(&self, slot: u32, mut object: NonNull<F::Object>) {
        // Destroyed if the resetter panics.
        let resetting = Held {
            pool: self,
            slot,
            // SAFETY: the lease whose release this is held the slot, and nobody else took it since.
            abandon: |pool, slot| unsafe { pool.discard(slot) },
        };
        // SAFETY: the caller held the slot's object, so until it is pushed or removed below this is its only use.
        let verdict = self.resetter.reset(unsafe { object.as_mut() });
        mem::forget(resetting);
        if verdict == Verdict::Discard {
            // SAFETY: the caller's promise.
            unsafe { self.discard(slot) };
        } else if self.slow_release.get() {
            // SAFETY: the caller's promise.
            unsafe { self.give_back_slowly(slot) };
        } else {
            self.push(slot);
        }
    }

    unsafe fn destroy(&self, slot: u32) {
        // SAFETY: the caller's promise.
        unsafe { self.discard(slot) };
    }

    unsafe fn take_out(&self, slot: u32) -> F::Object {
        let left = self.remove(slot, Leave::Detached);
        // Whoever detaches it does not get it if an event handler panics.
        let lost = Held {
            pool: self,
            slot,
            abandon: |pool, _| {
                sub(&pool.state.detached, 1);
                add(&pool.state.discarded, 1);
            },
        };
        let object = self.take_left(left);
        mem::forget(lost);
        object
    }

    unsafe fn to_id(&self, slot: u32) -> LeaseId {
        self.generations.reach(slot);
        // SAFETY: just reached: there is room for whatever slot there is.
        let generation = unsafe { self.generations.get(slot as usize) } + 1;
        // SAFETY: as above.
        unsafe { self.generations.set(slot as usize, generation) };
        LeaseId { pool: self.id, slot, generation }
    }
}

impl<F, R, S, M> Pool for LocalPool<F, R, S, M>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
    M: Mode,
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
impl<F, R, S, M> Drop for LocalPool<F, R, S, M>
where
    F: Factory,
    S: Storage,
    M: Mode,
{
    fn drop(&mut self) {
        let Self { state, account, .. } = &*self;
        let charged = Cell::new(state.bytes.get());
        // Again if a destructor or a handler panics: the others still run, each object once.
        to_the_end(usize::MAX, || {
            // All at once, for it may take destructors long to get to the last of it.
            if let (Some(account), bytes @ 1..) = (account, charged.take()) {
                account.uncharge(bytes, false);
            }
            while let Some(slot) = state.slots.get().checked_sub(1) {
                state.slots.set(slot);
                // SAFETY: the slot was used, so `begin_create` reached it and its link.
                let (cell, link) = unsafe { (self.cells.reached(slot), self.links.get(slot as usize)) };
                if link == FULL {
                    // SAFETY: the slot holds an object, nothing borrows the pool any more, and the count of slots was
                    // lowered so that nobody comes to this one again.
                    drop(unsafe { cell.take() });
                }
            }
        });
    }
}

/// `LocalPool(idle 3/64, 12.50 KiB, hits 97.3 %)`
impl<F, R, S, M> fmt::Debug for LocalPool<F, R, S, M>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
    M: Mode,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalPool({})", self.stats())
    }
}
