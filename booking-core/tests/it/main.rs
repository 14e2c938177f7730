//! The booking core against a real PostgreSQL.
//!
//! `ROPELINE_TEST_DATABASE_URL` names a server on which databases may be created; each test has
//! one of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod against_fraud;
mod app_sessions;
mod at_hand;
mod background;
mod behind_a_gate;
mod cancel;
mod catalogue;
mod channels;
mod check;
mod checkin;
mod checkin_callers;
mod confirm_batches;
mod confirm_rush;
mod confirm_turns;
mod coupons;
mod crashes;
mod described;
mod description;
mod event_archive;
mod events;
mod expiry;
mod fake_provider;
mod fan;
mod fraud;
mod fraud_cards;
mod given_up;
mod guests;
mod holds;
mod idempotency;
mod imports;
mod late_entries;
mod limits;
mod looked_again;
mod mail;
mod many_shows;
mod money_model;
mod moves;
mod other_readers;
mod outage;
mod payments;
mod prices;
mod provider_faults;
mod receiver;
mod reconcile;
mod refunds;
mod returned;
mod reviews;
mod second_payments;
mod shop;
mod simulator;
mod sinks;
mod sold;
mod statements;
mod stuck_bookings;
mod subscriptions;
mod suspicious;
mod test_shop;
mod test_simulator;
mod ticket_files;
mod tickets;
mod transfer_races;
mod transfers;
mod turns;
mod two_providers;
mod writer;
