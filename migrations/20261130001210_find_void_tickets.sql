-- The tickets of a show that admit nobody, or only in a newer print, for the manifest of scanners.
-- Not built concurrently: a second gateway that waits for its turn to migrate would be waited for.
create index tickets_void_or_reissued on tickets (show_no)
    where status = 'VOID' or token_generation > 1;
