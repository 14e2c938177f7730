//! The shop's pages with sample shows.

use std::time::Duration;

use contract::booking::{
    Booking, BookingStatus, Category, City, Hold, HoldStatus, SaleStatus, Seat, SeatLabel, SeatMap,
    SeatStatus, Show, Ticket, Venue,
};
use contract::contact::{Contact, PreferredChannel};
use contract::coupon::Quote;
use contract::line::Phase;
use contract::pricing::{HeldTicket, TicketType};
use contract::refund::{MyBooking, RefundOffer, TicketOffer};
use contract::refund_policy::RefundPolicy;
use contract::transfer::TransferOffer;
use contract::{Problem, ProblemCode, SeatId, Timestamp};
use pages::mail::Wallets;
use pages::shop::{
    self, Block, BookingPage, ChallengePage, CityListPage, CityPage, FindPage, HoldPage,
    MyBookingsPage, ProblemPage, ProcessingPage, RowsPage, RowsStep, SeatsPage, ShowPage,
};

use crate::prices::{sample_invoices, sample_lines, sample_quote};

/// Where the sample shop is.
const ORIGIN: &str = "https://tickets.example";

/// Names and HTML.
pub(crate) fn pages() -> Vec<(String, String)> {
    let mut pages = catalogue();
    pages.extend(buying());
    pages
        .into_iter()
        .map(|(name, html)| (format!("shop-{name}"), html))
        .collect()
}

fn catalogue() -> Vec<(&'static str, String)> {
    let shows = shows();
    let list = CityListPage {
        cities: cities(),
        coming: shows.clone(),
        origin: ORIGIN.to_owned(),
    };
    let city = |shows: Vec<Show>, q: Option<&str>| CityPage {
        city: cities().remove(2),
        date: None,
        q: q.map(str::to_owned),
        shows,
        origin: ORIGIN.to_owned(),
    };
    let opens_in = Some(shows[0].sale_opens_at.since(now()));
    let show_in = |phase: Phase| {
        shop::show(&ShowPage {
            show: shows[0].clone(),
            phase: Some(phase),
            opens_in,
            may_choose: false,
            origin: ORIGIN.to_owned(),
        })
    };
    let show = |status: SaleStatus, available_count: u64, may_choose: bool| {
        let mut show = shows[0].clone();
        show.sale_status = status;
        show.available_count = available_count;
        shop::show(&ShowPage {
            show,
            phase: Some(Phase::Queueing),
            opens_in,
            may_choose,
            origin: ORIGIN.to_owned(),
        })
    };
    vec![
        ("cities", shop::city_list(&list)),
        ("city", shop::city(&city(shows.clone(), None))),
        ("city-nothing", shop::city(&city(Vec::new(), Some("opera")))),
        ("show-line-idle", show_in(Phase::Idle)),
        ("show-line-gathering", show_in(Phase::Prequeue)),
        ("show-line-paused", show_in(Phase::Paused)),
        ("show-line-closed", show_in(Phase::Closed)),
        ("show-line", show(SaleStatus::Open, 812, false)),
        ("show-open", show(SaleStatus::Open, 812, true)),
        ("show-upcoming", show(SaleStatus::Upcoming, 2_400, false)),
        ("show-gone", show(SaleStatus::Open, 0, true)),
        ("show-held", {
            let mut show = shows[0].clone();
            (show.available_count, show.held_count) = (0, 14);
            shop::show(&ShowPage {
                show,
                phase: None,
                opens_in,
                may_choose: true,
                origin: ORIGIN.to_owned(),
            })
        }),
        ("show-closed", show(SaleStatus::Closed, 3, true)),
        ("show-cancelled", show(SaleStatus::Cancelled, 3, true)),
    ]
}

