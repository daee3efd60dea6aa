//! Who may charge an account: any thread ([`Shared`]), or the one that made it ([`Local`]).
//!
//! Everything an account does is written once, over the few operations here. Both modes count in the same
//! [`Ledger`], so reports and refusals read either. A shared account counts by read-modify-write; a local one by a
//! relaxed load and a relaxed store, which are plain moves on every processor: it alone writes, and others may look.

use super::ledger::Ledger;
use super::levels::Tree;
use super::refusal::AccountRef;
use super::{Account, Handler};
use crate::sync::{AtomicBool, AtomicUsize, Count, Ordering, THREADS};
use core::fmt;

#[cfg(feature = "alloc")]
use super::{credit::Credit, event::AccountEvent, evict::Evict, evictors::Evictors, ledger::LocalNode};
#[cfg(feature = "alloc")]
use crate::{lock::Lock, sync::Arc};
#[cfg(feature = "alloc")]
use alloc::{boxed::Box, rc::Rc};

/// Charged by any thread, without locks. The account may be in a `static`, and needs no allocator then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shared {}

/// Charged by one thread, without atomic read-modify-writes.
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Local {}

/// Who may charge an [`Account`]: [`Shared`] or `Local`. There are no others.
pub trait Mode: sealed::Sealed + Copy + Eq + fmt::Debug + 'static {
    #[doc(hidden)]
    type Handle: Clone;
    #[doc(hidden)]
    #[cfg(feature = "alloc")]
    type Handler: ?Sized;
    /// An [`Evict`] that may be called by whoever may charge.
    #[doc(hidden)]
    #[cfg(feature = "alloc")]
    type Evictor: ?Sized + Evict;
    /// A counted pointer that may go where the account may.
    #[doc(hidden)]
    #[cfg(feature = "alloc")]
    type Counted<T>: Clone + core::ops::Deref<Target = T>;

    #[doc(hidden)]
    fn ledger(handle: &Self::Handle) -> &Ledger;
    #[doc(hidden)]
    fn parent(handle: &Self::Handle) -> Option<&Account<Self>>;
    #[doc(hidden)]
    fn reference(handle: &Self::Handle) -> AccountRef;
    #[doc(hidden)]
    fn handler(handle: &Self::Handle) -> Option<&Handler<Self>>;
    #[doc(hidden)]
    #[cfg(feature = "alloc")]
    fn call(handler: &Self::Handler, event: &AccountEvent<Self>);
    #[doc(hidden)]
    #[cfg(feature = "alloc")]
    fn counted<T>(value: T) -> Self::Counted<T>;
    #[doc(hidden)]
    #[cfg(feature = "alloc")]
    fn evictors(handle: &Self::Handle) -> &Lock<Evictors<Self::Counted<Box<Self::Evictor>>>>;
    /// The credit by which the top of a local tree is part of a shared one.
    #[doc(hidden)]
    #[cfg(feature = "alloc")]
    fn above(handle: &Self::Handle) -> Option<&Credit>;
    /// What takes more than one level; `None` if there is but one.
    #[doc(hidden)]
    fn tree(handle: &Self::Handle) -> Option<&'static Tree<Self>>;
    /// The shared account itself, if this is one.
    #[doc(hidden)]
    #[cfg(feature = "alloc")]
    fn as_shared(account: &Account<Self>) -> Option<&Account>;
    /// See [`Account::stamp`].
    #[doc(hidden)]
    #[cfg(feature = "alloc")]
    fn stamp(handle: &Self::Handle) -> u64;
    /// See [`Account::now`].
    #[doc(hidden)]
    #[cfg(feature = "alloc")]
    fn now(handle: &Self::Handle) -> u64;

    /// Adds to what is in use unless the sum passes the hard limit, or, of external bytes, wraps. The sum, or why not.
    #[doc(hidden)]
    fn add(ledger: &Ledger, bytes: usize, external: bool) -> Result<usize, NotAdded>;
    /// The same for bytes that pass no bound, whose sum [`Quiet`](super::quiet::Quiet) covers.
    #[doc(hidden)]
    fn add_quietly(ledger: &Ledger, bytes: usize) -> Quietly;
    /// After a bound was lowered: each charge looks at the bounds again, until [`calm`](Self::calm).
    #[doc(hidden)]
    fn doubt(ledger: &Ledger);
    /// Has charges below all bounds look at none of them.
    #[doc(hidden)]
    fn calm(ledger: &Ledger);
    /// What is in use, after a bound or the flag of one was changed: whoever charges or gives back and is not counted here
    /// sees the change.
    #[doc(hidden)]
    fn settled(ledger: &Ledger) -> usize;
    /// Takes away what was added before.
    #[doc(hidden)]
    fn sub(count: &AtomicUsize, bytes: usize);
    /// Adds to a count that bounds nothing. Wraps; so taking away is adding the negative.
    #[doc(hidden)]
    fn tally(count: &Count, bytes: usize);
    /// Raises to at least `to`.
    #[doc(hidden)]
    fn raise(count: &Count, to: usize);
    /// Sets the count. What it was.
    #[doc(hidden)]
    fn swap(count: &Count, to: usize) -> usize;
    /// Sets the flag; whether that changed it.
    #[doc(hidden)]
    fn flip(flag: &AtomicBool, to: bool) -> bool;
}

