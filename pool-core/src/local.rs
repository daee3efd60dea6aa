//! Objects that are all alike, for one thread: [`LocalPool`], the fastest of the pools.
//!
//! Idle objects are a stack of slot numbers, so that an acquire is a pop and a release a push. What every pool
//! counts follows from the stack's height. The stack is a ring, because eviction takes from the bottom. It and the slots' state are safe code behind a `RefCell`, never
//! borrowed while user code runs.
//!
//! A lease does not mark its slot: a slot in the stack is idle, one that a token has is marked so, and any other
//! that holds an object is leased.

use crate::account::Account;
use crate::create::{Made, create};
use crate::error::{AcquireError, ReleaseError};
use crate::lease::{Lease, LeaseId, Pool, next_pool_id, sealed};
use crate::lifecycle::{Factory, KeepAll, Resetter, Verdict};
#[cfg(feature = "alloc")]
use crate::slots::Growing;
use crate::slots::{self, Cells, Fixed, List as _, Storage};
use crate::stats::PoolStats;
#[cfg(feature = "alloc")]
use alloc::rc::Rc;
use core::cell::RefCell;
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
pub type FixedLocalPool<F, const N: usize, R = KeepAll> = LocalPool<F, R, Fixed<N>>;

/// A pool of objects that are all alike, for one thread.
///
/// The object released last goes out first: it is warm in the processor's cache. Objects stay where they are; a
/// [`Lease`] is a pointer to one.
///
/// | call | cost | may call |
/// |---|---|---|
/// | [`acquire`](Self::acquire) (hit), [`try_acquire`](Self::try_acquire) | O(1), a pop | |
/// | [`acquire`](Self::acquire) (miss) | O(1) and the factory | factory, event handler |
/// | dropping a lease | O(1), a push | resetter; `measure` if bytes are bounded; destructor if it is discarded |
/// | [`trim`](Self::trim) | O(1) per object | destructor |
/// | [`retain`](Self::retain) | O(idle) | predicate, destructor |
///
/// Memory beside the objects: 32 bytes a slot. The pool is `Send` if what it holds is, and not `Sync`.
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
pub struct LocalPool<F, R = KeepAll, S = DefaultStorage>
where
    F: Factory,
    S: Storage,
{
    factory: F,
    resetter: R,
    max_objects: usize,
    max_retained_bytes: usize,
    account: Option<Account>,
    id: u32,
    cells: S::Cells<F::Object>,
    state: RefCell<State<S>>,
}

/// A slot's state, beside its object.
#[derive(Clone, Copy)]
struct Meta {
    bytes: usize,
    /// How many tokens were made of this slot, ever.
    generation: u64,
    occupied: bool,
    token: bool,
}

/// Slot numbers, the newest on top. Has room for all slots there are, so that a push never grows it.
struct Stack<S: Storage> {
    ring: S::List<u32>,
    bottom: usize,
    len: usize,
}

impl<S: Storage> Stack<S> {
    fn new() -> Self {
        Self { ring: S::List::default(), bottom: 0, len: 0 }
    }

    /// Room for one more. O(1), but O(slots) the first time after objects left from the bottom.
    fn grow(&mut self) -> bool {
        // A ring that has wrapped cannot grow at its end.
        self.ring.rotate_left(self.bottom);
        self.bottom = 0;
        self.ring.append(0).is_ok()
    }

    #[inline]
    fn place(&self, height: usize) -> usize {
        let place = self.bottom + height;
        if place >= self.ring.len() { place - self.ring.len() } else { place }
    }

    #[inline]
    fn push(&mut self, slot: u32) {
        let top = self.place(self.len);
        self.ring[top] = slot;
        self.len += 1;
    }

    #[inline]
    fn pop(&mut self) -> Option<u32> {
        self.len = self.len.checked_sub(1)?;
        Some(self.ring[self.place(self.len)])
    }

    fn pop_bottom(&mut self) -> Option<u32> {
        self.len = self.len.checked_sub(1)?;
        let slot = self.ring[self.bottom];
        self.bottom = self.place(1);
        Some(slot)
    }

    fn iter(&self) -> impl Iterator<Item = u32> {
        (0..self.len).map(|height| self.ring[self.place(height)])
    }
}

struct State<S: Storage> {
    idle: Stack<S>,
    metas: S::List<Meta>,
    vacant: S::List<u32>,
    pending: usize,
    /// Idle, leased and tokens.
    occupied: usize,
    bytes: usize,
    peak_leased: usize,
    peak_bytes: usize,
    created: u64,
    detached: u64,
    evicted: u64,
    discarded: u64,
    hits: u64,
    misses: u64,
    closed: bool,
}

