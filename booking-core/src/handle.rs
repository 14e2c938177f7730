//! [`Booking`], the interface of the booking core for handlers and the gateway.
//!
//! Database work runs in tasks that continue when the caller disconnects.

use std::sync::Arc;
use std::time::Duration;

use contract::app_session::ACCESS_HEADER;
use contract::booking::{Booking as BookingView, City, Hold, HoldRequest, SeatMap, Show, ShowFile};
use contract::principal::Principal;
use contract::refund::LINK_HEADER;
use contract::{BookingId, CityId, HoldId, NoticeId, RoomId, ShowId, TicketId};
use http::HeaderMap;

use crate::config::{
    DATABASE_WAIT_MAX, IMPORT_PATIENCE, MAIL_PATIENCE, MAIL_WAITS_LONG, NOTICES_LISTED_MAX,
    PROVIDER_PATIENCE, RECONCILE_BACK, RECONCILE_PATIENCE,
};
use crate::core::Core;
use crate::coupons::CouponWish;
use crate::customer::{Customer, Session};
use crate::database::StoreError;
use crate::holds::{HoldOutcome, Once, ReleaseOutcome};
use crate::imports::ImportedShow;
use crate::links::Link;
use crate::live::{HoldKey, LiveShow};
use crate::notice::NoticeStatus;
use crate::payment_outcome::PaymentOutcome;
use crate::payments::provider::ProviderError;
use crate::payments::reconcile_report::ReconcileError;
use crate::payments::reconcile_report::ReconcileReport;
use crate::payments::webhooks::WebhookReceipt;
use crate::stock::RoomStock;
use crate::store;
use crate::store::check::CheckReport;
use crate::store::idempotency::KeyUse;
use crate::store::notices::{Backlog, NoticeRow};
use crate::ticket_files::BookedShow;
use crate::ticket_types::TypesOutcome;
use crate::tickets::TicketVerifier;

/// The booking core. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Booking(pub(crate) Arc<Core>);

impl Booking {
    /// The customer that `headers` identify.
    pub fn customer(&self, headers: &HeaderMap) -> Customer {
        Customer::read(headers, self.0.is_secure())
            .with_link(self.link_in(headers))
            .with_app(self.app_in(headers))
    }

    /// The session of an app in a header of `headers`, if its access token is good.
    fn app_in(&self, headers: &HeaderMap) -> Option<uuid::Uuid> {
        let token = headers.get(ACCESS_HEADER)?.to_str().ok()?;
        self.0.links.read_access(token, self.0.clock.now())
    }

    /// The link to a booking in a header of `headers`, if its signature is good.
    fn link_in(&self, headers: &HeaderMap) -> Option<Link> {
        let token = headers.get(LINK_HEADER)?.to_str().ok()?;
        self.0.links.read(token)
    }

    /// The customer with these passes and the session of `headers`, whose word on passes is not
    /// believed.
    pub(crate) fn customer_of(&self, passes: &[Principal], headers: &HeaderMap) -> Customer {
        Customer::of(passes.to_vec(), headers, self.0.is_secure())
    }

    /// A new session for a browser without one.
    pub fn session_new(&self) -> Session {
        Session::new(self.0.randomness.bytes())
    }

    /// The session for a browser that has none and sends an idempotency key. It is derived from the
    /// key, so a repeat gets the same session without storing it, and only this installation can
    /// compute it.
    pub(crate) fn session_of(&self, key_use: &KeyUse) -> Session {
        Session::of_key(&self.0.config.ticket_keys.seed, key_use)
    }

    /// Whether browsers reach the shop over TLS, so that cookies must be `Secure`.
    pub fn is_secure(&self) -> bool {
        self.0.is_secure()
    }

    /// The shop's origin, as `https://host`.
    pub(crate) fn origin(&self) -> &str {
        &self.0.config.public_url
    }

