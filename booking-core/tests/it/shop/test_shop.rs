//! A shop with two shows, a database of its own and a payment simulator.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use booking_core::{
    Booking, BookingConfig, BookingDeps, ImportedShow, PaymentConfig, Pools, TicketFonts,
    TicketKeys, TicketStoreConfig, WalletConfig,
};
use contract::SystemClock;
use contract::booking::ShowFile;
use payment_simulator::{Config, Secret};
use serde_json::json;
use tempfile::TempDir;
use test_support::database::TestDatabase;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const SECRET: &str = "sk_test_shop";

/// Times that a show is imported again.
const IMPORTS_MAX: usize = 20;

/// Everything a test needs.
pub(crate) struct TestShop {
    pub(crate) router: Router,
    pub(crate) payment_url: String,
    shutdown: CancellationToken,
    _database: TestDatabase,
    _journal: TempDir,
}

impl TestShop {
    pub(crate) async fn start() -> Self {
        Self::against(booking_core::FraudSettings::default()).await
    }

    /// A shop that sets this against fraud.
    pub(crate) async fn against(fraud: booking_core::FraudSettings) -> Self {
        let database = TestDatabase::create().await;
        let shutdown = CancellationToken::new();
        let tracker = TaskTracker::new();
        let journal = tempfile::tempdir().unwrap();
        let payment_url = simulator_start(journal.path(), &tracker, &shutdown).await;
        let config = BookingConfig {
            channels: booking_core::ChannelsConfig::default(),
            public_url: "http://shop.test".to_owned(),
            payments: vec![PaymentConfig::simulator(&payment_url, SECRET, "whsec_shop")],
            mail: booking_core::MailConfig::to_files(journal.path().join("mail")),
            webhooks: booking_core::WebhookConfig::default(),
            seats_in_memory_max: 60_000,
            ticket_keys: TicketKeys::new(1, [7; 32]),
            rates: booking_core::Rates::default(),
            ticket_fonts: TicketFonts::default(),
            ticket_store: TicketStoreConfig::Off,
            wallets: WalletConfig::default(),
            fraud,
            invoices: None,
            events_loose_for: Some(booking_core::EVENTS_LOOSE_FOR),
        };
        let deps = BookingDeps {
            pools: Pools::lazy(&database.url()).unwrap(),
            clock: Arc::new(SystemClock),
            seed: [9; 32],
            tracker,
            shutdown: shutdown.clone(),
            sinks: Vec::new(),
            rooms: Arc::new(crate::test_shop::AllRoomsButOne),
            background: true,
        };
        let booking = Booking::start(config, deps).await.unwrap();
        for (id, room) in [("open-show", None), ("line-show", Some("monsoon"))] {
            let mut imported = booking.show_import(show_file(id, room)).await;
            // A machine that is busy with other tests may have no connection at once.
            for _ in 0..IMPORTS_MAX {
                if imported.is_ok() {
                    break;
                }
                imported = booking.show_import(show_file(id, room)).await;
            }
            let imported = imported.unwrap();
            assert!(
                matches!(imported, ImportedShow::Imported(..)),
                "{imported:?}"
            );
        }
        Self {
            router: crate::behind_a_gate::behind_a_gate(&booking),
            payment_url,
            shutdown,
            _database: database,
            _journal: journal,
        }
    }
}

impl Drop for TestShop {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn show_file(id: &str, room: Option<&str>) -> ShowFile {
    serde_json::from_value(json!({
        "showId": id,
        "city": {"cityId": "mumbai", "name": "Mumbai", "country": "IN", "timeZone": "Asia/Kolkata"},
        "title": format!("Monsoon Strings <{id}>"),
        "venue": {"name": "Jamshed Hall", "address": "Nariman Point"},
        "startsAt": "2099-11-28T14:00:00Z",
        "room": room,
        "ticketLimit": 4,
        "currency": "INR",
        "categories": [{"category": "GOLD", "name": "Gold", "priceMinor": 250_000}],
        "sections": [{"name": "Stalls", "category": "GOLD", "rows": ["A", "B"], "seatsPerRow": 6}]
    }))
    .unwrap()
}

async fn simulator_start(
    journal: &Path,
    tracker: &TaskTracker,
    shutdown: &CancellationToken,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let config = Config {
        data_dir: journal.to_owned(),
        secret: Secret::new(SECRET),
        webhook_url: None,
        webhook_secret: Secret::new("whsec_shop"),
        webhook_events: payment_simulator::config::DEFAULT_EVENTS.to_owned(),
        razorpay_secret: Secret::new(payment_simulator::config::DEFAULT_RAZORPAY_KEY),
        razorpay_webhook_url: None,
        razorpay_webhook_secret: Secret::new(
            payment_simulator::config::DEFAULT_RAZORPAY_WEBHOOK_SECRET,
        ),
        public_url: None,
        settle_delay_ms: 50,
        answer_hold_ms: 50,
        webhook_delay_ms: 50,
    };
    tracker.spawn(payment_simulator::serve(
        config,
        listener,
        SystemClock,
        shutdown.clone(),
    ));
    url
}
