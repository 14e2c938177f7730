//! The booking core as one object.

use std::sync::Arc;

use axum::Router;
use contract::booking::{
    Booking as BookingView, City, Hold, HoldRequest, ImportOutcome, SaleStatus, SeatMap, Show,
    ShowFile, ShowImported,
};
use contract::{BookingId, CityId, Clock, HoldId, RoomId, ShowId, TicketId};
use futures_util::future::BoxFuture;
use http::HeaderMap;
use show_file::Fault;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{
    BookingConfig, CONFIRM_WAIT_MAX, CONFIRMS_AT_ONCE, CONFIRMS_WAITING_MAX, DATABASE_WAIT_MAX,
    IMPORT_PATIENCE, MAPS_RENDERED_AT_ONCE, PROVIDER_PATIENCE, RECONCILE_BACK, RECONCILE_PATIENCE,
    SEAT_STREAMS_MAX, START_PATIENCE,
};
use crate::confirm_queue::ConfirmQueue;
use crate::core::Core;
use crate::customer::{Customer, Session};
use crate::database::{Pools, StoreError, Turns, Work, repeat_if_contended};
use crate::expiry::ExpiryTimes;
use crate::holds::{HoldOutcome, Once, ReleaseOutcome};
use crate::http::limits::Limits;
use crate::live::{Catalogue, HoldKey, LiveShow, Writer};
use crate::payment_outcome::PaymentOutcome;
use crate::payments::provider::{PaymentProvider, ProviderError};
use crate::payments::questions::Questions;
use crate::payments::reconcile::{ReconcileError, ReconcileReport};
use crate::payments::stripe::Stripe;
use crate::payments::webhooks::WebhookReceipt;
use crate::randomness::Randomness;
use crate::shows::ShowDraft;
use crate::store;
use crate::store::check::CheckReport;
use crate::store::idempotency::KeyUse;
use crate::store::import::Import;
use crate::sweep::SetAside;
use crate::tickets::{TicketSigner, TicketVerifier};
use crate::{http as api, workers};

/// What the booking core works with.
pub struct BookingDeps {
    /// Connections to the database, whose schema is up to date.
    pub pools: Pools,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Seed of all randomness. Two processes must not share one.
    pub seed: [u8; 32],
    /// Knows every task, so that shutdown can wait for them.
    pub tracker: TaskTracker,
    /// Ends the background work.
    pub shutdown: CancellationToken,
    /// The rooms that a show can be behind.
    pub rooms: Arc<dyn RoomDirectory>,
    /// Whether this process sweeps, polls and refreshes by itself. One that does not needs others
    /// that do; tests take the steps one by one.
    pub background: bool,
}

/// What the booking core asks about rooms, which are not its own.
pub trait RoomDirectory: Send + Sync {
    /// Whether there is a room `room`. An error when that cannot be found out now.
    fn knows<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<bool, StoreError>>;
}

/// Why the booking core could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The client of the payment provider could not be set up.
    #[error("the payment provider's client could not be set up")]
    Provider(#[source] reqwest::Error),
    /// The catalogue could not be read.
    #[error("the catalogue could not be read")]
    Catalogue(#[source] StoreError),
}

/// What became of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportedShow {
    /// It was taken.
    Imported(ShowImported),
    /// The file cannot be taken.
    Invalid(Vec<Fault>),
    /// It would change what customers already hold or bought.
    InUse,
}

/// What is left behind a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomStock {
    /// Seats that can be held now.
    pub remaining: u64,
    /// Seats that are not sold: those that can be held, and those that are held and may come back.
    pub unsold: u64,
    /// Seats there are.
    pub total: u64,
    /// Lowest and highest price, minor units.
    pub prices: Option<(i64, i64)>,
    /// The currency of the prices.
    pub currency: String,
}

/// The booking core. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Booking(pub(crate) Arc<Core>);

impl Booking {
    /// Reads the catalogue and starts the background work.
    pub async fn start(config: BookingConfig, deps: BookingDeps) -> Result<Self, StartError> {
        let provider = Stripe::new(&config.payment).map_err(StartError::Provider)?;
        Self::start_with(config, deps, Arc::new(provider)).await
    }

