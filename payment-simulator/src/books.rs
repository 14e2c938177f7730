//! The provider's records, changed by journal entries only.
//!
//! A change is a list of [`Entry`]s: whole records that replace the record with the same id.
//! Applying the journal's entries in order rebuilds the books, so the state after a restart is the
//! state before it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use contract::Timestamp;
use serde::{Deserialize, Serialize};

use crate::delivery::{Delivery, DeliveryId, Outbox};
use crate::dispute::Dispute;
use crate::fault::Fault;
use crate::id::{DisputeId, FaultId, IntentId, LinkId, RefundId, SessionId};
use crate::intent::Intent;
use crate::journal::Sequence;
use crate::link::Link;
use crate::refund::Refund;
use crate::session::Session;

/// Most payment intents. At about 2 KB each this is a gigabyte.
pub(crate) const INTENTS_MAX: usize = 500_000;

/// Most stored responses; the oldest is removed first. At about 2 KB each this is 400 MB.
const ANSWERS_MAX: usize = 200_000;

/// How long a response is kept for its idempotency key.
const ANSWER_LIFETIME: Duration = Duration::from_hours(24);

/// One record of the journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry {
    Intent(Box<Intent>),
    Refund(Box<Refund>),
    Dispute(Box<Dispute>),
    Session(Box<Session>),
    Link(Box<Link>),
    Answer(StoredAnswer),
    Delivery(Box<Delivery>),
    DeliveryGone(DeliveryId),
    Fault(Box<Fault>),
    FaultGone(FaultId),
}

/// The response to a request with an idempotency key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoredAnswer {
    pub(crate) key: String,
    /// Digest of the endpoint and the parameters.
    pub(crate) fingerprint: String,
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) request_id: String,
    pub(crate) at: Timestamp,
}

/// The metadata field with the shop's payment id.
const PAYMENT_ID: &str = "payment_id";

/// The provider's records.
#[derive(Debug, Default)]
pub(crate) struct Books {
    intents: Series<IntentId, Intent>,
    /// Intents by the shop's payment id, from `metadata[payment_id]`.
    intents_by_payment: HashMap<String, IntentId>,
    refunds: Series<RefundId, Refund>,
    disputes: Series<DisputeId, Dispute>,
    sessions: Series<SessionId, Session>,
    links: Series<LinkId, Link>,
    /// Payment links by their reference, which is used once.
    links_by_reference: HashMap<String, LinkId>,
    answers: HashMap<String, (StoredAnswer, Sequence)>,
    answer_order: VecDeque<(Timestamp, String)>,
    settlements: BTreeSet<(Timestamp, IntentId)>,
    /// Refunds with which a bank is not done.
    fates: BTreeSet<(Timestamp, RefundId)>,
    faults: Vec<Fault>,
    pub(crate) outbox: Outbox,
}

/// Records in order of creation, found by id.
#[derive(Debug)]
pub(crate) struct Series<K, V> {
    order: Vec<K>,
    records: HashMap<K, (usize, V)>,
}

impl<K, V> Default for Series<K, V> {
    fn default() -> Self {
        Self {
            order: Vec::new(),
            records: HashMap::new(),
        }
    }
}

impl<K: Clone + Eq + std::hash::Hash, V> Series<K, V> {
    fn put(&mut self, id: &K, record: V) {
        if let Some((_, known)) = self.records.get_mut(id) {
            *known = record;
        } else {
            self.records.insert(id.clone(), (self.order.len(), record));
            self.order.push(id.clone());
        }
    }

    /// The record with this id.
    pub(crate) fn get(&self, id: &K) -> Option<&V> {
        self.records.get(id).map(|(_, record)| record)
    }

    /// The index of the record with this id in the order of creation.
    pub(crate) fn place(&self, id: &K) -> Option<usize> {
        self.records.get(id).map(|(place, _)| *place)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// The records at `places`, oldest first.
    pub(crate) fn range(
        &self,
        places: std::ops::Range<usize>,
    ) -> impl DoubleEndedIterator<Item = &V> {
        let ids = self.order.get(places).unwrap_or_default();
        ids.iter().filter_map(|id| self.get(id))
    }

    /// All records, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &V> {
        self.range(0..self.len())
    }
}

