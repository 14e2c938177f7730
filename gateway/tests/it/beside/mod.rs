//! The gate beside another proxy, which asks about each request and sends it to the shop by itself.

mod caddy;
mod haproxy;
mod nginx;
mod shop;

use contract::room::Override;
use gateway::edge::asked_about::HeaderFamily;
use gateway::gate::RefusalForm;
use http::{Method, StatusCode};
use serde_json::json;

use crate::test_app::{Answer, TestApp, World};

const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml");

/// A gateway whose trusted proxies are on this machine, with a room before a shop.
async fn asked_by_proxies(world: &mut World) -> TestApp {
    world.trusted = vec!["127.0.0.0/8".parse().unwrap()];
    let changes = json!({
        "hosts": ["shop.example"], "upstream": "http://127.0.0.1:9", "paths": ["/checkout"],
        "exempt": ["/checkout/assets", "POST /checkout/hook"],
        "corsOrigins": ["https://www.example.com"],
    });
    world.room(changes).await;
    world.gateway().await
}

/// Asks about a request of `shop.example`.
async fn ask(app: &TestApp, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let named = [
        ("x-forwarded-method", method),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-uri", path),
        ("x-forwarded-for", "192.0.2.7"),
    ];
    app.get("/_line/v1/auth", &[&named[..], headers].concat())
        .await
}

fn passes(answer: &Answer) -> bool {
    if answer.status == StatusCode::OK {
        assert!(answer.body.is_empty());
        assert!(answer.header("cache-control").ends_with("no-store"));
        return true;
    }
    false
}

#[tokio::test]
async fn only_trusted_proxies_may_ask_and_only_clearly() {
    let mut world = World::create().await;
    let app = asked_by_proxies(&mut world).await;
    assert!(passes(&ask(&app, "GET", "/catalogue", &[]).await));
    world.trusted = vec!["192.0.2.0/24".parse().unwrap()];
    let strangers = world.gateway().await;
    let refused = ask(&strangers, "GET", "/catalogue", &[]).await;
    refused.assert_problem(403, "forbidden");
    for other in [
        ("x-forwarded-uri", "/"),
        ("x-forwarded-host", "shop.example"),
        ("x-original-url", "https://shop.example/"),
        ("x-original-method", "POST"),
    ] {
        let refused = ask(&app, "GET", "/catalogue", &[other]).await;
        refused.assert_problem(400, "bad-request");
    }
    let ambiguous = ask(&app, "GET", "/catalogue/%2e%2e/checkout", &[]).await;
    assert!(!passes(&ambiguous), "{}", ambiguous.text());
    let missing = app.get("/_line/v1/auth", &[]).await;
    missing.assert_problem(400, "bad-request");
    let prefixed = app.get("/_line/v1/auth/catalogue", &[]).await;
    prefixed.assert_problem(400, "bad-request");
}

#[tokio::test]
async fn a_refusal_names_the_waiting_page_and_who_is_to_read_it() {
    let mut world = World::create().await;
    let app = asked_by_proxies(&mut world).await;
    let page = "/_line/rooms/eras?to=/checkout%3Fa%3D1";
    let person = ask(&app, "GET", "/checkout?a=1", &[HTML]).await;
    assert_eq!(person.status, StatusCode::UNAUTHORIZED);
    assert_eq!(person.header("location"), page);
    assert_eq!(person.header("ropeline-join-url"), page);
    assert_eq!(person.header("ropeline-reader"), "person");
    assert_eq!(person.header("cache-control"), "no-store");
    let program = ask(
        &app,
        "GET",
        "/checkout?a=1",
        &[("origin", "https://www.example.com")],
    )
    .await;
    let problem = program.assert_problem(401, "pass-required");
    assert_eq!(problem["joinUrl"], page);
    assert_eq!(program.header("location"), page);
    assert_eq!(program.header("ropeline-reader"), "program");
    assert_eq!(
        program.header("access-control-allow-origin"),
        "https://www.example.com"
    );
    // A browser that looks ahead is not told to go there.
    let ahead = ask(
        &app,
        "GET",
        "/checkout",
        &[HTML, ("sec-purpose", "prefetch")],
    )
    .await;
    assert_eq!(ahead.status, StatusCode::FORBIDDEN);
    assert_eq!(ahead.header("location"), "");
}

