//! Refunds: pure state and what becomes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{ChargeId, IntentId, RefundId};
use crate::method;

/// A refund. The simulator's bank pays most of them at once.
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
    /// What the customer's bank does later.
    #[serde(default)]
    pub(crate) fate: Option<Fate>,
}

/// What a customer's bank does later with a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fate {
    pub(crate) due_at: Timestamp,
    /// Whether the refund is pending until then, or counts as paid.
    pub(crate) is_pending: bool,
    /// Whether the money comes back.
    pub(crate) fails: bool,
}

/// How a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefundState {
    Pending,
    Paid,
    Failed,
}

impl Refund {
    pub(crate) fn state(&self) -> RefundState {
        match self.fate {
            _ if self.failed => RefundState::Failed,
            Some(fate) if fate.is_pending => RefundState::Pending,
            _ => RefundState::Paid,
        }
    }
}

impl Fate {
    /// What becomes of a refund to this payment method, after so many `earlier` ones of the same
    /// payment.
    pub(crate) fn of(
        payment_method: Option<&str>,
        earlier: usize,
        now: Timestamp,
        delay: Duration,
    ) -> Option<Self> {
        let (is_pending, fails) = match payment_method? {
            method::REFUND_PENDING => (true, false),
            method::REFUND_FAILS => (false, true),
            method::REFUND_FAILS_ONCE if earlier == 0 => (true, true),
            _ => return None,
        };
        Some(Self {
            due_at: now.plus(delay),
            is_pending,
            fails,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bank_takes_its_time_fails_later_or_fails_the_first_time() {
        let now = Timestamp::from_ms(1_790_000_000_000);
        let fate = |method, earlier| {
            Fate::of(Some(method), earlier, now, Duration::from_secs(5))
                .map(|fate| (fate.is_pending, fate.fails))
        };
        assert_eq!(fate(method::REFUND_PENDING, 3), Some((true, false)));
        assert_eq!(fate(method::REFUND_FAILS, 3), Some((false, true)));
        assert_eq!(fate(method::REFUND_FAILS_ONCE, 0), Some((true, true)));
        assert_eq!(fate(method::REFUND_FAILS_ONCE, 1), None);
        assert_eq!(fate("pm_card_visa", 0), None);
    }
}
