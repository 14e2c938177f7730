//! `ropeline booking …`: finding, reading, refunding bookings, and mailing their links.

use comfy_table::Cell;
use contract::BookingId;
use contract::refund::Cancellation;
use contract::transfer::Transferred;
use reqwest::{Method, Url};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::amount::money_text;
use crate::booking_args::{BookingCommand, BookingRefundArgs, BookingReissueArgs, FindArgs};
use crate::booking_comp;
use crate::booking_export;
use crate::client::AdminClient;
use crate::console::{Console, counted, table_of};
use crate::failure::{Exit, Failure};
use crate::room::tables::wire_word;

/// Bookings that were found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BookingsFound {
    /// The newest first.
    pub bookings: Vec<BookingSummary>,
}

/// A booking in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BookingSummary {
    /// Its id.
    pub booking_id: String,
    /// Its code.
    pub code: String,
    /// The show.
    pub show_id: String,
    /// The address that it was booked with.
    pub email: String,
    /// Its state.
    pub status: String,
    /// Tickets that are not void.
    pub ticket_count: u64,
    /// What was paid, minor units.
    pub amount_minor: i64,
    /// What was given back, minor units.
    pub refunded_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// What else a gateway tells.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A mail that is on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MailSent {
    /// Where it goes, mostly hidden.
    pub sent_to: String,
    /// What else a gateway tells.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Runs the command.
pub(crate) async fn run(
    command: BookingCommand,
    client: &AdminClient,
    console: &Console,
) -> Result<Exit, Failure> {
    match command {
        BookingCommand::Find(args) => find(&args, client, console).await?,
        BookingCommand::Show { booking } => show(booking, client, console).await?,
        BookingCommand::Refund(args) => refund(args, client, console).await?,
        BookingCommand::Comp(args) => booking_comp::run(args, client, console).await?,
        BookingCommand::Export { show } => booking_export::run(&show, client, console).await?,
        BookingCommand::Transfer(args) => {
            renew(args.reissue, Some(args.to), client, console).await?;
        }
        BookingCommand::Reissue(args) => renew(args, None, client, console).await?,
        BookingCommand::Resend { booking } => resend(booking, client, console).await?,
        BookingCommand::RevokeLinks { booking } => {
            let path = format!("bookings/{booking}/links/revoke");
            let revoked: Value = client.post(&path).await?;
            if console.is_json() {
                console.document(&revoked)?;
            } else {
                console.text("The links in earlier mails open the booking no longer.")?;
                console.text(&format!(
                    "`ropeline booking resend {booking}` mails a new one."
                ))?;
            }
        }
    }
    Ok(Exit::Fine)
}

/// The path of the search, with its query.
fn search(args: &FindArgs) -> Result<String, Failure> {
    // Only its query is used.
    let mut url = Url::parse("http://gateway.invalid/")
        .map_err(|error| Failure::failed(error.to_string()))?;
    let mut query = url.query_pairs_mut();
    for (name, value) in [
        ("code", args.code.clone()),
        ("email", args.email.clone()),
        ("show", args.show.as_ref().map(ToString::to_string)),
    ] {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    }
    drop(query);
    Ok(format!("bookings?{}", url.query().unwrap_or_default()))
}

async fn find(args: &FindArgs, client: &AdminClient, console: &Console) -> Result<(), Failure> {
    let found: BookingsFound = client.get(&search(args)?).await?;
    if console.is_json() {
        return console.document(&found);
    }
    if !found.bookings.is_empty() {
        let mut table = table_of(&[
            "booking", "code", "show", "address", "state", "tickets", "paid", "back",
        ]);
        for booking in &found.bookings {
            let currency = &booking.currency;
            table.add_row([
                Cell::new(&booking.booking_id),
                Cell::new(&booking.code),
                Cell::new(&booking.show_id),
                Cell::new(&booking.email),
                Cell::new(&booking.status),
                Cell::new(booking.ticket_count),
                Cell::new(money_text(booking.amount_minor, currency)),
                Cell::new(money_text(booking.refunded_minor, currency)),
            ]);
        }
        console.table(table)?;
    }
    let count = u64::try_from(found.bookings.len()).unwrap_or(u64::MAX);
    console.text(&format!("{} found.", counted(count, "booking", "bookings")))
}

