-- Every invariant with the number of its violations. $1 is the present time, $2 the start of this
-- process's background work: a deadline from before $2 counts from $2.
select 'I01 a booked seat has exactly one live ticket, and a live ticket a booked seat' as "name!",
    (select count(*) from (
        select s.show_no, s.seat_no from show_seats s
        left join tickets t on t.show_no = s.show_no and t.seat_no = s.seat_no and t.status <> 'VOID'
        where s.status = 'BOOKED' group by s.show_no, s.seat_no having count(t.ticket_id) <> 1
        union all
        select t.show_no, t.seat_no from tickets t
        left join show_seats s using (show_no, seat_no)
        where t.status <> 'VOID' and s.status is distinct from 'BOOKED') v) as "violations!"
union all select 'I02 no seat has two live tickets',
    (select count(*) from (
        select 1 from tickets where status <> 'VOID'
        group by show_no, seat_no having count(*) > 1) v)
union all select 'I03 a seat and its live ticket name the same booking',
    (select count(*) from show_seats s join tickets t using (show_no, seat_no)
     where t.status <> 'VOID' and t.booking_id is distinct from s.booking_id)
union all select 'I04 a held seat belongs to an open hold that lists it',
    (select count(*) from show_seats s left join holds h on h.hold_id = s.hold_id
     where s.status = 'HELD' and not coalesce(
        h.status in ('ACTIVE', 'PAYING') and s.seat_no = any(h.seat_nos)
            and h.show_no = s.show_no, false))
union all select 'I05 an open hold has all of its seats',
    (select count(*) from holds h where h.status in ('ACTIVE', 'PAYING')
        and cardinality(h.seat_nos) <> (
            select count(*) from show_seats s where s.show_no = h.show_no
                and s.seat_no = any(h.seat_nos) and s.hold_id = h.hold_id and s.status = 'HELD'))
union all select 'I06 no hold is open 30 s past its deadline',
    (select count(*) from holds where status in ('ACTIVE', 'PAYING')
        and case when payment_open then hard_deadline else expires_at end
            < $1::timestamptz - interval '30 seconds'
        and $2::timestamptz < $1::timestamptz - interval '30 seconds')
union all select 'I07 a hold is confirmed exactly when it has a booking',
    (select count(*) from holds h left join bookings b using (hold_id)
     where (h.status = 'CONFIRMED') <> (b.booking_id is not null))
union all select 'I08 a booking has exactly one booked payment, of its amount and currency',
    (select count(*) from bookings b
     left join payments p on p.hold_id = b.hold_id and p.disposition = 'BOOKED'
     where p.payment_id is null or p.captured_minor <> b.amount_minor
        or p.captured_currency is distinct from b.currency)
union all select 'I09 taken money is booked, given back, or on its way back',
    (select count(*) from payments p where captured_minor > 0
        and disposition is distinct from 'BOOKED' and refunded_minor <> captured_minor
        -- Refunds that are retried in time; one that waits for a person does not count.
        and refunded_minor + coalesce((select sum(r.amount_minor) from refunds r
            where r.payment_id = p.payment_id
                and r.status in ('REQUESTED', 'SUBMITTED', 'FAILED')
                and greatest(r.next_attempt_at, $2::timestamptz)
                    > $1::timestamptz - interval '1 minute'), 0) <> captured_minor)
    -- Refunds of cancelled bookings that failed at the provider later and are not retried: a person
    -- has to refund the rest. Money of a won dispute stays with the seller and is not due, and
    -- neither is what the seller keeps.
    + (select count(*) from payments p join bookings b using (hold_id)
        where p.disposition = 'BOOKED' and b.status = 'CANCELLED'
            and p.refunded_minor + coalesce((select sum(r.amount_minor) from refunds r
                where r.payment_id = p.payment_id
                    and (r.origin = 'DISPUTE' and r.status = 'NEEDS_OPS'
                        or r.origin = 'OURS' and r.status in ('REQUESTED', 'SUBMITTED', 'FAILED')
                            and greatest(r.next_attempt_at, $2::timestamptz)
                                > $1::timestamptz - interval '1 minute')), 0)
                + coalesce((select sum(c.kept_minor) from cancellations c
                    where c.booking_id = b.booking_id), 0) < p.captured_minor)
    -- Refunds of single tickets that nobody tries any more.
    + (select count(*) from refunds r join payments p using (payment_id)
            join bookings b using (hold_id)
        where r.origin = 'OURS' and p.disposition = 'BOOKED' and b.status <> 'CANCELLED'
            and (r.status = 'NEEDS_OPS' or r.status <> 'SUCCEEDED'
                and greatest(r.next_attempt_at, $2::timestamptz)
                    <= $1::timestamptz - interval '1 minute'))
    + (select count(*) from refunds r join payments p using (payment_id)
            join bookings b using (hold_id)
        where r.status = 'NEEDS_OPS' and r.origin = 'PROVIDER'
            and p.disposition = 'BOOKED' and b.status <> 'CANCELLED'
            and not exists (select 1 from refunds l where l.payment_id = r.payment_id
                and l.status = 'SUCCEEDED' and l.created_at >= r.updated_at))
