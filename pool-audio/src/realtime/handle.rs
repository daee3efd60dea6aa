//! What an audio thread holds: [`RealtimeHandle`].
#![deny(clippy::disallowed_types)]

use alloc::sync::Arc;
use core::cell::RefCell;
use core::fmt;
use core::num::NonZeroU32;
use core::ops::DerefMut;

use pool_core::Cache;
use rtrb::Consumer;

use super::class::{CLEARED_ON_ACQUIRE, ClassPool, RealtimeBuffer, RealtimeLease, SharedLease, Signals};
use crate::key::BufferKey;

/// How many idle buffers are looked at for one that is clear.
const LOOKS: usize = 32;

/// The buffers of one class, for one audio thread. `Send` and not `Sync`: made where allocating is allowed, then moved to
/// the audio thread.
///
/// | call | cost | |
/// |---|---|---|
/// | [`acquire_dirty`](Self::acquire_dirty), dropping its lease | O(1), some 3 ns | wait-free while the handle has something, else one atomic |
/// | [`acquire_zeroed`](Self::acquire_zeroed), up to 32 KiB | the same, and what was written last time is cleared | |
/// | [`acquire_zeroed`](Self::acquire_zeroed), above | O(1) if the worker has kept up, else it clears here and counts it | |
/// | [`acquire_silent`](Self::acquire_silent) | as `acquire_zeroed`, but never clears more than 32 KiB | `None` if that is what it would take |
/// | the same `_shared` | two atomics more | the lease may go to other threads |
/// | [`release`](Self::release) | O(1), one atomic for up to 32 buffers | |
/// | dropping a [`SharedLease`](super::SharedLease), on any thread | two atomics | wait-free |
///
/// **None of these allocates, frees, locks, waits or calls the system**, whatever the state of the pool; nor does
/// dropping the handle, while the pool or its `Worker` is there. Nothing to be had is `None`; it is
/// counted, and the next [`maintain`](crate::RealtimePool::maintain) makes more.
///
/// Buffers come in full length, labelled with the sample rate of the handle's key. A dirty one holds what its last user
/// left: any floats, but initialised ones.
///
/// One thread has it at a time:
///
/// ```compile_fail,E0277
/// # use pool_audio::{BufferKey, RealtimePool};
/// # let mut pool = RealtimePool::builder("voices").build();
/// let handle = pool.handle(BufferKey::new(2, 128, 48_000).unwrap()).unwrap();
/// std::thread::scope(|scope| {
///     scope.spawn(|| handle.acquire_dirty().is_some()); // it is not `Sync`
/// });
/// ```
///
/// What the handle keeps for itself nobody else can have: up to 64 buffers that were released into it and 32 that it got by
/// [`release`](Self::release); of a class of large ones those that were cleared ahead for it, and what was released into it
/// since it was last acquired from. [`flush`](Self::flush) gives it all back. So prewarm up to 96 more for each further handle of
/// a class that is used at the same time.
pub struct RealtimeHandle {
    /// Buffers that the worker has cleared; `None` in a class whose buffers are cleared on acquire. Before the pool's
    /// handle, so that what it holds is dropped while the worker still looks after the class.
    clear: Option<RefCell<Consumer<SharedLease>>>,
    cache: Cache<Arc<ClassPool>>,
    signals: Arc<Signals>,
    key: BufferKey,
}

impl RealtimeHandle {
    pub(super) fn new(
        pool: &Arc<ClassPool>,
        signals: &Arc<Signals>,
        key: BufferKey,
        clear: Option<Consumer<SharedLease>>,
    ) -> Self {
        Self { clear: clear.map(RefCell::new), cache: pool.cache_owned(), signals: Arc::clone(signals), key }
    }

    /// Shape and rate of the buffers that it hands out.
    #[must_use]
    pub fn key(&self) -> BufferKey {
        self.key
    }

    /// Labels buffers with another rate from now on. No memory moves: a rate is no part of the class.
    pub fn set_sample_rate(&mut self, sample_rate: NonZeroU32) {
        self.key.sample_rate = sample_rate;
    }

