-- Reads the bookings of a show page by page, for the export. It also does what the index that it
-- replaces did.
create index bookings_of_show on bookings (show_no, booking_id);
drop index bookings_by_show;
