//! Buffers for real-time audio threads: [`RealtimePool`].
//!
//! # Who does what
//!
//! ```text
//!   where allocating is allowed                            audio threads           any thread
//!   ┌────────────────────────────────────────────┐        ┌────────────────┐      ┌──────────────┐
//!   │ RealtimePool   prewarm, handle, stats      │ handle │ RealtimeHandle │ lease│ drop(lease)  │
//!   │   maintain: makes, clears, evicts, destroys│───────>│ acquire_*      │─────>│              │
//!   └──────^─────────────────────────────────────┘        └───────┬────────┘      └──────┬───────┘
//!          │ Worker: a thread that calls maintain                 │                      │
//!          └─────────── wanted: more, cleared, doomed ────────────┴──────────────────────┘
//! ```
//!
//! A key is resolved once, by [`RealtimePool::handle`], to its *class*: a `SharedPool` of `pool-core` for that shape, with an
//! account in common. The audio thread has a `Cache` in front of it. That is all there is on the audio thread; it never meets
//! the list of classes, which is a plain structure for one thread (a `Worker` shares it behind a lock that
//! no audio thread takes).
//!
//! # Zeros
//!
//! Up to 32 KiB a buffer is cleared as it is acquired, which also brings its lines to where they are written next. A larger
//! one takes longer than is good for a callback, so the worker clears ahead: a few for each handle, in a ring with one producer
//! and one consumer, and then what is idle, where it lies. Who finds the ring empty looks at the next 32 idle ones for one that
//! is clear. A buffer that nobody wrote is never cleared: it knows (`sample.rs`).
//!
//! # Rejected
//!
//! - *Two pools, one of clear and one of dirty buffers.* A buffer would have to leave one pool by value and enter the other;
//!   the byte counts would jump with it, and a release would have to know which.
//! - *Only looking through the idle buffers for one that is clear, without a ring.* Up to 64 steps, and meanwhile another thread
//!   finds nothing.
//! - *An account in the class's pool.* It weighs each buffer on each release; sample buffers do not change their weight, so
//!   each holds its own claim instead, and a release is a plain store.

mod class;
mod handle;
#[cfg(feature = "std")]
mod worker;

pub use class::{
    CLEARED_ON_ACQUIRE, ClassFactory, ClassPool, CreateError, RealtimeBuffer, RealtimeLease, SameShape,
    SharedLease,
};
pub use handle::RealtimeHandle;
#[cfg(feature = "std")]
pub use worker::{StillOut, Worker};

use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::ControlFlow;

use pool_core::{Account, AcquireError, Bytes, Pressure, SharedPool};
use rtrb::{Producer, RingBuffer};

use crate::error::BufferError;
use crate::key::BufferKey;
use crate::memory::DEFAULT_BUDGET;
use class::{Signals, told};

/// Buffers that are cleared ahead for each handle of a class of large ones, unless set.
const CLEARED_AHEAD: usize = 4;
/// More than these are not kept ready for one handle.
const MOST_CLEARED_AHEAD: usize = 4096;
/// So many idle buffers are never looked at by the worker, which has each for as long as it takes to clear.
const LEFT_TO_OTHERS: usize = 2;

/// Sample buffers for audio threads, in classes by shape, under one budget in bytes.
///
/// | call | cost |
/// |---|---|
/// | [`prewarm`](Self::prewarm) | allocates, and writes every page |
/// | [`handle`](Self::handle) | allocates; O(classes) |
/// | [`maintain`](Self::maintain) | at most so many buffers made, cleared or destroyed; O(buffers / 64) |
/// | [`stats`](Self::stats) | O(buffers) |
///
/// None of it is for the audio thread: that has a [`RealtimeHandle`]. With `std`, a `Worker` calls `maintain`
/// from a thread of its own; without, the program does, from its idle loop or a task.
///
/// **Keep it until every lease is back** ([`is_drained`](Self::is_drained)), as a `Worker` does by itself. A lease that
/// outlives it stays usable, and the last one of a class frees its buffers where it is dropped, which may be the audio
/// thread.
///
/// ```
/// use pool_audio::{BufferKey, RealtimePool};
///
/// let mut pool = RealtimePool::builder("voices").budget(10_000_000).build();
/// let block = BufferKey::new(2, 128, 48_000)?;
/// pool.prewarm(block, 64)?;
/// let voices = pool.handle(block)?; // goes to the audio thread
///
/// // In the callback:
/// if let Some(mut voice) = voices.acquire_zeroed() {
///     voice[0][0] = 0.5;
/// } // and it is back
///
/// assert_eq!(pool.stats().classes[0].created, 64);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RealtimePool {
    account: Account,
    classes: Vec<Class>,
    max_per_class: usize,
    cleared_ahead: usize,
    closed: bool,
    /// One more with each maintenance: the clock of what was used when.
    epoch: u64,
}

