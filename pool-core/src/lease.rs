//! One object that is out: [`Lease`], and [`LeaseId`] for places where a guard cannot go.
#![deny(clippy::disallowed_types)]

use crate::stats::PoolStats;
use crate::sync::counter::{AtomicU32, Ordering};
use crate::unwind::{Outgoing, shielded, unwinding};
use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use sealed::Slots as _;

/// A kind of pool: what all of them can do, whatever finds their objects.
///
/// Sealed; it is here so that code can be written for any pool.
pub trait Pool: sealed::Slots<<Self as Pool>::Object> {
    /// What the pool holds.
    type Object;

    /// What the pool has done and holds.
    fn stats(&self) -> PoolStats;

    /// Destroys idle objects, those released longest ago first (of shared pools those in the highest slots), until at most
    /// `target` are idle, or all that may go have gone. Returns how many were destroyed.
    fn trim(&self, target: usize) -> usize;

    /// Refuses all further acquires and destroys what is idle; what is leased is destroyed as it comes back (of shared pools by
    /// the next `trim` or `maintain` after that, or as the pool ends).
    /// Closing again changes nothing.
    fn close(&self);

    /// Whether it was closed.
    fn is_closed(&self) -> bool;
}

pub(crate) mod sealed {
    use super::{LeaseId, NonNull};

    /// What a lease needs of its pool. In all of these `slot` is out, and the caller is who holds it.
    pub trait Slots<T> {
        /// # Safety
        /// The slot is one of the pool's.
        unsafe fn object(&self, slot: u32) -> NonNull<T>;
        /// Whether a release that comes to its usual end calls user code, which may panic.
        fn calls_users(&self) -> bool;
        /// # Safety
        /// The caller holds the slot, and from then on no more.
        unsafe fn give_back(&self, slot: u32);
        /// The same for who knows where the object is.
        /// # Safety
        /// As above, and `object` is that slot's.
        #[inline(always)]
        unsafe fn give_back_at(&self, slot: u32, object: NonNull<T>) {
            let _ = object;
            // SAFETY: the caller's promise.
            unsafe { self.give_back(slot) }
        }
        /// # Safety
        /// As above.
        unsafe fn destroy(&self, slot: u32);
        /// # Safety
        /// As above.
        unsafe fn take_out(&self, slot: u32) -> T;
        /// # Safety
        /// As above.
        unsafe fn to_id(&self, slot: u32) -> LeaseId;
    }
}

/// An object that is out of its pool `P`: `&Pool`, or `Rc<Pool>` or `Arc<Pool>`. Dropping it releases the object.
///
/// A lease of a [`SharedPool`](crate::SharedPool), or of a keyed pool for threads, can be sent to another thread and dropped there, if
/// the object can; one of a pool for one thread, or of a [`Cache`](crate::Cache), stays on its thread. No lease outlives a pool that it borrows:
///
/// ```compile_fail,E0597
/// use pool_core::LocalPool;
/// let lease = {
///     let pool = LocalPool::new(|_: &()| Ok::<u32, ()>(0));
///     pool.acquire().unwrap()
/// };
/// drop(lease);
/// ```
///
/// ```compile_fail,E0277
/// use pool_core::LocalPool;
/// let pool = LocalPool::new(|_: &()| Ok::<u32, ()>(0));
/// std::thread::scope(|scope| {
///     scope.spawn(|| pool.acquire().unwrap()); // the pool is not `Sync`
/// });
/// ```
///
/// A lease that a panic drops is released like any other: the object is reset and used again, in whatever state it was
/// left; there is no poisoning (nor are pools `RefUnwindSafe`: who catches panics says so by `AssertUnwindSafe`). A
/// resetter that cannot bring it back discards it. Should the resetter itself panic then, with `std`, the object is
/// destroyed and the first panic goes on.
///
/// Dereferences to the object, O(1), one pointer. A lease that is leaked (`mem::forget`) keeps its object leased,
/// and counted so, until the pool is dropped.
#[must_use = "dropping a lease releases the object at once"]
pub struct Lease<P>
where
    P: Deref,
    P::Target: Pool,
{
    pool: P,
    slot: u32,
    object: NonNull<<P::Target as Pool>::Object>,
}

