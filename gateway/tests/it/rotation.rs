//! The signing key is replaced in three steps, one gateway after the other, while fans join, wait,
//! are called and shop at both.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::pair::{CHANGE_MAX, Pair, claims, id, signer};

#[tokio::test]
async fn the_signing_key_is_replaced_in_three_steps_and_nobody_is_refused() {
    let (old, new) = (id(1), id(2));
    let mut pair = Pair::start(&["--signing-keys", "old.pem"]).await;
    let mut fans = vec![pair.fan(0).await];
    let mut number = 0;
    // A verifier that reads the list of keys before the first step and keeps it for 300 seconds.
    let mut kept = pair.published(0).await;

    let verifies = ["--signing-keys", "old.pem,new.pem"];
    // In another order on purpose: what signs is named, and places do not go by the order.
    let signs = [
        "--signing-keys",
        "new.pem,old.pem",
        "--signing-key-id",
        &new,
    ];
    for step in [&verifies[..], &signs[..]] {
        for at in 0..2 {
            pair.restart(at, step).await;
            pair.nobody_is_refused(&mut fans).await;
            number += 1;
            let fan = pair.fan(number).await;
            assert!(kept.contains(&signer(&fan.pass)), "too early at {at}");
            fans.push(fan);
        }
    }
    // Everyone verifies the new key, but not everyone outside knows it yet.
    assert!(fans.iter().all(|fan| signer(&fan.pass) == old));
    for at in 0..2 {
        let advice = pair.advice(at).await.unwrap();
        assert!(
            advice.contains(&new) && advice.contains("signs from"),
            "{advice}"
        );
    }

    pair.caches_expire().await;
    kept = pair.published(1).await;
    let began = Instant::now();
    while pair.advice(0).await.is_some() || pair.advice(1).await.is_some() {
        assert!(began.elapsed() < CHANGE_MAX, "the new key does not sign");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    pair.nobody_is_refused(&mut fans).await;
    for _ in 0..2 {
        number += 1;
        let fan = pair.fan(number).await;
        assert_eq!(signer(&fan.pass), new);
        assert!(kept.contains(&new));
        fans.push(fan);
    }

    // The sessions of the old key are over; places were renewed by polls.
    let leaked = fans[0].pass.clone();
    for fan in &mut fans {
        fan.pass = pair.claim(0, &fan.place).await;
        assert_eq!(signer(&fan.pass), new);
    }
    for at in 0..2 {
        pair.restart(at, &["--signing-keys", "new.pem"]).await;
        // What the dropped key signed is refused at once.
        assert_eq!(pair.shop(at, &leaked).await, StatusCode::FORBIDDEN);
        pair.nobody_is_refused(&mut fans).await;
        number += 1;
        fans.push(pair.fan(number).await);
    }
    assert!(!pair.published(0).await.contains(&old));
    pair.stop().await;
}

#[tokio::test]
async fn a_leaked_key_is_dropped_at_once_and_places_stay() {
    let new = id(2);
    let mut pair = Pair::start(&["--signing-keys", "old.pem,new.pem"]).await;
    let fan = pair.fan(0).await;
    let alone = ["--signing-keys", "new.pem"];
    // Not by mistake, while the others sign with it.
    let mut refused = pair.process(1, &alone);
    assert_eq!(refused.ends().await.code(), Some(1), "{}", refused.log());
    assert!(refused.log().contains("--adopt-keys"), "{}", refused.log());

    for at in 0..2 {
        let forced = ["--signing-keys", "new.pem", "--adopt-keys"];
        pair.restart(at, &forced).await;
        let leaked = pair.shop(at, &fan.pass).await;
        assert_eq!(leaked, StatusCode::FORBIDDEN);
        // The place is found again by what the browser has, and with it the session.
        let again = pair.join(at, &fan.nonce).await;
        let pass = pair.claim(at, &again.place.unwrap()).await;
        assert_eq!(claims(&pass)["jti"], claims(&fan.pass)["jti"]);
        assert_eq!(signer(&pass), new);
        assert_eq!(pair.shop(at, &pass).await, StatusCode::NOT_FOUND);
    }
    let tickets: Vec<i16> = sqlx::query_scalar("select key_id from ticket_keys")
        .fetch_all(&pair.database.pool())
        .await
        .unwrap();
    assert_eq!(tickets, [1]);
    pair.stop().await;
}