    /// Like [`Booking::start`], with a provider of the caller's.
    pub async fn start_with(
        config: BookingConfig,
        deps: BookingDeps,
        provider: Arc<dyn PaymentProvider>,
    ) -> Result<Self, StartError> {
        let background = deps.background;
        let booking = Self::assemble(config, deps, provider);
        let core = Arc::clone(&booking.0);
        booking
            .0
            .work
            .run_within(START_PATIENCE, async move { core.refresh_once().await })
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
        provider: Arc<dyn PaymentProvider>,
    ) -> Self {
        let work = Work::new(deps.tracker);
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
            tickets: TicketSigner::new(&config.ticket_keys),
            limits: Limits::new(&config.rates),
            config,
            settling: Turns::in_order(deps.pools.confirm.clone()),
            confirms: ConfirmQueue::new(CONFIRMS_AT_ONCE, CONFIRMS_WAITING_MAX, CONFIRM_WAIT_MAX),
            pools: deps.pools,
            working_since: deps.clock.now(),
            clock: deps.clock,
            randomness: Randomness::new(deps.seed),
            provider,
            rooms: deps.rooms,
            work,
            shutdown: deps.shutdown,
            inbox_filled: Arc::default(),
            payments_due: Arc::default(),
            expiry,
            set_aside: SetAside::default(),
            questions: Questions::default(),
            rendering: Semaphore::new(MAPS_RENDERED_AT_ONCE),
            streams: Arc::new(Semaphore::new(SEAT_STREAMS_MAX)),
        }))
    }

    /// The public API, under `/api/v1`.
    pub fn router(&self) -> Router {
        api::router(self.clone())
    }

    /// The operators' API, under `/admin/v1`. Whoever mounts it checks who asks.
    pub fn admin_router(&self) -> Router {
        api::admin(self.clone()).0
    }

    /// The description of [`Booking::admin_router`], as a part of an OpenAPI document.
    pub fn admin_description(&self) -> utoipa::openapi::OpenApi {
        api::admin(self.clone()).1
    }

    /// Who `headers` speak for.
    pub fn customer(&self, headers: &HeaderMap) -> Customer {
        Customer::read(headers, self.0.is_secure())
    }

    /// A session for a browser that has none.
    pub fn session_new(&self) -> Session {
        Session::new(self.0.randomness.bytes())
    }

    /// The session for a browser that has none and sends a key. It follows from the key, so nothing
    /// has to be stored for a repeat to get the same, and only this installation can tell it.
    pub(crate) fn session_of(&self, key_use: &KeyUse) -> Session {
        Session::of_key(&self.0.config.ticket_keys.seed, key_use)
    }

    /// Whether browsers reach the shop over TLS, so that cookies must be `Secure`.
    pub fn is_secure(&self) -> bool {
        self.0.is_secure()
    }

    /// Where the shop is, as `https://host`.
    pub(crate) fn origin(&self) -> &str {
        &self.0.config.public_url
    }

    /// What scanners verify tickets with.
    pub fn ticket_verifier(&self) -> TicketVerifier {
        TicketVerifier::new(&self.0.config.ticket_keys)
    }

    /// What is left of the shows behind `room` whose sale is not over; `None` when no show is
    /// behind it. Read from memory.
    pub fn stock(&self, room: &RoomId) -> Option<RoomStock> {
        let now = self.0.clock.now();
        let all = self.0.catalogue.in_room(room);
        let currency = all.first()?.info().currency.clone();
        let for_sale = || {
            all.iter()
                .filter(|show| match show.info().sale_status(now) {
                    SaleStatus::Upcoming | SaleStatus::Open => true,
                    SaleStatus::Closed | SaleStatus::Cancelled => false,
                })
        };
        let remaining = for_sale().map(|show| show.available_count()).sum();
        let prices = all.iter().flat_map(|show| &show.info().categories);
        let prices: Vec<i64> = prices.map(|category| category.price_minor).collect();
        Some(RoomStock {
            remaining,
            // Held seats are counted only when nothing else is left: it takes a look at every one.
            unsold: match remaining {
                0 => for_sale().map(|show| show.unsold_count()).sum(),
                some => some,
            },
            // What is not for sale any more must not make the rest look few.
            total: for_sale().map(|show| show.seat_count()).sum(),
            prices: prices
                .iter()
                .min()
                .copied()
                .zip(prices.iter().max().copied()),
            currency,
        })
    }

    /// The cities, by name.
    pub fn cities(&self) -> Vec<City> {
        self.0.catalogue.cities(self.0.clock.now())
    }

    /// The shows of a city, of a day and matching a query if given; `None` for an unknown city.
    pub fn shows(
        &self,
        city: &CityId,
        date: Option<time::Date>,
        query: Option<&str>,
    ) -> Option<Vec<Show>> {
        let now = self.0.clock.now();
        self.0.catalogue.shows_in(city, date, query, now)
    }

    /// Seats of all shows that are in memory now.
    pub fn seats_in_memory(&self) -> u64 {
        self.0.catalogue.seats_in_memory()
    }

    /// Every show that is not long over, by start.
    pub fn all_shows(&self) -> Vec<Show> {
        let now = self.0.clock.now();
        let shows = self.0.catalogue.all();
        shows.iter().map(|show| show.view(now)).collect()
    }

    /// One show, also one that is long over.
    pub async fn show_view(&self, show: &ShowId) -> Result<Option<Show>, StoreError> {
        let (core, show) = (Arc::clone(&self.0), show.clone());
        let work = async move { core.catalogue.view(&show, core.clock.now()).await };
        self.0.work.run(work).await
    }

    /// A show with its seats.
    pub(crate) async fn live(&self, show: &ShowId) -> Result<Option<LiveShow>, StoreError> {
        let (core, show) = (Arc::clone(&self.0), show.clone());
        self.0
            .work
            .run(async move { core.catalogue.live(&show).await })
            .await
    }

    /// One show that is not long over.
    pub fn show(&self, show: &ShowId) -> Option<Show> {
        Some(self.0.catalogue.entry(show)?.view(self.0.clock.now()))
    }

    /// The seat map of a show.
    pub async fn seat_map(&self, show: &ShowId) -> Result<Option<SeatMap>, StoreError> {
        let live = self.live(show).await?;
        Ok(live.map(|live| live.seat_map(self.0.clock.now())))
    }

    /// Holds seats; with a key, once for however many requests. A customer without a session has
    /// to be given one first.
    pub(crate) async fn hold_place(
        &self,
        customer: &Customer,
        show: &ShowId,
        request: &HoldRequest,
        key: Option<HoldKey>,
    ) -> Result<Once<HoldOutcome>, StoreError> {
        let core = Arc::clone(&self.0);
        let (customer, show, request) = (customer.clone(), show.clone(), request.clone());
        let work = async move { core.hold_place(&customer, &show, &request, key).await };
        self.0.work.run(work).await
    }

    /// The customer's hold.
    pub async fn hold(
        &self,
        customer: &Customer,
        hold_id: HoldId,
    ) -> Result<Option<Hold>, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        self.0
            .work
            .run(async move { core.hold(&customer, hold_id).await })
            .await
    }

    /// Gives a hold up.
    pub async fn hold_release(
        &self,
        customer: &Customer,
        hold_id: HoldId,
    ) -> Result<ReleaseOutcome, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        let work = async move { core.hold_release(&customer, hold_id).await };
        self.0.work.run_within(PROVIDER_PATIENCE, work).await
    }

    /// Starts a payment for a hold, or returns the one that is under way.
    pub async fn payment_start(
        &self,
        customer: &Customer,
        hold_id: HoldId,
        email: &str,
    ) -> Result<PaymentOutcome, StoreError> {
        let Some(email) = crate::email::read(email) else {
            return Ok(PaymentOutcome::InvalidEmail);
        };
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        let work = async move {
            let started = core
                .payment_start(&customer, hold_id.uuid(), &email)
                .await?;
            Ok(core.payment_outcome(started))
        };
        match self.0.work.run_within(PROVIDER_PATIENCE, work).await {
            Err(StoreError::Timeout) => Ok(PaymentOutcome::provider_silent()),
            outcome => outcome,
        }
    }

    /// The customer's booking.
    pub async fn booking(
        &self,
        customer: &Customer,
        booking_id: BookingId,
    ) -> Result<Option<BookingView>, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        self.0
            .work
            .run(async move { core.booking(&customer, booking_id).await })
            .await
    }

    /// The QR code of one of the customer's tickets, as SVG.
    pub async fn ticket_svg(
        &self,
        customer: &Customer,
        booking_id: BookingId,
        ticket_id: TicketId,
    ) -> Result<Option<String>, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        let work = async move { core.ticket_qr(&customer, booking_id, ticket_id).await };
        let text = self.0.work.run(work).await?;
        text.map(|text| {
            crate::tickets::qr_svg(&text).map_err(|error| StoreError::corrupt("tickets", error))
        })
        .transpose()
    }

    pub(crate) async fn webhook_store(
        &self,
        signature: Option<String>,
        body: bytes::Bytes,
    ) -> Result<WebhookReceipt, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.webhook_store(signature.as_deref(), &body).await };
        self.0.work.run(work).await
    }

    /// Takes over a show file. The same file again changes nothing.
    pub async fn show_import(&self, file: ShowFile) -> Result<ImportedShow, StoreError> {
        let draft = match ShowDraft::new(file, self.0.clock.now()) {
            Ok(draft) => draft,
            Err(faults) => return Ok(ImportedShow::Invalid(faults)),
        };
        if let Some(room) = &draft.show.file.room
            && !self.0.rooms.knows(room).await?
        {
            return Ok(ImportedShow::Invalid(vec![Fault {
                path: "room".to_owned(),
                what: format!("there is no room `{room}`; create it first"),
            }]));
        }
        let core = Arc::clone(&self.0);
        let work = async move {
            let pool = &core.pools.jobs;
            let now = core.clock.now();
            let show_id = &draft.show.file.show_id;
            let before = core.catalogue.info(show_id).await?;
            let import = repeat_if_contended(|| store::import::import(pool, &draft, now)).await?;
            let outcome = match import {
                Import::SeatsInUse | Import::TermsInUse => return Ok(ImportedShow::InUse),
                Import::Done(outcome) => outcome,
            };
            // The import stands whatever comes of this; if it fails, the next refresh shows it.
            if let Err(error) = core.catalogue.renew(show_id, now).await {
                tracing::warn!(%error, "an imported show is not in memory yet");
            }
            let after = core.catalogue.entry(show_id);
            let changed = match (outcome, before, after) {
                (ImportOutcome::Updated, Some(before), Some(after)) => {
                    after.info().changes_from(&before)
                }
                _ => Vec::new(),
            };
            Ok(ImportedShow::Imported(ShowImported {
                show_id: show_id.clone(),
                seat_count: u64::try_from(draft.show.seats.len()).unwrap_or(u64::MAX),
                outcome,
                changed,
            }))
        };
        self.0.work.run_within(IMPORT_PATIENCE, work).await
    }

    /// Whether there is a show, or was one.
    pub async fn has_shows(&self) -> Result<bool, StoreError> {
        let core = Arc::clone(&self.0);
        self.0
            .work
            .run(async move { store::catalogue::has_shows(&core.pools.jobs).await })
            .await
    }

    /// Checks every invariant.
    pub async fn check(&self) -> Result<CheckReport, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move {
            let now = core.clock.now();
            store::check::run(&core.pools.jobs, now, core.working_since).await
        };
        self.0.work.run_within(DATABASE_WAIT_MAX * 5, work).await
    }

    /// Compares what the payment provider made in the last day with our books, and acts on it.
    /// The background work does this for what has had time to settle.
    pub async fn reconcile(&self) -> Result<Result<ReconcileReport, ProviderError>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move {
            let now = core.clock.now();
            // The second that is running is looked at next time.
            let compared = core.reconcile(now.minus(RECONCILE_BACK), now).await;
            match compared {
                Ok(report) => Ok(Ok(report)),
                Err(ReconcileError::Provider(error)) => Ok(Err(error)),
                Err(ReconcileError::Store(error)) => Err(error),
            }
        };
        self.0.work.run_within(RECONCILE_PATIENCE, work).await
    }

    /// Compares what is due to be compared. The background work does this too.
    pub async fn reconcile_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.reconcile_once().await };
        self.0.work.run_within(RECONCILE_PATIENCE, work).await
    }

    /// Expires holds if one made by this process is due. Returns how many. The background work
    /// does this on time.
    pub async fn expire_due_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.expire_due_once().await };
        self.0.work.run(work).await
    }

    /// Expires holds whose time is over. Returns how many. The background work does this too.
    pub async fn sweep_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        self.0
            .work
            .run(async move { core.sweep_once().await })
            .await
    }

    /// Asks the provider about payments that are due. Returns how many.
    pub async fn poll_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.poll_once().await };
        self.0.work.run_within(PROVIDER_PATIENCE, work).await
    }

    /// Works on webhooks that are due. Returns how many.
    pub async fn inbox_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.inbox_once().await };
        self.0.work.run_within(PROVIDER_PATIENCE, work).await
    }

    /// Works on refunds that are due. Returns how many.
    pub async fn refund_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.refund_once().await };
        self.0.work.run_within(PROVIDER_PATIENCE, work).await
    }

    /// Gives up idempotency keys whose owner died. Returns how many. The background work does this
    /// too.
    pub async fn abandoned_keys_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        self.0
            .work
            .run(async move { core.abandoned_keys_once().await })
            .await
    }

    /// Removes rows that nobody will ask for again. Returns how many; there may be more.
    pub async fn purge_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        let work = &self.0.work;
        work.run(async move { core.purge_once().await }).await
    }

    /// Brings memory in line with the database.
    pub async fn refresh_once(&self) -> Result<(), StoreError> {
        let core = Arc::clone(&self.0);
        let work = &self.0.work;
        work.run(async move { core.refresh_once().await }).await?;
        Ok(())
    }
}
