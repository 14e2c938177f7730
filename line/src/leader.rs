//! The leader of a room calls visitors. Every gateway tries every tick; the lease in the store
//! lets one through, and its fence keeps an outdated leader from doing anything.
//!
//! A tick: deal with what is overdue, decide how many to call, pop them, append them to the
//! durable log, and only then make them called (LOGGED-FIRST). A process that dies between two
//! of these steps leaves the batch popped; the next leader logs and publishes the same batch.

use std::sync::Arc;
use std::time::Duration;

use contract::Timestamp;
use metrics::{counter, gauge, histogram};
use tokio::time::{Instant, MissedTickBehavior};
use uuid::Uuid;

use crate::error::WorkError;
use crate::live_keys::{self, RESERVED_MIN};
use crate::policy::admission::{LimitedBy, TICK, decide};
use crate::policy::order::{LIVE_BASE, waited};
use crate::policy::situation::Situation;
use crate::presence::{GATEWAY_LEASE, lapse_of};
use crate::records::AdmissionBatch;
use crate::room::Room;
use crate::store::{CallOrder, OUTCOMES_MAX, Popped, StoreError, TickSettings, TickState};
use crate::telemetry;

/// How long a lease lasts. A leader that dies is replaced within this.
const LEASE: Duration = Duration::from_secs(2);
/// Time between snapshots, floors and comparisons with the log.
const SECOND_WORK_EVERY: Duration = Duration::from_secs(1);

/// Most rounds of writing down outcomes at a time; what is left is written the next time.
const OUTCOME_ROUNDS: usize = 5;

/// What leading one room remembers between ticks.
pub struct Leader {
    room: Arc<Room>,
    second_work_at: Option<Timestamp>,
    /// Waits of live joiners called by this process: sum in milliseconds, and how many.
    waited: (u64, u64),
    /// Where the live clock was set ahead of the time.
    lifts: Vec<u64>,
    /// When this process last began a tick as the leader.
    ticked_at: Option<Timestamp>,
    /// Since when this process has ticked as the leader without a pause.
    steady_since: Option<Timestamp>,
    /// When this process last filled the room's bucket.
    filled_at: Option<Timestamp>,
    /// The last ordinal, as of which store and log are known to agree. None until they were
    /// compared, and after anything whose outcome is not known.
    agreed_seq: Option<u64>,
}

/// What one tick did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// Another gateway leads.
    Follows,
    /// This one leads and called so many.
    Called(u64),
}

impl Leader {
    /// A candidate for leading `room`.
    pub fn new(room: Arc<Room>) -> Self {
        Self {
            room,
            second_work_at: None,
            waited: (0, 0),
            lifts: Vec::new(),
            ticked_at: None,
            steady_since: None,
            filled_at: None,
            agreed_seq: None,
        }
    }

