//! A fan's cookies: what other sites cannot do with them, and that an odd or outdated one is no
//! hindrance.

use http::{Method, StatusCode};
use serde_json::json;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::serving::within;
use crate::test_app::{Answer, Fan, JSON, PUBLIC_URL, TestApp, World};

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
    let form = [("content-type", "text/plain")];
    let typed = ask(&app, &Method::POST, PLACES, &form).await;
    typed.assert_problem(415, "unsupported-media-type");
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
