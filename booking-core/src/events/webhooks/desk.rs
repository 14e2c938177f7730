//! [`Booking`] for subscriptions: what operators do with them.

use std::sync::Arc;
use std::time::Duration;

use contract::{EventId, SubscriptionId};
use serde_json::json;

use super::client::CALL_MAX;
use super::target;
use crate::config::{DELIVERIES_LISTED_MAX, DELIVERY_PATIENCE, SUBSCRIPTIONS_MAX};
use crate::core::Core;
use crate::database::StoreError;
use crate::delivery::DeliveryStatus;
use crate::event::Event;
use crate::event::SCHEMA_VERSION;
use crate::handle::Booking;
use crate::store::deliveries::{self, DeliveryRow};
use crate::store::subscriptions::{self, SubscriptionRow};
use crate::webhook_secrets::Secrets;

/// A subscription that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) url: String,
    pub(crate) description: String,
    pub(crate) kinds: Vec<String>,
    /// Events after this position; the end of the log when absent.
    pub(crate) after: Option<i64>,
}

/// What came of a change.
#[derive(Clone, Debug)]
pub(crate) enum SubscriptionChange<T> {
    Done(T),
    Unknown,
    /// It is not in the state for it.
    Conflict,
}

/// What a receiver made of a test.
#[derive(Clone, Debug)]
pub(crate) struct TestOutcome {
    pub(crate) taken: bool,
    pub(crate) answer_status: Option<u16>,
    pub(crate) error: Option<String>,
}

