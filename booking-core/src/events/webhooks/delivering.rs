//! The work on deliveries: from the log to the receivers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::Instant;
use uuid::Uuid;

use super::client::{CALL_MAX, Message};
use super::outcome::{self, Called, Next};
use crate::config::{DELIVERIES_AT_ONCE, DELIVERIES_DUE_MAX, DELIVERY_BATCH_MAX, EVENT_BATCH_MAX};
use crate::core::Core;
use crate::database::StoreError;
use crate::delivery::DeliveryStatus;
use crate::event::Event;
use crate::store::deliveries::{self, ClaimedDelivery, Tried};
use crate::store::events;
use crate::store::subscriptions::{self, SubscriptionRow};
use crate::telemetry;

/// Attempts at claimed deliveries begin within this span; what is left waits for the end of its
/// lease.
const BEGIN_WITHIN: Duration = Duration::from_secs(30);
/// How long a process may try a delivery before others take it: an attempt that begins last ends
/// before, with some time to record it.
const LEASE: Duration = Duration::from_secs(BEGIN_WITHIN.as_secs() + CALL_MAX.as_secs() + 15);
/// Attempts to record an outcome, a second apart.
const RECORD_TRIES_MAX: u32 = 10;
/// Longest failure that is stored, in characters.
const ERROR_CHARS_MAX: usize = 300;

/// The task of one subscription. Its end frees the subscription also when it panics.
struct Delivering {
    core: Arc<Core>,
    subscription_id: Uuid,
}

impl Drop for Delivering {
    fn drop(&mut self) {
        self.core.delivering.end(self.subscription_id);
    }
}

impl Core {
    /// Makes deliveries of new events. Returns how many events were looked at, of all subscriptions.
    pub(crate) async fn fan_out_once(&self) -> Result<usize, StoreError> {
        let pool = &self.pools.jobs;
        let limits = (EVENT_BATCH_MAX, DELIVERIES_DUE_MAX);
        let mut looked_at = 0;
        for subscription_id in deliveries::behind(pool).await? {
            let now = self.clock.now();
            looked_at += deliveries::fan_out(pool, subscription_id, limits, now).await?;
        }
        Ok(looked_at)
    }

    /// Makes deliveries, and tries those that are due, a batch of each subscription. Returns how
    /// many were tried. Waits for all; the background work does not: [`Core::deliver_start`].
    pub(crate) async fn deliver_once(&self) -> Result<usize, StoreError> {
        let looked_at = self.fan_out_once().await?;
        let due = deliveries::subscriptions_due(&self.pools.jobs, self.clock.now()).await?;
        let rounds = due
            .into_iter()
            .map(|subscription| self.deliver_to(subscription));
        let mut tried = 0;
        for round in futures_util::future::join_all(rounds).await {
            tried += round?;
        }
        Ok(looked_at + tried)
    }

    /// Makes deliveries, and starts a task for each subscription with some that are due, unless this
    /// process has one already. So there are at most as many as subscriptions.
    pub(crate) async fn deliver_start(self: &Arc<Self>) -> Result<usize, StoreError> {
        let looked_at = self.fan_out_once().await?;
        let due = deliveries::subscriptions_due(&self.pools.jobs, self.clock.now()).await?;
        for subscription_id in due {
            if !self.delivering.begin(subscription_id) {
                continue;
            }
            let task = Delivering {
                core: Arc::clone(self),
                subscription_id,
            };
            self.work.start(async move {
                task.core.deliver_all(subscription_id).await;
            });
        }
        Ok(looked_at)
    }

    async fn deliver_all(&self, subscription_id: Uuid) {
        while !self.shutdown.is_cancelled() {
            match self.deliver_to(subscription_id).await {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => {
                    // The worker fails in the same outage and says so once.
                    let error = &error as &dyn std::error::Error;
                    tracing::debug!(error, "deliveries wait for the end of their lease");
                    return;
                }
            }
        }
    }

