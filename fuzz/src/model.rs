//! What keyed pools must do, said as plainly as possible: lists that are scanned, sums that are summed.
//!
//! The model knows nothing of slots, links or hashes, and keeps no number that it can count. It is told what to do
//! in the same words as the pools, and says what has to come of it. All idle objects are in one list, in the order of
//! their release, whichever pool has them: that is the order in which pools under one tree of accounts evict.

mod levels;
mod upkeep;

pub use levels::{Level, Levels, OverBudget};
pub(crate) use upkeep::Told;

use crate::ops::{Bounds, KEYS, cost_of, estimate_of};
use crate::world::{Heard, Place, Refused, size_of_next};
use pool_core::{Discard, Eviction, KeyStats, PoolStats, Pressure, Removal};

/// An object, wherever it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Object {
    /// Tells it from all others.
    pub serial: u64,
    /// Its pool.
    pub pool: usize,
    /// Its key.
    pub key: u8,
    /// The bytes the pool knows of.
    pub bytes: usize,
    /// The bytes it has; differs while it is out.
    pub actual: usize,
    /// When it was made.
    pub created: u64,
    /// When it came back last, or was made.
    pub released: u64,
    /// How often it was passed over for a cheaper one since.
    pub passed_over: i32,
}

impl Object {
    /// What it costs to make it again for each byte, and half of that for each time it was passed over.
    fn worth(&self) -> f64 {
        // A pool keeps eight binary digits of a cost, and none of these has more.
        f64::from(cost_of(self.key) as f32 / self.bytes.max(1) as f32) * 0.5f64.powi(self.passed_over)
    }
}

/// Bytes that somebody claimed beside the pools.
#[derive(Clone, Debug)]
pub struct Claim {
    /// At which account.
    pub level: usize,
    /// How many bytes.
    pub bytes: usize,
    /// Whether past the limit.
    pub external: bool,
}

/// A refusal, with all its numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names of `AcquireError`")]
pub enum Refusal {
    Closed,
    Exhausted {
        leased: usize,
        max_objects: usize,
    },
    KeyExhausted {
        leased: usize,
        max_per_key: usize,
    },
    OverBudget(OverBudget),
    Create(Refused),
    /// User code panicked.
    Panicked,
}

impl Refusal {
    fn name(&self) -> Option<&'static str> {
        Some(match self {
            Self::Closed => "closed",
            Self::Exhausted { .. } => "exhausted",
            Self::KeyExhausted { .. } => "key exhausted",
            Self::OverBudget(_) => "over budget",
            Self::Create(_) => "create",
            Self::Panicked => return None,
        })
    }
}

/// A pool without its objects.
pub struct Pool {
    /// Its bounds.
    pub bounds: Bounds,
    /// Its account.
    pub home: Option<usize>,
    /// Closed for good.
    pub closed: bool,
    /// Of each key: the fewest idle since the last maintenance, less those that were destroyed.
    floors: [usize; KEYS as usize],
    /// The idle object at which the next slice goes on with the soft idle time; the next in order if that is gone.
    soft_at: Option<u64>,
    /// The same of those that are too old.
    old_at: Option<u64>,
    /// As the last maintenance found it.
    pressure: Pressure,
    /// Leases that are watched: the object, since when, and whether it was told of.
    watched: Vec<(u64, u64, bool)>,
    /// Leases until the next that is watched.
    until_watched: Option<u32>,
    /// What the pool draws that from.
    chance: u32,
    totals: PoolStats,
}

/// The model of pools and their accounts.
pub struct Model {
    /// The pools.
    pub pools: Vec<Pool>,
    /// Whether they give idle objects back to one another.
    pub give: bool,
    /// The time.
    pub now: u64,
    /// Idle objects, the one released longest ago first.
    pub idle: Vec<Object>,
    /// Objects that nobody may use yet, and from when on, those that are due first before the others.
    pub quarantined: Vec<(u64, Object)>,
    /// Objects that are out, in the order of the driver's leases.
    pub leased: Vec<Object>,
    /// Objects whose leases were leaked.
    pub forgotten: Vec<Object>,
    /// Accounts.
    pub levels: Levels,
    /// Claims beside the pools.
    pub claims: Vec<Claim>,
    /// Serial numbers of what was destroyed, in order.
    pub dropped: Vec<u64>,
    /// Serial numbers of what was reset, in order.
    pub reset: Vec<u64>,
    /// What the observers heard, and of which pool.
    pub heard: Vec<(usize, Heard)>,
    /// Objects that the factory made.
    pub made: u64,
    /// The factory fails next.
    pub fail_next: bool,
    /// The resetter discards next.
    pub discard_next: bool,
    /// The next object is larger by this.
    pub misjudge_next: i8,
    /// User code panics next, there.
    pub panic_next: Option<Place>,
}

