//! Choosing seats.

use contract::booking::{SeatMap, SeatStatus, Show};
use contract::{Problem, SeatId};
use serde::Serialize;

use crate::engine::render;

/// Seats of a category that can be held now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CategoryLeft {
    /// The category's code.
    pub category: String,
    /// How many.
    pub left: u64,
}

/// The seat map and the forms beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct SeatsPage {
    /// The show.
    pub show: Show,
    /// What is left, in the show's order of categories; see [`categories_left`].
    pub left: Vec<CategoryLeft>,
    /// A fresh key that makes a form sent twice one request.
    pub form_key: String,
    /// What the visitor typed or chose before, when a form was refused.
    pub chosen: Vec<SeatId>,
    /// Why it was refused.
    pub problem: Option<Problem>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Choice<'a> {
    category: &'a str,
    name: &'a str,
    price_minor: i64,
    left: u64,
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
}

/// What can be held now, by category, in the order of the show's categories.
pub fn categories_left(show: &Show, map: &SeatMap) -> Vec<CategoryLeft> {
    show.categories
        .iter()
        .map(|category| CategoryLeft {
            category: category.category.clone(),
            left: map
                .seats
                .iter()
                .filter(|seat| {
                    seat.status == SeatStatus::Available && seat.category == category.category
                })
                .map(|_| 1)
                .sum(),
        })
        .collect()
}

/// The page on which seats are chosen.
pub fn seats(page: &SeatsPage) -> String {
    let left = |code: &str| {
        page.left
            .iter()
            .find(|entry| entry.category == code)
            .map_or(0, |entry| entry.left)
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
        .map(SeatId::as_str)
        .filter(|seat| !gone.contains(seat))
        .collect();
    let choices = page.show.categories.iter().enumerate();
    render(
        "shop/seats.html",
        &View {
            show: &page.show,
            choices: choices
                .map(|(pattern, category)| Choice {
                    category: &category.category,
                    name: &category.name,
                    price_minor: category.price_minor,
                    left: left(&category.category),
                    pattern,
                })
                .collect(),
            form_key: &page.form_key,
            chosen: chosen.join(", "),
            gone,
            problem: page.problem.as_ref(),
        },
    )
}
