//! What the npm package exports: `pool-web`'s types, with the names of the TypeScript design note, for raw nodes and
//! buffers that are acquired and released by identity. The types that TypeScript sees are in `package/index.d.ts`.
//!
//! | Module | What |
//! |---|---|
//! | `error` | errors as `PoolError`, with a code and the numbers |
//! | `registry` | which raw node is whose |
//! | `shared` | what the pools of one context share |
//! | `nodes`, `buffers` | the pools |
//! | `samples` | what a cache of decoded sounds charges |
//! | `memory`, `profiler` | the budget, and how the context is doing |

#![cfg(target_arch = "wasm32")]
#![cfg_attr(target_arch = "wasm32", no_std)]
#![allow(clippy::missing_errors_doc, reason = "documented where its users read: in package/index.d.ts")]

extern crate alloc;

mod buffers;
mod error;
mod heap;
mod memory;
mod nodes;
mod options;
mod profiler;
mod registry;
mod samples;
mod shared;

use wasm_bindgen::prelude::*;

/// Nobody could read a message: there is no output but exceptions, and the trap is one, with a stack. Without messages a
/// third of the code goes that could only be reached for them.
#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// Calls `entry` with the interface and the state class of every type of node.
#[wasm_bindgen(js_name = nodeTypes, skip_typescript)]
pub fn node_types(entry: &js_sys::Function) {
    use pool_web::node_types::{NODE_TYPES, Recycling};
    use pool_web::recipe::StateClass;
    for node_type in NODE_TYPES {
        let class = match node_type.recycling {
            Recycling::OneShot => "one-shot",
            Recycling::Never(_) => "discard",
            Recycling::Pooled(spec) => match spec.state {
                StateClass::Stateless => "stateless",
                StateClass::AttributeReset { .. } => "sync-reset",
                StateClass::Rest => "rest",
                StateClass::Flush => "flush",
                StateClass::Protocol => "protocol",
            },
        };
        let (interface, class) = (JsValue::from_str(node_type.interface), JsValue::from_str(class));
        // It only makes a property of a plain object.
        let _ = entry.call2(&JsValue::UNDEFINED, &interface, &class);
    }
}
