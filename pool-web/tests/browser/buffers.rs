//! The buffer pool: silence, shapes, sources that hold, data that was transferred away.

use crate::support::{RATE, close, get, live, offline, samples_of, sleep, transfer, until};
use pool_web::{
    AudioBufferPool, AudioMemory, AudioNodePool, AudioNodePoolManager, BufferFault, BufferLease, NodeLease,
    ReleaseError, WebError,
};
use std::cell::Cell;
use std::rc::Rc;
use wasm_bindgen::JsCast;
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::{BaseAudioContext, DelayNode};

fn pool(context: &BaseAudioContext) -> AudioBufferPool {
    AudioBufferPool::new(context)
}

// web-sys' `get_channel_data` is a copy: zeroing it leaves the sound of the last user in the buffer.
#[wasm_bindgen_test]
fn a_recycled_buffer_is_silent() {
    let context = offline(1, 0.01);
    let pool = pool(&context);
    let first = pool.acquire(2, 128, RATE).expect("a buffer");
    let raw = first.as_raw().clone();
    first.write(0, &[0.5; 128]).expect("it fits");
    first.write(1, &[0.25; 7]).expect("it fits");
    assert_eq!(samples_of(&raw, 1).to_vec()[..8], [0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.0]);
    drop(first);
    let dirty = pool.acquire_dirty(2, 128, RATE).expect("a buffer");
    assert_eq!(samples_of(dirty.as_raw(), 0).get_index(127), 0.5, "it promises nothing else");
    drop(dirty);
    let second = pool.acquire(2, 128, RATE).expect("a buffer");
    assert!(js_sys::Object::is(second.as_raw(), &raw), "the same buffer");
    for channel in 0..2 {
        assert_eq!(samples_of(second.as_raw(), channel).to_vec(), [0.0; 128]);
    }
    assert_eq!((pool.stats().hits, pool.stats().misses), (2, 1));
}

// A buffer of another shape would be cut off, or play at another pitch.
#[wasm_bindgen_test]
fn only_equal_shapes_are_shared() {
    let context = offline(1, 0.01);
    let pool = pool(&context);
    for (channels, frames, rate) in [(1, 128, RATE), (2, 128, RATE), (1, 256, RATE), (1, 128, 44_100.0)] {
        let lease = pool.acquire(channels, frames, rate).expect("a buffer");
        let raw = lease.as_raw();
        assert_eq!((raw.number_of_channels(), raw.length(), raw.sample_rate()), (channels, frames, rate));
    }
    assert_eq!((pool.stats().hits, pool.stats().idle, pool.shapes()), (0, 4, 4));
    assert_eq!(pool.acquire_at_context_rate(1, 128).expect("a buffer").key().sample_rate(), RATE);
    assert_eq!(pool.stats().hits, 1);
    assert_eq!((pool.trim(1), pool.stats().idle), (3, 1));
    pool.clear();
    assert_eq!((pool.stats().idle, pool.shapes()), (0, 0));
}

// Rewritten while it plays, it is heard at once: only the end of the last source sets it free.
#[wasm_bindgen_test]
async fn a_buffer_that_plays_is_not_free() {
    let context = live().await;
    let pool = pool(&context);
    let lease = pool.acquire(1, 9600, RATE).expect("a buffer");
    let sources = [(); 2].map(|()| {
        let source = lease.source().expect("a source");
        source.start().expect("it starts");
        source
    });
    assert_eq!(lease.holds(), 2);
    // A source takes one buffer; web-sys lets the exception through.
    assert!(
        matches!(lease.play_on(&sources[0]), Err(WebError::Exception(e)) if e.name == "InvalidStateError")
    );
    assert_eq!(lease.holds(), 2);
    drop(lease);
    assert_eq!((pool.stats().leased, pool.stats().idle), (1, 0));
    assert_eq!(
        pool.acquire(1, 9600, RATE).map(drop).map(|()| pool.stats().misses).ok(),
        Some(2),
        "not that one"
    );
    pool.clear();
    until("both ended", || pool.stats().idle == 1).await;
    assert_eq!(pool.stats().leased, 0);
    close(&context).await;
}