/// What one call of [`RealtimePool::maintain`] did, in buffers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Maintained {
    /// Made, because an acquire had found nothing.
    pub made: usize,
    /// Wanted, but refused by the budget, by the bound on buffers or by the allocator.
    pub refused: usize,
    /// Made ready as zeros for a handle.
    pub cleared: usize,
    /// Destroyed: evicted, or doomed by their release.
    pub destroyed: usize,
}

/// What a [`RealtimePool`] holds and has done: a plain snapshot. `Display` is a text of a line for each class.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RealtimeStats {
    /// Bytes of all buffers, leased and idle: planes, padding and headers.
    pub used: usize,
    /// Most bytes at one time.
    pub peak: usize,
    /// The budget in bytes; `usize::MAX` for none.
    pub budget: usize,
    /// The classes in the order in which they were first asked for.
    pub classes: Vec<ClassStats>,
}

/// What a class holds and has done. `created = leased + idle + destroyed + detached`, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassStats {
    /// Number of channels.
    pub channels: u16,
    /// Capacity in frames.
    pub frames: u32,
    /// Buffers that are out.
    pub leased: usize,
    /// Buffers that wait, those cleared ahead included.
    pub idle: usize,
    /// Of the idle ones: cleared ahead for a handle.
    pub cleared_ahead: usize,
    /// Buffers made so far.
    pub created: u64,
    /// Acquires that were served.
    pub served: u64,
    /// Acquires that found nothing.
    pub exhausted: usize,
    /// Acquires that cleared a large buffer themselves.
    pub inline_clears: usize,
    /// `acquire_silent` that got a buffer which takes more than 32 KiB to clear, and none that was cleared ahead was left.
    pub not_clear: usize,
    /// Buffers destroyed so far, for whatever reason.
    pub destroyed: u64,
    /// Of those destroyed: idle ones that were evicted.
    pub evicted: u64,
    /// Buffers that left for good.
    pub detached: u64,
    /// Bytes of the buffers that are out.
    pub leased_bytes: usize,
    /// Bytes of the buffers that wait.
    pub idle_bytes: usize,
    /// Most bytes at one time.
    pub peak_bytes: usize,
}

struct Class {
    pool: Arc<ClassPool>,
    signals: Arc<Signals>,
    key: BufferKey,
    /// What one buffer takes.
    bytes: usize,
    /// As many as were prewarmed: not trimmed below.
    reserve: usize,
    /// Buffers that are still to be made, since an acquire found nothing.
    wanted: usize,
    /// Where cleared buffers go, one for each handle. Empty for a class whose buffers are cleared on acquire.
    rings: Vec<Producer<SharedLease>>,
    /// `served` when it was last looked at, and the epoch in which it had changed.
    served: u64,
    last_used: u64,
    /// How many releases there had been when all that was idle was clear.
    swept: u64,
    /// Fewest idle at the last two maintenances.
    spare: usize,
    idle_before: usize,
}

/// Buffers that lie in a ring.
fn waiting(ring: &Producer<SharedLease>) -> usize {
    ring.buffer().capacity() - ring.slots()
}

impl Class {
    fn is_large(&self) -> bool {
        // The samples alone, without slack and header: those are never cleared.
        usize::from(self.key.channels) * self.key.stride() * size_of::<f32>() > CLEARED_ON_ACQUIRE
    }

