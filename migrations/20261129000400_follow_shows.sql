-- The end of a show, and what lets other processes read only what changed.

-- When the event ends; it ends with its sale or its start, whichever is later, when absent.
alter table shows add column ends_at timestamptz;

-- One row for each statement that changed a show, its city or the states of its seats. Filled by
-- triggers, so that every writer is followed, whichever version of the gateway it is.
create table show_changes (
    show_no integer not null,
    -- Whether the show itself changed; only its seats when false.
    is_show boolean not null,
    -- The transaction. A reader asks for those that were not over in its last snapshot, so that
    -- the order of commits does not matter.
    changed_in xid8 not null default pg_current_xact_id(),
    changed_at timestamptz not null default clock_timestamp()
);

-- The look for changes, once a second in every process.
create index show_changes_by_transaction on show_changes (changed_in);
-- Purging.
create index show_changes_by_age on show_changes (changed_at);

create function note_seat_changes() returns trigger language plpgsql as $$
begin
    insert into show_changes (show_no, is_show) select distinct show_no, false from changed;
    return null;
end $$;

create trigger show_seats_noted after update on show_seats
    referencing new table as changed for each statement execute function note_seat_changes();

create function note_show_changes() returns trigger language plpgsql as $$
begin
    insert into show_changes (show_no, is_show) select show_no, true from changed;
    return null;
end $$;

create trigger shows_inserted_noted after insert on shows
    referencing new table as changed for each statement execute function note_show_changes();
create trigger shows_updated_noted after update on shows
    referencing new table as changed for each statement execute function note_show_changes();

create function note_city_changes() returns trigger language plpgsql as $$
begin
    insert into show_changes (show_no, is_show)
        select show_no, true from shows where city_id = new.city_id;
    return null;
end $$;

create trigger cities_noted after update on cities for each row when (old is distinct from new)
    execute function note_city_changes();
