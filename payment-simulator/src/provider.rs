//! The payment provider: takes calls one at a time, makes each durable, then lets it be answered.

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
use crate::payment;

/// Late words of the bank that one change settles. Bounds how long other calls wait for it.
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
    /// Ends held answers when the process stops.
    shutdown: CancellationToken,
    settlements_changed: Notify,
    deliveries_changed: Notify,
}

/// What one call at a time has for itself.
struct Turn {
    books: Books,
    rng: ChaCha20Rng,
}

/// What identifies a repeatable request.
#[derive(Clone, Debug)]
pub(crate) struct RequestKey {
    /// As the caller sent it.
    pub(crate) key: String,
    /// The key among those of all callers.
    stored_as: String,
    fingerprint: String,
}

/// An answer on its way out.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// The request that was answered first, when this answer repeats it.
    pub(crate) replay_of: Option<String>,
}

impl RequestKey {
    /// Two requests are the same when endpoint and parameters are. Keys of a browser are no keys
    /// of the merchant, nor of a browser that pays another intent.
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
                // No header has a newline, so this is nobody else's.
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
                // Whatever was read back is durable, so its change counts as older than any.
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
        })))
    }

    /// Decides one call, makes it durable and answers. With a key, the same request again gets
    /// the same answer without being decided again.
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
        // Not on disk yet means not answered yet: the first request is still running.
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

    /// Journals and applies a change. Without entries it returns the last change, so that a
    /// reader waits for what it has seen.
    fn commit(&self, turn: &mut Turn, entries: Vec<Entry>) -> Sequence {
        if entries.is_empty() {
            return self.0.journal.last_sequence();
        }
        let sequence = self.0.journal.append(&line_of(&entries));
        for entry in entries {
            match &entry {
                Entry::Intent(_) => self.0.settlements_changed.notify_one(),
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

    /// The intent `id` as recorded and durable, if this caller may have it.
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

    /// The secret key.
    pub(crate) fn secret(&self) -> &Secret {
        &self.0.secret
    }

    /// Lets the bank speak wherever it is due, and says when it speaks next.
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
        let entries = desk.entries;
        self.commit(&mut turn, entries);
        turn.books.next_settlement().map(|at| at.since(now))
    }

    /// Waits until the next settlement may have changed.
    pub(crate) async fn settlements_changed(&self) {
        self.0.settlements_changed.notified().await;
    }

    /// At most `limit` deliveries that are due and not `busy`, and when the next one is. Returns
    /// when what they tell of is durable: the merchant must not know of a success that the books
    /// lose in a crash.
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
            // Nothing is told any more; the process is about to end.
            return (Vec::new(), None);
        }
        (due, next)
    }

    /// Waits until deliveries may have been added.
    pub(crate) async fn deliveries_changed(&self) {
        self.0.deliveries_changed.notified().await;
    }

    /// Records how a try went. Not waited for: after a crash the event is sent again, which
    /// receivers must bear anyway.
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

    /// Writes what waits. Nothing may be called afterwards.
    pub(crate) fn close(&self) {
        self.0.journal.close();
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        // A panic in a decision leaves the books untouched: entries are applied after it.
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
            sends_webhooks: true,
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