    fn cleared_ahead(&self) -> usize {
        self.rings.iter().map(waiting).sum()
    }

    fn stats(&self) -> ClassStats {
        let stats = self.pool.stats();
        let cleared_ahead = self.cleared_ahead().min(stats.leased);
        ClassStats {
            channels: self.key.channels,
            frames: self.key.frames,
            // What is cleared ahead is out of the pool behind, but nobody has it yet.
            leased: stats.leased - cleared_ahead,
            idle: stats.idle + cleared_ahead,
            cleared_ahead,
            created: stats.created,
            served: stats.hits.saturating_sub((self.signals.looked() + self.signals.not_clear()) as u64),
            exhausted: self.signals.exhausted(),
            inline_clears: self.signals.inline_clears(),
            not_clear: self.signals.not_clear(),
            destroyed: stats.destroyed,
            evicted: stats.evicted,
            detached: stats.detached,
            leased_bytes: stats.leased_bytes.saturating_sub(cleared_ahead * self.bytes),
            idle_bytes: stats.idle_bytes + cleared_ahead * self.bytes,
            peak_bytes: stats.peak_bytes,
        }
    }

    /// Clears what is idle where it lies, at most `limit`, and leaves the last few to who wants a buffer at once.
    fn clear_idle(&mut self, limit: usize) -> usize {
        if !self.is_large() || limit == 0 {
            return 0;
        }
        let stats = self.pool.stats();
        // As many as were ever released: what is idle was clear when there were no more than that.
        let released = stats.hits.wrapping_sub(stats.leased as u64);
        let may_take = limit.min(stats.idle.saturating_sub(LEFT_TO_OTHERS));
        if released == self.swept || may_take == 0 {
            return 0;
        }
        let mut cleared = 0;
        let mut all = true;
        self.pool.visit_idle(|buffer| {
            if buffer.is_silent() {
                return ControlFlow::Continue(());
            }
            if cleared == may_take {
                all = false;
                return ControlFlow::Break(());
            }
            buffer.clear();
            cleared += 1;
            ControlFlow::Continue(())
        });
        if all {
            self.swept = released;
        }
        cleared
    }

    /// Notes whether it was used since this was last called, by what the pool has served by now.
    fn note_use(&mut self, hits: u64, epoch: u64) {
        // Not what the worker has had, to clear it or to look at it.
        let wanted = hits.wrapping_sub(self.signals.looked() as u64);
        let served = wanted.wrapping_add(self.signals.exhausted() as u64);
        if served != self.served {
            (self.served, self.last_used) = (served, epoch);
        }
    }

    /// Notes what it had to spare since the last call.
    fn note_spare(&mut self, idle: usize) {
        self.spare = self.idle_before.min(idle);
        self.idle_before = idle;
    }

    /// Idle buffers that are not kept as prewarmed, of those that can be evicted: what handles keep for themselves cannot.
    fn beyond_reserve(&self) -> usize {
        self.pool.stats().idle.saturating_sub(self.reserve).min(self.pool.idle_in_reach())
    }

    /// Gives handles that are gone up, and clears buffers for the others: at most `limit`.
    fn clear_ahead(&mut self, limit: usize, most: usize) -> usize {
        // Dropping a producer whose handle is gone frees its ring, and what is in it is idle again.
        self.rings.retain(|ring| !ring.is_abandoned());
        let handles = self.rings.len();
        // With several handles at most half of the class is put into their rings, so that none hoards what another needs. What
        // lies in one already stays there.
        let share = match handles {
            0 | 1 => most,
            _ => most.min((self.pool.stats().objects() / (2 * handles)).max(1)),
        };
        let mut cleared = 0;
        for ring in &mut self.rings {
            while cleared < limit && waiting(ring) < share {
                let Some(mut lease) = self.pool.try_acquire_owned() else { return cleared };
                self.signals.note_look();
                lease.clear();
                // Never full here, and if it were the buffer would be idle again.
                if ring.push(lease).is_err() {
                    break;
                }
                cleared += 1;
            }
        }
        cleared
    }
}

