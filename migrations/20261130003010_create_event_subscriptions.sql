-- Subscriptions: programs of others that are told of events by webhooks.

create table event_subscriptions (
    subscription_id uuid primary key,
    url text not null,
    description text not null,
    -- Which kinds; all when empty.
    kinds text[] not null,
    -- [{"secret", "endsAt"}], the newest first; the newest has no end.
    secrets jsonb not null,
    status text not null default 'ENABLED',
    -- Why it is disabled.
    disabled_because text,
    -- Since when no delivery succeeded; null when the last one did.
    failing_since timestamptz,
    -- Up to here events have their deliveries.
    position bigint not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint event_subscriptions_status check (status in ('ENABLED', 'DISABLED')),
    constraint event_subscriptions_disabled
        check ((status = 'DISABLED') = (disabled_because is not null)),
    constraint event_subscriptions_secrets check (jsonb_array_length(secrets) between 1 and 4)
);

create table event_deliveries (
    subscription_id uuid not null references event_subscriptions on delete cascade,
    position bigint not null,
    status text not null default 'DUE',
    attempt_count integer not null default 0,
    -- While an attempt runs this is the end of its lease.
    next_attempt_at timestamptz not null,
    -- Since when it waits: its creation, or when an operator sent it again.
    due_since timestamptz not null,
    -- Of the last attempt: when it was, the status of the answer, what went wrong.
    tried_at timestamptz,
    answer_status smallint,
    last_error text,
    delivered_at timestamptz,
    created_at timestamptz not null,
    primary key (subscription_id, position),
    constraint event_deliveries_status check (status in ('DUE', 'DELIVERED', 'FAILED')),
    constraint event_deliveries_delivered
        check ((status = 'DELIVERED') = (delivered_at is not null))
);

-- What is due, and how much of a subscription.
create index event_deliveries_due on event_deliveries (subscription_id, next_attempt_at)
    where status = 'DUE';
-- Dead letters.
create index event_deliveries_failed on event_deliveries (subscription_id, position)
    where status = 'FAILED';
-- Purging.
create index event_deliveries_by_age on event_deliveries (created_at) where status <> 'DUE';
