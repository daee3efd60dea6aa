//! What housekeeping must do: trims, expiry, pressure, quarantine's end.

use super::{Model, Object};
use crate::ops::{Bounds, KEYS};
use crate::world::Heard;
use pool_core::{Eviction, Pressure, Removal, WorkLimit};

const ASKED: Removal = Removal::Evicted(Eviction::Asked);

/// What an observer heard of the pool so far and what was dropped: which objects a slice found.
pub(crate) struct Told<'a> {
    pub(crate) heard: &'a [(usize, Heard)],
    pub(crate) dropped: &'a [u64],
}

/// What becomes of an object that a walk looks at.
enum Look {
    Goes,
    Stays,
    /// Nor any that was released later.
    Ends,
}

impl Model {
    fn oldest_that(&self, pool: usize, may_go: impl Fn(&Object) -> bool) -> Option<usize> {
        self.idle.iter().position(|object| object.pool == pool && may_go(object))
    }

    /// Trims to `target` idle objects, but leaves each key its least.
    pub fn trim(&mut self, pool: usize, target: usize) -> usize {
        self.end_due_of(pool);
        let (mut destroyed, min_idle) = (0, self.pools[pool].bounds.min_idle);
        while self.idle_in(pool).count() > target {
            let may_go = |object: &Object| self.idle_of(pool, object.key) > min_idle;
            let Some(at) = self.oldest_that(pool, may_go) else { break };
            self.destroy_idle(at, ASKED);
            destroyed += 1;
        }
        destroyed
    }

    /// Keeps what `keep` says.
    pub fn retain(&mut self, pool: usize, keep: impl Fn(u8) -> bool) -> usize {
        let mut destroyed = 0;
        while let Some(at) = self.oldest_that(pool, |object| !keep(object.key)) {
            self.destroy_idle(at, ASKED);
            destroyed += 1;
        }
        destroyed
    }

    /// Evicts to so many bytes; the bytes freed.
    pub fn evict_to(&mut self, pool: usize, bytes: usize) -> usize {
        self.end_due_of(pool);
        let before = self.bytes(pool);
        while self.bytes(pool) > bytes
            && let Some(at) = self.oldest_that(pool, |_| true)
        {
            self.destroy_idle(at, ASKED);
        }
        before - self.bytes(pool)
    }

    /// Closes a pool.
    pub fn close(&mut self, pool: usize) {
        self.pools[pool].closed = true;
        while let Some(at) = self.oldest_that(pool, |_| true) {
            self.destroy_idle(at, Removal::Evicted(Eviction::Closed));
        }
        self.end_due_of(pool);
    }

    /// Has all that is in quarantine and due become idle.
    pub(super) fn end_due_of(&mut self, pool: usize) {
        self.end_quarantines(pool, &mut WorkLimit { objects: usize::MAX, bytes: usize::MAX });
    }

    /// Makes idle what was in quarantine and is due, as far as the limit goes.
    pub(super) fn end_quarantines(&mut self, pool: usize, limit: &mut WorkLimit) {
        for _ in 0..limit.objects {
            if limit.bytes == 0 {
                return;
            }
            let due = |(due, object): &(u64, Object)| object.pool == pool && *due <= self.now;
            let Some(at) = self.quarantined.iter().position(due) else { return };
            let (_, object) = self.quarantined.remove(at);
            let held = self.bytes(pool) + object.bytes;
            self.shelve(object);
            if limit.bytes != usize::MAX {
                limit.bytes = limit.bytes.saturating_sub(held - self.bytes(pool));
            }
        }
    }

    /// Destroys those that waited longer than the hard idle time, the oldest first; looks at no more than the limit says.
    fn expire_waiting(&mut self, pool: usize, limit: &mut WorkLimit) {
        let (ttl, mut bytes) = (self.pools[pool].bounds.idle_ttl, 0);
        for _ in 0..limit.objects {
            let Some(at) = self.oldest_that(pool, |_| true).filter(|&at| self.waited(&self.idle[at], ttl))
            else {
                break;
            };
            if bytes >= limit.bytes && limit.bytes != usize::MAX {
                break;
            }
            bytes += self.idle[at].bytes;
            self.destroy_idle(at, Removal::IdleTooLong);
        }
        if limit.bytes != usize::MAX {
            limit.bytes = limit.bytes.saturating_sub(bytes);
        }
    }

    /// Destroys those that waited longer than the soft idle time and whose key keeps others, the oldest first, until one has
    /// not waited.
    fn expire_waiting_softly(&mut self, pool: usize, limit: &mut WorkLimit) {
        let Bounds { soft_idle_ttl: ttl, min_idle, .. } = self.pools[pool].bounds;
        if ttl == u64::MAX {
            return;
        }
        let from = self.pools[pool].soft_at;
        let more = |model: &Self| model.idle_in(pool).next().is_some_and(|oldest| model.waited(oldest, ttl));
        let from = self.walk(pool, limit, from, Removal::IdleTooLong, more, |model, object| {
            match model.waited(object, ttl) {
                true if model.idle_of(pool, object.key) > min_idle => Look::Goes,
                true => Look::Stays,
                false => Look::Ends,
            }
        });
        self.pools[pool].soft_at = from;
    }

    /// Destroys those that are too old, in the order of their release.
    fn expire_old(&mut self, pool: usize, limit: &mut WorkLimit) {
        if self.pools[pool].bounds.max_lifetime == u64::MAX {
            return;
        }
        let from = self.pools[pool].old_at;
        let from = self.walk(
            pool,
            limit,
            from,
            Removal::TooOld,
            |_| true,
            |model, object| {
                if model.too_old(object) { Look::Goes } else { Look::Stays }
            },
        );
        self.pools[pool].old_at = from;
    }

