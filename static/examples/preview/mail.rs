//! Mail with sample data.

use std::time::Duration;

use contract::Timestamp;
use contract::booking::{Booking, BookingStatus, SaleStatus, SeatLabel, Show, Ticket, Venue};
use pages::letters::Letters;
use pages::mail::{
    BookingConfirmedMail, BookingLinkMail, HoldExpiredMail, OneTimeCodeMail, RefundMadeMail,
    ShowMovedMail, ShowReminderMail, TicketsCancelledMail, Wallets, Writer, Written, YourTurnMail,
};
use pages::mail_transfers::{NewTicketsMail, TicketWithdrawnMail, TicketsPassedOnMail};

/// Names and letters in a language.
pub(crate) fn mails(letters: &Letters, language: &str) -> Vec<(&'static str, Written)> {
    let writer = letters.in_language(language);
    let refund = |code: Option<&str>| {
        writer.refund_made(&RefundMadeMail {
            show: show(),
            amount_minor: 499_800,
            currency: "INR".to_owned(),
            code: code.map(str::to_owned),
            url: code.map(|_| confirmed().url),
        })
    };
    let expired = |seat_count: u32| {
        writer.hold_expired(&HoldExpiredMail {
            show: show(),
            seat_count,
            ended_at: now(),
            url: "https://tickets.example/shows/monsoon-mumbai-1".to_owned(),
        })
    };
    vec![
        ("mail-confirmed", writer.booking_confirmed(&confirmed())),
        ("mail-refund", refund(Some("K7M2RRX9B"))),
        ("mail-refund-late", refund(None)),
        ("mail-cancelled", cancelled(writer, false)),
        ("mail-show-cancelled", cancelled(writer, true)),
        (
            "mail-code",
            writer.one_time_code(&OneTimeCodeMail {
                show: show(),
                code: "K7M2RRX9B".to_owned(),
                digits: "041873".to_owned(),
                expires_at: now().plus(Duration::from_mins(10)),
                for_app: false,
            }),
        ),
        (
            "mail-link",
            writer.booking_link(&BookingLinkMail {
                booking: confirmed().booking,
                show: show(),
                url: confirmed().url,
            }),
        ),
        (
            "mail-tickets-received",
            new_tickets(writer, Some("f…@example.com")),
        ),
        ("mail-tickets-reissued", new_tickets(writer, None)),
        (
            "mail-tickets-passed-on",
            writer.tickets_passed_on(&TicketsPassedOnMail {
                show: show(),
                code: "K7M2RRX9B".to_owned(),
                seats: one_seat(),
                to: "g…@example.com".to_owned(),
                url: Some(confirmed().url),
            }),
        ),
        (
            "mail-ticket-withdrawn",
            writer.ticket_withdrawn(&TicketWithdrawnMail {
                show: show(),
                code: "K7M2RRX9B".to_owned(),
                seats: one_seat(),
            }),
        ),
        ("mail-expired", expired(2)),
        ("mail-expired-one", expired(1)),
        ("mail-moved", moved(writer, true)),
        ("mail-moved-short", moved(writer, false)),
        (
            "mail-reminder",
            writer.show_reminder(&ShowReminderMail {
                booking: confirmed().booking,
                show: show(),
                url: confirmed().url,
            }),
        ),
        (
            "mail-turn",
            writer.your_turn(&YourTurnMail {
                title: "Monsoon Strings".to_owned(),
                url: "https://tickets.example/_line/rooms/monsoon".to_owned(),
            }),
        ),
    ]
}

fn new_tickets(writer: Writer<'_>, from: Option<&str>) -> Written {
    writer.new_tickets(&NewTicketsMail {
        booking: confirmed().booking,
        show: show(),
        url: confirmed().url,
        wallets: Wallets::default(),
        from: from.map(str::to_owned),
    })
}

fn one_seat() -> Vec<SeatLabel> {
    let tickets = confirmed().booking.tickets;
    tickets
        .into_iter()
        .find_map(|ticket| ticket.seat)
        .into_iter()
        .collect()
}