impl Model {
    /// Empty pools of these bounds and accounts, under accounts of these hard and soft limits and parents.
    #[must_use]
    pub fn new(
        pools: Vec<(Bounds, Option<usize>)>,
        limits: &[(usize, usize, Option<usize>)],
        give: bool,
    ) -> Self {
        let pool = |(bounds, home)| Pool {
            bounds,
            home,
            closed: false,
            floors: [0; KEYS as usize],
            soft_at: None,
            old_at: None,
            pressure: Pressure::None,
            watched: Vec::new(),
            until_watched: None,
            chance: 0x9e37_79b9,
            totals: PoolStats::default(),
        };
        Self {
            pools: pools.into_iter().map(pool).collect(),
            give,
            now: 0,
            idle: Vec::new(),
            quarantined: Vec::new(),
            leased: Vec::new(),
            forgotten: Vec::new(),
            levels: Levels::new(limits),
            claims: Vec::new(),
            dropped: Vec::new(),
            reset: Vec::new(),
            heard: Vec::new(),
            made: 0,
            fail_next: false,
            discard_next: false,
            misjudge_next: 0,
            panic_next: None,
        }
    }

    fn panics(&mut self, place: Place) -> bool {
        let now = self.panic_next == Some(place);
        if now {
            self.panic_next = None;
        }
        now
    }

    /// What a pool has out, objects in quarantine among it.
    fn out(&self, pool: usize) -> impl Iterator<Item = &Object> {
        let late = self.quarantined.iter().map(|(_, object)| object);
        self.leased.iter().chain(&self.forgotten).chain(late).filter(move |object| object.pool == pool)
    }

    fn idle_in(&self, pool: usize) -> impl Iterator<Item = &Object> {
        self.idle.iter().filter(move |object| object.pool == pool)
    }

    fn idle_of(&self, pool: usize, key: u8) -> usize {
        self.idle_in(pool).filter(|object| object.key == key).count()
    }

    fn out_of(&self, pool: usize, key: u8) -> usize {
        self.out(pool).filter(|object| object.key == key).count()
    }

    fn idle_bytes(&self, pool: usize) -> usize {
        self.idle_in(pool).map(|object| object.bytes).sum()
    }

    /// Bytes of all objects of a pool.
    #[must_use]
    pub fn bytes(&self, pool: usize) -> usize {
        self.idle_bytes(pool) + self.out(pool).map(|object| object.bytes).sum::<usize>()
    }

    /// What a pool's statistics must be.
    #[must_use]
    pub fn stats(&self, pool: usize) -> PoolStats {
        let mut stats = self.pools[pool].totals;
        stats.leased = self.out(pool).count();
        stats.quarantined = self.quarantined.iter().filter(|(_, object)| object.pool == pool).count();
        stats.idle = self.idle_in(pool).count();
        stats.idle_bytes = self.idle_bytes(pool);
        stats.leased_bytes = self.bytes(pool) - stats.idle_bytes;
        stats.destroyed = stats.evicted + stats.expired + stats.discarded;
        stats
    }

    /// What a pool's statistics of a key must be.
    #[must_use]
    pub fn key_stats(&self, pool: usize, key: u8) -> Option<KeyStats> {
        let (mut stats, mut any) = (KeyStats::default(), false);
        for object in self.idle_in(pool).filter(|object| object.key == key) {
            any = true;
            stats.idle += 1;
            stats.idle_bytes += object.bytes;
        }
        for object in self.out(pool).filter(|object| object.key == key) {
            any = true;
            stats.leased += 1;
            stats.leased_bytes += object.bytes;
        }
        any.then_some(stats)
    }

    fn waited(&self, object: &Object, ttl: u64) -> bool {
        self.now - object.released > ttl
    }

    fn too_old(&self, object: &Object) -> bool {
        self.now - object.created > self.pools[object.pool].bounds.max_lifetime
    }

    // Room

