//! A booking with everything that its files say.

use contract::Timestamp;
use contract::booking::{Booking, BookingStatus, SaleStatus, SeatLabel, Show, Ticket};
use pages::moment::{Form, when, zone_name};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::tickets::valid_until;

/// Raised when the same booking is printed in another way.
const PRINT_VERSION: u32 = 1;

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
    /// The transfer by which the reader got tickets; `None` for the buyer.
    pub(crate) reader: Option<Uuid>,
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

    /// Whether the PDF has tickets that open a door.
    pub(crate) fn is_worth_keeping(&self) -> bool {
        !self.booking.withheld
            && !self.booking.tickets.is_empty()
            && self.validity() == Validity::Good
    }

    /// A digest of everything that the PDF says: two bookings with the same one have the same PDF.
    pub(crate) fn printed(&self) -> [u8; 32] {
        let (show, booking) = (&self.show, &self.booking);
        let said = serde_json::json!([
            PRINT_VERSION,
            [&show.title, &show.time_zone],
            show.starts_at,
            show.venue,
            [&booking.code, &booking.currency, &self.page_url],
            (booking.amount_minor, &self.prices),
            booking.status,
            booking.passed_on,
            booking.tickets,
            self.validity().objection(),
        ]);
        Sha256::digest(said.to_string()).into()
    }

    /// Start of the show at the venue, such as `Saturday, 28 November 2026, 19:30 IST`.
    pub(crate) fn starts(&self) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ticket_files::sample::booked_show;

    #[test]
    fn a_digest_changes_with_everything_that_is_printed_and_with_nothing_else() {
        let printed = booked_show("Eras").printed();
        let changes: [fn(&mut BookedShow); 14] = [
            |it| it.show.title.push('!'),
            |it| it.show.time_zone = "Europe/Berlin".to_owned(),
            |it| it.show.starts_at = it.show.ends_at,
            |it| it.show.venue.name.push('!'),
            |it| it.show.venue.address.push('!'),
            |it| it.show.sale_status = SaleStatus::Cancelled,
            |it| it.booking.code.push('X'),
            |it| it.booking.amount_minor += 1,
            |it| it.booking.status = BookingStatus::PartiallyCancelled,
            |it| it.booking.tickets[0].qr = Some("B".repeat(150)),
            |it| it.booking.tickets[1].holder_name = Some("Asha".to_owned()),
            |it| it.booking.tickets[0].seat = None,
            |it| it.prices[0] += 1,
            |it| it.page_url.push('/'),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            let mut other = booked_show("Eras");
            change(&mut other);
            assert_ne!(other.printed(), printed, "change {at}");
        }
        let mut later = booked_show("Eras");
        later.now = later.show.starts_at;
        later.show.available_count += 7;
        later.moves += 1;
        assert_eq!(later.printed(), printed);
    }
}
