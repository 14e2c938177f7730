//! Stand-by: while nobody waits and rate and cap have room, nobody sees the waiting page.

use std::time::Duration;

use contract::room::{AuditRecord, Override};
use contract::{Clock, PlaceId, SystemClock};
use futures_util::TryStreamExt;
use http::{Method, StatusCode};
use line::store::standby::{Standby, StandbyOrder};
use serde_json::{Value, json};
use test_support::redis::{redis_store, redis_url};
use test_support::tcp_proxy::Line;
use tokio::time::Instant;
use uuid::Uuid;

use crate::outages::behind_database_proxy;
use crate::test_app::{Answer, Fan, TestApp, World, eventually};

const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// A world whose room `eras` queues and is in stand-by, with `changes` to its settings.
async fn standing_by(mut changes: Value) -> World {
    let world = World::create().await;
    changes["queueAll"] = json!(false);
    changes["opensAt"] = json!("2026-01-01T00:00:00Z");
    world.room(changes).await;
    world
}

/// Opens a page without a pass.
async fn visit(app: &TestApp) -> Answer {
    app.get("/eras/a", &[HTML]).await
}

/// Opens a page as a newcomer, who has to get it.
async fn straight_in(app: &TestApp) -> String {
    let answer = visit(app).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.text(), "/eras/a");
    answer.cookie().to_owned()
}

fn is_sent_to_wait(answer: &Answer) -> bool {
    let is_sent = answer.status == StatusCode::FOUND;
    assert!(
        is_sent || answer.status == StatusCode::OK,
        "{}",
        answer.text()
    );
    is_sent
}

async fn logged(world: &World) -> Vec<(u64, PlaceId)> {
    let stream = world.records.admissions.stream(&"eras".parse().unwrap(), 1);
    let stream = stream.map_ok(|record| (record.seq, record.place));
    stream.try_collect().await.unwrap()
}

/// The sessions and the visitors let straight in, as the store counts them.
async fn counted(app: &TestApp) -> (u64, u64) {
    let room = app.rooms.get(&"eras".parse().unwrap()).unwrap();
    let (store, at) = (&room.parts.store, room.store_ref());
    let taken = store.snapshot_take(&at, SystemClock.now());
    let counts = taken.await.unwrap().counts;
    (counts.active, counts.straight)
}

#[tokio::test]
async fn below_the_limits_a_visitor_goes_straight_in_and_is_logged() {
    let world = standing_by(json!({})).await;
    let (app, other) = (world.gateway().await, world.gateway().await);
    let entered = visit(&app).await;
    assert_eq!(entered.status, StatusCode::OK, "{}", entered.text());
    assert_eq!(entered.header("cache-control"), "private, no-store");
    let subject = world.last_seen().headers["ropeline-subject"].clone();
    let log = logged(&world).await;
    assert_eq!(log.len(), 1, "before the answer");
    assert_eq!(
        (log[0].0, log[0].1.to_string().as_str()),
        (1, subject.to_str().unwrap())
    );
    // The session is good everywhere, and prolongs nothing by itself.
    let pass = ("cookie", entered.cookie());
    for gateway in [&app, &other] {
        eventually("the session", async || {
            let inside = gateway.get("/eras/b", &[pass]).await;
            (inside.status == StatusCode::OK).then_some(())
        })
        .await;
        assert_eq!(world.last_seen().headers["ropeline-subject"], subject);
    }
    assert_eq!(logged(&world).await.len(), 1);
    straight_in(&other).await;
    eventually("both sessions", async || {
        (counted(&app).await == (2, 2)).then_some(())
    })
    .await;
    let document = app.get("/_line/v1/rooms/eras", &[]).await.json();
    assert_eq!(document["standby"], true, "{document}");
}

#[tokio::test]
async fn only_whoever_opens_a_page_begins_a_session() {
    let world = standing_by(json!({})).await;
    let app = world.gateway().await;
    straight_in(&app).await;
    let program = app.get("/eras/a", &[]).await;
    program.assert_problem(403, "pass-required");
    let ahead = app
        .get("/eras/a", &[HTML, ("sec-purpose", "prefetch")])
        .await;
    assert_eq!(ahead.status, StatusCode::SERVICE_UNAVAILABLE);
    let head = app.send(Method::HEAD, "/eras/a", &[HTML], "").await;
    assert_eq!(head.status, StatusCode::FOUND);
    assert_eq!(logged(&world).await.len(), 1);
}