    /// Bytes that could be evicted inside an account.
    fn evictable(&self, level: usize) -> usize {
        let inside = |object: &&Object| self.levels.path(self.pools[object.pool].home).contains(&level);
        self.idle.iter().filter(inside).map(|object| object.bytes).sum()
    }

    /// The place in the order of what a pool evicts for room: of the oldest ones in its window the one that is worth least
    /// for its bytes, and the oldest of those.
    fn victim(&mut self, pool: usize) -> usize {
        let own = |&at: &usize| self.idle[at].pool == pool;
        let own: Vec<usize> = (0..self.idle.len()).filter(own).collect();
        let window = self.pools[pool].bounds.window;
        let mut best = own[0];
        for &at in own.iter().take(window) {
            if self.idle[at].worth() < self.idle[best].worth() {
                best = at;
            }
        }
        if window > 1 {
            for &at in own.iter().take_while(|&&at| at < best) {
                self.idle[at].passed_over += 1;
            }
        }
        best
    }

    /// The object inside an account that was released longest ago.
    fn oldest_inside(&self, level: usize) -> Option<usize> {
        let inside = |object: &Object| self.levels.path(self.pools[object.pool].home).contains(&level);
        self.idle.iter().position(inside)
    }

    /// Evicts for room inside an account, by way of the pool that has the oldest object there; false if nothing is idle.
    fn evict_inside(&mut self, level: usize) -> bool {
        let Some(oldest) = self.oldest_inside(level) else { return false };
        let first = self.idle[oldest].pool;
        let pool = self.cheapest_pool(level, first);
        let serial = self.idle[oldest].serial;
        let at = self.victim(pool);
        self.destroy_idle(at, Removal::Evicted(Eviction::Room));
        if pool != first
            && let Some(passed) = self.idle.iter_mut().find(|object| object.serial == serial)
        {
            passed.passed_over += 1;
        }
        true
    }

    /// Of the pools inside an account that weigh cost, the one whose next to go is worth least, if the `first`, which has
    /// the oldest object, weighs it too; in doubt the one with the older object.
    fn cheapest_pool(&self, level: usize, first: usize) -> usize {
        let least = |pool: usize| {
            let window = self.pools[pool].bounds.window;
            let own = self.idle.iter().filter(|object| object.pool == pool).take(window);
            let least = own.map(Object::worth).min_by(f64::total_cmp);
            least.filter(|_| window > 1 && self.levels.path(self.pools[pool].home).contains(&level))
        };
        let Some(mut worth) = least(first) else { return first };
        let mut cheapest = first;
        // By their oldest objects.
        for pool in self.idle.iter().map(|object| object.pool) {
            if let Some(other) = least(pool).filter(|&other| other < worth) {
                (worth, cheapest) = (other, pool);
            }
        }
        cheapest
    }

    /// Evicts one object of any pool to make room for `total` bytes, of which `held` are charged; nothing if all that is
    /// idle would not do.
    fn evict_anywhere(&mut self, home: Option<usize>, held: usize, total: usize) -> Result<(), OverBudget> {
        self.admit(home, held, total)?;
        let short = self.levels.short(home, held, total);
        // What goes from inside the lowest account is gone from those above as well.
        if let Some(&(at, _)) = short.first() {
            assert!(self.evict_inside(at), "it can fit, and nothing is idle");
        }
        Ok(())
    }

    /// Has what is in quarantine and due become idle, in all pools.
    fn end_due(&mut self) {
        (0..self.pools.len()).for_each(|pool| self.end_due_of(pool));
    }

    /// Refuses what cannot fit even if all that is idle goes, which is what is in quarantine and due, too.
    fn admit(&mut self, home: Option<usize>, held: usize, total: usize) -> Result<(), OverBudget> {
        self.end_due();
        let short = self.levels.short(home, held, total);
        let hopeless = short.iter().filter(|&&(at, short)| short > self.evictable(at));
        match hopeless.max_by_key(|&&(_, short)| short) {
            Some(&(at, _)) => Err(self.levels.refusal_beyond(at, held, total, Some(self.evictable(at)))),
            None => Ok(()),
        }
    }

    /// The bytes of a pool's own object that goes for room; they stay charged.
    fn evict_own(&mut self, pool: usize) -> usize {
        let at = self.victim(pool);
        let object = self.take_idle(at);
        self.bury_charged(&object, Removal::Evicted(Eviction::Room));
        if self.pools[pool].home.is_none() { 0 } else { object.bytes }
    }

