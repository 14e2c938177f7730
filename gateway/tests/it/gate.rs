//! The gate in front of both kinds of upstream.

use std::time::Duration;

use axum::response::IntoResponse;
use contract::line::PlaceState;
use contract::room::Override;
use http::{Method, StatusCode};
use serde_json::json;

use crate::line::place_of;
use crate::serving::{Server, within};
use crate::test_app::{Fan, TestApp, World, eventually};

const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml");

async fn open_room(changes: serde_json::Value) -> (World, TestApp) {
    let world = World::create().await;
    world.room(changes).await;
    let app = world.gateway().await;
    (world, app)
}

/// A room in front of the booking core's stand-in, or of the same as somebody else's service.
async fn open_shop(is_remote: bool, mut changes: serde_json::Value) -> (World, Server, TestApp) {
    let world = World::create().await;
    let shop = Server::start(world.upstream()).await;
    if is_remote {
        changes["upstream"] = json!(shop.url(""));
    }
    world.room(changes).await;
    let app = world.gateway().await;
    (world, shop, app)
}

#[tokio::test]
async fn without_a_pass_browsers_are_sent_to_wait_and_programs_told_where() {
    let (world, app) = open_room(json!({})).await;
    let browser = app.get("/eras/seats?row=A&x=%26", &[HTML]).await;
    assert_eq!(browser.status, StatusCode::FOUND);
    let location = browser.header("location");
    assert_eq!(
        location,
        "/_line/rooms/eras?to=/eras/seats%3Frow%3DA%26x%3D%2526"
    );
    assert_eq!(browser.header("cache-control"), "no-store");
    for method in [Method::GET, Method::POST] {
        let program = app.send(method, "/eras/seats", &[], "").await;
        let problem = program.assert_problem(403, "pass-required");
        assert!(problem["joinUrl"].as_str().unwrap().starts_with("/_line/"));
        assert_eq!(program.header("cache-control"), "no-store");
    }
    assert!(world.seen.lock().unwrap().is_empty());
    // What no room protects passes, without a word about anyone.
    assert_eq!(app.get("/erasmus", &[]).await.text(), "/erasmus");
    assert!(world.last_seen().headers.get("ropeline-room").is_none());
}

#[tokio::test]
async fn a_pass_opens_its_room_however_it_is_shown() {
    let (world, app) = open_room(json!({})).await;
    world.room_named("other", json!({})).await;
    let fan = app.join(1).await;
    let pass = fan.claimed(&app).await;
    let cookie = format!("a=b; ropeline_pass_eras={pass}; c=d");
    let bearer = format!("Bearer {pass}");
    for shown in [
        ("cookie", cookie.as_str()),
        ("ropeline-pass", pass.as_str()),
        ("authorization", bearer.as_str()),
    ] {
        let inside = app.get("/eras/seats", &[shown]).await;
        assert_eq!(inside.status, StatusCode::OK, "{shown:?} {}", inside.text());
        let seen = world.last_seen().headers;
        assert_eq!(seen["ropeline-room"], "eras");
        assert_eq!(seen["ropeline-subject"], place_of(&app, 1).to_string());
        assert!(seen.contains_key("ropeline-pass-expires"));
    }
    eventually("the other room", async || {
        app.rooms.get(&"other".parse().unwrap()).map(|_| ())
    })
    .await;
    let elsewhere = app.get("/other/x", &[("ropeline-pass", &pass)]).await;
    elsewhere.assert_problem(403, "pass-required");
    let (head, rest) = pass.split_once('.').unwrap();
    for forged in [
        format!("{head}.{}", &rest[1..]),
        format!("e30.{rest}"),
        String::new(),
    ] {
        let refused = app.get("/eras/seats", &[("ropeline-pass", &forged)]).await;
        refused.assert_problem(403, "pass-required");
    }
    world.clock.advance(Duration::from_secs(3600));
    let late = app.get("/eras/seats", &[("ropeline-pass", &pass)]).await;
    late.assert_problem(403, "pass-required");
}

