//! Reads what many confirmations need in one statement.

use contract::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::holds::HoldRow;
use super::idempotency::{self, KeyUse, Known};
use super::payments::{PaymentRow, payment_row};
use super::word;
use crate::database::StoreError;

/// A hold that is to be confirmed.
#[derive(Clone, Debug)]
pub(crate) struct ConfirmAsk {
    pub(crate) hold_id: Uuid,
    pub(crate) key_use: Option<KeyUse>,
}

/// A hold with what belongs to it.
#[derive(Clone, Debug)]
pub(crate) struct ConfirmRow {
    pub(crate) hold: HoldRow,
    /// First attempt first.
    pub(crate) payments: Vec<PaymentRow>,
    pub(crate) show: ShowOfHold,
    /// The state of the caller's key, and since when it is in progress.
    pub(crate) known: Option<(Known, Timestamp)>,
}

/// What tickets say of the show and of the seats.
#[derive(Clone, Debug)]
pub(crate) struct ShowOfHold {
    pub(crate) show_id: String,
    pub(crate) starts_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    /// What the hold costs; `None` in holds of earlier versions.
    pub(crate) price_lines: Option<serde_json::Value>,
    /// In the order of their numbers.
    pub(crate) seats: Vec<SeatOfHold>,
}

/// What a ticket says of its seat.
#[derive(Clone, Debug)]
pub(crate) struct SeatOfHold {
    pub(crate) seat_id: String,
    pub(crate) category: String,
    pub(crate) ticket_type: Option<String>,
    pub(crate) price_minor: Option<i64>,
}

/// The hold of each of `asks`, in their order; `None` for one that does not exist or has no payment.
pub(crate) async fn confirm_read(
    connection: &mut PgConnection,
    asks: &[ConfirmAsk],
) -> Result<Vec<Option<ConfirmRow>>, StoreError> {
    let hold_ids: Vec<Uuid> = asks.iter().map(|ask| ask.hold_id).collect();
    let uses = || asks.iter().map(|ask| ask.key_use.as_ref());
    let principals: Vec<Option<&str>> = uses().map(|it| Some(it?.principal.as_str())).collect();
    let keys: Vec<Option<&str>> = uses().map(|it| Some(it?.key.as_str())).collect();
    let rows = sqlx::query_file!(
        "src/store/confirm_read.sql",
        &hold_ids,
        &principals as &[Option<&str>],
        &keys as &[Option<&str>]
    )
    .fetch_all(connection)
    .await?;
    let mut found: Vec<Option<ConfirmRow>> = vec![None; asks.len()];
    for row in rows {
        let at = usize::try_from(row.ask - 1).unwrap_or(usize::MAX);
        let Some((found, ask)) = found.get_mut(at).zip(asks.get(at)) else {
            return Err(StoreError::corrupt("holds", "a hold that nobody asked for"));
        };
        let payment = payment_row!(row);
        if let Some(found) = found {
            found.payments.push(payment);
            continue;
        }
        let known = match (&ask.key_use, row.fingerprint, row.locked_at) {
            (Some(key_use), Some(fingerprint), Some(locked_at)) => {
                let answer = (row.status_code, row.headers, row.body);
                let known = idempotency::known_of(key_use, &fingerprint, answer)?;
                Some((known, locked_at.into()))
            }
            _ => None,
        };
        let seats = seats_of((row.seat_ids, row.categories), (row.types, row.prices));
        *found = Some(ConfirmRow {
            hold: HoldRow {
                hold_id: row.hold_id,
                show_no: row.show_no,
                subject: row.subject,
                session: row.session,
                limit_owner: row.limit_owner,
                status: word("holds", &row.hold_status)?,
                seat_nos: row.seat_nos,
                amount_minor: row.hold_amount_minor,
                currency: row.hold_currency,
                attempt_count: row.attempt_count,
                payment_open: row.payment_open,
                expires_at: row.expires_at.into(),
                hard_deadline: row.hard_deadline.into(),
                was_extended: row.was_extended,
                coupon_use_id: row.coupon_use_id,
                booking_id: row.booking_id,
            },
            payments: vec![payment],
            show: ShowOfHold {
                show_id: row.show_id,
                starts_at: row.starts_at.into(),
                ends_at: row.ends_at.into(),
                price_lines: row.price_lines,
                seats,
            },
            known,
        });
    }
    Ok(found)
}

/// The seats from the columns of their ids, categories, types and prices.
fn seats_of(
    (seat_ids, categories): (Vec<String>, Vec<String>),
    (types, prices): (Vec<Option<String>>, Vec<Option<i64>>),
) -> Vec<SeatOfHold> {
    let seats = seat_ids.into_iter().zip(categories);
    let seats = seats.zip(types.into_iter().zip(prices));
    let seat = |((seat_id, category), (ticket_type, price_minor))| SeatOfHold {
        seat_id,
        category,
        ticket_type,
        price_minor,
    };
    seats.map(seat).collect()
}
