//! What becomes of a lease: released, discarded, detached, kept in quarantine; and of the pool's end.

use super::KeyedPool;
use super::state::SlotState;
use crate::account::Mode;
use crate::clock::{Clock, Tick};
use crate::create::recharge;
use crate::exclusive::Exclusive as _;
use crate::held::Held;
use crate::lease::{Lease, LeaseId, Pool, sealed};
use crate::lifecycle::{Factory, Resetter, Verdict};
use crate::observe::{Discard, Leak, Observer, Removal};
use crate::slots::{Cells as _, List as _, Storage};
use crate::stats::PoolStats;
use crate::unwind::{shielded, to_the_end};
use crate::wanted;
use core::cell::Cell;
use core::hash::Hash;
use core::mem;
use core::ops::Deref;
use core::ptr::NonNull;

impl<K, F, R, C, S, O, M> KeyedPool<K, F, R, C, S, O, M>
where
    K: Hash + Eq + Clone,
    F: Factory<K>,
    R: Resetter<F::Object>,
    C: Clock,
    S: Storage,
    O: Observer<K>,
    M: Mode,
{
    /// Resets an object that comes back, and measures it if its bytes matter; `None` if it is to be discarded.
    ///
    /// # Safety
    ///
    /// The caller holds the slot, whose object this is.
    #[inline(always)]
    unsafe fn reset(&self, slot: u32, mut object: NonNull<F::Object>) -> Option<usize> {
        let resetting = Held { pool: self, slot, abandon: Self::abandon_reset };
        // SAFETY: the caller's promise; until the slot is linked or removed this is the object's only use.
        let object = unsafe { object.as_mut() };
        let bytes = match self.resetter.reset(object) {
            Verdict::Keep if self.weighs => Some(self.factory.measure(object)),
            Verdict::Keep => Some(0),
            Verdict::Discard => None,
        };
        mem::forget(resetting);
        bytes
    }

    /// Settles the bytes of an object that was reset, and ends the watch of its lease; why it is to be discarded, if it is.
    fn settle(&self, slot: u32, bytes: Option<usize>) -> Result<(), Discard> {
        let mut settling = Held { pool: self, slot, abandon: Self::abandon_reset };
        let settled = match bytes {
            None => Err(Discard::Verdict),
            Some(bytes) if self.weighs && !self.settle_bytes(slot, bytes) => Err(Discard::Grown),
            Some(_) => {
                if self.sampling().is_some() {
                    self.end_watch(&mut settling);
                }
                Ok(())
            }
        };
        mem::forget(settling);
        settled
    }

    /// Puts an object that was reset, and is of so many bytes now, among the idle, as the newest, and evicts the oldest of its
    /// key if they are too many; false if there is more to do or another end to it.
    #[inline(always)]
    fn try_link(&self, slot: u32, bytes: Option<usize>, stamp: impl FnOnce() -> Option<u64>) -> bool {
        let Some(bytes) = bytes else { return false };
        let most = self.limits.max_retained_bytes();
        let same = |before| !self.weighs || bytes == before && bytes <= most;
        let mut state = self.state.lock();
        let linked = if state.closed { None } else { state.link(slot, stamp, same) };
        drop(state);
        if let Some((class, idle)) = linked
            && idle > self.limits.max_idle_per_key
        {
            shielded(|| _ = self.evict_beyond_max_idle(class));
        }
        linked.is_some()
    }

    /// The release of a pool that has a clock, or gives to others.
    ///
    /// # Safety
    ///
    /// The caller holds the slot, and from then on no more.
    #[inline(never)]
    unsafe fn give_back_listed(&self, slot: u32, bytes: Option<usize>) {
        if self.attentive || !self.try_link(slot, bytes, || self.stamp()) {
            // SAFETY: the caller's promise.
            unsafe { self.give_back_slowly(slot, bytes) }
        }
    }

    /// What is left to do of a release in which something has changed, or time matters.
    ///
    /// # Safety
    ///
    /// The caller holds the slot, and from then on no more.
    #[inline(never)]
    unsafe fn give_back_slowly(&self, slot: u32, bytes: Option<usize>) {
        shielded(|| match self.settle(slot, bytes) {
            Ok(()) => {
                let mut now = Tick(0);
                if self.timed {
                    let telling = Held { pool: self, slot, abandon: Self::abandon_reset };
                    now = self.clock.now();
                    mem::forget(telling);
                }
                // SAFETY: the caller's promise.
                let _ = unsafe { self.shelve(slot, now) };
            }
            // SAFETY: as above.
            Err(why) => unsafe { self.destroy_leased(slot, Removal::Discarded(why)) },
        });
    }

    /// Puts an object that was reset among the idle, or destroys it if its pool is closed or its time is over; the oldest of
    /// its key, if too many are idle. The bytes of what was destroyed.
    ///
    /// # Safety
    ///
    /// The caller holds the slot, and from then on no more.
    pub(super) unsafe fn shelve(&self, slot: u32, now: Tick) -> Option<usize> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let mut expired = false;
        if self.timed {
            let meta = &mut state.metas[slot as usize];
            meta.released = now;
            expired = self.limits.too_old(meta, now);
        }
        if expired || state.closed {
            let bytes = state.metas[slot as usize].bytes;
            drop(guard);
            let why = if expired { Removal::TooOld } else { Removal::Discarded(Discard::Closed) };
            // SAFETY: the caller's promise.
            unsafe { self.destroy_leased(slot, why) };
            return Some(bytes);
        }
        let linked = state.link(slot, || self.stamp(), |_| true);
        drop(guard);
        let (class, idle) = linked?;
        if idle > self.limits.max_idle_per_key { self.evict_beyond_max_idle(class) } else { None }
    }

    /// # Safety
    ///
    /// The caller holds the slot, and from then on no more.
    unsafe fn remove_leased(&self, slot: u32, why: Removal) -> F::Object {
        // By now the lease is gone: if a key's `Clone`, the observer or the clock panics, nobody else would take the object out.
        let mut telling = Held { pool: self, slot, abandon: Self::abandon_reset };
        if self.sampling().is_some() {
            self.end_watch(&mut telling);
        }
        telling.abandon = Self::abandon_untold;
        let gone = self.remove(&mut self.state.lock(), slot, why);
        mem::forget(telling);
        // Whoever detaches it does not get it if the observer or an event handler panics.
        let lost = (why == Removal::Detached).then(|| Held {
            pool: self,
            slot,
            abandon: |pool, _| pool.state.lock().detached_is_lost(),
        });
        let object = self.let_go(gone);
        mem::forget(lost);
        object
    }

    /// # Safety
    ///
    /// As of [`remove_leased`](Self::remove_leased).
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn destroy_leased(&self, slot: u32, why: Removal) {
        // SAFETY: the caller's promise.
        drop(unsafe { self.remove_leased(slot, why) });
    }

    /// A watched lease has ended: tells the observer if it was said to be leaked.
    #[cold]
    #[inline(never)]
    pub(super) fn end_watch(&self, lease: &mut Held<'_, Self>) {
        let (key, leak) = {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            let Some(told) = state.watch.ended(lease.slot) else { return };
            let meta = &state.metas[lease.slot as usize];
            let then = mem::replace(&mut lease.abandon, Self::abandon_untold);
            let Some(key) = state.classes[meta.class as usize].key.clone() else { return };
            lease.abandon = then;
            (key, Leak { bytes: meta.bytes, since: told.since, age: 0, site: told.site })
        };
        let age = self.clock.now().since(leak.since);
        self.observer.returned(&key, &Leak { age, ..leak });
    }

    /// Charges the change of an object's bytes; false if it grew above what it may retain or what the account allows.
    fn settle_bytes(&self, slot: u32, bytes: usize) -> bool {
        if bytes > self.limits.max_retained_bytes() {
            return false;
        }
        let before = self.state.lock().metas[slot as usize].bytes;
        recharge(self.account.as_ref(), before, bytes, || {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            let meta = &mut state.metas[slot as usize];
            meta.bytes = bytes;
            let class = meta.class;
            state.count_bytes(class, before, bytes);
        })
    }
}

