//! What only pools for many threads promise: caches, waiting, hand-over, and threads that come, go, idle and die.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use pool_core::{Account, AcquireError, Cache, Pool, ReleaseError, SharedPool, StaticPool, Verdict};
use std::convert::Infallible;
use std::future::Future;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for anything that happens at all.
const SOON: Duration = Duration::from_secs(30);
const MIRI: bool = cfg!(miri);

type Make = fn(&()) -> Result<u64, Infallible>;

fn zero(_: &()) -> Result<u64, Infallible> {
    Ok(0)
}

fn pool(max_objects: usize) -> SharedPool<Make> {
    SharedPool::builder(zero as Make).max_objects(max_objects).build()
}

#[track_caller]
fn check<P: Pool>(pool: &P, leased: usize, idle: usize) {
    let stats = pool.stats();
    assert_eq!((stats.leased, stats.idle), (leased, idle), "{stats:?}");
    assert_eq!(stats.created, (leased + idle) as u64 + stats.destroyed + stats.detached, "{stats:?}");
}

// Threads' own caches.

// An object that a thread keeps for itself while it idles, and that others then have to make anew or do without.
#[test]
fn what_an_idle_thread_keeps_comes_back() {
    let pool = pool(1);
    let (done, wait) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..3 {
                *pool.acquire().unwrap() += 1;
            }
            done.wait();
            wait.wait(); // alive, and busy with something else
        });
        done.wait();
        check(&pool, 0, 1);
        assert_eq!(*pool.acquire().unwrap(), 3);
        wait.wait();
    });
    assert_eq!(pool.stats().created, 1);
}

// The same for a thread that has ended: here even `try_acquire` finds it.
#[test]
fn what_an_ended_thread_kept_comes_back() {
    let pool = pool(1);
    thread::scope(|scope| {
        scope.spawn(|| (0..3).for_each(|_| *pool.acquire().unwrap() += 1)).join().unwrap();
    });
    check(&pool, 0, 1);
    assert_eq!(*pool.try_acquire().unwrap(), 3);
}

// Objects that pile up with a thread that only releases, while one that only acquires has new ones made.
#[test]
fn handing_over_piles_up_nothing() {
    let rounds = if MIRI { 50 } else { 10_000 };
    let pool = Arc::new(pool(usize::MAX));
    let (sender, receiver) = mpsc::sync_channel(4);
    let producer = Arc::clone(&pool);
    let producer = thread::spawn(move || {
        for _ in 0..rounds {
            sender.send(producer.acquire_owned().unwrap()).unwrap();
        }
    });
    let mut held = 0;
    for lease in receiver {
        drop(lease);
        held += 1;
    }
    producer.join().unwrap();
    let stats = pool.stats();
    // Four in the channel, one at either end, and what was on its way back at a bad moment.
    assert!(held == rounds && stats.leased == 0 && stats.created <= 40, "{stats:?}");
}

// A lane, an object or a thread-local that each thread leaves behind.
#[test]
fn ten_thousand_threads_come_and_go() {
    let threads = if MIRI { 20 } else { 10_000 };
    let account = Account::new("threads", 8 * 8);
    let pool = SharedPool::builder(zero as Make).account(account.clone()).max_objects(8).build();
    for _ in 0..threads / 4 {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let cache = pool.cache();
                    drop((cache.acquire().unwrap(), pool.acquire().unwrap()));
                });
            }
        });
    }
    let stats = pool.stats();
    assert!(stats.leased == 0 && stats.created <= 8, "{stats:?}");
    assert_eq!(account.used(), stats.idle * 8);
    drop(pool);
    assert_eq!(account.used(), 0);
}

// A pool that goes while threads have lanes of it, and a later pool that is taken for it.
#[test]
fn pools_come_and_go_under_a_thread() {
    for _ in 0..if MIRI { 2 } else { 100 } {
        let pools: Vec<_> = (0..20).map(|_| pool(2)).collect();
        for pool in pools.iter().chain(&pools) {
            *pool.acquire().unwrap() += 1;
        }
        pools.iter().for_each(|pool| check(pool, 0, 1));
        assert!(pools.iter().all(|pool| *pool.acquire().unwrap() == 2));
    }
}