    /// The names of the payment providers, the preferred first.
    pub(crate) fn provider_names(&self) -> String {
        self.0.providers.names().join(",")
    }

    /// The origins of the pages on which customers pay, as sources of a content security policy.
    pub fn payment_page_origins(&self) -> Option<String> {
        let origins = self.0.providers.page_origins();
        (!origins.is_empty()).then(|| origins.join(" "))
    }

    /// Whether no customer can pay at the moment, because calls to every provider have stopped.
    pub fn payments_have_stopped(&self) -> bool {
        self.0.providers.are_all_open()
    }

    /// The verifier of tickets, for scanners.
    pub fn ticket_verifier(&self) -> TicketVerifier {
        TicketVerifier::new(&self.0.config.ticket_keys)
    }

    /// The stock of the shows behind `room` whose sale is not over; `None` when no show is behind
    /// it. Read from memory.
    pub fn stock(&self, room: &RoomId) -> Option<RoomStock> {
        self.0.stock(room)
    }

    /// The cities, by name.
    pub fn cities(&self) -> Vec<City> {
        self.0.catalogue.cities(self.0.clock.now())
    }

    /// The shows of a city, filtered by day and query if given; `None` for an unknown city.
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
        if let Some(live) = self.0.catalogue.live_at_hand(show) {
            return Ok(Some(live));
        }
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

    /// Holds seats; with an idempotency key, once for all repeats. A customer without a session has
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
        let work = async move { Box::pin(core.hold_place(&customer, &show, &request, key)).await };
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

