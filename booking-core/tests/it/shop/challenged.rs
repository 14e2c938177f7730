//! Suspicious customers on the pages, and purchases that are kept back.

use super::browser::{Browser, Page};
use crate::against_fraud::strict;
use crate::fake_provider::FakeProvider;
use crate::test_shop::{TestShop, show_file};

/// The challenge in a page.
#[track_caller]
fn challenge(page: &Page) -> serde_json::Value {
    let (_, rest) = page.html.split_once("data-challenge=\"").unwrap();
    let escaped = rest.split('"').next().unwrap();
    let text = escaped
        .replace("&quot;", "\"")
        .replace("&#x2f;", "/")
        .replace("&amp;", "&");
    serde_json::from_str(&text).unwrap()
}

/// `text` as the value of a form's field.
fn encoded(text: &str) -> String {
    text.replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D")
}

fn provider(shop: &TestShop) -> &FakeProvider {
    &shop.provider
}

#[tokio::test]
async fn the_page_of_a_challenge_goes_on_with_the_form_and_helps_without_javascript() {
    let shop = TestShop::against_fraud(show_file(), None, strict(30)).await;
    let mut fan = Browser::new(&shop.process.router);
    fan.origin = "http://tickets.test";
    let seats = fan.open("/shows/eras-mumbai-1/seats").await;
    let form_key = seats.field("formKey");
    let answer = fan
        .submit(
            "/shows/eras-mumbai-1/holds",
            &[("seats", "A1 A2"), ("formKey", &form_key)],
        )
        .await;
    let hold = answer.leads();
    let pay = format!("{hold}/payments");
    let asked = fan.submit(&pay, &[("email", "new@example.com")]).await;
    let asked = asked.shows(
        403,
        &["One moment", "<noscript>", "needs JavaScript", "progress"],
    );
    for word in ["fraud", "risk", "suspicious", "score"] {
        assert!(!asked.html.to_lowercase().contains(word), "{word}");
    }
    assert_eq!(asked.field("email"), "new@example.com");
    let proof = encoded(&web::challenge::solve(&challenge(&asked)).unwrap());
    let fields = [("email", "new@example.com"), ("proof", proof.as_str())];
    let page = fan.submit(&pay, &fields).await.leads();
    let intent = page
        .split("/pay/")
        .nth(1)
        .unwrap()
        .split('?')
        .next()
        .unwrap();
    provider(&shop).pay(intent);
    let back = fan
        .open(&format!("{hold}/return?payment_intent={intent}"))
        .await
        .leads();
    let booking = fan.open(&back).await;
    let booking = booking.shows(200, &["We are checking your order", "Booking code"]);
    for ticket in ["qr.svg", "tickets.pdf", "Show the code at the door"] {
        assert!(!booking.html.contains(ticket), "{ticket}");
    }
}
