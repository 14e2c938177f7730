//! Numbered invoices and credit notes.

use std::time::Duration;

use booking_core::{Booking, InvoiceConfig};
use contract::invoice::Seller;
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::{Connection, Executor};

use crate::cancel::{admin, bought};
use crate::check::violated;
use crate::fake_provider::FakeProvider;
use crate::fan::{Answer, Fan};
use crate::guests::mails;
use crate::other_readers::PdfReader;
use crate::shop::browser::Browser;
use crate::test_shop::{Process, TestShop, show_file};
use crate::transfers::with_link;

fn seller() -> InvoiceConfig {
    InvoiceConfig {
        seller: Seller {
            name: "Ropeline Concerts GmbH".to_owned(),
            address: vec!["Spreeufer 1".to_owned(), "10115 Berlin".to_owned()],
            tax_number: "DE 123456789".to_owned(),
        },
        prefix: "RL-".to_owned(),
    }
}

/// A shop with taxes, and a process that makes invoices from now on.
async fn shop() -> (TestShop, Process) {
    let mut file = show_file();
    file["fees"] = json!([{"name": "Order", "per": "booking", "amountMinor": 5_000}]);
    file["taxes"] = json!([
        {"name": "VAT", "percent": 19, "included": true},
        {"name": "City tax", "percent": 5, "included": false, "on": "tickets"}
    ]);
    let shop = TestShop::with(file).await;
    let process = shop.another_process_that_invoices(seller()).await;
    shop.settle().await;
    make(&process.booking).await;
    (shop, process)
}

async fn make(booking: &Booking) {
    while booking.invoices_once().await.unwrap() > 0 {}
}

async fn refund(shop: &TestShop, booking: &str, tickets: Option<&Value>) -> Answer {
    let id = booking.rsplit('/').next().unwrap();
    let body = tickets.map_or_else(|| json!({}), |tickets| json!({"ticketIds": [tickets]}));
    let path = format!("/admin/v1/bookings/{id}/refund");
    let done = admin(shop).post(&path, &body).await;
    assert_eq!(done.status, 202, "{}", done.text);
    shop.settle().await;
    done
}

