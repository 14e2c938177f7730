//! The writer of a show: collects requests to hold and settles them in batches.
//!
//! There is one writer per show and process. It refuses from memory what is certainly unavailable,
//! and never lets two asks want the same seat at the same time. The database decides the rest,
//! because other processes write to it too.
//!
//! Some batches are under way at the same time, of different seats, owners and keys. A batch takes
//! what has arrived when one of them is over, so batches grow with the rush and nobody waits for a
//! batch to fill.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use contract::Clock;
use contract::booking::Hold;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::batch::{Batch, Claimed, Claims, Composed, compose};
use super::command::{HoldCommand, SeatsWanted, Settled, answer};
use super::show::ShowMemory;
use crate::config::{
    HARD_DEADLINE_AFTER, HOLD_BATCH_MAX, HOLD_BATCHES_AT_ONCE, HOLD_TRIES_MAX, HOLDS_OF_OWNER_MAX,
};
use crate::database::{StoreError, repeat_if_contended};
use crate::expiry::ExpiryTimes;
use crate::store::hold_batch::{HoldAnswer, HoldBatch, HoldTerms, hold_batch};
use crate::store::idempotency::{self, KeyUse, Known};
use crate::telemetry;

/// The dependencies of every writer.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) pool: PgPool,
    pub(crate) clock: Arc<dyn Clock>,
    /// Receives the end times of new holds.
    pub(crate) expiry: Arc<ExpiryTimes>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    /// Settles commands until all senders are dropped.
    pub(crate) async fn run(
        self,
        memory: Arc<ShowMemory>,
        mut commands: mpsc::Receiver<HoldCommand>,
    ) {
        let mut desk = Desk::new(self, memory);
        loop {
            desk.begin();
            desk.report_queue(commands.len());
            tokio::select! {
                biased;
                Some(finished) = desk.under_way.next() => {
                    if desk.finish(finished) == Database::Away {
                        desk.refuse_all(&mut commands);
                    }
                }
                arrived = commands.recv(), if desk.takes_more() => match arrived {
                    Some(command) => {
                        desk.admit(command);
                        while desk.takes_more() && let Ok(command) = commands.try_recv() {
                            desk.admit(command);
                        }
                    }
                    None => desk.is_closed = true,
                },
                else => return,
            }
        }
    }
}

/// Whether the database answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Database {
    Here,
    Away,
}

/// Work that is over. Without its result if it panicked.
enum Finished {
    Batch {
        claims: Arc<Claims>,
        settled: Option<Box<SettledBatch>>,
    },
    LookUp(Option<LookedUp>),
}

/// Commands with what is known of their keys.
struct LookedUp {
    commands: Vec<HoldCommand>,
    found: Result<Vec<Option<Known>>, StoreError>,
}

/// A batch with the answer of the database.
struct SettledBatch {
    batch: Batch,
    terms: HoldTerms,
    outcome: Result<HoldBatch, StoreError>,
    lasted: Duration,
}

/// The commands of a show, from their arrival to their answer.
struct Desk {
    writer: Writer,
    memory: Arc<ShowMemory>,
    /// Commands to be composed into the next batch, at most [`HOLD_BATCH_MAX`] and what comes back.
    waiting: VecDeque<HoldCommand>,
    /// Commands that want what is claimed, until a batch is over.
    later: Vec<HoldCommand>,
    /// Commands whose keys are looked up next.
    repeats: Vec<HoldCommand>,
    under_way: FuturesUnordered<BoxFuture<'static, Finished>>,
    claimed: Claimed,
    /// Whether keys are being looked up.
    looks_up: bool,
    /// Whether all senders are dropped.
    is_closed: bool,
}

impl Desk {
    fn new(writer: Writer, memory: Arc<ShowMemory>) -> Self {
        Self {
            writer,
            memory,
            waiting: VecDeque::new(),
            later: Vec::new(),
            repeats: Vec::new(),
            under_way: FuturesUnordered::new(),
            claimed: Claimed::default(),
            looks_up: false,
            is_closed: false,
        }
    }

    fn len(&self) -> usize {
        self.waiting.len() + self.later.len() + self.repeats.len()
    }

    /// Whether another command may be taken out of the queue.
    fn takes_more(&self) -> bool {
        !self.is_closed
            && self.claimed.batches() < HOLD_BATCHES_AT_ONCE
            && self.len() < HOLD_BATCH_MAX
    }

