//! The settings and the limits of the booking core.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use ed25519_dalek::VerifyingKey;

use crate::channels::settings::SmsDelivery;
use crate::fraud::settings::FraudSettings;
use crate::mail::settings::MailConfig;
use crate::money::invoice::InvoiceConfig;
use crate::ticket_fonts::TicketFonts;
use crate::ticket_store::settings::TicketStoreConfig;
use crate::wallet::settings::WalletConfig;

/// Settings of the booking core.
#[derive(Clone, Debug)]
pub struct BookingConfig {
    /// The shop's public URL, such as `https://tickets.example`, without a final slash.
    pub public_url: String,
    /// The payment providers, in order of preference.
    pub payments: Vec<PaymentConfig>,
    /// Mail to fans.
    pub mail: MailConfig,
    /// Webhooks to those who subscribe to events.
    pub webhooks: WebhookConfig,
    /// What else tells fans something.
    pub channels: ChannelsConfig,
    /// Most seats of all shows in memory; see [`SEATS_IN_MEMORY_MAX`].
    pub seats_in_memory_max: u64,
    /// The keys that sign and verify tickets.
    pub ticket_keys: TicketKeys,
    /// Rate limits per address and customer.
    pub rates: Rates,
    /// The fonts of printed tickets.
    pub ticket_fonts: TicketFonts,
    /// Where PDFs of tickets are kept.
    pub ticket_store: TicketStoreConfig,
    /// What tickets can be added to.
    pub wallets: WalletConfig,
    /// What is set against fraud.
    pub fraud: FraudSettings,
    /// Who makes invoices; without it there are none.
    pub invoices: Option<InvoiceConfig>,
    /// Age at which events go into the archive; without it none do. A program of the version before
    /// reads no archived events, so this is for installations that have none any more.
    pub events_loose_for: Option<Duration>,
}

/// Where webhooks may go.
#[derive(Clone, Debug, Default)]
pub struct WebhookConfig {
    /// Whether to addresses too that are not public, and without TLS.
    pub private_allowed: bool,
    /// Certificates of authorities, as PEM, that are believed beside those of the system.
    pub more_roots: Option<Vec<u8>>,
}

/// Settings of what tells fans something beside mail, and of what is said.
#[derive(Clone, Debug, Default)]
pub struct ChannelsConfig {
    /// Text messages.
    pub sms: SmsDelivery,
    /// Origins of push services that are believed beside those of the browsers, such as
    /// `https://push.example`.
    pub push_origins: Vec<String>,
    /// The operator's own templates of letters.
    pub templates: Option<PathBuf>,
    /// Certificates of authorities, as PEM, that are believed beside those of the system.
    pub more_roots: Option<Vec<u8>>,
}

/// How a payment provider is spoken to, and on which page customers pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentApi {
    /// Stripe's payment intents, and the page that the payment simulator has for them.
    Simulator,
    /// Stripe's checkout sessions, with Stripe's page.
    StripeCheckout,
    /// Stripe's payment intents, for programs with a page of their own.
    StripeIntents,
    /// Razorpay's payment links, with Razorpay's page.
    Razorpay,
}

/// How to reach a payment provider.
#[derive(Clone)]
pub struct PaymentConfig {
    /// Its name in paths and in the database, such as `simulator` or `stripe`. A payment keeps it
    /// for good.
    pub provider: String,
    /// How it is spoken to.
    pub api: PaymentApi,
    /// Base URL of its API, without a final slash.
    pub url: String,
    /// The secret key with which we authenticate; with Razorpay, the key id and the secret with a
    /// colon between them.
    pub secret: String,
    /// The secrets that its webhooks are signed with: one, and more while it is exchanged.
    pub webhook_secrets: Vec<String>,
    /// Certificates of authorities, as PEM, that are believed beside those of the system.
    pub more_roots: Option<Vec<u8>>,
}

