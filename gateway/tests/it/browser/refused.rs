//! Fans who are not let into the line as they are, and fans who leave it.

use http::Method;
use serde_json::{Value, json};

use super::chromium::{Browser, Kind};
use super::stage::Stage;

async fn joins(stage: &Stage) -> Value {
    let path = format!("/rooms/{}/stats", stage.room);
    let stats = stage.operate(Method::GET, &path, None).await;
    stats["joinsTotal"].clone()
}

#[tokio::test]
async fn a_wrong_code_keeps_the_form_and_whoever_leaves_reads_that_it_is_over() {
    let codes = json!({ "accessCodes": ["summer24"], "totalActiveUsers": 1 });
    for kind in [Kind::DESKTOP, Kind::WITHOUT_SCRIPTS] {
        let stage = Stage::set(codes.clone()).await;
        let fan = Browser::start("code", kind).await;
        fan.open(&stage.line_url()).await;
        fan.types("#code", "winter23").await;
        fan.clicks("#join-button").await;
        fan.mentions("#refused", "access code").await;
        assert!(fan.has("#code").await && fan.has("#join-button").await);
        assert_eq!(joins(&stage).await, 0);
        // So that the fan has a place to leave.
        stage.command("pause", json!({})).await;
        let typed = fan.script("return document.getElementById('code').value", &[]);
        let typed = typed.await.as_str().unwrap().chars().count();
        fan.types("#code", &"\u{e003}".repeat(typed)).await;
        fan.types("#code", " SUMMER24").await;
        fan.clicks("#join-button").await;
        fan.reads("#headline", "The line is paused").await;

        fan.clicks("#leave summary").await;
        fan.clicks("#leave-yes").await;
        fan.mentions("#headline", "left the line").await;
        fan.picture("left").await;
        assert!(!fan.has("#link").await, "{:?}", fan.text("#link").await);
        assert!(!fan.has("#leave").await);
        let page = fan.text("body").await.unwrap();
        assert!(!page.contains("Connecting"), "{page}");
    }
}

#[tokio::test]
async fn a_browser_that_keeps_no_cookies_is_told_so_and_takes_one_place_at_most() {
    let stage = Stage::set(json!({})).await;
    let fan = Browser::start("cookies", Kind::WITHOUT_COOKIES).await;
    fan.open(&stage.line_url()).await;
    fan.mentions("#refused", "keeps no cookies").await;
    fan.picture("blocked").await;
    // Nothing on the page speaks of the place any more, to whoever reads it.
    let page = fan
        .script("return document.title + document.body.textContent", &[])
        .await;
    assert!(
        !page.as_str().unwrap().contains("You are in line"),
        "{page}"
    );
    for id in ["#leave", "#link", "#kept"] {
        assert!(!fan.has(id).await, "{id}");
    }
    // This one does not say that it keeps none: that shows when the first place does not come back.
    assert_eq!(joins(&stage).await, 1);
    fan.before_each_page(
        "Object.defineProperty(Navigator.prototype, 'cookieEnabled', { get: () => false })",
    )
    .await;
    fan.open(&stage.line_url()).await;
    fan.mentions("#refused", "keeps no cookies").await;
    assert_eq!(joins(&stage).await, 1);
}
