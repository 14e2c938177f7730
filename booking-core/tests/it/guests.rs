//! Guests: one-time codes, links that open a booking on any device, finding a booking.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cancel::{admin, bought, with_policy};
use crate::fan::{Answer, Fan};
use crate::shop::browser::Browser;
use crate::test_shop::{TestShop, eventually};

/// A show that gives everything back for a code.
async fn shop_with_codes() -> TestShop {
    TestShop::with(with_policy(
        json!({"freeUntilHours": 0, "codeRequired": true}),
    ))
    .await
}

/// The texts of all mails of this kind, the newest first.
pub(crate) async fn mails(shop: &TestShop, kind: &str) -> Vec<String> {
    shop.settle().await;
    let desk = admin(shop);
    let listed = desk.get("/admin/v1/mail/files").await.json;
    let mut texts = Vec::new();
    for message in listed["messages"].as_array().unwrap() {
        if message["messageId"].as_str().unwrap().contains(kind) {
            let name = message["name"].as_str().unwrap();
            let mail = desk.get(&format!("/admin/v1/mail/files/{name}")).await.json;
            texts.push(mail["text"].as_str().unwrap().to_owned());
        }
    }
    texts
}

/// The code in the only mail that has one.
async fn code_in_mail(shop: &TestShop) -> String {
    let texts = mails(shop, "one-time-code").await;
    let is_code = |line: &&str| line.len() == 6 && line.bytes().all(|b| b.is_ascii_digit());
    let mut codes = texts.iter().filter_map(|text| text.lines().find(is_code));
    codes.next_back().unwrap().to_owned()
}

/// The path of the link in the confirmation.
pub(crate) async fn link(shop: &TestShop) -> String {
    let texts = mails(shop, "booking-confirmed").await;
    let at = texts[0].find("http://tickets.test/b/").unwrap();
    let url = texts[0][at..].split_whitespace().next().unwrap();
    url.trim_start_matches("http://tickets.test").to_owned()
}

async fn cancel(fan: &Fan, booking: &str, code: Option<&str>) -> Answer {
    let mut body = json!({});
    if let Some(code) = code {
        body["code"] = json!(code);
    }
    fan.post(&format!("{booking}/cancel"), &body).await
}

pub(crate) async fn ask_code(fan: &Fan, booking: &str) -> Answer {
    fan.post(&format!("{booking}/codes"), &json!({})).await
}

fn other_than(code: &str) -> String {
    let first = if code.starts_with('0') { "1" } else { "0" };
    format!("{first}{}", &code[1..])
}

#[tokio::test]
async fn a_code_from_a_mail_cancels_once_and_wrong_ones_wear_it_out() {
    let shop = shop_with_codes().await;
    let (fan, booking, intent) = bought(&shop, &["A1", "A2"]).await;
    let ids = fan.get(&booking).await.json["tickets"].clone();
    assert_eq!(cancel(&fan, &booking, None).await.code(), "code-required");
    // Without a code having been asked for, none is right.
    let guessed = cancel(&fan, &booking, Some("123456")).await;
    assert_eq!((guessed.status, guessed.code()), (403, "code-not-valid"));
    let sent = ask_code(&fan, &booking).await;
    assert_eq!(
        (sent.status, &sent.json["sentTo"]),
        (202, &json!("f…@example.com")),
        "{}",
        sent.text
    );
    let code = code_in_mail(&shop).await;
    assert!(!sent.text.contains(&code));
    for _ in 0..5 {
        let wrong = cancel(&fan, &booking, Some(&other_than(&code))).await;
        assert_eq!(wrong.code(), "code-not-valid", "{}", wrong.text);
    }
    let worn_out = cancel(&fan, &booking, Some(&code)).await;
    assert_eq!(worn_out.code(), "code-not-valid");
    shop.clock.advance(Duration::from_secs(1));
    ask_code(&fan, &booking).await;
    let second = newest_code(&shop, &[&code]).await;
    // The first one is good for nothing any more.
    assert_eq!(
        cancel(&fan, &booking, Some(&code)).await.code(),
        "code-not-valid"
    );
    let one = json!({"code": format!("{} {}", &second[..3], &second[3..]),
        "ticketIds": [ids[0]["ticketId"]]});
    let done = fan.post(&format!("{booking}/cancel"), &one).await;
    assert_eq!(done.status, 202, "{}", done.text);
    assert_eq!(
        cancel(&fan, &booking, Some(&second)).await.code(),
        "code-not-valid"
    );
    shop.settle().await;
    assert_eq!(shop.provider.refunded(&intent), 250_000);
    shop.assert_clean().await;
}

