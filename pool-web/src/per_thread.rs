//! State that there is once per thread, which on a page without shared memory is once.
//!
//! `std::thread_local` would do; but it brings `std` along, with all that a panic needs, and a page downloads that.

#[cfg(not(all(target_family = "wasm", not(target_feature = "atomics"))))]
pub use std::thread::LocalKey;
#[cfg(not(all(target_family = "wasm", not(target_feature = "atomics"))))]
pub use std::thread_local as declare;

#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
pub use single::LocalKey;

#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
mod single {
    /// As `std::thread::LocalKey`, where there is one thread.
    pub struct LocalKey<T>(T);

    // SAFETY: built only for WASM without atomics, of which each instance has one thread and a memory of its own: nobody
    // else can get hold of a reference.
    unsafe impl<T> Sync for LocalKey<T> {}

    impl<T> LocalKey<T> {
        /// For [`per_thread!`](crate::per_thread) alone.
        pub const fn new(value: T) -> Self {
            Self(value)
        }

        /// Lends the value.
        pub fn with<R>(&'static self, work: impl FnOnce(&T) -> R) -> R {
            work(&self.0)
        }
    }

    impl<T> LocalKey<core::cell::RefCell<T>> {
        /// Lends what is in the cell.
        pub fn with_borrow<R>(&'static self, work: impl FnOnce(&T) -> R) -> R {
            work(&self.0.borrow())
        }

        /// Lends what is in the cell, to be changed.
        pub fn with_borrow_mut<R>(&'static self, work: impl FnOnce(&mut T) -> R) -> R {
            work(&mut self.0.borrow_mut())
        }
    }
}

/// Declares a static of which each thread has its own, from a constant.
#[cfg(not(all(target_family = "wasm", not(target_feature = "atomics"))))]
#[doc(hidden)]
#[macro_export]
macro_rules! per_thread {
    ($(#[$doc:meta])* static $name:ident: $type:ty = $value:expr;) => {
        $crate::per_thread::declare! { $(#[$doc])* static $name: $type = const { $value }; }
    };
}

/// Declares a static of which each thread has its own, from a constant.
#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
#[doc(hidden)]
#[macro_export]
macro_rules! per_thread {
    ($(#[$doc:meta])* static $name:ident: $type:ty = $value:expr;) => {
        $(#[$doc])*
        static $name: $crate::per_thread::LocalKey<$type> = $crate::per_thread::LocalKey::new($value);
    };
}
