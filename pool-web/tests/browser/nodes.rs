//! Node pools: connections, errors, quarantine, the manager.

use crate::stage::Stage;
use crate::support::{QUANTUM, RATE, close, gains, get, live, noise, offline, samples_of, until};
use pool_web::recipe::Step;
use pool_web::{
    AudioBufferPool, AudioMemory, AudioNodePool, AudioNodePoolManager, DelayKey, NodeLease, NodeStats,
    PoolContext, ReleaseError, Source, Verdict, WebError, ended,
};
use std::cell::Cell;
use std::rc::Rc;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::{AudioNode, BaseAudioContext, BiquadFilterType, DelayNode, GainNode};

fn balanced(stats: NodeStats) -> bool {
    stats.created == (stats.leased + stats.quarantined + stats.idle) as u64 + stats.destroyed + stats.detached
}

// In whatever order a chain is released, no connection may survive, and no node be lost for one cut twice.
#[wasm_bindgen_test]
fn chains_come_apart_in_any_order() {
    let context = offline(2, 0.01);
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let pool = gains(&context);
        let source = noise(&context, 1, 0.5, 1);
        let mut chain: Vec<_> = (0..3).map(|_| Some(pool.acquire().expect("a gain"))).collect();
        {
            let [a, b, c] = [0, 1, 2].map(|i| chain[i].as_ref().expect("not yet released"));
            a.connect_from(&source).expect("a connection");
            b.connect_from(a).expect("a connection");
            c.connect_from(b).expect("a connection");
            a.connect_param_from(c, "gain").expect("a parameter may be fed by what it feeds");
        }
        for i in order {
            chain[i] = None;
        }
        let stats = pool.stats();
        assert_eq!((stats.idle, stats.discarded), (3, 0), "{order:?}: {:?}", pool.take_failure());
        assert_eq!(pool.context().connections(), 0, "{order:?}");
    }
}

/// Something that is done with a lease and leads from it to an output of the context; the last is the node, from an earlier
/// lease.
type Lead = fn(&NodeLease<GainNode>, &AudioNode, &GainNode);

// What leads out of a node is cut piece by piece if all of it is known. Whichever way somebody got hold of the node itself, what
// he connected must be cut as well, or the next user is heard where he does not want to be.
#[wasm_bindgen_test]
async fn outputs_are_cut_whoever_made_them() {
    fn known(lease: &NodeLease<GainNode>, output: &AudioNode) {
        lease.connect_to(output).expect("a connection");
    }
    let leads: [(&str, Lead); 6] = [
        ("lease", |lease, output, _| known(lease, output)),
        ("lease, twice", |lease, output, _| {
            known(lease, output);
            known(lease, output);
        }),
        ("deref", |lease, output, _| drop(lease.connect_with_audio_node(output).expect("a connection"))),
        ("as_raw", |lease, output, _| {
            known(lease, output);
            lease.as_raw().connect_with_audio_node(output).expect("the same");
            let context: BaseAudioContext = AudioNode::context(output);
            let further = context.create_gain().expect("a gain");
            further.connect_with_audio_node(output).expect("a connection");
            lease.as_raw().connect_with_audio_node(&further).expect("another");
        }),
        ("source_node", |lease, output, _| {
            drop(Source::source_node(lease).connect_with_audio_node(output).expect("a connection"));
        }),
        ("event", |lease, output, node| {
            let output = output.clone();
            lease
                .listen("bang", move |event| {
                    let node: GainNode = event.target().expect("a node").unchecked_into();
                    node.connect_with_audio_node(&output).expect("a connection");
                })
                .expect("a listener");
            node.dispatch_event(&web_sys::Event::new("bang").expect("an event")).expect("it is dispatched");
        }),
    ];
    for (name, lead) in leads {
        for left_out in [None, Some(Step::Disconnect)] {
            let context = offline(1, 0.01);
            let mut builder =
                AudioNodePool::builder(&PoolContext::new(&context), |raw, ()| raw.create_gain());
            if let Some(step) = left_out {
                builder = builder.leave_out(step);
            }
            let pool = builder.build();
            let node = pool.acquire().expect("a gain").as_raw().clone();
            let lease = pool.acquire().expect("the same gain");
            lead(&lease, &context.destination(), &node);
            drop(lease);
            assert_eq!((pool.stats().idle, pool.stats().discarded), (1, 0), "{name}");
            let lease = pool.acquire().expect("the same gain");
            lease.connect_from(&noise(&context, 1, 0.5, 1)).expect("a connection");
            if left_out.is_none() {
                assert_eq!(pool.context().connections(), 1, "{name}");
            }
            let rendering = context.start_rendering().expect("a promise");
            let sound: web_sys::AudioBuffer =
                JsFuture::from(rendering).await.expect("it renders").unchecked_into();
            let heard = samples_of(&sound, 0).to_vec().iter().any(|sample| *sample != 0.0);
            assert_eq!(heard, left_out.is_some(), "{name}, without {left_out:?}");
        }
    }
}

