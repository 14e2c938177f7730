//! Money as values: failure reasons, dispositions, refund states. Pure.

mod disposition;
mod failure;
mod refund;

pub(crate) use disposition::Disposition;
pub use failure::FailureReason;
pub(crate) use refund::{RefundStatus, derived_id, movement_id};