    /// Whether room is made by the oldest of all pools.
    fn others_give(&self) -> bool {
        self.give && self.pools.len() > 1
    }

    /// Claims bytes until `held` is `total`, after evicting the fewest objects that make room, those released longest ago
    /// first; evicts nothing if all of them together would not do.
    fn reserve(
        &mut self,
        pool: usize,
        held: &mut usize,
        total: usize,
        may_evict: bool,
    ) -> Result<(), OverBudget> {
        let home = self.pools[pool].home;
        while let Some((at, short)) = self.levels.tightest(home, *held, total) {
            if may_evict && self.others_give() {
                self.evict_anywhere(home, *held, total)?;
                continue;
            }
            let evictable = if may_evict { self.idle_bytes(pool) } else { 0 };
            if short > evictable {
                return Err(self.levels.refusal_beyond(at, *held, total, may_evict.then_some(evictable)));
            }
            *held += self.evict_own(pool);
        }
        if total > *held {
            self.levels.charge(home, total - *held, false)?;
        } else {
            self.levels.uncharge(home, *held - total, false);
        }
        *held = total;
        Ok(())
    }

    // Objects

    /// Counts the end of an object whose bytes stay charged.
    fn bury_charged(&mut self, object: &Object, why: Removal) {
        self.count_removal(object, why);
        self.dropped.push(object.serial);
    }

    fn count_removal(&mut self, object: &Object, why: Removal) {
        let totals = &mut self.pools[object.pool].totals;
        *match why {
            Removal::Evicted(_) => &mut totals.evicted,
            Removal::IdleTooLong | Removal::TooOld => &mut totals.expired,
            Removal::Discarded(_) => &mut totals.discarded,
            Removal::Detached => &mut totals.detached,
            other => panic!("a removal that the model does not know: {other:?}"),
        } += 1;
        self.heard.push((object.pool, Heard::Removed { key: object.key, bytes: object.bytes, why }));
    }

    fn bury(&mut self, object: &Object, why: Removal) {
        self.levels.uncharge(self.pools[object.pool].home, object.bytes, false);
        self.bury_charged(object, why);
    }

    /// Takes an idle object out of the order; who was to go on there goes on at the next.
    fn unlink(&mut self, at: usize) -> Object {
        let object = self.idle.remove(at);
        let next = self.idle[at..].iter().find(|other| other.pool == object.pool).map(|next| next.serial);
        let pool = &mut self.pools[object.pool];
        for place in [&mut pool.soft_at, &mut pool.old_at] {
            if *place == Some(object.serial) {
                *place = next;
            }
        }
        object
    }

    fn take_idle(&mut self, at: usize) -> Object {
        let object = self.unlink(at);
        // Had it never been there, one fewer would have been idle all along.
        let floor = &mut self.pools[object.pool].floors[usize::from(object.key)];
        *floor = floor.saturating_sub(1);
        object
    }

    fn destroy_idle(&mut self, at: usize, why: Removal) {
        let object = self.take_idle(at);
        self.bury(&object, why);
    }

    fn note_leased(&mut self, pool: usize) {
        let out = self.out(pool).count();
        let totals = &mut self.pools[pool].totals;
        totals.peak_leased = totals.peak_leased.max(out);
    }

    /// `beside` are of the pool, and in none of the lists.
    fn note_bytes(&mut self, pool: usize, beside: usize) {
        let bytes = self.bytes(pool) + beside;
        let totals = &mut self.pools[pool].totals;
        totals.peak_bytes = totals.peak_bytes.max(bytes);
    }

    // Leases that are watched

    fn begin_watch(&mut self, pool: usize, serial: u64) {
        let now = self.now;
        let pool = &mut self.pools[pool];
        let Some((one_in, _)) = pool.bounds.watch else { return };
        // The pool's own numbers, by its own rule.
        let mut draw = |below: u64| {
            let mut x = (pool.chance ^ now as u32).max(1);
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            pool.chance = x;
            ((u64::from(x) * below) >> 32) as u32
        };
        let before = pool.until_watched.unwrap_or_else(|| {
            draw(1);
            draw(one_in.into())
        });
        pool.until_watched = Some(match before.checked_sub(1) {
            Some(fewer) => fewer,
            None => {
                pool.watched.push((serial, now, false));
                draw(2 * u64::from(one_in) - 1)
            }
        });
    }

