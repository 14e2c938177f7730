//! Mail about tickets that were passed on or printed anew.

use contract::booking::{Booking, Show};
use serde::Serialize;

use crate::mail::{MailText, mail_text};
use crate::moment::{Form, when};

/// Tickets that the reader has now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NewTicketsMail {
    /// The booking with the reader's tickets.
    pub booking: Booking,
    /// Its show.
    pub show: Show,
    /// Where the tickets are.
    pub url: String,
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
    /// The seats, in words.
    pub seats: Vec<String>,
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
    /// The seats, in words.
    pub seats: Vec<String>,
}

/// Brings tickets with new codes.
pub fn new_tickets(mail: &NewTicketsMail) -> MailText {
    let show = &mail.show;
    let day = when(show.starts_at, &show.time_zone, Form::Short);
    let what = match mail.from {
        Some(_) => "Tickets for you",
        None => "Your new tickets",
    };
    mail_text(
        format!("{what}: {}, {day}", show.title),
        "new_tickets",
        mail,
    )
}

/// Tells that tickets were passed on.
pub fn tickets_passed_on(mail: &TicketsPassedOnMail) -> MailText {
    let subject = format!("Your tickets were passed on: {}", mail.show.title);
    mail_text(subject, "tickets_passed_on", mail)
}

/// Tells that a ticket is no longer valid.
pub fn ticket_withdrawn(mail: &TicketWithdrawnMail) -> MailText {
    let subject = format!("Your ticket is no longer valid: {}", mail.show.title);
    mail_text(subject, "ticket_withdrawn", mail)
}