fn numbers(list: &Value) -> Vec<&str> {
    let invoices = list["invoices"].as_array().unwrap().iter();
    invoices.map(|it| it["number"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_purchase_gets_an_invoice_and_each_refund_a_credit_note() {
    let (shop, process) = shop().await;
    let (fan, booking, _) = bought(&shop, &["A1", "A2"]).await;
    shop.settle().await;
    make(&process.booking).await;
    let paid = fan.get(&booking).await.json;
    let path = format!("{booking}/invoices");
    let listed = fan.get(&path).await;
    assert_eq!(numbers(&listed.json), ["RL-2026-000001"], "{}", listed.text);
    let invoice = &listed.json["invoices"][0];
    assert_eq!(invoice["amountMinor"], paid["amountMinor"]);
    assert_eq!(invoice["lines"], paid["lines"]);
    assert_eq!(invoice["seller"]["taxNumber"], "DE 123456789");
    let taxes = paid["lines"].as_array().unwrap().iter();
    let taxes = taxes.filter(|line| line["kind"] == "tax");
    let taxes: i64 = taxes
        .map(|line| line["amountMinor"].as_i64().unwrap())
        .sum();
    assert!(taxes > 0);
    assert_eq!(invoice["taxMinor"], taxes);
    let pdf = fan.get(&format!("{path}/RL-2026-000001")).await;
    assert_eq!(pdf.headers["content-type"], "application/pdf");
    let paper = PdfReader::open(&pdf.bytes);
    assert!(paper.is_tagged());
    let pages = paper.pages();
    assert_eq!(pages.len(), 1);
    for text in [
        "Invoice RL-2026-000001",
        "Ropeline Concerts GmbH",
        "10115 Berlin",
        "Tax number DE 123456789",
        "fan@example.com",
        "The Eras Tour",
        "2 × Premium",
        "City tax, 5 %",
        "Contains VAT, 19 %",
        "Without taxes",
    ] {
        assert!(pages[0].contains(text), "{text}: {}", pages[0]);
    }
    assert_eq!(fan.get(&format!("{path}/RL-2026-000002")).await.status, 404);
    // Nobody else reads it.
    assert_eq!(shop.fan().get(&path).await.status, 404);
    let stranger = shop.fan().get(&format!("{path}/RL-2026-000001")).await;
    assert_eq!(stranger.status, 404);

    let one = paid["tickets"][0]["ticketId"].clone();
    let first = refund(&shop, &booking, Some(&one)).await;
    refund(&shop, &booking, None).await;
    make(&process.booking).await;
    let listed = fan.get(&path).await.json;
    assert_eq!(
        numbers(&listed),
        ["RL-2026-000001", "RL-2026-C000001", "RL-2026-C000002"]
    );
    let sums = |name: &str| -> i64 {
        let credits = listed["invoices"].as_array().unwrap().iter().skip(1);
        credits.map(|it| it[name].as_i64().unwrap()).sum()
    };
    assert_eq!(listed["invoices"][1]["ofNumber"], "RL-2026-000001");
    assert_eq!(
        listed["invoices"][1]["amountMinor"],
        first.json["amountMinor"]
    );
    assert_eq!(sums("amountMinor"), paid["amountMinor"]);
    assert_eq!(sums("taxMinor"), taxes);
    // Doing it all again makes nothing more.
    make(&process.booking).await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn the_page_and_the_mail_lead_to_the_invoice() {
    let (shop, process) = shop().await;
    let (_, booking, _) = bought(&shop, &["A1"]).await;
    shop.process.booking.sequence_once().await.unwrap();
    process.booking.collect_notices_once().await.unwrap();
    process.booking.mail_once().await.unwrap();
    make(&process.booking).await;
    let texts = mails(&shop, "booking-confirmed").await;
    assert!(
        texts[0].contains("The invoice is on the same page."),
        "{}",
        texts[0]
    );
    let (_, link) = with_link(&shop, "booking-confirmed").await;
    let mut phone = Browser::new(&shop.process.router);
    let at = format!("{link}/invoices/RL-2026-000001");
    phone
        .open(&link)
        .await
        .shows(200, &[&at, "Invoice RL-2026-000001"]);
    let pdf = shop.fan().get(&at).await;
    assert_eq!(pdf.headers["content-type"], "application/pdf");
    let unknown = phone.open(&format!("{link}/invoices/RL-2026-000002")).await;
    assert_eq!(unknown.status, 404);
    // Whoever gets a ticket did not pay for it.
    let id = booking.rsplit('/').next().unwrap();
    let to = json!({"email": "friend@example.org"});
    let passed = admin(&shop)
        .post(&format!("/admin/v1/bookings/{id}/transfer"), &to)
        .await;
    assert_eq!(passed.status, 200, "{}", passed.text);
    let (holder, link) = with_link(&shop, "tickets-received").await;
    assert_eq!(holder.get(&format!("{booking}/invoices")).await.status, 404);
    let page = phone.open(&link).await;
    assert!(!page.html.contains("invoices/"), "{}", page.html);
    shop.assert_clean().await;
}

#[tokio::test]
async fn operators_list_them_page_by_page() {
    let (shop, process) = shop().await;
    for seat in ["A1", "A2", "A3"] {
        let (_, booking, _) = bought(&shop, &[seat]).await;
        if seat == "A2" {
            refund(&shop, &booking, None).await;
        }
        shop.settle().await;
    }
    make(&process.booking).await;
    let desk = admin(&shop);
    let all = desk.get("/admin/v1/invoices").await.json;
    assert_eq!(
        numbers(&all),
        [
            "RL-2026-000001",
            "RL-2026-000002",
            "RL-2026-C000001",
            "RL-2026-000003"
        ]
    );
    let mut seen = Vec::new();
    let mut after = json!(0);
    loop {
        let page = desk
            .get(&format!("/admin/v1/invoices?limit=3&after={after}"))
            .await
            .json;
        seen.extend(numbers(&page).into_iter().map(str::to_owned));
        after = page["next"].clone();
        if after.is_null() {
            break;
        }
    }
    assert_eq!(seen, numbers(&all));
    let of = async |query: &str| desk.get(&format!("/admin/v1/invoices?{query}")).await.json;
    assert_eq!(numbers(&of("kind=CREDIT_NOTE").await).len(), 1);
    assert_eq!(numbers(&of("year=2025").await).len(), 0);
    let id = all["invoices"][0]["bookingId"].as_str().unwrap();
    assert_eq!(numbers(&of(&format!("bookingId={id}")).await).len(), 1);
    for query in ["limit=0", "limit=501", "after=-1", "year=1", "kind=BILL"] {
        let refused = desk.get(&format!("/admin/v1/invoices?{query}")).await;
        assert_eq!(refused.status, 422, "{query}");
    }
    let one = desk.get("/admin/v1/invoices/RL-2026-C000001").await;
    assert_eq!(one.json, all["invoices"][2]);
    let pdf = desk.get("/admin/v1/invoices/RL-2026-C000001/pdf").await;
    assert!(pdf.bytes.starts_with(b"%PDF-"));
    assert_eq!(desk.get("/admin/v1/invoices/nothing").await.status, 404);
    shop.assert_clean().await;
}

#[tokio::test]
async fn what_was_sold_before_and_what_was_given_away_has_no_invoice() {
    let shop = TestShop::new().await;
    let (_, before, _) = bought(&shop, &["A1"]).await;
    shop.settle().await;
    let process = shop.another_process_that_invoices(seller()).await;
    make(&process.booking).await;
    refund(&shop, &before, None).await;
    let gift = json!({"seatIds": ["A2"], "email": "guest@example.com"});
    let given = admin(&shop)
        .post("/admin/v1/shows/eras-mumbai-1/comps", &gift)
        .await;
    assert_eq!(given.status, 201);
    shop.settle().await;
    make(&process.booking).await;
    let all = admin(&shop).get("/admin/v1/invoices").await.json;
    assert_eq!(numbers(&all), Vec::<&str>::new());
    bought(&shop, &["A3"]).await;
    shop.settle().await;
    // A process without a seller makes none.
    assert_eq!(shop.process.booking.invoices_once().await.unwrap(), 0);
    make(&process.booking).await;
    let all = admin(&shop).get("/admin/v1/invoices").await.json;
    assert_eq!(numbers(&all), ["RL-2026-000001"]);
    shop.assert_clean().await;
}

/// Ends connections of the shop's processes while they make invoices.
async fn kill_some(shop: &TestShop, rounds: u32) {
    let mut database = shop.database.connect().await;
    for _ in 0..rounds {
        let kill = "select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()
                and (query like '%invoice%' or state = 'idle in transaction')";
        database.execute(kill).await.unwrap();
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    database.close().await.unwrap();
}

#[tokio::test]
async fn numbers_have_no_gap_and_no_double_whoever_dies() {
    let (shop, process) = shop().await;
    let other = shop.another_process_that_invoices(seller()).await;
    let seats: Vec<String> = ["A", "B"]
        .iter()
        .flat_map(|row| (1..10).map(move |seat| format!("{row}{seat}")))
        .collect();
    let makers = [&process.booking, &other.booking, &process.booking];
    let mut refunded = 0;
    for (nth, some) in seats.chunks(3).enumerate() {
        for seat in some {
            let (_, booking, _) = bought(&shop, &[seat]).await;
            if nth % 2 == 0 {
                refund(&shop, &booking, None).await;
                refunded += 1;
            }
        }
        shop.settle().await;
        // Whoever is killed gave no number; what fails here is done later.
        let work = join_all(makers.map(|booking| async move {
            for _ in 0..10 {
                let _outcome = booking.invoices_once().await;
            }
        }));
        tokio::join!(work, kill_some(&shop, 20));
    }
    // A defect in the middle of a page leaves no number behind either.
    shop.meddle(
        "create function refuse() returns trigger language plpgsql as
            $$ begin raise exception 'no'; end $$;
         create trigger refuse before insert on invoices for each row execute function refuse()",
    )
    .await;
    bought(&shop, &["A1"]).await;
    bought(&shop, &["A10"]).await;
    shop.settle().await;
    assert!(process.booking.invoices_once().await.is_err());
    shop.meddle("drop trigger refuse on invoices").await;
    while !matches!(process.booking.invoices_once().await, Ok(0)) {}
    let desk = Fan::new(other.booking.admin().0);
    let of_kind = async |kind: &str| {
        let path = format!("/admin/v1/invoices?kind={kind}");
        let list = desk.get(&path).await.json;
        let mut found: Vec<String> = numbers(&list).into_iter().map(str::to_owned).collect();
        found.sort_unstable();
        found
    };
    let expected = |mark: &str, count: usize| -> Vec<String> {
        (1..=count)
            .map(|no| format!("RL-2026-{mark}{no:06}"))
            .collect()
    };
    assert_eq!(of_kind("INVOICE").await, expected("", seats.len() + 2));
    assert_eq!(of_kind("CREDIT_NOTE").await, expected("C", refunded));
    shop.assert_clean().await;
}

/// What the check finds broken about invoices.
async fn broken(shop: &TestShop) -> Vec<String> {
    let report = shop.process.booking.check().await.unwrap();
    let broken = report.invariants.iter().filter(|it| it.violations > 0);
    let names = broken.map(|it| it.name[..3].to_owned());
    names
        .filter(|it| ["I62", "I63"].contains(&it.as_str()))
        .collect()
}

/// Two tickets of three go back, and their money returns from the bank. With a process, they have their
/// credit note before. Gives the fan, the booking, the intent and what went back.
async fn two_returned(shop: &TestShop, process: Option<&Process>) -> (Fan, String, String, i64) {
    let (fan, booking, intent) = bought(shop, &["A1", "A2", "A3"]).await;
    let tickets = fan.get(&booking).await.json["tickets"].clone();
    let two = [&tickets[0]["ticketId"], &tickets[1]["ticketId"]];
    let path = booking.replace("/api/v1/bookings/", "/admin/v1/bookings/");
    let path = format!("{path}/refund");
    let done = admin(shop).post(&path, &json!({"ticketIds": two})).await;
    assert_eq!(done.status, 202, "{}", done.text);
    shop.settle().await;
    if let Some(process) = process {
        make(&process.booking).await;
    }
    let credited = shop.provider.refunded(&intent);
    assert!(credited > 0);
    shop.provider.refuse_refunds(100);
    let failed = shop.provider.refund_becomes(&intent, "failed");
    let body = shop
        .provider
        .refund_event("evt_back", "refund.failed", &failed);
    assert_eq!(shop.deliver(body).await, 200);
    shop.settle().await;
    assert_eq!(shop.provider.refunded(&intent), 0);
    (fan, booking, intent, credited)
}

async fn credits(shop: &TestShop) -> Vec<i64> {
    let path = "/admin/v1/invoices?kind=CREDIT_NOTE";
    let list = admin(shop).get(path).await.json;
    let credits = list["invoices"].as_array().unwrap().iter();
    credits
        .map(|it| it["amountMinor"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn a_refund_that_is_lowered_after_its_credit_note_is_not_credited_twice() {
    let (shop, process) = shop().await;
    let (fan, booking, intent, credited) = two_returned(&shop, Some(&process)).await;
    // A person gives three quarters of it back by hand, so that a quarter is left to us.
    shop.provider.refund_by_hand(&intent, credited / 4 * 3);
    let body = FakeProvider::returned_event("evt_hand", "charge.refunded", &intent);
    assert_eq!(shop.deliver(body).await, 200);
    shop.settle().await;
    make(&process.booking).await;
    assert_eq!(credits(&shop).await, [credited]);
    assert_eq!(broken(&shop).await, Vec::<String>::new());
    // The last quarter, and then the third ticket.
    shop.provider.refuse_refunds(0);
    for _ in 0..3 {
        shop.clock.advance(Duration::from_hours(1));
        shop.settle().await;
    }
    assert_eq!(shop.provider.refunded(&intent), credited);
    refund(&shop, &booking, None).await;
    make(&process.booking).await;
    let whole = fan.get(&booking).await.json["amountMinor"]
        .as_i64()
        .unwrap();
    assert_eq!(shop.provider.refunded(&intent), whole);
    assert_eq!(credits(&shop).await, [credited, whole - credited]);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_dispute_that_takes_a_credited_refund_over_leaves_the_credit_note() {
    let (shop, process) = shop().await;
    let (fan, booking, intent, credited) = two_returned(&shop, Some(&process)).await;
    let whole = fan.get(&booking).await.json["amountMinor"]
        .as_i64()
        .unwrap();
    shop.provider.dispute(&intent, whole, "needs_response");
    let event = |id: &str, kind: &str| FakeProvider::returned_event(id, kind, &intent);
    let body = event("evt_dispute", "charge.dispute.funds_withdrawn");
    assert_eq!(shop.deliver(body).await, 200);
    shop.settle().await;
    make(&process.booking).await;
    assert_eq!(credits(&shop).await, [credited]);
    shop.assert_clean().await;
    // A credit note more than went back is noticed all the same.
    shop.meddle(
        "update invoices set amount_minor = amount_minor + 1 where kind = 'CREDIT_NOTE';
         update invoices set lines = jsonb_set(lines, '{0,amountMinor}',
            to_jsonb((lines -> 0 ->> 'amountMinor')::bigint + 1)) where kind = 'CREDIT_NOTE'",
    )
    .await;
    assert_eq!(broken(&shop).await, ["I63"]);
    shop.meddle(
        "update invoices set amount_minor = amount_minor - 1 where kind = 'CREDIT_NOTE';
         update invoices set lines = jsonb_set(lines, '{0,amountMinor}',
            to_jsonb((lines -> 0 ->> 'amountMinor')::bigint - 1)) where kind = 'CREDIT_NOTE'",
    )
    .await;
    // The bank decides for the seller: the refund is owed again, and was credited before.
    shop.provider.dispute(&intent, whole, "won");
    assert_eq!(
        shop.deliver(event("evt_won", "charge.dispute.closed"))
            .await,
        200
    );
    shop.provider.refuse_refunds(0);
    for _ in 0..3 {
        shop.clock.advance(Duration::from_hours(1));
        shop.settle().await;
    }
    make(&process.booking).await;
    let rows = shop
        .texts("select status || ' ' || amount_minor || ' ' || refusal_count from refunds")
        .await;
    assert_eq!(shop.provider.refunded(&intent), credited, "{rows:?}");
    assert_eq!(credits(&shop).await, [credited]);
    assert_eq!(broken(&shop).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_refund_that_a_dispute_takes_over_before_its_credit_note_is_credited_as_a_whole() {
    let (shop, process) = shop().await;
    let (fan, booking, intent, refunded) = two_returned(&shop, None).await;
    let whole = fan.get(&booking).await.json["amountMinor"]
        .as_i64()
        .unwrap();
    let tell = async |id: &str, kind: &str, status| {
        shop.provider.dispute(&intent, whole, status);
        let body = FakeProvider::returned_event(id, kind, &intent);
        assert_eq!(shop.deliver(body).await, 200);
        shop.settle().await;
        make(&process.booking).await;
        assert_eq!(credits(&shop).await, [refunded]);
        shop.assert_clean().await;
    };
    let withdrawn = "charge.dispute.funds_withdrawn";
    tell("evt_dispute", withdrawn, "needs_response").await;
    // The bank decides for the seller. What is owed again is not told of a second time.
    shop.provider.refuse_refunds(0);
    tell("evt_won", "charge.dispute.closed", "won").await;
    for _ in 0..3 {
        shop.clock.advance(Duration::from_hours(1));
        shop.settle().await;
    }
    make(&process.booking).await;
    assert_eq!(shop.provider.refunded(&intent), refunded);
    assert_eq!(credits(&shop).await, [refunded]);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_booking_without_an_invoice_is_noticed_when_its_event_is_archived_too() {
    let (shop, process) = shop().await;
    for seat in ["A1", "A2"] {
        bought(&shop, &[seat]).await;
    }
    shop.meddle(
        "insert into outbox (topic, dedupe, payload, created_at)
         select 'show.changed', 'show.changed:1.' || n,
            jsonb_build_object('showNo', 1, 'revision', n), now()
         from generate_series(1000, 1250) n",
    )
    .await;
    shop.settle().await;
    make(&process.booking).await;
    shop.clock.advance(Duration::from_hours(24 * 91));
    while shop.process.booking.archive_once().await.unwrap() > 0 {}
    let archived = "select count(*) from event_archive_keys k join bookings b
        on k.digest = md5('booking.confirmed:' || b.booking_id)::uuid";
    assert_eq!(shop.count(archived).await, 2);
    assert_eq!(broken(&shop).await, Vec::<String>::new());
    shop.meddle("delete from invoices where no = 2; update invoice_series set last_no = 1")
        .await;
    assert_eq!(broken(&shop).await, ["I62"]);
}

#[tokio::test]
async fn every_breach_of_invoices_is_noticed() {
    let (shop, process) = shop().await;
    for seat in ["A1", "A2"] {
        bought(&shop, &[seat]).await;
    }
    let (_, booking, _) = bought(&shop, &["A3"]).await;
    refund(&shop, &booking, None).await;
    make(&process.booking).await;
    shop.assert_clean().await;
    for (breach, names) in [
        (
            "delete from invoices where kind = 'INVOICE' and no = 2",
            "I62",
        ),
        (
            "delete from invoices where kind = 'INVOICE' and no = 1",
            "I62",
        ),
        ("update invoice_series set last_no = last_no + 1", "I62"),
        (
            "delete from invoice_series where kind = 'CREDIT_NOTE'",
            "I62",
        ),
        (
            "delete from invoices where kind = 'INVOICE' and no = 3;
             update invoice_series set last_no = 2 where kind = 'INVOICE'",
            "I62",
        ),
        (
            "update invoices set amount_minor = amount_minor + 1 where kind = 'INVOICE'",
            "I63",
        ),
        (
            "update invoices set amount_minor = amount_minor - 1 where kind = 'CREDIT_NOTE'",
            "I63",
        ),
        ("update invoices set currency = 'EUR' where no = 2", "I63"),
        ("update invoices set lines = '[]' where no = 1", "I63"),
        (
            "delete from invoices where kind = 'CREDIT_NOTE';
             delete from invoice_series where kind = 'CREDIT_NOTE'",
            "I63",
        ),
        (
            "update ledger set amount_minor = amount_minor + 1 where account = 'gateway'
                and amount_minor > 0",
            "I13 I14 I63",
        ),
        (
            "alter table invoices drop constraint invoices_in_series;
             update invoices set no = 1 where kind = 'INVOICE' and no = 2",
            "I62",
        ),
    ] {
        assert_eq!(violated(&shop, breach).await, names, "{breach}");
    }
    shop.assert_clean().await;
}