// The type is set without the node in hand; it must be undone all the same.
#[wasm_bindgen_test]
async fn a_filter_s_type_is_undone() {
    let context = live().await;
    let nodes = AudioNodePoolManager::new(&context);
    nodes.ready().await;
    let filter = nodes.acquire_filter().expect("a filter");
    filter.set_type(BiquadFilterType::Highpass);
    assert_eq!(get(&filter, "type"), "highpass");
    drop(filter);
    assert_eq!(get(&nodes.acquire_filter().expect("a filter"), "type"), "lowpass");
    close(&context).await;
}

// A connection that was cut by hand is no failure; nor one that is recorded twice.
#[wasm_bindgen_test]
fn connections_cut_by_hand_are_no_failure() {
    let context = offline(1, 0.01);
    let pool = gains(&context);
    let source = noise(&context, 1, 0.5, 1);
    let lease = pool.acquire().expect("a gain");
    lease.connect_from(&source).expect("a connection");
    lease.connect_from(&source).expect("the same again");
    let third = lease.connect_param_from(&source, "gain").expect("a connection");
    assert!(lease.cut(third).expect("it is there"));
    assert!(!lease.cut(third).expect("it is gone"));
    source.disconnect().expect("it was connected");
    drop(lease);
    assert_eq!((pool.stats().idle, pool.context().connections()), (1, 0));
}

// A bus that lives long must not keep every source that ever fed it.
#[wasm_bindgen_test]
fn a_bus_lets_go_of_one_source() {
    let context = offline(1, 0.01);
    let pool = gains(&context);
    let (bus, voice) = (pool.acquire().expect("a gain"), pool.acquire().expect("a gain"));
    let (hum, strike) = (noise(&context, 1, 0.5, 1), noise(&context, 1, 0.5, 1));
    bus.connect_from(&hum).expect("a connection");
    bus.connect_from(&strike).expect("a connection");
    bus.connect_param_from(&strike, "gain").expect("a connection");
    bus.connect_from(&voice).expect("a connection");
    let left = || pool.context().connections();
    assert_eq!((bus.cut_from(&strike).expect("cut"), left()), (2, 2));
    assert_eq!((bus.cut_from(&strike).expect("gone"), bus.cut_from(&bus).expect("none"), left()), (0, 0, 2));
    assert_eq!((bus.cut_from(&voice).expect("cut"), left()), (1, 1));
    drop((bus, voice));
    assert_eq!((pool.stats().idle, pool.context().connections()), (2, 0));
}

// Exceptions must come back as errors: web-sys alone would end the program.
#[wasm_bindgen_test]
async fn exceptions_are_errors() {
    let (context, other) = (offline(1, 0.01), live().await);
    let pool = gains(&context);
    let lease = pool.acquire().expect("a gain");
    let stranger = other.create_gain().expect("a gain");
    assert!(matches!(lease.connect_from(&stranger), Err(WebError::Exception(e)) if e.operation == "connect"));
    assert!(matches!(lease.connect_to(&stranger), Err(WebError::Exception(_))));
    assert!(matches!(
        lease.connect_from_output(&noise(&context, 1, 0.1, 1), 7, 0),
        Err(WebError::Exception(_))
    ));
    for refused in [
        lease.set_at("gain", f32::NAN, 0.0),
        lease.linear_ramp_at("gain", 1.0, -1.0),
        lease.exponential_ramp_at("gain", 0.0, 1.0),
    ] {
        assert!(matches!(refused, Err(WebError::Exception(e)) if e.operation == "automation"));
    }
    assert!(matches!(lease.set("gain", f32::NAN), Err(WebError::Exception(e)) if e.name == "TypeError"));
    assert!(
        matches!(lease.ramp_to("gain", 1.0, -1.0), Err(WebError::Exception(e)) if e.name == "RangeError")
    );
    match lease.set("volume", 1.0) {
        Err(WebError::UnknownParam { interface, name }) => {
            assert_eq!((interface, &*name), ("GainNode", "volume"))
        }
        other => panic!("{other:?}"),
    }
    assert!(lease.param("volume").is_none());
    let value: JsValue = WebError::PoolClosed.into();
    assert_eq!(get(&value, "message").as_string().as_deref(), Some("the pool is closed"));
    drop(lease);
    assert_eq!(pool.context().connections(), 0, "what failed was not recorded");
    assert_eq!(pool.stats().idle, 1);
    close(&other).await;
}

