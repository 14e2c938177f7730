//! `ropeline reconcile`: the payment provider's books against ours, compared by the gateway.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::amount::money_text;
use crate::client::AdminClient;
use crate::console::{Console, counted};
use crate::failure::{Exit, Failure};

/// What the gateway found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReconcileReport {
    /// Intents that were looked at.
    pub intent_count: u64,
    /// Refunds that were looked at.
    pub refund_count: u64,
    /// Payments and refunds that were behind and were brought in line.
    pub late_count: u64,
    /// Money of customers who paid again what they had paid; it went back.
    #[serde(default)]
    pub second_payments: Vec<String>,
    /// Intents of ours with money that no payment names; it went back.
    pub orphaned_intents: Vec<String>,
    /// Such intents whose money the provider would not give back.
    #[serde(default)]
    pub kept_orphans: Vec<String>,
    /// Refunds under an id of ours that we do not have.
    pub unknown_refunds: Vec<String>,
    /// Bookings whose money went back at the provider; their tickets are void.
    #[serde(default)]
    pub refunded_bookings: Vec<String>,
    /// Bookings of whose money a part went back at the provider.
    #[serde(default)]
    pub partly_refunded_bookings: Vec<String>,
    /// Disputes about payments of ours.
    #[serde(default)]
    pub disputes: Vec<String>,
    /// Refunds and disputes of more than was taken.
    #[serde(default)]
    pub unexplained_returns: Vec<String>,
    /// What the provider listed and did not tell of; it is looked at again.
    #[serde(default)]
    pub put_off: Vec<String>,
    /// Refunds that failed for good and whose money has not gone back since.
    #[serde(default)]
    pub failed_refunds: Vec<FailedRefund>,
    /// What else a gateway tells.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Money that a person has to give back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedRefund {
    /// What the provider calls the payment.
    pub intent_id: String,
    /// The booking that it paid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booking_id: Option<String>,
    /// What is to go back, minor units.
    pub amount_minor: i64,
    /// Its currency, ISO 4217.
    pub currency: String,
    /// What else a gateway tells.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ReconcileReport {
    /// Whether nothing was found that a person should look at.
    pub fn is_clean(&self) -> bool {
        self.orphaned_intents.is_empty()
            && self.kept_orphans.is_empty()
            && self.unknown_refunds.is_empty()
            && self.partly_refunded_bookings.is_empty()
            && self.disputes.is_empty()
            && self.unexplained_returns.is_empty()
            && self.put_off.is_empty()
            && self.failed_refunds.is_empty()
    }
}

/// Runs the command.
pub(crate) async fn run(client: &AdminClient, console: &Console) -> Result<Exit, Failure> {
    let report: ReconcileReport = client.post("reconcile").await?;
    if console.is_json() {
        console.document(&report)?;
    } else {
        console.text(&text(&report))?;
    }
    Ok(if report.is_clean() {
        Exit::Fine
    } else {
        Exit::Failed
    })
}

fn text(report: &ReconcileReport) -> String {
    let mut lines = vec![format!(
        "Compared {} and {} of the last day; {} brought in line.",
        counted(report.intent_count, "intent", "intents"),
        counted(report.refund_count, "refund", "refunds"),
        report.late_count
    )];
    for charge in &report.second_payments {
        lines.push(format!(
            "{charge}: a customer paid a second time; that money goes back"
        ));
    }
    for intent in &report.orphaned_intents {
        lines.push(format!(
            "{intent}: no payment names it; its money goes back"
        ));
    }
    for intent in &report.kept_orphans {
        lines.push(format!(
            "{intent}: no payment names it, and the provider would not give its money back"
        ));
    }
    for refund in &report.unknown_refunds {
        lines.push(format!("{refund}: a refund that we do not know of"));
    }
    for booking in &report.refunded_bookings {
        lines.push(format!(
            "{booking}: refunded at the provider; its tickets are void"
        ));
    }
    for booking in &report.partly_refunded_bookings {
        lines.push(format!(
            "{booking}: partly refunded at the provider; say which tickets are meant"
        ));
    }
    for dispute in &report.disputes {
        lines.push(format!(
            "{dispute}: a customer's bank wants the money back; answer it at the provider"
        ));
    }
    for id in &report.unexplained_returns {
        lines.push(format!(
            "{id}: more went back than was taken; compare at the provider"
        ));
    }
    for id in &report.put_off {
        lines.push(format!(
            "{id}: the provider did not tell of it; it is looked at again, compare it there if it stays"
        ));
    }
    for it in &report.failed_refunds {
        lines.push(format!(
            "{}: a refund failed at the provider, and {} did not go back; refund it there (payment {})",
            it.booking_id.as_ref().unwrap_or(&it.intent_id),
            money_text(it.amount_minor, &it.currency),
            it.intent_id,
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_person_should_see_is_said_and_fails() {
        let mut report: ReconcileReport = serde_json::from_value(json!({
            "from": "2026-11-24T00:00:00Z", "until": "2026-11-25T00:00:00Z",
            "intentCount": 3, "refundCount": 1, "lateCount": 0,
            "orphanedIntents": [], "unknownRefunds": [], "foreignCount": 2
        }))
        .unwrap();
        assert!(report.is_clean());
        // Void tickets need nobody; which tickets a part is for does.
        report.refunded_bookings.push("b1".to_owned());
        assert!(report.is_clean());
        report.partly_refunded_bookings.push("b2".to_owned());
        assert!(!report.is_clean());
        assert!(text(&report).contains("b2"), "{}", text(&report));
        report.partly_refunded_bookings.clear();
        report.disputes.push("dp_1".to_owned());
        assert!(!report.is_clean());
        report.disputes.clear();
        report.put_off.push("ch_5".to_owned());
        assert!(!report.is_clean());
        assert!(text(&report).contains("ch_5: "), "{}", text(&report));
        report.put_off.clear();
        report.failed_refunds = serde_json::from_value(json!([
            {"intentId": "pi_3", "bookingId": "b3", "amountMinor": 1250, "currency": "EUR"},
            {"intentId": "pi_4", "amountMinor": 700, "currency": "JPY"}
        ]))
        .unwrap();
        assert!(!report.is_clean());
        let told = text(&report);
        for part in ["b3: ", "EUR 12.50", "payment pi_3", "pi_4: ", "JPY 700"] {
            assert!(told.contains(part), "{part}: {told}");
        }
        report.failed_refunds.clear();
        report.orphaned_intents.push("pi_7".to_owned());
        assert!(!report.is_clean());
        assert!(text(&report).contains("pi_7"), "{}", text(&report));
    }
}
