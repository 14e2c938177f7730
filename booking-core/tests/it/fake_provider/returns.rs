//! Money that goes back from the provider, and what it has of each intent.

use serde_json::json;

use super::{Books, FakeDispute, FakeIntent, FakeProvider, FakeRefund};

/// What the provider did with the money of an intent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) taken: i64,
    /// Refunds that have not failed, those under way too.
    pub(crate) refunded: i64,
    /// What banks took back and did not return.
    pub(crate) disputed: i64,
}

impl Account {
    pub(crate) fn left(self) -> i64 {
        self.taken - self.refunded - self.disputed
    }
}

impl Books {
    fn account(&self, intent_id: &str) -> Account {
        let refunds = self.refunds.iter();
        let refunds = refunds.filter(|it| it.intent_id == intent_id && it.status != "failed");
        let disputes = self.disputes.iter().filter(|it| it.intent_id == intent_id);
        let disputes =
            disputes.filter(|it| it.status != "won" && !it.status.starts_with("warning"));
        Account {
            taken: self.intents.get(intent_id).map_or(0, |it| it.received),
            refunded: refunds.map(|it| it.amount).sum(),
            disputed: disputes.map(|it| it.amount).sum(),
        }
    }

    /// What can be given back of an intent.
    pub(super) fn left_of(&self, intent_id: &str) -> i64 {
        self.account(intent_id).left()
    }
}

impl FakeProvider {
    /// From now on the time of creation counts: it is this time, until the next call.
    pub(crate) fn at(&self, now: contract::Timestamp) {
        self.books().now = Some(now.as_unix_seconds());
    }

    /// Lists the intent, and fails whenever it is asked about it.
    pub(crate) fn tells_not_of(&self, intent_id: &str) {
        self.books().untold.insert(intent_id.to_owned());
    }

    /// Tells of every intent again.
    pub(crate) fn tells_of_all(&self) {
        self.books().untold.clear();
    }

    /// Pages of intents that were listed.
    pub(crate) fn pages_listed(&self) -> usize {
        self.books().pages_listed
    }

    pub(crate) fn account(&self, intent_id: &str) -> Account {
        self.books().account(intent_id)
    }

    /// The refunds of an intent, the newest last: their ids and states.
    pub(crate) fn refunds_of(&self, intent_id: &str) -> Vec<(String, &'static str)> {
        let books = self.books();
        let of_intent = books.refunds.iter().filter(|it| it.intent_id == intent_id);
        of_intent.map(|it| (it.id.clone(), it.status)).collect()
    }

    /// Banks are done with everything: what they work on is declined, and every refund that is under
    /// way arrives.
    pub(crate) fn banks_decide(&self) {
        let mut books = self.books();
        let works = |intent: &&mut FakeIntent| intent.status == "processing";
        for intent in books.intents.values_mut().filter(works) {
            intent.status = "requires_payment_method";
            intent.error = Some(("card_declined", "generic_decline"));
        }
        books.refund_status = None;
        for refund in books.refunds.iter_mut().filter(|it| it.status == "pending") {
            refund.status = "succeeded";
        }
    }

    /// The newest refund of an intent moves to `status`. Returns its id.
    pub(crate) fn refund_becomes(&self, intent_id: &str, status: &'static str) -> String {
        let mut books = self.books();
        let of_intent = |refund: &&mut FakeRefund| refund.intent_id == intent_id;
        let refund = books.refunds.iter_mut().rev().find(of_intent).unwrap();
        refund.status = status;
        refund.id.clone()
    }

    /// Somebody refunds at the provider, not knowing of us. Returns the refund's id.
    pub(crate) fn refund_by_hand(&self, intent_id: &str, amount: i64) -> String {
        let mut books = self.books();
        let (id, created) = (format!("re_{}", books.refunds.len()), books.now);
        books.refunds.push(FakeRefund {
            id: id.clone(),
            intent_id: intent_id.to_owned(),
            amount,
            refund_id: None,
            status: "succeeded",
            created,
        });
        id
    }

    /// The customer's bank wants `amount` back; or the dispute about it moves to `status`.
    pub(crate) fn dispute(&self, intent_id: &str, amount: i64, status: &'static str) {
        let mut books = self.books();
        let of_intent = |dispute: &&mut FakeDispute| dispute.intent_id == intent_id;
        if let Some(dispute) = books.disputes.iter_mut().find(of_intent) {
            dispute.status = status;
            return;
        }
        let (id, created) = (format!("dp_{}", books.disputes.len()), books.now);
        books.disputes.push(FakeDispute {
            id,
            intent_id: intent_id.to_owned(),
            amount,
            status,
            created,
        });
    }

    /// The event of this `kind` about a charge of `intent_id`, or about a dispute of it.
    pub(crate) fn returned_event(event_id: &str, kind: &str, intent_id: &str) -> String {
        let object = json!({"id": "ch_1", "payment_intent": intent_id, "metadata": {}});
        json!({"id": event_id, "type": kind, "data": {"object": object}}).to_string()
    }
}
