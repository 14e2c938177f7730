//! The end of a life: everything settles, and the books of the shop, of the provider and of the
//! model are compared.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection, Row};

use super::stage::{SEATS, Stage};
use crate::fake_provider::Mood;
use crate::fan::Fan;

/// Rounds in which everything gets done that is tried again later.
const ROUNDS: usize = 6;
/// Longer than any pause between two tries.
const ROUND: Duration = Duration::from_mins(62);

/// What holds at any time, whatever is still under way.
const ALWAYS: &[&str] = &[
    "I01", "I02", "I03", "I04", "I05", "I07", "I08", "I10", "I12", "I13", "I14", "I15", "I20",
    "I22", "I26", "I27", "I28", "I29", "I40", "I41", "I42",
];

/// What the shop's database says of an intent.
struct Entry {
    net: i64,
    disposition: Option<String>,
    booking: Option<String>,
    status: Option<String>,
}

pub(super) async fn judge(stage: &mut Stage) -> Result<(), String> {
    let broken = broken(stage).await;
    if let Some(name) = broken.iter().find(|name| ALWAYS.contains(&&name[..3])) {
        return Err(format!("before everything has settled: {name}"));
    }
    settle(stage).await?;
    let rows = rows(stage).await;
    find_bookings(stage, &rows).await?;
    let broken = self::broken(stage).await;
    if !broken.is_empty() {
        return Err(format!("the check finds {broken:?}"));
    }
    let mut sum = 0;
    for at in 0..stage.attempts.len() {
        sum += intent(stage, at, &rows)?;
    }
    let ledger = ledger(stage).await;
    if ledger != sum {
        return Err(format!("the ledger has {ledger}, the provider {sum}"));
    }
    seats(stage).await?;
    mails(stage).await
}

/// Names of broken invariants.
async fn broken(stage: &Stage) -> Vec<String> {
    let report = stage.shop.process.booking.check().await.unwrap();
    let broken = report.invariants.into_iter().filter(|it| it.violations > 0);
    broken.map(|it| it.name.clone()).collect()
}

/// The provider is well, refunds arrive, operators do what they are told to, and time passes.
async fn settle(stage: &mut Stage) -> Result<(), String> {
    // Breakers go by the time of the machine: a new process has none that is open.
    stage.crash().await;
    let shop = &stage.shop;
    shop.provider.mood(Mood::Up);
    let desk = Fan::new(shop.process.booking.admin().0);
    for _ in 0..ROUNDS {
        shop.provider.banks_decide();
        shop.settle().await;
        shop.clock.advance(ROUND);
        let report = desk.post("/admin/v1/reconcile", &json!({})).await;
        if report.status != 200 {
            return Err(format!("no comparison: {}", report.text));
        }
        for failed in report.json["failedRefunds"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let intent = failed["intentId"].as_str().unwrap_or_default();
            let due = failed["amountMinor"].as_i64().unwrap_or_default();
            let left = shop.provider.account(intent).left();
            if due > left {
                return Err(format!("{due} is to go back of {left}: {failed}"));
            }
            shop.provider.refund_by_hand(intent, due);
        }
    }
    shop.settle().await;
    Ok(())
}

