//! A fan's cookies: what other sites cannot do with them, and that an odd or outdated one is no
//! hindrance.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::serving::within;
use crate::test_app::{Answer, Fan, JSON, PUBLIC_URL, TestApp, World, eventually};

const PLACES: &str = "/_line/v1/rooms/eras/places";
const PLACE: &str = "/_line/v1/rooms/eras/place";
const PASS: &str = "/_line/v1/rooms/eras/pass";
const JOIN_FORM: &str = "/_line/rooms/eras/join";
const LEAVE_FORM: &str = "/_line/rooms/eras/leave";

/// A gateway with a room that calls nobody, and a fan who waits there.
async fn someone_waits() -> (World, TestApp, Fan) {
    let world = World::create().await;
    world.room(json!({"totalActiveUsers": 0})).await;
    let app = world.gateway().await;
    let fan = app.join(1).await;
    (world, app, fan)
}

async fn ask(app: &TestApp, method: &Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    app.send(method.clone(), path, headers, "").await
}

async fn status_on_live(app: &TestApp, headers: &[(&'static str, &str)]) -> StatusCode {
    let url = format!("ws://{}{PLACE}/live", app.addr());
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let connecting = tokio_tungstenite::connect_async(request);
    match within("the handshake", connecting).await {
        Ok((_, response)) => response.status(),
        Err(Error::Http(response)) => response.status(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn another_sites_page_cannot_use_a_fans_cookies() {
    let (_world, app, fan) = someone_waits().await;
    let cookie = ("cookie", fan.cookie.as_str());
    let calls = [
        (Method::POST, PLACES),
        (Method::POST, JOIN_FORM),
        (Method::POST, LEAVE_FORM),
        (Method::POST, PASS),
        (Method::DELETE, PLACE),
        (Method::DELETE, PASS),
    ];
    for (method, path) in &calls {
        for foreign in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            let refused = ask(&app, method, path, &[cookie, foreign]).await;
            refused.assert_problem(403, "forbidden");
            assert!(refused.headers.get("set-cookie").is_none(), "{path}");
        }
    }
    // Nor without the cookie, which a browser leaves out here and there and then overwrites.
    let fresh = ask(
        &app,
        &Method::POST,
        PLACES,
        &[("origin", "https://evil.example")],
    )
    .await;
    fresh.assert_problem(403, "forbidden");
    let before = fan.joined.status_document();
    let after = fan.call(&app, Method::POST, "places").await;
    assert_eq!(after.status, StatusCode::OK);
    assert_eq!(after.status_document().order_key, before.order_key);
}

#[tokio::test]
async fn our_pages_and_programs_go_on_working() {
    let (_world, app, fan) = someone_waits().await;
    let here = format!("http://{}", app.addr());
    let bearer = fan.bearer();
    let cookie = ("cookie", fan.cookie.as_str());
    for headers in [
        [cookie, ("origin", PUBLIC_URL)],
        [cookie, ("origin", &here)],
        [cookie, ("sec-fetch-site", "same-origin")],
        [cookie, ("user-agent", "curl")],
        [cookie, ("content-type", JSON)],
        // A token in a header was put there on purpose, by whoever holds it.
        [
            ("authorization", &bearer),
            ("origin", "https://app.example"),
        ],
    ] {
        let again = ask(&app, &Method::POST, PLACES, &headers).await;
        assert_eq!(
            again.status,
            StatusCode::OK,
            "{headers:?}: {}",
            again.text()
        );
    }
    for origin in [PUBLIC_URL, &here] {
        let headers = [cookie, ("origin", origin)];
        let left = ask(&app, &Method::POST, LEAVE_FORM, &headers).await;
        assert_eq!(left.status, StatusCode::SEE_OTHER, "{}", left.text());
    }
}

#[tokio::test]
async fn another_sites_page_cannot_read_a_fans_frames() {
    let (_world, app, fan) = someone_waits().await;
    let bearer = fan.bearer();
    let cookie = ("cookie", fan.cookie.as_str());
    for (headers, expected) in [
        ([cookie, ("origin", "https://sub.line.test")], 403),
        ([cookie, ("origin", PUBLIC_URL)], 101),
        ([cookie, ("user-agent", "a program")], 101),
        (
            [
                ("authorization", bearer.as_str()),
                ("origin", "https://app.example"),
            ],
            101,
        ),
    ] {
        let status = status_on_live(&app, &headers).await;
        assert_eq!(status.as_u16(), expected, "{headers:?}");
    }
}

/// The cookie that the answer takes away.
fn cleared(answer: &Answer) -> &str {
    let set = answer.header("set-cookie");
    assert!(set.contains("Max-Age=0"), "{set:?}");
    answer.cookie()
}

#[tokio::test]
async fn a_place_of_a_deleted_room_hinders_nothing_that_needs_none() {
    let (world, app, fan) = someone_waits().await;
    let old = app.rooms.get(&"eras".parse().unwrap()).unwrap();
    world.room_delete("eras").await;
    world.clock.advance(Duration::from_secs(1));
    world.room(json!({"totalActiveUsers": 0})).await;
    eventually("the new room", async || {
        let new = app.rooms.get(&"eras".parse().unwrap())?;
        (new.record().created_at > old.record().created_at).then_some(())
    })
    .await;
    let outdated = ("cookie", fan.cookie.as_str());
    let forged = ("cookie", "ropeline_place_eras=v1.x.y");
    let looked = ask(&app, &Method::GET, PLACE, &[outdated]).await;
    looked.assert_problem(410, "place-expired");
    for cookie in [outdated, forged] {
        let draw = ask(&app, &Method::GET, "/_line/v1/rooms/eras/draw", &[cookie]).await;
        assert_eq!(draw.status, StatusCode::OK, "{}", draw.text());
        let left = ask(&app, &Method::DELETE, PLACE, &[cookie]).await;
        assert_eq!(left.status, StatusCode::NO_CONTENT, "{}", left.text());
        assert_eq!(cleared(&left), "ropeline_place_eras=");
        let ended = ask(&app, &Method::DELETE, PASS, &[cookie]).await;
        assert_eq!(ended.status, StatusCode::NO_CONTENT, "{}", ended.text());
    }
    // A bearer token is sent on purpose: gone is gone, but what was never given is refused.
    let bearer = fan.bearer();
    let expired = [("authorization", bearer.as_str())];
    let left = ask(&app, &Method::DELETE, PLACE, &expired).await;
    assert_eq!(left.status, StatusCode::NO_CONTENT, "{}", left.text());
    let draw = ask(&app, &Method::GET, "/_line/v1/rooms/eras/draw", &expired).await;
    draw.assert_problem(410, "place-expired");
    let never = [("authorization", "Bearer v1.x.y")];
    let refused = ask(&app, &Method::DELETE, PLACE, &never).await;
    refused.assert_problem(401, "place-invalid");
}

#[tokio::test]
async fn who_has_a_pass_keeps_it_when_nobody_waits() {
    let world = World::create().await;
    world.room(json!({"queueAll": false})).await;
    let app = world.gateway().await;
    let form = ("content-type", "application/x-www-form-urlencoded");
    let ways = [
        (Method::GET, "/_line/rooms/eras?to=%2Feras%2Fseats"),
        (Method::GET, "/_line/rooms/eras/enter?to=%2Feras%2Fseats"),
        (Method::POST, "/_line/rooms/eras/join?to=%2Feras%2Fseats"),
    ];
    let first = ask(&app, &ways[0].0, ways[0].1, &[]).await;
    assert!(first.cookie().starts_with("ropeline_pass_eras="));
    for (method, path) in &ways {
        let again = ask(&app, method, path, &[form, ("cookie", first.cookie())]).await;
        assert_eq!(again.status, StatusCode::SEE_OTHER, "{}", again.text());
        assert_eq!(again.header("location"), "/eras/seats");
        assert!(again.headers.get("set-cookie").is_none(), "{path}");
        let forged = ask(
            &app,
            method,
            path,
            &[form, ("cookie", "ropeline_pass_eras=x")],
        )
        .await;
        assert!(forged.cookie().starts_with("ropeline_pass_eras="), "{path}");
    }
    let cookie = ("cookie", first.cookie());
    let joined = ask(&app, &Method::POST, PLACES, &[cookie]).await;
    assert_eq!(joined.status, StatusCode::OK, "{}", joined.text());
    assert!(joined.headers.get("set-cookie").is_none());
    let pass = joined.status_document().pass.unwrap();
    assert!(first.cookie().ends_with(&pass.access_token));
    assert!(pass.expires_in > 0);
}
