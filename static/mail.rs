//! Mail to fans: subject, text and HTML of each kind.
//!
//! Mail programs load no stylesheets and few of them run the same rules, so each message has its
//! own styles, colours that always come in pairs of text and background, and no images. The text
//! says everything that the HTML does.

use contract::Timestamp;
use contract::booking::{Booking, SeatLabel, Show};
use serde::Serialize;

use crate::letters::Letters;
use crate::moment::Form;

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

/// The wallets that tickets can be added to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Wallets {
    /// Apple Wallet.
    pub apple: bool,
    /// Google Wallet.
    pub google: bool,
}

/// A booking was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BookingConfirmedMail {
    /// The booking.
    pub booking: Booking,
    /// Its show.
    pub show: Show,
    /// Where its tickets are.
    pub url: String,
    /// The wallets that are offered.
    pub wallets: Wallets,
    /// Whether there is an invoice for it.
    pub has_invoice: bool,
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
    /// The seats whose tickets are void.
    pub seats: Vec<SeatLabel>,
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

/// A show takes place at another time or venue.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShowMovedMail {
    /// The show as it is after the move.
    pub show: Show,
    /// When it was to start.
    pub old_starts_at: Timestamp,
    /// The name of the venue where it was to be.
    pub old_venue: String,
    /// Why it was moved.
    pub reason: Option<String>,
    /// Until when the whole price goes back for the asking.
    pub refund_until: Option<Timestamp>,
    /// The code of the booking.
    pub code: String,
    /// Where the booking is.
    pub url: String,
}

/// A show is soon.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShowReminderMail {
    /// The booking.
    pub booking: Booking,
    /// Its show.
    pub show: Show,
    /// Where its tickets are.
    pub url: String,
}

/// A fan in a waiting room was called.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct YourTurnMail {
    /// The title of the room.
    pub title: String,
    /// Where the fan enters.
    pub url: String,
}

/// A letter, and the same in one sentence for small screens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// As mail.
    pub mail: MailText,
    /// In one sentence.
    pub short: ShortText,
    /// Why a template of the operator's own could not be used.
    pub fault: Option<String>,
}

/// What is told in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortText {
    /// What it is about.
    pub title: String,
    /// The sentence.
    pub text: String,
    /// Where there is more.
    pub url: Option<String>,
}

/// Writes letters in one language.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    letters: &'a Letters,
    language: &'a str,
}

impl Letters {
    /// A writer in this language; of what it has no texts of it writes in English.
    pub fn in_language<'a>(&'a self, language: &'a str) -> Writer<'a> {
        Writer {
            letters: self,
            language,
        }
    }
}