// A lane that is used after its thread has begun to end: in another thread-local's destructor.
#[test]
fn a_thread_local_may_release_at_the_end_of_its_thread() {
    thread_local! {
        static LAST: std::cell::RefCell<Option<pool_core::Lease<Arc<SharedPool<Make>>>>> =
            const { std::cell::RefCell::new(None) };
    }
    let pool = Arc::new(pool(2));
    let shared = Arc::clone(&pool);
    thread::spawn(move || {
        LAST.with(|last| *last.borrow_mut() = Some(shared.acquire_owned().unwrap()));
        drop(shared.acquire().unwrap());
        drop(shared.acquire().unwrap());
    })
    .join()
    .unwrap();
    check(&*pool, 0, 2);
}

// Too many objects, or "full" although one was idle, when all threads want one at a time and there are as many.
#[test]
fn the_bound_holds_exactly_for_many_threads() {
    let (threads, rounds) = if MIRI { (3, 20) } else { (8, 5_000) };
    for caches in [true, false] {
        let pool = SharedPool::builder(zero as Make).max_objects(threads).thread_caches(caches).build();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..rounds {
                        *pool.acquire().expect("one for each thread") += 1;
                    }
                });
            }
        });
        let stats = pool.stats();
        assert!(stats.created <= threads as u64 && stats.leased == 0, "{stats:?}");
        let mut uses = 0;
        pool.retain(|object| (uses += object, true).1);
        assert_eq!(uses as usize, threads * rounds, "an update was lost: two had one object");
    }
}

// A lease, a cache and what they hold, lost when their thread panics.
#[test]
fn a_thread_that_panics_gives_everything_back() {
    let pool = pool(4);
    pool.prewarm(4).unwrap();
    thread::scope(|scope| {
        let died = scope.spawn(|| {
            let cache = pool.cache();
            let _leases = (cache.acquire().unwrap(), pool.acquire().unwrap());
            resume_unwind(Box::new("on purpose"));
        });
        assert!(died.join().is_err());
    });
    check(&pool, 0, 4);
    let leases: Vec<_> = (0..4).map(|_| pool.acquire().unwrap()).collect();
    drop(leases);
}

// A leaked lease or cache that costs more than what it held, or is not counted.
#[test]
fn leaks_are_bounded_and_counted() {
    let account = Account::new("leaks", 1000);
    let pool = SharedPool::builder(zero as Make).account(account.clone()).max_objects(4).build();
    std::mem::forget(pool.acquire().unwrap());
    check(&pool, 1, 0);
    let cache = pool.cache();
    drop(cache.acquire().unwrap());
    assert_eq!(cache.idle(), 1);
    std::mem::forget(cache);
    check(&pool, 1, 1);
    let rest = [pool.acquire().unwrap(), pool.acquire().unwrap()];
    assert_eq!(
        pool.acquire().map(drop),
        Err(AcquireError::Exhausted { leased: 3, max_objects: 4 }),
        "what the leaked cache holds is nobody else's"
    );
    drop(rest);
    drop(pool);
    assert_eq!(account.used(), 0);
}

// Caches.

// A cache that takes all there is, so that the next thread finds nothing.
#[test]
fn a_cache_leaves_some_for_others() {
    let pool = SharedPool::builder(zero as Make).max_objects(8).thread_caches(false).build();
    pool.prewarm(8).unwrap();
    let (one, two) = (pool.cache(), pool.cache());
    let (first, second) = (one.try_acquire().unwrap(), two.try_acquire().unwrap());
    assert_eq!((one.idle(), two.idle()), (3, 1));
    assert!(pool.try_acquire().is_some());
    drop((first, second));
    check(&pool, 0, 8);
    assert_eq!(one.fill(usize::MAX), 6, "what it had, and the two that are left");
    assert!(pool.try_acquire().is_none());
    one.flush();
    assert_eq!(one.idle(), 0);
    drop((one, two));
    check(&pool, 0, 8);
}

// A return that is lost between two caches, or that goes to the wrong pool.
#[test]
fn a_cache_gives_back_what_others_acquired() {
    let (pool, other) = (pool(200), pool(1));
    let (out, back) = (pool.cache(), pool.cache());
    for _ in 0..3 {
        let leases: Vec<_> = (0..150).map(|_| out.acquire_shared().unwrap()).collect();
        check(&pool, 150, pool.stats().idle);
        leases.into_iter().for_each(|lease| back.release(lease));
        assert!(back.idle() < 32, "keeps {}", back.idle());
    }
    let made = pool.stats().created as usize;
    assert!(made < 150 + 32, "made {made}: what one cache keeps is not made twice");
    back.flush();
    out.flush();
    check(&pool, 0, made);
    let foreign = other.acquire().unwrap();
    back.release(foreign);
    check(&other, 0, 1);
}

