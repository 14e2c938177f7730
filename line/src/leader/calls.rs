//! Calling visitors.
//!
//! A tick: deal with what is overdue, decide how many to call, pop them, append them to the
//! durable log, and only then make them called (LOGGED-FIRST). A process that dies between two
//! of these steps leaves the batch popped; the next leader logs and publishes the same batch.
//!
//! One batch is on its way at a time. Making it called and beginning the next tick are asked of
//! the store together, so that a tick takes two ways to the store and back and one to the log.

use std::sync::Arc;
use std::time::Duration;

use contract::Timestamp;
use contract::invariants::LOGGED_FIRST;
use contract::room::LimitedBy;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use metric_families::breaches::breached;
use metrics::{counter, gauge, histogram};
use tokio::time::{Instant, MissedTickBehavior};
use uuid::Uuid;

use super::shared::Shared;
use crate::error::WorkError;
use crate::live_keys;
use crate::policy::admission::{TICK, decide};
use crate::policy::order::{LIVE_BASE, waited};
use crate::policy::situation::Situation;
use crate::presence::{GATEWAY_LEASE, lapse_of};
use crate::rebuild::remembered;
use crate::records::{AdmissionBatch, LogHead};
use crate::rest::Task;
use crate::room::Room;
use crate::store::{CallOrder, Popped, StoreError, StoreResult, TickSettings, TickState};
use crate::telemetry;

/// How long a lease lasts. A leader that dies is replaced within this.
const LEASE: Duration = Duration::from_secs(2);

/// How long a pending batch of stand-by is left to the gateway that popped it. It has died, or the
/// log did not answer it, when the batch is still pending then.
const STANDBY_LEFT_FOR: Duration = Duration::from_secs(1);

/// A batch that is in the log, on its way to be made called.
struct Publishing {
    published: BoxFuture<'static, StoreResult<bool>>,
    popped: Popped,
    popped_at: Timestamp,
    /// Its last ordinal, if store and log agreed before it.
    agreed_seq: Option<u64>,
}

/// What calling visitors of one room remembers between ticks.
pub(super) struct Calls {
    room: Arc<Room>,
    shared: Arc<Shared>,
    publishing: Option<Publishing>,
    /// Where the log ended after the last batch. None when that is not known.
    log_head: Option<LogHead>,
    /// How long the last append took.
    append_took: Duration,
    /// When this process last began a tick as the leader.
    ticked_at: Option<Timestamp>,
    /// Since when this process has ticked as the leader without a pause.
    steady_since: Option<Timestamp>,
    /// When this process last filled the room's bucket.
    filled_at: Option<Timestamp>,
    /// Whether the last tick led and left nothing to do until somebody comes.
    is_settled: bool,
    /// Whether the room has rested since the last tick.
    has_rested: bool,
    /// Whether this process shows the leader's figures.
    shows_figures: bool,
}

/// What one tick did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// Another gateway leads.
    Follows,
    /// This one leads and called so many.
    Called(u64),
}

impl Calls {
    pub(super) const fn new(room: Arc<Room>, shared: Arc<Shared>) -> Self {
        Self {
            room,
            shared,
            publishing: None,
            log_head: None,
            append_took: Duration::ZERO,
            ticked_at: None,
            steady_since: None,
            filled_at: None,
            is_settled: false,
            has_rested: false,
            shows_figures: false,
        }
    }

