//! What the real-time pool promises, from outside.
#![cfg(feature = "std")]
#![allow(clippy::unwrap_used)]

use std::num::NonZeroU32;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use pool_audio::{
    AcquireError, BufferError, BufferKey, CLEARED_ON_ACQUIRE, ClassStats, RealtimeBuffer, RealtimePool,
    SampleBuffer, Worker,
};

const LONG: Duration = Duration::from_secs(20);

fn key(channels: u16, frames: u32) -> BufferKey {
    BufferKey::new(channels, frames, 48_000).unwrap()
}

fn large() -> BufferKey {
    key(2, 48_000)
}

fn pool() -> RealtimePool {
    RealtimePool::builder("test").build()
}

/// The counts that must agree whatever has happened, and those of the first class.
fn check(pool: &RealtimePool) -> ClassStats {
    let stats = pool.stats();
    for class in &stats.classes {
        let there = class.leased as u64 + class.idle as u64;
        assert_eq!(class.created, there + class.destroyed + class.detached, "{class}");
        assert!(class.peak_bytes >= class.leased_bytes + class.idle_bytes, "{class}");
    }
    let held: usize = stats.classes.iter().map(|class| class.leased_bytes + class.idle_bytes).sum();
    assert_eq!(stats.used, held);
    assert!(stats.used <= stats.peak);
    stats.classes[0]
}

/// Would catch a handle that creates on the audio thread, exhaustion that aborts or goes uncounted, and a refill that
/// never comes.
#[test]
fn what_is_exhausted_is_none_and_the_next_maintenance_makes_more() {
    let mut pool = pool();
    assert_eq!(pool.prewarm(key(2, 128), 2).unwrap(), 2);
    assert_eq!(pool.prewarm(key(2, 128), 2).unwrap(), 0, "they are idle already");
    let handle = pool.handle(key(2, 128)).unwrap();
    let first = handle.acquire_zeroed().unwrap();
    let second = handle.acquire_dirty_shared().unwrap();
    assert!(handle.acquire_zeroed().is_none() && handle.acquire_silent_shared().is_none());
    let class = check(&pool);
    assert_eq!((class.exhausted, class.created, class.leased), (2, 2, 2));

    let done = pool.maintain(100);
    assert_eq!((done.made, done.refused), (1, 0), "half of two");
    assert_eq!(pool.maintain(100).made, 0, "it was said once");
    let third = handle.acquire_zeroed().unwrap();
    drop((first, second, third));
    assert_eq!(check(&pool).idle, 3);
}

/// Would catch a refill in slices that begins anew with each, and so never ends: the demo on an audio server made 600 000
/// buffers where 20 were wanted.
#[test]
fn a_refill_in_slices_ends() {
    let mut pool = pool();
    pool.prewarm(key(2, 128), 20).unwrap();
    let handle = pool.handle(key(2, 128)).unwrap();
    let held: Vec<_> = std::iter::from_fn(|| handle.acquire_dirty()).collect();
    let made: Vec<usize> = std::iter::repeat_with(|| pool.maintain(4).made).take(6).collect();
    assert_eq!(made, [4, 4, 2, 0, 0, 0]);
    drop(held);
    assert_eq!(check(&pool).created, 30);
}

/// Would catch samples of one voice in another, a clear that is skipped or done twice, and a length that stays short.
#[test]
fn dirty_is_as_it_was_left_and_zeroed_is_zeros() {
    let mut pool = pool();
    pool.prewarm(key(2, 128), 1).unwrap();
    let handle = pool.handle(key(2, 128)).unwrap();
    let mut buffer = handle.acquire_dirty().unwrap();
    buffer[1].fill(1.0);
    buffer.set_len(5).unwrap();
    drop(buffer);
    let buffer = handle.acquire_dirty().unwrap();
    assert_eq!((buffer[1][127], buffer.len()), (1.0, 128));
    drop(buffer);
    for silent in [false, true] {
        let mut buffer =
            if silent { handle.acquire_silent_shared() } else { handle.acquire_zeroed_shared() }.unwrap();
        assert!(buffer.is_silent() && buffer.planes().flatten().all(|&sample| sample == 0.0));
        buffer[0].fill(1.0);
    }
    assert!(handle.acquire_silent().unwrap().is_silent());
    assert_eq!(check(&pool).inline_clears, 0, "only large ones count");
}