// A cache of a closed pool that goes on giving, or keeps what should be destroyed.
#[test]
fn a_cache_of_a_closed_pool_gives_nothing() {
    let pool = pool(4);
    let cache = pool.cache();
    let lease = cache.acquire().unwrap();
    drop(cache.acquire().unwrap());
    pool.close();
    assert!(cache.try_acquire().is_none());
    assert!(matches!(cache.acquire().map(drop), Err(AcquireError::Closed)));
    drop(lease);
    assert_eq!(cache.idle(), 0);
    pool.maintain(usize::MAX);
    check(&pool, 0, 0);
    assert_eq!(pool.stats().destroyed, 2);
}

// Reset, discard, detach and tokens of a lease that came through a cache.
#[test]
fn a_lease_of_a_cache_is_a_lease() {
    let odd = |object: &mut u64| if *object % 2 == 1 { Verdict::Discard } else { Verdict::Keep };
    let pool = SharedPool::builder(zero as Make).resetter(odd).max_objects(3).build();
    let cache = pool.cache();
    *cache.acquire().unwrap() += 2;
    *cache.acquire().unwrap() += 1;
    check(&pool, 0, 1); // doomed
    assert_eq!((pool.maintain(9), pool.stats().discarded), (1, 1));
    cache.acquire().unwrap().discard();
    assert_eq!(cache.acquire().unwrap().detach(), 0);
    let id = cache.acquire().unwrap().into_id();
    assert!(pool.release(id).is_ok());
    assert!(matches!(pool.release(id), Err(ReleaseError::Stale { .. })));
    check(&pool, 0, 1);
    assert_eq!(Cache::pool(&cache).stats().detached, 1);
}

// A cache beyond those that a pool without allocator has room for.
#[test]
fn a_static_pool_has_caches_beyond_its_lanes() {
    static POOL: StaticPool<Make, 16> = StaticPool::const_new(zero);
    POOL.prewarm(16).unwrap();
    let caches: Vec<_> = (0..6).map(|_| POOL.cache()).collect();
    for cache in &caches {
        *cache.acquire().unwrap() += 1;
    }
    assert_eq!((caches[3].idle(), caches[5].idle()), (1, 0));
    drop(caches);
    check(&POOL, 0, 16);
    let cache = POOL.cache();
    drop(cache.acquire());
    assert!(cache.idle() > 0, "a lane is free again");
}

// A pool in a `static` that is not usable before something ran, or whose leases are not `'static`.
#[test]
fn a_static_pool_is_used_from_many_threads() {
    fn counted(object: &mut u64) -> Verdict {
        *object += 1;
        Verdict::Keep
    }
    static POOL: StaticPool<Make, 3, fn(&mut u64) -> Verdict> =
        StaticPool::const_with_resetter(zero, counted);
    let lease = POOL.acquire().unwrap();
    thread::spawn(move || drop(lease)).join().unwrap();
    let rounds = if MIRI { 10 } else { 1000 };
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..rounds).for_each(|_| drop(POOL.acquire().unwrap())));
        }
    });
    let mut resets = 0;
    POOL.retain(|object| (resets += object, true).1);
    assert_eq!(resets, 3 * rounds + 1);
}

// A cache without lane that hides what was released through it from itself.
#[test]
fn a_cache_without_a_lane_finds_what_it_released() {
    static POOL: StaticPool<Make, 4> = StaticPool::const_new(zero);
    let mut caches: Vec<_> = (0..5).map(|_| POOL.cache()).collect();
    let last = caches.pop().unwrap();
    caches.pop(); // a lane is free again
    let leases: Vec<_> = (0..4).map(|_| POOL.acquire().unwrap()).collect();
    leases.into_iter().for_each(|lease| last.release(lease));
    let again: Vec<_> = (0..4).map(|_| last.acquire().unwrap()).collect();
    assert_eq!((again.len(), POOL.stats().created), (4, 4));
}

// Filling that gives up more than it gets.
#[test]
fn filling_never_leaves_less() {
    let pool = SharedPool::builder(zero as Make).thread_caches(false).build();
    pool.prewarm(65).unwrap();
    let cache = pool.cache();
    let mut held = 0;
    for count in 1..70 {
        let now = cache.fill(count);
        assert!(now >= held && now <= count.max(held), "{now} after {held}, asked for {count}");
        held = now;
    }
    assert_eq!(held, usize::BITS as usize, "a group");
    drop(cache);
    check(&pool, 0, 65);
}

