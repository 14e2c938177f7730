-- What was sold, by show, category and hour. Made from the log of events alone, by a consumer that
-- moves its position in the same transaction, so the figures can be made again from the beginning.

create table sales_hours (
    show_id text not null,
    category text not null,
    currency text not null,
    -- The beginning of the hour, UTC, in which it was sold or cancelled.
    hour timestamptz not null,
    tickets_sold bigint not null default 0,
    sold_minor bigint not null default 0,
    tickets_cancelled bigint not null default 0,
    -- What those tickets had cost.
    cancelled_minor bigint not null default 0,
    primary key (show_id, category, currency, hour)
);

-- What is not of a category: bookings, money that went back or was kept of cancelled tickets,
-- entries.
create table sales_show_hours (
    show_id text not null,
    currency text not null,
    hour timestamptz not null,
    bookings bigint not null default 0,
    booked_minor bigint not null default 0,
    refunded_minor bigint not null default 0,
    kept_minor bigint not null default 0,
    entries bigint not null default 0,
    primary key (show_id, currency, hour)
);

-- It begins with the first event.
insert into event_consumers (name) values ('sales');
