//! Mail about tickets that were passed on or printed anew.

use contract::booking::{Booking, SeatLabel, Show};
use serde::Serialize;

use crate::mail::{Wallets, Writer, Written};

/// Tickets that the reader has now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NewTicketsMail {
    /// The booking with the reader's tickets.
    pub booking: Booking,
    /// Its show.
    pub show: Show,
    /// Where the tickets are.
    pub url: String,
    /// The wallets that are offered.
    pub wallets: Wallets,
    /// The address of whoever passed them on, mostly hidden; `None` when they were printed anew.
    pub from: Option<String>,
}

/// The reader's tickets were passed on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TicketsPassedOnMail {
    /// The show.
    pub show: Show,
    /// The code of the booking.
    pub code: String,
    /// The seats.
    pub seats: Vec<SeatLabel>,
    /// The address of the new holder, mostly hidden.
    pub to: String,
    /// Where the booking is, for its buyer.
    pub url: Option<String>,
}

/// A ticket that had been passed on to the reader was cancelled.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TicketWithdrawnMail {
    /// The show.
    pub show: Show,
    /// The code of the booking.
    pub code: String,
    /// The seats.
    pub seats: Vec<SeatLabel>,
}

impl Writer<'_> {
    /// Brings tickets with new codes.
    pub fn new_tickets(self, mail: &NewTicketsMail) -> Written {
        let (title, day) = (&*mail.show.title, self.day_of(&mail.show));
        let values = [
            ("title", title),
            ("day", &*day),
            ("code", &*mail.booking.code),
        ];
        let (subject, short) = match mail.from {
            Some(_) => ("newTickets.subject", "newTickets.short"),
            None => ("newTickets.subjectAnew", "newTickets.shortAnew"),
        };
        let url = Some(&mail.url);
        self.written_as(subject, short, "new_tickets", title, mail, &values, url)
    }

    /// Tells that tickets were passed on.
    pub fn tickets_passed_on(self, mail: &TicketsPassedOnMail) -> Written {
        let values = [
            ("title", &*mail.show.title),
            ("code", &*mail.code),
            ("to", &*mail.to),
        ];
        let (key, name) = ("ticketsPassedOn", "tickets_passed_on");
        self.written(key, name, mail, &values, mail.url.as_ref())
    }

    /// Tells that a ticket is no longer valid.
    pub fn ticket_withdrawn(self, mail: &TicketWithdrawnMail) -> Written {
        let values = [("title", &*mail.show.title), ("code", &*mail.code)];
        self.written("ticketWithdrawn", "ticket_withdrawn", mail, &values, None)
    }
}
