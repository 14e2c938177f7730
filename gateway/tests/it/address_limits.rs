//! Limits on how often one address may join, and call otherwise.

use std::num::NonZeroU32;

use gateway::edge::rate_limit::{Rate, RateLimitConfig};
use http::{Method, StatusCode};
use serde_json::json;
use test_support::redis::redis_url;

use crate::test_app::{Answer, JSON, TestApp, World, generous};

fn rate(per_second: u32, burst: u32) -> Rate {
    Rate {
        per_second: NonZeroU32::new(per_second).unwrap(),
        burst: NonZeroU32::new(burst).unwrap(),
    }
}

/// A gateway that takes two joins and five other calls of an address at once, behind proxies in
/// `trusted`.
async fn limited(trusted: &[&str]) -> (World, TestApp) {
    let mut world = World::create().await;
    world.trusted = trusted.iter().map(|net| net.parse().unwrap()).collect();
    world.room(json!({})).await;
    let limits = RateLimitConfig {
        joins: rate(1, 2),
        calls: rate(1, 5),
        ..generous()
    };
    let app = world
        .gateway_on(&redis_url(), world.database.options(), limits)
        .await;
    (world, app)
}

/// Joins by the API, or by the page's form.
async fn join_as(app: &TestApp, path: &str, address: &str) -> Answer {
    let kind = if path == FORM {
        "application/x-www-form-urlencoded"
    } else {
        JSON
    };
    let headers = [("x-forwarded-for", address), ("content-type", kind)];
    app.send(Method::POST, path, &headers, "").await
}

const PLACES: &str = "/_line/v1/rooms/eras/places";
const FORM: &str = "/_line/rooms/eras/join";
const ROOM: &str = "/_line/v1/rooms/eras";

#[tokio::test]
async fn joins_beyond_the_limit_of_an_address_are_refused() {
    let (_world, app) = limited(&["127.0.0.0/8"]).await;
    for path in [PLACES, FORM] {
        let joined = join_as(&app, path, "192.0.2.1").await;
        assert_ne!(joined.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
    }
    for path in [PLACES, FORM] {
        let refused = join_as(&app, path, "192.0.2.1").await;
        refused.assert_problem(429, "rate-limited");
        let seconds: u32 = refused.header("retry-after").parse().unwrap();
        assert!(seconds >= 1);
    }
    // Another address, and another limit, have counts of their own.
    let other = join_as(&app, PLACES, "192.0.2.2").await;
    assert_ne!(other.status, StatusCode::TOO_MANY_REQUESTS);
    let as_first = [("x-forwarded-for", "192.0.2.1")];
    for call in 0..6 {
        let called = app.get(ROOM, &as_first).await;
        let is_refused = called.status == StatusCode::TOO_MANY_REQUESTS;
        assert_eq!(is_refused, call == 5, "{call}");
    }
    assert_eq!(app.limits.remembered()[0], ("joins", 2));
}

#[tokio::test]
async fn another_address_of_the_same_ipv6_subscriber_is_the_same_fan_to_a_limit() {
    let (_world, app) = limited(&["127.0.0.0/8"]).await;
    for host in 1..=3 {
        let joined = join_as(&app, PLACES, &format!("2001:db8::{host}")).await;
        let is_refused = joined.status == StatusCode::TOO_MANY_REQUESTS;
        assert_eq!(is_refused, host == 3, "{host}");
    }
}

#[tokio::test]
async fn fans_behind_an_undeclared_local_proxy_do_not_share_a_limit() {
    let (world, app) = limited(&[]).await;
    for _ in 0..20 {
        let joined = join_as(&app, PLACES, "192.0.2.1").await;
        assert_ne!(joined.status, StatusCode::TOO_MANY_REQUESTS);
    }
    let claimed = [("x-forwarded-for", "192.0.2.1")];
    app.get("/elsewhere", &claimed).await;
    let seen = &world.last_seen().headers["x-forwarded-for"];
    assert_eq!(seen, "127.0.0.1", "an undeclared proxy was believed");
}
