-- What is remembered of customers and cards to tell fraud, and bookings that a person looks at.

-- Tries to pay that a provider told of. Who and what paid is kept as keyed hashes only; rows are
-- purged after 30 days.
create table payment_tries (
    provider text not null,
    -- The provider's id of the try.
    try_id text not null,
    hold_id uuid not null,
    show_no integer not null,
    ticket_count integer not null,
    -- Keyed hash of whom the hold counts against.
    owner_hash bytea not null,
    -- Keyed hash of the address, and so what makes two customers two.
    customer_hash bytea not null,
    -- Keyed hash of the card or account; null where the provider does not tell it.
    instrument_hash bytea,
    declined boolean not null,
    -- Country of the card, ISO 3166-1 alpha-2.
    country text,
    -- How risky the provider finds it: 0 normal or not told, 1 elevated, 2 highest.
    provider_risk smallint not null default 0,
    seen_at timestamptz not null,
    primary key (provider, try_id)
);

-- Tries of a hold: `risk::history`.
create index payment_tries_by_hold on payment_tries (hold_id);
-- Declines of a customer: `risk::history`.
create index payment_tries_by_owner on payment_tries (owner_hash, seen_at) where declined;
create index payment_tries_by_customer on payment_tries (customer_hash, seen_at) where declined;
-- Customers of a card: `risk::of_instrument`.
create index payment_tries_by_instrument on payment_tries (instrument_hash, seen_at)
    where instrument_hash is not null;
-- Purging.
create index payment_tries_by_age on payment_tries (seen_at);

-- What was found suspicious of a hold before its payment was started. Purged after 30 days.
create table hold_risks (
    hold_id uuid primary key,
    -- A list of signals with their points.
    signals jsonb not null,
    score integer not null,
    -- The highest score for which a challenge was solved.
    passed_score integer not null default 0,
    seen_at timestamptz not null
);

create index hold_risks_by_age on hold_risks (seen_at);

-- Solutions of challenges that were used, until they end.
create table solved_challenges (
    challenge bytea primary key,
    expires_at timestamptz not null
);

create index solved_challenges_by_end on solved_challenges (expires_at);

-- Purchases that a person decides about. The row is there before the booking is, so that no ticket
-- is sent before the decision.
create table reviews (
    hold_id uuid primary key references holds,
    state text not null default 'WAITING',
    signals jsonb not null,
    score integer not null,
    created_at timestamptz not null,
    decided_at timestamptz,
    -- Whether it was decided by the passing of time.
    by_time boolean not null default false,
    note text,
    constraint reviews_state check (state in ('WAITING', 'APPROVED', 'REFUSED')),
    constraint reviews_decided check ((state = 'WAITING') = (decided_at is null))
);

-- Reviews that wait: `reviews::list`, `reviews::to_approve`.
create index reviews_waiting on reviews (created_at) where state = 'WAITING';
-- Refused ones whose booking is still to be cancelled: `reviews::to_cancel`.
create index reviews_refused on reviews (decided_at) where state = 'REFUSED';
