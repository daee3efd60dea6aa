//! What a keyed pool knows of its slots: plain data, which somebody has to guard.
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
//! is safe code over numbered slots, and calls nothing of the user's but the keys' `Eq` and `Clone`.
//!
//! A hit is [`State::take_newest`], a release is [`State::link`], and neither panics or calls anything but `Eq`, not even for
//! what cannot be, such as a slot beyond the array; so neither has to keep registers for who would clean up after it. Whatever
//! is out of the ordinary (closed, inspected, expired, watched) they leave to slower functions that look again. With this a
//! pair takes three quarters of the instructions that it takes by the careful functions.
//!
//! Who has a slot's object, by state:
//!
//! | state | whose it is | next |
//! |---|---|---|
//! | `Vacant` | nobody's, there is none | `Pending` |
//! | `Pending` | whoever creates it; counted towards the limits | `Leased`, `Vacant` |
//! | `Leased` | the lease | `Idle`, `Token`, `Quarantined`, `Vacant` |
//! | `Token` | whoever presents the token of its generation | `Leased`, `Vacant` |
//! | `Quarantined` | the pool, linked in the list of those by the time they are due | `Leased` (then `Idle` or `Vacant`) |
//! | `Idle` | the pool, linked in both lists | `Leased`, `Inspected`, `Vacant` |
//! | `Inspected` | `retain`, which shows it to the predicate; linked, but nobody else may take it | `Idle` |

use super::KeyStats;
use super::leaks::Watch;
use crate::account::Pressure;
use crate::clock::Tick;
use crate::lru::{Links, List, NONE, Node};
use crate::observe::Removal;
use crate::slots::{Cells, Index, List as _, Slot, Storage};
use crate::stats::PoolStats;
use crate::wanted;
use core::borrow::Borrow;
use core::mem;

/// Idle slots across all keys; and, with another head, those in quarantine, which are not idle.
pub(super) const RECENT: usize = 0;
/// Idle slots of one class; and, with another head, vacant ones.
pub(super) const PEERS: usize = 1;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SlotState {
    Vacant,
    Pending,
    Leased,
    Token,
    Quarantined,
    Idle,
    Inspected,
}

/// A slot's state, beside its object. With 64-bit pointers it has 64 bytes; a line of its own makes it one line to
/// load, and its place a shift.
#[cfg_attr(target_pointer_width = "64", repr(align(64)))]
pub(super) struct Meta {
    pub(super) recent: Links,
    /// While vacant: the next vacant slot, in `older`.
    pub(super) peers: Links,
    pub(super) class: u32,
    pub(super) state: SlotState,
    /// How often eviction passed it over for a cheaper one since it was released.
    pub(super) passed_over: u8,
    pub(super) cost: Cost,
    pub(super) bytes: usize,
    /// How many tokens were made of this slot, ever.
    pub(super) generation: u64,
    pub(super) created: Tick,
    /// While in quarantine: when it is due.
    pub(super) released: Tick,
    /// Its place in the order of release among the pools that give back to one another; 0 if it is not one of them.
    pub(super) stamp: u64,
}

impl Meta {
    /// Of a linked slot, whether nobody inspects it.
    #[inline(always)]
    pub(super) fn is_free(&self) -> bool {
        wanted::INSPECTION.or(self.state == SlotState::Idle, true)
    }
}

/// What it costs to make an object again: the upper half of an `f32`, within 1 in 256, in the two bytes that a slot has left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cost(u16);

impl Cost {
    pub(super) const NONE: Self = Self(0);

    pub(super) fn new(cost: u32) -> Self {
        // Rounded: half of what is cut off is added before.
        Self((((cost as f32).to_bits() + (1 << 15)) >> 16) as u16)
    }

