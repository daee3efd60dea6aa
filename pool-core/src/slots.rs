//! Where objects live: numbered slots whose addresses never change. The only unsafe access to values.
//!
//! A pool keeps the state of its slots (vacant, idle, leased) in safe code, and that state says who may touch a
//! slot's object. A lease therefore holds a plain pointer, and acquiring moves no object.
//!
//! # Growing
//!
//! ```text
//! page      0        1         2               3
//! slots   0..32   32..96   96..224  ...   doubling, so a slot's page is the highest bit of slot + 32
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

use core::cell::{Cell, RefCell, UnsafeCell};
use core::hash::{BuildHasher, BuildHasherDefault, Hasher};
use core::mem::MaybeUninit;
use core::ops::DerefMut;
use core::ptr::NonNull;

mod sealed {
    pub trait Sealed {}
}

/// How a pool stores its objects and its own state: `Growing` on the heap, or [`Fixed`] without an allocator.
///
/// Sealed: these two are all there are.
pub trait Storage: sealed::Sealed {
    /// Slots for objects.
    #[doc(hidden)]
    type Cells<N: Default>: Cells<N>;
    /// A value for each slot.
    #[doc(hidden)]
    type Column<T: Copy + Default>: Column<T>;
    /// A list of state, as long as there are slots.
    #[doc(hidden)]
    type List<T>: List<T>;
    /// Slots for objects that threads share.
    #[doc(hidden)]
    type Pages<T>: crate::pages::Pages<T>;
    /// Whether threads may have caches of their own in front of those.
    #[doc(hidden)]
    const THREAD_CACHES: bool;
    /// Finds the class of a key.
    #[doc(hidden)]
    type Index: Index;
    /// Hashes keys.
    #[doc(hidden)]
    type Hasher: BuildHasher + Default;
    /// Lends the state of a keyed pool to one at a time.
    #[doc(hidden)]
    type Exclusive<T>: crate::exclusive::Exclusive<T>;
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

/// Storage on the heap that grows as objects are made, for threads that take turns by a mutex: any that implements
/// [`lock_api::RawMutex`], such as parking_lot's, a spin lock, or one over a critical section.
#[cfg(feature = "lock_api")]
pub struct Locked<L>(core::marker::PhantomData<fn() -> L>);

#[cfg(feature = "lock_api")]
impl<L> sealed::Sealed for Locked<L> {}

#[cfg(feature = "lock_api")]
impl<L: lock_api::RawMutex> Storage for Locked<L> {
    type Cells<N: Default> = LockedPages<N>;
    type Pages<T> = crate::pages::Chunks<T>;
    const THREAD_CACHES: bool = false;
    type Column<T: Copy + Default> = growing::Array<T>;
    type List<T> = alloc::vec::Vec<T>;
    type Index = KeyIndex;
    type Hasher = KeyHasher;
    type Exclusive<T> = lock_api::Mutex<L, T>;
    const MAX_SLOTS: usize = growing::SLOTS as usize;
}

/// [`Pages`] beside a lock.
#[cfg(feature = "lock_api")]
#[doc(hidden)]
pub struct LockedPages<N>(Pages<N>);

// SAFETY: only a keyed pool can be made with these cells, and it reaches and looks up a slot only while it holds the lock of
// its state. What it then does with a slot's object, without the lock, the state says is one user's at a time; so the
// objects move between threads (`N: Send`) and are never used by two.
#[cfg(feature = "lock_api")]
unsafe impl<N: Send> Sync for LockedPages<N> {}

#[cfg(feature = "lock_api")]
impl<N: Default> Default for LockedPages<N> {
    fn default() -> Self {
        Self(Pages::default())
    }
}

#[cfg(feature = "lock_api")]
impl<N: Default> Cells<N> for LockedPages<N> {
    fn reach(&self, at: u32) -> bool {
        self.0.reach(at)
    }

    #[inline(always)]
    fn at(&self, at: u32) -> &N {
        self.0.at(at)
    }