// A batch that a cache takes while somebody waits for one of it.
#[test]
fn a_cache_takes_no_batch_while_somebody_waits() {
    let pool = SharedPool::builder(zero as Make).max_objects(600).thread_caches(false).build();
    let mut leases: Vec<_> = (0..600).map(|_| pool.acquire().unwrap()).collect();
    let mut waits = pin!(pool.acquire_async());
    let mut context = Context::from_waker(Waker::noop());
    assert!(waits.as_mut().poll(&mut context).is_pending());
    leases.truncate(592);
    let cache = pool.cache();
    let one = cache.try_acquire_shared().unwrap();
    assert_eq!(cache.idle(), 0);
    assert!(waits.as_mut().poll(&mut context).is_ready());
    drop(one);
}

// Counts that tell of leases and misses that never were.
#[test]
fn peak_and_misses_are_those_of_acquires() {
    let pool = SharedPool::builder(zero as Make).max_objects(10).thread_caches(false).build();
    pool.prewarm(8).unwrap();
    let cache = pool.cache();
    assert_eq!(cache.fill(8), 8);
    drop(pool.acquire().unwrap());
    assert_eq!((pool.stats().peak_leased, pool.stats().misses), (1, 1));
    drop(cache);
    let leases: Vec<_> = (0..10).map(|_| pool.acquire().unwrap()).collect();
    let before = pool.stats().misses;
    let mut waits = pin!(pool.acquire_async());
    for _ in 0..3 {
        assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    drop(leases);
    assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    assert_eq!((before, pool.stats().misses), (2, 2), "who waits and is served has not missed");
}

// Trimming that begins anew for each object: ten times as many would take a hundred times as long.
#[test]
#[cfg_attr(miri, ignore = "it is about time")]
fn trimming_takes_the_same_time_for_each_object() {
    let time = |objects: usize| {
        let pool = pool(usize::MAX);
        pool.prewarm(objects).unwrap();
        let start = Instant::now();
        assert_eq!(pool.trim(0), objects);
        start.elapsed().as_secs_f64() / objects as f64
    };
    // The fastest of three, for the machine may have other work.
    let best = |objects| (0..3).map(|_| time(objects)).fold(f64::MAX, f64::min);
    let (few, many) = (best(10_000), best(200_000));
    assert!(many < 6.0 * few, "{many} s an object, {few} s with fewer");
}

// Pressure.

/// A pool of objects of ten bytes, without threads' caches.
fn tens(account: &Account) -> SharedPool<fn(&()) -> Result<Ten, Infallible>> {
    fn ten(_: &()) -> Result<Ten, Infallible> {
        Ok(Ten)
    }
    SharedPool::builder(ten as fn(&()) -> _).account(account.clone()).thread_caches(false).build()
}

struct Ten;

impl pool_core::Footprint for Ten {
    fn footprint(&self) -> usize {
        10
    }
}

// Idle objects that stay although memory is gone, those among them that a thread keeps; or more than the limit of work.
#[test]
fn critical_pressure_drops_every_idle_object_within_reach() {
    let account = Account::new("budget", 500);
    let pool = SharedPool::builder(|_: &()| Ok::<_, Infallible>(Ten)).account(account.clone()).build();
    pool.prewarm(9).unwrap();
    let cache = pool.cache();
    assert_eq!(cache.fill(2), 2);
    let ((tell, kept), (end, wait)) = (mpsc::channel(), mpsc::channel::<()>());
    thread::scope(|scope| {
        let (pool, end) = (&pool, end); // which ends the thread, too, if this one panics
        scope.spawn(move || {
            drop((pool.acquire().unwrap(), pool.acquire().unwrap()));
            tell.send(()).unwrap();
            _ = wait.recv();
        });
        kept.recv().unwrap();
        check(pool, 0, 9);
        assert_eq!(pool.maintain(usize::MAX), 0);
        let external = account.charge_external(500).unwrap();
        assert_eq!(pool.maintain(3), 3);
        assert_eq!(pool.maintain(usize::MAX), 4);
        assert_eq!((pool.stats().idle, cache.idle(), account.overcommitted()), (2, 2, 20));
        drop((external, end));
    });
}

// A trim below the watermark, of what was needed a moment ago, or beyond the limit of work.
#[test]
fn moderate_pressure_drops_what_was_spare_since_the_last_maintenance() {
    let account = Account::builder("budget").soft_limit(50).low_watermark(25).build();
    let pool = tens(&account);
    let pairs = |count: usize| (0..count).for_each(|_| drop(pool.acquire().unwrap()));
    pool.prewarm(9).unwrap();
    assert_eq!(pool.maintain(usize::MAX), 0, "none was idle at a last maintenance");
    drop([(); 3].map(|()| pool.acquire().unwrap()));
    assert_eq!(pool.maintain(2), 2);
    pairs(9);
    assert_eq!(pool.maintain(usize::MAX), 0, "as many were taken as there were");
    pairs(5);
    assert_eq!(pool.maintain(usize::MAX), 2);
    assert_eq!(pool.maintain(usize::MAX), 3, "none was needed since, and two fit below the watermark");
    check(&pool, 0, 2);
    assert_eq!((account.used(), pool.maintain(usize::MAX)), (20, 0));
}

// A working set that is measured by traffic alone: what a thread takes again and again out of its own cache is one object.
#[test]
fn moderate_pressure_spares_what_caches_hold_and_not_what_lies_behind() {
    let account = Account::builder("budget").soft_limit(50).low_watermark(0).build();
    let pool = tens(&account);
    pool.prewarm(150).unwrap();
    let cache = pool.cache();
    let pairs = || (0..1000).for_each(|_| drop(cache.acquire().unwrap()));
    pairs();
    let stashed = cache.idle();
    assert_eq!(pool.maintain(usize::MAX), 0);
    pairs();
    assert_eq!(pool.maintain(usize::MAX), 150 - stashed);
    assert_eq!((pool.stats().idle, cache.idle()), (stashed, stashed));
    // What a cache takes out at once was not spare.
    cache.flush();
    pool.maintain(0);
    let filled = cache.fill(5);
    assert_eq!(pool.maintain(usize::MAX), stashed - filled);
}

// Waiting.

// Somebody first in the queue who does not care any more, and whose place holds up one with a timeout.
#[test]
fn a_timeout_takes_what_a_forgotten_future_left() {
    let pool = pool(1);
    let lease = pool.acquire().unwrap();
    let mut forgotten = pin!(pool.acquire_async());
    assert!(forgotten.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(lease);
    assert!(pool.acquire_timeout(Duration::from_millis(20)).is_ok());
}

// A waker that panics, and those after it that are never woken.
#[test]
fn close_goes_on_after_a_panicking_waker() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            resume_unwind(Box::new("on purpose"));
        }
    }
    let pool = pool(1);
    let lease = pool.acquire().unwrap();
    let woken = Arc::new(Woken::default());
    let (panics, counts) = (Waker::from(Arc::new(Panics)), Waker::from(Arc::clone(&woken)));
    let (mut one, mut two) = (pin!(pool.acquire_async()), pin!(pool.acquire_async()));
    assert!(one.as_mut().poll(&mut Context::from_waker(&panics)).is_pending());
    assert!(two.as_mut().poll(&mut Context::from_waker(&counts)).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| pool.close())).is_err());
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    drop(lease);
}