impl<P> Lease<P>
where
    P: Deref,
    P::Target: Pool,
{
    /// # Safety
    ///
    /// `slot` of the pool holds an object, is marked as out, and no other lease or token has it. The object stays
    /// where it is for as long as `P` lives.
    pub(crate) unsafe fn new(pool: P, slot: u32) -> Self {
        // SAFETY: the caller's promise.
        let object = unsafe { pool.object(slot) };
        Self { pool, slot, object }
    }

    /// The same for who knows where the object is.
    ///
    /// # Safety
    ///
    /// As of [`new`](Self::new), and `object` is that slot's.
    #[inline(always)]
    pub(crate) unsafe fn at(pool: P, slot: u32, object: NonNull<<P::Target as Pool>::Object>) -> Self {
        Self { pool, slot, object }
    }

    /// The same lease, holding the same pool in another way.
    #[cfg(feature = "alloc")]
    pub(crate) fn with_pool<Q>(self, hold: impl FnOnce(&P) -> Q) -> Lease<Q>
    where
        Q: Deref<Target = P::Target>,
    {
        // First: if it panics, this lease is released as usual.
        let pool = hold(&self.pool);
        let object = self.object;
        let (_, slot) = self.into_parts();
        Lease { pool, slot, object }
    }

    /// The slot and its object, for who takes over from the lease.
    pub(crate) fn into_slot(self) -> (u32, NonNull<<P::Target as Pool>::Object>) {
        let (_, slot, object) = self.into_raw();
        (slot, object)
    }

    /// All that it is. The object is behind the lease's own pointer, by which it may be changed.
    pub(crate) fn into_raw(self) -> (P, u32, NonNull<<P::Target as Pool>::Object>) {
        let object = self.object;
        let (pool, slot) = self.into_parts();
        (pool, slot, object)
    }

    /// The pool it is of.
    #[must_use]
    pub fn pool(this: &Self) -> &P::Target {
        &this.pool
    }

    /// Takes the object out of the pool for good; the pool uncharges its bytes and may make another in its place.
    #[must_use = "dropping the object destroys it: `discard` says so"]
    pub fn detach(self) -> <P::Target as Pool>::Object {
        let (pool, slot) = self.into_parts();
        // SAFETY: this lease held the slot, and is gone.
        let object = Outgoing::new(unsafe { pool.take_out(slot) });
        // Before the object is on its way out, for it may be the pool's end, and that may panic: then the object is destroyed.
        drop(pool);
        object.into_inner()
    }

    /// Destroys the object instead of releasing it: it is broken, or known not to be needed again.
    pub fn discard(self) {
        let (pool, slot) = self.into_parts();
        // SAFETY: as above.
        shielded(|| unsafe { pool.destroy(slot) });
    }

    /// Turns the lease into a token, which the pool's `redeem` turns back and its `release` releases.
    ///
    /// Of a pool that grows the first token of some slots makes room for the tokens of all of them, which allocates: not for a
    /// real-time thread, unless that was done before. With fixed storage the room is there.
    #[must_use = "the object stays leased until its token is released"]
    pub fn into_id(self) -> LeaseId {
        let (pool, slot) = self.into_parts();
        // SAFETY: as above.
        unsafe { pool.to_id(slot) }
    }

    pub(crate) fn into_parts(self) -> (P, u32) {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped nor used again, so the pool is moved out once.
        (unsafe { core::ptr::read(&this.pool) }, this.slot)
    }
}

// SAFETY: a lease is its pool's handle and the only way to one object. Whoever drops it needs the pool on that thread
// (`P: Send`; pools for one thread are not `Sync`, so neither a reference nor an `Rc` to one is `Send`) and may drop the
// object there (`Object: Send`).
unsafe impl<P> Send for Lease<P>
where
    P: Deref + Send,
    P::Target: Pool<Object: Send>,
{
}

