//! JSON of the operators' API: room settings, statistics, the admission log, the audit log.

mod defaults;
mod schemas;
mod upstream_health;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::ids::{PlaceId, RoomId};
use crate::line::{EstimateAccuracy, Phase};
use crate::upstreams::UpstreamSetting;

pub use upstream_health::UpstreamHealth;

/// How places are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum QueueingMethod {
    /// First come, first served (after the draw of the prequeue).
    #[default]
    Fifo,
    /// Everyone by lot, also those who join after opening.
    Random,
    /// No one waits.
    Passthrough,
    /// No one is let in.
    Reject,
}

/// What a room asks of a visitor before it gives a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Challenge {
    /// Nothing.
    #[default]
    None,
    /// Proof of work.
    Pow,
}

/// What becomes of visitors while the line cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum FailMode {
    /// They wait until it can.
    #[default]
    Closed,
    /// After a while, and for a while, some are let through without it.
    Open,
}

/// Settings of a room as a manager writes them. Every field but `room` has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own"
)]
pub struct RoomSettings {
    /// The room's name in URLs.
    pub room: RoomId,
    /// What fans read above the line; the room's name when empty.
    #[serde(default)]
    #[schema(
        max_length = 200,
        pattern = "^[^\\u0000-\\u0009\\u000b-\\u001f\\u007f-\\u009f]*$"
    )]
    pub title: String,
    /// Names that the room answers for: hosts without a port, or `*` for every host that no other
    /// room names. Every path of such a host goes to a remote upstream. Without any, the room
    /// protects its paths on every host, and all else goes to the booking core.
    #[serde(default)]
    #[schema(schema_with = schemas::hosts)]
    pub hosts: Vec<String>,
    /// `embedded`, or the URL of the service to protect, `http://` or `https://`, with a path under
    /// which all of it is. Certificates are verified. Or a list of URLs, which are servers of one
    /// service with the same scheme and path: requests are spread over those that answer.
    #[serde(default = "defaults::upstream")]
    #[schema(schema_with = schemas::upstream)]
    pub upstream: UpstreamSetting,
    /// How the addresses of a remote upstream are checked; only by how requests fare, when null.
    #[serde(default)]
    pub upstream_health: Option<UpstreamHealth>,
    /// Whether a fan stays with one of several addresses for as long as it answers, by a cookie.
    #[serde(default)]
    pub sticky: bool,
    /// Most connections to a remote upstream at once, whichever rooms they serve: with as many
    /// underway, a request of this room is refused. At most half of them carry event streams and
    /// tunnels. Several addresses have equal shares. 4096 for each address, when null.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100_000)]
    pub upstream_connections_max: Option<u64>,
    /// How long an event stream or a tunnel of a remote upstream may carry nothing before it is
    /// ended; as long as its session, when null.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 86_400)]
    pub stream_idle_seconds: Option<u64>,
    /// Whether the upstream gets the host that the fan asked for, instead of its own name.
    #[serde(default)]
    pub preserve_host: bool,
    /// How long a remote upstream may take until its answer begins; 30, when null.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3_600)]
    pub response_timeout_seconds: Option<u64>,
    /// Origins whose pages may read the gateway's refusals of requests that they make, as
    /// `https://www.example.com`.
    #[serde(default)]
    #[schema(schema_with = schemas::cors_origins)]
    pub cors_origins: Vec<String>,
    /// Whether a remote upstream gets the fan's pass of this room, in `Ropeline-Pass`, where their
    /// session runs.
    #[serde(default)]
    pub forward_pass: bool,
    /// Whether a remote upstream gets a signed `Ropeline-Proof` that a request came through the gate.
    #[serde(default)]
    pub sign_requests: bool,
    /// The secret that Queue-it's connectors share with this room; it is sealed, and read back only
    /// so. Entering with an allowed target leads there with a token that they accept.
    #[serde(default)]
    #[schema(min_length = 16, max_length = 512, pattern = "^[!-~]*$")]
    pub known_user_secret: Option<String>,
    /// Sites, or parts of them, with these connectors, as `https://shop.example.org/checkout`: fans
    /// are sent nowhere else.
    #[serde(default)]
    #[schema(schema_with = schemas::known_user_targets)]
    pub known_user_targets: Vec<String>,
    /// Protected path prefixes, each beginning with `/`.
    #[serde(default)]
    #[schema(schema_with = schemas::paths)]
    pub paths: Vec<String>,
    /// What of them needs no pass: path prefixes, methods, or both, as `/checkout/assets`, `HEAD` or
    /// `POST /checkout/hook`. Preflights of browsers never need one.
    #[serde(default)]
    #[schema(schema_with = schemas::exempt)]
    pub exempt: Vec<String>,
    /// Calls per minute while visitors wait.
    #[serde(default = "defaults::new_users_per_minute")]
    #[schema(maximum = 10_000_000)]
    pub new_users_per_minute: u64,
    /// The most that `newUsersPerMinute` may be set to, against a slipped digit: a higher one is
    /// refused until this is raised too. No ceiling, when null.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 10_000_000)]
    pub rate_ceiling_per_minute: Option<u64>,
    /// How many are called at a time, as soon as the rate allows for all of them: ten times a minute
    /// 100, say, at a rate of 1000. Fewer only where fewer wait or the cap has less room. Evenly,
    /// when null.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000)]
    pub call_batch: Option<u64>,
    /// What becomes of visitors while the line cannot be used, in a room that queues.
    #[serde(default)]
    pub fail_mode: FailMode,
    /// How long the line fails before visitors are let through, with `failMode` `open`.
    #[serde(default = "defaults::fail_open_after_seconds")]
    #[schema(minimum = 1, maximum = 86_400)]
    pub fail_open_after_seconds: u64,
    /// How long they are let through then, at most, until the line has worked again.
    #[serde(default = "defaults::fail_open_max_seconds")]
    #[schema(minimum = 1, maximum = 86_400)]
    pub fail_open_max_seconds: u64,
    /// How many a minute each gateway lets through then.
    #[serde(default = "defaults::fail_open_rate_per_minute")]
    #[schema(minimum = 1, maximum = 10_000_000)]
    pub fail_open_rate_per_minute: u64,
    /// Most sessions at once.
    #[serde(default = "defaults::total_active_users")]
    #[schema(minimum = 1, maximum = 10_000_000)]
    pub total_active_users: u64,
    /// Length of a session.
    #[serde(default = "defaults::session_duration_seconds")]
    #[schema(minimum = 1, maximum = 86_400)]
    pub session_duration_seconds: u64,
    /// Whether use of the pass prolongs the session.
    #[serde(default = "defaults::yes")]
    pub session_renewal: bool,
    /// Longest a session can be prolonged to.
    #[serde(default = "defaults::session_max_seconds")]
    #[schema(minimum = 1, maximum = 86_400)]
    pub session_max_seconds: u64,
    /// How places are ordered.
    #[serde(default)]
    pub queueing_method: QueueingMethod,
    /// Send everyone to the waiting page, and queue even outside the schedule's sale time. Without
    /// it a queueing room is in stand-by: while nobody waits and rate and cap have room, visitors go
    /// straight in.
    #[serde(default)]
    pub queue_all: bool,
    /// When collecting starts; never, when null.
    #[serde(default)]
    pub prequeue_opens_at: Option<Timestamp>,
    /// When calling starts; only by command, when null.
    #[serde(default)]
    pub opens_at: Option<Timestamp>,
    /// When the room closes; only by command, when null.
    #[serde(default)]
    pub closes_at: Option<Timestamp>,
    /// How long a called visitor has to claim.
    #[serde(default = "defaults::claim_window_seconds")]
    #[schema(minimum = 5, maximum = 86_400)]
    pub claim_window_seconds: u64,
    /// How long an absent visitor still counts ahead of others.
    #[serde(default = "defaults::absence_timeout_seconds")]
    #[schema(minimum = 1, maximum = 86_400)]
    pub absence_timeout_seconds: u64,
    /// Whether a place draws only if it was seen within the absence timeout before the opening.
    /// Others come back as newcomers, behind those who drew.
    #[serde(default = "defaults::yes")]
    pub draw_requires_presence: bool,
    /// How old a place token may be that brings a place back. An older one is good only for as long
    /// as its place is in the line.
    #[serde(default = "defaults::place_max_age_seconds")]
    #[schema(minimum = 1, maximum = 31_536_000)]
    pub place_max_age_seconds: u64,
    /// How long after a missed turn a visitor is called next on return.
    #[serde(default = "defaults::missed_turn_grace_seconds")]
    #[schema(maximum = 86_400)]
    pub missed_turn_grace_seconds: u64,
    /// What a join must prove. A proof of work cannot be checked by this version, which refuses it.
    #[serde(default)]
    #[schema(value_type = String, pattern = "^none$")]
    pub challenge: Challenge,
    /// Codes that may join; anyone, when empty.
    #[serde(default)]
    #[schema(schema_with = schemas::access_codes)]
    pub access_codes: Vec<String>,
    /// What fans read while they wait.
    #[serde(default)]
    #[schema(
        max_length = 2000,
        pattern = "^[^\\u0000-\\u0009\\u000b-\\u001f\\u007f-\\u009f]*$"
    )]
    pub message: Option<String>,
    /// Out of use: everyone passes through.
    #[serde(default)]
    pub suspended: bool,
}

