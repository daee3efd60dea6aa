//! Waiting for an object of a full pool: a queue, a future, and a thread that blocks on it.
//!
//! Only who is first in the queue tries to acquire; who leaves, served or not, wakes who is first then. So nobody is
//! overtaken by who waits and came later (an acquire that does not wait, or whose time is over, may come in between), and a
//! wake-up that goes to a future which is dropped before it is polled is passed on.
//!
//! The queue has a lock, but a release never waits for it:
//!
//! ```text
//! release                                    who holds the lock
//! pending = true, by a swap                  ...
//! lock = true; was it? then leave it         lock = false
//! to the other; else wake the first          pending? then do as a release does
//! ```
//!
//! Both change `lock` by a swap. If the release found it locked, the other's unlocking swap comes after, reads what the
//! release's swap wrote, and so sees `pending`.

use crate::error::AcquireError;
use crate::lease::Lease;
use crate::lifecycle::{Factory, Resetter};
use crate::shared::{SharedPool, WAITER};
use crate::slots::Storage;
use crate::sync::{AtomicBool, Ordering, after_rmw, const_fn, relax};
use core::cell::UnsafeCell;
use core::fmt;
use core::future::Future;
use core::marker::PhantomPinned;
use core::pin::Pin;
use core::ptr;
use core::task::{Context, Poll, Waker};

/// Who waits, in the order of their coming. The nodes are parts of the futures that wait.
pub(crate) struct WaitQueue {
    lock: AtomicBool,
    /// Whether the first is to be woken.
    pending: AtomicBool,
    list: UnsafeCell<List>,
}

// SAFETY: the list is only touched by who holds the lock.
unsafe impl Sync for WaitQueue {}
// SAFETY: a queue that moves has no nodes: futures borrow its pool.
unsafe impl Send for WaitQueue {}

struct List {
    first: *mut Node,
    last: *mut Node,
}

struct Node {
    before: *mut Node,
    after: *mut Node,
    waker: Option<Waker>,
}

impl List {
    /// # Safety
    ///
    /// `node` is valid, in no list, and stays where it is until it is unlinked.
    unsafe fn append(&mut self, node: *mut Node) {
        // SAFETY: the caller's promise; nodes in the list are valid by it as well.
        unsafe {
            (*node).before = self.last;
            (*node).after = ptr::null_mut();
            match self.last.as_mut() {
                Some(last) => last.after = node,
                None => self.first = node,
            }
        }
        self.last = node;
    }

    /// # Safety
    ///
    /// `node` is in this list.
    unsafe fn unlink(&mut self, node: *mut Node) {
        // SAFETY: the caller's promise, and that of `append` for its neighbours.
        unsafe {
            let (before, after) = ((*node).before, (*node).after);
            match before.as_mut() {
                Some(before) => before.after = after,
                None => self.first = after,
            }
            match after.as_mut() {
                Some(after) => after.before = before,
                None => self.last = before,
            }
        }
    }
}

impl WaitQueue {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self {
                lock: AtomicBool::new(false),
                pending: AtomicBool::new(false),
                list: UnsafeCell::new(List { first: ptr::null_mut(), last: ptr::null_mut() }),
            }
        }
    }

    fn try_lock(&self) -> bool {
        // AcqRel: Acquire is the list as the last holder left it; Release is `pending`, to who unlocks.
        !self.lock.swap(true, Ordering::AcqRel)
    }

    fn unlock(&self) {
        // AcqRel: Release is the list; Acquire is `pending` of those who found it locked.
        self.lock.swap(false, Ordering::AcqRel);
    }

    /// Changes the list; no user code may run in `change`.
    fn locked<T>(&self, change: impl FnOnce(&mut List) -> T) -> T {
        while !self.try_lock() {
            relax();
        }
        // SAFETY: the lock is ours.
        let changed = change(unsafe { &mut *self.list.get() });
        self.unlock();
        if self.pending.load(Ordering::Acquire) {
            self.notify();
        }
        changed
    }

    /// Wakes the first in the queue, or leaves that to who holds the lock. Waits for nobody.
    pub(crate) fn notify(&self) {
        // A swap, not a store: a store could take its place before an older one that has been answered already, and be
        // lost with it. Release: to who takes it up.
        self.pending.swap(true, Ordering::AcqRel);
        while self.try_lock() {
            let mut waker = None;
            if self.pending.swap(false, Ordering::AcqRel) {
                // SAFETY: the lock is ours, and nodes in the list are valid.
                waker = unsafe { (*self.list.get()).first.as_mut() }.and_then(|first| first.waker.take());
            }
            self.unlock();
            if let Some(waker) = waker {
                waker.wake();
            }
            if !self.pending.load(Ordering::Acquire) {
                break;
            }
        }
    }

    /// Wakes all that wait.
    pub(crate) fn wake_all(&self) {
        // If a waker panics, whoever catches it may call this again: those that were woken are woken no more.
        loop {
            let waker = self.locked(|list| {
                let mut at = list.first;
                // SAFETY: the lock is ours, and nodes in the list are valid.
                while let Some(node) = unsafe { at.as_mut() } {
                    if let Some(waker) = node.waker.take() {
                        return Some(waker);
                    }
                    at = node.after;
                }
                None
            });
            match waker {
                Some(waker) => waker.wake(),
                None => return,
            }
        }
    }
}

