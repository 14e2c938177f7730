-- Room on each page for the row that a payment's start makes of a hold: no index changes with it, so
-- it stays a heap-only update.
alter table holds set (fillfactor = 70);
