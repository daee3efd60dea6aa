//! `AudioNodePool` and `AudioNodePoolManager`.

use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use js_sys::Function;
use pool_web::{
    AudioNodePool as Pool, AudioNodePoolManager as Manager, NodeLease, NodeStats, Verdict, WebError,
};
use wasm_bindgen::prelude::*;
use web_sys::{AudioNode, BaseAudioContext, Event};

use crate::error::{fail, number, object, thrown};
use crate::options::Options;
use crate::shared::{Shared, pool_number};

/// Idle nodes that are kept unless the options say otherwise: the design note's number.
const KEPT: usize = 20;

/// What both kinds of pools do with raw nodes.
struct Desk {
    shared: Rc<Shared>,
    pool: u32,
}

impl Desk {
    fn new(context: &BaseAudioContext) -> Self {
        Self { shared: Shared::of(context), pool: pool_number() }
    }

    fn hand_out(&self, lease: Result<NodeLease<AudioNode>, WebError>) -> Result<AudioNode, JsValue> {
        let lease = lease.map_err(thrown)?;
        let node = lease.as_raw().clone();
        self.shared.nodes.borrow_mut().add(&node, self.pool, lease);
        Ok(node)
    }

    fn release(&self, node: &JsValue) -> Result<(), JsValue> {
        let lease = self.shared.nodes.borrow_mut().take(node, self.pool, "node")?;
        // With nothing borrowed: the user's resetter may use the pools.
        drop(lease);
        Ok(())
    }

    fn discard(&self, node: &JsValue) -> Result<(), JsValue> {
        let lease = self.shared.nodes.borrow_mut().take(node, self.pool, "node")?;
        lease.discard();
        Ok(())
    }

    fn connect(
        &self,
        source: &AudioNode,
        target: &AudioNode,
        output: u32,
        input: u32,
    ) -> Result<(), JsValue> {
        let nodes = self.shared.nodes.borrow();
        let lease = nodes.get(target).ok_or_else(|| nodes.missing(target, "node"))?;
        self.shared
            .as_source(source, |source| lease.connect_from_output(source, output, input))
            .map(drop)
            .map_err(thrown)
    }

    fn connect_param(&self, source: &AudioNode, target: &AudioNode, name: &str) -> Result<(), JsValue> {
        let nodes = self.shared.nodes.borrow();
        let lease = nodes.get(target).ok_or_else(|| nodes.missing(target, "node"))?;
        self.shared
            .as_source(source, |source| lease.connect_param_from(source, name))
            .map(drop)
            .map_err(thrown)
    }

    fn ramp_to(&self, node: &AudioNode, name: &str, value: f32, end_time: f64) -> Result<(), JsValue> {
        let nodes = self.shared.nodes.borrow();
        let lease = nodes.get(node).ok_or_else(|| nodes.missing(node, "node"))?;
        lease.ramp_to(name, value, end_time).map_err(thrown)
    }

    fn listen(&self, node: &AudioNode, kind: &str, callback: Function) -> Result<(), JsValue> {
        let nodes = self.shared.nodes.borrow();
        let lease = nodes.get(node).ok_or_else(|| nodes.missing(node, "node"))?;
        let call = move |event: Event| {
            // As with any listener, what it throws is reported by the browser, and ends nothing.
            if let Err(error) = callback.call1(&JsValue::UNDEFINED, &event) {
                wasm_bindgen::throw_val(error);
            }
        };
        lease.listen(kind, call).map_err(thrown)
    }
}

fn stats(stats: NodeStats) -> JsValue {
    object(&[
        ("total", number(stats.total())),
        ("inUse", number(stats.leased)),
        ("available", number(stats.idle)),
        ("quarantined", number(stats.quarantined)),
        ("created", (stats.created as f64).into()),
        ("destroyed", (stats.destroyed as f64).into()),
        ("hits", (stats.hits as f64).into()),
        ("misses", (stats.misses as f64).into()),
        ("discarded", (stats.discarded as f64).into()),
    ])
}

/// Nodes made by a function of the user's, whatever their type.
#[wasm_bindgen(skip_typescript)]
pub struct AudioNodePool {
    desk: Desk,
    pool: Pool<AudioNode>,
}

