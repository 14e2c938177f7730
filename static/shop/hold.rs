//! A hold, and waiting for its payment.

use contract::booking::{Hold, HoldStatus, PaymentStatus, Show};
use contract::{Problem, Timestamp};
use serde::Serialize;

use crate::engine::render;

/// Pause before the processing page loads itself again.
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
    /// A fresh key that makes a form sent twice one request.
    pub form_key: String,
    /// What the visitor typed before, when a form was refused.
    pub email: String,
    /// What the visitor typed before, when a form was refused.
    pub coupon_code: String,
    /// The provider's page, when a payment was begun and can be gone on with.
    pub pay_url: Option<String>,
    /// Why a form or a payment was refused.
    pub problem: Option<Problem>,
}

/// A payment whose outcome is open.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessingPage {
    /// The hold that is paid for.
    pub hold: Hold,
    /// Its show.
    pub show: Show,
    /// How the payment stands.
    pub payment: PaymentStatus,
    /// The provider's page, while the customer still has something to do there.
    pub pay_url: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HoldView<'a> {
    hold: &'a Hold,
    show: &'a Show,
    now: Timestamp,
    form_key: &'a str,
    email: &'a str,
    coupon_code: &'a str,
    pay_url: Option<&'a str>,
    problem: Option<&'a Problem>,
    live: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessingView<'a> {
    hold: &'a Hold,
    show: &'a Show,
    pay_url: Option<&'a str>,
    refresh: u32,
}

/// The seats held, the time left, and the way to pay.
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
            form_key: &page.form_key,
            email: &page.email,
            coupon_code: &page.coupon_code,
            pay_url: page.pay_url.as_deref(),
            problem: page.problem.as_ref(),
            live,
        },
    )
}

/// The page shown while the outcome of a payment is open; it loads itself again.
pub fn processing(page: &ProcessingPage) -> String {
    let to_do = matches!(
        page.payment,
        PaymentStatus::Created | PaymentStatus::RequiresAction
    );
    render(
        "shop/processing.html",
        &ProcessingView {
            hold: &page.hold,
            show: &page.show,
            pay_url: page.pay_url.as_deref().filter(|_| to_do),
            refresh: REFRESH_SECONDS,
        },
    )
}
