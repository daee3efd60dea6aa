//! Pools, queues and allocators from the registry, each used as its documentation shows.

use crate::by_hand::Fresh;
use crate::source::{Buffer, End, Samples, Source, buffer, empty, touch};
use concurrent_queue::ConcurrentQueue;
use crossbeam_queue::{ArrayQueue, SegQueue};
use lockfree_object_pool as lockfree;
use mimalloc::MiMalloc;
use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::sync::Arc;

/// For the whole run, as guards borrow their pool and some cross threads; the process ends with the comparison.
pub(crate) fn forever<T>(pool: T) -> &'static T {
    Box::leak(Box::new(pool))
}

/// mimalloc, called past the global allocator.
pub(crate) const MIMALLOC: Fresh<MiMalloc> = Fresh(&MiMalloc);

// opool

#[derive(Debug)]
pub(crate) struct Allocator;

impl opool::PoolAllocator<Buffer> for Allocator {
    fn allocate(&self) -> Buffer {
        buffer()
    }
}

pub(crate) struct OpoolLocal(opool::LocalPool<Allocator, Buffer>);

impl OpoolLocal {
    pub(crate) fn of(objects: usize) -> Self {
        Self(opool::LocalPool::new_prefilled(objects, Allocator))
    }
}

impl Source for OpoolLocal {
    type Held<'s> = opool::RefLocalGuard<'s, Allocator, Buffer>;

    #[inline(always)]
    fn take(&self) -> Self::Held<'_> {
        self.0.get()
    }

    #[inline(always)]
    fn write(&self, held: &mut Self::Held<'_>, at: usize) {
        touch(held, at);
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Opool(&'static opool::Pool<Allocator, Buffer>);

impl Opool {
    pub(crate) fn of(objects: usize) -> Self {
        Self(forever(opool::Pool::new_prefilled(objects, Allocator)))
    }
}

impl Source for Opool {
    type Held<'s> = opool::RefGuard<'static, Allocator, Buffer>;

    #[inline(always)]
    fn take(&self) -> Self::Held<'_> {
        self.0.get()
    }

    #[inline(always)]
    fn write(&self, held: &mut Self::Held<'_>, at: usize) {
        touch(held, at);
    }
}

impl End for Opool {
    type Item = opool::RefGuard<'static, Allocator, Buffer>;

    #[inline(always)]
    fn take(&self) -> Self::Item {
        self.0.get()
    }

    #[inline(always)]
    fn write(item: &mut Self::Item, at: usize) {
        touch(item, at);
    }
}

// slab: storage by index. An insert allocates a slot and leaves its memory as it is, a remove frees it.

pub(crate) struct Slab(RefCell<slab::Slab<MaybeUninit<Samples>>>);

impl Slab {
    pub(crate) fn of(objects: usize) -> Self {
        Self(RefCell::new(slab::Slab::with_capacity(objects)))
    }
}

impl Source for Slab {
    type Held<'s> = usize;

    #[inline(always)]
    fn take(&self) -> usize {
        self.0.borrow_mut().insert(MaybeUninit::uninit())
    }

    #[inline(always)]
    fn write(&self, held: &mut usize, at: usize) {
        let mut slab = self.0.borrow_mut();
        // SAFETY: the index is inside. A raw write, as the rest was never initialised.
        unsafe { slab[*held].as_mut_ptr().cast::<f32>().add(at & 255).write(1.0) };
        std::hint::black_box(&mut slab[*held]);
    }

    #[inline(always)]
    fn give(&self, held: usize) {
        self.0.borrow_mut().remove(held);
    }
}

// lifeguard

pub(crate) struct Recycled(Buffer);

impl lifeguard::Recycleable for Recycled {
    fn new() -> Self {
        Self(buffer())
    }

    fn reset(&mut self) {}
}

pub(crate) struct Lifeguard(lifeguard::Pool<Recycled>);

impl Lifeguard {
    pub(crate) fn of(objects: usize) -> Self {
        Self(lifeguard::Pool::with_size_and_max(objects, objects))
    }
}

impl Source for Lifeguard {
    type Held<'s> = lifeguard::Recycled<'s, Recycled>;

    #[inline(always)]
    fn take(&self) -> Self::Held<'_> {
        self.0.new()
    }

    #[inline(always)]
    fn write(&self, held: &mut Self::Held<'_>, at: usize) {
        touch(&mut held.0, at);
    }
}

