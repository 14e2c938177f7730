//! One or more booking processes on a database of their own, with a provider and a clock that
//! the test controls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use booking_core::{
    Booking, BookingConfig, BookingDeps, ChannelsConfig, EventSink, FraudSettings, InvoiceConfig,
    MailConfig, PaymentConfig, Pools, Rates, RoomDirectory, TicketFonts, TicketKeys,
    TicketStoreConfig, WalletConfig, WebhookConfig,
};
use contract::{Clock, ManualClock};
use serde_json::{Value, json};
use sqlx::{Connection, Executor};
use tempfile::TempDir;
use test_support::database::TestDatabase;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::against_fraud::one_address;
use crate::behind_a_gate::behind_a_gate;
use crate::fake_provider::FakeProvider;
use crate::fan::Fan;

pub(crate) const WEBHOOK_SECRET: &str = "whsec_test";
/// Longest that a test waits for something to come about.
const PATIENCE: Duration = Duration::from_secs(20);

/// Pause between two looks of [`eventually`]: short for a test, and long enough for the limits on
/// a fan's requests.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// One process.
pub(crate) struct Process {
    pub(crate) booking: Booking,
    pub(crate) router: axum::Router,
    pools: Pools,
    shutdown: CancellationToken,
}

impl Process {
    /// The process vanishes with everything it has in memory.
    pub(crate) async fn kill(self) {
        self.shutdown.cancel();
        self.pools.close().await;
    }
}

/// What few tests say of a process.
struct Beside {
    rates: Rates,
    sinks: Vec<Arc<dyn EventSink>>,
    channels: ChannelsConfig,
    invoices: Option<InvoiceConfig>,
    tickets: TicketStoreConfig,
    wallets: WalletConfig,
}

impl Beside {
    fn limited(rates: Rates) -> Self {
        Self {
            rates,
            sinks: Vec::new(),
            channels: ChannelsConfig::default(),
            invoices: None,
            tickets: TicketStoreConfig::Off,
            wallets: WalletConfig::default(),
        }
    }
}

/// What processes have in common.
pub(crate) struct TestShop {
    pub(crate) clock: ManualClock,
    pub(crate) provider: FakeProvider,
    pub(crate) process: Process,
    seeds: AtomicU8,
    pub(crate) database: TestDatabase,
    /// Where mail is written.
    pub(crate) files: TempDir,
}

impl TestShop {
    /// A shop with the show that [`show_file`] describes.
    pub(crate) async fn new() -> Self {
        Self::with(show_file()).await
    }

    pub(crate) async fn with(file: Value) -> Self {
        Self::with_provider_at(file, None).await
    }

    /// A shop whose payments go to `provider_url` instead of the fake provider.
    pub(crate) async fn with_provider_at(file: Value, provider_url: Option<String>) -> Self {
        let mut provider = FakeProvider::start().await;
        if let Some(url) = provider_url {
            provider.url = url;
        }
        Self::at(file, provider, ManualClock::default()).await
    }

    /// A shop with several providers, the preferred first.
    pub(crate) async fn with_providers(
        file: Value,
        others: Vec<PaymentConfig>,
        clock: ManualClock,
    ) -> Self {
        let mut provider = FakeProvider::start().await;
        provider.others = Some(others);
        provider.fraud = one_address();
        Self::at(file, provider, clock).await
    }

    /// A shop that sets this against fraud, whose payments go to `provider_url` if given.
    pub(crate) async fn against_fraud(
        file: Value,
        provider_url: Option<&str>,
        fraud: FraudSettings,
    ) -> Self {
        let mut provider = FakeProvider::start().await;
        if let Some(url) = provider_url {
            url.clone_into(&mut provider.url);
        }
        provider.fraud = fraud;
        Self::at(file, provider, ManualClock::default()).await
    }

    /// Another process that sets this against fraud.
    pub(crate) async fn another_process_against(&self, fraud: FraudSettings) -> Process {
        let mut other = self.provider.clone();
        other.fraud = fraud;
        let seed = self.seeds.fetch_add(1, Ordering::Relaxed);
        let url = self.database.url();
        let clock = Arc::new(self.clock.clone());
        start(&url, clock, &other, seed, false, to_files(&self.files)).await
    }

    async fn at(file: Value, provider: FakeProvider, clock: ManualClock) -> Self {
        let database = TestDatabase::create().await;
        let files = tempfile::tempdir().unwrap();
        let process = start(
            &database.url(),
            Arc::new(clock.clone()),
            &provider,
            1,
            false,
            to_files(&files),
        )
        .await;
        let shop = Self {
            clock,
            provider,
            process,
            seeds: AtomicU8::new(2),
            database,
            files,
        };
        let (status, body) = shop.import(file).await;
        assert_eq!(status, 201, "{body}");
        shop
    }

