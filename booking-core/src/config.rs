//! What the booking core has to be told, and the limits it keeps.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use ed25519_dalek::VerifyingKey;

/// Settings of the booking core.
#[derive(Clone, Debug)]
pub struct BookingConfig {
    /// Where customers reach the shop, such as `https://tickets.example`, without a final slash.
    pub public_url: String,
    /// The payment provider.
    pub payment: PaymentConfig,
    /// Seats of all shows kept in memory; see [`SEATS_IN_MEMORY_MAX`].
    pub seats_in_memory_max: u64,
    /// The keys of tickets.
    pub ticket_keys: TicketKeys,
    /// How often customers may call.
    pub rates: Rates,
}

/// How the payment provider is reached.
#[derive(Clone)]
pub struct PaymentConfig {
    /// Its name in paths and in the database, such as `simulator` or `stripe`.
    pub provider: String,
    /// Base URL of its API and of the pages where customers pay, without a final slash.
    pub url: String,
    /// The secret key that authenticates us.
    pub secret: String,
    /// The secret that its webhooks are signed with.
    pub webhook_secret: String,
}

/// The Ed25519 keys of tickets: one signs, and those of tickets that were sold before verify.
#[derive(Clone)]
pub struct TicketKeys {
    pub(crate) id: u8,
    pub(crate) seed: [u8; 32],
    pub(crate) earlier: Vec<(u8, VerifyingKey)>,
}

impl TicketKeys {
    /// The key that signs: its number, which every ticket carries, and its 32-byte seed.
    pub const fn new(id: u8, seed: [u8; 32]) -> Self {
        Self {
            id,
            seed,
            earlier: Vec::new(),
        }
    }

    /// Adds the public half of a key of earlier tickets. `None` for what is no public key.
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
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKeys(..)")
    }
}