// A thread that waits for ever, or not at all; an error without numbers.
#[test]
fn a_timeout_is_an_error_with_numbers() {
    let pool = pool(2);
    let _held = (pool.acquire().unwrap(), pool.acquire().unwrap());
    let start = Instant::now();
    let patience = Duration::from_millis(20);
    match pool.acquire_timeout(patience).map(drop) {
        Err(AcquireError::TimedOut { waited, leased, max_objects }) => {
            assert!(waited >= patience && start.elapsed() >= patience);
            assert_eq!((leased, max_objects), (2, 2));
        }
        other => panic!("{other:?}"),
    }
    let at_once = pool.acquire_timeout(Duration::ZERO).map(drop);
    assert!(matches!(at_once, Err(AcquireError::TimedOut { .. })), "{at_once:?}");
}

// A blocked thread that a release, a discard, a detach, or a thread's own cache does not wake.
#[test]
fn a_blocked_thread_is_woken() {
    let ways: [fn(&SharedPool<Make>); 4] = [
        // With patience: who was woken may have the only object by now.
        |pool| drop(pool.acquire_timeout(SOON).unwrap()),
        |pool| pool.acquire_timeout(SOON).unwrap().discard(),
        |pool| _ = pool.acquire_timeout(SOON).unwrap().detach(),
        |pool| {
            let cache = pool.cache();
            while cache.acquire().map(drop).is_err() {
                thread::yield_now();
            }
        },
    ];
    for way in ways {
        let pool = pool(1);
        let have = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                let lease = pool.acquire().unwrap();
                have.wait();
                thread::sleep(Duration::from_millis(5));
                drop(lease);
                way(&pool);
            });
            have.wait();
            let lease = pool.acquire_timeout(SOON).unwrap();
            // For the other thread, which goes on.
            drop(lease);
        });
    }
}

