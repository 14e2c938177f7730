-- What events of bookings tell, as `event_facts` tells it, for many bookings at once: most events are
-- of these two kinds, and a function call for each of their parts costs more than everything else.
-- Every row is found by a key, also by a plan that was made while the tables were small.
create function event_bookings(booking_ids uuid[])
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
            'bookedAt', event_time(b.created_at), 'show', s.show, 'tickets', t.tickets),
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
$$;
