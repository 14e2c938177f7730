//! Razorpay's payment link: a page for one payment. Pure.

use std::collections::BTreeMap;

use contract::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{IntentId, LinkId};
use crate::intent::{Intent, Status};

/// A payment link.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) amount_minor: u64,
    /// ISO 4217 in upper case.
    pub(crate) currency: String,
    /// Used once.
    pub(crate) reference_id: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) notes: BTreeMap<String, String>,
    pub(crate) callback_url: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) expire_by: Timestamp,
    pub(crate) cancelled_at: Option<Timestamp>,
    /// The ways to pay that its page shows; all when absent.
    #[serde(default)]
    pub(crate) methods: Option<Vec<String>>,
    /// Each try of a customer, oldest first.
    pub(crate) payments: Vec<IntentId>,
}

impl Link {
    /// Its status, with its payments.
    pub(crate) fn status(&self, payments: &[&Intent], now: Timestamp) -> &'static str {
        let has_paid =
            |payment: &&Intent| payment.status == Status::Succeeded && !payment.awaits_capture();
        if payments.iter().any(has_paid) {
            "paid"
        } else if self.cancelled_at.is_some() {
            "cancelled"
        } else if self.expire_by <= now {
            "expired"
        } else {
            "created"
        }
    }

    /// Whether its page offers a way to pay.
    pub(crate) fn takes(&self, method: &str) -> bool {
        let shown = self.methods.as_ref();
        shown.is_none_or(|shown| shown.iter().any(|it| it == method))
    }

    /// The order of its payments.
    pub(crate) fn order(&self) -> String {
        format!("order_{}", self.tail())
    }

    /// What its payments have as description.
    pub(crate) fn mark(&self) -> String {
        format!("#{}", self.tail())
    }

    fn tail(&self) -> &str {
        let id = self.id.as_ref();
        id.split_once('_').map_or(id, |(_, tail)| tail)
    }
}

/// The link whose payments have this order.
pub(crate) fn of_order(order: &str) -> Option<LinkId> {
    let tail = order.strip_prefix("order_")?;
    Some(LinkId::from(format!("plink_{tail}").as_str()))
}
