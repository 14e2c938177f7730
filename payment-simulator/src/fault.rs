//! Faults queued with `POST /_sim/faults`: each applies to the next matching call.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{FaultId, IntentId};

/// Most queued faults. A test queues a handful; the limit keeps a script with a defect from filling
/// memory.
pub(crate) const FAULTS_MAX: usize = 10_000;

/// A queued fault.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Fault {
    pub(crate) id: FaultId,
    /// The test method whose behaviour the call gets.
    pub(crate) kind: String,
    /// The call that it applies to.
    pub(crate) on: CallName,
    /// Only calls about this intent.
    pub(crate) payment_intent: Option<IntentId>,
    /// Only calls about an intent whose metadata has all of these.
    pub(crate) metadata: BTreeMap<String, String>,
    /// How many more calls it applies to.
    pub(crate) times: u32,
    /// Replaces the configured settlement, webhook or answer delay.
    pub(crate) delay_ms: Option<u64>,
    /// Replaces the usual difference of `pm_sim_amount_mismatch`.
    pub(crate) amount: Option<u64>,
}

/// Calls that a fault can apply to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CallName {
    Create,
    #[default]
    Confirm,
    Retrieve,
    Cancel,
    Capture,
    Refund,
}

impl Fault {
    /// Whether the fault applies to a call.
    pub(crate) fn matches(
        &self,
        call: CallName,
        intent: Option<&IntentId>,
        metadata: &BTreeMap<String, String>,
    ) -> bool {
        self.on == call
            && (self.payment_intent.is_none() || self.payment_intent.as_ref() == intent)
            && self
                .metadata
                .iter()
                .all(|(key, value)| metadata.get(key) == Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(intent: Option<&str>, pair: Option<(&str, &str)>) -> Fault {
        Fault {
            id: FaultId::from("flt_1"),
            kind: "pm_sim_gateway_down".to_owned(),
            on: CallName::Confirm,
            payment_intent: intent.map(IntentId::from),
            metadata: pair
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            times: 1,
            delay_ms: None,
            amount: None,
        }
    }

    #[test]
    fn a_fault_strikes_only_what_it_names() {
        let mine = IntentId::from("pi_1");
        let metadata = BTreeMap::from([("hold_id".to_owned(), "h1".to_owned())]);
        let strikes = |fault: Fault| fault.matches(CallName::Confirm, Some(&mine), &metadata);
        assert!(strikes(fault(None, None)));
        assert!(strikes(fault(Some("pi_1"), Some(("hold_id", "h1")))));
        assert!(!strikes(fault(Some("pi_2"), None)));
        assert!(!strikes(fault(None, Some(("hold_id", "h2")))));
        assert!(!fault(None, None).matches(CallName::Cancel, Some(&mine), &metadata));
    }
}
