-- Claims become outcomes too: a store that is made again, or that lost its last second, knows
-- whose call is a session and until when. Widening a check needs no rewrite of the table; a
-- gateway of the version before takes the new word for "nothing noted".
alter table admission_outcomes
    drop constraint admission_outcomes_fate_known,
    drop constraint admission_outcomes_until_shape,
    add constraint admission_outcomes_fate_known
        check (fate in ('claimed', 'missed', 'returned', 'left', 'ended')),
    -- The end of the session, or of the grace of a missed turn.
    add constraint admission_outcomes_until_shape
        check ((fate in ('claimed', 'missed')) = (until_at is not null));
