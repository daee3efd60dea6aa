//! What takes too long for every change.

use anyhow::Result;

use crate::args::{Depth, FuzzOptions};
use crate::workspace::Workspace;
use crate::{embedded, fuzzing, loom, miri, planted, realtime, soak, testing, tsan};

/// Runs the deep form of every check that has one, the tests in the other browser, and whether each can turn red.
pub(crate) fn run(workspace: &Workspace, only_self_check: bool) -> Result<()> {
    if !only_self_check {
        loom::run(workspace, Depth::Deep)?;
        miri::run(workspace, Depth::Deep)?;
        tsan::run(workspace, Depth::Deep)?;
        soak::run(workspace)?;
        embedded::run(workspace, Depth::Deep)?;
        realtime::run(workspace, Depth::Deep)?;
        fuzzing::run(workspace, &FuzzOptions { seconds: 60, ..FuzzOptions::default() })?;
        testing::in_firefox(workspace)?;
    }
    planted::run(workspace)
}
