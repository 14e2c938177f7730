//! Money as values: failure reasons, dispositions, what goes back, prices of holds,
//! coupons, invoices, refund states. Pure.

pub(crate) mod coupon;
mod disposition;
mod failure;
pub(crate) mod going_back;
mod hold_price;
pub(crate) mod invoice;
pub(crate) mod payment_kind;
mod refund;

pub(crate) use disposition::Disposition;
pub use failure::FailureReason;
pub(crate) use hold_price::HoldPrice;
pub(crate) use refund::{RefundStatus, derived_id, movement_id};
