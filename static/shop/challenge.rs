//! The page that solves a challenge.

use serde::Serialize;
use serde_json::Value;

use crate::engine::render;

/// A form that is sent again once a challenge is solved.
#[derive(Clone, Debug, PartialEq)]
pub struct ChallengePage {
    /// Where the form goes.
    pub action: String,
    /// Its fields, as the visitor filled them.
    pub fields: Vec<(String, String)>,
    /// The challenge.
    pub challenge: Value,
    /// Where the visitor came from.
    pub back: String,
}

#[derive(Serialize)]
struct View<'a> {
    action: &'a str,
    fields: &'a [(String, String)],
    challenge: String,
    back: &'a str,
}

/// The page, which works for itself and then sends the form.
pub fn challenge(page: &ChallengePage) -> String {
    render(
        "shop/challenge.html",
        &View {
            action: &page.action,
            fields: &page.fields,
            challenge: page.challenge.to_string(),
            back: &page.back,
        },
    )
}
