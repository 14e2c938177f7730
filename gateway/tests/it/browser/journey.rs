//! From the waiting page to a ticket, with JavaScript and without.

use fantoccini::key::Key;
use http::Method;
use serde_json::{Value, json};

use super::chromium::{Browser, Kind};
use super::stage::{SHOW, Stage};

const EMAIL: &str = "asha@example.org";

#[tokio::test]
async fn a_fan_waits_chooses_two_seats_and_gets_tickets() {
    let stage = Stage::set(json!({})).await;
    let (first, second, third) = (
        stage.rival().await,
        stage.rival().await,
        stage.rival().await,
    );
    stage.goes_in(&first).await;

    let fan = Browser::start("scripts", Kind::DESKTOP).await;
    fan.open(&stage.url("/")).await;
    fan.picture("01-cities").await;
    fan.clicks(".cities a").await;
    fan.arrives_at("/cities/mumbai").await;
    fan.picture("02-city").await;
    fan.clicks(".show-row a").await;
    fan.arrives_at(&format!("/shows/{SHOW}")).await;
    fan.picture("03-show").await;
    fan.clicks("main .button").await;
    fan.reads("#headline", "You are in line").await;
    fan.reads("#ahead", "2").await;
    fan.reads("#link", "Live").await;
    fan.picture("04-waiting").await;

    stage.change("message", json!("Doors open at six.")).await;
    fan.reads("#message", "Doors open at six.").await;
    let reason = json!({ "reason": "The stage is being dried." });
    stage.command("pause", reason).await;
    fan.reads("#headline", "The line is paused").await;
    fan.reads("#lede", "The stage is being dried.").await;
    fan.picture("05-paused").await;
    stage.command("resume", json!({})).await;
    fan.reads("#headline", "You are in line").await;

    stage.goes_home(&first).await;
    stage.goes_in(&second).await;
    fan.reads("#ahead", "1").await;
    stage.goes_home(&second).await;
    stage.goes_in(&third).await;
    fan.reads("#headline", "You are next").await;
    fan.picture("06-next").await;
    stage.goes_home(&third).await;
    fan.reads("#headline", "It is your turn").await;
    fan.picture("07-turn").await;
    fan.clicks("#enter").await;

    buys_a1_and_c7(&stage, &fan).await;
}

#[tokio::test]
async fn behind_a_plain_nginx_a_fan_waits_enters_and_gets_tickets() {
    let stage = Stage::behind_nginx(json!({})).await;
    let first = stage.rival().await;
    stage.goes_in(&first).await;

    let fan = Browser::start("nginx-tickets", Kind::DESKTOP).await;
    fan.open(&stage.url(&format!("/shows/{SHOW}"))).await;
    fan.clicks("main .button").await;
    fan.reads("#headline", "You are next").await;
    // nginx passes no WebSocket on unless told to, but an event stream.
    fan.reads("#link", "Live").await;
    stage.goes_home(&first).await;
    fan.reads("#headline", "It is your turn").await;
    fan.clicks("#enter").await;
    buys_a1_and_c7(&stage, &fan).await;
}

#[tokio::test]
async fn a_fan_without_scripts_waits_and_gets_tickets_too() {
    let stage = Stage::set(json!({})).await;
    let (first, second) = (stage.rival().await, stage.rival().await);
    stage.goes_in(&first).await;

    let fan = Browser::start("no-scripts", Kind::WITHOUT_SCRIPTS).await;
    fan.open(&stage.url(&format!("/shows/{SHOW}"))).await;
    fan.clicks("main .button").await;
    fan.reads("#headline", "Join the line").await;
    fan.picture("01-join").await;
    fan.clicks("#join-button").await;
    fan.reads("#headline", "You are in line").await;
    fan.reads("#ahead", "1").await;
    fan.picture("02-waiting").await;

    // From here to its turn the page loads itself again; nobody touches the browser.
    let reason = json!({ "reason": "The stage is being dried." });
    stage.command("pause", reason).await;
    fan.reads("#headline", "The line is paused").await;
    fan.reads("#lede", "The stage is being dried.").await;
    stage.command("resume", json!({})).await;
    stage.goes_home(&first).await;
    stage.goes_in(&second).await;
    fan.reads("#headline", "You are next").await;
    stage.goes_home(&second).await;
    fan.reads("#headline", "It is your turn").await;
    fan.picture("03-turn").await;
    fan.clicks("#enter").await;

    fan.arrives_at(&format!("/shows/{SHOW}/seats")).await;
    stage.has_inside(1).await;
    assert_eq!(fan.count("[data-seat]").await, 0, "a map without scripts");
    fan.picture("04-seats").await;
    fan.clicks(".best button").await;

    let booking = pays(&stage, &fan).await;
    let seats = seats_of(&booking);
    assert_eq!(seats.len(), 2);
    assert_ne!(seats[0], seats[1]);
}

