//! Makes a room in the store from the durable records.
//!
//! Called for a new room, after the store has lost its memory, and when the log has admissions
//! that the store lacks. Everything served is marked as served before anyone is let in; sessions
//! that may still run count as running, so that the cap holds. The waiting places come back with
//! their fans; newcomers get keys above all that were ever reserved (see `live_keys`).

use std::sync::atomic::Ordering;
use std::time::Duration;

use contract::Timestamp;
use contract::room::RoomSettings;

use crate::error::WorkError;
use crate::policy::order::OrderKey;
use crate::policy::outcome::Fate;
use crate::policy::status::POLL_POLICY;
use crate::records::{Admission, RecordsError};
use crate::room::Room;
use crate::store::{Birth, CLOCKS_APART_MAX, Served, ServedState};

/// Admissions read at a time.
const READ_BATCH: usize = 10_000;

/// How often a part of the log is asked for again, and the pause before.
const READ_AGAIN_MAX: u32 = 3;
const READ_PAUSE: Duration = Duration::from_millis(500);

/// How long nobody is called from a line that was made again: the longest that a fan who polls
/// was told to wait, and some more for the way, so that all are back before newcomers are called
/// ahead of them.
pub(super) const HOLD: Duration = Duration::from_millis(POLL_POLICY.ceiling_ms + 5_000);

/// In a room younger than this nobody has waited for long, and none are held back.
const YOUNG: Duration = Duration::from_secs(5);

/// How long it takes at most, with the records there, until what became of a call is noted.
const NOTED_WITHIN: Duration = Duration::from_secs(5);

impl Room {
    /// Makes the room in the store from the durable records. Harmless when it is there. Door and
    /// leader may both ask: whoever waited for the other finds the room made.
    pub async fn rebuild(&self) -> Result<(), WorkError> {
        let before = self.rebuilds.load(Ordering::SeqCst);
        let _one = self.rebuilding.lock().await;
        if self.rebuilds.load(Ordering::SeqCst) == before {
            rebuild_once(self).await?;
            self.rebuilds.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

/// Makes the room, or adds what the store lacks.
async fn rebuild_once(room: &Room) -> Result<(), WorkError> {
    let parts = &room.parts;
    parts.skew.measure_first().await?;
    let now = parts.now();
    let record = room.record();
    let mut served = Vec::new();
    let mut seq = forgotten(room, now).await?;
    loop {
        let read = served_after(room, seq, !served.is_empty()).await?;
        let done = read.len() < READ_BATCH;
        seq = read.last().map_or(seq, |last| last.seq);
        served.extend(
            read.iter()
                .filter_map(|admission| known(room, admission, now)),
        );
        if done {
            break;
        }
    }
    served.retain(|served| served.called_at >= record.created_at);
    let now = parts.now();
    let birth = Birth {
        name: parts.randomness.uuid(),
        now,
        seq,
        is_open: record.opened_at.is_some(),
        held_until: (now.since(record.created_at) >= YOUNG).then(|| now.plus(HOLD)),
    };
    parts
        .store
        .room_prepare(&room.store_ref(), &birth, &served)
        .await?;
    room.sessions.retell(room, now).await;
    tracing::info!(room = %room.id, served = served.len(), "room made in the line's store");
    Ok(())
}

/// The next admissions after `seq`. Of a long log that was read in part, they are asked for again
/// when the database does not answer for a moment.
async fn served_after(
    room: &Room,
    seq: u64,
    is_begun: bool,
) -> Result<Vec<Admission>, RecordsError> {
    let durable = &room.parts.durable;
    for _ in 0..if is_begun { READ_AGAIN_MAX } else { 0 } {
        match durable.served_places(&room.id, seq, READ_BATCH).await {
            Err(error) if error.is_passing() => tokio::time::sleep(READ_PAUSE).await,
            read => return read,
        }
    }
    durable.served_places(&room.id, seq, READ_BATCH).await
}

/// How long it has to be known who was called: as long as a token may be that brings its place back,
/// and until the session is over.
pub(super) fn remembered(settings: &RoomSettings) -> Duration {
    let session = settings.session_duration_seconds;
    let lasts = session.max(settings.session_max_seconds);
    let after_call = settings.claim_window_seconds + lasts.max(settings.missed_turn_grace_seconds);
    Duration::from_secs(settings.place_max_age_seconds + after_call) + CLOCKS_APART_MAX
}

/// The ordinal up to which admissions are forgotten: their sessions are over, and no token is young
/// enough to bring such a place back. Found by halving, because the log grows for as long as the
/// room does.
async fn forgotten(room: &Room, now: Timestamp) -> Result<u64, WorkError> {
    let oldest = now.minus(remembered(&room.record().settings));
    let durable = &room.parts.durable;
    let (mut forgotten, mut end) = (0, durable.head(&room.id).await?.seq);
    if end <= READ_BATCH as u64 {
        return Ok(0);
    }
    while forgotten < end {
        let middle = forgotten + (end - forgotten) / 2;
        let next = durable.served_places(&room.id, middle, 1).await?;
        match next.first() {
            Some(next) if next.called_at < oldest => forgotten = next.seq,
            _ => end = middle,
        }
    }
    Ok(forgotten)
}

fn known(room: &Room, admission: &Admission, now: Timestamp) -> Option<Served> {
    let settings = &room.record().settings;
    let longest =
        Duration::from_secs(settings.claim_window_seconds + settings.session_duration_seconds);
    let until = admission.called_at.plus(longest);
    let window = Duration::from_secs(settings.claim_window_seconds);
    // What became of a call is written down once a second. One that has just come to its end, or
    // has none yet, may have been lost before its fan was told: they get the whole window.
    let is_open = admission.called_at.plus(window + NOTED_WITHIN) > now;
    let state = match admission.fate {
        // In line again: the log has nothing to say of them.
        Some(Fate::Returned) => return None,
        Some(Fate::Missed { until }) if until > now => ServedState::Missed(until),
        Some(Fate::Left) => ServedState::Left,
        Some(Fate::Claimed { until }) if until > now => ServedState::Active(until),
        None if is_open => ServedState::Called(now.plus(window)),
        // Nothing was noted while the records were away: they may have claimed.
        None if until > now => ServedState::Active(until),
        Some(Fate::Claimed { .. } | Fate::Missed { .. } | Fate::Ended) | None => ServedState::Over,
    };
    Some(Served {
        seq: admission.seq,
        place: admission.place,
        key: OrderKey::new(admission.order_key)?,
        called_at: admission.called_at,
        state,
    })
}
