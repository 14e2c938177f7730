//! `ropeline booking export`: everything that was sold of a show, a ticket a line.

use contract::ShowId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::client::AdminClient;
use crate::console::{Console, counted};
use crate::failure::Failure;

const COLUMNS: [&str; 18] = [
    "booking",
    "code",
    "status",
    "booked_at",
    "email",
    "currency",
    "paid_minor",
    "refunded_minor",
    "net_minor",
    "provider",
    "payment",
    "ticket",
    "ticket_status",
    "seat",
    "category",
    "price_minor",
    "checked_in_at",
    "comp_face_minor",
];

/// A page of what was sold of a show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SoldPage {
    /// The bookings.
    pub bookings: Vec<SoldBooking>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A booking with its money and tickets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SoldBooking {
    /// Its id.
    pub booking_id: String,
    /// Its code.
    pub code: String,
    /// The address that it was booked with.
    pub email: String,
    /// Its state.
    pub status: String,
    /// What was paid, minor units.
    pub amount_minor: i64,
    /// What was given back, minor units.
    pub refunded_minor: i64,
    /// What is left, minor units.
    pub net_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// The payment provider.
    pub provider: Option<String>,
    /// What the provider calls the payment.
    pub intent_id: Option<String>,
    /// For a booking that was given away, what it costs otherwise, minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comp_face_minor: Option<i64>,
    /// When.
    pub created_at: String,
    /// Its tickets.
    pub tickets: Vec<SoldTicket>,
    /// What else a gateway tells.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A ticket of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SoldTicket {
    /// Its id.
    pub ticket_id: String,
    /// Its seat.
    pub seat_id: String,
    /// The category of the seat.
    pub category: String,
    /// Its state.
    pub status: String,
    /// What it cost, minor units.
    pub price_minor: Option<i64>,
    /// When its holder first went in.
    pub checked_in_at: Option<String>,
    /// What else a gateway tells.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Writes a table of comma-separated values, or a booking a line as JSON.
pub(crate) async fn run(
    show: &ShowId,
    client: &AdminClient,
    console: &Console,
) -> Result<(), Failure> {
    if !console.is_json() {
        console.text(&table(|table| table.write_record(COLUMNS))?)?;
    }
    let mut after: Option<String> = None;
    let mut count = 0;
    loop {
        let query = after.map_or_else(String::new, |next| format!("?after={next}"));
        let page: SoldPage = client.get(&format!("shows/{show}/bookings{query}")).await?;
        for booking in &page.bookings {
            count += 1;
            if console.is_json() {
                console.document_line(booking)?;
            } else {
                console.text(&rows(booking)?)?;
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    console.note(&format!(
        "{} exported.",
        counted(count, "booking", "bookings")
    ));
    Ok(())
}

/// The rows of a booking. Its money stands in the first one, so that a column can be added up.
fn rows(booking: &SoldBooking) -> Result<String, Failure> {
    table(|table| {
        for (index, ticket) in booking.tickets.iter().enumerate() {
            let of_booking = |minor: i64| match index {
                0 => minor.to_string(),
                _ => String::new(),
            };
            let price = ticket.price_minor.map(|minor| minor.to_string());
            let row: [&str; COLUMNS.len()] = [
                &booking.booking_id,
                &booking.code,
                &booking.status,
                &booking.created_at,
                &booking.email,
                &booking.currency,
                &of_booking(booking.amount_minor),
                &of_booking(booking.refunded_minor),
                &of_booking(booking.net_minor),
                booking.provider.as_deref().unwrap_or_default(),
                booking.intent_id.as_deref().unwrap_or_default(),
                &ticket.ticket_id,
                &ticket.status,
                &ticket.seat_id,
                &ticket.category,
                price.as_deref().unwrap_or_default(),
                ticket.checked_in_at.as_deref().unwrap_or_default(),
                &booking.comp_face_minor.map_or_else(String::new, of_booking),
            ];
            table.write_record(row.map(plain))?;
        }
        Ok(())
    })
}

/// What `write` writes, without the end of its last line.
fn table(
    write: impl FnOnce(&mut csv::Writer<Vec<u8>>) -> csv::Result<()>,
) -> Result<String, Failure> {
    let mut table = csv::Writer::from_writer(Vec::new());
    write(&mut table).map_err(|error| Failure::failed(error.to_string()))?;
    let bytes = table
        .into_inner()
        .map_err(|error| Failure::failed(error.to_string()))?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.trim_end_matches('\n').to_owned())
}

/// The text with an apostrophe before it where a spreadsheet would take it for a formula. See OWASP,
/// "CSV Injection".
fn plain(text: &str) -> String {
    let is_number = text.parse::<i64>().is_ok();
    if !is_number && text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn money_stands_once_and_nothing_is_a_formula() {
        let ticket = |seat: &str| {
            json!({"ticketId": format!("tkt_{seat}"), "seatId": seat, "category": "A, front",
                "status": "ISSUED", "priceMinor": 250, "checkedInAt": null})
        };
        let booking: SoldBooking = serde_json::from_value(json!({
            "bookingId": "bkg_1", "code": "K7", "email": "=cmd|'/c calc'!A1@example.com",
            "status": "CONFIRMED", "amountMinor": 500, "refundedMinor": 600, "netMinor": -100,
            "currency": "EUR", "provider": "stripe", "intentId": "pi_1",
            "createdAt": "2026-11-30T12:00:00Z", "tickets": [ticket("A1"), ticket("A2")],
        }))
        .unwrap();
        assert_eq!(
            rows(&booking).unwrap(),
            "bkg_1,K7,CONFIRMED,2026-11-30T12:00:00Z,'=cmd|'/c calc'!A1@example.com,EUR,500,600,-100,\
             stripe,pi_1,tkt_A1,ISSUED,A1,\"A, front\",250,,\n\
             bkg_1,K7,CONFIRMED,2026-11-30T12:00:00Z,'=cmd|'/c calc'!A1@example.com,EUR,,,,\
             stripe,pi_1,tkt_A2,ISSUED,A2,\"A, front\",250,,"
        );
        let given: SoldBooking = serde_json::from_value(json!({
            "bookingId": "bkg_2", "code": "K8", "email": "guest@example.com",
            "status": "CONFIRMED", "amountMinor": 0, "refundedMinor": 0, "netMinor": 0,
            "currency": "EUR", "provider": "free", "intentId": null, "compFaceMinor": 500,
            "createdAt": "2026-11-30T12:00:00Z", "tickets": [ticket("A3"), ticket("A4")],
        }))
        .unwrap();
        let rows = rows(&given).unwrap();
        let faces: Vec<&str> = rows
            .lines()
            .map(|row| row.rsplit_once(',').unwrap().1)
            .collect();
        assert_eq!(faces, ["500", ""]);
    }
}
