-- Notes of changed seats say which seats, so that a reader need not read the whole show.

-- Null when a statement changed too many to list, and in notes of the earlier trigger: any seat of the
-- show may have changed then.
alter table show_changes add column seat_nos integer[];

create or replace function note_seat_changes() returns trigger language plpgsql as $$
begin
    insert into show_changes (show_no, is_show, seat_nos)
        select show_no, false, case when count(*) <= 1000 then array_agg(seat_no) end
        from changed group by show_no;
    return null;
end $$;
