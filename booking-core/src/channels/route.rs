//! Which channels a notice is tried on, in which order. Pure.

use super::told::Recipient;
use crate::notice::{ChannelKind, NoticeKind};

/// The channels on which a notice of this kind reaches `to`, in the order in which they are tried.
/// `offered` are those that are set up.
///
/// What holds a document or an account of money goes by mail first, whatever the customer prefers. A
/// link to a booking and a one-time code go to its address alone: nobody has proved that a telephone
/// is the customer's, and messages to browsers are seen on locked screens. What is of use only in
/// time goes first to what is in the fan's pocket.
pub(crate) fn route(kind: NoticeKind, to: &Recipient, offered: &[ChannelKind]) -> Vec<ChannelKind> {
    use ChannelKind::{Email, Push, Sms};
    let mut order = match kind {
        NoticeKind::OneTimeCode | NoticeKind::BookingLink | NoticeKind::HoldExpired => vec![Email],
        NoticeKind::BookingConfirmed
        | NoticeKind::RefundMade
        | NoticeKind::TicketsCancelled
        | NoticeKind::TicketsReceived
        | NoticeKind::TicketsPassedOn
        | NoticeKind::TicketsReissued
        | NoticeKind::TicketWithdrawn => vec![Email, Sms, Push],
        NoticeKind::ShowMoved | NoticeKind::ShowReminder | NoticeKind::YourTurn => {
            vec![Push, Sms, Email]
        }
    };
    if matches!(kind, NoticeKind::ShowMoved | NoticeKind::ShowReminder)
        && let Some(preferred) = to.preferred
        && let Some(at) = order.iter().position(|channel| *channel == preferred)
    {
        order[..=at].rotate_right(1);
    }
    order.retain(|channel| {
        offered.contains(channel)
            && match channel {
                Email => to.email.is_some(),
                Sms => to.phone.is_some(),
                Push => !to.browsers.is_empty(),
            }
    });
    order
}

#[cfg(test)]
mod tests {
    use super::super::told::Browser;
    use super::*;
    use ChannelKind::{Email, Push, Sms};

    const ALL: [ChannelKind; 3] = [Email, Sms, Push];

    fn everything(preferred: ChannelKind) -> Recipient {
        Recipient {
            email: Some("fan@example.com".to_owned()),
            phone: Some("+4915112345678".to_owned()),
            browsers: vec![Browser {
                subscription_id: None,
                endpoint: String::new(),
                p256dh: Vec::new(),
                auth: Vec::new(),
            }],
            preferred: Some(preferred),
            language: "en".to_owned(),
        }
    }

    #[test]
    fn the_order_follows_urgency_and_then_the_wish() {
        for (kind, preferred, order) in [
            (NoticeKind::BookingConfirmed, Push, vec![Email, Sms, Push]),
            (NoticeKind::ShowReminder, Push, vec![Push, Sms, Email]),
            (NoticeKind::ShowReminder, Sms, vec![Sms, Push, Email]),
            (NoticeKind::ShowReminder, Email, vec![Email, Push, Sms]),
            (NoticeKind::ShowMoved, Sms, vec![Sms, Push, Email]),
            (NoticeKind::YourTurn, Email, vec![Push, Sms, Email]),
            (NoticeKind::OneTimeCode, Email, vec![Email]),
            (NoticeKind::OneTimeCode, Push, vec![Email]),
            (NoticeKind::OneTimeCode, Sms, vec![Email]),
            (NoticeKind::BookingLink, Sms, vec![Email]),
        ] {
            let to = everything(preferred);
            assert_eq!(route(kind, &to, &ALL), order, "{kind:?} {preferred:?}");
        }
    }

    #[test]
    fn what_is_not_known_or_not_set_up_is_left_out() {
        let to = everything(Sms);
        assert_eq!(
            route(NoticeKind::ShowReminder, &to, &[Email, Push]),
            [Push, Email]
        );
        let only_mail = Recipient {
            email: to.email,
            ..Recipient::default()
        };
        assert_eq!(route(NoticeKind::ShowMoved, &only_mail, &ALL), [Email]);
        assert_eq!(route(NoticeKind::YourTurn, &Recipient::default(), &ALL), []);
    }
}
