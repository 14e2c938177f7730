-- The admission log: who was called, in which order, when. Rows are only ever added.

-- The end of each room's hash chain. Its row is locked by an append until commit, which is what
-- keeps `seq` without gaps.
create table admission_heads (
    room text   primary key references rooms (slug),
    seq  bigint not null default 0,
    hash bytea  not null constraint admission_heads_hash_size check (octet_length(hash) = 32)
);

-- One row per batch, so that a batch whose answer was lost can be sent again. Kept apart from
-- the log: an index on a batch column there would cost an entry per place instead of per batch.
create table admission_batches (
    room      text   not null,
    batch_id  uuid   not null,
    first_seq bigint not null,
    last_seq  bigint not null,
    -- SHA-256 of the places and order keys: the same id with other content is a mistake.
    digest    bytea  not null constraint admission_batches_digest_size check (octet_length(digest) = 32),
    constraint admission_batches_pkey primary key (room, batch_id),
    constraint admission_batches_not_empty check (last_seq >= first_seq)
);

create table admissions (
    room      text        not null,
    -- Ordinal in the room, from 1.
    seq       bigint      not null,
    place     bytea       not null constraint admissions_place_size check (octet_length(place) = 16),
    order_key bigint      not null,
    called_at timestamptz not null,
    -- As described at contract::room::AdmissionRecord.
    hash      bytea       not null constraint admissions_hash_size check (octet_length(hash) = 32),
    constraint admissions_pkey primary key (room, seq)
);

-- A fan who comes back after the live store lost the line is looked up here: a served place does
-- not re-enter. Not unique: whoever missed a turn may be called again.
create index admissions_place_idx on admissions (room, place);
