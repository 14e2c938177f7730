//! A stateful payment provider for demos and tests that speaks Stripe's and Razorpay's shapes.
//!
//! Both providers' own client libraries work with it: Stripe's at `/v1` for payment intents,
//! checkout sessions, refunds and disputes, Razorpay's at `/razorpay/v1` for payment links,
//! payments, refunds and disputes. It keeps its records
//! in a journal, so that they survive a crash, and it can be told to fail. [`serve`] runs it inside
//! another process; `ropeline-payment-simulator` is the same as a separate process.
//!
//! # How to provoke each failure
//!
//! Confirm with the method, or queue it as the `kind` of a fault (below).
//!
//! | # | Failure | Method |
//! | --- | --- | --- |
//! | 1 | insufficient funds | `pm_card_chargeDeclinedInsufficientFunds` |
//! | 2 | network timeout | `pm_sim_timeout_charged`, `pm_sim_timeout_declined`: it takes effect and the answer is held; `pm_sim_request_lost`: no effect, and the answer is held |
//! | 3 | gateway down | `pm_sim_gateway_down`: 503 |
//! | 4 | invalid card | `pm_sim_invalid_number`, `pm_card_chargeDeclinedIncorrectCvc`, `pm_card_chargeDeclined` |
//! | 5 | expired card | `pm_card_chargeDeclinedExpiredCard` |
//! | 6 | fraud | `pm_card_chargeDeclinedFraudulent` |
//! | 7 | 3-D Secure | `pm_card_threeDSecure2Required`: the customer approves or refuses on a page |
//! | 8 | processing | `pm_sim_processing_succeeds`; `pm_card_chargeDeclinedProcessingError` declines at once |
//! | 9 | bank timeout | `pm_sim_bank_timeout_succeeds`, `pm_sim_bank_timeout_fails` |
//! | 10 | rate limit | `pm_sim_rate_limited`: 429 |
//! | 11 | duplicate | `pm_sim_key_in_use`: 409; `pm_sim_duplicate_transaction`: declined |
//! | 12 | currency | `pm_sim_currency_unsupported`: 400; `pm_sim_currency_declined`: declined |
//! | 13 | amount mismatch | `pm_sim_amount_mismatch`: captures 100 minor units more, or a fault's `amount` |
//! | 14 | session expired | `pm_sim_late_success_after_cancel`: the bank speaks only once the merchant has given up |
//! | 15 | customer cancels | `pm_sim_customer_cancels`, or Cancel on the pay page |
//!
//! Beyond these: `pm_sim_late_success_after_decline`, and events that are
//! `pm_sim_webhooks_dropped`, `pm_sim_webhooks_duplicated` (five times),
//! `pm_sim_webhooks_reordered` (`processing` after `succeeded`) or `pm_sim_webhooks_delayed`.
//! `pm_card_visa` and `pm_card_mastercard` succeed. Stripe's card tokens and test numbers are
//! understood in `payment_method_data[card][token]` and `payment_method_data[card][number]`; a
//! number is never stored.
//!
//! # Faults
//!
//! `POST /_sim/faults` with the secret key and a JSON body lets the next matching call behave as
//! if `kind` had been its method:
//!
//! ```json
//! { "kind": "pm_sim_gateway_down", "on": "cancel", "metadata": { "hold_id": "h1" }, "times": 2 }
//! ```
//!
//! `on` is `confirm` (the default), `create`, `retrieve`, `cancel`, `capture` or `refund`; for calls
//! other than `confirm`, only the effect of `kind` on the call itself is applied. `payment_intent` and
//! `metadata` limit the calls that match, `delay_ms` replaces the configured answer hold or
//! settlement delay, and `amount` is the amount that an amount mismatch captures. `GET` lists the
//! queue, `DELETE` empties it. A fault is not used up by a confirm that is refused because of the
//! intent's status.
//!
//! For a payment link the calls are those about the link: `create`, `retrieve`, `cancel`, and
//! `refund` of its payments; `metadata` is its notes.
//!
//! # Outages
//!
//! `POST /_sim/outages` lets the API of one provider fail until told otherwise, not over a restart:
//!
//! ```json
//! { "provider": "razorpay", "mode": "down" }
//! ```
//!
//! `mode` is `down` (503), `rate_limited` (429), `loses_answers` (500 after the work is done),
//! `{"slow": {"delay_ms": 5000}}` or `up`. Connections are refused by a simulator that does not run;
//! one for each provider lets them fail apart.
//!
//! # The ledger
//!
//! `GET /_sim/ledger` with the secret key lists every intent, and every payment of a payment link, as a JSON array, or one object a
//! line for `Accept: application/x-ndjson`: `provider`, `payment_intent`, `status`, `currency`, `amount`,
//! `captures` (0 or 1), `captured`, `refunded`, `metadata`, `created`.
//!
//! # What the provider's dashboard and banks do
//!
//! A refund made in the dashboard is `POST /v1/refunds` without metadata. Refunds succeed at once,
//! except of payments with `pm_card_pendingRefund` (pending for the settlement delay),
//! `pm_card_refundFail` (each fails after the settlement delay, having succeeded) and
//! `pm_sim_refund_fails_once` (the first is pending and fails, the next succeed).
//! `POST /_sim/refunds/{id}/fail` makes a refund fail after its success.
//! `POST /_sim/disputes` with a JSON body opens a dispute, `POST /_sim/disputes/{id}` changes it:
//!
//! ```json
//! { "payment_intent": "pi_…", "amount": 500, "status": "needs_response" }
//! ```
//!
//! `amount` and `status` may be omitted. A `warning_…` status takes no money; `won` returns it.
//!
//! # The pay page
//!
//! `GET /pay/{intent}?client_secret=…` works without JavaScript. At the end it redirects to
//! `metadata[return_url]`, with `payment_intent` and `redirect_status` (`succeeded`, `processing`,
//! `canceled` or `failed`) added.
//!
//! A checkout session's page, `GET /c/pay/{session}`, leads there; its `Cancel` leads to the
//! session's `cancel_url` and cancels nothing. A payment link's page is `GET /razorpay/i/{link}`:
//! UPI, card, wallet or net banking, with the ending of a test method. At the end it redirects to
//! the `callback_url`, with Razorpay's parameters and signature. A bank that agrees after a failure
//! (`pm_sim_late_success_after_decline`) leaves the payment `authorized`, to be captured.
//!
//! # Webhooks
//!
//! Stripe's go to `--webhook-url`: what `--webhook-events` names, `*` for all, among them
//! `payment_intent.created`, `charge.succeeded` and `charge.failed`. Razorpay's go to
//! `--razorpay-webhook-url`.
//!
//! # What differs from Razorpay
//!
//! Stripe's test methods stand for the endings of a payment, whatever the customer pays with. UPI
//! links, partial payments, offers and settlements are not known. Of a link's options its page honours the
//! methods of the blocks that it shows, not their banks and networks.
//!
//! # What differs from Stripe
//!
//! The payment intent of a session exists from the first visit of its page, not from the first
//! payment. `expand` knows `latest_charge` of intents, and `payment_intent` and
//! `payment_intent.latest_charge` of sessions; everything else is refused.
//! The shop's payment id, in `metadata[payment_id]`, may be used in paths instead of an intent's
//! id, for programs that know only the shop's ids. With
//! `capture_method=manual` money waits for `POST /v1/payment_intents/{id}/capture`, for as long as one
//! likes, and all of it is taken. The only method is `card`. The smallest charges are those that Stripe lists; in other
//! currencies the smallest charge is 1. An idempotency key is kept for 24 hours; at most 200,000
//! keys are kept. Events are retried 14 times over about an hour.
//!
//! # Layout
//!
//! | Module | Subject |
//! | --- | --- |
//! | `intent`, `status`, `session`, `link`, `refund`, `dispute`, `method`, `fault` | pure state and what may happen to it |
//! | `object`, `razorpay_object` | the JSON of both providers |
//! | `payment`, `checkout`, `razorpay`, `refunding`, `disputing`, `listing` | the calls, decided at a `desk` |
//! | `outage` | how a whole API fails |
//! | `books`, `journal` | records, in memory and on disk |
//! | `provider` | one call at a time: decide, journal, apply, answer |
//! | `delivery`, `courier`, `signature` | the delivery of events |
//! | `http` | routes, authentication, pages |

