-- Passing tickets on to another person, and printing them anew.

-- contract::transfer::TransferPolicy as JSON; fans may pass tickets on until the start when null.
alter table shows add column transfer_policy jsonb;

-- Each row made the earlier codes of its tickets worthless.
create table transfers (
    transfer_id uuid primary key,
    booking_id uuid not null references bookings,
    -- 'TRANSFER' to another person, or 'REISSUE' for whoever had them.
    kind text not null,
    by_whom text not null,
    ticket_ids uuid[] not null,
    -- The transfer by which whoever had them before got them; null: they were the buyer's.
    from_transfer_id uuid references transfers,
    -- The address of the new holder.
    email text,
    -- Links of the new holder carry this number; older links are revoked by raising it.
    link_generation integer not null default 0,
    reason text,
    created_at timestamptz not null,
    constraint transfers_kind check (kind in ('TRANSFER', 'REISSUE')),
    constraint transfers_by_whom check (by_whom in ('FAN', 'OPERATOR')),
    constraint transfers_email check ((kind = 'TRANSFER') = (email is not null)),
    constraint transfers_tickets check (cardinality(ticket_ids) > 0)
);

-- Transfers of a booking, for its page, for operators and for the check.
create index transfers_by_booking on transfers (booking_id);

alter table tickets
    -- The transfer by which the present holder got it; null: it is the buyer's.
    add column transfer_id uuid references transfers,
    -- Whose name is printed on it.
    add column holder_name text;

-- Codes and links of a holder; null: of the buyer.
alter table guest_mails add column transfer_id uuid references transfers;

alter table notices drop constraint notices_kind;
alter table notices add constraint notices_kind check (kind in (
    'BOOKING_CONFIRMED', 'REFUND_MADE', 'HOLD_EXPIRED', 'TICKETS_CANCELLED', 'ONE_TIME_CODE',
    'BOOKING_LINK', 'TICKETS_RECEIVED', 'TICKETS_PASSED_ON', 'TICKETS_REISSUED',
    'TICKET_WITHDRAWN')) not valid;
alter table notices validate constraint notices_kind;
