//! The keyed pools against the naive model of `pool-fuzz`, with operations that proptest invents and shrinks.
//!
//! A failure prints the shortest list of operations that shows it, and what differs after which of them; as a test
//! it is `pool_fuzz::run(&[..], &Config { .. })`. What is compared after each operation: what it returned, every
//! number, every idle object in its order, every event, and every object's end.

use pool_fuzz::{Config, Deed, Limits, Op, run, run_callbacks, run_several};
use proptest::prelude::*;

/// Miri is some hundred times slower, and looks for other things.
const CASES: u32 = if cfg!(miri) { 4 } else { 256 };
const OPS: usize = if cfg!(miri) { 40 } else { 200 };

fn op() -> impl Strategy<Value = Op> {
    let key = 0..4u8;
    let nth = || 0..8u8;
    let level = || 0..2u8;
    prop_oneof![
        20 => key.clone().prop_map(|key| Op::Acquire { key }),
        4 => key.clone().prop_map(|key| Op::TryAcquire { key }),
        16 => nth().prop_map(|nth| Op::Release { nth }),
        4 => nth().prop_map(|nth| Op::IntoId { nth }),
        2 => nth().prop_map(|nth| Op::Redeem { nth }),
        2 => (nth(), any::<bool>()).prop_map(|(nth, redeem)| Op::Stale { nth, redeem }),
        1 => any::<bool>().prop_map(|redeem| Op::Foreign { redeem }),
        2 => (nth(), 0..128u8).prop_map(|(nth, bit)| Op::Forged { nth, bit }),
        1 => nth().prop_map(|nth| Op::Detach { nth }),
        2 => nth().prop_map(|nth| Op::Discard { nth }),
        1 => nth().prop_map(|nth| Op::Forget { nth }),
        3 => (nth(), 0..200u8).prop_map(|(nth, bytes)| Op::Resize { nth, bytes }),
        1 => (0..8u8).prop_map(|target| Op::Trim { target }),
        1 => (0..16u8).prop_map(|keys| Op::Retain { keys }),
        1 => (0..512u16).prop_map(|bytes| Op::EvictTo { bytes }),
        3 => (key, 0..5u8).prop_map(|(key, count)| Op::Prewarm { key, count }),
        4 => (0..8u8).prop_map(|limit| Op::Maintain { limit }),
        3 => (0..10u8).prop_map(|ticks| Op::Advance { ticks }),
        2 => (level(), 0..1024u16).prop_map(|(level, bytes)| Op::SetHardLimit { level, bytes }),
        1 => (0..1024u16).prop_map(|bytes| Op::SetPoolLimit { bytes }),
        2 => (level(), 0..1024u16).prop_map(|(level, bytes)| Op::SetSoftLimit { level, bytes }),
        1 => Just(Op::ResetPeak),
        2 => (level(), 0..300u16, any::<bool>())
            .prop_map(|(level, bytes, external)| Op::Charge { level, bytes, external }),
        2 => nth().prop_map(|nth| Op::Uncharge { nth }),
        1 => Just(Op::Close),
        1 => Just(Op::FailNext),
        1 => Just(Op::DiscardNext),
        2 => (-50..50i8).prop_map(|by| Op::MisjudgeNext { by }),
        4 => (nth(), 0..16u8).prop_map(|(nth, after)| Op::ReleaseAt { nth, after }),
        2 => (0..8u8, 0..300u16).prop_map(|(limit, bytes)| Op::MaintainBytes { limit, bytes }),
        1 => (0..4u8).prop_map(|place| Op::PanicNext { place }),
        6 => (0..3u8).prop_map(|pool| Op::Use { pool }),
    ]
}

fn bound(range: std::ops::Range<u8>) -> impl Strategy<Value = Option<u8>> {
    prop_oneof![Just(None), range.prop_map(Some)]
}

fn limits() -> impl Strategy<Value = Option<Limits>> {
    let bytes = || prop_oneof![1 => Just(1000u16), 3 => 0..600u16];
    prop_oneof![1 => Just(None), 3 => (bytes(), bytes()).prop_map(|(hard, soft)| Some(Limits { hard, soft }))]
}

fn config() -> impl Strategy<Value = Config> {
    let counts = (bound(0..16), bound(0..8), bound(0..8), 0..3u8);
    let times = (bound(0..30), bound(0..60), bound(0..20));
    let watch = prop_oneof![Just(None), (0..4u8, 0..20u8).prop_map(Some)];
    (counts, times, bound(40..160), (limits(), limits()), prop::bool::weighted(0.1), 0..6u8, watch).prop_map(
        |(
            (max_objects, max_per_key, max_idle_per_key, min_idle),
            (idle_ttl, max_lifetime, soft_idle_ttl),
            max_retained_bytes,
            (own, parent),
            closes,
            window,
            watch,
        )| Config {
            max_objects,
            max_per_key,
            max_idle_per_key,
            min_idle,
            idle_ttl,
            max_lifetime,
            max_retained_bytes,
            accounts: [own, parent],
            closes,
            soft_idle_ttl,
            window,
            watch,
        },
    )
}

