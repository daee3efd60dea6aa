//! Models of what threads can do to a shared pool at the same time: loom runs each of them in every order that matters.
//!
//! `cargo xtask loom` builds this with `--cfg pool_core_loom`; the code under test is the code that ships, with loom's
//! atomics, groups of two slots and few repetitions. Objects hold a cell that loom watches: two users at once, or one that
//! does not see what the last one wrote, fail the model, whatever the counts say.
#![cfg(pool_core_loom)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "loom/accounts.rs"]
mod accounts;
#[cfg(feature = "lock_api")]
#[path = "loom/keyed.rs"]
mod keyed;

use loom::cell::UnsafeCell;
use loom::future::block_on;
use loom::thread;
use pool_core::{AcquireError, Factory, Lease, Pool, SharedPool, SharedPoolBuilder, Verdict};
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

/// What the pools hold: how often it was used, where loom sees each access.
struct Object(UnsafeCell<u32>);

impl Object {
    fn touch(&self) -> u32 {
        self.0.with_mut(|uses| {
            // SAFETY: a leased object has one user; that is what loom checks.
            unsafe {
                *uses += 1;
                *uses
            }
        })
    }
}

// SAFETY: loom's cell says no, so that one thinks; objects move from thread to thread, which is what is tested.
unsafe impl Send for Object {}

impl pool_core::Footprint for Object {}

type Make = fn(&()) -> Result<Object, Infallible>;
type Objects = SharedPool<Make>;

fn make(_: &()) -> Result<Object, Infallible> {
    Ok(Object(UnsafeCell::new(0)))
}

fn builder(max_objects: usize) -> SharedPoolBuilder<Make> {
    SharedPoolBuilder::new(make as Make).max_objects(max_objects)
}

/// Without caches of threads, which have models of their own.
fn plain(max_objects: usize) -> Arc<Objects> {
    Arc::new(builder(max_objects).thread_caches(false).build())
}

fn cached(max_objects: usize) -> Arc<Objects> {
    Arc::new(builder(max_objects).build())
}

/// Uses an object twice, if there is one: an acquire makes the thread known to the pool, and what follows goes through the
/// lane that the thread has then.
fn use_through_own_lane(pool: &Arc<Objects>) {
    if let Ok(lease) = pool.acquire() {
        lease.touch();
    }
    if let Some(lease) = pool.try_acquire() {
        lease.touch();
    }
}

fn use_and_release<P>(lease: Lease<P>)
where
    P: std::ops::Deref,
    P::Target: Pool<Object = Object>,
{
    lease.touch();
}

/// Every object is idle again, and has been used by one at a time.
#[track_caller]
fn check<F: Factory<Object = Object>>(pool: &SharedPool<F>, idle: usize) {
    pool.maintain(usize::MAX);
    let stats = pool.stats();
    assert_eq!((stats.leased, stats.idle), (0, idle), "{stats:?}");
    assert_eq!(stats.created, (stats.leased + stats.idle) as u64 + stats.destroyed + stats.detached);
    pool.retain(|object| object.touch() > 0);
}

/// A model in which threads wait for one another by yielding. Loom need not be fair: with two preemptions it lets two of them
/// yield to each other for ever, while the third holds what they wait for. So one, however deep the other models go.
fn with_one_preemption(model: impl Fn() + Sync + Send + 'static) {
    let mut bounded = loom::model::Builder::new();
    bounded.preemption_bound = Some(1);
    bounded.check(model);
}

fn spawn(pool: &Arc<Objects>, run: impl FnOnce(&Arc<Objects>) + 'static) -> thread::JoinHandle<()> {
    let pool = Arc::clone(pool);
    thread::spawn(move || run(&pool))
}

// One idle bit that two threads clear; an object that the second does not see as the first left it.
#[test]
fn two_acquirers() {
    loom::model(|| {
        let pool = plain(2);
        pool.prewarm(2).unwrap();
        let other = spawn(&pool, |pool| use_and_release(pool.try_acquire().unwrap()));
        use_and_release(pool.try_acquire().unwrap());
        other.join().unwrap();
        check(&pool, 2);
    });
}

