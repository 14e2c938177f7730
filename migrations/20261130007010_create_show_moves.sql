-- Shows that take place at another time or venue than they were sold for.

create table show_moves (
    move_id uuid primary key,
    show_no integer not null,
    -- Counts the moves of a show, from 1. Calendar files carry it.
    sequence integer not null,
    old_starts_at timestamptz not null,
    old_ends_at timestamptz,
    old_venue jsonb not null,
    -- As its fans read it.
    reason text,
    -- Until when a customer who bought before gets the whole price back.
    refund_until timestamptz,
    created_at timestamptz not null,
    -- When last nobody was left who had to be told.
    all_told_at timestamptz,
    constraint show_moves_sequence unique (show_no, sequence)
);

-- Buyers and holders that are told of a move. A row is made with its notice, which is about the row.
create table show_move_tells (
    tell_id uuid primary key,
    move_id uuid not null references show_moves,
    booking_id uuid not null references bookings,
    -- The transfer by which the reader got tickets; null for the buyer.
    transfer_id uuid references transfers,
    constraint show_move_tells_once unique nulls not distinct (move_id, booking_id, transfer_id)
);
-- What a reader was told before: `show_moves::told`.
create index show_move_tells_by_booking on show_move_tells (booking_id);

-- Buyers and holders that are reminded. A row is made with its notice, which is about the row.
create table show_reminder_tells (
    reminder_id uuid primary key,
    booking_id uuid not null references bookings,
    -- The transfer by which the reader got tickets; null for the buyer.
    transfer_id uuid references transfers,
    -- How often the show was moved before: who was reminded of an earlier date is reminded again.
    sequence integer not null,
    constraint show_reminder_tells_once
        unique nulls not distinct (booking_id, transfer_id, sequence)
);

-- How long before a show its customers are reminded, where it says so; 0: never.
create table show_reminders (
    show_no integer primary key,
    hours integer not null,
    constraint show_reminders_hours check (hours between 0 and 168)
);
