-- How often what comes next could not be compared with the books of a provider. Single payments that
-- keep failing are then put off, and the others go on.

alter table reconciliation add column failures integer not null default 0;
alter table reconciliation_again add column failures integer not null default 0;