union all select 'I10 every successful payment has a disposition',
    (select count(*) from payments where status = 'SUCCEEDED' and disposition is null)
union all select 'I11 no payment stays open for an hour after its hold ended',
    (select count(*) from payments p join holds h using (hold_id)
     where p.provider_open and h.closed_at < $1::timestamptz - interval '1 hour'
        and $2::timestamptz < $1::timestamptz - interval '2 minutes')
union all select 'I12 the refunds of a payment sum to its counters',
    (select count(*) from (
        select 1 from payments p left join refunds r using (payment_id)
        group by p.payment_id
        having coalesce(sum(r.amount_minor) filter (where r.status = 'SUCCEEDED'), 0)
                <> p.refunded_minor
            or coalesce(sum(r.amount_minor) filter (
                where r.origin = 'OURS' or r.status = 'SUCCEEDED'), 0)
                <> p.refund_reserved_minor) v)
union all select 'I13 every ledger transaction sums to zero',
    (select count(*) from (
        select 1 from ledger group by transaction_id, currency having sum(amount_minor) <> 0) v)
union all select 'I14 the ledger has what was taken less what was given back',
    (select count(*) from (
        select coalesce((select sum(amount_minor) from ledger where account = 'gateway'), 0)
            - coalesce((select sum(captured_minor - refunded_minor) from payments), 0) as gap) v
     where gap <> 0)
union all select 'I15 a booking is cancelled exactly when it has no live ticket',
    (select count(*) from bookings b where (b.status = 'CANCELLED') <> not exists (
        select 1 from tickets t where t.booking_id = b.booking_id and t.status <> 'VOID'))
union all select 'I16 every show has all of its seats',
    (select count(*) from shows s where s.seat_count <> (
            select count(*) from show_seats t where t.show_no = s.show_no
                and t.seat_no >= s.seat_no_first and t.seat_no < s.seat_no_first + s.seat_count)
        or s.seat_count <> (select count(*) from show_seats t where t.show_no = s.show_no))
union all select 'I17 no customer has more tickets than the show allows',
    (select count(*) from owner_ticket_counts c join shows s using (show_no)
     where c.ticket_count > s.ticket_limit
        -- What was given away has no limit.
        and not exists (select 1 from bookings b join comps g using (booking_id)
            where b.show_no = c.show_no and b.limit_owner = c.owner))
union all select 'I18 no webhook in the inbox is overdue by 30 s, or half an hour old',
    -- A claimed event is due again when its claim ends, a postponed one at its next attempt.
    (select count(*) from payment_events where processed_at is null
        and (greatest(next_attempt_at, $2::timestamptz) < $1::timestamptz - interval '30 seconds'
            or greatest(received_at, $2::timestamptz)
                < $1::timestamptz - interval '30 minutes'))
union all select 'I19 each booking of the last 30 days is announced once',
    (select count(*) from bookings b
     where b.created_at > $1::timestamptz - interval '30 days' and not exists (
        select 1 from outbox o where o.dedupe = 'booking.confirmed:' || b.booking_id))