/// The code that is in a mail and none of `known`.
pub(crate) async fn newest_code(shop: &TestShop, known: &[&str]) -> String {
    let texts = mails(shop, "one-time-code").await;
    // Those for apps have eight digits.
    let is_code =
        |line: &&str| [6, 8].contains(&line.len()) && line.bytes().all(|b| b.is_ascii_digit());
    let codes = texts.iter().filter_map(|text| text.lines().find(is_code));
    let mut codes = codes.filter(|code| !known.contains(code));
    codes.next().unwrap().to_owned()
}

#[tokio::test]
async fn a_code_ends_after_ten_minutes() {
    let shop = shop_with_codes().await;
    let (fan, booking, _) = bought(&shop, &["A1"]).await;
    ask_code(&fan, &booking).await;
    let code = code_in_mail(&shop).await;
    // At its end, and long after it.
    for minutes in [10, 60] {
        shop.clock.advance(Duration::from_mins(minutes));
        assert_eq!(
            cancel(&fan, &booking, Some(&code)).await.code(),
            "code-not-valid"
        );
    }
    // One whose mail waits for longer is not sent any more.
    ask_code(&fan, &booking).await;
    shop.clock.advance(Duration::from_mins(11));
    assert_eq!(mails(&shop, "one-time-code").await.len(), 1);
    shop.assert_clean().await;
}

#[tokio::test]
async fn of_two_tabs_with_one_code_one_cancels() {
    let shop = shop_with_codes().await;
    let (fan, booking, intent) = bought(&shop, &["A1", "A2"]).await;
    let ids = fan.get(&booking).await.json["tickets"].clone();
    ask_code(&fan, &booking).await;
    let code = code_in_mail(&shop).await;
    let tabs = [0, 1].map(|nth| {
        let body = json!({"code": code, "ticketIds": [ids[nth]["ticketId"]]});
        let (fan, path) = (fan.copied(), format!("{booking}/cancel"));
        async move { fan.post(&path, &body).await.status }
    });
    let mut statuses = futures_util::future::join_all(tabs).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 403]);
    shop.settle().await;
    assert_eq!(shop.provider.refunded(&intent), 250_000);
    shop.assert_clean().await;
}