    /// Sells the seats of a hold as other types.
    pub(crate) async fn hold_types_set(
        &self,
        customer: &Customer,
        hold_id: HoldId,
        codes: Vec<Option<String>>,
    ) -> Result<TypesOutcome, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        let work = async move { core.hold_types_set(&customer, hold_id, &codes).await };
        self.0.work.run(work).await
    }

    /// Releases a hold.
    pub async fn hold_release(
        &self,
        customer: &Customer,
        hold_id: HoldId,
    ) -> Result<ReleaseOutcome, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        let work = async move { core.hold_release(&customer, hold_id).await };
        self.0.work.run_within(PROVIDER_PATIENCE, work).await
    }

    /// Starts a payment for a hold, or returns the one that is under way. With a coupon the price
    /// is made anew; an empty code takes the coupon of an earlier attempt off.
    pub async fn payment_start(
        &self,
        customer: &Customer,
        hold_id: HoldId,
        email: &str,
        coupon: Option<&str>,
    ) -> Result<PaymentOutcome, StoreError> {
        let Some(email) = crate::email::read(email) else {
            return Ok(PaymentOutcome::InvalidEmail);
        };
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        let wish = CouponWish::of(coupon);
        let work = async move {
            let started = core.payment_start(&customer, hold_id.uuid(), &email, &wish);
            // Large futures are moved often on their way into a task, so they are boxed first.
            Ok(core.payment_outcome(Box::pin(started).await?))
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

    /// One of the customer's bookings with everything that its files say.
    pub(crate) async fn booked_show(
        &self,
        customer: &Customer,
        booking_id: BookingId,
    ) -> Result<Option<BookedShow>, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        self.0
            .work
            .run(async move { core.booked_show(&customer, booking_id).await })
            .await
    }

    pub(crate) async fn webhook_store(
        &self,
        provider: String,
        headers: HeaderMap,
        body: bytes::Bytes,
    ) -> Result<WebhookReceipt, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { Box::pin(core.webhook_store(&provider, &headers, &body)).await };
        self.0.work.run(work).await
    }

    /// Imports a show file. Importing the same file again changes nothing.
    pub async fn show_import(&self, file: ShowFile) -> Result<ImportedShow, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.show_import(file).await };
        self.0.work.run_within(IMPORT_PATIENCE, work).await
    }

    /// Whether a show exists or ever existed.
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

    /// Compares what the payment provider created in the last day with our books, and acts on it.
    /// The background work does this for everything old enough to have settled.
    pub async fn reconcile(&self) -> Result<Result<ReconcileReport, ProviderError>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move {
            let now = core.clock.now();
            // Up to now, exclusive: the current second belongs to the next comparison.
            let compared = core.reconcile(now.minus(RECONCILE_BACK), now).await;
            match compared {
                Ok(report) => Ok(Ok(report)),
                Err(ReconcileError::Provider(error)) => Ok(Err(error)),
                Err(ReconcileError::Store(error)) => Err(error),
            }
        };
        self.0.work.run_within(RECONCILE_PATIENCE, work).await
    }

    /// Compares what is due for comparison. The background work does this too.
    pub async fn reconcile_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { Box::pin(core.reconcile_once()).await };
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

    /// Resolves payments that are due with the provider. Returns how many.
    pub async fn poll_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.poll_once().await };
        self.0.work.run_within(PROVIDER_PATIENCE, work).await
    }

    /// Processes webhooks that are due. Returns how many.
    pub async fn inbox_once(&self) -> Result<usize, StoreError> {
        self.inbox_after(Duration::ZERO).await
    }

    /// Processes webhooks that have been due for as long as `head_start`. Returns how many.
    pub async fn inbox_after(&self, head_start: Duration) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.inbox_after(head_start).await };
        self.0.work.run_within(PROVIDER_PATIENCE, work).await
    }

    /// Processes refunds that are due. Returns how many.
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

    /// Makes notices of events in the outbox. Returns how many events were done. The background work
    /// does this too.
    pub async fn collect_notices_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.collect_notices_once().await };
        self.0.work.run(work).await
    }

    /// Tries mail that is due. Returns how many were sent or given up. The background work does
    /// this too.
    pub async fn mail_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.mail_once().await };
        self.0.work.run_within(MAIL_PATIENCE, work).await
    }

    /// Looks how much mail waits. The background work does this too.
    pub async fn mail_backlog_once(&self) -> Result<(), StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.mail_backlog_once().await };
        self.0.work.run(work).await.map(drop)
    }

    /// What an operator should know of mail, as of the last look.
    pub fn mail_advice(&self) -> Option<String> {
        let backlog = self.0.mail_backlog.load();
        let waited = self.0.waited(&backlog)?;
        (waited > MAIL_WAITS_LONG).then(|| {
            format!(
                "{} to fans wait, the oldest for {} minutes: is the mail server available?",
                if backlog.due_count == 1 {
                    "1 mail".to_owned()
                } else {
                    format!("{} mails", backlog.due_count)
                },
                waited.as_secs() / 60
            )
        })
    }

    /// How much mail waits, and the notices in this state.
    pub(crate) async fn notices(
        &self,
        status: NoticeStatus,
    ) -> Result<(Backlog, Vec<NoticeRow>), StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move {
            let pool = &core.pools.jobs;
            let listed = store::notices::list(pool, status, NOTICES_LISTED_MAX).await?;
            Ok((store::notices::backlog(pool).await?, listed))
        };
        self.0.work.run(work).await
    }

    /// The state of a notice.
    pub(crate) async fn notice_status(
        &self,
        notice_id: NoticeId,
    ) -> Result<Option<NoticeStatus>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { store::notices::status(&core.pools.jobs, notice_id.uuid()).await };
        self.0.work.run(work).await
    }

    /// Makes notices due again that were given up: one, or all. Returns how many.
    pub(crate) async fn notices_retry(
        &self,
        notice_id: Option<NoticeId>,
    ) -> Result<u64, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move {
            let (now, only) = (core.clock.now(), notice_id.map(NoticeId::uuid));
            store::notices::retry(&core.pools.jobs, only, now, NOTICES_LISTED_MAX).await
        };
        self.0.work.run(work).await
    }

    /// Removes rows that are no longer needed. Returns how many; there may be more.
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
