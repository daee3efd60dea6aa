//! `AudioNodePool` and `AudioNodePoolManager`.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;

use js_sys::Function;
use pool_web::{
    AudioNodePool as Pool, AudioNodePoolManager as Manager, NodeLease, NodeStats, Verdict, WebError,
};
use wasm_bindgen::prelude::*;
use web_sys::AudioNode;

use crate::error::{Code, fail, in_words, thrown};
use crate::options::{bounds, finite, given, given_context};
use crate::shared::{Shared, pool_number};

/// Both of them: a pool of nodes made by a function of the user's, or the pools of a manager, by number. What they do with
/// raw nodes is the same.
#[wasm_bindgen(skip_typescript)]
pub struct Nodes {
    shared: Rc<Shared>,
    number: u32,
    pools: Vec<Pool<AudioNode>>,
    /// What the factory made was refused; the reason is thrown as it is, and not as an exception of the factory's.
    refused: Rc<Cell<Option<JsValue>>>,
}

/// Who drops a pool, or forgets it, goes on using the nodes that are out: they are the user's now, with their connections.
impl Drop for Nodes {
    fn drop(&mut self) {
        let leases = self.shared.nodes.borrow_mut().take_all(self.number);
        for lease in leases {
            let node = lease.detach();
            self.shared.nodes.borrow_mut().forget(&node);
        }
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

#[wasm_bindgen]
impl Nodes {
    /// Without a factory the pools of a manager.
    #[wasm_bindgen(constructor)]
    #[allow(clippy::too_many_arguments, reason = "the options of `index.js`, one by one")]
    pub fn new(
        context: JsValue,
        most_idle: f64,
        most: f64,
        idle_seconds: f64,
        memory: f64,
        most_quarantined: f64,
        factory: Option<Function>,
        resetter: Option<Function>,
        settle_seconds: f64,
        message: JsValue,
        answer: JsValue,
    ) -> Result<Self, JsValue> {
        let context = given_context(context)?;
        let bounds = bounds(most_idle, most, idle_seconds, memory);
        let shared = Shared::of(&context);
        let refused: Rc<Cell<Option<JsValue>>> = Rc::default();
        let pools = match factory {
            None => {
                let mut builder = Manager::builder_in(&shared.context).bounds(&bounds);
                if !most_quarantined.is_nan() {
                    builder = builder.max_quarantined(most_quarantined as usize);
                }
                builder.build_pools()
            }
            Some(factory) => {
                let (all, why) = (Rc::downgrade(&shared), Rc::clone(&refused));
                let refuse = move |code| {
                    why.set(Some(fail(code, "node")));
                    JsValue::UNDEFINED
                };
                let mut builder = Pool::<AudioNode>::builder(&shared.context, move |context, ()| {
                    let made = factory.call1(&JsValue::UNDEFINED, context)?;
                    let node: AudioNode = given(made, "connect", "").map_err(|_| refuse(Code::NotANode))?;
                    // A node that is in a pool would be out twice.
                    let new = all.upgrade().is_some_and(|all| all.nodes.borrow().note(&node));
                    if new { Ok(node) } else { Err(refuse(Code::Foreign)) }
                })
                .bounds(&bounds);
                if let Some(resetter) = resetter {
                    builder = builder.try_resetter(move |node: &AudioNode| {
                        let verdict = resetter.call1(&JsValue::UNDEFINED, node)?;
                        Ok(if verdict == JsValue::FALSE { Verdict::Discard } else { Verdict::Keep })
                    });
                }
                if !most_quarantined.is_nan() {
                    builder = builder.max_quarantined(most_quarantined as usize);
                }
                if let Some(seconds) = finite(settle_seconds) {
                    builder = builder.settle_seconds(seconds);
                }
                if !message.is_undefined() {
                    builder = builder.protocol(message, answer);
                }
                vec![builder.build()]
            }
        };
        Ok(Self { shared, number: pool_number(), pools, refused })
    }

    /// For `map_err`, where a factory may have run.
    fn told(&self, error: WebError) -> JsValue {
        self.refused.take().unwrap_or_else(|| thrown(error))
    }

    fn hand_out(&self, lease: Result<NodeLease<AudioNode>, WebError>) -> Result<AudioNode, JsValue> {
        let lease = lease.map_err(|error| self.told(error))?;
        let node = lease.as_raw().clone();
        self.shared.nodes.borrow_mut().add(&node, self.number, lease);
        Ok(node)
    }

    /// A node of one of the pools, in the order that `index.js` has them; `size` is its line in seconds, or its channels.
    #[wasm_bindgen(js_name = _acquire)]
    pub fn acquire(&self, kind: u32, size: f64) -> Result<AudioNode, JsValue> {
        self.hand_out(Manager::acquire_kind(&self.pools, kind as usize, size))
    }

    #[wasm_bindgen(js_name = _acquireIIR)]
    pub fn acquire_iir(&self, feedforward: &[f64], feedback: &[f64]) -> Result<AudioNode, JsValue> {
        self.hand_out(Manager::acquire_any_iir(&self.pools, feedforward, feedback))
    }

    /// With `keep` as a release, else given up.
    #[wasm_bindgen(js_name = _end)]
    pub fn end(&self, node: &JsValue, keep: bool) -> Result<(), JsValue> {
        let lease = self.shared.nodes.borrow_mut().take(node, self.number)?;
        // With nothing borrowed: the user's resetter may use the pools.
        if keep {
            drop(lease);
        } else {
            lease.discard();
        }
        Ok(())
    }

    /// The node is the user's from now on, as it is.
    pub fn detach(&self, node: &JsValue) -> Result<(), JsValue> {
        let lease = self.shared.nodes.borrow_mut().take(node, self.number)?;
        let node = lease.detach();
        self.shared.nodes.borrow_mut().forget(&node);
        Ok(())
    }

    /// To a parameter if there is a name.
    #[wasm_bindgen(js_name = _connect)]
    pub fn connect(
        &self,
        source: &AudioNode,
        target: &AudioNode,
        output: u32,
        input: u32,
        param: Option<String>,
    ) -> Result<(), JsValue> {
        let nodes = self.shared.nodes.borrow();
        let lease = nodes.get(target)?;
        self.shared
            .as_source(source, |source| match param {
                None => lease.connect_from_output(source, output, input),
                Some(name) => lease.connect_param_from(source, &name),
            })
            .map(drop)
            .map_err(thrown)
    }

    /// Returns how many connections there were.
    #[wasm_bindgen(js_name = _cut)]
    pub fn cut(&self, source: &AudioNode, target: &AudioNode) -> Result<usize, JsValue> {
        let nodes = self.shared.nodes.borrow();
        let lease = nodes.get(target)?;
        self.shared.as_source(source, |source| lease.cut_from(source)).map_err(thrown)
    }

    #[wasm_bindgen(js_name = rampTo)]
    pub fn ramp_to(&self, node: &AudioNode, param: &str, value: f32, end_time: f64) -> Result<(), JsValue> {
        self.shared.nodes.borrow().get(node)?.ramp_to(param, value, end_time).map_err(thrown)
    }

    pub fn listen(&self, node: &AudioNode, kind: &str, callback: &Function) -> Result<(), JsValue> {
        self.shared.nodes.borrow().get(node)?.listen_by(kind, callback).map_err(thrown)
    }

    #[wasm_bindgen(js_name = _prewarm)]
    pub fn prewarm(&self, kind: u32, size: f64, count: f64) -> Result<usize, JsValue> {
        Manager::prewarm_kind(&self.pools, kind as usize, size, count as usize)
            .map_err(|error| self.told(error))
    }

    pub fn maintain(&self) -> usize {
        self.pools.iter().map(Pool::maintain).sum()
    }

    /// Of each pool.
    #[wasm_bindgen(js_name = _trim)]
    pub fn trim(&self, available: f64) -> usize {
        let available = available as usize;
        self.pools.iter().map(|pool| pool.trim(available)).sum()
    }

    /// Those of each pool, one after the other.
    #[wasm_bindgen(js_name = _stats)]
    pub fn stats(&self) -> Box<[f64]> {
        let mut all = Vec::new();
        for pool in &self.pools {
            all.extend_from_slice(&figures(pool.stats()));
        }
        all.into()
    }

    #[wasm_bindgen(js_name = takeFailure)]
    pub fn take_failure(&self) -> JsValue {
        let failure = self.pools.iter().find_map(Pool::take_failure);
        failure.as_ref().map_or(JsValue::UNDEFINED, in_words)
    }

    pub fn clear(&self) {
        self.pools.iter().for_each(Pool::clear);
    }

    pub fn dispose(&self) {
        self.pools.iter().for_each(Pool::close);
    }
}
