-- Webhooks that were worked on long ago are purged.

create index payment_events_processed on payment_events (processed_at)
    where processed_at is not null;
