//! What the table of the design note's names promises and no other test touches.

use crate::support::offline;
use pool_web::AudioNodePoolManager;
use wasm_bindgen_test::wasm_bindgen_test;

// A manager whose parts are mixed up would hand out one type and count another.
#[wasm_bindgen_test]
fn pools_of_the_manager_are_at_hand() {
    let context = offline(1, 0.01);
    let nodes = AudioNodePoolManager::builder(&context)
        .max_per_type(3)
        .max_idle_per_type(2)
        .idle_ttl_ms(1.0e6)
        .build();
    let gains: Vec<_> = (0..3).map(|_| nodes.gains().acquire().expect("room")).collect();
    assert!(nodes.acquire_gain().is_err(), "no more than three");
    let filter = nodes.filters().acquire().expect("room");
    let delay = nodes.delays().acquire().expect("room");
    let panner = nodes.panners().acquire().expect("room");
    let stats = nodes.stats();
    assert_eq!(
        (stats.gain.leased, stats.filter.leased, stats.delay.leased, stats.panner.leased),
        (3, 1, 1, 1)
    );
    drop((gains, filter, delay, panner));
    assert_eq!(nodes.stats().gain.idle, 2, "no more than two");
    assert_eq!((nodes.gains().trim(0), nodes.stats().gain.idle), (2, 0));
    assert_eq!(nodes.stats().total().created, 6);
    assert_eq!(nodes.stats().total().hit_rate(), Some(0.0));
}
