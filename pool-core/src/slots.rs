//! Where objects live: numbered slots whose addresses never change. The only unsafe access to values.
//!
//! A pool keeps the state of its slots (vacant, idle, leased) beside them, in safe code, and that state says who
//! may touch a slot's value. A lease therefore holds a plain pointer, and acquiring moves no object.
//!
//! # Growing
//!
//! ```text
//! page      0        1         2               3
//! slots   0..32   32..96   96..224  ...   doubling, so a slot's page is one `leading_zeros`
//! ```
//!
//! Pages are never moved or freed while the pool lives; the table of pages is a fixed array inside the pool.
//! Rejected: a `Vec<T>` (growth moves objects that are leased) and a `Vec` of boxes (an allocation and a pointer
//! for each object). What a pool grew to it keeps as slots; the objects themselves are destroyed when they are
//! evicted.
//!
//! # Fixed
//!
//! `N` slots inside the pool itself. The pool may move as long as nothing is leased, which the borrow checker sees
//! to: a lease borrows the pool, or holds it in an `Rc`.

use core::cell::UnsafeCell;
use core::hash::{BuildHasher, BuildHasherDefault, Hasher};
use core::mem::MaybeUninit;
use core::ops::DerefMut;
use core::ptr::NonNull;

mod sealed {
    pub trait Sealed {}
}

/// How a pool stores its objects and its own state: [`Growing`] on the heap, or [`Fixed`] without an allocator.
///
/// Sealed: these two are all there are.
pub trait Storage: sealed::Sealed {
    /// Slots for objects.
    #[doc(hidden)]
    type Cells<T>: Cells<T>;
    /// A list of state, as long as there are slots.
    #[doc(hidden)]
    type List<T>: List<T>;
    /// Finds the class of a key.
    #[doc(hidden)]
    type Index: Index;
    /// Hashes keys.
    #[doc(hidden)]
    type Hasher: BuildHasher + Default;
    /// Most slots there can be.
    #[doc(hidden)]
    const MAX_SLOTS: usize;
}

/// Storage on the heap that grows as objects are made.
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, Debug)]
pub struct Growing;

/// Storage for `N` objects and as many keys inside the pool itself; needs no allocator.
#[derive(Clone, Copy, Debug)]
pub struct Fixed<const N: usize>;

#[cfg(feature = "alloc")]
impl sealed::Sealed for Growing {}
impl<const N: usize> sealed::Sealed for Fixed<N> {}

#[cfg(feature = "alloc")]
impl Storage for Growing {
    type Cells<T> = Pages<T>;
    type List<T> = alloc::vec::Vec<T>;
    type Index = hashbrown::HashTable<u32>;
    type Hasher = hashbrown::DefaultHashBuilder;
    // `u32::MAX` is the mark for "no slot".
    const MAX_SLOTS: usize = if usize::BITS > 32 { u32::MAX as usize } else { usize::MAX / 2 };
}

impl<const N: usize> Storage for Fixed<N> {
    type Cells<T> = Inline<T, N>;
    type List<T> = heapless::Vec<T, N>;
    type Index = Chains<N>;
    type Hasher = BuildHasherDefault<Fnv>;
    const MAX_SLOTS: usize = {
        assert!(N > 0, "a pool of no slots");
        assert!((N as u64) < u32::MAX as u64, "more slots than a slot number can tell apart");
        N
    };
}

/// A list that grows at its end, as far as it can.
#[doc(hidden)]
pub trait List<T>: Default + DerefMut<Target = [T]> {
    /// Appends `value`, or returns it if there is no room.
    fn append(&mut self, value: T) -> Result<(), T>;
    /// Takes the last value.
    fn take_last(&mut self) -> Option<T>;
}

#[cfg(feature = "alloc")]
impl<T> List<T> for alloc::vec::Vec<T> {
    #[inline]
    fn append(&mut self, value: T) -> Result<(), T> {
        self.push(value);
        Ok(())
    }
    #[inline]
    fn take_last(&mut self) -> Option<T> {
        self.pop()
    }
}

impl<T, const N: usize> List<T> for heapless::Vec<T, N> {
    #[inline]
    fn append(&mut self, value: T) -> Result<(), T> {
        self.push(value)
    }
    #[inline]
    fn take_last(&mut self) -> Option<T> {
        self.pop()
    }
}

/// From a key's hash to the number of its class.
#[doc(hidden)]
pub trait Index: Default {
    /// The class with this hash for which `is` holds.
    fn find(&self, hash: u64, is: impl FnMut(u32) -> bool) -> Option<u32>;
    /// Adds a class that is not there; `hash_of` tells the hash of those that are.
    fn insert(&mut self, hash: u64, class: u32, hash_of: impl Fn(u32) -> u64);
    /// Removes a class that is there.
    fn remove(&mut self, hash: u64, class: u32);
}