impl Books {
    /// The intent with the shop's `payment_id`.
    pub(crate) fn intent_of_payment(&self, payment_id: &str) -> Option<&Intent> {
        self.intents.get(self.intents_by_payment.get(payment_id)?)
    }

    /// Payment intents.
    pub(crate) fn intents(&self) -> &Series<IntentId, Intent> {
        &self.intents
    }

    /// Refunds.
    pub(crate) fn refunds(&self) -> &Series<RefundId, Refund> {
        &self.refunds
    }

    /// Disputes.
    pub(crate) fn disputes(&self) -> &Series<DisputeId, Dispute> {
        &self.disputes
    }

    /// Checkout sessions.
    pub(crate) fn sessions(&self) -> &Series<SessionId, Session> {
        &self.sessions
    }

    /// Payment links.
    pub(crate) fn links(&self) -> &Series<LinkId, Link> {
        &self.links
    }

    /// The payment link with this reference.
    pub(crate) fn link_of_reference(&self, reference: &str) -> Option<&Link> {
        self.links.get(self.links_by_reference.get(reference)?)
    }

    /// The payments of a link, oldest first.
    pub(crate) fn payments_of(&self, link: &Link) -> Vec<&Intent> {
        let payments = link.payments.iter();
        payments.filter_map(|id| self.intents.get(id)).collect()
    }

    /// Queued faults, oldest first.
    pub(crate) fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The response stored for `key`, unless it is too old, and the change that stored it.
    pub(crate) fn answer(&self, key: &str, now: Timestamp) -> Option<&(StoredAnswer, Sequence)> {
        self.answers
            .get(key)
            .filter(|(answer, _)| now.since(answer.at) < ANSWER_LIFETIME)
    }

    /// Intents with a bank decision due at `now` or before.
    pub(crate) fn due_settlements(&self, now: Timestamp) -> Vec<IntentId> {
        self.settlements
            .iter()
            .take_while(|(due_at, _)| *due_at <= now)
            .map(|(_, id)| id.clone())
            .collect()
    }

    /// Refunds of which a bank decides at `now` or before.
    pub(crate) fn due_refunds(&self, now: Timestamp) -> Vec<RefundId> {
        let due = self.fates.iter().take_while(|(due_at, _)| *due_at <= now);
        due.map(|(_, id)| id.clone()).collect()
    }

    /// When the next bank decision is due.
    pub(crate) fn next_settlement(&self) -> Option<Timestamp> {
        let payment = self.settlements.first().map(|(due_at, _)| *due_at);
        let refund = self.fates.first().map(|(due_at, _)| *due_at);
        payment.into_iter().chain(refund).min()
    }

    /// Applies a change.
    pub(crate) fn apply(&mut self, entry: Entry, sequence: Sequence) {
        match entry {
            Entry::Intent(intent) => self.put_intent(*intent),
            Entry::Refund(refund) => self.put_refund(*refund),
            Entry::Dispute(dispute) => {
                let id = dispute.id.clone();
                self.disputes.put(&id, *dispute);
            }
            Entry::Session(session) => {
                let id = session.id.clone();
                self.sessions.put(&id, *session);
            }
            Entry::Link(link) => {
                let id = link.id.clone();
                if let Some(reference) = &link.reference_id {
                    self.links_by_reference
                        .insert(reference.clone(), id.clone());
                }
                self.links.put(&id, *link);
            }
            Entry::Answer(answer) => self.put_answer(answer, sequence),
            Entry::Delivery(delivery) => self.outbox.put(*delivery),
            Entry::DeliveryGone(id) => self.outbox.remove(&id),
            Entry::Fault(fault) => match self.faults.iter_mut().find(|old| old.id == fault.id) {
                Some(old) => *old = *fault,
                None => self.faults.push(*fault),
            },
            Entry::FaultGone(id) => self.faults.retain(|fault| fault.id != id),
        }
    }