/// A manager's word that overrides the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Override {
    /// Queue now.
    Open,
    /// Call no one.
    Pause,
    /// Take no one.
    Close,
}

/// A room as the operators' API shows it. The version is also its `ETag`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomView {
    /// The settings.
    #[serde(flatten)]
    pub settings: RoomSettings,
    /// What the room is doing now.
    pub phase: Phase,
    /// The manager's word in force; the schedule decides when null.
    #[serde(rename = "override")]
    pub overridden: Option<Override>,
    /// Why it is paused.
    pub paused_reason: Option<String>,
    /// SHA-256 of the draw's seed.
    pub draw_commitment: String,
    /// Counts changes.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// The rooms there are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RoomList {
    /// By name.
    pub rooms: Vec<RoomView>,
}

/// The body of `pause`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// What fans read.
    #[serde(default)]
    #[schema(
        max_length = 500,
        pattern = "^[^\\u0000-\\u0009\\u000b-\\u001f\\u007f-\\u009f]*$"
    )]
    pub reason: Option<String>,
}

/// Why a room calls no more than it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LimitedBy {
    /// The phase calls no one.
    Phase,
    /// Nobody waits.
    Line,
    /// The rate.
    Rate,
    /// The time that PostgreSQL takes to write the admission log: the rate is not reached.
    Database,
    /// The time that Redis takes, or a machine that is too busy: the rate is not reached.
    Latency,
    /// The cap on sessions.
    Cap,
    /// Nothing is left to buy.
    Stock,
    /// The upstream's breaker is open.
    Upstream,
    /// The line was made again, and those who waited are still coming back.
    Rebuilt,
}