// A source that stops at a known time tells nobody: the buffer must not come back while it plays, and must come back after.
#[wasm_bindgen_test]
async fn a_timed_source_holds_until_it_has_stopped() {
    let context = live().await;
    let pool = pool(&context);
    let lease = pool.acquire(1, 48_000, RATE).expect("a buffer");
    let source = lease.timed_source().expect("a source");
    source.connect_with_audio_node(&context.destination()).expect("a connection");
    let begin = context.current_time();
    for end in [f64::NAN, f64::INFINITY, -1.0] {
        let refused = lease.start_timed(&source, begin, end);
        assert!(matches!(refused, Err(WebError::Exception(e)) if e.name == "RangeError"), "{end}");
    }
    assert_eq!(lease.holds(), 0);
    let fast = lease.timed_source_at(1.5).expect("a source");
    assert_eq!((fast.playback_rate().value(), source.playback_rate().value()), (1.5, 1.0));
    let refused = lease.timed_source_at(f32::NAN);
    assert!(matches!(refused, Err(WebError::Exception(e)) if e.operation == "AudioBufferSourceNode"));
    assert_eq!(lease.holds(), 0);
    // Half of the buffer: it is stopped, or the other half would be heard from the next user's.
    lease.start_timed(&source, begin, begin + 0.5).expect("it was not started by what was refused");
    let again = lease.start_timed(&source, begin, begin + 0.1);
    assert!(matches!(again, Err(WebError::Exception(e)) if e.name == "InvalidStateError"));
    assert_eq!(lease.holds(), 1);
    let ended = Rc::new(Cell::new(false));
    let heard = Rc::clone(&ended);
    pool_web::ended(&source, move || heard.set(true)).expect("a listener");
    drop(lease);
    pool.maintain();
    assert_eq!((pool.stats().leased, pool.stats().idle), (1, 0));
    until("it has stopped", || {
        pool.maintain();
        pool.stats().idle == 1
    })
    .await;
    let passed = context.current_time() - begin;
    assert!((0.5..0.95).contains(&passed), "{passed}");
    until("the source has ended", || ended.get()).await;
    assert!(context.current_time() - begin < 0.99, "it was stopped before its end");

    // Whoever acquires next looks at the clock himself.
    let lease = pool.acquire(1, 48_000, RATE).expect("the same");
    let source = lease.timed_source().expect("a source");
    lease.start_timed(&source, 0.0, 0.0).expect("it is over at once");
    drop(lease);
    let end = context.current_time();
    until("some quanta have passed", || context.current_time() > end + 0.1).await;
    drop(pool.acquire(1, 48_000, RATE).expect("the same"));
    assert_eq!((pool.stats().created, pool.stats().hits), (1, 2));
    close(&context).await;
}

// A source that is never started never ends, and a token may be given back while a source still plays.
#[wasm_bindgen_test]
async fn holds_can_be_let_go_and_outlive_tokens() {
    let context = live().await;
    let pool = pool(&context);
    let lease = pool.acquire(1, 128, RATE).expect("a buffer");
    let hold = lease.play_on(&context.create_buffer_source().expect("a source")).expect("no buffer yet");
    drop(lease);
    assert!(hold.is_pending());
    assert_eq!(pool.stats().leased, 1);
    assert!(hold.cancel());
    assert_eq!((pool.stats().leased, pool.stats().idle), (0, 1));

    let (id, raw) = pool.acquire_id(1, 4800, RATE).expect("a buffer");
    assert_eq!(raw.length(), 4800);
    let source = context.create_buffer_source().expect("a source");
    let lease = pool.redeem(id).expect("it is out");
    let hold = lease.play_on(&source).expect("no buffer yet");
    source.start().expect("it starts");
    drop(lease);
    assert!(matches!(pool.release_id(id), Err(WebError::Token(ReleaseError::Stale { .. }))));
    until("it ended", || pool.stats().leased == 0).await;
    assert!(!hold.cancel(), "it has ended");
    close(&context).await;
}

