-- What became of admissions, as far as a live store that is lost has to be told: who missed a
-- turn or came back from one, who left, whose session ended early. The newest of each place.
create table admission_outcomes (
    room     text   not null,
    place    bytea  not null constraint admission_outcomes_place_size check (octet_length(place) = 16),
    -- It is of the last admission of the place up to this ordinal of the room's log.
    seq      bigint not null,
    fate     text   not null
        constraint admission_outcomes_fate_known check (fate in ('missed', 'returned', 'left', 'ended')),
    -- The end of the grace of a missed turn.
    until_at timestamptz,
    constraint admission_outcomes_pkey primary key (room, place),
    constraint admission_outcomes_until_shape check ((fate = 'missed') = (until_at is not null))
);
