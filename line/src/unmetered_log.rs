//! Writes to the audit log what rooms let through without a limit: one record for a room and a
//! gateway in [`WRITTEN_AFTER`], and none while nobody comes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use contract::{Clock, RoomId, Timestamp};
use serde_json::{Map, Value, json};
use tokio::time::MissedTickBehavior;

use crate::parts::Parts;
use crate::policy::passes_by::PassesBy;
use crate::records::{AuditEntry, RecordsError};
use crate::room::Room;
use crate::unmetered::Passed;

/// How long what was let through is gathered before it is written down. Bounds the audit log to
/// 144 records a day for a room and a gateway.
pub(crate) const WRITTEN_AFTER: Duration = Duration::from_mins(10);

/// Time between looks. A room that queues from now on, or is deleted, has its record within this.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What is in the audit log already, of one room.
type Written = [(PassesBy, Passed); PassesBy::ALL.len()];

/// The rooms that were there at the last look, with what is written of them.
#[derive(Default)]
struct Ledger(HashMap<RoomId, (Arc<Room>, Option<Written>)>);

/// Writes until the process stops, and what is left then.
pub(crate) async fn run(parts: &Parts, rooms: impl Fn() -> Vec<Arc<Room>>) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ledger = Ledger::default();
    loop {
        let is_last = tokio::select! {
            () = parts.stop.cancelled() => true,
            _ = looks.tick() => false,
        };
        ledger.look_once(rooms(), parts.clock.now(), is_last).await;
        if is_last {
            return;
        }
    }
}

impl Ledger {
    /// Looks after `rooms` and those that are gone, and writes what is due; all with `is_last`.
    async fn look_once(&mut self, rooms: Vec<Arc<Room>>, now: Timestamp, is_last: bool) {
        let mut before = std::mem::take(&mut self.0);
        for room in rooms {
            let known = before.remove(&room.id);
            let written = match known {
                Some((known, written)) if Arc::ptr_eq(&known, &room) => written,
                Some((gone, written)) => {
                    write_due(&gone, written, now, true).await;
                    None
                }
                None => None,
            };
            let written = write_due(&room, written, now, is_last).await;
            self.0.insert(room.id.clone(), (room, written));
        }
        for (gone, written) in before.into_values() {
            write_due(&gone, written, now, true).await;
        }
    }
}

/// Writes what `room` let through beyond `written`, if it is time. What is written then.
async fn write_due(
    room: &Room,
    written: Option<Written>,
    now: Timestamp,
    is_last: bool,
) -> Option<Written> {
    let is_over = !room.is_idle() && room.fails_open_since(now).is_none();
    let is_due = room
        .unmetered
        .since()
        .is_some_and(|since| is_last || is_over || now.since(since) >= WRITTEN_AFTER);
    if !is_due {
        return written;
    }
    match write(room, written, now).await {
        Ok(written) => Some(written),
        Err(error) => {
            tracing::warn!(room = %room.id, %error, "what was let through is not in the audit log yet");
            written
        }
    }
}

/// Writes what `room` let through beyond `written`. What is written then.
async fn write(
    room: &Room,
    written: Option<Written>,
    now: Timestamp,
) -> Result<Written, RecordsError> {
    let since = room.unmetered.take_since().unwrap_or(now);
    let passed = room.unmetered.passed();
    let mut by_why = Map::new();
    for (index, (why, passed)) in passed.into_iter().enumerate() {
        let earlier = written.map_or_else(Passed::default, |written| written[index].1);
        let new = passed.since(earlier);
        if new != Passed::default() {
            by_why.insert(why.as_str().to_owned(), json!(new));
        }
    }
    let after = json!({
        "gateway": room.parts.process, "from": since, "to": now, "passed": Value::Object(by_why),
    });
    let entry = AuditEntry::new("room.passed-through", room.id.as_str()).after(&after);
    let noted = room.parts.durable.audit_note(now, entry).await;
    if noted.is_err() {
        room.unmetered.note(since);
    }
    noted.map(|()| passed)
}
