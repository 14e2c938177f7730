//! Entering a site with one of Queue-it's connectors. The connector itself is asked by
//! `scripts/check-doors`.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::desk::Desk;
use crate::test_app::{TestApp, World, eventually};

const SECRET: &str = "e9f1c0d2b3a4958677665544332211ffee";
const TARGET: &str = "https://shop.example.org/checkout/start?a=1";

/// A room that sends its fans to a shop, with its secret as operators' listener would seal it.
async fn room(world: &World, app: &TestApp, mut changes: Value) {
    let parts = app.rooms.parts();
    let sealer = gateway::sealer::Sealer::new(&parts.place_keys, parts.randomness.clone());
    changes["knownUserSecret"] = json!(sealer.seal(&"eras".parse().unwrap(), SECRET).unwrap());
    changes["knownUserTargets"] = json!(["https://shop.example.org/checkout"]);
    world.room(changes).await;
    eventually("the room", async || {
        let document = app.get("/_line/v1/rooms/eras", &[]).await;
        (document.status == StatusCode::OK).then_some(())
    })
    .await;
}

#[tokio::test]
async fn whoever_is_called_is_sent_to_the_shop_with_a_token() {
    let world = World::create().await;
    let app = world.gateway().await;
    room(&world, &app, json!({})).await;
    let queue = format!(
        "/_line/queueit/?c=me&e=eras&ver=v3-javascript-5.0.1&t={}",
        "https%3A%2F%2Fshop.example.org%2Fcheckout%2Fstart%3Fa%3D1"
    );
    let sent = app.get(&queue, &[]).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text());
    let page = sent.header("location").to_owned();
    assert!(page.starts_with("/_line/rooms/eras?to=https%3A"), "{page}");
    let waiting = app.get(&page, &[("accept", "text/html")]).await;
    assert_eq!(waiting.status, StatusCode::OK);
    let enter = page.replace("eras?", "eras/enter?");
    let written = enter.replace('/', "&#x2f;");
    assert!(waiting.text().contains(&written), "{}", waiting.text());
    let fan = app.join(1).await;
    let cookie = [("cookie", fan.cookie.as_str())];
    let entered = eventually("the call", async || {
        let answer = app.get(&enter, &cookie).await;
        answer
            .header("location")
            .starts_with("https://")
            .then_some(answer)
    })
    .await;
    assert_eq!(entered.status, StatusCode::SEE_OTHER);
    assert!(entered.cookie().starts_with("ropeline_pass_eras="));
    assert!(entered.header("cache-control").contains("no-store"));
    let target = entered.header("location").to_owned();
    let token = target.strip_prefix(&format!("{TARGET}&queueittoken="));
    let token = token.unwrap_or_else(|| panic!("{target}"));
    assert!(token.starts_with("e_eras~q_"), "{token}");
    assert!(token.contains("~ce_true~rt_queue~h_"), "{token}");
    // By the name that the contract has, too.
    let named = enter.replace("?to=", "?target=");
    let again = app.get(&named, &cookie).await;
    assert!(again.header("location").starts_with(TARGET));
}

#[tokio::test]
async fn nobody_is_sent_to_a_site_that_the_room_does_not_name() {
    let world = World::create().await;
    let app = world.gateway().await;
    room(
        &world,
        &app,
        json!({"queueAll": false, "queueingMethod": "passthrough"}),
    )
    .await;
    world
        .room_named(
            "plain",
            json!({"queueAll": false, "queueingMethod": "passthrough"}),
        )
        .await;
    let enter = async |room: &str, name: &str, target: &str| {
        let target: String = url_encoded(target);
        let path = format!("/_line/rooms/{room}/enter?{name}={target}");
        app.get(&path, &[("accept", "text/html")]).await
    };
    let good = enter("eras", "target", TARGET).await;
    assert!(good.header("location").starts_with(TARGET), "{good:?}");
    for evil in [
        "https://evil.test/",
        "https://shop.example.org.evil.test/checkout",
        "https://shop.example.org@evil.test/checkout",
        "https://evil.test\\@shop.example.org/checkout",
        "https://evil.test/https://shop.example.org/checkout",
        "http://shop.example.org/checkout",
        "https://shop.example.org:444/checkout",
        "https://shop.example.org/checkout/../admin",
        "https://shop.example.org/checkout/%2e%2e/admin",
        "https://shop.example.org/checkoutx",
        "https://shop.example.org/",
        "//shop.example.org/checkout",
        "//evil.test/",
        "javascript:alert(1)//https://shop.example.org/checkout",
        "https://shop.example.org/checkout\r\nx: y",
        "\thttps://shop.example.org/checkout",
    ] {
        let refused = enter("eras", "target", evil).await;
        assert_eq!(refused.status.as_u16(), 422, "{evil}: {refused:?}");
        let damaged = enter("eras", "to", evil).await;
        assert_eq!(damaged.header("location"), "/", "{evil}");
        let queue = format!("/_line/queueit/?e=eras&t={}", url_encoded(evil));
        assert_eq!(app.get(&queue, &[]).await.status.as_u16(), 422, "{evil}");
    }
    eventually("the other room", async || {
        let document = app.get("/_line/v1/rooms/plain", &[]).await;
        (document.status == StatusCode::OK).then_some(())
    })
    .await;
    let other = enter("plain", "target", TARGET).await;
    assert_eq!(other.status.as_u16(), 422, "{other:?}");
    let other = enter("plain", "to", TARGET).await;
    assert_eq!(other.header("location"), "/");
    let unknown = app.get("/_line/queueit/?e=nowhere", &[]).await;
    unknown.assert_problem(404, "room-not-found");
}

fn url_encoded(text: &str) -> String {
    let encode = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(encode).collect()
}

#[tokio::test]
async fn the_secret_is_sealed_and_never_shown() {
    let desk = Desk::open().await;
    let settings = json!({
        "room": "eras", "knownUserSecret": SECRET, "knownUserTargets": ["https://shop.example.org"],
    });
    let made = desk.ask(Method::POST, crate::desk::ROOMS, settings).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    let sealed = made.json["knownUserSecret"].as_str().unwrap().to_owned();
    assert!(sealed.starts_with("sealed.v1."), "{sealed}");
    // A room that is sent back as it was read keeps its secret.
    let mut read = made.json.clone();
    read["title"] = json!("Eras");
    let kept = desk.ask(Method::PUT, crate::desk::ERAS, read).await;
    assert_eq!(kept.status, StatusCode::OK, "{}", kept.json);
    assert_eq!(kept.json["knownUserSecret"], sealed);
    let mut other = made.json.clone();
    other["knownUserSecret"] = json!(format!("{}AAAA", &sealed[..sealed.len() - 4]));
    let refused = desk.ask(Method::PUT, crate::desk::ERAS, other).await;
    assert_eq!(refused.status.as_u16(), 422, "{}", refused.json);
    let audit = desk.ask(Method::GET, "/admin/v1/audit", Value::Null).await;
    let audit = audit.json.to_string();
    assert!(audit.contains("sealed.v1."), "{}", audit);
    assert!(!audit.contains(SECRET));
    let short = json!({
        "room": "other", "knownUserSecret": "short", "knownUserTargets": ["shop.example.org"],
    });
    let refused = desk.ask(Method::POST, crate::desk::ROOMS, short).await;
    let problems = refused.json["problems"].as_array().unwrap();
    let fields: Vec<_> = problems.iter().map(|problem| &problem["field"]).collect();
    assert_eq!(fields, ["knownUserSecret", "knownUserTargets[0]"]);
}