/// Would catch large buffers that are cleared on the audio thread although the worker had the time, one that is handed
/// out dirty as zeros, and clean ones that get lost between the lists.
#[test]
fn large_buffers_are_cleared_ahead() {
    assert!(large().bytes().unwrap() > CLEARED_ON_ACQUIRE);
    let mut pool = RealtimePool::builder("test").cleared_ahead(2).build();
    pool.prewarm(large(), 4).unwrap();
    let handle = pool.handle(large()).unwrap();
    assert_eq!(check(&pool).cleared_ahead, 2);
    for round in 0..20 {
        let mut first = handle.acquire_zeroed().unwrap();
        let mut second = handle.acquire_zeroed_shared().unwrap();
        for buffer in [&mut **first, &mut **second] {
            assert!(buffer.planes().flatten().all(|&sample| sample == 0.0), "round {round}");
            buffer.planes_mut().for_each(|plane| plane.fill(round as f32));
        }
        assert_eq!(check(&pool).leased, 2);
        drop((first, second));
        // What was just released is with the handle until its next call; a callback that ends with this helps the worker.
        handle.flush_dirty();
        pool.maintain(100);
    }
    let class = check(&pool);
    assert_eq!((class.inline_clears, class.exhausted, class.created), (0, 0, 4));

    // The worker does not come: dirty all four, then zeros must be made here, and silence is not to be had.
    let mut all: Vec<_> = (0..4).map(|_| handle.acquire_dirty_shared().unwrap()).collect();
    all.iter_mut().for_each(|buffer| buffer[1].fill(1.0));
    drop(all);
    assert!(handle.acquire_silent().is_none() && handle.acquire_silent_shared().is_none());
    assert!(handle.acquire_zeroed().unwrap().planes().flatten().all(|&sample| sample == 0.0));
    let class = check(&pool);
    assert_eq!((class.inline_clears, class.not_clear, class.exhausted, class.idle), (1, 2, 0, 4));
    assert_eq!(class.served, 45, "40, then 4 and the one that was cleared");
    handle.flush_dirty();
    assert!(pool.maintain(1).cleared == 1 && pool.maintain(100).cleared == 1);
    assert!(handle.acquire_silent().is_some());
}

/// Would catch a buffer that was refused for not being clear and then stays with the handle, where no worker clears it and no
/// other handle finds it; a refusal that counts as served.
#[test]
fn what_is_not_clear_goes_where_it_can_be_cleared() {
    let mut pool = RealtimePool::builder("test").cleared_ahead(1).build();
    pool.prewarm(large(), 4).unwrap();
    let handles: Vec<_> = (0..4).map(|_| pool.handle(large()).unwrap()).collect();
    let mut taken: Vec<_> = handles.iter().map(|handle| handle.acquire_zeroed_shared().unwrap()).collect();
    taken.iter_mut().for_each(|buffer| buffer[0].fill(1.0));
    drop(taken);
    for handle in &handles {
        assert!(handle.acquire_silent().is_none(), "all are dirty");
    }
    let class = check(&pool);
    assert_eq!((class.served, class.not_clear, class.idle), (4, 4, 4));
    for _ in 0..3 {
        pool.maintain(100);
        for handle in &handles {
            assert!(handle.acquire_silent().is_some());
            handle.flush_dirty();
        }
    }
    let class = check(&pool);
    assert_eq!((class.served, class.not_clear, class.exhausted, class.created), (16, 4, 0, 4));
}