async fn show(booking: BookingId, client: &AdminClient, console: &Console) -> Result<(), Failure> {
    let found: Value = client.get(&format!("bookings/{booking}")).await?;
    if console.is_json() {
        return console.document(&found);
    }
    let mut table = table_of(&["", ""]);
    let (view, record) = (&found["booking"], &found["record"]);
    for (name, value) in [
        ("booking", &view["bookingId"]),
        ("code", &view["code"]),
        ("show", &view["showId"]),
        ("address", &record["email"]),
        ("state", &view["status"]),
        ("payment", &record["intentId"]),
    ] {
        table.add_row([Cell::new(name), Cell::new(word(value))]);
    }
    let currency = view["currency"].as_str().unwrap_or_default().to_owned();
    let money = |value: &Value| money_text(value.as_i64().unwrap_or_default(), &currency);
    for (name, value) in [
        ("paid", &record["capturedMinor"]),
        ("promised or back", &record["reservedMinor"]),
        ("back", &view["refundedMinor"]),
    ] {
        table.add_row([Cell::new(name), Cell::new(money(value))]);
    }
    let comp = &record["comp"];
    if comp.is_object() {
        let why = comp["reason"].as_str();
        let text = format!(
            "worth {}{}",
            money(&comp["faceMinor"]),
            why.map_or_else(String::new, |why| format!(": {why}"))
        );
        table.add_row([Cell::new("given away"), Cell::new(text)]);
    }
    for ticket in list(&view["tickets"]) {
        let mut text = format!("{} {}", word(&ticket["ticketId"]), word(&ticket["seatId"]));
        if let Some(name) = ticket["ticketTypeName"].as_str() {
            text = format!("{text} {name}");
        }
        if ticket["amountMinor"].is_i64() {
            text = format!("{text} {}", money(&ticket["amountMinor"]));
        }
        table.add_row([Cell::new("ticket"), Cell::new(text)]);
    }
    for line in list(&view["lines"]) {
        let included = if line["included"] == true {
            "including "
        } else {
            ""
        };
        let text = format!(
            "{included}{} {}",
            word(&line["name"]),
            money(&line["amountMinor"])
        );
        table.add_row([Cell::new(word(&line["kind"])), Cell::new(text)]);
    }
    for it in list(&record["cancellations"]) {
        let text = format!(
            "{} by {}: {} back, {} kept{}",
            word(&it["createdAt"]),
            word(&it["by"]),
            money(&it["amountMinor"]),
            money(&it["keptMinor"]),
            it["reason"]
                .as_str()
                .map_or_else(String::new, |why| format!(": {why}")),
        );
        table.add_row([Cell::new("cancelled"), Cell::new(text)]);
    }
    for it in list(&record["refunds"]) {
        let text = format!(
            "{} {} {}",
            word(&it["refundId"]),
            money(&it["amountMinor"]),
            word(&it["status"])
        );
        table.add_row([Cell::new("refund"), Cell::new(text)]);
    }
    for it in list(&record["transfers"]) {
        let text = format!(
            "{} {} by {} to {}",
            word(&it["createdAt"]),
            word(&it["kind"]),
            word(&it["by"]),
            word(&it["sentTo"])
        );
        table.add_row([Cell::new("tickets"), Cell::new(text)]);
    }
    for it in list(&record["mail"]) {
        let text = format!("{} {}", word(&it["kind"]), word(&it["status"]));
        table.add_row([Cell::new("mail"), Cell::new(text)]);
    }
    console.table(table)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

async fn refund(
    args: BookingRefundArgs,
    client: &AdminClient,
    console: &Console,
) -> Result<(), Failure> {
    let what = if args.tickets.is_empty() {
        "all its tickets".to_owned()
    } else {
        let count = u64::try_from(args.tickets.len()).unwrap_or(u64::MAX);
        counted(count, "ticket", "tickets")
    };
    let booking = args.booking;
    let question = format!("Cancel {what} of {booking} and give the money back?");
    console.confirm(&question, args.yes)?;
    let mut order = json!({ "byPolicy": args.by_policy });
    // Gateways of an older version do not know the field.
    if args.even_used {
        order["evenUsed"] = json!(true);
    }
    if !args.tickets.is_empty() {
        order["ticketIds"] = json!(args.tickets);
    }
    if let Some(reason) = args.reason {
        order["reason"] = json!(reason);
    }
    let path = format!("bookings/{booking}/refund");
    let done: Cancellation = client.write(Method::POST, &path, &order).await?;
    if console.is_json() {
        return console.document(&done);
    }
    let count = u64::try_from(done.ticket_ids.len()).unwrap_or(u64::MAX);
    console.text(&format!(
        "{} void, {} on the way back, {} kept. The refund is {}, {}.",
        counted(count, "ticket is", "tickets are"),
        money_text(done.amount_minor, &done.currency),
        money_text(done.kept_minor, &done.currency),
        done.refund_id,
        wire_word(&done.status)
    ))
}

/// Passes tickets on to `to`, or gives them new codes.
async fn renew(
    args: BookingReissueArgs,
    to: Option<String>,
    client: &AdminClient,
    console: &Console,
) -> Result<(), Failure> {
    let booking = args.booking;
    let (verb, question) = match &to {
        Some(to) => ("transfer", format!("Pass tickets of {booking} on to {to}?")),
        None => (
            "reissue",
            format!("Make the present codes of {booking} worthless?"),
        ),
    };
    console.confirm(&question, args.yes)?;
    let mut order = json!({});
    if let Some(to) = to {
        order["email"] = json!(to);
    }
    if !args.tickets.is_empty() {
        order["ticketIds"] = json!(args.tickets);
    }
    if let Some(name) = args.name {
        order["name"] = json!(name);
    }
    if let Some(reason) = args.reason {
        order["reason"] = json!(reason);
    }
    let path = format!("bookings/{booking}/{verb}");
    let done: Transferred = client.write(Method::POST, &path, &order).await?;
    if console.is_json() {
        return console.document(&done);
    }
    let count = u64::try_from(done.ticket_ids.len()).unwrap_or(u64::MAX);
    console.text(&format!(
        "{} new codes, on the way to {}. The earlier ones admit nobody.",
        counted(count, "ticket has", "tickets have"),
        done.sent_to
    ))
}

async fn resend(
    booking: BookingId,
    client: &AdminClient,
    console: &Console,
) -> Result<(), Failure> {
    let sent: MailSent = client.post(&format!("bookings/{booking}/resend")).await?;
    if console.is_json() {
        return console.document(&sent);
    }
    console.text(&format!("The link is on its way to {}.", sent.sent_to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_is_written_into_the_query() {
        let args = FindArgs {
            code: None,
            email: Some("a+b&c@example.com".to_owned()),
            show: Some("eras".parse().unwrap()),
        };
        assert_eq!(
            search(&args).unwrap(),
            "bookings?email=a%2Bb%26c%40example.com&show=eras"
        );
    }
}
