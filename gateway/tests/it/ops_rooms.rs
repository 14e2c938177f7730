//! What the operators' listener accepts for a room, and what it tells of the refusals.

use http::Method;
use serde_json::json;

use crate::ops::{Desk, ERAS, ROOMS};

#[tokio::test]
async fn a_prefix_belongs_to_one_room() {
    let desk = Desk::open().await;
    let create = async |name: &str, paths: &[&str]| {
        let settings = json!({"room": name, "paths": paths});
        desk.ask(Method::POST, ROOMS, settings).await
    };
    assert_eq!(create("eras", &["/eras", "/shop/eras"]).await.status, 201);
    // The same prefix for every server that folds case or reads parameters.
    for taken in ["/eras", "/eras/", "/ERAS", "/eras;v=1"] {
        let refused = create("other", &["/other", taken]).await;
        assert_eq!(refused.status, 422, "{taken}: {}", refused.json);
        assert_eq!(refused.json["field"], "paths[1]");
        let detail = refused.json["detail"].as_str().unwrap();
        assert!(detail.contains("the room `eras`"), "{detail}");
    }
    // Below and above it is another prefix.
    assert_eq!(create("other", &["/shop", "/eras/b"]).await.status, 201);
    let put = async |paths: &[&str]| {
        let settings = json!({"title": "Eras", "paths": paths});
        desk.ask(Method::PUT, ERAS, settings).await
    };
    assert_eq!(put(&["/eras"]).await.status, 200);
    let refused = put(&["/eras", "/shop"]).await;
    assert_eq!(refused.status, 422, "{}", refused.json);
    assert_eq!(refused.json["field"], "paths[1]");
    // Who gives a prefix up frees it for another.
    assert_eq!(put(&[]).await.status, 200);
    assert_eq!(create("third", &["/eras"]).await.status, 201);
}