/// The future of [`SharedPool::acquire_async`].
#[must_use = "a future does nothing until it is polled"]
pub struct Acquire<'p, F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    pool: &'p SharedPool<F, R, S>,
    node: UnsafeCell<Node>,
    queued: bool,
    _pinned: PhantomPinned,
}

// SAFETY: the node is only touched by who holds the queue's lock; everything else is a reference to the pool.
unsafe impl<F, R, S> Send for Acquire<'_, F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
    SharedPool<F, R, S>: Sync,
{
}

impl<'p, F, R, S> Acquire<'p, F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    pub(crate) fn new(pool: &'p SharedPool<F, R, S>) -> Self {
        let node = Node { before: ptr::null_mut(), after: ptr::null_mut(), waker: None };
        Self { pool, node: UnsafeCell::new(node), queued: false, _pinned: PhantomPinned }
    }

    fn leave(&mut self) {
        self.queued = false;
        let node = self.node.get();
        let (waker, others) = self.pool.waiters.locked(|list| {
            // SAFETY: `queued` says that it is in the list.
            unsafe {
                list.unlink(node);
                ((*node).waker.take(), !list.first.is_null())
            }
        });
        // Relaxed: fewer wait; who still sees more wakes in vain.
        self.pool.flags.fetch_sub(WAITER, Ordering::Relaxed);
        drop(waker);
        if others {
            self.pool.waiters.notify();
        }
    }
}

impl<'p, F, R, S> Future for Acquire<'p, F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    type Output = Result<Lease<&'p SharedPool<F, R, S>>, AcquireError<F::Error>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out of it; the node stays where it is.
        let this = unsafe { self.get_unchecked_mut() };
        let pool = this.pool;
        if !this.queued && !pool.has_waiters() {
            match pool.attempt() {
                Err(AcquireError::Exhausted { .. }) => {}
                outcome => return Poll::Ready(outcome),
            }
        }
        // Cloned before the lock is taken: it is user code.
        let waker = Some(context.waker().clone());
        let node = this.node.get();
        let joins = !core::mem::replace(&mut this.queued, true);
        if joins {
            // SeqCst, and `after_rmw` below: who releases sees this, or the attempt below sees what was released. Before
            // anything that may panic, for `leave` takes it away again.
            pool.flags.fetch_add(WAITER, Ordering::SeqCst);
        }
        let (old, first) = pool.waiters.locked(|list| {
            // SAFETY: pinned until it is dropped, and unlinked by then; in no list, as `queued` was not set.
            unsafe {
                if joins {
                    list.append(node);
                }
                (core::mem::replace(&mut (*node).waker, waker), list.first == node)
            }
        });
        drop(old);
        if joins {
            after_rmw();
            pool.empty_lanes(true);
        }
        if !first && !pool.is_closed() {
            return Poll::Pending;
        }
        match pool.attempt() {
            Err(AcquireError::Exhausted { .. }) => Poll::Pending,
            outcome => {
                this.leave();
                Poll::Ready(outcome)
            }
        }
    }
}

impl<F, R, S> Drop for Acquire<'_, F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    fn drop(&mut self) {
        if self.queued {
            self.leave();
        }
    }
}

impl<F, R, S> fmt::Debug for Acquire<'_, F, R, S>
where
    F: Factory,
    R: Resetter<F::Object>,
    S: Storage,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").field("queued", &self.queued).finish_non_exhaustive()
    }
}

#[cfg(feature = "std")]
pub(crate) use blocking::block;

#[cfg(feature = "std")]
mod blocking {
    use super::*;
    use core::pin::pin;
    use core::time::Duration;
    use std::sync::Arc;
    use std::task::Wake;
    use std::thread::{self, Thread};
    use std::time::Instant;

    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    /// Drives the future on this thread.
    pub(crate) fn block<F, R, S>(
        pool: &SharedPool<F, R, S>,
        timeout: Duration,
    ) -> Result<Lease<&SharedPool<F, R, S>>, AcquireError<F::Error>>
    where
        F: Factory,
        R: Resetter<F::Object>,
        S: Storage,
    {
        if !pool.has_waiters() {
            match pool.attempt() {
                Err(AcquireError::Exhausted { .. }) => {}
                outcome => return outcome,
            }
        }
        let start = Instant::now();
        // None: later than can be told, so without end.
        let deadline = start.checked_add(timeout);
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        {
            let mut acquire = pin!(pool.acquire_async());
            loop {
                if let Poll::Ready(outcome) = acquire.as_mut().poll(&mut context) {
                    return outcome;
                }
                let Some(deadline) = deadline else {
                    thread::park();
                    continue;
                };
                match deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                    Some(left) => thread::park_timeout(left),
                    None => break,
                }
            }
        }
        // Out of the queue: who is first in it may be a future that nobody polls.
        match pool.acquire() {
            Err(AcquireError::Exhausted { .. }) => {
                let (leased, max_objects) = (pool.count_leased(), pool.max_objects());
                Err(AcquireError::TimedOut { waited: start.elapsed(), leased, max_objects })
            }
            outcome => outcome,
        }
    }
}