    /// A lease ended: tells of it if it was said to be leaked.
    fn end_watch(&mut self, object: &Object) {
        let watched = &mut self.pools[object.pool].watched;
        let Some(at) = watched.iter().position(|&(serial, ..)| serial == object.serial) else { return };
        let (_, since, told) = watched.remove(at);
        if told {
            let &Object { key, bytes, .. } = object;
            let age = self.now - since;
            self.heard.push((object.pool, Heard::Returned { key, bytes, since, age }));
        }
    }

    // What can be done

    fn take_newest(&mut self, pool: usize, key: u8) -> Option<u64> {
        if self.pools[pool].closed {
            return None;
        }
        loop {
            let at = self.idle.iter().rposition(|object| object.pool == pool && object.key == key)?;
            let object = &self.idle[at];
            if self.too_old(object) {
                self.destroy_idle(at, Removal::TooOld);
            } else if self.waited(object, self.pools[pool].bounds.idle_ttl) {
                self.destroy_idle(at, Removal::IdleTooLong);
            } else {
                break;
            }
        }
        let at = self.idle.iter().rposition(|object| object.pool == pool && object.key == key)?;
        let object = self.unlink(at);
        let idle = self.idle_of(pool, key);
        let floor = &mut self.pools[pool].floors[usize::from(key)];
        *floor = (*floor).min(idle);
        self.pools[pool].totals.hits += 1;
        let serial = object.serial;
        self.leased.push(object);
        self.note_leased(pool);
        self.begin_watch(pool, serial);
        Some(serial)
    }

    /// Takes the idle object of the key that was released last, and leases it. Expired ones are destroyed. Looks at those in
    /// quarantine if there is none.
    pub fn try_acquire(&mut self, pool: usize, key: u8) -> Option<u64> {
        if let Some(serial) = self.take_newest(pool, key) {
            return Some(serial);
        }
        self.end_due_of(pool);
        self.take_newest(pool, key)
    }

    /// Takes an idle object or makes one.
    pub fn acquire(&mut self, pool: usize, key: u8) -> Result<u64, Refusal> {
        if let Some(serial) = self.try_acquire(pool, key) {
            return Ok(serial);
        }
        if !self.pools[pool].closed {
            self.pools[pool].totals.misses += 1;
        }
        let object = self.create(pool, key, true)?;
        let (serial, bytes) = (object.serial, object.bytes);
        self.leased.push(object);
        self.note_leased(pool);
        self.note_bytes(pool, 0);
        self.begin_watch(pool, serial);
        self.heard.push((pool, Heard::Created { key, bytes }));
        Ok(serial)
    }

    fn create(&mut self, pool: usize, key: u8, may_evict: bool) -> Result<Object, Refusal> {
        let mut held = 0;
        let result = self.try_create(pool, key, may_evict, &mut held);
        if let Err(refusal) = &result {
            self.levels.uncharge(self.pools[pool].home, held, false);
            if let Some(why) = refusal.name() {
                self.heard.push((pool, Heard::Refused { key, why }));
            }
        }
        result
    }

