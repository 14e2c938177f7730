//! JSON of tickets that operators give away.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{BookingId, SeatId, ShowId, TicketId};

/// Tickets that were given away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Comp {
    /// The booking.
    pub booking_id: BookingId,
    /// Its code.
    pub code: String,
    /// The show.
    pub show_id: ShowId,
    /// Its tickets, in the order of their seats.
    pub ticket_ids: Vec<TicketId>,
    /// The seats, in map order.
    pub seat_ids: Vec<SeatId>,
    /// What tickets and fees cost otherwise, minor units.
    pub face_minor: i64,
    /// ISO 4217.
    pub currency: String,
}
