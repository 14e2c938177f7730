//! The page for a payment that returned in another browser than it was started in.

use serde::Serialize;

use crate::engine::render;

/// Pause before the page reloads while the payment is checked, in seconds.
const REFRESH_SECONDS: u32 = 5;

/// The state of the payment. The page shows neither seats nor tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElsewherePage {
    /// The outcome is not known yet.
    Checking,
    /// The tickets are booked.
    Arrived,
    /// The money came too late and is given back.
    GoesBack,
    /// No money was captured.
    NotPaid,
}

#[derive(Serialize)]
struct View {
    heading: &'static str,
    lede: &'static str,
    advice: &'static str,
    refresh: Option<u32>,
}

/// The page with the state of the payment and a link to go on.
pub fn elsewhere(page: ElsewherePage) -> String {
    let (heading, lede) = match page {
        ElsewherePage::Checking => (
            "We are checking your payment",
            "This takes a few seconds, rarely longer. Please do not pay again.",
        ),
        ElsewherePage::Arrived => (
            "Your payment has arrived",
            "Your tickets are booked and safe.",
        ),
        ElsewherePage::GoesBack => (
            "Your payment goes back to you",
            "It came after the time to pay was over, so the seats could not be booked.",
        ),
        ElsewherePage::NotPaid => ("The payment did not go through", "Nothing was charged."),
    };
    let advice = match page {
        ElsewherePage::Checking | ElsewherePage::Arrived => {
            "This is not the browser in which you chose your seats, so it cannot show the tickets. \
             Go back to the browser in which you began; they are there."
        }
        ElsewherePage::GoesBack | ElsewherePage::NotPaid => {
            "Go back to the browser in which you began to go on from there."
        }
    };
    let refresh = (page == ElsewherePage::Checking).then_some(REFRESH_SECONDS);
    render(
        "shop/elsewhere.html",
        &View {
            heading,
            lede,
            advice,
            refresh,
        },
    )
}
