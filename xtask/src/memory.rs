//! Peak resident memory of a process, as the kernel counts it (Linux).

use std::fs;

/// Starts the peak of a process anew at its present size. A process that does not let us keeps the
/// peak of its whole life.
pub(crate) fn reset_peak(pid: u32) -> bool {
    // "5" resets the high-water mark; see proc_pid_clear_refs(5).
    fs::write(format!("/proc/{pid}/clear_refs"), "5").is_ok()
}

/// The largest resident size of a process in bytes, or `None` where the kernel does not tell, and
/// for a process that is no renderer of Chromium (a pid of another namespace).
pub(crate) fn renderer_peak(pid: u32) -> Option<u64> {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let is_renderer = arguments.split(|byte| *byte == 0).any(|word| word == b"--type=renderer");
    // Some builds write the arguments with spaces, as one.
    let is_renderer = is_renderer || String::from_utf8_lossy(&arguments).contains(" --type=renderer ");
    is_renderer.then(|| peak_in(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)).flatten()
}

/// What a renderer holds now that is its own, in bytes: without the browser's program, which all its processes map and
/// which is most of what an idle one has.
pub(crate) fn renderer_private(pid: u32) -> Option<u64> {
    figure_in(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "RssAnon:")
}

fn peak_in(status: &str) -> Option<u64> {
    figure_in(status, "VmHWM:")
}

/// `VmHWM:   181296 kB`
fn figure_in(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_from_the_kernel_s_lines() {
        assert_eq!(peak_in("Name:\tx\nVmPeak:\t 9 kB\nVmHWM:\t  181296 kB\n"), Some(181_296 * 1024));
        assert_eq!(peak_in("Name:\tx\n"), None);
        assert_eq!(figure_in("RssAnon:\t  52004 kB\nRssFile:\t 9 kB\n", "RssAnon:"), Some(52_004 * 1024));
    }

    /// Catches: the memory of any other process reported as the page's.
    #[test]
    fn a_process_that_is_no_renderer_has_no_figure() {
        assert_eq!(renderer_peak(std::process::id()), None);
    }
}
