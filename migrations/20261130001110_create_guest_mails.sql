-- Mails that a fan asked for: a one-time code, or the link to a booking.

create table guest_mails (
    -- The code is computed from the id with a key that is not in the database.
    mail_id uuid primary key,
    booking_id uuid not null references bookings,
    kind text not null,
    -- Digest of the address that it goes to, to count mails to one address.
    address_digest bytea not null,
    created_at timestamptz not null,
    -- When a code ends.
    expires_at timestamptz not null,
    -- How often a code was tried.
    tries integer not null default 0,
    used_at timestamptz,
    constraint guest_mails_kind check (kind in ('CODE', 'LINK', 'RESENT')),
    constraint guest_mails_tries check (tries between 0 and 5),
    constraint guest_mails_used check (used_at is null or (kind = 'CODE' and tries > 0))
);

-- The newest code of a booking, and how many mails were asked for lately.
create index guest_mails_by_booking on guest_mails (booking_id, created_at);
create index guest_mails_by_address on guest_mails (address_digest, created_at);
create index guest_mails_by_age on guest_mails (created_at);

alter table notices drop constraint notices_kind;
alter table notices add constraint notices_kind check (kind in (
    'BOOKING_CONFIRMED', 'REFUND_MADE', 'HOLD_EXPIRED', 'TICKETS_CANCELLED', 'ONE_TIME_CODE',
    'BOOKING_LINK')) not valid;
alter table notices validate constraint notices_kind;

-- Operators look bookings up by their address.
create index bookings_by_email on bookings (lower(email));