    /// For each of so many bytes, and half of that for each time that it was passed over, so that nothing stays for ever: the
    /// bits of an `f32`, which order as the number does.
    fn of_each(self, bytes: usize, passes: u8) -> u32 {
        let cost = f32::from_bits(u32::from(self.0) << 16);
        (cost / bytes.max(1) as f32).to_bits().saturating_sub(u32::from(passes) << 23)
    }
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

/// One key's objects. In this order in memory: what a hit and a release use lies beside the key.
#[repr(C)]
pub(super) struct Class<K> {
    /// `None` while the class is vacant.
    pub(super) key: Option<K>,
    pub(super) idle_list: List<PEERS>,
    pub(super) idle: usize,
    /// The fewest idle since maintenance `epoch`.
    idle_floor: usize,
    epoch: u64,
    /// Leased, idle and pending.
    pub(super) objects: usize,
    pub(super) bytes: usize,
    pub(super) hash: u64,
}

impl<K> Class<K> {
    /// The fewest idle since the maintenance that began this `epoch`.
    pub(super) fn floor(&self, epoch: u64) -> usize {
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
    pub(super) fn idle_taken(&mut self, epoch: u64) {
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

/// In this order in memory (`repr(C)`): first what hits and releases use, then what misses do. Counts that change together
/// (`idle` and `idle_bytes`, `occupied` and `pending`) are apart: side by side, the compiler would load them as one vector
/// just after storing them one by one, and the processor would wait for both stores to reach the cache, 5 ns on each hit.
#[repr(C)]
pub(super) struct State<K, S: Storage> {
    pub(super) index: S::Index,
    pub(super) classes: S::List<Class<K>>,
    pub(super) metas: S::List<Meta>,
    pub(super) recent: List<RECENT>,
    pub(super) idle: usize,
    /// The idle slot where `maintain` goes on trimming; moves on if that slot is taken. `NONE` for the oldest.
    trim_at: u32,
    pub(super) closed: bool,
    pub(super) idle_bytes: usize,
    /// How often `maintain` ended a round, for the working set.
    pub(super) epoch: u64,
    /// With fewer idle than this more are leased than ever, which is to be noted.
    calm: usize,
    pub(super) hits: u64,
    pub(super) misses: u64,
    /// Idle, leased, tokens and quarantined.
    pub(super) occupied: usize,
    /// Of the idle: those that `retain` is looking at.
    pub(super) inspected_bytes: usize,
    pub(super) pending: usize,
    vacant: List<PEERS>,
    vacant_classes: S::List<u32>,
    pub(super) bytes: usize,
    peak_leased: usize,
    peak_bytes: usize,
    pub(super) created: u64,
    pub(super) evicted: u64,
    pub(super) expired: u64,
    pub(super) discarded: u64,
    detached: u64,
    /// By the time they are due, the first at the oldest end.
    pub(super) quarantine: List<RECENT>,
    quarantined: usize,
    /// The idle slot where `maintain` goes on with the soft idle time, as `trim_at`. Only pools with a limit of time have it,
    /// so [`take_newest`](Self::take_newest), which they do not use, need not look after it.
    soft_at: u32,
    /// The same with what is too old.
    old_at: u32,
    pub(super) pressure: Gauge,
    pub(super) watch: Watch<S>,
}

/// The pressure, for the observer.
pub(super) struct Gauge {
    /// As the last maintenance found it.
    pub(super) found: Pressure,
    told: Pressure,
    /// Somebody is telling the observer.
    pub(super) telling: bool,
}

impl Gauge {
    /// What is to be told, and nobody is telling.
    pub(super) fn begin_to_tell(&mut self) -> Option<Pressure> {
        if self.telling || self.told == self.found {
            return None;
        }
        self.telling = true;
        self.told = self.found;
        Some(self.found)
    }
}

/// What there is of a key.
pub(super) enum Newest {
    Taken(u32),
    /// Nothing.
    None,
    /// It takes another look: the pool is closed, or somebody inspects the newest.
    Unclear,
}

/// A walk over the idle slots, the oldest first.
pub(super) struct Sweep {
    /// How many it may still look at.
    looks: usize,
    from: From,
}

/// Where a walk goes on.
enum From {
    /// At this slot, good as long as nobody has unlinked anything since; else at the oldest.
    Oldest(Option<(u32, u64)>),
    /// Where the last walk that was cut short ended.
    Place(Place),
}

/// A place in the order of release that the state remembers from one walk to the next, and moves on if its slot is unlinked.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// Of what waited for longer than the soft idle time.
    Soft,
    /// Of what is too old.
    Old,
    /// Of the trim under moderate pressure.
    Trim,
}

impl Sweep {
    /// Over all of them.
    pub(super) fn whole() -> Self {
        Self::first(usize::MAX)
    }

    /// Over so many of the oldest.
    pub(super) fn first(looks: usize) -> Self {
        Self { looks, from: From::Oldest(None) }
    }
}

/// What becomes of a slot that a walk looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Goes,
    Stays,
    /// It stays, and so does all that was released later.
    Ends,
}

impl Look {
    /// It goes if `may` says so.
    pub(super) fn goes_if(may: bool) -> Self {
        if may { Self::Goes } else { Self::Stays }
    }
}

/// What left the state: uncharged and dropped, keys included, once nothing is locked.
pub(super) struct Left<K> {
    pub(super) bytes: usize,
    /// The key, if that was its last object.
    pub(super) key: Option<K>,
    /// For observers.
    pub(super) told: Option<(K, Removal)>,
}

impl<K: Eq, S: Storage> State<K, S> {
    pub(super) fn new() -> Self {
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
            calm: 0,
            peak_bytes: 0,
            created: 0,
            detached: 0,
            evicted: 0,
            expired: 0,
            discarded: 0,
            hits: 0,
            misses: 0,
            quarantine: List::EMPTY,
            quarantined: 0,
            epoch: 0,
            old_at: NONE,
            soft_at: NONE,
            trim_at: NONE,
            closed: false,
            pressure: Gauge { found: Pressure::None, told: Pressure::None, telling: false },
            watch: Watch::default(),
        }
    }