impl<P, K, F, R, C, S, O, M> Lease<P>
where
    P: Deref<Target = KeyedPool<K, F, R, C, S, O, M>>,
    K: Hash + Eq + Clone,
    F: Factory<K>,
    R: Resetter<F::Object>,
    C: Clock,
    S: Storage,
    O: Observer<K>,
    M: Mode,
{
    /// Releases the object, but lets nobody use it before `due`, by the pool's clock: what was scheduled with it may still
    /// be under way. Until then it stays charged, counts as leased
    /// ([`quarantined`](PoolStats::quarantined)), and is not evicted.
    ///
    /// It is reset now, and idle when somebody looks after `due`: an acquire that finds nothing else, or
    /// [`maintain`](KeyedPool::maintain). O(1) if no other object is due later, else O(those). A pool without a clock has
    /// time 0, so that a later `due` never comes.
    pub fn release_at(self, due: Tick) {
        let (pool, slot, object) = self.into_raw();
        // SAFETY: this lease held the slot, whose object that is, and is gone.
        shielded(|| unsafe { pool.give_back_later(slot, object, due) });
    }
}

impl<K, F, R, C, S, O, M> KeyedPool<K, F, R, C, S, O, M>
where
    K: Hash + Eq + Clone,
    F: Factory<K>,
    R: Resetter<F::Object>,
    C: Clock,
    S: Storage,
    O: Observer<K>,
    M: Mode,
{
    /// # Safety
    ///
    /// The caller holds the slot, whose object this is, and from then on no more.
    unsafe fn give_back_later(&self, slot: u32, object: NonNull<F::Object>, due: Tick) {
        // SAFETY: the caller's promise.
        let bytes = unsafe { self.reset(slot, object) };
        match self.settle(slot, bytes) {
            Ok(()) => {
                wanted::QUARANTINE.set();
                #[cfg(feature = "alloc")]
                if let Some(registration) = self.registration() {
                    registration.note_quarantine();
                }
                self.state.lock().quarantine(slot, due);
            }
            // SAFETY: the caller's promise.
            Err(why) => unsafe { self.destroy_leased(slot, Removal::Discarded(why)) },
        }
    }

    /// Destroys an object if its resetter, `measure`, the clock or an observer panics.
    pub(super) fn abandon_reset(&self, slot: u32) {
        // SAFETY: the release whose slot this is held it, and nobody else took it since.
        unsafe { self.destroy_leased(slot, Removal::Discarded(Discard::Panicked)) }
    }

    /// The same if it is the `Clone` of its key that panics, which is not called again: nobody is told.
    #[cold]
    fn abandon_untold(&self, slot: u32) {
        let why = Removal::Discarded(Discard::Panicked);
        let gone = {
            let mut state = self.state.lock();
            self.uncharged(self.remove_and_tell(&mut state, slot, why, false))
        };
        self.destroy(gone);
    }
}

