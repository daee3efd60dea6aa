//! How objects come to be, come back and what they weigh: [`Factory`], [`Resetter`], [`Footprint`].
//!
//! All of it is called with nothing locked, borrowed or half-linked, so it may use the same pool again.

use core::mem::{size_of, size_of_val};

/// Makes objects for a pool.
///
/// Closures `Fn(&K) -> Result<T, E>` are factories when `T: Footprint`; what an object will hold, a second one tells
/// ([`KeyedPoolBuilder::estimate`](crate::KeyedPoolBuilder::estimate)). A type of its own is for factories that
/// know better how many bytes an object holds, or whose object is a foreign type.
///
/// `K` is the key that tells objects of one pool apart; pools without keys use `()`.
///
/// ```
/// use pool_core::{Factory, KeyedPool};
/// use std::convert::Infallible;
///
/// struct Planes; // key: (channels, frames)
/// impl Factory<(usize, usize)> for Planes {
///     type Object = Vec<f32>;
///     type Error = Infallible;
///     fn create(&self, &(channels, frames): &(usize, usize)) -> Result<Vec<f32>, Infallible> {
///         Ok(vec![0.0; channels * frames])
///     }
///     fn estimate(&self, &(channels, frames): &(usize, usize)) -> usize {
///         channels * frames * size_of::<f32>()
///     }
///     fn measure(&self, object: &Vec<f32>) -> usize {
///         object.capacity() * size_of::<f32>()
///     }
/// }
/// let pool = KeyedPool::builder(Planes).build();
/// assert_eq!(pool.acquire(&(2, 128))?.len(), 256);
/// # Ok::<(), pool_core::AcquireError<Infallible>>(())
/// ```
pub trait Factory<K: ?Sized = ()> {
    /// What the pool holds.
    type Object;
    /// Why an object could not be made.
    type Error;

    /// Makes one object for `key`.
    ///
    /// # Errors
    ///
    /// Whatever the factory reports; the pool gives back the slot and the bytes, and the next acquire works. The
    /// same holds if it panics.
    fn create(&self, key: &K) -> Result<Self::Object, Self::Error>;

    /// The bytes that [`create`](Self::create) will need, reserved from the account before it is called.
    ///
    /// An estimate that is too low is grown to [`measure`](Self::measure) afterwards. Until then the object is there and its
    /// bytes are in no account: only with an estimate that is not too low is all that exists charged, and so within the limit, but
    /// for what a destructor is at work on, and what cannot fit refused before anything is made or evicted for it. What an
    /// object grows by while it is leased nobody sees before it is released: have `measure` count what it may grow to, or
    /// hold a [`Reservation`](crate::Reservation) for it.
    /// The default is the size of the object itself, without what it points to.
    fn estimate(&self, key: &K) -> usize {
        let _ = key;
        size_of::<Self::Object>()
    }

    /// The bytes that `object` holds now: asked once it is made, and at each release if the pool accounts bytes
    /// or bounds what an object may retain. Must be cheap; it runs on the release path.
    fn measure(&self, object: &Self::Object) -> usize {
        size_of_val(object)
    }

    /// What it costs to make such an object again, in any unit: microseconds, say. Asked once, when it is made, by pools
    /// that prefer to evict what is cheap
    /// ([`evict_cheapest_of`](crate::KeyedPoolBuilder::evict_cheapest_of)). The default says that all cost the same, so
    /// that of two objects the larger one goes.
    fn cost(&self, key: &K, object: &Self::Object) -> u32 {
        let _ = (key, object);
        1
    }
}

impl<K: ?Sized, T, E, C> Factory<K> for C
where
    T: Footprint,
    C: Fn(&K) -> Result<T, E>,
{
    type Object = T;
    type Error = E;

    fn create(&self, key: &K) -> Result<T, E> {
        self(key)
    }

    fn measure(&self, object: &T) -> usize {
        object.footprint()
    }
}

/// A factory whose objects' bytes are told in advance: what the builders of pools make of one, a closure say, that cannot tell
/// ([`KeyedPoolBuilder::estimate`](crate::KeyedPoolBuilder::estimate)).
#[derive(Clone, Copy, Debug)]
pub struct Estimated<F, E> {
    factory: F,
    estimate: E,
}

impl<F, E> Estimated<F, E> {
    pub(crate) fn new(factory: F, estimate: E) -> Self {
        Self { factory, estimate }
    }

    /// The factory that makes the objects.
    #[must_use]
    pub fn factory(&self) -> &F {
        &self.factory
    }
}

impl<K: ?Sized, F: Factory<K>, E: Fn(&K) -> usize> Factory<K> for Estimated<F, E> {
    type Object = F::Object;
    type Error = F::Error;

    fn create(&self, key: &K) -> Result<F::Object, F::Error> {
        self.factory.create(key)
    }

    fn estimate(&self, key: &K) -> usize {
        (self.estimate)(key)
    }

    fn measure(&self, object: &F::Object) -> usize {
        self.factory.measure(object)
    }

    fn cost(&self, key: &K, object: &F::Object) -> u32 {
        self.factory.cost(key, object)
    }
}

/// What becomes of an object that was released.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a verdict that nobody reads destroys nothing"]
pub enum Verdict {
    /// It is as good as new: back to the idle set.
    Keep,
    /// It is spent or broken: destroy it.
    Discard,
}

