//! Webhooks: stored and acknowledged at once, processed afterwards.

use std::collections::HashSet;
use std::time::Duration;

use contract::booking::PaymentStatus;
use futures_util::{FutureExt, StreamExt, stream};
use http::HeaderMap;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use super::backoff;
use super::lane::Lane;
use super::provider::{PaymentProvider, ProviderError, Subject, WebhookRefusal};
use super::resolution::Resolution;
use crate::config::{EVENT_TRIES_MAX, INBOX_BATCH_MAX, WORK_AT_ONCE, WORK_BATCH_MAX};
use crate::core::Core;
use crate::database::{StoreError, Work};
use crate::gather::{Bounds, Gather, fail_all};
use crate::store;
use crate::store::inbox::{Closable, EventRow, NewEvent};
use crate::telemetry;

/// How long a worker's claim on an event lasts.
const CLAIM: Duration = Duration::from_mins(1);
/// Wait after the first attempt to process an event that the provider did not answer, doubled with
/// each further one.
const RETRY: Duration = Duration::from_secs(1);
/// The longest of these waits.
const RETRY_MAX: Duration = Duration::from_hours(1);
/// The character that PostgreSQL's text types cannot store.
const NUL: char = '\0';
/// Its replacement.
const REPLACEMENT: &str = "\u{fffd}";
/// Longest id of an event, bytes: an index has it. Those of the providers have about 30.
const EVENT_ID_LENGTH_MAX: usize = 255;
/// The note on an event that is put off while the provider does not answer.
const UNANSWERED: &str = "the provider did not answer";

/// The note on an event that needs no work.
const NOT_OURS: &str = "concerns nothing of ours";
/// How webhooks are stored.
const BOUNDS: Bounds = Bounds {
    at_once: 2,
    size_max: 64,
};

/// Stores webhooks that arrive at the same time together.
pub(crate) fn gathered_webhooks(work: &Work, pool: PgPool) -> Gather<NewEvent, bool> {
    Gather::new(work, BOUNDS, move |events| {
        let pool = pool.clone();
        async move {
            match store::inbox::store_all(&pool, &events).await {
                Ok(new) => new.into_iter().map(Ok).collect(),
                // Something in one of them: the others are stored all the same.
                Err(cause) if cause.is_of_the_data() && events.len() > 1 => {
                    store_alone(&pool, &events).await
                }
                Err(cause) => fail_all(events.len(), &cause),
            }
        }
        .boxed()
    })
}

/// Stores webhooks one by one, because the database refuses to store them together.
async fn store_alone(pool: &PgPool, events: &[NewEvent]) -> Vec<Result<bool, StoreError>> {
    let mut stored = Vec::with_capacity(events.len());
    for event in events {
        let one = store::inbox::store_all(pool, std::slice::from_ref(event)).await;
        if let Err(error) = &one {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, event = event.event_id, "webhook cannot be stored");
        }
        stored.push(one.map(|new| new == [true]));
    }
    stored
}

/// The outcome of receiving a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WebhookReceipt {
    /// Stored in the inbox, by this or an earlier delivery.
    Stored,
    /// The signature is missing, wrong or too old.
    BadSignature,
    /// The body is not an event, or its id is none that is stored.
    Unreadable,
    /// No provider with this name is configured.
    UnknownProvider,
}

/// Whether an event concerns a payment of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Ours,
    NotOurs,
}

