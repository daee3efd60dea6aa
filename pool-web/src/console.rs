//! A group of lines in the browser's console.

use alloc::string::String;
use wasm_bindgen::JsValue;

pub(crate) fn group(title: &str, lines: &[String]) {
    web_sys::console::group_1(&JsValue::from_str(title));
    for line in lines {
        web_sys::console::log_1(&JsValue::from_str(line));
    }
    web_sys::console::group_end();
}
