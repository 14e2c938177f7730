//! Kinds of notices, and what follows from an attempt to send one. Pure.

use std::time::Duration;

use contract::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::CODE_LASTS;

/// First pause after the mail server put a notice off; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_secs(30);
/// Attempts at a notice whose answers may be lost: each may have arrived.
const UNANSWERED_MAX: i32 = 3;
/// Longest pause between attempts at a notice.
const PAUSE_MAX: Duration = Duration::from_hours(1);

/// What a notice tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum NoticeKind {
    /// A booking was made.
    BookingConfirmed,
    /// Money went back.
    RefundMade,
    /// A hold ended with nothing paid.
    HoldExpired,
    /// Tickets were cancelled.
    TicketsCancelled,
    /// A one-time code that a fan asked for.
    OneTimeCode,
    /// The link to a booking, for a fan who looks for it.
    BookingLink,
    /// Tickets were passed on to the reader.
    TicketsReceived,
    /// The reader's tickets were passed on.
    TicketsPassedOn,
    /// Tickets were printed anew.
    TicketsReissued,
    /// A ticket that had been passed on was cancelled.
    TicketWithdrawn,
    /// A show takes place at another time or venue.
    ShowMoved,
    /// A show is soon.
    ShowReminder,
    /// A fan in a waiting room was called.
    YourTurn,
}

impl NoticeKind {
    /// Every kind that this version knows: it leaves those of a later one to gateways of that one.
    pub(crate) const ALL: [Self; 13] = [
        Self::BookingConfirmed,
        Self::RefundMade,
        Self::HoldExpired,
        Self::TicketsCancelled,
        Self::OneTimeCode,
        Self::BookingLink,
        Self::TicketsReceived,
        Self::TicketsPassedOn,
        Self::TicketsReissued,
        Self::TicketWithdrawn,
        Self::ShowMoved,
        Self::ShowReminder,
        Self::YourTurn,
    ];

    /// How long after its event a notice is still of use. One that could not be sent for so long
    /// is given up.
    pub(crate) const fn useful_for(self) -> Duration {
        match self {
            Self::BookingConfirmed
            | Self::RefundMade
            | Self::TicketsCancelled
            | Self::TicketsReceived
            | Self::TicketsPassedOn
            | Self::TicketsReissued
            | Self::TicketWithdrawn
            | Self::ShowMoved => Duration::from_hours(72),
            Self::BookingLink | Self::ShowReminder => Duration::from_hours(24),
            Self::OneTimeCode | Self::YourTurn => CODE_LASTS,
            Self::HoldExpired => Duration::from_hours(1),
        }
    }

    /// How long a channel that is down or puts a notice off may keep it, before the next channel
    /// gets it.
    const fn channel_patience(self) -> Duration {
        match self {
            Self::YourTurn => Duration::ZERO,
            Self::ShowReminder | Self::HoldExpired => Duration::from_mins(5),
            Self::ShowMoved => Duration::from_mins(30),
            Self::BookingConfirmed
            | Self::RefundMade
            | Self::TicketsCancelled
            | Self::OneTimeCode
            | Self::BookingLink
            | Self::TicketsReceived
            | Self::TicketsPassedOn
            | Self::TicketsReissued
            | Self::TicketWithdrawn => Duration::from_hours(2),
        }
    }

    /// Smaller numbers are sent first. What comes from the outbox has its numbers in
    /// `store/notices_collect.sql`.
    pub(crate) const fn urgency(self) -> i16 {
        match self {
            Self::YourTurn => -2,
            Self::OneTimeCode | Self::BookingLink => -1,
            Self::BookingConfirmed | Self::TicketsReceived | Self::TicketsReissued => 0,
            Self::RefundMade
            | Self::TicketsCancelled
            | Self::TicketsPassedOn
            | Self::TicketWithdrawn
            | Self::ShowMoved => 1,
            Self::HoldExpired | Self::ShowReminder => 2,
        }
    }

    /// As a label of metrics.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::BookingConfirmed => "booking-confirmed",
            Self::RefundMade => "refund-made",
            Self::HoldExpired => "hold-expired",
            Self::TicketsCancelled => "tickets-cancelled",
            Self::OneTimeCode => "one-time-code",
            Self::BookingLink => "booking-link",
            Self::TicketsReceived => "tickets-received",
            Self::TicketsPassedOn => "tickets-passed-on",
            Self::TicketsReissued => "tickets-reissued",
            Self::TicketWithdrawn => "ticket-withdrawn",
            Self::ShowMoved => "show-moved",
            Self::ShowReminder => "show-reminder",
            Self::YourTurn => "your-turn",
        }
    }
}

/// A way to a fan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ChannelKind {
    /// Mail.
    Email,
    /// A text message to a telephone.
    Sms,
    /// Web Push to a browser.
    Push,
}

impl ChannelKind {
    /// As a label of metrics.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Push => "push",
        }
    }

    /// As it is called in sentences.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Email => "the mail server",
            Self::Sms => "the provider of text messages",
            Self::Push => "the push service",
        }
    }
}

/// The state of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum NoticeStatus {
    /// It is to be sent.
    Due,
    /// A channel took it.
    Sent,
    /// It was refused for good, or for too long. An operator may send it again.
    Failed,
    /// What it would tell was no longer so, and nothing was sent.
    Moot,
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SendError {
    /// The server of the channel cannot be reached, does not answer, or refuses us whatever the
    /// message is.
    #[error("not available: {0}")]
    Unavailable(String),
    /// The server takes this message later, if at all.
    #[error("put off: {0}")]
    PutOff(String),
    /// The message may have arrived: its answer was lost.
    #[error("not answered: {0}")]
    Unanswered(String),
    /// The server does not take this message.
    #[error("refused for good: {0}")]
    Refused(String),
}

