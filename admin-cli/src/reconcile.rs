//! `ropeline reconcile`: the payment provider's books against ours, compared by the gateway.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
    /// Intents of ours with money that no payment names; it went back.
    pub orphaned_intents: Vec<String>,
    /// Such intents whose money the provider would not give back.
    #[serde(default)]
    pub kept_orphans: Vec<String>,
    /// Refunds under an id of ours that we do not have.
    pub unknown_refunds: Vec<String>,
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
        report.orphaned_intents.push("pi_7".to_owned());
        assert!(!report.is_clean());
        assert!(text(&report).contains("pi_7"), "{}", text(&report));
    }
}
