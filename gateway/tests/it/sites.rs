//! Pages of other sites that a room names: they may use the room's paths as its own pages do.

use http::{Method, StatusCode};
use serde_json::json;

use crate::test_app::{Answer, JSON, TestApp, World, eventually};

const SITE: (&str, &str) = ("origin", "https://www.example.com");
const OTHER: (&str, &str) = ("origin", "https://evil.example");
const PLACES: &str = "/_line/v1/rooms/eras/places";
const PLACE: &str = "/_line/v1/rooms/eras/place";

async fn open() -> (World, TestApp) {
    let world = World::create().await;
    let changes = json!({"corsOrigins": ["https://www.example.com", "http://localhost:3000"]});
    world.room(changes).await;
    world.room_named("encore", json!({})).await;
    let app = world.gateway().await;
    (world, app)
}

fn assert_read_by(answer: &Answer, origin: &str) {
    assert_eq!(answer.header("access-control-allow-origin"), origin);
    // With a fan's cookies a browser shows it to no page.
    let credentials = answer.headers.get("access-control-allow-credentials");
    assert_eq!(credentials, None);
    let mut varies = answer.headers.get_all("vary").iter();
    assert!(varies.any(|on| on == "Origin"), "{:?}", answer.headers);
}

fn assert_read_by_nobody(answer: &Answer) {
    let has = answer.headers.contains_key("access-control-allow-origin");
    assert!(!has, "{:?}", answer.headers);
}

async fn join(app: &TestApp, path: &str, origin: (&str, &str), nonce: u8) -> Answer {
    let nonce = data_encoding::BASE64URL_NOPAD.encode(&[nonce; 16]);
    let headers = [("content-type", JSON), origin];
    let body = json!({"nonce": nonce}).to_string();
    app.send(Method::POST, path, &headers, body).await
}

#[tokio::test]
async fn a_page_of_a_named_site_joins_looks_claims_and_ends() {
    let (_world, app) = open().await;
    // The line is there as soon as one has joined it.
    app.join(1).await;
    let joined = join(&app, PLACES, SITE, 2).await;
    assert!(joined.status.is_success(), "{}", joined.text());
    assert_read_by(&joined, SITE.1);
    assert_eq!(
        joined.header("access-control-expose-headers"),
        "retry-after, x-request-id"
    );
    let bearer = format!("Bearer {}", joined.status_document().place.unwrap());
    let looked = app.get(PLACE, &[SITE, ("authorization", &bearer)]).await;
    assert_eq!(looked.status, StatusCode::OK);
    assert_read_by(&looked, SITE.1);
    let ask = async |method, end: &str| {
        let path = format!("/_line/v1/rooms/eras/{end}");
        app.send(method, &path, &[SITE, ("authorization", &bearer)], "")
            .await
    };
    let claimed = eventually("the call", async || {
        let answer = ask(Method::POST, "pass").await;
        (answer.status == StatusCode::OK).then_some(answer)
    })
    .await;
    assert_read_by(&claimed, SITE.1);
    let ended = ask(Method::DELETE, "pass").await;
    assert!(ended.status.is_success(), "{}", ended.text());
    assert_read_by(&ended, SITE.1);
    // Refusals can be read as well.
    let lost = app.get(PLACE, &[SITE, ("authorization", "Bearer x")]).await;
    assert!(lost.status.is_client_error());
    assert_read_by(&lost, SITE.1);
}

#[tokio::test]
async fn a_browser_that_asks_is_told_what_a_named_site_may_send() {
    let (_world, app) = open().await;
    let asks = [
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization, content-type",
        ),
    ];
    let told = app
        .send(Method::OPTIONS, PLACES, &[SITE, asks[0], asks[1]], "")
        .await;
    assert_eq!(told.status, StatusCode::NO_CONTENT);
    assert_read_by(&told, SITE.1);
    assert_eq!(
        told.header("access-control-allow-methods"),
        "GET, POST, PUT, DELETE"
    );
    let fields = told.header("access-control-allow-headers");
    assert!(fields.contains("authorization") && fields.contains("content-type"));
    for (path, origin) in [
        (PLACES, OTHER),
        ("/_line/v1/rooms/encore/places", SITE),
        ("/_line/v1/rooms/nothing/places", SITE),
        ("/_line/v1/jwks.json", SITE),
    ] {
        let told = app
            .send(Method::OPTIONS, path, &[origin, asks[0]], "")
            .await;
        assert!(!told.status.is_success(), "{path}");
        assert_read_by_nobody(&told);
    }
}

#[tokio::test]
async fn a_page_of_any_other_site_is_refused_and_reads_nothing() {
    let (_world, app) = open().await;
    app.join(1).await;
    let of_other = join(&app, PLACES, OTHER, 2).await;
    of_other.assert_problem(403, "forbidden");
    assert_read_by_nobody(&of_other);
    let of_other_room = join(&app, "/_line/v1/rooms/encore/places", SITE, 2).await;
    of_other_room.assert_problem(403, "forbidden");
    assert_read_by_nobody(&of_other_room);
    // An answer that is kept for all tells that it differs by site.
    let own = app.get(PLACE, &[]).await;
    let mut varies = own.headers.get_all("vary").iter();
    assert!(varies.any(|on| on == "Origin"), "{:?}", own.headers);
}

#[tokio::test]
async fn what_is_a_fans_by_cookie_is_for_no_page_of_another_site() {
    let (_world, app) = open().await;
    let fan = app.join(1).await;
    let cookie = ("cookie", fan.cookie.as_str());
    let looked = app.get(PLACE, &[SITE, cookie]).await;
    assert_eq!(looked.status, StatusCode::OK);
    assert_read_by_nobody(&looked);
    let left = app.send(Method::DELETE, PLACE, &[SITE, cookie], "").await;
    left.assert_problem(403, "forbidden");
    assert_read_by_nobody(&left);
    assert_eq!(app.get(PLACE, &[cookie]).await.status, StatusCode::OK);
}
