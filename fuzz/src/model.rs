//! What a keyed pool must do, said as plainly as possible: lists that are scanned, sums that are summed.
//!
//! The model knows nothing of slots, links or hashes, and keeps no number that it can count. It is told what to do
//! in the same words as the pool, and says what has to come of it.

use crate::ops::{Bounds, KEYS, estimate_of};
use crate::world::{Refused, size_of_next};
use pool_core::{AccountEventKind, KeyStats, PoolStats, Pressure};

/// An object, wherever it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Object {
    /// Tells it from all others.
    pub serial: u64,
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
}

/// An account and its history.
#[derive(Clone, Debug)]
pub struct Level {
    /// No charge passes this.
    pub hard: usize,
    /// Above this is pressure.
    pub soft: usize,
    /// Bytes in use.
    pub used: usize,
    /// Of those: external.
    pub external: usize,
    /// Most in use since the last reset.
    pub peak: usize,
    /// Most ever in use.
    pub lifetime_peak: usize,
    /// Whether `soft` was passed, and `low` not yet reached again.
    pub over_soft: bool,
}

impl Level {
    fn low(&self) -> usize {
        self.soft - self.soft / 8
    }

    fn over(&self) -> usize {
        self.used.saturating_sub(self.hard)
    }
}

/// Bytes that somebody claimed beside the pool.
#[derive(Clone, Debug)]
pub struct Claim {
    /// At which account.
    pub level: usize,
    /// How many bytes.
    pub bytes: usize,
    /// Whether past the limit.
    pub external: bool,
}

/// A refusal for want of bytes, with all its numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names of `OverBudget`")]
pub struct OverBudget {
    pub level: usize,
    pub requested: usize,
    pub used: usize,
    pub limit: usize,
    pub free: usize,
    pub evictable: usize,
}

/// A refusal, with all its numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names of `AcquireError`")]
pub enum Refusal {
    Closed,
    Exhausted { leased: usize, max_objects: usize },
    KeyExhausted { leased: usize, max_per_key: usize },
    OverBudget(OverBudget),
    Create(Refused),
}

/// The model of a pool and its accounts.
pub struct Model {
    /// Its bounds.
    pub bounds: Bounds,
    /// The time.
    pub now: u64,
    /// Closed for good.
    pub closed: bool,
    /// Idle objects, the one released longest ago first.
    pub idle: Vec<Object>,
    /// Objects that are out, in the order of the driver's leases.
    pub leased: Vec<Object>,
    /// Objects whose leases were leaked.
    pub forgotten: Vec<Object>,
    /// Accounts, the pool's own first.
    pub levels: Vec<Level>,
    /// Claims beside the pool.
    pub claims: Vec<Claim>,
    /// Serial numbers of what was destroyed, in order.
    pub dropped: Vec<u64>,
    /// Serial numbers of what was reset, in order.
    pub reset: Vec<u64>,
    /// Crossings of soft limits, in order: account, which way, bytes in use.
    pub events: Vec<(usize, AccountEventKind, usize)>,
    /// Objects that the factory made.
    pub made: u64,
    /// The factory fails next.
    pub fail_next: bool,
    /// The resetter discards next.
    pub discard_next: bool,
    /// The next object is larger by this.
    pub misjudge_next: i8,
    /// Of each key: the fewest idle since the last maintenance, less those that were destroyed.
    pub floors: [usize; KEYS as usize],
    /// The last maintenance may have stopped half way through the idle objects.
    sliced: bool,
    totals: PoolStats,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Evicted,
    Expired,
    Discarded,
}

