//! JSON of the line: what fans, their browsers and load tests read.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};

use crate::clock::Timestamp;
use crate::ids::RoomId;
use crate::problem::Problem;

/// What a room is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Not queueing: everyone passes through.
    Idle,
    /// Collecting visitors before opening; their order will be drawn.
    Prequeue,
    /// Calling visitors in order.
    Queueing,
    /// Collecting, but calling no one.
    Paused,
    /// Taking no one.
    Closed,
}

/// How one visitor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum PlaceState {
    /// In the prequeue, order not drawn yet.
    Prequeue,
    /// In the line.
    Waiting,
    /// It is their turn; they must claim before `claimBy`.
    Called,
    /// Inside, with a pass.
    Admitted,
    /// Their turn passed; called next on return.
    Missed,
    /// Left on purpose.
    Left,
    /// Their session is over.
    Ended,
    /// Nothing is left to buy.
    SoldOut,
}

/// An estimated wait as a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitEstimate {
    /// Half of the visitors wait less, in seconds.
    pub p50_seconds: u32,
    /// Nine in ten wait less, in seconds.
    pub p90_seconds: u32,
}

impl WaitEstimate {
    /// The range as people read it: minutes from and to, widened to round numbers. A wait below a
    /// minute is `(0, 0)`.
    pub fn minutes(self) -> (u64, u64) {
        let low = u64::from(self.p50_seconds.min(self.p90_seconds));
        let high = u64::from(self.p90_seconds.max(self.p50_seconds));
        if high < 60 {
            return (0, 0);
        }
        let high = high.div_ceil(60);
        let step = match high {
            ..=20 => 1,
            21..=90 => 5,
            91..=240 => 15,
            _ => 60,
        };
        (low / 60 / step * step, high.div_ceil(step) * step)
    }
}

/// How good the wait estimates were, from the last waits that ended: up to a thousand visitors who
/// joined while the room was open.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EstimateAccuracy {
    /// The median difference between the estimated median wait and the actual one, as a share of the
    /// actual one.
    pub median_error: f64,
    /// Share of the waits that were not longer than the estimated `p90Seconds`.
    pub within_p90: f64,
    /// The number of waits.
    pub waits: u64,
}

/// How much is left to buy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum StockLevel {
    /// Enough.
    Plenty,
    /// Nearly gone.
    Low,
    /// Nothing.
    Gone,
    /// Not known: the upstream does not tell.
    #[default]
    Unknown,
}

/// Whether this visitor will still find something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum StockOutlook {
    /// Probably.
    Likely,
    /// Perhaps.
    Uncertain,
    /// Probably not.
    Unlikely,
    /// Not known.
    #[default]
    Unknown,
}

/// The stock as a fan sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stock {
    /// How much is left.
    pub level: StockLevel,
    /// Tickets left, when known.
    pub remaining: Option<u64>,
    /// This visitor's prospect; `unknown` in the room document.
    #[serde(default)]
    pub outlook: StockOutlook,
}

/// The answer to a claim, and the `pass` of a frame: the shape of an OAuth token answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PassGrant {
    /// The pass, a JWT.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds until the pass ends.
    pub expires_in: u64,
}

/// How one visitor stands, in full. Also every WebSocket frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusDocument {
    /// Always `status`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The room.
    pub room: RoomId,
    /// What the room is doing.
    pub phase: Phase,
    /// How the visitor stands.
    pub state: PlaceState,
    /// Arrival ordinal, from 1; null before the draw.
    pub queue_number: Option<u64>,
    /// Visitors ahead; null before the draw and outside the line.
    pub users_ahead: Option<u64>,
    /// Whether `usersAhead` is exact or interpolated (within 0.5 %).
    pub users_ahead_exact: bool,
    /// Visitors in the line.
    pub users_in_line: u64,
    /// The estimated wait; null when unknown.
    pub estimated_wait: Option<WaitEstimate>,
    /// Share of the way done, 0 to 1; null when unknown.
    pub progress: Option<f64>,
    /// Claim before this, when called.
    pub claim_by: Option<Timestamp>,
    /// What is left to buy.
    pub stock: Stock,
    /// The manager's message.
    pub message: Option<String>,
    /// Why the room is paused.
    pub paused_reason: Option<String>,
    /// When the numbers were taken.
    pub updated_at: Timestamp,
    /// When to ask again, for those who poll.
    pub poll_after_ms: u64,
    /// The pass, in WebSocket frames of a called visitor and in a join that needs no waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<PassGrant>,
    /// The place token to keep: in the answer to a join, and in that to a poll when the one that was
    /// sent is of a signing key that is being replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The order key as a decimal string, in the join answer and once the draw is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_key: Option<String>,
}

/// A frame that asks the client to connect again elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReconnectFrame {
    /// Always `reconnect`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Wait this long first.
    pub after_ms: u64,
}

