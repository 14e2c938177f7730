//! Tickets as PDF and shows as calendar files, read by programs of others.

use std::time::Duration;

use booking_core::config::HOLD_SEATS_MAX;
use booking_core::verify_ticket;
use contract::Timestamp;
use serde_json::{Value, json};

use crate::fan::{Answer, Fan};
use crate::other_readers::{PdfReader, read_calendar};
use crate::test_shop::{TestShop, show_file};

/// Most bytes of the PDF of a booking.
const PDF_BYTES_MAX: usize = 400_000;
/// Longest time in which it is rendered, without optimisation and beside other tests.
const RENDERED_WITHIN: Duration = Duration::from_secs(10);

/// Titles that break what is careless.
const HOSTILE_TITLES: [&str; 7] = [
    "Quotes \" ' ; filename=\"x.exe\" and, commas; colons: back\\slash",
    "Lines\r\nEND:VEVENT\r\nSet-Cookie: a=b\u{2028}more",
    "שלום עולם (live) مرحبا",
    "Override \u{202e}fdp.tekcit\u{202c} done",
    "🎸🎤 Ω Живой концерт नमस्ते मुंबई 東京ドーム 👩\u{200d}👩\u{200d}👧",
    "\u{1}\u{7}\u{1b}[31m control",
    "W\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}\u{308} zalgo",
];

fn path_of(booking: &Value, file: &str) -> String {
    format!(
        "/api/v1/bookings/{}/{file}",
        booking["bookingId"].as_str().unwrap()
    )
}

async fn got(fan: &Fan, booking: &Value, file: &str) -> Answer {
    let answer = fan.get(&path_of(booking, file)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.headers["cache-control"], "private, no-store");
    answer
}

/// The show file with other texts.
fn titled(title: &str) -> Value {
    let mut file = show_file();
    file["title"] = json!(title);
    file
}

