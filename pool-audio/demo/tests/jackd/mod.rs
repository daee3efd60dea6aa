//! Servers of the tests' own, and the eight places that a machine has for servers.
//!
//! One that is killed keeps its place, and so may one that ends together with its only client. Nobody but a server of the
//! same name frees it; these tests do, so that they can be run any number of times.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to begin.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts a server of this name; without real-time priority, which not every system grants.
pub(crate) fn spawn(name: &str) -> Child {
    let mut server = Command::new("jackd");
    server.args(["-n", name, "-r", "-d", "dummy", "-r", "48000", "-p", "256"]);
    server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Starts a server of this name and waits until it takes clients. It ends at once while there is no place for it; other tests
/// that run meanwhile free those that they have taken.
pub(crate) fn start(name: &str) -> Child {
    let mut server = spawn(name);
    let begun = Instant::now();
    while !Command::new("jack_lsp").env("JACK_DEFAULT_SERVER", name).output().unwrap().status.success() {
        assert!(begun.elapsed() < PATIENCE, "no server began");
        thread::sleep(Duration::from_millis(100));
        if server.try_wait().unwrap().is_some() {
            server = spawn(name);
        }
    }
    server
}

/// Whether a server of this name has a place, where this system writes them down.
pub(crate) fn has_a_place(name: &str) -> bool {
    let name = format!(":{name}:");
    fs::read("/dev/shm/jack-shm-registry")
        .is_ok_and(|places| places.windows(name.len()).any(|window| window == name.as_bytes()))
}

/// Frees the place of a server of this name that has ended.
pub(crate) fn free_place(name: &str) {
    if has_a_place(name) {
        let mut server = start(name);
        assert!(Command::new("kill").arg(server.id().to_string()).status().unwrap().success());
        server.wait().unwrap();
        assert!(!has_a_place(name), "{name}");
    }
}
