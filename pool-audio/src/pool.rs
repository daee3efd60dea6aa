//! `BufferPool`: sample buffers by shape, over `pool-core`'s keyed pool.
//!
//! What is added to [`KeyedPool`]: a factory and a resetter for buffers, zeroing that writes only what has to be,
//! and an account of the pool's own below the one of the program's audio memory. Nothing else: recency, budget,
//! leases and counts are the keyed pool's.
//!
//! Zeroing happens on acquire and not on release. The writer that acquires wants the lines in its cache anyway,
//! and whoever asks for a dirty buffer, since it overwrites all of it, pays for none.

use alloc::borrow::Cow;
use alloc::rc::Rc;
use core::cell::Cell;
use core::fmt;

use pool_core::{
    Account, AcquireError, Clock, Factory, KeyStats, KeyedPool, Lease, NoClock, PoolStats, Resetter, Verdict,
};

use crate::error::BufferError;
use crate::key::BufferKey;
use crate::sample::SampleBuffer;

/// Makes sample buffers: the factory of a [`BufferPool`].
#[derive(Debug, Clone, Copy, Default)]
pub struct BufferFactory;

impl Factory<BufferKey> for BufferFactory {
    type Object = SampleBuffer;
    type Error = BufferError;

    fn create(&self, key: &BufferKey) -> Result<SampleBuffer, BufferError> {
        SampleBuffer::for_key(*key)
    }

    /// Exact. A key that no buffer can have needs nothing: `create` says what is wrong with it, and nothing has
    /// been evicted for its sake.
    fn estimate(&self, key: &BufferKey) -> usize {
        key.bytes().unwrap_or(0)
    }

    fn measure(&self, buffer: &SampleBuffer) -> usize {
        buffer.bytes()
    }
}

/// Makes a released buffer as long as it can be: the resetter of a [`BufferPool`]. The samples stay as they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct FullLength;

impl Resetter<SampleBuffer> for FullLength {
    #[inline(always)]
    fn may_panic() -> bool {
        false
    }

    fn reset(&self, buffer: &mut SampleBuffer) -> Verdict {
        match buffer.set_len(buffer.frames()) {
            Ok(()) => Verdict::Keep,
            Err(_) => Verdict::Discard,
        }
    }
}

/// The keyed pool inside a [`BufferPool`].
pub type KeyedBuffers = KeyedPool<BufferKey, BufferFactory, FullLength, Rc<dyn Clock>>;

/// A [`SampleBuffer`] that is out of its pool. Dropping it releases the buffer.
pub type BufferLease<'a> = Lease<&'a KeyedBuffers>;

/// A [`BufferLease`] that keeps its pool alive and may be stored anywhere.
pub type OwnedBufferLease = Lease<Rc<KeyedBuffers>>;

/// Sample buffers by channels, capacity and sample rate, with exact LRU across shapes and a budget in bytes.
///
/// A handle: clones share one pool. It is for one thread (see the crate's documentation for the audio thread).
///
/// | call | cost |
/// |---|---|
/// | [`acquire_dirty`](Self::acquire_dirty), [`try_acquire_dirty`](Self::try_acquire_dirty), a hit | O(1) |
/// | [`acquire`](Self::acquire), [`try_acquire`](Self::try_acquire), a hit | O(what was written last time) |
/// | `acquire`, `acquire_dirty`, a miss | allocates, and writes every page |
/// | dropping a lease | O(1) |
///
/// ```
/// use pool_audio::{BufferKey, BufferPool};
///
/// let pool = BufferPool::builder("voices").budget(1_000_000).build();
/// let stereo = BufferKey::new(2, 128, 48_000)?;
/// pool.prewarm(stereo, 8)?;
///
/// let mut buffer = pool.acquire(stereo)?; // zeros
/// buffer[0][0] = 1.0;
/// drop(buffer);
/// assert_eq!((pool.stats().hits, pool.stats().created), (1, 8));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct BufferPool {
    pool: Rc<KeyedBuffers>,
    account: Account,
    /// Bytes that acquires had to write zeros to.
    zeroed: Rc<Cell<u64>>,
}

impl BufferPool {
    /// A pool whose account has this name, without bounds until the builder sets some.
    pub fn builder(name: impl Into<Cow<'static, str>>) -> BufferPoolBuilder {
        BufferPoolBuilder {
            name: name.into(),
            parent: None,
            budget: usize::MAX,
            max_per_key: usize::MAX,
            max_idle_per_key: usize::MAX,
            min_idle: 0,
            clock: Rc::new(NoClock),
            idle_ttl: u64::MAX,
        }
    }