union all select 'I20 ticket counts match the holds and tickets they count',
    (select count(*) from (
        select show_no, limit_owner as owner, sum(n) as n from (
            select show_no, limit_owner, cardinality(seat_nos) as n from holds
            where status in ('ACTIVE', 'PAYING')
            union all
            select b.show_no, b.limit_owner, 1 from bookings b join tickets t using (booking_id)
            where t.status <> 'VOID') u
        group by show_no, limit_owner) u
     full join owner_ticket_counts c using (show_no, owner)
     where coalesce(u.n, 0) <> coalesce(c.ticket_count, 0))
union all select 'I21 no idempotency key is in progress for five minutes',
    (select count(*) from idempotency_keys where status_code is null
        and greatest(locked_at, $2::timestamptz) < $1::timestamptz - interval '5 minutes')
union all select 'I22 no hold has two booked payments',
    (select count(*) from (
        select 1 from payments where disposition = 'BOOKED'
        group by hold_id having count(*) > 1) v)
union all select 'I23 each booking of the last 30 days has one notice of its confirmation',
    -- Bookings from before there was mail are marked by a time that no event has.
    (select count(*) from bookings b
     left join outbox o on o.dedupe = 'booking.confirmed:' || b.booking_id
     where b.created_at > $1::timestamptz - interval '30 days' and b.email <> ''
        and o.done_at is distinct from '-infinity'
        and (o.done_at is not null
            or greatest(b.created_at, $2::timestamptz) < $1::timestamptz - interval '30 seconds')
        and (select count(*) from notices n
            where n.kind = 'BOOKING_CONFIRMED' and n.about = b.booking_id) <> 1)
union all select 'I24 a notice that was sent has a time, and no other has one',
    (select count(*) from notices where (status = 'SENT') <> (sent_at is not null))
union all select 'I25 a cancelled ticket is void, cancelled once, and its refund is what was promised',
    -- A refund may be less than was promised when a bank took the money back before.
    (select count(*) from (
        select c.refund_id from cancellations c cross join unnest(c.ticket_ids) as u (ticket_id)
        left join tickets t on t.ticket_id = u.ticket_id and t.booking_id = c.booking_id
        where t.status is distinct from 'VOID'
        union all
        select min(c.refund_id::text)::uuid from cancellations c
        cross join unnest(c.ticket_ids) as u (ticket_id)
        group by u.ticket_id having count(*) > 1
        union all
        select c.refund_id from cancellations c left join refunds r using (refund_id)
        where r.refund_id is null or r.origin <> 'OURS' or r.amount_minor > c.refund_minor
            or r.currency <> c.currency
        union all
        select r.refund_id from refunds r left join cancellations c using (refund_id)
        where r.reason = 'cancelled' and c.refund_id is null
        union all
        select b.booking_id from cancellations c join bookings b using (booking_id)
        group by b.booking_id, b.amount_minor
        having sum(c.refund_minor + c.kept_minor) > b.amount_minor) v)
union all select 'I26 the account of bookings has what was paid for them less what went back or was kept',
    (select count(*) from (
        select coalesce((select sum(amount_minor) from ledger where account = 'bookings'), 0)
            + coalesce((select sum(captured_minor) from payments
                where disposition = 'BOOKED'), 0)
            - coalesce((select sum(r.amount_minor) from refunds r join payments p using (payment_id)
                where p.disposition = 'BOOKED'
                    and (r.origin = 'OURS' or r.status = 'SUCCEEDED')), 0)
            - coalesce((select sum(kept_minor) from cancellations), 0) as gap) v
     where gap <> 0)
union all select 'I27 the account of refunds has what is promised and has not gone back',
    (select count(*) from (
        select coalesce((select sum(amount_minor) from ledger where account = 'refunds'), 0)
            + coalesce((select sum(captured_minor - refunded_minor) from payments
                where status = 'SUCCEEDED' and disposition is distinct from 'BOOKED'), 0)
            + coalesce((select sum(r.amount_minor) from refunds r join payments p using (payment_id)
                where p.disposition = 'BOOKED' and r.origin = 'OURS'
                    and r.status <> 'SUCCEEDED'), 0) as gap) v
     where gap <> 0)
