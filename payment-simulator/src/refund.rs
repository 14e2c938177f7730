//! Refunds.

use std::collections::BTreeMap;

use contract::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{ChargeId, IntentId, RefundId};

/// A refund. The simulator's bank pays it at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: RefundId,
    pub(crate) intent: IntentId,
    pub(crate) charge: ChargeId,
    pub(crate) amount_minor: u64,
    pub(crate) currency: String,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) created_at: Timestamp,
    /// Whether the customer's bank returned the money.
    #[serde(default)]
    pub(crate) failed: bool,
}