/// Would catch clearing on the audio thread, or a refusal, while buffers that nobody has written lie idle beside the dirty
/// ones; and looks that count as acquires.
#[test]
fn clear_buffers_are_found_among_dirty_ones() {
    let shape = key(1, 14_400);
    assert!(shape.bytes().unwrap() > CLEARED_ON_ACQUIRE);
    let mut pool = pool();
    pool.prewarm(shape, 64).unwrap();
    let handle = pool.handle(shape).unwrap();
    let take = |silent: bool| {
        let mut taken: Vec<_> = (0..10)
            .map(|_| if silent { handle.acquire_silent_shared() } else { handle.acquire_zeroed_shared() })
            .map(|buffer| buffer.expect("54 are clear"))
            .collect();
        for buffer in &mut taken {
            assert!(buffer[0].iter().all(|&sample| sample == 0.0));
            buffer[0].fill(1.0);
        }
    };
    // The worker does not come.
    take(false);
    take(false);
    take(true);
    // Whoever looked at others leaves them to others.
    assert_eq!(format!("{handle:?}"), "RealtimeHandle(1 x 14400 @ 48000 Hz, 0 kept)");
    // What is found comes whole, however short its last user had made it.
    let mut short: Vec<_> = (0..32).map(|_| handle.acquire_dirty_shared().unwrap()).collect();
    for buffer in &mut short {
        buffer.clear();
        buffer.set_len(10).unwrap();
    }
    drop(short);
    for _ in 0..30 {
        let mut buffer = handle.acquire_zeroed_shared().unwrap();
        assert_eq!(buffer.len(), 14_400);
        buffer[0].fill(1.0);
    }
    let class = check(&pool);
    assert_eq!((class.inline_clears, class.not_clear, class.exhausted, class.served), (0, 0, 0, 92));
    assert_eq!((class.idle, class.created), (64, 64));
}

/// Would catch a worker that clears a few and leaves the rest of what is idle dirty; or one that takes the last ones away from
/// who wants a buffer.
#[test]
fn what_lies_idle_is_cleared_too() {
    let shape = key(1, 14_400);
    let mut pool = pool();
    pool.prewarm(shape, 24).unwrap();
    let handle = pool.handle(shape).unwrap();
    for round in 1..=20 {
        let mut taken: Vec<_> = (0..20).map(|_| handle.acquire_zeroed_shared().unwrap()).collect();
        for buffer in &mut taken {
            assert!(buffer[0].iter().all(|&sample| sample == 0.0), "round {round}");
            buffer[0].fill(1.0);
        }
        drop(taken);
        handle.flush_dirty();
        let done = pool.maintain(7);
        assert_eq!(done.cleared, 7, "a slice is bounded");
        pool.maintain(100);
        assert_eq!(pool.maintain(100).cleared, 0, "nothing was written since");
        assert_eq!(check(&pool).served, 20 * round);
    }
    let class = check(&pool);
    assert_eq!((class.inline_clears, class.exhausted, class.created), (0, 0, 24));
}

/// Would catch a class whose last buffers wait in a ring while the handle says that there is nothing.
#[test]
fn what_was_cleared_ahead_can_be_had_for_everything() {
    let mut pool = pool();
    pool.prewarm(large(), 3).unwrap();
    let handle = pool.handle(large()).unwrap();
    assert_eq!(check(&pool).cleared_ahead, 3);
    let first = handle.acquire_dirty().unwrap();
    let second = handle.acquire_dirty_shared().unwrap();
    let third = handle.acquire_zeroed().unwrap();
    assert!(handle.acquire_dirty().is_none());
    drop((first, second, third));
    pool.maintain(100);
    handle.flush();
    let other = pool.handle(large()).unwrap();
    let out: Vec<_> = std::iter::from_fn(|| other.acquire_dirty_shared()).collect();
    assert_eq!(out.len(), 3);
    drop((handle, out));
    pool.maintain(100);
    check(&pool);
}

/// Would catch a second set of buffers for a second rate, and a label of the old one.
#[test]
fn another_sample_rate_finds_the_same_buffers() {
    let mut pool = pool();
    pool.prewarm(key(2, 128), 4).unwrap();
    let used = pool.account().used();
    let other_rate = BufferKey::new(2, 128, 96_000).unwrap();
    assert_eq!(pool.prewarm(other_rate, 4).unwrap(), 0);
    let mut handle = pool.handle(other_rate).unwrap();
    assert_eq!(handle.acquire_zeroed().unwrap().key(), other_rate);
    handle.set_sample_rate(NonZeroU32::new(44_100).unwrap());
    assert_eq!(handle.acquire_dirty_shared().unwrap().sample_rate().get(), 44_100);
    assert_eq!((pool.account().used(), pool.stats().classes.len()), (used, 1));
}

