-- The log of events: what other programs are told, in an order that never changes. It is also the
-- archive: nothing is deleted from it.

-- Where the event is in the log: null until the sequencer comes, 0 when it is told to fans alone.
alter table outbox add column position bigint;
-- The sequencer. Not built concurrently: a second gateway that waits for its turn to migrate would
-- be waited for.
create index outbox_unsequenced on outbox (id) where position is null;

-- The end of the log. Whoever holds its row gives positions, so that a position is visible only
-- after all that are below it.
create table event_head (
    only_one boolean primary key default true constraint event_head_single check (only_one),
    position bigint not null
);
insert into event_head (position) values (0);

-- A key for each customer, by which the personal fields of events are sealed. Without it they are
-- unreadable for good.
create table customer_keys (
    key_id uuid primary key,
    -- A keyed digest of the address, so that the table does not tell it.
    customer bytea not null constraint customer_keys_customer unique,
    secret bytea not null constraint customer_keys_secret check (octet_length(secret) = 32),
    created_at timestamptz not null
);

create table events (
    position bigint primary key,
    event_id uuid not null constraint events_id unique,
    kind text not null,
    -- The version of the form of `data`.
    schema_version smallint not null,
    -- Of the row of the outbox.
    dedupe text not null constraint events_once unique,
    occurred_at timestamptz not null,
    sequenced_at timestamptz not null,
    data jsonb not null,
    -- Whose personal fields are sealed, and those. No foreign key: a key may be destroyed.
    key_id uuid,
    personal bytea,
    constraint events_personal check ((key_id is null) = (personal is null))
);

-- Reading only some kinds.
create index events_by_kind on events (kind, position);

-- How far each consumer has come that is a part of the gateway. Those with a lease are served by one
-- process at a time.
create table event_consumers (
    name text primary key,
    position bigint not null default 0,
    leased_by uuid,
    leased_until timestamptz,
    moved_at timestamptz
);

-- A time as the API writes it.
create function event_time(at timestamptz) returns text language sql immutable as $$
    select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- An id as the API writes it.
create function event_ref(prefix text, id uuid) returns text language sql immutable as $$
    select prefix || replace(id::text, '-', '')
$$;

create function event_show(of_show integer) returns jsonb language sql stable as $$
    select jsonb_build_object(
        'showId', s.show_id, 'title', s.title, 'cityId', s.city_id, 'venue', s.venue -> 'name',
        'startsAt', event_time(s.starts_at), 'currency', s.currency, 'room', s.room)
    from shows s where s.show_no = of_show
$$;

create function event_seats(of_show integer, seat_nos integer[]) returns jsonb
language sql stable as $$
    select coalesce(jsonb_agg(jsonb_build_object(
        'seatId', s.seat_id, 'section', s.section, 'row', s.row_label, 'number', s.number,
        'category', s.category) order by s.seat_no), '[]'::jsonb)
    from seats s where s.show_no = of_show and s.seat_no = any(seat_nos)
$$;

create function event_tickets(of_booking uuid, wanted uuid[]) returns jsonb
language sql stable as $$
    select coalesce(jsonb_agg(jsonb_build_object(
        'ticketId', event_ref('tkt_', t.ticket_id), 'seatId', s.seat_id, 'section', s.section,
        'row', s.row_label, 'number', s.number, 'category', s.category,
        'priceMinor', t.price_minor) order by t.seat_no), '[]'::jsonb)
    from tickets t left join seats s using (show_no, seat_no)
    where t.booking_id = of_booking and (wanted is null or t.ticket_id = any(wanted))
$$;

create function event_booking(of_booking uuid) returns jsonb language sql stable as $$
    select jsonb_build_object(
        'bookingId', event_ref('bkg_', b.booking_id), 'code', b.code,
        'amountMinor', b.amount_minor, 'currency', b.currency,
        'bookedAt', event_time(b.created_at), 'show', event_show(b.show_no))
    from bookings b where b.booking_id = of_booking
$$;

