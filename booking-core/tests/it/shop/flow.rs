//! Buying from the first page to the ticket.

use std::time::Duration;

use contract::principal::Principal;
use contract::{PlaceId, Timestamp};

use super::browser::{Browser, Page};
use super::test_shop::TestShop;

/// What begins each line of the banner.
const BANNER: &str = "class=\"open-hold\"";

/// The page that leads back to what its reader holds. One that the database does not answer in time
/// has no banner, so it is asked for again, as a fan who goes on does.
async fn led_back(mut ask: impl AsyncFnMut() -> Page, status: u16, texts: &[&str]) -> Page {
    for _ in 0..100 {
        let page = ask().await;
        if texts.iter().all(|text| page.html.contains(text)) {
            return page.shows(status, texts);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ask().await.shows(status, texts)
}
/// Times that a page is loaded again before the test gives up.
const RELOADS_MAX: usize = 80;
/// Pause before that: less than a page waits, and more than the limit on a customer's confirmations
/// asks for.
const RELOAD_AFTER: Duration = Duration::from_millis(250);

#[tokio::test]
async fn tickets_can_be_bought_without_javascript() {
    let shop = TestShop::start().await;
    let mut fan = Browser::new(&shop.router);
    fan.open("/")
        .await
        .shows(200, &["/cities/mumbai", "Mumbai"]);
    fan.open("/cities/mumbai?q=jamshed&date=2099-11-28")
        .await
        .shows(
            200,
            &["Saturday, 28 November 2099", "/shows/open-show", "19:30"],
        );
    fan.open("/cities/mumbai?q=opera&date=")
        .await
        .shows(200, &["Nothing fits"]);
    fan.open("/shows/open-show")
        .await
        .shows(200, &["₹2,500", "Choose seats", "&lt;open-show&gt;"]);
    let seats = fan
        .open("/shows/open-show/seats")
        .await
        .shows(200, &["Gold, ₹2,500, 12 free"]);

    let key = seats.field("formKey");
    let wish = [("seats", "a1, A2"), ("formKey", key.as_str())];
    let hold = fan.submit("/shows/open-show/holds", &wish).await.leads();
    assert!(hold.starts_with("/holds/hold_"), "{hold}");
    let again = fan.submit("/shows/open-show/holds", &wish).await.leads();
    assert_eq!(again, hold, "a form sent twice holds once");
    fan.open(&hold).await.shows(
        200,
        &[
            "Your seats are held",
            "Stalls, row A, seat 1",
            "Stalls, row A, seat 2",
            "₹5,000",
            "left to pay",
        ],
    );

    let payments = format!("{hold}/payments");
    fan.submit(&payments, &[("email", "nobody")]).await.shows(
        422,
        &[
            "This is not an e-mail address.",
            "value=\"nobody\"",
            "row A, seat 1",
        ],
    );
    let pay = fan.submit(&payments, &[("email", "fan@example.com")]).await;
    let pay = pay.leads();
    assert!(
        pay.starts_with(&format!("{}/pay/pi_", shop.payment_url)),
        "{pay}"
    );
    let back = pay_by_card(&pay).await;
    let back = back
        .strip_prefix("http://shop.test")
        .expect("our own address");
    assert!(
        back.starts_with(&format!("{hold}/return?payment=pay_")),
        "{back}"
    );

    // The bank's app leads to another browser: it learns how things stand and nothing else.
    let mut elsewhere = Browser::new(&shop.router);
    let page = arrived_elsewhere(&mut elsewhere, back).await;
    for hidden in ["Stalls", "seat 1", "qr.svg", "/bookings/"] {
        assert!(!page.html.contains(hidden), "{hidden}: {}", page.html);
    }
    let guessed = back.replace("payment=pay_", "payment=pay_0");
    elsewhere
        .open(&guessed)
        .await
        .shows(404, &["There is nothing here"]);
    let booking = settled(&mut fan, back).await;
    assert!(booking.starts_with("/bookings/bkg_"), "{booking}");
    let page = fan.open(&booking).await.shows(
        200,
        &[
            "Booked and paid",
            "₹5,000",
            "Stalls",
            "Row A, seat 1",
            "Row A, seat 2",
            "qr.svg",
        ],
    );
    let qr = page.html.split("<img src=\"").nth(1).unwrap();
    let qr = qr.split('"').next().unwrap().replace("&#x2f;", "/");
    fan.open(&qr).await.shows(200, &["<svg"]);
    fan.open(&hold).await.shows(
        200,
        &["These seats are yours", &format!("href=\"{booking}\"")],
    );

    // Every other page leads back to the tickets.
    let banner = format!("<p class=\"own-booking\"><a href=\"{booking}\">You have 2 tickets");
    led_back(async || fan.open("/").await, 200, &[&banner]).await;
    let own = fan.open(&booking).await;
    assert!(!own.html.contains("own-booking"), "{}", own.html);

    are_hidden_from_a_stranger(&shop, [&booking, &hold]).await;
}

async fn are_hidden_from_a_stranger(shop: &TestShop, paths: [&str; 2]) {
    let mut stranger = Browser::new(&shop.router);
    let page = stranger.open("/").await;
    assert!(!page.html.contains("own-booking"), "{}", page.html);
    for path in paths {
        let page = stranger.open(path).await;
        page.shows(404, &["There is nothing here"]);
    }
}

/// Loads the page that the provider led a strange browser to until it says that all is well.
async fn arrived_elsewhere(browser: &mut Browser, path: &str) -> Page {
    for _ in 0..RELOADS_MAX {
        let page = browser.open(path).await;
        if page.html.contains("Your payment has arrived") {
            return page.shows(200, &["the browser in which you began"]);
        }
        page.shows(
            200,
            &["We are checking your payment", "http-equiv=\"refresh\""],
        );
        tokio::time::sleep(RELOAD_AFTER).await;
    }
    panic!("the payment did not arrive");
}

/// Loads the page that the provider led to until the outcome is known.
async fn settled(fan: &mut Browser, path: &str) -> String {
    for _ in 0..RELOADS_MAX {
        let page = fan.open(path).await;
        if page.status != 202 {
            return page.leads();
        }
        page.shows(
            202,
            &["We are checking your payment", "http-equiv=\"refresh\""],
        );
        tokio::time::sleep(RELOAD_AFTER).await;
    }
    panic!("the payment was not settled");
}

/// Pays on the provider's page and returns where that leads.
async fn pay_by_card(pay: &str) -> String {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let (url, client_secret) = pay.split_once("?client_secret=").unwrap();
    let form = |method| [("client_secret", client_secret), ("payment_method", method)];
    let declined = form("pm_card_chargeDeclinedInsufficientFunds");
    let answer = client.post(url).form(&declined).send().await.unwrap();
    assert_eq!(
        answer.status().as_u16(),
        402,
        "a declined card can be tried again"
    );
    let answer = client
        .post(url)
        .form(&form("pm_card_visa"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 303);
    answer.headers()["location"].to_str().unwrap().to_owned()
}

/// Any seats would do, so the second form must not find others for the same hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_double_click_holds_once() {
    let shop = TestShop::against(crate::against_fraud::off()).await;
    let mut fan = Browser::new(&shop.router);
    for _ in 0..10 {
        let seats = fan.open("/shows/open-show/seats").await;
        let key = seats.field("formKey");
        let wish = [("quantity", "2"), ("formKey", key.as_str())];
        let mut other_click = fan.clone();
        let mut stranger = Browser::new(&shop.router);
        let page = stranger.open("/shows/open-show/seats").await;
        let of_stranger = page.field("formKey");
        let strange_wish = [("quantity", "1"), ("formKey", of_stranger.as_str())];
        let (first, second, third) = tokio::join!(
            fan.submit("/shows/open-show/holds", &wish),
            other_click.submit("/shows/open-show/holds", &wish),
            stranger.submit("/shows/open-show/holds", &strange_wish),
        );
        let hold = first.leads();
        assert_eq!(second.leads(), hold);
        let strange_hold = third.leads();
        for (mut browser, hold) in [(fan.clone(), hold), (stranger, strange_hold)] {
            browser
                .submit(&format!("{hold}/release"), &[])
                .await
                .leads();
        }
    }
}

#[tokio::test]
async fn seats_that_are_gone_are_named_and_the_others_kept() {
    let shop = TestShop::start().await;
    let (mut first, mut second) = (Browser::new(&shop.router), Browser::new(&shop.router));
    let holds = "/shows/open-show/holds";
    first.submit(holds, &[("seats", "B3")]).await.leads();
    second
        .submit(holds, &[("seats", "B3,B4")])
        .await
        .shows(409, &["No longer free: B3", "id=\"seats\" value=\"B4\""]);
    second
        .submit(holds, &[("seats", "A1, Z99")])
        .await
        .shows(422, &["There is no seat Z99.", "value=\"A1, Z99\""]);
    second
        .submit(holds, &[("quantity", "5"), ("category", "GOLD")])
        .await
        .shows(409, &["at most 4 tickets"]);
    let best = [("quantity", "2"), ("category", "GOLD")];
    let hold = second.submit(holds, &best).await.leads();
    second.open(&hold).await.shows(200, &["₹5,000"]);
}

#[tokio::test]
async fn seats_are_chosen_by_section_and_row_without_a_map() {
    let shop = TestShop::start().await;
    let mut fan = Browser::new(&shop.router);
    let seats = "/shows/open-show/seats";
    fan.open(&format!("{seats}?by=row"))
        .await
        .shows(200, &["Stalls", "Row A", "6 free", "section=0&amp;row=B"]);
    let page = fan
        .open(&format!("{seats}?section=0&row=B"))
        .await
        .shows(200, &["Stalls, row B", "value=\"B6\"", "Seat 6, ₹2,500"]);
    for missing in ["?section=7", "?section=7&row=A"] {
        fan.open(&format!("{seats}{missing}"))
            .await
            .shows(404, &["There is nothing here"]);
    }
    fan.open(&format!("{seats}?section=0&row=Q"))
        .await
        .shows(200, &["Nothing is free in this row"]);
    let key = page.field("formKey");
    let wish = [("formKey", &*key), ("seats", "B2"), ("seats", "B3")];
    let hold = fan.submit("/shows/open-show/holds", &wish).await.leads();
    fan.open(&hold)
        .await
        .shows(200, &["Stalls, row B, seat 2", "Stalls, row B, seat 3"]);
    let page = fan.open(&format!("{seats}?section=0&row=B")).await;
    assert!(!page.html.contains("value=\"B2\""));
}

#[tokio::test]
async fn an_open_hold_can_be_found_again_from_every_page() {
    let shop = TestShop::start().await;
    let mut fan = Browser::new(&shop.router);
    let holds = "/shows/open-show/holds";
    let hold = fan.submit(holds, &[("seats", "A1 A2 A3")]).await.leads();
    let link = format!("href=\"{hold}\"");
    for path in [
        "/",
        "/cities/mumbai",
        "/shows/open-show",
        "/shows/open-show/seats",
    ] {
        let texts = ["You hold 3 seats for Monsoon", &link];
        led_back(async || fan.open(path).await, 200, &texts).await;
    }
    led_back(async || fan.open("/no/such").await, 404, &[&link]).await;
    let refused = async || fan.submit(holds, &[("quantity", "3")]).await;
    led_back(refused, 409, &["at most 4 tickets", &link]).await;
    let own = fan.open(&hold).await;
    assert!(!own.html.contains(BANNER));
    let mut stranger = Browser::new(&shop.router);
    assert!(!stranger.open("/").await.html.contains(BANNER));
    fan.submit(&format!("{hold}/release"), &[]).await.leads();
    assert!(!fan.open("/").await.html.contains(BANNER));
}

#[tokio::test]
async fn each_open_hold_has_its_own_way_back() {
    let shop = TestShop::start().await;
    let mut fan = Browser::new(&shop.router);
    let holds = "/shows/open-show/holds";
    let first = fan.submit(holds, &[("seats", "A1")]).await.leads();
    let second = fan.submit(holds, &[("seats", "A2 A3")]).await.leads();
    let link = |hold: &str| format!("href=\"{hold}\"");
    let texts = [
        "You hold 1 seat for",
        "You hold 2 seats for",
        &link(&first),
        &link(&second),
    ];
    led_back(async || fan.open("/").await, 200, &texts).await;
    // The page of one leads to the other.
    let page = led_back(async || fan.open(&first).await, 200, &[&link(&second)]).await;
    assert_eq!(page.html.matches(BANNER).count(), 1);
    fan.submit(&format!("{second}/release"), &[]).await.leads();
    let page = led_back(async || fan.open("/").await, 200, &[&link(&first)]).await;
    assert_eq!(page.html.matches(BANNER).count(), 1);
}

#[tokio::test]
async fn what_the_api_did_to_a_hold_is_on_every_page() {
    let shop = crate::test_shop::TestShop::with(crate::holds::behind_room()).await;
    let router = &shop.process.router;
    let fan = shop.fan().with_pass("eras", 7);
    let mut browser = Browser::new(router);
    browser.passes = vec![Principal {
        room: "eras".parse().unwrap(),
        subject: PlaceId::from_bytes([7; 16]),
        expires_at: Timestamp::from_ms(1_900_000_000_000),
        is_live: true,
    }];
    assert!(!browser.open("/").await.html.contains(BANNER));
    let hold = fan.held(&["A1"]).await;
    let link = format!("href=\"{}\"", hold.trim_start_matches("/api/v1"));
    let texts = ["You hold 1 seat", &link];
    led_back(async || browser.open("/").await, 200, &texts).await;
    assert_eq!(fan.delete(&hold).await.status, 204);
    assert!(!browser.open("/").await.html.contains(BANNER));
    // Paid with the browser closed: only the provider tells.
    let hold = fan.held(&["A2"]).await;
    let intent = fan.intent(&hold).await;
    led_back(async || browser.open("/").await, 200, &["You hold 1 seat"]).await;
    shop.provider.pay(&intent);
    assert_eq!(shop.webhook("evt_1", &intent).await, 200);
    shop.settle().await;
    assert!(!browser.open("/").await.html.contains(BANNER));
    // And one whose time is over, swept or not.
    fan.held(&["A3"]).await;
    shop.clock.advance(Duration::from_mins(11));
    assert!(!browser.open("/").await.html.contains(BANNER));
}

#[tokio::test]
async fn seats_given_up_are_free_for_others() {
    let shop = TestShop::start().await;
    let (mut first, mut second) = (Browser::new(&shop.router), Browser::new(&shop.router));
    let holds = "/shows/open-show/holds";
    let hold = first.submit(holds, &[("seats", "A5")]).await.leads();
    let release = format!("{hold}/release");
    second
        .submit(&release, &[])
        .await
        .shows(404, &["There is nothing here"]);
    assert_eq!(first.submit(&release, &[]).await.leads(), hold);
    first
        .open(&hold)
        .await
        .shows(200, &["You gave these seats up"]);
    second.submit(holds, &[("seats", "A5")]).await.leads();
}