impl RealtimePool {
    /// Settings to choose from; `name` is that of the account.
    pub fn builder(name: impl Into<Cow<'static, str>>) -> RealtimePoolBuilder {
        RealtimePoolBuilder {
            name: name.into(),
            parent: None,
            budget: DEFAULT_BUDGET,
            soft_limit: None,
            max_per_class: usize::MAX,
            cleared_ahead: CLEARED_AHEAD,
        }
    }

    /// Makes buffers until `count` of this shape are idle, each with every page written, so that the audio thread meets
    /// neither the allocator nor a page fault. Gives how many were made. They are kept: trimming stops at the highest
    /// `count` that was asked for.
    ///
    /// A key that differs from an earlier one only in its sample rate is of the same class, and finds what is idle there.
    /// O(buffers that are made); one that others' buffers have to go for is O(buffers) by itself.
    ///
    /// # Errors
    ///
    /// [`AcquireError`]: the bytes do not fit the budget even if what others have idle beyond their own reserve went, the
    /// bound on buffers is reached, the pool is closed, or the [`BufferError`] of a shape that no buffer can have. What was
    /// made before the error stays.
    pub fn prewarm(&mut self, key: BufferKey, count: usize) -> Result<usize, AcquireError<BufferError>> {
        if self.closed {
            return Err(AcquireError::Closed);
        }
        let index = self.class(key).map_err(AcquireError::Create)?;
        let epoch = self.epoch;
        let class = &mut self.classes[index];
        class.last_used = epoch;
        // No more than were missing at first, if audio threads acquire meanwhile.
        let missing = count.saturating_sub(class.stats().idle);
        let before = class.pool.stats();
        // What there is room for; then one by one, with what others have to spare.
        let done = match class.pool.prewarm(before.idle.saturating_add(missing)).map_err(told) {
            Err(AcquireError::OverBudget(_)) => {
                let made = (class.pool.stats().created - before.created) as usize;
                (made..missing).try_for_each(|_| self.make(index, usize::MAX, &mut 0).map(drop))
            }
            other => other.map(drop),
        };
        let class = &mut self.classes[index];
        let there = if done.is_ok() { count } else { class.stats().idle.min(count) };
        class.reserve = class.reserve.max(there);
        done.map(|()| (class.pool.stats().created - before.created) as usize)
    }

    /// What an audio thread needs to take buffers of this key. Makes no buffer: [`prewarm`](Self::prewarm) does.
    ///
    /// Of a class of large buffers, some that are idle are cleared for it at once. They stay with it until it takes them or is
    /// dropped: a further handle finds what is idle besides, so prewarm for all of them.
    ///
    /// # Errors
    ///
    /// A key that no buffer can have.
    pub fn handle(&mut self, key: BufferKey) -> Result<RealtimeHandle, BufferError> {
        let index = self.class(key)?;
        let most = self.cleared_ahead;
        let class = &mut self.classes[index];
        let clear = class.is_large().then(|| {
            let (producer, consumer) = RingBuffer::new(most);
            class.rings.push(producer);
            class.clear_ahead(most, most);
            consumer
        });
        Ok(RealtimeHandle::new(&class.pool, &class.signals, key, clear))
    }

    /// The class of a key, made if there is none.
    fn class(&mut self, key: BufferKey) -> Result<usize, BufferError> {
        let bytes = RealtimeBuffer::bytes_for(key)?;
        let same = |class: &Class| (class.key.channels, class.key.frames) == (key.channels, key.frames);
        if let Some(index) = self.classes.iter().position(same) {
            return Ok(index);
        }
        let pool = SharedPool::builder(ClassFactory { key, account: self.account.clone() })
            .resetter(SameShape { channels: key.channels, frames: key.frames })
            .max_objects(self.max_per_class);
        // A thread that releases must not keep buffers where the worker does not see them.
        #[cfg(feature = "std")]
        let pool = pool.thread_caches(false);
        let pool = pool.build();
        if self.closed {
            pool.close();
        }
        self.classes.push(Class {
            pool: Arc::new(pool),
            signals: Arc::default(),
            key,
            bytes,
            reserve: 0,
            wanted: 0,
            rings: Vec::new(),
            served: 0,
            last_used: self.epoch,
            swept: 0,
            spare: 0,
            idle_before: 0,
        });
        Ok(self.classes.len() - 1)
    }