#[expect(clippy::too_many_lines, reason = "one page after the other")]
fn buying() -> Vec<(&'static str, String)> {
    let show = shows().remove(0);
    let seats = |problem: Option<Problem>| {
        shop::seats(&SeatsPage {
            show: show.clone(),
            left: left(),
            form_key: "k1".to_owned(),
            chosen: if problem.is_some() {
                vec!["C10".to_owned(), "C11".to_owned()]
            } else {
                Vec::new()
            },
            problem,
            example: "A10, A11".to_owned(),
            session_ends_at: Some(now().plus(Duration::from_secs(431))),
            now: now(),
        })
    };
    let rows = |step: RowsStep| {
        shop::rows(&RowsPage {
            show: show.clone(),
            form_key: "k2".to_owned(),
            step,
        })
    };
    let hold = |status: HoldStatus, problem: Option<Problem>| {
        shop::hold(&HoldPage {
            hold: sample_hold(status),
            show: show.clone(),
            now: now(),
            email: String::new(),
            quote: None,
            problem,
            types_are_open: true,
        })
    };
    let challenge = shop::challenge(&ChallengePage {
        action: "/holds/hld_0190163d8694739baea51966c26f8ad9/payments".to_owned(),
        fields: vec![("email".to_owned(), "fan@example.com".to_owned())],
        challenge: serde_json::json!({}),
        back: "/holds/hld_0190163d8694739baea51966c26f8ad9".to_owned(),
    });
    let mut withheld = sample_booking(show.clone());
    withheld.booking.withheld = true;
    let processing = shop::processing(&ProcessingPage {
        hold: sample_hold(HoldStatus::Paying),
        show: show.clone(),
    });
    let problem = |code: ProblemCode, detail: &str| {
        let mut problem = Problem::new(code).detail(detail);
        problem.request_id = Some("01jd5x8k3v".to_owned());
        shop::problem(&ProblemPage {
            problem,
            back: None,
        })
    };
    let taken = Problem::new(ProblemCode::SeatsUnavailable)
        .detail("Someone was a moment faster.")
        .with("seatIds", vec!["C10"]);
    let declined = Problem::new(ProblemCode::PaymentFailed)
        .detail("Your bank said there is not enough money on the card.");
    vec![
        ("seats", seats(None)),
        ("seats-taken", seats(Some(taken))),
        (
            "rows-sections",
            rows(RowsStep::Sections {
                sections: blocks(&["Stalls", "Circle"]),
            }),
        ),
        (
            "rows-rows",
            rows(RowsStep::Rows {
                section: "Circle".to_owned(),
                at: 1,
                rows: blocks(&["A", "B & C"]),
            }),
        ),
        (
            "rows-seats",
            rows(RowsStep::Seats {
                section: "Circle".to_owned(),
                at: 1,
                row: "A".to_owned(),
                seats: seat_map().seats.into_iter().take(12).collect(),
            }),
        ),
        ("hold", hold(HoldStatus::Active, None)),
        ("hold-priced", shop::hold(&priced_hold(show.clone(), None))),
        (
            "hold-coupon",
            shop::hold(&priced_hold(show.clone(), Some(sample_quote()))),
        ),
        ("hold-declined", hold(HoldStatus::Active, Some(declined))),
        ("hold-paying", hold(HoldStatus::Paying, None)),
        ("hold-expired", hold(HoldStatus::Expired, None)),
        ("hold-released", hold(HoldStatus::Released, None)),
        ("hold-confirmed", hold(HoldStatus::Confirmed, None)),
        ("processing", processing),
        ("challenge", challenge),
        ("booking-withheld", shop::booking(&withheld)),
        ("elsewhere", shop::elsewhere(shop::ElsewherePage::Arrived)),
        (
            "elsewhere-checking",
            shop::elsewhere(shop::ElsewherePage::Checking),
        ),
        ("booking", shop::booking(&sample_booking(show.clone()))),
        (
            "booking-offer",
            shop::booking(&sample_offer(show.clone(), false)),
        ),
        (
            "booking-guest",
            shop::booking(&sample_offer(show.clone(), true)),
        ),
        ("find", shop::find_booking(&FindPage::default())),
        (
            "my-bookings",
            shop::my_bookings(&MyBookingsPage {
                bookings: vec![own_booking(show.clone())],
            }),
        ),
        (
            "not-found",
            problem(ProblemCode::NotFound, "No show has this address."),
        ),
        (
            "busy",
            problem(
                ProblemCode::BookingBusy,
                "More holds are asked for than we can settle.",
            ),
        ),
    ]
}