    #[inline(always)]
    unsafe fn reached(&self, at: u32) -> &N {
        // SAFETY: the caller's promise.
        unsafe { self.0.reached(at) }
    }
}

#[cfg(feature = "alloc")]
impl sealed::Sealed for Growing {}
impl<const N: usize> sealed::Sealed for Fixed<N> {}

#[cfg(feature = "alloc")]
impl Storage for Growing {
    type Cells<N: Default> = Pages<N>;
    type Pages<T> = crate::pages::Chunks<T>;
    const THREAD_CACHES: bool = true;
    type Column<T: Copy + Default> = growing::Array<T>;
    type List<T> = alloc::vec::Vec<T>;
    type Index = KeyIndex;
    type Hasher = KeyHasher;
    type Exclusive<T> = RefCell<T>;
    const MAX_SLOTS: usize = growing::SLOTS as usize;
}

impl<const N: usize> Storage for Fixed<N> {
    type Cells<M: Default> = Inline<M, N>;
    type Pages<T> = crate::pages::Inside<T, N>;
    const THREAD_CACHES: bool = false;
    type Column<T: Copy + Default> = Inline<Cell<T>, N>;
    type List<T> = heapless::Vec<T, N>;
    type Index = Chains<[u32; N]>;
    type Hasher = BuildHasherDefault<Fnv>;
    type Exclusive<T> = RefCell<T>;
    const MAX_SLOTS: usize = {
        assert!(N > 0, "a pool of no slots");
        assert!((N as u64) < 1 << 31, "more slots than a slot number can tell apart");
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

#[cfg(all(feature = "alloc", not(target_family = "wasm")))]
impl Index for hashbrown::HashTable<u32> {
    #[inline]
    fn find(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        self.find(hash, |&class| is(class)).copied()
    }
    #[inline]
    fn insert(&mut self, hash: u64, class: u32, hash_of: impl Fn(u32) -> u64) {
        self.insert_unique(hash, class, |&class| hash_of(class));
    }
    #[inline]
    fn remove(&mut self, hash: u64, class: u32) {
        if let Ok(entry) = self.find_entry(hash, |&other| other == class) {
            entry.remove();
        }
    }
}

/// A hash table of chains: as many as there may be classes, each linked through an array of classes. With `[u32; N]` it has
/// room for `N`; with `Vec<u32>` it grows.
#[doc(hidden)]
#[derive(Debug)]
pub struct Chains<L> {
    heads: L,
    next: L,
}

const END: u32 = u32::MAX;

impl<const N: usize> Default for Chains<[u32; N]> {
    fn default() -> Self {
        Self { heads: [END; N], next: [END; N] }
    }
}

impl<L: AsRef<[u32]> + AsMut<[u32]>> Chains<L> {
    /// The head of a chain; there is room for at least one class.
    fn head(&self, hash: u64) -> usize {
        // The high half of the product spreads over any number without a division.
        ((u64::from(hash as u32) * self.heads.as_ref().len() as u64) >> 32) as usize
    }

    fn find(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        // There is no head where there is no room for any class.
        let mut at = *self.heads.as_ref().get(self.head(hash))?;
        while at != END && !is(at) {
            at = self.next.as_ref()[at as usize];
        }
        (at != END).then_some(at)
    }

    /// Adds a class that there is room for.
    fn link(&mut self, hash: u64, class: u32) {
        let head = self.head(hash);
        let head = &mut self.heads.as_mut()[head];
        self.next.as_mut()[class as usize] = core::mem::replace(head, class);
    }

    fn remove(&mut self, hash: u64, class: u32) {
        let head = self.head(hash);
        let (heads, next) = (self.heads.as_mut(), self.next.as_mut());
        if heads[head] == class {
            heads[head] = next[class as usize];
            return;
        }
        let mut at = heads[head];
        while at != END {
            let following = next[at as usize];
            if following == class {
                next[at as usize] = core::mem::replace(&mut next[class as usize], END);
                return;
            }
            at = following;
        }
    }
}

impl<const N: usize> Index for Chains<[u32; N]> {
    fn find(&self, hash: u64, is: impl FnMut(u32) -> bool) -> Option<u32> {
        self.find(hash, is)
    }

    fn insert(&mut self, hash: u64, class: u32, _: impl Fn(u32) -> u64) {
        self.link(hash, class);
    }

    fn remove(&mut self, hash: u64, class: u32) {
        self.remove(hash, class);
    }
}

#[cfg(all(feature = "alloc", any(test, target_family = "wasm")))]
mod growing_chains {
    use super::{Chains, END, Index};
    use alloc::vec;
    use alloc::vec::Vec;

    impl Default for Chains<Vec<u32>> {
        fn default() -> Self {
            Self { heads: Vec::new(), next: Vec::new() }
        }
    }

    impl Chains<Vec<u32>> {
        /// Makes room for `class`: numbers of classes are used again, so there are not many more than there were classes at
        /// one time.
        #[inline(never)]
        fn grow(&mut self, class: u32, hash_of: &dyn Fn(u32) -> u64) {
            let len = (class as usize + 1).next_power_of_two().max(8);
            // Put in place at the end: hashing is user code, which may panic.
            let mut grown = Self { heads: vec![END; len], next: vec![END; len] };
            for &head in &self.heads {
                let mut at = head;
                while at != END {
                    grown.link(hash_of(at), at);
                    at = self.next[at as usize];
                }
            }
            *self = grown;
        }
    }

    impl Index for Chains<Vec<u32>> {
        fn find(&self, hash: u64, is: impl FnMut(u32) -> bool) -> Option<u32> {
            self.find(hash, is)
        }

        fn insert(&mut self, hash: u64, class: u32, hash_of: impl Fn(u32) -> u64) {
            if class as usize >= self.next.len() {
                self.grow(class, &hash_of);
            }
            self.link(hash, class);
        }

        fn remove(&mut self, hash: u64, class: u32) {
            self.remove(hash, class);
        }
    }
}

/// How growing pools find keys. A page downloads the code: there it is the small one.
#[cfg(all(feature = "alloc", not(target_family = "wasm")))]
type KeyIndex = hashbrown::HashTable<u32>;
#[cfg(all(feature = "alloc", target_family = "wasm"))]
type KeyIndex = Chains<alloc::vec::Vec<u32>>;

/// How they hash keys, likewise.
#[cfg(all(feature = "alloc", not(target_family = "wasm")))]
type KeyHasher = hashbrown::DefaultHashBuilder;
#[cfg(all(feature = "alloc", target_family = "wasm"))]
type KeyHasher = BuildHasherDefault<Fnv>;

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

/// Room for one object.
pub(crate) struct Slot<T>(UnsafeCell<MaybeUninit<T>>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }
}

impl<T> Slot<T> {
    /// Where the object is, if there is one.
    #[inline(always)]
    pub(crate) fn object(&self) -> NonNull<T> {
        let value: NonNull<UnsafeCell<MaybeUninit<T>>> = NonNull::from(&self.0);
        value.cast()
    }