/// What became of a charge that was to pass no bound.
pub enum Quietly {
    Added,
    /// It was added, and this is the sum; but a bound was lowered in between.
    Doubtful(usize),
    /// Nothing was added.
    NotAdded,
}

/// Why bytes are not counted, or not to be.
pub enum NotAdded {
    Full(Full),
    /// They are counted, but the limit was lowered in between: who charges has to take them off again.
    Passed,
}

/// What a level had in use that refused, and the limit that it refused by.
#[derive(Clone, Copy)]
pub struct Full {
    pub(crate) used: usize,
    pub(crate) limit: usize,
}

impl Full {
    /// The limit that it refused by: of external bytes none did, and the account's is told.
    #[inline(always)]
    fn at(ledger: &Ledger, used: usize, external: bool, limit: usize) -> Self {
        let limit = if external { ledger.hard_limit.load(Ordering::Relaxed) } else { limit };
        Self { used, limit }
    }

    /// Bytes that are missing for `more`, which are not external.
    pub(crate) fn short_by(self, more: usize) -> usize {
        // A sum that wraps is short by more than any limit.
        self.used.checked_add(more).map_or(usize::MAX, |sum| sum - self.limit)
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Shared {}
    #[cfg(feature = "alloc")]
    impl Sealed for super::Local {}
}

/// What a shared account points to.
#[derive(Clone)]
pub enum SharedHandle {
    Static(&'static Ledger),
    #[cfg(feature = "alloc")]
    Counted(Arc<Ledger>),
}

impl core::ops::Deref for SharedHandle {
    type Target = Ledger;

    #[inline(always)]
    fn deref(&self) -> &Ledger {
        match self {
            Self::Static(ledger) => ledger,
            #[cfg(feature = "alloc")]
            Self::Counted(ledger) => ledger,
        }
    }
}

impl Mode for Shared {
    type Handle = SharedHandle;
    #[cfg(feature = "alloc")]
    type Handler = dyn Fn(&AccountEvent) + Send + Sync;
    #[cfg(feature = "alloc")]
    type Evictor = dyn Evict + Send + Sync;
    #[cfg(feature = "alloc")]
    type Counted<T> = Arc<T>;

    #[inline(always)]
    fn ledger(handle: &SharedHandle) -> &Ledger {
        handle
    }

    #[inline(always)]
    fn parent(handle: &SharedHandle) -> Option<&Account> {
        handle.parent.as_ref()
    }

    #[inline(always)]
    fn tree(handle: &SharedHandle) -> Option<&'static Tree<Self>> {
        #[cfg(target_family = "wasm")]
        return handle.tree;
        #[cfg(not(target_family = "wasm"))]
        handle.parent.as_ref().map(|_| Tree::ANY)
    }

    fn reference(handle: &SharedHandle) -> AccountRef {
        AccountRef::new(handle.clone())
    }

    fn handler(handle: &SharedHandle) -> Option<&Handler<Self>> {
        handle.on_event.as_ref()
    }

