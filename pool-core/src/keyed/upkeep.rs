//! Housekeeping: expiry, trims, pressure, quarantine's end, closing.

use super::state::{Class, Left, Look, Meta, PEERS, Place, RECENT, SlotState, State, Sweep};
use super::{Gone, KeyedPool};
use crate::account::{Account, Mode, Pressure};
use crate::clock::{Clock, Tick};
use crate::exclusive::Exclusive as _;
use crate::held::Held;
use crate::lifecycle::{Factory, Resetter};
use crate::lru::List;
use crate::observe::{Eviction, Leak, Observer, Removal};
use crate::slots::{Cells as _, Storage};
use crate::unwind::{Outgoing, to_the_end};
use crate::wanted;
use crate::work::WorkLimit;
use core::cell::Cell;
use core::hash::Hash;
use core::mem;
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
    /// Destroys idle objects, those released longest ago first, until at most `target` are idle in all. Leaves
    /// each key its [`min_idle`](super::KeyedPoolBuilder::min_idle). What was in quarantine and is due counts as idle. Returns
    /// how many were destroyed. What a destructor makes idle meanwhile counts: one that always does makes this endless.
    pub fn trim(&self, target: usize) -> usize {
        let _ = self.end_quarantines();
        let min_idle = self.limits.min_idle();
        self.evict_while(
            Removal::Evicted(Eviction::Asked),
            &mut Sweep::whole(),
            usize::MAX,
            &mut |state| state.idle > target,
            &|class, _| Look::goes_if(class.idle > min_idle),
        )
        .objects
    }

    /// Destroys at most `count` idle objects, those released longest ago first, be they of a key's
    /// [`min_idle`](super::KeyedPoolBuilder::min_idle) or not. What was in quarantine and is due counts as idle. Returns how many
    /// were destroyed. O(1) for each.
    pub fn evict(&self, count: usize) -> usize {
        let _ = self.end_quarantines();
        let (asked, mut left) = (Removal::Evicted(Eviction::Asked), 0..count);
        let mut more = |_: &_| left.next().is_some();
        self.evict_while(asked, &mut Sweep::whole(), usize::MAX, &mut more, &|_, _| Look::Goes).objects
    }

    /// Destroys the idle objects that `keep` refuses. Returns how many.
    ///
    /// What is in quarantine is not idle, also if it is due: it waits for who needs an object or its bytes.
    ///
    /// The predicate sees each idle object once, those released longest ago first, and may use the pool: it will not
    /// be handed the object that it looks at, and a destructor not the one that comes next. What it acquires meanwhile it may
    /// not see, and what it releases it may see again. The order of the others is untouched.
    pub fn retain(&self, mut keep: impl FnMut(&K, &F::Object) -> bool) -> usize {
        wanted::INSPECTION.set();
        // It stays idle if the predicate, or the destructor of the one before, panics.
        let hold =
            |slot| Held { pool: self, slot, abandon: |pool: &Self, slot| _ = pool.end_inspect(slot, true) };
        let mut destroyed = 0;
        let mut left = self.state.lock().idle;
        let mut next = self.begin_inspect(None, &mut left);
        while let Some((slot, key, object)) = next {
            let inspection = hold(slot);
            // SAFETY: the slot is marked as inspected, so nobody takes its object until the inspection ends, and
            // all that is lent here is a shared reference.
            let kept = keep(&key, unsafe { object.as_ref() });
            // As long as this one is marked it stays linked, and so leads to the next; that one is marked before this ends.
            next = self.begin_inspect(Some(slot), &mut left);
            let to_come = next.as_ref().map(|&(slot, ..)| hold(slot));
            mem::forget(inspection);
            destroyed += usize::from(self.end_inspect(slot, kept));
            mem::forget(to_come);
        }
        destroyed
    }

    /// Destroys idle objects, those released longest ago first, until the pool holds at most `bytes`, leased and
    /// idle, or nothing is idle. What was in quarantine and is due counts as idle. Returns the bytes freed. Endless with a
    /// destructor that always makes more.
    ///
    /// A pool that has no account weighs an object when it is made, and again at its release only if
    /// [`max_retained_bytes`](super::KeyedPoolBuilder::max_retained_bytes) is set: else what it grew by is not seen here.
    pub fn evict_to(&self, bytes: usize) -> usize {
        let _ = self.end_quarantines();
        let asked = Removal::Evicted(Eviction::Asked);
        self.evict_while(asked, &mut Sweep::whole(), usize::MAX, &mut |state| state.bytes > bytes, &|_, _| {
            Look::Goes
        })
        .bytes
    }

    /// One bounded slice of housekeeping: looks at no more than `limit` objects for each of these, ends after as many
    /// bytes, and returns how many objects it destroyed. A number is a limit on objects, without one on bytes.
    ///
    /// - What was in quarantine and is due becomes idle.
    /// - Idle objects past their time are destroyed.
    /// - Under critical pressure (the account, or one above, is over its hard limit) every idle object goes.
    /// - Under moderate pressure (over a soft limit) idle objects go until the low watermark is reached, but of each
    ///   key no more than the fewest that were idle at any time since the last call (Bonwick's working set), and
    ///   not below [`min_idle`](super::KeyedPoolBuilder::min_idle). A release that follows the eviction of an idle object
    ///   does not raise that fewest again: in doubt objects are kept.
    ///   How often this is called says how long that is: of slices in quick succession each takes what was not used since the
    ///   one before.
    /// - Leases that are out for too long are told of, if the pool watches for them.
    /// - Classes are maintained as well, see `KeyClass`.
    ///
    /// A slice that `limit` cuts short ends there, and the next goes on behind what it looked at, so that it is not
    /// always the same that are looked at and passed over; so it is with the trim under pressure, with
    /// [`soft_idle_ttl`](super::KeyedPoolBuilder::soft_idle_ttl) and with
    /// [`max_lifetime`](super::KeyedPoolBuilder::max_lifetime), each by itself. Only slices with a limit below the number of
    /// idle objects can evict an object before one that was released earlier; others keep the order exactly.
    pub fn maintain(&self, limit: impl Into<WorkLimit>) -> usize {
        let WorkLimit { objects: looks, bytes: mut bytes_left } = limit.into();
        let mut destroyed = 0;
        let mut after = |done: Done, bytes_left: usize| {
            destroyed += done.objects;
            done.leaves(bytes_left)
        };
        bytes_left = after(self.end_some_quarantines(looks, bytes_left).1, bytes_left);
        if self.timed {
            let now = self.now();
            bytes_left = after(self.expire_waiting(now, looks, bytes_left), bytes_left);
            // What is too old goes before the soft limit looks, so that it does not take it for what a key keeps.
            bytes_left = after(self.expire_old(now, looks, bytes_left), bytes_left);
            bytes_left = after(self.expire_waiting_softly(now, looks, bytes_left), bytes_left);
        }
        self.tell_leaks(looks);
        #[cfg(all(feature = "lock_api", target_has_atomic = "ptr"))]
        (destroyed += self.maintain_classes(looks, &mut bytes_left));
        let Some(account) = &self.account else { return destroyed };
        let pressure = account.pressure();
        let why = Removal::Evicted(Eviction::Pressure);
        match pressure {
            Pressure::None => {}
            Pressure::Critical => {
                let slice = &mut Sweep::first(looks);
                destroyed +=
                    self.evict_while(why, slice, bytes_left, &mut |_| true, &|_, _| Look::Goes).objects;
            }
            Pressure::Moderate => {
                let (min_idle, epoch) = (self.limits.min_idle(), self.state.lock().epoch);
                let spare = |class: &Class<K>, _: &Meta| {
                    Look::goes_if(class.floor(epoch) > 0 && class.idle > min_idle)
                };
                let slice = &mut self.slice(Some(Place::Trim), looks);
                let more = &mut |_: &State<K, S>| account.excess() > 0;
                destroyed += self.evict_while(why, slice, bytes_left, more, &spare).objects;
            }
        }
        {
            let mut state = self.state.lock();
            state.epoch += 1;
            state.pressure.found = pressure;
        }
        if O::listens() {
            self.tell_pressure();
        }
        destroyed
    }

    /// Tells of the pressure, if what was found last has not been told. One thread at a time does so, so that what is heard last
    /// is what was found last; what others find meanwhile it tells next.
    fn tell_pressure(&self) {
        loop {
            let new = self.state.lock().pressure.begin_to_tell();
            let Some(pressure) = new else { return };
            // Not a slot's, but to be ended in the same way.
            let telling =
                Held { pool: self, slot: 0, abandon: |pool, _| pool.state.lock().pressure.telling = false };
            self.observer.pressure(pressure);
            drop(telling);
        }
    }

    /// Changes the hard limit of the pool's account and, if it is over that now, evicts idle objects, those released longest
    /// ago first, until it is not: of the pools that give back to one another, as
    /// [`Account::set_hard_limit`](crate::Account::set_hard_limit) does, then of this one. Returns the bytes still in use above the limit, which
    /// other pools or leases hold; `None` if the pool has no account.
    pub fn set_hard_limit(&self, bytes: usize) -> Option<usize> {
        let account = self.account.as_ref()?;
        if account.set_hard_limit(bytes) > 0 {
            let _ = self.end_quarantines();
        }
        let (why, sweep) = (Removal::Evicted(Eviction::Asked), &mut Sweep::whole());
        self.evict_while(why, sweep, usize::MAX, &mut |_| account.overcommitted() > 0, &|_, _| Look::Goes);
        Some(account.overcommitted())
    }

    /// Refuses all further acquires and destroys what is idle, and what was in quarantine and is due. Leases stay usable; their
    /// objects are destroyed and uncharged as they come back, those in quarantine at the first [`maintain`](Self::maintain)
    /// after they are due.
    /// Closing again changes nothing. If a destructor or the observer panics the others still go; without `std`, where no panic
    /// can be caught, a second one ends the process.
    pub fn close(&self) {
        let objects = {
            let mut state = self.state.lock();
            state.closed = true;
            state.occupied
        };
        let tried = Cell::new(None);
        // Goes on if somebody panics, for whoever closes a pool wants everything gone. A try for each object, one more if it is
        // its key that panics, and some for clocks and classes, which may do so without end.
        to_the_end(objects.saturating_mul(2).saturating_add(64), || {
            loop {
                let gone = {
                    let mut guard = self.state.lock();
                    let state = &mut *guard;
                    let Some(slot) = state.oldest() else { break };
                    // Nobody is told of what could not be told of before, as its key's `Clone` panicked.
                    let tell = O::listens() && tried.replace(Some(slot)) != Some(slot);
                    let why = Removal::Evicted(Eviction::Closed);
                    let gone = self.uncharged(self.remove_and_tell(state, slot, why, tell));
                    tried.set(None);
                    gone
                };
                self.destroy(gone);
            }
            #[cfg(all(feature = "lock_api", target_has_atomic = "ptr"))]
            self.close_classes();
            let _ = self.end_quarantines();
        });
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Makes idle whatever is due; true if something was.
    pub(super) fn end_quarantines(&self) -> bool {
        // Nearly always nothing is, and then the clock need not be read.
        if !wanted::QUARANTINE.is_set() || self.state.lock().quarantine.oldest().is_none() {
            return false;
        }
        self.end_some_quarantines(usize::MAX, usize::MAX).0 > 0
    }

    /// How many are in quarantine no more, and what of that was destroyed.
    #[cold]
    fn end_some_quarantines(&self, most: usize, bytes: usize) -> (usize, Done) {
        let (mut ended, mut done) = (0, Done::default());
        if !wanted::QUARANTINE.is_set() || self.state.lock().quarantine.oldest().is_none() {
            return (ended, done);
        }
        let now = self.clock.now();
        while ended < most && (done.bytes < bytes || bytes == usize::MAX) {
            let Some(slot) = self.state.lock().take_due(now) else { break };
            ended += 1;
            // SAFETY: taken out of quarantine just now, the slot is this call's as a lease's is.
            if let Some(gone) = unsafe { self.shelve(slot, now) } {
                done.objects += 1;
                done.bytes = gone.wrapping_add(done.bytes);
            }
        }
        (ended, done)
    }

    /// Tells of leases that are out for too long, each once.
    fn tell_leaks(&self, most: usize) {
        let Some(sampling) = self.sampling() else { return };
        let now = self.clock.now();
        for _ in 0..most {
            let (key, leak) = {
                let mut guard = self.state.lock();
                let state = &mut *guard;
                let Some(overdue) = state.watch.overdue(sampling, now) else { break };
                let meta = &state.metas[overdue.slot as usize];
                // Before it counts as told, for it may panic.
                let Some(key) = state.classes[meta.class as usize].key.clone() else { break };
                let age = now.since(overdue.since);
                let leak = Leak { bytes: meta.bytes, since: overdue.since, age, site: overdue.site };
                state.watch.tell(overdue.slot);
                (key, leak)
            };
            self.observer.leaked(&key, &leak);
        }
    }

    /// Takes an object out of the state and out of its slot, which somebody else may use as soon as the state is not locked
    /// any more; [uncharged](Self::uncharged).
    pub(super) fn remove(&self, state: &mut State<K, S>, slot: u32, why: Removal) -> Gone<K, F::Object> {
        self.uncharged(self.remove_here(state, slot, why))
    }

    /// Uncharges what has left the state, which is still locked: whoever looks for room finds its bytes either free or to be
    /// evicted. What is raised for it, [`let_go`](Self::let_go) raises.
    pub(super) fn uncharged(&self, mut gone: Gone<K, F::Object>) -> Gone<K, F::Object> {
        if let Some(account) = &self.account {
            gone.crossed = account.uncharge_noted(gone.left.bytes).0;
        }
        gone
    }

    /// As [`remove`](Self::remove), but its bytes stay charged. Put where it is called.
    #[inline(always)]
    pub(super) fn remove_here(&self, state: &mut State<K, S>, slot: u32, why: Removal) -> Gone<K, F::Object> {
        self.remove_and_tell(state, slot, why, O::listens())
    }

    /// The same; `tell` makes the note for observers, for which it clones the key.
    #[inline(always)]
    pub(super) fn remove_and_tell(
        &self,
        state: &mut State<K, S>,
        slot: u32,
        why: Removal,
        tell: bool,
    ) -> Gone<K, F::Object> {
        let left = state.remove(slot, why, tell);
        // SAFETY: the slot held an object until `State::remove` marked it as vacant, and the state is still locked.
        let object = unsafe { self.cells.at(slot).take() };
        Gone { object, left, crossed: false }
    }

    /// Destroys what has left the state and is uncharged.
    pub(super) fn destroy(&self, gone: Gone<K, F::Object>) {
        drop(self.let_go(gone));
    }

    /// Tells of what has left the state and is uncharged.
    pub(super) fn let_go(&self, gone: Gone<K, F::Object>) -> F::Object {
        let Gone { object, left: Left { bytes, key, told }, crossed } = gone;
        let object = Outgoing::new(object);
        // At the end, and also if the observer panics: as the object is destroyed then, for it is not on its way out yet.
        let raising = Raising(self.account.as_ref().filter(|_| crossed));
        if let Some((key, why)) = &told {
            self.observer.removed(key, bytes, *why);
        }
        drop(told);
        drop(key);
        drop(raising);
        object.into_inner()
    }

    /// A walk over so many idle objects. The last one may have ended among objects that are to stay: with a `place` it goes on
    /// behind them.
    fn slice(&self, place: Option<Place>, looks: usize) -> Sweep {
        match place {
            Some(place) => self.state.lock().slice(place, looks),
            None => Sweep::first(looks),
        }
    }

    /// Destroys idle objects, oldest first, while `more` says so and until so many bytes are gone, passing over those that
    /// `may_go` forbids.
    // Not generic: of what is done now and then one copy will do.
    fn evict_while(
        &self,
        why: Removal,
        sweep: &mut Sweep,
        bytes: usize,
        more: &mut dyn FnMut(&State<K, S>) -> bool,
        may_go: &dyn Fn(&Class<K>, &Meta) -> Look,
    ) -> Done {
        let mut done = Done::default();
        while done.bytes < bytes || bytes == usize::MAX {
            let gone = {
                let mut guard = self.state.lock();
                let state = &mut *guard;
                if !more(state) {
                    state.go_on(sweep, None);
                    break;
                }
                let Some(slot) = state.next_to_go(sweep, may_go) else { break };
                let next = List::<RECENT>::newer_than(&mut state.metas, slot);
                let gone = self.remove(state, slot, why);
                state.go_on(sweep, next);
                gone
            };
            done.objects += 1;
            done.bytes = gone.left.bytes.wrapping_add(done.bytes);
            self.destroy(gone);
        }
        done
    }

    /// Destroys the idle objects that have waited for too long.
    fn expire_waiting(&self, now: Tick, looks: usize, bytes: usize) -> Done {
        self.expire_waiting_beyond(self.limits.idle_ttl, 0, None, now, looks, bytes)
    }

    /// Destroys those that have waited for longer than the soft limit, if their key keeps others.
    fn expire_waiting_softly(&self, now: Tick, looks: usize, bytes: usize) -> Done {
        let (ttl, min_idle) = (self.limits.soft_idle_ttl(), self.limits.min_idle());
        self.expire_waiting_beyond(ttl, min_idle, Some(Place::Soft), now, looks, bytes)
    }

    fn expire_waiting_beyond(
        &self,
        ttl: u64,
        min_idle: usize,
        place: Option<Place>,
        now: Tick,
        looks: usize,
        bytes: usize,
    ) -> Done {
        if ttl == u64::MAX {
            return Done::default();
        }
        let waited = |meta: &Meta| now.since(meta.released) > ttl;
        self.evict_while(
            Removal::IdleTooLong,
            &mut self.slice(place, looks),
            bytes,
            &mut |state| state.recent.oldest().is_some_and(|slot| waited(&state.metas[slot as usize])),
            &|class, meta| match waited(meta) {
                true => Look::goes_if(class.idle > min_idle),
                false => Look::Ends,
            },
        )
    }

    /// Destroys the idle objects that are too old.
    fn expire_old(&self, now: Tick, looks: usize, bytes: usize) -> Done {
        if self.limits.max_lifetime() == u64::MAX {
            return Done::default();
        }
        let too_old = |_: &Class<K>, meta: &Meta| Look::goes_if(self.limits.too_old(meta, now));
        let slice = &mut self.slice(Some(Place::Old), looks);
        self.evict_while(Removal::TooOld, slice, bytes, &mut |_| true, &too_old)
    }

    /// Evicts the object of a class that was released longest ago, if too many are idle; its bytes.
    #[cold]
    #[inline(never)]
    pub(super) fn evict_beyond_max_idle(&self, class: u32) -> Option<usize> {
        let gone = {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            // Others may have taken some since they were too many, and the class may be another key's.
            if state.classes[class as usize].idle <= self.limits.max_idle_per_key {
                return None;
            }
            let why = Removal::Evicted(Eviction::KeyIdle);
            let oldest = state.oldest_of(class)?;
            self.remove(state, oldest, why)
        };
        let bytes = gone.left.bytes;
        self.destroy(gone);
        Some(bytes)
    }

    /// Destroys the idle objects of a key whose time is over, those released longest ago first.
    pub(super) fn expire_key(&self, key: &K, hash: u64) {
        if !self.timed {
            return;
        }
        let now = self.clock.now();
        // Then what was released later has not waited for longer.
        let by_release = self.limits.max_lifetime() == u64::MAX;
        // Where to go on, good as long as nobody else has unlinked anything since.
        let mut place = None;
        loop {
            let gone = {
                let mut guard = self.state.lock();
                let state = &mut *guard;
                let Some(class) = state.class_of(key, hash) else { return };
                let unlinkings = state.unlinkings();
                let mut at = match place {
                    Some((next, then)) if then == unlinkings => next,
                    _ => state.classes[class as usize].idle_list.oldest(),
                };
                let slot = loop {
                    let Some(slot) = at else { return };
                    let meta = &state.metas[slot as usize];
                    match self.limits.expired(meta, now) {
                        true if meta.is_free() => break slot,
                        false if by_release => return,
                        // What is looked at by a predicate, or younger than what was released later.
                        _ => at = List::<PEERS>::newer_than(&mut state.metas, slot),
                    }
                };
                let next = List::<PEERS>::newer_than(&mut state.metas, slot);
                let old = self.limits.too_old(&state.metas[slot as usize], now);
                let gone = self.remove(state, slot, if old { Removal::TooOld } else { Removal::IdleTooLong });
                place = Some((next, state.unlinkings()));
                gone
            };
            self.destroy(gone);
        }
    }

    /// Marks the next idle object that nobody inspects, of the `left` after the one in `slot` or from the oldest on.
    fn begin_inspect(&self, slot: Option<u32>, left: &mut usize) -> Option<(u32, K, NonNull<F::Object>)> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let mut at = match slot {
            Some(slot) => List::<RECENT>::newer_than(&mut state.metas, slot),
            None => state.recent.oldest(),
        };
        loop {
            let slot = at?;
            *left = left.checked_sub(1)?;
            let meta = &mut state.metas[slot as usize];
            if meta.state == SlotState::Idle
                && let Some(key) = state.classes[meta.class as usize].key.clone()
            {
                meta.state = SlotState::Inspected;
                state.inspected_bytes = state.inspected_bytes.wrapping_add(meta.bytes);
                return Some((slot, key, self.cells.at(slot).object()));
            }
            at = List::<RECENT>::newer_than(&mut state.metas, slot);
        }
    }

    /// Ends an inspection; true if the object was destroyed as it was not kept.
    fn end_inspect(&self, slot: u32, kept: bool) -> bool {
        let gone = {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            let meta = &mut state.metas[slot as usize];
            meta.state = SlotState::Idle;
            state.inspected_bytes = state.inspected_bytes.wrapping_sub(meta.bytes);
            if kept && !state.closed {
                return false;
            }
            let why = if kept { Eviction::Closed } else { Eviction::Asked };
            // If its key's `Clone` panics it stays idle.
            self.remove(state, slot, Removal::Evicted(why))
        };
        self.destroy(gone);
        !kept
    }
}

/// An account whose events are raised when this is dropped, if there is one.
struct Raising<'a, M: Mode>(Option<&'a Account<M>>);

impl<M: Mode> Drop for Raising<'_, M> {
    fn drop(&mut self) {
        if let Some(account) = self.0 {
            account.watch();
        }
    }
}

/// What was destroyed.
#[derive(Default)]
struct Done {
    objects: usize,
    bytes: usize,
}

impl Done {
    /// What is left of a bound on bytes; no bound stays none, whatever a factory claims that its objects hold.
    fn leaves(&self, bytes: usize) -> usize {
        if bytes == usize::MAX { bytes } else { bytes.saturating_sub(self.bytes) }
    }
}
