//! A copy of the sources with something changed in it, to see whether a check finds that.
//!
//! It always lies in the same place, and what need not change keeps its time, so that only what a change touches is built
//! again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// The copy of the sources.
pub(crate) struct Copy<'w> {
    from: &'w Path,
    to: PathBuf,
}

impl<'w> Copy<'w> {
    /// One in the folder `to`, nothing of which is written yet.
    pub(crate) fn new(from: &'w Path, to: PathBuf) -> Self {
        Self { from, to }
    }

    /// Where it lies.
    pub(crate) fn folder(&self) -> &Path {
        &self.to
    }

    /// The names of the files that are copied, from the root on.
    pub(crate) fn files(&self) -> Result<BTreeSet<String>> {
        let mut list = Command::new("git");
        list.current_dir(self.from);
        list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let list = process::output(&mut list).context("the copy is made of the files that git knows")?;
        // A file that is deleted but not yet committed is still listed.
        let there = list.split_terminator('\0').filter(|name| self.from.join(name).is_file());
        Ok(there.map(str::to_owned).collect())
    }

    /// Brings the copy up to date. `change` gets each file's name and gives what its text becomes, if it is to change.
    pub(crate) fn write(&self, change: impl Fn(&str, &str) -> Result<Option<String>>) -> Result<()> {
        let files = self.files()?;
        fs::create_dir_all(&self.to)?;
        // A repository of its own: what is copied from here in turn is what git knows here.
        process::output(Command::new("git").current_dir(&self.to).args(["init", "--quiet"]))?;
        self.remove_others(&self.to, &files)?;
        for name in files {
            let mut text = fs::read(self.from.join(&name))?;
            if let Ok(old) = str::from_utf8(&text)
                && let Some(new) = change(&name, old)?
            {
                text = new.into_bytes();
            }
            let to = self.to.join(name);
            if fs::read(&to).is_ok_and(|old| old == text) {
                continue;
            }
            fs::create_dir_all(to.parent().unwrap_or(&self.to))?;
            fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))?;
        }
        Ok(())
    }

    fn remove_others(&self, folder: &Path, files: &BTreeSet<String>) -> Result<()> {
        let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
        for entry in entries {
            let path = entry?.path();
            if path == self.to.join(".git") {
                continue;
            }
            if path.is_dir() {
                self.remove_others(&path, files)?;
                continue;
            }
            let name = path.strip_prefix(&self.to)?.to_string_lossy().replace('\\', "/");
            if !files.contains(&name) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a copy that keeps what is gone, or whose own copy is empty, since an outer repository ignores it.
    #[test]
    fn a_copy_is_what_was_copied_and_can_be_copied() {
        let folder = std::env::temp_dir().join(format!("xtask-copy-{}", std::process::id()));
        let (first, second) = (folder.join("first"), folder.join("second"));
        fs::create_dir_all(first.join("src")).unwrap();
        process::output(Command::new("git").current_dir(&first).args(["init", "--quiet"])).unwrap();
        fs::write(first.join("src/kept.rs"), "old").unwrap();
        fs::write(first.join("gone.rs"), "").unwrap();

        let copy = Copy::new(&first, second.clone());
        copy.write(|_, _| Ok(None)).unwrap();
        assert!(second.join("gone.rs").is_file());
        fs::remove_file(first.join("gone.rs")).unwrap();
        copy.write(|name, text| Ok((name == "src/kept.rs").then(|| text.replace("old", "new")))).unwrap();
        assert!(!second.join("gone.rs").exists());
        assert_eq!(fs::read_to_string(second.join("src/kept.rs")).unwrap(), "new");
        assert_eq!(fs::read_to_string(first.join("src/kept.rs")).unwrap(), "old");

        let again = Copy::new(&second, folder.join("third"));
        again.write(|_, _| Ok(None)).unwrap();
        assert_eq!(fs::read_to_string(again.folder().join("src/kept.rs")).unwrap(), "new");
        fs::remove_dir_all(folder).unwrap();
    }
}
