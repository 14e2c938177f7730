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
    created_at timestamptz not null,
    -- Moves with each refresh.
    ends_at timestamptz not null,
    revoked_at timestamptz
);
create index app_sessions_by_address on app_sessions (address_digest);
create index app_sessions_by_end on app_sessions (ends_at);

create table app_refresh_tokens (
    -- SHA-256 of the token, which is kept nowhere.
    token_hash bytea primary key
        constraint app_refresh_tokens_hash check (octet_length(token_hash) = 32),
    session_id uuid not null references app_sessions on delete cascade,
    created_at timestamptz not null,
    used_at timestamptz
);
-- The wall against two tokens that are good for one session.
create unique index app_refresh_tokens_one_usable on app_refresh_tokens (session_id)
    where used_at is null;
create index app_refresh_tokens_by_session on app_refresh_tokens (session_id);

-- Whoever looks for a booking, or reads their own, by an address that tickets were passed on to.
create index transfers_by_email on transfers (lower(email)) where email is not null;
