//! The writer of a show: collects requests to hold and settles them in batches.
//!
//! There is one writer per show and process. It refuses from memory what is certainly unavailable,
//! and never lets two asks of a batch want the same seat. The database decides the rest, because
//! other processes write to it too.

use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use contract::booking::{Hold, HoldStatus};
use contract::{Clock, HoldId, SeatId};
use futures_util::FutureExt;
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::command::{HoldCommand, SeatsWanted, Settled};
use super::show::ShowMemory;
use crate::config::{
    HARD_DEADLINE_AFTER, HOLD_BATCH_MAX, HOLD_BATCH_WAIT, HOLD_TRIES_MAX, HOLD_WAIT_MAX,
    HOLDS_OF_OWNER_MAX,
};
use crate::database::{StoreError, repeat_if_contended};
use crate::expiry::ExpiryTimes;
use crate::shows::best_available;
use crate::store::hold_batch::{HoldAnswer, HoldAsk, HoldBatch, HoldTerms, hold_batch};
use crate::store::idempotency::{self, KeyUse, KeyedAnswer};
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

/// A batch that is being composed.
#[derive(Debug, Default)]
struct Batch {
    commands: Vec<HoldCommand>,
    asks: Vec<HoldAsk>,
    /// The hold of each ask, if it is granted.
    holds: Vec<Hold>,
    seats: HashSet<usize>,
    owners: HashSet<String>,
    /// Principal and key of each ask.
    keys: HashSet<(String, String)>,
}

/// Reports the length of the writer's queue as a metric.
#[expect(clippy::cast_precision_loss, reason = "at most a few thousand")]
fn report_queue(memory: &ShowMemory, waiting: usize) {
    let show = memory.info.show_id.to_string();
    metrics::gauge!(telemetry::HOLD_QUEUE, "show" => show).set(waiting as f64);
}

impl Writer {
    /// Settles commands until all senders are dropped.
    pub(crate) async fn run(
        self,
        memory: Arc<ShowMemory>,
        mut commands: mpsc::Receiver<HoldCommand>,
    ) {
        let mut waiting = VecDeque::new();
        while gather(&mut commands, &mut waiting).await {
            report_queue(&memory, commands.len() + waiting.len());
            let work = AssertUnwindSafe(self.work_once(&memory, &mut waiting));
            let Ok(worked) = work.catch_unwind().await else {
                // All waiting commands fail, because one of them may have caused the panic.
                tracing::error!(show = %memory.info.show_id, "a defect broke a batch of holds");
                metrics::counter!(telemetry::WRITER_PANICS).increment(1);
                waiting.clear();
                report_queue(&memory, commands.len());
                continue;
            };
            report_queue(&memory, commands.len() + waiting.len());
            let Err(cause) = worked else { continue };
            tracing::warn!(show = %memory.info.show_id, %cause, "a batch of holds failed");
            if matches!(cause, StoreError::Unavailable(_) | StoreError::Timeout) {
                // The database does not answer: waiting commands fail now, because each further
                // attempt would cost them another timeout.
                while let Ok(command) = commands.try_recv() {
                    waiting.push_back(command);
                }
                for command in waiting.drain(..) {
                    answer(command, Err(StoreError::Timeout));
                }
            }
        }
    }

    /// Answers commands whose key was used before, then settles one batch of the others.
    async fn work_once(
        &self,
        memory: &ShowMemory,
        waiting: &mut VecDeque<HoldCommand>,
    ) -> Result<(), StoreError> {
        self.answer_known(waiting).await?;
        let terms = self.terms(memory);
        let batch = compose(memory, &terms, waiting);
        if batch.asks.is_empty() {
            return Ok(());
        }
        self.settle(memory, &terms, batch, waiting).await
    }

    /// Answers commands whose keys were used before. This precedes the check of seats, which would
    /// be refused because the first request holds them.
    async fn answer_known(&self, waiting: &mut VecDeque<HoldCommand>) -> Result<(), StoreError> {
        let keys = |command: &HoldCommand| command.key.as_ref().map(|key| key.key_uses.clone());
        let asked: Vec<KeyUse> = waiting.iter().filter_map(keys).flatten().collect();
        if asked.is_empty() {
            return Ok(());
        }
        let mut found = match idempotency::find(&self.pool, &asked).await {
            Ok(found) => found.into_iter(),
            Err(cause) => {
                // Only commands with a key fail: without the lookup they could hold seats a second
                // time.
                for command in std::mem::take(waiting) {
                    if command.key.is_some() {
                        answer(command, Err(cause.for_another()));
                    } else {
                        waiting.push_back(command);
                    }
                }
                return Err(cause);
            }
        };
        for command in std::mem::take(waiting) {
            let names = command.key.as_ref().map_or(0, |key| key.key_uses.len());
            match found.by_ref().take(names).fold(None, Option::or) {
                Some(known) => answer(command, Ok(Settled::Known(known))),
                None => waiting.push_back(command),
            }
        }
        Ok(())
    }