union all select 'I28 the account of kept money has what was kept of cancelled tickets',
    (select count(*) from (
        select coalesce((select sum(amount_minor) from ledger where account = 'kept'), 0)
            + coalesce((select sum(kept_minor) from cancellations), 0) as gap) v
     where gap <> 0)
union all select 'I29 the seat of a void ticket is free or sold again',
    (select count(*) from tickets t join show_seats s using (show_no, seat_no)
     where t.status = 'VOID' and s.booking_id = t.booking_id and not exists (
        select 1 from tickets l where l.booking_id = t.booking_id and l.show_no = t.show_no
            and l.seat_no = t.seat_no and l.status <> 'VOID'))
union all select 'I30 no code is tried more than five times, and a booking gets five mails of a kind an hour',
    (select count(*) from (
        select 1 from guest_mails where tries > 5
        union all
        select 1 from guest_mails m where m.kind <> 'RESENT' and (
            select count(*) from guest_mails o where o.booking_id = m.booking_id
                and o.transfer_id is not distinct from m.transfer_id and o.kind <> 'RESENT'
                and (o.kind = 'APP_CODE') = (m.kind = 'APP_CODE') and o.created_at <= m.created_at
                and o.created_at > m.created_at - interval '1 hour') > 5) v)
union all select 'I31 no booking of a cancelled show keeps its tickets for ten minutes',
    (select count(*) from bookings b join show_cancellations c using (show_no)
     where b.status <> 'CANCELLED'
        and greatest(b.created_at, c.created_at, $2::timestamptz)
            < $1::timestamptz - interval '10 minutes')
union all select 'I40 a ticket that was checked in has an accepted entry',
    (select count(*) from tickets t where t.status = 'CHECKED_IN' and not exists (
        select 1 from checkins c where c.ticket_id = t.ticket_id and c.result = 'ACCEPTED'
            and c.direction = 'in'))
union all select 'I41 between two accepted entries with a ticket there is an accepted exit',
    (select count(*) from (
        select direction, lag(direction) over (partition by ticket_id order by scan_no) as before
        from checkins where result = 'ACCEPTED') v
     where direction = before or (direction = 'out' and before is null))
    + (select count(*) from (
        select 1 from checkins where result = 'ACCEPTED' and direction = 'in'
            and left_scan_no is null
        group by ticket_id having count(*) > 1) v)
union all select 'I42 no entry with a void ticket was accepted after its revocation',
    (select count(*) from tickets t join checkins c using (ticket_id)
     where t.status = 'VOID' and c.result = 'ACCEPTED' and c.direction = 'in'
        and c.scan_no > coalesce(t.void_after_scan_no, 0))
union all select 'I43 the lines of a price and the shares of its tickets sum to the amount',
    (select count(*) from holds h where h.price_lines is not null and (
        h.amount_minor <> (select coalesce(sum((l ->> 'amountMinor')::bigint), 0)
            from jsonb_array_elements(h.price_lines) l
            where not coalesce((l ->> 'included')::boolean, false))
        or h.amount_minor <> (select coalesce(sum(p), 0) from unnest(h.ticket_prices) p)
        or exists (select 1 from unnest(h.ticket_prices) p where p < 0)))
    + (select count(*) from bookings b join holds h using (hold_id)
        where b.price_lines is not null and (b.amount_minor <> h.amount_minor
            or b.currency <> h.currency or b.price_lines <> h.price_lines
            or b.amount_minor <> (select sum(t.price_minor) from tickets t
                where t.booking_id = b.booking_id)))
union all select 'I44 a coupon counts the uses that are reserved or booked, and no more than it has',
    (select count(*) from coupons c where c.use_count <> (select count(*) from coupon_uses u
            where u.coupon_id = c.coupon_id and u.released_at is null)
        or c.use_count > c.uses_max)
union all select 'I45 a use of a coupon is reserved exactly as long as its hold has or had its price',
    (select count(*) from coupon_uses u join holds h using (hold_id)
     where (u.released_at is null) <> (h.status in ('ACTIVE', 'PAYING', 'CONFIRMED')
        and h.coupon_use_id is not distinct from u.use_id))
    + (select count(*) from holds h left join coupon_uses u on u.use_id = h.coupon_use_id
        and u.hold_id = h.hold_id
        where h.coupon_use_id is not null and (u.use_id is null
            or u.off_minor <> -(select coalesce(sum((l ->> 'amountMinor')::bigint), 0)
                from jsonb_array_elements(h.price_lines) l where l ->> 'kind' = 'discount')))
