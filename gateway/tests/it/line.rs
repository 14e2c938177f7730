//! The line through the real router: joining, looking, live status, claiming, leaving.

use std::time::Duration;

use contract::line::{DrawDocument, Phase, PlaceState, RoomDocument, StatusDocument};
use contract::room::Override;
use contract::{Clock, PlaceId};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use futures_util::StreamExt;
use http::{Method, StatusCode};
use line::policy::order::draw;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::live::{connect, frame};
use crate::serving::within;
use crate::test_app::{Fan, JSON, SEED, TestApp, World, eventually};

const PLACES: &str = "/_line/v1/rooms/eras/places";
const PLACE: &str = "/_line/v1/rooms/eras/place";

/// A gateway with a room that calls nobody, as it has no slot to give.
async fn waiting_room() -> (World, TestApp) {
    let world = World::create().await;
    world.room(json!({"totalActiveUsers": 0})).await;
    let app = world.gateway().await;
    (world, app)
}

/// A gateway with a room that calls everyone at once.
async fn open_room() -> (World, TestApp) {
    let world = World::create().await;
    world.room(json!({})).await;
    let app = world.gateway().await;
    (world, app)
}

#[tokio::test]
async fn joining_again_is_the_same_place_by_cookie_bearer_and_nonce() {
    let (_world, app) = waiting_room().await;
    let fan = app.join(1).await;
    assert_eq!(fan.joined.status, StatusCode::CREATED);
    assert_eq!(fan.joined.header("cache-control"), "no-store");
    let first = fan.joined.status_document();
    assert_eq!(
        (first.state, first.queue_number),
        (PlaceState::Waiting, Some(1))
    );
    let cookie = app
        .send(Method::POST, PLACES, &[("cookie", &fan.cookie)], "")
        .await;
    let bearer = fan.call(&app, Method::POST, "places").await;
    let nonce = app.join(1).await.joined;
    for again in [cookie, bearer, nonce] {
        assert_eq!(again.status, StatusCode::OK, "{}", again.text());
        assert_eq!(again.status_document().order_key, first.order_key);
    }
    let other = app.join(2).await;
    let second = other.joined.status_document();
    assert_eq!(second.queue_number, Some(2));
    assert!(second.order_key > first.order_key);
    // With the token the number is lost, and the place counts from where it stands now.
    eventually("the numbers", async || {
        (other.look(&app).await.users_in_line == 2).then_some(())
    })
    .await;
    let again = app.join(2).await.joined.status_document();
    assert_eq!(again.order_key, second.order_key);
    assert_eq!(
        (again.users_ahead, again.queue_number, again.progress),
        (Some(1), None, Some(0.0))
    );
}

