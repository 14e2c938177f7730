-- A refund is one of a booking only if its payment paid for the booking: what a customer paid a second
-- time, or at a price that was changed since, was never a part of its price.

-- What an event tells, in full, and the address of its customer. `about` is the part of the dedupe
-- key after the topic. Both are null for topics that are told to fans alone.
create or replace function event_facts(topic text, about text, payload jsonb, out data jsonb, out email text)
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
            left join bookings b on b.hold_id = h.hold_id and p.disposition = 'BOOKED'
            where r.refund_id = about::uuid;
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
