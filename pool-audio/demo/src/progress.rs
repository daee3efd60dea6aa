//! How far it has come: a bar on a terminal, a line per quarter elsewhere.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};

/// Progress of one stage, on the error output.
pub(crate) enum Progress {
    /// A terminal.
    Bar(ProgressBar),
    /// A file or a pipe: a bar would fill it with control characters.
    Lines {
        /// What is being done.
        what: &'static str,
        /// Steps in all.
        total: u64,
        /// Steps done.
        done: u64,
    },
}

impl Progress {
    /// A stage of `total` steps.
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        if !stderr().is_terminal() {
            return Self::Lines { what, total, done: 0 };
        }
        let bar = ProgressBar::new(total).with_message(what);
        // A template that this version does not know leaves the plain bar.
        if let Ok(style) = ProgressStyle::with_template("{msg:9} {wide_bar} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    /// Some steps are done.
    pub(crate) fn step(&mut self, steps: u64) {
        match self {
            Self::Bar(bar) => bar.inc(steps),
            Self::Lines { what, total, done } => {
                let quarter = |done: u64| done * 4 / (*total).max(1);
                let before = quarter(*done);
                *done += steps;
                if quarter(*done) > before {
                    eprintln!("{what} {done} of {total}");
                }
            }
        }
    }

    /// The stage is over, and its bar goes.
    pub(crate) fn finish(self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