// A release whose writes the next holder does not see.
#[test]
fn acquire_against_release() {
    loom::model(|| {
        let pool = plain(1);
        let lease = pool.acquire_owned().unwrap();
        let other = thread::spawn(move || use_and_release(lease));
        if let Some(lease) = pool.try_acquire() {
            assert_eq!(lease.touch(), 2);
        }
        other.join().unwrap();
        check(&pool, 1);
    });
}

// "Full" although there was something idle, or room, at every moment: two threads, two objects, one each.
#[test]
fn an_acquire_does_not_fail_while_something_is_idle() {
    loom::model(|| {
        let pool = plain(2);
        pool.prewarm(1).unwrap();
        let other = spawn(&pool, |pool| {
            use_and_release(pool.acquire().unwrap());
        });
        use_and_release(pool.acquire().unwrap());
        other.join().unwrap();
        let made = pool.stats().idle;
        check(&pool, made);
    });
}

// The same over two groups: an object becomes idle behind the back of who looks, while the one in front is taken.
#[test]
fn an_acquire_does_not_fail_while_objects_change_places() {
    loom::model(|| {
        let pool = plain(3);
        pool.prewarm(3).unwrap();
        let first = pool.acquire_owned().unwrap();
        let second = pool.acquire_owned().unwrap();
        // One is idle at every moment: the third, or the first from when it was released.
        let other = spawn(&pool, move |pool| {
            use_and_release(first);
            use_and_release(pool.acquire().unwrap());
        });
        use_and_release(pool.acquire().unwrap());
        other.join().unwrap();
        drop(second);
        check(&pool, 3);
    });
}

// A release on another thread into the group that a cache is of.
#[test]
fn remote_release_into_a_cached_group() {
    loom::model(|| {
        let pool = plain(2);
        pool.prewarm(2).unwrap();
        let cache = pool.cache();
        assert_eq!(cache.fill(2), 2);
        let sent = pool.clone();
        let lease = cache.try_acquire_shared().unwrap();
        // To the other thread as an owned lease: a model's threads outlive what they borrow.
        let id = lease.into_id();
        let other = thread::spawn(move || use_and_release(sent.redeem_owned(id).unwrap()));
        use_and_release(cache.try_acquire().unwrap());
        if let Some(lease) = pool.try_acquire() {
            lease.touch();
        }
        other.join().unwrap();
        drop(cache);
        check(&pool, 2);
    });
}

// Objects that are in two caches, or in none, after one is filled while the other is flushed.
#[test]
fn refill_and_flush() {
    loom::model(|| {
        let pool = plain(2);
        pool.prewarm(2).unwrap();
        let other = spawn(&pool, |pool| {
            let cache = pool.cache();
            if let Some(lease) = cache.try_acquire() {
                lease.touch();
            }
            cache.flush();
        });
        let cache = pool.cache();
        if let Some(lease) = cache.try_acquire() {
            lease.touch();
        }
        drop(cache);
        other.join().unwrap();
        check(&pool, 2);
    });
}

// A batch of returns that is lost, or given back before the last of it was written.
#[test]
fn returns_in_batches() {
    loom::model(|| {
        let pool = plain(2);
        let leases = [pool.acquire_owned().unwrap().into_id(), pool.acquire_owned().unwrap().into_id()];
        let other = spawn(&pool, move |pool| {
            let cache = pool.cache_owned();
            for id in leases {
                let lease = pool.redeem_owned(id).unwrap();
                lease.touch();
                cache.release(lease);
            }
        });
        if let Some(lease) = pool.try_acquire() {
            lease.touch();
        }
        other.join().unwrap();
        check(&pool, 2);
    });
}

// Two threads that make the same chunk, or get the same new slot.
#[test]
fn growth() {
    loom::model(|| {
        let pool = plain(4);
        pool.prewarm(1).unwrap();
        let first = pool.acquire_owned().unwrap();
        let other = spawn(&pool, |pool| {
            let leases = [pool.acquire().unwrap(), pool.acquire().unwrap()];
            assert_ne!(&raw const *leases[0], &raw const *leases[1]);
            leases.iter().for_each(|lease| _ = lease.touch());
        });
        use_and_release(pool.acquire().unwrap());
        other.join().unwrap();
        use_and_release(first);
        let stats = pool.stats();
        assert!(stats.created <= 4, "{stats:?}");
        check(&pool, stats.idle);
    });
}