/// The map that the scripts load.
pub(crate) fn seat_map() -> SeatMap {
    let mut seats = Vec::new();
    for (y, row) in (0_u32..).zip(('A'..='Z').chain('a'..='j')) {
        let category = ["PREMIUM", "GOLD", "SILVER"][(y / 12) as usize];
        for number in 1..=72_u32 {
            let dice = (y * 31 + number * 17) % 23;
            let status = match dice {
                0..=8 => SeatStatus::Booked,
                9..=11 => SeatStatus::Held,
                12 if number > 60 => SeatStatus::Blocked,
                _ => SeatStatus::Available,
            };
            let aisle = f64::from(number.saturating_sub(1) / 24) * 2.0;
            seats.push(Seat {
                seat_id: seat(&format!("{row}{number}")),
                section: ["Stalls", "Circle", "Gallery"][(y / 12) as usize].to_owned(),
                row: row.to_string(),
                number,
                category: category.to_owned(),
                status,
                price_minor: [499_900, 299_900, 149_900][(y / 12) as usize],
                x: f64::from(number) + aisle,
                y: f64::from(y + 1) + f64::from(y / 12) * 2.0,
                accessible: row == 'A' && number % 12 == 0,
            });
        }
    }
    SeatMap {
        show_id: "monsoon-mumbai-1".parse().expect("a slug"),
        version: 7,
        as_of: now(),
        seats,
    }
}

fn blocks(names: &[&str]) -> Vec<Block> {
    (0..)
        .zip(names)
        .map(|(at, name)| Block {
            name: (*name).to_owned(),
            left: at * 40,
            accessible: at,
        })
        .collect()
}

fn left() -> Vec<shop::CategoryLeft> {
    [("PREMIUM", 310, 12), ("GOLD", 0, 9), ("SILVER", 0, 0)]
        .map(|(category, left, held)| shop::CategoryLeft {
            category: category.to_owned(),
            left,
            held,
        })
        .into()
}

fn seat(text: &str) -> SeatId {
    text.parse().expect("a seat")
}

fn now() -> Timestamp {
    Timestamp::parse("2026-11-22T10:00:00Z").unwrap_or_default()
}

fn cities() -> Vec<City> {
    [
        ("bengaluru", "Bengaluru", 12),
        ("delhi", "Delhi", 31),
        ("mumbai", "Mumbai", 44),
        ("pune", "Pune", 1),
    ]
    .into_iter()
    .map(|(id, name, show_count)| City {
        city_id: id.parse().expect("a slug"),
        name: name.to_owned(),
        country: "IN".to_owned(),
        time_zone: "Asia/Kolkata".to_owned(),
        show_count,
    })
    .collect()
}

