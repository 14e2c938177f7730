//! A fan whose session ended goes on with the seats that they hold, over the gate and the booking
//! core together.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use booking_core::{
    Booking, BookingConfig, BookingDeps, ImportedShow, MailConfig, PaymentConfig, Pools, Rates,
    RoomDirectory, StoreError, TicketFonts, TicketKeys, TicketStoreConfig, WalletConfig,
    WebhookConfig,
};
use contract::booking::ShowFile;
use contract::line::Phase;
use contract::{Clock, RoomId};
use futures_util::future::BoxFuture;
use gateway::ops::metrics::Metrics;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing_subscriber::fmt::format::FmtSpan;
use web::ApiJson;

use crate::serving::Server;
use crate::test_app::{Answer, TestApp, World};

const HOLDS: &str = "/api/v1/shows/lanterns/holds";
const JSON: (&str, &str) = ("content-type", "application/json");
const HTML: (&str, &str) = ("accept", "text/html");
/// The cookie of a browser that holds nothing.
const STRANGER: &str = "ropeline_session=AAAAAAAAAAAAAAAAAAAAAA";

struct AnyRoom;

impl RoomDirectory for AnyRoom {
    fn knows<'a>(&'a self, _: &'a RoomId) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async { Ok(true) })
    }

    fn phase(&self, _room: &RoomId) -> Option<Phase> {
        None
    }
}

/// Everything that this thread logs, of every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn record(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_span_events(FmtSpan::FULL)
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn intent(State(paid): State<Arc<AtomicBool>>) -> ApiJson<Value> {
    let (status, received) = if paid.load(Ordering::SeqCst) {
        ("succeeded", 450_000)
    } else {
        ("requires_payment_method", 0)
    };
    ApiJson(json!({
        "id": "pi_1", "object": "payment_intent", "client_secret": "pi_1_secret",
        "status": status, "amount": 450_000, "amount_received": received,
        "currency": "inr", "metadata": {},
    }))
}

/// A provider with one intent, which the customer has paid or not.
async fn provider(paid: Arc<AtomicBool>) -> Server {
    let router = Router::new()
        .route("/v1/payment_intents", post(intent))
        .route("/v1/payment_intents/{id}", get(intent))
        .with_state(paid);
    Server::start(router).await
}

/// A booking core without a show on the database at `database_url`.
pub(crate) async fn empty_shop(
    database_url: &str,
    provider_url: String,
    clock: Arc<dyn Clock>,
) -> Booking {
    let config = BookingConfig {
        channels: booking_core::ChannelsConfig::default(),
        public_url: "http://line.test".to_owned(),
        payments: vec![PaymentConfig::simulator(
            &provider_url,
            "sk_test",
            "whsec_test",
        )],
        // No background work runs; a test that mails looks for its own message.
        mail: MailConfig::to_files(std::env::temp_dir()),
        webhooks: WebhookConfig::default(),
        seats_in_memory_max: 1000,
        ticket_keys: TicketKeys::new(1, [7; 32]),
        rates: Rates::default(),
        fraud: booking_core::FraudSettings::default(),
        invoices: None,
        events_loose_for: Some(booking_core::EVENTS_LOOSE_FOR),
        ticket_fonts: TicketFonts::default(),
        ticket_store: TicketStoreConfig::Off,
        wallets: WalletConfig::default(),
    };
    let deps = BookingDeps {
        pools: Pools::lazy(database_url).unwrap(),
        clock,
        seed: [1; 32],
        tracker: TaskTracker::new(),
        shutdown: CancellationToken::new(),
        rooms: Arc::new(AnyRoom),
        sinks: Vec::new(),
        background: false,
    };
    Booking::start(config, deps).await.unwrap()
}

/// The booking core in this world, with one show behind the room `eras`.
async fn shop(world: &World, provider: &Server) -> Booking {
    let clock = Arc::new(world.clock.clone());
    let booking = empty_shop(&world.database.url(), provider.url(""), clock).await;
    let show: ShowFile = serde_json::from_value(json!({
        "showId": "lanterns", "room": "eras",
        "city": { "cityId": "mumbai", "name": "Mumbai", "country": "IN",
            "timeZone": "Asia/Kolkata" },
        "title": "Lanterns", "venue": { "name": "Lake", "address": "Powai" },
        "startsAt": "2035-12-21T13:30:00Z", "currency": "INR", "holdSeconds": 900,
        "categories": [{ "category": "FRONT", "name": "Front", "priceMinor": 450_000 }],
        "sections": [{ "name": "Water", "category": "FRONT", "rows": ["A"], "seatsPerRow": 5 }],
    }))
    .unwrap();
    let imported = booking.show_import(show).await.unwrap();
    assert!(
        matches!(imported, ImportedShow::Imported(..)),
        "{imported:?}"
    );
    booking
}