    /// Tries a batch of a subscription's deliveries. Returns how many were claimed.
    async fn deliver_to(&self, subscription_id: Uuid) -> Result<usize, StoreError> {
        // Taken before the lease begins, by a clock that nobody sets.
        let begin_until = Instant::now() + BEGIN_WITHIN;
        let pool = &self.pools.jobs;
        let now = self.clock.now();
        let until = now.plus(LEASE);
        let batch = DELIVERY_BATCH_MAX;
        let claimed = deliveries::claim_due(pool, subscription_id, now, until, batch).await?;
        if claimed.is_empty() {
            return Ok(0);
        }
        let Some(subscription) = subscriptions::list(pool, Some(subscription_id))
            .await?
            .pop()
        else {
            return Ok(0);
        };
        let positions: Vec<i64> = claimed.iter().map(|delivery| delivery.position).collect();
        let events = events::at(pool, &positions).await?;
        let events: HashMap<i64, Event> = events
            .into_iter()
            .map(|event| (event.position, event))
            .collect();
        let count = claimed.len();
        stream::iter(claimed)
            .for_each_concurrent(DELIVERIES_AT_ONCE, async |delivery| {
                let Some(event) = events.get(&delivery.position) else {
                    return;
                };
                if self.shutdown.is_cancelled() || Instant::now() > begin_until {
                    return;
                }
                if let Err(error) = self.deliver(&subscription, event, &delivery).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, subscription = %subscription_id, "a delivery was not recorded");
                }
            })
            .await;
        Ok(count)
    }

    async fn deliver(
        &self,
        subscription: &SubscriptionRow,
        event: &Event,
        delivery: &ClaimedDelivery,
    ) -> Result<(), StoreError> {
        let called = self.call(subscription, event).await;
        let now = self.clock.now();
        let chance = u64::from_be_bytes(self.randomness.bytes());
        let attempts = delivery.attempt_count;
        let next = outcome::next(&called, attempts, delivery.due_since, chance, now);
        let (status, next_attempt_at) = match next {
            Next::Delivered => (DeliveryStatus::Delivered, now),
            Next::Again(at) => (DeliveryStatus::Due, at),
            Next::GiveUp => (DeliveryStatus::Failed, now),
        };
        let tried = Tried {
            status,
            next_attempt_at,
            answer_status: called.status.and_then(|status| i16::try_from(status).ok()),
            error: called
                .failure()
                .map(|why| why.chars().take(ERROR_CHARS_MAX).collect()),
        };
        let word = match status {
            DeliveryStatus::Delivered => "delivered",
            DeliveryStatus::Due => "failed",
            DeliveryStatus::Failed => "given-up",
        };
        metrics::counter!(telemetry::EVENT_DELIVERIES, "outcome" => word).increment(1);
        let mut records = 1;
        let is_disabled = loop {
            let because = |since| outcome::disabled_because(&called, since, now);
            match deliveries::record(&self.pools.jobs, delivery, &tried, because, now).await {
                Err(error) if error.is_transient() && records < RECORD_TRIES_MAX => {
                    records += 1;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                recorded => break recorded?,
            }
        };
        if is_disabled {
            let subscription = contract::SubscriptionId::new(subscription.subscription_id);
            tracing::warn!(%subscription, "a subscription was disabled: its receiver takes nothing");
        }
        Ok(())
    }

    /// Calls the receiver of a subscription with an event.
    pub(super) async fn call(&self, subscription: &SubscriptionRow, event: &Event) -> Called {
        let body = match serde_json::to_vec(event) {
            Ok(body) => Bytes::from(body),
            Err(error) => {
                return Called {
                    error: Some(error.to_string()),
                    ..Called::default()
                };
            }
        };
        let id = event.id.to_string();
        let message = Message {
            url: &subscription.url,
            id: &id,
            body,
            secrets: &subscription.secrets,
        };
        self.webhooks.call(message, self.clock.now()).await
    }
}
