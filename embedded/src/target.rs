//! The program of the microcontroller: every check, then a pool that the main loop and an interrupt share.

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
// A panic prints its message and ends QEMU with a failure.
use panic_semihosting as _;

#[entry]
fn main() -> ! {
    let mut passed = 0;
    for check in pool_embedded::checks() {
        hprintln!("{}: {}", check.kind, check.name);
        (check.run)();
        passed += 1;
    }
    hprintln!("{} checks passed", passed);
    debug::exit(debug::EXIT_SUCCESS);
    unreachable!("QEMU ends before");
}
