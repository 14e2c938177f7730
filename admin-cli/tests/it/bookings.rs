//! Bookings, and cancelling a show.

use serde_json::json;

use crate::command::{run, run_with};
use crate::stand_in::StandIn;

const BOOKING: &str = "bkg_0190163d8694739baea51966c26f8ad9";
const TICKET: &str = "tkt_0190163d8694739baea51966c26f8ad9";

#[test]
fn a_booking_is_found_refunded_and_mailed_again() {
    let stand_in = StandIn::start();
    let line = "booking find --code K7M2RRX9B --email a+b@example.com";
    let found = run(&stand_in, line).ends_with(0);
    for shown in [
        BOOKING,
        "K7M2RRX9B",
        "a+b@example.com",
        "INR 5,000.00",
        "1 booking",
    ] {
        assert!(found.out.contains(shown), "{shown:?}: {}", found.out);
    }
    run(&stand_in, "booking find").ends_with(2);
    // Nothing is refunded without a word.
    run(&stand_in, &format!("booking refund {BOOKING}")).ends_with(2);
    let done = run(&stand_in, &format!("booking refund {BOOKING} --yes")).ends_with(0);
    assert!(done.out.contains("INR 5,000.00 on the way"), "{}", done.out);
    let line =
        format!("booking refund {BOOKING} --ticket {TICKET} --by-policy --reason ill --yes --json");
    let done = run(&stand_in, &line).ends_with(0).json();
    assert_eq!(
        (&done["ticketIds"], &done["keptMinor"]),
        (&json!([TICKET]), &json!(10_000))
    );
    let sent = run(&stand_in, &format!("booking resend {BOOKING}")).ends_with(0);
    assert!(sent.out.contains("f…@example.com"), "{}", sent.out);
    run(&stand_in, "booking resend nonsense").ends_with(2);
}

#[test]
fn all_pages_of_what_was_sold_are_exported() {
    let stand_in = StandIn::start();
    let sold = run(&stand_in, "booking export eras-mumbai-1").ends_with(0);
    let lines: Vec<&str> = sold.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", sold.out);
    assert!(lines[0].starts_with("booking,code,status,"), "{}", lines[0]);
    assert!(
        lines[1].starts_with("bkg_1,K7M2RRX9B,CONFIRMED,"),
        "{}",
        lines[1]
    );
    assert!(lines[2].ends_with(",A2,GOLD,500,,"), "{}", lines[2]);
    assert!(sold.err.contains("2 bookings exported"), "{}", sold.err);
    let sold = run(&stand_in, "booking export eras-mumbai-1 --json").ends_with(0);
    assert_eq!(sold.out.lines().count(), 2, "{}", sold.out);
}

#[test]
fn tickets_are_given_away_by_name_or_by_number() {
    let stand_in = StandIn::start();
    let to = "--email press@example.com";
    // Seats or a number, and not without a word.
    run(&stand_in, &format!("booking comp eras {to} --yes")).ends_with(2);
    let both = format!("booking comp eras --seats A-1 --count 2 {to} --yes");
    run(&stand_in, &both).ends_with(2);
    let of_seats = format!("booking comp eras --seats A-1,A-2 --category GOLD {to} --yes");
    run(&stand_in, &of_seats).ends_with(2);
    run(&stand_in, &format!("booking comp eras --count 2 {to}")).ends_with(2);
    let line = format!("booking comp eras --seats A-1,A-2 {to} --name Ada --reason press --yes");
    let given = run(&stand_in, &line).ends_with(0);
    for shown in [
        "2 tickets worth INR 5,000.00",
        "A-1, A-2",
        "press@example.com",
        BOOKING,
    ] {
        assert!(given.out.contains(shown), "{shown:?}: {}", given.out);
    }
    let line = format!("booking comp eras --count 2 --category GOLD {to} --key k1 --yes --json");
    let given = run(&stand_in, &line).ends_with(0).json();
    assert_eq!(given["seatIds"], json!(["A-1", "A-2"]), "{given}");
    let line = format!("booking comp eras --count 2 {to} --key taken --yes");
    run(&stand_in, &line).ends_with(6);
}

