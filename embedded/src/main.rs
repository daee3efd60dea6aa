//! Runs every check: on a microcontroller, where QEMU's semihosting carries what it prints and how it ended, and on
//! any other machine as well.
#![cfg_attr(all(target_arch = "arm", target_os = "none"), no_std, no_main)]

#[cfg(all(target_arch = "arm", target_os = "none"))]
mod interrupt;
#[cfg(all(target_arch = "arm", target_os = "none"))]
mod target;

#[cfg(not(all(target_arch = "arm", target_os = "none")))]
fn main() {
    for check in pool_embedded::checks() {
        println!("{}: {}", check.kind, check.name);
        (check.run)();
    }
}

#[cfg(test)]
mod tests {
    // A promise that holds on no machine.
    #[test]
    fn every_check_passes_on_the_host() {
        super::main();
    }
}
