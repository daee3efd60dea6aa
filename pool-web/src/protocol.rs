//! How a worklet node is asked to forget: [`Protocol`]. Only its processor knows what it remembers.

use crate::bindings;
use crate::error::{Exception, WebError};
use alloc::rc::Rc;
use wasm_bindgen::JsValue;
use web_sys::AudioNode;

/// What is posted to the processor at a release, and what it answers once it is as new.
pub(crate) struct Protocol {
    pub(crate) message: JsValue,
    pub(crate) answer: JsValue,
}

impl Protocol {
    /// Listens for the answer, beside whatever the user's code does with the port.
    pub(crate) fn attach(self: &Rc<Self>, node: &AudioNode) -> Result<Question, WebError> {
        let asked = bindings::question(node, &self.answer).map_err(Exception::of("AudioWorkletNode.port"))?;
        Ok(Question { protocol: Rc::clone(self), asked })
    }
}

/// One node's line to its processor.
pub(crate) struct Question {
    protocol: Rc<Protocol>,
    /// Lives in JavaScript: the port, the listener, and whether it has heard the answer.
    asked: JsValue,
}

impl Question {
    /// Asks. 1 call into JavaScript.
    pub(crate) fn ask(&self) -> Result<(), WebError> {
        bindings::ask(&self.asked, &self.protocol.message).map_err(Exception::of("postMessage"))
    }

    /// 1 call into JavaScript.
    pub(crate) fn is_answered(&self) -> bool {
        bindings::is_answered(&self.asked)
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        bindings::forget_question(&self.asked);
    }
}