/// Would catch a budget that is passed, a refusal without its numbers, and one that leaves bytes charged.
#[test]
fn the_budget_is_kept_and_a_refusal_tells_its_numbers() {
    let bytes = RealtimeBuffer::bytes_for(key(2, 128)).unwrap();
    let mut pool = RealtimePool::builder("small").budget(3 * bytes + 1).build();
    match pool.prewarm(key(2, 128), 5).unwrap_err() {
        AcquireError::OverBudget(refusal) => {
            assert_eq!((refusal.requested, refusal.used, refusal.limit), (bytes, 3 * bytes, 3 * bytes + 1));
            assert_eq!(refusal.account.name(), "small");
        }
        other => panic!("{other}"),
    }
    let handle = pool.handle(key(2, 128)).unwrap();
    let held: Vec<_> = (0..3).map(|_| handle.acquire_zeroed().unwrap()).collect();
    assert!(handle.acquire_zeroed().is_none());
    let done = pool.maintain(100);
    assert_eq!((done.made, done.refused), (0, 1));
    drop(held);
    assert_eq!(check(&pool).created, 3);

    let mut tiny = RealtimePool::builder("tiny").budget(100).build();
    assert!(matches!(tiny.prewarm(key(2, 128), 1), Err(AcquireError::OverBudget(_))));
    assert_eq!(tiny.account().used(), 0);
    assert!(tiny.handle(key(2, 128)).unwrap().acquire_zeroed().is_none(), "no voice, and no panic");
}

/// Would catch shapes that divide by zero or wrap, and bounds that are passed.
#[test]
fn shapes_and_bounds_are_refused_with_their_numbers() {
    let mut pool = RealtimePool::builder("test").max_per_class(2).build();
    let none = BufferKey { channels: 0, ..key(1, 128) };
    let refused = pool.prewarm(none, 1);
    assert!(matches!(refused, Err(AcquireError::Create(BufferError::ZeroChannels { frames: 128, .. }))));
    assert!(matches!(pool.handle(none), Err(BufferError::ZeroChannels { .. })));
    let vast = BufferKey { channels: u16::MAX, frames: u32::MAX, ..key(1, 1) };
    assert!(pool.prewarm(vast, 1).is_err());
    assert_eq!(pool.account().used(), 0);
    let refused = pool.prewarm(key(1, 64), 3);
    assert!(matches!(refused, Err(AcquireError::Exhausted { leased: 0, max_objects: 2 })));
    let handle = pool.handle(key(1, 64)).unwrap();
    let mut buffer = handle.acquire_zeroed().unwrap();
    assert_eq!(buffer.set_len(65), Err(BufferError::OverCapacity { requested: 65, capacity: 64 }));
    drop(buffer);
    pool.close();
    assert!(matches!(pool.prewarm(key(1, 64), 1), Err(AcquireError::Closed)));
    assert!(handle.acquire_zeroed().is_none() && pool.is_closed());
}