    #[cfg(feature = "alloc")]
    fn call(handler: &Self::Handler, event: &AccountEvent) {
        handler(event);
    }

    #[cfg(feature = "alloc")]
    fn counted<T>(value: T) -> Arc<T> {
        Arc::new(value)
    }

    #[cfg(feature = "alloc")]
    fn evictors(handle: &SharedHandle) -> &Lock<Evictors<Arc<Box<Self::Evictor>>>> {
        &handle.evictors
    }

    #[cfg(feature = "alloc")]
    #[inline(always)]
    fn above(_: &SharedHandle) -> Option<&Credit> {
        None
    }

    #[cfg(feature = "alloc")]
    #[inline(always)]
    fn as_shared(account: &Account) -> Option<&Account> {
        Some(account)
    }

    #[cfg(feature = "alloc")]
    fn stamp(handle: &SharedHandle) -> u64 {
        // Relaxed: an order of releases, which needs no edge; a late look only makes the object seem older.
        handle.epoch.load(Ordering::Relaxed)
    }

    #[cfg(feature = "alloc")]
    fn now(handle: &SharedHandle) -> u64 {
        Self::stamp(handle)
    }

    #[inline(always)]
    fn add(ledger: &Ledger, bytes: usize, external: bool) -> Result<usize, NotAdded> {
        let limit = || if external { usize::MAX } else { ledger.hard_limit.load(Ordering::Relaxed) };
        let limit_before = limit();
        let fits = |used: usize| used.checked_add(bytes).filter(|&sum| sum <= limit_before);
        // Release, and acquire for who is refused: if that is because of bytes that were lent, it sees to whom.
        // Acquire for who is not refused: a new limit, or whether pressure has ended, if whoever saw to that has looked
        // before this; see `settled`.
        match ledger.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits) {
            Ok(used) if !THREADS || used + bytes <= limit() => Ok(used + bytes),
            Ok(_) => Err(NotAdded::Passed),
            Err(used) => Err(NotAdded::Full(Full::at(ledger, used, external, limit_before))),
        }
    }

    #[inline(always)]
    fn add_quietly(ledger: &Ledger, bytes: usize) -> Quietly {
        let fits = |used: usize| used.checked_add(bytes).filter(|&sum| ledger.quiet.covers(sum));
        // As in `add`. Relaxed if it does not fit: that is no refusal yet.
        match ledger.used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, fits) {
            Ok(used) if ledger.quiet.covers(used + bytes) => Quietly::Added,
            Ok(used) => Quietly::Doubtful(used + bytes),
            Err(_) => Quietly::NotAdded,
        }
    }

    fn doubt(ledger: &Ledger) {
        ledger.quiet.doubt();
    }

    fn calm(ledger: &Ledger) {
        ledger.quiet.raise(|| ledger.quiet_bound());
    }

    fn settled(ledger: &Ledger) -> usize {
        // A read-modify-write, as a charge is: one of the two comes first. If it is this, the charge reads from it, or from
        // what was made of it, and sees what was written before (release). If it is the charge, this counts it. Acquire: what
        // others wrote who have looked before this, such as the flag that is to be turned back for the new bound.
        ledger.used.fetch_add(0, Ordering::AcqRel)
    }

    #[inline(always)]
    fn sub(count: &AtomicUsize, bytes: usize) {
        // Nobody asks for the sum, which takes the processor longer. Acquire: whether pressure has begun, or where it ends by
        // now, if whoever saw to that has looked before this; see `settled`.
        count.fetch_sub(bytes, Ordering::Acquire);
    }

    #[inline(always)]
    fn tally(count: &Count, bytes: usize) {
        count.fetch_add(bytes, Ordering::Relaxed);
    }

    #[inline(always)]
    fn raise(count: &Count, to: usize) {
        count.fetch_max(to, Ordering::Relaxed);
    }

    fn swap(count: &Count, to: usize) -> usize {
        // Release: what was written before is there for who reads the new one.
        count.swap(to, Ordering::Release)
    }

    fn flip(flag: &AtomicBool, to: bool) -> bool {
        flag.swap(to, Ordering::Relaxed) != to
    }
}

