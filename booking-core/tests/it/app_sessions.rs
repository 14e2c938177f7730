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
    let stored: Vec<Vec<u8>> = sqlx::query_scalar("select refresh_hash from app_sessions")
        .fetch_all(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    let token = refresh["refreshToken"].as_str().unwrap();
    assert!(stored.len() == 1 && stored[0] != token.as_bytes());
    // A copy of the first token ends the session, with the tokens that are good.
    shop.clock.advance(Duration::from_secs(31));
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
async fn a_lost_answer_is_given_again_and_any_copy_ends_the_session() {
    let shop = TestShop::new().await;
    bought(&shop, &["A1"]).await;
    let mut known: Vec<String> = Vec::new();
    for copy in ["unanswered", "before", "made up"] {
        let known_now: Vec<&str> = known.iter().map(String::as_str).collect();
        let sent = code(&shop, &known_now).await;
        let first = tokens(&shop, json!({"email": ADDRESS, "code": sent})).await;
        known.push(sent);
        let refresh = refresh_of(&first);
        // Two at once are the same as one whose answer was lost.
        let both = join_all([
            tokens(&shop, refresh.clone()),
            tokens(&shop, refresh.clone()),
        ])
        .await;
        let [one, other] = [refresh_of(&both[0]), refresh_of(&both[1])];
        shop.clock.advance(Duration::from_secs(10));
        let again = tokens(&shop, refresh.clone()).await;
        assert_eq!(history(&shop, &again).await, 1, "{copy}");
        let wrong = match copy {
            // Neither of the tokens that nobody got is good for anything.
            "unanswered" => [one, other],
            "before" => {
                shop.clock.advance(Duration::from_secs(21));
                [refresh.clone(), refresh]
            }
            _ => {
                let mut text = refresh["refreshToken"].as_str().unwrap().to_owned();
                text.replace_range(30..34, "AAAA");
                let made_up = json!({"refreshToken": text});
                [made_up.clone(), made_up]
            }
        };
        for token in wrong {
            assert_eq!(tokens(&shop, token).await.status, 401, "{copy}");
        }
        assert_eq!(history(&shop, &again).await, 0, "{copy}");
        assert_eq!(tokens(&shop, refresh_of(&again)).await.status, 401);
        shop.clock.advance(Duration::from_mins(30));
    }
}

#[tokio::test]
async fn codes_of_apps_are_few_and_hard_to_guess_and_leave_those_of_refunds_alone() {
    let shop = TestShop::new().await;
    let (fan, booking, _) = bought(&shop, &["A1"]).await;
    let mut known: Vec<String> = Vec::new();
    for _ in 0..5 {
        let known_now: Vec<&str> = known.iter().map(String::as_str).collect();
        let sent = code(&shop, &known_now).await;
        assert_eq!(sent.len(), 8);
        known.push(sent);
        shop.clock.advance(Duration::from_mins(5));
    }
    let asked = async || {
        let answer = shop.fan();
        let asked = answer
            .post("/api/v1/me/codes", &json!({"email": ADDRESS}))
            .await;
        assert_eq!(asked.status, 202);
        tokio::time::sleep(Duration::from_millis(300)).await;
        crate::guests::mails(&shop, "one-time-code").await.len()
    };
    assert_eq!(asked().await, 5, "the sixth of a day");
    // Whoever has the booking still gets codes of their own.
    let own = crate::guests::ask_code(&fan, &booking).await;
    assert_eq!(own.status, 202, "{}", own.text);
    assert_eq!(crate::guests::mails(&shop, "one-time-code").await.len(), 6);
    shop.clock.advance(Duration::from_hours(24));
    assert_eq!(asked().await, 7);
    let begun = tokio::time::Instant::now();
    let stranger = json!({"email": "no@example.com", "code": "12345678"});
    assert_eq!(tokens(&shop, stranger).await.code(), "code-not-valid");
    assert!(begun.elapsed() >= Duration::from_millis(250));
    let wrong = json!({"email": ADDRESS, "code": "0"});
    assert_eq!(tokens(&shop, wrong.clone()).await.code(), "code-not-valid");
    shop.meddle("update app_code_misses set misses = misses + 119")
        .await;
    let busy = tokens(&shop, wrong.clone()).await;
    assert_eq!((busy.status, busy.code()), (503, "booking-busy"));
    shop.clock.advance(Duration::from_mins(1));
    assert_eq!(tokens(&shop, wrong).await.code(), "code-not-valid");
    shop.assert_clean().await;
}

#[tokio::test]
async fn whoever_was_passed_tickets_on_sees_those_in_the_app() {
    let shop = TestShop::new().await;
    let (fan, booking, _) = bought(&shop, &["A1", "A2"]).await;
    let ticket = crate::transfers::id(&fan.get(&booking).await.json, 0);
    let friend = "friend@example.org";
    let code = crate::transfers::code_of(&shop, &fan, &booking, &[]).await;
    let wish = json!({"email": friend, "ticketIds": [ticket], "code": code});
    let passed = fan.post(&format!("{booking}/transfer"), &wish).await;
    assert_eq!(passed.status, 200, "{}", passed.text);
    let asked = json!({"email": friend});
    shop.fan().post("/api/v1/me/codes", &asked).await;
    eventually("the mail with the code", || async {
        crate::guests::mails(&shop, "one-time-code").await.len() > 1
    })
    .await;
    let sent = newest_code(&shop, &[&code]).await;
    let begun = tokens(&shop, json!({"email": friend, "code": sent})).await;
    let access = begun.json["accessToken"].as_str().unwrap();
    let app: Fan = shop.fan().with_header("booking-access", access);
    let listed = app.get("/api/v1/me/bookings").await.json;
    let listed = listed["bookings"].as_array().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["ticketCount"], &listed[0]["amountMinor"]),
        (&json!(1), &json!(0))
    );
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
