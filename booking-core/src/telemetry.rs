//! Names of metrics.

metric_families::declare! {
    /// Answers to hold requests.
    pub(crate) counter HOLDS = "ropeline_booking_holds_total";
    /// Requests settled by one statement.
    pub(crate) histogram(metric_families::BATCH_SIZES) HOLD_BATCH_SIZE = "ropeline_booking_hold_batch_size";
    /// One statement with its transaction.
    pub(crate) histogram(metric_families::LATENCY_SECONDS) HOLD_BATCH_SECONDS = "ropeline_booking_hold_batch_seconds";
    /// Requests waiting for the show's writer.
    pub(crate) gauge HOLD_QUEUE = "ropeline_booking_hold_queue";
    /// Holds that ended without a booking.
    pub(crate) counter HOLDS_ENDED = "ropeline_booking_holds_ended_total";
    /// Holds that could not be expired because they do not have their seats.
    pub(crate) counter HOLDS_SET_ASIDE = "ropeline_booking_holds_set_aside_total";
    /// Confirmations waiting for their turn.
    pub(crate) gauge CONFIRM_QUEUE = "ropeline_booking_confirm_queue";
    /// Paid holds that were turned into bookings by one statement.
    pub(crate) histogram(metric_families::BATCH_SIZES) CONFIRM_BATCH_SIZE = "ropeline_booking_confirm_batch_size";
    /// That statement, with the wait for a connection.
    pub(crate) histogram(metric_families::LATENCY_SECONDS) CONFIRM_BATCH_SECONDS = "ropeline_booking_confirm_batch_seconds";
    /// Confirmations that did not get their turn.
    pub(crate) counter CONFIRMS_PUT_OFF = "ropeline_booking_confirms_put_off_total";
    /// Bookings made.
    pub(crate) counter BOOKINGS = "ropeline_booking_bookings_total";
    /// Changes of payments.
    pub(crate) counter PAYMENTS = "ropeline_booking_payments_total";
    /// Payments that failed.
    pub(crate) counter PAYMENT_FAILURES = "ropeline_booking_payment_failures_total";
    /// Holds given back at their hard deadline with a payment whose outcome is unknown.
    pub(crate) counter PAYMENTS_UNKNOWN = "ropeline_booking_payments_unknown_total";
    /// Requests to the provider.
    pub(crate) counter PROVIDER_CALLS = "ropeline_booking_provider_calls_total";
    /// Whether calls to the provider are made: 0, tried: 1, or stopped: 2.
    pub(crate) gauge PROVIDER_BREAKER = "ropeline_booking_provider_breaker_state";
    /// Payments that moved on to another provider, by the one that was asked before.
    pub(crate) counter FAILOVERS = "ropeline_booking_payment_failovers_total";
    /// Payments and refunds that are open at a provider that is not configured.
    pub(crate) gauge PAYMENTS_STRANDED = "ropeline_booking_payments_stranded";
    /// Webhooks received and understood.
    pub(crate) counter WEBHOOKS = "ropeline_booking_webhooks_total";
    /// Refunds.
    pub(crate) counter REFUNDS = "ropeline_booking_refunds_total";
    /// Tickets that were cancelled.
    pub(crate) counter TICKETS_CANCELLED = "ropeline_booking_tickets_cancelled_total";
    /// Tickets that were passed on or printed anew, together counted once.
    pub(crate) counter TRANSFERS = "ropeline_booking_transfers_total";
    /// Money that went back, or came back again, without us.
    pub(crate) counter RETURNED = "ropeline_booking_returned_total";
    /// What the comparison with the provider's books found.
    pub(crate) counter RECONCILED = "ropeline_booking_reconciled_total";
    /// What followed from suspicious requests and purchases.
    pub(crate) counter FRAUD_VERDICTS = "ropeline_booking_fraud_verdicts_total";
    /// Challenges, and what became of their solutions.
    pub(crate) counter CHALLENGES = "ropeline_booking_challenges_total";
    /// Purchases that wait for a review, of all gateways.
    pub(crate) gauge REVIEWS_WAITING = "ropeline_booking_reviews_waiting";
    /// Scans of tickets, by what they came to.
    pub(crate) counter SCANS = "ropeline_booking_scans_total";
    /// Requests above a limit.
    pub(crate) counter RATE_LIMITED = "ropeline_booking_rate_limited_total";
    /// Batches of holds that broke off by a defect; the writer went on with the next.
    pub(crate) counter WRITER_PANICS = "ropeline_booking_writer_panics_total";
    /// Transactions that the database asked to repeat. Should stay at zero.
    pub(crate) counter DATABASE_RETRIES = "ropeline_booking_database_retries_total";
    /// Work on the database that found it unavailable.
    pub(crate) counter DATABASE_UNAVAILABLE = "ropeline_booking_database_unavailable_total";
    /// Shows that could not be read from the database and are left out.
    pub(crate) counter SHOWS_UNREADABLE = "ropeline_booking_shows_unreadable_total";
    /// Rendering of one PDF.
    pub(crate) histogram(metric_families::LATENCY_SECONDS) PRINT_SECONDS = "ropeline_booking_print_seconds";
    /// PDFs of tickets that were asked for.
    pub(crate) counter PRINTS = "ropeline_booking_prints_total";
    /// PDFs that were written to the store of tickets, removed from it, or could not be.
    pub(crate) counter TICKET_PDFS = "ropeline_booking_ticket_pdfs_total";
    /// PDFs that the store of tickets should have, of all gateways.
    pub(crate) gauge TICKET_PDFS_OVERDUE = "ropeline_booking_ticket_pdfs_overdue";
    /// Notices that a channel took, or that were written to files.
    pub(crate) counter MAIL_SENT = "ropeline_booking_mail_sent_total";
    /// Attempts to send a notice that failed.
    pub(crate) counter MAIL_ATTEMPTS_FAILED = "ropeline_booking_mail_attempts_failed_total";
    /// Notices that were given up.
    pub(crate) counter MAIL_GIVEN_UP = "ropeline_booking_mail_given_up_total";
    /// Notices that went on to the next channel, by the one that did not take them.
    pub(crate) counter NOTICES_MOVED_ON = "ropeline_booking_notices_moved_on_total";
    /// Codes of apps that were not tried because too many were wrong in the same minute.
    pub(crate) counter APP_CODES_UNTRIED = "ropeline_booking_app_codes_untried_total";
    /// Browsers that take no push messages any more.
    pub(crate) counter PUSH_GONE = "ropeline_booking_push_gone_total";
    /// Mails that wait to be sent, of all gateways.
    pub(crate) gauge MAIL_DUE = "ropeline_booking_mail_due";
    /// Mails that were given up and not sent again, of all gateways.
    pub(crate) gauge MAIL_FAILED = "ropeline_booking_mail_failed";
    /// How long the oldest mail has been due, of all gateways.
    pub(crate) gauge MAIL_OLDEST_DUE = "ropeline_booking_mail_oldest_due_seconds";
    /// Events that were written to the log by this gateway.
    pub(crate) counter EVENTS_SEQUENCED = "ropeline_booking_events_total";
    /// Events that this gateway moved into the archive.
    pub(crate) counter EVENTS_ARCHIVED = "ropeline_booking_events_archived_total";
    /// Events that a sink took.
    pub(crate) counter EVENTS_SUNK = "ropeline_booking_events_sunk_total";
    /// Attempts to deliver an event to a subscription.
    pub(crate) counter EVENT_DELIVERIES = "ropeline_booking_event_deliveries_total";
    /// Open live seat maps.
    pub(crate) gauge SEAT_STREAMS = "ropeline_booking_seat_streams";
}