#[tokio::test]
async fn what_a_client_claims_about_itself_is_removed() {
    let (world, app) = open_room(json!({})).await;
    let pass = app.join(1).await.claimed(&app).await;
    let spoofed = [
        ("ropeline-pass", pass.as_str()),
        ("ropeline-subject", "someone"),
        ("ropeline-room", "vip"),
        ("ropeline_subject", "someone"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "mine"),
    ];
    for path in ["/eras/a", "/elsewhere"] {
        app.get(path, &spoofed).await;
        let seen = world.last_seen().headers;
        assert_eq!(seen.get_all("ropeline-room").iter().count(), 1);
        assert_eq!(seen["ropeline-room"], "eras");
        assert_eq!(seen["ropeline-subject"], place_of(&app, 1).to_string());
        assert!(!seen.contains_key("ropeline_subject"));
        assert_eq!(seen["x-forwarded-for"], "127.0.0.1");
        assert_eq!(seen["x-forwarded-proto"], "http");
        assert_ne!(seen["x-request-id"], "mine");
    }
}

#[tokio::test]
async fn nobody_is_sent_off_the_site() {
    let (_world, app) = open_room(json!({"queueAll": false})).await;
    for to in [
        "https%3A%2F%2Fevil.test",
        "%2F%2Fevil.test",
        "%2F%5Cevil.test",
        "javascript:x",
    ] {
        let sent = app.get(&format!("/_line/rooms/eras?to={to}"), &[]).await;
        assert_eq!(sent.status, StatusCode::SEE_OTHER);
        assert_eq!(sent.header("location"), "/", "{to}");
    }
    let sent = app.get("/_line/rooms/eras?to=%2Feras%2Fa", &[]).await;
    assert_eq!(sent.header("location"), "/eras/a");
}