    fn terms(&self, memory: &ShowMemory) -> HoldTerms {
        let now = self.clock.now();
        let expires_at = now.plus(Duration::from_secs(u64::from(memory.info.hold_seconds)));
        HoldTerms {
            show_no: memory.info.show_no,
            ticket_limit: i32::try_from(memory.info.ticket_limit).unwrap_or(i32::MAX),
            currency: memory.info.currency.clone(),
            now,
            expires_at,
            hard_deadline: expires_at.plus(HARD_DEADLINE_AFTER),
        }
    }

    async fn settle(
        &self,
        memory: &ShowMemory,
        terms: &HoldTerms,
        batch: Batch,
        waiting: &mut VecDeque<HoldCommand>,
    ) -> Result<(), StoreError> {
        let started = Instant::now();
        let outcome = repeat_if_contended(|| hold_batch(&self.pool, terms, &batch.asks)).await;
        #[expect(clippy::cast_precision_loss, reason = "at most 256")]
        metrics::histogram!(telemetry::HOLD_BATCH_SIZE).record(batch.asks.len() as f64);
        metrics::histogram!(telemetry::HOLD_BATCH_SECONDS).record(started.elapsed());
        match outcome {
            Ok(HoldBatch::Settled { answers, reports }) => {
                if answers.contains(&HoldAnswer::Held) {
                    self.expiry.remember(terms.expires_at);
                }
                memory.apply(
                    reports
                        .into_iter()
                        .map(|report| (report.seat_no, report.state)),
                );
                let made = batch.holds.into_iter().zip(answers);
                for (command, (hold, answer)) in batch.commands.into_iter().zip(made) {
                    conclude(memory, command, hold, answer, waiting);
                }
                Ok(())
            }
            // The next round finds the key and answers its command.
            Ok(HoldBatch::KeyUsed) => {
                put_first(batch.commands, waiting);
                Ok(())
            }
            Err(cause) => {
                for command in batch.commands {
                    answer(command, Err(cause.for_another()));
                }
                Err(cause)
            }
        }
    }
}

/// Waits for a command and then briefly for further ones. False when all senders are dropped.
///
/// Only a few commands of one owner may wait here; further ones are refused as busy. A batch takes
/// one command per owner, so commands of a single owner could otherwise fill the queue and leave no
/// room for others.
async fn gather(
    commands: &mut mpsc::Receiver<HoldCommand>,
    waiting: &mut VecDeque<HoldCommand>,
) -> bool {
    if waiting.is_empty() {
        let Some(first) = commands.recv().await else {
            return false;
        };
        waiting.push_back(first);
    }
    let mut per_owner: HashMap<String, usize> = HashMap::new();
    for command in waiting.iter() {
        *per_owner
            .entry(command.owner.limit_owner.clone())
            .or_default() += 1;
    }
    let deadline = Instant::now() + HOLD_BATCH_WAIT;
    while waiting.len() < HOLD_BATCH_MAX {
        let next = tokio::time::timeout_at(deadline, commands.recv());
        let Ok(Some(command)) = next.await else {
            break;
        };
        let of_owner = per_owner
            .entry(command.owner.limit_owner.clone())
            .or_default();
        if *of_owner < HOLDS_OF_OWNER_MAX {
            *of_owner += 1;
            waiting.push_back(command);
        } else {
            answer(command, Ok(Settled::Busy));
        }
    }
    true
}

/// Turns commands into asks until the batch is full. A second command with the same owner, key or
/// seat waits for the next batch; a command that cannot succeed is answered at once.
fn compose(memory: &ShowMemory, terms: &HoldTerms, waiting: &mut VecDeque<HoldCommand>) -> Batch {
    let mut batch = Batch::default();
    let mut later = Vec::new();
    while batch.commands.len() < HOLD_BATCH_MAX
        && let Some(command) = waiting.pop_front()
    {
        if command.reply.is_closed() {
            // The customer has disconnected, and nothing was tried for this command.
            continue;
        }
        if command.queued_at.elapsed() > HOLD_WAIT_MAX {
            answer(command, Ok(Settled::Busy));
            continue;
        }
        if batch.has_company_of(&command) {
            later.push(command);
            continue;
        }
        match choose(memory, &command.wanted, &batch.seats) {
            Choice::Seats(seats) => batch.add(memory, terms, command, &seats),
            Choice::Later => later.push(command),
            Choice::Gone(gone) => answer(command, Ok(Settled::SeatsUnavailable(gone))),
        }
    }
    // Postponed commands keep their turn before those that were not read yet.
    put_first(later, waiting);
    batch
}

