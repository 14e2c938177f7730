-- Bookings that operators gave away.

create table comps (
    booking_id uuid primary key references bookings,
    show_no integer not null,
    -- What its tickets and fees cost otherwise: what was taken off.
    face_minor bigint not null constraint comps_face check (face_minor >= 0),
    currency text not null,
    -- Why, for the record.
    reason text,
    created_at timestamptz not null
);

-- Events of such a booking say so, and what its tickets and fees cost otherwise.
create or replace function event_booking(of_booking uuid) returns jsonb language sql stable as $$
    select jsonb_build_object(
        'bookingId', event_ref('bkg_', b.booking_id), 'code', b.code,
        'amountMinor', b.amount_minor, 'currency', b.currency,
        'bookedAt', event_time(b.created_at), 'show', event_show(b.show_no))
        || coalesce((select jsonb_build_object('complimentary', true, 'faceMinor', c.face_minor)
            from comps c where c.booking_id = b.booking_id), '{}'::jsonb)
    from bookings b where b.booking_id = of_booking
$$;

-- The same for many bookings at once.
create or replace function event_bookings(booking_ids uuid[])
returns table (booking_id uuid, data jsonb, email text)
language sql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
    with told as materialized (
        select b.booking_id, b.code, b.amount_minor, b.currency, b.created_at, b.show_no, b.email
        from bookings b where b.booking_id = any(booking_ids)
    ), shown as materialized (
        select d.show_no, event_show(d.show_no) as show
        from (select distinct t.show_no from told t) d
    )
    select b.booking_id,
        jsonb_build_object(
            'bookingId', 'bkg_' || replace(b.booking_id::text, '-', ''), 'code', b.code,
            'amountMinor', b.amount_minor, 'currency', b.currency,
            'bookedAt', event_time(b.created_at), 'show', s.show, 'tickets', t.tickets)
            || coalesce(g.gift, '{}'::jsonb),
        nullif(b.email, '')
    from told b
    join shown s on s.show_no = b.show_no
    cross join lateral (
        select coalesce(jsonb_agg(jsonb_build_object(
            'ticketId', 'tkt_' || replace(t.ticket_id::text, '-', ''), 'seatId', s.seat_id,
            'section', s.section, 'row', s.row_label, 'number', s.number,
            'category', s.category, 'priceMinor', t.price_minor) order by t.seat_no), '[]'::jsonb)
            as tickets
        from tickets t
        left join seats s on s.show_no = t.show_no and s.seat_no = t.seat_no
        where t.booking_id = b.booking_id
    ) t
    left join lateral (
        select jsonb_build_object('complimentary', true, 'faceMinor', c.face_minor) as gift
        from comps c where c.booking_id = b.booking_id
    ) g on true
$$;

-- What was given away is counted apart from what was sold.
alter table sales_hours
    add column comp_tickets bigint not null default 0,
    add column comp_tickets_cancelled bigint not null default 0;
alter table sales_show_hours
    add column comp_bookings bigint not null default 0,
    add column comp_face_minor bigint not null default 0;
