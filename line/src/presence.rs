//! Tells the store whose connections closed, a few times a second, and renews the lease under
//! which this gateway stands for the presence of the fans connected to it.
//!
//! The store keeps one entry for each time that a place in the line was said to be connected
//! here. When this process dies, its lease ends and the leader marks those places as absent.

use std::sync::Arc;
use std::time::Duration;

use contract::Timestamp;
use tokio::time::MissedTickBehavior;

use crate::follower::put_back;
use crate::rest::Task;
use crate::room::Room;
use crate::store::{Lapse, StoreError, TickState};

/// Time between reports to the store.
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// How long the connections of a room that ends may take to close.
const LAST_REPORTS_MAX: Duration = Duration::from_secs(3);
/// Time between renewals.
pub const RENEW_EVERY: Duration = Duration::from_secs(1);
/// How long a gateway stands for its fans without renewing. Marks count from the last renewal, so
/// that a long lease keeps no ghost longer; it has to bear a gateway that is busy or paused.
pub const GATEWAY_LEASE: Duration = Duration::from_secs(6);
/// How long another gateway has at least to say that a fan is connected to it.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// Entries of connections that are gone, beyond one for each that is there, until they are
/// forgotten: all of a room's entries are then written again.
const SURPLUS_MAX: u64 = 1024;

/// Reports absences and renews the lease on the presence of everyone else until the room ends;
/// then reports those of the connections that end with it.
pub async fn run(room: Arc<Room>) {
    let mut presence = Presence::new(room.clone());
    let mut ticks = tokio::time::interval(REPORT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = room.stop.cancelled() => break,
            _ = room.rest.next_round(&mut ticks) => {}
        }
        let round = room.rest.round();
        report_once(&room).await;
        if let Err(error) = presence.renew_if_due().await {
            tracing::debug!(room = %room.id, %error, "presence not renewed");
        }
        let is_idle = presence.is_idle() && room.absences.is_empty();
        room.rest.note(Task::Presence, round, is_idle);
    }
    let last = async {
        while room.sockets.count() > 0 {
            ticks.tick().await;
            report_once(&room).await;
        }
        report_once(&room).await;
        presence.end().await
    };
    // Those that close later, or could not be reported, are absent when the lease has ended.
    let _late = tokio::time::timeout(LAST_REPORTS_MAX, last).await;
}

/// Reports what was noted. A place that came back in the meantime is not absent; should it come
/// back here or elsewhere while this is under way, the notice of it makes the follower say so.
pub async fn report_once(room: &Room) {
    let gone = room.absences.take();
    let absent: Vec<_> = gone
        .into_iter()
        .filter(|place| !room.sockets.has(place))
        .collect();
    if absent.is_empty() {
        return;
    }
    let now = room.parts.now();
    if let Err(error) = room
        .parts
        .store
        .places_absent(&room.store_ref(), now, &absent)
        .await
    {
        tracing::debug!(room = %room.id, %error, places = absent.len(), "absences not reported");
        room.absences.note_all(absent);
    }
}

/// This gateway's lease in one room.
pub struct Presence {
    room: Arc<Room>,
    /// Entries as of the last renewal.
    entries: u64,
    renewed_at: Option<Timestamp>,
}

impl Presence {
    /// A lease that begins with the first connected fan.
    pub fn new(room: Arc<Room>) -> Self {
        Self {
            room,
            entries: 0,
            renewed_at: None,
        }
    }

    /// Whether there is nobody to stand for.
    fn is_idle(&self) -> bool {
        self.entries == 0 && self.room.sockets.count() == 0
    }

    /// Renews the lease, if it is time and there is anyone to stand for.
    pub async fn renew_if_due(&mut self) -> Result<(), StoreError> {
        let now = self.room.parts.clock.now();
        if self.is_idle()
            || self
                .renewed_at
                .is_some_and(|at| now.since(at) < RENEW_EVERY)
        {
            return Ok(());
        }
        self.renewed_at = Some(now);
        self.renew_once().await
    }

    /// Renews the lease. Fans whose entries the store lost are put back; entries of connections
    /// that are gone are forgotten when they are many.
    pub async fn renew_once(&mut self) -> Result<(), StoreError> {
        // Counted before asking: what comes meanwhile has its entry.
        let present = self.room.sockets.present();
        let is_empty = self.room.sockets.count() == 0;
        self.entries = self.renew(0).await?;
        let has_surplus = self.entries > 2 * present + SURPLUS_MAX;
        if self.entries >= present && !has_surplus && !is_empty {
            return Ok(());
        }
        // Written before the old ones go, so that nobody is without an entry.
        let old = self.entries;
        put_back(&self.room).await?;
        self.entries = self.renew(old).await?;
        Ok(())
    }

    /// Gives the lease up: nobody is connected here any more, and that was told.
    pub async fn end(self) -> Result<(), StoreError> {
        self.renew(u64::from(u32::MAX)).await.map(drop)
    }

    async fn renew(&self, surplus: u64) -> Result<u64, StoreError> {
        let parts = &self.room.parts;
        let (at, now) = (self.room.store_ref(), parts.clock.now());
        let renewed = parts.store.presence_renew(&at, now, parts.process, surplus);
        renewed.await
    }
}

/// The order to mark fans of a gateway whose lease has ended, if the leader of `state` may give
/// it: `steady_since` is since when it has ticked without a pause. After an outage of the store
/// every gateway looks as if it had died, until it had the time to renew.
pub fn lapse_of(
    state: &TickState,
    steady_since: Timestamp,
    absence_timeout: Duration,
    now: Timestamp,
) -> Option<Lapse> {
    let gateway = state.lapsed?;
    if now.since(steady_since) < GATEWAY_LEASE {
        return None;
    }
    Some(Lapse {
        lease: state.lease,
        gateway,
        renewed_before: now.minus(GATEWAY_LEASE),
        seen_since: now.minus(absence_timeout.saturating_sub(ANSWER_WITHIN)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::admission::Bucket;
    use crate::store::Lease;
    use uuid::Uuid;

    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    fn order(lapsed: bool, steady: Duration, absence: Duration) -> Option<Lapse> {
        let state = TickState {
            lease: Lease { fence: 3 },
            in_line: 0,
            occupied: 0,
            given_back: 0,
            claims: 0,
            bucket: Bucket::default(),
            pending: None,
            standby_at: None,
            seq: 0,
            held_until: None,
            lapsed: lapsed.then(Uuid::nil),
            is_confirmed: true,
        };
        lapse_of(&state, NOW.minus(steady), absence, NOW)
    }

    #[test]
    fn only_a_leader_that_was_there_for_a_lease_ends_one() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_mins(1));
        assert_eq!(order(false, minute, minute), None);
        assert_eq!(
            order(true, GATEWAY_LEASE.saturating_sub(second), minute),
            None
        );
        let order = order(true, GATEWAY_LEASE, minute).unwrap();
        assert_eq!(order.renewed_before, NOW.minus(GATEWAY_LEASE));
        assert_eq!(order.seen_since, NOW.minus(minute.saturating_sub(second)));
    }

    #[test]
    fn a_short_absence_leaves_others_as_much_time_as_it_has() {
        let order = order(true, GATEWAY_LEASE, Duration::from_secs(1)).unwrap();
        assert_eq!(order.seen_since, NOW);
    }
}