    /// Puts an object in.
    ///
    /// # Safety
    ///
    /// The slot holds none, and nobody else uses it.
    pub(crate) unsafe fn fill(&self, object: T) {
        // SAFETY: the caller's promise; the memory is inside an `UnsafeCell`.
        unsafe { self.object().write(object) }
    }

    /// Takes the object out.
    ///
    /// # Safety
    ///
    /// The slot holds one, and nobody else uses it. Afterwards it holds none.
    pub(crate) unsafe fn take(&self) -> T {
        // SAFETY: the caller's promise.
        unsafe { self.object().read() }
    }
}

/// Numbered slots at addresses that stay.
///
/// Which of them hold an object is for the pool to know, and it must drop those objects itself.
#[doc(hidden)]
pub trait Cells<N: Default>: Default {
    /// Makes sure that slot `at` exists, where all below it do; false if there is no room for it.
    fn reach(&self, at: u32) -> bool;

    /// Slot `at`. Its address stays for as long as the cells are not moved (`Fixed`) or live (`Growing`).
    ///
    /// # Panics
    ///
    /// If the slot was never reached.
    fn at(&self, at: u32) -> &N;

    /// Slot `at`, without looking whether it was reached.
    ///
    /// # Safety
    ///
    /// It was.
    unsafe fn reached(&self, at: u32) -> &N;
}

/// Numbered values in one array, which a look-up finds sooner than a page. It moves as it grows, so values are
/// copied in and out.
#[doc(hidden)]
pub trait Column<T>: Default {
    /// Makes sure that value `at` exists; false if there is no room for it. New values are `T::default()`.
    fn reach(&self, at: u32) -> bool;

