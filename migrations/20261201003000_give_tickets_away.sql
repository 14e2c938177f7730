-- Bookings that operators gave away.

create table comps (
    booking_id uuid primary key references bookings,
    show_no integer not null,
    -- What its tickets and fees cost otherwise: what was taken off.
    face_minor bigint not null constraint comps_face check (face_minor >= 0),
    currency text not null,
    -- Why, for the record.
    reason text,
    created_at timestamptz not null
);

-- Events of such a booking say so, and what its tickets and fees cost otherwise.
create or replace function event_booking(of_booking uuid) returns jsonb language sql stable as $$
    select jsonb_build_object(
        'bookingId', event_ref('bkg_', b.booking_id), 'code', b.code,
        'amountMinor', b.amount_minor, 'currency', b.currency,
        'bookedAt', event_time(b.created_at), 'show', event_show(b.show_no))
        || coalesce((select jsonb_build_object('complimentary', true, 'faceMinor', c.face_minor)
            from comps c where c.booking_id = b.booking_id), '{}'::jsonb)
    from bookings b where b.booking_id = of_booking
$$;

-- What was given away is counted apart from what was sold.
alter table sales_hours
    add column comp_tickets bigint not null default 0,
    add column comp_tickets_cancelled bigint not null default 0;
alter table sales_show_hours
    add column comp_bookings bigint not null default 0,
    add column comp_face_minor bigint not null default 0;