#[wasm_bindgen]
impl AudioNodePool {
    #[wasm_bindgen(constructor)]
    pub fn new(
        context: BaseAudioContext,
        factory: Function,
        resetter: JsValue,
        options: JsValue,
    ) -> Result<Self, JsValue> {
        let options = Options::new(options, "maxSize")?;
        let desk = Desk::new(&context);
        let mut builder = Pool::<AudioNode>::builder(&desk.shared.context, move |context, ()| {
            let made = factory.call1(&JsValue::UNDEFINED, context)?;
            made.dyn_into::<AudioNode>().map_err(|_| fail("not-a-node", "the factory made no AudioNode"))
        })
        .max_idle_per_key(options.count("maxSize")?.unwrap_or(KEPT));
        if let Some(resetter) = resetter.dyn_ref::<Function>().cloned() {
            builder = builder.try_resetter(move |node: &AudioNode| {
                let verdict = resetter.call1(&JsValue::UNDEFINED, node)?;
                Ok(if verdict == JsValue::FALSE { Verdict::Discard } else { Verdict::Keep })
            });
        }
        if let Some(memory) = options.memory()? {
            builder = builder.memory(&memory);
        }
        if let Some(nodes) = options.count("maxNodes")? {
            builder = builder.max_per_key(nodes);
        }
        if let Some(seconds) = options.number("idleSeconds")? {
            builder = builder.idle_ttl_ms(seconds * 1000.0);
        }
        if let Some(seconds) = options.number("settleSeconds")? {
            builder = builder.settle_seconds(seconds);
        }
        let protocol = options.get("protocol");
        if protocol.is_object() {
            let part = |name: &str| js_sys::Reflect::get(&protocol, &name.into());
            builder = builder.protocol(part("message")?, part("answer")?);
        }
        Ok(Self { desk, pool: builder.build() })
    }

    pub fn acquire(&self) -> Result<AudioNode, JsValue> {
        self.desk.hand_out(self.pool.acquire())
    }

    pub fn prewarm(&self, count: usize) -> Result<usize, JsValue> {
        self.pool.prewarm(&(), count).map_err(thrown)
    }

    pub fn maintain(&self) -> usize {
        self.pool.maintain()
    }

    #[wasm_bindgen(js_name = getStats)]
    pub fn get_stats(&self) -> JsValue {
        stats(self.pool.stats())
    }

    #[wasm_bindgen(js_name = takeFailure)]
    pub fn take_failure(&self) -> Option<String> {
        self.pool.take_failure().map(|failure| failure.to_string())
    }

    pub fn clear(&self) {
        self.pool.clear();
    }

    pub fn dispose(&self) {
        self.pool.close();
    }
}

/// A pool of each type of node that needs no code of the user's.
#[wasm_bindgen(skip_typescript)]
pub struct AudioNodePoolManager {
    desk: Desk,
    manager: Manager,
}

/// What a node can be asked for by identity, whichever of the two handed it out.
macro_rules! by_identity {
    ($class:ident) => {
        #[wasm_bindgen]
        impl $class {
            pub fn release(&self, node: &JsValue) -> Result<(), JsValue> {
                self.desk.release(node)
            }

            pub fn discard(&self, node: &JsValue) -> Result<(), JsValue> {
                self.desk.discard(node)
            }

            pub fn connect(
                &self,
                source: &AudioNode,
                target: &AudioNode,
                output: Option<u32>,
                input: Option<u32>,
            ) -> Result<(), JsValue> {
                self.desk.connect(source, target, output.unwrap_or(0), input.unwrap_or(0))
            }

            #[wasm_bindgen(js_name = connectParam)]
            pub fn connect_param(
                &self,
                source: &AudioNode,
                target: &AudioNode,
                param: &str,
            ) -> Result<(), JsValue> {
                self.desk.connect_param(source, target, param)
            }

            #[wasm_bindgen(js_name = rampTo)]
            pub fn ramp_to(
                &self,
                node: &AudioNode,
                param: &str,
                value: f32,
                end_time: f64,
            ) -> Result<(), JsValue> {
                self.desk.ramp_to(node, param, value, end_time)
            }

            pub fn listen(&self, node: &AudioNode, kind: &str, callback: Function) -> Result<(), JsValue> {
                self.desk.listen(node, kind, callback)
            }
        }
    };
}

by_identity!(AudioNodePool);
by_identity!(AudioNodePoolManager);

