//! A hold, and the page while its payment is processed.

use contract::booking::{Hold, HoldStatus, Show};
use contract::{Problem, Timestamp};
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
    /// Why a form or a payment was refused.
    pub problem: Option<Problem>,
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
    live: bool,
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
    render(
        "shop/hold.html",
        &HoldView {
            hold,
            show: &page.show,
            now: page.now,
            email: &page.email,
            problem: page.problem.as_ref(),
            live,
        },
    )
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