// SAFETY: a shared lease gives shared references to its pool and to its object.
unsafe impl<P> Sync for Lease<P>
where
    P: Deref + Sync,
    P::Target: Pool<Object: Sync> + Sync,
{
}

impl<P> Deref for Lease<P>
where
    P: Deref,
    P::Target: Pool,
{
    type Target = <P::Target as Pool>::Object;

    #[inline]
    fn deref(&self) -> &Self::Target {
        // SAFETY: by the promise at `new` this lease alone has the slot, which holds an object and stays.
        unsafe { self.object.as_ref() }
    }
}

impl<P> DerefMut for Lease<P>
where
    P: Deref,
    P::Target: Pool,
{
    #[inline]
    fn deref_mut(&mut self) -> &mut Self::Target {
        // SAFETY: as above, and `&mut self` makes the access the only one.
        unsafe { self.object.as_mut() }
    }
}

impl<P> Drop for Lease<P>
where
    P: Deref,
    P::Target: Pool,
{
    #[inline(always)]
    fn drop(&mut self) {
        // What it calls may panic, too, as it gets what the first panic left. Where it calls nobody, as mostly, nothing is looked
        // at; what else may come has a shield of its own.
        if self.pool.calls_users() && unwinding() {
            // SAFETY: as below.
            return unsafe { give_back_unwinding(&*self.pool, self.slot, self.object) };
        }
        // SAFETY: this lease held the slot, and is going.
        unsafe { self.pool.give_back_at(self.slot, self.object) }
    }
}

/// Of parts and not of the lease: one whose address is taken does not stay in registers.
///
/// # Safety
///
/// As of [`give_back_at`](sealed::Slots::give_back_at).
#[cold]
#[inline(never)]
unsafe fn give_back_unwinding<P: Pool + ?Sized>(pool: &P, slot: u32, object: NonNull<P::Object>) {
    // SAFETY: the caller's promise.
    shielded(|| unsafe { pool.give_back_at(slot, object) });
}

impl<P> fmt::Debug for Lease<P>
where
    P: Deref,
    P::Target: Pool<Object: fmt::Debug>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&**self).finish()
    }
}

/// A copyable name of a lease, for FFI and JavaScript: pool, slot, and which use of the slot.
///
/// Made by [`Lease::into_id`]. The pool tells in O(1) whether a token is still good: a second release, or one to
/// the wrong pool, is an error in every build and changes nothing, whatever bits it was made from. Generations
/// have 64 bits (63 in shared pools, 47 in those without allocator: at a thousand tokens of a slot a second, four thousand
/// years), so a token is never mistaken for a later one; pools are numbered with 32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LeaseId {
    pub(crate) pool: u32,
    pub(crate) slot: u32,
    pub(crate) generation: u64,
}

impl LeaseId {
    /// The token as a number, for a language that keeps numbers better than structures.
    #[must_use]
    pub const fn to_bits(self) -> u128 {
        (self.pool as u128) << 96 | (self.slot as u128) << 64 | self.generation as u128
    }

    /// The token of such a number. Any number is safe: one that names no lease is refused by the pool.
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        Self { pool: (bits >> 96) as u32, slot: (bits >> 64) as u32, generation: bits as u64 }
    }
}

/// The next pool's number; distinct until 2^32 pools have been made.
pub(crate) fn next_pool_id() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    // Relaxed: only the numbers have to differ.
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::LeaseId;

    // Two fields that overlap in the number.
    #[test]
    fn bits_round_trip() {
        let id = LeaseId { pool: u32::MAX - 1, slot: 7, generation: u64::MAX - 2 };
        assert_eq!(LeaseId::from_bits(id.to_bits()), id);
        assert_eq!(LeaseId::from_bits(id.to_bits() + 1).generation, u64::MAX - 1);
    }
}
