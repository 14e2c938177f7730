//! Payments: one resolver moves all money.
//!
//! Notifications are never trusted; the provider is always asked. A confirmation, a webhook, a poll
//! and the end of a hold all call [`resolve`](resolver), which fetches the intent and decides under
//! the locks of hold and payment. Concurrent calls are safe.

mod accepting;
pub(crate) mod backoff;
mod coupon_off;
mod decision;
mod failover;
mod free;
pub(crate) mod gathered;
pub(crate) mod gathered_starts;
pub(crate) mod http_client;
mod lane;
mod look_again;
mod making;
mod orchestration;
pub mod provider;
mod putting_off;
pub(crate) mod questions;
mod razorpay;
pub(crate) mod reconcile;
pub(crate) mod reconcile_report;
pub(crate) mod refunds;
pub(crate) mod registry;
pub(crate) mod resolution;
pub(crate) mod resolver;
pub(crate) mod returned;
mod signature;
pub(crate) mod start;
mod stripe;
mod together;
mod twice;
pub(crate) mod webhooks;

/// What reads the webhooks of each kind of provider, for the fuzz targets.
#[cfg(feature = "fuzzing")]
pub fn webhook_readers(secret: &str) -> Vec<Box<dyn provider::PaymentProvider>> {
    let config = crate::config::PaymentConfig::simulator("http://127.0.0.1:9", "id:key", secret);
    let stripe = stripe::Stripe::new(&config).ok();
    let razorpay = razorpay::Razorpay::new(&config).ok();
    let boxed = |stripe| Box::new(stripe) as Box<dyn provider::PaymentProvider>;
    let razorpay = razorpay.map(|one| Box::new(one) as Box<dyn provider::PaymentProvider>);
    stripe.map(boxed).into_iter().chain(razorpay).collect()
}
