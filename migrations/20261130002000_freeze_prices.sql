-- Ticket types, fees and taxes of shows, and prices that are frozen in holds.

-- contract::pricing::TicketType as JSON; empty where a category has one price.
alter table show_categories add column ticket_types jsonb not null default '[]';

-- contract::pricing::Fee and Tax as JSON.
alter table shows
    add column fees jsonb not null default '[]',
    add column taxes jsonb not null default '[]';

-- What a hold costs. Null in holds of earlier versions, of which only the sum is known.
alter table holds
    -- contract::pricing::PriceLine as JSON: they sum to the amount.
    add column price_lines jsonb,
    -- The share of each seat, in the order of seat_nos: they sum to the amount too.
    add column ticket_prices bigint[],
    -- What each seat is sold as, in the order of seat_nos; null where its category has no types.
    add column ticket_types text[];
alter table holds add constraint holds_priced check (
    (ticket_prices is null or cardinality(ticket_prices) = cardinality(seat_nos))
    and (ticket_types is null or cardinality(ticket_types) = cardinality(seat_nos))) not valid;
alter table holds validate constraint holds_priced;

alter table bookings add column price_lines jsonb;

-- What the ticket was sold as; null where its category has no types.
alter table tickets add column ticket_type text;
