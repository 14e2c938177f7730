//! A hold, and the page while its payment is processed.

use contract::booking::{Hold, HoldStatus, SeatLabel, Show};
use contract::coupon::Quote;
use contract::pricing::{LineKind, PriceLine, TicketType};
use contract::{Problem, SeatId, Timestamp};
use serde::Serialize;

use crate::engine::render;

/// Pause before the processing page reloads, in seconds.
const REFRESH_SECONDS: u32 = 2;

/// A hold of the visitor's.
#[derive(Clone, Debug, PartialEq)]
pub struct HoldPage {
    /// The hold.
    pub hold: Hold,
    /// Its show.
    pub show: Show,
    /// The present.
    pub now: Timestamp,
    /// The address that the visitor typed, if the form was refused.
    pub email: String,
    /// The price with a coupon that is tried.
    pub quote: Option<Quote>,
    /// Why a form or a payment was refused.
    pub problem: Option<Problem>,
    /// Whether what the seats are sold as can still be changed.
    pub types_are_open: bool,
}

/// A payment whose outcome is not known yet.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessingPage {
    /// The hold that is paid for.
    pub hold: Hold,
    /// Its show.
    pub show: Show,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HoldView<'a> {
    hold: &'a Hold,
    show: &'a Show,
    now: Timestamp,
    email: &'a str,
    problem: Option<&'a Problem>,
    /// The price to pay: the hold's, or that with a coupon that is tried.
    amount_minor: i64,
    lines: &'a [PriceLine],
    /// The coupon that is tried, or that the price contains.
    coupon: Option<&'a str>,
    live: bool,
    /// What each seat may be sold as, unless none has types or a payment was begun.
    choices: Vec<TypeChoice<'a>>,
}

/// A seat with the types of its category.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TypeChoice<'a> {
    seat: Option<&'a SeatLabel>,
    seat_id: &'a SeatId,
    /// Of the category.
    name: &'a str,
    types: &'a [TicketType],
    chosen: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessingView<'a> {
    hold: &'a Hold,
    show: &'a Show,
    refresh: u32,
}

/// The held seats, the time left, and the payment form.
pub fn hold(page: &HoldPage) -> String {
    let hold = &page.hold;
    let live = matches!(hold.status, HoldStatus::Active | HoldStatus::Paying)
        && hold.expires_at > page.now;
    let quote = page.quote.as_ref();
    render(
        "shop/hold.html",
        &HoldView {
            hold,
            show: &page.show,
            now: page.now,
            email: &page.email,
            problem: page.problem.as_ref(),
            amount_minor: quote.map_or(hold.amount_minor, |quote| quote.amount_minor),
            lines: quote.map_or(&hold.lines, |quote| &quote.lines),
            coupon: quote.map_or_else(|| coupon_of(hold), |quote| Some(&quote.coupon_code)),
            live,
            choices: choices(page),
        },
    )
}

/// The coupon that the price of the hold contains.
fn coupon_of(hold: &Hold) -> Option<&str> {
    let mut lines = hold.lines.iter();
    let discount = lines.find(|line| line.kind == LineKind::Discount);
    discount.map(|line| line.name.as_str())
}

fn choices(page: &HoldPage) -> Vec<TypeChoice<'_>> {
    let choices = page.hold.tickets.iter().enumerate().map(|(at, ticket)| {
        let mut categories = page.show.categories.iter();
        let category = categories.find(|category| category.category == ticket.category);
        TypeChoice {
            seat: page.hold.seats.get(at),
            seat_id: &ticket.seat_id,
            name: category.map_or(&ticket.category, |category| &category.name),
            types: category.map_or(&[], |category| &category.ticket_types),
            chosen: ticket.ticket_type.as_deref(),
        }
    });
    let choices: Vec<TypeChoice<'_>> = choices.collect();
    if page.types_are_open && choices.iter().any(|choice| !choice.types.is_empty()) {
        choices
    } else {
        Vec::new()
    }
}

/// The page while the outcome of a payment is not known yet; it reloads itself.
pub fn processing(page: &ProcessingPage) -> String {
    render(
        "shop/processing.html",
        &ProcessingView {
            hold: &page.hold,
            show: &page.show,
            refresh: REFRESH_SECONDS,
        },
    )
}