impl SendError {
    /// As a label of metrics.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::PutOff(_) => "put-off",
            Self::Unanswered(_) => "unanswered",
            Self::Refused(_) => "refused",
        }
    }
}

/// What follows from a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another attempt after this pause.
    Again(Duration),
    /// Another attempt at once, over the next channel.
    MoveOn,
    /// It is given up.
    GiveUp,
}

/// What follows from the failure of attempt number `attempt_count` at `now`. `spread` is random,
/// so that notices that failed together do not come together again. While the server is
/// unavailable, `outage_pause` is how long this process leaves it alone. `has_other` tells whether
/// there is a channel that was not tried.
#[expect(clippy::too_many_arguments, reason = "one value each, of seven types")]
pub(crate) fn next(
    kind: NoticeKind,
    due_since: Timestamp,
    attempt_count: i32,
    error: &SendError,
    outage_pause: Duration,
    spread: u8,
    has_other: bool,
    now: Timestamp,
) -> Next {
    let is_over = match error {
        SendError::Refused(_) => true,
        SendError::Unanswered(_) => attempt_count >= UNANSWERED_MAX,
        SendError::Unavailable(_) | SendError::PutOff(_) => false,
    };
    if has_other && (is_over || now.since(due_since) >= kind.channel_patience()) {
        return Next::MoveOn;
    }
    if is_over {
        return Next::GiveUp;
    }
    let pause = match error {
        SendError::Unavailable(_) => outage_pause,
        SendError::Refused(_) | SendError::Unanswered(_) | SendError::PutOff(_) => {
            let doublings = u32::try_from(attempt_count.clamp(1, 16) - 1).unwrap_or(0);
            PAUSE_MAX.min(PAUSE_FIRST * 2_u32.pow(doublings))
        }
    };
    let pause = spread_out(pause, spread);
    if now.plus(pause).since(due_since) > kind.useful_for() {
        Next::GiveUp
    } else {
        Next::Again(pause)
    }
}

/// `pause` and up to a quarter of it more.
pub(crate) fn spread_out(pause: Duration, spread: u8) -> Duration {
    pause + pause / 4 * u32::from(spread) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    fn after(kind: NoticeKind, attempts: i32, error: &SendError, waited: Duration) -> Next {
        let outage = Duration::from_secs(8);
        let now = NOW.plus(waited);
        next(kind, NOW, attempts, error, outage, 0, false, now)
    }

    #[test]
    fn the_next_channel_gets_what_is_refused_or_waits_for_too_long() {
        let down = SendError::Unavailable("down".to_owned());
        let refused = SendError::Refused("550".to_owned());
        let pause = Duration::from_secs(8);
        for (kind, error, seconds, moves) in [
            (NoticeKind::BookingConfirmed, &refused, 0, true),
            (NoticeKind::BookingConfirmed, &down, 60, false),
            (NoticeKind::BookingConfirmed, &down, 7200, true),
            (NoticeKind::ShowReminder, &down, 30, false),
            (NoticeKind::ShowReminder, &down, 300, true),
            (NoticeKind::YourTurn, &down, 0, true),
        ] {
            let now = NOW.plus(Duration::from_secs(seconds));
            let next = next(kind, NOW, 1, error, pause, 0, true, now);
            assert_eq!(next == Next::MoveOn, moves, "{kind:?} {seconds}");
        }
    }

    #[test]
    fn a_refusal_is_final_and_the_rest_is_tried_again() {
        let kind = NoticeKind::BookingConfirmed;
        let minute = Duration::from_mins(1);
        let text = || "550".to_owned();
        let said = |error| after(kind, 1, &error, minute);
        assert_eq!(said(SendError::Refused(text())), Next::GiveUp);
        assert_eq!(
            said(SendError::PutOff(text())),
            Next::Again(Duration::from_secs(30))
        );
        assert_eq!(
            said(SendError::Unavailable(text())),
            Next::Again(Duration::from_secs(8))
        );
    }

    #[test]
    fn what_may_have_arrived_is_sent_three_times_at_most() {
        let lost = SendError::Unanswered("no answer in time".to_owned());
        let soon = Duration::from_secs(1);
        for (attempts, given_up) in [(1, false), (2, false), (3, true)] {
            let next = after(NoticeKind::ShowMoved, attempts, &lost, soon);
            assert_eq!(next == Next::GiveUp, given_up, "{attempts}");
        }
        let pause = Duration::from_secs(8);
        let kind = NoticeKind::ShowMoved;
        let next = next(kind, NOW, 3, &lost, pause, 0, true, NOW.plus(soon));
        assert_eq!(next, Next::MoveOn);
    }

    #[test]
    fn pauses_double_up_to_an_hour() {
        let put_off = SendError::PutOff("451".to_owned());
        for (attempts, seconds) in [(1, 30), (2, 60), (4, 240), (8, 3600), (200, 3600)] {
            let next = after(NoticeKind::RefundMade, attempts, &put_off, Duration::ZERO);
            assert_eq!(
                next,
                Next::Again(Duration::from_secs(seconds)),
                "{attempts}"
            );
        }
        assert_eq!(
            spread_out(Duration::from_secs(40), 255),
            Duration::from_secs(50)
        );
    }

    #[test]
    fn what_is_of_no_use_any_more_is_given_up() {
        let down = SendError::Unavailable("down".to_owned());
        for (kind, hours, given_up) in [
            (NoticeKind::HoldExpired, 2, true),
            (NoticeKind::BookingConfirmed, 2, false),
            (NoticeKind::BookingConfirmed, 73, true),
        ] {
            let next = after(kind, 9, &down, Duration::from_hours(hours));
            assert_eq!(next == Next::GiveUp, given_up, "{kind:?} {hours}");
        }
    }
}