    /// How many values exist.
    fn len(&self) -> usize;

    /// # Safety
    ///
    /// Value `at` exists.
    unsafe fn get(&self, at: usize) -> T;

    /// # Safety
    ///
    /// Value `at` exists.
    unsafe fn set(&self, at: usize, value: T);
}

/// Slots inside the pool.
#[doc(hidden)]
pub struct Inline<N, const LEN: usize>([N; LEN]);

impl<N: Default, const LEN: usize> Default for Inline<N, LEN> {
    fn default() -> Self {
        Self(core::array::from_fn(|_| N::default()))
    }
}

impl<N: Default, const LEN: usize> Cells<N> for Inline<N, LEN> {
    fn reach(&self, at: u32) -> bool {
        (at as usize) < LEN
    }

    #[inline(always)]
    fn at(&self, at: u32) -> &N {
        &self.0[at as usize]
    }

    #[inline(always)]
    unsafe fn reached(&self, at: u32) -> &N {
        debug_assert!((at as usize) < LEN);
        // SAFETY: the caller's promise.
        unsafe { self.0.get_unchecked(at as usize) }
    }
}

impl<T: Copy + Default, const LEN: usize> Column<T> for Inline<Cell<T>, LEN> {
    fn reach(&self, at: u32) -> bool {
        (at as usize) < LEN
    }

    fn len(&self) -> usize {
        LEN
    }

    #[inline(always)]
    unsafe fn get(&self, at: usize) -> T {
        debug_assert!(at < LEN);
        // SAFETY: the caller's promise.
        unsafe { self.0.get_unchecked(at) }.get()
    }

    #[inline(always)]
    unsafe fn set(&self, at: usize, value: T) {
        debug_assert!(at < LEN);
        // SAFETY: the caller's promise.
        unsafe { self.0.get_unchecked(at) }.set(value);
    }
}

#[cfg(feature = "alloc")]
pub(crate) use growing::Pages;

#[cfg(feature = "alloc")]
mod growing {
    use super::{Cells, Column};
    use crate::lines::Lines;
    use alloc::boxed::Box;
    use alloc::vec::Vec;
    use core::cell::{Cell, UnsafeCell};
    use core::marker::PhantomData;
    use core::mem;
    use core::num::NonZero;
    use core::ptr::{self, NonNull};

    const FIRST: u32 = 32;
    const FIRST_BITS: u32 = FIRST.trailing_zeros();
    /// The last page would end beyond `u32`, so there is none.
    const PAGES: usize = 31 - FIRST_BITS as usize;
    pub(super) const SLOTS: u32 = (1 << 31) - FIRST;

    /// Slots in pages that double.
    #[doc(hidden)]
    pub struct Pages<N> {
        /// By the number of the highest bit of `slot + 32`: the page, less that many slots, so that adding
        /// `slot + 32` to it yields the slot. Set once, by `reach`; in a `Cell` because leases look at other pages
        /// meanwhile.
        bases: [Cell<*mut N>; 32],
        /// Slots reached: those below this are in pages that exist.
        reached: Cell<u32>,
        owns: PhantomData<N>,
    }

    // SAFETY: the pages are owned like boxes.
    unsafe impl<N: Send> Send for Pages<N> {}

