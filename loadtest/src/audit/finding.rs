//! What a check came to.

use std::collections::BTreeMap;
use std::fmt::Display;

use contract::invariants::Invariant;
use serde::Serialize;

/// Examples a finding shows at most.
const EXAMPLES_MAX: usize = 5;

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Verdict {
    /// The promise was kept.
    Pass,
    /// The promise was broken.
    Fail,
    /// There was nothing to judge by.
    Skipped,
}

/// The result of one check.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Finding {
    /// What was checked, such as `order`.
    pub check: &'static str,
    /// The promises that this is about, by name.
    pub promises: Vec<&'static str>,
    /// What came out.
    pub verdict: Verdict,
    /// One sentence for people.
    pub summary: String,
    /// The numbers.
    pub figures: BTreeMap<&'static str, f64>,
    /// A few of the breaches.
    pub examples: Vec<String>,
}

impl Finding {
    /// A finding that passes until a breach is added.
    pub(crate) fn new(check: &'static str) -> Self {
        Self {
            check,
            promises: Vec::new(),
            verdict: Verdict::Pass,
            summary: String::new(),
            figures: BTreeMap::new(),
            examples: Vec::new(),
        }
    }

    /// A finding that could not be made.
    pub(crate) fn skipped(check: &'static str, why: impl Display) -> Self {
        Self {
            verdict: Verdict::Skipped,
            summary: why.to_string(),
            ..Self::new(check)
        }
    }

    /// Says which promises it is about.
    pub(super) fn about(mut self, promises: &[Invariant]) -> Self {
        self.promises = promises.iter().map(|it| it.name).collect();
        self
    }

    /// Notes a broken promise.
    pub(crate) fn breach(&mut self, example: impl Display) {
        self.verdict = Verdict::Fail;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(example.to_string());
        }
    }

    /// Adds a number.
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of one run stay far below 2^52"
    )]
    pub(crate) fn count(&mut self, name: &'static str, count: usize) {
        self.figures.insert(name, count as f64);
    }

    /// Adds a measure.
    pub(crate) fn measure(&mut self, name: &'static str, measure: f64) {
        self.figures.insert(name, measure);
    }

    /// Adds the sentence and gives the finding back.
    pub(crate) fn sum_up(mut self, summary: impl Into<String>) -> Self {
        self.summary = summary.into();
        self
    }
}
