//! Choosing seats.

use contract::booking::{Seat, Show};
use contract::{Problem, Timestamp};
use serde::Serialize;

use crate::engine::render;

/// Available seats of a category.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CategoryLeft {
    /// The category's code.
    pub category: String,
    /// Available seats.
    pub left: u64,
    /// Held seats, which may become available again.
    pub held: u64,
}

/// The seat map and the forms beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct SeatsPage {
    /// The show.
    pub show: Show,
    /// Available seats by category, in the show's order.
    pub left: Vec<CategoryLeft>,
    /// A new idempotency key, so that a form sent twice is one request.
    pub form_key: String,
    /// The seats that a refused form named, whether or not they exist.
    pub chosen: Vec<String>,
    /// Why the form was refused.
    pub problem: Option<Problem>,
    /// The name of a seat, as an example of what can be typed.
    pub example: String,
    /// When the visitor's session in the show's room ends; `None` without a session.
    pub session_ends_at: Option<Timestamp>,
    /// The present.
    pub now: Timestamp,
}

/// Choosing by section and row, without JavaScript and without the map.
#[derive(Clone, Debug, PartialEq)]
pub struct RowsPage {
    /// The show.
    pub show: Show,
    /// A new idempotency key, so that a form sent twice is one request.
    pub form_key: String,
    /// The present choice.
    pub step: RowsStep,
}

/// The steps of choosing.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum RowsStep {
    /// Sections of the hall, in map order.
    Sections {
        /// Each section.
        sections: Vec<Block>,
    },
    /// Rows of a section, in map order.
    Rows {
        /// The section's name.
        section: String,
        /// The section's index in the hall.
        at: usize,
        /// Each row.
        rows: Vec<Block>,
    },
    /// Available seats of a row.
    Seats {
        /// The section's name.
        section: String,
        /// The section's index in the hall.
        at: usize,
        /// The row's label.
        row: String,
        /// The seats.
        seats: Vec<Seat>,
    },
}

/// A section or a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Block {
    /// The name for fans.
    pub name: String,
    /// Available seats in it.
    pub left: u64,
    /// How many of them are reachable without steps.
    pub accessible: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Choice<'a> {
    category: &'a str,
    name: &'a str,
    price_minor: i64,
    left: u64,
    held: u64,
    pattern: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    show: &'a Show,
    choices: Vec<Choice<'a>>,
    form_key: &'a str,
    chosen: String,
    gone: Vec<&'a str>,
    problem: Option<&'a Problem>,
    example: &'a str,
    session_ends_at: Option<Timestamp>,
    now: Timestamp,
    /// Whether a category has ticket types.
    has_types: bool,
}

/// The page with the seat map.
pub fn seats(page: &SeatsPage) -> String {
    let left = |code: &str| {
        page.left
            .iter()
            .find(|entry| entry.category == code)
            .map_or((0, 0), |entry| (entry.left, entry.held))
    };
    let gone: Vec<&str> = page
        .problem
        .iter()
        .filter_map(|problem| problem.extra.get("seatIds")?.as_array())
        .flatten()
        .filter_map(|seat| seat.as_str())
        .collect();
    let chosen: Vec<&str> = page
        .chosen
        .iter()
        .map(String::as_str)
        .filter(|seat| !gone.contains(seat))
        .collect();
    let choices = page.show.categories.iter().enumerate();
    render(
        "shop/seats.html",
        &View {
            show: &page.show,
            choices: choices
                .map(|(pattern, category)| {
                    let (left, held) = left(&category.category);
                    Choice {
                        category: &category.category,
                        name: &category.name,
                        price_minor: category.price_minor,
                        left,
                        held,
                        pattern,
                    }
                })
                .collect(),
            form_key: &page.form_key,
            chosen: chosen.join(", "),
            gone,
            problem: page.problem.as_ref(),
            example: &page.example,
            session_ends_at: page.session_ends_at,
            now: page.now,
            has_types: page
                .show
                .categories
                .iter()
                .any(|category| !category.ticket_types.is_empty()),
        },
    )
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RowsView<'a> {
    show: &'a Show,
    form_key: &'a str,
    step: &'a RowsStep,
}

/// The page for choosing by section and row.
pub fn rows(page: &RowsPage) -> String {
    render(
        "shop/rows.html",
        &RowsView {
            show: &page.show,
            form_key: &page.form_key,
            step: &page.step,
        },
    )
}
