//! Webhooks: stored and acknowledged at once, processed afterwards.

use std::time::Duration;

use contract::HoldId;
use futures_util::StreamExt;
use futures_util::stream;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::provider::ProviderError;
use super::signature;
use crate::config::{EVENT_TRIES_MAX, WORK_AT_ONCE, WORK_BATCH_MAX};
use crate::core::Core;
use crate::database::StoreError;
use crate::store;
use crate::store::inbox::EventRow;
use crate::telemetry;

/// How long a worker's claim on an event lasts.
const CLAIM: Duration = Duration::from_mins(1);
/// Longest interval between attempts to process an event while the provider does not answer.
const RETRY_SECONDS_MAX: u64 = 3600;
/// The character that PostgreSQL's text types cannot store.
const NUL: char = '\0';
/// Its replacement.
const REPLACEMENT: &str = "\u{fffd}";
/// The note on an event that is put off while the provider does not answer.
const UNANSWERED: &str = "the provider did not answer";

/// The outcome of receiving a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WebhookReceipt {
    /// Stored in the inbox, by this or an earlier delivery.
    Stored,
    /// The signature is missing, wrong or too old.
    BadSignature,
    /// The body is not an event.
    Unreadable,
}

/// The parts of an event that are read.
#[derive(Debug, Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
}

/// The subject of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    Intent {
        intent_id: String,
        attempt: Option<(Uuid, i32)>,
    },
    Refund {
        provider_refund_id: String,
        refund_id: Option<Uuid>,
        intent_id: Option<String>,
    },
    /// Money of this intent was refunded or is disputed.
    Returned {
        intent_id: String,
    },
    Nothing,
}

/// Whether an event concerns a payment of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Ours,
    NotOurs,
}

impl Core {
    /// Stores a webhook. It is processed later, so that the provider gets its response at once.
    pub(crate) async fn webhook_store(
        &self,
        signature: Option<&str>,
        body: &[u8],
    ) -> Result<WebhookReceipt, StoreError> {
        let now = self.clock.now();
        let secret = &self.config.payment.webhook_secret;
        let genuine = signature.is_some_and(|header| signature::verify(header, body, secret, now));
        if !genuine {
            metrics::counter!(telemetry::WEBHOOKS, "outcome" => "bad-signature").increment(1);
            return Ok(WebhookReceipt::BadSignature);
        }
        let parsed = serde_json::from_slice::<Value>(body)
            .and_then(|payload| Event::deserialize(&payload).map(|event| (event, payload)));
        let Ok((event, payload)) = parsed else {
            return Ok(WebhookReceipt::Unreadable);
        };
        let provider = &self.config.payment.provider;
        // PostgreSQL stores no NUL in text. No field that we read contains one.
        let payload = without_nul(payload);
        let (id, kind) = (
            event.id.replace(NUL, REPLACEMENT),
            event.kind.replace(NUL, REPLACEMENT),
        );
        let pool = &self.pools.money;
        let new = store::inbox::store(pool, provider, &id, &kind, &payload, now).await?;
        let outcome = if new { "stored" } else { "duplicate" };
        metrics::counter!(telemetry::WEBHOOKS, "outcome" => outcome).increment(1);
        self.inbox_filled.notify_one();
        Ok(WebhookReceipt::Stored)
    }

