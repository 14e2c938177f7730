//! Moved shows and reminders: who is told, once, and who gets the price back.

use std::time::Duration;

use contract::{Clock, Timestamp};
use serde_json::{Value, json};

use crate::cancel::{admin, bought};
use crate::channels::Scene;
use crate::fan::{Answer, Fan};
use crate::test_shop::{TestShop, show_file};

const STARTS: &str = "2026-12-24T14:00:00Z";
const LATER: &str = "2027-01-14T15:00:00Z";

async fn moves(scene: &Scene, order: &Value) -> Answer {
    let operator = Fan::new(scene.process.booking.admin().0);
    operator
        .post("/admin/v1/shows/eras-mumbai-1/move", order)
        .await
}

async fn progress(scene: &Scene) -> Value {
    let operator = Fan::new(scene.process.booking.admin().0);
    operator
        .get("/admin/v1/shows/eras-mumbai-1/move")
        .await
        .json
}

fn advance_to(shop: &TestShop, time: &str) {
    let span = Timestamp::parse(time).unwrap().since(shop.clock.now());
    shop.clock.advance(span);
}

#[tokio::test]
async fn every_booking_of_a_moved_show_is_told_once_whoever_dies() {
    let scene = Scene::new().await;
    let (fan, booking, _) = bought(&scene.shop, &["A1"]).await;
    for seat in ["A2", "A3", "A4"] {
        bought(&scene.shop, &[seat]).await;
    }
    let (_, _, refunded) = bought(&scene.shop, &["A5"]).await;
    drop(refunded);
    // This one is paid after the move and was held before.
    let late = scene.shop.fan();
    let hold = late.held(&["A6"]).await;
    let intent = late.intent(&hold).await;
    scene.tells().await;

    let order = json!({
        "startsAt": LATER, "venue": {"name": "Indoor Hall", "address": "Worli"},
        "reason": "Rain is forecast.", "refundUntil": "2026-12-20T00:00:00Z",
    });
    let moved = moves(&scene, &order).await;
    assert_eq!(moved.status, 202, "{}", moved.text);
    assert_eq!(moved.json["bookingsLeft"], 5);
    assert_eq!(moved.json["sequence"], 1);
    // A process makes the notices and dies; another one makes none twice.
    assert_eq!(
        scene.shop.process.booking.show_move_once().await.unwrap(),
        5
    );
    assert_eq!(scene.process.booking.show_move_once().await.unwrap(), 0);
    scene.shop.provider.pay(&intent);
    assert_eq!(late.confirm(&hold, &intent).await.status, 200);
    // A show of which all are told is looked at again some minutes later.
    assert_eq!(scene.process.booking.show_move_once().await.unwrap(), 0);
    scene.shop.clock.advance(Duration::from_mins(5));
    scene.tells().await;
    // Another reason is another order, which is refused.
    let mut other = order.clone();
    other["reason"] = json!("The hall burnt down.");
    assert_eq!(moves(&scene, &other).await.code(), "conflict");
    // The same order again changes nothing.
    let again = moves(&scene, &order).await;
    assert_eq!((again.status, &again.json["sequence"]), (202, &json!(1)));
    scene.tells().await;
    assert_eq!(scene.mailed("Subject: Moved:"), 6);
    let mail = scene.mail.taken();
    let letter = mail
        .iter()
        .find(|it| it.contains("Subject: Moved:"))
        .unwrap();
    for part in [
        "Indoor Hall",
        "DY Patil Stadium",
        "Rain is forecast",
        "whole price back",
    ] {
        assert!(letter.contains(part), "{part}: {letter}");
    }
    let done = progress(&scene).await;
    assert_eq!(
        (&done["done"], &done["noticesSent"]),
        (&json!(true), &json!(6)),
        "{done}"
    );
    let fan = fan.at(scene.process.router.clone());
    let calendar = fan.get(&format!("{booking}/calendar.ics")).await;
    assert!(calendar.text.contains("SEQUENCE:1"), "{}", calendar.text);
    assert!(
        calendar.text.contains("DTSTART:20270114T150000Z"),
        "{}",
        calendar.text
    );
    scene.shop.assert_clean().await;
}