/// A frame that says nothing but that the connection lives. It is sent when nothing else was for a
/// few seconds, and in answer to any text from the client. Not a status: clients skip it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeartbeatFrame {
    /// Always `heartbeat`.
    #[serde(rename = "type")]
    pub kind: String,
}

impl Default for HeartbeatFrame {
    fn default() -> Self {
        Self {
            kind: "heartbeat".to_owned(),
        }
    }
}

/// The body of a join. All of it is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JoinRequest {
    /// The browser's part of the draw: 16 random bytes, base64url. The same nonce gives the
    /// same place, so a join may be repeated.
    #[schema(pattern = "^[A-Za-z0-9_-]{21}[AQgw](==)?$")]
    pub nonce: Option<String>,
    /// An access code, where the room uses them.
    pub access_code: Option<String>,
    /// The solution of a challenge.
    pub proof: Option<String>,
}

/// How a client spaces its polls: `clamp(wait / divisor, floor, ceiling)`, with jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PollPolicy {
    /// Shortest interval.
    pub floor_ms: u64,
    /// Longest interval.
    pub ceiling_ms: u64,
    /// The estimated wait is divided by this.
    pub divisor: u64,
}

/// Lowest and highest price of what is on sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceRange {
    /// Lowest price, minor units.
    pub min_minor: i64,
    /// Highest price, minor units.
    pub max_minor: i64,
    /// ISO 4217.
    pub currency: String,
}

/// The public room document: the same for everyone, cacheable for a second.
///
/// A visitor who knows their order key finds the number ahead of them: below the last key of
/// `head`, the count of smaller keys in `head`; above, interpolated between the two `knots`
/// that enclose the key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomDocument {
    /// The room.
    pub room: RoomId,
    /// What it is doing.
    pub phase: Phase,
    /// Its title.
    pub title: String,
    /// When calling starts.
    pub opens_at: Option<Timestamp>,
    /// When collecting starts.
    pub prequeue_opens_at: Option<Timestamp>,
    /// When it closes.
    pub closes_at: Option<Timestamp>,
    /// Visitors in the line.
    pub users_in_line: u64,
    /// Whether visitors go straight in, because nobody waits.
    #[serde(default)]
    pub standby: bool,
    /// Whether the line cannot be used, and some visitors are let through without it.
    #[serde(default)]
    pub fail_open: bool,
    /// Visitors called or inside.
    pub active_users: u64,
    /// Calls in the last minute.
    pub calls_per_minute: u64,
    /// How good the wait estimates were; null while too few waits ended.
    #[serde(default)]
    pub estimate_accuracy: Option<EstimateAccuracy>,
    /// The configured rate.
    pub new_users_per_minute: u64,
    /// The configured cap.
    pub total_active_users: u64,
    /// Order keys of the first places, ascending, as decimal strings.
    pub head: Vec<String>,
    /// Pairs of order key (decimal string) and rank, ascending.
    #[schema(schema_with = knots_schema)]
    pub knots: Vec<(String, u64)>,
    /// What is left to buy.
    pub stock: Stock,
    /// Prices, when known.
    pub price_range: Option<PriceRange>,
    /// The manager's message.
    pub message: Option<String>,
    /// Why it is paused.
    pub paused_reason: Option<String>,
    /// SHA-256 of the draw's seed, hexadecimal.
    pub draw_commitment: String,
    /// How to space polls.
    pub poll_policy: PollPolicy,
    /// When the numbers were taken.
    pub updated_at: Timestamp,
}

/// Declares tuples as arrays of two: client generators do not support `prefixItems`.
fn knots_schema() -> Schema {
    let part = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Integer]))
        .description(Some(
            "An order key, a decimal string, then its rank, a number",
        ));
    let pair = ArrayBuilder::new()
        .items(part)
        .min_items(Some(2))
        .max_items(Some(2));
    let pairs = ArrayBuilder::new()
        .items(pair)
        .description(Some("Pairs of order key and rank, ascending."));
    pairs.build().into()
}

/// The draw of a room, for anyone who wants to check it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrawDocument {
    /// The room.
    pub room: RoomId,
    /// How an order key is computed, in words a program can follow.
    pub algorithm: String,
    /// SHA-256 of the seed, hexadecimal, published when the room was made.
    pub commitment: String,
    /// The seed, hexadecimal, once the room has opened.
    pub seed: Option<String>,
    /// When the seed was published.
    pub revealed_at: Option<Timestamp>,
    /// The caller's nonce, base64url, when they sent their place token.
    pub nonce: Option<String>,
    /// The caller's order key, when they sent their place token and the seed is out.
    pub order_key: Option<String>,
}

/// The problem `not-called` with the visitor's status beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NotCalled {
    /// The problem.
    #[serde(flatten)]
    pub problem: Problem,
    /// How the visitor stands.
    pub place: StatusDocument,
}
