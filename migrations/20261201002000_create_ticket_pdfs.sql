-- PDFs of tickets in a file or S3 store.

-- One row for each reader of a booking whose PDF is kept, or is to be.
create table ticket_pdfs (
    pdf_id uuid primary key,
    booking_id uuid not null references bookings,
    -- The transfer by which its reader got tickets; null: the buyer.
    transfer_id uuid references transfers,
    show_no integer not null references shows,
    -- The show that was looked at last.
    show_revision integer not null,
    -- The store that has the object, or had it last. Directories belong to one gateway.
    store text,
    -- The name of the object, once it is written whole.
    object text,
    -- The name of an object that is being written, or was left behind by an attempt that failed.
    writing text,
    -- SHA-256 of what the object says, and of its bytes.
    printed bytea,
    digest bytea,
    stored_at timestamptz,
    -- When it is looked at next; null: when something changes.
    due_at timestamptz,
    -- Raised by every change, so that one that comes during an attempt is not lost.
    changes integer not null default 0,
    leased_until timestamptz,
    attempt_count integer not null default 0,
    last_error text,
    created_at timestamptz not null,
    constraint ticket_pdfs_reader unique nulls not distinct (booking_id, transfer_id),
    constraint ticket_pdfs_object check (object is null
        or (store is not null and printed is not null and digest is not null)),
    constraint ticket_pdfs_writing check (writing is null or store is not null)
);

create index ticket_pdfs_due on ticket_pdfs (due_at) where due_at is not null;
-- Shows that changed since, and those that are long over.
create index ticket_pdfs_by_show on ticket_pdfs (show_no, show_revision);

-- Bookings from before are kept when somebody asks for their PDF.
insert into event_consumers (name, position) select 'ticket-pdfs', position from event_head;

-- A ticket with a new code or another holder, or without validity: what was kept of it is outdated.
-- The making of a booking does not come here.
create function note_ticket_pdf() returns trigger language plpgsql as $$
begin
    if new.transfer_id is distinct from old.transfer_id and new.transfer_id is not null then
        insert into ticket_pdfs (pdf_id, booking_id, transfer_id, show_no, show_revision, due_at,
            created_at)
        select gen_random_uuid(), p.booking_id, new.transfer_id, p.show_no, p.show_revision,
            to_timestamp(0), t.created_at
        from ticket_pdfs p join transfers t on t.transfer_id = new.transfer_id
        where p.booking_id = new.booking_id
        limit 1
        on conflict do nothing;
    end if;
    update ticket_pdfs set due_at = to_timestamp(0), changes = changes + 1
    where booking_id = new.booking_id;
    return null;
end
$$;
create trigger ticket_pdf_changes after update on tickets
    for each row when (
        old.token_generation <> new.token_generation
        or old.transfer_id is distinct from new.transfer_id
        or old.holder_name is distinct from new.holder_name
        or (old.status <> 'VOID' and new.status = 'VOID'))
    execute function note_ticket_pdf();
