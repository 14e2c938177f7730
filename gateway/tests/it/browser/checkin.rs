//! Two scanners at the gates of a show: with a network, without one, and with one again.

use std::time::Duration;

use contract::{Clock, SystemClock};
use fantoccini::key::Key;
use http::Method;
use serde_json::{Value, json};
use test_support::tcp_proxy::{Line, TcpProxy};

use super::chromium::{Browser, Kind};
use super::nginx::free_addrs;
use super::stage::Stage;

/// A show without a room that begins soon.
const TONIGHT: &str = "lanterns-tonight";

fn tonight() -> Value {
    json!({
        "showId": TONIGHT,
        "city": { "cityId": "mumbai", "name": "Mumbai", "country": "IN", "timeZone": "Asia/Kolkata" },
        "title": "Lanterns Tonight",
        "genre": "Classical",
        "cast": ["Orchestra of the Western Ghats"],
        "venue": { "name": "Powai Lake Open Air", "address": "Adi Shankaracharya Marg, Mumbai 400076" },
        "startsAt": SystemClock.now().plus(Duration::from_hours(2)),
        "ticketLimit": 4,
        "holdSeconds": 600,
        "currency": "INR",
        "categories": [{ "category": "FRONT", "name": "By the water", "priceMinor": 450_000 }],
        "sections": [{ "name": "Water", "category": "FRONT", "rows": ["A"], "seatsPerRow": 8 }],
    })
}

/// Buys three seats, and gives the QR codes: as texts, and the address of the picture of the third.
async fn tickets(stage: &Stage, fan: &Browser) -> (Vec<String>, String) {
    fan.open(&stage.url(&format!("/shows/{TONIGHT}/seats")))
        .await;
    fan.types("#seats", "A1, A2, A3").await;
    fan.mentions("#basket", "seat 3").await;
    fan.clicks("#hold").await;
    fan.arrives_at("/holds/").await;
    fan.types("[name=email]", "asha@example.org").await;
    fan.clicks(".pay button").await;
    fan.arrives_at("/pay/").await;
    fan.clicks("[value=pm_card_visa]").await;
    fan.clicks("button[value=pay]").await;
    fan.arrives_at("/bookings/").await;
    let path = format!("/api/v1{}", fan.path().await);
    let booking = stage.ask_as(fan, &path).await;
    let tickets = booking["tickets"].as_array().unwrap();
    let text = |name: &str, at: usize| tickets[at][name].as_str().unwrap().to_owned();
    let texts = (0..3).map(|at| text("qr", at)).collect();
    (texts, text("qrSvg", 2))
}

/// A scanner at this gate, set up by the link that operators give to it.
async fn scanner(stage: &Stage, gate: &str, kind: Kind) -> Browser {
    let wish = json!({ "showId": TONIGHT, "gate": gate });
    let made = stage.operate(Method::POST, "/scanners", Some(wish)).await;
    let scanner = Browser::start(&format!("scanner-{gate}"), kind).await;
    scanner.open(made["url"].as_str().unwrap()).await;
    scanner.reads("#gate", &format!("Gate {gate}")).await;
    scanner.reads("#link", "Online").await;
    scanner.reads("#show", "Lanterns Tonight").await;
    scanner.sees("body[data-ready]").await;
    // The token does not stay where somebody reads it.
    assert!(!scanner.url().await.contains("token"));
    scanner
}

/// Types a code as a hand scanner does, and waits for what it comes to.
async fn scans(scanner: &Browser, ticket: &str, result: &str) {
    // What covers the page from the scan before.
    scanner.may_click("#answer:not([hidden])").await;
    scanner.types("#ticket", ticket).await;
    scanner.presses(Key::Enter).await;
    comes_to(scanner, result).await;
}

async fn comes_to(scanner: &Browser, result: &str) {
    scanner
        .sees(&format!("#answer[data-result={result}]"))
        .await;
}

/// A picture of a code, as bytes of a PNG in base64.
async fn picture(fan: &Browser, address: &str) -> String {
    let draw = "return new Promise((resolve, reject) => { \
        const image = new Image(); \
        image.onerror = reject; \
        image.onload = () => { \
          const canvas = document.createElement('canvas'); \
          [canvas.width, canvas.height] = [600, 600]; \
          const context = canvas.getContext('2d'); \
          context.fillStyle = 'white'; context.fillRect(0, 0, 600, 600); \
          context.drawImage(image, 100, 100, 400, 400); \
          resolve(canvas.toDataURL('image/png').split(',')[1]); }; \
        image.src = arguments[0]; })";
    fan.script(draw, &[address])
        .await
        .as_str()
        .unwrap()
        .to_owned()
}

/// Hands a picture to the scanner, as somebody does who chooses a file.
async fn shows_picture(scanner: &Browser, png: &str) {
    let choose = "const bytes = Uint8Array.from(atob(arguments[0]), (one) => one.charCodeAt(0)); \
        const chosen = new DataTransfer(); \
        chosen.items.add(new File([bytes], 'ticket.png', { type: 'image/png' })); \
        const input = document.getElementById('picture'); \
        input.files = chosen.files; \
        input.dispatchEvent(new Event('change'));";
    scanner.script(choose, &[png]).await;
}