#[tokio::test]
async fn who_bought_before_a_move_gets_the_whole_price_back_until_the_window_ends() {
    let scene = Scene::new().await;
    // The show has no refund policy.
    let (early, booking, intent) = bought(&scene.shop, &["A1", "A2"]).await;
    let (other, too_late, _) = bought(&scene.shop, &["A3"]).await;
    let early = early.at(scene.process.router.clone());
    let other = other.at(scene.process.router.clone());
    let offer =
        async |fan: &Fan, booking: &str| fan.get(&format!("{booking}/refund-offer")).await.json;
    assert_eq!(offer(&early, &booking).await["rule"], "no-policy");
    scene.shop.clock.advance(Duration::from_secs(1));
    let order = json!({"startsAt": LATER, "refundUntil": "2026-12-20T00:00:00Z"});
    assert_eq!(moves(&scene, &order).await.status, 202);
    scene.shop.clock.advance(Duration::from_secs(1));
    scene.shop.process.booking.refresh_once().await.unwrap();
    let (after, knew, _) = bought(&scene.shop, &["A4"]).await;
    let after = after.at(scene.process.router.clone());
    assert_eq!(offer(&after, &knew).await["rule"], "no-policy");
    let offered = offer(&early, &booking).await;
    assert_eq!(
        (&offered["amountMinor"], &offered["until"]),
        (&json!(500_000), &json!("2026-12-20T00:00:00.000Z")),
        "{offered}"
    );
    let done = early.post(&format!("{booking}/cancel"), &json!({})).await;
    assert_eq!(
        (done.status, &done.json["amountMinor"]),
        (202, &json!(500_000))
    );
    scene.shop.settle().await;
    assert_eq!(scene.shop.provider.refunded(&intent), 500_000);
    advance_to(&scene.shop, "2026-12-20T00:00:00Z");
    assert_eq!(offer(&other, &too_late).await["rule"], "no-policy");
    let refused = other.post(&format!("{too_late}/cancel"), &json!({})).await;
    assert_eq!(refused.code(), "not-refundable");
    scene.shop.assert_clean().await;
}

#[tokio::test]
async fn a_window_ends_when_the_show_begins_after_a_second_move() {
    let scene = Scene::new().await;
    let (fan, booking, _) = bought(&scene.shop, &["A1"]).await;
    let fan = fan.at(scene.process.router.clone());
    scene.shop.clock.advance(Duration::from_secs(1));
    let order = json!({"startsAt": LATER, "refundUntil": "2027-01-10T00:00:00Z"});
    assert_eq!(moves(&scene, &order).await.status, 202);
    let forward = json!({"startsAt": "2026-12-27T14:00:00Z", "reason": "Earlier again."});
    assert_eq!(moves(&scene, &forward).await.status, 202);
    scene.tells().await;
    // The letter has the date that the fan knew, and the window of the first move.
    let mail = scene.mail.taken();
    let letters: Vec<_> = mail
        .iter()
        .filter(|it| it.contains("Subject: Moved:"))
        .collect();
    assert_eq!(letters.len(), 1);
    for part in ["24 December 2026", "27 December 2026", "whole price back"] {
        assert!(letters[0].contains(part), "{part}: {}", letters[0]);
    }
    let offer = async || fan.get(&format!("{booking}/refund-offer")).await.json;
    assert_eq!(offer().await["until"], "2026-12-27T14:00:00.000Z");
    advance_to(&scene.shop, "2026-12-27T14:00:00Z");
    assert_eq!(offer().await["refundable"], false);
    let refused = fan.post(&format!("{booking}/cancel"), &json!({})).await;
    assert_eq!(refused.code(), "not-refundable", "{}", refused.text);
}

