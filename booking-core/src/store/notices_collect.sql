-- Makes notices of up to $2 events of the outbox and marks those as done, in one statement: a
-- process that dies leaves both or neither. Any number of processes may run it at once. $1 is the
-- present time, $3 the domain of the Message-IDs. Returns how many events were done.
with taken as materialized (
    select id, topic, dedupe, created_at from outbox where done_at is null
    order by id limit $2 for no key update skip locked
), told as (
    select split_part(t.dedupe, ':', 2)::uuid as about, t.created_at, k.kind, k.urgency, k.slug
    from taken t
    join (values
        ('code.asked', 'ONE_TIME_CODE', -1, 'one-time-code'),
        ('link.asked', 'BOOKING_LINK', -1, 'booking-link'),
        ('booking.confirmed', 'BOOKING_CONFIRMED', 0, 'booking-confirmed'),
        ('tickets.transferred', 'TICKETS_RECEIVED', 0, 'tickets-received'),
        ('tickets.reissued', 'TICKETS_REISSUED', 0, 'tickets-reissued'),
        ('tickets.transferred', 'TICKETS_PASSED_ON', 1, 'tickets-passed-on'),
        ('ticket.withdrawn', 'TICKET_WITHDRAWN', 1, 'ticket-withdrawn'),
        ('tickets.cancelled', 'TICKETS_CANCELLED', 1, 'tickets-cancelled'),
        ('refund.made', 'REFUND_MADE', 1, 'refund-made'),
        ('hold.expired', 'HOLD_EXPIRED', 2, 'hold-expired')
    ) k (topic, kind, urgency, slug) using (topic)
), made as (
    insert into notices (notice_id, kind, about, message_id, urgency, next_attempt_at, created_at,
        due_since)
    select gen_random_uuid(), kind, about, slug || '.' || about || '@' || $3, urgency, $1,
        created_at, created_at
    from told
    on conflict (kind, about) do nothing
), done as (
    update outbox o set done_at = $1 from taken t where o.id = t.id returning o.id
)
select count(*) as "count!" from done