// Queues, popped and pushed without a guard.

/// A queue that serves as a pool.
pub(crate) trait Queue: Sync {
    fn named() -> &'static str;
    fn pop_one(&self) -> Option<Buffer>;
    fn push_one(&self, object: Buffer);
}

impl Queue for ArrayQueue<Buffer> {
    fn named() -> &'static str {
        "ArrayQueue"
    }

    #[inline(always)]
    fn pop_one(&self) -> Option<Buffer> {
        self.pop()
    }

    #[inline(always)]
    fn push_one(&self, object: Buffer) {
        drop(self.push(object));
    }
}

impl Queue for SegQueue<Buffer> {
    fn named() -> &'static str {
        "SegQueue"
    }

    #[inline(always)]
    fn pop_one(&self) -> Option<Buffer> {
        self.pop()
    }

    #[inline(always)]
    fn push_one(&self, object: Buffer) {
        self.push(object);
    }
}

impl Queue for ConcurrentQueue<Buffer> {
    fn named() -> &'static str {
        "ConcurrentQueue"
    }

    #[inline(always)]
    fn pop_one(&self) -> Option<Buffer> {
        self.pop().ok()
    }

    #[inline(always)]
    fn push_one(&self, object: Buffer) {
        drop(self.push(object));
    }
}

/// A queue with objects in it.
pub(crate) struct Queued<Q: 'static>(&'static Q);

impl<Q> Clone for Queued<Q> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q> Copy for Queued<Q> {}

impl<Q: Queue> Queued<Q> {
    pub(crate) fn of(queue: Q, objects: usize) -> Self {
        (0..objects).for_each(|_| queue.push_one(buffer()));
        Self(forever(queue))
    }
}

impl<Q: Queue> Source for Queued<Q> {
    type Held<'s> = Buffer;

    #[inline(always)]
    fn take(&self) -> Buffer {
        match self.0.pop_one() {
            Some(object) => object,
            None => empty(Q::named()),
        }
    }

    #[inline(always)]
    fn write(&self, held: &mut Buffer, at: usize) {
        touch(held, at);
    }

    #[inline(always)]
    fn give(&self, held: Buffer) {
        self.0.push_one(held);
    }
}

impl<Q: Queue> End for Queued<Q> {
    type Item = Buffer;

    #[inline(always)]
    fn take(&self) -> Buffer {
        self.0.pop_one().unwrap_or_else(buffer)
    }

    #[inline(always)]
    fn write(item: &mut Buffer, at: usize) {
        touch(item, at);
    }

    #[inline(always)]
    fn give(&self, item: Buffer) {
        self.0.push_one(item);
    }
}

// heapless' pool: a stack of nodes with a double-width compare-and-swap. (Its queue is deprecated where threads are
// preempted.)

mod heapless_pool {
    #![allow(missing_docs, unreachable_pub, reason = "the macro makes a public type without documentation")]
    heapless::object_pool!(Objects: super::Buffer);
}

/// A singleton: there is one for all workloads.
#[derive(Clone, Copy)]
pub(crate) struct HeaplessPool;

impl HeaplessPool {
    pub(crate) fn of(objects: usize) -> Self {
        for _ in 0..objects {
            let block = Box::leak(Box::new(heapless::pool::object::ObjectBlock::new(buffer())));
            heapless_pool::Objects.manage(block);
        }
        Self
    }
}

impl Source for HeaplessPool {
    type Held<'s> = heapless::pool::object::Object<heapless_pool::Objects>;

    #[inline(always)]
    fn take(&self) -> Self::Held<'_> {
        match heapless_pool::Objects.request() {
            Some(object) => object,
            None => empty("heapless pool"),
        }
    }

    #[inline(always)]
    fn write(&self, held: &mut Self::Held<'_>, at: usize) {
        touch(held, at);
    }
}

// lockfree-object-pool

