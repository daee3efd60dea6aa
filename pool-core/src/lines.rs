//! Memory for many objects that begins with a line of the processor's cache.
//!
//! Objects that are whole lines, as blocks of samples often are, then begin with one too, and are filled and copied
//! without a store that crosses from one line into the next. (Allocators promise 8 or 16 bytes, and give large blocks an
//! address that is 16 beyond a line.)

use alloc::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use core::mem;
use core::ptr::NonNull;

/// Bytes of a line, or of several.
const LINE: usize = 64;

/// Memory for so many values, which its user initialises, and drops before this is.
pub(crate) struct Lines<N> {
    first: NonNull<N>,
    len: usize,
}

impl<N> Lines<N> {
    /// # Panics
    ///
    /// If they would not fit into the address space.
    pub(crate) fn new(len: usize) -> Self {
        let Some(layout) = Self::layout(len) else { panic!("{len} slots do not fit into the address space") };
        if layout.size() == 0 {
            return Self { first: NonNull::dangling(), len };
        }
        // SAFETY: its size is not 0.
        match NonNull::new(unsafe { alloc(layout) }) {
            Some(first) => Self { first: first.cast(), len },
            None => handle_alloc_error(layout),
        }
    }

    /// What `into_first` was told of.
    ///
    /// # Safety
    ///
    /// `first` came from [`into_first`](Self::into_first), of memory for `len` values, and this is its only owner.
    pub(crate) unsafe fn from_first(first: NonNull<N>, len: usize) -> Self {
        Self { first, len }
    }

    /// Leaves the memory to whoever takes this pointer.
    pub(crate) fn into_first(self) -> NonNull<N> {
        mem::ManuallyDrop::new(self).first
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// # Panics
    ///
    /// If there are fewer.
    pub(crate) fn at(&self, index: usize) -> NonNull<N> {
        assert!(index < self.len);
        // SAFETY: inside the memory.
        unsafe { self.first.add(index) }
    }

    fn layout(len: usize) -> Option<Layout> {
        Layout::array::<N>(len).ok()?.align_to(LINE).ok()
    }
}

impl<N> Drop for Lines<N> {
    fn drop(&mut self) {
        if let Some(layout) = Self::layout(self.len).filter(|layout| layout.size() > 0) {
            // SAFETY: `new` allocated it with this layout.
            unsafe { dealloc(self.first.as_ptr().cast(), layout) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Memory that begins anywhere, values that overlap, or a layout to free it that is not the one it was made with (Miri).
    #[test]
    fn values_begin_with_a_line() {
        for len in [0, 1, 3, 1000] {
            let lines = Lines::<[u64; 8]>::new(len);
            for index in 0..len {
                let at = lines.at(index);
                assert_eq!(at.addr().get() % LINE, 0);
                // SAFETY: room for one value.
                unsafe { at.write([index as u64; 8]) };
            }
            for index in 0..len {
                // SAFETY: just written.
                assert_eq!(unsafe { lines.at(index).read() }, [index as u64; 8]);
            }
            // SAFETY: its only owner.
            drop(unsafe { Lines::from_first(lines.into_first(), len) });
        }
        assert_eq!(Lines::<()>::new(7).len(), 7);
    }

    // A pool whose objects begin where the allocator likes.
    #[test]
    fn objects_of_growing_pools_begin_with_a_line() {
        use crate::{KeyedPool, LocalPool, SharedPool};
        type Block = [u64; 24];
        fn block<K>(_: &K) -> Result<Block, core::convert::Infallible> {
            Ok([0; 24])
        }
        let line = |block: &Block| assert_eq!(core::ptr::from_ref(block).addr() % LINE, 0);
        let (local, shared, keyed) = (LocalPool::new(block), SharedPool::new(block), KeyedPool::new(block));
        let local: alloc::vec::Vec<_> = (0..40).map(|_| local.acquire().unwrap()).collect();
        let shared: alloc::vec::Vec<_> = (0..70).map(|_| shared.acquire().unwrap()).collect();
        let keyed: alloc::vec::Vec<_> = (0..40).map(|key| keyed.acquire(&key).unwrap()).collect();
        local.iter().for_each(|lease| line(lease));
        shared.iter().for_each(|lease| line(lease));
        keyed.iter().for_each(|lease| line(lease));
    }

    // A size that wraps, and so memory for fewer.
    #[test]
    #[should_panic(expected = "do not fit")]
    fn too_many_are_refused() {
        drop(Lines::<u64>::new(usize::MAX / 4));
    }
}
