//! Models of keyed pools for threads: of what happens between two steps, for each step has the lock.

use super::Object;
use lock_api::GuardNoSend;
use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicBool;
use loom::sync::{Mutex, MutexGuard};
use loom::thread;
use pool_core::{Account, AcquireError, Factory, KeyedPoolBuilder, SharedKeyedPool};
use std::convert::Infallible;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

/// Loom's mutex. It cannot be made at compile time, as `INIT` is; the first who locks makes it.
struct Turn {
    mutex: OnceLock<Mutex<()>>,
    /// Touched after each unlocking: loom lets another thread go on only where something of its own is used, and what is
    /// done just after a step must not seem to be part of it.
    after: OnceLock<AtomicBool>,
    /// Of whoever has the lock.
    guard: std::cell::UnsafeCell<Option<MutexGuard<'static, ()>>>,
}

// SAFETY: the guard is touched by who has the lock, and by nobody else.
unsafe impl Send for Turn {}
// SAFETY: as above.
unsafe impl Sync for Turn {}

// SAFETY: who locked has the guard of a mutex until it unlocks.
unsafe impl lock_api::RawMutex for Turn {
    #[allow(clippy::declare_interior_mutable_const, reason = "so it is in the trait")]
    const INIT: Self =
        Self { mutex: OnceLock::new(), after: OnceLock::new(), guard: std::cell::UnsafeCell::new(None) };
    type GuardMarker = GuardNoSend;

    fn lock(&self) {
        let guard = self.mutex.get_or_init(|| Mutex::new(())).lock().unwrap();
        // SAFETY: the mutex is where this is, and the guard is gone before it, for lock_api's guards borrow this.
        let guard = unsafe { std::mem::transmute::<MutexGuard<'_, ()>, MutexGuard<'static, ()>>(guard) };
        // SAFETY: this has the lock.
        unsafe { *self.guard.get() = Some(guard) };
    }

    fn try_lock(&self) -> bool {
        panic!("the pool waits for its lock, and tries nothing")
    }

    unsafe fn unlock(&self) {
        // SAFETY: the caller has the lock.
        let guard = unsafe { (*self.guard.get()).take() };
        drop(guard);
        self.after.get_or_init(|| AtomicBool::new(false)).store(true, Relaxed);
    }
}

/// Makes objects of ten bytes.
#[derive(Default)]
struct Tens {
    /// Those that have ended, by number.
    ended: Arc<[std::sync::atomic::AtomicBool; 4]>,
    made: std::sync::atomic::AtomicUsize,
}

/// An object that knows whether it has ended: what is left of it in memory looks the same.
struct Numbered {
    object: Object,
    number: usize,
    ended: Arc<[std::sync::atomic::AtomicBool; 4]>,
}

impl Numbered {
    fn touch(&self) -> u32 {
        assert!(!self.ended[self.number].load(Relaxed), "used after its end");
        self.object.touch()
    }
}

impl Drop for Numbered {
    fn drop(&mut self) {
        assert!(!self.ended[self.number].swap(true, Relaxed), "ends twice");
    }
}

impl Factory<u8> for Tens {
    type Object = Numbered;
    type Error = Infallible;
    fn create(&self, _: &u8) -> Result<Numbered, Infallible> {
        let number = self.made.fetch_add(1, Relaxed);
        Ok(Numbered { object: Object(UnsafeCell::new(0)), number, ended: Arc::clone(&self.ended) })
    }
    fn estimate(&self, _: &u8) -> usize {
        10
    }
    fn measure(&self, _: &Numbered) -> usize {
        10
    }
}

type Pool = SharedKeyedPool<u8, Tens, Turn>;

fn pool(account: &Account) -> Arc<Pool> {
    KeyedPoolBuilder::new(Tens::default()).account(account.clone()).build_shared::<Turn>()
}

/// Takes an object of a key and uses it; whether there was room.
fn try_use(pool: &Pool, key: u8) -> bool {
    match pool.acquire(&key) {
        Ok(object) => object.touch() > 0,
        Err(AcquireError::OverBudget(refusal)) => {
            assert_eq!(refusal.requested, 10);
            false
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[track_caller]
fn check(pool: &Pool, account: &Account) {
    let stats = pool.stats();
    assert_eq!(stats.created, stats.idle as u64 + stats.destroyed, "{stats:?}");
    assert!(account.peak() <= account.hard_limit());
    pool.retain(|_, object| object.touch() > 0);
}

// Bytes that are free or idle at every moment, and found neither free nor idle by who looks at the account and then at the pools.
#[test]
fn evict_against_admission() {
    loom::model(|| {
        let account = Account::new("all", 10);
        let (full, asking) = (pool(&account), pool(&account));
        full.prewarm(&1, 1).unwrap();
        let theirs = Arc::clone(&full);
        let other = thread::spawn(move || theirs.trim(0));
        assert!(try_use(&asking, 2), "there was room all the time");
        other.join().unwrap();
        check(&full, &account);
        check(&asking, &account);
        drop((full, asking));
        assert_eq!(account.used(), 0);
    });
}

// An idle object that one thread takes and the other evicts: used by one and destroyed by the other, or its bytes counted
// twice, or not at all.
#[test]
fn evict_against_acquire() {
    loom::model(|| {
        let account = Account::new("all", 10);
        let pool = pool(&account);
        pool.prewarm(&1, 1).unwrap();
        let theirs = Arc::clone(&pool);
        let other = thread::spawn(move || try_use(&theirs, 2));
        let mine = try_use(&pool, 1);
        let theirs = other.join().unwrap();
        assert!(mine || theirs, "one of them came first");
        check(&pool, &account);
        assert_eq!(account.used(), pool.stats().bytes());
        drop(pool);
        assert_eq!(account.used(), 0);
    });
}

// A slot that is vacant before its object was taken out of it: the other thread's new object is destroyed in place of the old.
#[test]
fn discard_against_create() {
    loom::model(|| {
        let account = Account::new("all", 20);
        let pool = pool(&account);
        let lease = pool.acquire_owned(&1).unwrap();
        let other = thread::spawn(move || lease.discard());
        assert!(try_use(&pool, 2));
        other.join().unwrap();
        check(&pool, &account);
        drop(pool);
        assert_eq!(account.used(), 0);
    });
}

// The object of a class that one thread takes, while a miss of the pool wants its bytes.
#[test]
fn a_class_evicted_by_a_miss_while_it_is_acquired_from() {
    loom::model(|| {
        let account = Account::new("all", 10);
        let pool = pool(&account);
        let class = pool.class(&1);
        class.prewarm(1).unwrap();
        let theirs = Arc::clone(&pool);
        let other = thread::spawn(move || try_use(&theirs, 2));
        let mine = class.try_acquire().is_some_and(|object| object.touch() > 0);
        let theirs = other.join().unwrap();
        assert!(mine || theirs, "one of them came first");
        check(&pool, &account);
        assert!(account.used() <= 10);
        drop((class, pool));
        assert_eq!(account.used(), 0);
    });
}