/// Would catch eviction of what is used, of what was prewarmed, or in the wrong order.
#[test]
fn the_class_that_was_used_longest_ago_makes_room() {
    let shapes = [key(1, 110), key(1, 111), key(1, 112)];
    let bytes = RealtimeBuffer::bytes_for(shapes[0]).unwrap();
    let mut pool = RealtimePool::builder("test").budget(6 * bytes).soft_limit(6 * bytes).build();
    let handles = shapes.map(|shape| pool.handle(shape).unwrap());
    for handle in &handles[..2] {
        let mut held = Vec::new();
        while held.len() < 3 {
            match handle.acquire_dirty() {
                Some(lease) => held.push(lease),
                None => assert_eq!(pool.maintain(100).made, 1),
            }
        }
        drop(held);
        handle.flush();
    }
    pool.prewarm(shapes[1], 1).unwrap();
    // The first class is used once more, so the second goes first, down to its reserve.
    pool.maintain(100);
    drop(handles[0].acquire_dirty());
    handles[0].flush();
    pool.maintain(100);
    let counts =
        |pool: &RealtimePool| pool.stats().classes.iter().map(|class| class.idle).collect::<Vec<_>>();
    assert_eq!(counts(&pool), [3, 3, 0]);
    assert_eq!(pool.prewarm(shapes[2], 2).unwrap(), 2);
    assert_eq!(counts(&pool), [3, 1, 2]);
    assert_eq!(pool.prewarm(shapes[2], 5).unwrap(), 3);
    assert_eq!(counts(&pool), [0, 1, 5]);
    let error = pool.prewarm(shapes[2], 6).unwrap_err();
    assert!(matches!(error, AcquireError::OverBudget(_)), "{error}");
    assert_eq!(counts(&pool), [0, 1, 5]);
    check(&pool);
    assert!(pool.stats().peak <= pool.stats().budget);

    assert_eq!(pool.set_budget(2 * bytes), 0);
    check(&pool);
    assert!(pool.account().used() <= 2 * bytes);
}

/// Would catch trimming that takes what was needed a moment ago, or none at all over the soft limit.
#[test]
fn over_the_soft_limit_what_was_idle_twice_goes() {
    let bytes = RealtimeBuffer::bytes_for(key(1, 100)).unwrap();
    let mut pool = RealtimePool::builder("test").budget(100 * bytes).soft_limit(4 * bytes).build();
    let handle = pool.handle(key(1, 100)).unwrap();
    let mut held = Vec::new();
    while held.len() < 8 {
        pool.maintain(100);
        held.extend(std::iter::from_fn(|| handle.acquire_dirty_shared()));
    }
    let made = check(&pool).created as usize;
    drop(held);
    assert_eq!(pool.maintain(1).destroyed, 0, "all of it was out a moment ago");
    assert_eq!(pool.maintain(1).destroyed, 1, "as much as it was told to do");
    while pool.maintain(100).destroyed > 0 {}
    // Down to the low watermark, 7/8 of the soft limit, and no further.
    assert!(made >= 8 && (3..=4).contains(&check(&pool).idle), "{}", check(&pool));
}

/// Would catch a foreign buffer that is handed out as the class's own, or freed where it is released.
#[test]
fn a_buffer_that_was_swapped_is_doomed_and_not_handed_out() {
    let mut pool = pool();
    pool.prewarm(key(2, 128), 1).unwrap();
    let handle = pool.handle(key(2, 128)).unwrap();
    let mut kept = SampleBuffer::new(1, 16, 8_000).unwrap();
    core::mem::swap(&mut **handle.acquire_dirty().unwrap(), &mut kept);
    assert_eq!(kept.channels(), 2);
    assert!(handle.acquire_dirty().is_none());
    assert_eq!(check(&pool).idle, 1, "doomed: idle until the worker comes");
    let done = pool.maintain(100);
    assert_eq!((done.destroyed, done.made), (1, 1));
    assert_eq!(handle.acquire_zeroed().unwrap().channels(), 2);
    check(&pool);
}

/// Would catch a detached buffer that is not charged any more while it lives, or for ever.
#[test]
fn a_detached_buffer_is_charged_until_it_goes() {
    let mut pool = pool();
    pool.prewarm(key(2, 128), 1).unwrap();
    let handle = pool.handle(key(2, 128)).unwrap();
    let buffer = handle.acquire_zeroed().unwrap().detach();
    assert_eq!(pool.account().used(), buffer.charged());
    assert_eq!(pool.stats().classes[0].detached, 1);
    drop(buffer);
    assert_eq!(pool.account().used(), 0);
}

