//! Who may read a booking, and what of it: the buyer, or whoever got tickets of it. Pure.

use contract::Timestamp;

use crate::customer::Customer;
use crate::links::link_ends_at;
use crate::store::bookings::BookingRow;

/// The booking as `customer` sees it: all of it for the buyer, by session, pass or link; their own
/// tickets for a holder with a link. A link opens it until some time after the show.
pub(crate) fn seen_by(row: BookingRow, customer: &Customer, now: Timestamp) -> Option<BookingRow> {
    if customer.owns(row.subject.as_deref(), row.session.as_deref()) {
        return Some(row);
    }
    let link = customer.link_to(row.booking_id)?;
    if now > link_ends_at(row.ends_at) {
        return None;
    }
    let row = match link.holder {
        None => row,
        Some(transfer_id) => row.of_holder(transfer_id)?,
    };
    (row.link_generation == link.generation).then_some(row)
}