    impl<N> Default for Pages<N> {
        fn default() -> Self {
            Self {
                bases: [const { Cell::new(ptr::null_mut()) }; 32],
                reached: Cell::new(0),
                owns: PhantomData,
            }
        }
    }

    /// Apart and without arguments, so that the check costs a comparison and nothing else.
    #[cold]
    #[inline(never)]
    fn never_reached() -> ! {
        panic!("the slot was never reached")
    }

    const fn page_len(page: usize) -> usize {
        (FIRST as usize) << page
    }

    impl<N> Pages<N> {
        /// The slots of a page, for its `reached` slots exist.
        fn page(&self, page: usize) -> *mut N {
            self.bases[page + FIRST_BITS as usize].get().wrapping_add(page_len(page))
        }

        fn pages(&self) -> usize {
            match self.reached.get() {
                0 => 0,
                reached => page_of(reached - 1) + 1,
            }
        }
    }

    /// The page of a slot.
    const fn page_of(at: u32) -> usize {
        ((at + FIRST).ilog2() - FIRST_BITS) as usize
    }

    impl<N: Default> Cells<N> for Pages<N> {
        fn reach(&self, at: u32) -> bool {
            if at >= SLOTS {
                return false;
            }
            const { assert!(!mem::needs_drop::<N>(), "slots are freed without being dropped") };
            let page = page_of(at);
            if page == self.pages() && page < PAGES {
                let slots = Lines::new(page_len(page));
                for at in 0..slots.len() {
                    // SAFETY: inside the page, which nobody knows of yet.
                    unsafe { slots.at(at).write(N::default()) };
                }
                let first: *mut N = slots.into_first().as_ptr();
                self.bases[page + FIRST_BITS as usize].set(first.wrapping_sub(page_len(page)));
            }
            self.reached.set(self.reached.get().max(at + 1));
            true
        }

        #[inline(always)]
        fn at(&self, at: u32) -> &N {
            if at >= self.reached.get() {
                never_reached();
            }
            // SAFETY: just checked.
            unsafe { self.reached(at) }
        }

        #[inline(always)]
        unsafe fn reached(&self, at: u32) -> &N {
            debug_assert!(at < self.reached.get());
            let shifted = at + FIRST;
            // SAFETY: at least `FIRST`.
            let base = self.bases[unsafe { NonZero::new_unchecked(shifted) }.ilog2() as usize].get();
            // SAFETY: the slot was reached (the caller's promise), so its page was allocated, and `base` is its start less
            // `2^highest bit` slots; `shifted` lies as far beyond that as the slot is into its page. Pages hold
            // initialised slots, are not freed before `self`, and are shared only by reference.
            unsafe { &*base.wrapping_add(shifted as usize) }
        }
    }

    impl<N> Drop for Pages<N> {
        fn drop(&mut self) {
            for page in 0..self.pages() {
                let Some(first) = NonNull::new(self.page(page)) else { continue };
                // SAFETY: `reach` made this page with this length and gave it to the table, once. Its slots need no
                // drop, and what they hold is the pool's to drop.
                drop(unsafe { Lines::from_first(first, page_len(page)) });
            }
        }
    }

    /// Values in one array, as many as there are slots in the pages up to the one reached.
    #[doc(hidden)]
    pub struct Array<T>(UnsafeCell<Box<[T]>>);

    impl<T> Default for Array<T> {
        fn default() -> Self {
            Self(UnsafeCell::default())
        }
    }

    impl<T: Copy + Default> Column<T> for Array<T> {
        fn reach(&self, at: u32) -> bool {
            if at >= SLOTS {
                return false;
            }
            if at as usize >= self.len() {
                // Slots up to the end of a page: those of the next, less the `FIRST` that the numbers are shifted by.
                let mut grown = Vec::with_capacity(page_len(page_of(at) + 1) - FIRST as usize);
                // SAFETY: references to the array end within these functions, of which none calls another while it
                // has one, and the cell is not `Sync`.
                grown.extend_from_slice(unsafe { &*self.0.get() });
                grown.resize(grown.capacity(), T::default());
                // SAFETY: as above.
                drop(mem::replace(unsafe { &mut *self.0.get() }, grown.into_boxed_slice()));
            }
            true
        }