// Its data went to a worker: it keeps its length, but its channels are empty, and it would play nothing.
#[wasm_bindgen_test]
fn a_detached_buffer_is_discarded() {
    let context = offline(1, 0.01);
    for channel in 0..2 {
        let pool = pool(&context);
        let lease = pool.acquire(2, 128, RATE).expect("a buffer");
        let raw = lease.as_raw().clone();
        transfer(&raw, channel);
        assert_eq!(raw.length(), 128);
        let error = lease.write(channel, &[0.0; 4]);
        assert!(matches!(error, Err(WebError::Detached { channel: c }) if c == channel), "{error:?}");
        drop(lease);
        let again = pool.acquire_dirty(2, 128, RATE).expect("another buffer");
        assert!(!js_sys::Object::is(again.as_raw(), &raw));
        let stats = pool.stats();
        assert_eq!((stats.discarded, stats.created, stats.leased, stats.idle), (1, 2, 1, 0));
        assert_eq!(pool.memory().expect("a budget").used(), 1024);
    }
}

// Each is an error that tells the numbers, and changes nothing.
#[wasm_bindgen_test]
fn bad_input_is_refused_with_numbers() {
    let context = offline(1, 0.01);
    let memory = AudioMemory::builder().budget(1000).build();
    let pool = AudioBufferPool::builder(&context).memory(&memory).max_per_key(2).build();
    let fault = |channels, frames, rate| match pool.acquire(channels, frames, rate).map(drop) {
        Err(WebError::BadBuffer { channels: c, frames: f, sample_rate, fault }) => {
            assert_eq!((c, f, sample_rate.to_bits()), (channels, frames, rate.to_bits()));
            fault
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(fault(0, 128, RATE), BufferFault::ZeroChannels);
    assert_eq!(fault(33, 128, RATE), BufferFault::TooManyChannels);
    assert_eq!(fault(1, 0, RATE), BufferFault::ZeroFrames);
    assert_eq!(fault(32, u32::MAX, RATE), BufferFault::Overflow, "more than 32 bits address");
    assert_eq!(fault(1, 1, f32::NAN), BufferFault::SampleRate);
    let BufferFault::Refused(exception) = fault(1, 1, 1.0e6) else { panic!("1 MHz") };
    assert_eq!((exception.operation, &*exception.name), ("createBuffer", "NotSupportedError"));
    assert!(!exception.message.is_empty());
    // A budget that is smaller than one buffer.
    match pool.acquire(1, 251, RATE).map(drop) {
        Err(WebError::OverBudget(refusal)) => {
            assert_eq!((refusal.requested, refusal.limit, refusal.free), (1004, 1000, 1000));
        }
        other => panic!("{other:?}"),
    }
    let both = (pool.acquire(1, 1, RATE).expect("fits"), pool.acquire(1, 1, RATE).expect("fits"));
    assert!(matches!(pool.acquire(1, 1, RATE), Err(WebError::Exhausted { leased: 2, limit: 2 })));
    for (channel, samples) in [(1, 1), (0, 2)] {
        let error = both.0.write(channel, &[0.0; 2][..samples]);
        assert!(matches!(error, Err(WebError::OutOfRange { channels: 1, frames: 1, .. })), "{error:?}");
    }
    assert_eq!(memory.used(), 8, "refusals charge nothing");
    let stats = pool.stats();
    assert_eq!((stats.created, stats.leased), (2, 2));
}

#[wasm_bindgen_test]
fn tokens_are_good_once_and_in_their_pool() {
    let context = offline(1, 0.01);
    let (pool, other) = (pool(&context), pool(&context));
    let (id, _) = pool.acquire_id(1, 1, RATE).expect("a buffer");
    assert!(matches!(other.release_id(id), Err(WebError::Token(ReleaseError::Foreign { .. }))));
    assert_eq!(pool.stats().leased, 1);
    pool.release_id(id).expect("once");
    assert!(matches!(pool.release_id(id), Err(WebError::Token(ReleaseError::Stale { .. }))));
    assert_eq!((pool.stats().leased, pool.stats().idle), (0, 1));
}

#[wasm_bindgen_test]
async fn a_closed_context_or_pool_makes_nothing() {
    let context = live().await;
    let pool = pool(&context);
    let lease = pool.acquire(1, 1, RATE).expect("a buffer");
    drop(pool.acquire(1, 1, RATE).expect("a buffer"));
    close(&context).await;
    let before = pool.stats();
    // That one waits must not hide it, and a buffer that is taken only to find out must come back and not count.
    for _ in 0..3 {
        let refused = pool.acquire(1, 1, RATE);
        assert!(matches!(refused, Err(WebError::ContextClosed { operation: "acquire" })));
        assert_eq!(pool.stats(), before);
    }
    assert!(matches!(pool.prewarm(1, 1, RATE, 9), Err(WebError::ContextClosed { .. })));
    drop(lease);
    assert_eq!(pool.stats().idle, 2, "a release still works");
    let offline = offline(1, 0.01);
    let pool = AudioBufferPool::new(&offline);
    pool.close();
    assert!(matches!(pool.acquire(1, 1, RATE), Err(WebError::PoolClosed)));
}

// No source of a closed context ever ends: what they hold would fill a budget for ever that others share.
#[wasm_bindgen_test]
async fn a_closed_context_holds_no_buffers() {
    let memory = AudioMemory::new();
    let context = live().await;
    let pool = AudioBufferPool::builder(&context).memory(&memory).build();
    let play = |pool: &AudioBufferPool, context: &BaseAudioContext, count: usize| {
        for index in 0..count {
            let lease = pool.acquire(2, 480_000, RATE).expect("a buffer");
            if index % 2 == 0 {
                let source = lease.timed_source().expect("a source");
                lease.start_timed(&source, 1000.0, 1001.0).expect("it will play");
                continue;
            }
            let source = context.create_buffer_source().expect("a source");
            lease.play_on(&source).expect("it plays");
        }
    };
    play(&pool, &context, 25);
    pool.maintain();
    assert_eq!((pool.stats().leased, memory.used()), (25, 96_000_000), "they may be heard yet");
    close(&context).await;
    let other = offline(1, 0.01);
    let heir = AudioBufferPool::builder(&other).memory(&memory).build();
    drop(heir.acquire(2, 480_000, RATE).expect("room, once the first pool has looked"));
    assert_eq!(pool.stats().leased, 0);

    // Of the other pool, whose context lives, nothing is let go.
    pool.clear();
    play(&heir, &other, 3);
    pool.maintain();
    assert_eq!((pool.stats().objects(), heir.stats().leased), (0, 3));
}

// What JavaScript passes for a source may be anything; a buffer that is held for it would never come back.
#[wasm_bindgen_test]
fn what_is_no_source_holds_nothing() {
    let context = offline(1, 0.01);
    let pool = pool(&context);
    let lease = pool.acquire(1, 1, RATE).expect("a buffer");
    let nothing: web_sys::AudioBufferSourceNode = js_sys::Object::new().unchecked_into();
    assert!(matches!(lease.play_on(&nothing), Err(WebError::Exception(_))));
    assert_eq!(lease.holds(), 0);
    drop(lease);
    assert_eq!(pool.stats().idle, 1);
}

#[wasm_bindgen_test]
async fn idle_buffers_have_bounds() {
    let context = offline(1, 0.01);
    let pool = AudioBufferPool::builder(&context).idle_ttl_ms(30.0).max_idle_per_key(2).build();
    assert_eq!(pool.prewarm(1, 128, RATE, 2).expect("room"), 2);
    let leases: Vec<_> = (0..3).map(|_| pool.acquire(1, 128, RATE).expect("room")).collect();
    drop(leases);
    assert_eq!((pool.stats().idle, pool.stats().evicted), (2, 1));
    sleep(60.0).await;
    drop(pool.acquire(1, 128, RATE).expect("room"));
    assert_eq!((pool.stats().hits, pool.stats().expired), (2, 2), "what expired is not handed out");
    sleep(60.0).await;
    // The seed's interval, as a guard.
    let swept = Rc::new(Cell::new(0));
    let (pool_there, swept_there) = (pool.clone(), Rc::clone(&swept));
    let interval =
        pool_web::Interval::new(5.0, move || swept_there.set(swept_there.get() + pool_there.maintain()))
            .expect("timers");
    until("the interval swept", || swept.get() == 1).await;
    drop(interval);
    assert_eq!((pool.stats().idle, pool.memory().expect("a budget").used()), (0, 0));
    drop(pool.acquire(1, 128, RATE).expect("room"));
    sleep(60.0).await;
    assert_eq!(pool.stats().idle, 1, "a dropped interval sweeps no more");
}

// Who holds back until the budget has recovered would do so for ever, if only acquires told of it.
#[wasm_bindgen_test]
fn a_budget_tells_whatever_frees_it() {
    type Way = (
        &'static str,
        fn(&AudioBufferPool, BufferLease),
        fn(&AudioNodePool<DelayNode>, NodeLease<DelayNode>),
    );
    let ways: [Way; 4] = [
        (
            "clear",
            |pool, lease| {
                drop(lease);
                pool.clear();
            },
            |pool, lease| {
                drop(lease);
                pool.clear();
            },
        ),
        (
            "close",
            |pool, lease| {
                drop(lease);
                pool.close();
            },
            |pool, lease| {
                drop(lease);
                pool.close();
            },
        ),
        ("discard", |_, lease| lease.discard(), |_, lease| lease.discard()),
        ("detach", |_, lease| drop(lease.detach()), |_, lease| drop(lease.detach())),
    ];
    let closed = |error| matches!(error, WebError::PoolClosed).then_some(0).ok_or(error);
    let context = offline(1, 0.01);
    for (way, of_buffers, of_nodes) in ways {
        let heard = Rc::new(Cell::new((0, 0)));
        let (warned, recovered) = (Rc::clone(&heard), Rc::clone(&heard));
        let memory = AudioMemory::builder()
            .budget(1_000_000)
            .warning_at(300_000)
            .recovered_at(100_000)
            .on_warning(move |_| warned.set((warned.get().0 + 1, warned.get().1)))
            .on_recovery(move |_| recovered.set((recovered.get().0, recovered.get().1 + 1)))
            .build();
        let pool = AudioBufferPool::builder(&context).memory(&memory).build();
        let lease = pool.acquire(1, 200_000, RATE).expect("room");
        assert_eq!(heard.get(), (1, 0), "{way}");
        of_buffers(&pool, lease);
        assert_eq!((memory.used(), heard.get()), (0, (1, 1)), "{way} of buffers");

        let nodes = AudioNodePoolManager::builder(&context).memory(&memory).build();
        let lease = nodes.acquire_delay_with(1.0).expect("room");
        assert_eq!(heard.get(), (2, 1), "{way}");
        of_nodes(nodes.delays(), lease);
        assert_eq!((memory.used(), heard.get()), (0, (2, 2)), "{way} of delays");

        pool.prewarm(1, 200_000, RATE, 1).or_else(closed).expect("room");
        pool.trim(0);
        nodes.prewarm_delays(1.0, 1).or_else(closed).expect("room");
        nodes.delays().trim(0);
        assert_eq!((memory.used(), heard.get().1), (0, heard.get().0), "trim");

        drop(pool.acquire(1, 200_000, RATE));
        drop(nodes.acquire_delay_with(1.0));
        drop((pool, nodes));
        assert_eq!((memory.used(), heard.get().1), (0, heard.get().0), "pools that are gone");
        assert_eq!(heard.get().0, if way == "close" { 2 } else { 5 }, "one after the other");
    }
}

// Discard and detach: the budget must not go on counting what left.
#[wasm_bindgen_test]
fn buffers_can_leave() {
    let context = offline(1, 0.01);
    let pool = pool(&context);
    pool.acquire(1, 100, RATE).expect("room").discard();
    let mine = pool.acquire(1, 100, RATE).expect("room").detach();
    assert_eq!(get(&mine, "length").as_f64(), Some(100.0));
    let stats = pool.stats();
    assert_eq!((stats.discarded, stats.detached, stats.bytes()), (1, 1, 0));
    let array = js_sys::Float32Array::new_with_length(3);
    array.fill(0.5, 0, 3);
    let lease = pool.acquire(1, 4, RATE).expect("room");
    lease.write_array(0, &array).expect("it fits");
    assert_eq!(samples_of(lease.as_raw(), 0).to_vec(), [0.5, 0.5, 0.5, 0.0]);
    drop(lease);
    pool.evict_to(0);
    assert_eq!(pool.stats().idle, 0);
}
