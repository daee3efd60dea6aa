//! Room on the disk: builds that run out of it end with errors of the compiler or the linker that hardly say so.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

const GIB: f64 = (1u64 << 30) as f64;

/// An error with the remedy if the disk has no room for what is still to be built of `gib`; what was built before is counted.
///
/// Where the system does not tell what is free there is none.
pub(crate) fn for_builds(workspace: &Workspace, what: &str, gib: f64) -> Result<()> {
    let folder = existing(&workspace.target);
    let Some(free) = free(folder) else { return Ok(()) };
    let missing = gib * GIB - bytes_of(&workspace.target) as f64;
    judge(folder, what, missing, free as f64)
}

fn judge(folder: &Path, what: &str, missing: f64, free: f64) -> Result<()> {
    if missing > free {
        bail!(
            "{what} builds some {:.1} GiB more under {}, and {:.1} GiB are free there.\n\
             Remedy: make room, for instance by `cargo clean` here and elsewhere, or build on another disk, which the variable \
             CARGO_TARGET_DIR names",
            missing / GIB,
            folder.display(),
            free / GIB
        );
    }
    Ok(())
}

/// The folder, or the closest above it that exists.
fn existing(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder)
}

/// Bytes that a user without privileges may still write.
fn free(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    return rustix::fs::statvfs(folder).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}

/// Bytes of the files in a folder and all below; what cannot be read counts for none.
fn bytes_of(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let bytes = entries.flatten().filter_map(|entry| {
        let about = entry.metadata().ok()?;
        Some(if about.is_dir() { bytes_of(&entry.path()) } else { about.len() })
    });
    bytes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a full disk that is not told of, or room that is there and is not seen.
    #[test]
    fn what_does_not_fit_is_told_with_the_remedy() {
        let folder = Path::new("there");
        assert!(judge(folder, "it", 2.0 * GIB, 2.0 * GIB).is_ok());
        assert!(judge(folder, "it", -GIB, 0.0).is_ok());
        let told = judge(folder, "it", 2.5 * GIB, GIB).unwrap_err().to_string();
        assert!(
            told.starts_with(
                "it builds some 2.5 GiB more under there, and 1.0 GiB are free there.\nRemedy: "
            )
        );
    }

    /// Catches: a disk of which nothing is known, a folder that is not yet there, and files that are not counted.
    #[test]
    fn folders_are_measured() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(existing(&here.join("not").join("there")), here);
        assert!(bytes_of(here) > bytes_of(&here.join("src")) && bytes_of(&here.join("src")) > 100_000);
        assert_eq!(bytes_of(&here.join("not")), 0);
        assert!(cfg!(not(unix)) || free(here).is_some_and(|free| free > 0));
    }
}
