//! All SQL. Every function is one statement, or runs in its caller's transaction.
//!
//! All transactions take locks in this order: idempotency keys by name, hold, payment, seats by
//! number, ticket counts by owner, coupons by id, booking, transfers, tickets, refunds, mails of
//! guests, end of the event log, outbox. The batched statements for holds, payments and bookings skip
//! locked rows instead of waiting. The payment provider is never called while a lock is held.

pub(crate) mod app_sessions;
pub(crate) mod booking_batch;
pub(crate) mod booking_records;
pub(crate) mod bookings;
pub(crate) mod cancellations;
pub(crate) mod catalogue;
pub(crate) mod check;
pub(crate) mod checkins;
pub(crate) mod comps;
pub(crate) mod confirm_read;
pub(crate) mod consumers;
pub(crate) mod contacts;
pub(crate) mod coupons;
pub(crate) mod deliveries;
pub(crate) mod event_archive;
pub(crate) mod events;
pub(crate) mod guest_mails;
pub(crate) mod hold_batch;
pub(crate) mod holds;
pub(crate) mod idempotency;
pub(crate) mod import;
pub(crate) mod inbox;
pub(crate) mod invoices;
pub(crate) mod notice_subjects;
pub(crate) mod notices;
pub(crate) mod outbox;
pub(crate) mod owed;
pub(crate) mod payment_batch;
pub(crate) mod payments;
pub(crate) mod prices;
pub(crate) mod reconciliation;
pub(crate) mod refunds;
pub(crate) mod returned;
pub(crate) mod reviews;
pub(crate) mod risk;
pub(crate) mod sales;
pub(crate) mod sales_overview;
pub(crate) mod scanners;
pub(crate) mod seats;
pub(crate) mod show_cancellations;
pub(crate) mod show_moves;
pub(crate) mod sold;
pub(crate) mod subscriptions;
pub(crate) mod ticket_pdfs;
pub(crate) mod transfers;
pub(crate) mod turns;

use crate::database::StoreError;

/// Parses a stored text as its type.
fn word<T>(table: &'static str, text: &str) -> Result<T, StoreError>
where
    T: serde::de::DeserializeOwned,
{
    let value = serde_json::Value::String(text.to_owned());
    serde_json::from_value(value).map_err(|error| StoreError::corrupt(table, error))
}

/// The stored text of a status: the same as in the API.
fn text_of(status: impl serde::Serialize) -> String {
    match serde_json::to_value(status) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(_) | Err(_) => String::new(),
    }
}

fn id<T>(table: &'static str, text: &str) -> Result<T, StoreError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error: T::Err| StoreError::corrupt(table, error))
}

pub(crate) fn unsigned(table: &'static str, value: i32) -> Result<u32, StoreError> {
    u32::try_from(value).map_err(|error| StoreError::corrupt(table, error))
}
