-- Turns paid holds into bookings, each with everything that belongs to it: seats, hold, payment,
-- booking, tickets, ledger, event, and the answer to a repeated request.
--
-- Only the ordinary end of a purchase is made here: the hold is open, costs something, has no coupon,
-- no review and all of its seats, and its first and only payment has just succeeded. A hold of which any
-- of that is not so, or of which a row is locked by somebody else, is left out as if it had not been
-- asked for.
--
-- Locks: holds by id, then for each the payment and its seats by number. No lock is waited for, so
-- two batches cannot deadlock. Answers are stored last, in the order of their keys: whoever stores
-- keys does not wait for what is locked here.
--
-- By ask: $1 hold, $2 payment, $3 booking, $4 code, $5 public id of the booking, $6 the provider's id
-- of the money, $7 how many ticket ids precede its own in $8, $9 its time. The answers by ask, null
-- without a key: $10 principal, $11 key, $12 fingerprint, $13 status, $14 headers, $15 body.
-- Returns the seats of the holds that were booked.
--
-- What belongs to an ask is read from its array by position, and every hold by its id alone: the planner
-- takes every array for ten rows long, and would compare each ask with each, or each open hold.
with locked as materialized (
    select a.ask, h.*
    from (select hold_id, min(ask) as ask from unnest($1::uuid[]) with ordinality as a (hold_id, ask)
        group by hold_id order by hold_id) a
    cross join lateral (
        select hold_id, show_no, subject, session, limit_owner, seat_nos, amount_minor, currency,
            price_lines, ticket_prices, ticket_types, status, attempt_count, coupon_use_id
        from holds where hold_id = a.hold_id
        for no key update skip locked
    ) h
    where h.status in ('ACTIVE', 'PAYING') and h.attempt_count = 1 and h.coupon_use_id is null
        and h.amount_minor > 0
        and not exists (select from reviews r where r.hold_id = h.hold_id)
),
granted as materialized (
    select h.*, p.payment_id, p.email, ($3::uuid[])[h.ask] as booking_id,
        ($9::timestamptz[])[h.ask] as at
    from locked h
    cross join lateral (
        select payment_id, email from payments
        where payment_id = ($2::uuid[])[h.ask] and hold_id = h.hold_id and provider_open
            and status in ('CREATED', 'REQUIRES_ACTION', 'PROCESSING', 'UNKNOWN', 'FAILED')
            and amount_minor = h.amount_minor and currency = h.currency
        for no key update skip locked
    ) p
    cross join lateral (
        select count(*) as seat_count from (
            select seat_no from show_seats
            where show_no = h.show_no and seat_no = any(h.seat_nos) and hold_id = h.hold_id
                and status = 'HELD' and p.payment_id is not null
            order by seat_no
            for no key update skip locked
        ) own
    ) s
    where s.seat_count = cardinality(h.seat_nos)
),
places as materialized (
    select g.ask, g.at, g.booking_id, g.show_no, g.email, g.amount_minor, t.seat_no, t.nth,
        g.price_lines, g.ticket_prices[t.nth] as price_minor, g.ticket_types[t.nth] as ticket_type
    from granted g cross join unnest(g.seat_nos) with ordinality as t (seat_no, nth)
),
seated as (
    update show_seats s
    set status = 'BOOKED', hold_id = null, booking_id = t.booking_id, version = s.version + 1
    from places t
    where s.show_no = t.show_no and s.seat_no = t.seat_no
    returning t.ask, t.nth, t.email, t.price_lines, t.price_minor, t.ticket_type, s.show_no,
        s.seat_no, s.version
),
closed as (
    update holds h set status = 'CONFIRMED', closed_at = g.at, payment_open = false
    from granted g where h.hold_id = g.hold_id
),
paid as (
    update payments p
    set status = 'SUCCEEDED', failure_reason = null, provider_open = false, disposition = 'BOOKED',
        captured_minor = p.amount_minor, captured_currency = p.currency, next_poll_at = g.at,
        poll_count = p.poll_count + 1, updated_at = g.at,
        charge_id = coalesce(p.charge_id, ($6::text[])[g.ask])
    from granted g where p.payment_id = g.payment_id
),
booked as (
    insert into bookings (booking_id, code, hold_id, show_no, subject, session, limit_owner, email,
        amount_minor, currency, created_at, refund_policy, price_lines)
    select g.booking_id, ($4::text[])[g.ask], g.hold_id, g.show_no, g.subject, g.session,
        g.limit_owner, g.email, g.amount_minor, g.currency, g.at,
        (select refund_policy from shows where show_no = g.show_no), g.price_lines
    from granted g
),
issued as (
    -- Only holds of earlier versions have no price for each seat. Where the present prices do not sum
    -- to the amount, what each ticket cost is decided when it is first asked for.
    insert into tickets (ticket_id, booking_id, show_no, seat_no, issued_at, price_minor,
        ticket_type)
    select ($8::uuid[])[($7::integer[])[t.ask] + t.nth], t.booking_id, t.show_no, t.seat_no, t.at,
        coalesce(t.price_minor,
            case when sum(c.price_minor) over (partition by t.ask) = t.amount_minor
                then c.price_minor end),
        t.ticket_type
    from places t
    left join seats s on s.show_no = t.show_no and s.seat_no = t.seat_no
    left join show_categories c on c.show_no = s.show_no and c.category = s.category
),
entered as (
    insert into ledger (transaction_id, account, amount_minor, currency, at)
    select g.payment_id, l.account, l.sign * g.amount_minor, g.currency, g.at
    from granted g cross join (values ('gateway', 1), ('bookings', -1)) as l (account, sign)
    on conflict (transaction_id, account) do nothing
),
told as (
    insert into outbox (topic, dedupe, payload, created_at)
    select 'booking.confirmed', 'booking.confirmed:' || g.booking_id,
        jsonb_build_object('bookingId', ($5::text[])[g.ask]), g.at
    from granted g
),
answered as (
    insert into idempotency_keys as k (principal, key, fingerprint, effect_id, status_code, headers,
        body, locked_at, created_at)
    select ($10::text[])[ask], ($11::text[])[ask], ($12::bytea[])[ask], hold_id,
        ($13::integer[])[ask], ($14::jsonb[])[ask], ($15::bytea[])[ask], at, at
    from granted
    where ($10::text[])[ask] is not null
    order by 1, 2
    -- One that was in progress when its process died.
    on conflict (principal, key) do update
        set status_code = excluded.status_code, headers = excluded.headers, body = excluded.body
        where k.status_code is null and k.fingerprint = excluded.fingerprint
    returning effect_id
)
select s.ask as "ask!", s.nth as "nth!", s.show_no as "show_no!", s.seat_no as "seat_no!",
    s.version as "version!", s.price_lines, s.price_minor, s.ticket_type,
    seat.seat_id as "seat_id!", seat.category as "category!", show.show_id as "show_id!", show.starts_at as "starts_at!",
    coalesce(show.ends_at, greatest(show.starts_at, show.sale_closes_at)) as "ends_at!",
    s.email as "email!",
    ($1::uuid[])[s.ask] in (select effect_id from answered) as "is_answered!"
from seated s
join shows show on show.show_no = s.show_no
join seats seat on seat.show_no = s.show_no and seat.seat_no = s.seat_no
-- Nothing is written when a hold would not get all of its seats.
where 1 / (case when (select count(*) from seated) = (select count(*) from places)
    then 1 else 0 end) = 1