fn shows() -> Vec<Show> {
    let samples = [
        (
            "monsoon-mumbai-1",
            "Monsoon Strings",
            6,
            SaleStatus::Open,
            812,
        ),
        (
            "the-long-night",
            "The Long Night of Tabla",
            9,
            SaleStatus::Open,
            0,
        ),
        (
            "harbour-lights",
            "Harbour Lights: A Radio Play on Stage",
            30,
            SaleStatus::Upcoming,
            400,
        ),
        ("two-chairs", "Two Chairs", 34, SaleStatus::Cancelled, 10),
    ];
    let days = |n: u64| Duration::from_secs(n * 86_400);
    samples
        .into_iter()
        .map(|(id, title, in_hours, sale_status, available_count)| Show {
            show_id: id.parse().expect("a slug"),
            city_id: "mumbai".parse().expect("a slug"),
            title: title.to_owned(),
            description: "An evening of sarod, cello and rain recorded on tin roofs. \
                          The ensemble plays in the round, without a break, for ninety minutes."
                .to_owned(),
            genre: "Music".to_owned(),
            language: "Hindi".to_owned(),
            cast: vec!["Anoushka Rao".to_owned(), "The Tin Roof Quartet".to_owned()],
            venue: Venue {
                name: "Jamshed Hall".to_owned(),
                address: "Nariman Point, Mumbai".to_owned(),
                latitude: None,
                longitude: None,
            },
            time_zone: "Asia/Kolkata".to_owned(),
            starts_at: now().plus(Duration::from_secs(in_hours * 3600)),
            ends_at: now().plus(Duration::from_secs(in_hours * 3600)),
            sale_opens_at: now().plus(days(1)),
            sale_closes_at: now().plus(days(2)),
            sale_status,
            room: Some("monsoon".parse().expect("a slug")),
            ticket_limit: 6,
            hold_seconds: 600,
            currency: "INR".to_owned(),
            categories: [
                ("PREMIUM", "Premium", 499_900),
                ("GOLD", "Gold", 299_900),
                ("SILVER", "Silver", 149_900),
            ]
            .into_iter()
            .map(|(category, name, price_minor)| Category {
                category: category.to_owned(),
                name: name.to_owned(),
                price_minor,
                ticket_types: Vec::new(),
            })
            .collect(),
            fees: Vec::new(),
            taxes: Vec::new(),
            booking_fee_minor: 0,
            seat_count: 2_592,
            available_count,
            held_count: 0,
            refund_policy: None,
        })
        .collect()
}

/// A hold of a show with ticket types, fees and taxes.
fn priced_hold(mut show: Show, quote: Option<Quote>) -> HoldPage {
    let ticket_type = |code: &str, name: &str, price_minor| TicketType {
        code: code.to_owned(),
        name: name.to_owned(),
        price_minor,
    };
    show.categories[0].ticket_types = vec![
        ticket_type("ADULT", "Adult", 534_895),
        ticket_type("CHILD", "Child up to 14", 269_895),
    ];
    let ticket = |seat: &SeatLabel, code: &str, amount_minor| HeldTicket {
        seat_id: seat.seat_id.clone(),
        category: "PREMIUM".to_owned(),
        ticket_type: Some(code.to_owned()),
        amount_minor,
    };
    let hold = sample_hold(HoldStatus::Active);
    HoldPage {
        hold: Hold {
            amount_minor: 799_790,
            lines: sample_lines(0),
            tickets: vec![
                ticket(&hold.seats[0], "ADULT", 532_395),
                ticket(&hold.seats[1], "CHILD", 267_395),
            ],
            ..hold
        },
        show,
        now: now(),
        email: String::new(),
        quote,
        problem: None,
        types_are_open: true,
    }
}

fn sample_hold(status: HoldStatus) -> Hold {
    let booking = "bkg_0190163d8694739baea51966c26f8ad9".parse().ok();
    Hold {
        hold_id: "hold_0190163d8694739baea51966c26f8ad9"
            .parse()
            .expect("an id"),
        show_id: "monsoon-mumbai-1".parse().expect("a slug"),
        status,
        expires_at: now().plus(Duration::from_secs(524)),
        seat_ids: vec![seat("C11"), seat("C12")],
        seats: vec![label(11), label(12)],
        amount_minor: 999_800,
        lines: Vec::new(),
        tickets: Vec::new(),
        payment_started: false,
        currency: "INR".to_owned(),
        booking_id: booking.filter(|_| status == HoldStatus::Confirmed),
    }
}

fn label(number: u32) -> SeatLabel {
    SeatLabel {
        seat_id: seat(&format!("C{number}")),
        section: "Stalls".to_owned(),
        row: "C".to_owned(),
        number,
        accessible: number == 12,
    }
}

