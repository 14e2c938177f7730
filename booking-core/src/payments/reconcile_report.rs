//! What a comparison of the provider's books with ours found.

use contract::{BookingId, Timestamp};
use serde::Serialize;

use super::provider::ProviderError;
use crate::database::StoreError;
use crate::store::owed::FailedRefund;

/// Why a comparison was aborted.
#[derive(Debug)]
pub(crate) enum ReconcileError {
    Store(StoreError),
    Provider(ProviderError),
}

impl From<StoreError> for ReconcileError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ProviderError> for ReconcileError {
    fn from(error: ProviderError) -> Self {
        Self::Provider(error)
    }
}

/// What a comparison found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReconcileReport {
    /// Everything made from here
    pub from: Timestamp,
    /// up to here, not included, was looked at.
    pub until: Timestamp,
    /// Intents that the provider named.
    pub intent_count: u64,
    /// Refunds that the provider named.
    pub refund_count: u64,
    /// Payments and refunds of ours that were behind, and were asked about.
    pub late_count: u64,
    /// Money of customers who paid again what they had paid. It goes back.
    pub second_payments: Vec<String>,
    /// Intents of ours that took money which no payment names. The money goes back.
    pub orphaned_intents: Vec<String>,
    /// Such intents whose money the provider would not give back: a person has to look.
    pub kept_orphans: Vec<String>,
    /// Refunds under an id of ours that we do not have.
    pub unknown_refunds: Vec<String>,
    /// Bookings whose money went back at the provider, by a refund or a dispute. Their tickets are
    /// void.
    pub refunded_bookings: Vec<BookingId>,
    /// Bookings of whose money a part went back at the provider: a person has to say which
    /// tickets are meant.
    pub partly_refunded_bookings: Vec<BookingId>,
    /// Disputes about payments of ours: a person has to answer them.
    pub disputes: Vec<String>,
    /// Refunds and disputes of more than was taken: a person has to look.
    pub unexplained_returns: Vec<String>,
    /// Refunds that failed for good, however long ago, and whose money has not gone back since: a
    /// person has to refund it at the provider.
    pub failed_refunds: Vec<FailedRefund>,
    /// Intents with money, refunds and disputes that others made with the same account.
    pub foreign_count: u64,
    /// Payments, refunds and disputes that could not be worked on. They are looked at again for
    /// weeks; a person has to look when they stay.
    pub put_off: Vec<String>,
    /// Providers that are not configured, with payments or refunds that are open there: an operator
    /// has to configure them again.
    pub unconfigured_providers: Vec<Unconfigured>,
    /// Whether single things that fail are put off; otherwise the first of them stops the listing.
    #[serde(skip)]
    pub(super) passes_over: bool,
}

/// A provider that is not configured and still has payments of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unconfigured {
    /// Its name.
    pub provider: String,
    /// Payments that may still take money, or whose refund is not done.
    pub open_payments: i64,
}

impl ReconcileReport {
    pub(super) fn new(from: Timestamp, until: Timestamp) -> Self {
        Self {
            from,
            until,
            intent_count: 0,
            refund_count: 0,
            late_count: 0,
            second_payments: Vec::new(),
            orphaned_intents: Vec::new(),
            kept_orphans: Vec::new(),
            unknown_refunds: Vec::new(),
            refunded_bookings: Vec::new(),
            partly_refunded_bookings: Vec::new(),
            disputes: Vec::new(),
            unexplained_returns: Vec::new(),
            failed_refunds: Vec::new(),
            foreign_count: 0,
            put_off: Vec::new(),
            passes_over: false,
            unconfigured_providers: Vec::new(),
        }
    }
}
