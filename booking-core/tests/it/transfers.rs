//! Passing tickets on to another person, and printing them anew.

use std::time::Duration;

use contract::{Clock, Timestamp};
use serde_json::{Value, json};

use crate::cancel::{admin, bought, with_policy};
use crate::checkin::scan;
use crate::fan::{Answer, Fan};
use crate::guests::{ask_code, mails, newest_code};
use crate::shop::browser::Browser;
use crate::test_shop::{TestShop, show_file};

const FRIEND: &str = "friend@example.org";

/// Asks for a code that differs from `known`, and reads it in the mail.
pub(crate) async fn code_of(shop: &TestShop, fan: &Fan, booking: &str, known: &[&str]) -> String {
    shop.clock.advance(Duration::from_secs(1));
    let asked = ask_code(fan, booking).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    newest_code(shop, known).await
}

/// The QR text of a ticket, if the reader sees it.
pub(crate) fn qr(booking: &Value, at: usize) -> Option<String> {
    booking["tickets"][at]["qr"].as_str().map(str::to_owned)
}

pub(crate) fn id(booking: &Value, at: usize) -> String {
    booking["tickets"][at]["ticketId"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// A reader with the link in the newest mail of this kind.
pub(crate) async fn with_link(shop: &TestShop, kind: &str) -> (Fan, String) {
    let texts = mails(shop, kind).await;
    let at = texts[0].find("http://tickets.test/b/").unwrap();
    let url = texts[0][at..].split_whitespace().next().unwrap();
    let path = url.trim_start_matches("http://tickets.test").to_owned();
    let token = path.trim_start_matches("/b/").to_owned();
    (shop.fan().with_header("booking-link", &token), path)
}

/// Whether a mail to a new holder has the tickets attached.
fn has_pdf(shop: &TestShop) -> bool {
    let mails = std::fs::read_dir(shop.files.path()).unwrap();
    let texts = mails.filter_map(|mail| std::fs::read_to_string(mail.unwrap().path()).ok());
    let mut received = texts.filter(|text| text.contains("tickets-received"));
    received.any(|text| text.contains("application/pdf"))
}

pub(crate) fn to_doors(shop: &TestShop) {
    let doors = Timestamp::parse("2026-12-24T13:00:00Z").unwrap();
    shop.clock.advance(doors.since(shop.clock.now()));
}

pub(crate) async fn scanned(shop: &TestShop, ticket: &str, no: u32) -> Value {
    let at = shop.clock.now();
    let answer = admin(shop)
        .post("/checkin/v1/scans", &scan(ticket, no, "in", at))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["result"].clone()
}

#[track_caller]
fn assert_refused(answer: &Answer, rule: &str) {
    assert_eq!(
        (answer.status, answer.code()),
        (409, "not-transferable"),
        "{}",
        answer.text
    );
    assert_eq!(answer.json["rule"], rule, "{}", answer.text);
}

/// How the buyer is told is the buyer's: codes may go to the telephone.
async fn assert_contact_is_of_the_buyer(
    shop: &TestShop,
    (fan, friend): (&Fan, &Fan),
    booking: &str,
    used: &str,
) {
    let contact = format!("{booking}/contact");
    assert_eq!(fan.get(&contact).await.status, 200);
    assert_eq!(friend.get(&contact).await.status, 404);
    let code = code_of(shop, friend, booking, &[used]).await;
    let wish = json!({"preferred": "EMAIL", "code": code});
    assert_eq!(friend.put(&contact, &wish).await.status, 404);
    let browsers = format!("{booking}/push-subscriptions");
    let browser = json!({"endpoint": "https://push.test/1", "keys": {"p256dh": "a", "auth": "b"}});
    assert_eq!(friend.post(&browsers, &browser).await.status, 404);
    assert_eq!(friend.delete(&browsers).await.status, 404);
}

#[tokio::test]
async fn a_ticket_that_is_passed_on_admits_its_new_holder_and_nobody_else() {
    let shop = TestShop::with(with_policy(json!({"freeUntilHours": 0}))).await;
    let (fan, booking, intent) = bought(&shop, &["A1", "A2"]).await;
    let before = fan.get(&booking).await.json;
    let offer = fan.get(&format!("{booking}/transfer-offer")).await.json;
    assert_eq!(
        (&offer["transferable"], &offer["reissuable"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(offer["until"], "2026-12-24T14:00:00.000Z");
    let path = format!("{booking}/transfer");
    let mut wish = json!({"ticketIds": [id(&before, 1)], "email": FRIEND, "name": " Ada  L. "});
    assert_eq!(fan.post(&path, &wish).await.code(), "code-required");
    wish["code"] = json!("000000");
    assert_eq!(fan.post(&path, &wish).await.code(), "code-not-valid");
    let code = code_of(&shop, &fan, &booking, &["000000"]).await;
    wish["code"] = json!(code);
    let keyed = fan.clone().with_header("idempotency-key", "k1");
    let done = keyed.post(&path, &wish).await;
    assert_eq!(
        (done.status, &done.json["sentTo"]),
        (200, &json!("f…@example.org")),
        "{}",
        done.text
    );
    let again = keyed.post(&path, &wish).await;
    assert_eq!(
        (again.status, &again.json),
        (200, &done.json),
        "{}",
        again.text
    );
    assert_eq!(fan.post(&path, &wish).await.json["rule"], "passed-on");
    // The buyer sees where it went, and no code of it.
    let after = fan.get(&booking).await.json;
    assert_eq!(qr(&after, 0), qr(&before, 0));
    assert_eq!(
        (qr(&after, 1), &after["tickets"][1]["passedOnTo"]),
        (None, &json!("f…@example.org"))
    );
    assert_eq!(after["tickets"][1].get("holderName"), None);
    let svg = format!("{booking}/tickets/{}/qr.svg", id(&before, 1));
    assert_eq!(fan.get(&svg).await.status, 404);
    // The new holder has a link of their own, with the PDF in the mail.
    let (friend, page) = with_link(&shop, "tickets-received").await;
    let theirs = friend.get(&booking).await.json;
    assert_eq!(theirs["tickets"].as_array().unwrap().len(), 1, "{theirs}");
    assert_eq!(
        (&theirs["passedOn"], &theirs["amountMinor"]),
        (&json!(true), &json!(0))
    );
    assert_eq!(theirs["tickets"][0]["holderName"], "Ada L.");
    assert_eq!(friend.get(&svg).await.status, 200);
    let mut phone = Browser::new(&shop.process.router);
    let shown = ["Passed on to you", "Ada L.", "Whoever paid gets back"];
    let html = phone.open(&page).await.shows(200, &shown).html.clone();
    assert!(!html.contains("Paid<"), "{html}");
    assert!(has_pdf(&shop));
    assert_contact_is_of_the_buyer(&shop, (&fan, &friend), &booking, &code).await;
    let told = mails(&shop, "tickets-passed-on").await;
    assert!(
        told[0].contains("f…@example.org") && !told[0].contains(FRIEND),
        "{}",
        told[0]
    );
    // Nobody returns what another person has.
    let all = json!({"ticketIds": [id(&before, 1)]});
    let refused = fan.post(&format!("{booking}/cancel"), &all).await;
    assert_eq!(refused.json["rule"], "passed-on", "{}", refused.text);
    to_doors(&shop);
    let north = crate::checkin::scanner(&shop, "North").await;
    let manifest = north
        .get(&format!("{}/manifest", crate::checkin::SHOW))
        .await
        .json;
    let reissued = json!([{"ticketId": id(&before, 1), "generation": 2}]);
    assert_eq!(manifest["reissued"], reissued, "{manifest}");
    assert_eq!(
        scanned(&shop, &qr(&before, 1).unwrap(), 1).await,
        "REISSUED"
    );
    assert_eq!(
        scanned(&shop, &qr(&theirs, 0).unwrap(), 2).await,
        "ACCEPTED"
    );
    assert_eq!(
        scanned(&shop, &qr(&before, 0).unwrap(), 3).await,
        "ACCEPTED"
    );
    assert_eq!(shop.provider.refunded(&intent), 0);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_holder_returns_what_they_have_and_the_buyer_gets_the_money() {
    let shop = TestShop::with(with_policy(json!({"freeUntilHours": 0}))).await;
    let (fan, booking, intent) = bought(&shop, &["A1", "A2"]).await;
    let code = code_of(&shop, &fan, &booking, &[]).await;
    let all = json!({"email": FRIEND, "code": code});
    assert_eq!(
        fan.post(&format!("{booking}/transfer"), &all).await.status,
        200
    );
    let (friend, _) = with_link(&shop, "tickets-received").await;
    let offer = friend.get(&format!("{booking}/refund-offer")).await.json;
    assert_eq!(
        (&offer["goesToBuyer"], &offer["refundable"]),
        (&json!(true), &json!(true))
    );
    let nothing = fan.post(&format!("{booking}/cancel"), &json!({})).await;
    assert_eq!(nothing.json["rule"], "passed-on", "{}", nothing.text);
    // The friend passes one on again, with a code that goes to the friend.
    let theirs = friend.get(&booking).await.json;
    let second = code_of(&shop, &friend, &booking, &[&code]).await;
    let wish = json!({"ticketIds": [id(&theirs, 0)], "email": "third@example.net", "code": second});
    assert_eq!(
        fan.post(&format!("{booking}/transfer"), &wish).await.status,
        409
    );
    let onward = friend.post(&format!("{booking}/transfer"), &wish).await;
    assert_eq!(onward.status, 200, "{}", onward.text);
    assert_eq!(
        friend.get(&booking).await.json["tickets"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    // The friend knows nothing of the other ticket any more.
    let foreign = json!({"ticketIds": [id(&theirs, 0)], "email": "x@example.net", "code": "1"});
    assert_eq!(
        friend
            .post(&format!("{booking}/transfer"), &foreign)
            .await
            .status,
        422
    );
    let third = code_of(&shop, &friend, &booking, &[&code, &second]).await;
    let done = friend
        .post(&format!("{booking}/cancel"), &json!({"code": third}))
        .await;
    assert_eq!(
        (done.status, &done.json["amountMinor"]),
        (202, &json!(250_000)),
        "{}",
        done.text
    );
    shop.settle().await;
    assert_eq!(shop.provider.refunded(&intent), 250_000);
    assert_eq!(mails(&shop, "ticket-withdrawn").await.len(), 1);
    let back = mails(&shop, "refund-made").await;
    assert_eq!(back.len(), 1);
    // With the show everybody learns of it.
    let gone = admin(&shop)
        .post("/admin/v1/shows/eras-mumbai-1/cancel", &json!({}))
        .await;
    assert_eq!(gone.status, 202, "{}", gone.text);
    while shop.process.booking.show_cancel_once().await.unwrap() > 0 {}
    assert_eq!(mails(&shop, "ticket-withdrawn").await.len(), 2);
    assert_eq!(shop.provider.refunded(&intent), 500_000);
    shop.assert_clean().await;
}

#[tokio::test]
async fn the_rules_of_the_show_and_of_the_door_refuse() {
    let mut file = show_file();
    file["transfer"] = json!({"allowed": false});
    let shop = TestShop::with(file).await;
    let (fan, booking, _) = bought(&shop, &["A1", "A2"]).await;
    let wish = json!({"email": FRIEND});
    assert_refused(
        &fan.post(&format!("{booking}/transfer"), &wish).await,
        "not-allowed",
    );
    let offer = fan.get(&format!("{booking}/transfer-offer")).await.json;
    assert_eq!(
        (&offer["transferable"], &offer["rule"]),
        (&json!(false), &json!("not-allowed"))
    );
    assert_eq!(offer["reissuable"], true);
    let mut file = show_file();
    file["transfer"] = json!({"untilHours": 2});
    assert_eq!(shop.import(file.clone()).await.0, 200);
    to_doors(&shop);
    assert_refused(
        &fan.post(&format!("{booking}/transfer"), &wish).await,
        "too-late",
    );
    let tickets = fan.get(&booking).await.json;
    assert_eq!(
        scanned(&shop, &qr(&tickets, 0).unwrap(), 1).await,
        "ACCEPTED"
    );
    let desk = admin(&shop);
    let admins = booking.replace("/api/v1/", "/admin/v1/");
    let one = |at| json!({"email": FRIEND, "ticketIds": [id(&tickets, at)]});
    assert_refused(
        &desk.post(&format!("{admins}/transfer"), &one(0)).await,
        "checked-in",
    );
    let anew = json!({"ticketIds": [id(&tickets, 0)]});
    assert_refused(
        &desk.post(&format!("{admins}/reissue"), &anew).await,
        "checked-in",
    );
    let void = json!({"ticketIds": [id(&tickets, 1)]});
    assert_eq!(
        desk.post(&format!("{admins}/refund"), &void).await.status,
        202
    );
    assert_refused(
        &desk.post(&format!("{admins}/transfer"), &one(1)).await,
        "cancelled",
    );
    shop.clock.advance(Duration::from_hours(20));
    assert_refused(
        &desk.post(&format!("{admins}/transfer"), &one(0)).await,
        "show-over",
    );
    for wrong in [
        json!({"email": "nobody"}),
        json!({"email": FRIEND, "ticketIds": []}),
    ] {
        assert_eq!(
            fan.post(&format!("{booking}/transfer"), &wrong)
                .await
                .status,
            422
        );
    }
    let stranger = shop.fan();
    assert_eq!(
        stranger
            .post(&format!("{booking}/transfer"), &wish)
            .await
            .status,
        404
    );
    file["transfer"] = json!({"untilHours": 9000});
    assert_eq!(shop.import(file).await.0, 422);
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn new_codes_end_the_old_ones_and_the_links() {
    let shop = TestShop::new().await;
    let (fan, booking, _) = bought(&shop, &["A1"]).await;
    let before = fan.get(&booking).await.json;
    shop.settle().await;
    let (thief, _) = with_link(&shop, "booking-confirmed").await;
    assert_eq!(thief.get(&booking).await.status, 200);
    let code = code_of(&shop, &fan, &booking, &[]).await;
    let wish = json!({"code": code, "name": "Grace H."});
    let done = fan.post(&format!("{booking}/reissue"), &wish).await;
    assert_eq!(
        (done.status, &done.json["sentTo"]),
        (200, &json!("f…@example.com")),
        "{}",
        done.text
    );
    assert_eq!(thief.get(&booking).await.status, 404);
    let (owner, _) = with_link(&shop, "tickets-reissued").await;
    let after = owner.get(&booking).await.json;
    assert_eq!(after["tickets"][0]["holderName"], "Grace H.");
    assert_ne!(qr(&after, 0), qr(&before, 0));
    // An operator's is in the audit log with what was before.
    let admins = booking.replace("/api/v1/", "/admin/v1/");
    shop.clock.advance(Duration::from_secs(1));
    let by_operator = json!({"reason": "stolen phone"});
    let again = admin(&shop)
        .post(&format!("{admins}/reissue"), &by_operator)
        .await;
    assert_eq!(again.status, 200, "{}", again.text);
    let record = admin(&shop).get(&admins).await.json["record"].clone();
    let kinds: Vec<&Value> = record["transfers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["kind"])
        .collect();
    assert_eq!(kinds, [&json!("REISSUE"), &json!("REISSUE")]);
    assert_eq!(record["transfers"][1]["reason"], "stolen phone");
    // Whoever had a ticket passed on by an operator, and the operator revokes all links.
    let passed = admin(&shop)
        .post(&format!("{admins}/transfer"), &json!({"email": FRIEND}))
        .await;
    assert_eq!(passed.status, 200, "{}", passed.text);
    let (friend, _) = with_link(&shop, "tickets-received").await;
    assert_eq!(friend.get(&booking).await.status, 200);
    let revoked = admin(&shop)
        .post(&format!("{admins}/links/revoke"), &json!({}))
        .await;
    assert_eq!(revoked.status, 200, "{}", revoked.text);
    assert_eq!(friend.get(&booking).await.status, 404);
    admin(&shop)
        .post(&format!("{admins}/resend"), &json!({}))
        .await;
    assert_eq!(mails(&shop, "booking-link").await.len(), 2);
    to_doors(&shop);
    for (at, old) in [(1, qr(&before, 0)), (2, qr(&after, 0))] {
        assert_eq!(scanned(&shop, &old.unwrap(), at).await, "REISSUED");
    }
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_booking_is_passed_on_with_forms() {
    let shop = TestShop::new().await;
    let (fan, booking, _) = bought(&shop, &["A1"]).await;
    shop.settle().await;
    let (_, page) = with_link(&shop, "booking-confirmed").await;
    let mut phone = Browser::new(&shop.process.router);
    phone
        .open(&page)
        .await
        .shows(200, &["Pass tickets on", "new holder", "Get new codes"]);
    let code = code_of(&shop, &fan, &booking, &[]).await;
    let path = format!("{page}/transfer");
    let form = |code| [("email", FRIEND), ("name", "Ada"), ("code", code)];
    let wrong = phone.submit(&path, &form("111111")).await;
    wrong.shows(403, &["one-time code is not valid"]);
    let sent = phone.submit(&path, &form(&code)).await;
    assert_eq!(sent.leads(), "/bookings/find?sent=tickets");
    phone
        .open(&page)
        .await
        .shows(200, &["Passed on to f…@example.org"]);
    shop.settle().await;
    shop.assert_clean().await;
}