    /// Makes an idle buffer of a class; evicts what others have to spare if that is what it takes, and nothing if all of
    /// that would not do; ends after `limit` buffers, which is not 0, those evicted and the one that is made. Gives how many
    /// were made, none or two if an audio thread releases or acquires at this moment, and adds how many were `evicted`.
    fn make(
        &mut self,
        index: usize,
        limit: usize,
        evicted: &mut usize,
    ) -> Result<usize, AcquireError<BufferError>> {
        loop {
            // What was made room for is for the next time.
            if *evicted == limit {
                return Ok(0);
            }
            let class = &self.classes[index];
            let mut refusal = match class.pool.prewarm(class.pool.stats().idle + 1).map_err(told) {
                Ok(made) => return Ok(made),
                Err(AcquireError::OverBudget(refusal)) => refusal,
                Err(refusal) => return Err(refusal),
            };
            let wanted = refusal.requested.saturating_sub(refusal.free);
            let spare = |at: usize, class: &Class| if at == index { 0 } else { class.beyond_reserve() };
            let evictable =
                self.classes.iter().enumerate().map(|(at, class)| spare(at, class) * class.bytes).sum();
            refusal.evictable = Some(evictable);
            if wanted > evictable {
                return Err(AcquireError::OverBudget(refusal));
            }
            match self.evict(wanted, limit - *evicted, spare).0 {
                // Somebody else was faster.
                0 => return Err(AcquireError::OverBudget(refusal)),
                gone => *evicted += gone,
            }
        }
    }

    /// Evicts idle buffers, as many of each class as may go, the class that was used longest ago first: until `bytes` are
    /// freed, and at most `limit` buffers. Gives buffers and bytes that went.
    fn evict(
        &mut self,
        bytes: usize,
        limit: usize,
        may_go: impl Fn(usize, &Class) -> usize,
    ) -> (usize, usize) {
        self.epoch += 1;
        for class in &mut self.classes {
            let hits = class.pool.stats().hits;
            class.note_use(hits, self.epoch);
        }
        let mut order: Vec<usize> = (0..self.classes.len()).collect();
        order.sort_by_key(|&index| self.classes[index].last_used);
        let (mut buffers, mut freed) = (0, 0);
        for index in order {
            let class = &self.classes[index];
            let wanted = bytes.saturating_sub(freed).div_ceil(class.bytes);
            let count = wanted.min(may_go(index, class)).min(limit - buffers);
            if count > 0 {
                let gone = class.pool.evict(count);
                buffers += gone;
                freed += gone * class.bytes;
            }
        }
        (buffers, freed)
    }