async fn rows(stage: &Stage) -> BTreeMap<String, Entry> {
    let mut database = stage.shop.database.connect().await;
    let statement = "select p.intent_id, p.captured_minor - p.refunded_minor, p.disposition, \
        b.booking_id::text, b.status from payments p left join bookings b \
        on b.hold_id = p.hold_id and p.disposition = 'BOOKED' where p.intent_id is not null";
    let found = sqlx::query(statement)
        .fetch_all(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    let row = |row: &sqlx::postgres::PgRow| Entry {
        net: row.get(1),
        disposition: row.get(2),
        booking: row.get(3),
        status: row.get(4),
    };
    found
        .iter()
        .map(|found| (found.get(0), row(found)))
        .collect()
}

async fn ledger(stage: &Stage) -> i64 {
    let mut database = stage.shop.database.connect().await;
    let sum = "select coalesce(sum(amount_minor), 0)::bigint from ledger where account = 'gateway'";
    let sum = sqlx::query_scalar(sum)
        .fetch_one(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    sum
}

/// Enters bookings that no confirmation told of, and reads all as their fans see them.
async fn find_bookings(stage: &mut Stage, rows: &BTreeMap<String, Entry>) -> Result<(), String> {
    for at in 0..stage.attempts.len() {
        let Some(booking) = rows[&stage.attempts[at].intent].booking.clone() else {
            continue;
        };
        let fan = &stage.fans[stage.holds[stage.attempts[at].hold].fan];
        let id = format!("bkg_{}", booking.replace('-', ""));
        let seen = fan.get(&format!("/api/v1/bookings/{id}")).await;
        if seen.status != 200 {
            return Err(format!(
                "a fan does not see the booking {id}: {}",
                seen.text
            ));
        }
        if !stage.bookings.iter().any(|booked| booked.id == id) {
            stage.enter(at, &seen.json)?;
        }
        let meddled = stage.attempts[at].meddled;
        let booked = stage
            .bookings
            .iter_mut()
            .find(|booked| booked.id == id)
            .unwrap();
        // A second attempt paid it first.
        booked.attempt = at;
        let live: Vec<&Value> = seen.json["tickets"]
            .as_array()
            .into_iter()
            .flatten()
            .collect();
        let is_live = |id: &str| live.iter().any(|ticket| ticket["ticketId"] == id);
        for ticket in &mut booked.tickets {
            // Money that went back without us takes the tickets of a booking with it.
            ticket.void |= meddled && !is_live(&ticket.id);
            if ticket.void == is_live(&ticket.id) {
                return Err(format!(
                    "the ticket {} is live and void: {}",
                    ticket.id, seen.text
                ));
            }
        }
    }
    for booked in &stage.bookings {
        if !rows.values().any(|row| is_named(row, &booked.id)) {
            return Err(format!(
                "the booking {} was told of and is not there",
                booked.id
            ));
        }
    }
    Ok(())
}

fn is_named(row: &Entry, id: &str) -> bool {
    row.booking
        .as_ref()
        .is_some_and(|booking| id == format!("bkg_{}", booking.replace('-', "")))
}

/// Judges one intent, and returns what the provider still has of it.
fn intent(stage: &Stage, at: usize, rows: &BTreeMap<String, Entry>) -> Result<i64, String> {
    let attempt = &stage.attempts[at];
    let (intent, held) = (&attempt.intent, &stage.holds[attempt.hold]);
    let account = stage.shop.provider.account(intent);
    let (left, row) = (account.left(), &rows[intent]);
    let say = |what: String| Err(format!("{intent} with {account:?}: {what}"));
    if row.net != left {
        return say(format!("the shop's books say {}", row.net));
    }
    if account.taken == 0 {
        return if row.disposition.is_some() {
            say("booked unpaid".to_owned())
        } else {
            Ok(0)
        };
    }
    let booked = stage
        .bookings
        .iter()
        .find(|booked| is_named(row, &booked.id));
    let Some(booked) = booked else {
        let other = stage
            .bookings
            .iter()
            .any(|other| stage.attempts[other.attempt].hold == attempt.hold && other.attempt != at);
        let exact = account.taken == held.price();
        if exact && !other && !stage.was_followed(attempt.hold) {
            return say("went back without a reason".to_owned());
        }
        // A bank that lost a dispute leaves its money with the seller.
        return if left == 0 || attempt.meddled {
            Ok(left)
        } else {
            say("was kept".to_owned())
        };
    };
    if account.taken != held.price() {
        return say(format!("a booking at {}", held.price()));
    }
    let live = booked.tickets.iter().filter(|ticket| !ticket.void);
    let live: i64 = live.map(|ticket| SEATS[ticket.seat].1).sum();
    if !attempt.meddled && left != live + booked.kept {
        return say(format!("tickets of {live}, and {} kept", booked.kept));
    }
    if live > 0 && left == 0 {
        return say("tickets without money".to_owned());
    }
    if (live == 0) != (row.status.as_deref() == Some("CANCELLED")) {
        return say(format!(
            "a booking that is {:?} with tickets of {live}",
            row.status
        ));
    }
    Ok(left)
}

/// The map shows as sold what has a live ticket, and nothing is held any more.
async fn seats(stage: &Stage) -> Result<(), String> {
    let sold = stage.sold();
    for (seat, _) in SEATS {
        let shown = stage.fans[0].seat(seat).await;
        let expected = if sold.contains(seat) {
            "BOOKED"
        } else {
            "AVAILABLE"
        };
        if shown != expected {
            return Err(format!("{seat} is {shown}, not {expected}"));
        }
    }
    Ok(())
}

/// Each booking that still has tickets was confirmed by one mail, and no other mail confirms one.
async fn mails(stage: &Stage) -> Result<(), String> {
    let mut database = stage.shop.database.connect().await;
    let statement = "select about::text, status from notices where kind = 'BOOKING_CONFIRMED'";
    let notices = sqlx::query(statement)
        .fetch_all(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    let notices: Vec<(String, String)> =
        notices.iter().map(|row| (row.get(0), row.get(1))).collect();
    for booked in &stage.bookings {
        let about = |id: &str| booked.id == format!("bkg_{}", id.replace('-', ""));
        let sent = notices
            .iter()
            .filter(|(id, status)| about(id) && status == "SENT")
            .count();
        let has_tickets = booked.tickets.iter().any(|ticket| !ticket.void);
        if sent > 1 || (has_tickets && sent == 0) {
            return Err(format!("{sent} mails confirm {}", booked.id));
        }
    }
    let sent = notices
        .iter()
        .filter(|(_, status)| status == "SENT")
        .count();
    let files = std::fs::read_dir(stage.shop.files.path());
    let names = files.into_iter().flatten().filter_map(Result::ok);
    let texts = names.filter_map(|file| std::fs::read_to_string(file.path()).ok());
    let written = texts
        .filter(|text| text.contains("Subject: Your tickets"))
        .count();
    if written != sent {
        return Err(format!(
            "{written} mails were written and {sent} count as sent"
        ));
    }
    Ok(())
}