#[tokio::test]
async fn at_the_cap_visitors_wait_and_nobody_passes_those_who_do() {
    let world = standing_by(json!({"totalActiveUsers": 2})).await;
    let (app, other) = (world.gateway().await, world.gateway().await);
    let first = straight_in(&app).await;
    straight_in(&other).await;
    for gateway in [&app, &other] {
        assert!(is_sent_to_wait(&visit(gateway).await));
    }
    let waiting = app.join(1).await;
    let (path, pass) = ("/_line/v1/rooms/eras/pass", [("cookie", first.as_str())]);
    let ended = app.send(Method::DELETE, path, &pass, "");
    assert_eq!(ended.await.status, StatusCode::NO_CONTENT);
    // Whoever comes now comes after the one who waits.
    for _ in 0..5 {
        assert!(is_sent_to_wait(&visit(&other).await));
    }
    waiting.claimed(&app).await;
    assert_eq!(logged(&world).await.len(), 3);
    // A place that is in a session is not a reason for a second one.
    let again = app
        .get("/eras/a", &[HTML, ("cookie", &waiting.cookie)])
        .await;
    assert!(is_sent_to_wait(&again));
}

/// What came of visits that were paced evenly.
struct Visits {
    entered: Vec<Instant>,
    waiting: Vec<Fan>,
}

/// `count` visitors at `per_second`, at each gateway in turn. Who is sent to wait joins.
async fn come(gateways: &[TestApp], count: u8, per_second: u32) -> Visits {
    let mut pace = tokio::time::interval(Duration::from_secs(1) / per_second);
    let mut visits = Visits {
        entered: Vec::new(),
        waiting: Vec::new(),
    };
    for n in 0..count {
        pace.tick().await;
        let gateway = &gateways[usize::from(n) % gateways.len()];
        if is_sent_to_wait(&visit(gateway).await) {
            visits.waiting.push(gateway.join(n).await);
        } else {
            visits.entered.push(Instant::now());
        }
    }
    visits
}