/// What makes objects wait among others that are to stay, and small slices of housekeeping.
fn slicing() -> impl Strategy<Value = Op> {
    let key = || 0..4u8;
    prop_oneof![
        6 => (key(), 1..5u8).prop_map(|(key, count)| Op::Prewarm { key, count }),
        3 => key().prop_map(|key| Op::Acquire { key }),
        2 => (0..8u8).prop_map(|nth| Op::Release { nth }),
        1 => (0..16u8).prop_map(|keys| Op::Retain { keys }),
        8 => (0..6u8).prop_map(|limit| Op::Maintain { limit }),
        1 => (1..4u8, 0..200u16).prop_map(|(limit, bytes)| Op::MaintainBytes { limit, bytes }),
        3 => (0..6u8).prop_map(|ticks| Op::Advance { ticks }),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    let (pool, key, nth) = (|| 0..3u8, || 0..4u8, || 0..8u8);
    prop_oneof![
        12 => (pool(), key()).prop_map(|(pool, key)| Deed::Acquire { pool, key }),
        2 => nth().prop_map(|nth| Deed::PanicWith { nth }),
        2 => (pool(), key()).prop_map(|(pool, key)| Deed::TryAcquire { pool, key }),
        8 => nth().prop_map(|nth| Deed::Release { nth }),
        2 => (nth(), 0..16u8).prop_map(|(nth, after)| Deed::ReleaseAt { nth, after }),
        1 => nth().prop_map(|nth| Deed::ReleaseToken { nth }),
        1 => nth().prop_map(|nth| Deed::Discard { nth }),
        1 => nth().prop_map(|nth| Deed::Detach { nth }),
        2 => (nth(), 0..200u8).prop_map(|(nth, bytes)| Deed::Resize { nth, bytes }),
        2 => (pool(), key(), 0..5u8).prop_map(|(pool, key, count)| Deed::Prewarm { pool, key, count }),
        1 => (pool(), 0..8u8).prop_map(|(pool, target)| Deed::Trim { pool, target }),
        2 => (pool(), 0..16u8).prop_map(|(pool, keys)| Deed::Retain { pool, keys }),
        1 => (pool(), 0..512u16).prop_map(|(pool, bytes)| Deed::EvictTo { pool, bytes }),
        3 => (pool(), prop_oneof![Just(255u8), 0..8u8]).prop_map(|(pool, limit)| Deed::Maintain { pool, limit }),
        1 => (0..2u8, 0..1024u16).prop_map(|(level, bytes)| Deed::SetHardLimit { level, bytes }),
        1 => (pool(), 0..1024u16).prop_map(|(pool, bytes)| Deed::SetPoolLimit { pool, bytes }),
        1 => (0..2u8, 0..1024u16).prop_map(|(level, bytes)| Deed::SetSoftLimit { level, bytes }),
        1 => (0..2u8, 0..1024u16).prop_map(|(level, bytes)| Deed::SetLowWatermark { level, bytes }),
        4 => any::<i8>().prop_map(|by| Deed::Misjudge { by }),
        2 => (0..10u8).prop_map(|ticks| Deed::Advance { ticks }),
        1 => Just(Deed::Fail),
        1 => Just(Deed::Spend),
        1 => pool().prop_map(|pool| Deed::Close { pool }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        max_shrink_iters: 20_000,
        // Regressions become tests of their own, with a name; a file of seeds says nothing.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    // Whatever differs between what the pool does and what is promised: order, counts, bytes, errors, ends.
    #[test]
    fn a_keyed_pool_does_what_the_model_does(
        ops in prop::collection::vec(op(), 1..OPS),
        config in config(),
    ) {
        run(&ops, &config);
    }

    // A slice that does not go on where the last one was cut short, or there where nothing is any more. What else can happen
    // comes between too seldom for the others to see that.
    #[test]
    fn a_pool_maintained_in_slices_does_what_the_model_does(
        ops in prop::collection::vec(slicing(), 1..OPS),
        (min_idle, soft_idle_ttl, max_lifetime) in (1..4u8, 1..10u8, bound(10..60)),
        soft in prop_oneof![Just(None), (0..400u16).prop_map(|soft| Some(Limits { soft, ..Limits::default() }))],
    ) {
        let accounts = [soft, None];
        let soft_idle_ttl = Some(soft_idle_ttl);
        run(&ops, &Config { min_idle, soft_idle_ttl, max_lifetime, accounts, ..Config::default() });
    }

    // The same of several: an order of eviction within each pool only, bytes that are short in one account and evicted in
    // another, a pool that gives what it no longer has.
    #[test]
    fn pools_under_one_tree_of_accounts_do_what_the_model_does(
        ops in prop::collection::vec(op(), 1..OPS),
        configs in (config(), config(), config()),
    ) {
        run_several(&ops, &configs.into());
    }

    // A count that is wrong, an object that is lost or out twice, or a lock that is held, when a factory, resetter, destructor,
    // observer, event handler or predicate panics or uses the pools again.
    #[test]
    fn callbacks_may_panic_and_use_the_pools_again(
        deeds in prop::collection::vec(deed(), 1..OPS),
        planted in prop::collection::vec((0..6u8, prop_oneof![2 => Just(Deed::Panic), 5 => deed()]), 0..OPS),
        configs in (config(), config(), config()),
    ) {
        run_callbacks(&deeds, &planted, &configs.into());
    }
}
