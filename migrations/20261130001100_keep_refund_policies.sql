-- What goes back when a booking is cancelled.

-- contract::refund_policy::RefundPolicy as JSON; fans cannot cancel when null.
alter table shows add column refund_policy jsonb;

-- The policy that the booking was sold with. When null, the show's present one counts.
alter table bookings
    add column refund_policy jsonb,
    -- Links to the booking carry this number; older links are revoked by raising it.
    add column link_generation integer not null default 0;

-- What the ticket cost. Null for tickets of earlier versions, until one of the booking is cancelled.
alter table tickets add column price_minor bigint
    constraint tickets_price check (price_minor >= 0);

-- A cancellation of which nothing goes back has a refund of zero, which is done at once.
alter table refunds drop constraint refunds_amount;
alter table refunds add constraint refunds_amount
    check (amount_minor > 0 or (amount_minor = 0 and status = 'SUCCEEDED')) not valid;
alter table refunds validate constraint refunds_amount;

-- Tickets that were cancelled together. The refund has the same id.
create table cancellations (
    refund_id uuid primary key references refunds,
    booking_id uuid not null references bookings,
    by_whom text not null,
    ticket_ids uuid[] not null,
    -- What was to go back, and what the seller keeps, minor units.
    refund_minor bigint not null,
    kept_minor bigint not null,
    currency text not null,
    -- Why, in the words of whoever cancelled.
    reason text,
    created_at timestamptz not null,
    constraint cancellations_by_whom check (by_whom in ('FAN', 'OPERATOR', 'SHOW')),
    constraint cancellations_amounts check (refund_minor >= 0 and kept_minor >= 0),
    constraint cancellations_tickets check (cardinality(ticket_ids) > 0)
);

-- Cancellations of a booking, for its page and for operators.
create index cancellations_by_booking on cancellations (booking_id);
-- Bookings of a pass, for "my bookings".
create index bookings_by_subject on bookings (subject) where subject is not null;
-- Bookings of a cancelled show that still have tickets.
create index bookings_live_by_show on bookings (show_no, booking_id) where status <> 'CANCELLED';