#[tokio::test]
async fn two_scanners_without_a_network_do_not_admit_a_ticket_unnoticed() {
    let [_, gateway] = free_addrs();
    let network = TcpProxy::start(gateway.to_string()).await;
    let url = format!("http://{}", network.address);
    let stage = Stage::reached_at(&url, gateway, json!({})).await;
    stage.operate(Method::POST, "/shows", Some(tonight())).await;
    let fan = Browser::start("checkin-fan", Kind::DESKTOP).await;
    let (tickets, picture_of_third) = tickets(&stage, &fan).await;
    let north = scanner(&stage, "North", Kind::PHONE).await;
    let south = scanner(&stage, "South", Kind::DESKTOP).await;
    north.fits("01-ready").await;

    scans(&north, &tickets[0], "ACCEPTED").await;
    north.mentions("#answer-reason", "Seat A1").await;
    north.fits("02-accepted").await;
    scans(&south, &tickets[0], "DUPLICATE").await;
    south.mentions("#answer-reason", "Gate North").await;
    south.picture("03-duplicate").await;
    scans(&south, "HELLO WORLD", "UNREADABLE").await;
    // The library reads what the browser cannot.
    shows_picture(&south, &picture(&fan, &picture_of_third).await).await;
    comes_to(&south, "ACCEPTED").await;
    south.mentions("#answer-reason", "Seat A3").await;

    // Without a network the page opens all the same, and knows what it has seen.
    network.set(Line::Cut);
    for scanner in [&north, &south] {
        scanner.open(&stage.url("/checkin/")).await;
        scanner.reads("#show", "Lanterns Tonight").await;
        scanner.mentions("#link", "No network").await;
        scanner.sees("body[data-ready]").await;
    }
    scans(&north, &tickets[0], "DUPLICATE").await;
    // One letter of the signature; the last of its group, so that a small one is always readable.
    let other = if &tickets[1][80..81] == "0" { "1" } else { "0" };
    let forged = format!("{}{other}{}", &tickets[1][..80], &tickets[1][81..]);
    scans(&north, &forged, "FORGED").await;
    scans(&north, &tickets[1], "ACCEPTED").await;
    north.mentions("#answer-reason", "without a network").await;
    north.fits("04-alone").await;
    scans(&north, &tickets[1], "DUPLICATE").await;
    scans(&south, &tickets[1], "ACCEPTED").await;
    south.mentions("#queue", "1 scan waits").await;
    south.may_click("#answer:not([hidden])").await;
    south.picture("05-waiting").await;

    // With one again everything is sent, and both learn that they let somebody in twice.
    network.set(Line::Up);
    for scanner in [&north, &south] {
        scanner.reads("#link", "Online").await;
        scanner.reads("#queue", "All scans sent").await;
        scanner.may_click("#answer:not([hidden])").await;
        let told = scanner
            .mentions("#conflict-list", "Seat A2 was let in twice")
            .await;
        assert!(
            told.contains("Gate North") && told.contains("Gate South"),
            "{told}"
        );
    }
    north.fits("06-conflict").await;
    south.picture("07-conflict").await;
    let path = format!("/../../checkin/v1/shows/{TONIGHT}/conflicts");
    let listed = stage.operate(Method::GET, &path, None).await;
    let listed = listed["conflicts"].as_array().unwrap().iter();
    let let_in: Vec<_> = listed.filter(|one| one["admitted"] == true).collect();
    assert_eq!(let_in.len(), 1, "{let_in:?}");
    assert_eq!(let_in[0]["seatId"], "A2");
    assert_ne!(
        let_in[0]["scan"]["scannerId"],
        let_in[0]["earlier"]["scannerId"]
    );
    assert_ne!(let_in[0]["scan"]["device"], let_in[0]["earlier"]["device"]);
    let check = stage.operate(Method::GET, "/check", None).await;
    assert_eq!(check["clean"], true, "{check}");
    north.clicks("#conflicts-seen").await;
    north.sees("#conflicts[data-unseen='0']").await;
    assert!(!north.has("#conflicts-seen").await);
}

#[tokio::test]
async fn whoever_left_comes_in_again_and_a_revoked_scanner_stops() {
    let stage = Stage::set(json!({})).await;
    stage.operate(Method::POST, "/shows", Some(tonight())).await;
    let fan = Browser::start("checkin-again", Kind::DESKTOP).await;
    let (tickets, _) = tickets(&stage, &fan).await;
    let west = scanner(&stage, "West", Kind::DESKTOP).await;
    scans(&west, &tickets[0], "ACCEPTED").await;
    west.may_click("#answer:not([hidden])").await;
    west.script("document.getElementById('way-out').click()", &[])
        .await;
    scans(&west, &tickets[0], "ACCEPTED").await;
    west.reads("#answer-headline", "Goodbye").await;
    scans(&west, &tickets[0], "NOT_INSIDE").await;
    west.may_click("#answer:not([hidden])").await;
    west.script("document.getElementById('way-in').click()", &[])
        .await;
    scans(&west, &tickets[0], "ACCEPTED").await;

    let known = stage.operate(Method::GET, "/scanners", None).await;
    let id = known["scanners"][0]["scannerId"].as_str().unwrap();
    stage
        .operate(Method::DELETE, &format!("/scanners/{id}"), None)
        .await;
    scans(&west, &tickets[1], "SCANNER_REFUSED").await;
    west.reads("#link", "This scanner was switched off").await;
}
