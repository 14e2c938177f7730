//! Stripe's webhooks: whether they are genuine, and what they are about.

use contract::{HoldId, Timestamp};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use crate::payments::provider::{ReceivedEvent, Subject, WebhookRefusal};
use crate::payments::signature;

/// The parts of an event that are read.
#[derive(Debug, Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
}

/// Reads an event that one of `secrets` signed.
pub(super) fn received(
    headers: &HeaderMap,
    body: &[u8],
    secrets: &[String],
    now: Timestamp,
) -> Result<ReceivedEvent, WebhookRefusal> {
    let signature = headers.get("stripe-signature");
    let signature = signature.and_then(|value| value.to_str().ok());
    let mut secrets = secrets.iter();
    let is_genuine = signature.is_some_and(|header| {
        secrets.any(|secret| signature::verify_timed(header, body, secret, now))
    });
    if !is_genuine {
        return Err(WebhookRefusal::BadSignature);
    }
    let unreadable = |_| WebhookRefusal::Unreadable;
    let payload: Value = serde_json::from_slice(body).map_err(unreadable)?;
    let event = Event::deserialize(&payload).map_err(unreadable)?;
    Ok(ReceivedEvent {
        id: event.id,
        kind: event.kind,
        payload,
    })
}

/// What an event is about.
pub(super) fn subject(kind: &str, payload: &Value) -> Subject {
    let object = &payload["data"]["object"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let is_intent = kind.starts_with("payment_intent.") || kind.starts_with("checkout.session.");
    let found = if kind == "payment_intent.created" {
        // It answers a call of ours, and nobody can have paid yet.
        None
    } else if is_intent {
        text(&object["id"]).map(|intent_id| {
            let hold = object["metadata"]["hold_id"].as_str();
            let hold = hold.and_then(|id| id.parse::<HoldId>().ok());
            let attempt = object["metadata"]["attempt"].as_str();
            let attempt = attempt.and_then(|number| number.parse().ok());
            Subject::Intent {
                intent_id,
                charge_id: None,
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
        // `charge.succeeded` and the like say nothing that events of the intent do not say.
        None
    };
    found.unwrap_or(Subject::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use uuid::Uuid;

    #[test]
    fn an_event_says_whom_it_is_about() {
        let hold = HoldId::new(Uuid::from_u128(7));
        let intent = json!({"data": {"object": {
            "id": "pi_1", "metadata": {"hold_id": hold.to_string(), "attempt": "2"}}}});
        let expected = Subject::Intent {
            intent_id: "pi_1".to_owned(),
            charge_id: None,
            attempt: Some((hold.uuid(), 2)),
        };
        assert_eq!(subject("payment_intent.succeeded", &intent), expected);
        assert_eq!(subject("checkout.session.completed", &intent), expected);
        let refund = json!({"data": {"object": {
            "id": "re_1", "payment_intent": "pi_1",
            "metadata": {"refund_id": Uuid::from_u128(9).simple().to_string()}}}});
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
        for kind in [
            "customer.created",
            "charge.succeeded",
            "payment_intent.created",
        ] {
            assert_eq!(subject(kind, &refund), Subject::Nothing, "{kind}");
        }
        assert_eq!(
            subject("payment_intent.succeeded", &json!({})),
            Subject::Nothing
        );
    }
}