/// Would catch a buffer, a handle or an account that is lost when things end in an odd order: the leases last.
#[test]
fn what_outlives_the_worker_is_freed_by_it() {
    let account = pool_audio::Account::new("program", usize::MAX);
    let worker = Worker::start(RealtimePool::builder("test").parent(&account).build()).unwrap();
    let (block, handle, delay) = worker.with(|pool| {
        pool.prewarm(key(2, 128), 8).unwrap();
        pool.prewarm(large(), 4).unwrap();
        let handle = pool.handle(key(2, 128)).unwrap();
        (handle.acquire_zeroed_shared().unwrap(), handle, pool.handle(large()).unwrap())
    });
    let line = delay.acquire_zeroed_shared().unwrap();
    let bytes = block.charged() + line.charged();
    drop(worker);
    let wait = |bytes: usize| {
        let start = std::time::Instant::now();
        while account.used() != bytes {
            assert!(start.elapsed() < LONG, "{} bytes are left, not {bytes}", account.used());
            thread::sleep(Duration::from_millis(1));
        }
    };
    drop(delay);
    assert!(handle.acquire_zeroed().is_none() || account.used() > 0);
    handle.flush();
    wait(bytes);
    assert!(handle.acquire_zeroed().is_none(), "closed");
    thread::spawn(move || drop((block, handle, line))).join().unwrap();
    wait(0);
}

/// Would catch a worker that never ends, or that says it has while buffers are out.
#[test]
fn shutting_down_waits_and_tells_what_is_out() {
    let start = || {
        let worker = Worker::start(pool()).unwrap();
        let handle = worker.with(|pool| {
            pool.prewarm(key(1, 64), 2).unwrap();
            pool.handle(key(1, 64)).unwrap()
        });
        (worker, handle)
    };
    let (worker, handle) = start();
    let lease = handle.acquire_zeroed_shared();
    drop(handle);
    let error = worker.shut_down(Duration::from_millis(20)).unwrap_err();
    assert_eq!(error.leased, 1, "{error}");
    drop(lease);
    let (worker, handle) = start();
    assert_eq!(worker.shut_down(Duration::from_millis(20)).unwrap_err().leased, 0);
    drop(handle);
    let (worker, handle) = start();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(30));
        drop(handle);
    });
    worker.shut_down(LONG).unwrap();
}

/// Would catch samples that two threads hold at once, buffers lost between threads, and counts that do not add up: a
/// decoder fills, an audio thread mixes, a recorder drops, a worker refills, all at once.
#[test]
fn buffers_go_from_thread_to_thread_and_all_come_back() {
    const BLOCKS: u64 = if cfg!(miri) { 200 } else { 100_000 };
    let account = pool_audio::Account::new("program", usize::MAX);
    let pool = RealtimePool::builder("test").parent(&account).max_per_class(48).build();
    let worker = Worker::start_with(pool, Duration::from_micros(200)).unwrap();
    let shape = key(1, 16);
    let [decoder, audio, recorder] = worker.with(|pool| {
        pool.prewarm(shape, 16).unwrap();
        [(); 3].map(|()| pool.handle(shape).unwrap())
    });
    let (to_audio, decoded) = mpsc::sync_channel(8);
    let (to_recorder, mixed) = mpsc::sync_channel(8);
    let blocks = thread::scope(|scope| {
        scope.spawn(move || {
            for block in 0..BLOCKS {
                let mut buffer = loop {
                    match decoder.acquire_dirty_shared() {
                        Some(buffer) => break buffer,
                        None => thread::yield_now(),
                    }
                };
                buffer[0].fill(block as f32);
                to_audio.send(buffer).unwrap();
            }
        });
        scope.spawn(move || {
            for source in decoded {
                let mut out = loop {
                    match audio.acquire_zeroed_shared() {
                        Some(buffer) => break buffer,
                        None => thread::yield_now(),
                    }
                };
                assert!(out[0].iter().all(|&sample| sample == 0.0));
                for (out, source) in out[0].iter_mut().zip(&source[0]) {
                    *out += source;
                }
                audio.release(source);
                to_recorder.send(out).unwrap();
            }
        });
        let recorded = scope.spawn(move || {
            let mut next = 0;
            for buffer in mixed {
                assert!(buffer[0].iter().all(|&sample| sample == next as f32), "block {next}");
                next += 1;
                if next % 2 == 0 {
                    recorder.release(buffer);
                }
            }
            next
        });
        recorded.join().unwrap()
    });
    assert_eq!(blocks, BLOCKS);
    worker.with(|pool| {
        let class = check(pool);
        assert_eq!((class.leased, class.created as usize), (0, class.idle), "{class}");
        assert!(class.created <= 48);
    });
    worker.shut_down(LONG).unwrap();
    assert_eq!(account.used(), 0);
}

