//! What the kernel is asked: this thread's page faults, and to end the process if it makes a system call.

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;
    use std::io::Write;

    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

    /// Page faults of this thread so far, with and without reading from a disk.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn page_faults() -> Result<u64, String> {
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: the pointer is to memory of that size, which the call fills.
        let outcome = unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) };
        if outcome != 0 {
            return Err(format!("getrusage: {}", std::io::Error::last_os_error()));
        }
        // SAFETY: it was zeroed, and all its fields are numbers.
        let usage = unsafe { usage.assume_init() };
        Ok(usage.ru_minflt.unsigned_abs() + usage.ru_majflt.unsigned_abs())
    }

    /// From here on this thread may write and end the process; anything else ends it with `SIGSYS`.
    ///
    /// # Errors
    ///
    /// The system has no such filters.
    ///
    /// `clock_gettime` is allowed as well: it is no system call where the kernel lends its clock to programs, and on virtual
    /// machines that have none the profiler's clock still has to work.
    pub fn forbid_system_calls() -> Result<(), String> {
        let allowed = [libc::SYS_write, libc::SYS_exit_group, libc::SYS_clock_gettime];
        let rules: BTreeMap<i64, _> = allowed.iter().map(|&call| (call, Vec::new())).collect();
        let architecture = std::env::consts::ARCH.try_into().map_err(|error| format!("seccomp: {error}"))?;
        let filter =
            SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, architecture)
                .map_err(|error| format!("seccomp: {error}"))?;
        let program: BpfProgram = filter.try_into().map_err(|error| format!("seccomp: {error}"))?;
        seccompiler::apply_filter(&program).map_err(|error| format!("seccomp: {error}"))
    }

    /// Says this and ends the process: with the two calls that are allowed.
    pub fn end(text: &str) -> ! {
        // Nothing is to be done if nobody listens.
        let _ = std::io::stderr().write_all(text.as_bytes());
        // SAFETY: ends the process at once, running nothing of it.
        unsafe { libc::_exit(0) }
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    const UNKNOWN: &str = "this is asked of Linux only";

    /// Page faults of this thread.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn page_faults() -> Result<u64, String> {
        Err(UNKNOWN.into())
    }

    /// Forbids this thread to call the system.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn forbid_system_calls() -> Result<(), String> {
        Err(UNKNOWN.into())
    }

    /// Ends the process.
    pub fn end(_: &str) -> ! {
        std::process::exit(2)
    }
}

#[cfg(not(target_os = "linux"))]
pub use elsewhere::*;
#[cfg(target_os = "linux")]
pub use linux::*;
