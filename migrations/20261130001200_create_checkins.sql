-- Check-in: scanners with tokens of their own, and every scan of a ticket with what it came to.

create table scanners (
    scanner_id uuid primary key,
    show_no integer not null,
    gate text not null,
    -- SHA-256 of the token, which is kept nowhere.
    token_hash bytea not null constraint scanners_token unique
        constraint scanners_token_hash check (octet_length(token_hash) = 32),
    created_at timestamptz not null,
    expires_at timestamptz not null,
    revoked_at timestamptz
);

-- Lists the scanners of a show.
create index scanners_by_show on scanners (show_no);

create table checkins (
    scan_no bigint generated always as identity primary key,
    -- The show at whose gate it was scanned; null when an operator scanned what is no ticket.
    show_no integer,
    nonce text not null,
    -- SHA-256 of the text that was scanned: the same nonce with another text is another scan.
    ticket_digest bytea not null,
    -- Null unless the signature is ours. No foreign key: the ticket may not exist.
    ticket_id uuid,
    direction text not null constraint checkins_direction check (direction in ('in', 'out')),
    result text not null,
    gate text not null,
    -- What the device calls itself.
    device text,
    -- Null when an operator scanned.
    scanner_id uuid references scanners,
    -- Whether the device let the visitor pass by itself, without a network.
    admitted boolean not null,
    -- By the clock of the device.
    at timestamptz not null,
    -- By our clock, as far as it is known how wrong that of the device is.
    happened_at timestamptz not null,
    received_at timestamptz not null,
    -- The entry that speaks against this scan.
    earlier_scan_no bigint references checkins,
    -- The exit after this entry.
    left_scan_no bigint references checkins,
    constraint checkins_nonce unique nulls not distinct (show_no, nonce),
    constraint checkins_ticket check (result <> 'ACCEPTED' or ticket_id is not null),
    constraint checkins_left
        check (left_scan_no is null or (result = 'ACCEPTED' and direction = 'in'))
);

-- The wall against admitting twice: of all entries with a ticket at most one has no exit.
create unique index checkins_once_inside on checkins (ticket_id)
    where result = 'ACCEPTED' and direction = 'in' and left_scan_no is null;
-- Counts by gate, and conflicts of a show.
create index checkins_by_show on checkins (show_no, result);
-- The entries and exits with a ticket.
create index checkins_by_ticket on checkins (ticket_id);

-- Which scans came before a ticket was cancelled: those up to this one. A scan locks its ticket, so
-- the order of scans of one ticket is that of their numbers, whatever clocks say.
alter table tickets add column void_after_scan_no bigint;

create function note_void_ticket() returns trigger language plpgsql as $$
begin
    select coalesce(max(scan_no), 0) into new.void_after_scan_no
    from checkins where ticket_id = new.ticket_id;
    return new;
end
$$;

create trigger tickets_note_void before update of status on tickets
    for each row when (new.status = 'VOID' and old.status <> 'VOID')
    execute function note_void_ticket();
