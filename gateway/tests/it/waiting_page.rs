//! The waiting page over HTTP, as a browser without scripts uses it.

use http::StatusCode;
use serde_json::json;

use crate::test_app::{Answer, TestApp, World};

const PAGE: &str = "/_line/rooms/eras?to=/eras/seats";
const JOIN: &str = "/_line/rooms/eras/join?to=/eras/seats";

async fn post(app: &TestApp, path: &str, cookie: &str, form: &str) -> Answer {
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("accept", "text/html"),
        ("cookie", cookie),
    ];
    app.send(http::Method::POST, path, &headers, form.to_owned())
        .await
}

async fn room(changes: serde_json::Value) -> (World, TestApp) {
    let world = World::create().await;
    let mut settings = json!({ "totalActiveUsers": 0 });
    for (name, value) in changes.as_object().unwrap() {
        settings[name] = value.clone();
    }
    world.room(settings).await;
    let app = world.gateway().await;
    (world, app)
}

#[tokio::test]
async fn the_page_of_someone_without_a_place_may_be_kept_and_no_other() {
    let (_world, app) = room(json!({})).await;
    let shell = app.get(PAGE, &[]).await;
    assert_eq!(shell.header("cache-control"), "public, max-age=1");
    let vary: Vec<_> = shell.headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["accept-encoding", "Cookie"]);
    assert_eq!(shell.header("set-cookie"), "");
    let again = app.get(PAGE, &[("cookie", "other=1")]).await;
    assert_eq!(again.header("cache-control"), "public, max-age=1");
    for _ in 0..2 {
        let packed = app.get(PAGE, &[("accept-encoding", "br")]).await;
        assert_eq!(packed.header("content-encoding"), "br");
        assert_eq!(packed.header("cache-control"), "public, max-age=1");
        assert_eq!(packed.headers.get_all("content-type").iter().count(), 1);
        assert!(
            packed.body.len() * 2 < shell.body.len(),
            "{}",
            packed.body.len()
        );
    }
    let fan = app.join(1).await;
    for cookie in [fan.cookie.as_str(), "ropeline_place_eras=forged"] {
        let own = app.get(PAGE, &[("cookie", cookie)]).await;
        assert_eq!(own.header("cache-control"), "no-store", "{cookie}");
    }
}

#[tokio::test]
async fn a_browser_that_keeps_no_cookies_is_told_so() {
    let (_world, app) = room(json!({})).await;
    let joined = post(&app, JOIN, "", "nonce=&accessCode=").await;
    assert_eq!(joined.status, StatusCode::SEE_OTHER);
    let back = joined.header("location");
    let lost = app.get(back, &[]).await;
    assert!(
        lost.text().contains("Please allow cookies"),
        "{}",
        lost.text()
    );
    assert!(!lost.text().contains("data-auto-join"));
    assert_eq!(lost.header("cache-control"), "no-store");
    let kept = app.get(back, &[("cookie", joined.cookie())]).await;
    assert!(kept.text().contains("You are"), "{}", kept.text());
    assert!(!kept.text().contains("Please allow cookies"));
}

#[tokio::test]
async fn a_code_is_taken_as_people_type_it_and_a_wrong_one_keeps_the_form() {
    let (_world, app) = room(json!({ "accessCodes": ["summer24"] })).await;
    let wrong = post(&app, JOIN, "", "accessCode=winter").await;
    let page = app.get(wrong.header("location"), &[]).await.text();
    assert!(page.contains("Please check the one you typed"), "{page}");
    assert!(page.contains(r#"id="code""#) && !page.contains(r#"id="code-field" hidden"#));
    assert!(page.contains(r#"autocapitalize="none""#));
    for typed in ["summer24+", "SUMMER24", "%EF%BC%B3UMMER%EF%BC%92%EF%BC%94"] {
        let right = post(&app, JOIN, "", &format!("accessCode={typed}")).await;
        assert!(right.header("location").ends_with("&joined=1"), "{typed}");
    }
}

#[tokio::test]
async fn leaving_needs_no_script() {
    let (_world, app) = room(json!({})).await;
    let fan = app.join(1).await;
    let cookie = fan.cookie.as_str();
    let page = app.get(PAGE, &[("cookie", cookie)]).await.text();
    let (_, form) = page
        .split_once(r#"id="leave-form" method="post" action=""#)
        .unwrap();
    let action = form.split('"').next().unwrap().replace("&#x2f;", "/");
    let left = post(&app, &action, cookie, "").await;
    assert_eq!(left.status, StatusCode::SEE_OTHER);
    let after = app
        .get(left.header("location"), &[("cookie", cookie)])
        .await;
    assert!(
        after.text().contains("You have left the line"),
        "{}",
        after.text()
    );
}

#[tokio::test]
async fn a_closed_room_shows_the_managers_message_and_a_way_out() {
    let message = "The concert moved to the city hall.";
    let changes = json!({ "message": message, "closesAt": "2020-01-02T00:00:00Z", "opensAt": "2020-01-01T00:00:00Z" });
    let (_world, app) = room(changes).await;
    let page = app.get(PAGE, &[]).await.text();
    assert!(
        page.contains("This line is closed") && page.contains(message),
        "{page}"
    );
    assert!(
        page.contains(r#"<p id="way-out"><a class="button quiet" href="&#x2f;">"#),
        "{page}"
    );
    assert!(page.contains(r#"id="link" hidden"#));
}

#[tokio::test]
async fn where_the_start_page_is_waited_for_it_is_no_way_out() {
    let (_world, app) = room(json!({ "paths": ["/"] })).await;
    let page = app.get(PAGE, &[]).await.text();
    assert!(page.contains(r#"<p id="way-out" hidden></p>"#), "{page}");
}
