-- Rooms: settings, the manager's word, the draw, and what a rebuilt line needs to know.

create table rooms (
    slug             text        primary key,
    -- contract::room::RoomSettings as JSON. Nothing is queried by a setting, so a new setting
    -- needs no migration.
    settings         jsonb       not null,
    -- The manager's word in force; the schedule decides when null.
    overridden       text        constraint rooms_overridden_known
                                 check (overridden in ('open', 'pause', 'close')),
    -- What `resume` goes back to: the word that the pause replaced.
    override_before_pause text   constraint rooms_override_before_pause_known
                                 check (override_before_pause in ('open', 'close')),
    paused_reason    text,
    -- The draw's seed: secret until seed_revealed_at is set.
    seed             bytea       not null constraint rooms_seed_size check (octet_length(seed) = 32),
    -- SHA-256 of the seed, hexadecimal, published from the start.
    commitment       text        not null,
    seed_revealed_at timestamptz,
    opened_at        timestamptz,
    -- How often the line was rebuilt after the live store had lost it. It also grows when a
    -- deleted name is used again, so that nothing made for the old room fits the new one.
    epoch            integer     not null default 0 constraint rooms_epoch_counts check (epoch >= 0),
    -- No live order key at or below this is given again.
    order_floor      bigint      not null default 0
                                 constraint rooms_order_floor_is_53_bits
                                 check (order_floor between 0 and 9007199254740991),
    -- Counts what operators see change: the ETag.
    version          bigint      not null default 1,
    -- The value of room_change_counter at the last change.
    change           bigint      not null,
    created_at       timestamptz not null,
    updated_at       timestamptz not null,
    -- A deleted room stays as a row: pollers learn of the deletion from it, and its admission
    -- log stays readable.
    deleted_at       timestamptz,
    constraint rooms_opened_with_seed check ((opened_at is null) = (seed_revealed_at is null))
);

-- Every gateway asks twice a second for the rooms changed since the change it knows.
-- Unique because each change touches one room: two rooms with one number would mean that the
-- counter was not locked.
create unique index rooms_change_key on rooms (change);

-- One row, locked until commit by whoever changes a room. A sequence would hand out 5 and 6 and
-- let 6 become visible first; a poller that has seen 6 would then never see 5.
create table room_change_counter (
    singleton boolean primary key default true
                      constraint room_change_counter_has_one_row check (singleton),
    last      bigint  not null
);

insert into room_change_counter (last) values (0);
