//! What every answer of the line keeps to, whichever call it is.

use http::{Method, StatusCode};
use serde_json::json;

use crate::test_app::{JSON, World, eventually};

#[tokio::test]
async fn a_client_that_has_the_answer_is_told_so_however_it_names_the_tag() {
    let world = World::create().await;
    // Idle: the document changes with nothing but time.
    world.room(json!({"totalActiveUsers": 0})).await;
    let app = world.gateway().await;
    let page = app.get("/_line/rooms/eras", &[]).await.text();
    let asset = page
        .split('"')
        .find(|text| text.starts_with("/_line/static/") && text.ends_with("tokens.css"));
    let asset = asset.unwrap();
    let tag = app.get(asset, &[]).await.header("etag").to_owned();
    let spellings = |tag: &str| {
        let list = format!("\"other\", W/{tag}");
        [tag.to_owned(), format!("W/{tag}"), list, "*".to_owned()]
    };
    for sent in spellings(&tag) {
        let answer = app.get(asset, &[("if-none-match", &sent)]).await;
        assert_eq!(answer.status, StatusCode::NOT_MODIFIED, "{sent}");
        assert_eq!((answer.header("etag"), answer.body.len()), (&*tag, 0));
    }
    for (accept, coding) in [("gzip, deflate, br", "br"), ("gzip", "gzip")] {
        let answer = app.get(asset, &[("accept-encoding", accept)]).await;
        assert_eq!(answer.header("content-encoding"), coding);
        assert_eq!(answer.header("vary"), "accept-encoding");
        // Its bytes differ, and so does its tag.
        assert_ne!(answer.header("etag"), tag);
    }
    let other = app.get(asset, &[("if-none-match", "\"other\"")]).await;
    assert_eq!(other.status, StatusCode::OK);
    let room = "/_line/v1/rooms/eras";
    for n in 0..4 {
        eventually("an unchanged document", async || {
            let tag = app.get(room, &[]).await.header("etag").to_owned();
            let sent = &spellings(&tag)[n];
            let answer = app.get(room, &[("if-none-match", sent)]).await;
            (answer.status == StatusCode::NOT_MODIFIED).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn who_is_not_known_is_told_how_to_be() {
    let world = World::create().await;
    world.room(json!({"totalActiveUsers": 0})).await;
    let app = world.gateway().await;
    let place = "/_line/v1/rooms/eras/place";
    let none = app.get(place, &[]).await;
    none.assert_problem(401, "place-required");
    assert_eq!(none.header("www-authenticate"), "Bearer");
    let forged = app.get(place, &[("authorization", "Bearer x")]).await;
    forged.assert_problem(401, "place-invalid");
    assert_eq!(forged.header("www-authenticate"), "Bearer");
}

#[tokio::test]
async fn a_claim_has_no_fields() {
    let world = World::create().await;
    world.room(json!({"totalActiveUsers": 0})).await;
    let app = world.gateway().await;
    let fan = app.join(1).await;
    let bearer = fan.bearer();
    let headers = [("authorization", bearer.as_str()), ("content-type", JSON)];
    let claim = async |body: &'static str| {
        let path = "/_line/v1/rooms/eras/pass";
        app.send(Method::POST, path, &headers, body).await
    };
    let refused = claim(r#"{"nonce": "x"}"#).await;
    assert_eq!(
        refused.assert_problem(422, "validation-failed")["field"],
        "nonce"
    );
    for body in ["", "{}"] {
        claim(body).await.assert_problem(409, "not-called");
    }
}
