-- How far the payment provider's books have been compared with ours.

create table reconciliation (
    provider text primary key,
    -- Everything that the provider made before this was looked at.
    done_until timestamptz not null,
    -- When somebody may compare next. Whoever begins moves it, so that one process does the work.
    next_at timestamptz not null
);
