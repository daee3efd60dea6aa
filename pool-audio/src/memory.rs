//! `AudioMemory`: one budget for everything that holds samples.
//!
//! ```text
//!            audio    96 MB, warns at 72 MB
//!     ┌────────┼──────────┐
//!  tracked   voices    delays ...        one account per pool, limits of their own if wanted
//! ```
//!
//! Pools make and keep buffers; what they hold idle can go at once. Tracked buffers belong to the program (decoded
//! recordings, say): the memory knows their size and when they were used last, and tells which should go, but the
//! program drops them.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;
use core::hash::Hash;

use pool_core::{Account, AccountEvent, Bytes, OverBudget, PoolStats, Pressure, Tracker};

use crate::pool::{BufferPool, BufferPoolBuilder};
use crate::sample::SampleBuffer;

/// The budget of an [`AudioMemory`] unless another is set: 96 000 000 bytes.
///
/// These are bytes of samples, padding and headers, counted in powers of ten. It is below the 100 MB that the
/// whole audio part of a program should stay under, so that 4 % are left for what is not counted here: maps, stacks,
/// the decoder, and what the pool and the allocator take for each buffer: of 80 000 that hold 2 x 128 and count 95 MB together, a
/// process takes 100 MB.
pub const DEFAULT_BUDGET: usize = 96_000_000;

/// A memory manager over buffer pools and tracked buffers: budget, warning threshold, peak, report.
///
/// `Id` names tracked buffers; text unless the program has better ids. For one thread, like its pools.
///
/// ```
/// use pool_audio::{AudioMemory, BufferKey, SampleBuffer};
///
/// let mut memory: AudioMemory = AudioMemory::new(10_000_000);
/// let voices = memory.pool("voices", 1_000_000);
/// let kick = SampleBuffer::new(1, 48_000, 48_000)?;
/// memory.track("kick.flac".into(), &kick)?;
///
/// let block = voices.acquire(BufferKey::new(2, 128, 48_000)?)?;
/// assert_eq!(memory.used(), kick.bytes() + block.bytes());
/// println!("{}", memory.report());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AudioMemory<Id = String> {
    account: Account,
    tracked: Tracker<Id>,
    pools: Vec<BufferPool>,
}

/// What [`AudioMemory::evict_to`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "the buffers with these ids are still in memory until their owner drops them"]
pub struct Evicted<Id> {
    /// Bytes of idle pool buffers that were destroyed.
    pub idle_bytes: usize,
    /// Tracked buffers that were forgotten, least recently used first. They no longer count; dropping them is up
    /// to their owner.
    pub ids: Vec<Id>,
}

/// Settings of an [`AudioMemory`].
#[must_use = "a builder makes nothing until `build` is called"]
pub struct AudioMemoryBuilder {
    budget: usize,
    soft_limit: Option<usize>,
    account: pool_core::AccountBuilder,
}

impl AudioMemoryBuilder {
    /// Most bytes of pooled and tracked buffers together. [`DEFAULT_BUDGET`] unless set.
    pub fn budget(mut self, bytes: usize) -> Self {
        self.budget = bytes;
        self
    }

    /// The bytes from which on the memory is under pressure, and warns. Three quarters of the budget unless set.
    pub fn soft_limit(mut self, bytes: usize) -> Self {
        self.soft_limit = Some(bytes);
        self
    }

    /// Who is told when the soft limit is crossed: once on the way up, and once when use has fallen to 7/8 of it.
    pub fn on_event(mut self, handler: impl Fn(&AccountEvent) + Send + Sync + 'static) -> Self {
        self.account = self.account.on_event(handler);
        self
    }

    /// The account above, for a program whose audio is a part of something with a budget.
    pub fn parent(mut self, account: &Account) -> Self {
        self.account = self.account.parent(account);
        self
    }

    /// The memory, which holds nothing yet.
    #[must_use]
    pub fn build<Id: Hash + Eq + Clone>(self) -> AudioMemory<Id> {
        let soft_limit = self.soft_limit.unwrap_or(self.budget / 4 * 3);
        let account = self.account.hard_limit(self.budget).soft_limit(soft_limit).build();
        let tracked = Account::builder("tracked").parent(&account).build();
        AudioMemory { account, tracked: Tracker::new(tracked), pools: Vec::new() }
    }
}

