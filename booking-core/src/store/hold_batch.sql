-- Settles a batch of holds of one show, each all or none.
--
-- Guarantees: a seat is held only while it is AVAILABLE; an ask gets all of its seats or none; an
-- owner never has more than the ticket limit. Blocks only on rows of owner_ticket_counts, locked in
-- the order of owner. Seats locked by another transaction are skipped and count as taken, so two
-- batches cannot deadlock. The caller asks for no seat twice and has one ask for an owner.
--
-- $1 show, ($2, $3) pairs of ask and seat, $4..$8 per ask: hold, subject, session, owner of the
-- limit, amount; $9 ticket limit, $10 currency, $11 now, $12 expiry, $13 hard deadline; ($14, $15)
-- price and type of each pair; $16 per ask: the lines of its price.
-- Returns the seats that are held, with their versions, and the missing seats of asks, without. An
-- ask without a row would have exceeded the limit.
--
-- What belongs to an ask is read from its array by position: the planner takes every array for ten
-- rows long, and would join them by comparing each with each.
with wanted as materialized (
    select ask, seat_no, price, ticket_type
    from unnest($2::integer[], $3::integer[], $14::bigint[], $15::text[])
        as w (ask, seat_no, price, ticket_type)
),
locked as materialized (
    select seat_no from show_seats
    where show_no = $1 and seat_no = any($3::integer[]) and status = 'AVAILABLE'
    order by seat_no
    for no key update skip locked
),
judged as materialized (
    select w.ask,
        array_agg(w.seat_no order by w.seat_no) as seat_nos,
        array_agg(w.price order by w.seat_no) as prices,
        case when count(w.ticket_type) > 0
            then array_agg(w.ticket_type order by w.seat_no) end as types,
        count(l.seat_no) = count(*) as free
    from wanted w left join locked l using (seat_no)
    group by w.ask
),
counted as (
    insert into owner_ticket_counts as c (show_no, owner, ticket_count)
    select $1, ($7::text[])[ask], cardinality(seat_nos)
    from judged
    where free and cardinality(seat_nos) <= $9::integer
    order by 2
    on conflict (show_no, owner) do update
        set ticket_count = c.ticket_count + excluded.ticket_count
        where c.ticket_count + excluded.ticket_count <= $9::integer
    returning owner
),
granted as materialized (
    select ask, seat_nos, prices, types from judged
    where free and ($7::text[])[ask] in (select owner from counted)
),
held as (
    update show_seats s
    set status = 'HELD', hold_id = ($4::uuid[])[g.ask], version = s.version + 1
    from granted g, unnest(g.seat_nos) as t (seat_no)
    where s.show_no = $1 and s.seat_no = t.seat_no and s.status = 'AVAILABLE'
    returning g.ask, s.seat_no, s.version
),
recorded as (
    insert into holds (hold_id, show_no, subject, session, limit_owner, seat_nos, amount_minor,
        currency, created_at, expires_at, hard_deadline, price_lines, ticket_prices, ticket_types)
    select ($4::uuid[])[ask], $1, ($5::text[])[ask], ($6::text[])[ask], ($7::text[])[ask], seat_nos,
        ($8::bigint[])[ask], $10, $11, $12, $13, ($16::text[])[ask]::jsonb, prices, types
    from granted
)
select ask as "ask!", seat_no as "seat_no!", version from held
union all
select w.ask, w.seat_no, null from wanted w left join locked l using (seat_no)
where l.seat_no is null