#[tokio::test]
async fn every_ticket_has_a_page_with_its_seat_and_a_code_that_opens_the_door() {
    let shop = TestShop::new().await;
    let (fan, booking, _) = shop.bought(&["A1", "A2", "B7"]).await;
    let pdf = got(&fan, &booking, "tickets.pdf").await;
    assert_eq!(pdf.headers["content-type"], "application/pdf");
    let code = booking["code"].as_str().unwrap();
    let name = format!("inline; filename=\"The Eras Tour {code}.pdf\"");
    let named = pdf.headers["content-disposition"].to_str().unwrap();
    assert!(named.starts_with(&name), "{named}");
    let reader = PdfReader::open(&pdf.bytes);
    let pages = reader.pages();
    let expected = [
        ("Front", "A", "1", "₹2,500"),
        ("Front", "A", "2", "₹2,500"),
        ("Back", "B", "7", "₹1,000"),
    ];
    assert_eq!(pages.len(), expected.len(), "{pages:?}");
    for (at, (page, (section, row, seat, price))) in pages.iter().zip(expected).enumerate() {
        let number = format!("Ticket {} of 3", at + 1);
        for text in [
            "The Eras Tour",
            "Thursday, 24 December 2026, 19:30 IST",
            "DY Patil Stadium",
            "Nerul",
            code,
            price,
            &number,
            "http://tickets.test/bookings/bkg_",
            booking["tickets"][at]["ticketId"].as_str().unwrap(),
        ] {
            assert!(page.contains(text), "{text} is missing from: {page}");
        }
        let lines: Vec<&str> = page.lines().collect();
        for line in [section, row, seat] {
            assert!(lines.contains(&line), "{line} is missing from: {page}");
        }
    }
    assert!(reader.is_tagged());
    let signed: Vec<&str> = booking["tickets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|ticket| ticket["qr"].as_str().unwrap())
        .collect();
    let seen = reader.codes();
    assert_eq!(seen, signed);
    let key = shop.process.booking.ticket_verifier();
    let doors = Timestamp::parse("2026-12-24T13:00:00Z").unwrap();
    for text in seen {
        verify_ticket(&text, &key, doors).unwrap();
    }
}

#[tokio::test]
async fn the_files_of_others_are_not_found() {
    let shop = TestShop::new().await;
    let (_, booking, _) = shop.bought(&["A1"]).await;
    let stranger = shop.fan();
    let (other, ..) = shop.bought(&["A2"]).await;
    for file in ["tickets.pdf", "calendar.ics"] {
        for fan in [&stranger, &other] {
            let answer = fan.get(&path_of(&booking, file)).await;
            assert_eq!((answer.status, answer.code()), (404, "not-found"));
            assert!(!answer.text.contains("Eras"), "{}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_price_that_changed_since_is_not_printed() {
    let shop = TestShop::new().await;
    let (fan, booking, _) = shop.bought(&["A1", "B1"]).await;
    let mut file = show_file();
    file["categories"][0]["priceMinor"] = json!(260_000);
    assert_eq!(shop.import(file).await.0, 200);
    let pdf = got(&fan, &booking, "tickets.pdf").await;
    let pages = PdfReader::open(&pdf.bytes).pages();
    for (page, paid) in pages.iter().zip(["₹2,500", "₹1,000"]) {
        assert!(page.contains(paid) && !page.contains("₹2,600"), "{page}");
    }
}

#[tokio::test]
async fn a_cancelled_booking_has_no_codes_and_says_so() {
    let shop = TestShop::new().await;
    let (fan, booking, intent) = shop.bought(&["A1", "A2"]).await;
    let before = got(&fan, &booking, "calendar.ics").await;
    shop.provider.refund_by_hand(&intent, 500_000);
    shop.process.booking.reconcile().await.unwrap().unwrap();
    shop.settle().await;
    let pdf = got(&fan, &booking, "tickets.pdf").await;
    let reader = PdfReader::open(&pdf.bytes);
    let pages = reader.pages();
    assert_eq!(pages.len(), 1);
    assert!(
        pages[0].contains("This booking was cancelled"),
        "{}",
        pages[0]
    );
    assert!(!pages[0].contains("Ticket 1"), "{}", pages[0]);
    assert_eq!(reader.codes(), [""; 0]);
    let after = got(&fan, &booking, "calendar.ics").await;
    let (before, after) = (read_calendar(&before.text), read_calendar(&after.text));
    assert_eq!(before["uid"], after["uid"]);
    assert_eq!(
        (&before["status"], &after["status"]),
        (&json!("CONFIRMED"), &json!("CANCELLED"))
    );
    assert_eq!(
        (&before["alarms"], &after["alarms"]),
        (&json!(["-1 day, 22:00:00"]), &json!([]))
    );
}

#[tokio::test]
async fn tickets_of_a_show_that_is_over_say_so_and_have_no_code() {
    let shop = TestShop::new().await;
    let (fan, booking, _) = shop.bought(&["A1"]).await;
    shop.clock.advance(Duration::from_hours(200 * 24));
    let pdf = got(&fan, &booking, "tickets.pdf").await;
    let reader = PdfReader::open(&pdf.bytes);
    let page = reader.pages().remove(0);
    assert!(page.contains("This show is over"), "{page}");
    assert_eq!(reader.codes(), [""; 0]);
    let calendar = got(&fan, &booking, "calendar.ics").await;
    assert_eq!(read_calendar(&calendar.text)["alarms"], json!([]));
}

#[tokio::test]
async fn the_calendar_has_the_times_also_when_the_clocks_change_in_between() {
    // Clocks in Berlin go back an hour in this night.
    for (starts, ends, utc) in [
        (
            "2026-10-24T22:00:00+02:00",
            "2026-10-25T04:00:00+01:00",
            ["2026-10-24 20:00:00+00:00", "2026-10-25 03:00:00+00:00"],
        ),
        (
            "2026-10-25T02:30:00+02:00",
            "2026-10-25T02:30:00+01:00",
            ["2026-10-25 00:30:00+00:00", "2026-10-25 01:30:00+00:00"],
        ),
    ] {
        let mut file = show_file();
        file["city"]["timeZone"] = json!("Europe/Berlin");
        file["startsAt"] = json!(starts);
        file["endsAt"] = json!(ends);
        file["venue"]["latitude"] = json!(19.0425);
        file["venue"]["longitude"] = json!(73.0264);
        let shop = TestShop::with(file).await;
        let (fan, booking, _) = shop.bought(&["A1", "A2"]).await;
        let answer = got(&fan, &booking, "calendar.ics").await;
        assert_eq!(
            answer.headers["content-type"],
            "text/calendar; charset=utf-8"
        );
        let event = read_calendar(&answer.text);
        assert_eq!([&event["dtstart"], &event["dtend"]], utc);
        assert_eq!(event["summary"], "The Eras Tour");
        assert_eq!(event["location"], "DY Patil Stadium, Nerul");
        assert_eq!(event["geo"], "19.0425;73.0264");
        let description = event["description"].as_str().unwrap();
        for text in [
            "Front, row A, seat 1\n",
            "Front, row A, seat 2\n",
            " CEST\n",
            booking["code"].as_str().unwrap(),
            "https://www.openstreetmap.org/?mlat=19.0425",
        ] {
            assert!(
                description.contains(text),
                "{text} is missing from: {description}"
            );
        }
        let again = got(&fan, &booking, "calendar.ics").await;
        assert_eq!(read_calendar(&again.text)["uid"], event["uid"]);
    }
}

#[tokio::test]
async fn a_hostile_title_breaks_neither_page_nor_header_nor_calendar() {
    let shop = TestShop::new().await;
    let (fan, booking, _) = shop.bought(&["A1"]).await;
    let long: String = "Very long 東京 ".chars().cycle().take(200).collect();
    for title in HOSTILE_TITLES.into_iter().chain([long.as_str()]) {
        let (status, body) = shop.import(titled(title)).await;
        assert_eq!(status, 200, "{title}: {body}");
        let pdf = got(&fan, &booking, "tickets.pdf").await;
        let named = pdf.headers["content-disposition"].to_str().unwrap();
        assert_eq!(named.matches('"').count(), 2, "{named}");
        let reader = PdfReader::open(&pdf.bytes);
        let page = reader.pages().remove(0);
        assert!(
            page.contains("Thursday, 24 December 2026") && page.contains("Front"),
            "{page}"
        );
        assert_eq!(
            reader.codes(),
            [booking["tickets"][0]["qr"].as_str().unwrap()],
            "{title}"
        );
        let calendar = got(&fan, &booking, "calendar.ics").await;
        for line in calendar.text.split("\r\n") {
            assert!(line.len() <= 75 && !line.contains(['\r', '\n']), "{line:?}");
        }
        let event = read_calendar(&calendar.text);
        let words: Vec<&str> = title
            .split(|letter: char| letter.is_control() || letter.is_whitespace())
            .filter(|word| !word.is_empty())
            .collect();
        assert_eq!(event["summary"], words.join(" "));
    }
}

#[tokio::test]
async fn letters_that_no_font_has_are_said_to_be_missing_and_others_can_be_copied() {
    for (title, missing) in [
        ("Живой концерт – Ζωντανή – नमस्ते मुंबई", false),
        ("東京ドーム", true),
    ] {
        let shop = TestShop::with(titled(title)).await;
        let (fan, booking, _) = shop.bought(&["A1"]).await;
        let pdf = got(&fan, &booking, "tickets.pdf").await;
        let page = PdfReader::open(&pdf.bytes).pages().remove(0);
        assert_eq!(
            page.contains("Some letters could not be printed"),
            missing,
            "{page}"
        );
        // A title may take several lines.
        let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            missing || words.contains(title),
            "{title} is missing from: {page}"
        );
    }
}

#[tokio::test]
async fn the_largest_booking_is_rendered_soon_and_small() {
    let mut file = show_file();
    file["ticketLimit"] = json!(20);
    let name: String = "Ein sehr langer Name ".chars().cycle().take(200).collect();
    file["title"] = json!(name);
    file["venue"] = json!({"name": name, "address": name});
    file["sections"][0]["seatsPerRow"] = json!(HOLD_SEATS_MAX);
    let shop = TestShop::against_fraud(file, None, crate::against_fraud::off()).await;
    let seats: Vec<String> = (1..=HOLD_SEATS_MAX)
        .map(|seat| format!("A{seat}"))
        .collect();
    let seats: Vec<&str> = seats.iter().map(String::as_str).collect();
    let (fan, booking, _) = shop.bought(&seats).await;
    let started = tokio::time::Instant::now();
    let pdf = got(&fan, &booking, "tickets.pdf").await;
    let took = started.elapsed();
    println!(
        "{} tickets: {} bytes in {took:?}",
        seats.len(),
        pdf.bytes.len()
    );
    assert!(took < RENDERED_WITHIN, "{took:?}");
    assert!(pdf.bytes.len() < PDF_BYTES_MAX, "{}", pdf.bytes.len());
    assert_eq!(PdfReader::open(&pdf.bytes).pages().len(), seats.len());
}