    // All of these are inlined but for what is rare, and what is rare gets the buffer and not the lease: a lease that goes
    // through memory is written in parts and read as a whole, which stalls the processor for longer than all the rest takes.
    // For the same reason it is `extern "C"`, from which nothing unwinds: where something can, the lease is kept in memory
    // for its destructor.

    /// A buffer with whatever its last user left in it, for those who overwrite all of it.
    #[inline(always)]
    #[must_use = "dropping a lease releases the buffer at once"]
    pub fn acquire_dirty(&self) -> Option<RealtimeLease<'_>> {
        self.acquire(|| self.cache.try_acquire(), |_| (), Self::leave)
    }

    /// A buffer of zeros.
    #[inline(always)]
    #[must_use = "dropping a lease releases the buffer at once"]
    pub fn acquire_zeroed(&self) -> Option<RealtimeLease<'_>> {
        self.acquire(|| self.cache.try_acquire(), clear, Self::make_clear)
    }

    /// A buffer of zeros, if it takes no more than clearing 32 KiB: the call whose time is bounded whatever the class.
    #[inline(always)]
    #[must_use = "dropping a lease releases the buffer at once"]
    pub fn acquire_silent(&self) -> Option<RealtimeLease<'_>> {
        self.acquire(|| self.cache.try_acquire(), clear, Self::find_clear)
    }

    /// As [`acquire_dirty`](Self::acquire_dirty), with a lease that may go to another thread.
    #[inline(always)]
    #[must_use = "dropping a lease releases the buffer at once"]
    pub fn acquire_dirty_shared(&self) -> Option<SharedLease> {
        self.acquire(|| self.cache.try_acquire_shared(), |_| (), Self::leave)
    }

    /// As [`acquire_zeroed`](Self::acquire_zeroed), with a lease that may go to another thread.
    #[inline(always)]
    #[must_use = "dropping a lease releases the buffer at once"]
    pub fn acquire_zeroed_shared(&self) -> Option<SharedLease> {
        self.acquire(|| self.cache.try_acquire_shared(), clear, Self::make_clear)
    }

    /// As [`acquire_silent`](Self::acquire_silent), with a lease that may go to another thread.
    #[inline(always)]
    #[must_use = "dropping a lease releases the buffer at once"]
    pub fn acquire_silent_shared(&self) -> Option<SharedLease> {
        self.acquire(|| self.cache.try_acquire_shared(), clear, Self::find_clear)
    }

    /// A buffer that was taken and made ready by `small`, or by `large` in a class whose buffers are cleared ahead; none if
    /// that cannot.
    #[inline(always)]
    fn acquire<L: DerefMut<Target = RealtimeBuffer>>(
        &self,
        take: impl Fn() -> Option<L>,
        small: impl Fn(&mut RealtimeBuffer),
        large: extern "C" fn(&Self, &mut RealtimeBuffer) -> bool,
    ) -> Option<L> {
        loop {
            if let Some(mut lease) = take() {
                let buffer = &mut *lease;
                buffer.renew(self.key.sample_rate);
                if self.clear.is_none() {
                    small(buffer);
                    return Some(lease);
                }
                if large(self, buffer) {
                    return Some(lease);
                }
                drop(lease);
                self.leave_to_worker();
                return None;
            }
            if !self.release_clear() {
                return None;
            }
        }
    }

    /// Releases a lease through this handle, which gives what other threads had acquired back in batches: for a thread that
    /// gets many, such as one that records. A lease of another class goes back to where it is from.
    pub fn release(&self, lease: SharedLease) {
        self.cache.release(lease);
        // Large buffers are left where the worker sees them, to clear them: nothing is kept for speed that is nothing beside the
        // clearing.
        if self.clear.is_some() {
            self.cache.flush();
        }
    }

    /// Gives the buffers that were released into this handle back to the class, and keeps those that were cleared ahead. At
    /// the end of a callback that dropped leases of large buffers, so that the worker can clear them for the next, and other
    /// handles have them; the next acquire from a class of large buffers does so, too. One atomic.
    pub fn flush_dirty(&self) {
        self.cache.flush();
    }

    /// Gives all that the handle keeps for itself back to the class, for other threads to use.
    pub fn flush(&self) {
        self.cache.flush();
        while let Some(lease) = self.pop_clear() {
            drop(lease);
        }
    }

    /// The stash and the class are empty: what was cleared ahead is all there is. Puts one of those into the stash; false if
    /// there is none, which is then noted.
    #[cold]
    #[inline(never)]
    fn release_clear(&self) -> bool {
        match self.pop_clear() {
            Some(lease) => {
                self.cache.release(lease);
                true
            }
            None => {
                self.signals.note_exhausted();
                false
            }
        }
    }

    /// What nobody got, where the worker sees it.
    #[cold]
    #[inline(never)]
    extern "C" fn leave_to_worker(&self) {
        self.cache.flush();
    }

    fn pop_clear(&self) -> Option<SharedLease> {
        // Borrowed here only, and for no longer than this.
        let mut lease = self.clear.as_ref()?.try_borrow_mut().ok()?.pop().ok()?;
        lease.renew(self.key.sample_rate);
        Some(lease)
    }

    /// A large buffer as it is.
    #[inline(never)]
    extern "C" fn leave(&self, _: &mut RealtimeBuffer) -> bool {
        self.cache.flush();
        true
    }

    /// Zeros in a large buffer: by exchange, if that can be had.
    #[inline(never)]
    extern "C" fn make_clear(&self, buffer: &mut RealtimeBuffer) -> bool {
        if !self.clear_cheaply(buffer) {
            buffer.clear();
            self.signals.note_inline_clear();
        }
        true
    }

    /// The same, if that takes no clearing of a large one.
    #[inline(never)]
    extern "C" fn find_clear(&self, buffer: &mut RealtimeBuffer) -> bool {
        let found = self.clear_cheaply(buffer);
        if !found {
            self.signals.note_not_clear();
        }
        found
    }

    /// Zeros without clearing more than 32 KiB, if they can be had.
    fn clear_cheaply(&self, buffer: &mut RealtimeBuffer) -> bool {
        self.cache.flush();
        if buffer.bytes_to_clear() <= CLEARED_ON_ACQUIRE {
            buffer.clear();
            return true;
        }
        self.swap_for_clear(buffer) || self.swap_for_silent(buffer)
    }

    /// The same for one of the idle ones that nobody has written since it was zeros, if it is among the next few. A look is
    /// a line of memory to load, at most some 3 us for all, where clearing takes that long from 100 KiB on.
    fn swap_for_silent(&self, buffer: &mut RealtimeBuffer) -> bool {
        let mut passed = [const { None }; LOOKS];
        let mut found = false;
        for place in &mut passed {
            let Some(mut lease) = self.cache.try_acquire() else { break };
            self.signals.note_look();
            found = lease.is_silent();
            if found {
                core::mem::swap(buffer, &mut *lease);
                buffer.renew(self.key.sample_rate);
                break;
            }
            *place = Some(lease);
        }
        drop(passed);
        self.cache.flush();
        found
    }

    /// Exchanges the samples of a buffer for those of one that was cleared ahead. What moves is two headers.
    fn swap_for_clear(&self, buffer: &mut RealtimeBuffer) -> bool {
        let Some(mut clear) = self.pop_clear() else { return false };
        core::mem::swap(buffer, &mut *clear);
        buffer.renew(self.key.sample_rate);
        true
    }
}

/// The whole of it: what a class of small buffers does on acquire.
#[inline(always)]
fn clear(buffer: &mut RealtimeBuffer) {
    buffer.clear();
}

/// `RealtimeHandle(2 x 128 @ 48000 Hz, 12 kept)`
impl fmt::Debug for RealtimeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RealtimeHandle({}, {} kept)", self.key, self.cache.idle())
    }
}