    #[inline(always)]
    pub(super) fn class_of<Q>(&self, key: &Q, hash: u64) -> Option<u32>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let classes = &*self.classes;
        self.index.find(hash, |class| {
            let class = classes.get(class as usize);
            class.and_then(|class| class.key.as_ref()).is_some_and(|known| known.borrow() == key)
        })
    }

    /// Takes the newest idle slot of a key; it is then the caller's, as a lease's is. Nothing here panics, so that a hit
    /// need not be ready to unlock on the way.
    #[inline(always)]
    pub(super) fn take_newest<Q>(&mut self, key: &Q, hash: u64) -> Newest
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let Some(class) = self.class_of(key, hash) else { return Newest::None };
        // Slices of their own, so that the compiler need not load them anew after each store.
        let Self { metas, classes, recent, trim_at, .. } = self;
        let (metas, classes): (&mut [Meta], &mut [Class<K>]) = (metas, classes);
        let Some(class) = classes.get_mut(class as usize) else { return Newest::None };
        let slot = class.idle_list.newest_or_none();
        let Some(meta) = metas.get_mut(slot as usize) else { return Newest::None };
        if !meta.is_free() || self.closed {
            return Newest::Unclear;
        }
        meta.state = SlotState::Leased;
        let bytes = meta.bytes;
        class.idle_taken(self.epoch);
        if slot == *trim_at {
            *trim_at = List::<RECENT>::newer_than(metas, slot).unwrap_or(NONE);
        }
        class.idle_list.unlink_newest(metas, slot);
        recent.unlink(metas, slot);
        self.idle -= 1;
        self.idle_bytes = self.idle_bytes.wrapping_sub(bytes);
        self.hits += 1;
        self.note_leased();
        Newest::Taken(slot)
    }

    /// The newest idle slot of a class that nobody is inspecting.
    #[inline(always)]
    pub(super) fn newest_of(&mut self, class: u32) -> Option<u32> {
        let metas: &mut [Meta] = &mut self.metas;
        let mut at = self.classes[class as usize].idle_list.newest();
        while let Some(slot) = at {
            if metas[slot as usize].is_free() {
                return Some(slot);
            }
            at = List::<PEERS>::older_than(metas, slot);
        }
        None
    }

    /// The oldest idle slot of a class that nobody is inspecting.
    pub(super) fn oldest_of(&mut self, class: u32) -> Option<u32> {
        let mut at = self.classes[class as usize].idle_list.oldest();
        while let Some(slot) = at {
            if self.metas[slot as usize].is_free() {
                return Some(slot);
            }
            at = List::<PEERS>::newer_than(&mut self.metas, slot);
        }
        None
    }

    /// The oldest idle slot that nobody is inspecting.
    #[inline]
    pub(super) fn oldest(&mut self) -> Option<u32> {
        let mut at = self.recent.oldest();
        while let Some(slot) = at {
            if self.metas[slot as usize].is_free() {
                return Some(slot);
            }
            at = List::<RECENT>::newer_than(&mut self.metas, slot);
        }
        None
    }

    /// The slot to evict for room: of the `window` oldest idle ones that nobody is inspecting, the one that is worth least
    /// for its bytes, and the oldest of those; what is passed over is worth less the next time.
    #[inline]
    pub(super) fn victim(&mut self, window: usize) -> Option<u32> {
        if window <= 1 { self.oldest() } else { self.cheapest(window) }
    }

    fn cheapest(&mut self, window: usize) -> Option<u32> {
        let (_, best) = self.least_worth(window)?;
        let mut at = self.recent.oldest();
        while let Some(slot) = at.filter(|&slot| slot != best) {
            let meta = &mut self.metas[slot as usize];
            if meta.is_free() {
                meta.passed_over = meta.passed_over.saturating_add(1);
            }
            at = List::<RECENT>::newer_than(&mut self.metas, slot);
        }
        Some(best)
    }

    /// Of the `window` oldest idle slots that nobody is inspecting, the one that is worth least, and how much.
    pub(super) fn least_worth(&mut self, window: usize) -> Option<(u32, u32)> {
        let (mut best, mut at) = (None, self.recent.oldest());
        let mut looks = window;
        while let Some(slot) = at.filter(|_| looks > 0) {
            let meta = &self.metas[slot as usize];
            if meta.is_free() {
                looks -= 1;
                let worth = meta.cost.of_each(meta.bytes, meta.passed_over);
                if best.is_none_or(|(least, _)| worth < least) {
                    best = Some((worth, slot));
                }
            }
            at = List::<RECENT>::newer_than(&mut self.metas, slot);
        }
        best
    }

    fn place(&mut self, place: Place) -> &mut u32 {
        match place {
            Place::Soft => &mut self.soft_at,
            Place::Old => &mut self.old_at,
            Place::Trim => &mut self.trim_at,
        }
    }

    /// A walk over so many idle slots, from the place where the last one was cut short; over all, from the oldest on, if there
    /// are no more than that.
    pub(super) fn slice(&mut self, place: Place, looks: usize) -> Sweep {
        if looks < self.idle {
            return Sweep { looks, from: From::Place(place) };
        }
        *self.place(place) = NONE;
        Sweep::first(looks)
    }

    /// A walk goes on at `next`; at the oldest if there is none.
    pub(super) fn go_on(&mut self, sweep: &mut Sweep, next: Option<u32>) {
        match &mut sweep.from {
            From::Oldest(at) => *at = next.map(|next| (next, self.unlinkings())),
            From::Place(place) => *self.place(*place) = next.unwrap_or(NONE),
        }
    }

    /// The oldest idle slot that nobody is inspecting and `may_go` allows, from where the sweep is.
    pub(super) fn next_to_go(
        &mut self,
        sweep: &mut Sweep,
        may_go: &dyn Fn(&Class<K>, &Meta) -> Look,
    ) -> Option<u32> {
        let mut at = match sweep.from {
            From::Oldest(at) => {
                at.filter(|&(_, unlinkings)| unlinkings == self.unlinkings()).map(|(slot, _)| slot)
            }
            From::Place(place) => Some(*self.place(place)).filter(|&slot| slot != NONE),
        };
        at = at.or(self.recent.oldest());
        while let Some(slot) = at {
            self.go_on(sweep, at);
            sweep.looks = sweep.looks.checked_sub(1)?;
            let meta = &self.metas[slot as usize];
            match may_go(&self.classes[meta.class as usize], meta) {
                Look::Goes if meta.is_free() => return Some(slot),
                Look::Ends => break,
                Look::Goes | Look::Stays => {}
            }
            at = List::<RECENT>::newer_than(&mut self.metas, slot);
        }
        self.go_on(sweep, None);
        None
    }

    /// Before a slot is unlinked: places that are there move to the next.
    #[inline(always)]
    fn move_on(metas: &mut [Meta], slot: u32, [trim, soft, old]: [&mut u32; 3]) {
        if slot == *trim {
            *trim = List::<RECENT>::newer_than(metas, slot).unwrap_or(NONE);
        }
        if wanted::SOFT_IDLE_TTL.is_set() && slot == *soft {
            *soft = List::<RECENT>::newer_than(metas, slot).unwrap_or(NONE);
        }
        if wanted::MAX_LIFETIME.is_set() && slot == *old {
            *old = List::<RECENT>::newer_than(metas, slot).unwrap_or(NONE);
        }
    }

    /// Takes an idle slot out of both lists; it is then the caller's, as a lease's is.
    #[inline(always)]
    pub(super) fn take(&mut self, slot: u32) {
        let Self { metas, classes, recent, .. } = self;
        let (metas, classes): (&mut [Meta], &mut [Class<K>]) = (metas, classes);
        let meta = &mut metas[slot as usize];
        meta.state = SlotState::Leased;
        let bytes = meta.bytes;
        let class = &mut classes[meta.class as usize];
        class.idle_taken(self.epoch);
        Self::move_on(metas, slot, [&mut self.trim_at, &mut self.soft_at, &mut self.old_at]);
        class.idle_list.unlink(metas, slot);
        recent.unlink(metas, slot);
        self.idle -= 1;
        self.idle_bytes = self.idle_bytes.wrapping_sub(bytes);
        self.hits += 1;
        self.note_leased();
    }

    /// Puts a leased slot into both lists, as the newest, if `may` says so of the bytes that it had. Its class, and how many
    /// of that are idle then. Nothing here panics, as in [`take_newest`](Self::take_newest).
    #[inline(always)]
    pub(super) fn link(
        &mut self,
        slot: u32,
        stamp: impl FnOnce() -> Option<u64>,
        may: impl FnOnce(usize) -> bool,
    ) -> Option<(u32, usize)> {
        let Self { metas, classes, recent, .. } = self;
        let (metas, classes): (&mut [Meta], &mut [Class<K>]) = (metas, classes);
        let meta = metas.get_mut(slot as usize)?;
        let of = meta.class;
        let class = classes.get_mut(of as usize)?;
        let bytes = meta.bytes;
        if !may(bytes) {
            return None;
        }
        meta.state = SlotState::Idle;
        meta.passed_over = 0;
        if let Some(stamp) = stamp() {
            meta.stamp = stamp;
        }
        class.idle_added(self.epoch);
        class.idle_list.push_newest(metas, slot);
        recent.push_newest(metas, slot);
        self.idle += 1;
        self.idle_bytes = self.idle_bytes.wrapping_add(bytes);
        Some((of, class.idle))
    }

    /// Keeps a leased slot from use until the time is `due`.
    pub(super) fn quarantine(&mut self, slot: u32, due: Tick) {
        let meta = &mut self.metas[slot as usize];
        (meta.state, meta.released) = (SlotState::Quarantined, due);
        // Those that are due last were mostly put there last, so the walk is short.
        let mut after = self.quarantine.newest();
        while let Some(at) = after.filter(|&at| self.metas[at as usize].released > due) {
            after = List::<RECENT>::older_than(&mut self.metas, at);
        }
        self.quarantine.insert_newer_than(&mut self.metas, slot, after);
        self.quarantined += 1;
    }

    /// Whether something in quarantine is due.
    #[inline]
    pub(super) fn is_due(&self, now: Tick) -> bool {
        self.quarantine.oldest().is_some_and(|slot| self.metas[slot as usize].released <= now)
    }

    /// Takes the first that is due out of quarantine; it is then the caller's, as a lease's is.
    pub(super) fn take_due(&mut self, now: Tick) -> Option<u32> {
        let slot = self.quarantine.oldest().filter(|_| self.is_due(now))?;
        self.quarantine.unlink(&mut self.metas, slot);
        self.quarantined -= 1;
        self.metas[slot as usize].state = SlotState::Leased;
        Some(slot)
    }

    #[inline(always)]
    pub(super) fn note_leased(&mut self) {
        if self.idle < self.calm {
            self.note_peak();
        }
    }

    #[cold]
    fn note_peak(&mut self) {
        self.peak_leased = self.peak_leased.max(self.leased());
        self.calm_down();
    }

    /// After a change of how many there are.
    #[inline(always)]
    fn calm_down(&mut self) {
        self.calm = self.occupied.saturating_sub(self.peak_leased);
    }

    /// A vacant slot, the newest among the vacant; `None` if there is no room.
    #[inline(always)]
    pub(super) fn vacant_slot<T>(&mut self, cells: &S::Cells<Slot<T>>) -> Option<u32> {
        if let Some(slot) = self.vacant.newest() {
            return Some(slot);
        }
        let slot = u32::try_from(self.metas.len()).ok().filter(|&slot| slot != NONE)?;
        let meta = Meta {
            recent: Links::UNLINKED,
            peers: Links::UNLINKED,
            class: NONE,
            state: SlotState::Vacant,
            passed_over: 0,
            cost: Cost::NONE,
            bytes: 0,
            generation: 0,
            created: Tick(0),
            released: Tick(0),
            stamp: 0,
        };
        if !cells.reach(slot) || self.metas.append(meta).is_err() {
            return None;
        }
        self.vacant.push_newest(&mut self.metas, slot);
        Some(slot)
    }

    /// Marks a slot that [`vacant_slot`](Self::vacant_slot) gave as pending, for an object of `key`; false if there is no
    /// room for another key.
    #[inline(always)]
    pub(super) fn begin_create(&mut self, slot: u32, class: Option<u32>, key: &K, hash: u64) -> bool
    where
        K: Clone,
    {
        // First, for to clone a key may panic. Not by a closure, for which a miss takes twenty instructions more.
        let class = match class {
            Some(class) => class,
            None => match self.new_class(key, hash) {
                Some(class) => class,
                None => return false,
            },
        };
        self.vacant.unlink_newest(&mut self.metas, slot);
        let meta = &mut self.metas[slot as usize];
        meta.class = class;
        meta.state = SlotState::Pending;
        self.classes[class as usize].objects += 1;
        self.pending += 1;
        true
    }

    /// A class for a key that has none; `None` if there is no room.
    #[inline(always)]
    fn new_class(&mut self, key: &K, hash: u64) -> Option<u32>
    where
        K: Clone,
    {
        let fresh = Class {
            key: Some(key.clone()),
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
                self.classes.append(fresh).ok()?;
                class
            }
        };
        let classes = &*self.classes;
        self.index.insert(hash, class, |class| classes[class as usize].hash);
        Some(class)
    }

    /// A slot that was pending gets no object; the key, if its class is now empty and forgotten.
    pub(super) fn cancel(&mut self, slot: u32) -> Option<K> {
        self.pending -= 1;
        let meta = &mut self.metas[slot as usize];
        meta.state = SlotState::Vacant;
        let of = meta.class;
        self.vacant.push_newest(&mut self.metas, slot);
        self.classes[of as usize].objects -= 1;
        if self.classes[of as usize].objects > 0 { None } else { self.forget(of) }
    }

    /// Forgets a class without objects; its key.
    #[inline(always)]
    fn forget(&mut self, of: u32) -> Option<K> {
        let class = &mut self.classes[of as usize];
        self.index.remove(class.hash, of);
        // There is room: no more classes are vacant than there are.
        let _ = self.vacant_classes.append(of);
        class.key.take()
    }

    /// A slot that was pending has its object, of so many bytes, and is leased.
    #[inline(always)]
    pub(super) fn end_create(&mut self, slot: u32, bytes: usize, cost: Cost, now: Tick) {
        let meta = &mut self.metas[slot as usize];
        meta.state = SlotState::Leased;
        meta.bytes = bytes;
        meta.cost = cost;
        meta.passed_over = 0;
        (meta.created, meta.released) = (now, now);
        let class = meta.class;
        self.count_bytes(class, 0, bytes);
        self.pending -= 1;
        self.occupied += 1;
        self.calm_down();
        self.created += 1;
    }

    /// Forgets a slot's object: idle, leased or token. The caller then takes the object, before anybody else can
    /// use the slot. `tell` makes the note for observers.
    // A page downloads each copy, so there it is not copied.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    pub(super) fn remove(&mut self, slot: u32, why: Removal, tell: bool) -> Left<K>
    where
        K: Clone,
    {
        let Self { metas, classes, recent, .. } = self;
        let (metas, classes): (&mut [Meta], &mut [Class<K>]) = (metas, classes);
        let meta = &mut metas[slot as usize];
        let (bytes, of) = (meta.bytes, meta.class);
        let class = &mut classes[of as usize];
        // First, for it may panic.
        let told = if tell { class.key.clone().map(|key| (key, why)) } else { None };
        let was = mem::replace(&mut meta.state, SlotState::Vacant);
        let linked = was == SlotState::Idle;
        if linked {
            Self::move_on(metas, slot, [&mut self.trim_at, &mut self.soft_at, &mut self.old_at]);
            recent.unlink(metas, slot);
            self.idle -= 1;
            self.idle_bytes = self.idle_bytes.wrapping_sub(bytes);
        }
        let mut key = None;
        if class.objects > 1 {
            class.objects -= 1;
            class.bytes = class.bytes.wrapping_sub(bytes);
            if linked {
                class.idle_lost(self.epoch);
                class.idle_list.unlink(metas, slot);
            }
        } else {
            // Nothing else of the class matters any more.
            class.idle_list = List::EMPTY;
            key = self.forget(of);
        }
        self.vacant.push_newest(&mut self.metas, slot);
        self.occupied -= 1;
        self.calm_down();
        self.bytes = self.bytes.wrapping_sub(bytes);
        *match why {
            Removal::Evicted(_) => &mut self.evicted,
            Removal::IdleTooLong | Removal::TooOld => &mut self.expired,
            Removal::Discarded(_) => &mut self.discarded,
            Removal::Detached => &mut self.detached,
        } += 1;
        Left { bytes, key, told }
    }

    /// Counts the change of an object's bytes. Wrapping, because a pool without account refuses no size that a factory
    /// claims, however absurd their sum.
    #[inline(always)]
    pub(super) fn count_bytes(&mut self, class: u32, before: usize, after: usize) {
        let change = |bytes: usize| bytes.wrapping_sub(before).wrapping_add(after);
        let class = &mut self.classes[class as usize];
        class.bytes = change(class.bytes);
        self.bytes = change(self.bytes);
        self.peak_bytes = self.peak_bytes.max(self.bytes);
    }

    /// Changes whenever an idle slot is unlinked, so that a remembered place in the order is known to be good.
    pub(super) fn unlinkings(&self) -> u64 {
        self.hits + self.destroyed()
    }

    /// An object that was detached was destroyed all the same.
    #[cold]
    pub(super) fn detached_is_lost(&mut self) {
        self.detached -= 1;
        self.discarded += 1;
    }

    pub(super) fn destroyed(&self) -> u64 {
        self.evicted + self.expired + self.discarded
    }

    pub(super) fn leased(&self) -> usize {
        self.occupied - self.idle
    }

    /// Bytes of the idle objects that may be evicted.
    pub(super) fn evictable(&self) -> usize {
        self.idle_bytes.wrapping_sub(wanted::INSPECTION.or(self.inspected_bytes, 0))
    }

    pub(super) fn stats(&self) -> PoolStats {
        PoolStats {
            leased: self.leased(),
            quarantined: self.quarantined,
            idle: self.idle,
            created: self.created,
            destroyed: self.destroyed(),
            detached: self.detached,
            evicted: self.evicted,
            expired: self.expired,
            discarded: self.discarded,
            hits: self.hits,
            misses: self.misses,
            peak_leased: self.peak_leased,
            leased_bytes: self.bytes.wrapping_sub(self.idle_bytes),
            idle_bytes: self.idle_bytes,
            peak_bytes: self.peak_bytes,
        }
    }

    pub(super) fn key_count(&self) -> usize {
        self.classes.len() - self.vacant_classes.len()
    }

    pub(super) fn key_stats(&mut self, class: u32) -> Option<KeyStats> {
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
