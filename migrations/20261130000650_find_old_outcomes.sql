-- Outcomes that a line made again does not ask for are forgotten by the age of their admissions:
-- `Admissions::outcomes_forget`.
-- Not built concurrently: a second gateway that waits for its turn to migrate would be waited for.
-- Until now the table had a row for each place that was ever called, and reading it once may take
-- longer than a statement may otherwise. Outcomes that cannot be written meanwhile are kept in Redis.
set local statement_timeout = '10min';
create index admission_outcomes_by_seq on admission_outcomes (room, seq);