impl LimitedBy {
    /// All reasons.
    pub const ALL: [Self; 9] = [
        Self::Phase,
        Self::Line,
        Self::Rate,
        Self::Database,
        Self::Latency,
        Self::Cap,
        Self::Stock,
        Self::Upstream,
        Self::Rebuilt,
    ];

    /// The text in documents and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Phase => "phase",
            Self::Line => "line",
            Self::Rate => "rate",
            Self::Database => "database",
            Self::Latency => "latency",
            Self::Cap => "cap",
            Self::Stock => "stock",
            Self::Upstream => "upstream",
            Self::Rebuilt => "rebuilt",
        }
    }

    /// The reason with this text; `None` for a reason of a later version.
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.as_str() == word)
    }
}

/// Live figures of a room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomStats {
    /// The room.
    pub room: RoomId,
    /// What it is doing.
    pub phase: Phase,
    /// Places in the line.
    pub in_line: u64,
    /// Of these, places without a connection.
    pub absent: u64,
    /// Called, not yet claimed.
    pub called: u64,
    /// Sessions.
    pub active: u64,
    /// Places ever given.
    pub joins_total: u64,
    /// Calls ever made.
    pub calls_total: u64,
    /// Calls ever claimed.
    pub claims_total: u64,
    /// Calls whose deadline passed.
    pub no_shows_total: u64,
    /// Sessions ended before their time was over: purchase, command, leaving.
    pub sessions_ended_total: u64,
    /// Joins per second over the last ten seconds.
    pub joins_per_second: f64,
    /// Calls per second over the last ten seconds.
    pub calls_per_second: f64,
    /// Claims per second over the last ten seconds.
    pub claims_per_second: f64,
    /// No-shows as a share of calls, 0 to 1.
    pub no_show_share: f64,
    /// Whether the room is in stand-by with nobody waiting: visitors go straight in while rate and
    /// cap have room.
    #[serde(default)]
    pub standby: bool,
    /// Calls ever made that let a visitor straight in, without the waiting page.
    #[serde(default)]
    pub straight_in_total: u64,
    /// Requests that this gateway let through without a limit since it was started, because the
    /// room was idle.
    #[serde(default)]
    pub passed_through_requests: u64,
    /// Passes that it gave them.
    #[serde(default)]
    pub passed_through_passes: u64,
    /// Calls claimed during the last minute.
    #[serde(default)]
    pub entries_per_minute: u64,
    /// Claimed calls as a share of those claimed or missed during the last minute, 0 to 1; absent
    /// when there were none.
    #[serde(default)]
    pub show_share: Option<f64>,
    /// Why no more are called; absent until the room's leader has told.
    #[serde(default)]
    pub limited_by: Option<LimitedBy>,
    /// Estimated wait of someone who joins now, p50 in seconds.
    pub expected_wait_seconds: Option<u32>,
    /// Mean wait of those called in the last minute, in seconds.
    pub actual_wait_seconds: Option<u32>,
    /// How good the wait estimates were; null while too few waits ended.
    #[serde(default)]
    pub estimate_accuracy: Option<EstimateAccuracy>,
    /// Open sockets on this gateway.
    pub sockets: u64,
    /// The configured rate.
    pub new_users_per_minute: u64,
    /// How many are called at a time; evenly, when null.
    #[serde(default)]
    pub call_batch: Option<u64>,
    /// The configured cap.
    pub total_active_users: u64,
    /// The addresses of a remote upstream that has several, as this gateway sees them.
    #[serde(default)]
    pub addresses: Vec<AddressStats>,
    /// When the numbers were taken.
    pub updated_at: Timestamp,
}

