//! The payment provider: decides calls one at a time, makes each change durable, then responds.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::{Clock, Timestamp};
use data_encoding::HEXLOWER;
use rand_chacha::ChaCha20Rng;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::books::{Books, Entry, StoredAnswer, line_of};
use crate::config::Secret;
use crate::delivery::{Delivery, DeliveryId};
use crate::desk::{Caller, Desk, Outcome, Rules};
use crate::error::ApiError;
use crate::id::{IntentId, RequestId};
use crate::intent::Intent;
use crate::journal::{Journal, OpenError, Sequence};
use crate::object::Cause;
use crate::outage::Outages;
use crate::payment;
use crate::refunding;

/// Delayed bank decisions per change. Limits how long other calls wait for the lock.
const SETTLEMENTS_PER_CHANGE_MAX: usize = 500;

/// A handle to the provider. Clones share it.
#[derive(Clone)]
pub(crate) struct Provider(Arc<Shared>);

struct Shared {
    turn: Mutex<Turn>,
    journal: Journal,
    clock: Box<dyn Clock>,
    rules: Rules,
    secret: Secret,
    /// Ends held responses when the process stops.
    shutdown: CancellationToken,
    settlements_changed: Notify,
    deliveries_changed: Notify,
    outages: Outages,
}

/// The state under the lock that orders calls.
struct Turn {
    books: Books,
    rng: ChaCha20Rng,
}

/// The identity of a request with an idempotency key.
#[derive(Clone, Debug)]
pub(crate) struct RequestKey {
    /// As the caller sent it.
    pub(crate) key: String,
    /// The key, made unique among all callers.
    stored_as: String,
    fingerprint: String,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// The id of the first request, if this response repeats its response.
    pub(crate) replay_of: Option<String>,
}

impl RequestKey {
    /// Two requests are the same if their endpoint and parameters are. A browser's keys are
    /// separate from the merchant's, and from those of browsers that pay another intent.
    pub(crate) fn new(
        caller: &Caller,
        key: &str,
        method: &str,
        path: &str,
        canonical_form: &str,
    ) -> Self {
        let digest = Sha256::digest(format!("{method} {path}\n{canonical_form}"));
        Self {
            key: key.to_owned(),
            stored_as: match caller {
                Caller::Merchant => key.to_owned(),
                // A header contains no newline, so no other caller's key is equal.
                Caller::Browser { client_secret } => format!("{client_secret}\n{key}"),
            },
            fingerprint: HEXLOWER.encode(&digest),
        }
    }
}

impl From<&ApiError> for Answer {
    fn from(error: &ApiError) -> Self {
        Self {
            status: error.status(),
            body: error.document().to_string(),
            replay_of: None,
        }
    }
}

impl Provider {
    /// Opens the journal in `directory` and rebuilds the books from it.
    pub(crate) fn open(
        directory: &std::path::Path,
        rules: Rules,
        secret: Secret,
        clock: Box<dyn Clock>,
        rng: ChaCha20Rng,
        shutdown: CancellationToken,
    ) -> Result<Self, OpenError> {
        let mut books = Books::default();
        let journal = Journal::open(directory, |line| {
            for entry in serde_json::from_str::<Vec<Entry>>(line)? {
                // Entries from the file are durable, so they get a number before all new changes.
                books.apply(entry, 0);
            }
            Ok(())
        })?;
        Ok(Self(Arc::new(Shared {
            turn: Mutex::new(Turn { books, rng }),
            journal,
            clock,
            rules,
            secret,
            shutdown,
            settlements_changed: Notify::new(),
            deliveries_changed: Notify::new(),
            outages: Outages::default(),
        })))
    }

