//! `AudioNodePool` and `AudioNodePoolManager`.

use alloc::boxed::Box;
use alloc::rc::Rc;

use js_sys::Function;
use pool_web::{
    AudioNodePool as Pool, AudioNodePoolManager as Manager, Exception, NodeLease, NodeStats, Verdict,
    WebError,
};
use wasm_bindgen::prelude::*;
use web_sys::{AudioNode, BaseAudioContext, Event};

use crate::error::{fail, in_words, thrown};
use crate::options::{Options, finite};
use crate::shared::{Shared, pool_number};

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
        let lease = self.shared.nodes.borrow_mut().take(node, self.pool)?;
        // With nothing borrowed: the user's resetter may use the pools.
        drop(lease);
        Ok(())
    }

    fn discard(&self, node: &JsValue) -> Result<(), JsValue> {
        let lease = self.shared.nodes.borrow_mut().take(node, self.pool)?;
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
        let lease = nodes.get(target)?;
        self.shared
            .as_source(source, |source| lease.connect_from_output(source, output, input))
            .map(drop)
            .map_err(thrown)
    }

    fn connect_param(&self, source: &AudioNode, target: &AudioNode, name: &str) -> Result<(), JsValue> {
        let nodes = self.shared.nodes.borrow();
        let lease = nodes.get(target)?;
        self.shared
            .as_source(source, |source| lease.connect_param_from(source, name))
            .map(drop)
            .map_err(thrown)
    }

    fn ramp_to(&self, node: &AudioNode, name: &str, value: f32, end_time: f64) -> Result<(), JsValue> {
        let nodes = self.shared.nodes.borrow();
        let lease = nodes.get(node)?;
        lease.ramp_to(name, value, end_time).map_err(thrown)
    }

    fn listen(&self, node: &AudioNode, kind: &str, callback: Function) -> Result<(), JsValue> {
        let nodes = self.shared.nodes.borrow();
        let lease = nodes.get(node)?;
        let call = move |event: Event| {
            // As with any listener, what it throws is reported by the browser, and ends nothing.
            if let Err(error) = callback.call1(&JsValue::UNDEFINED, &event) {
                wasm_bindgen::throw_val(error);
            }
        };
        lease.listen(kind, call).map_err(thrown)
    }
}

/// In the order that `index.js` names them.
fn figures(stats: NodeStats) -> [f64; 9] {
    [
        stats.total() as f64,
        stats.leased as f64,
        stats.idle as f64,
        stats.quarantined as f64,
        stats.created as f64,
        stats.destroyed as f64,
        stats.hits as f64,
        stats.misses as f64,
        stats.discarded as f64,
    ]
}

fn failure(failure: Option<Exception>) -> JsValue {
    failure.as_ref().map_or(JsValue::UNDEFINED, in_words)
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
    #[allow(clippy::too_many_arguments, reason = "the options of `index.js`, one by one")]
    pub fn new(
        context: BaseAudioContext,
        factory: Function,
        resetter: Option<Function>,
        most_idle: f64,
        most: f64,
        idle_seconds: f64,
        memory: f64,
        settle_seconds: f64,
        message: JsValue,
        answer: JsValue,
    ) -> Self {
        let options = Options::new(most_idle, most, idle_seconds, memory);
        let desk = Desk::new(&context);
        let mut builder = Pool::<AudioNode>::builder(&desk.shared.context, move |context, ()| {
            let made = factory.call1(&JsValue::UNDEFINED, context)?;
            made.dyn_into::<AudioNode>().map_err(|_| fail("not-a-node", ""))
        })
        .max_idle_per_key(options.most_idle);
        if let Some(resetter) = resetter {
            builder = builder.try_resetter(move |node: &AudioNode| {
                let verdict = resetter.call1(&JsValue::UNDEFINED, node)?;
                Ok(if verdict == JsValue::FALSE { Verdict::Discard } else { Verdict::Keep })
            });
        }
        if let Some(memory) = &options.memory {
            builder = builder.memory(memory);
        }
        if let Some(nodes) = options.most {
            builder = builder.max_per_key(nodes);
        }
        if let Some(milliseconds) = options.idle_ms {
            builder = builder.idle_ttl_ms(milliseconds);
        }
        if let Some(seconds) = finite(settle_seconds) {
            builder = builder.settle_seconds(seconds);
        }
        if !message.is_undefined() {
            builder = builder.protocol(message, answer);
        }
        Self { desk, pool: builder.build() }
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

    #[wasm_bindgen(js_name = _stats)]
    pub fn stats(&self) -> Box<[f64]> {
        Box::new(figures(self.pool.stats()))
    }

    #[wasm_bindgen(js_name = takeFailure)]
    pub fn take_failure(&self) -> JsValue {
        failure(self.pool.take_failure())
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

#[wasm_bindgen]
impl AudioNodePoolManager {
    #[wasm_bindgen(constructor)]
    pub fn new(context: BaseAudioContext, most_idle: f64, most: f64, idle_seconds: f64, memory: f64) -> Self {
        let options = Options::new(most_idle, most, idle_seconds, memory);
        let desk = Desk::new(&context);
        let mut builder = Manager::builder_in(&desk.shared.context).max_idle_per_type(options.most_idle);
        if let Some(memory) = &options.memory {
            builder = builder.memory(memory);
        }
        if let Some(nodes) = options.most {
            builder = builder.max_per_type(nodes);
        }
        if let Some(milliseconds) = options.idle_ms {
            builder = builder.idle_ttl_ms(milliseconds);
        }
        Self { desk, manager: builder.build() }
    }

    /// A node of one of the types, in the order that `index.js` has them; `size` is its line in seconds, or its channels.
    #[wasm_bindgen(js_name = _acquire)]
    pub fn acquire(&self, kind: u32, size: f64) -> Result<AudioNode, JsValue> {
        self.desk.hand_out(self.manager.acquire_kind(kind as usize, size))
    }

    #[wasm_bindgen(js_name = acquireIIRFilter)]
    pub fn acquire_iir(&self, feedforward: &[f64], feedback: &[f64]) -> Result<AudioNode, JsValue> {
        self.desk.hand_out(self.manager.acquire_any_iir(feedforward, feedback))
    }

    pub fn prewarm(&self, gains: usize, filters: usize, panners: usize) -> Result<usize, JsValue> {
        self.manager.prewarm(gains, filters, panners).map_err(thrown)
    }

    pub fn maintain(&self) -> usize {
        self.manager.maintain()
    }

    /// Those of each type, one after the other, in the order of `acquire`, and of the filters with coefficients last.
    #[wasm_bindgen(js_name = _stats)]
    pub fn stats(&self) -> Box<[f64]> {
        self.manager.all_stats().into_iter().flat_map(figures).collect()
    }

    #[wasm_bindgen(js_name = takeFailure)]
    pub fn take_failure(&self) -> JsValue {
        failure(self.manager.take_failure())
    }

    pub fn clear(&self) {
        self.manager.clear();
    }

    pub fn dispose(&self) {
        self.manager.close();
    }
}