    /// Processes webhooks that are due. Returns how many there were.
    pub(crate) async fn inbox_once(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let provider = &self.config.payment.provider;
        let due = store::inbox::claim_due(
            &self.pools.jobs,
            provider,
            now,
            now.plus(CLAIM),
            WORK_BATCH_MAX,
        )
        .await?;
        let count = due.len();
        stream::iter(due)
            .for_each_concurrent(WORK_AT_ONCE, async |event| {
                // The event is due again when the claim ends.
                if let Err(error) = self.event_process(&event).await {
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

    async fn event_process(&self, event: &EventRow) -> Result<(), StoreError> {
        let now = self.clock.now();
        let pool = &self.pools.jobs;
        let provider = &self.config.payment.provider;
        let looked = match subject(&event.kind, &event.payload) {
            Subject::Nothing => Ok(Found::NotOurs),
            Subject::Refund {
                provider_refund_id,
                refund_id,
                intent_id,
            } => {
                let ours = store::refunds::by_provider(pool, &provider_refund_id, refund_id);
                match (ours.await?, intent_id) {
                    (Some(refund), _) => self.refund_look(&refund).await?.map(|()| Found::Ours),
                    (None, Some(intent_id)) => self.event_returned(&intent_id).await?,
                    (None, None) => Ok(Found::NotOurs),
                }
            }
            Subject::Returned { intent_id } => self.event_returned(&intent_id).await?,
            Subject::Intent { intent_id, attempt } => {
                match self.payment_of(&intent_id, attempt).await? {
                    Some(payment_id) => {
                        let resolved = self.resolve_payment(payment_id, None).await?;
                        let unanswered = resolved.and_then(|resolved| resolved.unanswered);
                        unanswered.map_or(Ok(Found::Ours), Err)
                    }
                    None => Ok(Found::NotOurs),
                }
            }
        };
        let note = match looked {
            Err(_) => return self.event_put_off(event, UNANSWERED).await,
            Ok(Found::Ours) => None,
            // Other shops may use the same account. A payment of ours is stored before the provider
            // is asked to create its intent, so an unknown intent does not become known by waiting.
            // Captured money of an intent of ours that no payment names is found by the comparison
            // with the provider's books.
            Ok(Found::NotOurs) => {
                tracing::debug!(event = event.event_id, kind = event.kind, "not ours");
                Some("concerns nothing of ours")
            }
        };
        metrics::counter!(telemetry::WEBHOOKS, "outcome" => "processed").increment(1);
        store::inbox::done(pool, provider, &event.event_id, note, now).await
    }

    /// Updates the books for the payment of an intent that was refunded or disputed.
    async fn event_returned(
        &self,
        intent_id: &str,
    ) -> Result<Result<Found, ProviderError>, StoreError> {
        match self.payment_of(intent_id, None).await? {
            Some(payment_id) => Ok(self.returns_look(payment_id).await?.map(|_| Found::Ours)),
            None => Ok(Ok(Found::NotOurs)),
        }
    }

    /// The payment of an intent. A webhook can arrive before the answer with the intent's id; then
    /// the payment is found by the intent's metadata.
    async fn payment_of(
        &self,
        intent_id: &str,
        attempt: Option<(Uuid, i32)>,
    ) -> Result<Option<Uuid>, StoreError> {
        let pool = &self.pools.jobs;
        let provider = &self.config.payment.provider;
        let known = store::payments::by_intent(pool, provider, intent_id).await?;
        match (known, attempt) {
            (None, Some((hold_id, attempt_no))) => {
                store::payments::by_attempt(pool, hold_id, attempt_no).await
            }
            (known, _) => Ok(known),
        }
    }

    async fn event_put_off(&self, event: &EventRow, error: &str) -> Result<(), StoreError> {
        let now = self.clock.now();
        let pool = &self.pools.jobs;
        let provider = &self.config.payment.provider;
        let tries = event.attempt_count + 1;
        if tries >= EVENT_TRIES_MAX {
            tracing::error!(event = event.event_id, error, "webhook given up");
            metrics::counter!(telemetry::WEBHOOKS, "outcome" => "given-up").increment(1);
            return store::inbox::done(pool, provider, &event.event_id, Some(error), now).await;
        }
        let shift = u32::try_from(tries.clamp(0, 12)).unwrap_or(12);
        let next = now.plus(Duration::from_secs(RETRY_SECONDS_MAX.min(1 << shift)));
        store::inbox::put_off(pool, provider, &event.event_id, error, next).await
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

fn subject(kind: &str, payload: &Value) -> Subject {
    let object = &payload["data"]["object"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let found = if kind.starts_with("payment_intent.") {
        text(&object["id"]).map(|intent_id| {
            let hold = object["metadata"]["hold_id"].as_str();
            let hold = hold.and_then(|id| id.parse::<HoldId>().ok());
            let attempt = object["metadata"]["attempt"].as_str();
            let attempt = attempt.and_then(|number| number.parse().ok());
            Subject::Intent {
                intent_id,
                attempt: hold.map(HoldId::uuid).zip(attempt),
            }
        })
    } else if kind.starts_with("refund.") || kind.starts_with("charge.refund.") {
        text(&object["id"]).map(|provider_refund_id| Subject::Refund {
            provider_refund_id,
            intent_id: text(&object["payment_intent"]),
            refund_id: object["metadata"]["refund_id"]
                .as_str()
                .and_then(|id| id.parse().ok()),
        })
    } else if kind == "charge.refunded" || kind.starts_with("charge.dispute.") {
        text(&object["payment_intent"]).map(|intent_id| Subject::Returned { intent_id })
    } else {
        None
    };
    found.unwrap_or(Subject::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_says_whom_it_is_about() {
        let hold = HoldId::new(Uuid::from_u128(7));
        let intent = json!({"data": {"object": {
            "id": "pi_1", "metadata": {"hold_id": hold.to_string(), "attempt": "2"}}}});
        let expected = Subject::Intent {
            intent_id: "pi_1".to_owned(),
            attempt: Some((hold.uuid(), 2)),
        };
        assert_eq!(subject("payment_intent.succeeded", &intent), expected);
        let refund = json!({"data": {"object": {
            "id": "re_1", "payment_intent": "pi_1", "metadata": {"refund_id": Uuid::from_u128(9).simple().to_string()}}}});
        let expected = Subject::Refund {
            provider_refund_id: "re_1".to_owned(),
            refund_id: Some(Uuid::from_u128(9)),
            intent_id: Some("pi_1".to_owned()),
        };
        assert_eq!(subject("refund.updated", &refund), expected);
        assert_eq!(subject("charge.refund.updated", &refund), expected);
        for kind in ["charge.refunded", "charge.dispute.funds_withdrawn"] {
            let intent_id = "pi_1".to_owned();
            assert_eq!(subject(kind, &refund), Subject::Returned { intent_id });
        }
        assert_eq!(subject("customer.created", &refund), Subject::Nothing);
        assert_eq!(
            subject("payment_intent.succeeded", &json!({})),
            Subject::Nothing
        );
    }
}
