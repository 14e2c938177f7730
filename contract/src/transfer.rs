//! JSON of passing tickets on to another person, and of printing them anew.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::ids::TicketId;

const fn yes() -> bool {
    true
}

/// Whether and until when fans may pass tickets on. Without it they may, until the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TransferPolicy {
    /// Whether they may; true when absent.
    #[serde(default = "yes")]
    pub allowed: bool,
    /// Until so many hours before the start; 0 when absent.
    #[serde(default)]
    pub until_hours: u32,
}

impl Default for TransferPolicy {
    fn default() -> Self {
        Self {
            allowed: true,
            until_hours: 0,
        }
    }
}

/// Why a ticket cannot be passed on or printed anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TransferRule {
    /// The seller does not allow it for this show.
    NotAllowed,
    /// The time for it is over.
    TooLate,
    /// The show is over.
    ShowOver,
    /// The show was cancelled.
    ShowCancelled,
    /// The seller is still checking the order.
    Withheld,
    /// A ticket was cancelled.
    Cancelled,
    /// A ticket was used at the door.
    CheckedIn,
    /// A ticket belongs to another person already.
    PassedOn,
    /// The tickets belong to several people: name those of one.
    SeveralHolders,
}

impl TransferRule {
    /// A sentence for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NotAllowed => "Tickets of this show cannot be passed on.",
            Self::TooLate => "The time in which tickets of this show can be passed on is over.",
            Self::ShowOver => "The show is over.",
            Self::ShowCancelled => "The show was cancelled.",
            Self::Withheld => {
                "We are checking this order. Its tickets can be passed on afterwards."
            }
            Self::Cancelled => "These tickets were cancelled.",
            Self::CheckedIn => "A ticket that was used at the door stays with whoever used it.",
            Self::PassedOn => "This ticket was passed on: only whoever has it now can do that.",
            Self::SeveralHolders => {
                "These tickets belong to several people. Name the tickets of one of them."
            }
        }
    }
}

/// What the reader may do with the tickets now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransferOffer {
    /// Whether any ticket can be passed on.
    pub transferable: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<TransferRule>,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Whether any ticket can be printed anew, which makes its earlier codes worthless.
    pub reissuable: bool,
    /// The tickets that this holds for.
    pub ticket_ids: Vec<TicketId>,
}

/// The body that passes tickets on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TransferRequest {
    /// The tickets; all that the sender has when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1)]
    pub ticket_ids: Option<Vec<TicketId>>,
    /// The address of the new holder, who gets the tickets by mail.
    #[schema(format = "email", min_length = 3, max_length = 254)]
    pub email: String,
    /// The name of the new holder, which is printed on the tickets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100)]
    pub name: Option<String>,
    /// The one-time code from the mail; operators need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// The body that prints tickets anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReissueRequest {
    /// The tickets; all that the sender has when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1)]
    pub ticket_ids: Option<Vec<TicketId>>,
    /// Another name to print on them; the name stays when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100)]
    pub name: Option<String>,
    /// The one-time code from the mail; operators need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// The answer: the earlier codes of these tickets admit nobody any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Transferred {
    /// Names this transfer or new print.
    pub transfer_id: String,
    /// The tickets.
    pub ticket_ids: Vec<TicketId>,
    /// Where the new tickets go, mostly hidden.
    pub sent_to: String,
}
