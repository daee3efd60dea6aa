//! The program of the microcontroller: every check, then a pool that the main loop and an interrupt share.

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
// A panic prints its message and ends QEMU with a failure.
use panic_semihosting as _;

use pool_core::{Cache, FixedLocalPool, KeepAll, Ledger, StaticPool};
use pool_embedded::ROOM;

use crate::interrupt;

type Make<T> = fn(&()) -> Result<T, ()>;

#[entry]
fn main() -> ! {
    let mut passed = 0;
    for check in pool_embedded::checks() {
        hprintln!("{}: {}", check.kind, check.name);
        (check.run)();
        passed += 1;
    }
    interrupt::share_a_pool();
    passed += 1;
    hprintln!("RAM in bytes, objects of 64 bytes included, {} of them:", ROOM);
    hprintln!("  StaticPool     {:>5}", size_of::<StaticPool<Make<[u8; 64]>, ROOM>>());
    hprintln!("  FixedLocalPool {:>5}", size_of::<FixedLocalPool<Make<[u8; 64]>, ROOM>>());
    hprintln!("  Ledger         {:>5}", size_of::<Ledger>());
    hprintln!("  Cache          {:>5}", size_of::<Cache<&StaticPool<Make<[u8; 64]>, ROOM, KeepAll>>>());
    hprintln!("{} checks passed", passed);
    debug::exit(debug::EXIT_SUCCESS);
    unreachable!("QEMU ends before");
}
