//! Runs the built `ropeline` against a fake of the operators' API.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod answers;
mod bookings;
mod checkin;
mod command;
mod comp_stand_in;
mod events;
mod gateway;
mod proofs;
mod review_stand_in;
mod reviews;
mod rooms;
mod shows;
mod stand_in;
mod stand_in_events;
mod watching;