impl Booking {
    /// Why no webhook may go to this URL, if so.
    pub(crate) fn webhook_refusal(&self, url: &str) -> Option<&'static str> {
        target::read(url, self.0.webhooks.private_allowed()).err()
    }

    /// Creates a subscription, unless there are too many.
    pub(crate) async fn subscription_create(
        &self,
        wish: Wish,
    ) -> Result<Option<SubscriptionRow>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.subscription_create(wish).await };
        self.0.work.run(work).await
    }

    /// One subscription, or all.
    pub(crate) async fn subscriptions(
        &self,
        only: Option<SubscriptionId>,
    ) -> Result<Vec<SubscriptionRow>, StoreError> {
        let core = Arc::clone(&self.0);
        let only = only.map(SubscriptionId::uuid);
        let work = async move { subscriptions::list(&core.pools.reads, only).await };
        self.0.work.run(work).await
    }

    /// Deletes a subscription. Returns whether it existed.
    pub(crate) async fn subscription_delete(&self, id: SubscriptionId) -> Result<bool, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { subscriptions::delete(&core.pools.jobs, id.uuid()).await };
        self.0.work.run(work).await
    }

    /// Enables a subscription that was disabled.
    pub(crate) async fn subscription_enable(
        &self,
        id: SubscriptionId,
    ) -> Result<SubscriptionChange<SubscriptionRow>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move {
            let now = core.clock.now();
            let done = subscriptions::enable(&core.pools.jobs, id.uuid(), now).await?;
            core.changed(id, done).await
        };
        self.0.work.run(work).await
    }

    /// Disables a subscription for an operator.
    pub(crate) async fn subscription_disable(
        &self,
        id: SubscriptionId,
    ) -> Result<SubscriptionChange<SubscriptionRow>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move {
            let (now, why) = (core.clock.now(), "an operator disabled it");
            let mut connection = core.pools.jobs.acquire().await?;
            let done = subscriptions::disable(&mut connection, id.uuid(), why, now).await?;
            drop(connection);
            core.changed(id, done).await
        };
        self.0.work.run(work).await
    }

    /// Exchanges the secret of a subscription.
    pub(crate) async fn subscription_rotate(
        &self,
        id: SubscriptionId,
        overlap: Duration,
    ) -> Result<SubscriptionChange<SubscriptionRow>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move {
            let pool = &core.pools.jobs;
            let Some(found) = subscriptions::list(pool, Some(id.uuid())).await?.pop() else {
                return Ok(SubscriptionChange::Unknown);
            };
            let now = core.clock.now();
            let after = found
                .secrets
                .exchanged(core.randomness.bytes(), overlap, now);
            let before = &found.secrets;
            let done = subscriptions::exchange(pool, id.uuid(), before, &after, now).await?;
            core.changed(id, done).await
        };
        self.0.work.run(work).await
    }

    /// Delivers all events after a position again.
    pub(crate) async fn subscription_replay(
        &self,
        id: SubscriptionId,
        after: i64,
    ) -> Result<SubscriptionChange<SubscriptionRow>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move {
            let done = subscriptions::rewind(&core.pools.jobs, id.uuid(), after).await?;
            core.changed(id, done).await
        };
        self.0.work.run(work).await
    }

    /// Sends an event to a receiver that is in no log.
    pub(crate) async fn subscription_test(
        &self,
        id: SubscriptionId,
    ) -> Result<Option<TestOutcome>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move {
            let found = subscriptions::list(&core.pools.reads, Some(id.uuid()))
                .await?
                .pop();
            let Some(subscription) = found else {
                return Ok(None);
            };
            let now = core.clock.now();
            let event = Event {
                id: EventId::new(core.randomness.uuid(now)),
                position: 0,
                kind: "subscription.test".to_owned(),
                version: SCHEMA_VERSION,
                timestamp: now,
                data: json!({ "subscriptionId": id }),
            };
            let called = core.call(&subscription, &event).await;
            Ok(Some(TestOutcome {
                taken: called.is_taken(),
                answer_status: called.status,
                error: called.failure(),
            }))
        };
        self.0.work.run_within(CALL_MAX * 2, work).await
    }

    /// Deliveries of a subscription, the newest first.
    pub(crate) async fn deliveries(
        &self,
        id: SubscriptionId,
        status: Option<DeliveryStatus>,
        limit: i64,
    ) -> Result<Option<Vec<DeliveryRow>>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move {
            let pool = &core.pools.reads;
            if subscriptions::list(pool, Some(id.uuid())).await?.is_empty() {
                return Ok(None);
            }
            deliveries::list(pool, id.uuid(), status, limit)
                .await
                .map(Some)
        };
        self.0.work.run(work).await
    }

    /// Sends dead letters again: one, or all. Returns how many; `None` for no subscription.
    pub(crate) async fn deliveries_retry(
        &self,
        id: SubscriptionId,
        position: Option<i64>,
    ) -> Result<Option<u64>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move {
            let (pool, now) = (&core.pools.jobs, core.clock.now());
            let id = id.uuid();
            if subscriptions::list(pool, Some(id)).await?.is_empty() {
                return Ok(None);
            }
            let limit = DELIVERIES_LISTED_MAX;
            deliveries::retry(pool, id, position, now, limit)
                .await
                .map(Some)
        };
        self.0.work.run(work).await
    }

    /// Makes deliveries of new events and tries those that are due. Returns how many events were
    /// looked at or tried. The background work does this too.
    pub async fn deliver_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.deliver_once().await };
        self.0.work.run_within(DELIVERY_PATIENCE, work).await
    }
}

impl Core {
    async fn subscription_create(&self, wish: Wish) -> Result<Option<SubscriptionRow>, StoreError> {
        let now = self.clock.now();
        let new = SubscriptionRow {
            subscription_id: self.randomness.uuid(now),
            url: wish.url,
            description: wish.description,
            kinds: wish.kinds,
            secrets: Secrets::new(self.randomness.bytes()),
            disabled_because: None,
            failing_since: None,
            position: wish.after.unwrap_or(i64::MAX),
            created_at: now,
            due_count: 0,
            failed_count: 0,
        };
        let pool = &self.pools.jobs;
        if !subscriptions::create(pool, &new, SUBSCRIPTIONS_MAX).await? {
            return Ok(None);
        }
        let created = subscriptions::list(pool, Some(new.subscription_id))
            .await?
            .pop();
        Ok(created)
    }

    async fn changed(
        &self,
        id: SubscriptionId,
        done: bool,
    ) -> Result<SubscriptionChange<SubscriptionRow>, StoreError> {
        let found = subscriptions::list(&self.pools.jobs, Some(id.uuid()))
            .await?
            .pop();
        Ok(match found {
            None => SubscriptionChange::Unknown,
            Some(found) if done => SubscriptionChange::Done(found),
            Some(_) => SubscriptionChange::Conflict,
        })
    }
}