    /// Looks at idle objects, the oldest first and while there is `more` to do, and destroys those that are to go. If the limit is
    /// below the number of idle objects it looks at so many, from where the last slice was cut short; returns where it was itself.
    fn walk(
        &mut self,
        pool: usize,
        limit: &mut WorkLimit,
        from: Option<u64>,
        why: Removal,
        more: impl Fn(&Self) -> bool,
        look: impl Fn(&Self, &Object) -> Look,
    ) -> Option<u64> {
        let slice = limit.objects < self.idle_in(pool).count();
        let mut from = from.filter(|_| slice);
        let (mut looks, mut bytes) = (limit.objects, 0);
        while bytes < limit.bytes || limit.bytes == usize::MAX {
            if !more(self) {
                from = None;
                break;
            }
            let own: Vec<Object> = self.idle_in(pool).cloned().collect();
            let start = own.iter().position(|object| Some(object.serial) == from).unwrap_or(0);
            let mut victim = None;
            from = None;
            for object in &own[start..] {
                if looks == 0 {
                    from = Some(object.serial);
                    break;
                }
                looks -= 1;
                match look(self, object) {
                    Look::Goes => {
                        victim = Some(object);
                        break;
                    }
                    Look::Stays => {}
                    Look::Ends => break,
                }
            }
            let Some(victim) = victim else { break };
            let at = own.iter().position(|object| object == victim).unwrap_or(0);
            from = own.get(at + 1).map(|next| next.serial);
            bytes += victim.bytes;
            let Some(at) = self.idle.iter().position(|object| object == victim) else { break };
            self.destroy_idle(at, why);
        }
        if limit.bytes != usize::MAX {
            limit.bytes = limit.bytes.saturating_sub(bytes);
        }
        from.filter(|_| slice)
    }

    /// Tells of leases that are out for too long, no more than `most`.
    fn tell_leaks(&mut self, pool: usize, most: usize) {
        let Some((_, after)) = self.pools[pool].bounds.watch else { return };
        let now = self.now;
        for _ in 0..most {
            let overdue = |&&mut (_, since, told): &&mut (u64, u64, bool)| !told && now - since > after;
            let Some(watched) = self.pools[pool].watched.iter_mut().find(overdue) else { return };
            watched.2 = true;
            let (serial, since, _) = *watched;
            let Some(object) = self.out(pool).find(|object| object.serial == serial) else {
                panic!("object {serial} is watched, and not out");
            };
            let &Object { key, bytes, .. } = object;
            self.heard.push((pool, Heard::Leaked { key, bytes, since, age: now - since }));
        }
    }

    fn relieve(&mut self, pool: usize, limit: WorkLimit, told: &Told<'_>) -> Pressure {
        const WHY: Removal = Removal::Evicted(Eviction::Pressure);
        let (home, min_idle) = (self.pools[pool].home, self.pools[pool].bounds.min_idle);
        let pressure = self.levels.pressure(home);
        let (mut evicted, mut bytes) = (0, 0);
        let more = |bytes| bytes < limit.bytes || limit.bytes == usize::MAX;
        match pressure {
            Pressure::None => {}
            Pressure::Critical => {
                while evicted < limit.objects
                    && more(bytes)
                    && let Some(at) = self.oldest_that(pool, |_| true)
                {
                    evicted += 1;
                    bytes += self.idle[at].bytes;
                    self.destroy_idle(at, WHY);
                }
            }
            Pressure::Moderate => {
                // A whole round takes the oldest of those that may go. A slice looks at so many objects from
                // where the last one was cut short, and once round: which it gets to see is the pool's affair, too.
                let whole = limit.objects >= self.idle_in(pool).count();
                let (mut from, mut wrapped) = (0, 0);
                while self.levels.above_low(home) && more(bytes) {
                    let may_go = |object: &Object| {
                        self.pools[pool].floors[usize::from(object.key)] > 0
                            && self.idle_of(pool, object.key) > min_idle
                    };
                    let at = if whole {
                        self.oldest_that(pool, may_go)
                    } else {
                        let serial = match told.heard.get(self.heard.len()) {
                            Some((_, Heard::Removed { why: WHY, .. })) => {
                                told.dropped.get(self.dropped.len())
                            }
                            _ => None,
                        };
                        serial.and_then(|&serial| self.oldest_that(pool, |object| object.serial == serial))
                    };
                    let Some(at) = at else { break };
                    let object = &self.idle[at];
                    assert!(may_go(object), "evicted under pressure, and should not: {object:?}");
                    wrapped += usize::from(at < from);
                    assert!(wrapped <= 1, "went round more than once: {object:?}");
                    assert!(evicted < limit.objects, "more work than the limit: {limit:?}");
                    from = if whole { 0 } else { at };
                    evicted += 1;
                    bytes += object.bytes;
                    self.destroy_idle(at, WHY);
                }
            }
        }
        pressure
    }

    /// A slice of housekeeping; how many went.
    pub(crate) fn maintain(&mut self, pool: usize, mut limit: WorkLimit, told: &Told<'_>) -> usize {
        let before = self.stats(pool).destroyed;
        self.end_quarantines(pool, &mut limit);
        self.expire_waiting(pool, &mut limit);
        self.expire_old(pool, &mut limit);
        self.expire_waiting_softly(pool, &mut limit);
        self.tell_leaks(pool, limit.objects);
        if self.pools[pool].home.is_some() {
            let pressure = self.relieve(pool, limit, told);
            for key in 0..KEYS {
                self.pools[pool].floors[usize::from(key)] = self.idle_of(pool, key);
            }
            if std::mem::replace(&mut self.pools[pool].pressure, pressure) != pressure {
                self.heard.push((pool, Heard::Pressure(pressure)));
            }
        }
        (self.stats(pool).destroyed - before) as usize
    }
}
