//! Money as values: why payments fail, what becomes of what was taken, how refunds stand. Pure.

mod disposition;
mod failure;
mod refund;

pub(crate) use disposition::Disposition;
pub use failure::FailureReason;
pub(crate) use refund::{RefundStatus, derived_id, movement_id};
