-- Sessions of apps: whoever answers a code from a mail reads the bookings of its address.

-- A code for an app is none for a booking, and the other way round.
alter table guest_mails drop constraint guest_mails_kind;
alter table guest_mails add constraint guest_mails_kind
    check (kind in ('CODE', 'LINK', 'RESENT', 'APP_CODE')) not valid;
alter table guest_mails drop constraint guest_mails_used;
alter table guest_mails add constraint guest_mails_used
    check (used_at is null or (kind in ('CODE', 'APP_CODE') and tries > 0)) not valid;

create table app_sessions (
    session_id uuid primary key,
    -- The mail whose code began it is purged earlier; the address is read where that was.
    booking_id uuid not null references bookings,
    transfer_id uuid references transfers,
    -- Digest of the address, to end all sessions of an address.
    address_digest bytea not null,
    -- SHA-256 of the refresh token that is good, and of the one before. The tokens are kept nowhere.
    refresh_hash bytea not null
        constraint app_sessions_refresh_hash check (octet_length(refresh_hash) = 32),
    previous_hash bytea
        constraint app_sessions_previous_hash check (octet_length(previous_hash) = 32),
    -- When the one before was used first.
    rotated_at timestamptz,
    created_at timestamptz not null,
    -- Moves with each refresh.
    ends_at timestamptz not null,
    revoked_at timestamptz,
    constraint app_sessions_rotated check ((previous_hash is null) = (rotated_at is null))
);
create index app_sessions_by_address on app_sessions (address_digest);
create index app_sessions_by_end on app_sessions (ends_at);

-- Wrong codes of apps, by the minute.
create table app_code_misses (
    minute timestamptz primary key,
    misses bigint not null
);

-- Whoever looks for a booking, or reads their own, by an address that tickets were passed on to.
create index transfers_by_email on transfers (lower(email)) where email is not null;