#[tokio::test]
async fn a_file_moves_no_show_that_has_bookings() {
    let scene = Scene::new().await;
    let mut file = show_file();
    file["startsAt"] = json!(LATER);
    // Nobody has to be told yet.
    assert_eq!(scene.shop.import(file.clone()).await.0, 200);
    bought(&scene.shop, &["A1"]).await;
    assert_eq!(
        moves(&scene, &json!({"startsAt": STARTS})).await.status,
        202
    );
    file["title"] = json!("The Eras Tour, again");
    let (status, problem) = scene.shop.import(file.clone()).await;
    assert_eq!((status, &problem["code"]), (409, &json!("conflict")));
    let told = problem["detail"].as_str().unwrap();
    assert!(told.contains("ropeline show move"), "{told}");
    file["venue"]["name"] = json!("Indoor Hall");
    file["startsAt"] = json!(STARTS);
    assert_eq!(scene.shop.import(file.clone()).await.0, 409);
    file["venue"]["name"] = json!("DY Patil Stadium");
    assert_eq!(scene.shop.import(file).await.0, 200);
}

#[tokio::test]
async fn holders_of_passed_on_tickets_are_told_and_reminded_again_after_a_move() {
    let scene = Scene::new().await;
    let (fan, booking, _) = bought(&scene.shop, &["A1", "A2"]).await;
    let ticket = crate::transfers::id(&fan.get(&booking).await.json, 0);
    let code = crate::transfers::code_of(&scene.shop, &fan, &booking, &[]).await;
    let wish = json!({"email": "friend@example.org", "ticketIds": [ticket], "code": code});
    let passed = fan.post(&format!("{booking}/transfer"), &wish).await;
    assert_eq!(passed.status, 200, "{}", passed.text);
    advance_to(&scene.shop, "2026-12-23T15:00:00Z");
    scene.tells().await;
    assert_eq!(scene.mailed("Subject: Soon:"), 2);
    let order = json!({"startsAt": LATER, "refundUntil": "2026-12-30T00:00:00Z"});
    let moved = moves(&scene, &order).await;
    assert_eq!(moved.json["bookingsLeft"], 2, "{}", moved.text);
    scene.tells().await;
    assert_eq!(scene.mailed("Subject: Moved:"), 2);
    let to_friend = |mail: &String| mail.contains("Subject: Moved:") && mail.contains("friend@");
    let mail = scene.mail.taken();
    let friends = mail.iter().find(|mail| to_friend(mail)).unwrap();
    // The price goes back to the buyer.
    assert!(!friends.contains("whole price back"), "{friends}");
    assert_eq!(scene.mailed("Subject: Soon:"), 2);
    // A reminder that waits while the show is moved says nothing of the earlier date.
    advance_to(&scene.shop, "2027-01-13T15:00:00Z");
    assert_eq!(scene.process.booking.remind_once().await.unwrap(), 2);
    let later = json!({"startsAt": "2027-01-20T15:00:00Z"});
    assert_eq!(moves(&scene, &later).await.status, 202);
    scene.tells().await;
    assert_eq!(scene.mailed("Subject: Soon:"), 2);
    assert_eq!(scene.listed("MOOT", "SHOW_REMINDER").await.len(), 2);
    advance_to(&scene.shop, "2027-01-19T15:00:00Z");
    scene.tells().await;
    assert_eq!(scene.mailed("Subject: Soon:"), 4);
    scene.shop.assert_clean().await;
}