impl Core {
    /// Stores a webhook of the provider with this name. It is processed later, so that the provider
    /// gets its response at once.
    pub(crate) async fn webhook_store(
        &self,
        provider: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<WebhookReceipt, StoreError> {
        let now = self.clock.now();
        let Some(lane) = self.providers.find(provider) else {
            return Ok(WebhookReceipt::UnknownProvider);
        };
        let event = match lane.webhook(headers, body, now) {
            Ok(event) => event,
            Err(WebhookRefusal::BadSignature) => {
                metrics::counter!(telemetry::WEBHOOKS, "outcome" => "bad-signature").increment(1);
                return Ok(WebhookReceipt::BadSignature);
            }
            Err(WebhookRefusal::Unreadable) => return Ok(WebhookReceipt::Unreadable),
        };
        if !(1..=EVENT_ID_LENGTH_MAX).contains(&event.id.len()) {
            return Ok(WebhookReceipt::Unreadable);
        }
        // PostgreSQL stores no NUL in text. No field that we read contains one.
        let payload = without_nul(event.payload);
        let (id, kind) = (
            event.id.replace(NUL, REPLACEMENT),
            event.kind.replace(NUL, REPLACEMENT),
        );
        let event = NewEvent {
            provider: provider.to_owned(),
            event_id: id,
            kind,
            payload,
            now,
        };
        let new = self.gathered_webhooks.ask(event).await?;
        let outcome = if new { "stored" } else { "duplicate" };
        metrics::counter!(telemetry::WEBHOOKS, "outcome" => outcome).increment(1);
        self.inbox_filled.notify_one();
        Ok(WebhookReceipt::Stored)
    }

    /// Processes webhooks that have been due for as long as `head_start`. Returns how many there
    /// were.
    pub(crate) async fn inbox_after(&self, head_start: Duration) -> Result<usize, StoreError> {
        let mut count = 0;
        for lane in self.providers.iter() {
            count += self.inbox_of(lane, head_start).await?;
        }
        Ok(count)
    }

    async fn inbox_of(&self, lane: &Lane, head_start: Duration) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let (pool, name) = (&self.pools.jobs, lane.name());
        let before = now.minus(head_start);
        let mut due = store::inbox::due(pool, name, before, INBOX_BATCH_MAX).await?;
        let read = due.len();
        self.close_settled(lane, &mut due).await?;
        let closed = read - due.len();
        due.truncate(usize::try_from(WORK_BATCH_MAX).unwrap_or(0));
        if due.is_empty() {
            return Ok(closed);
        }
        let ids: Vec<&str> = due.iter().map(|event| event.event_id.as_str()).collect();
        let (mut connection, turn) = self.settling.acquire().await?;
        let until = now.plus(CLAIM);
        let claimed = store::inbox::claim(&mut connection, name, &ids, before, until).await?;
        drop((connection, turn));
        due.retain(|event| claimed.contains(&event.event_id));
        let count = closed + due.len();
        stream::iter(due)
            .for_each_concurrent(WORK_AT_ONCE, async |event| {
                // The event is due again when the claim ends.
                if let Err(error) = self.event_process(lane, &event).await {
                    let passes = error.is_transient();
                    let (error, event) = (&error as &dyn std::error::Error, &event.event_id);
                    if passes {
                        tracing::warn!(error, event, "webhook not worked on yet");
                    } else {
                        tracing::error!(error, event, "webhook not worked on");
                    }
                }
            })
            .await;
        Ok(count)
    }

    /// Takes those out of `due` that need no work, and closes them together: most events come after
    /// their payment was settled by its customer's confirmation.
    async fn close_settled(&self, lane: &Lane, due: &mut Vec<EventRow>) -> Result<(), StoreError> {
        let closable = due.iter().filter_map(|event| {
            let (intent_id, charge_id, note) = match lane.subject(&event.kind, &event.payload) {
                Subject::Intent {
                    intent_id,
                    charge_id,
                    ..
                } => (Some(intent_id), charge_id, None),
                Subject::Nothing => (None, None, Some(NOT_OURS)),
                Subject::Refund { .. } | Subject::Returned { .. } => return None,
            };
            Some(Closable {
                event_id: &event.event_id,
                intent_id,
                charge_id,
                note,
            })
        });
        let closable: Vec<_> = closable.collect();
        if closable.is_empty() {
            return Ok(());
        }
        let (mut connection, _turn) = self.settling.acquire().await?;
        let (name, now) = (lane.name(), self.clock.now());
        let closed = store::inbox::close_settled(&mut connection, name, &closable, now).await?;
        let closed: HashSet<String> = closed.into_iter().collect();
        let count = u64::try_from(closed.len()).unwrap_or(0);
        metrics::counter!(telemetry::WEBHOOKS, "outcome" => "processed").increment(count);
        due.retain(|event| !closed.contains(&event.event_id));
        Ok(())
    }

