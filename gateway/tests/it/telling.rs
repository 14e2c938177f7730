//! What a shop behind a room is told where the room is set so: the fan's pass, and a proof that a
//! request came through the gate.

use contract::jwk::JwkSet;
use contract::proof::ProofClaims;
use http::{Method, StatusCode};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use crate::serving::Server;
use crate::test_app::{TestApp, World, eventually};

const HTML: (&str, &str) = ("accept", "text/html");

async fn before_shop(mut changes: Value) -> (World, Server, TestApp) {
    let world = World::create().await;
    let shop = Server::start(world.upstream()).await;
    changes["hosts"] = json!(["*"]);
    changes["upstream"] = json!(shop.url("/base"));
    changes["paths"] = json!(["/checkout"]);
    world.room(changes).await;
    let app = world.gateway().await;
    (world, shop, app)
}

/// The claims of a proof, verified as a shop would.
async fn proof(app: &TestApp, text: &str) -> ProofClaims {
    let keys = app.get("/_line/v1/proof-jwks.json", &[]).await;
    assert_eq!(keys.header("cache-control"), "public, max-age=300");
    let keys: JwkSet = serde_json::from_value(keys.json()).unwrap();
    let header = jsonwebtoken::decode_header(text).unwrap();
    let key = keys
        .keys
        .iter()
        .find(|key| Some(&key.kid) == header.kid.as_ref());
    let key = DecodingKey::from_ed_components(&key.unwrap().x).unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["eras"]);
    validation.set_issuer(&["https://line.test"]);
    jsonwebtoken::decode(text, &key, &validation)
        .unwrap()
        .claims
}

fn seen(world: &World, name: &str) -> Vec<String> {
    let seen = world.last_seen();
    let values = seen.headers.get_all(name).iter();
    values
        .map(|value| value.to_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_shop_is_told_nothing_more_unless_the_room_is_set_so() {
    let (world, _shop, app) = before_shop(json!({})).await;
    let pass = app.join(1).await.claimed(&app).await;
    let claims = [
        ("ropeline-pass", pass.as_str()),
        ("ropeline-proof", "forged"),
        ("ropeline_proof", "forged"),
    ];
    let entered = app.get("/checkout", &claims).await;
    assert_eq!(entered.status, StatusCode::OK, "{}", entered.text());
    for name in ["ropeline-pass", "ropeline-proof", "ropeline_proof"] {
        assert!(seen(&world, name).is_empty(), "{name}");
    }
    let room = app.rooms.get(&"eras".parse().unwrap()).unwrap();
    assert!(!room.tells().pass && !room.tells().proof);
}

#[tokio::test]
async fn a_proof_covers_the_request_and_its_fan() {
    let (world, _shop, app) = before_shop(json!({"signRequests": true})).await;
    let pass = app.join(1).await.claimed(&app).await;
    let headers = [
        ("ropeline-pass", pass.as_str()),
        ("ropeline-proof", "forged"),
        ("host", "shop.example"),
    ];
    let paid = app
        .send(Method::POST, "/checkout/pay?a=1", &headers, "x")
        .await;
    assert_eq!(paid.status, StatusCode::OK, "{}", paid.text());
    let [text] = seen(&world, "ropeline-proof").try_into().unwrap();
    let told = proof(&app, &text).await;
    assert_eq!(told.method, "POST");
    assert_eq!(told.host, "shop.example");
    assert_eq!(told.path, "/base/checkout/pay?a=1", "as the shop gets it");
    assert_eq!(told.aud.as_str(), "eras");
    let subject = told.sub.unwrap().to_string();
    assert_eq!(seen(&world, "ropeline-subject"), [subject]);
    assert_eq!(seen(&world, "x-request-id"), [told.jti.as_str()]);
    assert_eq!(paid.header("x-request-id"), told.jti);
    assert_eq!((told.exp - told.iat, &*told.token_use), (30, "proof"));
    assert!(seen(&world, "ropeline-pass").is_empty());
    // Without a fan it proves the gate alone.
    let open = app.get("/catalogue", &[]).await;
    assert_eq!(open.status, StatusCode::OK);
    let [text] = seen(&world, "ropeline-proof").try_into().unwrap();
    assert_eq!(proof(&app, &text).await.sub, None);
    // It is no pass, anywhere.
    for shown in [
        ("ropeline-pass", text.as_str()),
        ("cookie", &format!("ropeline_pass_eras={text}")),
    ] {
        let refused = app.get("/checkout", &[shown]).await;
        refused.assert_problem(403, "pass-required");
    }
}

#[tokio::test]
async fn a_shop_gets_the_pass_of_its_room_and_never_a_place() {
    let changes = json!({
        "forwardPass": true, "queueAll": false, "opensAt": "2026-01-01T00:00:00Z",
    });
    let (world, _shop, app) = before_shop(changes).await;
    world.room_named("other", json!({})).await;
    eventually("the other room", async || {
        let document = app.get("/_line/v1/rooms/other", &[]).await;
        (document.status == StatusCode::OK).then_some(())
    })
    .await;
    let entered = app.get("/checkout", &[HTML]).await;
    assert_eq!(entered.status, StatusCode::OK, "{}", entered.text());
    let given = entered.cookie().to_owned();
    let given = given.strip_prefix("ropeline_pass_eras=").unwrap();
    assert_eq!(
        seen(&world, "ropeline-pass"),
        [given],
        "from the first page"
    );
    let other = app.join_room("other", 1).await;
    let others = other.claimed(&app).await;
    let cookies = format!(
        "ropeline_pass_other={others}; {}; ropeline_pass_eras={given}; a=b",
        other.cookie
    );
    let headers = [("cookie", cookies.as_str()), ("ropeline-pass", &others)];
    let again = app.get("/checkout", &headers).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.text());
    assert_eq!(seen(&world, "ropeline-pass"), [given]);
    assert_eq!(seen(&world, "cookie"), ["a=b"]);
    // A shop may end the session with it.
    let path = "/_line/v1/rooms/eras/pass";
    let own = [("ropeline-pass", given)];
    let ended = app.send(Method::DELETE, path, &own, "").await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    // Where no session runs, nobody's pass is told.
    let open = app.get("/catalogue", &headers).await;
    assert_eq!(open.status, StatusCode::OK);
    assert!(seen(&world, "ropeline-pass").is_empty());
}

#[tokio::test]
async fn other_proxies_are_told_the_same() {
    let mut world = World::create().await;
    world.trusted = vec!["127.0.0.0/8".parse().unwrap()];
    let changes = json!({
        "hosts": ["*"], "upstream": "http://127.0.0.1:9", "paths": ["/checkout"],
        "forwardPass": true, "signRequests": true,
    });
    world.room(changes).await;
    let app = world.gateway().await;
    let pass = app.join(1).await.claimed(&app).await;
    let question = [
        ("x-forwarded-method", "POST"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-uri", "/checkout?a=1"),
        ("ropeline-pass", &pass),
    ];
    let answer = app.get("/_line/v1/auth", &question).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("ropeline-pass"), pass);
    let told = proof(&app, answer.header("ropeline-proof")).await;
    assert_eq!(
        (&*told.method, &*told.host, &*told.path),
        ("POST", "shop.example", "/checkout?a=1")
    );
}
