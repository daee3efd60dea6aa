//! Our pools, used as their documentation shows.

use crate::source::{Buffer, Source, buffer, empty, touch};
use pool_core::{Factory, KeyedPool, Lease, LocalPool};
use std::convert::Infallible;
use std::hint::black_box;

/// The name of the package whose version our rows carry.
pub(crate) const PACKAGE: &str = "pool-core";

/// Makes buffers.
pub(crate) fn factory() -> impl Factory<Object = Buffer> {
    |_: &()| Ok::<_, Infallible>(buffer())
}

pub(crate) struct Local<F: Factory>(LocalPool<F>);

/// A [`LocalPool`] with idle buffers.
pub(crate) fn local(objects: usize) -> Local<impl Factory<Object = Buffer>> {
    let pool = LocalPool::new(factory());
    drop(pool.prewarm(objects));
    Local(pool)
}

impl<F: Factory<Object = Buffer>> Source for Local<F> {
    type Held<'s>
        = Lease<&'s LocalPool<F>>
    where
        F: 's;

    #[inline]
    fn take(&self) -> Self::Held<'_> {
        match self.0.acquire() {
            Ok(lease) => lease,
            Err(_) => empty("LocalPool"),
        }
    }

    #[inline]
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