    async fn event_process(&self, lane: &Lane, event: &EventRow) -> Result<(), StoreError> {
        let now = self.clock.now();
        let pool = &self.pools.jobs;
        let provider = lane.name();
        let looked = match lane.subject(&event.kind, &event.payload) {
            Subject::Nothing => Ok(Found::NotOurs),
            Subject::Refund {
                provider_refund_id,
                refund_id,
                intent_id,
            } => {
                let ours = store::refunds::by_provider(pool, &provider_refund_id, refund_id);
                match (ours.await?, intent_id) {
                    (Some(refund), _) => self.refund_look(&refund).await?.map(|()| Found::Ours),
                    (None, Some(intent_id)) => self.event_returned(provider, &intent_id).await?,
                    (None, None) => Ok(Found::NotOurs),
                }
            }
            Subject::Returned { intent_id } => self.event_returned(provider, &intent_id).await?,
            Subject::Intent {
                intent_id,
                charge_id,
                attempt,
            } => match self.payment_of(provider, &intent_id, attempt).await? {
                Some(payment_id) => {
                    let resolved = self.resolve_payment(payment_id, None).await?;
                    let named = charge_id.unwrap_or(intent_id);
                    let looked = match resolved {
                        Some(Resolution {
                            unanswered: Some(error),
                            ..
                        }) => Err(error),
                        Some(resolved) if resolved.payment.status == PaymentStatus::Succeeded => {
                            self.charge_look(lane, payment_id, &named).await?
                        }
                        _ => Ok(()),
                    };
                    looked.map(|()| Found::Ours)
                }
                None => Ok(Found::NotOurs),
            },
        };
        let note = match looked {
            Err(_) => return self.event_put_off(provider, event, UNANSWERED).await,
            Ok(Found::Ours) => None,
            // Other shops may use the same account. A payment of ours is stored before the provider
            // is asked to create its intent, so an unknown intent does not become known by waiting.
            // Captured money of an intent of ours that no payment names is found by the comparison
            // with the provider's books.
            Ok(Found::NotOurs) => {
                tracing::debug!(event = event.event_id, kind = event.kind, "not ours");
                Some(NOT_OURS)
            }
        };
        metrics::counter!(telemetry::WEBHOOKS, "outcome" => "processed").increment(1);
        store::inbox::done(pool, provider, &event.event_id, note, now).await
    }

    /// Updates the books for the payment of an intent that was refunded or disputed.
    async fn event_returned(
        &self,
        provider: &str,
        intent_id: &str,
    ) -> Result<Result<Found, ProviderError>, StoreError> {
        match self.payment_of(provider, intent_id, None).await? {
            Some(payment_id) => Ok(self.returns_look(payment_id).await?.map(|_| Found::Ours)),
            None => Ok(Ok(Found::NotOurs)),
        }
    }

    /// The payment of an intent. A webhook can arrive before the answer with the intent's id; then
    /// the payment is found by the intent's metadata.
    async fn payment_of(
        &self,
        provider: &str,
        intent_id: &str,
        attempt: Option<(Uuid, i32)>,
    ) -> Result<Option<Uuid>, StoreError> {
        let pool = &self.pools.jobs;
        let known = store::payments::by_intent(pool, provider, intent_id).await?;
        match (known, attempt) {
            (None, Some((hold_id, attempt_no))) => {
                store::payments::by_attempt(pool, provider, hold_id, attempt_no).await
            }
            (known, _) => Ok(known),
        }
    }

    async fn event_put_off(
        &self,
        provider: &str,
        event: &EventRow,
        error: &str,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let pool = &self.pools.jobs;
        let tries = event.attempt_count + 1;
        if tries >= EVENT_TRIES_MAX {
            tracing::error!(event = event.event_id, error, "webhook given up");
            metrics::counter!(telemetry::WEBHOOKS, "outcome" => "given-up").increment(1);
            return store::inbox::done(pool, provider, &event.event_id, Some(error), now).await;
        }
        let failures = u32::try_from(tries).unwrap_or(0);
        let chance = u64::from_be_bytes(self.randomness.bytes());
        let wait = backoff::wait(failures, RETRY, RETRY_MAX, None, chance);
        store::inbox::put_off(pool, provider, &event.event_id, error, now.plus(wait)).await
    }
}

/// The value with each NUL replaced, in names and in values.
fn without_nul(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace(NUL, REPLACEMENT)),
        Value::Array(values) => Value::Array(values.into_iter().map(without_nul).collect()),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            let replaced =
                fields.map(|(name, value)| (name.replace(NUL, REPLACEMENT), without_nul(value)));
            Value::Object(replaced.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}
