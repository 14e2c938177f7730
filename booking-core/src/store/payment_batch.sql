-- Records first attempts to pay, with the call to the provider that each is about to make.
--
-- Only the ordinary start of a payment is made here: the hold is open and the customer's, costs
-- something, has no coupon and no earlier attempt, and its show takes place. A hold of which any of
-- that is not so, or that somebody else has locked, is left out as if it had not been asked for.
--
-- Locks: holds by id. No lock is waited for.
--
-- By ask: $1 hold, $2 payment, $3 provider, $4 idempotency key, $5 address, $6 digest of the
-- customer's session, $7 places of the customer's passes, separated by blanks, $8 language, null for
-- the ordinary one, $9 its time, $10 the first poll. Of one hold only the first ask counts.
--
-- What belongs to an ask is read from its array by position, and every hold by its id alone: the planner
-- takes every array for ten rows long, and would compare each ask with each, or each open hold.
with locked as materialized (
    select a.ask, h.hold_id, h.amount_minor, h.currency, h.expires_at
    from (select hold_id, min(ask) as ask from unnest($1::uuid[]) with ordinality as a (hold_id, ask)
        group by hold_id order by hold_id) a
    cross join lateral (
        select hold_id, show_no, subject, session, amount_minor, currency, expires_at, status,
            attempt_count, coupon_use_id
        from holds where hold_id = a.hold_id
        for no key update skip locked
    ) h
    where h.status = 'ACTIVE' and h.attempt_count = 0 and h.coupon_use_id is null
        and h.amount_minor > 0 and h.expires_at > ($9::timestamptz[])[a.ask]
        and (h.session = ($6::text[])[a.ask]
            or h.subject = any(string_to_array(($7::text[])[a.ask], ' ')))
        and not exists (
            select from shows s where s.show_no = h.show_no and s.cancelled_at is not null)
),
counted as (
    update holds h set attempt_count = 1, payment_open = true
    from locked l where h.hold_id = l.hold_id
),
spoken as (
    insert into hold_languages (hold_id, language)
    select hold_id, ($8::text[])[ask] from locked where ($8::text[])[ask] is not null
    on conflict (hold_id) do update set language = excluded.language
)
insert into payments (payment_id, hold_id, attempt_no, provider, idempotency_key, email,
    amount_minor, currency, next_poll_at, created_at, updated_at)
select ($2::uuid[])[ask], hold_id, 1, ($3::text[])[ask], ($4::text[])[ask], ($5::text[])[ask],
    amount_minor, currency, least(($10::timestamptz[])[ask], expires_at), ($9::timestamptz[])[ask],
    ($9::timestamptz[])[ask]
from locked
returning payment_id, hold_id, attempt_no, provider, intent_id, client_secret, redirect_url,
    charge_id, accepts, open_calls, idempotency_key, email, amount_minor, currency, status, failure_reason,
    provider_open, disposition, poll_count, created_at
