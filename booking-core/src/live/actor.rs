//! The writer of a show: gathers holds and settles them in batches.
//!
//! One writer per show and process. It refuses from memory what is certainly gone, keeps asks of
//! one batch from wanting the same seat, and leaves the rest to the database, which other
//! processes write to as well.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use contract::{Clock, SeatId};
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use super::show::ShowMemory;
use crate::config::{
    BEST_AVAILABLE_TRIES_MAX, HARD_DEADLINE_AFTER, HOLD_BATCH_MAX, HOLD_BATCH_WAIT, HOLD_WAIT_MAX,
};
use crate::database::{StoreError, repeat_if_contended};
use crate::expiry::ExpiryTimes;
use crate::shows::best_available;
use crate::store::hold_batch::{HoldAnswer, HoldAsk, HoldTerms, hold_batch};
use crate::telemetry;

/// Which seats a hold is to have.
#[derive(Clone, Debug)]
pub(crate) enum SeatsWanted {
    /// These, by index in the plan.
    Named(Vec<usize>),
    /// So many of the best.
    Best {
        quantity: usize,
        category: Option<String>,
    },
}

impl SeatsWanted {
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Named(indices) => indices.len(),
            Self::Best { quantity, .. } => *quantity,
        }
    }
}

/// A hold that somebody waits for.
#[derive(Debug)]
pub(crate) struct HoldCommand {
    pub(crate) hold_id: Uuid,
    pub(crate) wanted: SeatsWanted,
    pub(crate) subject: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) limit_owner: String,
    pub(crate) queued_at: Instant,
    pub(crate) tries: u8,
    pub(crate) reply: oneshot::Sender<Result<Settled, StoreError>>,
}

/// What became of a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It has its seats.
    Held,
    /// These seats could not be had.
    SeatsUnavailable(Vec<SeatId>),
    /// The owner would have too many tickets.
    TicketLimit,
    /// It waited too long for its turn and was not tried.
    Busy,
}

/// What every writer needs.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) pool: PgPool,
    pub(crate) clock: Arc<dyn Clock>,
    /// Hears when the holds that were made end.
    pub(crate) expiry: Arc<ExpiryTimes>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

/// A batch being put together.
#[derive(Debug, Default)]
struct Batch {
    commands: Vec<HoldCommand>,
    asks: Vec<HoldAsk>,
    seats: HashSet<usize>,
    owners: HashSet<String>,
}

impl Writer {
    /// Settles commands until nobody can send any more.
    pub(crate) async fn run(
        self,
        memory: Arc<ShowMemory>,
        mut commands: mpsc::Receiver<HoldCommand>,
    ) {
        let mut waiting = VecDeque::new();
        while gather(&mut commands, &mut waiting).await {
            let show = memory.info.show_id.to_string();
            #[expect(clippy::cast_precision_loss, reason = "at most a few thousand")]
            let queued = (commands.len() + waiting.len()) as f64;
            metrics::gauge!(telemetry::HOLD_QUEUE, "show" => show).set(queued);
            let batch = compose(&memory, &mut waiting);
            if !batch.asks.is_empty() {
                let failed = self.settle(&memory, batch, &mut waiting).await;
                if failed {
                    // The database does not answer: those who wait are told now, because each
                    // further try would cost them the time of one more failure.
                    while let Ok(command) = commands.try_recv() {
                        waiting.push_back(command);
                    }
                    for command in waiting.drain(..) {
                        answer(command, Err(StoreError::Timeout));
                    }
                }
            }
        }
    }

    /// Settles a batch. True when the database failed.
    async fn settle(
        &self,
        memory: &ShowMemory,
        batch: Batch,
        waiting: &mut VecDeque<HoldCommand>,
    ) -> bool {
        let now = self.clock.now();
        let expires_at = now.plus(Duration::from_secs(u64::from(memory.info.hold_seconds)));
        let terms = HoldTerms {
            show_no: memory.info.show_no,
            ticket_limit: i32::try_from(memory.info.ticket_limit).unwrap_or(i32::MAX),
            currency: memory.info.currency.clone(),
            now,
            expires_at,
            hard_deadline: expires_at.plus(HARD_DEADLINE_AFTER),
        };
        let started = Instant::now();
        let outcome = repeat_if_contended(|| hold_batch(&self.pool, &terms, &batch.asks)).await;
        #[expect(clippy::cast_precision_loss, reason = "at most 256")]
        metrics::histogram!(telemetry::HOLD_BATCH_SIZE).record(batch.asks.len() as f64);
        metrics::histogram!(telemetry::HOLD_BATCH_SECONDS).record(started.elapsed());
        match outcome {
            Ok((answers, reports)) => {
                if answers.contains(&HoldAnswer::Held) {
                    self.expiry.remember(expires_at);
                }
                memory.apply(
                    reports
                        .into_iter()
                        .map(|report| (report.seat_no, report.state)),
                );
                for (command, held) in batch.commands.into_iter().zip(answers) {
                    conclude(memory, command, held, waiting);
                }
                false
            }
            Err(cause) => {
                tracing::warn!(show = %memory.info.show_id, %cause, "a batch of holds failed");
                for command in batch.commands {
                    answer(command, Err(StoreError::Timeout));
                }
                true
            }
        }
    }
}