#[tokio::test]
async fn ambiguous_paths_are_refused() {
    let (world, app) = open_room(json!({})).await;
    for path in [
        "/eras%2Fseats",
        "/x/%2e%2e/eras",
        "/eras%00",
        "/x//eras",
        "/x%5Ceras",
    ] {
        let refused = app.get(path, &[]).await;
        assert!(
            refused.status.is_client_error(),
            "{path}: {}",
            refused.status
        );
    }
    assert!(world.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_upstream_ends_the_session_and_the_slot_is_free() {
    for is_remote in [false, true] {
        let (_world, _shop, app) = open_shop(is_remote, json!({"totalActiveUsers": 1})).await;
        let (first, second) = (app.join(1).await, app.join(2).await);
        let pass = first.claimed(&app).await;
        let header = [("ropeline-pass", pass.as_str())];
        assert_eq!(app.get("/eras/a", &header).await.text(), "/eras/a");
        assert_eq!(second.look(&app).await.state, PlaceState::Waiting);
        if is_remote {
            let bearer = format!("Bearer {pass}");
            let refused = app.get("/eras/a", &[("authorization", &bearer)]).await;
            refused.assert_problem(403, "pass-required");
        }
        let done = app.get("/eras/done", &header).await;
        assert_eq!(done.text(), "/eras/done");
        assert!(!done.headers.contains_key("ropeline-command"));
        let over = app.get("/eras/a", &header).await;
        over.assert_problem(403, "pass-required");
        second.claimed(&app).await;
        assert_eq!(first.look(&app).await.state, PlaceState::Ended);
        first.claim(&app).await.assert_problem(409, "not-called");
    }
}

/// The pass that the call of `fan` brings, not used yet.
pub(crate) async fn called_pass(app: &TestApp, fan: &Fan) -> String {
    let stream = app
        .http
        .get(app.server.url("/_line/v1/rooms/eras/place/live"))
        .header("accept", "text/event-stream")
        .header("cookie", &fan.cookie);
    let mut stream = within("the stream", stream.send()).await.unwrap();
    let mut text = String::new();
    while !text.contains("access_token") {
        let chunk = within("the call", stream.chunk()).await.unwrap();
        text += std::str::from_utf8(&chunk.unwrap()).unwrap();
    }
    let pass = text.split(r#""access_token":""#).nth(1).unwrap();
    pass.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_called_pass_claims_by_its_first_use() {
    let (_world, app) = open_room(json!({"totalActiveUsers": 1})).await;
    let fan = app.join(1).await;
    let pass = called_pass(&app, &fan).await;
    let pass = pass.as_str();
    let inside = app.get("/eras/a", &[("ropeline-pass", pass)]).await;
    assert_eq!(inside.status, StatusCode::OK, "{}", inside.text());
    assert_eq!(fan.look(&app).await.state, PlaceState::Admitted);
}

#[tokio::test]
async fn an_older_pass_of_the_same_place_is_none() {
    let (world, app) = open_room(json!({"claimWindowSeconds": 30})).await;
    let fan = app.join(1).await;
    let missed = called_pass(&app, &fan).await;
    world.clock.advance(Duration::from_secs(60));
    eventually("the second call", async || {
        fan.call(&app, Method::POST, "places").await;
        (fan.look(&app).await.state == PlaceState::Called).then_some(())
    })
    .await;
    let pass = called_pass(&app, &fan).await;
    assert_ne!(missed, pass);
    // Showing it does not spoil the one that counts.
    for _ in 0..2 {
        let refused = app.get("/eras/a", &[("ropeline-pass", &missed)]).await;
        refused.assert_problem(403, "pass-required");
        let inside = app.get("/eras/a", &[("ropeline-pass", &pass)]).await;
        assert_eq!(inside.status, StatusCode::OK, "{}", inside.text());
    }
}

#[tokio::test]
async fn a_session_in_use_is_renewed_up_to_its_limit() {
    let (world, app) = open_room(json!({
        "sessionDurationSeconds": 100, "sessionMaxSeconds": 150
    }))
    .await;
    let fan = app.join(1).await;
    let pass = fan.claimed(&app).await;
    let visit = async |pass: &str| app.get("/eras/a", &[("ropeline-pass", pass)]).await;
    assert!(!visit(&pass).await.headers.contains_key("set-cookie"));
    world.clock.advance(Duration::from_secs(60));
    let renewed = visit(&pass).await;
    let pass = renewed
        .cookie()
        .strip_prefix("ropeline_pass_eras=")
        .unwrap()
        .to_owned();
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(visit(&pass).await.status, StatusCode::OK);
    world.clock.advance(Duration::from_secs(40));
    visit(&pass).await.assert_problem(403, "pass-required");
    assert_eq!(fan.look(&app).await.state, PlaceState::Ended);
}

#[tokio::test]
async fn a_session_prolonged_by_one_gateway_is_good_at_the_others() {
    let (world, app) = open_room(json!({"sessionDurationSeconds": 100})).await;
    let other = world.gateway().await;
    let pass = app.join(1).await.claimed(&app).await;
    let visit = async |app: &TestApp, pass: &str| {
        let inside = app.get("/eras/a", &[("ropeline-pass", pass)]).await;
        assert_eq!(inside.status, StatusCode::OK, "{}", inside.text());
        inside
    };
    visit(&other, &pass).await;
    world.clock.advance(Duration::from_secs(60));
    let renewed = visit(&app, &pass).await;
    let pass = renewed.cookie().strip_prefix("ropeline_pass_eras=");
    world.clock.advance(Duration::from_secs(60));
    visit(&other, pass.unwrap()).await;
}

#[tokio::test]
async fn the_pass_of_a_missed_turn_does_not_stand_in_the_way_of_the_next() {
    let (world, app) = open_room(json!({"claimWindowSeconds": 60})).await;
    let fan = app.join(1).await;
    let old = called_pass(&app, &fan).await;
    world.clock.advance(Duration::from_secs(61));
    eventually("the missed turn", async || {
        (fan.look(&app).await.state == PlaceState::Missed).then_some(())
    })
    .await;
    eventually("the tick that notes it", async || {
        let again = fan.call(&app, Method::POST, "places").await;
        (again.status_document().state != PlaceState::Missed).then_some(())
    })
    .await;
    let pass = fan.claimed(&app).await;
    // This one has not seen the place before.
    let other = world.gateway().await;
    let refused = other.get("/eras/a", &[("ropeline-pass", &old)]).await;
    refused.assert_problem(403, "pass-required");
    let inside = other.get("/eras/a", &[("ropeline-pass", &pass)]).await;
    assert_eq!(inside.status, StatusCode::OK, "{}", inside.text());
}

#[tokio::test]
async fn an_idle_room_lets_everyone_through_and_gives_browsers_a_pass() {
    let (world, app) = open_room(json!({"queueAll": false})).await;
    let program = app.get("/eras/a", &[]).await;
    assert_eq!(program.status, StatusCode::OK);
    assert!(!program.headers.contains_key("set-cookie"));
    let browser = app.get("/eras/a", &[HTML]).await;
    let cookie = browser.cookie().to_owned();
    assert!(cookie.starts_with("ropeline_pass_eras="));
    let subject = world.last_seen().headers["ropeline-subject"].clone();
    let again = app.get("/eras/b", &[HTML, ("cookie", &cookie)]).await;
    assert!(!again.headers.contains_key("set-cookie"));
    assert_eq!(world.last_seen().headers["ropeline-subject"], subject);
}

/// The session marks that the upstream saw of this pass on a path that no room protects.
async fn vouched(world: &World, app: &TestApp, path: &str, pass: &str) -> Vec<String> {
    let answer = app
        .send(Method::POST, path, &[("ropeline-pass", pass)], "")
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let headers = world.last_seen().headers;
    // Whose things are whose does not end with the session.
    assert_eq!(headers["ropeline-room"], "eras");
    assert!(headers.contains_key("ropeline-subject"));
    let marks = headers.get_all("ropeline-session").iter();
    marks
        .map(|mark| mark.to_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn off_protected_paths_a_pass_counts_for_as_long_as_its_session() {
    let (world, app) = open_room(json!({})).await;
    let idle = json!({"queueAll": false});
    world.room_named("other", idle).await;
    let fan = app.join(1).await;
    let pass = fan.claimed(&app).await;
    eventually("the other room", async || {
        app.rooms.get(&"other".parse().unwrap()).map(|_| ())
    })
    .await;
    let paths = ["/holds", "/other/holds"];
    for path in paths {
        assert_eq!(vouched(&world, &app, path, &pass).await, ["live"], "{path}");
    }
    // A client's own word on it does not arrive.
    let spoofed = [("ropeline-session", "live"), ("ropeline_session", "live")];
    app.get("/holds", &spoofed).await;
    assert!(!world.last_seen().headers.contains_key("ropeline-session"));
    assert!(!world.last_seen().headers.contains_key("ropeline_session"));
    fan.call(&app, Method::DELETE, "pass").await;
    for path in paths {
        assert_eq!(vouched(&world, &app, path, &pass).await, ["over"], "{path}");
    }
}

#[tokio::test]
async fn a_pass_from_before_the_opening_admits_nobody_after_it() {
    let (world, app) = open_room(json!({"queueAll": false})).await;
    let browser = app.get("/eras/a", &[HTML]).await;
    let pass = browser.cookie().strip_prefix("ropeline_pass_eras=");
    let pass = pass.unwrap().to_owned();
    assert_eq!(vouched(&world, &app, "/holds", &pass).await, ["live"]);
    world.word(Override::Open, None).await;
    eventually("the opening", async || {
        let eras = app.rooms.get(&"eras".parse().unwrap()).unwrap();
        (!eras.is_idle()).then_some(())
    })
    .await;
    assert_eq!(vouched(&world, &app, "/holds", &pass).await, ["over"]);
    let refused = app.get("/eras/a", &[("ropeline-pass", &pass)]).await;
    refused.assert_problem(403, "pass-required");
}

#[tokio::test]
async fn a_call_past_its_deadline_admits_nobody() {
    let (world, app) = open_room(json!({"claimWindowSeconds": 30})).await;
    let pass = called_pass(&app, &app.join(1).await).await;
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(vouched(&world, &app, "/holds", &pass).await, ["over"]);
}

#[tokio::test]
async fn an_answer_with_a_pass_is_kept_by_no_cache() {
    for is_remote in [false, true] {
        let (_world, _shop, app) = open_shop(is_remote, json!({"queueAll": false})).await;
        let with_pass = app.get("/eras/cached", &[HTML]).await;
        assert!(with_pass.cookie().starts_with("ropeline_pass_eras="));
        assert_eq!(with_pass.header("cache-control"), "private, no-store");
        for name in ["expires", "surrogate-control", "cdn-cache-control"] {
            assert!(!with_pass.headers.contains_key(name), "{name}");
        }
        let without = app.get("/eras/cached", &[]).await;
        assert_eq!(without.header("cache-control"), "public, max-age=600");
        assert!(without.headers.contains_key("expires"));
    }
}

/// A fan inside `eras` and `other`, whose passes are cookies.
async fn inside_both(world: &World, app: &TestApp) -> String {
    world.room_named("other", json!({})).await;
    eventually("the other room", async || {
        app.rooms.get(&"other".parse().unwrap()).map(|_| ())
    })
    .await;
    let here = app.join(1).await.claimed(app).await;
    let there = app.join_room("other", 1).await.claimed(app).await;
    format!("ropeline_pass_other={there}; ropeline_pass_eras={here}; ropeline_session=x; a=b")
}

#[tokio::test]
async fn a_remote_upstream_hears_of_its_own_room_and_ends_no_other_session() {
    let world = World::create().await;
    let shop = Server::start(world.upstream()).await;
    world.room(json!({"upstream": shop.url("")})).await;
    let app = world.gateway().await;
    let cookies = inside_both(&world, &app).await;
    let cookies = [("cookie", cookies.as_str())];
    app.get("/eras/a", &cookies).await;
    let seen = world.last_seen().headers;
    let rooms: Vec<_> = seen.get_all("ropeline-room").iter().collect();
    assert_eq!(rooms, ["eras"]);
    assert_eq!(seen["ropeline-session"], "live");
    assert_eq!(seen["cookie"], "a=b");
    app.get("/eras/done?other", &cookies).await;
    let over = app.get("/eras/a", &cookies).await;
    over.assert_problem(403, "pass-required");
    assert_eq!(app.get("/other/a", &cookies).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_purchase_ends_the_session_of_its_room_only() {
    let (world, app) = open_room(json!({})).await;
    let cookies = inside_both(&world, &app).await;
    let cookies = [("cookie", cookies.as_str())];
    app.get("/confirm/done?eras", &cookies).await;
    let over = app.get("/eras/a", &cookies).await;
    over.assert_problem(403, "pass-required");
    assert_eq!(app.get("/other/a", &cookies).await.status, StatusCode::OK);
    let seen = world.last_seen().headers;
    let marks: Vec<_> = seen.get_all("ropeline-session").iter().collect();
    assert_eq!(marks, ["live", "over"]);
    assert_eq!(seen["cookie"], "ropeline_session=x; a=b");
}

#[tokio::test]
async fn an_answer_that_says_later_says_when() {
    let router = axum::Router::new().fallback(|uri: http::Uri| async move {
        let status = uri.path().rsplit('/').next().unwrap().parse::<u16>();
        let status = StatusCode::from_u16(status.unwrap()).unwrap();
        match uri.query() {
            Some(after) => (status, [("retry-after", after.to_owned())]).into_response(),
            None => status.into_response(),
        }
    });
    let shop = Server::start(router).await;
    let (_world, app) = open_room(json!({"queueAll": false, "upstream": shop.url("")})).await;
    for (path, after) in [
        ("/eras/429", "2"),
        ("/eras/503", "2"),
        ("/eras/503?77", "77"),
        ("/eras/500", ""),
        ("/eras/200", ""),
    ] {
        let answer = app.get(path, &[]).await;
        assert_eq!(answer.header("retry-after"), after, "{path}");
    }
}
