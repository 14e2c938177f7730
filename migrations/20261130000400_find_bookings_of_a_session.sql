-- Every page of the shop leads back to what its reader has bought: `bookings::of_session`.
-- Not built concurrently: a second gateway that waits for its turn to migrate would be waited for.
create index bookings_by_session on bookings (session) where session is not null;