impl PaymentConfig {
    /// A payment simulator, with the names and the page of payment intents.
    pub fn simulator(url: &str, secret: &str, webhook_secret: &str) -> Self {
        Self {
            provider: "simulator".to_owned(),
            api: PaymentApi::Simulator,
            url: url.to_owned(),
            secret: secret.to_owned(),
            webhook_secrets: vec![webhook_secret.to_owned()],
            more_roots: None,
        }
    }
}

/// The Ed25519 keys of tickets: one signs, and the keys of earlier tickets only verify.
#[derive(Clone)]
pub struct TicketKeys {
    pub(crate) id: u8,
    pub(crate) seed: [u8; 32],
    pub(crate) earlier: Vec<(u8, VerifyingKey)>,
}

impl TicketKeys {
    /// The signing key: its id, which every ticket carries, and its 32-byte seed.
    pub const fn new(id: u8, seed: [u8; 32]) -> Self {
        Self {
            id,
            seed,
            earlier: Vec::new(),
        }
    }

    /// Adds the public half of a key of earlier tickets. `None` if `public` is not a valid public
    /// key.
    #[must_use]
    pub fn with_earlier(mut self, id: u8, public: &[u8; 32]) -> Option<Self> {
        let public = VerifyingKey::from_bytes(public).ok()?;
        self.earlier.push((id, public));
        Some(self)
    }
}

impl fmt::Debug for PaymentConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PaymentConfig")
            .field("provider", &self.provider)
            .field("api", &self.api)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKeys(..)")
    }
}

