//! The options of a shared pool.

#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
use super::evict::Membership;
use super::{MEASURED, SharedPool, StaticPool};
use crate::account::Account;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
use crate::account::Member;
use crate::lifecycle::{Estimated, Factory, KeepAll, Resetter};
#[cfg(feature = "alloc")]
use crate::slots::Growing;
use crate::slots::Storage;
use crate::sync::Ordering;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
use alloc::{
    boxed::Box,
    sync::{Arc, Weak},
};

/// Builds a [`SharedPool`].
#[must_use = "a builder makes nothing until `build`"]
pub struct SharedPoolBuilder<F, R = KeepAll> {
    factory: F,
    resetter: R,
    max_objects: usize,
    max_retained_bytes: usize,
    account: Option<Account>,
    #[cfg(feature = "std")]
    thread_caches: bool,
}

impl<F: Factory> SharedPoolBuilder<F> {
    /// A pool of what `factory` makes, without bounds.
    pub fn new(factory: F) -> Self {
        Self {
            factory,
            resetter: KeepAll,
            max_objects: usize::MAX,
            max_retained_bytes: usize::MAX,
            account: None,
            #[cfg(feature = "std")]
            thread_caches: true,
        }
    }
}

impl<F, R> SharedPoolBuilder<F, R>
where
    F: Factory,
    R: Resetter<F::Object>,
{
    /// What brings a released object back to its first state, on the thread that releases it. Default: nothing does,
    /// [`KeepAll`].
    pub fn resetter<R2: Resetter<F::Object>>(self, resetter: R2) -> SharedPoolBuilder<F, R2> {
        SharedPoolBuilder {
            factory: self.factory,
            resetter,
            max_objects: self.max_objects,
            max_retained_bytes: self.max_retained_bytes,
            account: self.account,
            #[cfg(feature = "std")]
            thread_caches: self.thread_caches,
        }
    }

    /// How many bytes an object will hold, if the factory cannot tell because it is a closure: they are reserved before it is
    /// called, as [`KeyedPoolBuilder::estimate`](crate::KeyedPoolBuilder::estimate) explains.
    ///
    /// ```
    /// use pool_core::{Account, AcquireError, SharedPool};
    /// use std::convert::Infallible;
    ///
    /// let pool = SharedPool::builder(|_: &()| -> Result<Vec<u8>, Infallible> { unreachable!("1 GiB was made") })
    ///     .estimate(|()| size_of::<Vec<u8>>() + (1 << 30))
    ///     .account(Account::new("buffers", 10_000))
    ///     .build();
    /// assert!(matches!(pool.acquire(), Err(AcquireError::OverBudget(_))));
    /// ```
    pub fn estimate<E: Fn(&()) -> usize>(self, estimate: E) -> SharedPoolBuilder<Estimated<F, E>, R> {
        SharedPoolBuilder {
            factory: Estimated::new(self.factory, estimate),
            resetter: self.resetter,
            max_objects: self.max_objects,
            max_retained_bytes: self.max_retained_bytes,
            account: self.account,
            #[cfg(feature = "std")]
            thread_caches: self.thread_caches,
        }
    }

    /// The account that the objects' bytes are charged to. Default: none. If the factory is a closure, it takes an
    /// [`estimate`](Self::estimate) to stay within the account while an object is made.
    pub fn account(mut self, account: Account) -> Self {
        self.account = Some(account);
        self
    }

    /// Most objects, leased, idle and doomed. An acquire beyond fails, or waits.
    pub fn max_objects(mut self, objects: usize) -> Self {
        self.max_objects = objects;
        self
    }

    /// Bytes above which a released object is discarded.
    pub fn max_retained_bytes(mut self, bytes: usize) -> Self {
        self.max_retained_bytes = bytes;
        self
    }

    /// Whether threads may keep a few objects for themselves, see [`SharedPool`]. Default: yes, where the system can
    /// do it. A pool with fixed storage has none.
    #[cfg(feature = "std")]
    pub fn thread_caches(mut self, wanted: bool) -> Self {
        self.thread_caches = wanted;
        self
    }

    /// A pool that grows on the heap.
    #[cfg(feature = "alloc")]
    pub fn build(self) -> SharedPool<F, R, Growing> {
        let limit = self.max_objects.min(Growing::MAX_SLOTS);
        self.build_in(crate::pages::Chunks::new(limit))
    }

    /// A pool that grows on the heap and, under an account, gives and takes: where the bytes for a new object are refused, the
    /// idle object that was released longest ago makes room, in whichever of the pools at or below the account that
    /// refuses it is. Keyed pools take part by `build_shared`.
    ///
    /// A shared pool notes at a release only how many misses the pools of the tree have had by then, and only for all its
    /// objects together. So its idle objects count as released when the last of them was, or was made by
    /// [`prewarm`](SharedPool::prewarm): they may go later than what other pools released after them, never earlier. So may what comes
    /// out of an explicit [`Cache`](crate::Cache) while all else is out: it counts as released when somebody last looked. Between
    /// that release and one of another pool the order is as in `SharedKeyedPool`: the one with
    /// a miss after it goes first. Which object of the pool goes is as in [`trim`](SharedPool::trim), but those that threads
    /// keep for themselves are the last; what is doomed goes before anything. O(1), however many are idle.
    ///
    /// There is no lock, so for the few instructions in which an object goes its bytes are neither idle nor free: who is refused
    /// just then may find that it would have fitted.
    #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
    pub fn build_arc(self) -> Arc<SharedPool<F, R, Growing>>
    where
        F: Factory<Object: Send> + Send + Sync + 'static,
        R: Send + Sync + 'static,
    {
        Arc::new_cyclic(|weak: &Weak<SharedPool<F, R, Growing>>| self.build_member(weak))
    }

    #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
    pub(crate) fn build_member(self, weak: &Weak<SharedPool<F, R, Growing>>) -> SharedPool<F, R, Growing>
    where
        F: Factory<Object: Send> + Send + Sync + 'static,
        R: Send + Sync + 'static,
    {
        let mut pool = self.build();
        let register = |account: &Account| account.register(Box::new(Member(weak.clone())));
        pool.membership = pool.account.as_ref().map(register).map(Membership::new);
        pool
    }

    /// A pool of at most `N` objects that needs no allocator.
    pub fn build_fixed<const N: usize>(self) -> StaticPool<F, N, R> {
        self.build_in(crate::pages::Inside::new())
    }

    fn build_in<S: Storage>(self, pages: S::Pages<F::Object>) -> SharedPool<F, R, S> {
        let mut pool = SharedPool::of(self.factory, self.resetter, self.account, pages);
        pool.max_objects = self.max_objects.min(S::MAX_SLOTS);
        pool.max_retained_bytes = self.max_retained_bytes;
        if self.max_retained_bytes != usize::MAX {
            pool.measured = true;
            pool.flags.fetch_or(MEASURED, Ordering::Relaxed);
        }
        #[cfg(feature = "std")]
        {
            pool.thread_caches = self.thread_caches && S::THREAD_CACHES && crate::sync::heavy_works();
        }
        pool
    }
}