/// Waits for work and a little longer for company. False when no one can send any more.
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
    let deadline = Instant::now() + HOLD_BATCH_WAIT;
    while waiting.len() < HOLD_BATCH_MAX {
        match tokio::time::timeout_at(deadline, commands.recv()).await {
            Ok(Some(command)) => waiting.push_back(command),
            Ok(None) | Err(_) => break,
        }
    }
    true
}

/// Turns commands into asks until the batch is full. A second command of one owner waits for the
/// next batch; commands that cannot succeed are answered at once.
fn compose(memory: &ShowMemory, waiting: &mut VecDeque<HoldCommand>) -> Batch {
    let mut batch = Batch::default();
    let mut later = VecDeque::new();
    while batch.commands.len() < HOLD_BATCH_MAX
        && let Some(command) = waiting.pop_front()
    {
        if command.reply.is_closed() {
            // The customer has gone; nothing was tried.
            continue;
        }
        if command.queued_at.elapsed() > HOLD_WAIT_MAX {
            answer(command, Ok(Settled::Busy));
            continue;
        }
        if batch.owners.contains(&command.limit_owner) {
            later.push_back(command);
            continue;
        }
        match choose(memory, &command.wanted, &batch.seats) {
            Ok(seats) => {
                batch.owners.insert(command.limit_owner.clone());
                batch.seats.extend(&seats);
                batch.asks.push(HoldAsk {
                    hold_id: command.hold_id,
                    seat_nos: seats.iter().map(|index| memory.plan.no(*index)).collect(),
                    subject: command.subject.clone(),
                    session: command.session.clone(),
                    limit_owner: command.limit_owner.clone(),
                    amount_minor: memory.plan.amount_minor(&seats),
                });
                batch.commands.push(command);
            }
            Err(unavailable) => answer(command, Ok(Settled::SeatsUnavailable(unavailable))),
        }
    }
    // Those put off keep their turn before those not looked at yet.
    while let Some(command) = later.pop_back() {
        waiting.push_front(command);
    }
    batch
}

/// The seats to ask the database for, or those that are certainly gone.
fn choose(
    memory: &ShowMemory,
    wanted: &SeatsWanted,
    taken: &HashSet<usize>,
) -> Result<Vec<usize>, Vec<SeatId>> {
    let states = memory.states();
    let free = |index: usize| states.is_available(index) && !taken.contains(&index);
    match wanted {
        SeatsWanted::Named(indices) => {
            let gone: Vec<usize> = indices.iter().copied().filter(|i| !free(*i)).collect();
            if gone.is_empty() {
                let mut sorted = indices.clone();
                sorted.sort_unstable();
                Ok(sorted)
            } else {
                Err(memory.plan.labels(&gone))
            }
        }
        SeatsWanted::Best { quantity, category } => {
            best_available::pick(&memory.plan, *quantity, category.as_deref(), free)
                .ok_or_else(Vec::new)
        }
    }
}

fn conclude(
    memory: &ShowMemory,
    mut command: HoldCommand,
    held: HoldAnswer,
    waiting: &mut VecDeque<HoldCommand>,
) {
    match held {
        HoldAnswer::Held => answer(command, Ok(Settled::Held)),
        HoldAnswer::TicketLimit => answer(command, Ok(Settled::TicketLimit)),
        HoldAnswer::SeatsTaken(seat_nos) => {
            command.tries += 1;
            let any_will_do = matches!(command.wanted, SeatsWanted::Best { .. });
            if any_will_do && command.tries < BEST_AVAILABLE_TRIES_MAX {
                // Another process was quicker; memory has heard of it by now.
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

/// Answers a command. Nobody waiting any more is no error: the hold expires by itself.
fn answer(command: HoldCommand, outcome: Result<Settled, StoreError>) {
    let _ = command.reply.send(outcome);
}
