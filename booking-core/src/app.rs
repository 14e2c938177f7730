//! Assembles the booking core: starts it, and offers it over HTTP.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;
use axum::Router;
use contract::Clock;
use pages::letters::Letters;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use web::AtHand;
use web::challenge::ProofOfWork;
use web::encoding::RecentDocuments;

use crate::channels::Outages;
use crate::channels::push::subscription::PushHosts;
use crate::channels::push::{PushSender, VapidKey};
use crate::channels::sms::SmsSender;
use crate::config::{
    BANNER_LOOKS_MAX, BookingConfig, CONFIRM_WAIT_MAX, CONFIRMS_AT_ONCE, CONFIRMS_WAITING_MAX,
    FINDS_AT_ONCE, MAPS_RENDERED_AT_ONCE, PRINT_WAIT_MAX, PRINTS_AT_ONCE, PRINTS_WAITING_MAX,
    RECENT_DOCUMENTS_BYTES_MAX, SEAT_STREAMS_MAX, SHOW_PAGES_BYTES_MAX, START_PATIENCE,
    TURN_REQUESTS_AT_ONCE,
};
use crate::confirm_queue::ConfirmQueue;
use crate::core::Core;
use crate::database::{Pools, StoreError, Turns, Work};
use crate::events::sink::{EventSink, Sink};
use crate::events::webhooks::busy::Busy;
use crate::events::webhooks::client::WebhookClient;
use crate::expiry::ExpiryTimes;
use crate::fraud::behaviour::Behaviour;
use crate::fraud::hashes::{HashKey, challenge_key};
use crate::handle::Booking;
use crate::known_tokens::KnownTokens;
use crate::limits::Limits;
use crate::links::LinkKeys;
use crate::live::{Catalogue, Writer};
use crate::mail::Mailer;
use crate::payments::gathered::GatheredConfirms;
use crate::payments::gathered_starts::GatheredStarts;
use crate::payments::http_client::{ClientError, HttpClient};
use crate::payments::provider::PaymentProvider;
use crate::payments::questions::Questions;
use crate::payments::registry::Providers;
use crate::payments::webhooks::gathered_webhooks;
use crate::randomness::Randomness;
use crate::rooms::RoomDirectory;
use crate::set_aside::SetAside;
use crate::shop::page_headers::page_headers;
use crate::shop::show_pages::ShowPages;
use crate::ticket_files::Press;
use crate::ticket_store::objects::{StoreSetUpError, TicketStore};
use crate::tickets::TicketSigner;
use crate::vetting::gathered::GatheredVetting;
use crate::{http as api, workers};

/// The dependencies of the booking core.
pub struct BookingDeps {
    /// Connections to the database, whose migrations are applied.
    pub pools: Pools,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Seed of all random numbers. Two processes must not share one, or their ids could collide.
    pub seed: [u8; 32],
    /// Tracks every task, so that shutdown can wait for them.
    pub tracker: TaskTracker,
    /// Cancelled to stop the background work.
    pub shutdown: CancellationToken,
    /// The rooms that a show can be behind.
    pub rooms: Arc<dyn RoomDirectory>,
    /// Where all events go, in order, beside those who subscribe.
    pub sinks: Vec<Arc<dyn EventSink>>,
    /// Whether this process runs the background work. A process that does not needs others that do;
    /// tests run each step by hand.
    pub background: bool,
}

