//! Fans in a waiting room who want to be told of their call.

use std::time::Duration;

use booking_core::{TurnAsk, TurnAsked};
use contract::PlaceId;
use contract::contact::TurnRequest;
use http::HeaderMap;
use serde_json::json;

use crate::channels::{Phone, Scene};

/// A room whose log has a call of another place.
async fn with_room() -> Scene {
    let scene = Scene::new().await;
    scene
        .shop
        .meddle(
            "insert into rooms (slug, settings, seed, commitment, change, created_at, updated_at)
             values ('big', '{\"title\": \"Big Night\"}', decode(repeat('00', 32), 'hex'), '', 1,
                now(), now());
             insert into admission_heads (room, seq, hash)
             values ('big', 0, decode(repeat('00', 32), 'hex'))",
        )
        .await;
    calls(&scene, 9).await;
    scene
}

/// The leader of the room calls this place, as the line does: in the log, and numbered.
async fn calls(scene: &Scene, place: u8) {
    let mut database = scene.shop.database.connect().await;
    sqlx::query(
        "with head as (update admission_heads set seq = seq + 1 where room = 'big' returning seq)
         insert into admissions (room, seq, place, order_key, called_at, hash)
         select 'big', seq, $1, seq, $2, decode(repeat('00', 32), 'hex') from head",
    )
    .bind(&[place; 16][..])
    .bind(sqlx::types::time::OffsetDateTime::from(
        contract::Clock::now(&scene.shop.clock),
    ))
    .execute(&mut database)
    .await
    .unwrap();
}

async fn asks(scene: &Scene, place: u8, wanted: TurnRequest, headers: &HeaderMap) -> TurnAsked {
    let ask = TurnAsk {
        room: "big".parse().unwrap(),
        place: PlaceId::from_bytes([place; 16]),
        wanted,
    };
    scene.process.booking.turn_ask(ask, headers).await.unwrap()
}

fn by_mail() -> TurnRequest {
    TurnRequest {
        email: Some("fan@example.com".to_owned()),
        push: None,
    }
}

fn by_push(scene: &Scene, number: u8) -> TurnRequest {
    let subscription = Phone::new(number).subscription(&format!("{}/p", scene.push.url));
    TurnRequest {
        email: None,
        push: Some(serde_json::from_value(subscription).unwrap()),
    }
}

#[tokio::test]
async fn a_called_fan_who_asked_is_told_once_for_each_call() {
    let scene = with_room().await;
    let none = HeaderMap::new();
    assert_eq!(
        asks(&scene, 1, by_push(&scene, 1), &none).await,
        TurnAsked::Stored
    );
    let mut german = HeaderMap::new();
    german.insert("accept-language", "de".parse().unwrap());
    assert_eq!(asks(&scene, 2, by_mail(), &german).await, TurnAsked::Stored);
    scene.tells().await;
    assert!(scene.push.requests().is_empty());
    for place in [1, 3, 2] {
        calls(&scene, place).await;
    }
    // Another process finds the same calls at the same time, and one of them dies.
    let both = (
        scene.process.booking.turns_once(),
        scene.shop.process.booking.turns_once(),
    );
    let (a, b) = tokio::join!(both.0, both.1);
    assert!(a.unwrap() + b.unwrap() >= 3);
    scene.tells().await;
    scene.tells().await;
    let pushed = scene.push.requests();
    assert_eq!(pushed.len(), 1);
    let (headers, body) = &pushed[0];
    assert_eq!(headers["urgency"], "high");
    let message = Phone::new(1).opened(body);
    assert_eq!(message["title"], "Big Night");
    assert_eq!(message["url"], "http://tickets.test/_line/rooms/big");
    assert_eq!(scene.mailed("Sie sind an der Reihe"), 1);
    // Who missed the turn and came back is told of the next one.
    calls(&scene, 1).await;
    scene.tells().await;
    assert_eq!(scene.push.requests().len(), 2);
    scene.shop.assert_clean().await;
}

#[tokio::test]
async fn one_address_is_told_of_few_places_of_a_room() {
    let scene = with_room().await;
    let none = HeaderMap::new();
    // Anybody can write this address, in any case.
    for place in 1..=5 {
        let mut wanted = by_mail();
        if place == 2 {
            wanted.email = Some("FAN@example.com".to_owned());
        }
        assert_eq!(asks(&scene, place, wanted, &none).await, TurnAsked::Stored);
    }
    // Asking again from the same place takes none of the three.
    assert_eq!(asks(&scene, 1, by_mail(), &none).await, TurnAsked::Stored);
    for place in 1..=5 {
        calls(&scene, place).await;
    }
    scene.tells().await;
    assert_eq!(scene.listed("SENT", "YOUR_TURN").await.len(), 3);
    scene.shop.assert_clean().await;
}