/// Requests that may wait for one show's writer. More are told to come back.
pub const HOLD_QUEUE_MAX: usize = 4096;
/// Requests settled by one statement.
pub const HOLD_BATCH_MAX: usize = 256;
/// Longest that the first request of a batch waits for company.
pub const HOLD_BATCH_WAIT: Duration = Duration::from_millis(2);
/// Longest that a request may have waited when its batch is put together. Older ones are told
/// that booking is busy, so that an answer comes within a second even when the database stalls.
pub const HOLD_WAIT_MAX: Duration = Duration::from_millis(800);
/// Commands of one owner that a show's writer keeps waiting. More are told that booking is busy.
pub const HOLDS_OF_OWNER_MAX: usize = 8;
/// Times that a hold is tried: of the best seats when other processes keep taking them, of named
/// seats while another transaction keeps them locked.
pub const HOLD_TRIES_MAX: u8 = 4;
/// Most seats in one hold, whatever the show's ticket limit says. The database checks it too.
pub const HOLD_SEATS_MAX: usize = 20;
/// Longest wait for a free connection, the connecting included.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(800);
/// Longest that a caller waits for work on the database. The work itself goes on.
pub const DATABASE_WAIT_MAX: Duration = Duration::from_secs(3);
/// Seats of all shows in memory. Shows beyond it, those that were not used for longest first, are
/// read again when somebody asks for them. About 300 bytes a seat.
pub const SEATS_IN_MEMORY_MAX: u64 = 1_000_000;
/// Shows whose seats are read at the same time.
pub const SHOWS_READ_AT_ONCE: usize = 3;
/// Longest that an operator waits for an import. The work itself goes on.
pub const IMPORT_PATIENCE: Duration = Duration::from_mins(1);
/// Longest that start-up waits for the catalogue.
pub const START_PATIENCE: Duration = Duration::from_mins(1);
/// Notes of changed shows are kept for this long.
pub const CHANGES_KEEP: Duration = Duration::from_mins(30);
/// A process that did not read the notes for this long reads every show anew.
pub const CHANGES_MISSED_AFTER: Duration = Duration::from_mins(10);
/// How often memory is compared with the database, which other processes write too.
pub const REFRESH_EVERY: Duration = Duration::from_secs(1);
/// Holds that end within this span are expired together, so that a rush that was settled in many
/// batches costs at most 50 looks a second when its time is over.
pub const EXPIRY_GRAIN: Duration = Duration::from_millis(20);
/// Times at which this process expires holds: every grain of the longest hold, and some more.
/// Holds beyond it wait for the sweeper.
pub const EXPIRY_TIMES_MAX: usize = 50_000;
/// Longest that the expiry timer sleeps without a look at the clock, which may be set meanwhile.
pub const CLOCK_LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the sweeper looks for holds whose time is over and that no timer expired: those of
/// a process that died, and those that something was in the way of.
pub const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Holds that one sweep expires; the next follows at once when there were as many.
pub const SWEEP_BATCH_MAX: i64 = 500;
/// Time for which this process leaves a hold alone that it cannot expire.
pub const SET_ASIDE_FOR: Duration = Duration::from_mins(10);
/// Holds that are left alone at a time; more are met again with every sweep.
pub const SET_ASIDE_MAX: usize = 1000;
/// Time after a hold's end in which an open payment is chased before its seats go back.
pub const HARD_DEADLINE_AFTER: Duration = Duration::from_mins(15);
/// Longest request to the payment provider.
pub const PROVIDER_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest that a customer waits for the provider before hearing that the outcome is open.
pub const PROVIDER_PATIENCE: Duration = Duration::from_secs(10);
/// Payments that may be tried on one hold; then it is released.
pub const PAYMENT_ATTEMPTS_MAX: i32 = 20;
/// Confirmations that run at the same time. Each may wait for the provider; four connections
/// settle them one after the other.
pub const CONFIRMS_AT_ONCE: usize = 128;
/// Confirmations that may wait for their turn. More are told to come back before anything was
/// looked at.
pub const CONFIRMS_WAITING_MAX: usize = 4096;
/// Longest wait for that turn. Then the customer hears that the outcome is open, and asks again.
pub const CONFIRM_WAIT_MAX: Duration = Duration::from_secs(3);
/// Times that an idempotency key is brought to its end when the database was away, a second apart.
/// After that its takeover is left to whoever repeats the request.
pub const KEY_TRIES_MAX: u32 = 10;
/// Payments, events or refunds that one pass of a worker takes on.
pub const WORK_BATCH_MAX: i64 = 50;
/// Payments, events or refunds that a worker has in hand at the same time.
pub const WORK_AT_ONCE: usize = 8;
/// How often the payment workers look for work nobody woke them for.
pub const WORK_EVERY: Duration = Duration::from_secs(1);
/// Times that a refund may be refused before a person has to look.
pub const REFUND_REFUSALS_MAX: i32 = 12;
/// Tries of a webhook that the provider does not answer about: with pauses that grow to an hour,
/// about three days.
pub const EVENT_TRIES_MAX: i32 = 80;
/// How often the provider's books are compared with ours, by one process for all.
pub const RECONCILE_EVERY: Duration = Duration::from_mins(5);
/// Longest that an operator waits for a comparison. The work itself goes on.
pub const RECONCILE_PATIENCE: Duration = Duration::from_mins(1);
/// Age at which an intent or refund is compared: by then it has had time to settle.
pub const RECONCILE_SETTLED_AFTER: Duration = Duration::from_mins(15);
/// How far back the first comparison looks, and one that an operator asks for.
pub const RECONCILE_BACK: Duration = Duration::from_hours(24);
/// Time whose intents and refunds are listed in one go.
pub const RECONCILE_SLICE: Duration = Duration::from_mins(10);
/// After this time the owner of an idempotency key is taken for dead.
pub const IDEMPOTENCY_TAKEOVER_AFTER: Duration = Duration::from_mins(1);
/// Stored answers older than this are purged.
pub const IDEMPOTENCY_KEEP: Duration = Duration::from_hours(48);
/// Webhooks that were worked on are kept for this long. The provider repeats one for three days.
pub const EVENT_KEEP: Duration = Duration::from_hours(30 * 24);
/// News for others are kept for this long, whether anybody took them or not. The check that each
/// booking was announced looks back 30 days, a little less.
pub const OUTBOX_KEEP: Duration = Duration::from_hours(31 * 24);
/// Changes of a seat map that a slow listener may lag behind before it is told to reload.
pub const SEAT_CHANGES_KEPT: usize = 256;
/// Pages that look at once what their readers hold. They share the connections for payments, and
/// leave most of them alone.
pub const BANNER_LOOKS_MAX: usize = 2;
/// Seat maps that are rendered and compressed at the same time, each on a thread of its own.
pub const MAPS_RENDERED_AT_ONCE: usize = 2;
/// Live seat maps that may be open at once in one process.
pub const SEAT_STREAMS_MAX: usize = 10_000;
/// Age of a signed webhook that is still accepted.
pub const WEBHOOK_TOLERANCE: Duration = Duration::from_mins(5);

/// Sustained calls a second, and calls at once after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls a second in the long run.
    pub per_second: NonZeroU32,
    /// Calls at once after a pause.
    pub burst: NonZeroU32,
}

/// What one address and one customer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RatePair {
    /// One IPv4 address, or one IPv6 subscriber; a whole office or mobile network may share it.
    pub address: Rate,
    /// One session, or one fan with a pass.
    pub customer: Rate,
}

/// How often the API and the shop may be called, each counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Looking around: everything that is none of the others.
    pub browse: RatePair,
    /// Holding seats and giving them up.
    pub hold: RatePair,
    /// Starting payments.
    pub pay: RatePair,
    /// Confirming purchases.
    pub confirm: RatePair,
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
        }
    }
}

/// How often the limits forget whoever has rested.
pub const RATES_FORGET_EVERY: Duration = Duration::from_secs(10);
