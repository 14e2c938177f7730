-- What confirmations ask for before they ask the provider: the hold with its show, its payments, its
-- booking, and the caller's key. By ask: $1 hold, $2 principal and $3 key, null without a key.
-- Returns a row for each payment; none for a hold that does not exist or has no payment.
--
-- `offset 0` has the rows of each ask looked up by its keys: in young tables the planner would rather
-- compare every ask with every row.
select a.ask as "ask!",
    h.hold_id, h.show_no, h.subject, h.session, h.limit_owner, h.status as hold_status, h.seat_nos,
    h.amount_minor as hold_amount_minor, h.currency as hold_currency, h.attempt_count,
    h.payment_open, h.expires_at, h.hard_deadline, h.extended_at is not null as "was_extended!",
    h.coupon_use_id, h.price_lines,
    (select booking_id from bookings b where b.hold_id = h.hold_id) as booking_id,
    s.show_id, s.starts_at,
    coalesce(s.ends_at, greatest(s.starts_at, s.sale_closes_at)) as "ends_at!",
    seated.seat_ids as "seat_ids!", seated.categories as "categories!",
    seated.types as "types!: Vec<Option<String>>", seated.prices as "prices!: Vec<Option<i64>>",
    p.payment_id, p.attempt_no, p.provider, p.intent_id, p.client_secret, p.redirect_url,
    p.charge_id, p.accepts, p.open_calls, p.idempotency_key, p.email, p.amount_minor, p.currency, p.status,
    p.failure_reason, p.provider_open, p.disposition, p.poll_count, p.created_at,
    k.fingerprint as "fingerprint?", k.status_code, k.headers, k.body, k.locked_at as "locked_at?"
from unnest($1::uuid[], $2::text[], $3::text[]) with ordinality as a (hold_id, principal, key, ask)
cross join lateral (select * from holds where hold_id = a.hold_id offset 0) h
join shows s on s.show_no = h.show_no
cross join lateral (
    select array_agg(seat.seat_id order by seat.seat_no) as seat_ids,
        array_agg(seat.category order by seat.seat_no) as categories,
        array_agg(h.ticket_types[t.at] order by seat.seat_no) as types,
        array_agg(h.ticket_prices[t.at] order by seat.seat_no) as prices
    from unnest(h.seat_nos) with ordinality as t (seat_no, at)
    join seats seat on seat.show_no = h.show_no and seat.seat_no = t.seat_no
) seated
cross join lateral (
    select * from payments where hold_id = h.hold_id and attempt_no > 0 offset 0
) p
left join idempotency_keys k on k.principal = a.principal and k.key = a.key
order by a.ask, p.attempt_no
