-- Keys in progress whose owner died are looked for every minute, among the answers of two days.
-- Not built concurrently: a second gateway that waits for its turn to migrate would be waited for.
-- Few keys are in progress, and the table is read once.
create index idempotency_keys_open on idempotency_keys (locked_at) where status_code is null;