    /// Another process on the same database.
    pub(crate) async fn another_process(&self) -> Process {
        self.another_process_at(None).await
    }

    /// Another process with these connections.
    pub(crate) async fn another_process_with(&self, pools: Pools) -> Process {
        let seed = self.seeds.fetch_add(1, Ordering::Relaxed);
        let clock = Arc::new(self.clock.clone());
        let (mail, rates) = (to_files(&self.files), Rates::default());
        start_with(
            pools,
            clock,
            &self.provider,
            seed,
            false,
            mail,
            Beside::limited(rates),
        )
        .await
    }

    /// Another process whose customers pay at these providers.
    pub(crate) async fn another_process_paying_at(&self, others: Vec<PaymentConfig>) -> Process {
        let seed = self.seeds.fetch_add(1, Ordering::Relaxed);
        let clock = Arc::new(self.clock.clone());
        let mut provider = self.provider.clone();
        provider.others = Some(others);
        let url = self.database.url();
        start(&url, clock, &provider, seed, false, to_files(&self.files)).await
    }

    /// Another process in which customers may call this often.
    pub(crate) async fn another_process_limited(&self, rates: Rates) -> Process {
        let seed = self.seeds.fetch_add(1, Ordering::Relaxed);
        let clock = Arc::new(self.clock.clone());
        let pools = Pools::lazy(&self.database.url()).unwrap();
        let mail = to_files(&self.files);
        start_with(
            pools,
            clock,
            &self.provider,
            seed,
            false,
            mail,
            Beside::limited(rates),
        )
        .await
    }

    /// Another process that makes invoices.
    pub(crate) async fn another_process_that_invoices(&self, invoices: InvoiceConfig) -> Process {
        let seed = self.seeds.fetch_add(1, Ordering::Relaxed);
        let pools = Pools::lazy(&self.database.url()).unwrap();
        let clock = Arc::new(self.clock.clone());
        let mail = to_files(&self.files);
        let beside = Beside {
            invoices: Some(invoices),
            ..Beside::limited(Rates::default())
        };
        start_with(pools, clock, &self.provider, seed, false, mail, beside).await
    }

    /// Another process that reaches the database at `address`.
    pub(crate) async fn another_process_at(&self, address: Option<SocketAddr>) -> Process {
        let seed = self.seeds.fetch_add(1, Ordering::Relaxed);
        start(
            &self.database.url_at(address),
            Arc::new(self.clock.clone()),
            &self.provider,
            seed,
            false,
            to_files(&self.files),
        )
        .await
    }

    /// Another process with a place where all events go.
    pub(crate) async fn another_process_with_sink(&self, sink: Arc<dyn EventSink>) -> Process {
        let seed = self.seeds.fetch_add(1, Ordering::Relaxed);
        let pools = Pools::lazy(&self.database.url()).unwrap();
        let clock = Arc::new(self.clock.clone());
        let mail = to_files(&self.files);
        let beside = Beside {
            sinks: vec![sink],
            ..Beside::limited(Rates::default())
        };
        start_with(pools, clock, &self.provider, seed, false, mail, beside).await
    }

    /// Another process whose mail goes this way, and whose steps the test takes.
    pub(crate) async fn another_process_that_mails(&self, mail: MailConfig) -> Process {
        self.another(Arc::new(self.clock.clone()), false, mail)
            .await
    }

    /// Another process that tells fans things this way, and whose steps the test takes.
    pub(crate) async fn another_process_that_tells(
        &self,
        mail: MailConfig,
        channels: ChannelsConfig,
    ) -> Process {
        let seed = self.seeds.fetch_add(1, Ordering::Relaxed);
        let pools = Pools::lazy(&self.database.url()).unwrap();
        let clock = Arc::new(self.clock.clone());
        let beside = Beside {
            channels,
            ..Beside::limited(Rates::default())
        };
        start_with(pools, clock, &self.provider, seed, false, mail, beside).await
    }

    /// Another process that keeps PDFs of tickets there, and whose steps the test takes.
    pub(crate) async fn another_process_that_keeps(&self, tickets: TicketStoreConfig) -> Process {
        let seed = self.seeds.fetch_add(1, Ordering::Relaxed);
        let pools = Pools::lazy(&self.database.url()).unwrap();
        let clock = Arc::new(self.clock.clone());
        let mail = to_files(&self.files);
        let beside = Beside {
            tickets,
            ..Beside::limited(Rates::default())
        };
        start_with(pools, clock, &self.provider, seed, false, mail, beside).await
    }