impl Model {
    /// An empty pool.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let level = |&(hard, soft): &(usize, usize)| Level {
            hard,
            soft,
            used: 0,
            external: 0,
            peak: 0,
            lifetime_peak: 0,
            over_soft: false,
        };
        Self {
            levels: bounds.accounts.iter().map(level).collect(),
            bounds,
            now: 0,
            closed: false,
            idle: Vec::new(),
            leased: Vec::new(),
            forgotten: Vec::new(),
            claims: Vec::new(),
            dropped: Vec::new(),
            reset: Vec::new(),
            events: Vec::new(),
            made: 0,
            fail_next: false,
            discard_next: false,
            misjudge_next: 0,
            floors: [0; KEYS as usize],
            sliced: false,
            totals: PoolStats::default(),
        }
    }

    fn out(&self) -> impl Iterator<Item = &Object> {
        self.leased.iter().chain(&self.forgotten)
    }

    fn idle_of(&self, key: u8) -> usize {
        self.idle.iter().filter(|object| object.key == key).count()
    }

    fn leased_of(&self, key: u8) -> usize {
        self.out().filter(|object| object.key == key).count()
    }

    fn idle_bytes(&self) -> usize {
        self.idle.iter().map(|object| object.bytes).sum()
    }

    fn leased_bytes(&self) -> usize {
        self.out().map(|object| object.bytes).sum()
    }

    /// Bytes of all objects.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.idle_bytes() + self.leased_bytes()
    }

    /// What the pool's statistics must be.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let mut stats = self.totals;
        stats.leased = self.out().count();
        stats.idle = self.idle.len();
        stats.leased_bytes = self.leased_bytes();
        stats.idle_bytes = self.idle_bytes();
        stats.destroyed = stats.evicted + stats.expired + stats.discarded;
        stats
    }

    /// What the pool's statistics of a key must be.
    #[must_use]
    pub fn key_stats(&self, key: u8) -> Option<KeyStats> {
        let (mut stats, mut any) = (KeyStats::default(), false);
        for object in self.idle.iter().filter(|object| object.key == key) {
            any = true;
            stats.idle += 1;
            stats.idle_bytes += object.bytes;
        }
        for object in self.out().filter(|object| object.key == key) {
            any = true;
            stats.leased += 1;
            stats.leased_bytes += object.bytes;
        }
        any.then_some(stats)
    }

    fn waited(&self, object: &Object) -> bool {
        self.now - object.released > self.bounds.idle_ttl
    }

    fn too_old(&self, object: &Object) -> bool {
        self.now - object.created > self.bounds.max_lifetime
    }

    // Bytes

    fn watch(&mut self, from: usize) {
        for at in from..self.levels.len() {
            let level = &mut self.levels[at];
            let kind = if level.used > level.soft && !level.over_soft {
                AccountEventKind::OverSoftLimit
            } else if level.used <= level.low() && level.over_soft {
                AccountEventKind::BackToLow
            } else {
                continue;
            };
            level.over_soft = !level.over_soft;
            self.events.push((at, kind, level.used));
        }
    }

    /// Charges the account `from` and those above it, or none.
    fn charge(&mut self, from: usize, bytes: usize, external: bool) -> Result<(), OverBudget> {
        for at in from..self.levels.len() {
            let level = &self.levels[at];
            if !external && level.used + bytes > level.hard {
                return Err(self.refusal(at, bytes, 0));
            }
        }
        for level in &mut self.levels[from..] {
            level.used += bytes;
            level.external += if external { bytes } else { 0 };
            level.peak = level.peak.max(level.used);
            level.lifetime_peak = level.lifetime_peak.max(level.used);
        }
        self.watch(from);
        Ok(())
    }

    fn uncharge(&mut self, from: usize, bytes: usize, external: bool) {
        for level in &mut self.levels[from..] {
            level.used -= bytes;
            level.external -= if external { bytes } else { 0 };
        }
        self.watch(from);
    }

    fn refusal(&self, at: usize, requested: usize, evictable: usize) -> OverBudget {
        let level = &self.levels[at];
        OverBudget {
            level: at,
            requested,
            used: level.used,
            limit: level.hard,
            free: level.hard.saturating_sub(level.used),
            evictable,
        }
    }

    /// The account that is short of the most bytes for holding `total` in place of the `held` that are charged already, and
    /// how many; the highest if several are.
    fn tightest(&self, held: usize, total: usize) -> Option<(usize, usize)> {
        let short = |level: &Level| (level.used - held + total).saturating_sub(level.hard);
        let shorts = self.levels.iter().map(short).enumerate();
        shorts.filter(|&(_, short)| short > 0).max_by_key(|&(_, short)| short)
    }

    fn refusal_beyond(&self, at: usize, held: usize, total: usize, evictable: usize) -> OverBudget {
        let mut refusal = self.refusal(at, total.saturating_sub(held), evictable);
        refusal.used -= held.saturating_sub(total);
        refusal.free = refusal.limit.saturating_sub(refusal.used);
        refusal
    }

    /// Claims bytes until `held` is `total`, after evicting the fewest objects that make room, those released longest ago
    /// first, whose bytes it takes over; evicts nothing if all of them together would not do.
    fn reserve(&mut self, held: &mut usize, total: usize, may_evict: bool) -> Result<(), OverBudget> {
        while let Some((at, short)) = self.tightest(*held, total) {
            let evictable = if may_evict { self.idle_bytes() } else { 0 };
            if short > evictable {
                return Err(self.refusal_beyond(at, *held, total, evictable));
            }
            *held += self.evict_for_room();
        }
        if total > *held {
            self.charge(0, total - *held, false)?;
        } else {
            self.uncharge(0, *held - total, false);
        }
        *held = total;
        Ok(())
    }

    /// The bytes of the object released longest ago, which goes; they stay charged.
    fn evict_for_room(&mut self) -> usize {
        let object = self.take_idle(0);
        self.totals.evicted += 1;
        self.dropped.push(object.serial);
        if self.levels.is_empty() { 0 } else { object.bytes }
    }

    // Objects

    fn bury(&mut self, object: &Object, why: Why) {
        match why {
            Why::Evicted => self.totals.evicted += 1,
            Why::Expired => self.totals.expired += 1,
            Why::Discarded => self.totals.discarded += 1,
        }
        self.uncharge(0, object.bytes, false);
        self.dropped.push(object.serial);
    }

    fn take_idle(&mut self, at: usize) -> Object {
        let object = self.idle.remove(at);
        // Had it never been there, one fewer would have been idle all along.
        let floor = &mut self.floors[usize::from(object.key)];
        *floor = floor.saturating_sub(1);
        object
    }

    fn destroy_idle(&mut self, at: usize, why: Why) {
        let object = self.take_idle(at);
        self.bury(&object, why);
    }

    fn note_leased(&mut self) {
        self.totals.peak_leased = self.totals.peak_leased.max(self.out().count());
    }

    fn note_bytes(&mut self) {
        self.totals.peak_bytes = self.totals.peak_bytes.max(self.bytes());
    }

    /// Takes the idle object of the key that was released last, and leases it. Expired ones are destroyed.
    pub fn try_acquire(&mut self, key: u8) -> Option<u64> {
        loop {
            let at = self.idle.iter().rposition(|object| object.key == key)?;
            if self.waited(&self.idle[at]) || self.too_old(&self.idle[at]) {
                self.destroy_idle(at, Why::Expired);
                continue;
            }
            let object = self.idle.remove(at);
            let idle = self.idle_of(key);
            let floor = &mut self.floors[usize::from(key)];
            *floor = (*floor).min(idle);
            self.totals.hits += 1;
            let serial = object.serial;
            self.leased.push(object);
            self.note_leased();
            return Some(serial);
        }
    }

    /// Takes an idle object or makes one.
    pub fn acquire(&mut self, key: u8) -> Result<u64, Refusal> {
        if let Some(serial) = self.try_acquire(key) {
            return Ok(serial);
        }
        if !self.closed {
            self.totals.misses += 1;
        }
        let object = self.create(key, true)?;
        let serial = object.serial;
        self.leased.push(object);
        self.note_leased();
        self.note_bytes();
        Ok(serial)
    }

    fn create(&mut self, key: u8, may_evict: bool) -> Result<Object, Refusal> {
        if self.closed {
            return Err(Refusal::Closed);
        }
        let (leased, of_key) = (self.out().count(), self.leased_of(key));
        let Bounds { max_objects, max_per_key, .. } = self.bounds;
        if of_key + self.idle_of(key) >= max_per_key {
            return Err(Refusal::KeyExhausted { leased: of_key, max_per_key });
        }
        let staying = if may_evict { leased } else { leased + self.idle.len() };
        if staying >= max_objects {
            return Err(Refusal::Exhausted { leased, max_objects });
        }
        let estimate = estimate_of(key);
        let evictable = if may_evict { self.idle_bytes() } else { 0 };
        let mut held = 0;
        if let Some((at, short)) = self.tightest(held, estimate)
            && short > evictable
        {
            return Err(Refusal::OverBudget(self.refusal(at, estimate, evictable)));
        }
        // From here on it can succeed.
        if leased + self.idle.len() >= max_objects {
            held += self.evict_for_room();
        }
        if let Err(refusal) = self.reserve(&mut held, estimate, may_evict) {
            self.uncharge(0, held, false);
            return Err(Refusal::OverBudget(refusal));
        }
        if std::mem::take(&mut self.fail_next) {
            self.uncharge(0, held, false);
            return Err(Refusal::Create(Refused));
        }
        let serial = self.made;
        self.made += 1;
        let bytes = size_of_next(key, std::mem::take(&mut self.misjudge_next));
        if bytes <= estimate {
            self.uncharge(0, estimate - bytes, false);
        } else if let Err(refusal) = self.reserve(&mut held, bytes, may_evict) {
            self.uncharge(0, held, false);
            self.dropped.push(serial);
            return Err(Refusal::OverBudget(refusal));
        }
        self.totals.created += 1;
        Ok(Object { serial, key, bytes, actual: bytes, created: self.now, released: self.now })
    }

    /// Makes idle objects until there are `count`, or as many as may be idle.
    pub fn prewarm(&mut self, key: u8, count: usize) -> Result<usize, Refusal> {
        let mut made = 0;
        while self.idle_of(key) < count.min(self.bounds.max_idle_per_key) {
            let object = self.create(key, false)?;
            self.idle.push(object);
            self.note_bytes();
            made += 1;
        }
        Ok(made)
    }

    /// Gives a lease back.
    pub fn release(&mut self, at: usize) {
        let mut object = self.leased.remove(at);
        self.reset.push(object.serial);
        let mut keep = !std::mem::take(&mut self.discard_next);
        // Bytes that nobody bounds are not measured again.
        let Bounds { max_retained_bytes, max_idle_per_key, .. } = self.bounds;
        if keep && (!self.levels.is_empty() || max_retained_bytes != usize::MAX) {
            let (before, after) = (object.bytes, object.actual);
            keep = after <= max_retained_bytes;
            if keep && after > before {
                keep = self.charge(0, after - before, false).is_ok();
            } else if keep && after < before {
                self.uncharge(0, before - after, false);
            }
            if keep {
                object.bytes = after;
                self.totals.peak_bytes = self.totals.peak_bytes.max(self.bytes() + after);
            }
        }
        if keep && self.too_old(&object) {
            self.bury(&object, Why::Expired);
        } else if keep && !self.closed {
            object.released = self.now;
            let key = object.key;
            self.idle.push(object);
            if self.idle_of(key) > max_idle_per_key
                && let Some(oldest) = self.idle.iter().position(|object| object.key == key)
            {
                self.destroy_idle(oldest, Why::Evicted);
            }
        } else {
            self.bury(&object, Why::Discarded);
        }
    }

    /// Destroys a leased object.
    pub fn discard(&mut self, at: usize) {
        let object = self.leased.remove(at);
        self.bury(&object, Why::Discarded);
    }

    /// Takes an object out for good; its serial number.
    pub fn detach(&mut self, at: usize) -> u64 {
        let object = self.leased.remove(at);
        self.totals.detached += 1;
        self.uncharge(0, object.bytes, false);
        object.serial
    }

    /// Leaks a lease.
    pub fn forget(&mut self, at: usize) {
        let object = self.leased.remove(at);
        self.forgotten.push(object);
    }

    /// Trims to `target` idle objects, but leaves each key its least.
    pub fn trim(&mut self, target: usize) -> usize {
        let mut destroyed = 0;
        while self.idle.len() > target {
            let may_go = |object: &Object| self.idle_of(object.key) > self.bounds.min_idle;
            let Some(at) = self.idle.iter().position(may_go) else { break };
            self.destroy_idle(at, Why::Evicted);
            destroyed += 1;
        }
        destroyed
    }

    /// Keeps what `keep` says.
    pub fn retain(&mut self, keep: impl Fn(u8) -> bool) -> usize {
        let mut destroyed = 0;
        while let Some(at) = self.idle.iter().position(|object| !keep(object.key)) {
            self.destroy_idle(at, Why::Evicted);
            destroyed += 1;
        }
        destroyed
    }

    /// Evicts to so many bytes; the bytes freed.
    pub fn evict_to(&mut self, bytes: usize) -> usize {
        let before = self.bytes();
        while self.bytes() > bytes && !self.idle.is_empty() {
            self.destroy_idle(0, Why::Evicted);
        }
        before - self.bytes()
    }

    /// Closes the pool.
    pub fn close(&mut self) {
        self.closed = true;
        self.trim_all();
    }

    fn trim_all(&mut self) {
        while !self.idle.is_empty() {
            self.destroy_idle(0, Why::Evicted);
        }
    }

    fn pressure(&self) -> Pressure {
        if self.levels.iter().any(|level| level.over() > 0) {
            Pressure::Critical
        } else if self.levels.iter().any(|level| level.over_soft) {
            Pressure::Moderate
        } else {
            Pressure::None
        }
    }

    /// A slice of housekeeping; how many went.
    ///
    /// Which of the objects that are too old a slice finds is the pool's affair, as long as they are no more than
    /// `limit` and, without a limit, all. So the model is told by what the pool dropped (`real_dropped`, all there
    /// ever were) and how many it counted as expired (`real_expired`), and checks that each was due.
    pub fn maintain(&mut self, limit: usize, real_dropped: &[u64], real_expired: u64) -> usize {
        let mut destroyed = 0;
        while destroyed < limit && self.idle.first().is_some_and(|oldest| self.waited(oldest)) {
            self.destroy_idle(0, Why::Expired);
            destroyed += 1;
        }
        let old = (real_expired - self.totals.expired) as usize;
        assert!(old <= limit, "more work than the limit: {old} too old ones, of {limit}");
        for _ in 0..old {
            let serial = real_dropped[self.dropped.len()];
            let at = self.idle.iter().position(|object| object.serial == serial);
            let at = at.unwrap_or_else(|| panic!("object {serial} was not idle, and expired"));
            assert!(self.too_old(&self.idle[at]), "object {serial} is not too old, and expired");
            self.destroy_idle(at, Why::Expired);
            destroyed += 1;
        }
        if limit == usize::MAX {
            assert!(
                !self.idle.iter().any(|object| self.too_old(object)),
                "some too old ones were passed over"
            );
        }
        if self.levels.is_empty() {
            return destroyed;
        }
        let pressure = self.pressure();
        match pressure {
            Pressure::None => {}
            Pressure::Critical => {
                for _ in 0..limit.min(self.idle.len()) {
                    self.destroy_idle(0, Why::Evicted);
                    destroyed += 1;
                }
            }
            Pressure::Moderate => {
                let over_low = |level: &Level| level.over_soft && level.used > level.low();
                // A whole round takes the oldest of those that may go. A slice looks at `limit` objects from
                // where the last one ended, and once round: which it gets to see is the pool's affair, too.
                let whole = limit == usize::MAX && !self.sliced;
                let (mut evicted, mut from, mut wrapped) = (0, 0, 0);
                while self.levels.iter().any(over_low) {
                    let may_go = |object: &Object| {
                        self.floors[usize::from(object.key)] > 0
                            && self.idle_of(object.key) > self.bounds.min_idle
                    };
                    let at = if whole {
                        self.idle.iter().position(may_go)
                    } else {
                        let serial = real_dropped.get(self.dropped.len());
                        serial.and_then(|&serial| self.idle.iter().position(|object| object.serial == serial))
                    };
                    let Some(at) = at else { break };
                    let object = &self.idle[at];
                    assert!(may_go(object), "evicted under pressure, and should not: {object:?}");
                    wrapped += usize::from(at < from);
                    assert!(wrapped <= 1, "went round more than once: {object:?}");
                    assert!(evicted < limit, "more work than the limit: {limit}");
                    from = if whole { 0 } else { at };
                    evicted += 1;
                    self.destroy_idle(at, Why::Evicted);
                }
                destroyed += evicted;
            }
        }
        self.sliced = limit != usize::MAX && pressure == Pressure::Moderate;
        for key in 0..KEYS {
            self.floors[usize::from(key)] = self.idle_of(key);
        }
        destroyed
    }

    /// Claims bytes beside the pool.
    pub fn claim(&mut self, level: usize, bytes: usize, external: bool) -> Result<(), OverBudget> {
        self.charge(level, bytes, external)?;
        self.claims.push(Claim { level, bytes, external });
        Ok(())
    }

    /// Gives a claim back.
    pub fn unclaim(&mut self, at: usize) {
        let Claim { level, bytes, external } = self.claims.remove(at);
        self.uncharge(level, bytes, external);
    }

    /// Changes a hard limit; the excess that is left.
    pub fn set_hard_limit(&mut self, level: usize, bytes: usize) -> usize {
        self.levels[level].hard = bytes;
        self.levels[level].over()
    }

    /// Changes the hard limit of the pool's account by way of the pool, which evicts what it must; the excess that is
    /// left, if there is an account.
    pub fn set_pool_limit(&mut self, bytes: usize) -> Option<usize> {
        self.levels.first_mut()?.hard = bytes;
        while self.levels[0].over() > 0 && !self.idle.is_empty() {
            self.destroy_idle(0, Why::Evicted);
        }
        Some(self.levels[0].over())
    }

    /// Changes a soft limit.
    pub fn set_soft_limit(&mut self, level: usize, bytes: usize) {
        self.levels[level].soft = bytes;
        let events = self.events.len();
        self.watch(level);
        // Only the level that was changed is asked, and the others have nothing new to say.
        assert!(self.events[events..].iter().all(|event| event.0 == level));
    }

    /// Destroys what is left, as the end of the pool does; the serial numbers, in no particular order.
    pub fn end(&mut self) -> Vec<u64> {
        let rest = [std::mem::take(&mut self.idle), std::mem::take(&mut self.forgotten)].concat();
        for object in &rest {
            self.uncharge(0, object.bytes, false);
        }
        rest.iter().map(|object| object.serial).collect()
    }
}
