//! What stands in front of a shared pool: what leases and caches need of it.

use super::{Leave, SharedPool};
use crate::error::AcquireError;
use crate::held::Held;
use crate::lane::{Lane, Owner, Popped};
use crate::lease::{LeaseId, Pool, sealed::Slots};
use crate::lifecycle::{Factory, Resetter, Verdict};
use crate::pages::Pages;
use crate::slots::Storage;
use crate::sync::Ordering;
use core::mem;
use core::ptr::NonNull;

/// What a [`Cache`](crate::Cache) needs of the pool behind it.
pub trait Shared: Pool {
    /// The factory's.
    type Error;
    /// Whether lanes are on the heap.
    const HEAP: bool;
    /// A lane, and whether it is the caller's own; otherwise nothing can be put in.
    fn claim(&self) -> (NonNull<Lane>, bool);
    fn take_one(&self) -> Option<(u32, NonNull<Self::Object>)>;
    fn take_batch(&self, most: u32, leave: bool) -> Option<(u32, usize)>;
    fn take_of_group(&self, group: u32, most: u32) -> usize;
    /// The caller holds these slots.
    fn put(&self, group: u32, bits: usize);
    fn miss(&self) -> Result<u32, AcquireError<Self::Error>>;
    fn base_of(&self, group: u32) -> *mut ();
    fn place_of(&self, popped: &Popped) -> NonNull<Self::Object>;
    fn bound(&self) -> usize;
    fn flags(&self) -> usize;
    /// # Safety
    /// The caller holds the slot, whose object this is.
    unsafe fn reset_only(&self, slot: u32, object: NonNull<Self::Object>) -> Verdict;
    /// Of a slot that the caller holds and has reset to no avail.
    fn spend(&self, slot: u32);
    /// Of a slot that the caller holds and has reset: whether it may be used again. Dooms it otherwise.
    fn settle_reset(&self, slot: u32) -> bool;
}

impl<F, R, S> Shared for SharedPool<F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    type Error = F::Error;
    const HEAP: bool = S::THREAD_CACHES;

    fn claim(&self) -> (NonNull<Lane>, bool) {
        match self.pages.claim_lane(Owner::Cache) {
            Some(lane) => (lane, true),
            None => (self.pages.no_lane(), false),
        }
    }

    fn take_one(&self) -> Option<(u32, NonNull<F::Object>)> {
        self.take_idle()
    }

    fn take_batch(&self, most: u32, leave: bool) -> Option<(u32, usize)> {
        self.take_many(most, leave)
    }

    fn take_of_group(&self, group: u32, most: u32) -> usize {
        self.take_of(group, most)
    }

    fn put(&self, group: u32, bits: usize) {
        self.put_bits(group, bits);
    }

    fn miss(&self) -> Result<u32, AcquireError<F::Error>> {
        self.slot_slowly(false)
    }

    fn base_of(&self, group: u32) -> *mut () {
        self.base(group)
    }

    #[inline(always)]
    fn place_of(&self, popped: &Popped) -> NonNull<F::Object> {
        self.place(popped)
    }

    fn bound(&self) -> usize {
        self.max_objects
    }

    #[inline(always)]
    fn flags(&self) -> usize {
        self.flags.load(Ordering::Relaxed)
    }

    #[inline(always)]
    unsafe fn reset_only(&self, slot: u32, object: NonNull<F::Object>) -> Verdict {
        // SAFETY: the caller's promise.
        unsafe { self.reset(slot, object) }
    }

    fn spend(&self, slot: u32) {
        self.doom(slot);
    }

    fn settle_reset(&self, slot: u32) -> bool {
        self.settle(slot)
    }
}

impl<F, R, S> Slots<F::Object> for SharedPool<F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    #[inline(always)]
    unsafe fn object(&self, slot: u32) -> NonNull<F::Object> {
        self.pages.object(slot)
    }

    #[inline(always)]
    fn calls_users(&self) -> bool {
        R::may_panic()
    }

    unsafe fn give_back(&self, slot: u32) {
        // SAFETY: the caller's promise.
        unsafe { self.give_back_at(slot, self.pages.object(slot)) }
    }

    #[inline(always)]
    unsafe fn give_back_at(&self, slot: u32, object: NonNull<F::Object>) {
        // SAFETY: the caller's promise.
        let verdict = unsafe { self.reset(slot, object) };
        if verdict == Verdict::Discard {
            return self.doom(slot);
        }
        // Little code for the common case, so that the drop of a lease is inlined wherever it may happen, on unwinding
        // too: only then can a lease stay in registers.
        #[cfg(feature = "std")]
        if S::THREAD_CACHES && self.push_to_thread(slot) {
            return;
        }
        self.give_back_slowly(slot);
    }

    unsafe fn destroy(&self, slot: u32) {
        self.destroy_slot(slot, Leave::Discarded);
    }

    unsafe fn take_out(&self, slot: u32) -> F::Object {
        // Whoever detaches it does not get it if an event handler or a waker panics.
        let lost = Held { pool: self, slot, abandon: Self::detached_is_lost };
        let object = self.take_out_of(slot, Leave::Detached);
        mem::forget(lost);
        object
    }

    unsafe fn to_id(&self, slot: u32) -> LeaseId {
        LeaseId { pool: self.id(), slot, generation: self.pages.tag(slot).issue() }
    }
}