// A bound that two who create at once pass.
#[test]
fn the_bound_is_exact() {
    loom::model(|| {
        let pool = plain(1);
        let other = spawn(&pool, |pool| {
            if let Ok(lease) = pool.acquire() {
                lease.touch();
            }
        });
        if let Ok(lease) = pool.acquire() {
            lease.touch();
        }
        other.join().unwrap();
        assert_eq!(pool.stats().created, 1);
        check(&pool, 1);
    });
}

// An object that is destroyed while it is leased.
#[test]
fn trim_against_acquire() {
    loom::model(|| {
        let pool = plain(2);
        pool.prewarm(1).unwrap();
        let other = spawn(&pool, |pool| _ = pool.trim(0));
        if let Some(lease) = pool.try_acquire() {
            lease.touch();
        }
        other.join().unwrap();
        let idle = pool.stats().idle;
        assert!(idle <= 1);
        check(&pool, idle);
    });
}

// A summary bit that is cleared although something below has come; then an object that nobody finds.
#[test]
fn what_is_released_into_an_empty_group_is_found() {
    loom::model(|| {
        // Groups of two slots: the third chunk has two groups and a summary.
        let pool = plain(8);
        pool.prewarm(8).unwrap();
        let mut leases: Vec<_> = (0..8).map(|_| pool.try_acquire_owned().unwrap()).collect();
        let one = leases.pop().unwrap();
        let other = thread::spawn(move || use_and_release(one));
        // Clears what it finds empty, while the release marks it.
        if let Some(lease) = pool.try_acquire() {
            lease.touch();
        }
        other.join().unwrap();
        use_and_release(pool.try_acquire().expect("it is idle"));
        drop(leases);
    });
}

// The same for who looks from the other end: an object that nobody trims, evicts, or destroys when the pool is closed.
#[test]
fn what_is_released_into_an_empty_group_is_found_from_above() {
    loom::model(|| {
        let pool = plain(8);
        pool.prewarm(8).unwrap();
        let mut leases: Vec<_> = (0..8).map(|_| pool.try_acquire_owned().unwrap()).collect();
        let one = leases.pop().unwrap();
        let other = thread::spawn(move || use_and_release(one));
        let gone = pool.trim(0);
        other.join().unwrap();
        assert_eq!(gone + pool.trim(0), 1);
        drop(leases);
    });
}

// The last handle of a pool that goes while a lease is being released.
#[test]
fn an_owned_lease_outlives_the_pool() {
    loom::model(|| {
        let pool = plain(1);
        let lease = pool.acquire_owned().unwrap();
        let other = thread::spawn(move || use_and_release(lease));
        drop(pool);
        other.join().unwrap();
    });
}

// An object that a closed pool keeps as idle.
#[test]
fn close_against_release() {
    loom::model(|| {
        let pool = plain(1);
        let lease = pool.acquire_owned().unwrap();
        let other = thread::spawn(move || use_and_release(lease));
        pool.close();
        other.join().unwrap();
        assert!(pool.try_acquire().is_none());
        pool.maintain(usize::MAX);
        let stats = pool.stats();
        assert_eq!((stats.idle, stats.destroyed), (0, 1), "{stats:?}");
    });
}

// A token that two threads turn into a lease.
#[test]
fn a_token_is_redeemed_once() {
    loom::model(|| {
        let pool = plain(1);
        let lease = pool.acquire_owned().unwrap();
        lease.touch();
        let id = lease.into_id();
        let other = spawn(&pool, move |pool| {
            if let Ok(lease) = pool.redeem(id) {
                lease.touch();
            }
        });
        if let Ok(lease) = pool.redeem(id) {
            lease.touch();
        }
        other.join().unwrap();
        check(&pool, 1);
    });
}

// An object that is destroyed twice, or whose last use the destructor does not see.
#[test]
fn doomed_objects_are_destroyed_once() {
    loom::model(|| {
        let spent = |object: &mut Object| {
            object.touch();
            Verdict::Discard
        };
        let pool = Arc::new(builder(2).resetter(spent).thread_caches(false).build());
        let lease = pool.acquire_owned().unwrap();
        let other = thread::spawn(move || {
            lease.touch();
        });
        pool.maintain(usize::MAX);
        other.join().unwrap();
        pool.maintain(usize::MAX);
        assert_eq!(pool.stats().discarded, 1);
    });
}

