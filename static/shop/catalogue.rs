//! Cities, the shows of a city, one show.

use std::time::Duration;

use contract::booking::{City, SaleStatus, Show};
use contract::line::Phase;
use serde::Serialize;
use serde_json::Value;

use super::event;
use crate::engine::render;
use crate::moment::{Form, span, when};
use crate::percent::encode;

/// All cities, and the next shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CityListPage {
    /// By name.
    pub cities: Vec<City>,
    /// The next shows in any city, by starting time.
    pub coming: Vec<Show>,
    /// The shop's origin, as `https://host`.
    pub origin: String,
}

/// Shows of a city.
#[derive(Clone, Debug, PartialEq)]
pub struct CityPage {
    /// The city.
    pub city: City,
    /// The requested day, `YYYY-MM-DD`; `None` for all days to come.
    pub date: Option<String>,
    /// The search text.
    pub q: Option<String>,
    /// The matching shows, by starting time.
    pub shows: Vec<Show>,
    /// The shop's origin, as `https://host`.
    pub origin: String,
}

/// One show.
#[derive(Clone, Debug, PartialEq)]
pub struct ShowPage {
    /// The show.
    pub show: Show,
    /// The phase of its room, if it has one and the phase is known.
    pub phase: Option<Phase>,
    /// Time until the sale opens; `None` once it has, or never will.
    pub opens_in: Option<Duration>,
    /// Whether the visitor may choose seats: there is no room, or they hold its pass.
    pub may_choose: bool,
    /// The shop's origin, as `https://host`.
    pub origin: String,
}

#[derive(Serialize)]
struct Day<'a> {
    heading: String,
    shows: Vec<&'a Show>,
}

#[derive(Serialize)]
struct CityView<'a> {
    city: &'a City,
    date: &'a str,
    q: &'a str,
    days: Vec<Day<'a>>,
    origin: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a part of the page that is shown or not"
)]
struct ShowView<'a> {
    show: &'a Show,
    phase: Option<Phase>,
    opens_in: Option<String>,
    may_choose: bool,
    line: Option<String>,
    on_sale: bool,
    gone: bool,
    sold_out: bool,
    origin: &'a str,
    summary: String,
    event: Value,
}

/// The start page.
pub fn city_list(page: &CityListPage) -> String {
    render("shop/cities.html", page)
}

/// Shows of a city, by day.
pub fn city(page: &CityPage) -> String {
    let mut days: Vec<Day<'_>> = Vec::new();
    for show in &page.shows {
        let heading = when(show.starts_at, &show.time_zone, Form::Day);
        match days.last_mut() {
            Some(day) if day.heading == heading => day.shows.push(show),
            _ => days.push(Day {
                heading,
                shows: vec![show],
            }),
        }
    }
    render(
        "shop/city.html",
        &CityView {
            city: &page.city,
            date: page.date.as_deref().unwrap_or_default(),
            q: page.q.as_deref().unwrap_or_default(),
            days,
            origin: &page.origin,
        },
    )
}

/// One show with prices and the link to its seats or its line.
pub fn show(page: &ShowPage) -> String {
    let show = &page.show;
    let line = show.room.as_ref().filter(|_| !page.may_choose).map(|room| {
        let to = encode(&format!("/shows/{}/seats", show.show_id), b"/");
        format!("/_line/rooms/{room}?to={to}")
    });
    render(
        "shop/show.html",
        &ShowView {
            show,
            phase: page.phase,
            opens_in: page.opens_in.map(span),
            may_choose: page.may_choose,
            line,
            on_sale: show.sale_status == SaleStatus::Open,
            gone: show.available_count == 0,
            sold_out: show.available_count == 0 && show.held_count == 0,
            origin: &page.origin,
            summary: event::summary(show),
            event: event::event(show, &page.origin),
        },
    )
}