// Wake-ups that get lost where many wait for few.
#[test]
fn many_that_wait_for_few_are_all_served() {
    let (threads, rounds) = if MIRI { (3, 5) } else { (8, 500) };
    for caches in [true, false] {
        let pool = SharedPool::builder(zero as Make).max_objects(2).thread_caches(caches).build();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..rounds {
                        *pool.acquire_timeout(SOON).unwrap() += 1;
                    }
                });
            }
        });
        let mut uses = 0;
        pool.retain(|object| (uses += object, true).1);
        assert_eq!(uses as usize, threads * rounds);
    }
}

// A change that is lost, an object that is handed out while it is shown or counts as gone meanwhile, and one that is lost when
// the visit breaks, panics or closes the pool.
#[test]
fn idle_objects_can_be_changed_where_they_lie() {
    // What is acquired meanwhile comes back to where it was, and not to the thread.
    let pool = SharedPool::builder(zero as Make).max_objects(4).thread_caches(false).build();
    pool.prewarm(4).unwrap();
    let out = pool.acquire().unwrap();
    let mut shown = 0;
    pool.visit_idle(|object| {
        shown += 1;
        *object += 7;
        check(&pool, 1, 3);
        let others: Vec<_> = std::iter::from_fn(|| pool.try_acquire()).collect();
        assert_eq!(others.len(), 2, "not the one that is shown");
        if shown == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(shown, 2);
    let stopped = catch_unwind(AssertUnwindSafe(|| {
        pool.visit_idle(|_| resume_unwind(Box::new("on purpose")));
    }));
    assert!(stopped.is_err());
    drop(out);
    check(&pool, 0, 4);
    let mut uses = 0;
    pool.retain(|object| (uses += object, true).1);
    assert_eq!(uses, 14);
    let hits = pool.stats().hits;
    pool.visit_idle(|_| {
        pool.close();
        ControlFlow::Continue(())
    });
    check(&pool, 0, 0);
    assert_eq!(pool.stats().hits, hits, "to show is not to acquire");
}

// A closed pool that leaves somebody waiting.
#[test]
fn close_wakes_everybody() {
    let pool = pool(1);
    let lease = pool.acquire().unwrap();
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..3).map(|_| scope.spawn(|| pool.acquire_timeout(SOON).map(drop))).collect();
        thread::sleep(Duration::from_millis(20));
        pool.close();
        for thread in waiting {
            assert_eq!(thread.join().unwrap(), Err(AcquireError::Closed));
        }
    });
    drop(lease);
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

// One who came later and is served first; a place in the queue that is lost by being polled.
#[test]
fn futures_are_served_in_the_order_of_their_coming() {
    let pool = pool(1);
    let woken: [Arc<Woken>; 3] = Default::default();
    let wakers = woken.clone().map(Waker::from);
    let lease = pool.acquire().unwrap();
    let (mut first, mut second, mut third) =
        (pin!(pool.acquire_async()), pin!(pool.acquire_async()), pin!(pool.acquire_async()));
    let count = || woken.each_ref().map(|woken| woken.0.load(Ordering::SeqCst));
    for _ in 0..2 {
        assert!(first.as_mut().poll(&mut Context::from_waker(&wakers[0])).is_pending());
        assert!(second.as_mut().poll(&mut Context::from_waker(&wakers[1])).is_pending());
        assert!(third.as_mut().poll(&mut Context::from_waker(&wakers[2])).is_pending());
    }
    drop(lease);
    assert_eq!(count(), [1, 0, 0]);
    // Later ones do not overtake.
    assert!(third.as_mut().poll(&mut Context::from_waker(&wakers[2])).is_pending());
    let Poll::Ready(Ok(lease)) = first.as_mut().poll(&mut Context::from_waker(&wakers[0])) else {
        panic!("the first was woken and not served")
    };
    drop(lease);
    let Poll::Ready(Ok(lease)) = second.as_mut().poll(&mut Context::from_waker(&wakers[1])) else {
        panic!("the second is the first now")
    };
    drop(lease);
    assert!(third.as_mut().poll(&mut Context::from_waker(&wakers[2])).is_ready());
}