mod books;
mod cancel_reason;
mod card;
mod checkout;
pub mod config;
mod courier;
mod currency;
mod delivery;
mod desk;
mod dispute;
mod disputing;
mod error;
mod fault;
mod form;
mod http;
mod id;
mod intent;
mod journal;
mod link;
mod listing;
mod method;
mod object;
mod outage;
mod payment;
mod provider;
mod razorpay;
mod razorpay_object;
mod refund;
mod refunding;
mod session;
mod signature;
mod status;

use std::time::Duration;

use contract::Clock;
use rand::SeedableRng;
use rand::rngs::SysRng;
use rand_chacha::ChaCha20Rng;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use config::{Config, Secret};
pub use journal::OpenError;

use courier::Courier;
use desk::{EventFilter, Rules};
use provider::Provider;

/// Longest time for running requests to finish after the signal to stop.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Why the simulator cannot start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The settings contradict themselves.
    #[error("{}", .0.join("; "))]
    Config(Vec<String>),
    /// The journal cannot be opened.
    #[error("the journal cannot be opened")]
    Open(#[from] OpenError),
    /// The journal cannot be written any more.
    #[error("the journal cannot be written")]
    JournalFailed,
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness")]
    Randomness(#[source] rand::rngs::SysError),
    /// The HTTP client of the webhooks cannot be made.
    #[error("the webhook client cannot be made")]
    Webhooks(#[source] reqwest::Error),
    /// The listener failed.
    #[error("the listener failed")]
    Listener(#[source] std::io::Error),
}

/// Serves on `listener` until `shutdown`, then finishes running requests.
///
/// Returns when everything that was answered is on disk.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    clock: impl Clock,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let problems = config.problems();
    if !problems.is_empty() {
        return Err(ServeError::Config(problems));
    }
    let rules = rules(&config, &listener)?;
    let rng = ChaCha20Rng::try_from_rng(&mut SysRng).map_err(ServeError::Randomness)?;
    let hook = |url: &Option<String>, secret: &config::Secret| {
        url.clone().map(|url| (url, secret.clone()))
    };
    let stripe = hook(&config.webhook_url, &config.webhook_secret);
    let razorpay = hook(
        &config.razorpay_webhook_url,
        &config.razorpay_webhook_secret,
    );
    let courier = Courier::new(stripe, razorpay).map_err(ServeError::Webhooks)?;
    let stop = shutdown.child_token();
    let secret = config.secret.clone();
    let open_stop = stop.clone();
    // Reading a long journal blocks, so it runs on a blocking thread.
    let opening = tokio::task::spawn_blocking(move || {
        let clock = Box::new(clock);
        Provider::open(&config.data_dir, rules, secret, clock, rng, open_stop)
    });
    let provider = match opening.await {
        Ok(opened) => opened?,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    };
    let tasks = TaskTracker::new();
    tasks.spawn(courier::settle_until_stopped(
        provider.clone(),
        stop.clone(),
    ));
    tasks.spawn(courier.run(provider.clone(), stop.clone()));
    let served = serve_http(provider.clone(), listener, &stop).await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    provider.close();
    served
}

fn rules(config: &Config, listener: &TcpListener) -> Result<Rules, ServeError> {
    let address = listener.local_addr().map_err(ServeError::Listener)?;
    let base_url = match &config.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{address}"),
    };
    Ok(Rules {
        settle_delay: Duration::from_millis(config.settle_delay_ms),
        answer_hold: Duration::from_millis(config.answer_hold_ms),
        webhook_delay: Duration::from_millis(config.webhook_delay_ms),
        webhook_events: match config.webhook_url {
            Some(_) => EventFilter::parse(&config.webhook_events),
            None => EventFilter::default(),
        },
        sends_razorpay_webhooks: config.razorpay_webhook_url.is_some(),
        razorpay_key: config.razorpay_secret.clone(),
        base_url,
    })
}

async fn serve_http(
    provider: Provider,
    listener: TcpListener,
    stop: &CancellationToken,
) -> Result<(), ServeError> {
    let router = http::router(provider.clone());
    let graceful =
        axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let drained = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN_MAX).await;
    };
    tokio::select! {
        served = graceful => served.map_err(ServeError::Listener),
        () = provider.failed() => Err(ServeError::JournalFailed),
        () = drained => {
            tracing::warn!("http.drain_timeout: connections were cut");
            Ok(())
        }
    }
}
