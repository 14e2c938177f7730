//! JSON of the check-in: scans of tickets at the gates of a show, what a scanner without a network
//! needs, and what operators see.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

use crate::clock::Timestamp;
use crate::ids::{InvalidId, ScannerId, ShowId, TicketId};

/// Most scans of one upload.
pub const SCANS_MAX: usize = 200;
/// Longest text of a ticket that is looked at; the text of a real one has 150 characters.
pub const TICKET_LETTERS_MAX: usize = 512;

/// A text of a limited form that people or scanners chose.
macro_rules! chosen_text {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $pattern:literal, $fits:expr, $example:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let fits: fn(&str) -> bool = $fits;
                if fits(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidId { kind: $kind, rule: $rule })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .pattern(Some($pattern))
                    .examples([$example])
                    .into()
            }
        }

        impl ToSchema for $name {}
    };
}

/// Whether `text` can be shown on one line: 1 to 40 letters, none of which is a control character.
fn is_label(text: &str) -> bool {
    (1..=40).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

chosen_text!(
    /// What people call a gate or a device, such as `North`.
    Label,
    "name",
    "1 to 40 characters without control characters",
    "^[^\\x00-\\x1f\\x7f-\\x9f]{1,40}$",
    is_label,
    "North"
);
chosen_text!(
    /// What tells a scan from every other of its show. Random, so that no two scanners choose one.
    Nonce,
    "nonce",
    "16 to 64 characters of base64url",
    "^[A-Za-z0-9_-]{16,64}$",
    |text| (16..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'),
    "q83vEjRWeJCrze8SNFZ4kA"
);

/// Which way somebody goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Into the venue.
    In,
    /// Out of it. Afterwards the ticket admits again.
    Out,
}

/// What a scan came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ScanResult {
    /// The ticket is good and nobody was inside with it, or somebody was and left.
    Accepted,
    /// It is no ticket.
    Unreadable,
    /// The signature is not ours.
    Forged,
    /// The ticket has a form or a key that is not known here.
    UnknownKey,
    /// It is too early for the show.
    NotYetValid,
    /// The show is over.
    Expired,
    /// The ticket is for another show.
    WrongShow,
    /// There is no such ticket.
    UnknownTicket,
    /// The ticket was cancelled.
    Revoked,
    /// The ticket was replaced by a newer one.
    Reissued,
    /// Somebody went in with the ticket and did not leave.
    Duplicate,
    /// Nobody is inside with the ticket who could leave.
    NotInside,
    /// The nonce stands for another scan.
    NonceReused,
}

impl ScanResult {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "ACCEPTED",
            Self::Unreadable => "UNREADABLE",
            Self::Forged => "FORGED",
            Self::UnknownKey => "UNKNOWN_KEY",
            Self::NotYetValid => "NOT_YET_VALID",
            Self::Expired => "EXPIRED",
            Self::WrongShow => "WRONG_SHOW",
            Self::UnknownTicket => "UNKNOWN_TICKET",
            Self::Revoked => "REVOKED",
            Self::Reissued => "REISSUED",
            Self::Duplicate => "DUPLICATE",
            Self::NotInside => "NOT_INSIDE",
            Self::NonceReused => "NONCE_REUSED",
        }
    }
}

/// A scan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scan {
    /// The text of the QR code.
    #[schema(max_length = 512)]
    pub ticket: String,
    /// What tells this scan from every other: sent again, it gets the same answer.
    pub nonce: Nonce,
    /// When it was scanned, by the clock of the device.
    pub at: Timestamp,
    /// Where; the gate of the scanner's token, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Label>,
    /// Which way the visitor goes; in, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The device that scanned, as people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Label>,
    /// Whether the device let the visitor pass by itself, because it had no network.
    #[serde(default)]
    pub admitted: bool,
}

/// Scans that a device kept while it had no network, in the order in which they were made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScanBatch {
    /// The scans, at most 200.
    #[schema(min_items = 1, max_items = 200)]
    pub scans: Vec<Scan>,
    /// The present by the clock of the device, which tells how wrong that clock is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
}

/// One scan, or those of a while without a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ScanRequest {
    /// A scan that is made now.
    One(Scan),
    /// Scans that were kept.
    Many(ScanBatch),
}

/// Where and when a ticket was scanned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScanPlace {
    /// The gate.
    pub gate: Label,
    /// The device, if it has a name.
    pub device: Option<Label>,
    /// The scanner's token; absent when an operator scanned.
    pub scanner_id: Option<ScannerId>,
    /// When, by the clock of the device.
    pub at: Timestamp,
    /// When we heard of it.
    pub received_at: Timestamp,
}

/// What became of a scan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScanAnswer {
    /// The nonce of the scan.
    pub nonce: Nonce,
    /// What it came to.
    pub result: ScanResult,
    /// Which way.
    pub direction: Direction,
    /// The ticket, once its signature is known to be ours.
    pub ticket_id: Option<TicketId>,
    /// The seat, such as `A10`.
    pub seat_id: Option<String>,
    /// The earlier entry with the ticket, where that is why the scan was refused.
    pub earlier: Option<ScanPlace>,
}

