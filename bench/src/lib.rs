//! The pools against what one would write by hand or take from a registry, in one process.
//!
//! `cargo xtask bench` builds and runs this; users of the crates never do, and so never build the peers.
//!
//! | File | Holds |
//! |---|---|
//! | `source` | what all pools have in common here: take, write, give back |
//! | `ours`, `by_hand`, `peers` | each pool, as one uses it |
//! | `workloads` | what is done with them; a file each |
//! | `lap` | one round |
//! | `measure` | rounds in turn, and their medians |
//! | `figures` | what was measured |
//! | `worst` | the longest of a million quanta, and first uses |
//! | `targets` | the goals, judged from the medians |
//! | `versions` | of the peers, from the lock file |
//! | `text`, `chart`, `table`, `report` | numbers as text, the pictures, the Markdown, the JSON |
//! | `bin/compare` | measures, judges, writes |
//! | `bin/instructions` | runs the single-threaded workloads once each, for callgrind to count |

mod by_hand;
mod chart;
mod figures;
mod lap;
mod measure;
mod ours;
mod peers;
mod report;
mod source;
mod table;
mod targets;
mod text;
mod versions;
pub mod workloads;
mod worst;

pub use lap::Lap;
pub use measure::Settings;
pub use report::{Instructions, Report};
pub use workloads::{Contender, Kind, Run, Workload};
pub use worst::tell as tell_worst;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

/// The system's allocator, which counts the bytes that are held while somebody wants to know.
///
/// A binary has to install it as its global allocator. Where nobody counts it costs a load: the peers that are
/// allocators are called past it.
pub struct Counting;

static WATCHED: AtomicBool = AtomicBool::new(false);
static HELD: AtomicIsize = AtomicIsize::new(0);

impl Counting {
    /// By how many bytes what `make` returns is more than what was held before.
    fn bytes_of<T>(make: impl FnOnce() -> T) -> (T, isize) {
        HELD.store(0, Ordering::Relaxed);
        WATCHED.store(true, Ordering::Relaxed);
        let made = make();
        WATCHED.store(false, Ordering::Relaxed);
        (made, HELD.load(Ordering::Relaxed))
    }

    fn count(bytes: isize) {
        if WATCHED.load(Ordering::Relaxed) {
            HELD.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size() as isize);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        Self::count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count(size as isize - layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}
