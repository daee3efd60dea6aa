//! What was measured, before anybody judges or shows it.

use crate::measure::Times;
use crate::workloads::Kind;

/// A workload's figures.
pub(crate) struct Measured {
    pub(crate) slug: &'static str,
    pub(crate) title: &'static str,
    pub(crate) per: &'static str,
    pub(crate) note: &'static str,
    pub(crate) rows: Vec<Row>,
    pub(crate) facts: Vec<(&'static str, f64)>,
}

impl Measured {
    /// Whether nobody else takes part: such a workload compares a pool with itself.
    pub(crate) fn all_ours(&self) -> bool {
        self.rows.iter().all(|row| row.kind == Kind::Ours)
    }
}

/// A contender's figures.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) version: Option<String>,
    pub(crate) kind: Kind,
    pub(crate) times: Times,
    pub(crate) instructions: Option<f64>,
}
