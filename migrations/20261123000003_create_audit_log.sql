-- What operators changed. Rows are written in the transaction of the change they describe.

create table audit_log (
    id     bigint      generated always as identity primary key,
    at     timestamptz not null,
    -- Who: the name of the operator's token, or `ropeline` for the system itself.
    actor  text        not null,
    -- What was done, such as `room.pause`.
    action text        not null,
    -- To what, such as the room's name.
    target text        not null,
    before jsonb,
    after  jsonb
);

-- The primary key serves the only query there is: the newest records, page by page downwards.
