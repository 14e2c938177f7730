//! Turns many paid holds into bookings in one statement.

use std::collections::HashSet;

use contract::booking::SeatStatus;
use contract::{BookingId, Timestamp};
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::bookings::{NewBooking, TicketRow};
use super::idempotency::{KeyUse, StoredAnswer};
use super::seats::SeatReport;
use crate::database::StoreError;
use crate::shows::SeatState;

/// A hold that is to become a booking, because its first and only payment has succeeded.
#[derive(Clone, Debug)]
pub(crate) struct BookingAsk {
    pub(crate) hold_id: Uuid,
    pub(crate) payment_id: Uuid,
    /// The provider's id of the money, where it is not the intent's.
    pub(crate) charge_id: Option<String>,
    pub(crate) booking: NewBooking,
    /// The answer to a repeated request, stored with the booking.
    pub(crate) keyed: Option<(KeyUse, StoredAnswer)>,
}

/// A booking that was made.
#[derive(Clone, Debug)]
pub(crate) struct BookedAsk {
    /// The address of the tickets.
    pub(crate) email: String,
    /// What it cost.
    pub(crate) price_lines: Option<Value>,
    pub(crate) show_id: String,
    pub(crate) starts_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    pub(crate) tickets: Vec<TicketRow>,
    pub(crate) reports: Vec<SeatReport>,
    /// Whether the answer is stored under its key.
    pub(crate) is_answered: bool,
}

/// Books what can be booked of `asks`, for each the booking; `None` for a hold that is not at its
/// ordinary end. Of one hold, and of one key, only the first ask counts.
pub(crate) async fn book_batch(
    connection: &mut PgConnection,
    asks: &[BookingAsk],
) -> Result<Vec<Option<BookedAsk>>, StoreError> {
    let columns = Columns::new(asks);
    let rows = sqlx::query_file!(
        "src/store/booking_batch.sql",
        &columns.hold_ids,
        &columns.payment_ids,
        &columns.booking_ids,
        &columns.codes as &[&str],
        &columns.public_ids,
        &columns.charge_ids as &[Option<&str>],
        &columns.tickets_before,
        &columns.ticket_ids,
        &columns.times,
        &columns.principals as &[Option<&str>],
        &columns.keys as &[Option<&str>],
        &columns.fingerprints as &[Option<&[u8]>],
        &columns.statuses as &[Option<i32>],
        &columns.headers as &[Option<&Value>],
        &columns.bodies as &[Option<&[u8]>]
    )
    .fetch_all(connection)
    .await?;
    let mut booked: Vec<Option<BookedAsk>> = vec![None; asks.len()];
    for row in rows {
        let at = usize::try_from(row.ask - 1).unwrap_or(usize::MAX);
        let nth = usize::try_from(row.nth - 1).unwrap_or(usize::MAX);
        let (booked, ask) = booked.get_mut(at).zip(asks.get(at)).ok_or_else(unknown)?;
        let ticket_id = *ask.booking.ticket_ids.get(nth).ok_or_else(unknown)?;
        let booked = booked.get_or_insert_with(|| BookedAsk {
            email: row.email,
            price_lines: row.price_lines,
            show_id: row.show_id,
            starts_at: row.starts_at.into(),
            ends_at: row.ends_at.into(),
            tickets: Vec::new(),
            reports: Vec::new(),
            is_answered: row.is_answered,
        });
        let sold_as = (row.ticket_type, row.price_minor);
        let seat = (row.seat_id, row.category);
        let ticket = TicketRow::new(ticket_id, row.seat_no, seat, sold_as);
        booked.tickets.push(ticket);
        booked.reports.push(SeatReport {
            show_no: row.show_no,
            seat_no: row.seat_no,
            state: SeatState {
                status: SeatStatus::Booked,
                version: row.version,
            },
        });
    }
    for booked in booked.iter_mut().flatten() {
        booked.tickets.sort_by_key(|ticket| ticket.seat_no);
    }
    Ok(booked)
}

fn unknown() -> StoreError {
    StoreError::corrupt("bookings", "a batch answered an unknown ask")
}

/// The asks as arrays.
#[derive(Debug, Default)]
struct Columns<'a> {
    hold_ids: Vec<Uuid>,
    payment_ids: Vec<Uuid>,
    booking_ids: Vec<Uuid>,
    codes: Vec<&'a str>,
    public_ids: Vec<String>,
    charge_ids: Vec<Option<&'a str>>,
    tickets_before: Vec<i32>,
    ticket_ids: Vec<Uuid>,
    times: Vec<OffsetDateTime>,
    principals: Vec<Option<&'a str>>,
    keys: Vec<Option<&'a str>>,
    fingerprints: Vec<Option<&'a [u8]>>,
    statuses: Vec<Option<i32>>,
    headers: Vec<Option<&'a Value>>,
    bodies: Vec<Option<&'a [u8]>>,
}

impl<'a> Columns<'a> {
    fn new(asks: &'a [BookingAsk]) -> Self {
        let mut columns = Self::default();
        let mut names = HashSet::new();
        for ask in asks {
            let booking = &ask.booking;
            columns.hold_ids.push(ask.hold_id);
            columns.payment_ids.push(ask.payment_id);
            columns.booking_ids.push(booking.booking_id);
            columns.codes.push(&booking.code);
            let public_id = BookingId::new(booking.booking_id).to_string();
            columns.public_ids.push(public_id);
            columns.charge_ids.push(ask.charge_id.as_deref());
            let before = i32::try_from(columns.ticket_ids.len()).unwrap_or(i32::MAX);
            columns.tickets_before.push(before);
            columns.ticket_ids.extend(&booking.ticket_ids);
            columns.times.push(booking.now.into());
            // A row of keys can be written once by a statement.
            let keyed = ask
                .keyed
                .as_ref()
                .filter(|(key, _)| names.insert(key.name()));
            let (key, answer) = keyed.map(|(key, answer)| (key, answer)).unzip();
            columns
                .principals
                .push(key.map(|key| key.principal.as_str()));
            columns.keys.push(key.map(|key| key.key.as_str()));
            columns
                .fingerprints
                .push(key.map(|key| &key.fingerprint[..]));
            columns
                .statuses
                .push(answer.map(|answer| i32::from(answer.status)));
            columns.headers.push(answer.map(|answer| &answer.headers));
            columns
                .bodies
                .push(answer.map(|answer| answer.body.as_slice()));
        }
        columns
    }
}
