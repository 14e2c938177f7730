//! Makes a room in the store from the durable records.
//!
//! Called for a new room, after the store has lost its memory, and when the log has admissions
//! that the store lacks. Everything served is marked as served before anyone is let in; sessions
//! that may still run count as running, so that the cap holds. The waiting places come back with
//! their fans; newcomers get keys above all that were ever reserved (see `live_keys`).
//!
//! One process of the installation does it: it claims the making in the store before it reads the
//! log. The log goes from the records to the store page by page, so that memory does not grow with
//! it. Should the process die, another one goes on after the last page that the store has.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;

use contract::room::RoomSettings;
use contract::{RoomId, Timestamp};
use metrics::counter;

use crate::error::WorkError;
use crate::policy::order::OrderKey;
use crate::policy::outcome::Fate;
use crate::policy::status::POLL_POLICY;
use crate::records::durable::DurableLine;
use crate::records::{Admission, RecordsError};
use crate::room::Room;
use crate::store::{CLOCKS_APART_MAX, MakingEnd, SERVED_PAGE_MAX, Served, ServedPage, ServedState};
use crate::telemetry;

/// Admissions read at a time. Two such batches are in memory: one on its way to the store, and the
/// next one on its way from the records.
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
    let (store, at) = (&parts.store, room.store_ref());
    let has = store.making_begin(&at, parts.process, parts.now());
    let has = has.await?;
    let first = forgotten(room, has, parts.now()).await?;
    let mut batch = Batch {
        after: has,
        ..Batch::read(room, first, false).await?
    };
    let mut count = 0;
    loop {
        count += batch.served.len();
        let next = async {
            if batch.is_last {
                return Ok(None);
            }
            Batch::read(room, batch.upto, true).await.map(Some)
        };
        let ((), next) = tokio::try_join!(batch.add_to_store(room), next)?;
        match next {
            Some(next) => batch = next,
            None => break,
        }
    }
    room.sessions.retell(room, parts.now()).await;
    tracing::info!(room = %room.id, from = has, served = count, "room made in the line's store");
    Ok(())
}

/// A part of the log.
struct Batch {
    served: Vec<Served>,
    /// What the store has to have of the log before.
    after: u64,
    /// Where it ends.
    upto: u64,
    /// Whether the log ends there.
    is_last: bool,
}

impl Batch {
    /// Reads the admissions after `seq`. Those of an earlier room of the name are none of this one's.
    async fn read(room: &Room, seq: u64, is_begun: bool) -> Result<Self, WorkError> {
        let read = served_after(room, seq, is_begun).await?;
        let (now, created_at) = (room.parts.now(), room.record().created_at);
        let of_room = read.iter().filter(|known| known.called_at >= created_at);
        Ok(Self {
            served: of_room.filter_map(|it| known(room, it, now)).collect(),
            after: seq,
            upto: read.last().map_or(seq, |last| last.seq),
            is_last: read.len() < READ_BATCH,
        })
    }

    /// Adds them to the store, a page at a time. The last one of the log makes the room, if it was
    /// not there.
    async fn add_to_store(&self, room: &Room) -> Result<(), WorkError> {
        let (mut rest, mut after) = (&self.served[..], self.after);
        let count = counter!(telemetry::REBUILT, "room" => room.id.to_string());
        loop {
            let (served, behind) = rest.split_at(rest.len().min(SERVED_PAGE_MAX));
            rest = behind;
            let now = room.parts.now();
            let upto = match (behind, served) {
                ([_, ..], [.., last]) => last.seq,
                _ => self.upto,
            };
            let is_end = self.is_last && behind.is_empty();
            let page = ServedPage {
                served,
                after,
                upto,
                end: is_end.then(|| end_of_making(room, now)),
            };
            let (parts, at) = (&room.parts, room.store_ref());
            let added = parts.store.making_add(&at, parts.process, now, &page);
            added.await?;
            count.increment(served.len() as u64);
            after = upto;
            if behind.is_empty() {
                return Ok(());
            }
        }
    }
}

fn end_of_making(room: &Room, now: Timestamp) -> MakingEnd {
    let record = room.record();
    MakingEnd {
        birth: room.parts.randomness.uuid(),
        is_open: record.opened_at.is_some(),
        held_until: (now.since(record.created_at) >= YOUNG).then(|| now.plus(HOLD)),
    }
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

/// The ordinal from `from` on up to which admissions are forgotten: their sessions are over, and no
/// token is young enough to bring such a place back.
async fn forgotten(room: &Room, from: u64, now: Timestamp) -> Result<u64, WorkError> {
    let durable = &*room.parts.durable;
    let end = durable.head(&room.id).await?.seq;
    if end <= from.saturating_add(READ_BATCH as u64) {
        return Ok(from);
    }
    let oldest = now.minus(remembered(&room.record().settings));
    Ok(forgotten_between(durable, &room.id, from..end, oldest).await?)
}

/// Of the ordinals in `range` the one up to which admissions are older than `oldest`. Found by
/// halving, because the log grows for as long as the room does.
pub(super) async fn forgotten_between(
    durable: &dyn DurableLine,
    room: &RoomId,
    range: Range<u64>,
    oldest: Timestamp,
) -> Result<u64, RecordsError> {
    let Range {
        start: mut forgotten,
        mut end,
    } = range;
    while forgotten < end {
        let middle = forgotten + (end - forgotten) / 2;
        let next = durable.served_places(room, middle, 1).await?;
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
