-- Payments, bookings, tickets, refunds, the webhook inbox and the ledger.

create table payments (
    payment_id uuid primary key,
    hold_id uuid not null references holds,
    attempt_no integer not null,
    provider text not null,
    intent_id text,
    client_secret text,
    -- Stored before the provider is called, so that a repeated call is the same call.
    idempotency_key text not null,
    email text not null,
    amount_minor bigint not null,
    currency text not null,
    status text not null default 'CREATED',
    failure_reason text,
    -- Whether the provider may still take money for it: until a success or a cancel is proven.
    provider_open boolean not null default true,
    captured_minor bigint not null default 0,
    captured_currency text,
    refund_reserved_minor bigint not null default 0,
    refunded_minor bigint not null default 0,
    -- What became of taken money.
    disposition text,
    next_poll_at timestamptz not null,
    poll_count integer not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint payments_attempt unique (hold_id, attempt_no),
    constraint payments_intent unique (provider, intent_id),
    constraint payments_idempotency_key unique (idempotency_key),
    constraint payments_amount check (amount_minor >= 0),
    constraint payments_status check (status in (
        'CREATED', 'REQUIRES_ACTION', 'PROCESSING', 'UNKNOWN', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
    constraint payments_disposition check (disposition in ('BOOKED', 'AUTO_REFUND')),
    constraint payments_disposed check ((status = 'SUCCEEDED') = (disposition is not null)),
    constraint payments_refunds check (
        refunded_minor >= 0
        and refunded_minor <= refund_reserved_minor
        and refund_reserved_minor <= captured_minor)
);

create unique index payments_one_live on payments (hold_id)
    where status in ('CREATED', 'REQUIRES_ACTION', 'PROCESSING', 'UNKNOWN');
create unique index payments_one_booked on payments (hold_id) where disposition = 'BOOKED';
create index payments_to_poll on payments (next_poll_at) where provider_open;

create table bookings (
    booking_id uuid primary key,
    code text not null,
    hold_id uuid not null references holds,
    show_no integer not null,
    subject text,
    session text,
    limit_owner text not null,
    email text not null,
    status text not null default 'CONFIRMED',
    amount_minor bigint not null,
    currency text not null,
    created_at timestamptz not null,
    constraint bookings_code unique (code),
    constraint bookings_hold unique (hold_id),
    constraint bookings_status
        check (status in ('CONFIRMED', 'PARTIALLY_CANCELLED', 'CANCELLED')),
    constraint bookings_owned check (subject is not null or session is not null)
);

create index bookings_by_show on bookings (show_no);

create table tickets (
    ticket_id uuid primary key,
    booking_id uuid not null references bookings,
    show_no integer not null,
    seat_no integer not null,
    status text not null default 'ISSUED',
    token_generation integer not null default 1,
    issued_at timestamptz not null,
    constraint tickets_status check (status in ('ISSUED', 'CHECKED_IN', 'VOID'))
);

-- The last wall against selling a seat twice.
create unique index tickets_one_live_per_seat on tickets (show_no, seat_no)
    where status <> 'VOID';
create index tickets_by_booking on tickets (booking_id);

create table refunds (
    refund_id uuid primary key,
    payment_id uuid not null references payments,
    amount_minor bigint not null,
    currency text not null,
    reason text not null,
    provider_refund_id text,
    status text not null default 'REQUESTED',
    attempt_count integer not null default 0,
    next_attempt_at timestamptz not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint refunds_amount check (amount_minor > 0),
    constraint refunds_provider_refund unique (provider_refund_id),
    constraint refunds_status
        check (status in ('REQUESTED', 'SUBMITTED', 'SUCCEEDED', 'FAILED', 'NEEDS_OPS'))
);

create index refunds_by_payment on refunds (payment_id);
create index refunds_due on refunds (next_attempt_at)
    where status in ('REQUESTED', 'SUBMITTED', 'FAILED');

-- Webhooks are stored, answered and only then understood.
create table payment_events (
    provider text not null,
    event_id text not null,
    kind text not null,
    payload jsonb not null,
    received_at timestamptz not null,
    next_attempt_at timestamptz not null,
    attempt_count integer not null default 0,
    last_error text,
    processed_at timestamptz,
    primary key (provider, event_id)
);

create index payment_events_due on payment_events (next_attempt_at) where processed_at is null;

-- Double entry: the amounts of one transaction sum to zero.
create table ledger (
    transaction_id uuid not null,
    account text not null,
    amount_minor bigint not null,
    currency text not null,
    at timestamptz not null,
    primary key (transaction_id, account)
);

-- What happened, for those who tell others: written in the transaction that made it happen.
create table outbox (
    id bigint generated always as identity primary key,
    topic text not null,
    dedupe text not null unique,
    payload jsonb not null,
    created_at timestamptz not null,
    done_at timestamptz
);

create index outbox_due on outbox (id) where done_at is null;