union all select 'I46 no customer uses a coupon more often than it allows, nor two for a first booking',
    (select count(*) from (
        select 1 from coupon_uses u join coupons c using (coupon_id) where u.released_at is null
        group by u.coupon_id, u.customer, c.uses_per_customer_max
        having count(*) > c.uses_per_customer_max
        union all
        select 1 from coupon_uses u where u.first_booking and u.released_at is null
        group by u.customer having count(*) > 1) v)
union all select 'I47 the account of discounts has what coupons took off bookings',
    (select count(*) from (
        select coalesce((select sum(amount_minor) from ledger where account = 'discounts'), 0)
            - coalesce((select sum(u.off_minor) from coupon_uses u join holds h using (hold_id)
                where u.released_at is null and h.status = 'CONFIRMED'), 0) as gap) v
     where gap <> 0)
union all select 'I48 each booking of the last 30 days is one event of its confirmation',
    (select count(*) from bookings b
     where b.created_at > $1::timestamptz - interval '30 days'
        and greatest(b.created_at, $2::timestamptz) < $1::timestamptz - interval '30 seconds'
        and not exists (select 1 from events e
            where e.dedupe = 'booking.confirmed:' || b.booking_id and e.kind = 'booking.confirmed')
        and not exists (select 1 from event_archive_keys k
            where k.digest = md5('booking.confirmed:' || b.booking_id)::uuid))
union all select 'I49 positions of events have no gap from 1 to the end of the log',
    -- Of blocks, that each begins where the one before ends: none can be written that lacks an event.
    (select abs(h.position - coalesce(e.last, z.position))
        + abs(h.position - z.position - e.n)
        + case when coalesce(e.first, z.position + 1) = z.position + 1 then 0 else 1 end
     from event_head h, event_archive_end z,
        (select count(*) as n, min(position) as first, max(position) as last from events) e)
    + (select abs(z.position - coalesce((select max(last_position) from event_archive), 0))
        from event_archive_end z)
    + (select count(*) from (
        select first_position, lag(last_position, 1, 0::bigint) over (order by last_position) as before
        from event_archive) a where first_position <> before + 1)
union all select 'I50 nobody has taken events beyond the end of the log',
    (select count(*) from (
        select position from event_consumers
        union all select position from event_subscriptions
        union all select position from event_deliveries) v, event_head h
     where v.position > h.position or v.position < 0)
    + (select count(*) from event_deliveries d join event_subscriptions s using (subscription_id)
        where d.position > s.position)
union all select 'I51 what has a position in the outbox is that event in the log',
    (select count(*) from outbox o left join events e on e.position = o.position
     where o.position > 0
        and (e.dedupe is distinct from o.dedupe or e.kind is distinct from o.topic)
        and not exists (select 1 from event_archive_keys k
            where k.digest = md5(o.dedupe)::uuid and k.position = o.position))
union all select 'I52 whoever has a ticket got it by the last transfer that names it, or bought it',
    (select count(*) from tickets t where nullif(array[t.transfer_id], array[null::uuid]) is distinct from (
        select array_agg(h.transfer_id) from transfers h
        where h.booking_id = t.booking_id and h.kind = 'TRANSFER' and t.ticket_id = any(h.ticket_ids)
            -- Each transfer names the one before, so the last is the one that no other follows.
            and not exists (select 1 from transfers n where n.booking_id = h.booking_id
                and n.kind = 'TRANSFER' and n.from_transfer_id = h.transfer_id
                and t.ticket_id = any(n.ticket_ids))))
union all select 'I53 a ticket has one code more than it was passed on or printed anew',
    (select count(*) from tickets t where t.token_generation <> 1 + (
        select count(*) from transfers h
        where h.booking_id = t.booking_id and t.ticket_id = any(h.ticket_ids)))