    /// Decides one call, makes its change durable and responds. With a key, a repeated request gets
    /// the same response without another decision.
    pub(crate) async fn call(
        &self,
        cause: Cause,
        key: Option<RequestKey>,
        decide: impl FnOnce(&mut Desk<'_>) -> Outcome,
    ) -> Answer {
        let (answer, sequence, hold) = match self.decide(cause, key, decide) {
            Ok(decided) => decided,
            Err(refused) => return Answer::from(&refused),
        };
        if self.0.journal.durable(sequence).await.is_err() {
            return Answer::from(&ApiError::provider(500, "The journal cannot be written."));
        }
        if let Some(hold) = hold {
            tokio::select! {
                () = tokio::time::sleep(hold) => {}
                () = self.0.shutdown.cancelled() => {}
            }
        }
        answer
    }

    fn decide(
        &self,
        cause: Cause,
        key: Option<RequestKey>,
        decide: impl FnOnce(&mut Desk<'_>) -> Outcome,
    ) -> Result<(Answer, Sequence, Option<Duration>), ApiError> {
        if !self.0.journal.has_room() {
            return Err(ApiError::provider(
                503,
                "The disk is too slow for so many calls.",
            ));
        }
        let mut turn = self.turn();
        let now = self.0.clock.now();
        if let Some(key) = &key
            && let Some((stored, sequence)) = turn.books.answer(&key.stored_as, now)
        {
            return self.replay(key, stored, *sequence);
        }
        let Turn { books, rng } = &mut *turn;
        let request_id = cause.request_id.clone();
        let mut desk = self.desk(books, rng, now, cause);
        let outcome = decide(&mut desk);
        let (mut entries, hold) = (desk.entries, desk.hold);
        let answer = match &outcome {
            Ok(value) => Answer {
                status: 200,
                body: value.to_string(),
                replay_of: None,
            },
            Err(error) => Answer::from(error),
        };
        let decided = outcome
            .as_ref()
            .map_or_else(ApiError::is_decision, |_| true);
        if let Some(key) = key.filter(|_| decided) {
            entries.push(Entry::Answer(StoredAnswer {
                key: key.stored_as,
                fingerprint: key.fingerprint,
                status: answer.status,
                body: answer.body.clone(),
                request_id: request_id.map(|id| id.to_string()).unwrap_or_default(),
                at: now,
            }));
        }
        let sequence = self.commit(&mut turn, entries);
        Ok((answer, sequence, hold))
    }

    fn replay(
        &self,
        key: &RequestKey,
        stored: &StoredAnswer,
        sequence: Sequence,
    ) -> Result<(Answer, Sequence, Option<Duration>), ApiError> {
        if stored.fingerprint != key.fingerprint {
            return Err(ApiError::key_reused(&key.key));
        }
        // Not on disk, so the first request has not been answered yet.
        if sequence > self.0.journal.durable_sequence() {
            return Err(ApiError::key_in_use());
        }
        let answer = Answer {
            status: stored.status,
            body: stored.body.clone(),
            replay_of: Some(stored.request_id.clone()),
        };
        Ok((answer, sequence, None))
    }

    /// Journals and applies a change. Without entries it returns the number of the last change, so
    /// that a reader waits until the state that it read is durable.
    fn commit(&self, turn: &mut Turn, entries: Vec<Entry>) -> Sequence {
        if entries.is_empty() {
            return self.0.journal.last_sequence();
        }
        let sequence = self.0.journal.append(&line_of(&entries));
        for entry in entries {
            match &entry {
                Entry::Intent(_) | Entry::Refund(_) => self.0.settlements_changed.notify_one(),
                Entry::Delivery(_) => self.0.deliveries_changed.notify_one(),
                _ => {}
            }
            turn.books.apply(entry, sequence);
        }
        if self.0.journal.is_overgrown() {
            self.0.journal.replace(turn.books.snapshot());
        }
        sequence
    }

    fn desk<'a>(
        &'a self,
        books: &'a Books,
        rng: &'a mut ChaCha20Rng,
        now: Timestamp,
        cause: Cause,
    ) -> Desk<'a> {
        Desk {
            books,
            rng,
            now,
            rules: &self.0.rules,
            cause,
            entries: Vec::new(),
            hold: None,
        }
    }

    /// The intent `id` once its state is durable, if this caller may read it.
    pub(crate) async fn intent(&self, id: &IntentId, caller: &Caller) -> Result<Intent, ApiError> {
        let (intent, sequence) = {
            let mut turn = self.turn();
            let Turn { books, rng } = &mut *turn;
            let desk = self.desk(books, rng, self.0.clock.now(), Cause::default());
            (desk.intent(id, caller)?, self.0.journal.last_sequence())
        };
        match self.0.journal.durable(sequence).await {
            Ok(()) => Ok(intent),
            Err(_) => Err(ApiError::provider(500, "The journal cannot be written.")),
        }
    }

    /// A new request id.
    pub(crate) fn draw_request_id(&self) -> RequestId {
        RequestId::draw(&mut self.turn().rng)
    }

    /// How each provider's API is told to fail.
    pub(crate) fn outages(&self) -> &Outages {
        &self.0.outages
    }

    /// Key id and secret of Razorpay's API.
    pub(crate) fn razorpay_key(&self) -> &Secret {
        &self.0.rules.razorpay_key
    }

    /// The secret key.
    pub(crate) fn secret(&self) -> &Secret {
        &self.0.secret
    }

    /// Applies the bank decisions that are due, and returns the time until the next one.
    pub(crate) fn settle_once(&self) -> Option<Duration> {
        let mut turn = self.turn();
        let now = self.0.clock.now();
        let mut due = turn.books.due_settlements(now);
        due.truncate(SETTLEMENTS_PER_CHANGE_MAX);
        let Turn { books, rng } = &mut *turn;
        let mut desk = self.desk(books, rng, now, Cause::default());
        for id in &due {
            payment::settle(&mut desk, id);
        }
        let mut refunds = books.due_refunds(now);
        refunds.truncate(SETTLEMENTS_PER_CHANGE_MAX);
        for id in &refunds {
            refunding::settle(&mut desk, id);
        }
        let entries = desk.entries;
        self.commit(&mut turn, entries);
        turn.books.next_settlement().map(|at| at.since(now))
    }

