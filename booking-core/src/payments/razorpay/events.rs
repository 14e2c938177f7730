//! Razorpay's webhooks: whether they are genuine, and what they are about.

use data_encoding::HEXLOWER;
use http::HeaderMap;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::wire;
use crate::payments::provider::{ReceivedEvent, Subject, WebhookRefusal};
use crate::payments::signature;

/// Reads an event that one of `secrets` signed.
pub(super) fn received(
    headers: &HeaderMap,
    body: &[u8],
    secrets: &[String],
) -> Result<ReceivedEvent, WebhookRefusal> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let mut secrets = secrets.iter();
    let is_genuine = header("x-razorpay-signature").is_some_and(|signature| {
        secrets.any(|secret| signature::verify_plain(signature, body, secret))
    });
    if !is_genuine {
        return Err(WebhookRefusal::BadSignature);
    }
    let payload: Value = serde_json::from_slice(body).map_err(|_| WebhookRefusal::Unreadable)?;
    let kind = payload["event"].as_str();
    let kind = kind.ok_or(WebhookRefusal::Unreadable)?.to_owned();
    // The id is not in the body and not signed. A wrong one can at most repeat an event, and every
    // event only makes us ask the provider.
    let id = header("x-razorpay-event-id")
        .map(str::trim)
        .filter(|id| !id.is_empty());
    let id = id.map_or_else(|| HEXLOWER.encode(&Sha256::digest(body)), str::to_owned);
    Ok(ReceivedEvent { id, kind, payload })
}

/// What an event is about.
pub(super) fn subject(kind: &str, payload: &Value) -> Subject {
    let entity = |name: &str| &payload["payload"][name]["entity"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let payment = entity("payment");
    let names_money = matches!(kind, "payment.captured" | "payment_link.paid");
    let captured = text(&payment["id"]).filter(|_| names_money);
    let found = if kind.starts_with("payment_link.") {
        let link = entity("payment_link");
        text(&link["id"]).map(|intent_id| Subject::Intent {
            intent_id,
            charge_id: captured,
            attempt: wire::attempt(&link["notes"]),
        })
    } else if kind.starts_with("payment.dispute.") {
        let of_dispute = text(&entity("dispute")["payment_id"]);
        let intent_id = of_dispute.or_else(|| text(&payment["id"]));
        intent_id.map(|intent_id| Subject::Returned { intent_id })
    } else if kind.starts_with("payment.") {
        let link = wire::link_of(payment["description"].as_str());
        let intent_id = link.or_else(|| text(&payment["id"]));
        intent_id.map(|intent_id| Subject::Intent {
            intent_id,
            charge_id: captured,
            attempt: None,
        })
    } else if kind.starts_with("refund.") {
        let refund = entity("refund");
        text(&refund["id"]).map(|provider_refund_id| Subject::Refund {
            provider_refund_id,
            refund_id: refund["notes"]["refund_id"]
                .as_str()
                .and_then(|id| id.parse().ok()),
            intent_id: text(&refund["payment_id"]),
        })
    } else {
        None
    };
    found.unwrap_or(Subject::Nothing)
}

#[cfg(test)]
mod tests {
    use contract::HoldId;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_event_says_whom_it_is_about() {
        let hold = HoldId::new(Uuid::from_u128(7));
        let refund_id = Uuid::from_u128(9);
        let payload = json!({"payload": {
            "payment_link": {"entity": {"id": "plink_1",
                "notes": {"hold_id": hold.to_string(), "attempt": "2"}}},
            "payment": {"entity": {"id": "pay_1", "description": "#1", "notes": []}},
            "refund": {"entity": {"id": "rfnd_1", "payment_id": "pay_1",
                "notes": {"refund_id": refund_id.simple().to_string()}}},
            "dispute": {"entity": {"id": "disp_1", "payment_id": "pay_1"}}}});
        let intent = |charge: Option<&str>, attempt| Subject::Intent {
            intent_id: "plink_1".to_owned(),
            charge_id: charge.map(str::to_owned),
            attempt,
        };
        for (kind, about) in [
            (
                "payment_link.paid",
                intent(Some("pay_1"), Some((hold.uuid(), 2))),
            ),
            ("payment.captured", intent(Some("pay_1"), None)),
            ("payment.failed", intent(None, None)),
            (
                "payment.dispute.created",
                Subject::Returned {
                    intent_id: "pay_1".to_owned(),
                },
            ),
            (
                "refund.processed",
                Subject::Refund {
                    provider_refund_id: "rfnd_1".to_owned(),
                    refund_id: Some(refund_id),
                    intent_id: Some("pay_1".to_owned()),
                },
            ),
            ("order.paid", Subject::Nothing),
        ] {
            assert_eq!(subject(kind, &payload), about, "{kind}");
        }
        assert_eq!(subject("payment.captured", &json!({})), Subject::Nothing);
    }
}