    /// Another process with these wallets, and whose steps the test takes.
    pub(crate) async fn another_process_with_wallets(&self, wallets: WalletConfig) -> Process {
        let seed = self.seeds.fetch_add(1, Ordering::Relaxed);
        let pools = Pools::lazy(&self.database.url()).unwrap();
        let clock = Arc::new(self.clock.clone());
        let mail = to_files(&self.files);
        let beside = Beside {
            wallets,
            ..Beside::limited(Rates::default())
        };
        start_with(pools, clock, &self.provider, seed, false, mail, beside).await
    }

    /// Another process on the same database that sweeps, polls and refreshes by itself.
    pub(crate) async fn another_process_with_workers(&self) -> Process {
        self.another_process_that_goes_by(Arc::new(self.clock.clone()))
            .await
    }

    /// Another process that does everything by itself, with a clock of its own.
    pub(crate) async fn another_process_that_goes_by(&self, clock: Arc<dyn Clock>) -> Process {
        self.another(clock, true, to_files(&self.files)).await
    }

    async fn another(&self, clock: Arc<dyn Clock>, background: bool, mail: MailConfig) -> Process {
        let seed = self.seeds.fetch_add(1, Ordering::Relaxed);
        let url = self.database.url();
        start(&url, clock, &self.provider, seed, background, mail).await
    }

    /// Another process with a clock of its own, whose steps the test takes.
    pub(crate) async fn another_process_that_looks_at(&self, clock: Arc<dyn Clock>) -> Process {
        self.another(clock, false, to_files(&self.files)).await
    }

    pub(crate) async fn import(&self, file: Value) -> (u16, Value) {
        let admin = Fan::new(self.process.booking.admin().0);
        let answer = admin.post("/admin/v1/shows", &file).await;
        (answer.status, answer.json)
    }

    /// A fan with a browser that has no cookies yet.
    pub(crate) fn fan(&self) -> Fan {
        Fan::new(self.process.router.clone())
    }

    /// Everything that background work would do until nothing is left.
    pub(crate) async fn settle(&self) {
        let booking = &self.process.booking;
        loop {
            let done = booking.inbox_once().await.unwrap()
                + booking.poll_once().await.unwrap()
                + booking.refund_once().await.unwrap()
                + booking.sweep_once().await.unwrap()
                + booking.sequence_once().await.unwrap()
                + booking.collect_notices_once().await.unwrap()
                + booking.mail_once().await.unwrap();
            if done == 0 {
                break;
            }
        }
        booking.refresh_once().await.unwrap();
    }

    /// A statement on the database that nobody in the shop would make.
    pub(crate) async fn meddle(&self, statement: &'static str) {
        let mut database = self.database.connect().await;
        database.execute(statement).await.unwrap();
        database.close().await.unwrap();
    }

    /// The number that a question to the database has as its answer.
    pub(crate) async fn count(&self, question: &'static str) -> i64 {
        let mut database = self.database.connect().await;
        let count = sqlx::query_scalar(question).fetch_one(&mut database).await;
        database.close().await.unwrap();
        count.unwrap()
    }

    /// The texts that a question to the database has as its answer.
    pub(crate) async fn texts(&self, question: &'static str) -> Vec<String> {
        let mut database = self.database.connect().await;
        let texts = sqlx::query_scalar(question).fetch_all(&mut database).await;
        database.close().await.unwrap();
        texts.unwrap()
    }

    /// A fan who bought `seats`: the fan, the booking as answered, and the intent.
    pub(crate) async fn bought(&self, seats: &[&str]) -> (Fan, Value, String) {
        let fan = self.fan();
        let hold = fan.held(seats).await;
        let intent = fan.intent(&hold).await;
        self.provider.pay(&intent);
        let answer = fan.confirm(&hold, &intent).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        (fan, answer.json, intent)
    }

    /// The fan pays and gets the booking, and the books are in order.
    pub(crate) async fn sells(&self, fan: &Fan, hold: &str, intent: &str) {
        self.provider.pay(intent);
        assert_eq!(fan.confirm(hold, intent).await.status, 200);
        self.settle().await;
        self.assert_clean().await;
    }

    /// Fails unless every invariant holds.
    pub(crate) async fn assert_clean(&self) {
        let report = self.process.booking.check().await.unwrap();
        let broken: Vec<_> = report
            .invariants
            .iter()
            .filter(|i| i.violations != 0)
            .collect();
        assert!(report.clean, "{broken:?}");
        assert_eq!(report.invariants.len(), 56);
    }

    /// A webhook about `intent_id`, signed.
    pub(crate) async fn webhook(&self, event_id: &str, intent_id: &str) -> u16 {
        self.deliver(self.provider.event(event_id, intent_id)).await
    }