/// Why an object leaves the pool.
#[derive(Clone, Copy)]
enum Leave {
    Evicted,
    Discarded,
    Detached,
}

impl<S: Storage> State<S> {
    fn new() -> Self {
        Self {
            idle: Stack::new(),
            metas: S::List::default(),
            vacant: S::List::default(),
            pending: 0,
            occupied: 0,
            bytes: 0,
            peak_leased: 0,
            peak_bytes: 0,
            created: 0,
            detached: 0,
            evicted: 0,
            discarded: 0,
            hits: 0,
            misses: 0,
            closed: false,
        }
    }

    #[inline]
    fn note_leased(&mut self) {
        self.peak_leased = self.peak_leased.max(self.occupied - self.idle.len);
    }

    fn begin_create(&mut self, cells: &S::Cells<impl Sized>) -> Option<u32> {
        let slot = match self.vacant.take_last() {
            Some(slot) => slot,
            None => {
                let slot = u32::try_from(self.metas.len()).ok().filter(|&slot| slot != u32::MAX)?;
                let meta = Meta { bytes: 0, generation: 0, occupied: false, token: false };
                if !cells.reach(slot) || self.metas.append(meta).is_err() || !self.idle.grow() {
                    return None;
                }
                slot
            }
        };
        self.pending += 1;
        Some(slot)
    }

    fn vacate(&mut self, slot: u32) {
        // There is room: no more slots are vacant than there are.
        let _ = self.vacant.append(slot);
    }

    /// Forgets a slot's object, which is not in the stack. The caller then takes the object.
    fn remove(&mut self, slot: u32, why: Leave) -> usize {
        let meta = &mut self.metas[slot as usize];
        (meta.occupied, meta.token) = (false, false);
        let bytes = meta.bytes;
        self.occupied -= 1;
        self.bytes -= bytes;
        *match why {
            Leave::Evicted => &mut self.evicted,
            Leave::Discarded => &mut self.discarded,
            Leave::Detached => &mut self.detached,
        } += 1;
        self.vacate(slot);
        bytes
    }
}

/// Builds a [`LocalPool`].
#[must_use = "a builder makes nothing until `build`"]
pub struct LocalPoolBuilder<F, R = KeepAll> {
    factory: F,
    resetter: R,
    max_objects: usize,
    max_retained_bytes: usize,
    account: Option<Account>,
}

impl<F: Factory> LocalPoolBuilder<F> {
    /// A pool of what `factory` makes, without bounds.
    pub fn new(factory: F) -> Self {
        Self {
            factory,
            resetter: KeepAll,
            max_objects: usize::MAX,
            max_retained_bytes: usize::MAX,
            account: None,
        }
    }
}