    fn try_create(
        &mut self,
        pool: usize,
        key: u8,
        may_evict: bool,
        held: &mut usize,
    ) -> Result<Object, Refusal> {
        let Pool { home, closed, bounds: Bounds { max_objects, max_per_key, window, .. }, .. } =
            self.pools[pool];
        if closed {
            return Err(Refusal::Closed);
        }
        let (out, idle, out_of_key) =
            (self.out(pool).count(), self.idle_in(pool).count(), self.out_of(pool, key));
        if out_of_key + self.idle_of(pool, key) >= max_per_key {
            return Err(Refusal::KeyExhausted { leased: out_of_key, max_per_key });
        }
        if out + if may_evict { 0 } else { idle } >= max_objects {
            return Err(Refusal::Exhausted { leased: out, max_objects });
        }
        let estimate = estimate_of(key);
        // Until neither the number of objects nor their bytes stand in the way.
        loop {
            let full = out + self.idle_in(pool).count() >= max_objects;
            match self.levels.tightest(home, *held, estimate) {
                // Of a full pool one goes anyway, which may be all that has to; but first of all it must be able to fit.
                Some(_) if may_evict && self.others_give() => {
                    self.admit(home, *held, estimate).map_err(Refusal::OverBudget)?;
                    if !full {
                        self.evict_anywhere(home, *held, estimate).map_err(Refusal::OverBudget)?;
                        continue;
                    }
                }
                Some((at, short)) => {
                    let evictable = if may_evict { self.idle_bytes(pool) } else { 0 };
                    if short > evictable {
                        let counted = may_evict.then_some(evictable);
                        let refusal = self.levels.refusal_beyond(at, *held, estimate, counted);
                        return Err(Refusal::OverBudget(refusal));
                    }
                }
                None if !full => break,
                None => {}
            }
            *held += self.evict_own(pool);
        }
        self.reserve(pool, held, estimate, may_evict).map_err(Refusal::OverBudget)?;
        if self.panics(Place::Create) {
            return Err(Refusal::Panicked);
        }
        if std::mem::take(&mut self.fail_next) {
            return Err(Refusal::Create(Refused));
        }
        let serial = self.made;
        self.made += 1;
        let bytes = size_of_next(key, std::mem::take(&mut self.misjudge_next));
        if self.panics(Place::Measure) {
            self.dropped.push(serial);
            return Err(Refusal::Panicked);
        }
        if bytes <= estimate {
            self.levels.uncharge(home, estimate - bytes, false);
            *held = bytes;
        } else if let Err(refusal) = self.reserve(pool, held, bytes, may_evict) {
            self.levels.uncharge(home, std::mem::take(held), false);
            self.dropped.push(serial);
            return Err(Refusal::OverBudget(refusal));
        }
        if window > 1 && self.panics(Place::Cost) {
            self.dropped.push(serial);
            return Err(Refusal::Panicked);
        }
        *held = 0;
        self.pools[pool].totals.created += 1;
        let (created, released) = (self.now, self.now);
        Ok(Object { serial, pool, key, bytes, actual: bytes, created, released, passed_over: 0 })
    }

    /// Makes idle objects until there are `count`, or as many as may be idle. Nothing here destroys any meanwhile.
    pub fn prewarm(&mut self, pool: usize, key: u8, count: usize) -> Result<usize, Refusal> {
        self.end_due_of(pool);
        let ttl = self.pools[pool].bounds.idle_ttl;
        let over = |object: &Object| self.too_old(object) || self.waited(object, ttl);
        let of_key = |object: &&Object| object.pool == pool && object.key == key && over(object);
        let gone: Vec<u64> = self.idle.iter().filter(of_key).map(|object| object.serial).collect();
        for serial in gone {
            let Some(at) = self.idle.iter().position(|object| object.serial == serial) else { continue };
            let why = if self.too_old(&self.idle[at]) { Removal::TooOld } else { Removal::IdleTooLong };
            self.destroy_idle(at, why);
        }
        let mut made = 0;
        while self.idle_of(pool, key) < count.min(self.pools[pool].bounds.max_idle_per_key) {
            let object = self.create(pool, key, false)?;
            let bytes = object.bytes;
            self.idle.push(object);
            self.note_bytes(pool, 0);
            self.heard.push((pool, Heard::Created { key, bytes }));
            made += 1;
        }
        Ok(made)
    }

    /// Resets and weighs what comes back, or why it is not worth keeping.
    fn refresh(&mut self, object: &mut Object) -> Result<(), Discard> {
        self.reset.push(object.serial);
        if self.panics(Place::Reset) {
            return Err(Discard::Panicked);
        }
        if std::mem::take(&mut self.discard_next) {
            return Err(Discard::Verdict);
        }
        let Pool { home, bounds: Bounds { max_retained_bytes, .. }, .. } = self.pools[object.pool];
        // Bytes that nobody bounds are not measured again.
        if home.is_none() && max_retained_bytes == usize::MAX {
            return Ok(());
        }
        if self.panics(Place::Measure) {
            return Err(Discard::Panicked);
        }
        let (before, after) = (object.bytes, object.actual);
        if after > max_retained_bytes {
            return Err(Discard::Grown);
        }
        if after > before {
            self.levels.charge(home, after - before, false).map_err(|_| Discard::Grown)?;
        } else {
            self.levels.uncharge(home, before - after, false);
        }
        object.bytes = after;
        self.note_bytes(object.pool, after);
        Ok(())
    }