#[cfg(feature = "alloc")]
impl Index for hashbrown::HashTable<u32> {
    #[inline]
    fn find(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        self.find(hash, |&class| is(class)).copied()
    }
    fn insert(&mut self, hash: u64, class: u32, hash_of: impl Fn(u32) -> u64) {
        self.insert_unique(hash, class, |&class| hash_of(class));
    }
    fn remove(&mut self, hash: u64, class: u32) {
        if let Ok(entry) = self.find_entry(hash, |&other| other == class) {
            entry.remove();
        }
    }
}

/// A hash table of `N` chains through an array of `N` classes.
#[doc(hidden)]
#[derive(Debug)]
pub struct Chains<const N: usize> {
    heads: [u32; N],
    next: [u32; N],
}

const END: u32 = u32::MAX;

impl<const N: usize> Default for Chains<N> {
    fn default() -> Self {
        Self { heads: [END; N], next: [END; N] }
    }
}

impl<const N: usize> Chains<N> {
    fn head(hash: u64) -> usize {
        // The high half of the product spreads over any `N` without a division.
        ((u64::from(hash as u32) * N as u64) >> 32) as usize
    }
}

impl<const N: usize> Index for Chains<N> {
    fn find(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut at = self.heads[Self::head(hash)];
        while at != END && !is(at) {
            at = self.next[at as usize];
        }
        (at != END).then_some(at)
    }

    fn insert(&mut self, hash: u64, class: u32, _: impl Fn(u32) -> u64) {
        let head = &mut self.heads[Self::head(hash)];
        self.next[class as usize] = core::mem::replace(head, class);
    }

    fn remove(&mut self, hash: u64, class: u32) {
        let mut link = &mut self.heads[Self::head(hash)];
        // Two borrows of `next`, so by index rather than by reference.
        if *link == class {
            *link = self.next[class as usize];
            return;
        }
        let mut at = *link;
        while at != END {
            let following = self.next[at as usize];
            if following == class {
                link = &mut self.next[at as usize];
                *link = END;
                self.next[at as usize] = core::mem::replace(&mut self.next[class as usize], END);
                return;
            }
            at = following;
        }
    }
}

/// FNV-1a with 64 bits (Fowler, Noll, Vo; RFC 9923): small and quick for short keys, without a table or a seed.
///
/// Keys that an attacker chooses could be made to collide; a pool of `N` slots then walks `N` classes at most.
#[doc(hidden)]
#[derive(Debug)]
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    fn finish(&self) -> u64 {
        // The low bits mix best; the chains use the low 32.
        self.0 ^ (self.0 >> 32)
    }
}

/// Numbered slots at addresses that stay.
///
/// Memory only: which slots hold a value is for the pool to know, and it must drop those values itself.
#[doc(hidden)]
pub trait Cells<T>: Default {
    /// Makes sure that slot `at` exists, where all below it do; false if there is no room for it.
    fn reach(&self, at: u32) -> bool;

    /// Where slot `at` is. The address stays for as long as the cells are not moved (`Fixed`) or live (`Growing`).
    ///
    /// Panics or returns a dangling pointer, but touches nothing, if the slot was never reached.
    fn slot(&self, at: u32) -> NonNull<T>;
}

/// Puts a value into a slot.
///
/// # Safety
///
/// The slot was reached, holds no value, and nobody else uses it.
pub(crate) unsafe fn fill<T>(cells: &impl Cells<T>, at: u32, value: T) {
    // SAFETY: the caller's promise; the slot is valid for writes since it was reached.
    unsafe { cells.slot(at).write(value) }
}

/// Takes the value out of a slot.
///
/// # Safety
///
/// The slot holds a value, and nobody else uses it. Afterwards it holds none.
pub(crate) unsafe fn take<T>(cells: &impl Cells<T>, at: u32) -> T {
    // SAFETY: the caller's promise.
    unsafe { cells.slot(at).read() }
}

/// Slots inside the pool.
#[doc(hidden)]
pub struct Inline<T, const N: usize>([UnsafeCell<MaybeUninit<T>>; N]);

impl<T, const N: usize> Default for Inline<T, N> {
    fn default() -> Self {
        Self([const { UnsafeCell::new(MaybeUninit::uninit()) }; N])
    }
}

impl<T, const N: usize> Cells<T> for Inline<T, N> {
    fn reach(&self, at: u32) -> bool {
        (at as usize) < N
    }

    #[inline]
    fn slot(&self, at: u32) -> NonNull<T> {
        let cell: NonNull<UnsafeCell<MaybeUninit<T>>> = NonNull::from(&self.0[at as usize]);
        cell.cast()
    }
}

#[cfg(feature = "alloc")]
pub(crate) use growing::Pages;

