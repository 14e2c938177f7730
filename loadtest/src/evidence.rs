//! What a run has seen: the material of the audit.

use std::time::Duration;

use contract::booking::{Booking, SeatMap};
use contract::line::PlaceState;
use contract::pass::PassClaims;
use contract::room::{AdmissionRecord, RoomStats};
use contract::{HoldId, SeatId, Timestamp};

/// Everything the audit looks at.
#[derive(Debug)]
pub(crate) struct Evidence {
    /// What each fan saw.
    pub fans: Vec<FanRecord>,
    /// The admission log, from its first line.
    pub log: Vec<AdmissionRecord>,
    /// The room's figures, about once a second.
    pub samples: Vec<RoomStats>,
    /// The show's seats, when the run bought any.
    pub shop: Option<ShopEvidence>,
    /// What the payment provider says; why it is not known otherwise.
    pub ledger: Result<Vec<Intent>, String>,
    /// What the server's own check says; why it is not known otherwise.
    pub server: Result<ServerCheck, String>,
    /// The room's times that the audit goes by.
    pub times: RoomTimes,
    /// When somebody broke something on purpose.
    pub disturbed: Vec<Disturbance>,
}

/// The times of a room that decide what its fans may expect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoomTimes {
    /// How long a called fan has to claim.
    pub claim_window: Duration,
    /// How long an absent fan still counts ahead of others.
    pub absence_timeout: Duration,
}

/// The seat map before and after.
#[derive(Debug)]
pub(crate) struct ShopEvidence {
    /// Seats that were booked before the run.
    pub booked_before: usize,
    /// The map after the run.
    pub after: SeatMap,
    /// Whether nobody else bought during the run, so that the counts must match exactly.
    pub sole_buyers: bool,
}

/// What one fan saw and did.
#[derive(Clone, Debug, Default)]
pub(crate) struct FanRecord {
    /// Which fan.
    pub number: u32,
    /// When the fan first asked for a place.
    pub asked_at: Option<Timestamp>,
    /// When the answer to the join arrived.
    pub joined_at: Option<Timestamp>,
    /// The place token. A credential: never printed.
    pub token: Option<String>,
    /// The order key, once known.
    pub order_key: Option<u64>,
    /// The order keys that the fan was told before this one. A fan keeps the first.
    pub former_keys: Vec<u64>,
    /// When the fan was without a connection to the line. The last span may be open.
    pub away: Vec<Away>,
    /// Whether the fan watches over a socket, and not by asking now and then.
    pub on_socket: bool,
    /// Whether the fan was told that their turn had passed.
    pub missed: bool,
    /// When the fan was told that it is their turn, each time anew.
    pub told: Vec<Timestamp>,
    /// The ordinals of the calls that the fan claimed.
    pub claimed: Vec<u64>,
    /// The code with which the line refused the place while the fan waited or claimed.
    pub turned_away: Option<String>,
    /// When the fan left the line on purpose.
    pub left_at: Option<Timestamp>,
    /// The passes that came, in frames and in answers.
    pub passes: Vec<PassClaims>,
    /// Session ids of claims sent at the same time from two connections.
    pub double_claims: Vec<(String, String)>,
    /// Whether joining again with the same nonce gave the same place; unknown when not tried.
    pub rejoined_same: Option<bool>,
    /// The last state the fan was told.
    pub state: Option<PlaceState>,
    /// How the status read at the very end went.
    pub last_look: LastLook,
    /// The holds that were granted.
    pub holds: Vec<HoldSeen>,
}

/// The status read after the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum LastLook {
    /// It was not needed.
    #[default]
    NotTaken,
    /// The place was known.
    Found,
    /// The place was not known any more; the code says how it was refused.
    Refused(String),
}

/// A time without a connection to the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Away {
    /// From when.
    pub from: Timestamp,
    /// Until when; still, when absent.
    pub until: Option<Timestamp>,
}

impl FanRecord {
    /// A fan who has seen nothing yet.
    pub(crate) fn new(number: u32) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    /// Notes the order key that the fan was told.
    pub(crate) fn learns_key(&mut self, key: u64) {
        if let Some(former) = self.order_key.replace(key)
            && former != key
        {
            self.former_keys.push(former);
        }
    }

    /// Notes that the connection to the line is gone.
    pub(crate) fn goes_away(&mut self, at: Timestamp) {
        if self.away.last().is_none_or(|away| away.until.is_some()) {
            self.away.push(Away {
                from: at,
                until: None,
            });
        }
    }

    /// Notes that the connection to the line is back.
    pub(crate) fn comes_back(&mut self, at: Timestamp) {
        if let Some(away) = self.away.last_mut() {
            away.until.get_or_insert(at);
        }
    }
}

/// A time in which somebody broke something on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disturbance {
    /// When it began.
    pub from: Timestamp,
    /// When it was over.
    pub until: Timestamp,
}

/// What a fan asked to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// These seats.
    Seats(Vec<SeatId>),
    /// So many of the best.
    Best(u32),
}

/// A hold that was granted.
#[derive(Clone, Debug)]
pub(crate) struct HoldSeen {
    /// Its id.
    pub hold_id: HoldId,
    /// What was asked for.
    pub asked: Asked,
    /// What was given.
    pub seats: Vec<SeatId>,
    /// When the grant arrived.
    pub granted_at: Timestamp,
    /// When it ends if nothing else happens.
    pub expires_at: Timestamp,
    /// Its price, minor units.
    pub amount_minor: i64,
    /// How it ended.
    pub end: HoldEnd,
    /// The payments started for it.
    pub intents: Vec<String>,
    /// What of its booking was given back.
    pub cancelled: Option<CancelSeen>,
}

impl HoldSeen {
    /// Whether the ticket of this seat was, or may have been, given back.
    pub(crate) fn gives_back(&self, seat: &SeatId) -> bool {
        self.cancelled
            .as_ref()
            .is_some_and(|it| it.seats.contains(seat))
    }
}

/// Tickets that a fan gave back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CancelSeen {
    /// Their seats.
    pub seats: Vec<SeatId>,
    /// When the fan first asked for it.
    pub asked_at: Timestamp,
    /// What the answer said; `None` if no answer said anything.
    pub goes: Option<Goes>,
}

/// What becomes of the price of tickets that are given back, minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Goes {
    /// To the fan.
    pub back_minor: i64,
    /// To the seller, who keeps it.
    pub kept_minor: i64,
}

/// How a hold ended.
#[derive(Clone, Debug)]
pub(crate) enum HoldEnd {
    /// The fan never learnt: it ran out, or the payment's outcome stayed open.
    Open,
    /// The fan asked for its release at this time, before any payment was started.
    Released(Timestamp),
    /// It was given up after payments that failed.
    Failed,
    /// It became a booking.
    Booked(Box<Booking>),
}

/// A payment as the provider has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Intent {
    /// The provider's id.
    pub id: String,
    /// The hold it pays for, when the provider was told.
    pub hold: Option<HoldId>,
    /// Money taken, minor units.
    pub captured_minor: i64,
    /// Of this, money given back.
    pub refunded_minor: i64,
}

/// The server's check of its own invariants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerCheck {
    /// What it found to be broken.
    pub breaches: Vec<String>,
}
