-- Bookings of cancelled shows that could not be cancelled: they are passed over until their next
-- attempt, so that they do not keep the others waiting. Rows go when the booking is cancelled.
create table show_cancel_failures (
    booking_id uuid primary key references bookings,
    failed_count integer not null constraint show_cancel_failures_count check (failed_count > 0),
    next_attempt_at timestamptz not null,
    -- For operators.
    last_error text not null
);

-- What of a promised refund a dispute took over, to be promised again when the dispute is won.
create table refund_takeovers (
    -- The refund that was lowered.
    refund_id uuid not null references refunds,
    -- The dispute.
    by_refund_id uuid not null references refunds,
    amount_minor bigint not null constraint refund_takeovers_amount check (amount_minor > 0),
    created_at timestamptz not null,
    -- When it was promised again.
    restored_at timestamptz,
    primary key (refund_id, by_refund_id)
);
create index refund_takeovers_by_dispute on refund_takeovers (by_refund_id)
    where restored_at is null;
