//! A kernel that forbids its barrier after credits were made that rely on it: what is lent cannot be recalled any more, and
//! nobody waits for it. A process of its own, for the filter on system calls stays.
#![cfg(all(target_os = "linux", feature = "std", not(miri), not(pool_core_loom)))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use pool_core::{Account, AcquireError, KeyedPool};
use std::convert::Infallible;

/// membarrier(2) fails from now on, in this thread and those that it starts.
fn forbid_the_barrier() {
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut steps = [
        // The number of the call, which is first in what a filter sees; that one fails, all others go on.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_membarrier as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: prctl(2) copies the filter, which lives until it returns.
    let set = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) == 0
    };
    assert!(set, "{}", std::io::Error::last_os_error());
}

// A miss that is refused and counts what is lent as free, and so tries for ever.
#[test]
fn what_cannot_be_recalled_is_in_use() {
    let account = Account::new("account", 1000);
    let credit = account.credit(100);
    let held = credit.try_reserve(10).unwrap();
    assert_eq!((account.used(), credit.unused()), (10, 50));
    forbid_the_barrier();
    let pool = KeyedPool::builder(|_: &()| Ok::<_, Infallible>([0_u8; 950])).account(account.clone()).build();
    match pool.acquire(&()) {
        Err(AcquireError::OverBudget(refusal)) => assert_eq!((refusal.used, refusal.free), (60, 940)),
        other => panic!("{:?}", other.map(|lease| lease.len())),
    }
    assert_eq!(account.make_room(950).unwrap_err().free, 940);
    drop(held);
    drop(credit);
    assert!(pool.acquire(&()).is_ok());
}