        #[inline(always)]
        fn len(&self) -> usize {
            // SAFETY: as in `reach`.
            unsafe { &*self.0.get() }.len()
        }

        #[inline(always)]
        unsafe fn get(&self, at: usize) -> T {
            debug_assert!(at < self.len());
            // SAFETY: as in `reach`; the value exists, which is the caller's promise.
            unsafe { *(&*self.0.get()).get_unchecked(at) }
        }

        #[inline(always)]
        unsafe fn set(&self, at: usize, value: T) {
            debug_assert!(at < self.len());
            // SAFETY: as in `get`.
            unsafe { *(&mut *self.0.get()).get_unchecked_mut(at) = value }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        // Two slots at one address, a slot outside its page (Miri would see it), or one that moves on growth.
        #[test]
        fn slots_are_distinct_and_stay() {
            let count = if cfg!(miri) { 300 } else { 20_000 };
            let pages = Pages::<Cell<u32>>::default();
            let mut addresses = Vec::new();
            for at in 0..count {
                assert!(pages.reach(at));
                pages.at(at).set(at);
                addresses.push(ptr::from_ref(pages.at(at)));
            }
            for at in 0..count {
                assert_eq!(pages.at(at).get(), at);
                assert_eq!(ptr::from_ref(pages.at(at)), addresses[at as usize]);
            }
            assert!(!pages.reach(SLOTS) && !pages.reach(u32::MAX));
        }

        // A slot of a page that exists, but beyond what the pool asked for, or of one that does not.
        #[test]
        #[should_panic(expected = "never reached")]
        fn a_slot_that_was_not_reached_panics() {
            let pages = Pages::<Cell<u32>>::default();
            assert!(pages.reach(0));
            pages.at(1);
        }

        // Values that are lost on growth, or an array that is shorter than the pages: a slot without a value.
        #[test]
        fn columns_have_a_value_for_each_slot_of_a_page() {
            let column = Array::<u32>::default();
            for at in [0, 31, 32, 96, 223, 224, 500] {
                let before = column.len();
                assert!(column.reach(at));
                let expected = (0..=page_of(at)).map(page_len).sum::<usize>();
                assert_eq!(column.len(), expected);
                for at in 0..expected {
                    // SAFETY: below the length.
                    unsafe {
                        assert_eq!(column.get(at), if at < before { at as u32 } else { 0 });
                        column.set(at, at as u32);
                    }
                }
            }
            assert!(!column.reach(SLOTS) && !column.reach(u32::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A chain cut short by removing its head, middle or end.
    #[test]
    fn chains_find_what_is_there() {
        let mut chains = Chains::<[u32; 8]>::default();
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

    // A class that is lost when the table grows, found after it was removed, or a table that looks into no room.
    #[cfg(feature = "alloc")]
    #[test]
    fn chains_that_grow_find_what_is_there() {
        let mut chains = Chains::<alloc::vec::Vec<u32>>::default();
        assert_eq!(chains.find(7, |_| true), None);
        // Many to a chain, and chains that part when the table grows.
        let hash_of = |class: u32| u64::from((class / 3).wrapping_mul(0x9e37_79b9));
        let gone = |class: u32| class % 5 == 2;
        for class in 0..100 {
            chains.insert(hash_of(class), class, hash_of);
            if class > 0 && gone(class - 1) {
                chains.remove(hash_of(class - 1), class - 1);
            }
        }
        for class in 0..99 {
            let expected = (!gone(class)).then_some(class);
            assert_eq!(chains.find(hash_of(class), |other| other == class), expected);
        }
        // A number that is used again needs no room.
        chains.insert(hash_of(50), 2, hash_of);
        assert_eq!(chains.find(hash_of(50), |other| other == 2), Some(2));
    }
}