#[tokio::test]
async fn the_room_is_transparent_below_its_rate_and_again_after_a_rush() {
    // Ten a second.
    let world = standing_by(json!({"newUsersPerMinute": 600})).await;
    let gateways = [
        world.gateway().await,
        world.gateway().await,
        world.gateway().await,
    ];
    let calm = come(&gateways, 27, 9).await;
    assert_eq!(calm.waiting.len(), 0, "at nine tenths of the rate");

    let began = Instant::now();
    let rush = come(&gateways, 120, 30).await;
    let lasted = began.elapsed();
    assert!(rush.waiting.len() > 20, "{}", rush.waiting.len());
    let in_log = u64::try_from(logged(&world).await.len()).unwrap() - 27;
    // The rate, thirty that were saved up, and a tick.
    let most = u64::try_from(lasted.as_millis()).unwrap() / 100 + 30 + 2;
    assert!(in_log <= most, "{in_log} in {lasted:?}");

    let over = Instant::now();
    eventually("the end of the line", async || {
        let document = gateways[0].get("/_line/v1/rooms/eras", &[]).await.json();
        (document["usersInLine"] == 0).then_some(())
    })
    .await;
    eventually("a visitor who does not wait", async || {
        (!is_sent_to_wait(&visit(&gateways[0]).await)).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let calm = come(&gateways, 18, 9).await;
    assert_eq!(calm.waiting.len(), 0, "after the rush");
    assert!(over.elapsed() < Duration::from_mins(1));
}

#[tokio::test]
async fn without_postgresql_new_visitors_wait_and_afterwards_go_straight_in() {
    let world = standing_by(json!({})).await;
    let (app, proxy) = behind_database_proxy(&world).await;
    let inside = straight_in(&app).await;
    proxy.set(Line::Cut);
    let began = Instant::now();
    assert!(is_sent_to_wait(&visit(&app).await));
    assert!(began.elapsed() < Duration::from_millis(1_500));
    let shopping = app.get("/eras/b", &[("cookie", &inside)]).await;
    assert_eq!(shopping.status, StatusCode::OK);
    proxy.set(Line::Up);
    eventually("a visitor who does not wait", async || {
        (!is_sent_to_wait(&visit(&app).await)).then_some(())
    })
    .await;
    let log = logged(&world).await;
    assert!(
        log.iter()
            .map(|(seq, _)| *seq)
            .eq(1..=u64::try_from(log.len()).unwrap())
    );
}

#[tokio::test]
async fn the_leader_finishes_the_batch_of_a_gateway_that_died() {
    let world = standing_by(json!({})).await;
    let app = world.gateway().await;
    straight_in(&app).await;
    let room = app.rooms.get(&"eras".parse().unwrap()).unwrap();
    let store = redis_store(&redis_url(), &world.prefix);
    let now = SystemClock.now();
    let order = StandbyOrder {
        batch: Uuid::from_u128(7),
        places: vec![PlaceId::from_bytes([7; 16])],
        active_max: 100,
        calls_per_minute: 60_000,
        expires_at: now.plus(Duration::from_mins(1)),
    };
    eventually("the batch before it", async || {
        let popped = store.standby_pop(&room.store_ref(), now, 0, &order).await;
        (popped.unwrap().places.len() == 1).then_some(())
    })
    .await;
    let began = Instant::now();
    // Meanwhile nobody else goes straight in, and nobody waits for it for long.
    assert!(is_sent_to_wait(&visit(&app).await));
    eventually("the session", async || {
        (counted(&app).await.0 == 2).then_some(())
    })
    .await;
    assert!(
        began.elapsed() >= Duration::from_millis(500),
        "it was left to its gateway"
    );
    assert_eq!(logged(&world).await[1].1, PlaceId::from_bytes([7; 16]));
    eventually("a visitor who does not wait", async || {
        (!is_sent_to_wait(&visit(&app).await)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_room_that_asks_for_codes_or_queues_all_is_not_in_stand_by() {
    for changes in [json!({"accessCodes": ["vip"]}), json!({"queueAll": true})] {
        let world = World::create().await;
        let mut settings = json!({"queueAll": false, "opensAt": "2026-01-01T00:00:00Z"});
        for (name, value) in changes.as_object().unwrap() {
            settings[name] = value.clone();
        }
        world.room(settings).await;
        let app = world.gateway().await;
        for _ in 0..3 {
            assert!(is_sent_to_wait(&visit(&app).await), "{changes}");
        }
        assert_eq!(logged(&world).await.len(), 0);
    }
}

#[tokio::test]
async fn whoever_is_called_just_after_joining_by_the_form_goes_in_at_once() {
    let world = World::create().await;
    world.room(json!({})).await;
    let app = world.gateway().await;
    app.join(1).await.claimed(&app).await;
    let joined = app.send(
        Method::POST,
        "/_line/rooms/eras/join?to=/eras/a",
        &[HTML, FORM],
        "nonce=",
    );
    let joined = joined.await;
    assert_eq!(joined.status, StatusCode::SEE_OTHER);
    assert_eq!(joined.header("location"), "/eras/a");
    let cookies: Vec<_> = joined.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies.len(), 2, "place and pass");
    // Who cannot be called sees the page.
    world.word(Override::Pause, None).await;
    eventually("the pause", async || {
        let path = "/_line/rooms/eras/join?to=/eras/a";
        let joined = app.send(Method::POST, path, &[HTML, FORM], "nonce=").await;
        joined.header("location").contains("joined=1").then_some(())
    })
    .await;
}

async fn passed_through(world: &World) -> Vec<AuditRecord> {
    let records = world.records.audit.list(100, None).await.unwrap();
    let is_meant = |record: &AuditRecord| record.action == "room.passed-through";
    records.into_iter().filter(is_meant).collect()
}

#[tokio::test]
async fn what_passes_without_a_limit_is_counted_and_in_the_audit_log() {
    for (changes, why) in [
        (json!({}), "idle"),
        (json!({"queueingMethod": "passthrough"}), "passthrough"),
        (json!({"suspended": true}), "suspended"),
    ] {
        let world = World::create().await;
        let mut settings = json!({"queueAll": false});
        for (name, value) in changes.as_object().unwrap() {
            settings[name] = value.clone();
        }
        world.room(settings).await;
        let app = world.gateway().await;
        let pass = straight_in(&app).await;
        app.get("/eras/b", &[("cookie", &pass)]).await;
        app.get("/eras/c", &[]).await;
        let joined = app.send(Method::POST, "/_line/v1/rooms/eras/places", &[], "");
        assert_eq!(joined.await.json()["state"], "admitted");
        assert_eq!(
            passed_through(&world).await.len(),
            0,
            "not for every request"
        );
        world.clock.advance(Duration::from_mins(10));
        let records = eventually("the record", async || {
            let records = passed_through(&world).await;
            (!records.is_empty()).then_some(records)
        })
        .await;
        assert_eq!((records.len(), records[0].target.as_str()), (1, "eras"));
        let after = records[0].after.clone().unwrap();
        assert_eq!(after["passed"], json!({why: {"requests": 3, "passes": 2}}));
        // What is left is written when the gateway stops.
        straight_in(&app).await;
        app.kill().await;
        let records = passed_through(&world).await;
        let after = records[0].after.clone().unwrap();
        assert_eq!(after["passed"], json!({why: {"requests": 1, "passes": 1}}));
        assert_eq!(logged(&world).await.len(), 0, "no admissions");
    }
}
