//! JSON of cancelling bookings, of one-time codes and of finding one's bookings.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::booking::{BookingStatus, Show};
use crate::clock::Timestamp;
use crate::ids::{BookingId, RefundId, TicketId};

/// The header that carries the token of a link to a booking, for programs. Headers whose names begin
/// like ours are the gateway's own, and taken from no client.
pub const LINK_HEADER: &str = "booking-link";

/// Why a booking or ticket cannot be returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RefundRule {
    /// The show has no refund policy.
    NoPolicy,
    /// The time in which the policy gives money back is over.
    TooLate,
    /// The policy takes whole bookings only.
    WholeBookingOnly,
    /// The tickets were cancelled before.
    AlreadyCancelled,
    /// A ticket was used at the door.
    CheckedIn,
    /// The show was cancelled: the whole price goes back without being asked for.
    ShowCancelled,
    /// A ticket was passed on, and only whoever has it now can return it.
    PassedOn,
}

impl RefundRule {
    /// A sentence for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NoPolicy => "Tickets of this show cannot be returned.",
            Self::TooLate => "The time in which tickets of this show can be returned is over.",
            Self::WholeBookingOnly => "Only all tickets of a booking together can be returned.",
            Self::AlreadyCancelled => "These tickets were cancelled before.",
            Self::CheckedIn => "A ticket that was used at the door cannot be returned.",
            Self::ShowCancelled => {
                "The show was cancelled. The whole price goes back without being asked for."
            }
            Self::PassedOn => {
                "A ticket that was passed on can only be returned by whoever has it now."
            }
        }
    }
}

/// What would go back if the customer cancelled now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct RefundOffer {
    /// Whether anything can be returned now.
    pub refundable: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RefundRule>,
    /// What goes back for all tickets that can be returned, minor units.
    pub amount_minor: i64,
    /// What the seller keeps of them, minor units.
    pub kept_minor: i64,
    /// What was promised for tickets that were cancelled before, and has not gone back yet.
    pub pending_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// Until when this offer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Whether some tickets can be returned and the others kept.
    pub single_tickets: bool,
    /// Whether a one-time code is needed: see `POST /bookings/{bookingId}/codes`.
    pub code_required: bool,
    /// Whether the money goes to another person, who paid for the tickets and passed them on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub goes_to_buyer: bool,
    /// The same for each ticket that can be returned.
    pub tickets: Vec<TicketOffer>,
}

/// What would go back for one ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TicketOffer {
    /// The ticket.
    pub ticket_id: TicketId,
    /// What goes back, minor units.
    pub amount_minor: i64,
    /// What the seller keeps, minor units.
    pub kept_minor: i64,
}

/// The body of a cancellation. All fields may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CancelRequest {
    /// The tickets to cancel; all of the booking when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1)]
    pub ticket_ids: Option<Vec<TicketId>>,
    /// Why, for the seller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub reason: Option<String>,
    /// The one-time code from the mail, where one is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// State of a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RefundState {
    /// It is on its way to the payment provider.
    Requested,
    /// The provider has accepted it.
    Submitted,
    /// The money went back, or nothing was to go back.
    Succeeded,
    /// The provider refused; it is tried again.
    Failed,
    /// A person at the seller's has to look.
    NeedsOps,
}

/// The answer to a cancellation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cancellation {
    /// The refund.
    pub refund_id: RefundId,
    /// What goes back, minor units.
    pub amount_minor: i64,
    /// What the seller keeps, minor units.
    pub kept_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// State of the refund.
    pub status: RefundState,
    /// State of the booking.
    pub booking_status: BookingStatus,
    /// The tickets that are void now.
    pub ticket_ids: Vec<TicketId>,
}

/// A one-time code is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CodeSent {
    /// Where it goes, mostly hidden.
    pub sent_to: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// The body that asks for the link to a booking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FindRequest {
    /// The booking's code.
    #[schema(min_length = 1)]
    pub code: String,
    /// The address that it was booked with.
    #[schema(format = "email", min_length = 3, max_length = 254)]
    pub email: String,
}

/// The answer to it, whether there is such a booking or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Found {
    /// Always the same sentence.
    pub detail: String,
}

/// The caller's bookings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MyBookings {
    /// The latest first, at most 100.
    pub bookings: Vec<MyBooking>,
}

/// One of the caller's bookings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MyBooking {
    /// The booking.
    pub booking_id: BookingId,
    /// Its code.
    pub code: String,
    /// Its state.
    pub status: BookingStatus,
    /// Tickets that are not void.
    pub ticket_count: u32,
    /// What was paid, minor units.
    pub amount_minor: i64,
    /// What of it was given back, minor units.
    pub refunded_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// When.
    pub created_at: Timestamp,
    /// The show.
    pub show: Show,
}