-- What an event tells, in full, and the address of its customer. `about` is the part of the dedupe
-- key after the topic. Both are null for topics that are told to fans alone.
create function event_facts(topic text, about text, payload jsonb, out data jsonb, out email text)
language plpgsql stable as $$
begin
    case topic
    when 'booking.confirmed', 'booking.cancelled' then
        select event_booking(b.booking_id)
                || jsonb_build_object('tickets', event_tickets(b.booking_id, null)), b.email
            into data, email
        from bookings b where b.booking_id = about::uuid;
    when 'tickets.cancelled' then
        select event_booking(c.booking_id) || jsonb_build_object(
                'refundId', event_ref('rfd_', c.refund_id), 'byWhom', c.by_whom,
                'tickets', event_tickets(c.booking_id, c.ticket_ids),
                'refundMinor', c.refund_minor, 'keptMinor', c.kept_minor), b.email
            into data, email
        from cancellations c join bookings b using (booking_id) where c.refund_id = about::uuid;
    when 'refund.made' then
        select jsonb_build_object(
                'refundId', event_ref('rfd_', r.refund_id),
                'paymentId', event_ref('pay_', r.payment_id), 'provider', p.provider,
                'bookingId', event_ref('bkg_', b.booking_id), 'reason', r.reason,
                'amountMinor', r.amount_minor, 'currency', r.currency,
                'show', event_show(h.show_no)), coalesce(b.email, p.email)
            into data, email
        from refunds r join payments p using (payment_id) join holds h using (hold_id)
            left join bookings b using (hold_id) where r.refund_id = about::uuid;
    when 'hold.expired' then
        select jsonb_build_object(
                'holdId', event_ref('hold_', h.hold_id), 'amountMinor', h.amount_minor,
                'currency', h.currency, 'heldAt', event_time(h.created_at),
                'seats', event_seats(h.show_no, h.seat_nos), 'show', event_show(h.show_no)),
                (select p.email from payments p where p.hold_id = h.hold_id
                    order by p.attempt_no desc limit 1)
            into data, email
        from holds h where h.hold_id = about::uuid;
    when 'ticket.scanned' then
        select jsonb_build_object(
                'scanNo', c.scan_no, 'ticketId', event_ref('tkt_', c.ticket_id),
                'bookingId', event_ref('bkg_', t.booking_id), 'direction', c.direction,
                'gate', c.gate, 'scannedAt', event_time(c.happened_at),
                'seats', event_seats(t.show_no, array[t.seat_no]),
                'show', event_show(t.show_no))
            into data
        from checkins c left join tickets t using (ticket_id) where c.scan_no = about::bigint;
    when 'show.imported', 'show.changed', 'show.cancelled' then
        select jsonb_build_object(
                'show', event_show(s.show_no), 'revision', (payload ->> 'revision')::integer,
                'seatCount', s.seat_count, 'saleOpensAt', event_time(s.sale_opens_at),
                'saleClosesAt', event_time(s.sale_closes_at))
            into data
        from shows s where s.show_no = (payload ->> 'showNo')::integer;
    else
        return;
    end case;
    -- What it is about is gone: the event is told with what it said itself.
    data := coalesce(data, payload);
    email := nullif(email, '');
end
$$;

-- Entries and exits are events. The row is written with the scan.
create function note_scan_event() returns trigger language plpgsql as $$
begin
    insert into outbox (topic, dedupe, payload, created_at)
    values ('ticket.scanned', 'ticket.scanned:' || new.scan_no,
        jsonb_build_object('scanNo', new.scan_no), new.received_at)
    on conflict (dedupe) do nothing;
    return null;
end
$$;

create trigger checkins_noted after insert on checkins
    for each row when (new.result = 'ACCEPTED') execute function note_scan_event();

-- So are shows that are imported, changed and cancelled, whichever program does it.
create function note_show_event() returns trigger language plpgsql as $$
declare
    topic text := case
        when tg_op = 'INSERT' then 'show.imported'
        when old.cancelled_at is null and new.cancelled_at is not null then 'show.cancelled'
        else 'show.changed' end;
begin
    insert into outbox (topic, dedupe, payload, created_at)
    values (topic, topic || ':' || new.show_no || '.' || new.revision,
        jsonb_build_object('showNo', new.show_no, 'showId', new.show_id, 'revision', new.revision),
        new.updated_at)
    on conflict (dedupe) do nothing;
    return null;
end
$$;

create trigger shows_inserted_told after insert on shows
    for each row execute function note_show_event();
create trigger shows_updated_told after update on shows
    for each row when (old.revision <> new.revision) execute function note_show_event();