    /// Waits until the next settlement may have changed.
    pub(crate) async fn settlements_changed(&self) {
        self.0.settlements_changed.notified().await;
    }

    /// At most `limit` deliveries that are due and not `busy`, and the time until the next one.
    /// Returns when their changes are durable: a merchant must not hear of a success that a crash
    /// could undo.
    pub(crate) async fn due_deliveries(
        &self,
        limit: usize,
        busy: &mut HashSet<DeliveryId>,
    ) -> (Vec<Delivery>, Option<Duration>) {
        let (due, next, sequence) = {
            let turn = self.turn();
            let now = self.0.clock.now();
            let due = turn.books.outbox.due(now, limit, busy);
            busy.extend(due.iter().map(|delivery| delivery.id.clone()));
            let next = turn.books.outbox.next_due(busy).map(|at| at.since(now));
            (due, next, self.0.journal.last_sequence())
        };
        if !due.is_empty() && self.0.journal.durable(sequence).await.is_err() {
            // The process is about to end, so nothing more is delivered.
            return (Vec::new(), None);
        }
        (due, next)
    }

    /// Waits until deliveries may have been added.
    pub(crate) async fn deliveries_changed(&self) {
        self.0.deliveries_changed.notified().await;
    }

    /// Records the result of an attempt, without waiting until it is durable: after a crash the
    /// event is sent again, which receivers have to handle anyway.
    pub(crate) fn delivery_tried(&self, delivery: &Delivery, arrived: bool) {
        let mut turn = self.turn();
        let now = self.0.clock.now();
        let again = (!arrived)
            .then(|| delivery.after_failure(now, &mut turn.rng))
            .flatten();
        let mut entries = Vec::new();
        if let Some(again) = again {
            entries.push(Entry::Delivery(Box::new(again)));
        } else {
            if !arrived {
                tracing::warn!(delivery = %delivery.id, "webhook.given_up: no try succeeded");
            }
            entries.push(Entry::DeliveryGone(delivery.id.clone()));
            if delivery.ends_attempt {
                let parked = turn.books.outbox.parked(&delivery.intent).into_iter();
                entries.extend(parked.map(|parked| {
                    Entry::Delivery(Box::new(Delivery {
                        due_at: Some(now),
                        ..parked
                    }))
                }));
            }
        }
        self.commit(&mut turn, entries);
    }

    /// The present instant.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Waits until the journal fails. Never returns otherwise.
    pub(crate) async fn failed(&self) {
        self.0.journal.failed().await;
    }

    /// Writes everything that waits. No call may follow.
    pub(crate) fn close(&self) {
        self.0.journal.close();
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        // Ignores poisoning: entries are applied after the decision, so a panic leaves the books
        // unchanged.
        self.0.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use contract::ManualClock;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::form::Form;
    use crate::payment;

    fn provider(directory: &std::path::Path) -> Provider {
        let rules = Rules {
            settle_delay: Duration::ZERO,
            answer_hold: Duration::ZERO,
            webhook_delay: Duration::ZERO,
            webhook_events: crate::desk::EventFilter::parse("*"),
            sends_razorpay_webhooks: false,
            razorpay_key: Secret::new("rzp_test_1:s"),
            base_url: "http://pay.test".to_owned(),
        };
        Provider::open(
            directory,
            rules,
            Secret::new("sk_test"),
            Box::new(ManualClock::default()),
            ChaCha20Rng::from_seed([1; 32]),
            CancellationToken::new(),
        )
        .unwrap()
    }

    #[tokio::test]
    async fn no_event_goes_out_before_its_change_is_on_disk() {
        let directory = tempfile::tempdir().unwrap();
        let provider = provider(directory.path());
        let mut busy = HashSet::new();
        let due = {
            let _stall = provider.0.journal.stall();
            let form = b"amount=1200&currency=inr&confirm=true&payment_method=pm_card_visa";
            let form = Form::parse(form).unwrap();
            let paid = provider
                .decide(Cause::default(), None, |desk| payment::create(desk, &form))
                .unwrap();
            assert_eq!(paid.0.status, 200, "{}", paid.0.body);
            let mut due = Box::pin(provider.due_deliveries(10, &mut busy));
            let early = due.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(early.is_pending(), "{early:?}");
            due
        };
        let (due, _) = due.await;
        assert!(!due.is_empty());
    }

    #[test]
    fn each_kind_of_caller_has_its_own_keys() {
        let browser = |secret: &str| Caller::Browser {
            client_secret: secret.to_owned(),
        };
        let stored = [Caller::Merchant, browser("pi_1_s"), browser("pi_2_s")]
            .map(|caller| RequestKey::new(&caller, "k1", "POST", "/v1", "").stored_as);
        assert_eq!(HashSet::from(stored.clone()).len(), 3, "{stored:?}");
        assert_eq!(stored[0], "k1");
    }
}
