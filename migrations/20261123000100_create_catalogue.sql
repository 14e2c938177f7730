-- Cities, shows and the frozen layout of their seats.

create table cities (
    city_id text primary key,
    name text not null,
    country text not null,
    time_zone text not null
);

create table shows (
    -- Short key of the hot tables. Never reused.
    show_no integer generated always as identity primary key,
    show_id text not null unique,
    city_id text not null references cities,
    title text not null,
    description text not null,
    genre text not null,
    language text not null,
    performers text[] not null,
    venue jsonb not null,
    starts_at timestamptz not null,
    sale_opens_at timestamptz not null,
    sale_closes_at timestamptz not null,
    cancelled_at timestamptz,
    room text,
    ticket_limit integer not null,
    hold_seconds integer not null,
    currency text not null,
    -- SHA-256 of the show file, so that importing it again does nothing.
    content_hash bytea not null,
    -- Grows with every import that changed something; other processes reload on seeing it grow.
    revision integer not null default 1,
    -- First ordinal of the present seats. Ordinals are never reused, so that a process that still
    -- has the old layout in memory cannot hold a seat of the new one by mistake.
    seat_no_first integer not null,
    seat_count integer not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint shows_ticket_limit check (ticket_limit between 1 and 20),
    constraint shows_hold_seconds check (hold_seconds between 300 and 900),
    constraint shows_sale_window check (sale_opens_at <= sale_closes_at)
);

create index shows_by_city on shows (city_id, starts_at);

create table show_categories (
    show_no integer not null references shows on delete cascade,
    category text not null,
    ordinal integer not null,
    name text not null,
    price_minor bigint not null,
    primary key (show_no, category),
    constraint show_categories_price check (price_minor >= 0)
);

-- What never changes about a seat. What changes is in show_seats.
create table seats (
    show_no integer not null references shows on delete cascade,
    seat_no integer not null,
    seat_id text not null,
    section text not null,
    row_label text not null,
    number integer not null,
    category text not null,
    x double precision not null,
    y double precision not null,
    accessible boolean not null,
    primary key (show_no, seat_no),
    constraint seats_label unique (show_no, seat_id)
);