    /// A webhook with this body, signed.
    pub(crate) async fn deliver(&self, body: String) -> u16 {
        let signature = sign(&self.clock, &body);
        let fan = self.fan().with_header("stripe-signature", &signature);
        fan.post_text("/api/v1/payments/simulator/webhook", body)
            .await
            .status
    }
}

pub(crate) fn sign(clock: &ManualClock, body: &str) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let seconds = clock.now().as_unix_seconds();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).unwrap();
    mac.update(format!("{seconds}.{body}").as_bytes());
    let signature = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
    format!("t={seconds},v1={signature}")
}

async fn start(
    url: &str,
    clock: Arc<dyn Clock>,
    provider: &FakeProvider,
    seed: u8,
    background: bool,
    mail: MailConfig,
) -> Process {
    let pools = Pools::lazy(url).unwrap();
    let rates = Rates::default();
    start_with(
        pools,
        clock,
        provider,
        seed,
        background,
        mail,
        Beside::limited(rates),
    )
    .await
}

fn to_files(directory: &TempDir) -> MailConfig {
    MailConfig::to_files(directory.path().to_owned())
}

async fn start_with(
    pools: Pools,
    clock: Arc<dyn Clock>,
    provider: &FakeProvider,
    seed: u8,
    background: bool,
    mail: MailConfig,
    beside: Beside,
) -> Process {
    let shutdown = CancellationToken::new();
    let config = BookingConfig {
        public_url: "http://tickets.test".to_owned(),
        payments: provider.others.clone().unwrap_or_else(|| {
            vec![PaymentConfig::simulator(
                &provider.url,
                "sk_test",
                WEBHOOK_SECRET,
            )]
        }),
        mail,
        // Receivers in tests are on this machine.
        webhooks: WebhookConfig {
            private_allowed: true,
            more_roots: None,
        },
        channels: beside.channels,
        seats_in_memory_max: 60_000,
        ticket_keys: TicketKeys::new(1, [7; 32]),
        rates: beside.rates,
        ticket_fonts: TicketFonts::default(),
        ticket_store: beside.tickets,
        wallets: beside.wallets,
        fraud: provider.fraud.clone(),
        invoices: beside.invoices,
        events_loose_for: Some(booking_core::EVENTS_LOOSE_FOR),
    };
    let deps = BookingDeps {
        pools: pools.clone(),
        clock,
        seed: [seed; 32],
        tracker: TaskTracker::new(),
        shutdown: shutdown.clone(),
        rooms: Arc::new(AllRoomsButOne),
        sinks: beside.sinks,
        background,
    };
    let booking = Booking::start(config, deps).await.unwrap();
    Process {
        router: behind_a_gate(&booking),
        booking,
        pools,
        shutdown,
    }
}

/// Knows every room except `nowhere`.
pub(crate) struct AllRoomsButOne;

impl RoomDirectory for AllRoomsButOne {
    fn knows<'a>(
        &'a self,
        room: &'a contract::RoomId,
    ) -> futures_util::future::BoxFuture<'a, Result<bool, booking_core::StoreError>> {
        Box::pin(async move { Ok(room.as_str() != "nowhere") })
    }

    fn phase(&self, _room: &contract::RoomId) -> Option<contract::line::Phase> {
        None
    }
}

/// A show with two rows of ten seats, of which `B10` is not for sale.
pub(crate) fn show_file() -> Value {
    json!({
        "showId": "eras-mumbai-1",
        "city": {"cityId": "mumbai", "name": "Mumbai", "country": "IN", "timeZone": "Asia/Kolkata"},
        "title": "The Eras Tour",
        "genre": "Pop",
        "cast": ["Taylor Swift"],
        "venue": {"name": "DY Patil Stadium", "address": "Nerul"},
        "startsAt": "2026-12-24T14:00:00Z",
        "currency": "INR",
        "ticketLimit": 4,
        "holdSeconds": 300,
        "categories": [
            {"category": "PREMIUM", "name": "Premium", "priceMinor": 250_000},
            {"category": "REGULAR", "name": "Regular", "priceMinor": 100_000}
        ],
        "sections": [
            {"name": "Front", "category": "PREMIUM", "rows": ["A"], "seatsPerRow": 10},
            {"name": "Back", "category": "REGULAR", "rows": ["B"], "seatsPerRow": 10,
             "blocked": ["B10"]}
        ]
    })
}

/// Waits until `done` says so, within bounds.
pub(crate) async fn eventually<Fut>(what: &str, mut done: impl FnMut() -> Fut)
where
    Fut: Future<Output = bool>,
{
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !done().await {
        assert!(
            tokio::time::Instant::now() < deadline,
            "{what} did not come about"
        );
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
    }
}