union all select 'I54 what a dispute took over of a promised refund is promised again once it is won',
    (select count(*) from refund_takeovers o join refunds d on d.refund_id = o.by_refund_id
     join refunds r on r.refund_id = o.refund_id
     where o.restored_at is null and d.status = 'NEEDS_OPS'
        and r.amount_minor = 0 and r.status = 'SUCCEEDED')
union all select 'I55 a notice ends once: over one channel that had not failed before, or not at all',
    -- One that was sent by a version that knew mail alone has no channel.
    (select count(*) from notices n
     where (channel is not null and status <> 'SENT')
        or (channel is not null and channel = any(failed_channels))
        or (receipt is not null and status <> 'SENT')
        or status = 'DUE' and greatest(due_since, $2::timestamptz)
                < $1::timestamptz - interval '76 hours'
            -- What is not so at the moment waits for as long as that lasts.
            and not exists (select 1 from reviews r join bookings b using (hold_id)
                where b.booking_id = n.about and r.state = 'WAITING')
            and not exists (select 1 from refunds r
                where r.refund_id = n.about and r.status <> 'SUCCEEDED'))
union all select 'I56 a call of a fan who asked has a notice, and a notice of a turn its call',
    (select count(*) from turn_requests r join admissions a using (room, place)
     where a.seq > r.since_seq
        and greatest(a.called_at, $2::timestamptz) < $1::timestamptz - interval '30 seconds'
        and not exists (select 1 from turn_calls c join notices n
            on n.kind = 'YOUR_TURN' and n.about = c.call_id
            where c.turn_id = r.turn_id and c.seq = a.seq))
    + (select count(*) from turn_calls c join turn_requests r using (turn_id)
        where not exists (select 1 from admissions a
            where a.room = r.room and a.seq = c.seq and a.place = r.place))
union all select 'I57 each buyer and holder of a moved show has a notice of its last move',
    -- Of the last days alone: notices are purged.
    (with moves as (
        select distinct on (show_no) move_id, show_no, created_at from show_moves
        where created_at > $1::timestamptz - interval '7 days'
        order by show_no, sequence desc
    ), readers as (
        select m.move_id, b.booking_id, null::uuid as transfer_id,
            greatest(m.created_at, b.created_at) as since
        from moves m join bookings b using (show_no) join holds h using (hold_id)
        where h.created_at <= m.created_at and b.status <> 'CANCELLED'
        union
        select m.move_id, t.booking_id, t.transfer_id, m.created_at
        from moves m join tickets t using (show_no)
        join transfers p on p.transfer_id = t.transfer_id
        where p.created_at <= m.created_at and t.status <> 'VOID'
    )
    select count(*) from readers r
     where greatest(r.since, $2::timestamptz) < $1::timestamptz - interval '10 minutes'
        and not exists (select 1 from show_move_tells t join notices n
            on n.kind = 'SHOW_MOVED' and n.about = t.tell_id
            where t.move_id = r.move_id and t.booking_id = r.booking_id
                and t.transfer_id is not distinct from r.transfer_id))
union all select 'I58 a refused purchase is cancelled and its whole price is promised or back',
    -- What was kept for tickets that were cancelled before the decision stays.
    (select count(*) from reviews r join bookings b using (hold_id)
     join payments p on p.hold_id = b.hold_id and p.disposition = 'BOOKED'
     where r.state = 'REFUSED'
        and greatest(r.decided_at, $2::timestamptz) < $1::timestamptz - interval '2 minutes'
        and (b.status <> 'CANCELLED' or p.refund_reserved_minor + coalesce((
            select sum(c.kept_minor) from cancellations c where c.booking_id = b.booking_id
                and c.created_at <= r.decided_at), 0) < p.captured_minor))
union all select 'I59 no ticket was mailed before its purchase was approved',
    (select count(*) from reviews r join bookings b using (hold_id)
     join notices n on n.kind = 'BOOKING_CONFIRMED' and n.about = b.booking_id
     where n.status = 'SENT' and (r.state <> 'APPROVED' or n.sent_at < r.decided_at))
union all select 'I60 nobody came in with a ticket of a purchase that was not approved',
    (select count(*) from reviews r join bookings b using (hold_id)
     join tickets t using (booking_id) join checkins c using (ticket_id)
     where c.result = 'ACCEPTED' and c.direction = 'in'
        and (r.state <> 'APPROVED' or c.received_at < r.decided_at))