#[tokio::test]
async fn a_pass_lets_through_and_the_shop_learns_whose_it_is() {
    let mut world = World::create().await;
    let app = asked_by_proxies(&mut world).await;
    let fan = app.join(1).await;
    let pass = fan.claimed(&app).await;
    let cookie = format!("ropeline_pass_eras={pass}");
    for shown in [("cookie", cookie.as_str()), ("ropeline-pass", &pass)] {
        let admitted = ask(&app, "POST", "/checkout/pay", &[shown]).await;
        assert!(passes(&admitted), "{}", admitted.text());
        assert_eq!(admitted.header("ropeline-room"), "eras");
        assert_eq!(admitted.header("ropeline-session"), "live");
        assert_eq!(admitted.header("ropeline-subject").len(), 22, "a place id");
        assert!(!admitted.header("ropeline-pass-expires").is_empty());
        assert_eq!(admitted.header("ropeline-pass"), "", "it is the fan's");
    }
    // What a client claims is neither believed nor told.
    let claims = [("ropeline-room", "eras"), ("ropeline-subject", "me")];
    assert!(!passes(&ask(&app, "GET", "/checkout", &claims).await));
    let open = ask(&app, "GET", "/catalogue", &claims).await;
    assert!(passes(&open));
    assert_eq!(open.header("ropeline-room"), "");
    // A call ends the session, for a shop whose answers do not come by.
    let path = "/_line/v1/rooms/eras/pass";
    let own = [("ropeline-pass", pass.as_str())];
    let ended = app.send(Method::DELETE, path, &own, "").await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    let after = ask(&app, "GET", "/checkout", &[("cookie", &cookie)]).await;
    assert_eq!(after.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_gates_reasons_to_let_a_request_through_are_the_same() {
    let mut world = World::create().await;
    let app = asked_by_proxies(&mut world).await;
    let preflight = [
        ("origin", "https://www.example.com"),
        ("access-control-request-method", "POST"),
    ];
    for (method, path, headers, expected) in [
        ("GET", "/checkout/assets/a.css", &[][..], true),
        ("POST", "/checkout/hook", &[], true),
        ("GET", "/checkout/hook", &[], false),
        ("OPTIONS", "/checkout", &preflight, true),
        ("OPTIONS", "/checkout", &preflight[..1], false),
        ("POST", "/checkout", &preflight, false),
        ("POST", "/api/v1/payments/stripe/webhook", &[], true),
    ] {
        let answer = ask(&app, method, path, headers).await;
        assert_eq!(passes(&answer), expected, "{method} {path}");
    }
    for (word, expected) in [
        (Override::Pause, false),
        (Override::Close, false),
        (Override::Open, false),
    ] {
        world.word(word, None).await;
        let asked = crate::test_app::eventually("the word", async || {
            let document = app.get("/_line/v1/rooms/eras", &[]).await.json();
            let phase = document["phase"].as_str()?.to_owned();
            let is_said = match word {
                Override::Pause => phase == "paused",
                Override::Close => phase == "closed",
                Override::Open => phase == "queueing",
            };
            is_said.then_some(())
        });
        asked.await;
        let answer = ask(&app, "GET", "/checkout", &[HTML]).await;
        assert_eq!(passes(&answer), expected, "{word:?}");
    }
}

#[tokio::test]
async fn in_stand_by_a_page_gets_a_session_and_its_cookie() {
    let mut world = World::create().await;
    world.trusted = vec!["127.0.0.0/8".parse().unwrap()];
    let changes = json!({
        "hosts": ["*"], "upstream": "http://127.0.0.1:9", "paths": ["/checkout"],
        "queueAll": false, "opensAt": "2026-01-01T00:00:00Z",
    });
    world.room(changes).await;
    let app = world.gateway().await;
    let program = ask(&app, "GET", "/checkout", &[]).await;
    assert_eq!(program.status, StatusCode::UNAUTHORIZED);
    let head = ask(&app, "HEAD", "/checkout", &[HTML]).await;
    assert_eq!(head.status, StatusCode::UNAUTHORIZED);
    let page = ask(&app, "GET", "/checkout", &[HTML]).await;
    assert!(passes(&page), "{}", page.text());
    assert_eq!(page.header("cache-control"), "private, no-store");
    let subject = page.header("ropeline-subject").to_owned();
    let again = ask(&app, "POST", "/checkout", &[("cookie", page.cookie())]).await;
    assert!(passes(&again), "{}", again.text());
    assert_eq!(again.header("ropeline-subject"), subject);
}

#[tokio::test]
async fn an_idle_or_suspended_room_lets_everyone_through() {
    for changes in [
        json!({"queueAll": false, "queueingMethod": "passthrough"}),
        json!({"suspended": true}),
    ] {
        let mut world = World::create().await;
        world.trusted = vec!["127.0.0.0/8".parse().unwrap()];
        let mut room = json!({"hosts": ["*"], "upstream": "http://127.0.0.1:9", "paths": ["/"]});
        room.as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        world.room(room).await;
        let app = world.gateway().await;
        let program = ask(&app, "POST", "/checkout", &[]).await;
        assert!(passes(&program), "{changes}: {}", program.text());
    }
}

#[tokio::test]
async fn proxies_that_pass_refusals_on_get_the_fans_answer() {
    let mut world = World::create().await;
    world.questions.form = RefusalForm::Final;
    let app = asked_by_proxies(&mut world).await;
    let page = ask(&app, "GET", "/checkout", &[HTML]).await;
    assert_eq!(page.status, StatusCode::FOUND);
    assert_eq!(page.header("location"), "/_line/rooms/eras?to=/checkout");
    let form = ask(&app, "POST", "/checkout", &[HTML]).await;
    assert_eq!(form.status, StatusCode::SEE_OTHER);
    let program = ask(&app, "GET", "/checkout", &[]).await;
    program.assert_problem(403, "pass-required");
    assert_eq!(
        program.header("ropeline-join-url"),
        "/_line/rooms/eras?to=/checkout"
    );
}

/// As Envoy's documentation says that its filter asks: the request's method and host, its path
/// after the prefix, no body, and of its headers those that are allowed.
#[tokio::test]
async fn envoys_questions_have_the_path_after_a_prefix() {
    let mut world = World::create().await;
    world.questions.family = HeaderFamily::Prefix;
    let app = asked_by_proxies(&mut world).await;
    let envoy = async |method: Method, path: &str, headers: &[(&str, &str)]| {
        let path = format!("/_line/v1/auth{path}");
        let common = [
            ("host", "shop.example"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-proto", "https"),
            ("content-length", "0"),
        ];
        app.send(method, &path, &[&common[..], headers].concat(), "")
            .await
    };
    let open = envoy(Method::GET, "/catalogue", &[]).await;
    assert!(passes(&open), "{}", open.text());
    let page = envoy(Method::GET, "/checkout?a=1", &[HTML]).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    let waiting = "/_line/rooms/eras?to=/checkout%3Fa%3D1";
    assert_eq!(page.header("location"), waiting);
    // A page of another site sends a form: the shop decides on that, not the line.
    let fan = app.join(1).await;
    let cookie = format!("ropeline_pass_eras={}", fan.claimed(&app).await);
    let foreign = [
        ("origin", "https://elsewhere.example"),
        ("cookie", cookie.as_str()),
    ];
    let form = envoy(Method::POST, "/checkout", &foreign).await;
    assert!(passes(&form), "{}", form.text());
    assert_eq!(form.header("ropeline-room"), "eras");
    let other = [("x-forwarded-uri", "/catalogue")];
    let refused = envoy(Method::GET, "/checkout", &other).await;
    refused.assert_problem(400, "bad-request");
    let bare = app.get("/_line/v1/auth", &[]).await;
    bare.assert_problem(400, "bad-request");
    for home in ["/", "/?a=1"] {
        let home = envoy(Method::GET, home, &[HTML]).await;
        assert!(passes(&home), "{}", home.text());
    }
}

#[tokio::test]
async fn a_host_that_no_room_answers_for_is_refused() {
    let mut world = World::create().await;
    let app = asked_by_proxies(&mut world).await;
    for path in ["/checkout", "/catalogue", "/api/v1/payments/stripe/webhook"] {
        let named = [
            ("x-forwarded-method", "POST"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "elsewhere.example"),
            ("x-forwarded-uri", path),
        ];
        let refused = app.get("/_line/v1/auth", &named).await;
        refused.assert_problem(403, "forbidden");
    }
}