/// Puts commands back at the front, in their order.
fn put_first(commands: Vec<HoldCommand>, waiting: &mut VecDeque<HoldCommand>) {
    for command in commands.into_iter().rev() {
        waiting.push_front(command);
    }
}

impl Batch {
    /// Whether the batch already has an ask with the command's owner or key.
    fn has_company_of(&self, command: &HoldCommand) -> bool {
        let keys = command.key.iter().flat_map(|key| &key.key_uses);
        self.owners.contains(&command.owner.limit_owner)
            || keys.map(KeyUse::name).any(|name| self.keys.contains(&name))
    }

    fn add(
        &mut self,
        memory: &ShowMemory,
        terms: &HoldTerms,
        command: HoldCommand,
        seats: &[usize],
    ) {
        let hold = Hold {
            hold_id: HoldId::new(command.hold_id),
            show_id: memory.info.show_id.clone(),
            status: HoldStatus::Active,
            expires_at: terms.expires_at,
            seat_ids: memory.plan.labels(seats),
            seats: memory.plan.seat_labels(seats),
            amount_minor: memory.plan.amount_minor(seats),
            currency: terms.currency.clone(),
            booking_id: None,
        };
        let keyed = command.key.as_ref().map(|key| KeyedAnswer {
            key_uses: key.key_uses.clone(),
            answer: (key.answer_of)(&hold),
        });
        self.owners.insert(command.owner.limit_owner.clone());
        self.seats.extend(seats);
        let keys = command.key.iter().flat_map(|key| &key.key_uses);
        self.keys.extend(keys.map(KeyUse::name));
        self.asks.push(HoldAsk {
            hold_id: command.hold_id,
            seat_nos: seats.iter().map(|index| memory.plan.no(*index)).collect(),
            owner: command.owner.clone(),
            amount_minor: hold.amount_minor,
            keyed,
        });
        self.holds.push(hold);
        self.commands.push(command);
    }
}

/// The ask for one command.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    /// These seats, by index.
    Seats(Vec<usize>),
    /// None yet: another command of the batch, which may be refused, asks for one of the seats.
    Later,
    /// None: these seats are unavailable; empty when no combination of the best seats is left.
    Gone(Vec<SeatId>),
}

fn choose(memory: &ShowMemory, wanted: &SeatsWanted, asked: &HashSet<usize>) -> Choice {
    let states = memory.states();
    let available = |index: usize| states.is_available(index);
    match wanted {
        SeatsWanted::Named(indices) => {
            let gone: Vec<usize> = indices.iter().copied().filter(|i| !available(*i)).collect();
            if !gone.is_empty() {
                return Choice::Gone(memory.plan.labels(&gone));
            }
            if indices.iter().any(|index| asked.contains(index)) {
                return Choice::Later;
            }
            let mut sorted = indices.clone();
            sorted.sort_unstable();
            Choice::Seats(sorted)
        }
        SeatsWanted::Best { quantity, category } => {
            let pick = |free: &dyn Fn(usize) -> bool| {
                best_available::pick(&memory.plan, *quantity, category.as_deref(), free)
            };
            if let Some(seats) = pick(&|index| available(index) && !asked.contains(&index)) {
                return Choice::Seats(seats);
            }
            if asked.is_empty() || pick(&available).is_none() {
                return Choice::Gone(Vec::new());
            }
            Choice::Later
        }
    }
}

fn conclude(
    memory: &ShowMemory,
    mut command: HoldCommand,
    hold: Hold,
    outcome: HoldAnswer,
    waiting: &mut VecDeque<HoldCommand>,
) {
    match outcome {
        HoldAnswer::Held => answer(command, Ok(Settled::Held(hold))),
        HoldAnswer::TicketLimit => answer(command, Ok(Settled::TicketLimit)),
        HoldAnswer::SeatsLocked => {
            command.tries += 1;
            if command.tries < HOLD_TRIES_MAX {
                waiting.push_back(command);
            } else {
                answer(command, Ok(Settled::Busy));
            }
        }
        HoldAnswer::SeatsTaken(seat_nos) => {
            command.tries += 1;
            let any_will_do = matches!(command.wanted, SeatsWanted::Best { .. });
            if any_will_do && command.tries < HOLD_TRIES_MAX {
                // Another process took the seats first; memory knows that by now.
                waiting.push_back(command);
                return;
            }
            let indices: Vec<usize> = seat_nos
                .iter()
                .filter_map(|seat_no| memory.plan.index_of_no(*seat_no))
                .collect();
            let labels = if any_will_do {
                Vec::new()
            } else {
                memory.plan.labels(&indices)
            };
            answer(command, Ok(Settled::SeatsUnavailable(labels)));
        }
    }
}

/// Answers a command. A disconnected caller is no error: the hold expires by itself.
fn answer(command: HoldCommand, outcome: Result<Settled, StoreError>) {
    let _ = command.reply.send(outcome);
}