/// What became of the scans of an upload, in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScanAnswers {
    /// One for each scan.
    pub scans: Vec<ScanAnswer>,
}

/// What was answered: as much as was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ScanResponse {
    /// To one scan.
    One(ScanAnswer),
    /// To an upload.
    Many(ScanAnswers),
}

/// A key that verifies tickets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TicketKey {
    /// The number that tickets carry.
    pub key_id: u8,
    /// The Ed25519 public key, base64url.
    pub public_key: String,
}

/// A ticket whose older prints admit nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReissuedTicket {
    /// The ticket.
    pub ticket_id: TicketId,
    /// The generation that admits.
    pub generation: u32,
}

/// What a scanner needs to check tickets of a show without a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The show.
    pub show_id: ShowId,
    /// The number of the show that its tickets carry.
    pub show_no: u32,
    /// Its title.
    pub title: String,
    /// When it starts.
    pub starts_at: Timestamp,
    /// When it is over.
    pub ends_at: Timestamp,
    /// The keys that verify tickets.
    pub keys: Vec<TicketKey>,
    /// Tickets that were cancelled.
    pub revoked: Vec<TicketId>,
    /// Tickets that were replaced.
    pub reissued: Vec<ReissuedTicket>,
    /// How many are inside.
    pub counts: CheckinCounts,
}

/// How many came through one gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GateCounts {
    /// The gate.
    pub gate: Label,
    /// Entries, of those who came back too.
    pub entered: u64,
    /// Exits.
    pub left: u64,
    /// Scans that were refused, conflicts too.
    pub refused: u64,
    /// The latest scan.
    pub last_scan_at: Timestamp,
}

/// How many came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckinCounts {
    /// Tickets that admit.
    pub tickets: u64,
    /// Tickets that somebody went in with, however often.
    pub admitted: u64,
    /// Tickets whose holder is inside now.
    pub inside: u64,
    /// Conflicts that operators should look at.
    pub conflicts: u64,
    /// By gate.
    pub gates: Vec<GateCounts>,
}

/// A scan that another one, or what became of the ticket, speaks against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// What the scan came to.
    pub result: ScanResult,
    /// Which way.
    pub direction: Direction,
    /// Whether the device let the visitor pass all the same, because it had no network.
    pub admitted: bool,
    /// The ticket, once its signature is known to be ours.
    pub ticket_id: Option<TicketId>,
    /// The seat.
    pub seat_id: Option<String>,
    /// Where and when the scan was made.
    pub scan: ScanPlace,
    /// The earlier entry, if there is one.
    pub earlier: Option<ScanPlace>,
}

/// Somebody is inside with a ticket that was cancelled afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InsideVoid {
    /// The ticket.
    pub ticket_id: TicketId,
    /// The seat, which may be sold again.
    pub seat_id: Option<String>,
    /// Where and when they came in.
    pub entry: ScanPlace,
}

/// Conflicts: those who were let in first, then the latest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConflictList {
    /// At most 500.
    pub conflicts: Vec<Conflict>,
    /// Entries of visitors who are inside with a ticket that was cancelled afterwards, at most 500.
    #[serde(default)]
    pub inside_void: Vec<InsideVoid>,
}

/// Who a token stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scanner {
    /// Its id.
    pub scanner_id: ScannerId,
    /// The show whose tickets it scans.
    pub show_id: ShowId,
    /// The gate where it stands.
    pub gate: Label,
    /// When it was made.
    pub created_at: Timestamp,
    /// How long its token is good.
    pub until: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Scanners, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScannerList {
    /// At most 500.
    pub scanners: Vec<Scanner>,
}

/// The body that makes a scanner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScannerRequest {
    /// The show whose tickets it scans.
    pub show_id: ShowId,
    /// The gate where it stands.
    pub gate: Label,
    /// How long its token is good; a day longer than the tickets, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A scanner that was just made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScannerMade {
    /// The scanner.
    pub scanner: Scanner,
    /// Its token, which nobody can be told again.
    pub token: String,
    /// The scanner page with the token. What is after `#` is sent to no server.
    pub url: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_nonces_have_a_form() {
        for (text, good) in [
            ("North", true),
            ("Süd 2", true),
            ("", false),
            ("a\nb", false),
            (&"ü".repeat(40), true),
            (&"ü".repeat(41), false),
        ] {
            assert_eq!(text.parse::<Label>().is_ok(), good, "{text}");
        }
        for (text, good) in [
            ("q83vEjRWeJCrze8SNFZ4kA", true),
            ("0198c2e4-f7a8-7c1e-9d3b-5a6f70812c3d", true),
            ("short", false),
            ("q83vEjRWeJCrze8SNFZ4k!", false),
            (&"a".repeat(65), false),
        ] {
            assert_eq!(text.parse::<Nonce>().is_ok(), good, "{text}");
        }
    }

    #[test]
    fn results_are_written_as_their_words() {
        for result in [
            ScanResult::Accepted,
            ScanResult::NotYetValid,
            ScanResult::NonceReused,
        ] {
            assert_eq!(serde_json::to_value(result).unwrap(), result.as_str());
        }
    }
}