/// How one of several addresses of an upstream does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressStats {
    /// The address.
    pub url: String,
    /// Whether requests are sent there.
    pub is_up: bool,
    /// Until when it is left out because requests failed; null when it is not.
    pub ejected_until: Option<Timestamp>,
    /// Whether its checks fail.
    pub fails_checks: bool,
    /// Requests and tunnels underway.
    pub in_flight: u64,
}

/// One line of the admission log. Logs are streamed as one JSON document a line.
///
/// `hash` is SHA-256 of the previous hash (32 bytes, zeros at first), then `seq`, `orderKey`
/// and `calledAt` in milliseconds as big-endian 64-bit integers, then the place's 16 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdmissionRecord {
    /// Ordinal in the room, from 1, without gaps.
    pub seq: u64,
    /// Who was called.
    pub place: PlaceId,
    /// Their order key, a decimal string.
    pub order_key: String,
    /// When.
    pub called_at: Timestamp,
    /// Hexadecimal.
    pub hash: String,
}

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord {
    /// Ordinal.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What was done, such as `room.pause`.
    pub action: String,
    /// To what.
    pub target: String,
    /// How it was.
    pub before: Option<Value>,
    /// How it is.
    pub after: Option<Value>,
}

/// The audit log, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditList {
    /// Newest first.
    pub records: Vec<AuditRecord>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_needs_only_a_name() {
        let room: RoomSettings = serde_json::from_str(r#"{"room": "eras"}"#).unwrap();
        assert_eq!(room.upstream, "embedded");
        assert!(room.session_renewal && room.total_active_users > 0);
    }

    #[test]
    fn unknown_settings_are_named() {
        let refused = serde_json::from_str::<RoomSettings>(r#"{"room": "eras", "rate": 5}"#);
        assert!(refused.unwrap_err().to_string().contains("rate"));
    }
}