impl<F, R> LocalPoolBuilder<F, R>
where
    F: Factory,
    R: Resetter<F::Object>,
{
    /// What brings a released object back to its first state. Default: nothing does, [`KeepAll`].
    pub fn resetter<R2: Resetter<F::Object>>(self, resetter: R2) -> LocalPoolBuilder<F, R2> {
        let Self { factory, max_objects, max_retained_bytes, account, .. } = self;
        LocalPoolBuilder { factory, resetter, max_objects, max_retained_bytes, account }
    }

    /// The account that the objects' bytes are charged to. Default: none.
    pub fn account(mut self, account: Account) -> Self {
        self.account = Some(account);
        self
    }

    /// Most objects, leased and idle. An acquire beyond fails.
    pub fn max_objects(mut self, objects: usize) -> Self {
        self.max_objects = objects;
        self
    }

    /// Bytes above which a released object is discarded.
    pub fn max_retained_bytes(mut self, bytes: usize) -> Self {
        self.max_retained_bytes = bytes;
        self
    }

    /// A pool that grows on the heap.
    #[cfg(feature = "alloc")]
    pub fn build(self) -> LocalPool<F, R, Growing> {
        self.build_in()
    }

    /// A pool of at most `N` objects that needs no allocator.
    pub fn build_fixed<const N: usize>(self) -> FixedLocalPool<F, N, R> {
        self.build_in()
    }

    fn build_in<S: Storage>(self) -> LocalPool<F, R, S> {
        LocalPool {
            factory: self.factory,
            resetter: self.resetter,
            max_objects: self.max_objects.min(S::MAX_SLOTS),
            max_retained_bytes: self.max_retained_bytes,
            account: self.account,
            id: next_pool_id(),
            cells: S::Cells::default(),
            state: RefCell::new(State::new()),
        }
    }
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

impl<F, R, S> LocalPool<F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    /// Takes an object: the idle one that was released last, or a new one.
    ///
    /// # Errors
    ///
    /// [`AcquireError`]: closed, too many objects out, over budget, or the factory's own error.
    #[inline]
    pub fn acquire(&self) -> Result<Lease<&Self>, AcquireError<F::Error>> {
        let slot = self.acquire_slot()?;
        // SAFETY: the slot was just taken out of the stack, for this lease; `&self` keeps its object in place.
        Ok(unsafe { Lease::new(self, slot) })
    }

    /// As [`acquire`](Self::acquire), with a lease that shares the pool and so may outlive this handle to it.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    #[cfg(feature = "alloc")]
    pub fn acquire_owned(self: &Rc<Self>) -> Result<Lease<Rc<Self>>, AcquireError<F::Error>> {
        let slot = self.acquire_slot()?;
        // SAFETY: as in `acquire`; the `Rc` keeps pool and object in place.
        Ok(unsafe { Lease::new(Rc::clone(self), slot) })
    }

    /// Takes an idle object, if there is one. Never creates and never allocates.
    #[inline]
    pub fn try_acquire(&self) -> Option<Lease<&Self>> {
        let slot = self.take_idle()?;
        // SAFETY: as in `acquire`.
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

    /// Makes idle objects until there are at least `count`. Returns how many were made.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire); what was made before the error stays.
    pub fn prewarm(&self, count: usize) -> Result<usize, AcquireError<F::Error>> {
        let mut made = 0;
        while self.state.borrow().idle.len < count {
            let slot = self.create_slot()?;
            let mut state = self.state.borrow_mut();
            state.idle.push(slot);
            made += 1;
        }
        Ok(made)
    }

    /// Destroys idle objects, those released longest ago first, until at most `target` are idle. Returns how many.
    pub fn trim(&self, target: usize) -> usize {
        let mut destroyed = 0;
        loop {
            let left = {
                let mut guard = self.state.borrow_mut();
                let state = &mut *guard;
                if state.idle.len <= target {
                    return destroyed;
                }
                let Some(slot) = state.idle.pop_bottom() else { return destroyed };
                (slot, state.remove(slot, Leave::Evicted))
            };
            self.destroy_left(left);
            destroyed += 1;
        }
    }

    /// Destroys the idle objects that `keep` refuses. Returns how many.
    ///
    /// The predicate sees each object that was idle at the start once, those released longest ago first, and may
    /// use the pool: it will not be handed the object that it looks at. The order of the others is untouched
    /// unless the predicate itself acquires or releases.
    pub fn retain(&self, mut keep: impl FnMut(&F::Object) -> bool) -> usize {
        let mut destroyed = 0;
        // Each turn takes the oldest and puts it on top, so that after all turns the order is as before.
        let mut turns = Turns { pool: self, left: self.state.borrow().idle.len };
        while turns.left > 0 {
            let Some(slot) = self.state.borrow_mut().idle.pop_bottom() else { break };
            turns.left -= 1;
            let inspected =
                Held { pool: self, slot, panicked: |pool, slot| pool.state.borrow_mut().idle.push(slot) };
            // SAFETY: the slot is out of the stack and nobody else's, so only shared references to its object exist.
            let kept = keep(unsafe { self.cells.slot(slot).as_ref() });
            mem::forget(inspected);
            let mut state = self.state.borrow_mut();
            if kept && !state.closed {
                state.idle.push(slot);
            } else {
                let left = (slot, state.remove(slot, Leave::Evicted));
                drop(state);
                destroyed += 1;
                self.destroy_left(left);
            }
        }
        destroyed
    }

    /// Refuses all further acquires and destroys what is idle. Leases stay usable; their objects are destroyed and
    /// uncharged as they come back. Closing again changes nothing.
    pub fn close(&self) {
        self.state.borrow_mut().closed = true;
        self.trim(0);
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.borrow().closed
    }

    /// What the pool has done and holds. O(idle), for the bytes of the idle objects are not counted before.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let state = self.state.borrow();
        let idle_bytes = state.idle.iter().map(|slot| state.metas[slot as usize].bytes).sum();
        PoolStats {
            leased: state.occupied - state.idle.len,
            idle: state.idle.len,
            created: state.created,
            destroyed: state.evicted + state.discarded,
            detached: state.detached,
            evicted: state.evicted,
            expired: 0,
            discarded: state.discarded,
            hits: state.hits,
            misses: state.misses,
            peak_leased: state.peak_leased,
            leased_bytes: state.bytes - idle_bytes,
            idle_bytes,
            peak_bytes: state.peak_bytes,
        }
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

    #[inline]
    fn acquire_slot(&self) -> Result<u32, AcquireError<F::Error>> {
        match self.take_idle() {
            Some(slot) => Ok(slot),
            None => self.acquire_miss(),
        }
    }

    #[inline]
    fn take_idle(&self) -> Option<u32> {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        let slot = state.idle.pop()?;
        state.hits += 1;
        state.note_leased();
        Some(slot)
    }

    #[cold]
    fn acquire_miss(&self) -> Result<u32, AcquireError<F::Error>> {
        {
            let mut state = self.state.borrow_mut();
            if !state.closed {
                state.misses += 1;
            }
        }
        let slot = self.create_slot()?;
        self.state.borrow_mut().note_leased();
        Ok(slot)
    }

    /// Makes an object, in a slot that is leased: not in the stack.
    fn create_slot(&self) -> Result<u32, AcquireError<F::Error>> {
        let slot = {
            let mut guard = self.state.borrow_mut();
            let state = &mut *guard;
            if state.closed {
                return Err(AcquireError::Closed);
            }
            let objects = state.occupied + state.pending;
            let slot = if objects < self.max_objects { state.begin_create(&self.cells) } else { None };
            slot.ok_or(AcquireError::Exhausted {
                leased: objects - state.idle.len,
                max_objects: self.max_objects,
            })?
        };
        let pending = Held {
            pool: self,
            slot,
            panicked: |pool, slot| {
                let mut state = pool.state.borrow_mut();
                state.pending -= 1;
                state.vacate(slot);
            },
        };
        let reserve = |account: &Account, bytes| account.try_reserve(bytes);
        let made = create(&self.factory, &(), self.account.as_ref(), reserve)?;

        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        if state.closed {
            drop(guard);
            drop(pending);
            made.destroy();
            return Err(AcquireError::Closed);
        }
        mem::forget(pending);
        let Made { object, bytes, claim } = made;
        // SAFETY: the slot was reached and vacant when `begin_create` gave it to this caller alone.
        unsafe { slots::fill(&self.cells, slot, object) };
        if let Some(claim) = claim {
            claim.commit();
        }
        let meta = &mut state.metas[slot as usize];
        (meta.occupied, meta.bytes) = (true, bytes);
        state.pending -= 1;
        state.occupied += 1;
        state.created += 1;
        state.bytes += bytes;
        state.peak_bytes = state.peak_bytes.max(state.bytes);
        Ok(slot)
    }

    /// Uncharges, then destroys an object that has left the state.
    fn destroy_left(&self, left: (u32, usize)) {
        drop(self.take_left(left));
    }

    fn take_left(&self, (slot, bytes): (u32, usize)) -> F::Object {
        // SAFETY: the slot held an object until `State::remove` vacated it, whose caller alone knows. Nothing has
        // run since that could have filled it again.
        let object = unsafe { slots::take(&self.cells, slot) };
        if let Some(account) = &self.account {
            account.uncharge(bytes, false);
        }
        object
    }

    fn redeem_slot(&self, id: LeaseId) -> Result<u32, ReleaseError> {
        if id.pool != self.id {
            return Err(ReleaseError::Foreign { pool: id.pool, expected: self.id });
        }
        match self.state.borrow_mut().metas.get_mut(id.slot as usize) {
            Some(meta) if meta.token && meta.generation == id.generation => {
                meta.token = false;
                Ok(id.slot)
            }
            _ => Err(ReleaseError::Stale { slot: id.slot, generation: id.generation }),
        }
    }

    /// # Safety
    ///
    /// The caller holds the slot, which is leased, and from then on no more.
    unsafe fn remove_leased(&self, slot: u32, why: Leave) -> F::Object {
        let bytes = self.state.borrow_mut().remove(slot, why);
        self.take_left((slot, bytes))
    }

    /// Measures a released object; false if it grew above what it may retain or what the account allows.
    fn settle_bytes(&self, slot: u32, object: &F::Object) -> bool {
        let bytes = self.factory.measure(object);
        let before = self.state.borrow().metas[slot as usize].bytes;
        if bytes > self.max_retained_bytes {
            return false;
        }
        if bytes == before {
            return true;
        }
        let growth = match (&self.account, bytes.checked_sub(before)) {
            (Some(account), Some(more)) => match account.try_reserve(more) {
                Ok(claim) => Some(claim),
                Err(_) => return false,
            },
            _ => None,
        };
        {
            let mut state = self.state.borrow_mut();
            state.metas[slot as usize].bytes = bytes;
            state.bytes = state.bytes - before + bytes;
            state.peak_bytes = state.peak_bytes.max(state.bytes);
        }
        // Last, because the account may call a handler, and that may panic: the slot then has its new bytes.
        match (growth, &self.account) {
            (Some(claim), _) => claim.commit(),
            (None, Some(account)) => account.uncharge(before - bytes, false),
            (None, None) => {}
        }
        true
    }
}

/// A slot that user code is at work on. Dropped only if that fails or panics; `panicked` then mends the state.
struct Held<'a, F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    pool: &'a LocalPool<F, R, S>,
    slot: u32,
    panicked: fn(&LocalPool<F, R, S>, u32),
}

