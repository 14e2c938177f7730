//! Every page on the smallest phone.

use serde_json::json;

use super::chromium::{Browser, Kind};
use super::stage::{SHOW, Stage};

/// What the page on which seats are chosen may cost a phone, for a hall of any size.
const SEATS_PAGE_ELEMENTS_MAX: usize = 500;
const SEATS_PAGE_BYTES_MAX: u64 = 80_000;
/// Thousandths of the score that search engines call good up to 100.
const LAYOUT_SHIFT_MAX: u64 = 50;

#[tokio::test]
async fn no_page_scrolls_sideways_on_a_small_phone() {
    let gathering = json!({
        "prequeueOpensAt": "2020-01-01T00:00:00Z",
        "opensAt": null,
        "message": "Bags larger than A4 stay outside: https://example.org/a-very-long-address-that-nothing-breaks",
    });
    let stage = Stage::set(gathering).await;
    let fan = Browser::start("phone", Kind::PHONE).await;

    fan.open(&stage.url("/")).await;
    fan.sees(".cities").await;
    fan.fits("01-cities").await;
    fan.open(&stage.url("/cities/mumbai")).await;
    fan.sees(".show-row").await;
    fan.fits("02-city").await;
    fan.open(&stage.url(&format!("/shows/{SHOW}"))).await;
    fan.sees("main .button").await;
    fan.fits("03-show").await;
    fan.open(&stage.url("/shows/none")).await;
    fan.sees("h1").await;
    fan.fits("04-missing").await;

    fan.open(&stage.line_url()).await;
    fan.reads("#headline", "You are in for the draw").await;
    fan.clicks("#draw summary").await;
    fan.fits("05-prequeue").await;
    let reason = json!({ "reason": "The stage is being dried." });
    stage.command("pause", reason).await;
    fan.reads("#headline", "The line is paused").await;
    fan.fits("06-paused").await;
    stage.command("open", json!({})).await;
    fan.reads("#headline", "It is your turn").await;
    fan.fits("07-turn").await;
    fan.clicks("#enter").await;

    fan.arrives_at(&format!("/shows/{SHOW}/seats")).await;
    fan.reads("#map-link", "The map is live.").await;
    let (elements, shift, bytes) = (
        fan.count("*").await,
        fan.layout_shift().await,
        fan.transferred().await,
    );
    assert!(elements < SEATS_PAGE_ELEMENTS_MAX, "{elements} elements");
    assert!(shift < LAYOUT_SHIFT_MAX, "moved by {shift} thousandths");
    assert!(bytes < SEATS_PAGE_BYTES_MAX, "{bytes} bytes");
    fan.fits("08-seats").await;
    fan.clicks(".best button").await;
    fan.arrives_at("/holds/").await;
    fan.fits("09-hold").await;
    fan.types("[name=email]", "asha@example.org").await;
    fan.clicks(".pay button").await;
    fan.arrives_at("/pay/").await;
    fan.fits("10-pay").await;
    fan.clicks("button[value=cancel]").await;
    fan.arrives_at("/holds/").await;
    // Who cancels gives the seats up at once, and may choose again.
    fan.reads("h1", "You gave these seats up").await;
    fan.fits("11-cancelled").await;
    fan.clicks("main .button").await;
    fan.arrives_at(&format!("/shows/{SHOW}/seats")).await;
    fan.clicks(".best button").await;
    fan.arrives_at("/holds/").await;
    fan.types("[name=email]", "asha@example.org").await;
    fan.clicks(".pay button").await;
    fan.arrives_at("/pay/").await;
    fan.clicks("button[value=pay]").await;
    fan.arrives_at("/bookings/").await;
    fan.sees(".ticket img").await;
    fan.fits("12-tickets").await;
    fan.scrolls_to(".booking-facts").await;
    fan.picture("13-codes").await;
}
