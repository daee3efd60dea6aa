//! Does writing an attribute empty a node in this browser? A property of the browser, not of a context.
//!
//! The experiment is in `glue.js`: it is one wait after another, which JavaScript does in a tenth of the code.

use crate::bindings;
use crate::recipe::Probe;
use core::cell::Cell;
use wasm_bindgen_futures::JsFuture;

#[derive(Clone, Copy, PartialEq)]
enum State {
    Unasked,
    Asked,
    Known(bool),
}

crate::per_thread! {
    static STATES: Cell<[State; Probe::ALL.len()]> = Cell::new([State::Unasked; Probe::ALL.len()]);
}

fn state(probe: Probe) -> State {
    STATES.with(|states| states.get()[probe as usize])
}

fn set_state(probe: Probe, state: State) {
    STATES.with(|states| {
        let mut all = states.get();
        all[probe as usize] = state;
        states.set(all);
    });
}

/// The answer, once it is known. One call into JavaScript while it is not.
pub(crate) fn answer(probe: Probe) -> Option<bool> {
    match state(probe) {
        State::Known(works) => return Some(works),
        State::Unasked => return None,
        State::Asked => {}
    }
    let works = match bindings::probed(probe as u32) {
        0 => return None,
        answer => answer == 2,
    };
    set_state(probe, State::Known(works));
    Some(works)
}

/// Asks in the background, unless that was done. `rate` is the one of the context that it is for: its tables of HRTF are
/// loaded or will be.
pub(crate) fn want(probe: Probe, rate: f32) {
    if state(probe) == State::Unasked {
        set_state(probe, State::Asked);
        // The promise is kept there; it never rejects.
        let _ = bindings::probe(probe as u32, rate);
    }
}

/// Waits for the answer.
pub(crate) async fn ask(probe: Probe, rate: f32) -> bool {
    want(probe, rate);
    JsFuture::from(bindings::probe(probe as u32, rate)).await.is_ok_and(|works| works.is_truthy())
}