    /// Ticks until the room ends.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.room.stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let began = Instant::now();
            let ticked = self.tick_once().await;
            let (meters, took) = (&self.room.meters, began.elapsed());
            meters.tick_seconds.record(took.as_secs_f64());
            if let Err(error) = ticked {
                meters.tick_failures.increment(1);
                tracing::debug!(room = %self.room.id, %error, "tick failed");
            }
        }
    }

    /// One tick.
    pub async fn tick_once(&mut self) -> Result<Tick, WorkError> {
        if !self.room.parts.skew.may_lead() {
            // Its lease ends by itself, and by then another gateway leads.
            self.steady_since = None;
            return Ok(self.follows());
        }
        let now = self.room.parts.clock.now();
        let steady_since = self.steady_since.take();
        let begun = match self.begin(now).await {
            Err(WorkError::Store(StoreError::NoRoom)) => {
                self.room.rebuild().await?;
                self.begin(now).await?
            }
            other => other?,
        };
        let Some(state) = begun else {
            return Ok(self.follows());
        };
        self.lapse(&state, steady_since, now).await?;
        let is_second_due = self
            .second_work_at
            .is_none_or(|at| now.since(at) >= SECOND_WORK_EVERY);
        let agreed = match self.confirmed(&state).await {
            Ok(()) => self.agreed(state, now).await,
            Err(error) => Err(error),
        };
        let called = match agreed {
            Ok(Some(state)) => self.call_next(&state, now).await,
            Ok(None) => return Ok(Tick::Follows),
            Err(error) => Err(error),
        };
        if !is_second_due {
            return called.map(Tick::Called);
        }
        // Also while nobody can be called: fans are shown the line as it is.
        self.snapshot_leave(now).await?;
        let called = called?;
        self.records_compare().await?;
        Ok(Tick::Called(called))
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

    fn follows(&mut self) -> Tick {
        self.second_work_at = None;
        self.agreed_seq = None;
        Tick::Follows
    }

    /// Confirms the store's server before anyone is called from what it has: another one may have
    /// had fans who come before those that are back.
    async fn confirmed(&self, state: &TickState) -> Result<(), WorkError> {
        if !state.is_confirmed {
            live_keys::ensure(&self.room, Duration::ZERO).await?;
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
        if was_silent || !is_ours || self.agreed_seq.is_some_and(|seq| state.seq < seq) {
            self.agreed_seq = None;
        }
        if self.agreed_seq.is_some() || state.pending.is_some() {
            return Ok(Some(state));
        }
        let head = self.room.parts.durable.head(&self.room.id).await?;
        if head.seq <= state.seq {
            self.agreed_seq = Some(state.seq);
            return Ok(Some(state));
        }
        tracing::warn!(room = %self.room.id, store = state.seq, log = head.seq, "the line went back");
        self.room.rebuild().await?;
        let state = self.begin(now).await?;
        self.agreed_seq = state.map(|state| state.seq);
        Ok(state)
    }

    /// Finishes the batch that was left pending, or calls the next places.
    async fn call_next(&mut self, state: &TickState, now: Timestamp) -> Result<u64, WorkError> {
        if let Some(batch) = state.pending {
            let store = &self.room.parts.store;
            let popped = store.call_pending(&self.room.store_ref()).await?;
            return self.complete(batch, &popped, now).await;
        }
        self.room.open_if_ordered(now).await?;
        self.call(state, now).await
    }

    async fn begin(&self, now: Timestamp) -> Result<Option<TickState>, WorkError> {
        let record = self.room.record();
        let settings = TickSettings {
            lease: LEASE,
            absence_timeout: Duration::from_secs(record.settings.absence_timeout_seconds),
            missed_grace: Duration::from_secs(record.settings.missed_turn_grace_seconds),
            gateway_lease: GATEWAY_LEASE,
        };
        let (parts, at) = (&self.room.parts, self.room.store_ref());
        let begun = parts.store.tick_begin(&at, now, parts.process, settings);
        Ok(begun.await?)
    }

    async fn call(&mut self, state: &TickState, now: Timestamp) -> Result<u64, WorkError> {
        let room = &self.room;
        let record = room.record();
        let situation = Situation {
            phase: room.phase(),
            calls_per_minute: record.settings.new_users_per_minute,
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
            upstream_open: room.parts.upstreams.is_open(&room.target()),
            held_until: state.held_until,
        };
        let decision = decide(state.bucket, &situation, now);
        self.report(&situation, decision.limited_by);
        self.report_shows(state, decision.filled.shows.share);
        let order = CallOrder {
            lease: state.lease,
            seq: state.seq,
            batch: room.parts.randomness.uuid(),
            count: decision.count,
            active_max: situation.active_max,
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
        self.complete(order.batch, &popped, now).await
    }

    /// Logs a popped batch, then makes it called. May be repeated after any failure.
    async fn complete(
        &mut self,
        batch: Uuid,
        popped: &Popped,
        now: Timestamp,
    ) -> Result<u64, WorkError> {
        let was_agreed = self.agreed_seq.take().is_some();
        let room = &self.room;
        let places: Vec<_> = popped
            .places
            .iter()
            .map(|(place, key)| (*place, key.get()))
            .collect();
        let count = u64::try_from(places.len()).unwrap_or(u64::MAX);
        let batch_record = AdmissionBatch {
            batch_id: batch,
            called_at: now,
            places,
        };
        let seqs = room.parts.durable.append(&room.id, &batch_record).await?;
        let first_seq = seqs.first().copied().unwrap_or(0);
        if !seqs.iter().copied().eq(first_seq..first_seq + count) {
            return Err(WorkError::Gap);
        }
        let window = Duration::from_secs(room.record().settings.claim_window_seconds);
        // The deadline counts from when fans can know of the call, not from when it was popped.
        let claim_by = room.parts.clock.now().plus(window);
        let store = &room.parts.store;
        let published = store
            .call_publish(&room.store_ref(), now, batch, first_seq, claim_by)
            .await?;
        if !published {
            return Ok(0);
        }
        room.news.notify_one();
        counter!(telemetry::CALLS, "room" => room.id.to_string()).increment(count);
        self.agreed_seq = was_agreed.then(|| first_seq + count - 1);
        self.note_waits(popped, now);
        Ok(count)
    }

    /// Leaves the snapshot for all gateways.
    async fn snapshot_leave(&mut self, now: Timestamp) -> Result<(), WorkError> {
        let room = &self.room;
        let at = room.store_ref();
        let mut snapshot = room.parts.store.snapshot_take(&at, now).await?;
        (snapshot.counts.waited_ms, snapshot.counts.waited) = self.waited;
        room.parts.store.snapshot_put(&at, &snapshot).await?;
        self.second_work_at = Some(now);
        Ok(())
    }

    /// Reserves live keys ahead, writes outcomes down, and looks whether the store lacks admissions
    /// that the log has.
    async fn records_compare(&mut self) -> Result<(), WorkError> {
        let keys = live_keys::ensure(&self.room, RESERVED_MIN).await?;
        self.lifts = keys.lifts;
        self.outcomes_note().await?;
        let head = self.room.parts.durable.head(&self.room.id).await?;
        if self.agreed_seq.is_some_and(|seq| head.seq > seq) {
            self.agreed_seq = None;
        }
        Ok(())
    }

    /// Writes down what became of admissions, so that a line made again knows it.
    async fn outcomes_note(&self) -> Result<(), WorkError> {
        let (parts, at) = (&self.room.parts, self.room.store_ref());
        for _ in 0..OUTCOME_ROUNDS {
            let outcomes = parts.store.outcomes_take(&at).await?;
            if outcomes.is_empty() {
                break;
            }
            parts.durable.outcomes_note(&at.room, &outcomes).await?;
            parts.store.outcomes_done(&at, &outcomes).await?;
            if outcomes.len() < OUTCOMES_MAX {
                break;
            }
        }
        Ok(())
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "gauges of counts far below 2^52"
    )]
    fn report(&self, situation: &Situation, limited_by: LimitedBy) {
        let room = self.room.id.to_string();
        gauge!(telemetry::IN_LINE, "room" => room.clone()).set(situation.in_line as f64);
        gauge!(telemetry::OCCUPIED, "room" => room.clone()).set(situation.occupied as f64);
        counter!(telemetry::TICKS, "room" => room, "limited_by" => limited_by.as_str())
            .increment(1);
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

    fn note_waits(&mut self, popped: &Popped, now: Timestamp) {
        let age = now.since(self.room.record().created_at);
        let seconds = histogram!(telemetry::WAIT_SECONDS, "room" => self.room.id.to_string());
        for (_, key) in popped.places.iter().filter(|(_, key)| key.is_live()) {
            let Some(wait) = waited(age, key.get() - LIVE_BASE, &self.lifts) else {
                continue;
            };
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            self.waited = (self.waited.0 + wait_ms, self.waited.1 + 1);
            seconds.record(wait.as_secs_f64());
        }
    }
}
