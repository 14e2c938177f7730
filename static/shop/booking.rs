//! A booking with its tickets.

use contract::booking::{Booking, Show};
use serde::Serialize;

use crate::engine::render;

/// A booking of the visitor's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BookingPage {
    /// The booking.
    pub booking: Booking,
    /// Its show.
    pub show: Show,
}

/// The tickets, to show at the door or to print.
pub fn booking(page: &BookingPage) -> String {
    render("shop/booking.html", page)
}