macro_rules! pairs {
    ($($acquire:ident as $js_acquire:ident ($($arg:ident: $type:ty),*) => $method:ident ($($pass:expr),*), $release:ident as $js_release:ident;)*) => {
        #[wasm_bindgen]
        impl AudioNodePoolManager {$(
            #[wasm_bindgen(js_name = $js_acquire)]
            pub fn $acquire(&self, $($arg: $type),*) -> Result<AudioNode, JsValue> {
                self.desk.hand_out(self.manager.$method($($pass),*).map(NodeLease::into_any))
            }

            #[wasm_bindgen(js_name = $js_release)]
            pub fn $release(&self, node: &JsValue) -> Result<(), JsValue> {
                self.desk.release(node)
            }
        )*}
    };
}

pairs! {
    acquire_gain as acquireGain() => acquire_gain(), release_gain as releaseGain;
    acquire_filter as acquireFilter() => acquire_filter(), release_filter as releaseFilter;
    acquire_delay as acquireDelay(max_delay: Option<f64>) => acquire_delay_with(max_delay.unwrap_or(5.0)), release_delay as releaseDelay;
    acquire_panner as acquirePanner() => acquire_panner(), release_panner as releasePanner;
    acquire_spatial as acquireSpatialPanner() => acquire_spatial(), release_spatial as releaseSpatialPanner;
    acquire_convolver as acquireConvolver() => acquire_convolver(), release_convolver as releaseConvolver;
    acquire_shaper as acquireWaveShaper() => acquire_shaper(), release_shaper as releaseWaveShaper;
    acquire_analyser as acquireAnalyser() => acquire_analyser(), release_analyser as releaseAnalyser;
    acquire_iir as acquireIIRFilter(feedforward: Vec<f64>, feedback: Vec<f64>) => acquire_iir(&feedforward, &feedback), release_iir as releaseIIRFilter;
    acquire_splitter as acquireSplitter(outputs: Option<u32>) => acquire_splitter(outputs.unwrap_or(6)), release_splitter as releaseSplitter;
    acquire_merger as acquireMerger(inputs: Option<u32>) => acquire_merger(inputs.unwrap_or(6)), release_merger as releaseMerger;
}

#[wasm_bindgen]
impl AudioNodePoolManager {
    #[wasm_bindgen(constructor)]
    pub fn new(context: BaseAudioContext, options: JsValue) -> Result<Self, JsValue> {
        let options = Options::new(options, "maxSize")?;
        let desk = Desk::new(&context);
        let mut builder = Manager::builder_in(&desk.shared.context)
            .max_idle_per_type(options.count("maxSize")?.unwrap_or(KEPT));
        if let Some(memory) = options.memory()? {
            builder = builder.memory(&memory);
        }
        if let Some(nodes) = options.count("maxNodes")? {
            builder = builder.max_per_type(nodes);
        }
        if let Some(seconds) = options.number("idleSeconds")? {
            builder = builder.idle_ttl_ms(seconds * 1000.0);
        }
        Ok(Self { desk, manager: builder.build() })
    }

    pub async fn ready(&self) -> bool {
        self.manager.ready().await
    }

    pub fn prewarm(&self, gains: usize, filters: usize, panners: usize) -> Result<usize, JsValue> {
        self.manager.prewarm(gains, filters, panners).map_err(thrown)
    }

    pub fn maintain(&self) -> usize {
        self.manager.maintain()
    }

    #[wasm_bindgen(js_name = getStats)]
    pub fn get_stats(&self) -> JsValue {
        let all = self.manager.stats();
        object(&[
            ("gain", stats(all.gain)),
            ("filter", stats(all.filter)),
            ("delay", stats(all.delay)),
            ("panner", stats(all.panner)),
            ("spatialPanner", stats(all.spatial)),
            ("convolver", stats(all.convolver)),
            ("waveShaper", stats(all.shaper)),
            ("iirFilter", stats(all.iir)),
            ("analyser", stats(all.analyser)),
            ("splitter", stats(all.splitter)),
            ("merger", stats(all.merger)),
        ])
    }

    #[wasm_bindgen(js_name = takeFailure)]
    pub fn take_failure(&self) -> Option<String> {
        self.manager.take_failure().map(|failure| failure.to_string())
    }

    pub fn clear(&self) {
        self.manager.clear();
    }

    pub fn dispose(&self) {
        self.manager.close();
    }
}
