//! Tests in a browser, with live and offline audio contexts. One binary, since each starts a browser.

#![cfg(target_family = "wasm")]
#![allow(clippy::expect_used, reason = "tests")]

mod buffers;
mod differences;
mod nodes;
mod profiler;
mod recycled;
mod samples;
mod stage;
mod support;
mod table;
mod worklets;

wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
