//! One key of a pool for threads, by a pool of its own: [`KeyClass`].

use super::{KeyedPool, SharedKeyedPool};
use crate::account::Mode;
use crate::clock::Clock;
use crate::exclusive::Exclusive as _;
use crate::lifecycle::{Factory, Resetter, Verdict};
use crate::numbered::Numbered;
use crate::observe::Observer;
use crate::shared::{SharedPool, SharedPoolBuilder};
use crate::slots::{Locked, Storage};
use crate::work::WorkLimit;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::fmt;
use core::hash::Hash;

/// The objects of one key of a [`SharedKeyedPool`], as a [`SharedPool`]: acquire and release are lock-free, and take no look
/// at the key. Made by [`KeyedPool::class`].
///
/// A class has the factory, the resetter, the account and the bound on retained bytes of its pool, and ends with it:
/// [`close`](KeyedPool::close) closes its classes. [`maintain`](KeyedPool::maintain) maintains them: it destroys what they
/// have doomed and, under pressure, what they have idle, as [`SharedPool::maintain`] says; at most as many objects of all
/// of them as its limit says, of at most as many classes, and the next call goes on with the others. What a class does not have,
/// or has by itself:
///
/// | of the pool | of a class |
/// |---|---|
/// | [`max_objects`](super::KeyedPoolBuilder::max_objects) | not counted there: with classes there may be more objects in all, and only the account bounds them |
/// | [`max_per_key`](super::KeyedPoolBuilder::max_per_key) | has the same bound by itself: so many in the class, and so many of the key in the pool |
/// | [`max_idle_per_key`](super::KeyedPoolBuilder::max_idle_per_key), [`min_idle`](super::KeyedPoolBuilder::min_idle) | none: all that is released stays idle until bytes are short, and all of it may go then |
/// | [`idle_ttl`](super::KeyedPoolBuilder::idle_ttl), [`soft_idle_ttl`](super::KeyedPoolBuilder::soft_idle_ttl), [`max_lifetime`](super::KeyedPoolBuilder::max_lifetime) | none: its objects never expire |
/// | idle objects within reach of others | not those that an explicit [`Cache`](crate::Cache) of it has: no eviction, lowered limit, pressure or `close` reaches them until it is flushed, used after the close, or dropped |
/// | what is evicted is free or idle at every moment | for the few instructions in which an object goes it is neither: who is refused just then may find that it would have fitted |
/// | quarantine ([`Lease::release_at`](crate::Lease::release_at)) | none |
/// | observer, [`watch_leaks`](super::KeyedPoolBuilder::watch_leaks) | hear nothing of it |
/// | [`evict_cheapest_of`](super::KeyedPoolBuilder::evict_cheapest_of), exact LRU | one age for all its objects, that of the last release, and the highest slot goes first; see [`build_arc`](SharedPoolBuilder::build_arc) |
/// | [`stats`](KeyedPool::stats), [`key_stats`](KeyedPool::key_stats), [`keys`](KeyedPool::keys) | not in them: it has [`stats`](SharedPool::stats) of its own |
/// | [`prewarm`](KeyedPool::prewarm), [`trim`](KeyedPool::trim), [`retain`](KeyedPool::retain), [`evict_to`](KeyedPool::evict_to) | not touched by them: it has the first three by itself |
pub type KeyClass<K, F, L, R, C, O> =
    SharedPool<OfKey<SharedKeyedPool<K, F, L, R, C, O>, K>, OfKey<SharedKeyedPool<K, F, L, R, C, O>, K>>;

/// What makes and resets the objects of one key: the pool's own factory and resetter.
pub struct OfKey<P, K> {
    pool: Arc<P>,
    key: K,
}

impl<P, K> OfKey<P, K> {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &K {
        &self.key
    }
}

impl<P, K: fmt::Debug> fmt::Debug for OfKey<P, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfKey").field("key", &self.key).finish_non_exhaustive()
    }
}

impl<K, F, L, R, C, O> Factory for OfKey<SharedKeyedPool<K, F, L, R, C, O>, K>
where
    F: Factory<K>,
    L: lock_api::RawMutex,
{
    type Object = F::Object;
    type Error = F::Error;

    fn create(&self, (): &()) -> Result<F::Object, F::Error> {
        self.pool.factory.create(&self.key)
    }

    fn estimate(&self, (): &()) -> usize {
        self.pool.factory.estimate(&self.key)
    }

    fn measure(&self, object: &F::Object) -> usize {
        self.pool.factory.measure(object)
    }
}

impl<K, F, L, R, C, O> Resetter<F::Object> for OfKey<SharedKeyedPool<K, F, L, R, C, O>, K>
where
    F: Factory<K>,
    L: lock_api::RawMutex,
    R: Resetter<F::Object>,
{
    #[inline(always)]
    fn may_panic() -> bool {
        R::may_panic()
    }

    #[inline]
    fn reset(&self, object: &mut F::Object) -> Verdict {
        self.pool.resetter.reset(object)
    }
}

/// The classes that were made, as long as somebody has a handle.
pub(super) struct Classes<K> {
    made: Numbered<(K, Weak<dyn AnyClass>)>,
    /// The one that was maintained last.
    maintained: u64,
}

impl<K> Classes<K> {
    pub(super) const fn new() -> Self {
        Self { made: Numbered::new(), maintained: 0 }
    }

