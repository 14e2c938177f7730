-- More ways to a fan than mail: text messages and Web Push.

-- How the customer of a booking wants to be told. Without a row: by mail.
create table booking_contacts (
    booking_id uuid primary key references bookings,
    -- E.164.
    phone text,
    preferred text not null,
    updated_at timestamptz not null,
    constraint booking_contacts_phone check (phone ~ '^\+[1-9][0-9]{6,14}$'),
    constraint booking_contacts_preferred check (preferred in ('EMAIL', 'SMS', 'PUSH')),
    constraint booking_contacts_sms check (preferred <> 'SMS' or phone is not null)
);

-- Browsers that take push messages about a booking.
create table push_subscriptions (
    subscription_id uuid primary key,
    booking_id uuid not null references bookings,
    endpoint text not null,
    -- The browser's public key and secret, for which messages are encrypted: RFC 8291.
    p256dh bytea not null,
    auth bytea not null,
    created_at timestamptz not null,
    constraint push_subscriptions_once unique (booking_id, endpoint),
    constraint push_subscriptions_keys
        check (octet_length(p256dh) = 65 and octet_length(auth) = 16)
);

-- The language in which the customer of a hold reads, where it is not English.
create table hold_languages (
    hold_id uuid primary key references holds,
    language text not null
);

alter table notices
    -- Channels that have refused it, or were down for too long, in the order in which they were
    -- tried.
    add column failed_channels text[] not null default '{}',
    -- The channel that took it.
    -- Without one it was sent by a version that knew mail alone.
    add column channel text,
    -- The receipt: what the provider of that channel calls the message that it took.
    add column receipt text,
    add constraint notices_channel check (channel in ('EMAIL', 'SMS', 'PUSH')) not valid;
