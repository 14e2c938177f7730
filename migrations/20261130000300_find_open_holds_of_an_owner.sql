-- Every page of the shop leads back to what its reader holds: `holds::open_of`. An owner stays.
-- Not built concurrently: a second gateway that waits for its turn to migrate would be waited for.
-- Few holds are open, and the table is read once.
create index holds_open_by_owner on holds (limit_owner) where status in ('ACTIVE', 'PAYING');