    /// Takes a buffer of zeros, full length, and makes one if none is idle.
    ///
    /// Only what was written since the buffer was last zeros is written again: nothing at all for a buffer that
    /// nobody wrote.
    ///
    /// # Errors
    ///
    /// [`AcquireError`]: the pool is closed, a limit on the number is reached, the bytes do not fit the budget
    /// even if everything idle went, or the [`BufferError`] of a shape that no buffer can have.
    pub fn acquire(&self, key: BufferKey) -> Result<BufferLease<'_>, AcquireError<BufferError>> {
        self.acquire_dirty(key).map(|lease| self.zero(lease))
    }

    /// Takes a buffer with whatever samples its last user left, full length, and makes one if none is idle. For
    /// users that overwrite everything.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    pub fn acquire_dirty(&self, key: BufferKey) -> Result<BufferLease<'_>, AcquireError<BufferError>> {
        loop {
            let lease = self.pool.acquire(&key)?;
            if let Some(lease) = of_shape(lease, key) {
                return Ok(lease);
            }
        }
    }

    /// Takes an idle buffer and makes it zeros, or gives `None` if none is idle. Never allocates.
    pub fn try_acquire(&self, key: BufferKey) -> Option<BufferLease<'_>> {
        self.try_acquire_dirty(key).map(|lease| self.zero(lease))
    }

    /// Takes an idle buffer as its last user left it, or gives `None` if none is idle. Never allocates.
    pub fn try_acquire_dirty(&self, key: BufferKey) -> Option<BufferLease<'_>> {
        loop {
            if let Some(lease) = of_shape(self.pool.try_acquire(&key)?, key) {
                return Some(lease);
            }
        }
    }

    /// As [`acquire`](Self::acquire), with a lease that keeps the pool alive.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    pub fn acquire_owned(&self, key: BufferKey) -> Result<OwnedBufferLease, AcquireError<BufferError>> {
        self.acquire_dirty_owned(key).map(|lease| self.zero(lease))
    }

    /// As [`acquire_dirty`](Self::acquire_dirty), with a lease that keeps the pool alive.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    pub fn acquire_dirty_owned(&self, key: BufferKey) -> Result<OwnedBufferLease, AcquireError<BufferError>> {
        loop {
            let lease = self.pool.acquire_owned(&key)?;
            if let Some(lease) = of_shape(lease, key) {
                return Ok(lease);
            }
        }
    }

    /// As [`try_acquire`](Self::try_acquire), with a lease that keeps the pool alive.
    pub fn try_acquire_owned(&self, key: BufferKey) -> Option<OwnedBufferLease> {
        self.try_acquire_dirty_owned(key).map(|lease| self.zero(lease))
    }

    /// As [`try_acquire_dirty`](Self::try_acquire_dirty), with a lease that keeps the pool alive.
    pub fn try_acquire_dirty_owned(&self, key: BufferKey) -> Option<OwnedBufferLease> {
        loop {
            if let Some(lease) = of_shape(self.pool.try_acquire_owned(&key)?, key) {
                return Some(lease);
            }
        }
    }

    fn zero<P>(&self, mut lease: Lease<P>) -> Lease<P>
    where
        P: core::ops::Deref<Target = KeyedBuffers>,
    {
        let bytes = lease.clear();
        self.zeroed.set(self.zeroed.get() + bytes as u64);
        lease
    }

    /// Makes idle buffers until `count` are idle, each with every page written, so that the first acquires
    /// neither allocate nor fault. Gives how many were made.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire); the buffers made before the error stay.
    pub fn prewarm(&self, key: BufferKey, count: usize) -> Result<usize, AcquireError<BufferError>> {
        self.pool.prewarm(&key, count)
    }

    /// Changes the budget in bytes. Lowering it below what is in use succeeds and evicts what is idle, least
    /// recently released first; gives the bytes that are still above it, in buffers that are out.
    pub fn set_budget(&self, bytes: usize) -> usize {
        if self.account.set_hard_limit(bytes) > 0 {
            self.pool.evict_to(bytes);
        }
        self.account.overcommitted()
    }

    /// Destroys idle buffers, least recently released first, until the pool holds at most `bytes` or nothing is
    /// idle. Gives the bytes freed.
    pub fn evict_to(&self, bytes: usize) -> usize {
        self.pool.evict_to(bytes)
    }

    /// Destroys idle buffers, least recently released first, until at most `idle` are left. Gives how many went.
    pub fn trim(&self, idle: usize) -> usize {
        self.pool.trim(idle)
    }

    /// One bounded slice of housekeeping: expiry of what was idle too long, trimming under pressure. Gives how
    /// many buffers went. Call it now and then, away from the audio.
    pub fn maintain(&self, work_limit: usize) -> usize {
        self.pool.maintain(work_limit)
    }

    /// Refuses all acquires from now on and destroys what is idle; what is out is destroyed as it comes back.
    /// Closing twice is the same as once.
    pub fn close(&self) {
        self.pool.close();
    }

    /// Whether the pool was closed.
    pub fn is_closed(&self) -> bool {
        self.pool.is_closed()
    }

    /// What the pool has done and holds.
    pub fn stats(&self) -> PoolStats {
        self.pool.stats()
    }

    /// What is held of one shape; `None` if nothing is.
    pub fn key_stats(&self, key: BufferKey) -> Option<KeyStats> {
        self.pool.key_stats(&key)
    }

    /// Bytes of zeros that acquires had to write so far. What dirty acquires and silent buffers saved is not in
    /// it.
    pub fn zeroed_bytes(&self) -> u64 {
        self.zeroed.get()
    }

    /// The ledger of this pool's bytes.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The keyed pool, for what is not repeated here: tokens for FFI, `retain`, the list of shapes.
    pub fn as_keyed(&self) -> &Rc<KeyedBuffers> {
        &self.pool
    }
}

