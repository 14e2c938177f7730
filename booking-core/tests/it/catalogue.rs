//! Browsing, importing, the description.

use serde_json::json;

use crate::fan::{Fan, SHOW, intent_of};
use crate::test_shop::{TestShop, show_file};

#[tokio::test]
async fn cities_shows_and_seats_can_be_browsed() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let cities = fan.get("/api/v1/cities").await.json;
    assert_eq!(cities["cities"][0]["cityId"], "mumbai");
    assert_eq!(cities["cities"][0]["showCount"], 1);
    for (query, count) in [
        ("", 1),
        ("?date=2026-12-24", 1),
        ("?date=2026-12-25", 0),
        ("?date=2026-12-23", 0),
        ("?q=SWIFT", 1),
        ("?q=stadium&date=2026-12-24", 1),
        ("?q=jazz", 0),
    ] {
        let listed = fan
            .get(&format!("/api/v1/cities/mumbai/shows{query}"))
            .await;
        assert_eq!(
            listed.json["shows"].as_array().unwrap().len(),
            count,
            "{query}"
        );
    }
    assert_eq!(
        fan.get("/api/v1/cities/atlantis/shows").await.code(),
        "not-found"
    );
    let date = fan.get("/api/v1/cities/mumbai/shows?date=tomorrow").await;
    assert_eq!((date.status, date.code()), (422, "validation-failed"));
    let document = fan.get(SHOW).await.json;
    assert_eq!(
        (&document["availableCount"], &document["seatCount"]),
        (&json!(19), &json!(20))
    );
    assert_eq!(document["saleStatus"], "OPEN");
    let map = fan.get(&format!("{SHOW}/seatmap")).await.json;
    assert_eq!(map["seats"].as_array().unwrap().len(), 20);
    assert_eq!(fan.seat("B10").await, "BLOCKED");
    assert_eq!(fan.seat("A1").await, "AVAILABLE");
}

#[tokio::test]
async fn what_is_the_same_for_everyone_is_compressed_and_sent_once() {
    let mut file = show_file();
    file["description"] = json!("Three hours, ten acts. ".repeat(60));
    let shop = TestShop::with(file).await;
    let fan = shop.fan().with_header("accept-encoding", "gzip");
    for path in [SHOW, "/api/v1/cities/mumbai/shows", "/api/v1/openapi.json"] {
        let packed = fan.get(path).await;
        assert_eq!(packed.headers["content-encoding"], "gzip", "{path}");
        assert_eq!(packed.headers["vary"], "accept-encoding", "{path}");
        let tag = packed.headers["etag"].to_str().unwrap();
        let knowing = fan.clone().with_header("if-none-match", tag);
        assert_eq!(knowing.get(path).await.status, 304, "{path}");
    }
    // A page beside which something of one's own may stand is not: its length would tell of it.
    let page = |fan: Fan| async move { fan.get("/shows/eras-mumbai-1").await.headers };
    assert_eq!(page(fan.clone()).await["content-encoding"], "gzip");
    fan.held(&["A1"]).await;
    assert!(page(fan).await.get("content-encoding").is_none());
}

#[tokio::test]
async fn the_seat_map_has_a_version_that_every_process_agrees_on() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let path = format!("{SHOW}/seatmap");
    let first = fan.get(&path).await;
    let etag = first.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(first.headers["cache-control"], "public, max-age=1");
    let again = fan
        .clone()
        .with_header("if-none-match", &etag)
        .get(&path)
        .await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    fan.held(&["A1"]).await;
    let changed = fan.get(&path).await;
    assert!(changed.json["version"].as_u64() > first.json["version"].as_u64());
    let other = shop.another_process().await;
    let elsewhere = fan.at(other.router.clone()).get(&path).await;
    assert_eq!(elsewhere.headers["etag"], changed.headers["etag"]);
}

#[tokio::test]
async fn a_map_with_other_prices_is_another_map() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let path = format!("{SHOW}/seatmap");
    let etag = fan.get(&path).await.headers["etag"].clone();
    let mut file = show_file();
    file["categories"][0]["priceMinor"] = json!(260_000);
    assert_eq!(shop.import(file.clone()).await.0, 200);
    let fan = fan.with_header("if-none-match", etag.to_str().unwrap());
    let dearer = fan.get(&path).await;
    assert_eq!(dearer.status, 200);
    assert_eq!(dearer.json["seats"][0]["priceMinor"], 260_000);
    // The same file again is no other map.
    assert_eq!(shop.import(file).await.0, 200);
    let etag = dearer.headers["etag"].to_str().unwrap();
    assert_eq!(
        fan.with_header("if-none-match", etag)
            .get(&path)
            .await
            .status,
        304
    );
}

