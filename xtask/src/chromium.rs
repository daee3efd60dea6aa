//! How Chromium is started: the flags that live audio without a screen, a user or a sound card needs.

use std::path::Path;

use serde_json::{Value, json};

use crate::setup::is_root;

/// Categories of trace events: collections of the script's objects are in `v8`, what Blink does for its own, such as
/// audio nodes, in `cppgc`, the marks that tell the page's process and the measured time in `blink.user_timing`. No more, as the
/// buffer has an end.
const TRACE_CATEGORIES: &str = "v8,cppgc,blink.user_timing";

/// In a page that is quiet, V8's memory reducer collects twice half a minute after loading, whether there is anything to collect or
/// not. Pooled voices leave a page quiet, fresh ones never do: it would count against those that need it least.
const NO_IDLE_COLLECTIONS: &str = "--js-flags=--no-memory-reducer";

/// The arguments of Chromium.
fn arguments() -> Vec<&'static str> {
    let mut arguments = vec![
        "--headless=new",
        "--disable-gpu",
        // Pictures are as wide as the window is.
        "--hide-scrollbars",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        // Containers have a /dev/shm of 64 MB, which a page with audio overflows.
        "--disable-dev-shm-usage",
        // Without it an AudioContext waits for a click that never comes.
        "--autoplay-policy=no-user-gesture-required",
    ];
    // Chromium's sandbox refuses to run as root, and containers of CI machines seldom allow it.
    if is_root() || std::env::var_os("CI").is_some() {
        arguments.push("--no-sandbox");
    }
    arguments
}

/// Capabilities of a session that tests run in.
pub(crate) fn test_capabilities(chromium: &Path) -> Value {
    json!({ "goog:chromeOptions": { "binary": chromium, "args": arguments() } })
}

/// Capabilities of a session that is measured: its console and its trace events are logged.
pub(crate) fn measuring_capabilities(chromium: &Path) -> Value {
    let mut arguments = arguments();
    arguments.push(NO_IDLE_COLLECTIONS);
    json!({
        "goog:chromeOptions": {
            "binary": chromium,
            "args": arguments,
            "perfLoggingPrefs": {
                "enableNetwork": false,
                "enablePage": false,
                "traceCategories": TRACE_CATEGORIES,
            },
        },
        "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
    })
}