#[cfg(feature = "alloc")]
impl Mode for Local {
    type Handle = Rc<LocalNode>;
    type Handler = dyn Fn(&AccountEvent<Self>);
    type Evictor = dyn Evict;
    type Counted<T> = Rc<T>;

    #[inline(always)]
    fn ledger(handle: &Rc<LocalNode>) -> &Ledger {
        &handle.ledger
    }

    #[inline(always)]
    fn parent(handle: &Rc<LocalNode>) -> Option<&Account<Self>> {
        handle.parent.as_ref()
    }

    #[inline(always)]
    fn tree(handle: &Rc<LocalNode>) -> Option<&'static Tree<Self>> {
        (handle.parent.is_some() || handle.above.is_some()).then_some(Tree::ANY)
    }

    fn reference(handle: &Rc<LocalNode>) -> AccountRef {
        AccountRef::new(SharedHandle::Counted(Arc::clone(&handle.ledger)))
    }

    fn handler(handle: &Rc<LocalNode>) -> Option<&Handler<Self>> {
        handle.on_event.as_ref()
    }

    fn call(handler: &Self::Handler, event: &AccountEvent<Self>) {
        handler(event);
    }

    fn counted<T>(value: T) -> Rc<T> {
        Rc::new(value)
    }

    fn evictors(handle: &Rc<LocalNode>) -> &Lock<Evictors<Rc<Box<Self::Evictor>>>> {
        &handle.evictors
    }

    #[inline(always)]
    fn above(handle: &Rc<LocalNode>) -> Option<&Credit> {
        handle.above.as_ref()
    }

    #[inline(always)]
    fn as_shared(_: &Account<Self>) -> Option<&Account> {
        None
    }

    fn stamp(handle: &Rc<LocalNode>) -> u64 {
        let stamp = handle.releases.get() + 1;
        handle.releases.set(stamp);
        stamp
    }

    fn now(handle: &Rc<LocalNode>) -> u64 {
        handle.releases.get() + 1
    }

    #[inline(always)]
    fn add(ledger: &Ledger, bytes: usize, external: bool) -> Result<usize, NotAdded> {
        let limit = if external { usize::MAX } else { ledger.hard_limit.load(Ordering::Relaxed) };
        let used = ledger.used.load(Ordering::Relaxed);
        let fits = used.checked_add(bytes).filter(|&sum| sum <= limit);
        let sum = fits.ok_or_else(|| NotAdded::Full(Full::at(ledger, used, external, limit)))?;
        ledger.used.store(sum, Ordering::Relaxed);
        Ok(sum)
    }

    #[inline(always)]
    fn add_quietly(ledger: &Ledger, bytes: usize) -> Quietly {
        let sum = ledger.used.load(Ordering::Relaxed).checked_add(bytes);
        let Some(sum) = sum.filter(|&sum| ledger.quiet.covers(sum)) else { return Quietly::NotAdded };
        ledger.used.store(sum, Ordering::Relaxed);
        Quietly::Added
    }

    fn doubt(ledger: &Ledger) {
        ledger.quiet.set(0);
    }

    fn calm(ledger: &Ledger) {
        ledger.quiet.set(ledger.quiet_bound());
    }

    fn settled(ledger: &Ledger) -> usize {
        ledger.used.load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn sub(count: &AtomicUsize, bytes: usize) {
        count.store(count.load(Ordering::Relaxed).wrapping_sub(bytes), Ordering::Relaxed);
    }

    #[inline(always)]
    fn tally(count: &Count, bytes: usize) {
        count.store(count.load(Ordering::Relaxed).wrapping_add(bytes), Ordering::Relaxed);
    }

    #[inline(always)]
    fn raise(count: &Count, to: usize) {
        count.store(count.load(Ordering::Relaxed).max(to), Ordering::Relaxed);
    }

    fn swap(count: &Count, to: usize) -> usize {
        let before = count.load(Ordering::Relaxed);
        count.store(to, Ordering::Relaxed);
        before
    }

    fn flip(flag: &AtomicBool, to: bool) -> bool {
        let changes = flag.load(Ordering::Relaxed) != to;
        flag.store(to, Ordering::Relaxed);
        changes
    }
}