fn moved(writer: Writer<'_>, is_long: bool) -> Written {
    writer.show_moved(&ShowMovedMail {
        show: show(),
        old_starts_at: now(),
        old_venue: "Open Air Theatre".to_owned(),
        reason: is_long.then(|| "Rain is forecast.".to_owned()),
        refund_until: is_long.then(|| now().plus(Duration::from_hours(24))),
        code: "K7M2RRX9B".to_owned(),
        url: confirmed().url,
    })
}

fn cancelled(writer: Writer<'_>, show_cancelled: bool) -> Written {
    writer.tickets_cancelled(&TicketsCancelledMail {
        show: show(),
        code: "K7M2RRX9B".to_owned(),
        seats: one_seat(),
        amount_minor: if show_cancelled { 166_600 } else { 161_600 },
        kept_minor: if show_cancelled { 0 } else { 5_000 },
        currency: "INR".to_owned(),
        show_cancelled,
        reason: show_cancelled.then(|| "The soloist is ill.".to_owned()),
        url: confirmed().url,
    })
}

/// A booking of three seats, of which the last is known by its id only.
pub(crate) fn confirmed() -> BookingConfirmedMail {
    let ticket = |(number, is_known): (u32, bool)| Ticket {
        ticket_id: "tkt_0190163d8694739baea51966c26f8ad9"
            .parse()
            .expect("an id"),
        seat_id: format!("C{number}").parse().expect("a seat"),
        seat: is_known.then(|| SeatLabel {
            seat_id: format!("C{number}").parse().expect("a seat"),
            section: "Stalls".to_owned(),
            row: "C".to_owned(),
            number,
            accessible: number == 11,
        }),
        ticket_type: None,
        ticket_type_name: None,
        amount_minor: None,
        qr: None,
        qr_svg: None,
        holder_name: None,
        passed_on_to: None,
    };
    BookingConfirmedMail {
        booking: Booking {
            booking_id: "bkg_0198c2e4f7a87c1e9d3b5a6f70812c3d"
                .parse()
                .expect("an id"),
            code: "K7M2RRX9B".to_owned(),
            passed_on: false,
            tickets_url: None,
            status: BookingStatus::Confirmed,
            show_id: show().show_id,
            amount_minor: 499_800,
            lines: Vec::new(),
            refunded_minor: 0,
            withheld: false,
            currency: "INR".to_owned(),
            created_at: now(),
            tickets: [(10, true), (11, true), (12, false)].map(ticket).into(),
        },
        show: show(),
        url: "https://tickets.example/bookings/bkg_0198c2e4f7a87c1e9d3b5a6f70812c3d".to_owned(),
        wallets: Wallets {
            apple: true,
            google: true,
        },
        has_invoice: true,
    }
}

fn now() -> Timestamp {
    Timestamp::parse("2026-11-22T10:00:00Z").unwrap_or_default()
}

fn show() -> Show {
    let starts_at = now().plus(Duration::from_hours(6));
    Show {
        show_id: "monsoon-mumbai-1".parse().expect("a slug"),
        city_id: "mumbai".parse().expect("a slug"),
        title: "Monsoon Strings".to_owned(),
        description: String::new(),
        genre: "Music".to_owned(),
        language: "Hindi".to_owned(),
        cast: Vec::new(),
        venue: Venue {
            name: "Jamshed Hall".to_owned(),
            address: "Nariman Point, Mumbai".to_owned(),
            latitude: None,
            longitude: None,
        },
        time_zone: "Asia/Kolkata".to_owned(),
        starts_at,
        ends_at: starts_at,
        sale_opens_at: now(),
        sale_closes_at: starts_at,
        sale_status: SaleStatus::Open,
        room: None,
        ticket_limit: 6,
        hold_seconds: 600,
        currency: "INR".to_owned(),
        categories: Vec::new(),
        fees: Vec::new(),
        taxes: Vec::new(),
        booking_fee_minor: 0,
        refund_policy: None,
        seat_count: 2_592,
        available_count: 812,
        held_count: 0,
    }
}
