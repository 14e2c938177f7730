//! What fans notice when a server behind the line fails: as little as can be.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use contract::line::PlaceState;
use contract::room::Override;
use futures_util::TryStreamExt;
use http::StatusCode;
use redis::AsyncCommands;
use serde_json::json;
use test_support::redis::redis_url;
use test_support::tcp_proxy::{Line, TcpProxy};
use tokio::time::Instant;

use crate::live::{connect, frame};
use crate::test_app::{Fan, TestApp, World, eventually, generous};

/// The contract's bound on an answer that the line is away.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// What a busy machine adds to that.
const SLACK: Duration = Duration::from_millis(500);

/// Where the tests' Redis is.
pub(crate) fn redis_target() -> String {
    let url = redis_url();
    let rest = url.strip_prefix("redis://").unwrap();
    let target = rest.rsplit_once('@').map_or(rest, |(_, target)| target);
    target.split('/').next().unwrap().to_owned()
}

/// The URL of the tests' Redis by way of `proxy`.
pub(crate) fn redis_by(proxy: SocketAddr) -> String {
    let url = redis_url();
    let rest = url.strip_prefix("redis://").unwrap();
    // The password stays in front of the proxy's address; the number of the database is 0 anyway.
    let login = rest.rsplit_once('@').map_or("", |(login, _)| login);
    let at = if login.is_empty() { "" } else { "@" };
    format!("redis://{login}{at}{proxy}")
}

/// A gateway whose way to Redis can be cut.
pub(crate) async fn behind_redis_proxy(world: &World) -> (TestApp, TcpProxy) {
    let proxy = TcpProxy::start(redis_target()).await;
    let url = redis_by(proxy.address);
    let app = world
        .gateway_on(&url, world.database.options(), generous())
        .await;
    (app, proxy)
}

/// A gateway whose way to PostgreSQL can be cut.
pub(crate) async fn behind_database_proxy(world: &World) -> (TestApp, TcpProxy) {
    let options = world.database.options();
    let target = format!("{}:{}", options.get_host(), options.get_port());
    let proxy = TcpProxy::start(target).await;
    let options = options
        .host(&proxy.address.ip().to_string())
        .port(proxy.address.port());
    let app = world.gateway_on(&redis_url(), options, generous()).await;
    (app, proxy)
}

