//! What holds for every page.

use contract::principal::Principal;
use contract::{Clock, PlaceId, SystemClock};

use super::browser::Browser;
use super::test_shop::TestShop;

#[tokio::test]
async fn forms_of_other_sites_change_nothing() {
    let shop = TestShop::start().await;
    let mut fan = Browser::new(&shop.router);
    let hold = fan
        .submit("/shows/open-show/holds", &[("seats", "A1")])
        .await;
    let hold = hold.leads();
    for origin in ["https://evil.example", "null"] {
        fan.origin = origin;
        fan.submit(&format!("{hold}/release"), &[])
            .await
            .shows(403, &["Forms are taken from our own pages only"]);
    }
    fan.open(&hold).await.shows(200, &["Your seats are held"]);
}

#[tokio::test]
async fn every_page_is_sent_with_the_policy_and_never_stored() {
    let shop = TestShop::start().await;
    let mut fan = Browser::new(&shop.router);
    for path in [
        "/",
        "/cities/mumbai",
        "/shows/open-show",
        "/shows/open-show/seats",
        "/no/such",
    ] {
        let headers = fan.open(path).await.headers;
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        let forms = format!("form-action 'self' {};", shop.payment_url);
        assert!(policy.contains(&forms), "{path}: {policy}");
        assert_eq!(headers["cache-control"], "private, no-store", "{path}");
        assert_eq!(
            headers["content-type"], "text/html; charset=utf-8",
            "{path}"
        );
    }
}

#[tokio::test]
async fn search_engines_may_read_the_catalogue_only() {
    let shop = TestShop::start().await;
    let mut fan = Browser::new(&shop.router);
    let robots = fan.open("/robots.txt").await;
    let robots = robots.shows(200, &["Disallow: /holds/", "Disallow: /shows/*/seats"]);
    assert_eq!(robots.headers["content-type"], "text/plain; charset=utf-8");
    fan.open("/shows/open-show").await.shows(
        200,
        &[
            "rel=\"canonical\" href=\"http:&#x2f;&#x2f;shop.test/shows/open-show\"",
            "schema.org",
        ],
    );
    for personal in ["/shows/open-show/seats", "/no/such"] {
        let page = fan.open(personal).await;
        assert!(page.html.contains("content=\"noindex\""), "{personal}");
    }
}

#[tokio::test]
async fn a_missing_page_is_a_page_and_a_missing_resource_a_problem() {
    let shop = TestShop::start().await;
    let mut fan = Browser::new(&shop.router);
    let page = fan.open("/shows/no-such-show").await;
    let id = page.headers["x-request-id"].to_str().unwrap().to_owned();
    page.shows(
        404,
        &["There is nothing here", &format!("<code>{id}</code>")],
    );
    fan.open("/nowhere").await.shows(404, &["<h1"]);
    let resource = fan
        .open("/api/v1/nowhere")
        .await
        .shows(404, &["\"code\":\"not-found\""]);
    assert_eq!(resource.headers["content-type"], "application/problem+json");
    assert!(resource.headers.get("content-security-policy").is_none());
}

#[tokio::test]
async fn a_program_that_asks_for_a_page_gets_its_problem() {
    let shop = TestShop::start().await;
    let mut program = Browser::new(&shop.router);
    for accept in ["application/json", "*/*"] {
        let answer = program.ask("/shows/no-such-show", accept).await;
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        answer.shows(404, &["\"code\":\"not-found\""]);
    }
}

#[tokio::test]
async fn a_show_behind_a_room_leads_through_its_line() {
    let shop = TestShop::start().await;
    let mut fan = Browser::new(&shop.router);
    let line = "/_line/rooms/monsoon?to=/shows/line-show/seats";
    fan.open("/shows/line-show")
        .await
        .shows(200, &["Join the line"]);
    assert_eq!(fan.open("/shows/line-show/seats").await.leads(), line);
    let wish = [("seats", "A1")];
    let holds = "/shows/line-show/holds";
    assert_eq!(fan.submit(holds, &wish).await.leads(), line);

    fan.passes.push(Principal {
        room: "monsoon".parse().unwrap(),
        subject: PlaceId::from_bytes([1; 16]),
        expires_at: SystemClock.now(),
        is_live: true,
    });
    fan.open("/shows/line-show")
        .await
        .shows(200, &["Choose seats"]);
    fan.open("/shows/line-show/seats")
        .await
        .shows(200, &["Choose your seats"]);
    assert!(
        fan.submit(holds, &wish)
            .await
            .leads()
            .starts_with("/holds/")
    );
}

#[tokio::test]
async fn who_sends_a_form_over_and_over_gets_a_page_that_says_when() {
    let shop = TestShop::start().await;
    let mut fan = Browser::new(&shop.router);
    let hold = fan
        .submit("/shows/open-show/holds", &[("seats", "A1")])
        .await;
    let hold = hold.leads();
    let mut page = fan.submit(&format!("{hold}/payments"), &[]).await;
    for _ in 0..200 {
        if page.status == 429 {
            break;
        }
        page = fan.submit(&format!("{hold}/payments"), &[]).await;
    }
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert!(page.headers.contains_key("retry-after"));
    page.shows(429, &["Slow down"]);
    fan.open(&hold).await.shows(200, &["Your seats are held"]);
}
