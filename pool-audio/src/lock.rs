//! Keeps the program's pages in memory: [`lock_memory`].

use std::io;

/// Keeps every page that the program has and will have in memory (`mlockall`), so that none is taken away while the audio
/// thread sleeps. Pools write every page when they make a buffer, which is what prevents the first fault; this prevents a
/// later one. Call it once, before prewarming: the whole program then counts as resident.
///
/// # Errors
///
/// The system refuses: not Linux, or a limit on locked memory (`ulimit -l`) that is too low.
pub fn lock_memory() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::mm::{MlockAllFlags, mlockall};
        mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE).map_err(io::Error::from)
    }
    #[cfg(not(target_os = "linux"))]
    {
        Err(io::Error::new(io::ErrorKind::Unsupported, "locking memory is implemented for Linux only"))
    }
}
