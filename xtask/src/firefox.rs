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
                // The page's process opens the device itself. By way of the parent's they wait for each other for ever at times,
                // when contexts come and go: PulseAudio's thread asks the page's with its own lock held, which the thread that
                // serves the page wants (seen in Firefox 153 ESR, in two runs running).
                "media.cubeb.sandbox": false,
                "security.sandbox.content.level": 0,
                // Without these an AudioContext waits for a click that never comes.
                "media.autoplay.default": 0,
                "media.autoplay.blocking_policy": 0,
                "media.autoplay.block-webaudio": false,
            },
        },
    })
}