/// Requests that may wait for one show's writer. Further ones are refused as busy.
pub const HOLD_QUEUE_MAX: usize = 4096;
/// Requests settled by one statement.
pub const HOLD_BATCH_MAX: usize = 256;
/// Batches of one show that are under way at the same time.
pub const HOLD_BATCHES_AT_ONCE: usize = 2;
/// Longest that a request may have waited when its batch is composed. Older ones are refused as
/// busy, so that a response comes within a second even when the database stalls.
pub const HOLD_WAIT_MAX: Duration = Duration::from_millis(800);
/// Queued commands of one owner in a show's writer. Further ones are refused as busy.
pub const HOLDS_OF_OWNER_MAX: usize = 8;
/// Attempts to hold: the best seats while other processes keep taking them, or named seats while
/// another transaction has them locked.
pub const HOLD_TRIES_MAX: u8 = 4;
/// Most seats in one hold, whatever the show's ticket limit. A database constraint checks it too.
pub const HOLD_SEATS_MAX: usize = 20;
/// Longest wait for a free connection, including connecting.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(800);
/// Longest that a caller waits for database work. The work itself continues.
pub const DATABASE_WAIT_MAX: Duration = Duration::from_secs(3);
/// Seats of all shows in memory, about 300 bytes each. Beyond it the least recently used shows give
/// up their seats, which are read again on demand.
pub const SEATS_IN_MEMORY_MAX: u64 = 1_000_000;
/// Shows whose seats are read concurrently.
pub const SHOWS_READ_AT_ONCE: usize = 3;
/// Longest that an operator waits for an import. The import itself continues.
pub const IMPORT_PATIENCE: Duration = Duration::from_mins(1);
/// Longest that start-up waits to read the catalogue.
pub const START_PATIENCE: Duration = Duration::from_mins(1);
/// Pause before the catalogue is read again at the start.
pub const START_RETRY_AFTER: Duration = Duration::from_millis(500);
/// How long records of changed shows are kept.
pub const CHANGES_KEEP: Duration = Duration::from_mins(30);
/// A process that has not read those records for this long reads every show again.
pub const CHANGES_MISSED_AFTER: Duration = Duration::from_mins(10);
/// How often memory is refreshed from the database, which other processes write too.
pub const REFRESH_EVERY: Duration = Duration::from_secs(1);
/// Holds that end within this span are expired together, so that a rush that was settled in many
/// batches costs at most 50 expiry queries per second.
pub const EXPIRY_GRAIN: Duration = Duration::from_millis(20);
/// Expiry times that a process remembers: one per grain of the longest hold, and some more. The
/// sweeper expires holds beyond it.
pub const EXPIRY_TIMES_MAX: usize = 50_000;
/// Longest sleep of the expiry timer, because the clock may be set meanwhile.
pub const CLOCK_LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the sweeper looks for holds past their end that no timer expired: those of a process
/// that died, and those whose expiry failed.
pub const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Holds per sweep; the next sweep follows at once when there were this many.
pub const SWEEP_BATCH_MAX: i64 = 500;
/// How long the sweeper skips a hold that it cannot expire.
pub const SET_ASIDE_FOR: Duration = Duration::from_mins(10);
/// Holds that are skipped at the same time; further ones fail again in every sweep.
pub const SET_ASIDE_MAX: usize = 1000;
/// How long an open payment is pursued after its hold's end before the seats are freed.
pub const HARD_DEADLINE_AFTER: Duration = Duration::from_mins(15);
/// Longest request to the payment provider.
pub const PROVIDER_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest that a customer waits for the provider; then the response says that the outcome is open.
pub const PROVIDER_PATIENCE: Duration = Duration::from_secs(10);
/// Calls to one payment provider at the same time. Further ones wait.
pub const PROVIDER_CALLS_AT_ONCE: usize = 64;
/// Longest that a call waits for its turn. Then it is not made.
pub const PROVIDER_SLOT_WAIT: Duration = Duration::from_secs(3);
/// How much longer a hold lasts when its customer has to authenticate, once.
pub const HOLD_EXTENSION: Duration = Duration::from_mins(5);
/// Payment attempts per hold, those that reached no provider included.
pub const PAYMENT_ROWS_MAX: i32 = 200;
/// Codes that do not exist that may be tried for a hold.
pub(crate) const COUPON_TRIES_MAX: i32 = 10;
/// Payment attempts per hold that reached a provider; then the hold is released.
pub const PAYMENT_ATTEMPTS_MAX: usize = 20;
/// Confirmations that run at the same time. Each may wait for the provider; four connections settle
/// what they wait for, together.
pub const CONFIRMS_AT_ONCE: usize = 128;
/// Bookings made by one statement, and confirmations read by one.
pub const CONFIRM_BATCH_MAX: usize = 256;
/// Batches of bookings that are under way at the same time, and batches of reads.
pub const CONFIRM_BATCHES_AT_ONCE: usize = 2;
/// Confirmations that may wait for their turn. Further ones are refused before anything is read.
pub const CONFIRMS_WAITING_MAX: usize = 4096;
/// Longest wait for that turn. Then the response says that the outcome is open, and the customer
/// asks again.
pub const CONFIRM_WAIT_MAX: Duration = Duration::from_secs(3);
/// Attempts, 1 s apart, to complete or give up an idempotency key while the database is away. After
/// that a repeated request takes the key over.
pub const KEY_TRIES_MAX: u32 = 10;
/// Payments, events or refunds per pass of a worker.
pub const WORK_BATCH_MAX: i64 = 50;
/// Payments, events or refunds that a worker handles at the same time.
pub const WORK_AT_ONCE: usize = 8;
/// Webhooks that are closed together because their payments are settled.
pub const INBOX_BATCH_MAX: i64 = 500;
/// How long a webhook waits for the customer, who usually confirms meanwhile. One whose payment is
/// not settled by then is worked on.
pub const INBOX_HEAD_START: Duration = Duration::from_millis(500);
/// Pause between two looks into the inbox while there is little in it.
pub const INBOX_PAUSE: Duration = Duration::from_millis(250);
/// How often payment workers look for work without a notification.
pub const WORK_EVERY: Duration = Duration::from_secs(1);
/// How long a one-time code can be used.
pub const CODE_LASTS: Duration = Duration::from_mins(10);
/// How often a one-time code can be tried. A constraint in the database says so too.
pub const CODE_TRIES_MAX: i32 = 5;
/// Codes of apps that are mailed to one address in a day: with a code's tries, so often can an
/// address be guessed at.
pub const APP_CODES_PER_DAY_MAX: i64 = 5;
/// Wrong codes of apps in one minute, of all gateways, after which no more are tried in it: so many
/// addresses can be guessed at.
pub const APP_CODE_MISSES_MAX: i64 = 120;
/// Whoever asks for tokens is refused no sooner than this, so that the time does not tell whether
/// an address has a booking.
pub const APP_REFUSAL_AFTER: Duration = Duration::from_millis(250);
/// How long the refresh token before the last one is good, for an app that missed the answer.
pub const APP_REFRESH_GRACE: Duration = Duration::from_secs(30);
/// How long an app's access token is good.
pub const APP_ACCESS_LASTS: Duration = Duration::from_mins(10);
/// How long an app's session lasts without being refreshed.
pub const APP_SESSION_LASTS: Duration = Duration::from_hours(90 * 24);
/// The span in which mails that fans ask for are counted.
pub const GUEST_MAILS_EVERY: Duration = Duration::from_hours(1);
/// Codes and links that are mailed for one booking in that span: so nobody can guess more often
/// than a code's tries times this.
pub const GUEST_MAILS_PER_BOOKING_MAX: i64 = 5;
/// Codes and links that are mailed to one address in that span, for all of its bookings.
pub const GUEST_MAILS_PER_ADDRESS_MAX: i64 = 10;
/// How long it is known that a fan asked for a mail.
pub const GUEST_MAIL_KEEP: Duration = Duration::from_hours(7 * 24);
/// Searches for bookings that run at the same time; further ones are refused as busy.
pub const FINDS_AT_ONCE: usize = 4;
/// Bookings in one list of a fan's own.
pub const OWN_BOOKINGS_LISTED_MAX: i64 = 100;
/// Bookings in one list of operators.
pub const BOOKINGS_LISTED_MAX: i64 = 100;
/// Bookings in one page of an export.
pub const EXPORT_PAGE_MAX: i64 = 500;
/// Bookings of a cancelled show that are cancelled in one pass.
pub const SHOW_CANCEL_BATCH_MAX: i64 = 50;
/// Bookings of a cancelled show that are cancelled at the same time. They share the connections for
/// money, and leave most of them free.
pub const SHOW_CANCEL_AT_ONCE: usize = 2;
/// How often a process looks for bookings of cancelled shows.
pub const SHOW_CANCEL_EVERY: Duration = Duration::from_secs(2);
/// Bookings of a moved show that are told in one pass.
pub const SHOW_MOVE_BATCH_MAX: i64 = 500;
/// How long after a move bookings are looked for that are not told of it.
pub const SHOW_MOVE_TELL_FOR: Duration = Duration::from_hours(7 * 24);
/// How long a moved show is left alone once all are told: later ones paid after the move.
pub const SHOW_MOVE_LOOK_AGAIN: Duration = Duration::from_mins(5);
/// Reminders that are made in one pass.
pub const REMINDER_BATCH_MAX: i64 = 500;
/// How often a process looks for reminders that are due.
pub const REMINDER_EVERY: Duration = Duration::from_secs(20);
/// Browsers of a booking that take push messages.
pub const BROWSERS_OF_BOOKING_MAX: i64 = 5;
/// How long after the end of its show telephone numbers and browsers of a booking are kept.
pub const CONTACT_KEEP: Duration = Duration::from_hours(31 * 24);
/// Fans in waiting rooms who may want to be told when they are called, of all rooms together.
pub const TURN_REQUESTS_MAX: u64 = 200_000;
/// Places of a room of which one address is told: anybody can write any address.
pub const TURN_PLACES_OF_ADDRESS_MAX: i64 = 3;
/// Requests to be told that are stored at the same time; further ones are refused as busy.
pub const TURN_REQUESTS_AT_ONCE: usize = 2;
/// Calls of a room that are compared with the requests in one statement.
pub const TURN_BATCH_MAX: i64 = 5000;
/// How long the address of a fan is kept who was told of a call.
pub const TURN_KEEP_CALLED: Duration = Duration::from_hours(24);
/// How long the address of a fan is kept who was never called.
pub const TURN_KEEP: Duration = Duration::from_hours(7 * 24);
/// How often a process counts the fans who want to be told.
pub const TURN_COUNT_EVERY: Duration = Duration::from_secs(10);
/// Refusals of a refund before a person has to look.
pub const REFUND_REFUSALS_MAX: i32 = 12;
/// Attempts to process a webhook while the provider does not answer: with pauses that grow to an
/// hour, about three days.
pub const EVENT_TRIES_MAX: i32 = 80;
/// How often the provider's books are compared with ours; one process does it for all.
pub const RECONCILE_EVERY: Duration = Duration::from_mins(5);
/// Longest that an operator waits for a comparison. The comparison itself continues.
pub const RECONCILE_PATIENCE: Duration = Duration::from_mins(1);
/// Age at which an intent or refund is compared, so that it has had time to settle.
pub const RECONCILE_SETTLED_AFTER: Duration = Duration::from_mins(15);
/// How far back the first comparison looks, and one that an operator requests.
pub const RECONCILE_BACK: Duration = Duration::from_hours(24);
/// Span of creation times of the intents and refunds that are listed together.
pub const RECONCILE_SLICE: Duration = Duration::from_mins(10);
/// How far back the looks after the first go for payments and refunds. Banks agree to what had failed
/// within days, direct debits are decided within three weeks, vouchers are paid within two months.
pub const RECONCILE_AGAIN_MONEY: Duration = Duration::from_hours(24 * 60);
/// The same for disputes: a bank decides within months.
pub const RECONCILE_AGAIN_DISPUTES: Duration = Duration::from_hours(24 * 180);
/// How long after a round of these looks the next one begins.
pub const RECONCILE_AGAIN_EVERY: Duration = Duration::from_hours(1);
/// Pages of each listing that are looked at again at a time. A page has up to 100 payments.
pub const RECONCILE_AGAIN_PAGES_MAX: usize = 40;
/// After this time the owner of an idempotency key counts as dead.
pub const IDEMPOTENCY_TAKEOVER_AFTER: Duration = Duration::from_mins(1);
/// Stored responses older than this are purged.
pub const IDEMPOTENCY_KEEP: Duration = Duration::from_hours(48);
/// How long processed webhooks are kept. The provider repeats a webhook for three days.
pub const EVENT_KEEP: Duration = Duration::from_hours(30 * 24);
/// How long outbox rows are kept once they were taken and are in the log of events. The check that each booking has its row looks
/// back a little less than 30 days.
pub const OUTBOX_KEEP: Duration = Duration::from_hours(31 * 24);
/// Rows of the outbox that are moved into the log of events in one transaction.
pub const EVENT_BATCH_MAX: i64 = 500;
/// Age at which events should go into the archive, where it is used.
pub const EVENTS_LOOSE_FOR: Duration = Duration::from_hours(90 * 24);
/// Events outside the archive, whatever their age. Bounds what a check counts and what indexes cost.
pub const EVENTS_LOOSE_MAX: i64 = 1_000_000;
/// Events of a block of the archive, which is read as a whole: about 200 KB before compression.
pub const EVENT_BLOCK: i64 = 200;
/// Archived events that one request for some kinds looks through. It says where to read on.
pub const EVENTS_SEARCHED_MAX: i64 = 20_000;
/// How often a process looks for events that are old enough for the archive.
pub const ARCHIVE_EVERY: Duration = Duration::from_mins(1);
/// How often a process looks for rows of the outbox that are not in the log of events.
pub const SEQUENCE_EVERY: Duration = Duration::from_millis(200);
/// Events in one answer to operators.
pub const EVENTS_LISTED_MAX: i64 = 1000;
/// Events that a sink gets at once.
pub const SINK_BATCH_MAX: i64 = 200;
/// Rows in one answer about sales.
pub const SALES_LISTED_MAX: i64 = 10_000;
/// How often events are taken into the figures of sales without a notification.
pub const SALES_EVERY: Duration = Duration::from_secs(2);
/// Subscriptions to events. Each has a task in each process, so this bounds them too.
pub const SUBSCRIPTIONS_MAX: i64 = 50;
/// Deliveries of a subscription that wait. Further events stay in the log until some are gone.
pub const DELIVERIES_DUE_MAX: i64 = 1000;
/// Deliveries of a subscription that are claimed together.
pub const DELIVERY_BATCH_MAX: i64 = 8;
/// Calls of one receiver at the same time, by one process.
pub const DELIVERIES_AT_ONCE: usize = 4;
/// How often a process looks for deliveries without a notification.
pub const DELIVER_EVERY: Duration = Duration::from_secs(1);
/// Longest that a caller waits for a round of deliveries. The round itself continues.
pub const DELIVERY_PATIENCE: Duration = Duration::from_mins(2);
/// Deliveries in one list, and dead letters that an operator sends again with one call.
pub const DELIVERIES_LISTED_MAX: i64 = 1000;
/// How long deliveries are kept that do not wait.
pub const DELIVERY_KEEP: Duration = Duration::from_hours(31 * 24);
/// Events of the outbox that become notices in one statement.
pub const NOTICE_BATCH_MAX: i64 = 500;
/// How long notices are kept that are not due any more. The check that each booking has its notice
/// looks back a little less than 30 days.
pub const NOTICE_KEEP: Duration = Duration::from_hours(31 * 24);
/// Dead letters that an operator sends again with one call, and notices in one list.
pub const NOTICES_LISTED_MAX: i64 = 1000;
/// Messages that a process hands to the mail server at the same time, each over a connection of its
/// own. As many mails may be doubled when the process is killed.
pub const MAIL_AT_ONCE: usize = 8;
/// Longest that a caller waits for a round of mail. The round itself continues.
pub const MAIL_PATIENCE: Duration = Duration::from_mins(5);
/// Messages that are kept as files when there is no mail server.
pub const MAIL_FILES_MAX: usize = 200;
/// How often a process looks how much mail waits.
pub const MAIL_BACKLOG_EVERY: Duration = Duration::from_secs(10);
/// Mail that waits for longer is told to operators.
pub const MAIL_WAITS_LONG: Duration = Duration::from_mins(5);
/// Changes of a seat map that a slow client may lag behind before it is told to reload.
pub const SEAT_CHANGES_KEPT: usize = 256;
/// Pages that concurrently read what their readers hold. They share the connections for payments,
/// and leave most of them free.
pub const BANNER_LOOKS_MAX: usize = 2;
/// Bytes of catalogue documents and pages that are kept with their compressed forms.
pub const RECENT_DOCUMENTS_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Bytes of pages of shows that are kept with their compressed forms, counted before compression.
pub const SHOW_PAGES_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Seat maps that are rendered and compressed at the same time, each on its own thread.
pub const MAPS_RENDERED_AT_ONCE: usize = 2;
/// PDFs that are rendered at the same time, each on its own thread.
pub const PRINTS_AT_ONCE: usize = 2;
/// PDFs that may wait for their turn. Further ones are refused as busy.
pub const PRINTS_WAITING_MAX: usize = 64;
/// Longest wait for that turn. Then the request is refused as busy.
pub const PRINT_WAIT_MAX: Duration = Duration::from_secs(2);
/// PDFs of tickets that a process has made lately, for whoever needs them next: mail, store, fan.
pub const RECENT_PRINTS_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// PDFs of tickets that are claimed for the store together.
pub const TICKET_PDFS_BATCH_MAX: i64 = 32;
/// PDFs of tickets that a process writes to the store at the same time.
pub const TICKET_PDFS_AT_ONCE: usize = 4;
/// How often a process looks for shows whose PDFs are outdated.
pub const TICKET_PDF_SHOWS_EVERY: Duration = Duration::from_secs(10);
/// How long after the end of its show a PDF is kept: for longer than its codes are good.
pub const TICKET_PDF_KEEP: Duration = Duration::from_hours(24);
/// Open live seat maps per process.
pub const SEAT_STREAMS_MAX: usize = 10_000;
/// Oldest signature of a webhook that is accepted.
pub const WEBHOOK_TOLERANCE: Duration = Duration::from_mins(5);