    /// Ticks until the room ends.
    pub(super) async fn run(mut self) {
        let (room, shared) = (self.room.clone(), self.shared.clone());
        let stop = room.stop.clone();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // A resting room has no leader: the lease ends, and whoever wakes first takes it.
            let next_round = room.rest.next_round_told(&mut ticks, || shared.follow());
            tokio::select! {
                () = stop.cancelled() => {
                    let last = self.publish().await;
                    return self.note_failure(last);
                }
                published = self.publish(), if self.publishing.is_some() => {
                    self.note_failure(published);
                    continue;
                }
                has_rested = next_round => self.has_rested = has_rested,
            }
            let round = room.rest.round();
            let began = Instant::now();
            let ticked = self.tick_once().await;
            room.rest.note(Task::Calls, round, self.is_settled);
            let tick_seconds = &self.room.meters.tick_seconds;
            tick_seconds.record(began.elapsed().as_secs_f64());
            self.note_failure(ticked);
        }
    }

    /// Another gateway leads: its figures count, and the last ones of this process would stay.
    fn follow(&mut self) {
        self.shared.follow();
        if !std::mem::take(&mut self.shows_figures) {
            return;
        }
        for name in [
            telemetry::IN_LINE,
            telemetry::OCCUPIED,
            telemetry::UPSTREAM_SHARE,
            telemetry::SHOW_SHARE,
        ] {
            gauge!(name, "room" => self.room.id.to_string()).set(0.0);
        }
    }

    fn note_failure<T>(&self, outcome: Result<T, WorkError>) {
        if let Err(error) = outcome {
            self.room.meters.tick_failures.increment(1);
            self.room.line_failed(self.room.parts.clock.now());
            tracing::debug!(room = %self.room.id, %error, "tick failed");
        }
    }

    /// One tick, until its batch is in the log and on its way to be made called.
    pub(super) async fn tick_once(&mut self) -> Result<Tick, WorkError> {
        self.is_settled = false;
        if !self.room.parts.skew.may_lead() {
            // Its lease ends by itself, and by then another gateway leads.
            self.steady_since = None;
            self.publish().await?;
            self.follow();
            return Ok(Tick::Follows);
        }
        let now = self.room.parts.clock.now();
        let steady_since = self.steady_since.take();
        // In this order on one connection, so that the tick begins with the last batch called.
        let room = self.room.clone();
        let (published, begun) = tokio::join!(self.publish(), begin(&room, now));
        let begun = match begun {
            Err(WorkError::Store(StoreError::NoRoom)) => {
                room.rebuild().await?;
                begin(&room, now).await?
            }
            other => other?,
        };
        let Some(state) = begun else {
            self.follow();
            return Ok(Tick::Follows);
        };
        self.shared.lock().leads = true;
        published?;
        self.lapse(&state, steady_since, now).await?;
        confirm(&room, &state).await?;
        match self.agreed(state, now).await? {
            Some(state) => {
                let called = self.call_next(&state, now).await?;
                self.is_settled = state.is_settled();
                Ok(Tick::Called(called))
            }
            None => Ok(Tick::Follows),
        }
    }

    /// Sees the batch that is in the log made called. May be dropped and called again.
    pub(super) async fn publish(&mut self) -> Result<(), WorkError> {
        let Some(publishing) = &mut self.publishing else {
            return Ok(());
        };
        let published = (&mut publishing.published).await;
        let Some(done) = self.publishing.take() else {
            return Ok(());
        };
        if !published? {
            return Ok(());
        }
        let room = &self.room;
        room.news.notify_one();
        let count = u64::try_from(done.popped.places.len()).unwrap_or(u64::MAX);
        counter!(telemetry::CALLS, "room" => room.id.to_string()).increment(count);
        self.note_waits(&done.popped, done.popped_at);
        self.shared.lock().agreed_seq = done.agreed_seq;
        Ok(())
    }

    /// Marks the fans of a gateway that is gone as absent, a bounded number at a time.
    async fn lapse(
        &mut self,
        state: &TickState,
        steady_since: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), WorkError> {
        let was_silent = self.ticked_at.is_none_or(|at| now.since(at) >= LEASE);
        let since = steady_since.filter(|_| !was_silent).unwrap_or(now);
        self.steady_since = Some(since);
        let room = &self.room;
        let timeout = Duration::from_secs(room.record().settings.absence_timeout_seconds);
        let Some(order) = lapse_of(state, since, timeout, now) else {
            return Ok(());
        };
        let store = &room.parts.store;
        let marked = store.presence_lapse(&room.store_ref(), &order).await?;
        if marked > 0 {
            tracing::info!(room = %room.id, gateway = %order.gateway, marked, "fans of a gateway that is gone are absent");
            counter!(telemetry::LAPSED, "room" => room.id.to_string()).increment(marked);
        }
        Ok(())
    }

    /// Looks whether the store has what the log has, before anyone is called: places that were
    /// called and wait again, in a store that went back to an earlier state, would be called
    /// twice. A pending batch may be in the log already, so it is finished before. The state
    /// after that; none when another leads by then.
    async fn agreed(
        &mut self,
        state: TickState,
        now: Timestamp,
    ) -> Result<Option<TickState>, WorkError> {
        // Whoever was silent for as long as a lease may have had a successor, and not know it.
        let was_silent = self.ticked_at.is_none_or(|at| now.since(at) >= LEASE);
        self.ticked_at = Some(now);
        // Every tick of a leader fills the bucket: at another time, if another one led meanwhile
        // or the line went back.
        let is_ours = state.bucket.filled_at == self.filled_at;
        let is_agreed = {
            let agreed = &mut self.shared.lock().agreed_seq;
            *agreed = agreed.filter(|seq| !was_silent && is_ours && *seq <= state.seq);
            agreed.is_some()
        };
        if is_agreed || state.pending.is_some() {
            return Ok(Some(state));
        }
        let head = self.room.parts.durable.head(&self.room.id).await?;
        if head.seq < state.seq {
            tracing::error!(room = %self.room.id, store = state.seq, log = head.seq, "calls are not in the log");
            breached(LOGGED_FIRST.name, state.seq - head.seq);
        }
        if head.seq <= state.seq {
            self.shared.lock().agreed_seq = Some(state.seq);
            self.log_head = Some(head);
            return Ok(Some(state));
        }
        // A gateway in stand-by may have logged a batch since the tick began. It has one at a time,
        // so the last one of the log is pending now, or published.
        let Some(state) = begin(&self.room, now).await? else {
            return Ok(None);
        };
        if state.pending.is_some() || head.seq <= state.seq {
            return Ok(Some(state));
        }
        tracing::warn!(room = %self.room.id, store = state.seq, log = head.seq, "the line went back");
        self.room.rebuild().await?;
        let state = begin(&self.room, now).await?;
        self.shared.lock().agreed_seq = state.map(|state| state.seq);
        Ok(state)
    }

    /// Finishes the batch that was left pending, or calls the next places.
    async fn call_next(&mut self, state: &TickState, now: Timestamp) -> Result<u64, WorkError> {
        if let Some(batch) = state.pending {
            let popped_at = state.standby_at;
            if popped_at.is_some_and(|at| now.since(at) < STANDBY_LEFT_FOR) {
                // The gateway that popped it is at it.
                return Ok(0);
            }
            let store = &self.room.parts.store;
            let popped = store.call_pending(&self.room.store_ref()).await?;
            return self.complete(batch, popped, now).await;
        }
        self.room.open_if_ordered(now).await?;
        self.call(state, now).await
    }

    async fn call(&mut self, state: &TickState, now: Timestamp) -> Result<u64, WorkError> {
        let room = &self.room;
        let record = room.record();
        let upstream = room.parts.upstreams.rate_share(&room.target());
        let situation = Situation {
            phase: room.phase(),
            upstream,
            calls_per_minute: upstream.of(record.settings.new_users_per_minute),
            call_batch: record.settings.call_batch,
            active_max: record.settings.total_active_users,
            in_line: state.in_line,
            occupied: state.occupied,
            given_back: state.given_back,
            claims: state.claims,
            remaining: room
                .parts
                .stock
                .stock(&room.id)
                .map(|stock| stock.remaining),
            held_until: state.held_until,
            append_took: self.append_took,
            has_rested: self.has_rested,
        };
        let decision = decide(state.bucket, &situation, now);
        self.shows_figures = true;
        self.report(&situation, decision.limited_by);
        self.report_shows(state, decision.filled.shows.share);
        let order = CallOrder {
            lease: state.lease,
            seq: state.seq,
            batch: room.parts.randomness.uuid(),
            count: decision.count,
            active_max: situation.active_max,
            calls_per_minute: situation.calls_per_minute,
            bucket: decision.filled,
            given_back: state.given_back,
        };
        let popped = room
            .parts
            .store
            .call_pop(&room.store_ref(), now, &order)
            .await?;
        self.filled_at = Some(now);
        if popped.places.is_empty() {
            return Ok(0);
        }
        self.complete(order.batch, popped, now).await
    }

    /// Logs a popped batch and sets out to make it called. May be repeated after any failure.
    async fn complete(
        &mut self,
        batch: Uuid,
        popped: Popped,
        now: Timestamp,
    ) -> Result<u64, WorkError> {
        let was_agreed = self.shared.lock().agreed_seq.take().is_some();
        let room = &self.room;
        let places = popped.places.iter().map(|(place, key)| (*place, key.get()));
        let batch_record = AdmissionBatch {
            batch_id: batch,
            called_at: now,
            places: places.collect(),
        };
        let began = Instant::now();
        let appended = room
            .parts
            .durable
            .append(&room.id, &batch_record, self.log_head.take())
            .await?;
        self.append_took = began.elapsed();
        self.log_head = Some(appended.head);
        let seqs = appended.seqs;
        let window = Duration::from_secs(room.record().settings.claim_window_seconds);
        // The deadline counts from when fans can know of the call, not from when it was popped.
        let claim_by = room.parts.clock.now().plus(window);
        let (store, at, first_seq) = (room.parts.store.clone(), room.store_ref(), seqs.start);
        let published = async move {
            store
                .call_publish(&at, now, batch, first_seq, claim_by)
                .await
        };
        self.publishing = Some(Publishing {
            published: published.boxed(),
            popped,
            popped_at: now,
            agreed_seq: was_agreed.then(|| seqs.end - 1),
        });
        Ok(seqs.end - seqs.start)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "gauges of counts far below 2^52"
    )]
    fn report(&self, situation: &Situation, limited_by: LimitedBy) {
        let room = self.room.id.to_string();
        gauge!(telemetry::IN_LINE, "room" => room.clone()).set(situation.in_line as f64);
        gauge!(telemetry::OCCUPIED, "room" => room.clone()).set(situation.occupied as f64);
        gauge!(telemetry::UPSTREAM_SHARE, "room" => room.clone()).set(situation.upstream.ratio());
        counter!(telemetry::TICKS, "room" => room, "limited_by" => limited_by.as_str())
            .increment(1);
        self.shared.lock().limited_by = Some(limited_by);
    }

    #[expect(clippy::cast_precision_loss, reason = "a share in millionths")]
    fn report_shows(&self, state: &TickState, share: u64) {
        let room = self.room.id.to_string();
        gauge!(telemetry::SHOW_SHARE, "room" => room.clone()).set(share as f64 / 1e6);
        // A bucket that was never filled does not know which claims are new.
        if state.bucket.filled_at.is_some() {
            let entries = state.claims.saturating_sub(state.bucket.shows.claims);
            counter!(telemetry::ENTRIES, "room" => room).increment(entries);
        }
    }

    fn note_waits(&self, popped: &Popped, now: Timestamp) {
        let age = now.since(self.room.record().created_at);
        let lifts = self.shared.lock().lifts.clone();
        let room = || self.room.id.to_string();
        let seconds = histogram!(telemetry::WAIT_SECONDS, "room" => room());
        let errors = histogram!(telemetry::ESTIMATE_ERROR, "room" => room());
        let estimates =
            |p90: &'static str| counter!(telemetry::ESTIMATES, "room" => room(), "p90" => p90);
        let (within, beyond) = (estimates("within"), estimates("beyond"));
        let mut forecasts = self.room.forecasts();
        for (_, key) in popped.places.iter().filter(|(_, key)| key.is_live()) {
            let Some(wait) = waited(age, key.get() - LIVE_BASE, &lifts) else {
                continue;
            };
            self.shared.add_wait(wait);
            seconds.record(wait.as_secs_f64());
            if let Some(outcome) = forecasts.settle(now.minus(wait), wait) {
                errors.record(outcome.error);
                let turned_out = if outcome.is_within { &within } else { &beyond };
                turned_out.increment(1);
            }
        }
    }
}

async fn begin(room: &Room, now: Timestamp) -> Result<Option<TickState>, WorkError> {
    let record = room.record();
    let settings = TickSettings {
        lease: LEASE,
        absence_timeout: Duration::from_secs(record.settings.absence_timeout_seconds),
        missed_grace: Duration::from_secs(record.settings.missed_turn_grace_seconds),
        gateway_lease: GATEWAY_LEASE,
        remembered: remembered(&record.settings),
    };
    let (parts, at) = (&room.parts, room.store_ref());
    let begun = parts.store.tick_begin(&at, now, parts.process, settings);
    Ok(begun.await?)
}

/// Confirms the store's server before anyone is called from what it has: another one may have
/// had fans who come before those that are back.
async fn confirm(room: &Room, state: &TickState) -> Result<(), WorkError> {
    if !state.is_confirmed {
        live_keys::ensure(room, Duration::ZERO).await?;
    }
    Ok(())
}