/// Would catch a handle that cannot be moved to the audio thread, and a worker that cannot be shared.
#[test]
fn what_may_go_to_other_threads() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<pool_audio::RealtimeHandle>();
    send::<pool_audio::SharedLease>();
    send::<RealtimePool>();
    send::<Worker>();
    sync::<Worker>();
}

/// Would catch slices of maintenance that evict without a bound for one buffer that is wanted, and tell of none of it.
#[test]
fn a_slice_is_bounded_and_tells_all_that_it_destroyed() {
    let (small, big) = (key(2, 128), key(2, 20_000));
    let budget = RealtimeBuffer::bytes_for(big).unwrap();
    let mut pool = RealtimePool::builder("test").budget(budget).build();
    let (wanted, holder) = (pool.handle(big).unwrap(), pool.handle(small).unwrap());
    // The budget full of small ones, none of which is reserved.
    let mut out = Vec::new();
    while out.len() < budget / RealtimeBuffer::bytes_for(small).unwrap() {
        match holder.acquire_dirty_shared() {
            Some(lease) => out.push(lease),
            None => _ = pool.maintain(100),
        }
    }
    assert!(out.len() > 100);
    drop((out, holder));
    assert!(wanted.acquire_dirty().is_none());
    let (mut slices, mut destroyed) = (0, 0);
    loop {
        let evicted = pool.stats().classes[1].evicted;
        let done = pool.maintain(7);
        assert!(done.made + done.destroyed + done.cleared <= 7, "{done:?}");
        assert_eq!(pool.stats().classes[1].evicted - evicted, done.destroyed as u64);
        (slices, destroyed) = (slices + 1, destroyed + done.destroyed);
        if done.made > 0 {
            break;
        }
        assert!(slices < 10_000, "it is never made");
    }
    assert!(destroyed > 100 && slices > 10);
    check(&pool);
}

/// Would catch everything idle being evicted for what cannot fit anyway.
#[test]
fn nothing_is_evicted_for_a_buffer_that_cannot_fit() {
    let small = key(2, 128);
    let bytes = RealtimeBuffer::bytes_for(small).unwrap();
    let mut pool = RealtimePool::builder("test").budget(20 * bytes).build();
    let holder = pool.handle(small).unwrap();
    let mut out = Vec::new();
    while out.len() < 20 {
        match holder.acquire_dirty_shared() {
            Some(lease) => out.push(lease),
            None => _ = pool.maintain(100),
        }
    }
    drop((out, holder));
    match pool.prewarm(key(2, 100_000), 1).unwrap_err() {
        AcquireError::OverBudget(refusal) => assert_eq!(refusal.evictable, Some(20 * bytes)),
        other => panic!("{other}"),
    }
    assert_eq!((pool.stats().classes[0].idle, pool.stats().classes[0].evicted), (20, 0));
}

/// Would catch a bound that counts slack and header, which are never cleared; a class without buffers cleared ahead that
/// clears large ones in a call whose time is bounded; little that is to be cleared taken for much.
#[test]
fn what_takes_little_to_clear_is_cleared_and_much_is_not() {
    let exactly = key(2, 4096);
    assert_eq!(2 * 4096 * 4, CLEARED_ON_ACQUIRE);
    for (shape, frames, ahead) in [(exactly, 4096, 4), (large(), 10, 4), (large(), 10, 0)] {
        let mut pool = RealtimePool::builder("test").cleared_ahead(ahead).build();
        pool.prewarm(shape, 8).unwrap();
        let handle = pool.handle(shape).unwrap();
        for _ in 0..20 {
            let mut lease = handle.acquire_silent().unwrap();
            lease.set_len(frames).unwrap();
            lease.planes_mut().for_each(|plane| plane.fill(1.0));
        }
        let class = check(&pool);
        assert_eq!((class.not_clear, class.inline_clears), (0, 0), "{shape:?}");
    }
    let mut pool = RealtimePool::builder("test").cleared_ahead(0).build();
    pool.prewarm(large(), 1).unwrap();
    let handle = pool.handle(large()).unwrap();
    handle.acquire_dirty().unwrap().planes_mut().for_each(|plane| plane.fill(1.0));
    assert!(handle.acquire_silent().is_none() && handle.acquire_silent_shared().is_none());
    assert!(handle.acquire_zeroed().unwrap().is_silent());
    let class = check(&pool);
    assert_eq!((class.not_clear, class.inline_clears), (2, 1));
}