/// A sustained rate, and a burst size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Sustained rate, in calls per second.
    pub per_second: NonZeroU32,
    /// Burst size, in calls.
    pub burst: NonZeroU32,
}

/// The rates of one address and of one customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RatePair {
    /// Per IPv4 address or IPv6 subscriber; an office or a mobile network may share one.
    pub address: Rate,
    /// Per session, or per fan with a pass.
    pub customer: Rate,
}

/// Rate limits of the API and the shop, each counted separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Browsing: all requests that are in none of the other groups.
    pub browse: RatePair,
    /// Holding seats and releasing holds.
    pub hold: RatePair,
    /// Starting payments.
    pub pay: RatePair,
    /// Confirming purchases.
    pub confirm: RatePair,
    /// Scanning tickets: per token of a scanner that was good at this process, and per address for
    /// all other requests.
    pub scan: RatePair,
    /// Asking for mails: one-time codes, and links to bookings.
    pub mails: RatePair,
}

const fn rate(per_second: u32, burst: u32) -> Rate {
    const fn at_least_one(number: u32) -> NonZeroU32 {
        match NonZeroU32::new(number) {
            Some(number) => number,
            None => NonZeroU32::MIN,
        }
    }
    Rate {
        per_second: at_least_one(per_second),
        burst: at_least_one(burst),
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            browse: RatePair {
                address: rate(100, 1000),
                customer: rate(20, 200),
            },
            hold: RatePair {
                address: rate(50, 500),
                customer: rate(5, 50),
            },
            pay: RatePair {
                address: rate(50, 500),
                customer: rate(2, 20),
            },
            confirm: RatePair {
                address: rate(50, 500),
                customer: rate(5, 50),
            },
            scan: RatePair {
                address: rate(100, 1000),
                customer: rate(10, 100),
            },
            mails: RatePair {
                address: rate(1, 60),
                customer: rate(1, 10),
            },
        }
    }
}

/// How often the limits forget addresses and customers whose burst is full again.
pub const RATES_FORGET_EVERY: Duration = Duration::from_secs(10);

/// How long the token of a scanner outlives the tickets of its show when nobody says, so that scans
/// that were kept can still be uploaded.
pub const SCANNER_OUTLIVES: Duration = Duration::from_hours(24);
/// Conflicts, and scanners, that are listed at most.
pub const CHECKINS_LISTED_MAX: i64 = 500;
/// Longest that a caller waits for an upload of scans, which are settled one after the other.
pub const SCANS_PATIENCE: Duration = Duration::from_secs(20);
/// Reviews in one list of operators.
pub const REVIEWS_LISTED_MAX: i64 = 200;
/// How often reviews are looked at: those whose time is over, and how many wait.
pub const REVIEWS_EVERY: Duration = Duration::from_secs(30);
/// How long tries to pay and suspicious holds are remembered.
pub const RISK_KEEP: Duration = Duration::from_hours(30 * 24);
/// How long it is kept why a purchase was reviewed that was approved.
pub const REVIEW_KEEP: Duration = Duration::from_hours(180 * 24);