// A wake-up that dies with a future that was dropped.
#[test]
fn a_future_may_be_dropped_at_any_time() {
    let pool = pool(1);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let lease = pool.acquire().unwrap();
    let mut given_up = Box::pin(pool.acquire_async());
    let mut stays = pin!(pool.acquire_async());
    assert!(given_up.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(stays.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(lease); // wakes the first, which is not polled any more
    drop(given_up);
    assert!(woken.0.load(Ordering::SeqCst) > 0, "passed on");
    let Poll::Ready(Ok(lease)) = stays.as_mut().poll(&mut Context::from_waker(&waker)) else {
        panic!("nobody else wants it")
    };
    drop(lease);
    drop(pool.acquire_async()); // never polled
    check(&pool, 0, 1);
    drop(pool.acquire().unwrap());
}

// A factory that fails or panics while somebody waits, and who comes next is forgotten.
#[test]
fn a_failing_factory_does_not_stop_the_queue() {
    let fails = AtomicUsize::new(0);
    let make = |_: &()| match fails.fetch_sub(1, Ordering::SeqCst) {
        2 => resume_unwind(Box::new("on purpose")),
        1 => Err("no"),
        _ => Ok(0_u64),
    };
    let pool = SharedPool::builder(make).max_objects(1).build();
    let held = pool.acquire().unwrap();
    fails.store(2, Ordering::SeqCst);
    let (mut panics, mut errs, mut served) =
        (Box::pin(pool.acquire_async()), pin!(pool.acquire_async()), pin!(pool.acquire_async()));
    let mut context = Context::from_waker(Waker::noop());
    assert!(panics.as_mut().poll(&mut context).is_pending());
    assert!(errs.as_mut().poll(&mut context).is_pending());
    assert!(served.as_mut().poll(&mut context).is_pending());
    held.discard(); // room, so that the next has one made
    assert!(catch_unwind(AssertUnwindSafe(|| panics.as_mut().poll(&mut context).is_ready())).is_err());
    drop(panics);
    assert!(matches!(errs.as_mut().poll(&mut context), Poll::Ready(Err(AcquireError::Create("no")))));
    assert!(matches!(served.as_mut().poll(&mut context), Poll::Ready(Ok(_))));
    check(&pool, 0, 1);
}

// Tokens that two threads use at the same time.
#[test]
fn of_two_threads_with_one_token_one_gets_the_lease() {
    let rounds = if MIRI { 10 } else { 2000 };
    let pool = pool(1);
    let won = AtomicUsize::new(0);
    for _ in 0..rounds {
        let id = pool.acquire().unwrap().into_id();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    if pool.release(id).is_ok() {
                        won.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
    }
    assert_eq!(won.into_inner(), rounds);
    check(&pool, 0, 1);
}

// A destructor that runs where none may: on the thread that releases.
#[test]
fn a_release_destroys_nothing() {
    struct Loud<'a>(&'a Mutex<Vec<&'static str>>);
    impl Drop for Loud<'_> {
        fn drop(&mut self) {
            self.0.lock().unwrap().push("destroyed");
        }
    }
    impl pool_core::Footprint for Loud<'_> {}
    let log = Mutex::new(Vec::new());
    let pool = SharedPool::builder(|_: &()| Ok::<_, Infallible>(Loud(&log)))
        .resetter(|loud: &mut Loud<'_>| {
            loud.0.lock().unwrap().push("reset");
            Verdict::Discard
        })
        .max_objects(2)
        .build();
    let (one, two) = (pool.acquire().unwrap(), pool.acquire().unwrap());
    drop(one);
    drop(two);
    assert_eq!(*log.lock().unwrap(), ["reset", "reset"]);
    // Room is made by who needs it, if nobody maintains.
    drop(pool.acquire().unwrap());
    assert_eq!(pool.stats().created, 3);
    assert_eq!(pool.maintain(1), 1);
    assert_eq!(log.lock().unwrap().iter().filter(|event| **event == "destroyed").count(), 3);
}
