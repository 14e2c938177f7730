//! Background work: delayed bank decisions, and the delivery of events.

use std::collections::HashSet;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Secret;
use crate::delivery::{Delivery, Hook};
use crate::provider::Provider;
use crate::signature::{sign, sign_plain};

/// Events that are delivered concurrently.
const IN_FLIGHT_MAX: usize = 32;

/// Longest wait for the merchant's response to an event.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest sleep before the clock is read again, because the wall clock may be set while a timer
/// runs.
const NAP_MAX: Duration = Duration::from_millis(100);

/// Delivers events.
#[derive(Clone)]
pub(crate) struct Courier {
    client: reqwest::Client,
    /// URL and secret of the webhook of each provider that has one.
    stripe: Option<(String, Secret)>,
    razorpay: Option<(String, Secret)>,
}

impl Courier {
    /// A courier that posts each provider's events to its URL, signed with its secret.
    pub(crate) fn new(
        stripe: Option<(String, Secret)>,
        razorpay: Option<(String, Secret)>,
    ) -> Result<Self, reqwest::Error> {
        Ok(Self {
            client: reqwest::Client::builder()
                .timeout(ACCEPT_TIMEOUT)
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .build()?,
            stripe,
            razorpay,
        })
    }

    /// Sends events when they are due, until `shutdown`.
    pub(crate) async fn run(self, provider: Provider, shutdown: CancellationToken) {
        let mut busy = HashSet::new();
        let mut tries = JoinSet::new();
        loop {
            let free = IN_FLIGHT_MAX - tries.len();
            let (due, next) = provider.due_deliveries(free, &mut busy).await;
            for delivery in due {
                let courier = self.clone();
                let provider = provider.clone();
                tries.spawn(async move {
                    let arrived = courier.try_once(&delivery, &provider).await;
                    provider.delivery_tried(&delivery, arrived);
                    delivery.id
                });
            }
            let full = tries.len() == IN_FLIGHT_MAX;
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(done) = tries.join_next() => match done {
                    Ok(id) => { busy.remove(&id); }
                    Err(error) => tracing::error!(%error, "webhook.task_failed"),
                },
                () = provider.deliveries_changed(), if !full => {}
                () = nap(next), if !full => {}
            }
        }
    }

    async fn try_once(&self, delivery: &Delivery, provider: &Provider) -> bool {
        let hook = match delivery.hook {
            Hook::Stripe => &self.stripe,
            Hook::Razorpay => &self.razorpay,
        };
        // Nobody listens any more.
        let Some((url, secret)) = hook else {
            return true;
        };
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json; charset=utf-8")
            .body(delivery.body.clone());
        let request = match delivery.hook {
            Hook::Stripe => {
                let signature = sign(secret.expose(), provider.now(), &delivery.body);
                request.header("stripe-signature", signature)
            }
            Hook::Razorpay => request
                .header(
                    "x-razorpay-signature",
                    sign_plain(secret.expose(), &delivery.body),
                )
                .header("x-razorpay-event-id", delivery.id.event().as_ref()),
        };
        match request.send().await {
            Ok(response) if response.status().is_success() => true,
            Ok(response) => {
                let status = response.status().as_u16();
                tracing::debug!(delivery = %delivery.id, status, "webhook.refused");
                false
            }
            Err(error) => {
                tracing::debug!(delivery = %delivery.id, %error, "webhook.failed");
                false
            }
        }
    }
}

/// Applies bank decisions when they are due, until `shutdown`.
pub(crate) async fn settle_until_stopped(provider: Provider, shutdown: CancellationToken) {
    loop {
        let next = provider.settle_once();
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = provider.settlements_changed() => {}
            () = nap(next) => {}
        }
    }
}

/// Sleeps until `next`, but at most `NAP_MAX`; for ever if nothing is due.
async fn nap(next: Option<Duration>) {
    match next {
        Some(next) => tokio::time::sleep(next.min(NAP_MAX)).await,
        None => std::future::pending().await,
    }
}
