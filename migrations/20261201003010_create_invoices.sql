-- Numbered invoices and credit notes. Each is about an event of the log, and made by a consumer of it
-- that moves its position in the same transaction.

create table invoices (
    -- Of its event: documents are in the order of the log.
    position bigint primary key,
    -- As people read it.
    number text not null constraint invoices_number unique,
    kind text not null,
    -- The prefix of the seller's numbers.
    series text not null,
    -- Of the issue, UTC.
    year integer not null,
    no integer not null,
    booking_id uuid not null references bookings,
    -- Of credit notes: the refund, and the invoice.
    refund_id uuid references refunds,
    of_number text,
    amount_minor bigint not null constraint invoices_amount check (amount_minor > 0),
    currency text not null,
    -- contract::pricing::PriceLine as JSON.
    lines jsonb not null,
    -- contract::invoice::Seller as JSON, as it was then.
    seller jsonb not null,
    issued_at timestamptz not null,
    constraint invoices_in_series unique (kind, series, year, no),
    constraint invoices_kind check (kind in ('INVOICE', 'CREDIT_NOTE')),
    constraint invoices_credit check ((kind = 'CREDIT_NOTE') = (refund_id is not null)
        and (kind = 'CREDIT_NOTE') = (of_number is not null))
);

-- A booking has one invoice, a refund one credit note.
create unique index invoices_of_booking on invoices (booking_id) where kind = 'INVOICE';
create unique index invoices_of_refund on invoices (refund_id);
-- The page of a booking.
create index invoices_by_booking on invoices (booking_id);

-- The last number of each series. Its row is locked while numbers are given.
create table invoice_series (
    kind text not null,
    series text not null,
    year integer not null,
    last_no integer not null constraint invoice_series_last check (last_no > 0),
    primary key (kind, series, year)
);

-- From which event on there are invoices: the end of the log when a gateway was first told to make
-- them.
create table invoice_begin (
    only_one boolean primary key default true constraint invoice_begin_single check (only_one),
    position bigint not null
);
