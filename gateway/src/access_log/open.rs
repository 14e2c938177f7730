//! An access log that is on.

use std::sync::Arc;

use contract::Clock;

use super::line::Form;
use super::lines::Lines;

/// An access log that is on.
pub(super) struct Open {
    pub(super) lines: Lines,
    pub(super) form: Form,
    pub(super) clock: Arc<dyn Clock>,
}
