-- When a room was first told to open, by its operator or its schedule, so that a word that
-- follows at once, such as a pause, does not take the opening back. Null while it never was.
alter table rooms add column open_ordered_at timestamptz;
update rooms set open_ordered_at = opened_at where opened_at is not null;
