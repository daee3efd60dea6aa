//! Pools of worklet nodes: what their processors answer, and what becomes of those that do not.

use crate::support::{close, get, live, noise, until};
use pool_web::{AudioNodePool, PoolContext};
use std::cell::Cell;
use std::rc::Rc;
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::{AnalyserNode, AudioWorkletNode, BaseAudioContext};

/// A processor that adds up all it hears for ever, and answers "reset" once it has forgotten.
const HOARDER: &str = "registerProcessor('hoarder', class extends AudioWorkletProcessor {
    static get parameterDescriptors() {
        return [{ name: 'amount', defaultValue: 0.25, automationRate: 'k-rate' }];
    }
    constructor() {
        super();
        this.sum = 0;
        this.port.onmessage = ({ data }) => {
            if (data === 'reset') { this.sum = 0; this.port.postMessage('done'); }
        };
    }
    process([input], [output]) {
        if (input.length > 0) { for (const sample of input[0]) { this.sum += Math.abs(sample); } }
        for (const channel of output) { channel.fill(this.sum); }
        return true;
    }
})";

/// A processor that forgets at once, and has parameters that the other one has not.
const FORGETFUL: &str = "registerProcessor('forgetful', class extends AudioWorkletProcessor {
    static get parameterDescriptors() {
        return [{ name: 'freq', defaultValue: 440 }, { name: 'depth', defaultValue: 0.5 }];
    }
    constructor() {
        super();
        this.port.onmessage = () => this.port.postMessage('done');
    }
    process() { return true; }
})";

// Parameters of one kind of processor must not be reset to the defaults of another kind in the same pool.
#[wasm_bindgen_test]
async fn worklets_of_two_kinds_may_share_a_pool() {
    let context = live().await;
    crate::support::add(&context, HOARDER).await;
    crate::support::add(&context, FORGETFUL).await;
    let made = Cell::new(0);
    let make = move |raw: &BaseAudioContext, &(): &()| {
        AudioWorkletNode::new(raw, if made.replace(made.get() + 1) == 0 { "hoarder" } else { "forgetful" })
    };
    let pool = AudioNodePool::<AudioWorkletNode>::builder(&PoolContext::new(&context), make)
        .protocol("reset", "done");
    let pool = pool.build();
    let (first, second) = (pool.acquire().expect("a worklet"), pool.acquire().expect("a worklet"));
    let amount = first.param("amount").expect("of the first kind").clone();
    let [freq, depth] = ["freq", "depth"].map(|name| second.param(name).expect("of the second").clone());
    for (lease, name) in [(&first, "amount"), (&second, "freq"), (&second, "depth")] {
        lease.set(name, 0.1).expect("a value");
    }
    drop((first, second));
    until("both have answered", || {
        pool.maintain();
        pool.stats().idle == 2
    })
    .await;
    assert_eq!((amount.value(), freq.value(), depth.value()), (0.25, 440.0, 0.5));
    close(&context).await;
}

/// A processor that throws when it is told to, and answers all the same.
const FRAGILE: &str = "registerProcessor('fragile', class extends AudioWorkletProcessor {
    constructor() {
        super();
        this.port.onmessage = ({ data }) => {
            if (data === 'break') this.broken = true;
            else this.port.postMessage('done');
        };
    }
    process() {
        if (this.broken) throw new Error('as it was told to');
        return true;
    }
})";

// The browser never calls a processor again that has thrown: a node that is handed out after that is silent for ever.
#[wasm_bindgen_test]
async fn a_worklet_that_has_thrown_does_not_come_back() {
    let context = live().await;
    crate::support::add(&context, FRAGILE).await;
    let pool = AudioNodePool::<AudioWorkletNode>::builder(&PoolContext::new(&context), |raw, ()| {
        AudioWorkletNode::new(raw, "fragile")
    });
    let pool = pool.protocol("reset", "done").build();
    let lease = pool.acquire().expect("a worklet");
    let failed = Rc::new(Cell::new(false));
    for event in ["processorerror", "error"] {
        let told = Rc::clone(&failed);
        lease.listen(event, move |_| told.set(true)).expect("a listener");
    }
    lease.connect_to(&context.destination()).expect("a connection");
    lease.port().expect("a port").post_message(&"break".into()).expect("a message");
    until("it has thrown", || failed.get()).await;
    drop(lease);
    let began = context.current_time();
    until("some time", || context.current_time() > began + 0.3).await;
    pool.maintain();
    assert_eq!((pool.stats().quarantined, pool.stats().idle), (1, 0), "its answer does not count");
    close(&context).await;
}

// Only the processor knows what it remembers: without its word the node must not go to the next user.
#[wasm_bindgen_test]
async fn worklets_come_back_when_they_have_answered() {
    let context = live().await;
    crate::support::add(&context, HOARDER).await;
    let shared = PoolContext::new(&context);
    let builder = || {
        AudioNodePool::<AudioWorkletNode>::builder(&shared, |raw, ()| AudioWorkletNode::new(raw, "hoarder"))
    };
    let silent = builder().build();
    drop(silent.acquire().expect("a worklet"));
    assert_eq!((silent.stats().discarded, silent.stats().idle), (1, 0), "it has no protocol");

    let pool = builder().protocol("reset", "done").build();
    let lease = pool.acquire().expect("a worklet");
    let amount = lease.param("amount").expect("its own parameter").clone();
    let rate = get(&amount, "automationRate");
    assert!(rate == "k-rate" || rate.is_undefined());
    lease.set("amount", 0.75).expect("a value");
    lease.connect_from(&noise(&context, 1, 0.5, 1)).expect("a connection");
    let meter = context.create_analyser().expect("an analyser");
    let heard = |meter: &AnalyserNode| {
        let mut samples = vec![0.0; 128];
        meter.get_float_time_domain_data(&mut samples);
        samples[127]
    };
    lease.connect_to(&meter).expect("a connection");
    meter.connect_with_audio_node(&context.destination()).expect("a connection");
    until("it has heard something", || heard(&meter) > 1.0).await;
    drop(lease);
    assert_eq!((pool.stats().quarantined, pool.stats().idle), (1, 0));
    until("it has answered", || {
        pool.maintain();
        pool.stats().idle == 1
    })
    .await;
    assert_eq!(amount.value(), 0.25, "the default that the processor declared");
    // Where there are no rates, none may be made up.
    assert_eq!(get(&amount, "automationRate"), rate, "the rate that the processor declared");
    let again = pool.acquire().expect("the same");
    assert_eq!(pool.stats().hits, 1);
    let second = context.create_analyser().expect("an analyser");
    again.connect_to(&second).expect("a connection");
    second.connect_with_audio_node(&context.destination()).expect("a connection");
    let began = context.current_time();
    until("some quanta", || context.current_time() > began + 0.1).await;
    assert_eq!(heard(&second), 0.0, "it has forgotten");
    drop(again);

    let deaf = builder().protocol("forget", "done").build();
    drop(deaf.acquire().expect("a worklet"));
    let began = context.current_time();
    until("some time", || context.current_time() > began + 0.3).await;
    deaf.maintain();
    assert_eq!((deaf.stats().quarantined, deaf.stats().idle), (1, 0), "it has not answered");
    close(&context).await;
}