    /// One bounded slice of everything that audio threads must not do: at most `work_limit` buffers are made, cleared or
    /// destroyed. Call it every few milliseconds from a thread that may wait, or let a `Worker` do so.
    ///
    /// - Where an acquire found nothing, makes more: half as many as the class has, and at least one.
    /// - Clears large buffers ahead: some for each handle, then what is idle.
    /// - Destroys what releases have doomed.
    /// - Over the soft limit, evicts idle buffers that were idle at the last two calls, those of the class that was used
    ///   longest ago first; never below what was prewarmed. Over the hard limit (it was lowered), all that is idle goes;
    ///   what handles keep for themselves stays. Limits are those of the account and of all above it.
    pub fn maintain(&mut self, work_limit: usize) -> Maintained {
        let mut done = Maintained::default();
        let left =
            |done: &Maintained| work_limit - (done.made + done.cleared + done.destroyed).min(work_limit);
        self.epoch += 1;
        for class in &mut self.classes {
            let stats = class.pool.stats();
            class.note_use(stats.hits, self.epoch);
            class.note_spare(stats.idle);
            done.destroyed += class.pool.maintain(left(&done));
        }
        if self.account.pressure() != Pressure::None {
            let (over, above_low) = self.excess();
            done.destroyed += if over > 0 {
                self.evict(over, left(&done), |_, class| class.pool.stats().idle).0
            } else {
                let spare = |_: usize, class: &Class| class.spare.min(class.beyond_reserve());
                self.evict(above_low, left(&done), spare).0
            };
        }
        for index in 0..self.classes.len() {
            let class = &mut self.classes[index];
            // What is asked for while it is being made is the same need.
            if class.signals.take_refill() && class.wanted == 0 {
                class.wanted = (class.pool.stats().objects() / 2).max(1);
            }
            let slice = class.wanted.min(left(&done));
            if self.closed || slice == 0 {
                continue;
            }
            self.classes[index].wanted -= slice;
            for turn in 0..slice {
                let mut evicted = 0;
                let made = self.make(index, left(&done), &mut evicted);
                done.destroyed += evicted;
                match made {
                    Ok(0) => {
                        // The rest is for the next slice.
                        self.classes[index].wanted += slice - turn;
                        break;
                    }
                    Ok(made) => {
                        done.made += made;
                        if left(&done) == 0 {
                            self.classes[index].wanted += slice - turn - 1;
                            break;
                        }
                    }
                    Err(_) => {
                        self.classes[index].wanted = 0;
                        done.refused += 1;
                        break;
                    }
                }
            }
        }
        for class in &mut self.classes {
            done.cleared += class.clear_ahead(left(&done), self.cleared_ahead);
            done.cleared += class.clear_idle(left(&done));
        }
        done
    }

    /// The bytes by which the account, or one above it, is over its hard limit; and over its low watermark, of those that
    /// are under pressure.
    fn excess(&self) -> (usize, usize) {
        let levels = core::iter::successors(Some(&self.account), |account| account.parent());
        let pressed = levels.filter(|account| account.pressure() != Pressure::None);
        let over = |account: &Account| {
            (account.overcommitted(), account.used().saturating_sub(account.low_watermark()))
        };
        pressed.map(over).fold((0, 0), |(hard, low), (more, above)| (hard.max(more), low.max(above)))
    }

    /// Destroys idle buffers until the pool holds at most `bytes` or nothing is idle: those of the class that was used
    /// longest ago first, prewarmed ones too. Gives the bytes freed. What a handle keeps for itself stays.
    ///
    /// Whether a class was used is looked at here and in [`maintain`](Self::maintain): of classes that were used between
    /// two such looks, the one that was asked for first goes first, whichever was used later.
    pub fn evict_to(&mut self, bytes: usize) -> usize {
        let excess = self.account.used().saturating_sub(bytes);
        self.evict(excess, usize::MAX, |_, class| class.pool.stats().idle).1
    }

    /// Changes the budget. Lowering it below what is in use succeeds and evicts what is idle and no handle keeps
    /// ([`RealtimeHandle::flush`]); gives the bytes that are still above it.
    pub fn set_budget(&mut self, bytes: usize) -> usize {
        self.account.set_hard_limit(bytes);
        self.evict_to(bytes);
        self.account.overcommitted()
    }

    /// The ledger of the pool's bytes. It may be read from any thread.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// What the pool holds and has done. Reads; changes and drains nothing.
    #[must_use]
    pub fn stats(&self) -> RealtimeStats {
        RealtimeStats {
            used: self.account.used(),
            peak: self.account.peak(),
            budget: self.account.hard_limit(),
            classes: self.classes.iter().map(Class::stats).collect(),
        }
    }

    /// Refuses all acquires from now on and destroys what is idle; what is out is doomed as it comes back, and destroyed by
    /// [`maintain`](Self::maintain). Closing twice is the same as once.
    pub fn close(&mut self) {
        self.closed = true;
        self.classes.iter().for_each(|class| class.pool.close());
    }

