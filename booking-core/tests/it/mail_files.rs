//! The files that come with mail: the tickets as PDF, and the show for calendars.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use booking_core::verify_ticket;
use contract::Timestamp;
use mail_parser::MimeHeaders;
use serde_json::json;
use test_support::smtp_server::{Mood, SmtpServer};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cancel::admin;
use crate::guests::{ask_code, newest_code};
use crate::mail::{at, buys, mails, parsed, shop};
use crate::other_readers::{PdfReader, read_calendar};
use crate::test_shop::{TestShop, show_file};

/// Most bytes of the mail with two tickets: mail servers take ten megabytes and more.
const MAIL_BYTES_MAX: usize = 120_000;

/// A file of a mail: its name, its type, and what is in it.
type File = (String, String, Vec<u8>);

fn files_of(message: &str) -> Vec<File> {
    let message = parsed(message);
    let files = message.attachments().map(|part| {
        let kind = part.content_type().unwrap();
        (
            part.attachment_name().unwrap().to_owned(),
            format!("{}/{}", kind.ctype(), kind.subtype().unwrap()),
            part.contents().to_vec(),
        )
    });
    files.collect()
}

/// The only mail of this kind that the shop wrote to a file.
fn written(shop: &TestShop, kind: &str) -> String {
    let files = std::fs::read_dir(shop.files.path()).unwrap();
    let texts = files.filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok());
    let mut found: Vec<String> = texts
        .filter(|text| {
            let id = parsed(text).message_id().unwrap_or_default().to_owned();
            id.starts_with(kind)
        })
        .collect();
    assert_eq!(found.len(), 1, "mails of the kind {kind}");
    found.remove(0)
}

#[tokio::test]
async fn a_confirmation_has_the_tickets_and_the_show_for_the_calendar() {
    let (shop, server, process) = shop().await;
    let booked = buys(&shop, &["A1", "A2"], "fan@example.com").await;
    // The first attempt fails, and a retry has the same bytes: DTSTAMP and all.
    server.mood(Mood::PutsOffContent);
    mails(&process).await;
    shop.clock.advance(Duration::from_secs(100));
    server.mood(Mood::Takes);
    mails(&process).await;
    let taken = server.taken();
    assert_eq!(taken.len(), 1);
    assert!(taken[0].len() < MAIL_BYTES_MAX, "{}", taken[0].len());
    let files = files_of(&taken[0]);
    let code = booked["code"].as_str().unwrap();
    let named: Vec<(&str, &str)> = files.iter().map(|it| (&*it.0, &*it.1)).collect();
    let (pdf, ics) = (
        format!("The Eras Tour {code}.pdf"),
        format!("The Eras Tour {code}.ics"),
    );
    assert_eq!(
        named,
        [(&*pdf, "application/pdf"), (&*ics, "text/calendar")]
    );
    let reader = PdfReader::open(&files[0].2);
    assert_eq!(reader.pages().len(), 2);
    let key = shop.process.booking.ticket_verifier();
    let doors = Timestamp::parse("2026-12-24T13:00:00Z").unwrap();
    let codes = reader.codes();
    assert_eq!(codes.len(), 2);
    for (at, text) in codes.iter().enumerate() {
        verify_ticket(text, &key, doors).unwrap();
        assert_eq!(booked["tickets"][at]["qr"], json!(text));
    }
    let event = String::from_utf8(files[1].2.clone()).unwrap();
    assert!(event.contains("\r\n"), "lines end as RFC 5545 has it");
    let event = read_calendar(&event);
    assert_eq!(event["summary"], "The Eras Tour");
    let notice_at = booked["createdAt"].as_str().unwrap()[..19].replace('T', " ");
    let stamped = event["dtstamp"].as_str().unwrap();
    assert!(
        stamped.starts_with(&notice_at),
        "{stamped} is not {notice_at}"
    );
}

