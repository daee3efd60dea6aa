//! Trees of accounts, and tokens, against the naive models of `pool-fuzz`, with operations that proptest invents and
//! shrinks. What is compared is said there.

use pool_fuzz::{AccountOp, How, Setup, TokenOp, run_accounts, run_tokens};
use proptest::prelude::*;

/// Miri is some hundred times slower, and looks for other things.
const CASES: u32 = if cfg!(miri) { 4 } else { 512 };
const OPS: usize = if cfg!(miri) { 40 } else { 150 };

fn how() -> impl Strategy<Value = How> {
    prop_oneof![3 => Just(How::Plain), 1 => Just(How::External), 4 => Just(How::OnCredit)]
}

fn limit() -> impl Strategy<Value = Option<u16>> {
    prop_oneof![1 => Just(None), 2 => (0..3000u16).prop_map(Some)]
}

fn account_op() -> impl Strategy<Value = AccountOp> {
    let at = || 0..6u8;
    let nth = || 0..24u8;
    let bytes = || 0..400u16;
    prop_oneof![
        8 => (at(), bytes(), how()).prop_map(|(at, bytes, how)| AccountOp::Reserve { at, bytes, how }),
        1 => (at(), any::<u8>(), how()).prop_map(|(at, below, how)| AccountOp::ReserveHuge { at, below, how }),
        6 => (nth(), bytes()).prop_map(|(nth, bytes)| AccountOp::Grow { nth, bytes }),
        6 => (nth(), bytes()).prop_map(|(nth, bytes)| AccountOp::Shrink { nth, bytes }),
        2 => (nth(), bytes()).prop_map(|(nth, bytes)| AccountOp::Split { nth, bytes }),
        2 => nth().prop_map(|nth| AccountOp::Take { nth }),
        6 => nth().prop_map(|nth| AccountOp::Free { nth }),
        1 => (at(), limit()).prop_map(|(at, bytes)| AccountOp::SetHard { at, bytes }),
        1 => (at(), limit()).prop_map(|(at, bytes)| AccountOp::SetSoft { at, bytes }),
        1 => (at(), limit()).prop_map(|(at, bytes)| AccountOp::SetLow { at, bytes }),
        1 => at().prop_map(|at| AccountOp::ResetPeak { at }),
        1 => (at(), bytes()).prop_map(|(at, bytes)| AccountOp::MakeRoom { at, bytes }),
    ]
}

fn setup() -> impl Strategy<Value = Setup> {
    let limits = || prop::array::uniform5(limit());
    (limits(), limits(), prop::array::uniform5(0..20u8)).prop_map(|(hard, soft, credit)| Setup {
        hard,
        soft,
        credit,
    })
}

fn token_op() -> impl Strategy<Value = TokenOp> {
    let pool = || 0..4u8;
    let nth = any::<u8>;
    let redeem = any::<bool>;
    prop_oneof![
        6 => pool().prop_map(|pool| TokenOp::Acquire { pool }),
        2 => nth().prop_map(|nth| TokenOp::Release { nth }),
        6 => nth().prop_map(|nth| TokenOp::IntoId { nth }),
        8 => (nth(), pool(), redeem()).prop_map(|(nth, pool, redeem)| TokenOp::Present { nth, pool, redeem }),
        2 => (nth(), pool(), any::<u8>(), redeem())
            .prop_map(|(nth, pool, bit, redeem)| TokenOp::Forged { nth, pool, bit, redeem }),
        1 => (any::<u128>(), pool(), redeem())
            .prop_map(|(bits, pool, redeem)| TokenOp::Invented { bits, pool, redeem }),
        1 => pool().prop_map(|pool| TokenOp::Trim { pool }),
        1 => nth().prop_map(|nth| TokenOp::Discard { nth }),
    ]
}

fn cases() -> ProptestConfig {
    ProptestConfig {
        cases: CASES,
        max_shrink_iters: 20_000,
        // Regressions become tests of their own, with a name; a file of seeds says nothing.
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases())]

    // Whatever differs between what accounts do, charged plainly or on credit, and what is promised.
    #[test]
    fn accounts_do_what_the_model_does(ops in prop::collection::vec(account_op(), 1..OPS), setup in setup()) {
        run_accounts(&ops, &setup);
    }

    // A token honoured twice, by another pool, or for another object; one that is refused while it is good.
    #[test]
    fn tokens_are_honoured_once_and_by_their_own_pool(ops in prop::collection::vec(token_op(), 1..OPS)) {
        run_tokens(&ops);
    }
}