/// How many requests to the room of the show the gate let through for this reason.
fn counted(metrics: &Metrics, outcome: &str) -> Option<u64> {
    let name = format!(r#"ropeline_gate_requests_total{{room="eras",outcome="{outcome}"}} "#);
    let text = metrics.render(|_, _| true);
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix(name.as_str()))?;
    count.parse().ok()
}

async fn post_json(app: &TestApp, path: &str, who: (&str, &str), body: &Value) -> Answer {
    app.send(Method::POST, path, &[who, JSON], body.to_string())
        .await
}

#[tokio::test]
async fn seats_that_are_held_can_be_bought_after_the_pass_ended() {
    let (recorder, metrics) = Metrics::detached(&[]).unwrap();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let log = Log::default();
    let _logging = log.record();
    let world = World::create().await;
    let paid = Arc::<AtomicBool>::default();
    let provider = provider(paid.clone()).await;
    let booking = shop(&world, &provider).await;
    world
        .room(json!({"paths": ["/"], "sessionDurationSeconds": 60}))
        .await;
    let app = world.gateway_before(booking.router()).await;
    let fan = app.join(1).await;
    let token = fan.claimed(&app).await;
    let pass = ("ropeline-pass", token.as_str());

    let answer = post_json(&app, HOLDS, pass, &json!({"seatIds": ["A1"]})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let hold = format!(
        "/api/v1/holds/{}",
        answer.json()["holdId"].as_str().unwrap()
    );
    let page = hold.replace("/api/v1", "");
    let cookie = answer.cookie().to_owned();
    let session = ("cookie", cookie.as_str());
    fan.call(&app, Method::DELETE, "pass").await;

    // The pass and the session each show whose hold it is; the pass also when its time is over.
    for late in [false, true] {
        if late {
            world.clock.advance(Duration::from_secs(120));
        }
        for who in [pass, session] {
            let looked = app.get(&hold, &[who]).await;
            assert_eq!(looked.status, StatusCode::OK, "{late} {}", looked.text());
            assert_eq!(app.get(&page, &[who, HTML]).await.status, StatusCode::OK);
            // New seats, and looking around, are for those inside.
            let another = post_json(&app, HOLDS, who, &json!({"seatIds": ["A2"]})).await;
            another.assert_problem(403, "pass-required");
            for path in [
                "/api/v1/shows/lanterns/seatmap",
                "/shows/lanterns/seats",
                "/",
            ] {
                let refused = app.get(path, &[who]).await;
                refused.assert_problem(403, "pass-required");
            }
        }
    }
    // The hold and its page, late or not, by the pass and by the session.
    assert_eq!(counted(&metrics, "holder"), Some(8));
    // Nobody else learns so much as that there is such a hold, whatever they send.
    for who in [("cookie", STRANGER), ("x-nobody", "1")] {
        app.get(&hold, &[who])
            .await
            .assert_problem(403, "pass-required");
        let to_wait = app.get(&page, &[who, HTML]).await;
        assert_eq!(to_wait.status, StatusCode::FOUND, "{}", to_wait.text());
        assert!(to_wait.header("location").starts_with("/_line/rooms/eras"));
        for path in [format!("{hold}/confirm"), format!("{hold}/payments")] {
            let refused = app.send(Method::POST, &path, &[who, JSON], "{").await;
            refused.assert_problem(403, "pass-required");
        }
        let released = app.send(Method::DELETE, &hold, &[who], "").await;
        released.assert_problem(403, "pass-required");
    }

    assert_eq!(
        counted(&metrics, "holder"),
        Some(8),
        "who owns nothing is no holder"
    );

    let email = json!({"email": "fan@tickets.example"});
    let payment = post_json(&app, &format!("{hold}/payments"), pass, &email).await;
    assert_eq!(payment.status, StatusCode::CREATED, "{}", payment.text());
    paid.store(true, Ordering::SeqCst);
    let intent = json!({"paymentIntentId": payment.json()["paymentIntentId"]});
    let confirmed = post_json(&app, &format!("{hold}/confirm"), pass, &intent).await;
    assert_eq!(confirmed.status, StatusCode::OK, "{}", confirmed.text());
    let bought = confirmed.json()["bookingId"].as_str().unwrap().to_owned();
    let link = mailed_link(&booking, confirmed.json()["code"].as_str().unwrap()).await;
    // What the purchase leads to.
    let bought = format!("/bookings/{bought}");
    let shown = app.get(&bought, &[session, HTML]).await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.text());
    let refused = app.get(&bought, &[("cookie", STRANGER), HTML]).await;
    assert_eq!(refused.status, StatusCode::FOUND);
    // The list is for those who bought something, not for whoever invents a session.
    let listed = app.get("/bookings", &[session, HTML]).await;
    assert_eq!(listed.status, StatusCode::OK, "{}", listed.text());
    let refused = app.get("/bookings", &[("cookie", STRANGER), HTML]).await;
    assert_eq!(refused.status, StatusCode::FOUND);
    app.get("/api/v1/me/bookings", &[("cookie", STRANGER)])
        .await
        .assert_problem(403, "pass-required");

    link_opens(&app, &link, &bought).await;
    assert_eq!(counted(&metrics, "holder"), Some(13));
    // The page behind the link; a forged one passes nothing.
    assert_eq!(counted(&metrics, "link"), Some(1));
    // Whoever reads a log or a trace cannot open the booking.
    let token = link.trim_start_matches("/b/");
    tracing::trace!("the log is read");
    assert!(log.text().contains("the log is read"), "{}", log.text());
    assert!(!log.text().contains(token), "{}", log.text());

    // A pass that ended long ago shows nothing any more.
    world.clock.advance(Duration::from_mins(30));
    let refused = app.get(&hold, &[pass]).await;
    refused.assert_problem(403, "pass-required");
    assert_eq!(app.get(&hold, &[session]).await.status, StatusCode::OK);
    // Since then: the payment, the confirmation, the booking, the list, its link as a header, and
    // the hold once more.
    assert_eq!(counted(&metrics, "holder"), Some(14));
}