    /// The class that is there for this key. There is one at most: who adds one takes those out that are dead.
    fn living(&self, key: &K) -> Option<Arc<dyn AnyClass>>
    where
        K: Eq,
    {
        self.made.after(0).find(|(_, (other, _))| other == key)?.1.1.upgrade()
    }

    /// Adds one; those that are dead, to be dropped when nothing is locked.
    fn add(&mut self, key: K, class: Weak<dyn AnyClass>) -> Vec<(K, Weak<dyn AnyClass>)> {
        let dead: Vec<u64> = self
            .made
            .after(0)
            .filter(|(_, (_, class))| class.strong_count() == 0)
            .map(|(number, _)| number)
            .collect();
        let number = self.made.next_number();
        self.made.insert(number, (key, class));
        dead.into_iter().filter_map(|number| self.made.remove(number)).collect()
    }

    /// The next to be maintained, if it is still there. After the last comes the first.
    fn next(&mut self) -> Option<Arc<dyn AnyClass>> {
        let (number, (_, class)) = self.made.after(self.maintained).chain(self.made.after(0)).next()?;
        self.maintained = number;
        class.upgrade()
    }
}

/// A class of whatever type; a pool that named the type would have a type without end.
pub(super) trait AnyClass: Any + Send + Sync {
    fn close(&self);
    fn maintain(&self, left: &mut WorkLimit) -> usize;
    fn any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

impl<F, R> AnyClass for SharedPool<F, R>
where
    F: Factory<Object: Send> + Send + Sync + 'static,
    R: Resetter<F::Object> + Send + Sync + 'static,
{
    fn close(&self) {
        self.close();
    }

    fn maintain(&self, left: &mut WorkLimit) -> usize {
        self.maintain_within(left)
    }

    fn any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

impl<K, F, L, R, C, O> KeyedPool<K, F, R, C, Locked<L>, O>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    F: Factory<K, Object: Send> + Send + Sync + 'static,
    L: lock_api::RawMutex + Send + Sync + 'static,
    R: Resetter<F::Object> + Send + Sync + 'static,
    C: Clock + Send + Sync + 'static,
    O: Observer<K> + Send + Sync + 'static,
{
    /// Resolves `key` to a class: a [`SharedPool`] for that key alone, of which all callers with the same key share one.
    ///
    /// Its objects are made by this pool's factory, reset by its resetter and charged to its account, and where bytes are
    /// short they are evicted as this pool's are. Resolve it once, off the thread that may not wait, and
    /// [`prewarm`](SharedPool::prewarm) it; then its `try_acquire`, release and caches neither lock nor allocate.
    ///
    /// The class lives as long as a handle to it. Its objects are beside those that [`acquire`](Self::acquire) hands out, and
    /// most bounds and options of this pool are not for them: [`KeyClass`] lists which.
    ///
    /// O(classes that are alive), under the pool's lock.
    pub fn class(self: &Arc<Self>, key: &K) -> Arc<KeyClass<K, F, L, R, C, O>> {
        if let Some(class) = self.living_class(key) {
            return class;
        }
        let of_key = || OfKey { pool: Arc::clone(self), key: key.clone() };
        let mut builder = SharedPoolBuilder::new(of_key())
            .resetter(of_key())
            .max_objects(self.limits.max_per_key)
            .max_retained_bytes(self.limits.max_retained_bytes());
        if let Some(account) = &self.account {
            builder = builder.account(account.clone());
        }
        let class = builder.build_arc();
        let erased: Arc<dyn AnyClass> = Arc::clone(&class) as _;
        let own_key = key.clone();
        // Another thread may have made one in the meantime; then that is the one.
        let lost = {
            let mut classes = self.classes.lock();
            match classes.living(key) {
                Some(winner) => Err(winner),
                None => Ok(classes.add(own_key, Arc::downgrade(&erased))),
            }
        };
        drop(erased);
        match lost {
            Ok(dead) => drop(dead),
            Err(winner) => {
                if let Ok(winner) = winner.any().downcast() {
                    // Before the other is on its way out, for an event may be due, and its handler may panic.
                    drop(class);
                    return winner;
                }
            }
        }
        if self.is_closed() {
            class.close();
        }
        class
    }

    fn living_class(&self, key: &K) -> Option<Arc<KeyClass<K, F, L, R, C, O>>> {
        let class = self.classes.lock().living(key)?;
        class.any().downcast().ok()
    }
}

impl<K, F, R, C, S, O, M> KeyedPool<K, F, R, C, S, O, M>
where
    F: Factory<K>,
    S: Storage,
    M: Mode,
{
    /// The classes that are alive.
    fn living_classes(&self) -> Vec<Arc<dyn AnyClass>> {
        self.classes.lock().made.after(0).filter_map(|(_, (_, class))| class.upgrade()).collect()
    }

    pub(super) fn close_classes(&self) {
        for class in self.living_classes() {
            class.close();
        }
    }

    /// Maintains the classes: at most so many objects of all, and as many bytes as are left. How many it destroyed. It looks at as
    /// many classes as objects, and the next time goes on behind them.
    pub(super) fn maintain_classes(&self, objects: usize, bytes: &mut usize) -> usize {
        let mut left = WorkLimit { objects, bytes: *bytes };
        let mut destroyed = 0;
        let count = self.classes.lock().made.len();
        for _ in 0..count.min(objects) {
            if left.is_reached() {
                break;
            }
            // Not locked while it is maintained.
            let next = self.classes.lock().next();
            destroyed += next.map_or(0, |class| class.maintain(&mut left));
        }
        *bytes = left.bytes;
        destroyed
    }
}
