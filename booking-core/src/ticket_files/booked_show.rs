//! A booking with everything that its files say.

use contract::Timestamp;
use contract::booking::{Booking, BookingStatus, SaleStatus, SeatLabel, Show, Ticket};
use pages::moment::{Form, when, zone_name};

use crate::tickets::valid_until;

/// A booking and its show.
#[derive(Clone, Debug)]
pub(crate) struct BookedShow {
    pub(crate) booking: Booking,
    pub(crate) show: Show,
    /// What was paid for each ticket, in their order. Empty for bookings of earlier versions whose
    /// amount the present prices do not add up to.
    pub(crate) prices: Vec<i64>,
    /// The address of the booking's page.
    pub(crate) page_url: String,
    /// How often the show was moved.
    pub(crate) moves: u32,
    /// The present.
    pub(crate) now: Timestamp,
}

/// Whether the tickets of a booking open a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validity {
    /// They do, or will.
    Good,
    /// The booking was cancelled.
    BookingCancelled,
    /// The show was cancelled.
    ShowCancelled,
    /// The show has been over for so long that scanners refuse its tickets.
    Over,
}

impl Validity {
    /// The sentence for tickets that open no door.
    pub(crate) fn objection(self) -> Option<&'static str> {
        match self {
            Self::Good => None,
            Self::BookingCancelled => {
                Some("This booking was cancelled. Its tickets are no longer valid.")
            }
            Self::ShowCancelled => Some("This show was cancelled. The ticket is no longer valid."),
            Self::Over => Some("This show is over. The ticket is no longer valid."),
        }
    }
}

impl BookedShow {
    pub(crate) fn validity(&self) -> Validity {
        if self.booking.status == BookingStatus::Cancelled {
            Validity::BookingCancelled
        } else if self.show.sale_status == SaleStatus::Cancelled {
            Validity::ShowCancelled
        } else if self.now > valid_until(self.show.ends_at) {
            Validity::Over
        } else {
            Validity::Good
        }
    }

    /// Start of the show at the venue, such as `Saturday, 28 November 2026, 19:30 IST`.
    pub(super) fn starts(&self) -> String {
        let (at, zone) = (self.show.starts_at, &self.show.time_zone);
        format!("{} {}", when(at, zone, Form::Full), zone_name(at, zone))
    }
}

/// A seat in one line, such as `Stalls, row C, seat 11`.
pub(super) fn seat_in_words(ticket: &Ticket) -> String {
    match &ticket.seat {
        Some(SeatLabel {
            section,
            row,
            number,
            ..
        }) => format!("{section}, row {row}, seat {number}"),
        None => format!("seat {}", ticket.seat_id),
    }
}