#[tokio::test]
async fn a_mail_that_is_sent_again_has_the_files_and_one_about_cancelled_tickets_has_none() {
    let shop = TestShop::with(crate::cancel::with_policy(
        json!({"freeUntilHours": 0, "codeRequired": true}),
    ))
    .await;
    let (fan, booked, _) = shop.bought(&["A1"]).await;
    shop.settle().await;
    let enclosed = files_of(&written(&shop, "booking-confirmed"));
    assert_eq!(enclosed.len(), 2);
    let id = booked["bookingId"].as_str().unwrap();
    let again = format!("/admin/v1/bookings/{id}/resend");
    let asked = admin(&shop).post(&again, &json!({})).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    shop.settle().await;
    let resent = files_of(&written(&shop, "booking-link"));
    assert!(resent == enclosed, "the same files");

    let booking = format!("/api/v1/bookings/{id}");
    ask_code(&fan, &booking).await;
    let digits = newest_code(&shop, &[]).await;
    let cancelled = fan
        .post(&format!("{booking}/cancel"), &json!({ "code": digits }))
        .await;
    assert_eq!(cancelled.status, 202, "{}", cancelled.text);
    for file in std::fs::read_dir(shop.files.path()).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    shop.clock.advance(Duration::from_hours(2));
    admin(&shop).post(&again, &json!({})).await;
    shop.settle().await;
    assert!(files_of(&written(&shop, "booking-link")).is_empty());
}

#[tokio::test]
async fn who_gets_passed_on_tickets_has_an_entry_for_the_calendar_too() {
    let shop = TestShop::new().await;
    let (_, booked, _) = shop.bought(&["A1", "A2"]).await;
    let ticket = crate::transfers::id(&booked, 0);
    let path = format!(
        "/admin/v1/bookings/{}/transfer",
        booked["bookingId"].as_str().unwrap()
    );
    let order = json!({"ticketIds": [ticket], "email": "friend@example.com"});
    let done = admin(&shop).post(&path, &order).await;
    assert!(done.status < 300, "{}", done.text);
    shop.settle().await;
    let files = files_of(&written(&shop, "tickets-received"));
    assert_eq!(files.len(), 2);
    assert_eq!(PdfReader::open(&files[0].2).pages().len(), 1);
    assert!(files[1].2.starts_with(b"BEGIN:VCALENDAR"));
    // What is left for the buyer.
    let confirmed = files_of(&written(&shop, "booking-confirmed"));
    let reader = PdfReader::open(&confirmed[0].2);
    assert_eq!(reader.codes().len(), 1);
}

/// The longest that the runtime of the caller, which has one thread, was held by one task, until
/// `work` is done.
async fn longest_hold(work: impl Future<Output = ()>) -> Duration {
    let longest = Arc::new(Mutex::new(Duration::ZERO));
    let noted = Arc::clone(&longest);
    let mut ticking = JoinSet::new();
    ticking.spawn(async move {
        loop {
            let before = Instant::now();
            tokio::task::yield_now().await;
            let mut longest = noted.lock().unwrap();
            *longest = longest.max(before.elapsed());
        }
    });
    work.await;
    ticking.shutdown().await;
    *longest.lock().unwrap()
}

#[tokio::test]
async fn pdfs_for_mail_hold_up_no_other_work() {
    let mut file = show_file();
    file["ticketLimit"] = json!(10);
    let shop = TestShop::with(file).await;
    let server = SmtpServer::start().await;
    let process = shop.another_process_that_mails(at(&server)).await;
    for row in ["A", "B"] {
        let seats: Vec<String> = (1..=9).map(|at| format!("{row}{at}")).collect();
        let seats: Vec<&str> = seats.iter().map(String::as_str).collect();
        buys(&shop, &seats, "fan@example.com").await;
    }
    let (fan, booked, _) = shop.bought(&["A10"]).await;
    let id = booked["bookingId"].as_str().unwrap();
    let began = Instant::now();
    let one_page = fan.get(&format!("/api/v1/bookings/{id}/tickets.pdf")).await;
    let one_page = (one_page.status, began.elapsed());
    let longest = longest_hold(mails(&process)).await;
    let sizes: Vec<usize> = server
        .taken()
        .iter()
        .map(|mail| files_of(mail)[0].2.len())
        .collect();
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    println!("one page took {one_page:?}, the runtime was held for {longest:?}, {sizes:?}");
    // Nine pages take several times as long as one.
    assert!(longest < one_page.1 * 2, "{longest:?}, {one_page:?}");
}