#[tokio::test]
async fn a_call_between_the_request_and_the_comparison_is_not_missed() {
    let scene = with_room().await;
    let none = HeaderMap::new();
    asks(&scene, 1, by_mail(), &none).await;
    scene.tells().await;
    // The comparison went by the call before it could see the request.
    scene
        .shop
        .meddle(
            "update turn_heads set seq = seq + 1;
             insert into admissions (room, seq, place, order_key, called_at, hash)
             select 'big', seq, decode(repeat('05', 16), 'hex'), 1, now(),
                decode(repeat('00', 32), 'hex') from turn_heads;
             insert into turn_requests (turn_id, room, place, email, language, since_seq, created_at)
             select gen_random_uuid(), 'big', decode(repeat('05', 16), 'hex'), 'five@example.com',
                'en', seq - 1, now() from turn_heads",
        )
        .await;
    scene.tells().await;
    assert_eq!(scene.mailed("five@example.com"), 0);
    let asked = asks(
        &scene,
        5,
        TurnRequest {
            email: Some("five@example.com".to_owned()),
            push: None,
        },
        &none,
    );
    assert_eq!(asked.await, TurnAsked::Stored);
    scene.tells().await;
    assert_eq!(scene.mailed("To: five@example.com"), 1);
    // Once only, however often it is asked and compared.
    let again = TurnRequest {
        email: Some("five@example.com".to_owned()),
        push: None,
    };
    asks(&scene, 5, again, &none).await;
    scene.tells().await;
    assert_eq!(scene.mailed("To: five@example.com"), 1);
}

#[tokio::test]
async fn a_call_that_was_taken_or_is_long_over_is_not_told() {
    let scene = with_room().await;
    let none = HeaderMap::new();
    for place in [1, 2] {
        asks(&scene, place, by_mail(), &none).await;
        calls(&scene, place).await;
    }
    scene
        .shop
        .meddle(
            "insert into admission_outcomes (room, place, seq, fate, until_at)
             select room, place, seq, 'claimed', now() from admissions
             where place = decode(repeat('01', 16), 'hex')",
        )
        .await;
    scene.process.booking.turns_once().await.unwrap();
    scene.tells().await;
    assert_eq!(scene.listed("MOOT", "YOUR_TURN").await.len(), 1);
    assert_eq!(scene.mailed("Subject: It is your turn"), 1);
}

#[tokio::test]
async fn a_push_that_fails_goes_by_mail_at_once_and_a_reason_is_recorded_without_one() {
    let scene = with_room().await;
    let none = HeaderMap::new();
    let both = TurnRequest {
        email: Some("fan@example.com".to_owned()),
        ..by_push(&scene, 1)
    };
    asks(&scene, 1, both, &none).await;
    asks(&scene, 2, by_push(&scene, 2), &none).await;
    scene.push.answers(410);
    calls(&scene, 1).await;
    calls(&scene, 2).await;
    scene.tells().await;
    assert_eq!(scene.mailed("Subject: It is your turn"), 1);
    let failed = scene.listed("FAILED", "YOUR_TURN").await;
    assert_eq!(failed.len(), 1);
    assert!(!failed[0]["lastError"].as_str().unwrap().is_empty());
    scene.shop.assert_clean().await;
}

#[tokio::test]
async fn requests_are_checked_and_addresses_go_a_day_after_the_call() {
    let scene = with_room().await;
    let none = HeaderMap::new();
    let wrong = async |wanted: serde_json::Value| {
        let wanted: TurnRequest = serde_json::from_value(wanted).unwrap();
        asks(&scene, 1, wanted, &none).await
    };
    assert!(matches!(
        wrong(json!({})).await,
        TurnAsked::Invalid("email", _)
    ));
    assert!(matches!(
        wrong(json!({"email": "fan"})).await,
        TurnAsked::Invalid("email", _)
    ));
    let inside = Phone::new(1).subscription("https://10.0.0.1/");
    assert!(matches!(
        wrong(json!({"push": inside})).await,
        TurnAsked::Invalid("push", _)
    ));
    asks(&scene, 1, by_mail(), &none).await;
    asks(&scene, 2, by_mail(), &none).await;
    calls(&scene, 1).await;
    scene.tells().await;
    let left = async || {
        scene.process.booking.purge_once().await.unwrap();
        let mut database = scene.shop.database.connect().await;
        let count: i64 = sqlx::query_scalar("select count(*) from turn_requests")
            .fetch_one(&mut database)
            .await
            .unwrap();
        count
    };
    assert_eq!(left().await, 2);
    scene.shop.clock.advance(Duration::from_hours(25));
    assert_eq!(left().await, 1);
    scene.shop.clock.advance(Duration::from_hours(7 * 24));
    assert_eq!(left().await, 0);
    scene.shop.assert_clean().await;
}
