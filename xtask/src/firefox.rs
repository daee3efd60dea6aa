//! How Firefox is started: what live audio without a screen and a user needs.

use std::path::Path;

use serde_json::{Value, json};

/// Capabilities of a session that tests run in.
pub(crate) fn test_capabilities(firefox: &Path) -> Value {
    json!({
        "moz:firefoxOptions": {
            "binary": firefox,
            "args": ["-headless"],
            "prefs": {
                // Without these an AudioContext waits for a click that never comes.
                "media.autoplay.default": 0,
                "media.autoplay.blocking_policy": 0,
                "media.autoplay.block-webaudio": false,
            },
        },
    })
}
