//! Lets visitors of a room in stand-by straight in.
//!
//! Visitors who come while the previous batch is on its way are let in together: one call of the
//! store pops them, the log takes them down, and then they have their answer (LOGGED-FIRST). Their
//! batch is published behind that, before the next one is begun. A gateway that dies in between
//! leaves the batch pending, and the leader finishes it.

use std::sync::Arc;
use std::time::Duration;

use contract::{PlaceId, Timestamp};
use metrics::counter;
use tokio::time::Instant;

use crate::error::WorkError;
use crate::live_keys;
use crate::passes::{Admission, Minted, mint};
use crate::policy::care::RateShare;
use crate::policy::order::clock_floor;
use crate::policy::standby::is_standby;
use crate::records::{AdmissionBatch, LogHead};
use crate::room::Room;
use crate::standby::{Begun, Waiting};
use crate::store::StoreError;
use crate::store::standby::{Closed, STANDBY_BATCH_MAX, StandbyOrder, StandbyPopped};
use crate::telemetry;

/// Longest a batch waits for that of another gateway, and how often it looks.
const PATIENCE: Duration = Duration::from_millis(250);
const LOOK_EVERY: Duration = Duration::from_millis(3);

impl Room {
    /// Whether the room is in stand-by by its settings and phase: visitors go straight in while
    /// nobody waits and rate and cap have room.
    pub fn is_standby(&self) -> bool {
        is_standby(&self.record().settings, self.phase())
    }

    /// Lets a visitor straight in, with the place that the pass is for. `None` when they have to
    /// go to the waiting page.
    pub async fn straight_in(&self, now: Timestamp) -> Option<(PlaceId, Minted)> {
        if !self.is_standby() {
            return None;
        }
        let begun = self.standby.ask().await?;
        let admission = Admission {
            place: begun.place,
            seq: begun.seq,
            from: begun.started_at,
            until: begun.expires_at,
        };
        let pass = mint(&self.parts, &self.id, admission, now).ok()?;
        Some((begun.place, pass))
    }

    /// Whether calls are made at all, by what does not depend on the line.
    fn calls_go_on(&self) -> bool {
        let parts = &self.parts;
        let is_sold_out = parts
            .stock
            .stock(&self.id)
            .is_some_and(|stock| stock.remaining == 0);
        parts.skew.may_lead() && !is_sold_out
    }
}

/// Lets visitors of `room` straight in until the room ends.
pub async fn run(room: Arc<Room>) {
    let Some(mut queue) = room.standby.queue_end() else {
        return;
    };
    let mut batch = Vec::with_capacity(STANDBY_BATCH_MAX);
    let mut log_head = None;
    loop {
        tokio::select! {
            biased;
            () = room.stop.cancelled() => return,
            count = queue.recv_many(&mut batch, STANDBY_BATCH_MAX) => {
                if count == 0 {
                    return;
                }
                if let Err(error) = settle(&room, &mut batch, &mut log_head).await {
                    room.meters.standby_failures.increment(1);
                    tracing::debug!(room = %room.id, %error, "nobody goes straight in");
                }
                // Whoever is left goes to the waiting page.
                batch.clear();
                // Also after an error: it may have been done all the same.
                room.rest.stir();
            }
        }
    }
}

/// Lets in as many of `batch` as may go straight in, and answers these.
async fn settle(
    room: &Room,
    batch: &mut Vec<Waiting>,
    log_head: &mut Option<LogHead>,
) -> Result<(), WorkError> {
    // Whoever gave up waiting is on the way to the waiting page.
    batch.retain(|waiting| !waiting.is_closed());
    let upstream = room.parts.upstreams.rate_share(&room.target());
    let is_called = room.is_standby() && room.calls_go_on() && upstream > RateShare::NONE;
    if batch.is_empty() || !is_called {
        return Ok(());
    }
    let now = room.parts.now();
    let record = room.record();
    let settings = &record.settings;
    let order = StandbyOrder {
        batch: room.parts.randomness.uuid(),
        places: (0..batch.len())
            .map(|_| PlaceId::from_bytes(room.parts.randomness.bytes()))
            .collect(),
        active_max: settings.total_active_users,
        calls_per_minute: upstream.of(settings.new_users_per_minute),
        expires_at: now.plus(Duration::from_secs(settings.session_duration_seconds)),
    };
    let popped = pop(room, now, &order).await?;
    if let Some(closed) = popped.closed {
        if matches!(closed, Closed::Line | Closed::Cap) {
            room.standby.close();
        }
        counter!(telemetry::STANDBY_CLOSED, "room" => room.id.to_string(), "reason" => closed.as_str())
            .increment(1);
    }
    if popped.places.is_empty() {
        return Ok(());
    }
    let places = popped.places.iter().map(|(place, key)| (*place, key.get()));
    let logged = AdmissionBatch {
        batch_id: order.batch,
        called_at: now,
        places: places.collect(),
    };
    let durable = &room.parts.durable;
    let appended = durable.append(&room.id, &logged, log_head.take()).await?;
    *log_head = Some(appended.head);
    let admitted = popped.places.iter().zip(appended.seqs.clone());
    for ((place, _), seq) in admitted.clone() {
        room.sessions.claimed(*place, seq, now, order.expires_at);
    }
    for (((place, _), seq), waiting) in admitted.zip(batch.drain(..popped.places.len())) {
        // The session of a visitor who has gone ends like any other.
        let _gone = waiting.send(Begun {
            place: *place,
            seq,
            started_at: now,
            expires_at: order.expires_at,
        });
    }
    let count = appended.seqs.end - appended.seqs.start;
    counter!(telemetry::CALLS, "room" => room.id.to_string()).increment(count);
    room.meters.straight.increment(count);
    let (store, at) = (&room.parts.store, room.store_ref());
    let first = appended.seqs.start;
    store
        .call_publish(&at, now, order.batch, first, order.expires_at)
        .await?;
    Ok(())
}

/// Pops the batch. Waits for that of another gateway, and sees once to whatever else the store
/// needs before it lets anyone in.
async fn pop(
    room: &Room,
    now: Timestamp,
    order: &StandbyOrder,
) -> Result<StandbyPopped, WorkError> {
    let began = Instant::now();
    let (store, at) = (&room.parts.store, room.store_ref());
    let floor = clock_floor(room.record().created_at, now);
    let (mut is_rebuilt, mut is_opened, mut has_keys) = (false, false, false);
    loop {
        let popped = match store.standby_pop(&at, now, floor, order).await {
            Err(StoreError::NoRoom) if !is_rebuilt => {
                is_rebuilt = true;
                room.rebuild().await?;
                continue;
            }
            other => other?,
        };
        match popped.closed {
            Some(Closed::Pending) if began.elapsed() < PATIENCE => {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Some(Closed::Unopened) if !is_opened => {
                is_opened = true;
                room.open_if_ordered(now).await?;
            }
            Some(Closed::Keyless) if !has_keys => {
                has_keys = true;
                live_keys::ensure(room, Duration::ZERO).await?;
            }
            _ => return Ok(popped),
        }
    }
}
