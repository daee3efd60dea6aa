//! One user at a time: how a pool guards its state, alone on its thread or among many.

use core::cell::{RefCell, RefMut};
use core::ops::DerefMut;

/// A cell that lends its value to one user at a time.
///
/// Pools call no user code while they hold a guard, but for keys' `Eq`, `Borrow` and `Clone`, which must not use the pool; so a guard is held for a bounded, short time, and a `RefCell`
/// is never found borrowed.
#[doc(hidden)]
pub trait Exclusive<T> {
    /// Access to the value.
    type Guard<'a>: DerefMut<Target = T>
    where
        Self: 'a;
    /// A cell with this value.
    fn new(value: T) -> Self;
    /// The value, for as long as the guard lives.
    fn lock(&self) -> Self::Guard<'_>;
    /// The value, which nobody else can use now.
    fn get_mut(&mut self) -> &mut T;
}

impl<T> Exclusive<T> for RefCell<T> {
    type Guard<'a>
        = RefMut<'a, T>
    where
        Self: 'a;

    fn new(value: T) -> Self {
        Self::new(value)
    }

    #[inline(always)]
    fn lock(&self) -> RefMut<'_, T> {
        self.borrow_mut()
    }

    fn get_mut(&mut self) -> &mut T {
        self.get_mut()
    }
}

#[cfg(feature = "lock_api")]
impl<M: lock_api::RawMutex, T> Exclusive<T> for lock_api::Mutex<M, T> {
    type Guard<'a>
        = lock_api::MutexGuard<'a, M, T>
    where
        Self: 'a;

    fn new(value: T) -> Self {
        Self::new(value)
    }

    #[inline(always)]
    fn lock(&self) -> lock_api::MutexGuard<'_, M, T> {
        self.lock()
    }

    fn get_mut(&mut self) -> &mut T {
        self.get_mut()
    }
}
