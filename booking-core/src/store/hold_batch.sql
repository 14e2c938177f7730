-- Settles a batch of holds of one show, each all or none.
--
-- Guarantees: a seat is given to at most one ask of the batch, and only while it is AVAILABLE; an
-- ask gets all of its seats or none; an owner never has more than the ticket limit. Blocks only on
-- rows of owner_ticket_counts, locked in the order of owner. Seats locked by another transaction
-- are skipped and count as taken, so two batches cannot deadlock.
--
-- $1 show, ($2, $3) pairs of ask and seat, $4..$8 per ask: hold, subject, session, owner of the
-- limit, amount; $9 ticket limit, $10 currency, $11 now, $12 expiry, $13 hard deadline.
with asked as materialized (
    select ask::integer as ask, hold_id, subject, session, limit_owner, amount_minor,
        row_number() over (partition by limit_owner order by ask) as owner_turn
    from unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::bigint[])
        with ordinality as a (hold_id, subject, session, limit_owner, amount_minor, ask)
),
wanted as materialized (
    select ask, seat_no, row_number() over (partition by seat_no order by ask) as seat_turn
    from unnest($2::integer[], $3::integer[]) as w (ask, seat_no)
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
        bool_and(w.seat_turn = 1 and l.seat_no is not null) as free,
        coalesce(
            array_agg(w.seat_no order by w.seat_no)
                filter (where l.seat_no is null or w.seat_turn > 1),
            '{}') as missing
    from wanted w left join locked l using (seat_no)
    group by w.ask
),
counted as (
    insert into owner_ticket_counts as c (show_no, owner, ticket_count)
    select $1, a.limit_owner, cardinality(j.seat_nos)
    from asked a join judged j using (ask)
    -- A second ask of one owner would update the row twice; the writer of the show never sends one.
    where j.free and a.owner_turn = 1 and cardinality(j.seat_nos) <= $9::integer
    order by a.limit_owner
    on conflict (show_no, owner) do update
        set ticket_count = c.ticket_count + excluded.ticket_count
        where c.ticket_count + excluded.ticket_count <= $9::integer
    returning owner
),
granted as materialized (
    select a.*, j.seat_nos
    from asked a join judged j using (ask) join counted c on c.owner = a.limit_owner
    where j.free and a.owner_turn = 1
),
held as (
    update show_seats s set status = 'HELD', hold_id = g.hold_id, version = s.version + 1
    from granted g join wanted w using (ask)
    where s.show_no = $1 and s.seat_no = w.seat_no and s.status = 'AVAILABLE'
    returning g.ask, s.seat_no, s.version
),
recorded as (
    insert into holds (hold_id, show_no, subject, session, limit_owner, seat_nos, amount_minor,
        currency, created_at, expires_at, hard_deadline)
    select hold_id, $1, subject, session, limit_owner, seat_nos, amount_minor, $10, $11, $12, $13
    from granted
    returning hold_id
)
select j.ask as "ask!",
    g.ask is not null as "held!",
    j.missing as "missing!",
    coalesce((select array_agg(h.seat_no order by h.seat_no) from held h where h.ask = j.ask),
        '{}') as "seat_nos!",
    coalesce((select array_agg(h.version order by h.seat_no) from held h where h.ask = j.ask),
        '{}') as "versions!"
from judged j left join granted g using (ask)
