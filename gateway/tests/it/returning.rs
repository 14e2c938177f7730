//! Fans who go and come back: with their token, with their nonce alone, on another gateway.

use http::Method;
use serde_json::json;

use crate::test_app::{Fan, TestApp, World, eventually};

/// The order key that the fan is shown.
async fn order_key(app: &TestApp, fan: &Fan) -> u64 {
    let status = fan.look(app).await;
    status.order_key.unwrap().parse().unwrap()
}

#[tokio::test]
async fn whoever_gives_up_a_live_place_comes_back_behind_everyone() {
    let world = World::create().await;
    world.room(json!({"totalActiveUsers": 1})).await;
    let app = world.gateway().await;
    let first = app.join(1).await;
    eventually("the call", async || {
        (first.look(&app).await.claim_by.is_some()).then_some(())
    })
    .await;
    let others = [app.join(2).await, app.join(3).await];
    // The same place by its nonce alone, as a browser that lost its cookie has it.
    let again = app.join(1).await;
    again.call(&app, Method::DELETE, "place").await;
    let back = again.call(&app, Method::POST, "places").await;
    let key: u64 = back.status_document().order_key.unwrap().parse().unwrap();
    for other in &others {
        assert!(key > order_key(&app, other).await);
    }
}