// A factory that throws must give back its place and its bytes.
#[wasm_bindgen_test]
fn a_factory_that_fails_costs_nothing() {
    let context = offline(1, 0.01);
    let memory = AudioMemory::new();
    let healthy = Rc::new(Cell::new(false));
    let works = Rc::clone(&healthy);
    let pool =
        AudioNodePool::<DelayNode>::builder(&PoolContext::new(&context), move |raw, key: &DelayKey| {
            if !works.get() {
                return Err(js_sys::Error::new("out of order").into());
            }
            raw.create_delay_with_max_delay_time(key.max_delay())
        })
        .memory(&memory)
        .build();
    match pool.acquire().map(drop) {
        Err(WebError::Exception(e)) => {
            assert_eq!((e.operation, &*e.name, &*e.message), ("node factory", "Error", "out of order"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((memory.used(), pool.stats().total(), pool.stats().created), (0, 0, 0));
    healthy.set(true);
    assert!(pool.acquire().is_ok());
}

// The user's own resetter is asked at each release, and its word counts.
#[wasm_bindgen_test]
fn the_users_resetter_may_discard() {
    let context = offline(1, 0.01);
    let pool = AudioNodePool::builder(&PoolContext::new(&context), |raw, ()| raw.create_gain())
        .resetter(|gain: &GainNode| {
            assert_eq!(gain.gain().value(), 1.0, "it runs after the recipe");
            if get(gain, "broken").is_truthy() { Verdict::Discard } else { Verdict::Keep }
        })
        .max_per_key(2)
        .max_idle_per_key(1)
        .build();
    let lease = pool.acquire().expect("a gain");
    lease.set("gain", 0.5).expect("a value");
    crate::support::set(lease.as_raw(), "broken", true);
    drop(lease);
    assert_eq!((pool.stats().discarded, pool.stats().idle), (1, 0));
    let both = (pool.acquire().expect("room"), pool.acquire().expect("room"));
    assert!(matches!(pool.acquire(), Err(WebError::Exhausted { leased: 2, limit: 2 })));
    drop(both);
    assert_eq!((pool.stats().idle, pool.stats().evicted), (1, 1));
    assert!(balanced(pool.stats()));
}

#[wasm_bindgen_test]
fn tokens_discard_and_detach() {
    let context = offline(1, 0.01);
    let (pool, other) = (gains(&context), gains(&context));
    let (id, _) = pool.acquire_id(&()).expect("a gain");
    assert!(matches!(other.release_id(id), Err(WebError::Token(ReleaseError::Foreign { .. }))));
    pool.release_id(id).expect("once");
    assert!(matches!(pool.release_id(id), Err(WebError::Token(ReleaseError::Stale { .. }))));
    let source = noise(&context, 1, 0.5, 1);
    let lease = pool.acquire().expect("a gain");
    lease.connect_from(&source).expect("a connection");
    lease.discard();
    let lease = pool.acquire().expect("a gain");
    lease.connect_from(&source).expect("a connection");
    let mine = lease.detach();
    let stats = pool.stats();
    assert_eq!((stats.discarded, stats.detached, stats.total(), pool.context().connections()), (1, 1, 0, 0));
    assert!(balanced(stats));
    // Discarded: cut off, so that cutting again throws. Detached: as it was.
    source.disconnect_with_audio_node(&mine).expect("a detached node keeps its connections");
}

/// Whether `source` feeds `target`: only such a connection can be cut. It is cut.
fn feeds(source: &AudioNode, target: &AudioNode) -> bool {
    source.disconnect_with_audio_node(target).is_ok()
}

// A connection that only the node knows of that has left: the next user of the other one is heard there, or hears it.
#[wasm_bindgen_test]
fn who_is_connected_with_a_detached_node_lets_go_of_it() {
    let pool = gains(&offline(1, 1.0));
    // Their maker had them in hand, which the first release makes up for.
    pool.prewarm(&(), 3).expect("three");
    drop([(); 3].map(|()| pool.acquire().expect("a gain")));
    let [before, left, after] = [(); 3].map(|()| pool.acquire().expect("a gain"));
    left.connect_from(&before).expect("a connection");
    after.connect_from(&left).expect("a connection");
    let mine = left.detach();
    drop((before, after));
    for lease in [(); 2].map(|()| pool.acquire().expect("a gain")) {
        assert!(!feeds(&lease, &mine) && !feeds(&mine, &lease));
    }
    assert_eq!((pool.stats().hits, pool.context().connections()), (8, 0));
}

// Two managers of one context keep records of their own: a node that feeds one of the other's must not stay connected to it.
#[wasm_bindgen_test]
fn nodes_of_two_managers_come_apart() {
    let context = offline(1, 1.0);
    let [mine, yours] = [(); 2].map(|()| AudioNodePoolManager::new(&context));
    for nodes in [&mine, &yours] {
        drop(nodes.acquire_gain().expect("a gain"));
    }
    let (source, target) = (mine.acquire_gain().expect("a gain"), yours.acquire_gain().expect("a gain"));
    target.connect_from(&source).expect("a connection");
    drop(source);
    let again = mine.acquire_gain().expect("the same");
    assert_eq!(mine.stats().gain.hits, 2);
    assert!(!feeds(&again, &target));
}

// In Chromium a convolver is mute for good if it is used again in stereo before a quantum was rendered without its input: more than
// half of them offline, and nearly all live.
#[wasm_bindgen_test]
async fn a_convolver_rests_before_it_is_used_again() {
    let context = live().await;
    let nodes = AudioNodePoolManager::new(&context);
    let response = context.create_buffer(1, 100, context.sample_rate()).expect("a buffer");
    samples_of(&response, 0).set_index(0, 1.0);
    let used = |convolver: NodeLease<web_sys::ConvolverNode>| {
        convolver.set_buffer(Some(&response));
        convolver.connect_from(&noise(&context, 2, 0.1, 1)).expect("a connection");
        convolver.connect_to(&context.destination()).expect("a connection");
        convolver
    };
    let first = used(nodes.acquire_convolver().expect("a convolver"));
    let began = context.current_time();
    until("some quanta", || context.current_time() > began + 0.05).await;
    drop(first);
    drop(nodes.acquire_convolver().expect("another"));
    let stats = nodes.stats().convolver;
    assert_eq!((stats.hits, stats.quarantined), (0, 2), "none of them yet");
    assert_eq!(nodes.context().connections(), 0, "it is on no bus");
    until("both have rested", || {
        nodes.maintain();
        nodes.stats().convolver.idle == 2
    })
    .await;
    let again = used(nodes.acquire_convolver().expect("one of them"));
    assert_eq!(nodes.stats().convolver.hits, 1);
    let meter = context.create_analyser().expect("an analyser");
    again.connect_to(&meter).expect("a connection");
    until("it is heard", || {
        let mut samples = [0.0; 128];
        meter.get_float_time_domain_data(&mut samples);
        samples.iter().any(|sample| *sample != 0.0)
    })
    .await;
    close(&context).await;
}

// A setter of the lease that leaves no trace: the next user has the filter of the last one. And a delay into which nothing went
// waits for nothing.
#[wasm_bindgen_test]
async fn a_release_knows_what_the_lease_did() {
    let context = live().await;
    let nodes = AudioNodePoolManager::new(&context);
    nodes.ready().await;
    // Its maker had each in hand, which the first release makes up for.
    drop(nodes.acquire_filter().expect("a filter"));
    until("the filter is idle", || nodes.maintain() + nodes.stats().filter.idle > 0).await;
    nodes.acquire_filter().expect("a filter").set_type(BiquadFilterType::Notch);
    until("the filter is idle", || nodes.maintain() + nodes.stats().filter.idle > 0).await;
    let again = nodes.acquire_filter().expect("a filter");
    assert_eq!((again.type_(), nodes.stats().filter.hits), (BiquadFilterType::Lowpass, 2));

    drop(nodes.acquire_delay_with(0.05).expect("a delay"));
    until("the line is empty", || nodes.maintain() > 0).await;
    let unheard = nodes.acquire_delay_with(0.05).expect("a delay");
    unheard.set("delayTime", 0.02).expect("a time");
    unheard.connect_to(&context.destination()).expect("a connection");
    drop(unheard);
    let stats = nodes.stats().delay;
    assert_eq!((stats.quarantined, stats.idle, stats.hits), (0, 1, 1));
    let heard = nodes.acquire_delay_with(0.05).expect("a delay");
    assert_eq!(heard.param("delayTime").map(web_sys::AudioParam::value), Some(0.0));
    heard.connect_from(&noise(&context, 1, 0.1, 1)).expect("a connection");
    drop(heard);
    assert_eq!(nodes.stats().delay.quarantined, 1);
    close(&context).await;
}

// A delay that is idle at once repeats the last voice, and one that is counted as gone breaks the budget.
#[wasm_bindgen_test]
async fn a_delay_waits_in_quarantine_and_stays_charged() {
    let context = live().await;
    let memory = AudioMemory::new();
    let nodes = AudioNodePoolManager::builder(&context).memory(&memory).build();
    let bytes = DelayKey::new(0.05).expect("a length").bytes(context.sample_rate());
    let delay = nodes.acquire_delay_with(0.05).expect("a delay");
    delay.connect_from(&noise(&context, 2, 0.1, 1)).expect("a connection");
    let began = context.current_time();
    drop(delay);
    let stats = nodes.stats().delay;
    assert_eq!((stats.leased, stats.quarantined, stats.idle), (0, 1, 0));
    assert!(balanced(stats));
    assert_eq!((memory.used(), memory.stats().leased), (bytes, bytes));
    let other = nodes.acquire_delay_with(0.05).expect("another");
    assert_eq!(nodes.stats().delay.hits, 0, "not the one that still holds sound");
    drop(other.detach());

    // A suspended context pulls nothing: no time on the wall makes it clean.
    JsFuture::from(context.suspend().expect("a promise")).await.expect("it is suspended");
    if context.current_time() < began + 0.05 {
        crate::support::sleep(150.0).await;
        nodes.maintain();
        assert_eq!(nodes.stats().delay.quarantined, 1);
    }
    JsFuture::from(context.resume().expect("a promise")).await.expect("it runs");
    until("the line is empty", || nodes.maintain() > 0).await;
    assert!(context.current_time() >= began + 0.05 + QUANTUM);
    let stats = nodes.stats().delay;
    assert_eq!((stats.quarantined, stats.idle, memory.stats().idle), (0, 1, bytes));
    assert_eq!(nodes.context().connections(), 0, "off the bus");
    drop(nodes.acquire_delay_with(0.05).expect("a delay"));
    assert_eq!(nodes.stats().delay.hits, 1);
    nodes.clear();
    assert_eq!((memory.used(), nodes.stats().delay.total()), (0, 0));
    close(&context).await;
}

// Voices that are let go of while they play, while the context is suspended and after it was closed, in any order: nothing
// may be lost, thrown or left connected.
#[wasm_bindgen_test]
async fn leases_may_be_dropped_at_any_time() {
    let context = live().await;
    let nodes = AudioNodePoolManager::builder(&context).build();
    let at_once = nodes.ready().await;
    let chain = || {
        let source = noise(&context, 2, 0.01, 3);
        let (filter, gain) =
            (nodes.acquire_filter().expect("a filter"), nodes.acquire_gain().expect("a gain"));
        let (panner, delay) =
            (nodes.acquire_panner().expect("a panner"), nodes.acquire_delay_with(0.02).expect("a delay"));
        filter.connect_from(&source).expect("a connection");
        gain.connect_from(&filter).expect("a connection");
        panner.connect_from(&gain).expect("a connection");
        delay.connect_from(&panner).expect("a connection");
        filter.connect_param_from(&delay, "detune").expect("feedback into a parameter");
        delay.connect_to(&context.destination()).expect("a connection");
        (filter, gain, panner, delay)
    };
    let (filter, gain, panner, delay) = chain();
    let began = context.current_time();
    until("it plays", || context.current_time() > began + 0.05).await;
    drop((gain, delay));
    drop((panner, filter));
    let (filter, gain, panner, delay) = chain();
    JsFuture::from(context.suspend().expect("a promise")).await.expect("it is suspended");
    drop((delay, filter, panner, gain));
    let total = nodes.stats().total();
    // Two delays, and two filters where they have to.
    let resting = if at_once { 2 } else { 4 };
    assert_eq!((total.leased, total.discarded, total.quarantined), (0, 0, resting), "they rest");
    assert_eq!(nodes.context().connections(), 0, "but for the bus, which keeps no record");
    JsFuture::from(context.resume().expect("a promise")).await.expect("it goes on");
    until("they are silent", || {
        nodes.maintain();
        nodes.stats().total().quarantined == 0
    })
    .await;
    let last = chain();
    close(&context).await;
    drop(last);
    let total = nodes.stats().total();
    assert_eq!((total.leased, total.quarantined, nodes.context().connections()), (0, 0, 0));
    assert_eq!(nodes.take_failure(), None);
    assert!(balanced(total));
}

// In a context that is closed the time stands still: what goes to the quarantine would stay there.
#[wasm_bindgen_test]
async fn a_closed_context_makes_nothing_and_keeps_no_delays() {
    let context = live().await;
    let memory = AudioMemory::new();
    let nodes = AudioNodePoolManager::builder(&context).memory(&memory).build();
    let (gain, delay) = (nodes.acquire_gain().expect("a gain"), nodes.acquire_delay().expect("a delay"));
    close(&context).await;
    assert!(matches!(nodes.acquire_gain(), Err(WebError::ContextClosed { operation: "acquire" })));
    assert!(matches!(nodes.prewarm(1, 1, 1), Err(WebError::ContextClosed { .. })));
    drop((gain, delay));
    let stats = nodes.stats();
    assert_eq!((stats.gain.idle, stats.delay.total(), memory.used()), (1, 0, 0));
    nodes.close();
    nodes.close();
    assert_eq!(nodes.stats().total().total(), 0);
}

#[wasm_bindgen_test]
fn bad_delays_are_refused() {
    let context = offline(1, 0.01);
    let memory = AudioMemory::builder().budget(1_000_000).build();
    let nodes = AudioNodePoolManager::builder(&context).memory(&memory).build();
    for bad in [0.0, -1.0, 180.0, f64::NAN] {
        assert!(matches!(nodes.acquire_delay_with(bad), Err(WebError::BadDelay { .. })), "{bad}");
    }
    match nodes.acquire_delay().map(drop) {
        Err(WebError::OverBudget(refusal)) => {
            assert_eq!((refusal.requested, refusal.limit), (1_920_008, 1_000_000))
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((memory.used(), nodes.stats().delay.created), (0, 0));
}

// Two pools, one budget: what one sits on idle, or in quarantine, the other may have.
#[wasm_bindgen_test]
fn pools_of_one_budget_make_room_for_each_other() {
    let context = offline(1, 0.01);
    let memory = AudioMemory::builder().budget(2_000_000).build();
    let nodes = AudioNodePoolManager::builder(&context).memory(&memory).build();
    let buffers = AudioBufferPool::builder(&context).memory(&memory).build();
    assert_eq!(nodes.prewarm_delays(1.0, 2).expect("room"), 2);
    drop(nodes.acquire_delay_with(1.0).expect("a delay"));
    assert_eq!((nodes.stats().delay.idle, nodes.stats().delay.quarantined), (1, 1));
    let buffer = buffers.acquire(1, 400_000, RATE).expect("the idle one makes room");
    assert_eq!((nodes.stats().delay.idle, nodes.stats().delay.quarantined), (0, 1));
    let second = buffers.acquire(1, 50_000, RATE).expect("so does the quarantined one");
    assert_eq!(nodes.stats().delay.total(), 0);
    assert!(matches!(buffers.acquire(1, 100_000, RATE), Err(WebError::OverBudget(_))));
    assert_eq!(memory.used(), 1_800_000);
    // A second try, once there is room, is the same acquire.
    assert_eq!((buffers.stats().misses, buffers.stats().created), (3, 2));
    drop((buffer, second));
    let delay = nodes.acquire_delay_with(1.0).expect("an idle buffer makes room");
    assert_eq!((nodes.stats().delay.hits, nodes.stats().delay.misses), (1, 1));
    drop(delay);
}

// Voices on a live context, released by the end of their source: all of the manager, as a page uses it.
#[wasm_bindgen_test]
async fn voices_are_recycled_when_they_end() {
    let context = live().await;
    let memory = AudioMemory::new();
    let nodes = AudioNodePoolManager::builder(&context).memory(&memory).build();
    nodes.ready().await;
    let buffers = AudioBufferPool::builder(&context).memory(&memory).build();
    assert_eq!(nodes.prewarm(2, 1, 1).expect("room"), 4);
    for round in 0..3 {
        for _ in 0..4 {
            let source = context.create_buffer_source().expect("a source");
            let buffer = buffers.acquire(2, 480, RATE).expect("a buffer");
            buffer.write(0, &[0.01; 480]).expect("it fits");
            let _ = buffer.play_on(&source).expect("no buffer yet");
            let (filter, gain, panner) = (
                nodes.acquire_filter().expect("a filter"),
                nodes.acquire_gain().expect("a gain"),
                nodes.acquire_panner().expect("a panner"),
            );
            filter.connect_from(&source).expect("a connection");
            gain.connect_from(&filter).expect("a connection");
            panner.connect_from(&gain).expect("a connection");
            panner.connect_to(&context.destination()).expect("a connection");
            panner.set("pan", -0.5).expect("a value");
            gain.ramp_to("gain", 0.0, context.current_time() + 0.01).expect("a ramp");
            let _ = ended(&source, move || drop((gain, panner, filter))).expect("a listener");
            source.start().expect("it starts");
        }
        assert_eq!(nodes.stats().total().leased, 12);
        until("all ended", || nodes.stats().total().leased == 0 && buffers.stats().leased == 0).await;
        until("all have rested", || nodes.maintain() == 0 && nodes.stats().total().quarantined == 0).await;
        assert!(nodes.take_failure().is_none(), "round {round}");
    }
    let stats = nodes.stats();
    for (pool, name) in [(stats.gain, "gain"), (stats.filter, "filter"), (stats.panner, "panner")] {
        assert_eq!((pool.created, pool.idle, pool.quarantined, pool.discarded), (4, 4, 0, 0), "{name}");
        assert!(balanced(pool), "{name}");
    }
    assert_eq!(stats.total().hits, 4 + 24);
    assert_eq!((buffers.stats().created, buffers.stats().hits), (4, 8));
    assert_eq!(memory.stats().idle_nodes, 12);
    assert_eq!(nodes.context().connections(), 0);
    nodes.clear();
    assert_eq!(nodes.stats().total().total(), 0);
    close(&context).await;
}

// A ramp without an anchor starts at the reset of the last release, and not at the present.
#[wasm_bindgen_test]
async fn a_ramp_starts_at_the_present() {
    const LENGTH: f64 = 0.2;
    let stage = Stage::new(1, 0.4).await;
    let pool = gains(stage.context());
    drop(pool.acquire().expect("a gain"));
    let gain = pool.acquire().expect("a gain");
    gain.connect_from(&constant(stage.context())).expect("a connection");
    gain.connect_to(stage.output()).expect("a connection");
    gain.set("gain", 0.0).expect("a value");
    stage.reach(stage.now() + 18.0 * QUANTUM).await;
    let at = stage.now();
    gain.ramp_to("gain", 1.0, at + LENGTH).expect("a ramp");
    let sound = stage.finish(LENGTH + 0.02).await.swap_remove(0);
    let frame = |part: f64| stage.frame(at + part * LENGTH);
    assert!(sound[..frame(0.0)].iter().all(|sample| *sample == 0.0));
    assert!((sound[frame(0.5)] - 0.5).abs() < 0.01, "half-way: {}", sound[frame(0.5)]);
    assert_eq!(sound[frame(1.0) + 40], 1.0);
    stage.close().await;
}

/// Ones, for ever.
fn constant(context: &BaseAudioContext) -> AudioNode {
    let buffer = context.create_buffer(1, 128, RATE).expect("a buffer");
    samples_of(&buffer, 0).fill(1.0, 0, 128);
    let source = context.create_buffer_source().expect("a source");
    // Only now: Firefox takes the samples as they are when it starts.
    source.set_buffer(Some(&buffer));
    source.set_loop(true);
    source.start().expect("it starts");
    source.into()
}

// Chromium can hold a parameter in mid-flight; a browser that cannot says so instead of throwing.
#[wasm_bindgen_test]
fn holding_is_reported() {
    let context = offline(1, 0.01);
    let gain = gains(&context).acquire().expect("a gain");
    let can = !get(&gain.gain(), "cancelAndHoldAtTime").is_undefined();
    assert_eq!(gain.hold("gain", 0.0).ok(), Some(can));
    assert!(matches!(gain.hold("gain", -1.0), Err(WebError::Exception(_))) || !can);
}

// A listener of the last user that goes on hearing acts on a voice that is not his.
#[wasm_bindgen_test]
fn listeners_go_with_the_lease() {
    let context = offline(1, 0.01);
    for (left_out, heard_after) in [(None, 0), (Some(Step::RemoveListeners), 1)] {
        let heard = Rc::new(Cell::new(0));
        let mut builder = AudioNodePool::builder(&PoolContext::new(&context), |raw, ()| raw.create_gain());
        if let Some(step) = left_out {
            builder = builder.leave_out(step);
        }
        let pool = builder.build();
        let lease = pool.acquire().expect("a gain");
        let hears = Rc::clone(&heard);
        lease.listen("bang", move |_| hears.set(hears.get() + 1)).expect("a listener");
        assert_eq!(lease.listeners(), 1);
        let bang = |node: &GainNode| node.dispatch_event(&web_sys::Event::new("bang").expect("an event"));
        bang(&lease).expect("it is dispatched");
        assert_eq!(heard.replace(0), 1);
        drop(lease);
        let lease = pool.acquire().expect("the same gain");
        assert_eq!(pool.stats().hits, 1);
        bang(&lease).expect("it is dispatched");
        assert_eq!(heard.get(), heard_after);
    }
}

// One-shots and what never forgets must not get in by the way of a factory of plain nodes.
#[wasm_bindgen_test]
async fn plain_nodes_are_looked_up() {
    type Factory = fn(&BaseAudioContext) -> Result<AudioNode, JsValue>;
    let context = live().await;
    let shared = PoolContext::new(&context);
    let pool = |make: Factory| AudioNodePool::<AudioNode>::builder(&shared, move |raw, ()| make(raw)).build();
    let refused: [(Factory, &str); 3] = [
        (|raw| raw.create_oscillator().map(Into::into), "OscillatorNode"),
        (|raw| raw.create_dynamics_compressor().map(Into::into), "DynamicsCompressorNode"),
        (|raw| Ok(raw.destination().into()), "AudioDestinationNode"),
    ];
    for (make, name) in refused {
        match pool(make).acquire().map(drop) {
            Err(WebError::NotPoolable { interface, reason }) => {
                assert_eq!(interface, name);
                assert!(!reason.is_empty());
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    let gains = pool(|raw| raw.create_gain().map(Into::into));
    let lease = gains.acquire().expect("a gain");
    lease.set("gain", 0.5).expect("it has its parameter");
    assert!(matches!(lease.set("pan", 0.5), Err(WebError::UnknownParam { interface: "GainNode", .. })));
    drop(lease);
    let again = gains.acquire().expect("the same");
    assert_eq!((again.param("gain").expect("a gain").value(), gains.stats().hits), (1.0, 1));
    let memory = AudioMemory::new();
    let delays = AudioNodePool::<AudioNode>::builder(&shared, |raw, ()| {
        raw.create_delay_with_max_delay_time(0.25).map(Into::into)
    })
    .memory(&memory)
    .build();
    let delay = delays.acquire().expect("a delay");
    assert_eq!(memory.used(), DelayKey::new(0.25).expect("a length").bytes(context.sample_rate()));
    drop(delay);
    assert_eq!(delays.stats().quarantined, 1, "a delay is a delay");
    let filters = || {
        AudioNodePool::<AudioNode>::builder(&shared, |raw, ()| {
            let list =
                |values: &[f64]| values.iter().copied().map(JsValue::from_f64).collect::<js_sys::Array>();
            let create: js_sys::Function = get(raw, "createIIRFilter").unchecked_into();
            create.call2(raw, &list(&[1.0]), &list(&[1.0, -0.5])).map(JsCast::unchecked_into)
        })
    };
    let unknown = filters().build();
    drop(unknown.acquire().expect("a filter"));
    assert_eq!(unknown.stats().discarded, 1, "nobody told how long it rings");
    let known = filters().settle_seconds(0.01).build();
    drop(known.acquire().expect("a filter"));
    assert_eq!(known.stats().quarantined, 1);
    close(&context).await;
    known.maintain();
    assert_eq!(
        (known.stats().quarantined, known.stats().discarded),
        (0, 1),
        "a closed context pulls nothing"
    );
    assert!(balanced(known.stats()));
}

// A quarantine without bound grows for as long as the context is suspended.
#[wasm_bindgen_test]
fn the_quarantine_is_bounded() {
    let context = offline(1, 0.01);
    let memory = AudioMemory::new();
    let pool = AudioNodePool::<DelayNode>::builder(&PoolContext::new(&context), |raw, key: &DelayKey| {
        raw.create_delay_with_max_delay_time(key.max_delay())
    })
    .memory(&memory)
    .max_quarantined(2)
    .build();
    let key = DelayKey::new(0.1).expect("a length");
    let leases: Vec<_> = (0..5).map(|_| pool.acquire_key(&key).expect("a delay")).collect();
    drop(leases);
    assert_eq!((pool.stats().quarantined, pool.stats().discarded), (2, 3));
    assert_eq!(memory.used(), 2 * key.bytes(RATE));
    assert!(balanced(pool.stats()));
}

// Bad numbers of channels and coefficients are errors with numbers, and charge nothing.
#[wasm_bindgen_test]
fn every_type_has_its_pool() {
    let context = offline(1, 0.01);
    let nodes = AudioNodePoolManager::builder(&context).build();
    for channels in [0, 33] {
        assert!(
            matches!(nodes.acquire_splitter(channels), Err(WebError::BadChannels { channels: c }) if c == channels)
        );
        assert!(matches!(nodes.acquire_merger(channels), Err(WebError::BadChannels { .. })));
    }
    assert!(matches!(
        nodes.acquire_iir(&[], &[1.0]),
        Err(WebError::BadFilter { feedforward: 0, feedback: 1 })
    ));
    let spatial = nodes.acquire_spatial().expect("a panner");
    let convolver = nodes.acquire_convolver().expect("a convolver");
    let shaper = nodes.acquire_shaper().expect("a shaper");
    let analyser = nodes.acquire_analyser().expect("an analyser");
    let splitter = nodes.acquire_splitter(3).expect("a splitter");
    let merger = nodes.acquire_merger(5).expect("a merger");
    let iir = nodes.acquire_iir(&[1.0], &[1.0, -0.5]).expect("a filter");
    assert_eq!((splitter.number_of_outputs(), merger.number_of_inputs()), (3, 5));
    let stats = nodes.stats();
    let each = [
        stats.spatial,
        stats.convolver,
        stats.shaper,
        stats.analyser,
        stats.splitter,
        stats.merger,
        stats.iir,
    ];
    assert!(each.iter().all(|pool| pool.leased == 1), "{stats:?}");
    drop((spatial, convolver, shaper, analyser, splitter, merger, iir));
    let total = nodes.stats().total();
    assert_eq!((total.leased, total.created), (0, 7));
    assert!(balanced(total));
    nodes.close();
    assert!(matches!(nodes.acquire_analyser(), Err(WebError::PoolClosed)));
}