fn sample_booking(show: Show) -> BookingPage {
    let tickets = [11, 12].map(label).into_iter().map(|label| Ticket {
        ticket_id: "tkt_0190163d8694739baea51966c26f8ad9"
            .parse()
            .expect("an id"),
        seat_id: label.seat_id.clone(),
        seat: Some(label),
        ticket_type: None,
        ticket_type_name: None,
        amount_minor: None,
        qr: None,
        qr_svg: Some("images/icon.svg".to_owned()),
        holder_name: None,
        passed_on_to: None,
    });
    BookingPage {
        contact: Some(Contact {
            preferred: PreferredChannel::Sms,
            phone: Some("+91…10".to_owned()),
            push_count: 0,
            sms_offered: true,
            push_key: "BCVx".to_owned(),
        }),
        link: None,
        wallets: Wallets {
            apple: true,
            google: true,
        },
        booking: Booking {
            booking_id: "bkg_0190163d8694739baea51966c26f8ad9"
                .parse()
                .expect("an id"),
            code: "QX7-4KD".to_owned(),
            passed_on: false,
            tickets_url: None,
            status: BookingStatus::Confirmed,
            show_id: show.show_id.clone(),
            amount_minor: 999_800,
            currency: "INR".to_owned(),
            lines: Vec::new(),
            refunded_minor: 0,
            withheld: false,
            created_at: now(),
            tickets: tickets.collect(),
        },
        show,
        offer: None,
        transfer: None,
        base: "/bookings/bkg_0190163d8694739baea51966c26f8ad9".to_owned(),
        files: "/api/v1/bookings/bkg_0190163d8694739baea51966c26f8ad9".to_owned(),
        invoices: sample_invoices(now()),
        is_guest: false,
        code_was_sent: false,
        problem: None,
    }
}

fn own_booking(show: Show) -> MyBooking {
    let page = sample_booking(show);
    MyBooking {
        booking_id: page.booking.booking_id,
        code: page.booking.code,
        status: page.booking.status,
        ticket_count: 2,
        amount_minor: page.booking.amount_minor,
        refunded_minor: 0,
        currency: page.booking.currency,
        created_at: page.booking.created_at,
        show: page.show,
    }
}

/// The same booking while it can be cancelled; with a code after it was asked for.
fn sample_offer(show: Show, with_code: bool) -> BookingPage {
    let mut page = sample_booking(show);
    for (ticket, id) in page.booking.tickets.iter_mut().zip(["9", "8"]) {
        let text = format!("tkt_0190163d8694739baea51966c26f8ad{id}");
        ticket.ticket_id = text.parse().expect("an id");
    }
    let tickets = page.booking.tickets.iter().map(|ticket| TicketOffer {
        ticket_id: ticket.ticket_id,
        amount_minor: 489_900,
        kept_minor: 10_000,
    });
    page.offer = Some(RefundOffer {
        refundable: true,
        rule: None,
        amount_minor: 979_800,
        kept_minor: 20_000,
        pending_minor: 0,
        currency: "INR".to_owned(),
        until: Some(now().plus(Duration::from_hours(4))),
        single_tickets: true,
        code_required: with_code,
        goes_to_buyer: false,
        tickets: tickets.collect(),
    });
    page.transfer = Some(TransferOffer {
        transferable: true,
        rule: None,
        until: Some(now().plus(Duration::from_hours(6))),
        reissuable: true,
        ticket_ids: page.booking.tickets.iter().map(|it| it.ticket_id).collect(),
    });
    page.show.refund_policy = Some(RefundPolicy {
        free_until_hours: Some(48),
        shares: Vec::new(),
        kept_fee_minor: 10_000,
        kept_fee_percent: 0,
        single_tickets: true,
        code_required: with_code,
    });
    page.is_guest = with_code;
    page.code_was_sent = with_code;
    page
}