impl<K, F, R, C, S, O, M> sealed::Slots<F::Object> for KeyedPool<K, F, R, C, S, O, M>
where
    K: Hash + Eq + Clone,
    F: Factory<K>,
    R: Resetter<F::Object>,
    C: Clock,
    S: Storage,
    O: Observer<K>,
    M: Mode,
{
    unsafe fn object(&self, slot: u32) -> NonNull<F::Object> {
        let _locked = self.state.lock();
        self.cells.at(slot).object()
    }

    #[inline(always)]
    fn calls_users(&self) -> bool {
        R::may_panic() || self.weighs
    }

    unsafe fn give_back(&self, slot: u32) {
        // SAFETY: the caller's promise.
        unsafe { self.give_back_at(slot, self.object(slot)) }
    }

    #[inline]
    unsafe fn give_back_at(&self, slot: u32, object: NonNull<F::Object>) {
        // SAFETY: the caller's promise.
        let bytes = unsafe { self.reset(slot, object) };
        if !self.plain {
            // SAFETY: as above.
            return unsafe { self.give_back_listed(slot, bytes) };
        }
        if !self.try_link(slot, bytes, || None) {
            // SAFETY: as above.
            unsafe { self.give_back_slowly(slot, bytes) }
        }
    }

    unsafe fn destroy(&self, slot: u32) {
        // SAFETY: the caller's promise.
        unsafe { self.destroy_leased(slot, Removal::Discarded(Discard::Asked)) };
    }

    unsafe fn take_out(&self, slot: u32) -> F::Object {
        // SAFETY: the caller's promise.
        unsafe { self.remove_leased(slot, Removal::Detached) }
    }

    unsafe fn to_id(&self, slot: u32) -> LeaseId {
        let mut state = self.state.lock();
        let meta = &mut state.metas[slot as usize];
        meta.state = SlotState::Token;
        meta.generation += 1;
        LeaseId { pool: self.id, slot, generation: meta.generation }
    }
}

impl<K, F, R, C, S, O, M> Pool for KeyedPool<K, F, R, C, S, O, M>
where
    K: Hash + Eq + Clone,
    F: Factory<K>,
    R: Resetter<F::Object>,
    C: Clock,
    S: Storage,
    O: Observer<K>,
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

/// Destroys what the pool still holds, objects of leaked leases and tokens included, and uncharges it. The observer, too,
/// is going, and hears nothing of it.
impl<K, F, R, C, S, O, M> Drop for KeyedPool<K, F, R, C, S, O, M>
where
    F: Factory<K>,
    S: Storage,
    M: Mode,
{
    fn drop(&mut self) {
        let state = self.state.get_mut();
        state.closed = true;
        let charged = Cell::new(state.bytes);
        let Self { state, cells, account, .. } = &*self;
        // Again if a destructor or a handler panics: the others still run, each object once.
        to_the_end(usize::MAX, || {
            // All at once, for it may take destructors long to get to the last of it.
            if let Some(account) = account {
                account.uncharge_idle(charged.take());
            }
            loop {
                let (slot, meta) = {
                    let mut state = state.lock();
                    // From the end, so that each slot is looked at once.
                    let Some(meta) = state.metas.take_last() else { return };
                    (state.metas.len() as u32, meta)
                };
                if !matches!(meta.state, SlotState::Vacant | SlotState::Pending) {
                    // SAFETY: the slot holds an object, nothing borrows the pool any more, and its state is gone.
                    drop(unsafe { cells.at(slot).take() });
                }
            }
        });
    }
}
