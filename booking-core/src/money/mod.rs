//! Money as values: failure reasons, dispositions, what goes back, refund states. Pure.

mod disposition;
mod failure;
pub(crate) mod going_back;
mod refund;

pub(crate) use disposition::Disposition;
pub use failure::FailureReason;
pub(crate) use refund::{RefundStatus, derived_id, movement_id};