    fn put_refund(&mut self, refund: Refund) {
        let due = |refund: &Refund| Some((refund.fate?.due_at, refund.id.clone()));
        if let Some(old) = self.refunds.get(&refund.id).and_then(due) {
            self.fates.remove(&old);
        }
        self.fates.extend(due(&refund));
        let id = refund.id.clone();
        self.refunds.put(&id, refund);
    }

    fn put_intent(&mut self, intent: Intent) {
        let due = |intent: &Intent| {
            let at = intent.settlement.as_ref()?.due_at?;
            Some((at, intent.id.clone()))
        };
        if let Some(old) = self.intents.get(&intent.id).and_then(due) {
            self.settlements.remove(&old);
        }
        self.settlements.extend(due(&intent));
        let id = intent.id.clone();
        if let Some(payment_id) = intent.metadata.get(PAYMENT_ID) {
            self.intents_by_payment
                .insert(payment_id.clone(), id.clone());
        }
        self.intents.put(&id, intent);
    }

    fn put_answer(&mut self, answer: StoredAnswer, sequence: Sequence) {
        let now = answer.at;
        self.answer_order.push_back((now, answer.key.clone()));
        self.answers.insert(answer.key.clone(), (answer, sequence));
        while let Some((at, key)) = self.answer_order.front() {
            if self.answer_order.len() <= ANSWERS_MAX && now.since(*at) < ANSWER_LIFETIME {
                break;
            }
            // A key that was used again after its lifetime is in the order twice; its newer record
            // must not be removed with the older entry.
            if self
                .answers
                .get(key)
                .is_some_and(|(stored, _)| stored.at == *at)
            {
                self.answers.remove(key);
            }
            self.answer_order.pop_front();
        }
    }

    /// The present records as journal lines.
    pub(crate) fn snapshot(&self) -> Vec<u8> {
        let mut lines = Vec::new();
        for intent in self.intents.iter() {
            write_line(&mut lines, &Entry::Intent(Box::new(intent.clone())));
        }
        for refund in self.refunds.iter() {
            write_line(&mut lines, &Entry::Refund(Box::new(refund.clone())));
        }
        for dispute in self.disputes.iter() {
            write_line(&mut lines, &Entry::Dispute(Box::new(dispute.clone())));
        }
        for session in self.sessions.iter() {
            write_line(&mut lines, &Entry::Session(Box::new(session.clone())));
        }
        for link in self.links.iter() {
            write_line(&mut lines, &Entry::Link(Box::new(link.clone())));
        }
        for (at, key) in &self.answer_order {
            if let Some((answer, _)) = self.answers.get(key)
                && answer.at == *at
            {
                write_line(&mut lines, &Entry::Answer(answer.clone()));
            }
        }
        for delivery in self.outbox.iter() {
            write_line(&mut lines, &Entry::Delivery(Box::new(delivery.clone())));
        }
        for fault in &self.faults {
            write_line(&mut lines, &Entry::Fault(Box::new(fault.clone())));
        }
        lines
    }
}

fn write_line(lines: &mut Vec<u8>, entry: &Entry) {
    lines.extend(line_of(std::slice::from_ref(entry)));
    lines.push(b'\n');
}