/// Brings a used object back to its first state.
///
/// Runs at release, on an object that has been leased, and on no other. A panic in it destroys the object; it
/// never re-enters the idle set. Closures `Fn(&mut T) -> Verdict` are resetters.
pub trait Resetter<T: ?Sized> {
    /// Where it cannot, nor the end of what it discards, a release need not be ready for that.
    #[doc(hidden)]
    #[inline(always)]
    fn may_panic() -> bool
    where
        Self: Sized,
    {
        true
    }

    /// Resets `object` and says whether it may be used again.
    fn reset(&self, object: &mut T) -> Verdict;
}

impl<T: ?Sized, C: Fn(&mut T) -> Verdict> Resetter<T> for C {
    #[inline]
    fn reset(&self, object: &mut T) -> Verdict {
        self(object)
    }
}

/// The resetter that resets nothing and keeps everything: for objects whose state does not matter.
#[derive(Clone, Copy, Default, Debug)]
pub struct KeepAll;

impl<T: ?Sized> Resetter<T> for KeepAll {
    #[inline(always)]
    fn may_panic() -> bool {
        false
    }

    #[inline]
    fn reset(&self, _object: &mut T) -> Verdict {
        Verdict::Keep
    }
}

/// The bytes that a value holds, the value itself and what it owns elsewhere.
///
/// The default counts the value alone; a type that owns memory adds it. Capacity counts, not length: memory that
/// is held is held whether used or not.
///
/// ```
/// use pool_core::Footprint;
///
/// struct Voice { samples: Vec<f32>, gain: f32 }
/// impl Footprint for Voice {
///     fn footprint(&self) -> usize {
///         size_of_val(&self.gain) + self.samples.footprint()
///     }
/// }
/// let voice = Voice { samples: Vec::with_capacity(100), gain: 1.0 };
/// assert!(voice.footprint() >= 400);
/// ```
pub trait Footprint {
    /// The bytes held. Must be cheap: pools ask at each release.
    fn footprint(&self) -> usize {
        size_of_val(self)
    }
}

macro_rules! plain_footprint {
    ($($t:ty),*) => { $(impl Footprint for $t {})* };
}
plain_footprint!((), bool, char, u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64);

impl<T: Footprint, const N: usize> Footprint for [T; N] {
    fn footprint(&self) -> usize {
        self.as_slice().footprint()
    }
}

impl<T: Footprint> Footprint for [T] {
    fn footprint(&self) -> usize {
        size_of_val(self) + self.iter().map(owned_elsewhere).sum::<usize>()
    }
}

impl<T: Footprint> Footprint for Option<T> {
    fn footprint(&self) -> usize {
        size_of::<Self>() + self.as_ref().map_or(0, owned_elsewhere)
    }
}

impl<T: Footprint> Footprint for core::cell::Cell<T> {}

/// What `value` holds besides its own bytes, which its container has counted already.
fn owned_elsewhere<T: Footprint>(value: &T) -> usize {
    value.footprint().saturating_sub(size_of::<T>())
}

#[cfg(feature = "alloc")]
mod heap {
    use super::{Footprint, owned_elsewhere};
    use alloc::{boxed::Box, collections::VecDeque, string::String, vec::Vec};
    use core::mem::size_of;

    impl<T: Footprint> Footprint for Vec<T> {
        fn footprint(&self) -> usize {
            size_of::<Self>()
                + self.capacity() * size_of::<T>()
                + if core::mem::needs_drop::<T>() { self.iter().map(owned_elsewhere).sum() } else { 0 }
        }
    }

    impl<T: Footprint> Footprint for VecDeque<T> {
        fn footprint(&self) -> usize {
            size_of::<Self>()
                + self.capacity() * size_of::<T>()
                + if core::mem::needs_drop::<T>() { self.iter().map(owned_elsewhere).sum() } else { 0 }
        }
    }

    impl<T: Footprint + ?Sized> Footprint for Box<T> {
        fn footprint(&self) -> usize {
            size_of::<Self>() + (**self).footprint()
        }
    }

    impl Footprint for String {
        fn footprint(&self) -> usize {
            size_of::<Self>() + self.capacity()
        }
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use alloc::{boxed::Box, string::String, vec, vec::Vec};

    // Counting the handle alone, or an element's own bytes twice.
    #[test]
    fn what_is_owned_counts_once() {
        let word = size_of::<usize>();
        assert_eq!(7u32.footprint(), 4);
        assert_eq!([1u16; 8].footprint(), 16);
        assert_eq!(Vec::<f32>::with_capacity(100).footprint(), 3 * word + 400);
        assert_eq!(vec![0f32; 100].into_boxed_slice().footprint(), 2 * word + 400);
        assert_eq!(Box::new(5u64).footprint(), word + 8);
        assert_eq!(String::with_capacity(10).footprint(), 3 * word + 10);
        let nested = vec![Vec::<u8>::with_capacity(5), Vec::with_capacity(7)];
        assert_eq!(nested.footprint(), 3 * word + nested.capacity() * 3 * word + 12);
        assert_eq!(Some(Vec::<u8>::with_capacity(5)).footprint(), 3 * word + 5);
    }
}