async fn redis() -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(redis_url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn keys(world: &World, of: &str) -> Vec<String> {
    let pattern = format!("{}*{of}*", world.prefix);
    redis().await.keys(pattern).await.unwrap()
}

async fn wipe(world: &World) {
    let keys = keys(world, "").await;
    assert!(!keys.is_empty());
    redis().await.del::<_, ()>(keys).await.unwrap();
}

/// The ordinals and places of the admission log.
async fn log(world: &World) -> Vec<(u64, String)> {
    let stream = world.records.admissions.stream(&"eras".parse().unwrap(), 1);
    let records: Vec<_> = stream.try_collect().await.unwrap();
    records
        .into_iter()
        .map(|record| (record.seq, record.place.to_string()))
        .collect()
}

async fn state(app: &TestApp, fan: &Fan) -> PlaceState {
    fan.look(app).await.state
}

#[tokio::test]
async fn without_redis_the_line_says_so_and_those_inside_go_on() {
    for cut in [Line::Cut, Line::Silent] {
        let world = World::create().await;
        world.room(json!({"totalActiveUsers": 1})).await;
        let (app, proxy) = behind_redis_proxy(&world).await;
        let inside = app.join(1).await;
        let pass = inside.claimed(&app).await;
        let waiting = app.join(2).await;
        eventually("the numbers", async || {
            (waiting.look(&app).await.users_in_line == 1).then_some(())
        })
        .await;
        proxy.set(cut);
        let refused = eventually("the outage", async || {
            let began = Instant::now();
            let path = "/_line/v1/rooms/eras/places";
            let answer = app.send(http::Method::POST, path, &[], "").await;
            assert!(
                began.elapsed() < ANSWER_MAX + SLACK,
                "{:?}",
                began.elapsed()
            );
            (!answer.status.is_success()).then_some(answer)
        });
        let refused = refused.await;
        refused.assert_problem(503, "line-unavailable");
        assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
        // The last numbers are shown on.
        let began = Instant::now();
        let status = waiting.look(&app).await;
        assert!(
            began.elapsed() < ANSWER_MAX + SLACK,
            "{:?}",
            began.elapsed()
        );
        assert_eq!(
            (status.state, status.users_in_line),
            (PlaceState::Waiting, 1)
        );
        let shop = app.get("/eras/a", &[("ropeline-pass", &pass)]).await;
        assert_eq!(shop.status, StatusCode::OK, "{}", shop.text());
        proxy.set(Line::Up);
        // It recovers by itself: the slot goes to the one who waits.
        eventually("the end of the session", async || {
            let ended = inside.call(&app, http::Method::DELETE, "pass").await;
            (ended.status == StatusCode::NO_CONTENT).then_some(())
        })
        .await;
        waiting.claimed(&app).await;
    }
}

#[tokio::test]
async fn without_redis_rooms_still_come_and_go_and_the_store_forgets_them_later() {
    let world = World::create().await;
    world.room(json!({})).await;
    let (app, proxy) = behind_redis_proxy(&world).await;
    app.join(1).await;
    assert!(!keys(&world, "{eras}").await.is_empty());
    proxy.set(Line::Cut);
    world.room_delete("eras").await;
    world.room_named("other", json!({})).await;
    eventually("the other room", async || {
        app.rooms.get(&"other".parse().unwrap())
    })
    .await;
    assert!(app.rooms.get(&"eras".parse().unwrap()).is_none());
    assert_eq!(app.get("/other", &[]).await.status, StatusCode::FORBIDDEN);
    proxy.set(Line::Up);
    eventually("the forgetting", async || {
        keys(&world, "{eras}").await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_new_room_of_an_old_name_is_not_made_from_the_old_rooms_log() {
    let world = World::create().await;
    world.room(json!({})).await;
    let app = world.gateway().await;
    app.join(1).await.claimed(&app).await;
    let eras: contract::RoomId = "eras".parse().unwrap();
    let old = app.rooms.get(&eras).unwrap();
    world.room_delete("eras").await;
    world.clock.advance(Duration::from_secs(1));
    // The log outlives its room.
    let log = || async { world.records.admissions.head(&eras).await.unwrap().seq };
    assert_eq!(log().await, 1);
    world.room(json!({"totalActiveUsers": 0})).await;
    eventually("the new room", async || {
        let new = app.rooms.get(&eras)?;
        (new.record().created_at > old.record().created_at).then_some(())
    })
    .await;
    // The same nonce is the same place: it waits like any other, also in a line made again.
    let fan = app.join(1).await;
    assert_eq!(state(&app, &fan).await, PlaceState::Waiting);
    wipe(&world).await;
    eventually("the line made again", async || {
        let answer = fan.call(&app, http::Method::GET, "place").await;
        let is_back = answer.status == StatusCode::OK;
        is_back.then(|| answer.status_document().state)
    })
    .await;
    assert_eq!(state(&app, &fan).await, PlaceState::Waiting);
    assert_eq!(log().await, 1);
}

#[tokio::test]
async fn without_redis_a_connected_fan_who_polls_is_told_of_their_call() {
    let world = World::create().await;
    world.room(json!({})).await;
    let (app, proxy) = behind_redis_proxy(&world).await;
    let fan = app.join(1).await;
    let mut live = connect(&app, &fan).await;
    frame(&mut live, |status| status.state == PlaceState::Called).await;
    proxy.set(Line::Cut);
    for _ in 0..3 {
        assert_eq!(state(&app, &fan).await, PlaceState::Called);
    }
}

#[tokio::test]
async fn a_gateway_that_never_saw_a_pass_believes_it_while_redis_is_away() {
    let world = World::create().await;
    world.room(json!({})).await;
    let app = world.gateway().await;
    let pass = app.join(1).await.claimed(&app).await;
    let (other, proxy) = behind_redis_proxy(&world).await;
    proxy.set(Line::Cut);
    let inside = other.get("/eras/a", &[("ropeline-pass", &pass)]).await;
    assert_eq!(inside.status, StatusCode::OK, "{}", inside.text());
    let forged = other
        .get("/eras/a", &[("ropeline-pass", "e30.e30.x")])
        .await;
    forged.assert_problem(403, "pass-required");
}

#[tokio::test]
async fn a_redis_that_hangs_is_not_waited_for_with_every_request() {
    let world = World::create().await;
    world.room(json!({})).await;
    let app = world.gateway().await;
    let mut passes = Vec::new();
    for nonce in 1..=12 {
        passes.push(app.join(nonce).await.claimed(&app).await);
    }
    let (other, proxy) = behind_redis_proxy(&world).await;
    proxy.set(Line::Silent);
    let began = Instant::now();
    for pass in &passes {
        let inside = other.get("/eras/a", &[("ropeline-pass", pass)]).await;
        assert_eq!(inside.status, StatusCode::OK, "{}", inside.text());
    }
    // Each would have waited for 0.7 seconds at least.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn a_session_that_cannot_be_ended_everywhere_is_over_here() {
    let world = World::create().await;
    world.room(json!({})).await;
    let (app, proxy) = behind_redis_proxy(&world).await;
    let fan = app.join(1).await;
    let pass = fan.claimed(&app).await;
    let visit = async || app.get("/eras/a", &[("ropeline-pass", &pass)]).await;
    assert_eq!(visit().await.status, StatusCode::OK);
    proxy.set(Line::Cut);
    let ended = fan.call(&app, http::Method::DELETE, "pass").await;
    ended.assert_problem(503, "line-unavailable");
    visit().await.assert_problem(403, "pass-required");
}

#[tokio::test]
async fn a_pass_from_before_the_opening_is_not_believed_while_redis_is_away() {
    let world = World::create().await;
    world.room(json!({"queueAll": false})).await;
    let (app, proxy) = behind_redis_proxy(&world).await;
    let walked = app.get("/eras/a", &[("accept", "text/html")]).await;
    let cookie = walked.cookie().to_owned();
    proxy.set(Line::Cut);
    world.word(Override::Open, None).await;
    eventually("the opening", async || {
        let eras = app.rooms.get(&"eras".parse().unwrap()).unwrap();
        (!eras.is_idle()).then_some(())
    })
    .await;
    let refused = app.get("/eras/a", &[("cookie", &cookie)]).await;
    refused.assert_problem(403, "pass-required");
}

#[tokio::test]
async fn after_redis_lost_everything_the_line_is_as_before() {
    let world = World::create().await;
    world.room(json!({"totalActiveUsers": 2})).await;
    let app = world.gateway().await;
    let inside = [app.join(1).await, app.join(2).await];
    for fan in &inside {
        fan.claimed(&app).await;
    }
    let mut fans = Vec::new();
    for nonce in 3..8 {
        fans.push(app.join(nonce).await);
    }
    wipe(&world).await;
    // They come back in any order, and someone new comes in between.
    for index in [3, 0, 4] {
        assert_eq!(state(&app, &fans[index]).await, PlaceState::Waiting);
    }
    fans.push(app.join(9).await);
    for index in [2, 1] {
        assert_eq!(state(&app, &fans[index]).await, PlaceState::Waiting);
    }
    // Those inside count, and do not get a second place.
    for fan in &inside {
        assert_eq!(state(&app, fan).await, PlaceState::Admitted);
        let again = fan.call(&app, http::Method::POST, "places").await;
        assert_eq!(again.status_document().state, PlaceState::Admitted);
    }
    for fan in &inside {
        fan.call(&app, http::Method::DELETE, "pass").await;
    }
    for fan in &fans {
        fan.claimed(&app).await;
        fan.call(&app, http::Method::DELETE, "pass").await;
    }
    let log = log(&world).await;
    let mut places: Vec<_> = log.iter().map(|(_, place)| place.clone()).collect();
    let expected: Vec<_> = [1, 2, 3, 4, 5, 6, 7, 9]
        .map(|nonce| crate::line::place_of(&app, nonce).to_string())
        .into();
    assert_eq!(places, expected, "called in the order of joining");
    places.sort();
    places.dedup();
    assert_eq!(places.len(), log.len(), "nobody was called twice");
}

#[tokio::test]
async fn fans_of_a_gateway_that_died_are_not_called_unless_connected_elsewhere() {
    let world = World::create().await;
    world.room(json!({"absenceTimeoutSeconds": 3})).await;
    world.word(Override::Pause, None).await;
    let (first, proxy) = behind_redis_proxy(&world).await;
    let second = world.gateway().await;
    let [ghost, at_both, elsewhere] = [
        first.join(1).await,
        first.join(2).await,
        second.join(3).await,
    ];
    let mut sockets = [
        connect(&first, &ghost).await,
        connect(&first, &at_both).await,
        connect(&second, &at_both).await,
        connect(&second, &elsewhere).await,
    ];
    for socket in &mut sockets {
        frame(socket, |_| true).await;
    }
    let in_line = async |wanted: u64| {
        eventually("the line", async || {
            let document = second.get("/_line/v1/rooms/eras", &[]).await.json();
            (document["usersInLine"] == wanted).then_some(())
        })
        .await;
    };
    in_line(3).await;
    // Killed, as far as the store can tell: it says no goodbye.
    proxy.set(Line::Cut);
    first.kill().await;
    in_line(2).await;
    world.word(Override::Open, None).await;
    let called = eventually("the calls", async || {
        let log = log(&world).await;
        (log.len() == 2).then_some(log)
    });
    let places: HashSet<_> = called.await.into_iter().map(|(_, place)| place).collect();
    let expected = [2, 3].map(|nonce| crate::line::place_of(&second, nonce).to_string());
    assert_eq!(places, expected.into());
    // Whoever comes back after all has lost nothing.
    assert_eq!(state(&second, &ghost).await, PlaceState::Waiting);
    ghost.claimed(&second).await;
}

#[tokio::test]
async fn connected_fans_are_put_back_without_doing_anything() {
    let world = World::create().await;
    world.room(json!({"totalActiveUsers": 1})).await;
    let app = world.gateway().await;
    let first = app.join(1).await;
    first.claimed(&app).await;
    let fan = app.join(2).await;
    let stream = app
        .http
        .get(app.server.url("/_line/v1/rooms/eras/place/live"))
        .header("accept", "text/event-stream")
        .header("cookie", &fan.cookie);
    let mut stream = stream.send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    // The gateway has seen the line once, so that it notices when it is another.
    eventually("the numbers", async || {
        let document = app.get("/_line/v1/rooms/eras", &[]).await.json();
        (document["usersInLine"] == 1).then_some(())
    })
    .await;
    wipe(&world).await;
    first.call(&app, http::Method::DELETE, "pass").await;
    let mut text = String::new();
    crate::serving::within("the call", async {
        while !text.contains("access_token") {
            text += std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap();
            first.call(&app, http::Method::DELETE, "pass").await;
        }
    })
    .await;
}

/// Two fans are taken from the line, and then stay uncalled for as long as the log is away. It has
/// one call.
async fn nobody_is_called(world: &World, app: &TestApp, fans: &[Fan; 2]) {
    eventually("a tick without the log", async || {
        let document = app.get("/_line/v1/rooms/eras", &[]).await.json();
        (document["usersInLine"] == 2).then_some(())
    })
    .await;
    for fan in fans {
        assert_eq!(state(app, fan).await, PlaceState::Waiting);
        fan.claim(app).await.assert_problem(409, "not-called");
    }
    assert_eq!(log(world).await.len(), 1);
}

/// The log is back: the two are called after the first.
async fn all_are_called(world: &World, app: &TestApp, fans: &[Fan; 2]) {
    for fan in fans {
        fan.claimed(app).await;
    }
    let places: Vec<_> = log(world).await.into_iter().map(|(_, p)| p).collect();
    let expected = [1, 2, 3].map(|nonce| crate::line::place_of(app, nonce).to_string());
    assert_eq!(places, expected);
}

#[tokio::test]
async fn without_postgresql_nobody_is_called_and_everyone_may_join() {
    let world = World::create().await;
    world.room(json!({})).await;
    let (app, proxy) = behind_database_proxy(&world).await;
    app.join(1).await.claimed(&app).await;
    proxy.set(Line::Cut);
    let fans = [app.join(2).await, app.join(3).await];
    nobody_is_called(&world, &app, &fans).await;
    proxy.set(Line::Up);
    all_are_called(&world, &app, &fans).await;
}

#[tokio::test]
async fn another_gateway_leads_on_when_the_leader_dies() {
    let world = World::create().await;
    world.room(json!({})).await;
    let first = world.gateway().await;
    let early = first.join(1).await;
    early.claimed(&first).await;
    let second = world.gateway().await;
    first.kill().await;
    let fan = second.join(2).await;
    let began = Instant::now();
    fan.claimed(&second).await;
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    // What the first one called is known to the second.
    assert_eq!(state(&second, &early).await, PlaceState::Admitted);
    let seqs: Vec<_> = log(&world).await.into_iter().map(|(seq, _)| seq).collect();
    assert_eq!(seqs, [1, 2]);
}

#[tokio::test]
async fn while_postgresql_takes_no_writes_nobody_is_called_and_everyone_may_join() {
    let world = World::create().await;
    world.room(json!({})).await;
    let app = world.gateway().await;
    app.join(1).await.claimed(&app).await;
    world.database.read_only_sessions(true).await;
    let fans = [app.join(2).await, app.join(3).await];
    nobody_is_called(&world, &app, &fans).await;
    // As after a failover: the address leads to a server that takes writes, and connections to
    // the other one are still there.
    world.database.read_only_sessions(false).await;
    all_are_called(&world, &app, &fans).await;
}

#[tokio::test]
async fn a_room_that_is_set_to_is_open_for_a_time_while_its_line_fails() {
    for by_redis in [true, false] {
        let world = World::create().await;
        let settings = json!({
            "failMode": "open", "failOpenAfterSeconds": 1, "failOpenMaxSeconds": 60,
            "failOpenRatePerMinute": 60,
        });
        world.room(settings).await;
        let (app, proxy) = if by_redis {
            behind_redis_proxy(&world).await
        } else {
            behind_database_proxy(&world).await
        };
        app.join(1).await.claimed(&app).await;
        let html = ("accept", "text/html");
        let refused = app.get("/eras/a", &[html]).await;
        assert_eq!(refused.status, StatusCode::FOUND, "the line works");
        proxy.set(Line::Cut);
        let through = eventually("a visitor who is let through", async || {
            let answer = app.get("/eras/a", &[html]).await;
            (answer.status == StatusCode::OK).then_some(answer)
        })
        .await;
        // What the page loads comes with the pass.
        let pass = ("cookie", through.cookie());
        assert_eq!(app.get("/eras/b", &[pass]).await.status, StatusCode::OK);
        app.get("/eras/b", &[])
            .await
            .assert_problem(403, "pass-required");
        let mut entered = 1;
        for _ in 0..20 {
            let answer = app.get("/eras/a", &[html]).await;
            entered += u32::from(answer.status == StatusCode::OK);
        }
        assert!(
            entered <= 8,
            "{entered} with three saved up and one a second"
        );
        eventually("the announcement", async || {
            let document = app.get("/_line/v1/rooms/eras", &[]).await.json();
            let message = document["message"].as_str().unwrap_or_default();
            (document["failOpen"] == true && message.contains("fault")).then_some(())
        })
        .await;
        proxy.set(Line::Up);
        eventually("a line that works", async || {
            let answer = app.get("/eras/b", &[pass]).await;
            (answer.status != StatusCode::OK).then_some(())
        })
        .await;
        let refused = app.get("/eras/a", &[html]).await;
        assert_eq!(refused.status, StatusCode::FOUND);
        eventually("the record", async || {
            let records = world.records.audit.list(100, None).await.unwrap();
            let noted = records
                .iter()
                .find(|record| record.action == "room.passed-through")?;
            let passed = noted.after.as_ref()?["passed"]["fail-open"].clone();
            assert!(passed["passes"].as_u64() >= Some(1), "{passed}");
            Some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_room_that_lets_nobody_in_does_not_when_its_line_fails_either() {
    for changes in [json!({}), json!({"failMode": "open"})] {
        let world = World::create().await;
        let mut settings = json!({"failOpenAfterSeconds": 1});
        for (name, value) in changes.as_object().unwrap() {
            settings[name] = value.clone();
        }
        let is_set_to = changes.get("failMode").is_some();
        world.room(settings).await;
        let (app, proxy) = behind_redis_proxy(&world).await;
        app.join(1).await.claimed(&app).await;
        if is_set_to {
            world.word(Override::Pause, None).await;
            eventually("the pause", async || {
                let room = app.rooms.get(&"eras".parse().unwrap())?;
                (room.phase() == contract::line::Phase::Paused).then_some(())
            })
            .await;
        }
        proxy.set(Line::Cut);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(4) {
            let answer = app.get("/eras/a", &[("accept", "text/html")]).await;
            assert_eq!(answer.status, StatusCode::FOUND, "{changes}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
