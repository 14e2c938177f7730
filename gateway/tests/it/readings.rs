//! Paths that servers read in several ways.

use http::StatusCode;
use serde_json::json;

use crate::proxy::raw;
use crate::serving::Server;
use crate::test_app::{TestApp, World};

async fn shop(paths: &[&str]) -> (World, Server, TestApp) {
    let world = World::create().await;
    let shop = Server::start(world.upstream()).await;
    let changes = json!({
        "hosts": ["*"], "upstream": shop.url(""), "paths": paths, "exempt": ["/checkout/free"],
    });
    world.room(changes).await;
    let app = world.gateway().await;
    (world, shop, app)
}

/// Asks as a browser would not: with the path as it is.
async fn asked(app: &TestApp, path: &str, pass: &str) -> String {
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: shop.example\r\nRopeline-Pass: {pass}\r\n\
         Connection: close\r\n\r\n"
    );
    raw(app.addr(), head.as_bytes()).await
}

#[tokio::test]
async fn where_the_whole_site_is_protected_an_admitted_fan_may_ask_for_every_spelling() {
    let (_world, _shop, app) = shop(&["/"]).await;
    let pass = app.join(1).await.claimed(&app).await;
    for path in [
        "/artists/AC%2FDC",
        "/caf%E9",
        "/img//logo.png",
        "/a/./b",
        "/x%5Cy",
    ] {
        let answer = asked(&app, path, &pass).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        assert!(answer.ends_with(path), "{path}: {answer}");
        let refused = asked(&app, path, "").await;
        assert!(refused.starts_with("HTTP/1.1 403"), "{path}: {refused}");
    }
    for path in [
        "//evil.test/a",
        "/a/%2e%2e/b",
        "/a%2F..%2Fb",
        "/a%252Fb",
        "/_line%2Fv1",
        "/_line%5Cv1",
        "/./_line/v1",
    ] {
        let answer = asked(&app, path, &pass).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn no_spelling_leads_past_a_protected_prefix_or_into_an_exempt_one() {
    let (world, _shop, app) = shop(&["/checkout"]).await;
    for path in ["/artists/AC%2FDC", "/img//logo.png", "/caf%E9"] {
        let answer = asked(&app, path, "").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    let reached = world.seen.lock().unwrap().len();
    for path in [
        "/checkout%2Fpay",
        "/checkout%5Cpay",
        "/check%E9out",
        "/./checkout",
        "/x/../checkout",
        "/checkout/free%2Fx",
        "/checkout/free//x",
        "/checkout/x%2F..%2Ffree",
    ] {
        let answer = asked(&app, path, "").await;
        let status = answer.split(' ').nth(1).unwrap();
        assert!(["400", "403"].contains(&status), "{path}: {answer}");
    }
    assert_eq!(world.seen.lock().unwrap().len(), reached);
    let pass = app.join(1).await.claimed(&app).await;
    let answer = asked(&app, "/checkout/AC%2FDC", &pass).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(
        app.get("/checkout/free/x", &[]).await.status,
        StatusCode::OK
    );
}
