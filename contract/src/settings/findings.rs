//! What is wrong with settings, as it is found.

use std::ops::RangeInclusive;

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FieldProblem {
    /// The field, as in the JSON.
    pub field: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

/// Problems found so far.
#[derive(Default)]
pub(super) struct Findings(pub(super) Vec<FieldProblem>);

impl Findings {
    /// Notes a problem of `field`.
    pub(super) fn add(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        self.0.push(FieldProblem {
            field: field.into(),
            problem: problem.into(),
        });
    }

    /// Checks that a number is in its range; `hint` follows the range in the text.
    pub(super) fn within(
        &mut self,
        field: &str,
        value: u64,
        range: &RangeInclusive<u64>,
        hint: &str,
    ) {
        if !range.contains(&value) {
            let (min, max) = (range.start(), range.end());
            self.add(
                field,
                format!("{value} is out of range: choose {min} to {max}{hint}"),
            );
        }
    }

    /// Checks the length of a text, and that nothing in it is invisible.
    pub(super) fn text(&mut self, field: &str, text: &str, chars_max: usize) {
        let count = text.chars().count();
        if count > chars_max {
            self.add(
                field,
                format!("{count} characters are too many: at most {chars_max}"),
            );
        }
        // Line breaks are for messages; anything else invisible could hide or reorder text.
        if text.chars().any(|c| c.is_control() && c != '\n') {
            self.add(field, "control characters are not allowed");
        }
    }

    /// The problems, if there are any.
    pub(super) fn settle(self) -> Result<(), Vec<FieldProblem>> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(self.0)
        }
    }
}