impl<F, R, S> Drop for Held<'_, F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    fn drop(&mut self) {
        (self.panicked)(self.pool, self.slot);
    }
}

/// The turns that `retain` still has to make. Dropped with turns left only if the predicate panics; it then makes
/// them, to restore the order.
struct Turns<'a, F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    pool: &'a LocalPool<F, R, S>,
    left: usize,
}

impl<F, R, S> Drop for Turns<'_, F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    fn drop(&mut self) {
        if self.left > 0 {
            let idle = &mut self.pool.state.borrow_mut().idle;
            for _ in 0..self.left {
                let Some(slot) = idle.pop_bottom() else { break };
                idle.push(slot);
            }
        }
    }
}

impl<F, R, S> sealed::Slots<F::Object> for LocalPool<F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    #[inline]
    fn object(&self, slot: u32) -> NonNull<F::Object> {
        self.cells.slot(slot)
    }

    #[inline]
    unsafe fn give_back(&self, slot: u32) {
        let resetting = Held {
            pool: self,
            slot,
            // SAFETY: the lease whose release this is held the slot, and nobody else took it since.
            panicked: |pool, slot| drop(unsafe { pool.remove_leased(slot, Leave::Discarded) }),
        };
        // SAFETY: the caller held the slot's object, so until it is pushed or removed below this is its only use.
        let object = unsafe { self.cells.slot(slot).as_mut() };
        let mut keep = self.resetter.reset(object) == Verdict::Keep;
        if keep && (self.account.is_some() || self.max_retained_bytes != usize::MAX) {
            keep = self.settle_bytes(slot, object);
        }
        mem::forget(resetting);

        let mut state = self.state.borrow_mut();
        if keep && !state.closed {
            state.idle.push(slot);
        } else {
            let left = (slot, state.remove(slot, Leave::Discarded));
            drop(state);
            self.destroy_left(left);
        }
    }

    unsafe fn destroy(&self, slot: u32) {
        // SAFETY: the caller's promise.
        drop(unsafe { self.remove_leased(slot, Leave::Discarded) });
    }

    unsafe fn take_out(&self, slot: u32) -> F::Object {
        // SAFETY: the caller's promise.
        unsafe { self.remove_leased(slot, Leave::Detached) }
    }

    unsafe fn to_id(&self, slot: u32) -> LeaseId {
        let mut state = self.state.borrow_mut();
        let meta = &mut state.metas[slot as usize];
        meta.token = true;
        meta.generation += 1;
        LeaseId { pool: self.id, slot, generation: meta.generation }
    }
}

