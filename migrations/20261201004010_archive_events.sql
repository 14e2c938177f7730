-- Older events leave the table `events` and its four indexes, and go on in blocks that the database
-- compresses. Positions, data and keys stay what they are, so the log is still read from its first
-- event.

create table event_archive (
    last_position bigint primary key,
    first_position bigint not null,
    -- The kinds in it, so that who reads other kinds passes it over.
    kinds text[] not null,
    -- Rows of `events`, in order.
    body jsonb not null,
    archived_at timestamptz not null,
    -- A block that lacks an event cannot be written. `event_log` relies on the bound.
    constraint event_archive_whole check (first_position > 0
        and jsonb_array_length(body) = last_position - first_position + 1
        and jsonb_array_length(body) <= 1000)
);

-- By which an event is known again that the outbox brings a second time, and by which `check` finds
-- it.
create table event_archive_keys (
    -- md5 of `dedupe`.
    digest uuid primary key,
    position bigint not null
);

-- The end of the archive. Whoever holds its row archives.
create table event_archive_end (
    only_one boolean primary key default true constraint event_archive_single check (only_one),
    position bigint not null
);
insert into event_archive_end (position) values (0);

-- Events after one position up to another, wherever they are. Both are needed: a block is unpacked
-- as a whole.
create function event_log(after bigint, upto bigint) returns setof events language sql stable as $$
    select e.* from event_archive a
    cross join lateral jsonb_populate_recordset(null::events, a.body) e
    where a.last_position > after and a.last_position < upto + 1000 and a.first_position <= upto
        and e.position > after and e.position <= upto
    union all
    select e.* from events e where e.position > after and e.position <= upto
$$;
