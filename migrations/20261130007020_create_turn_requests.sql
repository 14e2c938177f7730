-- Fans in a waiting room who want to be told when they are called.

create table turn_requests (
    turn_id uuid primary key,
    room text not null,
    -- As in the admission log.
    place bytea not null constraint turn_requests_place_size check (octet_length(place) = 16),
    email text,
    -- A browser that takes push messages.
    endpoint text,
    p256dh bytea,
    auth bytea,
    language text not null,
    -- Calls up to this ordinal of the room's log were before the request.
    since_seq bigint not null,
    created_at timestamptz not null,
    constraint turn_requests_once unique (room, place),
    constraint turn_requests_contact check (email is not null or endpoint is not null),
    constraint turn_requests_push check ((endpoint is null) = (p256dh is null)
        and (endpoint is null) = (auth is null))
);
-- How often an address asked in a room: `turns::ask`.
create index turn_requests_by_email on turn_requests (room, lower(email)) where email is not null;
-- Purging.
create index turn_requests_by_age on turn_requests (created_at);

-- How far the admission log of a room was compared with the requests.
create table turn_heads (
    room text primary key,
    seq bigint not null
);

-- Calls of fans who asked. A row is made with its notice, which is about the row.
create table turn_calls (
    call_id uuid primary key,
    turn_id uuid not null references turn_requests on delete cascade,
    -- Of the admission log.
    seq bigint not null,
    called_at timestamptz not null,
    constraint turn_calls_once unique (turn_id, seq)
);