/// The lease if its buffer has the shape of the key it was filed under. A lease gives `&mut SampleBuffer`, so its
/// user can have swapped the buffer for another one; that one is destroyed here, and never handed out as what
/// it is not.
fn of_shape<P>(lease: Lease<P>, key: BufferKey) -> Option<Lease<P>>
where
    P: core::ops::Deref<Target = KeyedBuffers>,
{
    if lease.key() == key {
        return Some(lease);
    }
    lease.discard();
    None
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BufferPool({:?}, {})", self.account.name(), self.stats())
    }
}

/// Settings of a [`BufferPool`]. Without any the pool has no bounds.
#[must_use = "a builder makes nothing until `build` is called"]
pub struct BufferPoolBuilder {
    name: Cow<'static, str>,
    parent: Option<Account>,
    budget: usize,
    max_per_key: usize,
    max_idle_per_key: usize,
    min_idle: usize,
    clock: Rc<dyn Clock>,
    idle_ttl: u64,
}

impl BufferPoolBuilder {
    /// Most bytes that the pool's buffers may take, leased and idle, headers and padding included.
    pub fn budget(mut self, bytes: usize) -> Self {
        self.budget = bytes;
        self
    }

    /// The account that the pool's bytes are counted in as well, such as
    /// [`AudioMemory::account`](crate::AudioMemory::account).
    pub fn parent(mut self, account: &Account) -> Self {
        self.parent = Some(account.clone());
        self
    }

    /// Most buffers of one shape, leased and idle.
    pub fn max_per_key(mut self, buffers: usize) -> Self {
        self.max_per_key = buffers;
        self
    }

    /// Most idle buffers of one shape; the one released longest ago goes first.
    pub fn max_idle_per_key(mut self, buffers: usize) -> Self {
        self.max_idle_per_key = buffers;
        self
    }

    /// Idle buffers of each shape that trimming leaves.
    pub fn min_idle(mut self, buffers: usize) -> Self {
        self.min_idle = buffers;
        self
    }

    /// Destroys what was idle for longer than `ticks` of `clock`, when it is asked for or at
    /// [`maintain`](BufferPool::maintain).
    pub fn idle_ttl(mut self, clock: impl Clock + 'static, ticks: u64) -> Self {
        self.clock = Rc::new(clock);
        self.idle_ttl = ticks;
        self
    }

    /// The pool. It holds no buffer yet.
    pub fn build(self) -> BufferPool {
        let mut account = Account::builder(self.name).hard_limit(self.budget);
        if let Some(parent) = &self.parent {
            account = account.parent(parent);
        }
        let account = account.build();
        let pool = KeyedPool::builder(BufferFactory)
            .resetter(FullLength)
            .clock(self.clock)
            .account(account.clone())
            .max_per_key(self.max_per_key)
            .max_idle_per_key(self.max_idle_per_key)
            .min_idle(self.min_idle)
            .idle_ttl(self.idle_ttl)
            .build();
        BufferPool { pool: Rc::new(pool), account, zeroed: Rc::new(Cell::new(0)) }
    }
}