#[cfg(feature = "alloc")]
mod growing {
    use super::{Cells, MaybeUninit, NonNull, UnsafeCell};
    use alloc::boxed::Box;
    use core::cell::Cell;

    const FIRST: u32 = 32;
    const FIRST_BITS: u32 = FIRST.trailing_zeros();
    const PAGES: usize = (u32::BITS - FIRST_BITS) as usize;

    type Slot<T> = UnsafeCell<MaybeUninit<T>>;
    /// Set once, by `reach`; a `Cell` because leases look at other pages meanwhile.
    type PageEntry<T> = Cell<Option<NonNull<Slot<T>>>>;

    /// Slots in pages that double.
    #[doc(hidden)]
    pub struct Pages<T>([PageEntry<T>; PAGES]);

    // SAFETY: the pages are owned like boxes, and give access to values only through raw pointers.
    unsafe impl<T: Send> Send for Pages<T> {}

    impl<T> Default for Pages<T> {
        fn default() -> Self {
            Self([const { Cell::new(None) }; PAGES])
        }
    }

    const fn page_len(page: usize) -> usize {
        (FIRST as usize) << page
    }

    /// Page and offset of a slot: page `p` begins at `32 * (2^p - 1)`.
    #[inline]
    fn place(at: u32) -> (usize, usize) {
        let shifted = at as u64 + u64::from(FIRST);
        let page = shifted.ilog2() - FIRST_BITS;
        (page as usize, (shifted - (u64::from(FIRST) << page)) as usize)
    }

    impl<T> Cells<T> for Pages<T> {
        fn reach(&self, at: u32) -> bool {
            let (page, _) = place(at);
            let Some(entry) = self.0.get(page) else { return false };
            if entry.get().is_none() {
                let cells: Box<[Slot<T>]> =
                    core::iter::repeat_with(|| UnsafeCell::new(MaybeUninit::uninit()))
                        .take(page_len(page))
                        .collect();
                entry.set(NonNull::new(Box::into_raw(cells).cast()));
            }
            true
        }

        #[inline]
        fn slot(&self, at: u32) -> NonNull<T> {
            let (page, offset) = place(at);
            match self.0[page].get() {
                // SAFETY: the page was allocated with `page_len` cells, and `place` keeps the offset below that.
                Some(base) => unsafe { base.add(offset) }.cast(),
                None => NonNull::dangling(),
            }
        }
    }

    impl<T> Drop for Pages<T> {
        fn drop(&mut self) {
            for (page, base) in self.0.iter().enumerate() {
                if let Some(base) = base.get() {
                    let cells = NonNull::slice_from_raw_parts(base, page_len(page));
                    // SAFETY: `reach` made this box with this length and gave it to the table, once. Its cells drop
                    // nothing; the pool has dropped the values.
                    drop(unsafe { Box::from_raw(cells.as_ptr()) });
                }
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        // Two slots at one address, or a slot outside its page.
        #[test]
        fn places_are_distinct_and_inside_their_pages() {
            let mut expected = (0, 0);
            for at in 0..100_000 {
                assert_eq!(place(at), expected);
                expected.1 += 1;
                if expected.1 == page_len(expected.0) {
                    expected = (expected.0 + 1, 0);
                }
            }
            let (page, offset) = place(u32::MAX - 1 - FIRST);
            assert!(page < PAGES && offset < page_len(page));
        }

        // A value that moves when its pool grows.
        #[test]
        fn addresses_stay_while_it_grows() {
            let pages = Pages::<u64>::default();
            assert!(pages.reach(0));
            let first = pages.slot(0);
            // SAFETY: slot 0 was reached and is empty.
            unsafe { super::super::fill(&pages, 0, 7) };
            for at in 1..5000 {
                assert!(pages.reach(at));
            }
            assert_eq!(pages.slot(0), first);
            // SAFETY: filled above.
            assert_eq!(unsafe { super::super::take(&pages, 0) }, 7);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A chain cut short by removing its head, middle or end.
    #[test]
    fn chains_find_what_is_there() {
        let mut chains = Chains::<8>::default();
        // Two hashes, so two chains; four classes in one of them.
        let hash_of = |class: u32| if class < 4 { 0 } else { u64::from(u32::MAX) };
        for class in 0..8 {
            chains.insert(hash_of(class), class, hash_of);
        }
        for gone in [1, 3, 0, 7, 2] {
            chains.remove(hash_of(gone), gone);
            assert_eq!(chains.find(hash_of(gone), |class| class == gone), None);
        }
        for class in [4, 5, 6] {
            assert_eq!(chains.find(hash_of(class), |other| other == class), Some(class));
        }
        chains.insert(0, 2, hash_of);
        assert_eq!(chains.find(0, |_| true), Some(2));
    }
}