impl<F, R, S> Pool for LocalPool<F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
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
impl<F, R, S> Drop for LocalPool<F, R, S>
where
    F: Factory,
    S: Storage,
{
    fn drop(&mut self) {
        struct Rest<'a, F: Factory, R, S: Storage>(&'a LocalPool<F, R, S>);

        impl<F: Factory, R, S: Storage> Rest<'_, F, R, S> {
            fn destroy(&self) {
                loop {
                    let (slot, meta) = {
                        let mut state = self.0.state.borrow_mut();
                        let Some(meta) = state.metas.take_last() else { return };
                        (state.metas.len() as u32, meta)
                    };
                    if meta.occupied {
                        // SAFETY: the slot holds an object, nothing borrows the pool any more, and its state is gone.
                        let object = unsafe { slots::take(&self.0.cells, slot) };
                        if let Some(account) = &self.0.account {
                            account.uncharge(meta.bytes, false);
                        }
                        drop(object);
                    }
                }
            }
        }

        impl<F: Factory, R, S: Storage> Drop for Rest<'_, F, R, S> {
            // A destructor has panicked: the others still run, each once.
            fn drop(&mut self) {
                self.destroy();
            }
        }

        let rest = Rest(self);
        rest.destroy();
    }
}

/// `LocalPool(idle 3/64, 12.50 KiB, hits 97.3 %)`
impl<F, R, S> fmt::Debug for LocalPool<F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalPool({})", self.stats())
    }
}
