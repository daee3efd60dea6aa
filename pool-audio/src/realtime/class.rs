//! A class: the buffers of one shape, in a shared pool.
//!
//! The shape is channels and capacity. The sample rate is no part of it: a rate is a label on a buffer, which the
//! handle writes as it hands the buffer out. So a change of rate finds every idle buffer of the shape again, and
//! needs no memory.
#![deny(clippy::disallowed_types)]

use alloc::sync::Arc;
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use pool_core::{
    Account, AcquireError, Cache, Factory, Lease, OverBudget, Reservation, Resetter, SharedPool, Verdict,
};

use crate::error::BufferError;
use crate::key::BufferKey;
use crate::sample::SampleBuffer;

/// The most that is cleared while somebody waits for it, in bytes: 2 x 4096 floats, some 200 ns if they are in the
/// processor's cache and 2 us if not, and then they are where the writer wants them. Larger buffers are cleared ahead.
pub const CLEARED_ON_ACQUIRE: usize = 32 * 1024;

/// A sample buffer and the claim on the bytes that it takes. Dereferences to the [`SampleBuffer`].
///
/// The claim goes with the buffer: what is detached from its pool stays charged until it is dropped.
pub struct RealtimeBuffer {
    /// First, so that the charge is undone before the samples are freed.
    claim: Reservation,
    samples: SampleBuffer,
}

impl RealtimeBuffer {
    /// Bytes that a buffer of this key takes: planes, padding, alignment slack and header.
    ///
    /// # Errors
    ///
    /// The same as [`BufferKey::new`].
    pub fn bytes_for(key: BufferKey) -> Result<usize, BufferError> {
        Ok(key.bytes()? + size_of::<Self>() - size_of::<SampleBuffer>())
    }

    /// Bytes that are charged for this buffer.
    pub fn charged(&self) -> usize {
        self.claim.bytes()
    }
}

impl Deref for RealtimeBuffer {
    type Target = SampleBuffer;

    #[inline]
    fn deref(&self) -> &SampleBuffer {
        &self.samples
    }
}

impl DerefMut for RealtimeBuffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut SampleBuffer {
        &mut self.samples
    }
}

impl fmt::Debug for RealtimeBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.samples.fmt(f)
    }
}

/// Why a class could not make a buffer.
#[derive(Debug)]
pub enum CreateError {
    /// The shape, or the allocator.
    Buffer(BufferError),
    /// The budget.
    OverBudget(OverBudget),
}

/// What the pools here say when they refuse, in the words of all pools.
pub(super) fn told(refusal: AcquireError<CreateError>) -> AcquireError<BufferError> {
    match refusal {
        AcquireError::Create(CreateError::Buffer(error)) => AcquireError::Create(error),
        AcquireError::Create(CreateError::OverBudget(refusal)) => AcquireError::OverBudget(refusal),
        AcquireError::Exhausted { leased, max_objects } => AcquireError::Exhausted { leased, max_objects },
        // A class has no keys, and nobody waits here.
        _ => AcquireError::Closed,
    }
}

/// Makes the buffers of a class, every page of them written, each with its own claim on the account.
///
/// The pool behind has no account, so that it need not weigh at each release what cannot change its weight.
#[derive(Debug)]
pub struct ClassFactory {
    /// Its rate is that of whoever asked first.
    pub(super) key: BufferKey,
    pub(super) account: Account,
}

impl Factory for ClassFactory {
    type Object = RealtimeBuffer;
    type Error = CreateError;

    fn create(&self, &(): &()) -> Result<RealtimeBuffer, CreateError> {
        let bytes = RealtimeBuffer::bytes_for(self.key).map_err(CreateError::Buffer)?;
        let claim = self.account.try_reserve(bytes).map_err(CreateError::OverBudget)?;
        let samples = SampleBuffer::for_key(self.key).map_err(CreateError::Buffer)?;
        Ok(RealtimeBuffer { claim, samples })
    }

    fn measure(&self, buffer: &RealtimeBuffer) -> usize {
        buffer.charged()
    }
}

/// Keeps a buffer that comes back as what went out, and no other.
///
/// A lease gives `&mut SampleBuffer`, so its user can put another buffer in the place of the pool's. That one is
/// doomed, and freed by the worker. Nothing else has to be reset here: length and rate are set as a buffer is handed
/// out, samples are cleared when somebody asks for zeros.
#[derive(Debug)]
pub struct SameShape {
    pub(super) channels: u16,
    pub(super) frames: u32,
}

impl Resetter<RealtimeBuffer> for SameShape {
    #[inline(always)]
    fn may_panic() -> bool {
        false
    }

    #[inline]
    fn reset(&self, buffer: &mut RealtimeBuffer) -> Verdict {
        let key = buffer.samples.key();
        if key.channels == self.channels && key.frames == self.frames {
            Verdict::Keep
        } else {
            Verdict::Discard
        }
    }
}

/// The pool behind a class.
pub type ClassPool = SharedPool<ClassFactory, SameShape>;

/// A buffer on loan to one thread. Dropping it gives it back to the handle that it is of.
pub type RealtimeLease<'handle> = Lease<&'handle Cache<Arc<ClassPool>>>;

/// A buffer on loan that may be sent to any thread, and dropped there.
pub type SharedLease = Lease<Arc<ClassPool>>;

/// What handles tell the worker. Nothing is published by it but the numbers themselves, so all of it is relaxed.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// Acquires that found nothing.
    exhausted: AtomicUsize,
    /// Large buffers that had to be cleared while somebody waited.
    inline_clears: AtomicUsize,
    /// `acquire_silent` that got a buffer which takes more than 32 KiB to clear, and none that was cleared ahead was left.
    not_clear: AtomicUsize,
    /// Buffers that were taken to clear them ahead, or to see whether they are clear, and not because somebody wanted them.
    looked: AtomicUsize,
    /// More buffers are wanted.
    refill: AtomicBool,
}

impl Signals {
    #[cold]
    pub(super) fn note_exhausted(&self) {
        self.exhausted.fetch_add(1, Ordering::Relaxed);
        self.refill.store(true, Ordering::Relaxed);
    }

    #[cold]
    pub(super) fn note_inline_clear(&self) {
        self.inline_clears.fetch_add(1, Ordering::Relaxed);
    }

    #[cold]
    pub(super) fn note_not_clear(&self) {
        self.not_clear.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_look(&self) {
        self.looked.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether more buffers are wanted; the next time only if it was said again.
    pub(super) fn take_refill(&self) -> bool {
        self.refill.load(Ordering::Relaxed) && self.refill.swap(false, Ordering::Relaxed)
    }

    pub(super) fn exhausted(&self) -> usize {
        self.exhausted.load(Ordering::Relaxed)
    }

    pub(super) fn inline_clears(&self) -> usize {
        self.inline_clears.load(Ordering::Relaxed)
    }

    pub(super) fn not_clear(&self) -> usize {
        self.not_clear.load(Ordering::Relaxed)
    }

    pub(super) fn looked(&self) -> usize {
        self.looked.load(Ordering::Relaxed)
    }
}