// A wake-up that is lost between a release and who begins to wait: the model would not end.
#[test]
fn a_waiting_acquire_is_woken_by_a_release() {
    loom::model(|| {
        let pool = plain(1);
        let lease = pool.acquire_owned().unwrap();
        let other = thread::spawn(move || use_and_release(lease));
        use_and_release(block_on(pool.acquire_async()).unwrap());
        other.join().unwrap();
        check(&pool, 1);
    });
}

// The same when room is made, and nothing is released.
#[test]
fn a_waiting_acquire_is_woken_by_a_discard() {
    loom::model(|| {
        let pool = plain(1);
        let lease = pool.acquire_owned().unwrap();
        let other = thread::spawn(move || lease.discard());
        use_and_release(block_on(pool.acquire_async()).unwrap());
        other.join().unwrap();
        check(&pool, 1);
    });
}

// The same when the pool is closed.
#[test]
fn a_waiting_acquire_is_woken_by_close() {
    loom::model(|| {
        let pool = plain(1);
        let lease = pool.acquire_owned().unwrap();
        let other = spawn(&pool, |pool| pool.close());
        assert!(matches!(block_on(pool.acquire_async()), Err(AcquireError::Closed)));
        other.join().unwrap();
        drop(lease);
    });
}

// A wake-up that goes to one who stops waiting, and is not passed on.
#[test]
fn a_wake_up_is_passed_on() {
    // Three threads: both waiters can find the queue locked by the thread that was preempted.
    with_one_preemption(|| {
        let pool = plain(1);
        let lease = pool.acquire_owned().unwrap();
        let waiter = spawn(&pool, |pool| {
            let mut given_up = pin!(pool.acquire_async());
            let polled = given_up.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            drop(polled);
        });
        let other = thread::spawn(move || use_and_release(lease));
        use_and_release(block_on(pool.acquire_async()).unwrap());
        waiter.join().unwrap();
        other.join().unwrap();
        check(&pool, 1);
    });
}

// The same with the release before the giving up: two threads, and so no preemption is needed to see it.
#[test]
fn who_gives_up_passes_on_the_wake_up_it_got() {
    loom::model(|| {
        let pool = plain(1);
        let lease = pool.acquire_owned().unwrap();
        let mut given_up = Box::pin(pool.acquire_async());
        let polled = given_up.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        drop(polled);
        let waiter = spawn(&pool, |pool| use_and_release(block_on(pool.acquire_async()).unwrap()));
        drop(lease);
        drop(given_up);
        waiter.join().unwrap();
        check(&pool, 1);
    });
}

// An object in the lane of a thread that both its owner and who empties the lane take.
#[test]
fn emptying_the_lane_of_another_thread() {
    with_one_preemption(|| {
        let pool = cached(1);
        pool.prewarm(1).unwrap();
        let other = spawn(&pool, use_through_own_lane);
        if let Ok(lease) = pool.acquire() {
            lease.touch();
        }
        other.join().unwrap();
        assert_eq!(pool.stats().created, 1);
        use_and_release(pool.acquire().unwrap());
        check(&pool, 1);
    });
}

// A wake-up that is lost because the release went into the thread's own lane.
#[test]
fn a_waiting_acquire_gets_what_a_thread_would_keep() {
    with_one_preemption(|| {
        let pool = cached(1);
        pool.prewarm(1).unwrap();
        let other = spawn(&pool, use_through_own_lane);
        // The other may begin, which is no preemption then.
        thread::yield_now();
        use_and_release(block_on(pool.acquire_async()).unwrap());
        other.join().unwrap();
        check(&pool, 1);
    });
}

// What a thread kept that has ended, taken twice or by nobody.
#[test]
fn what_an_ended_thread_kept_is_found() {
    with_one_preemption(|| {
        let pool = cached(2);
        pool.prewarm(1).unwrap();
        let other = spawn(&pool, use_through_own_lane);
        if let Some(lease) = pool.try_acquire() {
            lease.touch();
        }
        other.join().unwrap();
        use_and_release(pool.acquire().unwrap());
        let idle = pool.stats().idle;
        check(&pool, idle);
    });
}