    /// Reports the length of the queue as a metric.
    #[expect(clippy::cast_precision_loss, reason = "at most a few thousand")]
    fn report_queue(&self, queued: usize) {
        let show = self.memory.info.show_id.to_string();
        metrics::gauge!(telemetry::HOLD_QUEUE, "show" => show).set((queued + self.len()) as f64);
    }

    /// Takes in a command. Only a few commands of one owner may wait here; further ones are refused
    /// as busy. A batch takes one command per owner, so commands of a single owner could otherwise
    /// fill the queue and leave no room for others.
    fn admit(&mut self, command: HoldCommand) {
        let all = self.waiting.iter().chain(&self.later).chain(&self.repeats);
        let of_owner = all.filter(|other| other.owner.limit_owner == command.owner.limit_owner);
        if of_owner.count() < HOLDS_OF_OWNER_MAX {
            self.waiting.push_back(command);
        } else {
            answer(command, Ok(Settled::Busy));
        }
    }

    /// Begins whatever can be begun.
    fn begin(&mut self) {
        while self.claimed.batches() < HOLD_BATCHES_AT_ONCE && !self.waiting.is_empty() {
            let composed = catch_unwind(AssertUnwindSafe(|| {
                let terms = self.terms();
                let composed = compose(&self.memory, &terms, &mut self.waiting, &self.claimed);
                (terms, composed)
            }));
            let Ok((terms, composed)) = composed else {
                // All waiting commands fail, because one of them may have caused the panic.
                self.note_panic();
                self.waiting.clear();
                continue;
            };
            let Composed {
                batch,
                later,
                repeats,
            } = composed;
            self.later.extend(later);
            self.repeats.extend(repeats);
            if !batch.asks.is_empty() {
                self.begin_batch(batch, terms);
            }
        }
        if !self.looks_up && !self.repeats.is_empty() {
            self.begin_look_up();
        }
    }

    fn terms(&self) -> HoldTerms {
        let info = &self.memory.info;
        let now = self.writer.clock.now();
        let expires_at = now.plus(Duration::from_secs(u64::from(info.hold_seconds)));
        HoldTerms {
            show_no: info.show_no,
            ticket_limit: i32::try_from(info.ticket_limit).unwrap_or(i32::MAX),
            currency: info.currency.clone(),
            now,
            expires_at,
            hard_deadline: expires_at.plus(HARD_DEADLINE_AFTER),
        }
    }

    fn begin_batch(&mut self, mut batch: Batch, terms: HoldTerms) {
        let claims = Arc::new(std::mem::take(&mut batch.claims));
        self.claimed.add(&claims);
        let pool = self.writer.pool.clone();
        let settle = async move {
            let started = Instant::now();
            let outcome = repeat_if_contended(|| hold_batch(&pool, &terms, &batch.asks)).await;
            SettledBatch {
                batch,
                terms,
                outcome,
                lasted: started.elapsed(),
            }
        };
        let settle = AssertUnwindSafe(settle).catch_unwind();
        let finish = settle.map(|settled| Finished::Batch {
            claims,
            settled: settled.ok().map(Box::new),
        });
        self.under_way.push(finish.boxed());
    }

    /// Looks up the keys of commands that may repeat an earlier request.
    fn begin_look_up(&mut self) {
        let commands = std::mem::take(&mut self.repeats);
        let pool = self.writer.pool.clone();
        let look_up = async move {
            let uses = |command: &HoldCommand| command.key.as_ref().map(|key| key.key_uses.clone());
            let asked: Vec<KeyUse> = commands.iter().filter_map(uses).flatten().collect();
            let found = idempotency::find(&pool, &asked).await;
            LookedUp { commands, found }
        };
        let look_up = AssertUnwindSafe(look_up).catch_unwind();
        let finish = look_up.map(|found| Finished::LookUp(found.ok()));
        self.under_way.push(finish.boxed());
        self.looks_up = true;
    }

    /// Answers the commands of work that is over.
    fn finish(&mut self, finished: Finished) -> Database {
        // Before anything that may panic.
        match &finished {
            Finished::Batch { claims, .. } => {
                self.claimed.release(claims);
                // Those who waited for what was claimed come before those who were not read yet.
                for mut command in std::mem::take(&mut self.later).into_iter().rev() {
                    command.is_new = false;
                    self.waiting.push_front(command);
                }
            }
            Finished::LookUp(_) => self.looks_up = false,
        }
        let concluded = catch_unwind(AssertUnwindSafe(|| match finished {
            Finished::Batch {
                settled: Some(settled),
                ..
            } => Some(self.conclude_batch(*settled)),
            Finished::LookUp(Some(looked_up)) => Some(self.conclude_look_up(looked_up)),
            Finished::Batch { settled: None, .. } | Finished::LookUp(None) => None,
        }));
        concluded.ok().flatten().unwrap_or_else(|| {
            self.note_panic();
            Database::Here
        })
    }

