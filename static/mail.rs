//! Mail to fans: subject, text and HTML of each kind.
//!
//! Mail programs load no stylesheets and few of them run the same rules, so each message has its
//! own styles, colours that always come in pairs of text and background, and no images. The text
//! says everything that the HTML does.

use contract::Timestamp;
use contract::booking::{Booking, Show};
use serde::Serialize;

use crate::engine::render;
use crate::moment::{Form, when};

/// One message without its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailText {
    /// The subject, on one line unless a title has several.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// The same as an HTML document.
    pub html: String,
}

/// A booking was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BookingConfirmedMail {
    /// The booking.
    pub booking: Booking,
    /// Its show.
    pub show: Show,
    /// Where its tickets are.
    pub url: String,
}

/// Money went back.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefundMadeMail {
    /// The show that it was paid for.
    pub show: Show,
    /// The amount, minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// The code of the booking, if the money had bought one.
    pub code: Option<String>,
    /// Where that booking is.
    pub url: Option<String>,
}

/// A hold ended with nothing paid.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldExpiredMail {
    /// The show.
    pub show: Show,
    /// How many seats were held.
    pub seat_count: u32,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Where the show is.
    pub url: String,
}

/// Tickets were cancelled.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TicketsCancelledMail {
    /// The show.
    pub show: Show,
    /// The code of the booking.
    pub code: String,
    /// The seats whose tickets are void, in words.
    pub seats: Vec<String>,
    /// What goes back, minor units.
    pub amount_minor: i64,
    /// What the seller keeps, minor units.
    pub kept_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// Whether the show as a whole was cancelled.
    pub show_cancelled: bool,
    /// Why it was.
    pub reason: Option<String>,
    /// Where the booking is.
    pub url: String,
}

/// A one-time code.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneTimeCodeMail {
    /// The show.
    pub show: Show,
    /// The code of the booking.
    pub code: String,
    /// The one-time code.
    pub digits: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether it is for an app, which then reads all bookings of the address.
    pub for_app: bool,
}

/// Where a booking is, for whoever looks for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BookingLinkMail {
    /// The booking.
    pub booking: Booking,
    /// Its show.
    pub show: Show,
    /// Where it is.
    pub url: String,
}

/// Tells that a booking was made, with its seats.
pub fn booking_confirmed(mail: &BookingConfirmedMail) -> MailText {
    let show = &mail.show;
    let day = when(show.starts_at, &show.time_zone, Form::Short);
    let subject = format!("Your tickets: {}, {day}", show.title);
    mail_text(subject, "booking_confirmed", mail)
}

/// Tells that money went back.
pub fn refund_made(mail: &RefundMadeMail) -> MailText {
    let amount = crate::money::money(mail.amount_minor, &mail.currency);
    let subject = format!("{amount} went back to you: {}", mail.show.title);
    mail_text(subject, "refund_made", mail)
}

/// Tells that seats are no longer held.
pub fn hold_expired(mail: &HoldExpiredMail) -> MailText {
    let subject = format!("Your seats are no longer held: {}", mail.show.title);
    mail_text(subject, "hold_expired", mail)
}

/// Tells that tickets are no longer valid, and what goes back for them.
pub fn tickets_cancelled(mail: &TicketsCancelledMail) -> MailText {
    let what = if mail.show_cancelled {
        "The show is cancelled"
    } else {
        "Your cancellation"
    };
    let subject = format!("{what}: {}", mail.show.title);
    mail_text(subject, "tickets_cancelled", mail)
}

/// Tells a one-time code. It is not in the subject, which is seen on locked screens.
pub fn one_time_code(mail: &OneTimeCodeMail) -> MailText {
    let subject = format!("Your one-time code: {}", mail.show.title);
    mail_text(subject, "one_time_code", mail)
}

/// Tells where a booking is.
pub fn booking_link(mail: &BookingLinkMail) -> MailText {
    let subject = format!("Your booking: {}", mail.show.title);
    mail_text(subject, "booking_link", mail)
}

pub(crate) fn mail_text<C: Serialize>(subject: String, name: &str, context: &C) -> MailText {
    MailText {
        subject,
        text: render(&format!("mail/{name}.txt"), context),
        html: render(&format!("mail/{name}.html"), context),
    }
}
