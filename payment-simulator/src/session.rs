//! The checkout session: a page for one payment. Pure.

use std::collections::BTreeMap;

use contract::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::id::{IntentId, SessionId};
use crate::intent::{Intent, Status};

/// The status of a session whose page takes payments.
pub(crate) const OPEN: &str = "open";
/// The status of a session that was paid, or whose payment is under way.
pub(crate) const COMPLETE: &str = "complete";
/// The status of a session that nobody can pay any more.
pub(crate) const EXPIRED: &str = "expired";

/// A checkout session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) amount_minor: u64,
    /// ISO 4217 in lower case.
    pub(crate) currency: String,
    /// What is bought.
    pub(crate) product: String,
    pub(crate) metadata: BTreeMap<String, String>,
    /// What the payment intent gets.
    pub(crate) intent_metadata: BTreeMap<String, String>,
    pub(crate) success_url: String,
    pub(crate) cancel_url: Option<String>,
    pub(crate) client_reference_id: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// When the merchant expired it.
    pub(crate) expired_at: Option<Timestamp>,
    /// Whether the payment intent leaves the money for the merchant.
    #[serde(default)]
    pub(crate) is_manual: bool,
    /// The payment intent, from the first visit of the page.
    pub(crate) intent: Option<IntentId>,
}

impl Session {
    /// Its status, with its payment intent if there is one.
    pub(crate) fn status(&self, intent: Option<&Intent>, now: Timestamp) -> &'static str {
        let is_over = self.expired_at.is_some();
        match intent.map(|intent| intent.status) {
            Some(Status::Succeeded | Status::RequiresCapture | Status::Processing) if !is_over => {
                COMPLETE
            }
            _ if is_over || self.expires_at <= now => EXPIRED,
            _ => OPEN,
        }
    }
}

/// The JSON of a session.
pub(crate) fn object(
    session: &Session,
    intent: Option<&Intent>,
    now: Timestamp,
    base_url: &str,
) -> Value {
    let status = session.status(intent, now);
    let is_paid = intent.is_some_and(|intent| intent.status == Status::Succeeded);
    let page = format!("{base_url}/c/pay/{}", session.id);
    json!({
        "id": session.id,
        "object": "checkout.session",
        "amount_subtotal": session.amount_minor,
        "amount_total": session.amount_minor,
        "cancel_url": session.cancel_url,
        "client_reference_id": session.client_reference_id,
        "created": session.created_at.as_unix_seconds(),
        "currency": session.currency,
        "customer": null,
        "customer_email": null,
        "expires_at": session.expires_at.as_unix_seconds(),
        "livemode": false,
        "metadata": session.metadata,
        "mode": "payment",
        "payment_intent": session.intent,
        "payment_method_types": ["card"],
        "payment_status": if is_paid { "paid" } else { "unpaid" },
        "status": status,
        "success_url": session.success_url,
        "ui_mode": "hosted",
        "url": (status == OPEN).then_some(page),
    })
}