/// Would catch a pool that keeps what is idle while an account above it is under pressure.
#[test]
fn pressure_of_an_account_above_counts() {
    let parent = pool_core::Account::builder("all").hard_limit(1_000_000).soft_limit(40_000).build();
    let mut pool = RealtimePool::builder("test").parent(&parent).build();
    let handle = pool.handle(key(2, 128)).unwrap();
    let mut out = Vec::new();
    while out.len() < 60 {
        match handle.acquire_dirty_shared() {
            Some(lease) => out.push(lease),
            None => _ = pool.maintain(100),
        }
    }
    drop((out, handle));
    for _ in 0..3 {
        pool.maintain(100);
    }
    assert!(parent.used() <= parent.low_watermark(), "{parent:?}");
}

/// Would catch buffers that go for one that cannot be made, since what a handle keeps for itself was taken for one that can go;
/// and a slice that does not tell of them.
#[test]
fn what_a_handle_keeps_is_nobody_s_to_evict() {
    let (small, big) = (key(2, 128), key(2, 256));
    let mut pool = RealtimePool::builder("test").budget(3000).soft_limit(3000).build();
    let (small_handle, big_handle) = (pool.handle(small).unwrap(), pool.handle(big).unwrap());
    for _ in 0..2 {
        let held = small_handle.acquire_dirty_shared();
        assert!(small_handle.acquire_dirty().is_none());
        assert_eq!(pool.maintain(1).made, 1);
        drop(small_handle.acquire_dirty());
        drop(held);
    }
    assert_eq!(check(&pool).idle, 2);
    assert!(big_handle.acquire_dirty().is_none());
    let done = pool.maintain(10);
    assert_eq!((done.made, done.refused, done.destroyed), (0, 1, 0));
    assert_eq!(check(&pool).evicted, 0, "one of the two is the handle's, and the other alone would not do");
    small_handle.flush();
    assert!(big_handle.acquire_dirty().is_none());
    let done = pool.maintain(10);
    assert_eq!((done.made, done.refused, done.destroyed), (1, 0, 2));
}

/// Would catch prewarming that takes longer for each buffer the more there are, or what was made before an error and then goes as
/// if nobody had asked for it.
#[test]
fn what_was_prewarmed_before_an_error_stays() {
    let small = key(2, 128);
    let bytes = RealtimeBuffer::bytes_for(small).unwrap();
    let mut pool = RealtimePool::builder("test").budget(100 * bytes).build();
    let refused = pool.prewarm(small, usize::MAX);
    assert!(matches!(refused, Err(AcquireError::OverBudget(_))), "{refused:?}");
    for _ in 0..4 {
        pool.maintain(100);
    }
    assert_eq!(check(&pool).idle, 100);
    assert_eq!(pool.prewarm(small, 100), Ok(0));
}

/// Would catch a pool that waits for the buffers which it cleared itself, for a handle that is gone.
#[test]
fn what_was_cleared_for_a_handle_that_is_gone_is_not_waited_for() {
    let mut pool = pool();
    pool.prewarm(large(), 3).unwrap();
    let handle = pool.handle(large()).unwrap();
    assert!(!pool.is_drained());
    let lease = handle.acquire_zeroed_shared().unwrap();
    drop(handle);
    assert!(!pool.is_drained(), "a lease is out");
    drop(lease);
    assert!(pool.is_drained());
}

/// Would catch an end that is said to wait for handles when all is back and the thread has only to be told.
#[test]
fn what_has_nothing_out_shuts_down_at_once() {
    let worker = Worker::start(pool()).unwrap();
    assert_eq!(worker.shut_down(Duration::ZERO), Ok(()));
}