impl fmt::Debug for AudioMemoryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AudioMemoryBuilder")
            .field("budget", &self.budget)
            .field("soft_limit", &self.soft_limit)
            .finish_non_exhaustive()
    }
}

impl AudioMemory {
    /// Settings to choose from.
    pub fn builder() -> AudioMemoryBuilder {
        AudioMemoryBuilder { budget: DEFAULT_BUDGET, soft_limit: None, account: Account::builder("audio") }
    }
}

impl<Id: Hash + Eq + Clone> AudioMemory<Id> {
    /// A memory of at most `budget` bytes that is under pressure from three quarters of them.
    #[must_use]
    pub fn new(budget: usize) -> Self {
        AudioMemory::builder().budget(budget).build()
    }

    /// A new pool of at most `budget` bytes, counted in this memory's budget as well.
    pub fn pool(&mut self, name: impl Into<Cow<'static, str>>, budget: usize) -> BufferPool {
        self.add_pool(BufferPool::builder(name).budget(budget))
    }

    /// A new pool with any settings, counted in this memory's budget as well (a parent that was set is replaced).
    ///
    /// The memory keeps a handle to the pool, to evict from it and to report it.
    pub fn add_pool(&mut self, settings: BufferPoolBuilder) -> BufferPool {
        let pool = settings.parent(&self.account).build();
        self.pools.push(pool.clone());
        pool
    }

    /// The pools, in the order they were made.
    pub fn pools(&self) -> impl ExactSizeIterator<Item = &BufferPool> {
        self.pools.iter()
    }

    /// Counts a buffer that the program holds, as used just now. An id that is tracked already gets the new size;
    /// gives the old one.
    ///
    /// The buffer exists, so this succeeds beyond the budget too: [`overcommitted`](Self::overcommitted) tells by
    /// how much, and pools make no new buffers until use is back below it. To refuse instead, ask
    /// [`free`](Self::free) first.
    ///
    /// # Errors
    ///
    /// Only if the count of bytes would overflow; nothing has changed then.
    pub fn track(&mut self, id: Id, buffer: &SampleBuffer) -> Result<Option<usize>, OverBudget> {
        self.track_bytes(id, buffer.bytes())
    }

    /// As [`track`](Self::track), for samples that are held in some other type.
    ///
    /// # Errors
    ///
    /// As [`track`](Self::track).
    pub fn track_bytes(&mut self, id: Id, bytes: usize) -> Result<Option<usize>, OverBudget> {
        self.tracked.track(id, bytes)
    }

    /// Stops counting a buffer; gives its bytes, or `None` if it was not tracked.
    pub fn untrack<Q: Hash + Eq + ?Sized>(&mut self, id: &Q) -> Option<usize>
    where
        Id: Borrow<Q>,
    {
        self.tracked.untrack(id)
    }

    /// A tracked buffer was used just now, and goes last when something has to go. False if it is not tracked.
    pub fn touch<Q: Hash + Eq + ?Sized>(&mut self, id: &Q) -> bool
    where
        Id: Borrow<Q>,
    {
        self.tracked.touch(id)
    }

    /// Stops counting the tracked buffers that `keep` refuses; gives their bytes.
    pub fn retain(&mut self, keep: impl FnMut(&Id, usize) -> bool) -> usize {
        self.tracked.retain(keep)
    }

    /// Bytes of tracked buffers.
    #[must_use]
    pub fn tracked_bytes(&self) -> usize {
        self.tracked.used()
    }

    /// Number of tracked buffers.
    #[must_use]
    pub fn tracked_count(&self) -> usize {
        self.tracked.len()
    }

    /// Brings use down to `bytes`: first idle buffers of the pools go, in the order the pools were made and within
    /// each least recently released first; then tracked buffers are forgotten, least recently used first. What
    /// is leased stays, so use can remain above `bytes`.
    pub fn evict_to(&mut self, bytes: usize) -> Evicted<Id> {
        let idle_bytes = self.evict_idle_to(bytes);
        let excess = self.used().saturating_sub(bytes);
        let ids = match excess {
            0 => Vec::new(),
            _ => self.tracked.evict_to(self.tracked.used().saturating_sub(excess)),
        };
        Evicted { idle_bytes, ids }
    }