#[test]
fn invoices_are_listed_shown_and_exported_from_all_pages() {
    let stand_in = StandIn::start();
    let listed = run(&stand_in, "invoice list --year 2026").ends_with(0);
    for shown in ["2026-000001", "2026-C000001", "credit note", "EUR 119.00"] {
        assert!(listed.out.contains(shown), "{shown:?}: {}", listed.out);
    }
    let shown = run(&stand_in, "invoice show 2026-000001").ends_with(0);
    for text in ["Example Concerts", "DE1", "including VAT", "EUR 100.00"] {
        assert!(shown.out.contains(text), "{text:?}: {}", shown.out);
    }
    run(&stand_in, "invoice show 2026-000009").ends_with(5);
    run(&stand_in, "invoice show ../audit").ends_with(2);
    let exported = run(&stand_in, "invoice export").ends_with(0);
    let lines: Vec<&str> = exported.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", exported.out);
    assert!(lines[1].ends_with(",EUR,11900,10000,1900"), "{}", lines[1]);
    assert!(
        lines[2].ends_with(",EUR,-11900,-10000,-1900"),
        "{}",
        lines[2]
    );
    let line = "invoice export --kind credit-note --json";
    assert_eq!(run(&stand_in, line).ends_with(0).out.lines().count(), 2);
}

#[test]
fn a_show_is_cancelled_and_its_refunds_are_waited_for() {
    let stand_in = StandIn::start();
    let file = json!({
        "showId": "eras-mumbai-1", "title": "Eras", "startsAt": "2099-12-01T14:00:00Z",
        "city": {"cityId": "mumbai", "name": "Mumbai", "country": "IN", "timeZone": "Asia/Kolkata"},
        "venue": {"name": "Arena", "address": "1 Sea Road"}, "currency": "INR",
        "categories": [{"category": "A", "name": "A", "priceMinor": 50_000}],
        "sections": [{"name": "S", "category": "A", "rows": ["A"], "seatsPerRow": 10}]
    });
    run_with(&stand_in, "show import -", file.to_string().as_bytes()).ends_with(0);
    run(&stand_in, "show cancel eras-mumbai-1").ends_with(2);
    let done = run(&stand_in, "show cancel eras-mumbai-1 --yes").ends_with(0);
    assert!(
        done.err.contains("4 bookings cancelled, 3 left"),
        "{}",
        done.err
    );
    assert!(
        done.out.contains("7 bookings cancelled, 0 left"),
        "{}",
        done.out
    );
    let line = "show cancel eras-mumbai-1 --yes --no-wait --json";
    let begun = run(&stand_in, line).ends_with(0).json();
    assert_eq!(
        (&begun["done"], &begun["bookingsLeft"]),
        (&json!(false), &json!(3))
    );
    let line = "show cancel eras-mumbai-1 --yes --reason fails";
    let failed = run(&stand_in, line).ends_with(1);
    assert!(failed.out.contains("ropeline reconcile"), "{}", failed.out);
    run(&stand_in, "show cancel nothing --yes").ends_with(5);
}

#[test]
fn coupons_are_made_listed_shown_and_disabled() {
    let stand_in = StandIn::start();
    run(&stand_in, "coupon create EARLY").ends_with(2);
    run(
        &stand_in,
        "coupon create EARLY --percent 20 --amount 5 --currency INR",
    )
    .ends_with(2);
    run(&stand_in, "coupon create EARLY --amount 500").ends_with(2);
    run(&stand_in, "coupon create EARLY --percent lots").ends_with(2);
    let line = "coupon create early --percent 12.5 --uses 10 --first-booking --category PREMIUM \
        --until 2026-12-01T00:00:00Z";
    let made = run(&stand_in, line).ends_with(0);
    for shown in [
        "EARLY",
        "12.5 %",
        "3 booked, 2 reserved of 10",
        "PREMIUM",
        "2026-12-01",
    ] {
        assert!(made.out.contains(shown), "{shown:?}: {}", made.out);
    }
    let line = "coupon create --amount 50000 --currency INR --minimum 200000 --json";
    let drawn = run(&stand_in, line).ends_with(0).json();
    assert_eq!(drawn["terms"]["minimumMinor"], 200_000, "{drawn}");
    let listed = run(&stand_in, "coupon list").ends_with(0);
    assert!(listed.out.contains("INR 500.00"), "{}", listed.out);
    assert!(listed.out.contains("2 coupons"), "{}", listed.out);
    let disabled = run(&stand_in, "coupon disable early").ends_with(0);
    assert!(disabled.out.contains("2026-11-23"), "{}", disabled.out);
    run(&stand_in, "coupon show nothing").ends_with(5);
}