/// One change as a journal line.
pub(crate) fn line_of(entries: &[Entry]) -> Vec<u8> {
    serde_json::to_vec(entries)
        .unwrap_or_else(|error| unreachable!("records are plain data: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const AT: &str = "2026-11-22T10:00:00.000Z";

    fn entries() -> Vec<Entry> {
        let intent = json!({
            "id": "pi_1", "client_secret": "s", "amount_minor": 1200, "currency": "inr",
            "metadata": {}, "status": "processing", "created_at": AT, "refunded_minor": 0,
            "settlement": { "due_at": AT, "delay_ms": 5, "charge": "ch_1", "verdict": "approve" },
            "webhooks": "prompt"
        });
        let delivery = json!({
            "id": { "event": "evt_1", "copy": 0 }, "intent": "pi_1", "body": "{}",
            "due_at": AT, "tries": 2, "ends_attempt": true
        });
        let refund = json!({
            "id": "re_1", "intent": "pi_1", "charge": "ch_1", "amount_minor": 5,
            "currency": "inr", "metadata": {}, "created_at": AT
        });
        let answer = json!({
            "key": "k", "fingerprint": "f", "status": 200, "body": "{}", "request_id": "req_1",
            "at": AT
        });
        let fault = json!({
            "id": "flt_1", "kind": "pm_card_visa", "on": "confirm", "metadata": {}, "times": 1
        });
        let session = json!({
            "id": "cs_1", "amount_minor": 5, "currency": "inr", "product": "Tickets",
            "metadata": {}, "intent_metadata": {}, "success_url": "http://shop.test/",
            "cancel_url": null, "client_reference_id": null, "created_at": AT, "expires_at": AT,
            "expired_at": null, "intent": null
        });
        let link = json!({
            "id": "plink_1", "amount_minor": 5, "currency": "INR", "reference_id": "r1",
            "description": null, "notes": {}, "callback_url": null, "created_at": AT,
            "expire_by": AT, "cancelled_at": null, "payments": []
        });
        let dispute = json!({
            "id": "dp_1", "intent": "pi_1", "charge": "ch_1", "amount_minor": 5,
            "currency": "inr", "status": "needs_response", "created_at": AT
        });
        let all = json!([
            { "intent": intent }, { "delivery": delivery }, { "refund": refund },
            { "dispute": dispute }, { "session": session }, { "link": link },
            { "answer": answer }, { "fault": fault },
        ]);
        serde_json::from_value(all).unwrap()
    }

    fn replayed(lines: &[u8]) -> Books {
        let mut books = Books::default();
        for line in lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            for entry in serde_json::from_slice::<Vec<Entry>>(line).unwrap() {
                books.apply(entry, 0);
            }
        }
        books
    }

    #[test]
    fn a_snapshot_says_everything_the_journal_said() {
        let books = replayed(&line_of(&entries()));
        let again = replayed(&books.snapshot());
        assert_eq!(again.snapshot(), books.snapshot());
        let now = Timestamp::parse(AT).unwrap();
        assert_eq!(again.due_settlements(now), [IntentId::from("pi_1")]);
        assert!(again.answer("k", now).is_some());
        assert!(again.link_of_reference("r1").is_some());
        assert_eq!((again.sessions().len(), again.links().len()), (1, 1));
        assert_eq!(
            (
                again.refunds().len() + again.disputes().len(),
                again.faults().len(),
                again.outbox.len()
            ),
            (2, 1, 1)
        );
    }

    #[test]
    fn a_key_is_forgotten_after_its_lifetime_and_may_be_used_again() {
        let mut books = replayed(&line_of(&entries()));
        let first = Timestamp::parse(AT).unwrap();
        let later = first.plus(ANSWER_LIFETIME);
        assert!(books.answer("k", later).is_none());
        let (mut stored, _) = books.answer("k", first).unwrap().clone();
        stored.at = later;
        stored.fingerprint = "new".to_owned();
        books.apply(Entry::Answer(stored), 7);
        assert_eq!(books.answer("k", later).unwrap().0.fingerprint, "new");
        assert_eq!(books.answer_order.len(), 1);
    }

    #[test]
    fn a_settled_intent_is_due_no_more() {
        let mut books = replayed(&line_of(&entries()));
        let now = Timestamp::parse(AT).unwrap();
        let mut intent = books
            .intents()
            .get(&IntentId::from("pi_1"))
            .unwrap()
            .clone();
        intent.settle(now).unwrap();
        books.apply(Entry::Intent(Box::new(intent)), 1);
        assert!(books.due_settlements(now).is_empty());
        assert_eq!((books.next_settlement(), books.intents().len()), (None, 1));
    }
}