#[tokio::test]
async fn mails_that_are_asked_for_are_bounded() {
    let shop = shop_with_codes().await;
    let (fan, booking, _) = bought(&shop, &["A1"]).await;
    for _ in 0..5 {
        assert_eq!(ask_code(&fan, &booking).await.status, 202);
    }
    let refused = ask_code(&fan, &booking).await;
    assert_eq!(
        (refused.status, refused.code()),
        (429, "rate-limited"),
        "{}",
        refused.text
    );
    assert!(refused.headers.contains_key("retry-after"));
    // Only the newest code is mailed: the others were outdated before their turn.
    assert_eq!(mails(&shop, "one-time-code").await.len(), 1);
    // Another booking of the same address has some mails left, and then none.
    let (other, second, _) = bought(&shop, &["A2"]).await;
    for nth in 0..6 {
        let asked = ask_code(&other, &second).await.status;
        assert_eq!(asked == 202, nth < 5, "{nth}");
    }
    let (third_fan, third, _) = bought(&shop, &["A3"]).await;
    assert_eq!(ask_code(&third_fan, &third).await.status, 429);
    shop.clock.advance(Duration::from_mins(61));
    assert_eq!(ask_code(&third_fan, &third).await.status, 202);
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn the_link_in_the_mail_opens_the_booking_on_any_device() {
    let shop = TestShop::with(with_policy(json!({"freeUntilHours": 0}))).await;
    let (fan, booking, intent) = bought(&shop, &["A1", "A2"]).await;
    let link = link(&shop).await;
    let mut phone = Browser::new(&shop.process.router);
    let page = phone.open(&link).await.shows(
        200,
        &[
            "The Eras Tour",
            "seat 1",
            "seat 2",
            &format!("{link}/tickets.pdf"),
            &format!("{link}/calendar.ics"),
            "You get back",
            "Send me a code",
        ],
    );
    assert_eq!(page.headers["referrer-policy"], "no-referrer");
    assert_eq!(page.headers["cache-control"], "private, no-store");
    assert!(!page.headers.contains_key("set-cookie"));
    let qr = page.html.split("src=\"").find(|it| it.contains("qr.svg"));
    let qr = qr.unwrap().split('"').next().unwrap();
    assert!(qr.starts_with(&link), "{qr}");
    for (path, media_type) in [
        (qr.to_owned(), "image/svg+xml"),
        (
            format!("{link}/calendar.ics"),
            "text/calendar; charset=utf-8",
        ),
    ] {
        let file = phone.ask(&path, "*/*").await;
        assert_eq!(file.status, 200, "{path}");
        assert_eq!(file.headers["content-type"], media_type);
        assert_eq!(file.headers["cache-control"], "private, no-store");
        assert_eq!(file.headers["referrer-policy"], "no-referrer");
    }
    let pdf = shop.fan().get(&format!("{link}/tickets.pdf")).await;
    assert_eq!((pdf.status, &pdf.bytes[..5]), (200, &b"%PDF-"[..]));
    // The link alone cancels nothing.
    phone
        .submit(&format!("{link}/cancel"), &[])
        .await
        .shows(403, &["one-time code"]);
    let sent = phone.submit(&format!("{link}/codes"), &[]).await;
    assert_eq!(sent.leads(), format!("{link}?code=sent#cancel"));
    let code = code_in_mail(&shop).await;
    let wrong = [("code", other_than(&code))];
    let wrong: Vec<(&str, &str)> = wrong.iter().map(|(n, v)| (*n, v.as_str())).collect();
    phone
        .submit(&format!("{link}/cancel"), &wrong)
        .await
        .shows(403, &["not valid"]);
    let ids = fan.get(&booking).await.json["tickets"].clone();
    let ticket = ids[1]["ticketId"].as_str().unwrap();
    // Whoever takes every mark away means none, and not all.
    phone
        .submit(
            &format!("{link}/cancel"),
            &[("choose", "tickets"), ("code", &code)],
        )
        .await
        .shows(422, &["at least one ticket"]);
    let done = phone
        .submit(
            &format!("{link}/cancel"),
            &[("choose", "tickets"), ("ticket", ticket), ("code", &code)],
        )
        .await;
    assert_eq!(done.leads(), link);
    phone
        .open(&link)
        .await
        .shows(200, &["Partly cancelled", "seat 1"]);
    // A form of another site is not taken.
    let mut evil = phone.clone();
    evil.origin = "https://evil.example";
    evil.submit(&format!("{link}/cancel"), &[("code", &code)])
        .await
        .shows(403, &[]);
    shop.settle().await;
    assert_eq!(shop.provider.refunded(&intent), 250_000);
    shop.assert_clean().await;
}

#[tokio::test]
async fn programs_use_the_link_as_a_header() {
    let shop = TestShop::with(with_policy(json!({"freeUntilHours": 0}))).await;
    let (_, booking, _) = bought(&shop, &["A1"]).await;
    let (_, other, _) = bought(&shop, &["A2"]).await;
    let texts = mails(&shop, "booking-confirmed").await;
    assert_eq!(texts.len(), 2);
    let tokens = texts.iter().map(|text| {
        let rest = text.split_once("/b/").unwrap().1;
        rest.split_whitespace().next().unwrap().to_owned()
    });
    let mut opened = 0;
    for token in tokens {
        let app = shop.fan().with_header("booking-link", &token);
        let seen = [app.get(&booking).await, app.get(&other).await];
        opened += seen.iter().filter(|answer| answer.status == 200).count();
        if seen[0].status == 200 {
            assert_eq!(cancel(&app, &booking, None).await.code(), "code-required");
            let offer = app.get(&format!("{booking}/refund-offer")).await.json;
            assert_eq!(offer["codeRequired"], true);
        }
    }
    assert_eq!(opened, 2, "each link opens one booking");
}

#[tokio::test]
async fn a_link_ends_when_it_is_revoked_and_some_time_after_the_show() {
    let shop = TestShop::new().await;
    let (fan, booking, _) = bought(&shop, &["A1"]).await;
    let id = booking.rsplit('/').next().unwrap().to_owned();
    let first = link(&shop).await;
    let open = async |path: &str| Browser::new(&shop.process.router).open(path).await.status;
    let desk = admin(&shop);
    let path = format!("/admin/v1/bookings/{id}/links/revoke");
    let revoked = desk.post(&path, &json!({})).await;
    assert_eq!(revoked.json["linkGeneration"], 1, "{}", revoked.text);
    assert_eq!(open(&first).await, 404);
    assert_eq!(fan.get(&booking).await.status, 200);
    // A new link comes by mail.
    let path = format!("/admin/v1/bookings/{id}/resend");
    assert_eq!(desk.post(&path, &json!({})).await.status, 202);
    let text = mails(&shop, "booking-link").await.remove(0);
    let at = text.find("/b/").unwrap();
    let second = text[at..].split_whitespace().next().unwrap();
    assert_eq!(open(second).await, 200);
    let forged = format!("{}A", &second[..second.len() - 1]);
    let forged = if forged == second {
        format!("{}B", &second[..second.len() - 1])
    } else {
        forged
    };
    assert_eq!(open(&forged).await, 404);
    shop.clock.advance(Duration::from_hours(24 * (94 + 29)));
    assert_eq!(open(second).await, 200);
    shop.clock.advance(Duration::from_hours(24 * 2));
    assert_eq!(open(second).await, 404);
}

#[tokio::test]
async fn who_looks_for_a_booking_is_told_nothing_and_mailed_the_link() {
    let shop = TestShop::new().await;
    let (fan, booking, _) = bought(&shop, &["A1"]).await;
    let code = fan.get(&booking).await.json["code"].clone();
    let code = code.as_str().unwrap();
    let spaced = format!("{}-{} {}", &code[..3], &code[3..6], &code[6..]).to_lowercase();
    let stranger = shop.fan();
    let path = "/api/v1/bookings/find";
    let mut answers = Vec::new();
    for (code, email) in [
        (code, "nobody@example.com"),
        ("XXXXXXXXX", "fan@example.com"),
        ("?", "nobody@example.com"),
        (spaced.as_str(), " FAN@Example.com"),
    ] {
        let body = json!({"code": code, "email": email});
        let found = stranger.post(path, &body).await;
        assert_eq!(found.status, 202, "{}", found.text);
        answers.push(found.text);
        shop.settle().await;
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    for (code, email, field) in [(" ", "fan@example.com", "code"), (code, "fan@", "email")] {
        let body = json!({"code": code, "email": email});
        let refused = stranger.post(path, &body).await;
        assert_eq!(
            (refused.status, &refused.json["field"]),
            (422, &json!(field))
        );
    }
    eventually("the mail", async || {
        mails(&shop, "booking-link").await.len() == 1
    })
    .await;
    let mut phone = Browser::new(&shop.process.router);
    phone
        .open("/bookings/find")
        .await
        .shows(200, &["Booking code", "E-mail address"]);
    phone
        .submit("/bookings/find", &[("code", ""), ("email", "x@y.example")])
        .await
        .shows(422, &["code of your booking"]);
    let fields = [("code", code), ("email", "fan@example.com")];
    phone
        .submit("/bookings/find", &fields)
        .await
        .shows(202, &["is on its way"]);
    eventually("the second mail", async || {
        mails(&shop, "booking-link").await.len() == 2
    })
    .await;
    // However often somebody asks, a mailbox is not filled.
    for _ in 0..20 {
        let body = json!({"code": code, "email": "fan@example.com"});
        let status = stranger.post(path, &body).await.status;
        assert!([202, 503].contains(&status), "{status}");
        shop.settle().await;
    }
    assert!(mails(&shop, "booking-link").await.len() <= 5);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_fan_lists_all_own_bookings_and_no_others() {
    let shop = TestShop::new().await;
    let (fan, first, _) = bought(&shop, &["A1"]).await;
    bought(&shop, &["A3"]).await;
    let hold = fan.held(&["A2"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay(&intent);
    shop.clock.advance(Duration::from_secs(1));
    assert_eq!(fan.confirm(&hold, &intent).await.status, 200);
    let listed = fan.get("/api/v1/me/bookings").await;
    let ids = |listed: &Answer| -> Vec<Value> {
        let bookings = listed.json["bookings"].as_array().unwrap();
        bookings.iter().map(|it| it["bookingId"].clone()).collect()
    };
    assert_eq!(ids(&listed).len(), 2, "{}", listed.text);
    assert_eq!(ids(&listed)[1], first.rsplit('/').next().unwrap());
    assert_eq!(listed.json["bookings"][0]["show"]["title"], "The Eras Tour");
    assert_eq!(listed.json["bookings"][0]["ticketCount"], 1);
    let stranger = shop.fan().get("/api/v1/me/bookings").await;
    assert_eq!(stranger.json, json!({"bookings": []}));
    let page = fan.get("/bookings").await;
    assert!(page.text.contains("My bookings"), "{}", page.text);
    assert!(page.text.contains(first.trim_start_matches("/api/v1")));
}

#[tokio::test]
async fn a_cancellation_and_the_refund_are_told_by_mail() {
    let shop = TestShop::with(with_policy(
        json!({"freeUntilHours": 0, "keptFeeMinor": 5_000}),
    ))
    .await;
    let (fan, booking, _) = bought(&shop, &["A1", "A2"]).await;
    let code = fan.get(&booking).await.json["code"].clone();
    cancel(&fan, &booking, None).await;
    let texts = mails(&shop, "tickets-cancelled").await;
    assert_eq!(texts.len(), 1);
    for part in [
        code.as_str().unwrap(),
        "row A, seat 1",
        "row A, seat 2",
        "You get back: ₹4,900",
        "Kept by the seller: ₹100",
        "/b/",
    ] {
        assert!(texts[0].contains(part), "{part}: {}", texts[0]);
    }
    let refund = mails(&shop, "refund-made").await;
    assert_eq!(refund.len(), 1);
    assert!(refund[0].contains("₹4,900"), "{}", refund[0]);
    let other = TestShop::new().await;
    bought(&other, &["A1"]).await;
    let body = json!({"reason": "The soloist is ill."});
    let path = "/admin/v1/shows/eras-mumbai-1/cancel";
    assert_eq!(admin(&other).post(path, &body).await.status, 202);
    while other.process.booking.show_cancel_once().await.unwrap() > 0 {}
    let texts = mails(&other, "tickets-cancelled").await;
    assert!(texts[0].contains("The soloist is ill."), "{}", texts[0]);
    assert!(!texts[0].contains("Kept by the seller"), "{}", texts[0]);
}