impl Writer<'_> {
    /// Tells that a booking was made, with its seats.
    pub fn booking_confirmed(self, mail: &BookingConfirmedMail) -> Written {
        let day = self.day_of(&mail.show);
        let values = [
            ("title", &*mail.show.title),
            ("day", &*day),
            ("code", &*mail.booking.code),
        ];
        self.written(
            "bookingConfirmed",
            "booking_confirmed",
            mail,
            &values,
            Some(&mail.url),
        )
    }

    /// Tells that money went back.
    pub fn refund_made(self, mail: &RefundMadeMail) -> Written {
        let amount = crate::money::money(mail.amount_minor, &mail.currency);
        let values = [("title", &*mail.show.title), ("amount", &*amount)];
        self.written(
            "refundMade",
            "refund_made",
            mail,
            &values,
            mail.url.as_ref(),
        )
    }

    /// Tells that seats are no longer held.
    pub fn hold_expired(self, mail: &HoldExpiredMail) -> Written {
        let values = [("title", &*mail.show.title)];
        self.written(
            "holdExpired",
            "hold_expired",
            mail,
            &values,
            Some(&mail.url),
        )
    }

    /// Tells that tickets are no longer valid, and what goes back for them.
    pub fn tickets_cancelled(self, mail: &TicketsCancelledMail) -> Written {
        let amount = crate::money::money(mail.amount_minor, &mail.currency);
        let values = [
            ("title", &*mail.show.title),
            ("code", &*mail.code),
            ("amount", &*amount),
        ];
        let (subject, short) = if mail.show_cancelled {
            ("ticketsCancelled.subjectShow", "ticketsCancelled.shortShow")
        } else {
            ("ticketsCancelled.subject", "ticketsCancelled.short")
        };
        let name = "tickets_cancelled";
        self.written_as(
            subject,
            short,
            name,
            &mail.show.title,
            mail,
            &values,
            Some(&mail.url),
        )
    }

    /// Tells a one-time code. It is not in the subject, which is seen on locked screens.
    pub fn one_time_code(self, mail: &OneTimeCodeMail) -> Written {
        let zone = &mail.show.time_zone;
        let time = self
            .letters
            .day(self.language, mail.expires_at, zone, Form::Time);
        let values = [
            ("title", &*mail.show.title),
            ("code", &*mail.code),
            ("digits", &*mail.digits),
            ("time", &*time),
        ];
        let short = if mail.for_app {
            "appCode.short"
        } else {
            "oneTimeCode.short"
        };
        let (subject, title) = ("oneTimeCode.subject", &mail.show.title);
        self.written_as(subject, short, "one_time_code", title, mail, &values, None)
    }

    /// Tells where a booking is.
    pub fn booking_link(self, mail: &BookingLinkMail) -> Written {
        let values = [("title", &*mail.show.title), ("code", &*mail.booking.code)];
        self.written(
            "bookingLink",
            "booking_link",
            mail,
            &values,
            Some(&mail.url),
        )
    }

    /// Tells that a show takes place at another time or venue.
    pub fn show_moved(self, mail: &ShowMovedMail) -> Written {
        let day = self.day_of(&mail.show);
        let venue = &*mail.show.venue.name;
        let values = [
            ("title", &*mail.show.title),
            ("day", &*day),
            ("venue", venue),
        ];
        self.written("showMoved", "show_moved", mail, &values, Some(&mail.url))
    }

    /// Tells that a show is soon.
    pub fn show_reminder(self, mail: &ShowReminderMail) -> Written {
        let day = self.day_of(&mail.show);
        let venue = &*mail.show.venue.name;
        let values = [
            ("title", &*mail.show.title),
            ("day", &*day),
            ("venue", venue),
        ];
        self.written(
            "showReminder",
            "show_reminder",
            mail,
            &values,
            Some(&mail.url),
        )
    }

    /// Tells that a fan was called.
    pub fn your_turn(self, mail: &YourTurnMail) -> Written {
        let values = [("title", &*mail.title)];
        self.written("yourTurn", "your_turn", mail, &values, Some(&mail.url))
    }

    pub(crate) fn day_of(self, show: &Show) -> String {
        let (at, zone) = (show.starts_at, &show.time_zone);
        self.letters.day(self.language, at, zone, Form::Short)
    }

    pub(crate) fn written<C: Serialize>(
        self,
        key: &str,
        name: &str,
        context: &C,
        values: &[(&str, &str)],
        url: Option<&String>,
    ) -> Written {
        let title = values.iter().find(|(name, _)| *name == "title");
        let title = title.map(|(_, title)| *title).unwrap_or_default();
        let (subject, short) = (format!("{key}.subject"), format!("{key}.short"));
        self.written_as(&subject, &short, name, title, context, values, url)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "two names of texts, one of a template, and what they say"
    )]
    pub(crate) fn written_as<C: Serialize>(
        self,
        subject: &str,
        short: &str,
        name: &str,
        title: &str,
        context: &C,
        values: &[(&str, &str)],
        url: Option<&String>,
    ) -> Written {
        let (letters, language) = (self.letters, self.language);
        let (text, text_fault) = letters.render(&format!("mail/{name}.txt"), language, context);
        let (html, html_fault) = letters.render(&format!("mail/{name}.html"), language, context);
        Written {
            mail: MailText {
                subject: letters.say(language, subject, values),
                text,
                html,
            },
            short: ShortText {
                title: title.to_owned(),
                text: letters.say(language, short, values),
                url: url.cloned(),
            },
            fault: text_fault.or(html_fault),
        }
    }
}