    /// Puts what is reset among the idle, or destroys it.
    fn shelve(&mut self, mut object: Object) {
        let (pool, key) = (object.pool, object.key);
        object.passed_over = 0;
        if self.too_old(&object) {
            self.bury(&object, Removal::TooOld);
        } else if self.pools[pool].closed {
            self.bury(&object, Removal::Discarded(Discard::Closed));
        } else {
            object.released = self.now;
            self.idle.push(object);
            if self.idle_of(pool, key) > self.pools[pool].bounds.max_idle_per_key
                && let Some(oldest) =
                    self.idle.iter().position(|object| object.pool == pool && object.key == key)
            {
                self.destroy_idle(oldest, Removal::Evicted(Eviction::KeyIdle));
            }
        }
    }

    /// Gives a lease back, to be used again from `due` on; true if user code panics.
    pub fn release(&mut self, at: usize, due: Option<u64>) -> bool {
        let mut object = self.leased.remove(at);
        let refreshed = self.refresh(&mut object);
        self.end_watch(&object);
        match (refreshed, due) {
            (Err(why), _) => {
                self.bury(&object, Removal::Discarded(why));
                return why == Discard::Panicked;
            }
            (Ok(()), None) => self.shelve(object),
            (Ok(()), Some(due)) => {
                let before = self.quarantined.iter().filter(|&&(other, _)| other <= due).count();
                self.quarantined.insert(before, (due, object));
            }
        }
        false
    }

    /// Destroys a leased object.
    pub fn discard(&mut self, at: usize) {
        let object = self.leased.remove(at);
        self.end_watch(&object);
        self.bury(&object, Removal::Discarded(Discard::Asked));
    }

    /// Takes an object out for good; its serial number.
    pub fn detach(&mut self, at: usize) -> u64 {
        let object = self.leased.remove(at);
        self.end_watch(&object);
        self.levels.uncharge(self.pools[object.pool].home, object.bytes, false);
        self.count_removal(&object, Removal::Detached);
        object.serial
    }

    /// Leaks a lease.
    pub fn forget(&mut self, at: usize) {
        let object = self.leased.remove(at);
        self.forgotten.push(object);
    }

    /// Claims bytes beside the pools.
    pub fn claim(&mut self, level: usize, bytes: usize, external: bool) -> Result<(), OverBudget> {
        self.levels.charge(Some(level), bytes, external)?;
        self.claims.push(Claim { level, bytes, external });
        Ok(())
    }

    /// Gives a claim back.
    pub fn unclaim(&mut self, at: usize) {
        let Claim { level, bytes, external } = self.claims.remove(at);
        self.levels.uncharge(Some(level), bytes, external);
    }

    /// Changes a hard limit, for which pools that give must evict; the excess that is left.
    pub fn set_hard_limit(&mut self, level: usize, bytes: usize) -> usize {
        self.levels.all[level].hard = bytes;
        if self.give && self.levels.all[level].over() > 0 {
            self.end_due();
        }
        while self.give
            && self.levels.all[level].over() > 0
            && let Some(oldest) = self.oldest_inside(level)
        {
            self.destroy_idle(oldest, Removal::Evicted(Eviction::Asked));
        }
        self.levels.all[level].over()
    }

    /// Changes the hard limit of a pool's account by way of the pool, which evicts what it must; the excess that is
    /// left, if there is an account.
    pub fn set_pool_limit(&mut self, pool: usize, bytes: usize) -> Option<usize> {
        let home = self.pools[pool].home?;
        if self.set_hard_limit(home, bytes) > 0 {
            self.end_due_of(pool);
        }
        while self.levels.all[home].over() > 0
            && let Some(at) = self.idle.iter().position(|object| object.pool == pool)
        {
            self.destroy_idle(at, Removal::Evicted(Eviction::Asked));
        }
        Some(self.levels.all[home].over())
    }

    /// Changes a soft limit.
    pub fn set_soft_limit(&mut self, level: usize, bytes: usize) {
        self.levels.all[level].soft = bytes;
        self.levels.watch(level);
    }

    /// Destroys what is left, as the end of the pools does; the serial numbers, in no particular order.
    pub fn end(&mut self) -> Vec<u64> {
        let late = std::mem::take(&mut self.quarantined).into_iter().map(|(_, object)| object);
        let mut rest: Vec<Object> = late.collect();
        rest.append(&mut self.idle);
        rest.append(&mut self.forgotten);
        for object in &rest {
            self.levels.uncharge(self.pools[object.pool].home, object.bytes, false);
        }
        rest.iter().map(|object| object.serial).collect()
    }
}