#[tokio::test]
async fn the_same_file_again_changes_nothing() {
    let shop = TestShop::new().await;
    let (status, body) = shop.import(show_file()).await;
    assert_eq!((status, &body["outcome"]), (200, &json!("unchanged")));
    let mut file = show_file();
    file["title"] = json!("Eras, the last night");
    let (status, body) = shop.import(file).await;
    assert_eq!((status, &body["outcome"]), (200, &json!("updated")));
    assert_eq!(
        shop.fan().get(SHOW).await.json["title"],
        "Eras, the last night"
    );
    shop.assert_clean().await;
}

#[tokio::test]
async fn seats_may_change_until_someone_holds_one() {
    let shop = TestShop::new().await;
    let mut file = show_file();
    file["sections"][0]["seatsPerRow"] = json!(12);
    assert_eq!(shop.import(file.clone()).await.0, 200);
    let fan = shop.fan();
    fan.held(&["A12"]).await;
    shop.assert_clean().await;
    let mut smaller = show_file();
    smaller["title"] = json!("Smaller");
    let (status, body) = shop.import(smaller).await;
    assert_eq!((status, &body["code"]), (409, &json!("conflict")));
    file["categories"][0]["priceMinor"] = json!(300_000);
    assert_eq!(shop.import(file).await.0, 200);
    assert_eq!(shop.fan().get(SHOW).await.json["availableCount"], 20);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_process_with_an_old_layout_cannot_hold_the_wrong_seat() {
    let shop = TestShop::new().await;
    let other = shop.another_process().await;
    let fan = shop.fan().at(other.router.clone());
    assert_eq!(fan.seat("B1").await, "AVAILABLE", "read into memory");
    let mut file = show_file();
    file["sections"][0]["seatsPerRow"] = json!(5);
    assert_eq!(shop.import(file).await.0, 200);
    // B1 was the eleventh seat; now the sixth is.
    assert_eq!(fan.hold(&["B1"]).await.code(), "seats-unavailable");
    other.booking.refresh_once().await.unwrap();
    fan.held(&["B1"]).await;
    shop.process.booking.refresh_once().await.unwrap();
    assert_eq!(shop.fan().seat("B1").await, "HELD");
    shop.assert_clean().await;
}

#[tokio::test]
async fn what_another_process_changes_is_seen_at_the_next_look() {
    let shop = TestShop::new().await;
    let other = shop.another_process().await;
    let here = shop.fan();
    assert_eq!(here.seat("A1").await, "AVAILABLE", "read into memory");
    // Nothing is left over of the import that the show would be compared for.
    for _ in 0..2 {
        shop.process.booking.refresh_once().await.unwrap();
    }
    let there = shop.fan().at(other.router.clone());
    there.held(&["A1", "A2"]).await;
    shop.process.booking.refresh_once().await.unwrap();
    assert_eq!(here.seat("A1").await, "HELD");
    assert_eq!(here.seat("A2").await, "HELD");
    assert_eq!(here.seat("A3").await, "AVAILABLE");
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_show_is_sold_by_every_process_as_soon_as_one_has_imported_it() {
    let shop = TestShop::new().await;
    let (other, third) = (shop.another_process().await, shop.another_process().await);
    let mut file = show_file();
    file["showId"] = json!("eras-mumbai-2");
    assert_eq!(shop.import(file).await.0, 201);
    let path = "/api/v1/shows/eras-mumbai-2";
    let fan = shop.fan().at(other.router.clone());
    assert_eq!(fan.get(&format!("{path}/seatmap")).await.status, 200);
    let fan = fan.at(third.router.clone());
    let (holds, body) = (format!("{path}/holds"), json!({ "seatIds": ["A1"] }));
    assert_eq!(fan.post(&holds, &body).await.status, 201);
    let unknown = fan.get("/api/v1/shows/eras-mumbai-3/seatmap").await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn what_belongs_to_one_customer_is_kept_by_nobody() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let created = fan.hold(&["A1"]).await;
    let hold = created.headers["location"].to_str().unwrap().to_owned();
    let seen = fan.get(&hold).await;
    let paying = fan.pay(&hold).await;
    let intent = intent_of(&paying);
    shop.provider.pay(&intent);
    let booked = fan.confirm(&hold, &intent).await;
    let booking = format!(
        "/api/v1/bookings/{}",
        booked.json["bookingId"].as_str().unwrap()
    );
    let shown = fan.get(&booking).await;
    for answer in [created, seen, paying, booked, shown] {
        assert_eq!(
            answer.headers["cache-control"], "private, no-store",
            "{}",
            answer.text
        );
    }
}

#[tokio::test]
async fn a_bad_show_file_names_the_field() {
    let shop = TestShop::new().await;
    let mut file = show_file();
    file["holdSeconds"] = json!(10);
    let (status, body) = shop.import(file).await;
    assert_eq!((status, &body["field"]), (422, &json!("holdSeconds")));
    let mut file = show_file();
    file["sponsor"] = json!("Acme");
    let (status, body) = shop.import(file).await;
    assert_eq!(status, 422);
    assert!(
        body["detail"].as_str().unwrap().contains("sponsor"),
        "{body}"
    );
}

#[tokio::test]
async fn the_description_names_every_call() {
    let shop = TestShop::new().await;
    let api = shop.fan().get("/api/v1/openapi.json").await.json;
    assert!(api["openapi"].as_str().unwrap().starts_with("3.1"));
    for (path, methods) in [
        ("/api/v1/cities", vec!["get"]),
        ("/api/v1/cities/{cityId}/shows", vec!["get"]),
        ("/api/v1/shows/{showId}", vec!["get"]),
        ("/api/v1/shows/{showId}/seatmap", vec!["get"]),
        ("/api/v1/shows/{showId}/seatmap/compact", vec!["get"]),
        ("/api/v1/shows/{showId}/seatmap/live", vec!["get"]),
        ("/api/v1/shows/{showId}/holds", vec!["post"]),
        ("/api/v1/holds/{holdId}", vec!["get", "delete"]),
        ("/api/v1/holds/{holdId}/payments", vec!["post"]),
        ("/api/v1/holds/{holdId}/confirm", vec!["post"]),
        ("/api/v1/bookings/{bookingId}", vec!["get"]),
        ("/api/v1/bookings/{bookingId}/refund-offer", vec!["get"]),
        ("/api/v1/bookings/{bookingId}/cancel", vec!["post"]),
        ("/api/v1/bookings/{bookingId}/codes", vec!["post"]),
        ("/api/v1/bookings/find", vec!["post"]),
        ("/api/v1/me/bookings", vec!["get"]),
        ("/api/v1/payments/{provider}/webhook", vec!["post"]),
        ("/checkin/v1/scans", vec!["post"]),
        ("/checkin/v1/scanner", vec!["get"]),
        ("/checkin/v1/shows/{showId}/manifest", vec!["get"]),
        ("/checkin/v1/shows/{showId}/counts", vec!["get"]),
        ("/checkin/v1/shows/{showId}/conflicts", vec!["get"]),
    ] {
        for method in methods {
            assert!(api["paths"][path][method].is_object(), "{method} {path}");
        }
    }
    // What may be answered, beyond what the tests come across.
    for (path, method, status, media_type) in [
        ("/holds/{holdId}/payments", "post", "409", "problem+json"),
        ("/holds/{holdId}/confirm", "post", "408", "problem+json"),
        ("/holds/{holdId}", "get", "503", "problem+json"),
        ("/holds/{holdId}", "delete", "503", "problem+json"),
        ("/bookings/{bookingId}", "get", "503", "problem+json"),
        (
            "/bookings/{bookingId}/tickets/{ticketId}/qr.svg",
            "get",
            "503",
            "problem+json",
        ),
        ("/shows/{showId}/holds", "post", "415", "problem+json"),
        ("/shows/{showId}/holds", "post", "413", "problem+json"),
        (
            "/payments/{provider}/webhook",
            "post",
            "413",
            "problem+json",
        ),
    ] {
        let answer = &api["paths"][format!("/api/v1{path}")][method]["responses"][status];
        let content = &answer["content"][format!("application/{media_type}")];
        assert!(content.is_object(), "{method} {path} {status}: {answer}");
    }
    let webhook = &api["paths"]["/api/v1/payments/{provider}/webhook"]["post"];
    assert!(webhook["responses"]["415"].is_null() && webhook["security"].is_null());
    let hold = &api["paths"]["/api/v1/shows/{showId}/holds"]["post"];
    assert_eq!(
        hold["security"][0],
        json!({}),
        "an open show asks for nothing"
    );
    let schemes = api["components"]["securitySchemes"].as_object().unwrap();
    assert_eq!(schemes.len(), 6, "{schemes:?}");
    let user_id = &api["components"]["schemas"]["HoldRequest"]["properties"]["userId"];
    assert!(user_id["type"].is_null(), "anything may be sent: {user_id}");
    let unknown = shop.fan().get("/api/v1/nothing").await;
    assert_eq!((unknown.status, unknown.code()), (404, "not-found"));
    assert!(unknown.json["requestId"].is_string());
}

#[tokio::test]
async fn seat_maps_are_compressed_and_streams_are_not() {
    use tower::ServiceExt;

    let shop = TestShop::new().await;
    for (path, accept, coding) in [
        ("seatmap", "gzip, deflate, br", Some("br")),
        ("seatmap", "gzip", Some("gzip")),
        ("seatmap", "identity", None),
        ("seatmap/live", "gzip, deflate, br", None),
    ] {
        let request =
            http::Request::get(format!("{SHOW}/{path}")).header("accept-encoding", accept);
        let request = request.body(axum::body::Body::empty()).unwrap();
        let response = shop.process.router.clone().oneshot(request).await.unwrap();
        let found = response.headers().get("content-encoding");
        let found = found.map(|coding| coding.to_str().unwrap().to_owned());
        assert_eq!(found.as_deref(), coding, "{path} {accept}");
        if path == "seatmap" {
            assert_eq!(response.headers()["vary"], "accept-encoding");
        }
    }
}

#[tokio::test]
async fn the_compact_map_tells_what_the_whole_one_does() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    fan.held(&["A3"]).await;
    let whole = fan.get(&format!("{SHOW}/seatmap")).await.json;
    let compact = fan.get(&format!("{SHOW}/seatmap/compact")).await.json;
    assert_eq!(compact["version"], whole["version"]);
    let letters = whole["seats"].as_array().unwrap().iter();
    let letters: String = letters
        .map(|seat| match seat["status"].as_str().unwrap() {
            "AVAILABLE" => 'A',
            "HELD" => 'H',
            "BOOKED" => 'B',
            _ => 'X',
        })
        .collect();
    assert_eq!(compact["statuses"], letters);
    let mut ids = Vec::new();
    for run in compact["runs"].as_array().unwrap() {
        for at in 0..run["count"].as_u64().unwrap() {
            let number = run["number"].as_u64().unwrap() + at;
            ids.push(format!("{}{number}", run["prefix"].as_str().unwrap()));
        }
    }
    let expected: Vec<_> = whole["seats"].as_array().unwrap().iter().collect();
    let expected: Vec<_> = expected.iter().map(|seat| seat["seatId"].clone()).collect();
    assert_eq!(json!(ids), json!(expected));
    assert_eq!(fan.get(SHOW).await.json["heldCount"], 1);
}

#[tokio::test]
async fn watchers_hear_of_changes_with_the_version_they_lead_to() {
    use futures_util::StreamExt;
    use tower::ServiceExt;

    let shop = TestShop::new().await;
    let request = http::Request::get(format!("{SHOW}/seatmap/live"));
    let request = request.body(axum::body::Body::empty()).unwrap();
    let response = shop.process.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut events = response.into_body().into_data_stream();
    let first = events.next().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("\"changes\":[]"));
    let fan = shop.fan();
    fan.held(&["A3"]).await;
    let second = String::from_utf8(events.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(
        second.contains(r#"{"seatId":"A3","status":"HELD"}"#),
        "{second}"
    );
    let version = fan.get(&format!("{SHOW}/seatmap")).await.json["version"].clone();
    assert!(
        second.contains(&format!("\"version\":{version}")),
        "{second}"
    );
}