impl fmt::Debug for BufferPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPoolBuilder")
            .field("name", &self.name)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec::Vec;
    use core::num::NonZeroU32;
    use pool_core::ManualClock;

    fn key(channels: u16, frames: u32) -> BufferKey {
        BufferKey::new(channels, frames, 48_000).unwrap()
    }

    /// The counts that must agree whatever has happened.
    fn check(pool: &BufferPool) {
        let stats = pool.stats();
        assert_eq!(stats.created, stats.leased as u64 + stats.idle as u64 + stats.destroyed + stats.detached);
        assert_eq!(stats.leased_bytes + stats.idle_bytes, pool.account().used());
        assert!(pool.account().used() <= pool.account().peak());
    }

    /// Would catch stale samples in a buffer that is said to be zeros, and zeroing of what is zeros.
    #[test]
    fn acquire_gives_zeros_and_writes_no_more_than_it_must() {
        let pool = BufferPool::builder("test").build();
        let mut buffer = pool.acquire(key(2, 128)).unwrap();
        buffer[1].fill(1.0);
        buffer.set_len(5).unwrap();
        drop(buffer);

        let buffer = pool.acquire_dirty(key(2, 128)).unwrap();
        assert_eq!((buffer[1][127], buffer.len()), (1.0, 128), "dirty: as it was left, but full length");
        drop(buffer);
        assert_eq!(pool.zeroed_bytes(), 0);

        let buffer = pool.acquire(key(2, 128)).unwrap();
        assert!(buffer.is_silent() && buffer.planes().flatten().all(|&sample| sample == 0.0));
        drop(buffer);
        assert_eq!(pool.zeroed_bytes(), 512, "one channel of two");
        drop(pool.acquire(key(2, 128)).unwrap());
        assert_eq!(pool.zeroed_bytes(), 512, "nobody wrote in between");
        assert_eq!((pool.stats().created, pool.stats().hits, pool.stats().misses), (1, 3, 1));
        check(&pool);
    }

    /// Would catch shapes that are mixed up: one key's buffer handed out for another.
    #[test]
    fn shapes_are_kept_apart() {
        let pool = BufferPool::builder("test").build();
        let other_rate = BufferKey::new(2, 128, 44_100).unwrap();
        let keys = [key(1, 256), key(2, 128), key(2, 64), other_rate];
        for key in keys {
            assert_eq!(pool.acquire(key).unwrap().key(), key);
        }
        assert_eq!(pool.stats().created, 4);
        for key in keys {
            assert_eq!(pool.acquire(key).unwrap().key(), key);
        }
        assert_eq!((pool.stats().created, pool.stats().hits), (4, 4));
        check(&pool);
    }

    /// Would catch a buffer that was swapped inside its lease and handed out later as what it is not.
    #[test]
    fn a_buffer_that_was_swapped_is_never_handed_out() {
        let pool = BufferPool::builder("test").build();
        let mut kept = SampleBuffer::new(1, 16, 8_000).unwrap();
        core::mem::swap(&mut *pool.acquire(key(2, 128)).unwrap(), &mut kept);
        assert_eq!((kept.channels(), pool.stats().idle), (2, 1));
        assert!(
            pool.try_acquire(key(2, 128)).is_none(),
            "the foreign one is destroyed, and there is no other"
        );
        assert_eq!(pool.stats().discarded, 1);
        check(&pool);

        let mut kept = SampleBuffer::new(1, 16, 8_000).unwrap();
        core::mem::swap(&mut *pool.acquire(key(2, 128)).unwrap(), &mut kept);
        assert_eq!(pool.acquire_owned(key(2, 128)).unwrap().channels(), 2);
        check(&pool);
    }

    /// Would catch a bad shape that evicts, counts or charges something before it is refused.
    #[test]
    fn shapes_that_cannot_be_are_refused_and_change_nothing() {
        let pool = BufferPool::builder("test").budget(10_000).build();
        pool.prewarm(key(2, 128), 2).unwrap();
        let before = pool.stats();
        let rate = NonZeroU32::new(48_000).unwrap();
        for (channels, frames) in [(0, 128), (2, 0), (0, 0)] {
            let literal = BufferKey { channels, frames, sample_rate: rate };
            match pool.acquire(literal).unwrap_err() {
                AcquireError::Create(BufferError::ZeroChannels { frames: told, .. }) => {
                    assert_eq!(told, frames)
                }
                AcquireError::Create(BufferError::ZeroFrames { channels: told, .. }) => {
                    assert_eq!(told, channels)
                }
                other => panic!("{other}"),
            }
            assert!(pool.prewarm(literal, 1).is_err() && pool.try_acquire(literal).is_none());
        }
        let vast = BufferKey { channels: u16::MAX, frames: u32::MAX, sample_rate: rate };
        assert!(matches!(pool.acquire(vast), Err(AcquireError::OverBudget(_) | AcquireError::Create(_))));
        let after = pool.stats();
        assert_eq!((after.idle, after.created, after.evicted), (before.idle, before.created, before.evicted));
        assert_eq!(after.idle_bytes, before.idle_bytes);
        check(&pool);
    }

    /// Would catch an allocator's refusal that loses bytes of the account or a slot of the pool.
    #[test]
    fn memory_that_is_not_there_is_an_error_and_charges_nothing() {
        let pool = BufferPool::builder("test").build();
        let vast = BufferKey { channels: u16::MAX, frames: u32::MAX, sample_rate: NonZeroU32::MIN };
        assert!(matches!(pool.acquire(vast).unwrap_err(), AcquireError::Create(_)));
        assert_eq!((pool.account().used(), pool.stats().created, pool.stats().leased), (0, 0, 0));
        drop(pool.acquire(key(2, 128)).unwrap());
        check(&pool);
    }

    /// Would catch a budget that is passed, an eviction in the wrong order, or a refusal without its numbers.
    #[test]
    fn the_budget_holds_and_the_least_recently_released_goes_first() {
        let bytes = key(2, 128).bytes().unwrap();
        let pool = BufferPool::builder("small").budget(2 * bytes).build();
        let rates = [44_100, 48_000, 96_000].map(|rate| BufferKey::new(2, 128, rate).unwrap());
        drop(pool.acquire(rates[0]).unwrap());
        drop(pool.acquire(rates[1]).unwrap());
        let held = pool.acquire(rates[2]).unwrap();
        assert_eq!((pool.stats().evicted, pool.stats().idle), (1, 1));
        assert!(pool.key_stats(rates[0]).is_none_or(|stats| stats.idle == 0), "the first one released");
        let second = pool.acquire(rates[1]).unwrap();
        match pool.acquire(rates[0]).unwrap_err() {
            AcquireError::OverBudget(refusal) => {
                assert_eq!((refusal.requested, refusal.used, refusal.limit), (bytes, 2 * bytes, 2 * bytes));
                assert_eq!(refusal.account.name(), "small");
            }
            other => panic!("{other}"),
        }
        assert_eq!(pool.account().peak(), 2 * bytes);
        drop((held, second));
        check(&pool);
    }

    /// Would catch a budget of less than one buffer that evicts, loops, or is passed.
    #[test]
    fn a_budget_smaller_than_one_buffer_refuses_it() {
        let pool = BufferPool::builder("tiny").budget(1000).build();
        let error = pool.acquire(key(2, 128)).unwrap_err();
        assert!(matches!(error, AcquireError::OverBudget(_)), "{error}");
        assert!(error.to_string().contains("tiny"), "{error}");
        assert!(pool.prewarm(key(2, 128), 3).is_err());
        assert_eq!((pool.stats().created, pool.account().used()), (0, 0));
        drop(pool.acquire(key(1, 16)).unwrap());
        check(&pool);
    }

    /// Would catch a lowered budget that leaves idle buffers above it, or takes what is out.
    #[test]
    fn a_lowered_budget_evicts_what_is_idle_and_tells_the_rest() {
        let bytes = key(2, 128).bytes().unwrap();
        let pool = BufferPool::builder("test").budget(10 * bytes).build();
        pool.prewarm(key(2, 128), 5).unwrap();
        let held: Vec<_> = (0..2).map(|_| pool.acquire(key(2, 128)).unwrap()).collect();
        assert_eq!(pool.set_budget(3 * bytes), 0);
        assert_eq!((pool.stats().idle, pool.stats().leased), (1, 2));
        assert_eq!(pool.set_budget(bytes), bytes, "two are out, one fits");
        assert_eq!(pool.stats().idle, 0);
        assert!(pool.acquire(key(1, 16)).is_err());
        drop(held);
        check(&pool);
    }

    /// Would catch an acquire on a closed pool, and leases that a closed pool leaks or keeps.
    #[test]
    fn a_closed_pool_refuses_and_takes_back_what_is_out() {
        let pool = BufferPool::builder("test").build();
        pool.prewarm(key(2, 128), 3).unwrap();
        let borrowed = pool.acquire(key(2, 128)).unwrap();
        let mut owned = pool.acquire_owned(key(2, 128)).unwrap();
        pool.close();
        pool.close();
        assert!(pool.is_closed() && pool.stats().idle == 0);
        assert!(matches!(pool.acquire(key(2, 128)).unwrap_err(), AcquireError::Closed));
        assert!(matches!(pool.prewarm(key(2, 128), 1).unwrap_err(), AcquireError::Closed));
        assert!(pool.try_acquire_dirty(key(2, 128)).is_none());
        drop(borrowed);
        let account = pool.account().clone();
        drop(pool);
        owned[0][0] = 1.0;
        assert_eq!(account.used(), owned.bytes(), "an owned lease outlives every handle to its pool");
        drop(owned);
        assert_eq!(account.used(), 0);
    }

    /// Would catch `try_acquire` that creates, and prewarming that leaves the first acquire to allocate.
    #[test]
    fn try_acquire_never_creates_and_prewarm_is_what_it_finds() {
        let pool = BufferPool::builder("test").max_per_key(2).build();
        assert!(pool.try_acquire(key(2, 128)).is_none());
        assert_eq!(pool.prewarm(key(2, 128), 2).unwrap(), 2);
        assert_eq!(pool.prewarm(key(2, 128), 2).unwrap(), 0, "they are idle already");
        let first = pool.try_acquire(key(2, 128)).unwrap();
        let second = pool.try_acquire_owned(key(2, 128)).unwrap();
        assert!(pool.try_acquire_dirty(key(2, 128)).is_none());
        assert_eq!(pool.stats().created, 2);
        assert!(pool.acquire(key(2, 128)).is_err(), "at most two of a shape");
        drop((first, second));
        check(&pool);
    }

    /// Would catch a detached buffer that stays charged, and one that returns.
    #[test]
    fn a_detached_buffer_is_the_users() {
        let pool = BufferPool::builder("test").build();
        let buffer: SampleBuffer = pool.acquire(key(1, 64)).unwrap().detach();
        assert_eq!((pool.account().used(), pool.stats().detached), (0, 1));
        drop(buffer);
        assert!(pool.try_acquire(key(1, 64)).is_none());
        check(&pool);
    }

    /// Would catch buffers that stay for ever once they are idle (the note's clean-up every 30 s).
    #[test]
    fn what_was_idle_too_long_goes() {
        let clock = Rc::new(ManualClock::default());
        let pool = BufferPool::builder("test").idle_ttl(Rc::clone(&clock), 30).build();
        pool.prewarm(key(2, 128), 2).unwrap();
        clock.advance(30);
        assert_eq!(pool.maintain(100), 0);
        drop(pool.acquire(key(2, 128)).unwrap());
        clock.advance(1);
        assert_eq!((pool.maintain(100), pool.stats().expired, pool.stats().idle), (1, 1, 1));
        clock.advance(100);
        assert!(pool.try_acquire(key(2, 128)).is_none(), "never handed out, even if nobody maintains");
        check(&pool);
    }

    /// Would catch trimming and eviction that go the wrong way or too far.
    #[test]
    fn trim_and_evict_stop_where_they_are_told() {
        let bytes = key(2, 128).bytes().unwrap();
        let pool = BufferPool::builder("test").build();
        pool.prewarm(key(2, 128), 6).unwrap();
        assert_eq!((pool.trim(4), pool.stats().idle), (2, 4));
        assert_eq!((pool.evict_to(3 * bytes), pool.stats().idle), (bytes, 3));
        assert_eq!((pool.evict_to(0), pool.account().used()), (3 * bytes, 0));
        let idle_bound = BufferPool::builder("test").max_idle_per_key(1).min_idle(1).build();
        let held = [(); 3].map(|()| idle_bound.acquire(key(2, 128)).unwrap());
        drop(held);
        assert_eq!((idle_bound.stats().idle, idle_bound.trim(0)), (1, 0));
        check(&idle_bound);
    }

    /// Would catch Debug output without the name or the counts.
    #[test]
    fn debug_names_the_pool() {
        let pool = BufferPool::builder("voices").build();
        pool.prewarm(key(2, 128), 2).unwrap();
        assert!(format!("{pool:?}").starts_with("BufferPool(\"voices\", idle 2/2, "), "{pool:?}");
    }
}
