//! What one would write without a crate: the floors.

use crate::source::{Buffer, End, Samples, Source, buffer, empty, touch};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// A stack of boxes, popped and pushed without a guard: the limit of what a private pool can reach.
pub(crate) struct VecInRefCell(RefCell<Vec<Buffer>>);

impl VecInRefCell {
    pub(crate) fn of(objects: usize) -> Self {
        Self(RefCell::new((0..objects).map(|_| buffer()).collect()))
    }
}

impl Source for VecInRefCell {
    type Held<'s> = Buffer;

    #[inline(always)]
    fn take(&self) -> Buffer {
        match self.0.borrow_mut().pop() {
            Some(object) => object,
            None => empty("the Vec"),
        }
    }

    #[inline(always)]
    fn write(&self, held: &mut Buffer, at: usize) {
        touch(held, at);
    }

    #[inline(always)]
    fn give(&self, held: Buffer) {
        self.0.borrow_mut().push(held);
    }
}

/// A word whose bits are the idle objects: one read-modify-write takes the lowest, one gives it back. The limit of what
/// a pool that any thread may use can reach without caches.
pub(crate) struct TwoRmw {
    idle: AtomicUsize,
    objects: Vec<[AtomicU32; 256]>,
}

impl TwoRmw {
    /// With an object for each bit.
    pub(crate) fn new() -> Self {
        let objects = (0..usize::BITS).map(|_| [const { AtomicU32::new(0) }; 256]);
        Self { idle: AtomicUsize::new(usize::MAX), objects: objects.collect() }
    }
}

impl Source for TwoRmw {
    type Held<'s> = usize;

    #[inline(always)]
    fn take(&self) -> usize {
        let mut idle = self.idle.load(Ordering::Relaxed);
        loop {
            if idle == 0 {
                empty("the word");
            }
            let rest = idle & (idle - 1);
            match self.idle.compare_exchange_weak(idle, rest, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return idle.trailing_zeros() as usize,
                Err(now) => idle = now,
            }
        }
    }

    #[inline(always)]
    fn write(&self, held: &mut usize, at: usize) {
        let object = &self.objects[*held];
        // As plain as any other store.
        object[at & 255].store(1, Ordering::Relaxed);
        std::hint::black_box(object);
    }

    #[inline(always)]
    fn give(&self, held: usize) {
        self.idle.fetch_or(1 << held, Ordering::Release);
    }
}

thread_local! {
    static LIST: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
}

/// The same stack in a `thread_local!`: what is given back on another thread stays there for good.
pub(crate) struct ThreadLocalList;

impl Source for ThreadLocalList {
    type Held<'s> = Buffer;

    #[inline(always)]
    fn take(&self) -> Buffer {
        LIST.with_borrow_mut(Vec::pop).unwrap_or_else(buffer)
    }

    #[inline(always)]
    fn write(&self, held: &mut Buffer, at: usize) {
        touch(held, at);
    }

    #[inline(always)]
    fn give(&self, held: Buffer) {
        LIST.with_borrow_mut(|list| list.push(held));
    }
}

/// No pool: each object is allocated, its memory left as it is found, and freed. Keeps nothing alive.
pub(crate) struct Fresh<A: GlobalAlloc + 'static>(pub(crate) &'static A);

/// The system's allocator.
pub(crate) const MALLOC: Fresh<System> = Fresh(&System);

/// Memory for one object.
pub(crate) struct Block<A: GlobalAlloc + 'static> {
    at: NonNull<Samples>,
    allocator: &'static A,
    _owned: PhantomData<Samples>,
}

// SAFETY: a block is owned memory of plain numbers, and allocators may be told to free on any thread.
unsafe impl<A: GlobalAlloc + Sync> Send for Block<A> {}

const LAYOUT: Layout = Layout::new::<Samples>();

impl<A: GlobalAlloc> Fresh<A> {
    #[inline(always)]
    fn block(&self, at: *mut u8) -> Block<A> {
        let Some(at) = NonNull::new(at.cast()) else { empty("the allocator") };
        Block { at, allocator: self.0, _owned: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn allocate(&self) -> Block<A> {
        // SAFETY: the layout has a size.
        self.block(unsafe { self.0.alloc(LAYOUT) })
    }

    #[inline(always)]
    pub(crate) fn allocate_zeroed(&self) -> Block<A> {
        // SAFETY: the layout has a size.
        self.block(unsafe { self.0.alloc_zeroed(LAYOUT) })
    }
}

impl<A: GlobalAlloc> Block<A> {
    #[inline(always)]
    pub(crate) fn write(&mut self, at: usize) {
        // SAFETY: the index is inside, and the memory is ours. A raw write, as the rest was never initialised.
        unsafe { self.at.as_ptr().cast::<f32>().add(at & 255).write(1.0) };
        std::hint::black_box(self.at);
    }
}

impl<A: GlobalAlloc> Drop for Block<A> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: it came from this allocator with this layout.
        unsafe { self.allocator.dealloc(self.at.as_ptr().cast(), LAYOUT) };
    }
}

impl<A: GlobalAlloc> Source for Fresh<A> {
    type Held<'s> = Block<A>;

    #[inline(always)]
    fn take(&self) -> Block<A> {
        self.allocate()
    }

    #[inline(always)]
    fn write(&self, held: &mut Block<A>, at: usize) {
        held.write(at);
    }
}

impl<A: GlobalAlloc + Sync> End for Fresh<A> {
    type Item = Block<A>;

    #[inline(always)]
    fn take(&self) -> Block<A> {
        self.allocate()
    }

    #[inline(always)]
    fn write(item: &mut Block<A>, at: usize) {
        item.write(at);
    }
}

/// A number crosses and nothing is pooled: what the channel of the hand-over costs by itself.
pub(crate) struct Nothing;

impl End for Nothing {
    type Item = usize;

    #[inline(always)]
    fn take(&self) -> usize {
        0
    }

    #[inline(always)]
    fn write(item: &mut usize, at: usize) {
        *item = at;
    }

    #[inline(always)]
    fn give(&self, item: usize) {
        std::hint::black_box(item);
    }
}

/// Objects that are sent in turn and not given back, as if none were ever still in use: what the channel and the writes
/// cost without any pool.
pub(crate) struct NeverBack {
    objects: &'static [Box<[AtomicU32; 256]>],
    next: Cell<usize>,
}

impl NeverBack {
    /// The objects of one sender.
    pub(crate) fn objects(count: usize) -> &'static [Box<[AtomicU32; 256]>] {
        (0..count).map(|_| Box::new([const { AtomicU32::new(0) }; 256])).collect::<Vec<_>>().leak()
    }

    pub(crate) fn of(objects: &'static [Box<[AtomicU32; 256]>]) -> Self {
        Self { objects, next: Cell::new(0) }
    }
}

impl End for NeverBack {
    type Item = &'static [AtomicU32; 256];

    #[inline(always)]
    fn take(&self) -> Self::Item {
        let now = self.next.get();
        self.next.set(if now + 1 == self.objects.len() { 0 } else { now + 1 });
        &self.objects[now]
    }

    #[inline(always)]
    fn write(item: &mut Self::Item, at: usize) {
        // As plain as any other store.
        item[at & 255].store(1, Ordering::Relaxed);
        std::hint::black_box(item);
    }

    #[inline(always)]
    fn give(&self, item: Self::Item) {
        std::hint::black_box(item);
    }
}
