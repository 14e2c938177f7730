//! A booking for tests.

use contract::Timestamp;
use contract::booking::{Booking, BookingStatus, SaleStatus, SeatLabel, Show, Ticket, Venue};

use super::booked_show::BookedShow;

/// A good booking of two tickets for a show with this title.
pub(super) fn booked_show(title: &str) -> BookedShow {
    let at = |text: &str| Timestamp::parse(text).unwrap();
    let starts_at = at("2026-11-28T14:00:00Z");
    let tickets = [11, 12].map(|number| {
        let seat_id = format!("C{number}").parse().unwrap();
        Ticket {
            ticket_id: "tkt_0190163d8694739baea51966c26f8ad9".parse().unwrap(),
            seat: Some(SeatLabel {
                seat_id,
                section: "Stalls".to_owned(),
                row: "C".to_owned(),
                number,
                accessible: true,
            }),
            seat_id: format!("C{number}").parse().unwrap(),
            ticket_type: None,
            ticket_type_name: None,
            amount_minor: None,
            qr: Some("A".repeat(150)),
            qr_svg: None,
            holder_name: None,
            passed_on_to: None,
        }
    });
    BookedShow {
        moves: 0,
        reader: None,
        booking: Booking {
            booking_id: "bkg_0190163d8694739baea51966c26f8ad9".parse().unwrap(),
            passed_on: false,
            tickets_url: None,
            code: "QX7-4KD".to_owned(),
            status: BookingStatus::Confirmed,
            show_id: "eras-mumbai-1".parse().unwrap(),
            amount_minor: 999_800,
            lines: Vec::new(),
            refunded_minor: 0,
            withheld: false,
            currency: "INR".to_owned(),
            created_at: starts_at,
            tickets: tickets.into(),
        },
        show: Show {
            show_id: "eras-mumbai-1".parse().unwrap(),
            city_id: "mumbai".parse().unwrap(),
            title: title.to_owned(),
            description: String::new(),
            genre: String::new(),
            language: String::new(),
            cast: Vec::new(),
            venue: Venue {
                name: "DY Patil Stadium".to_owned(),
                address: "Nerul, Navi Mumbai".to_owned(),
                latitude: None,
                longitude: None,
            },
            time_zone: "Asia/Kolkata".to_owned(),
            starts_at,
            ends_at: at("2026-11-28T17:00:00Z"),
            sale_opens_at: starts_at,
            sale_closes_at: starts_at,
            sale_status: SaleStatus::Closed,
            room: None,
            ticket_limit: 6,
            hold_seconds: 600,
            currency: "INR".to_owned(),
            categories: Vec::new(),
            fees: Vec::new(),
            taxes: Vec::new(),
            booking_fee_minor: 0,
            refund_policy: None,
            seat_count: 2,
            available_count: 0,
            held_count: 0,
        },
        prices: vec![499_900; 2],
        page_url: "https://tickets.example/bookings/bkg_0190163d8694739baea51966c26f8ad9"
            .to_owned(),
        now: at("2026-11-20T09:00:00Z"),
    }
}