    /// Whether the pool was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether no lease and no handle is left, so that dropping the pool frees everything here and now.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        // Nobody can make a second handle of an `Arc` that only this one holds. What was cleared ahead for a handle that is gone is
        // this one's, too.
        self.classes.iter().all(|class| {
            let left: usize = class.rings.iter().filter(|ring| ring.is_abandoned()).map(waiting).sum();
            Arc::strong_count(&class.pool) == 1 + left && Arc::strong_count(&class.signals) == 1
        })
    }
}

/// Closes it.
impl Drop for RealtimePool {
    fn drop(&mut self) {
        self.close();
    }
}

/// `RealtimePool("voices", 2 classes, 1.20 MiB of 91.6 MiB)`
impl fmt::Debug for RealtimePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RealtimePool({:?}, {} classes, {} of {})",
            self.account.name(),
            self.classes.len(),
            Bytes(self.account.used()),
            Bytes(self.account.hard_limit())
        )
    }
}

impl fmt::Display for RealtimeStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "buffers  {} in use, {} at most, of {}",
            Bytes(self.used),
            Bytes(self.peak),
            Bytes(self.budget)
        )?;
        for class in &self.classes {
            write!(f, "\n  {class}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ClassStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} x {}: {} out, {} idle, {} made, {} served, {} found nothing, {} cleared inline, {} not clear, {} evicted, {} at most",
            self.channels,
            self.frames,
            self.leased,
            self.idle,
            self.created,
            self.served,
            self.exhausted,
            self.inline_clears,
            self.not_clear,
            self.evicted,
            Bytes(self.peak_bytes)
        )
    }
}

/// Settings of a [`RealtimePool`].
#[must_use = "a builder makes nothing until `build` is called"]
#[derive(Debug)]
pub struct RealtimePoolBuilder {
    name: Cow<'static, str>,
    parent: Option<Account>,
    budget: usize,
    soft_limit: Option<usize>,
    max_per_class: usize,
    cleared_ahead: usize,
}

impl RealtimePoolBuilder {
    /// Most bytes that the buffers may take, leased and idle, headers and padding included.
    /// [`DEFAULT_BUDGET`](crate::DEFAULT_BUDGET) unless set.
    pub fn budget(mut self, bytes: usize) -> Self {
        self.budget = bytes;
        self
    }

    /// The bytes from which on [`maintain`](RealtimePool::maintain) evicts what is not needed. Three quarters of the budget
    /// unless set.
    pub fn soft_limit(mut self, bytes: usize) -> Self {
        self.soft_limit = Some(bytes);
        self
    }

    /// The account that the bytes are counted in as well, such as [`AudioMemory::account`](crate::AudioMemory::account). It
    /// bounds this pool and takes nothing from it: buffers for audio threads go by [`maintain`](RealtimePool::maintain) and
    /// [`set_budget`](RealtimePool::set_budget) alone.
    pub fn parent(mut self, account: &Account) -> Self {
        self.parent = Some(account.clone());
        self
    }

    /// Most buffers of one shape, leased and idle. No bound unless set: then it is the budget alone that ends growth.
    pub fn max_per_class(mut self, buffers: usize) -> Self {
        self.max_per_class = buffers;
        self
    }

    /// How many buffers are kept cleared for each handle, of shapes above 32 KiB: as many as are wanted at once, so that
    /// none of them has to be looked for. 4 unless set, and 4096 at most.
    pub fn cleared_ahead(mut self, buffers: usize) -> Self {
        self.cleared_ahead = buffers.min(MOST_CLEARED_AHEAD);
        self
    }

    /// The pool. It holds no buffer yet.
    #[must_use]
    pub fn build(self) -> RealtimePool {
        let soft_limit = self.soft_limit.unwrap_or(self.budget / 4 * 3);
        let mut account = Account::builder(self.name).hard_limit(self.budget).soft_limit(soft_limit);
        if let Some(parent) = &self.parent {
            account = account.parent(parent);
        }
        RealtimePool {
            account: account.build(),
            classes: Vec::new(),
            max_per_class: self.max_per_class,
            cleared_ahead: self.cleared_ahead,
            closed: false,
            epoch: 0,
        }
    }
}
