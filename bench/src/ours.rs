//! Our pools, used as their documentation shows.

use crate::peers::forever;
use crate::source::{Buffer, End, Source, buffer, empty, touch};
use pool_core::{Cache, Factory, Fixed, KeepAll, KeyedPool, Lease, LocalPool, SharedPool, StaticPool};
use std::convert::Infallible;
use std::hint::black_box;

/// The name of the package whose version our rows carry.
pub(crate) const PACKAGE: &str = "pool-core";
/// The same of the rows of pool-audio.
pub(crate) const AUDIO: &str = "pool-audio";

/// Makes buffers.
pub(crate) struct Make;

impl Factory for Make {
    type Object = Buffer;
    type Error = Infallible;

    fn create(&self, (): &()) -> Result<Buffer, Infallible> {
        Ok(buffer())
    }
}

pub(crate) struct Local(LocalPool<Make>);

impl Local {
    /// With so many idle buffers.
    pub(crate) fn of(objects: usize) -> Self {
        let pool = LocalPool::new(Make);
        drop(pool.prewarm(objects));
        Self(pool)
    }
}

impl Source for Local {
    type Held<'s> = Lease<&'s LocalPool<Make>>;

    #[inline(always)]
    fn take(&self) -> Self::Held<'_> {
        match self.0.acquire() {
            Ok(lease) => lease,
            Err(_) => empty("LocalPool"),
        }
    }

    #[inline(always)]
    fn write(&self, held: &mut Self::Held<'_>, at: usize) {
        touch(held, at);
    }
}

/// A shared pool without a handle: with threads' own caches or without.
#[derive(Clone, Copy)]
pub(crate) struct Shared(pub(crate) &'static SharedPool<Make>);

impl Shared {
    /// As it comes, with so many idle buffers.
    pub(crate) fn of(objects: usize) -> Self {
        Self::warm(SharedPool::new(Make), objects)
    }

    /// Every acquire and release goes to what all threads share.
    pub(crate) fn without_caches(objects: usize) -> Self {
        Self::warm(SharedPool::builder(Make).thread_caches(false).build(), objects)
    }

    fn warm(pool: SharedPool<Make>, objects: usize) -> Self {
        drop(pool.prewarm(objects));
        Self(forever(pool))
    }

    /// A private stash of this thread.
    pub(crate) fn stash(self) -> Stash {
        Stash(self.0.cache())
    }
}

type SharedLease = Lease<&'static SharedPool<Make>>;

impl Source for Shared {
    type Held<'s> = SharedLease;

    #[inline(always)]
    fn take(&self) -> SharedLease {
        match self.0.acquire() {
            Ok(lease) => lease,
            Err(_) => empty("SharedPool"),
        }
    }

    #[inline(always)]
    fn write(&self, held: &mut SharedLease, at: usize) {
        touch(held, at);
    }
}

impl End for Shared {
    type Item = SharedLease;

    #[inline(always)]
    fn take(&self) -> SharedLease {
        Source::take(self)
    }

    #[inline(always)]
    fn write(item: &mut SharedLease, at: usize) {
        touch(item, at);
    }
}

/// A shared pool behind a [`Cache`].
pub(crate) struct Stash(Cache<&'static SharedPool<Make>>);

impl Source for Stash {
    type Held<'s> = Lease<&'s Cache<&'static SharedPool<Make>>>;

    #[inline(always)]
    fn take(&self) -> Self::Held<'_> {
        match self.0.acquire() {
            Ok(lease) => lease,
            Err(_) => empty("Cache"),
        }
    }

    #[inline(always)]
    fn write(&self, held: &mut Self::Held<'_>, at: usize) {
        touch(held, at);
    }
}

impl End for Stash {
    type Item = SharedLease;

    #[inline(always)]
    fn take(&self) -> SharedLease {
        match self.0.acquire_shared() {
            Ok(lease) => lease,
            Err(_) => empty("Cache"),
        }
    }

    #[inline(always)]
    fn write(item: &mut SharedLease, at: usize) {
        touch(item, at);
    }

    #[inline(always)]
    fn give(&self, item: SharedLease) {
        self.0.release(item);
    }
}

/// A pool in a `static`, with room for 64 and no allocator.
pub(crate) struct InStatic(&'static StaticPool<Make, 64>);

impl InStatic {
    pub(crate) fn of(objects: usize) -> Self {
        static POOL: StaticPool<Make, 64> = SharedPool::const_new(Make);
        drop(POOL.prewarm(objects));
        Self(&POOL)
    }
}

impl Source for InStatic {
    type Held<'s> = Lease<&'static SharedPool<Make, KeepAll, Fixed<64>>>;

    #[inline(always)]
    fn take(&self) -> Self::Held<'_> {
        match self.0.acquire() {
            Ok(lease) => lease,
            Err(_) => empty("StaticPool"),
        }
    }

    #[inline(always)]
    fn write(&self, held: &mut Self::Held<'_>, at: usize) {
        touch(held, at);
    }
}

/// Acquire, write, release, for each key in turn.
pub(crate) fn lease_each<F>(pool: &KeyedPool<u32, F>, keys: &[u32])
where
    F: Factory<u32, Object = Buffer>,
{
    for key in keys {
        if let Ok(mut lease) = pool.acquire(key) {
            lease[0] = 1.0;
            black_box(&mut *lease);
        }
    }
}