    /// Makes `bytes` free, if evicting idle buffers can, whichever pool holds them; gives the bytes that are free
    /// then.
    ///
    /// A pool evicts only its own buffers to make room. Call this when one pool was refused while another has idle
    /// buffers to spare.
    pub fn make_room(&mut self, bytes: usize) -> usize {
        let free = self.account.free();
        if free < bytes {
            self.evict_idle_to(self.used().saturating_sub(bytes - free));
        }
        self.account.free()
    }

    fn evict_idle_to(&self, bytes: usize) -> usize {
        let mut freed = 0;
        for pool in &self.pools {
            let excess = self.used().saturating_sub(bytes);
            if excess == 0 {
                break;
            }
            freed += pool.evict_to(pool.stats().bytes().saturating_sub(excess));
        }
        freed
    }

    /// One bounded slice of housekeeping in each pool; gives how many buffers went. Call it now and then, away
    /// from the audio: over the soft limit it trims what the pools have not needed lately.
    pub fn maintain(&self, work_limit: usize) -> usize {
        self.pools.iter().map(|pool| pool.maintain(work_limit)).sum()
    }

    /// Changes the budget. Lowering it below what is in use succeeds and evicts idle buffers; gives the bytes that
    /// are still above it.
    pub fn set_budget(&mut self, bytes: usize) -> usize {
        self.account.set_hard_limit(bytes);
        self.evict_idle_to(bytes);
        self.overcommitted()
    }

    /// Bytes in use: pooled, leased or idle, and tracked.
    #[must_use]
    pub fn used(&self) -> usize {
        self.account.used()
    }

    /// Bytes that are free below the budget.
    #[must_use]
    pub fn free(&self) -> usize {
        self.account.free()
    }

    /// Most bytes that were in use at one time.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.account.peak()
    }

    /// Bytes in use above the budget, because they were tracked or the budget was lowered.
    #[must_use]
    pub fn overcommitted(&self) -> usize {
        self.account.overcommitted()
    }

    /// How hard something should go: `Moderate` over the soft limit, `Critical` over the budget.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        self.account.pressure()
    }

    /// The ledger that all bytes are counted in.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Forgets all tracked buffers and destroys all idle ones. What is leased stays, and so do the pools.
    pub fn clear(&mut self) {
        self.tracked.clear();
        self.evict_idle_to(0);
    }

    /// What is in use and where, now. `Display` is a text for people.
    #[must_use]
    pub fn report(&self) -> MemoryReport {
        MemoryReport {
            used: self.used(),
            budget: self.account.hard_limit(),
            soft_limit: self.account.soft_limit(),
            peak: self.peak(),
            overcommitted: self.overcommitted(),
            pressure: self.pressure(),
            tracked: self.tracked.len(),
            tracked_bytes: self.tracked.used(),
            tracked_peak: self.tracked.peak(),
            pools: self
                .pools
                .iter()
                .map(|pool| PoolReport {
                    name: pool.account().name().into(),
                    stats: pool.stats(),
                    budget: pool.account().hard_limit(),
                    zeroed_bytes: pool.zeroed_bytes(),
                })
                .collect(),
        }
    }
}

impl<Id: Hash + Eq + Clone> Default for AudioMemory<Id> {
    /// A memory of [`DEFAULT_BUDGET`] bytes.
    fn default() -> Self {
        Self::new(DEFAULT_BUDGET)
    }
}

impl<Id: Hash + Eq + Clone> fmt::Debug for AudioMemory<Id> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "AudioMemory({} of {}, {} tracked, {} pools)",
            Bytes(self.used()),
            Limit(self.account.hard_limit()),
            self.tracked.len(),
            self.pools.len()
        )
    }
}

/// A limit for people: bytes, or that there is none.
struct Limit(usize);

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            usize::MAX => f.write_str("no limit"),
            bytes => Bytes(bytes).fmt(f),
        }
    }
}

