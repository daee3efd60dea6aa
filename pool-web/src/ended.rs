//! [`ended`]: something to do once, when a source has played to its end.

use crate::error::{Exception, WebError};
use alloc::boxed::Box;
use alloc::rc::Rc;
use core::cell::Cell;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::{AudioScheduledSourceNode, EventTarget};

type Pending = Rc<Cell<Option<Box<dyn FnOnce()>>>>;

/// Something that is done when a source ends; made by [`ended`]. It may be dropped: that changes nothing.
pub struct Ended(Pending);

impl Ended {
    /// Drops the action, undone, and what it owns; for a source that will never be started. `false` if it was done
    /// already.
    pub fn cancel(self) -> bool {
        self.0.take().is_some()
    }

    /// Whether it is still to come.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        let action = self.0.take();
        let pending = action.is_some();
        self.0.set(action);
        pending
    }
}

/// Does `action` once, when `source` has ended: dropping the leases of a voice in it releases them. 2 calls into
/// JavaScript.
///
/// A source that is never started never ends, and one in a context that is closed or suspended neither; then `action`
/// and what it owns stay until [`Ended::cancel`], or until the browser collects the source.
///
/// # Errors
///
/// [`WebError::Exception`] if the browser refuses the listener.
pub fn ended(source: &AudioScheduledSourceNode, action: impl FnOnce() + 'static) -> Result<Ended, WebError> {
    let pending: Pending = Rc::new(Cell::new(Some(Box::new(action))));
    let fired = Rc::clone(&pending);
    // Frees itself when it is called; a source ends once.
    let listener = Closure::<dyn FnMut()>::once_into_js(move || {
        if let Some(action) = fired.take() {
            action();
        }
    });
    let target: &EventTarget = source.as_ref();
    target
        .add_event_listener_with_callback("ended", listener.unchecked_ref())
        .map_err(Exception::of("addEventListener"))?;
    Ok(Ended(pending))
}
