-- Mail to fans. Each row is made once from a row of the outbox, in the transaction that marks that
-- row as done, so that no event is lost and none is told twice.

create table notices (
    notice_id uuid primary key,
    kind text not null,
    -- What it is about: a booking, a refund or a hold. The address is read there when it is sent.
    about uuid not null,
    -- The Message-ID of every attempt, so that a mail that was sent twice can be told from two.
    message_id text not null,
    status text not null default 'DUE',
    -- Smaller numbers are sent first.
    urgency smallint not null,
    attempt_count integer not null default 0,
    -- While an attempt runs this is the end of its lease.
    next_attempt_at timestamptz not null,
    -- The last failure, in the words of the mail server.
    last_error text,
    created_at timestamptz not null,
    -- Since when it waits: its creation, or when an operator sent it again.
    due_since timestamptz not null,
    sent_at timestamptz,
    constraint notices_once unique (kind, about),
    constraint notices_message_id unique (message_id),
    constraint notices_kind check (kind in ('BOOKING_CONFIRMED', 'REFUND_MADE', 'HOLD_EXPIRED')),
    constraint notices_status check (status in ('DUE', 'SENT', 'FAILED', 'MOOT')),
    constraint notices_sent check ((status = 'SENT') = (sent_at is not null))
);

-- Sending: `notices::claim_due`.
create index notices_due on notices (urgency, next_attempt_at) where status = 'DUE';
-- The list of dead letters: `notices::list`.
create index notices_failed on notices (created_at) where status = 'FAILED';
-- Purging.
create index notices_by_age on notices (created_at) where status <> 'DUE';

-- Events from before there was mail are not told any more. No time of ours is this early, so the
-- check of notices knows them.
update outbox set done_at = '-infinity' where done_at is null;