#[tokio::test]
async fn a_join_is_checked_field_by_field() {
    let (_world, app) = waiting_room().await;
    let join = async |body: String| {
        let json = [("content-type", JSON)];
        app.send(Method::POST, PLACES, &json, body).await
    };
    join("{".into()).await.assert_problem(400, "bad-request");
    let unknown = join(r#"{"nonse": "x"}"#.into()).await;
    let problem = unknown.assert_problem(422, "validation-failed");
    assert!(problem.to_string().contains("nonse"), "{problem}");
    for nonce in ["", "AAAA", "not base64!", &"A".repeat(43)] {
        let refused = join(json!({"nonce": nonce}).to_string()).await;
        assert_eq!(
            refused.assert_problem(422, "validation-failed")["field"],
            "nonce"
        );
    }
    let large = join(format!(
        r#"{{"nonce": "{}"}}"#,
        "A".repeat(web::BODY_BYTES_MAX)
    ))
    .await;
    large.assert_problem(413, "payload-too-large");
    let empty = app.send(Method::POST, PLACES, &[], "").await;
    assert_eq!(empty.status, StatusCode::CREATED, "{}", empty.text());
    let room = app.get("/_line/v1/rooms/nowhere", &[]).await;
    room.assert_problem(404, "room-not-found");
    let method = app.send(Method::PUT, PLACES, &[], "").await;
    assert_eq!(method.status, StatusCode::METHOD_NOT_ALLOWED);
    let unknown = app.get("/_line/v1/nothing", &[]).await;
    unknown.assert_problem(404, "not-found");
}

#[tokio::test]
async fn only_genuine_tokens_of_the_room_are_places() {
    let (world, app) = waiting_room().await;
    world
        .room_named("other", json!({"totalActiveUsers": 0}))
        .await;
    let other = eventually("the other room", async || {
        let known = app.rooms.get(&"other".parse().unwrap()).is_some();
        if known {
            Some(app.join_room("other", 1).await)
        } else {
            None
        }
    });
    let other = other.await;
    app.get(PLACE, &[])
        .await
        .assert_problem(401, "place-required");
    let ask = async |token: &str| {
        let bearer = format!("Bearer {token}");
        app.get(PLACE, &[("authorization", &bearer)]).await
    };
    ask(&other.token).await.assert_problem(401, "place-invalid");
    let fan = app.join(1).await;
    let (text, mac) = fan.token.rsplit_once('.').unwrap();
    ask(&format!("{text}.{}", mac.chars().rev().collect::<String>()))
        .await
        .assert_problem(401, "place-invalid");
    ask("v1.x.y").await.assert_problem(401, "place-invalid");
    assert_eq!(ask(&fan.token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn leaving_twice_is_harmless_and_joining_again_is_at_the_end() {
    let (_world, app) = waiting_room().await;
    let fan = app.join(1).await;
    let other = app.join(2).await;
    for _ in 0..2 {
        let left = fan.call(&app, Method::DELETE, "place").await;
        assert_eq!(left.status, StatusCode::NO_CONTENT);
        assert!(left.header("set-cookie").contains("Max-Age=0"));
    }
    let nobody = app.send(Method::DELETE, PLACE, &[], "").await;
    assert_eq!(nobody.status, StatusCode::NO_CONTENT);
    assert_eq!(fan.look(&app).await.state, PlaceState::Left);
    let again = fan.call(&app, Method::POST, "places").await;
    assert_eq!(again.status, StatusCode::CREATED);
    let again = again.status_document();
    assert!(again.order_key > other.joined.status_document().order_key);
    let bearer = format!("Bearer {}", again.place.unwrap());
    let looked = app.get(PLACE, &[("authorization", &bearer)]).await;
    assert_eq!(looked.status_document().order_key, again.order_key);
}

#[tokio::test]
async fn a_claim_before_the_turn_says_how_one_stands() {
    let (_world, app) = waiting_room().await;
    let fan = app.join(1).await;
    let refused = fan.claim(&app).await;
    let problem = refused.assert_problem(409, "not-called");
    let place: StatusDocument = serde_json::from_value(problem["place"].clone()).unwrap();
    assert_eq!(place.state, PlaceState::Waiting);
    assert!(refused.headers.get("set-cookie").is_none());
}

#[tokio::test]
async fn a_socket_gets_status_at_once_then_the_call_with_a_pass() {
    let world = World::create().await;
    world.room(json!({"totalActiveUsers": 1})).await;
    let app = world.gateway().await;
    let first = app.join(1).await;
    first.claimed(&app).await;
    let fan = app.join(2).await;
    let mut live = connect(&app, &fan).await;
    let status = frame(&mut live, |_| true).await;
    assert_eq!(
        (status.kind.as_str(), status.state),
        ("status", PlaceState::Waiting)
    );
    assert!(status.pass.is_none());
    let ended = first.call(&app, Method::DELETE, "pass").await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    let called = frame(&mut live, |status| status.state == PlaceState::Called).await;
    assert!(called.claim_by.unwrap() > world.clock.now());
    let pass = called.pass.unwrap().access_token;
    let claimed = fan.claimed(&app).await;
    let keys = &app.rooms.parts().pass_keys;
    let room = "eras".parse().unwrap();
    let verify = |text: &str| keys.verify_for(text, &room, world.clock.now()).unwrap();
    assert_eq!(verify(&pass).jti, verify(&claimed).jti);
    frame(&mut live, |status| status.state == PlaceState::Admitted).await;
    fan.call(&app, Method::DELETE, "pass").await;
    frame(&mut live, |status| status.state == PlaceState::Ended).await;
}

#[tokio::test]
async fn an_event_stream_tells_the_same_as_a_socket() {
    let (_world, app) = open_room().await;
    let fan = app.join(1).await;
    let request = app
        .http
        .get(app.server.url(&format!("{PLACE}/live")))
        .header("accept", "text/event-stream")
        .header("cookie", &fan.cookie);
    let mut response = within("the stream", request.send()).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let caching = &response.headers()["cache-control"];
    assert_eq!(caching, "no-store, no-transform");
    let mut text = String::new();
    within("the call", async {
        while !(text.contains(r#""state":"called""#) && text.contains("access_token")) {
            text += std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap();
        }
    })
    .await;
    assert!(text.starts_with("event: status\ndata: {"), "{text}");
}

#[tokio::test]
async fn claims_from_several_connections_are_one_session() {
    let (world, app) = open_room().await;
    let fan = app.join(1).await;
    fan.claimed(&app).await;
    let other = world.gateway().await;
    let claims = futures_util::future::join_all((0..8).map(async |n| {
        let app = if n % 2 == 0 { &app } else { &other };
        let pass = fan.claim(app).await.json();
        let text = pass["access_token"].as_str().unwrap().to_owned();
        let room = "eras".parse().unwrap();
        let keys = &app.rooms.parts().pass_keys;
        keys.verify_for(&text, &room, world.clock.now()).unwrap()
    }));
    let claims = claims.await;
    for claim in &claims {
        assert_eq!((&claim.jti, claim.exp), (&claims[0].jti, claims[0].exp));
        assert_eq!(claim.queue_position, 1);
    }
}

#[tokio::test]
async fn a_missed_turn_is_told_and_forgiven_on_return() {
    let world = World::create().await;
    world.room(json!({"claimWindowSeconds": 30})).await;
    let app = world.gateway().await;
    let fan = app.join(1).await;
    let called = async || fan.look(&app).await.state == PlaceState::Called;
    eventually("the call", async || called().await.then_some(())).await;
    world.clock.advance(Duration::from_secs(31));
    let state = fan.look(&app).await.state;
    assert_eq!(state, PlaceState::Missed);
    fan.claim(&app).await.assert_problem(409, "not-called");
    // Coming back is a join, or a new connection; either calls the fan next.
    eventually("the second call", async || {
        fan.call(&app, Method::POST, "places").await;
        called().await.then_some(())
    })
    .await;
    fan.claimed(&app).await;
}

#[tokio::test]
async fn an_absent_place_is_dropped_and_comes_back_with_its_token() {
    let world = World::create().await;
    world
        .room(json!({"totalActiveUsers": 0, "absenceTimeoutSeconds": 60}))
        .await;
    let app = world.gateway().await;
    let fan = app.join(1).await;
    let connected = app.join(2).await;
    let mut live = connect(&app, &connected).await;
    frame(&mut live, |_| true).await;
    // Once is enough: a place that nobody ever comes back to is given up instead.
    fan.look(&app).await;
    let (before, kept) = (
        fan.joined.status_document(),
        connected.joined.status_document(),
    );
    world.clock.advance(Duration::from_secs(61));
    let in_line = async || {
        let document: RoomDocument =
            serde_json::from_value(app.get("/_line/v1/rooms/eras", &[]).await.json()).unwrap();
        document
    };
    // An earlier view may show one place too: that of the fan who joined first.
    let kept = [kept.order_key.unwrap()];
    eventually("the drop", async || {
        (in_line().await.head == kept).then_some(())
    })
    .await;
    assert_eq!(fan.look(&app).await.order_key, before.order_key);
    let both = eventually("the return", async || {
        let document = in_line().await;
        (document.users_in_line == 2).then_some(document)
    });
    assert_eq!(both.await.head.first(), before.order_key.as_ref());
    // Closing the connection starts the absence of the other one.
    live.close(None).await.unwrap();
    eventually("the second drop", async || {
        fan.look(&app).await;
        world.clock.advance(Duration::from_secs(10));
        (in_line().await.head == [before.order_key.clone().unwrap()]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_room_document_is_cacheable_and_hides_the_draw() {
    let world = World::create().await;
    let prequeue = world.clock.now().minus(Duration::from_secs(5));
    let opens = world.clock.now().plus(Duration::from_secs(3600));
    world
        .room(
            json!({"prequeueOpensAt": prequeue, "opensAt": opens, "totalActiveUsers": 0,
            "absenceTimeoutSeconds": 100_000}),
        )
        .await;
    let app = world.gateway().await;
    let fans = [app.join(1).await, app.join(2).await, app.join(3).await];
    let waiting = fans[0].joined.status_document();
    assert_eq!(
        (waiting.state, waiting.order_key),
        (PlaceState::Prequeue, None)
    );
    let room = async || app.get("/_line/v1/rooms/eras", &[]).await;
    let filled = eventually("the snapshot", async || {
        let answer = room().await;
        (answer.json()["usersInLine"] == 3).then_some(answer)
    });
    let answer = filled.await;
    assert_eq!(answer.header("cache-control"), "public, max-age=1");
    assert!(answer.headers.get("set-cookie").is_none());
    let document: RoomDocument = serde_json::from_value(answer.json()).unwrap();
    assert!(document.head.is_empty() && document.knots.is_empty());
    assert_eq!(document.phase, Phase::Prequeue);
    eventually("an unchanged document", async || {
        let tag = room().await.header("etag").to_owned();
        let again = app
            .get("/_line/v1/rooms/eras", &[("if-none-match", &tag)])
            .await;
        (again.status == StatusCode::NOT_MODIFIED && again.body.is_empty()).then_some(())
    })
    .await;
    let draw_document = async |fan: &Fan| -> DrawDocument {
        let answer = fan.call(&app, Method::GET, "draw").await;
        serde_json::from_value(answer.json()).unwrap()
    };
    let before = draw_document(&fans[0]).await;
    assert_eq!((&before.seed, &before.order_key), (&None, &None));
    world.clock.advance(Duration::from_secs(3601));
    let opened = eventually("the opening", async || {
        let document = draw_document(&fans[0]).await;
        document.seed.is_some().then_some(document)
    });
    let opened = opened.await;
    assert_eq!(opened.commitment, before.commitment);
    assert_eq!(
        HEXLOWER_PERMISSIVE
            .decode(opened.seed.unwrap().as_bytes())
            .unwrap(),
        SEED
    );
    let mut keys = Vec::new();
    for (n, fan) in (1u8..).zip(&fans) {
        let document = draw_document(fan).await;
        assert_eq!(document.nonce, Some(BASE64URL_NOPAD.encode(&[n; 16])));
        let expected = draw(&SEED, &"eras".parse().unwrap(), &[n; 16])
            .get()
            .to_string();
        assert_eq!(document.order_key, Some(expected.clone()));
        keys.push(expected);
    }
    keys.sort_by_key(|key| key.parse::<u64>().unwrap());
    let listed = eventually("the order", async || {
        let document: RoomDocument = serde_json::from_value(room().await.json()).unwrap();
        (document.head.len() == 3).then_some(document)
    });
    assert_eq!(listed.await.head, keys);
    // Whoever joins now stands behind everyone drawn.
    let late = app.join(4).await;
    let last = late.joined.status_document().order_key.unwrap();
    assert!(last.parse::<u64>().unwrap() > keys[2].parse().unwrap());
    let queue_numbers = eventually("queue numbers", async || {
        let mut numbers = Vec::new();
        for fan in &fans {
            numbers.push(fan.look(&app).await.queue_number?);
        }
        numbers.sort_unstable();
        Some(numbers)
    });
    assert_eq!(queue_numbers.await, [1, 2, 3]);
}

#[tokio::test]
async fn phases_decide_who_gets_a_place() {
    let world = World::create().await;
    world.room(json!({"queueAll": false})).await;
    let app = world.gateway().await;
    let idle = app.send(Method::POST, PLACES, &[], "").await;
    assert_eq!(idle.status, StatusCode::OK);
    let through = idle.status_document();
    assert_eq!(
        (through.phase, through.state),
        (Phase::Idle, PlaceState::Admitted)
    );
    assert!(through.pass.is_some() && idle.cookie().starts_with("ropeline_pass_eras="));
    let phase = async |wanted: Phase| {
        eventually("the phase", async || {
            let document = app.get("/_line/v1/rooms/eras", &[]).await.json();
            (document["phase"] == json!(wanted)).then_some(document)
        })
        .await
    };
    world
        .word(Override::Pause, Some("The doors are stuck."))
        .await;
    assert_eq!(
        phase(Phase::Paused).await["pausedReason"],
        "The doors are stuck."
    );
    let fan = app.join(1).await;
    let status = fan.look(&app).await;
    // It never opened: whoever comes now takes part in the draw.
    assert_eq!(status.state, PlaceState::Prequeue);
    assert_eq!(
        status.paused_reason.as_deref(),
        Some("The doors are stuck.")
    );
    world.word(Override::Open, None).await;
    fan.claimed(&app).await;
    world.word(Override::Close, None).await;
    phase(Phase::Closed).await;
    let late = app.send(Method::POST, PLACES, &[], "").await;
    late.assert_problem(410, "room-closed");
}

#[tokio::test]
async fn an_access_code_is_asked_of_newcomers_only() {
    let world = World::create().await;
    world
        .room(json!({"totalActiveUsers": 0, "accessCodes": ["RED", "BLUE"]}))
        .await;
    let app = world.gateway().await;
    let json = [("content-type", JSON)];
    let join = async |body: &str| app.send(Method::POST, PLACES, &json, body.to_owned()).await;
    join("{}").await.assert_problem(403, "forbidden");
    let refused = join(r#"{"accessCode": "green"}"#).await;
    let problem = refused.assert_problem(403, "forbidden");
    assert_eq!(
        problem["field"], "accessCode",
        "what another site asks for says something else"
    );
    let joined = join(r#"{"accessCode": "BLUE"}"#).await;
    assert_eq!(joined.status, StatusCode::CREATED);
    let again = app
        .send(Method::POST, PLACES, &[("cookie", joined.cookie())], "")
        .await;
    assert_eq!(again.status, StatusCode::OK);
}

#[tokio::test]
async fn a_single_address_is_held_back() {
    use gateway::edge::rate_limit::RateLimitConfig;
    let world = World::create().await;
    world.room(json!({"totalActiveUsers": 0})).await;
    let options = world.database.options();
    let redis = test_support::redis::redis_url();
    let app = world
        .gateway_on(&redis, options, RateLimitConfig::default())
        .await;
    let fan = app.join(1).await;
    let refused = eventually("the limit", async || {
        let answer = fan.call(&app, Method::GET, "place").await;
        (answer.status != StatusCode::OK).then_some(answer)
    });
    let refused = refused.await;
    refused.assert_problem(429, "rate-limited");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
}

#[tokio::test]
async fn the_page_works_without_scripts() {
    let world = World::create().await;
    world.room(json!({"totalActiveUsers": 1})).await;
    let app = world.gateway().await;
    let first = app.join(9).await;
    first.claimed(&app).await;
    let page = "/_line/rooms/eras?to=%2Feras%2Fseats";
    let shown = app.get(page, &[]).await;
    assert_eq!(shown.status, StatusCode::OK);
    assert_eq!(shown.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(shown.header("cache-control"), "public, max-age=1");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let join = "/_line/rooms/eras/join?to=%2Feras%2Fseats";
    let joined = app
        .send(Method::POST, join, &form, "nonce=&accessCode=".to_owned())
        .await;
    assert_eq!(joined.status, StatusCode::SEE_OTHER, "{}", joined.text());
    assert!(
        joined
            .header("location")
            .starts_with("/_line/rooms/eras?to=")
    );
    let cookie = [("cookie", joined.cookie())];
    let waiting = app.get(joined.header("location"), &cookie).await;
    assert!(
        waiting.text().contains(r#"http-equiv="refresh""#),
        "{}",
        waiting.text()
    );
    let enter = "/_line/rooms/eras/enter?to=%2Feras%2Fseats";
    let early = app.get(enter, &cookie).await;
    assert_eq!(early.status, StatusCode::SEE_OTHER);
    assert!(
        early
            .header("location")
            .starts_with("/_line/rooms/eras?to=")
    );
    first.call(&app, Method::DELETE, "pass").await;
    let entered = eventually("the turn", async || {
        let answer = app.get(enter, &cookie).await;
        (answer.header("location") == "/eras/seats").then_some(answer)
    });
    let pass = entered.await.cookie().to_owned();
    let inside = app.get("/eras/seats", &[("cookie", &pass)]).await;
    assert_eq!(
        (inside.status, inside.text().as_str()),
        (StatusCode::OK, "/eras/seats")
    );
}

#[tokio::test]
async fn shutting_down_sends_fans_elsewhere() {
    let (_world, app) = waiting_room().await;
    let fan = app.join(1).await;
    let mut live = connect(&app, &fan).await;
    frame(&mut live, |_| true).await;
    app.stop.cancel();
    let (mut order, mut code) = (None, None);
    within("the goodbye", async {
        while let Some(Ok(message)) = live.next().await {
            match message {
                Message::Text(text) if text.contains("reconnect") => order = Some(text),
                Message::Close(frame) => code = frame.map(|frame| u16::from(frame.code)),
                _ => {}
            }
        }
    })
    .await;
    assert!(order.unwrap().contains("afterMs"));
    assert_eq!(code, Some(1012));
}

/// The place of the fan who drew `nonce`.
pub(crate) fn place_of(app: &TestApp, nonce: u8) -> PlaceId {
    let keys = &app.rooms.parts().place_keys;
    keys.place_id(&"eras".parse().unwrap(), &[nonce; 16])
}