macro_rules! lockfree_pool {
    ($name:ident, $pool:ident, $guard:ident) => {
        #[derive(Clone, Copy)]
        pub(crate) struct $name(&'static lockfree::$pool<Buffer>);

        impl $name {
            pub(crate) fn of(objects: usize) -> Self {
                let pool = forever(lockfree::$pool::new(buffer, |_| ()));
                drop((0..objects).map(|_| pool.pull()).collect::<Vec<_>>());
                Self(pool)
            }
        }

        impl Source for $name {
            type Held<'s> = lockfree::$guard<'static, Buffer>;

            #[inline(always)]
            fn take(&self) -> Self::Held<'_> {
                self.0.pull()
            }

            #[inline(always)]
            fn write(&self, held: &mut Self::Held<'_>, at: usize) {
                touch(held, at);
            }
        }
    };
}

lockfree_pool!(LockfreeLinear, LinearObjectPool, LinearReusable);
lockfree_pool!(LockfreeSpin, SpinLockObjectPool, SpinLockReusable);
lockfree_pool!(LockfreeMutex, MutexObjectPool, MutexReusable);

// object-pool

#[derive(Clone, Copy)]
pub(crate) struct ObjectPool(&'static object_pool::Pool<Buffer>);

impl ObjectPool {
    pub(crate) fn of(objects: usize) -> Self {
        Self(forever(object_pool::Pool::new(objects, buffer)))
    }
}

impl Source for ObjectPool {
    type Held<'s> = object_pool::Reusable<'static, Buffer>;

    #[inline(always)]
    fn take(&self) -> Self::Held<'_> {
        self.0.pull(buffer)
    }

    #[inline(always)]
    fn write(&self, held: &mut Self::Held<'_>, at: usize) {
        touch(held, at);
    }
}

// sharded-slab: its pool keeps what an object has allocated and clears the object when it comes back.

pub(crate) struct Kept(Buffer);

impl Default for Kept {
    fn default() -> Self {
        Self(buffer())
    }
}

impl sharded_slab::Clear for Kept {
    fn clear(&mut self) {}
}

#[derive(Clone)]
pub(crate) struct ShardedSlab(Arc<sharded_slab::Pool<Kept>>);

impl ShardedSlab {
    pub(crate) fn new() -> Self {
        Self(Arc::new(sharded_slab::Pool::new()))
    }
}

impl Source for ShardedSlab {
    type Held<'s> = sharded_slab::pool::RefMut<'s, Kept>;

    #[inline(always)]
    fn take(&self) -> Self::Held<'_> {
        match self.0.create() {
            Some(object) => object,
            None => empty("sharded-slab"),
        }
    }

    #[inline(always)]
    fn write(&self, held: &mut Self::Held<'_>, at: usize) {
        touch(&mut held.0, at);
    }

    #[inline(always)]
    fn give(&self, held: Self::Held<'_>) {
        // Without this the object would stay in the slab under its key.
        let key = held.key();
        drop(held);
        self.0.clear(key);
    }
}

impl End for ShardedSlab {
    type Item = sharded_slab::pool::OwnedRefMut<Kept>;

    #[inline(always)]
    fn take(&self) -> Self::Item {
        match Arc::clone(&self.0).create_owned() {
            Some(object) => object,
            None => empty("sharded-slab"),
        }
    }

    #[inline(always)]
    fn write(item: &mut Self::Item, at: usize) {
        touch(&mut item.0, at);
    }

    #[inline(always)]
    fn give(&self, item: Self::Item) {
        let key = item.key();
        drop(item);
        self.0.clear(key);
    }
}

// deadpool

#[derive(Clone)]
pub(crate) struct Deadpool(deadpool::unmanaged::Pool<Buffer>);

impl Deadpool {
    pub(crate) fn of(objects: usize) -> Self {
        Self(deadpool::unmanaged::Pool::from((0..objects).map(|_| buffer()).collect::<Vec<_>>()))
    }
}

impl Source for Deadpool {
    type Held<'s> = deadpool::unmanaged::Object<Buffer>;

    #[inline(always)]
    fn take(&self) -> Self::Held<'_> {
        match self.0.try_get() {
            Ok(object) => object,
            Err(_) => empty("deadpool"),
        }
    }

    #[inline(always)]
    fn write(&self, held: &mut Self::Held<'_>, at: usize) {
        touch(held, at);
    }
}
