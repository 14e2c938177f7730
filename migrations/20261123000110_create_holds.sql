-- Seat states, holds and how many tickets each customer has.

-- No index may contain a column that changes here: it would end heap-only updates.
-- Expiry is on holds for the same reason.
create table show_seats (
    show_no integer not null,
    seat_no integer not null,
    status text not null default 'AVAILABLE',
    hold_id uuid,
    booking_id uuid,
    -- Grows with every change. The sum over a show is the version of its seat map.
    version integer not null default 1,
    primary key (show_no, seat_no),
    constraint seat_shape check (
        (status = 'AVAILABLE' and hold_id is null and booking_id is null)
        or (status = 'HELD' and hold_id is not null and booking_id is null)
        or (status = 'BOOKED' and hold_id is null and booking_id is not null)
        or (status = 'BLOCKED' and hold_id is null and booking_id is null)
    )
) partition by list (show_no);

create table show_seats_default partition of show_seats default
    with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02);

-- No foreign key to shows: every hold of a hot show would share-lock one row.
create table holds (
    hold_id uuid primary key,
    show_no integer not null,
    -- The place of the pass that the hold was made with.
    subject text,
    -- Digest of the session cookie.
    session text,
    -- Whose ticket limit it counts against: the subject, or the session of an open show.
    limit_owner text not null,
    status text not null default 'ACTIVE',
    seat_nos integer[] not null,
    amount_minor bigint not null,
    currency text not null,
    -- Payments started so far.
    attempt_count integer not null default 0,
    -- Whether the provider may still take money for it. Such a hold is not simply expired.
    payment_open boolean not null default false,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    hard_deadline timestamptz not null,
    closed_at timestamptz,
    constraint holds_status
        check (status in ('ACTIVE', 'PAYING', 'CONFIRMED', 'EXPIRED', 'RELEASED')),
    constraint holds_size check (cardinality(seat_nos) between 1 and 20),
    constraint holds_owned check (subject is not null or session is not null),
    constraint holds_deadlines check (expires_at <= hard_deadline),
    constraint holds_closed
        check ((status in ('CONFIRMED', 'EXPIRED', 'RELEASED')) = (closed_at is not null))
);

create index holds_due on holds (expires_at) where status in ('ACTIVE', 'PAYING');
create index holds_open_by_show on holds (show_no) where status in ('ACTIVE', 'PAYING');

-- Seats held or booked per customer and show: the row that makes the ticket limit race-safe.
create table owner_ticket_counts (
    show_no integer not null,
    owner text not null,
    ticket_count integer not null,
    primary key (show_no, owner),
    constraint owner_ticket_counts_positive check (ticket_count >= 0)
) with (fillfactor = 80);
