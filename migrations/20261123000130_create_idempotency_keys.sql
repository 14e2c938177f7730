-- Stored answers of requests that carried an Idempotency-Key.

create table idempotency_keys (
    principal text not null,
    key text not null,
    -- SHA-256 of method, path and body.
    fingerprint bytea not null,
    -- The id that the request's effect has or will have. A takeover after a crash finds the
    -- effect by it, if it had come about.
    effect_id uuid not null,
    status_code integer,
    headers jsonb,
    body bytea,
    locked_at timestamptz not null,
    created_at timestamptz not null,
    primary key (principal, key),
    constraint idempotency_keys_answer check ((status_code is null) = (body is null))
);

create index idempotency_keys_age on idempotency_keys (created_at);
