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
    constraint show_moves_sequence unique (show_no, sequence)
);

-- Bookings that are told of a move. A row is made with its notice, which is about the row.
create table show_move_tells (
    tell_id uuid primary key,
    move_id uuid not null references show_moves,
    booking_id uuid not null references bookings,
    constraint show_move_tells_once unique (move_id, booking_id)
);

-- How long before a show its customers are reminded, where it says so; 0: never.
create table show_reminders (
    show_no integer primary key,
    hours integer not null,
    constraint show_reminders_hours check (hours between 0 and 168)
);
