//! Old place tokens bring no place back.

use std::time::Duration;

use contract::Clock;
use contract::line::RoomDocument;
use http::{Method, StatusCode};
use serde_json::json;

use crate::live::{connect, frame};
use crate::test_app::{Fan, TestApp, World, eventually};

const ABSENCE: Duration = Duration::from_mins(1);
const AGE_MAX: Duration = Duration::from_mins(10);

async fn in_line(app: &TestApp, count: u64) {
    eventually("the line", async || {
        let answer = app.get("/_line/v1/rooms/eras", &[]).await;
        let document: RoomDocument = serde_json::from_value(answer.json()).unwrap();
        (document.users_in_line == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_token_that_is_too_old_brings_no_place_back_and_whoever_is_in_line_stays() {
    let world = World::create().await;
    let settings = json!({
        "totalActiveUsers": 0, "absenceTimeoutSeconds": ABSENCE.as_secs(),
        "placeMaxAgeSeconds": AGE_MAX.as_secs(),
    });
    world.room(settings).await;
    let app = world.gateway().await;
    let (gone, connected) = (app.join(1).await, app.join(2).await);
    let early = gone.call(&app, Method::GET, "place").await.waiting_key();
    let mut live = connect(&app, &connected).await;
    frame(&mut live, |_| true).await;
    world
        .clock
        .advance(AGE_MAX.saturating_sub(Duration::from_secs(5)));
    in_line(&app, 1).await;
    // Young enough.
    assert_eq!(
        gone.call(&app, Method::GET, "place").await.waiting_key(),
        early
    );
    in_line(&app, 2).await;
    world.clock.advance(ABSENCE);
    in_line(&app, 1).await;
    gone.call(&app, Method::GET, "place")
        .await
        .assert_problem(410, "place-expired");
    let newcomer = app.join(3).await.joined.waiting_key();
    let again = gone.call(&app, Method::POST, "places").await;
    assert!(again.waiting_key() > newcomer);

    // The place of whoever is there does not age, and joining again renews its token.
    let kept = connected
        .call(&app, Method::GET, "place")
        .await
        .waiting_key();
    let renewed = connected.call(&app, Method::POST, "places").await;
    assert_eq!(
        (renewed.status, renewed.waiting_key()),
        (StatusCode::OK, kept)
    );
    let token = |fan: &str| {
        let room = app.rooms.get(&"eras".parse().unwrap()).unwrap();
        room.parts.place_keys.verify(fan).unwrap()
    };
    let renewed = renewed.status_document().place.unwrap();
    assert!(token(&renewed).issued_at > token(&connected.token).issued_at.plus(AGE_MAX));
    drop(live);
    let fan = Fan {
        token: renewed,
        ..connected
    };
    in_line(&app, 3).await;
    world.clock.advance(ABSENCE * 2);
    in_line(&app, 0).await;
    assert_eq!(
        fan.call(&app, Method::GET, "place").await.waiting_key(),
        kept
    );
    assert!(world.clock.now() > token(&fan.token).issued_at);
}
