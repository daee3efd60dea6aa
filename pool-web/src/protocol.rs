//! How a worklet node is asked to forget: [`Protocol`]. Only its processor knows what it remembers.

use crate::error::{Exception, WebError};
use alloc::boxed::Box;
use alloc::rc::Rc;
use core::cell::Cell;
use js_sys::Object;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AudioWorkletNode, MessageEvent, MessagePort};

/// What is posted to the processor at a release, and what it answers once it is as new.
pub(crate) struct Protocol {
    pub(crate) message: JsValue,
    pub(crate) answer: JsValue,
}

impl Protocol {
    /// Listens for the answer, beside whatever the user's code does with the port.
    pub(crate) fn attach(self: &Rc<Self>, node: &AudioWorkletNode) -> Result<Question, WebError> {
        let failed = Exception::of("AudioWorkletNode.port");
        let port = node.port().map_err(&failed)?;
        let answered = Rc::new(Cell::new(true));
        let (protocol, heard) = (Rc::clone(self), Rc::clone(&answered));
        let listener = Closure::wrap(Box::new(move |event: MessageEvent| {
            if Object::is(&event.data(), &protocol.answer) {
                heard.set(true);
            }
        }) as Box<dyn FnMut(MessageEvent)>);
        port.add_event_listener_with_callback("message", listener.as_ref().unchecked_ref())
            .map_err(failed)?;
        Ok(Question { protocol: Rc::clone(self), port, answered, listener })
    }
}

/// One node's line to its processor.
pub(crate) struct Question {
    protocol: Rc<Protocol>,
    port: MessagePort,
    answered: Rc<Cell<bool>>,
    listener: Closure<dyn FnMut(MessageEvent)>,
}

impl Question {
    /// Asks. 2 calls into JavaScript.
    pub(crate) fn ask(&self) -> Result<(), WebError> {
        self.answered.set(false);
        // A port delivers nothing to listeners until it is started; a second time changes nothing.
        self.port.start();
        self.port.post_message(&self.protocol.message).map_err(Exception::of("postMessage"))
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.answered.get()
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        // A listener that was added can be removed.
        let listener = self.listener.as_ref().unchecked_ref();
        let _ = self.port.remove_event_listener_with_callback("message", listener);
    }
}