/// What a fan does who has just entered, from the map to the tickets, all at the stage's own
/// address but for the provider's page.
async fn buys_a1_and_c7(stage: &Stage, fan: &Browser) {
    fan.arrives_at(&format!("/shows/{SHOW}/seats")).await;
    stage.has_inside(1).await;
    chooses_a1_and_c7(fan).await;
    fan.clicks("#hold").await;
    fan.arrives_at("/holds/").await;
    // The clock runs by itself.
    let left = fan.mentions("#clock-left", " s").await;
    fan.reads_as("#clock-left", |now| now != left).await;

    let booking = pays(stage, fan).await;
    assert_eq!(seats_of(&booking), ["A1", "C7"]);
    let at = fan.url().await;
    assert!(at.starts_with(&stage.url("/bookings/")), "{at}");
}

/// Chooses one seat with the keyboard alone and one with the mouse.
async fn chooses_a1_and_c7(fan: &Browser) {
    fan.reads("#map-link", "The map is live.").await;
    fan.picture("08-seats").await;
    fan.tabs_to("[data-seat=A1]").await;
    fan.presses(Key::Right).await;
    assert!(fan.has_focus("[data-seat=A2]").await);
    fan.presses(Key::Left).await;
    fan.presses(Key::Enter).await;
    fan.mentions("#seat-note", "Water, row A, seat 1 added, 1 chosen")
        .await;
    // The arrows lead to another row, and a mouse finds the seat where the map shows it.
    for key in [Key::Down, Key::Down].into_iter().chain([Key::Right; 6]) {
        fan.presses(key).await;
    }
    assert!(fan.has_focus("[data-seat=C7]").await);
    let label = fan.attribute("[data-seat=C7]", "aria-label").await;
    assert_eq!(label, "Water, row C, seat 7, By the water, ₹4,500, free");
    fan.clicks_where("[data-seat=C7]").await;
    fan.mentions("#seat-note", "Water, row C, seat 7 added, 2 chosen")
        .await;
    fan.reads("#total", "₹9,000").await;
    assert_eq!(fan.count("#basket li").await, 2);
    fan.picture("09-chosen").await;
}

#[tokio::test]
async fn seats_that_are_named_are_held_with_one_click() {
    let stage = Stage::set(json!({})).await;
    let fan = Browser::start("named", Kind::DESKTOP).await;
    // Nobody else is there: the way to the seats leads past no waiting page.
    fan.open(&stage.url(&format!("/shows/{SHOW}"))).await;
    fan.clicks("main .button").await;
    fan.reads("#map-link", "The map is live.").await;
    fan.types("#seats", "b3, B4").await;
    fan.mentions("#basket", "row B, seat 4").await;
    fan.clicks("#hold").await;
    fan.arrives_at("/holds/").await;
    fan.mentions(".seat-names", "row B, seat 3").await;
    // What was not meant can be taken back, and not by one tap.
    assert!(!fan.has(".leave button").await);
    fan.clicks(".leave summary").await;
    fan.clicks(".leave button").await;
    fan.reads("h1", "You gave these seats up").await;
}

/// Pays on the provider's page, with a card that is declined and then with one that is not.
/// Checks the tickets, and gives the booking as the API tells it to this browser.
async fn pays(stage: &Stage, fan: &Browser) -> Value {
    fan.types("[name=email]", EMAIL).await;
    fan.picture("10-hold").await;
    fan.clicks(".pay button").await;
    fan.arrives_at("/pay/").await;
    fan.picture("11-pay").await;
    fan.clicks("[value=pm_card_chargeDeclinedInsufficientFunds]")
        .await;
    fan.clicks("button[value=pay]").await;
    fan.mentions("[role=alert]", "insufficient funds").await;
    fan.picture("12-declined").await;
    fan.clicks("[value=pm_card_visa]").await;
    fan.clicks("button[value=pay]").await;

    fan.arrives_at("/bookings/").await;
    let booking = stage
        .ask_as(fan, &format!("/api/v1{}", fan.path().await))
        .await;
    assert_eq!(booking["status"], "CONFIRMED");
    fan.reads(".code", booking["code"].as_str().unwrap()).await;
    let seats = seats_of(&booking);
    for number in 1..=seats.len() {
        let image = format!(".ticket:nth-child({number}) img");
        assert!(fan.is_loaded(&image).await, "{image} shows no QR code");
    }
    assert_eq!(fan.count(".ticket img").await, seats.len());
    fan.picture("13-tickets").await;

    // Paying ends the visit at once, so that the next fan is let in.
    stage.has_inside(0).await;
    let map = stage
        .ask_as(fan, &format!("/api/v1/shows/{SHOW}/seatmap"))
        .await;
    let sold: Vec<_> = map["seats"].as_array().unwrap().iter().collect();
    let sold = sold.iter().filter(|seat| seat["status"] == "BOOKED");
    let sold: Vec<_> = sold.map(|seat| seat["seatId"].clone()).collect();
    assert_eq!(json!(sold), json!(seats));
    let check = stage.operate(Method::GET, "/check", None).await;
    assert_eq!(check["clean"], true, "{check}");
    booking
}

fn seats_of(booking: &Value) -> Vec<String> {
    let tickets = booking["tickets"].as_array().unwrap();
    tickets
        .iter()
        .map(|ticket| ticket["seatId"].as_str().unwrap().to_owned())
        .collect()
}