    fn conclude_batch(&mut self, settled: SettledBatch) -> Database {
        let SettledBatch {
            batch,
            terms,
            outcome,
            lasted,
        } = settled;
        #[expect(clippy::cast_precision_loss, reason = "at most 256")]
        metrics::histogram!(telemetry::HOLD_BATCH_SIZE).record(batch.asks.len() as f64);
        metrics::histogram!(telemetry::HOLD_BATCH_SECONDS).record(lasted);
        match outcome {
            Ok(HoldBatch { answers, reports }) => {
                if answers.contains(&HoldAnswer::Held) {
                    self.writer.expiry.remember(terms.expires_at);
                }
                self.memory.apply(
                    reports
                        .into_iter()
                        .map(|report| (report.seat_no, report.state)),
                );
                let made = batch.holds.into_iter().zip(answers);
                for (command, (hold, answer)) in batch.commands.into_iter().zip(made) {
                    self.conclude(command, hold, answer);
                }
                Database::Here
            }
            Err(cause) => self.fail(batch.commands, &cause),
        }
    }

    /// Answers commands whose keys were used before; the others are new.
    fn conclude_look_up(&mut self, looked_up: LookedUp) -> Database {
        let LookedUp { commands, found } = looked_up;
        let mut found = match found {
            Ok(found) => found.into_iter(),
            // Without the lookup they could hold seats a second time.
            Err(cause) => return self.fail(commands, &cause),
        };
        for mut command in commands {
            let uses = command.key.as_ref().map_or(0, |key| key.key_uses.len());
            let known = found.by_ref().take(uses).fold(None, Option::or);
            if let Some(known) = known {
                answer(command, Ok(Settled::Known(known)));
            } else {
                command.is_new = true;
                self.waiting.push_back(command);
            }
        }
        Database::Here
    }

    fn fail(&self, commands: Vec<HoldCommand>, cause: &StoreError) -> Database {
        tracing::warn!(show = %self.memory.info.show_id, %cause, "a batch of holds failed");
        for command in commands {
            answer(command, Err(cause.for_another()));
        }
        match cause {
            StoreError::Unavailable(_) | StoreError::Timeout => Database::Away,
            _ => Database::Here,
        }
    }

    /// Fails all that wait: each further attempt would cost them another timeout.
    fn refuse_all(&mut self, commands: &mut mpsc::Receiver<HoldCommand>) {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let others = self.later.drain(..).chain(self.repeats.drain(..));
        for command in waiting.chain(others) {
            answer(command, Err(StoreError::Timeout));
        }
        while let Ok(command) = commands.try_recv() {
            answer(command, Err(StoreError::Timeout));
        }
    }

    fn note_panic(&self) {
        tracing::error!(show = %self.memory.info.show_id, "a defect broke a batch of holds");
        metrics::counter!(telemetry::WRITER_PANICS).increment(1);
    }

    fn conclude(&mut self, mut command: HoldCommand, hold: Hold, outcome: HoldAnswer) {
        match outcome {
            HoldAnswer::Held => answer(command, Ok(Settled::Held(hold))),
            HoldAnswer::TicketLimit => answer(command, Ok(Settled::TicketLimit)),
            HoldAnswer::KeyUsed => self.repeats.push(command),
            HoldAnswer::SeatsLocked => {
                command.tries += 1;
                if command.tries < HOLD_TRIES_MAX {
                    self.waiting.push_back(command);
                } else {
                    answer(command, Ok(Settled::Busy));
                }
            }
            HoldAnswer::SeatsTaken(seat_nos) => {
                command.tries += 1;
                let any_will_do = matches!(command.wanted, SeatsWanted::Best { .. });
                if any_will_do && command.tries < HOLD_TRIES_MAX {
                    // Another process took the seats first; memory knows that by now.
                    self.waiting.push_back(command);
                    return;
                }
                let plan = &self.memory.plan;
                let indices: Vec<usize> = seat_nos
                    .iter()
                    .filter_map(|seat_no| plan.index_of_no(*seat_no))
                    .collect();
                let labels = if any_will_do {
                    Vec::new()
                } else {
                    plan.labels(&indices)
                };
                answer(command, Ok(Settled::SeatsUnavailable(labels)));
            }
        }
    }
}
