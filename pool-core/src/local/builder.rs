//! The options of a local pool.

use super::{FixedLocalPool, LocalPool, NONE, State};
use crate::account::{Account, Mode, Shared};
use crate::lease::next_pool_id;
use crate::lifecycle::{Estimated, Factory, KeepAll, Resetter};
#[cfg(feature = "alloc")]
use crate::slots::Growing;
use crate::slots::Storage;
use core::cell::Cell;

/// Builds a [`LocalPool`].
#[must_use = "a builder makes nothing until `build`"]
pub struct LocalPoolBuilder<F, R = KeepAll, M: Mode = Shared> {
    factory: F,
    resetter: R,
    max_objects: usize,
    max_retained_bytes: usize,
    account: Option<Account<M>>,
}

impl<F: Factory> LocalPoolBuilder<F> {
    /// A pool of what `factory` makes, without bounds.
    pub fn new(factory: F) -> Self {
        Self {
            factory,
            resetter: KeepAll,
            max_objects: usize::MAX,
            max_retained_bytes: usize::MAX,
            account: None,
        }
    }
}

impl<F, R, M> LocalPoolBuilder<F, R, M>
where
    F: Factory,
    R: Resetter<F::Object>,
    M: Mode,
{
    /// What brings a released object back to its first state. Default: nothing does, [`KeepAll`].
    pub fn resetter<R2: Resetter<F::Object>>(self, resetter: R2) -> LocalPoolBuilder<F, R2, M> {
        let Self { factory, max_objects, max_retained_bytes, account, .. } = self;
        LocalPoolBuilder { factory, resetter, max_objects, max_retained_bytes, account }
    }

    /// How many bytes an object will hold, if the factory cannot tell because it is a closure: they are reserved before it is
    /// called, as [`KeyedPoolBuilder::estimate`](crate::KeyedPoolBuilder::estimate) explains.
    ///
    /// ```
    /// use pool_core::{Account, AcquireError, LocalPool};
    /// use std::convert::Infallible;
    ///
    /// let pool = LocalPool::builder(|_: &()| -> Result<Vec<u8>, Infallible> { unreachable!("1 GiB was made") })
    ///     .estimate(|()| size_of::<Vec<u8>>() + (1 << 30))
    ///     .account(Account::local("buffers", 10_000))
    ///     .build();
    /// assert!(matches!(pool.acquire(), Err(AcquireError::OverBudget(_))));
    /// ```
    pub fn estimate<E: Fn(&()) -> usize>(self, estimate: E) -> LocalPoolBuilder<Estimated<F, E>, R, M> {
        let Self { resetter, max_objects, max_retained_bytes, account, .. } = self;
        let factory = Estimated::new(self.factory, estimate);
        LocalPoolBuilder { factory, resetter, max_objects, max_retained_bytes, account }
    }

    /// The account that the objects' bytes are charged to, a shared or a local one. Default: none. If the factory is a closure,
    /// it takes an [`estimate`](Self::estimate) to stay within the account while an object is made.
    pub fn account<M2: Mode>(self, account: Account<M2>) -> LocalPoolBuilder<F, R, M2> {
        let Self { factory, resetter, max_objects, max_retained_bytes, .. } = self;
        LocalPoolBuilder { factory, resetter, max_objects, max_retained_bytes, account: Some(account) }
    }

    /// Most objects, leased and idle. An acquire beyond fails.
    pub fn max_objects(mut self, objects: usize) -> Self {
        self.max_objects = objects;
        self
    }

    /// Bytes above which a released object is discarded.
    pub fn max_retained_bytes(mut self, bytes: usize) -> Self {
        self.max_retained_bytes = bytes;
        self
    }

    /// A pool that grows on the heap.
    #[cfg(feature = "alloc")]
    pub fn build(self) -> LocalPool<F, R, Growing, M> {
        self.build_in()
    }

    /// A pool of at most `N` objects that needs no allocator.
    pub fn build_fixed<const N: usize>(self) -> FixedLocalPool<F, N, R, M> {
        self.build_in()
    }

    fn build_in<S: Storage>(self) -> LocalPool<F, R, S, M> {
        LocalPool {
            factory: self.factory,
            resetter: self.resetter,
            max_objects: self.max_objects.min(S::MAX_SLOTS),
            max_retained_bytes: self.max_retained_bytes,
            slow_release: Cell::new(self.account.is_some() || self.max_retained_bytes != usize::MAX),
            account: self.account,
            id: next_pool_id(),
            cells: S::Cells::default(),
            stack: S::Column::default(),
            height: Cell::new(0),
            calm: Cell::new(0),
            hits: Cell::new(0),
            links: S::Column::default(),
            bytes: S::Column::default(),
            generations: S::Column::default(),
            state: State {
                closed: Cell::new(false),
                slots: Cell::new(0),
                vacant: Cell::new(NONE),
                pending: Cell::new(0),
                occupied: Cell::new(0),
                chained: Cell::new(0),
                chained_bytes: Cell::new(0),
                bytes: Cell::new(0),
                peak_leased: Cell::new(0),
                peak_bytes: Cell::new(0),
                created: Cell::new(0),
                detached: Cell::new(0),
                evicted: Cell::new(0),
                discarded: Cell::new(0),
                misses: Cell::new(0),
            },
        }
    }
}