union all select 'I61 a booking that was given away cost nothing, and the account of comps has its face value',
    (select count(*) from comps g left join bookings b using (booking_id)
     where b.booking_id is null or b.amount_minor <> 0 or b.currency <> g.currency
        or g.face_minor <> -(select coalesce(sum((l ->> 'amountMinor')::bigint), 0)
            from jsonb_array_elements(b.price_lines) l where l ->> 'kind' = 'discount'))
    + (select count(*) from (
        select coalesce((select sum(amount_minor) from ledger where account = 'comps'), 0)
            - coalesce((select sum(face_minor) from comps), 0) as gap) v
     where gap <> 0)
union all select 'I62 numbers of invoices and of credit notes have no gap, and none is given twice',
    (select count(*) from (
        select kind, series, year, count(*) as n, count(distinct no) as numbers, min(no) as first,
            max(no) as last from invoices group by kind, series, year) i
     full join invoice_series s using (kind, series, year)
     where i.n is distinct from s.last_no or i.numbers <> i.n or i.first <> 1 or i.last <> i.n)
    -- From the begin on, each booking that was paid has one.
    + (select count(*) from invoice_begin v, event_consumers c, bookings b
        left join events e on e.dedupe = 'booking.confirmed:' || b.booking_id
        left join event_archive_keys k on k.digest = md5('booking.confirmed:' || b.booking_id)::uuid
        where c.name = 'invoices' and b.amount_minor > 0
            and coalesce(e.position, k.position) > v.position
            and coalesce(e.position, k.position) <= c.position
            and not exists (select 1 from invoices i
                where i.booking_id = b.booking_id and i.kind = 'INVOICE'))
union all select 'I63 an invoice has what the ledger has for its booking, and credit notes what went back',
    (select count(*) from invoices i join bookings b using (booking_id)
     left join payments p on p.hold_id = b.hold_id and p.disposition = 'BOOKED'
     left join ledger l on l.transaction_id = p.payment_id and l.account = 'gateway'
     where i.kind = 'INVOICE' and (l.amount_minor is distinct from i.amount_minor
        or l.currency is distinct from i.currency))
    + (select count(*) from invoices i where i.amount_minor <> (
        select coalesce(sum((l ->> 'amountMinor')::bigint), 0) from jsonb_array_elements(i.lines) l
        where not coalesce((l ->> 'included')::boolean, false)))
    -- What went back is credited, and no more than was invoiced. What a dispute took over of a refund
    -- that has its credit note was credited before.
    + (select count(*) from invoices i join bookings b using (booking_id)
        join payments p on p.hold_id = b.hold_id and p.disposition = 'BOOKED'
        join event_consumers c on c.name = 'invoices'
        cross join lateral (select coalesce(sum(n.amount_minor), 0) as minor from invoices n
            where n.booking_id = i.booking_id and n.kind = 'CREDIT_NOTE') credited
        cross join lateral (select coalesce(sum(r.amount_minor), 0) as minor,
                coalesce(sum((select sum(o.amount_minor) from refund_takeovers o
                    where o.refund_id = r.refund_id and o.restored_at is null)), 0) as taken_minor
            from refunds r
            left join events e on e.dedupe = 'refund.made:' || r.refund_id
            left join event_archive_keys k on k.digest = md5('refund.made:' || r.refund_id)::uuid
            where r.payment_id = p.payment_id
                and coalesce(e.position, k.position) <= c.position) went_back
        where i.kind = 'INVOICE' and (credited.minor < least(i.amount_minor, went_back.minor)
            or credited.minor > least(i.amount_minor, went_back.minor + went_back.taken_minor)))
union all select 'I64 what a customer paid a second time goes back, and the first time succeeded',
    (select count(*) from payments p where p.attempt_no < 1
        and (p.status <> 'SUCCEEDED' or p.disposition is distinct from 'AUTO_REFUND'
            or not exists (select 1 from payments f where f.hold_id = p.hold_id
                and f.provider = p.provider and f.attempt_no > 0 and f.status = 'SUCCEEDED')))
order by 1
