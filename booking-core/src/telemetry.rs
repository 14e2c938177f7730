//! Names of metrics.

/// Counter by `outcome`: answers to hold requests.
pub(crate) const HOLDS: &str = "ropeline_booking_holds_total";
/// Histogram: requests settled by one statement.
pub(crate) const HOLD_BATCH_SIZE: &str = "ropeline_booking_hold_batch_size";
/// Histogram, seconds: one statement with its transaction.
pub(crate) const HOLD_BATCH_SECONDS: &str = "ropeline_booking_hold_batch_seconds";
/// Gauge by `show`: requests waiting for the show's writer.
pub(crate) const HOLD_QUEUE: &str = "ropeline_booking_hold_queue";
/// Counter by `reason`: holds that ended without a booking.
pub(crate) const HOLDS_ENDED: &str = "ropeline_booking_holds_ended_total";
/// Counter: holds that could not be expired because they do not have their seats.
pub(crate) const HOLDS_SET_ASIDE: &str = "ropeline_booking_holds_set_aside_total";
/// Counter: bookings made.
pub(crate) const BOOKINGS: &str = "ropeline_booking_bookings_total";
/// Counter by `status`: changes of payments.
pub(crate) const PAYMENTS: &str = "ropeline_booking_payments_total";
/// Counter by `reason`: payments that failed.
pub(crate) const PAYMENT_FAILURES: &str = "ropeline_booking_payment_failures_total";
/// Counter: holds given back at their hard deadline with a payment whose outcome is unknown.
pub(crate) const PAYMENTS_UNKNOWN: &str = "ropeline_booking_payments_unknown_total";
/// Counter by `call` and `outcome`: requests to the provider.
pub(crate) const PROVIDER_CALLS: &str = "ropeline_booking_provider_calls_total";
/// Counter by `outcome`: webhooks received and understood.
pub(crate) const WEBHOOKS: &str = "ropeline_booking_webhooks_total";
/// Counter by `status`: refunds.
pub(crate) const REFUNDS: &str = "ropeline_booking_refunds_total";
/// Counter by `outcome`: what the comparison with the provider's books found.
pub(crate) const RECONCILED: &str = "ropeline_booking_reconciled_total";
/// Counter: transactions that the database asked to repeat. Should stay at zero.
pub(crate) const DATABASE_RETRIES: &str = "ropeline_booking_database_retries_total";
/// Counter: work on the database that found it unavailable.
pub(crate) const DATABASE_UNAVAILABLE: &str = "ropeline_booking_database_unavailable_total";
/// Gauge: open live seat maps.
pub(crate) const SEAT_STREAMS: &str = "ropeline_booking_seat_streams";