#[tokio::test]
async fn what_can_not_be_moved_is_said_and_an_outdated_move_is_not_told() {
    let scene = Scene::new().await;
    bought(&scene.shop, &["A1"]).await;
    for (order, field) in [
        (json!({"startsAt": "2020-01-01T00:00:00Z"}), "startsAt"),
        (json!({"startsAt": LATER, "endsAt": STARTS}), "endsAt"),
        (
            json!({"startsAt": LATER, "refundUntil": "2027-02-01T00:00:00Z"}),
            "refundUntil",
        ),
        (
            json!({"startsAt": LATER, "venue": {"name": "A\nB", "address": ""}}),
            "venue.name",
        ),
    ] {
        let refused = moves(&scene, &order).await;
        assert_eq!(
            (refused.status, &refused.json["field"]),
            (422, &json!(field))
        );
    }
    let unmoved = moves(&scene, &json!({"startsAt": STARTS})).await;
    assert_eq!(unmoved.code(), "conflict", "{}", unmoved.text);
    assert_eq!(moves(&scene, &json!({"startsAt": LATER})).await.status, 202);
    scene.process.booking.show_move_once().await.unwrap();
    scene.shop.clock.advance(Duration::from_secs(1));
    let second = json!({"startsAt": "2027-01-15T15:00:00Z"});
    assert_eq!(moves(&scene, &second).await.json["sequence"], 2);
    scene.tells().await;
    assert_eq!(scene.mailed("Subject: Moved:"), 1);
    assert_eq!(scene.listed("MOOT", "SHOW_MOVED").await.len(), 1);
    let desk = admin(&scene.shop);
    desk.post("/admin/v1/shows/eras-mumbai-1/cancel", &json!({}))
        .await;
    assert_eq!(moves(&scene, &json!({"startsAt": LATER})).await.status, 409);
}

#[tokio::test]
async fn customers_are_reminded_once_as_long_before_as_the_show_says() {
    for (hours, mailed) in [
        (Some(5), [0, 1, 1]),
        (None, [1, 1, 1]),
        (Some(0), [0, 0, 0]),
    ] {
        let mut file = show_file();
        if let Some(hours) = hours {
            file["reminderHours"] = json!(hours);
        }
        let scene = Scene::at(TestShop::with(file).await, None).await;
        bought(&scene.shop, &["A1"]).await;
        advance_to(&scene.shop, "2026-12-23T15:00:00Z");
        // Who buys later than that need not be reminded.
        if hours.is_none() {
            bought(&scene.shop, &["A2"]).await;
        }
        for (at, expected) in [
            "2026-12-23T16:00:00Z",
            "2026-12-24T09:30:00Z",
            "2026-12-24T13:59:00Z",
        ]
        .into_iter()
        .zip(mailed)
        {
            advance_to(&scene.shop, at);
            scene.tells().await;
            assert_eq!(scene.mailed("Subject: Soon:"), expected, "{hours:?} {at}");
        }
        advance_to(&scene.shop, "2026-12-24T14:00:01Z");
        scene.tells().await;
        assert_eq!(scene.mailed("Subject: Soon:"), mailed[2]);
    }
}

#[tokio::test]
async fn who_cancelled_is_not_reminded() {
    let scene = Scene::new().await;
    let (_, booking, _) = bought(&scene.shop, &["A1"]).await;
    let id = booking.rsplit('/').next().unwrap();
    let desk = admin(&scene.shop);
    advance_to(&scene.shop, "2026-12-23T14:30:00Z");
    scene.process.booking.remind_once().await.unwrap();
    let refunded = desk
        .post(&format!("/admin/v1/bookings/{id}/refund"), &json!({}))
        .await;
    assert_eq!(refunded.status, 202, "{}", refunded.text);
    scene.tells().await;
    assert_eq!(scene.mailed("Subject: Soon:"), 0);
    assert_eq!(scene.listed("MOOT", "SHOW_REMINDER").await.len(), 1);
}

#[tokio::test]
async fn kinds_of_a_later_version_keep_nothing_from_being_sent() {
    let scene = Scene::new().await;
    scene
        .shop
        .meddle(
            "alter table notices drop constraint notices_kind;
             insert into notices (notice_id, kind, about, message_id, urgency, next_attempt_at,
                created_at, due_since)
             select gen_random_uuid(), 'OF_TOMORROW', gen_random_uuid(), 'tomorrow', -9,
                '2020-01-01', '2020-01-01', '2020-01-01'",
        )
        .await;
    bought(&scene.shop, &["A1"]).await;
    scene.tells().await;
    assert_eq!(scene.mail.taken().len(), 1);
}