/// What one pool holds, in a [`MemoryReport`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolReport {
    /// The name it was given.
    pub name: String,
    /// Its counts.
    pub stats: PoolStats,
    /// Its own limit in bytes; `usize::MAX` for none.
    pub budget: usize,
    /// Bytes of zeros that its acquires had to write.
    pub zeroed_bytes: u64,
}

/// What an [`AudioMemory`] holds, a plain snapshot. `Display` is a text of a line for each part.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryReport {
    /// Bytes in use.
    pub used: usize,
    /// The budget in bytes.
    pub budget: usize,
    /// Bytes from which on the memory warns.
    pub soft_limit: usize,
    /// Most bytes that were in use at one time.
    pub peak: usize,
    /// Bytes in use above the budget.
    pub overcommitted: usize,
    /// How hard something should go.
    pub pressure: Pressure,
    /// Number of tracked buffers.
    pub tracked: usize,
    /// Bytes of tracked buffers.
    pub tracked_bytes: usize,
    /// Most bytes that were tracked at one time.
    pub tracked_peak: usize,
    /// The pools, in the order they were made.
    pub pools: Vec<PoolReport>,
}

impl fmt::Display for MemoryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "audio memory  {} of {} in use, {} at most",
            Bytes(self.used),
            Limit(self.budget),
            Bytes(self.peak)
        )?;
        match self.pressure {
            Pressure::None => {}
            Pressure::Moderate => write!(f, ", above the soft limit of {}", Limit(self.soft_limit))?,
            Pressure::Critical => write!(f, ", {} over the limit", Bytes(self.overcommitted))?,
        }
        write!(
            f,
            "\n  tracked: {} buffers, {}, {} at most",
            self.tracked,
            Bytes(self.tracked_bytes),
            Bytes(self.tracked_peak)
        )?;
        for PoolReport { name, stats, budget, .. } in &self.pools {
            write!(
                f,
                "\n  {name}: {} of {}, {} leased, {} idle, {} created, {} reused, {} evicted",
                Bytes(stats.bytes()),
                Limit(*budget),
                stats.leased,
                stats.idle,
                stats.created,
                stats.hits,
                stats.evicted
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::BufferKey;
    use alloc::format;
    use alloc::string::ToString;
    use alloc::sync::Arc;
    use core::sync::atomic::{AtomicUsize, Ordering};
    use pool_core::{AccountEventKind, AcquireError};

    fn key(frames: u32) -> BufferKey {
        BufferKey::new(2, frames, 48_000).unwrap()
    }

    /// What each part counts must add up to what the whole counts.
    fn check<Id: Hash + Eq + Clone>(memory: &AudioMemory<Id>) {
        let report = memory.report();
        let parts: usize = report.pools.iter().map(|pool| pool.stats.bytes()).sum();
        assert_eq!(parts + report.tracked_bytes, report.used);
        assert!(report.peak >= report.used);
    }

    /// Would catch a budget that is at or over the 100 MB goal, whichever MB is meant.
    #[test]
    fn the_default_budget_is_below_100_megabytes() {
        let memory: AudioMemory = AudioMemory::default();
        assert_eq!(memory.account().hard_limit(), 96_000_000);
        assert_eq!(memory.account().soft_limit(), 72_000_000);
        assert_eq!((memory.used(), memory.peak(), memory.pressure()), (0, 0, Pressure::None));
    }

    /// Would catch pools whose bytes are counted apart from the whole, or outlive what they count.
    #[test]
    fn pools_and_tracked_buffers_share_one_budget() {
        let block = key(128).bytes().unwrap();
        let mut memory: AudioMemory = AudioMemory::new(3 * block);
        let [voices, delays] = [memory.pool("voices", usize::MAX), memory.pool("delays", 2 * block)];
        let loop_buffer = SampleBuffer::for_key(key(128)).unwrap();
        memory.track("loop".into(), &loop_buffer).unwrap();
        let first = voices.acquire(key(128)).unwrap();
        let second = delays.acquire(key(128)).unwrap();
        match voices.acquire(key(128)).unwrap_err() {
            AcquireError::OverBudget(refusal) => {
                assert_eq!((refusal.account.name(), refusal.limit, refusal.free), ("audio", 3 * block, 0));
            }
            other => panic!("{other}"),
        }
        check(&memory);
        assert_eq!(memory.untrack("loop"), Some(block));
        assert_eq!(memory.untrack("loop"), None);
        drop(first);
        voices.trim(0);
        match delays.acquire(key(256)).unwrap_err() {
            AcquireError::OverBudget(refusal) => assert_eq!(refusal.account.name(), "delays"),
            other => panic!("{other}"),
        }
        drop(second);
        check(&memory);
        memory.clear();
        assert_eq!((memory.used(), memory.peak()), (0, 3 * block));
    }

    /// Would catch one pool's idle buffers starving another for ever.
    #[test]
    fn room_is_made_in_whichever_pool_has_idle_buffers() {
        let block = key(128).bytes().unwrap();
        let mut memory: AudioMemory = AudioMemory::new(4 * block);
        let [voices, delays] = ["voices", "delays"].map(|name| memory.pool(name, usize::MAX));
        voices.prewarm(key(128), 4).unwrap();
        assert!(delays.acquire(key(128)).is_err());
        assert_eq!(memory.make_room(2 * block), 2 * block);
        assert_eq!(voices.stats().idle, 2, "no more than needed");
        let _lease = delays.acquire(key(128)).unwrap();
        assert_eq!(memory.make_room(4 * block), 3 * block, "what is leased stays");
        check(&memory);
    }

    /// Would catch tracked buffers that go before idle ones, in the wrong order, or more of them than needed.
    #[test]
    fn evicting_takes_the_idle_first_and_then_the_least_recently_used() {
        let block = key(128).bytes().unwrap();
        let mut memory: AudioMemory<u32> = AudioMemory::new(100 * block);
        let pool = memory.pool("voices", usize::MAX);
        pool.prewarm(key(128), 3).unwrap();
        for id in 1..=4 {
            memory.track_bytes(id, block).unwrap();
        }
        assert!(memory.touch(&1) && !memory.touch(&9));
        assert_eq!(memory.evict_to(6 * block), Evicted { idle_bytes: block, ids: [].into() });
        assert_eq!(memory.evict_to(2 * block), Evicted { idle_bytes: 2 * block, ids: [2, 3].into() });
        assert_eq!((memory.tracked_count(), memory.tracked_bytes()), (2, 2 * block));
        let lease = pool.acquire(key(128)).unwrap();
        let with_lease = memory.evict_to(2 * block);
        assert_eq!(with_lease, Evicted { idle_bytes: 0, ids: [4].into() }, "leased bytes count");
        assert_eq!(memory.evict_to(0), Evicted { idle_bytes: 0, ids: [1].into() });
        assert_eq!(memory.used(), lease.bytes(), "what is leased stays");
        check(&memory);
    }

    /// Would catch a warning that never comes, comes each time, or comes for the wrong threshold.
    #[test]
    fn the_soft_limit_warns_once_and_calms_down_once() {
        let (warned, calmed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counters = (Arc::clone(&warned), Arc::clone(&calmed));
        let mut memory: AudioMemory<u32> = AudioMemory::builder()
            .budget(1000)
            .soft_limit(800)
            .on_event(move |event| {
                match event.kind {
                    AccountEventKind::OverSoftLimit => counters.0.fetch_add(1, Ordering::Relaxed),
                    AccountEventKind::BackToLow => counters.1.fetch_add(1, Ordering::Relaxed),
                };
            })
            .build();
        let told = || (warned.load(Ordering::Relaxed), calmed.load(Ordering::Relaxed));
        memory.track_bytes(1, 800).unwrap();
        assert_eq!((told(), memory.pressure()), ((0, 0), Pressure::None));
        memory.track_bytes(2, 1).unwrap();
        memory.track_bytes(3, 1).unwrap();
        assert_eq!((told(), memory.pressure()), ((1, 0), Pressure::Moderate));
        memory.untrack(&2);
        memory.untrack(&3);
        assert_eq!(told(), (1, 0), "not calm before 7/8");
        memory.track_bytes(1, 700).unwrap();
        assert_eq!((told(), memory.pressure()), ((1, 1), Pressure::None));
    }

    /// Would catch a tracked buffer that is lost for being too large, and pools that create beyond the budget.
    #[test]
    fn what_is_tracked_beyond_the_budget_is_told() {
        let mut memory: AudioMemory = AudioMemory::new(10_000);
        let pool = memory.pool("voices", usize::MAX);
        memory.track_bytes("huge".into(), 25_000).unwrap();
        assert_eq!((memory.overcommitted(), memory.free()), (15_000, 0));
        assert_eq!(memory.pressure(), Pressure::Critical);
        assert!(pool.acquire(key(128)).is_err());
        assert!(memory.report().to_string().contains("over the limit"));
        assert_eq!(memory.track_bytes("huge".into(), 5_000).unwrap(), Some(25_000));
        drop(pool.acquire(key(128)).unwrap());
        assert_eq!(memory.peak(), 25_000);
        assert!(memory.track_bytes("more".into(), usize::MAX).is_err(), "the count would overflow");
        assert_eq!(memory.tracked_count(), 1);
        check(&memory);
    }

    /// Would catch a lowered budget that throws away more than the excess, or nothing.
    #[test]
    fn a_lowered_budget_evicts_idle_buffers_of_all_pools() {
        let block = key(128).bytes().unwrap();
        let mut memory: AudioMemory = AudioMemory::new(10 * block);
        let pools = ["a", "b"].map(|name| memory.pool(name, usize::MAX));
        for pool in &pools {
            pool.prewarm(key(128), 3).unwrap();
        }
        let _lease = pools[1].acquire(key(128)).unwrap();
        assert_eq!(memory.set_budget(2 * block), 0);
        assert_eq!(pools.each_ref().map(|pool| pool.stats().idle), [0, 1]);
        assert_eq!(memory.set_budget(100), block - 100);
        assert_eq!(memory.free(), 0);
        check(&memory);
    }

    /// Would catch `retain` that keeps the wrong ones or miscounts what it freed.
    #[test]
    fn retain_gives_the_bytes_of_what_it_forgot() {
        let mut memory: AudioMemory<u32> = AudioMemory::new(1000);
        for id in 1..=4u8 {
            memory.track_bytes(id.into(), id.into()).unwrap();
        }
        assert_eq!(memory.retain(|id, _| id % 2 == 0), 1 + 3);
        assert_eq!((memory.used(), memory.tracked_count()), (6, 2));
    }

    /// Would catch a report in the wrong units, or that leaves out a pool.
    #[test]
    fn the_report_reads_like_a_table() {
        let mut memory: AudioMemory = AudioMemory::new(1_048_576);
        let pool = memory.pool("voices", usize::MAX);
        memory.track_bytes("a".into(), 2048).unwrap();
        drop(pool.acquire(key(128)).unwrap());
        drop(pool.acquire(key(128)).unwrap());
        let text = memory.report().to_string();
        assert!(text.starts_with("audio memory  3."), "{text}");
        assert!(text.contains(" of 1.00 MiB in use"), "{text}");
        assert!(text.contains("\n  tracked: 1 buffers, 2.00 KiB, 2.00 KiB at most\n"), "{text}");
        assert!(text.contains("of no limit, 0 leased, 1 idle, 1 created, 1 reused, 0 evicted"), "{text}");
        assert!(format!("{memory:?}").contains("1 tracked, 1 pools"), "{memory:?}");
    }

    /// Would catch housekeeping that does not reach the pools.
    #[test]
    fn maintenance_under_critical_pressure_drops_what_is_idle() {
        let mut memory: AudioMemory = AudioMemory::new(10_000);
        let pool = memory.pool("voices", usize::MAX);
        pool.prewarm(key(128), 3).unwrap();
        assert_eq!(memory.maintain(10), 0);
        memory.track_bytes("huge".into(), 20_000).unwrap();
        assert_eq!((memory.maintain(10), pool.stats().idle), (3, 0));
    }
}