/// Why the booking core could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The client of a payment provider could not be set up.
    #[error("the client of a payment provider could not be set up")]
    Provider(#[source] ClientError),
    /// The client of webhooks could not be set up.
    #[error("the client of webhooks could not be set up")]
    Webhooks(#[source] ClientError),
    /// The store for PDFs of tickets could not be set up.
    #[error("the store for PDFs of tickets could not be set up")]
    TicketStore(#[source] StoreSetUpError),
    /// The catalogue could not be read.
    #[error("the catalogue could not be read")]
    Catalogue(#[source] StoreError),
}

/// What speaks to the servers of others, beside providers and mail.
struct Senders {
    webhooks: WebhookClient,
    sms: Option<SmsSender>,
    push: PushSender,
    tickets: Option<TicketStore>,
}

impl Booking {
    /// Reads the catalogue and starts the background work.
    pub async fn start(config: BookingConfig, deps: BookingDeps) -> Result<Self, StartError> {
        let providers = Providers::of(&config.payments).map_err(StartError::Provider)?;
        Self::start_at(config, deps, providers).await
    }

    /// Like [`Booking::start`], with the caller's payment providers, each with its name, the
    /// preferred first.
    pub async fn start_with(
        config: BookingConfig,
        deps: BookingDeps,
        providers: Vec<(String, Arc<dyn PaymentProvider>)>,
    ) -> Result<Self, StartError> {
        Self::start_at(config, deps, Providers::new(providers)).await
    }

    async fn start_at(
        config: BookingConfig,
        deps: BookingDeps,
        providers: Providers,
    ) -> Result<Self, StartError> {
        let background = deps.background;
        let targets = &config.webhooks;
        let webhooks = WebhookClient::new(targets.private_allowed, targets.more_roots.as_deref());
        let client =
            HttpClient::new(config.channels.more_roots.as_deref()).map_err(StartError::Provider)?;
        let sms = SmsSender::new(&config.channels.sms, &config.mail.from)
            .map_err(StartError::Provider)?;
        let randomness = Randomness::new(deps.seed);
        let push = PushSender::new(
            client,
            VapidKey::new(&config.ticket_keys, contact_of(&config)),
            PushHosts {
                more: config.channels.push_origins.clone(),
            },
            deps.clock.clone(),
            randomness.bytes(),
        );
        let tickets = TicketStore::open(&config.ticket_store, randomness.uuid(deps.clock.now()));
        let senders = Senders {
            webhooks: webhooks.map_err(StartError::Webhooks)?,
            sms,
            push,
            tickets: tickets.map_err(StartError::TicketStore)?,
        };
        let booking = Self::assemble(config, deps, providers, randomness, senders);
        let core = Arc::clone(&booking.0);
        booking
            .0
            .work
            .run_within(START_PATIENCE, async move { core.first_refresh().await })
            .await
            .map_err(StartError::Catalogue)?;
        if background {
            workers::start(&booking.0);
        }
        Ok(booking)
    }

    fn assemble(
        config: BookingConfig,
        deps: BookingDeps,
        providers: Providers,
        randomness: Randomness,
        senders: Senders,
    ) -> Self {
        let work = Work::new(deps.tracker);
        let gathered_webhooks = gathered_webhooks(&work, deps.pools.money.clone());
        let settling = Turns::in_order(deps.pools.confirm.clone());
        let expiry = Arc::<ExpiryTimes>::default();
        let writer = Writer {
            pool: deps.pools.holds.clone(),
            clock: Arc::clone(&deps.clock),
            expiry: Arc::clone(&expiry),
        };
        Self(Arc::new(Core {
            catalogue: Catalogue::new(
                writer,
                work.clone(),
                deps.pools.reads.clone(),
                config.seats_in_memory_max,
            ),
            show_pages: ShowPages::new(
                SHOW_PAGES_BYTES_MAX,
                config.public_url.clone(),
                page_headers(&providers.page_origins()),
            ),
            tickets: TicketSigner::new(&config.ticket_keys),
            links: LinkKeys::new(&config.ticket_keys),
            finds: Arc::new(Semaphore::new(FINDS_AT_ONCE)),
            mailer: Mailer::new(config.mail.clone()),
            sms: senders.sms,
            push: senders.push,
            outages: Outages::default(),
            letters: letters(&config),
            turn_requests: AtomicU64::new(0),
            turn_asks: Semaphore::new(TURN_REQUESTS_AT_ONCE),
            mail_backlog: ArcSwap::default(),
            sinks: deps.sinks.into_iter().map(Sink::new).collect(),
            process_id: randomness.uuid(deps.clock.now()),
            webhooks: senders.webhooks,
            delivering: Busy::default(),
            limits: Limits::new(&config.rates),
            known_tokens: KnownTokens::new(),
            behaviour: Behaviour::new(),
            hashes: HashKey::new(&config.ticket_keys),
            challenge: Arc::new(ProofOfWork::new(challenge_key(&config.ticket_keys))),
            review_backlog: ArcSwap::default(),
            press: Press::new(
                config.ticket_fonts.clone(),
                PRINTS_AT_ONCE,
                PRINTS_WAITING_MAX,
                PRINT_WAIT_MAX,
            ),
            ticket_store: senders.tickets,
            config,
            gathered: GatheredConfirms::new(&work, &settling),
            starts: GatheredStarts::new(&work, &settling),
            vetted: GatheredVetting::new(&work, &settling),
            settling,
            confirms: ConfirmQueue::new(CONFIRMS_AT_ONCE, CONFIRMS_WAITING_MAX, CONFIRM_WAIT_MAX),
            pools: deps.pools,
            working_since: deps.clock.now(),
            clock: deps.clock,
            randomness,
            providers,
            rooms: deps.rooms,
            work,
            shutdown: deps.shutdown,
            gathered_webhooks,
            inbox_filled: Arc::default(),
            events_told: Arc::default(),
            payments_due: Arc::default(),
            expiry,
            set_aside: SetAside::default(),
            questions: Questions::default(),
            documents: RecentDocuments::new(RECENT_DOCUMENTS_BYTES_MAX),
            banner_looks: Semaphore::new(BANNER_LOOKS_MAX),
            rendering: Semaphore::new(MAPS_RENDERED_AT_ONCE),
            streams: Arc::new(Semaphore::new(SEAT_STREAMS_MAX)),
        }))
    }

    /// The public API, under `/api/v1`.
    pub fn router(&self) -> Router {
        api::router(self.clone())
    }

    /// What [`Booking::router`] need not be asked for. It records metrics in the recorder that is
    /// installed when this is called.
    pub fn at_hand(&self) -> Arc<dyn AtHand> {
        Arc::new(api::at_hand::PagesAndMaps::new(self.clone()))
    }

    /// The operators' API under `/admin/v1`, and its part of the OpenAPI document. The caller that
    /// mounts it has to authenticate its clients.
    pub fn admin(&self) -> (Router, utoipa::openapi::OpenApi) {
        api::admin(self.clone())
    }
}

/// Whom a push service can ask about us: the sender of mail, unless that is nobody.
fn contact_of(config: &BookingConfig) -> String {
    if config.public_url.starts_with("https://") {
        config.public_url.clone()
    } else {
        format!("mailto:{}", config.mail.from.0.email)
    }
}

/// The letters, with the operator's own; what is wrong with those is left out, and
/// told where the settings are checked.
fn letters(config: &BookingConfig) -> Letters {
    let Some(directory) = &config.channels.templates else {
        return Letters::default();
    };
    Letters::with_own(directory).0
}
