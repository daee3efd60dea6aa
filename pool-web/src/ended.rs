//! [`ended`]: something to do once, when a source has played to its end.

use crate::bindings;
use crate::error::{Exception, WebError};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::RefCell;
use wasm_bindgen::prelude::Closure;
use web_sys::AudioScheduledSourceNode;

type Action = Box<dyn FnOnce()>;

/// Actions by number. One function in JavaScript tells the numbers of all sources that end; a closure for each would
/// be garbage that the browser has to finalize.
struct Actions {
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// Whether JavaScript knows whom to tell.
    connected: bool,
}

#[derive(Default)]
struct Entry {
    action: Option<Action>,
    /// Whose it is: [`NOBODY`], or the number of a pool.
    owner: u32,
    /// How often it was used: an [`Ended`] that outlives its action must not cancel another one.
    generation: u32,
}

crate::per_thread! {
    static ACTIONS: RefCell<Actions> = RefCell::new(Actions::new());
}

impl Actions {
    const fn new() -> Self {
        Self { entries: Vec::new(), free: Vec::new(), connected: false }
    }

    fn add(&mut self, owner: u32, action: Action) -> (u32, u32) {
        let index = self.free.pop().unwrap_or(self.entries.len() as u32);
        if index as usize == self.entries.len() {
            self.entries.push(Entry::default());
        }
        let entry = &mut self.entries[index as usize];
        entry.action = Some(action);
        entry.owner = owner;
        (index, entry.generation)
    }

    /// The action has been done or dropped, and its source has ended: the number may be given out again.
    fn end(&mut self, index: u32) -> Option<Action> {
        let entry = self.entries.get_mut(index as usize)?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(index);
        entry.action.take()
    }
}

/// Something that is done when a source ends; made by [`ended`]. It may be dropped: that changes nothing.
pub struct Ended {
    index: u32,
    generation: u32,
}

impl Ended {
    /// Drops the action, undone, and what it owns; for a source that will never be started. `false` if it was done
    /// already.
    pub fn cancel(self) -> bool {
        let action = ACTIONS.with_borrow_mut(|actions| {
            let entry = actions.entries.get_mut(self.index as usize)?;
            // The number stays taken: the source may end after all.
            if entry.generation == self.generation { entry.action.take() } else { None }
        });
        // With nothing borrowed: what it owns may be leases.
        action.is_some()
    }

    /// Whether it is still to come.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        ACTIONS.with_borrow(|actions| {
            let entry = actions.entries.get(self.index as usize);
            entry.is_some_and(|entry| entry.generation == self.generation && entry.action.is_some())
        })
    }
}

/// Does `action` once, when `source` has ended: dropping the leases of a voice in it releases them. 1 call into
/// JavaScript.
///
/// A source that is never started never ends, and one in a context that is closed or suspended neither; then `action`
/// and what it owns stay until [`Ended::cancel`].
///
/// # Errors
///
/// [`WebError::Exception`] if it is no source, as only JavaScript can bring about; then nothing is left of `action`.
pub fn ended(source: &AudioScheduledSourceNode, action: impl FnOnce() + 'static) -> Result<Ended, WebError> {
    ended_of(NOBODY, source, action)
}

/// The owner of actions that no pool can cancel.
const NOBODY: u32 = 0;

/// As [`ended`], for the pool with this number, which can [`cancel_of`] it.
pub(crate) fn ended_of(
    owner: u32,
    source: &AudioScheduledSourceNode,
    action: impl FnOnce() + 'static,
) -> Result<Ended, WebError> {
    let (index, generation, connected) = ACTIONS.with_borrow_mut(|actions| {
        let (index, generation) = actions.add(owner, Box::new(action));
        (index, generation, core::mem::replace(&mut actions.connected, true))
    });
    if !connected {
        let dispatch = Closure::<dyn Fn(u32)>::new(|index| {
            let action = ACTIONS.with_borrow_mut(|actions| actions.end(index));
            if let Some(action) = action {
                action();
            }
        });
        bindings::set_dispatch(&dispatch.into_js_value());
    }
    if let Err(thrown) = bindings::on_ended(source, index) {
        // Nobody will tell the number, so that it can be given out again at once.
        let action = ACTIONS.with_borrow_mut(|actions| actions.end(index));
        drop(action);
        return Err(WebError::Exception(Exception::from_js("ended", &thrown)));
    }
    Ok(Ended { index, generation })
}

/// Drops the actions of a pool, undone, and what they own: its context was closed, and no source of it will end. O(actions
/// of all pools).
pub(crate) fn cancel_of(owner: u32) {
    let take = |actions: &mut Actions| {
        let of_owner = actions.entries.iter_mut().filter(|entry| entry.owner == owner);
        of_owner.filter_map(|entry| entry.action.take()).collect::<Vec<_>>()
    };
    let gone = ACTIONS.with_borrow_mut(take);
    // With nothing borrowed: what they own are leases.
    drop(gone);
}

crate::per_thread! {
    static OWNERS: core::cell::Cell<u32> = core::cell::Cell::new(NOBODY);
}

/// A number for a pool.
pub(crate) fn new_owner() -> u32 {
    OWNERS.with(|owners| {
        owners.set(owners.get().wrapping_add(1).max(1));
        owners.get()
    })
}
