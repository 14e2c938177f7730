-- Adds the events after position $1 up to $2 to the figures of sales. The caller holds the position
-- of the consumer and moves it in the same transaction.
with page as materialized (
    select kind, date_trunc('hour', occurred_at, 'UTC') as hour, data,
        data -> 'show' ->> 'showId' as show_id,
        coalesce(data ->> 'currency', data -> 'show' ->> 'currency') as currency,
        coalesce((data ->> 'complimentary')::boolean, false) as is_comp
    from event_log($1, $2)
), tickets as (
    select p.show_id, coalesce(t ->> 'category', '') as category, p.currency, p.hour, p.kind, p.is_comp,
        coalesce((t ->> 'priceMinor')::bigint, 0) as price_minor
    from page p cross join lateral jsonb_array_elements(p.data -> 'tickets') t
    where p.kind in ('booking.confirmed', 'tickets.cancelled')
        and p.show_id is not null and p.currency is not null
), of_categories as (
    insert into sales_hours as s (show_id, category, currency, hour, tickets_sold, sold_minor,
        tickets_cancelled, cancelled_minor, comp_tickets, comp_tickets_cancelled)
    select show_id, category, currency, hour,
        count(*) filter (where kind = 'booking.confirmed' and not is_comp),
        coalesce(sum(price_minor) filter (where kind = 'booking.confirmed'), 0),
        count(*) filter (where kind = 'tickets.cancelled' and not is_comp),
        coalesce(sum(price_minor) filter (where kind = 'tickets.cancelled'), 0),
        count(*) filter (where kind = 'booking.confirmed' and is_comp),
        count(*) filter (where kind = 'tickets.cancelled' and is_comp)
    from tickets group by 1, 2, 3, 4
    on conflict (show_id, category, currency, hour) do update set
        tickets_sold = s.tickets_sold + excluded.tickets_sold,
        sold_minor = s.sold_minor + excluded.sold_minor,
        tickets_cancelled = s.tickets_cancelled + excluded.tickets_cancelled,
        cancelled_minor = s.cancelled_minor + excluded.cancelled_minor,
        comp_tickets = s.comp_tickets + excluded.comp_tickets,
        comp_tickets_cancelled = s.comp_tickets_cancelled + excluded.comp_tickets_cancelled
)
insert into sales_show_hours as s (show_id, currency, hour, bookings, booked_minor, refunded_minor,
    kept_minor, entries, comp_bookings, comp_face_minor)
select show_id, currency, hour,
    count(*) filter (where kind = 'booking.confirmed' and not is_comp),
    coalesce(sum((data ->> 'amountMinor')::bigint) filter (where kind = 'booking.confirmed'), 0),
    -- Money that came too late for its seats was never of a booking.
    coalesce(sum((data ->> 'amountMinor')::bigint)
        filter (where kind = 'refund.made' and data ->> 'bookingId' is not null), 0),
    coalesce(sum((data ->> 'keptMinor')::bigint) filter (where kind = 'tickets.cancelled'), 0),
    count(*) filter (where kind = 'ticket.scanned' and data ->> 'direction' = 'in'),
    count(*) filter (where kind = 'booking.confirmed' and is_comp),
    coalesce(sum((data ->> 'faceMinor')::bigint)
        filter (where kind = 'booking.confirmed' and is_comp), 0)
from page
where show_id is not null and currency is not null
    and kind in ('booking.confirmed', 'refund.made', 'tickets.cancelled', 'ticket.scanned')
group by 1, 2, 3
on conflict (show_id, currency, hour) do update set
    bookings = s.bookings + excluded.bookings,
    booked_minor = s.booked_minor + excluded.booked_minor,
    refunded_minor = s.refunded_minor + excluded.refunded_minor,
    kept_minor = s.kept_minor + excluded.kept_minor,
    entries = s.entries + excluded.entries,
    comp_bookings = s.comp_bookings + excluded.comp_bookings,
    comp_face_minor = s.comp_face_minor + excluded.comp_face_minor