/// The link in the mail opens the page `bought`, as a path and as a header, and nothing else.
async fn link_opens(app: &TestApp, link: &str, bought: &str) {
    // The link in the mail needs neither pass nor cookie, and a forged one is none.
    let opened = app.get(link, &[HTML]).await;
    assert_eq!(opened.status, StatusCode::OK, "{}", opened.text());
    assert_eq!(opened.header("referrer-policy"), "no-referrer");
    assert_eq!(opened.header("cache-control"), "private, no-store");
    let forged = format!("{}A", link.trim_end_matches(|c| c != '/'));
    assert_eq!(app.get(&forged, &[HTML]).await.status, StatusCode::FOUND);
    app.get(&forged, &[])
        .await
        .assert_problem(403, "pass-required");
    app.get(&format!("{link}/seats"), &[])
        .await
        .assert_problem(403, "pass-required");
    let api = format!("/api/v1{bought}");
    let token = link.trim_start_matches("/b/");
    let by_header = app.get(&api, &[("booking-link", token)]).await;
    assert_eq!(by_header.status, StatusCode::OK, "{}", by_header.text());
    app.get(&api, &[("booking-link", "AAAA")])
        .await
        .assert_problem(403, "pass-required");
    app.get("/shows/lanterns/seats", &[("booking-link", token)])
        .await
        .assert_problem(403, "pass-required");
}

/// The path of the link in the mail about the booking with this code.
async fn mailed_link(booking: &Booking, code: &str) -> String {
    booking.collect_notices_once().await.unwrap();
    booking.mail_once().await.unwrap();
    let desk = booking.admin().0;
    let read = async |path: String| -> Value {
        let request = http::Request::get(path).body(axum::body::Body::empty());
        let answer = desk.clone().oneshot(request.unwrap()).await.unwrap();
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await;
        serde_json::from_slice(&bytes.unwrap()).unwrap()
    };
    let listed = read("/admin/v1/mail/files".to_owned()).await;
    for message in listed["messages"].as_array().unwrap() {
        let name = message["name"].as_str().unwrap();
        let mail = read(format!("/admin/v1/mail/files/{name}")).await;
        let text = mail["text"].as_str().unwrap().to_owned();
        if text.contains(code)
            && let Some(at) = text.find("/b/")
        {
            return text[at..].split_whitespace().next().unwrap().to_owned();
        }
    }
    panic!("no mail about {code}");
}

#[tokio::test]
async fn somebody_elses_shop_hears_of_nobody_without_a_session() {
    let world = World::create().await;
    let shop = Server::start(world.upstream()).await;
    world
        .room(json!({"paths": ["/"], "upstream": shop.url("")}))
        .await;
    let app = world.gateway().await;
    let fan = app.join(1).await;
    let token = fan.claimed(&app).await;
    let pass = ("ropeline-pass", token.as_str());
    assert_eq!(app.get("/holds/h", &[pass]).await.status, StatusCode::OK);
    fan.call(&app, Method::DELETE, "pass").await;
    app.get("/holds/h", &[pass, ("cookie", STRANGER)])
        .await
        .assert_problem(403, "pass-required");
}
