//! Sessions of apps.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::Connection;

use crate::cancel::{admin, bought};
use crate::fan::{Answer, Fan};
use crate::guests::newest_code;
use crate::test_shop::{TestShop, eventually};

const ADDRESS: &str = "fan@example.com";

/// Asks for a code and reads it in the mail.
async fn code(shop: &TestShop, known: &[&str]) -> String {
    shop.clock.advance(Duration::from_secs(1));
    let asked = shop
        .fan()
        .post("/api/v1/me/codes", &json!({"email": ADDRESS}))
        .await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    let before = known.len();
    eventually("the mail with the code", || async {
        crate::guests::mails(shop, "one-time-code").await.len() > before
    })
    .await;
    newest_code(shop, known).await
}

async fn tokens(shop: &TestShop, body: Value) -> Answer {
    shop.fan().post("/api/v1/me/token", &body).await
}

fn refresh_of(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text);
    json!({"refreshToken": answer.json["refreshToken"]})
}

/// The codes of the bookings that an access token opens.
async fn history(shop: &TestShop, tokens: &Answer) -> usize {
    let access = tokens.json["accessToken"].as_str().unwrap();
    let app: Fan = shop.fan().with_header("booking-access", access);
    let answer = app.get("/api/v1/me/bookings").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["bookings"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_code_begins_a_session_and_refresh_tokens_keep_it() {
    let shop = TestShop::new().await;
    bought(&shop, &["A1"]).await;
    bought(&shop, &["A2"]).await;
    // Nobody learns whether there is a booking.
    let stranger = shop
        .fan()
        .post("/api/v1/me/codes", &json!({"email": "no@example.com"}))
        .await;
    assert_eq!(stranger.status, 202);
    let sent = code(&shop, &[]).await;
    assert!(!stranger.text.contains(&sent));
    let wrong = tokens(&shop, json!({"email": ADDRESS, "code": "0"})).await;
    assert_eq!((wrong.status, wrong.code()), (403, "code-not-valid"));
    let first = tokens(&shop, json!({"email": "Fan@Example.com", "code": sent})).await;
    let refresh = refresh_of(&first);
    assert_eq!(history(&shop, &first).await, 2);
    let again = tokens(&shop, json!({"email": ADDRESS, "code": sent})).await;
    assert_eq!(again.code(), "code-not-valid");
    shop.clock.advance(Duration::from_mins(10));
    assert_eq!(history(&shop, &first).await, 0);
    let second = tokens(&shop, refresh.clone()).await;
    assert_eq!(history(&shop, &second).await, 2);
    // The database has no token.
    let mut database = shop.database.connect().await;
    let stored: Vec<Vec<u8>> = sqlx::query_scalar("select token_hash from app_refresh_tokens")
        .fetch_all(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    let token = refresh["refreshToken"].as_str().unwrap();
    assert!(stored.len() == 2 && stored.iter().all(|hash| hash != token.as_bytes()));
    // A copy of the first token ends the session, with the tokens that are good.
    let reused = tokens(&shop, refresh).await;
    assert_eq!((reused.status, reused.code()), (401, "unauthorized"));
    assert_eq!(tokens(&shop, refresh_of(&second)).await.status, 401);
    assert_eq!(history(&shop, &second).await, 0);
    for wrong in [
        json!({}),
        json!({"email": ADDRESS}),
        json!({"code": "1", "refreshToken": "x"}),
    ] {
        assert_eq!(tokens(&shop, wrong).await.status, 422);
    }
    shop.assert_clean().await;
}

#[tokio::test]
async fn of_two_uses_at_once_one_is_the_second() {
    let shop = TestShop::new().await;
    bought(&shop, &["A1"]).await;
    let sent = code(&shop, &[]).await;
    let first = tokens(&shop, json!({"email": ADDRESS, "code": sent})).await;
    let refresh = refresh_of(&first);
    let both = join_all([tokens(&shop, refresh.clone()), tokens(&shop, refresh)]).await;
    let mut statuses: Vec<u16> = both.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
    // The session is over for whoever got the next token, too.
    let got = both.iter().find(|answer| answer.status == 200).unwrap();
    assert_eq!(tokens(&shop, refresh_of(got)).await.status, 401);
}

#[tokio::test]
async fn a_code_wears_out_and_is_none_for_a_booking() {
    let shop = TestShop::new().await;
    let (fan, booking, _) = bought(&shop, &["A1"]).await;
    let sent = code(&shop, &[]).await;
    let wish = json!({"email": "friend@example.org", "code": sent});
    let passed = fan.post(&format!("{booking}/transfer"), &wish).await;
    assert_eq!(passed.code(), "code-not-valid");
    for _ in 0..5 {
        let wrong = tokens(&shop, json!({"email": ADDRESS, "code": "0"})).await;
        assert_eq!(wrong.code(), "code-not-valid");
    }
    let worn_out = tokens(&shop, json!({"email": ADDRESS, "code": sent})).await;
    assert_eq!(worn_out.code(), "code-not-valid");
    let second = code(&shop, &[&sent]).await;
    shop.clock.advance(Duration::from_mins(10));
    let late = tokens(&shop, json!({"email": ADDRESS, "code": second})).await;
    assert_eq!(late.code(), "code-not-valid");
    shop.assert_clean().await;
}

#[tokio::test]
async fn sessions_end_by_their_app_by_an_operator_and_by_themselves() {
    let shop = TestShop::new().await;
    let (_, booking, _) = bought(&shop, &["A1"]).await;
    let mut known: Vec<String> = Vec::new();
    for end in ["app", "operator", "time"] {
        let known_now: Vec<&str> = known.iter().map(String::as_str).collect();
        let sent = code(&shop, &known_now).await;
        let begun = tokens(&shop, json!({"email": ADDRESS, "code": sent})).await;
        let refresh = refresh_of(&begun);
        assert_eq!(history(&shop, &begun).await, 1);
        match end {
            "app" => {
                let ended = shop.fan().post("/api/v1/me/token/revoke", &refresh).await;
                assert_eq!(ended.status, 204, "{}", ended.text);
            }
            "operator" => {
                let admins = booking.replace("/api/v1/", "/admin/v1/");
                let path = format!("{admins}/links/revoke");
                assert_eq!(admin(&shop).post(&path, &json!({})).await.status, 200);
            }
            _ => shop.clock.advance(Duration::from_hours(90 * 24)),
        }
        assert_eq!(history(&shop, &begun).await, 0, "{end}");
        assert_eq!(tokens(&shop, refresh).await.status, 401, "{end}");
        known.push(sent);
        shop.clock.advance(Duration::from_mins(30));
    }
}
